# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Guardrails about what green is to be, and about what stands around blue."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._aws import readiness_neighbours as around
from ansible_collections.bluegreen.aws.plugins.module_utils._aws import readiness_target as target
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.clone import CloneOptions, ClonePlan, plan_clone
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.clusters import Cluster
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.upgrade import EngineVersion, Hop
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names

from .conftest import ARN

NAMES = Names.of("shop-pg18")
VERSIONS = {
    "16.14": EngineVersion("16.14", "pg16", {"17.9": True}),
    "17.9": EngineVersion("17.9", "pg17", {"18.4": True}),
    "18.4": EngineVersion("18.4", "pg18", {}),
    "18.9": EngineVersion("18.9", "pg18", {}),
}
HOPS = (Hop("17.9", "pg17", True), Hop("18.4", "pg18", True))
Blue = Callable[..., Cluster]


def planned(blue: Cluster, instances: Any = "mirror") -> ClonePlan:
    """The plan of green."""
    return plan_clone(blue, NAMES, CloneOptions("shop-pg18", instances), ())


@pytest.mark.parametrize(
    ("wanted", "major", "status", "evidence"),
    [
        ("18.4", True, "ok", "16.14 -> 17.9 -> 18.4, parameter group family pg17, pg18"),
        (None, False, "ok", "16.14, parameter group family pg16"),
        ("18.9", True, "failed", "versions that can be reached: 17.9, 18.4"),
        ("18.4", False, "failed", "allow_major_version_upgrade is false"),
        ("17.9", True, "warning", "17.9 is deprecated"),
    ],
)
def test_the_target_must_be_reachable(wanted: str | None, major: bool, status: str, evidence: str) -> None:
    check, hops = target.target_version(VERSIONS, ["17.9"], "16.14", wanted, major)
    assert (check.id, check.status) == ("aws_target_version", status)
    assert evidence in check.evidence
    assert bool(hops) is (status != "failed" and wanted is not None)


def test_every_class_must_be_orderable_on_the_way_and_where_it_is_to_be(blue: Blue) -> None:
    plan = planned(blue(readers=1))
    here = [{"AvailabilityZones": [{"Name": "eu-central-1a"}]}]
    elsewhere = [{"AvailabilityZones": [{"Name": "eu-central-1b"}]}]
    name = "db.r7g.large"
    assert target.target_classes(plan, {("16.14", name): here, ("18.4", name): here}).status == "ok"
    check = target.target_classes(plan, {("16.14", name): here, ("18.4", name): []})
    assert check.status == "failed" and "not: db.r7g.large in 18.4" in check.evidence
    check = target.target_classes(plan, {("18.4", name): elsewhere})
    assert check.status == "failed" and "db.r7g.large in 18.4 in eu-central-1a" in check.evidence


def test_what_green_will_not_have_is_said(blue: Blue) -> None:
    assert target.clone_differences(planned(blue())).status == "ok"
    check = target.clone_differences(planned(blue(ActivityStreamStatus="started")))
    assert check.status == "warning" and "activity stream" in check.evidence


def test_an_instance_identifier_of_somebody_else_stops() -> None:
    assert target.green_identifiers({"shop-pg18-1": "shop-pg18"}, "shop-pg18").status == "ok"
    check = target.green_identifiers({"shop-pg18-1": "theirs", "shop-pg18-2": ""}, "shop-pg18")
    assert check.status == "failed"
    assert "shop-pg18-1 (in theirs), shop-pg18-2 (in no cluster)" in check.evidence


def test_a_deployment_takes_a_group_of_each_kind_for_every_family(blue: Blue, green: Blue) -> None:
    plan = planned(blue(readers=2))
    assert target.needed_of_quotas(plan, None, HOPS, "pg16", (True, False)) == {
        "DBClusters": 1,
        "DBInstances": 3,
        "DBClusterParameterGroups": 2,
        "DBParameterGroups": 0,
        "ManualClusterSnapshots": 1,
    }
    minor = (Hop("16.15", "pg16", False),)
    assert target.needed_of_quotas(plan, None, minor, "pg16", (True, True))["DBClusterParameterGroups"] == 0
    there = target.needed_of_quotas(plan, green("shop-pg18-1", "shop-pg18-2"), HOPS, "pg16", (True, True))
    assert (there["DBClusters"], there["DBInstances"]) == (0, 1)


def quota(name: str, used: int, most: int) -> dict[str, Any]:
    return {"AccountQuotaName": name, "Used": used, "Max": most}


