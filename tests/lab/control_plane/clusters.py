# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DB clusters: created, cloned, described, deleted."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Any

from tests.lab.control_plane import endpoints, events, master_secret, servers, snapshots
from tests.lab.control_plane.common import bare, filters, find_cluster, new_identifier, page, tags_of
from tests.lab.control_plane.errors import (
    ApiError,
    cluster_state,
    invalid_combination,
    invalid_value,
    not_in_lab,
)
from tests.lab.control_plane.global_rules import may_be_copied, may_be_deleted
from tests.lab.control_plane.kinds import (
    STANDALONE,
    check_database,
    check_logs,
    check_master_user,
    check_password,
    check_without_master_user,
    kind_of,
)
from tests.lab.control_plane.parameter_groups import group_for
from tests.lab.control_plane.plane import Call, Handler
from tests.lab.control_plane.records import Cluster, Shape, resource_id, utcnow
from tests.lab.control_plane.subnet_groups import find_subnet_group
from tests.lab.control_plane.versions import ZONES
from tests.lab.control_plane.views import cluster_shape
from tests.lab.engine import EngineVersion

DEFAULT_SECURITY_GROUP = "sg-0a1b2c3d4e5f60718"
KMS_KEY = "arn:aws:kms:{region}:123456789012:key/7d0c4a5e-aurora-lab"
# Options of CreateDBCluster and RestoreDBClusterToPointInTime that are kept and described under the same name.
KEPT = (
    "BackupRetentionPeriod",
    "PreferredBackupWindow",
    "PreferredMaintenanceWindow",
    "CopyTagsToSnapshot",
    "DeletionProtection",
    "StorageType",
    "NetworkType",
    "MonitoringInterval",
    "MonitoringRoleArn",
    "DatabaseInsightsMode",
    "PerformanceInsightsKMSKeyId",
    "PerformanceInsightsRetentionPeriod",
    "EngineLifecycleSupport",
    "AutoMinorVersionUpgrade",
    "ServerlessV2ScalingConfiguration",
)
DEFAULTS: Shape = {
    "AllocatedStorage": 1,
    "BackupRetentionPeriod": 1,
    "PreferredBackupWindow": "04:07-04:37",
    "PreferredMaintenanceWindow": "sun:05:12-sun:05:42",
    "MultiAZ": False,
    "EngineMode": "provisioned",
    "StorageType": "aurora",
    "NetworkType": "IPV4",
    "AutoMinorVersionUpgrade": True,
    "CopyTagsToSnapshot": False,
    "CrossAccountClone": False,
    "DeletionProtection": False,
    "HttpEndpointEnabled": False,
    "ActivityStreamStatus": "stopped",
    "AssociatedRoles": [],
    "DomainMemberships": [],
    "ReadReplicaIdentifiers": [],
    "EngineLifecycleSupport": "open-source-rds-extended-support",
    "DatabaseInsightsMode": "standard",
    "HostedZoneId": "Z2R2ITUGPM61AM",
}
NOT_IN_LAB = (
    "BacktrackWindow",
    "DBClusterInstanceClass",
    "Domain",
    "EnableLimitlessDatabase",
    "EnableLocalWriteForwarding",
    "ReplicationSourceIdentifier",
    "ScalingConfiguration",
)


def refuse_what_is_not_in_lab(params: Shape) -> None:
    """Raise for an option that would change what the cluster is, and that the lab would ignore."""
    for name in NOT_IN_LAB:
        if params.get(name):
            raise not_in_lab(f"the option {name}")


def new_cluster(call: Call, engine: str, version: str, inherited: Shape) -> Cluster:
    """Make the record of a cluster from a request; `inherited` are fields that a clone or a restore brings along."""
    params, region = call.params, call.region
    identifier = new_identifier(call, "DBClusterIdentifier")
    if identifier in region.clusters:
        raise ApiError("DBClusterAlreadyExistsFault", f"DB Cluster already exists: {identifier}")
    family = call.plane.version(engine, version).family
    group = group_for(call.plane, region, "cluster", params.get("DBClusterParameterGroupName"), family)
    own = {"DBClusterIdentifier": identifier, "DBClusterArn": region.arn("cluster", identifier)}
    api = new_shape(call, engine, version, KEPT, inherited, {**own, "DBClusterParameterGroup": group.name})
    take = call.plane.addresses.take
    cluster = Cluster(api, address=take(), reader_address=take(), tags=tags_of(params))
    region.clusters[identifier] = cluster
    endpoints.publish(region, cluster)
    return cluster


