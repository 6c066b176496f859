# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Global clusters: created, described, modified, deleted, and what their members may not do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.lab.control_plane.conftest import Aws, World, refused
from tests.unit.lab.control_plane.fake_engine import AURORA

SHOP = "arn:aws:rds:us-east-1:123456789012:cluster:shop"
SHOP_EU = "arn:aws:rds:eu-west-1:123456789012:cluster:shop-eu"


class TestCreate:
    def test_around_a_cluster_it_is_creating_then_available_with_that_cluster_as_its_primary(self, aws: Aws) -> None:
        aws.create()
        aws.slow("creating")
        made = aws.rds.create_global_cluster(GlobalClusterIdentifier="World", SourceDBClusterIdentifier=SHOP)
        found = made["GlobalCluster"]
        assert (found["GlobalClusterIdentifier"], found["Status"]) == ("world", "creating")
        assert found["GlobalClusterArn"] == "arn:aws:rds::123456789012:global-cluster:world"
        assert (found["Engine"], found["EngineVersion"], found["DatabaseName"]) == (AURORA, "16.14", "shop")
        assert (found["StorageEncrypted"], found["DeletionProtection"]) == (False, False)
        member = {"DBClusterArn": SHOP, "Readers": [], "IsWriter": True, "SynchronizationStatus": "connected"}
        assert found["GlobalClusterMembers"] == [member]
        assert aws.cluster("shop")["GlobalClusterIdentifier"] == "world"
        aws.until(lambda: aws.world()["Status"] == "available")

    def test_the_first_cluster_of_an_empty_one_is_its_primary(self, aws: Aws) -> None:
        made = aws.rds.create_global_cluster(GlobalClusterIdentifier="world", Engine=AURORA, EngineVersion="16.10")
        assert made["GlobalCluster"]["Status"] == "available"
        assert made["GlobalCluster"]["GlobalClusterMembers"] == []
        request = {"DBClusterIdentifier": "shop", "Engine": AURORA, "GlobalClusterIdentifier": "world"}
        refused("MissingParameter", aws.rds.create_db_cluster, **request)
        user = {"MasterUsername": "admin1", "MasterUserPassword": "first+Pass-word"}
        assert aws.rds.create_db_cluster(**request, **user)["DBCluster"]["EngineVersion"] == "16.10"
        assert [(m["DBClusterArn"], m["IsWriter"]) for m in aws.world()["GlobalClusterMembers"]] == [(SHOP, True)]

    @pytest.mark.parametrize(
        ("change", "code", "message"),
        [
            ({"SourceDBClusterIdentifier": "shop"}, "InvalidParameterValue", "Invalid ARN"),
            ({"SourceDBClusterIdentifier": SHOP + "x"}, "DBClusterNotFoundFault", "not found"),
            ({"Engine": AURORA}, "InvalidParameterCombination", "Engine is not allowed"),
            ({"DatabaseName": "x"}, "InvalidParameterCombination", "DatabaseName is not allowed"),
            ({"GlobalClusterIdentifier": "1world"}, "InvalidParameterValue", "not a valid identifier"),
            ({"SourceDBClusterIdentifier": ""}, "MissingParameter", "Engine"),
        ],
    )
    def test_a_wrong_request_is_refused_and_leaves_nothing(
        self, aws: Aws, change: dict[str, Any], code: str, message: str
    ) -> None:
        aws.create()
        request = {"GlobalClusterIdentifier": "world", "SourceDBClusterIdentifier": SHOP, **change}
        assert message in refused(code, aws.rds.create_global_cluster, **request)
        assert aws.rds.describe_global_clusters()["GlobalClusters"] == []
        assert "GlobalClusterIdentifier" not in aws.cluster("shop")

    def test_a_source_must_be_available_free_and_not_burstable(self, aws: Aws) -> None:
        aws.create()
        create = aws.rds.create_global_cluster
        aws.slow("modifying")
        aws.rds.modify_db_cluster(DBClusterIdentifier="shop", MasterUserPassword="another-Pass1", ApplyImmediately=True)
        aws.until(lambda: aws.status("shop") == "modifying")
        request = {"GlobalClusterIdentifier": "world", "SourceDBClusterIdentifier": SHOP}
        assert "modifying" in refused("InvalidDBClusterStateFault", create, **request)
        aws.settled("shop")
        small = {"DBInstanceIdentifier": "small", "DBInstanceClass": "db.t4g.medium"}
        aws.rds.create_db_instance(DBClusterIdentifier="shop", Engine=AURORA, **small)
        assert "db.t4g.medium is not supported" in refused("InvalidParameterCombination", create, **request)
        aws.settled("shop")
        aws.rds.delete_db_instance(DBInstanceIdentifier="small")
        aws.until(lambda: len(aws.cluster("shop")["DBClusterMembers"]) == 1)
        create(**request)
        refused("GlobalClusterAlreadyExistsFault", create, **request)
        request["GlobalClusterIdentifier"] = "second"
        assert "a member of the global cluster world already" in refused(
            "InvalidDBClusterStateFault", create, **request
        )


