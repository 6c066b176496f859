# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is derived for a runner on AWS, and the function's template: pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from ansible_collections.bluegreen.aws.plugins.module_utils._aws.clusters import Cluster
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.replication_stack import (
    Network,
    Settings,
    published_parameters,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.streams_template import PARAMETERS, function_template

NETWORK = Network("vpc-1", ("subnet-1", "subnet-2"), ("sg-1",))
SETTINGS = Settings("propertygraph", 8, 200, 50_000, "stop", 60, {"blue": True, "green": False})


def parameters(blue: Cluster, green: Cluster, settings: Settings = SETTINGS, *present: str) -> dict[str, str]:
    return published_parameters(
        blue,
        green,
        NETWORK,
        settings,
        application="shop-v14-forward",
        start="1132:200",
        region="eu-central-1",
        present=frozenset(present),
        routes=("rtb-1",),
    )


def clusters(blue: Callable[..., Cluster], green: Callable[..., Cluster]) -> tuple[Cluster, Cluster]:
    return (
        blue(Endpoint="blue.example", Port=8182, DbClusterResourceId="cluster-B"),
        green("shop-v14-1", Endpoint="green.example", Port=8283, DbClusterResourceId="cluster-G"),
    )


def test_the_parameters_of_the_published_template_are_derived_from_the_clusters(
    blue: Callable[..., Cluster], green: Callable[..., Cluster]
) -> None:
    found = parameters(*clusters(blue, green))
    assert found == {
        "ApplicationName": "shop-v14-forward",
        "VPC": "vpc-1",
        "SubnetIDs": "subnet-1,subnet-2",
        "SecurityGroupIds": "sg-1",
        "RouteTableIds": "rtb-1",
        "CreateDDBVPCEndPoint": "true",
        "CreateMonitoringEndPoint": "true",
        "NeptuneStreamEndpoint": "https://blue.example:8182/propertygraph/stream",
        "NeptuneQueryEngine": "Gremlin",
        "IAMAuthEnabledOnSourceStream": "true",
        "StreamDBClusterResourceId": "cluster-B",
        "TargetNeptuneClusterEndpoint": "green.example",
        "TargetNeptuneClusterPort": "8283",
        "IAMAuthEnabledOnTargetCluster": "false",
        "TargetAWSRegion": "eu-central-1",
        "TargetNeptuneDBClusterResourceId": "cluster-G",
        "TargetSPARQLUpdateEndpoint": "",
        "BlockSparqlReplicationOnBlankNode": "true",
        "StreamRecordsBatchSize": "10000",
        "StartingCheckpoint": "1132:200",
        "StreamPollerInitialState": "ENABLED",
    }


def test_an_rdf_graph_is_written_by_sparql_and_what_the_network_has_is_not_made_again(
    blue: Callable[..., Cluster], green: Callable[..., Cluster]
) -> None:
    rdf = replace(SETTINGS, graph_type="rdf", blank_nodes="allow", page_size=500)
    found = parameters(*clusters(blue, green), rdf, "dynamodb", "monitoring")
    assert found["NeptuneStreamEndpoint"] == "https://blue.example:8182/sparql/stream"
    assert found["TargetSPARQLUpdateEndpoint"] == "https://green.example:8283/sparql"
    assert (found["NeptuneQueryEngine"], found["BlockSparqlReplicationOnBlankNode"]) == ("SPARQL", "false")
    assert (found["CreateDDBVPCEndPoint"], found["CreateMonitoringEndPoint"]) == ("false", "false")
    assert found["StreamRecordsBatchSize"] == "500"


def test_the_functions_template_refers_to_what_it_has() -> None:
    template = function_template()
    names = set(template["Parameters"]) | set(template["Resources"])
    refs = {ref for ref in _references(template) if not ref.startswith("AWS::")}
    assert refs <= names
    assert set(PARAMETERS) <= refs | {"BlueResourceId", "GreenResourceId", "CheckpointTable"}


def test_the_function_runs_once_at_a_time_and_no_start_waits() -> None:
    resources = function_template()["Resources"]
    assert resources["Function"]["Properties"]["ReservedConcurrentExecutions"] == 1
    assert resources["NoRetry"]["Properties"]["MaximumRetryAttempts"] == 0


def test_its_role_may_touch_its_table_and_both_clusters_only() -> None:
    policy = function_template()["Resources"]["Role"]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    resources = [str(statement["Resource"]) for statement in policy]
    assert all("*'" not in resource or "ResourceId}/*" in resource for resource in resources)
    assert not any(action.endswith("*") for statement in policy for action in statement["Action"])


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "Ref" in node:
            yield node["Ref"]
        if "Fn::GetAtt" in node:
            yield node["Fn::GetAtt"][0]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)
