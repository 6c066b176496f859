# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Proof that both sides hold the same rows, while one of them is written to.

Method ``live`` takes no lock that a writer waits for. Per table: a snapshot of the source, a marker, a snapshot of the target,
chunk sums of both. In chunks that differ, row by row: what was written between the snapshots is looked at again until each row
is the same, or proved to differ although a marker has passed between two looks. A table that cannot be decided is said so: it
is never equal. A row without a key that is changed meanwhile cannot be followed, so such a table is read again until none was.
(A row that the target lost and whose key is changed in that very moment would pass; it is found by the next run.)

Method ``cut`` lets the writers wait for some milliseconds, see verify_cut; what differs at one moment differs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial

try:
    import psycopg2
except ImportError:  # connection.require_driver() says so
    pass

from .._core import comparison
from .._core.comparison import TableProof, fingerprint
from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError, words
from .._core.names import Names
from .._core.verification import Limit, Options, Place, Proved, SequenceReport, Verdict, gather, in_flux, unmatched
from . import verify_others, verify_table
from .catalog import TableName
from .verify_comparison import Comparison, Table
from .verify_cut import Stall, cut
from .verify_progress import Progress
from .verify_rules import common, digest, incomparable, without
from .verify_sessions import Moment, Pair
from .verify_table import Shape


