# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The lease of one direction in DynamoDB: who replicates, and up to where everything is applied.

The attributes that AWS's stream poller has keep its names, so either one's checkpoint can be read by the other. Ours are
the expiry, the counter that fences an owner off who lost the lease, and what was in flight when a run ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from .._core.errors import BlueGreenError, words
from .events import START, EventId

NOBODY = "nobody"
Desired = Literal["running", "stopped", "armed", "handed_over"]
_Item = Mapping[str, Mapping[str, Any]]


class Table(Protocol):
    """A boto3 client of DynamoDB."""

    @property
    def exceptions(self) -> Any:
        """The service's exceptions as classes."""

    def get_item(self, **request: Any) -> Any:
        """Read one item."""

    def put_item(self, **request: Any) -> Any:
        """Write one item."""

    def update_item(self, **request: Any) -> Any:
        """Change one item."""

    def delete_item(self, **request: Any) -> Any:
        """Delete one item."""


class LeaseTaken(BlueGreenError):
    """Somebody else replicates."""


class LeaseLost(BlueGreenError):
    """This run does not replicate any more: somebody else took over."""


@dataclass(frozen=True)
class LeaseItem:
    """What the table says about one direction."""

    checkpoint: EventId
    owner: str
    counter: int
    expires_ms: int
    in_flight: EventId
    replay_until: EventId
    desired: str
    failure: str | None
    records: int

    @property
    def window(self) -> EventId:
        """Up to here the target may be ahead of the checkpoint: what is applied is a replay."""
        return max(self.in_flight, self.replay_until)

    def held(self, now_ms: int) -> bool:
        """Whether somebody replicates."""
        return self.owner != NOBODY and (not self.expires_ms or self.expires_ms >= now_ms)


