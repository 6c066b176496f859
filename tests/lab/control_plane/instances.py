# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DB instances of a cluster: created, described, deleted, rebooted, killed."""

from __future__ import annotations

from tests.lab.control_plane import endpoints, events, servers
from tests.lab.control_plane.clusters import refuse_what_is_not_in_lab
from tests.lab.control_plane.common import (
    bare,
    filters,
    find_cluster,
    find_instance,
    new_identifier,
    page,
    tags_of,
)
from tests.lab.control_plane.errors import (
    ApiError,
    cluster_state,
    instance_state,
    invalid_combination,
    invalid_value,
)
from tests.lab.control_plane.failover import promote
from tests.lab.control_plane.global_rules import may_have_class, may_lose
from tests.lab.control_plane.kinds import kind_of
from tests.lab.control_plane.parameter_groups import group_for
from tests.lab.control_plane.plane import Call, Handler
from tests.lab.control_plane.records import Cluster, Instance, Shape, resource_id, utcnow
from tests.lab.control_plane.versions import ZONES, check_instance_class
from tests.lab.control_plane.views import instance_shape

KEPT = (
    "PreferredMaintenanceWindow",
    "AutoMinorVersionUpgrade",
    "PubliclyAccessible",
    "CopyTagsToSnapshot",
    "MonitoringInterval",
    "MonitoringRoleArn",
    "DatabaseInsightsMode",
    "PerformanceInsightsKMSKeyId",
    "PerformanceInsightsRetentionPeriod",
    "CACertificateIdentifier",
    "AvailabilityZone",
    "PromotionTier",
)
DEFAULTS: Shape = {
    "AllocatedStorage": 1,
    "PreferredBackupWindow": "04:07-04:37",
    "PreferredMaintenanceWindow": "sun:06:12-sun:06:42",
    "MultiAZ": False,
    "AutoMinorVersionUpgrade": True,
    "PubliclyAccessible": False,
    "CopyTagsToSnapshot": False,
    "MonitoringInterval": 0,
    "PerformanceInsightsEnabled": False,
    "CACertificateIdentifier": "rds-ca-rsa2048-g1",
    "PromotionTier": 1,
    "StorageType": "aurora",
    "DbInstancePort": 0,
    "DeletionProtection": False,
    "NetworkType": "IPV4",
    "DBSecurityGroups": [],
    "ReadReplicaDBInstanceIdentifiers": [],
    "DomainMemberships": [],
    "AssociatedRoles": [],
}
# A cluster's states in which an instance can be added; the instance waits for the volume of a cluster being created.
JOINABLE = ("available", "backing-up", "creating")


def create(call: Call) -> Shape:
    """CreateDBInstance, as a member of a cluster; the first one is the writer."""
    params, plane, region = call.params, call.plane, call.region
    identifier = new_identifier(call, "DBInstanceIdentifier")
    if identifier in region.instances:
        raise ApiError("DBInstanceAlreadyExists", f"DB instance already exists: {identifier}")
    if not params.get("DBClusterIdentifier"):
        kind_of(call.text("Engine"))
        raise invalid_combination(
            f"A DB instance of {params['Engine']} is in a DB cluster: DBClusterIdentifier is missing."
        )
    refuse_what_is_not_in_lab(params)
    cluster = find_cluster(region, str(params["DBClusterIdentifier"]))
    _check_request(call, cluster)
    family = plane.version(cluster.api["Engine"], cluster.api["EngineVersion"]).family
    group = group_for(plane, region, "instance", params.get("DBParameterGroupName"), family)
    tags = tags_of(params)
    members = region.members(cluster)
    api: Shape = {
        **DEFAULTS,
        "AvailabilityZone": region.name + ZONES[len(members) % len(ZONES)],
        **{name: params[name] for name in KEPT if params.get(name) is not None},
        "PerformanceInsightsEnabled": bool(params.get("EnablePerformanceInsights")),
        "DBInstanceIdentifier": identifier,
        "DBInstanceClass": params["DBInstanceClass"],
        "DBInstanceArn": region.arn("db", identifier),
        "DbiResourceId": resource_id("db"),
        "DBInstanceStatus": "creating",
        "DBParameterGroupName": group.name,
        "InstanceCreateTime": utcnow(),
        "LicenseModel": kind_of(cluster.api["Engine"]).licence,
    }
    writer = not cluster.secondary and not any(member.writer for member in members)
    instance = Instance(api, cluster, plane.addresses.take(), writer, tags=tags)
    region.instances[identifier] = instance
    endpoints.publish(region, instance)
    _bring_up(call, instance)
    return {"DBInstance": instance_shape(region, instance)}


def _check_request(call: Call, cluster: Cluster) -> None:
    params = call.params
    if params["Engine"] != cluster.api["Engine"]:
        raise invalid_combination(
            f"The engine name requested for your DB instance ({params['Engine']}) doesn't match the engine name of your "
            f"DB cluster ({cluster.api['Engine']})."
        )
    version = params.get("EngineVersion")
    if version not in (None, cluster.api["EngineVersion"]):
        raise invalid_combination(
            f"The engine version that you requested for your DB instance ({version}) does not match the engine version "
            f"of your DB cluster ({cluster.api['EngineVersion']})."
        )
    if any(params.get(name) for name in ("MasterUsername", "MasterUserPassword", "ManageMasterUserPassword")):
        raise invalid_combination("The requested DB Instance will be a member of a DB Cluster. Set master user there.")
    check_instance_class(str(params["DBInstanceClass"]))
    if cluster.member is not None:
        may_have_class(str(params["DBInstanceClass"]))
    if params["DBInstanceClass"] == "db.serverless" and "ServerlessV2ScalingConfiguration" not in cluster.api:
        raise invalid_combination("Set the Serverless v2 scaling configuration on the parent DB cluster first.")
    tier = params.get("PromotionTier")
    if tier is not None and not 0 <= int(tier) <= 15:
        raise invalid_value(f"Invalid value {tier} for PromotionTier. Must be between 0 and 15")
    if cluster.status not in JOINABLE:
        raise cluster_state(f"DB Cluster {cluster.identifier} is in state {cluster.status}; a member cannot be added.")


