# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One hop of an upgrade: begun late, failed with or without a reason, arrived with all instances."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.stub import Stubber

from ansible_collections.bluegreen.aws.plugins.module_utils._aws import upgrading
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.api import Api, ApiError
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.clusters import Cluster
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.parameter_groups import CLUSTER
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.upgrading import Target, Upgraded, upgrade
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.waiters import Waits
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.journal import Journal
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names

FAMILY = "aurora-postgresql16"
MakeCluster = Callable[..., Cluster]


class Script:
    """Queues the answers of one run: a green with one instance goes from 16.10 to 16.14 in its own family."""

    def __init__(self, stubber: Stubber, green: Cluster) -> None:
        self.stubber = stubber
        self.cluster = dict(green.description)
        self.instance = dict(green.instances[0].description)

    def look(self, status: str = "available", version: str = "16.10", instance: str | None = None) -> None:
        cluster = {**self.cluster, "Status": status, "EngineVersion": version}
        member = {**self.instance, "DBInstanceStatus": status, "EngineVersion": instance or version}
        self.stubber.add_response("describe_db_clusters", {"DBClusters": [cluster]})
        self.stubber.add_response("describe_db_instances", {"DBInstances": [member]})

    def events(self, *messages: str) -> None:
        events = [{"Date": f"2026-01-01T00:00:0{at}Z", "Message": text} for at, text in enumerate(messages)]
        self.stubber.add_response("describe_events", {"Events": events})
        self.stubber.add_response("describe_events", {"Events": []})

    def plan(self) -> None:
        versions = [
            {
                "EngineVersion": "16.10",
                "DBParameterGroupFamily": FAMILY,
                "ValidUpgradeTarget": [{"EngineVersion": "16.14", "IsMajorVersionUpgrade": False}],
            },
            {"EngineVersion": "16.14", "DBParameterGroupFamily": FAMILY},
        ]
        self.stubber.add_response("describe_db_engine_versions", {"DBEngineVersions": versions})
        cluster_group = {"DBClusterParameterGroupName": "g", "DBParameterGroupFamily": FAMILY}
        group = {"DBParameterGroupName": "i", "DBParameterGroupFamily": FAMILY, "DBParameterGroupArn": "arn:i"}
        self.stubber.add_response(
            "describe_db_cluster_parameter_groups",
            {"DBClusterParameterGroups": [{**cluster_group, "DBClusterParameterGroupArn": "arn:g"}]},
        )
        self.stubber.add_response("describe_db_parameter_groups", {"DBParameterGroups": [group]})

    def modify(self, error: str | None = None) -> None:
        if error:
            self.stubber.add_client_error("modify_db_cluster", error, "Cluster is not in available state.")
            return
        wanted = {"DBClusterIdentifier": "shop-pg18", "EngineVersion": "16.14", "ApplyImmediately": True}
        self.stubber.add_response("modify_db_cluster", {}, wanted)


@pytest.fixture
def script(stubber: Stubber, green: MakeCluster) -> Script:
    return Script(stubber, green("shop-pg18-1"))


@pytest.fixture
def run(api: Api) -> Callable[[], Upgraded]:
    """Upgrade green to 16.14, and look without pauses."""
    target = Target("shop-pg18", "16.14", False, {}, Waits(timeout=5, delay=0))
    return lambda: upgrade(api, Names.of("shop-pg18"), target, Journal(check_mode=False))


def begin(script: Script) -> None:
    script.look()
    script.plan()
    script.events("an old failure: failed")
    script.modify()


def test_a_hop_that_begins_late_is_waited_for_until_its_instances_arrive(
    script: Script, run: Callable[[], Any]
) -> None:
    begin(script)
    script.look()  # still available with the old version, as on AWS
    script.events("an old failure: failed")
    script.look("upgrading")
    script.look("upgrading", "16.14")
    script.look("available", "16.14", instance="16.10")
    script.look("available", "16.14")
    done = run()
    assert done.green.version == done.green.instances[0].version == "16.14"
    assert [hop.version for hop in done.hops] == ["16.14"]


def test_a_failed_hop_is_one_sentence_with_the_events_reason(script: Script, run: Callable[[], Any]) -> None:
    begin(script)
    script.look("upgrading")
    script.look()
    script.events("an old failure: failed", "Database cluster is in a state that cannot be upgraded: a slot exists")
    with pytest.raises(BlueGreenError) as caught:
        run()
    assert caught.value.message == (
        "The DB cluster shop-pg18 should be upgraded to 16.14, but is back at 16.10: "
        "Database cluster is in a state that cannot be upgraded: a slot exists."
    )


@pytest.mark.parametrize("begun", [True, False])
def test_a_hop_that_goes_nowhere_without_an_event_is_a_failure_too(
    script: Script, run: Callable[[], Any], begun: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upgrading, "_QUIET_AFTER" if begun else "_QUIET_BEFORE", (2, 0.0))
    begin(script)
    if begun:
        script.look("upgrading")
    for _unused in range(3):
        script.look()
        script.events("an old failure: failed")
    with pytest.raises(BlueGreenError, match=r"back at 16\.10: its events give no reason"):
        run()