def verify(
    source: Endpoint,
    target: Endpoint,
    names: Names,
    databases: Sequence[str],
    options: Options,
    deployed: str | None = None,
) -> Verdict:
    """Compare every table of ``databases``; replication runs from ``source`` to ``target``, whichever of them is blue.

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
        progress = Progress(green, names, run)
        verdict, done = Verdict(), False
        stack.callback(lambda: progress.end(finished=done))
        proved = progress.begin(options.resume_max_age)
        seen = _Seen({}, {})
        for name in databases:
            _Database(source.at(name), target.at(name), names, options, limit, progress, proved).verify(verdict, seen)
        verdict.warnings = unmatched(options.expected, seen.names, seen.columns)
        done = all(proof.error is None for proof in verdict.tables)
    return verdict


@dataclass(frozen=True)
class _Seen:
    """What both sides have, for the warnings about declared differences."""

    names: dict[str, set[str]]
    columns: dict[tuple[str, str], set[str]]


class _Database:
    """One database of both sides."""

    def __init__(
        self,
        source: Endpoint,
        target: Endpoint,
        names: Names,
        options: Options,
        limit: Limit,
        progress: Progress,
        proved: Mapping[Place, Proved],
    ) -> None:
        self._source, self._names, self._options = source, names, options
        self._sides = (source.side, target.side)
        self._database = source.database
        self._progress, self._proved = progress, proved
        self._parallel = max(1, options.parallel)
        self._pair = Pair(
            source,
            target,
            names,
            size=self._parallel,
            marker_timeout=options.marker_timeout,
            lock_timeout=options.settle_timeout,
            limit=limit,
        )

    def verify(self, verdict: Verdict, seen: _Seen) -> None:
        """Add what is found to ``verdict``, and what there is to ``seen``."""
        with closing(self._pair):
            self._pair.open()
            here, there = self._pair.both(verify_table.shapes)
            if self._options.expected.declared:
                labels = self._pair.both(verify_others.labels)
                seen.names[self._database] = labels[0] | labels[1]
                for shape in (*here.values(), *there.values()):
                    seen.columns.setdefault((self._database, shape.label), set()).update(shape.columns)
            verdict.not_compared += [
                f"{self._database}: {one}" for one in gather([self._pair.source.look(verify_others.not_compared)])[0]
            ]
            proofs: list[TableProof] = []
            tables: list[Table] = []
            for name in sorted(here.keys() | there.keys()):
                label = ".".join(name)
                if name[0] == self._names.schema or self._excluded(label):
                    continue
                found = self._prepare(name, here.get(name), there.get(name))
                if isinstance(found, TableProof):
                    proofs.append(found)
                else:
                    tables.append(found)
            proofs += (
                self._prove_at_a_cut(tables, verdict) if self._options.method == "cut" else self._prove_live(tables)
            )
            proofs += self._large_objects()
            verdict.tables += sorted(proofs, key=lambda one: (one.schema, one.table))
            verdict.sequences[self._database] = self._sequences()

    def _excluded(self, label: str) -> bool:
        return comparison.excluded(self._database, label, self._options.exclude)

    def _prepare(self, name: TableName, here: Shape | None, there: Shape | None) -> TableProof | Table:
        """How a table is read, or what is known about it without that."""
        expected, label = self._options.expected, ".".join(name)
        if expected.whole(self._database, label):
            return TableProof(self._database, *name, expected=True)
        left_out = [
            column
            for column in sorted({*(here.columns if here else ()), *(there.columns if there else ())})
            if expected.column(self._database, label, column)
        ]
        here, there = without(here, left_out), without(there, left_out)
        problem = incomparable(here, there, self._source.side)
        if problem or here is None or there is None:
            return TableProof(self._database, *name, error=problem, columns_left_out=left_out)
        shape = common(here, there)
        earlier = self._proved.get((self._database, *name))
        if earlier is not None and earlier.shape == digest(shape):
            return TableProof(
                self._database,
                *name,
                blue_rows=earlier.blue_rows,
                green_rows=earlier.green_rows,
                equal=True,
                columns_left_out=left_out,
                proved_at=earlier.proved_at,
            )
        return Table(shape, max(here.estimated_rows, there.estimated_rows), left_out)

    def _prove_live(self, tables: Sequence[Table]) -> list[TableProof]:
        # the large ones first, so that nobody is left alone with one at the end
        ordered = sorted(tables, key=lambda one: -one.estimated_rows)
        with ThreadPoolExecutor(self._parallel, "verify-table") as threads:
            return list(threads.map(self._prove, ordered))

    def _prove_at_a_cut(self, tables: Sequence[Table], verdict: Verdict) -> list[TableProof]:
        stall = Stall()
        names = [table.shape.name for table in tables]
        try:
            with (
                cut(self._pair, self._source, names, self._options.lock_timeout, stall) as at,
                ThreadPoolExecutor(self._parallel, "verify-table") as threads,
            ):
                return list(threads.map(partial(self._prove, at=at), tables))
        except psycopg2.Error as error:
            problem = f"could not be compared: {words(error)}"
            return [TableProof(self._database, *name, error=problem) for name in names]
        finally:
            verdict.stall_ms = max(verdict.stall_ms or 0.0, round(stall.seconds * 1000, 1))

    def _prove(self, table: Table, at: Moment | None = None) -> TableProof:
        place = (self._database, *table.shape.name)
        try:
            here, there, found = Comparison(self._pair, table, self._options.settle_timeout).run(at)
        except BlueGreenError as error:
            return TableProof(*place, error=f"could not be compared: {error.message}", columns_left_out=table.left_out)
        except psycopg2.Error as error:
            problem = f"could not be compared: {self._in_time(error)}"
            return TableProof(*place, error=problem, columns_left_out=table.left_out)
        proof = TableProof(
            *place,
            blue_rows=here if self._source.side == "blue" else there,
            green_rows=there if self._source.side == "blue" else here,
            equal=not found.different and not found.undecided,
            differences=comparison.describe(list(table.shape.key), found.different, *self._sides),
            different=len(found.different),
            at_least=found.at_least,
            error=in_flux(found.undecided, self._options.settle_timeout),
            columns_left_out=table.left_out,
        )
        if proof.equal and self._options.method == "live":
            self._progress.note(proof, digest(table.shape))
        return proof

    def _in_time(self, error: psycopg2.Error) -> str:
        try:
            self._pair.limit.check()
        except BlueGreenError as over:
            return over.message
        return words(error)

    def _large_objects(self) -> list[TableProof]:
        label = ".".join(verify_others.LARGE_OBJECTS)
        if self._excluded(label):
            return []
        if self._options.expected.whole(self._database, label):
            return [TableProof(self._database, *verify_others.LARGE_OBJECTS, expected=True)]
        try:
            proof = verify_others.large_objects(self._pair.both, self._database, *self._sides)
        except BlueGreenError as error:
            problem = error.message
        except psycopg2.Error as error:
            problem = self._in_time(error)
        else:
            return [proof] if proof else []
        return [TableProof(self._database, *verify_others.LARGE_OBJECTS, error=f"could not be compared: {problem}")]

    def _sequences(self) -> SequenceReport:
        try:
            return verify_others.sequences(self._pair.both, self._database, self._options.expected, self._sides[0])
        except BlueGreenError as error:
            problem = error.message
        except psycopg2.Error as error:
            problem = self._in_time(error)
        return SequenceReport(0, [f"{self._database}: the sequences could not be compared: {problem}"])
