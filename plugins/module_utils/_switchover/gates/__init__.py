# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Gates: what holds client traffic during the window and points it at the other side afterwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal, Protocol

from ..._core.waiting import Deadline
from ..table import GateState

Position = Literal["held", "blue", "green", "elsewhere"]


class Gate(Protocol):
    """One gate; every method raises :class:`BlueGreenError` when its effect could not be proved."""

    name: str

    def facts(self) -> Position:
        """Whether traffic is held, and otherwise where it goes."""

    def hold(self, deadline: Deadline) -> None:
        """Let no further statement through; returns when what was in flight has ended."""

    def retarget(self, side: str) -> None:
        """Point the traffic at ``blue`` or ``green``, held or not."""

    def release(self) -> None:
        """Let the traffic go where the gate points."""

    def close(self) -> None:
        """Close the gate's connections."""


class Gates:
    """All gates of a switchover, treated as one."""

    def __init__(self, gates: Sequence[Gate]) -> None:
        self._gates = list(gates)

    def state(self, source: str, target: str) -> GateState:
        """Where the gates stand in a move from ``source`` to ``target``; one that lags behind counts for all."""
        found = [gate.facts() for gate in self._gates]
        if not found:
            return "none"
        if "elsewhere" in found:
            return "elsewhere"
        if "held" in found:
            return "held"
        return "target" if all(position == target for position in found) else "source"

    def hold(self, deadline: Deadline) -> None:
        """Hold every gate."""
        self._each(lambda gate: gate.hold(deadline))

    def switch_to(self, side: str) -> None:
        """Point every gate at ``side`` and release it."""

        def one(gate: Gate) -> None:
            gate.retarget(side)
            gate.release()

        self._each(one)

    def close(self) -> None:
        """Close every gate's connections."""
        for gate in self._gates:
            gate.close()

    def _each(self, effect: Callable[[Gate], None]) -> None:
        if len(self._gates) < 2:
            for gate in self._gates:
                effect(gate)
            return
        with ThreadPoolExecutor(len(self._gates)) as pool:
            futures = [pool.submit(effect, gate) for gate in self._gates]
        for future in futures:
            future.result()
