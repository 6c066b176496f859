# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Proof that both sides hold the same rows, while one of them is written to and without a lock.

Chunk sums first. In chunks that differ, row by row: a row that differs although a marker has passed between the two looks, and
that was the same on the source before and after, is a difference; one that moved meanwhile is looked at again. A table that
cannot be decided is said so: it is never equal.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, TypeVar

try:
    import psycopg2
except ImportError:  # connection.require_driver() says so
    pass

from .._core.errors import BlueGreenError, words
from .._core.names import Names
from .._core.waiting import Deadline
from . import marker, verify_table
from .connection import Endpoint, connect
from .verify_table import Chunks, Rows, Shape

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

T = TypeVar("T")

_CONFIRMATIONS = 3  # a row that toggles looks unmoved now and then
_ROWS_AT_ONCE = 500_000  # keys held in memory
_MARKER_USE = "verify"
MAX_DIFFERENCES = 20
_MAX_NAMED = 3


@dataclass(frozen=True)
class Options:
    """``parallel`` tables at a time; ``settle_timeout`` seconds for the rows in flux of one table, ``marker_timeout`` for one
    marker; ``exclude``: patterns of ``schema.table`` or ``database.schema.table``."""

    parallel: int = 2
    settle_timeout: float = 60.0
    marker_timeout: float = 30.0
    exclude: Sequence[str] = ()


@dataclass(frozen=True)
class TableProof:
    """What was found about one table; ``equal`` only when that is proved, ``error`` says why nothing could be."""

    database: str
    schema: str
    table: str
    blue_rows: int | None = None
    green_rows: int | None = None
    equal: bool = False
    differences: Sequence[str] = ()
    different: int = 0
    error: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a module's result."""
        return {**self.__dict__, "differences": list(self.differences)}


@dataclass
class Settled:
    """Keys that differ, and keys that could not be decided."""

    different: dict[Any, tuple[int | None, int | None]] = field(default_factory=dict)
    undecided: int = 0


def verify(
    source: Endpoint, target: Endpoint, names: Names, databases: Sequence[str], options: Options
) -> list[TableProof]:
    """Compare every table of ``databases``; replication runs from ``source`` to ``target``, whichever of them is blue."""
    return [proof for name in databases for proof in _verify_database(source, target, names, name, options)]


def judge(proofs: Sequence[TableProof], result: Mapping[str, Any]) -> None:
    """Raise :class:`BlueGreenError`, with ``result`` as its details, unless every table is proved to be equal."""
    different = [one for one in proofs if one.different]
    undecided = [one for one in proofs if not one.different and not one.equal]
    if not proofs:
        raise BlueGreenError("Tables should be compared, but there are none: look at databases and exclude.", **result)
    if not different and not undecided:
        return
    said = [
        f"{one.database}: {one.schema}.{one.table} differs in {one.different} rows ({one.differences[0]})"
        for one in different
    ]
    said += [f"{one.database}: {one.schema}.{one.table} {one.error}" for one in undecided]
    more = f", and {len(said) - _MAX_NAMED} more tables" if len(said) > _MAX_NAMED else ""
    raise BlueGreenError(
        f"Blue and green should hold the same rows, but {'; '.join(said[:_MAX_NAMED])}{more}: see tables; do not switch over.",
        verified=False,
        **result,
    )


def excluded(database: str, label: str, patterns: Sequence[str]) -> bool:
    """Whether a pattern names the table ``label`` (``schema.table``)."""
    return any(fnmatchcase(label, one) or fnmatchcase(f"{database}.{label}", one) for one in patterns)


def differing(here: Mapping[Any, Any], there: Mapping[Any, Any]) -> list[Any]:
    """The keys whose values are not the same, those that only one side has included."""
    return [key for key in here.keys() | there.keys() if here.get(key) != there.get(key)]


