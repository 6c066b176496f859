# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""One managed switchover: the guardrails, the call, the watch, the gates, and what it amounts to."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from .._aws.managed import AVAILABLE, SWITCHED, SWITCHING, Deployment
from .._clients.metadata import TARGET as TARGET_ROLE
from .._clients.metadata import Phase, phase_of_role
from .._clients.monitor import Monitor
from .._core.checks import Check, failed, require
from .._core.errors import BlueGreenError, words
from .._core.journal import Journal
from .._core.waiting import Deadline
from .._switchover.gates import Gates
from .._switchover.timeline import Timeline
from . import guardrails
from .plan import SETTLED, Action, Outcome, first, verdict
from .service import Service, Watch, recently

WindowFrom = Literal["gate", "servers", "metadata", "service"]
_TICK = 0.02  # s between two looks at what the monitors have seen
_PHASES = {AVAILABLE: Phase.CREATED, SWITCHING: Phase.IN_PROGRESS, SWITCHED: Phase.COMPLETED}


@dataclass(frozen=True)
class Limits:
    """Seconds: for the service to switch over, for members and names to settle, for the gates to hold; how far green may be behind."""

    switchover: int
    settle: float
    gate: float
    max_lag: float


class Run:
    """A switchover that the service does. ``server_checks`` asks the servers, whose connections may not have been given."""

    def __init__(
        self,
        service: Service,
        monitor: Monitor,
        gates: Gates,
        limits: Limits,
        journal: Journal,
        timeline: Timeline,
        server_checks: Callable[[], Sequence[Check]],
    ) -> None:
        self._service, self._monitor, self._gates = service, monitor, gates
        self._limits, self._journal, self._timeline = limits, journal, timeline
        self._server_checks = server_checks
        self._held = False  # clients wait at a gate, or may wait there
        self._gate_failed = False
        self._called: float | None = None
        self.begun = False  # the service was asked, or was at it already
        self._began: datetime = recently()
        self.window_ms: float | None = None
        self.window_from: WindowFrom | None = None
        self.reasons: list[str] = []
        self.checks: list[Check] = []

    def go(self, deployment: Deployment | None) -> Outcome:
        """Switch over, or go on with what goes on already.

        Returns ``rolled_back`` when the service went back to blue. Raises :class:`BlueGreenError` with ``details["outcome"]``:
        ``refused`` when nothing was begun, ``failed`` when the service could neither end it nor take it back, ``unknown``.
        """
        seen = self._monitor.connect()
        rows = seen.get("green")
        target = phase_of_role(rows, TARGET_ROLE) if isinstance(rows, list) and rows else None
        step = first(
            self._service.name,
            deployment.status if deployment else None,
            deployment.status_details if deployment else None,
            target,
        )
        self.checks += guardrails.metadata_checks(seen)
        if deployment is None or step.action is Action.REFUSE:
            raise BlueGreenError(f"Refused, nothing was changed: {step.reason}.", outcome="refused")
        if step.action is Action.FAIL:
            self._gates.let_go()
            raise self._failed(deployment)
        if step.action is Action.DONE:
            self._point_at("green")
            return "switched_over"
        if step.action is Action.WATCH and not self._service.begins(deployment, SETTLED):
            self._timeline.note(f"green's metadata says {target.name if target else '-'}, the service does not")
            return self._attempt(deployment, Action.CALL)  # what an earlier switchover has left in the rows
        return self._attempt(deployment, step.action)

    def _attempt(self, deployment: Deployment, action: Action) -> Outcome:
        if action is Action.CALL:
            self._prepare(deployment)
        if self._journal.check_mode:
            self._say(action)
            return "switched_over"
        self._held = action is Action.WATCH and self._gates.state("blue", "green") == "held"
        watch = Watch(self._service, deployment, self._timeline.note)
        self.begun = action is Action.WATCH
        self._monitor.hurry()
        self._monitor.start()
        try:
            if action is Action.CALL:
                self._call(deployment)
            self._say(action)
            watch.start()
            outcome = self._follow(watch)
            return self._end(outcome, watch.latest or deployment)
        finally:
            watch.stop()
            self._monitor.stop()
            self._let_go()

    def _prepare(self, deployment: Deployment) -> None:
        """Every guardrail before the call instead of within the window."""
        self._point_at("blue")  # what a run that died has left behind
        unready = self._service.settle(deployment, 0 if self._journal.check_mode else self._limits.settle)
        if unready:
            self.checks.append(
                failed(
                    "members",
                    f"every member of the deployment should be available, but {', '.join(unready)}",
                    "wait until it is; rds_blue_green with wait=true does",
                )
            )
        trouble = self._service.trouble(deployment)
        if trouble:
            self.checks.append(failed("aws_green_replication", f"green does not follow blue: {trouble[0]}", trouble[1]))
        self.checks += self._server_checks()
        self.checks += self._gates.guardrails("blue", "green")
        try:
            require(self.checks, "the switchover")
        except BlueGreenError as error:
            raise BlueGreenError(error.message, outcome="refused", **error.details) from None

    def _call(self, deployment: Deployment) -> None:
        if not self._monitor.has_rows:
            self._hold(required=True)
        self._called = time.monotonic()
        self._timeline.note("SwitchoverBlueGreenDeployment")
        self.begun = True
        try:
            self._service.switch(deployment, self._limits.switchover, self._limits.settle)
        except BlueGreenError as error:
            if "outcome" in error.details:
                raise
            self.begun = False
            raise BlueGreenError(
                f"Refused, nothing was changed: {error.message}", outcome="refused", **error.details
            ) from None

    def _say(self, action: Action) -> None:
        self._journal.act(f"{action.value} of {self._service.name}", lambda: None)

    def _follow(self, watch: Watch) -> Outcome:
        began = self._called or time.monotonic()
        deadline = Deadline(self._limits.switchover + self._limits.settle)
        told: str | None = None
        while True:
            latest = watch.latest
            status = latest.status if latest else None
            if status != told and status in _PHASES and (watch.looks or watch.seen_switching):
                told = status
                if status != AVAILABLE or watch.seen_switching:
                    self._monitor.tell(_PHASES[status])
            self._move_gates()
            rolled_back = self._monitor.state.rolled_back
            seconds = time.monotonic() - began
            ended = verdict(status, seen_switching=watch.seen_switching, seconds=seconds, rolled_back=rolled_back)
            if ended is not None and watch.looks:
                return ended
            if watch.refused >= SETTLED:
                raise BlueGreenError(
                    f"The switchover of {self._service.name} has begun, but how it goes on cannot be seen: "
                    f"{(watch.problem or '').rstrip('.')}; then run this again to go on watching.",
                    outcome="unknown",
                )
            if deadline.passed:
                why = f" ({watch.problem.rstrip('.')})" if watch.problem else ""
                raise BlueGreenError(
                    f"The switchover of {self._service.name} should have ended within {deadline.seconds:g} s, but the service "
                    f"still says {status}{why}: look at it with rds_blue_green_info, and run this again to go on watching.",
                    outcome="unknown",
                )
            time.sleep(_TICK)

    def _move_gates(self) -> None:
        """Hold when writes are about to stop, go on to green as soon as it accepts them."""
        state = self._monitor.state
        if state.rolled_back:
            return
        if state.phase is Phase.IN_PROGRESS and not self._held and self._monitor.window is None:
            self._hold(required=False)
        if self._held and (state.green_open or self._monitor.window is not None):
            self._release("green")

    def _hold(self, *, required: bool) -> None:
        if self._held or not self._gates.holds:
            return
        self._held = True
        self._timeline.window_opens()
        try:
            self._gates.hold(Deadline(self._limits.gate))
            self._timeline.note("gates held")
        except BlueGreenError as error:
            if required:
                raise BlueGreenError(
                    f"Refused, nothing was changed: {error.message}", outcome="refused", **error.details
                ) from None
            self._gate_failed = True
            self._timeline.note(f"a gate could not be held: {error.message}")

    def _release(self, side: str) -> None:
        self._gates.switch_to(side, self._limits.gate, self._timeline.note)
        self._held = False
        self._timeline.window_closes()

    def _end(self, outcome: Outcome, deployment: Deployment) -> Outcome:
        if outcome == "failed":
            raise self._failed(deployment)
        if outcome == "rolled_back":
            if self._held:
                self._release("blue")
            self._measure()
            self.reasons = self._why(deployment)
            return outcome
        if self._held or self._gates.state("blue", "green") not in ("none", "target"):
            self._release("green")
        self._settle()
        self._measure()
        return outcome

    def _settle(self) -> None:
        """Names go on moving after the service has ended; nothing of it decides who serves."""
        deadline = Deadline(self._limits.settle)
        while not self._monitor.names_settled and not deadline.passed:
            time.sleep(_TICK)
        if not self._monitor.names_settled:
            self._timeline.note("names of blue still lead elsewhere from this host")
        with suppress(BlueGreenError):
            self._gates.settle(deadline.left, self._timeline.note)

    def _measure(self) -> None:
        """The write outage from what saw it best; a gate's is what clients felt."""
        state = self._monitor.state
        service = [event.at for event in state.events if event.name == Phase.COMPLETED.name]
        measured: list[tuple[WindowFrom, float | None]] = [
            ("gate", None if self._gate_failed else self._timeline.window_ms),
            ("servers", _ms(self._monitor.window)),
            ("metadata", _ms(state.window) if self._monitor.has_rows else None),
            ("service", _ms(service[0] - state.zero) if service and state.zero is not None else None),
        ]
        self.window_from, self.window_ms = next((one for one in measured if one[1] is not None), (None, None))

    def _failed(self, deployment: Deployment) -> BlueGreenError:
        self.reasons = self._why(deployment)
        details = f" ({deployment.status_details.rstrip('.')})" if deployment.status_details else ""
        why = "; ".join(one.rstrip(".") for one in self.reasons) or "the service gives no reason in its events"
        return BlueGreenError(
            f"The switchover of {self._service.name} should have ended or been taken back, but the deployment is "
            f"{deployment.status}{details}: {why}. Look which side accepts writes, then delete the deployment with rds_blue_green "
            "and create it anew.",
            outcome="failed",
        )

    def _why(self, deployment: Deployment) -> list[str]:
        """The service's reasons, or why they cannot be read: the outcome is known without them."""
        try:
            return self._service.reasons(deployment, self._began)
        except BlueGreenError as error:
            return [f"the service's reason could not be read: {error.message}"]

    def _point_at(self, side: str) -> None:
        state = self._gates.state("blue", "green")
        wanted = {"blue": "source", "green": "target"}[side]
        if state in ("none", wanted):
            return
        if state == "elsewhere":
            raise BlueGreenError(
                f"Refused, nothing was changed: the gates lead neither to blue nor to green alone: {self._gates.strangers}; correct "
                "blue_host and green_host of the gate.",
                outcome="refused",
            )
        self._journal.act(
            f"point the gates at {side} and release them",
            lambda: self._gates.switch_to(side, self._limits.gate, self._timeline.note),
        )

    def _let_go(self) -> None:
        """Whatever happened, nobody is left waiting at a gate."""
        if not self._held:
            return
        side = "green" if self._monitor.state.green_open or self._monitor.window is not None else "blue"
        try:
            self._release(side)
        except BlueGreenError as error:
            self._timeline.note(f"a gate did not follow to {side}: {words(error)}")
            with suppress(BlueGreenError):
                self._gates.let_go()


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)
