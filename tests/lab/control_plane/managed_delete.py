# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DeleteBlueGreenDeployment: what remains of both sides, and what ends."""

from __future__ import annotations

import logging

from tests.lab.control_plane import managed_global
from tests.lab.control_plane.errors import invalid_combination
from tests.lab.control_plane.managed_records import (
    COMPLETED,
    DELETING,
    IN_PROGRESS,
    PROVISIONING,
    Deployment,
)
from tests.lab.control_plane.managed_rules import find_deployment, state_fault
from tests.lab.control_plane.managed_views import deployment_shape, say
from tests.lab.control_plane.managed_work import delete_cluster
from tests.lab.control_plane.plane import Call
from tests.lab.control_plane.records import Instance, Shape, utcnow
from tests.lab.engine import EngineError

LOG = logging.getLogger(__name__)


def delete(call: Call) -> Shape:
    """DeleteBlueGreenDeployment: before the switchover with or without green, after it without anything."""
    plane, region = call.plane, call.region
    deployment = find_deployment(call, call.text("BlueGreenDeploymentIdentifier"))
    target = call.params.get("DeleteTarget")
    if deployment.status in (PROVISIONING, IN_PROGRESS, DELETING):
        raise state_fault(
            f"The blue/green deployment {deployment.identifier} can't be deleted in state {deployment.status}."
        )
    completed = deployment.status == COMPLETED
    if completed and target is not None:
        raise invalid_combination(
            "You can't specify DeleteTarget if the blue/green deployment status is SWITCHOVER_COMPLETED."
        )
    greens = [deployment.green, *(one.cluster for one in _replicas(deployment))]
    if target and any(green.api["DeletionProtection"] for green in greens):
        what = "DB Instance" if deployment.standalone else "Cluster"
        raise invalid_combination(f"Cannot delete protected {what}, please disable deletion protection and try again.")
    deployment.status = DELETING
    deployment.api["DeleteTime"] = utcnow()
    answer = deployment_shape(plane, region, deployment)

    def job() -> None:
        plane.clock.pause(plane.managed.knobs.hold.get(DELETING, plane.managed.knobs.provisioning))
        _unlink(deployment)
        if target:
            _delete_green(call, deployment)
        with plane.lock:
            del plane.managed.of(region)[deployment.identifier]
            say(region, deployment, "Blue/green deployment deleted.", "deletion")
        plane.jobs.retire(deployment.identifier)

    def failed(reason: str) -> None:
        with plane.lock:
            deployment.status = "INVALID_CONFIGURATION"
            deployment.api["StatusDetails"] = f"The blue/green deployment could not be deleted: {reason}"
            say(region, deployment, deployment.api["StatusDetails"], "failure")

    plane.jobs.run(deployment.identifier, job, failed)
    return {"BlueGreenDeployment": answer}


def _unlink(deployment: Deployment) -> None:
    """End what the service did between the servers: old production, that only could be read, can be written to.

    A green of Aurora MySQL that stays before the switchover goes on as a replica of blue, one of PostgreSQL is a cluster
    of its own (user guide, "Deleting a blue/green deployment"): the link knows.
    """
    link = deployment.link
    if link is None:
        return
    with deployment.lock:
        try:
            link.drop()
        except EngineError as exc:  # a server that is gone has nothing of it any more
            LOG.info("%s is not taken apart everywhere: %s", deployment.identifier, exc)


def _replicas(deployment: Deployment) -> list[Instance]:
    """The read replicas of green."""
    return [pair.target for pair in deployment.replicas if isinstance(pair.target, Instance)]


def _delete_green(call: Call, deployment: Deployment) -> None:
    """Delete green in every Region, as far as it is there."""
    if deployment.green.status == "creating":  # its creation was given up
        deployment.green.status = "available"
    managed_global.take_apart(call, deployment)
    for replica in _replicas(deployment):
        delete_cluster(call, call.region, replica.cluster)
    delete_cluster(call, call.region, deployment.green)
