# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions, events, tags, snapshots, subnet groups, faults, and how errors look on the wire."""

from __future__ import annotations

import json
import urllib.request
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ConnectionClosedError

from tests.lab.control_plane.addresses import Addresses
from tests.lab.control_plane.parameters import allows
from tests.unit.lab.control_plane.conftest import Aws, refused
from tests.unit.lab.control_plane.fake_engine import AURORA


class TestVersions:
    """DescribeDBEngineVersions and what can be ordered."""

    def test_upgrade_targets_are_a_graph(self, aws: Aws) -> None:
        found = aws.rds.describe_db_engine_versions(Engine=AURORA)["DBEngineVersions"]
        graph = {
            version["EngineVersion"]: [
                (target["EngineVersion"], target["IsMajorVersionUpgrade"]) for target in version["ValidUpgradeTarget"]
            ]
            for version in found
        }
        assert graph == {
            "16.10": [("16.14", False), ("18.1", True)],
            "16.14": [("18.4", True)],
            "18.1": [("18.4", False)],
            "18.4": [],
        }

    def test_they_are_found_by_version_family_and_default(self, aws: Aws) -> None:
        def versions(**options: object) -> list[str]:
            return [v["EngineVersion"] for v in aws.rds.describe_db_engine_versions(**options)["DBEngineVersions"]]

        assert versions(Engine=AURORA, EngineVersion="18.1") == ["18.1"]
        assert versions(EngineVersion="17.1") == []
        assert versions(DBParameterGroupFamily="aurora-postgresql18") == ["18.1", "18.4"]
        assert versions(Engine=AURORA, DefaultOnly=True) == ["16.14"]

    def test_classes_can_be_ordered(self, aws: Aws) -> None:
        found = aws.rds.describe_orderable_db_instance_options(Engine=AURORA, EngineVersion="18.4")
        classes = [option["DBInstanceClass"] for option in found["OrderableDBInstanceOptions"]]
        assert "db.r6g.large" in classes and "db.serverless" in classes


class TestEvents:
    """DescribeEvents."""

    def test_they_are_found_by_source_time_and_category(self, aws: Aws) -> None:
        aws.create()
        now = datetime.now(UTC)
        assert aws.messages("db-cluster", "shop") == ["DB cluster created"]
        assert aws.messages("db-instance", "shop-1") == ["DB instance created"]
        later = aws.rds.describe_events(StartTime=now + timedelta(seconds=1), EndTime=now + timedelta(seconds=9))
        assert later["Events"] == []
        earlier = aws.rds.describe_events(StartTime=now - timedelta(seconds=60))["Events"]
        assert [event["SourceIdentifier"] for event in earlier] == ["shop", "shop-1"]
        assert aws.rds.describe_events(EventCategories=["failover"])["Events"] == []

    def test_the_last_hour_is_the_default_and_duration_changes_it(self, aws: Aws) -> None:
        aws.create(instances=0)
        aws.plane.region("us-east-1").events[0]["Date"] -= timedelta(minutes=90)
        assert aws.messages("db-cluster", "shop") == []
        assert len(aws.rds.describe_events(Duration=120)["Events"]) == 1

    def test_a_source_needs_its_type(self, aws: Aws) -> None:
        refused("InvalidParameterCombination", aws.rds.describe_events, SourceIdentifier="shop")


class TestTags:
    """Tags of resources."""

    def test_every_kind_of_resource_has_tags(self, aws: Aws) -> None:
        aws.create()
        made = aws.rds.create_db_cluster_parameter_group(
            DBClusterParameterGroupName="g",
            DBParameterGroupFamily="aurora-postgresql16",
            Description="d",
            Tags=[{"Key": "a", "Value": "1"}],
        )
        arn = made["DBClusterParameterGroup"]["DBClusterParameterGroupArn"]
        assert aws.rds.list_tags_for_resource(ResourceName=arn)["TagList"] == [{"Key": "a", "Value": "1"}]
        for name in (aws.cluster("shop")["DBClusterArn"], aws.instance("shop-1")["DBInstanceArn"], arn):
            aws.rds.add_tags_to_resource(ResourceName=name, Tags=[{"Key": "b", "Value": "2"}])
        aws.rds.remove_tags_from_resource(ResourceName=arn, TagKeys=["a", "never there"])
        assert aws.rds.list_tags_for_resource(ResourceName=arn)["TagList"] == [{"Key": "b", "Value": "2"}]
        assert aws.cluster("shop")["TagList"] == [{"Key": "b", "Value": "2"}]
        assert aws.instance("shop-1")["TagList"] == [{"Key": "b", "Value": "2"}]

    @pytest.mark.parametrize(
        ("arn", "code"),
        [
            ("arn:aws:rds:us-east-1:123456789012:cluster:none", "DBClusterNotFoundFault"),
            ("arn:aws:rds:us-east-1:123456789012:db:none", "DBInstanceNotFound"),
            ("arn:aws:rds:eu-west-1:123456789012:cluster:none", "InvalidParameterValue"),
            ("arn:aws:rds:us-east-1:123456789012:planet:earth", "InvalidParameterValue"),
            ("shop", "InvalidParameterValue"),
        ],
    )
    def test_a_wrong_arn_is_refused(self, aws: Aws, arn: str, code: str) -> None:
        refused(code, aws.rds.list_tags_for_resource, ResourceName=arn)

    def test_there_is_a_limit(self, aws: Aws) -> None:
        aws.create(instances=0)
        arn = aws.cluster("shop")["DBClusterArn"]
        many = [{"Key": f"k{number}", "Value": "v"} for number in range(50)]
        aws.rds.add_tags_to_resource(ResourceName=arn, Tags=many)
        one_more = {"ResourceName": arn, "Tags": [{"Key": "one-more", "Value": "v"}]}
        refused("InvalidParameterValue", aws.rds.add_tags_to_resource, **one_more)


