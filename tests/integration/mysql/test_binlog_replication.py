# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Binary log replication of a clone: the recipe end to end, its refusals, and its traps, on real servers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import pymysql
import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.endpoint import Endpoint
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError, WaitTimeout
from ansible_collections.bluegreen.aws.plugins.module_utils._core.journal import Journal
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql import canary, guardrails, locks, record
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.connection import connect, connected, unlogged
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.coordinates import Coordinates
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.prepare import PREPARED_AT
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.replication_user import Login
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.status import STARTED, observe
from tests.integration.conftest import ModuleFailed, RunModule
from tests.integration.mysql.conftest import Servers, application, everything, login, run
from tests.integration.mysql.replication import (
    TABLES,
    Writers,
    canaries,
    killed_at_every_statement,
    replicated,
    step,
    told,
)
from tests.lab.tools import wait_until

NAMES = Names.of("my-test")
USER = NAMES.replication_user
MODULE = "binlog_replication"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Servers whose procedures do not take the seconds that they take on AWS: here they are called too often."""
    started = Servers(tmp_path_factory.mktemp("mysql"), sleeps=False)
    yield started
    started.close()


@pytest.fixture(scope="module")
def blue(servers: Servers) -> Iterator[Endpoint]:
    """A blue without GTIDs for the tests that leave it as it was."""
    endpoint = servers.blue(gtid=False)
    run(endpoint, *TABLES, "INSERT INTO shop.ledger (writer, n) VALUES (1, 1)")
    yield endpoint
    servers.remove(endpoint)


@pytest.fixture(scope="module")
def app(blue: Endpoint) -> Endpoint:
    """The account of an application on it."""
    return application(blue)


@pytest.fixture
def clean(blue: Endpoint, app: Endpoint) -> Iterator[Endpoint]:
    """The same blue, with nothing of the deployment left after the test."""
    yield blue
    step("absent", NAMES, blue)


@pytest.fixture
def clone(servers: Servers, clean: Endpoint) -> Iterator[Endpoint]:
    """A clone of it that was made while canaries were written, removed after the test."""
    step("prepared", NAMES, clean)
    with canaries(clean, NAMES):
        green = servers.clone(clean)
    yield green
    servers.remove(green)


def kept(endpoint: Endpoint, table: str = "ledger") -> list[tuple[int, int]]:
    return sorted((row[0], row[1]) for row in run(endpoint, f"SELECT writer, n FROM shop.`{table}`"))


@pytest.mark.parametrize("gtid", [True, False], ids=["by GTIDs", "from the position"])
def test_a_clone_upgraded_under_load_follows_without_losing_or_doubling_a_write(servers: Servers, gtid: bool) -> None:
    blue = servers.blue(gtid=gtid)
    run(blue, *TABLES)
    with Writers(application(blue)) as writers:
        time.sleep(0.3)
        pair = replicated(servers, blue, "my-load", upgrade=True)
        time.sleep(0.3)
    _journal, result = step("running", pair.names, blue, pair.green, max_lag=5)
    assert len(writers.acknowledged) > 100
    for table in ("ledger", "Order Events"):  # the second one has no key that would refuse a row that comes twice
        found = kept(pair.green, table)
        assert len(found) == len(set(found))
        assert writers.acknowledged <= set(found)
        assert found == kept(blue, table)
    replication = result["replication"]
    assert (replication["running"], replication["direction"], replication["error"]) == (True, "forward", None)
    assert replication["mode"] == ("gtid" if gtid else "position")
    assert replication["lag"]["bytes"] == 0 and 0 < replication["lag"]["seconds"] < 5
    assert (replication["lag"]["transactions"], replication["errant"]) == ((0, "") if gtid else (None, None))
    servers.remove(blue, pair.green)


def test_check_mode_predicts_what_is_done_a_second_run_does_nothing_and_absent_leaves_nothing(
    servers: Servers, clean: Endpoint
) -> None:
    at_first = everything(clean)
    green: Endpoint | None = None
    event = None
    for state in ("prepared", "positioned", "running", "stopped", "running", "absent"):
        if state == "positioned":
            green = servers.clone(clean)
            event = told(servers, green)
        sides = [clean, green] if green else [clean]
        before = everything(*sides)
        predicted, foreseen = step(state, NAMES, clean, green, told=event, journal=Journal(check_mode=True))
        assert everything(*sides) == before
        done, result = step(state, NAMES, clean, green, told=event)
        assert done.actions and predicted.actions == done.actions
        if state != "absent":
            foreseen["after"]["green"]["position"] = result["after"]["green"]["position"]  # not known yet
            assert foreseen["after"] == result["after"]
        again, _result = step(state, NAMES, clean, green, told=event)
        assert again.actions == []
    assert green is not None
    assert everything(clean) == at_first
    left = everything(green)
    assert USER not in left and left.count("bluegreen.") == left.count("bluegreen.fence") == 1
    assert done.actions[-1] == "drop what is in schema bluegreen on green, the accounts of its fence stay locked"
    assert run(green, "SELECT account_locked FROM mysql.user WHERE user = 'shop_app'") == [("Y",)]
    servers.remove(green)


def test_killed_after_any_statement_it_is_completed_by_running_it_again(servers: Servers) -> None:
    blue = servers.blue(gtid=False)
    run(blue, *TABLES, "INSERT INTO shop.ledger (writer, n) VALUES (1, 1)")
    application(blue)
    before = everything(blue)
    green: Endpoint | None = None
    event, kills = None, 0
    for state in ("prepared", "positioned", "running", "absent"):
        if state == "positioned":
            green = servers.clone(blue)
            event = told(servers, green)
            run(blue, "INSERT INTO shop.ledger (writer, n) VALUES (1, 2)")
        kills += killed_at_every_statement(partial(step, state, NAMES, blue, green, told=event))
        again, _result = step(state, NAMES, blue, green, told=event)
        assert again.actions == []
        if state == "running":
            assert green is not None
            assert kept(green) == [(1, 1), (1, 2)]
    assert kills >= 30
    assert everything(blue) == before
    assert green is not None
    servers.remove(blue, green)


def test_a_position_that_is_not_the_clones_is_refused_and_nothing_is_changed(
    servers: Servers, clean: Endpoint, clone: Endpoint
) -> None:
    file, offset = servers.position(clone)
    run(clean, "INSERT INTO shop.ledger (writer, n) VALUES (1, 3)")
    (end,) = run(clean, "SHOW BINARY LOG STATUS")
    before = everything(clean, clone)
    for wrong, sentence in {
        f"{file} 4": "as the rows in it show, but the event says",
        f"{end[0]} {end[1]}": "as the rows in it show, but the event says",
        f"{file} {offset - 1}": "in the middle of a transaction|cannot be read from there",
        f"{file} {offset + 10_000_000}": "the position is not one of this blue's",
        "mysql-bin-changelog.000999 4": "Blue's binary log should still have the file of green's position",
        "nonsense": "must look like mysql-bin-changelog.000003:99358949",
    }.items():
        with pytest.raises(BlueGreenError, match=sentence):
            step("positioned", NAMES, clean, clone, told=wrong)
    with pytest.raises(BlueGreenError, match="there is no such event"):
        step("positioned", NAMES, clean, clone)
    with pytest.raises(BlueGreenError, match="gtid=required, but gtid_mode is OFF on blue and OFF on green"):
        step("positioned", NAMES, clean, clone, told=f"{file} {offset}", gtid="required")
    assert everything(clean, clone) == before


def test_a_committed_position_is_never_replaced_and_holds_after_a_restart(
    servers: Servers, clean: Endpoint, clone: Endpoint
) -> None:
    event = told(servers, clone)
    _journal, result = step("positioned", NAMES, clean, clone, told=event)
    recorded = result["replication"]["position"]
    assert (recorded, result["checked"]) == (event.replace(" ", ":"), "canary")
    servers.stop(clone)
    servers.start(clone)
    later = servers.messages[clone.host][-1].rpartition(" is ")[2]
    assert later.replace(" ", ":") != recorded
    journal, result = step("positioned", NAMES, clean, clone, told=later)
    assert (journal.actions, result["replication"]["position"]) == ([], recorded)
    with pytest.raises(BlueGreenError, match=r"on record as .* but the option position says"):
        step("positioned", NAMES, clean, clone, position=later)


def test_without_a_canary_the_position_is_checked_by_bounds_and_a_doubtful_one_is_refused(
    servers: Servers, clean: Endpoint
) -> None:
    step("prepared", NAMES, clean)
    green = servers.clone(clean)
    _journal, result = step("positioned", NAMES, clean, green, told=told(servers, green), journal=Journal(True))
    assert result["checked"] == "bounds"
    with pytest.raises(
        BlueGreenError, match=r"older than 2\.10 and may report a wrong position .* checked by a canary"
    ):
        step("positioned", NAMES, clean, green, told=told(servers, green), version="5.7.mysql_aurora.2.09.3")
    servers.remove(green)


def test_on_a_way_back_the_position_is_one_of_the_younger_servers_log(servers: Servers) -> None:
    """Production that served before follows its successor: its own log, and what was noted of it, are no bounds."""
    old = servers.blue(gtid=False)
    run(old, *TABLES)
    step("prepared", NAMES, old)
    run(old, "INSERT INTO shop.ledger (writer, n) VALUES (1, 1)")
    new = servers.clone(old)
    with connected(
        old
    ) as conn:  # as where the files of the two logs have numbers that have nothing to do with each other
        record.note(conn, NAMES.deployment_id, PREPARED_AT, "mysql-bin-changelog.000999:4")
    opened = run(new, "SHOW BINARY LOG STATUS")[0]
    run(new, "INSERT INTO shop.ledger (writer, n) VALUES (1, 2)")
    blue, green = replace(new, side="blue"), replace(old, side="green")
    before = everything(old, new)
    refused = {
        None: "give what the service's event 'Binary log coordinates in green environment after switchover' says",
        f"{run(new, 'SHOW BINARY LOGS')[0][0]}:4": r"nothing that green wrote itself, but at .*, so the position is too early",
    }
    for position, words in refused.items():
        with pytest.raises(BlueGreenError, match=words):
            step("positioned", NAMES, blue, green, position=position)
    assert everything(old, new) == before

    _journal, result = step("positioned", NAMES, blue, green, position=f"{opened[0]}:{opened[1]}")
    step("running", NAMES, blue, green)

    run(new, "INSERT INTO shop.ledger (writer, n) VALUES (1, 3)")
    wait_until(lambda: kept(old) == [(1, 1), (1, 2), (1, 3)], 10, "what the younger one wrote to be on the older one")
    checks = {check.id: check.status for check in guardrails.switchover_checks(blue, green, NAMES)}
    assert (result["checked"], checks["errant_transactions"]) == ("bounds", "ok")
    servers.remove(old, new)


def test_only_a_clone_of_this_blue_made_after_it_was_prepared_is_accepted(servers: Servers, clean: Endpoint) -> None:
    early = servers.clone(clean)
    step("prepared", NAMES, clean)
    with pytest.raises(BlueGreenError, match="shows that it was cloned from this blue after state=prepared"):
        step("positioned", NAMES, clean, early, told=told(servers, early))
    with pytest.raises(BlueGreenError, match="run binlog_replication with state=positioned first"):
        step("running", NAMES, clean, early)
    servers.remove(early)


def test_green_is_closed_but_for_the_accounts_that_were_to_stay(
    clean: Endpoint, clone: Endpoint, servers: Servers, app: Endpoint
) -> None:
    session = connect(replace(app, host=clone.host))
    event = told(servers, clone)
    step("positioned", NAMES, clean, clone, told=event)
    with pytest.raises(BlueGreenError, match="Account is locked"):
        connect(replace(app, host=clone.host))
    with pytest.raises(pymysql.MySQLError):  # it was there before the lock
        session.ping(reconnect=False)
    assert run(clean, "SELECT account_locked FROM mysql.user WHERE user = 'shop_app'") == [("N",)]
    journal, _result = step("positioned", NAMES, clean, clone, told=event, unlocked_accounts=["shop_app"])
    assert journal.actions == ["unlock 'shop_app'@'%' on green"]
    connect(replace(app, host=clone.host)).close()
    state = observe(clean, clone, NAMES)
    assert (state.serving, state.green is not None and state.green.closed) == ("blue", True)


def test_a_prepared_xa_transaction_of_the_clone_waits_for_what_blue_decides(servers: Servers, clean: Endpoint) -> None:
    step("prepared", NAMES, clean)
    run(
        clean,
        "XA START 'between'",
        "INSERT INTO shop.ledger (writer, n) VALUES (5, 5)",
        "XA END 'between'",
        "XA PREPARE 'between'",
    )
    with canaries(clean, NAMES):
        green = servers.clone(clean)
    step("positioned", NAMES, clean, green, told=told(servers, green))
    step("running", NAMES, clean, green)
    assert [row[3] for row in run(green, "XA RECOVER")] == ["between"]
    run(clean, "XA COMMIT 'between'")
    step("running", NAMES, clean, green)
    assert (5, 5) in kept(green) and kept(green) == kept(clean)
    assert run(green, "XA RECOVER") == []
    servers.remove(green)


def test_an_error_of_the_replica_is_told_with_its_remedy_and_is_not_skipped(servers: Servers, clean: Endpoint) -> None:
    pair = replicated(servers, clean, NAMES.deployment_id)
    (last,) = run(clean, "SELECT MAX(id) FROM shop.ledger")
    with connected(pair.green) as conn, unlogged(conn):
        conn.cursor().execute(f"INSERT INTO shop.ledger (id, writer, n) VALUES ({last[0] + 1}, 0, 0)")
    run(clean, "INSERT INTO shop.ledger (writer, n) VALUES (1, 7)")
    with pytest.raises(
        BlueGreenError, match=r"Duplicate entry .* its position was wrong or something was written on green"
    ):
        step("running", NAMES, clean, pair.green, wait_timeout=10)
    assert (1, 7) not in kept(pair.green)
    run(pair.green, "SET sql_log_bin = 0", "DELETE FROM shop.ledger WHERE writer = 0")
    step("running", NAMES, clean, pair.green)
    assert kept(pair.green) == kept(clean)

    with connected(clean) as conn, unlogged(conn):  # somebody has changed the password
        conn.cursor().execute(f"ALTER USER '{USER}'@'%' IDENTIFIED BY 'Another-Pw-1'")
    step("stopped", NAMES, clean, pair.green)
    with pytest.raises(BlueGreenError, match="run state=running again, which renews the login"):
        step("running", NAMES, clean, pair.green, wait_timeout=20)
    run(clean, "INSERT INTO shop.ledger (writer, n) VALUES (1, 8)")
    journal, _result = step("running", NAMES, clean, pair.green)
    assert journal.actions == ["renew the login of replication on green", "start replication on green"]
    assert kept(pair.green) == kept(clean)

    servers.link(clean, "cut", "replication")
    try:
        with pytest.raises(WaitTimeout, match=r"Waited 2 s for replication to run, but found: .*error 20"):
            step("running", NAMES, clean, pair.green, wait_timeout=2)
    finally:
        servers.link(clean, "none")

    step("stopped", NAMES, clean, pair.green)
    servers.as_service(clean, "FLUSH BINARY LOGS", "FLUSH BINARY LOGS")
    (end,) = run(clean, "SHOW BINARY LOG STATUS")
    servers.as_service(clean, f"PURGE BINARY LOGS TO '{end[0]}'")
    with pytest.raises(BlueGreenError, match="the source no longer has, or never had, the log at that place"):
        step("running", NAMES, clean, pair.green, wait_timeout=20)
    servers.remove(pair.green)


def test_a_position_is_not_applied_twice_when_the_channel_is_gone(
    servers: Servers, clean: Endpoint, clone: Endpoint
) -> None:
    step("positioned", NAMES, clean, clone, told=told(servers, clone))
    with connected(clone) as conn:
        record.note(conn, NAMES.deployment_id, STARTED, "yes")
    with pytest.raises(BlueGreenError, match="applying it again would write everything twice"):
        step("running", NAMES, clean, clone)


def test_replication_that_a_clone_carried_along_is_reset_and_refused_when_it_runs(
    servers: Servers, clean: Endpoint
) -> None:
    step("prepared", NAMES, clean)
    run(
        clean,
        "CALL mysql.rds_set_external_source('127.0.0.1', 1, 'upstream', 'none', 'mysql-bin-changelog.000001', 4, 0)",
    )
    try:
        green = servers.clone(clean)
    finally:
        run(clean, "CALL mysql.rds_reset_external_source()")
    event = told(servers, green)
    journal, _result = step("positioned", NAMES, clean, green, told=event)
    assert "reset copied replication from 127.0.0.1:1 on green" in journal.actions
    assert run(green, "SHOW REPLICA STATUS") == []
    servers.remove(green)


def test_after_a_switchover_no_state_changes_anything(servers: Servers, clean: Endpoint) -> None:
    pair = replicated(servers, clean, NAMES.deployment_id)
    with connected(clean) as conn, connected(pair.green) as other:
        locks.lock(conn, NAMES.deployment_id, locks.client_accounts(conn, users=[USER]))
        record.commit(other, NAMES.deployment_id, opened_green=Coordinates("mysql-bin-changelog.000002", 4))
        locks.unlock(other, NAMES.deployment_id)
    before = everything(clean, pair.green)
    for state in ("prepared", "positioned", "running", "stopped"):
        journal, result = step(state, NAMES, clean, pair.green)
        assert (journal.actions, result["serving"]) == ([], "green")
        assert result["msg"] == f"The traffic has moved to green already, so there is nothing to do for state={state}."
    assert everything(clean, pair.green) == before
    with connected(clean) as conn:
        locks.unlock(conn, NAMES.deployment_id)
    servers.remove(pair.green)


def test_a_user_that_was_there_is_used_as_it_is_and_stays(clean: Endpoint) -> None:
    password = "Somebodys-Pw-1"
    run(clean, "CREATE USER shop_copy IDENTIFIED BY 'Somebodys-Pw-1'")
    mine = Login("shop_copy", given=True)
    try:
        with pytest.raises(BlueGreenError, match="exists on blue already and was not made by this deployment"):
            step("prepared", NAMES, clean, login=mine)
        with pytest.raises(BlueGreenError, match=r"GRANT REPLICATION SLAVE ON"):
            step("prepared", NAMES, clean, login=replace(mine, password=password))
        run(clean, "GRANT REPLICATION SLAVE ON *.* TO shop_copy")
        before = everything(clean)
        step("prepared", NAMES, clean, login=replace(mine, password=password))
        step("absent", NAMES, clean)
        assert everything(clean) == before
    finally:
        run(clean, "DROP USER shop_copy")


def test_the_last_deployment_gives_back_the_retention_that_was_there_first(clean: Endpoint) -> None:
    def retention() -> object:
        return run(clean, "SELECT value FROM mysql.rds_configuration WHERE name = 'binlog retention hours'")[0][0]

    other = Names.of("my-other")
    run(clean, "CALL mysql.rds_set_configuration('binlog retention hours', 24)")
    try:
        step("prepared", NAMES, clean)
        step("prepared", other, clean, login=Login(other.replication_user), binlog_retention_hours=24)
        assert retention() == "72"
        step("absent", NAMES, clean)
        assert retention() == "72"
        step("absent", other, clean)
        assert retention() == "24"
    finally:
        run(clean, "CALL mysql.rds_set_configuration('binlog retention hours', NULL)")


def test_a_blue_without_a_log_of_rows_is_refused_in_one_sentence(
    servers: Servers, clean: Endpoint, run_module: RunModule
) -> None:
    blue = servers.blue(gtid=False, binlog_format="OFF")
    before = everything(blue)
    with pytest.raises(ModuleFailed) as refused:
        run_module(MODULE, state="prepared", deployment_id="my-test", blue=login(blue))
    assert everything(blue) == before
    assert refused.value.msg == (
        "Not ready for the clone, nothing was changed: blue should write a binary log of rows, but its log is off (set "
        "binlog_format to ROW in blue's DB cluster parameter group, one of its own and not a default one, and reboot the writer)."
    )
    assert (refused.value.result["changed"], refused.value.result["actions"]) == (False, [])
    servers.remove(blue)
    servers.as_service(clean, "SET GLOBAL binlog_format = 'STATEMENT'")
    try:
        with pytest.raises(BlueGreenError, match="but binlog_format is STATEMENT"):
            step("prepared", NAMES, clean)
    finally:
        servers.as_service(clean, "SET GLOBAL binlog_format = 'ROW'")
    with pytest.raises(ModuleFailed, match="gtid=required, but on blue gtid_mode is OFF"):
        run_module(MODULE, state="prepared", deployment_id="my-test", blue=login(clean), gtid="required")


def test_a_canary_outlives_a_crash_of_blue_and_a_second_one_takes_its_place(servers: Servers, clean: Endpoint) -> None:
    def rows() -> int:
        return int(run(clean, "SELECT COUNT(*) FROM bluegreen.canary")[0][0])

    step("prepared", NAMES, clean)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(canary.write, clean, NAMES.deployment_id, duration=120.0, interval=0.05)
        wait_until(lambda: rows() > 3, 30, "canaries on blue")
        servers.stop(clean, crash=True)
        servers.start(clean)
        before = rows()
        wait_until(lambda: rows() > before + 3, 30, "canaries on blue after its crash")
        second = canary.write(clean, NAMES.deployment_id, duration=2.0, interval=0.05)
        assert second.rows > 3 and not second.ended
        assert first.result().ended


def test_no_secret_is_in_a_result(clean: Endpoint, run_module: RunModule) -> None:
    options = {"deployment_id": "my-test", "blue": login(clean), "replication_user": "shop_copy"}
    secret = "Given-Pw-4711"
    result = run_module(MODULE, state="prepared", replication_password=secret, **options)
    assert secret not in str(result)
    with pytest.raises(ModuleFailed) as refused:
        run_module(MODULE, state="prepared", **{**options, "blue": login(clean, password="Wrong-Pw-7781")})
    assert "No connection to blue" in refused.value.msg and "Access denied" in refused.value.msg
    assert "Wrong-Pw-7781" not in str(refused.value.result)
    with pytest.raises(ModuleFailed, match="replication_user must be 4 to 16 letters, digits and underscores"):
        run_module(MODULE, state="prepared", **{**options, "replication_user": "1st"})
    assert run_module(MODULE, state="absent", **options)["changed"]
