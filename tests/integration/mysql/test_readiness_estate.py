# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What blue may have that a clone, an upgrade or a fence trips over: all of it is found, each with the statement that mends it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pymysql
import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.checks import Check
from ansible_collections.bluegreen.aws.plugins.module_utils._core.endpoint import Endpoint
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.connection import connect, rows
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.guardrails import Intent, create_checks
from tests.integration.mysql.conftest import Servers, everything, hold, run

NAMES = Names.of("estate-test")
V84 = Intent(804)
AS_SERVICE = (
    "CREATE DATABASE IF NOT EXISTS tmp",
    "CREATE TABLE tmp.held (id int PRIMARY KEY)",
    "CREATE TABLE sys.mine (id int PRIMARY KEY)",
    "CREATE USER loader IDENTIFIED BY 'a'",
    "GRANT CONNECTION_ADMIN, SESSION_VARIABLES_ADMIN ON *.* TO loader",
    "CREATE USER rds_application IDENTIFIED BY 'a'",
    "CREATE USER stamper IDENTIFIED WITH sha256_password BY 'a'",
    "SET GLOBAL event_scheduler = ON",
)
WRONG = (
    "CREATE TABLE shop.log (line varchar(200))",
    "CREATE TABLE shop.`lo``g` (a int NULL UNIQUE)",
    "CREATE TABLE shop.fine (a int NOT NULL UNIQUE)",
    "CREATE TABLE shop.old (id int PRIMARY KEY) ENGINE=MyISAM",
    "CREATE TABLE shop.cache (id int PRIMARY KEY) ENGINE=MEMORY",
    "CREATE TABLE shop.parallel (id int PRIMARY KEY, `manual` int)",
    "CREATE TABLE shop.parent (id int PRIMARY KEY, code int, KEY (code))",
    "SET SESSION restrict_fk_on_non_standard_key = OFF;"
    "CREATE TABLE shop.child (id int PRIMARY KEY, code int, CONSTRAINT to_code FOREIGN KEY (code) REFERENCES shop.parent (code))",
    "CREATE DEFINER = 'go''ne'@'%' VIEW shop.orphan AS SELECT 1 AS one",
    "CREATE EVENT shop.`tid``y` ON SCHEDULE EVERY 1 DAY DO DELETE FROM shop.log",
    "CREATE EVENT shop.asleep ON SCHEDULE EVERY 1 DAY DISABLE DO DELETE FROM shop.log",
)
# The check, what it names, and the statement that mends it.
FOUND = (
    (
        "primary_keys",
        "`shop`.`lo``g` (about 0 rows)",
        "ALTER TABLE `shop`.`lo``g` ADD COLUMN bg_row_id BIGINT UNSIGNED NOT NULL",
    ),
    ("storage_engines", "`shop`.`old` (MyISAM)", "ALTER TABLE `shop`.`old` ENGINE=InnoDB"),
    ("volatile_tables", "`shop`.`cache` (MEMORY)", "ALTER TABLE `shop`.`cache` ENGINE=InnoDB"),
    ("schema_tmp", "tmp", "RENAME TABLE"),
    ("missing_definers", "view `shop`.`orphan` of go'ne@%", r"CREATE USER 'go\'ne'@'%' IDENTIFIED BY RANDOM PASSWORD"),
    ("bypassing_accounts", "'loader'@'%'", "REVOKE CONNECTION_ADMIN ON *.* FROM 'loader'@'%'"),
    ("unlogged_writers", "'loader'@'%'", "REVOKE SESSION_VARIABLES_ADMIN ON *.* FROM 'loader'@'%'"),
    ("unfenced_accounts", "'rds_application'@'%'", "RENAME USER 'rds_application'@'%' TO 'app_rds_application'@'%'"),
    ("blue_privileged_events", "`shop`.`tid``y` of shop_admin@%", "ALTER EVENT `shop`.`tid``y` DISABLE"),
    ("upgrade_reserved_words", "column `shop`.`parallel`.`manual`", "quote them"),
    (
        "upgrade_foreign_keys",
        "`shop`.`to_code` to `shop`.`parent`",
        "ALTER TABLE `shop`.`child` DROP FOREIGN KEY `to_code`",
    ),
    (
        "upgrade_authentication",
        "'stamper'@'%' (sha256_password)",
        "ALTER USER 'stamper'@'%' IDENTIFIED WITH caching_sha2",
    ),
    ("upgrade_sys_schema", "`sys`.`mine`", "RENAME TABLE `sys`.`mine` TO `mine_of_sys`"),
)
STOPPING = {"storage_engines", "schema_tmp", "unfenced_accounts", "upgrade_sys_schema"}


