# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""bg_readiness: every guardrail with its evidence and its remedy, and nothing changed by looking."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.endpoint import Endpoint
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql import server_rules
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.guardrails import move_checks, switchover_checks
from tests.integration.conftest import ModuleFailed, RunModule
from tests.integration.postgresql.conftest import Pair, Servers, everything, hold, login, replicated, run, step

NAMES = Names.of("ready-test")
COMMON = {"deployment_id": "ready-test", "engine": "aurora_postgresql"}


@pytest.fixture(scope="module")
def pair(servers: Servers) -> Iterator[Pair]:
    """Blue and a green that follows it; every test leaves them as they were."""
    blue = servers.blue()
    run(blue, "CREATE TABLE orders (id int PRIMARY KEY)", "CREATE SEQUENCE numbers", database="shop")
    made = replicated(servers, blue, NAMES.deployment_id)
    yield made
    servers.remove(made.blue, made.green)


def by_status(result: dict[str, Any], status: str) -> dict[str, dict[str, Any]]:
    return {check["id"]: check for check in result["checks"] if check["status"] == status}


def failed_now(pair: Pair) -> dict[str, str]:
    checks = move_checks(pair.blue, pair.green, NAMES, None)
    return {check.id: check.evidence for check in checks if check.status == "failed"}


def test_a_sound_blue_is_ready_and_looking_changes_nothing(servers: Servers, run_module: RunModule) -> None:
    blue = servers.blue()
    run(blue, "CREATE TABLE orders (id int PRIMARY KEY)", database="shop")
    before = everything(blue)
    result = run_module("bg_readiness", step="create", blue=login(blue), **COMMON)
    assert result["ready"] is True
    assert by_status(result, "failed") == by_status(result, "warning") == {}
    assert len(result["checks"]) > 15
    assert (result["changed"], result["actions"]) == (False, [])
    assert everything(blue) == before
    servers.remove(blue)


def test_everything_that_is_wrong_is_told_at_once(servers: Servers, run_module: RunModule) -> None:
    blue = servers.blue(("shop", "theirs"), max_replication_slots="2", max_logical_replication_workers="1")
    run(
        blue,
        "CREATE TABLE bare (a int)",
        "CREATE UNLOGGED TABLE cache (a int PRIMARY KEY)",
        "CREATE TABLE big (a int)",
        "ALTER TABLE big REPLICA IDENTITY FULL",
        "INSERT INTO big SELECT generate_series(1, 100001)",
        "ANALYZE big",
        "CREATE MATERIALIZED VIEW summary AS SELECT 1",
        "SELECT lo_create(0)",
        "CREATE ROLE rogue LOGIN",
        "GRANT rogue TO CURRENT_USER",
        "ALTER ROLE rogue SET default_transaction_read_only = off",
        "GRANT CREATE ON SCHEMA public TO rogue",
        "SET ROLE rogue; CREATE TABLE rogues (a int PRIMARY KEY); RESET ROLE",
        "ALTER DATABASE theirs OWNER TO rogue",
        "REVOKE rogue FROM CURRENT_USER",
        database="shop",
    )
    result = run_module("bg_readiness", step="create", blue=login(blue), **COMMON)
    assert result["ready"] is False
    failures, warnings = by_status(result, "failed"), by_status(result, "warning")
    assert set(failures) == {
        "replica_identity",
        "blue_replication_slots",
        "blue_replication_origins",
        "blue_logical_workers",
        "blue_table_owners",
        "blue_database_owners",
    }
    assert set(warnings) == {
        "unlogged_tables",
        "slow_replica_identity",
        "materialized_views",
        "large_objects",
        "blue_read_only_overrides",
    }
    for check in [*failures.values(), *warnings.values()]:
        assert check["evidence"] and check["remedy"]
    assert failures["blue_database_owners"]["remedy"].startswith('GRANT "rogue" TO "shop_admin"')
    assert "rogue in every database" in warnings["blue_read_only_overrides"]["evidence"]
    servers.remove(blue)


def test_a_server_that_does_not_answer_is_a_failed_check(pair: Pair, run_module: RunModule) -> None:
    wrong = login(pair.blue, password="Wrong-Pw-9914")
    nobody = login(pair.green, port=1)
    result = run_module("bg_readiness", step="switchover", blue=wrong, green=nobody, **COMMON)
    assert result["ready"] is False
    assert set(by_status(result, "failed")) == {"connection_blue", "connection_green"}
    assert "password authentication failed" in by_status(result, "failed")["connection_blue"]["evidence"]
    assert "Wrong-Pw-9914" not in str(result)


