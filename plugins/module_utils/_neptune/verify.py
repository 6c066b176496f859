# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Proof that both sides hold the same graph, while one of them is written to. Nothing is locked, and data is only read.

A page of the source, then everything that the source had by then applied on the target, then the same range of keys there. What
differs was written meanwhile, or is wrong: it is looked at again until each piece is the same, or proved to differ although the
target has applied what the source had after the difference. What cannot be decided is said so: it is never equal.

With a sample the rows of every table are counted that way, and some pieces compared.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from .._core.comparison import ENOUGH, Settled, TableProof, describe, differing, excluded, settle
from .._core.errors import BlueGreenError, words
from .._core.verification import Limit, Options, Verdict, in_flux, unmatched
from .._core.waiting import Deadline
from .connection import Client, GraphType
from .lease import Lease
from .verify_elements import Elements
from .verify_link import Carrier
from .verify_quads import Quads
from .verify_rows import Leave, Reader, Row, Rows

_PAGE = 1000  # pieces that are in memory of each side
_COUNTING = 5.0  # s, to see the same number of rows on both sides
_PLACES = 10  # that a sample is taken from
NO_DATABASE = ""
Key = tuple[str, ...]


@dataclass
class _Table:
    """What is known of one label, or graph."""

    here: int = 0
    there: int = 0
    found: Settled = field(default_factory=Settled)


def verify(
    source: Client, target: Client, lease: Lease, graph_type: GraphType, options: Options, sample: int = 0
) -> Verdict:
    """Compare everything, or ``sample`` pieces of each part; replication runs from ``source`` to ``target``, whichever is blue."""
    refuse(options)
    verdict = Verdict()
    carrier = Carrier(source, target, lease, graph_type, options.marker_timeout)
    leave: Leave = lambda label, column: options.expected.column(NO_DATABASE, label, column)  # noqa: E731
    make: Callable[[Client, Leave], Reader] = Quads if graph_type == "rdf" else Elements
    limit = Limit(options.timeout)
    with closing(carrier):
        try:
            carrier.pass_marker()
            run = _Verification(make(source, leave), make(target, leave), carrier, options, limit, graph_type)
            run.sides = source.endpoint.side, target.endpoint.side
            run.compare(sample, verdict)
        finally:
            limit.end()
    return verdict


def refuse(options: Options) -> None:
    """Raise :class:`BlueGreenError` for what a graph cannot be asked for."""
    if options.method == "cut":
        raise BlueGreenError(
            "The option method says cut, but Neptune has no lock that lets writers wait: use method: live, or compare while "
            "nobody writes."
        )
    if options.resume_max_age:
        raise BlueGreenError("The option resume_max_age means nothing to the engine neptune: leave it out.")


