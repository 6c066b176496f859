# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Quotas, maintenance, proxies, and who calls and what they may do."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from tests.unit.lab.control_plane.conftest import Aws, refused

ROLE = "arn:aws:iam::123456789012:role/deployer"


def quota(aws: Aws, name: str) -> tuple[int, int]:
    """What is used of a quota, and its maximum."""
    found = aws.rds.describe_account_attributes()["AccountQuotas"]
    return next((one["Used"], one["Max"]) for one in found if one["AccountQuotaName"] == name)


def decisions(aws: Aws, principal: str, *actions: str) -> dict[str, str]:
    """What the simulator says of each action."""
    answer = aws.endpoint.client("iam").simulate_principal_policy(
        PolicySourceArn=principal, ActionNames=list(actions), ResourceArns=["*"]
    )
    return {one["EvalActionName"]: one["EvalDecision"] for one in answer["EvaluationResults"]}


def test_quotas_count_what_there_is_and_can_be_made_full(aws: Aws) -> None:
    assert quota(aws, "DBClusters") == (0, 1000)
    aws.create(instances=0)
    aws.knobs.turn("quota", {"quota": "DBClusters", "room": 0})
    assert quota(aws, "DBClusters") == (1, 1)
    aws.knobs.turn("clear", {})
    assert quota(aws, "DBClusters") == (1, 1000)
    with pytest.raises(ValueError, match="no quota"):
        aws.knobs.turn("quota", {"quota": "nonsense", "room": 0})


def test_announced_maintenance_is_listed_until_it_is_cleared(aws: Aws) -> None:
    aws.create(instances=0)
    aws.knobs.turn("announce", {"cluster": "shop", "seconds": 60})
    (found,) = aws.rds.describe_pending_maintenance_actions()["PendingMaintenanceActions"]
    assert found["ResourceIdentifier"] == "arn:aws:rds:us-east-1:123456789012:cluster:shop"
    (action,) = found["PendingMaintenanceActionDetails"]
    assert action["Action"] == "system-update" and isinstance(action["CurrentApplyDate"], datetime)
    aws.knobs.turn("clear", {})
    assert aws.rds.describe_pending_maintenance_actions()["PendingMaintenanceActions"] == []


def test_a_proxy_tracks_one_cluster(aws: Aws) -> None:
    aws.create(instances=2)
    create: dict[str, Any] = {"EngineFamily": "POSTGRESQL", "RoleArn": ROLE, "VpcSubnetIds": ["subnet-1"]}
    proxy = aws.rds.create_db_proxy(DBProxyName="front", **create)["DBProxy"]
    refused("DBProxyAlreadyExistsFault", aws.rds.create_db_proxy, DBProxyName="front", **create)
    assert aws.rds.describe_db_proxy_targets(DBProxyName="front")["Targets"] == []
    aws.rds.register_db_proxy_targets(DBProxyName="front", DBClusterIdentifiers=["shop"])
    targets = aws.rds.describe_db_proxy_targets(DBProxyName="front")["Targets"]
    assert [(one["Type"], one["RdsResourceId"], one.get("TrackedClusterId")) for one in targets] == [
        ("TRACKED_CLUSTER", "shop", None),
        ("RDS_INSTANCE", "shop-1", "shop"),
        ("RDS_INSTANCE", "shop-2", "shop"),
    ]
    again = {"DBProxyName": "front", "DBClusterIdentifiers": ["shop"]}
    refused("DBProxyTargetAlreadyRegisteredFault", aws.rds.register_db_proxy_targets, **again)
    (group,) = aws.rds.describe_db_proxy_target_groups(DBProxyName="front")["TargetGroups"]
    assert group["IsDefault"] and group["TargetGroupName"] == "default"
    aws.rds.deregister_db_proxy_targets(**again)
    refused("DBProxyTargetNotFoundFault", aws.rds.deregister_db_proxy_targets, **again)
    assert [one["Endpoint"] for one in aws.rds.describe_db_proxies()["DBProxies"]] == [proxy["Endpoint"]]
    aws.rds.delete_db_proxy(DBProxyName="front")
    refused("DBProxyNotFoundFault", aws.rds.describe_db_proxies, DBProxyName="front")


def test_a_new_lab_has_no_deployment_and_no_integration(aws: Aws) -> None:
    assert aws.rds.describe_blue_green_deployments()["BlueGreenDeployments"] == []
    assert aws.rds.describe_integrations()["Integrations"] == []
    missing = {"BlueGreenDeploymentIdentifier": "bgd-1"}
    refused("BlueGreenDeploymentNotFoundFault", aws.rds.describe_blue_green_deployments, **missing)
    refused("IntegrationNotFoundFault", aws.rds.describe_integrations, IntegrationIdentifier="i-1")


def test_the_simulator_knows_what_is_denied_and_nothing_else(aws: Aws) -> None:
    user = aws.endpoint.client("sts").get_caller_identity()["Arn"]
    assert user == "arn:aws:iam::123456789012:user/lab"
    aws.plane.faults.deny("CreateDBInstance")
    aws.plane.faults.fail("DescribeEvents", "AccessDenied")  # once: no policy says that
    assert decisions(aws, user, "rds:CreateDBInstance", "rds:DescribeEvents") == {
        "rds:CreateDBInstance": "implicitDeny",
        "rds:DescribeEvents": "allowed",
    }
    refused("NoSuchEntity", decisions, aws=aws, principal=ROLE)
    aws.plane.faults.deny("SimulatePrincipalPolicy")
    refused("AccessDenied", decisions, aws=aws, principal=user)


def test_a_session_of_a_role_is_somebody_else(aws: Aws) -> None:
    session = "arn:aws:sts::123456789012:assumed-role/deployer/nightly"
    aws.knobs.turn("caller", {"arn": session})
    assert aws.endpoint.client("sts").get_caller_identity()["Arn"] == session
    assert aws.endpoint.client("iam").get_role(RoleName="deployer")["Role"]["Arn"] == ROLE
    refused("NoSuchEntity", aws.endpoint.client("iam").get_role, RoleName="other")
    assert decisions(aws, ROLE, "rds:CreateDBInstance") == {"rds:CreateDBInstance": "allowed"}
    with pytest.raises(ValueError, match="not the ARN"):
        aws.knobs.turn("caller", {"arn": ROLE})


def test_the_default_security_group_lets_its_members_in_and_others_nobody(aws: Aws) -> None:
    aws.create(instances=0)
    (member,) = aws.cluster("shop")["VpcSecurityGroups"]
    default = str(member["VpcSecurityGroupId"])
    found = aws.endpoint.client("ec2").describe_security_groups(GroupIds=[default, "sg-new"])["SecurityGroups"]
    pairs = [[pair["GroupId"] for rule in g["IpPermissions"] for pair in rule["UserIdGroupPairs"]] for g in found]
    assert pairs == [[default], []]


def test_other_operations_of_these_services_are_motos(aws: Aws) -> None:
    iam = aws.endpoint.client("iam")
    iam.create_group(GroupName="people")
    assert [group["GroupName"] for group in iam.list_groups()["Groups"]] == ["people"]
