# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Guardrails of Neptune on the control plane: each with the sentence of AWS's own solution, what was found and what to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._aws import readiness_neptune as rules
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.clusters import Cluster, cluster_of
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.parameter_groups import CLUSTER, Group

from .conftest import cluster_shape, instance_shape, member_shape

OWN = Group(CLUSTER, "shop-blue", "neptune1.2", "arn")
DEFAULT = Group(CLUSTER, "default.neptune1.2", "neptune1.2", "arn")
STREAMS = "Streams should be enabled on the source cluster for blue/green deployment."
SYNC = "Blue/green deployment requires instances to be in sync with the DB cluster parameter group."


@pytest.mark.parametrize(
    ("group", "values", "status", "found", "remedy"),
    [
        (OWN, {"neptune_streams": "1"}, "ok", "is 1 in shop-blue", ""),
        (OWN, {"neptune_streams": "0"}, "failed", "neptune_streams is 0 in shop-blue", "ParameterValue=1"),
        (OWN, {}, "failed", "is not set in shop-blue", "then reboot every instance"),
        (DEFAULT, {}, "failed", "cannot be modified", "create-db-cluster-parameter-group"),
    ],
)
def test_streams_must_be_on_in_the_parameter_group(
    blue: Callable[..., Cluster], group: Group, values: dict[str, str], status: str, found: str, remedy: str
) -> None:
    check = rules.streams("blue", blue(Engine="neptune"), group, values)
    assert (check.id, check.status) == ("aws_blue_streams_parameter", status)
    assert found in check.evidence and remedy in check.remedy
    assert check.evidence.startswith(STREAMS) is (status == "failed")


@pytest.mark.parametrize(
    ("days", "status"), [(None, "ok"), ("7", "ok"), ("3", "ok"), ("2", "warning"), ("1", "warning")]
)
def test_the_stream_must_outlast_the_upgrade(days: str | None, status: str) -> None:
    values = {"neptune_streams_expiry_days": days} if days else {}
    check = rules.expiry("blue", OWN, values)
    assert check.status == status
    assert ("neptune_streams_expiry_days" in check.remedy) is (status == "warning")


def cluster(states: dict[str, str], sync: str = "in-sync") -> Cluster:
    members = [member_shape(name, writer=name == "shop-1") for name in states]
    members[-1]["DBClusterParameterGroupStatus"] = sync
    shapes: list[Any] = [instance_shape(name, DBInstanceStatus=state) for name, state in states.items()]
    return cluster_of(cluster_shape("shop", members, Engine="neptune"), shapes)


def test_every_instance_must_be_available() -> None:
    assert rules.instances("blue", cluster({"shop-1": "available", "shop-2": "available"})).status == "ok"
    check = rules.instances("blue", cluster({"shop-1": "available", "shop-2": "rebooting"}))
    assert (check.status, "shop-2 is rebooting" in check.evidence) == ("failed", True)
    assert check.remedy.endswith("--db-instance-identifier shop-2")


def test_every_instance_must_be_in_sync() -> None:
    both = {"shop-1": "available", "shop-2": "available"}
    assert rules.in_sync("blue", cluster(both)).status == "ok"
    check = rules.in_sync("blue", cluster(both, "pending-reboot"))
    assert (check.status, check.evidence) == ("failed", f"{SYNC} Found on blue: shop-2 is pending-reboot")
    assert check.remedy == "aws neptune reboot-db-instance --db-instance-identifier shop-2"


@pytest.mark.parametrize(
    ("service", "state", "status"),
    [
        ("com.amazonaws.eu-central-1.dynamodb", "available", "ok"),
        ("com.amazonaws.eu-central-1.dynamodb", "pending", "warning"),
        ("com.amazonaws.eu-central-1.s3", "available", "warning"),
    ],
)
def test_dynamodb_is_reached_from_blues_network(service: str, state: str, status: str) -> None:
    found = [{"ServiceName": service, "State": state, "VpcEndpointId": "vpce-1"}]
    check = rules.dynamodb_endpoint("eu-central-1", "vpc-1", found)
    assert check.status == status
    assert ("create-vpc-endpoint --vpc-id vpc-1" in check.remedy) is (status == "warning")
