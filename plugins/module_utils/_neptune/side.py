# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""One side of an Amazon Neptune deployment, as the switchover sees it.

Neptune cannot be made read-only. What keeps clients from writing is a gate that has cut their connections, or the user who
says that they have stopped; either way the end of the stream proves it: queries that run are ended, and the head, read on the
writer, must not move, before the other side has applied everything and after it. Which side is open is on record in the table
of the checkpoints, in one item, so that it changes from one side to the other in one step each and never to both.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from .._core.checks import Check
from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError
from .._core.names import Direction, Names
from .._core.side import SideFacts, TakenOver
from .._core.waiting import Deadline
from .connection import GraphType, Signer
from .events import START, EventId
from .lease import Lease, LeaseItem, Table
from .record import Control, Record
from .replicator import Options, Replicator
from .side_follow import Follower
from .side_guardrails import switchover_checks
from .side_link import Link
from .side_policy import Policy
from .status import replication_of

_LOOKS = 2  # equal looks at the head, ``quiet_interval`` apart, that prove that nobody writes
_PATIENCE = 20  # looks; what still moves by then is a client that writes past the gate
_CLOSER = 0.8  # of the commits that it was behind before, else it does not catch up
_HAND_OVER = 60.0  # s for a runner to end its page and let go of the lease
_END = 10.0  # s for the last requests of a run that died
_TTL = 30.0  # s after which another host takes the lease of a run that died
_OWNER = re.compile(r"switchover-(?P<host>.+)-(?P<pid>\d+)-[0-9a-f]{8}")


def pair(
    blue: Endpoint,
    green: Endpoint,
    names: Names,
    policy: Policy,
    dynamodb: Table,
    table: str,
    signers: Mapping[str, Signer | None],
) -> tuple[NeptuneSide, NeptuneSide]:
    """Blue and green of a deployment, not connected yet; ``signers`` by side, None without IAM authentication."""
    record = Record(dynamodb, table, names.control_key)
    leases: dict[Direction, Lease] = {
        "forward": Lease(dynamodb, table, names.lease_key("forward")),
        "reverse": Lease(dynamodb, table, names.lease_key("reverse")),
    }
    return (
        NeptuneSide(blue, policy, record, leases["reverse"], signers["blue"]),
        NeptuneSide(green, policy, record, leases["forward"], signers["green"]),
    )


