# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The replicator over HTTPS: what breaks between it and the servers, and what it is sure of."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.endpoint import Endpoint
from ansible_collections.bluegreen.aws.plugins.module_utils._core.waiting import Deadline
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune import stream
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.connection import Client, NeptuneError
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.events import START
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.replicator import Options, Replicator
from tests.lab.gate import free_port
from tests.lab.neptune.engine import NeptuneEngine, start_pair
from tests.lab.postgresql.ca import CertificateAuthority
from tests.unit.plugins.module_utils._neptune.in_process import MemoryLease, Table

ALL: dict[str, tuple[str, ...]] = {
    "propertygraph": (
        "MATCH (n) RETURN id(n) AS id, labels(n) AS labels, properties(n) AS held ORDER BY id",
        "MATCH (a)-[e]->(b) RETURN id(e) AS id, type(e) AS type, id(a) AS a, id(b) AS b, properties(e) AS held ORDER BY id",
    ),
    "rdf": ("SELECT ?g ?s ?p ?o WHERE { GRAPH ?g { ?s ?p ?o } } ORDER BY ?g ?s ?p ?o",),
}


class Servers:
    """A blue and a green behind HTTPS, each a cluster of one instance."""

    def __init__(self, directory: Path) -> None:
        self.engine = NeptuneEngine(directory)
        self.port = free_port()
        self.addresses = start_pair(self.engine, self.port, "blue", "green")

    def endpoint(self, side: str, **more: Any) -> Endpoint:
        given = {"ca_cert": str(self.engine.ca_file), "connect_timeout": 2, **more}
        return Endpoint(side, self.addresses[side], self.port, "", "", **given)

    def client(self, side: str, timeout: float = 10, **more: Any) -> Client:
        return Client(self.endpoint(side, **more), timeout=timeout)

    def break_green(self, **faults: Any) -> None:
        self.engine.fault("green-1", **faults)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    found = Servers(tmp_path_factory.mktemp("neptune"))
    with closing(found.engine):
        yield found


@pytest.fixture
def calm(servers: Servers) -> Iterator[Servers]:
    yield servers
    servers.break_green(conflicts=0, throttled=0, drop_share=0.0, silent=False, write_latency=0.0)


def write(client: Client, seed: int) -> None:
    """Vertices, edges and values that change; some go."""
    rng = random.Random(seed)
    every = [f"v{seed}-{number}" for number in range(60)]
    for label, ids in (("A", every[:30]), ("B", every[30:])):
        client.cypher(f"UNWIND $ids AS id CREATE (:{label} {{`~id`: id, name: id}})", {"ids": ids})
    for number in range(40):
        ids = rng.sample(every, 20)
        client.cypher("UNWIND $ids AS id MATCH (n {`~id`: id}) SET n.visits = $n", {"ids": ids, "n": number})
        client.cypher(
            "MATCH (a {`~id`: $a}), (b {`~id`: $b}) CREATE (a)-[:KNOWS {`~id`: $id, since: $n}]->(b)",
            {"a": ids[0], "b": ids[1], "id": f"e{seed}-{number}", "n": number},
        )
        if number % 10 == 9:
            every.remove(ids[2])
            client.cypher("MATCH (n {`~id`: $id}) DETACH DELETE n", {"id": ids[2]})


def write_rdf(client: Client) -> None:
    """Statements in two graphs, some with what has to be escaped; some go."""
    for number in range(60):
        triple = f'<http://s/{number % 30}> <http://p> "a \\"quoted\\" & 100% + {number} é \\n > _:b"'
        client.sparql_update(f"INSERT DATA {{ GRAPH <http://g/{number % 2}> {{ {triple} }} }}")
        if number % 3 == 0:
            client.sparql_update(f"DELETE DATA {{ GRAPH <http://g/{number % 2}> {{ {triple} }} }}")


