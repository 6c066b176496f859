# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The decision table, walked through every state, every crash and every failing step.

``World`` is a model of two clusters and a gate that is independent of the table: it knows what each action does to the
world and what a client could do meanwhile. The promises are checked on the world, not on the table's own words.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.bluegreen.aws.plugins.module_utils._core.side import Replication
from ansible_collections.bluegreen.aws.plugins.module_utils._switchover.table import (
    IN_WINDOW,
    Action,
    GateState,
    Observation,
    after,
    decide,
    opposite,
    plan,
)

REPLICATION: tuple[Replication, ...] = ("gone", "partial", "armed", "running", "stopped")
GATES: tuple[GateState, ...] = ("none", "source", "held", "target", "elsewhere")


def every_observation() -> list[Observation]:
    flags = list(itertools.product((False, True), repeat=7))
    return [
        Observation(source_open, target_open, forward, reverse, gate, *known)
        for forward, reverse, gate in itertools.product(REPLICATION, REPLICATION, GATES)
        for source_open, target_open, *known in flags
    ]


@dataclass(frozen=True)
class World:
    """Two clusters. ``to_green`` and ``to_blue`` are the replications; ``behind`` what a side has not applied yet."""

    blue_open: bool = True
    green_open: bool = False
    to_green: str = "running"
    to_blue: str = "gone"
    gate: str = "blue"  # none, blue, held, green
    gate_holds: bool = True
    points_at: str = "blue"
    green_opened: bool = False
    blue_opened: bool = False
    unapplied: bool = True  # the last writes of the open side are still under way

    def side(self, name: str, what: str) -> Any:
        return getattr(self, f"{name}_{what}")

    def but(self, **changes: Any) -> World:
        return replace(self, **changes)


FRESH = World()


class Broken(AssertionError):
    """A promise was broken."""


def observe(world: World, source: str, target: str, **known: bool) -> Observation:
    gate: Any = {"none": "none", "held": "held", source: "source", target: "target"}[world.gate]
    inbound = {"green": world.to_green, "blue": world.to_blue}
    return Observation(
        source_open=world.side(source, "open"),
        target_open=world.side(target, "open"),
        forward=inbound[target],  # type: ignore[arg-type]
        reverse=inbound[source],  # type: ignore[arg-type]
        gate=gate,
        opened=world.side(target, "opened"),
        gate_holds=world.gate_holds,
        **known,
    )


def perform(world: World, action: Action, source: str, target: str, drained: bool) -> World:  # noqa: C901  one case an action
    """What ``action`` does to the world; raises :class:`Broken` when it breaks a promise."""
    if action is Action.PREPARE:
        return world
    if action is Action.HOLD:
        if not world.gate_holds:
            raise Broken("held a gate that cannot be held")
        return replace(world, gate="held")
    if action is Action.RELEASE:
        return world.but(gate=source, points_at=source)
    if action is Action.RETARGET:
        return world if world.gate == "none" else world.but(gate=target, points_at=target)
    if action is Action.ARM:
        return world.but(**{f"to_{source}": "armed"})
    if action is Action.FENCE:
        return world.but(**{f"{source}_open": False})
    if action is Action.DRAIN:
        if world.side(source, "open"):
            raise Broken("drained while the source still accepts writes")
        return replace(world, unapplied=False)
    if action is Action.OPEN:
        if world.side(source, "open"):
            raise Broken("two writers")
        if world.unapplied or not drained:
            raise Broken("opened before everything was applied: lost writes")
        return world.but(unapplied=True, **{f"{target}_open": True, f"{target}_opened": True})
    if action is Action.UNFENCE:
        if world.side(source, "open"):
            raise Broken("two writers")
        if getattr(world, f"to_{source}") not in ("running", "stopped"):
            raise Broken("gave the writes back to a side that may lack some")
        return world.but(**{f"{target}_open": True})
    if action is Action.END:
        if not world.side(target, "open"):
            raise Broken("ended the replication into a side that is not open yet")
        return world.but(**{f"to_{target}": "gone"})
    if action is Action.START:
        if getattr(world, f"to_{target}") != "gone":
            raise Broken("replication in a circle")
        if not world.side(target, "opened"):
            raise Broken("started without a position")
        return world.but(**{f"to_{source}": "running"})
    raise AssertionError(action)


def sane(world: World) -> None:
    if world.blue_open and world.green_open:
        raise Broken("two writers")


def go(world: World, source: str, target: str, steps: int | None, fails_at: int | None = None) -> World:
    """Run the table on the world; die after ``steps`` steps, or let step ``fails_at`` fail and give the writes back."""
    seen = observe(world, source, target)
    for number in itertools.count():
        assert number < 40, "does not end"
        if steps is not None and number >= steps:
            return world
        step = decide(seen)
        if step.action is Action.DONE:
            return world
        assert step.action is not Action.REFUSE, (step, world)
        if step.action is Action.COMPLETE:
            world = go(world, target, source, None)
            seen = after(seen, step.action)
            continue
        if number == fails_at and not seen.target_open:
            return go(world, target, source, None)
        world = perform(world, step.action, source, target, seen.drained)
        sane(world)
        seen = after(seen, step.action)
    raise AssertionError


