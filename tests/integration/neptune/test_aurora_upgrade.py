# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`aurora_upgrade` on a Neptune cluster: three hops over three families, killed anywhere, its parameters carried along."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.connection import Client
from tests.integration.conftest import ModuleFailed, RunModule
from tests.integration.neptune.conftest import NeptuneLab, endpoint
from tests.integration.postgresql.mortal import run_until_it_lives
from tests.integration.runner import Runner
from tests.lab.lab import Blue

MODULE = "aurora_upgrade"
QUICK = {"wait_delay": 0.1, "wait_timeout": 300}
GREEN, BLUE = "leap", "leap-blue"
TO_14 = {
    "deployment_id": GREEN,
    "engine_version": "1.4.6.0",
    "allow_major_version_upgrade": True,
    "apply_pending_maintenance": True,
    **QUICK,
}
HOPS = ["1.1.1.0", "1.2.1.0", "1.4.6.0"]
Result = dict[str, Any]


@pytest.fixture(scope="module")
def shop(neptune_lab: NeptuneLab) -> Iterator[Blue]:
    """One blue, three hops behind, with groups of its own of both kinds."""
    before = neptune_lab.lab.clusters()
    blue = neptune_lab(name=BLUE, version="1.0.5.1", instances=1)
    rds = neptune_lab.lab.client("rds")
    rds.create_db_parameter_group(
        DBParameterGroupName="leap-instance", DBParameterGroupFamily="neptune1", Description="ours"
    )
    parameter = {"ParameterName": "neptune_result_cache", "ParameterValue": "1", "ApplyMethod": "pending-reboot"}
    rds.modify_db_parameter_group(DBParameterGroupName="leap-instance", Parameters=[parameter])
    rds.modify_db_instance(
        DBInstanceIdentifier=f"{BLUE}-1", DBParameterGroupName="leap-instance", ApplyImmediately=True
    )
    rds.reboot_db_instance(DBInstanceIdentifier=f"{BLUE}-1")
    neptune_lab.lab.wait_available(BLUE)
    yield blue
    neptune_lab.lab.faults.clear()
    neptune_lab.lab.clear(before)


@pytest.fixture(scope="module")
def green(neptune_lab: NeptuneLab, shop: Blue, run_module: RunModule) -> Result:
    """Green before any upgrade, with a reader."""
    Client(endpoint(neptune_lab.lab, shop)).cypher("CREATE (:Person {`~id`: 'a'})")
    options = {"deployment_id": GREEN, "source_db_cluster_identifier": shop.cluster, "instances": [{}, {}], **QUICK}
    found: Result = run_module("aurora_clone", **options)["green"]
    return found


@dataclass(frozen=True)
class Upgraded:
    """What became of green on its way to 1.4.6.0; it was behind with its patch level when that began."""

    predicted: Result
    deaths: int
    second: Result


@pytest.fixture(scope="module")
def upgraded(neptune_lab: NeptuneLab, green: Result, run_module: RunModule, runner: Runner) -> Upgraded:
    """Green's way: predicted, killed after every change, finished, run again."""
    neptune_lab.lab.faults.announce(GREEN)
    predicted = run_module(MODULE, check=True, diff=True, **TO_14)
    deaths = run_until_it_lives(neptune_lab.lab, runner, MODULE, **TO_14)
    return Upgraded(predicted, deaths, run_module(MODULE, diff=True, **TO_14))


def refusal(run_module: RunModule, **options: Any) -> str:
    """The sentence of a run that is refused and did nothing."""
    with pytest.raises(ModuleFailed) as caught:
        run_module(MODULE, **options)
    assert (caught.value.result["actions"], caught.value.result["changed"]) == ([], False)
    assert "\n" not in caught.value.msg
    return caught.value.msg


def test_a_target_that_is_not_valid_is_refused_in_the_words_of_the_seed(green: Result, run_module: RunModule) -> None:
    assert refusal(run_module, **{**TO_14, "engine_version": "1.9.9.9"}) == (
        "Invalid target engine version for blue/green deployment (1.9.9.9). The engine version should become 1.9.9.9, but "
        "the cluster runs 1.0.5.1 and 1.9.9.9 cannot be reached from it; versions that can be reached: 1.1.1.0, 1.2.0.2, "
        "1.2.1.0, 1.3.4.0, 1.4.1.0, 1.4.6.0."
    )


def test_a_major_upgrade_needs_the_users_word(green: Result, run_module: RunModule) -> None:
    sentence = refusal(run_module, **{**TO_14, "allow_major_version_upgrade": False})
    assert "is a major one (to 1.1.1.0), but allow_major_version_upgrade is false" in sentence