@pytest.fixture(scope="module")
def blue(servers: Servers) -> Iterator[Endpoint]:
    """A blue with everything wrong that can be made wrong."""
    made = servers.blue()
    servers.as_service(made, *AS_SERVICE)
    for statement in WRONG:
        with closing(connect(made)) as conn:
            for part in statement.split(";"):
                rows(conn, part)
    yield made
    servers.remove(made)


@pytest.fixture(scope="module")
def checks(blue: Endpoint) -> dict[str, Check]:
    """Every guardrail of it."""
    before = everything(blue)
    found = {check.id: check for check in create_checks(blue, None, NAMES, V84)}
    assert everything(blue) == before
    return found


@pytest.mark.parametrize(("name", "evidence", "remedy"), FOUND, ids=[one[0] for one in FOUND])
def test_is_found_with_the_statement_that_mends_it(
    checks: dict[str, Check], name: str, evidence: str, remedy: str
) -> None:
    check = checks[name]
    assert check.status == ("failed" if name in STOPPING else "warning")
    assert evidence in check.evidence
    assert remedy in check.remedy
    assert check.docs.startswith("https://")


def test_nothing_is_found_that_is_not_wrong(checks: dict[str, Check]) -> None:
    assert "`fine`" not in checks["primary_keys"].evidence
    assert "asleep" not in checks["blue_privileged_events"].evidence
    assert "'shop_admin'" not in checks["bypassing_accounts"].evidence


def test_the_same_is_fine_or_only_a_warning_when_no_upgrade_is_wanted(blue: Endpoint) -> None:
    def status(intent: Intent) -> set[str]:
        found = create_checks(blue, None, NAMES, intent)
        return {check.status for check in found if check.id in ("upgrade_sys_schema", "upgrade_reserved_words")}

    assert status(Intent(800)) == {"ok"}
    assert status(Intent(None)) == {"warning"}


def test_sessions_and_transactions_of_others_are_named(blue: Endpoint) -> None:
    with closing(hold(blue, "INSERT INTO shop.fine VALUES (2)")), closing(connect(blue)) as prepared:
        for statement in (
            "XA START 'a\\'b','c',7",
            "INSERT INTO shop.fine VALUES (1)",
            "XA END 'a\\'b','c',7",
            "XA PREPARE 'a\\'b','c',7",
        ):
            rows(prepared, statement)
        found = {check.id: check for check in create_checks(blue, None, NAMES)}
        assert found["blue_long_transactions"].status == "ok"  # of a minute and more only
        assert found["blue_own_sessions"].status == "ok"  # they say that they are ours
        check = found["blue_prepared_transactions"]
        assert check.status == "failed"
        mend = re.match(r"XA ROLLBACK [^;]+?, 7", check.remedy)
        assert mend is not None
    run(blue, mend[0])
    assert {check.id: check for check in create_checks(blue, None, NAMES)}["blue_prepared_transactions"].status == "ok"


def test_an_application_that_logs_in_as_the_admin_is_found(blue: Endpoint) -> None:
    with closing(
        pymysql.connect(
            host=blue.host, user=blue.user, password=blue.password, ssl={"ca": blue.ca_cert}, program_name="shop"
        )
    ):
        check = {one.id: one for one in create_checks(blue, None, NAMES)}["blue_own_sessions"]
    assert check.status == "warning"
    assert "shop" in check.evidence
    assert "CALL mysql.rds_kill(" in check.remedy


def test_a_blue_without_a_binary_log_is_refused_with_the_commands(servers: Servers) -> None:
    made = servers.blue(gtid=False, binlog_format="OFF")
    found = {one.id: one for one in create_checks(made, None, NAMES)}
    assert found["blue_binary_log"].status == "failed"
    assert (
        "ParameterName=binlog_format,ParameterValue=ROW,ApplyMethod=pending-reboot; aws rds reboot"
        in found["blue_binary_log"].remedy
    )
    assert (found["blue_gtid"].status, found["position_mode"].status) == ("warning", "ok")
    servers.remove(made)


def test_a_server_that_does_not_answer_and_a_user_without_rights_are_failed_checks(blue: Endpoint) -> None:
    nobody = replace(blue, password="wrong")
    (check,) = create_checks(nobody, None, NAMES)
    assert (check.id, check.status) == ("connection_blue", "failed")
    run(blue, "CREATE USER poor IDENTIFIED BY 'secret'")
    found = {one.id: one for one in create_checks(replace(blue, user="poor", password="secret"), None, NAMES)}
    assert found["blue_readable"].status == "failed"
    assert "XA_RECOVER_ADMIN" in found["blue_readable"].remedy
