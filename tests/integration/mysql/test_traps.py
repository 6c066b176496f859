# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The traps of a clone that follows by the binary log, the guardrail that finds each, and its test. Those without a file are here.

Where green starts

- a position that is not the clone's (a key twice, or writes lost without an error):
  test_binlog_replication.py::test_a_position_that_is_not_the_clones_is_refused_and_nothing_is_changed
- the event of a later restart: test_binlog_replication.py::test_a_committed_position_is_never_replaced_and_holds_after_a_restart
- a position that the service tells wrongly, `position_mode`: unit tests of server_rules, and
  test_binlog_replication.py::test_without_a_canary_the_position_is_checked_by_bounds_and_a_doubtful_one_is_refused
- replication that the clone carried along, `blue_channels`:
  test_binlog_replication.py::test_replication_that_a_clone_carried_along_is_reset_and_refused_when_it_runs,
  test_readiness.py::test_a_blue_that_feeds_this_deployment_is_fit_for_another_clone
- a position applied twice: test_binlog_replication.py::test_a_position_is_not_applied_twice_when_the_channel_is_gone

What blue is

- no binary log, Aurora's default, `blue_binary_log`:
  test_readiness_estate.py::test_a_blue_without_a_binary_log_is_refused_with_the_commands
- a log that is purged before green has read it, `blue_retention`, `blue_log_left`:
  test_what_green_has_not_read_is_purged_and_told_as_that
- tables without a key, of other engines, in memory, a schema tmp, definers that are gone, names that are reserved, `primary_keys`,
  `storage_engines`, `volatile_tables`, `schema_tmp`, `missing_definers`, `upgrade_reserved_words`:
  test_readiness_estate.py::test_is_found_with_the_statement_that_mends_it
- XA transactions that are prepared, `blue_prepared_transactions`:
  test_readiness_estate.py::test_sessions_and_transactions_of_others_are_named,
  test_binlog_replication.py::test_a_prepared_xa_transaction_of_the_clone_waits_for_what_blue_decides
- an admin without the rights to look: test_readiness_estate.py::test_a_server_that_does_not_answer_and_a_user_without_rights_are_failed_checks
- a cluster of another engine, a green with blue's parameter group, `aws_engine`, `aws_green_parameter_group`:
  test_readiness_control_plane.py::test_the_engine_must_be_the_cluster_s_and_the_group_one_of_green_s_own

What happens while green follows

- Seconds_Behind_Source is 0 while the link stalls, `replication_lag`: test_a_stalled_link_is_a_lag_whatever_the_replica_says
- a conflict, `replication`: test_readiness.py::test_replication_that_is_stopped_or_broken_is_told_with_what_to_do,
  test_binlog_replication.py::test_an_error_of_the_replica_is_told_with_its_remedy_and_is_not_skipped
- a write on green, `errant_transactions`: test_readiness.py::test_a_write_on_green_is_found_before_anything_moves
- events that run on green too, accounts that are open there, other settings, `green_running_events`, `green_closed`, `settings`:
  test_readiness.py::test_what_is_wrong_is_told_at_once
- accounts that are not replicated, `accounts`: test_accounts.py::test_an_account_is_brought_over_with_all_that_is_its_own,
  test_readiness.py::test_accounts_that_differ_are_told_with_who_brings_them_over
- bringing them over is a write of green's own:
  test_accounts.py::test_nothing_of_it_is_in_the_binary_log_and_a_second_time_changes_nothing
- bringing them over opens green: test_accounts.py::test_what_is_made_stays_closed_until_the_fence_opens_and_an_owner_s_lock_stays
- a hash in a log: test_accounts.py::test_passwords_and_their_hashes_are_in_no_sentence_and_no_repr

The fence

- an event whose definer writes through read_only, by a role of its own too, `blue_privileged_events`:
  test_readiness_estate.py::test_is_found_with_the_statement_that_mends_it, test_an_event_writes_on_behind_locks_and_read_only
- an application that logs in as the admin, `blue_own_sessions`:
  test_readiness_estate.py::test_an_application_that_logs_in_as_the_admin_is_found
- names of accounts that are taken for the service's, `unfenced_accounts`:
  test_readiness_estate.py::test_is_found_with_the_statement_that_mends_it
- a statement that runs long, `blue_long_transactions`: test_readiness.py::test_what_is_wrong_is_told_at_once
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.checks import Check
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql import guardrails, locks
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.connection import connected, dicts, rows
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.dialect import Dialect
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.service import service_of
from tests.integration.mysql.conftest import Servers, run
from tests.integration.mysql.replication import Pair, replicated
from tests.lab.tools import wait_until

NAMES = Names.of("trap-test")


