# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`rds_blue_green` and what `bg_readiness` says of it, on an Aurora MySQL cluster whose binary log is off, as the field reports begin."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.endpoint import Endpoint
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.connection import connected, rows
from tests.integration.conftest import ModuleFailed, RunModule
from tests.integration.managed.conftest import login
from tests.lab.lab import Blue, Lab
from tests.lab.tools import wait_until

DEPLOYMENT = "bills-84"
NEWER = "8.4.mysql_aurora.8.4.7"
QUICK = {"wait_delay": 0.1, "wait_timeout": 90}
Result = dict[str, Any]


@dataclass
class Scene:
    """A blue, and the results of the runs on it by name; a run that failed left its message."""

    lab: Lab
    blue: Blue
    run_module: RunModule
    results: dict[str, Result] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def rds(self) -> Any:
        return self.lab.client("rds")

    @property
    def wanted(self) -> Result:
        return {"deployment_id": DEPLOYMENT, "source": self.blue.cluster, "target_engine_version": NEWER, **QUICK}

    @property
    def prepared(self) -> Result:
        return {**self.wanted, "prepare": True, "reboot_blue": True, "blue": login(self.lab, self.blue)}

    def run(self, name: str, **options: Any) -> None:
        """Run the module and keep what it said."""
        try:
            self.results[name] = self.run_module("rds_blue_green", **options)
        except ModuleFailed as error:
            self.failures[name] = error.msg
            self.results[name] = error.result

    def ready(self, **options: Any) -> dict[str, str]:
        """The guardrails of a step by name, with their status."""
        options = {"source_db_cluster_identifier": self.blue.cluster, "blue": login(self.lab, self.blue), **options}
        found = self.run_module("bg_readiness", deployment_id=DEPLOYMENT, engine="managed", **options)
        return {one["id"]: one["status"] for one in found["checks"]}

    def sql(self, host: str, statement: str) -> list[tuple[Any, ...]]:
        there = Endpoint("blue", host, self.blue.port, self.blue.user, self.blue.password, ca_cert=self.lab.ca_file)
        with connected(Endpoint(**{**vars(there), "address": self.lab.address(host)})) as conn:
            return rows(conn, statement)

    def delete(self, identifier: str) -> None:
        """Delete a deployment with its green, and wait."""
        self.rds.delete_blue_green_deployment(BlueGreenDeploymentIdentifier=identifier, DeleteTarget=True)
        filters = [{"Name": "blue-green-deployment-identifier", "Values": [identifier]}]
        wait_until(
            lambda: not self.rds.describe_blue_green_deployments(Filters=filters)["BlueGreenDeployments"],
            30,
            "it to be deleted",
        )


@pytest.fixture(scope="module")
def scene(names_lab: Lab, run_module: RunModule) -> Iterator[Scene]:
    """From a blue whose log is off to a deployment that is there; every wrong turn on the way is taken."""
    before = names_lab.clusters()
    blue = names_lab.seed_mysql("bills", readers=1, binlog_format="OFF")
    scene = Scene(names_lab, blue, run_module)
    scene.results["readiness before"] = scene.ready(engine_version=NEWER)
    scene.run("unprepared", **scene.wanted)
    scene.run("predicted", check=True, diff=True, **scene.prepared)
    scene.run("no reboot", **{**scene.prepared, "reboot_blue": False})
    names_lab.faults.managed(fail_provisioning="due to incompatible parameter(s): max_replication_slots")
    scene.run("given up", **scene.prepared)
    names_lab.faults.clear()
    scene.run("looked at again", **scene.wanted)
    scene.run("deleted", state="absent", deployment_id=DEPLOYMENT, delete_target=True, **QUICK)
    names_lab.faults.fail("CreateBlueGreenDeployment", "InternalFailure", after=True)  # made, and the answer is lost
    scene.run("made", diff=True, **scene.prepared)
    scene.run("again", diff=True, **scene.prepared)
    yield scene
    names_lab.faults.clear()
    names_lab.clear(before)


def test_readiness_says_beforehand_what_the_service_would_refuse(scene: Scene) -> None:
    found = scene.results["readiness before"]
    assert [name for name, status in found.items() if status == "failed"] == [
        "aws_blue_parameters",
        "aws_target_parameter_groups",
        "blue_binary_log",
        "blue_retention",
        "blue_first_write",
    ]


