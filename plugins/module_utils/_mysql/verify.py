# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Proof that both sides hold the same rows, while one of them is written to.

Method ``live`` takes no lock that a writer waits for. Per table: a snapshot of the source, a marker, a snapshot of the target,
sums of both chunk by chunk. In chunks that differ, row by row: what was written between the snapshots is looked at again until
each row is the same, or proved to differ although the target has applied everything up to a place in the source's log that was
read after the difference. A table that cannot be decided is said so: it is never equal. A row without a key that is changed
meanwhile cannot be followed, so such a table is read again until none was.

Method ``cut`` lets the writers wait for some milliseconds, see verify_cut; what differs at one moment differs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeVar

try:
    import pymysql
except ImportError:  # connection.require_driver() says so
    pass

from .._core import comparison
from .._core.comparison import Settled, TableProof, fingerprint
from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError
from .._core.names import Names
from .._core.verification import (
    DefinitionReport,
    Limit,
    Options,
    Place,
    Proved,
    SequenceReport,
    Verdict,
    in_flux,
    unmatched,
)
from . import verify_objects, verify_others, verify_table
from .verify_comparison import Comparison, Table
from .verify_cut import Stall, cut
from .verify_link import Link
from .verify_progress import Progress
from .verify_rules import NO_DATABASE, common, digest, elsewhere, incomparable, large, without
from .verify_sessions import Crew, Readers, problem
from .verify_table import Shape, TableName

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

T = TypeVar("T")

_ATTEMPTS = 5


@dataclass
class Seen:
    """What both sides have, for the warnings about declared differences."""

    names: dict[str, set[str]] = field(default_factory=dict)
    columns: dict[tuple[str, str], set[str]] = field(default_factory=dict)


def verify(
    source: Endpoint,
    target: Endpoint,
    names: Names,
    databases: Sequence[str] | None,
    options: Options,
    deployed: str | None = None,
) -> Verdict:
    """Compare every table of ``databases`` (None: all); replication runs from ``source`` to ``target``, whichever is blue.

    ``deployed`` tells this deployment from one before it of the same name, for what an interrupted run had proved.
    """
    if options.method == "cut" and options.resume_max_age:
        raise BlueGreenError(
            "The options say method: cut and resume_max_age, but a cut is one moment, and what was proved before is of "
            "another: leave out resume_max_age, or use method: live."
        )
    green = source if source.side == "green" else target
    run = fingerprint(
        deployed,
        [(side.side, side.host, side.port) for side in (source, target)],
        options.method,
        sorted(options.exclude),
        sorted((one.object, sorted(one.columns)) for one in options.expected.declared),
    )
    with ExitStack() as stack:
        limit = Limit(options.timeout)
        stack.callback(limit.end)
        progress, done = Progress(green, names, run), False
        stack.callback(lambda: progress.end(finished=done))
        verdict = Verdict()
        verification = _Verification(
            stack, Link(source, target, names, limit, options.marker_timeout), options, limit, progress
        )
        verification.run(databases, progress.begin(options.resume_max_age), verdict)
        done = all(proof.error is None for proof in verdict.tables)
    return verdict