@pytest.fixture(scope="module")
def pair(servers: Servers) -> Iterator[Pair]:
    """Blue and a green that follows it by GTID; the last test takes it apart."""
    blue = servers.blue()
    run(blue, "CREATE TABLE shop.orders (id int AUTO_INCREMENT PRIMARY KEY)")
    made = replicated(servers, blue, NAMES.deployment_id)
    yield made
    servers.remove(made.blue, made.green)


def test_every_test_in_the_table_exists() -> None:
    here = Path(__file__)
    named = re.findall(r"(?:(test_\w+\.py)::)?(test_\w+)(?!\w|\.py)", __doc__ or "")
    assert len(named) > 25
    for file, test in named:
        assert f"def {test}(" in (here.parent / (file or here.name)).read_text(encoding="utf-8"), test


def test_a_stalled_link_is_a_lag_whatever_the_replica_says(
    servers: Servers, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guardrails, "_CATCH_UP", 1.0)
    servers.link(pair.blue, "stall", "replication")
    try:
        run(pair.blue, "INSERT INTO shop.orders VALUES ()")
        with connected(pair.green) as conn:
            told = dicts(conn, "SHOW REPLICA STATUS")[0]
        assert (told["Replica_IO_Running"], told["Replica_SQL_Running"], told["Seconds_Behind_Source"]) == (
            "Yes",
            "Yes",
            0,
        )
        check = _check(pair, "replication_lag")
        assert check.status == "failed"
        assert "within 1 s, but did not" in check.evidence
    finally:
        servers.link(pair.blue, "none", "replication")
    wait_until(lambda: _check(pair, "replication_lag").status == "ok", 30, "the link to be mended")


def test_an_event_writes_on_behind_locks_and_read_only(servers: Servers, pair: Pair) -> None:
    """What the guardrail is about: the same event of a definer without the right writes nothing."""
    run(
        pair.blue,
        "CREATE USER clerk IDENTIFIED BY 'a'",
        "GRANT ALL ON shop.* TO clerk",
        "CREATE TABLE shop.seen (who char(9))",
    )
    for who, definer in (("admin", "CURRENT_USER"), ("clerk", "clerk")):
        run(
            pair.blue,
            f"CREATE DEFINER = {definer} EVENT shop.{who} ON SCHEDULE EVERY 1 SECOND DO INSERT INTO shop.seen VALUES ('{who}')",
        )
    servers.set(pair.blue, event_scheduler="ON")
    wait_until(lambda: len(run(pair.blue, "SELECT DISTINCT who FROM shop.seen")) == 2, 20, "both events to write")
    check = _check(pair, "blue_privileged_events")
    assert check.status == "failed"
    assert "`shop`.`admin`" in check.evidence and "`shop`.`clerk`" not in check.evidence
    run(pair.blue, "CALL mysql.rds_set_read_only(1)")
    try:
        with connected(pair.blue) as conn:
            locks.lock(conn, "another-one", locks.client_accounts(conn))
        run(pair.blue, "DELETE FROM shop.seen")
        time.sleep(2.5)
        assert run(pair.blue, "SELECT DISTINCT who FROM shop.seen") == (run(pair.blue, "SELECT 'admin'"))
    finally:
        run(pair.blue, "CALL mysql.rds_set_read_only(0)", "DROP EVENT shop.admin", "DROP EVENT shop.clerk")
        with connected(pair.blue) as conn:
            locks.unlock(conn, "another-one")
        servers.set(pair.blue, event_scheduler="OFF")


def test_what_green_has_not_read_is_purged_and_told_as_that(servers: Servers, pair: Pair) -> None:
    """The last one: this green cannot follow any more."""
    with connected(pair.green) as conn:
        service_of(conn, Dialect.of(conn)).stop()
    with connected(pair.blue) as conn:
        rows(conn, "INSERT INTO shop.orders VALUES ()")
        rows(conn, "FLUSH BINARY LOGS")
        last = [row[0] for row in rows(conn, "SHOW BINARY LOGS")][-1]
    servers.as_service(pair.blue, f"PURGE BINARY LOGS TO '{last}'")
    check = _check(pair, "blue_log_left")
    assert check.status == "failed"
    assert "has purged transactions that the other side does not have" in check.evidence
    assert "clone anew" in check.remedy
    with connected(pair.green) as conn, pytest.raises(BlueGreenError, match="replication says"):
        service_of(conn, Dialect.of(conn)).start()
    wait_until(
        lambda: "1236" in _check(pair, "replication").evidence or "13114" in _check(pair, "replication").evidence,
        30,
        "the error",
    )
    assert "clone again" in _check(pair, "replication").remedy


def _check(pair: Pair, name: str) -> Check:
    return {check.id: check for check in guardrails.move_checks(pair.blue, pair.green, NAMES)}[name]
