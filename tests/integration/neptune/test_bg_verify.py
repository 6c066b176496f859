# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Proof that two Neptune clusters hold the same graph: under load, with faults that replication does not see, both ways."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._neptune import marker
from tests.integration.conftest import ModuleFailed, RunModule
from tests.integration.neptune.deployed import Clusters, Deployment, deploy, writers
from tests.lab.lab import Lab

PEOPLE = 1100  # more than a page


@pytest.fixture(scope="module")
def clusters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clusters]:
    started = Clusters(tmp_path_factory.mktemp("neptune"))
    yield started
    started.close()


@pytest.fixture(scope="module")
def graph(clusters: Clusters, lab: Lab) -> Iterator[Deployment]:
    """People who know each other, and a marker; every test leaves both sides equal."""
    made = deploy(clusters, lab)
    blue = made.clients["blue"]
    blue.cypher("UNWIND $ids AS id CREATE (:Person {`~id`: id, age: 7})", {"ids": [f"p{n:04}" for n in range(PEOPLE)]})
    blue.cypher("MATCH (n {`~id`: 'p0001'}) SET n:Staff")
    rows = [{"id": f"e{n}", "source": f"p{n:04}", "target": f"p{n + 1:04}"} for n in range(50)]
    blue.cypher(
        "UNWIND $rows AS r MATCH (a {`~id`: r.source}), (b {`~id`: r.target}) CREATE (a)-[:KNOWS {`~id`: r.id}]->(b)",
        {"rows": rows},
    )
    blue.gremlin("g.V('p0002').property(set,'mail','a').property(set,'mail','b').property(set,'size',1.5f)")
    marker.write(blue, "propertygraph", made.names.deployment_id)
    made.catch_up()
    yield made
    made.close()


@pytest.fixture(scope="module")
def triples(clusters: Clusters, lab: Lab) -> Iterator[Deployment]:
    """Two named graphs and triples that are in none."""
    made = deploy(clusters, lab, "rdf")
    lines = " ".join(f"<urn:s{n}> <urn:p> {n} ." for n in range(100))
    for name in ("urn:g1", "urn:g2"):
        made.clients["blue"].sparql_update(f"INSERT DATA {{ GRAPH <{name}> {{ {lines} }} }}")
    marker.write(made.clients["blue"], "rdf", made.names.deployment_id)
    made.catch_up()
    yield made
    made.close()


def options(deployment: Deployment, **more: Any) -> dict[str, Any]:
    """The module's options."""
    return {name: one for name, one in deployment.options(**more).items() if name != "gates"}


def table(result: dict[str, Any], name: str) -> dict[str, Any]:
    """One table of a result, by ``schema.table``."""
    (found,) = [one for one in result["tables"] if f"{one['schema']}.{one['table']}" == name]
    return dict(found)


def failure(run_module: RunModule, deployment: Deployment, **more: Any) -> ModuleFailed:
    """A verification that finds something."""
    with pytest.raises(ModuleFailed) as failed:
        run_module("bg_verify", **options(deployment, **more))
    return failed.value


def test_equal_graphs_are_proved_to_be_label_by_label(graph: Deployment, run_module: RunModule) -> None:
    result = run_module("bg_verify", **options(graph))
    assert result["verified"] and not result["changed"] and result["source"] == "blue"
    found = {f"{one['schema']}.{one['table']}": (one["blue_rows"], one["green_rows"]) for one in result["tables"]}
    assert found["vertex.Person"] == (PEOPLE - 1, PEOPLE - 1)
    assert found["vertex.Person:Staff"] == (1, 1)
    assert found["edge.KNOWS"] == (50, 50)
    assert not any("Marker" in name for name in found)


def test_a_graph_that_is_written_to_is_proved_all_the_same(graph: Deployment, run_module: RunModule) -> None:
    with writers(graph) as clients:
        time.sleep(0.2)
        result = run_module("bg_verify", **options(graph))
        assert result["verified"]
    assert len(clients.acknowledged) > 10


