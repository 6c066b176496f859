# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""bg_readiness finds what a real estate contains and replication or an upgrade does not bear, with the statement that mends it.

The servers have no extension but plpgsql and vector. pg_cron, pglogical, pg_partman and adminpack are stood in for by their
catalogs; a table of an extension is one that was put into plpgsql.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psycopg2
import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.checks import Check
from ansible_collections.bluegreen.aws.plugins.module_utils._core.endpoint import Endpoint
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.guardrails import (
    Intent,
    create_checks,
    subscriber_checks,
)
from tests.integration.conftest import RunModule
from tests.integration.postgresql.conftest import Servers, login, run
from tests.lab.engine import EngineError

NAMES = Names.of("estate-ready")

FAKE_EXTENSION = (
    "SET allow_system_table_mods = on; INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable,"
    " extversion) SELECT max(oid::int) + 1, '{0}', 10, 11, false, '1.0' FROM pg_extension"
)


@dataclass(frozen=True)
class Case:
    """What is made, as the customer or as the service, and what readiness says about it."""

    status: str
    make: tuple[str, ...]
    evidence: str
    statement: str = ""
    service: bool = False


CASES = {
    # replication
    "sequence_privileges": Case(
        "failed",
        (
            "CREATE SCHEMA hidden",
            'CREATE SEQUENCE hidden."Next Number"',
            'ALTER SEQUENCE hidden."Next Number" OWNER TO rdsadmin',
            "GRANT USAGE ON SCHEMA hidden TO PUBLIC",
        ),
        'shop: hidden."Next Number" (owner rdsadmin)',
        'in database shop: GRANT SELECT, UPDATE ON SEQUENCE hidden."Next Number" TO shop_admin',
        service=True,
    ),
    "pglogical_subscriptions": Case(
        "failed",
        (
            "CREATE SCHEMA pglogical",
            "CREATE TABLE pglogical.subscription (sub_name name PRIMARY KEY)",
            "INSERT INTO pglogical.subscription VALUES ('from_elsewhere')",
        ),
        "shop: from_elsewhere",
        "in database shop: SELECT pglogical.drop_subscription('from_elsewhere')",
    ),
    "reserved_schema": Case(
        "failed",
        ("CREATE SCHEMA bluegreen", "CREATE TABLE bluegreen.paints (a int PRIMARY KEY)"),
        "shop: bluegreen.paints",
        "in database shop: ALTER TABLE bluegreen.paints SET SCHEMA public",
    ),
    "blue_row_security": Case(
        "failed",
        (
            'CREATE SCHEMA "Odd Schema"',
            'CREATE TABLE "Odd Schema"."T\'able" (a int PRIMARY KEY)',
            'ALTER TABLE "Odd Schema"."T\'able" ENABLE ROW LEVEL SECURITY',
            'ALTER TABLE "Odd Schema"."T\'able" FORCE ROW LEVEL SECURITY',
        ),
        "shop: Odd Schema.T'able",
        'in database shop: ALTER TABLE "Odd Schema"."T\'able" NO FORCE ROW LEVEL SECURITY',
    ),
    "blue_triggers": Case(
        "failed",
        (
            "CREATE FUNCTION noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
            "CREATE TABLE noted (a int PRIMARY KEY)",
            'CREATE TRIGGER "On Replica" BEFORE INSERT ON noted FOR EACH ROW EXECUTE FUNCTION noop()',
            'ALTER TABLE noted ENABLE REPLICA TRIGGER "On Replica"',
        ),
        "shop: public.noted (On Replica)",
        'in database shop: ALTER TABLE "public"."noted" ENABLE TRIGGER "On Replica"',
    ),
    "service_tables": Case(
        "warning",
        ("CREATE TABLE job_run_details (a int PRIMARY KEY)", "ALTER EXTENSION plpgsql ADD TABLE job_run_details"),
        "shop: public.job_run_details (extension plpgsql, owner rdsadmin)",
        service=True,
    ),
    "event_triggers": Case(
        "warning",
        (
            "CREATE FUNCTION on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'",
            "CREATE EVENT TRIGGER awsdms_intercept_ddl ON ddl_command_end EXECUTE FUNCTION on_ddl()",
            "ALTER EVENT TRIGGER awsdms_intercept_ddl ENABLE ALWAYS",
            "CREATE ROLE dms SUPERUSER",
            "ALTER EVENT TRIGGER awsdms_intercept_ddl OWNER TO dms",
        ),
        "shop: awsdms_intercept_ddl (ddl_command_end, always)",
        "in database shop: ALTER EVENT TRIGGER awsdms_intercept_ddl DISABLE",
        service=True,
    ),
    "foreign_tables": Case(
        "warning",
        (
            "CREATE FOREIGN DATA WRAPPER remote",
            "CREATE SERVER elsewhere FOREIGN DATA WRAPPER remote OPTIONS (host 'elsewhere.example')",
            "CREATE FOREIGN TABLE far_away (a int) SERVER elsewhere",
        ),
        "shop: public.far_away (server elsewhere)",
        service=True,
    ),
    "foreign_servers_to_blue": Case(
        "warning",
        ("CREATE SERVER myself FOREIGN DATA WRAPPER remote OPTIONS (host '$host', dbname 'other')",),
        "shop: myself",
        "in database shop: ALTER SERVER myself OPTIONS (SET host 'the endpoint of the side that serves')",
        service=True,
    ),
    "unlogged_sequences": Case(
        "warning",
        ("CREATE UNLOGGED SEQUENCE tickets",),
        "shop: public.tickets",
        "in database shop: ALTER SEQUENCE public.tickets SET LOGGED",
    ),
    "scheduled_jobs": Case(
        "warning",
        (
            "CREATE SCHEMA cron",
            "CREATE TABLE cron.job (jobid bigint PRIMARY KEY, schedule text, active boolean)",
            "INSERT INTO cron.job VALUES (1, '0 3 * * *', true), (2, '* * * * *', false)",
        ),
        "shop: job 1 (0 3 * * *), shop: pg_cron, of which shop_admin sees its own jobs only",
        "in database shop: SELECT cron.alter_job(1, active := false)",
    ),
    "schema_changing_extensions": Case(
        "warning", (FAKE_EXTENSION.format("pg_partman"),), "shop: pg_partman", service=True
    ),
    "invalid_indexes": Case(
        "warning",
        (
            "CREATE TABLE half (a int PRIMARY KEY, b int)",
            "CREATE INDEX half_b ON half (b)",
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'half_b'::regclass",
        ),
        "shop: public.half_b",
        "in database shop: DROP INDEX CONCURRENTLY public.half_b",
        service=True,
    ),
    "other_publications": Case("warning", ("CREATE PUBLICATION for_debezium FOR TABLE noted",), "shop: for_debezium"),
    "unlogged_tables": Case(
        "warning",
        ("CREATE UNLOGGED TABLE cache (a int PRIMARY KEY)",),
        "shop: public.cache",
        'in database shop: ALTER TABLE "public"."cache" SET LOGGED',
    ),
    "materialized_views": Case(
        "warning",
        ("CREATE MATERIALIZED VIEW totals AS SELECT 1 AS one",),
        "shop: public.totals",
        'in database shop: REFRESH MATERIALIZED VIEW "public"."totals"',
    ),
    "large_objects": Case("warning", ("SELECT lo_create(0)",), "shop (1)"),
    # the server
    "databases_left_behind": Case(
        "warning", ("CREATE DATABASE blueprint IS_TEMPLATE true",), "blueprint (a template), other (not among"
    ),
    "other_slots": Case(
        "warning",
        ("SELECT pg_create_logical_replication_slot('dms_1', 'pgoutput')",),
        "dms_1 (pgoutput, database shop, inactive, keeps",
    ),
    "slot_retention": Case("warning", (), "max_slot_wal_keep_size = 4096MB"),
    "worker_timeouts": Case(
        "warning",
        (
            "ALTER DATABASE shop SET lock_timeout = '1s'",
            "ALTER ROLE shop_admin IN DATABASE shop SET lock_timeout = '2s'",
        ),
        "lock_timeout=1s for every role in database shop, lock_timeout=2s for role shop_admin in database shop",
        "ALTER DATABASE shop RESET lock_timeout; ALTER ROLE shop_admin IN DATABASE shop RESET lock_timeout",
    ),
    "foreign_clients": Case("warning", (), "shop_admin from 127.0.0.1 in shop"),
    "tablespaces": Case(
        "warning", ("SET allow_in_place_tablespaces = on", "CREATE TABLESPACE ssd LOCATION ''"), "ssd", service=True
    ),
    "zero_etl": Case(
        "warning",
        ("ALTER ROLE shop_admin SET aurora.enhanced_logical_replication = '1'",),
        "aurora.enhanced_logical_replication is on",
        service=True,
    ),
    "blue_read_only_overrides": Case(
        "warning",
        ("ALTER ROLE shop_admin IN DATABASE shop SET default_transaction_read_only = off",),
        "shop_admin in shop",
        'ALTER ROLE "shop_admin" IN DATABASE "shop" RESET default_transaction_read_only',
    ),
    # the upgrade
    "upgrade_reg_columns": Case(
        "failed",
        (
            "CREATE DOMAIN dictionary AS regconfig",
            "CREATE TABLE reg (a int PRIMARY KEY, f regproc, d dictionary[], kept regclass, kept_too regrole, t regtype)",
        ),
        "shop: public.reg.d, shop: public.reg.f",
        "in database shop: ALTER TABLE public.reg ALTER COLUMN d TYPE text; ALTER TABLE public.reg ALTER COLUMN f TYPE text",
    ),
    "upgrade_composite_columns": Case(
        "failed",
        ("CREATE TABLE snapshots (a int PRIMARY KEY, activity pg_stat_activity)",),
        "shop: public.snapshots.activity",
        "in database shop: ALTER TABLE public.snapshots ALTER COLUMN activity TYPE text",
    ),
    "upgrade_not_null": Case(
        "failed",
        (
            "CREATE TABLE parent (a int PRIMARY KEY, b int NOT NULL)",
            "CREATE TABLE child (PRIMARY KEY (a)) INHERITS (parent)",
            "ALTER TABLE child ALTER b DROP NOT NULL",
        ),
        "shop: public.child.b",
        "in database shop: ALTER TABLE public.child ALTER COLUMN b SET NOT NULL",
    ),
    "upgrade_statistics_views": Case(
        "warning",
        ("CREATE VIEW wal AS SELECT wal_write FROM pg_stat_wal",),
        "shop: public.wal (on pg_stat_wal)",
        "in database shop: DROP VIEW public.wal",
    ),
    "upgrade_removed_extensions": Case(
        "failed",
        (FAKE_EXTENSION.format("adminpack"),),
        "shop: adminpack 1.0",
        "in database shop: DROP EXTENSION adminpack",
        service=True,
    ),
    "upgrade_recreated_extensions": Case(
        "warning",
        (FAKE_EXTENSION.format("pg_repack"),),
        "shop: pg_repack 1.0",
        "in database shop: DROP EXTENSION pg_repack",
        service=True,
    ),
    "outdated_extensions": Case(
        "warning",
        ("UPDATE pg_extension SET extversion = '0.9' WHERE extname = 'plpgsql'",),
        "shop: plpgsql 0.9 (1.0)",
        "in database shop: ALTER EXTENSION plpgsql UPDATE",
        service=True,
    ),
    "upgrade_databases": Case(
        "failed",
        ("CREATE DATABASE shut ALLOW_CONNECTIONS false",),
        "shut",
        "ALTER DATABASE shut ALLOW_CONNECTIONS true",
    ),
    "generated_full_identity": Case(
        "failed",
        (
            "CREATE TABLE sums (a int NOT NULL UNIQUE, b int GENERATED ALWAYS AS (a + 1) STORED)",
            "ALTER TABLE sums REPLICA IDENTITY FULL",
        ),
        "shop: public.sums",
        "in database shop: ALTER TABLE public.sums REPLICA IDENTITY USING INDEX sums_a_key",
    ),
}
# Made for another case, or by it, and told of separately.
ALONGSIDE = {"blue_table_owners"}