def test_switchover_needs_green(pair: Pair, run_module: RunModule) -> None:
    with pytest.raises(ModuleFailed, match="step is switchover but all of the following are missing: green"):
        run_module("bg_readiness", step="switchover", blue=login(pair.blue), **COMMON)


def test_a_green_in_sync_is_ready_for_the_switchover(pair: Pair, run_module: RunModule) -> None:
    result = run_module("bg_readiness", step="switchover", blue=login(pair.blue), green=login(pair.green), **COMMON)
    assert by_status(result, "failed") == {}
    assert result["ready"] is True


def test_a_stopped_subscription_is_not_ready(pair: Pair) -> None:
    step("stopped", NAMES, pair.blue, pair.green)
    try:
        assert set(failed_now(pair)) == {"replication_postgres", "replication_shop"}
    finally:
        step("running", NAMES, pair.blue, pair.green)


@pytest.mark.parametrize(
    ("broken", "mended", "check_id", "evidence"),
    [
        (
            "CREATE TABLE late (a int PRIMARY KEY)",
            "DROP TABLE late",
            "schema_in_step_shop",
            "table public.late was created",
        ),
        (
            "ALTER TABLE orders ADD note text",
            "ALTER TABLE orders DROP note",
            "schema_in_step_shop",
            "column public.orders.note was created",
        ),
        ("CREATE SEQUENCE more", "DROP SEQUENCE more", "schema_in_step_shop", "sequence public.more was created"),
        ("SELECT lo_create(4711)", "SELECT lo_unlink(4711)", "large_objects_in_step_shop", "1 on the one side and 0"),
        (
            "ALTER ROLE shop_admin IN DATABASE shop SET default_transaction_read_only = off",
            "ALTER ROLE shop_admin IN DATABASE shop RESET default_transaction_read_only",
            "blue_read_only_overrides",
            "shop_admin in shop",
        ),
    ],
    ids=["table", "column", "sequence", "large object", "role that overrides the fence"],
)
def test_what_drifted_since_the_clone_stops_the_switchover(
    pair: Pair, broken: str, mended: str, check_id: str, evidence: str
) -> None:
    run(pair.blue, broken, database="shop")
    try:
        found = failed_now(pair)
    finally:
        run(pair.blue, mended, database="shop")
    assert list(found) == [check_id]
    assert evidence in found[check_id]
    assert failed_now(pair) == {}


def test_a_green_open_for_writers_stops_the_switchover(pair: Pair) -> None:
    run(pair.green, "ALTER DATABASE shop RESET default_transaction_read_only")
    try:
        assert failed_now(pair) == {
            "green_closed": "green must be closed for writers while it is replicated to, but shop is open"
        }
    finally:
        run(pair.green, "ALTER DATABASE shop SET default_transaction_read_only = on")


def test_a_prepared_and_a_long_transaction_stop_the_switchover(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_rules, "LONG_TRANSACTION", 0.0)
    with closing(hold(pair.blue, "INSERT INTO orders VALUES (1)", "shop")) as one:
        run(pair.blue, "BEGIN; INSERT INTO orders VALUES (2); PREPARE TRANSACTION 'two'", database="shop")
        try:
            found = failed_now(pair)
        finally:
            run(pair.blue, "ROLLBACK PREPARED 'two'", database="shop")
        assert set(found) == {"blue_prepared_transactions", "blue_long_transactions"}
        assert f"process {one.info.backend_pid} of shop_admin in shop" in found["blue_long_transactions"]


def test_the_way_back_is_judged_from_the_side_that_serves(pair: Pair) -> None:
    checks = switchover_checks(pair.green, pair.blue, NAMES, ["shop"])
    found = {check.id for check in checks if check.status == "failed"}
    assert {"blue_closed", "replication_shop"} <= found


def test_an_unknown_database_is_a_failed_check(pair: Pair) -> None:
    blue: Endpoint = pair.blue
    checks = switchover_checks(blue, pair.green, NAMES, ["nowhere"])
    assert {check.id for check in checks if check.status == "failed"} >= {"blue_readable", "green_readable"}
