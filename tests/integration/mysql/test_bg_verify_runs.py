# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""bg_verify on MySQL without GTIDs: at one moment, under load, when it is interrupted, when something breaks while it runs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pymysql
import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.waiting import wait_until
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql import verify_cut, verify_moment, verify_table
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.connection import connect, execute, value
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.verify_link import Link
from tests.integration.conftest import ModuleFailed, RunModule
from tests.integration.mysql.conftest import hold, run
from tests.integration.mysql.proof import (
    KINDS,
    NAMES,
    ORDERS,
    SMALL,
    Pair,
    changed,
    load,
    on_green,
    options,
    proofs,
    unequal,
    verdict,
)
from tests.integration.runner import ROOT

GTID = False
RUNS = 3


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_table, "ROWS_PER_CHUNK", 500)


def test_faults_under_load_are_found_by_key_without_a_false_alarm(proof_pair: Pair) -> None:
    with load(proof_pair) as written:
        for _run in range(RUNS):
            assert unequal(proofs(proof_pair, **SMALL)) == {}
        with on_green(
            proof_pair,
            "UPDATE plain SET v = 'spoiled' WHERE id = 777",
            "DELETE FROM orders WHERE id = 4998",
            "INSERT INTO orders (id, customer) VALUES (20000000, 1)",
            "UPDATE by_index SET b = '' WHERE a = 1",
            "INSERT INTO keyless VALUES ('a ghost', 0)",
            undo=(
                "UPDATE plain SET v = 'row 777' WHERE id = 777",
                "INSERT INTO orders SELECT n, n % 997, n * 1.37, CONCAT('note of order ', n),"
                " '2024-01-01' + INTERVAL n SECOND FROM (SELECT 4998 AS n) AS g",
                "DELETE FROM orders WHERE id = 20000000",
                "UPDATE by_index SET b = NULL WHERE a = 1",
                "DELETE FROM keyless WHERE v = 'a ghost'",
            ),
        ):
            for _run in range(RUNS):
                found = unequal(proofs(proof_pair, **SMALL))
                assert found.pop("keyless")[0].endswith("0 times on blue, 1 times on green")
                assert found == {
                    "plain": ("id=777: not the same",),
                    "orders": ("id=20000000: only on green", "id=4998: only on blue"),
                    "by_index": ("a=1: not the same",),
                }
        assert min(written) > RUNS


