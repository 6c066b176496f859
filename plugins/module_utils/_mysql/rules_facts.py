# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What the guardrails know of a server: read once, nothing is changed."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

try:
    import pymysql
except ImportError:  # refused in connection.require_driver()
    pass

from .._core.errors import BlueGreenError
from .connection import PROGRAM_NAME, code, dicts, rows, value
from .coordinates import Coordinates, binary_logs, gtid_executed, plain
from .dialect import Dialect, Version
from .rule import series
from .service import procedures, service_of

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

_AURORA = re.compile(r"(?:mysql_aurora\.)?(\d+)\.(\d+)\.(\d+)$")
_ENGINE_VERSION = re.compile(r"(\d+)\.(\d+)\.(?:mysql_aurora\.)?\d")
_SERIES = {1: 506, 2: 507, 3: 800}  # from 8.4 on Aurora's number is MySQL's
_UNKNOWN = (1046, 1193, 1305, 1370)  # no such variable or function
_SAMPLE = 0.5  # seconds between two looks at the end of the binary log
_FILTERS = (
    "Replicate_Do_DB",
    "Replicate_Ignore_DB",
    "Replicate_Do_Table",
    "Replicate_Ignore_Table",
    "Replicate_Wild_Do_Table",
    "Replicate_Wild_Ignore_Table",
    "Replicate_Rewrite_DB",
)


@dataclass(frozen=True)
class Session:
    """A session of a client: ``seconds`` is how long its statement or transaction has run."""

    id: int
    user: str
    origin: str
    seconds: float
    what: str


@dataclass(frozen=True)
class ServerFacts:
    """One server as its own statements tell it. ``variables`` are the global ones by their names, in their server's spelling."""

    side: str
    version: Version
    user: str
    variables: Mapping[str, str]
    aurora: Version | None
    procedures: Mapping[str, int]
    retention: int | None
    logs: Mapping[str, int]
    end: Coordinates | None
    written_per_second: float
    purged: str
    channels: tuple[Mapping[str, Any], ...]
    binlog_filters: tuple[str, ...]
    replica_filters: tuple[str, ...]
    prepared: tuple[str, ...]
    transactions: tuple[Session, ...]
    statements: tuple[Session, ...]
    own_elsewhere: tuple[Session, ...]
    readers: tuple[Session, ...]

    def on(self, name: str) -> bool:
        """Whether a variable is on."""
        return self.variables.get(name, "").upper() in ("ON", "1", "TRUE", "YES")

    def get(self, *names: str) -> str | None:
        """The first variable of these that the server has: its name depends on the version."""
        return next((self.variables[name] for name in names if name in self.variables), None)

    @property
    def series(self) -> int:
        """The release series as a number, 804 for 8.4: Aurora's own version tells it, else the server's."""
        if self.aurora is None:
            return series(self.version)
        return _SERIES.get(self.aurora[0]) or series(self.aurora)

    @property
    def name(self) -> str:
        """The version in words."""
        version = self.aurora or self.version
        return f"{'Aurora MySQL' if self.aurora else 'MySQL'} {'.'.join(map(str, version))}"

    @property
    def gtid(self) -> bool:
        """Whether every transaction has a GTID."""
        return self.variables.get("gtid_mode", "").upper() == "ON"

    @property
    def sets_read_only(self) -> bool:
        """Whether read_only can be set by a call: on the service, by its procedure."""
        return "rds_set_read_only" in self.procedures or "rds_start_replication" not in self.procedures


def read(conn: Connection[Cursor], side: str) -> ServerFacts:
    """The facts; takes half a second, in which the growth of the binary log is measured."""
    dialect = Dialect.of(conn)
    variables = {str(row[0]).lower(): str(row[1]) for row in rows(conn, "SHOW GLOBAL VARIABLES")}
    logged = variables.get("log_bin", "OFF").upper() in ("ON", "1")
    status = dicts(conn, dialect.name("binlog_status")) if logged else []
    began, start = time.monotonic(), _end(conn, status)
    channels = tuple(_renamed(row) for row in dicts(conn, dialect.name("replica_status")))
    facts = {
        "binlog_filters": tuple(
            row[name] for row in status for name in ("Binlog_Do_DB", "Binlog_Ignore_DB") if row.get(name)
        ),
        "replica_filters": tuple(
            f"{name}={row[name]}"
            for row in channels
            for name in _FILTERS
            if row.get(name) and not ("Ignore" in name and _service_s(row[name]))
        ),
        "prepared": tuple(_xid(row) for row in rows(conn, "XA RECOVER CONVERT XID")),
        "transactions": _transactions(conn),
        "statements": _statements(conn),
        "own_elsewhere": _own_elsewhere(conn),
        "readers": _binlog_readers(conn),
        "logs": binary_logs(conn) if logged else {},
        "purged": plain(str(value(conn, "SELECT @@GLOBAL.gtid_purged") or "")),
        "procedures": procedures(conn),
        "retention": service_of(conn, dialect).retention(),
    }
    time.sleep(max(0.0, _SAMPLE - (time.monotonic() - began)))
    end = _end(conn, dicts(conn, dialect.name("binlog_status")) if logged else [])
    return ServerFacts(
        side=side,
        version=dialect.version,
        user=str(value(conn, "SELECT CURRENT_USER()")),
        variables=variables,
        aurora=_aurora(conn),
        end=end,
        written_per_second=_growth(start, end, time.monotonic() - began),
        channels=channels,
        **facts,  # type: ignore[arg-type]
    )


