# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Guardrails of a deployment that RDS manages, on PostgreSQL servers: those that mean the same as everywhere, and the service's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from .._core.checks import Check
from .._core.endpoint import Endpoint
from .._core.names import Names
from .._core.rule import Finding, Rule, Versions, judge
from . import catalog, cluster_rules, estate_rules, managed_rules, schema_rules, server_rules, upgrade_rules
from .catalog import ServerFacts
from .connection import connect, connected, rows, value
from .guardrails import guarded
from .managed_rules import Slot
from .rule import find

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

_WRITER = tuple(rule for rule in cluster_rules.RULES if rule.id == "blue_writer")
_KEPT = tuple(rule for rule in cluster_rules.RULES if rule.id in ("slot_retention", "worker_timeouts"))
_SLOTS = """
SELECT s.slot_name, CASE WHEN s.active THEN coalesce(a.usename::text, '?') END,
       coalesce(pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), s.confirmed_flush_lsn), 0)::bigint
  FROM pg_catalog.pg_replication_slots s LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = s.active_pid
 WHERE s.slot_type = 'logical' AND NOT s.temporary ORDER BY 1
"""
_SUBSCRIPTIONS = """
SELECT s.subname, d.datname FROM pg_catalog.pg_subscription s JOIN pg_catalog.pg_database d ON d.oid = s.subdbid
 WHERE s.subenabled ORDER BY 1
"""


def create_checks(
    blue: Endpoint, names: Names, databases: Sequence[str] | None, *, major: int | None, logical: bool
) -> list[Check]:
    """What must hold on blue before the deployment is made.

    ``major``: green's, None when it stays. A physical green (``logical`` false) takes everything.
    """

    def look() -> list[Check]:
        with ExitStack() as stack:
            conn = stack.enter_context(connected(blue))
            chosen = catalog.choose_databases(conn, names, databases)
            server = catalog.server_facts(conn, "blue")
            versions = Versions(server.version // 10000, major or server.version // 10000)
            first = [
                *_server(conn, [*_WRITER, *(_KEPT if logical else ()), *cluster_rules.UPGRADE_RULES], versions, chosen),
                server_rules.prepared_transactions(server, chosen),
                server_rules.long_transactions(server, stops=False),
            ]
            if not logical:
                return first
            conns = {name: stack.enter_context(connected(blue.at(name))) for name in chosen}
            found = [catalog.database_facts(there) for there in conns.values()]
            slots = _slots(conn)
            mine = sum(not one.foreign and one.reader is not None for one in slots)
            missing = max(0, len(chosen) - mine)  # a deployment that is there has its slots already
            return [
                server_rules.logical_replication(server),
                *server_rules.publisher_capacity(server, missing),
                *server_rules.subscriber_capacity(server, missing),
                managed_rules.durable(server),
                managed_rules.not_a_subscriber([(str(name), str(at)) for name, at in rows(conn, _SUBSCRIPTIONS)]),
                managed_rules.not_a_publisher(slots),
                *first,
                schema_rules.replica_identity(found),
                schema_rules.slow_identity(found),
                schema_rules.large_objects(found),
                schema_rules.triggers("blue", found),
                *_judged(conns, (*managed_rules.RULES, *_upgrade()), versions),
            ]

    return guarded(blue, look)


def switchover_checks(blue: Endpoint, green: Endpoint, names: Names, databases: Sequence[str] | None) -> list[Check]:
    """What the service's own guardrails look for on the servers before it moves the traffic, and what they do not."""

    def look_blue() -> list[Check]:
        with connected(blue) as conn:
            chosen = catalog.choose_databases(conn, names, databases)
            server = catalog.server_facts(conn, "blue")
            return [
                *_server(conn, _WRITER, Versions(server.version // 10000, None), chosen),
                server_rules.prepared_transactions(server, chosen),
                server_rules.long_transactions(server, stops=True),
                server_rules.read_only_overrides(server, chosen, stops=False),
                managed_rules.not_a_subscriber([(str(name), str(at)) for name, at in rows(conn, _SUBSCRIPTIONS)]),
                managed_rules.not_a_publisher(_slots(conn)),
            ]

    def look_green() -> list[Check]:
        with connected(blue) as there, connected(green) as conn:
            chosen = catalog.choose_databases(conn, names, databases)
            server = catalog.server_facts(conn, "green")
            if value(conn, "SELECT pg_catalog.pg_is_in_recovery()"):
                return [
                    managed_rules.follows_physically(_behind(there, conn)),
                    server_rules.long_transactions(server, stops=True),
                ]
            return [
                managed_rules.follows(_slots(there)),
                managed_rules.only_reads(_setting(green), server.open_transactions),
                server_rules.read_only_overrides(server, chosen, stops=False),
                server_rules.prepared_transactions(server, chosen),
                server_rules.long_transactions(server, stops=True),
                *_green(green, chosen, server),
            ]

    return [*guarded(blue, look_blue), *guarded(green, look_green)]


def _upgrade() -> list[Rule]:
    """What pg_upgrade refuses; extensions have to be up to date for every deployment, upgraded or not."""
    return [replace(rule, upgrade=None) if rule.id == "outdated_extensions" else rule for rule in upgrade_rules.RULES]


def _server(conn: Connection, rules: Sequence[Rule], versions: Versions, chosen: Sequence[str]) -> list[Check]:
    values = {"chosen_databases": list(chosen)}
    return [judge(rule, find(conn, rule, None, values), versions) for rule in rules]


def _judged(conns: Mapping[str, Connection], rules: Sequence[Rule], versions: Versions) -> list[Check]:
    checks = []
    for rule in rules:
        found: list[Finding] = []
        for database, conn in conns.items():
            found += find(conn, rule, database, {})
        checks.append(judge(rule, found, versions))
    return checks


def _green(green: Endpoint, chosen: Sequence[str], server: ServerFacts) -> list[Check]:
    with ExitStack() as stack:
        conns = {name: stack.enter_context(connected(green.at(name))) for name in chosen}
        rules = [
            *estate_rules.GREEN_RULES,
            *(replace(rule, id="green_pgaudit") for rule in managed_rules.RULES if rule.id == "managed_pgaudit"),
        ]
        return _judged(conns, rules, Versions(server.version // 10000, server.version // 10000))


def _slots(conn: Connection) -> list[Slot]:
    return [Slot(str(name), reader and str(reader), int(behind)) for name, reader, behind in rows(conn, _SLOTS)]


def _behind(blue: Connection, green: Connection) -> int | None:
    at = value(blue, "SELECT pg_catalog.pg_current_wal_lsn()::text")
    behind = value(green, "SELECT pg_catalog.pg_wal_lsn_diff(%s, pg_catalog.pg_last_wal_replay_lsn())", (at,))
    return None if behind is None else int(behind)


def _setting(green: Endpoint) -> str:
    """default_transaction_read_only of a session as clients have it; ours writes behind a fence."""
    conn = connect(green, fenced=True)
    try:
        return str(value(conn, "SHOW default_transaction_read_only"))
    finally:
        conn.close()