def test_every_part_of_a_table_is_of_the_same_moment(proof_pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    read, written, sessions = verify_table.read_sum, threading.Event(), set()
    count = run(proof_pair.blue, "SELECT COUNT(*) FROM shop.orders")[0][0]
    assert count >= ORDERS

    def write_after_the_first_part(conn: Any, shape: Any, **more: Any) -> Any:
        found = read(conn, shape, **more)
        if shape.name[1] == "orders":
            sessions.add(value(conn, "SELECT CONCAT(@@server_uuid, CONNECTION_ID())"))
            if not written.is_set():
                written.set()
                run(proof_pair.blue, "INSERT INTO shop.orders (id, customer) VALUES (30000000, 1)")
        return found

    monkeypatch.setattr(verify_table, "read_sum", write_after_the_first_part)
    try:
        found = proofs(proof_pair, parallel=2)["orders"]
    finally:
        run(proof_pair.blue, "DELETE FROM shop.orders WHERE id = 30000000")
    assert (found.equal, found.blue_rows, found.green_rows) == (True, count, count)
    assert len(sessions) == 4


def test_where_sessions_cannot_have_one_snapshot_one_of_them_reads_alone(
    proof_pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, sessions = verify_table.read_sum, set()

    def watched(conn: Any, shape: Any, **more: Any) -> Any:
        if shape.name[1] == "orders":
            sessions.add(value(conn, "SELECT CONCAT(@@server_uuid, CONNECTION_ID())"))
        return read(conn, shape, **more)

    monkeypatch.setattr(verify_table, "read_sum", watched)
    monkeypatch.setattr(verify_moment, "untouched", lambda *_arguments: False)
    monkeypatch.setattr(Link, "ordered", lambda _link: False)
    assert unequal(proofs(proof_pair, parallel=2)) == {}
    assert len(sessions) == 2


def test_a_cut_is_exact_under_load_and_its_stall_is_reported(proof_pair: Pair, run_module: RunModule) -> None:
    with load(proof_pair) as written:
        for _run in range(3):
            found = verdict(proof_pair, method="cut", lock_timeout=5)
            assert {one.table: one.error or one.differences for one in found.tables if not one.equal} == {}
            assert found.stall_ms is not None and found.stall_ms > 0
            assert all(one.blue_rows == one.green_rows for one in found.tables)
        undo = ("UPDATE by_index SET b = NULL WHERE a = 1",)
        with (
            on_green(proof_pair, "UPDATE by_index SET b = 'x' WHERE a = 1", undo=undo),
            pytest.raises(ModuleFailed) as failed,
        ):
            run_module("bg_verify", **options(proof_pair, method="cut", lock_timeout=5))
        assert min(written) > 5
    wrong = {one["table"]: one["differences"] for one in failed.value.result["tables"] if not one["equal"]}
    assert wrong == {"by_index": ["a=1: not the same"]}
    assert failed.value.result["stall_ms"] > 0


_WAITING = "SELECT COUNT(*) FROM information_schema.processlist WHERE state LIKE '%metadata lock%'"


def test_a_cut_that_cannot_have_its_locks_fails_and_keeps_nobody_waiting(
    proof_pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify_cut, "ATTEMPTS", 2)
    with closing(hold(proof_pair.blue, "UPDATE shop.plain SET v = '' WHERE id = 1")) as conn:
        with pytest.raises(BlueGreenError) as failed:
            proofs(proof_pair, method="cut", lock_timeout=0.2)
        said = f"in 2 attempts that was not enough: shop.plain is in use; the oldest transaction is that of session {conn.thread_id()}"
        assert said in failed.value.message
        assert run(proof_pair.blue, _WAITING) == [(0,)]
        run(proof_pair.blue, "UPDATE shop.plain SET v = 'row 2' WHERE id = 2")
        conn.rollback()


def test_no_transaction_of_an_application_is_ended_by_a_cut(proof_pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_cut, "ATTEMPTS", 1)
    failures: list[BaseException] = []

    def use_another_table_too(conn: Any) -> None:
        wait_until(
            lambda: run(proof_pair.blue, _WAITING),
            lambda found: found != [(0,)],
            timeout=30,
            delay=0.01,
            wanted="the cut",
        )
        try:  # a circle of waits, if the session that has locked this table waited for the other one
            execute(conn, "UPDATE shop.by_index SET b = NULL WHERE a = 1")
        except pymysql.MySQLError as error:
            failures.append(error)

    with closing(hold(proof_pair.blue, "UPDATE shop.plain SET v = '' WHERE id = 1")) as conn:
        thread = threading.Thread(target=use_another_table_too, args=(conn,))
        thread.start()
        with pytest.raises(BlueGreenError, match="in 1 attempts"):
            proofs(proof_pair, method="cut", lock_timeout=2)
        thread.join()
        conn.rollback()
    assert failures == []


def test_a_cut_needs_a_replica_that_commits_in_order(proof_pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Link, "ordered", lambda _link: False)
    with pytest.raises(BlueGreenError, match="replica_preserve_commit_order or binlog_order_commits is off"):
        proofs(proof_pair, method="cut")


def test_a_cut_does_not_go_on_from_an_earlier_run(proof_pair: Pair, run_module: RunModule) -> None:
    with pytest.raises(ModuleFailed, match="leave out resume_max_age"):
        run_module("bg_verify", **options(proof_pair, method="cut", resume_max_age=60))


@contextmanager
def hot_row(pair: Pair) -> Iterator[None]:
    """A row of a table without a key that changes all the time."""
    stop = threading.Event()

    def write() -> None:
        with closing(connect(pair.blue.at("shop"))) as conn:
            while not stop.is_set():
                execute(conn, "UPDATE swapped_keyless SET a = a + 1 WHERE b = 'y'")
            execute(conn, "UPDATE swapped_keyless SET a = 5 WHERE b = 'y'")

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_a_row_without_a_key_that_never_rests_does_not_hide_one_that_green_lost(proof_pair: Pair) -> None:
    only = {"exclude": ["shop.[!s]*", "shop.swapped"]}
    undo = ("INSERT INTO swapped_keyless VALUES (1, 'x')",)
    with on_green(proof_pair, "DELETE FROM swapped_keyless WHERE b = 'x'", undo=undo):
        with hot_row(proof_pair):
            for _run in range(3):
                assert not proofs(proof_pair, settle_timeout=0.5, **only)["swapped_keyless"].equal
        assert proofs(proof_pair, **only)["swapped_keyless"].different == 1
    assert unequal(proofs(proof_pair, **only)) == {}


def test_the_limit_of_time_is_an_error_of_every_table_that_was_not_reached(proof_pair: Pair) -> None:
    with closing(connect(proof_pair.green)) as conn:
        execute(conn, "LOCK TABLES shop.plain WRITE")
        found = proofs(proof_pair, timeout=4, parallel=2)
    assert found["plain"].error == (
        "could not be compared: the verification's timeout of 4 s was over: raise timeout, or let a run go on from this "
        "one with resume_max_age"
    )
    assert not found["plain"].equal and found["by_index"].equal


def test_a_connection_that_is_lost_costs_the_proof_of_its_table_only(
    proof_pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = verify_table.read_sum

    def lost(conn: Any, shape: Any, **more: Any) -> Any:
        if shape.name[1] == "plain":
            execute(conn, "KILL CONNECTION_ID()")
        return read(conn, shape, **more)

    monkeypatch.setattr(verify_table, "read_sum", lost)
    found = proofs(proof_pair, parallel=1)
    assert list(unequal(found)) == ["plain"]
    assert found["plain"].different == 0 and str(found["plain"].error).startswith("could not be compared: ")


# A verification that is killed while it reads the table `parent`, one table after the other.
_MORTAL = """\
import json, os, signal, sys, time
import conftest  # the search paths of this repository
from ansible_collections.bluegreen.aws.plugins.module_utils._core.endpoint import Endpoint
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._core.verification import Options
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql import verify, verify_progress, verify_table
verify_progress.WORTH_KEEPING = 0.0
read = verify_table.read_sum
def mortal(conn, shape, **more):
    if shape.name[1] == "parent":
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGKILL)
    return read(conn, shape, **more)
verify_table.read_sum = mortal
sides, name = json.load(sys.stdin)
verify.verify(*[Endpoint(**side) for side in sides], Names.of(name), ["shop"], Options(parallel=1))
"""


def _die_half_way(pair: Pair) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _MORTAL],
        input=json.dumps([[vars(pair.blue), vars(pair.green)], NAMES.deployment_id]),
        text=True,
        capture_output=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def _progress(pair: Pair) -> list[Any]:
    there = (
        "SELECT 1 FROM information_schema.tables WHERE table_schema = 'bluegreen' AND table_name = 'verify_progress'"
    )
    if not run(pair.green, there):
        return []
    return [row[0] for row in run(pair.green, "SELECT table_name FROM bluegreen.verify_progress ORDER BY 1")]


def test_a_run_that_was_killed_is_continued_and_does_not_read_again_what_was_proved(
    proof_pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, seen = verify_table.read_sum, set()

    def watched(conn: Any, shape: Any, **more: Any) -> Any:
        seen.add(shape.name[1])
        return read(conn, shape, **more)

    monkeypatch.setattr(verify_table, "read_sum", watched)
    log = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'bluegreen' AND table_name = 'verify_progress'"
    _die_half_way(proof_pair)
    proved = set(_progress(proof_pair))
    assert {"orders", "kinds"} < proved and "parent" not in proved
    assert run(proof_pair.blue, log) == [(0,)]

    found = proofs(proof_pair, resume_max_age=600)
    assert unequal(found) == {}
    assert {name for name, proof in found.items() if proof.proved_at} == proved
    assert seen and not seen & proved
    assert found["kinds"].blue_rows == found["kinds"].green_rows == len(KINDS)
    assert _progress(proof_pair) == []

    _die_half_way(proof_pair)
    for side in (proof_pair.blue, proof_pair.green):
        changed(side, "SET SESSION sql_log_bin = 0", "ALTER TABLE plain ADD more int")
    seen.clear()
    try:  # a table that was altered since is read again
        found = proofs(proof_pair, resume_max_age=600)
    finally:
        for side in (proof_pair.blue, proof_pair.green):
            changed(side, "SET SESSION sql_log_bin = 0", "ALTER TABLE plain DROP more")
    assert "plain" in proved and "plain" in seen and unequal(found) == {}

    _die_half_way(proof_pair)
    seen.clear()
    assert not any(proof.proved_at for proof in proofs(proof_pair, resume_max_age=600, exclude=["x.y"]).values())
    assert proved < seen and _progress(proof_pair) == []  # other options: nothing counts


def test_a_row_that_moves_through_the_table_and_that_green_lost_is_never_called_equal(proof_pair: Pair) -> None:
    # the last test: replication cannot go on from here
    with load(proof_pair), on_green(proof_pair, "DELETE FROM orders WHERE id IN (10, 10000000)", undo=()):
        for _run in range(3):
            found = proofs(proof_pair, exclude=["shop.[!o]*"], marker_timeout=5, settle_timeout=5)["orders"]
            assert not found.equal
    assert "replication does not run: " in str(found.error)
