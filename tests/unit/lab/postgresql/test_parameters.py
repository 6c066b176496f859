# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parameters of the service and what a community server gets for them."""

from __future__ import annotations

import pytest

from tests.lab.postgresql import parameters
from tests.lab.postgresql.parameters import (
    FAMILIES,
    configuration,
    defaults,
    dynamic_only,
    falls_short,
    server_settings,
)

FAMILY = "aurora-postgresql16"


@pytest.mark.parametrize(("value", "level"), [("0", "replica"), ("1", "logical"), ("on", "logical")])
def test_logical_replication_is_the_wal_level(value: str, level: str) -> None:
    assert server_settings(FAMILY, {"rds.logical_replication": value})["wal_level"] == level


def test_logical_replication_is_off_unless_it_is_asked_for() -> None:
    assert server_settings(FAMILY, {})["wal_level"] == "replica"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_replication_slots", "20"),
        ("max_wal_senders", "20"),
        ("max_logical_replication_workers", "4"),
        ("max_worker_processes", "8"),
        ("max_prepared_transactions", "0"),
    ],
)
@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_what_limits_replication_has_the_default_of_the_service(family: str, name: str, value: str) -> None:
    assert server_settings(family, {})[name] == value
    assert defaults(family)[name].apply_type == "static"


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_community_server_gets_nothing_that_it_does_not_know(family: str) -> None:
    everything = {name: parameter.value or "1" for name, parameter in defaults(family).items()}
    settings = server_settings(family, everything)
    assert {name for name in settings if "." in name} == {"rds.force_ssl", "rds.logical_replication"}
    assert not [value for value in settings.values() if "{" in value]
    assert "shared_preload_libraries" not in settings


def test_a_user_value_wins_and_an_unknown_name_is_left_out() -> None:
    settings = server_settings(FAMILY, {"max_connections": "77", "no_such_parameter": "1"})
    assert settings["max_connections"] == "77"
    assert "no_such_parameter" not in settings


def test_ssl_is_forced_by_default_from_version_18_on() -> None:
    assert parameters.is_set({}, "aurora-postgresql16", "rds.force_ssl") is False
    assert parameters.is_set({}, "aurora-postgresql18", "rds.force_ssl") is True
    assert parameters.is_set({"rds.force_ssl": "0"}, "aurora-postgresql18", "rds.force_ssl") is False


def test_a_reload_keeps_what_is_static_and_what_is_not_the_services() -> None:
    running = {"wal_level": "replica", "max_wal_senders": "20", "primary_conninfo": "x", "statement_timeout": "5"}
    wanted = server_settings(FAMILY, {"rds.logical_replication": "1", "max_wal_senders": "30", "lock_timeout": "7"})
    after = dynamic_only(FAMILY, running, wanted)
    assert after["wal_level"] == "replica"
    assert after["max_wal_senders"] == "20"
    assert after["primary_conninfo"] == "x"
    assert after["lock_timeout"] == "7"
    assert "statement_timeout" not in after  # back to the default


def test_a_standby_falls_short_only_of_what_is_smaller() -> None:
    standby = {"max_connections": "100", "max_wal_senders": "20", "work_mem": "1"}
    primary = {"max_connections": "200", "max_wal_senders": "10", "work_mem": "2"}
    assert falls_short(standby, primary) == {"max_connections": "200"}


def test_values_are_quoted_for_the_configuration_file() -> None:
    assert configuration({"b": "it's", "a": "C:\\x"}) == "a = 'C:\\\\x'\nb = 'it''s'\n"


def test_every_upgrade_target_is_a_version_that_is_offered_and_newer() -> None:
    def order(version: str) -> tuple[int, ...]:
        return tuple(int(part) for part in version.split("."))

    offered = {entry.version for entry in parameters.VERSIONS}
    for entry in parameters.VERSIONS:
        assert entry.family in FAMILIES and FAMILIES[entry.family] == entry.major
        for target in entry.targets:
            assert target in offered
            assert order(target) > order(entry.version)
