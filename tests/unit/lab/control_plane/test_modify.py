# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ModifyDBCluster, ModifyDBInstance and upgrades."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.lab.control_plane.conftest import Aws, refused

MAJOR: dict[str, Any] = {
    "DBClusterIdentifier": "shop",
    "EngineVersion": "18.4",
    "AllowMajorVersionUpgrade": True,
    "ApplyImmediately": True,
}


def custom_group(aws: Aws, name: str, family: str, **values: str) -> None:
    """Create a cluster parameter group with values."""
    aws.rds.create_db_cluster_parameter_group(
        DBClusterParameterGroupName=name, DBParameterGroupFamily=family, Description="d"
    )
    for parameter, value in values.items():
        entry = {"ParameterName": parameter, "ParameterValue": value, "ApplyMethod": "pending-reboot"}
        aws.rds.modify_db_cluster_parameter_group(DBClusterParameterGroupName=name, Parameters=[entry])


def wait_for_version(aws: Aws, version: str) -> None:
    """Wait until the cluster is available with a version."""
    aws.until(lambda: aws.cluster("shop")["EngineVersion"] == version)
    aws.settled("shop")


class TestUpgrade:
    """EngineVersion."""

    def test_the_status_says_available_for_a_moment_before_it_says_upgrading(self, aws: Aws) -> None:
        aws.create()
        aws.slow("settling", "upgrading")
        answer = aws.rds.modify_db_cluster(**MAJOR)["DBCluster"]
        assert (answer["Status"], answer["EngineVersion"]) == ("available", "16.14")
        assert answer["PendingModifiedValues"] == {"EngineVersion": "18.4"}
        aws.until(lambda: aws.status("shop") == "upgrading")
        assert aws.instance("shop-1")["DBInstanceStatus"] == "upgrading"
        wait_for_version(aws, "18.4")
        assert aws.instance("shop-1")["EngineVersion"] == "18.4"

    def test_servers_are_stopped_meanwhile_and_the_default_groups_follow(self, aws: Aws) -> None:
        aws.create(instances=2)
        aws.engine.log.clear()
        aws.rds.modify_db_cluster(**MAJOR)
        wait_for_version(aws, "18.4")
        assert aws.engine.log == ["stop reader", "stop writer", "upgrade 18.4", "start writer", "start reader"]
        assert aws.cluster("shop")["DBClusterParameterGroup"] == "default.aurora-postgresql18"
        assert aws.instance("shop-1")["DBParameterGroups"][0]["DBParameterGroupName"] == "default.aurora-postgresql18"
        assert aws.messages("db-cluster", "shop")[-1].endswith("major version has been upgraded")

    def test_a_custom_group_of_the_new_family_waits_for_a_reboot(self, aws: Aws) -> None:
        custom_group(aws, "g18", "aurora-postgresql18", max_connections="400")
        aws.create()
        aws.rds.modify_db_cluster(**MAJOR, DBClusterParameterGroupName="g18")
        wait_for_version(aws, "18.4")
        member = aws.cluster("shop")["DBClusterMembers"][0]
        assert member["DBClusterParameterGroupStatus"] == "pending-reboot"
        (parameters,) = (aws.engine.parameters[name] for name in aws.engine.servers)
        assert parameters["max_connections"] == "100"
        aws.rds.reboot_db_instance(DBInstanceIdentifier="shop-1")
        aws.settled("shop")
        assert aws.cluster("shop")["DBClusterMembers"][0]["DBClusterParameterGroupStatus"] == "in-sync"
        (parameters,) = (aws.engine.parameters[name] for name in aws.engine.servers)
        assert parameters["max_connections"] == "400"

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"EngineVersion": "99.9"}, "Cannot find version 99.9"),
            ({"EngineVersion": "18.1"}, "Cannot upgrade aurora-postgresql from 16.14 to 18.1"),
            ({"EngineVersion": "16.10"}, "Cannot upgrade aurora-postgresql from 16.14 to 16.10"),
            ({"AllowMajorVersionUpgrade": False}, "AllowMajorVersionUpgrade flag must be present"),
            ({"DBClusterParameterGroupName": "g16"}, "use a Parameter Group with DBParameterGroupFamily"),
        ],
    )
    def test_a_wrong_upgrade_is_refused_and_changes_nothing(
        self, aws: Aws, change: dict[str, Any], message: str
    ) -> None:
        custom_group(aws, "g16", "aurora-postgresql16")
        aws.create()
        before = aws.cluster("shop")
        assert message in refused("InvalidParameterCombination", aws.rds.modify_db_cluster, **{**MAJOR, **change})
        after = aws.cluster("shop")
        assert {**after, "LatestRestorableTime": None} == {**before, "LatestRestorableTime": None}

    def test_custom_groups_of_the_old_family_must_be_replaced_by_name(self, aws: Aws) -> None:
        custom_group(aws, "g16", "aurora-postgresql16")
        custom_group(aws, "g18", "aurora-postgresql18")
        aws.create(DBClusterParameterGroupName="g16")
        message = refused("InvalidParameterCombination", aws.rds.modify_db_cluster, **MAJOR)
        assert "DB cluster parameter group g16 is custom" in message
        aws.rds.create_db_parameter_group(
            DBParameterGroupName="i16", DBParameterGroupFamily="aurora-postgresql16", Description="d"
        )
        aws.rds.modify_db_instance(DBInstanceIdentifier="shop-1", DBParameterGroupName="i16")
        named = {**MAJOR, "DBClusterParameterGroupName": "g18"}
        message = refused("InvalidParameterCombination", aws.rds.modify_db_cluster, **named)
        assert "DB instance parameter group i16 is custom" in message
        aws.rds.modify_db_cluster(**named, DBInstanceParameterGroupName="default.aurora-postgresql18")
        wait_for_version(aws, "18.4")

    def test_it_needs_a_writer_that_is_available(self, aws: Aws) -> None:
        aws.create(instances=0)
        assert "healthy primary" in refused("InvalidDBClusterStateFault", aws.rds.modify_db_cluster, **MAJOR)

    def test_a_failed_precheck_leaves_the_old_version_available_and_the_reason_in_an_event(self, aws: Aws) -> None:
        aws.create(instances=2)
        aws.slow("upgrading")
        aws.engine.refuse_upgrade = "one or more databases have logical replication slots"
        aws.rds.modify_db_cluster(**MAJOR)
        aws.until(lambda: aws.status("shop") == "upgrading")
        aws.settled("shop")
        assert aws.cluster("shop")["EngineVersion"] == "16.14"
        assert len(aws.engine.servers) == 2
        events = aws.rds.describe_events(SourceType="db-cluster", SourceIdentifier="shop", EventCategories=["failure"])
        assert [e["Message"] for e in events["Events"]] == [
            "Database cluster is in a state that cannot be upgraded: one or more databases have logical replication slots"
        ]

    def test_a_minor_upgrade_needs_no_permission_and_keeps_the_groups(self, aws: Aws) -> None:
        custom_group(aws, "g16", "aurora-postgresql16")
        aws.create(version="16.10", DBClusterParameterGroupName="g16")
        aws.rds.modify_db_cluster(DBClusterIdentifier="shop", EngineVersion="16.14", ApplyImmediately=True)
        wait_for_version(aws, "16.14")
        cluster = aws.cluster("shop")
        assert cluster["DBClusterParameterGroup"] == "g16"
        assert cluster["DBClusterMembers"][0]["DBClusterParameterGroupStatus"] == "in-sync"

    def test_the_same_version_is_no_upgrade(self, aws: Aws) -> None:
        aws.create()
        answer = aws.rds.modify_db_cluster(DBClusterIdentifier="shop", EngineVersion="16.14", ApplyImmediately=True)
        assert "PendingModifiedValues" not in answer["DBCluster"]


