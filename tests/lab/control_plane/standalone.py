# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DB instances without a DB cluster (RDS for PostgreSQL and for MySQL): created, deleted, rebooted.

Inside, each has a cluster of its own that no operation on clusters shows: it has the volume, the engine version, the
master user and the backups. Its identifier and its ARN are those of the instance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tests.lab.control_plane import (
    clusters,
    db_snapshots,
    endpoints,
    events,
    instances,
    master_secret,
    servers,
    snapshots,
)
from tests.lab.control_plane.common import find_instance, new_identifier, tags_of
from tests.lab.control_plane.errors import ApiError, invalid_combination, invalid_value, not_in_lab
from tests.lab.control_plane.kinds import (
    RDS_POSTGRESQL,
    STANDALONE,
    check_database,
    check_master_user,
    check_password,
    kind_of,
)
from tests.lab.control_plane.parameter_groups import group_for
from tests.lab.control_plane.plane import Call, Handler
from tests.lab.control_plane.records import Cluster, Instance, Region, Shape, resource_id, utcnow
from tests.lab.control_plane.versions import ZONES, check_instance_class
from tests.lab.control_plane.views import instance_shape

# Options that are kept and described under the same name: of the instance's record, then of the hidden cluster's.
KEPT = (
    *(name for name in instances.KEPT if name != "PromotionTier"),
    "Iops",
    "MaxAllocatedStorage",
    "MultiAZ",
    "NetworkType",
    "PreferredBackupWindow",
    "StorageThroughput",
)
KEPT_BY_CLUSTER = ("BackupRetentionPeriod", "DeletionProtection")
DEFAULTS: Shape = {
    **{name: value for name, value in instances.DEFAULTS.items() if name != "PromotionTier"},
    "PromotionTier": 1,
    "StorageType": "gp3",
    "BackupTarget": "region",
    "CustomerOwnedIpEnabled": False,
    "DedicatedLogVolume": False,
    "EngineLifecycleSupport": "open-source-rds-extended-support",
}
STORAGE_TYPES: Mapping[str, int] = {"gp2": 20, "gp3": 20, "io1": 100, "io2": 100}  # with the smallest size (GiB)
WITH_IOPS = ("io1", "io2")
REPLICAS = "ReadReplicaDBInstanceIdentifiers"
LONGEST_RETENTION = 35  # days
NOT_IN_LAB = ("CharacterSetName", "CustomIamInstanceProfile", "DBSystemId", "Domain", "MultiTenant", "TdeCredentialArn")


def create(call: Call) -> Shape:
    """CreateDBInstance: a member of a cluster when one is named, else one that stands alone."""
    params = call.params
    if params.get("DBClusterIdentifier") or params.get("Engine") not in STANDALONE:
        return instances.create(call)
    identifier = new_identifier(call, "DBInstanceIdentifier")
    must_be_free(call, identifier)
    for name in NOT_IN_LAB:
        if params.get(name):
            raise not_in_lab(f"the option {name}")
    version = call.plane.version(call.text("Engine"), params.get("EngineVersion"))
    engine = version.engine
    master_secret.check(params, managed=False)
    managed = bool(params.get("ManageMasterUserPassword"))
    username = call.text("MasterUsername")
    password = master_secret.new_password() if managed else call.text("MasterUserPassword")
    check_password(engine, password)
    check_master_user(engine, username)
    database = params.get("DBName") or None
    check_database(engine, database)
    cluster = hidden_cluster(call, identifier, engine, version.version, {"MasterUsername": username})
    if database:
        cluster.api["DatabaseName"] = database
    instance = new_instance(call, cluster)
    if managed:
        master_secret.keep(call.region, cluster, password, params.get("MasterUserSecretKmsKeyId"))
    volume = servers.engine_of(call.plane, cluster)
    first = database or ("postgres" if engine == RDS_POSTGRESQL else None)
    bring_up(
        call,
        instance,
        lambda: volume.create_volume(cluster.volume_id, version.version, username, password, first),
    )
    return {"DBInstance": instance_shape(call.region, instance)}