def new_shape(call: Call, engine: str, version: str, kept: Sequence[str], inherited: Shape, own: Shape) -> Shape:
    """Return the fields of a new cluster from a request, `own` its names; raises for what the service refuses."""
    params, region = call.params, call.region
    subnets = find_subnet_group(region, params.get("DBSubnetGroupName"))
    port = int(params.get("Port") or call.plane.addresses.port(kind_of(engine).port))
    if not 1150 <= port <= 65535:
        raise invalid_value(f"Invalid value {port} for Port. Must be between 1150 and 65535")
    logs = list(params.get("EnableCloudwatchLogsExports") or ())
    check_logs(engine, version, logs)
    api: Shape = {
        **DEFAULTS,
        **inherited,
        **{name: params[name] for name in kept if params.get(name) is not None},
        **own,
        "DbClusterResourceId": resource_id("cluster"),
        "DBSubnetGroup": subnets.api["DBSubnetGroupName"],
        "AvailabilityZones": [region.name + zone for zone in ZONES],
        "VpcSecurityGroups": security_groups(params.get("VpcSecurityGroupIds")),
        "Status": "creating",
        "Engine": engine,
        "EngineVersion": version,
        "Port": port,
        "ClusterCreateTime": utcnow(),
        "EarliestRestorableTime": utcnow(),
        "IAMDatabaseAuthenticationEnabled": bool(params.get("EnableIAMDatabaseAuthentication")),
        "EnabledCloudwatchLogsExports": logs,
        "PerformanceInsightsEnabled": bool(params.get("EnablePerformanceInsights")),
    }
    if params.get("StorageEncrypted") or params.get("KmsKeyId"):
        api["StorageEncrypted"] = True
        api["KmsKeyId"] = params.get("KmsKeyId") or KMS_KEY.format(region=region.name)
    api.setdefault("StorageEncrypted", False)
    return api


def security_groups(ids: list[str] | None) -> list[Shape]:
    """Return security group memberships in the shape of the API."""
    return [{"VpcSecurityGroupId": name, "Status": "active"} for name in ids or [DEFAULT_SECURITY_GROUP]]


def bring_up(call: Call, cluster: Cluster, make_volume: Callable[[], None], failed_status: str) -> None:
    """Queue the making of a new cluster's volume and the way to `available`."""
    plane, region = call.plane, call.region

    def job() -> None:
        make_volume()
        plane.clock.hold("creating")
        with plane.lock:
            master_secret.activate(cluster)
            events.cluster_event(region, cluster, "DB cluster created", "creation")
            cluster.status = "backing-up"
        plane.clock.hold("backing-up")
        with plane.lock:
            cluster.status = "available"

    def failed(reason: str) -> None:
        with plane.lock:
            cluster.status = failed_status
            events.cluster_event(region, cluster, f"The DB cluster could not be created: {reason}", "failure")

    plane.jobs.run(cluster.volume_id, job, failed)


def create(call: Call) -> Shape:
    """CreateDBCluster of a cluster that is in no global cluster."""
    return {"DBCluster": cluster_shape(call.region, new(call))}


def new(call: Call) -> Cluster:
    """Make a cluster with a volume of its own."""
    params = call.params
    refuse_what_is_not_in_lab(params)
    version = call.plane.version(call.text("Engine"), params.get("EngineVersion"))
    if version.engine in STANDALONE:
        raise not_in_lab(f"a Multi-AZ DB cluster of the engine {version.engine}")
    if not kind_of(version.engine).has_master_user:
        return _new_without_master_user(call, version)
    master_secret.check(params, managed=False)
    managed = bool(params.get("ManageMasterUserPassword"))
    username = call.text("MasterUsername")
    password = master_secret.new_password() if managed else call.text("MasterUserPassword")
    check_password(version.engine, password)
    check_master_user(version.engine, username)
    check_database(version.engine, params.get("DatabaseName"))
    inherited = {"MasterUsername": username, "DatabaseName": params.get("DatabaseName")}
    cluster = new_cluster(call, version.engine, version.version, inherited)
    if managed:
        master_secret.keep(call.region, cluster, password, params.get("MasterUserSecretKmsKeyId"))
    engine = servers.engine_of(call.plane, cluster)
    database = params.get("DatabaseName")
    bring_up(
        call,
        cluster,
        lambda: engine.create_volume(cluster.volume_id, version.version, username, password, database),
        "failed",
    )
    return cluster


def _new_without_master_user(call: Call, version: EngineVersion) -> Cluster:
    check_without_master_user(version.engine, call.params)
    cluster = new_cluster(call, version.engine, version.version, {"MasterUsername": "admin"})
    engine = servers.engine_of(call.plane, cluster)
    bring_up(call, cluster, lambda: engine.create_volume(cluster.volume_id, version.version, "", "", None), "failed")
    return cluster


