# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""One side of an Aurora PostgreSQL deployment, as the switchover sees it.

The order and the traps that it guards against: ``switchover`` in the documentation of the collection. The way in which it
notices that the other side has caught up is a marker row: the subscriber's flush feedback comes every 0.6 s at best.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

try:
    import psycopg2
except ImportError:  # refused in connection.require_driver()
    pass

from .._core.checks import Check
from .._core.differences import NONE_DECLARED, ExpectedDifferences
from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError
from .._core.names import Direction, Names
from .._core.side import Replication, SideFacts, TakenOver
from .._core.waiting import Deadline
from . import control_record, marker
from .catalog import choose_databases
from .connection import connect, connected, value
from .guardrails import switchover_checks
from .side_carrier import Carried, Carrier, Look, carry
from .side_fence import (
    Proof,
    close_databases,
    end_sessions,
    end_writers,
    named,
    newcomers,
    open_databases,
    read_only_databases,
    read_only_server,
)
from .slot import create_slot, drop_slot, logical_slots
from .subscription import (
    Subscription,
    change_connection,
    create_subscription,
    drop_subscription,
    new_password,
    publisher_conninfo,
    start_subscription,
    subscriptions,
)

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

_POLL = 0.001  # seconds between two looks for the marker
_WORKER = 5.0  # seconds for the worker of an enabled subscription to show up
# The service's own sessions and autovacuum end transactions too. Only when clients have logged in behind the fence is it
# suspicious; each time the next look waits longer, so that a client that writes shows up again.
_SUSPICION = 0.05  # seconds
_PATIENCE = 3  # times
_SLOT = 30.0  # seconds for open transactions to end while a slot is made


@dataclass(frozen=True)
class SequencePolicy:
    """``exact``: every sequence as it was; ``margin``: ahead by ``margin`` values before the window."""

    mode: str
    margin: int

    @property
    def ahead(self) -> int:
        """How many values to leave out."""
        return self.margin if self.mode == "margin" else 0


def pair(
    blue: Endpoint,
    green: Endpoint,
    names: Names,
    databases: Sequence[str] | None,
    policy: SequencePolicy,
    replication_ssl_mode: str,
    expected: ExpectedDifferences = NONE_DECLARED,
) -> tuple[PostgreSQLSide, PostgreSQLSide]:
    """Blue and green of a deployment, not connected yet; the databases are blue's when none are given."""
    with connected(blue) as conn:
        databases = choose_databases(conn, names, databases)
    record = Record(green, names)
    both = [
        PostgreSQLSide(endpoint, names, databases, policy, replication_ssl_mode, record, expected)
        for endpoint in (blue, green)
    ]
    return both[0], both[1]


class Record:
    """The positions at which the sides were opened, in the control record on green; both sides share one."""

    def __init__(self, green: Endpoint, names: Names) -> None:
        self._green, self._names = green, names
        self._conn: Connection | None = None

    def opened_at(self, side: str) -> str | None:
        """Where in its own log ``side`` was last opened by a switchover, None when it never was."""
        record = control_record.read(self._connected, self._names.deployment_id)
        return getattr(record, f"opened_{side}") if record else None

    def commit(self, side: str, position: str) -> None:
        """Write down, durably, where ``side`` is about to be opened."""
        control_record.commit(self._connected, self._names.deployment_id, **{f"opened_{side}": position})

    def close(self) -> None:
        """Close the connection."""
        if self._conn is not None:
            self._conn.close()

    @property
    def pids(self) -> list[int]:
        """The server process of the connection, if there is one."""
        return [self._conn.info.backend_pid] if self._conn is not None else []

    @property
    def _connected(self) -> Connection:
        if self._conn is None or self._conn.closed:
            with connected(self._green) as conn:
                if not control_record.exists(conn, self._names):
                    raise BlueGreenError(
                        f"Green at {self._green.host} should hold the control record of {self._names.deployment_id}, but "
                        "has no control database: it was not built by this deployment, or its clean-up has run."
                    )
            self._conn = connect(self._green.at(self._names.control_database))
        return self._conn


