# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The traps of logical replication from a clone, and the tests that each of them has. Those without a file are here.

Where green starts

- the clone's position through the origin, nothing lost or doubled:
  test_pg_logical_subscription.py::test_a_clone_upgraded_under_load_follows_without_losing_or_doubling_a_write
- no position at all, a key twice: test_pg_logical_subscription.py::test_running_without_a_recorded_position_is_refused
- blue's position before the clone (a key twice), or after it (writes lost without an error), or green's own:
  test_pg_logical_subscription.py::test_a_position_given_by_the_user_is_used_and_cannot_be_changed_later
- a slot that is younger than the clone: test_pg_logical_subscription.py::test_a_slot_made_again_after_the_clone_is_refused,
  test_pg_logical_subscription.py::test_a_clone_made_before_blue_was_prepared_is_refused
- a position read after the upgrade: test_a_green_that_lost_its_slots_before_its_position_was_kept_is_refused
- a subscription without its tables (connect = false, no REFRESH), "caught up" and all lost:
  test_pg_logical_subscription.py::test_a_subscription_that_knows_no_tables_is_never_called_running

What blue is

- an open transaction while a slot is made:
  test_pg_logical_subscription.py::test_a_slot_waits_for_open_transactions_no_longer_than_asked
- a prepared one: test_pg_logical_subscription.py::test_a_guardrail_refuses_in_one_sentence_and_changes_nothing
- one that is prepared between slot and clone:
  test_pg_logical_subscription.py::test_positioned_removes_what_the_clone_carried_and_keeps_a_position_that_fits
- a publication that is younger than its slot: test_pg_logical_subscription.py::test_a_slot_without_its_publication_is_refused
- no replica identity, UPDATE fails on blue:
  test_replica_identity.py::test_a_table_that_updates_would_fail_on_is_refused_with_the_statement
- a subscriber, whose clone eats from its slot:
  test_pg_logical_subscription.py::test_a_blue_that_is_a_subscriber_is_refused_before_it_is_cloned
- an admin that is no superuser, and cannot become an owner:
  test_readiness_estate.py::test_an_admin_without_the_service_s_rights_and_a_missing_position_function_are_found,
  test_pg_logical_subscription.py::test_a_guardrail_refuses_in_one_sentence_and_changes_nothing
- a password with quotes and blanks: every test here, the admin has one;
  test_pg_logical_subscription.py::test_no_password_is_in_any_result

What changes while green follows

- a column added: test_bg_readiness.py::test_what_drifted_since_the_clone_stops_the_switchover
- a table added, skipped without an error:
  test_pg_logical_subscription.py::test_a_table_made_after_the_clone_is_reported_instead_of_skipped
- triggers that fire for what is replicated: test_a_trigger_that_fires_for_replicated_rows_is_refused
- an admin that its own fence stops: test_the_admin_passes_the_fence_that_it_has_put_up
- unlogged tables and large objects: test_readiness_estate.py::test_is_found_with_the_statement_that_mends_it,
  test_estate.py::test_what_is_not_replicated_is_as_the_table_of_the_documentation_says
- REPLICA IDENTITY FULL in a large table: test_bg_readiness.py::test_everything_that_is_wrong_is_told_at_once
- a conflict: test_pg_logical_subscription.py::test_a_subscription_that_stopped_at_an_error_is_reported_and_goes_on_when_mended
- a lag that is 0 because nothing is known:
  test_pg_logical_subscription.py::test_status_is_an_error_when_the_slot_is_gone_and_never_a_lag_of_zero
- crashes: test_pg_logical_subscription.py::test_replication_goes_on_after_crashes_of_both_sides
- a limit on locks, which ends the worker that applies: test_a_lock_timeout_of_the_database_would_stop_replication
- locks that queue production: test_replica_identity.py::test_a_busy_table_does_not_stall_its_clients_and_ends_in_a_sentence
- a publisher that is gone: test_pg_logical_subscription.py::test_a_subscription_whose_publisher_is_gone_can_be_removed

The fence

