# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parameters of the service and what a community server gets for them."""

from __future__ import annotations

import pytest

from tests.lab.mysql import parameters
from tests.lab.mysql.parameters import FAMILIES, VERSIONS, defaults, dynamic_changes, has_binlog, server_settings

FAMILY = "aurora-mysql8.0"
ROW = {"binlog_format": "ROW"}


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_there_is_no_binary_log_unless_it_is_asked_for(family: str) -> None:
    settings = server_settings(family, {})
    assert settings["skip-log-bin"] == "ON"
    assert not {"log-bin", "loose-binlog-format"} & set(settings)
    settings = server_settings(family, ROW)
    assert settings["log-bin"] == "mysql-bin-changelog"
    assert settings["loose-binlog-format"] == "ROW"
    assert "skip-log-bin" not in settings


@pytest.mark.parametrize("value", ["OFF", "off"])
def test_off_is_off(value: str) -> None:
    assert not has_binlog(FAMILY, {"binlog_format": value})


def test_only_the_newer_family_refuses_plain_text() -> None:
    assert defaults(FAMILY)["require_secure_transport"].value == "OFF"
    assert defaults("aurora-mysql8.4")["require_secure_transport"].value == "ON"


@pytest.mark.parametrize("name", ["binlog_format", "gtid-mode", "enforce_gtid_consistency", "lower_case_table_names"])
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_what_needs_a_restart_is_static(family: str, name: str) -> None:
    assert defaults(family)[name].apply_type == "static"
    assert defaults(family)[name].modifiable


@pytest.mark.parametrize(
    "name", ["read_only", "event_scheduler", "replica_parallel_workers", "replica_checkpoint_period"]
)
def test_what_green_needs_changed_while_it_runs_is_dynamic(name: str) -> None:
    assert defaults(FAMILY)[name].apply_type == "dynamic"
    assert defaults(FAMILY)[name].modifiable


@pytest.mark.parametrize("name", ["sync_binlog", "binlog_row_image", "innodb_flush_log_at_trx_commit"])
def test_what_the_service_decides_cannot_be_changed(name: str) -> None:
    assert not defaults(FAMILY)[name].modifiable


def test_parameters_that_the_newer_server_does_not_have_are_gone() -> None:
    gone = set(defaults(FAMILY)) - set(defaults("aurora-mysql8.4"))
    assert gone == {
        "binlog_transaction_dependency_tracking",
        "default_authentication_plugin",
        "replica_parallel_type",
    }


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_community_server_gets_nothing_that_is_the_services_alone(family: str) -> None:
    everything = {name: parameter.value or "1" for name, parameter in defaults(family).items()}
    settings = server_settings(family, everything)
    assert not [name for name in settings if "aurora" in name or "audit" in name]
    assert not [value for value in settings.values() if "{" in value]
    assert settings["innodb-buffer-pool-size"] == parameters.LAB_SETTINGS["innodb-buffer-pool-size"]


def test_a_user_value_wins_and_an_unknown_name_is_left_out() -> None:
    settings = server_settings(FAMILY, {"max_connections": "77", "no_such_parameter": "1"})
    assert settings["loose-max-connections"] == "77"
    assert "max-connections" not in settings
    assert not [name for name in settings if "no-such" in name]


def test_the_schema_of_the_service_is_never_replicated() -> None:
    wanted = {"replicate-wild-ignore-table": "shop.tmp%,shop.log%"}
    assert server_settings(FAMILY, {})["replicate-wild-ignore-table"] == "mysql.%"
    assert server_settings(FAMILY, wanted)["loose-replicate-wild-ignore-table"] == "mysql.%,shop.tmp%,shop.log%"


def test_rds_replicates_accounts_and_nothing_of_its_own_tables() -> None:
    settings = server_settings("mysql8.0", {"replicate-ignore-table": "shop.log"})
    ignored = settings["loose-replicate-ignore-table"].split(",")
    assert "mysql.rds_topology" in ignored and "shop.log" in ignored
    assert "mysql.user" not in ignored and not [name for name in settings if "wild" in name]


def test_a_running_server_takes_dynamic_changes_only() -> None:
    running = {**ROW, "gtid-mode": "OFF", "time_zone": "UTC", "long_query_time": "1"}
    wanted = {"binlog_format": "MIXED", "gtid-mode": "ON", "time_zone": "UTC", "read_only": "1"}
    assert dynamic_changes(FAMILY, running, wanted) == ({"read_only": "1"}, ["long_query_time"])


def test_a_formula_is_no_value() -> None:
    changed, unset = dynamic_changes(FAMILY, {"read_only": "1"}, {"read_only": "{TrueIfReplica}"})
    assert (changed, unset) == ({}, ["read_only"])


def test_every_target_of_an_upgrade_is_offered_and_later() -> None:
    order = [entry.version for entry in VERSIONS]
    for entry in VERSIONS:
        assert set(entry.targets) <= set(order)
        assert all(order.index(target) > order.index(entry.version) for target in entry.targets)
