# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Engine version upgrades of a cluster: which are allowed, and how one runs."""

from __future__ import annotations

from tests.lab.control_plane import events, maintenance, servers
from tests.lab.control_plane.errors import ApiError, cluster_state, invalid_combination
from tests.lab.control_plane.global_rules import may_upgrade
from tests.lab.control_plane.kinds import is_major
from tests.lab.control_plane.parameter_groups import find_group, group_for
from tests.lab.control_plane.plane import Call, ControlPlane
from tests.lab.control_plane.records import Cluster, Region, UpgradePlan, set_status
from tests.lab.engine import EngineError, EngineVersion
from tests.lab.neptune import parameters as neptune


def plan(call: Call, cluster: Cluster, of_copy: bool = False) -> UpgradePlan | None:
    """Return the upgrade that a ModifyDBCluster asks for, or None when it asks for none.

    With `of_copy` it is one of a copy of the cluster, which is in no global cluster.

    Raises the service's refusals: unknown version, no path, no AllowMajorVersionUpgrade, groups of the old family.
    """
    params = call.params
    instance_group = params.get("DBInstanceParameterGroupName")
    wanted = params.get("EngineVersion")
    now = call.plane.version(cluster.api["Engine"], cluster.api["EngineVersion"])
    target = call.plane.version(now.engine, str(wanted)) if wanted else now
    if target == now:
        if instance_group:
            raise invalid_combination(
                "The DBInstanceParameterGroupName parameter is valid only in combination with the "
                "AllowMajorVersionUpgrade parameter and an engine version."
            )
        return None
    if target.version not in now.targets:
        raise invalid_combination(f"Cannot upgrade {now.engine} from {now.version} to {target.version}")
    if not of_copy:
        may_upgrade(cluster, is_major(now, target))
    if now.engine == neptune.ENGINE and is_major(now, target) and maintenance.behind(call.region, cluster):
        raise invalid_combination(
            f"Cannot upgrade {now.engine} from {now.version} to {target.version}: the cluster must have the latest patch "
            f"release of {now.version} first."
        )
    if cluster.secondary:
        return _minor(call, cluster, target)
    writers = [member for member in call.region.members(cluster) if member.writer]
    if not writers or writers[0].status != "available":
        raise cluster_state(
            f"Cannot modify engine version without a healthy primary instance in DB cluster: {cluster.identifier}"
        )
    if not is_major(now, target):
        return _minor(call, cluster, target)
    if not params.get("AllowMajorVersionUpgrade"):
        raise invalid_combination(
            "The AllowMajorVersionUpgrade flag must be present when upgrading to a new major version."
        )
    return UpgradePlan(
        target.version,
        True,
        _cluster_group(call, cluster, target.family),
        _instance_group(call, cluster, target.family),
    )


def _minor(call: Call, cluster: Cluster, target: EngineVersion) -> UpgradePlan:
    name = call.params.get("DBClusterParameterGroupName") or cluster.api["DBClusterParameterGroup"]
    return UpgradePlan(
        target.version, False, group_for(call.plane, call.region, "cluster", name, target.family).name, None
    )


def _cluster_group(call: Call, cluster: Cluster, family: str) -> str:
    name = call.params.get("DBClusterParameterGroupName")
    current = find_group(call.plane, call.region, "cluster", cluster.api["DBClusterParameterGroup"])
    if not name and not current.is_default:
        raise must_name_a_group("DB cluster", current.name)
    return group_for(call.plane, call.region, "cluster", name, family).name


def _instance_group(call: Call, cluster: Cluster, family: str) -> str:
    name = call.params.get("DBInstanceParameterGroupName")
    for member in call.region.members(cluster):
        current = find_group(call.plane, call.region, "instance", member.api["DBParameterGroupName"])
        if not name and not current.is_default:
            raise must_name_a_group("DB instance", current.name)
    return group_for(call.plane, call.region, "instance", name, family).name


def must_name_a_group(kind: str, name: str) -> ApiError:
    """Return the refusal of a major upgrade that leaves it open which group follows a custom one."""
    return invalid_combination(
        f"The current {kind} parameter group {name} is custom. You must explicitly specify a new {kind} parameter "
        "group, either default or custom, for the engine version upgrade."
    )


def run(plane: ControlPlane, region: Region, cluster: Cluster, accepted: UpgradePlan) -> None:
    """Upgrade a cluster, in a job: servers stopped, the volume upgraded, servers started.

    When the engine refuses, the cluster is available again with the version it had, and an event says why. After a
    major upgrade custom parameter groups wait for a reboot, as the user guide says ("be sure to manually reboot the
    cluster after the upgrade"); until then the servers run with the new family's defaults.
    """
    with plane.lock:
        before = str(cluster.api["EngineVersion"])
        if before == accepted.version:
            return
        members = [member for member in servers.active(plane, region, cluster) if member.running]
        set_status("upgrading", cluster, *members)
    _say(plane, region, cluster, "Upgrade in progress: Performing online pre-upgrade checks.")
    plane.clock.hold("upgrading")
    _say(plane, region, cluster, "Upgrade in progress: Performing offline pre-upgrade checks.")
    servers.stop_all(plane, members)
    reason = _upgrade_volume(plane, region, cluster, accepted)
    servers.start_all(plane, region, members, with_groups=not (accepted.major and reason is None))
    what = "instance" if cluster.standalone else "cluster"
    with plane.lock:
        if reason is None:
            kind = "major" if accepted.major else "minor"
            _say(plane, region, cluster, f"Database {what} engine {kind} version has been upgraded")
        else:
            message = f"Database {what} is in a state that cannot be upgraded: {reason}"
            _say(plane, region, cluster, message, "maintenance", "failure")
        set_status("available", cluster, *members)
    if reason is None and neptune.brings_system_update(str(cluster.api["Engine"]), before, accepted.version):
        plane.clock.hold("settling")
        maintenance.restart(plane, region, cluster, "upgrading")


def _upgrade_volume(plane: ControlPlane, region: Region, cluster: Cluster, accepted: UpgradePlan) -> str | None:
    """Upgrade the volume and adopt version and groups; return why it could not be upgraded, None when it was."""
    _say(plane, region, cluster, "Upgrade in progress: Upgrading writer.")
    try:
        servers.engine_of(plane, cluster).upgrade_volume(cluster.volume_id, accepted.version)
    except EngineError as exc:
        return str(exc)
    with plane.lock:
        adopt(region, cluster, accepted)
    return None


def adopt(region: Region, cluster: Cluster, accepted: UpgradePlan) -> None:
    """Give a cluster the version and the groups of an upgrade that is done."""
    cluster.api["EngineVersion"] = accepted.version
    cluster.api["DBClusterParameterGroup"] = accepted.cluster_group
    if accepted.instance_group is not None:
        for member in region.members(cluster):
            member.api["DBParameterGroupName"] = accepted.instance_group


def _say(plane: ControlPlane, region: Region, cluster: Cluster, message: str, *categories: str) -> None:
    with plane.lock:
        events.cluster_event(region, cluster, message, *(categories or ("maintenance",)))
