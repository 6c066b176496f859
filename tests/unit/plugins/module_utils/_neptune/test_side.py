# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The side of a Neptune deployment and the window around it: what happens when a client writes, a run dies, a step fails."""

from __future__ import annotations

import itertools
import os
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from ansible_collections.bluegreen.aws.plugins.module_utils._core.endpoint import Endpoint
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.journal import Journal
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._core.waiting import Deadline
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune import side, side_guardrails
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.events import EventId
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.lease import Held, Lease, LeaseTaken
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.progress import Progress
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.record import Record
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.side import NeptuneSide
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.side_follow import Follower
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.side_policy import FenceKind, Policy
from ansible_collections.bluegreen.aws.plugins.module_utils._switchover.gates import Gates
from ansible_collections.bluegreen.aws.plugins.module_utils._switchover.run import Limits, Move
from ansible_collections.bluegreen.aws.plugins.module_utils._switchover.timeline import Timeline

NAMES = Names.of("shop")


class Died(BaseException):
    """The process was killed: nothing of it runs any more."""


@dataclass
class Graph:
    """A cluster: its data is the list of writes, its stream is their count."""

    side: str
    data: list[str] = field(default_factory=list)
    queries: list[str] = field(default_factory=list)
    loading: list[str] = field(default_factory=list)
    health: str = "healthy"
    role: str = "writer"
    streams: bool = True

    @property
    def head(self) -> EventId:
        return EventId(len(self.data), 1 if self.data else 0)


class FakeLink:
    """Stands in for the connection to a cluster."""

    def __init__(self, graph: Graph) -> None:
        self.side, self.client, self._graph = graph.side, graph, graph

    def close(self) -> None:
        pass

    def sever(self) -> None:
        pass

    def status(self) -> Mapping[str, Any]:
        if self._graph.role != "writer":
            raise BlueGreenError(f"{self.side} is a {self._graph.role}.")
        return {"status": self._graph.health, "role": self._graph.role, "dbEngineVersion": "1.4.6.0"}

    def head(self, _graph_type: str) -> EventId:
        if not self._graph.streams:
            raise BlueGreenError(f"streams are off on {self.side}.")
        return self._graph.head

    def loads(self) -> list[str]:
        return self._graph.loading

    def running(self, _graph_type: str) -> dict[str, list[str]]:
        return {"/openCypher/status": self._graph.queries} if self._graph.queries else {}

    def end_queries(self, _graph_type: str, _deadline: Deadline) -> int:
        ended = len(self._graph.queries)
        self._graph.queries.clear()
        return ended


class FakeReplicator:
    """Applies one write a step, under a real lease."""

    def __init__(self, source: Graph, target: Graph, lease: Lease, _graph_type: str, options: Any) -> None:
        self._source, self._target, self._lease, self._options = source, target, lease, options
        self._held: Held | None = None

    def open(self) -> EventId:
        self._held = self._lease.take(self._options.owner, self._options.lease_ttl)
        return self._held.checkpoint

    def step(self) -> Progress:
        assert self._held is not None
        done = self._held.checkpoint.commit
        if done < len(self._source.data):
            self._target.data.append(self._source.data[done])
            self._held.advance(EventId(done + 1, 1), EventId(done + 1, 1))
        return self._progress()

    def close(self, failure: str | None = None) -> None:
        if self._held is not None:
            self._held.release(failure)

    def _progress(self) -> Progress:
        assert self._held is not None
        at, end = self._held.checkpoint, self._source.head
        return Progress(at, end, end.commit - at.commit, 0.0, 0, at == end)


