# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The account as the RDS API tells of it: quotas, pending maintenance, and what there is none of."""

from __future__ import annotations

from datetime import timedelta

from tests.lab.control_plane.common import bare, filters, find_cluster, page
from tests.lab.control_plane.errors import ApiError
from tests.lab.control_plane.plane import Call, ControlPlane, Handler
from tests.lab.control_plane.records import Region, Shape, utcnow

# Names as AccountQuota documents them. An account that was given room; `set_quota` takes it away.
QUOTAS = (
    "DBClusterParameterGroups",
    "DBClusters",
    "DBInstances",
    "DBParameterGroups",
    "DBSubnetGroups",
    "ManualClusterSnapshots",
)
ROOM = 1000


def _used(region: Region) -> dict[str, int]:
    return {
        "DBClusterParameterGroups": sum(group.kind == "cluster" for group in region.groups.values()),
        "DBClusters": len(region.clusters),
        "DBInstances": len(region.instances),
        "DBParameterGroups": sum(group.kind == "instance" for group in region.groups.values()),
        "DBSubnetGroups": len(region.subnet_groups),
        "ManualClusterSnapshots": len(region.snapshots),
    }


def attributes(call: Call) -> Shape:
    """DescribeAccountAttributes."""
    used = _used(call.region)
    return {
        "AccountQuotas": [
            {"AccountQuotaName": name, "Used": used[name], "Max": call.region.quotas.get(name, ROOM)} for name in QUOTAS
        ]
    }


def set_quota(plane: ControlPlane, region: str, name: str, room: int) -> None:
    """Leave room for so many more; the knob `clear` takes it back. Raises ValueError for a quota that does not exist."""
    if name not in QUOTAS:
        raise ValueError(f"there is no quota {name!r}; quotas are {', '.join(QUOTAS)}")
    with plane.lock:
        found = plane.region(region)
        found.quotas[name] = _used(found)[name] + room


def announce(plane: ControlPlane, region: str, cluster: str, action: str, seconds: float | None = None) -> None:
    """Announce maintenance of a cluster, in some seconds or at no time in particular; `clear` takes it back."""
    with plane.lock:
        found = plane.region(region)
        arn = find_cluster(found, cluster).api["DBClusterArn"]
        entry: Shape = {"Action": action, "Description": "New Operating System update is available"}
        if seconds is not None:
            entry["CurrentApplyDate"] = utcnow() + timedelta(seconds=seconds)
        found.maintenance.setdefault(str(arn), []).append(entry)


def clear(plane: ControlPlane) -> None:
    """Take back what `set_quota` and `announce` did."""
    with plane.lock:
        for region in plane.regions():
            region.quotas.clear()
            region.maintenance.clear()


def pending_maintenance(call: Call) -> Shape:
    """DescribePendingMaintenanceActions: only the resources that have one are listed."""
    wanted = filters(call, ("db-cluster-id", "db-instance-id"))
    names = {bare(value) for values in wanted.values() for value in values}
    found = [
        {"ResourceIdentifier": arn, "PendingMaintenanceActionDetails": actions}
        for arn, actions in call.region.maintenance.items()
        if not wanted or bare(arn) in names
    ]
    return page(call, "PendingMaintenanceActions", found)


def blue_green_deployments(call: Call) -> Shape:
    """DescribeBlueGreenDeployments: the lab manages none."""
    filters(call, ("blue-green-deployment-identifier", "blue-green-deployment-name", "source", "target"))
    identifier = call.params.get("BlueGreenDeploymentIdentifier")
    if identifier:
        raise ApiError("BlueGreenDeploymentNotFoundFault", f"Blue/green deployment {identifier} not found.")
    return page(call, "BlueGreenDeployments", [])


def integrations(call: Call) -> Shape:
    """DescribeIntegrations: the lab has none."""
    identifier = call.params.get("IntegrationIdentifier")
    if identifier:
        raise ApiError("IntegrationNotFoundFault", f"Integration {identifier} not found.")
    return page(call, "Integrations", [])


OPERATIONS: dict[str, Handler] = {
    "DescribeAccountAttributes": attributes,
    "DescribeBlueGreenDeployments": blue_green_deployments,
    "DescribeIntegrations": integrations,
    "DescribePendingMaintenanceActions": pending_maintenance,
}
