# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The wrappers' phase machine, by traces of the service and by what must hold of every trace."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.bluegreen.aws.plugins.module_utils._clients.metadata import Phase
from ansible_collections.bluegreen.aws.plugins.module_utils._clients.phases import (
    BLUE_DNS,
    GREEN_DNS,
    TOPOLOGY,
    Look,
    State,
    interval,
    observe,
)

N, C, P, I, O, D = Phase  # noqa: E741  in their order, as one letter each in the traces
# Aurora MySQL, in seconds from the call: IN_PROGRESS at 9.9, POST at 15.8, COMPLETED with the TARGET's row alone at 40.7, empty
# at 65.7. Old blue's names have moved by COMPLETED, green's are gone after it.
AURORA = [
    Look(0.0, C, C, False, False),
    Look(1.0, P, P, False, False),
    Look(9.9, I, I, False, False),
    Look(15.8, O, O, False, False),
    Look(21.4, O, O, False, False, True),
    Look(40.7, N, D, True, False),
    Look(45.0, N, D, True, True),
    Look(65.7, N, N, True, True),
]
# RDS for PostgreSQL (issue 2096): green's rows are deleted, old blue's stay at IN_PROGRESS, and only names tell.
FROZEN = [
    Look(0.0, C, C, False, False),
    Look(1.0, P, P, False, False),
    Look(2.0, I, I, False, False),
    Look(2.5, I, N, False, False),
    Look(4.5, I, N, True, False),
    Look(7.5, I, N, True, True),
]
ROLLED_BACK = [
    Look(0.0, C, C, False, False),
    Look(1.0, P, P, False, False),
    Look(2.0, I, I, False, False),
    Look(5.0, C, C, False, False),
]
# The deployment is gone in the middle of it.
EMPTIED = [*ROLLED_BACK[:3], Look(5.0, N, N, False, False)]
UNREADABLE = Look(0.0)


def _run(looks: Iterable[Look], state: State | None = None) -> State:
    state = state or State()
    for look in looks:
        state = observe(state, look)
    return state


def _events(state: State) -> list[str]:
    return [event.name for event in state.events]


def test_the_life_of_a_switchover_has_the_wrappers_events_in_their_order() -> None:
    state = _run(AURORA)
    assert state.completed
    assert _events(state) == [
        "CREATED",
        "PREPARATION",
        "IN_PROGRESS",
        "POST",
        TOPOLOGY,
        BLUE_DNS,
        "COMPLETED",
        GREEN_DNS,
    ]
    assert state.zero == 9.9
    assert state.window == pytest.approx(5.9)


def test_completed_waits_for_the_names_that_are_watched() -> None:
    assert not _run(AURORA[:6]).completed
    without = [replace(look, blue_moved=None, green_gone=None) for look in AURORA[:6]]
    assert _run(without).completed


def test_names_end_a_switchover_whose_rows_are_frozen_on_blue_and_gone_on_green() -> None:
    state = _run(FROZEN)
    assert state.completed and not state.rolled_back
    assert _events(state)[-4:] == [BLUE_DNS, "POST", GREEN_DNS, "COMPLETED"]


def test_a_rollback_is_said_as_the_wrappers_say_it_and_counts_from_in_progress() -> None:
    state = _run(ROLLED_BACK)
    assert state.rolled_back and state.phase is Phase.CREATED
    assert _events(state)[-1] == "CREATED (rollback)"
    assert state.zero == 2.0


def test_a_rollback_before_in_progress_counts_from_preparation() -> None:
    state = _run([*ROLLED_BACK[:2], ROLLED_BACK[3]])
    assert state.rolled_back and state.zero == 1.0


def test_rows_that_vanish_before_completed_are_a_rollback() -> None:
    assert _run(EMPTIED).rolled_back


def test_rows_that_vanish_after_post_are_the_end_of_it() -> None:
    without = [replace(look, blue_moved=None, green_gone=None) for look in (*AURORA[:4], AURORA[-1])]
    state = _run(without)
    assert state.completed and not state.rolled_back


def test_a_side_that_is_a_moment_late_is_no_rollback() -> None:
    state = _run([Look(0.0, C, C), Look(1.0, P, C), Look(1.1, P, P), Look(2.0, I, P), Look(2.1, I, I)])
    assert not state.rolled_back and state.phase is I


