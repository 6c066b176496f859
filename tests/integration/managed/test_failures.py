# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A managed deployment that breaks in every way: what AWS did without an answer, two clients, servers that die, dead ends."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from tests import forks
from tests.integration.conftest import ModuleFailed, RunModule
from tests.integration.managed.conftest import login, sql
from tests.integration.runner import Runner, Running
from tests.lab.lab import Blue, Lab
from tests.lab.tools import wait_until
from tests.playbook import Playbook

NAME = "broken"
QUICK = {"wait_delay": 0.1, "wait_timeout": 60}
AT_ONCE = {"aws_config": {"retries": {"max_attempts": 0}}}  # botocore itself asks no second time
ALWAYS = 1000
LONG = 60.0  # s, until the test takes the fault back
Result = dict[str, Any]
Tell = Callable[..., Result]


@dataclass
class Shop:
    """Production with a deployment that is broken again and again."""

    lab: Lab
    blue: Blue
    runner: Runner
    green_host: str = ""

    @property
    def rds(self) -> Any:
        return self.lab.client("rds")

    def found(self) -> list[Result]:
        """What the service knows."""
        filters = [{"Name": "blue-green-deployment-name", "Values": [NAME]}]
        known: list[Result] = self.rds.describe_blue_green_deployments(Filters=filters)["BlueGreenDeployments"]
        return known

    def status(self) -> str:
        return str(self.found()[0]["Status"]) if self.found() else "gone"

    def start(self, module: str, **options: Any) -> Running:
        arguments = {"deployment_id": NAME, **options, "_ansible_check_mode": False, "_ansible_diff": False}
        return self.runner.start(module, arguments, {**os.environ, **self.lab.env})

    def present(self, **options: Any) -> Running:
        return self.start("rds_blue_green", source=self.blue.cluster, **QUICK, **options)

    def absent(self, **options: Any) -> Running:
        return self.start("rds_blue_green", state="absent", **QUICK, **options)

    def switchover(self, **options: Any) -> Running:
        sides = {"blue": login(self.lab, self.blue), "green": login(self.lab, self.blue, host=self.green_host)}
        return self.start("bg_switchover", engine="managed", **sides, **options)

    def writes(self) -> bool:
        """Whether production takes a client's write."""
        try:
            return sql(self.lab, self.blue, "SELECT current_setting('transaction_read_only')") == [("off",)]
        except BlueGreenError:  # nobody is let in
            return False


def result(run: Running) -> Result:
    """What a run said; a sentence when it failed, never a traceback."""
    ended = run.wait()
    said = ended.result("module")
    assert "Traceback" not in ended.output + ended.errors
    assert not said.get("failed") or "\n" not in said["msg"]
    return said


@pytest.fixture(scope="module")
def shop(names_lab: Lab, names_runner: Runner) -> Iterator[Shop]:
    """Its deployment is asked for by a run that gets no answer and is killed then, and by one that goes on."""
    before = names_lab.clusters()
    shop = Shop(names_lab, names_lab.seed_postgresql(NAME, readers=0), names_runner)
    names_lab.faults.lose("CreateBlueGreenDeployment", calls=ALWAYS)
    names_lab.faults.managed(provisioning=0.4)
    killed = shop.present(**AT_ONCE)
    wait_until(lambda: shop.status() == "PROVISIONING", 20, "it to be asked for")
    killed.kill()
    killed.wait()
    second = result(shop.present(**AT_ONCE))
    assert (second["changed"], second["deployment"]["status"]) == (False, "AVAILABLE")
    assert len(shop.found()) == 1
    names_lab.faults.clear()
    shop.green_host = second["green"]["host"]
    yield shop
    names_lab.faults.clear()
    names_lab.clear(before)


@pytest.fixture(autouse=True)
def _mended(names_lab: Lab) -> Iterator[None]:
    yield
    names_lab.faults.clear()


