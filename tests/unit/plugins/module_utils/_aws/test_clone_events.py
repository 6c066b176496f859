# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the service says about a MySQL clone, and when it says nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.stub import ANY, Stubber

from ansible_collections.bluegreen.aws.plugins.module_utils._aws.api import Api
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.clone_events import Told, reported_position
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError

from .conftest import cluster_shape, instance_shape

BORN = datetime.now(UTC) - timedelta(hours=1)


def answers(stubber: Stubber, parameters: list[dict[str, Any]]) -> None:
    members = [{"DBInstanceIdentifier": "g1", "IsClusterWriter": True}]
    cluster = cluster_shape(
        "green",
        [],
        ClusterCreateTime=BORN,
        DBClusterMembers=members,
        EngineVersion="8.0.mysql_aurora.3.10.0",
        DBClusterParameterGroup="green-group",
    )
    event = {"Date": BORN, "Message": "Binlog position from crash recovery is mysql-bin-changelog.000003 99358949"}
    stubber.add_response("describe_db_clusters", {"DBClusters": [cluster]}, {"DBClusterIdentifier": "green"})
    stubber.add_response("describe_db_instances", {"DBInstances": [instance_shape("g1", "green")]})
    stubber.add_response("describe_db_clusters", {"DBClusters": [cluster]})
    stubber.add_response("describe_db_instances", {"DBInstances": [instance_shape("g1", "green")]})
    stubber.add_response(
        "describe_events",
        {"Events": [event]},
        {"SourceType": "db-instance", "SourceIdentifier": "g1", "Duration": ANY},
    )
    stubber.add_response(
        "describe_db_cluster_parameters",
        {"Parameters": parameters},
        {"DBClusterParameterGroupName": "green-group", "Source": "user"},
    )


@pytest.mark.parametrize("value", ["0", "1"])
def test_the_position_is_told_with_what_its_truth_depends_on(stubber: Stubber, api: Api, value: str) -> None:
    answers(stubber, [{"ParameterName": "aurora_enhanced_binlog", "ParameterValue": value}])
    told = reported_position(api, "green")
    assert told == Told("mysql-bin-changelog.000003 99358949", "8.0.mysql_aurora.3.10.0", value == "1")


def test_a_cluster_that_is_not_there_is_refused(stubber: Stubber, api: Api) -> None:
    stubber.add_client_error("describe_db_clusters", "DBClusterNotFoundFault")
    with pytest.raises(BlueGreenError, match="in the events of DB cluster elsewhere, but there is no such cluster"):
        reported_position(api, "elsewhere")
