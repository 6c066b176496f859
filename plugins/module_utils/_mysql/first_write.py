# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The first write into a fresh binary log, and how long it is kept.

A replica that is to begin with a log in which nothing was written, or which is purged, ends with error 1236, 'Could not find first
log file name in binary log index file'. A deployment that RDS manages begins so after blue's reboot.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from .._core.checks import Check, failed, ok
from .._core.endpoint import Endpoint
from .._core.journal import Journal
from . import record
from .connection import connected, dicts, rows
from .coordinates import binary_logs
from .dialect import Dialect
from .service import service_of

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

_HOURS = 24
_PURPOSE = "first_write"
_NOTHING = frozenset(
    {"Format_desc", "Previous_gtids", "Rotate", "Stop", "Heartbeat"}
)  # what a log begins and ends with
_DOCS = "https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/blue-green-deployments-creating.html"


def begin(blue: Endpoint, deployment_id: str, journal: Journal) -> None:
    """Keep blue's binary log for a day when it is not kept, and write a row when nothing is in its last file yet."""
    with connected(blue) as conn:
        if not _logs(conn):
            return  # the reboot that turns the log on is still to come, in check mode
        service = service_of(conn, Dialect.of(conn))
        if service.retention() is None:
            journal.act(f"keep blue's binary log for {_HOURS} hours", partial(service.set_retention, _HOURS))
        if not written(conn):
            journal.act("write a first row into blue's binary log", partial(_write, conn, deployment_id))


def check(conn: Connection[Cursor]) -> Check:
    """Something is in the last file of the binary log: a replica that begins there finds it."""
    if not _logs(conn):
        return failed(
            "blue_first_write", "SHOW BINARY LOGS should list a file, but the log is off", "prepare=true", _DOCS
        )
    if written(conn):
        return ok("blue_first_write", "something is written in the last file of blue's binary log", _DOCS)
    return failed(
        "blue_first_write",
        "nothing is written in the last file of blue's binary log yet, and green would stop with error 1236, 'Could not find first "
        "log file name in binary log index file'",
        "write a row to any table of blue; rds_blue_green with prepare=true and the connection blue does it",
        _DOCS,
    )


def written(conn: Connection[Cursor]) -> bool:
    """Whether the last file of the binary log holds any change."""
    last = list(binary_logs(conn))[-1]
    events = dicts(conn, "SHOW BINLOG EVENTS IN %s LIMIT 10", (last,))
    return any(str(event["Event_type"]) not in _NOTHING for event in events)


def _logs(conn: Connection[Cursor]) -> bool:
    on = rows(conn, "SHOW GLOBAL VARIABLES LIKE 'log_bin'")
    return bool(on) and str(on[0][1]).upper() in ("ON", "1") and bool(binary_logs(conn))


def _write(conn: Connection[Cursor], deployment_id: str) -> None:
    if not record.complete(conn):
        record.ensure(conn)
    record.write_marker(conn, deployment_id, _PURPOSE)
