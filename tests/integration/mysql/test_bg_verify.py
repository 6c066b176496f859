# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""bg_verify on MySQL: what is the same is proved to be, what is not is found, and what cannot be told is never called equal."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core import comparison
from ansible_collections.bluegreen.aws.plugins.module_utils._core.differences import ExpectedDifferences
from ansible_collections.bluegreen.aws.plugins.module_utils._core.verification import Options
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql import verify_table
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.verify import verify
from tests.integration.conftest import ModuleFailed, RunModule
from tests.integration.mysql.conftest import everything, run
from tests.integration.mysql.proof import (
    KINDS,
    NAMES,
    NAMES_OF_TABLES,
    NEARLY,
    ORDERS,
    Pair,
    changed,
    on_green,
    options,
    proofs,
    stopped,
    unequal,
    verdict,
)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_table, "ROWS_PER_CHUNK", 500)


def test_every_kind_of_table_is_proved_equal_and_nothing_is_changed(proof_pair: Pair, run_module: RunModule) -> None:
    before = everything(proof_pair.blue, proof_pair.green)
    result = run_module("bg_verify", **options(proof_pair, databases=None))
    assert (result["verified"], result["source"], result["changed"]) == (True, "blue", False)
    tables = {table["table"]: table for table in result["tables"]}
    assert sorted(tables) == NAMES_OF_TABLES
    assert all(table["equal"] and table["error"] is None and table["differences"] == [] for table in tables.values())
    assert {(table["database"], table["schema"]) for table in tables.values()} == {("shop", "shop")}
    counted = {name: (table["blue_rows"], table["green_rows"]) for name, table in tables.items()}
    assert all(here == there for here, there in counted.values())
    assert {name: counted[name][0] for name in ("plain", "orders", "keyless", "part", "kinds", "void")} == {
        "plain": 1000,
        "orders": ORDERS,
        "keyless": 10,
        "part": 100,
        "kinds": len(KINDS),
        "void": 0,
    }
    assert result["definitions"]["different"] == [] and result["definitions"]["compared"] > 100
    assert result["sequences"] == {"compared": 2, "behind": []}
    assert (result["not_compared"], result["stall_ms"]) == ([], None)
    assert everything(proof_pair.blue, proof_pair.green) == before


