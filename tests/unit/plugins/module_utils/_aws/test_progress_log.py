# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Progress in CloudWatch Logs, on moto: where AWS's own solution writes it, not too often, and never a reason to stop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from moto import mock_aws

from ansible_collections.bluegreen.aws.plugins.module_utils._aws.api import Api, ApiError
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.progress_log import ProgressLog

GROUP = "/aws/neptune/shop-v14"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield boto3.client("logs", region_name="eu-central-1")


def lines(logs: Any) -> list[str]:
    found = logs.get_log_events(logGroupName=GROUP, logStreamName="replication", startFromHead=True)["events"]
    return [event["message"] for event in found]


def test_lines_are_written_to_the_group_of_the_deployment_not_more_often_than_wanted(logs: Any) -> None:
    clock = Clock()
    log = ProgressLog(Api(logs), GROUP, "shop-v14", wait=10, clock=clock)
    for second in range(25):
        clock.now = float(second)
        log.write(f"line {second}")
    log.write("the end", always=True)
    assert lines(logs) == ["line 0", "line 10", "line 20", "the end"]
    ProgressLog(Api(logs), GROUP, "shop-v14", clock=clock).write("a later run")
    assert lines(logs)[-1] == "a later run"


class Denied(Api):
    """An API that may not be used; it counts how often it was tried."""

    def __init__(self) -> None:
        self.calls = 0

    def call(self, operation: str, **_parameters: Any) -> dict[str, Any]:
        self.calls += 1
        raise ApiError(f"AWS refused {operation}: not authorized (AccessDeniedException).", "AccessDeniedException")


def test_what_cannot_be_logged_is_told_once_and_stops_nothing() -> None:
    api = Denied()
    log = ProgressLog(api, GROUP, "shop-v14")
    log.write("one", always=True)
    log.write("two", always=True)
    assert api.calls == 1
    assert log.problem == (
        f"The progress is not written to the log group {GROUP}: AWS refused put_log_events: not authorized (AccessDeniedException)."
    )
