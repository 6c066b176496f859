# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secondary clusters: created, described, removed; the primary changed by switchover and failover."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.lab.control_plane.conftest import Aws, World, refused
from tests.unit.lab.control_plane.fake_engine import AURORA

SHOP = "arn:aws:rds:us-east-1:123456789012:cluster:shop"
SHOP_EU = "arn:aws:rds:eu-west-1:123456789012:cluster:shop-eu"
SECONDARY = {"DBClusterIdentifier": "shop-ap", "Engine": AURORA, "GlobalClusterIdentifier": "world"}
INSTANCE = {"Engine": AURORA, "DBInstanceClass": "db.r6g.large"}


class TestSecondary:
    def test_it_follows_the_primary_and_says_so_in_both_regions(self, world: World) -> None:
        secondary, primary = world.secondary(), world.aws.cluster("shop")
        assert secondary["ReplicationSourceIdentifier"] == SHOP
        assert primary["ReadReplicaIdentifiers"] == [SHOP_EU]
        assert primary["GlobalClusterIdentifier"] == secondary["GlobalClusterIdentifier"] == "world"
        assert (secondary["MasterUsername"], secondary["EngineVersion"]) == ("admin1", "16.14")
        readers = {m["DBClusterArn"]: m["Readers"] for m in world.aws.world()["GlobalClusterMembers"]}
        assert readers == {SHOP: [SHOP_EU], SHOP_EU: []}
        volumes = world.aws.engine.volumes
        assert volumes[secondary["DbClusterResourceId"]].follows == primary["DbClusterResourceId"]

    def test_its_instances_are_readers_and_no_server_is_behind_its_writer_endpoint(self, world: World) -> None:
        secondary = world.secondary()
        assert world.writers() == ["shop-1"]
        led = [address for spec in world.aws.engine.servers.values() for address in spec.addresses]
        assert secondary["ReaderEndpoint"] in led
        assert secondary["Endpoint"] not in led

    def test_it_is_not_connected_before_its_copy_is_there(self, world: World, ap: Any) -> None:
        world.keep_primary_busy()
        created = ap.create_db_cluster(**SECONDARY)["DBCluster"]
        assert created["Status"] == "creating"
        members = {m["DBClusterArn"]: m["SynchronizationStatus"] for m in world.aws.world()["GlobalClusterMembers"]}
        assert members == {SHOP: "connected", SHOP_EU: "connected", created["DBClusterArn"]: "pending-resync"}
        refused("InvalidDBClusterStateFault", world.switchover)

    @pytest.mark.parametrize(
        ("region", "change", "code", "message"),
        [
            ("ap", {"MasterUsername": "x"}, "InvalidParameterCombination", "Cannot specify user name for cross region"),
            ("ap", {"MasterUserPassword": "Y2345678"}, "InvalidParameterCombination", "Cannot specify password for"),
            ("ap", {"DatabaseName": "x"}, "InvalidParameterCombination", "Cannot specify database name for"),
            ("ap", {"EngineVersion": "16.10"}, "InvalidParameterCombination", "16.10 does not match"),
            ("ap", {"Engine": "aurora-mysql"}, "InvalidParameterCombination", "aurora-mysql does not match"),
            ("ap", {"StorageEncrypted": True}, "InvalidParameterCombination", "the primary cluster is not"),
            ("ap", {"ManageMasterUserPassword": True}, "InvalidParameterValue", "ManageMasterUserPassword isn't"),
            ("ap", {"GlobalClusterIdentifier": "none"}, "GlobalClusterNotFoundFault", "none not found"),
            ("ap", {"DBClusterParameterGroupName": "us"}, "DBClusterParameterGroupNotFound", "not found: us"),
            ("eu", {}, "InvalidGlobalClusterStateFault", "has a DB cluster in eu-west-1 already"),
            ("us", {}, "InvalidGlobalClusterStateFault", "has a DB cluster in us-east-1 already"),
        ],
    )
    def test_a_wrong_request_is_refused_and_leaves_nothing(
        self, quiet_world: World, ap: Any, region: str, change: dict[str, Any], code: str, message: str
    ) -> None:
        client = {"ap": ap, "eu": quiet_world.eu, "us": quiet_world.aws.rds}[region]
        assert message in refused(code, client.create_db_cluster, **{**SECONDARY, **change})
        assert len(quiet_world.aws.world()["GlobalClusterMembers"]) == 2
        assert ap.describe_db_clusters()["DBClusters"] == []

    def test_of_an_encrypted_primary_it_needs_a_key_of_its_own_region(self, aws: Aws, eu: Any) -> None:
        aws.create(StorageEncrypted=True)
        aws.rds.create_global_cluster(GlobalClusterIdentifier="world", SourceDBClusterIdentifier=SHOP)
        aws.until(lambda: aws.world()["Status"] == "available")
        assert "KmsKeyId" in refused("InvalidParameterCombination", eu.create_db_cluster, **SECONDARY)
        key = "arn:aws:kms:eu-west-1:123456789012:key/1"
        made = eu.create_db_cluster(**SECONDARY, KmsKeyId=key)["DBCluster"]
        assert (made["StorageEncrypted"], made["KmsKeyId"]) == (True, key)

    def test_there_are_only_so_many(self, quiet_world: World, ap: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tests.lab.control_plane.global_members.MAX_SECONDARIES", 1)
        assert "maximum of 1" in refused("InvalidGlobalClusterStateFault", ap.create_db_cluster, **SECONDARY)


class TestWriteForwarding:
    def test_it_is_enabling_then_enabled_and_back(self, world: World) -> None:
        def statuses() -> tuple[str, bool, str]:
            secondary, group = world.secondary(), world.aws.world()["GlobalClusterMembers"][1]
            return (
                secondary["GlobalWriteForwardingStatus"],
                secondary["GlobalWriteForwardingRequested"],
                group["GlobalWriteForwardingStatus"],
            )

        assert statuses() == ("disabled", False, "disabled")
        world.aws.slow("enabling", "disabling")
        world.eu.modify_db_cluster(DBClusterIdentifier="shop-eu", EnableGlobalWriteForwarding=True)
        assert statuses() == ("enabling", True, "enabling")
        world.aws.until(lambda: statuses() == ("enabled", True, "enabled"))
        world.eu.modify_db_cluster(DBClusterIdentifier="shop-eu", EnableGlobalWriteForwarding=False)
        assert statuses() == ("disabling", False, "disabling")
        world.aws.until(lambda: statuses() == ("disabled", False, "disabled"))

    def test_the_primary_keeps_it_for_the_day_it_is_a_secondary(self, world: World) -> None:
        modified = world.aws.rds.modify_db_cluster(DBClusterIdentifier="shop", EnableGlobalWriteForwarding=True)
        assert "GlobalWriteForwardingStatus" not in modified["DBCluster"]
        world.switchover()
        world.settled()
        assert world.aws.cluster("shop")["GlobalWriteForwardingStatus"] == "enabled"

    def test_it_is_for_members_only(self, aws: Aws) -> None:
        aws.create(instances=0)
        options = {"DBClusterIdentifier": "shop", "EnableGlobalWriteForwarding": True}
        assert "members" in refused("InvalidParameterCombination", aws.rds.modify_db_cluster, **options)


class TestRemove:
    def test_a_secondary_is_promoting_and_then_a_cluster_of_its_own_with_a_writer(self, world: World) -> None:
        world.eu.create_db_instance(
            DBInstanceIdentifier="first", DBClusterIdentifier="shop-eu", PromotionTier=0, **INSTANCE
        )
        world.settled()
        world.aws.slow("promoting")
        removed = world.aws.rds.remove_from_global_cluster(GlobalClusterIdentifier="world", DbClusterIdentifier=SHOP_EU)
        assert len(removed["GlobalCluster"]["GlobalClusterMembers"]) == 2
        assert world.secondary()["Status"] == "promoting"
        world.aws.until(lambda: world.secondary()["Status"] == "available")
        secondary = world.secondary()
        assert not {"GlobalClusterIdentifier", "ReplicationSourceIdentifier", "GlobalWriteForwardingStatus"} & set(
            secondary
        )
        assert world.writers() == ["shop-1", "first"]
        assert world.aws.engine.volumes[secondary["DbClusterResourceId"]].follows is None
        assert [m["DBClusterArn"] for m in world.aws.world()["GlobalClusterMembers"]] == [SHOP]
        ever = {spec.volume_id for spec in world.aws.engine.started if world.aws.world()["Endpoint"] in spec.addresses}
        now = [spec for spec in world.aws.engine.servers.values() if world.aws.world()["Endpoint"] in spec.addresses]
        assert secondary["DbClusterResourceId"] not in ever and len(now) == 1

    def test_the_primary_leaves_last(self, world: World) -> None:
        remove = world.aws.rds.remove_from_global_cluster
        request = {"GlobalClusterIdentifier": "world", "DbClusterIdentifier": SHOP}
        assert "while it has secondary clusters" in refused("InvalidGlobalClusterStateFault", remove, **request)
        remove(GlobalClusterIdentifier="world", DbClusterIdentifier=SHOP_EU)
        world.aws.until(lambda: world.secondary()["Status"] == "available")
        remove(**request)
        world.aws.until(lambda: world.aws.world()["GlobalClusterMembers"] == [])
        world.aws.settled("shop")
        led = [address for spec in world.aws.engine.servers.values() for address in spec.addresses]
        assert world.aws.world()["Endpoint"] not in led

    @pytest.mark.parametrize(
        ("arn", "code", "message"),
        [
            ("shop-eu", "InvalidParameterValue", "is not the ARN of a DB cluster"),
            (SHOP_EU + "x", "DBClusterNotFoundFault", "not found"),
            (SHOP.replace("shop", "other"), "InvalidParameterValue", "is not found in global cluster world"),
        ],
    )
    def test_what_is_no_member_is_refused(self, quiet_world: World, arn: str, code: str, message: str) -> None:
        remove = quiet_world.aws.rds.remove_from_global_cluster
        assert message in refused(code, remove, GlobalClusterIdentifier="world", DbClusterIdentifier=arn)


class TestSwitchover:
    def test_the_roles_swap_and_every_step_is_visible(self, world: World) -> None:
        endpoint = world.aws.world()["Endpoint"]
        world.aws.slow("switching-over")
        begun = world.switchover()
        assert begun["Status"] == "switching-over"
        state = {"FromDbClusterArn": SHOP, "ToDbClusterArn": SHOP_EU, "IsDataLossAllowed": False}
        assert begun["FailoverState"] == {"Status": "pending", **state}
        world.aws.until(lambda: world.aws.world()["FailoverState"] == {"Status": "switching-over", **state})
        assert (world.aws.status("shop"), world.secondary()["Status"]) == ("modifying", "modifying")
        refused("InvalidGlobalClusterStateFault", world.switchover)
        world.settled()
        assert "FailoverState" not in world.aws.world()
        assert [(m["DBClusterArn"], m["IsWriter"]) for m in world.aws.world()["GlobalClusterMembers"]] == [
            (SHOP, False),
            (SHOP_EU, True),
        ]
        assert world.writers() == ["shop-eu-1"]
        assert world.aws.cluster("shop")["ReplicationSourceIdentifier"] == SHOP_EU
        writer = [spec.addresses for spec in world.aws.engine.servers.values() if spec.role == "writer"]
        assert len(writer) == 1 and {endpoint, world.secondary()["Endpoint"]} < set(writer[0])

    def test_the_target_is_promoted_only_with_everything_and_the_old_primary_stopped(self, world: World) -> None:
        world.aws.engine.log.clear()
        world.switchover()
        world.settled()
        steps = ["stop writer", "stop reader", "promote complete", "start writer", "follow", "start reader"]
        assert world.aws.engine.log == steps

    def test_one_that_cannot_be_complete_is_cancelled_and_the_old_primary_writes_again(self, world: World) -> None:
        world.aws.engine.refuse_promotion = "something is missing"
        world.switchover()
        world.settled()
        assert world.writers() == ["shop-1"]
        assert world.secondary()["ReplicationSourceIdentifier"] == SHOP
        roles = sorted(spec.role for spec in world.aws.engine.servers.values())
        assert roles == ["reader", "writer"]
        events = world.eu.describe_events(SourceType="db-cluster", SourceIdentifier="shop-eu")["Events"]
        assert "something is missing" in events[-1]["Message"]

    @pytest.mark.parametrize(
        ("target", "code", "message"),
        [
            (SHOP, "InvalidGlobalClusterStateFault", "is the primary cluster of the global cluster world already"),
            ("shop-eu", "InvalidParameterValue", "is not the ARN"),
        ],
    )
    def test_a_target_that_is_no_secondary_is_refused(
        self, quiet_world: World, target: str, code: str, message: str
    ) -> None:
        assert message in refused(code, quiet_world.switchover, target=target)

    def test_a_headless_secondary_is_no_target(self, world: World, ap: Any) -> None:
        arn = ap.create_db_cluster(**SECONDARY)["DBCluster"]["DBClusterArn"]
        world.aws.until(lambda: ap.describe_db_clusters()["DBClusters"][0]["Status"] == "available")
        message = refused("InvalidDBClusterStateFault", world.switchover, target=arn)
        assert "no available DB instance" in message
        world.switchover()
        world.settled()
        volume = ap.describe_db_clusters()["DBClusters"][0]["DbClusterResourceId"]
        assert world.aws.engine.volumes[volume].follows == world.secondary()["DbClusterResourceId"]

    def test_its_faults_are_injected_as_those_of_other_operations(self, world: World) -> None:
        world.aws.knobs.turn(
            "fail", {"operation": "SwitchoverGlobalCluster", "code": "SharedSnapshotQuotaExceeded", "after": True}
        )
        refused("SharedSnapshotQuotaExceeded", world.switchover)
        world.settled()
        assert world.writers() == ["shop-eu-1"]


class TestFailover:
    def failover(self, world: World, **options: Any) -> dict[str, Any]:
        """Ask for a failover to shop-eu."""
        found: dict[str, Any] = world.aws.rds.failover_global_cluster(
            GlobalClusterIdentifier="world", TargetDbClusterIdentifier=SHOP_EU, **options
        )["GlobalCluster"]
        return found

    def test_a_dead_primary_does_not_hinder_it_and_is_made_anew(self, world: World) -> None:
        world.aws.slow("failing-over", "pending-resync")
        world.aws.knobs.turn("kill", {"instance": "shop-1", "restart": False})
        begun = self.failover(world, AllowDataLoss=True)
        assert (begun["Status"], begun["FailoverState"]["IsDataLossAllowed"]) == ("failing-over", True)
        world.aws.until(lambda: world.writers() == ["shop-eu-1"])
        assert world.aws.world()["GlobalClusterMembers"][0]["SynchronizationStatus"] == "pending-resync"
        world.settled()
        follows = world.aws.engine.volumes[world.aws.cluster("shop")["DbClusterResourceId"]].follows
        assert follows == world.secondary()["DbClusterResourceId"]
        assert sorted(spec.role for spec in world.aws.engine.servers.values()) == ["reader", "writer"]

    def test_without_allowed_data_loss_it_is_a_switchover(self, world: World) -> None:
        assert self.failover(world)["Status"] == "switching-over"
        world.settled()
        assert world.writers() == ["shop-eu-1"]

    def test_it_is_not_both(self, quiet_world: World) -> None:
        with_both = {"AllowDataLoss": True, "Switchover": True}
        message = refused("InvalidParameterCombination", lambda: self.failover(quiet_world, **with_both))
        assert "can't be specified together" in message

    def test_a_secondary_that_is_still_being_made_does_not_hinder_it(self, world: World, ap: Any) -> None:
        world.keep_primary_busy()
        volume = ap.create_db_cluster(**SECONDARY)["DBCluster"]["DbClusterResourceId"]
        self.failover(world, AllowDataLoss=True)
        world.settled()
        assert world.writers() == ["shop-eu-1"]
        assert world.aws.engine.volumes[volume].follows == world.secondary()["DbClusterResourceId"]
