# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Guardrails of MySQL that are functions of what two servers say: every answer, and which one stops a step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.checks import Check
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql import pair_rules, replication_rules, server_rules
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.coordinates import Channel, Coordinates
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.rules_facts import (
    ServerFacts,
    Session,
    aurora_version,
    series_of,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.schema_rules import RULES
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.upgrade_rules import RULES as UPGRADE_RULES

FINE = {
    "log_bin": "ON",
    "binlog_format": "ROW",
    "binlog_row_image": "FULL",
    "gtid_mode": "ON",
    "innodb_flush_log_at_trx_commit": "1",
    "lower_case_table_names": "0",
    "server_id": "1",
    "server_uuid": "u1",
    "sql_mode": "STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION",
    "replica_parallel_workers": "4",
    "replica_preserve_commit_order": "ON",
    "replica_checkpoint_period": "1",
    "max_connections": "1000",
}
AT = Coordinates("mysql-bin-changelog.000003", 400)
OLD = Session(7, "app", "10.0.0.1:4000", 90.0, "UPDATE orders")


def server(side: str = "blue", variables: dict[str, str] | None = None, **more: Any) -> ServerFacts:
    """A sound server; ``variables`` over those of a sound one."""
    sound = ServerFacts(
        side=side,
        version=(8, 0, 39),
        user="admin@%",
        variables={**FINE, **(variables or {})},
        aurora=(3, 10, 0),
        procedures={"rds_start_replication": 0, "rds_set_read_only": 1, "rds_kill": 1, "rds_reset_external_source": 0},
        retention=48,
        logs={"mysql-bin-changelog.000003": 400},
        end=AT,
        written_per_second=0.0,
        purged="",
        channels=(),
        binlog_filters=(),
        replica_filters=(),
        prepared=(),
        transactions=(),
        statements=(),
        own_elsewhere=(),
        readers=(),
    )
    return replace(sound, **more)


def channel(**more: Any) -> Channel:
    """A channel that runs."""
    sound = Channel("blue", 3306, "bg_repl", "Yes", True, True, AT, AT, "", "u1", 0, None, None)
    return replace(sound, **more)


GREEN = server("green", {"server_id": "2", "server_uuid": "u2"})

CASES: list[tuple[str, Callable[[], Check], str, str]] = [
    ("writer", lambda: server_rules.writer(server()), "ok", ""),
    ("reader", lambda: server_rules.writer(server(variables={"innodb_read_only": "ON"})), "failed", "cluster endpoint"),
    ("rows", lambda: server_rules.binary_log(server()), "ok", ""),
    (
        "mixed",
        lambda: server_rules.binary_log(server(variables={"binlog_format": "MIXED"})),
        "warning",
        "ParameterValue=ROW",
    ),
    (
        "statements",
        lambda: server_rules.binary_log(server(variables={"binlog_format": "STATEMENT"})),
        "failed",
        "ParameterValue=ROW",
    ),
    (
        "no log",
        lambda: server_rules.binary_log(server(variables={"log_bin": "OFF"}, logs={})),
        "failed",
        "pending-reboot; aws rds reboot",
    ),
    (
        "minimal",
        lambda: server_rules.row_image(server(variables={"binlog_row_image": "MINIMAL"})),
        "warning",
        "binlog_row_image,ParameterValue=FULL",
    ),
    (
        "json parts",
        lambda: server_rules.row_image(server(variables={"binlog_row_value_options": "PARTIAL_JSON"})),
        "warning",
        "binlog_row_value_options",
    ),
    (
        "not flushed",
        lambda: server_rules.durability(server(variables={"innodb_flush_log_at_trx_commit": "2"})),
        "warning",
        "innodb_flush_log_at_trx_commit",
    ),
    (
        "kept at once",
        lambda: server_rules.retention(server(retention=None), stops=False),
        "warning",
        "rds_set_configuration",
    ),
    (
        "kept at once",
        lambda: server_rules.retention(server(retention=None), stops=True),
        "failed",
        "rds_set_configuration",
    ),
    ("kept a little", lambda: server_rules.retention(server(retention=3), stops=True), "warning", "24"),
    ("kept", lambda: server_rules.retention(server(), stops=True), "ok", ""),
    ("gtids", lambda: server_rules.gtids(server()), "ok", ""),
    (
        "no gtids",
        lambda: server_rules.gtids(server(variables={"gtid_mode": "OFF"})),
        "warning",
        "enforce_gtid_consistency",
    ),
    (
        "half gtids",
        lambda: server_rules.gtids(server(variables={"gtid_mode": "ON_PERMISSIVE"})),
        "warning",
        "gtid-mode",
    ),
    ("position", lambda: server_rules.position_mode(server(variables={"gtid_mode": "OFF"})), "ok", ""),
    (
        "old Aurora",
        lambda: server_rules.position_mode(server(variables={"gtid_mode": "OFF"}, aurora=(2, 9, 3))),
        "failed",
        "minor version",
    ),
    (
        "enhanced",
        lambda: server_rules.position_mode(server(variables={"gtid_mode": "OFF", "aurora_enhanced_binlog": "1"})),
        "failed",
        "aurora_enhanced_binlog",
    ),
    (
        "enhanced 8.4.8",
        lambda: server_rules.position_mode(
            server(variables={"gtid_mode": "OFF", "aurora_enhanced_binlog": "1"}, aurora=(8, 4, 8))
        ),
        "ok",
        "",
    ),
    ("enhanced gtid", lambda: server_rules.position_mode(server(variables={"aurora_enhanced_binlog": "1"})), "ok", ""),
    ("filters", lambda: server_rules.filters(server(binlog_filters=("shop",))), "failed", "replicate-"),
    ("skipping", lambda: server_rules.filters(server(variables={"replica_skip_errors": "1062"})), "failed", "skipped"),
    (
        "idempotent",
        lambda: server_rules.filters(server(variables={"slave_exec_mode": "IDEMPOTENT"})),
        "failed",
        "IDEMPOTENT",
    ),
    (
        "prepared",
        lambda: server_rules.prepared_transactions(server(prepared=("X'61', X'', 1",))),
        "failed",
        "XA ROLLBACK X'61', X'', 1",
    ),
    (
        "old work",
        lambda: server_rules.long_transactions(server(transactions=(OLD,)), stops=False),
        "warning",
        "CALL mysql.rds_kill(7)",
    ),
    (
        "old work",
        lambda: server_rules.long_transactions(server(statements=(OLD,), procedures={}), stops=True),
        "failed",
        "KILL 7",
    ),
    (
        "slow",
        lambda: server_rules.long_transactions(server(statements=(replace(OLD, seconds=9.0),)), stops=True),
        "warning",
        "rds_kill(7)",
    ),
    (
        "as admin",
        lambda: server_rules.own_sessions(server(own_elsewhere=(OLD,)), stops=True),
        "failed",
        "account of its own",
    ),
    (
        "a replica",
        lambda: replication_rules.not_a_replica(
            server(channels=({"Source_User": "x", "Source_Host": "old"},)), ["bg_repl"]
        ),
        "failed",
        "CALL mysql.rds_reset_external_source",
    ),
    (
        "ours",
        lambda: replication_rules.not_a_replica(server(channels=({"Source_User": "bg_repl"},)), ["bg_repl"]),
        "ok",
        "",
    ),
    (
        "named",
        lambda: replication_rules.not_a_replica(
            server(channels=({"Source_User": "bg_repl", "Channel_Name": "c"},), procedures={}), ["bg_repl"]
        ),
        "failed",
        "STOP",
    ),
    ("cdc", lambda: replication_rules.other_readers(server(readers=(OLD,)), ["bg_repl"]), "warning", "position"),
    ("nothing", lambda: replication_rules.replicates(GREEN, None), "failed", "state=running"),
    (
        "stopped",
        lambda: replication_rules.replicates(GREEN, channel(io="No", applier=False)),
        "failed",
        "state=running",
    ),
    (
        "purged",
        lambda: replication_rules.replicates(GREEN, channel(io_error="Got fatal error 1236 (error 1236)")),
        "failed",
        "clone again",
    ),
    (
        "duplicate",
        lambda: replication_rules.replicates(GREEN, channel(applier_error="Duplicate entry (error 1062)")),
        "failed",
        "do not skip it",
    ),
    ("runs", lambda: replication_rules.replicates(GREEN, channel()), "ok", ""),
    ("late", lambda: replication_rules.caught_up(GREEN, None, 10), "failed", "primary key"),
    ("in time", lambda: replication_rules.caught_up(GREEN, 0.01, 10), "ok", ""),
    ("gone", lambda: replication_rules.log_is_there(server(), channel(), "u1:1-5"), "failed", "clone anew"),
    (
        "file gone",
        lambda: replication_rules.log_is_there(
            server(logs={"mysql-bin-changelog.000009": 1}), channel(auto_position=False), ""
        ),
        "failed",
        "clone anew",
    ),
    (
        "oldest",
        lambda: replication_rules.log_is_there(
            server(logs={f"mysql-bin-changelog.00000{n}": 1 for n in range(3, 8)}), channel(), ""
        ),
        "warning",
        "retention",
    ),
    ("errant", lambda: replication_rules.errant(GREEN, "u2:1"), "failed", "gtid_next"),
    ("own writes", lambda: replication_rules.own_writes(GREEN, 3, 0), "failed", "SHOW BINLOG EVENTS"),
    ("not looked at", lambda: replication_rules.own_writes(GREEN, 0, 5), "warning", "bg_verify"),
    ("one server", lambda: pair_rules.identity(server(), server("green")), "failed", "host"),
    ("two servers", lambda: pair_rules.identity(server(), GREEN), "ok", ""),
    (
        "gtids on one",
        lambda: pair_rules.gtid_pair(server(), server("green", {"gtid_mode": "OFF"})),
        "failed",
        "gtid-mode,ParameterValue=ON",
    ),
    (
        "case",
        lambda: pair_rules.names_alike(server(), server("green", {"lower_case_table_names": "1"})),
        "failed",
        "clone anew",
    ),
    (
        "modes",
        lambda: pair_rules.settings_alike(server(), server("green", {"sql_mode": "ANSI"})),
        "warning",
        "sql_mode,ParameterValue=STRICT",
    ),
    (
        "order of modes",
        lambda: pair_rules.settings_alike(
            server(), server("green", {"sql_mode": "NO_ENGINE_SUBSTITUTION,STRICT_TRANS_TABLES"})
        ),
        "ok",
        "",
    ),
    (
        "less room",
        lambda: pair_rules.settings_alike(server(), server("green", {"max_connections": "10"})),
        "warning",
        "max_connections",
    ),
    ("more room", lambda: pair_rules.settings_alike(server(), server("green", {"max_connections": "5000"})), "ok", ""),
    (
        "5.7 and 8.0",
        lambda: pair_rules.versions(server(aurora=(2, 11, 0)), GREEN),
        "warning",
        "reverse_replication=false",
    ),
    (
        "5.7 and 8.0 that agree",
        lambda: pair_rules.versions(
            server(aurora=(2, 11, 0)), server("green", {"default_collation_for_utf8mb4": "utf8mb4_general_ci"})
        ),
        "ok",
        "",
    ),
    ("8.4 to 8.0", lambda: pair_rules.versions(server(aurora=(8, 4, 8)), GREEN), "warning", "nothing new"),
    ("closed", lambda: pair_rules.closed(GREEN, True, []), "ok", ""),
    ("open", lambda: pair_rules.closed(GREEN, False, []), "failed", "state=positioned"),
    ("open to one", lambda: pair_rules.closed(GREEN, True, ["'app'@'%'"]), "failed", "read_only=1"),
    (
        "open to a reader",
        lambda: pair_rules.closed(server("green", {"read_only": "ON"}), True, ["'app'@'%'"]),
        "ok",
        "",
    ),
    (
        "stays shut",
        lambda: pair_rules.opens(
            server(),
            server("green", {"read_only": "ON"}, procedures={"rds_start_replication": 0}),
            parameter_group=False,
        ),
        "failed",
        "green_db_cluster_parameter_group_name",
    ),
    (
        "opens by group",
        lambda: pair_rules.opens(
            server(),
            server("green", {"read_only": "ON"}, procedures={"rds_start_replication": 0}),
            parameter_group=True,
        ),
        "ok",
        "",
    ),
    ("no call", lambda: pair_rules.bounded(server(procedures={"rds_start_replication": 0})), "warning", "shorter"),
]


@pytest.mark.parametrize(("make", "status", "remedy"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_guardrail_says_what_it_found_and_what_to_do(make: Callable[[], Check], status: str, remedy: str) -> None:
    check = make()
    assert check.status == status
    assert remedy in check.remedy
    assert bool(check.remedy) is (status != "ok")


@pytest.mark.parametrize(
    ("variables", "auto", "found"),
    [
        ({}, True, {"commit_order": "ok"}),
        ({"replica_preserve_commit_order": "OFF"}, True, {"commit_order": "failed"}),
        ({"replica_parallel_workers": "0"}, True, {"commit_order": "warning"}),
        ({"replica_checkpoint_period": "300"}, True, {"commit_order": "ok"}),
        ({"replica_checkpoint_period": "300"}, False, {"commit_order": "ok", "checkpoint_period": "warning"}),
    ],
)
def test_how_the_target_applies(variables: dict[str, str], auto: bool, found: dict[str, str]) -> None:
    checks = replication_rules.applier(server("green", variables), channel(auto_position=auto))
    assert {check.id: check.status for check in checks} == found


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("8.0.mysql_aurora.3.10.0", (3, 10, 0)),
        ("3.06.1", (3, 6, 1)),
        ("8.4.mysql_aurora.8.4.8", (8, 4, 8)),
        ("8.0.39-log", None),
    ],
)
def test_aurora_s_own_version(text: str, version: tuple[int, ...] | None) -> None:
    assert aurora_version(text) == version


@pytest.mark.parametrize(
    ("text", "series"),
    [(None, None), ("8.0.mysql_aurora.3.10.0", 800), ("8.4.mysql_aurora.8.4.8", 804), ("8.4.8", 804)],
)
def test_the_series_of_an_engine_version(text: str | None, series: int | None) -> None:
    assert series_of(text) == series


@pytest.mark.parametrize("text", ["18.4", "mysql", ""])
def test_what_is_no_version_of_mysql_is_refused(text: str) -> None:
    with pytest.raises(BlueGreenError, match="must look like"):
        series_of(text)


@pytest.mark.parametrize("aurora", [(2, 12, 1), (3, 10, 0), (8, 4, 7), None])
def test_the_series_of_a_server_is_aurora_s_before_the_server_s(aurora: tuple[int, int, int] | None) -> None:
    assert server(aurora=aurora).series == {2: 507, 3: 800, 8: 804}[aurora[0] if aurora else 3]


def test_every_rule_has_a_name_of_its_own_and_says_what_to_do() -> None:
    rules = [*RULES, *UPGRADE_RULES]
    assert len({rule.id for rule in rules}) == len(rules)
    assert all(rule.docs.startswith("https://") and rule.fine and rule.found for rule in rules)


def test_the_page_about_mysql_has_every_rule() -> None:
    page = (Path(__file__).parents[5] / "docs" / "mysql.md").read_text(encoding="utf-8")
    assert [rule.id for rule in (*RULES, *UPGRADE_RULES) if f"`{rule.id}`" not in page] == []
