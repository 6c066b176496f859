# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the service has in its schema and gives its master user, by version."""

from __future__ import annotations

import re

import pytest

from tests.lab.mysql.privileges import master, procedures, release, rights

OLD, V3, V847, V848 = (
    "8.0.mysql_aurora.3.05.2",
    "8.0.mysql_aurora.3.10.0",
    "8.4.mysql_aurora.8.4.7",
    "8.4.mysql_aurora.8.4.8",
)
CREATED = re.compile(
    r"CREATE DEFINER=`rdsadmin`@`localhost` (?:PROCEDURE|FUNCTION) mysql\.(\w+)\((.*?)\)\s*(?:RETURNS|SQL|BEGIN)",
    re.DOTALL,
)


def made(version: str) -> dict[str, int]:
    """Return the names of a version's routines with the number of their arguments."""
    found = [CREATED.match(statement) for statement in procedures(version, sleeps=True)]
    return {one[1]: len(re.findall(r"\w+ \w+(?:\(\d+\))?(?:,|$)", one[2])) for one in found if one is not None}


@pytest.mark.parametrize(
    ("version", "expected"), [(OLD, (3, 5, 2)), (V3, (3, 10, 0)), (V847, (8, 4, 7)), (V848, (8, 4, 8))]
)
def test_a_version_has_a_release_of_aurora(version: str, expected: tuple[int, ...]) -> None:
    assert release(version) == expected


@pytest.mark.parametrize(
    ("name", "versions"),
    [
        ("rds_set_external_source", {OLD, V3, V847, V848}),
        ("rds_start_replication_until_gtid", {OLD, V3, V847, V848}),
        ("rds_set_read_only", {V3, V847, V848}),
        ("rds_set_binlog_source_ssl", {V3, V847, V848}),
        ("rds_set_external_source_with_delay", {V848}),
        ("rds_set_external_master", set()),
    ],
)
def test_a_procedure_is_there_from_its_version_on(name: str, versions: set[str]) -> None:
    assert {version for version in (OLD, V3, V847, V848) if name in made(version)} == versions


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("rds_set_external_source", 7),
        ("rds_set_external_source_with_auto_position", 5),
        ("rds_set_external_source_with_delay", 8),
        ("rds_set_configuration", 2),
        ("rds_start_replication_until", 2),
        ("rds_set_read_only", 1),
        ("rds_start_replication", 0),
    ],
)
def test_a_procedure_takes_what_it_takes_on_aws(name: str, arguments: int) -> None:
    assert made(V848)[name] == arguments


@pytest.mark.parametrize("name", ["rds_start_replication", "rds_stop_replication"])
def test_starting_and_stopping_take_the_seconds_that_they_take_on_aws(name: str) -> None:
    def sleeps(real: bool) -> list[str]:
        (body,) = [one for one in procedures(V3, sleeps=real) if f"PROCEDURE mysql.{name}()" in one]
        return re.findall(r"DO SLEEP\((.*?)\);", body)

    assert sleeps(real=True) == ["1", "2"]
    assert sleeps(real=False) == ["0", "0.3"]


def test_what_is_not_of_the_service_cannot_be_used_for_its_rights() -> None:
    for name in ("rds_execute", "rds_configure_source", "rds_record_replication"):
        (body,) = [one for one in procedures(V3, sleeps=True) if f"PROCEDURE mysql.{name}(" in one and "BEGIN" in one]
        assert "SQL SECURITY INVOKER" in body


def test_every_mark_in_the_procedures_is_replaced() -> None:
    assert not [one for one in procedures(V848, sleeps=True) if re.search(r"\{\w+\}", one)]


@pytest.mark.parametrize(
    ("version", "has", "lacks"),
    [
        (OLD, {"CONNECTION_ADMIN", "SESSION_VARIABLES_ADMIN", "SHOW_ROUTINE"}, {"FLUSH_TABLES"}),
        (V3, {"CONNECTION_ADMIN", "FLUSH_TABLES"}, set()),
    ],
)
def test_the_master_user_has_the_rights_of_its_version(version: str, has: set[str], lacks: set[str]) -> None:
    granted = set(re.findall(r"\w+_\w+", " ".join(one for one in rights(version) if one.startswith("GRANT"))))
    assert has <= granted
    assert not (lacks | {"SUPER", "SYSTEM_VARIABLES_ADMIN", "REPLICATION_SLAVE_ADMIN", "SYSTEM_USER"}) & granted


def test_a_password_is_a_value_and_never_part_of_a_statement() -> None:
    for statement, values in master("admin", "secret"):
        assert "secret" not in statement
        assert statement.count("%s") == len(values)


@pytest.mark.parametrize(
    ("version", "name"),
    [
        ("8.0.44", "rds_set_external_master_with_auto_position"),
        ("8.4.8", "rds_set_external_source_with_auto_position"),
    ],
)
def test_rds_encrypts_without_certificates_and_delays_with_gtids(version: str, name: str) -> None:
    found = made(version)
    assert found[name] == 6
    assert not [one for one in found if "ssl" in one]
