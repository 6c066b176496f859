# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan of a clone: green as blue is, with identifiers of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._aws import clone
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.clone import CloneOptions, ClonePlan, plan_clone
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.clusters import Cluster, cluster_of
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names

MakeCluster = Callable[..., Cluster]

NAMES = Names.of("shop-pg18")
GREEN = CloneOptions(identifier="shop-pg18")
RESTORE = frozenset(
    [
        "AssociatedRoles",
        "BacktrackWindow",
        "BackupRetentionPeriod",
        "CopyTagsToSnapshot",
        "DBClusterIdentifier",
        "DBClusterParameterGroupName",
        "DBSubnetGroupName",
        "DeletionProtection",
        "Domain",
        "DomainIAMRoleName",
        "EnableCloudwatchLogsExports",
        "EnableIAMDatabaseAuthentication",
        "EnablePerformanceInsights",
        "EngineLifecycleSupport",
        "KmsKeyId",
        "NetworkType",
        "PerformanceInsightsKMSKeyId",
        "PerformanceInsightsRetentionPeriod",
        "Port",
        "PreferredBackupWindow",
        "RestoreType",
        "ServerlessV2ScalingConfiguration",
        "SourceDBClusterIdentifier",
        "StorageType",
        "Tags",
        "UseLatestRestorableTime",
        "VpcSecurityGroupIds",
    ]
)

# What blue is described as, and what the restore is then asked for (Amazon RDS API: DBCluster, RestoreDBClusterToPointInTime).
MIRRORED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"Port": 5433}, {"Port": 5433}),
    ({"DBSubnetGroup": "private"}, {"DBSubnetGroupName": "private"}),
    (
        {"VpcSecurityGroups": [{"VpcSecurityGroupId": "sg-b", "Status": "active"}, {"VpcSecurityGroupId": "sg-a"}]},
        {"VpcSecurityGroupIds": ["sg-a", "sg-b"]},
    ),
    ({"StorageEncrypted": True, "KmsKeyId": "arn:key"}, {"KmsKeyId": "arn:key"}),
    ({"IAMDatabaseAuthenticationEnabled": True}, {"EnableIAMDatabaseAuthentication": True}),
    ({"EnabledCloudwatchLogsExports": ["postgresql"]}, {"EnableCloudwatchLogsExports": ["postgresql"]}),
    ({"DeletionProtection": True}, {"DeletionProtection": True}),
    ({"CopyTagsToSnapshot": True}, {"CopyTagsToSnapshot": True}),
    ({"StorageType": "aurora-iopt1"}, {"StorageType": "aurora-iopt1"}),
    (
        {"ServerlessV2ScalingConfiguration": {"MinCapacity": 0.5, "MaxCapacity": 8.0, "Odd": 1}},
        {"ServerlessV2ScalingConfiguration": {"MinCapacity": 0.5, "MaxCapacity": 8.0}},
    ),
    ({"NetworkType": "DUAL"}, {"NetworkType": "DUAL"}),
    ({"BackupRetentionPeriod": 14}, {"BackupRetentionPeriod": 14}),
    ({"PreferredBackupWindow": "02:00-02:30"}, {"PreferredBackupWindow": "02:00-02:30"}),
    (
        {"DomainMemberships": [{"Domain": "d-1", "IAMRoleName": "kerberos"}]},
        {"Domain": "d-1", "DomainIAMRoleName": "kerberos"},
    ),
    (
        {"EngineLifecycleSupport": "open-source-rds-extended-support-disabled"},
        {"EngineLifecycleSupport": "open-source-rds-extended-support-disabled"},
    ),
    (
        {"PerformanceInsightsEnabled": True, "PerformanceInsightsRetentionPeriod": 465},
        {"EnablePerformanceInsights": True, "PerformanceInsightsRetentionPeriod": 465},
    ),
]

