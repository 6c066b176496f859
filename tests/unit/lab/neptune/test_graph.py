# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The property graph: what a change is, what is recorded of it, and what is refused."""

from __future__ import annotations

import random

import pytest

from tests.lab.neptune.graph import Graph
from tests.unit.lab.neptune.conftest import Instance


def test_a_transaction_is_one_commit_of_its_real_changes(instance: Instance) -> None:
    instance.cypher("CREATE (:A:B {`~id`: 'v', name: 'x', n: 1})")
    assert instance.changes() == [
        ("ADD", "v", "vl", "label", "String", "A"),
        ("ADD", "v", "vl", "label", "String", "B"),
        ("ADD", "v", "vp", "name", "String", "x"),
        ("ADD", "v", "vp", "n", "Long", 1),
    ]
    instance.cypher("MATCH (v {`~id`: 'v'}) SET v:A, v.name = 'x', v.n = 2")
    assert instance.changes(1) == [("REMOVE", "v", "vp", "n", "Long", 1), ("ADD", "v", "vp", "n", "Long", 2)]


def test_what_changes_nothing_is_no_commit(instance: Instance) -> None:
    instance.cypher("CREATE (:A {`~id`: 'v', n: 1})")
    instance.cypher("MATCH (v) SET v.n = 1, v:A REMOVE v.missing, v:Other")
    assert instance.commits == 1


def test_a_vertex_that_is_dropped_takes_its_edges_first(instance: Instance) -> None:
    instance.cypher("CREATE (a:A {`~id`: 'a', k: true})-[:E {`~id`: 'e', w: 1.5}]->(:B {`~id`: 'b'})")
    instance.cypher("MATCH (a {`~id`: 'a'}) DETACH DELETE a")
    assert instance.changes(1) == [
        ("REMOVE", "e", "ep", "w", "Double", 1.5),
        ("REMOVE", "e", "e", "label", "String", "E"),
        ("REMOVE", "a", "vp", "k", "Bool", True),
        ("REMOVE", "a", "vl", "label", "String", "A"),
    ]
    assert instance.cypher("MATCH (n) RETURN id(n) AS id") == [{"id": "b"}]


def test_an_edge_names_its_ends_in_the_stream(instance: Instance) -> None:
    instance.cypher("CREATE (:A {`~id`: 'a'})-[:E {`~id`: 'e'}]->(:B {`~id`: 'b'})")
    (edge,) = [one["data"] for one in instance.stream()["records"] if one["data"]["type"] == "e"]
    assert (edge["from"], edge["to"], edge["value"]["value"]) == ("a", "b", "E")


@pytest.mark.parametrize(
    "query",
    [
        "CREATE (:Other {`~id`: 'a'})",
        "MATCH (a {`~id`: 'a'}), (b {`~id`: 'b'}) CREATE (b)-[:F {`~id`: 'e'}]->(a)",
        "MATCH (a {`~id`: 'a'}) CREATE (a)-[:F {`~id`: 'b'}]->(a)",
        "MATCH (a {`~id`: 'a'}) REMOVE a:A",
        "MATCH (a {`~id`: 'a'}) DELETE a",
        "MERGE (:Other {`~id`: 'a'})",
    ],
    ids=[
        "a taken id",
        "an edge elsewhere",
        "an edge with a vertex's id",
        "the last label",
        "edges left",
        "merged by label",
    ],
)
def test_what_a_graph_cannot_be_is_refused_and_nothing_of_it_stays(instance: Instance, query: str) -> None:
    instance.cypher("CREATE (:A {`~id`: 'a'})-[:E {`~id`: 'e'}]->(:B {`~id`: 'b'})")
    assert instance.refusal("/openCypher", query=f"CREATE (:New) WITH 1 AS x {query}") == "ConstraintViolationException"
    assert instance.cypher("MATCH (n) RETURN count(n) AS n") == [{"n": 2}]
    assert instance.commits == 1


def test_a_property_of_a_vertex_is_a_set_of_typed_values(instance: Instance) -> None:
    instance.gremlin("g.addV('A').property(id,'v').property('k',1).property('k',1l).property('k','1').property('k',1)")
    assert [change[4:] for change in instance.changes()] == [("String", "A"), ("Int", 1), ("Long", 1), ("String", "1")]
    instance.gremlin("g.V('v').properties('k').hasValue(1l).drop()")
    assert instance.changes(1) == [("REMOVE", "v", "vp", "k", "Long", 1)]


def test_undone_transactions_leave_the_graph_as_it_was() -> None:
    """Random changes of everything, each undone: the graph is what it was."""
    chance, graph = random.Random(7), Graph()
    for number in range(20):
        graph.add_vertex(f"v{number}", ["A", "B"][: number % 2 + 1])
    graph.commit()
    for _time in range(200):
        before = state(graph)
        for _step in range(chance.randint(1, 12)):
            change(graph, chance)
        graph.rollback()
        assert state(graph) == before
        change(graph, chance)
        graph.commit()
    assert len(graph.edges) > 5


def change(graph: Graph, chance: random.Random) -> None:
    """Change anything."""
    vertices, edges = list(graph.vertices.values()), list(graph.edges.values())
    vertex, other = chance.choice(vertices), chance.choice(vertices)
    kind = chance.randint(0, 7)
    if kind == 0:
        graph.add_label(vertex.id, chance.choice("ABC"))
    elif kind == 1:
        graph.add_value(vertex, chance.choice("xy"), ("Int", chance.randint(0, 3)))
    elif kind == 2:
        graph.set_value(vertex, chance.choice("xy"), ("String", chance.choice("pq")))
    elif kind == 3 and len(vertices) > 12:
        graph.drop_vertex(vertex)
    elif kind == 4 and len(vertex.labels) > 1:
        graph.remove_label(vertex, next(iter(vertex.labels)))
    elif kind == 5 and edges:
        graph.set_edge_value(chance.choice(edges), "w", ("Double", chance.random()))
    elif kind == 6 and edges and len(edges) > 10:
        graph.drop_edge(chance.choice(edges))
    else:
        graph.add_edge(f"e{chance.getrandbits(40)}", "E", vertex, other)


def state(graph: Graph) -> object:
    """Everything that a graph holds."""
    vertices = {
        vertex.id: (set(vertex.labels), {key: set(each) for key, each in vertex.properties.items()})
        for vertex in graph.vertices.values()
    }
    edges = {edge.id: (edge.label, edge.start.id, edge.end.id, edge.properties.copy()) for edge in graph.edges.values()}
    ends = {vertex.id: (set(vertex.outgoing), set(vertex.incoming)) for vertex in graph.vertices.values()}
    labels = {label: set(members) for label, members in graph.by_label.items() if members}
    return vertices, edges, ends, labels


def test_a_clone_goes_its_own_way_from_where_the_stream_is(instance: Instance) -> None:
    instance.cypher("CREATE (:A {`~id`: 'a'})-[:E {`~id`: 'e', w: 1}]->(:B {`~id`: 'b'})")
    instance.update("INSERT DATA { <http://a> <http://p> 1 }")
    clone = Instance(instance.volume.copy())
    assert clone.stream() == instance.stream()
    assert clone.stream("/sparql/stream") == instance.stream("/sparql/stream")
    clone.cypher("MATCH (a)-[e]->() SET a.k = 1, e.w = 2")
    assert clone.commits == 2
    assert instance.commits == 1
    assert instance.cypher("MATCH (a)-[e]->() RETURN a.k AS k, e.w AS w") == [{"k": None, "w": 1}]
    assert clone.select("SELECT * { ?s ?p ?o }") == [{"s": "http://a", "p": "http://p", "o": "1"}]
