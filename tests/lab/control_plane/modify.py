# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ModifyDBCluster and ModifyDBInstance: what applies at once, what is queued, what changes a status."""

from __future__ import annotations

from collections.abc import Callable

from tests.lab.control_plane import endpoints, events, master_secret, servers, upgrade, write_forwarding
from tests.lab.control_plane.clusters import refuse_what_is_not_in_lab, security_groups
from tests.lab.control_plane.common import find_cluster, find_instance, new_identifier
from tests.lab.control_plane.errors import ApiError, cluster_state, instance_state, invalid_combination, not_in_lab
from tests.lab.control_plane.global_rules import may_modify
from tests.lab.control_plane.kinds import check_logs, check_password, check_without_master_user, kind_of
from tests.lab.control_plane.parameter_groups import group_for
from tests.lab.control_plane.plane import Call, ControlPlane, Handler
from tests.lab.control_plane.records import Cluster, Instance, Region, Shape, set_status
from tests.lab.control_plane.versions import check_instance_class
from tests.lab.control_plane.views import cluster_shape, instance_shape

# ModifyDBCluster: options that apply at once whatever ApplyImmediately says, under the same name in DBCluster.
AT_ONCE = (
    "AutoMinorVersionUpgrade",
    "BackupRetentionPeriod",
    "CopyTagsToSnapshot",
    "DatabaseInsightsMode",
    "DeletionProtection",
    "MonitoringInterval",
    "MonitoringRoleArn",
    "PerformanceInsightsKMSKeyId",
    "PerformanceInsightsRetentionPeriod",
    "PreferredBackupWindow",
    "PreferredMaintenanceWindow",
    "ServerlessV2ScalingConfiguration",
    "StorageType",
)
# Options that wait for the maintenance window without ApplyImmediately: request name -> PendingModifiedValues name.
QUEUED = {
    "EngineVersion": "EngineVersion",
    "MasterUserPassword": "MasterUserPassword",
    "NewDBClusterIdentifier": "DBClusterIdentifier",
    "EnableIAMDatabaseAuthentication": "IAMDatabaseAuthenticationEnabled",
}


INSTANCE_AT_ONCE = (
    "AutoMinorVersionUpgrade",
    "CopyTagsToSnapshot",
    "DatabaseInsightsMode",
    "MonitoringInterval",
    "MonitoringRoleArn",
    "PerformanceInsightsKMSKeyId",
    "PerformanceInsightsRetentionPeriod",
    "PreferredMaintenanceWindow",
    "PromotionTier",
    "PubliclyAccessible",
)


def modify_cluster(call: Call) -> Shape:
    """ModifyDBCluster."""
    params, plane, region = call.params, call.plane, call.region
    cluster = find_cluster(region, call.text("DBClusterIdentifier"))
    refuse_what_is_not_in_lab(params)
    if params.get("RotateMasterUserPassword"):
        raise not_in_lab("a managed master user secret")
    if params.get("Port") not in (None, cluster.api["Port"]):
        raise not_in_lab("a change of the port")
    if cluster.status != "available":
        raise cluster_state(f"Cluster {cluster.identifier} is not in available state.")
    may_modify(cluster, params)
    if not kind_of(str(cluster.api["Engine"])).has_master_user:
        check_without_master_user(str(cluster.api["Engine"]), params)
    master_secret.check(params, managed="MasterUserSecret" in cluster.api)
    wanted = params.get("CloudwatchLogsExportConfiguration") or {}
    check_logs(str(cluster.api["Engine"]), str(cluster.api["EngineVersion"]), wanted.get("EnableLogTypes", ()))
    plan = upgrade.plan(call, cluster)
    queued = _checked_queue(call, cluster)
    if plan is None:
        _change_group(call, cluster)
        queued.pop("EngineVersion", None)
    _change_at_once(cluster, params)
    if params.get("EnableGlobalWriteForwarding") is not None:
        write_forwarding.turn(plane, cluster, bool(params["EnableGlobalWriteForwarding"]))
    master_secret.modify(plane, region, cluster, params)
    cluster.pending |= queued
    if plan is not None:
        cluster.pending["EngineVersion"] = plan.version
        cluster.upgrade = plan
    at_once = params.get("ApplyImmediately") or params.get("ManageMasterUserPassword") is False
    if at_once and cluster.pending:
        apply_pending(plane, region, cluster)
    return {"DBCluster": cluster_shape(region, cluster)}


