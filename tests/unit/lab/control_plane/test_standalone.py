# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DB instances without a DB cluster: what the API accepts, refuses and shows of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.lab.tools import RDS_MYSQL, RDS_POSTGRESQL
from tests.unit.lab.control_plane.conftest import Aws, refused
from tests.unit.lab.control_plane.fake_engine import FakeEngine

REQUEST: Mapping[str, Any] = {
    "DBInstanceIdentifier": "shop",
    "Engine": RDS_POSTGRESQL,
    "EngineVersion": "16.14",
    "DBInstanceClass": "db.r6g.large",
    "AllocatedStorage": 20,
    "MasterUsername": "admin1",
    "MasterUserPassword": "first+Pass-word",
    "BackupRetentionPeriod": 7,
}


def create(aws: Aws, **options: Any) -> dict[str, Any]:
    """Create an instance and wait for it."""
    asked = {**REQUEST, **options}
    aws.rds.create_db_instance(**asked)
    return settled(aws, str(asked["DBInstanceIdentifier"]))


def settled(aws: Aws, name: str) -> dict[str, Any]:
    """Wait until an instance exists, is available and has nothing pending."""

    def ready() -> bool:
        found = {one["DBInstanceIdentifier"]: one for one in aws.rds.describe_db_instances()["DBInstances"]}
        one = found.get(name)
        return one is not None and one["DBInstanceStatus"] == "available" and not one["PendingModifiedValues"]

    aws.until(ready)
    return aws.instance(name)


def modify(aws: Aws, **options: Any) -> dict[str, Any]:
    """Modify shop now and wait; return it under the name it has then."""
    aws.rds.modify_db_instance(DBInstanceIdentifier="shop", ApplyImmediately=True, **options)
    return settled(aws, str(options.get("NewDBInstanceIdentifier", "shop")))


def engine(aws: Aws, name: str = RDS_POSTGRESQL) -> FakeEngine:
    """The fake engine behind."""
    found = aws.plane.engines[name]
    assert isinstance(found, FakeEngine)
    return found


class TestCreate:
    """CreateDBInstance and what is described then."""

    def test_it_has_its_own_settings_and_no_cluster(self, aws: Aws) -> None:
        found = create(aws, DBName="shop", Tags=[{"Key": "a", "Value": "b"}])
        assert "DBClusterIdentifier" not in found and "PromotionTier" not in found
        assert (found["Engine"], found["EngineVersion"], found["DBName"]) == (RDS_POSTGRESQL, "16.14", "shop")
        assert (found["AllocatedStorage"], found["StorageType"], found["BackupRetentionPeriod"]) == (20, "gp3", 7)
        assert found["DBInstanceArn"] == "arn:aws:rds:us-east-1:123456789012:db:shop"
        assert found["DBParameterGroups"] == [
            {"DBParameterGroupName": "default.postgres16", "ParameterApplyStatus": "in-sync"}
        ]
        assert found["Endpoint"]["Port"] == aws.plane.addresses.port(5432)
        assert found["TagList"] == [{"Key": "a", "Value": "b"}]

    def test_no_cluster_api_shows_it(self, aws: Aws) -> None:
        create(aws)
        assert aws.rds.describe_db_clusters()["DBClusters"] == []
        refused("DBClusterNotFoundFault", aws.rds.describe_db_clusters, DBClusterIdentifier="shop")
        refused("DBClusterNotFoundFault", aws.rds.delete_db_cluster, DBClusterIdentifier="shop", SkipFinalSnapshot=True)
        assert aws.rds.describe_events(SourceType="db-cluster")["Events"] == []
        assert "DB instance created" in aws.messages("db-instance", "shop")

    def test_its_server_has_one_address(self, aws: Aws) -> None:
        found = create(aws)
        (spec,) = engine(aws).servers.values()
        assert spec.addresses == (found["Endpoint"]["Address"],) and spec.role == "writer"

    @pytest.mark.parametrize(
        ("options", "code", "words"),
        [
            ({"AllocatedStorage": 19}, "InvalidParameterValue", "Invalid storage size"),
            ({"AllocatedStorage": 100, "StorageType": "io1"}, "InvalidParameterCombination", "must specify IOPS"),
            ({"StorageType": "aurora"}, "InvalidParameterValue", "Invalid storage type"),
            ({"BackupRetentionPeriod": 36}, "InvalidParameterValue", "backup retention period"),
            ({"MasterUsername": "rdsadmin"}, "InvalidParameterValue", "reserved word"),
            ({"MasterUserPassword": "short"}, "InvalidParameterValue", "shorter than 8"),
            ({"EngineVersion": "9.6"}, "InvalidParameterCombination", "Cannot find version"),
            ({"DBParameterGroupName": "default.mysql8.0"}, "InvalidParameterCombination", "cannot be used"),
            ({"DBInstanceClass": "db.huge"}, "InvalidParameterValue", "Invalid DB Instance class"),
            ({"Engine": "mariadb"}, "InvalidAction", "not part of the lab"),
        ],
    )
    def test_what_the_service_refuses_is_refused(
        self, aws: Aws, options: Mapping[str, Any], code: str, words: str
    ) -> None:
        assert words in refused(code, aws.rds.create_db_instance, **{**REQUEST, **options})
        assert aws.rds.describe_db_instances()["DBInstances"] == []

    def test_the_storage_must_be_said_and_the_name_free(self, aws: Aws) -> None:
        without = {name: value for name, value in REQUEST.items() if name != "AllocatedStorage"}
        assert "AllocatedStorage" in refused("InvalidParameterCombination", aws.rds.create_db_instance, **without)
        create(aws)
        refused("DBInstanceAlreadyExists", aws.rds.create_db_instance, **REQUEST)

    def test_a_cluster_of_its_engine_is_not_in_the_lab(self, aws: Aws) -> None:
        request = {"DBClusterIdentifier": "c", "MasterUsername": "admin1", "MasterUserPassword": "first+Pass-word"}
        assert "Multi-AZ" in refused("InvalidAction", aws.rds.create_db_cluster, Engine=RDS_MYSQL, **request)


