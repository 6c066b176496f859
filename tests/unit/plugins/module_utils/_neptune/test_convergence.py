# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Green becomes what blue is: whatever is killed, however often, in whatever pages and lanes, from before the clone.

Each rule of the replicator is shown to be needed: without it some of the same runs end differently.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.waiting import Deadline
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune import apply, replicator, retry, statements, stream
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.coalesce import (
    GraphChanges,
    StatementChanges,
    coalesce_graph,
    coalesce_rdf,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.events import EventId
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.lease import LeaseItem
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.replicator import Options, Replicator
from tests.lab.neptune.graph import Graph
from tests.lab.neptune.rdf import Rdf
from tests.lab.neptune.service import Service, Volume
from tests.unit.plugins.module_utils._neptune.in_process import Killed, MemoryLease, Mortal, Table, Wire

SEEDS = 240
LABELS = "ABC"
TYPES: list[tuple[str, Callable[[int], Any]]] = [
    ("Int", int),
    ("Long", int),
    ("String", lambda number: f"it's {number}"),
    ("Double", float),
    ("Date", lambda number: number * 86_400_000),
]
Kind = Literal["propertygraph", "rdf"]


def write_graph(rng: random.Random, volume: Volume, transactions: int) -> None:
    """Random transactions of an application: labels, sets of values, edges that come back with other ends."""
    for _turn in range(transactions):
        for _turn in range(rng.randint(1, 4)):
            _operation(rng, volume.graph)
        volume.graph.commit()


def _operation(rng: random.Random, graph: Graph) -> None:
    vertex_id, edge_id = f"v'{rng.randrange(7)}", f"e{rng.randrange(7)}"
    vertex, edge = graph.vertices.get(vertex_id), graph.edges.get(edge_id)
    kind, make = rng.choice(TYPES)
    key, typed, label = f"k{rng.randrange(2)}", (kind, make(rng.randrange(3))), rng.choice(LABELS)
    what = rng.randrange(12)
    if vertex is None:
        graph.add_vertex(vertex_id, [label])
    elif what < 2:
        graph.add_label(vertex_id, label)
    elif what < 4:
        if len(vertex.labels) > 1:
            graph.remove_label(vertex, rng.choice(list(vertex.labels)))
    elif what < 6:
        graph.add_value(vertex, key, typed)
    elif what < 7:
        graph.remove_value(vertex, key, typed)
    elif what < 8:
        graph.drop_vertex(vertex)
    elif edge is None or what < 10:
        if edge is not None:
            graph.drop_edge(edge)
        ends = [graph.vertices.get(f"v'{rng.randrange(7)}") for _turn in range(2)]
        if ends[0] is not None and ends[1] is not None:
            graph.add_edge(edge_id, rng.choice("XY"), ends[0], ends[1])
    elif what < 11:
        graph.set_edge_value(edge, key, typed)
    else:
        graph.drop_edge(edge)


def write_labels(rng: random.Random, volume: Volume, transactions: int) -> None:
    """Few vertices that change their labels and keep their values."""
    graph = volume.graph
    for _turn in range(transactions):
        vertex_id, label = f"v{rng.randrange(3)}", rng.choice(LABELS)
        vertex = graph.vertices.get(vertex_id)
        if vertex is None:
            graph.add_value(graph.add_vertex(vertex_id, [label]), "k", ("Int", 1))
        elif label not in vertex.labels:
            graph.add_label(vertex_id, label)
        elif len(vertex.labels) > 1:
            graph.remove_label(vertex, label)
        elif rng.random() < 0.1:
            graph.drop_vertex(vertex)
        graph.commit()


def write_rdf(rng: random.Random, volume: Volume, transactions: int) -> None:
    """Random transactions on quads of a few subjects and graphs."""
    for _turn in range(transactions):
        done = []
        for _turn in range(rng.randint(1, 4)):
            triple = f'<http://s/{rng.randrange(4)}> <http://p/{rng.randrange(2)}> "a \\" > {rng.randrange(4)}"@en'
            block = rng.choice([f"{triple} .", f"GRAPH <http://g/{rng.randrange(2)}> {{ {triple} }}"])
            done.append(f"{rng.choice(['INSERT', 'INSERT', 'DELETE'])} DATA {{ {block} }}")
        volume.rdf.update(";".join(done))


def content(part: Graph | Rdf) -> object:
    """All that a graph holds."""
    if isinstance(part, Rdf):
        return set(part.store)
    return (
        {
            vertex.id: (set(vertex.labels), {key: set(held) for key, held in vertex.properties.items()})
            for vertex in part.vertices.values()
        },
        {edge.id: (edge.label, edge.start.id, edge.end.id, edge.properties) for edge in part.edges.values()},
    )


@dataclass(frozen=True)
class Trial:
    """Blue is written to, cloned and written to again; green follows from before the clone, killed again and again."""

    kind: Kind = "propertygraph"
    rate: float = 0.06
    backwards: bool = False  # the records of a commit come in the wrong order
    writing: Callable[[random.Random, Volume, int], None] = write_graph

    def run(self, seed: int) -> int:
        """Return how often it was killed; AssertionError when green is not blue at the end."""
        rng = random.Random(seed)
        blue = Volume()
        write = self.writing
        write(rng, blue, rng.randint(0, 15))
        remembered = self.last(blue)
        write(rng, blue, rng.choice([0, 0, 10, 25]))
        green = blue.copy()
        store = Table()
        MemoryLease(store).create(remembered, replay_until=self.last(green))
        write(rng, blue, rng.randint(1, 30))
        if self.backwards:
            turn_commits(blue.graph)
        sides = Service(blue), Service(green)
        kills = 0
        while not self.follow(rng, sides, store, f"run {kills}"):
            kills += 1
        assert content(self.part(green)) == content(self.part(blue)), f"seed {seed}"
        return kills

    def follow(self, rng: random.Random, sides: tuple[Service, Service], store: Table, owner: str) -> bool:
        """One run; False when it was killed."""
        mortal = Mortal(rng, self.rate)
        options = Options(
            owner=owner,
            lanes=rng.choice([1, 1, 1, 2, 4]),
            batch=rng.choice([1, 3, 200]),
            page=rng.choice([1, 2, 3, 7, 20, 1000]),
        )
        blue, green = Wire(sides[0], "blue", mortal), Wire(sides[1], "green", mortal)
        follower = Replicator(blue, green, MemoryLease(store, mortal=mortal), self.kind, options)
        try:
            follower.run(lambda progress: progress.at_head, Deadline(60))
        except Killed:
            store.expire()
            return False
        return True

    def part(self, volume: Volume) -> Graph | Rdf:
        """The graph of the trial's kind."""
        return volume.graph if self.kind == "propertygraph" else volume.rdf

    def last(self, volume: Volume) -> EventId:
        """The end of its stream."""
        return EventId(*(self.part(volume).stream.latest() or (0, 0)))

    def diverges(self) -> bool:
        """Whether there is a seed after which green is not what blue is, or replication gave up."""
        for seed in range(SEEDS):
            try:
                self.run(seed)
            except (AssertionError, BlueGreenError):
                return True
        return False


GRAPH = Trial()
TRIPLES = Trial("rdf", writing=write_rdf)
RELABELLED = Trial(writing=write_labels)


def turn_commits(graph: Graph) -> None:
    """Let the records of each commit whose order says nothing come in the opposite order."""
    commits = graph.stream._commits
    for number, commit in commits.items():
        replaced = any(op == "REMOVE" and data[1] == "e" for op, data in commit.records)
        if not replaced and len({data for _op, data in commit.records}) == len(commit.records):
            commits[number] = replace(commit, records=tuple(reversed(commit.records)))


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails for good shall fail soon."""
    monkeypatch.setattr(retry, "_FIRST", 0.0001)
    monkeypatch.setattr(retry, "_TRIES", 2)


def test_green_becomes_what_blue_is_whatever_is_killed() -> None:
    assert sum(map(GRAPH.run, range(SEEDS))) > SEEDS  # killed more than once each


def test_vertices_that_change_all_their_labels_keep_their_values() -> None:
    assert sum(map(RELABELLED.run, range(SEEDS))) > SEEDS


def test_rdf_becomes_what_blue_is_whatever_is_killed() -> None:
    assert sum(map(TRIPLES.run, range(SEEDS))) > SEEDS


def test_commits_that_do_not_fit_any_page_are_carried_over_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "LARGEST", 2)
    assert sum(map(GRAPH.run, range(SEEDS // 2))) > SEEDS // 2


def test_the_order_within_a_commit_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    turned = Trial(backwards=True)
    assert sum(map(turned.run, range(SEEDS // 4)))
    monkeypatch.setattr(stream, "LARGEST", 2)  # unless commits are taken apart
    assert turned.diverges()


# The rules, each taken away


def test_the_last_record_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    def first(records: list[Any]) -> list[Any]:
        return list({str((r["data"]["type"], r["data"]["id"], r["data"]["value"])): r for r in records[::-1]}.values())

    def first_statement(records: list[Any], blank_nodes: Any) -> StatementChanges:
        return coalesce_rdf(records[::-1], blank_nodes)

    monkeypatch.setattr(replicator, "coalesce_graph", lambda records: coalesce_graph(first(records)))
    monkeypatch.setattr(replicator, "coalesce_rdf", first_statement)
    assert GRAPH.diverges()
    assert TRIPLES.diverges()


def test_an_edge_that_comes_back_is_dropped_first(monkeypatch: pytest.MonkeyPatch) -> None:
    def undropped(records: list[Any]) -> GraphChanges:
        changes = coalesce_graph(records)
        again = {edge["id"] for edges in changes.edges.values() for edge in edges}
        return replace(changes, dropped_edges=[edge for edge in changes.dropped_edges if edge not in again])

    monkeypatch.setattr(replicator, "coalesce_graph", undropped)
    assert GRAPH.diverges()


def test_an_edge_with_other_ends_is_dropped_while_replaying(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "DROP_OTHER_EDGES", "UNWIND $rows AS r WITH r WHERE r.id IS NULL RETURN r")
    assert GRAPH.diverges()


def test_vertices_come_before_edges(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = apply.Applier.graph

    def turned(self: apply.Applier, changes: GraphChanges, replaying: bool) -> None:
        graph(self, replace(changes, labelled={}, vertex_values={}, unlabelled={}), replaying)
        graph(self, replace(changes, dropped_edges=[], edges={}, edge_values={}), replaying)

    monkeypatch.setattr(apply.Applier, "graph", turned)
    assert GRAPH.diverges()


def test_a_replay_keeps_a_vertex_without_labels_until_it_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "mark_absent", statements.drop_vertices)
    assert RELABELLED.diverges()


def test_at_the_end_of_a_replay_vertices_without_labels_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apply.Applier, "settle", lambda self: None)
    assert GRAPH.diverges()


def test_what_follows_a_crash_is_a_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LeaseItem, "window", property(lambda item: item.replay_until))
    assert GRAPH.diverges()


def test_what_precedes_the_clone_is_a_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LeaseItem, "window", property(lambda item: item.in_flight))
    assert GRAPH.diverges()


def test_records_are_in_flight_before_they_are_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream.Page, "in_flight", property(lambda page: EventId(0, 0)))
    assert GRAPH.diverges()
