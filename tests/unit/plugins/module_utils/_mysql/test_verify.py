# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How tables of MySQL are compared, if they can be at all: decided from their shapes, and from what a binary log tells."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.bluegreen.aws.plugins.module_utils._core.comparison import TableProof, judge, summed_up
from ansible_collections.bluegreen.aws.plugins.module_utils._core.differences import ExpectedDifferences
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.verify_moment import harmless
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.verify_objects import (
    Definitions,
    Object,
    compare,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.verify_others import chosen, report
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.verify_row import (
    Column,
    after,
    among,
    before,
    key_text,
    key_value,
    row_hash,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.verify_rules import (
    buckets,
    common,
    digest,
    elsewhere,
    incomparable,
    large,
    without,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.verify_table import Shape, modern

ID = Column("id", "int", "int")
V = Column("v", "varchar(20) utf8mb4", "varchar", nullable=True, charset="utf8mb4", octets=80)
SHAPE = Shape(("shop", "orders"), {"id": ID, "v": V}, ("id",), "PRIMARY", 1)


# Rows and keys


def test_a_row_is_hashed_with_what_is_null_and_how_long_its_texts_are() -> None:
    said = row_hash([ID, V])
    assert "CONCAT_WS('#', `id`, (ISNULL(`v`) << 0), LENGTH(`v`), `v`)" in said
    assert "SHA2(" in said and "MD5" not in said and "CRC32" not in said


def test_texts_of_several_character_sets_are_hashed_as_bytes() -> None:
    other = Column("w", "varchar(20) latin1", "varchar", charset="latin1", octets=20)
    assert "CAST(`v` AS BINARY), CAST(`w` AS BINARY)" in row_hash([ID, V, other])


def test_what_could_exceed_a_packet_is_hashed_by_itself() -> None:
    notes = [Column(f"t{number}", "text utf8mb4", "text", charset="utf8mb4", octets=65535) for number in range(9)]
    assert "SHA2(`t0`, 256)" in row_hash([ID, *notes])
    assert "SHA2(`t0`, 256)" not in row_hash([ID, *notes[:2]])
    assert "SHA2(`j`, 256)" in row_hash([ID, Column("j", "json", "json")])


def test_more_columns_than_a_number_has_bits_have_several_masks() -> None:
    columns = [Column(f"c{number}", "int", "int", nullable=True) for number in range(61)]
    assert "(ISNULL(`c59`) << 59), (ISNULL(`c60`) << 0)" in row_hash(columns)


def test_a_per_cent_sign_in_a_name_is_not_a_place_for_a_value() -> None:
    assert key_text(Column("100%`s", "int", "int")) == "CONCAT(`100%%``s`)"


@pytest.mark.parametrize(
    ("base", "text", "value"),
    [
        ("bigint", "-7", -7),
        ("decimal", "1.50", Decimal("1.50")),
        ("float", "0.10000000149011612", 0.10000000149011612),
        ("enum", "2", 2),
        ("varbinary", "00FF", b"\x00\xff"),
        ("datetime", "2024-01-01 00:00:00.5", "2024-01-01 00:00:00.5"),
        ("varchar", "o'brien", "o'brien"),
    ],
)
def test_the_text_of_a_key_is_bound_as_the_type_that_it_has(base: str, text: str, value: object) -> None:
    assert key_value(Column("k", base, base), text) == value


KEY = [Column("a", "int", "int"), Column("b", "int", "int")]
edges = st.tuples(st.integers(-3, 3), st.integers(-3, 3))


def _holds(condition: tuple[str, list[object]], row: tuple[int, int]) -> bool:
    text, values = condition
    text = text.replace("`a`", str(row[0])).replace("`b`", str(row[1]))
    text = (text % tuple(values)).replace(" = ", " == ").replace("AND", "and").replace("OR", "or")
    return bool(eval(text))  # noqa: S307


@given(edges, edges)
def test_conditions_beside_an_edge_are_those_of_the_order_of_keys(edge: tuple[int, int], row: tuple[int, int]) -> None:
    texts = tuple(map(str, edge))
    assert _holds(before(KEY, texts), row) == (row < edge)
    assert _holds(after(KEY, texts, equal=True), row) == (row >= edge)
    assert _holds(after(KEY, texts, equal=False), row) == (row > edge)


def test_rows_are_found_by_one_column_or_by_several() -> None:
    assert among([ID], [("1",), ("2",)]) == ("`id` IN (%s, %s)", [1, 2])
    assert among(KEY, [("1", "2")]) == ("(`a`, `b`) IN ((%s, %s))", [1, 2])


# Shapes


@pytest.mark.parametrize(
    ("here", "there", "words"),
    [
        (None, SHAPE, "the table is not on blue"),
        (SHAPE, None, "the table is not on green"),
        (
            SHAPE,
            replace(SHAPE, columns={"id": replace(ID, kind="bigint"), "v": V}),
            "column id is int on blue and bigint on green",
        ),
        (
            SHAPE,
            replace(SHAPE, columns={"id": ID}),
            "column v is varchar(20) utf8mb4 on blue and missing on green",
        ),
        (SHAPE, replace(SHAPE, engine="MEMORY"), "on green its engine is MEMORY"),
    ],
)
def test_tables_that_are_not_alike_cannot_be_compared(here: Shape | None, there: Shape | None, words: str) -> None:
    assert words in str(incomparable(here, there, "blue"))
    assert incomparable(SHAPE, replace(SHAPE, columns={"v": V, "id": ID}), "blue") is None


def test_a_key_of_one_side_alone_is_not_used() -> None:
    assert common(SHAPE, SHAPE).key == ("id",)
    assert common(SHAPE, replace(SHAPE, key=(), index="", ranged=0)).key == ()


def test_a_column_that_may_be_null_on_one_side_is_hashed_as_one_that_may() -> None:
    assert common(replace(SHAPE, columns={"id": ID, "v": replace(V, nullable=False)}), SHAPE).columns["v"].nullable


def test_a_key_with_a_column_that_is_left_out_is_none() -> None:
    left = without(SHAPE, ["id"])
    assert left is not None and (list(left.columns), left.key, left.ranged) == (["v"], (), 0)
    kept = without(SHAPE, ["v"])
    assert kept is not None and (list(kept.columns), kept.key, kept.ranged) == (["id"], ("id",), 1)


def test_only_a_large_table_with_an_ordered_key_is_read_by_several_sessions() -> None:
    assert large(replace(SHAPE, estimated_rows=1_000_000))
    assert not large(replace(SHAPE, estimated_rows=1000))
    assert not large(replace(SHAPE, estimated_rows=1_000_000, ranged=0))


@pytest.mark.parametrize(("rows", "number"), [(0, 1), (999, 1), (2000, 2), (3000, 4), (10**9, 65536)])
def test_buckets_are_a_power_of_two_of_about_a_thousand_rows(rows: int, number: int) -> None:
    assert buckets(rows) == number


def test_a_proof_counts_for_the_same_columns_and_key_only() -> None:
    assert digest(SHAPE) == digest(replace(SHAPE, estimated_rows=7))
    others = [replace(SHAPE, key=()), replace(SHAPE, columns={"id": ID})]
    assert len({digest(SHAPE), *map(digest, others)}) == 3


def test_rows_that_are_elsewhere_are_not_ours_to_compare() -> None:
    assert elsewhere(replace(SHAPE, engine="FEDERATED")) and not elsewhere(SHAPE) and not elsewhere(None)


def test_names_of_before_8_0_30_are_those_of_after() -> None:
    assert [modern(name) for name in ("utf8", "utf8_bin", "utf8mb4", "latin1")] == [
        "utf8mb3",
        "utf8mb3_bin",
        "utf8mb4",
        "latin1",
    ]


# Snapshots that are one


def _transaction(table: str, start: int) -> list[tuple[str, str, int]]:
    return [
        ("Gtid", "SET @@SESSION.GTID_NEXT= 'x:1'", start + 10),
        ("Query", "BEGIN", start + 20),
        ("Table_map", f"table_id: 7 ({table})", start + 30),
        ("Update_rows", "table_id: 7 flags: STMT_END_F", start + 40),
        ("Xid", "COMMIT /* xid=7 */", start + 50),
    ]


MARKER = _transaction("bluegreen.marker", 100)


def test_snapshots_are_one_when_nothing_of_the_table_is_written_after_the_marker() -> None:
    assert harmless(MARKER, 150, SHAPE)
    assert harmless([*_transaction("shop.orders", 50), *MARKER], 150, SHAPE)
    assert harmless([*MARKER, *_transaction("shop.items", 150)], 200, SHAPE)


@pytest.mark.parametrize(
    ("events", "end", "shape"),
    [
        ([*MARKER, *_transaction("shop.orders", 150)], 200, SHAPE),
        ([*MARKER, *_transaction("shop.parent", 150)], 200, replace(SHAPE, cascades=True)),
        ([*MARKER, ("Query", "use `shop`; UPDATE orders SET v = 1", 200)], 200, SHAPE),
        ([*MARKER, ("Transaction_payload", "compression='ZSTD'", 200)], 200, SHAPE),
        (MARKER, 200, SHAPE),
        (_transaction("shop.items", 100), 150, SHAPE),
        ([], 150, SHAPE),
    ],
    ids=["the table", "a cascade", "a statement", "unknown", "not all of it", "no marker", "nothing"],
)
def test_otherwise_they_may_not_be(events: list[tuple[str, str, int]], end: int, shape: Shape) -> None:
    assert not harmless(events, end, shape)


# What is defined, counted and chosen


def _definitions(
    *objects: Object, kinds: frozenset[str] = frozenset({"table", "check", "event"}), **words: str
) -> Definitions:
    return Definitions({one: dict(words) for one in objects}, kinds)


def test_what_a_version_does_not_know_is_no_difference() -> None:
    check = _definitions(Object("orders", "check", "positive"))
    none = _definitions(kinds=frozenset({"table"}))
    nothing = ExpectedDifferences()
    assert compare("shop", none, check, nothing, lambda _label: False).different == []
    assert compare("shop", _definitions(), check, nothing, lambda _label: False).different == [
        "shop: orders: check positive is not on blue"
    ]


def test_a_table_that_is_left_out_is_so_with_all_that_belongs_to_it() -> None:
    check = _definitions(Object("orders", "check", "positive"))
    assert (
        compare("shop", _definitions(), check, ExpectedDifferences(), lambda label: label == "shop.orders").different
        == []
    )


def test_an_event_that_only_replication_disabled_is_a_warning() -> None:
    event = Object("", "event", "nightly")
    on, off, other = (_definitions(event, status=said) for said in ("ENABLED", "DISABLED", "REPLICA_SIDE_DISABLED"))
    found = compare("shop", on, other, ExpectedDifferences(), lambda _label: False)
    assert found.different == [] and "enable it on green after the switchover" in found.warnings[0]
    assert len(compare("shop", on, off, ExpectedDifferences(), lambda _label: False).different) == 1


def test_definitions_that_differ_fail_although_every_row_is_equal() -> None:
    equal = TableProof("shop", "shop", "orders", 1, 1, equal=True)
    with pytest.raises(
        BlueGreenError, match="Blue and green should be alike, but a; b; c; 2 more definitions differ: do not"
    ):
        judge([equal], {}, summed_up(["a", "b", "c", "d", "e"]))
    judge([equal], {}, summed_up([]))


def test_a_counter_of_green_that_is_lower_is_behind() -> None:
    declared = ExpectedDifferences.of([{"object": "shop.c"}])
    found = report("shop", {"a": 5, "b": 5, "c": 5, "d": 5}, {"a": 5, "b": 4, "c": 1}, declared)
    assert found.compared == 4
    assert found.behind == [
        "shop.b: AUTO_INCREMENT is 4 on green, but 5 on blue",
        "shop.d: AUTO_INCREMENT is not on green",
    ]


def test_schemas_of_either_side_are_compared_unless_they_are_named() -> None:
    assert chosen({"a"}, {"b"}, None, "blue") == ["a", "b"]
    assert chosen({"a", "b"}, {"b"}, ["a"], "blue") == ["a"]
    with pytest.raises(BlueGreenError, match="should name schemas on blue, but c is not there: it has a"):
        chosen({"a"}, {"b"}, ["c"], "blue")
