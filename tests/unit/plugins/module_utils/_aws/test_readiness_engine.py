# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Guardrails that depend on the engine: what each says of a description."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._aws import readiness_cluster, readiness_target
from ansible_collections.bluegreen.aws.plugins.module_utils._aws import readiness_engine as rules
from ansible_collections.bluegreen.aws.plugins.module_utils._aws import readiness_neighbours as around
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.clone import ClonePlan
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.clusters import Cluster
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.parameter_groups import CLUSTER, Group
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.upgrade import Hop

MYSQL, POSTGRESQL = "aurora-mysql", "aurora-postgresql"
OWN = Group(CLUSTER, "shop-blue", "f", "arn")


@pytest.mark.parametrize(
    ("engine", "group", "values", "status", "words"),
    [
        (POSTGRESQL, OWN, {"rds.logical_replication": "1"}, "ok", "is 1 in shop-blue"),
        (POSTGRESQL, OWN, {"rds.logical_replication": "0"}, "failed", "shop-blue, but is 0"),
        (POSTGRESQL, OWN, {}, "failed", "shop-blue, but is not set"),
        (
            POSTGRESQL,
            Group(CLUSTER, "default.aurora-postgresql16", "f", "arn"),
            {},
            "failed",
            "logical replication needs",
        ),
        (MYSQL, OWN, {"binlog_format": "ROW"}, "ok", "binlog_format is ROW in shop-blue"),
        (MYSQL, OWN, {"binlog_format": "row"}, "ok", "binlog_format is row"),
        (MYSQL, OWN, {"binlog_format": "MIXED"}, "warning", "should be ROW"),
        (MYSQL, OWN, {"binlog_format": "STATEMENT"}, "failed", "must be ROW"),
        (MYSQL, OWN, {"binlog_format": "OFF"}, "failed", "but is OFF"),
        (MYSQL, OWN, {}, "failed", "but is not set"),
        (MYSQL, Group(CLUSTER, "default.aurora-mysql8.0", "f", "arn"), {}, "failed", "binary log replication needs"),
    ],
)
def test_the_parameter_group_must_ask_for_replication(
    blue: Callable[..., Cluster], engine: str, group: Group, values: dict[str, str], status: str, words: str
) -> None:
    check = rules.parameters("blue", blue(Engine=engine), group, values)
    assert (check.id, check.status) == ("aws_blue_parameters", status)
    assert words in check.evidence
    assert ("binlog_format=ROW" in check.remedy or "ParameterValue" in check.remedy or "=1" in check.remedy) is (
        status != "ok"
    )


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"Engine": MYSQL}, "ok", "provisioned cluster of aurora-mysql"),
        ({"Engine": POSTGRESQL}, "failed", "should be a cluster of aurora-mysql, but its engine is aurora-postgresql"),
        ({"Engine": MYSQL, "EngineMode": "serverless"}, "failed", "has no binary log replication"),
    ],
)
def test_the_engine_is_the_one_that_was_said(
    blue: Callable[..., Cluster], fields: dict[str, str], status: str, words: str
) -> None:
    check = rules.engine(blue(**fields), MYSQL)
    assert check.status == status and words in check.evidence


def test_backtrack_and_the_binary_log_exclude_each_other(blue: Callable[..., Cluster]) -> None:
    assert rules.backtrack(blue(BacktrackWindow=3600)) == []
    (check,) = rules.backtrack(blue(Engine=MYSQL, BacktrackWindow=3600))
    assert check.status == "failed" and "--backtrack-window 0" in check.remedy
    assert [one.status for one in rules.backtrack(blue(Engine=MYSQL))] == ["ok"]


@pytest.mark.parametrize(
    ("group", "status"), [("shop-84-g", "ok"), ("shop-blue", "failed"), ("default.aurora-mysql8.4", "failed")]
)
def test_green_s_parameters_are_not_blue_s(blue: Callable[..., Cluster], group: str, status: str) -> None:
    (check,) = rules.own_group(blue(Engine=MYSQL), blue(Engine=MYSQL, DBClusterParameterGroup=group))
    assert check.status == status
    assert rules.own_group(blue(), blue()) == []


@pytest.mark.parametrize(("own", "needed"), [(False, 0), (True, 2)])
def test_a_group_of_green_s_own_takes_from_the_quota(own: bool, needed: int) -> None:
    plan = ClonePlan({}, {}, (), (), ())
    found = readiness_target.needed_of_quotas(
        plan, None, [Hop("8.4", "new", True)], "old", (False, False), own_group=own
    )
    assert found["DBClusterParameterGroups"] == needed


def test_no_sentence_about_mysql_has_words_of_postgresql(blue: Callable[..., Cluster]) -> None:
    secret = {"MasterUserSecret": {"SecretArn": "arn:secret", "SecretStatus": "active"}}
    found = blue(Engine=MYSQL, **secret)
    checks = [
        rules.engine(found, POSTGRESQL),
        rules.parameters("blue", found, OWN, {}),
        readiness_cluster.master_password(found),
        readiness_cluster.version(found, "8.4.mysql_aurora.8.4.8"),
    ]
    said = " ".join(f"{check.evidence} {check.remedy} {check.docs}" for check in checks[1:])
    assert "postgres" not in said.lower() and "rds_superuser" not in said


def _group(identifier: str, *sources: str, ranges: Sequence[str] = ()) -> dict[str, Any]:
    rule = {
        "IpProtocol": "tcp",
        "FromPort": 3306,
        "ToPort": 3306,
        "UserIdGroupPairs": [{"GroupId": one} for one in sources],
        "IpRanges": [{"CidrIp": one} for one in ranges],
    }
    return {"GroupId": identifier, "IpPermissions": [rule] if sources or ranges else []}


@pytest.mark.parametrize(
    ("groups", "status", "remedy"),
    [
        ([_group("sg-b", "sg-g"), _group("sg-g", "sg-b")], "ok", ""),
        (
            [_group("sg-b", "sg-g"), _group("sg-g")],
            "failed",
            "--group-id sg-g --protocol tcp --port 3306 --source-group sg-b",
        ),
        (
            [_group("sg-b", "sg-b"), _group("sg-g", "sg-b")],
            "failed",
            "--group-id sg-b --protocol tcp --port 3306 --source-group sg-g",
        ),
        ([_group("sg-b", ranges=["10.0.0.0/8"]), _group("sg-g", "sg-b")], "warning", "--group-id sg-b"),
    ],
)
def test_two_sides_with_groups_of_their_own_must_let_each_other_in(
    blue: Callable[..., Cluster], groups: list[dict[str, Any]], status: str, remedy: str
) -> None:
    found = blue(Engine=MYSQL, Port=3306, VpcSecurityGroups=[{"VpcSecurityGroupId": "sg-b"}])
    check = around.security_groups(found, groups, ["sg-g"])
    assert check.status == status and remedy in check.remedy
