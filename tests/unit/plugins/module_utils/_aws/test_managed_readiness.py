# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guardrails of managed deployments: what the service refuses is a failed check that says what mends it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._aws import managed, managed_wait
from ansible_collections.bluegreen.aws.plugins.module_utils._aws import readiness_managed_around as around
from ansible_collections.bluegreen.aws.plugins.module_utils._aws import readiness_managed_left as left
from ansible_collections.bluegreen.aws.plugins.module_utils._aws import readiness_managed_rules as rules
from ansible_collections.bluegreen.aws.plugins.module_utils._aws import readiness_managed_target as target
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.clusters import Instance, instance_of
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.managed import Place
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.parameter_groups import CLUSTER, INSTANCE, Group
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.upgrade import EngineVersion
from ansible_collections.bluegreen.aws.plugins.module_utils._core.checks import Check
from tests.unit.plugins.module_utils._aws.conftest import ARN, instance_shape
from tests.unit.plugins.module_utils._aws.test_managed import shape


def place(
    engine: str = "aurora-mysql", version: str = "8.0.mysql_aurora.3.10.0", kind: str = "cluster", **fields: Any
) -> Place:
    """A blue with one writer, in sync."""
    member = instance_of(instance_shape("shop-1", Engine=engine), writer=True)
    description = {"BackupRetentionPeriod": 7, **fields}
    arn = f"{ARN}:{kind}:shop"
    return Place("shop", arn, engine, version, "available", "shop.x", 3306, None, (member,), "shop-blue", description)


def waiting(found: Place, status: str = "pending-reboot") -> Place:
    return replace(found, members=tuple(replace(one, parameter_group_status=status) for one in found.members))


def members(found: Place, *volumes: bool) -> Place:
    """The place with a member for each, with a dedicated log volume or without."""
    made = [instance_shape(f"shop-{number}", DedicatedLogVolume=volume) for number, volume in enumerate(volumes, 1)]
    return replace(found, members=tuple(instance_of(one, writer=one is made[0]) for one in made))


NEXT = "aurora-mysql8.4"
STAGE = {"Key": "stage", "Value": "green"}
OURS = {"Key": "bluegreen:owner", "Value": "bluegreen.aws"}
GREEN = replace(place(), identifier="shop-green-abc123", arn=f"{ARN}:cluster:shop-green-abc123")
GROUP = Group(CLUSTER, "shop-blue", "aurora-mysql8.0", "arn")
VERSIONS = {
    "16.1": EngineVersion("16.1", "aurora-postgresql16", {"16.9": False, "17.4": True}),
    "16.9": EngineVersion("16.9", "aurora-postgresql16", {}),
}
POSTGRESQL = place("aurora-postgresql", "16.1")

DATABASE = replace(place("postgres", "16.9", kind="db"), parameter_group=None)


def grouped(name: str) -> tuple[Instance, ...]:
    return tuple(
        replace(one, description={**one.description, "DBParameterGroups": [{"DBParameterGroupName": name}]})
        for one in DATABASE.members
    )


def seen(**fields: Any) -> managed_wait.Seen:
    return managed_wait.Seen(managed.deployment_of(shape(**fields)), place())