def aurora_version(text: str) -> Version | None:
    """Aurora's own version in ``8.0.mysql_aurora.3.10.0``, ``3.10.0`` or ``8.4.8``; None when it is not Aurora's."""
    found = _AURORA.search(text)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def series_of(engine_version: str | None) -> int | None:
    """The release series that an engine version such as ``8.4.mysql_aurora.8.4.8`` or ``8.4.8`` is of: 804.

    Raises :class:`BlueGreenError` when it looks like neither.
    """
    if engine_version is None:
        return None
    found = _ENGINE_VERSION.match(engine_version)
    if found is None:
        raise BlueGreenError(
            f"engine_version must look like 8.4.mysql_aurora.8.4.8, but is {engine_version!r}: correct it."
        )
    return series((int(found[1]), int(found[2])))


def _aurora(conn: Connection[Cursor]) -> Version | None:
    for statement in ("SELECT @@aurora_version", "SELECT AURORA_VERSION()", "SELECT mysql.aurora_version()"):
        try:
            return aurora_version(str(value(conn, statement)))
        except pymysql.MySQLError as error:
            if code(error) not in _UNKNOWN:
                raise
    return None


def _end(conn: Connection[Cursor], status: list[dict[str, Any]]) -> Coordinates | None:
    return Coordinates(status[0]["File"], int(status[0]["Position"]), gtid_executed(conn)) if status else None


def _service_s(ignored: str) -> bool:
    """Whether a filter leaves out what is the service's own only: accounts and its configuration are not replicated."""
    return {one.strip().partition(".")[0] for one in ignored.split(",")} <= {"mysql", "innodb_memcache", "rdsadmin"}


def _growth(start: Coordinates | None, end: Coordinates | None, seconds: float) -> float:
    if start is None or end is None:
        return 0.0
    grown = end.offset - start.offset if end.file == start.file else end.offset
    return max(0, grown) / max(seconds, 0.001)


def _xid(row: tuple[Any, ...]) -> str:
    """A transaction's name as XA ROLLBACK wants it: format, then the hexadecimal of both parts."""
    gtrid, _bqual, data = int(row[1]), int(row[2]), str(row[3]).removeprefix("0x")
    return f"X'{data[: gtrid * 2]}', X'{data[gtrid * 2 :]}', {row[0]}"


def _transactions(conn: Connection[Cursor]) -> tuple[Session, ...]:
    statement = (
        "SELECT t.trx_mysql_thread_id, p.USER, p.HOST, TIMESTAMPDIFF(SECOND, t.trx_started, NOW()), COALESCE(t.trx_query, 'idle')"
        " FROM information_schema.innodb_trx AS t JOIN information_schema.processlist AS p ON p.ID = t.trx_mysql_thread_id"
        " WHERE p.USER <> 'system user' AND p.COMMAND NOT IN ('Binlog Dump', 'Binlog Dump GTID') ORDER BY t.trx_started"
    )
    return tuple(_session(row) for row in rows(conn, statement))


def _statements(conn: Connection[Cursor]) -> tuple[Session, ...]:
    statement = (
        "SELECT ID, USER, HOST, TIME, COALESCE(INFO, STATE) FROM information_schema.processlist WHERE COMMAND IN ('Query', 'Execute')"
        " AND USER NOT IN ('system user', 'event_scheduler', 'rdsadmin') AND ID <> CONNECTION_ID() ORDER BY TIME DESC"
    )
    return tuple(_session(row) for row in rows(conn, statement))


def _own_elsewhere(conn: Connection[Cursor]) -> tuple[Session, ...]:
    """Sessions of this connection's user that are not ours: from another address, or of a program that says another name."""
    statement = (
        "SELECT p.ID, p.USER, p.HOST, p.TIME, COALESCE(a.ATTR_VALUE, p.COMMAND), a.ATTR_VALUE FROM information_schema.processlist AS p"
        " LEFT JOIN performance_schema.session_connect_attrs AS a ON a.PROCESSLIST_ID = p.ID AND a.ATTR_NAME = 'program_name'"
        " WHERE p.USER = SUBSTRING_INDEX(USER(), '@', 1) AND p.ID <> CONNECTION_ID()"
    )
    here = str(value(conn, "SELECT SUBSTRING_INDEX(USER(), '@', -1)"))
    return tuple(
        _session(row)
        for row in rows(conn, statement)
        if row[5] != PROGRAM_NAME and (row[5] is not None or _address(row[2]) != here)
    )


def _binlog_readers(conn: Connection[Cursor]) -> tuple[Session, ...]:
    statement = (
        "SELECT ID, USER, HOST, TIME, COMMAND FROM information_schema.processlist"
        " WHERE COMMAND IN ('Binlog Dump', 'Binlog Dump GTID')"
    )
    return tuple(_session(row) for row in rows(conn, statement))


def _session(row: tuple[Any, ...]) -> Session:
    return Session(int(row[0]), str(row[1]), str(row[2]), float(row[3] or 0), " ".join(str(row[4]).split())[:60])


def _renamed(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name.replace("Master", "Source").replace("Slave", "Replica"): held for name, held in row.items()}


def _address(origin: str) -> str:
    return origin.rpartition(":")[0] or origin
