# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a deployment's replication is and which side serves, from the control record and the leases alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .._core.names import Direction, Names
from .lease import Lease, LeaseItem, Table
from .record import Control, Record

Serving = Literal["blue", "green", "unknown"]
Stage = Literal["new", "replicating", "switched", "ended"]


@dataclass(frozen=True)
class State:
    """A deployment as it is now; nothing is there before the table is."""

    names: Names
    control: Control | None = None
    forward: LeaseItem | None = None
    reverse: LeaseItem | None = None

    @property
    def serving(self) -> Serving:
        """The one side that is open for writers; without a record it is blue."""
        if self.control is None:
            return "blue"
        if self.control.blue_open == self.control.green_open:
            return "unknown"
        return "blue" if self.control.blue_open else "green"

    @property
    def stage(self) -> Stage:
        """How far the deployment is; ``ended`` when green was opened once, and is not replicated to any more."""
        if self.control is None or not self.control.position:
            return "new"
        if self.serving == "green":
            return "switched"
        return "ended" if self.control.opened_green and self.forward is None else "replicating"

    @property
    def direction(self) -> Direction | None:
        """The direction in which replication was started, None when it was in neither, or in both."""
        forward, reverse = _started(self.forward), _started(self.reverse)
        if forward == reverse:
            return None
        return "forward" if forward else "reverse"


def observe(dynamodb: Table | None, table: str, names: Names) -> State:
    """Read it; ``dynamodb`` is None when there is no table yet."""
    if dynamodb is None:
        return State(names)
    return State(
        names,
        Record(dynamodb, table, names.control_key).read(),
        Lease(dynamodb, table, names.lease_key("forward")).read(),
        Lease(dynamodb, table, names.lease_key("reverse")).read(),
    )


def _started(item: LeaseItem | None) -> bool:
    return item is not None and item.desired == "running"
