# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run on a service, monitors and gates that a test plays: whatever happens, nobody is left waiting at a gate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._aws.api import ApiError
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.managed import Deployment, deployment_of
from ansible_collections.bluegreen.aws.plugins.module_utils._clients.metadata import TARGET, Phase, Row
from ansible_collections.bluegreen.aws.plugins.module_utils._clients.phases import State
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.journal import Journal
from ansible_collections.bluegreen.aws.plugins.module_utils._managed import run as run_module
from ansible_collections.bluegreen.aws.plugins.module_utils._managed import service as service_module
from ansible_collections.bluegreen.aws.plugins.module_utils._managed.run import Limits, Run
from ansible_collections.bluegreen.aws.plugins.module_utils._switchover.timeline import Timeline


def _deployment(status: str) -> Deployment:
    return deployment_of(
        {"BlueGreenDeploymentIdentifier": "bgd-1", "BlueGreenDeploymentName": "shop", "Status": status}
    )


class Stage:
    """The service, and everything that was done to it and to the gates."""

    name = "shop"

    def __init__(self, statuses: Sequence[str], *, hold: str = "", call: str = "", rows: bool = False) -> None:
        self.statuses, self.hold, self._call, self.has_rows = list(statuses), hold, call, rows
        self.done: list[str] = []
        self.broken: tuple[str, str] | None = None
        self.blind: BlueGreenError | None = None
        self.silent = False

    def settle(self, *_given: Any) -> list[str]:
        return []

    def trouble(self, _deployment: Deployment) -> tuple[str, str] | None:
        return self.broken

    def switch(self, *_given: Any) -> None:
        self.done.append("call")
        if self._call:
            raise BlueGreenError(self._call)

    def look(self, _identifier: str) -> Deployment:
        if self.blind and "call" in self.done and len(self.statuses) == 1:
            raise self.blind
        return _deployment(self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0])

    def begins(self, deployment: Deployment, _patience: float) -> bool:
        return deployment.status != "AVAILABLE"

    def reasons(self, *_given: Any) -> list[str]:
        if self.silent:
            raise BlueGreenError("AWS refused DescribeEvents.")
        return ["a guardrail"]


class Monitor:
    """The monitors."""

    names_settled = True
    window: float | None = None

    def __init__(self, rows: bool) -> None:
        self.has_rows = rows
        self.state = State()
        self.seen: dict[str, Any] = {}

    def connect(self) -> dict[str, Any]:
        return self.seen

    def tell(self, phase: Phase) -> None:
        self.state = State(phase=phase)

    def hurry(self) -> None:
        """Nothing."""

    start = stop = hurry


class Gates:
    """The gates."""

    holds = True
    strangers = ""

    def __init__(self, done: list[str], hold: str) -> None:
        self._done, self._hold = done, hold
        self.at = "source"

    def state(self, _source: str, _target: str) -> str:
        return self.at

    def guardrails(self, *_sides: str) -> list[Any]:
        return []

    def hold(self, _deadline: Any) -> None:
        self._done.append("hold")
        self.at = "held"
        if self._hold:
            raise BlueGreenError(self._hold)

    def switch_to(self, side: str, *_more: Any) -> None:
        self._done.append(side)
        self.at = {"blue": "source", "green": "target"}[side]

    def settle(self, *_given: Any) -> None:
        """Nothing."""

    def let_go(self) -> None:
        self._done.append("let go")


def _run(stage: Stage, *, check: bool = False, settle: float = 1.0) -> Run:
    service: Any = stage
    monitor: Any = Monitor(stage.has_rows)
    gates: Any = Gates(stage.done, stage.hold)
    limits = Limits(0, settle, 1.0, 5.0)
    return Run(service, monitor, gates, limits, Journal(check), Timeline(), list)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "POLL", 0.01)


def test_without_rows_the_gates_are_held_from_before_the_call_until_the_service_has_ended() -> None:
    stage = Stage(["SWITCHOVER_IN_PROGRESS", "SWITCHOVER_COMPLETED"])
    run = _run(stage)
    assert run.go(_deployment("AVAILABLE")) == "switched_over"
    assert stage.done == ["hold", "call", "green"]
    assert run.window_from == "gate" and run.window_ms is not None


def test_check_mode_calls_nothing() -> None:
    stage = Stage(["AVAILABLE"])
    assert _run(stage, check=True).go(_deployment("AVAILABLE")) == "switched_over"
    assert stage.done == []


