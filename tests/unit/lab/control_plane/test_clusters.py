# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DB clusters: created, cloned, described, deleted."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.lab.control_plane.conftest import Aws, refused
from tests.unit.lab.control_plane.fake_engine import AURORA

REQUEST: dict[str, Any] = {
    "DBClusterIdentifier": "shop",
    "Engine": AURORA,
    "EngineVersion": "16.14",
    "MasterUsername": "admin1",
    "MasterUserPassword": "first+Pass-word",
}


def test_a_cluster_is_creating_then_backing_up_then_available(aws: Aws) -> None:
    aws.slow("creating", "backing-up")
    assert aws.rds.create_db_cluster(**REQUEST)["DBCluster"]["Status"] == "creating"
    seen = ["creating"]

    def arrived() -> bool:
        status = aws.status("shop")
        if seen[-1] != status:
            seen.append(status)
        return status == "available"

    aws.until(arrived)
    assert seen == ["creating", "backing-up", "available"]


def test_a_cluster_has_its_endpoints_from_the_beginning_and_an_instance_only_when_it_runs(aws: Aws) -> None:
    aws.slow("creating")
    cluster = aws.rds.create_db_cluster(**REQUEST)["DBCluster"]
    assert cluster["Endpoint"].startswith("127.") and cluster["ReaderEndpoint"].startswith("127.")
    instance = aws.rds.create_db_instance(
        DBInstanceIdentifier="shop-1", DBClusterIdentifier="shop", Engine=AURORA, DBInstanceClass="db.r6g.large"
    )["DBInstance"]
    assert "Endpoint" not in instance
    aws.settled("shop")
    addresses = {cluster["Endpoint"], cluster["ReaderEndpoint"], aws.instance("shop-1")["Endpoint"]["Address"]}
    assert len(addresses) == 3


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"EngineVersion": "99.9"}, "InvalidParameterCombination", "Cannot find version 99.9 for aurora-postgresql"),
        ({"Engine": "aurora-x"}, "InvalidParameterValue", "Invalid DB engine: aurora-x"),
        ({"DBClusterIdentifier": "1shop"}, "InvalidParameterValue", "not a valid identifier"),
        ({"DBClusterIdentifier": "shop--x"}, "InvalidParameterValue", "not a valid identifier"),
        ({"DBClusterIdentifier": "shop-"}, "InvalidParameterValue", "not a valid identifier"),
        ({"MasterUserPassword": "short"}, "InvalidParameterValue", "shorter than 8"),
        ({"MasterUserPassword": "with/a/slash"}, "InvalidParameterValue", "Only printable ASCII"),
        ({"MasterUsername": "rdsadmin"}, "InvalidParameterValue", "reserved word"),
        ({"DBClusterParameterGroupName": "none"}, "DBClusterParameterGroupNotFound", "not found: none"),
        (
            {"DBClusterParameterGroupName": "default.aurora-postgresql18"},
            "InvalidParameterCombination",
            "use a Parameter Group with DBParameterGroupFamily aurora-postgresql16",
        ),
        ({"DBSubnetGroupName": "none"}, "DBSubnetGroupNotFoundFault", "'none' does not exist"),
        ({"Port": 80}, "InvalidParameterValue", "Must be between 1150 and 65535"),
        ({"Tags": [{"Key": "j", "Value": '{"a": 1}'}]}, "InvalidParameterValue", "Invalid tag value"),
        ({"Tags": [{"Key": "aws:x", "Value": "y"}]}, "InvalidParameterValue", "Invalid tag key"),
        ({"Tags": [{"Key": "x", "Value": "y" * 257}]}, "InvalidParameterValue", "Invalid tag value"),
        ({"ManageMasterUserPassword": True}, "InvalidParameterCombination", "can't specify MasterUserPassword"),
        ({"EnableGlobalWriteForwarding": True}, "InvalidParameterCombination", "needs a GlobalClusterIdentifier"),
        ({"GlobalClusterIdentifier": "none"}, "GlobalClusterNotFoundFault", "none not found"),
        ({"BacktrackWindow": 5}, "InvalidAction", "the option BacktrackWindow is not part"),
    ],
)
def test_a_wrong_request_is_refused_and_leaves_nothing(
    aws: Aws, change: dict[str, Any], code: str, message: str
) -> None:
    assert message in refused(code, aws.rds.create_db_cluster, **{**REQUEST, **change})
    assert aws.rds.describe_db_clusters()["DBClusters"] == []


def test_a_duplicate_identifier_is_refused_and_the_old_cluster_stays(aws: Aws) -> None:
    aws.create()
    before = aws.cluster("shop")["DbClusterResourceId"]
    refused("DBClusterAlreadyExistsFault", aws.rds.create_db_cluster, **REQUEST)
    refused("DBClusterAlreadyExistsFault", aws.clone, target="SHOP")
    assert aws.cluster("shop")["DbClusterResourceId"] == before