class _Verification:
    """One run."""

    sides = ("blue", "green")

    def __init__(
        self,
        source: Reader,
        target: Reader,
        carrier: Carrier,
        options: Options,
        limit: Limit,
        graph_type: GraphType,
    ) -> None:
        self._source, self._target, self._carrier = source, target, carrier
        self._options, self._limit, self._graph_type = options, limit, graph_type
        self._seen: dict[str, set[str]] = {NO_DATABASE: set()}

    def compare(self, sample: int, verdict: Verdict) -> None:
        """Add what is found to ``verdict``."""
        parts = sorted(self._source.parts() | self._target.parts())

        def prove(part: str) -> list[TableProof]:
            return self._prove(part, sample)

        with ThreadPoolExecutor(max(1, self._options.parallel), "verify") as threads:
            verdict.tables = [proof for proofs in threads.map(prove, parts) for proof in proofs]
        verdict.warnings += unmatched(self._options.expected, self._seen, {})

    def _prove(self, part: str, sample: int) -> list[TableProof]:
        tables: dict[str, _Table] = {}
        looks = _Looks(part, self._source, self._target, self._carrier, self._limit)
        error = None
        try:
            compare = self._sampled if sample else self._complete
            compare(part, looks, tables, sample)
        except BlueGreenError as problem:
            error = f"could not be compared: {words(problem)}"
        if error and not tables:
            tables[part] = _Table()
        return [proof for name in sorted(tables) if (proof := self._proof(part, name, tables[name], error)) is not None]

    def _complete(self, part: str, looks: _Looks, tables: dict[str, _Table], _sample: int) -> None:
        deadline = Deadline(self._options.settle_timeout)
        after: str | None = ""
        while after is not None:
            self._limit.check()
            here, last = self._source.page(part, after, None, _PAGE)
            looks.pass_marker()
            there: Rows = {}
            behind: str | None = after
            while behind is not None:
                found, behind = self._target.page(part, behind, last, _PAGE)
                there.update(found)
            self._judge(here, there, looks, tables, deadline)
            after = last
            if sum(len(one.found.different) for one in tables.values()) >= ENOUGH:
                for one in tables.values():
                    one.found.at_least = after is not None
                return

    def _sampled(self, part: str, looks: _Looks, tables: dict[str, _Table], sample: int) -> None:
        deadline = Deadline(self._options.settle_timeout)
        counts = _Counts(part, self._source, self._target, self._carrier)
        here = counts.source([])
        looks.pass_marker()
        there = counts.target([])
        # Numbers that go on changing are never decided, and looking at them is a scan of the graph each time.
        found = settle(
            counts, here, there, differing(here, there), Deadline(min(_COUNTING, self._options.settle_timeout))
        )
        for name in here.keys() | there.keys():
            tables[name[0]] = _Table(here.get(name, 0), there.get(name, 0))
        for name, values in found.different.items():
            tables[name[0]].found.different[("number of rows",)] = values
        total = sum(here.values())
        share = max(1, -(-sample // _PLACES))
        starts = sorted({random.randrange(max(1, total - share + 1)) for _place in range(_PLACES)})  # noqa: S311
        keys = list(dict.fromkeys(key for start in starts for key in self._source.some(part, start, share)))[:sample]
        before = self._source.rows(part, keys)
        looks.pass_marker()
        self._judge(before, self._target.rows(part, keys), looks, tables, deadline, counted=False)

    def _judge(
        self,
        here: Rows,
        there: Rows,
        looks: _Looks,
        tables: dict[str, _Table],
        deadline: Deadline,
        *,
        counted: bool = True,
    ) -> None:
        """Decide about one page, and count it."""
        looks.begin(here, there)
        for row in here.values() if counted else ():
            tables.setdefault(row.table, _Table()).here += row.size
        for row in there.values() if counted else ():
            tables.setdefault(row.table, _Table()).there += row.size
        before, after = _contents(here), _contents(there)
        settled = settle(looks, before, after, differing(before, after), deadline)
        for key, values in settled.different.items():
            tables.setdefault(looks.table(key), _Table()).found.different[key] = values
        if settled.undecided:  # it is not told which ones: no table that one of them may belong to is equal
            for name in {looks.table(key) for key in differing(before, after)}:
                tables.setdefault(name, _Table()).found.undecided += settled.undecided

    def _proof(self, part: str, name: str, table: _Table, error: str | None) -> TableProof | None:
        schema = "graph" if self._graph_type == "rdf" else part
        label = f"{schema}.{name}"
        self._seen[NO_DATABASE].add(label)
        if excluded(NO_DATABASE, label, self._options.exclude):
            return None
        place = (self._graph_type, schema, name)
        if self._options.expected.whole(NO_DATABASE, label):
            return TableProof(*place, expected=True)
        found = table.found
        blue, green = (table.here, table.there) if self.sides[0] == "blue" else (table.there, table.here)
        error = error or in_flux(found.undecided, self._options.settle_timeout)
        return TableProof(
            *place,
            blue_rows=blue,
            green_rows=green,
            equal=not found.different and error is None,
            differences=self._differences(found),
            different=len(found.different),
            at_least=found.at_least,
            error=error,
        )

    def _differences(self, found: Settled) -> Sequence[str]:
        numbers = {key: values for key, values in found.different.items() if key == ("number of rows",)}
        pieces = {key: values for key, values in found.different.items() if key not in numbers}
        said = [
            f"{here or 0} rows on {self.sides[0]}, {there or 0} on {self.sides[1]}" for here, there in numbers.values()
        ]
        return said + describe([self._source.key], pieces, *self.sides)


class _Looks:
    """Implements :class:`Looks` for the pieces of a part."""

    def __init__(self, part: str, source: Reader, target: Reader, carrier: Carrier, limit: Limit) -> None:
        self._part, self._source, self._target = part, source, target
        self._carrier, self._limit = carrier, limit
        self._tables: dict[Key, str] = {}

    def source(self, keys: Sequence[Any]) -> dict[Any, int]:
        found = self._source.rows(self._part, keys)
        self._tables.update({key: row.table for key, row in found.items()})
        return _contents(found)

    def target(self, keys: Sequence[Any]) -> dict[Any, int]:
        return _contents(self._target.rows(self._part, keys))

    def pass_marker(self) -> None:
        self._limit.check()
        self._carrier.pass_marker()

    def begin(self, here: Rows, there: Rows) -> None:
        """Remember which tables the pieces of a page count for, the source's word against the target's."""
        self._tables = {key: row.table for page in (there, here) for key, row in page.items()}

    def table(self, key: Key) -> str:
        """The table that a piece counts for."""
        return self._tables.get(key, self._part)


class _Counts:
    """Implements :class:`Looks` for how many rows the tables of a part have."""

    def __init__(self, part: str, source: Reader, target: Reader, carrier: Carrier) -> None:
        self._part, self._source, self._target, self._carrier = part, source, target, carrier

    def source(self, _keys: Sequence[Any]) -> dict[Any, int]:
        return {(name,): number for name, number in self._source.counts(self._part).items()}

    def target(self, _keys: Sequence[Any]) -> dict[Any, int]:
        return {(name,): number for name, number in self._target.counts(self._part).items()}

    def pass_marker(self) -> None:
        self._carrier.pass_marker()


def _contents(rows: dict[Key, Row]) -> dict[Any, int]:
    return {key: row.content for key, row in rows.items()}