def must_be_free(call: Call, identifier: str) -> None:
    """Raise when an instance with that identifier exists."""
    if identifier in call.region.instances:
        raise ApiError("DBInstanceAlreadyExists", f"DB instance already exists: {identifier}")


def hidden_cluster(call: Call, identifier: str, engine: str, version: str, inherited: Shape) -> Cluster:
    """Make the hidden cluster of an instance from a request for the instance; it is in no list of clusters."""
    check_retention(call.params)
    own = {
        "DBClusterIdentifier": identifier,
        "DBClusterArn": call.region.arn("db", identifier),
        "DBClusterParameterGroup": "",
    }
    api = clusters.new_shape(call, engine, version, KEPT_BY_CLUSTER, inherited, own)
    address = call.plane.addresses.take()
    return Cluster(api, address=address, reader_address=address, standalone=True)


def check_retention(params: Shape) -> None:
    """Raise for a backup retention period that the service refuses."""
    days = params.get("BackupRetentionPeriod")
    if days is not None and not 0 <= int(days) <= LONGEST_RETENTION:
        raise invalid_value(f"Invalid backup retention period: {days}. Must be between 0 and {LONGEST_RETENTION}")


def new_instance(call: Call, cluster: Cluster, inherited: Shape | None = None) -> Instance:
    """Make the record of the instance of a hidden cluster; `inherited` are fields of a source that it has too."""
    params, plane, region = call.params, call.plane, call.region
    engine = str(cluster.api["Engine"])
    family = plane.version(engine, cluster.api["EngineVersion"]).family
    group = group_for(plane, region, "instance", params.get("DBParameterGroupName"), family)
    given = {**(inherited or {}), **params}
    check_instance_class(str(given.get("DBInstanceClass") or call.text("DBInstanceClass")))
    identifier = cluster.identifier
    api: Shape = {
        **DEFAULTS,
        "AvailabilityZone": region.name + ZONES[0],
        **{name: given[name] for name in KEPT if given.get(name) is not None},
        **storage(engine, given),
        "PerformanceInsightsEnabled": bool(given.get("EnablePerformanceInsights")),
        "DBInstanceIdentifier": identifier,
        "DBInstanceClass": given["DBInstanceClass"],
        "DBInstanceArn": region.arn("db", identifier),
        "DbiResourceId": resource_id("db"),
        "DBInstanceStatus": "creating",
        "DBParameterGroupName": group.name,
        "InstanceCreateTime": utcnow(),
        "LicenseModel": kind_of(engine).licence,
        "OptionGroupMemberships": [{"OptionGroupName": f"default:{family}", "Status": "in-sync"}],
    }
    instance = Instance(api, cluster, cluster.address, writer=True, tags=tags_of(params))
    region.instances[identifier] = instance
    endpoints.publish(region, instance)
    return instance


def storage(engine: str, given: Shape) -> Shape:
    """Return the fields of an instance's storage; raises for what the service refuses."""
    kind = str(given.get("StorageType") or ("io1" if given.get("Iops") else DEFAULTS["StorageType"]))
    if kind not in STORAGE_TYPES:
        raise invalid_value(f"Invalid storage type: {kind}")
    if given.get("AllocatedStorage") is None:
        raise invalid_combination(
            f"The parameter AllocatedStorage must be provided and must not be blank for {engine}."
        )
    size = int(given["AllocatedStorage"])
    if size < STORAGE_TYPES[kind]:
        raise invalid_value(f"Invalid storage size for engine name {engine} and storage type {kind}: {size}")
    if kind in WITH_IOPS and not given.get("Iops"):
        raise invalid_combination(f"You must specify IOPS for the storage type {kind}.")
    return {"StorageType": kind, "AllocatedStorage": size}


