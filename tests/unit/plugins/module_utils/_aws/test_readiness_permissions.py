# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Permissions: whose they are, what is simulated on which resource, and what a denial says."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._aws.clone import CloneOptions, plan_clone
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.clusters import Cluster
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.permissions import NEEDS, Need, Resource, policy
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.readiness_permissions import (
    PERMISSIONS,
    Principal,
    Tried,
    Verdict,
    judge,
    permission_checks,
    principal_of,
    scopes,
    tries,
    verdicts_of,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._core.checks import Check
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names

from .conftest import ARN

ROLE = "arn:aws:iam::123456789012:role/deployer"
KEY = "arn:aws:kms:eu-central-1:123456789012:key/1"
NAMES = Names.of("shop-pg18")


@pytest.mark.parametrize(
    ("caller", "principal"),
    [
        ("arn:aws:iam::123456789012:user/people/ann", Principal("arn:aws:iam::123456789012:user/people/ann")),
        ("arn:aws:sts::123456789012:assumed-role/deployer/nightly", Principal(ROLE, "deployer")),
        (
            "arn:aws-us-gov:sts::123456789012:assumed-role/deployer/i-0abc",
            Principal("arn:aws-us-gov:iam::123456789012:role/deployer", "deployer"),
        ),
        ("arn:aws:iam::123456789012:root", None),
        ("arn:aws:sts::123456789012:federated-user/ann", None),
        ("nonsense", None),
    ],
)
def test_the_principal_behind_a_session_is_its_role(caller: str, principal: Principal | None) -> None:
    assert principal_of(caller) == principal


def tried(blue: Cluster, key: str | None = None) -> dict[str, set[tuple[str, str]]]:
    """What is simulated and what a policy would name, by action."""
    plan = plan_clone(blue, NAMES, CloneOptions("shop-pg18"), ())
    found: dict[str, set[tuple[str, str]]] = {}
    for one in tries(("read", "create", "cleanup"), *scopes(blue, NAMES, "shop-pg18", plan, key, ROLE)):
        found.setdefault(one.need.action, set()).add((one.arn, one.allow))
    return found


def test_each_action_is_tried_on_what_it_touches(blue: Callable[..., Cluster]) -> None:
    found = tried(blue(DBSubnetGroup="nets"))
    assert found["rds:DescribeEvents"] == {("*", "*")}
    assert found["rds:RestoreDBClusterToPointInTime"] == {
        (f"{ARN}:cluster:shop", f"{ARN}:cluster:shop"),
        (f"{ARN}:cluster-pg:shop-blue", f"{ARN}:cluster-pg:*"),
        (f"{ARN}:subgrp:nets", f"{ARN}:subgrp:*"),
        (f"{ARN}:cluster:shop-pg18", f"{ARN}:cluster:shop-pg18"),
    }
    assert found["rds:DeleteDBInstance"] == {(f"{ARN}:db:shop-pg18-1", f"{ARN}:db:shop-pg18-*")}
    assert not {"iam:PassRole", "kms:CreateGrant", "secretsmanager:GetSecretValue"} & set(found)


def test_roles_and_keys_are_tried_when_blue_has_them(blue: Callable[..., Cluster]) -> None:
    found = tried(blue(AssociatedRoles=[{"RoleArn": "arn:role", "FeatureName": "s3Import"}]), KEY)
    assert found["iam:PassRole"] == {("arn:role", "arn:role")}
    assert found["kms:CreateGrant"] == {(KEY, KEY)}


NEED = Need("create", "rds:CreateDBInstance", (Resource("Green", "{x}"),))
ONE = Tried(NEED, "arn:1", "arn:*")


def judged(verdicts: dict[tuple[str, str], Verdict], one: Tried = ONE, *, stops: bool = True) -> Check:
    return judge(PERMISSIONS, ROLE, [one], verdicts, stops=stops)


def test_a_denied_action_is_named_with_the_statement_that_allows_it() -> None:
    check = judged({("rds:CreateDBInstance", "arn:1"): Verdict("implicitDeny")})
    assert check.status == "failed"
    assert check.evidence == f"{ROLE} is not allowed rds:CreateDBInstance on arn:*"
    assert json.loads(check.remedy) == {"Effect": "Allow", "Action": "rds:CreateDBInstance", "Resource": "arn:*"}
    assert judged({("rds:CreateDBInstance", "arn:1"): Verdict("implicitDeny")}, stops=False).status == "warning"


@pytest.mark.parametrize(
    ("verdicts", "one", "status"),
    [
        ({("rds:CreateDBInstance", "arn:1"): Verdict("allowed")}, ONE, "ok"),
        ({}, ONE, "warning"),
        ({("rds:CreateDBInstance", "arn:2"): Verdict("allowed")}, ONE, "warning"),
        ({("rds:CreateDBInstance", "arn:1"): Verdict("implicitDeny", ("aws:SourceIp",))}, ONE, "warning"),
        ({("rds:CreateDBInstance", "arn:1"): Verdict("explicitDeny", ("aws:SourceIp",))}, ONE, "failed"),
        (
            {("kms:X", KEY): Verdict("implicitDeny")},
            Tried(Need("create", "kms:X", (), certain=False), KEY, KEY),
            "warning",
        ),
    ],
)
def test_what_cannot_be_told_is_neither_a_yes_nor_a_no(
    verdicts: dict[tuple[str, str], Verdict], one: Tried, status: str
) -> None:
    assert judged(verdicts, one).status == status


@pytest.mark.parametrize(
    ("detail", "by"),
    [
        ({"OrganizationsDecisionDetail": {"AllowedByOrganizations": False}}, "a service control policy"),
        ({"PermissionsBoundaryDecisionDetail": {"AllowedByPermissionsBoundary": False}}, "the permissions boundary"),
        ({"EvalDecision": "explicitDeny"}, "a statement that denies it"),
        ({}, ""),
    ],
)
def test_who_denied_it_is_said(detail: dict[str, Any], by: str) -> None:
    result = {
        "EvalActionName": "rds:CreateDBInstance",
        "EvalResourceName": "arn:1",
        "EvalDecision": "implicitDeny",
        **detail,
    }
    verdicts = verdicts_of([result])
    assert verdicts["rds:CreateDBInstance", "arn:1"].by == by
    assert (f"(by {by})" in judged(verdicts).evidence) is bool(by)


class Caller:
    """An AWS that knows nothing but who calls."""

    def __init__(self, arn: str) -> None:
        self.arn = arn

    def call(self, operation: str, **_parameters: Any) -> dict[str, Any]:
        assert operation == "get_caller_identity"
        return {"Arn": self.arn}


def test_who_cannot_be_simulated_is_warned_of(blue: Callable[..., Cluster]) -> None:
    shop = blue()
    plan = plan_clone(shop, NAMES, CloneOptions("shop-pg18"), ())
    caller: Any = Caller("arn:aws:iam::123456789012:root")
    (check,) = permission_checks(lambda _service: caller, shop, NAMES, "shop-pg18", plan, None)
    assert check.status == "warning"
    assert check.evidence.startswith("the permissions of arn:aws:iam::123456789012:root cannot be simulated")


def test_a_policy_has_no_statement_for_what_is_not_there() -> None:
    places = {name: () for need in NEEDS for one in need.resources for name in _placeholders(one)}
    assert [one["Sid"] for one in policy(places)["Statement"]] == ["Read"]


def _placeholders(resource: Resource) -> list[str]:
    return [part.partition("}")[0] for part in resource.arn.split("{")[1:]]