def settled(world: World, side: str) -> None:
    other = "green" if side == "blue" else "blue"
    assert world.side(side, "open") and not world.side(other, "open")
    assert world.gate in ("none", side)
    assert getattr(world, f"to_{side}") == "gone"
    assert getattr(world, f"to_{other}") == "running"


def test_every_observation_has_one_answer_and_ends() -> None:
    for seen in every_observation():
        step = decide(seen)
        assert bool(step.reason) == (step.action is Action.REFUSE), seen
        assert len(plan(seen)) < 20, seen


def test_never_opens_a_second_side() -> None:
    for seen in every_observation():
        action = decide(seen).action
        if action in (Action.OPEN, Action.UNFENCE):
            assert not seen.source_open and not seen.target_open, seen
        if action is Action.OPEN:
            assert seen.drained and seen.forward == "running", seen
        if action is Action.FENCE:
            assert seen.ready, seen


def test_a_switchover_takes_the_steps_in_order() -> None:
    actions = [step.action for step in plan(observe(FRESH, "blue", "green"))]
    assert actions == [
        Action.PREPARE,
        Action.ARM,
        Action.HOLD,
        Action.FENCE,
        Action.DRAIN,
        Action.OPEN,
        Action.RETARGET,
        Action.END,
        Action.START,
        Action.DONE,
    ]


def test_a_finished_switchover_has_nothing_left_to_do() -> None:
    world = go(FRESH, "blue", "green", None)
    settled(world, "green")
    assert [step.action for step in plan(observe(world, "blue", "green"))] == [Action.DONE]


def test_a_rollback_without_a_switchover_has_nothing_to_do() -> None:
    assert [step.action for step in plan(observe(FRESH, "green", "blue"))] == [Action.DONE]


def test_refuses_when_both_sides_accept_writes() -> None:
    step = decide(observe(replace(FRESH, green_open=True), "blue", "green"))
    assert step.action is Action.REFUSE and "both accept writes" in step.reason


@pytest.mark.parametrize("state", ["gone", "stopped"])
def test_refuses_without_running_replication(state: str) -> None:
    step = decide(observe(replace(FRESH, to_green=state), "blue", "green"))
    assert step.action is Action.REFUSE and state in step.reason


def test_refuses_to_guess_when_nobody_serves_and_nothing_replicates() -> None:
    world = replace(FRESH, blue_open=False, to_green="gone")
    assert decide(observe(world, "blue", "green")).action is Action.REFUSE
    assert decide(observe(world, "green", "blue")).action is Action.REFUSE


def test_refuses_to_start_the_way_back_without_the_position_at_which_the_target_opened() -> None:
    world = replace(FRESH, blue_open=False, green_open=True, gate="green", to_green="gone", to_blue="armed")
    step = decide(observe(world, "blue", "green"))
    assert step.action is Action.REFUSE and "no position is recorded" in step.reason


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_writes_go_back_to_a_fenced_side_whose_copy_never_opened(state: str) -> None:
    world = replace(FRESH, blue_open=False, to_green=state)
    assert decide(observe(world, "green", "blue")).action is Action.UNFENCE


def test_a_gate_found_held_is_released_before_anything_slow() -> None:
    step = decide(observe(replace(FRESH, gate="held"), "blue", "green"))
    assert step.action is Action.RELEASE


def test_without_gates_nothing_is_held() -> None:
    world = go(replace(FRESH, gate="none"), "blue", "green", None)
    assert world.green_open and world.gate == "none"


def test_gates_that_only_point_are_not_held_but_pointed_at_the_target() -> None:
    actions = [step.action for step in plan(observe(replace(FRESH, gate_holds=False), "blue", "green"))]
    assert Action.HOLD not in actions
    assert actions.index(Action.OPEN) < actions.index(Action.RETARGET) < actions.index(Action.END)


def test_the_window_holds_nothing_slow() -> None:
    assert not IN_WINDOW & {Action.PREPARE, Action.ARM, Action.END, Action.START, Action.COMPLETE}


def test_opposite_twice_keeps_the_facts() -> None:
    seen = observe(replace(FRESH, gate_holds=False), "blue", "green")
    again = opposite(opposite(seen))
    assert (again.source_open, again.target_open, again.forward, again.gate, again.gate_holds) == (
        seen.source_open,
        seen.target_open,
        seen.forward,
        seen.gate,
        seen.gate_holds,
    )


MOVES = st.sampled_from([("blue", "green"), ("green", "blue")])
RUNS = st.lists(
    st.tuples(MOVES, st.none() | st.integers(0, 12), st.none() | st.integers(0, 12)), min_size=1, max_size=8
)


@settings(max_examples=2000, deadline=None)
@given(runs=RUNS, last=MOVES, gate=st.sampled_from(["none", "blue"]), holds=st.booleans())
def test_whatever_dies_or_fails_the_last_run_settles_without_breaking_a_promise(
    runs: list[tuple[tuple[str, str], int | None, int | None]], last: tuple[str, str], gate: str, holds: bool
) -> None:
    world = replace(FRESH, gate=gate, gate_holds=holds)
    for (source, target), dies, fails in runs:
        world = go(world, source, target, dies, fails)
        world = replace(world, unapplied=True)  # between two runs the side that is open takes writes
    world = go(world, *last, None)
    settled(world, last[1])
