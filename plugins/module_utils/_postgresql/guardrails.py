# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Every guardrail of a step: the catalogs are read, the rules judge, nothing is changed.

A server that does not answer is a failed check, not an exception: a check that could not be made has failed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

try:
    import psycopg2
except ImportError:  # connection.require_driver() says so
    pass

from .._core.checks import Check, failed, ok
from .._core.differences import NONE_DECLARED, ExpectedDifferences
from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError, words
from .._core.names import Direction, Names
from .._core.rule import Finding, Rule, Versions, judge
from . import (
    catalog,
    cluster_rules,
    drift_baseline,
    drift_look,
    estate_rules,
    schema_rules,
    server_rules,
    upgrade_rules,
)
from .catalog import DatabaseFacts, ServerFacts
from .connection import connect, connected
from .identity import Policy
from .publication import find_publication
from .rule import find
from .side_fence import read_only_databases
from .slot import logical_slots
from .subscription import Subscription, subscriptions

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection


@dataclass(frozen=True)
class Intent:
    """What is wanted of the clone: its major version, None when that is not known, and the replica identities to give."""

    major: int | None = None
    replica_identity: Policy = "refuse"


def create_checks(
    blue: Endpoint, green: Endpoint | None, names: Names, databases: Sequence[str] | None, intent: Intent = Intent()
) -> list[Check]:
    """What must hold before blue is cloned, and before the clone, when it is there, is subscribed.

    Room is looked for in both directions, because a clone has blue's settings and the way back needs it.
    """
    checks = guarded(blue, lambda: _publisher_checks(blue, names, databases, intent))
    if green is not None:
        checks += guarded(green, lambda: subscriber_checks(green, names, databases, "forward"))
    return checks


def switchover_checks(
    source: Endpoint,
    target: Endpoint,
    names: Names,
    databases: Sequence[str] | None,
    expected: ExpectedDifferences = NONE_DECLARED,
) -> list[Check]:
    """What must hold before traffic moves from ``source`` to ``target``, whichever of them is blue.

    ``expected`` is what was changed on green on purpose.
    """
    checks = guarded(source, lambda: _source_checks(source, names, databases))
    checks += guarded(target, lambda: _target_checks(target, names, databases))
    if not any(check.id.startswith("connection_") and check.status == "failed" for check in checks):
        checks += guarded(target, lambda: _comparisons(source, target, names, databases, expected))
    return checks


def move_checks(
    blue: Endpoint,
    green: Endpoint,
    names: Names,
    databases: Sequence[str] | None,
    expected: ExpectedDifferences = NONE_DECLARED,
) -> list[Check]:
    """:func:`switchover_checks` from the side that replication comes from to the other; from blue when that is not known."""
    back = False

    def look() -> list[Check]:
        nonlocal back
        with connected(blue) as conn:
            started = {one.name for one in subscriptions(conn) if one.started}
            every = [database.name for database in catalog.databases(conn)]
        back = any(names.subscription("reverse", name) in started for name in every)
        return []

    guarded(blue, look)
    source, target = (green, blue) if back else (blue, green)
    return switchover_checks(source, target, names, databases, expected)


def subscriber_checks(
    endpoint: Endpoint, names: Names, databases: Sequence[str] | None, direction: Direction
) -> list[Check]:
    """What must hold on the server that replication in ``direction`` writes to."""
    with ExitStack() as stack:
        conn = stack.enter_context(connected(endpoint))
        chosen = catalog.choose_databases(conn, names, databases)
        server = catalog.server_facts(conn, endpoint.side)
        conns = _open(stack, endpoint, chosen)
        found = _facts(conns)
        existing = {one.name for one in subscriptions(conn)}
        missing = [name for name in chosen if names.subscription(direction, name) not in existing]
        return [
            server_rules.server_version(server),
            *server_rules.subscriber_capacity(server, len(missing)),
            schema_rules.database_owners(server, found),
            schema_rules.table_owners(server, found),
            schema_rules.triggers(server.side, found),
            schema_rules.row_security(server.side, found),
            server_rules.read_only_overrides(server, chosen, stops=False),
            *(_estate(conns, estate_rules.GREEN_RULES, {}, server) if direction == "forward" else []),
        ]


