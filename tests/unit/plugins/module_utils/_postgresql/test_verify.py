# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The decisions of a comparison, without servers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.verify import (
    TableProof,
    common,
    describe,
    differing,
    excluded,
    groups,
    incomparable,
    judge,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.verify_table import Shape

SHAPE = Shape(("public", "orders"), {"id": "integer", "v": "text"}, {"id": "integer"}, True, 0)
EQUAL = TableProof("shop", "public", "orders", 1, 1, equal=True)
chunks = st.dictionaries(st.integers(0, 50), st.tuples(st.integers(0, 1000), st.integers()))


@given(chunks, chunks)
def test_every_differing_chunk_is_in_exactly_one_group(here: dict[int, Any], there: dict[int, Any]) -> None:
    keys = sorted(differing(here, there))
    found = list(groups(keys, here, there, 1500))
    assert [key for group in found for key in group] == keys
    for group in found:
        size = sum(max(here.get(key, (0, 0))[0], there.get(key, (0, 0))[0]) for key in group)
        assert size <= 1500 or len(group) == 1


@given(chunks, chunks)
def test_what_does_not_differ_is_the_same_on_both_sides(here: dict[int, Any], there: dict[int, Any]) -> None:
    left_out = (here.keys() | there.keys()) - set(differing(here, there))
    assert {key: here[key] for key in left_out} == {key: there[key] for key in left_out}


@pytest.mark.parametrize(("rows", "parts"), [(0, 1), (999, 1), (1000, 1), (2000, 2), (3000, 4), (10**9, 65536)])
def test_chunks_are_a_power_of_two_of_about_a_thousand_rows(rows: int, parts: int) -> None:
    assert replace(SHAPE, estimated_rows=rows).chunks == parts


@pytest.mark.parametrize(
    ("pattern", "hit"),
    [
        ("public.orders", True),
        ("shop.public.orders", True),
        ("*.orders", True),
        ("orders", False),
        ("other.public.*", False),
    ],
)
def test_a_table_is_excluded_by_its_whole_name(pattern: str, hit: bool) -> None:
    assert excluded("shop", "public.orders", [pattern]) is hit


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


def test_differences_are_named_by_side_whichever_serves() -> None:
    found = {("7",): (1, 2), ("8",): (1, None), ("9",): (None, 2)}
    assert describe(SHAPE, found, "blue") == ["id=7: not the same", "id=8: only on blue", "id=9: only on green"]
    assert describe(SHAPE, found, "green")[1:] == ["id=8: only on green", "id=9: only on blue"]
    assert describe(replace(SHAPE, key={}), {55: (None, 2)}, "blue") == [
        "row with hash 55: 0 times on blue, 2 times on green"
    ]


def test_only_equal_tables_are_a_proof() -> None:
    judge([EQUAL], {})
    for bad in (
        replace(EQUAL, equal=False, different=1, differences=("id=1: not the same",)),
        replace(EQUAL, equal=False, error="could not be compared: it is locked"),
        replace(EQUAL, equal=False),
    ):
        with pytest.raises(BlueGreenError, match="should hold the same rows") as failed:
            judge([EQUAL, bad], {"tables": [1, 2]})
        assert failed.value.details == {"verified": False, "tables": [1, 2]}
    with pytest.raises(BlueGreenError, match="there are none"):
        judge([], {})
