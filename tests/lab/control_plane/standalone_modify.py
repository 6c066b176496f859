# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ModifyDBInstance of an instance that stands alone: what applies at once, what waits, what restarts the server."""

from __future__ import annotations

from tests.lab.control_plane import endpoints, events, modify, servers, upgrade
from tests.lab.control_plane.clusters import security_groups
from tests.lab.control_plane.common import find_instance, new_identifier
from tests.lab.control_plane.errors import instance_state, invalid_combination, not_in_lab
from tests.lab.control_plane.kinds import check_password, is_major
from tests.lab.control_plane.parameter_groups import find_group, group_for
from tests.lab.control_plane.plane import Call, ControlPlane, Handler
from tests.lab.control_plane.records import Instance, Region, Shape, UpgradePlan
from tests.lab.control_plane.standalone import check_retention, must_be_free, storage
from tests.lab.control_plane.versions import check_instance_class
from tests.lab.control_plane.views import instance_shape

AT_ONCE = (
    *(name for name in modify.INSTANCE_AT_ONCE if name != "PromotionTier"),
    "MaxAllocatedStorage",
    "PreferredBackupWindow",
)
STORAGE = ("AllocatedStorage", "Iops", "StorageThroughput", "StorageType")
QUEUED = ("CACertificateIdentifier", "DBInstanceClass", "MultiAZ", *STORAGE)
NOT_IN_LAB = ("DBPortNumber", "DBSubnetGroupName", "Domain", "ManageMasterUserPassword", "RotateMasterUserPassword")


def modify_instance(call: Call) -> Shape:
    """ModifyDBInstance."""
    params, plane, region = call.params, call.plane, call.region
    instance = find_instance(region, call.text("DBInstanceIdentifier"))
    cluster = instance.cluster
    if not cluster.standalone:
        return modify.modify_instance(call)
    if instance.status not in ("available", "storage-optimization"):
        raise instance_state(f"Instance {instance.identifier} is not in available state.")
    for name in NOT_IN_LAB:
        if params.get(name) is not None:
            raise not_in_lab(f"the option {name}")
    plan = _plan(call, instance)
    queued = _queued(call, instance)
    if plan is None:
        modify.change_instance_group(call, instance)
    else:
        queued["EngineVersion"] = plan.version
        cluster.upgrade = plan
    instance.api |= {name: params[name] for name in AT_ONCE if params.get(name) is not None}
    if params.get("EnablePerformanceInsights") is not None:
        instance.api["PerformanceInsightsEnabled"] = params["EnablePerformanceInsights"]
    if params.get("DeletionProtection") is not None:
        cluster.api["DeletionProtection"] = params["DeletionProtection"]
    if params.get("EnableIAMDatabaseAuthentication") is not None:
        cluster.api["IAMDatabaseAuthenticationEnabled"] = params["EnableIAMDatabaseAuthentication"]
    if params.get("VpcSecurityGroupIds"):
        cluster.api["VpcSecurityGroups"] = security_groups(params["VpcSecurityGroupIds"])
    instance.pending |= queued
    if params.get("ApplyImmediately") and instance.pending:
        apply_pending(plane, region, instance)
    return {"DBInstance": instance_shape(region, instance)}


def _queued(call: Call, instance: Instance) -> Shape:
    """Return what waits for the maintenance window without ApplyImmediately, checked."""
    params, api = call.params, instance.api
    queued = {name: params[name] for name in QUEUED if params.get(name) not in (None, api.get(name))}
    if "DBInstanceClass" in queued:
        check_instance_class(str(queued["DBInstanceClass"]))
    if any(name in queued for name in STORAGE):
        wanted = {**{name: api.get(name) for name in STORAGE}, **queued}
        storage(str(instance.cluster.api["Engine"]), wanted)
        if int(wanted["AllocatedStorage"]) < int(api["AllocatedStorage"]):
            raise invalid_combination("Requested storage size cannot be smaller than the current one.")
    if params.get("MasterUserPassword"):
        if "MasterUserSecret" in instance.cluster.api:
            raise invalid_combination("The password is managed in AWS Secrets Manager.")
        check_password(str(instance.cluster.api["Engine"]), str(params["MasterUserPassword"]))
        queued["MasterUserPassword"] = params["MasterUserPassword"]
    check_retention(params)
    days = params.get("BackupRetentionPeriod")
    now = int(instance.cluster.api["BackupRetentionPeriod"])
    if days is not None and bool(days) != bool(now):
        queued["BackupRetentionPeriod"] = int(days)  # backups begin or end: the server restarts
    elif days is not None:
        instance.cluster.api["BackupRetentionPeriod"] = int(days)
    if params.get("NewDBInstanceIdentifier"):
        name = new_identifier(call, "NewDBInstanceIdentifier")
        if name != instance.identifier:
            must_be_free(call, name)
            queued["DBInstanceIdentifier"] = name
    return queued


