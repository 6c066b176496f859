# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Global clusters: created, described, modified, deleted."""

from __future__ import annotations

import secrets

from tests.lab.control_plane import events, servers
from tests.lab.control_plane.common import filters, new_identifier, page, tag_list, tags_of
from tests.lab.control_plane.errors import ApiError, cluster_not_found, cluster_state, global_state, invalid_combination
from tests.lab.control_plane.global_rules import find_global, managed_password, may_have_class
from tests.lab.control_plane.kinds import check_global
from tests.lab.control_plane.plane import Call, ControlPlane, Handler
from tests.lab.control_plane.records import ACCOUNT, Cluster, GlobalCluster, GlobalMember, Region, Shape
from tests.lab.control_plane.write_forwarding import follow_role

# What a global cluster has from its source, and so cannot be given with it.
FROM_SOURCE = ("Engine", "EngineVersion", "DatabaseName", "StorageEncrypted")


def global_arn(identifier: str) -> str:
    """The ARN of a global cluster; it has no Region."""
    return f"arn:aws:rds::{ACCOUNT}:global-cluster:{identifier}"


def global_shape(group: GlobalCluster) -> Shape:
    """Return a GlobalCluster. Engine version and encryption are those of the primary."""
    members = [_member_shape(member) for member in group.members]
    shape = {**group.api, "Endpoint": group.host, "GlobalClusterMembers": members}
    primary = group.primary
    if primary is not None:
        shape |= {name: primary.cluster.api[name] for name in ("EngineVersion", "StorageEncrypted")}
    return {**shape, "TagList": tag_list(group.tags)}


def _member_shape(member: GlobalMember) -> Shape:
    shape: Shape = {
        "DBClusterArn": member.arn,
        "Readers": [other.arn for other in member.group.secondaries] if member.writer else [],
        "IsWriter": member.writer,
        "SynchronizationStatus": "connected" if member.connected else "pending-resync",
    }
    if "GlobalWriteForwardingStatus" in member.cluster.api:
        shape["GlobalWriteForwardingStatus"] = member.cluster.api["GlobalWriteForwardingStatus"]
    return shape


def create(call: Call) -> Shape:
    """CreateGlobalCluster: around an existing cluster, which becomes the primary, or empty."""
    plane, params = call.plane, call.params
    identifier = new_identifier(call, "GlobalClusterIdentifier")
    if identifier in plane.global_clusters:
        raise ApiError("GlobalClusterAlreadyExistsFault", f"Global cluster {identifier} already exists")
    source = params.get("SourceDBClusterIdentifier")
    found = _source(call, str(source)) if source else None
    tags = tags_of(params)
    api: Shape = {
        "GlobalClusterIdentifier": identifier,
        "GlobalClusterResourceId": f"cluster-{secrets.token_hex(8)}",
        "GlobalClusterArn": global_arn(identifier),
        "DeletionProtection": bool(params.get("DeletionProtection")),
        "EngineLifecycleSupport": params.get("EngineLifecycleSupport") or "open-source-rds-extended-support",
        **(_described(found[1]) if found else _requested(call)),
        "Status": "creating" if found else "available",
    }
    group = GlobalCluster(api, plane.addresses.take(), call.region.name, tags=tags, names=plane.names)
    plane.global_clusters[identifier] = group
    if plane.names is not None:
        plane.names.set(group.host, group.address)
    if found:
        join(group, *found, writer=True)
        _settle(plane, group, *found)
    return {"GlobalCluster": global_shape(group)}


def _requested(call: Call) -> Shape:
    version = call.plane.version(call.text("Engine"), call.params.get("EngineVersion"))
    check_global(version.engine)
    api: Shape = {
        "Engine": version.engine,
        "EngineVersion": version.version,
        "StorageEncrypted": bool(call.params.get("StorageEncrypted")),
    }
    if call.params.get("DatabaseName"):
        api["DatabaseName"] = call.params["DatabaseName"]
    return api


def _described(cluster: Cluster) -> Shape:
    names = ("Engine", "EngineVersion", "StorageEncrypted", "DatabaseName")
    return {name: cluster.api[name] for name in names if cluster.api.get(name) is not None}