def test_roles_come_and_go(aws: Aws) -> None:
    aws.create(instances=0)
    role = {"DBClusterIdentifier": "shop", "RoleArn": "arn:aws:iam::123456789012:role/s3", "FeatureName": "s3Import"}
    aws.rds.add_role_to_db_cluster(**role)
    refused("DBClusterRoleAlreadyExists", aws.rds.add_role_to_db_cluster, **role)
    assert aws.cluster("shop")["AssociatedRoles"] == [
        {"RoleArn": role["RoleArn"], "Status": "ACTIVE", "FeatureName": "s3Import"}
    ]
    aws.rds.remove_role_from_db_cluster(**role)
    refused("DBClusterRoleNotFound", aws.rds.remove_role_from_db_cluster, **role)


def test_a_snapshot_is_made_described_and_deleted(aws: Aws) -> None:
    aws.create(instances=0, CopyTagsToSnapshot=True, Tags=[{"Key": "a", "Value": "1"}])
    aws.slow("backing-up")
    name = {"DBClusterSnapshotIdentifier": "before"}
    made = aws.rds.create_db_cluster_snapshot(DBClusterIdentifier="shop", **name)["DBClusterSnapshot"]
    assert made["Status"] == "creating" and made["TagList"] == [{"Key": "a", "Value": "1"}]
    again = {"DBClusterIdentifier": "shop", **name}
    refused("DBClusterSnapshotAlreadyExistsFault", aws.rds.create_db_cluster_snapshot, **again)
    refused("InvalidDBClusterSnapshotStateFault", aws.rds.delete_db_cluster_snapshot, **name)
    aws.rds.get_waiter("db_cluster_snapshot_available").wait(**name, WaiterConfig={"Delay": 1})
    assert len(aws.engine.volumes) == 2
    aws.rds.delete_db_cluster_snapshot(**name)
    refused("DBClusterSnapshotNotFoundFault", aws.rds.describe_db_cluster_snapshots, **name)
    aws.until(lambda: len(aws.engine.volumes) == 1)


def test_subnet_groups_come_and_go(aws: Aws) -> None:
    create = {"DBSubnetGroupName": "nets", "DBSubnetGroupDescription": "d"}
    too_few = {**create, "SubnetIds": ["subnet-1"]}
    refused("DBSubnetGroupDoesNotCoverEnoughAZs", aws.rds.create_db_subnet_group, **too_few)
    aws.rds.create_db_subnet_group(**create, SubnetIds=["subnet-1", "subnet-2"])
    aws.create(instances=0, DBSubnetGroupName="nets")
    refused("InvalidDBSubnetGroupStateFault", aws.rds.delete_db_subnet_group, DBSubnetGroupName="nets")
    names = [group["DBSubnetGroupName"] for group in aws.rds.describe_db_subnet_groups()["DBSubnetGroups"]]
    assert names == ["default", "nets"]


def test_there_is_no_pending_maintenance(aws: Aws) -> None:
    assert aws.rds.describe_pending_maintenance_actions()["PendingMaintenanceActions"] == []


