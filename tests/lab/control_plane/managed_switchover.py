# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SwitchoverBlueGreenDeployment: guardrails, writes stopped, green caught up, names changed, green opened."""

from __future__ import annotations

import logging
import time

from tests.lab.control_plane import events, managed_guardrails, managed_rename
from tests.lab.control_plane.errors import invalid_value
from tests.lab.control_plane.managed_metadata import BOTH, Metadata
from tests.lab.control_plane.managed_records import (
    AVAILABLE,
    COMPLETED,
    FAILED,
    IN_PROGRESS,
    INITIATED,
    POST_PROCESSING,
    WRITES_STOPPED,
    Deployment,
)
from tests.lab.control_plane.managed_rules import find_deployment, state_fault
from tests.lab.control_plane.managed_views import deployment_shape, say, say_of_each, state
from tests.lab.control_plane.plane import Call, ControlPlane
from tests.lab.control_plane.records import Cluster, Instance, Region, Shape
from tests.lab.engine import EngineError
from tests.lab.managed.link import Link

LOG = logging.getLogger(__name__)
SHORTEST, LONGEST, USUAL = 30, 3600, 300  # s, of SwitchoverTimeout
# Seconds that each phase lasts at least, so that a driver that looks every 100 ms sees it.
LASTS = {INITIATED: 0.5, IN_PROGRESS: 0.4, WRITES_STOPPED: 0.0, POST_PROCESSING: 0.0, COMPLETED: 1.0}
POLL = 0.02
RECOVERY = 30.0  # s, in which a server that crashed runs again
COORDINATES = "Binary log coordinates in green environment after switchover: file {} and position {}"


class Canceled(Exception):
    """The switchover does not happen, and everything is as it was; the text is the reason."""


def switchover(call: Call) -> Shape:
    """SwitchoverBlueGreenDeployment."""
    plane, region = call.plane, call.region
    deployment = find_deployment(call, call.text("BlueGreenDeploymentIdentifier"))
    given = call.params.get("SwitchoverTimeout")
    seconds = USUAL if given is None else int(given)
    if not SHORTEST <= seconds <= LONGEST:
        raise invalid_value(f"Invalid value {seconds} for SwitchoverTimeout. Must be between {SHORTEST} and {LONGEST}")
    status, details = state(plane, region, deployment)
    if status != AVAILABLE:
        why = f" {details}" if details else ""
        raise state_fault(f"The blue/green deployment {deployment.identifier} is in state {status}.{why}")
    for member in deployment.members():
        if member.status != "available":
            kind = "DB cluster" if isinstance(member, Cluster) else "DB instance"
            raise state_fault(f"{kind} {member.identifier} is not in available state.")
    deployment.mark(IN_PROGRESS)
    sides = [pair.target.identifier for pair in deployment.pairs[:1] if pair.target is not None]
    say(region, deployment, f"Switchover from {deployment.pairs[0].source.identifier} to {sides[0]} started.")
    say_of_each(region, deployment, "started.")
    answer = deployment_shape(plane, region, deployment)
    work = Switchover(plane, region, deployment, float(seconds))
    plane.jobs.run(deployment.identifier, work.run, work.failed)
    return {"BlueGreenDeployment": answer}


