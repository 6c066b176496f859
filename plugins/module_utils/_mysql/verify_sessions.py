# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The sessions of a verification: readers on each side, and what passes from one side to the other.

Everything that is read of one side for one table is of one snapshot, whoever of the sessions reads it. Without that a row that
moves within the table between two sessions is seen by neither, and a row that the other side lost would not be missed.
"""

from __future__ import annotations

import math
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

try:
    import pymysql
except ImportError:  # connection.require_driver() says so
    pass

from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError, words
from .._core.verification import Limit, gather
from .connection import close, connect, connected, execute, rows, sever, value
from .dialect import Dialect

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

T = TypeVar("T")

BEGIN = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"
_LEAST_PACKET = 1 << 20


def open_session(endpoint: Endpoint, lock_timeout: float = 5) -> Connection[Cursor]:
    """A connection whose texts are the same everywhere; it waits ``lock_timeout`` seconds for a table."""
    conn = connect(endpoint)
    text, packet = rows(conn, "SELECT VERSION(), @@max_allowed_packet")[0]
    version = Dialect.parse(str(text)).version
    settings: dict[str, int | str] = {
        "lock_wait_timeout": max(1, math.ceil(lock_timeout)),
        "max_execution_time": 0,
        "net_write_timeout": 3600,
        "sql_big_selects": 1,
        "group_concat_max_len": 1 << 20,
        "transaction_isolation" if version >= (5, 7, 20) else "tx_isolation": "'REPEATABLE-READ'",
    }
    if version >= (8, 0, 0):
        settings["information_schema_stats_expiry"] = 0
    if version >= (8, 0, 30):
        settings["show_gipk_in_create_table_and_information_schema"] = 1
    execute(conn, "SET SESSION " + ", ".join(f"{name} = {wanted}" for name, wanted in settings.items()))
    if int(packet) < _LEAST_PACKET:
        close(conn)
        raise BlueGreenError(
            f"max_allowed_packet on {endpoint.side} should be at least {_LEAST_PACKET} bytes, so that no row is cut: raise it."
        )
    return conn


class Session:
    """One connection, opened when it is needed, and again when it was lost."""

    def __init__(self, endpoint: Endpoint, limit: Limit, lock_timeout: float = 5) -> None:
        self.endpoint = endpoint
        self._limit, self._lock_timeout = limit, lock_timeout
        self._conn: Connection[Cursor] | None = None
        self.connection_id = 0
        self._began = False
        self._opening = threading.Lock()
        limit.watch(self)

    @property
    def conn(self) -> Connection[Cursor]:
        """The connection; raises :class:`BlueGreenError` when there is none, and when the time is over."""
        return self._use()

    def _use(self) -> Connection[Cursor]:
        self._limit.check()
        with self._opening:
            if self._conn is None or not self._conn.open:
                if self._began:  # another connection would see another moment
                    raise BlueGreenError(
                        f"a connection to {self.endpoint.side} was lost, and with it the moment that was read"
                    )
                self._conn = open_session(self.endpoint, self._lock_timeout)
                self.connection_id = int(value(self._conn, "SELECT CONNECTION_ID()"))
            return self._conn

    def open(self) -> None:
        """Open the connection."""
        self._use()

    def begin(self) -> None:
        """Take a snapshot."""
        execute(self.conn, BEGIN)
        self._began = True

    def end(self) -> None:
        """Give the snapshot up, if the connection is still there."""
        conn, self._began = self._conn, False
        if conn is not None and conn.open:
            try:
                execute(conn, "ROLLBACK")
            except (pymysql.MySQLError, OSError):
                close(conn)

    def check(self) -> None:
        """Close the connection when it is broken, so that whoever needs it next has another one."""
        conn = self._conn
        if conn is not None and conn.open:
            try:
                conn.ping(reconnect=False)
            except (pymysql.MySQLError, OSError):
                close(conn)

    def cancel(self) -> None:
        """End the connection, from whatever thread, and what it does on the server."""
        conn, self._conn = self._conn, None
        if conn is not None and conn.open:
            with suppress(BlueGreenError, pymysql.MySQLError, OSError), connected(self.endpoint) as other:
                execute(other, "KILL %s", (self.connection_id,))
            sever(conn)

    def close(self) -> None:
        """Close the connection."""
        close(self._conn)


class Readers:
    """Sessions on one side, each used by one thread at a time."""

    def __init__(self, endpoint: Endpoint, size: int, lock_timeout: float, limit: Limit) -> None:
        self.sessions = [Session(endpoint, limit, lock_timeout) for _number in range(size)]
        self._idle: queue.SimpleQueue[Session] = queue.SimpleQueue()
        self._threads = ThreadPoolExecutor(size, f"verify-{endpoint.side}")
        self.use(size)

    def use(self, count: int) -> None:
        """Let only the first ``count`` sessions look; nothing is looked at meanwhile."""
        while not self._idle.empty():
            self._idle.get_nowait()
        for session in self.sessions[:count]:
            self._idle.put(session)

    def look(self, what: Callable[[Connection[Cursor]], T]) -> Future[T]:
        """Let one of the sessions look."""
        return self._threads.submit(self._look, what)

    def each(self, what: Callable[[Session], T], count: int | None = None) -> list[Future[T]]:
        """Do something with the first ``count`` sessions, all at the same time; nothing is looked at meanwhile."""
        return [self._threads.submit(what, session) for session in self.sessions[:count]]

    def close(self) -> None:
        """End the sessions."""
        self._threads.shutdown(cancel_futures=True)
        for session in self.sessions:
            session.close()

    def _look(self, what: Callable[[Connection[Cursor]], T]) -> T:
        session = self._idle.get()
        try:
            return what(session.conn)
        except (pymysql.MySQLError, OSError):
            session.check()
            raise
        finally:
            self._idle.put(session)


@dataclass
class Crew:
    """What compares tables: readers on both sides, and one more session that finds the chunks of a large table."""

    source: Readers
    target: Readers
    scout: Readers | None = None

    def open(self) -> list[Future[None]]:
        """Open every connection in the background; what cannot be opened fails where it is needed."""
        made = [readers for readers in (self.source, self.target, self.scout) if readers is not None]
        return [opening for readers in made for opening in readers.each(Session.open)]

    def both(self, what: Callable[[Connection[Cursor]], T]) -> tuple[T, T]:
        """The same look at source and target, at the same time."""
        here, there = gather([self.source.look(what), self.target.look(what)])
        return here, there

    def end(self) -> None:
        """Give up the snapshots of both sides."""
        gather([*self.source.each(Session.end), *self.target.each(Session.end)])
        for readers in (self.source, self.target):
            readers.use(len(readers.sessions))

    def close(self) -> None:
        """End the sessions."""
        for readers in (self.source, self.target, self.scout):
            if readers is not None:
                readers.close()


def problem(error: BaseException, limit: Limit) -> str:
    """What went wrong, in words; that the time is over when that was the reason."""
    try:
        limit.check()
    except BlueGreenError as over:
        return over.message
    return error.message if isinstance(error, BlueGreenError) else words(error)