@pytest.fixture(scope="module")
def blue(servers: Servers) -> Iterator[Endpoint]:
    """A blue that has one of everything."""
    endpoint = servers.blue(("shop", "other"), max_slot_wal_keep_size="4096")
    for case in CASES.values():
        made = [statement.replace("$host", endpoint.host) for statement in case.make]
        if case.service:
            servers.as_service(endpoint, *made)
        else:
            run(endpoint, *made, database="shop")
    yield endpoint
    servers.remove(endpoint)


@pytest.fixture(scope="module")
def found(blue: Endpoint, run_module: RunModule) -> dict[str, dict[str, Any]]:
    """What bg_readiness says about it, while a foreign server is connected."""
    foreign = psycopg2.connect(
        host=blue.host,
        user=blue.user,
        password=blue.password,
        dbname="shop",
        application_name="postgres_fdw",
        sslrootcert=blue.ca_cert,
    )
    with closing(foreign):
        result = run_module(
            "bg_readiness",
            deployment_id="estate-ready",
            engine="aurora_postgresql",
            step="create",
            databases=["shop"],
            engine_version="18.4",
            blue=login(blue),
        )
    return {check["id"]: check for check in result["checks"]}


@pytest.mark.parametrize("check_id", CASES)
def test_is_found_with_the_statement_that_mends_it(found: dict[str, dict[str, Any]], check_id: str) -> None:
    case, check = CASES[check_id], found[check_id]
    assert check["status"] == case.status
    assert case.evidence in check["evidence"]
    assert check["remedy"].startswith(case.statement)
    assert check["remedy"]


