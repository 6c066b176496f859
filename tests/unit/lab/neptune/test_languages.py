# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The languages: what they mean, what they refuse, and that they are parsed and not guessed."""

from __future__ import annotations

import pytest

from tests.lab.neptune.service import Request
from tests.unit.lab.neptune.conftest import Instance


@pytest.fixture
def people(instance: Instance) -> Instance:
    """Three people who know each other in a row, and their ages."""
    instance.cypher(
        "CREATE (a:Person:Boss {`~id`: 'a', name: 'Ann', age: 40})-[:KNOWS {`~id`: 'ab', since: 1}]->"
        "(b:Person {`~id`: 'b', name: 'Bob', age: 30})-[:KNOWS {`~id`: 'bc', since: 2}]->(c:Person {`~id`: 'c', name: 'Cy'})"
    )
    return instance


class TestCypher:
    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ("MATCH (n:Person) WHERE n.age > 30 OR n.name STARTS WITH 'C' RETURN id(n) AS x ORDER BY x", ["a", "c"]),
            ("MATCH (n) WHERE NOT n.age >= 0 RETURN id(n) AS x", []),
            ("MATCH (n) WHERE n.age IS NULL RETURN id(n) AS x", ["c"]),
            ("MATCH (n) WHERE id(n) IN ['c', 'nobody', 'a'] RETURN id(n) AS x ORDER BY x DESC", ["c", "a"]),
            ("MATCH (a)-[:KNOWS]->()-[e:KNOWS]->(n) RETURN id(n) AS x", ["c"]),
            ("MATCH (n)<-[{since: 1}]-(a:Boss) RETURN id(n) AS x", ["b"]),
            ("MATCH (b {`~id`: 'b'})-[e]-(n) RETURN id(n) AS x ORDER BY x", ["a", "c"]),
            ("MATCH (n)-[e {`~id`: 'bc'}]->() RETURN id(n) AS x", ["b"]),
            ("MATCH (n) WITH n ORDER BY n.name DESC SKIP 1 LIMIT 1 RETURN id(n) AS x", ["b"]),
            (
                "MATCH (n) WHERE size([l IN labels(n) WHERE NOT l IN ['Boss']]) = size(labels(n)) RETURN id(n) AS x",
                ["b", "c"],
            ),
            ("UNWIND [3, 1, 3] AS v WITH DISTINCT v RETURN v AS x ORDER BY x", [1, 3]),
            ("OPTIONAL MATCH (n:Nobody) RETURN n AS x", [None]),
            ("MATCH (n) RETURN sum(n.age) AS x", [70]),
            (
                "MATCH (n) RETURN CASE WHEN n.age > 35 THEN 'old' ELSE 'young' END AS x, count(*) AS n ORDER BY x",
                ["old", "young"],
            ),
            ("RETURN 'a\\'b\\u00fc' + \"/*\" + '//' AS x", ["a'bü/*//"]),
            ("RETURN 7 / 2 + 0.5 * 2 ^ 1 AS x", None),
            ("RETURN null = null AS x", [None]),
            ("RETURN 1 = true AS x", [False]),
        ],
    )
    def test_reading(self, people: Instance, query: str, found: list[object] | None) -> None:
        if found is None:
            assert people.refusal("/openCypher", query=query) == "MalformedQueryException"
        else:
            assert [row["x"] for row in people.cypher(query)] == found

    def test_elements_have_the_service_s_shape(self, people: Instance) -> None:
        (row,) = people.cypher("MATCH (a)-[e {`~id`: 'ab'}]->() RETURN a, e")
        assert row == {
            "a": {
                "~id": "a",
                "~entityType": "node",
                "~labels": ["Person", "Boss"],
                "~properties": {"name": "Ann", "age": 40},
            },
            "e": {
                "~id": "ab",
                "~entityType": "relationship",
                "~start": "a",
                "~end": "b",
                "~type": "KNOWS",
                "~properties": {"since": 1},
            },
        }

    def test_merge_makes_once_and_knows_which(self, instance: Instance) -> None:
        query = (
            "MERGE (n:C {`~id`: 'c'}) ON CREATE SET n.made = 1 ON MATCH SET n.met = 2 RETURN n.made AS a, n.met AS b"
        )
        assert instance.cypher(query) == [{"a": 1, "b": None}]
        assert instance.cypher(query) == [{"a": 1, "b": 2}]

    def test_maps_replace_or_add_properties(self, people: Instance) -> None:
        people.cypher("MATCH (n {`~id`: 'a'}) SET n += {age: null, city: 'X'}")
        people.cypher("MATCH (n {`~id`: 'b'}) SET n = {city: 'Y'}")
        found = people.cypher("MATCH (n) WHERE n.city IS NOT NULL RETURN properties(n) AS p ORDER BY n.city")
        assert found == [{"p": {"name": "Ann", "city": "X"}}, {"p": {"city": "Y"}}]

    def test_every_row_of_a_clause_sees_the_graph_before_it(self, people: Instance) -> None:
        people.cypher("UNWIND [1, 2] AS x MATCH (n:Person) CREATE (:Person {`~id`: n.name + x})")
        assert people.cypher("MATCH (n:Person) RETURN count(n) AS n") == [{"n": 9}]

    @pytest.mark.parametrize(
        "query",
        [
            "MATCH (n) RETURN n.",
            "MATCH (n RETURN n",
            "MATCH (n)",
            "CREATE (:A {`~id`: 1})",
            "MATCH (n) RETURN nothing",
            "RETURN $missing",
            "RETURN wrong(1)",
            "MATCH (n) SET n.`~id` = 'x'",
            "MATCH (n) SET n.list = [1, 2]",
            "CREATE (a)-[:A|B]->(b)",
            "CREATE (a)--(b)",
            "MATCH (n) RETURN n; MATCH (n) RETURN n",
            "MATCH (a)-[*1..3]->(b) RETURN a",
            "RETURN 'open",
        ],
    )
    def test_what_is_wrong_is_refused(self, people: Instance, query: str) -> None:
        assert people.refusal("/openCypher", query=query) == "MalformedQueryException"
        assert people.commits == 1


