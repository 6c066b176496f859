# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two sides in this process: the replicator's real client, whose requests reach the lab's data plane without a network.

A run can be killed at any request to either side or to the lease, before or after it took effect; what was asked for
afterwards never arrives, as it is when a process dies.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

from ansible_collections.bluegreen.aws.plugins.module_utils._core.endpoint import Endpoint
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.connection import Client
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.events import START, EventId
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.lease import (
    NOBODY,
    Held,
    Lease,
    LeaseItem,
    LeaseLost,
    LeaseTaken,
)
from tests.lab.neptune.service import Answer, Request, Service


class Killed(Exception):
    """The process is dead."""


class Mortal:
    """The life of one run: each request may be its last."""

    def __init__(self, rng: random.Random, rate: float) -> None:
        self._rng = rng
        self._rate = rate
        self._lock = threading.Lock()
        self.dead = False

    def request(self, effect: Callable[[], Any]) -> Any:
        """Do it, unless the run is or gets killed; perhaps the run is killed after it."""
        with self._lock:
            fate = self._rng.random() if self._rate else 1.0
            if self.dead or fate < self._rate / 2:
                self.dead = True
                raise Killed
            found = effect()
            if fate < self._rate:
                self.dead = True
                raise Killed
            return found


IMMORTAL = Mortal(random.Random(0), 0)


class Wire(Client):
    """A client whose requests reach an instance in this process."""

    def __init__(self, service: Service, side: str, mortal: Mortal = IMMORTAL) -> None:
        super().__init__(Endpoint(side, f"{side}.test", 8182, "", "", ssl_mode="disable"))
        self._service = service
        self._mortal = mortal
        self.requests = 0

    def within(self, timeout: float) -> Client:
        return self

    def _exchange(self, method: str, target: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        path, _sign, query = target.partition("?")
        given = {name.lower(): value for name, value in headers.items()}
        request = Request(method, path, dict(parse_qsl(query)), body, given)
        self.requests += 1
        answer: Answer = self._mortal.request(lambda: self._service.answer(request))
        return answer.status, answer.body


class Table:
    """What is durable of leases; DynamoDB's own conditions are tested in test_lease."""

    def __init__(self) -> None:
        self.items: dict[str, LeaseItem] = {}

    def expire(self) -> None:
        """Let so much time pass that every lease can be taken."""
        self.items = {key: replace(item, expires_ms=1) for key, item in self.items.items()}


class MemoryLease(Lease):
    """A lease without DynamoDB, which would take most of the time of hundreds of runs."""

    def __init__(self, store: Table, key: str = "lease", mortal: Mortal = IMMORTAL) -> None:
        super().__init__(None, "table", key)  # type: ignore[arg-type]
        self.store = store
        self.mortal = mortal

    def read(self) -> LeaseItem | None:
        return self.store.items.get(self.key)

    def create(self, checkpoint: EventId, desired: Any = "running", replay_until: EventId | None = None) -> bool:
        self.store.items[self.key] = LeaseItem(
            checkpoint, NOBODY, 0, 0, checkpoint, replay_until or checkpoint, desired, None, 0
        )
        return True

    def take(self, owner: str, ttl: float) -> Held:
        before = self.store.items[self.key]
        if before.held(self.now_ms):
            raise LeaseTaken(f"{before.owner} has it")
        expires_ms, counter = self.now_ms + int(ttl * 1000), before.counter + 1
        item = replace(before, owner=owner, expires_ms=expires_ms, counter=counter)
        self.store.items[self.key] = item
        return MemoryHeld(self, owner, ttl, item)


class MemoryHeld(Held):
    """Its holder."""

    lease: MemoryLease

    def advance(self, checkpoint: EventId, in_flight: EventId, records: int = 0) -> None:
        assert checkpoint >= self.checkpoint >= START
        self._set(checkpoint=checkpoint, in_flight=max(in_flight, self.item.in_flight))

    def renew(self) -> None:
        self._set(expires_ms=self.lease.now_ms + int(self.ttl * 1000))

    def release(self, failure: str | None = None) -> None:
        with suppress(LeaseLost):
            self._set(owner=NOBODY, failure=failure)

    def _set(self, **changes: Any) -> None:
        def write() -> None:
            now = self.lease.store.items[self.lease.key]
            if (now.owner, now.counter) != (self.owner, self.item.counter):
                raise LeaseLost(f"{now.owner} has it")
            self.item = self.lease.store.items[self.lease.key] = replace(self.item, **changes)

        self.lease.mortal.request(write)