@pytest.mark.parametrize("method", ["live", "cut"])
def test_each_row_that_is_changed_missing_or_too_much_is_found_and_the_module_fails(
    proof_pair: Pair, run_module: RunModule, method: str
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
        run_module("bg_verify", **options(proof_pair, method=method, lock_timeout=5))
    assert "shop.plain differs in 3 rows" in failed.value.msg
    assert failed.value.result["verified"] is False
    plain = next(table for table in failed.value.result["tables"] if table["table"] == "plain")
    assert (plain["equal"], plain["different"]) == (False, 3)
    assert plain["differences"] == ["id=777: not the same", "id=888: only on blue", "id=9999: only on green"]
    assert "spoiled" not in str(failed.value.result)


def test_values_that_are_nearly_the_same_are_found_in_every_type(
    proof_pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert unequal(proofs(proof_pair)) == {}
    changes = [f"UPDATE kinds SET {kind.split()[0]} = {NEARLY[kind][1]} WHERE id = {n}" for n, kind in enumerate(KINDS)]
    undo = [f"UPDATE kinds SET {kind.split()[0]} = {NEARLY[kind][0]} WHERE id = {n}" for n, kind in enumerate(KINDS)]
    monkeypatch.setattr(comparison, "MAX_DIFFERENCES", len(KINDS))
    with on_green(proof_pair, *changes, undo=tuple(undo)):
        found = unequal(proofs(proof_pair))
    assert set(found.pop("kinds")) == {f"id={number}: not the same" for number in range(len(KINDS))}
    assert found == {}


# What is done to green, how it is taken back, and what has to be said about which table.
FAULTS = {
    "a null that became empty": (
        "UPDATE by_index SET b = '' WHERE a = 1",
        "UPDATE by_index SET b = NULL WHERE a = 1",
        ("by_index", "a=1: not the same"),
    ),
    "swapped values": (
        "UPDATE swapped SET a = 3 - a",
        "UPDATE swapped SET a = 3 - a",
        ("swapped", "id=1: not the same", "id=2: not the same"),
    ),
    "a key that is equal to the other": (
        "UPDATE folded SET k = 'ONE' WHERE k = 'one'",
        "UPDATE folded SET k = 'one' WHERE k = 'one'",
        ("folded", "k=ONE: only on green", "k=one: only on blue"),
    ),
    "a key of odd types": (
        "UPDATE by_mood SET v = 7 WHERE m = 'ok'",
        "UPDATE by_mood SET v = 2 WHERE m = 'ok'",
        ("by_mood", "m=2, f=-0.10000000149011612, b=3, at=2024-01-01 00:00:00.000000: not the same"),
    ),
    "names of our own": (
        "UPDATE aliases SET t = 7 WHERE k = 3",
        "UPDATE aliases SET t = 3 WHERE k = 3",
        ("aliases", "k=3, h=3: not the same"),
    ),
    "a key of a prefix": (
        "UPDATE by_prefix SET v = 7 WHERE k = 'two'",
        "UPDATE by_prefix SET v = 2 WHERE k = 'two'",
        ("by_prefix", "k=two: not the same"),
    ),
    "an invisible key": (
        "UPDATE invisible_key SET v = 'x' WHERE my_id = 2",
        "UPDATE invisible_key SET v = 'b' WHERE my_id = 2",
        ("invisible_key", "my_id=2: not the same"),
    ),
    "a partition": (
        "UPDATE part SET v = 7 WHERE id = 99",
        "UPDATE part SET v = 99 WHERE id = 99",
        ("part", "id=99, at=2021-03-10: not the same"),
    ),
    "an odd name": (
        "UPDATE `100% \"odd\"` SET w = '2024-01-01' WHERE `the %key` = '7'",
        "UPDATE `100% \"odd\"` SET w = NULL WHERE `the %key` = '7'",
        ('100% "odd"', "the %key=7, b`%s=7902699BE42C8A8E46FBBB4501726517: not the same"),
    ),
    "an empty table": ("INSERT INTO void VALUES (1)", "DELETE FROM void", ("void", "id=1: only on green")),
    "the ends of a large table": (
        "DELETE FROM orders WHERE id IN (1, 6000)",
        "INSERT INTO orders SELECT n, n % 997, n * 1.37, CONCAT('note of order ', n), '2024-01-01' + INTERVAL n SECOND"
        " FROM (SELECT 1 AS n UNION ALL SELECT 6000) AS g",
        ("orders", "id=1: only on blue", "id=6000: only on blue"),
    ),
    "the middle of a large table": (
        "UPDATE items SET v = 'x' WHERE tenant = 'tenant 1' AND number = 3001",
        "UPDATE items SET v = 'line 3001' WHERE tenant = 'tenant 1' AND number = 3001",
        ("items", "tenant=tenant 1, number=3001: not the same"),
    ),
}


def test_differences_are_found_and_named_and_nothing_else(proof_pair: Pair) -> None:
    changes, undo, said = zip(*FAULTS.values(), strict=True)
    with on_green(proof_pair, *changes, undo=undo):
        assert unequal(proofs(proof_pair)) == {table: tuple(words) for table, *words in said}


def test_rows_without_a_key_are_counted_and_a_swap_between_them_is_found(proof_pair: Pair) -> None:
    with on_green(
        proof_pair,
        "INSERT INTO keyless VALUES ('same', 1.50)",
        "UPDATE swapped_keyless SET a = 6 - a",
        "INSERT INTO nullable VALUES (NULL, 'x')",
        undo=(
            "DELETE FROM keyless LIMIT 1",
            "UPDATE swapped_keyless SET a = 6 - a",
            "DELETE FROM nullable WHERE a IS NULL LIMIT 1",
        ),
    ):
        found = proofs(proof_pair)
    assert sorted(unequal(found)) == ["keyless", "nullable", "swapped_keyless"]
    assert (found["keyless"].blue_rows, found["keyless"].green_rows, found["keyless"].different) == (10, 11, 1)
    assert found["keyless"].differences[0].endswith("10 times on blue, 11 times on green")
    assert found["nullable"].differences[0].endswith("2 times on blue, 3 times on green")
    assert found["swapped_keyless"].different == 4


def test_a_row_doubled_where_only_green_lost_its_key_is_found(proof_pair: Pair) -> None:
    with on_green(
        proof_pair,
        "ALTER TABLE plain DROP PRIMARY KEY",
        "INSERT INTO plain VALUES (1, 'row 1')",
        undo=("DELETE FROM plain WHERE id = 1 LIMIT 1", "ALTER TABLE plain ADD PRIMARY KEY (id)"),
    ):
        found = proofs(proof_pair)["plain"]
    assert (found.equal, found.different) == (False, 1)


def test_columns_in_another_order_are_compared_by_name(proof_pair: Pair) -> None:
    with on_green(
        proof_pair,
        "ALTER TABLE swapped MODIFY b text FIRST",
        undo=("ALTER TABLE swapped MODIFY b text AFTER a",),
    ):
        assert proofs(proof_pair)["swapped"].equal


# What is done to green, how it is taken back, and what is said.
DEFINITIONS = {
    "default": (
        "ALTER TABLE orders ALTER amount SET DEFAULT 1",
        "ALTER TABLE orders ALTER amount SET DEFAULT 0",
        "shop: orders: column amount has default '0.00' on blue, but '1.00' on green",
    ),
    "null": (
        "ALTER TABLE orders MODIFY placed datetime(6) NOT NULL",
        "ALTER TABLE orders MODIFY placed datetime(6)",
        "shop: orders: column placed has nullable 'YES' on blue, but 'NO' on green",
    ),
    "collation": (
        "ALTER TABLE swapped MODIFY b text COLLATE utf8mb4_bin",
        "ALTER TABLE swapped MODIFY b text",
        "shop: swapped: column b has collation 'utf8mb4_0900_ai_ci' on blue, but 'utf8mb4_bin' on green",
    ),
    "index": (
        "ALTER TABLE orders DROP INDEX by_customer",
        "ALTER TABLE orders ADD INDEX by_customer (customer)",
        "shop: orders: index by_customer is not on green",
    ),
    "foreign key": (
        "ALTER TABLE child DROP FOREIGN KEY child_ibfk_1",
        "ALTER TABLE child ADD CONSTRAINT child_ibfk_1 FOREIGN KEY (parent) REFERENCES parent (id) ON UPDATE CASCADE",
        "shop: child: foreign key child_ibfk_1 is not on green",
    ),
    "check": (
        "ALTER TABLE child ADD CONSTRAINT positive CHECK (v > 0)",
        "ALTER TABLE child DROP CHECK positive",
        "shop: child: check positive is not on blue",
    ),
    "view": (
        "ALTER VIEW recent AS SELECT id FROM plain WHERE id > 901",
        "ALTER VIEW recent AS SELECT id FROM plain WHERE id > 900",
        "shop: view recent has definition",
    ),
    "trigger": ("DROP TRIGGER stamp", None, "shop: by_prefix: trigger stamp is not on green"),
    "function": (
        "DROP FUNCTION doubled; CREATE FUNCTION doubled(n int) RETURNS int DETERMINISTIC RETURN n * 3",
        "DROP FUNCTION doubled; CREATE FUNCTION doubled(n int) RETURNS int DETERMINISTIC RETURN n * 2",
        "shop: routine doubled (function) has definition 'RETURN n * 2' on blue, but 'RETURN n * 3' on green",
    ),
    "definer": (
        "DROP PROCEDURE nothing; CREATE DEFINER = 'nobody'@'%' PROCEDURE nothing(IN a int, OUT b int) SET b = a",
        "DROP PROCEDURE nothing; CREATE PROCEDURE nothing(IN a int, OUT b int) SET b = a",
        "shop: routine nothing (procedure) has definer 'shop_admin@%' on blue, but 'nobody@%' on green",
    ),
    "event": (
        "ALTER EVENT nightly ON SCHEDULE EVERY 2 DAY STARTS '2040-01-01'",
        "ALTER EVENT nightly ON SCHEDULE EVERY 1 DAY STARTS '2040-01-01'",
        "shop: event nightly has interval_value '1' on blue, but '2' on green",
    ),
    "schema": (
        "ALTER SCHEMA shop CHARACTER SET latin1",
        "ALTER SCHEMA shop CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci",
        "shop: the schema has character set 'utf8mb4' on blue, but 'latin1' on green",
    ),
}


def test_every_definition_that_differs_is_said_and_fails_unless_it_was_declared(
    proof_pair: Pair, run_module: RunModule
) -> None:
    changes = [one for change, _undo, _said in DEFINITIONS.values() for one in change.split("; ")]
    trigger = "CREATE TRIGGER stamp BEFORE INSERT ON by_prefix FOR EACH ROW SET NEW.v = COALESCE(NEW.v, 7)"
    undo = [one for _change, back, _said in DEFINITIONS.values() for one in (back or trigger).split("; ")]
    declared = [{"object": "shop.*"}]
    with on_green(proof_pair, *changes, undo=tuple(undo)):
        found = verdict(proof_pair).definitions
        assert found is not None
        for _change, _undo, said in DEFINITIONS.values():
            assert [one for one in found.different if one.startswith(said)] != [], (said, found.different)
        # the schema's collation, and the rest of what is named above
        assert len(found.different) == len(DEFINITIONS) + 1
        with pytest.raises(ModuleFailed, match=r"is not on green|has .* on blue, but .* on green") as failed:
            run_module("bg_verify", **options(proof_pair))
        assert failed.value.result["definitions"]["different"] == found.different
        assert unequal(proofs(proof_pair)) == {}
        left = verdict(proof_pair, expected=ExpectedDifferences.of(declared)).definitions
        assert left is not None and [one for one in left.different if "the schema" not in one] == []
    after = verdict(proof_pair).definitions
    assert after is not None and after.different == []


def test_an_event_made_after_the_clone_is_warned_of(proof_pair: Pair) -> None:
    changed(proof_pair.blue, "CREATE EVENT weekly ON SCHEDULE EVERY 7 DAY STARTS '2040-01-01' DO DELETE FROM void")
    try:
        found = verdict(proof_pair)
    finally:
        changed(proof_pair.blue, "DROP EVENT weekly")
    assert found.definitions is not None and found.definitions.different == []
    assert [one for one in found.warnings if "event weekly was made after the clone" in one] != []


def test_a_counter_that_is_behind_is_reported_and_fails_nothing_before_the_switchover(
    proof_pair: Pair, run_module: RunModule
) -> None:
    changed(proof_pair.blue, "SET SESSION sql_log_bin = 0", "ALTER TABLE orders AUTO_INCREMENT = 20000")
    try:
        result = run_module("bg_verify", **options(proof_pair))
        assert result["sequences"] == {
            "compared": 2,
            "behind": [f"shop.orders: AUTO_INCREMENT is {ORDERS + 1} on green, but 20000 on blue"],
        }
    finally:
        changed(proof_pair.blue, "SET SESSION sql_log_bin = 0", f"ALTER TABLE orders AUTO_INCREMENT = {ORDERS + 1}")
    found = verify(proof_pair.blue, proof_pair.green, NAMES, ["shop"], Options())
    assert found.sequences_behind == []


def test_declared_differences_are_left_out_and_said(proof_pair: Pair, run_module: RunModule) -> None:
    declared: list[dict[str, Any]] = [
        {"object": "shop.plain", "columns": ["v", "added"]},
        {"object": "shop.new_on_green"},
        {"object": "shop.folded", "columns": ["k"]},
        {"object": "shop.by_mod"},
        {"object": "shop.part", "columns": ["vv"]},
    ]
    with on_green(
        proof_pair,
        "ALTER TABLE plain ADD added int DEFAULT 7",
        "UPDATE plain SET v = 'migrated' WHERE id = 1",
        "CREATE TABLE new_on_green (a int)",
        "UPDATE folded SET k = 'ONE' WHERE k = 'one'",
        undo=(
            "ALTER TABLE plain DROP added",
            "UPDATE plain SET v = 'row 1' WHERE id = 1",
            "DROP TABLE new_on_green",
            "UPDATE folded SET k = 'one' WHERE k = 'one'",
        ),
    ):
        result = run_module("bg_verify", **options(proof_pair, expected_differences=declared))
        tables = {table["table"]: table for table in result["tables"]}
        assert (tables["plain"]["equal"], tables["plain"]["columns_left_out"]) == (True, ["added", "v"])
        assert (tables["folded"]["equal"], tables["folded"]["columns_left_out"]) == (True, ["k"])
        new = tables["new_on_green"]
        assert (new["expected"], new["equal"], new["error"]) == (True, False, None)
        warnings = [str(warning) for warning in result["warnings"]]
        assert "shop.by_mod matches nothing on either side" in warnings[0]
        assert "no column of shop.part is named vv" in warnings[1]
        assert len(warnings) == 2
        with pytest.raises(ModuleFailed, match="column added is missing on blue"):
            run_module("bg_verify", **options(proof_pair, expected_differences=declared[1:3]))


@pytest.mark.parametrize(
    ("statements", "undo", "table", "error"),
    [
        (["CREATE TABLE extra (a int)"], ["DROP TABLE extra"], "extra", "the table is not on blue"),
        (
            ["ALTER TABLE void ADD note text"],
            ["ALTER TABLE void DROP note"],
            "void",
            "column note is missing on blue and text utf8mb4 on green",
        ),
        (
            ["ALTER TABLE void ENGINE = MEMORY"],
            ["ALTER TABLE void ENGINE = InnoDB"],
            "void",
            "on green its engine is MEMORY",
        ),
    ],
    ids=["missing table", "other columns", "other engine"],
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


def test_without_replication_a_difference_is_not_proved_and_not_called_equal(proof_pair: Pair) -> None:
    with stopped(proof_pair):
        run(proof_pair.blue, "UPDATE plain SET v = 'on its way' WHERE id = 5", database="shop")
        found = proofs(proof_pair, marker_timeout=0.5)
        assert (found["plain"].equal, found["plain"].different) == (False, 0)
        assert "replication does not run: it is stopped" in str(found["plain"].error)
        assert found["by_index"].equal
    assert proofs(proof_pair)["plain"].equal
    run(proof_pair.blue, "UPDATE plain SET v = 'row 5' WHERE id = 5", database="shop")


def test_nothing_to_compare_is_no_proof(proof_pair: Pair, run_module: RunModule) -> None:
    with pytest.raises(ModuleFailed, match="Tables should be compared, but there are none"):
        run_module("bg_verify", **options(proof_pair, exclude=["shop.*"]))
    with pytest.raises(ModuleFailed, match="databases should name schemas on blue, but shoop is not there"):
        run_module("bg_verify", **options(proof_pair, databases=["shoop"]))


def test_check_mode_compares_nothing(proof_pair: Pair, run_module: RunModule) -> None:
    assert run_module("bg_verify", check=True, **options(proof_pair))["skipped"] is True
