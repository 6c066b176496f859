# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""How two sides are compared, whatever the engine: what differs, what is only in flux, and what is proved by that.

A row is a key and a hash of its content, a table is cut into chunks by a hash of the key, a chunk is how many rows it has and
the sum of their hashes. An engine reads these; everything that decides is here and knows no server.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import Any, Protocol

from .errors import BlueGreenError
from .waiting import Deadline

Rows = dict[Any, int]
"""Key -> hash of the content; of a table without a key: hash of the row -> how often it is there."""
Chunks = dict[int, tuple[int, int]]
"""Chunk number -> how many rows and the sum of their hashes."""

MAX_DIFFERENCES = 20
ENOUGH = 1000  # differences of one table after which no more are looked for
# A row that toggles looks unmoved, and not as the target has it, in about one look of four. So many looks in a row prove a
# difference, one in a million by mistake; when time is up a few must do.
_CONFIRMATIONS, _AT_LEAST = 10, 3
_KEYS_AT_ONCE = 10_000
_MAX_NAMED = 3


@dataclass(frozen=True)
class TableProof:
    """What was found about one table; ``equal`` only when that is proved, ``error`` says why nothing could be.

    ``at_least``: the counting of ``different`` ended early. ``expected``: declared as a difference, hence not compared.
    ``proved_at``: when it was proved, if that was by a run before this one.
    """

    database: str
    schema: str
    table: str
    blue_rows: int | None = None
    green_rows: int | None = None
    equal: bool = False
    differences: Sequence[str] = ()
    different: int = 0
    at_least: bool = False
    error: str | None = None
    expected: bool = False
    columns_left_out: Sequence[str] = ()
    proved_at: str | None = None

    @property
    def place(self) -> str:
        """The table as a person writes it; on MySQL the database is the schema."""
        label = f"{self.schema}.{self.table}"
        return label if self.database == self.schema else f"{self.database}: {label}"

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a module's result."""
        return {
            **self.__dict__,
            "differences": list(self.differences),
            "columns_left_out": list(self.columns_left_out),
        }


class Looks(Protocol):
    """Looks at the rows of one table by their keys, and markers between them."""

    def source(self, keys: Sequence[Any]) -> Rows:
        """The rows with these keys that are on the source now."""

    def target(self, keys: Sequence[Any]) -> Rows:
        """The rows with these keys that are on the target now."""

    def pass_marker(self) -> None:
        """Return when the target has everything that the source had when this was called."""


@dataclass
class Settled:
    """Keys that differ with both values, and how many could not be decided.

    ``vanished``: rows without a key that only the source had, and has no more. ``at_least``: others were not looked at.
    """

    different: dict[Any, tuple[int | None, int | None]] = field(default_factory=dict)
    undecided: int = 0
    vanished: int = 0
    at_least: bool = False

    def add(self, other: Settled) -> None:
        """Take in what was found of other keys."""
        self.different.update(other.different)
        self.undecided += other.undecided
        self.vanished += other.vanished
        self.at_least |= other.at_least


def differing(here: Mapping[Any, Any], there: Mapping[Any, Any]) -> list[Any]:
    """The keys whose values are not the same, those that only one side has included."""
    return [key for key in here.keys() | there.keys() if here.get(key) != there.get(key)]


def add_chunks(parts: Iterable[Chunks]) -> Chunks:
    """One table from its parts: sums are additive."""
    whole: Chunks = {}
    for part in parts:
        for number, (count, total) in part.items():
            counted, summed = whole.get(number, (0, 0))
            whole[number] = (counted + count, summed + total)
    return whole


def add_rows(parts: Iterable[Rows], keyed: bool) -> Rows:
    """The rows of a table from its parts; without a key the same row may be in several."""
    whole: Rows = {}
    for part in parts:
        if keyed:
            whole.update(part)
            continue
        for key, count in part.items():
            whole[key] = whole.get(key, 0) + count
    return whole


def total(chunks: Chunks) -> int:
    """How many rows the chunks have."""
    return sum(count for count, _sum in chunks.values())


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


