# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What the service's own limitations say of the databases and the servers of PostgreSQL: each a query, or a pure function of facts.

Sources: Amazon RDS and Aurora User Guides, "Limitations and considerations" and "Switchover guardrails" of blue/green deployments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .._core.checks import Check, failed, ok
from .._core.rule import Rule, some, statements
from .catalog import OpenTransaction, ServerFacts
from .rule import literal, quoted

_DOCS = "https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/blue-green-deployments-considerations.html"
_SWITCHING = "https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/blue-green-deployments-switching.html"
_LAG_BYTES = 16 * 1024 * 1024
_SERVICE = "rds"  # what the names of the service's users begin with, and those of its slots, publications and subscriptions may

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
          FROM pg_catalog.pg_publication p
         WHERE p.pubname !~ '^rds' AND pg_catalog.pg_get_userbyid(p.pubowner) !~ '^rds' ORDER BY 1
        """,
        "blue is no publisher of its own",
        "blue must be no publisher of its own logical replication",
        "or end that replication for the time of the deployment",
        _DOCS,
    ),
    Rule(
        "managed_materialized_views",
        "warning",
        """
        SELECT format('%I.%I', schemaname, matviewname), NULL FROM pg_catalog.pg_matviews WHERE schemaname !~ '^pg_' ORDER BY 1
        """,
        "no materialized view",
        "a REFRESH of a materialized view on blue is DDL, and ends the replication to green until the deployment is made anew",
        "stop what refreshes them on blue until the switchover, and refresh them on new production after it",
        _DOCS,
    ),
    Rule(
        "managed_sequences",
        "warning",
        """
        SELECT count(*) || ' sequences', NULL FROM pg_catalog.pg_class c WHERE c.relkind = 'S' AND c.oid >= 16384 HAVING count(*) > 1000
        """,
        "there are no thousands of sequences",
        "the service sets green's sequences within the switchover, one after the other, while nobody can write",
        "drop those that nobody uses, and plan for a longer window",
        _SWITCHING,
    ),
    Rule(
        "managed_pgaudit",
        "failed",
        """
        SELECT 'shared_preload_libraries ' || coalesce(p.setting, 'cannot be seen'), NULL FROM pg_catalog.pg_extension e
          LEFT JOIN pg_catalog.pg_settings p ON p.name = 'shared_preload_libraries'
         WHERE e.extname = 'pgaudit' AND coalesce(p.setting, '') !~ '\\mpgaudit\\M'
        """,
        "pgaudit, where it is installed, is loaded",
        "with the extension pgaudit shared_preload_libraries has to have it, on blue and on green, or the deployment fails",
        "add pgaudit to shared_preload_libraries in the parameter groups of both sides and reboot, or DROP EXTENSION pgaudit",
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


@dataclass(frozen=True)
class Slot:
    """A logical slot of blue: who reads it (None: nobody, ``?``: not known), and how many bytes of log it is behind."""

    name: str
    reader: str | None
    behind: int

    @property
    def foreign(self) -> bool:
        """Whether it is known that somebody else reads it."""
        return (
            self.reader not in (None, "?")
            and not f"{self.reader}".startswith(_SERVICE)
            and not self.name.startswith(_SERVICE)
        )


def durable(server: ServerFacts) -> Check:
    """Blue writes a commit to disk before it acknowledges it; a server that does not tell has failed."""
    mode = server.settings.get("synchronous_commit", "unknown")
    if mode == "on":
        return ok("synchronous_commit", "synchronous_commit on blue is on", _DOCS)
    return failed(
        "synchronous_commit",
        f"synchronous_commit on blue must be on for the deployment, but is {mode}",
        "set synchronous_commit=on in blue's parameter group; what a role or a database has of its own: ALTER ROLE .. RESET",
        _DOCS,
    )


def not_a_subscriber(found: Sequence[tuple[str, str]]) -> Check:
    """Blue receives nothing by logical replication; ``found`` has names and databases."""
    foreign = [(name, database) for name, database in found if not name.startswith(_SERVICE)]
    if not foreign:
        return ok("managed_subscriptions", "blue is no subscriber of another publisher", _DOCS)
    return failed(
        "managed_subscriptions",
        "blue must be no subscriber of another publisher, or the service gives the deployment or its switchover up, but has the "
        "subscriptions " + some(f"{name} in {database}" for name, database in foreign),
        statements(f"in database {database}: DROP SUBSCRIPTION {quoted(name)}" for name, database in foreign)
        + ", or ALTER SUBSCRIPTION .. DISABLE for the time of the switchover",
        _DOCS,
    )


def not_a_publisher(slots: Sequence[Slot]) -> Check:
    """Nobody else reads blue's log by a logical slot: a subscriber, Debezium, DMS."""
    foreign = [one for one in slots if one.foreign or not (one.reader or one.name.startswith(_SERVICE))]
    if not foreign:
        return ok("managed_slots", "nobody but the service has a logical slot on blue", _SWITCHING)
    named = some(f"{one.name} (read by {one.reader or 'nobody'}, {one.behind} bytes behind)" for one in foreign)
    return failed(
        "managed_slots",
        f"blue must be no publisher of external logical replication, or the service cancels the switchover, but has the slots {named}",
        "end those readers (subscriptions, Debezium, DMS tasks, which cannot be resumed on green), then: "
        + statements(f"SELECT pg_drop_replication_slot({literal(one.name)})" for one in foreign),
        _SWITCHING,
    )


