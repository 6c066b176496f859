# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the service does in the databases of blue and green for their logical replication, as its own superuser."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection as Connection

from tests.lab.engine import EngineError
from tests.lab.postgresql.privileges import BOOTSTRAP, SERVICE_SLOTS
from tests.lab.postgresql.servers import Server

NAME = "rds_blue_green"  # of the publication and of the subscription in every database
END_SECONDS = 20.0
_BLUE = Path(__file__).with_name("postgresql_blue.sql")
_SERVICE = SERVICE_SLOTS.replace("_", "\\_") + "%"
# The line of a process that is nobody's session has no user in it.
_WORKERS_ERROR = re.compile(r" \[\d+\] ERROR: +(.+)")
_CLIENTS = "backend_type = 'client backend' AND usename <> %s"


def run(connection: Connection, statement: str | sql.Composable, *values: object) -> list[tuple[Any, ...]]:
    """Run a statement and return its rows; raises EngineError with the server's words."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []
    except psycopg2.Error as error:
        raise EngineError(f"The lab could not do something on a server of its own: {str(error).strip()}") from error


def databases(server: Server) -> list[str]:
    """Return the customers' databases."""
    return [name for name in server.databases() if name not in (BOOTSTRAP, "template1")]


def make_replicator(server: Server, name: str, password: str) -> None:
    """Make the service's own account for the replication, with this password."""
    with server.connection() as connection:
        role = sql.Identifier(name)
        if not run(connection, "SELECT 1 FROM pg_roles WHERE rolname = %s", name):
            run(connection, sql.SQL("CREATE ROLE {} LOGIN REPLICATION IN ROLE rds_replication").format(role))
        run(connection, sql.SQL("ALTER ROLE {} LOGIN REPLICATION PASSWORD {}").format(role, sql.Literal(password)))


def install(connection: Connection, slot: str) -> None:
    """Make a database of blue ready: what notes its changes, the publication, and the slot."""
    run(connection, _BLUE.read_text(encoding="utf-8"))
    run(connection, f"DROP PUBLICATION IF EXISTS {NAME}")
    run(connection, f"CREATE PUBLICATION {NAME} FOR ALL TABLES")
    run(connection, "SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", slot)


def uninstall(connection: Connection) -> None:
    """Take from a database what blue's had, but the table with the mark, which still comes."""
    for name in ("rdsadmin_blue_green_1", "rdsadmin_blue_green_2"):
        run(connection, f"DROP EVENT TRIGGER IF EXISTS {name}")
    run(connection, f"DROP PUBLICATION IF EXISTS {NAME}")


def subscribe(connection: Connection, conninfo: str, slot: str, origin: str) -> None:
    """Let a database of green follow the one that it is a copy of, from the position of the copy on."""
    options = "WITH (create_slot = false, copy_data = false, enabled = false, slot_name = {})"
    statement = f"CREATE SUBSCRIPTION {NAME} CONNECTION {{}} PUBLICATION {NAME} {options}"
    run(connection, sql.SQL(statement).format(sql.Literal(conninfo), sql.Identifier(slot)))
    run(
        connection,
        "SELECT pg_replication_origin_advance('pg_' || oid, %s) FROM pg_subscription"
        " WHERE subname = %s AND subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())",
        origin,
        NAME,
    )
    run(connection, f"ALTER SUBSCRIPTION {NAME} ENABLE")


