# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The states of ``pg_logical_subscription``: look, do what is missing, report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from .._core.differences import NONE_DECLARED, ExpectedDifferences
from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError
from .._core.journal import Journal
from .._core.names import Names
from . import cleanup, drift_apply, drift_copy, identity, way_back
from .detach import detach
from .identity import Change, Policy
from .position import position
from .prepare import prepare
from .replicate import replicate, stop, wait_running
from .status import State, observe, report

_ROUNDS = 3


@dataclass(frozen=True)
class Request:
    """What the user asked for; times in seconds, ``position`` as ``X/Y``."""

    state: str
    databases: Sequence[str] | None
    position: str | None
    replication_ssl_mode: str
    max_lag: float | None
    wait: bool
    wait_timeout: float
    wait_delay: float
    slot_timeout: float
    replica_identity: Policy = "refuse"
    drift: str = "refuse"
    expected: ExpectedDifferences = NONE_DECLARED


def reach(
    request: Request, blue: Endpoint | None, green: Endpoint | None, names: Names, journal: Journal
) -> dict[str, Any]:
    """Reach ``request.state``; returns ``{replication, msg, before, after}``.

    Raises :class:`BlueGreenError` when it cannot be reached; what was done until then is in the journal.
    """
    if request.state == "absent":
        return _absent(blue, green, names, journal)
    if request.state == "detached":
        detach(_required(green, "green", request.state), names, journal)
        return {"replication": None, "before": {"actions": []}, "after": {"actions": list(journal.actions)}}
    blue = _required(blue, "blue", request.state)
    if request.state != "prepared":
        green = _required(green, "green", request.state)
    state = observe(blue, green, names, request.databases)
    before = summary(state)
    if state.stage == "switched":
        return {**_outcome(blue, green, state), "msg": _nothing(request.state), "before": before, "after": before}
    if state.stage == "ended" and request.state != "stopped":
        raise BlueGreenError(
            f"Blue serves again and green, which was opened at {state.opened_green}, is not replicated to any more, so it cannot "
            f"be brought to state={request.state}: run state=absent, delete green and begin a new deployment."
        )
    identities: dict[str, list[Change]] = {}
    if request.state == "prepared":
        identities = identity.plan(blue, state.databases, request.replica_identity)
    lag = _act(request, blue, green, state, journal, identities)
    if journal.check_mode:
        after = expected(before, request.state)
    else:
        state = observe(blue, green, names, request.databases)
        after = summary(state)
    for database, given in identities.items():
        before[database]["replica_identity"] = {one.table.label: one.before for one in given}
        after[database]["replica_identity"] = {one.table.label: one.after for one in given}
    return {**_outcome(blue, green, state, lag), "before": before, "after": after}


def summary(state: State) -> dict[str, Any]:
    """The objects of each database in words, for a diff."""
    found: dict[str, Any] = {}
    for database in state.databases:
        found[database] = {
            "slot": state.slot("forward", database) is not None,
            "position": state.record.position if state.record and not state.fresh else None,
            "green_closed": bool(state.green and database in state.green.closed),
            "subscription": _subscription_word(state, database),
        }
    return found


def expected(before: dict[str, Any], target: str) -> dict[str, Any]:
    """What :func:`summary` would say after a run to ``target``."""
    changes: dict[str, dict[str, Any]] = {
        "prepared": {"slot": True},
        "positioned": {"green_closed": True},
        "running": {"green_closed": True, "subscription": "running"},
    }
    after = {database: {**words, **changes.get(target, {})} for database, words in before.items()}
    if target == "stopped":
        for words in after.values():
            words["subscription"] = "absent" if words["subscription"] == "absent" else "stopped"
    return after