class PostgreSQLSide:
    """Implements :class:`Side`; one connection for the cluster and one for every database."""

    def __init__(
        self,
        endpoint: Endpoint,
        names: Names,
        databases: Sequence[str],
        policy: SequencePolicy,
        replication_ssl_mode: str,
        record: Record,
        expected: ExpectedDifferences = NONE_DECLARED,
    ) -> None:
        self.name = endpoint.side
        self.endpoint = endpoint
        self._names, self._databases, self._policy = names, list(databases), policy
        self._ssl_mode = replication_ssl_mode
        self._record, self._expected = record, expected
        self._cluster: Connection | None = None
        self._lift = False  # the server is read-only by its own configuration
        self._by_database: dict[str, Connection] = {}
        self._fenced_at: datetime | None = None
        self._proof: Proof | None = None
        self._carriers: dict[str, Carrier] = {}
        self._waited = 0.0  # seconds of the window for looks at the sequences that nothing else took as long as
        self.carried: Carried | None = None  # the sequences that this side took over

    # -- connections

    def connect(self) -> None:
        """Open every connection that the window needs."""
        self._cluster = connect(self.endpoint)
        if control_record.exists(self._cluster, self._names):  # the one database that nobody closes
            self._lift = read_only_server(self.endpoint.at(self._names.control_database))
        self._by_database = {database: connect(self.endpoint.at(database)) for database in self._databases}
        self._carriers = {}

    def close(self) -> None:
        """Close the connections."""
        self._record.close()
        for conn in self._connections:
            conn.close()

    def abandon(self) -> None:
        """Break every connection, from whatever thread: a server that is frozen answers nothing, not even a cancel."""
        for conn in self._connections:
            with suppress(OSError, psycopg2.Error), socket.socket(fileno=os.dup(conn.fileno())) as link:
                link.shutdown(socket.SHUT_RDWR)

    # -- looking

    def facts(self, peer: PostgreSQLSide) -> SideFacts:
        """Look anew; an enabled subscription gets some seconds to show its worker."""
        closed = read_only_databases(self._conn, self._databases) == set(self._databases)
        deadline = Deadline(_WORKER)
        while (inbound := self._inbound(peer)) == "stopped" and not deadline.passed:
            time.sleep(0.05)
        return SideFacts(open=not closed, inbound=inbound, opened_at=self._record.opened_at(self.name))

    def guardrails(self, peer: PostgreSQLSide) -> list[Check]:
        """Read-only checks before traffic moves from here to ``peer``."""
        return switchover_checks(self.endpoint, peer.endpoint, self._names, self._databases, self._expected)

    def lag(self, peer: PostgreSQLSide, limit: float) -> float:
        """Seconds for a marker to pass from here to ``peer``."""
        return marker.pass_through(self._by_database, peer._by_database, self._names, limit)

    # -- before and after the window

    def prepare(self, peer: PostgreSQLSide) -> None:
        """The sequences carried ahead, and their values remembered."""
        for carrier in self._carriers_to(peer):
            carrier.prepare()

    def arm(self, peer: PostgreSQLSide) -> None:
        """Slots on ``peer``, then disabled subscriptions here; what is there already is kept."""
        slots = {slot.name for slot in logical_slots(peer._conn)}
        for database, conn in peer._by_database.items():
            if self._object(database) not in slots:
                create_slot(conn, self._object(database), timeout=_SLOT)
        existing = {found.name for found in subscriptions(self._conn)}
        if all(self._object(database) in existing for database in self._databases):
            return
        password = new_password(peer._conn, self._names.replication_role)
        for database, conn in self._by_database.items():
            name = self._object(database)
            dsn = publisher_conninfo(
                peer.endpoint, database, self._names.replication_role, password, self._ssl_mode, name
            )
            if name in existing:
                change_connection(conn, name, dsn)
            else:
                create_subscription(conn, name, dsn, self._names.publication, name, position=None, enable=False)

    def start(self, peer: PostgreSQLSide) -> None:
        """Start the armed subscriptions from the position at which ``peer`` opened."""
        position = self._record.opened_at(peer.name)
        if position is None:
            raise BlueGreenError(f"The position at which {peer.name} opened should be on record, but is not.")
        started = {found.name for found in subscriptions(self._conn) if found.started}
        for database, conn in self._by_database.items():
            if self._object(database) not in started:
                start_subscription(conn, self._object(database), position)

    def end(self, peer: PostgreSQLSide) -> None:
        """Drop the subscriptions here, then their slots on ``peer``."""
        for database, conn in self._by_database.items():
            drop_subscription(conn, self._object(database))
        for database in self._databases:
            drop_slot(peer._conn, self._object(database))

    # -- the window

    def fence(self, deadline: Deadline) -> None:
        """Close the databases, end every session that could still write; the proof is read in :meth:`drain`."""
        self._fenced_at, self._proof = self._put_up_fence(deadline)

    def unfence(self) -> None:
        """Open the databases, over a new connection when the old one is broken."""
        self._fenced_at = None
        try:
            self.open()
        except psycopg2.Error:  # the connection broke, which may be why the writes are given back
            self.close()
            self.connect()
            self.open()

    def drain(self, peer: PostgreSQLSide, deadline: Deadline) -> None:
        """A marker at the end of every database's log has passed, and no transaction has ended here since it was written."""
        if self._fenced_at is None or self._proof is None:
            self._fenced_at, self._proof = self._put_up_fence(deadline)  # a run that died had: nothing is known of it
        suspicions = 0
        while True:
            tokens = {database: marker.write(conn, self._names) for database, conn in self._by_database.items()}
            end_of_log = self._next_transaction()
            # What moves a sequence from here on ends a transaction too, once the values logged ahead (32) are used up.
            look = Look(self._carriers_to(peer))
            self._wait(peer, tokens, deadline)
            self._proof.result()
            self._waited += look.result()
            time.sleep(suspicions * _SUSPICION)
            strangers = newcomers(self._conn, self._databases, self._fenced_at, self._pids)
            end_writers(self._conn, self._databases, self._fenced_at, self._pids, deadline)
            if self._next_transaction() == end_of_log:
                return
            suspicions += bool(strangers)
            if deadline.passed or suspicions > _PATIENCE:
                raise BlueGreenError(
                    f"{self.name} should be quiet behind the fence, but transactions still end there; a session that lifts "
                    f"default_transaction_read_only for itself is among these: {named(strangers) or 'none left'}."
                )

    def take_over(self, peer: PostgreSQLSide) -> TakenOver:
        """The sequences that moved, then the position, committed to the control record before anything can be written."""
        self.carried = carry(peer._carriers_to(self), peer._waited)
        position = str(value(self._conn, "SELECT pg_catalog.pg_current_wal_insert_lsn()"))
        self._record.commit(self.name, position)
        return TakenOver(position, (str(self.carried),))

    def open(self) -> None:
        """Every database in one transaction; sessions that logged in while it was closed would stay read-only and are ended."""
        moment = open_databases(self._conn, self._databases, lift=self._lift)
        end_sessions(self._conn, self._databases, moment, self._pids)

    # -- helpers

    def _put_up_fence(self, deadline: Deadline) -> tuple[datetime, Proof]:
        moment = close_databases(self._conn, self._databases)
        proof = Proof(self.endpoint, self._databases, self._names.schema)
        end_writers(self._conn, self._databases, moment, self._pids, deadline)
        return moment, proof

    @property
    def _conn(self) -> Connection:
        if self._cluster is None:
            raise BlueGreenError(f"{self.name} is not connected.")
        return self._cluster

    @property
    def _pids(self) -> list[int]:
        return [*(conn.info.backend_pid for conn in self._connections), *self._record.pids]

    @property
    def _connections(self) -> list[Connection]:
        helpers = (conn for carrier in self._carriers.values() for conn in carrier.connections)
        return [conn for conn in (self._cluster, *self._by_database.values(), *helpers) if conn is not None]

    @property
    def _direction(self) -> Direction:
        return "forward" if self.name == "green" else "reverse"

    def _object(self, database: str) -> str:
        """The name of the subscription here, and of its slot on the peer."""
        return self._names.subscription(self._direction, database)

    def _inbound(self, peer: PostgreSQLSide) -> Replication:
        wanted = {self._object(database) for database in self._databases}
        found = [one for one in subscriptions(self._conn) if one.name in wanted]
        slots = {slot.name for slot in logical_slots(peer._conn)} & wanted
        return _state(found, slots, wanted)

    def _next_transaction(self) -> int:
        return int(value(self._conn, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text"))

    def _wait(self, peer: PostgreSQLSide, tokens: dict[str, str], deadline: Deadline) -> None:
        for database, token in tokens.items():
            while not marker.has(peer._by_database[database], self._names, token):
                if deadline.passed:
                    raise BlueGreenError(
                        f"{peer.name} should have caught up within {deadline.seconds:g} s, but in database {database} it "
                        "has not applied the marker yet."
                    )
                time.sleep(_POLL)

    def _carriers_to(self, peer: PostgreSQLSide) -> list[Carrier]:
        if not self._carriers:
            self._carriers = {
                database: Carrier(conn, self.endpoint.at(database), peer._by_database[database], self._policy.ahead)
                for database, conn in self._by_database.items()
            }
        return list(self._carriers.values())


def _state(found: Sequence[Subscription], slots: set[str], wanted: set[str]) -> Replication:
    """What the objects of one direction amount to."""
    if not found and not slots:
        return "gone"
    if {one.name for one in found} != wanted or slots != wanted:
        return "partial"
    if any(not one.started for one in found):
        return "armed"
    return "running" if all(one.enabled and one.worker_pid for one in found) else "stopped"