@pytest.mark.parametrize(
    ("knobs", "problem", "refusal"),
    [
        ({"missing": "source"}, "broken-1 is MISSING_SOURCE", "its configuration is not valid any more"),
        ({"missing": "target"}, "broken-1 is MISSING_TARGET", "its configuration is not valid any more"),
        ({"invalid": "the topology changed"}, "its configuration is invalid", "the topology changed"),
        (
            {"degrade": "DDL was run"},
            "Replication degraded: DDL was run",
            "green does not follow blue: Replication deg",
        ),
    ],
)
def test_what_does_not_go_on_by_itself_is_told_and_keeps_a_switchover_from_being_called(
    shop: Shop, knobs: Result, problem: str, refusal: str
) -> None:
    shop.lab.faults.managed(**knobs)
    wait_until(lambda: bool(shop.found()[0].get("StatusDetails")), 20, "the service to notice")
    info, present, switchover = shop.start("rds_blue_green_info"), shop.present(), shop.switchover()
    (told,) = result(info)["deployments"]
    assert (told["ready"], problem in told["problem"]) == (False, True)
    said, refused = result(present), result(switchover)
    assert said["failed"] and problem in said["msg"] and not said["changed"]
    assert (refused["outcome"], refused["changed"], refused["actions"]) == ("refused", False, [])
    assert "nothing was changed: " in refused["msg"] and refusal in refused["msg"]
    shop.lab.faults.clear()
    wait_until(lambda: not shop.found()[0].get("StatusDetails"), 20, "it to be well")


def test_a_link_that_is_frozen_is_found_before_the_call_although_no_lag_is_told(shop: Shop) -> None:
    shop.lab.faults.link(shop.blue.host, "stall", "replication")
    try:
        sql(shop.lab, shop.blue, "SELECT pg_logical_emit_message(true, 'test', 'a write')")
        refused = result(shop.switchover(max_lag=1))
    finally:
        shop.lab.faults.link(shop.blue.host, "none", "replication")
    assert (refused["outcome"], refused["actions"]) == ("refused", [])
    assert "what blue had written did not arrive within 1 s" in refused["msg"]


def test_two_runs_of_a_switchover_whose_answer_is_lost_while_others_want_it_gone(shop: Shop) -> None:
    """The service takes it back; its events may not be read."""
    faults = shop.lab.faults
    faults.lose("SwitchoverBlueGreenDeployment", calls=ALWAYS)
    faults.deny("DescribeEvents")
    faults.managed(hold={"SWITCHOVER_INITIATED": LONG})
    runs = [shop.switchover(**AT_ONCE), shop.switchover(**AT_ONCE)]
    wait_until(lambda: shop.status() == "SWITCHOVER_IN_PROGRESS", 20, "it to begin")
    meanwhile = [shop.absent(), shop.absent(delete_target=True), shop.present(target_db_parameter_group_name="x")]
    for refused in map(result, meanwhile[:2]):
        assert "its switchover goes on" in refused["msg"] and "Nothing was deleted" in refused["msg"]
    assert result(meanwhile[2])["changed"] is False
    faults.managed(hold={}, degrade="DDL was run")
    for ended in map(result, runs):
        assert (ended["outcome"], ended["changed"], ended["serving"]) == ("rolled_back", False, "blue")
        assert ended["reasons"][0].startswith("the service's reason could not be read: AWS refused DescribeEvents")
    assert len(shop.found()) == 1 and shop.writes()
    faults.clear()
    wait_until(lambda: not shop.found()[0].get("StatusDetails"), 20, "it to be well")


def test_a_switchover_that_is_not_allowed_is_refused_with_the_action_to_be_allowed(
    shop: Shop,
) -> None:
    shop.lab.faults.deny("SwitchoverBlueGreenDeployment")
    denied = result(shop.switchover())
    assert (denied["outcome"], denied["changed"]) == ("refused", False)
    assert "not authorized to perform: rds:SwitchoverBlueGreenDeployment" in denied["msg"]


