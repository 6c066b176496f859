# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""How far a direction of replication is, without touching it."""

from __future__ import annotations

import time

from .._core.side import Replication
from .connection import Client, GraphType
from .lease import LeaseItem
from .progress import Progress, measure
from .stream import prove_end, waiting


def lag(source: Client, item: LeaseItem, graph_type: GraphType) -> Progress:
    """What the source has that is not applied; raises :class:`BlueGreenError` when it cannot be known."""
    since = waiting(source, graph_type, item.checkpoint)
    newest = prove_end(source, graph_type, item.checkpoint)
    return measure(item.checkpoint, newest, since, item.records, time.time)


def replication_of(item: LeaseItem | None) -> Replication:
    """What the lease says: ``gone`` without one, else what is desired of the runners."""
    if item is None:
        return "gone"
    if item.desired == "armed":
        return "armed"
    return "stopped" if item.desired == "stopped" else "running"