def _act(
    request: Request,
    blue: Endpoint,
    green: Endpoint | None,
    state: State,
    journal: Journal,
    identities: dict[str, list[Change]],
) -> float | None:
    if request.state == "prepared" and green is not None and way_back.follows(blue, green, state.names):
        way_back.arm(blue, green, state.names, state.databases, journal, slot_timeout=request.slot_timeout)
        return None
    if request.state == "prepared":
        prepare(
            blue,
            state.names,
            state.databases,
            journal,
            slot_timeout=request.slot_timeout,
            identities=identities,
            replica_identity=request.replica_identity,
        )
        return None
    green = _required(green, "green", request.state)
    if request.state == "positioned":
        if way_back.armed(blue, state.names, state.databases):
            way_back.take_position(blue, green, state, journal, request.position)
        else:
            position(green, state, journal, request.position)
        return None
    if request.state == "stopped":
        stop(green, state, journal)
        return None
    return _run(request, blue, green, state, journal)


def _run(request: Request, blue: Endpoint, green: Endpoint, state: State, journal: Journal) -> float | None:
    """Replicate, what was changed on blue since the clone being refused or made on green too."""
    state = replace(state, expected=request.expected)
    found = drift_apply.pending(blue, green, state)
    tables = drift_copy.missing_tables(blue, green, state)
    if request.drift == "refuse":
        drift_apply.refuse_stopping(found)
        drift_copy.refuse_skipped(tables)
        replicate(blue, green, state, journal, ssl_mode=request.replication_ssl_mode)
        return _wait(request, blue, green, state, journal)
    lag = _apply(request, blue, green, state, found, tables, journal)
    for _round in range(_ROUNDS):  # what shows only when something else is in step, as a column of a detached partition
        found = drift_apply.pending(blue, green, state)
        if journal.check_mode or lag is None or not any(one.plans for one in found):
            break
        state = replace(observe(blue, green, state.names, request.databases), expected=request.expected)
        lag = _apply(request, blue, green, state, found, drift_copy.missing_tables(blue, green, state), journal)
    return lag


def _apply(
    request: Request,
    blue: Endpoint,
    green: Endpoint,
    state: State,
    found: Sequence[drift_apply.Pending],
    tables: Sequence[drift_copy.Missing],
    journal: Journal,
) -> float | None:
    drift_apply.refuse_by_hand(found)
    if tables:
        drift_copy.room(blue, green)
    drift_apply.apply_first(green, state, found, journal)
    replicate(blue, green, state, journal, ssl_mode=request.replication_ssl_mode)
    drift_copy.refresh(blue, green, state, tables, journal)
    lag = _wait(request, blue, green, state, journal)
    if journal.check_mode or lag is not None:
        drift_copy.revoke(blue, state.names, state.databases, journal, tables)
        drift_apply.apply_last(green, state, found, journal)
    return lag


def _wait(request: Request, blue: Endpoint, green: Endpoint, state: State, journal: Journal) -> float | None:
    if journal.check_mode or not request.wait:
        return None
    return wait_running(
        blue,
        green,
        replace(observe(blue, green, state.names, request.databases), expected=request.expected),
        max_lag=request.max_lag,
        timeout=request.wait_timeout,
        delay=request.wait_delay,
    )


def _absent(blue: Endpoint | None, green: Endpoint | None, names: Names, journal: Journal) -> dict[str, Any]:
    sides = [side for side in (blue, green) if side is not None]
    if not sides:
        raise BlueGreenError(
            "state=absent needs a side to clean, but neither blue nor green is given: give the one that is left."
        )
    cleanup.clean(sides, names, journal)
    return {"replication": None, "before": {"actions": []}, "after": {"actions": list(journal.actions)}}


def _outcome(blue: Endpoint, green: Endpoint | None, state: State, lag: float | None = None) -> dict[str, Any]:
    replication = report(blue, green, state) if green is not None else None
    if replication is not None and lag is not None and replication["running"]:
        replication["lag"]["seconds"] = lag
    return {"replication": replication, "serving": state.serving}


def _required(side: Endpoint | None, name: str, state: str) -> Endpoint:
    if side is None:
        raise BlueGreenError(
            f"The option {name} is needed for state={state}, but is missing: give the connection to {name}."
        )
    return side


def _nothing(state: str) -> str:
    return f"The traffic has moved to green already, so there is nothing to do for state={state}."


def _subscription_word(state: State, database: str) -> str:
    found = state.subscription("forward", database)
    if found is None:
        return "absent"
    return "running" if found.enabled else "stopped"