class TestModifyCluster:
    """The rest of ModifyDBCluster."""

    def test_without_apply_immediately_a_change_waits_for_the_maintenance_window(self, aws: Aws) -> None:
        aws.create()
        aws.rds.modify_db_cluster(**{**MAJOR, "ApplyImmediately": False}, MasterUserPassword="another+Word")
        pending = aws.cluster("shop")["PendingModifiedValues"]
        assert pending == {"EngineVersion": "18.4", "MasterUserPassword": "****"}
        aws.knobs.turn("maintenance", {"cluster": "shop"})
        wait_for_version(aws, "18.4")
        (volume,) = aws.engine.volumes.values()
        assert volume.password == "another+Word"

    def test_a_later_immediate_change_takes_the_pending_ones_along(self, aws: Aws) -> None:
        aws.create()
        aws.rds.modify_db_cluster(DBClusterIdentifier="shop", MasterUserPassword="another+Word")
        aws.rds.modify_db_cluster(DBClusterIdentifier="shop", CopyTagsToSnapshot=True, ApplyImmediately=True)
        aws.settled("shop")
        (volume,) = aws.engine.volumes.values()
        assert volume.password == "another+Word"

    def test_it_needs_an_available_cluster(self, aws: Aws) -> None:
        aws.create()
        aws.plane.clock.set_delay("upgrading", 5)
        aws.rds.modify_db_cluster(**MAJOR)
        aws.until(lambda: aws.status("shop") == "upgrading")
        modify = aws.rds.modify_db_cluster
        refused("InvalidDBClusterStateFault", modify, DBClusterIdentifier="shop", DeletionProtection=True)
        refused("DBClusterNotFoundFault", modify, DBClusterIdentifier="none", DeletionProtection=True)

    def test_log_exports_are_added_and_removed(self, aws: Aws) -> None:
        aws.create(EnableCloudwatchLogsExports=["postgresql"])
        aws.rds.modify_db_cluster(
            DBClusterIdentifier="shop",
            CloudwatchLogsExportConfiguration={"EnableLogTypes": ["instance"], "DisableLogTypes": ["postgresql"]},
        )
        assert aws.cluster("shop")["EnabledCloudwatchLogsExports"] == ["instance"]

    def test_a_renamed_cluster_keeps_its_members_data_and_endpoint(self, aws: Aws) -> None:
        aws.create()
        before = aws.cluster("shop")
        aws.rds.modify_db_cluster(DBClusterIdentifier="shop", NewDBClusterIdentifier="store", ApplyImmediately=True)
        aws.until(lambda: aws.rds.describe_db_clusters()["DBClusters"][0]["DBClusterIdentifier"] == "store")
        after = aws.cluster("store")
        kept = ("DbClusterResourceId", "Endpoint", "DBClusterMembers")
        assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
        assert after["DBClusterArn"].endswith(":cluster:store")
        assert aws.instance("shop-1")["DBClusterIdentifier"] == "store"