- a transaction in flight: test_bg_switchover.py::test_a_transaction_in_flight_is_ended_and_its_session_with_it
- a session that lifts it: test_bg_switchover.py::test_a_session_that_writes_through_the_fence_gives_the_writes_back
- a role that overrides it: test_bg_readiness.py::test_what_drifted_since_the_clone_stops_the_switchover
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.connection import connect
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.guardrails import (
    create_checks,
    subscriber_checks,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.status import deployment_status
from tests.integration.postgresql.conftest import Pair, Servers, everything, hold, replicated, run, step

NAMES = Names.of("trap-test")


@pytest.fixture(scope="module")
def pair(servers: Servers) -> Iterator[Pair]:
    """Blue and a green that follows it; every test leaves them so."""
    blue = servers.blue()
    run(
        blue,
        "CREATE TABLE orders (id int PRIMARY KEY)",
        "CREATE FUNCTION double() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN INSERT INTO public.orders VALUES (-NEW.id); RETURN NEW; END'",
        "CREATE TRIGGER doubled BEFORE INSERT ON orders FOR EACH ROW WHEN (NEW.id > 0) EXECUTE FUNCTION double()",
        database="shop",
    )
    made = replicated(servers, blue, NAMES.deployment_id)
    yield made
    servers.remove(made.blue, made.green)


def test_every_test_in_the_table_exists() -> None:
    here = Path(__file__)
    named = re.findall(r"(?:(test_\w+\.py)::)?(test_\w+)(?!\w|\.py)", __doc__ or "")
    assert len(named) > 25
    for file, test in named:
        assert f"def {test}(" in (here.parent / (file or here.name)).read_text(encoding="utf-8"), test


def test_a_green_that_lost_its_slots_before_its_position_was_kept_is_refused(servers: Servers, pair: Pair) -> None:
    names = Names.of("trap-late")
    step("prepared", names, pair.blue)
    green = servers.clone(pair.blue)
    run(green, "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")  # as an upgrade demands
    before = everything(green)
    with pytest.raises(BlueGreenError, match="has none and no control record: delete green"):
        step("positioned", names, pair.blue, green)
    assert everything(green) == before
    servers.remove(green)
    step("absent", names, pair.blue)


@pytest.mark.parametrize("enabled", ["ALWAYS", "REPLICA"])
def test_a_trigger_that_fires_for_replicated_rows_is_refused(pair: Pair, enabled: str) -> None:
    """A common one is handled: what it wrote on blue arrives, and it does not write it again."""
    for side in (pair.blue, pair.green):
        run(side, f"ALTER TABLE orders ENABLE {enabled} TRIGGER doubled", database="shop")
    try:
        judged = [
            create_checks(pair.blue, None, NAMES, ["shop"]),
            subscriber_checks(pair.green, NAMES, ["shop"], "forward"),
        ]
        for checks, name in zip(judged, ("blue", "green"), strict=True):
            check = next(check for check in checks if check.id == f"{name}_triggers")
            assert check.status == "failed"
            assert check.remedy.startswith('in database shop: ALTER TABLE "public"."orders" ENABLE TRIGGER "doubled"')
    finally:
        for side in (pair.blue, pair.green):
            run(side, "ALTER TABLE orders ENABLE TRIGGER doubled", database="shop")
    run(pair.blue, "TRUNCATE orders", "INSERT INTO orders VALUES (7)", database="shop")
    step("running", NAMES, pair.blue, pair.green)
    assert run(pair.green, "SELECT id FROM orders ORDER BY id", database="shop") == [(-7,), (7,)]


def test_the_admin_passes_the_fence_that_it_has_put_up(pair: Pair) -> None:
    with (
        closing(connect(pair.green.at("shop"), fenced=True)) as client,
        pytest.raises(psycopg2.errors.ReadOnlySqlTransaction),
    ):
        client.cursor().execute("ALTER DATABASE shop RESET default_transaction_read_only")
    run(
        pair.green,
        "ALTER DATABASE shop RESET default_transaction_read_only",
        "ALTER DATABASE shop SET default_transaction_read_only = on",
        database="shop",
    )


def test_a_lock_timeout_of_the_database_would_stop_replication(pair: Pair) -> None:
    """Readiness warns of it, and this is what it warns of: the status says so, never that all is well."""
    check = {one.id: one for one in create_checks(pair.blue, None, NAMES, ["shop"])}["worker_timeouts"]
    assert check.status == "ok"
    run(pair.blue, "ALTER DATABASE shop SET lock_timeout = '100ms'", database="shop")
    run(pair.green, "ALTER DATABASE shop SET lock_timeout = '100ms'", database="shop")
    try:
        check = {one.id: one for one in create_checks(pair.blue, None, NAMES, ["shop"])}["worker_timeouts"]
        assert check.status == "warning"
        assert check.remedy.startswith("ALTER DATABASE shop RESET lock_timeout")
        step("stopped", NAMES, pair.blue, pair.green)
        step("running", NAMES, pair.blue, pair.green)  # a worker reads the setting when it starts
        with closing(hold(pair.green, "LOCK TABLE orders IN EXCLUSIVE MODE", "shop")):
            run(pair.blue, "INSERT INTO orders VALUES (100)", database="shop")
            assert "stopped at an error" in _error(pair)
    finally:
        for side in (pair.blue, pair.green):
            run(side, "ALTER DATABASE shop RESET lock_timeout", database="shop")
    step("running", NAMES, pair.blue, pair.green)


def _error(pair: Pair) -> str:
    for _look in range(200):
        found = deployment_status(pair.blue, pair.green, NAMES)["replication"]["error"]
        if found and "stopped at" in found:
            break
        time.sleep(0.05)
    return str(found)
