# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The service side of a managed switchover: its state as it changes, its events, its one call."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from .._aws import managed, managed_wait
from .._aws.api import Api, ApiError, Unanswered
from .._aws.managed import Deployment, Place, identifier_of
from .._core.errors import BlueGreenError
from .._core.waiting import Deadline

POLL = 0.5  # s between two looks during the switchover
_SETTLING = 2.0  # s between two attempts while members settle
_UNANSWERED = 15.0  # s for a call without an answer to show its effect
_BEGUN = (managed.SWITCHING, managed.SWITCHED, managed.SWITCHOVER_FAILED)
_STATE_FAULT = "InvalidBlueGreenDeploymentStateFault"
_STARTED = re.compile(r"^Switchover .*\bstarted\b|\bswitchover\b.*\bstarted\b", re.IGNORECASE)
_COORDINATES = re.compile(r"file (?P<file>\S+) and position (?P<position>\d+)")
_WORDS = "Binary log coordinates in green environment after switchover"
_GREEN = re.compile(r"-green-[0-9a-z]{6}$")
_KEPT_MINUTES = 14 * 24 * 60


@dataclass(frozen=True)
class Places:
    """Blue and green as the service knows them."""

    blue: Place | None
    green: Place | None


def is_green(identifier: str) -> bool:
    """Whether a database has the name that the service gives to a green until the switchover."""
    return bool(_GREEN.search(identifier))


class Service:
    """One deployment, found by its name."""

    def __init__(self, api: Api, quick: Api, name: str) -> None:
        self._api, self._quick, self.name = api, quick, name

    def find(self) -> Deployment | None:
        """The deployment now, None when there is none."""
        return managed.find(self._api, self.name)

    def look(self, identifier: str) -> Deployment | None:
        """The same by its identifier, in one quick call."""
        return managed.read(self._quick, identifier)

    def places(self, deployment: Deployment) -> Places:
        """Blue and green of a deployment."""
        found = managed.endpoints(self._api, deployment)
        return Places(found["blue"], found["green"])

    def switch(self, deployment: Deployment, timeout: int, patience: float) -> None:
        """Call SwitchoverBlueGreenDeployment, again while members settle, ``patience`` seconds at most.

        Raises :class:`BlueGreenError` with the service's words when it refuses for good, and with the outcome ``unknown`` when it
        gave no answer and is not seen to have begun.
        """
        deadline = Deadline(patience)
        while True:
            try:
                self._api.call(
                    "switchover_blue_green_deployment",
                    BlueGreenDeploymentIdentifier=deployment.identifier,
                    SwitchoverTimeout=timeout,
                )
                return
            except Unanswered as error:
                if self.begins(deployment, _UNANSWERED):
                    return
                raise BlueGreenError(
                    f"The switchover of {self.name} was asked for, but AWS gave no answer, and it was not seen to begin within "
                    f"{_UNANSWERED:g} s: {error.message.rstrip('.')}; look at it with rds_blue_green_info, and run this again.",
                    outcome="unknown",
                ) from None
            except ApiError as error:
                if error.code != _STATE_FAULT:
                    raise
                now = self._after_refusal(error)
                if now is not None and now.status in _BEGUN:
                    return  # the answer to an earlier call was lost, or somebody else has called
                if now is None or now.status != managed.AVAILABLE or deadline.passed:
                    raise
            time.sleep(min(_SETTLING, deadline.left))

    def _after_refusal(self, refusal: ApiError) -> Deployment | None:
        """The deployment whose state was the reason of a refusal, which may be that an earlier try has begun it."""
        try:
            return self.find()
        except BlueGreenError as error:
            raise BlueGreenError(
                f"The switchover of {self.name} may have begun: {refusal.message.rstrip('.')}, and its state cannot be looked at: "
                f"{error.message.rstrip('.')}; mend that and run this again.",
                outcome="unknown",
            ) from None

    def begins(self, deployment: Deployment, patience: float) -> bool:
        """Whether the service says within ``patience`` seconds that a switchover has begun."""
        deadline = Deadline(patience)
        while deployment.status not in _BEGUN:
            with suppress(BlueGreenError):
                deployment = self.find() or deployment
            if deployment.status in _BEGUN or deadline.passed:
                break
            time.sleep(min(POLL, deadline.left))
        return deployment.status in _BEGUN

    def settle(self, deployment: Deployment, patience: float) -> list[str]:
        """Wait until every member is available, ``patience`` seconds at most; returns those that are not, with their state."""
        deadline = Deadline(patience)
        while True:
            unready = self._unready(deployment)
            if not unready or deadline.passed:
                return unready
            time.sleep(min(_SETTLING, deadline.left))
            deployment = self.look(deployment.identifier) or deployment

    def _unready(self, deployment: Deployment) -> list[str]:
        found = [
            f"{identifier_of(one.source_arn)} is {one.status}"
            for one in deployment.members
            if one.status in managed.MISSING
        ]
        places = self.places(deployment)
        for side, place in (("blue", places.blue), ("green", places.green)):
            if place is None:
                found.append(f"{side} is not there")
                continue
            if place.is_cluster and place.status != "available":
                found.append(f"{place.identifier} is {place.status}")
            found += [f"{one.identifier} is {one.status}" for one in place.members if one.status != "available"]
        return found

    def trouble(self, deployment: Deployment) -> tuple[str, str] | None:
        """Why green does not follow blue and what to do about it, None while it does."""
        broken = managed_wait.replication_error(managed_wait.Seen(deployment, self.places(deployment).green))
        return (broken.rstrip("."), managed_wait.mend(broken)) if broken else None

    def reasons(self, deployment: Deployment, since: datetime) -> list[str]:
        """Why the last switchover did not happen, in the service's own words."""
        started = [
            event["Date"]
            for event in self._events("blue-green-deployment", deployment.identifier)
            if _STARTED.search(str(event.get("Message", "")))
        ]
        return managed.reasons(self._api, deployment, max(started, default=since))

    def binlog_position(self, deployment: Deployment) -> dict[str, Any] | None:
        """``file`` and ``position`` of new production's binary log at which it was opened, None of an engine without one.

        The event has the name that green's writer had before the switchover; new production's members have blue's. Production had
        the same names in earlier deployments, so an event from before this one was made is another log's.
        """
        since = deployment.description.get("CreateTime")
        arns = [deployment.target]
        if managed.is_cluster(
            deployment.target or ""
        ):  # its writer; the read replicas of an instance are members by themselves
            arns += [member.target_arn for member in deployment.members]
        names = {_GREEN.sub("", identifier_of(arn)) for arn in arns if arn}
        told = [
            (event["Date"], found)
            for event in self._events("db-instance", None)
            if _GREEN.sub("", str(event.get("SourceIdentifier"))) in names
            and _WORDS in str(event.get("Message", ""))
            and (since is None or event["Date"] >= since)
            and (found := _COORDINATES.search(str(event["Message"])))
        ]
        if not told:
            return None
        found = max(told, key=lambda one: one[0])[1]
        return {"file": found["file"], "position": int(found["position"])}

    def _events(self, kind: str, identifier: str | None) -> list[dict[str, Any]]:
        named = {"SourceIdentifier": identifier} if identifier else {}
        return self._api.pages("describe_events", "Events", SourceType=kind, Duration=_KEPT_MINUTES, **named)


