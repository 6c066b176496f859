# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a sequence is set to on the other side, before the window and inside it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.side_sequences import (
    Shape,
    State,
    ahead,
    before_window,
    in_window,
    tolerance,
)

UP = Shape(1, 1, 2**63 - 1, False)
SMALL = Shape(1, 1, 2**15 - 1, False)
DOWN = Shape(-2, -(2**63), -1, False)
ROUND = Shape(1, 1, 10, True)

increments = st.integers(-5, 5).filter(bool)
margins = st.integers(0, 50)


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    low = draw(st.integers(-200, 100))
    return Shape(draw(increments), low, low + draw(st.integers(1, 300)), False)


def states(shape: Shape) -> st.SearchStrategy[State]:
    return st.builds(State, st.integers(shape.minimum, shape.maximum), st.booleans())


def following(state: State, shape: Shape) -> int:
    """What nextval() gives out next, bounds apart."""
    return state.last_value + shape.increment if state.is_called else state.last_value


def given_out(state: State, shape: Shape, value: int) -> bool:
    """Whether ``value`` may have been given out on the way to ``state``."""
    last = state.last_value if state.is_called else state.last_value - shape.increment
    return value <= last if shape.increment > 0 else value >= last


@given(st.data(), shapes(), margins)
def test_after_the_window_nothing_is_given_out_again(data: st.DataObject, shape: Shape, margin: int) -> None:
    source, target = data.draw(states(shape)), data.draw(states(shape))
    final = in_window(source, target, shape, margin) or target
    assert not given_out(source, shape, following(final, shape))


@given(st.data(), shapes(), margins)
def test_what_is_set_lies_within_the_bounds(data: st.DataObject, shape: Shape, margin: int) -> None:
    source, target = data.draw(states(shape)), data.draw(states(shape))
    for rule in (before_window, in_window):
        final = rule(source, target, shape, margin) or target
        assert shape.minimum <= final.last_value <= shape.maximum


@given(st.data(), shapes(), margins)
def test_within_its_tolerance_a_sequence_needs_no_look_at_the_other_side(
    data: st.DataObject, shape: Shape, margin: int
) -> None:
    source, target = data.draw(states(shape)), data.draw(states(shape))
    target = before_window(source, target, shape, margin) or target
    allowed = tolerance(source, target, shape, margin)
    called = st.booleans() if allowed.is_called is None else st.just(allowed.is_called)
    moved = State(data.draw(st.integers(allowed.first, allowed.last)), data.draw(called))
    assert not given_out(moved, shape, following(target, shape))


@given(st.data(), shapes(), margins)
def test_once_set_nothing_is_due(data: st.DataObject, shape: Shape, margin: int) -> None:
    source, target = data.draw(states(shape)), data.draw(states(shape))
    for rule in (before_window, in_window):
        assert rule(source, rule(source, target, shape, margin) or target, shape, margin) is None


@pytest.mark.parametrize(
    ("shape", "state", "expected"),
    [
        (UP, State(5, True), State(1005, True)),
        (UP, State(5, False), State(1005, True)),
        (DOWN, State(-5, True), State(-2005, True)),
        (SMALL, State(100, True), State(1100, True)),
        (SMALL, State(32000, True), State(32000, True)),
        (ROUND, State(5, True), State(5, True)),
    ],
    ids=["up", "hidden", "down", "small", "near its bound", "cycles"],
)
def test_a_margin_leaves_out_as_many_values_in_the_sequence_s_own_direction(
    shape: Shape, state: State, expected: State
) -> None:
    assert ahead(state, shape, 1000) == expected


def test_a_sequence_that_is_far_enough_ahead_stays() -> None:
    assert in_window(State(900, True), State(1005, True), UP, 1000) is None


def test_without_a_margin_a_sequence_that_was_set_back_is_set_back() -> None:
    assert in_window(State(5, False), State(900, True), UP, 0) == State(5, False)


def test_a_sequence_set_back_from_its_bound_does_not_stay_there() -> None:
    assert in_window(State(1, True), State(32700, True), SMALL, 1000) == State(1001, True)
