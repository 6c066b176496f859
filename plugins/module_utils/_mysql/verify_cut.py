# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Both sides at one moment: the writers of the source wait for some milliseconds, and everything is read at leisure afterwards.

READ locks on all tables of the source, a snapshot, a marker that the replica is held at, release; then a snapshot of the
replica once it has come there. So writers never wait for the replica. Every table is locked by a session of its own, which
waits for nothing else: the server would end the application's transaction, not ours, to break a circle of waits.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass

try:
    import pymysql
except ImportError:  # connection.require_driver() says so
    pass

from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError, words
from .._core.verification import Limit, gather
from .connection import code, execute, identifier, rows
from .verify_link import Link
from .verify_sessions import Crew, Session
from .verify_table import TableName

ATTEMPTS = 10
MOST_LOCKERS = 64
_PAUSE = (0.1, 0.4)  # seconds between two attempts, so that writers get through
_MARGIN = 30  # seconds; ours is the end of a wait for a lock, not the server's
_INTERRUPTED = (1205, 1317)
_REFUSED = (1044, 1142, 1227)


@dataclass
class Stall:
    """The longest time in seconds that writers may have waited for us."""

    seconds: float = 0.0


class Lockers:
    """One session for every table, up to :data:`MOST_LOCKERS`; the last one takes what is left."""

    def __init__(self, source: Endpoint, tables: Sequence[TableName], lock_timeout: float, limit: Limit) -> None:
        alone, rest = tables[: MOST_LOCKERS - 1], tables[MOST_LOCKERS - 1 :]
        shares = [[table] for table in alone] + ([list(rest)] if rest else [])
        self._source = source
        self._shares = [(Session(source, limit, lock_timeout + _MARGIN), share) for share in shares]
        self._killer = Session(source, limit)
        self._threads = ThreadPoolExecutor(max(1, len(shares)), "verify-lock")
        every = [self._killer, *(session for session, _share in self._shares)]
        gather([self._threads.submit(session.open) for session in every])

    def close(self) -> None:
        """End the sessions, and with them the locks."""
        self._threads.shutdown(cancel_futures=True)
        for session in (self._killer, *(session for session, _share in self._shares)):
            session.close()

    @contextmanager
    def locked(self, seconds: float, stall: Stall) -> Iterator[str | None]:
        """Keep every writer of the tables waiting during the block.

        Yields the table that could not be locked within ``seconds``, None when all are.
        """
        began = time.monotonic()
        futures = {self._threads.submit(_lock, session, share): (session, share) for session, share in self._shares}
        obstacle: str | None = None
        try:
            _done, late = wait(futures, seconds)
            for future in late:
                obstacle = ".".join(futures[future][1][0])
                execute(self._killer.conn, "KILL QUERY %s", (futures[future][0].connection_id,))
            try:
                gather(futures)
            except pymysql.MySQLError as error:
                if code(error) not in _INTERRUPTED:
                    raise self._refused(error) from None
                obstacle = obstacle or "a table"
            yield obstacle
        finally:
            wait(futures)
            wait([self._threads.submit(_unlock, session) for session, _share in self._shares])
            stall.seconds = max(stall.seconds, time.monotonic() - began)

    def who(self, table: str) -> str:
        """Who probably holds ``table``, in words."""
        found = rows(
            self._killer.conn,
            "SELECT trx_mysql_thread_id, TIMESTAMPDIFF(SECOND, trx_started, NOW()) FROM information_schema.innodb_trx"
            " WHERE trx_mysql_thread_id <> CONNECTION_ID() ORDER BY trx_started LIMIT 1",
        )
        if not found:
            return f"{table} was in use by writers"
        return f"{table} is in use; the oldest transaction is that of session {found[0][0]}, for {found[0][1]} s now"

    def _refused(self, error: BaseException) -> BaseException:
        if code(error) not in _REFUSED:
            return error
        return BlueGreenError(
            f"The tables on {self._source.side} have to be locked for method cut, but {words(error)}: give the user the "
            "privilege LOCK TABLES, or use method live."
        )


@contextmanager
def cut(crew: Crew, link: Link, tables: Sequence[TableName], lock_timeout: float, stall: Stall) -> Iterator[None]:
    """Snapshots of all readers of both sides at one moment, for as long as the block lasts.

    Writers wait at most about ``lock_timeout`` seconds: less in the first attempts, because a transaction that waits for a
    table that is locked already, and holds another one, does not end until we give way. Raises :class:`BlueGreenError` when the
    locks cannot be had; nobody waits any more then.
    """
    source, target = link.source, link.target
    link.open()
    gather(crew.open())
    if not link.ordered():
        raise BlueGreenError(
            f"For method cut {target.side} has to commit in the order of {source.side}'s log, but replica_parallel_workers is "
            "above 1 and replica_preserve_commit_order or binlog_order_commits is off there: set it to ON, or use method live."
        )
    with closing(Lockers(source, tables, lock_timeout, link.limit)) as lockers, link.alone():
        for attempt in range(1, ATTEMPTS + 1):
            try:
                obstacle = _take(crew, link, lockers, lock_timeout * attempt / ATTEMPTS, stall)
                if obstacle is None:
                    yield
                    return
            finally:
                crew.end()
            if attempt < ATTEMPTS:
                time.sleep(random.uniform(*_PAUSE))  # noqa: S311  no secret
    raise BlueGreenError(
        f"The writers of {source.side} should wait for at most {lock_timeout:g} s, so that both sides can be read at one "
        f"moment, but in {ATTEMPTS} attempts that was not enough: {obstacle}. Nobody waits any more: run it again later, "
        "raise lock_timeout, or use method live."
    )


def _take(crew: Crew, link: Link, lockers: Lockers, seconds: float, stall: Stall) -> str | None:
    """Snapshots of both sides at one moment, or what was in the way."""
    with link.hold() as held:
        with lockers.locked(seconds, stall) as obstacle, ThreadPoolExecutor(1) as marker:
            if obstacle is None:
                gather([marker.submit(held.mark), *crew.source.each(Session.begin)])
        if obstacle is not None:
            return lockers.who(obstacle)
        held.arrive(link.marker_timeout)
        gather(crew.target.each(Session.begin))
    return None


def _lock(session: Session, tables: Sequence[TableName]) -> None:
    execute(session.conn, "LOCK TABLES " + ", ".join(f"{identifier(*table)} READ" for table in tables))


def _unlock(session: Session) -> None:
    with suppress(BlueGreenError, pymysql.MySQLError):
        execute(session.conn, "UNLOCK TABLES")
