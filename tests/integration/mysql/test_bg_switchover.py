# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The switchover between real MySQL servers: what a client may do meanwhile, and how it fails."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import pymysql
import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.connection import (
    as_user,
    connect,
    execute,
    value,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.side import MySQLSide
from tests.integration.conftest import ModuleFailed
from tests.integration.mysql.conftest import Servers, everything, hold, run
from tests.integration.mysql.deployed import Deployment, deploy, notes, writers


@pytest.fixture(scope="module")
def quick_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Servers whose procedures do not sleep: none of them is called inside the window."""
    started = Servers(tmp_path_factory.mktemp("mysql"), sleeps=False)
    yield started
    started.close()


@pytest.fixture(scope="module")
def by_gtid(quick_servers: Servers) -> Deployment:
    """Replication by GTIDs; every test leaves blue serving."""
    return deploy(quick_servers)


@pytest.fixture(scope="module")
def by_position(quick_servers: Servers) -> Deployment:
    """Replication by file and offset; every test leaves blue serving."""
    return deploy(quick_servers, gtid=False)


@pytest.fixture
def home(by_gtid: Deployment) -> Iterator[Deployment]:
    """The deployment with GTIDs, brought home after the test."""
    yield by_gtid
    by_gtid.move("rolled_back")


def assert_serves(deployment: Deployment, side: str) -> None:
    """Clients can write on one side only, and what they write arrives on the other one."""
    other = {"blue": "green", "green": "blue"}[side]
    note = f"{side}-{time.monotonic_ns()}"
    with closing(connect(deployment.as_app(side))) as conn:
        execute(conn, "INSERT INTO orders (note) VALUES (%s)", (note,))
    with pytest.raises(BlueGreenError, match="error 3118"):
        connect(deployment.as_app(other))
    end = time.monotonic() + 10
    while note not in notes(deployment.side(other)):
        assert time.monotonic() < end, f"{side} serves, but is not replicated to the other side"
        time.sleep(0.05)


def assert_kept(acknowledged: list[str], deployment: Deployment, side: str) -> None:
    """Every acknowledged write is there once."""
    found = Counter(notes(deployment.side(side)))
    assert len(acknowledged) > 10
    assert [note for note in acknowledged if found[note] != 1] == []


@contextmanager
def before(monkeypatch: pytest.MonkeyPatch, step: str, effect: Callable[[], object]) -> Iterator[None]:
    """Something happens in the window, once, just before a step of a side."""
    original, done = getattr(MySQLSide, step), list[str]()

    def patched(self: MySQLSide, *arguments: Any) -> Any:
        if not done:
            done.append(step)
            effect()
        return original(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(MySQLSide, step, patched)
        yield
    assert done


def test_check_mode_predicts_and_changes_nothing(by_gtid: Deployment) -> None:
    found = everything(by_gtid.blue, by_gtid.green)
    result = by_gtid.run_module(check=True, diff=True)
    assert result["changed"]
    assert {"fence blue", "open green for writes", "start replication green -> blue"} <= set(result["actions"])
    assert result["diff"]["before"] == result["diff"]["after"]
    assert everything(by_gtid.blue, by_gtid.green) == found


@pytest.mark.parametrize("mode", ["by_gtid", "by_position"])
def test_there_and_back_and_there_again_loses_nothing(mode: str, request: pytest.FixtureRequest) -> None:
    deployment: Deployment = request.getfixturevalue(mode)
    with writers(deployment) as clients:
        time.sleep(0.3)
        there = deployment.run_module()
        assert (there["outcome"], there["serving"], there["changed"]) == ("switched_over", "green", True)
        assert there["replication"] == {"running": True, "direction": "reverse"}
        assert there["window_ms"] > 0
        again = deployment.run_module()
        assert (again["changed"], again["window_ms"]) == (False, None)
        deployment.move("rolled_back")
        deployment.move("switched_over")
        back = deployment.run_module(state="rolled_back")
        assert (back["outcome"], back["serving"]) == ("rolled_back", "blue")
        assert deployment.run_module(state="rolled_back")["changed"] is False
    assert_kept(clients.acknowledged, deployment, "blue")
    assert_serves(deployment, "blue")


def test_a_transaction_in_flight_is_ended_and_its_session_with_it(home: Deployment) -> None:
    with closing(hold(home.as_app("blue"), "INSERT INTO orders (note) VALUES ('in-flight')")) as conn:
        home.move()
        with pytest.raises(pymysql.MySQLError):
            conn.commit()
    assert "in-flight" not in notes(home.green) + notes(home.blue)


def test_a_statement_that_runs_long_keeps_the_fence_down_and_nothing_changes(by_gtid: Deployment) -> None:
    found = everything(by_gtid.blue)
    with closing(connect(by_gtid.as_app("blue"))) as conn:
        statement = "INSERT INTO orders (note) SELECT CONCAT('slow-', SLEEP(8))"
        runner = threading.Thread(target=lambda: _suppressed(conn, statement))
        runner.start()
        time.sleep(0.2)
        with pytest.raises(BlueGreenError, match=r"blue serves, nothing is lost.*kept it from that.*shop_app from"):
            by_gtid.move(timeout=5)
        with closing(connect(by_gtid.as_app("blue"))) as other:
            execute(other, "INSERT INTO orders (note) VALUES ('beside it')")
        runner.join()
        assert value(conn, "SELECT COUNT(*) FROM orders WHERE note = 'slow-0'") == 1, "its session was left alone"
    assert everything(by_gtid.blue) == found


def _suppressed(conn: Any, statement: str) -> None:
    with suppress(pymysql.MySQLError):
        execute(conn, statement)


def test_a_stalled_link_is_refused_in_time_and_blue_goes_on(by_gtid: Deployment) -> None:
    by_gtid.servers.link(by_gtid.blue, "stall", "replication")
    try:
        with writers(by_gtid) as clients:
            time.sleep(0.3)
            began = time.monotonic()
            with pytest.raises(ModuleFailed, match=r"green should (apply|have applied) .* within") as failed:
                by_gtid.run_module(max_lag=1)
            assert time.monotonic() - began < 30
            assert failed.value.result["window_ms"] is None
    finally:
        by_gtid.servers.link(by_gtid.blue, "none", "replication")
    assert_kept(clients.acknowledged, by_gtid, "blue")
    assert_serves(by_gtid, "blue")


@pytest.mark.parametrize("fault", ["stalled", "killed"])
def test_green_that_goes_away_in_the_window_gives_the_writes_back(
    by_gtid: Deployment, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    servers = by_gtid.servers
    effects = {
        "stalled": lambda: servers.link(by_gtid.green, "stall", "client"),
        "killed": lambda: servers.stop(by_gtid.green, crash=True),
    }
    try:
        with (
            writers(by_gtid) as clients,
            before(monkeypatch, "drain", effects[fault]),
            pytest.raises(BlueGreenError, match="blue serves, nothing is lost"),
        ):
            time.sleep(0.3)
            by_gtid.move(timeout=1.5)
        with closing(connect(by_gtid.as_app("blue"))) as conn:
            execute(conn, "INSERT INTO orders (note) VALUES ('served without green')")
    finally:
        if fault == "stalled":
            servers.link(by_gtid.green, "none", "client")
        else:
            servers.start(by_gtid.green)
    by_gtid.move("rolled_back")  # what was left over for lack of green
    assert_kept(clients.acknowledged, by_gtid, "blue")
    assert_serves(by_gtid, "blue")


def test_blue_that_fails_over_in_the_window_serves_again(by_gtid: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail_over() -> None:
        by_gtid.servers.stop(by_gtid.blue, crash=True)
        by_gtid.servers.start(by_gtid.blue)

    with (
        writers(by_gtid) as clients,
        before(monkeypatch, "drain", fail_over),
        pytest.raises(BlueGreenError, match="blue serves, nothing is lost"),
    ):
        time.sleep(0.3)
        by_gtid.move(timeout=10)
    by_gtid.connect_again("green")
    assert_kept(clients.acknowledged, by_gtid, "blue")
    assert_serves(by_gtid, "blue")


def test_an_account_made_after_the_preparation_is_locked_on_blue_and_works_on_green(
    home: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements = (
        "CREATE USER late@'%' IDENTIFIED BY 'late-password-1'",
        "GRANT SELECT ON shop.orders TO late@'%'",
    )
    with before(monkeypatch, "fence", lambda: run(home.blue, *statements)):
        timeline = home.move()
    assert any("accounts carried over once more" in entry["event"] for entry in timeline.as_list())
    late = "late", "late-password-1"
    with closing(connect(as_user(home.green, *late))) as conn:
        assert value(conn, "SELECT COUNT(*) FROM shop.orders") is not None
    with pytest.raises(BlueGreenError, match="error 3118"):
        connect(as_user(home.blue, *late))


def test_a_privileged_session_that_writes_through_the_fence_gives_the_writes_back(
    by_gtid: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = MySQLSide._wait

    def waited(self: MySQLSide, *arguments: Any) -> None:
        original(self, *arguments)
        run(by_gtid.blue, "INSERT INTO shop.orders (note) VALUES ('through the fence')")

    with (
        monkeypatch.context() as patch,
        before(monkeypatch, "fence", lambda: patch.setattr(MySQLSide, "_wait", waited)),
        pytest.raises(BlueGreenError, match=r"blue serves, nothing is lost.*its log still moves"),
    ):
        by_gtid.move(timeout=5)
    assert_serves(by_gtid, "blue")


def test_a_prepared_transaction_gives_the_writes_back(by_gtid: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    def prepare() -> None:
        with closing(connect(by_gtid.as_app("blue"))) as conn:
            for statement in (
                "XA START 'left'",
                "INSERT INTO orders (note) VALUES ('prepared')",
                "XA END 'left'",
                "XA PREPARE 'left'",
            ):
                execute(conn, statement)

    try:
        with (
            before(monkeypatch, "fence", prepare),
            pytest.raises(BlueGreenError, match=r"blue serves, nothing is lost.*'left'.*XA COMMIT or XA ROLLBACK"),
        ):
            by_gtid.move()
    finally:
        run(by_gtid.blue, "XA ROLLBACK 'left'")
    assert_serves(by_gtid, "blue")


# Where a run dies: the call before which it does, and the how manieth of it.
KILLED_AT = {
    "the reverse is on record, but not configured": ("side_channel.Inbound.configure", 1),
    "the fence is on record and blue read-only": ("locks.lock", 1),
    "the accounts are locked, their sessions there": ("side.end_sessions", 2),
    "green's position is committed": ("side.MySQLSide.open", 1),
    "green is let go by read_only, its accounts locked": ("locks.unlock", 1),
    "green is open, its fence on record": ("locks.forget_fence", 1),
    "green is open, the forward replication there": ("side_channel.Inbound.remove", 1),
    "the reverse is armed, the forward replication gone": ("side.MySQLSide.start", 1),
    "the reverse has its position": ("side_channel.Inbound.start", 1),
    "the reverse runs, but is on record as about to": ("side.Record.set", 3),
}


def test_a_run_that_is_killed_anywhere_is_finished_by_the_next_one(by_position: Deployment) -> None:
    with writers(by_position, 2) as clients:
        for number, (where, (name, count)) in enumerate(KILLED_AT.items()):
            state, serving, other = (
                ("rolled_back", "blue", "green") if number % 2 else ("switched_over", "green", "blue")
            )
            by_position.move_and_die(state, name, count)
            assert by_position.open_sides() != {"blue", "green"}, where
            by_position.move(state)
            assert by_position.open_sides() == {serving}, where
            assert by_position.follows(other), where
            time.sleep(0.2)
    assert_kept(clients.acknowledged, by_position, "blue")
    assert_serves(by_position, "blue")


@pytest.mark.parametrize("state", ["switched_over", "rolled_back"])
def test_a_fence_left_by_a_run_that_died_is_carried_on_or_taken_back(home: Deployment, state: str) -> None:
    home.move_and_die("switched_over", "side.MySQLSide.drain", 1)
    assert home.open_sides() == set()
    assert home.run_module(state=state)["serving"] == {"switched_over": "green", "rolled_back": "blue"}[state]


def test_a_transaction_of_greens_own_is_refused_before_the_window(by_gtid: Deployment) -> None:
    run(by_gtid.green, "INSERT INTO shop.orders (note) VALUES ('errant')")
    uuid = run(by_gtid.green, "SELECT @@server_uuid")[0][0]
    number = (
        run(by_gtid.green, "SELECT @@GLOBAL.gtid_executed")[0][0].partition(uuid + ":")[2].split(",")[0].split("-")[-1]
    )
    try:
        with pytest.raises(ModuleFailed, match=f"{uuid}:") as failed:
            by_gtid.run_module()
        assert (failed.value.result["outcome"], failed.value.result["window_ms"]) == ("refused", None)
        assert by_gtid.open_sides() == {"blue"}
    finally:
        by_gtid.servers.as_service(by_gtid.green, "DELETE FROM shop.orders WHERE note = 'errant'")
        by_gtid.servers.as_service(by_gtid.blue, f"SET gtid_next = '{uuid}:{number}'", "BEGIN", "COMMIT")