class TestDescribe:
    def test_an_unknown_one_is_not_found(self, aws: Aws) -> None:
        assert "none" in refused(
            "GlobalClusterNotFoundFault", aws.rds.describe_global_clusters, GlobalClusterIdentifier="none"
        )

    def test_it_is_seen_from_the_regions_of_its_members_and_found_by_the_filter_from_everywhere(
        self, quiet_world: World, eu: Any, ap: Any
    ) -> None:
        def names(client: Any, **options: Any) -> list[str]:
            found = client.describe_global_clusters(**options)["GlobalClusters"]
            return [group["GlobalClusterIdentifier"] for group in found]

        assert names(quiet_world.aws.rds) == names(eu) == ["world"]
        assert names(ap) == []
        refused("GlobalClusterNotFoundFault", ap.describe_global_clusters, GlobalClusterIdentifier="world")
        assert names(ap, Filters=[{"Name": "region", "Values": ["eu-west-1"]}]) == ["world"]
        assert names(eu, Filters=[{"Name": "region", "Values": ["ap-south-1"]}]) == []
        refused("InvalidParameterValue", names, client=eu, Filters=[{"Name": "engine", "Values": [AURORA]}])

    def test_it_has_pages(self, aws: Aws) -> None:
        for number in range(21):
            aws.rds.create_global_cluster(GlobalClusterIdentifier=f"w{number:02}", Engine=AURORA)
        first = aws.rds.describe_global_clusters(MaxRecords=20)
        second = aws.rds.describe_global_clusters(MaxRecords=20, Marker=first["Marker"])
        assert len(first["GlobalClusters"]) == 20
        assert [group["GlobalClusterIdentifier"] for group in second["GlobalClusters"]] == ["w20"]

    def test_its_tags_are_those_of_its_arn(self, aws: Aws) -> None:
        made = aws.rds.create_global_cluster(
            GlobalClusterIdentifier="world", Engine=AURORA, Tags=[{"Key": "a", "Value": "1"}]
        )["GlobalCluster"]
        aws.rds.add_tags_to_resource(ResourceName=made["GlobalClusterArn"], Tags=[{"Key": "b", "Value": "2"}])
        tags = [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]
        assert aws.rds.list_tags_for_resource(ResourceName=made["GlobalClusterArn"])["TagList"] == tags
        assert aws.world()["TagList"] == tags


class TestModify:
    def test_another_name_holds_after_a_moment_everywhere(self, world: World) -> None:
        aws = world.aws
        aws.slow("modifying")
        modified = aws.rds.modify_global_cluster(GlobalClusterIdentifier="world", NewGlobalClusterIdentifier="Earth")
        assert modified["GlobalCluster"]["Status"] == "modifying"
        assert aws.world()["GlobalClusterIdentifier"] == "world"
        aws.until(lambda: aws.rds.describe_global_clusters()["GlobalClusters"][0]["Status"] == "available")
        found = aws.rds.describe_global_clusters(GlobalClusterIdentifier="earth")["GlobalClusters"][0]
        assert found["GlobalClusterArn"].endswith(":global-cluster:earth")
        assert world.secondary()["GlobalClusterIdentifier"] == "earth"

    def test_a_minor_upgrade_is_one_of_all_members_the_secondaries_first(self, world_1610: World) -> None:
        world = world_1610
        world.aws.engine.log.clear()
        modified = world.aws.rds.modify_global_cluster(GlobalClusterIdentifier="world", EngineVersion="16.14")
        assert modified["GlobalCluster"]["Status"] == "upgrading"
        world.settled()
        assert world.aws.world()["EngineVersion"] == "16.14"
        assert world.secondary()["EngineVersion"] == world.aws.cluster("shop")["EngineVersion"] == "16.14"
        readers_first = ["stop reader", "upgrade 16.14", "start reader", "stop writer", "upgrade 16.14", "start writer"]
        assert world.aws.engine.log == readers_first

    def test_a_major_upgrade_makes_the_secondaries_anew_with_default_groups(self, world: World) -> None:
        modify = world.aws.rds.modify_global_cluster
        request = {"GlobalClusterIdentifier": "world", "EngineVersion": "18.4"}
        assert "AllowMajorVersionUpgrade" in refused("InvalidParameterCombination", modify, **request)
        modify(**request, AllowMajorVersionUpgrade=True)
        world.settled()
        for cluster in (world.secondary(), world.aws.cluster("shop")):
            assert cluster["EngineVersion"] == "18.4"
            assert cluster["DBClusterParameterGroup"] == "default.aurora-postgresql18"
        assert {volume.version for volume in world.aws.engine.volumes.values()} == {"18.4"}

    def test_an_upgrade_that_the_engine_refuses_changes_no_member(self, world: World) -> None:
        world.aws.engine.refuse_upgrade = "there are logical slots"
        world.aws.rds.modify_global_cluster(
            GlobalClusterIdentifier="world", EngineVersion="18.4", AllowMajorVersionUpgrade=True
        )
        world.settled()
        assert world.secondary()["EngineVersion"] == world.aws.cluster("shop")["EngineVersion"] == "16.14"
        assert any("there are logical slots" in message for message in world.aws.messages("db-cluster", "shop"))

    @pytest.mark.parametrize("version", ["16.10", "99.9"])
    def test_a_version_that_cannot_be_reached_is_refused(self, quiet_world: World, version: str) -> None:
        refused(
            "InvalidParameterCombination",
            quiet_world.aws.rds.modify_global_cluster,
            GlobalClusterIdentifier="world",
            EngineVersion=version,
        )


