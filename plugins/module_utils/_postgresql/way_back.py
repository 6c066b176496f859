# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The way back of a switchover that another replication makes, such as that of RDS: a deployment from what it opens to what it closes.

Here blue is the side that is opened, and follows green until then. Its slots are made while it still follows, so that they hold
everything that is written from its opening on. What the other replication writes carries a replication origin, what clients write
does not, and no client writes before the opening: so the first transaction without an origin is where the way back begins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

try:
    from psycopg2 import sql
except ImportError:  # connection.require_driver() says so
    pass

from .._core.checks import Check, failed, ok, require
from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError
from .._core.journal import Journal
from .._core.names import Names
from .._core.rule import some
from . import catalog, control_record, drift_baseline, lsn, marker, schema_rules, server_rules
from .catalog import DatabaseFacts
from .connection import connected, execute, transaction, value
from .guardrails import guarded
from .position import close
from .prepare import create_role, look, refuse_broken, role_exists
from .publication import create_publication, find_publication
from .slot import create_slot, drop_slot, logical_slots
from .status import State
from .subscription import subscriptions

_ORIGINS = 160000  # since then pgoutput can leave out what carries an origin
_SERVICE = "rdsadmin"  # its schema
_NOTE = "bluegreen: a way back, its slots were made before the opening"
_DOCS = "https://www.postgresql.org/docs/current/"

# Only up to the first transaction: `upto_nchanges` ends the decoding behind the transaction in which it is reached.
_FIRST = """
SELECT lsn::text FROM pg_catalog.pg_logical_slot_peek_binary_changes(
    %(slot)s, NULL, 1, 'proto_version', '1', 'publication_names', %(publication)s, 'origin', 'none') LIMIT 1
"""
_ADVANCE = """
SELECT pg_catalog.pg_replication_slot_advance(slot_name, %(now)s) FROM pg_catalog.pg_replication_slots
 WHERE slot_name = %(slot)s AND confirmed_flush_lsn < %(now)s AND NOT active
"""
_NOTED = """
SELECT pg_catalog.obj_description(oid, 'pg_publication') FROM pg_catalog.pg_publication WHERE pubname = %s
"""


def follows(blue: Endpoint, green: Endpoint, names: Names) -> bool:
    """Whether blue is written to by a replication from green that is not this deployment's."""
    with connected(blue) as conn:
        reading = {
            one.slot for one in subscriptions(conn) if one.enabled and one.name not in _ours(names, one.database)
        }
    if not reading:
        return False
    with connected(green) as conn:
        return any(slot.name in reading for slot in logical_slots(conn))


def armed(blue: Endpoint, names: Names, databases: Sequence[str]) -> bool:
    """Whether :func:`arm` has ended in every database of blue."""
    for database in databases:
        with connected(blue.at(database)) as conn:
            if value(conn, _NOTED, (names.publication,)) != _NOTE:
                return False
    return bool(databases)


def arm(
    blue: Endpoint, green: Endpoint, names: Names, databases: Sequence[str], journal: Journal, *, slot_timeout: float
) -> None:
    """Make what is missing on blue, which follows green: the replication role, and in each database the marker table, the
    publication and its slot; then note that it was in time.

    A slot that the server has thrown log of away is made anew, one that an earlier run has left goes on to the present, which is no
    change. Guardrails first: when one fails, nothing is changed.
    """
    found = look(blue, names, databases)
    lost = [have.slot.name for have in found.values() if have.slot is not None and have.slot.lost]
    if armed(blue, names, databases) and not lost and all(have.complete for have in found.values()):
        if not journal.check_mode:
            _freshen(blue, green, names, databases)
        return
    require(_checks(blue, green, names, databases), "the way back")
    with connected(blue) as conn:
        for slot in lost:
            journal.act(f"drop replication slot {slot}, which has lost log, on blue", partial(drop_slot, conn, slot))
        if not role_exists(blue, names):
            journal.act(f"create role {names.replication_role} on blue", partial(create_role, conn, names))
    if not journal.check_mode:
        found = look(blue, names, databases)
        refuse_broken(found, names)
    for database, have in found.items():
        _complete(blue.at(database), names, journal)
        slot = names.slot("forward", database)
        if have.slot is None or slot in lost:
            with connected(blue.at(database)) as conn:
                what = f"create replication slot {slot} in {database} on blue"
                journal.act(what, partial(create_slot, conn, slot, timeout=slot_timeout))
    journal.act("note that the slots on blue are in time", partial(_note, blue, green, names, databases))


