# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lease on DynamoDB: one owner, a checkpoint that only moves forward, a stale owner that changes nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import boto3
import moto
import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.events import START, EventId, whole
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.lease import Lease, LeaseLost, LeaseTaken
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.record import Control, Record
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.status import replication_of

NAMES = Names.of("shop-green")


class Clock:
    """A time that passes when told to."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class OneAtATime:
    """A DynamoDB whose requests are atomic, as the service's are and moto's are not."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        if name == "exceptions":
            return found

        def request(**given: Any) -> Any:
            with self._lock:
                return found(**given)

        return request


@pytest.fixture(scope="module")
def dynamodb() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "test")
        patch.delenv("AWS_ENDPOINT_URL", raising=False)
        with moto.mock_aws():
            client = boto3.client("dynamodb", region_name="eu-west-1")
            client.create_table(
                TableName=NAMES.checkpoint_table,
                KeySchema=[{"AttributeName": "leaseKey", "KeyType": "HASH"}],
                AttributeDefinitions=[{"AttributeName": "leaseKey", "AttributeType": "S"}],
                BillingMode="PAY_PER_REQUEST",
            )
            yield OneAtATime(client)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lease(dynamodb: Any, clock: Clock) -> Lease:
    found = Lease(dynamodb, NAMES.checkpoint_table, NAMES.lease_key("forward"), clock)
    found.delete()
    return found


def test_names_of_a_deployment() -> None:
    assert NAMES.checkpoint_table == "shop-green-streams"
    assert (NAMES.lease_key("forward"), NAMES.lease_key("reverse")) == ("shop-green-forward", "shop-green-reverse")
    assert NAMES.control_key == "shop-green-control"
    assert NAMES.replication_stack == "shop-green-replication"
    assert NAMES.log_group == "/aws/neptune/shop-green"


@pytest.mark.parametrize("text", ["", "12", "a:1", "1:", "-1:2", "1:2:3", "1.5:2"])
def test_what_is_no_event_id_is_refused(text: str) -> None:
    with pytest.raises(BlueGreenError, match=r"commit:op"):
        EventId.parse(text)


def test_event_ids_are_in_the_order_of_the_stream() -> None:
    assert START < EventId(1, 1) < EventId(1, 2) < whole(1) < EventId(2, 1) < EventId(10, 1)
    assert EventId.parse(str(EventId(12, 3))) == EventId(12, 3)


def test_a_lease_is_made_once(lease: Lease) -> None:
    assert lease.read() is None
    assert replication_of(lease.read()) == "gone"
    assert lease.create(EventId(10, 2), "stopped", replay_until=EventId(12, 1))
    assert not lease.create(START)
    item = lease.read()
    assert item is not None
    assert (item.checkpoint, item.window, item.owner) == (EventId(10, 2), EventId(12, 1), "nobody")
    assert replication_of(item) == "stopped"


def test_attributes_are_those_of_the_service_s_own_poller(dynamodb: Any, lease: Lease) -> None:
    lease.create(EventId(10, 2))
    lease.take("me", 60).advance(EventId(11, 3), EventId(12, 1), 5)
    item = dynamodb.get_item(TableName=lease.table, Key={"leaseKey": {"S": lease.key}})["Item"]
    assert item["checkpoint"] == {"N": "11"}
    assert item["checkpointSubSequenceNumber"] == {"N": "3"}
    assert item["leaseOwner"] == {"S": "me"}
    assert item["inFlight"] == {"S": "12:1"}
    assert set(item["lastUpdateTime"]) == {"N"}


def test_a_lease_that_the_service_s_own_poller_wrote_is_understood(dynamodb: Any, lease: Lease) -> None:
    item = {
        "leaseKey": {"S": lease.key},
        "checkpoint": {"S": "7"},
        "checkpointSubSequenceNumber": {"N": "2"},
        "leaseOwner": {"S": "NeptuneStream"},
        "lastUpdateTime": {"N": "1"},
    }
    dynamodb.put_item(TableName=lease.table, Item=item)
    found = lease.read()
    assert found is not None
    assert (found.checkpoint, found.owner, found.window) == (EventId(7, 2), "NeptuneStream", START)
    with pytest.raises(LeaseTaken, match=r"NeptuneStream holds it without an end"):
        lease.take("me", 60)


