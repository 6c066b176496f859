# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Policies that let applications at blue's data: which have to be given for green too, and how."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import boto3
import pytest
from botocore.stub import Stubber

from ansible_collections.bluegreen.aws.plugins.module_utils._aws.api import Api
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.clusters import Cluster
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.iam_policies import (
    Behind,
    Policy,
    data_arn,
    read_policies,
    statements_behind,
)

DATA = "arn:aws:neptune-db:eu-central-1:123456789012"
BLUE, GREEN = f"{DATA}:cluster-BLUEBLUE", f"{DATA}:cluster-GREENGREEN"
Statement = dict[str, Any]


def allow(*resources: str, **more: Any) -> Statement:
    named = resources[0] if len(resources) == 1 else list(resources)
    return {"Effect": "Allow", "Action": "neptune-db:*", "Resource": named, **more}


def behind(*statements: Statement) -> list[Behind]:
    return statements_behind([Policy("p", ("role app",), statements)], BLUE, GREEN)


def test_the_data_of_a_cluster_is_named_by_its_resource_id(blue: Callable[..., Cluster]) -> None:
    assert data_arn(blue(DbClusterResourceId="cluster-BLUEBLUE")) == BLUE


@pytest.mark.parametrize("rest", ["/*", "/database"])
def test_green_needs_the_same_statement_with_its_own_id(rest: str) -> None:
    condition = {"StringEquals": {"neptune-db:QueryLanguage": "Gremlin"}}
    mine = allow(BLUE + rest, "arn:aws:neptune-db:*:*:cluster-OTHER/*", Sid="App", Condition=condition)
    (found,) = behind(mine)
    assert (found.policy, found.attached_to, found.statement) == ("p", ("role app",), mine)
    assert found.needed == allow(GREEN + rest, Condition=condition)


@pytest.mark.parametrize(
    ("resource", "needed"),
    [
        ("arn:aws:neptune-db:*:*:cluster-BLUE*/*", f"{GREEN}/*"),
        ("arn:aws:neptune-db:*:${aws:PrincipalAccount}:cluster-BLUEBLUE/*", None),
        (f"{DATA}:cluster-????BLUE/*", f"{GREEN}/*"),
    ],
)
def test_a_pattern_that_fits_blue_only_is_found_too(resource: str, needed: str | None) -> None:
    (found,) = behind(allow(resource))
    assert found.needed["Resource"] == (needed or resource.replace("BLUEBLUE", "GREENGREEN"))


@pytest.mark.parametrize(
    "statement",
    [
        allow("*"),
        allow(f"{DATA}:*/*"),
        allow(f"{DATA}:cluster-*"),
        allow(f"{BLUE}/*", f"{GREEN}/*"),
        allow(f"{DATA}:cluster-OTHER/*"),
        allow(f"{GREEN}/*"),
        allow("arn:aws:rds:eu-central-1:123456789012:cluster:graph", Action="rds:*"),
        allow("*", Action="neptune-db:connect"),
        {"Effect": "Allow", "Action": "s3:*", "NotResource": f"{BLUE}/*"},
    ],
)
def test_what_holds_for_both_or_for_neither_is_left_alone(statement: Statement) -> None:
    assert behind(statement) == []


def test_a_policy_that_has_the_statement_for_green_already_is_done() -> None:
    mine, twin = allow(f"{BLUE}/*"), allow(f"{GREEN}/*", Action=["NEPTUNE-DB:*"], Sid="Green")
    assert behind(mine, twin) == []
    assert len(behind(mine, {**twin, "Effect": "Deny"})) == 1
    assert len(behind(mine, {**twin, "Action": "neptune-db:ReadDataViaQuery"})) == 1


def test_a_denial_of_everything_but_blue_exempts_green_too() -> None:
    mine = {"Effect": "Deny", "Action": "neptune-db:*", "NotResource": [f"{BLUE}/*"]}
    (found,) = behind(mine)
    assert found.needed == {**mine, "NotResource": [f"{BLUE}/*", f"{GREEN}/*"]}


@pytest.mark.parametrize("action", ["neptune-db:ReadDataViaQuery", "*", ["s3:Get*", "neptune*:*"]])
def test_the_actions_may_be_any_that_include_its_data(action: Any) -> None:
    (found,) = behind(allow(f"{BLUE}/*", Action=action))
    assert found.needed["Action"] == action


@pytest.fixture
def iam() -> Iterator[Stubber]:
    """A client of IAM that answers what the test queues."""
    client = boto3.client(
        "iam", region_name="eu-central-1", aws_access_key_id="AKIATESTTESTTEST1234", aws_secret_access_key="t" * 40
    )
    with Stubber(client) as stub:
        yield stub
        stub.assert_no_pending_responses()


@pytest.fixture
def iam_api(iam: Stubber) -> Api:
    """It behind our door."""
    return Api(iam.client)


def test_every_kind_of_policy_is_read_with_who_has_it(iam: Stubber, iam_api: Api) -> None:
    document = {"Version": "2012-10-17", "Statement": allow(f"{BLUE}/*")}
    managed = "arn:aws:iam::123456789012:policy/graph"

    def answer(kind: str, key: str, items: list[dict[str, Any]]) -> None:
        iam.add_response("get_account_authorization_details", {key: items}, {"Filter": [kind]})

    def inline() -> list[dict[str, Any]]:
        return [{"PolicyName": "own", "PolicyDocument": quote(json.dumps(document))}]

    attached = [{"PolicyName": "graph", "PolicyArn": managed}]
    answer("User", "UserDetailList", [{"UserName": "ann", "UserPolicyList": inline()}])
    answer("Group", "GroupDetailList", [{"GroupName": "team", "AttachedManagedPolicies": attached}])
    answer(
        "Role",
        "RoleDetailList",
        [{"RoleName": "app", "RolePolicyList": inline(), "AttachedManagedPolicies": attached}],
    )
    versions = [
        {"VersionId": "v1", "IsDefaultVersion": False, "Document": quote(json.dumps({"Statement": []}))},
        {"VersionId": "v2", "IsDefaultVersion": True, "Document": quote(json.dumps(document))},
    ]
    answer("LocalManagedPolicy", "Policies", [{"Arn": managed, "PolicyVersionList": versions}])
    found = read_policies(iam_api)
    assert [(one.name, one.attached_to) for one in found] == [
        ("inline policy own of user ann", ("user ann",)),
        ("inline policy own of role app", ("role app",)),
        (managed, ("group team", "role app")),
    ]
    assert {one.statements[0]["Resource"] for one in found} == {f"{BLUE}/*"}