class Scene:
    """A deployment whose green is in sync, and runs of the switchover on it."""

    def __init__(self, dynamodb: Any) -> None:
        self.dynamodb = dynamodb
        self.record = Record(dynamodb, NAMES.checkpoint_table, NAMES.control_key)
        self.forward = Lease(dynamodb, NAMES.checkpoint_table, NAMES.lease_key("forward"))
        self.reverse = Lease(dynamodb, NAMES.checkpoint_table, NAMES.lease_key("reverse"))
        self.blue = Graph("blue", [f"b{number}" for number in range(5)])
        self.green = Graph("green", [f"b{number}" for number in range(3)])
        for item in (self.record, self.forward, self.reverse):
            item.delete()
        self.record.commit(position="3:1", graph_type="propertygraph")
        self.forward.create(EventId(3, 1), "running")
        self.sides: list[NeptuneSide] = []
        self.timeline = Timeline()

    def move(self, to: str = "green", policy: Policy | None = None, **limits: float) -> None:
        """One run, its sides closed at its end unless it died."""
        self.timeline = Timeline()
        ends = {name: Endpoint(name, f"{name}.example", 8182, "", "") for name in ("blue", "green")}
        wanted = policy or Policy(fence="user", quiet_interval=0.001)
        blue, green = side.pair(
            ends["blue"],
            ends["green"],
            NAMES,
            wanted,
            self.dynamodb,
            NAMES.checkpoint_table,
            {"blue": None, "green": None},
        )
        self.sides = [blue, green]
        source, target = (blue, green) if to == "green" else (green, blue)
        bounds = Limits(**{"max_lag": 2.0, "window": 5.0, "gate": 1.0, **limits})
        move = Move(source, target, Gates([]), bounds, Journal(False), self.timeline, reverse=wanted.reverse)
        try:
            source.connect()
            target.connect()
            move.run()
        except Died:
            for one in self.sides:
                if one._follower is not None:
                    one._follower.break_off()
            raise
        for one in self.sides:
            one.close()

    def refused(self, to: str = "green", **more: Any) -> BlueGreenError:
        """One run that must fail."""
        with pytest.raises(BlueGreenError) as raised:
            self.move(to, **more)
        for one in self.sides:
            one.close()
        return raised.value

    @property
    def open(self) -> tuple[bool, bool]:
        """Whether blue and green are open on record."""
        control = self.record.read()
        assert control is not None
        return control.blue_open, control.green_open


