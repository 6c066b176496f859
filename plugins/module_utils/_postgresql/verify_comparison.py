# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""One table of both sides, compared: in parts, by several sessions at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from .._core import comparison
from .._core.comparison import Chunks, Rows, Settled
from .._core.verification import gather
from .._core.waiting import Deadline
from . import verify_table
from .verify_rules import chunks, parts
from .verify_sessions import Moment, Pair, Session, moment
from .verify_table import Part, Shape

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

_ROWS_AT_ONCE = 200_000  # keys held in memory
_MOST_PENDING = 20_000
_PARTS_PER_SESSION = 8


@dataclass(frozen=True)
class Table:
    """A table that both sides have; ``shape`` is what they have in common, ``estimated_rows`` those of the larger one."""

    shape: Shape
    estimated_rows: int
    left_out: Sequence[str] = ()


@dataclass
class _Pending:
    """The rows that are not the same at two moments; ``more``: there are others that were not read."""

    before: Rows = field(default_factory=dict)
    after: Rows = field(default_factory=dict)
    keys: list[Any] = field(default_factory=list)
    more: bool = False


class Comparison:
    """One table, compared."""

    def __init__(self, pair: Pair, table: Table, settle_timeout: float) -> None:
        self._pair, self._shape = pair, table.shape
        self._settle_timeout = settle_timeout
        sizes = pair.both(partial(verify_table.blocks, name=table.shape.name))
        self._source_parts, self._target_parts = (
            parts(table.shape, size, pair.size * _PARTS_PER_SESSION) for size in sizes
        )
        self._count = chunks(table.estimated_rows, max(sizes))

    def run(self, at: Moment | None) -> tuple[int, int, Settled]:
        """Rows on the source, rows on the target, and what differs; ``at``: one moment of both sides, else live."""
        if at is not None:
            here, there, pending = self._look(at)
            found = comparison.different(pending.before, pending.after, pending.keys)
            found.at_least |= pending.more
            return here, there, found
        if len(self._source_parts) == len(self._target_parts) == 1:
            sums = self._chunks(Moment())  # a small table is often the same at once, whatever the two moments are
            if sums[0] == sums[1]:
                return comparison.total(sums[0]), comparison.total(sums[1]), Settled()
        with self._pair.own() as (source, target):
            return self._live(source, target)

    def _live(self, source: Session, target: Session) -> tuple[int, int, Settled]:
        deadline: Deadline | None = None
        while True:
            with moment(self._pair, source, target, self._shape.name) as at:
                here, there, pending = self._look(at)
            deadline = deadline or Deadline(self._settle_timeout)
            looks = _Looks(self._pair, self._shape, source, target)
            found = comparison.settle(
                looks, pending.before, pending.after, pending.keys, deadline, counted=not self._shape.key
            )
            found.at_least |= pending.more
            # a row without a key that is changed cannot be followed to what it is now
            unknown = int(pending.more) + found.vanished
            if found.different or found.undecided or not unknown:
                return here, there, found
            if deadline.passed:
                found.undecided = unknown
                return here, there, found

    def _look(self, at: Moment) -> tuple[int, int, _Pending]:
        here, there = self._chunks(at)
        pending = _Pending()
        suspects = sorted(comparison.differing(here, there))
        for group in comparison.groups(suspects, here, there, _ROWS_AT_ONCE):
            if len(pending.keys) >= _MOST_PENDING:
                pending.more = True
                break
            before, after = self._rows(at, group)
            keys = comparison.differing(before, after)
            pending.keys += keys
            pending.before.update({key: before[key] for key in keys if key in before})
            pending.after.update({key: after[key] for key in keys if key in after})
        return comparison.total(here), comparison.total(there), pending

    def _chunks(self, at: Moment) -> tuple[Chunks, Chunks]:
        here, there = self._read(
            at, lambda part: partial(verify_table.read_chunks, shape=self._shape, chunks=self._count, part=part)
        )
        return comparison.add_chunks(here), comparison.add_chunks(there)

    def _rows(self, at: Moment, wanted: Sequence[int]) -> tuple[Rows, Rows]:
        here, there = self._read(
            at,
            lambda part: partial(
                verify_table.read_rows, shape=self._shape, chunks=self._count, wanted=wanted, part=part
            ),
        )
        keyed = bool(self._shape.key)
        return comparison.add_rows(here, keyed), comparison.add_rows(there, keyed)

    def _read(self, at: Moment, read: Callable[[Part], Callable[[Connection], Any]]) -> tuple[list[Any], list[Any]]:
        """What ``read`` finds in every part, on the source and on the target, all at the same time."""
        source = [self._pair.source.look(read(part), at.source) for part in self._source_parts]
        target = [self._pair.target.look(read(part), at.target) for part in self._target_parts]
        found = gather([*source, *target])
        return found[: len(source)], found[len(source) :]


class _Looks:
    """Looks at the rows of one table, by sessions that nobody else uses: quick, so that little is in flux between two."""

    def __init__(self, pair: Pair, shape: Shape, source: Session, target: Session) -> None:
        self._pair, self._shape = pair, shape
        self._source, self._target = source, target

    def source(self, keys: Sequence[Any]) -> Rows:
        """See :class:`comparison.Looks`."""
        return verify_table.read_again(self._source.conn, self._shape, keys)

    def target(self, keys: Sequence[Any]) -> Rows:
        """See :class:`comparison.Looks`."""
        return verify_table.read_again(self._target.conn, self._shape, keys)

    def pass_marker(self) -> None:
        """See :class:`comparison.Looks`."""
        self._pair.pass_marker()
