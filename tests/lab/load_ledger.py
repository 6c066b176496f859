# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger: what each writer was told about each of its transactions.

One append-only file per writer. A transaction is named by ``(writer, n)``; ``n`` only grows and is never used twice.
Before the statement that commits, the writer appends an ``intent`` line; when the answer is there, a second line says
``committed`` (acknowledged by the server), ``refused`` (the server said no, or the connection was lost before the
commit was sent) or ``unknown`` (the connection was lost with the commit on its way: the row may be there or not).
An intent without a second line is unknown too, so that a killed writer hides nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

INTENT, COMMITTED, REFUSED, UNKNOWN = "intent", "committed", "refused", "unknown"
_OUTCOMES = frozenset({INTENT, COMMITTED, REFUSED, UNKNOWN})
_SUFFIX = ".ledger"


@dataclass(frozen=True)
class Entry:
    """One transaction of one writer; times are seconds since the epoch, ``ended`` is when the answer was known."""

    writer: int
    n: int
    outcome: str
    kind: str
    started: float
    ended: float
    amount: int = 0
    row_id: int | None = None
    server: str | None = None
    sqlstate: str | None = None

    def line(self) -> bytes:
        """Return the entry as one line of a ledger file."""
        fields = (
            self.n,
            self.outcome,
            self.kind,
            f"{self.started:.6f}",
            f"{self.ended:.6f}",
            self.amount,
            "-" if self.row_id is None else self.row_id,
            self.server or "-",
            self.sqlstate or "-",
        )
        return ("\t".join(str(field) for field in fields) + "\n").encode("ascii")

    @classmethod
    def parse(cls, writer: int, line: str) -> Entry:
        """Return the entry of one line; raises ValueError for a line that no writer wrote."""
        n, outcome, kind, started, ended, amount, row_id, server, sqlstate = line.rstrip("\n").split("\t")
        if outcome not in _OUTCOMES:
            raise ValueError(f"outcome {outcome!r} in the ledger of writer {writer}")
        return cls(
            writer=writer,
            n=int(n),
            outcome=outcome,
            kind=kind,
            started=float(started),
            ended=float(ended),
            amount=int(amount),
            row_id=None if row_id == "-" else int(row_id),
            server=None if server == "-" else server,
            sqlstate=None if sqlstate == "-" else sqlstate,
        )


class LedgerFile:
    """The append-only file of one writer: every line is one ``write``, so a kill never leaves half a line."""

    def __init__(self, directory: Path, writer: int) -> None:
        self.path = directory / f"writer-{writer}{_SUFFIX}"
        self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def append(self, entry: Entry) -> None:
        """Append one entry."""
        os.write(self._fd, entry.line())

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


class Ledger:
    """All ledger files of a directory, read as they grow."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._read: dict[Path, int] = {}  # bytes of each file that were read
        self._settled: dict[tuple[int, int], Entry] = {}

    def settled(self) -> Mapping[tuple[int, int], Entry]:
        """Return one entry per transaction up to now: its answer, or its intent when there is none yet.

        Raises ValueError when a transaction has two answers or when an ``n`` was used again: the ledger would prove
        nothing.
        """
        for path in sorted(self._directory.glob(f"writer-*{_SUFFIX}")):
            for entry in self._new_lines(path):
                settle(self._settled, entry)
        return dict(self._settled)

    def _new_lines(self, path: Path) -> Iterator[Entry]:
        """Yield what was written to a file since the last time; a line without its newline is still being written."""
        writer = int(path.name[len("writer-") : -len(_SUFFIX)])
        with path.open("rb") as file:
            file.seek(self._read.get(path, 0))
            text = file.read()
        text = text[: text.rfind(b"\n") + 1]
        self._read[path] = self._read.get(path, 0) + len(text)
        for line in text.decode("ascii").splitlines():
            yield Entry.parse(writer, line)


def settle(settled: dict[tuple[int, int], Entry], entry: Entry) -> None:
    """Add a line to what is settled. Raises ValueError when it contradicts what is there."""
    key = (entry.writer, entry.n)
    before = settled.get(key)
    if before is not None and (before.outcome != INTENT or entry.outcome == INTENT):
        raise ValueError(f"writer {entry.writer} has a second line {entry.outcome!r} for n={entry.n}")
    settled[key] = entry


def as_final(settled: Mapping[tuple[int, int], Entry]) -> dict[tuple[int, int], Entry]:
    """Return the entries of writers that have ended: an intent that was never answered is unknown."""
    return {
        key: replace(entry, outcome=UNKNOWN) if entry.outcome == INTENT else entry for key, entry in settled.items()
    }


@dataclass(frozen=True)
class Phase:
    """A named stretch of the run that begins at ``at`` (seconds since the epoch) and ends where the next one begins."""

    name: str
    at: float


@dataclass(frozen=True)
class PhaseCount:
    """What the writers were told within one phase; ``longest_gap`` in seconds."""

    name: str
    seconds: float
    committed: int
    refused: int
    unknown: int
    longest_gap: float


@dataclass(frozen=True)
class Run:
    """The stretch of time (seconds since the epoch) that writers ran, and which of them count for gaps."""

    writers: frozenset[int]
    began: float
    until: float


def longest_gap(entries: Iterable[Entry], run: Run, start: float = 0.0, end: float = float("inf")) -> float:
    """Return the longest time (s) any one writer was without an acknowledgement, among gaps that touch [start, end].

    A gap counts in its full length even when only a part of it lies within. The time before the first and after the
    last acknowledgement are gaps too: a writer that never got through is the longest gap of all.
    """
    answers: dict[int, list[float]] = {writer: [run.began] for writer in run.writers}
    for entry in entries:
        if entry.outcome == COMMITTED and entry.writer in answers:
            answers[entry.writer].append(entry.ended)
    gaps = [0.0]
    for times in answers.values():
        times.append(max(run.until, *times))
        times.sort()
        gaps += [b - a for a, b in pairwise(times) if a <= end and b >= start]
    return max(gaps)


def count_phases(entries: Sequence[Entry], phases: Sequence[Phase], run: Run) -> list[PhaseCount]:
    """Return one count per phase, by the time of the answer; only ``run.writers`` count for the longest gap."""
    counts = []
    for index, phase in enumerate(phases):
        end = phases[index + 1].at if index + 1 < len(phases) else float("inf")
        outcomes = [entry.outcome for entry in entries if phase.at <= entry.ended < end]
        counts.append(
            PhaseCount(
                name=phase.name,
                seconds=min(end, run.until) - phase.at,
                committed=outcomes.count(COMMITTED),
                refused=outcomes.count(REFUSED),
                unknown=outcomes.count(UNKNOWN),
                longest_gap=longest_gap(entries, run, phase.at, end),
            )
        )
    return counts