@pytest.mark.parametrize(
    ("stage", "done"),
    [
        (Stage(["AVAILABLE"], hold="transactions did not end."), ["hold", "blue"]),
        (Stage(["AVAILABLE"], call="AWS refused it."), ["hold", "call", "blue"]),
    ],
)
def test_what_fails_before_the_service_has_begun_is_refused_and_nobody_waits(stage: Stage, done: list[str]) -> None:
    with pytest.raises(BlueGreenError, match="Refused, nothing was changed") as raised:
        _run(stage).go(_deployment("AVAILABLE"))
    assert raised.value.details["outcome"] == "refused"
    assert stage.done == done


def test_a_green_that_does_not_follow_is_refused_before_the_call() -> None:
    stage = Stage(["AVAILABLE"])
    stage.broken = ("Replication degraded: DDL", "create it anew")
    with pytest.raises(BlueGreenError, match=r"nothing was changed: green does not follow blue: .*\(create it anew\)"):
        _run(stage).go(_deployment("AVAILABLE"))
    assert stage.done == []


def test_an_outcome_is_told_although_its_reasons_cannot_be_read() -> None:
    stage = Stage(["SWITCHOVER_IN_PROGRESS", "AVAILABLE"])
    stage.silent = True
    run = _run(stage)
    assert run.go(_deployment("AVAILABLE")) == "rolled_back"
    assert run.reasons == ["the service's reason could not be read: AWS refused DescribeEvents."]


def test_what_aws_does_not_let_be_seen_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "SETTLED", 0.05)
    stage = Stage(["SWITCHOVER_IN_PROGRESS"])
    stage.blind = ApiError("AWS refused it; allow this action.", "AccessDenied")
    with pytest.raises(BlueGreenError, match=r"has begun, but .*allow this action; then run this again") as raised:
        _run(stage, settle=60).go(_deployment("AVAILABLE"))
    assert raised.value.details["outcome"] == "unknown"
    assert stage.done[-1] == "blue"


def test_what_the_service_takes_back_is_an_outcome_and_the_gates_lead_to_blue() -> None:
    stage = Stage(["SWITCHOVER_IN_PROGRESS", "AVAILABLE"])
    run = _run(stage)
    assert run.go(_deployment("AVAILABLE")) == "rolled_back"
    assert stage.done == ["hold", "call", "blue"]
    assert run.reasons == ["a guardrail"]


def test_a_service_that_does_not_end_is_unknown_and_nobody_waits() -> None:
    stage = Stage(["SWITCHOVER_IN_PROGRESS"])
    with pytest.raises(BlueGreenError, match="still says SWITCHOVER_IN_PROGRESS") as raised:
        _run(stage, settle=0.2).go(_deployment("AVAILABLE"))
    assert raised.value.details["outcome"] == "unknown"
    assert stage.done == ["hold", "call", "blue"]


def test_a_failure_carries_the_services_words() -> None:
    stage = Stage(["SWITCHOVER_IN_PROGRESS", "SWITCHOVER_FAILED"])
    with pytest.raises(BlueGreenError, match="a guardrail") as raised:
        _run(stage).go(_deployment("AVAILABLE"))
    assert raised.value.details["outcome"] == "failed"
    assert stage.done[-1] == "blue"


def test_one_that_goes_on_is_watched_and_not_called_again() -> None:
    stage = Stage(["SWITCHOVER_IN_PROGRESS", "SWITCHOVER_COMPLETED"])
    assert _run(stage).go(_deployment("SWITCHOVER_IN_PROGRESS")) == "switched_over"
    assert "call" not in stage.done and stage.done[-1] == "green"


def test_rows_that_an_earlier_switchover_has_left_do_not_keep_the_next_one_from_beginning() -> None:
    stage = Stage(["SWITCHOVER_IN_PROGRESS", "SWITCHOVER_COMPLETED"])
    run = _run(stage)
    row = Row("1", "shop-green", 3306, TARGET, "SWITCHOVER_INITIATED", "1.0")
    run._monitor.seen = {"green": [row]}  # type: ignore[attr-defined]
    assert run.go(_deployment("AVAILABLE")) == "switched_over"
    assert "call" in stage.done


def test_one_that_is_over_points_a_gate_that_was_left_behind_at_green_and_then_changes_nothing() -> None:
    stage = Stage(["SWITCHOVER_COMPLETED"])
    run = _run(stage)
    for _again in range(2):
        assert run.go(_deployment("SWITCHOVER_COMPLETED")) == "switched_over"
    assert stage.done == ["green"]
