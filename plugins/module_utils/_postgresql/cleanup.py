# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""State ``absent``: everything that replication made, on both sides, whichever of them is still there."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

try:
    from psycopg2 import sql
except ImportError:  # connection.require_driver() says so
    pass

from .._core.endpoint import Endpoint
from .._core.journal import Journal
from .._core.names import Names
from . import catalog, control_record, drift_baseline, drift_copy, identity, marker, verify_progress
from .connection import connected, execute, value
from .publication import drop_publication, find_publication
from .slot import drop_slot, logical_slots
from .subscription import drop_subscription, subscriptions

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

_LOCK_TIMEOUT = 60.0  # seconds to wait for each table whose replica identity is given back


def clean(sides: Iterable[Endpoint], names: Names, journal: Journal) -> None:
    """Remove subscriptions, then slots, then the rest; both directions; in every database, not only the chosen ones.

    Whether a side is closed for writers is left as it is.
    """
    every = list(sides)
    for side in every:
        _drop_subscriptions(side, names, journal)
    for side in every:
        _drop_slots(side, names, journal)
    for side in every:
        with connected(side) as conn:
            databases = [database.name for database in catalog.databases(conn)]
        for database in databases:
            if database != names.control_database:
                _clean_database(side, database, names, journal)
        _drop_role(side, names, journal)
        _forget_record(side, names, journal)


def _drop_subscriptions(side: Endpoint, names: Names, journal: Journal) -> None:
    with connected(side) as conn:
        found = subscriptions(conn)
    for one in found:
        if one.name in _ours(names, one.database):
            with connected(side.at(one.database)) as conn:
                what = f"drop subscription {one.name} in {one.database} on {side.side}"
                journal.act(what, partial(drop_subscription, conn, one.name))


def _drop_slots(side: Endpoint, names: Names, journal: Journal) -> None:
    with connected(side) as conn:
        for slot in logical_slots(conn):
            if slot.database is not None and slot.name in _ours(names, slot.database):
                what = f"drop replication slot {slot.name} in {slot.database} on {side.side}"
                journal.act(what, partial(drop_slot, conn, slot.name))


def _clean_database(side: Endpoint, database: str, names: Names, journal: Journal) -> None:
    with connected(side.at(database)) as conn:
        if find_publication(conn, names.publication) is not None:
            journal.act(
                f"drop publication {names.publication} in {database} on {side.side}",
                partial(drop_publication, conn, names.publication),
            )
        # Not before the publication is gone: UPDATE and DELETE would fail.
        identity.take_back(conn, names, side.side, journal, timeout=_LOCK_TIMEOUT)
        if side.side == "blue" and drift_copy.granted(conn, names):
            what = f"let {names.replication_role} read nothing in {database} on {side.side} any more"
            journal.act(what, partial(drift_copy.take_back, conn, names))
        if not marker.exists(conn, names):
            return
        mine, others = marker.count(conn, names)
        if others:
            if mine:
                journal.act(f"forget the marker in {database} on {side.side}", partial(marker.forget, conn, names))
            return
        journal.act(f"drop table {names.schema}.marker in {database} on {side.side}", partial(marker.drop, conn, names))


def _drop_role(side: Endpoint, names: Names, journal: Journal) -> None:
    role = names.replication_role
    with connected(side) as conn:
        if value(conn, "SELECT true FROM pg_catalog.pg_roles WHERE rolname = %s", (role,)):
            statement = sql.SQL("DROP ROLE {}").format(sql.Identifier(role))
            journal.act(f"drop role {role} on {side.side}", partial(execute, conn, statement))


def _forget_record(side: Endpoint, names: Names, journal: Journal) -> None:
    with control_record.opened(side, names) as conn:
        if conn is None:
            return
        if control_record.others(conn, names.deployment_id):
            if control_record.read(conn, names.deployment_id) is not None:
                journal.act(f"forget the control record on {side.side}", partial(_forget, conn, names))
            return
    what = f"drop database {names.control_database} on {side.side}"
    journal.act(what, partial(control_record.drop, side, names))


def _forget(conn: Connection, names: Names) -> None:
    verify_progress.forget(conn, names)
    drift_baseline.forget(conn, names)
    control_record.forget(conn, names.deployment_id)


def _ours(names: Names, database: str) -> set[str]:
    return {names.slot("forward", database), names.slot("reverse", database)}