def test_a_blue_without_a_binary_log_is_refused_in_the_service_s_words(scene: Scene) -> None:
    assert "You must explicitly specify a new DB cluster parameter group" in scene.failures["unprepared"] or (
        "Blue Green Deployments requires cluster parameter group has binlog enabled" in scene.failures["unprepared"]
    )
    assert scene.results["unprepared"]["actions"] == []


def test_check_mode_tells_every_step_and_takes_none(scene: Scene) -> None:
    predicted = scene.results["predicted"]
    assert predicted["actions"][0] == "set binlog_format in bills-blue"
    assert "reboot instance bills-1" in predicted["actions"]
    assert predicted["actions"][-1] == f"create the deployment {DEPLOYMENT} of bills with engine version {NEWER}"
    assert predicted["diff"]["after"]["engine_version"] == NEWER
    assert predicted["diff"]["after"]["db_cluster_parameter_group_name"] == "bills-84-aurora-mysql8-4"
    assert scene.results["no reboot"]["actions"] == ["set binlog_format in bills-blue"]  # so it was not set before


def test_blue_is_not_rebooted_unless_that_is_allowed(scene: Scene) -> None:
    assert "bills-1 of bills must be in sync" in scene.failures["no reboot"]
    assert "set reboot_blue to true" in scene.failures["no reboot"]


def test_when_the_service_gives_up_its_reason_is_told_at_once_and_in_every_later_run(scene: Scene) -> None:
    reason = "Creation of blue/green deployment failed due to incompatible parameter(s): max_replication_slots."
    assert scene.results["given up"]["reasons"] == [reason]
    assert reason.rstrip(".") in scene.failures["looked at again"]
    assert scene.results["given up"]["progress"][-1]["status"] == "INVALID_CONFIGURATION"


def test_a_deployment_that_failed_is_deleted_with_what_there_is_of_green(scene: Scene) -> None:
    assert scene.results["deleted"]["changed"] is True
    assert scene.results["deleted"]["deployment"]["status"] == "INVALID_CONFIGURATION"


def test_a_deployment_whose_answer_was_lost_is_not_made_twice(scene: Scene) -> None:
    made = scene.results["made"]
    assert made["deployment"]["status"] == "AVAILABLE"
    found = scene.rds.describe_blue_green_deployments()["BlueGreenDeployments"]
    ours = [one for one in found if one["Source"] == made["deployment"]["source"]]
    assert [one["BlueGreenDeploymentName"] for one in ours] == [DEPLOYMENT]


def test_the_tasks_are_shown_as_they_went(scene: Scene) -> None:
    progress = scene.results["made"]["progress"]
    assert progress[0]["status"] == "PROVISIONING"
    assert progress[-1]["tasks"] == [
        f"{name} COMPLETED"
        for name in (
            "CREATING_READ_REPLICA_OF_SOURCE",
            "DB_ENGINE_VERSION_UPGRADE",
            "CREATE_DB_INSTANCES_FOR_CLUSTER",
            "CONFIGURE_BACKUPS",
        )
    ]


def test_every_member_of_green_is_ready_with_the_groups_that_were_made(scene: Scene) -> None:
    green = scene.results["made"]["green"]
    assert green["engine_version"] == NEWER
    assert green["db_cluster_parameter_group_name"] == "bills-84-aurora-mysql8-4"
    assert [(one["status"], one["parameter_group_status"]) for one in green["members"]] == [
        ("available", "in-sync")
    ] * 2


def test_a_second_run_does_nothing(scene: Scene) -> None:
    again = scene.results["again"]
    assert (again["changed"], again["actions"]) == (False, [])
    assert again["diff"]["before"] == again["diff"]["after"]


def test_a_second_deployment_of_the_source_is_refused_with_the_name_of_the_first(scene: Scene) -> None:
    with pytest.raises(ModuleFailed, match=f"bills can be in one blue/green deployment only, but is in {DEPLOYMENT}"):
        scene.run_module("rds_blue_green", **{**scene.prepared, "deployment_id": "another"})


def test_another_version_than_green_has_is_told_and_not_made_anew(scene: Scene) -> None:
    with pytest.raises(ModuleFailed, match=r"its green has engine version 8\.4\.mysql_aurora\.8\.4\.7 instead of 8\.0"):
        scene.run_module("rds_blue_green", **{**scene.prepared, "target_engine_version": "8.0.mysql_aurora.3.10.0"})


