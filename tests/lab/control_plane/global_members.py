# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DB clusters that are created in a global cluster, and removed from it."""

from __future__ import annotations

from collections.abc import Callable

from tests.lab.control_plane import clusters, events, servers
from tests.lab.control_plane.errors import (
    cluster_state,
    global_state,
    invalid_combination,
)
from tests.lab.control_plane.global_clusters import global_shape, join, leave, must_be_available
from tests.lab.control_plane.global_rules import (
    MAX_SECONDARIES,
    REPLICA,
    find_global,
    find_member,
    managed_password,
)
from tests.lab.control_plane.plane import Call, ControlPlane, Handler
from tests.lab.control_plane.records import Cluster, GlobalCluster, GlobalMember, Region, Shape
from tests.lab.control_plane.views import cluster_shape
from tests.lab.control_plane.write_forwarding import follow_role

# Request option -> what AWS calls it when a secondary cannot have it.
OF_THE_PRIMARY = {"MasterUsername": "user name", "MasterUserPassword": "password", "DatabaseName": "database name"}


def create(call: Call) -> Shape:
    """CreateDBCluster, in or out of a global cluster; the first cluster of an empty one is the primary."""
    identifier = call.params.get("GlobalClusterIdentifier")
    if not identifier:
        if call.params.get("EnableGlobalWriteForwarding"):
            raise invalid_combination("EnableGlobalWriteForwarding needs a GlobalClusterIdentifier.")
        return clusters.create(call)
    clusters.refuse_what_is_not_in_lab(call.params)
    group = find_global(call.plane, str(identifier))
    must_be_available(group)
    if call.params.get("ManageMasterUserPassword"):
        raise managed_password()
    primary = group.primary
    return _create_primary(call, group) if primary is None else _create_secondary(call, group, primary)


def _create_primary(call: Call, group: GlobalCluster) -> Shape:
    _check_version(call, group, str(group.api["EngineVersion"]))
    if group.api.get("DatabaseName"):
        call.params.setdefault("DatabaseName", group.api["DatabaseName"])
    if group.api["StorageEncrypted"]:
        call.params["StorageEncrypted"] = True
    call.params["EngineVersion"] = group.api["EngineVersion"]
    cluster = clusters.new(call)
    join(group, call.region, cluster, writer=True)
    return {"DBCluster": cluster_shape(call.region, cluster)}


def _create_secondary(call: Call, group: GlobalCluster, primary: GlobalMember) -> Shape:
    plane, region, params = call.plane, call.region, call.params
    source = primary.cluster
    _check_secondary(call, group, primary)
    cluster = clusters.new_cluster(call, source.api["Engine"], source.api["EngineVersion"], _inherited(source))
    member = join(group, region, cluster, writer=False)
    cluster.api["GlobalWriteForwardingRequested"] = bool(params.get("EnableGlobalWriteForwarding"))
    if params.get("EnableGlobalWriteForwarding"):
        cluster.api["GlobalWriteForwardingStatus"] = "enabling"
    engine = servers.engine_of(plane, cluster)

    def copy() -> None:
        engine.follow_volume(source.volume_id, cluster.volume_id)
        with plane.lock:
            member.connected = True
            follow_role(cluster)

    def make_volume() -> None:
        # In the primary's queue: nobody stops or upgrades its servers while they are copied.
        plane.jobs.submit(source.volume_id, copy).result()

    clusters.bring_up(call, cluster, make_volume, "failed")
    return {"DBCluster": cluster_shape(region, cluster)}


def _inherited(source: Cluster) -> Shape:
    """What a secondary has from the primary; a key of KMS is of one Region."""
    names = ("MasterUsername", "DatabaseName", "StorageEncrypted")
    return {name: source.api[name] for name in names if name in source.api}


def _check_version(call: Call, group: GlobalCluster, version: str) -> None:
    engine = call.text("Engine")
    if engine != group.api["Engine"]:
        raise invalid_combination(
            f"The engine {engine} does not match the engine {group.api['Engine']} of the global cluster "
            f"{group.identifier}."
        )
    asked = call.params.get("EngineVersion")
    if asked is not None and call.plane.version(engine, str(asked)).version != version:
        raise invalid_combination(
            f"The engine version {asked} does not match the engine version {version} of the global cluster "
            f"{group.identifier}."
        )


