# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Every guardrail of a step on Amazon Neptune: the servers and the checkpoints are read, nothing is changed.

A side that does not answer is a failed check, not an exception: a check that could not be made has failed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from .._core.checks import Check, failed, ok, warning
from .._core.errors import BlueGreenError
from .._core.names import Names
from .connection import Client, GraphType
from .events import START, EventId
from .lease import LeaseItem, Table
from .prerequisites import GUIDE, engine_version, serving_checks
from .state import State, observe
from .status import lag
from .stream import first, head

_CATCH_UP = 10.0  # seconds; bg_switchover has max_lag, of its own
_REPLICATION_DOCS = GUIDE + "streams-consumer.html"
_RUN = "neptune_streams_replication with state=running"


@dataclass(frozen=True)
class Checkpointed:
    """Where the checkpoints are."""

    dynamodb: Table
    table: str
    names: Names
    graph_type: GraphType


@dataclass(frozen=True)
class Sides:
    """Both sides with the identifiers of their clusters, or their hosts."""

    blue: Client
    blue_name: str
    green: Client | None
    green_name: str


def create_checks(sides: Sides, graph_type: GraphType) -> list[Check]:
    """What must hold before blue is cloned, and, when there is one, before green is written to."""
    checks = serving_checks(sides.blue, "blue", sides.blue_name, graph_type)
    if sides.green is not None:
        checks += _green_checks(sides.green, sides.green_name)
    return checks


def move_checks(sides: Sides, at: Checkpointed) -> list[Check]:
    """What must hold before traffic moves from the side that serves to the other."""
    green = sides.green
    if green is None:
        return create_checks(sides, at.graph_type)
    checks = [
        *serving_checks(sides.blue, "blue", sides.blue_name, at.graph_type),
        *serving_checks(green, "green", sides.green_name, at.graph_type),
    ]
    if any(check.id.startswith("connection_") and check.status == "failed" for check in checks):
        return checks
    try:
        state = observe(at.dynamodb, at.table, at.names)
    except BlueGreenError as error:
        return [*checks, failed("checkpoints", error.message.rstrip("."), "mend that and run this again")]
    back = state.serving == "green"
    source, target = (green, sides.blue) if back else (sides.blue, green)
    item = state.reverse if back else state.forward
    return [
        *checks,
        recorded(state, at),
        different(source, target),
        replicates(item, back=back),
        *_guarded(lambda: _stream_checks(source, item, at.graph_type), "replication_lag"),
        *_guarded(lambda: [_versions(sides.blue, green)], "way_back"),
        fence("green" if back else "blue"),
    ]


def recorded(state: State, at: Checkpointed) -> Check:
    """The control record knows the position and the kind of graph."""
    control = state.control
    if control is None or not control.position:
        return failed(
            "control_record",
            f"green's position must be on record in the table {at.table}, but is not",
            "neptune_streams_replication with state=positioned, before any upgrade of green",
        )
    if control.graph_type != at.graph_type:
        return failed(
            "control_record",
            f"the deployment replicates the {control.graph_type} graph, but graph_type is {at.graph_type}",
            "give graph_type as before",
        )
    if state.serving == "unknown":
        return failed(
            "control_record",
            "one side must be open for writers and the other closed, but the control record does not say which",
            "bg_switchover, which finishes or undoes what was begun",
        )
    return ok("control_record", f"green's data began at {control.position} of blue's stream, {state.serving} serves")


def replicates(item: LeaseItem | None, *, back: bool) -> Check:
    """Replication was started and has not failed."""
    way = "green to blue" if back else "blue to green"
    if item is None:
        return failed("replication", f"there is no checkpoint of {way}", _RUN, _REPLICATION_DOCS)
    if item.failure:
        return failed(
            "replication", f"replication from {way} has stopped: {item.failure.rstrip('.')}", _RUN, _REPLICATION_DOCS
        )
    if item.desired != "running":
        return failed(
            "replication", f"replication from {way} is {item.desired} at {item.checkpoint}", _RUN, _REPLICATION_DOCS
        )
    by = f"{item.owner} applies" if item.held(int(time.time() * 1000)) else "nobody applies at this moment"
    return ok("replication", f"replication from {way} is at {item.checkpoint}, {by}", _REPLICATION_DOCS)