def _freshen(blue: Endpoint, green: Endpoint, names: Names, databases: Sequence[str]) -> None:
    """Let the slots hold nothing that is older than now: neither log, nor what somebody wrote on blue in spite of all.

    What had been written when blue still followed was written before it was opened.
    """
    with connected(blue) as conn:
        now = str(value(conn, "SELECT pg_catalog.pg_current_wal_flush_lsn()::text"))
    if not follows(blue, green, names):
        return
    for database in databases:
        with connected(blue.at(database)) as conn:
            execute(conn, _ADVANCE, {"slot": names.slot("forward", database), "now": now})


def take_position(blue: Endpoint, green: Endpoint, state: State, journal: Journal, given: str | None) -> None:
    """Commit the position at which blue was opened to the control record on green, once; make on green what a clone would
    have, and close it for writers.

    Raises :class:`BlueGreenError` when blue has not been opened yet, or a slot does not hold everything since.
    """
    names, databases = state.names, state.databases
    if state.record is None or state.record.position is None:
        if follows(blue, green, names):
            raise BlueGreenError(
                "The way back begins where blue was opened, but blue still follows green: switch over first, then run "
                "pg_logical_subscription with state=positioned."
            )
        wanted = _opening(blue, state)
        if given is not None and lsn.parse(given) != lsn.parse(wanted):
            raise BlueGreenError(
                f"Blue's slots say that it was opened at {wanted}, but the option position says {given}, which would lose or repeat "
                "what was written in between: leave the option out."
            )
        journal.act(f"record position {wanted} on green", partial(_record, blue, green, state, wanted))
    if not role_exists(green, names):
        with connected(green) as conn:
            journal.act(f"create role {names.replication_role} on green", partial(create_role, conn, names))
    for database in databases:
        _complete(green.at(database), names, journal)
    with connected(green) as conn:
        close(conn, state, journal)


def _complete(side: Endpoint, names: Names, journal: Journal) -> None:
    """Make what a database has on both sides; where one is a clone it brings it along."""
    with connected(side) as conn:
        if not marker.exists(conn, names):
            what = f"create table {names.schema}.marker in {side.database} on {side.side}"
            journal.act(what, partial(marker.ensure, conn, names))
        if find_publication(conn, names.publication) is None:
            what = f"create publication {names.publication} in {side.database} on {side.side}"
            journal.act(what, partial(create_publication, conn, names.publication))


def _opening(blue: Endpoint, state: State) -> str:
    """The position of the first transaction of a client, in whatever database; the end of the log when there is none yet."""
    names = state.names
    with connected(blue) as conn:
        # Read first: what a client commits later begins behind it, what it has committed before is in the slots.
        first = lsn.parse(str(value(conn, "SELECT pg_catalog.pg_current_wal_flush_lsn()::text")))
    for database in state.databases:
        slot = state.slot("forward", database)
        if slot is None or slot.lost:
            found = "it is gone" if slot is None else f"it is {slot.wal_status}"
            raise BlueGreenError(
                f"Blue's slot {names.slot('forward', database)} of database {database} must hold everything since blue was opened, "
                f"but {found}: there is no way back; remove the rest of it by pg_logical_subscription with state=absent."
            )
        with connected(blue.at(database)) as conn:
            found_at = value(conn, _FIRST, {"slot": slot.name, "publication": f'"{names.publication}"'})
        if found_at is not None:
            first = min(first, lsn.parse(str(found_at)))
    return lsn.text(first)


def _record(blue: Endpoint, green: Endpoint, state: State, wanted: str) -> None:
    names = state.names
    control_record.ensure(green, names)
    schemas = drift_baseline.take(blue, state.databases)
    with connected(green.at(names.control_database)) as conn:
        drift_baseline.commit(conn, names, "blue", schemas, anew=True)
        control_record.commit(
            conn, names.deployment_id, position=wanted, opened_green=None, opened_blue=None, settings={}
        )


