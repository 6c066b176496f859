# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""That the target has what the source had: by the checkpoint of whoever replicates, which is this process when nobody else does."""

from __future__ import annotations

import secrets
import threading
import time

from .._core.errors import BlueGreenError
from .._core.waiting import Deadline
from .connection import Client, GraphType
from .events import START
from .lease import Lease
from .replicator import Options, Replicator
from .side_follow import Follower
from .stream import head

_POLL = 0.05  # s, between looks at the checkpoint of somebody else


class Carrier:
    """Replication ``source`` -> ``target`` while both are compared."""

    def __init__(self, source: Client, target: Client, lease: Lease, graph_type: GraphType, limit: float) -> None:
        self._source, self._target, self._lease = source, target, lease
        self._graph_type, self._limit = graph_type, limit
        self._follower: Follower | None = None
        self._lock = threading.Lock()

    def pass_marker(self) -> None:
        """Return when the target has everything that the source has now; raises :class:`BlueGreenError` when it is not in time."""
        end = head(self._source, self._graph_type) or START
        deadline = Deadline(self._limit)
        while True:
            follower = self._own()
            if follower is not None:
                follower.wait_for(end, deadline)
                return
            item = self._lease.read()
            if item is not None and item.checkpoint >= end:
                return
            if deadline.passed:
                raise BlueGreenError(
                    f"{self._target.endpoint.side} should have applied {self._source.endpoint.side}'s stream up to {end} within "
                    f"{self._limit:g} s, but is at {item.checkpoint if item else 'no checkpoint'}: let the replication catch up "
                    "first, or raise marker_timeout."
                )
            time.sleep(_POLL)

    def close(self) -> None:
        """Give the lease back if it was taken."""
        if self._follower is not None:
            self._follower.close()

    def _own(self) -> Follower | None:
        """The replication in this process, None while somebody else replicates."""
        with self._lock:
            if self._follower is not None:
                return self._follower
            sides = self._source.endpoint.side, self._target.endpoint.side
            item = self._lease.read()
            if item is None or item.desired != "running":
                raise BlueGreenError(
                    f"Replication {sides[0]} -> {sides[1]} should run while both are compared, but "
                    f"{'there is none' if item is None else f'is {item.desired}'}: start it with "
                    "bluegreen.aws.neptune_streams_replication."
                )
            if item.held(self._lease.now_ms):
                return None
            options = Options(owner=f"verify-{secrets.token_hex(6)}")
            replicator = Replicator(self._source, self._target, self._lease, self._graph_type, options)
            follower = Follower(replicator, *sides)
            if follower.try_to_start():
                self._follower = follower
            return self._follower