class TestModifyInstance:
    """ModifyDBInstance."""

    def test_a_class_change_shows_as_pending_then_modifying(self, aws: Aws) -> None:
        aws.create()
        aws.slow("settling", "modifying")
        name = {"DBInstanceIdentifier": "shop-1"}
        answer = aws.rds.modify_db_instance(**name, DBInstanceClass="db.r7g.large", ApplyImmediately=True)
        assert answer["DBInstance"]["PendingModifiedValues"] == {"DBInstanceClass": "db.r7g.large"}
        aws.until(lambda: aws.instance("shop-1")["DBInstanceStatus"] == "modifying")
        aws.settled("shop")
        assert aws.instance("shop-1")["DBInstanceClass"] == "db.r7g.large"
        assert aws.engine.log[-2:] == ["stop writer", "start writer"]

    def test_a_renamed_instance_stays_a_member(self, aws: Aws) -> None:
        aws.create()
        aws.rds.modify_db_instance(
            DBInstanceIdentifier="shop-1", NewDBInstanceIdentifier="shop-one", ApplyImmediately=True
        )
        aws.until(lambda: aws.rds.describe_db_instances()["DBInstances"][0]["DBInstanceIdentifier"] == "shop-one")
        assert aws.cluster("shop")["DBClusterMembers"][0]["DBInstanceIdentifier"] == "shop-one"
        assert aws.instance("shop-one")["DBInstanceArn"].endswith(":db:shop-one")

    def test_what_belongs_to_the_cluster_is_refused(self, aws: Aws) -> None:
        aws.create()
        name = {"DBInstanceIdentifier": "shop-1"}
        refused("InvalidParameterCombination", aws.rds.modify_db_instance, **name, EngineVersion="18.4")
