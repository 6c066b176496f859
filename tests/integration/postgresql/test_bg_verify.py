# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""bg_verify: what is the same is proved to be, what is not is found, and what cannot be told is never called equal."""

from __future__ import annotations

import pytest

from tests.integration.conftest import ModuleFailed, RunModule
from tests.integration.postgresql.conftest import Pair, everything, run, step
from tests.integration.postgresql.proof import NAMES, NAMES_OF_TABLES, load, on_green, options, proofs


def test_every_kind_of_table_is_proved_equal_across_versions(proof_pair: Pair, run_module: RunModule) -> None:
    before = everything(proof_pair.blue, proof_pair.green)
    result = run_module("bg_verify", **options(proof_pair))
    assert (result["verified"], result["source"], result["changed"]) == (True, "blue", False)
    tables = {table["table"]: table for table in result["tables"]}
    assert sorted(tables) == NAMES_OF_TABLES
    assert all(table["equal"] and table["error"] is None and table["differences"] == [] for table in tables.values())
    counted = {name: (table["blue_rows"], table["green_rows"]) for name, table in tables.items()}
    assert all(here == there for here, there in counted.values())
    assert {name: counted[name][0] for name in ("plain", "keyless", "nothing", "part_1", "part_2", "empty")} == {
        "plain": 5000,
        "keyless": 10,
        "nothing": 1,
        "part_1": 50,
        "part_2": 51,
        "empty": 0,
    }
    assert (counted["parent"], counted["child"], counted["guarded"]) == ((1, 1), (2, 2), (2, 2))
    assert result["not_compared"] == [
        "shop: public.summed is a materialized view, which is not replicated: refresh it on green"
    ]
    assert result["stall_ms"] is None
    assert everything(proof_pair.blue, proof_pair.green) == before


