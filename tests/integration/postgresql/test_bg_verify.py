# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""bg_verify: what is the same is proved to be, what is not is found, and what cannot be told is never called equal."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.comparison import TableProof
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.connection import connect, execute
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.verify import Options, verify
from tests.integration.conftest import ModuleFailed, RunModule
from tests.integration.postgresql.conftest import Pair, Servers, everything, login, replicated, run, step

NAMES = Names.of("proof-test")
TABLES = (
    "CREATE TABLE plain (id int PRIMARY KEY, v text)",
    "INSERT INTO plain SELECT g, 'row ' || g FROM generate_series(1, 5000) g",
    "ANALYZE plain",
    "CREATE TABLE keyless (v text, n numeric)",
    "ALTER TABLE keyless REPLICA IDENTITY FULL",
    "INSERT INTO keyless SELECT 'same', 1.50 FROM generate_series(1, 10)",
    'CREATE TABLE "100% ""odd""" ("the %key" char(5), b uuid, "v%s" float8, w timestamptz, x bytea, y jsonb, z int[],'
    ' PRIMARY KEY ("the %key", b))',
    'INSERT INTO "100% ""odd""" SELECT g::text, gen_random_uuid(), g / 3.0, now(), decode(md5(g::text), \'hex\'),'
    " '{\"a\": [1, null]}', ARRAY[g, NULL] FROM generate_series(1, 50) g",
    "CREATE TABLE part (id bigint PRIMARY KEY, v interval, m money) PARTITION BY RANGE (id)",
    "CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (100)",
    "CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (100) TO (200)",
    "INSERT INTO part SELECT g, g * interval '1 hour', g::money FROM generate_series(50, 150) g",
    "CREATE TABLE by_index (a int NOT NULL UNIQUE, b text)",
    "ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_a_key",
    "INSERT INTO by_index VALUES (1, NULL), (2, '')",
    "CREATE TABLE nothing ()",
    "ALTER TABLE nothing REPLICA IDENTITY FULL",
    "INSERT INTO nothing DEFAULT VALUES",
)
NAMES_OF_TABLES = ['100% "odd"', "by_index", "keyless", "nothing", "part_1", "part_2", "plain"]


@pytest.fixture(scope="module")
def pair(servers: Servers) -> Iterator[Pair]:
    """Blue on 16 and a green on 18 that follows it; every test leaves them equal."""
    blue = servers.blue()
    run(blue, *TABLES, database="shop")
    made = replicated(servers, blue, NAMES.deployment_id, upgrade=True)
    yield made
    servers.remove(made.blue, made.green)


def proofs(pair: Pair, **options: Any) -> dict[str, TableProof]:
    found = verify(pair.blue, pair.green, NAMES, ["shop"], Options(**options))
    return {proof.table: proof for proof in found.tables}


@contextmanager
def on_green(pair: Pair, *statements: str, undo: tuple[str, ...]) -> Iterator[None]:
    """Change green behind replication's back, and take it back."""
    run(pair.green, *statements, database="shop")
    try:
        yield
    finally:
        run(pair.green, *undo, database="shop")


def options(pair: Pair, **more: Any) -> dict[str, Any]:
    return {
        "deployment_id": "proof-test",
        "engine": "aurora_postgresql",
        "blue": login(pair.blue),
        "green": login(pair.green),
        **more,
    }


def test_every_kind_of_table_is_proved_equal_across_versions(pair: Pair, run_module: RunModule) -> None:
    before = everything(pair.blue, pair.green)
    result = run_module("bg_verify", **options(pair))
    assert (result["verified"], result["source"], result["changed"]) == (True, "blue", False)
    tables = {table["table"]: table for table in result["tables"]}
    assert sorted(tables) == NAMES_OF_TABLES
    assert all(table["equal"] and table["error"] is None and table["differences"] == [] for table in tables.values())
    assert {name: (table["blue_rows"], table["green_rows"]) for name, table in tables.items()} == {
        '100% "odd"': (50, 50),
        "by_index": (2, 2),
        "keyless": (10, 10),
        "nothing": (1, 1),
        "part_1": (50, 50),
        "part_2": (51, 51),
        "plain": (5000, 5000),
    }
    assert everything(pair.blue, pair.green) == before


