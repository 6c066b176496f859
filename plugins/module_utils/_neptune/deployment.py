# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The states of ``neptune_streams_replication``: look, do what is missing, report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from .._core.checks import Check
from .._core.errors import BlueGreenError
from .._core.journal import Journal
from .._core.names import Names
from . import cleanup, prepare
from .connection import Client, GraphType
from .lease import Lease, LeaseItem, Table
from .position import position
from .record import Record
from .replicate import Follow, replicate, stop, told
from .state import State, observe
from .status import lag


class Checkpoints(Protocol):
    """The table of checkpoints, as the control plane sees it."""

    name: str

    def status(self) -> str | None:
        """Its state, None when there is none."""

    def ensure(self, journal: Journal, *, timeout: float, delay: float) -> None:
        """Make it."""

    def delete(self, journal: Journal, *, timeout: float, delay: float) -> bool:
        """Delete it when it is ours; returns whether nothing is left of it."""


@dataclass(frozen=True)
class Request:
    """What the user asked for; ``position`` as ``commit:op``, ``cluster`` is blue's identifier for messages."""

    state: str
    cluster: str
    position: str | None
    force: bool
    follow: Follow


@dataclass(frozen=True)
class Tools:
    """What of AWS it works with; ``control_plane`` looks at the guardrails there, ``say`` writes a line of progress."""

    dynamodb: Table
    table: Checkpoints
    control_plane: Callable[[], Sequence[Check]]
    say: Callable[[str], None]


def reach(
    request: Request, blue: Client | None, green: Client | None, names: Names, journal: Journal, tools: Tools
) -> dict[str, Any]:
    """Reach ``request.state``; returns ``{replication, checkpoint, serving, msg, checked, before, after}``.

    Raises :class:`BlueGreenError` when the state cannot be reached; what was done until then is in the journal.
    """
    there = tools.table.status() not in (None, "CREATING", "DELETING")
    state = _observe(there, names, tools)
    if request.state == "absent":
        return _absent(request, blue, green, state, journal, tools, there=there)
    blue = _required(blue, "blue", request.state)
    if request.state != "prepared":
        green = _required(green, "green", request.state)
    before = summary(state, table=there)
    if state.stage == "switched":
        done = {"msg": f"The traffic has moved to green already, so there is nothing to do for state={request.state}."}
        return {**_outcome(blue, green, state, request), **done, "before": before, "after": before}
    if state.stage == "ended" and request.state != "stopped":
        opened = state.control.opened_green if state.control else None
        raise BlueGreenError(
            f"Blue serves again and green, which was opened at {opened}, is not replicated to any more, so it cannot be brought to "
            f"state={request.state}: run state=absent, delete green and begin a new deployment."
        )
    checked = _act(request, blue, green, state, names, journal, tools)
    if journal.check_mode:
        return {
            **_outcome(blue, green, state, request),
            "checked": None,
            "before": before,
            "after": expected(before, request.state, changed=journal.changed),
        }
    state = _observe(tools.table.status() is not None, names, tools)
    return {
        **_outcome(blue, green, state, request),
        "checked": checked,
        "before": before,
        "after": summary(state, table=True),
    }


def summary(state: State, *, table: bool) -> dict[str, Any]:
    """What is there, in words, for a diff."""
    item = state.forward
    return {
        "table": table,
        "position": (state.control.position or None) if state.control else None,
        "checkpoint": str(item.checkpoint) if item else None,
        "replication": item.desired if item else "absent",
    }


def expected(before: dict[str, Any], state: str, *, changed: bool) -> dict[str, Any]:
    """What :func:`summary` would say after the run, as far as it can be known."""
    if not changed:
        return before
    after = {**before, "table": True}
    if state == "running" or (state == "stopped" and before["replication"] != "absent"):
        after["replication"] = state
    return after