def follows(slots: Sequence[Slot]) -> Check:
    """The slots of green are read, and green is not far behind; no slot is a green that does not follow."""
    ours = [one for one in slots if not one.foreign]
    idle = [f"{one.name} not read" for one in ours if one.reader is None]
    far = [f"{one.name} ({one.behind} bytes)" for one in ours if one.reader is not None and one.behind > _LAG_BYTES]
    if ours and not idle and not far:
        return ok("green_lag", f"{len(ours)} logical slots on blue are read and close to its end", _SWITCHING)
    found = some([*idle, *far]) if ours else "no logical slot of green's on blue"
    return failed(
        "green_lag",
        f"green must follow blue closely before the switchover, but found {found}",
        "wait for it; a slot that is not read for long has a broken subscription: delete the deployment and make it anew",
        _SWITCHING,
    )


def follows_physically(behind: int | None) -> Check:
    """A physical green has replayed blue's log, up to these bytes; None when it does not say."""
    if behind is not None and behind <= _LAG_BYTES:
        return ok("green_lag", f"green is {max(behind, 0)} bytes of log behind blue", _SWITCHING)
    found = "how far it is behind is not known" if behind is None else f"it is {behind} bytes of log behind"
    return failed(
        "green_lag", f"green must follow blue closely before the switchover, but {found}", "wait for it", _SWITCHING
    )


def only_reads(setting: str, writing: Sequence[OpenTransaction]) -> Check:
    """Green refuses writes of new sessions, and none has written there; what is written there conflicts with blue's changes."""
    if setting == "on" and not writing:
        return ok("green_read_only", "green is read-only for clients, and none of them writes there", _SWITCHING)
    if writing:
        return failed(
            "green_read_only",
            "nobody should write to green before the switchover, or the service cancels it, but these do: "
            + some(f"process {one.pid} of {one.user} in {one.database}" for one in writing),
            "end them, and find out why they could: "
            + statements(f"SELECT pg_terminate_backend({one.pid})" for one in writing),
            _SWITCHING,
        )
    return failed(
        "green_read_only",
        f"green should be read-only until the switchover, but default_transaction_read_only is {setting} for a new session: what is "
        "written there is lost when the service takes the switchover back, or ends the replication",
        "take default_transaction_read_only out of green's parameter group and of ALTER DATABASE and ALTER ROLE, and look what was "
        "written there",
        _SWITCHING,
    )
