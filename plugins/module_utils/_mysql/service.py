# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What only the service may do: through its procedures on RDS and Aurora, by plain statements on a server of one's own.

Names and arity of the procedures are read from the server, never assumed: they differ by product and version
(Aurora MySQL reference, "Stored procedures": replicating, configuring, ending). Some of them sleep for up to three seconds,
so none but :meth:`Service.set_read_only` is called inside the window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

try:
    import pymysql
except ImportError:  # refused in connection.require_driver()
    pass

from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError, words
from .connection import code, execute, rows, value
from .coordinates import Coordinates, channel
from .dialect import Dialect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

_SIGNAL = 1644  # the procedures' own refusals, and "threads not up in two seconds"
_NO_PRIVILEGE = (1142, 1227, 1370)


class Service(Protocol):
    """The rights over replication and read_only that a master user has; the connection is to the server concerned."""

    @property
    def sets_read_only(self) -> bool:
        """Whether :meth:`set_read_only` can work."""

    def set_source(
        self, source: Endpoint, user: str, password: str, at: Coordinates | None, *, encrypted: bool
    ) -> None:
        """Configure replication from ``source`` without starting it, from ``at`` or, without it, by GTID auto-position."""

    def start(self) -> None:
        """Start the configured replication."""

    def stop(self) -> None:
        """Stop it; it can be started again."""

    def reset(self) -> None:
        """Forget it; it is stopped."""

    def set_read_only(self, on: bool) -> None:
        """Refuse writes of clients without CONNECTION_ADMIN, or allow them again; not kept over a restart."""

    def retention(self) -> int | None:
        """Hours that the binary log is kept; None when the service purges it as soon as it can."""

    def set_retention(self, hours: int | None) -> None:
        """Keep the binary log for so many hours."""

    def kill(self, connection_id: int) -> None:
        """End a session; one that has ended already is fine."""


def service_of(conn: Connection[Cursor], dialect: Dialect) -> Service:
    """The service behind a server: RDS or Aurora when it has their procedures, else plain MySQL."""
    found = procedures(conn)
    return RdsService(conn, dialect, found) if "rds_start_replication" in found else PlainService(conn, dialect)


def procedures(conn: Connection[Cursor]) -> dict[str, int]:
    """The service's procedures in schema mysql by name, with the number of their arguments."""
    found = rows(
        conn,
        "SELECT r.routine_name, COUNT(p.ordinal_position) FROM information_schema.routines AS r"
        " LEFT JOIN information_schema.parameters AS p ON p.specific_schema = r.routine_schema"
        " AND p.specific_name = r.specific_name AND p.ordinal_position > 0"
        " WHERE r.routine_schema = 'mysql' AND r.routine_type = 'PROCEDURE' AND r.routine_name LIKE 'rds%%'"
        " GROUP BY r.routine_name",
        (),
    )
    return {str(name): int(count) for name, count in found}


class RdsService:
    """The procedures ``mysql.rds_*``."""

    def __init__(self, conn: Connection[Cursor], dialect: Dialect, found: Mapping[str, int]) -> None:
        self._conn, self._dialect, self._found = conn, dialect, found

    @property
    def sets_read_only(self) -> bool:
        return "rds_set_read_only" in self._found

    def set_source(
        self, source: Endpoint, user: str, password: str, at: Coordinates | None, *, encrypted: bool
    ) -> None:
        switch = "rds_set_binlog_source_ssl" in self._found
        given = int(encrypted and not switch)  # there it means certificates that were imported before
        if at is None:
            name = self._first(
                "rds_set_external_source_with_auto_position", "rds_set_external_master_with_auto_position"
            )
            extra = (0,) if self._found[name] == 6 else ()  # the delay
            self._call(name, source.host, source.port, user, password, given, *extra)
        else:
            name = self._first("rds_set_external_source", "rds_set_external_master")
            self._call(name, source.host, source.port, user, password, at.file, at.offset, given)
        if switch:
            self._call("rds_set_binlog_source_ssl", int(encrypted))

    def start(self) -> None:
        self._call("rds_start_replication")

    def stop(self) -> None:
        self._call("rds_stop_replication")

    def reset(self) -> None:
        self._call(self._first("rds_reset_external_source", "rds_reset_external_master"))

    def set_read_only(self, on: bool) -> None:
        self._call("rds_set_read_only", int(on))

    def retention(self) -> int | None:
        found = value(self._conn, "SELECT value FROM mysql.rds_configuration WHERE name = 'binlog retention hours'")
        return None if found is None else int(found)

    def set_retention(self, hours: int | None) -> None:
        self._call("rds_set_configuration", "binlog retention hours", hours)

    def kill(self, connection_id: int) -> None:
        _kill(self._conn, connection_id, "CALL mysql.rds_kill(%s)")

    def _first(self, *names: str) -> str:
        for name in names:
            if name in self._found:
                return name
        raise BlueGreenError(
            f"The server should have the procedure {' or '.join(f'mysql.{name}' for name in names)}, but has neither: "
            "upgrade the cluster to a version of Aurora MySQL that supports replication from another cluster."
        )

    def _call(self, name: str, *arguments: object) -> None:
        marks = ", ".join(["%s"] * len(arguments))
        try:
            execute(self._conn, f"CALL mysql.{name}({marks})", arguments)
        except pymysql.MySQLError as error:
            raise BlueGreenError(self._sentence(name, error)) from None

    def _sentence(self, name: str, error: BaseException) -> str:
        """What the procedure said, and what replication itself says when the procedure could only point there."""
        found = channel(self._conn, self._dialect) if code(error) == _SIGNAL else None
        reason = f"; replication says: {found.error}" if found and found.error else ""
        return f"mysql.{name} did not do its work: {words(error)}{reason}."


