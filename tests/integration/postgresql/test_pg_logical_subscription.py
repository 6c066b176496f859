# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logical replication of a clone: the recipe end to end, its refusals, and its traps, on real servers."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from typing import Any

import psycopg2
import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.endpoint import Endpoint
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError, WaitTimeout
from ansible_collections.bluegreen.aws.plugins.module_utils._core.journal import Journal
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._core.verification import Options
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql import control_record, subscription
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.connection import (
    connect,
    connected,
    rows,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.guardrails import switchover_checks
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.status import deployment_status, observe
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.verify import verify
from tests.integration.conftest import ModuleFailed, RunModule
from tests.integration.postgresql.conftest import (
    NEWER,
    PASSWORD,
    Pair,
    Servers,
    everything,
    hold,
    login,
    replicated,
    run,
    step,
)

NAMES = Names.of("pg-test")
MODULE = "pg_logical_subscription"
TABLES = (
    "CREATE TABLE ledger (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, writer int, n int)",
    'CREATE TABLE "Order Events" (writer int, n int, what jsonb)',
    'ALTER TABLE "Order Events" REPLICA IDENTITY FULL',
)


@pytest.fixture(scope="module")
def blue(servers: Servers) -> Iterator[Endpoint]:
    """One blue for the tests that leave it as it was."""
    endpoint = servers.blue()
    run(endpoint, *TABLES, database="shop")
    yield endpoint
    servers.remove(endpoint)


@pytest.fixture
def clean(blue: Endpoint) -> Iterator[Endpoint]:
    """The same blue, with nothing of the deployment left after the test."""
    yield blue
    step("absent", NAMES, blue)


class Writers:
    """Clients that note what was acknowledged; they reconnect for as long as they run."""

    def __init__(self, endpoint: Endpoint, database: str, count: int = 3) -> None:
        self._endpoint, self._stop = endpoint.at(database), threading.Event()
        self.acknowledged: set[tuple[int, int]] = set()
        self._threads = [threading.Thread(target=self._write, args=(number,)) for number in range(count)]

    def __enter__(self) -> Writers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_about: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _write(self, writer: int) -> None:
        n = 0
        while not self._stop.is_set():
            with suppress(BlueGreenError, psycopg2.Error), closing(connect(self._endpoint)) as conn:
                conn.autocommit = False
                for _turn in range(50):
                    n += 1
                    with conn.cursor() as cursor:
                        cursor.execute("INSERT INTO ledger (writer, n) VALUES (%s, %s)", (writer, n))
                        cursor.execute('INSERT INTO "Order Events" VALUES (%s, %s, %s)', (writer, n, '{"a": 1}'))
                        cursor.execute("UPDATE ledger SET n = n WHERE id = (SELECT max(id) - 5 FROM ledger)")
                    conn.commit()
                    self.acknowledged.add((writer, n))
                    if self._stop.is_set():
                        return


def kept(endpoint: Endpoint, database: str = "shop") -> list[tuple[int, int]]:
    return [(row[0], row[1]) for row in run(endpoint, "SELECT writer, n FROM ledger", database=database)]


def test_a_clone_upgraded_under_load_follows_without_losing_or_doubling_a_write(servers: Servers) -> None:
    blue = servers.blue(("shop", "second"))
    for database in ("shop", "second"):
        run(blue, *TABLES, database=database)
    with Writers(blue, "shop") as shop, Writers(blue, "second", 1) as second:
        time.sleep(0.3)
        pair = replicated(servers, blue, "pg-load", upgrade=True)
        time.sleep(0.3)
        running = verify(blue, pair.green, pair.names, ["shop", "second"], Options()).tables
    still = verify(blue, pair.green, pair.names, ["shop", "second"], Options()).tables
    assert len(shop.acknowledged) > 100
    for writers, database in ((shop, "shop"), (second, "second")):
        found = kept(pair.green, database)
        assert len(found) == len(set(found))
        assert writers.acknowledged <= set(found)
        assert sorted(found) == sorted(kept(blue, database))
    assert {(proof.database, proof.table, proof.equal, proof.error) for proof in running} == {
        (database, table, True, None) for database in ("shop", "second") for table in ("ledger", "Order Events")
    }
    assert all(proof.equal and proof.blue_rows == proof.green_rows for proof in still)
    assert run(pair.green, "SHOW server_version_num")[0][0].startswith("18")
    servers.remove(blue, pair.green)


def test_check_mode_predicts_what_is_done_and_changes_nothing(servers: Servers, clean: Endpoint) -> None:
    green: Endpoint | None = None
    for state in ("prepared", "positioned", "running", "stopped", "running", "absent"):
        if state == "positioned":
            green = servers.clone(clean)
        sides = [clean, green] if green else [clean]
        before = everything(*sides)
        predicted, foreseen = step(state, NAMES, clean, green, journal=Journal(check_mode=True))
        assert everything(*sides) == before
        done, result = step(state, NAMES, clean, green)
        assert done.actions and predicted.actions == done.actions
        if state != "absent":
            positions = [side["position"] for side in result["after"].values()]
            for words, position in zip(foreseen["after"].values(), positions, strict=True):
                words["position"] = position  # check mode does not know it yet
            assert foreseen["after"] == result["after"]
        again, _result = step(state, NAMES, clean, green)
        assert again.actions == []
    assert green is not None
    servers.remove(green)


def test_absent_leaves_nothing_behind(servers: Servers, blue: Endpoint) -> None:
    before = everything(blue)
    pair = replicated(servers, blue, NAMES.deployment_id)
    step("absent", NAMES, blue, pair.green)
    assert everything(blue) == before
    left = everything(pair.green).replace("default_transaction_read_only", "")
    assert "pg_test" not in left and "bluegreen" not in left
    servers.remove(pair.green)


class Killed(Journal):
    """A run that is killed at an effect, before it or just after it."""

    def __init__(self, at: int, after: bool) -> None:
        super().__init__(check_mode=False)
        self._at, self._after = at, after

    def act(self, what: str, effect: Callable[[], Any]) -> Any:
        if len(self.actions) == self._at:
            if self._after:
                effect()
            raise KeyboardInterrupt
        return super().act(what, effect)


@pytest.mark.parametrize("after", [False, True], ids=["before the effect", "after the effect"])
def test_killed_between_any_two_effects_it_is_completed_by_running_it_again(servers: Servers, after: bool) -> None:
    blue = servers.blue()
    run(blue, *TABLES, "INSERT INTO ledger (writer, n) VALUES (1, 1)", "CREATE TABLE bare (a int)", database="shop")
    green: Endpoint | None = None
    kills = 0
    for state in ("prepared", "positioned", "running", "absent"):
        if state == "positioned":
            green = servers.clone(blue)
            run(blue, "INSERT INTO ledger (writer, n) VALUES (1, 2)", database="shop")
        for at in itertools.count():
            try:
                step(state, NAMES, blue, green, journal=Killed(at, after), replica_identity="full")
                break
            except KeyboardInterrupt:
                kills += 1
        again, _result = step(state, NAMES, blue, green, replica_identity="full")
        assert again.actions == []
        if state == "running":
            assert green is not None
            assert sorted(kept(green)) == [(1, 1), (1, 2)]
    assert green is not None
    assert kills >= 10
    for side in (blue, green):
        assert run(side, "SELECT relreplident FROM pg_class WHERE relname = 'bare'", database="shop") == [("d",)]
    servers.remove(blue, green)


REFUSALS = {
    "replica identity": (
        ["CREATE TABLE bare (a int)"],
        ["DROP TABLE bare"],
        "there is none on shop: public.bare",
    ),
    "prepared transaction": (
        ["BEGIN; INSERT INTO ledger (writer, n) VALUES (9, 9); PREPARE TRANSACTION 'left over'"],
        ["ROLLBACK PREPARED 'left over'"],
        "no prepared transaction may be left on blue, but found 'left over' of shop_admin in shop",
    ),
    "table of an owner the admin cannot become": (
        [
            "CREATE ROLE owner_of_one",
            "GRANT owner_of_one TO CURRENT_USER",
            "GRANT CREATE ON SCHEMA public TO owner_of_one",
            "SET ROLE owner_of_one; CREATE TABLE foreign_one (a int PRIMARY KEY); RESET ROLE",
            "REVOKE owner_of_one FROM CURRENT_USER",
        ],
        ["GRANT owner_of_one TO CURRENT_USER", "DROP OWNED BY owner_of_one", "DROP ROLE owner_of_one"],
        'cannot SET ROLE to the owners of shop: public.foreign_one (owner owner_of_one) (GRANT "owner_of_one" TO "shop_admin")',
    ),
    "trigger that fires on green": (
        [
            "CREATE FUNCTION noop() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
            "CREATE TRIGGER always BEFORE INSERT ON ledger FOR EACH ROW EXECUTE FUNCTION noop()",
            "ALTER TABLE ledger ENABLE ALWAYS TRIGGER always",
        ],
        ["DROP TRIGGER always ON ledger", "DROP FUNCTION noop"],
        "ENABLE ALWAYS or REPLICA would fire for replicated changes: shop: public.ledger (always)",
    ),
    "forced row security": (
        ["ALTER TABLE ledger ENABLE ROW LEVEL SECURITY", "ALTER TABLE ledger FORCE ROW LEVEL SECURITY"],
        ["ALTER TABLE ledger NO FORCE ROW LEVEL SECURITY", "ALTER TABLE ledger DISABLE ROW LEVEL SECURITY"],
        "but blue has shop: public.ledger",
    ),
    "blue closed for writers": (
        ["ALTER DATABASE shop SET default_transaction_read_only = on"],
        ["ALTER DATABASE shop RESET default_transaction_read_only"],
        "blue should serve, but its databases shop are read-only by default",
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_guardrail_refuses_in_one_sentence_and_changes_nothing(
    clean: Endpoint, run_module: RunModule, case: str
) -> None:
    broken, mended, sentence = REFUSALS[case]
    run(clean, *broken, database="shop")
    try:
        before = everything(clean)
        with pytest.raises(ModuleFailed) as refused:
            run_module(MODULE, state="prepared", deployment_id="pg-test", blue=login(clean))
        assert everything(clean) == before
    finally:
        run(clean, *mended, database="shop")
    assert sentence in refused.value.msg
    assert refused.value.msg.startswith("Not ready for the clone, nothing was changed: ")
    assert "Traceback" not in refused.value.msg and "\n" not in refused.value.msg
    assert (refused.value.result["changed"], refused.value.result["actions"]) == (False, [])
    assert [check["status"] for check in refused.value.result["checks"]].count("failed") == 1


def test_a_guardrail_does_not_stop_what_is_prepared_already(clean: Endpoint) -> None:
    step("prepared", NAMES, clean)
    with closing(hold(clean, "INSERT INTO ledger (writer, n) VALUES (8, 8)", "shop")):
        journal, _result = step("prepared", NAMES, clean)
    assert journal.actions == []


def test_a_wrong_password_is_said_in_one_sentence_without_it(clean: Endpoint, run_module: RunModule) -> None:
    with pytest.raises(ModuleFailed) as refused:
        run_module(MODULE, state="prepared", deployment_id="pg-test", blue=login(clean, password="Wrong-Pw-7781"))
    assert "No connection to blue" in refused.value.msg and "password authentication failed" in refused.value.msg
    assert "Wrong-Pw-7781" not in str(refused.value.result)


def test_a_database_that_is_not_there_is_refused(clean: Endpoint, run_module: RunModule) -> None:
    with pytest.raises(ModuleFailed, match=r"The option databases names nowhere, but the server has postgres, shop"):
        run_module(MODULE, state="prepared", deployment_id="pg-test", blue=login(clean), databases=["nowhere"])


def test_logical_replication_off_and_too_few_slots_are_refused(servers: Servers, run_module: RunModule) -> None:
    blue = servers.blue(**{"rds.logical_replication": "0", "max_replication_slots": "1", "max_wal_senders": "5"})
    before = everything(blue)
    with pytest.raises(ModuleFailed) as refused:
        run_module(MODULE, state="prepared", deployment_id="pg-test", blue=login(blue))
    assert "logical replication is wanted on blue, but wal_level is replica" in refused.value.msg
    assert "max_replication_slots on blue is 1 and 0 are in use, but 2 more are needed" in refused.value.msg
    assert everything(blue) == before
    servers.remove(blue)


def test_a_blue_that_is_a_subscriber_is_refused_before_it_is_cloned(clean: Endpoint) -> None:
    run(
        clean,
        "CREATE SUBSCRIPTION upstream CONNECTION 'host=127.0.0.1 dbname=shop password=none' PUBLICATION all_of_it"
        " WITH (connect = false, slot_name = 'upstream')",
        database="shop",
    )
    before = everything(clean)
    try:
        with pytest.raises(BlueGreenError, match=r"blue must not be a subscriber.*upstream in shop"):
            step("prepared", NAMES, clean)
        assert everything(clean) == before
    finally:
        run(clean, "ALTER SUBSCRIPTION upstream SET (slot_name = NONE)", "DROP SUBSCRIPTION upstream", database="shop")


def test_a_slot_waits_for_open_transactions_no_longer_than_asked(clean: Endpoint, run_module: RunModule) -> None:
    writing = "SET idle_in_transaction_session_timeout = '30s'; INSERT INTO ledger (writer, n) VALUES (7, 7)"
    with closing(hold(clean, writing, "shop")) as open_one:
        with pytest.raises(ModuleFailed) as refused:
            run_module(
                MODULE, state="prepared", deployment_id="pg-test", blue=login(clean), slot_timeout=1, databases=["shop"]
            )
        assert f"process {open_one.info.backend_pid} of user shop_admin in database shop" in refused.value.msg
        assert "was not made within slot_timeout (1 s)" in refused.value.msg
        assert run(clean, "SELECT count(*) FROM pg_replication_slots") == [(0,)]
    journal, _result = step("prepared", NAMES, clean, databases=["shop"])
    assert journal.actions == [f"create replication slot {NAMES.slot('forward', 'shop')} in shop on blue"]


def test_a_slot_without_its_publication_is_refused(clean: Endpoint) -> None:
    step("prepared", NAMES, clean)
    run(clean, f"DROP PUBLICATION {NAMES.publication}", database="shop")
    with pytest.raises(BlueGreenError, match="a publication made after its slot is not seen by it"):
        step("prepared", NAMES, clean)


def test_a_clone_made_before_blue_was_prepared_is_refused(servers: Servers, clean: Endpoint) -> None:
    green = servers.clone(clean)
    step("prepared", NAMES, clean)
    before = everything(clean, green)
    with pytest.raises(BlueGreenError, match="Green should carry a copy of blue's slots"):
        step("positioned", NAMES, clean, green)
    assert everything(clean, green) == before
    servers.remove(green)


def test_a_slot_made_again_after_the_clone_is_refused(servers: Servers, clean: Endpoint) -> None:
    step("prepared", NAMES, clean)
    green = servers.clone(clean)
    step("positioned", NAMES, clean, green)
    slot = NAMES.slot("forward", "shop")
    run(
        clean,
        "INSERT INTO ledger (writer, n) VALUES (6, 6)",
        f"SELECT pg_drop_replication_slot('{slot}')",
        f"SELECT pg_create_logical_replication_slot('{slot}', 'pgoutput')",
        database="shop",
    )
    before = everything(clean, green)
    with pytest.raises(BlueGreenError, match="must hold every change since green's position"):
        step("running", NAMES, clean, green)
    assert everything(clean, green) == before
    servers.remove(green)


def test_running_without_a_recorded_position_is_refused(servers: Servers, clean: Endpoint) -> None:
    step("prepared", NAMES, clean)
    green = servers.clone(clean)
    with pytest.raises(BlueGreenError, match="run pg_logical_subscription with state=positioned first"):
        step("running", NAMES, clean, green)
    servers.remove(green)


def test_positioned_removes_what_the_clone_carried_and_keeps_a_position_that_fits(
    servers: Servers, clean: Endpoint
) -> None:
    step("prepared", NAMES, clean)
    run(
        clean,
        "CREATE ROLE app_owner LOGIN",
        "GRANT app_owner TO CURRENT_USER",
        "GRANT INSERT ON ledger TO app_owner",
        "SELECT pg_create_logical_replication_slot('debezium', 'pgoutput')",
        "SET ROLE app_owner; BEGIN; INSERT INTO ledger (writer, n) VALUES (5, 5); PREPARE TRANSACTION 'between'",
        database="shop",
    )
    try:
        green = servers.clone(clean)
        assert run(green, "SELECT gid FROM pg_prepared_xacts") == [("between",)]
        journal, result = step("positioned", NAMES, clean, green)
        assert journal.actions[0] == f"record position {result['replication']['position']} on green"
        assert "roll back prepared transaction between in shop on green" in journal.actions
        assert run(green, "SELECT count(*) FROM pg_prepared_xacts") == [(0,)]
        assert run(green, "SELECT count(*) FROM pg_replication_slots") == [(0,)]
        step("running", NAMES, clean, green)
    finally:
        run(
            clean,
            "SET ROLE app_owner",
            "COMMIT PREPARED 'between'",
            "RESET ROLE",
            "SELECT pg_drop_replication_slot('debezium')",
            "DROP OWNED BY app_owner",
            "DROP ROLE app_owner",
            database="shop",
        )
    step("running", NAMES, clean, green)
    assert kept(green) == kept(clean)
    assert (5, 5) in kept(green)
    with (
        closing(connect(green.at("shop"), fenced=True)) as client,
        pytest.raises(psycopg2.errors.ReadOnlySqlTransaction),
    ):
        client.cursor().execute("INSERT INTO ledger (writer, n) VALUES (0, 0)")
    servers.remove(green)


def test_a_control_record_that_the_clone_carried_is_replaced(servers: Servers) -> None:
    blue = servers.blue()
    run(blue, *TABLES, database="shop")
    control_record.ensure(blue, NAMES)
    with connected(blue.at(NAMES.control_database)) as conn:
        control_record.commit(conn, NAMES.deployment_id, position="0/1", opened_green="0/2", settings={"old": True})
    step("prepared", NAMES, blue)
    green = servers.clone(blue)
    step("positioned", NAMES, blue, green)
    record = control_record.look(green, NAMES)
    assert record is not None
    assert record.position == run(green, "SELECT aurora_volume_logical_start_lsn()::text")[0][0]
    assert (record.opened_green, record.settings) == (None, {})
    assert observe(blue, green, NAMES, None).stage == "new"
    step("running", NAMES, blue, green)
    servers.remove(blue, green)


def test_a_position_given_by_the_user_is_used_and_cannot_be_changed_later(servers: Servers, clean: Endpoint) -> None:
    step("prepared", NAMES, clean)
    green = servers.clone(clean)
    position = run(green, "SELECT aurora_volume_logical_start_lsn()::text")[0][0]
    with pytest.raises(BlueGreenError, match=r"must look like 16/B374D848, but is 'yesterday'"):
        step("positioned", NAMES, clean, green, position="yesterday")
    ends = run(
        clean, "INSERT INTO ledger (writer, n) VALUES (3, 3)", "SELECT pg_current_wal_lsn()::text", database="shop"
    )
    for wrong in ("0/1", ends[0][0], run(green, "SELECT pg_current_wal_lsn()::text")[0][0]):
        with pytest.raises(
            BlueGreenError, match=f"cloned at {position}, but the option position says {wrong}, which would"
        ):
            step("positioned", NAMES, clean, green, position=wrong)
    servers.as_service(green, "DROP FUNCTION pg_catalog.aurora_volume_logical_start_lsn()", database="postgres")
    with pytest.raises(BlueGreenError, match=r"must reach back to green's position 0/1, but it is younger"):
        step("positioned", NAMES, clean, green, position="0/1")
    step("positioned", NAMES, clean, green, position=position)
    with pytest.raises(BlueGreenError, match="it cannot be changed once the copied slots are gone"):
        step("positioned", NAMES, clean, green, position="7/7")
    servers.remove(green)


def test_a_subscription_that_knows_no_tables_is_never_called_running(
    servers: Servers, clean: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    step("prepared", NAMES, clean)
    green = servers.clone(clean)
    step("positioned", NAMES, clean, green)
    with monkeypatch.context() as patch:
        patch.setattr(subscription, "_OPTIONS", subscription._OPTIONS.replace("connect = true", "connect = false"))
        with pytest.raises(WaitTimeout, match=r"are skipped: .*public\.ledger"):
            step("running", NAMES, clean, green, wait_timeout=1.0)
    run(clean, "INSERT INTO ledger (writer, n) VALUES (2, 2)", database="shop")
    found = deployment_status(clean, green, NAMES, marker_timeout=1.0)["replication"]
    assert (found["running"], found["lag"]) == (False, {"seconds": None, "bytes": None})
    assert {check.id for check in switchover_checks(clean, green, NAMES, ["shop"]) if check.status == "failed"} == {
        "tables_in_step_shop"
    }
    servers.remove(green)


def test_no_limit_of_a_role_or_a_database_ends_our_own_work(servers: Servers) -> None:
    limits = ("statement_timeout", "lock_timeout", "idle_session_timeout", "idle_in_transaction_session_timeout")
    endpoint = servers.blue(version=NEWER)
    for limit in (*limits, "transaction_timeout"):
        run(endpoint, f"ALTER ROLE CURRENT_USER SET {limit} = '1s'")
    with closing(connect(endpoint)) as conn:
        assert {rows(conn, f"SHOW {limit}")[0][0] for limit in (*limits, "transaction_timeout")} == {"0"}
    servers.remove(endpoint)


def test_blue_out_of_reach_of_green_is_one_sentence_and_nothing_is_changed(
    servers: Servers, clean: Endpoint, run_module: RunModule
) -> None:
    step("prepared", NAMES, clean)
    green = servers.clone(clean)
    step("positioned", NAMES, clean, green)
    servers.engine.fault_link(clean.host, "cut", "replication")
    try:
        before = everything(clean, green)
        with pytest.raises(ModuleFailed) as refused:
            run_module(
                MODULE, state="running", deployment_id="pg-test", blue=login(clean), green=login(green), wait_timeout=10
            )
        assert everything(clean, green) == before
    finally:
        servers.engine.fault_link(clean.host, "none", "replication")
    assert f"its server could not use the publisher at {clean.host}:5432" in refused.value.msg
    assert (refused.value.result["changed"], refused.value.result["actions"]) == (False, [])
    step("running", NAMES, clean, green)
    servers.remove(green)


def test_a_subscription_that_stopped_at_an_error_is_reported_and_goes_on_when_mended(
    servers: Servers, clean: Endpoint
) -> None:
    pair = replicated(servers, clean, NAMES.deployment_id)
    key = random.randint(10**9, 2 * 10**9)
    insert = f"INSERT INTO ledger (id, writer, n) OVERRIDING SYSTEM VALUE VALUES ({key}, 4, 4)"
    run(pair.green, insert, database="shop")
    run(clean, insert, database="shop")
    with pytest.raises(BlueGreenError, match=r"stopped at an error \([1-9]\d* so far\).*ALTER SUBSCRIPTION .. SKIP"):
        _until_stopped(pair)
    found = deployment_status(clean, pair.green, NAMES)
    assert found["replication"]["running"] is False
    assert found["replication"]["lag"] == {"seconds": None, "bytes": None}
    assert "stopped at an error" in found["replication"]["error"]
    run(pair.green, f"DELETE FROM ledger WHERE id = {key}", database="shop")
    journal, result = step("running", NAMES, clean, pair.green)
    assert journal.actions == [f"start subscription {NAMES.subscription('forward', 'shop')} in shop on green"]
    assert result["replication"]["running"] is True
    assert (4, 4) in kept(pair.green)
    servers.remove(pair.green)


def _until_stopped(pair: Pair) -> None:
    for _attempt in range(100):
        step("running", pair.names, pair.blue, pair.green)
        time.sleep(0.1)


def test_a_table_made_after_the_clone_is_reported_instead_of_skipped(servers: Servers, clean: Endpoint) -> None:
    pair = replicated(servers, clean, NAMES.deployment_id)
    run(clean, "CREATE TABLE late (a int PRIMARY KEY)", database="shop")
    try:
        run(pair.green, "CREATE TABLE late (a int PRIMARY KEY)", database="shop")
        found = deployment_status(clean, pair.green, NAMES)["replication"]
        assert found["running"] is False
        assert "are skipped: public.late" in found["error"]
        assert found["databases"]["postgres"]["running"] is True
    finally:
        run(clean, "DROP TABLE late", database="shop")
    servers.remove(pair.green)


def test_status_is_an_error_when_the_slot_is_gone_and_never_a_lag_of_zero(servers: Servers, clean: Endpoint) -> None:
    pair = replicated(servers, clean, NAMES.deployment_id)
    step("stopped", NAMES, clean, pair.green)
    slot = NAMES.slot("forward", "shop")
    for _attempt in range(100):
        if run(clean, f"SELECT active FROM pg_replication_slots WHERE slot_name = '{slot}'") == [(False,)]:
            break
        time.sleep(0.05)
    run(clean, f"SELECT pg_drop_replication_slot('{slot}')")
    found = deployment_status(clean, pair.green, NAMES, marker_timeout=1.0)["replication"]
    assert found["lag"] == {"seconds": None, "bytes": None}
    assert f"the publisher has no slot {slot}" in found["databases"]["shop"]["error"]
    assert found["running"] is False and found["error"]
    servers.remove(pair.green)


def test_a_subscription_whose_publisher_is_gone_can_be_removed(servers: Servers) -> None:
    blue = servers.blue()
    run(blue, *TABLES, database="shop")
    pair = replicated(servers, blue, NAMES.deployment_id)
    servers.stop(blue, crash=True)
    journal, result = step("absent", NAMES, None, pair.green)
    assert f"drop subscription {NAMES.subscription('forward', 'shop')} in shop on green" in journal.actions
    assert run(pair.green, "SELECT count(*) FROM pg_subscription") == [(0,)]
    assert result["replication"] is None
    servers.remove(blue, pair.green)


def test_replication_goes_on_after_crashes_of_both_sides(servers: Servers) -> None:
    blue = servers.blue()
    run(blue, *TABLES, database="shop")
    pair = replicated(servers, blue, NAMES.deployment_id)
    with Writers(blue, "shop", 2) as writers:
        for crashed in (pair.green, blue):
            time.sleep(0.3)
            servers.stop(crashed, crash=True)
            servers.start(crashed)
    step("running", NAMES, blue, pair.green)
    assert writers.acknowledged <= set(kept(pair.green))
    assert sorted(kept(blue)) == sorted(kept(pair.green))
    servers.remove(blue, pair.green)


def test_after_a_switchover_every_state_but_absent_changes_nothing_and_says_so(
    servers: Servers, run_module: RunModule
) -> None:
    blue = servers.blue()
    run(blue, *TABLES, database="shop")
    pair = replicated(servers, blue, NAMES.deployment_id)
    sides = {"deployment_id": "pg-test", "blue": login(blue), "green": login(pair.green)}
    run_module("bg_switchover", engine="aurora_postgresql", **sides)
    before = everything(blue, pair.green)
    for state in ("prepared", "positioned", "running", "stopped"):
        result = run_module(MODULE, state=state, **sides)
        assert (result["changed"], result["actions"], result["serving"]) == (False, [], "green")
        assert "The traffic has moved to green already" in result["msg"]
        assert (result["replication"]["direction"], result["replication"]["running"]) == ("reverse", True)
    assert everything(blue, pair.green) == before
    proof = run_module("bg_verify", engine="aurora_postgresql", **sides)
    assert (proof["verified"], proof["source"]) == (True, "green")
    run_module(MODULE, state="absent", **sides)
    left = everything(blue, pair.green)
    assert "pg_test" not in left and "bluegreen" not in left
    assert run_module(MODULE, state="absent", **sides)["changed"] is False
    servers.remove(blue, pair.green)


def test_a_green_that_was_rolled_back_from_cannot_be_continued(servers: Servers, run_module: RunModule) -> None:
    blue = servers.blue()
    run(blue, *TABLES, database="shop")
    pair = replicated(servers, blue, NAMES.deployment_id)
    sides = {"deployment_id": "pg-test", "blue": login(blue), "green": login(pair.green)}
    for state in ("switched_over", "rolled_back"):
        run_module(
            "bg_switchover",
            engine="aurora_postgresql",
            state=state,
            reverse_replication=state != "rolled_back",
            **sides,
        )
    before = everything(blue, pair.green)
    with pytest.raises(ModuleFailed, match=r"run state=absent, delete green and begin a new deployment"):
        run_module(MODULE, state="running", **sides)
    assert everything(blue, pair.green) == before
    servers.remove(blue, pair.green)


def test_no_password_is_in_any_result(servers: Servers, clean: Endpoint, run_module: RunModule) -> None:
    common = {"deployment_id": "pg-test", "blue": login(clean), "diff": True}
    said = [run_module(MODULE, state="prepared", **common)]
    green = servers.clone(clean)
    for state in ("positioned", "running", "absent"):
        said.append(run_module(MODULE, state=state, green=login(green), **common))
    for result in said:
        result.pop("invocation", None)
    text = repr(said)
    assert PASSWORD not in text and repr(PASSWORD)[1:-1] not in text
    assert "SCRAM" not in text and "password" not in text
    servers.remove(green)