def test_a_held_lease_is_refused_and_an_expired_one_is_taken_over(lease: Lease, clock: Clock) -> None:
    lease.create(EventId(10, 1))
    first = lease.take("first", 60)
    with pytest.raises(LeaseTaken, match=r"first holds it for 60 s more"):
        lease.take("second", 60)
    clock.now += 61
    second = lease.take("second", 60)
    with pytest.raises(LeaseLost, match=r"second has it"):
        first.advance(EventId(11, 1), EventId(11, 1))
    with pytest.raises(LeaseLost, match=r"second has it"):
        first.renew()
    first.release()  # not its own any more
    second.advance(EventId(12, 1), EventId(13, 1))
    item = lease.read()
    assert item is not None
    assert (item.owner, item.checkpoint, item.counter) == ("second", EventId(12, 1), 2)


def test_a_name_that_is_used_twice_is_told_apart(lease: Lease) -> None:
    lease.create(EventId(10, 1))
    first = lease.take("me", 60)
    again = lease.take("me", 60)
    with pytest.raises(LeaseLost):
        first.advance(EventId(11, 1), EventId(11, 1))
    again.advance(EventId(11, 1), EventId(11, 1))


def test_a_checkpoint_only_moves_forward(lease: Lease) -> None:
    lease.create(EventId(10, 5))
    held = lease.take("me", 60)
    held.advance(EventId(10, 5), EventId(11, 9))
    held.advance(EventId(10, 6), EventId(10, 6))
    assert held.item.in_flight == EventId(11, 9)
    for back in (EventId(10, 5), EventId(9, 9)):
        with pytest.raises(LeaseLost):
            held.advance(back, EventId(12, 1))


def test_only_one_of_many_gets_it(lease: Lease) -> None:
    lease.create(START)
    won: list[str] = []

    def race(name: str) -> None:
        try:
            won.append(lease.take(name, 60).owner)
        except LeaseTaken:
            pass

    racers = [threading.Thread(target=race, args=(f"racer {number}",)) for number in range(8)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert len(won) == 1


def test_a_released_lease_tells_why(lease: Lease) -> None:
    lease.create(EventId(10, 1), "running")
    lease.take("me", 60).release("green is full")
    item = lease.read()
    assert item is not None
    assert (item.owner, item.failure, replication_of(item)) == ("nobody", "green is full", "running")
    lease.set_desired("stopped")
    held = lease.take("other", 60)
    assert held.item.desired == "stopped"
    held.advance(EventId(10, 2), EventId(10, 2))
    assert held.item.failure is None


def test_a_direction_begins_anew_only_when_nobody_replicates(lease: Lease) -> None:
    lease.create(EventId(10, 1), "armed")
    held = lease.take("me", 60)
    with pytest.raises(LeaseTaken):
        lease.reposition(EventId(5, 1), "running")
    held.release()
    lease.reposition(EventId(5, 1), "running")
    item = lease.read()
    assert item is not None
    assert (item.checkpoint, item.window, item.desired) == (EventId(5, 1), EventId(5, 1), "running")


def test_what_is_missing_is_said(dynamodb: Any, lease: Lease) -> None:
    with pytest.raises(BlueGreenError, match=r"should hold the lease shop-green-forward"):
        lease.take("me", 60)
    with pytest.raises(BlueGreenError, match=r"there is none: run state=positioned"):
        lease.set_desired("stopped")
    with pytest.raises(BlueGreenError, match=r"The checkpoint table gone is needed"):
        Lease(dynamodb, "gone", "key").read()


def test_the_control_record_is_changed_by_one_at_a_time(dynamodb: Any) -> None:
    record = Record(dynamodb, NAMES.checkpoint_table, NAMES.control_key)
    assert record.read() is None
    first = record.commit(position="3:1", graph_type="rdf")
    assert first == Control(position="3:1", graph_type="rdf", revision=1)
    assert record.commit(seen=first, blue_open=False).blue_open is False
    with pytest.raises(BlueGreenError, match=r"somebody else changed it"):
        record.commit(seen=first, green_open=True)
    after = record.commit(position=None, opened_green="4:2", green_open=True)
    assert after == Control(None, "rdf", False, True, None, "4:2", 3)
    record.delete()
    assert record.read() is None
