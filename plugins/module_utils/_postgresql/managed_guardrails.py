# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Guardrails of a deployment that RDS manages, on PostgreSQL servers: those that mean the same as everywhere, and the service's own.

Sources: Amazon RDS and Aurora User Guides, "Limitations and considerations" and "Switchover guardrails" of blue/green deployments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .._core.checks import Check, failed, ok
from .._core.endpoint import Endpoint
from .._core.names import Names
from .._core.rule import Finding, Rule, Versions, judge
from . import catalog, schema_rules, server_rules
from .connection import connected, rows, value
from .guardrails import guarded
from .rule import find

_DOCS = "https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/blue-green-deployments-considerations.html"
_SWITCHING = "https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/blue-green-deployments-switching.html"
_LAG_BYTES = 16 * 1024 * 1024

RULES = (
    Rule(
        "managed_unlogged_tables",
        "failed",
        """
        SELECT format('%I.%I', n.nspname, c.relname), format('ALTER TABLE %I.%I SET LOGGED', n.nspname, c.relname)
          FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind = 'r' AND c.relpersistence = 'u'
           AND coalesce(pg_catalog.current_setting('rds.logically_replicate_unlogged_tables', true), '0') NOT IN ('1', 'on')
         ORDER BY 1
        """,
        "no table is unlogged",
        "unlogged tables are not replicated to green",
        "or, on Aurora, rds.logically_replicate_unlogged_tables=1",
        _DOCS,
    ),
    Rule(
        "managed_extensions",
        "failed",
        """
        SELECT format('extension %I', e.extname), format('DROP EXTENSION %I', e.extname)
          FROM pg_catalog.pg_extension e WHERE e.extname IN ('pglogical', 'pgactive') ORDER BY 1
        """,
        "no extension replicates by itself",
        "pglogical and pgactive do not go together with a deployment that RDS manages",
        "",
        _DOCS,
    ),
    Rule(
        "managed_partman",
        "warning",
        """
        SELECT format('extension %I', e.extname), NULL FROM pg_catalog.pg_extension e
         WHERE e.extname IN ('pg_partman', 'apg_plan_mgmt') ORDER BY 1
        """,
        "no extension makes partitions or keeps plans",
        "pg_partman makes partitions on blue, which are DDL and degrade the replication; apg_plan_mgmt captures plans on green",
        "turn pg_partman's maintenance off on blue, and apg_plan_mgmt.capture_plan_baselines on green, until it is over",
        _DOCS,
    ),
    Rule(
        "managed_publications",
        "failed",
        """
        SELECT format('publication %I', p.pubname), format('DROP PUBLICATION %I', p.pubname)
          FROM pg_catalog.pg_publication p WHERE p.pubname !~ '^rds' ORDER BY 1
        """,
        "blue is no publisher of its own",
        "blue must be no publisher of its own logical replication",
        "or end that replication for the time of the deployment",
        _DOCS,
    ),
    Rule(
        "managed_foreign_servers",
        "warning",
        """
        SELECT format('server %I', s.srvname), NULL FROM pg_catalog.pg_foreign_server s
         WHERE EXISTS (SELECT FROM unnest(s.srvoptions) o WHERE o LIKE 'host=%' AND o !~ 'rds[.]amazonaws[.]com') ORDER BY 1
        """,
        "foreign servers are named by endpoints",
        "foreign servers are named by something else than an endpoint of RDS, and stay where they point when names move",
        "ALTER SERVER .. OPTIONS (SET host '<endpoint>')",
        _DOCS,
    ),
)


def create_checks(blue: Endpoint, names: Names, databases: Sequence[str] | None, *, logical: bool) -> list[Check]:
    """What must hold on blue before the deployment is made; a physical green (``logical`` false) takes everything."""

    def look() -> list[Check]:
        with connected(blue) as conn:
            chosen = catalog.choose_databases(conn, names, databases)
            server = catalog.server_facts(conn, "blue")
            first = [
                server_rules.prepared_transactions(server, chosen),
                server_rules.long_transactions(server, stops=False),
            ]
            if not logical:
                return first
            found, per_rule = [], {rule.id: list[Finding]() for rule in RULES}
            for database in chosen:
                with connected(blue.at(database)) as there:
                    found.append(catalog.database_facts(there))
                    for rule in RULES:
                        per_rule[rule.id] += find(there, rule, database, {})
            versions = Versions(server.version // 10000, None)
            return [
                server_rules.logical_replication(server),
                *server_rules.publisher_capacity(server, len(chosen)),
                *server_rules.subscriber_capacity(server, len(chosen)),
                _durable(server.settings),
                *first,
                schema_rules.replica_identity(found),
                schema_rules.large_objects(found),
                schema_rules.materialized_views(found),
                schema_rules.triggers("blue", found),
                *(judge(rule, per_rule[rule.id], versions) for rule in RULES),
            ]

    return guarded(blue, look)


def switchover_checks(blue: Endpoint, green: Endpoint, names: Names, databases: Sequence[str] | None) -> list[Check]:
    """What the service's own guardrails look for on the servers before it moves the traffic, and what they do not."""

    def look_blue() -> list[Check]:
        with connected(blue) as conn:
            chosen = catalog.choose_databases(conn, names, databases)
            server = catalog.server_facts(conn, "blue")
            return [
                server_rules.prepared_transactions(server, chosen),
                server_rules.long_transactions(server, stops=True),
                server_rules.read_only_overrides(server, chosen, stops=False),
                _slots(rows(conn, _SLOTS)),
            ]

    def look_green() -> list[Check]:
        with connected(green) as conn:
            chosen = catalog.choose_databases(conn, names, databases)
            server = catalog.server_facts(conn, "green")
            standby = bool(value(conn, "SELECT pg_catalog.pg_is_in_recovery()"))
            checks = [] if standby else [server_rules.prepared_transactions(server, chosen)]
            return [*checks, server_rules.long_transactions(server, stops=True)]

    return [*guarded(blue, look_blue), *guarded(green, look_green)]


_SLOTS = """
SELECT slot_name, active, pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), confirmed_flush_lsn)
  FROM pg_catalog.pg_replication_slots WHERE slot_type = 'logical' AND NOT temporary ORDER BY 1
"""


def _slots(found: Sequence[tuple[object, ...]]) -> Check:
    """The slots of green are read, and green is not far behind."""
    idle = [str(name) for name, active, _behind in found if not active]
    far = [
        f"{name} ({int(str(behind))} bytes)"
        for name, _on, behind in found
        if behind and float(str(behind)) > _LAG_BYTES
    ]
    if idle or far:
        return failed(
            "green_lag",
            f"green must follow blue closely before the switchover, but found {', '.join([*(f'{one} not read' for one in idle), *far])}",
            "wait for it; a slot that is not read for long has a broken subscription: delete the deployment and make it anew",
            _SWITCHING,
        )
    return ok("green_lag", f"{len(found)} logical slots on blue are read and close to its end", _SWITCHING)


def _durable(settings: Mapping[str, str]) -> Check:
    mode = settings.get("synchronous_commit", "on")
    if mode == "on":
        return ok("synchronous_commit", "synchronous_commit on blue is on", _DOCS)
    return failed(
        "synchronous_commit",
        f"synchronous_commit on blue must be on for the deployment, but is {mode}",
        "set synchronous_commit=on in blue's parameter group",
        _DOCS,
    )