class TestGremlin:
    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("g.V().hasLabel('Boss').id()", ["a"]),
            ("g.V().has('age',P.gt(30l)).values('name')", ["Ann"]),
            ("g.V().has('Person','age',within(30,31)).id()", ["b"]),
            ("g.V('a').out('KNOWS').out().id()", ["c"]),
            ("g.E().has('since',2).outV().id()", ["b"]),
            ("g.V().hasNot('age').id()", ["c"]),
            ("g.V().where(__.in('KNOWS').has(T.id,'a')).id()", ["b"]),
            ("g.V().not(outE()).id()", ["c"]),
            ("g.V().order().by('name',desc).limit(2).id()", ["c", "b"]),
            ("g.V('a','c').label()", ["Person::Boss", "Person"]),
            ("g.V('nobody').fold().coalesce(unfold(),V('b')).id()", ["b"]),
        ],
    )
    def test_reading(self, people: Instance, text: str, found: list[object]) -> None:
        assert people.gremlin(text) == found

    def test_values_come_with_their_types(self, people: Instance) -> None:
        assert people.gremlin("g.V('a').values('age')") == [{"@type": "g:Int64", "@value": 40}]
        assert people.gremlin("g.V().count()") == [{"@type": "g:Int64", "@value": 3}]

    def test_an_edge_is_made_between_what_from_and_to_find(self, people: Instance) -> None:
        people.gremlin("g.V('c').as('x').addE('MET').property('where','X').property(id,'ca').to(__.V('a'))")
        people.gremlin("g.addE('MET').from(V('b')).to(V('c')).property(T.id,'bc2')")
        assert people.cypher("MATCH (a)-[e:MET]->(b) RETURN id(a) AS a, id(e) AS e, id(b) AS b ORDER BY e") == [
            {"a": "b", "e": "bc2", "b": "c"},
            {"a": "c", "e": "ca", "b": "a"},
        ]

    def test_side_effects_happen_in_their_order(self, people: Instance) -> None:
        people.gremlin(
            "g.inject(0).sideEffect(__.V('a').properties('age').hasValue(40L).drop())"
            ".sideEffect(__.V('a').property(set,'age',41).property(set,'age',41L))"
            ".sideEffect(__.E('ab').property('since','long ago'))"
        )
        assert people.changes(1) == [
            ("REMOVE", "a", "vp", "age", "Long", 40),
            ("ADD", "a", "vp", "age", "Int", 41),
            ("ADD", "a", "vp", "age", "Long", 41),
            ("REMOVE", "ab", "ep", "since", "Long", 1),
            ("ADD", "ab", "ep", "since", "String", "long ago"),
        ]

    def test_merge_makes_or_meets(self, instance: Instance) -> None:
        text = "g.mergeV([(T.id):'m',(T.label):'M']).option(Merge.onCreate,[made:1]).option(Merge.onMatch,[met:2])"
        instance.gremlin(text)
        instance.gremlin(text)
        assert instance.cypher("MATCH (n:M) RETURN n.made AS a, n.met AS b") == [{"a": 1, "b": 2}]

    @pytest.mark.parametrize(
        "text",
        [
            "g.V(",
            "g.V().nothing()",
            "g.V() g.V()",
            "x.V()",
            "g.V().has('a',1x)",
            "g.V('a').property(id,'other')",
            "g.V('a').property(list,'k',1)",
            "g.V('a').property('k',1n)",
            "g.V('a').property('k',300b)",
            "g.addV('A').property(id,'a')",
            "g.V('a').property('k','new').V('b').addE('E').to(V('nobody'))",
            "g.V('a').property('k','it''s')",
        ],
    )
    def test_what_is_wrong_is_refused_and_nothing_of_it_stays(self, people: Instance, text: str) -> None:
        people.refusal("/gremlin", gremlin=text)
        assert people.commits == 1
        assert people.gremlin("g.V('a').values('k')") == []


