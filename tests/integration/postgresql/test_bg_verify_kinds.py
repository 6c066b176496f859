# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""bg_verify: values that a type, a collation or a sum of hashes takes for the same are told apart, and only those."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core import comparison
from ansible_collections.bluegreen.aws.plugins.module_utils._core.differences import ExpectedDifferences
from ansible_collections.bluegreen.aws.plugins.module_utils._core.verification import Options
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql import verify_rules, verify_table
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.verify import verify
from tests.integration.conftest import ModuleFailed, RunModule
from tests.integration.postgresql.conftest import Pair, run
from tests.integration.postgresql.proof import KINDS, NAMES, NEARLY, on_green, options, proofs, unequal


@pytest.fixture(params=["records", "texts"])
def hashed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """As servers from 14 on are read, and as those before."""
    if request.param == "texts":
        monkeypatch.setattr(verify_table, "FAST_VERSION", 1_000_000)


@pytest.mark.usefixtures("hashed")
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


def test_forms_of_the_same_value_are_no_difference(proof_pair: Pair) -> None:
    # infinity - infinity is a NaN with another sign than the one that replication makes of its text
    run(
        proof_pair.blue,
        "UPDATE kinds SET f4 = 'inf'::float4 - 'inf', f8 = 'inf'::float8 - 'inf' WHERE id = 900",
        database="shop",
    )
    sent = "SELECT float8send(f8) FROM kinds WHERE id = 900"
    assert unequal(proofs(proof_pair)) == {}
    assert run(proof_pair.blue, sent, database="shop") != run(proof_pair.green, sent, database="shop")


# What is done to green, how it is taken back, and what has to be said about which table.
FAULTS = {
    "swapped values": (
        "UPDATE swapped SET a = 3 - a",
        "UPDATE swapped SET a = 3 - a",
        ("swapped", "id=1: not the same", "id=2: not the same"),
    ),
    "a key that is equal to the other": (
        "UPDATE folded SET k = 1.00 WHERE k = 1",
        "UPDATE folded SET k = 1.0 WHERE k = 1",
        ("folded", "k=1.0: only on blue", "k=1.00: only on green"),
    ),
    "a key of an enum": (
        "UPDATE by_mood SET v = 7 WHERE m = 'ok'",
        "UPDATE by_mood SET v = 2 WHERE m = 'ok'",
        ("by_mood", "m=ok: not the same"),
    ),
    "names of our own": (
        "UPDATE aliases SET t = 7 WHERE k = 3",
        "UPDATE aliases SET t = 3 WHERE k = 3",
        ("aliases", "k=3, k0=3: not the same"),
    ),
    "a key with included columns": (
        "UPDATE covered SET v = 'x' WHERE id = 1",
        "UPDATE covered SET v = 'one' WHERE id = 1",
        ("covered", "id=1: not the same"),
    ),
    "a parent": (
        "UPDATE ONLY parent SET v = 'x'",
        "UPDATE ONLY parent SET v = 'parent'",
        ("parent", "id=1: not the same"),
    ),
    "a partition": (
        "UPDATE part SET m = 7 WHERE id = 120",
        "UPDATE part SET m = 120 WHERE id = 120",
        ("part_2", "id=120: not the same"),
    ),
    "a hidden row": (
        "UPDATE guarded SET v = 'changed' WHERE id = 2",
        "UPDATE guarded SET v = 'hidden' WHERE id = 2",
        ("guarded", "id=2: not the same"),
    ),
    "a wide row": (
        "UPDATE wide SET v = left(v, -1) || 'f'",
        "UPDATE wide SET v = left(v, -1) || 'e'",
        ("wide", "id=1: not the same"),
    ),
    "an empty table": ("INSERT INTO empty VALUES (1)", "DELETE FROM empty", ("empty", "id=1: only on green")),
    "the end of the table": (
        "INSERT INTO plain VALUES (9999, repeat('x', 7000))",
        "DELETE FROM plain WHERE id = 9999",
        ("plain", "id=9999: only on green"),
    ),
}


@pytest.mark.usefixtures("hashed")
def test_differences_are_found_and_named_and_nothing_else(proof_pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify_rules, "_LEAST_BLOCKS", 1)  # every table in parts
    changes, undo, said = zip(*FAULTS.values(), strict=True)
    with on_green(proof_pair, *changes, undo=undo):
        assert unequal(proofs(proof_pair)) == {table: tuple(words) for table, *words in said}


@pytest.mark.usefixtures("hashed")
def test_values_swapped_between_rows_without_a_key_are_found(proof_pair: Pair) -> None:
    change = "UPDATE swapped_keyless SET a = 6 - a"
    with on_green(proof_pair, change, undo=(change,)):
        found = proofs(proof_pair)
        assert list(unequal(found)) == ["swapped_keyless"]
        assert found["swapped_keyless"].different == 4


