# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which instance is the writer: failover, and what a crash of a server leads to."""

from __future__ import annotations

from tests.lab.control_plane import events, servers
from tests.lab.control_plane.common import find_cluster, find_instance
from tests.lab.control_plane.errors import ApiError, cluster_state, instance_state
from tests.lab.control_plane.global_rules import may_fail_over
from tests.lab.control_plane.plane import Call, ControlPlane, Handler
from tests.lab.control_plane.records import Cluster, Instance, Region, Shape
from tests.lab.control_plane.views import cluster_shape


def promote(plane: ControlPlane, region: Region, cluster: Cluster, target: Instance) -> None:
    """Make an instance the writer; in a job. Every server of the cluster restarts, the old writer as a reader."""
    members = [member for member in servers.active(plane, region, cluster) if member.running]

    def swap() -> None:
        with plane.lock:
            for member in region.members(cluster):
                member.writer = member is target

    with plane.lock:
        message = f"Started cross AZ failover to DB instance: {target.identifier}"
        events.cluster_event(region, cluster, message, "failover")
    servers.restart_all(plane, region, members, swap)
    with plane.lock:
        message = f"Completed failover to DB instance: {target.identifier}"
        events.cluster_event(region, cluster, message, "failover")


def failover(call: Call) -> Shape:
    """FailoverDBCluster, to a named instance or to the reader of the lowest promotion tier."""
    plane, region = call.plane, call.region
    cluster = find_cluster(region, call.text("DBClusterIdentifier"))
    if cluster.status != "available":
        raise cluster_state(f"Cluster {cluster.identifier} is not in available state.")
    may_fail_over(cluster)
    readers = [m for m in servers.active(plane, region, cluster) if not m.writer and m.status == "available"]
    wanted = call.params.get("TargetDBInstanceIdentifier")
    if wanted:
        target = find_instance(region, str(wanted))
        if target not in readers:
            raise instance_state(f"Instance {wanted} is not an available reader of {cluster.identifier}.")
    elif readers:
        target = min(readers, key=lambda reader: int(reader.api["PromotionTier"]))
    else:
        raise cluster_state(f"Cannot failover cluster {cluster.identifier} because it doesn't have any readers")
    cluster.status = "failing-over"

    def job() -> None:
        plane.clock.hold("failing-over")
        promote(plane, region, cluster, target)
        with plane.lock:
            cluster.status = "available"

    def failed(reason: str) -> None:
        with plane.lock:
            cluster.status = "available"
            events.cluster_event(region, cluster, f"Cluster failover failed: {reason}", "failover", "failure")

    plane.jobs.run(cluster.volume_id, job, failed)
    return {"DBCluster": cluster_shape(region, cluster)}


def kill(plane: ControlPlane, region: Region, instance: Instance, restart: bool) -> None:
    """Crash an instance's server now, without warning; with `restart` the service finds and restarts it."""
    servers.stop(plane, instance, immediate=True)

    def job() -> None:
        plane.clock.hold("rebooting")
        servers.start(plane, region, instance)
        with plane.lock:
            events.instance_event(region, instance, "Recovery of the DB instance is complete.", "recovery")

    def failed(reason: str) -> None:
        with plane.lock:
            instance.status = "failed"
            events.instance_event(region, instance, f"The DB instance could not be recovered: {reason}", "failure")

    if restart:
        with plane.lock:
            message = "Recovery of the DB instance has started. Recovery time will vary with the amount of data."
            events.instance_event(region, instance, message, "recovery")
        plane.jobs.run(instance.cluster.volume_id, job, failed)


def reboot_cluster(call: Call) -> Shape:
    """RebootDBCluster is for Multi-AZ DB clusters; Aurora refuses it."""
    cluster = find_cluster(call.region, call.text("DBClusterIdentifier"))
    raise ApiError(
        "InvalidParameterCombination",
        f"The DB cluster {cluster.identifier} is not a Multi-AZ DB cluster; reboot its DB instances instead.",
    )


OPERATIONS: dict[str, Handler] = {"FailoverDBCluster": failover, "RebootDBCluster": reboot_cluster}