class TestSparql:
    def test_only_quads_that_change_are_recorded_all_operations_in_one_commit(self, instance: Instance) -> None:
        instance.update("PREFIX e: <http://e/> INSERT DATA { e:a e:p 'x;}' . GRAPH e:g { e:a e:p 'x;}' } }")
        instance.update(
            "PREFIX e: <http://e/> # a comment ; with a semicolon {\n"
            "DELETE DATA { e:a e:p 'x;}', 'never there' } ; INSERT DATA { GRAPH e:g { e:a e:p 'x;}' , 'y'@de } }"
        )
        page = instance.stream("/sparql/stream")
        assert page["format"] == "NQUADS"
        assert [(one["eventId"]["commitNum"], one["op"], one["data"]["stmt"]) for one in page["records"]] == [
            (1, "ADD", '<http://e/a> <http://e/p> "x;}" .\n'),
            (1, "ADD", '<http://e/a> <http://e/p> "x;}" <http://e/g> .\n'),
            (2, "REMOVE", '<http://e/a> <http://e/p> "x;}" .\n'),
            (2, "ADD", '<http://e/a> <http://e/p> "y"@de <http://e/g> .\n'),
        ]

    def test_a_pattern_is_an_update_too(self, instance: Instance) -> None:
        instance.update("INSERT DATA { <http://a> <http://n> 1 . <http://b> <http://n> 2 }")
        instance.update("DELETE { ?s ?p ?o } INSERT { ?s ?p 9 } WHERE { ?s ?p ?o FILTER(?o > 1) }")
        assert [one["op"] for one in instance.stream("/sparql/stream")["records"]] == ["ADD", "ADD", "REMOVE", "ADD"]
        assert instance.select("SELECT ?o { <http://b> ?p ?o }") == [{"o": "9"}]

    def test_queries_see_all_graphs_as_one(self, instance: Instance) -> None:
        instance.update("INSERT DATA { GRAPH <http://g> { <http://a> <http://p> 1 } }")
        assert instance.select("SELECT ?s { ?s <http://p> 1 }") == [{"s": "http://a"}]

    def test_a_blank_node_is_new_each_time(self, instance: Instance) -> None:
        for _time in range(2):
            instance.update("INSERT DATA { _:b <http://p> 1 }")
        assert len(instance.stream("/sparql/stream")["records"]) == 2

    @pytest.mark.parametrize(
        "text", ["DELETE DATA { _:b <http://p> 1 }", "INSERT DATA { <http://a> <http://p> }", "INSERT DATA { ", "HELLO"]
    )
    def test_an_update_that_is_wrong_takes_back_what_it_did(self, instance: Instance, text: str) -> None:
        update = f"INSERT DATA {{ <http://new> <http://p> 1 }} ; {text}"
        assert instance.refusal("/sparql", update=update) == "MalformedQueryException"
        assert instance.select("SELECT ?s { ?s ?p ?o }") == []
        assert instance.refusal("/sparql/stream", {"iteratorType": "LATEST"}) == "StreamRecordsNotFoundException"


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/openCypher", {"query": "CREATE (:A)"}),
        ("/gremlin", {"gremlin": "g.inject(0).sideEffect(__.V('a').property('k',1))"}),
        ("/sparql", {"update": "INSERT DATA { <http://a> <http://p> 1 }"}),
    ],
)
def test_a_reader_refuses_writes_and_answers_the_rest(people: Instance, path: str, fields: dict[str, str]) -> None:
    reader = Instance(people.volume, "reader")
    assert reader.refusal(path, **fields) == "ReadOnlyViolationException"
    assert reader.gremlin("g.V('a').id()") == ["a"]
    assert reader.stream() == people.stream()
    assert reader.handle("GET", "/status")[1]["role"] == "reader"


