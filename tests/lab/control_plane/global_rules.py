# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a member of a global cluster may not do, in the service's words where they are known."""

from __future__ import annotations

from tests.lab.control_plane.common import bare
from tests.lab.control_plane.errors import (
    ApiError,
    cluster_state,
    global_state,
    invalid_combination,
    invalid_value,
    not_in_lab,
)
from tests.lab.control_plane.plane import ControlPlane
from tests.lab.control_plane.records import Cluster, GlobalCluster, GlobalMember, Instance, Region, Shape

MAX_SECONDARIES = 10  # "up to 10 secondary clusters", Aurora user guide
BURSTABLE = "db.t"
REPLICA = "for cross region replication cluster"


def find_global(plane: ControlPlane, identifier: str, region: Region | None = None) -> GlobalCluster:
    """Return a global cluster by its identifier, with `region` only one that is seen from there; raises the fault."""
    found = plane.global_clusters.get(bare(identifier))
    if found is None or (region is not None and not found.seen_from(region.name)):
        raise ApiError("GlobalClusterNotFoundFault", f"Global cluster {identifier} not found.")
    return found


def find_member(plane: ControlPlane, group: GlobalCluster, arn: str) -> GlobalMember:
    """Return a member by its cluster's ARN; raises the typed faults."""
    for member in group.members:
        if member.arn == arn:
            return member
    parts = arn.split(":")
    if len(parts) != 7 or parts[2] != "rds" or parts[5] != "cluster":
        raise invalid_value(f"{arn} is not the ARN of a DB cluster.")
    if parts[6] not in plane.region(parts[3]).clusters:
        raise ApiError("DBClusterNotFoundFault", f"DBCluster {arn} not found.")
    raise invalid_value(f"Cluster {arn} is not found in global cluster {group.identifier}")


def may_be_deleted(cluster: Cluster) -> None:
    """DeleteDBCluster: a member is removed from its global cluster first."""
    member = cluster.member
    if member is None:
        return
    if member.writer and member.group.secondaries:
        raise global_state(
            "Unable to delete cluster that is a primary member of global cluster while there are other global "
            "cluster members"
        )
    raise cluster_state("This cluster is a part of a global cluster, please remove it from globalcluster first")


def may_lose(region: Region, instance: Instance) -> None:
    """DeleteDBInstance: the primary keeps an instance as long as there are secondaries."""
    member = instance.cluster.member
    if member is None or not member.writer or not member.group.secondaries:
        return
    if all(other is instance or other.status == "deleting" for other in region.members(instance.cluster)):
        raise cluster_state(
            "Cannot delete the last instance of the master cluster. Delete the replica cluster before deleting the "
            "last master cluster instance."
        )


def may_stop(cluster: Cluster) -> None:
    """StopDBCluster: "You can't stop or start the Aurora DB clusters in your global database individually"."""
    if cluster.member is not None:
        raise cluster_state(
            f"Cannot stop or start the DB cluster {cluster.identifier} because it is part of a global cluster."
        )


def may_fail_over(cluster: Cluster) -> None:
    """FailoverDBCluster: a secondary has no writer."""
    if cluster.secondary:
        raise cluster_state(f"Cannot failover cluster {cluster.identifier}: it is a secondary of a global cluster.")


def may_be_copied(cluster: Cluster) -> None:
    """A clone, a restore or a snapshot of a secondary; AWS has them."""
    if cluster.secondary:
        raise not_in_lab(f"a copy of the secondary cluster {cluster.identifier}")


def may_modify(cluster: Cluster, params: Shape) -> None:
    """ModifyDBCluster: what only the primary may, and what no member may."""
    if cluster.member is None:
        if params.get("EnableGlobalWriteForwarding") is not None:
            raise invalid_combination(
                f"EnableGlobalWriteForwarding can only be set on members of a global cluster; {cluster.identifier} is "
                "not one."
            )
        return
    if params.get("ManageMasterUserPassword"):
        raise managed_password()
    if cluster.secondary and params.get("MasterUserPassword"):
        raise invalid_combination(f"Cannot specify password {REPLICA}")


def managed_password() -> ApiError:
    """ "Managing master user passwords with Secrets Manager isn't supported" for global databases (user guide)."""
    return invalid_value("ManageMasterUserPassword isn't supported for DB clusters that are part of a global cluster")


def may_upgrade(cluster: Cluster, major: bool) -> None:
    """ModifyDBCluster with EngineVersion: a major upgrade is one of the global cluster."""
    if cluster.member is not None and major:
        raise invalid_combination(
            f"Cannot upgrade the DB cluster {cluster.identifier} to a new major version because it is part of the "
            f"global cluster {cluster.member.group.identifier}. Upgrade the global cluster with ModifyGlobalCluster."
        )


def may_have_class(instance_class: str) -> None:
    """The instance classes of global databases: none that is burstable."""
    if instance_class.startswith(BURSTABLE):
        raise invalid_combination(f"{instance_class} is not supported for members of a global cluster.")
