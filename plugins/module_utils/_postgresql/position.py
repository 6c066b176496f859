# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""State ``positioned``: the clone's position is committed, then what the clone carried along is removed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

try:
    from psycopg2 import errors, sql
except ImportError:  # connection.require_driver() says so
    pass

from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError
from .._core.journal import Journal
from .._core.names import Names
from . import catalog, control_record, drift_baseline, lsn
from .catalog import Prepared
from .connection import connected, execute, value
from .side_fence import close_databases, end_sessions
from .slot import drop_slot
from .status import State
from .subscription import drop_subscription

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

_FUNCTION = "aurora_volume_logical_start_lsn()"


def position(green: Endpoint, state: State, journal: Journal, given: str | None) -> None:
    """Commit the clone's position to the control record, then drop copied slots and subscriptions, roll back prepared
    transactions and close green for writers. ``given`` is used instead of what the server says.

    A copied slot that is still there tells that nothing was destroyed yet: only then may the position be read (again), and a
    record that says otherwise was carried here by the clone. Afterwards the record alone is right.
    """
    names = state.names
    fresh = state.fresh
    recorded = state.record.position if state.record else None
    with connected(green) as conn:
        wanted = _wanted(conn, state, fresh, recorded, given)
        if wanted != recorded:
            databases = state.databases
            journal.act(f"record position {wanted} on green", lambda: _record(green, names, databases, wanted))
        _remove_copies(green, conn, state, journal)
        for one in catalog.prepared_transactions(conn):
            what = f"roll back prepared transaction {one.gid} in {one.database} on green"
            journal.act(what, partial(roll_back, green, one))
        close(conn, state, journal)


def close(conn: Connection, state: State, journal: Journal) -> None:
    """Close green's databases that are still open for writers, and end the sessions that began before."""
    green = state.green
    still_open = [name for name in state.databases if green is None or name not in green.closed]
    if still_open:
        journal.act(f"close {', '.join(still_open)} on green for writers", lambda: _close(conn, still_open))


def _wanted(conn: Connection, state: State, fresh: Sequence[str], recorded: str | None, given: str | None) -> str:
    if given is not None:
        lsn.parse(given)
    if recorded is not None and not fresh:
        if given is not None and lsn.parse(given) != lsn.parse(recorded):
            raise BlueGreenError(
                f"Green's position is on record as {recorded}, but the option position says {given}: it cannot be changed once "
                "the copied slots are gone; leave the option out."
            )
        return recorded
    if not fresh:
        raise BlueGreenError(
            "Green should carry a copy of blue's slots, which shows that it was cloned after state=prepared, but has none and no "
            "control record: delete green, run state=prepared on blue, then clone again; where green is old production, its way back "
            "was not armed in time, so there is none."
        )
    if len(fresh) < len(state.databases) and recorded is None:
        missing = ", ".join(sorted(set(state.databases) - set(fresh)))
        raise BlueGreenError(
            f"Green should carry a copy of blue's slot for every database, but has none for {missing}: it was cloned before "
            "state=prepared had finished; delete green and clone again."
        )
    return _usable(state, fresh, _agreed(conn, given) if given else _start(conn, recorded))


def _agreed(conn: Connection, given: str) -> str:
    """The position that the user gives, which must be the server's, when the server knows it.

    One that is later loses what was written in between, and nothing would ever complain; an earlier one applies it twice.
    """
    if value(conn, "SELECT pg_catalog.to_regprocedure(%s)", (_FUNCTION,)) is not None:
        known = str(value(conn, f"SELECT {_FUNCTION}::text"))
        if lsn.parse(known) != lsn.parse(given):
            raise BlueGreenError(
                f"Green's server says that it was cloned at {known}, but the option position says {given}, which would lose or "
                "repeat what was written in between: leave the option out."
            )
    return given


def _start(conn: Connection, recorded: str | None) -> str:
    if value(conn, "SELECT pg_catalog.to_regprocedure(%s)", (_FUNCTION,)) is None:
        if recorded is not None:
            return recorded
        raise BlueGreenError(
            "The clone's position should be read with aurora_volume_logical_start_lsn(), but this server has no such function: "
            "use a minor version that has it, or give the option position."
        )
    return str(value(conn, f"SELECT {_FUNCTION}::text"))


def _usable(state: State, fresh: Sequence[str], wanted: str) -> str:
    """The position, normalised; refused when a slot that green needs is younger than it."""
    at = lsn.parse(wanted)
    for database in fresh:
        slot = state.slot("forward", database)
        if slot is None or slot.confirmed is None or slot.confirmed > at:
            found = "is gone" if slot is None else "is younger"
            raise BlueGreenError(
                f"Blue's slot of database {database} must reach back to green's position {wanted}, but it {found}: delete green, "
                "run state=prepared on blue, then clone again."
            )
    return lsn.text(at)


def _record(green: Endpoint, names: Names, databases: Sequence[str], wanted: str) -> None:
    control_record.ensure(green, names)
    schemas = drift_baseline.take(green, databases)  # blue's at this very position
    with connected(green.at(names.control_database)) as conn:
        drift_baseline.commit(conn, names, "blue", schemas, anew=True)
        # A record of an older deployment of this name came with the clone: every field of it is about another copy.
        control_record.commit(
            conn, names.deployment_id, position=wanted, opened_green=None, opened_blue=None, settings={}
        )


def _remove_copies(green: Endpoint, conn: Connection, state: State, journal: Journal) -> None:
    if state.green is None:
        return
    names = state.names
    ours = {names.subscription("forward", database) for database in state.databases}
    for subscription in state.green.subscriptions.values():
        if subscription.name not in ours:
            what = f"drop copied subscription {subscription.name} in {subscription.database} on green"
            journal.act(what, partial(_drop_subscription, green, subscription.database, subscription.name))
    reverse = {names.slot("reverse", database) for database in state.databases}
    for name in state.green.slots:
        if name not in reverse:
            journal.act(f"drop copied replication slot {name} on green", partial(drop_slot, conn, name))


def _drop_subscription(green: Endpoint, database: str, name: str) -> None:
    with connected(green.at(database)) as conn:
        drop_subscription(conn, name)


def roll_back(green: Endpoint, one: Prepared) -> None:
    """Roll back a prepared transaction, as its owner where that is needed: only the owner and a superuser may."""
    with connected(green.at(one.database)) as conn:
        statement = sql.SQL("ROLLBACK PREPARED {}").format(sql.Literal(one.gid))
        try:
            try:
                execute(conn, statement)
            except errors.InsufficientPrivilege:
                execute(conn, sql.SQL("SET ROLE {}").format(sql.Identifier(one.owner)))
                execute(conn, statement)
        except errors.UndefinedObject:
            pass  # gone already
        except errors.InsufficientPrivilege:
            raise BlueGreenError(
                f"The clone carried the prepared transaction {one.gid!r} in database {one.database}, which has to be rolled back "
                f'on green, but only its owner may: GRANT "{one.owner}" TO "{green.user}" on green and run it again.'
            ) from None


def _close(conn: Connection, databases: Sequence[str]) -> None:
    moment = close_databases(conn, databases)
    end_sessions(conn, databases, moment, [conn.info.backend_pid])
