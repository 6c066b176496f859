# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Subscriptions that exist only positioned, and that can be dropped although their publisher is gone."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

try:
    import psycopg2
    from psycopg2 import errors, extensions, sql
except ImportError:  # connection.require_driver() says so
    pass

from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError, words
from .connection import conninfo, execute, rows, transaction

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

# Never connect=false: without the list of tables that connecting brings, nothing is replicated and nothing complains.
_OPTIONS = (
    "connect = true, create_slot = false, copy_data = false, enabled = false, disable_on_error = false, streaming = on"
)
# Set in the transaction that starts a subscription, and read as "it was started": everybody may read this column, whereas the
# origin's position, and a comment from another database, are not ours to read.
_STARTED = "disable_on_error"


@dataclass(frozen=True)
class Subscription:
    """One subscription and its worker.

    ``started``: it was given its position; an armed one was not. ``errors`` counts what the worker failed to apply.
    """

    name: str
    database: str
    enabled: bool
    slot: str | None
    worker_pid: int | None
    errors: int
    started: bool


def subscriptions(conn: Connection) -> list[Subscription]:
    """Every subscription of the server, whatever database it is in."""
    found = rows(
        conn,
        """
        SELECT s.subname, d.datname, s.subenabled, s.subslotname, w.pid, coalesce(e.apply_error_count, 0),
               s.subdisableonerr
          FROM pg_catalog.pg_subscription s
          JOIN pg_catalog.pg_database d ON d.oid = s.subdbid
          LEFT JOIN pg_catalog.pg_stat_subscription_stats e ON e.subid = s.oid
          LEFT JOIN LATERAL (SELECT max(pid) AS pid FROM pg_catalog.pg_stat_subscription
                              WHERE subid = s.oid AND relid IS NULL) w ON true
         ORDER BY s.subname
        """,
    )
    return [Subscription(*row) for row in found]


def find_subscription(conn: Connection, name: str) -> Subscription | None:
    """The subscription ``name``, in whatever database it is; None when there is none."""
    return next((found for found in subscriptions(conn) if found.name == name), None)


def create_subscription(
    conn: Connection,
    name: str,
    conninfo: str,
    publication: str,
    slot: str,
    *,
    position: str | None,
    enable: bool,
) -> None:
    """Make a subscription in the connection's database, in one transaction: it exists only as it is wanted.

    ``position`` is where it starts in the publisher's log; with ``enable=False`` it is armed, to be started by
    :func:`start_subscription`. The server connects to the publisher; when it cannot, :class:`BlueGreenError` says so.
    """
    statement = sql.SQL("CREATE SUBSCRIPTION {} CONNECTION {} PUBLICATION {} WITH ({}, slot_name = {})").format(
        sql.Identifier(name), sql.Literal(conninfo), sql.Identifier(publication), sql.SQL(_OPTIONS), sql.Literal(slot)
    )
    try:
        with transaction(conn):
            execute(conn, statement)
            if enable:
                _start(conn, name, position)
    except psycopg2.Error as error:
        raise BlueGreenError(_create_sentence(name, conninfo, error)) from None


def start_subscription(conn: Connection, name: str, position: str | None) -> None:
    """Start an armed subscription at ``position`` of the publisher's log, in one transaction; None: at its slot's."""
    with transaction(conn):
        _start(conn, name, position)


def enable_subscription(conn: Connection, name: str) -> None:
    """Let a stopped subscription go on where it was."""
    _alter(conn, name, sql.SQL("ENABLE"))


def stop_subscription(conn: Connection, name: str) -> None:
    """Stop a subscription where it is; its slot keeps the log."""
    _alter(conn, name, sql.SQL("DISABLE"))


def change_connection(conn: Connection, name: str, conninfo: str) -> None:
    """Give a subscription another connection string; its worker starts anew with it."""
    _alter(conn, name, sql.SQL("CONNECTION {}").format(sql.Literal(conninfo)))


def drop_subscription(conn: Connection, name: str) -> bool:
    """Drop the subscription without talking to its publisher; its slot there stays. Returns whether it was there.

    The connection is to the subscription's database. Without the detour over slot_name the server would insist on
    dropping the slot on a publisher that may be gone (PostgreSQL manual, DROP SUBSCRIPTION).
    """
    found = find_subscription(conn, name)
    if found is None:
        return False
    try:
        # Never in one transaction: DROP SUBSCRIPTION forgets the origin's progress at once, transaction or not. Killed before
        # the commit, it would leave a subscription whose worker starts anew and applies once more what it had applied.
        _alter(conn, name, sql.SQL("DISABLE"))
        _alter(conn, name, sql.SQL("SET (slot_name = NONE)"))
        execute(conn, sql.SQL("DROP SUBSCRIPTION {}").format(sql.Identifier(name)))
    except errors.UndefinedObject:
        return False
    return True


def publisher_conninfo(publisher: Endpoint, database: str, role: str, password: str, ssl_mode: str, name: str) -> str:
    """The connection string with which the subscription ``name`` reaches ``publisher``."""
    return conninfo(
        host=publisher.host,
        port=str(publisher.port),
        user=role,
        password=password,
        dbname=database,
        sslmode=ssl_mode,
        application_name=name,
        connect_timeout=str(publisher.connect_timeout),
        keepalives_idle="5",
        keepalives_interval="2",
        keepalives_count="3",
    )


def new_password(conn: Connection, role: str) -> str:
    """Give ``role`` a new random password and return it; the server and its log see the SCRAM verifier only."""
    password = secrets.token_urlsafe(32)
    verifier = extensions.encrypt_password(password, role, conn, "scram-sha-256")
    execute(conn, sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(verifier)))
    return password


def _start(conn: Connection, name: str, position: str | None) -> None:
    if position is not None:
        execute(
            conn,
            "SELECT pg_catalog.pg_replication_origin_advance('pg_' || s.oid, %s::pg_catalog.pg_lsn)"
            " FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d ON d.oid = s.subdbid"
            " WHERE s.subname = %s AND d.datname = pg_catalog.current_database()",
            (position, name),
        )
    _alter(conn, name, sql.SQL(f"SET ({_STARTED} = true)"))
    _alter(conn, name, sql.SQL("ENABLE"))


def _alter(conn: Connection, name: str, what: sql.Composable) -> None:
    execute(conn, sql.SQL("ALTER SUBSCRIPTION {} {}").format(sql.Identifier(name), what))


def _create_sentence(name: str, dsn: str, error: BaseException) -> str:
    publisher = extensions.parse_dsn(dsn)
    return (
        f"The subscription {name} could not be made, because its server could not use the publisher at "
        f"{publisher['host']}:{publisher['port']}, database {publisher['dbname']}: {words(error)}; the subscriber's server "
        f"itself must reach that address (security groups, routes, ssl mode) and the role {publisher['user']} must log in there."
    )