def groups(keys: Sequence[int], here: Chunks, there: Chunks, limit: int) -> Iterator[list[int]]:
    """Chunks in groups of about ``limit`` rows on the side that has more."""
    group: list[int] = []
    size = 0
    for key in keys:
        held = max(here.get(key, (0, 0))[0], there.get(key, (0, 0))[0])
        if group and size + held > limit:
            yield group
            group, size = [], 0
        group.append(key)
        size += held
    if group:
        yield group


class Reader:
    """Both sides of one database, for one thread: a session on each, and markers of a connection of their own."""

    def __init__(
        self, source: Endpoint, target: Endpoint, names: Names, marked: threading.Lock, timeout: float
    ) -> None:
        self._names, self._marked, self._timeout = names, marked, timeout
        self._database = source.database
        with ExitStack() as stack:
            self.source = stack.enter_context(closing(verify_table.open_session(source)))
            self.target = stack.enter_context(closing(verify_table.open_session(target)))
            self._writer = stack.enter_context(closing(connect(source)))
            self._other = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="verify-source"))
            self._stack = stack.pop_all()

    def close(self) -> None:
        """End the sessions."""
        self._stack.close()

    def both(self, look: Callable[[Connection], T]) -> tuple[T, T]:
        """The same look at source and target, at the same time."""
        future = self._other.submit(look, self.source)
        there = look(self.target)
        return future.result(), there

    def pass_marker(self) -> None:
        """Return when the target has everything that the source had when this was called."""
        with self._marked:  # one token at a time: a newer one would overwrite it before it was seen
            marker.pass_through(
                {self._database: self._writer}, {self._database: self.target}, self._names, self._timeout, _MARKER_USE
            )


def settle(reader: Reader, shape: Shape, before: Rows, pending: Sequence[Any], deadline: Deadline) -> Settled:
    """Decide about the keys ``pending``, whose value on the target was not ``before``, read on the source before a marker."""
    found = Settled()
    suspected: dict[Any, int] = {}
    there: Rows = {}
    keys = list(pending)
    while keys:
        again = verify_table.read_again(reader.source, shape, keys)
        still = {key for key in keys if before.get(key) == again.get(key)}
        suspected = {key: suspected.get(key, 0) + 1 for key in still}
        for key in [key for key, times in suspected.items() if times >= _CONFIRMATIONS]:
            found.different[key] = (again.get(key), there.get(key))
        keys = [key for key in keys if key not in found.different]
        if deadline.passed:
            found.undecided = len(keys)
            break
        before = {key: again[key] for key in keys if key in again}
        if keys:
            reader.pass_marker()
            there = verify_table.read_again(reader.target, shape, keys)
            keys = [key for key in keys if before.get(key) != there.get(key)]
    return found


def compare(reader: Reader, shape: Shape, chunks: int, settle_timeout: float) -> tuple[int, int, Settled]:
    """Rows on the source, rows on the target, and what differs."""
    here, there = reader.both(lambda conn: verify_table.read_chunks(conn, shape, chunks))
    everything = Settled()
    deadline = Deadline(settle_timeout)
    for group in groups(sorted(differing(here, there)), here, there, _ROWS_AT_ONCE):
        before = verify_table.read_rows(reader.source, shape, chunks, group)
        reader.pass_marker()
        after = verify_table.read_rows(reader.target, shape, chunks, group)
        found = settle(reader, shape, before, differing(before, after), deadline)
        everything.different.update(found.different)
        everything.undecided += found.undecided
    return _total(here), _total(there), everything