def _source(call: Call, source: str) -> tuple[Region, Cluster]:
    """Return the cluster that becomes the primary; raises the service's refusals."""
    for name in FROM_SOURCE:
        if call.params.get(name) is not None:
            raise invalid_combination(f"When creating a global cluster from a source DB cluster, {name} is not allowed")
    parts = source.split(":")
    if len(parts) != 7 or parts[:3] != ["arn", "aws", "rds"] or parts[4:6] != [ACCOUNT, "cluster"]:
        raise ApiError("InvalidParameterValue", f"Invalid ARN: {source}. Specify the ARN of a DB cluster.")
    region = call.plane.region(parts[3])
    cluster = region.clusters.get(parts[6])
    if cluster is None:
        raise cluster_not_found(source)
    check_global(str(cluster.api["Engine"]))
    if cluster.member is not None:
        raise cluster_state(
            f"Cluster {cluster.identifier} is a member of the global cluster {cluster.member.group.identifier} already."
        )
    if cluster.status != "available":
        raise cluster_state(f"Source cluster {cluster.identifier} is in a state that is not valid: {cluster.status}.")
    if "MasterUserSecret" in cluster.api:
        raise managed_password()
    for instance in region.members(cluster):
        may_have_class(str(instance.api["DBInstanceClass"]))
    return region, cluster


def join(group: GlobalCluster, region: Region, cluster: Cluster, writer: bool) -> GlobalMember:
    """Make a cluster a member; a secondary is connected when its volume follows."""
    member = GlobalMember(group, region, cluster, writer, connected=writer)
    cluster.member = member
    group.members.append(member)
    cluster.api["GlobalWriteForwardingRequested"] = False
    follow_role(cluster)
    return member


def leave(member: GlobalMember) -> None:
    """Take a member out of its global cluster."""
    member.group.members.remove(member)
    member.group.home = member.region.name
    member.cluster.member = None
    for name in ("GlobalWriteForwardingStatus", "GlobalWriteForwardingRequested"):
        member.cluster.api.pop(name, None)


def _settle(plane: ControlPlane, group: GlobalCluster, region: Region, cluster: Cluster) -> None:
    """Let the new global cluster's writer endpoint lead to the primary's writer."""

    def job() -> None:
        plane.clock.hold("creating")
        servers.lead(plane, region, cluster)
        with plane.lock:
            group.status = "available"

    def failed(reason: str) -> None:
        with plane.lock:
            group.status = "available"
            events.cluster_event(region, cluster, f"The global writer endpoint is not there: {reason}", "failure")

    plane.jobs.run(cluster.volume_id, job, failed)


def describe(call: Call) -> Shape:
    """DescribeGlobalClusters: those that have a member in this Region, or in those of the filter `region`."""
    wanted = filters(call, ("region",)).get("region")
    identifier = call.params.get("GlobalClusterIdentifier")
    if identifier:
        groups = [find_global(call.plane, str(identifier), call.region)]
    else:
        groups = sorted(call.plane.global_clusters.values(), key=lambda group: group.identifier)
    regions = wanted or [call.region.name]
    found = [global_shape(group) for group in groups if any(group.seen_from(region) for region in regions)]
    return page(call, "GlobalClusters", found)


def delete(call: Call) -> Shape:
    """DeleteGlobalCluster: an empty one only."""
    plane = call.plane
    group = find_global(plane, call.text("GlobalClusterIdentifier"), call.region)
    if group.api["DeletionProtection"]:
        raise invalid_combination(
            "Cannot delete protected Global Cluster, please disable deletion protection and try again."
        )
    if group.members:
        raise global_state(f"Global Cluster {group.api['GlobalClusterArn']} is not empty")
    must_be_available(group)
    group.status = "deleting"

    def job() -> None:
        plane.clock.hold("deleting")
        with plane.lock:
            del plane.global_clusters[group.identifier]
            if plane.names is not None:
                plane.names.remove(group.host)
            plane.addresses.give_back(group.address)
        plane.jobs.retire(group.queue)

    plane.jobs.run(group.queue, job, lambda _reason: None)
    return {"GlobalCluster": global_shape(group)}


def must_be_available(group: GlobalCluster) -> None:
    """Raise unless a global cluster is available."""
    if group.status != "available":
        raise global_state(f"Global cluster {group.identifier} is in state {group.status}.")


OPERATIONS: dict[str, Handler] = {
    "CreateGlobalCluster": create,
    "DescribeGlobalClusters": describe,
    "DeleteGlobalCluster": delete,
}
