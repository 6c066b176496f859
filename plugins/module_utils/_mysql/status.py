# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a deployment's replication is and which side serves, derived from both servers and the control record."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

try:
    import pymysql
except ImportError:  # refused in connection.require_driver()
    pass

from .._core.endpoint import Endpoint
from .._core.errors import WaitTimeout
from .._core.names import Direction, Names
from .._core.waiting import Deadline
from . import record, remedies, replication_user
from .connection import connected, value
from .coordinates import (
    Channel,
    Coordinates,
    binary_logs,
    channel,
    current,
    distance,
    gtid_executed,
    subtract,
    transactions,
)
from .dialect import Dialect
from .locks import closed
from .record import ControlRecord

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

Serving = Literal["blue", "green", "unknown"]
Stage = Literal["new", "replicating", "switched", "ended"]
Mode = Literal["gtid", "position"]

STARTED = "started"
"""Noted on green before its replication is started for the first time: from then on the channel alone knows where it is."""

_LAG = "lag"
_POLL = 0.001


@dataclass(frozen=True)
class SideState:
    """One server's share. ``closed``: our fence is up. ``channel``: the replication into it, whosever it is."""

    closed: bool
    channel: Channel | None
    gtid_mode: str
    record: ControlRecord | None
    notes: Mapping[str, str | None]
    user: str

    @property
    def ours(self) -> Channel | None:
        """The replication into it, if it is the deployment's."""
        return self.channel if self.channel is not None and self.channel.user == self.user else None


@dataclass(frozen=True)
class State:
    """A deployment as it is now; ``green`` is None when there is none."""

    names: Names
    blue: SideState
    green: SideState | None = None

    @property
    def record(self) -> ControlRecord | None:
        """Green's control record; None also when it is a copy of one that blue has, which the clone carried along."""
        if self.green is None or self.green.record is None or self.green.record.position is None:
            return None
        return None if self.green.record == self.blue.record else self.green.record

    @property
    def opened_green(self) -> Coordinates | None:
        """Where green was opened."""
        return self.record.opened_green if self.record else None

    def channel(self, direction: Direction) -> Channel | None:
        """The deployment's channel in one direction, on its replica; what a clone carried along does not count."""
        if direction == "reverse":
            return self.blue.ours
        return self.green.ours if self.green is not None and self.record is not None else None

    def started(self, direction: Direction) -> bool:
        """Whether replication in this direction was started and not removed since."""
        if self.channel(direction) is None or self.record is None:
            return False
        if self.record.settings.get("armed") == direction:
            return False
        return direction == "reverse" or self.ran

    @property
    def ran(self) -> bool:
        """Whether replication into green was started once, be it there or not."""
        return self.green is not None and self.record is not None and STARTED in self.green.notes

    @property
    def serving(self) -> Serving:
        """The one side that is open for writers; a clone that replication never reached does not count."""
        green_open = self.green is not None and not self.green.closed
        if not self.blue.closed and not (green_open and (self.ran or self.opened_green)):
            return "blue"
        return "green" if self.blue.closed and green_open else "unknown"

    @property
    def direction(self) -> Direction | None:
        """The direction in which replication was started, None when it was in neither, or in both."""
        forward, reverse = self.started("forward"), self.started("reverse")
        if forward == reverse:
            return None
        return "forward" if forward else "reverse"

    @property
    def stage(self) -> Stage:
        """How far the deployment is: ``ended`` when green was opened once and is not replicated to any more."""
        if self.serving == "green" or self.direction == "reverse":
            return "switched"
        if self.started("forward"):
            return "replicating"
        return "ended" if self.opened_green else "new"

    @property
    def mode(self) -> Mode | None:
        """How green follows blue, or is going to: by GTIDs, or from a file and an offset."""
        if self.record is None or self.record.position is None:
            return None
        return "position" if self.record.position.file else "gtid"


@dataclass(frozen=True)
class Health:
    """One direction's replication; ``error`` None when it runs, with a remedy otherwise. None is never "no lag".

    ``errant``: the GTIDs that the replica has and its source has not; None when it cannot be told.
    """

    running: bool
    error: str | None
    bytes: int | None
    transactions: int | None
    errant: str | None
    mode: Mode | None


def observe(blue: Endpoint, green: Endpoint | None, names: Names) -> State:
    """Look at both servers."""
    with connected(blue) as conn:
        blue_state = look(conn, names)
    if green is None:
        return State(names, blue_state)
    with connected(green) as conn:
        return State(names, blue_state, look(conn, names))


def look(conn: Connection[Cursor], names: Names) -> SideState:
    """What one server has of the deployment."""
    notes = record.notes(conn, names.deployment_id)
    return SideState(
        closed=closed(conn, names.deployment_id),
        channel=channel(conn, Dialect.of(conn)),
        gtid_mode=str(value(conn, "SELECT @@GLOBAL.gtid_mode")),
        record=record.read(conn, names.deployment_id),
        notes=notes,
        user=notes.get(replication_user.NOTE) or names.replication_user,
    )


