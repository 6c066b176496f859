# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a verification is asked and what it answers, the same for every engine."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from .comparison import TableProof
from .differences import ExpectedDifferences
from .errors import BlueGreenError

Method = Literal["live", "cut"]
Place = tuple[str, str, str]
"""Database, schema, table."""

OTHER_SIDE = {"blue": "green", "green": "blue"}
WORTH_KEEPING = 5.0  # seconds; what takes less is simply done again
_CANCEL_EVERY = 0.2


@dataclass(frozen=True)
class SequenceReport:
    """How the sequences of one database stand: how many were compared, and those that could give out a value again."""

    compared: int
    behind: Sequence[str]


@dataclass
class DefinitionReport:
    """How many objects were compared by their definition, and what is not the same, in words."""

    compared: int = 0
    different: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Options:
    """What to compare, and how.

    ``parallel`` sessions read on each side at a time; ``settle_timeout`` seconds for the rows in flux of one table, and for
    the wait for a table that somebody else has locked; ``marker_timeout`` for one marker; ``lock_timeout``: how long writers
    may wait for a cut; ``timeout`` for everything, 0 for ever. ``exclude``: patterns of ``schema.table`` or
    ``database.schema.table``. ``resume_max_age``: seconds for which the proofs of an interrupted run still count.
    """

    method: Method = "live"
    parallel: int = 2
    settle_timeout: float = 60.0
    marker_timeout: float = 30.0
    lock_timeout: float = 0.5
    timeout: float = 0.0
    exclude: Sequence[str] = ()
    expected: ExpectedDifferences = field(default_factory=ExpectedDifferences)
    resume_max_age: int = 0


@dataclass
class Verdict:
    """Everything that was found.

    ``stall_ms``: the longest time that writers may have waited, None without a cut. ``definitions``: where they are compared.
    """

    tables: list[TableProof] = field(default_factory=list)
    sequences: dict[str, SequenceReport] = field(default_factory=dict)
    not_compared: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    stall_ms: float | None = None
    definitions: DefinitionReport | None = None

    @property
    def sequences_behind(self) -> list[str]:
        """The sequences that could give out a value again, of all databases, in words."""
        return [one for report in self.sequences.values() for one in report.behind]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for a module's result."""
        definitions = {"definitions": dict(self.definitions.__dict__)} if self.definitions else {}
        return {
            **definitions,
            "tables": [proof.as_dict() for proof in self.tables],
            "sequences": {
                "compared": sum(report.compared for report in self.sequences.values()),
                "behind": self.sequences_behind,
            },
            "not_compared": self.not_compared,
            "stall_ms": self.stall_ms,
        }


@dataclass(frozen=True)
class Proved:
    """A table that a run before this one proved to be equal; ``shape`` is a digest of how it was read."""

    shape: str
    blue_rows: int
    green_rows: int
    proved_at: str


def unmatched(
    expected: ExpectedDifferences, names: Mapping[str, set[str]], columns: Mapping[tuple[str, str], set[str]]
) -> list[str]:
    """Warnings for declared differences that match nothing.

    ``names``: database -> labels, ``columns``: (database, label) -> columns; each of both sides together.
    """
    said = []
    for one in expected.declared:
        hit = any(one.names(database, label) for database, every in names.items() for label in every)
        if not hit:
            said.append(
                f"expected_differences: {one.object} matches nothing on either side: correct the name or drop it"
            )
            continue
        there = {name for (database, label), every in columns.items() if one.names(database, label) for name in every}
        said += [
            f"expected_differences: no column of {one.object} is named {pattern}: correct the name or drop it"
            for pattern in one.columns
            if not any(_matches(name, pattern) for name in there)
        ]
    return said


def in_flux(undecided: int, settle_timeout: float) -> str | None:
    """What is said of rows that could not be decided."""
    if not undecided:
        return None
    return (
        f"could not be compared: {undecided} rows were still in flux after {settle_timeout:g} s; run it again when less is "
        "written, raise settle_timeout, or use method cut"
    )


def _matches(name: str, pattern: str) -> bool:
    probe = ExpectedDifferences.of([{"object": "s.t", "columns": [pattern]}])
    return probe.column("d", "s.t", name)


class Cancellable(Protocol):
    """A session whose statement can be ended from another thread."""

    def cancel(self) -> None:
        """End the statement that runs."""


class Limit:
    """The time that a verification may take, 0 for ever; when it is over, whatever runs is cancelled."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._over, self._passed = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._watched: list[Cancellable] = []
        self._thread = threading.Thread(target=self._watch, name="verify-limit", daemon=True)
        if seconds:
            self._thread.start()

    def watch(self, session: Cancellable) -> None:
        """Cancel this session too."""
        with self._lock:
            self._watched.append(session)

    def check(self) -> None:
        """Raise :class:`BlueGreenError` when the time is over."""
        if self._passed.is_set():
            raise BlueGreenError(
                f"the verification's timeout of {self._seconds:g} s was over: raise timeout, or let a run go on from this one "
                "with resume_max_age"
            )

    def end(self) -> None:
        """Watch no more."""
        self._over.set()

    def _watch(self) -> None:
        if self._over.wait(self._seconds):
            return
        self._passed.set()
        while not self._over.wait(_CANCEL_EVERY):
            with self._lock:
                watched = list(self._watched)
            for session in watched:
                session.cancel()


def gather(futures: Iterable[Future[Any]]) -> list[Any]:
    """The results of all, or what the first failed one raised; none of them runs any more then."""
    every = list(futures)
    wait(every)
    return [future.result() for future in every]
