# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a deployment's replication is and which side serves, derived from both servers' catalogs and the control record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from .._core.differences import NONE_DECLARED, ExpectedDifferences
from .._core.endpoint import Endpoint
from .._core.errors import WaitTimeout
from .._core.names import Direction, Names
from . import catalog, control_record, marker
from .connection import connected
from .control_record import ControlRecord
from .schema_rules import tables_in_step
from .server_rules import STOPPED_REMEDY
from .side_fence import read_only_databases
from .slot import Slot, lag_bytes, logical_slots
from .subscription import Subscription, subscriptions

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

Serving = Literal["blue", "green", "unknown"]
Stage = Literal["new", "replicating", "switched", "ended"]


@dataclass(frozen=True)
class SideState:
    """One server's share: the databases closed for writers, and the deployment's slots and subscriptions by name."""

    closed: frozenset[str]
    slots: Mapping[str, Slot]
    subscriptions: Mapping[str, Subscription]


@dataclass(frozen=True)
class State:
    """A deployment as it is now; ``green`` is None when there is none. ``expected``: what was changed on purpose."""

    names: Names
    databases: tuple[str, ...]
    blue: SideState
    green: SideState | None = None
    record: ControlRecord | None = None
    expected: ExpectedDifferences = NONE_DECLARED

    def slot(self, direction: Direction, database: str) -> Slot | None:
        """The slot of one database, on its publisher."""
        publisher = self.blue if direction == "forward" else self.green
        return publisher.slots.get(self.names.slot(direction, database)) if publisher else None

    def subscription(self, direction: Direction, database: str) -> Subscription | None:
        """The subscription of one database, on its subscriber."""
        subscriber = self.green if direction == "forward" else self.blue
        return subscriber.subscriptions.get(self.names.subscription(direction, database)) if subscriber else None

    def started(self, direction: Direction) -> bool:
        """Whether replication in this direction was started in any database and not removed since."""
        found = [self.subscription(direction, database) for database in self.databases]
        return any(one is not None and one.started for one in found)

    @property
    def fresh(self) -> list[str]:
        """The databases whose forward slot green still carries a copy of: nothing of the clone was touched there yet."""
        slots = self.green.slots if self.green else {}
        return [database for database in self.databases if self.names.slot("forward", database) in slots]

    @property
    def opened_green(self) -> str | None:
        """Where green was opened; on a fresh clone the record is an older deployment's and tells nothing."""
        return None if self.record is None or self.fresh else self.record.opened_green

    @property
    def serving(self) -> Serving:
        """The one side that is open for writers in every database; a clone that replication never reached does not count."""
        blue = _open(self.blue, self.databases)
        green = _open(self.green, self.databases) if self.green else False
        if blue is True and green is False:
            return "blue"
        if blue is True and not self.started("forward") and not self.opened_green:
            return "blue"
        return "green" if blue is False and green is True else "unknown"

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


@dataclass(frozen=True)
class Health:
    """One database's replication; ``error`` None when it runs, ``bytes`` None when it does not: an error is no lag."""

    running: bool
    bytes: int | None
    error: str | None


def observe(blue: Endpoint, green: Endpoint | None, names: Names, databases: Sequence[str] | None) -> State:
    """Look at both servers."""
    with connected(blue) as conn:
        chosen = tuple(catalog.choose_databases(conn, names, databases))
        blue_state = _side(conn, chosen)
    if green is None:
        return State(names, chosen, blue_state)
    with connected(green) as conn:
        green_state = _side(conn, chosen)
    return State(names, chosen, blue_state, green_state, control_record.look(green, names))


def problem(slot: Slot | None, subscription: Subscription | None) -> str | None:
    """What is wrong with one database's replication, None when nothing is; no row is never "fine"."""
    if subscription is None:
        return "it has no subscription"
    if slot is None:
        return f"the publisher has no slot {subscription.slot}, so changes are lost: the deployment has to be made anew"
    if slot.lost:
        return f"the slot {slot.name} is {slot.wal_status}, so changes are lost: the deployment has to be made anew"
    if not subscription.enabled:
        if not subscription.started:
            return "its subscription was never started"
        if subscription.errors:
            return f"its subscription {subscription.name} stopped at an error ({subscription.errors} so far): {STOPPED_REMEDY}"
        return "its subscription is stopped"
    if subscription.worker_pid is None or slot.active_pid is None:
        return f"the worker of subscription {subscription.name} is not connected to the publisher: the subscriber's log says why"
    return None