class Lease:
    """The lease under ``key``; nothing is read or written before it is asked for."""

    def __init__(self, dynamodb: Table, table: str, key: str, clock: Callable[[], float] = time.time) -> None:
        self.table = table
        self.key = key
        self._db = dynamodb
        self._clock = clock

    @property
    def now_ms(self) -> int:
        """The time as the table holds it."""
        return int(self._clock() * 1000)

    def read(self) -> LeaseItem | None:
        """The item, None when there is none."""
        with self._told():
            found = self._db.get_item(TableName=self.table, Key=self._key, ConsistentRead=True)
        return _item(found["Item"]) if found.get("Item") else None

    def create(self, checkpoint: EventId, desired: Desired = "stopped", replay_until: EventId | None = None) -> bool:
        """Make the item with its first checkpoint; False when there is one, which stays as it is."""
        item: dict[str, dict[str, str]] = {
            **self._key,
            "checkpoint": {"N": str(checkpoint.commit)},
            "checkpointSubSequenceNumber": {"N": str(checkpoint.op)},
            "leaseOwner": {"S": NOBODY},
            "leaseCounter": {"N": "0"},
            "leaseExpiry": {"N": "0"},
            "lastUpdateTime": {"N": str(self.now_ms)},
            "inFlight": {"S": str(checkpoint)},
            "replayUntil": {"S": str(replay_until or checkpoint)},
            "desired": {"S": desired},
            "recordsApplied": {"N": "0"},
        }
        with self._told():
            try:
                self._db.put_item(TableName=self.table, Item=item, ConditionExpression="attribute_not_exists(leaseKey)")
            except self._db.exceptions.ConditionalCheckFailedException:
                return False
        return True

    def take(self, owner: str, ttl: float) -> Held:
        """Own the lease for ``ttl`` seconds; raises :class:`LeaseTaken` while somebody else does."""
        if self.read() is None:
            raise BlueGreenError(
                f"The checkpoint table {self.table} should hold the lease {self.key}, but does not: replication was never "
                "positioned or was removed; run state=positioned, or build green anew if it was running."
            )
        now = self.now_ms
        with self._told():
            try:
                found = self._update(
                    "SET leaseOwner = :me, leaseExpiry = :expiry, lastUpdateTime = :now ADD leaseCounter :one",
                    "leaseOwner = :nobody OR leaseOwner = :me OR (leaseExpiry < :now AND leaseExpiry > :zero)",
                    me={"S": owner},
                    expiry={"N": str(now + int(ttl * 1000))},
                    now={"N": str(now)},
                    one={"N": "1"},
                    nobody={"S": NOBODY},
                    zero={"N": "0"},
                )
            except self._db.exceptions.ConditionalCheckFailedException:
                raise self._taken(ttl) from None
        return Held(self, owner, ttl, _item(found["Attributes"]))

    def reposition(self, checkpoint: EventId, desired: Desired) -> None:
        """Set the checkpoint of a lease that nobody holds, also backwards; makes the item when there is none.

        For a direction that begins anew, such as the reverse one when green opens.
        """
        if self.create(checkpoint, desired):
            return
        with self._told():
            try:
                self._update(
                    "SET checkpoint = :commit, checkpointSubSequenceNumber = :op, inFlight = :at, replayUntil = :at,"
                    " desired = :desired, lastUpdateTime = :now, recordsApplied = :none ADD leaseCounter :one REMOVE failure",
                    "leaseOwner = :nobody OR (leaseExpiry < :now AND leaseExpiry > :none)",
                    commit={"N": str(checkpoint.commit)},
                    op={"N": str(checkpoint.op)},
                    at={"S": str(checkpoint)},
                    desired={"S": desired},
                    now={"N": str(self.now_ms)},
                    none={"N": "0"},
                    one={"N": "1"},
                    nobody={"S": NOBODY},
                )
            except self._db.exceptions.ConditionalCheckFailedException:
                raise self._taken(0) from None

    def set_desired(self, state: Desired) -> None:
        """Say what runners shall do; the holder finds it at its next page."""
        with self._told():
            try:
                self._update("SET desired = :state", "attribute_exists(leaseKey)", state={"S": state})
            except self._db.exceptions.ConditionalCheckFailedException:
                raise BlueGreenError(
                    f"The lease {self.key} in {self.table} was to be {state}, but there is none: run state=positioned first."
                ) from None

    def delete(self) -> None:
        """Remove the item; nothing when there is none."""
        with self._told():
            self._db.delete_item(TableName=self.table, Key=self._key)

    @property
    def _key(self) -> dict[str, dict[str, str]]:
        return {"leaseKey": {"S": self.key}}

    def _taken(self, ttl: float) -> LeaseTaken:
        item = self.read()
        owner = item.owner if item else NOBODY
        left = max(0.0, (item.expires_ms - self.now_ms) / 1000) if item else 0.0
        lasts = f"for {left:.0f} s more unless it goes on" if item and item.expires_ms else "without an end"
        return LeaseTaken(
            f"The lease {self.key} in {self.table} is needed, but {owner} holds it {lasts}: only one may replicate; wait for "
            "it, or stop it."
        )

    def _update(self, change: str, condition: str, **values: dict[str, str]) -> Any:
        return self._db.update_item(
            TableName=self.table,
            Key=self._key,
            UpdateExpression=change,
            ConditionExpression=condition,
            ExpressionAttributeValues={f":{name}": value for name, value in values.items()},
            ReturnValues="ALL_NEW",
        )

    @contextmanager
    def _told(self) -> Iterator[None]:
        with told(self._db, self.table):
            yield


