# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The states, step by step, on a DynamoDB of moto; what applies records is tested elsewhere and stands in here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import boto3
import pytest
from moto import mock_aws

from ansible_collections.bluegreen.aws.plugins.module_utils._aws.api import Api
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.checkpoint_table import CheckpointTable
from ansible_collections.bluegreen.aws.plugins.module_utils._core.checks import Check, failed
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError, WaitTimeout
from ansible_collections.bluegreen.aws.plugins.module_utils._core.journal import Journal
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._core.waiting import Deadline
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune import replicate
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.deployment import Request, Tools, reach
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.events import START, EventId
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.lease import Lease
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.progress import Progress
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.record import Record
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.replicate import Follow
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.replicator import Options

from .fake_side import FakeSide

NAMES = Names.of("shop-v14")
FOLLOW = Follow("propertygraph", None, True, 0.3, 0.01, Options("me"), None)


class OneByOne:
    """A replicator that applies an event per page, to nothing; it stalls at ``stall``."""

    stall: EventId | None = None

    def __init__(self, source: FakeSide, _target: Any, lease: Lease, _graph_type: str, options: Options) -> None:
        self._source, self._lease, self._options = source, lease, options

    def run(self, until: Callable[[Progress], bool], deadline: Deadline) -> Progress:
        held = self._lease.take(self._options.owner, 60)
        try:
            while True:
                head = self._source.head() if self._source.events else None
                at = held.checkpoint
                left = len([event for event in self._source.events if EventId(*event) > at])
                progress = Progress(at, head, left, 9.0 if left else 0.0, held.item.records, not left)
                if until(progress) or deadline.passed:
                    return progress
                following = [EventId(*event) for event in self._source.events if EventId(*event) > at]
                if following and following[0] != self.stall:
                    held.advance(following[0], following[0], 1)
        finally:
            held.release()


class World:
    """A deployment's blue and green, and what runs the states on them."""

    def __init__(self) -> None:
        self.blue, self.green = FakeSide(), FakeSide("green")
        self.dynamodb = boto3.client("dynamodb", region_name="eu-central-1")
        self.table = CheckpointTable(Api(self.dynamodb), NAMES.checkpoint_table, NAMES.deployment_id)
        self.control_plane: list[Check] = []
        self.lines: list[str] = []
        self.journal = Journal(False)

    def reach(self, state: str, *, check: bool = False, force: bool = False, **more: Any) -> dict[str, Any]:
        self.journal = Journal(check)
        follow = replace(
            FOLLOW, **{key: more.pop(key) for key in list(more) if key in ("max_lag", "wait", "graph_type")}
        )
        request = Request(state, "shop", more.get("position"), force, follow)
        tools = Tools(self.dynamodb, self.table, lambda: self.control_plane, self.lines.append)
        return reach(request, self.blue.client, self.green.client, NAMES, self.journal, tools)

    @property
    def actions(self) -> list[str]:
        return self.journal.actions

    def lease(self, direction: Any = "forward") -> Lease:
        return Lease(self.dynamodb, NAMES.checkpoint_table, NAMES.lease_key(direction))

    def record(self) -> Record:
        return Record(self.dynamodb, NAMES.checkpoint_table, NAMES.control_key)

    def positioned(self) -> None:
        self.reach("prepared")
        self.green = self.blue.clone()
        self.reach("positioned")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(replicate, "Replicator", OneByOne)
    monkeypatch.setattr(OneByOne, "stall", None)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield World()


def test_prepared_makes_the_table_and_writes_first_into_an_empty_stream(world: World) -> None:
    world.reach("prepared", check=True)
    foreseen = list(world.actions)
    assert world.blue.events == [] and world.table.status() is None
    world.reach("prepared")
    assert (
        world.actions
        == foreseen
        == [
            "write a first element on blue, urn:bluegreen:marker:shop-v14, its stream is empty",
            "create DynamoDB table shop-v14-streams",
        ]
    )
    assert world.blue.events and world.table.status() == "ACTIVE"
    world.reach("prepared")
    assert world.actions == []


def test_prepared_changes_nothing_when_a_guardrail_fails(world: World) -> None:
    world.control_plane = [failed("aws_x", "it is not so", "do this")]
    world.blue.loads = ["l-1"]
    with pytest.raises(
        BlueGreenError, match=r"nothing was changed: it is not so \(do this\); No bulk load should be"
    ) as no:
        world.reach("prepared")
    assert {check["id"] for check in no.value.details["checks"]} >= {"aws_x", "blue_bulk_load", "blue_streams"}
    assert world.blue.events == [] and world.table.status() is None


