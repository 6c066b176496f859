# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The schema of our own on each side: the control record, the fence, the marker.

What one side alone must know (the control record, the accounts that a fence locked) is written with the binary log off:
it has no GTID and no replica ever sees it. Markers and canaries are written to be replicated. A clone carries blue's rows
along; ``binlog_replication`` takes them away when it keeps the position.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from .connection import execute, rows, transaction, unlogged, value
from .coordinates import Coordinates

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

SCHEMA = "bluegreen"

# Seen by replicas: other replicas of blue get the marker's rows too and must know the table.
_REPLICATED = (
    "CREATE DATABASE IF NOT EXISTS bluegreen CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
    "CREATE TABLE IF NOT EXISTS bluegreen.marker (deployment_id VARCHAR(64) NOT NULL, purpose VARCHAR(32) NOT NULL,"
    " token CHAR(32) NOT NULL, PRIMARY KEY (deployment_id, purpose)) ENGINE=InnoDB",
    "CREATE TABLE IF NOT EXISTS bluegreen.canary (deployment_id VARCHAR(64) NOT NULL, n BIGINT NOT NULL,"
    " file VARCHAR(255) NOT NULL, offset BIGINT NOT NULL, written_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),"
    " PRIMARY KEY (deployment_id, n)) ENGINE=InnoDB",
)
_LOCAL = (
    "CREATE TABLE IF NOT EXISTS bluegreen.control_record (deployment_id VARCHAR(64) NOT NULL PRIMARY KEY, position JSON,"
    " opened_green JSON, opened_blue JSON, settings JSON NOT NULL) ENGINE=InnoDB",
    "CREATE TABLE IF NOT EXISTS bluegreen.fence (deployment_id VARCHAR(64) NOT NULL, user VARCHAR(96) NOT NULL,"
    " host VARCHAR(255) NOT NULL, PRIMARY KEY (deployment_id, user, host)) ENGINE=InnoDB",
    "CREATE TABLE IF NOT EXISTS bluegreen.note (deployment_id VARCHAR(64) NOT NULL, name VARCHAR(64) NOT NULL, content TEXT,"
    " PRIMARY KEY (deployment_id, name)) ENGINE=InnoDB",
)
_POSITIONS = ("position", "opened_green", "opened_blue")


@dataclass(frozen=True)
class ControlRecord:
    """One deployment's record.

    ``position``: where green's data ends in blue's log. ``opened_green``: green's own log when green was opened to writers,
    ``opened_blue``: blue's when blue was opened again. ``settings``: plain values, as ``{"armed": "reverse"}``.
    """

    deployment_id: str
    position: Coordinates | None = None
    opened_green: Coordinates | None = None
    opened_blue: Coordinates | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, order=True)
class Account:
    """A MySQL account, ``'user'@'host'``."""

    user: str
    host: str

    def __str__(self) -> str:
        return f"'{self.user}'@'{self.host}'"


def tables(conn: Connection[Cursor]) -> set[str]:
    """The names of the tables of ours that are there."""
    statement = "SELECT table_name FROM information_schema.tables WHERE table_schema = %s"
    return {str(row[0]) for row in rows(conn, statement, (SCHEMA,))}


def exists(conn: Connection[Cursor], table: str = "control_record") -> bool:
    """Whether a table of ours is there."""
    statement = "SELECT 1 FROM information_schema.tables WHERE table_schema = %s AND table_name = %s"
    return bool(value(conn, statement, (SCHEMA, table)))


def ensure(conn: Connection[Cursor]) -> None:
    """Make the schema and its tables if they are missing."""
    there = tables(conn)
    if not {"marker", "canary"} <= there:
        for statement in _REPLICATED:
            execute(conn, statement)
    if not {"control_record", "fence", "note"} <= there:
        with unlogged(conn):
            for statement in _LOCAL:
                execute(conn, statement)


def complete(conn: Connection[Cursor]) -> bool:
    """Whether :func:`ensure` has nothing to do."""
    return {"marker", "canary", "control_record", "fence", "note"} <= tables(conn)


def read(conn: Connection[Cursor], deployment_id: str) -> ControlRecord | None:
    """The deployment's record on green, None when it has none."""
    if not exists(conn):
        return None
    found = rows(
        conn,
        "SELECT position, opened_green, opened_blue, settings FROM bluegreen.control_record WHERE deployment_id = %s",
        (deployment_id,),
    )
    if not found:
        return None
    position, opened_green, opened_blue = map(_coordinates, found[0][:3])
    return ControlRecord(deployment_id, position, opened_green, opened_blue, json.loads(found[0][3]))


def commit(conn: Connection[Cursor], deployment_id: str, **fields: Any) -> None:
    """Write the given fields of the record, those of :class:`ControlRecord`, durably; the others stay as they are."""
    unknown = sorted(set(fields) - {*_POSITIONS, "settings"})
    if unknown:
        raise TypeError(f"no such field of the control record: {unknown}")
    values = [_json(fields[name]) for name in fields]
    names = ", ".join(fields)
    updates = ", ".join(f"{name} = VALUES({name})" for name in fields)
    if "settings" not in fields:
        names, values = f"{names}, settings", [*values, "{}"]
    marks = ", ".join(["%s"] * len(values))
    with unlogged(conn):
        execute(
            conn,
            f"INSERT INTO bluegreen.control_record (deployment_id, {names}) VALUES (%s, {marks})"
            f" ON DUPLICATE KEY UPDATE {updates}",
            (deployment_id, *values),
        )


