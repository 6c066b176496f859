# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""States ``running`` and ``stopped``: green subscribes to blue from exactly the clone's position."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from .._core.checks import require
from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError, WaitTimeout
from .._core.journal import Journal
from .._core.waiting import Deadline
from . import drift_baseline, lsn, way_back
from .connection import connected
from .guardrails import subscriber_checks
from .position import close
from .slot import Slot
from .status import Health, State, health, measure_lag, observe
from .subscription import (
    change_connection,
    create_subscription,
    enable_subscription,
    new_password,
    publisher_conninfo,
    stop_subscription,
)

_SLICE = 5.0  # seconds that one marker may take before the worker's health is looked at again
_FIRST_PAUSE = 0.1  # a worker is up in no time; then less and less often


def replicate(blue: Endpoint, green: Endpoint, state: State, journal: Journal, *, ssl_mode: str) -> None:
    """Subscribe every database that is not yet, and let stopped subscriptions go on.

    A subscription appears in one transaction together with its position, so "it exists" means "it is positioned".
    """
    missing = [name for name in state.databases if state.subscription("forward", name) is None]
    stopped = [name for name in state.databases if name not in missing and not _enabled(state, name)]
    unrecorded = journal.check_mode and bool(missing) and _unrecorded(blue, state)
    if missing:
        start = _predicted(state) if unrecorded else starting_position(state, missing)
        require(subscriber_checks(green, state.names, state.databases, "forward"), "replication")
        with connected(green) as conn:
            close(conn, state, journal)
        _subscribe(blue, green, state, missing, start, journal, ssl_mode)
    for database in stopped:
        name = state.names.subscription("forward", database)
        with connected(green.at(database)) as conn:
            journal.act(f"start subscription {name} in {database} on green", partial(enable_subscription, conn, name))
    _record_schema(green, state, journal, unrecorded)


def stop(green: Endpoint, state: State, journal: Journal) -> None:
    """Stop green's subscriptions where they are; blue's slots keep the log meanwhile."""
    for database in state.databases:
        name = state.names.subscription("forward", database)
        if state.subscription("forward", database) is not None and _enabled(state, database):
            with connected(green.at(database)) as conn:
                journal.act(f"stop subscription {name} in {database} on green", partial(stop_subscription, conn, name))


def starting_position(state: State, missing: Sequence[str]) -> str:
    """The recorded position, from which the databases ``missing`` can be subscribed.

    Raises :class:`BlueGreenError` when there is none, or when a slot does not hold everything since.
    """
    if state.record is None or state.record.position is None:
        raise BlueGreenError(
            "Green's position should be on record before replication runs, but is not: run pg_logical_subscription with "
            "state=positioned first, before any upgrade of green."
        )
    start = state.record.position
    for database in missing:
        slot = state.slot("forward", database)
        if slot is None or slot.lost or slot.confirmed is None or slot.confirmed > lsn.parse(start):
            found = "there is none" if slot is None else _begin(slot)
            raise BlueGreenError(
                f"Blue's slot {state.names.slot('forward', database)} of database {database} must hold every change since green's "
                f"position {start}, but {found}: green cannot be brought in sync; delete it and begin anew with state=prepared."
            )
    return start


def wait_running(
    blue: Endpoint, green: Endpoint, state: State, *, max_lag: float | None, timeout: float, delay: float
) -> float:
    """Wait until every database replicates and a marker passes within ``max_lag`` seconds; returns the lag measured.

    A subscription that stopped at an error ends the wait at once; a worker that is not up yet is waited for.
    """
    deadline, pause = Deadline(timeout), _FIRST_PAUSE
    while True:
        found = health(blue, green, state, "forward")
        _refuse_stopped(found, state)
        wrong = [f"database {name}: {one.error}" for name, one in found.items() if one.error]
        if not wrong:
            try:
                limit = max(_SLICE, max_lag or 0.0)
                lag = measure_lag(
                    blue, green, state.names, state.databases, "forward", max(0.1, min(limit, deadline.left))
                )
                if max_lag is None or lag <= max_lag:
                    return lag
                wrong = [f"a lag of {lag:.3f} s"]
            except WaitTimeout as late:
                wrong = [late.message.rstrip(".")]
        if deadline.passed:
            below = "" if max_lag is None else f" with a lag below {max_lag:g} s"
            raise WaitTimeout(f"Waited {timeout:g} s for replication to run{below}, but found: {'; '.join(wrong)}.")
        time.sleep(min(delay, pause))
        pause *= 2
        state = replace(observe(blue, green, state.names, state.databases), expected=state.expected)


def _refuse_stopped(found: dict[str, Health], state: State) -> None:
    for database, one in found.items():
        subscription = state.subscription("forward", database)
        if one.error and subscription is not None and not subscription.enabled:
            raise BlueGreenError(f"Replication of database {database} does not run: {one.error}.")


def _record_schema(green: Endpoint, state: State, journal: Journal, unrecorded: bool) -> None:
    """Commit green's schema as it is before anything is changed there on purpose; once."""
    known = {} if unrecorded else drift_baseline.look(green, state.names)
    first = [database for database in state.databases if unrecorded or ("blue", database) in known]
    wanted = [database for database in first if ("green", database) not in known]
    if wanted:
        journal.act(f"record the schema of {', '.join(wanted)} on green", partial(_take_schema, green, state, wanted))


def _take_schema(green: Endpoint, state: State, databases: Sequence[str]) -> None:
    schemas = drift_baseline.take(green, databases)
    with connected(green.at(state.names.control_database)) as conn:
        drift_baseline.commit(conn, state.names, "green", schemas)


def _subscribe(
    blue: Endpoint, green: Endpoint, state: State, missing: Sequence[str], start: str, journal: Journal, ssl_mode: str
) -> None:
    """Subscribe the databases ``missing``.

    One role, hence one password for all: those that exist get it first, so that a death in between leaves one missing and the
    next run renews them all.
    """
    names = state.names
    password = ""
    if not journal.check_mode:
        with connected(blue) as conn:
            password = new_password(conn, names.replication_role)
    existing = [database for database in state.databases if database not in missing]
    for database in [*existing, *missing]:
        name = names.subscription("forward", database)
        dsn = publisher_conninfo(blue, database, names.replication_role, password, ssl_mode, name)
        with connected(green.at(database)) as conn:
            if database in existing:
                what = f"renew the login of subscription {name} in {database} on green"
                journal.act(what, partial(change_connection, conn, name, dsn))
                continue
            create = partial(create_subscription, conn, name, dsn, names.publication, names.slot("forward", database))
            what = f"create subscription {name} in {database} on green at position {start}"
            journal.act(what, partial(create, position=start, enable=True))


def _unrecorded(blue: Endpoint, state: State) -> bool:
    """Whether there is a position that state=positioned has yet to record."""
    return bool(state.fresh) or (state.record is None and way_back.armed(blue, state.names, state.databases))


def _predicted(state: State) -> str:
    """In check mode state=positioned has not really run before: what it would have recorded is not known."""
    return (state.record.position if state.record else None) or "that state=positioned records"


def _enabled(state: State, database: str) -> bool:
    subscription = state.subscription("forward", database)
    return subscription is not None and subscription.enabled


def _begin(slot: Slot) -> str:
    begin = "nowhere" if slot.confirmed is None else lsn.text(slot.confirmed)
    return f"it begins at {begin} and is {slot.wal_status}"