def test_the_future_green_is_planned_from_blue(shop: Blue, run_module: RunModule) -> None:
    options = {**TO_14, "deployment_id": "future", "source_db_cluster_identifier": shop.cluster}
    planned = run_module(MODULE, check=True, **options)
    assert (planned["path"], planned["changed"], planned["green"]) == (HOPS, True, None)


def test_check_mode_predicts_the_hops_and_the_patch(upgraded: Upgraded) -> None:
    assert upgraded.predicted["path"] == HOPS
    assert upgraded.predicted["actions"][0] == f"apply the pending system-update of {GREEN}"
    assert [one for one in upgraded.predicted["actions"] if one.startswith("upgrade")] == [
        f"upgrade {GREEN} from 1.0.5.1 to 1.1.1.0",
        f"upgrade {GREEN} from 1.1.1.0 to 1.2.1.0",
        f"upgrade {GREEN} from 1.2.1.0 to 1.4.6.0",
    ]
    assert upgraded.predicted["green"]["engine_version"] == "1.0.5.1"
    assert upgraded.predicted["pending_maintenance"] == [
        {"resource": GREEN, "action": "system-update", "description": "New Operating System update is available"}
    ]


def test_killed_after_every_change_it_is_continued(upgraded: Upgraded) -> None:
    # The patch, three hops, and in two families two groups with their values; reboots besides.
    assert upgraded.deaths >= 1 + 3 + 2 * 4


def test_a_second_run_finds_nothing_to_do(upgraded: Upgraded) -> None:
    second = upgraded.second
    assert (second["changed"], second["actions"], second["path"], second["pending_maintenance"]) == (False, [], [], [])
    assert second["diff"]["before"] == second["diff"]["after"]
    assert second["green"]["engine_version"] == "1.4.6.0"


def test_every_instance_has_what_was_set_in_blues_groups(neptune_lab: NeptuneLab, upgraded: Upgraded) -> None:
    group, instance_group = f"{GREEN}-neptune1-4", f"{GREEN}-neptune1-4-instance"
    green = upgraded.second["green"]
    assert (green["db_cluster_parameter_group_name"], green["parameter_group_status"]) == (group, "in-sync")
    found = neptune_lab.instances(GREEN)
    assert {one["DBParameterGroups"][0]["DBParameterGroupName"] for one in found} == {instance_group}
    rds = neptune_lab.lab.client("rds")
    cluster = rds.describe_db_cluster_parameters(DBClusterParameterGroupName=group, Source="user")["Parameters"]
    instance = rds.describe_db_parameters(DBParameterGroupName=instance_group, Source="user")["Parameters"]
    assert {one["ParameterName"]: one["ParameterValue"] for one in [*cluster, *instance]} == {
        "neptune_streams": "1",
        "neptune_query_timeout": "60000",
        "neptune_result_cache": "1",
    }


def test_the_graph_is_there_and_streams_are_on_in_every_instance(
    neptune_lab: NeptuneLab, shop: Blue, upgraded: Upgraded
) -> None:
    found = upgraded.second["green"]
    for instance in found["instances"]:
        client = Client(endpoint(neptune_lab.lab, shop, instance["endpoint"], "green"))
        status = client.status()
        assert status["dbEngineVersion"].startswith("1.4.6.0")
        assert status["features"]["Streams"] == "enabled"
        assert client.cypher("MATCH (n) RETURN id(n) AS id") == [{"id": "a"}]


def test_an_upgrade_never_goes_back(upgraded: Upgraded, run_module: RunModule) -> None:
    sentence = refusal(run_module, **{**TO_14, "engine_version": "1.2.1.0"})
    assert sentence.startswith("Invalid target engine version for blue/green deployment (1.2.1.0). ")
    assert "1.2.1.0 is older, and an upgrade never goes back; versions that can be reached: none" in sentence


def test_the_clone_leaves_an_upgraded_green_as_it_is_and_absent_takes_every_group(
    shop: Blue, upgraded: Upgraded, run_module: RunModule, neptune_lab: NeptuneLab
) -> None:
    options = {"deployment_id": GREEN, "source_db_cluster_identifier": shop.cluster, "instances": [{}, {}], **QUICK}
    assert run_module("aurora_clone", **options)["changed"] is False
    run_module("aurora_clone", deployment_id=GREEN, state="absent", skip_final_snapshot=True, **QUICK)
    rds = neptune_lab.lab.client("rds")
    left = [
        one["DBClusterParameterGroupName"]
        for one in rds.describe_db_cluster_parameter_groups()["DBClusterParameterGroups"]
    ]
    left += [one["DBParameterGroupName"] for one in rds.describe_db_parameter_groups()["DBParameterGroups"]]
    assert not [name for name in left if name.startswith(f"{GREEN}-neptune")]