# The service's own default must not be asked for: some of these are refused when they are.
NOT_ASKED = [
    ({"KmsKeyId": "arn:key"}, "KmsKeyId"),
    ({"StorageType": "aurora"}, "StorageType"),
    ({"BacktrackWindow": 0}, "BacktrackWindow"),
    ({"EnabledCloudwatchLogsExports": []}, "EnableCloudwatchLogsExports"),
    ({"ServerlessV2ScalingConfiguration": {}}, "ServerlessV2ScalingConfiguration"),
    ({"PerformanceInsightsEnabled": False}, "EnablePerformanceInsights"),
    ({"VpcSecurityGroups": [{"VpcSecurityGroupId": "sg-a", "Status": "removing"}]}, "VpcSecurityGroupIds"),
]


def tags_of(parameters: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in parameters["Tags"]}


def plan(blue: Cluster, options: CloneOptions = GREEN) -> ClonePlan:
    return plan_clone(blue, NAMES, options, RESTORE)


def test_the_clone_is_copy_on_write_at_the_latest_moment_in_blues_parameter_group(blue: MakeCluster) -> None:
    restore = plan(blue()).restore
    assert restore["SourceDBClusterIdentifier"] == "shop"
    assert restore["DBClusterIdentifier"] == "shop-pg18"
    assert restore["RestoreType"] == "copy-on-write"
    assert restore["UseLatestRestorableTime"] is True
    assert restore["DBClusterParameterGroupName"] == "shop-blue"


@pytest.mark.parametrize(("described", "asked"), MIRRORED)
def test_what_blue_has_is_asked_for(blue: MakeCluster, described: dict[str, Any], asked: dict[str, Any]) -> None:
    restore = plan(blue(**described)).restore
    assert {name: restore.get(name) for name in asked} == asked


@pytest.mark.parametrize(("described", "name"), NOT_ASKED)
def test_what_blue_has_not_is_not_asked_for(blue: MakeCluster, described: dict[str, Any], name: str) -> None:
    assert name not in plan(blue(**described)).restore


def test_the_users_word_goes_before_blues(blue: MakeCluster) -> None:
    options = CloneOptions("green", cluster_parameter_group="other", deletion_protection=False, tags={"cost": "2"})
    tags = [{"Key": "cost", "Value": "1"}, {"Key": "team", "Value": "shop"}]
    restore = plan(blue(DeletionProtection=True, TagList=tags), options).restore
    assert restore["DBClusterParameterGroupName"] == "other"
    assert restore["DeletionProtection"] is False
    assert tags_of(restore)["cost"] == "2"
    assert tags_of(restore)["team"] == "shop"


def test_tags_of_the_service_and_of_another_deployment_are_not_carried(blue: MakeCluster) -> None:
    tags = [
        {"Key": "aws:cloudformation:stack-name", "Value": "s"},
        {"Key": "bluegreen:deployment-id", "Value": "older"},
        {"Key": "team", "Value": "shop"},
    ]
    made = plan(blue(TagList=tags))
    assert tags_of(made.restore) == {
        "team": "shop",
        "bluegreen:owner": "bluegreen.aws",
        "bluegreen:deployment-id": "shop-pg18",
        "bluegreen:role": "green",
    }
    assert all(tags_of(instance)["bluegreen:deployment-id"] == "shop-pg18" for instance in made.instances)


def test_what_this_botocore_does_not_know_is_left_for_a_modification(blue: MakeCluster, green: MakeCluster) -> None:
    described = {"NetworkType": "DUAL", "BackupRetentionPeriod": 7}
    older = RESTORE - {"BackupRetentionPeriod"}
    made = plan_clone(blue(**described), NAMES, GREEN, older)
    assert "BackupRetentionPeriod" not in made.restore
    assert clone.predicted_settings(made, older) == {"BackupRetentionPeriod": 7}
    assert clone.unmet_settings(made, green(NetworkType="DUAL").description) == {"BackupRetentionPeriod": 7}