def test_each_row_that_is_changed_missing_or_too_much_is_found_and_the_module_fails(
    pair: Pair, run_module: RunModule
) -> None:
    with (
        on_green(
            pair,
            "UPDATE plain SET v = 'spoiled' WHERE id = 777",
            "DELETE FROM plain WHERE id = 888",
            "INSERT INTO plain VALUES (9999, 'nobody wrote this')",
            undo=(
                "UPDATE plain SET v = 'row 777' WHERE id = 777",
                "INSERT INTO plain VALUES (888, 'row 888')",
                "DELETE FROM plain WHERE id = 9999",
            ),
        ),
        pytest.raises(ModuleFailed) as failed,
    ):
        run_module("bg_verify", **options(pair))
    assert "public.plain differs in 3 rows" in failed.value.msg
    assert failed.value.result["verified"] is False
    plain = next(table for table in failed.value.result["tables"] if table["table"] == "plain")
    assert (plain["equal"], plain["different"]) == (False, 3)
    assert plain["differences"] == ["id=777: not the same", "id=888: only on blue", "id=9999: only on green"]
    assert "spoiled" not in str(failed.value.result)


def test_a_null_is_not_an_empty_string(pair: Pair) -> None:
    with on_green(pair, "UPDATE by_index SET b = '' WHERE a = 1", undo=("UPDATE by_index SET b = NULL WHERE a = 1",)):
        assert proofs(pair)["by_index"].differences == ["a=1: not the same"]


def test_a_doubled_row_without_a_key_is_found(pair: Pair) -> None:
    undo = ("DELETE FROM keyless WHERE ctid = (SELECT max(ctid) FROM keyless)",)
    with on_green(pair, "INSERT INTO keyless VALUES ('same', 1.50)", undo=undo):
        found = proofs(pair)["keyless"]
    assert (found.blue_rows, found.green_rows, found.equal, found.different) == (10, 11, False, 1)
    assert found.differences[0].endswith("10 times on blue, 11 times on green")


def test_a_row_doubled_where_only_green_lost_its_key_is_found(pair: Pair) -> None:
    with on_green(
        pair,
        "ALTER TABLE plain DROP CONSTRAINT plain_pkey",
        "ALTER TABLE plain REPLICA IDENTITY FULL",
        "INSERT INTO plain VALUES (1, 'row 1')",
        undo=(
            "DELETE FROM plain WHERE ctid = (SELECT max(ctid) FROM plain WHERE id = 1)",
            "ALTER TABLE plain ADD PRIMARY KEY (id)",
            "ALTER TABLE plain REPLICA IDENTITY DEFAULT",
        ),
    ):
        found = proofs(pair)["plain"]
    assert (found.equal, found.different) == (False, 1)


def test_columns_in_another_order_are_compared_by_name(pair: Pair) -> None:
    with on_green(
        pair,
        "ALTER TABLE by_index RENAME b TO old",
        "ALTER TABLE by_index ADD b text",
        "UPDATE by_index SET b = old",
        "ALTER TABLE by_index DROP old",
        undo=(),
    ):
        assert proofs(pair)["by_index"].equal


