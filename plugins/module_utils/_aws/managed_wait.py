# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Waiting for a deployment that RDS manages, and for every member of its green; botocore has no waiter for it.

It gives up at once for what does not end by itself, with the service's own reasons.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from .._core.errors import BlueGreenError, WaitTimeout
from . import managed
from .api import Api
from .clusters import IN_SYNC, PENDING_REBOOT
from .managed import Deployment, Place
from .managed_plan import dead_end, remedy
from .waiters import AVAILABLE, DEAD_ENDS, Waits, wait_for

_NO_FILE = "1236"
_STOPPED = re.compile(r"replication (?:error|degraded)", re.IGNORECASE)
# StatusInfos of a read replica (Amazon RDS API, DBInstanceStatusInfo); one that somebody has stopped may still be Normal.
_STANDS_STILL = ("error", "stopped", "terminated")
_REPLICA = "green's replica"
_SKEW = timedelta(minutes=2)  # the clocks of this host and of the service


@dataclass
class Progress:
    """What changed while it was waited for: a line for each change, with the seconds since the beginning."""

    clock: Callable[[], float] = time.monotonic
    entries: list[dict[str, Any]] = field(default_factory=list)
    began: float = 0.0
    since: datetime = field(default_factory=lambda: datetime.now(UTC) - _SKEW)
    _last: str = ""

    def __post_init__(self) -> None:
        self.began = self.clock()

    def note(self, deployment: Deployment | None, green: Place | None) -> None:
        """Write down what is seen when it is not what was seen last."""
        tasks = [f"{task.name} {task.status}" for task in deployment.tasks] if deployment else []
        members = [f"{one.identifier} {one.status}" for one in green.members] if green else []
        status = deployment.status if deployment else "gone"
        seen = repr((status, tasks, members))
        if seen != self._last:
            self._last = seen
            seconds = round(self.clock() - self.began, 1)
            self.entries.append({"seconds": seconds, "status": status, "tasks": tasks, "members": members})


@dataclass(frozen=True)
class Seen:
    """One look."""

    deployment: Deployment | None
    green: Place | None

    def words(self) -> str:
        """It in one line."""
        if self.deployment is None:
            return "no such deployment"
        return "; ".join(filter(None, [self.deployment.states(), members_in_words(self.green)]))


def look(api: Api, identifier: str) -> Seen:
    """The deployment and its green as they are now."""
    deployment = managed.read(api, identifier)
    return Seen(deployment, managed.endpoints(api, deployment)["green"] if deployment else None)


def wait_ready(api: Api, identifier: str, waits: Waits, progress: Progress) -> Seen:
    """Wait until the deployment and every member of green are available; a pending reboot is no obstacle.

    Raises :class:`BlueGreenError` with the reasons of the service when it will not come to that.
    """
    last: list[Seen] = []

    def observe() -> Seen:
        seen = look(api, identifier)
        progress.note(seen.deployment, seen.green)
        last[:] = [seen]
        return seen

    def done(seen: Seen) -> bool:
        if seen.deployment is None:
            raise BlueGreenError(f"Waited for the deployment {identifier}, but it was deleted meanwhile.")
        require_alive(api, seen, progress)
        return seen.deployment.status == managed.AVAILABLE and settled(seen.green)

    wanted = f"the deployment {identifier} and every member of green to be available"
    try:
        return wait_for(waits, observe, done, wanted, Seen.words)
    except WaitTimeout as error:
        deployment = last[0].deployment if last else None
        told = _told(api, deployment, progress.since) if deployment else []
        raise WaitTimeout(_with(error.message, told), reasons=told, progress=progress.entries) from None


def require_alive(api: Api, seen: Seen, progress: Progress) -> None:
    """Raise :class:`BlueGreenError` with the reasons of the service when this does not become ready by itself."""
    deployment = seen.deployment
    wrong = dead_end(deployment) if deployment else None
    if deployment and wrong:
        told = _told(api, deployment, progress.since) or _told(api, deployment, datetime.min.replace(tzinfo=UTC))
        details = f" ({deployment.status_details.rstrip('.')})" if deployment.status_details else ""
        sentence = (
            f"The deployment {deployment.name} ({deployment.identifier}) is {deployment.status}{details}: {wrong}"
        )
        raise BlueGreenError(
            _with(f"{sentence}; {remedy(deployment)}.", told),
            reasons=told,
            progress=progress.entries,
            deployment=deployment.as_dict(),
        )
    broken = replication_error(seen)
    if broken:
        raise BlueGreenError(
            f"Green should follow blue, but its replication does not go on: {broken.rstrip('.')}; {mend(broken)}.",
            reasons=[broken],
            progress=progress.entries,
        )
    for what, status in _statuses(seen.green):
        if status in DEAD_ENDS and status != "deleting":
            raise BlueGreenError(
                f"The {what} of green should become available, but its status is {status}, which does not end by itself: look at "
                "its events in the RDS console, mend it or delete the deployment, and run this again.",
                progress=progress.entries,
            )


