# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""State ``positioned``: the clone's position is committed, then green is made a replica that nobody else writes to.

Prepared XA transactions of the clone stay: XA PREPARE is in blue's log before the position, so replication will bring their
XA COMMIT or XA ROLLBACK and nothing but that (MySQL manual, 15.3.8.3).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError
from .._core.journal import Journal
from . import locks, place, record, replication_user
from .connection import connected
from .coordinates import Coordinates
from .dialect import Dialect
from .place import Found, GtidPolicy, Reported
from .prepare import RETENTION
from .record import Account
from .replication_user import Login
from .service import Service, service_of
from .status import State

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor


@dataclass(frozen=True)
class Wanted:
    """What the user says about the position: ``given`` as ``file:offset``; ``reported`` asks the service, when it is needed.

    ``unlocked``: the accounts that stay able to log in to green before it is opened.
    """

    login: Login
    gtid: GtidPolicy
    given: str | None
    reported: Callable[[], Reported]
    unlocked: Sequence[Account]


def position(blue: Endpoint, green: Endpoint, state: State, journal: Journal, wanted: Wanted) -> str | None:
    """Commit the position, then clear what the clone carried along and lock its client accounts.

    Once committed a position is never replaced. Returns what a new one was checked by, None for one that is on record.
    """
    names = state.names
    checked = None
    with connected(green) as conn:
        if state.record is None:
            with connected(blue) as source:
                _clear_replication(conn, state, journal)
                found = _find(source, conn, state, wanted)
            checked = found.checked
            what = f"record position {found.at} on green, checked by {found.checked}"
            keep = (RETENTION, replication_user.NOTE)
            settings = {"closed_green": str(found.closed)} if found.closed else {}
            journal.act(what, partial(record.begin, conn, names.deployment_id, found.at, keep, settings))
        else:
            _refuse_other(state, wanted)
        account = replication_user.find(conn, names.deployment_id, wanted.login)
        replication_user.refuse_foreign(account, wanted.login, "green")
        if not replication_user.complete(account, wanted.login):
            what = f"create user {wanted.login.user} on green"
            journal.act(what, partial(replication_user.ensure, conn, names.deployment_id, wanted.login))
        close(conn, state, journal, wanted.login, wanted.unlocked)
    return checked


def close(conn: Connection[Cursor], state: State, journal: Journal, login: Login, unlocked: Sequence[Account]) -> None:
    """Lock green's client accounts that can still log in, and end the sessions of what is locked then."""
    deployment_id = state.names.deployment_id
    wanted = locks.client_accounts(conn, users=[login.user], accounts=unlocked)
    if wanted or state.green is None or not state.green.closed:
        what = f"lock {len(wanted)} accounts on green" if len(wanted) != 1 else "lock 1 account on green"
        journal.act(what, partial(locks.lock, conn, deployment_id, wanted))
        if not journal.check_mode:
            _end_sessions(conn, wanted, unlocked)
    released = [account for account in locks.locked_accounts(conn, deployment_id) if account in unlocked]
    if released:
        what = f"unlock {', '.join(map(str, released))} on green"
        journal.act(what, partial(locks.release, conn, deployment_id, released))


def _find(blue: Connection[Cursor], green: Connection[Cursor], state: State, wanted: Wanted) -> Found:
    place.refuse_stranger(blue, green, state.names)
    green_mode = state.green.gtid_mode if state.green else "OFF"
    if wanted.gtid == "required" and wanted.given is not None:
        raise BlueGreenError("gtid=required, but a position is given too: leave one of the two options out.")
    if place.mode(wanted.gtid, state.blue.gtid_mode, green_mode) == "gtid":
        return place.by_gtid(blue, green)
    if wanted.given is None and place.served_before(blue, green, state.names):
        raise BlueGreenError(
            "Green served before blue did, so its position is where blue's log was when blue was opened, but the option position is "
            "missing: give what the service's event 'Binary log coordinates in green environment after switchover' says, or use GTIDs "
            "on both sides."
        )
    place.clean(blue, green, state)
    reported = Reported() if wanted.given else wanted.reported()
    return place.by_position(blue, green, state.names, wanted.given, reported)


def _clear_replication(conn: Connection[Cursor], state: State, journal: Journal) -> None:
    """Take the replica settings that the clone carried along from it; one that runs has written on green already."""
    found = state.green.channel if state.green else None
    if found is None:
        return
    where = f"{found.source_host}:{found.source_port}"
    if not found.stopped:
        raise BlueGreenError(
            f"Green should be written to by nobody, but replicates from {where} as blue did when it was cloned, so its data is no "
            f"longer blue's at any position: end that replication on blue, {place.ANEW}."
        )
    service: Service = service_of(conn, Dialect.of(conn))
    journal.act(f"reset copied replication from {where} on green", service.reset)


def _refuse_other(state: State, wanted: Wanted) -> None:
    recorded = state.record.position if state.record else None
    if wanted.given is None or recorded is None or not recorded.file:  # by GTIDs, for which a position is not needed
        return
    given = Coordinates.parse(wanted.given)
    if (given.file, given.offset) != (recorded.file, recorded.offset):
        raise BlueGreenError(
            f"Green's position is on record as {recorded}, but the option position says {given}: it cannot be changed any more; leave "
            "the option out."
        )


def _end_sessions(conn: Connection[Cursor], locked: Sequence[Account], unlocked: Sequence[Account]) -> None:
    service = service_of(conn, Dialect.of(conn))
    users = {account.user for account in locked} - {account.user for account in unlocked}
    for session in locks.sessions_of(conn, users):
        service.kill(session)