def test_nothing_is_modified_when_green_is_set_as_blue_is(blue: MakeCluster) -> None:
    described: dict[str, Any] = {}
    for fields, _asked in MIRRORED:
        described |= fields
    cluster = blue(**described, PreferredMaintenanceWindow="sun:01:00-sun:01:30", DatabaseInsightsMode="advanced")
    assert clone.unmet_settings(plan(cluster), cluster.description) == {}


def test_log_exports_and_insights_are_modified_in_the_form_of_the_api(blue: MakeCluster, green: MakeCluster) -> None:
    made = plan(
        blue(
            EnabledCloudwatchLogsExports=["postgresql"],
            DatabaseInsightsMode="advanced",
            PerformanceInsightsEnabled=True,
            PerformanceInsightsRetentionPeriod=465,
        )
    )
    insights = {"PerformanceInsightsEnabled": True, "PerformanceInsightsRetentionPeriod": 465}
    assert clone.unmet_settings(made, green(**insights).description) == {
        "CloudwatchLogsExportConfiguration": {"EnableLogTypes": ["postgresql"]},
        "DatabaseInsightsMode": "advanced",
        "EnablePerformanceInsights": True,
        "PerformanceInsightsRetentionPeriod": 465,
    }


def test_roles_that_green_lacks_are_added(blue: MakeCluster, green: MakeCluster) -> None:
    roles = [{"RoleArn": "arn:load", "FeatureName": "s3Import"}, {"RoleArn": "arn:call"}]
    made = plan(blue(AssociatedRoles=roles))
    assert clone.missing_roles(made, green().description) == [("arn:load", "s3Import"), ("arn:call", "")]
    pending = [{"RoleArn": "arn:load", "FeatureName": "s3Import", "Status": "PENDING"}]
    assert clone.missing_roles(made, green(AssociatedRoles=pending).description) == [("arn:call", "")]


