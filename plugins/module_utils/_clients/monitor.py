# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Watches a switchover as the AWS wrappers do: one monitor on each side, by address, as often as the phase asks for.

This is the only place that polls servers and names for it. What a look means is decided in ``phases``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError
from . import phases
from .metadata import SOURCE, TARGET, Phase, Reader, Row, family, phase_of_role
from .phases import HIGH, Look, State
from .resolve import addresses

SideName = Literal["blue", "green"]
Resolve = Callable[[str], Sequence[str]]
_NAMES = 0.25  # s between two questions to DNS during a switchover
_PATIENCE = 3  # s for a connection: what takes longer has missed the phase
_READ_ONLY = {
    "mysql": "SELECT @@GLOBAL.read_only + @@GLOBAL.innodb_read_only",
    "postgresql": "SELECT CASE current_setting('transaction_read_only') WHEN 'on' THEN 1 ELSE 0 END",
}


@dataclass(frozen=True)
class Watched:
    """One side's writer: how to log in, and the name that its certificate has when the names have changed places."""

    endpoint: Endpoint
    dialect: str
    other_host: str


@dataclass(frozen=True)
class Names:
    """The names of each side that clients connect to."""

    blue: tuple[str, ...] = ()
    green: tuple[str, ...] = ()


class Monitor:
    """Both monitors and what they know; ``note`` is called with each event as soon as it is seen.

    Call :meth:`connect`, then :meth:`start`, and :meth:`hurry` when a switchover is about to begin.
    """

    def __init__(
        self,
        sides: Sequence[Watched],
        names: Names,
        note: Callable[[str], None],
        resolve: Resolve = addresses,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sides = {side.endpoint.side: _Side(side, resolve) for side in sides}
        self._names, self._resolve, self._note, self._clock = names, resolve, note, clock
        self._lock = threading.Lock()
        self._stopped, self._awake = threading.Event(), threading.Event()
        self._threads: list[threading.Thread] = []
        self._phases: dict[str, Phase | None] = {}
        self._before: dict[str, tuple[str, ...]] = {}
        self._blue_moved: bool | None = None
        self._green_gone: bool | None = None
        self._members: frozenset[str] | None = None  # green's names when the watch began
        self._renamed: bool | None = None
        self._told: Phase | None = None
        self._state = State()
        self._writes = _Writes()

    @property
    def state(self) -> State:
        """What is known now."""
        with self._lock:
            return self._state

    @property
    def window(self) -> float | None:
        """Seconds from the last look that blue accepted writes to the first one that green did; None unless both were seen."""
        with self._lock:
            return self._writes.window

    @property
    def known_addresses(self) -> dict[str, tuple[str, ...]]:
        """The addresses of every name when the watch began."""
        return dict(self._before)

    def connect(self) -> dict[str, list[Row] | BlueGreenError]:
        """Look once at everything: the rows of each side that is watched, or why they cannot be read."""
        for name in (*self._names.blue, *self._names.green):
            self._before[name] = self._addresses(name) or ()
        for name, side in self._sides.items():
            self._look_at(name, side)
        if "green" in self._sides:
            self._members = self._sides["green"].members()
        self._look_at_names()
        return {name: side.problem or side.rows for name, side in self._sides.items()}

    def start(self) -> None:
        """Go on looking, in threads of its own."""
        loops = [(self._watch, (name, side)) for name, side in self._sides.items()]
        self._threads = [threading.Thread(target=loop, args=given, daemon=True) for loop, given in loops]
        if self._before:
            self._threads.append(threading.Thread(target=self._watch_names, daemon=True))
        for thread in self._threads:
            thread.start()

    def tell(self, phase: Phase) -> None:
        """What the service says of the switchover; it counts as long as no side has rows that can be read."""
        with self._lock:
            self._told = phase
            self._observe()

    @property
    def names_settled(self) -> bool:
        """Whether blue's names lead to green and green's own are gone, as far as names are watched."""
        with self._lock:
            return self._blue_moved is not False and self._green_gone is not False

    @property
    def has_rows(self) -> bool:
        """Whether a side's rows were ever seen."""
        with self._lock:
            return self._has_rows()

    def hurry(self) -> None:
        """Look as often as within a switchover from now on, and at the recorded addresses only."""
        for side in self._sides.values():
            side.frozen = True
        self._awake.set()

    def stop(self) -> None:
        """End the threads; what waits for a server that is frozen is left behind."""
        self._stopped.set()
        self._awake.set()
        for thread in self._threads:
            thread.join(1.0)
        for side in self._sides.values():
            side.close()

    def _watch(self, name: str, side: _Side) -> None:
        while not self._stopped.is_set():
            self._look_at(name, side)
            state = self.state
            seconds = phases.interval(state.phase, connected=side.connected)
            if state.phase >= Phase.PREPARATION:
                side.frozen = True
            if self._awake.is_set():
                self._stopped.wait(HIGH)
            else:
                self._awake.wait(seconds)

    def _watch_names(self) -> None:
        while not self._stopped.is_set():
            if self.state.phase >= Phase.PREPARATION or self._awake.is_set():
                self._look_at_names()
            self._stopped.wait(_NAMES)

    def _look_at(self, name: str, side: _Side) -> None:
        begun = self._clock()
        phase, writable = side.look()
        renamed = name == "green" and self._is_renamed(side)
        with self._lock:
            self._phases[name] = phase
            self._renamed = self._renamed or renamed or None
            self._observe()
            for event in self._writes.seen(name, writable, begun, self._clock(), self._state.phase):
                self._note(event)

    def _is_renamed(self, green: _Side) -> bool:
        """Whether no member of green has a name that one had when the watch began: it has those of blue then."""
        if not self._members or self._renamed or self.state.phase < Phase.IN_PROGRESS:
            return False
        found = green.members()
        return bool(found) and not self._members & (found or frozenset())

    def _look_at_names(self) -> None:
        blue = {name: self._addresses(name) for name in self._names.blue}
        green = {name: self._addresses(name) for name in self._names.green}
        with self._lock:
            if blue and all(found is not None for found in blue.values()):
                self._blue_moved = all(self._moved(name, found or ()) for name, found in blue.items())
            if green and all(found is not None for found in green.values()):
                self._green_gone = not any(green.values())
            self._observe()

    def _moved(self, name: str, found: tuple[str, ...]) -> bool:
        """Whether a name of blue leads to green: elsewhere than before, or, when the watch began late, where green's lead."""
        if not found:
            return False
        before = {green: self._before[green] for green in self._names.green}
        late = bool(before) and (not any(before.values()) or found in before.values())
        return found != self._before[name] or late

    def _has_rows(self) -> bool:
        return any(side.rows_seen for side in self._sides.values())

    def _observe(self) -> None:
        source, target = self._phases.get("blue"), self._phases.get("green")
        if not self._has_rows():
            if self._told is None:
                return
            source, target = None, self._told
        before = self._state.events
        self._state = phases.observe(
            self._state, Look(self._clock(), source, target, self._blue_moved, self._green_gone, self._renamed)
        )
        after = self._state.events
        for event in after[len(before) :] if after[: len(before)] == before else after:
            self._note(event.name)

    def _addresses(self, name: str) -> tuple[str, ...] | None:
        try:
            return tuple(self._resolve(name))
        except BlueGreenError:
            return None


class _Side:
    """One monitor: reads the rows of its role and whether its server accepts writes."""

    def __init__(self, watched: Watched, resolve: Resolve) -> None:
        self._watched, self._resolve = watched, resolve
        self._role = SOURCE if watched.endpoint.side == "blue" else TARGET
        self._reader: Reader | None = None
        self._address: str | None = None
        self._renamed = False  # the certificate has the other name by now
        self.frozen = False  # the address that is known stays
        self.rows: list[Row] = []
        self.rows_seen = False
        self.problem: BlueGreenError | None = None

    @property
    def connected(self) -> bool:
        """Whether the server answers, if only that the rows may not be read."""
        return self.problem is None or self.problem.details.get("reason") != "unreachable"

    def look(self) -> tuple[Phase | None, bool | None]:
        """How far its role is and whether writes are accepted, None for what cannot be seen now."""
        try:
            reader = self._reader = self._reader or self._open()
        except BlueGreenError as error:
            self.problem = error
            return None, None
        phase: Phase | None = None
        try:
            self.rows = reader.read()
            self.rows_seen = self.rows_seen or bool(self.rows)
            phase = phase_of_role(self.rows, self._role)
            self.problem = None
        except BlueGreenError as error:
            self.problem = error
            if error.details.get("reason") in ("unreachable", "login"):
                self.close()
                self._renamed = not self._renamed
                return None, None
        return phase, self._writable(reader)

    def members(self) -> frozenset[str] | None:
        """The names of the members as the server knows them, None when it does not tell now."""
        try:
            return self._reader.members() if self._reader else None
        except BlueGreenError:
            return None

    def close(self) -> None:
        """End the connection."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    def _writable(self, reader: Reader) -> bool | None:
        try:
            flag = reader.session.value(_READ_ONLY[family(self._watched.dialect)])
        except BlueGreenError:
            return None
        return None if flag is None else not int(flag)

    def _open(self) -> Reader:
        endpoint, other = self._watched.endpoint, self._watched.other_host
        if self._address is None or not self.frozen:
            found = self._resolve(endpoint.host) or (self._resolve(other) if endpoint.side == "green" else ())
            self._address = found[0] if found else self._address
        host = other if self._renamed else endpoint.host
        patience = min(endpoint.connect_timeout, _PATIENCE)
        return Reader(
            replace(endpoint, host=host, address=self._address, connect_timeout=patience), self._watched.dialect
        )


class _Writes:
    """When each side accepted writes, by its server's own flags."""

    def __init__(self) -> None:
        self._blue_until: float | None = None
        self._refused = False
        self._green_was_closed = False
        self._green_from: float | None = None

    @property
    def window(self) -> float | None:
        if self._blue_until is None or self._green_from is None:
            return None
        return self._green_from - self._blue_until

    def seen(self, side: str, writable: bool | None, begun: float, ended: float, phase: Phase) -> list[str]:
        """What is new with this look."""
        if writable is None or self._green_from is not None:
            return []
        if side == "blue":
            if writable:
                again, self._refused, self._blue_until = self._refused, False, begun
                return ["blue accepts writes again"] if again else []
            new, self._refused = not self._refused, True
            return ["blue refuses writes"] if new else []
        if not writable:
            self._green_was_closed = True
            return []
        if self._green_was_closed and phase >= Phase.IN_PROGRESS:
            self._green_from = ended
            return ["green accepts writes"]
        return []