def everything(client: Client, kind: str) -> list[Any]:
    if kind == "rdf":
        return [client.sparql_query(query)["results"]["bindings"] for query in ALL["rdf"]]
    return [client.cypher(query) for query in ALL["propertygraph"]]


def follow(servers: Servers, kind: Any, store: Table, lanes: int = 8) -> None:
    options = Options(owner="me", lanes=lanes, batch=20, page=300, lease_ttl=30)
    follower = Replicator(servers.client("blue"), servers.client("green"), MemoryLease(store), kind, options)
    follower.run(lambda progress: progress.at_head, Deadline(60))


def test_green_is_blue_though_connections_break_and_transactions_conflict(calm: Servers) -> None:
    store = Table()
    MemoryLease(store).create(START)
    blue, green = calm.client("blue"), calm.client("green")
    write(blue, 1)
    calm.break_green(drop_share=0.1, conflicts=5, throttled=3)
    follow(calm, "propertygraph", store)
    calm.break_green(drop_share=0.0)
    assert everything(green, "propertygraph") == everything(blue, "propertygraph")
    write(blue, 2)
    follow(calm, "propertygraph", store, lanes=1)
    assert everything(green, "propertygraph") == everything(blue, "propertygraph")
    assert len(everything(green, "propertygraph")[1]) > 50


def test_rdf_green_is_blue_though_connections_break(calm: Servers) -> None:
    store = Table()
    MemoryLease(store).create(START)
    blue, green = calm.client("blue"), calm.client("green")
    write_rdf(blue)
    calm.break_green(drop_share=0.1, conflicts=5)
    follow(calm, "rdf", store)
    calm.break_green(drop_share=0.0)
    assert everything(green, "rdf") == everything(blue, "rdf")
    assert len(everything(green, "rdf")[0]) == 40


def test_a_connection_that_the_server_closed_meanwhile_is_opened_again(servers: Servers) -> None:
    client = servers.client("green")
    assert client.status()["status"] == "healthy"
    servers.break_green(dropped_before=1)
    assert client.gremlin("g.inject(0).sideEffect(__.V('none').drop())") is not None
    assert client.loads_in_progress() == []
    assert "numNodes" in client.summary("propertygraph")


def test_a_server_that_answers_nothing_is_given_up(calm: Servers) -> None:
    client = calm.client("green", timeout=0.5)
    calm.break_green(silent=True)
    begin = time.monotonic()
    with pytest.raises(NeptuneError, match=r"No answer from green at 127\.0\.0\.\d:\d+: .*timed out") as error:
        client.cypher("RETURN 1 AS one")
    assert (error.value.code, error.value.status) == ("Unreachable", 0)
    assert time.monotonic() - begin < 5


def test_a_server_is_who_its_certificate_says(servers: Servers, tmp_path: Path) -> None:
    other = CertificateAuthority(tmp_path)
    with pytest.raises(NeptuneError, match=r"certificate verify failed.*ca_cert"):
        servers.client("green", ca_cert=str(other.file)).status()
    elsewhere = replace(servers.endpoint("green"), host="localhost")
    with pytest.raises(NeptuneError, match=r"check the green options"):
        Client(elsewhere, timeout=2).status()


def test_what_the_service_refuses_is_said_with_its_code(servers: Servers) -> None:
    with pytest.raises(NeptuneError, match=r"Green at .* answers MalformedQueryException \(400\)") as error:
        servers.client("green").cypher("MATCH (n RETURN n")
    assert error.value.code == "MalformedQueryException"


def test_the_ends_of_a_stream(servers: Servers) -> None:
    blue = servers.client("blue")
    first, newest = stream.first(blue, "propertygraph"), stream.head(blue, "propertygraph")
    assert first is not None
    assert newest is not None
    assert first[0] < newest
    page = stream.after(blue, "propertygraph", START, 100)
    assert page is not None
    assert page.records[-1]["isLastOp"]
    assert stream.after(blue, "propertygraph", newest, 100) is None
    assert stream.prove_end(blue, "propertygraph", newest) == newest
