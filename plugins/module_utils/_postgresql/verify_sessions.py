# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The sessions of a verification: readers on each side, two moments that belong together, and an end to it all.

Everything that is read of one side for one table is of one snapshot, whoever of the sessions reads it. Without that a row that
moves within the table between two sessions is seen by neither, and a row that the other side lost would not be missed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

try:
    import psycopg2
    from psycopg2 import sql
except ImportError:  # connection.require_driver() says so
    pass

from .._core.endpoint import Endpoint
from .._core.names import Names
from .._core.verification import Limit, gather
from . import marker
from .catalog import TableName
from .connection import connect, execute, value
from .verify_table import open_session

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

T = TypeVar("T")

_MARKER_USE = "verify"
_BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


class Session:
    """One connection, opened when it is needed, and again when it was lost."""

    def __init__(self, make: Callable[[], Connection], limit: Limit) -> None:
        self._make, self._limit = make, limit
        self._conn: Connection | None = None
        self._opening = threading.Lock()
        limit.watch(self)

    @property
    def conn(self) -> Connection:
        """The connection; raises :class:`BlueGreenError` when there is none, and when the time is over."""
        self._limit.check()
        with self._opening:
            if self._conn is None or self._conn.closed:
                self._conn = self._make()
            return self._conn

    def cancel(self) -> None:
        """End the statement that runs."""
        conn = self._conn
        if conn is not None and not conn.closed:
            try:
                conn.cancel()
            except psycopg2.Error:
                pass  # it ended meanwhile

    def close(self) -> None:
        """Close the connection."""
        if self._conn is not None:
            self._conn.close()


class Readers:
    """``size`` sessions on one side, each with a thread of its own."""

    def __init__(self, endpoint: Endpoint, size: int, lock_timeout: float, limit: Limit) -> None:
        self._endpoint, self._lock_timeout, self._limit = endpoint, lock_timeout, limit
        self._local = threading.local()
        self._sessions: list[Session] = []
        self._threads = ThreadPoolExecutor(size, f"verify-{endpoint.side}")
        for _session in range(size):
            self.look(lambda conn: None)  # opened before they are needed

    def look(self, what: Callable[[Connection], T], snapshot: str | None = None) -> Future[T]:
        """Let one of the sessions look, at ``snapshot`` when there is one."""
        return self._threads.submit(self._look, what, snapshot)

    def close(self) -> None:
        """End the sessions."""
        self._threads.shutdown(cancel_futures=True)
        for session in self._sessions:
            session.close()

    def _look(self, what: Callable[[Connection], T], snapshot: str | None) -> T:
        session: Session | None = getattr(self._local, "session", None)
        if session is None:
            session = Session(lambda: open_session(self._endpoint, self._lock_timeout), self._limit)
            self._local.session = session
            self._sessions.append(session)
        if snapshot is None:
            return what(session.conn)
        with at_snapshot(session.conn, snapshot) as conn:
            return what(conn)


@dataclass(frozen=True)
class Moment:
    """A snapshot on each side: the target's holds everything that the source's does."""

    source: str | None = None
    target: str | None = None


class Pair:
    """Both sides of one database: the readers that all tables share, and the markers, one at a time."""

    def __init__(
        self,
        source: Endpoint,
        target: Endpoint,
        names: Names,
        *,
        size: int,
        marker_timeout: float,
        lock_timeout: float,
        limit: Limit,
    ) -> None:
        self.database, self.limit, self.size = source.database, limit, size
        self._source, self._target, self._lock_timeout = source, target, lock_timeout
        self._names, self._marker_timeout, self._marked = names, marker_timeout, threading.Lock()
        self.source = Readers(source, size, lock_timeout, limit)
        self.target = Readers(target, size, lock_timeout, limit)
        self._writer = Session(lambda: connect(source), limit)
        self._seer = Session(lambda: connect(target), limit)
        self._idle: list[tuple[Session, Session]] = []
        self._made: list[Session] = [self._writer, self._seer]
        self._openers = ThreadPoolExecutor(4, "verify-open")

    def open(self) -> None:
        """Open in the background what a large table needs; what cannot be opened fails where it is needed."""
        with self.own() as sessions:
            for session in (self._writer, self._seer, *sessions):
                self._openers.submit(getattr, session, "conn")

    def close(self) -> None:
        """End the sessions."""
        self._openers.shutdown()
        for readers in (self.source, self.target):
            readers.close()
        for session in self._made:
            session.close()

    @contextmanager
    def own(self) -> Iterator[tuple[Session, Session]]:
        """A session on the source and one on the target that nobody else uses meanwhile."""
        try:
            sessions = self._idle.pop()
        except IndexError:
            sessions = (self._session(self._source), self._session(self._target))
        try:
            yield sessions
        finally:
            self._idle.append(sessions)

    def both(self, what: Callable[[Connection], T]) -> tuple[T, T]:
        """The same look at source and target, at the same time."""
        here, there = gather([self.source.look(what), self.target.look(what)])
        return here, there

    def pass_marker(self, timeout: float | None = None) -> None:
        """Return when the target has everything that the source had when this was called."""
        with self._marked:  # one token at a time: a newer one would overwrite it before it was seen
            marker.pass_through(
                {self.database: self._writer.conn},
                {self.database: self._seer.conn},
                self._names,
                self._marker_timeout if timeout is None else timeout,
                _MARKER_USE,
            )

    def _session(self, endpoint: Endpoint) -> Session:
        session = Session(lambda: open_session(endpoint, self._lock_timeout), self.limit)
        self._made.append(session)
        return session


@contextmanager
def moment(pair: Pair, here: Session, there: Session, table: TableName) -> Iterator[Moment]:
    """Two snapshots with a marker between them, for as long as the block lasts; no lock that a writer waits for."""
    with snapshot(here.conn, [table]) as source:
        found = source()
        pair.pass_marker()
        with snapshot(there.conn, [table]) as target:
            yield Moment(found, target())


@contextmanager
def snapshot(conn: Connection, tables: Sequence[TableName]) -> Iterator[Callable[[], str]]:
    """A transaction that keeps ``tables`` from being rewritten; what it yields takes its snapshot and returns the name.

    A table that is truncated or rewritten meanwhile would be empty for a snapshot that is older (PostgreSQL manual, 13.6).
    """
    execute(conn, _BEGIN)
    try:
        lock(conn, tables, "ACCESS SHARE")
        yield lambda: str(value(conn, "SELECT pg_catalog.pg_export_snapshot()"))
    finally:
        rollback(conn)


@contextmanager
def at_snapshot(conn: Connection, name: str) -> Iterator[Connection]:
    """A transaction that sees what the snapshot ``name`` saw."""
    execute(conn, _BEGIN)
    try:
        execute(conn, "SET TRANSACTION SNAPSHOT %s", (name,))
        yield conn
    finally:
        rollback(conn)


def lock(conn: Connection, tables: Sequence[TableName], mode: str) -> None:
    """Lock tables in the order given, without their children."""
    if tables:
        listed = sql.SQL(", ").join(sql.SQL("ONLY {}").format(sql.Identifier(*table)) for table in tables)
        execute(conn, sql.SQL("LOCK TABLE {} IN {} MODE").format(listed, sql.SQL(mode)))


def rollback(conn: Connection) -> None:
    """End a transaction, if the connection is still there."""
    if not conn.closed:
        try:
            execute(conn, "ROLLBACK")
        except psycopg2.Error:
            conn.close()
