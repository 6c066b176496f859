# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What passes from one side to the other while they are compared: markers, and a place where the replica is held."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

try:
    import pymysql
except ImportError:  # connection.require_driver() says so
    pass

from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError, WaitTimeout
from .._core.names import Names
from .._core.verification import Limit, gather
from .._core.waiting import Deadline, wait_until
from . import record
from .connection import code, execute, value
from .coordinates import Coordinates, channel, current
from .dialect import Dialect
from .verify_sessions import Session

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

_MARKER, _HOLD = "verify", "verify-hold"
_SLICE = 1  # s, then replication is looked at: a wait for GTIDs does not end when it does
_LOOK_EVERY = 0.001
_NO_MARKER = (1049, 1146)


@dataclass
class _Held:
    """The replica waits, or is about to, where nothing of the source's log after the marker is applied."""

    link: Link
    token: str = ""

    def mark(self) -> None:
        """Write to the source what the replica will stop at; quick, what the source has by then the replica will have."""
        self.token = self.link.write(_MARKER)
        self.link.write(_HOLD)

    def arrive(self, timeout: float) -> None:
        """Return when the replica has come there."""
        self.link.see(self.token, timeout)


@dataclass
class Link:
    """What passes from source to target through replication, one at a time."""

    source: Endpoint
    target: Endpoint
    names: Names
    limit: Limit
    marker_timeout: float
    _using: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._writer, self._seer, self._holder = (
            Session(side, self.limit) for side in (self.source, self.target, self.target)
        )

    def open(self) -> None:
        """Open every connection."""
        with ThreadPoolExecutor(3) as threads:
            gather([threads.submit(session.open) for session in (self._writer, self._seer, self._holder)])

    def close(self) -> None:
        """End the sessions."""
        for session in (self._writer, self._seer, self._holder):
            session.close()

    @property
    def writer(self) -> Session:
        """The session that writes markers; for whoever holds :meth:`alone`."""
        return self._writer

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else writes a marker meanwhile: a newer one would overwrite it before it was seen."""
        with self._using:
            yield

    def pass_marker(self) -> None:
        """Return when the target has applied everything that the source had when this was called."""
        with self._using:
            # a transaction is visible before it is in gtid_executed, but not after ours has ended
            self.write(_MARKER)
            source = self._writer.conn
            self._wait(current(source, Dialect.of(source)), commits_in_order(source), Deadline(self.marker_timeout))

    @contextmanager
    def hold(self) -> Iterator[_Held]:
        """Keep the replica from applying more than everything before a marker, for as long as the block lasts.

        It waits for a row of the marker table that a session of ours has locked, and as it commits in the source's order, so
        does everything behind that. Only one thread may be in here, see :meth:`alone`.
        """
        self.write(_HOLD)
        token = self.write(_MARKER)
        self.see(token, self.marker_timeout)
        execute(self._holder.conn, "START TRANSACTION")
        try:
            found = value(
                self._holder.conn,
                "SELECT token FROM bluegreen.marker WHERE deployment_id = %s AND purpose = %s FOR UPDATE",
                (self.names.deployment_id, _HOLD),
            )
            if found is None:
                raise BlueGreenError(f"The marker on {self.target.side} is gone: run it again.")
            yield _Held(self)
        finally:
            self._holder.end()

    def ordered(self) -> bool:
        """Whether the target commits in the order of the source's log, which :meth:`hold` needs."""
        conn = self._seer.conn
        dialect = Dialect.of(conn)
        workers, order = dialect.name("parallel_workers"), dialect.name("preserve_commit_order")
        found = value(
            conn, f"SELECT @@GLOBAL.{workers} <= 1 OR (@@GLOBAL.{order} = 1 AND @@GLOBAL.binlog_order_commits = 1)"
        )
        return bool(found)

    def write(self, purpose: str) -> str:
        """Write a new token to the source."""
        try:
            return record.write_marker(self._writer.conn, self.names.deployment_id, purpose)
        except pymysql.MySQLError as error:
            if code(error) not in _NO_MARKER:
                raise
            raise BlueGreenError(
                f"A marker should pass from {self.source.side} to {self.target.side}, but {self.source.side} has no table "
                "bluegreen.marker: prepare the replication with binlog_replication first."
            ) from None

    def see(self, token: str, timeout: float) -> None:
        """Return when the target has the token."""
        conn, deployment = self._seer.conn, self.names.deployment_id
        deadline = Deadline(timeout)
        while not deadline.passed:
            try:
                wait_until(
                    lambda: record.marker(conn, deployment, _MARKER),
                    lambda seen: seen == token,
                    timeout=min(_SLICE, deadline.left),
                    delay=_LOOK_EVERY,
                    wanted="the marker",
                )
            except WaitTimeout:
                self._look_at_replication(conn, Dialect.of(conn))
            else:
                return
        raise self._late(timeout)

    def _wait(self, at: Coordinates, in_order: bool, deadline: Deadline) -> None:
        conn = self._seer.conn
        dialect = Dialect.of(conn)
        gtid = self._look_at_replication(conn, dialect) and in_order
        while True:
            seconds = max(0.05, min(_SLICE, deadline.left))
            if gtid:
                answer = value(conn, "SELECT WAIT_FOR_EXECUTED_GTID_SET(%s, %s)", (at.gtid_executed, seconds))
                arrived = answer == 0
            else:
                # before 8.0 only whole seconds
                patience = seconds if dialect.major >= (8, 0) else 1
                answer = value(
                    conn, f"SELECT {dialect.name('position_wait')}(%s, %s, %s)", (at.file, at.offset, patience)
                )
                arrived = answer is not None and int(answer) >= 0
            if arrived:
                return
            self._look_at_replication(conn, dialect)
            if deadline.passed:
                raise self._late(deadline.seconds)

    def _look_at_replication(self, conn: Connection[Cursor], dialect: Dialect) -> bool:
        """Whether replication goes by GTIDs; raises :class:`BlueGreenError` when nothing is applied any more."""
        found = channel(conn, dialect)
        if found is None or not found.applier:
            reason = (found.error if found else None) or ("it is stopped" if found else "there is none")
            raise BlueGreenError(
                f"A marker should pass from {self.source.side} to {self.target.side}, but replication does not run: {reason}"
            )
        return found.auto_position and bool(value(conn, "SELECT @@GLOBAL.gtid_mode = 'ON'"))

    def _late(self, seconds: float) -> BlueGreenError:
        return BlueGreenError(
            f"A marker of {self.source.side} did not reach {self.target.side} within {seconds:g} s; replication is behind or "
            "stopped"
        )


def commits_in_order(conn: Connection[Cursor]) -> bool:
    """Whether transactions are visible, and in gtid_executed, in the order of the server's log."""
    return bool(value(conn, "SELECT @@GLOBAL.binlog_order_commits"))
