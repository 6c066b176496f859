# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The phases of a switchover as the AWS wrappers see them: looks in, phase and events out. Pure.

Source: aws-advanced-jdbc-wrapper, BlueGreenStatusProvider (updatePhase, updateSummary, intervals); ProxySQL's specification of the
metadata's life (an error is no rollback, an empty table before COMPLETED is one, COMPLETED has the TARGET's row alone); AWS cancels
in INITIATED and IN_PROGRESS, never in POST_PROCESSING. On RDS for PostgreSQL old blue's rows can stay at IN_PROGRESS for ever while
green's are deleted (issue 2096 of the wrapper), so names that have moved end a switchover too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from .metadata import Phase

BASELINE, INCREASED, HIGH = 60.0, 1.0, 0.1  # s between two looks

BLUE_DNS, GREEN_DNS, TOPOLOGY = "Blue DNS updated", "Green DNS removed", "Green topology changed"
_ROLLBACK = " (rollback)"


@dataclass(frozen=True)
class Look:
    """What was seen at a moment (s); None is what could not be seen, which says nothing.

    ``source`` is how far the SOURCE's row on blue is, ``target`` the TARGET's on green. ``blue_moved``: every name of blue leads
    elsewhere than before the switchover; ``green_gone``: no name of green leads anywhere; ``topology_changed``: green's
    members no longer have the names they had.
    """

    at: float
    source: Phase | None = None
    target: Phase | None = None
    blue_moved: bool | None = None
    green_gone: bool | None = None
    topology_changed: bool | None = None


@dataclass(frozen=True)
class Event:
    """Something that happened, under the wrappers' own name for it, at a moment (s)."""

    name: str
    at: float


@dataclass(frozen=True)
class State:
    """What is known after some looks; begin with ``State()``, whatever the phase is by then."""

    phase: Phase = Phase.NOT_CREATED
    rolled_back: bool = False
    events: tuple[Event, ...] = ()
    source_reached: Phase | None = None
    target_reached: Phase | None = None
    watches_names: bool = False
    blue_moved: bool = False
    green_gone: bool = False
    topology_changed: bool = False

    @property
    def active(self) -> bool:
        """Whether a switchover goes on."""
        return Phase.PREPARATION <= self.phase <= Phase.POST

    @property
    def green_open(self) -> bool:
        """Whether green serves: writes are accepted there from POST on."""
        return self.phase >= Phase.POST

    @property
    def completed(self) -> bool:
        """Whether it is over and done, the names included when they are watched."""
        return self.phase is Phase.COMPLETED and (not self.watches_names or (self.blue_moved and self.green_gone))

    @property
    def zero(self) -> float | None:
        """The moment that offsets are counted from: IN_PROGRESS, or PREPARATION of what was rolled back before it."""
        names = [Phase.IN_PROGRESS.name, *([Phase.PREPARATION.name] if self.rolled_back else [])]
        return next((event.at for name in names for event in self.events if event.name == name), None)

    @property
    def window(self) -> float | None:
        """Seconds from IN_PROGRESS to POST, or to the rollback, None unless both were seen."""
        over = (Phase.POST.name, Phase.CREATED.name + _ROLLBACK)
        ends = [event.at for event in self.events if event.name in over]
        begins = [event.at for event in self.events if event.name == Phase.IN_PROGRESS.name]
        return ends[0] - begins[0] if ends and begins else None


def interval(phase: Phase, *, connected: bool = True) -> float:
    """Seconds to the next look; without a connection, looks come as fast as within a switchover."""
    if not connected or Phase.PREPARATION <= phase <= Phase.POST:
        return HIGH
    return INCREASED if phase is Phase.CREATED else BASELINE


def observe(state: State, look: Look) -> State:
    """The state after one more look."""
    if state.rolled_back and look.target is not None and look.target >= Phase.PREPARATION:
        state = State(source_reached=look.source, target_reached=look.target)  # the next attempt
    state = replace(
        state,
        watches_names=state.watches_names or look.blue_moved is not None,
        source_reached=_most(state.source_reached, look.source),
        target_reached=_most(state.target_reached, look.target),
    )
    if _is_rollback(state, look):
        return _enter(replace(state, rolled_back=True), Phase.CREATED, look.at)
    state = _names(state, look)
    phase = _forward(state, look)
    return state if phase is state.phase and state.events else _enter(state, phase, look.at)


def _most(reached: Phase | None, seen: Phase | None) -> Phase | None:
    return seen if reached is None or (seen is not None and seen > reached) else reached


def _is_rollback(state: State, look: Look) -> bool:
    if not state.active or state.blue_moved or look.blue_moved:
        return False
    if _went_back(state.target_reached, look.target):
        return True
    target_is_back = look.target is None or look.target <= Phase.CREATED
    if target_is_back and _went_back(state.source_reached, look.source):
        return True
    return state.phase < Phase.POST and _all_empty(state, look)


def _went_back(reached: Phase | None, seen: Phase | None) -> bool:
    return reached is not None and reached >= Phase.PREPARATION and seen is Phase.CREATED


def _all_empty(state: State, look: Look) -> bool:
    """Whether every side whose rows were ever seen has none now; a side that cannot be read now says nothing."""
    sides = [(state.source_reached, look.source), (state.target_reached, look.target)]
    return all(seen is Phase.NOT_CREATED for reached, seen in sides if reached is not None)


def _forward(state: State, look: Look) -> Phase:
    phase = _by_rows(state, look)
    if Phase.PREPARATION <= phase <= Phase.POST and state.blue_moved and state.green_gone:
        return Phase.COMPLETED
    return Phase.POST if phase is Phase.IN_PROGRESS and state.blue_moved else phase


def _by_rows(state: State, look: Look) -> Phase:
    ahead = max((phase for phase in (look.source, look.target) if phase is not None), default=None)
    if state.phase is Phase.POST and look.target is Phase.NOT_CREATED and state.target_reached is not None:
        return Phase.COMPLETED  # the service does not go back from here, and took the rows away
    if ahead is None:
        return state.phase
    return max(state.phase, ahead) if state.phase >= Phase.PREPARATION or state.rolled_back else ahead


def _names(state: State, look: Look) -> State:
    """What was heard of names; before a switchover they may change for other reasons."""
    if max(state.phase, look.source or state.phase, look.target or state.phase) < Phase.PREPARATION:
        return state
    happened = {
        BLUE_DNS: bool(look.blue_moved) and not state.blue_moved,
        GREEN_DNS: bool(look.green_gone) and not state.green_gone,
        TOPOLOGY: bool(look.topology_changed) and not state.topology_changed,
    }
    return replace(
        state,
        blue_moved=state.blue_moved or bool(look.blue_moved),
        green_gone=state.green_gone or bool(look.green_gone),
        topology_changed=state.topology_changed or bool(look.topology_changed),
        events=(*state.events, *(Event(name, look.at) for name, new in happened.items() if new)),
    )


def _enter(state: State, phase: Phase, at: float) -> State:
    name = phase.name + (_ROLLBACK if state.rolled_back else "")
    return replace(state, phase=phase, events=(*state.events, Event(name, at)))