class NeptuneSide:
    """Implements :class:`Side`; ``inbound`` is the lease of the replication into it."""

    def __init__(self, endpoint: Endpoint, policy: Policy, record: Record, inbound: Lease, sign: Signer | None) -> None:
        self.name = endpoint.side
        self.endpoint = endpoint
        self.problems: list[str] = []
        """What a person must look at, although the traffic has moved."""
        self._policy, self._record, self._inbound, self._sign = policy, record, inbound, sign
        self._link: Link | None = None
        self._graph_type: GraphType | None = policy.graph_type
        self._follower: Follower | None = None
        self._quiet = False  # whether this run has proved that nobody writes here
        self._at: EventId | None = None  # the end of the stream here that the peer has reached

    # -- connections

    def connect(self) -> None:
        """Open the connection that the window needs and see that it leads to the writer."""
        self._link = Link(self.endpoint, self._sign)
        if self._graph_type is None:
            self._graph_type = "rdf" if self._control().graph_type == "rdf" else "propertygraph"
        self._link.status()

    def close(self) -> None:
        """Give the lease back, so that a runner goes on, and close the connections."""
        if self._follower is not None:
            self._follower.close()
        if self._link is not None:
            self._link.close()

    def abandon(self) -> None:
        """Break every connection, from whatever thread."""
        if self._follower is not None:
            self._follower.break_off()
        if self._link is not None:
            self._link.sever()

    # -- looking

    def facts(self, peer: NeptuneSide) -> SideFacts:
        """What is on record: who is open, the replication into here, where it was opened."""
        control = self._control()
        return SideFacts(self._is_open(control), replication_of(self._inbound.read()), self._opened(control))

    def guardrails(self, peer: NeptuneSide) -> list[Check]:
        """Read-only checks before traffic moves from here to ``peer``."""
        return switchover_checks(self.link, peer.link, peer._inbound.read(), self._policy, self.graph_type)

    def lag(self, peer: NeptuneSide, limit: float) -> float:
        """Seconds until ``peer`` has applied what is here now; this process takes over from the runner for it.

        A side that is far behind, because nothing replicated since, gets the time that it needs as long as it comes closer.
        Raises :class:`BlueGreenError` when it does not within ``limit``, or when the stream is no longer whole.
        """
        follower = peer._follow(self)
        behind = float("inf")
        while True:
            began, end = time.monotonic(), self._head()
            try:
                follower.wait_for(end, Deadline(limit))
                return time.monotonic() - began
            except BlueGreenError:
                left = float(self._head().commit - follower.checkpoint.commit)
                if not follower.following or left > behind * _CLOSER:
                    raise
                behind = left

    # -- before and after the window

    def prepare(self, peer: NeptuneSide) -> None:
        """Replication runs in this process from here on; the measuring of the lag has begun it."""
        peer._follow(self)

    def arm(self, peer: NeptuneSide) -> None:
        """The lease of the replication from ``peer``, which nobody may run before it is known where it begins."""
        self._inbound.reposition(START, "armed")

    def start(self, peer: NeptuneSide) -> None:
        """The armed replication begins where ``peer`` opened: until then both sides were the same."""
        opened = peer._opened(self._control())
        if opened is None:
            raise BlueGreenError(f"The position at which {peer.name} opened should be on record, but is not.")
        self._inbound.reposition(EventId.parse(opened), "running")

    def end(self, peer: NeptuneSide) -> None:
        """Give up the replication from ``peer``; what was written there behind its fence is a problem that is told."""
        lease = self._inbound.read()
        control = self._control()
        moved = self._is_open(control) and not peer._is_open(control)
        if lease is not None and lease.desired != "armed" and moved:
            self._look_behind(peer, lease)
        if self._follower is not None:
            self._follower.close()
            self._follower = None
        self._inbound.delete()

    # -- the window

    def fence(self, deadline: Deadline) -> None:
        """Closed on record, and proved to be quiet: clients were cut off by the gate, or were stopped by the user."""
        self._commit(f"{self.name}_open", False)
        self._prove_quiet(deadline)

    def unfence(self) -> None:
        """Open on record; it was so before."""
        self._quiet = False
        self._open_on_record()

    def drain(self, peer: NeptuneSide, deadline: Deadline) -> None:
        """``peer`` has applied everything up to the end of the stream here, which has not moved meanwhile."""
        if not self._quiet:
            self._prove_quiet(deadline)  # a run that died had closed it: nothing is known of it
        follower = peer._follow(self, deadline)
        end = self._head()
        follower.wait_for(end, deadline)
        follower.stop()  # what green's stream ends with is known from here on
        self._must_not_have_moved(end)
        self._at = end

    def take_over(self, peer: NeptuneSide) -> TakenOver:
        """The end of the stream here, committed before anything can be written."""
        position = self._position()
        self._commit(f"opened_{self.name}", str(position))
        if peer._at is not None:
            peer._must_not_have_moved(peer._at)
        said = {"gate": "the gate that cut the clients", "user": "the user, who stopped the writes"}
        return TakenOver(
            str(position),
            (f"{peer.name} is quiet at {peer._at}, fenced by {said.get(self._policy.fence, 'an earlier run')}",),
        )

    def open(self) -> None:
        """Open on record; the gate leads clients here after it."""
        self._open_on_record()

    # -- details

    @property
    def link(self) -> Link:
        """The cluster; raises :class:`BlueGreenError` when it is not connected."""
        if self._link is None:
            raise BlueGreenError(f"{self.name} should be connected, but is not.")
        return self._link

    @property
    def graph_type(self) -> GraphType:
        """What of the graph is replicated."""
        if self._graph_type is None:
            raise BlueGreenError(f"{self.name} should be connected, but is not.")
        return self._graph_type

    def _control(self) -> Control:
        found = self._record.read()
        if found is None:
            raise BlueGreenError(
                "The deployment should have its control record in the table of the checkpoints, but has none: it was not "
                "prepared by bluegreen.aws.neptune_streams_replication, its clean-up has run, or checkpoint_table names "
                "another table."
            )
        return found

    def _commit(self, field: str, content: bool | str, seen: Control | None = None) -> None:
        changes: dict[str, Any] = {field: content}
        self._record.commit(seen=seen, **changes)

    def _is_open(self, control: Control) -> bool:
        return control.blue_open if self.name == "blue" else control.green_open

    def _opened(self, control: Control) -> str | None:
        return (control.opened_blue if self.name == "blue" else control.opened_green) or None

    def _open_on_record(self) -> None:
        other = "green" if self.name == "blue" else "blue"
        control = self._control()
        if control.green_open if other == "green" else control.blue_open:
            raise BlueGreenError(f"{self.name} must not open while {other} is open on record, but {other} is.")
        self._commit(f"{self.name}_open", True, control)

    def _head(self) -> EventId:
        return self.link.head(self.graph_type)

    def _position(self) -> EventId:
        try:
            return self._head()
        except BlueGreenError:
            if self._policy.reverse:
                raise
            return START  # without its stream nothing can be brought back, and nothing is wanted to be

    def _follow(self, source: NeptuneSide, deadline: Deadline | None = None) -> Follower:
        """Apply what is written on ``source`` here, in this process, until :meth:`close`."""
        if self._follower is not None and self._follower.following:
            return self._follower
        if self._follower is not None:
            self._follower.close()
        item = self._inbound.read()
        owner = _owner()
        if item is not None and _succeeds(item.owner):
            owner = item.owner
            self.link.end_queries(
                self.graph_type, Deadline(_END)
            )  # what it had sent must not arrive after what is sent now
        options = Options(lanes=self._policy.lanes, owner=owner, lease_ttl=_TTL)
        replicator = Replicator(source.link.client, self.link.client, self._inbound, self.graph_type, options)
        self._follower = Follower(replicator, source.name, self.name)
        self._follower.start(
            deadline or Deadline(_HAND_OVER),
            ask=lambda: self._inbound.set_desired("handed_over"),
            resume=lambda: self._inbound.set_desired("running"),
        )
        return self._follower

    def _prove_quiet(self, deadline: Deadline) -> None:
        """Nothing runs, no bulk load either, and the head is the same in looks that are ``quiet_interval`` apart."""
        self.link.status()
        self.link.end_queries(self.graph_type, deadline)
        loads = self.link.loads()
        if loads:
            raise BlueGreenError(
                f"No bulk load should be in progress on {self.name} behind the fence, but {', '.join(loads[:3])} is: wait for it."
            )
        first = last = self._head()
        equal = 0
        for _look in range(_PATIENCE):
            if deadline.passed:
                break
            time.sleep(self._policy.quiet_interval)
            found = self._head()
            equal = equal + 1 if found == last else 0
            last = found
            if equal == _LOOKS:
                self._quiet = True
                return
        raise BlueGreenError(
            f"{self.name} should be quiet behind the fence, but its stream moved from {first} to {last}: a client still writes, "
            "past the gate or because it was not stopped; find it and stop it."
        )

    def _must_not_have_moved(self, end: EventId) -> None:
        found = self._head()
        if found != end:
            raise BlueGreenError(
                f"{self.name} should be quiet behind the fence, but its stream moved from {end} to {found}: a client still "
                "writes, past the gate or because it was not stopped; find it and stop it."
            )

    def _look_behind(self, peer: NeptuneSide, lease: LeaseItem) -> None:
        with suppress(BlueGreenError):  # a side that is gone takes no writes
            end = peer._head()
            if end > lease.checkpoint:
                self.problems.append(
                    f"{end.commit - lease.checkpoint.commit} commits were written on {peer.name} behind its fence after "
                    f"{self.name} had opened, {peer.name}'s stream is at {end} and {self.name} has it up to {lease.checkpoint}: "
                    f"they are on {peer.name} only. Find the client that writes past the gate, and carry them over by hand."
                )


def _owner() -> str:
    return f"switchover-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


def _succeeds(owner: str, alive: Callable[[int], bool] | None = None) -> bool:
    """Whether the lease is that of a run on this host that is dead, so that its end need not be waited for."""
    found = _OWNER.fullmatch(owner)
    return found is not None and found["host"] == socket.gethostname() and not (alive or _alive)(int(found["pid"]))


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