class TestParameters:
    """The one group of an instance."""

    def test_every_parameter_is_in_it_without_those_of_aurora(self, aws: Aws) -> None:
        pages = aws.rds.get_paginator("describe_db_parameters").paginate(DBParameterGroupName="default.postgres16")
        names = {parameter["ParameterName"] for page in pages for parameter in page["Parameters"]}
        assert {"rds.logical_replication", "max_replication_slots"} <= names
        assert "rds.logical_wal_cache" not in names
        answer = aws.rds.describe_db_parameters(DBParameterGroupName="default.mysql8.4")
        assert "binlog_format" in {parameter["ParameterName"] for parameter in answer["Parameters"]}
        assert not any(parameter["ParameterName"].startswith("aurora") for parameter in answer["Parameters"])

    def test_a_static_one_waits_for_the_reboot(self, aws: Aws) -> None:
        aws.rds.create_db_parameter_group(
            DBParameterGroupName="own", DBParameterGroupFamily="postgres16", Description="own"
        )
        create(aws, DBParameterGroupName="own")
        wanted = {"ParameterName": "rds.logical_replication", "ParameterValue": "1", "ApplyMethod": "pending-reboot"}
        aws.rds.modify_db_parameter_group(DBParameterGroupName="own", Parameters=[wanted])
        (group,) = aws.instance("shop")["DBParameterGroups"]
        assert group["ParameterApplyStatus"] == "pending-reboot"
        aws.rds.reboot_db_instance(DBInstanceIdentifier="shop")
        (group,) = settled(aws, "shop")["DBParameterGroups"]
        assert group["ParameterApplyStatus"] == "in-sync"
        (spec,) = engine(aws).servers.values()
        assert spec.parameters["rds.logical_replication"] == "1"

    def test_mysql_has_a_binary_log_exactly_when_it_has_backups(self, aws: Aws) -> None:
        create(aws, Engine=RDS_MYSQL, EngineVersion="8.0.44", BackupRetentionPeriod=0)
        (spec,) = engine(aws, RDS_MYSQL).servers.values()
        assert spec.parameters["binlog_format"] == "OFF"
        assert modify(aws, BackupRetentionPeriod=1)["BackupRetentionPeriod"] == 1
        (spec,) = engine(aws, RDS_MYSQL).servers.values()
        assert spec.parameters["binlog_format"] == "MIXED"


class TestModify:
    """ModifyDBInstance."""

    def test_it_waits_for_the_window_unless_it_is_to_apply_now(self, aws: Aws) -> None:
        create(aws)
        found = aws.rds.modify_db_instance(
            DBInstanceIdentifier="shop",
            DBInstanceClass="db.r6g.xlarge",
            MasterUserPassword="second+Pass-word",
            BackupRetentionPeriod=3,
            DeletionProtection=True,
        )["DBInstance"]
        assert found["PendingModifiedValues"] == {
            "DBInstanceClass": "db.r6g.xlarge",
            "MasterUserPassword": "****",
        }
        assert found["BackupRetentionPeriod"] == 3 and found["DeletionProtection"] is True
        found = modify(aws)
        assert found["DBInstanceClass"] == "db.r6g.xlarge"
        assert [volume.password for volume in engine(aws).volumes.values()] == ["second+Pass-word"]

    def test_storage_grows_and_does_not_shrink(self, aws: Aws) -> None:
        create(aws, AllocatedStorage=100)
        found = modify(aws, AllocatedStorage=200, StorageType="io2", Iops=3000)
        assert (found["AllocatedStorage"], found["StorageType"], found["Iops"]) == (200, "io2", 3000)
        call = aws.rds.modify_db_instance
        refused("InvalidParameterCombination", call, DBInstanceIdentifier="shop", AllocatedStorage=150)

    def test_another_name_takes_everything_along(self, aws: Aws) -> None:
        before = create(aws)
        found = modify(aws, NewDBInstanceIdentifier="other")
        assert found["DBInstanceArn"].endswith(":db:other")
        assert found["DbiResourceId"] == before["DbiResourceId"]
        assert aws.plane.region("us-east-1").instances["other"].cluster.identifier == "other"
        refused("DBInstanceNotFound", aws.rds.describe_db_instances, DBInstanceIdentifier="shop")

    def test_a_major_upgrade_needs_the_flag_a_path_and_a_group(self, aws: Aws) -> None:
        aws.rds.create_db_parameter_group(
            DBParameterGroupName="own", DBParameterGroupFamily="postgres16", Description="own"
        )
        create(aws, DBParameterGroupName="own")
        call = aws.rds.modify_db_instance
        wanted: dict[str, Any] = {"DBInstanceIdentifier": "shop", "EngineVersion": "18.4"}
        assert "flag" in refused("InvalidParameterCombination", call, **wanted)
        wanted["AllowMajorVersionUpgrade"] = True
        assert "own is custom" in refused("InvalidParameterCombination", call, **wanted)
        refused("InvalidParameterCombination", call, **{**wanted, "EngineVersion": "16.10"})
        found = modify(
            aws, EngineVersion="18.4", AllowMajorVersionUpgrade=True, DBParameterGroupName="default.postgres18"
        )
        assert found["EngineVersion"] == "18.4"
        assert found["DBParameterGroups"][0]["DBParameterGroupName"] == "default.postgres18"
        assert "Database instance engine major version has been upgraded" in aws.messages("db-instance", "shop")