class Watch:
    """Looks at the deployment every :data:`POLL` seconds in a thread of its own; every change of a state is noted."""

    def __init__(self, service: Service, deployment: Deployment, note: Callable[[str], None]) -> None:
        self._service, self._note = service, note
        self._names = {number: identifier_of(one.source_arn) for number, one in enumerate(deployment.members)}
        self._states = _states(deployment)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.latest: Deployment | None = deployment
        self.looks = 0
        self.problem: str | None = None
        self._refused_since: float | None = None
        self.seen_switching = deployment.status == managed.SWITCHING

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(5.0)

    @property
    def refused(self) -> float:
        """Seconds for which AWS has been refusing to show the deployment, which does not end by itself as no answer does."""
        since = self._refused_since
        return 0.0 if since is None else time.monotonic() - since

    def _run(self) -> None:
        identifier = self.latest.identifier if self.latest else ""
        while not self._stopped.is_set():
            try:
                self._see(self._service.look(identifier))
                self.problem = self._refused_since = None
            except BlueGreenError as error:
                self.problem = error.message
                if not isinstance(error, ApiError):
                    self._refused_since = None
                elif self._refused_since is None:
                    self._refused_since = time.monotonic()
            self._stopped.wait(POLL)

    def _see(self, now: Deployment | None) -> None:
        states = _states(now) if now else {}
        for key, status in states.items():
            if status and status != self._states.get(key):
                what = f"the deployment is {status}" if key is None else f"{self._names.get(key, key)} is {status}"
                self._note(what)
        self._states = states
        self.seen_switching = self.seen_switching or (now is not None and now.status == managed.SWITCHING)
        self.latest = now
        self.looks += 1


def recently() -> datetime:
    """A moment from which on events belong to what goes on now, when the service does not say when that began."""
    return datetime.now(UTC) - timedelta(minutes=1)


def _states(deployment: Deployment) -> Mapping[int | None, str | None]:
    members: dict[int | None, str | None] = {number: one.status for number, one in enumerate(deployment.members)}
    return {None: deployment.status, **members}