def _bring_up(call: Call, instance: Instance) -> None:
    plane, region = call.plane, call.region

    def job() -> None:
        if instance.cluster.status in ("failed", "cloning-failed"):
            failed("its DB cluster could not be created")
            return
        servers.start(plane, region, instance)
        plane.clock.hold("creating")
        with plane.lock:
            events.instance_event(region, instance, "DB instance created", "creation")
            instance.status = "backing-up"
        plane.clock.hold("backing-up")
        with plane.lock:
            instance.status = "available"

    def failed(reason: str) -> None:
        with plane.lock:
            instance.status = "failed"
            events.instance_event(region, instance, f"The DB instance could not be created: {reason}", "failure")

    plane.jobs.run(instance.cluster.volume_id, job, failed)


def describe(call: Call) -> Shape:
    """DescribeDBInstances."""
    wanted = filters(call, ("db-cluster-id", "db-instance-id", "dbi-resource-id", "domain", "engine"))
    identifier = call.params.get("DBInstanceIdentifier")
    region = call.region
    instances = [find_instance(region, str(identifier))] if identifier else list(region.instances.values())

    def matches(instance: Instance) -> bool:
        have = {
            "db-cluster-id": None if instance.cluster.standalone else instance.cluster.identifier,
            "db-instance-id": instance.identifier,
            "dbi-resource-id": instance.server_id,
            "domain": None,
            "engine": instance.cluster.api["Engine"],
        }
        return all(
            have[name] in ([bare(value) for value in values] if name.endswith("-id") and name[:3] == "db-" else values)
            for name, values in wanted.items()
        )

    found = sorted((i for i in instances if matches(i)), key=lambda i: i.identifier)
    return page(call, "DBInstances", [instance_shape(region, instance) for instance in found])


def check_deletable(instance: Instance) -> None:
    """Raise for a state in which an instance cannot be deleted."""
    if instance.status == "deleting":
        raise instance_state(f"Instance {instance.identifier} is already being deleted.")
    if instance.status not in ("available", "backing-up", "failed", "stopped"):
        raise instance_state(f"Instance {instance.identifier} is in state {instance.status} and cannot be deleted.")


def delete(call: Call) -> Shape:
    """DeleteDBInstance; when it was the writer, a reader is promoted."""
    plane, region, params = call.plane, call.region, call.params
    instance = find_instance(region, call.text("DBInstanceIdentifier"))
    if params.get("FinalDBSnapshotIdentifier"):
        raise invalid_combination("FinalDBSnapshotIdentifier can not be specified when deleting a cluster instance")
    check_deletable(instance)
    may_lose(region, instance)
    instance.status = "deleting"
    cluster = instance.cluster

    def job() -> None:
        servers.stop(plane, instance)
        others = servers.active(plane, region, cluster)
        if instance.writer and others:
            promote(plane, region, cluster, others[0])
        plane.clock.hold("deleting")
        with plane.lock:
            del region.instances[instance.identifier]
            events.instance_event(region, instance, "DB instance deleted", "deletion")
            endpoints.withdraw(region, instance)
            plane.addresses.give_back(instance.address)

    def failed(reason: str) -> None:
        with plane.lock:
            instance.status = "failed"
            events.instance_event(region, instance, f"The DB instance could not be deleted: {reason}", "failure")

    plane.jobs.run(cluster.volume_id, job, failed)
    return {"DBInstance": instance_shape(region, instance)}


def reboot(call: Call) -> Shape:
    """RebootDBInstance: the server restarts with what its groups ask for.

    The writer's reboot restarts the readers too, as Aurora does where it has no read availability; they then run with
    the new parameters as well. Neptune's does not, since 1.2.0.0: each instance is rebooted by itself.
    """
    plane, region = call.plane, call.region
    instance = find_instance(region, call.text("DBInstanceIdentifier"))
    if call.params.get("ForceFailover"):
        raise invalid_combination("ForceFailover can't be specified for a member of an Aurora DB cluster.")
    if instance.status != "available":
        raise instance_state(f"Instance {instance.identifier} is not in available state.")
    instance.status = "rebooting"

    def job() -> None:
        plane.clock.hold("rebooting")
        with plane.lock:
            events.instance_event(region, instance, "DB instance shutdown", "availability")
        members = [instance]
        if instance.writer and kind_of(str(instance.cluster.api["Engine"])).reboots_together:
            members = [m for m in servers.active(plane, region, instance.cluster) if m.running or m is instance]
        servers.restart_all(plane, region, members)
        with plane.lock:
            for member in members:
                events.instance_event(region, member, "DB instance restarted", "availability")
            instance.status = "available"

    def failed(reason: str) -> None:
        with plane.lock:
            instance.status = "failed"
            events.instance_event(region, instance, f"The DB instance could not be restarted: {reason}", "failure")

    plane.jobs.run(instance.cluster.volume_id, job, failed)
    return {"DBInstance": instance_shape(region, instance)}


OPERATIONS: dict[str, Handler] = {"DescribeDBInstances": describe}
