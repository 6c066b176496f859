# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The members of managed deployments, and what of blue does not come with its data."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._aws import managed, managed_rules, managed_wait
from ansible_collections.bluegreen.aws.plugins.module_utils._aws import readiness_managed_left as left
from ansible_collections.bluegreen.aws.plugins.module_utils._aws import readiness_managed_members as members
from ansible_collections.bluegreen.aws.plugins.module_utils._aws import readiness_managed_rules as rules
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.clusters import Instance, instance_of
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.managed import Place
from tests.unit.plugins.module_utils._aws.conftest import ARN, instance_shape
from tests.unit.plugins.module_utils._aws.test_managed import shape


def member(name: str, group: str = "shop-blue", writer: bool = False, **fields: Any) -> Instance:
    groups = [{"DBParameterGroupName": group, "ParameterApplyStatus": "in-sync"}]
    return instance_of(instance_shape(name, DBParameterGroups=groups, **fields), writer=writer)


def place(*found: Instance, kind: str = "db", **fields: Any) -> Place:
    name = found[0].identifier
    described = {**found[0].description, **fields}
    arn = f"{ARN}:{kind}:{name}"
    return Place(name, arn, "mysql", "8.0.40", "available", f"{name}.x", 3306, None, found, None, described)


BLUE = place(member("shop", writer=True), member("shop-r1", "reports"))
PAIRS = [("shop", "shop-green-aaaaaa"), ("shop-r1", "shop-r1-green-bbbbbb")]
DEPLOYMENT = managed.deployment_of(
    shape(
        SwitchoverDetails=[
            {"SourceMember": f"{ARN}:db:{old}", "TargetMember": f"{ARN}:db:{new}", "Status": "AVAILABLE"}
            for old, new in PAIRS
        ]
    )
)


def green(group: str = "shop-blue", of_replica: str = "shop-blue", **fields: Any) -> Place:
    return place(member("shop-green-aaaaaa", group, writer=True), member("shop-r1-green-bbbbbb", of_replica), **fields)


def test_instances_with_several_groups_are_told_of_before_and_after() -> None:
    before, after = members.parameter_groups(BLUE), members.member_groups(DEPLOYMENT, BLUE, green())
    assert (before.status, after.status) == ("warning", "warning")
    assert "shop-r1 has reports" in before.evidence
    assert "shop-r1-green-bbbbbb has shop-blue, shop-r1 has reports" in after.evidence


def test_a_replica_of_green_that_was_given_its_group_is_all_right() -> None:
    found = green("shop-84", "reports-84")
    assert members.member_groups(DEPLOYMENT, BLUE, found).status == "ok"
    assert managed_rules.differs(found, {"TargetDBParameterGroupName": "shop-84"}) == []


def test_another_group_of_greens_writer_is_a_difference() -> None:
    assert managed_rules.differs(green("other"), {"TargetDBParameterGroupName": "shop-84"}) == [
        "DB parameter group other instead of shop-84"
    ]


def test_a_read_replica_that_came_later_would_stay_behind() -> None:
    late = place(*BLUE.members, ReadReplicaDBInstanceIdentifiers=["shop-r1", "shop-r2", "shop-green-aaaaaa"])
    found = members.topology(DEPLOYMENT, late)
    assert found.status == "failed" and "but shop-r2 came later" in found.evidence
    assert members.topology(DEPLOYMENT, BLUE).status == "ok"


def test_a_replica_in_another_region_is_none_of_the_members_and_refused() -> None:
    far = "arn:aws:rds:us-west-2:111111111111:db:shop-r9"
    described: dict[str, Any] = {
        "DBInstanceArn": f"{ARN}:db:shop",
        "ReadReplicaDBInstanceIdentifiers": ["shop-r1", far],
    }
    assert managed.replicas_of(described) == ["shop-r1"]
    found = rules.replicas(place(*BLUE.members, **described))
    assert found.status == "failed" and far in found.evidence


def test_a_replica_below_a_replica_is_refused() -> None:
    below = member("shop-r1", ReadReplicaDBInstanceIdentifiers=["shop-r2"])
    found = rules.replicas(place(member("shop", writer=True), below))
    assert found.status == "failed" and "shop-r2 (of shop-r1)" in found.evidence


