# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables that replication cannot identify the rows of: refused, or given a replica identity for the time of a deployment."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg2
import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.endpoint import Endpoint
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._core.verification import Options
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.connection import (
    connect,
    execute,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.guardrails import Intent, create_checks
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.verify import verify
from tests.integration.conftest import ModuleFailed, RunModule
from tests.integration.postgresql.conftest import Servers, everything, hold, login, run, step

NAMES = Names.of("identity-test")
# Each UPDATE of these would fail on blue once it is published, or stop the subscriber.
NO_IDENTITY = {
    "no key": ("CREATE TABLE bare (a int)", "shop: public.bare ", "FULL"),
    "NOTHING": (
        "CREATE TABLE bare (a int PRIMARY KEY); ALTER TABLE bare REPLICA IDENTITY NOTHING",
        "shop: public.bare (its replica identity is NOTHING)",
        'USING INDEX "bare_pkey"',
    ),
    "deferrable key": (
        "CREATE TABLE bare (a int PRIMARY KEY DEFERRABLE, b int NOT NULL, UNIQUE (b))",
        "shop: public.bare (its key is deferrable)",
        'USING INDEX "bare_b_key"',
    ),
    "generated key": (
        "CREATE TABLE bare (b int NOT NULL UNIQUE, a int GENERATED ALWAYS AS (b + 1) STORED PRIMARY KEY)",
        "shop: public.bare (its key has a generated column)",
        'USING INDEX "bare_b_key"',
    ),
    "FULL over json": (
        "CREATE DOMAIN doc AS json; CREATE TABLE bare (a int, docs doc[]); ALTER TABLE bare REPLICA IDENTITY FULL",
        "shop: public.bare (a column has a type without equality, which FULL needs)",
        "",
    ),
}
UNSUITABLE = (
    "CREATE UNIQUE INDEX one ON bare (a)",  # nullable
    "CREATE UNIQUE INDEX two ON bare (b) WHERE b > 0",  # partial
    "CREATE UNIQUE INDEX three ON bare ((b + 1))",  # over an expression
    "ALTER TABLE bare ADD CONSTRAINT four UNIQUE (b) DEFERRABLE",
    "CREATE INDEX five ON bare (b)",  # not unique
    "CREATE UNIQUE INDEX six ON bare (c)",  # generated
)


@pytest.fixture(scope="module")
def blue(servers: Servers) -> Iterator[Endpoint]:
    """One blue for all; every test leaves it as it was."""
    endpoint = servers.blue()
    run(endpoint, "CREATE TABLE orders (id int PRIMARY KEY)", database="shop")
    yield endpoint
    servers.remove(endpoint)


@pytest.fixture
def clean(blue: Endpoint) -> Iterator[Endpoint]:
    """The same blue, without the deployment and the table after the test."""
    yield blue
    step("absent", NAMES, blue)
    run(blue, "DROP TABLE IF EXISTS bare", "DROP TABLE IF EXISTS indexed", "DROP DOMAIN IF EXISTS doc", database="shop")


def identity(endpoint: Endpoint, table: str = "bare") -> tuple[str, str | None]:
    """The table's relreplident and the index that it names."""
    found = run(
        endpoint,
        "SELECT relreplident::text, (SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = c.oid AND indisreplident)"
        f" FROM pg_class c WHERE oid = '{table}'::regclass",
        database="shop",
    )
    return found[0][0], found[0][1]


@pytest.mark.parametrize("case", NO_IDENTITY)
def test_a_table_that_updates_would_fail_on_is_refused_with_the_statement(clean: Endpoint, case: str) -> None:
    table, evidence, given = NO_IDENTITY[case]
    run(clean, table, database="shop")
    before = everything(clean)
    with pytest.raises(BlueGreenError) as refused:
        step("prepared", NAMES, clean)
    assert everything(clean) == before
    said = refused.value.message
    assert evidence in said
    if given:
        statement = f'ALTER TABLE "public"."bare" REPLICA IDENTITY {given}'
        assert f"in database shop: {statement};" in said
        run(clean, statement, database="shop")
    else:
        statement = said.split("in database shop: ")[1].split(";")[0]
        run(clean, statement, database="shop")
        again = {check.id: check for check in create_checks(clean, None, NAMES, None)}["replica_identity"].remedy
        run(clean, again.removeprefix("in database shop: ").split(";")[0], database="shop")
    step("prepared", NAMES, clean)
    run(
        clean, "INSERT INTO bare DEFAULT VALUES" if case == "no key" else "UPDATE bare SET a = DEFAULT", database="shop"
    )


@pytest.mark.parametrize("policy", ["index", "full"])
def test_no_unsuitable_index_is_taken(clean: Endpoint, policy: Any) -> None:
    run(
        clean,
        "CREATE TABLE bare (a int, b int NOT NULL, c int GENERATED ALWAYS AS (b) STORED NOT NULL)",
        *UNSUITABLE,
        database="shop",
    )
    with pytest.raises(BlueGreenError, match=r"there is none on shop: public\.bare"):
        step("prepared", NAMES, clean, replica_identity=policy)
    run(clean, "CREATE UNIQUE INDEX seven ON bare (b)", database="shop")
    step("prepared", NAMES, clean, replica_identity=policy)
    assert identity(clean) == ("i", "seven")


def test_index_refuses_a_table_without_one_and_full_takes_the_whole_row(clean: Endpoint) -> None:
    run(clean, "CREATE TABLE bare (a int)", "CREATE TABLE indexed (a int NOT NULL UNIQUE)", database="shop")
    before = everything(clean)
    with pytest.raises(BlueGreenError, match=r"there is none on shop: public\.bare "):
        step("prepared", NAMES, clean, replica_identity="index")
    assert (everything(clean), identity(clean, "indexed")) == (before, ("d", None))
    judged = create_checks(clean, None, NAMES, None, Intent(replica_identity="full"))
    assert [check.status for check in judged if check.id == "replica_identity"] == ["ok"]
    step("prepared", NAMES, clean, replica_identity="full")
    assert (identity(clean), identity(clean, "indexed")) == (("f", None), ("i", "indexed_a_key"))


def test_full_refuses_what_cannot_be_compared_and_what_a_newer_green_would_fail_on(clean: Endpoint) -> None:
    run(
        clean,
        "CREATE TABLE bare (a json)",
        "CREATE TABLE indexed (a int, b int GENERATED ALWAYS AS (a) STORED)",
        database="shop",
    )
    with pytest.raises(BlueGreenError, match=r"there is none on shop: public\.bare, shop: public\.indexed"):
        step("prepared", NAMES, clean, replica_identity="full")


def test_the_change_is_foreseen_followed_by_green_and_given_back_on_both_sides(
    servers: Servers, clean: Endpoint, run_module: RunModule
) -> None:
    run(
        clean,
        "CREATE TABLE bare (a int, b int)",
        "INSERT INTO bare SELECT n, n FROM generate_series(1, 50) n",
        "CREATE TABLE indexed (a int NOT NULL UNIQUE, b int)",
        "INSERT INTO indexed SELECT n, n FROM generate_series(1, 50) n",
        "ALTER TABLE indexed REPLICA IDENTITY NOTHING",
        database="shop",
    )
    options = {
        "state": "prepared",
        "deployment_id": NAMES.deployment_id,
        "blue": login(clean),
        "replica_identity": "full",
    }
    foreseen = run_module("pg_logical_subscription", check=True, diff=True, **options)
    assert identity(clean) == ("d", None)
    done = run_module("pg_logical_subscription", diff=True, **options)
    assert done["actions"] == foreseen["actions"]
    assert "set the replica identity of public.bare in shop on blue to FULL" in done["actions"]
    assert done["diff"] == foreseen["diff"]
    assert done["diff"]["before"]["shop"]["replica_identity"] == {"public.bare": "DEFAULT", "public.indexed": "NOTHING"}
    assert done["diff"]["after"]["shop"]["replica_identity"] == {
        "public.bare": "FULL",
        "public.indexed": "index indexed_a_key",
    }
    assert run_module("pg_logical_subscription", **options)["changed"] is False
    green = servers.clone(clean)
    step("positioned", NAMES, clean, green)
    step("running", NAMES, clean, green)
    for table in ("bare", "indexed"):
        run(clean, f"UPDATE {table} SET b = -b WHERE a < 10", f"DELETE FROM {table} WHERE a > 40", database="shop")
    step("running", NAMES, clean, green)
    proofs = verify(clean, green, NAMES, ["shop"], Options()).tables
    assert {(proof.table, proof.equal, proof.green_rows) for proof in proofs if proof.schema == "public"} == {
        ("orders", True, 0),
        ("bare", True, 40),
        ("indexed", True, 40),
    }
    step("absent", NAMES, clean, green)
    for side in (clean, green):
        assert (identity(side), identity(side, "indexed")) == (("d", None), ("n", None))
    servers.remove(green)


def test_a_table_made_while_blue_is_prepared_is_mended_by_preparing_again(clean: Endpoint) -> None:
    step("prepared", NAMES, clean, replica_identity="full")
    run(clean, "CREATE TABLE bare (a int)", "INSERT INTO bare VALUES (1)", database="shop")
    with pytest.raises(psycopg2.errors.ObjectNotInPrerequisiteState):
        run(clean, "UPDATE bare SET a = 2", database="shop")
    journal, _result = step("prepared", NAMES, clean, replica_identity="full")
    assert journal.actions == ["set the replica identity of public.bare in shop on blue to FULL"]
    run(clean, "UPDATE bare SET a = 2", database="shop")


def test_what_somebody_else_has_set_meanwhile_is_left_as_it_is(clean: Endpoint) -> None:
    run(clean, "CREATE TABLE bare (a int NOT NULL)", database="shop")
    step("prepared", NAMES, clean, replica_identity="full")
    run(clean, "ALTER TABLE bare ADD CONSTRAINT bare_key UNIQUE (a)", database="shop")
    run(clean, "ALTER TABLE bare REPLICA IDENTITY USING INDEX bare_key", database="shop")
    journal, _result = step("absent", NAMES, clean)
    assert "forget the replica identity of public.bare in shop on blue" in journal.actions
    assert identity(clean) == ("i", "bare_key")


def test_a_busy_table_does_not_stall_its_clients_and_ends_in_a_sentence(clean: Endpoint, run_module: RunModule) -> None:
    run(clean, "CREATE TABLE bare (a int)", database="shop")
    before = everything(clean)
    ended, failures = threading.Event(), []

    def write() -> None:
        with closing(connect(clean.at("shop"))) as conn:
            execute(conn, "SET lock_timeout = '3s'")
            while not ended.wait(0.02):
                try:
                    execute(conn, "INSERT INTO bare VALUES (1)")
                except psycopg2.Error as error:
                    failures.append(str(error))

    writer = threading.Thread(target=write)
    reading = "SET idle_in_transaction_session_timeout = '20s'; SELECT * FROM bare"
    with closing(hold(clean, reading, "shop")) as reader:
        pid = reader.info.backend_pid
        writer.start()
        try:
            with pytest.raises(ModuleFailed) as refused:
                run_module(
                    "pg_logical_subscription",
                    state="prepared",
                    deployment_id=NAMES.deployment_id,
                    blue=login(clean),
                    databases=["shop"],
                    replica_identity="full",
                    slot_timeout=2,
                )
        finally:
            ended.set()
            writer.join()
    assert failures == []
    assert (
        "The replica identity of public.bare in database shop should be changed, but the table was in use for 2 s"
        in (refused.value.msg)
    )
    assert f"process {pid} of shop_admin (idle in transaction)" in refused.value.msg
    assert identity(clean) == ("d", None)
    step("absent", NAMES, clean)
    assert everything(clean) == before
    step("prepared", NAMES, clean, replica_identity="full", databases=["shop"])
