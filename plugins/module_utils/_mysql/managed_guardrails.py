# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Guardrails of a deployment that RDS manages, on MySQL servers: those that mean the same as everywhere, and the first write.

Sources: Amazon RDS and Aurora User Guides, "Limitations and considerations" and "Switchover guardrails" of blue/green deployments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from .._core.checks import Check, failed, ok, warning
from .._core.endpoint import Endpoint
from .._core.names import Names
from .._core.rule import Rule, Versions, judge, some, statements
from . import (
    accounts,
    first_write,
    pair_rules,
    replication_rules,
    rules_facts,
    schema_rules,
    server_rules,
    upgrade_rules,
)
from .connection import connected, rows
from .coordinates import channel
from .dialect import Dialect
from .guardrails import guarded, ours
from .rule import MANUAL, find
from .rules_facts import ServerFacts

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

_SCHEMA = ("primary_keys", "schema_tmp", "storage_engines", "volatile_tables", "missing_definers")
_DOCS = "https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/blue-green-deployments-switching.html"
_CONSIDERATIONS = (
    "https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/blue-green-deployments-considerations.html"
)
_WRITERS = (
    "SELECT p.ID, p.USER FROM information_schema.innodb_trx AS t JOIN information_schema.processlist AS p ON p.ID = t.trx_mysql_thread_id"
    " WHERE t.trx_rows_modified > 0 AND p.USER NOT IN ('system user', 'rdsadmin', 'rdsrepladmin') ORDER BY p.ID"
)
_ACCOUNTS = MANUAL + "access-control.html"
_LAG = 10.0  # seconds that green may be behind: the service takes back what does not catch up within its timeout

EVENTS = replace(
    schema_rules.RUNNING_EVENTS,
    id="blue_events",
    status="warning",
    found="events run on blue, and would run on green too, beside the replication, when event_scheduler is on there",
    remedy="or event_scheduler=OFF in green's parameter group until the switchover is over, which is better than to disable each",
    docs=_CONSIDERATIONS,
)
"""What the events of blue mean before green is made; on green they are looked for again."""


def create_checks(blue: Endpoint, names: Names, series: int | None, *, aurora: bool) -> list[Check]:
    """What must hold on blue before the deployment is made; ``series`` is the release series of green, None when it stays.

    The log of an instance of RDS is kept by the service until green has read it, that of ``aurora`` is not.
    """

    def look() -> list[Check]:
        with connected(blue) as conn:
            server = rules_facts.read(conn, "blue")
            rules = [rule for rule in schema_rules.RULES if rule.id in _SCHEMA]
            mine = ours(conn, names)
            return [
                server_rules.writer(server),
                server_rules.binary_log(server),
                server_rules.retention(server, stops=aurora),
                first_write.check(conn),
                server_rules.filters(server),
                server_rules.prepared_transactions(server),
                server_rules.long_transactions(server, stops=False),
                replication_rules.not_a_replica(server, mine),
                replication_rules.other_readers(server, mine),
                *_rules(conn, server, [*rules, EVENTS, *upgrade_rules.RULES], series or server.series),
            ]

    return guarded(blue, look)


def switchover_checks(blue: Endpoint, green: Endpoint, names: Names) -> list[Check]:
    """What the service's own guardrails look for on the servers before it moves the traffic, and what they do not."""

    def look_blue() -> list[Check]:
        with connected(blue) as conn:
            server = rules_facts.read(conn, "blue")
            mine = ours(conn, names)
            return [
                server_rules.writer(server),
                server_rules.prepared_transactions(server),
                server_rules.long_transactions(server, stops=True),
                replication_rules.not_a_replica(server, mine),
                replication_rules.other_readers(server, mine),
            ]

    def look_green() -> list[Check]:
        with connected(blue) as there, connected(green) as here:
            source, target = rules_facts.read(there, "blue"), rules_facts.read(here, "green")
            running = channel(here, Dialect.of(here))
            return [
                pair_rules.identity(source, target),
                server_rules.writer(target),
                _closed(target, rows(here, _WRITERS)),
                replication_rules.replicates(target, running),
                _lag(running.seconds_behind if running else None),
                server_rules.prepared_transactions(target),
                server_rules.long_transactions(target, stops=True),
                pair_rules.names_alike(source, target),
                pair_rules.settings_alike(source, target),
                _accounts(there, here),
                *_rules(here, target, [schema_rules.RUNNING_EVENTS], None),
            ]

    return [*guarded(blue, look_blue), *guarded(green, look_green)]


def _closed(green: ServerFacts, writing: Sequence[tuple[object, ...]]) -> Check:
    if writing:
        return failed(
            "green_read_only",
            "nobody should write to green before the switchover, or the service cancels it, but these do: "
            + some(f"session {number} of {user}" for number, user in writing),
            "end them, and find out why they could (CONNECTION_ADMIN writes through read_only): "
            + statements(f"CALL mysql.rds_kill({number})" for number, _user in writing),
            _DOCS,
        )
    if green.on("read_only"):
        return ok("green_read_only", "green is read-only for clients, and none of them writes there", _DOCS)
    return failed(
        "green_read_only",
        "green should be read-only until the switchover, but read_only is off: what is written there conflicts with blue's changes",
        "CALL mysql.rds_set_read_only(1), and look what was written there",
        _DOCS,
    )


def _accounts(blue: Connection[Cursor], green: Connection[Cursor]) -> Check:
    """Aurora replicates no accounts (Amazon Aurora User Guide, version 3), so one that blue got since has to be made on green."""
    found = [one for one in accounts.differences(blue, green, "") if not one.extra]
    if not found:
        return ok("green_accounts", "green has the accounts of blue, with what they may", _ACCOUNTS)
    verdict = failed if any(one.what == "is missing" for one in found) else warning
    return verdict(
        "green_accounts",
        f"green should have the accounts of blue, or their clients are turned away after the switchover, but {some(map(str, found))}",
        f"on green, as the master user: SET SESSION sql_log_bin = 0; {statements(one.remedy for one in found)}",
        _ACCOUNTS,
    )


def _lag(seconds: int | None) -> Check:
    if seconds is not None and seconds <= _LAG:
        return ok("green_lag", f"green is {seconds} s behind blue", _DOCS)
    found = "how far green is behind is not known" if seconds is None else f"green is {seconds} s behind blue"
    return failed(
        "green_lag",
        f"green should be less than {_LAG:.0f} s behind, or the service takes the switchover back, but {found}",
        "wait for it; innodb_flush_log_at_trx_commit=0 on green lets it catch up sooner, until it serves",
        _DOCS,
    )


def _rules(conn: Connection[Cursor], server: ServerFacts, rules: Sequence[Rule], target: int | None) -> list[Check]:
    versions = Versions(server.series, target)
    return [judge(rule, find(conn, rule, {}), versions) for rule in rules]