def problem(found: Channel | None) -> str | None:
    """What is wrong with a channel and what to do, None when it runs; no channel is never "fine"."""
    if found is None:
        return "it is not configured"
    if found.error:
        return remedies.sentence(found.error)
    if found.stopped:
        return "it is stopped"
    if not found.applier:
        return "its applier is stopped"
    return None if found.running else "the source is not connected yet"


def health(blue: Endpoint, green: Endpoint, direction: Direction) -> Health:
    """The replication in one direction; the replica is looked at first, so that nothing in flight passes for errant."""
    source, replica = (blue, green) if direction == "forward" else (green, blue)
    with connected(replica) as conn:
        dialect = Dialect.of(conn)
        found = channel(conn, dialect)
        executed = gtid_executed(conn) if found else ""
        error = _detailed(conn, found)
    with connected(source) as conn:
        at = current(conn, Dialect.of(conn))
        logs = binary_logs(conn)
        behind = subtract(conn, at.gtid_executed, executed) if at.gtid_executed and executed else None
        errant = subtract(conn, executed, at.gtid_executed) if at.gtid_executed and executed else None
    running = found is not None and error is None
    return Health(
        running=running,
        error=error,
        bytes=distance(logs, found.applied, at) if running and found and found.applied else None,
        transactions=None if behind is None or not running else transactions(behind),
        errant=errant,
        mode=None if found is None else "gtid" if found.auto_position else "position",
    )


def measure_lag(blue: Endpoint, green: Endpoint, names: Names, direction: Direction, timeout: float) -> float:
    """Seconds for a marker to come through; raises :class:`WaitTimeout`, which is never a lag of 0."""
    source, replica = (blue, green) if direction == "forward" else (green, blue)
    with connected(source) as here, connected(replica) as there:
        started, deadline = time.monotonic(), Deadline(timeout)
        token = record.write_marker(here, names.deployment_id, _LAG)
        while record.marker(there, names.deployment_id, _LAG) != token:
            if deadline.passed:
                raise WaitTimeout(
                    f"A marker written on {source.side} did not reach {replica.side} within {timeout:g} s: replication does not "
                    "run or is further behind than that."
                )
            time.sleep(_POLL)
        return time.monotonic() - started


def deployment_status(
    blue: Endpoint, green: Endpoint | None, names: Names, *, marker_timeout: float | None = None
) -> dict[str, Any]:
    """The deployment as the modules return it: ``serving`` and ``replication``, which is None when there is none.

    Lag in seconds is measured only with a ``marker_timeout``, because that writes a marker; an error is never lag 0.
    """
    state = observe(blue, green, names)
    return {
        "serving": state.serving,
        "replication": None if green is None else report(blue, green, state, marker_timeout),
    }


def report(blue: Endpoint, green: Endpoint, state: State, marker_timeout: float | None = None) -> dict[str, Any] | None:
    """``{running, direction, position, mode, lag: {seconds, bytes, transactions}, error, errant}``, None before a record."""
    direction = state.direction
    if direction is None:
        return None if state.record is None else _nothing(state)
    found = health(blue, green, direction)
    seconds, running, error = None, found.running, found.error
    if running and marker_timeout is not None:
        try:
            seconds = measure_lag(blue, green, state.names, direction, marker_timeout)
        except WaitTimeout as late:
            error = late.message
    return {
        "running": running,
        "direction": direction,
        "position": _position(state, direction),
        "mode": found.mode,
        "lag": {"seconds": seconds, "bytes": found.bytes, "transactions": found.transactions},
        "error": error,
        "errant": found.errant,
    }


def _nothing(state: State) -> dict[str, Any]:
    both = state.started("forward") and state.started("reverse")
    return {
        "running": False,
        "direction": None,
        "position": _position(state, "forward"),
        "mode": state.mode,
        "lag": {"seconds": None, "bytes": None, "transactions": None},
        "error": "replication runs in both directions" if both else None,
        "errant": None,
    }


def _position(state: State, direction: Direction) -> str | None:
    if state.record is None:
        return None
    at = state.record.position if direction == "forward" else state.record.opened_green
    return None if at is None else str(at)


def _detailed(conn: Connection[Cursor], found: Channel | None) -> str | None:
    """What is wrong; of a parallel applier the worker's own error, because the coordinator's says only that there is one."""
    wrong = problem(found)
    if found is None or not found.applier_error or "worker" not in found.applier_error:
        return wrong
    statement = (
        "SELECT CONCAT(last_error_message, ' (error ', last_error_number, ')')"
        " FROM performance_schema.replication_applier_status_by_worker WHERE last_error_number <> 0 AND last_error_number <> 3030"
        " AND channel_name = '' LIMIT 1"
    )
    try:
        told = value(conn, statement)
    except pymysql.MySQLError:  # Aurora's performance schema may be off, then it has the coordinator's words only
        told = None
    return remedies.sentence(" ".join(str(told).split())) if told else wrong