@pytest.fixture(scope="module")
def dynamodb() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        client = boto3.client("dynamodb", region_name="eu-central-1")
        client.create_table(
            TableName=NAMES.checkpoint_table,
            AttributeDefinitions=[{"AttributeName": "leaseKey", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "leaseKey", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        yield client


@pytest.fixture
def scene(dynamodb: Any, monkeypatch: pytest.MonkeyPatch) -> Scene:
    made = Scene(dynamodb)
    graphs = {"blue": made.blue, "green": made.green}
    monkeypatch.setattr(side, "Link", lambda endpoint, _sign: FakeLink(graphs[endpoint.side]))
    monkeypatch.setattr(side, "Replicator", FakeReplicator)
    monkeypatch.setattr(
        side_guardrails, "lag", lambda _client, item, _kind: Progress(item.checkpoint, None, 0, 0.0, 0, True)
    )
    return made


def before(monkeypatch: pytest.MonkeyPatch, step: str, effect: Callable[[], object]) -> None:
    """Something happens once, just before a step of a side."""
    original, done = getattr(NeptuneSide, step), list[str]()

    def patched(self: NeptuneSide, *arguments: Any) -> Any:
        if not done:
            done.append(step)
            effect()
        return original(self, *arguments)

    monkeypatch.setattr(NeptuneSide, step, patched)


def afterwards(monkeypatch: pytest.MonkeyPatch, step: str, effect: Callable[[], object]) -> None:
    """Something happens once, just after a step of a side."""
    original, done = getattr(NeptuneSide, step), list[str]()

    def patched(self: NeptuneSide, *arguments: Any) -> Any:
        found = original(self, *arguments)
        if not done:
            done.append(step)
            effect()
        return found

    monkeypatch.setattr(NeptuneSide, step, patched)


def die() -> None:
    raise Died


def test_there_and_back_and_there_again_each_write_is_on_both_sides_once(scene: Scene) -> None:
    scene.move()
    assert scene.open == (False, True)
    assert scene.green.data == scene.blue.data
    assert scene.forward.read() is None
    reverse = scene.reverse.read()
    assert reverse is not None and (reverse.desired, str(reverse.checkpoint)) == ("running", "5:1")
    scene.green.data.append("g1")
    scene.move("blue")
    assert scene.open == (True, False)
    assert scene.blue.data == scene.green.data
    assert scene.reverse.read() is None
    scene.blue.data.append("b6")
    scene.move()
    assert scene.open == (False, True)
    assert scene.green.data == scene.blue.data == [*(f"b{number}" for number in range(5)), "g1", "b6"]


def test_a_second_run_does_nothing(scene: Scene) -> None:
    scene.move()
    scene.move()
    assert scene.timeline.window_ms is None


@pytest.mark.parametrize("fence", ["none", "part"])
def test_without_a_fence_it_is_refused_and_nothing_is_changed(scene: Scene, fence: FenceKind) -> None:
    error = scene.refused(policy=Policy(fence=fence))
    assert "Neptune cannot be made read-only" in error.message and "writes_stopped" in error.message
    assert scene.open == (True, False)
    item = scene.forward.read()
    assert item is not None and (item.owner, item.desired) == ("nobody", "running")


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ({"health": "recovery"}, "should be healthy, but says recovery"),
        ({"loading": ["load-7"]}, "no bulk load should be in progress on blue.*load-7"),
    ],
)
def test_guardrails_name_what_is_wrong(scene: Scene, fault: dict[str, Any], sentence: str) -> None:
    for name, content in fault.items():
        setattr(scene.blue, name, content)
    error = scene.refused()
    assert re.search(sentence, error.message)
    assert scene.open == (True, False)


def test_a_poller_that_does_not_know_the_lease_is_refused(scene: Scene) -> None:
    policy = Policy(fence="user", quiet_interval=0.001, elsewhere=lambda: "the stack shop-replication is scheduled")
    assert "nothing should replicate but what has the lease" in scene.refused(policy=policy).message
    assert scene.open == (True, False)


def test_green_without_streams_is_refused_unless_no_way_back_is_wanted(scene: Scene) -> None:
    scene.green.streams = False
    assert "streams are off on green" in scene.refused().message
    scene.move(policy=Policy(fence="user", quiet_interval=0.001, reverse=False))
    assert scene.open == (False, True)


def test_queries_that_run_are_ended_at_the_fence(scene: Scene) -> None:
    scene.blue.queries.append("q1")
    scene.move()
    assert scene.blue.queries == [] and scene.open == (False, True)


def test_a_client_that_writes_on_behind_the_fence_gives_the_writes_back(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = itertools.count()
    original = FakeLink.head

    def written_to(self: FakeLink, graph_type: str) -> EventId:
        if self.side == "blue" and scene.open == (False, False):
            scene.blue.data.append(f"late{next(numbers)}")
        return original(self, graph_type)

    monkeypatch.setattr(FakeLink, "head", written_to)
    error = scene.refused()
    assert "blue serves, nothing is lost" in error.message and "a client still writes" in error.message
    assert scene.open == (True, False)
    assert scene.reverse.read() is None


@pytest.mark.parametrize("step", ["drain", "take_over"])
def test_one_write_behind_the_fence_gives_the_writes_back(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    if step == "take_over":
        before(monkeypatch, step, lambda: scene.blue.data.append("late"))
    else:
        original = Follower.stop

        def stop(self: Follower) -> None:
            original(self)
            scene.blue.data.append("late")

        monkeypatch.setattr(Follower, "stop", stop)
    error = scene.refused()
    assert "should be quiet behind the fence, but its stream moved" in error.message
    assert scene.open == (True, False)


def test_a_write_on_blue_after_green_has_opened_is_a_problem_that_is_told(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    afterwards(monkeypatch, "open", lambda: scene.blue.data.append("lost"))
    scene.move()
    assert scene.open == (False, True)
    (problem,) = scene.sides[1].problems
    assert "1 commits were written on blue behind its fence after green had opened" in problem


STEPS = ["lag", "prepare", "arm", "fence", "_prove_quiet", "drain", "take_over", "open", "end", "start"]


@pytest.mark.parametrize(
    ("to", "step", "when"),
    [
        *(("green", step, when) for step in STEPS for when in (before, afterwards)),
        *(("blue", step, afterwards) for step in ("fence", "drain", "open", "end")),
    ],
)
def test_killed_anywhere_the_next_run_finishes_and_no_write_is_lost(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, to: str, step: str, when: Callable[..., None]
) -> None:
    if to == "blue":
        scene.move()
        scene.green.data.append("g1")
    with monkeypatch.context() as patch:
        patch.setattr(side, "_alive", lambda _pid: False)
        when(patch, step, die)
        with pytest.raises(Died):
            scene.move(to)
        assert scene.open != (True, True)
        for one in scene.sides:
            if one._follower is not None and one._follower._thread is not None:
                one._follower._thread.join()
        scene.move(to)
    assert scene.open == ((False, True) if to == "green" else (True, False))
    assert scene.blue.data == scene.green.data
    inbound = {"green": scene.reverse, "blue": scene.forward}[to].read()
    assert inbound is not None and inbound.desired == "running"


@pytest.mark.parametrize("step", ["fence", "drain", "take_over"])
def test_a_step_that_fails_leaves_blue_serving_and_the_runner_its_lease(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail() -> None:
        raise BlueGreenError("the link was cut.")

    afterwards(monkeypatch, step, fail)
    error = scene.refused()
    assert "blue serves, nothing is lost" in error.message
    assert scene.open == (True, False)
    item = scene.forward.read()
    assert item is not None and (item.owner, item.desired) == ("nobody", "running")
    assert scene.reverse.read() is None


def test_the_runner_is_asked_to_let_go_and_does(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = scene.forward.take("runner", 60)
    original = Lease.set_desired

    def obeyed(self: Lease, state: Any) -> None:
        original(self, state)
        if state == "handed_over":
            runner.release()

    monkeypatch.setattr(Lease, "set_desired", obeyed)
    scene.move()
    assert scene.open == (False, True)


def test_a_runner_that_does_not_let_go_is_named_and_runs_on(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.forward.take("runner-7", 60)
    monkeypatch.setattr(side, "_HAND_OVER", 0.1)
    error = scene.refused()
    assert "runner-7" in error.message and "should let go of it" in error.message
    item = scene.forward.read()
    assert item is not None and (item.owner, item.desired) == ("runner-7", "running")


def test_only_a_run_of_this_host_that_is_dead_is_succeeded() -> None:
    dead = side._owner()
    assert f"{socket.gethostname()}-{os.getpid()}-" in dead
    assert side._succeeds(dead, alive=lambda _pid: False)
    assert not side._succeeds(dead, alive=lambda _pid: True)
    assert not side._succeeds("switchover-elsewhere-1-abc", alive=lambda _pid: False)
    assert not side._succeeds("lambda", alive=lambda _pid: False)


def test_green_does_not_open_while_blue_is_open(scene: Scene) -> None:
    ends = {name: Endpoint(name, f"{name}.example", 8182, "", "") for name in ("blue", "green")}
    _blue, green = side.pair(
        ends["blue"],
        ends["green"],
        NAMES,
        replace(Policy(), fence="user"),
        scene.dynamodb,
        NAMES.checkpoint_table,
        {"blue": None, "green": None},
    )
    with pytest.raises(BlueGreenError, match="green must not open while blue is open"):
        green.open()


def test_a_lease_is_taken_by_one_only(scene: Scene) -> None:
    scene.forward.take("somebody", 60)
    with pytest.raises(LeaseTaken):
        scene.forward.take("somebody else", 60)