class _Verification:
    """One run over all schemas."""

    def __init__(self, stack: ExitStack, link: Link, options: Options, limit: Limit, progress: Progress) -> None:
        self._link, self._options, self._limit, self._progress = link, options, limit, progress
        self._sides = (link.source.side, link.target.side)
        self._parallel = max(1, options.parallel)
        self._stack = stack
        stack.enter_context(closing(link))
        self._first = self._crew(1)

    def run(self, databases: Sequence[str] | None, proved: Mapping[Place, Proved], verdict: Verdict) -> None:
        """Add what is found to ``verdict``."""
        schemas = verify_others.chosen(*self._first.both(verify_others.schemas), databases, self._sides[0])
        seen = Seen()
        proofs: list[TableProof] = []
        tables: list[Table] = []
        for schema in schemas:
            here, there = self._first.both(partial(verify_table.shapes, schema=schema))
            for shape in (*here.values(), *there.values()):
                seen.columns.setdefault((NO_DATABASE, shape.label), set()).update(shape.columns)
            for name in sorted(here.keys() | there.keys()):
                if self._excluded(".".join(name)):
                    continue
                if elsewhere(here.get(name)):
                    verdict.not_compared.append(f"{'.'.join(name)} is a FEDERATED table, whose rows are elsewhere")
                    continue
                found = self._prepare(name, here.get(name), there.get(name), proved)
                if isinstance(found, TableProof):
                    proofs.append(found)
                else:
                    tables.append(found)
        proofs += self._at_a_cut(tables, verdict) if self._options.method == "cut" else self._live(tables)
        verdict.tables = sorted(proofs, key=lambda one: (one.schema, one.table))
        report = DefinitionReport()
        for schema in schemas:
            self._definitions(schema, seen, verdict, report)
        verdict.definitions = report
        verdict.warnings += unmatched(self._options.expected, seen.names, seen.columns)

    def _crew(self, size: int) -> Crew:
        patience = self._options.settle_timeout
        source, target = (Readers(side, size, patience, self._limit) for side in (self._link.source, self._link.target))
        scout = Readers(self._link.target, 1, patience, self._limit) if size > 1 else None
        crew = self._stack.enter_context(closing(Crew(source, target, scout)))
        crew.open()
        return crew

    def _excluded(self, label: str) -> bool:
        return comparison.excluded(NO_DATABASE, label, self._options.exclude)

    def _prepare(
        self, name: TableName, here: Shape | None, there: Shape | None, proved: Mapping[Place, Proved]
    ) -> TableProof | Table:
        """How a table is read, or what is known about it without that."""
        expected, label, schema = self._options.expected, ".".join(name), name[0]
        if expected.whole(NO_DATABASE, label):
            return TableProof(schema, *name, expected=True)
        left_out = [
            column
            for column in sorted({*(here.columns if here else ()), *(there.columns if there else ())})
            if expected.column(NO_DATABASE, label, column)
        ]
        here, there = without(here, left_out), without(there, left_out)
        obstacle = incomparable(here, there, self._sides[0])
        if obstacle or here is None or there is None:
            return TableProof(schema, *name, error=obstacle, columns_left_out=left_out)
        shape = common(here, there)
        earlier = proved.get((schema, *name))
        if earlier is not None and earlier.shape == digest(shape):
            return TableProof(
                schema,
                *name,
                blue_rows=earlier.blue_rows,
                green_rows=earlier.green_rows,
                equal=True,
                columns_left_out=left_out,
                proved_at=earlier.proved_at,
            )
        return Table(shape, left_out)

    def _live(self, tables: Sequence[Table]) -> list[TableProof]:
        wide = [table for table in tables if self._parallel > 1 and large(table.shape)]
        found = []
        if wide:
            crew = self._crew(self._parallel)
            found = [self._prove(table, crew) for table in wide]
        # the large ones first, so that nobody is left alone with one at the end
        rest = sorted((table for table in tables if table not in wide), key=lambda one: -one.shape.estimated_rows)
        crews: SimpleQueue[Crew] = SimpleQueue()
        crews.put(self._first)
        for _number in range(min(self._parallel, len(rest)) - 1):
            crews.put(self._crew(1))

        def prove(table: Table) -> TableProof:
            crew = crews.get()
            try:
                return self._prove(table, crew)
            finally:
                crews.put(crew)

        with ThreadPoolExecutor(self._parallel, "verify-table") as threads:
            return found + list(threads.map(prove, rest))

    def _at_a_cut(self, tables: Sequence[Table], verdict: Verdict) -> list[TableProof]:
        stall, names = Stall(), [table.shape.name for table in tables]
        crew = self._crew(self._parallel)
        try:
            with (
                cut(crew, self._link, names, self._options.lock_timeout, stall),
                ThreadPoolExecutor(self._parallel, "verify-table") as threads,
            ):
                ordered = sorted(tables, key=lambda one: -one.shape.estimated_rows)
                return list(threads.map(partial(self._prove, crew=crew), ordered))
        except pymysql.MySQLError as error:
            said = f"could not be compared: {problem(error, self._limit)}"
            return [TableProof(name[0], *name, error=said) for name in names]
        finally:
            verdict.stall_ms = round(stall.seconds * 1000, 1)

    def _prove(self, table: Table, crew: Crew) -> TableProof:
        place = (table.shape.name[0], *table.shape.name)
        try:
            compared = Comparison(crew, self._link, table, self._options.settle_timeout)
            here, there, found = compared.at_a_cut() if self._options.method == "cut" else compared.live()
        except (BlueGreenError, pymysql.MySQLError, OSError) as error:
            said = f"could not be compared: {problem(error, self._limit)}"
            return TableProof(*place, error=said, columns_left_out=table.left_out)
        proof = self._proof(place, table, here, there, found)
        if proof.equal and self._options.method == "live":
            self._progress.note(proof, digest(table.shape))
        return proof

    def _proof(self, place: Place, table: Table, here: int, there: int, found: Settled) -> TableProof:
        blue, green = (here, there) if self._sides[0] == "blue" else (there, here)
        return TableProof(
            *place,
            blue_rows=blue,
            green_rows=green,
            equal=not found.different and not found.undecided,
            differences=comparison.describe(list(table.shape.key), found.different, *self._sides),
            different=len(found.different),
            at_least=found.at_least,
            error=in_flux(found.undecided, self._options.settle_timeout),
            columns_left_out=table.left_out,
        )

    def _definitions(self, schema: str, seen: Seen, verdict: Verdict, report: DefinitionReport) -> None:
        expected, look = self._options.expected, partial(verify_objects.read, schema=schema)
        try:
            here, there = self._unmoved(look)
            found = verify_objects.compare(schema, *self._blue_green(here, there), expected, self._excluded)
            counters = partial(verify_others.counters, schema=schema)
            counted = self._ahead(counters, self._first.source.look(counters).result())
        except (BlueGreenError, pymysql.MySQLError, OSError) as error:
            said = f"{schema}: what is defined could not be compared: {problem(error, self._limit)}"
            report.different.append(said)
            verdict.sequences[schema] = SequenceReport(0, [said])
            return
        labels = seen.names.setdefault(NO_DATABASE, set())
        labels.update(verify_objects.labels(here, schema), verify_objects.labels(there, schema))
        report.compared += found.compared
        report.different += found.different
        verdict.warnings += found.warnings
        verdict.sequences[schema] = verify_others.report(schema, *self._blue_green(*counted), expected)

    def _unmoved(self, look: Callable[[Connection[Cursor]], T]) -> tuple[T, T]:
        """What source and target have, the source having been looked at before and after."""
        here = self._first.source.look(look).result()
        for _attempt in range(_ATTEMPTS):
            here, there = self._ahead(look, here)
            again = self._first.source.look(look).result()
            if here in (again, there):
                return here, there
            here = again
        raise BlueGreenError("it was altered all the time; run it again later")

    def _ahead(self, look: Callable[[Connection[Cursor]], T], here: T) -> tuple[T, T]:
        """``here``, and what the target has when it has applied all of that."""
        self._link.pass_marker()
        return here, self._first.target.look(look).result()

    def _blue_green(self, here: T, there: T) -> tuple[T, T]:
        return (here, there) if self._sides[0] == "blue" else (there, here)
