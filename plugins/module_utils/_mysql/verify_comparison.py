# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""One table of both sides, compared: in chunks, by several sessions at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any

try:
    import pymysql
except ImportError:  # connection.require_driver() says so
    pass

from .._core import comparison
from .._core.comparison import Chunks, Rows, Settled
from .._core.verification import gather
from .._core.waiting import Deadline
from . import verify_table
from .connection import code
from .verify_link import Link
from .verify_moment import moment
from .verify_rules import buckets, large
from .verify_sessions import Crew
from .verify_table import Range, Shape

_ROWS_AT_ONCE = 200_000  # keys held in memory
_MOST_PENDING = 20_000
_CHUNKS_AHEAD = 256
_ATTEMPTS = 3
_CHANGED = 1412  # the table was altered or truncated since the snapshot


@dataclass(frozen=True)
class Table:
    """A table that both sides have; ``shape`` is what they have in common."""

    shape: Shape
    left_out: Sequence[str] = ()


@dataclass
class _Pending:
    """The rows that are not the same at two moments; ``more``: there are others that were not read."""

    before: Rows = field(default_factory=dict)
    after: Rows = field(default_factory=dict)
    keys: list[Any] = field(default_factory=list)
    more: bool = False

    def take(self, before: Rows, after: Rows) -> None:
        """Keep what differs."""
        keys = comparison.differing(before, after)
        self.keys += keys
        self.before.update({key: before[key] for key in keys if key in before})
        self.after.update({key: after[key] for key in keys if key in after})


@dataclass
class _Sums:
    """How many rows each side has, and the chunks that are not the same with their counts and sums."""

    here: int = 0
    there: int = 0
    source: Chunks = field(default_factory=dict)
    target: Chunks = field(default_factory=dict)
    ranges: dict[int, Range] = field(default_factory=dict)

    def take(self, number: int, part: Range, here: tuple[int, int], there: tuple[int, int]) -> None:
        """Count a chunk, and keep it when it differs."""
        self.here += here[0]
        self.there += there[0]
        if here != there:
            self.source[number], self.target[number], self.ranges[number] = here, there, part


class Comparison:
    """One table, compared by a crew."""

    def __init__(self, crew: Crew, link: Link, table: Table, settle_timeout: float) -> None:
        self._crew, self._link, self._shape = crew, link, table.shape
        self._settle_timeout = settle_timeout

    def at_a_cut(self) -> tuple[int, int, Settled]:
        """Rows on the source, rows on the target, and what differs; the crew has snapshots of one moment."""
        here, there, pending = self._look()
        found = comparison.different(pending.before, pending.after, pending.keys)
        found.at_least |= pending.more
        return here, there, found

    def live(self) -> tuple[int, int, Settled]:
        """The same while the source is written to."""
        for _attempt in range(_ATTEMPTS - 1):
            try:
                return self._live()
            except pymysql.MySQLError as error:
                if code(error) != _CHANGED:
                    raise
        return self._live()

    def _live(self) -> tuple[int, int, Settled]:
        if not large(self._shape):  # a small table is often the same at once, whatever the two moments are
            here, there = self._crew.both(partial(verify_table.read_sum, shape=self._shape, part=Range()))
            if here == there:
                return here[0], there[0], Settled()
        deadline: Deadline | None = None
        while True:
            with moment(self._crew, self._link, self._shape):
                here_rows, there_rows, pending = self._look()
            deadline = deadline or Deadline(self._settle_timeout)
            looks = _Looks(self._crew, self._link, self._shape)
            found = comparison.settle(
                looks, pending.before, pending.after, pending.keys, deadline, counted=not self._shape.key
            )
            found.at_least |= pending.more
            # a row without a key that is changed cannot be followed to what it is now
            unknown = int(pending.more) + found.vanished
            if found.different or found.undecided or not unknown:
                return here_rows, there_rows, found
            if deadline.passed:
                found.undecided = unknown
                return here_rows, there_rows, found

    def _look(self) -> tuple[int, int, _Pending]:
        sums = self._sums()
        pending = _Pending()
        if not sums.ranges:
            return sums.here, sums.there, pending
        if self._shape.ranged:
            self._rows_of_ranges(sums, pending)
        else:
            self._rows_of_buckets(max(sums.here, sums.there), pending)
        return sums.here, sums.there, pending

    def _sums(self) -> _Sums:
        read = partial(partial, verify_table.read_sum, shape=self._shape)
        sums = _Sums()
        waiting: deque[tuple[int, Range, Future[tuple[int, int]], Future[tuple[int, int]]]] = deque()

        def collect(most: int) -> None:
            while len(waiting) > most:
                number, part, here, there = waiting.popleft()
                sums.take(number, part, *gather([here, there]))

        for number, part in enumerate(self._ranges()):
            look = read(part=part)
            waiting.append((number, part, self._crew.source.look(look), self._crew.target.look(look)))
            collect(_CHUNKS_AHEAD)
        collect(0)
        return sums

    def _ranges(self) -> Iterator[Range]:
        """The chunks of the table, cut on the target, whose load hurts less; any cut would do."""
        if not self._shape.ranged:
            yield Range()
            return
        scout = self._crew.scout or self._crew.target
        begin: verify_table.Edge | None = None
        while True:
            end = scout.look(partial(verify_table.edge_after, shape=self._shape, begin=begin)).result()
            yield Range(begin, end)
            if end is None:
                return
            begin = end

    def _rows_of_ranges(self, sums: _Sums, pending: _Pending) -> None:
        for group in comparison.groups(sorted(sums.ranges), sums.source, sums.target, _ROWS_AT_ONCE):
            if len(pending.keys) >= _MOST_PENDING:
                pending.more = True
                return
            looks = [partial(verify_table.read_rows, shape=self._shape, part=sums.ranges[number]) for number in group]
            source = [self._crew.source.look(look) for look in looks]
            target = [self._crew.target.look(look) for look in looks]
            found = gather([*source, *target])
            before, after = (
                comparison.add_rows(half, keyed=True) for half in (found[: len(looks)], found[len(looks) :])
            )
            pending.take(before, after)

    def _rows_of_buckets(self, count: int, pending: _Pending) -> None:
        number = buckets(count)
        here, there = self._crew.both(partial(verify_table.read_buckets, shape=self._shape, buckets=number))
        suspects = sorted(comparison.differing(here, there))
        for group in comparison.groups(suspects, here, there, _ROWS_AT_ONCE):
            if len(pending.keys) >= _MOST_PENDING:
                pending.more = True
                return
            look = partial(verify_table.read_bucket_rows, shape=self._shape, buckets=number, wanted=group)
            pending.take(*self._crew.both(look))


class _Looks:
    """Looks at the rows of one table as they are now."""

    def __init__(self, crew: Crew, link: Link, shape: Shape) -> None:
        self._crew, self._link, self._shape = crew, link, shape

    def source(self, keys: Sequence[Any]) -> Rows:
        """See :class:`comparison.Looks`."""
        return self._crew.source.look(partial(verify_table.read_again, shape=self._shape, keys=keys)).result()

    def target(self, keys: Sequence[Any]) -> Rows:
        """See :class:`comparison.Looks`."""
        return self._crew.target.look(partial(verify_table.read_again, shape=self._shape, keys=keys)).result()

    def pass_marker(self) -> None:
        """See :class:`comparison.Looks`."""
        self._link.pass_marker()
