# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When replication stops and says why, when it waits, and what it never does."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.waiting import Deadline
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune import replicator as replicator_module
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune import retry, status, stream
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.apply import Applier
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.connection import Client, NeptuneError
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.events import START, EventId
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.lease import LeaseLost, LeaseTaken
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.replicator import Options, Progress, Replicator
from tests.lab.neptune.errors import ServiceError
from tests.lab.neptune.service import Answer, Request, Service
from tests.unit.plugins.module_utils._neptune.in_process import MemoryLease, Table, Wire

Kind = Literal["propertygraph", "rdf"]


class Pair:
    """A blue with a stream, an empty green, and a lease at the stream's beginning."""

    def __init__(self, kind: Kind = "propertygraph") -> None:
        self.kind: Kind = kind
        self.blue, self.green = Service(), Service()
        self.source, self.target = Wire(self.blue, "blue"), Wire(self.green, "green")
        self.lease = MemoryLease(Table())
        self.lease.create(START)

    def replicator(self, **options: Any) -> Replicator:
        given = {"owner": "me", "lanes": 1, **options}
        return Replicator(self.source, self.target, self.lease, self.kind, Options(**given))

    def follow(self, **options: Any) -> Progress:
        return self.replicator(**options).run(lambda progress: progress.at_head, Deadline(20))

    def write(self, *ids: str) -> None:
        """Vertices, one transaction each."""
        for vertex in ids:
            self.source.cypher("CREATE (:A {`~id`: $id})", {"id": vertex})

    @property
    def checkpoint(self) -> EventId:
        return self.lease.store.items[self.lease.key].checkpoint

    @property
    def copied(self) -> set[str]:
        return set(self.green.volume.graph.vertices)


@pytest.fixture
def pair() -> Pair:
    return Pair()


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "_FIRST", 0.0001)
    monkeypatch.setattr(replicator_module, "_GAP_PAUSE", 0.0001)


# The end of the stream


def test_an_empty_stream_is_the_head_of_an_empty_graph(pair: Pair) -> None:
    assert pair.follow() == Progress(START, None, 0, 0.0, 0, True)


def test_progress_counts_commits_and_the_age_of_what_waits(pair: Pair) -> None:
    pair.write("a", "b", "c")
    item = pair.lease.read()
    assert item is not None
    before = status.lag(pair.source, item, "propertygraph")
    assert (before.lag_commits, before.at_head) == (3, False)
    assert 0 < before.lag_seconds < 20
    after = pair.follow()
    assert (after.checkpoint, after.head, after.lag_commits, after.lag_seconds) == (
        EventId(3, 1),
        EventId(3, 1),
        0,
        0.0,
    )
    item = pair.lease.read()
    assert item is not None
    assert status.lag(pair.source, item, "propertygraph").at_head


def test_an_expired_checkpoint_is_not_the_end_of_the_stream(pair: Pair) -> None:
    pair.write("a", "b", "c", "d")
    pair.lease.create(EventId(1, 1))
    pair.blue.volume.graph.stream.expire(3, 1)
    for as_not_found in (False, True):  # as it is documented, and as it has been seen
        pair.blue.faults.expired_as_not_found = as_not_found
        with pytest.raises(
            stream.Expired, match=r"should go on after 1:1.*build green anew.*neptune_streams_expiry_days"
        ):
            pair.follow()
    assert pair.checkpoint == EventId(1, 1)
    assert pair.copied == set()


def test_a_stream_whose_beginning_is_gone_is_not_begun_in_the_middle(pair: Pair) -> None:
    pair.write("a", "b", "c")
    pair.blue.volume.graph.stream.expire(2, 1)
    with pytest.raises(stream.Expired, match=r"begins at 3:1"):
        pair.follow()


def test_a_stream_that_lost_everything_is_not_caught_up(pair: Pair) -> None:
    pair.write("a", "b")
    pair.lease.create(EventId(1, 1))
    pair.blue.volume.graph.stream.clear()
    with pytest.raises(stream.Expired, match=r"nothing is kept"):
        pair.follow()


