# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots: taken, described, deleted; the data is a copy of the volume in the engine. Those of DB clusters are here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tests.lab.control_plane import events, servers
from tests.lab.control_plane.common import IDENTIFIER, bare, filters, find_cluster, page, tag_list, tags_of
from tests.lab.control_plane.errors import ApiError, cluster_state, invalid_combination, invalid_value
from tests.lab.control_plane.global_rules import may_be_copied
from tests.lab.control_plane.plane import Call, Handler
from tests.lab.control_plane.records import Cluster, Instance, Region, Shape, Snapshot, resource_id, utcnow


@dataclass(frozen=True)
class Kind:
    """What the snapshots of DB clusters and those of DB instances differ in."""

    shape: str  # its name in the API, which begins the names of its fields and errors
    fault: str  # how the names of its errors end
    of: str  # the field that names what it was taken of
    arn: str
    source: str  # of its events; the name of the filter of its own name is made from it
    of_filter: str
    taken: tuple[str, str]  # message and category of the event
    of_region: Callable[[Region], dict[str, Snapshot]]

    @property
    def name(self) -> str:
        """The field with its identifier."""
        return f"{self.shape}Identifier"

    def say(self, region: Region, snapshot: Snapshot, message: str, category: str) -> None:
        """Write down an event."""
        events.add(
            region, self.source, str(snapshot.api[self.name]), str(snapshot.api[f"{self.shape}Arn"]), message, category
        )


CLUSTER = Kind(
    "DBClusterSnapshot",
    fault="Fault",
    of="DBClusterIdentifier",
    arn="cluster-snapshot",
    source="db-cluster-snapshot",
    of_filter="db-cluster-id",
    taken=("Manual cluster snapshot created", "notification"),
    of_region=lambda region: region.snapshots,
)
COPIED = (
    "DBClusterIdentifier",
    "DbClusterResourceId",
    "Engine",
    "EngineVersion",
    "EngineMode",
    "MasterUsername",
    "Port",
    "StorageEncrypted",
    "KmsKeyId",
    "StorageType",
    "ClusterCreateTime",
    "AvailabilityZones",
    "IAMDatabaseAuthenticationEnabled",
)


def find(kind: Kind, region: Region, identifier: str) -> Snapshot:
    """Return a snapshot; raises the typed fault."""
    snapshot = kind.of_region(region).get(bare(identifier))
    if snapshot is None:
        raise ApiError(f"{kind.shape}NotFound{kind.fault}", f"{kind.shape} {identifier} not found.")
    return snapshot


def take(call: Call, cluster: Cluster, identifier: str) -> Snapshot:
    """Record a snapshot of a cluster and queue the copy of its volume."""
    copied = {name: cluster.api[name] for name in COPIED if name in cluster.api}
    return record(call, CLUSTER, cluster, cluster, identifier, {**copied, "AllocatedStorage": 1})


def record(
    call: Call, kind: Kind, owner: Cluster | Instance, cluster: Cluster, identifier: str, copied: Shape
) -> Snapshot:
    """Record a snapshot of `owner`, whose data `cluster` has, and queue the copy of the volume."""
    plane, region, there = call.plane, call.region, kind.of_region(call.region)
    identifier = identifier.lower()
    if not IDENTIFIER.match(identifier):
        raise invalid_value(f"The parameter {kind.name} is not a valid identifier.")
    if identifier in there:
        raise ApiError(
            f"{kind.shape}AlreadyExists{kind.fault}", f"Cannot create the snapshot {identifier}: it exists already."
        )
    snapshot = Snapshot(
        {
            **copied,
            kind.name: identifier,
            f"{kind.shape}Arn": region.arn(kind.arn, identifier),
            "SnapshotType": "manual",
            "Status": "creating",
            "PercentProgress": 0,
            "SnapshotCreateTime": utcnow(),
        },
        volume_id=resource_id("snapshot"),
        tags={**(owner.tags if owner.api["CopyTagsToSnapshot"] else {}), **tags_of(call.params)},
    )
    there[identifier] = snapshot
    engine = servers.engine_of(plane, cluster)

    def job() -> None:
        engine.clone_volume(cluster.volume_id, snapshot.volume_id)
        plane.clock.hold("backing-up")
        with plane.lock:
            snapshot.api |= {"Status": "available", "PercentProgress": 100}
            kind.say(region, snapshot, *kind.taken)

    def failed(reason: str) -> None:
        with plane.lock:
            snapshot.api["Status"] = "failed"
            kind.say(region, snapshot, f"Snapshot failed: {reason}", "failure")

    plane.jobs.run(cluster.volume_id, job, failed)
    return snapshot