@pytest.mark.parametrize(
    ("check", "said"),
    [
        (lambda: rules.log(place(), GROUP, {}, major=False), rules.NO_BINLOG.rstrip(".")),
        (
            lambda: rules.log(POSTGRESQL, GROUP, {}, major=False),
            "require a DB cluster with logical replication enabled",
        ),
        (
            lambda: rules.log(place(), replace(GROUP, name="default.aurora-mysql8.0"), {}, major=False),
            "cannot be modified",
        ),
        (lambda: rules.in_sync(waiting(place())), "or the creation fails, but shop-1 is pending-reboot"),
        (lambda: rules.backups(place(BackupRetentionPeriod=0)), "automated backups enabled"),
        (lambda: rules.master_password(place(MasterUserSecret={"SecretArn": "x"})), "AWS Secrets Manager"),
        (lambda: rules.source(place(EngineMode="serverless")), "Aurora Serverless v1"),
        (lambda: rules.source(place("mysql")), "a Multi-AZ DB cluster"),
        (lambda: rules.source(place("oracle-ee", kind="db")), "which it does not know"),
        (
            lambda: rules.source(place("postgres", kind="db", ReadReplicaSourceDBInstanceIdentifier="a")),
            "a read replica of a",
        ),
        (
            lambda: rules.source(place("aurora-mysql", kind="db", DBClusterIdentifier="c")),
            "an instance of the DB cluster c",
        ),
        (lambda: rules.version(place("aurora-postgresql", "15.3"), major=False), "can be replicated from since 15.4"),
        (lambda: rules.target_version(VERSIONS, POSTGRESQL, "15.4"), "lower than blue's"),
        (lambda: rules.target_version(VERSIONS, POSTGRESQL, "18.4"), "no upgrade target"),
        (
            lambda: rules.replicas(place(ReadReplicaIdentifiers=["arn:aws:rds:us-west-2:1:cluster:far"])),
            "in another Region",
        ),
        (
            lambda: rules.cloudformation(place(TagList=[{"Key": "aws:cloudformation:stack-name", "Value": "s"}])),
            "stack s",
        ),
        (
            lambda: rules.custom_groups(place(), [], False),
            "The current DB cluster parameter group shop-blue is custom. You must explicitly specify a new DB cluster parameter group",
        ),
        (
            lambda: rules.custom_groups(replace(DATABASE, members=grouped("shop-db-blue")), [], False),
            "The current DB parameter group shop-db-blue is custom. You must explicitly specify a new DB parameter group",
        ),
        (
            lambda: rules.log(DATABASE, replace(GROUP, kind=INSTANCE), {}, major=True),
            "require a DB instance with logical replication enabled",
        ),
        (lambda: rules.deployment(managed.deployment_of(shape()), place(), "new"), "one blue/green deployment only"),
        (lambda: rules.switchable(None, "new"), "there is none"),
        (
            lambda: rules.switchable(managed.deployment_of(shape("INVALID_CONFIGURATION")), "x"),
            "configuration is invalid",
        ),
        (
            lambda: rules.switchable(managed.deployment_of(shape("PROVISIONING")), "x"),
            "must be AVAILABLE, but is PROVISIONING",
        ),
        (lambda: rules.green_members(waiting(place())), "available and in sync, but found parameter group of shop-1"),
        (lambda: rules.green_members(replace(place(), status="storage-initialization")), "storage-initialization"),
        (
            lambda: rules.green_replication(seen(StatusDetails="Replication degraded: ALTER TABLE.")),
            "Correct the replication errors and then switch over",
        ),
        (lambda: rules.size(replace(place(), members=place().members * 2), place()), "would be left behind"),
        (
            lambda: around.integrations(place(), None, [{"SourceArn": place().arn, "IntegrationName": "z"}], True),
            "z (None)",
        ),
        (
            lambda: around.proxies(
                place(GlobalClusterIdentifier="g"), [({"DBProxyName": "p"}, [{"TrackedClusterId": "shop"}])]
            ),
            "does not go together",
        ),
        (lambda: rules.version(place("mysql", "5.6.51", "db"), major=False), "of mysql since 5.7"),
        (lambda: rules.version(place("mariadb", "10.1.48", "db"), major=False), "of mariadb since 10.2"),
        (lambda: rules.version(place("postgres", "11.0", "db"), major=False), "of postgres since 11.1"),
        (
            lambda: left.log_volume(members(place("mysql", kind="db"), True, False)),
            "on every instance of blue or on none, but shop-2",
        ),
        (lambda: around.integrations(place(), GREEN, [{"SourceArn": GREEN.arn, "IntegrationName": "z"}], True), "z ("),
        (lambda: left.write_forwarding(GREEN, {"a": "enabled", "b": "disabled"}), "but it is on for a"),
        (lambda: target.target_parameters(place(), NEXT, {}, "g", None, {}), "g of green should be there, but is not"),
        (lambda: target.target_parameters(place(), NEXT, {}, "g", GROUP, {}), f"should be of the family {NEXT}"),
        (lambda: target.target_parameters(place(), "", {}, "g", GROUP, {}), "binlog_format is not set in it"),
        (
            lambda: target.target_parameters(place(), "", {"lower_case_table_names": "1"}, "g", GROUP, {}),
            "lower_case_table_names parameter for the blue environment and for the green environment is different",
        ),
    ],
)
def test_what_the_service_refuses_is_a_failed_check_with_a_remedy(check: Callable[[], Check], said: str) -> None:
    found = check()
    assert (found.status, bool(found.remedy), said in found.evidence) == ("failed", True, True), found


