# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs, what is only in flux, and what is a proof: without servers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.bluegreen.aws.plugins.module_utils._core.comparison import (
    ENOUGH,
    Rows,
    TableProof,
    add_chunks,
    add_rows,
    describe,
    different,
    differing,
    excluded,
    groups,
    judge,
    ranges,
    settle,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.waiting import Deadline

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


def test_differences_are_named_by_side_whichever_serves() -> None:
    found = {("7",): (1, 2), ("8",): (1, None), ("9",): (None, 2)}
    assert describe(["id"], found, "blue", "green") == [
        "id=7: not the same",
        "id=8: only on blue",
        "id=9: only on green",
    ]
    assert describe(["id"], found, "green", "blue")[1:] == ["id=8: only on green", "id=9: only on blue"]
    assert describe([], {55: (None, 2)}, "blue", "green") == ["row with hash 55: 0 times on blue, 2 times on green"]


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


def test_a_declared_difference_is_no_fault_and_no_proof() -> None:
    declared = TableProof("shop", "public", "changed", expected=True)
    judge([EQUAL, declared], {})
    with pytest.raises(BlueGreenError, match="there are none"):
        judge([declared], {})


def test_what_else_is_wrong_fails_although_every_table_is_equal() -> None:
    with pytest.raises(BlueGreenError, match="a sequence is behind"):
        judge([EQUAL], {}, ["a sequence is behind"])


@given(chunks, chunks)
def test_sums_of_parts_are_the_sums_of_the_table(one: dict[int, Any], other: dict[int, Any]) -> None:
    whole = add_chunks([one, other])
    assert whole.keys() == one.keys() | other.keys()
    for number, (count, total) in whole.items():
        assert count == one.get(number, (0, 0))[0] + other.get(number, (0, 0))[0]
        assert total == one.get(number, (0, 0))[1] + other.get(number, (0, 0))[1]


def test_a_row_without_a_key_that_two_parts_have_is_there_twice() -> None:
    assert add_rows([{5: 1}, {5: 2, 6: 1}], keyed=False) == {5: 3, 6: 1}
    assert add_rows([{("5",): 77}, {("6",): 78}], keyed=True) == {("5",): 77, ("6",): 78}


@given(st.integers(0, 100_000), st.integers(1, 5000), st.integers(1, 20))
def test_ranges_are_the_whole_table_without_a_gap(blocks: int, least: int, most: int) -> None:
    found = ranges(blocks, least, most)
    assert found[0][0] == 0 and found[-1][1] is None and len(found) <= most
    assert [end for _begin, end in found[:-1]] == [begin for begin, _end in found[1:]]
    assert all(end is not None and end - begin >= least for begin, end in found[:-1])


@dataclass
class Scripted:
    """A source that changes from look to look, and a target that has what ``follow`` makes of the source at a marker."""

    versions: list[Rows]
    lost: frozenset[Any] = frozenset()
    looks: int = 0
    arrived: Rows = field(default_factory=dict)

    def now(self) -> Rows:
        return self.versions[min(self.looks, len(self.versions) - 1)]

    def source(self, keys: Sequence[Any]) -> Rows:
        self.looks += 1
        return _of(self.now(), keys)

    def target(self, keys: Sequence[Any]) -> Rows:
        return _of(self.arrived, keys)

    def pass_marker(self) -> None:
        self.arrived = {key: value for key, value in self.now().items() if key not in self.lost}


def _of(found: Mapping[Any, int], keys: Sequence[Any]) -> Rows:
    return {key: found[key] for key in keys if key in found}


def test_a_row_that_changes_all_the_time_is_not_called_different_and_settles_when_it_rests() -> None:
    looks = Scripted([{1: n} for n in range(30)])
    found = settle(looks, {1: 0}, {1: -1}, [1], Deadline(60))
    assert (found.different, found.undecided) == ({}, 0)


def test_a_row_that_the_target_lost_is_found_when_it_rests_for_a_moment() -> None:
    looks = Scripted([*({1: n} for n in range(30))], lost=frozenset([1]))
    found = settle(looks, {1: 0}, {}, [1], Deadline(60))
    assert (found.different, found.undecided) == ({1: (29, None)}, 0)


def test_what_never_rests_is_undecided_and_not_equal() -> None:
    ticks = iter(range(10_000))
    looks = Scripted([{1: n} for n in range(1000)], lost=frozenset([1]))
    found = settle(looks, {1: 0}, {}, [1], Deadline(100, clock=lambda: float(next(ticks))))
    assert (found.different, found.undecided) == ({}, 1)


def test_a_row_without_a_key_that_is_gone_from_the_source_has_vanished() -> None:
    looks = Scripted([{}])
    assert settle(looks, {55: 2}, {55: 1}, [55], Deadline(60), counted=True).vanished == 1
    assert settle(Scripted([{55: 2}]), {55: 1}, {55: 2}, [55], Deadline(60), counted=True).vanished == 0
    assert settle(looks, {55: 2}, {55: 1}, [55], Deadline(60)).vanished == 0


def test_the_counting_of_differences_ends_and_says_so() -> None:
    rows = dict.fromkeys(range(ENOUGH * 30), 1)
    found = settle(Scripted([rows], lost=frozenset(rows)), rows, {}, list(rows), Deadline(60))
    assert ENOUGH <= len(found.different) < len(rows) and found.at_least
    at_once = different(rows, {}, list(rows))
    assert len(at_once.different) == ENOUGH and at_once.at_least
    assert not different({1: 1}, {}, [1]).at_least


def test_the_message_says_when_there_may_be_more() -> None:
    bad = replace(EQUAL, equal=False, different=1000, at_least=True, differences=("id=1: not the same",))
    with pytest.raises(BlueGreenError, match="differs in at least 1000 rows"):
        judge([bad], {})
