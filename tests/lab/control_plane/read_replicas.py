# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""CreateDBInstanceReadReplica: an instance in the same Region that follows another one and only reads.

RDS for PostgreSQL follows physically; RDS for MySQL by the binary log, as green of a blue/green deployment does.
"""

from __future__ import annotations

from tests.lab.control_plane import events, servers
from tests.lab.control_plane.clusters import inherited_from
from tests.lab.control_plane.common import find_instance, new_identifier
from tests.lab.control_plane.errors import ApiError, instance_state, invalid_combination, not_in_lab
from tests.lab.control_plane.kinds import RDS_MYSQL
from tests.lab.control_plane.plane import Call, Handler
from tests.lab.control_plane.records import Instance, Shape
from tests.lab.control_plane.standalone import (
    KEPT,
    bring_up,
    check_retention,
    forget,
    hidden_cluster,
    must_be_free,
    new_instance,
)
from tests.lab.control_plane.views import instance_shape

MOST = 15  # replicas of one source
FROM_SOURCE = (*KEPT, "AllocatedStorage", "DBInstanceClass", "StorageType")
NOT_FROM_SOURCE = ("MultiAZ", "AvailabilityZone")


def create(call: Call) -> Shape:
    """CreateDBInstanceReadReplica."""
    region, params, plane = call.region, call.params, call.plane
    source = find_instance(region, call.text("SourceDBInstanceIdentifier"))
    blue = source.cluster
    identifier = new_identifier(call, "DBInstanceIdentifier")
    must_be_free(call, identifier)
    if not blue.standalone:
        raise invalid_combination("A read replica of a member of a DB cluster is another member of the DB cluster.")
    if params.get("SourceRegion") not in (None, region.name) or params.get("SourceDBClusterIdentifier"):
        raise not_in_lab("a read replica in another Region or of a DB cluster")
    if not source.writer:
        raise not_in_lab("a read replica of a read replica")
    if source.status != "available":
        raise instance_state(f"Instance {source.identifier} is not in available state.")
    if not int(blue.api["BackupRetentionPeriod"]):
        raise invalid_combination(
            "Automated backups are not enabled for this database instance. To enable automated backups, use "
            "ModifyDBInstance to set the backup retention period to a non-zero value."
        )
    replicas = source.api["ReadReplicaDBInstanceIdentifiers"]
    if len(replicas) >= MOST:
        raise invalid_combination(f"A DB instance has {MOST} read replicas at most.")
    engine = str(blue.api["Engine"])
    inherited = {name: value for name, value in inherited_from(blue.api).items() if name != "BackupRetentionPeriod"}
    given = {"Port": blue.api["Port"], "DBSubnetGroupName": blue.api["DBSubnetGroup"], **params}
    asked = Call(plane, region, call.operation, {**given, "BackupRetentionPeriod": 0})
    cluster = hidden_cluster(asked, identifier, engine, str(blue.api["EngineVersion"]), inherited)
    kept = {name: source.api[name] for name in FROM_SOURCE if name in source.api and name not in NOT_FROM_SOURCE}
    kept["EnablePerformanceInsights"] = source.api["PerformanceInsightsEnabled"]
    if not params.get("DBParameterGroupName"):
        asked.params["DBParameterGroupName"] = source.api["DBParameterGroupName"]
    replica = new_instance(asked, cluster, kept)
    replica.api["ReadReplicaSourceDBInstanceIdentifier"] = source.identifier
    source.api["ReadReplicaDBInstanceIdentifiers"] = [*replicas, identifier]
    if engine == RDS_MYSQL:
        _by_binary_log(asked, source, replica)
    else:
        _physically(asked, source, replica)
    return {"DBInstance": instance_shape(region, replica)}


def _physically(call: Call, source: Instance, replica: Instance) -> None:
    plane, blue, cluster = call.plane, source.cluster, replica.cluster
    replica.writer = False
    engine = servers.engine_of(plane, cluster)

    def make_volume() -> None:
        plane.jobs.submit(blue.volume_id, lambda: engine.follow_volume(blue.volume_id, cluster.volume_id)).result()

    bring_up(call, replica, make_volume)


def _by_binary_log(call: Call, source: Instance, replica: Instance) -> None:
    plane, region, blue, cluster = call.plane, call.region, source.cluster, replica.cluster
    engine, make_link = servers.engine_of(plane, cluster), plane.managed.make_link
    if make_link is None:
        raise not_in_lab("a read replica of RDS for MySQL")

    def make_volume() -> None:
        make_link(plane, region, blue, cluster, False).prepare()
        plane.jobs.submit(blue.volume_id, lambda: engine.clone_volume(blue.volume_id, cluster.volume_id)).result()

    bring_up(call, replica, make_volume, lambda: make_link(plane, region, blue, cluster, False).start())


def promote(call: Call) -> Shape:
    """PromoteReadReplica: it follows no longer and can be written to."""
    plane, region = call.plane, call.region
    replica = find_instance(region, call.text("DBInstanceIdentifier"))
    name = replica.api.get("ReadReplicaSourceDBInstanceIdentifier")
    if not name:
        raise ApiError("InvalidDBInstanceState", f"DB Instance is not a read replica: {replica.identifier}")
    if replica.status != "available":
        raise instance_state(f"Instance {replica.identifier} is not in available state.")
    check_retention(call.params)
    source, cluster = find_instance(region, str(name)), replica.cluster
    days = int(call.params.get("BackupRetentionPeriod") or 1)
    replica.status = "modifying"

    def job() -> None:
        plane.clock.hold("modifying")
        if replica.writer and plane.managed.make_link is not None:
            link = plane.managed.make_link(plane, region, source.cluster, cluster, False)
            link.finish()
            link.drop()
        servers.stop(plane, replica)
        if not replica.writer:
            servers.engine_of(plane, cluster).promote_volume(cluster.volume_id, complete=False)
        with plane.lock:
            replica.writer = True
            cluster.api["BackupRetentionPeriod"] = days
            forget(region, replica)
        servers.start(plane, region, replica)
        with plane.lock:
            events.instance_event(
                region, replica, "Promoted Read Replica instance to stand-alone instance.", "notification"
            )
            replica.status = "available"

    def failed(reason: str) -> None:
        with plane.lock:
            replica.status = "failed"
            events.instance_event(region, replica, f"The read replica could not be promoted: {reason}", "failure")

    plane.jobs.run(cluster.volume_id, job, failed)
    return {"DBInstance": instance_shape(region, replica)}


OPERATIONS: dict[str, Handler] = {"CreateDBInstanceReadReplica": create, "PromoteReadReplica": promote}