def settled(green: Place | None) -> bool:
    """Whether green and all its members are available, with no parameter group still being applied."""
    return (
        green is not None
        and bool(green.members)
        and all(status == AVAILABLE for _what, status in _statuses(green))
        and all(one.parameter_group_status in (IN_SYNC, PENDING_REBOOT) for one in green.members)
    )


def pending(green: Place | None) -> list[str]:
    """The members whose parameter group waits for a reboot, the writer first."""
    return [one.identifier for one in green.members if one.parameter_group_status == PENDING_REBOOT] if green else []


def replication_error(seen: Seen) -> str | None:
    """Why green does not follow blue, in the service's words; None while it does."""
    details = seen.deployment.status_details if seen.deployment else None
    if details and _STOPPED.search(details):
        return details
    for one in seen.green.members if seen.green else ():
        for info in one.description.get("StatusInfos") or [] if one.status == AVAILABLE else ():
            ended = one.is_writer and seen.deployment is not None and seen.deployment.switched
            if info.get("Normal") is False or (info.get("Status") in _STANDS_STILL and not ended):
                whose = one.identifier if one.is_writer else f"{_REPLICA} {one.identifier}"
                return (
                    f"{info.get('StatusType')} of {whose} {info.get('Status')}: {info.get('Message') or 'no message'}"
                )
    return None


def wait_gone(api: Api, identifier: str, waits: Waits) -> None:
    """Wait until the deployment is deleted."""

    deleting = False

    def words(found: Deployment | None) -> str:
        return found.states() if found else "no such deployment"

    def done(found: Deployment | None) -> bool:
        nonlocal deleting
        if found is None:
            return True
        if deleting and found.status != managed.DELETING:
            told = _told(api, found, datetime.now(UTC) - _SKEW)
            raise BlueGreenError(
                _with(
                    f"The deployment {found.name} should be deleted, but the service gave that up: {words(found)}.",
                    told,
                ),
                reasons=told,
            )
        deleting = found.status == managed.DELETING
        return False

    wait_for(waits, lambda: managed.read(api, identifier), done, f"the deployment {identifier} to be deleted", words)


def members_in_words(green: Place | None) -> str:
    """The members of green that are not ready, in one line; empty when all are."""
    late = [f"{what} {status}" for what, status in _statuses(green) if status != AVAILABLE]
    late += [
        f"parameter group of {one.identifier} {one.parameter_group_status}"
        for one in (green.members if green else ())
        if one.parameter_group_status != IN_SYNC
    ]
    return ", ".join(late)


def _statuses(green: Place | None) -> list[tuple[str, str]]:
    if green is None:
        return []
    cluster = [(f"cluster {green.identifier}", green.status)] if green.is_cluster else []
    return [*cluster, *((f"instance {one.identifier}", one.status) for one in green.members)]


def _told(api: Api, deployment: Deployment, since: datetime) -> list[str]:
    """The service's reasons; none when it does not let its events be read, which is no reason to hide what is wrong."""
    try:
        return managed.reasons(api, deployment, since)
    except BlueGreenError:
        return []


def mend(broken: str) -> str:
    """What a person does about a replication that does not go on."""
    if f" of {_REPLICA} " in broken:
        return (
            "start it again (CALL mysql.rds_start_replication on MySQL), or delete that read replica and make it anew"
        )
    if _NO_FILE in broken:
        return (
            "the binary log that green was to begin with is not there: write something to blue after its reboot (prepare with the "
            "connection blue does it), keep the log ('binlog retention hours'), delete the deployment and create it anew"
        )
    again = "delete the deployment (state=absent, delete_target=true) and create it anew"
    return again if "degraded" in broken.lower() else f"mend that and run this again, or {again}"


def _with(sentence: str, told: list[str]) -> str:
    return f"{sentence.rstrip('.')}. AWS tells: {'; '.join(one.rstrip('.') for one in told)}." if told else sentence
