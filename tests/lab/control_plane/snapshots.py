# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DB cluster snapshots: taken, described, deleted; the data is a copy of the volume in the engine."""

from __future__ import annotations

from tests.lab.control_plane import events, servers
from tests.lab.control_plane.common import IDENTIFIER, bare, filters, find_cluster, page, tags_of
from tests.lab.control_plane.errors import ApiError, cluster_state, invalid_value
from tests.lab.control_plane.global_rules import may_be_copied
from tests.lab.control_plane.plane import Call, Handler
from tests.lab.control_plane.records import Cluster, Region, Shape, Snapshot, resource_id, utcnow
from tests.lab.control_plane.views import snapshot_shape

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


def find_snapshot(region: Region, identifier: str) -> Snapshot:
    """Return a snapshot; raises the typed fault."""
    snapshot = region.snapshots.get(bare(identifier))
    if snapshot is None:
        raise ApiError("DBClusterSnapshotNotFoundFault", f"DBClusterSnapshot {identifier} not found.")
    return snapshot


def take(call: Call, cluster: Cluster, identifier: str) -> Snapshot:
    """Record a snapshot and queue the copy of the cluster's volume."""
    plane, region = call.plane, call.region
    identifier = identifier.lower()
    if not IDENTIFIER.match(identifier):
        raise invalid_value("The parameter DBClusterSnapshotIdentifier is not a valid identifier.")
    if identifier in region.snapshots:
        raise ApiError(
            "DBClusterSnapshotAlreadyExistsFault", f"Cannot create the snapshot {identifier}: it exists already."
        )
    snapshot = Snapshot(
        {
            **{name: cluster.api[name] for name in COPIED if name in cluster.api},
            "DBClusterSnapshotIdentifier": identifier,
            "DBClusterSnapshotArn": region.arn("cluster-snapshot", identifier),
            "SnapshotType": "manual",
            "Status": "creating",
            "PercentProgress": 0,
            "SnapshotCreateTime": utcnow(),
            "AllocatedStorage": 1,
        },
        volume_id=resource_id("snapshot"),
        tags={**(cluster.tags if cluster.api["CopyTagsToSnapshot"] else {}), **tags_of(call.params)},
    )
    region.snapshots[identifier] = snapshot
    engine = servers.engine_of(plane, cluster)

    def job() -> None:
        engine.clone_volume(cluster.volume_id, snapshot.volume_id)
        plane.clock.hold("backing-up")
        with plane.lock:
            snapshot.api |= {"Status": "available", "PercentProgress": 100}
            arn = snapshot.api["DBClusterSnapshotArn"]
            events.add(
                region, "db-cluster-snapshot", identifier, arn, "Manual cluster snapshot created", "notification"
            )

    def failed(reason: str) -> None:
        with plane.lock:
            snapshot.api["Status"] = "failed"
            arn = snapshot.api["DBClusterSnapshotArn"]
            events.add(region, "db-cluster-snapshot", identifier, arn, f"Snapshot failed: {reason}", "failure")

    plane.jobs.run(cluster.volume_id, job, failed)
    return snapshot


def create(call: Call) -> Shape:
    """CreateDBClusterSnapshot."""
    cluster = find_cluster(call.region, call.text("DBClusterIdentifier"))
    if cluster.status != "available":
        raise cluster_state(f"Cluster {cluster.identifier} is not in available state.")
    may_be_copied(cluster)
    snapshot = take(call, cluster, call.text("DBClusterSnapshotIdentifier"))
    return {"DBClusterSnapshot": snapshot_shape(snapshot)}


def describe(call: Call) -> Shape:
    """DescribeDBClusterSnapshots."""
    wanted = filters(call, ("db-cluster-id", "db-cluster-snapshot-id", "engine", "snapshot-type"))
    params, region = call.params, call.region
    name = params.get("DBClusterSnapshotIdentifier")
    found = [find_snapshot(region, str(name))] if name else list(region.snapshots.values())
    keys = {
        "db-cluster-id": "DBClusterIdentifier",
        "db-cluster-snapshot-id": "DBClusterSnapshotIdentifier",
        "engine": "Engine",
        "snapshot-type": "SnapshotType",
    }
    shapes = [
        snapshot_shape(snapshot)
        for snapshot in found
        if params.get("DBClusterIdentifier") in (None, snapshot.api["DBClusterIdentifier"])
        and params.get("SnapshotType") in (None, "manual")
        and all(snapshot.api[keys[filter_name]] in values for filter_name, values in wanted.items())
    ]
    return page(call, "DBClusterSnapshots", shapes)


def delete(call: Call) -> Shape:
    """DeleteDBClusterSnapshot."""
    plane, region = call.plane, call.region
    snapshot = find_snapshot(region, call.text("DBClusterSnapshotIdentifier"))
    if snapshot.api["Status"] not in ("available", "failed"):
        raise ApiError("InvalidDBClusterSnapshotStateFault", "The snapshot is not in available state.")
    identifier = str(snapshot.api["DBClusterSnapshotIdentifier"])
    del region.snapshots[identifier]
    engine = plane.engines[str(snapshot.api["Engine"])]

    def failed(reason: str) -> None:
        with plane.lock:
            arn = snapshot.api["DBClusterSnapshotArn"]
            events.add(region, "db-cluster-snapshot", identifier, arn, f"Deletion failed: {reason}", "failure")

    def job() -> None:
        engine.delete_volume(snapshot.volume_id)
        plane.jobs.retire(snapshot.volume_id)

    plane.jobs.run(snapshot.volume_id, job, failed)
    return {"DBClusterSnapshot": {**snapshot_shape(snapshot), "Status": "deleted"}}


OPERATIONS: dict[str, Handler] = {
    "CreateDBClusterSnapshot": create,
    "DescribeDBClusterSnapshots": describe,
    "DeleteDBClusterSnapshot": delete,
}