def test_the_position_is_committed_once_and_never_replaced(world: World) -> None:
    world.blue.events = [(1, 1), (2, 1)]
    world.positioned()
    assert world.actions == [
        "record position 2:1 of blue's propertygraph stream, checked by event",
        "create the checkpoint of blue to green at 2:1",
    ]
    world.blue.events += [(3, 1)]
    world.green.events += [(3, 1)]  # an upgrade, or replication, wrote there
    result = world.reach("positioned", position="2:1")
    assert (world.actions, result["checkpoint"], result["replication"]["position"]) == ([], "2:1", "2:1")
    with pytest.raises(BlueGreenError, match=r"on record as 2:1, but the option position says 3:1"):
        world.reach("positioned", position="3:1")
    with pytest.raises(BlueGreenError, match="give graph_type as before"):
        world.reach("positioned", graph_type="rdf")


def test_a_checkpoint_that_is_gone_begins_anew_from_the_position_and_replays(world: World) -> None:
    world.blue.events = [(1, 1)]
    world.positioned()
    world.blue.events += [(2, 1)]
    world.lease().delete()
    with pytest.raises(BlueGreenError, match="its checkpoint is gone"):
        world.reach("running")
    world.reach("positioned")
    item = world.lease().read()
    assert item is not None and (item.checkpoint, item.replay_until) == (EventId(1, 1), EventId(2, 1))


def test_running_needs_the_position(world: World) -> None:
    world.reach("prepared")
    with pytest.raises(BlueGreenError, match=r"state=positioned first, before any upgrade of green"):
        world.reach("running")


def test_running_applies_what_blue_has_and_says_so_once(world: World) -> None:
    world.blue.events = [(1, 1)]
    world.positioned()
    world.blue.events += [(2, 1), (3, 1)]
    foreseen = world.reach("running", check=True)
    assert foreseen["replication"]["lag"]["commits"] == 2
    assert world.actions == [
        "start replication from blue to green at 1:1",
        "apply what blue's stream holds after 1:1 up to 3:1",
    ]
    result = world.reach("running")
    assert world.actions == ["start replication from blue to green at 1:1", "apply 2 records on green, up to 3:1"]
    assert result["checkpoint"] == "3:1"
    assert result["replication"] == {
        "running": True,
        "direction": "forward",
        "position": "1:1",
        "lag": {"seconds": 0.0, "commits": 0},
        "error": None,
    }
    world.reach("running", check=True)
    assert world.actions == []
    world.reach("running")
    assert world.actions == []


def test_a_run_that_was_too_slow_says_where_it_is_and_goes_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.blue.events = [(1, 1)]
    world.positioned()
    world.blue.events += [(2, 1), (3, 1)]
    monkeypatch.setattr(OneByOne, "stall", EventId(3, 1))
    with pytest.raises(WaitTimeout, match=r"at 2:1 of 3:1, 1 commits and 9\.0 s behind: run it again"):
        world.reach("running", max_lag=2)
    assert world.actions[-1] == "apply 1 record on green, up to 2:1"
    monkeypatch.setattr(OneByOne, "stall", None)
    world.reach("running", max_lag=2)
    assert world.actions == ["apply 1 record on green, up to 3:1"]


def test_stopped_stays_where_it_is(world: World) -> None:
    world.blue.events = [(1, 1)]
    world.positioned()
    world.reach("running")
    result = world.reach("stopped")
    assert world.actions == ["stop replication from blue to green at 1:1"]
    assert result["replication"]["running"] is False
    world.reach("stopped")
    assert world.actions == []


def test_stopped_waits_for_the_one_who_applies(world: World) -> None:
    world.positioned()
    world.reach("running")
    held = world.lease().take("another-run", 60)
    with pytest.raises(WaitTimeout, match="last saw another-run at"):
        world.reach("stopped")
    held.release()
    world.reach("stopped")


def test_after_a_switchover_nothing_is_done(world: World) -> None:
    world.positioned()
    world.record().commit(blue_open=False, green_open=True, opened_green="7:1")
    for state in ("prepared", "positioned", "running", "stopped"):
        result = world.reach(state)
        assert world.actions == []
        assert f"nothing to do for state={state}" in result["msg"]
        assert result["serving"] == "green"


def test_absent_leaves_nothing_and_needs_force_for_the_way_back(world: World) -> None:
    world.positioned()
    world.record().commit(blue_open=False, green_open=True, opened_green="7:1")
    world.lease("reverse").create(START, "running")
    with pytest.raises(BlueGreenError, match=r"the way back to blue goes with it: roll back first, or give force=true"):
        world.reach("absent")
    assert world.table.status() == "ACTIVE"
    world.reach("absent", check=True, force=True)
    foreseen = list(world.actions)
    world.reach("absent", force=True)
    assert (
        world.actions
        == foreseen
        == [
            "delete the forward checkpoint 1:1",
            "delete the reverse checkpoint 0:0",
            "delete the control record of shop-v14",
            "delete urn:bluegreen:marker:shop-v14 on blue",
            "delete urn:bluegreen:marker:shop-v14 on green",
            "delete DynamoDB table shop-v14-streams",
        ]
    )
    assert (world.table.status(), world.blue.marked, world.green.marked) == (None, False, False)
    world.reach("absent")
    assert world.actions == []
