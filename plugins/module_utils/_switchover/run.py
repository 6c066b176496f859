# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Carries out the decision table: the window, the way back out of it, and what comes after."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from .._core.checks import require
from .._core.errors import BlueGreenError, words
from .._core.journal import Journal
from .._core.waiting import Deadline
from .gates import Gates
from .side import Side
from .table import IN_WINDOW, Action, Observation, Step, after, decide, plan
from .timeline import Timeline

_SHORT = 0.1  # seconds; a target that is further behind is given some time to catch up before the window opens


@dataclass(frozen=True)
class Limits:
    """Seconds: how far behind the target may be, how long the window and the gates' hold may last, and what goes on after it."""

    max_lag: float
    window: float
    gate: float
    settle: float = 300.0


class _Aborted(Exception):
    """A step before the opening failed; the writes have to go back to the source."""

    def __init__(self, action: Action, cause: BlueGreenError, seen: Observation) -> None:
        super().__init__(str(cause))
        self.action, self.cause, self.seen = action, cause, seen


class Move:
    """One move of the traffic from ``source`` to ``target``, both connected."""

    def __init__(
        self,
        source: Side,
        target: Side,
        gates: Gates,
        limits: Limits,
        journal: Journal,
        timeline: Timeline,
        *,
        reverse: bool,
    ) -> None:
        self._source, self._target, self._gates = source, target, gates
        self._limits, self._journal, self._timeline = limits, journal, timeline
        self._reverse = reverse
        self._window: Deadline | None = None
        self._limit: threading.Timer | None = None
        self._opening = self._held = False

    def observe(self) -> Observation:
        """What is true now; read-only."""
        source, target = self._source.facts(self._target), self._target.facts(self._source)
        return Observation(
            source_open=source.open,
            target_open=target.open,
            forward=target.inbound,
            reverse=source.inbound,
            gate=self._gates.state(self._source.name, self._target.name),
            opened=target.opened_at is not None,
            reverse_wanted=self._reverse,
            gate_holds=self._gates.holds,
        )

    def plan(self, seen: Observation) -> list[str]:
        """What a run would do; raises :class:`BlueGreenError` when it would refuse, and with it for failed guardrails."""
        steps = plan(seen)
        if steps[-1].action is Action.REFUSE:
            raise self._refusal(steps[-1])
        if any(step.action is Action.PREPARE for step in steps):
            self._require()
        return [self._words(step.action) for step in steps[:-1]]

    def run(self) -> None:
        """Bring the traffic to the target; raises :class:`BlueGreenError` when it serves from the source instead.

        What fails before the target is open is undone; what fails after it leaves work that running it again completes.
        """
        try:
            self._drive(self.observe())
        except _Aborted as aborted:
            self._cancel_limit()
            self._give_back(aborted)
        finally:
            self._cancel_limit()
        self._settle()

    def _drive(self, seen: Observation) -> None:
        while True:
            step = decide(seen)
            if step.action is Action.DONE:
                return
            if step.action is Action.REFUSE:
                raise self._refusal(step)
            seen = self._step(step.action, seen)

    def _step(self, action: Action, seen: Observation) -> Observation:
        in_window = action in IN_WINDOW and not (action is Action.RETARGET and self._window is None)
        if in_window and self._window is None:
            self._open_window()
        if action is Action.FENCE:
            self._timeline.zero()
        try:
            if in_window and not seen.target_open and self._window:
                self._within(self._window)
            self._journal.act(self._words(action), lambda: self._effect(action))
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  whatever it was, the writes must come back
            cause = error if isinstance(error, BlueGreenError) else BlueGreenError(f"{words(error) or 'interrupted'}.")
            self._timeline.note(f"failed: {self._words(action)}")
            if seen.target_open:
                raise self._unfinished(action, cause) from None
            raise _Aborted(action, cause, seen) from None
        self._timeline.note(self._words(action))
        seen = after(seen, action)
        if self._window is not None and seen.target_open and seen.gate in ("none", "target"):
            self._close_window()
        return seen

    def _open_window(self) -> None:
        self._window = Deadline(self._limits.window)
        self._timeline.window_opens()
        # A frozen target would hold the window for as long as it is frozen: no statement ever returns from it.
        self._limit = threading.Timer(self._limits.window, self._target.abandon)
        self._limit.daemon = True
        self._limit.start()

    def _close_window(self) -> None:
        self._timeline.window_closes()
        self._cancel_limit()

    def _cancel_limit(self) -> None:
        if self._limit is not None:
            self._limit.cancel()

    def _effect(self, action: Action) -> None:
        source, target = self._source, self._target
        window = self._window or Deadline(self._limits.window)
        effects: dict[Action, Callable[[], object]] = {
            Action.RELEASE: lambda: self._point_at(source.name),
            Action.PREPARE: self._prepare,
            Action.ARM: lambda: source.arm(target),
            Action.HOLD: lambda: self._hold(window),
            Action.FENCE: lambda: source.fence(window),
            Action.DRAIN: lambda: self._drain(window),
            Action.OPEN: lambda: self._open(window),
            Action.RETARGET: self._retarget,
            Action.END: lambda: target.end(source),
            Action.START: lambda: source.start(target),
            Action.UNFENCE: target.unfence,
            Action.COMPLETE: self._complete,
        }
        effects[action]()

    def _require(self) -> None:
        gates = self._gates.guardrails(self._source.name, self._target.name)
        require([*self._source.guardrails(self._target), *gates], "the switchover")

    def _prepare(self) -> None:
        self._require()
        lag = self._source.lag(self._target, self._limits.max_lag)
        self._source.prepare(self._target)
        patience = Deadline(self._limits.max_lag)
        while lag > _SHORT and not patience.passed:  # clients wait for as long as the target is behind
            self._timeline.note(f"lag {lag:.3f} s")
            lag = self._source.lag(self._target, self._limits.max_lag)
        self._timeline.note(f"lag {lag:.3f} s")

    def _hold(self, window: Deadline) -> None:
        self._gates.hold(Deadline(min(self._limits.gate, window.left)))
        self._held = True

    def _drain(self, window: Deadline) -> None:
        if not self._held:
            self._gates.seal()  # held by a run that died, whose own session no longer keeps the others out
        self._source.drain(self._target, window)

    def _open(self, window: Deadline) -> None:
        self._gates.seal()
        taken = self._target.take_over(self._source)
        for note in taken.notes:
            self._timeline.note(note)
        self._within(window)
        self._opening = True  # from here on a failure leaves open whether clients can write to the target
        self._target.open()
        self._timeline.note(f"{self._target.name} opened at {taken.position}")

    def _within(self, window: Deadline) -> None:
        if window.passed:
            raise BlueGreenError(f"The window was still open after its limit of {self._limits.window:g} s.")

    def _retarget(self) -> None:
        """The target serves already, so this goes forward: tried again before it is reported, and nobody is left waiting."""
        for pause in (0.05, 0.5, 2.0):
            try:
                self._point_at(self._target.name)
                return
            except BlueGreenError:
                time.sleep(pause)
        try:
            self._point_at(self._target.name)
        except BlueGreenError:
            self._let_go()
            raise

    def _point_at(self, side: str) -> None:
        self._gates.switch_to(side, self._limits.gate, self._timeline.note)

    def _let_go(self) -> None:
        try:
            self._gates.let_go()
        except BlueGreenError as error:
            self._timeline.note(f"a gate is still held: {error.message}")

    def _settle(self) -> None:
        """Route 53's servers, a proxy's connections: after the window, and nothing of it decides who serves."""
        try:
            self._gates.settle(self._limits.settle, self._timeline.note)
        except BlueGreenError as error:
            raise BlueGreenError(
                f"{self._target.name} serves and no write is lost, but a gate has not settled: {error.message} Run it "
                "again to look anew.",
                outcome=self._outcome,
            ) from None

    def _complete(self) -> None:
        self._back(Journal(check_mode=False)).run()

    def _back(self, journal: Journal) -> Move:
        return Move(self._target, self._source, self._gates, self._limits, journal, self._timeline, reverse=False)

    def _give_back(self, aborted: _Aborted) -> None:
        """The table read for the move back: it unfences, releases and disarms what this run has done."""
        if aborted.action is Action.PREPARE:
            raise BlueGreenError(aborted.cause.message, outcome="refused", **aborted.cause.details)
        back = self._back(self._journal)
        seen = aborted.seen
        if self._opening:
            # The opening was tried: only a fresh look can tell that no client writes to the target.
            try:
                seen = replace(self.observe(), ready=True)
            except Exception:  # noqa: BLE001  whatever it was, nothing is known, so nothing may be opened
                raise BlueGreenError(
                    f"Opening {self._target.name} failed and it cannot be told whether it did open "
                    f"({aborted.cause.message}): both sides stay closed for writers; run it again as soon as "
                    f"{self._target.name} answers.",
                    outcome="unknown",
                ) from None
            if seen.target_open:
                self._drive(seen)
                return
        left = self._undo(back)
        raise BlueGreenError(
            f"{self._source.name} serves, nothing is lost: {self._words(aborted.action)} failed: "
            f"{aborted.cause.message}" + (f" Left over, run it again to remove: {left}" if left else ""),
            outcome="refused",
            **aborted.cause.details,
        )

    def _undo(self, back: Move) -> str:
        """Give the writes back first, whatever else may fail; returns what could not be undone, in words."""
        problems: list[str] = []
        if self._window is not None:
            for what, effect in (
                (f"unfence {self._source.name}", self._source.unfence),
                (f"release the gate to {self._source.name}", lambda: self._point_at(self._source.name)),
            ):
                try:
                    self._journal.act(what, effect)
                    self._timeline.note(what)
                except Exception as error:  # noqa: BLE001  the next one must be tried all the same
                    problems.append(f"{what} ({words(error)})")
        try:
            back._drive(back.observe())
        except Exception as error:  # noqa: BLE001  reported, the writes are back already
            problems.append(words(error))
        return "; ".join(problems)

    def _unfinished(self, action: Action, error: BlueGreenError) -> BlueGreenError:
        return BlueGreenError(
            f"{self._target.name} serves and no write is lost, but one thing is left to do, "
            f"{self._words(action)}: {error.message} Run it again to complete it.",
            outcome=self._outcome,
        )

    @property
    def _outcome(self) -> str:
        return "switched_over" if self._target.name == "green" else "rolled_back"

    def _refusal(self, step: Step) -> BlueGreenError:
        return BlueGreenError(f"Refused, nothing was changed: {self._fill(step.reason)}.", outcome="refused")

    def _words(self, action: Action) -> str:
        return self._fill(action.value)

    def _fill(self, text: str) -> str:
        return text.format(source=self._source.name, target=self._target.name, strangers=self._gates.strangers)