class Held:
    """A lease that is ours until it expires. Every write proves that it still is: a stale owner changes nothing."""

    def __init__(self, lease: Lease, owner: str, ttl: float, item: LeaseItem) -> None:
        self.lease = lease
        self.owner = owner
        self.ttl = ttl
        self.item = item
        self._counter = item.counter

    @property
    def checkpoint(self) -> EventId:
        """Up to here everything is on the target."""
        return self.item.checkpoint

    @property
    def left(self) -> float:
        """Seconds until it expires unless it is renewed."""
        return max(0.0, (self.item.expires_ms - self.lease.now_ms) / 1000)

    def advance(self, checkpoint: EventId, in_flight: EventId, records: int = 0) -> None:
        """Everything up to ``checkpoint`` is applied, what is up to ``in_flight`` is about to be; renews the lease.

        Raises :class:`LeaseLost` when somebody else holds it, or when the checkpoint would go backwards.
        """
        self._write(
            "SET checkpoint = :commit, checkpointSubSequenceNumber = :op, inFlight = :flight, leaseExpiry = :expiry,"
            " lastUpdateTime = :now ADD recordsApplied :records REMOVE failure",
            " AND (checkpoint < :commit OR (checkpoint = :commit AND checkpointSubSequenceNumber <= :op))",
            commit={"N": str(checkpoint.commit)},
            op={"N": str(checkpoint.op)},
            flight={"S": str(max(in_flight, self.item.in_flight))},
            records={"N": str(records)},
        )

    def renew(self) -> None:
        """Hold it for another ``ttl``; raises :class:`LeaseLost`."""
        self._write("SET leaseExpiry = :expiry, lastUpdateTime = :now", "")

    def release(self, failure: str | None = None) -> None:
        """Give it back, saying why if the run failed; nothing when somebody else holds it by now."""
        change = "SET leaseOwner = :nobody, leaseExpiry = :zero, lastUpdateTime = :now"
        values = {"nobody": {"S": NOBODY}, "zero": {"N": "0"}}
        if failure:
            change, values = f"{change}, failure = :failure", {**values, "failure": {"S": failure}}
        try:
            self._write(change, "", expiry=None, **values)
        except LeaseLost:
            pass

    def _write(self, change: str, condition: str, **values: dict[str, str] | None) -> None:
        lease = self.lease
        now = lease.now_ms
        given = {
            "me": {"S": self.owner},
            "fence": {"N": str(self._counter)},
            "now": {"N": str(now)},
            "expiry": {"N": str(now + int(self.ttl * 1000))},
            **values,
        }
        with told(lease._db, lease.table):
            try:
                found = lease._update(
                    change,
                    f"leaseOwner = :me AND leaseCounter = :fence{condition}",
                    **{name: value for name, value in given.items() if value is not None},
                )
            except lease._db.exceptions.ConditionalCheckFailedException:
                raise self._lost() from None
        self.item = _item(found["Attributes"])

    def _lost(self) -> LeaseLost:
        item = self.lease.read()
        found = "it is gone" if item is None else f"{item.owner} has it, at {item.checkpoint}"
        return LeaseLost(
            f"The lease {self.lease.key} should still be held by {self.owner} at {self.checkpoint}, but {found}: this run "
            "stops; nothing is lost."
        )


@contextmanager
def told(dynamodb: Table, table: str) -> Iterator[None]:
    """What DynamoDB refuses becomes a sentence."""
    try:
        yield
    except dynamodb.exceptions.ResourceNotFoundException:
        raise BlueGreenError(
            f"The checkpoint table {table} is needed, but there is none: run state=prepared, or correct checkpoint_table."
        ) from None
    except dynamodb.exceptions.ClientError as error:
        raise BlueGreenError(
            f"The checkpoint table {table} was to be read or written, but DynamoDB refuses: {words(error)}; check the "
            "permissions and that the table's key is leaseKey."
        ) from None


def number(item: _Item, name: str, default: int = 0) -> int:
    """A number of an item, also when it was written as a string, as AWS's poller does at first."""
    found = item.get(name, {})
    return int(found.get("N") or found.get("S") or default)


def string(item: _Item, name: str) -> str | None:
    """A string of an item, None when it has none."""
    found = item.get(name, {}).get("S")
    return None if found is None else str(found)


def _item(found: _Item) -> LeaseItem:
    checkpoint = EventId(number(found, "checkpoint"), number(found, "checkpointSubSequenceNumber"))
    return LeaseItem(
        checkpoint=checkpoint,
        owner=string(found, "leaseOwner") or NOBODY,
        counter=number(found, "leaseCounter"),
        expires_ms=number(found, "leaseExpiry"),
        in_flight=EventId.parse(string(found, "inFlight") or str(START)),
        replay_until=EventId.parse(string(found, "replayUntil") or str(START)),
        desired=string(found, "desired") or "running",
        failure=string(found, "failure"),
        records=number(found, "recordsApplied"),
    )