def begin(
    conn: Connection[Cursor],
    deployment_id: str,
    position: Coordinates,
    keep: Collection[str],
    settings: Mapping[str, Any],
) -> None:
    """Commit green's position and the record's first settings; in the same transaction go blue's rows that were carried along.

    Every record is one of those. The notes under the names ``keep`` are true of the clone as well. What a fence had locked on
    blue is locked here, so it becomes the deployment's own to unlock.
    """
    marks = ", ".join(["%s"] * len(keep))
    with unlogged(conn), transaction(conn):
        execute(
            conn,
            "INSERT IGNORE INTO bluegreen.fence (deployment_id, user, host)"
            " SELECT %s, f.user, f.host FROM bluegreen.fence AS f WHERE f.deployment_id <> %s",
            (deployment_id, deployment_id),
        )
        execute(conn, "DELETE FROM bluegreen.fence WHERE deployment_id <> %s", (deployment_id,))
        execute(
            conn,
            f"DELETE FROM bluegreen.note WHERE deployment_id <> %s OR name NOT IN ({marks})",
            (deployment_id, *keep),
        )
        execute(conn, "DELETE FROM bluegreen.control_record")
        execute(
            conn,
            "INSERT INTO bluegreen.control_record (deployment_id, position, settings) VALUES (%s, %s, %s)",
            (deployment_id, _json(position), _json(settings)),
        )


def forget(conn: Connection[Cursor], deployment_id: str) -> None:
    """Delete what the side's local tables hold of the deployment."""
    with unlogged(conn):
        for table in sorted(tables(conn) & {"control_record", "fence", "note"}):
            execute(conn, f"DELETE FROM bluegreen.{table} WHERE deployment_id = %s", (deployment_id,))


def fenced_accounts(conn: Connection[Cursor], deployment_id: str) -> list[Account]:
    """The accounts that the deployment's fence on this side has locked or is about to lock, in order."""
    if not exists(conn, "fence"):
        return []
    statement = "SELECT user, host FROM bluegreen.fence WHERE deployment_id = %s AND host <> '' ORDER BY user, host"
    return [Account(*row) for row in rows(conn, statement, (deployment_id,))]


def remember_fence(conn: Connection[Cursor], deployment_id: str, accounts: Sequence[Account]) -> None:
    """Commit which accounts are about to be locked, beside those that are on record; before the lock itself.

    A row without user and host, which no account can have, says that there is a fence even where there are no accounts.
    """
    every = [Account("", ""), *accounts]
    values = [part for account in every for part in (deployment_id, account.user, account.host)]
    marks = ", ".join(["(%s, %s, %s)"] * len(every))
    with unlogged(conn):
        execute(conn, f"INSERT IGNORE INTO bluegreen.fence (deployment_id, user, host) VALUES {marks}", values)


def forget_fence(conn: Connection[Cursor], deployment_id: str) -> None:
    """The fence of this side is down."""
    with unlogged(conn):
        execute(conn, "DELETE FROM bluegreen.fence WHERE deployment_id = %s", (deployment_id,))


def new_token() -> str:
    """A value that was never used before."""
    return secrets.token_hex(16)


def write_marker(conn: Connection[Cursor], deployment_id: str, purpose: str) -> str:
    """Write a new token, to be replicated, and return it; whoever may run beside another one has a purpose of its own."""
    token = new_token()
    execute(
        conn,
        "INSERT INTO bluegreen.marker (deployment_id, purpose, token) VALUES (%s, %s, %s)"
        " ON DUPLICATE KEY UPDATE token = VALUES(token)",
        (deployment_id, purpose, token),
    )
    return token


def marker(conn: Connection[Cursor], deployment_id: str, purpose: str) -> str | None:
    """The token that this side has, None when it has none."""
    statement = "SELECT token FROM bluegreen.marker WHERE deployment_id = %s AND purpose = %s"
    found = value(conn, statement, (deployment_id, purpose))
    return None if found is None else str(found)


def notes(conn: Connection[Cursor], deployment_id: str) -> dict[str, str | None]:
    """What the deployment has noted on this side, by name."""
    if not exists(conn, "note"):
        return {}
    return dict(rows(conn, "SELECT name, content FROM bluegreen.note WHERE deployment_id = %s", (deployment_id,)))


def note(conn: Connection[Cursor], deployment_id: str, name: str, content: str | None) -> None:
    """Keep something on this side alone, which a clone of it carries along; what is noted already is replaced."""
    with unlogged(conn):
        execute(
            conn,
            "INSERT INTO bluegreen.note (deployment_id, name, content) VALUES (%s, %s, %s)"
            " ON DUPLICATE KEY UPDATE content = VALUES(content)",
            (deployment_id, name, content),
        )


def others_note(conn: Connection[Cursor], deployment_id: str, name: str) -> str | None:
    """What another deployment has noted on this side under a name, None when none has."""
    if not exists(conn, "note"):
        return None
    statement = "SELECT content FROM bluegreen.note WHERE deployment_id <> %s AND name = %s LIMIT 1"
    found = value(conn, statement, (deployment_id, name))
    return None if found is None else str(found)


def forget_note(conn: Connection[Cursor], deployment_id: str, name: str) -> None:
    """What was noted under a name is of no use any more."""
    with unlogged(conn):
        execute(conn, "DELETE FROM bluegreen.note WHERE deployment_id = %s AND name = %s", (deployment_id, name))


def _json(content: Any) -> str | None:
    if content is None:
        return None
    return json.dumps(asdict(content) if isinstance(content, Coordinates) else content)


def _coordinates(text: str | None) -> Coordinates | None:
    return Coordinates(**json.loads(text)) if text else None