class TestErrors:
    """What a client gets when something is wrong."""

    def test_what_the_lab_does_not_have_is_an_error_of_the_client_kind(self, aws: Aws) -> None:
        refused("InvalidAction", aws.rds.describe_certificates)
        refused("InvalidAction", aws.rds.describe_export_tasks)

    def test_a_bug_of_the_lab_is_a_typed_error_too(self, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(aws.plane, "versions", lambda: 1 / 0)
        assert "ZeroDivisionError" in refused("LabFailure", aws.rds.describe_db_engine_versions)

    def test_faults_have_the_status_of_the_service_model(self, aws: Aws) -> None:
        with pytest.raises(aws.rds.exceptions.DBClusterNotFoundFault) as caught:
            aws.rds.describe_db_clusters(DBClusterIdentifier="none")
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404

    def test_other_services_are_motos(self, aws: Aws) -> None:
        secrets = aws.endpoint.client("secretsmanager")
        arn = secrets.create_secret(Name="x", SecretString="y")["ARN"]
        assert secrets.get_secret_value(SecretId=arn)["SecretString"] == "y"


class TestFaults:
    """The knobs."""

    def test_a_throttled_operation_is_retried_by_the_client_until_it_works(self, aws: Aws) -> None:
        aws.plane.faults.throttle("DescribeDBClusters", calls=2)
        answer = aws.rds.describe_db_clusters()
        assert answer["ResponseMetadata"]["RetryAttempts"] == 2

    def test_the_chosen_call_fails_and_no_other(self, aws: Aws) -> None:
        aws.plane.faults.fail("DescribeEvents", "InvalidDBClusterStateFault", nth=2)
        aws.rds.describe_events()
        refused("InvalidDBClusterStateFault", aws.rds.describe_events)
        aws.rds.describe_events()

    def test_a_lost_answer_leaves_the_effect(self, aws: Aws) -> None:
        aws.plane.faults.fail("CreateDBSubnetGroup", "ServiceUnavailable", after=True)
        create = {"DBSubnetGroupName": "nets", "DBSubnetGroupDescription": "d", "SubnetIds": ["subnet-1", "subnet-2"]}
        refused("DBSubnetGroupAlreadyExists", aws.rds.create_db_subnet_group, **create)

    @pytest.mark.parametrize(("effect", "known"), [(True, True), (False, False)])
    def test_a_call_can_have_no_answer_at_all(self, aws: Aws, effect: bool, known: bool) -> None:
        create = {"DBSubnetGroupName": "lost", "DBSubnetGroupDescription": "d", "SubnetIds": ["subnet-1", "subnet-2"]}
        aws.plane.faults.lose("CreateDBSubnetGroup", calls=50, effect=effect)
        with pytest.raises(ConnectionClosedError):
            aws.rds.create_db_subnet_group(**create)  # again and again, each time without an answer
        aws.plane.faults.clear()
        names = [one["DBSubnetGroupName"] for one in aws.rds.describe_db_subnet_groups()["DBSubnetGroups"]]
        assert ("lost" in names) is known

    def test_a_denied_operation_stays_denied_until_it_is_cleared(self, aws: Aws) -> None:
        aws.plane.faults.deny("DescribeEvents")
        for _unused in range(3):
            assert "not authorized to perform: rds:DescribeEvents" in refused("AccessDenied", aws.rds.describe_events)
        aws.plane.faults.clear()
        aws.rds.describe_events()

    def test_the_services_that_speak_json_have_faults_too(self, aws: Aws) -> None:
        secrets = aws.endpoint.client("secretsmanager")
        aws.plane.faults.deny("GetSecretValue")
        message = refused("AccessDenied", secrets.get_secret_value, SecretId="x")
        assert "not authorized to perform: secretsmanager:GetSecretValue" in message
        aws.plane.faults.fail("CreateSecret", "ResourceNotFoundException", after=True)
        refused("ResourceNotFoundException", secrets.create_secret, Name="made-all-the-same", SecretString="y")
        refused("ResourceExistsException", secrets.create_secret, Name="made-all-the-same", SecretString="y")

    def test_they_can_be_set_by_http(self, aws: Aws) -> None:
        def turn(knob: str, **arguments: object) -> dict[str, object]:
            body = json.dumps(arguments).encode()
            request = urllib.request.Request(f"{aws.endpoint.url}/lab/{knob}", body, method="POST")
            with urllib.request.urlopen(request) as answer:
                found: dict[str, object] = json.load(answer)
                return found

        turn("deny", operation="DescribeEvents")
        refused("AccessDenied", aws.rds.describe_events)
        turn("delay", state="upgrading", seconds=7)
        assert aws.plane.clock.delays()["upgrading"] == 7
        turn("clear")
        assert aws.plane.clock.delays()["upgrading"] < 1
        aws.rds.describe_events()

    @pytest.mark.parametrize(
        ("knob", "arguments"),
        [
            ("nonsense", {}),
            ("delay", {"state": "nonsense", "seconds": 1}),
            ("delay", {"state": "upgrading", "seconds": -1}),
            ("kill", {"instance": "none"}),
            ("fail", {"operation": "DescribeEvents", "code": "X", "nth": 0}),
        ],
    )
    def test_a_wrong_knob_is_refused(self, aws: Aws, knob: str, arguments: dict[str, object]) -> None:
        with pytest.raises(ValueError):
            aws.knobs.turn(knob, arguments)


@pytest.mark.parametrize(
    ("allowed", "value", "answer"),
    [
        (None, "anything", True),
        ("0,1", "1", True),
        ("0,1", "2", False),
        ("1-100", "100", True),
        ("1-100", "101", False),
        ("-1-100", "-1", True),
        ("0-1.5", "0.75", True),
        ("none,ddl", "ddl", True),
        ("none, ddl", "ddl", True),
        ("1-100", "ddl", False),
    ],
)
def test_allowed_values(allowed: str | None, value: str, answer: bool) -> None:
    assert allows(allowed, value) is answer


def test_two_labs_never_have_the_same_network() -> None:
    many = [Addresses() for _unused in range(20)]
    try:
        assert len({one.network for one in many}) == 20
        first = many[0].take()
        assert first.startswith(many[0].network + ".") and many[0].take() != first
    finally:
        for one in many:
            one.close()
