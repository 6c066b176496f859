# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A deployment of a global database: green in every Region, and in the end nothing old in any of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.integration.conftest import ModuleFailed, RunModule
from tests.integration.managed.conftest import login, sql
from tests.lab.lab import Blue, Lab

HOME, AWAY, DEPLOYMENT = "us-east-1", "eu-west-1", "globe-next"
NEWER = "18.4"
MADE = f"{DEPLOYMENT}-aurora-postgresql18"
QUICK = {"wait_delay": 0.1, "wait_timeout": 120}

pytestmark = pytest.mark.timeout(600)


@dataclass
class Story:
    """The primary of a global database, and what each module said and left."""

    lab: Lab
    blue: Blue
    run_module: RunModule
    refused: dict[str, str] = field(default_factory=dict)
    results: dict[str, dict[str, Any]] = field(default_factory=dict)
    seen: dict[str, Any] = field(default_factory=dict)

    @property
    def away(self) -> str:
        """The secondary."""
        return self.blue.secondaries[AWAY]

    def cluster(self, name: str, region: str) -> dict[str, Any]:
        """A cluster as described."""
        found: dict[str, Any] = self.lab.client("rds", region).describe_db_clusters(DBClusterIdentifier=name)
        described: dict[str, Any] = found["DBClusters"][0]
        return described

    def estate(self) -> list[str]:
        """The global databases, clusters and instances of the story."""
        worlds = self.lab.client("rds").describe_global_clusters()["GlobalClusters"]
        found = [str(one["GlobalClusterIdentifier"]) for one in worlds]
        for region in (HOME, AWAY):
            rds = self.lab.client("rds", region)
            found += [f"{region} {one['DBClusterIdentifier']}" for one in rds.describe_db_clusters()["DBClusters"]]
            found += [f"{region} {one['DBInstanceIdentifier']}" for one in rds.describe_db_instances()["DBInstances"]]
        return sorted(name for name in found if "globe" in name)

    def run(self, name: str, module: str, **options: Any) -> dict[str, Any]:
        """Run a module, and keep what it said."""
        self.results[name] = self.run_module(module, deployment_id=DEPLOYMENT, **options)
        return self.results[name]

    def refuse(self, name: str, **options: Any) -> None:
        """Have `rds_blue_green` refuse something, and keep its sentence."""
        with pytest.raises(ModuleFailed) as raised:
            self.run_module("rds_blue_green", deployment_id=DEPLOYMENT, **options)
        self.refused[name] = raised.value.msg


@pytest.fixture(scope="module", name="story")
def _story(names_lab: Lab, run_module: RunModule) -> Iterator[Story]:
    before = names_lab.clusters()
    blue = names_lab.seed_postgresql("globe", readers=0, regions=[AWAY])
    sql(names_lab, blue, "CREATE TABLE orders (id int PRIMARY KEY)", "INSERT INTO orders VALUES (1)")
    story = Story(names_lab, blue, run_module)
    tell(story)
    yield story
    names_lab.clear(before)


def tell(story: Story) -> None:
    """From a wrong Region and a missing group to a global database that is new everywhere."""
    story.seen["start"] = story.estate()
    group = {"DBClusterParameterGroupName": "globe-own18", "DBParameterGroupFamily": "aurora-postgresql18"}
    story.lab.client("rds").create_db_cluster_parameter_group(**group, Description="at home only")
    newer = {"target_engine_version": NEWER, **QUICK}
    story.refuse("secondary", source=story.away, region=AWAY, **newer)
    wanted = {"source": story.blue.cluster, **newer}
    story.refuse("group", target_db_cluster_parameter_group_name="globe-own18", **wanted)
    story.run("made", "rds_blue_green", prepare=True, **wanted)
    story.run("made again", "rds_blue_green", prepare=True, **wanted)
    (story.seen["info"],) = story.run("info", "rds_blue_green_info")["deployments"]
    targets = [one["target"] for one in story.seen["info"]["members"]]
    green = next(one for one in targets if f":{AWAY}:" in one and ":cluster:" in one)
    story.seen["green away"] = story.cluster(green.rpartition(":")[2], AWAY)
    sides = {"blue": login(story.lab, story.blue)}
    sides["green"] = {**sides["blue"], "host": story.seen["info"]["green"]["host"]}
    story.run("moved", "bg_switchover", engine="managed", **sides)
    story.seen["production away"] = story.cluster(story.away, AWAY)
    gone = {"state": "absent", "delete_source": True, "skip_final_snapshot": True, **QUICK}
    story.run("predicted", "rds_blue_green", check=True, **gone)
    story.run("gone", "rds_blue_green", **gone)
    story.seen["end"] = story.estate()


def test_a_deployment_is_not_made_from_a_secondary(story: Story) -> None:
    assert (
        f"a deployment of the global database globe-global starts from its primary, which is arn:aws:rds:{HOME}:123456789012:"
        "cluster:globe, not" in story.refused["secondary"]
    )


def test_a_group_of_green_that_another_region_does_not_have_is_named(story: Story) -> None:
    assert f"the DB cluster parameter group globe-own18 in {AWAY} does not exist" in story.refused["group"]


def test_green_has_its_members_and_their_group_in_every_region(story: Story) -> None:
    members = [one["target"].split(":")[3] for one in story.seen["info"]["members"]]
    assert sorted(members) == [AWAY, AWAY, HOME, HOME]
    green = story.seen["green away"]
    assert (green["EngineVersion"], green["DBClusterParameterGroup"]) == (NEWER, MADE)
    assert story.results["made"]["changed"] and not story.results["made again"]["changed"]


def test_the_switchover_reaches_every_region(story: Story) -> None:
    now = story.seen["production away"]
    assert (now["EngineVersion"], now["GlobalClusterIdentifier"]) == (NEWER, "globe-global")
    events = [entry["event"] for entry in story.results["moved"]["timeline"]]
    assert f"{story.away} is SWITCHOVER_COMPLETED" in events
    assert sql(story.lab, story.blue, "SELECT id FROM orders", host=now["ReaderEndpoint"]) == [(1,)]


def test_the_cleanup_leaves_production_in_every_region_and_nothing_else(story: Story) -> None:
    assert story.seen["end"] == story.seen["start"]
    assert story.results["predicted"]["actions"] == story.results["gone"]["actions"]
