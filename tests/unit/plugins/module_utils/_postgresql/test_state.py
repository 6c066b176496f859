# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a deployment is, from what both servers say; and where replication may start."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Direction, Names
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.control_record import ControlRecord
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.deployment import expected, summary
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.replicate import starting_position
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.slot import Slot
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.status import SideState, State, problem
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.subscription import Subscription

NAMES = Names.of("shop-green")
EMPTY = SideState(frozenset(), {}, {})
CLOSED = frozenset({"shop"})
RECORD = ControlRecord("shop-green", "0/500")


def slot(direction: Direction, confirmed: int | None = 0x400, **changes: Any) -> dict[str, Slot]:
    name = NAMES.slot(direction, "shop")
    found = Slot(name, "shop", "pgoutput", 4711, 0x300, confirmed, "reserved")
    return {name: replace(found, **changes)}


def subscription(direction: Direction, **changes: Any) -> dict[str, Subscription]:
    name = NAMES.subscription(direction, "shop")
    return {name: replace(Subscription(name, "shop", True, name, 4712, 0, True), **changes)}


def state(blue: SideState = EMPTY, green: SideState | None = EMPTY, record: ControlRecord | None = None) -> State:
    return State(NAMES, ("shop",), blue, green, record)


PREPARED = state(SideState(frozenset(), slot("forward"), {}), None)
CLONED = state(SideState(frozenset(), slot("forward"), {}), SideState(frozenset(), slot("forward"), {}))
POSITIONED = state(SideState(frozenset(), slot("forward"), {}), SideState(CLOSED, {}, {}), RECORD)
REPLICATING = state(SideState(frozenset(), slot("forward"), {}), SideState(CLOSED, {}, subscription("forward")), RECORD)
IN_WINDOW = replace(REPLICATING, blue=replace(REPLICATING.blue, closed=CLOSED))
SWITCHED = state(
    SideState(CLOSED, {}, subscription("reverse")),
    SideState(frozenset(), slot("reverse"), {}),
    replace(RECORD, opened_green="0/900"),
)
ROLLED_BACK = state(EMPTY, SideState(CLOSED, {}, {}), replace(RECORD, opened_green="0/900"))
CLEANED = state(SideState(CLOSED, {}, {}), EMPTY)


@pytest.mark.parametrize(
    ("found", "serving", "stage", "direction"),
    [
        (state(EMPTY, None), "blue", "new", None),
        (PREPARED, "blue", "new", None),
        (CLONED, "blue", "new", None),
        (POSITIONED, "blue", "new", None),
        (REPLICATING, "blue", "replicating", "forward"),
        (IN_WINDOW, "unknown", "replicating", "forward"),
        (SWITCHED, "green", "switched", "reverse"),
        (ROLLED_BACK, "blue", "ended", None),
        (CLEANED, "green", "switched", None),
        (state(SideState(CLOSED, {}, {}), None), "unknown", "new", None),
        (replace(REPLICATING, green=replace(REPLICATING.green or EMPTY, closed=frozenset())), "unknown", "replicating", "forward"),
        (replace(SWITCHED, blue=replace(SWITCHED.blue, closed=frozenset())), "unknown", "switched", "reverse"),
    ],
    ids=[
        "nothing", "prepared", "cloned", "positioned", "replicating", "in the window", "switched", "rolled back",
        "switched and cleaned", "blue closed", "green opened by hand", "blue opened by hand",
    ],
)  # fmt: skip
def test_where_a_deployment_stands(found: State, serving: str, stage: str, direction: str | None) -> None:
    assert (found.serving, found.stage, found.direction) == (serving, stage, direction)


def test_one_database_of_two_closed_is_neither_open_nor_closed() -> None:
    both = State(NAMES, ("other", "shop"), SideState(CLOSED, {}, {}), EMPTY)
    assert both.serving == "unknown"


def test_an_armed_subscription_is_no_replication() -> None:
    armed = replace(REPLICATING, blue=replace(REPLICATING.blue, subscriptions=subscription("reverse", started=False)))
    assert (armed.direction, armed.stage) == ("forward", "replicating")


def test_a_record_that_came_with_the_clone_tells_nothing() -> None:
    stale = replace(CLONED, record=replace(RECORD, opened_green="0/1"))
    assert (stale.fresh, stale.opened_green, stale.serving, stale.stage) == (["shop"], None, "blue", "new")


FORWARD = subscription("forward")[NAMES.subscription("forward", "shop")]
SLOT = slot("forward")[NAMES.slot("forward", "shop")]


@pytest.mark.parametrize(
    ("found", "subscribed", "words"),
    [
        (SLOT, None, "no subscription"),
        (None, FORWARD, "changes are lost"),
        (replace(SLOT, wal_status="lost"), FORWARD, "is lost, so changes are lost"),
        (replace(SLOT, wal_status="unreserved"), FORWARD, "is unreserved"),
        (SLOT, replace(FORWARD, enabled=False), "is stopped"),
        (SLOT, replace(FORWARD, enabled=False, started=False), "never started"),
        (SLOT, replace(FORWARD, enabled=False, errors=2), r"stopped at an error \(2 so far\)"),
        (SLOT, replace(FORWARD, worker_pid=None), "not connected"),
        (replace(SLOT, active_pid=None), FORWARD, "not connected"),
    ],
)
def test_whatever_is_missing_is_a_problem(found: Slot | None, subscribed: Subscription | None, words: str) -> None:
    said = problem(found, subscribed)
    assert said is not None
    with pytest.raises(AssertionError, match=words):
        raise AssertionError(said)


def test_a_worker_on_a_good_slot_is_no_problem() -> None:
    assert problem(SLOT, FORWARD) is None


def test_replication_starts_at_the_recorded_position() -> None:
    assert starting_position(POSITIONED, ["shop"]) == "0/500"


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (replace(POSITIONED, record=None), "state=positioned first"),
        (replace(POSITIONED, record=ControlRecord("shop-green")), "state=positioned first"),
        (replace(POSITIONED, blue=EMPTY), "but there is none"),
        (replace(POSITIONED, blue=replace(EMPTY, slots=slot("forward", 0x501))), "it begins at 0/501"),
        (replace(POSITIONED, blue=replace(EMPTY, slots=slot("forward", None))), "it begins at nowhere"),
        (replace(POSITIONED, blue=replace(EMPTY, slots=slot("forward", wal_status="lost"))), "and is lost"),
    ],
)
def test_replication_starts_nowhere_else(found: State, words: str) -> None:
    with pytest.raises(BlueGreenError, match=words):
        starting_position(found, ["shop"])


@pytest.mark.parametrize(
    ("before", "target", "after"),
    [
        (state(EMPTY, None), "prepared", PREPARED),
        (POSITIONED, "running", REPLICATING),
        (REPLICATING, "running", REPLICATING),
    ],
)
def test_a_diff_foretells_what_will_be(before: State, target: str, after: State) -> None:
    assert expected(summary(before), target) == summary(after)


def test_what_is_absent_cannot_be_stopped() -> None:
    assert expected(summary(POSITIONED), "stopped") == summary(POSITIONED)
    assert expected(summary(REPLICATING), "stopped")["shop"]["subscription"] == "stopped"