def restore_to_point_in_time(call: Call) -> Shape:
    """RestoreDBClusterToPointInTime: copy-on-write (a clone) or full-copy, at the latest restorable time only."""
    params, plane, region = call.params, call.plane, call.region
    refuse_what_is_not_in_lab(params)
    source = _source(call)
    may_be_copied(source)
    kind = params.get("RestoreType") or "full-copy"
    if kind not in ("copy-on-write", "full-copy"):
        raise invalid_value(f"Invalid value {kind} for RestoreType")
    if bool(params.get("RestoreToTime")) == bool(params.get("UseLatestRestorableTime")):
        raise invalid_combination("Either RestoreToTime or UseLatestRestorableTime must be specified, and not both.")
    if params.get("RestoreToTime"):
        raise not_in_lab("RestoreToTime")
    if source.status not in ("available", "backing-up", "stopped"):
        raise cluster_state(f"The source cluster {source.identifier} is in state {source.status}.")
    cluster = new_cluster(call, source.api["Engine"], source.api["EngineVersion"], inherited_from(source.api))
    if kind == "copy-on-write":
        group = source.api.setdefault("CloneGroupId", str(uuid.uuid4()))
        cluster.api["CloneGroupId"] = group
    engine = servers.engine_of(plane, cluster)

    def make_volume() -> None:
        # In the source's queue: nobody stops or upgrades the source's servers while they are copied.
        plane.jobs.submit(source.volume_id, lambda: engine.clone_volume(source.volume_id, cluster.volume_id)).result()

    bring_up(call, cluster, make_volume, "cloning-failed")
    return {"DBCluster": cluster_shape(region, cluster)}


def _source(call: Call) -> Cluster:
    wanted = call.params.get("SourceDbClusterResourceId")
    if wanted:
        for cluster in call.region.clusters.values():
            if cluster.volume_id == wanted:
                return cluster
    return find_cluster(call.region, call.text("SourceDBClusterIdentifier"))


def inherited_from(api: Shape) -> Shape:
    """Return the fields that come with the data."""
    names = ("MasterUsername", "DatabaseName", "StorageEncrypted", "KmsKeyId", "BackupRetentionPeriod", "StorageType")
    return {name: api[name] for name in names if name in api}


def describe(call: Call) -> Shape:
    """DescribeDBClusters."""
    wanted = filters(call, ("clone-group-id", "db-cluster-id", "db-cluster-resource-id", "domain", "engine"))
    identifier = call.params.get("DBClusterIdentifier")
    region = call.region
    clusters = [find_cluster(region, str(identifier))] if identifier else list(region.clusters.values())

    def matches(cluster: Cluster) -> bool:
        api: dict[str, Any] = cluster.api
        have = {
            "clone-group-id": api.get("CloneGroupId"),
            "db-cluster-id": cluster.identifier,
            "db-cluster-resource-id": cluster.volume_id,
            "domain": None,
            "engine": api["Engine"],
        }
        return all(
            have[name] in ([bare(value) for value in values] if name == "db-cluster-id" else values)
            for name, values in wanted.items()
        )

    found = sorted((c for c in clusters if matches(c)), key=lambda c: c.identifier)
    return page(call, "DBClusters", [cluster_shape(region, cluster) for cluster in found])


def delete(call: Call) -> Shape:
    """DeleteDBCluster."""
    plane, region, params = call.plane, call.region, call.params
    cluster = find_cluster(region, call.text("DBClusterIdentifier"))
    if cluster.api["DeletionProtection"]:
        raise invalid_combination("Cannot delete protected Cluster, please disable deletion protection and try again.")
    final = snapshots.final(params, "a cluster")
    may_be_deleted(cluster)
    if any(member.status != "deleting" for member in region.members(cluster)):
        raise cluster_state("Cluster cannot be deleted, it still contains DB instances in non-deleting state.")
    if cluster.status not in ("available", "failed", "cloning-failed", "stopped"):
        raise cluster_state(f"DB Cluster {cluster.identifier} is in state {cluster.status} and cannot be deleted.")
    if final:
        snapshots.take(call, cluster, final)
    cluster.status = "deleting"
    engine = servers.engine_of(plane, cluster)

    def job() -> None:
        plane.clock.hold("deleting")
        engine.delete_volume(cluster.volume_id)
        with plane.lock:
            master_secret.drop(region, cluster)
            del region.clusters[cluster.identifier]
            events.cluster_event(region, cluster, "DB cluster deleted", "deletion")
            endpoints.withdraw(region, cluster)
            plane.addresses.give_back(cluster.address)
            plane.addresses.give_back(cluster.reader_address)
        plane.jobs.retire(cluster.volume_id)

    def failed(reason: str) -> None:
        with plane.lock:
            cluster.status = "failed"
            events.cluster_event(region, cluster, f"The DB cluster could not be deleted: {reason}", "failure")

    plane.jobs.run(cluster.volume_id, job, failed)
    return {"DBCluster": cluster_shape(region, cluster)}


OPERATIONS: dict[str, Handler] = {
    "RestoreDBClusterToPointInTime": restore_to_point_in_time,
    "DescribeDBClusters": describe,
    "DeleteDBCluster": delete,
}