def health(blue: Endpoint, green: Endpoint, state: State, direction: Direction) -> dict[str, Health]:
    """Each database's replication in one direction."""
    publisher, subscriber = (blue, green) if direction == "forward" else (green, blue)
    found: dict[str, Health] = {}
    with connected(publisher) as conn:
        for database in state.databases:
            subscription = state.subscription(direction, database)
            wrong = problem(state.slot(direction, database), subscription) or _drift(
                publisher, subscriber, state, direction, database
            )
            found[database] = Health(
                running=wrong is None,
                bytes=None if wrong else lag_bytes(conn, state.names.slot(direction, database)),
                error=wrong,
            )
    return found


def measure_lag(
    blue: Endpoint, green: Endpoint, names: Names, databases: Sequence[str], direction: Direction, timeout: float
) -> float:
    """Seconds for a marker to pass through every database; raises :class:`WaitTimeout`."""
    publisher, subscriber = (blue, green) if direction == "forward" else (green, blue)
    with ExitStack() as stack:
        source = {name: stack.enter_context(connected(publisher.at(name))) for name in databases}
        target = {name: stack.enter_context(connected(subscriber.at(name))) for name in databases}
        return marker.pass_through(source, target, names, timeout)


def deployment_status(
    blue: Endpoint,
    green: Endpoint | None,
    names: Names,
    databases: Sequence[str] | None = None,
    *,
    marker_timeout: float | None = None,
) -> dict[str, Any]:
    """The deployment as the modules return it: ``serving`` and ``replication``, which is None when there is none.

    Lag in seconds is measured only with a ``marker_timeout``, because that writes a marker; an error is never lag 0.
    """
    state = observe(blue, green, names, databases)
    return {
        "serving": state.serving,
        "replication": None if green is None else report(blue, green, state, marker_timeout),
    }


def report(blue: Endpoint, green: Endpoint, state: State, marker_timeout: float | None = None) -> dict[str, Any] | None:
    """``{running, direction, position, lag: {seconds, bytes}, error, databases}``, None before there is a record."""
    direction = state.direction
    if direction is None:
        return None if state.record is None else _nothing(state)
    found = health(blue, green, state, direction)
    running = all(one.running for one in found.values())
    seconds, error = None, _first_error(found)
    if running and marker_timeout is not None:
        try:
            seconds = measure_lag(blue, green, state.names, state.databases, direction, marker_timeout)
        except WaitTimeout as late:
            error = late.message
    known = [one.bytes for one in found.values()]
    return {
        "running": running,
        "direction": direction,
        "position": _position(state, direction),
        "lag": {"seconds": seconds, "bytes": None if None in known else sum(size or 0 for size in known)},
        "error": error,
        "databases": {
            name: {"running": one.running, "lag": {"bytes": one.bytes}, "error": one.error}
            for name, one in found.items()
        },
    }


def _nothing(state: State) -> dict[str, Any]:
    return {
        "running": False,
        "direction": None,
        "position": state.record.position if state.record else None,
        "lag": {"seconds": None, "bytes": None},
        "error": "replication runs in both directions" if state.started("forward") else None,
        "databases": {name: {"running": False, "lag": {"bytes": None}, "error": None} for name in state.databases},
    }


def _position(state: State, direction: Direction) -> str | None:
    if state.record is None:
        return None
    return state.record.position if direction == "forward" else state.record.opened_green


def _first_error(found: Mapping[str, Health]) -> str | None:
    return next((f"database {name}: {one.error}" for name, one in found.items() if one.error), None)


def _drift(publisher: Endpoint, subscriber: Endpoint, state: State, direction: Direction, database: str) -> str | None:
    names = state.names
    with connected(publisher.at(database)) as here, connected(subscriber.at(database)) as there:
        published = catalog.published_tables(here, names.publication)
        if not published:
            return f"nothing is published by {names.publication}"
        subscribed = catalog.subscribed_tables(there, names.subscription(direction, database))
        check = tables_in_step(database, published, subscribed, state.expected)
    return None if check.status == "ok" else f"{check.evidence}; {check.remedy}"


def _side(conn: Connection, databases: Sequence[str]) -> SideState:
    return SideState(
        closed=frozenset(read_only_databases(conn, databases)),
        slots={slot.name: slot for slot in logical_slots(conn)},
        subscriptions={one.name: one for one in subscriptions(conn)},
    )


def _open(side: SideState, databases: Sequence[str]) -> bool | None:
    """True when every database is open for writers, False when every one is closed, None when it is neither."""
    closed = side.closed & set(databases)
    if not closed:
        return True
    return False if closed == set(databases) else None
