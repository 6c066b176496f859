# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the work on a managed deployment shares: operations asked for as a user does, and waiting for what follows."""

from __future__ import annotations

from collections.abc import Callable

from tests.lab.control_plane import clusters, standalone
from tests.lab.control_plane.errors import ApiError
from tests.lab.control_plane.managed_records import exists
from tests.lab.control_plane.plane import Call, ControlPlane, Handler
from tests.lab.control_plane.records import Cluster, Region, Shape
from tests.lab.engine import EngineError

POLL = 0.05


def ask(call: Call, region: Region, operation: Handler, **params: object) -> Shape:
    """Call an operation in a Region; raises EngineError with the refusal."""
    given = {name: value for name, value in params.items() if value is not None}
    with call.plane.lock:
        try:
            return operation(Call(call.plane, region, call.operation, given))
        except ApiError as exc:
            raise EngineError(exc.message) from None


def until(plane: ControlPlane, ready: Callable[[], bool]) -> None:
    """Wait for something to become true; raises EngineError when the lab ends before."""
    while plane.clock.pause(POLL):
        with plane.lock:
            if ready():
                return
    raise EngineError("the lab is closing")


def wait_for_instances(plane: ControlPlane, region: Region, cluster: Cluster) -> None:
    """Wait until all instances of a cluster are available; raises EngineError when one of them failed."""
    states: dict[str, str] = {}

    def settled() -> bool:
        states.clear()
        states.update({member.identifier: member.status for member in region.members(cluster)})
        return "failed" in states.values() or all(status == "available" for status in states.values())

    until(plane, settled)
    for name, status in states.items():
        if status == "failed":
            raise EngineError(f"the DB instance {name} could not be created")


def delete_cluster(call: Call, region: Region, cluster: Cluster) -> None:
    """Delete a cluster's instances, then the cluster, as far as they are there, and wait until they are gone."""
    plane = call.plane
    for member in reversed(region.members(cluster)):  # the writer last, so that no reader is promoted
        if member.status != "deleting":
            name = member.identifier
            ask(call, region, standalone.delete, DBInstanceIdentifier=name, SkipFinalSnapshot=True)
    until(plane, lambda: not region.members(cluster))
    if exists(region, cluster):
        ask(call, region, clusters.delete, DBClusterIdentifier=cluster.identifier, SkipFinalSnapshot=True)
    until(plane, lambda: not exists(region, cluster))