def test_a_volume_that_cannot_be_made_leaves_a_failed_cluster_with_an_event(aws: Aws) -> None:
    aws.create()
    aws.engine.volumes.clear()
    aws.clone()
    aws.until(lambda: aws.status("green") == "cloning-failed")
    assert "could not be created" in aws.messages("db-cluster", "green")[0]


class TestClone:
    """RestoreDBClusterToPointInTime."""

    def test_it_copies_the_volume_and_shares_the_clone_group(self, aws: Aws) -> None:
        aws.create()
        aws.clone()
        aws.settled("green")
        blue, green = aws.cluster("shop"), aws.cluster("green")
        assert aws.engine.volumes[green["DbClusterResourceId"]].copy_of == blue["DbClusterResourceId"]
        assert green["CloneGroupId"] == blue["CloneGroupId"]
        same = ("Engine", "EngineVersion", "MasterUsername", "DatabaseName", "Port")
        assert {name: green[name] for name in same} == {name: blue[name] for name in same}
        assert green["DBClusterMembers"] == []

    def test_it_takes_only_what_is_asked_for_beside_the_data(self, aws: Aws) -> None:
        aws.create(Tags=[{"Key": "env", "Value": "prod"}], DeletionProtection=True, VpcSecurityGroupIds=["sg-1"])
        green = aws.clone(Tags=[{"Key": "colour", "Value": "green"}], VpcSecurityGroupIds=["sg-2"])
        assert green["TagList"] == [{"Key": "colour", "Value": "green"}]
        assert not green["DeletionProtection"]
        assert [group["VpcSecurityGroupId"] for group in green["VpcSecurityGroups"]] == ["sg-2"]
        assert green["DBClusterParameterGroup"] == "default.aurora-postgresql16"

    def test_it_takes_every_option_of_a_deployment(self, aws: Aws) -> None:
        aws.create(StorageEncrypted=True, KmsKeyId="arn:aws:kms:us-east-1:123456789012:key/1")
        aws.rds.create_db_subnet_group(
            DBSubnetGroupName="nets", DBSubnetGroupDescription="d", SubnetIds=["subnet-1", "subnet-2"]
        )
        aws.rds.create_db_cluster_parameter_group(
            DBClusterParameterGroupName="g", DBParameterGroupFamily="aurora-postgresql16", Description="d"
        )
        green = aws.clone(
            DBClusterParameterGroupName="g",
            DBSubnetGroupName="nets",
            Port=5555,
            EnableCloudwatchLogsExports=["postgresql"],
            ServerlessV2ScalingConfiguration={"MinCapacity": 0.5, "MaxCapacity": 2.0},
            DeletionProtection=True,
            CopyTagsToSnapshot=True,
            EnableIAMDatabaseAuthentication=True,
        )
        assert green["DBClusterParameterGroup"] == "g"
        assert green["DBSubnetGroup"] == "nets"
        assert green["Port"] == 5555
        assert green["EnabledCloudwatchLogsExports"] == ["postgresql"]
        assert green["ServerlessV2ScalingConfiguration"] == {"MinCapacity": 0.5, "MaxCapacity": 2.0}
        assert green["DeletionProtection"] and green["CopyTagsToSnapshot"]
        assert green["IAMDatabaseAuthenticationEnabled"]
        assert green["StorageEncrypted"] and green["KmsKeyId"].endswith("key/1")

    def test_it_needs_a_source_that_exists_and_is_available(self, aws: Aws) -> None:
        refused("DBClusterNotFoundFault", aws.clone)
        aws.plane.clock.set_delay("creating", 5)
        aws.rds.create_db_cluster(**REQUEST)
        refused("InvalidDBClusterStateFault", aws.clone)

    def test_it_needs_one_point_in_time(self, aws: Aws) -> None:
        aws.create()
        restore = aws.rds.restore_db_cluster_to_point_in_time
        names = {"SourceDBClusterIdentifier": "shop", "DBClusterIdentifier": "green"}
        assert "must be specified" in refused("InvalidParameterCombination", restore, **names)
        refused("InvalidParameterValue", restore, **names, UseLatestRestorableTime=True, RestoreType="copy")


