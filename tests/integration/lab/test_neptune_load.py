# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writers and auditor on Neptune: nothing is lost by themselves, and no fault escapes the auditor."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.lab import auditor_neptune, load_neptune
from tests.lab.auditor import UNREADABLE, Audit, Side, audit
from tests.lab.engine import InstanceSpec
from tests.lab.load import Load, Target
from tests.lab.load_ledger import COMMITTED, REFUSED, UNKNOWN, Entry
from tests.lab.neptune import NeptuneEngine
from tests.lab.neptune.engine import start_pair
from tests.lab.postgresql.processes import free_port

WRITERS = 2
BASE = "http://lab.example/"


@dataclass
class Shop:
    """A writer with the application's graph, and what was written to it."""

    engine: NeptuneEngine
    port: int
    address: str
    graph: str
    load: Load

    def side(self, address: str | None = None) -> Side:
        parameters = {
            "host": address or self.address,
            "port": self.port,
            "ca_file": str(self.engine.ca_file),
            "graph": self.graph,
        }
        return Side("blue", parameters, "neptune")

    def entries(self) -> list[Entry]:
        return self.load.entries()

    def audit(self) -> Audit:
        return audit(self.entries, self.side(), wait=0.5)

    def run(self, path: str, **form: str) -> Any:
        """Do something to the graph that no writer did; return the answer."""
        context = ssl.create_default_context(cafile=str(self.engine.ca_file))
        connection = http.client.HTTPSConnection(self.address, self.port, context=context)
        connection.request("POST", path, urlencode(form), {"Content-Type": "application/x-www-form-urlencoded"})
        answer = connection.getresponse()
        found = json.loads(answer.read())
        connection.close()
        assert answer.status == 200, found
        return found

    def entry(self, outcome: str = COMMITTED, kind: str = "multi") -> Entry:
        """Any transaction of that kind."""
        return next(one for one in self.entries() if (one.outcome, one.kind) == (outcome, kind))


def written(engine: NeptuneEngine, port: int, address: str, graph: str, directory: Path) -> Shop:
    """Write for a while, with everything that can happen to a request happening to some."""
    target = Target(address, port, graph, "", "", "verify-full", str(engine.ca_file), "neptune")
    load_neptune.create(target, range(1, WRITERS + 2))
    with Load.start(
        directory,
        target,
        writers=WRITERS,
        rate=240,
        direct=[target],
        direct_rate=20,
        direct_hold=0.01,
        reconnect_every=20,
    ) as load:
        engine.fault(f"{graph}-1", drop_share=0.1, conflicts=3)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and (load.acknowledged() < 260 or UNKNOWN not in outcomes(load)):
            time.sleep(0.1)
    engine.clear_faults()
    return Shop(engine, port, address, graph, load)


def outcomes(load: Load) -> set[str]:
    return {entry.outcome for entry in load.entries()}


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Shop]]:
    """Two graphs that were written to: a property graph and RDF."""
    directory = tmp_path_factory.mktemp("neptune-load")
    engine, port = NeptuneEngine(directory), free_port(28282)
    try:
        addresses = start_pair(engine, port, "propertygraph", "rdf")
        yield {graph: written(engine, port, address, graph, directory / graph) for graph, address in addresses.items()}
    finally:
        engine.close()


@pytest.fixture(params=["propertygraph", "rdf"])
def shop(shops: dict[str, Shop], request: pytest.FixtureRequest) -> Shop:
    return shops[request.param]


@pytest.fixture
def graph(shops: dict[str, Shop]) -> Shop:
    return shops["propertygraph"]


def test_every_answer_is_kept_and_nothing_is_lost_by_the_writers_themselves(shop: Shop) -> None:
    assert outcomes(shop.load) == {COMMITTED, REFUSED, UNKNOWN}
    found = shop.audit()
    assert found.clean, found.line()
    assert found.acknowledged >= 250
    assert found.resolved_committed + found.resolved_absent == sum(e.outcome == UNKNOWN for e in shop.entries())


def test_a_clone_is_equal_until_something_is_written(shop: Shop) -> None:
    name, address = f"{shop.graph}-clone", "127.0.0.9"
    shop.engine.clone_volume(shop.graph, name)
    shop.engine.start(InstanceSpec(name, name, "writer", (address,), shop.port, {}))
    one, other = shop.side().parameters, shop.side(address).parameters
    assert auditor_neptune.differences(one, other) == []
    clone = Shop(shop.engine, shop.port, address, shop.graph, shop.load)
    if shop.graph == "rdf":
        clone.run("/sparql", update=f"INSERT DATA {{ GRAPH <{BASE}g> {{ <{BASE}x> <{BASE}p> 1 }} }}")
        assert [text.split(" (")[0] for text in auditor_neptune.differences(one, other)] == [
            "1 quads are on the second side only"
        ]
    else:
        clone.run("/gremlin", gremlin="g.V('customer-1').property(single,'visits',7i)")
        clone.run(
            "/openCypher", query="MATCH (c {`~id`: 'customer-2'}) SET c:Extra CREATE (:New {`~id`: 'n'})-[:E]->(c)"
        )
        assert [text.split(" (")[0] for text in auditor_neptune.differences(one, other)] == [
            "1 vertices are on the second side only",
            "2 vertices differ",
            "1 edges are on the second side only",
        ]
    shop.engine.stop(name)