@pytest.mark.parametrize(
    ("found", "needed", "status", "words"),
    [
        ([quota("DBClusters", 39, 40)], {"DBClusters": 1}, "ok", "DBClusters 39 of 40 (+1)"),
        ([quota("DBClusters", 40, 40)], {"DBClusters": 1}, "failed", "DBClusters 40 of 40 used and 1 more needed"),
        ([quota("DBClusters", 40, 40)], {"DBClusters": 0}, "ok", "there is room"),
        ([quota("ManualClusterSnapshots", 100, 100)], {"ManualClusterSnapshots": 1}, "warning", "100 of 100"),
        ([], {"DBClusters": 1}, "warning", "does not tell the quotas DBClusters"),
    ],
)
def test_a_full_quota_stops_unless_it_is_needed_for_the_last_snapshot_only(
    found: list[dict[str, Any]], needed: dict[str, int], status: str, words: str
) -> None:
    check = target.quotas(found, needed)
    assert check.status == status and words in check.evidence
    assert ("L-952B80B8" in check.remedy) is (status == "failed")


TRACKED = {"RdsResourceId": "shop", "Type": "TRACKED_CLUSTER"}


@pytest.mark.parametrize(
    ("host", "targets", "status", "words"),
    [
        ("shop.host", [], "ok", "no RDS Proxy"),
        ("shop.host", [{"TrackedClusterId": "other", "RdsResourceId": "other-1"}], "ok", "no RDS Proxy"),
        ("shop.host", [TRACKED], "warning", "front stands in front of shop"),
        ("shop.host", [{"RdsResourceId": "shop-1", "Type": "RDS_INSTANCE"}], "warning", "front"),
        ("front.proxy", [], "failed", "takes no replication"),
    ],
)
def test_a_proxy_in_front_of_blue_is_found_and_replication_goes_past_it(
    blue: Blue, host: str, targets: list[dict[str, Any]], status: str, words: str
) -> None:
    proxy = {"DBProxyName": "front", "Endpoint": "front.proxy"}
    check = around.proxies(blue(), "shop-pg18", host, [(proxy, targets)])
    assert check.status == status and words in check.evidence
    if status == "warning":
        assert "register-db-proxy-targets --db-proxy-name front --db-cluster-identifiers shop-pg18" in check.remedy


@pytest.mark.parametrize(
    ("deployment", "status"),
    [
        ({"Source": f"{ARN}:cluster:shop", "Status": "AVAILABLE"}, "failed"),
        ({"Target": f"{ARN}:cluster:shop", "Status": "PROVISIONING"}, "failed"),
        ({"Source": f"{ARN}:cluster:shop", "Status": "SWITCHOVER_COMPLETED"}, "warning"),
        ({"Source": f"{ARN}:cluster:other", "Status": "AVAILABLE"}, "ok"),
    ],
)
def test_a_deployment_that_rds_manages_stops(blue: Blue, deployment: dict[str, Any], status: str) -> None:
    check = around.managed_blue_green(blue(), [{"BlueGreenDeploymentIdentifier": "bgd-1", **deployment}])
    assert check.status == status
    assert ("bgd-1" in check.remedy) is (status != "ok")


def test_an_integration_that_reads_from_blue_is_named(blue: Blue) -> None:
    reads = {"IntegrationName": "to-redshift", "SourceArn": f"{ARN}:cluster:shop", "Status": "active"}
    assert "to-redshift (active)" in around.integrations(blue(), [reads]).evidence
    assert around.integrations(blue(), [{**reads, "SourceArn": f"{ARN}:cluster:other"}]).status == "ok"


def rule(**more: Any) -> dict[str, Any]:
    return {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, **more}


@pytest.mark.parametrize(
    ("rules", "status"),
    [
        ([rule(UserIdGroupPairs=[{"GroupId": "sg-1"}])], "ok"),
        ([{"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": "sg-1"}]}], "ok"),
        ([rule(UserIdGroupPairs=[{"GroupId": "sg-other"}])], "failed"),
        ([rule(FromPort=80, ToPort=443, UserIdGroupPairs=[{"GroupId": "sg-1"}])], "failed"),
        ([rule(IpProtocol="udp", UserIdGroupPairs=[{"GroupId": "sg-1"}])], "failed"),
        ([rule(FromPort=5000, ToPort=6000, IpRanges=[{"CidrIp": "10.0.0.0/16"}])], "warning"),
        ([rule(PrefixListIds=[{"PrefixListId": "pl-1"}])], "warning"),
        ([], "failed"),
    ],
)
def test_the_security_groups_must_let_blue_and_green_reach_each_other(
    blue: Blue, rules: list[dict[str, Any]], status: str
) -> None:
    found = blue(Port=5432, VpcSecurityGroups=[{"VpcSecurityGroupId": "sg-1"}])
    check = around.security_groups(found, [{"GroupId": "sg-1", "IpPermissions": rules}])
    assert check.status == status
    assert status == "ok" or "--group-id sg-1 --protocol tcp --port 5432 --source-group sg-1" in check.remedy