class TestDelete:
    """DeleteDBInstance."""

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({}, "FinalDBSnapshotIdentifier is required"),
            ({"SkipFinalSnapshot": True, "FinalDBSnapshotIdentifier": "last"}, "can not be specified"),
        ],
    )
    def test_the_final_snapshot_is_named_or_declined(self, aws: Aws, options: Mapping[str, Any], words: str) -> None:
        create(aws)
        call = aws.rds.delete_db_instance
        assert words in refused("InvalidParameterCombination", call, DBInstanceIdentifier="shop", **options)

    def test_a_protected_one_stays(self, aws: Aws) -> None:
        create(aws, DeletionProtection=True)
        call = aws.rds.delete_db_instance
        refused("InvalidParameterCombination", call, DBInstanceIdentifier="shop", SkipFinalSnapshot=True)

    def test_it_goes_with_its_volume_and_leaves_its_snapshot(self, aws: Aws) -> None:
        create(aws)
        aws.rds.delete_db_instance(DBInstanceIdentifier="shop", FinalDBSnapshotIdentifier="last")
        aws.until(lambda: not aws.rds.describe_db_instances()["DBInstances"])
        (found,) = aws.rds.describe_db_snapshots()["DBSnapshots"]
        assert (found["DBSnapshotIdentifier"], found["DBInstanceIdentifier"]) == ("last", "shop")
        assert found["Status"] == "available" and len(engine(aws).volumes) == 1
        aws.rds.delete_db_snapshot(DBSnapshotIdentifier="last")
        aws.until(lambda: not engine(aws).volumes)


class TestReadReplica:
    """CreateDBInstanceReadReplica and PromoteReadReplica."""

    def test_it_follows_its_source_and_goes_its_own_way_when_promoted(self, aws: Aws) -> None:
        create(aws)
        call = aws.rds.create_db_instance_read_replica
        call(DBInstanceIdentifier="copy", SourceDBInstanceIdentifier="shop")
        found = settled(aws, "copy")
        assert found["ReadReplicaSourceDBInstanceIdentifier"] == "shop" and found["BackupRetentionPeriod"] == 0
        assert aws.instance("shop")["ReadReplicaDBInstanceIdentifiers"] == ["copy"]
        assert "reader" in {spec.role for spec in engine(aws).servers.values()}
        assert modify(aws, NewDBInstanceIdentifier="other")["ReadReplicaDBInstanceIdentifiers"] == ["copy"]
        assert aws.instance("copy")["ReadReplicaSourceDBInstanceIdentifier"] == "other"
        aws.rds.promote_read_replica(DBInstanceIdentifier="copy")
        found = settled(aws, "copy")
        assert "ReadReplicaSourceDBInstanceIdentifier" not in found and found["BackupRetentionPeriod"] == 1
        assert aws.instance("other")["ReadReplicaDBInstanceIdentifiers"] == []
        assert {spec.role for spec in engine(aws).servers.values()} == {"writer"}

    def test_it_needs_backups_of_an_instance_that_stands_alone(self, aws: Aws) -> None:
        create(aws, BackupRetentionPeriod=0)
        aws.create("cluster")
        for source, words in (("shop", "Automated backups are not enabled"), ("cluster-1", "another member")):
            call = aws.rds.create_db_instance_read_replica
            request = {"DBInstanceIdentifier": "copy", "SourceDBInstanceIdentifier": source}
            assert words in refused("InvalidParameterCombination", call, **request)
        refused("InvalidDBInstanceState", aws.rds.promote_read_replica, DBInstanceIdentifier="shop")