def test_a_stream_of_another_cluster_is_refused(pair: Pair) -> None:
    pair.write("a")
    pair.lease.create(EventId(9, 1))
    with pytest.raises(BlueGreenError, match=r"ends at 1:1, before the checkpoint 9:1"):
        pair.follow()


def test_a_missing_commit_stops_replication_until_it_is_there(pair: Pair) -> None:
    pair.write("a", "b", "c", "d")
    commits = pair.blue.volume.graph.stream._commits
    missing = commits.pop(3)
    with pytest.raises(stream.Gap, match=r"go on with commit 3, but goes on with 4"):
        pair.follow(page=2)
    assert pair.copied == {"a", "b"}
    assert pair.checkpoint == EventId(2, 1)
    held = pair.lease.read()
    assert held is not None
    assert held.failure is not None
    assert "commit 3" in held.failure
    commits[3] = missing
    pair.blue.volume.graph.stream._commits = dict(sorted(commits.items()))
    pair.follow()
    assert pair.copied == {"a", "b", "c", "d"}


def test_streams_that_are_off_are_an_error(pair: Pair) -> None:
    pair.blue.streams = False
    with pytest.raises(NeptuneError, match=r"UnsupportedOperationException"):
        pair.follow()


# The target


def test_a_missing_end_is_an_error_unless_it_is_a_replay(pair: Pair) -> None:
    pair.write("a", "b")
    pair.follow()
    pair.source.cypher("MATCH (a {`~id`: 'a'}), (b {`~id`: 'b'}) CREATE (a)-[:KNOWS {`~id`: 'e'}]->(b)", {})
    pair.target.cypher("MATCH (b {`~id`: 'b'}) DELETE b", {})
    at = pair.checkpoint
    with pytest.raises(BlueGreenError, match=r"edges of the label 'KNOWS'.*'e'.*missing.*build green anew"):
        pair.follow()
    assert pair.checkpoint == at


