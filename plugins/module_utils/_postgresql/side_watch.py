# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Which sequences have moved since the preparation, found behind the fence in as little time as possible.

Each one is looked at, exactly: no value that was given out may be missed, whatever jump a ``setval`` made. What can be done
before is done before: the statements are planned, and know up to which value nothing has to be done, so that they return
only what is beyond it; the sessions that share the work are connected and have seen every sequence. When sequences were made, dropped or renamed
since, or when there was no preparation, all of them are read anew: slower, and as exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

try:
    import psycopg2
    from psycopg2 import sql
except ImportError:  # refused in connection.require_driver()
    pass

from .._core.endpoint import Endpoint
from .catalog import FIRST_USER_OID
from .connection import connect, execute, rows, value
from .side_sequences import Description, State, Tolerance, batches, describe, has_data_function, read, states

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

_SESSIONS = 4  # at most, per database
_SHARE = 1500  # sequences from which on one more session takes part
_BATCH = 200  # sequences in one statement: few round trips, and quick to plan

_FINGERPRINT = """
    SELECT sum(hashtextextended(c.oid || ' ' || quote_ident(n.nspname) || ' ' || c.relname, 0)::numeric)
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND c.oid >= %s
"""
# From version 18 on; no value: gone, or not to be read.
_BY_DATA = """
    SELECT o.oid, d.last_value, d.is_called
    FROM unnest({}::oid[], {}::bigint[], {}::bigint[], {}::bool[]) AS o (oid, first, last, is_called),
         LATERAL pg_catalog.pg_get_sequence_data(o.oid) AS d
    WHERE d.last_value BETWEEN o.first AND o.last IS NOT TRUE OR d.is_called IS DISTINCT FROM coalesce(o.is_called, d.is_called)
"""
# Before that for those that had given out a value when they were read last, most of them; no value: not so any more.
_BY_LAST_VALUE = """
    SELECT o.oid, l.last_value, true
    FROM unnest({}::oid[], {}::bigint[], {}::bigint[], {}::bool[]) AS o (oid, first, last, is_called),
         LATERAL (SELECT pg_catalog.pg_sequence_last_value(o.oid) OFFSET 0) AS l (last_value)
    WHERE l.last_value BETWEEN o.first AND o.last IS NOT TRUE
"""
# And for the others: twice the price. tableoid and no literal: a plan made anew after a rename may find another one.
_BY_SELECT = """
    SELECT tableoid, last_value, is_called FROM {}
    WHERE last_value NOT BETWEEN {} AND {} OR is_called <> coalesce({}, is_called)
"""

_Share = Sequence[tuple[int, Tolerance]]


@dataclass(frozen=True)
class Seen:
    """A look: how many sequences there are, and the states of those that moved too far, or of all when nothing is known."""

    total: int
    states: Mapping[int, State]
    described: Mapping[int, Description]
    fingerprint: Any


class Watch:
    """The sequences of one database and the sessions that look at them."""

    def __init__(self, conn: Connection, endpoint: Endpoint) -> None:
        self._conn, self._endpoint = conn, endpoint
        self._others: list[Connection] = []
        self._work: list[tuple[Connection, list[sql.Composable]]] = []
        self._planned_for = Seen(0, {}, {}, None)

    @property
    def connections(self) -> list[Connection]:
        """The sessions that share the work, beside the one that was given."""
        return self._others

    def read(self) -> Seen:
        """Read every sequence."""
        fingerprint = self._names()  # first: what is made or renamed meanwhile makes it another one
        described = {one.oid: one for one in describe(self._conn)}
        return Seen(len(described), read(self._conn, described.values()), described, fingerprint)

    def prepare(self, seen: Seen, tolerances: Mapping[int, Tolerance]) -> None:
        """Get ready for a look that returns only what is beyond its tolerance; every sequence of ``seen`` has one."""
        self._planned_for = seen
        while len(self._others) < min(_SESSIONS - 1, len(tolerances) // _SHARE):
            self._others.append(connect(self._endpoint))
        sessions = [self._conn, *self._others]
        work = [(how, batch) for how, share in self._ways(seen, tolerances).items() for batch in batches(share, _BATCH)]
        self._work = [(conn, self._plan(conn, work[first :: len(sessions)])) for first, conn in enumerate(sessions)]

    def look(self) -> Seen:
        """Look at every sequence behind the fence; meanwhile nothing else may use the connections."""
        if self._work:
            try:
                found = self._beyond()
            except psycopg2.ProgrammingError:  # one cannot be read as planned; the server says below if not at all
                found = None
            if found is not None:
                return replace(self._planned_for, states=found)
        return self.read()

    def _names(self) -> Any:
        return value(self._conn, _FINGERPRINT, (FIRST_USER_OID,))

    def _ways(self, seen: Seen, tolerances: Mapping[int, Tolerance]) -> dict[str, _Share]:
        """The sequences by the statement that is to look at them."""
        if has_data_function(self._conn):
            return {_BY_DATA: list(tolerances.items())}
        shares: dict[str, list[tuple[int, Tolerance]]] = {_BY_LAST_VALUE: [], _BY_SELECT: []}
        for oid, tolerance in tolerances.items():
            shares[_BY_LAST_VALUE if seen.states[oid].is_called else _BY_SELECT].append((oid, tolerance))
        return dict(shares)

    def _plan(self, conn: Connection, work: Sequence[tuple[str, _Share]]) -> list[sql.Composable]:
        """Prepare a statement for every batch and run it once, which plans it; returns what runs them."""
        execute(conn, "DEALLOCATE ALL")
        planned: list[sql.Composable] = []
        for number, (how, batch) in enumerate(work):
            name = sql.Identifier(f"sequences_{number}")
            execute(conn, sql.SQL("PREPARE {} AS {}").format(name, self._statement(how, batch)))
            planned.append(sql.SQL("EXECUTE {}").format(name))
            execute(conn, planned[-1])
        return planned

    def _statement(self, how: str, batch: _Share) -> sql.Composable:
        if how != _BY_SELECT:
            columns = zip(*((oid, *tolerance) for oid, tolerance in batch), strict=True)
            return sql.SQL(how).format(*(sql.Literal(list(column)) for column in columns))
        selects = [
            sql.SQL(how).format(sql.Identifier(*self._planned_for.described[oid].name), *map(sql.Literal, tolerance))
            for oid, tolerance in batch
        ]
        return sql.SQL(" UNION ALL ").join(selects)

    def _beyond(self) -> dict[int, State] | None:
        """The states beyond their tolerance; None when the sequences are not those that were planned for."""
        (_conn, mine), *others = self._work
        with ThreadPoolExecutor(len(self._work), thread_name_prefix="sequences") as pool:
            futures = [pool.submit(_run, conn, statements) for conn, statements in others]
            same = self._names() == self._planned_for.fingerprint
            found = _run(self._conn, mine) if same else []
            for future in futures:
                found.extend(future.result())
        if not same:
            return None
        hidden = [self._planned_for.described[oid] for oid, last_value, _is_called in found if last_value is None]
        return {**states(row for row in found if row[1] is not None), **read(self._conn, hidden)}


def _run(conn: Connection, statements: Iterable[sql.Composable]) -> list[tuple[Any, ...]]:
    return [row for statement in statements for row in rows(conn, statement)]
