# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A deployment that waits for its switchover: its metadata appears, and what is wrong with its replication is said."""

from __future__ import annotations

import time

from tests.lab.control_plane import events
from tests.lab.control_plane.managed_metadata import Metadata
from tests.lab.control_plane.managed_records import AVAILABLE, Deployment, exists
from tests.lab.control_plane.managed_views import say
from tests.lab.control_plane.plane import ControlPlane
from tests.lab.control_plane.records import Instance, Region, Shape
from tests.lab.engine import EngineError
from tests.lab.managed.link import Health

INTERVAL = 0.5
WATCHED = ("SWITCHOVER_IN_PROGRESS", AVAILABLE)
DEGRADED = (
    "Replication degraded: {}. Delete the blue/green deployment and create it again, because the green environment can't "
    "catch up with this change."
)


def begin(plane: ControlPlane, region: Region, deployment: Deployment) -> None:
    """Let the metadata be there, at once unless it is to be late, and watch from now on."""
    late = plane.managed.knobs.metadata_delay
    if not late:
        _install(plane, region, deployment)

    def watch() -> None:
        due = time.monotonic() + late
        while plane.clock.pause(INTERVAL) and _watched(plane, region, deployment):
            with deployment.lock:
                if deployment.status != AVAILABLE:
                    continue
                late_ones = not deployment.metadata and time.monotonic() >= due
                if late_ones or deployment.unwritten:
                    _install(plane, region, deployment)
                _look(plane, region, deployment)
                _look_at_replicas(plane, region, deployment)
        plane.jobs.retire(queue)

    queue = f"{deployment.identifier}-watch"
    plane.jobs.submit(queue, watch)


def _watched(plane: ControlPlane, region: Region, deployment: Deployment) -> bool:
    with plane.lock:
        known = plane.managed.of(region).get(deployment.identifier) is deployment
        return known and deployment.status in ("PROVISIONING", *WATCHED)


def _install(plane: ControlPlane, region: Region, deployment: Deployment) -> None:
    deployment.metadata = True
    Metadata(plane, region, deployment).show(AVAILABLE)


def _look(plane: ControlPlane, region: Region, deployment: Deployment) -> None:
    try:
        problem = trouble(plane, deployment)
    except EngineError:
        return  # a server that does not run says nothing; a switchover will
    with plane.lock:
        if problem is None:
            deployment.api.pop("StatusDetails", None)
        else:
            deployment.api["StatusDetails"] = problem
        if problem is not None and problem != deployment.reported:
            say(region, deployment, problem, "failure")
            for member in region.members(deployment.green):
                if member.writer:
                    events.instance_event(region, member, problem, "read replica", "failure")
        deployment.reported = problem


def _look_at_replicas(plane: ControlPlane, region: Region, deployment: Deployment) -> None:
    """See how the read replicas of both sides follow theirs: their StatusInfos tell, the guardrails do not look there."""
    look = plane.managed.replica_health
    for pair in deployment.replicas if look is not None else ():
        for source, replica in ((deployment.blue, pair.source), (deployment.green, pair.target)):
            if not isinstance(replica, Instance) or not exists(region, replica):
                continue
            try:
                health = look(plane, region, source, replica.cluster) if look is not None else None
            except EngineError:
                continue  # its server does not run
            with plane.lock:
                replica.replication = {} if health is None else _status_info(health)


def _status_info(health: Health) -> Shape:
    """What StatusInfos has of a read replica that does not replicate; nothing of one that does."""
    if health.running:
        return {}
    failed = "Error: " in (health.error or "")
    return {"Normal": not failed, "Status": "error" if failed else "stopped", "Message": health.error or ""}


def trouble(plane: ControlPlane, deployment: Deployment) -> str | None:
    """Return what is wrong with the replication from blue to green, None when nothing is."""
    link, knobs = deployment.link, plane.managed.knobs
    if link is None:
        return "Green does not follow blue."
    degraded = knobs.degrade or link.degraded()
    if degraded is not None:
        return DEGRADED.format(degraded.rstrip("."))
    health = knobs.health(link.health())
    return (
        None if health.running else f"Read Replica Replication Error - {health.error or 'the replication has stopped'}"
    )
