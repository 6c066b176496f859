# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pending maintenance of clusters: announced by a knob, described, applied at once."""

from __future__ import annotations

from datetime import timedelta

from tests.lab.control_plane import events, servers
from tests.lab.control_plane.common import bare, filters, find_cluster, page
from tests.lab.control_plane.errors import ApiError, cluster_state, invalid_value, not_in_lab
from tests.lab.control_plane.plane import Call, ControlPlane, Handler
from tests.lab.control_plane.records import Cluster, Region, Shape, set_status, utcnow


def announce(plane: ControlPlane, region: str, cluster: str, action: str, seconds: float | None = None) -> None:
    """Announce maintenance of a cluster, in some seconds or at no time in particular; `clear` takes it back."""
    with plane.lock:
        found = plane.region(region)
        arn = find_cluster(found, cluster).api["DBClusterArn"]
        entry: Shape = {"Action": action, "Description": "New Operating System update is available"}
        if seconds is not None:
            entry["CurrentApplyDate"] = utcnow() + timedelta(seconds=seconds)
        found.maintenance.setdefault(str(arn), []).append(entry)


def describe(call: Call) -> Shape:
    """DescribePendingMaintenanceActions: only the resources that have one are listed."""
    wanted = filters(call, ("db-cluster-id", "db-instance-id"))
    names = {bare(value) for values in wanted.values() for value in values}
    found = [
        _shape(arn, actions) for arn, actions in call.region.maintenance.items() if not wanted or bare(arn) in names
    ]
    return page(call, "PendingMaintenanceActions", found)


def _shape(arn: str, actions: list[Shape]) -> Shape:
    return {"ResourceIdentifier": arn, "PendingMaintenanceActionDetails": actions}


def apply(call: Call) -> Shape:
    """ApplyPendingMaintenanceAction of a cluster, at once: every server restarts; it is pending until that is done."""
    plane, region = call.plane, call.region
    arn, action = call.text("ResourceIdentifier"), call.text("ApplyAction")
    actions = region.maintenance.get(arn, [])
    entry = next((one for one in actions if one["Action"] == action), None)
    if entry is None:
        raise ApiError("ResourceNotFoundFault", f"There is no pending maintenance action {action} of {arn}.")
    if call.text("OptInType") not in ("immediate", "next-maintenance", "undo-opt-in"):
        raise invalid_value(f"Invalid value {call.text('OptInType')} for OptInType")
    if call.text("OptInType") != "immediate":
        raise not_in_lab("an opt-in for the maintenance window")
    cluster = find_cluster(region, arn)
    if cluster.status != "available":
        raise cluster_state(f"Cluster {cluster.identifier} is not in available state.")
    entry["OptInStatus"] = "immediate"

    def job() -> None:
        plane.clock.hold("settling")
        restart(plane, region, cluster, "maintenance")
        with plane.lock:
            actions.remove(entry)
            if not actions:
                region.maintenance.pop(arn, None)

    def failed(reason: str) -> None:
        with plane.lock:
            cluster.status = "available"
            events.cluster_event(region, cluster, f"Unable to apply the maintenance: {reason}", "failure")

    plane.jobs.run(cluster.volume_id, job, failed)
    return {"ResourcePendingMaintenanceActions": _shape(arn, actions)}


def restart(plane: ControlPlane, region: Region, cluster: Cluster, status: str) -> None:
    """Restart every server of a cluster, in a job; cluster and instances have the status meanwhile."""
    with plane.lock:
        members = [member for member in servers.active(plane, region, cluster) if member.running]
        set_status(status, cluster, *members)
    plane.clock.hold(status)
    servers.restart_all(plane, region, members)
    with plane.lock:
        set_status("available", cluster, *members)


def behind(region: Region, cluster: Cluster) -> bool:
    """Whether a cluster has a patch level that is not the latest."""
    return any(one["Action"] == "system-update" for one in region.maintenance.get(str(cluster.api["DBClusterArn"]), []))


OPERATIONS: dict[str, Handler] = {
    "ApplyPendingMaintenanceAction": apply,
    "DescribePendingMaintenanceActions": describe,
}