def forget(region: Region, replica: Instance) -> None:
    """Let an instance be a read replica no longer, when it is one."""
    name = replica.api.pop("ReadReplicaSourceDBInstanceIdentifier", None)
    source = region.instances.get(str(name))
    if source is not None:
        others = [one for one in source.api[REPLICAS] if one != replica.identifier]
        source.api[REPLICAS] = others


def bring_up(
    call: Call, instance: Instance, make_volume: Callable[[], None], follow: Callable[[], None] = lambda: None
) -> None:
    """Queue the making of an instance's volume and the way to `available`; `follow` is for when its server runs."""
    plane, region, cluster = call.plane, call.region, instance.cluster

    def job() -> None:
        make_volume()
        with plane.lock:
            cluster.status = "available"
        servers.start(plane, region, instance)
        follow()
        plane.clock.hold("creating")
        with plane.lock:
            master_secret.activate(cluster)
            events.instance_event(region, instance, "DB instance created", "creation")
            instance.status = "backing-up" if cluster.api["BackupRetentionPeriod"] else "available"
        plane.clock.hold("backing-up")
        with plane.lock:
            if instance.status == "backing-up":
                events.instance_event(region, instance, "Finished DB Instance backup", "backup")
            instance.status = "available"

    def failed(reason: str) -> None:
        with plane.lock:
            cluster.status = instance.status = "failed"
            events.instance_event(region, instance, f"The DB instance could not be created: {reason}", "failure")

    plane.jobs.run(cluster.volume_id, job, failed)


def delete(call: Call) -> Shape:
    """DeleteDBInstance."""
    plane, region, params = call.plane, call.region, call.params
    instance = find_instance(region, call.text("DBInstanceIdentifier"))
    cluster = instance.cluster
    if not cluster.standalone:
        return instances.delete(call)
    if cluster.api["DeletionProtection"]:
        raise invalid_combination(
            "Cannot delete protected DB Instance, please disable deletion protection and try again."
        )
    final = snapshots.final(params, "an instance")
    instances.check_deletable(instance)
    if instance.api[REPLICAS]:
        raise not_in_lab("the end of a DB instance that has read replicas")
    if final and instance.api.get("ReadReplicaSourceDBInstanceIdentifier"):
        raise invalid_combination("FinalDBSnapshotIdentifier can not be specified when deleting a replica instance.")
    if final:
        db_snapshots.take(call, instance, final)
    instance.status = "deleting"
    engine = servers.engine_of(plane, cluster)

    def job() -> None:
        servers.stop(plane, instance)
        plane.clock.hold("deleting")
        engine.delete_volume(cluster.volume_id)
        with plane.lock:
            master_secret.drop(region, cluster)
            forget(region, instance)
            del region.instances[instance.identifier]
            events.instance_event(region, instance, "DB instance deleted", "deletion")
            endpoints.withdraw(region, instance)
            plane.addresses.give_back(instance.address)
        plane.jobs.retire(cluster.volume_id)

    def failed(reason: str) -> None:
        with plane.lock:
            instance.status = "failed"
            events.instance_event(region, instance, f"The DB instance could not be deleted: {reason}", "failure")

    plane.jobs.run(cluster.volume_id, job, failed)
    return {"DBInstance": instance_shape(region, instance)}


def reboot(call: Call) -> Shape:
    """RebootDBInstance; with a failover only where there is a standby."""
    instance = find_instance(call.region, call.text("DBInstanceIdentifier"))
    if instance.cluster.standalone and call.params.get("ForceFailover"):
        if not instance.api["MultiAZ"]:
            raise invalid_combination("The specified DB instance is not a Multi-AZ DB instance.")
        raise not_in_lab("a failover of a Multi-AZ DB instance")
    return instances.reboot(call)


OPERATIONS: dict[str, Handler] = {
    "CreateDBInstance": create,
    "DeleteDBInstance": delete,
    "RebootDBInstance": reboot,
}
