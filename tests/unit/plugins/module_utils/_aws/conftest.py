# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Descriptions in the shape of the RDS API, and a stubbed client behind our door."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from ansible_collections.amazon.aws.plugins.module_utils.retries import AWSRetry
from botocore.stub import Stubber

from ansible_collections.bluegreen.aws.plugins.module_utils._aws.api import Api
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.clusters import Cluster, cluster_of
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.ownership import ownership_tags

Shape = dict[str, Any]
ARN = "arn:aws:rds:eu-central-1:123456789012"


def tag_list(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def instance_shape(identifier: str, cluster: str = "shop", **fields: Any) -> Shape:
    return {
        "DBInstanceIdentifier": identifier,
        "DBInstanceArn": f"{ARN}:db:{identifier}",
        "DBClusterIdentifier": cluster,
        "DBInstanceStatus": "available",
        "DBInstanceClass": "db.r7g.large",
        "Engine": "aurora-postgresql",
        "EngineVersion": "16.14",
        "AvailabilityZone": "eu-central-1a",
        "PromotionTier": 1,
        "DBParameterGroups": [{"DBParameterGroupName": "shop-instance", "ParameterApplyStatus": "in-sync"}],
        **fields,
    }


def cluster_shape(identifier: str, members: list[Shape], **fields: Any) -> Shape:
    return {
        "DBClusterIdentifier": identifier,
        "DBClusterArn": f"{ARN}:cluster:{identifier}",
        "Status": "available",
        "Engine": "aurora-postgresql",
        "EngineVersion": "16.14",
        "DBClusterParameterGroup": "shop-blue",
        "DBClusterMembers": members,
        **fields,
    }


def member_shape(identifier: str, writer: bool = False, status: str = "in-sync", tier: int = 1) -> Shape:
    return {
        "DBInstanceIdentifier": identifier,
        "IsClusterWriter": writer,
        "DBClusterParameterGroupStatus": status,
        "PromotionTier": tier,
    }


@pytest.fixture
def blue() -> Callable[..., Cluster]:
    """Make blue with one writer and the given number of readers."""

    def make(readers: int = 1, **fields: Any) -> Cluster:
        names = [f"shop-{number}" for number in range(1, readers + 2)]
        members = [member_shape(name, writer=name == "shop-1") for name in names]
        return cluster_of(cluster_shape("shop", members, **fields), [instance_shape(name) for name in names])

    return make


@pytest.fixture
def green() -> Callable[..., Cluster]:
    """Make a green of the deployment shop-pg18 with the given instances."""

    def make(*instances: str, **fields: Any) -> Cluster:
        members = [member_shape(name, writer=name == instances[0]) for name in instances]
        tags = tag_list(ownership_tags("shop-pg18"))
        description = cluster_shape("shop-pg18", members, **{"TagList": tags, **fields})
        return cluster_of(description, [instance_shape(name, "shop-pg18") for name in instances])

    return make


@pytest.fixture
def stubber() -> Iterator[Stubber]:
    """A client that answers what a test queues, and fails the test when an answer is left over."""
    client = boto3.client(
        "rds", region_name="eu-central-1", aws_access_key_id="AKIATESTTESTTEST1234", aws_secret_access_key="t" * 40
    )
    with Stubber(client) as stub:
        yield stub
        stub.assert_no_pending_responses()


@pytest.fixture
def api(stubber: Stubber) -> Api:
    """The stubbed client behind our door; it gives up after three throttled tries."""
    retry = AWSRetry.jittered_backoff(retries=3, delay=0.001, catch_extra_error_codes=["ThrottlingException"])
    return Api(stubber.client, retry)


@pytest.fixture
def answer_cluster(stubber: Stubber) -> Callable[..., None]:
    """Queue the two answers that one look at a cluster takes."""

    def queue(description: Shape | None, *instances: Shape) -> None:
        if description is None:
            stubber.add_client_error("describe_db_clusters", "DBClusterNotFoundFault", "DBCluster not found")
            return
        stubber.add_response("describe_db_clusters", {"DBClusters": [description]})
        stubber.add_response("describe_db_instances", {"DBInstances": list(instances)})

    return queue