@pytest.mark.parametrize(
    "code", ["ConcurrentModificationException", "ThrottlingException", "ReadOnlyViolationException"]
)
def test_what_passes_is_tried_again(pair: Pair, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pair.write("a")
    refusals = [code] * 4
    answer = pair.green.answer

    def refusing(request: Request) -> Answer:
        if refusals:
            error = ServiceError(refusals.pop(), "later")
            return Answer(error.status, error.body())
        return answer(request)

    monkeypatch.setattr(pair.green, "answer", refusing)
    pair.follow()
    assert pair.copied == {"a"}


def test_what_does_not_pass_stops_replication(pair: Pair) -> None:
    pair.write("a")
    pair.green.role = "reader"
    with pytest.raises(NeptuneError, match=r"Green at green.test:8182 answers ReadOnlyViolationException"):
        pair.follow()
    assert pair.checkpoint == START


def test_hostile_data_arrives_as_it_is(pair: Pair) -> None:
    hostile = "x'`\"\\ }) DETACH DELETE n //\n'); g.V().drop() %26+& \u2028é😀"
    quoted = hostile.replace("`", "``")
    pair.source.cypher(
        f"CREATE (a:`{quoted}` {{`~id`: $id, `{quoted}`: $id}}), (a)-[:`{quoted}` {{`~id`: $edge, `{quoted}`: $id}}]->(a)",
        {"id": hostile, "edge": f"e{hostile}"},
    )
    pair.follow()
    graph = pair.green.volume.graph
    assert set(graph.vertices[hostile].labels) == {hostile}
    assert graph.vertices[hostile].properties == {hostile: {("String", hostile): None}}
    assert graph.edges[f"e{hostile}"].label == hostile
    assert graph.edges[f"e{hostile}"].properties == {hostile: ("String", hostile)}


def broken(*_given: Any) -> None:
    """A look that fails."""
    raise BlueGreenError("the source is not there")


def test_half_a_commit_is_in_flight_until_the_other_half_is_there(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "LARGEST", 2)
    pair.write("a")
    pair.follow()
    pair.source.cypher("MATCH (a {`~id`: 'a'}) DELETE a CREATE (:B {`~id`: 'b'}), (:B {`~id`: 'c'})", {})
    half = pair.replicator(page=2)
    half.open()
    with monkeypatch.context() as patch:
        patch.setattr(stream, "head", broken)  # it does not know what comes next
        assert half.step().checkpoint == EventId(2, 2)
    half.close()
    pair.follow(page=100)
    assert pair.copied == {"b", "c"}


# Blank nodes


def test_a_blank_node_stops_replication_before_anything_of_its_page_is_written() -> None:
    pair = Pair("rdf")
    pair.source.sparql_update('INSERT DATA { <http://s> <http://p> "x" }')
    pair.follow()
    pair.source.sparql_update('INSERT DATA { <http://s> <http://p> "y" . _:b <http://p> "z" }')
    with pytest.raises(BlueGreenError, match=r"record 2:\d of the stream holds a blank node.*blank_nodes=allow"):
        pair.follow()
    assert len(pair.green.volume.rdf.store) == 1
    assert pair.checkpoint == EventId(1, 1)
    pair.follow(blank_nodes="allow")
    assert len(pair.green.volume.rdf.store) == 3
    assert pair.checkpoint == EventId(2, 2)


# Two at once


def test_while_one_replicates_another_one_is_refused_and_a_stale_one_changes_nothing(pair: Pair) -> None:
    pair.write("a")
    first = pair.replicator(owner="first")
    first.open()
    first.step()
    pair.write("b")
    # first is frozen for longer than its lease; meanwhile another one goes on
    with pytest.raises(LeaseTaken):
        pair.follow(owner="second")
    pair.lease.store.expire()
    assert pair.follow(owner="second").checkpoint == EventId(2, 1)
    pair.write("c")
    requests = pair.target.requests
    with pytest.raises(LeaseLost):
        first.step()
    assert pair.target.requests == requests
    assert pair.checkpoint == EventId(2, 1)
    first.close()


def test_nothing_is_sent_that_could_arrive_after_the_lease(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    pair.write("a")
    follower = pair.replicator(lease_ttl=30)
    follower.open()
    monkeypatch.setattr(type(follower.held), "renew", lambda held: None)
    follower.held.item = replace(follower.held.item, expires_ms=pair.lease.now_ms + 9_000)
    with pytest.raises(LeaseLost, match=r"long enough to write safely"):
        follower.step()
    assert pair.copied == set()
    follower.close()


def test_a_run_stops_when_the_lease_says_so(pair: Pair) -> None:
    pair.write("a", "b")
    pair.lease.create(START, "stopped")
    assert pair.replicator(page=1).run(lambda progress: False, Deadline(20)).checkpoint == EventId(1, 1)


def test_a_run_stops_at_its_deadline_and_gives_the_lease_back(pair: Pair) -> None:
    assert not pair.replicator().run(lambda progress: False, Deadline(0.1)).lag_commits
    item = pair.lease.read()
    assert item is not None
    assert item.owner == "nobody"
    assert gc.isenabled()


# Memory


def test_two_pages_are_in_memory_at_most_whatever_the_backlog(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    pair.write(*(f"v{number}" for number in range(200)))
    alive, most, lock = 0, 0, threading.Lock()

    class Counted(stream.Page):
        def __init__(self, **given: Any) -> None:
            nonlocal alive, most
            super().__init__(**given)
            with lock:
                alive += 1
                most = max(most, alive)

        def __del__(self) -> None:
            nonlocal alive
            with lock:
                alive -= 1

    apply: Callable[..., None] = Applier.graph

    def slow(*given: Any) -> None:
        threading.Event().wait(0.002)
        apply(*given)

    monkeypatch.setattr(stream, "Page", Counted)
    monkeypatch.setattr(Applier, "graph", slow)
    pair.follow(page=5)
    assert len(pair.copied) == 200
    assert most <= 3  # the one that is applied, the one that was read ahead, the one that is being read


def test_a_client_that_is_not_given_a_certificate_authority_says_so() -> None:
    with pytest.raises(BlueGreenError, match=r"certificate authorities of blue should be in /nowhere"):
        Client(replace(Pair().source.endpoint, ssl_mode="verify-full", ca_cert="/nowhere"))
