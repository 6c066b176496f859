# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The account as the RDS API tells of it: its quotas."""

from __future__ import annotations

from tests.lab.control_plane.plane import Call, ControlPlane, Handler
from tests.lab.control_plane.records import Region, Shape

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


def room(region: Region) -> dict[str, int]:
    """Return how many more there may be, by quota."""
    return {name: region.quotas.get(name, ROOM) - used for name, used in _used(region).items()}


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


def clear(plane: ControlPlane) -> None:
    """Take back what `set_quota` and `maintenance.announce` did."""
    with plane.lock:
        for region in plane.regions():
            region.quotas.clear()
            region.maintenance.clear()


OPERATIONS: dict[str, Handler] = {
    "DescribeAccountAttributes": attributes,
}