def _publisher_checks(blue: Endpoint, names: Names, databases: Sequence[str] | None, intent: Intent) -> list[Check]:
    with ExitStack() as stack:
        conn = stack.enter_context(connected(blue))
        chosen = catalog.choose_databases(conn, names, databases)
        server = catalog.server_facts(conn, blue.side)
        conns = _open(stack, blue, chosen)
        found = _facts(conns)
        values = _values(blue, names, chosen)
        slots = {slot.name for slot in logical_slots(conn)}
        missing = [name for name in chosen if names.slot("forward", name) not in slots]
        foreign = _foreign_subscriptions(conn, names)
        return [
            *_server(server, chosen, found, len(missing)),
            server_rules.not_a_subscriber(server, foreign),
            server_rules.open_for_writers(server, read_only_databases(conn, chosen)),
            server_rules.prepared_transactions(server, chosen),
            server_rules.long_transactions(server, stops=False),
            server_rules.read_only_overrides(server, chosen, stops=False),
            schema_rules.replica_identity(found, intent.replica_identity),
            schema_rules.slow_identity(found),
            schema_rules.table_owners(server, found),
            schema_rules.row_security(server.side, found),
            schema_rules.triggers(server.side, found),
            schema_rules.unlogged_tables(found),
            schema_rules.large_objects(found),
            schema_rules.materialized_views(found),
            *_cluster(conn, (*cluster_rules.RULES, *cluster_rules.UPGRADE_RULES), values, server, intent.major),
            *_estate(conns, (*estate_rules.RULES, *upgrade_rules.RULES), values, server, intent.major),
        ]


def _server(server: ServerFacts, chosen: Sequence[str], found: Sequence[DatabaseFacts], missing: int) -> list[Check]:
    return [
        server_rules.server_version(server),
        server_rules.logical_replication(server),
        *server_rules.publisher_capacity(server, missing),
        *server_rules.subscriber_capacity(server, len(chosen) if missing else 0),
        schema_rules.database_owners(server, found),
    ]


def _source_checks(source: Endpoint, names: Names, databases: Sequence[str] | None) -> list[Check]:
    with ExitStack() as stack:
        conn = stack.enter_context(connected(source))
        chosen = catalog.choose_databases(conn, names, databases)
        server = catalog.server_facts(conn, source.side)
        found = _facts(_open(stack, source, chosen))
        return [
            server_rules.prepared_transactions(server, chosen),
            server_rules.long_transactions(server, stops=True),
            server_rules.read_only_overrides(server, chosen, stops=True),
            schema_rules.replica_identity(found),
            schema_rules.table_owners(server, found),
        ]


def _target_checks(target: Endpoint, names: Names, databases: Sequence[str] | None) -> list[Check]:
    direction: Direction = "forward" if target.side == "green" else "reverse"
    opposite: Direction = "reverse" if target.side == "green" else "forward"
    with connected(target) as conn:
        chosen = catalog.choose_databases(conn, names, databases)
        server = catalog.server_facts(conn, target.side)
        slots = {slot.name for slot in logical_slots(conn)}
        unarmed = [name for name in chosen if names.slot(opposite, name) not in slots]
        checks = [
            server_rules.logical_replication(server),
            *server_rules.publisher_capacity(server, len(unarmed)),
            server_rules.closed_for_writers(server, chosen, read_only_databases(conn, chosen)),
            server_rules.prepared_transactions(server, chosen),
        ]
        by_name = {one.name: one for one in subscriptions(conn)}
        for database in chosen:
            checks.append(server_rules.replicates(database, by_name.get(names.subscription(direction, database))))
        return checks