class TestDelete:
    def test_only_an_empty_one_without_protection_is_deleted(self, aws: Aws) -> None:
        aws.create()
        request = {"GlobalClusterIdentifier": "world"}
        aws.rds.create_global_cluster(**request, SourceDBClusterIdentifier=SHOP, DeletionProtection=True)
        aws.until(lambda: aws.world()["Status"] == "available")
        assert "protect" in refused("InvalidParameterCombination", aws.rds.delete_global_cluster, **request)
        aws.rds.modify_global_cluster(**request, DeletionProtection=False)
        assert "is not empty" in refused("InvalidGlobalClusterStateFault", aws.rds.delete_global_cluster, **request)
        aws.rds.remove_from_global_cluster(**request, DbClusterIdentifier=SHOP)
        aws.settled("shop")
        assert "GlobalClusterIdentifier" not in aws.cluster("shop")
        aws.slow("deleting")
        assert aws.rds.delete_global_cluster(**request)["GlobalCluster"]["Status"] == "deleting"
        assert aws.world()["Status"] == "deleting"
        aws.until(lambda: aws.rds.describe_global_clusters()["GlobalClusters"] == [])


class TestMembersMayNot:
    @pytest.mark.parametrize(
        ("code", "message", "call"),
        [
            (
                "InvalidGlobalClusterStateFault",
                "primary member of global cluster while there are other",
                lambda w: w.aws.rds.delete_db_cluster(DBClusterIdentifier="shop", SkipFinalSnapshot=True),
            ),
            (
                "InvalidDBClusterStateFault",
                "please remove it from globalcluster first",
                lambda w: w.eu.delete_db_cluster(DBClusterIdentifier="shop-eu", SkipFinalSnapshot=True),
            ),
            (
                "InvalidDBClusterStateFault",
                "Cannot delete the last instance of the master cluster",
                lambda w: w.aws.rds.delete_db_instance(DBInstanceIdentifier="shop-1"),
            ),
            (
                "InvalidDBClusterStateFault",
                "part of a global cluster",
                lambda w: w.aws.rds.stop_db_cluster(DBClusterIdentifier="shop"),
            ),
            (
                "InvalidDBClusterStateFault",
                "is a secondary of a global cluster",
                lambda w: w.eu.failover_db_cluster(DBClusterIdentifier="shop-eu"),
            ),
            (
                "InvalidParameterCombination",
                "Upgrade the global cluster",
                lambda w: w.aws.rds.modify_db_cluster(
                    DBClusterIdentifier="shop", EngineVersion="18.4", AllowMajorVersionUpgrade=True
                ),
            ),
            (
                "InvalidParameterValue",
                "ManageMasterUserPassword isn't supported",
                lambda w: w.aws.rds.modify_db_cluster(DBClusterIdentifier="shop", ManageMasterUserPassword=True),
            ),
            (
                "InvalidParameterCombination",
                "Cannot specify password",
                lambda w: w.eu.modify_db_cluster(DBClusterIdentifier="shop-eu", MasterUserPassword="another-Pass1"),
            ),
            (
                "InvalidParameterCombination",
                "db.t3.medium is not supported",
                lambda w: w.eu.create_db_instance(
                    DBInstanceIdentifier="small",
                    DBClusterIdentifier="shop-eu",
                    Engine=AURORA,
                    DBInstanceClass="db.t3.medium",
                ),
            ),
            (
                "InvalidAction",
                "a copy of the secondary cluster",
                lambda w: w.eu.create_db_cluster_snapshot(
                    DBClusterIdentifier="shop-eu", DBClusterSnapshotIdentifier="copy"
                ),
            ),
        ],
    )
    def test_do_what_the_service_refuses(
        self, quiet_world: World, code: str, message: str, call: Callable[[World], Any]
    ) -> None:
        assert message in refused(code, lambda: call(quiet_world))

    def test_take_a_clone_along(self, world: World) -> None:
        assert "GlobalClusterIdentifier" not in world.aws.clone()
        world.aws.until(lambda: world.aws.status("green") == "available")
        world.aws.rds.delete_db_cluster(DBClusterIdentifier="green", SkipFinalSnapshot=True)

    def test_switch_over_while_their_minor_versions_differ(self, world_1610: World) -> None:
        modify = {"EngineVersion": "16.14", "ApplyImmediately": True}
        world_1610.eu.modify_db_cluster(DBClusterIdentifier="shop-eu", **modify)
        world_1610.aws.until(lambda: world_1610.secondary()["EngineVersion"] == "16.14")
        world_1610.settled()
        assert world_1610.aws.world()["EngineVersion"] == "16.10"
        message = refused("InvalidGlobalClusterStateFault", world_1610.switchover)
        assert "different engine versions: 16.10, 16.14" in message
