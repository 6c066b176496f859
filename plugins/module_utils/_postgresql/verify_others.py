# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What a database holds beside its tables: large objects and sequences, and what is not compared at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from .._core.comparison import ENOUGH, TableProof, describe, differing
from .._core.differences import ExpectedDifferences
from .._core.verification import SequenceReport
from . import side_sequences
from .catalog import FIRST_USER_OID
from .connection import rows
from .side_sequences import Name, Shape, State

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

LARGE_OBJECTS = ("pg_catalog", "pg_largeobject")
_AT_ONCE = 1000
_PIECE = 1 << 20
_INV_READ = 0x40000

Both = Callable[[Callable[["Connection"], Any]], tuple[Any, Any]]
"""The same look at source and target."""


def large_objects(both: Both, database: str, source_side: str, target_side: str) -> TableProof | None:
    """The large objects as one table, None when there are none on either side.

    Replication does not carry them, so what differs in two looks differs. The table pg_largeobject itself is the superuser's.
    """
    here_count, there_count = both(_count)
    if not here_count and not there_count:
        return None
    different: dict[Any, tuple[int | None, int | None]] = {}
    after: int | None = 0
    while after is not None and len(different) < ENOUGH:
        upto = min((end for end in both(partial(_last, after=after)) if end is not None), default=None)
        suspects = differing(*both(partial(_hashes, after=after, upto=upto)))
        if suspects:
            here, there = both(partial(_hashes_of, wanted=suspects))
            different.update({(oid,): (here.get(oid), there.get(oid)) for oid in differing(here, there)})
        after = upto
    counts = (here_count, there_count) if source_side == "blue" else (there_count, here_count)
    return TableProof(
        database,
        *LARGE_OBJECTS,
        *counts,
        equal=not different,
        differences=describe(["loid"], different, source_side, target_side),
        different=len(different),
        at_least=len(different) >= ENOUGH,
    )


def sequences(both: Both, database: str, expected: ExpectedDifferences, source_side: str) -> SequenceReport:
    """The sequences of green that are behind those of blue, whichever of them serves, in words."""
    here, there = both(_sequences)
    blue, green = (here, there) if source_side == "blue" else (there, here)
    behind = []
    for name in sorted(blue, key=lambda one: (one.schema, one.name)):
        label = f"{name.schema}.{name.name}"
        if expected.whole(database, label):
            continue
        state, shape = blue[name]
        other = green.get(name)
        if other is None:
            behind.append(f"{database}: {label} is not on green")
        elif side_sequences.behind(state, other[0], shape):
            behind.append(f"{database}: {label} is at {_words(other[0])} on green, but at {_words(state)} on blue")
    return SequenceReport(len(blue), behind)


def not_compared(conn: Connection) -> list[str]:
    """What else holds rows and is not looked at, with the reason."""
    found = rows(
        conn,
        """
        SELECT n.nspname || '.' || c.relname, c.relkind::text
          FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('m', 'f') AND c.oid >= %s ORDER BY 1
        """,
        (FIRST_USER_OID,),
    )
    said = {
        "m": "a materialized view, which is not replicated: refresh it on green",
        "f": "a foreign table, whose rows are elsewhere",
    }
    return [f"{label} is {said[kind]}" for label, kind in found]


def labels(conn: Connection) -> set[str]:
    """Everything of a database that a declared difference may name, as ``schema.name``."""
    found = rows(
        conn,
        """
        SELECT n.nspname || '.' || o.name
          FROM (SELECT relname, relnamespace FROM pg_catalog.pg_class
                UNION SELECT proname, pronamespace FROM pg_catalog.pg_proc
                UNION SELECT typname, typnamespace FROM pg_catalog.pg_type
                UNION SELECT conname, connamespace FROM pg_catalog.pg_constraint) AS o (name, namespace)
          JOIN pg_catalog.pg_namespace n ON n.oid = o.namespace
         WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_' OR o.name = 'pg_largeobject'
        """,
    )
    return {row[0] for row in found}


def _count(conn: Connection) -> int:
    return int(rows(conn, "SELECT count(*) FROM pg_catalog.pg_largeobject_metadata")[0][0])


def _last(conn: Connection, after: int) -> int | None:
    """The oid that ends the next batch, None when that is the last one."""
    found = rows(
        conn,
        "SELECT oid::bigint FROM pg_catalog.pg_largeobject_metadata WHERE oid > %s ORDER BY oid OFFSET %s LIMIT 1",
        (after, _AT_ONCE - 1),
    )
    return int(found[0][0]) if found else None


def _hashes(conn: Connection, after: int, upto: int | None) -> dict[int, int]:
    return _read(conn, "m.oid > %(after)s AND (%(upto)s IS NULL OR m.oid <= %(upto)s)", {"after": after, "upto": upto})


def _hashes_of(conn: Connection, wanted: Sequence[int]) -> dict[int, int]:
    return _read(conn, "m.oid = ANY (%(wanted)s::oid[])", {"wanted": list(wanted)})


def _read(conn: Connection, condition: str, parameters: Mapping[str, Any]) -> dict[int, int]:
    found = rows(
        conn,
        f"""
        SELECT m.oid::bigint, s.size + coalesce(sum(pg_catalog.hashtextextended(
                   pg_catalog.md5(pg_catalog.lo_get(m.oid, p.number * %(piece)s, %(piece)s)) || p.number, 0)), 0)
          FROM pg_catalog.pg_largeobject_metadata m
         CROSS JOIN LATERAL (SELECT pg_catalog.lo_lseek64(pg_catalog.lo_open(m.oid, %(read)s), 0, 2) AS size OFFSET 0) AS s
          LEFT JOIN LATERAL generate_series(0, (s.size - 1) / %(piece)s) AS p (number) ON s.size > 0
         WHERE {condition} GROUP BY 1, s.size
        """,  # noqa: S608  the condition is one of the two above
        {**parameters, "piece": _PIECE, "read": _INV_READ},
    )
    return {int(oid): int(summed) for oid, summed in found}


def _sequences(conn: Connection) -> dict[Name, tuple[State, Shape]]:
    described = side_sequences.describe(conn)
    found = side_sequences.read(conn, described)
    return {one.name: (found[one.oid], one.shape) for one in described if one.oid in found}


def _words(state: State) -> str:
    return f"{state.last_value}{'' if state.is_called else ' (not given out yet)'}"