def final(params: Shape, of: str) -> str | None:
    """Return the name of the snapshot that a request to delete `of` (a cluster, an instance) asks for, None when it asks for none."""
    name = params.get("FinalDBSnapshotIdentifier")
    if params.get("SkipFinalSnapshot") and name:
        raise invalid_combination(
            f"FinalDBSnapshotIdentifier can not be specified when deleting {of} with SkipFinalSnapshot"
        )
    if not params.get("SkipFinalSnapshot") and not name:
        raise invalid_combination("FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.")
    return str(name) if name else None


def shape(snapshot: Snapshot) -> Shape:
    """Return a DBClusterSnapshot or a DBSnapshot."""
    return {**snapshot.api, "TagList": tag_list(snapshot.tags)}


def create(call: Call) -> Shape:
    """CreateDBClusterSnapshot."""
    cluster = find_cluster(call.region, call.text("DBClusterIdentifier"))
    if cluster.status != "available":
        raise cluster_state(f"Cluster {cluster.identifier} is not in available state.")
    may_be_copied(cluster)
    return {"DBClusterSnapshot": shape(take(call, cluster, call.text("DBClusterSnapshotIdentifier")))}


def describe(kind: Kind, call: Call) -> Shape:
    """DescribeDBClusterSnapshots and DescribeDBSnapshots."""
    keys = {
        kind.of_filter: kind.of,
        f"{kind.source}-id": kind.name,
        "engine": "Engine",
        "snapshot-type": "SnapshotType",
    }
    wanted = filters(call, tuple(keys))
    params, region = call.params, call.region
    name = params.get(kind.name)
    found = [find(kind, region, str(name))] if name else list(kind.of_region(region).values())
    shapes = [
        shape(snapshot)
        for snapshot in found
        if params.get(kind.of) in (None, snapshot.api[kind.of])
        and params.get("SnapshotType") in (None, "manual")
        and all(snapshot.api[keys[filter_name]] in values for filter_name, values in wanted.items())
    ]
    return page(call, f"{kind.shape}s", shapes)


def delete(kind: Kind, call: Call) -> Shape:
    """DeleteDBClusterSnapshot and DeleteDBSnapshot."""
    plane, region = call.plane, call.region
    snapshot = find(kind, region, call.text(kind.name))
    if snapshot.api["Status"] not in ("available", "failed"):
        raise ApiError(f"Invalid{kind.shape}State{kind.fault}", "The snapshot is not in available state.")
    del kind.of_region(region)[str(snapshot.api[kind.name])]
    engine = plane.engines[str(snapshot.api["Engine"])]

    def job() -> None:
        engine.delete_volume(snapshot.volume_id)
        plane.jobs.retire(snapshot.volume_id)

    def failed(reason: str) -> None:
        with plane.lock:
            kind.say(region, snapshot, f"Deletion failed: {reason}", "failure")

    plane.jobs.run(snapshot.volume_id, job, failed)
    return {kind.shape: {**shape(snapshot), "Status": "deleted"}}


OPERATIONS: dict[str, Handler] = {
    "CreateDBClusterSnapshot": create,
    "DescribeDBClusterSnapshots": partial(describe, CLUSTER),
    "DeleteDBClusterSnapshot": partial(delete, CLUSTER),
}