def _verify_database(
    source: Endpoint, target: Endpoint, names: Names, database: str, options: Options
) -> list[TableProof]:
    source, target = source.at(database), target.at(database)
    marked, local = threading.Lock(), threading.local()
    readers: list[Reader] = []

    def start() -> None:
        local.reader = Reader(source, target, names, marked, options.marker_timeout)
        readers.append(local.reader)

    first = Reader(source, target, names, marked, options.marker_timeout)
    readers.append(first)
    try:
        here, there = first.both(verify_table.shapes)
        todo = [
            name
            for name in sorted(here.keys() | there.keys())
            if name[0] != names.schema and not excluded(database, ".".join(name), options.exclude)
        ]
        with ThreadPoolExecutor(max(1, options.parallel), "verify", initializer=start) as pool:
            return list(
                pool.map(
                    lambda name: _prove(local.reader, source, database, here.get(name), there.get(name), options), todo
                )
            )
    finally:
        for reader in readers:
            reader.close()


def _prove(
    reader: Reader, source: Endpoint, database: str, here: Shape | None, there: Shape | None, options: Options
) -> TableProof:
    shape = here or there
    if shape is None:
        raise AssertionError("a table is on one side at least")
    schema, table = shape.name
    problem = incomparable(here, there, source.side)
    if problem:
        return TableProof(database, schema, table, error=problem)
    if here is None or there is None:
        raise AssertionError("incomparable() names a table that one side lacks")
    try:
        shape = common(here, there)
        source_rows, target_rows, found = compare(reader, shape, max(here.chunks, there.chunks), options.settle_timeout)
    except BlueGreenError as error:
        return TableProof(database, schema, table, error=f"could not be compared: {error.message}")
    except psycopg2.Error as error:
        return TableProof(database, schema, table, error=f"could not be compared: {words(error)}")
    blue_rows, green_rows = (source_rows, target_rows) if source.side == "blue" else (target_rows, source_rows)
    undecided = (
        f"could not be compared: {found.undecided} rows were still in flux after {options.settle_timeout:g} s; run it again "
        "when less is written, or raise settle_timeout"
        if found.undecided
        else None
    )
    return TableProof(
        database,
        schema,
        table,
        blue_rows=blue_rows,
        green_rows=green_rows,
        equal=not found.different and undecided is None,
        differences=describe(shape, found.different, source.side),
        different=len(found.different),
        error=undecided,
    )


def common(here: Shape, there: Shape) -> Shape:
    """How both tables are read; a key that is unique on one side only could hide a doubled row on the other."""
    return here if dict(here.key) == dict(there.key) else replace(here, key={})


def incomparable(here: Shape | None, there: Shape | None, source_side: str) -> str | None:
    """Why two tables cannot be compared at all, None when they can."""
    target_side = "green" if source_side == "blue" else "blue"
    if here is None or there is None:
        return f"could not be compared: the table is not on {source_side if here is None else target_side}"
    if dict(here.columns) != dict(there.columns):
        return f"could not be compared: {_column_words(here, there, source_side, target_side)}"
    if not here.logged or not there.logged:
        return "could not be compared: the table is unlogged, so it is not replicated; name it in exclude if that is as wanted"
    return None


def describe(shape: Shape, different: Mapping[Any, tuple[int | None, int | None]], source_side: str) -> list[str]:
    """The first differences in words, by key."""
    target_side = "green" if source_side == "blue" else "blue"
    said: list[str] = []
    for key in sorted(different, key=str)[:MAX_DIFFERENCES]:
        here, there = different[key]
        if not shape.key:
            said.append(f"row with hash {key}: {here or 0} times on {source_side}, {there or 0} times on {target_side}")
            continue
        where = ", ".join(f"{column}={value}" for column, value in zip(shape.key, key, strict=True))
        if here is None or there is None:
            said.append(f"{where}: only on {target_side if here is None else source_side}")
        else:
            said.append(f"{where}: not the same")
    return said


def _column_words(here: Shape, there: Shape, source_side: str, target_side: str) -> str:
    for name in sorted({*here.columns, *there.columns}):
        one, other = here.columns.get(name), there.columns.get(name)
        if one != other:
            return f"column {name} is {one or 'missing'} on {source_side} and {other or 'missing'} on {target_side}"
    return "its columns differ"


def _total(chunks: Chunks) -> int:
    return sum(count for count, _total in chunks.values())