def _comparisons(
    source: Endpoint, target: Endpoint, names: Names, databases: Sequence[str] | None, expected: ExpectedDifferences
) -> list[Check]:
    direction: Direction = "forward" if target.side == "green" else "reverse"
    checks: list[Check] = []
    with connected(source) as conn:
        chosen = catalog.choose_databases(conn, names, databases)
    with connected(target) as conn:
        by_name = {one.name: one for one in subscriptions(conn)}
    baselines = drift_baseline.look(target if target.side == "green" else source, names)
    for database in chosen:
        name = names.subscription(direction, database)
        stopped = name in by_name and not by_name[name].enabled and by_name[name].errors > 0
        with connected(source.at(database)) as here, connected(target.at(database)) as there:
            drift = drift_look.look(database, (source.side, target.side), here, there, baselines)
            checks += drift_look.drift_checks(drift, expected, stopped=stopped)
            checks += drift_look.way_back_check(drift, expected)
            # What one side does not have at all is told by the drift.
            checks.append(
                schema_rules.tables_in_step(
                    database,
                    catalog.published_tables(here, names.publication) & set(catalog.columns(there)),
                    catalog.subscribed_tables(there, name),
                    expected,
                )
            )
            checks.append(
                schema_rules.large_objects_in_step(
                    database, catalog.large_objects(here), catalog.large_objects(there), expected
                )
            )
            checks.append(
                schema_rules.publication_complete(database, source.side, find_publication(here, names.publication))
            )
    return checks


def _open(stack: ExitStack, endpoint: Endpoint, databases: Sequence[str]) -> dict[str, Connection]:
    return {database: stack.enter_context(connected(endpoint.at(database))) for database in databases}


def _facts(conns: Mapping[str, Connection]) -> list[DatabaseFacts]:
    return [catalog.database_facts(conn) for conn in conns.values()]


def _values(endpoint: Endpoint, names: Names, databases: Sequence[str]) -> dict[str, object]:
    """What the words in the rules' queries stand for."""
    return {
        "side_host": endpoint.host,
        "our_schema": names.schema,
        "control_database": names.control_database,
        "chosen_databases": list(databases),
        "deployment_slots": f"{names.pattern('forward')}|{names.pattern('reverse')}",
    }


def _cluster(
    conn: Connection, rules: Sequence[Rule], values: Mapping[str, object], server: ServerFacts, target: int | None
) -> list[Check]:
    versions = Versions(server.version // 10000, target)
    return [judge(rule, find(conn, rule, None, values), versions) for rule in rules]


def _estate(
    conns: Mapping[str, Connection],
    rules: Sequence[Rule],
    values: Mapping[str, object],
    server: ServerFacts,
    target: int | None = None,
) -> list[Check]:
    versions = Versions(server.version // 10000, target)
    checks: list[Check] = []
    for rule in rules:
        found: list[Finding] = []
        for database, conn in conns.items():
            found += find(conn, rule, database, values)
        checks.append(judge(rule, found, versions))
    return checks


def _foreign_subscriptions(conn: Connection, names: Names) -> list[Subscription]:
    ours = {names.subscription("reverse", database.name) for database in catalog.databases(conn)}
    return [one for one in subscriptions(conn) if one.name not in ours]


def guarded(endpoint: Endpoint, look: Callable[[], list[Check]]) -> list[Check]:
    """What was looked at; a server that does not answer, or does not let itself be read, is a failed check."""
    check_id = f"connection_{endpoint.side}"
    try:
        connect(endpoint).close()
    except BlueGreenError as error:
        return [failed(check_id, error.message.rstrip("."), "")]
    try:
        return [ok(check_id, f"{endpoint.side} answers at {endpoint.host}:{endpoint.port}"), *look()]
    except BlueGreenError as error:
        return [failed(f"{endpoint.side}_readable", error.message.rstrip("."), "")]
    except psycopg2.Error as error:
        return [
            failed(
                f"{endpoint.side}_readable",
                f"the guardrails of {endpoint.side} could not be read as {endpoint.user}: {words(error)}",
                f"let {endpoint.user} read the catalogs, for instance as a member of rds_superuser",
            )
        ]