def _note(blue: Endpoint, green: Endpoint, names: Names, databases: Sequence[str]) -> None:
    """Only what was there before blue was opened may be called in time: so blue still has to follow when all of it is."""
    if not follows(blue, green, names):
        raise BlueGreenError(
            "The way back has to be armed while blue follows green, but blue has been opened meanwhile, so its slots may lack what "
            "was written first: there is no way back; remove its objects by pg_logical_subscription with state=absent."
        )
    for database in databases:
        with connected(blue.at(database)) as conn, transaction(conn):
            statement = sql.SQL("COMMENT ON PUBLICATION {} IS {}")
            execute(conn, statement.format(sql.Identifier(names.publication), sql.Literal(_NOTE)))


def _checks(blue: Endpoint, green: Endpoint, names: Names, databases: Sequence[str]) -> list[Check]:
    checks = guarded(blue, lambda: _on_blue(blue, names, databases))
    checks += guarded(green, lambda: _on_green(green, names, databases))
    if not any(check.id.startswith("connection_") and check.status == "failed" for check in checks):
        checks += guarded(green, lambda: [_in_step(blue, green, names, database) for database in databases])
    return checks


def _on_blue(blue: Endpoint, names: Names, databases: Sequence[str]) -> list[Check]:
    with connected(blue) as conn:
        server = catalog.server_facts(conn, "blue")
        slots = {slot.name for slot in logical_slots(conn)}
    missing = [name for name in databases if names.slot("forward", name) not in slots]
    found = _facts(blue, databases)
    return [
        _tells_origins(server.version),
        server_rules.logical_replication(server),
        *server_rules.publisher_capacity(server, len(missing)),
        schema_rules.replica_identity(found),
    ]


def _on_green(green: Endpoint, names: Names, databases: Sequence[str]) -> list[Check]:
    with connected(green) as conn:
        server = catalog.server_facts(conn, "green")
    found = _facts(green, databases)
    return [
        server_rules.server_version(server),
        *server_rules.subscriber_capacity(server, len(databases)),
        schema_rules.database_owners(server, found),
        schema_rules.table_owners(server, found),
    ]


def _facts(endpoint: Endpoint, databases: Sequence[str]) -> list[DatabaseFacts]:
    """What every database has, without what the service has there for its own replication."""
    found: list[DatabaseFacts] = []
    for database in databases:
        with connected(endpoint.at(database)) as conn:
            facts = catalog.database_facts(conn)
        tables = tuple(one for one in facts.tables if one.schema != _SERVICE)
        found.append(replace(facts, tables=tables, bare=tuple(one for one in facts.bare if one.schema != _SERVICE)))
    return found


def _tells_origins(version: int) -> Check:
    if version >= _ORIGINS:
        return ok("way_back_version", "blue's slots can tell what clients wrote from what was replicated")
    return failed(
        "way_back_version",
        f"the way back needs PostgreSQL 16 or later on blue, which can leave out what was replicated to it, but blue has "
        f"{version // 10000}",
        "upgrade it to 16 or later, or give up the way back",
        _DOCS + "sql-createsubscription.html",
    )


def _in_step(blue: Endpoint, green: Endpoint, names: Names, database: str) -> Check:
    """Green has every table and column that blue would send."""
    with connected(blue.at(database)) as conn:
        sent = catalog.columns(conn)
    with connected(green.at(database)) as conn:
        there = catalog.columns(conn)
    lacking = [
        f"{schema}.{table}" if (schema, table) not in there else f"{schema}.{table}.{column}"
        for (schema, table), columns in sent.items()
        if schema not in (names.schema, _SERVICE)
        for column in (columns if (schema, table) in there else [""])
        if column not in there.get((schema, table), {})
    ]
    if not lacking:
        return ok(f"way_back_{database}", f"green has every table and column of database {database} that blue has")
    return failed(
        f"way_back_{database}",
        f"blue replicates back to green, which has no place for what was added on blue in database {database}: {some(lacking)}",
        "leave it for the time after the switchover, or give up the way back",
        _DOCS + "logical-replication-subscription.html",
    )


def _ours(names: Names, database: str) -> set[str]:
    return {names.subscription("forward", database), names.subscription("reverse", database)}
