# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""State ``detached``: a clone of green becomes a database of its own, and neither blue nor green notices.

A clone of a subscriber has its subscriptions too. As soon as one of its apply workers starts, it takes from the publisher's slot
what the subscriber was to get. So the clone has to start without workers, and then loses its subscriptions.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError
from .._core.journal import Journal
from .._core.names import Names
from . import catalog, control_record
from .connection import connected, value
from .position import roll_back
from .side_fence import open_databases, read_only_databases
from .slot import drop_slot, logical_slots
from .subscription import Subscription, change_connection, drop_subscription, subscriptions

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

_WORKERS = "max_logical_replication_workers"
# Nobody listens there. A subscription that is dropped while a table is being copied tries to drop the copy's slot on the
# publisher, and gives up only when it cannot connect (PostgreSQL source, DropSubscription).
_NOWHERE = "host=127.0.0.1 port=1 user=nobody password=none dbname=none connect_timeout=2"


def detach(clone: Endpoint, names: Names, journal: Journal) -> None:
    """Take from ``clone`` its subscriptions, slots, prepared transactions and control record, then open it for writers.

    Raises :class:`BlueGreenError` when it has subscriptions and could run their workers: then it is green itself, or a clone
    that has consumed what green was to get.
    """
    with connected(clone) as conn:
        found = subscriptions(conn)
        _refuse_workers(conn, clone, found)
        for one in found:
            what = f"drop copied subscription {one.name} in {one.database}"
            journal.act(what, partial(_drop_subscription, clone, one))
        for slot in logical_slots(conn):
            journal.act(f"drop copied replication slot {slot.name}", partial(drop_slot, conn, slot.name))
        for prepared in catalog.prepared_transactions(conn):
            what = f"roll back prepared transaction {prepared.gid} in {prepared.database}"
            journal.act(what, partial(roll_back, clone, prepared))
        if control_record.exists(conn, names):
            journal.act(f"drop copied database {names.control_database}", partial(control_record.drop, clone, names))
        every = [database.name for database in catalog.databases(conn) if database.mine]
        closed = sorted(read_only_databases(conn, every))
        if closed:
            journal.act(f"open {', '.join(closed)} for writers", partial(open_databases, conn, closed))


def _refuse_workers(conn: Connection, clone: Endpoint, found: list[Subscription]) -> None:
    workers = int(value(conn, "SELECT setting FROM pg_catalog.pg_settings WHERE name = %s", (_WORKERS,)))
    if found and workers:
        raise BlueGreenError(
            f"A clone of green should have been started with {_WORKERS} = 0, so that it takes nothing from blue's slots, but the "
            f"server at {clone.host} has {workers} and the subscriptions {', '.join(one.name for one in found)}: if this is green "
            "itself, correct the address; if it is a clone, delete it and check green with bg_verify before anything else."
        )


def _drop_subscription(clone: Endpoint, one: Subscription) -> None:
    with connected(clone.at(one.database)) as conn:
        change_connection(conn, one.name, _NOWHERE)
        drop_subscription(conn, one.name)
