# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Gates: what holds client traffic during the window and points it at the other side afterwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from ..._core.checks import Check
from ..._core.errors import BlueGreenError, words
from ..._core.waiting import Deadline
from ..table import GateState

Position = Literal["held", "blue", "green", "elsewhere"]
Note = Callable[[str], object]


@dataclass(frozen=True)
class Target:
    """Where a side answers."""

    host: str
    port: int


class Gate(Protocol):
    """One gate; every method raises :class:`BlueGreenError` when its effect could not be proved.

    ``holds`` says whether clients can be made to wait. One that cannot is only pointed at the other side, and
    what it lets through meanwhile is stopped by the fence.
    """

    name: str
    holds: bool

    def facts(self) -> Position:
        """Whether traffic is held, and otherwise where it goes: ``elsewhere`` is neither blue nor green alone."""

    def guardrails(self, source: str, target: str) -> list[Check]:
        """Read-only checks before the traffic moves from ``source`` to ``target``."""

    def hold(self, deadline: Deadline) -> None:
        """Let no further client through; called only on a gate that holds."""

    def retarget(self, side: str) -> None:
        """Point the traffic at ``blue`` or ``green``, held or not; what points there already is left alone."""

    def release(self) -> None:
        """Let the traffic go where the gate points."""

    def settle(self, deadline: Deadline) -> str:
        """Wait for what goes on by itself after the window; returns it in words, empty when there is nothing."""

    def close(self) -> None:
        """Close the gate's connections."""


@runtime_checkable
class CuttingGate(Gate, Protocol):
    """A gate that is the fence when it ``cuts``: the server behind it has none."""

    cuts: bool

    def seal(self) -> None:
        """Let nobody through from here on, whatever becomes of this process, and shut down every session."""


class Gates:
    """All gates of a switchover, treated as one."""

    def __init__(self, gates: Sequence[Gate]) -> None:
        self._gates = list(gates)
        self._known: list[Position | None] = [None] * len(self._gates)  # where each stands, None while it is not known
        self._flights: dict[int, Future[None]] = {}
        self._threads = ThreadPoolExecutor(4 * len(self._gates) + 1)  # an attempt that hangs keeps its thread

    @property
    def holds(self) -> bool:
        """Whether any of the gates can make clients wait."""
        return any(gate.holds for gate in self._gates)

    def state(self, source: str, target: str) -> GateState:
        """Where the gates stand in a move from ``source`` to ``target``; one that lags behind counts for all."""
        found = self._look()
        if not found:
            return "none"
        if "elsewhere" in found:
            return "elsewhere"
        if "held" in found:
            return "held"
        return "target" if all(position == target for position in found) else "source"

    def positions(self) -> list[dict[str, str]]:
        """``name`` and ``position`` of every gate, looked at anew."""
        return [
            {"name": gate.name, "position": position} for gate, position in zip(self._gates, self._look(), strict=True)
        ]

    @property
    def strangers(self) -> str:
        """The names of the gates that pointed at neither side when they were last looked at."""
        pairs = zip(self._gates, self._known, strict=True)
        return ", ".join(gate.name for gate, position in pairs if position == "elsewhere")

    def guardrails(self, source: str, target: str) -> list[Check]:
        """Every gate's read-only checks before the traffic moves from ``source`` to ``target``."""
        return [check for gate in self._gates for check in gate.guardrails(source, target)]

    def hold(self, deadline: Deadline) -> None:
        """Hold every gate that can be held; each of them ends by the deadline by itself."""

        def one(number: int) -> None:
            self._known[number] = None
            self._gates[number].hold(deadline)
            self._known[number] = "held"

        self._together([number for number, gate in enumerate(self._gates) if gate.holds], one, None)

    def seal(self) -> None:
        """Let those gates that are the fence let nobody through any more, so that they hold without this process too."""

        def one(number: int) -> None:
            gate = self._gates[number]
            self._known[number] = None
            if isinstance(gate, CuttingGate):
                gate.seal()
            self._known[number] = "held"

        cutting = [number for number, gate in enumerate(self._gates) if isinstance(gate, CuttingGate) and gate.cuts]
        self._together(cutting, one, None)

    def switch_to(self, side: str, seconds: float | None = None, note: Note = str) -> None:
        """Point every gate that is not known to point there at ``side`` and release it, all at the same time.

        Raises :class:`BlueGreenError` that names each one that failed or has not answered after ``seconds``; calling
        it again completes exactly those.
        """

        def one(number: int) -> None:
            gate = self._gates[number]
            self._known[number] = None
            gate.retarget(side)
            gate.release()
            self._known[number] = "blue" if side == "blue" else "green"
            note(f"{gate.name} points at {side}")

        behind = [number for number, position in enumerate(self._known) if position != side]
        self._together(behind, one, seconds)

    def let_go(self) -> None:
        """Release whatever is held, wherever it points: clients that get an error are better off than clients that hang."""
        for number, gate in enumerate(self._gates):
            flight = self._flights.get(number)
            if gate.holds and (flight is None or flight.done()):
                self._known[number] = None
                gate.release()

    def settle(self, seconds: float, note: Note) -> None:
        """Wait until what the gates do by themselves after the window has ended, ``seconds`` at most for all."""
        deadline = Deadline(seconds)
        for gate in self._gates:
            if reached := gate.settle(deadline):
                note(reached)

    def close(self) -> None:
        """Close every gate's connections."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for gate in self._gates:
            gate.close()

    def _look(self) -> list[Position]:
        found: dict[int, Position] = {}

        def one(number: int) -> None:
            self._known[number] = None
            found[number] = self._gates[number].facts()
            self._known[number] = found[number]

        self._together(list(range(len(self._gates))), one, None)
        return [found[number] for number in range(len(self._gates))]

    def _together(self, numbers: Sequence[int], effect: Callable[[int], None], seconds: float | None) -> None:
        if len(numbers) == 1 and numbers[0] not in self._flights:
            effect(numbers[0])
            return
        deadline = Deadline(seconds) if seconds is not None else None
        problems: list[BlueGreenError] = []
        flights = {number: self._start(number, effect) for number in numbers}
        for number, flight in flights.items():
            try:
                flight.result(deadline.left if deadline else None)
            except TimeoutError:
                problems.append(BlueGreenError(f"{self._gates[number].name} has not answered within {seconds:g} s."))
            except BlueGreenError as error:
                problems.append(error)
            except Exception as error:  # noqa: BLE001  the other gates must be waited for all the same
                problems.append(BlueGreenError(f"{self._gates[number].name} failed: {words(error)}."))
        if len(problems) == 1:
            raise problems[0]
        if problems:
            raise BlueGreenError(" ".join(problem.message for problem in problems), **_details(problems))

    def _start(self, number: int, effect: Callable[[int], None]) -> Future[None]:
        """A gate does one thing at a time: what is still on its way comes first."""
        before = self._flights.get(number)

        def after_it() -> None:
            if before is not None and not before.done():
                before.exception()
            effect(number)

        self._flights[number] = self._threads.submit(after_it)
        return self._flights[number]


def _details(problems: Sequence[BlueGreenError]) -> dict[str, Any]:
    details: dict[str, Any] = {}
    for problem in problems:
        details.update(problem.details)
    return details
