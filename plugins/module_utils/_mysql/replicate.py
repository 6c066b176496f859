# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""States ``running`` and ``stopped``: green replicates from blue, from exactly the clone's position on."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError, WaitTimeout
from .._core.journal import Journal
from .._core.names import Names
from .._core.waiting import Deadline
from . import record, remedies, replication_user
from .connection import connected
from .coordinates import Channel, Coordinates, channel
from .dialect import Dialect
from .replication_user import Login
from .service import service_of
from .status import STARTED, State, health, measure_lag

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

_SLICE = 5.0  # seconds that one marker may take before the channel is looked at again
_FIRST_PAUSE = 0.1  # a channel is up in no time; then less and less often


def replicate(blue: Endpoint, green: Endpoint, state: State, journal: Journal, login: Login) -> None:
    """Configure the channel unless it has run before, and start it unless it runs.

    A channel that never ran is configured anew from the record: only one that was started knows better where it is.
    """
    _refuse_foreign(state)
    found = state.channel("forward")
    with connected(green) as conn:
        if state.ran and found is not None:
            found = _renewed(blue, conn, found, state, journal, login)
        elif found is None or found.stopped:
            start = starting_position(state, journal.check_mode)
            what = f"configure replication from blue on green {_from(start)}"
            journal.act(what, partial(_configure, blue, conn, state.names, start, login))
            found = None
        if found is None or not found.running:
            journal.act("start replication on green", partial(_start, conn, state.names))


def stop(green: Endpoint, state: State, journal: Journal) -> None:
    """Stop the replication into green where it is; blue keeps its log for ``binlog_retention_hours`` only."""
    found = state.channel("forward")
    if found is not None and not found.stopped:
        with connected(green) as conn:
            journal.act("stop replication on green", service_of(conn, Dialect.of(conn)).stop)


def starting_position(state: State, check_mode: bool) -> Coordinates | None:
    """The recorded position, None for GTID auto-position; raises :class:`BlueGreenError` when green cannot go on from it."""
    position = state.record.position if state.record else None
    if position is None:
        if check_mode:  # state=positioned has not really run before
            return None
        raise BlueGreenError(
            "Green's position should be on record before replication runs, but is not: run binlog_replication with "
            "state=positioned first, before any upgrade of green."
        )
    if not position.file:
        green_mode = state.green.gtid_mode if state.green else "OFF"
        if not state.blue.gtid_mode == green_mode == "ON":
            raise BlueGreenError(
                f"Green's position is on record as a GTID set, so both sides need GTIDs, but gtid_mode is {state.blue.gtid_mode} on "
                f"blue and {green_mode} on green: set gtid-mode to ON in both parameter groups and reboot the writers."
            )
        return None
    if state.ran:
        raise BlueGreenError(
            f"Green has replicated from position {position} on, but the channel that knew how far is gone: applying it again would "
            "write everything twice; delete green, clone again, and begin anew with state=prepared."
        )
    return position


def wait_running(
    blue: Endpoint, green: Endpoint, names: Names, *, max_lag: float | None, timeout: float, delay: float
) -> float:
    """Wait until the channel runs and a marker passes within ``max_lag`` seconds; returns the lag measured.

    An error that does not mend itself ends the wait at once.
    """
    deadline, pause = Deadline(timeout), _FIRST_PAUSE
    while True:
        found = health(blue, green, "forward")
        _refuse_stopped(green, found.error)
        wrong = found.error
        if wrong is None:
            try:
                limit = max(_SLICE, max_lag or 0.0)
                lag = measure_lag(blue, green, names, "forward", max(0.1, min(limit, deadline.left)))
                if max_lag is None or lag <= max_lag:
                    return lag
                wrong = f"a lag of {lag:.3f} s"
            except WaitTimeout as late:
                wrong = late.message.rstrip(".")
        if deadline.passed:
            below = "" if max_lag is None else f" with a lag below {max_lag:g} s"
            raise WaitTimeout(f"Waited {timeout:g} s for replication to run{below}, but found: {wrong}.")
        time.sleep(min(delay, pause))
        pause *= 2


def _refuse_foreign(state: State) -> None:
    found = state.green.channel if state.green else None
    if found is not None and state.green is not None and state.green.ours is None:
        raise BlueGreenError(
            f"Green should replicate from blue with the user {state.green.user}, but does from {found.source_host}:"
            f"{found.source_port} with {found.user}: end that replication first."
        )


def _refuse_stopped(green: Endpoint, error: str | None) -> None:
    if error is None:
        return
    with connected(green) as conn:
        found = channel(conn, Dialect.of(conn))
    login = found is not None and remedies.number(found.io_error) in remedies.LOGIN_ERRORS
    if found is None or not found.applier or found.io == "No" or login:
        raise BlueGreenError(f"Replication from blue to green does not run: {error}.")


def _renewed(
    blue: Endpoint, conn: Connection[Cursor], found: Channel, state: State, journal: Journal, login: Login
) -> Channel | None:
    """The channel as it is, or None after its login was renewed because the source refuses it."""
    if remedies.number(found.io_error) not in remedies.LOGIN_ERRORS:
        return found
    start = None if found.auto_position else found.applied
    journal.act("renew the login of replication on green", partial(_renew, blue, conn, state.names, start, login))
    return None


def _renew(blue: Endpoint, conn: Connection[Cursor], names: Names, start: Coordinates | None, login: Login) -> None:
    dialect = Dialect.of(conn)
    service = service_of(conn, dialect)
    found = channel(conn, dialect)
    if found is not None and not found.stopped:
        service.stop()
        found = channel(conn, dialect)  # what is in the relay log may have been applied meanwhile
    if found is not None and start is not None:
        start = found.applied
    _configure(blue, conn, names, start, login)


def _configure(blue: Endpoint, conn: Connection[Cursor], names: Names, start: Coordinates | None, login: Login) -> None:
    with connected(blue) as source:
        password = replication_user.renew(source, names.deployment_id, login)
    service = service_of(conn, Dialect.of(conn))
    service.set_source(blue, login.user, password, start, encrypted=login.encrypted)


def _start(conn: Connection[Cursor], names: Names) -> None:
    """Start it; what keeps it from running is seen by whoever waits for it."""
    record.note(conn, names.deployment_id, STARTED, "yes")
    dialect = Dialect.of(conn)
    service = service_of(conn, dialect)
    found = channel(conn, dialect)
    if (
        found is not None and not found.stopped
    ):  # one of its threads has stopped at an error: the service wants both down
        service.stop()
    try:
        service.start()
    except BlueGreenError:  # also "its threads are not up yet"
        found = channel(conn, dialect)
        if found is None or (found.stopped and not found.error):
            raise


def _from(start: Coordinates | None) -> str:
    return "by GTIDs" if start is None else f"from position {start}"