FAULTS = {
    "vertex.Person": ("MATCH (n {`~id`: 'p0700'}) SET n.age = 8", "MATCH (n {`~id`: 'p0700'}) SET n.age = 7"),
    "vertex.Person:Staff": ("MATCH (n {`~id`: 'p0001'}) REMOVE n:Staff", "MATCH (n {`~id`: 'p0001'}) SET n:Staff"),
    "edge.KNOWS": (
        "MATCH ()-[e {`~id`: 'e7'}]->() DELETE e",
        "MATCH (a {`~id`: 'p0007'}), (b {`~id`: 'p0008'}) CREATE (a)-[:KNOWS {`~id`: 'e7'}]->(b)",
    ),
    "vertex.Other": ("CREATE (:Other {`~id`: 'p0123x'})", "MATCH (n {`~id`: 'p0123x'}) DELETE n"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_replication_does_not_see_is_found_and_named(graph: Deployment, run_module: RunModule, name: str) -> None:
    breaks, mends = FAULTS[name]
    graph.clients["green"].cypher(breaks)
    try:
        failed = failure(run_module, graph)
    finally:
        graph.clients["green"].cypher(mends)
    found = table(failed.result, name)
    assert (found["equal"], found["different"], len(found["differences"])) == (False, 1, 1)
    assert name in failed.msg and "do not switch over" in failed.msg
    assert [one["table"] for one in failed.result["tables"] if not one["equal"]] == [name.partition(".")[2]]


def test_one_of_several_values_and_the_type_of_a_value_are_compared(graph: Deployment, run_module: RunModule) -> None:
    green = graph.clients["green"]
    green.gremlin("g.V('p0002').properties('mail').hasValue('b').drop()")
    try:
        assert table(failure(run_module, graph).result, "vertex.Person")["differences"] == ["~id=p0002: not the same"]
    finally:
        green.gremlin("g.V('p0002').property(set,'mail','b')")
    green.gremlin("g.V('p0002').properties('size').drop()")
    green.gremlin("g.V('p0002').property(set,'size',1.5d)")
    try:
        assert table(failure(run_module, graph).result, "vertex.Person")["different"] == 1
        declared = [{"object": "vertex.Person", "columns": ["size"]}]
        assert run_module("bg_verify", **options(graph, expected_differences=declared))["verified"]
    finally:
        green.gremlin("g.V('p0002').properties('size').drop()")
        green.gremlin("g.V('p0002').property(set,'size',1.5f)")


def test_a_sample_counts_everything(graph: Deployment, run_module: RunModule) -> None:
    result = run_module("bg_verify", **options(graph, sample=50))
    assert result["verified"] and table(result, "vertex.Person")["blue_rows"] == PEOPLE - 1
    graph.clients["green"].cypher("CREATE (:Person {`~id`: 'only-green'})")
    try:
        failed = failure(run_module, graph, sample=50)
    finally:
        graph.clients["green"].cypher("MATCH (n {`~id`: 'only-green'}) DELETE n")
    assert table(failed.result, "vertex.Person")["differences"] == [f"{PEOPLE - 1} rows on blue, {PEOPLE} on green"]


def test_triples_are_compared_graph_by_graph(triples: Deployment, run_module: RunModule) -> None:
    result = run_module("bg_verify", **options(triples))
    assert table(result, "graph.urn:g1")["blue_rows"] == 100
    assert table(result, "graph.default")["blue_rows"] == 2
    assert len(result["tables"]) == 3
    triples.clients["green"].sparql_update("DELETE DATA { GRAPH <urn:g2> { <urn:s7> <urn:p> 7 } }")
    try:
        failed = failure(run_module, triples)
    finally:
        triples.clients["green"].sparql_update("INSERT DATA { GRAPH <urn:g2> { <urn:s7> <urn:p> 7 } }")
    assert table(failed.result, "graph.urn:g2")["differences"] == ["subject=urn:s7: only on blue"]
    assert table(failed.result, "graph.urn:g1")["equal"]


def test_with_green_serving_it_compares_the_other_way(graph: Deployment, run_module: RunModule) -> None:
    run_module("bg_switchover", **graph.options())
    try:
        graph.write(graph.clients["green"], "on-green")
        result = run_module("bg_verify", **options(graph))
        assert (result["verified"], result["source"]) == (True, "green")
        assert "on-green" in graph.notes("blue")
    finally:
        run_module("bg_switchover", state="rolled_back", **graph.options())


def test_a_replication_that_is_stopped_is_no_proof(graph: Deployment, run_module: RunModule) -> None:
    graph.forward.set_desired("stopped")
    try:
        assert "should run while both are compared, but is stopped" in failure(run_module, graph).msg
    finally:
        graph.forward.set_desired("running")
