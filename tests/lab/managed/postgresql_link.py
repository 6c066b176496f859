# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL: green follows blue by logical replication, one publication, slot and subscription for each database."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg2
import psycopg2.extensions

from tests.lab.engine import EngineError
from tests.lab.managed import metadata, postgresql_sides
from tests.lab.managed.ends import SIDES, Ends, numbered
from tests.lab.managed.link import Health, SideName, TopologyRow
from tests.lab.managed.postgresql_sides import NAME, run
from tests.lab.postgresql.engine import PostgreSQLEngine
from tests.lab.postgresql.privileges import SERVICE_SLOTS
from tests.lab.postgresql.servers import Server

REPLICATOR = "rdsrepladmin"
CONNECT_SECONDS = 10.0
FAILING_SECONDS = 1.0  # a worker that failed starts again at once, and fails again


class PostgreSQLLink:
    """`tests.lab.managed.link.Link` for Aurora PostgreSQL, and RDS for PostgreSQL with a major version upgrade."""

    long_seconds = 10.0  # a transaction that has written and is older is a long-running one

    def __init__(self, engine: PostgreSQLEngine, ends: Ends) -> None:
        """Describe the link; nothing is done yet."""
        self._engine = engine
        self._ends = ends
        self._password = secrets.token_urlsafe(18)
        self._slots: dict[str, str] = {}  # by database
        self._large_objects: dict[str, int] = {}  # what was written to them before, by database
        self._marker = ""
        self._errors: dict[str, tuple[int, float]] = {}  # how often a database's worker failed, seen when
        self._shown: dict[SideName, Sequence[TopologyRow]] = {}

    def _server(self, side: SideName) -> Server:
        """Return a side's writer; raises EngineError when it does not run."""
        servers = self._engine.servers(self._ends.volume(side))
        if not servers:
            raise EngineError(f"The writer of the {side} environment does not run.")
        return servers[0]

    def prepare(self) -> None:
        """Make a publication and a slot in every database of blue, and see from now on what they do not carry."""
        blue = self._server("blue")
        if blue.query("SHOW wal_level") != "logical":
            raise EngineError(
                "Blue/Green Deployments require a DB cluster with logical replication enabled: set "
                "rds.logical_replication to 1 and reboot."
            )
        databases = postgresql_sides.databases(blue)
        _check_room(blue, len(databases), "max_replication_slots", "max_wal_senders", "max_logical_replication_workers")
        postgresql_sides.make_replicator(blue, REPLICATOR, self._password)
        for number, database in enumerate(databases):
            slot = f"{SERVICE_SLOTS}{number}_{secrets.token_hex(4)}"
            with blue.connection(database) as connection:
                postgresql_sides.install(connection, slot)
                self._large_objects[database] = postgresql_sides.large_object_writes(connection)
            self._slots[database] = slot

    def start(self) -> None:
        """Let green only read, and follow blue from the position that it was copied at."""
        green, volume = self._server("green"), self._engine.volume(self._ends.target.volume_id)
        if volume.origin is None:
            raise EngineError("The green environment does not know the position of the blue one that it was copied at.")
        _check_room(green, len(self._slots), "max_logical_replication_workers")
        self._engine.set_read_only(self._ends.target.volume_id, True)
        for database, slot in self._slots.items():
            with green.connection(database) as connection:
                postgresql_sides.uninstall(connection)
                postgresql_sides.subscribe(connection, self._conninfo(database), slot, volume.origin)
        deadline = time.monotonic() + CONNECT_SECONDS
        while not self.health().running and time.monotonic() < deadline:
            time.sleep(0.05)

    def _conninfo(self, database: str) -> str:
        host, port = self._ends.address()
        settings: dict[str, Any] = {"dbname": database, "host": host, "port": port, "user": REPLICATOR}
        settings |= {"password": self._password, "application_name": NAME, "connect_timeout": 10}
        return str(psycopg2.extensions.make_dsn(**settings))

    def health(self) -> Health:
        """Look for a worker on green and a sender on blue for each database, and for how far behind green is."""
        green = self._server("green")
        with green.connection() as connection:
            states = postgresql_sides.subscriptions(connection)
        now = time.monotonic()
        for name, (_working, errors) in states.items():
            if errors != self._errors.get(name, (0, 0.0))[0]:
                self._errors[name] = (errors, now)
        failing = {name for name, (_count, at) in self._errors.items() if now - at < FAILING_SECONDS}
        working = {name for name, (running, _errors) in states.items() if running} - failing
        slots = self._slot_states()
        stopped = [
            name for name, slot in self._slots.items() if name not in working or not slots.get(slot, (False,))[0]
        ]
        if not self._slots or stopped:
            names = ", ".join(sorted(stopped))
            reason = postgresql_sides.last_error(green)
            return Health(False, 0.0, f"the logical replication of the database {names} has stopped. {reason}".strip())
        return Health(True, max(seconds for _active, seconds in slots.values()))

    def _slot_states(self) -> dict[str, tuple[bool, float]]:
        """Return for each slot of the service whether it is in use, and its lag in seconds."""
        with self._server("blue").connection() as connection:
            rows = run(
                connection,
                "SELECT s.slot_name, s.active, COALESCE(EXTRACT(EPOCH FROM r.replay_lag), 0)::float8"
                "  FROM pg_replication_slots s LEFT JOIN pg_stat_replication r ON r.pid = s.active_pid"
                " WHERE s.slot_name LIKE %s",
                SERVICE_SLOTS.replace("_", "\\_") + "%",
            )
        return {str(name): (bool(active), float(lag)) for name, active, lag in rows}

    def objections(self, side: SideName) -> list[str]:
        """Look for external replication of blue, for long transactions on blue, and for any that write on green."""
        server, found = self._server(side), []
        with server.connection() as connection:
            ages = postgresql_sides.writing(connection)
            if side == "green":
                return ["the green environment has active writes"] if ages else []
            if postgresql_sides.is_replicated(connection):
                found.append("the blue environment is the publisher or the subscriber of external logical replication")
        if any(age >= self.long_seconds for age in ages):
            found.append("the blue environment has long-running active writes or DDL statements")
        return found

    def degraded(self) -> str | None:
        """Tell a change of blue that logical replication does not carry."""
        blue = self._server("blue")
        found = postgresql_sides.databases(blue)
        if new := sorted(set(found) - set(self._slots)):
            return f"the database {new[0]} was created in the blue environment"
        for database in self._slots:
            if database not in found:
                return f"the database {database} was dropped in the blue environment"
            with blue.connection(database) as connection:
                changes = run(connection, "SELECT tag, object FROM rdsadmin.blue_green_changes ORDER BY id LIMIT 1")
                written = postgresql_sides.large_object_writes(connection)
            if changes:
                tag, name = changes[0]
                return f"the blue environment had a DDL change, {tag} of {name} in the database {database}"
            if written != self._large_objects[database]:
                return f"the blue environment had a change of large objects in the database {database}"
        return None

    def stop_writes(self) -> None:
        """Let no client be on either side, then mark the end of blue's changes."""
        self._keep_out()
        self._marker, blue = secrets.token_hex(8), self._server("blue")
        for database in self._slots:
            with blue.connection(database) as connection:
                postgresql_sides.mark(connection, self._marker)

    def _keep_out(self) -> None:
        for volume in self._ends.volumes():
            self._engine.refuse_clients(volume, True)
        for side in SIDES:
            self._engine.set_read_only(self._ends.volume(side), True)
        for side in SIDES:
            postgresql_sides.end_sessions(self._server(side))

    def caught_up(self) -> bool:
        """Look for the mark on green: it comes after everything else, in the order of commits."""
        green = self._server("green")
        for database in self._slots:
            with green.connection(database) as connection:
                found = run(connection, "SELECT value FROM rdsadmin.blue_green_marker")
            if found != [(self._marker,)]:
                return False
        return True

    def finish(self) -> str | None:
        """Give green blue's sequences and end the replication; there is no position to return."""
        blue, green = self._server("blue"), self._server("green")
        for database in self._slots:
            with blue.connection(database) as source, green.connection(database) as target:
                postgresql_sides.copy_sequences(source, target)
                postgresql_sides.unsubscribe(target)
        self._clean(blue)
        return None

    def _clean(self, blue: Server) -> None:
        """Leave nothing of the replication on blue."""
        for database, slot in list(self._slots.items()):
            with blue.connection(database) as connection:
                postgresql_sides.uninstall(connection)
                postgresql_sides.drop_slot(connection, slot)
            del self._slots[database]
        with blue.connection() as connection:
            run(connection, f"DROP ROLE IF EXISTS {REPLICATOR}")

    def open(self, side: SideName) -> None:
        """Let a side be written to, the other one be read, and clients come to both."""
        other: SideName = "green" if side == "blue" else "blue"
        self._engine.set_read_only(self._ends.volume(other), True)
        self._engine.set_read_only(self._ends.volume(side), False)
        for volume in self._ends.volumes():
            self._engine.refuse_clients(volume, False)

    def publish(self, rows: Sequence[TopologyRow], sides: Sequence[SideName] = SIDES) -> None:
        """Let the servers of these sides show the rows, and those of both sides know their names a while after a rename.

        The service shows first that green is open; the JDBC wrapper hangs when green has its new names before that.
        """
        if not rows or any(row.status.endswith("_COMPLETED") for row in rows):
            self._ends.identify()
        shown = numbered(rows, *(self._ends.resource(side) for side in SIDES)) if rows else []
        for side in sides:
            self._shown[side] = shown
            for server in self._engine.servers(self._ends.volume(side)):
                metadata.publish_postgresql(server, shown)

    def drop(self) -> None:
        """Leave nothing of the deployment on either side; green is a cluster of its own."""
        for side in SIDES:
            for server in self._engine.servers(self._ends.volume(side)):
                metadata.publish_postgresql(server, ())
        green = self._engine.servers(self._ends.target.volume_id)
        for database in self._slots if green else ():
            with contextlib.suppress(EngineError), green[0].connection(database) as connection:
                postgresql_sides.unsubscribe(connection)
        blue = self._engine.servers(self._ends.source.volume_id)
        if blue:
            self._clean(blue[0])
        for side in SIDES:
            with contextlib.suppress(EngineError):  # its volume may be gone
                self._engine.set_read_only(self._ends.volume(side), False)
        for volume in self._ends.volumes():
            self._engine.refuse_clients(volume, False)


def _check_room(server: Server, needed: int, *names: str) -> None:
    """Refuse a server that has no place for what the replication of so many databases needs."""
    with server.connection() as connection:
        rows = run(
            connection,
            "SELECT name, setting::int - CASE name WHEN 'max_replication_slots'"
            " THEN (SELECT count(*) FROM pg_replication_slots) ELSE 0 END FROM pg_settings WHERE name = ANY(%s)",
            list(names),
        )
    free: Mapping[str, int] = {str(name): int(value) for name, value in rows}
    if short := [name for name in names if free[name] < needed]:
        raise EngineError(f"due to incompatible parameter(s): {', and '.join(short)}.")