class PlainService:
    """Statements that need REPLICATION_SLAVE_ADMIN, SYSTEM_VARIABLES_ADMIN and CONNECTION_ADMIN."""

    def __init__(self, conn: Connection[Cursor], dialect: Dialect) -> None:
        self._conn, self._dialect = conn, dialect

    @property
    def sets_read_only(self) -> bool:
        return True

    def set_source(
        self, source: Endpoint, user: str, password: str, at: Coordinates | None, *, encrypted: bool
    ) -> None:
        word = self._dialect.name("source")
        options = {"HOST": source.host, "PORT": source.port, "USER": user, "PASSWORD": password, "SSL": int(encrypted)}
        if at is None:
            options["AUTO_POSITION"] = 1
        else:
            options |= {"AUTO_POSITION": 0, "LOG_FILE": at.file, "LOG_POS": at.offset}
        clauses = ", ".join(f"{word}_{name} = %s" for name in options)
        if not encrypted and self._dialect.version >= (8, 0, 23):
            clauses += ", GET_SOURCE_PUBLIC_KEY = 1"
        self._execute(f"{self._dialect.name('change_source')} {clauses}", *options.values())

    def start(self) -> None:
        self._execute(f"START {self._dialect.name('replica')}")

    def stop(self) -> None:
        self._execute(f"STOP {self._dialect.name('replica')}")

    def reset(self) -> None:
        self._execute(f"RESET {self._dialect.name('replica')} ALL")

    def set_read_only(self, on: bool) -> None:
        self._execute(f"SET GLOBAL read_only = {int(on)}")

    def retention(self) -> int | None:
        name = "binlog_expire_logs_seconds" if self._dialect.version >= (8, 0, 1) else "expire_logs_days"
        kept = int(value(self._conn, f"SELECT @@GLOBAL.{name}"))
        hours = kept // 3600 if name.endswith("seconds") else kept * 24
        return hours or 90 * 24  # 0 is for ever

    def set_retention(self, hours: int | None) -> None:
        if self._dialect.version >= (8, 0, 1):
            self._execute("SET GLOBAL binlog_expire_logs_seconds = %s", (hours or 24) * 3600)
        else:
            self._execute("SET GLOBAL expire_logs_days = %s", -(-(hours or 24) // 24))

    def kill(self, connection_id: int) -> None:
        _kill(self._conn, connection_id, "KILL %s")

    def _execute(self, statement: str, *arguments: object) -> None:
        try:
            execute(self._conn, statement, arguments)
        except pymysql.MySQLError as error:
            hint = "; give the user that right" if code(error) in _NO_PRIVILEGE else ""
            raise BlueGreenError(f"{' '.join(statement.split()[:3])} did not work: {words(error)}{hint}.") from None


def _kill(conn: Connection[Cursor], connection_id: int, statement: str) -> None:
    try:
        execute(conn, statement, (connection_id,))
    except pymysql.MySQLError as error:
        if code(error) != 1094:  # no such session
            raise
