# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is never taken apart: a global database of somebody else, of another Region, or with strangers in it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.stub import Stubber

from ansible_collections.bluegreen.aws.plugins.module_utils._aws.api import Api
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.clusters import Cluster
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.global_clusters import Regions
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.global_removal import Dissolution, dissolve
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.ownership import ownership_tags
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.waiters import Waits
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.journal import Journal
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names

MakeCluster = Callable[..., Cluster]
Queue = Callable[..., None]
Shape = dict[str, Any]

HOME, AWAY = "eu-central-1", "eu-west-1"


def arn(cluster: str, region: str = HOME) -> str:
    return f"arn:aws:rds:{region}:123456789012:cluster:{cluster}"


def world(*members: str, **tags: str) -> Shape:
    """A global cluster of the deployment, the first of its members the primary."""
    every = {**ownership_tags("shop-pg18"), **tags}
    return {
        "GlobalClusterIdentifier": "shop-pg18-global",
        "GlobalClusterArn": "arn:aws:rds::123456789012:global-cluster:shop-pg18-global",
        "Status": "available",
        "TagList": [{"Key": key, "Value": value} for key, value in every.items()],
        "GlobalClusterMembers": [
            {"DBClusterArn": member, "IsWriter": number == 0} for number, member in enumerate(members)
        ],
    }


def refused(api: Api) -> str:
    request = Dissolution("shop-pg18-global", "shop-pg18", None, (), None, True, True, Waits(1, 0.01))
    journal = Journal(check_mode=False)
    with pytest.raises(BlueGreenError) as caught:
        dissolve(Regions(HOME, lambda _region: api), Names.of("shop-pg18"), request, journal)
    assert journal.actions == []
    return caught.value.message


def test_a_global_cluster_without_the_deployments_tags_is_left_alone(
    api: Api, stubber: Stubber, answer_cluster: Queue, green: MakeCluster
) -> None:
    found = world(arn("shop-pg18"), **{"bluegreen:deployment-id": "another"})
    stubber.add_response("describe_global_clusters", {"GlobalClusters": [found]})
    answer_cluster(green("shop-pg18-1").description)
    assert "so it is left alone: check global_cluster_identifier" in refused(api)


def test_one_of_the_same_deployment_id_in_another_region_is_left_alone(
    api: Api, stubber: Stubber, answer_cluster: Queue, green: MakeCluster
) -> None:
    found = world(arn("shop-pg18", AWAY), arn("shop-pg18-eu-central-1"))
    stubber.add_response("describe_global_clusters", {"GlobalClusters": [found]})
    answer_cluster(green("shop-pg18-1").description)
    assert f"its primary is shop-pg18 in {AWAY} and not shop-pg18, so it is left alone" in refused(api)


def test_a_member_that_the_deployment_did_not_make_stops_the_removal(
    api: Api, stubber: Stubber, answer_cluster: Queue, green: MakeCluster
) -> None:
    found = world(arn("shop-pg18"), arn("stranger", AWAY))
    stubber.add_response("describe_global_clusters", {"GlobalClusters": [found]})
    answer_cluster(green("shop-pg18-1").description)
    stubber.add_response("describe_global_clusters", {"GlobalClusters": [found]})
    stubber.add_response("describe_db_clusters", {"DBClusters": []})
    assert f"did not make its members stranger in {AWAY}: remove them from it first" in refused(api)
