# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The states of neptune_streams_replication on a blue, its clone and their streams: what is applied, once and for all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.endpoint import Endpoint
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.connection import Client
from tests.integration.conftest import RunModule
from tests.integration.neptune.conftest import NeptuneLab, endpoint, login
from tests.lab.lab import Blue, Lab

MODULE = "neptune_streams_replication"


@dataclass
class Graph:
    """A deployment: a blue, its green as soon as it is cloned, and the module run on both."""

    neptune: NeptuneLab
    run_module: RunModule
    source: Blue
    deployment_id: str
    graph_type: str
    green: Endpoint | None = None

    @property
    def blue(self) -> Endpoint:
        return endpoint(self.neptune.lab, self.source)

    @property
    def options(self) -> dict[str, Any]:
        sides = {"blue": login(self.blue), **({"green": login(self.green)} if self.green else {})}
        return {
            "deployment_id": self.deployment_id,
            "graph_type": self.graph_type,
            "source_db_cluster_identifier": self.source.cluster,
            "wait_timeout": 30,
            "wait_delay": 0.1,
            **sides,
        }

    def run(self, state: str, **more: Any) -> dict[str, Any]:
        return self.run_module(MODULE, state=state, **{**self.options, **more})

    def clone(self) -> None:
        self.green = self.neptune.clone(self.source, self.deployment_id)

    def write(self, first: int, count: int) -> None:
        """Write so many elements on blue, a transaction each."""
        with closing(Client(self.blue)) as client:
            for number in range(first, first + count):
                if self.graph_type == "rdf":
                    client.sparql_update(f'INSERT DATA {{ <urn:x:{number}> <urn:x:name> "it\'s {number}" }}')
                else:
                    client.gremlin(f"g.addV('Person').property(id,'p{number}').property('age',{number})")

    def content(self, side: Endpoint | None) -> list[Any]:
        assert side is not None
        with closing(Client(side)) as client:
            if self.graph_type == "rdf":
                found = client.sparql_query("SELECT ?g ?s ?p ?o { { ?s ?p ?o } UNION { GRAPH ?g { ?s ?p ?o } } }")
                return sorted(map(str, found["results"]["bindings"]))
            vertices = client.gremlin("g.V().valueMap(true)")
            return sorted(map(str, vertices["@value"] if isinstance(vertices, dict) else vertices))

    def alike(self) -> bool:
        return self.content(self.blue) == self.content(self.green)


@pytest.fixture(scope="module", params=["propertygraph", "rdf"])
def graph(neptune_lab: NeptuneLab, run_module: RunModule, request: pytest.FixtureRequest) -> Iterator[Graph]:
    """One deployment per kind of graph, for the story that the tests of this file tell in their order."""
    before = neptune_lab.lab.clusters()
    source = neptune_lab(request.param, instances=1, name=f"nsr-{request.param}")
    yield Graph(neptune_lab, run_module, source, f"nsr-{request.param[:3]}-v14", request.param)
    neptune_lab.lab.clear(before)


def test_prepared_gives_an_empty_stream_its_first_event(graph: Graph) -> None:
    foreseen = graph.run("prepared", check=True)
    result = graph.run("prepared")
    assert (
        result["actions"]
        == foreseen["actions"]
        == [
            f"write a first element on blue, urn:bluegreen:marker:{graph.deployment_id}, its stream is empty",
            f"create DynamoDB table {graph.deployment_id}-streams",
        ]
    )
    assert not graph.run("prepared")["changed"]


def test_the_position_is_the_end_of_the_clones_own_stream(graph: Graph) -> None:
    graph.write(1, 3)
    graph.clone()
    graph.write(4, 3)
    result = graph.run("positioned")
    assert result["checked"] == "event"
    assert result["replication"]["lag"]["commits"] == 3
    assert result["replication"]["position"] == result["checkpoint"]
    again = graph.run("positioned", diff=True)
    assert (again["changed"], again["diff"]["before"]) == (False, again["diff"]["after"])


def test_running_applies_what_blue_has_written_since(graph: Graph) -> None:
    assert not graph.alike()
    foreseen = graph.run("running", check=True)
    assert len(foreseen["actions"]) == 2
    result = graph.run("running", max_lag=1)
    assert result["replication"]["lag"] == {"seconds": 0.0, "commits": 0}
    assert (result["replication"]["running"], result["serving"]) == (True, "blue")
    assert graph.alike()
    assert not graph.run("running")["changed"]
    graph.write(7, 2)
    assert graph.run("running")["actions"][0].startswith("apply ")
    assert graph.alike()


def test_progress_is_told_where_aws_tells_it(graph: Graph, lab: Lab) -> None:
    group = Names.of(graph.deployment_id).log_group
    found = lab.client("logs").get_log_events(logGroupName=group, logStreamName="replication", startFromHead=True)
    lines = [event["message"] for event in found["events"]]
    assert any(line.startswith("create DynamoDB table") for line in lines)
    assert any("0 commits and 0.0 s behind" in line for line in lines)


def test_stopped_stays_and_running_goes_on(graph: Graph) -> None:
    assert graph.run("stopped")["replication"]["running"] is False
    graph.write(9, 1)
    assert not graph.run("stopped")["changed"]
    assert not graph.alike()
    graph.run("running")
    assert graph.alike()


def test_absent_leaves_nothing(graph: Graph, lab: Lab) -> None:
    result = graph.run("absent")
    assert f"delete DynamoDB table {graph.deployment_id}-streams" in result["actions"]
    assert graph.deployment_id + "-streams" not in lab.client("dynamodb").list_tables()["TableNames"]
    assert graph.alike() and "bluegreen" not in str(graph.content(graph.blue))
    assert not graph.run("absent")["changed"]
