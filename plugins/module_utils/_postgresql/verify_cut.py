# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Both sides at one moment: the writers of the source wait for some milliseconds, and everything is read at leisure afterwards.

SHARE locks on all tables, a marker, the token on the target, a snapshot on each side, release. A lock is given up before the
server looks for a deadlock, and with it all others, so that no application ever loses a transaction to it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

try:
    import psycopg2
    from psycopg2 import errors
except ImportError:  # connection.require_driver() says so
    pass

from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError, WaitTimeout, words
from .catalog import TableName
from .connection import connected, execute, rows, value
from .verify_sessions import Moment, Pair, lock, rollback, snapshot

ATTEMPTS = 10
_PAUSE = (0.1, 0.4)  # seconds between two attempts, so that writers get through
_OF_DEADLOCK_TIMEOUT = 0.5


@dataclass
class Stall:
    """The longest time in seconds that writers may have waited for us."""

    seconds: float = 0.0


@contextmanager
def cut(
    pair: Pair, source: Endpoint, tables: Sequence[TableName], lock_timeout: float, stall: Stall
) -> Iterator[Moment]:
    """Snapshots of both sides at one moment, for as long as the block lasts.

    Writers wait at most ``lock_timeout`` seconds, each time that it is tried. Raises :class:`BlueGreenError` when the locks
    cannot be had; nobody waits any more then.
    """
    ordered = sorted(tables)
    with pair.own() as (here, there):
        for attempt in range(1, ATTEMPTS + 1):
            pair.pass_marker()  # the target follows closely, otherwise the writers would wait for that
            with ExitStack() as held:
                take_source = held.enter_context(snapshot(here.conn, ordered))
                take_target = held.enter_context(snapshot(there.conn, ordered))
                obstacle: str | None = None
                found = Moment()
                try:
                    with _stalled(source, ordered, lock_timeout, stall) as left:
                        pair.pass_marker(left())
                        found = Moment(take_source(), take_target())
                except (errors.LockNotAvailable, errors.QueryCanceled):
                    obstacle = _obstacle(source, ordered)
                except WaitTimeout:
                    obstacle = "the marker did not arrive in that time"
                if obstacle is None:
                    yield found
                    return
            if attempt < ATTEMPTS:
                time.sleep(random.uniform(*_PAUSE))  # noqa: S311  no secret
        raise BlueGreenError(
            f"The writers of database {pair.database} on {source.side} should wait for at most {lock_timeout:g} s, so that "
            f"both sides can be read at one moment, but in {ATTEMPTS} attempts that was not enough: {obstacle}. Nobody waits "
            "any more: run it again later, raise lock_timeout, or use method live."
        )


@contextmanager
def _stalled(
    source: Endpoint, tables: Sequence[TableName], seconds: float, stall: Stall
) -> Iterator[Callable[[], float]]:
    """Keep every writer of ``tables`` waiting during the block; what it yields tells the seconds that are left."""
    with connected(source) as conn:
        patience = int(value(conn, "SELECT setting::int FROM pg_catalog.pg_settings WHERE name = 'deadlock_timeout'"))
        each = max(1, min(round(seconds * 1000), round(patience * _OF_DEADLOCK_TIMEOUT)))
        execute(conn, "BEGIN")
        execute(conn, f"SET LOCAL lock_timeout = {each}")
        execute(conn, f"SET LOCAL statement_timeout = {max(1, round(seconds * 1000))}")
        began = time.monotonic()
        try:
            lock(conn, tables, "SHARE")
            yield lambda: max(0.0, seconds - (time.monotonic() - began))
        except errors.InsufficientPrivilege as refused:
            raise BlueGreenError(
                f"The tables of database {source.database} on {source.side} have to be locked for method cut, but "
                f"{words(refused)}: give the user the rights of their owner, or use method live."
            ) from None
        finally:
            rollback(conn)
            stall.seconds = max(stall.seconds, time.monotonic() - began)


def _obstacle(source: Endpoint, tables: Sequence[TableName]) -> str:
    """Who holds locks on ``tables`` that writers have, in words."""
    try:
        with connected(source) as conn:
            found = rows(
                conn,
                """
                SELECT n.nspname || '.' || c.relname, coalesce(a.backend_type, 'prepared transaction'), l.pid,
                       coalesce(a.application_name, ''), coalesce(extract(epoch FROM now() - a.xact_start), 0)::float8
                  FROM pg_catalog.pg_locks l
                  JOIN pg_catalog.pg_class c ON c.oid = l.relation
                  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                  LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
                 WHERE l.granted AND l.mode NOT IN ('AccessShareLock', 'RowShareLock', 'ShareLock')
                   AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
                   AND (n.nspname, c.relname) IN (SELECT * FROM unnest(%s::text[], %s::text[]))
                 ORDER BY 5 DESC LIMIT 1
                """,
                ([schema for schema, _name in tables], [name for _schema, name in tables]),
            )
    except (BlueGreenError, psycopg2.Error):
        found = []
    if not found:
        return "a table was in use by writers"
    table, kind, pid, application, seconds = found[0]
    by = f"{kind} {pid}" if pid else kind
    return f"{table} is in use by {by}{f' ({application})' if application else ''}, for {seconds:.0f} s now"