@contextmanager
def load(pair: Pair) -> Iterator[list[int]]:
    """Writers that keep a counter row, all rows of a table and a table without a key in flux."""
    stop, written = threading.Event(), [0, 0]

    def write(number: int) -> None:
        with closing(connect(pair.blue.at("shop"))) as conn:
            while not stop.is_set():
                execute(conn, "UPDATE plain SET v = v || '.' WHERE id = 1")
                execute(conn, "UPDATE plain SET v = left(v, 20) || '!' WHERE id %% 100 = %s", (written[number] % 100,))
                execute(conn, "INSERT INTO keyless VALUES (%s, 2)", (f"{number} {written[number]}",))
                written[number] += 1

    threads = [threading.Thread(target=write, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield written
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_under_load_nothing_is_called_different_and_a_fault_is_still_found(pair: Pair) -> None:
    with load(pair) as written:
        for _turn in range(3):
            assert {name: (proof.equal, proof.error) for name, proof in proofs(pair).items()} == dict.fromkeys(
                NAMES_OF_TABLES, (True, None)
            )
        undo = ("UPDATE by_index SET b = NULL WHERE a = 1", "DELETE FROM keyless WHERE v = 'a ghost'")
        with on_green(
            pair, "UPDATE by_index SET b = 'x' WHERE a = 1", "INSERT INTO keyless VALUES ('a ghost', 0)", undo=undo
        ):
            found = proofs(pair)
        assert sum(written) > 20
    assert [name for name, proof in found.items() if not proof.equal] == ["by_index", "keyless"]
    assert found["keyless"].different == 1


@pytest.mark.parametrize(
    ("statements", "undo", "table", "error"),
    [
        (["CREATE TABLE extra (a int)"], ["DROP TABLE extra"], "extra", "the table is not on blue"),
        (
            ["ALTER TABLE nothing ADD note text"],
            ["ALTER TABLE nothing DROP note"],
            "nothing",
            "column note is missing on blue and text on green",
        ),
        (
            ["ALTER TABLE by_index ENABLE ROW LEVEL SECURITY", "ALTER TABLE by_index FORCE ROW LEVEL SECURITY"],
            ["ALTER TABLE by_index NO FORCE ROW LEVEL SECURITY", "ALTER TABLE by_index DISABLE ROW LEVEL SECURITY"],
            "by_index",
            "query would be affected by row-level security policy",
        ),
        (
            ["REVOKE SELECT ON nothing FROM CURRENT_USER"],
            ["GRANT SELECT ON nothing TO CURRENT_USER"],
            "nothing",
            "permission denied for table nothing",
        ),
    ],
    ids=["missing table", "other columns", "hidden rows", "no right to read"],
)
def test_a_table_that_cannot_be_compared_is_said_so_and_never_equal(
    pair: Pair, run_module: RunModule, statements: list[str], undo: list[str], table: str, error: str
) -> None:
    with on_green(pair, *statements, undo=tuple(undo)), pytest.raises(ModuleFailed) as failed:
        run_module("bg_verify", **options(pair))
    found = {one["table"]: one for one in failed.value.result["tables"]}
    assert (found[table]["equal"], found[table]["different"]) == (False, 0)
    assert "could not be compared" in found[table]["error"] and error in found[table]["error"]
    assert error in failed.value.msg and "\n" not in failed.value.msg
    assert [name for name, one in found.items() if not one["equal"]] == [table]


def test_an_unlogged_table_has_to_be_excluded_by_name(pair: Pair) -> None:
    run(pair.green, "CREATE UNLOGGED TABLE cache (a int)", database="shop")
    run(pair.blue, "CREATE UNLOGGED TABLE cache (a int)", database="shop")
    try:
        assert "the table is unlogged" in str(proofs(pair)["cache"].error)
        assert "cache" not in proofs(pair, exclude=["public.cache"])
        assert "cache" not in proofs(pair, exclude=["shop.public.c*"])
        assert "cache" in proofs(pair, exclude=["postgres.public.cache"])
    finally:
        run(pair.green, "DROP TABLE cache", database="shop")
        run(pair.blue, "DROP TABLE cache", database="shop")


def test_without_replication_a_difference_is_not_proved_and_not_called_equal(pair: Pair) -> None:
    step("stopped", NAMES, pair.blue, pair.green)
    try:
        run(pair.blue, "UPDATE plain SET v = 'on its way' WHERE id = 5", database="shop")
        found = proofs(pair, marker_timeout=0.5)
        assert (found["plain"].equal, found["plain"].different) == (False, 0)
        assert "did not reach the other within 0.5 s" in str(found["plain"].error)
        assert found["part_1"].equal
    finally:
        step("running", NAMES, pair.blue, pair.green)
    assert proofs(pair)["plain"].equal


def test_nothing_to_compare_is_no_proof(pair: Pair, run_module: RunModule) -> None:
    with pytest.raises(ModuleFailed, match="Tables should be compared, but there are none"):
        run_module("bg_verify", **options(pair, databases=["postgres"]))


def test_check_mode_compares_nothing(pair: Pair, run_module: RunModule) -> None:
    assert run_module("bg_verify", check=True, **options(pair))["skipped"] is True
