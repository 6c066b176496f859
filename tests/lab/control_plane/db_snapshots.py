# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DB snapshots of instances that stand alone: taken by hand, or when an instance is deleted."""

from __future__ import annotations

from functools import partial

from tests.lab.control_plane import snapshots
from tests.lab.control_plane.common import find_instance
from tests.lab.control_plane.errors import instance_state, invalid_combination
from tests.lab.control_plane.plane import Call, Handler
from tests.lab.control_plane.records import Instance, Shape, Snapshot

INSTANCE = snapshots.Kind(
    "DBSnapshot",
    fault="",
    of="DBInstanceIdentifier",
    arn="snapshot",
    source="db-snapshot",
    of_filter="db-instance-id",
    taken=("Manual snapshot created", "creation"),
    of_region=lambda region: region.db_snapshots,
)
COPIED = ("DBInstanceIdentifier", "DbiResourceId", "AllocatedStorage", "AvailabilityZone", "Iops", "StorageType")
COPIED_OF_CLUSTER = ("Engine", "EngineVersion", "MasterUsername", "Port", "KmsKeyId")


def take(call: Call, instance: Instance, identifier: str) -> Snapshot:
    """Record a snapshot of an instance and queue the copy of its volume."""
    cluster = instance.cluster
    copied = {
        **{name: instance.api[name] for name in COPIED if name in instance.api},
        **{name: cluster.api[name] for name in COPIED_OF_CLUSTER if name in cluster.api},
        "Encrypted": cluster.api["StorageEncrypted"],
    }
    return snapshots.record(call, INSTANCE, instance, cluster, identifier, copied)


def create(call: Call) -> Shape:
    """CreateDBSnapshot."""
    instance = find_instance(call.region, call.text("DBInstanceIdentifier"))
    if not instance.cluster.standalone:
        raise invalid_combination("The specified instance is a member of a cluster; use CreateDBClusterSnapshot.")
    if instance.status != "available":
        raise instance_state(f"Instance {instance.identifier} is not in available state.")
    return {"DBSnapshot": snapshots.shape(take(call, instance, call.text("DBSnapshotIdentifier")))}


OPERATIONS: dict[str, Handler] = {
    "CreateDBSnapshot": create,
    "DescribeDBSnapshots": partial(snapshots.describe, INSTANCE),
    "DeleteDBSnapshot": partial(snapshots.delete, INSTANCE),
}