@pytest.mark.parametrize(
    "check",
    [
        lambda: rules.log(place(), GROUP, {"binlog_format": "ROW"}, major=False),
        lambda: rules.log(place("postgres", "16.4", "db"), None, {}, major=False),
        lambda: rules.in_sync(place()),
        lambda: rules.replicas(
            place(ReadReplicaIdentifiers=["arn:aws:rds:us-west-2:1:cluster:far"], GlobalClusterIdentifier="world")
        ),
        lambda: rules.source(POSTGRESQL),
        lambda: rules.source(place("mysql", "8.0.40", "db")),
        lambda: rules.version(place("aurora-postgresql", "18.1"), major=False),
        lambda: rules.target_version(VERSIONS, POSTGRESQL, "17.4"),
        lambda: rules.deployment(managed.deployment_of(shape()), place(), "shop-84"),
        lambda: rules.switchable(managed.deployment_of(shape()), "shop-84"),
        lambda: rules.green_members(place()),
        lambda: rules.green_replication(seen()),
        lambda: rules.version(place("mysql", "5.7.44", "db"), major=False),
        lambda: left.log_volume(members(place("mysql", kind="db"), True, True)),
        lambda: left.backtrack(place(BacktrackWindow=0)),
        lambda: left.tags(place(TagList=[STAGE]), replace(GREEN, description={"TagList": [STAGE, OURS]})),
        lambda: left.resource_ids(place(ActivityStreamStatus="stopped"), GREEN),
        lambda: left.write_forwarding(GREEN, {"a": "disabled", "b": ""}),
        lambda: target.target_parameters(place(), GROUP.family, {}, "g", GROUP, {"binlog_format": "ROW"}),
        lambda: target.target_parameters(POSTGRESQL, "", {}, "g", GROUP, {}),
    ],
)
def test_what_it_takes_is_ok(check: Callable[[], Check]) -> None:
    assert check().status == "ok"


@pytest.mark.parametrize(
    "check",
    [
        lambda: rules.log(place(), GROUP, {"binlog_format": "MIXED"}, major=False),
        lambda: rules.version(place("postgres", "16.4", "db"), major=False),
        lambda: rules.protection(place(DeletionProtection=True), place()),
        lambda: left.carried(place(AssociatedRoles=[{"RoleArn": "r"}]), place()),
        lambda: around.autoscaling(place(), [{"PolicyName": "p"}]),
        lambda: left.backtrack(place(BacktrackWindow=86400)),
        lambda: left.tags(place(TagList=[]), replace(GREEN, description={"TagList": [STAGE]})),
        lambda: left.resource_ids(place(IAMDatabaseAuthenticationEnabled=True), GREEN),
        lambda: target.target_parameters(
            place(), "", {}, "g", GROUP, {"binlog_format": "ROW", "event_scheduler": "ON"}
        ),
    ],
)
def test_what_a_person_should_look_at_is_a_warning(check: Callable[[], Check]) -> None:
    assert check().status == "warning"
