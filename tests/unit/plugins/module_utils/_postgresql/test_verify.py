# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How tables are compared, if they can be at all: decided from their shapes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.differences import ExpectedDifferences
from ansible_collections.bluegreen.aws.plugins.module_utils._core.verification import unmatched
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.verify_rules import (
    chunks,
    common,
    digest,
    incomparable,
    parts,
    without,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.verify_table import Part, Shape

SHAPE = Shape(
    ("public", "orders"),
    {"id": "integer", "v": "text"},
    {"id": "integer"},
    True,
    0,
    oids={"id": 23, "v": 25},
    same={"id": "OPERATOR(pg_catalog.=)"},
)


@pytest.mark.parametrize(("rows", "parts"), [(0, 1), (999, 1), (1000, 1), (2000, 2), (3000, 4), (10**9, 65536)])
def test_chunks_are_a_power_of_two_of_about_a_thousand_rows(rows: int, parts: int) -> None:
    assert chunks(rows, 0) == parts


def test_a_table_that_was_never_analyzed_has_chunks_by_its_size() -> None:
    assert chunks(0, 100_000) > 1000


@pytest.mark.parametrize(
    ("here", "there", "words"),
    [
        (None, SHAPE, "the table is not on blue"),
        (SHAPE, None, "the table is not on green"),
        (
            SHAPE,
            replace(SHAPE, columns={"id": "bigint", "v": "text"}),
            "column id is integer on blue and bigint on green",
        ),
        (SHAPE, replace(SHAPE, columns={"id": "integer"}), "column v is text on blue and missing on green"),
        (SHAPE, replace(SHAPE, logged=False), "unlogged"),
    ],
)
def test_tables_that_are_not_alike_cannot_be_compared(here: Shape | None, there: Shape | None, words: str) -> None:
    assert words in str(incomparable(here, there, "blue"))
    assert incomparable(SHAPE, replace(SHAPE, columns={"v": "text", "id": "integer"}), "blue") is None


def test_a_key_of_one_side_alone_is_not_used() -> None:
    assert common(SHAPE, SHAPE).key == {"id": "integer"}
    assert common(SHAPE, replace(SHAPE, key={})).key == {}


def test_records_are_hashed_only_when_both_servers_can() -> None:
    assert common(SHAPE, SHAPE).fast
    assert not common(SHAPE, replace(SHAPE, fast=False)).fast
    assert not common(replace(SHAPE, fast=False), SHAPE).fast


def test_a_key_with_a_column_that_is_left_out_is_none() -> None:
    assert without(SHAPE, ["v"]) == replace(SHAPE, columns={"id": "integer"})
    left = without(SHAPE, ["id"])
    assert left is not None and (left.columns, left.key) == ({"v": "text"}, {})
    assert without(None, ["id"]) is None


def test_an_old_server_reads_a_table_in_one_part() -> None:
    assert len(parts(SHAPE, 1_000_000, 16)) == 16
    assert parts(replace(SHAPE, fast=False), 1_000_000, 16) == [Part(0, None)]
    assert parts(SHAPE, 0, 16) == [Part(0, None)]


def test_a_proof_counts_for_the_same_columns_and_key_only() -> None:
    assert digest(SHAPE) == digest(replace(SHAPE, estimated_rows=7))
    others = [replace(SHAPE, key={}), replace(SHAPE, columns={"id": "integer"})]
    assert len({digest(SHAPE), *map(digest, others)}) == 3


def test_a_declared_difference_that_matches_nothing_is_said() -> None:
    names = {"shop": {"public.orders", "public.orders_v_idx"}}
    columns = {("shop", "public.orders"): {"id", "v"}}

    def warnings(*declared: dict[str, object]) -> list[str]:
        return unmatched(ExpectedDifferences.of(declared), names, columns)

    assert warnings({"object": "public.orders"}, {"object": "public.*_idx"}, {"object": "shop.public.o*"}) == []
    assert warnings({"object": "public.orders", "columns": ["i?", "v"]}) == []
    assert "public.order matches nothing" in warnings({"object": "public.order"})[0]
    assert "no column of public.orders is named w" in warnings({"object": "public.orders", "columns": ["v", "w"]})[0]
