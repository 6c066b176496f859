# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The decision table: the next action is a pure function of what is observed now; no phase is stored.

A *move* brings the traffic from a source to a target: blue to green for a switchover, green to blue for a rollback.
Giving the writes back when a window fails is the same table read for the opposite move.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Literal

from .._core.side import Replication

GateState = Literal["none", "source", "held", "target", "elsewhere"]


class Action(Enum):
    """What one step does; the value is how it reads in a plan (``{source}`` and ``{target}`` are blue and green)."""

    RELEASE = "release the gate to {source}"
    PREPARE = "check the guardrails and the lag, prepare {target}"
    ARM = "arm replication {target} -> {source}"
    HOLD = "hold the gate"
    FENCE = "fence {source}"
    DRAIN = "drain: wait until {target} has applied everything {source} wrote"
    OPEN = "open {target} for writes"
    RETARGET = "point the gate at {target} and release it"
    END = "end replication {source} -> {target}"
    START = "start replication {target} -> {source}"
    UNFENCE = "give the writes back to {target}"
    COMPLETE = "complete the earlier move to {source}"
    DONE = "nothing left to do"
    REFUSE = "refuse"


IN_WINDOW = frozenset({Action.HOLD, Action.FENCE, Action.DRAIN, Action.OPEN, Action.RETARGET})


@dataclass(frozen=True)
class Observation:
    """What is true now, in the words of the move.

    ``source_open`` and ``target_open``: whether clients can write there. ``forward`` is the replication source -> target,
    ``reverse`` the one target -> source. ``opened``: the target's control record holds the position at which it opened.
    ``drained`` and ``ready`` are known only to the run that drained and prepared. ``gate_holds``: whether any gate can make
    clients wait; those that can only be pointed elsewhere are never trusted to stop writes.
    """

    source_open: bool
    target_open: bool
    forward: Replication
    reverse: Replication
    gate: GateState
    opened: bool = False
    drained: bool = False
    ready: bool = False
    reverse_wanted: bool = True
    gate_holds: bool = True


@dataclass(frozen=True)
class Step:
    """The next action; ``reason`` says why when it is a refusal."""

    action: Action
    reason: str = ""


def decide(seen: Observation) -> Step:
    """The next step of the move; exactly one for every observation."""
    if seen.gate == "elsewhere":
        return _refuse("{strangers} points at neither {source} nor {target} alone; point it at the side that serves")
    if seen.source_open and seen.target_open:
        return _refuse(
            "{source} and {target} both accept writes, so what was written on {target} would diverge; "
            "close {target} for writers and build green anew"
        )
    if seen.target_open:
        return _target_serves(seen)
    if seen.source_open:
        return _source_serves(seen)
    return _nobody_serves(seen)


def after(seen: Observation, action: Action) -> Observation:
    """What is true once ``action`` has succeeded."""
    gated = seen.gate != "none"
    if action is Action.RELEASE:
        return replace(seen, gate="source")
    if action is Action.PREPARE:
        return replace(seen, ready=True)
    if action is Action.ARM:
        return replace(seen, reverse="armed")
    if action is Action.HOLD:
        return replace(seen, gate="held")
    if action is Action.FENCE:
        return replace(seen, source_open=False)
    if action is Action.DRAIN:
        return replace(seen, drained=True)
    if action is Action.OPEN:
        return replace(seen, target_open=True, opened=True)
    if action is Action.RETARGET:
        return replace(seen, gate="target" if gated else "none")
    if action is Action.END:
        return replace(seen, forward="gone")
    if action is Action.START:
        return replace(seen, reverse="running")
    if action is Action.UNFENCE:
        return replace(seen, target_open=True)
    if action is Action.COMPLETE:
        return replace(seen, forward="running", reverse="gone", gate="source" if gated else "none")
    return seen


def opposite(seen: Observation) -> Observation:
    """The same facts in the words of the move back, which wants no further replication armed."""
    gates: dict[GateState, GateState] = {"source": "target", "target": "source"}
    return Observation(
        source_open=seen.target_open,
        target_open=seen.source_open,
        forward=seen.reverse,
        reverse=seen.forward,
        gate=gates.get(seen.gate, seen.gate),
        reverse_wanted=False,
        gate_holds=seen.gate_holds,
    )


def plan(seen: Observation) -> list[Step]:
    """Every step from here to the end, when all of them succeed; the last one is DONE or REFUSE."""
    steps: list[Step] = []
    while True:
        step = decide(seen)
        steps.append(step)
        if step.action in (Action.DONE, Action.REFUSE):
            return steps
        seen = after(seen, step.action)


def _target_serves(seen: Observation) -> Step:
    if seen.gate in ("source", "held"):
        return Step(Action.RETARGET)
    if seen.forward != "gone":
        return Step(Action.END)
    if seen.reverse == "armed":
        if not seen.opened:
            return _refuse(
                "{target} accepts writes, but no position is recorded at which it opened, so replication back to "
                "{source} cannot start without loss; end that replication on {source} to give it up"
            )
        return Step(Action.START)
    return Step(Action.DONE)


def _source_serves(seen: Observation) -> Step:
    if seen.forward == "armed":
        return Step(Action.COMPLETE)
    if seen.forward != "running":
        return _refuse(
            "replication {source} -> {target} is "
            + seen.forward
            + "; let it run and catch up before moving the traffic"
        )
    if not seen.ready:
        return Step(Action.RELEASE if seen.gate == "held" else Action.PREPARE)
    if seen.reverse_wanted and seen.reverse in ("gone", "partial"):
        return Step(Action.ARM)
    if seen.gate_holds and seen.gate in ("source", "target"):
        return Step(Action.HOLD)
    return Step(Action.FENCE)


def _nobody_serves(seen: Observation) -> Step:
    """Both sides are closed: a run died inside the window. The side whose data is complete says which way to go."""
    if seen.forward == "running" and seen.reverse == "running":
        return _refuse("{source} and {target} are both closed and replicate to each other; nothing safe can be derived")
    if seen.forward == "running":
        if seen.reverse_wanted and seen.reverse in ("gone", "partial"):
            return Step(Action.ARM)
        if seen.gate_holds and seen.gate in ("source", "target"):
            return Step(Action.HOLD)
        return Step(Action.OPEN if seen.drained else Action.DRAIN)
    if seen.reverse in ("running", "stopped"):
        return Step(Action.UNFENCE)  # the target was fenced, its copy never opened: no write is anywhere else
    return _refuse(
        "{source} and {target} are both closed for writers and no replication between them runs; "
        "find out which one holds the last writes before opening it"
    )


def _refuse(reason: str) -> Step:
    return Step(Action.REFUSE, reason)
