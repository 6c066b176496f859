# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""State ``absent``: the runner, the checkpoints and the table are gone, and the marker with them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from .._core.errors import BlueGreenError
from .._core.journal import Journal
from .._core.names import Direction, Names
from . import marker
from .connection import Client, GraphType
from .lease import Lease, LeaseItem, Table
from .record import Record
from .state import State


def refuse_loss(state: State, *, force: bool) -> None:
    """While green serves, the replication back to blue is the only way back; it goes by ``force`` only."""
    if force or state.serving == "blue" or state.reverse is None:
        return
    serving = "green serves" if state.serving == "green" else "it is not known which side serves"
    raise BlueGreenError(
        f"Everything that replication made was to be removed, but {serving}, and the way back to blue goes with it: roll back first, or "
        "give force=true when blue is not needed any more."
    )


def remove_items(dynamodb: Table, table: str, state: State, journal: Journal) -> None:
    """Delete both leases first, then the control record: a run that was killed between knows still what it is about."""
    directions: tuple[tuple[Direction, LeaseItem | None], ...] = (
        ("forward", state.forward),
        ("reverse", state.reverse),
    )
    for direction, item in directions:
        if item is not None:
            lease = Lease(dynamodb, table, state.names.lease_key(direction))
            journal.act(f"delete the {direction} checkpoint {item.checkpoint}", lease.delete)
    if state.control is not None:
        record = Record(dynamodb, table, state.names.control_key)
        journal.act(f"delete the control record of {state.names.deployment_id}", record.delete)


def remove_marker(sides: Iterable[tuple[str, Client]], graph_type: GraphType, names: Names, journal: Journal) -> None:
    """Delete the first write of ``prepared`` where it is."""
    for side, client in sides:
        if marker.exists(client, graph_type, names.deployment_id):
            journal.act(
                f"delete {marker.marker_id(names.deployment_id)} on {side}",
                partial(marker.remove, client, graph_type, names.deployment_id),
            )
