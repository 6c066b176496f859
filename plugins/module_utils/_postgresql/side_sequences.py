# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Sequences, which logical replication does not carry: how they move, and reading and setting them exactly.

``pg_sequences`` and ``pg_sequence_last_value()`` hide the value of a sequence whose ``is_called`` is false (PostgreSQL
manual, 52.21), so a ``setval(.., false)`` would pass unseen. ``pg_get_sequence_data()`` shows it from version 18 on, at the
same price. Before that every sequence has to be selected from, in batches: planning one statement over thousands takes
seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

try:
    from psycopg2 import sql
except ImportError:  # refused in connection.require_driver()
    pass

from .catalog import FIRST_USER_OID, server_version
from .connection import rows

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

T = TypeVar("T")

_SELECTED = 50  # sequences in one statement that is planned and run once
_LOCKED = 1000  # sequences in one transaction, which keeps a lock on each until its end

_DESCRIPTIONS = """
    SELECT c.oid, n.nspname, c.relname, s.seqincrement, s.seqmin, s.seqmax, s.seqcycle
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_sequence AS s ON s.seqrelid = c.oid
    WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND c.oid >= %s
"""
_DATA = """
    SELECT o.oid, d.last_value, d.is_called
    FROM unnest(%s::oid[]) AS o (oid), LATERAL pg_catalog.pg_get_sequence_data(o.oid) AS d
    WHERE d.last_value IS NOT NULL
"""


class Name(NamedTuple):
    """A sequence's schema and name."""

    schema: str
    name: str


class State(NamedTuple):
    """What setval() takes: the last value and whether nextval() has given it out."""

    last_value: int
    is_called: bool


class Shape(NamedTuple):
    """How a sequence moves."""

    increment: int
    minimum: int
    maximum: int
    cycle: bool


class Tolerance(NamedTuple):
    """The states from which nothing is due: last values, and ``is_called`` when that matters."""

    first: int
    last: int
    is_called: bool | None


class Description(NamedTuple):
    """A sequence without its value."""

    oid: int
    name: Name
    shape: Shape


def ahead(state: State, shape: Shape, margin: int) -> State:
    """``state`` moved on by ``margin`` values.

    One that cycles stays where it is, and one that would not have as many values left again: a margin never brings a
    sequence near its end.
    """
    if shape.cycle or margin <= 0:
        return state
    moved = State(state.last_value + margin * shape.increment, True)
    return moved if _left(moved, shape) >= margin else state


def behind(source: State, target: State, shape: Shape) -> bool:
    """Whether ``target`` could give out a value that ``source`` has given out."""
    if shape.increment > 0:
        return (source.last_value, source.is_called) > (target.last_value, target.is_called)
    return (-source.last_value, source.is_called) > (-target.last_value, target.is_called)


def before_window(source: State, target: State, shape: Shape, margin: int) -> State | None:
    """What to set ``target`` to before the window, None when it is far enough ahead of ``source`` already."""
    return _due(source, target, shape, margin, ahead(source, shape, margin))


def in_window(source: State, target: State, shape: Shape, margin: int) -> State | None:
    """What to set ``target`` to behind the fence, None when it gives out nothing that ``source`` has given out."""
    return _due(source, target, shape, margin, source)


def tolerance(source: State, target: State, shape: Shape, margin: int) -> Tolerance:
    """How far ``source`` may move on from here before ``target``, which has been set for it, has to be set again."""
    if ahead(source, shape, margin) == source or not behind(source=target, target=source, shape=shape):
        return Tolerance(source.last_value, source.last_value, source.is_called)
    first, last = sorted((source.last_value, target.last_value - shape.increment))
    return Tolerance(first, last, None)


def _due(source: State, target: State, shape: Shape, margin: int, least: State) -> State | None:
    goal = ahead(source, shape, margin)
    if goal == source:  # carried exactly
        return None if target == source else source
    return goal if behind(least, target, shape) or _left(target, shape) < margin else None


def _left(state: State, shape: Shape) -> int:
    """How many values there are up to the bound, negative beyond it."""
    if shape.increment > 0:
        return (shape.maximum - state.last_value) // shape.increment
    return (state.last_value - shape.minimum) // -shape.increment


def describe(conn: Connection) -> list[Description]:
    """Every sequence of the connection's database; other sessions' temporary ones are not."""
    found = rows(conn, _DESCRIPTIONS, (FIRST_USER_OID,))
    return [Description(oid, Name(schema, name), Shape(*shape)) for oid, schema, name, *shape in found]


def write(conn: Connection, states: Mapping[int, State]) -> None:
    """Set the sequences, by oid, in one transaction."""
    if not states:
        return
    rows(
        conn,
        "SELECT count(pg_catalog.setval(x.o::regclass, x.v, x.c)) FROM unnest(%s::oid[], %s::bigint[], %s::bool[]) AS x (o, v, c)",
        (
            list(states),
            [state.last_value for state in states.values()],
            [state.is_called for state in states.values()],
        ),
    )


def has_data_function(conn: Connection) -> bool:
    """Whether the server has pg_get_sequence_data()."""
    return server_version(conn) >= 180000


def read(conn: Connection, described: Iterable[Description]) -> dict[int, State]:
    """The exact states of the sequences ``described``, by oid.

    Raises psycopg2's error when one may not be read: a sequence that nobody looked at is never "did not move".
    """
    left = {one.oid: one.name for one in described}
    found: dict[int, State] = {}
    if has_data_function(conn):
        for oids in batches(left, _LOCKED):
            found.update(states(rows(conn, _DATA, (list(oids),))))
    # What that function leaves out may not be read, which the server says when it is selected from.
    for names in batches((name for oid, name in left.items() if oid not in found), _SELECTED):
        selects = [
            sql.SQL("SELECT tableoid, last_value, is_called FROM {}").format(sql.Identifier(*name)) for name in names
        ]
        found.update(states(rows(conn, sql.SQL(" UNION ALL ").join(selects))))
    return found


def states(found: Iterable[tuple[Any, ...]]) -> dict[int, State]:
    """Rows of oid, last_value and is_called as states by oid."""
    return {oid: State(last_value, is_called) for oid, last_value, is_called in found}


def batches(items: Iterable[T], size: int) -> Iterator[Sequence[T]]:
    """``items`` in lists of ``size``, the last one shorter."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