GRAPH_FAULTS = {
    "a lost entry": ("lost", "MATCH (l:Ledger {entry: $entry}) DETACH DELETE l"),
    "a changed entry": ("altered", "MATCH (l:Ledger {entry: $entry}) SET l.amount = l.amount + 1"),
    "a doubled entry": (
        "duplicated",
        "MATCH (l:Ledger {entry: $entry}) CREATE (x:Ledger {`~id`: 'twice'}) SET x += properties(l)",
    ),
    "a ghost": (
        "ghosts",
        "CREATE (:Ledger {`~id`: 'ghost', writer: 1, n: 99999, amount: 1, entry: 5, server: 'x'})",
    ),
}
BROKEN_SUMS = {
    "a lost order": "MATCH (o:Order:Open) WITH o LIMIT 1 DETACH DELETE o",
    "a lost line": "MATCH (i:Line) WITH i LIMIT 1 DETACH DELETE i",
    "a lost event": "MATCH (e:Event) WITH e LIMIT 1 DETACH DELETE e",
    "a lost edge": "MATCH (:Event)-[e:ABOUT]->() WITH e LIMIT 1 DELETE e",
    "a lost label": "MATCH (e:Event:Shipped) WITH e LIMIT 1 REMOVE e:Shipped",
    "an update applied twice": "MATCH (t:Totals {writer: 1}) SET t.amount = t.amount + 1",
    "a lost update of a balance": "MATCH (c:Customer:Buyer) WITH c LIMIT 1 SET c.balance = c.balance - 1",
}


def copied(shop: Shop, name: str) -> Shop:
    """A clone, to be broken."""
    shop.engine.clone_volume(shop.graph, name)
    shop.engine.start(InstanceSpec(name, name, "writer", ("127.0.0.8",), shop.port, {}))
    return Shop(shop.engine, shop.port, "127.0.0.8", shop.graph, shop.load)


@pytest.fixture
def broken(shops: dict[str, Shop], request: pytest.FixtureRequest) -> Iterator[Shop]:
    """A clone of a graph that a test may break."""
    name = "broken"
    yield copied(shops[getattr(request, "param", "propertygraph")], name)
    engine = shops["rdf"].engine
    engine.stop(name)
    engine.delete_volume(name)


@pytest.mark.parametrize("fault", GRAPH_FAULTS)
def test_no_fault_of_an_entry_escapes(broken: Shop, fault: str) -> None:
    finding, query = GRAPH_FAULTS[fault]
    broken.run("/openCypher", query=query, parameters=json.dumps({"entry": broken.entry().row_id}))
    assert getattr(broken.audit(), finding)


@pytest.mark.parametrize("fault", BROKEN_SUMS)
def test_no_broken_sum_escapes(broken: Shop, fault: str) -> None:
    broken.run("/openCypher", query=BROKEN_SUMS[fault])
    assert broken.audit().broken_sums


@pytest.mark.parametrize(
    "gremlin",
    [
        "g.V('customer-3').property(set,'balance',-5l)",
        "g.V().hasLabel('Totals').has('writer',1).property(set,'seen',99999i)",
        "g.V().hasLabel('Totals').has('writer',1).property(set,'seen',4l)",
    ],
    ids=["a value beside another", "a value that came back", "a value of another type"],
)
def test_no_value_of_a_set_escapes(broken: Shop, gremlin: str) -> None:
    broken.run("/gremlin", gremlin=gremlin)
    assert broken.audit().broken_sums


@pytest.mark.parametrize("broken", ["rdf"], indirect=True)
@pytest.mark.parametrize("fault", ["lost", "altered", "torn", "order", "line", "event"])
def test_no_fault_of_rdf_escapes(broken: Shop, fault: str) -> None:
    entry = broken.entry()
    name = f"<{BASE}entry/{entry.row_id}>"
    quads = auditor_neptune.read_quads(broken.side().parameters)

    def drop(*which: tuple[str, str, str, str]) -> None:
        data = " ".join(f"GRAPH {g} {{ {s} {p} {o} }}" for s, p, o, g in which)
        broken.run("/sparql", update=f"DELETE DATA {{ {data} }}")

    def some(predicate: str, subject: str = "") -> tuple[str, str, str, str]:
        return next(one for one in sorted(quads) if one[1] == f"<{BASE}{predicate}>" and subject in one[0])

    if fault == "lost":
        drop(*(one for one in quads if one[0] == name))
        assert broken.audit().lost == ((entry.writer, entry.n),)
        return
    if fault == "altered":
        subject, predicate, value, where = some("amount", name)
        drop((subject, predicate, value, where))
        broken.run("/sparql", update=f"INSERT DATA {{ GRAPH {where} {{ {subject} {predicate} 12345 }} }}")
        assert broken.audit().altered == ((entry.writer, entry.n),)
        return
    if fault == "event":
        subject, predicate, _value, where = some("shipped")
        both = " ".join(f"{subject} {predicate} {value} ." for value in ("true", "false"))
        broken.run("/sparql", update=f"INSERT DATA {{ GRAPH {where} {{ {both} }} }}")
    else:
        drop(some({"torn": "note", "order": "state", "line": "item"}[fault]))
    assert broken.audit().broken_sums


def test_a_side_that_cannot_be_read_is_no_clean_one(shop: Shop) -> None:
    shop.engine.fault(f"{shop.graph}-1", throttled=1)
    with pytest.raises(UNREADABLE):
        shop.audit()
    shop.engine.clear_faults()
    shop.engine.fault_link(shop.address, "cut")
    with pytest.raises(UNREADABLE):
        shop.audit()
    shop.engine.fault_link(shop.address, "none")


def test_writes_on_the_other_side_only_are_found(graph: Shop, broken: Shop) -> None:
    broken.run(
        "/openCypher",
        query="CREATE (:Ledger {`~id`: 'lonely', writer: 1, n: 99999, amount: 1, entry: 5, server: 'x'})",
    )
    found = audit(graph.entries, graph.side(), broken.side(), wait=0.5)
    assert found.wrong_side_only == ((1, 99999),)