def test_members_of_green_that_wait_for_a_reboot_get_it_unless_that_is_not_allowed(scene: Scene) -> None:
    group = scene.results["made"]["green"]["db_cluster_parameter_group_name"]
    wish = {"ParameterName": "binlog_format", "ParameterValue": "MIXED", "ApplyMethod": "pending-reboot"}
    scene.rds.modify_db_cluster_parameter_group(DBClusterParameterGroupName=group, Parameters=[wish])
    with pytest.raises(ModuleFailed, match="wait for a reboot: set reboot_green to true"):
        scene.run_module("rds_blue_green", **scene.prepared, reboot_green=False)
    mended = scene.run_module("rds_blue_green", **scene.prepared)
    assert mended["actions"][0].startswith("reboot instance bills-1-green-")
    assert {one["parameter_group_status"] for one in mended["green"]["members"]} == {"in-sync"}


def test_the_switchover_is_ready_and_a_broken_link_is_seen_in_the_words_of_the_report(scene: Scene) -> None:
    green = login(scene.lab, scene.blue, host=scene.results["made"]["green"]["host"])
    found = scene.ready(step="switchover", green=green)
    assert [name for name, status in found.items() if status == "failed"] == []

    error = "IOError: 1236, reason: Got fatal error 1236 from master when reading data from binary log"
    scene.lab.faults.managed(broken_link=error)
    wait_until(lambda: scene.ready(step="switchover").get("aws_green_replication") == "failed", 10, "it to be told")
    with pytest.raises(ModuleFailed, match=r"1236.*write something to blue after its reboot"):
        scene.run_module("rds_blue_green", **scene.wanted)
    scene.lab.faults.clear()
    wait_until(lambda: scene.ready(step="switchover")["aws_green_replication"] == "ok", 10, "it to be mended")


def test_the_info_tells_members_tasks_events_and_endpoints(scene: Scene) -> None:
    (found,) = scene.run_module("rds_blue_green_info", deployment_id=DEPLOYMENT)["deployments"]
    assert found["ready"] is True
    assert found["blue"]["host"] == scene.blue.host
    assert found["green"]["host"].startswith("bills-green-")
    assert {one["status"] for one in found["members"]} == {"AVAILABLE"}
    assert any("tasks completed" in one["message"] for one in found["events"])


def test_after_the_switchover_old_production_is_closed_before_the_deployment_goes(scene: Scene) -> None:
    found = scene.results["made"]["deployment"]
    identifier = found["blue_green_deployment_identifier"]
    scene.rds.switchover_blue_green_deployment(BlueGreenDeploymentIdentifier=identifier)

    def status() -> str:
        (one,) = scene.rds.describe_blue_green_deployments(BlueGreenDeploymentIdentifier=identifier)[
            "BlueGreenDeployments"
        ]
        return str(one["Status"])

    with pytest.raises(ModuleFailed, match="its switchover goes on"):
        scene.run_module("rds_blue_green", state="absent", deployment_id=DEPLOYMENT, **QUICK)
    wait_until(lambda: status() == "SWITCHOVER_COMPLETED", 30, "the switchover to end")
    assert scene.run_module("rds_blue_green", **scene.wanted)["changed"] is False
    with pytest.raises(ModuleFailed, match="the target is production now"):
        scene.run_module("rds_blue_green", state="absent", deployment_id=DEPLOYMENT, delete_target=True, **QUICK)

    predicted = scene.run_module("rds_blue_green", state="absent", deployment_id=DEPLOYMENT, check=True, **QUICK)
    gone = scene.run_module("rds_blue_green", state="absent", deployment_id=DEPLOYMENT, **QUICK)

    assert gone["actions"] == predicted["actions"]
    assert gone["actions"][-1] == f"delete the deployment {DEPLOYMENT} ({identifier})"
    assert "reboot instance bills-1-old1" in gone["actions"]
    assert scene.sql(gone["blue"]["host"], "SELECT @@GLOBAL.read_only") == [(1,)]
    assert scene.sql(scene.blue.host, "SELECT @@GLOBAL.read_only") == [(0,)]
    again = scene.run_module("rds_blue_green", state="absent", deployment_id=DEPLOYMENT, **QUICK)
    assert (again["changed"], again["deployment"]) == (False, None)