def test_green_empty_while_blue_cannot_be_read_decides_nothing() -> None:
    state = _run([*ROLLED_BACK[:3], Look(3.0, None, N)])
    assert not state.rolled_back and state.phase is I


def test_names_that_change_before_a_switchover_are_a_failover() -> None:
    state = _run([Look(0.0, C, C, False, False), Look(1.0, C, C, True, False), Look(2.0, P, P, False, False)])
    assert BLUE_DNS not in _events(state)


def test_the_next_attempt_after_a_rollback_begins_anew() -> None:
    state = _run([replace(look, at=look.at + 100) for look in AURORA], _run(ROLLED_BACK))
    assert state.completed and not state.rolled_back
    assert state.zero == pytest.approx(109.9)


def test_looks_come_as_often_as_the_wrappers_look() -> None:
    assert [interval(phase) for phase in Phase] == [60, 1, 0.1, 0.1, 0.1, 60]
    assert interval(Phase.CREATED, connected=False) == 0.1


def _with_errors(trace: list[Look]) -> st.SearchStrategy[list[Look]]:
    """The trace with looks in it that saw nothing, or one side only."""

    def spoil(kinds: list[int]) -> list[Look]:
        looks: list[Look] = []
        for look, kind in zip(trace, kinds, strict=True):
            if kind & 1:
                looks.append(replace(UNREADABLE, at=look.at))
            if kind & 2 and look.target is not Phase.NOT_CREATED:
                looks.append(replace(look, source=None))
            looks.append(look)
        return looks

    return st.lists(st.integers(0, 3), min_size=len(trace), max_size=len(trace)).map(spoil)


@given(_with_errors(AURORA), st.integers(0, 6), st.integers(1, 3))
def test_errors_and_a_late_entry_do_not_change_how_it_ends(trace: list[Look], skipped: int, doubled: int) -> None:
    end = len(AURORA) - 2  # the last look that still has a row
    start = min(skipped, end)
    tail = [look for look in trace if look.at >= AURORA[start].at for _copy in range(doubled)]
    state = _run(tail)
    assert state.completed and not state.rolled_back


@given(_with_errors(FROZEN), st.integers(0, 3))
def test_a_frozen_blue_ends_by_its_names_wherever_the_looks_begin(trace: list[Look], skipped: int) -> None:
    state = _run(look for look in trace if look.at >= FROZEN[skipped].at)
    assert state.completed and not state.rolled_back


@pytest.mark.parametrize("trace", [ROLLED_BACK, EMPTIED])
@given(data=st.data())
def test_a_rollback_is_seen_by_whoever_saw_the_switchover(trace: list[Look], data: st.DataObject) -> None:
    skipped = data.draw(st.integers(0, 2))
    spoilt = data.draw(_with_errors(trace))
    assert _run(look for look in spoilt if look.at >= trace[skipped].at).rolled_back


_PHASES = st.one_of(st.none(), st.sampled_from(Phase))
_FLAGS = st.one_of(st.none(), st.booleans())
_LOOKS = st.lists(st.builds(Look, st.just(0.0), _PHASES, _PHASES, _FLAGS, _FLAGS, _FLAGS), max_size=12).map(
    lambda looks: [replace(look, at=float(number)) for number, look in enumerate(looks)]
)


@given(_LOOKS)
def test_of_every_sequence_of_looks(looks: list[Look]) -> None:
    state = State()
    for look in looks:
        before, state = state, observe(state, look)
        blind = look.source is None and look.target is None
        if blind:
            assert not (state.rolled_back and not before.rolled_back), "an error is no rollback"
        if before.phase >= Phase.PREPARATION and not state.rolled_back and not before.rolled_back:
            assert state.phase >= before.phase, "phases go forward only"
        if state.rolled_back and not before.rolled_back:
            assert before.active and not before.blue_moved, (
                "only what goes on, and whose names have not moved, is rolled back"
            )
        if before.phase is Phase.COMPLETED and not before.rolled_back:
            assert state.phase is Phase.COMPLETED
    moments = [event.at for event in state.events]
    assert moments == sorted(moments)
    assert observe(state, replace(UNREADABLE, at=99.0)).phase is state.phase
