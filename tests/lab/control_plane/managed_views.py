# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A managed blue/green deployment as the API describes it, its state as it is now, and its events."""

from __future__ import annotations

from tests.lab.control_plane import events
from tests.lab.control_plane.common import tag_list
from tests.lab.control_plane.managed_records import AVAILABLE, INVALID, MISSING, Deployment, Pair, arn_of
from tests.lab.control_plane.plane import ControlPlane
from tests.lab.control_plane.records import Cluster, Region, Shape

SOURCE_TYPE = "blue-green-deployment"


def deployment_arn(region: Region, deployment: Deployment) -> str:
    """Return the ARN that its tags and its events have."""
    return region.arn("deployment", deployment.identifier)


def _pair_status(plane: ControlPlane, region: Region, deployment: Deployment, pair: Pair) -> str | None:
    """A member's status: what is gone shows while the deployment can still be switched over."""
    if deployment.status not in (AVAILABLE, INVALID):
        return pair.status
    gone = pair.missing(region)
    if gone is None and pair is deployment.pairs[-1]:
        gone = plane.managed.knobs.missing
    return MISSING[gone] if gone else pair.status


def state(plane: ControlPlane, region: Region, deployment: Deployment) -> tuple[str, str | None]:
    """Return status and details as they are now."""
    details = deployment.api.get("StatusDetails")
    if deployment.status != AVAILABLE:
        return deployment.status, details
    if deployment.worlds is not None and deployment.worlds.changed() is not None:
        return INVALID, deployment.worlds.changed()
    gone = [pair for pair in deployment.pairs if _pair_status(plane, region, deployment, pair) in MISSING.values()]
    if plane.managed.knobs.invalid is not None:
        return INVALID, plane.managed.knobs.invalid
    if gone:
        return INVALID, f"A resource of the blue/green deployment was deleted: {_lost(plane, region, gone[0])}."
    return AVAILABLE, details


def _lost(plane: ControlPlane, region: Region, pair: Pair) -> str:
    side = pair.missing(region) or plane.managed.knobs.missing
    record = pair.target if side == "target" and pair.target is not None else pair.source
    return f"{'DB cluster' if isinstance(record, Cluster) else 'DB instance'} {record.identifier}"


def deployment_shape(plane: ControlPlane, region: Region, deployment: Deployment) -> Shape:
    """Return a BlueGreenDeployment."""
    status, details = state(plane, region, deployment)
    shape: Shape = {
        **deployment.api,
        "Source": arn_of(deployment.pairs[0].source),
        "Status": status,
        "StatusDetails": details,
        "Tasks": [{"Name": task.name, "Status": task.status} for task in deployment.tasks],
        "SwitchoverDetails": [
            {
                "SourceMember": arn_of(pair.source),
                "TargetMember": arn_of(pair.target) if pair.target is not None else None,
                "Status": _pair_status(plane, region, deployment, pair),
            }
            for pair in deployment.pairs
        ],
        "TagList": tag_list(deployment.tags),
    }
    first = deployment.pairs[0].target
    if first is not None:
        shape["Target"] = arn_of(first)
    shape["SwitchoverDetails"] = [
        {name: value for name, value in pair.items() if value is not None} for pair in shape["SwitchoverDetails"]
    ]
    return {name: value for name, value in shape.items() if value is not None}


def say(region: Region, deployment: Deployment, message: str, category: str = "notification") -> None:
    """Record an event of a deployment."""
    arn = deployment_arn(region, deployment)
    events.add(region, SOURCE_TYPE, deployment.identifier, arn, message, category)


def subjects(deployment: Deployment) -> list[tuple[str, Pair]]:
    """Return what the events of a switchover are about, with their words for it: the cluster, or every instance."""
    if not deployment.standalone:
        return [("DB cluster", deployment.pairs[0])]
    return [("read replica" if number else "primary", pair) for number, pair in enumerate(deployment.pairs)]


def say_of_each(region: Region, deployment: Deployment, what: str, category: str = "notification") -> None:
    """Record an event of a switchover for each of its subjects: `what` follows the names of both sides."""
    for word, pair in subjects(deployment):
        if pair.target is not None:
            names = f"{pair.source.identifier} to {pair.target.identifier}"
            say(region, deployment, f"Switchover from {word} {names} {what}", category)
