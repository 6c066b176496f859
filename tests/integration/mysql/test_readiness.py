# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guardrails of a switchover, on a pair that replicates: ready when all is well, and one sentence for what is not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.checks import Check
from ansible_collections.bluegreen.aws.plugins.module_utils._core.differences import ExpectedDifferences
from ansible_collections.bluegreen.aws.plugins.module_utils._core.endpoint import Endpoint
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql import accounts, server_rules
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.connection import connect, connected, rows
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.coordinates import Channel, channel
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.dialect import Dialect
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.guardrails import create_checks, move_checks
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.service import service_of
from tests.integration.mysql.conftest import Servers, everything, hold, run
from tests.integration.mysql.replication import replicated
from tests.lab.tools import wait_until

NAMES = Names.of("ready-test")
MENDS = {
    "blue_retention": "CALL mysql.rds_set_configuration('binlog retention hours', 24)",
    "blue_privileged_events": "ALTER EVENT `shop`.`tidy` DISABLE",
    "blue_long_transactions": "CALL mysql.rds_kill(",
    "green_running_events": "event_scheduler=OFF in its own DB cluster parameter group",
    "green_closed": "binlog_replication with state=positioned",
}


@dataclass(frozen=True)
class Pair:
    """Blue and a green that follows it."""

    servers: Servers
    blue: Endpoint
    green: Endpoint

    def checks(self, *expected: str) -> dict[str, Check]:
        """The guardrails by their names; nothing was changed by them."""
        declared = ExpectedDifferences.of([{"object": one} for one in expected])
        return {check.id: check for check in move_checks(self.blue, self.green, NAMES, declared)}

    def unlogged(self, side: Endpoint, *statements: str) -> None:
        """Statements of the admin that are in no binary log."""
        with connected(side) as conn:
            for statement in ("SET SESSION sql_log_bin = 0", *statements):
                rows(conn, statement)

    def start(self) -> None:
        """Start replication into green."""
        with connected(self.green) as conn:
            service_of(conn, Dialect.of(conn)).start()

    def stop(self) -> None:
        """Stop it."""
        with connected(self.green) as conn:
            service_of(conn, Dialect.of(conn)).stop()


def following(servers: Servers, *, gtid: bool) -> Pair:
    """A blue, and its clone that is closed and follows it."""
    blue = servers.blue(gtid=gtid)
    run(
        blue,
        "CREATE USER app IDENTIFIED BY 'application'",
        "GRANT ALL ON shop.* TO app",
        "CREATE TABLE shop.orders (id int PRIMARY KEY)",
        "INSERT INTO shop.orders VALUES (1)",
    )
    made = replicated(servers, blue, NAMES.deployment_id)
    return Pair(servers, made.blue, made.green)


@pytest.fixture(scope="module", name="pair")
def by_gtid(servers: Servers) -> Iterator[Pair]:
    """With GTIDs; every test leaves it as it was."""
    made = following(servers, gtid=True)
    yield made
    servers.remove(made.blue, made.green)


@pytest.fixture(scope="module")
def by_position(servers: Servers) -> Iterator[Pair]:
    """Without GTIDs."""
    made = following(servers, gtid=False)
    yield made
    servers.remove(made.blue, made.green)


def channel_of(endpoint: Endpoint) -> Channel:
    """The replication into a server."""
    with connected(endpoint) as conn:
        found = channel(conn, Dialect.of(conn))
    assert found is not None
    return found


def failed(checks: dict[str, Check]) -> set[str]:
    """The names of those that stop the switchover."""
    return {name for name, check in checks.items() if check.status == "failed"}


@pytest.mark.parametrize("mode", ["pair", "by_position"])
def test_all_is_well_and_nothing_is_changed(mode: str, request: pytest.FixtureRequest) -> None:
    pair: Pair = request.getfixturevalue(mode)
    before = everything(pair.blue, pair.green)
    checks = pair.checks()
    assert failed(checks) == set()
    assert {name for name, check in checks.items() if check.status == "warning"} <= {"way_back", "settings"}
    assert "had applied what the other side had written after" in checks["replication_lag"].evidence
    assert everything(pair.blue, pair.green) == before


def test_a_blue_that_feeds_this_deployment_is_fit_for_another_clone(pair: Pair) -> None:
    checks = {check.id: check for check in create_checks(pair.blue, None, NAMES)}
    assert checks["blue_binlog_readers"].status == "ok"  # our own user
    others = {check.id: check for check in create_checks(pair.blue, None, Names.of("other"))}
    assert NAMES.replication_user in others["blue_binlog_readers"].evidence
    assert {check.id: check for check in create_checks(pair.green, None, Names.of("other"))}[
        "blue_channels"
    ].status == "failed"