def not_expired(checkpoint: EventId, oldest: EventId | None) -> Check:
    """The source still has what comes after the checkpoint."""
    if oldest is None or oldest.commit <= checkpoint.commit + 1:
        return ok(
            "stream_expiry",
            f"the stream begins at {oldest or START}, the checkpoint is {checkpoint}",
            _REPLICATION_DOCS,
        )
    return failed(
        "stream_expiry",
        f"the stream must hold what comes after the checkpoint {checkpoint}, but begins at {oldest}: what lies between has expired and "
        "is lost for replication",
        "delete green and clone anew, with a higher neptune_streams_expiry_days",
        _REPLICATION_DOCS,
    )


def fence(source: str) -> Check:
    """Neptune itself cannot stop writes."""
    return warning(
        f"{source}_fence",
        f"Neptune has no read-only mode, so nothing on {source} itself keeps clients from writing during the switchover",
        "give bg_switchover a gate that holds (haproxy) and let no client pass by it, or stop the writers and say writes_stopped",
        GUIDE + "iam-auth.html",
    )


def _green_checks(green: Client, name: str) -> list[Check]:
    try:
        status = green.status()
    except BlueGreenError as error:
        return [failed("connection_green", error.message.rstrip("."), "check host, port, security groups and iam_auth")]
    return [ok("connection_green", f"green, {name}, answers, engine version {engine_version(status)}")]


def _stream_checks(source: Client, item: LeaseItem | None, graph_type: GraphType) -> list[Check]:
    if item is None:
        return []
    oldest = first(source, graph_type)
    expiry = not_expired(item.checkpoint, oldest[0] if oldest else None)
    if expiry.status == "failed":
        return [expiry]  # never a lag of nothing
    if item.checkpoint > (head(source, graph_type) or START):
        return [
            expiry,
            failed(
                "replication_lag",
                f"the checkpoint {item.checkpoint} is beyond the end of the stream, so it is of another one",
                "check the hosts of blue and green; clone anew",
            ),
        ]
    progress = lag(source, item, graph_type)
    evidence = f"the other side is {progress.lag_commits} commits and {progress.lag_seconds:.1f} s behind"
    if progress.at_head or progress.lag_seconds <= _CATCH_UP:
        return [expiry, ok("replication_lag", evidence, _REPLICATION_DOCS)]
    runs = item.held(int(time.time() * 1000))
    verdict, by = (failed, "") if runs else (warning, ", because nobody applies at this moment")
    return [
        expiry,
        verdict(
            "replication_lag", f"{evidence}, {_CATCH_UP:g} s are the most{by}", f"{_RUN} and max_lag", _REPLICATION_DOCS
        ),
    ]


def different(source: Client, target: Client) -> Check:
    """Two clusters, not one by two names."""
    here, there = ((one.endpoint.host, one.endpoint.port) for one in (source, target))
    if here == there:
        return failed(
            "servers",
            f"blue and green must be two clusters, but both are {here[0]}:{here[1]}",
            "check the option host of both",
        )
    return ok("servers", "blue and green are two clusters")


def _versions(blue: Client, green: Client) -> Check:
    here, there = engine_version(blue.status()), engine_version(green.status())
    if here == there:
        return ok("way_back", f"both sides run {here}")
    return warning(
        "way_back",
        f"after the switchover blue ({here}) follows a newer engine ({there}): data that only the newer one knows stops it",
        "use nothing new in the graph until the deployment is over",
        GUIDE + "engine-releases.html",
    )


def _guarded(look: Callable[[], list[Check]], check_id: str) -> list[Check]:
    try:
        return look()
    except BlueGreenError as error:
        return [
            failed(check_id, f"could not be looked at: {error.message.rstrip('.')}", "mend that and run this again")
        ]
