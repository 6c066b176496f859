# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The service's side: the call while members settle, and the coordinates in its events."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._aws.api import ApiError, Unanswered
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.managed import Deployment, deployment_of
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._managed import service as module
from ansible_collections.bluegreen.aws.plugins.module_utils._managed.service import Service

FAULT = ApiError("AWS refused it: shop-1 is not in available state.", "InvalidBlueGreenDeploymentStateFault")
ARN = "arn:aws:rds:us-east-1:123456789012"
WORDS = "Binary log coordinates in green environment after switchover: file mysql-bin-changelog.00000{} and position {}"


def _described(status: str) -> dict[str, Any]:
    return {
        "BlueGreenDeploymentIdentifier": "bgd-1",
        "BlueGreenDeploymentName": "shop",
        "Source": f"{ARN}:cluster:shop-old1",
        "Target": f"{ARN}:cluster:shop",
        "Status": status,
        "SwitchoverDetails": [{"SourceMember": f"{ARN}:db:shop-1-old1", "TargetMember": f"{ARN}:db:shop-1"}],
    }


class Api:
    """Answers the call with these in turn, None for success."""

    def __init__(
        self, *answers: BlueGreenError | None, status: str = "AVAILABLE", events: list[Any] | None = None
    ) -> None:
        self._answers, self._status, self._events = list(answers), status, events or []
        self.calls: list[dict[str, Any]] = []

    def call(self, _operation: str, **parameters: Any) -> dict[str, Any]:
        self.calls.append(parameters)
        answer = self._answers.pop(0)
        if answer is not None:
            raise answer
        return {}

    def pages(self, operation: str, _key: str, *_missing: Any, **_parameters: Any) -> list[Any]:
        return self._events if operation == "describe_events" else [_described(self._status)]


def _service(api: Any) -> Service:
    return Service(api, api, "shop")


@pytest.fixture
def deployment() -> Deployment:
    return deployment_of(_described("AVAILABLE"))


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.time, "sleep", lambda _seconds: None)  # type: ignore[attr-defined]


def test_the_call_is_tried_again_while_a_member_settles(deployment: Deployment) -> None:
    api = Api(FAULT, FAULT, None)
    _service(api).switch(deployment, 120, 60)
    assert api.calls == [{"BlueGreenDeploymentIdentifier": "bgd-1", "SwitchoverTimeout": 120}] * 3


def test_it_is_given_up_at_its_limit_with_the_services_words(deployment: Deployment) -> None:
    with pytest.raises(ApiError, match="not in available state"):
        _service(Api(FAULT)).switch(deployment, 120, 0)


def test_a_call_whose_answer_was_lost_is_not_made_twice(deployment: Deployment) -> None:
    api = Api(FAULT, status="SWITCHOVER_IN_PROGRESS")
    _service(api).switch(deployment, 120, 60)
    assert len(api.calls) == 1


def test_a_call_without_an_answer_is_gone_on_with_when_it_took_effect(deployment: Deployment) -> None:
    api = Api(Unanswered("AWS did not answer."), status="SWITCHOVER_IN_PROGRESS")
    _service(api).switch(deployment, 120, 60)
    assert len(api.calls) == 1


def test_a_call_without_an_answer_or_an_effect_ends_as_unknown(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_UNANSWERED", 0.0)
    with pytest.raises(BlueGreenError, match=r"gave no answer.* AWS did not answer; look") as raised:
        _service(Api(Unanswered("AWS did not answer."))).switch(deployment, 120, 60)
    assert raised.value.details["outcome"] == "unknown"


def test_a_refusal_for_a_state_that_cannot_be_looked_at_is_unknown(deployment: Deployment) -> None:
    """An earlier try, whose answer was lost, may be why the service is in another state."""
    api = Api(FAULT)

    def unanswered(*_given: Any, **_parameters: Any) -> list[Any]:
        raise Unanswered("AWS did not answer DescribeBlueGreenDeployments.")

    api.pages = unanswered  # type: ignore[method-assign]
    with pytest.raises(
        BlueGreenError, match=r"may have begun: .*shop-1 is not .*cannot be looked at: AWS did"
    ) as raised:
        _service(api).switch(deployment, 120, 60)
    assert raised.value.details["outcome"] == "unknown"


def test_another_refusal_is_told_at_once(deployment: Deployment) -> None:
    denied = ApiError("AWS refused it.", "AccessDenied")
    with pytest.raises(ApiError) as raised:
        _service(Api(denied)).switch(deployment, 120, 60)
    assert raised.value.code == "AccessDenied"


def test_the_coordinates_are_those_of_new_productions_writer_by_either_name(deployment: Deployment) -> None:
    def event(minute: int, source: str, message: str) -> dict[str, Any]:
        return {"Date": datetime(2026, 11, 26, 10, minute, tzinfo=UTC), "SourceIdentifier": source, "Message": message}

    events = [
        event(1, "shop-1-green-abc123", WORDS.format(2, 157)),
        event(3, "other-1-green-abc123", WORDS.format(9, 999)),
        event(2, "shop-1", WORDS.format(4, 158)),
        event(4, "shop-1", "DB instance restarted"),
    ]
    found = _service(Api(events=events)).binlog_position(deployment)
    assert found == {"file": "mysql-bin-changelog.000004", "position": 158}
    assert _service(Api()).binlog_position(deployment) is None


def test_coordinates_from_before_the_deployment_was_made_are_those_of_an_earlier_one(deployment: Deployment) -> None:
    made = replace(deployment, description={"CreateTime": datetime(2026, 11, 26, 9, tzinfo=UTC)})

    def told(hour: int) -> Api:
        moment = datetime(2026, 11, 26, hour, tzinfo=UTC)
        return Api(events=[{"Date": moment, "SourceIdentifier": "shop-1", "Message": WORDS.format(4, 158)}])

    assert _service(told(8)).binlog_position(made) is None
    assert _service(told(10)).binlog_position(made) == {"file": "mysql-bin-changelog.000004", "position": 158}


def test_coordinates_of_a_read_replica_are_not_those_of_production(deployment: Deployment) -> None:
    alone = replace(deployment, target=f"{ARN}:db:shop")
    moment = datetime(2026, 11, 26, 10, tzinfo=UTC)
    names = ("shop-green-abc123", "shop-1-green-abc123")
    events = [
        {"Date": moment.replace(minute=number), "SourceIdentifier": name, "Message": WORDS.format(number + 1, 158)}
        for number, name in enumerate(names)
    ]
    assert _service(Api(events=events)).binlog_position(alone) == {
        "file": "mysql-bin-changelog.000001",
        "position": 158,
    }
