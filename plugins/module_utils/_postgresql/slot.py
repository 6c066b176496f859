# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Logical replication slots: made within a bounded time, dropped although a sender still holds them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

try:
    from psycopg2 import errors
except ImportError:  # connection.require_driver() says so
    pass

from .._core.errors import BlueGreenError
from .._core.waiting import Deadline
from . import lsn
from .connection import execute, rows, value

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

PLUGIN = "pgoutput"
_DROP_TIMEOUT = 30.0
_PATIENCE = 1.0  # a subscription that was dropped leaves its sender behind for some milliseconds
_MAX_NAMED = 5


@dataclass(frozen=True)
class Slot:
    """One row of pg_replication_slots; ``confirmed`` and ``restart`` are bytes since the log began."""

    name: str
    database: str | None
    plugin: str | None
    active_pid: int | None
    restart: int | None
    confirmed: int | None
    wal_status: str | None

    @property
    def lost(self) -> bool:
        """Whether the server has thrown away log that the slot needs, or is about to."""
        return self.wal_status in ("lost", "unreserved")


def logical_slots(conn: Connection) -> list[Slot]:
    """Every logical slot of the server, whatever database it belongs to."""
    found = rows(
        conn,
        "SELECT slot_name, database, plugin, active_pid, restart_lsn::text, confirmed_flush_lsn::text, wal_status"
        " FROM pg_catalog.pg_replication_slots WHERE slot_type = 'logical' ORDER BY slot_name",
    )
    return [
        Slot(n, d, p, pid, _position(restart), _position(flush), status)
        for n, d, p, pid, restart, flush, status in found
    ]


def find_slot(conn: Connection, name: str) -> Slot | None:
    """The logical slot ``name``, None when there is none."""
    return next((slot for slot in logical_slots(conn) if slot.name == name), None)


def create_slot(conn: Connection, name: str, *, timeout: float | None = None) -> str:
    """Make a slot in the connection's database and return its position ``X/Y``.

    The server waits for every transaction that has written and is still open (PostgreSQL manual, 47.2.4); after
    ``timeout`` seconds it is told to stop, which leaves no slot, and :class:`BlueGreenError` says who was in the way.
    """
    execute(conn, "SELECT pg_catalog.set_config('statement_timeout', %s, false)", (str(int((timeout or 0) * 1000)),))
    try:
        made = value(conn, "SELECT lsn FROM pg_catalog.pg_create_logical_replication_slot(%s, %s)", (name, PLUGIN))
    except errors.QueryCanceled:
        raise BlueGreenError(
            f"The replication slot {name} was not made within slot_timeout ({timeout:g} s), because it waits for every open "
            f"transaction that has written: {_in_the_way(conn)}; end these or raise slot_timeout."
        ) from None
    finally:
        if not conn.closed:
            execute(conn, "SELECT pg_catalog.set_config('statement_timeout', '0', false)")
    return str(made)


def drop_slot(conn: Connection, name: str) -> bool:
    """Drop the slot if it is there, ending the sender that holds it; returns whether it was there."""
    started, deadline = Deadline(_PATIENCE), Deadline(_DROP_TIMEOUT)
    while True:
        slot = find_slot(conn, name)
        if slot is None:
            return False
        try:
            execute(conn, "SELECT pg_catalog.pg_drop_replication_slot(%s)", (name,))
            return True
        except errors.UndefinedObject:
            return False
        except errors.ObjectInUse:
            if deadline.passed:
                raise BlueGreenError(
                    f"The replication slot {name} should be dropped, but process {slot.active_pid} keeps it in use: "
                    "end the process or stop the subscriber that uses the slot."
                ) from None
            if started.passed and slot.active_pid:
                execute(conn, "SELECT pg_catalog.pg_terminate_backend(%s)", (slot.active_pid,))
            time.sleep(0.05)


def lag_bytes(conn: Connection, name: str) -> int | None:
    """Bytes of log written here that the slot's subscriber has not confirmed; None when the slot is not there."""
    found = value(
        conn,
        "SELECT pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), confirmed_flush_lsn)"
        " FROM pg_catalog.pg_replication_slots WHERE slot_name = %s",
        (name,),
    )
    return None if found is None else int(found)


def _position(text: str | None) -> int | None:
    return None if text is None else lsn.parse(text)


def _in_the_way(conn: Connection) -> str:
    writers = rows(
        conn,
        "SELECT pid, coalesce(usename, '?'), coalesce(datname, '?'),"
        " coalesce(round(extract(epoch FROM clock_timestamp() - xact_start))::text, '?')"
        " FROM pg_catalog.pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_catalog.pg_backend_pid()"
        " ORDER BY xact_start",
    )
    prepared = rows(conn, "SELECT gid, database FROM pg_catalog.pg_prepared_xacts ORDER BY prepared")
    said = [f"process {pid} of user {user} in database {database} ({age} s)" for pid, user, database, age in writers]
    said += [f"prepared transaction {gid!r} in database {database}" for gid, database in prepared]
    more = f" and {len(said) - _MAX_NAMED} more" if len(said) > _MAX_NAMED else ""
    return (", ".join(said[:_MAX_NAMED]) + more) if said else "it has ended meanwhile"