def unsubscribe(connection: Connection) -> None:
    """Let a database of green follow no longer; the slot on blue stays."""
    statement = (
        "SELECT 1 FROM pg_subscription WHERE subname = %s"
        " AND subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    if run(connection, statement, NAME):
        run(connection, f"ALTER SUBSCRIPTION {NAME} DISABLE")
        run(connection, f"ALTER SUBSCRIPTION {NAME} SET (slot_name = NONE)")
        run(connection, f"DROP SUBSCRIPTION {NAME}")
    for table in ("blue_green_marker", "blue_green_changes"):
        run(connection, f"DROP TABLE IF EXISTS rdsadmin.{table}")
    run(connection, "DROP FUNCTION IF EXISTS rdsadmin.note_blue_green_change()")


def subscriptions(connection: Connection) -> dict[str, tuple[bool, int]]:
    """Return for each database of green whether its worker runs, and how often it has failed."""
    rows = run(
        connection,
        "SELECT d.datname, EXISTS (SELECT 1 FROM pg_stat_subscription w WHERE w.subid = c.oid AND w.pid IS NOT NULL),"
        " s.apply_error_count FROM pg_subscription c JOIN pg_database d ON d.oid = c.subdbid"
        "  JOIN pg_stat_subscription_stats s ON s.subid = c.oid WHERE c.subname = %s",
        NAME,
    )
    return {str(name): (bool(running), int(errors)) for name, running, errors in rows}


def drop_slot(connection: Connection, slot: str) -> None:
    """Remove a slot of blue as soon as nobody uses it, and what blue kept for the replication."""
    deadline = time.monotonic() + END_SECONDS
    while run(connection, "SELECT 1 FROM pg_replication_slots WHERE slot_name = %s", slot):
        try:
            run(
                connection,
                "SELECT CASE WHEN active THEN pg_terminate_backend(active_pid)::text"
                "  ELSE pg_drop_replication_slot(slot_name)::text END FROM pg_replication_slots WHERE slot_name = %s",
                slot,
            )
        except EngineError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.01)
    for table in ("blue_green_marker", "blue_green_changes"):
        run(connection, f"DROP TABLE IF EXISTS rdsadmin.{table}")
    run(connection, "DROP FUNCTION IF EXISTS rdsadmin.note_blue_green_change()")


def mark(connection: Connection, value: str) -> None:
    """Write the mark."""
    run(
        connection,
        "INSERT INTO rdsadmin.blue_green_marker VALUES (1, %s) ON CONFLICT (id) DO UPDATE SET value = EXCLUDED.value",
        value,
    )


def large_object_writes(connection: Connection) -> int:
    """Return how often large objects of a database were written to, as far as its statistics know."""
    statement = "SELECT n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_sys_tables WHERE relname = 'pg_largeobject'"
    return int(run(connection, statement)[0][0])


def writing(connection: Connection) -> list[float]:
    """Return how many seconds old the transactions of clients are that have written something."""
    statement = (
        "SELECT EXTRACT(EPOCH FROM clock_timestamp() - xact_start)::float8 FROM pg_stat_activity"
        f" WHERE backend_xid IS NOT NULL AND {_CLIENTS}"
    )
    return [float(row[0]) for row in run(connection, statement, BOOTSTRAP)]


def is_replicated(connection: Connection) -> bool:
    """Say whether others have a logical slot, or a subscription that is on."""
    statement = (
        "SELECT EXISTS (SELECT 1 FROM pg_replication_slots WHERE slot_type = 'logical' AND slot_name NOT LIKE %s)"
        " OR EXISTS (SELECT 1 FROM pg_subscription WHERE subenabled AND subname <> %s)"
    )
    return bool(run(connection, statement, _SERVICE, NAME)[0][0])


def end_sessions(server: Server) -> None:
    """End every client's session and wait until it is gone."""
    deadline = time.monotonic() + END_SECONDS
    statement = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {_CLIENTS}"
    with server.connection() as connection:
        while run(connection, statement, BOOTSTRAP):
            if time.monotonic() > deadline:
                raise EngineError("The sessions of clients could not be ended.")
            time.sleep(0.005)


def copy_sequences(source: Connection, target: Connection) -> None:
    """Give the sequences of a database of green the values that blue's have."""
    names = run(
        source,
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND n.nspname <> 'rdsadmin'",
    )
    if not names:
        return
    values = " UNION ALL ".join(f"SELECT {_literal(name)}, last_value, is_called FROM {name}" for (name,) in names)
    for name, last, called in run(source, values):
        run(target, "SELECT setval(to_regclass(%s), %s, %s)", name, last, called)


def last_error(server: Server) -> str:
    """Return the last error in a server's log, which is where a worker says why it ended."""
    lines = server.log.read_text(encoding="utf-8", errors="replace").splitlines()
    found = [match.group(1) for line in lines[-200:] if (match := _WORKERS_ERROR.search(line))]
    return found[-1] if found else ""


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
