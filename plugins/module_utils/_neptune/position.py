# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""State ``positioned``: the event of blue's stream up to which the clone's data goes is committed, before any upgrade.

The stream is in the storage volume that was cloned, so the last event of the clone's own stream is the exact position.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from .._core.errors import BlueGreenError
from .._core.journal import Journal
from .connection import Client, GraphType, NeptuneError
from .events import START, EventId
from .lease import Lease
from .prerequisites import engine_version
from .record import Record
from .state import State
from .stream import first, head

_STREAM = {"propertygraph": "/propertygraph/stream", "rdf": "/sparql/stream"}
_ANEW = "delete green and clone blue again"


@dataclass(frozen=True)
class Located:
    """The position, up to which event green may already hold what is replayed, and what the position was checked by."""

    at: EventId
    replay_until: EventId
    checked: str


def position(
    blue: Client,
    green: Client,
    state: State,
    graph_type: GraphType,
    given: str | None,
    journal: Journal,
    record: Record,
    lease: Lease,
) -> str | None:
    """Commit the position to the control record and to the lease; once committed it is never replaced.

    Returns what a new one was checked by, None for one that is on record.
    """
    wanted = EventId.parse(given) if given is not None else None
    control = state.control
    checked = None
    if control is None or not control.position:
        found = locate(blue, green, graph_type, wanted)
        at, checked, replay_until = found.at, found.checked, found.replay_until
        journal.act(
            f"record position {at} of blue's {graph_type} stream, checked by {checked}",
            partial(record.commit, position=str(at), graph_type=graph_type),
        )
    else:
        at = EventId.parse(control.position)
        refuse_other(control.position, control.graph_type or graph_type, wanted, graph_type)
        # A lease that is gone may have been further on: what green holds already is applied again, harmlessly.
        replay_until = max(at, head(blue, graph_type) or at)
    if state.forward is None:
        journal.act(
            f"create the checkpoint of blue to green at {at}",
            partial(lease.create, at, desired="stopped", replay_until=replay_until),
        )
    return checked


def refuse_other(recorded: str, recorded_type: str, wanted: EventId | None, graph_type: str) -> None:
    """A deployment replicates one kind of graph from one position."""
    if recorded_type != graph_type:
        raise BlueGreenError(
            f"The deployment replicates the {recorded_type} graph, but graph_type is {graph_type}: give graph_type as before."
        )
    if wanted is not None and str(wanted) != recorded:
        raise BlueGreenError(
            f"Green's position is on record as {recorded}, but the option position says {wanted}: it cannot be changed any more; "
            "leave the option out."
        )


def locate(blue: Client, green: Client, graph_type: GraphType, given: EventId | None) -> Located:
    """Find the position on the clone, or judge the one that was given; raises :class:`BlueGreenError` when it cannot be right."""
    _refuse_upgraded(blue, green, given)
    last, why = _last_of(green, graph_type)
    blue_last = head(blue, graph_type)
    if given is None:
        if why is not None:
            raise BlueGreenError(
                f"The position is the last event of the clone's own stream, but it cannot be read: {why}; turn neptune_streams on "
                "for green too, or give position, an event that blue had written before it was cloned."
            )
        at = last or START
    else:
        at = given
        if why is None and at > (last or START):
            raise BlueGreenError(
                f"The option position says {at}, but the clone's data ends at {last or START}, so what lies between would be lost: "
                "leave the option out."
            )
    if at > (blue_last or START):
        raise BlueGreenError(
            f"Blue's stream must reach the clone's position {at}, but ends at {blue_last or START}: is green a clone of blue, and was "
            f"it written to? If so, {_ANEW}."
        )
    _refuse_expired(blue, graph_type, at)
    checked = _check_alike(blue, green, graph_type, at) if why is None else "bounds"
    return Located(at, max(at, (last if why is None else blue_last) or at), checked)


def _refuse_upgraded(blue: Client, green: Client, given: EventId | None) -> None:
    here, there = engine_version(blue.status()), engine_version(green.status())
    if here != there and given is None:
        raise BlueGreenError(
            f"The position must be read on the clone before it is upgraded, but green runs {there} and blue {here}: {_ANEW}, or give "
            "position, the last event of green's stream before its upgrade."
        )


def _last_of(green: Client, graph_type: GraphType) -> tuple[EventId | None, str | None]:
    """The last event of green's stream and None, or None and why it cannot be read."""
    try:
        return head(green, graph_type), None
    except NeptuneError as error:
        if error.code != "UnsupportedOperationException":
            raise
        return None, "streams are off on green"


def _refuse_expired(blue: Client, graph_type: GraphType, at: EventId) -> None:
    oldest = first(blue, graph_type)
    if oldest is not None and oldest[0].commit > at.commit + 1:
        raise BlueGreenError(
            f"Blue's stream must reach back to the clone's position {at}, but begins at {oldest[0]}: what lies between has expired; "
            f"raise neptune_streams_expiry_days, {_ANEW}."
        )


def _check_alike(blue: Client, green: Client, graph_type: GraphType, at: EventId) -> str:
    """The event at the position is the same on both sides; returns what was compared."""
    if at == START:
        return "an empty stream"
    here, there = _event(blue, graph_type, at), _event(green, graph_type, at)
    if here is None or there is None:
        return "bounds"  # expired on one of them, nothing to compare
    if here != there:
        raise BlueGreenError(
            f"Blue and its clone must have the same event at {at}, but they differ, so green is no clone of blue, or was written to: "
            f"{_ANEW}."
        )
    return "event"


def _event(client: Client, graph_type: GraphType, at: EventId) -> dict[str, Any] | None:
    try:
        found = client.get(
            _STREAM[graph_type], iteratorType="AT_SEQUENCE_NUMBER", commitNum=at.commit, opNum=at.op, limit=1
        )
    except NeptuneError as error:
        if error.code in ("ExpiredStreamException", "StreamRecordsNotFoundException"):
            return None
        raise
    record = dict(found["records"][0])
    return record if EventId(int(record["eventId"]["commitNum"]), int(record["eventId"]["opNum"])) == at else None