def test_a_writer_that_dies_while_writes_are_stopped_gives_them_back(shop: Shop) -> None:
    shop.lab.faults.managed(hold={"WRITES_STOPPED": LONG})
    run = shop.switchover()
    wait_until(lambda: shop.status() == "SWITCHOVER_IN_PROGRESS", 20, "it to begin")
    wait_until(lambda: not shop.writes(), 20, "writes to be stopped")
    shop.lab.faults.kill("broken-1")
    shop.lab.faults.clear()
    ended = result(run)
    assert (ended["outcome"], ended["serving"]) == ("rolled_back", "blue")
    assert any("was canceled due to" in reason for reason in ended["reasons"])
    wait_until(shop.writes, 20, "writes to go on")
    wait_until(
        lambda: result(shop.start("rds_blue_green_info"))["deployments"][0]["ready"], 30, "green to follow again"
    )


@pytest.fixture
def playbook(shop: Shop, tmp_path: Path) -> Iterator[Playbook]:
    """The role's, on the same production."""
    variables = {
        "rds_managed_deployment_id": NAME,
        "rds_managed_source": shop.blue.cluster,
        "rds_managed_admin": {"secret_arn": shop.blue.secret_arn, "ca_cert": shop.lab.ca_file},
    }
    with forks.serving(shop.lab.env) as forking:
        yield Playbook(tmp_path, {**shop.lab.env, **forking}, variables, "bluegreen.aws.rds_managed")


def test_the_role_ends_with_the_sentence_that_the_service_took_it_back(shop: Shop, playbook: Playbook) -> None:
    shop.lab.faults.managed(timeout=1.5, hold={"WRITES_STOPPED": LONG})
    run = playbook.run("switchover")
    assert run.code != 0 and "Traceback" not in run.output
    assert run.failure["msg"].startswith(
        "The service was asked to switch over within 300 s, but took it back, and blue serves as before: "
    )
    assert "not being completed within the timeout" in run.failure["msg"]
    assert "run the phase switchover again" in run.failure["msg"]


def test_a_switchover_that_failed_in_the_middle_keeps_green_from_being_deleted(shop: Shop) -> None:
    shop.lab.faults.managed(fail_switchover="the storage did not answer")
    failed = result(shop.switchover())
    assert (failed["outcome"], failed["failed"]) == ("failed", True)
    kept = result(shop.absent(delete_target=True))
    assert "green may be what serves" in kept["msg"] and kept["actions"] == []
    assert shop.status() == "SWITCHOVER_FAILED"


def test_it_is_deleted_although_neither_the_answer_comes_nor_the_first_run_ends(shop: Shop) -> None:
    shop.lab.faults.lose("DeleteBlueGreenDeployment", calls=ALWAYS, seconds=2.0)
    shop.lab.faults.managed(hold={"DELETING": 1.0})
    waits = {"read_timeout": 1, **AT_ONCE["aws_config"]}
    killed = shop.absent(aws_config=waits)
    wait_until(lambda: shop.status() == "DELETING", 20, "it to be deleted")
    killed.kill()
    killed.wait()
    refused = shop.switchover()
    second = result(shop.absent(aws_config=waits))
    assert "failed" not in second and shop.status() == "gone"
    assert result(refused)["outcome"] == "refused"
    assert result(shop.absent())["changed"] is False


def test_a_deployment_that_becomes_invalid_while_it_is_made_is_not_waited_for(
    shop: Shop, run_module: RunModule
) -> None:
    shop.lab.faults.managed(invalid="the topology changed")
    with pytest.raises(
        ModuleFailed, match=r"INVALID_CONFIGURATION \(the topology changed\): .*create it anew"
    ) as raised:
        run_module("rds_blue_green", deployment_id=NAME, source=shop.blue.cluster, **QUICK)
    assert raised.value.result["changed"] is True