def test_a_null_key_that_is_there_twice_is_counted(proof_pair: Pair) -> None:
    undo = ("DELETE FROM nullable WHERE ctid = (SELECT max(ctid) FROM nullable)",)
    with on_green(proof_pair, "INSERT INTO nullable VALUES (NULL, 'x')", undo=undo):
        (said,) = unequal(proofs(proof_pair))["nullable"]
    assert said.endswith("2 times on blue, 3 times on green")


@pytest.mark.parametrize(
    ("change", "undo", "said"),
    [
        ("SELECT lo_put(4711, 1400000, 'x')", "SELECT lo_put(4711, 1400000, '\\xab')", "loid=4711: not the same"),
        ("SELECT lo_put(4712, 0, '\\x00')", "SELECT lo_truncate(lo_open(4712, 131072), 0)", "loid=4712: not the same"),
        ("SELECT lo_unlink(4713)", "SELECT lo_from_bytea(4713, 'x')", "loid=4713: only on blue"),
    ],
    ids=["changed", "longer by a zero", "missing"],
)
def test_large_objects_are_compared_as_a_table(proof_pair: Pair, change: str, undo: str, said: str) -> None:
    with on_green(proof_pair, change, undo=(undo,)):
        assert unequal(proofs(proof_pair)) == {"pg_largeobject": (said,)}
        assert "pg_largeobject" not in proofs(proof_pair, exclude=["pg_catalog.pg_largeobject"])
    assert unequal(proofs(proof_pair)) == {}


def test_sequences_that_are_behind_are_reported_and_fail_nothing_before_the_switchover(
    proof_pair: Pair, run_module: RunModule
) -> None:
    run(proof_pair.blue, "SELECT setval('counted', 100)", database="shop")
    result = run_module("bg_verify", **options(proof_pair))
    assert result["sequences"] == {
        "compared": 1,
        "behind": ["shop: public.counted is at 1 (not given out yet) on green, but at 100 on blue"],
    }
    run(proof_pair.green, "SELECT setval('counted', 105)", database="shop")
    found = verify(proof_pair.blue, proof_pair.green, NAMES, ["shop"], Options())
    assert found.sequences_behind == []
    run(proof_pair.blue, "SELECT setval('counted', 110)", database="shop")
    assert verify(proof_pair.green, proof_pair.blue, NAMES, ["shop"], Options()).sequences_behind == [
        "shop: public.counted is at 105 on green, but at 110 on blue"
    ]


def test_declared_differences_are_left_out_and_said(proof_pair: Pair, run_module: RunModule) -> None:
    declared: list[dict[str, Any]] = [
        {"object": "public.plain", "columns": ["v", "added"]},
        {"object": "shop.public.new_on_green"},
        {"object": "public.folded", "columns": ["k"]},
        {"object": "public.by_mod"},
        {"object": "public.covered", "columns": ["vv"]},
    ]
    with on_green(
        proof_pair,
        "ALTER TABLE plain ADD added int DEFAULT 7",
        "UPDATE plain SET v = 'migrated' WHERE id = 1",
        "CREATE TABLE new_on_green (a int)",
        "UPDATE folded SET k = 1.00 WHERE k = 1",
        undo=(
            "ALTER TABLE plain DROP added",
            "UPDATE plain SET v = 'row 1' WHERE id = 1",
            "DROP TABLE new_on_green",
            "UPDATE folded SET k = 1.0 WHERE k = 1",
        ),
    ):
        result = run_module("bg_verify", **options(proof_pair, expected_differences=declared))
        tables = {table["table"]: table for table in result["tables"]}
        assert (tables["plain"]["equal"], tables["plain"]["columns_left_out"]) == (True, ["added", "v"])
        assert (tables["folded"]["equal"], tables["folded"]["columns_left_out"]) == (True, ["k"])
        new = tables["new_on_green"]
        assert (new["expected"], new["equal"], new["error"]) == (True, False, None)
        warnings = [str(warning) for warning in result["warnings"]]
        assert "public.by_mod matches nothing on either side" in warnings[0]
        assert "no column of public.covered is named vv" in warnings[1]
        assert len(warnings) == 2
        run(proof_pair.green, "DELETE FROM plain WHERE id = 2", database="shop")
        found = proofs(proof_pair, expected=ExpectedDifferences.of(declared))["plain"]
        run(proof_pair.green, "INSERT INTO plain (id, v) VALUES (2, 'row 2')", database="shop")
        assert found.differences == ["id=2: only on blue"]
        with pytest.raises(ModuleFailed, match="column added is missing on blue"):
            run_module(
                "bg_verify", **options(proof_pair, expected_differences=[{"object": "public.plain", "columns": ["v"]}])
            )
