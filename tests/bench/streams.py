# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast streams are replicated, by lanes and batch, beside a poller that writes one record per request.

The lab's data plane is a process of its own that answers over HTTPS and takes `LATENCY` for every write. Each run begins
with an empty green at the beginning of the same stream and must end with a green that holds what blue holds.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import boto3
import moto
import psutil

from ansible_collections.bluegreen.aws.plugins.module_utils._core.endpoint import Endpoint
from ansible_collections.bluegreen.aws.plugins.module_utils._core.waiting import Deadline
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune import stream
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.apply import Applier
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.coalesce import coalesce_graph
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.connection import Client, GraphType
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.events import START
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.lease import Lease
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.replicator import Options, Replicator
from tests.lab.engine import InstanceSpec
from tests.lab.gate import free_port
from tests.lab.neptune.engine import NeptuneEngine

LATENCY = 0.02  # seconds for every write request on green
TARGETS = {"propertygraph": 25_000, "rdf": 50_000}  # records/s with 8 lanes
FACTOR = 100  # times a poller that writes one record per request
_TABLE = "bench-streams"
_VERSION = "1.2.1.0"
_SMALL = 200  # records for the poller
_COUNTS = {
    "propertygraph": "MATCH (n) RETURN count(n) AS n",
    "rdf": "SELECT (COUNT(*) AS ?n) WHERE { GRAPH ?g { ?s ?p ?o } }",
}


class BenchFailed(Exception):
    """What makes the numbers worth nothing; the text says why."""


@dataclass(frozen=True)
class Run:
    """One way to replicate."""

    graph: GraphType
    name: str
    lanes: int
    batch: int
    source: str = "blue"


@dataclass(frozen=True)
class Result:
    """What came of it; times in seconds, CPU times of the replicator's and of the lab's process."""

    records: int
    seconds: float
    own_cpu: float
    lab_cpu: float


RUNS: Sequence[Run] = (
    Run("propertygraph", "one_by_one", 1, 1, "small"),
    Run("propertygraph", "lanes_1", 1, 200),
    Run("propertygraph", "lanes_8", 8, 200),
    Run("propertygraph", "lanes_32", 32, 200),
    Run("rdf", "lanes_8", 8, 200),
)