def _check_secondary(call: Call, group: GlobalCluster, primary: GlobalMember) -> None:
    """Raise what the service refuses: a master user or database of its own, a second cluster in a Region, no key."""
    params, region, source = call.params, call.region, primary.cluster
    for name, title in OF_THE_PRIMARY.items():
        if params.get(name):
            raise invalid_combination(f"Cannot specify {title} {REPLICA}")
    _check_version(call, group, str(source.api["EngineVersion"]))
    if group.seen_from(region.name):
        raise global_state(f"The global cluster {group.identifier} has a DB cluster in {region.name} already.")
    if len(group.secondaries) >= MAX_SECONDARIES:
        raise global_state(
            f"The global cluster {group.identifier} has the maximum of {MAX_SECONDARIES} secondary clusters."
        )
    if source.status != "available":
        raise global_state(f"The primary cluster {source.identifier} is in state {source.status}.")
    if not any(member.running for member in primary.region.members(source) if member.writer):
        raise global_state(f"The primary cluster {source.identifier} has no writer that runs.")
    if source.api["StorageEncrypted"] and not params.get("KmsKeyId"):
        raise invalid_combination(
            f"The source cluster is encrypted; pass KmsKeyId with a key of the Region {region.name}."
        )
    if params.get("StorageEncrypted") and not source.api["StorageEncrypted"]:
        raise invalid_combination("A secondary cluster cannot be encrypted when the primary cluster is not.")


def remove(call: Call) -> Shape:
    """RemoveFromGlobalCluster: a secondary becomes a cluster of its own, the primary leaves as the last one."""
    plane = call.plane
    group = find_global(plane, call.text("GlobalClusterIdentifier"), call.region)
    arn = call.text("DbClusterIdentifier")
    member = find_member(plane, group, arn)
    cluster = member.cluster
    if member.writer and group.secondaries:
        raise global_state(
            f"Cannot remove the primary cluster {arn} from the global cluster {group.identifier} while it has "
            "secondary clusters."
        )
    must_be_available(group)
    if cluster.status not in ("available", "failed"):
        raise cluster_state(f"Cluster {cluster.identifier} is in state {cluster.status}.")
    failed_before = cluster.status == "failed"
    cluster.status = "promoting"

    def job() -> None:
        plane.clock.hold("promoting")
        if not member.writer and not failed_before:
            stand_alone(plane, member.region, cluster, lambda: None, complete=False)
        with plane.lock:
            leave(member)
        servers.lead(plane, member.region, cluster)
        with plane.lock:
            cluster.status = "failed" if failed_before else "available"
            events.cluster_event(member.region, cluster, "Removed from global cluster", "notification")

    def failed(reason: str) -> None:
        with plane.lock:
            cluster.status = "failed"
            message = f"The DB cluster could not be promoted: {reason}"
            events.cluster_event(member.region, cluster, message, "failure")

    plane.jobs.run(cluster.volume_id, job, failed)
    return {"GlobalCluster": global_shape(group)}


def stand_alone(
    plane: ControlPlane, region: Region, cluster: Cluster, promoted: Callable[[], None], complete: bool
) -> None:
    """Let a secondary's volume follow no longer and one of its servers be its writer; in a job.

    `promoted` is called, with the records locked, before any server runs again.
    """
    members = [member for member in servers.active(plane, region, cluster) if member.running]

    def promote() -> None:
        servers.engine_of(plane, cluster).promote_volume(cluster.volume_id, complete)
        with plane.lock:
            choose_writer(region, cluster)
            promoted()

    servers.restart_all(plane, region, members, promote)


def choose_writer(region: Region, cluster: Cluster) -> None:
    """Make the instance of the lowest promotion tier the writer, when there is any."""
    able = [member for member in region.members(cluster) if member.status not in servers.INACTIVE]
    writer = min(able, key=lambda member: int(member.api["PromotionTier"]), default=None)
    for member in able:
        member.writer = member is writer


OPERATIONS: dict[str, Handler] = {"CreateDBCluster": create, "RemoveFromGlobalCluster": remove}