def test_replication_that_is_stopped_or_broken_is_told_with_what_to_do(pair: Pair) -> None:
    pair.stop()
    check = pair.checks()["replication"]
    assert (check.status, check.remedy) == ("failed", "binlog_replication with state=running")
    pair.unlogged(pair.green, "INSERT INTO shop.orders VALUES (2)")
    pair.start()
    run(pair.blue, "INSERT INTO shop.orders VALUES (2)")
    try:
        wait_until(lambda: not channel_of(pair.green).applier, 20, "the applier to stop")
        check = pair.checks()["replication"]
        assert check.status == "failed"
        assert "(error 1062)" in check.evidence
        assert "do not skip it" in check.remedy
        assert "replication_lag" not in pair.checks()  # never a lag of nothing
    finally:
        pair.unlogged(pair.green, "DELETE FROM shop.orders WHERE id = 2")
        pair.stop()
        pair.start()
    assert failed(pair.checks()) == set()


def test_what_is_wrong_is_told_at_once(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with its own remedy; afterwards all is well again."""
    monkeypatch.setattr(server_rules, "LONG", 0.5)
    servers, blue, green = pair.servers, pair.blue, pair.green
    run(blue, "CALL mysql.rds_set_configuration('binlog retention hours', NULL)")
    pair.unlogged(blue, "CREATE EVENT shop.tidy ON SCHEDULE EVERY 1 DAY DO DELETE FROM shop.orders WHERE id < 0")
    pair.unlogged(green, "CREATE EVENT shop.tidy ON SCHEDULE EVERY 1 DAY DO DELETE FROM shop.orders WHERE id < 0")
    pair.unlogged(green, "ALTER USER app ACCOUNT UNLOCK")
    servers.set(blue, event_scheduler="ON")
    servers.set(green, event_scheduler="ON", sql_mode="ANSI_QUOTES")
    with closing(hold(blue, "INSERT INTO shop.orders VALUES (-1)")), closing(connect(blue)) as idle:
        rows(idle, "SELECT SLEEP(1.2)")
        checks = pair.checks()
    try:
        assert failed(checks) == set(MENDS)
        assert [name for name, mend in MENDS.items() if mend not in checks[name].remedy] == []
        assert "'app'@'%'" in checks["green_closed"].evidence
        assert (checks["settings"].status, "sql_mode is ANSI_QUOTES" in checks["settings"].evidence) == (
            "warning",
            True,
        )
    finally:
        run(blue, "CALL mysql.rds_set_configuration('binlog retention hours', 72)")
        pair.unlogged(blue, "DROP EVENT shop.tidy")
        pair.unlogged(green, "DROP EVENT shop.tidy", "ALTER USER app ACCOUNT LOCK")
        mode = run(blue, "SELECT @@GLOBAL.sql_mode")[0][0]
        servers.set(green, event_scheduler="OFF", sql_mode=mode)
    assert failed(pair.checks()) == set()


def test_accounts_that_differ_are_told_with_who_brings_them_over(pair: Pair) -> None:
    run(pair.blue, "CREATE USER late IDENTIFIED BY 'a'", "ALTER USER app IDENTIFIED BY 'changed'")
    pair.unlogged(pair.green, "CREATE USER tester IDENTIFIED BY 'a' ACCOUNT LOCK")
    check = pair.checks()["accounts"]
    assert check.status == "warning"
    assert "'tester'@'%' is not on the side that serves" in check.evidence
    assert "brings over before its window: 'app'@'%' has another password, 'late'@'%' is missing" in check.evidence
    assert check.remedy.startswith("DROP USER 'tester'@'%'")
    assert pair.checks("mysql.tester@%")["accounts"].status == "ok"
    run(pair.blue, "DROP USER late")
    pair.unlogged(pair.green, "DROP USER tester")
    with connected(pair.blue) as source, connected(pair.green) as target:
        accounts.carry(source, target, NAMES.deployment_id)


@pytest.mark.parametrize("mode", ["pair", "by_position"])
def test_a_write_on_green_is_found_before_anything_moves(mode: str, request: pytest.FixtureRequest) -> None:
    """The last one: without GTIDs nothing takes it out of the binary log again."""
    pair: Pair = request.getfixturevalue(mode)
    run(pair.green, "CREATE TABLE shop.mine (id int PRIMARY KEY)")
    check = pair.checks()["errant_transactions"]
    assert check.status == "failed"
    pair.unlogged(pair.green, "DROP TABLE shop.mine")
    found = re.search(r"has ([0-9a-f-]{36}:\d+)", check.evidence)
    if found is None:
        assert "SHOW BINLOG EVENTS" in check.remedy
        return
    with connected(pair.blue) as conn:  # as the remedy says
        for statement in (f"SET gtid_next = '{found[1]}'", "BEGIN", "COMMIT", "SET gtid_next = 'AUTOMATIC'"):
            rows(conn, statement)
    assert failed(pair.checks()) == set()