def test_nothing_else_is_found_and_every_check_has_its_document(found: dict[str, dict[str, Any]]) -> None:
    assert {check_id for check_id, check in found.items() if check["status"] != "ok"} - ALONGSIDE == set(CASES)
    connection = found.pop("connection_blue")
    assert connection["status"] == "ok"
    assert [check for check in found.values() if not check["docs"].startswith("https://")] == []


def by_id(checks: list[Check]) -> dict[str, Check]:
    return {check.id: check for check in checks}


def test_what_an_upgrade_refuses_is_a_warning_while_the_target_is_not_known(blue: Endpoint) -> None:
    unknown = by_id(create_checks(blue, None, NAMES, ["shop"]))
    same = by_id(create_checks(blue, None, NAMES, ["shop"], Intent(major=16)))
    between = by_id(create_checks(blue, None, NAMES, ["shop"], Intent(major=17)))
    for check_id in CASES:
        if check_id.startswith("upgrade_") or check_id == "generated_full_identity":
            assert (unknown[check_id].status, same[check_id].status) == ("warning", "ok")
    assert (between["upgrade_reg_columns"].status, between["upgrade_not_null"].status) == ("failed", "ok")


def test_the_statements_mend_what_they_are_for(blue: Endpoint) -> None:
    mendable = {
        check_id: case
        for check_id, case in CASES.items()
        if case.statement.startswith(("in database shop: ALTER TABLE", "in database shop: ALTER SEQUENCE", "ALTER "))
        or check_id in ("upgrade_statistics_views", "invalid_indexes", "reserved_schema")
    }
    assert len(mendable) >= 12
    for case in mendable.values():
        for statement in case.statement.removeprefix("in database shop: ").split("; "):
            run(blue, statement, database="shop")
    left = by_id(create_checks(blue, None, NAMES, ["shop"], Intent(major=18)))
    assert {check_id for check_id in mendable if left[check_id].status != "ok"} == set()