@pytest.mark.parametrize(
    ("status", "info", "said"),
    [
        (
            "available",
            {"Normal": True, "Status": "stopped"},
            "read replication of green's replica shop-r1-green-bbbbbb stopped: no message",
        ),
        (
            "available",
            {"Normal": False, "Status": "error", "Message": "x"},
            "read replication of green's replica shop-r1-green-bbbbbb error: x",
        ),
        ("available", {"Normal": True, "Status": "replicating"}, None),
        ("rebooting", {"Normal": True, "Status": "stopped"}, None),
    ],
)
def test_a_replica_of_green_that_stands_still_is_no_healthy_green(
    status: str, info: dict[str, Any], said: str | None
) -> None:
    told = [{"StatusType": "read replication", **info}]
    replica = member("shop-r1-green-bbbbbb", StatusInfos=told, DBInstanceStatus=status)
    seen = managed_wait.Seen(DEPLOYMENT, place(member("shop-green-aaaaaa", writer=True), replica))
    assert managed_wait.replication_error(seen) == said


def test_what_to_do_about_a_replica_of_green_is_not_what_to_do_about_green() -> None:
    error = [{"StatusType": "read replication", "Normal": False, "Status": "error", "Message": "fatal error 1236"}]
    of_replica = place(member("shop-green-aaaaaa", writer=True), member("shop-r1-green-bbbbbb", StatusInfos=error))
    of_green = place(member("shop-green-aaaaaa", writer=True, StatusInfos=error))
    said = [managed_wait.replication_error(managed_wait.Seen(DEPLOYMENT, one)) or "" for one in (of_replica, of_green)]
    assert "delete that read replica" in managed_wait.mend(said[0])
    assert "binary log that green was to begin with" in managed_wait.mend(said[1])


def test_production_that_was_green_does_not_replicate_any_more_and_that_is_no_error() -> None:
    told = [{"StatusType": "read replication", "Normal": True, "Status": "terminated"}]
    over = managed.deployment_of(shape("SWITCHOVER_COMPLETED"))
    production = place(member("shop", writer=True, StatusInfos=told))
    assert managed_wait.replication_error(managed_wait.Seen(over, production)) is None
    assert managed_wait.replication_error(managed_wait.Seen(DEPLOYMENT, production)) is not None


def test_roles_are_looked_for_on_every_instance() -> None:
    role = [{"RoleArn": "arn:aws:iam::1:role/s3", "FeatureName": "S3_INTEGRATION"}]
    blue = place(member("shop", writer=True), member("shop-r1", AssociatedRoles=role))
    found = left.carried(blue, green())
    assert (found.status, found.evidence) == (
        "warning",
        "IAM roles are not copied to green: arn:aws:iam::1:role/s3 of shop-r1",
    )
    assert "add-role-to-db-instance" in found.remedy
    assert left.carried(BLUE, green()).status == "ok"


def test_who_logs_in_by_iam_is_told_the_new_resource_ids() -> None:
    blue = place(
        member("shop", writer=True, DbiResourceId="db-A"),
        member("shop-r1", DbiResourceId="db-B"),
        IAMDatabaseAuthenticationEnabled=True,
    )
    new = place(
        member("shop-green-aaaaaa", writer=True, DbiResourceId="db-C"),
        member("shop-r1-green-bbbbbb", DbiResourceId="db-D"),
        IAMDatabaseAuthenticationEnabled=True,
    )
    found = left.resource_ids(blue, new)
    assert found.status == "warning" and "know blue as db-A, db-B, new production is db-C, db-D" in found.evidence
    assert left.resource_ids(BLUE, green()).status == "ok"


def test_custom_endpoints_without_a_counterpart_are_told_of() -> None:
    blue = place(member("shop", writer=True), kind="cluster", CustomEndpoints=["reports.cluster-custom-x"])
    found = members.custom_endpoints(blue, green())
    assert found.status == "warning" and "shop-green-aaaaaa has none" in found.evidence
    moved = members.custom_endpoints(blue, green(CustomEndpoints=["reports-green-cccccc.cluster-custom-x"]))
    assert moved.status == "warning" and "have counterparts in green" in moved.evidence
    assert members.custom_endpoints(BLUE, green()).status == "ok"


def test_what_did_not_come_along_is_told_once_it_is_over() -> None:
    old = place(member("shop-old1", writer=True), kind="cluster", DeletionProtection=True)
    found = members.left_behind(old, place(member("shop", writer=True), kind="cluster"), ["track-cpu"])
    told = {one.id: one for one in found if one.status != "ok"}
    assert set(told) == {"aws_green_deletion_protection", "aws_managed_autoscaling"}
    assert "track-cpu of shop" in told["aws_managed_autoscaling"].evidence
    assert "cluster:shop anew" in told["aws_managed_autoscaling"].remedy