class TestDescribe:
    """DescribeDBClusters."""

    def test_an_unknown_cluster_is_a_fault_and_an_unknown_filter_value_is_nothing(self, aws: Aws) -> None:
        assert refused("DBClusterNotFoundFault", aws.rds.describe_db_clusters, DBClusterIdentifier="x")
        wanted = [{"Name": "db-cluster-id", "Values": ["x"]}]
        assert aws.rds.describe_db_clusters(Filters=wanted)["DBClusters"] == []
        wanted = [{"Name": "colour", "Values": ["x"]}]
        refused("InvalidParameterValue", aws.rds.describe_db_clusters, Filters=wanted)

    def test_it_finds_by_filters_and_by_arn(self, aws: Aws) -> None:
        aws.create(instances=0)
        aws.create("other", instances=0)
        aws.clone()
        blue = aws.cluster("shop")

        def names(name: str, value: str) -> list[str]:
            wanted = [{"Name": name, "Values": [value]}]
            found = aws.rds.describe_db_clusters(Filters=wanted)["DBClusters"]
            return [cluster["DBClusterIdentifier"] for cluster in found]

        assert names("clone-group-id", blue["CloneGroupId"]) == ["green", "shop"]
        assert names("db-cluster-id", blue["DBClusterArn"]) == ["shop"]
        assert names("db-cluster-resource-id", blue["DbClusterResourceId"]) == ["shop"]
        assert names("engine", AURORA) == ["green", "other", "shop"]
        assert aws.cluster(blue["DBClusterArn"])["DBClusterIdentifier"] == "shop"

    def test_it_pages(self, aws: Aws) -> None:
        for number in range(25):
            aws.rds.create_db_cluster(**{**REQUEST, "DBClusterIdentifier": f"c{number:02}"})
        pages = list(aws.rds.get_paginator("describe_db_clusters").paginate(PaginationConfig={"PageSize": 20}))
        assert [len(page["DBClusters"]) for page in pages] == [20, 5]
        refused("InvalidParameterValue", aws.rds.describe_db_clusters, MaxRecords=19)
        refused("InvalidParameterValue", aws.rds.describe_db_clusters, Marker="nonsense")

    def test_regions_do_not_see_each_other(self, aws: Aws) -> None:
        aws.create(instances=0)
        elsewhere = aws.endpoint.client("rds", "eu-west-1")
        assert elsewhere.describe_db_clusters()["DBClusters"] == []

    def test_the_neptune_client_sees_the_same_clusters(self, aws: Aws) -> None:
        aws.create(instances=0)
        found = aws.endpoint.client("neptune").describe_db_clusters()["DBClusters"]
        assert [cluster["DBClusterIdentifier"] for cluster in found] == ["shop"]


class TestDelete:
    """DeleteDBCluster."""

    def test_the_rules_are_the_services(self, aws: Aws) -> None:
        delete = aws.rds.delete_db_cluster
        refused("DBClusterNotFoundFault", delete, DBClusterIdentifier="shop", SkipFinalSnapshot=True)
        aws.create(DeletionProtection=True)
        name = {"DBClusterIdentifier": "shop"}
        assert "protected" in refused("InvalidParameterCombination", delete, **name, SkipFinalSnapshot=True)
        aws.rds.modify_db_cluster(**name, DeletionProtection=False)
        assert "is required" in refused("InvalidParameterCombination", delete, **name)
        both = {"SkipFinalSnapshot": True, "FinalDBSnapshotIdentifier": "last"}
        assert "can not be specified" in refused("InvalidParameterCombination", delete, **name, **both)
        message = refused("InvalidDBClusterStateFault", delete, **name, SkipFinalSnapshot=True)
        assert "still contains DB instances" in message
        aws.rds.delete_db_instance(DBInstanceIdentifier="shop-1")
        aws.slow("deleting")
        assert delete(**name, SkipFinalSnapshot=True)["DBCluster"]["Status"] == "deleting"
        refused("InvalidDBClusterStateFault", delete, **name, SkipFinalSnapshot=True)
        aws.until(lambda: not aws.rds.describe_db_clusters()["DBClusters"])
        assert aws.engine.volumes == {} and aws.engine.servers == {}

    def test_a_final_snapshot_keeps_the_data(self, aws: Aws) -> None:
        aws.create(instances=0)
        volume = aws.cluster("shop")["DbClusterResourceId"]
        aws.rds.delete_db_cluster(DBClusterIdentifier="shop", FinalDBSnapshotIdentifier="last")
        aws.until(lambda: not aws.rds.describe_db_clusters()["DBClusters"])
        snapshot = aws.rds.describe_db_cluster_snapshots()["DBClusterSnapshots"][0]
        assert (snapshot["DBClusterSnapshotIdentifier"], snapshot["Status"]) == ("last", "available")
        assert [kept.copy_of for kept in aws.engine.volumes.values()] == [volume]

    def test_an_identifier_can_be_used_again(self, aws: Aws) -> None:
        aws.create(instances=0)
        aws.rds.delete_db_cluster(DBClusterIdentifier="shop", SkipFinalSnapshot=True)
        aws.until(lambda: not aws.rds.describe_db_clusters()["DBClusters"])
        aws.create()
