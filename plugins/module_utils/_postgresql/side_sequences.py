# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Sequences, which logical replication does not carry: ahead of the window with a margin, inside it only what changed.

``pg_sequences`` is quick, but hides the value of a sequence whose ``is_called`` is false (PostgreSQL manual, 52.21), so those
are read one by one; one statement over thousands of them plans for seconds, batches of 50 do not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

try:
    from psycopg2 import sql
except ImportError:  # refused in connection.require_driver()
    pass

from .connection import rows

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

_BATCH = 50
_ALL = """
    SELECT schemaname, sequencename, last_value, increment_by, min_value, max_value, cycle
    FROM pg_catalog.pg_sequences WHERE schemaname NOT LIKE 'pg\\_%' AND schemaname <> 'information_schema'
"""


@dataclass(frozen=True)
class Name:
    """A sequence's schema and name."""

    schema: str
    name: str


@dataclass(frozen=True)
class State:
    """What setval() takes: the last value and whether nextval() has given it out."""

    last_value: int
    is_called: bool


@dataclass(frozen=True)
class Shape:
    """How a sequence moves."""

    increment: int
    minimum: int
    maximum: int
    cycle: bool


def glance(conn: Connection) -> dict[Name, int | None]:
    """Every sequence with the last value given out, None where the view hides it."""
    return {Name(schema, name): last for schema, name, last, *_shape in rows(conn, _ALL)}


def read(conn: Connection, names: Iterable[Name]) -> dict[Name, State]:
    """The exact state of the sequences ``names``."""
    states: dict[Name, State] = {}
    for batch in _batches(names):
        parts = [
            sql.SQL("SELECT {}, {}, last_value, is_called FROM {}").format(
                sql.Literal(one.schema), sql.Literal(one.name), sql.Identifier(one.schema, one.name)
            )
            for one in batch
        ]
        for schema, name, last_value, is_called in rows(conn, sql.SQL(" UNION ALL ").join(parts)):
            states[Name(schema, name)] = State(last_value, is_called)
    return states


def write(conn: Connection, states: Mapping[Name, State]) -> None:
    """Set the sequences to ``states``, in one statement."""
    if not states:
        return
    rows(
        conn,
        "SELECT pg_catalog.setval(format('%%I.%%I', x.s, x.n)::regclass, x.v, x.c) "
        "FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::bool[]) AS x (s, n, v, c)",
        [
            [one.schema for one in states],
            [one.name for one in states],
            [state.last_value for state in states.values()],
            [state.is_called for state in states.values()],
        ],
    )


def shapes(conn: Connection) -> dict[Name, Shape]:
    """How every sequence moves."""
    return {Name(schema, name): Shape(*shape) for schema, name, _last, *shape in rows(conn, _ALL)}


def ahead(state: State, shape: Shape, margin: int) -> State:
    """``state`` moved on by ``margin`` values, never beyond the sequence's own bounds; one that cycles stays."""
    if shape.cycle or margin <= 0:
        return state
    moved = state.last_value + margin * shape.increment
    bounded = min(moved, shape.maximum) if shape.increment > 0 else max(moved, shape.minimum)
    return State(bounded, True)


def changed(before: Mapping[Name, int | None], now: Mapping[Name, int | None]) -> list[Name]:
    """The sequences to read again: those that moved, are new, or hide their value."""
    return [name for name, last in now.items() if last is None or before.get(name) != last]


def behind(source: State, target: State, shape: Shape) -> bool:
    """Whether ``target`` could give out a value again that ``source`` has given out, or a cycle has moved on."""
    if shape.cycle:
        return source != target
    if shape.increment > 0:
        return (source.last_value, source.is_called) > (target.last_value, target.is_called)
    return (-source.last_value, source.is_called) > (-target.last_value, target.is_called)


def _batches(names: Iterable[Name]) -> Iterator[Sequence[Name]]:
    iterator = iter(names)
    while batch := list(islice(iterator, _BATCH)):
        yield batch
