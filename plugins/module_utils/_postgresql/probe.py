# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Canaries on PostgreSQL."""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

try:
    import psycopg2
    from psycopg2 import sql
except ImportError:  # refused in connection.require_driver()
    pass

from .._core.canaries import Canary, Seen, unlike
from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError
from .._core.failures import AttemptFailed
from .connection import connect, execute, rows, value
from .failures import failure

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

# A pooler may lead every statement to another server: each answer says which it was.
_HERE = "coalesce(host(inet_server_addr()), 'local socket')"
_OWN = "bluegreen_probe"  # the default of the option: a schema that is nobody else's
_LOGICAL_SLOTS = (
    "SELECT count(*) FROM pg_replication_slots WHERE slot_type = 'logical' AND database = current_database()"
)


class PostgreSQLSession:
    """One connection, without the settings that let our other work see through a fence."""

    def __init__(self, conn: Connection, table: sql.Composable) -> None:
        self._conn = conn
        self._link = socket.socket(fileno=os.dup(conn.fileno()))
        here = sql.SQL(_HERE)
        self._write = sql.SQL("INSERT INTO {} (run, lane, number) VALUES (%s, %s, %s) RETURNING {}").format(table, here)
        self._read = sql.SQL("SELECT {}, coalesce(max(number), 0) FROM {} WHERE run = %s AND lane = %s").format(
            here, table
        )
        self.address = _peer(self._link)
        self.server = ""

    def write(self, canary: Canary) -> str:
        """As :class:`Session` says."""
        with _told():
            self.server = str(value(self._conn, self._write, (canary.run, canary.lane, canary.number)))
        return self.server

    def read(self, run: str, lane: str) -> Seen:
        """As :class:`Session` says."""
        with _told():
            self.server, highest = rows(self._conn, self._read, (run, lane))[0]
        return Seen(self.server, int(highest))

    def sever(self) -> None:
        """As :class:`Session` says."""
        with suppress(OSError):
            self._link.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """As :class:`Session` says."""
        self._link.close()
        with suppress(psycopg2.Error):
            self._conn.close()


class PostgreSQLCanaries:
    """The table of the canaries behind an endpoint."""

    def __init__(self, endpoint: Endpoint, schema: str, table: str) -> None:
        self._endpoint, self._schema_name = endpoint, schema
        self._schema = sql.Identifier(schema)
        self._table = sql.Identifier(schema, table)

    def open(self) -> PostgreSQLSession:
        """As :class:`Canaries` says."""
        with _told():
            return PostgreSQLSession(connect(self._endpoint, fenced=True), self._table)

    def exists(self) -> bool:
        """As :class:`Canaries` says."""
        with self._connected() as conn:
            return bool(value(conn, "SELECT to_regclass(%s)", (self._table.as_string(conn),)))

    def foreign(self) -> str:
        """As :class:`Canaries` says."""
        with self._connected() as conn:
            found = rows(
                conn,
                "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
                (self._table.as_string(conn),),
            )
        return unlike(str(row[0]) for row in found)

    def privilege(self) -> str:
        """None: who sees through a fence asks for it, and the sessions here do not."""
        return ""

    def obstacle(self) -> str:
        """A table that is made now would not be on the other side of a logical replication, which has no DDL."""
        with self._connected() as conn:
            slots = int(value(conn, _LOGICAL_SLOTS))
            if not slots:
                return ""
            database = value(conn, "SELECT current_database()")
        return (
            f"the database {database} has {slots} logical replication slots, and a table that is made now would be on one side only, "
            "which breaks the replication or degrades a managed deployment"
        )

    def statements(self, users: Sequence[str]) -> list[str]:
        """As :class:`Canaries` says."""
        with self._connected() as conn:
            return [statement.as_string(conn) for statement in self._statements(users)]

    def create(self, users: Sequence[str]) -> None:
        """As :class:`Canaries` says."""
        with self._connected() as conn:
            for statement in self._statements(users):
                execute(conn, statement)

    def written(self, run: str) -> Counter[tuple[str, int]]:
        """As :class:`Canaries` says."""
        statement = sql.SQL("SELECT lane, number, count(*) FROM {} WHERE run = %s GROUP BY lane, number").format(
            self._table
        )
        with self._connected() as conn:
            return Counter({(str(lane), int(n)): int(count) for lane, n, count in rows(conn, statement, (run,))})

    def forget(self, run: str) -> bool:
        """As :class:`Canaries` says."""
        with self._connected() as conn:
            execute(conn, sql.SQL("DELETE FROM {} WHERE run = %s").format(self._table), (run,))
            return not value(conn, sql.SQL("SELECT EXISTS (SELECT FROM {})").format(self._table))

    def drop(self) -> None:
        """As :class:`Canaries` says."""
        with self._connected() as conn:
            execute(conn, sql.SQL("DROP TABLE IF EXISTS {}").format(self._table))
            others = "SELECT 1 FROM pg_class WHERE relnamespace = to_regnamespace(%s) LIMIT 1"
            if self._schema_name == _OWN and not value(conn, others, (_OWN,)):
                execute(conn, sql.SQL("DROP SCHEMA IF EXISTS {}").format(self._schema))

    def _statements(self, users: Sequence[str]) -> list[sql.Composed]:
        # The time is a part of the key: a statement that is run twice leaves two rows, which shows, and no error.
        made = [
            sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(self._schema),
            sql.SQL(
                "CREATE TABLE IF NOT EXISTS {} (run text NOT NULL, lane text NOT NULL, number bigint NOT NULL, "
                "at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (run, lane, number, at))"
            ).format(self._table),
        ]
        for user in users:
            role = sql.Identifier(user)
            made += [
                sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(self._schema, role),
                sql.SQL("GRANT SELECT, INSERT, DELETE ON {} TO {}").format(self._table, role),
            ]
        return made

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        with _told():
            conn = connect(self._endpoint, fenced=True)
            try:
                yield conn
            finally:
                conn.close()


@contextmanager
def _told() -> Iterator[None]:
    """Whatever the driver raises is an attempt that failed."""
    try:
        yield
    except (psycopg2.Error, OSError, BlueGreenError) as error:
        raise AttemptFailed(failure(error)) from None


def _peer(link: socket.socket) -> str:
    name: Any = link.getpeername()
    return str(name[0]) if isinstance(name, tuple) else "local socket"
