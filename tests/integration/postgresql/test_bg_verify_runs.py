# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""bg_verify: at one moment, under load, when it is interrupted, and when something breaks while it runs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._core.verification import Options
from ansible_collections.bluegreen.aws.plugins.module_utils._core.waiting import wait_until
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql import (
    verify_cut,
    verify_rules,
    verify_sessions,
    verify_table,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.connection import connect, execute
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.verify import verify
from tests.integration.conftest import ModuleFailed, RunModule
from tests.integration.postgresql.conftest import Pair, hold, run
from tests.integration.postgresql.proof import NAMES, load, on_green, options, proofs, unequal
from tests.integration.runner import ROOT

RUNS = 20
SMALL = {"exclude": ["public.wide", "public.kinds"]}


def test_three_faults_under_load_are_found_by_key_without_a_false_alarm_in_twenty_runs(
    proof_pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify_rules, "_LEAST_BLOCKS", 4)
    undo = (
        "UPDATE plain SET v = 'row 777' WHERE id = 777",
        "INSERT INTO plain VALUES (889, 'row 889')",
        "DELETE FROM plain WHERE id = 9999",
    )
    with load(proof_pair) as written:
        for _run in range(RUNS // 2):
            assert unequal(proofs(proof_pair, **SMALL)) == {}
        with on_green(
            proof_pair,
            "UPDATE plain SET v = 'spoiled' WHERE id = 777",
            "DELETE FROM plain WHERE id = 889",
            "INSERT INTO plain VALUES (9999, 'nobody wrote this')",
            undo=undo,
        ):
            for _run in range(RUNS):
                assert unequal(proofs(proof_pair, **SMALL)) == {
                    "plain": ("id=777: not the same", "id=889: only on blue", "id=9999: only on green")
                }
        assert sum(written) > RUNS


def test_every_part_of_a_table_is_of_the_same_moment(proof_pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_rules, "_LEAST_BLOCKS", 1)
    read, written = verify_table.read_chunks, threading.Event()

    def write_after_the_first_part(conn: Any, shape: Any, part: Any, **more: Any) -> Any:
        found = read(conn, shape, part=part, **more)
        if shape.name[1] == "plain" and not written.is_set():
            written.set()
            run(proof_pair.blue, "INSERT INTO plain VALUES (9998, repeat('x', 7000))", database="shop")
        return found

    monkeypatch.setattr(verify_table, "read_chunks", write_after_the_first_part)
    try:
        found = proofs(proof_pair, parallel=1)["plain"]
    finally:
        run(proof_pair.blue, "DELETE FROM plain WHERE id = 9998", database="shop")
    assert (found.equal, found.blue_rows, found.green_rows) == (True, 5000, 5000)


def test_a_cut_is_exact_under_load_and_its_stall_is_reported(proof_pair: Pair, run_module: RunModule) -> None:
    with load(proof_pair) as written:
        for _run in range(5):
            found = verify(proof_pair.blue, proof_pair.green, NAMES, ["shop"], Options(method="cut", lock_timeout=2))
            assert {one.table: one.error or one.differences for one in found.tables if not one.equal} == {}
            assert found.stall_ms is not None and found.stall_ms > 0
            assert all(one.blue_rows == one.green_rows for one in found.tables)
        undo = ("UPDATE by_index SET b = NULL WHERE a = 1",)
        with (
            on_green(proof_pair, "UPDATE by_index SET b = 'x' WHERE a = 1", undo=undo),
            pytest.raises(ModuleFailed) as failed,
        ):
            run_module("bg_verify", **options(proof_pair, method="cut", lock_timeout=2))
        assert sum(written) > 20
    wrong = {one["table"]: one["differences"] for one in failed.value.result["tables"] if not one["equal"]}
    assert wrong == {"by_index": ["a=1: not the same"]}
    assert failed.value.result["stall_ms"] > 0


def test_a_cut_that_cannot_have_its_locks_fails_and_keeps_nobody_waiting(
    proof_pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify_cut, "ATTEMPTS", 2)
    with closing(hold(proof_pair.blue, "UPDATE plain SET v = v WHERE id = 1", "shop")):
        with pytest.raises(BlueGreenError) as failed:
            proofs(proof_pair, method="cut", lock_timeout=0.2)
        assert "in 2 attempts that was not enough: public.plain is in use by client backend" in failed.value.message
        assert run(
            proof_pair.blue, "SELECT count(*) FROM pg_locks WHERE mode = 'ShareLock' AND relation IS NOT NULL"
        ) == [(0,)]
        run(proof_pair.blue, "UPDATE plain SET v = v WHERE id = 2", database="shop")


def test_a_cut_gives_way_before_the_server_looks_for_a_deadlock(
    proof_pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify_cut, "ATTEMPTS", 1)
    waited: list[BaseException] = []

    def use_the_other_table_too(conn: Any) -> None:
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'ShareLock' AND relation IS NOT NULL"
        wait_until(
            lambda: run(proof_pair.blue, waiting),
            lambda found: found != [(0,)],
            timeout=30,
            delay=0.01,
            wanted="the cut",
        )
        try:
            execute(conn, "UPDATE by_index SET b = b")  # locked by the cut, which waits for plain
        except BaseException as error:  # noqa: BLE001  it is told below
            waited.append(error)

    with closing(hold(proof_pair.blue, "UPDATE plain SET v = v WHERE id = 1", "shop")) as conn:
        lock = verify_sessions.lock

        def lock_while_the_application_goes_on(*arguments: Any) -> None:
            if arguments[2] == "SHARE":
                thread.start()
            lock(*arguments)

        thread = threading.Thread(target=use_the_other_table_too, args=(conn,))
        monkeypatch.setattr(verify_cut, "lock", lock_while_the_application_goes_on)
        with pytest.raises(BlueGreenError, match="in 1 attempts"):
            proofs(proof_pair, method="cut", lock_timeout=30)
        thread.join()
        conn.rollback()
    assert waited == []


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
                execute(conn, "UPDATE swapped_keyless SET a = a + 1 WHERE b = 'x'")
            execute(conn, "UPDATE swapped_keyless SET a = 1 WHERE b = 'x'")

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_a_row_without_a_key_that_green_lost_and_that_never_rests_is_not_called_equal(proof_pair: Pair) -> None:
    only = {"exclude": ["public.[!s]*", "public.swapped"]}
    with on_green(
        proof_pair,
        "DELETE FROM swapped_keyless WHERE b = 'x'",
        undo=("INSERT INTO swapped_keyless VALUES (1, 'x')",),
    ):
        with hot_row(proof_pair):
            for _run in range(3):
                found = proofs(proof_pair, settle_timeout=0.5, **only)["swapped_keyless"]
                assert not found.equal
        assert proofs(proof_pair, **only)["swapped_keyless"].different == 1


def test_the_limit_of_time_is_an_error_of_every_table_that_was_not_reached(proof_pair: Pair) -> None:
    with closing(hold(proof_pair.green, "LOCK TABLE plain", "shop")):
        found = proofs(proof_pair, timeout=1.5, parallel=2)
    assert found["plain"].error == (
        "could not be compared: the verification's timeout of 1.5 s was over: raise timeout, or let a run go on from this "
        "one with resume_max_age"
    )
    assert not found["plain"].equal and found["by_index"].equal


def test_a_connection_that_is_lost_costs_the_proof_of_its_table_only(
    proof_pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = verify_table.read_chunks

    def lost(conn: Any, shape: Any, **more: Any) -> Any:
        if shape.name[1] == "plain":
            execute(conn, "SELECT pg_terminate_backend(pg_backend_pid())")
        return read(conn, shape, **more)

    monkeypatch.setattr(verify_table, "read_chunks", lost)
    found = proofs(proof_pair, parallel=1)
    assert list(unequal(found)) == ["plain"]
    assert found["plain"].different == 0 and str(found["plain"].error).startswith("could not be compared: ")


def test_limits_that_the_role_has_do_not_end_a_proof(proof_pair: Pair) -> None:
    role = proof_pair.green.user
    run(
        proof_pair.green,
        f"ALTER ROLE {role} SET statement_timeout = 1",
        f"ALTER ROLE {role} SET transaction_timeout = 2",
    )
    try:
        assert unequal(proofs(proof_pair)) == {}
    finally:
        run(proof_pair.green, f"ALTER ROLE {role} RESET ALL")


# A verification that is killed while it reads the table `parent`, one table after the other.
_MORTAL = """\
import json, os, signal, sys, time
import conftest  # the search paths of this repository
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._core.waiting import wait_until
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql import verify, verify_progress, verify_table
from ansible_collections.bluegreen.aws.plugins.module_utils._core.endpoint import Endpoint
verify_progress.WORTH_KEEPING = 0.0
read = verify_table.read_chunks
def mortal(conn, shape, **more):
    if shape.name[1] == "parent":
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGKILL)
    return read(conn, shape, **more)
verify_table.read_chunks = mortal
sides, name = json.load(sys.stdin)
verify.verify(*[Endpoint(**side) for side in sides], Names.of(name), ["shop"], verify.Options(parallel=1))
"""


def _die_half_way(pair: Pair, names: Names) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _MORTAL],
        input=json.dumps([[vars(pair.blue), vars(pair.green)], names.deployment_id]),
        text=True,
        capture_output=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def _progress(pair: Pair) -> list[tuple[Any, ...]]:
    there = run(pair.green, "SELECT to_regclass('bluegreen.verify_progress')", database=NAMES.control_database)
    if there == [(None,)]:
        return []
    return run(
        pair.green, "SELECT table_name FROM bluegreen.verify_progress ORDER BY 1", database=NAMES.control_database
    )


def test_a_run_that_was_killed_is_continued_and_does_not_read_again_what_was_proved(
    proof_pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, seen = verify_table.read_chunks, set()

    def watched(conn: Any, shape: Any, **more: Any) -> Any:
        seen.add(shape.name[1])
        return read(conn, shape, **more)

    monkeypatch.setattr(verify_table, "read_chunks", watched)
    _die_half_way(proof_pair, NAMES)
    proved = {row[0] for row in _progress(proof_pair)}
    assert {"by_index", "kinds"} < proved and "parent" not in proved

    found = proofs(proof_pair, resume_max_age=600)
    assert unequal(found) == {}
    assert {name for name, proof in found.items() if proof.proved_at} == proved
    assert seen and not seen & proved
    assert found["by_index"].blue_rows == 2
    assert _progress(proof_pair) == []

    _die_half_way(proof_pair, NAMES)
    seen.clear()
    assert not any(proof.proved_at for proof in proofs(proof_pair, resume_max_age=600, exclude=["x.y"]).values())
    assert proved < seen  # other options: nothing counts

    _die_half_way(proof_pair, NAMES)
    seen.clear()
    assert not any(proof.proved_at for proof in proofs(proof_pair).values())
    assert proved < seen and _progress(proof_pair) == []


def test_a_table_that_was_altered_since_is_read_again(proof_pair: Pair) -> None:
    _die_half_way(proof_pair, NAMES)
    for side in (proof_pair.blue, proof_pair.green):
        run(side, "ALTER TABLE covered ADD more int", database="shop")
    try:
        found = proofs(proof_pair, resume_max_age=600)
    finally:
        for side in (proof_pair.blue, proof_pair.green):
            run(side, "ALTER TABLE covered DROP more", database="shop")
    assert found["by_index"].proved_at and not found["covered"].proved_at