def _act(
    request: Request,
    blue: Client,
    green: Client | None,
    state: State,
    names: Names,
    journal: Journal,
    tools: Tools,
) -> str | None:
    """Do it; returns what a new position was checked by."""
    follow, table = request.follow, tools.table
    lease = Lease(tools.dynamodb, table.name, names.lease_key("forward"))
    if request.state == "prepared":
        if state.stage != "new":  # blue was cloned long ago
            return None
        prepare.prepare(
            blue, follow.graph_type, names, journal, cluster=request.cluster, control_plane=tools.control_plane
        )
        table.ensure(journal, timeout=follow.wait_timeout, delay=follow.wait_delay)
        return None
    green = _required(green, "green", request.state)
    if request.state == "positioned":
        table.ensure(journal, timeout=follow.wait_timeout, delay=follow.wait_delay)
        record = Record(tools.dynamodb, table.name, names.control_key)
        checked = position(blue, green, state, follow.graph_type, request.position, journal, record, lease)
        if checked is not None:
            tools.say(
                f"green's data ends at {_position(state, record, journal)} of blue's stream, checked by {checked}"
            )
        return checked
    if request.state == "stopped":
        stop(blue, state, lease, follow, journal)
        return None
    _refuse_other_graph(state, follow.graph_type)
    progress = replicate(blue, green, state, lease, follow, journal, tools.say)
    if progress is not None:
        tools.say(f"green is in sync as asked, {told(progress)}")
    return None


def _position(state: State, record: Record, journal: Journal) -> str:
    found = state.control if journal.check_mode else record.read()
    return found.position or "unknown" if found else "unknown"


def _refuse_other_graph(state: State, graph_type: GraphType) -> None:
    recorded = state.control.graph_type if state.control else None
    if recorded and recorded != graph_type:
        raise BlueGreenError(
            f"The deployment replicates the {recorded} graph, but graph_type is {graph_type}: give graph_type as before."
        )


def _absent(
    request: Request,
    blue: Client | None,
    green: Client | None,
    state: State,
    journal: Journal,
    tools: Tools,
    *,
    there: bool,
) -> dict[str, Any]:
    cleanup.refuse_loss(state, force=request.force)
    follow = request.follow
    before = summary(state, table=there)
    if follow.runner is not None:
        follow.runner.remove(journal)
    if there:
        cleanup.remove_items(tools.dynamodb, tools.table.name, state, journal)
    sides = [(name, side) for name, side in (("blue", blue), ("green", green)) if side is not None]
    cleanup.remove_marker(sides, follow.graph_type, state.names, journal)
    gone = tools.table.delete(journal, timeout=follow.wait_timeout, delay=follow.wait_delay)
    after = {"table": not gone, "position": None, "checkpoint": None, "replication": "absent"}
    return {
        "replication": None,
        "checkpoint": None,
        "serving": state.serving,
        "before": before,
        "after": after if journal.changed else before,
    }


def _observe(there: bool, names: Names, tools: Tools) -> State:
    return observe(tools.dynamodb if there else None, tools.table.name, names)


def _outcome(blue: Client, green: Client | None, state: State, request: Request) -> dict[str, Any]:
    return {
        "replication": report(blue, green, state, request.follow.graph_type),
        "checkpoint": str(state.forward.checkpoint) if state.forward else None,
        "serving": state.serving,
    }


def report(blue: Client, green: Client | None, state: State, graph_type: GraphType) -> dict[str, Any] | None:
    """The replication as it is now, None before there is a position; what cannot be told is never a lag of 0."""
    control = state.control
    if control is None or not control.position:
        return None
    direction = state.direction
    item: LeaseItem | None = state.reverse if direction == "reverse" else state.forward
    source = green if direction == "reverse" else blue
    found: dict[str, Any] = {"seconds": None, "commits": None}
    error = item.failure if item else "its checkpoint is not in the table"
    if item is not None and source is not None:
        try:
            progress = lag(source, item, graph_type)
            found = {"seconds": round(progress.lag_seconds, 3), "commits": progress.lag_commits}
        except BlueGreenError as failure:
            error = error or failure.message
    return {
        "running": direction is not None and error is None,
        "direction": direction,
        "position": control.position,
        "lag": found,
        "error": error,
    }


def _required(side: Client | None, name: str, state: str) -> Client:
    if side is None:
        raise BlueGreenError(
            f"The option {name} is needed for state={state}, but is missing: give the connection to {name}."
        )
    return side