def ranges(blocks: int, least: int, most: int) -> list[tuple[int, int | None]]:
    """A table's blocks in at most ``most`` ranges of at least ``least`` blocks; the last one has no end."""
    count = max(1, min(most, blocks // least))
    edges = [blocks * number // count for number in range(count)]
    return [*pairwise(edges), (edges[-1], None)]


def settle(
    looks: Looks, before: Rows, after: Rows, pending: Sequence[Any], deadline: Deadline, *, counted: bool = False
) -> Settled:
    """Decide about the keys ``pending``: ``before`` on the source, then a marker, then ``after`` on the target.

    A row differs when it was the same on the source before and after the target had been looked at, several times; one that
    moved meanwhile is looked at again. Ends early when enough differences are found. ``counted``: the values are how often a
    row is there, so that one which is there less often has vanished.
    """
    found = Settled()
    for start in range(0, len(pending), _KEYS_AT_ONCE):
        found.add(_settle(looks, before, after, pending[start : start + _KEYS_AT_ONCE], deadline, counted))
        if len(found.different) >= ENOUGH and start + _KEYS_AT_ONCE < len(pending):
            found.at_least = True
            break
    return found


def _settle(
    looks: Looks, before: Rows, there: Rows, pending: Sequence[Any], deadline: Deadline, counted: bool
) -> Settled:
    found = Settled()
    suspected: dict[Any, int] = {}
    lost: set[Any] = set()
    keys = list(pending)
    while keys:
        lost.update(key for key in keys if counted and before.get(key, 0) > there.get(key, 0))
        again = looks.source(keys)
        still = {key for key in keys if before.get(key) == again.get(key)}
        suspected = {key: suspected.get(key, 0) + 1 for key in still}
        enough = _AT_LEAST if deadline.passed else _CONFIRMATIONS
        for key in [key for key, times in suspected.items() if times >= enough]:
            found.different[key] = (again.get(key), there.get(key))
        keys = [key for key in keys if key not in found.different]
        if deadline.passed:
            found.undecided = len(keys)
            break
        before = {key: again[key] for key in keys if key in again}
        if keys:
            looks.pass_marker()
            there = looks.target(keys)
            keys = [key for key in keys if before.get(key) != there.get(key)]
    found.vanished = len(lost - found.different.keys() - set(keys))
    return found


def different(before: Rows, after: Rows, pending: Sequence[Any]) -> Settled:
    """The keys ``pending`` of two sides that were read at one moment: what differs there is proved to."""
    found = Settled({key: (before.get(key), after.get(key)) for key in pending[:ENOUGH]})
    found.at_least = len(pending) > ENOUGH
    return found


def describe(
    key: Sequence[str], found: Mapping[Any, tuple[int | None, int | None]], source_side: str, target_side: str
) -> list[str]:
    """The first differences in words; ``key`` are the names of the key's columns, empty when the table has none."""
    said: list[str] = []
    for values in sorted(found, key=str)[:MAX_DIFFERENCES]:
        here, there = found[values]
        if not key:
            said.append(
                f"row with hash {values}: {here or 0} times on {source_side}, {there or 0} times on {target_side}"
            )
            continue
        where = ", ".join(f"{column}={value}" for column, value in zip(key, values, strict=True))
        if here is None or there is None:
            said.append(f"{where}: only on {target_side if here is None else source_side}")
        else:
            said.append(f"{where}: not the same")
    return said


def excluded(database: str, label: str, patterns: Sequence[str]) -> bool:
    """Whether a pattern names the table ``label`` (``schema.table``)."""
    return any(fnmatchcase(label, one) or fnmatchcase(f"{database}.{label}", one) for one in patterns)


def fingerprint(*parts: Any) -> str:
    """A digest of plain values: what was proved is remembered for exactly these."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def summed_up(found: Sequence[str]) -> list[str]:
    """The first of many things in words, and how many others there are."""
    more = len(found) - _MAX_NAMED
    return [*found[:_MAX_NAMED], *([f"{more} more definitions differ"] if more > 0 else [])]


def judge(proofs: Sequence[TableProof], result: Mapping[str, Any], problems: Sequence[str] = ()) -> None:
    """Raise :class:`BlueGreenError`, with ``result`` as its details, unless every table is proved to be equal.

    ``problems``: what else is not as it should be, in words. A declared difference is no proof and no fault.
    """
    compared = [one for one in proofs if not one.expected]
    if not compared:
        raise BlueGreenError("Tables should be compared, but there are none: look at databases and exclude.", **result)
    differ = [one for one in compared if one.different]
    undecided = [one for one in compared if not one.different and not one.equal]
    said = [
        f"{one.place} differs in {'at least ' if one.at_least else ''}{one.different} rows ({one.differences[0]})"
        for one in differ
    ]
    said += [f"{one.place} {one.error}" for one in undecided]
    tables = len(said)
    said = [*said[:_MAX_NAMED], *problems]
    if not said:
        return
    more = f", and {tables - _MAX_NAMED} more tables" if tables > _MAX_NAMED else ""
    wanted, where = ("hold the same rows", "see tables; ") if tables else ("be alike", "")
    raise BlueGreenError(
        f"Blue and green should {wanted}, but {'; '.join(said)}{more}: {where}do not switch over.",
        verified=False,
        **result,
    )
