# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""State ``prepared``: what must be on blue before it is cloned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

try:
    from psycopg2 import sql
except ImportError:  # connection.require_driver() says so
    pass

from .._core.checks import require
from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError
from .._core.journal import Journal
from .._core.names import Names
from . import identity, marker
from .connection import connected, execute, value
from .guardrails import Intent, create_checks
from .identity import Change, Policy
from .publication import Publication, create_publication, find_publication
from .slot import Slot, create_slot, logical_slots

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

SERVICE_ROLE = "rds_replication"


@dataclass(frozen=True)
class Prepared:
    """What one database has of its share."""

    marker: bool
    publication: Publication | None
    slot: Slot | None

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return self.marker and self.publication is not None and self.slot is not None


def look(blue: Endpoint, names: Names, databases: Sequence[str]) -> dict[str, Prepared]:
    """What every database has."""
    with connected(blue) as conn:
        slots = {slot.name: slot for slot in logical_slots(conn)}
    found: dict[str, Prepared] = {}
    for database in databases:
        with connected(blue.at(database)) as conn:
            found[database] = Prepared(
                marker=marker.exists(conn, names),
                publication=find_publication(conn, names.publication),
                slot=slots.get(names.slot("forward", database)),
            )
    return found


def refuse_broken(found: dict[str, Prepared], names: Names) -> None:
    """Raise :class:`BlueGreenError` for what cannot be completed without losing changes."""
    for database, have in found.items():
        if have.publication is not None and not have.publication.complete:
            raise BlueGreenError(
                f"The publication {names.publication} of database {database} should publish all tables, but does not: drop it "
                "or choose another deployment_id."
            )
        if have.slot is not None and have.publication is None:
            raise BlueGreenError(
                f"Database {database} has the slot {have.slot.name} but no publication {names.publication}; a publication made "
                "after its slot is not seen by it, so run pg_logical_subscription with state=absent and begin anew."
            )
        if have.slot is not None and have.slot.lost:
            raise BlueGreenError(
                f"The slot {have.slot.name} of database {database} is {have.slot.wal_status}: the server has removed log that "
                "green needs; run pg_logical_subscription with state=absent and begin anew."
            )


def prepare(
    blue: Endpoint,
    names: Names,
    databases: Sequence[str],
    journal: Journal,
    *,
    slot_timeout: float,
    identities: dict[str, list[Change]],
    replica_identity: Policy = "refuse",
) -> None:
    """Make what is missing on blue: the replication role, and per database the marker table, the replica identities that
    ``replica_identity`` gives (``identities``, from :func:`identity.plan`), the publication, the slot.

    The identities come before the publication, because UPDATE and DELETE fail on a published table without one. The
    publication comes before its slot, because a slot does not see a publication that is younger (PostgreSQL 15-17), and both
    before the clone. Guardrails first: when one fails, nothing is changed.
    """
    _refuse_standby(blue)
    found = look(blue, names, databases)
    refuse_broken(found, names)
    role_there = role_exists(blue, names)
    if role_there and not identities and all(have.complete for have in found.values()):
        return
    require(create_checks(blue, None, names, databases, Intent(replica_identity=replica_identity)), "the clone")
    if not role_there:
        with connected(blue) as conn:
            journal.act(f"create role {names.replication_role} on blue", partial(create_role, conn, names))
    for database, have in found.items():
        with connected(blue.at(database)) as conn:
            _prepare_database(conn, names, database, have, identities.get(database, []), journal, slot_timeout)


def _prepare_database(
    conn: Connection,
    names: Names,
    database: str,
    have: Prepared,
    given: Sequence[Change],
    journal: Journal,
    slot_timeout: float,
) -> None:
    slot = names.slot("forward", database)
    if not have.marker:
        journal.act(f"create table {names.schema}.marker in {database} on blue", partial(marker.ensure, conn, names))
    identity.give(conn, names, "blue", given, journal, timeout=slot_timeout)
    if have.publication is None:
        journal.act(
            f"create publication {names.publication} in {database} on blue",
            partial(create_publication, conn, names.publication),
        )
    if have.slot is None:
        journal.act(
            f"create replication slot {slot} in {database} on blue",
            partial(create_slot, conn, slot, timeout=slot_timeout),
        )


def _refuse_standby(blue: Endpoint) -> None:
    """Raise :class:`BlueGreenError` for a server on which nothing can be made."""
    with connected(blue) as conn:
        if value(conn, "SELECT pg_catalog.pg_is_in_recovery()"):
            raise BlueGreenError(
                f"A publication and its slots are wanted on blue at {blue.host}, but that is a physical copy of another server, "
                "which has nothing of its own: give the writer's endpoint; the green side of a deployment that RDS replicates "
                "physically cannot have them before the switchover."
            )


def role_exists(endpoint: Endpoint, names: Names) -> bool:
    """Whether the replication role is there."""
    with connected(endpoint) as conn:
        return bool(value(conn, "SELECT true FROM pg_catalog.pg_roles WHERE rolname = %s", (names.replication_role,)))


def create_role(conn: Connection, names: Names) -> None:
    """A role that may only replicate; without a password nobody can log in as it until it is subscribed with."""
    role = sql.Identifier(names.replication_role)
    managed = value(conn, "SELECT true FROM pg_catalog.pg_roles WHERE rolname = %s", (SERVICE_ROLE,))
    if managed:
        # Aurora gives the right to stream to members of this role, to nobody by attribute
        execute(conn, sql.SQL("CREATE ROLE {} LOGIN; GRANT {} TO {}").format(role, sql.Identifier(SERVICE_ROLE), role))
    else:
        execute(conn, sql.SQL("CREATE ROLE {} LOGIN REPLICATION").format(role))