def instance(
    identifier: str, writer: bool = False, tier: int = 1, **fields: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    member = {"DBInstanceIdentifier": identifier, "IsClusterWriter": writer, "PromotionTier": tier}
    described = {
        "DBInstanceIdentifier": identifier,
        "DBInstanceStatus": "available",
        "Engine": "aurora-postgresql",
        "DBInstanceClass": "db.r7g.large",
        "PromotionTier": tier,
        "DBParameterGroups": [{"DBParameterGroupName": f"{identifier}-group"}],
        **fields,
    }
    return member, described


def topology(*instances: tuple[dict[str, Any], dict[str, Any]]) -> Cluster:
    description = {
        "DBClusterIdentifier": "shop",
        "Status": "available",
        "Engine": "aurora-postgresql",
        "EngineVersion": "16.14",
        "DBClusterParameterGroup": "shop-blue",
        "DBClusterMembers": [member for member, _described in instances],
    }
    return cluster_of(description, [described for _member, described in instances])


def test_instances_mirror_blues_the_writer_first_then_by_tier() -> None:
    made = plan(
        topology(
            instance("a", tier=2, DBInstanceClass="db.r7g.xlarge", AvailabilityZone="z-a"),
            instance("b", tier=0, DBInstanceClass="db.serverless", AvailabilityZone="z-b"),
            instance("c", writer=True, tier=5, DBInstanceClass="db.r7g.2xlarge", AvailabilityZone="z-c"),
        )
    )
    wanted = ("DBInstanceIdentifier", "DBInstanceClass", "AvailabilityZone", "PromotionTier", "DBParameterGroupName")
    assert [tuple(each[name] for name in wanted) for each in made.instances] == [
        ("shop-pg18-1", "db.r7g.2xlarge", "z-c", 5, "c-group"),
        ("shop-pg18-2", "db.serverless", "z-b", 0, "b-group"),
        ("shop-pg18-3", "db.r7g.xlarge", "z-a", 2, "a-group"),
    ]
    assert {each["DBClusterIdentifier"] for each in made.instances} == {"shop-pg18"}


def test_an_instances_monitoring_and_maintenance_are_mirrored() -> None:
    fields: dict[str, Any] = {
        "PubliclyAccessible": False,
        "AutoMinorVersionUpgrade": False,
        "PreferredMaintenanceWindow": "sun:01:00-sun:01:30",
        "MonitoringInterval": 60,
        "MonitoringRoleArn": "arn:monitor",
        "PerformanceInsightsKMSKeyId": "arn:key",
        "PerformanceInsightsRetentionPeriod": 7,
        "CACertificateIdentifier": "rds-ca-ecc384-g1",
    }
    made = plan(topology(instance("a", writer=True, PerformanceInsightsEnabled=True, **fields))).instances[0]
    assert {name: made[name] for name in fields} == fields
    assert made["EnablePerformanceInsights"] is True


def test_monitoring_that_is_off_is_not_asked_for() -> None:
    off: dict[str, Any] = {"MonitoringInterval": 0, "PerformanceInsightsEnabled": False}
    made = plan(topology(instance("a", writer=True, **off))).instances[0]
    assert not {"MonitoringInterval", "EnablePerformanceInsights"} & set(made)


def test_instances_made_to_measure_take_the_rest_from_blues_writer(blue: MakeCluster) -> None:
    wanted = [
        {"db_instance_class": "db.r8g.large", "availability_zone": "z", "promotion_tier": 0},
        {"db_instance_identifier": "other", "db_parameter_group_name": "mine"},
    ]
    first, second = plan(blue(), CloneOptions("shop-pg18", instances=wanted)).instances
    assert (first["DBInstanceIdentifier"], first["DBInstanceClass"]) == ("shop-pg18-1", "db.r8g.large")
    assert (first["AvailabilityZone"], first["PromotionTier"]) == ("z", 0)
    assert first["DBParameterGroupName"] == "shop-instance"
    assert (second["DBInstanceIdentifier"], second["DBInstanceClass"]) == ("other", "db.r7g.large")
    assert second["DBParameterGroupName"] == "mine"
    assert not {"AvailabilityZone", "PromotionTier"} & set(second)


def test_an_empty_dictionary_is_one_instance_without_blues_zone(blue: MakeCluster) -> None:
    (only,) = plan(blue(), CloneOptions("shop-pg18", instances=[{}])).instances
    assert only["DBInstanceClass"] == "db.r7g.large"
    assert "AvailabilityZone" not in only


def test_a_named_instance_parameter_group_goes_to_all(blue: MakeCluster) -> None:
    made = plan(blue(), CloneOptions("shop-pg18", instance_parameter_group="mine"))
    assert {each["DBParameterGroupName"] for each in made.instances} == {"mine"}


@pytest.mark.parametrize(
    ("instances", "sentence"),
    [
        ("two", "must be 'mirror' or a list of dictionaries"),
        (2, "must be 'mirror' or a list of dictionaries"),
        ([{"class": "db.r7g.large"}], "holds class: correct it"),
        (["db.r7g.large"], "holds 'db.r7g.large': correct it"),
        ([], "needs at least one instance"),
        ([{"db_instance_identifier": "shop-pg18-2"}, {}], "leads to shop-pg18-2, shop-pg18-2"),
    ],
)
def test_other_forms_of_instances_are_refused(blue: MakeCluster, instances: Any, sentence: str) -> None:
    with pytest.raises(BlueGreenError, match=sentence):
        plan(blue(), CloneOptions("shop-pg18", instances=instances))


def test_a_blue_without_instances_cannot_be_mirrored() -> None:
    with pytest.raises(BlueGreenError, match="needs at least one instance"):
        plan(topology())


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [({"Engine": "docdb"}, "its engine is docdb"), ({"EngineMode": "serverless"}, "engine mode provisioned")],
)
def test_what_is_no_provisioned_aurora_is_refused(blue: MakeCluster, fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BlueGreenError, match=sentence):
        plan(blue(**fields))