def _checked_queue(call: Call, cluster: Cluster) -> Shape:
    queued = {there: call.params[here] for here, there in QUEUED.items() if call.params.get(here) is not None}
    if "MasterUserPassword" in queued:
        check_password(str(cluster.api["Engine"]), str(queued["MasterUserPassword"]))
    if "DBClusterIdentifier" in queued:
        name = new_identifier(call, "NewDBClusterIdentifier")
        if name in call.region.clusters and name != cluster.identifier:
            raise ApiError("DBClusterAlreadyExistsFault", f"DB Cluster already exists: {name}")
        queued["DBClusterIdentifier"] = name
    return queued


def _change_group(call: Call, cluster: Cluster) -> None:
    name = call.params.get("DBClusterParameterGroupName")
    if not name:
        return
    plane, region = call.plane, call.region
    family = plane.version(cluster.api["Engine"], cluster.api["EngineVersion"]).family
    group = group_for(plane, region, "cluster", str(name), family)
    if group.name == cluster.api["DBClusterParameterGroup"]:
        return
    cluster.api["DBClusterParameterGroup"] = group.name
    for member in region.members(cluster):
        servers.mark(member, "cluster", "pending-reboot")


def _change_at_once(cluster: Cluster, params: Shape) -> None:
    cluster.api |= {name: params[name] for name in AT_ONCE if params.get(name) is not None}
    if params.get("VpcSecurityGroupIds"):
        cluster.api["VpcSecurityGroups"] = security_groups(params["VpcSecurityGroupIds"])
    if params.get("EnablePerformanceInsights") is not None:
        cluster.api["PerformanceInsightsEnabled"] = params["EnablePerformanceInsights"]
    logs = params.get("CloudwatchLogsExportConfiguration")
    if logs:
        kept = [
            kind for kind in cluster.api["EnabledCloudwatchLogsExports"] if kind not in logs.get("DisableLogTypes", ())
        ]
        added = [kind for kind in logs.get("EnableLogTypes", ()) if kind not in kept]
        cluster.api["EnabledCloudwatchLogsExports"] = kept + added


def apply_pending(plane: ControlPlane, region: Region, cluster: Cluster) -> None:
    """Queue what is pending of a cluster; for a moment the cluster still says that it is available, as on AWS."""

    def job() -> None:
        plane.clock.hold("settling")
        with plane.lock:
            pending, cluster.pending = dict(cluster.pending), {}
            plan, cluster.upgrade = cluster.upgrade, None
        pending.pop("EngineVersion", None)
        if plan is not None:
            upgrade.run(plane, region, cluster, plan)
        if pending:
            _apply_rest(plane, region, cluster, pending)

    def failed(reason: str) -> None:
        with plane.lock:
            cluster.status = "available"
            cluster.pending = {}
            set_status("failed", *(member for member in region.members(cluster) if member.status == "upgrading"))
            events.cluster_event(region, cluster, f"Unable to modify the DB cluster: {reason}", "failure")

    plane.jobs.run(cluster.volume_id, job, failed)


def _apply_rest(plane: ControlPlane, region: Region, cluster: Cluster, pending: Shape) -> None:
    with plane.lock:
        cluster.status = "renaming" if "DBClusterIdentifier" in pending else "modifying"
        status = cluster.status
    plane.clock.hold(status)
    if "MasterUserPassword" in pending:
        servers.engine_of(plane, cluster).set_master_password(cluster.volume_id, str(pending["MasterUserPassword"]))
    if "IAMDatabaseAuthenticationEnabled" in pending:
        with plane.lock:
            cluster.api["IAMDatabaseAuthenticationEnabled"] = pending["IAMDatabaseAuthenticationEnabled"]
        servers.sign(plane, region, cluster)
    with plane.lock:
        if "MasterUserPassword" in pending:
            events.cluster_event(region, cluster, "Reset master credentials", "configuration change")
        if "DBClusterIdentifier" in pending:
            old, new = cluster.identifier, str(pending["DBClusterIdentifier"])
            before = endpoints.hosts(region, cluster)
            region.clusters[new] = region.clusters.pop(old)
            cluster.api |= {"DBClusterIdentifier": new, "DBClusterArn": region.arn("cluster", new)}
            endpoints.renamed(region, cluster, before)
            events.cluster_event(region, cluster, f"Renamed cluster from {old} to {new}", "notification")
        cluster.status = "available"


