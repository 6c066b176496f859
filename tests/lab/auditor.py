# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The auditor: is every acknowledged transaction on the serving side, exactly once?

It reads the writers' ledger and the databases and nothing else; it shares no code with the collection and believes
nothing that the collection says. It works at a cut, while the writers go on:

1. the ledger is read: everything acknowledged by now must be found;
2. the fenced side is read in one snapshot, then the serving side in one snapshot;
3. the ledger is read again, until every row found has its answer: a row whose answer is "refused", or that nobody
   wrote, is a ghost.

The fenced side is read first, so that a row on it has either come from the serving side, which still has it, or was
there before the switchover, which moved it: what the fenced side has and the serving side has not is a write that went
to the wrong side. Unknown answers are settled by what is there: none or one row is right, two never are.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg2
import pymysql

from tests.lab import auditor_mysql, auditor_neptune, auditor_postgresql
from tests.lab.auditor_snapshot import Row, Snapshot
from tests.lab.load_ledger import COMMITTED, INTENT, REFUSED, UNKNOWN, Entry

Key = tuple[int, int]
_ANSWER_SECONDS = 15.0
_SHOWN = 5
_UNIQUE_VIOLATIONS = ("23505", "1062")
# Errors of the drivers: the side could not be read.
UNREADABLE = (psycopg2.Error, pymysql.MySQLError, auditor_neptune.Unreadable)
__all__ = ["UNREADABLE", "Audit", "Key", "Row", "Side", "Snapshot", "audit", "compare", "read_side"]


@dataclass(frozen=True)
class Side:
    """How the auditor reaches one side: its name for the report, the driver's parameters, the service's engine."""

    name: str
    parameters: Mapping[str, Any] = field(repr=False)
    engine: str = "aurora-postgresql"


@dataclass(frozen=True)
class Audit:
    """The findings; every list but ``resolved`` must be empty."""

    acknowledged: int
    rows: int
    lost: tuple[Key, ...]
    duplicated: tuple[Key, ...]
    ghosts: tuple[Key, ...]
    wrong_side_only: tuple[Key, ...]
    altered: tuple[Key, ...]
    broken_sums: tuple[str, ...]
    collisions: tuple[str, ...]
    resolved_committed: int
    resolved_absent: int

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return not self.findings()

    def findings(self) -> list[str]:
        """Return what was found, one short text each; empty when all is well."""
        counted = {
            "acknowledged writes lost": self.lost,
            "writes doubled": self.duplicated,
            "rows that nobody was told about or that were refused": self.ghosts,
            "writes on the fenced side only": self.wrong_side_only,
            "rows that differ from what was acknowledged": self.altered,
        }
        texts = [f"{len(keys)} {text} ({_some(keys)})" for text, keys in counted.items() if keys]
        return texts + [f"sum broken: {text}" for text in self.broken_sums] + list(self.collisions)

    def line(self) -> str:
        """Return the audit as one line."""
        numbers = (
            f"acknowledged={self.acknowledged} rows={self.rows} lost={len(self.lost)} "
            f"duplicated={len(self.duplicated)} ghosts={len(self.ghosts)} "
            f"unknown={self.resolved_committed}+{self.resolved_absent} (there + not there)"
        )
        return numbers if self.clean else f"{numbers}: " + "; ".join(self.findings())


def _some(keys: Sequence[Key]) -> str:
    shown = ", ".join(f"writer {writer} n={n}" for writer, n in keys[:_SHOWN])
    return shown + (", .." if len(keys) > _SHOWN else "")


def compare(
    before: Mapping[Key, Entry], serving: Snapshot, after: Mapping[Key, Entry], fenced: Snapshot | None = None
) -> Audit:
    """Return the findings from the ledger read before, the snapshot(s), and the ledger read after.

    ``after`` has an answer (or, for writers that ended, ``unknown``) for every row's transaction; an intent without one
    counts as unknown.
    """
    times = Counter((row.writer, row.n) for row in serving.rows)
    acknowledged = {key: entry for key, entry in before.items() if entry.outcome == COMMITTED}
    answers = {key: after[key].outcome if key in after else None for key in times}
    unknown = [key for key, entry in after.items() if entry.outcome in (UNKNOWN, INTENT) and key in before]
    wrong_side: set[Key] = set()
    if fenced is not None:
        wrong_side = {(row.writer, row.n) for row in fenced.rows} - times.keys()
    return Audit(
        acknowledged=len(acknowledged),
        rows=len(serving.rows),
        lost=tuple(sorted(acknowledged.keys() - times.keys())),
        duplicated=tuple(sorted(key for key, count in times.items() if count > 1)),
        ghosts=tuple(sorted(key for key, outcome in answers.items() if outcome in (None, REFUSED))),
        wrong_side_only=tuple(sorted(wrong_side)),
        altered=tuple(sorted(set(_altered(serving.rows, after)))),
        broken_sums=serving.broken_sums,
        collisions=(*serving.collisions, *_acknowledged_collisions(after.values())),
        resolved_committed=sum(key in times for key in unknown),
        resolved_absent=sum(key not in times for key in unknown),
    )


def _altered(rows: Iterable[Row], answers: Mapping[Key, Entry]) -> Iterable[Key]:
    """Yield the rows whose amount or id is not what the writer was told."""
    for row in rows:
        entry = answers.get((row.writer, row.n))
        if entry is None or entry.outcome != COMMITTED:
            continue
        if (row.amount, row.row_id, row.server) != (entry.amount, entry.row_id, entry.server):
            yield row.writer, row.n


def _acknowledged_collisions(entries: Collection[Entry]) -> list[str]:
    """Return what the writers saw of values that a sequence handed out twice, deleted rows included."""
    taken = Counter(entry.row_id for entry in entries if entry.outcome == COMMITTED)
    twice = sorted(value for value, count in taken.items() if value is not None and count > 1)
    texts = [f"{len(twice)} sequence values of shop.ledger handed out twice ({twice[0]}, ..)"] if twice else []
    refused = sum(entry.sqlstate in _UNIQUE_VIOLATIONS for entry in entries)
    return texts + ([f"{refused} writes refused because a sequence handed out a taken value"] if refused else [])


def read_side(side: Side) -> Snapshot:
    """Return what ``side`` holds, all of it in one snapshot. Raises the driver's error when it cannot be read."""
    others = {"aurora-mysql": auditor_mysql.read, "neptune": auditor_neptune.read}
    return others.get(side.engine, auditor_postgresql.read)(side.parameters)


def audit(
    ledger: Callable[[], Iterable[Entry]], serving: Side, fenced: Side | None = None, wait: float = _ANSWER_SECONDS
) -> Audit:
    """Return the findings at a cut made now; ``ledger`` returns one entry per transaction each time it is called.

    Waits at most ``wait`` seconds for the answers to the rows found. Raises one of UNREADABLE when a side cannot be read:
    an audit that could not be made is not a clean one.
    """
    before = _by_key(ledger())
    fenced_rows = read_side(fenced) if fenced is not None else None
    snapshot = read_side(serving)
    found = {(row.writer, row.n) for row in snapshot.rows}
    deadline = time.monotonic() + wait
    while True:
        after = _by_key(ledger())
        unanswered = any(key not in after or after[key].outcome == INTENT for key in found)
        if not unanswered or time.monotonic() > deadline:
            return compare(before, snapshot, after, fenced_rows)
        time.sleep(0.2)


def _by_key(entries: Iterable[Entry]) -> dict[Key, Entry]:
    return {(entry.writer, entry.n): entry for entry in entries}