def test_each_row_that_is_changed_missing_or_too_much_is_found_and_the_module_fails(
    proof_pair: Pair, run_module: RunModule
) -> None:
    with (
        on_green(
            proof_pair,
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
        run_module("bg_verify", **options(proof_pair))
    assert "public.plain differs in 3 rows" in failed.value.msg
    assert failed.value.result["verified"] is False
    plain = next(table for table in failed.value.result["tables"] if table["table"] == "plain")
    assert (plain["equal"], plain["different"]) == (False, 3)
    assert plain["differences"] == ["id=777: not the same", "id=888: only on blue", "id=9999: only on green"]
    assert "spoiled" not in str(failed.value.result)


def test_a_null_is_not_an_empty_string(proof_pair: Pair) -> None:
    with on_green(
        proof_pair, "UPDATE by_index SET b = '' WHERE a = 1", undo=("UPDATE by_index SET b = NULL WHERE a = 1",)
    ):
        assert proofs(proof_pair)["by_index"].differences == ["a=1: not the same"]


def test_a_doubled_row_without_a_key_is_found(proof_pair: Pair) -> None:
    undo = ("DELETE FROM keyless WHERE ctid = (SELECT max(ctid) FROM keyless)",)
    with on_green(proof_pair, "INSERT INTO keyless VALUES ('same', 1.50)", undo=undo):
        found = proofs(proof_pair)["keyless"]
    assert (found.blue_rows, found.green_rows, found.equal, found.different) == (10, 11, False, 1)
    assert found.differences[0].endswith("10 times on blue, 11 times on green")


def test_a_row_doubled_where_only_green_lost_its_key_is_found(proof_pair: Pair) -> None:
    with on_green(
        proof_pair,
        "ALTER TABLE plain DROP CONSTRAINT plain_pkey",
        "ALTER TABLE plain REPLICA IDENTITY FULL",
        "INSERT INTO plain VALUES (1, 'row 1')",
        undo=(
            "DELETE FROM plain WHERE ctid = (SELECT max(ctid) FROM plain WHERE id = 1)",
            "ALTER TABLE plain ADD PRIMARY KEY (id)",
            "ALTER TABLE plain REPLICA IDENTITY DEFAULT",
        ),
    ):
        found = proofs(proof_pair)["plain"]
    assert (found.equal, found.different) == (False, 1)


def test_columns_in_another_order_are_compared_by_name(proof_pair: Pair) -> None:
    with on_green(
        proof_pair,
        "ALTER TABLE by_index RENAME b TO old",
        "ALTER TABLE by_index ADD b text",
        "UPDATE by_index SET b = old",
        "ALTER TABLE by_index DROP old",
        undo=(),
    ):
        assert proofs(proof_pair)["by_index"].equal


def test_under_load_nothing_is_called_different_and_a_fault_is_still_found(proof_pair: Pair) -> None:
    with load(proof_pair) as written:
        for _turn in range(3):
            assert {name: (proof.equal, proof.error) for name, proof in proofs(proof_pair).items()} == dict.fromkeys(
                NAMES_OF_TABLES, (True, None)
            )
        undo = ("UPDATE by_index SET b = NULL WHERE a = 1", "DELETE FROM keyless WHERE v = 'a ghost'")
        with on_green(
            proof_pair,
            "UPDATE by_index SET b = 'x' WHERE a = 1",
            "INSERT INTO keyless VALUES ('a ghost', 0)",
            undo=undo,
        ):
            found = proofs(proof_pair)
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
    proof_pair: Pair, run_module: RunModule, statements: list[str], undo: list[str], table: str, error: str
) -> None:
    with on_green(proof_pair, *statements, undo=tuple(undo)), pytest.raises(ModuleFailed) as failed:
        run_module("bg_verify", **options(proof_pair))
    found = {one["table"]: one for one in failed.value.result["tables"]}
    assert (found[table]["equal"], found[table]["different"]) == (False, 0)
    assert "could not be compared" in found[table]["error"] and error in found[table]["error"]
    assert error in failed.value.msg and "\n" not in failed.value.msg
    assert [name for name, one in found.items() if not one["equal"]] == [table]


def test_an_unlogged_table_has_to_be_excluded_by_name(proof_pair: Pair) -> None:
    run(proof_pair.green, "CREATE UNLOGGED TABLE cache (a int)", database="shop")
    run(proof_pair.blue, "CREATE UNLOGGED TABLE cache (a int)", database="shop")
    try:
        assert "the table is unlogged" in str(proofs(proof_pair)["cache"].error)
        assert "cache" not in proofs(proof_pair, exclude=["public.cache"])
        assert "cache" not in proofs(proof_pair, exclude=["shop.public.c*"])
        assert "cache" in proofs(proof_pair, exclude=["postgres.public.cache"])
    finally:
        run(proof_pair.green, "DROP TABLE cache", database="shop")
        run(proof_pair.blue, "DROP TABLE cache", database="shop")


def test_without_replication_a_difference_is_not_proved_and_not_called_equal(proof_pair: Pair) -> None:
    step("stopped", NAMES, proof_pair.blue, proof_pair.green)
    try:
        run(proof_pair.blue, "UPDATE plain SET v = 'on its way' WHERE id = 5", database="shop")
        found = proofs(proof_pair, marker_timeout=0.5)
        assert (found["plain"].equal, found["plain"].different) == (False, 0)
        assert "did not reach the other within 0.5 s" in str(found["plain"].error)
        assert found["part_1"].equal
    finally:
        step("running", NAMES, proof_pair.blue, proof_pair.green)
    assert proofs(proof_pair)["plain"].equal


def test_nothing_to_compare_is_no_proof(proof_pair: Pair, run_module: RunModule) -> None:
    with pytest.raises(ModuleFailed, match="Tables should be compared, but there are none"):
        run_module("bg_verify", **options(proof_pair, databases=["postgres"]))


def test_check_mode_compares_nothing(proof_pair: Pair, run_module: RunModule) -> None:
    assert run_module("bg_verify", check=True, **options(proof_pair))["skipped"] is True
