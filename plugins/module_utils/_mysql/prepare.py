# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""State ``prepared``: what must be on blue before it is cloned."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from .._core.checks import Check, failed, ok, require
from .._core.endpoint import Endpoint
from .._core.journal import Journal
from .._core.names import Names
from . import record, replication_user
from .connection import connected, rows, value
from .coordinates import current
from .dialect import Dialect
from .guardrails import create_checks
from .replication_user import Account, Login
from .service import service_of

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

HEARTBEAT = "heartbeat"
RETENTION = "binlog_retention_hours"
PREPARED_AT = "prepared_at"
PREPARED_ON = "prepared_on"
NO_RETENTION = "none"


@dataclass(frozen=True)
class Prepared:
    """What blue has. ``retention`` is in hours, None when the service purges the log as soon as it can; ``owed`` when another
    deployment has raised it and this one does not know what it was before.
    """

    schema: bool
    heartbeat: bool
    retention: int | None
    owed: bool
    account: Account | None

    def keeps(self, hours: int) -> bool:
        """Whether the log is kept long enough, and not only until another deployment gives its retention back."""
        return self.retention is not None and self.retention >= hours and not self.owed

    def summary(self) -> dict[str, Any]:
        """In words, for a diff."""
        return {
            "schema": self.schema and self.heartbeat,
            "replication_user": self.account is not None,
            "binlog_retention_hours": self.retention,
        }

    def expected(self, hours: int) -> dict[str, Any]:
        """What :meth:`summary` says afterwards."""
        return {
            "schema": True,
            "replication_user": True,
            "binlog_retention_hours": max(hours, self.retention or 0),
        }


def look(blue: Endpoint, names: Names, login: Login) -> Prepared:
    """What is there."""
    with connected(blue) as conn:
        schema = record.complete(conn)
        return Prepared(
            schema=schema,
            heartbeat=schema and record.marker(conn, names.deployment_id, HEARTBEAT) is not None,
            retention=service_of(conn, Dialect.of(conn)).retention(),
            owed=_owed(conn, names),
            account=replication_user.find(conn, names.deployment_id, login),
        )


def prepare(blue: Endpoint, names: Names, journal: Journal, *, login: Login, retention: int, gtid: str) -> None:
    """Make what is missing on blue: our schema, the retention of the log, the replication user, the heartbeat.

    Guardrails first: when one fails, nothing is changed. The heartbeat comes last: a clone that has it was made after all this.
    """
    found = look(blue, names, login)
    replication_user.refuse_foreign(found.account, login, "blue")
    keeps = found.keeps(retention)
    if found.schema and found.heartbeat and keeps and replication_user.complete(found.account, login):
        return
    deployment_id = names.deployment_id
    with connected(blue) as conn:
        require(checks(conn, gtid), "the clone")
        require(create_checks(blue, None, names), "the clone")
        if not found.schema:
            journal.act("create schema bluegreen on blue", partial(record.ensure, conn))
        if not keeps:
            hours = max(retention, found.retention or 0)
            what = f"keep blue's binary log for {hours} hours, it was {_hours(found.retention)}"
            journal.act(what, partial(_keep, conn, names, found.retention, retention))
        if not replication_user.complete(found.account, login):
            what = (
                f"create user {login.user} on blue" if found.account is None else f"complete user {login.user} on blue"
            )
            journal.act(what, partial(replication_user.ensure, conn, deployment_id, login))
        if not found.heartbeat:
            journal.act("write a heartbeat on blue", partial(_heartbeat, conn, names))


def checks(conn: Connection[Cursor], gtid: str) -> list[Check]:
    """Whether blue can be replicated from; judged by the server, not by its parameter group, which may wait for a reboot."""
    settings = {
        str(name).lower(): str(content)
        for name, content in rows(
            conn,
            "SHOW GLOBAL VARIABLES WHERE variable_name IN ('log_bin', 'binlog_format', 'innodb_read_only', 'gtid_mode',"
            " 'enforce_gtid_consistency')",
        )
    }
    found = [_writer(settings), _binlog(settings)]
    if gtid == "required":
        found.append(_gtid(settings))
    return found


def _writer(settings: dict[str, str]) -> Check:
    if settings.get("innodb_read_only") == "ON":
        return failed(
            "writer",
            "blue's host should be the cluster's writer, but is a reader (innodb_read_only is ON)",
            "give the cluster endpoint as blue's host",
        )
    return ok("writer", "blue's host is the writer")


def _binlog(settings: dict[str, str]) -> Check:
    form = settings.get("binlog_format", "ROW")
    if settings.get("log_bin") == "ON" and form in ("ROW", "MIXED"):
        return ok("binlog", f"blue writes a binary log, binlog_format is {form}")
    evidence = (
        "blue should write a binary log of rows, but its log is off"
        if settings.get("log_bin") != "ON"
        else f"blue should write a binary log of rows, but binlog_format is {form}"
    )
    return failed(
        "binlog",
        evidence,
        "set binlog_format to ROW in blue's DB cluster parameter group, one of its own and not a default one, and reboot the writer",
    )


def _gtid(settings: dict[str, str]) -> Check:
    if settings.get("gtid_mode") == "ON" and settings.get("enforce_gtid_consistency") == "ON":
        return ok("gtid", "blue has GTIDs")
    return failed(
        "gtid",
        f"gtid=required, but on blue gtid_mode is {settings.get('gtid_mode')} and enforce_gtid_consistency is "
        f"{settings.get('enforce_gtid_consistency')}",
        "set gtid-mode and enforce_gtid_consistency to ON in blue's DB cluster parameter group and reboot the writer, or use "
        "gtid=auto",
    )


def _keep(conn: Connection[Cursor], names: Names, before: int | None, hours: int) -> None:
    if RETENTION not in record.notes(conn, names.deployment_id):
        first = record.others_note(conn, names.deployment_id, RETENTION)  # what was there before any deployment
        record.note(conn, names.deployment_id, RETENTION, first or str(before or NO_RETENTION))
    if before is None or before < hours:
        service_of(conn, Dialect.of(conn)).set_retention(hours)


def _owed(conn: Connection[Cursor], names: Names) -> bool:
    mine = record.notes(conn, names.deployment_id)
    return RETENTION not in mine and record.others_note(conn, names.deployment_id, RETENTION) is not None


def _heartbeat(conn: Connection[Cursor], names: Names) -> None:
    """A write after everything else, so that the log is not empty, and where the log, and whose, was before it."""
    at = current(conn, Dialect.of(conn))
    record.note(conn, names.deployment_id, PREPARED_ON, str(value(conn, "SELECT @@server_uuid")))
    record.note(conn, names.deployment_id, PREPARED_AT, f"{at.file}:{at.offset}")
    record.write_marker(conn, names.deployment_id, HEARTBEAT)


def _hours(retention: int | None) -> str:
    return "as short as possible" if retention is None else f"{retention} hours"