def test_many_findings_are_listed_by_a_query_that_gives_their_statements(servers: Servers) -> None:
    blue = servers.blue()
    run(blue, *(f"CREATE UNLOGGED SEQUENCE s{number}" for number in range(9)), database="shop")
    check = by_id(create_checks(blue, None, NAMES, None))["unlogged_sequences"]
    words, query = check.remedy.removesuffix("; before cloning, when their values must not come twice").split(
        "listed by: "
    )
    assert words.endswith("6 more, with their statements, are ")
    listed = run(blue, query, database="shop")
    assert len(listed) == 9
    for _name, statement in listed:
        run(blue, statement, database="shop")
    assert by_id(create_checks(blue, None, NAMES, None))["unlogged_sequences"].status == "ok"
    servers.remove(blue)


def test_an_admin_without_the_service_s_rights_and_a_missing_position_function_are_found(servers: Servers) -> None:
    blue = servers.blue()
    servers.as_service(
        blue,
        "REVOKE rds_superuser FROM shop_admin",
        "DROP FUNCTION pg_catalog.aurora_volume_logical_start_lsn()",
        database="postgres",
    )
    checks = by_id(create_checks(blue, None, NAMES, ["shop"]))
    assert checks["blue_admin_rights"].status == "failed"
    for right in ("pg_create_subscription", "pg_signal_backend", "pg_replication_origin_advance"):
        assert right in checks["blue_admin_rights"].evidence
    assert checks["blue_admin_rights"].remedy.startswith(
        "GRANT pg_create_subscription TO shop_admin; GRANT pg_signal_backend"
    )
    assert checks["position_function"].status == "warning"
    servers.remove(blue)