def _plan(call: Call, instance: Instance) -> UpgradePlan | None:
    """Return the upgrade that is asked for, None when none is; raises the service's refusals."""
    params, cluster = call.params, instance.cluster
    wanted = params.get("EngineVersion")
    now = call.plane.version(cluster.api["Engine"], cluster.api["EngineVersion"])
    target = call.plane.version(now.engine, str(wanted)) if wanted else now
    if target == now:
        return None
    if target.version not in now.targets:
        raise invalid_combination(f"Cannot upgrade {now.engine} from {now.version} to {target.version}")
    major = is_major(now, target)
    if major and not params.get("AllowMajorVersionUpgrade"):
        raise invalid_combination(
            "The AllowMajorVersionUpgrade flag must be present when upgrading to a new major version."
        )
    name = params.get("DBParameterGroupName")
    current = find_group(call.plane, call.region, "instance", str(instance.api["DBParameterGroupName"]))
    if major and not name and not current.is_default:
        raise upgrade.must_name_a_group("DB instance", current.name)
    if not major and not name:
        return UpgradePlan(target.version, False, "", None)
    group = group_for(call.plane, call.region, "instance", name, target.family)
    return UpgradePlan(target.version, major, "", group.name)


def apply_pending(plane: ControlPlane, region: Region, instance: Instance) -> None:
    """Queue what is pending of an instance; for a moment it still says that it is available, as on AWS."""
    cluster = instance.cluster

    def job() -> None:
        plane.clock.hold("settling")
        with plane.lock:  # what is not pending any more is seen to be done: nobody takes it for the end
            plan, cluster.upgrade = cluster.upgrade, None
            if instance.pending.pop("EngineVersion", None) is None:
                plan = None
            if plan is not None:
                instance.status = "upgrading"
        if plan is not None:
            upgrade.run(plane, region, cluster, plan)
        with plane.lock:
            pending, instance.pending = dict(instance.pending), {}
            if not pending:
                return
            status = instance.status = "renaming" if "DBInstanceIdentifier" in pending else "modifying"
        plane.clock.hold(status)
        _change(plane, region, instance, pending)
        with plane.lock:
            instance.status = "available"

    def failed(reason: str) -> None:
        with plane.lock:
            instance.status = "available"
            events.instance_event(region, instance, f"Unable to modify the DB instance: {reason}", "failure")

    plane.jobs.run(cluster.volume_id, job, failed)


def _change(plane: ControlPlane, region: Region, instance: Instance, pending: Shape) -> None:
    cluster, category = instance.cluster, "configuration change"
    if "MasterUserPassword" in pending:
        servers.engine_of(plane, cluster).set_master_password(cluster.volume_id, str(pending["MasterUserPassword"]))
        with plane.lock:
            events.instance_event(region, instance, "Reset master credentials", category)
    if "BackupRetentionPeriod" in pending:
        with plane.lock:
            cluster.api["BackupRetentionPeriod"] = pending["BackupRetentionPeriod"]
            word = "Enabled" if pending["BackupRetentionPeriod"] else "Disabled"
            events.instance_event(region, instance, f"{word} automated backups", category)
    if "DBInstanceClass" in pending or "BackupRetentionPeriod" in pending:
        servers.restart_all(plane, region, [instance])
    with plane.lock:
        if "DBInstanceClass" in pending:
            events.instance_event(region, instance, "Finished applying modification to DB instance class", category)
        instance.api |= {name: pending[name] for name in QUEUED if name in pending}
        if any(name in pending for name in STORAGE):
            events.instance_event(region, instance, "Finished applying modification to allocated storage", category)
        if "DBInstanceIdentifier" in pending:
            before = endpoints.hosts(region, instance)
            region.rename(instance, str(pending["DBInstanceIdentifier"]))
            endpoints.renamed(region, instance, before)


OPERATIONS: dict[str, Handler] = {"ModifyDBInstance": modify_instance}
