# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DB snapshots of instances that stand alone: taken (by hand, or when an instance is deleted), described, deleted."""

from __future__ import annotations

from tests.lab.control_plane import events, servers
from tests.lab.control_plane.common import IDENTIFIER, bare, filters, find_instance, page, tag_list, tags_of
from tests.lab.control_plane.errors import ApiError, instance_state, invalid_combination, invalid_value
from tests.lab.control_plane.plane import Call, Handler
from tests.lab.control_plane.records import Instance, Region, Shape, Snapshot, resource_id, utcnow

COPIED = ("DBInstanceIdentifier", "DbiResourceId", "AllocatedStorage", "AvailabilityZone", "Iops", "StorageType")
COPIED_OF_CLUSTER = ("Engine", "EngineVersion", "MasterUsername", "Port", "KmsKeyId")
SOURCE = "db-snapshot"


def take(call: Call, instance: Instance, identifier: str) -> Snapshot:
    """Record a snapshot and queue the copy of the instance's volume."""
    plane, region, cluster = call.plane, call.region, instance.cluster
    identifier = identifier.lower()
    if not IDENTIFIER.match(identifier):
        raise invalid_value("The parameter DBSnapshotIdentifier is not a valid identifier.")
    if identifier in region.db_snapshots:
        raise ApiError("DBSnapshotAlreadyExists", f"Cannot create the snapshot {identifier}: it exists already.")
    snapshot = Snapshot(
        {
            **{name: instance.api[name] for name in COPIED if name in instance.api},
            **{name: cluster.api[name] for name in COPIED_OF_CLUSTER if name in cluster.api},
            "Encrypted": cluster.api["StorageEncrypted"],
            "DBSnapshotIdentifier": identifier,
            "DBSnapshotArn": region.arn("snapshot", identifier),
            "SnapshotType": "manual",
            "Status": "creating",
            "PercentProgress": 0,
            "SnapshotCreateTime": utcnow(),
        },
        volume_id=resource_id("snapshot"),
        tags={**(instance.tags if instance.api["CopyTagsToSnapshot"] else {}), **tags_of(call.params)},
    )
    region.db_snapshots[identifier] = snapshot
    engine = servers.engine_of(plane, cluster)

    def job() -> None:
        engine.clone_volume(cluster.volume_id, snapshot.volume_id)
        plane.clock.hold("backing-up")
        with plane.lock:
            snapshot.api |= {"Status": "available", "PercentProgress": 100}
            _say(region, snapshot, "Manual snapshot created", "creation")

    def failed(reason: str) -> None:
        with plane.lock:
            snapshot.api["Status"] = "failed"
            _say(region, snapshot, f"Snapshot failed: {reason}", "failure")

    plane.jobs.run(cluster.volume_id, job, failed)
    return snapshot


def _say(region: Region, snapshot: Snapshot, message: str, category: str) -> None:
    identifier, arn = str(snapshot.api["DBSnapshotIdentifier"]), str(snapshot.api["DBSnapshotArn"])
    events.add(region, SOURCE, identifier, arn, message, category)


def _find(region: Region, identifier: str) -> Snapshot:
    snapshot = region.db_snapshots.get(bare(identifier))
    if snapshot is None:
        raise ApiError("DBSnapshotNotFound", f"DBSnapshot {identifier} not found.")
    return snapshot


def create(call: Call) -> Shape:
    """CreateDBSnapshot."""
    instance = find_instance(call.region, call.text("DBInstanceIdentifier"))
    if not instance.cluster.standalone:
        raise invalid_combination("The specified instance is a member of a cluster; use CreateDBClusterSnapshot.")
    if instance.status != "available":
        raise instance_state(f"Instance {instance.identifier} is not in available state.")
    return {"DBSnapshot": shape(take(call, instance, call.text("DBSnapshotIdentifier")))}


def shape(snapshot: Snapshot) -> Shape:
    """Return a DBSnapshot."""
    return {**snapshot.api, "TagList": tag_list(snapshot.tags)}


def describe(call: Call) -> Shape:
    """DescribeDBSnapshots."""
    wanted = filters(call, ("db-instance-id", "db-snapshot-id", "engine", "snapshot-type"))
    params, region = call.params, call.region
    name = params.get("DBSnapshotIdentifier")
    found = [_find(region, str(name))] if name else list(region.db_snapshots.values())
    keys = {
        "db-instance-id": "DBInstanceIdentifier",
        "db-snapshot-id": "DBSnapshotIdentifier",
        "engine": "Engine",
        "snapshot-type": "SnapshotType",
    }
    shapes = [
        shape(snapshot)
        for snapshot in found
        if params.get("DBInstanceIdentifier") in (None, snapshot.api["DBInstanceIdentifier"])
        and params.get("SnapshotType") in (None, "manual")
        and all(snapshot.api[keys[filter_name]] in values for filter_name, values in wanted.items())
    ]
    return page(call, "DBSnapshots", shapes)


def delete(call: Call) -> Shape:
    """DeleteDBSnapshot."""
    plane, region = call.plane, call.region
    snapshot = _find(region, call.text("DBSnapshotIdentifier"))
    if snapshot.api["Status"] not in ("available", "failed"):
        raise ApiError("InvalidDBSnapshotState", "The snapshot is not in available state.")
    del region.db_snapshots[str(snapshot.api["DBSnapshotIdentifier"])]
    engine = plane.engines[str(snapshot.api["Engine"])]

    def job() -> None:
        engine.delete_volume(snapshot.volume_id)
        plane.jobs.retire(snapshot.volume_id)

    def failed(reason: str) -> None:
        with plane.lock:
            _say(region, snapshot, f"Deletion failed: {reason}", "failure")

    plane.jobs.run(snapshot.volume_id, job, failed)
    return {"DBSnapshot": {**shape(snapshot), "Status": "deleted"}}


OPERATIONS: dict[str, Handler] = {
    "CreateDBSnapshot": create,
    "DescribeDBSnapshots": describe,
    "DeleteDBSnapshot": delete,
}