class Bench:
    """The lab's process with blues that have streams, and a lease table."""

    def __init__(self, engine: NeptuneEngine) -> None:
        self._engine = engine
        self._port = free_port()
        self._started = 0
        self._dynamodb = boto3.client("dynamodb")
        self._dynamodb.create_table(
            TableName=_TABLE,
            KeySchema=[{"AttributeName": "leaseKey", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "leaseKey", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        self.sources: dict[str, Client] = {}

    def start(self, name: str, streams: bool, latency: float = 0.0) -> Client:
        """An empty cluster that answers at an address of its own."""
        self._started += 1
        address = f"127.0.0.{self._started + 1}"
        self._engine.create_volume(name, _VERSION)
        settings = {"neptune_streams": "1" if streams else "0"}
        self._engine.start(InstanceSpec(f"{name}-1", name, "writer", (address,), self._port, settings))
        self._engine.fault(f"{name}-1", write_latency=latency)
        return Client(Endpoint(name, address, self._port, "", "", ca_cert=str(self._engine.ca_file)))

    def replicate(self, run: Run) -> Result:
        """One run from the beginning of the stream to its end."""
        name = f"green-{run.graph}-{run.name}".replace("_", "-")
        source, target = self.sources[run.source], self.start(name, streams=False, latency=LATENCY)
        lease = Lease(self._dynamodb, _TABLE, name)
        lease.create(START, "running")
        options = Options(owner=name, lanes=run.lanes, batch=run.batch)
        lab = psutil.Process(self._engine.pids()[0])
        begin, own, other = time.perf_counter(), time.process_time(), sum(lab.cpu_times()[:2])
        if run.batch > 1:
            follower = Replicator(source, target, lease, run.graph, options)
            records = follower.run(lambda progress: progress.at_head, Deadline(600)).records
        else:
            records = one_by_one(source, target)
        took = time.perf_counter() - begin
        result = Result(records, took, time.process_time() - own, sum(lab.cpu_times()[:2]) - other)
        wanted, found = size(source, run.graph), size(target, run.graph)
        if wanted != found:
            raise BenchFailed(f"{name} holds {found} elements, {run.source} {wanted}")
        self._engine.stop(f"{name}-1")
        self._engine.delete_volume(name)
        return result


def one_by_one(source: Client, target: Client) -> int:
    """What a simple poller does: every record of the property graph by itself, in a request of its own."""
    at, records = START, 0
    applier = Applier(target, 1, 1, lambda: None)
    while (page := stream.after(source, "propertygraph", at, 1000)) is not None:
        for record in page.records:
            applier.graph(coalesce_graph([record]), False)
        at, records = page.last, records + len(page.records)
    return records


def size(client: Client, graph: GraphType) -> tuple[int, ...]:
    """How many vertices, edges and values of properties, or how many statements, there are."""
    if graph == "rdf":
        return (int(client.sparql_query(_COUNTS["rdf"])["results"]["bindings"][0]["n"]["value"]),)
    vertices = client.cypher("MATCH (n) RETURN count(n) AS n, sum(n.visits) AS m")[0]
    edges = client.cypher("MATCH ()-[e]->() RETURN count(e) AS n, sum(e.weight) AS m")[0]
    return vertices["n"], vertices["m"], edges["n"], edges["m"]


def fill(client: Client, scale: int) -> None:
    """What an application writes: people with values, who they know, visits that count up, some who leave."""
    rng = random.Random(1)
    labels = ("Person", "Company", "Place")
    for begin in range(0, scale, 100):
        ids = range(begin, min(begin + 100, scale))
        rows = [
            {"id": f"v{n}", "name": f"name {n}", "mail": f"{n}@example.com", "visits": 0, "score": n / 7} for n in ids
        ]
        client.cypher(
            f"UNWIND $rows AS r CREATE (n:{labels[begin // 100 % 3]} {{`~id`: r.id, name: r.name, mail: r.mail,"
            " visits: r.visits, score: r.score})",
            {"rows": rows},
        )
    for begin in range(0, scale, 100):
        rows = [
            {"id": f"e{n}", "a": f"v{rng.randrange(scale)}", "b": f"v{rng.randrange(scale)}", "w": n}
            for n in range(begin, min(begin + 100, scale))
        ]
        client.cypher(
            "UNWIND $rows AS r MATCH (a {`~id`: r.a}), (b {`~id`: r.b}) CREATE (a)-[:KNOWS {`~id`: r.id, weight: r.w}]->(b)",
            {"rows": rows},
        )
    for number in range(scale // 20):
        rows = [{"id": f"v{rng.randrange(scale)}", "visits": number} for _turn in range(20)]
        client.cypher("UNWIND $rows AS r MATCH (n {`~id`: r.id}) SET n.visits = r.visits", {"rows": rows})
    for _turn in range(scale // 200):
        client.cypher("UNWIND $ids AS id MATCH (n {`~id`: id}) DETACH DELETE n", {"ids": [f"v{rng.randrange(scale)}"]})


def fill_rdf(client: Client, scale: int) -> None:
    """Statements that come, and some that go."""
    graph = "http://example.com/graph"
    statements = [
        f'<http://example.com/subject/{n // 5}> <http://example.com/predicate/{n % 5}> "value {n}"'
        for n in range(scale)
    ]
    for begin in range(0, scale, 250):
        part = statements[begin : begin + 250]
        client.sparql_update(f"INSERT DATA {{ GRAPH <{graph}> {{ {' . '.join(part)} }} }}")
        if begin % 2500 == 0:
            client.sparql_update(f"DELETE DATA {{ GRAPH <{graph}> {{ {' . '.join(part[:50])} }} }}")


def results(engine: NeptuneEngine, scale: int, runs: Sequence[Run]) -> Iterator[tuple[Run, Result]]:
    """Fill the blues, then do run after run."""
    bench = Bench(engine)
    for name, elements in (("blue", scale), ("small", _SMALL // 12)):
        bench.sources[name] = bench.start(name, streams=True)
        fill(bench.sources[name], elements)
    fill_rdf(bench.sources["blue"], scale * 8)
    for run in runs:
        yield run, bench.replicate(run)


def bench(scale: int) -> int:
    """Run it and print the table and, last, one line of JSON; returns 1 when a target is missed."""
    os.environ.update(AWS_ACCESS_KEY_ID="bench", AWS_SECRET_ACCESS_KEY="bench", AWS_DEFAULT_REGION="eu-west-1")
    found: dict[str, dict[str, int]] = {"property_graph": {}, "rdf": {}}
    print(
        f"{'graph':<14} {'run':<11} {'lanes':>5} {'batch':>5} {'records':>8} {'seconds':>8} {'records/s':>10}"
        f" {'cpu own':>8} {'cpu lab':>8}"
    )
    with (
        tempfile.TemporaryDirectory(prefix="bluegreen-bench-") as directory,
        moto.mock_aws(),
        closing(NeptuneEngine(Path(directory))) as engine,
    ):
        try:
            for run, result in results(engine, scale, RUNS):
                rate = result.records / result.seconds
                kind = "rdf" if run.graph == "rdf" else "property_graph"
                found[kind][run.name] = round(rate)
                print(
                    f"{kind:<14} {run.name:<11} {run.lanes:>5} {run.batch:>5} {result.records:>8} {result.seconds:>8.2f}"
                    f" {rate:>10.0f} {result.own_cpu:>8.2f} {result.lab_cpu:>8.2f}",
                    flush=True,
                )
        except BenchFailed as failure:
            print(f"streams: {failure}", file=sys.stderr)
            return 1
    missed = judge(found)
    for sentence in missed:
        print(sentence)
    print(json.dumps({"bench": "streams", "write_latency_ms": round(LATENCY * 1000), **found}))
    return 1 if missed else 0


def judge(found: dict[str, dict[str, int]]) -> list[str]:
    """What misses its target, in sentences."""
    graph, rdf = found["property_graph"], found["rdf"]
    missed = []
    for rate, wanted, name in (
        (graph["lanes_8"], TARGETS["propertygraph"], "property graph with 8 lanes"),
        (graph["lanes_8"] / max(1, graph["one_by_one"]), FACTOR, "property graph with 8 lanes, times one by one"),
        (rdf["lanes_8"], TARGETS["rdf"], "RDF with 8 lanes"),
    ):
        if rate < wanted:
            missed.append(f"Missed: {name} should be {wanted} or more, but is {rate:.0f}.")
    return missed
