# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Carries sequences to the other side: nearly all of it before the window, what moved since then inside it.

What is remembered from before the window only saves work: without it every sequence is compared and set in the window.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

try:
    from psycopg2 import errors
except ImportError:  # refused in connection.require_driver()
    pass

from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError, words
from . import side_sequences as sequences
from .side_sequences import Description, Name, Shape, State, Tolerance
from .side_watch import Seen, Watch

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

_LOOKS = 4  # databases at once


@dataclass(frozen=True)
class Carried:
    """What the sequences came to: how many, how many had to be set in the window, and the milliseconds it took of it."""

    looked_at: int = 0
    carried: int = 0
    ms: float = 0.0

    def __str__(self) -> str:
        return f"sequences: {self.looked_at} looked at, {self.carried} carried over, {self.ms:.0f} ms"


class Carrier:
    """The sequences of one database on their way from ``source`` to ``target``; ``margin`` 0 carries them exactly."""

    def __init__(self, source: Connection, endpoint: Endpoint, target: Connection, margin: int) -> None:
        self._watch, self._target, self._margin = Watch(source, endpoint), target, margin
        self._there: dict[Name, tuple[Description, State] | None] = {}  # what is known of the target, None: not there
        self._seen: Seen | None = None

    @property
    def connections(self) -> list[Connection]:
        """The sessions on the source that are used beside the one that was given."""
        return self._watch.connections

    def prepare(self) -> None:
        """Set what is not far enough ahead on the target; the window is still to come."""
        try:
            seen = self._watch.read()
            self._set(seen, sequences.before_window)
        except errors.InsufficientPrivilege as error:
            raise BlueGreenError(
                f"Every sequence must be readable on the side that serves and settable on the other, but: {words(error)}; "
                "GRANT SELECT, UPDATE on it to the user, on both sides."
            ) from None
        self._watch.prepare(seen, {oid: self._tolerance(seen, oid) for oid in seen.states})

    def look(self) -> None:
        """Look at the source behind the fence; from another thread, while nothing else uses its connection."""
        self._seen = None
        self._seen = self._watch.look()

    def carry(self) -> tuple[int, int]:
        """Set what gives out a value on the target that the source has given out; returns how many were seen and set."""
        seen = self._seen or self._watch.look()
        return seen.total, self._set(seen, sequences.in_window)

    def _tolerance(self, seen: Seen, oid: int) -> Tolerance:
        state, found = seen.states[oid], self._on_target(seen.described[oid].name)
        if found is None:
            return Tolerance(state.last_value, state.last_value, state.is_called)
        there, value = found
        return sequences.tolerance(state, value, there.shape, self._margin)

    def _set(self, seen: Seen, rule: Callable[[State, State, Shape, int], State | None]) -> int:
        due: dict[int, State] = {}
        for oid, state in seen.states.items():
            name = seen.described[oid].name
            found = self._on_target(name)
            if found is None:
                continue
            there, value = found
            goal = rule(state, value, there.shape, self._margin)
            if goal is not None:
                due[there.oid] = goal
                self._there[name] = (there, goal)
        sequences.write(self._target, due)
        return len(due)

    def _on_target(self, name: Name) -> tuple[Description, State] | None:
        """What is known of the target's sequence; None when it has none, which is the guardrails' business."""
        if name not in self._there:
            described = sequences.describe(self._target)
            states = sequences.read(self._target, described)
            self._there.update({one.name: (one, states[one.oid]) for one in described if one.oid in states})
        return self._there.setdefault(name, None)


class Look:
    """The sequences of every database, looked at while other work goes on."""

    def __init__(self, carriers: Sequence[Carrier]) -> None:
        self._pool = ThreadPoolExecutor(min(len(carriers), _LOOKS), thread_name_prefix="sequences")
        self._futures: list[Future[None]] = [self._pool.submit(carrier.look) for carrier in carriers]

    def result(self) -> float:
        """Wait for every look; returns the seconds that this took."""
        began = time.monotonic()
        try:
            for future in self._futures:
                future.result()
        finally:
            self._pool.shutdown(wait=False)
        return time.monotonic() - began


def carry(carriers: Iterable[Carrier], waited: float) -> Carried:
    """Carry the sequences of every database; ``waited``: seconds that the window has waited for the looks already."""
    began = time.monotonic()
    counts = [carrier.carry() for carrier in carriers]
    return Carried(
        looked_at=sum(looked_at for looked_at, _carried in counts),
        carried=sum(carried for _looked_at, carried in counts),
        ms=round((time.monotonic() - began + waited) * 1000, 1),
    )
