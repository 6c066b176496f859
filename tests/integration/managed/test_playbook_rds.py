# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""RDS for MySQL without GTIDs through every phase of the playbook, and back to old production by its way back.

The way back is armed by a second run, after writes on new production: as when the first one was killed before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests import forks
from tests.integration.conftest import RunModule
from tests.integration.managed.conftest import login, sql
from tests.lab.lab import Blue, Lab
from tests.playbook import Finished, Playbook

DEPLOYMENT = "desk-next"
OLD = "desk-old1"
VERSION = "8.4.8"

pytestmark = pytest.mark.timeout(600)


@dataclass
class Story:
    """What each run said, and what was true between the runs."""

    lab: Lab
    blue: Blue
    playbook: Playbook
    run_module: RunModule
    runs: dict[str, Finished] = field(default_factory=dict)
    seen: dict[str, Any] = field(default_factory=dict)

    def ask(self, instance: str, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements on an instance as the master user."""
        return sql(self.lab, self.blue, *statements, host=self.host(instance))

    def described(self, instance: str) -> Any:
        """An instance as the API describes it."""
        return self.lab.client("rds").describe_db_instances(DBInstanceIdentifier=instance)["DBInstances"][0]

    def host(self, instance: str) -> str:
        """Its endpoint."""
        return str(self.described(instance)["Endpoint"]["Address"])

    def notes(self, instance: str) -> list[str]:
        """The notes in the table of the application, in order."""
        return [str(row[0]) for row in self.ask(instance, "SELECT note FROM orders ORDER BY id")]


@pytest.fixture(scope="module", name="story")
def _story(names_lab: Lab, run_module: RunModule, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    blue = names_lab.seed_rds_mysql("desk", gtid=False)
    variables = {
        "rds_managed_deployment_id": DEPLOYMENT,
        "rds_managed_source": blue.cluster,
        "rds_managed_admin": {"user": blue.user, "password": blue.password, "ca_cert": names_lab.ca_file},
        "rds_managed_engine_version": VERSION,
        "rds_managed_prepare": True,
        "rds_managed_reboot_blue": True,
        "rds_managed_skip_final_snapshot": True,
        "rds_managed_wait_delay": 0.2,
    }
    with forks.serving(names_lab.env) as forking:
        directory = tmp_path_factory.mktemp("desk")
        playbook = Playbook(directory, {**names_lab.env, **forking}, variables, "bluegreen.aws.rds_managed")
        story = Story(names_lab, blue, playbook, run_module)
        tell(story)
    yield story
    for instance in (OLD, blue.cluster):
        names_lab.delete(instance)


def tell(story: Story) -> None:
    """There, and back again."""
    rds, blue, play = story.lab.client("rds"), story.blue, story.playbook
    story.ask(blue.cluster, "CREATE TABLE orders (id INT PRIMARY KEY AUTO_INCREMENT, note VARCHAR(20))")
    story.ask(blue.cluster, "INSERT INTO orders (note) VALUES ('before')")
    waiting = {"ParameterName": "performance_schema", "ParameterValue": "1", "ApplyMethod": "pending-reboot"}
    rds.modify_db_parameter_group(DBParameterGroupName="desk-blue", Parameters=[waiting])
    waits = [group["ParameterApplyStatus"] for group in story.described(blue.cluster)["DBParameterGroups"]]
    story.runs["there"] = play.succeed("readiness,create,verify,switchover")
    story.ask(blue.cluster, "FLUSH BINARY LOGS", "INSERT INTO orders (note) VALUES ('unarmed')")
    story.ask(blue.cluster, "CREATE USER clerk@'%' IDENTIFIED BY 'Clerk-of-the-desk-1'")
    story.runs["armed"] = play.succeed("switchover,rollback", rds_managed_reverse_replication=True)
    story.seen["armed"] = story.notes(OLD)
    (group,) = story.described(OLD)["DBParameterGroups"]
    story.seen["reboot"] = (*waits, group["ParameterApplyStatus"])
    story.ask(blue.cluster, "INSERT INTO orders (note) VALUES ('last')")
    story.seen["back"] = story.run_module(
        "bg_switchover",
        engine="aurora_mysql",
        deployment_id=f"{DEPLOYMENT}-back",
        blue=login(story.lab, blue),
        green=login(story.lab, blue, host=story.host(OLD)),
    )
    story.ask(OLD, "INSERT INTO orders (note) VALUES ('home')")
    story.seen["home"] = story.notes(OLD)
    locked = "SELECT account_locked FROM mysql.user WHERE user = 'clerk'"
    story.seen["clerk"] = [story.ask(instance, locked) for instance in (blue.cluster, OLD)]
    story.runs["refused"] = play.run("rollback,cleanup", rds_managed_delete_source=True)
    story.runs["cleanup"] = play.succeed("cleanup", rds_managed_fence_source="none")


def test_the_phases_reboot_blue_make_green_with_its_version_and_switch_over_to_it(story: Story) -> None:
    assert story.seen["reboot"] == ("pending-reboot", "in-sync")
    assert story.described(story.blue.cluster)["EngineVersion"] == VERSION
    assert '"equal         shop.orders ' in story.runs["there"].output


def test_what_was_written_before_the_way_back_was_armed_is_on_old_production_once(story: Story) -> None:
    assert story.seen["armed"] == ["before", "unarmed"]
    assert "To go back without a lost write: " in story.runs["armed"].output


def test_a_switchover_along_the_way_back_loses_nothing_and_counts_on(story: Story) -> None:
    assert story.seen["back"]["outcome"] == "switched_over"
    assert story.seen["home"] == ["before", "unarmed", "last", "home"]


def test_an_account_that_new_production_got_is_let_in_where_the_writes_are(story: Story) -> None:
    assert story.seen["clerk"] == [[("Y",)], [("N",)]]


def test_a_cleanup_neither_deletes_nor_closes_old_production_that_serves_again(story: Story) -> None:
    run = story.runs["refused"]
    assert f"The way back was gone: {OLD} is production again" in run.output
    assert run.failure["msg"].startswith(
        f"The way back was gone, and {OLD} is production again, but this cleanup would"
    )
    assert run.changed == 0
    assert story.ask(OLD, "SELECT @@read_only") == [(0,)]
    assert story.lab.client("rds").describe_blue_green_deployments()["BlueGreenDeployments"] == []
