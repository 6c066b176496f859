# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Canaries on MySQL."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

try:
    import pymysql
except ImportError:  # refused in connection.require_driver()
    pass

from .._core.canaries import Canary, Seen, unlike
from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError
from .._core.failures import AttemptFailed
from .connection import close, code, connect, execute, identifier, rows, sever, value
from .failures import failure

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

_UNKNOWN_VARIABLE = 1193
_OWN = "bluegreen_probe"  # the default of the option: a schema that is nobody else's
_HERE = "CONCAT(@@hostname, ' (', @@server_id, ')')"
_AURORA = "CONCAT(@@aurora_server_id, ' (', @@server_id, ')')"


class MySQLSession:
    """One connection."""

    def __init__(self, conn: Connection[Cursor], table: str) -> None:
        self._conn = conn
        self._write = f"INSERT INTO {table} (run, lane, number) VALUES (%s, %s, %s)"
        self._read = f"SELECT COALESCE(MAX(number), 0) FROM {table} WHERE run = %s AND lane = %s"
        link = getattr(conn, "_sock", None)
        name = link.getpeername() if link is not None else ""
        self.address = str(name[0]) if isinstance(name, tuple) else "local socket"
        self.server = _server(conn)

    def write(self, canary: Canary) -> str:
        """As :class:`Session` says."""
        with _told():
            execute(self._conn, self._write, (canary.run, canary.lane, canary.number))
        return self.server

    def read(self, run: str, lane: str) -> Seen:
        """As :class:`Session` says."""
        with _told():
            return Seen(self.server, int(value(self._conn, self._read, (run, lane))))

    def sever(self) -> None:
        """As :class:`Session` says."""
        sever(self._conn)

    def close(self) -> None:
        """As :class:`Session` says."""
        close(self._conn)


class MySQLCanaries:
    """The table of the canaries behind an endpoint; a schema is a database here."""

    def __init__(self, endpoint: Endpoint, schema: str, table: str) -> None:
        self._endpoint, self._schema, self._name = endpoint.at(""), schema, table
        self._table = identifier(schema, table)

    def open(self) -> MySQLSession:
        """As :class:`Canaries` says."""
        with _told():
            return MySQLSession(connect(self._endpoint), self._table)

    def exists(self) -> bool:
        """As :class:`Canaries` says."""
        with self._connected() as conn:
            found = value(
                conn,
                "SELECT 1 FROM information_schema.tables WHERE table_schema = %s AND table_name = %s",
                (self._schema, self._name),
            )
            return bool(found)

    def foreign(self) -> str:
        """As :class:`Canaries` says."""
        with self._connected() as conn:
            found = rows(
                conn,
                "SELECT column_name FROM information_schema.columns WHERE table_schema = %s AND table_name = %s"
                " ORDER BY ordinal_position",
                (self._schema, self._name),
            )
        return unlike(str(row[0]) for row in found)

    def privilege(self) -> str:
        """CONNECTION_ADMIN or SUPER, by which read_only does not count (MySQL manual, read_only)."""
        with self._connected() as conn:
            # without FOR it shows what the active roles give as well
            granted = " ".join(str(row[0]) for row in rows(conn, "SHOW GRANTS"))
        return next((name for name in ("CONNECTION_ADMIN", "SUPER") if re.search(rf"\b{name}\b", granted)), "")

    def obstacle(self) -> str:
        """Never one: the binary log carries the table to green."""
        return ""

    def statements(self, users: Sequence[str]) -> list[str]:
        """As :class:`Canaries` says."""
        # The time is a part of the key: a statement that is run twice leaves two rows, which shows, and no error.
        made = [
            f"CREATE DATABASE IF NOT EXISTS {identifier(self._schema)}",
            f"CREATE TABLE IF NOT EXISTS {self._table} (run VARCHAR(64) NOT NULL, lane VARCHAR(16) NOT NULL, "
            "number BIGINT NOT NULL, at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6), "
            "PRIMARY KEY (run, lane, number, at)) ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
        ]
        return made + [f"GRANT SELECT, INSERT, DELETE ON {self._table} TO {account(user)}" for user in users]

    def create(self, users: Sequence[str]) -> None:
        """As :class:`Canaries` says."""
        with self._connected() as conn:
            for statement in self.statements(users):
                execute(conn, statement)

    def written(self, run: str) -> Counter[tuple[str, int]]:
        """As :class:`Canaries` says."""
        statement = f"SELECT lane, number, COUNT(*) FROM {self._table} WHERE run = %s GROUP BY lane, number"
        with self._connected() as conn:
            return Counter({(str(lane), int(n)): int(count) for lane, n, count in rows(conn, statement, (run,))})

    def forget(self, run: str) -> bool:
        """As :class:`Canaries` says."""
        with self._connected() as conn:
            execute(conn, f"DELETE FROM {self._table} WHERE run = %s", (run,))
            return not value(conn, f"SELECT EXISTS (SELECT 1 FROM {self._table})")

    def drop(self) -> None:
        """As :class:`Canaries` says."""
        with self._connected() as conn:
            execute(conn, f"DROP TABLE IF EXISTS {self._table}")
            others = "SELECT 1 FROM information_schema.tables WHERE table_schema = %s LIMIT 1"
            if self._schema == _OWN and not value(conn, others, (self._schema,)):
                execute(conn, f"DROP DATABASE IF EXISTS {identifier(self._schema)}")

    @contextmanager
    def _connected(self) -> Iterator[Connection[Cursor]]:
        with _told():
            conn = connect(self._endpoint)
            try:
                yield conn
            finally:
                close(conn)


def account(user: str) -> str:
    """A user, or user@host, as GRANT wants it."""
    name, _at, host = user.rpartition("@") if "@" in user else (user, "", "%")
    return f"'{_escaped(name)}'@'{_escaped(host)}'"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "''")


def _server(conn: Connection[Cursor]) -> str:
    with _told():
        try:
            return str(value(conn, f"SELECT {_AURORA}"))
        except pymysql.MySQLError as error:
            if code(error) != _UNKNOWN_VARIABLE:
                raise
        return str(value(conn, f"SELECT {_HERE}"))


@contextmanager
def _told() -> Iterator[None]:
    """Whatever the driver raises is an attempt that failed."""
    try:
        yield
    except (pymysql.MySQLError, OSError, BlueGreenError) as error:
        raise AttemptFailed(failure(error)) from None