def test_a_reader_is_not_taken_for_blue(servers: Servers) -> None:
    blue = servers.blue()
    reader = servers.reader(blue)
    checks = create_checks(reader, None, NAMES, ["shop"])
    assert [check.id for check in checks if check.status == "failed"] == ["blue_writer"]
    assert by_id(checks)["blue_writer"].remedy == "give the cluster endpoint as the option host of blue"
    servers.remove(blue)


def test_an_upgrade_refuses_what_was_found_and_takes_what_was_mended(servers: Servers) -> None:
    checked = (
        "upgrade_reg_columns",
        "upgrade_composite_columns",
        "upgrade_not_null",
        "upgrade_statistics_views",
        "upgrade_databases",
    )
    volume = servers.blue()
    run(volume, *(statement for check_id in checked for statement in CASES[check_id].make), database="shop")
    with pytest.raises(EngineError):
        servers.upgrade(volume)
    servers.start(volume)
    for check_id in checked:
        statements = CASES[check_id].statement.removeprefix("in database shop: ")
        run(volume, *statements.split("; "), database="shop")
    servers.upgrade(volume)
    assert run(volume, "SHOW server_version_num")[0][0].startswith("18")
    servers.remove(volume)


def test_green_tells_what_only_the_new_version_knows(servers: Servers) -> None:
    green = servers.blue(version="18.4")
    run(
        green,
        "CREATE COLLATION sorted (provider = builtin, locale = 'C.UTF-8')",
        "CREATE TABLE words (word text COLLATE sorted PRIMARY KEY)",
        "CREATE SCHEMA cron",
        "CREATE TABLE cron.job (jobid bigint PRIMARY KEY, schedule text, active boolean)",
        "INSERT INTO cron.job VALUES (1, '0 3 * * *', true)",
        database="shop",
    )
    servers.as_service(
        green,
        "UPDATE pg_collation SET collversion = '0' WHERE collname = 'sorted'",
        "UPDATE pg_extension SET extversion = '0.9' WHERE extname = 'plpgsql'",
        "ALTER ROLE shop_admin SET cron.database_name = 'shop'",
    )
    checks = by_id(subscriber_checks(green, NAMES, ["shop"], "forward"))
    assert checks["green_scheduled_jobs"].status == "failed"
    assert "SELECT cron.alter_job(1, active := false)" in checks["green_scheduled_jobs"].remedy
    assert checks["green_extensions"].evidence.endswith("shop: plpgsql 0.9 (default 1.0)")
    assert checks["green_collations"].status == "warning"
    statements = "REINDEX INDEX words_pkey; ALTER COLLATION public.sorted REFRESH VERSION"
    assert checks["green_collations"].remedy.startswith(f"in database shop: {statements}")
    run(green, *statements.split("; "), database="shop")
    servers.as_service(green, "ALTER ROLE shop_admin SET cron.launch_active_jobs = 'off'")
    checks = by_id(subscriber_checks(green, NAMES, ["shop"], "forward"))
    assert {checks["green_scheduled_jobs"].status, checks["green_collations"].status} == {"ok"}
    servers.remove(green)