def modify_instance(call: Call) -> Shape:
    """ModifyDBInstance of a cluster member."""
    params, plane, region = call.params, call.plane, call.region
    instance = find_instance(region, call.text("DBInstanceIdentifier"))
    if instance.status != "available":
        raise instance_state(f"Instance {instance.identifier} is not in available state.")
    for name in ("EngineVersion", "MasterUserPassword", "BackupRetentionPeriod", "DBPortNumber", "DeletionProtection"):
        if params.get(name):
            raise invalid_combination(f"{name} of a member of a DB cluster is changed with ModifyDBCluster.")
    change_instance_group(call, instance)
    instance.api |= {name: params[name] for name in INSTANCE_AT_ONCE if params.get(name) is not None}
    if params.get("EnablePerformanceInsights") is not None:
        instance.api["PerformanceInsightsEnabled"] = params["EnablePerformanceInsights"]
    if params.get("DBInstanceClass") not in (None, instance.api["DBInstanceClass"]):
        check_instance_class(str(params["DBInstanceClass"]))
        instance.pending["DBInstanceClass"] = params["DBInstanceClass"]
    if params.get("CACertificateIdentifier") not in (None, instance.api["CACertificateIdentifier"]):
        instance.pending["CACertificateIdentifier"] = params["CACertificateIdentifier"]
    if params.get("NewDBInstanceIdentifier"):
        name = new_identifier(call, "NewDBInstanceIdentifier")
        if name in region.instances and name != instance.identifier:
            raise ApiError("DBInstanceAlreadyExists", f"DB instance already exists: {name}")
        instance.pending["DBInstanceIdentifier"] = name
    if params.get("ApplyImmediately") and instance.pending:
        _apply_instance(plane, region, instance)
    return {"DBInstance": instance_shape(region, instance)}


def change_instance_group(call: Call, instance: Instance) -> None:
    """Let an instance use the DB parameter group that a request names, from its next reboot on."""
    name = call.params.get("DBParameterGroupName")
    api = instance.cluster.api
    if not name:
        return
    family = call.plane.version(api["Engine"], api["EngineVersion"]).family
    group = group_for(call.plane, call.region, "instance", str(name), family)
    if group.name != instance.api["DBParameterGroupName"]:
        instance.api["DBParameterGroupName"] = group.name
        servers.mark(instance, "instance", "pending-reboot")


def _apply_instance(plane: ControlPlane, region: Region, instance: Instance) -> None:
    def settled(change: Callable[[Shape], None]) -> None:
        plane.clock.hold("settling")
        with plane.lock:
            pending, instance.pending = dict(instance.pending), {}
            status = instance.status = "renaming" if "DBInstanceIdentifier" in pending else "modifying"
        plane.clock.hold(status)
        change(pending)
        with plane.lock:
            instance.status = "available"

    def change(pending: Shape) -> None:
        if "DBInstanceClass" in pending:
            servers.restart_all(plane, region, [instance])
        with plane.lock:
            if "DBInstanceClass" in pending:
                message = "Finished applying modification to DB instance class"
                events.instance_event(region, instance, message, "configuration change")
            new = str(pending.get("DBInstanceIdentifier", instance.identifier))
            before = endpoints.hosts(region, instance)
            instance.api |= {name: value for name, value in pending.items() if name != "DBInstanceIdentifier"}
            region.rename(instance, new)
            endpoints.renamed(region, instance, before)

    def failed(reason: str) -> None:
        with plane.lock:
            instance.status = "available"
            events.instance_event(region, instance, f"Unable to modify the DB instance: {reason}", "failure")

    plane.jobs.run(instance.cluster.volume_id, lambda: settled(change), failed)


OPERATIONS: dict[str, Handler] = {"ModifyDBCluster": modify_cluster}
