# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What clients saw of a switchover: gaps, phases, where new connections went, what became of acknowledged writes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from tests.clients.fleet import Attempt, Event

PHASES = ("CREATED", "PREPARATION", "IN_PROGRESS", "POST", "COMPLETED")
ROLLED_BACK = "(rollback)"
_LINE = re.compile(r"^\s*(\d{4}-\d\d-\d\d[T ][\d:.]+Z?)\s+(?:(-?\d+)?\s*ms\b)?\s*(\S.*?)\s*$")


@dataclass(frozen=True)
class Step:
    """One line of the table that a wrapper logs when a switchover is over."""

    at: float
    event: str


def timeline(events: Iterable[Event]) -> list[Step]:
    """Return the lines of the wrapper's table, those of the last one when there are several; none before it is logged."""
    tables = [event.text for event in events if "time offset (ms)" in event.text]
    lines = [found for line in (tables[-1].splitlines() if tables else []) if (found := _LINE.match(line))]
    return [Step(_seconds(line[1]), line[3]) for line in lines]


def _seconds(text: str) -> float:
    """The time of a line: JDBC writes it in UTC with nine digits, Python in local time."""
    stamp = re.sub(r"(\.\d{6})\d+", r"\1", text)
    return datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()


def phases(steps: Iterable[Step]) -> list[str]:
    """Return the phases among the events, in the table's order."""
    return [step.event for step in steps if step.event.split(" (")[0] in PHASES]


def moment(steps: Iterable[Step], event: str) -> float:
    """Return when an event was; raises LookupError when it was not."""
    for step in steps:
        if step.event == event:
            return step.at
    raise LookupError(f"no {event}")


def longest_gap(writes: Sequence[Attempt], start: float, end: float) -> float:
    """Return the longest time (s) that a session that writes was without an acknowledgement within [start, end]."""
    longest = 0.0
    for who in {write.who for write in writes}:
        acknowledged = sorted(write.end for write in writes if write.who == who and not write.error)
        times = [start, *(time for time in acknowledged if start <= time <= end), end]
        longest = max(longest, max(b - a for a, b in pairwise(times)))
    return longest


def reached(connections: Iterable[Attempt], servers: Collection[str], since: float) -> list[Attempt]:
    """Return the new connections that were begun since a moment and were answered by one of these servers."""
    return [one for one in connections if one.at >= since and one.server in servers]


def lost(writes: Iterable[Attempt], rows: Mapping[tuple[str, int], int]) -> list[tuple[str, int]]:
    """Return the acknowledged writes that are not among the rows (client and number -> how often)."""
    return [(write.who, write.n) for write in writes if not write.error and not rows.get((write.who, write.n))]


def doubled(rows: Mapping[tuple[str, int], int]) -> list[tuple[str, int]]:
    """Return the writes that are there more than once."""
    return [key for key, times in rows.items() if times > 1]


def errors(attempts: Iterable[Attempt]) -> dict[str, int]:
    """Return how often each kind of error was met."""
    return dict(Counter(attempt.error.split(":")[0] for attempt in attempts if attempt.error))