def test_green_cannot_be_blue(blue: MakeCluster) -> None:
    with pytest.raises(BlueGreenError, match="shop is blue"):
        plan(blue(), CloneOptions("shop"))


def test_only_the_instances_that_are_missing_are_created(blue: MakeCluster, green: MakeCluster) -> None:
    made = plan(blue(readers=2))
    every = clone.missing_instances(made, None, "pg16", "pg16")
    assert [each["DBInstanceIdentifier"] for each in every] == ["shop-pg18-1", "shop-pg18-2", "shop-pg18-3"]
    left = clone.missing_instances(made, green("shop-pg18-1", "shop-pg18-3"), "pg16", "pg16")
    assert [each["DBInstanceIdentifier"] for each in left] == ["shop-pg18-2"]
    assert left[0]["DBParameterGroupName"] == "shop-instance"


def test_an_instance_added_to_an_upgraded_green_has_the_group_of_its_writer(blue: MakeCluster) -> None:
    upgraded = topology(instance("shop-pg18-1", writer=True))
    (left,) = clone.missing_instances(plan(blue()), upgraded, "pg16", "pg18")
    assert left["DBParameterGroupName"] == "shop-pg18-1-group"


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"GlobalClusterIdentifier": "g"}, "global database"),
        ({"CustomEndpoints": ["e"]}, "custom endpoints"),
        ({"HttpEndpointEnabled": True}, "Data API"),
        ({"ActivityStreamStatus": "started"}, "activity stream"),
        ({"MasterUserSecret": {"SecretArn": "a"}}, "master password"),
    ],
)
def test_what_a_clone_does_not_get_is_said(blue: MakeCluster, fields: dict[str, Any], word: str) -> None:
    assert plan(blue()).differences == ()
    (sentence,) = plan(blue(**fields)).differences
    assert word in sentence


@pytest.mark.parametrize("instances", ["mirror", [{}, {}]])
def test_the_writer_may_have_a_name_of_the_users(blue: MakeCluster, instances: Any) -> None:
    options = CloneOptions("shop-pg18", instances=instances, writer_identifier="Shop-Next")
    made = plan_clone(blue(readers=1), NAMES, options, RESTORE).instances
    assert [one["DBInstanceIdentifier"] for one in made] == ["shop-next", "shop-pg18-2"]


def test_the_name_in_instances_is_the_nearer_one(blue: MakeCluster) -> None:
    options = CloneOptions("shop-pg18", instances=[{"db_instance_identifier": "mine"}], writer_identifier="other")
    assert [one["DBInstanceIdentifier"] for one in plan_clone(blue(), NAMES, options, RESTORE).instances] == ["mine"]


@pytest.mark.parametrize("name", ["a", "A-1", "a" * 63, "testprod1"])
def test_an_identifier_that_follows_the_rules_is_taken(name: str) -> None:
    clone.require_identifier(name, "writer_db_instance_identifier")


@pytest.mark.parametrize("name", ["", "1a", "-a", "a-", "a--b", "a_b", "ä", "a" * 64, "a\n"])
def test_an_identifier_that_does_not_is_refused_with_the_rules(name: str) -> None:
    with pytest.raises(
        BlueGreenError, match="writer_db_instance_identifier must be 1 to 63 letters, digits and hyphens"
    ):
        clone.require_identifier(name, "writer_db_instance_identifier")


def test_green_may_have_security_groups_and_subnets_of_its_own(blue: MakeCluster) -> None:
    groups = [{"VpcSecurityGroupId": "sg-blue", "Status": "active"}]
    source = blue(VpcSecurityGroups=groups, DBSubnetGroup="blues")
    options = CloneOptions("shop-pg18", security_groups=["sg-2", "sg-1"], subnet_group="greens")
    restore = plan_clone(source, NAMES, options, RESTORE | {"VpcSecurityGroupIds"}).restore
    assert (restore["VpcSecurityGroupIds"], restore["DBSubnetGroupName"]) == (["sg-1", "sg-2"], "greens")