def test_a_hop_whose_call_was_answered_twice_goes_on(script: Script, run: Callable[[], Any]) -> None:
    script.look()
    script.plan()
    script.events()
    script.modify("InvalidDBClusterStateFault")
    script.look("upgrading")
    script.look("available", "16.14")
    script.look("available", "16.14")
    assert run().green.version == "16.14"


def test_a_refused_hop_is_refused(script: Script, run: Callable[[], Any]) -> None:
    script.look()
    script.plan()
    script.events()
    script.modify("InvalidDBClusterStateFault")
    script.look()
    with pytest.raises(ApiError, match="Cluster is not in available state"):
        run()


def test_an_upgrade_under_way_is_waited_for_and_then_nothing_is_left(script: Script, run: Callable[[], Any]) -> None:
    script.look("upgrading")
    script.look("upgrading")
    script.look("available", "16.14")
    script.plan()
    done = run()
    assert done.hops == ()
    assert done.green.version == "16.14"


def test_a_cluster_without_our_tags_is_never_upgraded(script: Script, run: Callable[[], Any]) -> None:
    script.cluster["TagList"] = []
    script.look()
    with pytest.raises(
        BlueGreenError, match="does not carry the tags of the deployment shop-pg18, so it is left alone"
    ):
        run()


def test_a_named_group_must_be_of_the_targets_family(api: Api, script: Script) -> None:
    script.look()
    script.plan()
    group = {"DBParameterGroupFamily": "aurora-postgresql18", "DBClusterParameterGroupArn": "arn"}
    script.stubber.add_response(
        "describe_db_cluster_parameter_groups",
        {"DBClusterParameterGroups": [{**group, "DBClusterParameterGroupName": "mine"}]},
        {"DBClusterParameterGroupName": "mine"},
    )
    names = {CLUSTER: "mine"}
    target = Target("shop-pg18", "16.14", False, names, Waits(timeout=5, delay=0))
    with pytest.raises(BlueGreenError, match=f"needs the family {FAMILY}, but is of aurora-postgresql18"):
        upgrade(api, Names.of("shop-pg18"), target, Journal(check_mode=False))


def test_a_default_group_is_not_named_and_a_custom_one_is_followed(api: Api, stubber: Stubber, script: Script) -> None:
    script.look()
    versions = [
        {
            "EngineVersion": "16.10",
            "DBParameterGroupFamily": FAMILY,
            "ValidUpgradeTarget": [{"EngineVersion": "18.4", "IsMajorVersionUpgrade": True}],
        },
        {"EngineVersion": "18.4", "DBParameterGroupFamily": "aurora-postgresql18"},
    ]
    stubber.add_response("describe_db_engine_versions", {"DBEngineVersions": versions})
    cluster_group = {"DBClusterParameterGroupName": "mine", "DBParameterGroupFamily": FAMILY}
    stubber.add_response(
        "describe_db_cluster_parameter_groups",
        {"DBClusterParameterGroups": [{**cluster_group, "DBClusterParameterGroupArn": "arn"}]},
    )
    default = {"DBParameterGroupName": "default.aurora-postgresql16", "DBParameterGroupFamily": FAMILY}
    stubber.add_response(
        "describe_db_parameter_groups", {"DBParameterGroups": [{**default, "DBParameterGroupArn": "arn"}]}
    )
    stubber.add_response("describe_engine_default_cluster_parameters", {"EngineDefaults": {"Parameters": []}})
    stubber.add_response("describe_db_cluster_parameters", {"Parameters": []})
    stubber.add_client_error("describe_db_cluster_parameter_groups", "DBParameterGroupNotFound", "none")
    stubber.add_response("create_db_cluster_parameter_group", {})
    script.events()
    stubber.add_response(
        "modify_db_cluster",
        {},
        {
            "DBClusterIdentifier": "shop-pg18",
            "EngineVersion": "18.4",
            "ApplyImmediately": True,
            "AllowMajorVersionUpgrade": True,
            "DBClusterParameterGroupName": "shop-pg18-aurora-postgresql18",
        },
    )
    script.look("available", "18.4")
    target = Target("shop-pg18", "18.4", True, {}, Waits(timeout=5, delay=0))
    done = upgrade(api, Names.of("shop-pg18"), target, Journal(check_mode=False))
    assert done.green.version == "18.4"


def test_a_member_of_a_global_cluster_is_not_upgraded_by_itself(
    script: Script, run: Callable[[], Any], stubber: Stubber
) -> None:
    script.cluster["GlobalClusterIdentifier"] = "shop-pg18-global"
    script.look()
    versions = [
        {
            "EngineVersion": "16.10",
            "DBParameterGroupFamily": FAMILY,
            "ValidUpgradeTarget": [{"EngineVersion": "16.14", "IsMajorVersionUpgrade": False}],
        },
        {"EngineVersion": "16.14", "DBParameterGroupFamily": FAMILY},
    ]
    stubber.add_response("describe_db_engine_versions", {"DBEngineVersions": versions})
    with pytest.raises(BlueGreenError, match="is a member of the global cluster shop-pg18-global, and members cannot"):
        run()
