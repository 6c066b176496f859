# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting: every state is either the goal, on the way, or a dead end; no answer is never the goal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.stub import Stubber

from ansible_collections.bluegreen.aws.plugins.module_utils._aws.api import Api, ApiError, Unanswered
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.waiters import (
    DEAD_ENDS,
    Waits,
    eventually,
    wait_gone,
    wait_settled,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError, WaitTimeout

SOON = Waits(timeout=5, delay=0)
ONCE = Waits(timeout=0, delay=0)
Queue = Callable[..., None]


def cluster(status: str = "available", group: str = "in-sync", members: bool = True) -> dict[str, Any]:
    member = {"DBInstanceIdentifier": "g-1", "IsClusterWriter": True, "DBClusterParameterGroupStatus": group}
    return {
        "DBClusterIdentifier": "g",
        "Status": status,
        "Engine": "aurora-postgresql",
        "EngineVersion": "16.14",
        "DBClusterMembers": [member] if members else [],
    }


def instance(status: str = "available", group: str = "in-sync") -> dict[str, Any]:
    groups = [{"DBParameterGroupName": "i", "ParameterApplyStatus": group}]
    return {
        "DBInstanceIdentifier": "g-1",
        "DBInstanceStatus": status,
        "EngineVersion": "16.14",
        "DBParameterGroups": groups,
    }


@pytest.mark.parametrize(
    "on_the_way",
    [
        (cluster("creating"), instance()),
        (cluster("backing-up"), instance()),
        (cluster("upgrading"), instance()),
        (cluster(), instance("creating")),
        (cluster(), instance("rebooting")),
        (cluster(group="applying"), instance()),
        (cluster(), instance(group="applying")),
        (None,),
    ],
)
def test_a_state_on_the_way_is_waited_through(
    api: Api, answer_cluster: Queue, on_the_way: tuple[dict[str, Any] | None, ...]
) -> None:
    answer_cluster(*on_the_way)
    answer_cluster(cluster(), instance())
    assert wait_settled(api, "g", SOON, "g").status == "available"


@pytest.mark.parametrize("status", sorted(DEAD_ENDS))
def test_a_dead_end_of_the_cluster_ends_the_wait(api: Api, answer_cluster: Queue, status: str) -> None:
    answer_cluster(cluster(status), instance())
    with pytest.raises(BlueGreenError, match=f"cluster g should become available, but its status is {status},"):
        wait_settled(api, "g", SOON, "g")


@pytest.mark.parametrize("status", ["failed", "incompatible-parameters", "storage-full"])
def test_a_dead_end_of_an_instance_ends_the_wait(api: Api, answer_cluster: Queue, status: str) -> None:
    answer_cluster(cluster(), instance(status))
    with pytest.raises(BlueGreenError, match=f"instance g-1 should become available, but its status is {status},"):
        wait_settled(api, "g", SOON, "g")


@pytest.mark.parametrize("groups", [("pending-reboot", "in-sync"), ("in-sync", "pending-reboot")])
def test_a_pending_reboot_is_an_end_that_shows(api: Api, answer_cluster: Queue, groups: tuple[str, str]) -> None:
    answer_cluster(cluster(group=groups[0]), instance(group=groups[1]))
    found = wait_settled(api, "g", SOON, "g")
    assert found.parameter_group_status == found.instances[0].parameter_group_status == "pending-reboot"


def test_throttling_is_asked_again_and_never_success(api: Api, stubber: Stubber, answer_cluster: Queue) -> None:
    for _unused in range(3):  # more than one call survives
        stubber.add_client_error("describe_db_clusters", "Throttling", "Rate exceeded")
    answer_cluster(cluster("creating"), instance())
    answer_cluster(cluster(), instance())
    assert wait_settled(api, "g", SOON, "g").status == "available"


def test_a_wait_that_was_throttled_to_its_end_is_a_timeout_that_says_so(api: Api, stubber: Stubber) -> None:
    for _unused in range(3):
        stubber.add_client_error("describe_db_clusters", "Throttling", "Rate exceeded")
    with pytest.raises(WaitTimeout, match=r"Waited 0 s for green, but last saw .*Rate exceeded \(Throttling\)"):
        wait_settled(api, "g", ONCE, "green")


def test_a_timeout_says_what_was_last_seen(api: Api, answer_cluster: Queue) -> None:
    answer_cluster(cluster("upgrading"), instance("rebooting"))
    with pytest.raises(WaitTimeout) as caught:
        wait_settled(api, "g", ONCE, "green to be upgraded")
    assert caught.value.message == (
        "Waited 0 s for green to be upgraded, but last saw cluster g upgrading (16.14), "
        "g-1 rebooting (16.14, parameter group in-sync)."
    )


def test_a_refusal_ends_the_wait(api: Api, stubber: Stubber) -> None:
    stubber.add_client_error("describe_db_clusters", "AccessDenied", "no")
    with pytest.raises(ApiError):
        wait_settled(api, "g", SOON, "g")


def test_a_cluster_that_vanishes_ends_the_wait(api: Api, answer_cluster: Queue) -> None:
    answer_cluster(cluster("creating"), instance())
    answer_cluster(None)
    with pytest.raises(BlueGreenError, match="the DB cluster g was deleted meanwhile"):
        wait_settled(api, "g", SOON, "g")


def test_settled_is_not_enough_when_more_is_wanted(api: Api, answer_cluster: Queue) -> None:
    answer_cluster(cluster(members=False))
    answer_cluster(cluster(), instance())
    assert wait_settled(api, "g", SOON, "g", lambda found: bool(found.instances)).instances


def test_deletion_is_waited_for_to_its_end(api: Api, answer_cluster: Queue) -> None:
    answer_cluster(cluster(), instance("deleting"))
    answer_cluster(cluster(members=False))
    wait_gone(api, "g", SOON, instances_only=True)
    answer_cluster(cluster("deleting", members=False))
    answer_cluster(None)
    wait_gone(api, "g", SOON)


def test_throttling_is_not_deletion(api: Api, stubber: Stubber) -> None:
    for _unused in range(3):
        stubber.add_client_error("describe_db_clusters", "Throttling", "Rate exceeded")
    with pytest.raises(WaitTimeout):
        wait_gone(api, "g", ONCE)


def test_a_call_without_an_answer_is_accepted_when_its_effect_is_seen() -> None:
    calls: list[str] = []

    def call() -> None:
        calls.append("call")
        raise Unanswered("AWS gave no answer.")

    eventually(SOON, call, lambda: len(calls) == 2, (), "it to be deleted")
    assert len(calls) == 2
    with pytest.raises(WaitTimeout, match=r"it to be deleted, but last saw AWS gave no answer\.$"):
        eventually(ONCE, call, lambda: False, (), "it to be deleted")