def test_summaries_count(people: Instance) -> None:
    people.update("INSERT DATA { <http://a> <http://p> 1 . <http://a> a <http://C> }")
    graph = people.handle("GET", "/propertygraph/statistics/summary")[1]["payload"]["graphSummary"]
    assert (graph["numNodes"], graph["numEdges"], graph["nodeLabels"], graph["edgeLabels"]) == (
        3,
        2,
        ["Boss", "Person"],
        ["KNOWS"],
    )
    assert graph["totalNodePropertyValues"] == 5
    rdf = people.handle("GET", "/rdf/statistics/summary")[1]["payload"]["graphSummary"]
    assert (rdf["numQuads"], rdf["numDistinctSubjects"], rdf["classes"]) == (2, 1, ["http://C"])


def test_bulk_loads_are_listed_and_told_of(instance: Instance) -> None:
    instance.volume.loads["one"] = "LOAD_IN_PROGRESS"
    assert instance.handle("GET", "/loader")[1]["payload"]["loadIds"] == ["one"]
    assert instance.handle("GET", "/loader/one")[1]["payload"]["overallStatus"]["status"] == "LOAD_IN_PROGRESS"
    assert instance.refusal("/loader/two") == "BulkLoadIdNotFoundException"


def test_a_form_is_read_as_browsers_write_it(instance: Instance) -> None:
    body = "query=RETURN+%24x+AS+x&parameters=%7B%22x%22%3A%22%2541%2B%C3%BC%22%7D"
    status, found = instance.handle("POST", "/openCypher", body=body)
    assert (status, found) == (200, {"results": [{"x": "%41+ü"}]})


@pytest.mark.parametrize(
    ("path", "body", "writes"),
    [
        ("/openCypher", "query=MATCH+%28n%29+RETURN+n", False),
        ("/openCypher", "query=MATCH+%28n%29+set+n.k+%3D+1", True),
        ("/gremlin", '{"gremlin": "g.V().properties().count()"}', False),
        ("/gremlin", "gremlin=g.V%28%29.drop%28%29", True),
        ("/sparql", "query=SELECT+%2A+%7B%7D", False),
        ("/sparql", "update=INSERT+DATA+%7B%7D", True),
        ("/loader", "", False),
    ],
)
def test_faults_of_writes_befall_writes_only(instance: Instance, path: str, body: str, writes: bool) -> None:
    assert instance.is_write(Request("POST", path, {}, body.encode())) is writes