class Switchover:
    """The work on one switchover, in the deployment's queue."""

    def __init__(self, plane: ControlPlane, region: Region, deployment: Deployment, seconds: float) -> None:
        self._plane = plane
        self._region = region
        self._deployment = deployment
        self._seconds = plane.managed.knobs.timeout or seconds
        self._deadline = time.monotonic() + self._seconds
        self._stopped = False  # nobody can write
        self._decided = False  # green does not follow any more

    @property
    def _link(self) -> Link:
        if self._deployment.link is None:
            raise Canceled("the green environment does not follow the blue one")
        return self._deployment.link

    def run(self) -> None:
        """Switch over, or leave everything as it was."""
        with self._deployment.lock:
            rows = Metadata(self._plane, self._region, self._deployment)
            try:
                self._to_green(rows)
            except Canceled as exc:
                self._cancel(rows, str(exc))
            except Exception as exc:  # a server that ends in the middle is seen by a driver first
                if self._decided:
                    raise
                LOG.info("the switchover of %s is canceled", self._deployment.identifier, exc_info=True)
                self._cancel(rows, str(exc).strip() or type(exc).__name__)

    def _to_green(self, rows: Metadata) -> None:
        plane, region, deployment, link = self._plane, self._region, self._deployment, self._link
        rows.show(INITIATED)
        self._last(INITIATED)
        reason = managed_guardrails.objection(plane, region, deployment, self._seconds)
        if reason is not None:
            raise Canceled(reason)
        rows.show(IN_PROGRESS)
        self._last(IN_PROGRESS)
        with plane.jobs.still(deployment.volumes()):
            self._stopped = True
            link.stop_writes()
            self._last(WRITES_STOPPED)
            self._catch_up(link)
            if not self._answer(link):  # what blue alone has, such as sequences, cannot be had
                raise Canceled("a writer that does not run")
            self._decided = True
            self._finish(link)
            with plane.lock:
                renaming = managed_rename.Renaming(plane, region, deployment)
                renaming.begin()
            link.open("green")
        rows.show(POST_PROCESSING)
        self._last(POST_PROCESSING)
        plane.clock.pause(plane.managed.knobs.dns_delay)
        renaming.move()
        rows.show(COMPLETED, ("green",))
        with plane.lock:
            renaming.tell(deployment)
            deployment.mark(COMPLETED)
            deployment.api.pop("StatusDetails", None)
            say(region, deployment, "Switchover completed on blue/green deployment.")
        self._last(COMPLETED)
        renaming.end()
        rows.show(None)

    def _last(self, phase: str) -> None:
        """Let a phase last, as long as the knob says by then; until green is decided upon, not longer than there is time."""
        began, plane = time.monotonic(), self._plane
        while (now := time.monotonic()) < began + plane.managed.knobs.hold.get(phase, LASTS[phase]):
            if not self._decided and now >= self._deadline:
                break
            if not plane.clock.pause(POLL):
                break
        self._check_time()

    def _check_time(self) -> None:
        if not self._decided and time.monotonic() >= self._deadline:
            raise Canceled(f"the switchover not being completed within the timeout of {self._seconds:g} seconds")

    def _catch_up(self, link: Link) -> None:
        while not link.caught_up():
            self._check_time()
            if not self._plane.clock.pause(POLL):
                raise Canceled("the lab is closing")
        self._check_time()

    def _finish(self, link: Link) -> None:
        """Let green follow no longer. From here on there is no way back, only failure."""
        plane, region, deployment = self._plane, self._region, self._deployment
        if plane.managed.knobs.fail_switchover is not None:
            raise EngineError(plane.managed.knobs.fail_switchover)
        sequences = "postgres" in str(deployment.blue.api["Engine"]) and not getattr(link, "physical", False)
        if sequences:
            note = "has initiated. Switchover when using sequences may lead to extended downtime."
            with plane.lock:
                managed_rename.say_of_sequences(region, deployment, note)
        position = link.finish()
        with plane.lock:
            if sequences:
                managed_rename.say_of_sequences(region, deployment, "has completed.")
            for member in region.members(deployment.green):
                if position is not None and member.writer:
                    self._coordinates(member, position)

    def _coordinates(self, writer: Instance, position: str) -> None:
        """The event has the name that green's writer had before."""
        file, offset = position.split()
        events.instance_event(self._region, writer, COORDINATES.format(file, offset), "notification")

    def _cancel(self, rows: Metadata, reason: str) -> None:
        """Give the writes back to blue and let everything be as it was."""
        if self._stopped:
            self._give_back(self._link)
        rows.show(AVAILABLE)
        with self._plane.lock:
            say_of_each(self._region, self._deployment, f"was canceled due to {reason.rstrip('.')}.", "failure")
            say(self._region, self._deployment, "Switchover canceled on blue/green deployment.", "failure")
            self._deployment.mark(AVAILABLE)

    def _give_back(self, link: Link) -> None:
        """Let blue be written to again, once both writers answer: one of them may be what has ended."""
        end = time.monotonic() + RECOVERY
        while time.monotonic() < end and not self._answer(link) and self._plane.clock.pause(0.2):
            pass
        link.open("blue")

    @staticmethod
    def _answer(link: Link) -> bool:
        try:
            for side in BOTH:
                link.objections(side)
        except Exception:  # as above
            LOG.info("a server does not answer yet", exc_info=True)
            return False
        return True

    def failed(self, reason: str) -> None:
        """The switchover could be neither ended nor taken back; blue is written to if that can still be."""
        try:
            if self._deployment.link is not None:
                self._deployment.link.open("blue")
        except EngineError as exc:
            LOG.info("blue cannot be opened: %s", exc)
        Metadata(self._plane, self._region, self._deployment).show(AVAILABLE)
        with self._plane.lock:
            self._deployment.mark(FAILED)
            self._deployment.api["StatusDetails"] = f"Switchover failed: {reason}"
            say_of_each(self._region, self._deployment, f"was canceled due to {reason.rstrip('.')}.", "failure")
