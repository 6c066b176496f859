# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ModifyGlobalCluster: deletion protection, another name, another engine version of all members."""

from __future__ import annotations

from collections.abc import Callable

from tests.lab.control_plane import events, servers, upgrade
from tests.lab.control_plane.common import new_identifier
from tests.lab.control_plane.errors import ApiError, cluster_state, global_state, invalid_combination
from tests.lab.control_plane.global_clusters import global_arn, global_shape, must_be_available
from tests.lab.control_plane.global_rules import find_global
from tests.lab.control_plane.kinds import is_major
from tests.lab.control_plane.parameter_groups import default_group
from tests.lab.control_plane.plane import Call, ControlPlane, Handler
from tests.lab.control_plane.records import GlobalCluster, GlobalMember, Shape, UpgradePlan, set_status
from tests.lab.engine import EngineVersion


def modify(call: Call) -> Shape:
    """ModifyGlobalCluster."""
    plane, params = call.plane, call.params
    group = find_global(plane, call.text("GlobalClusterIdentifier"), call.region)
    must_be_available(group)
    new = _new_name(call, group)
    target = _target(call, group)
    if params.get("DeletionProtection") is not None:
        group.api["DeletionProtection"] = bool(params["DeletionProtection"])
    if new is not None:
        _change(plane, group, "modifying", lambda: _rename(plane, group, new))
    elif target is not None:
        set_status("upgrading", *(member.cluster for member in group.members))
        _change(plane, group, "upgrading", lambda: _upgrade(plane, group, target))
    return {"GlobalCluster": global_shape(group)}


def _new_name(call: Call, group: GlobalCluster) -> str | None:
    if not call.params.get("NewGlobalClusterIdentifier"):
        return None
    name = new_identifier(call, "NewGlobalClusterIdentifier")
    if name == group.identifier:
        return None
    if name in call.plane.global_clusters:
        raise ApiError("GlobalClusterAlreadyExistsFault", f"Global cluster {name} already exists")
    return name


def _target(call: Call, group: GlobalCluster) -> EngineVersion | None:
    """Return the version that is asked for when it is another one; raises the service's refusals."""
    wanted = call.params.get("EngineVersion")
    primary = group.primary
    if wanted is None:
        return None
    now = call.plane.version(group.api["Engine"], str(global_shape(group)["EngineVersion"]))
    target = call.plane.version(now.engine, str(wanted))
    if target == now:
        return None
    if target.version not in now.targets:
        raise invalid_combination(f"Cannot upgrade {now.engine} from {now.version} to {target.version}")
    if is_major(now, target) and not call.params.get("AllowMajorVersionUpgrade"):
        raise invalid_combination(
            "The AllowMajorVersionUpgrade flag must be present when upgrading to a new major version."
        )
    if primary is None:
        raise global_state(f"The global cluster {group.identifier} has no primary cluster that could be upgraded.")
    for member in group.members:
        if member.cluster.status != "available":
            raise cluster_state(f"Cluster {member.arn} is in state {member.cluster.status}.")
    return target


def _change(plane: ControlPlane, group: GlobalCluster, status: str, change: Callable[[], None]) -> None:
    group.status = status

    def job() -> None:
        plane.clock.hold(status)
        change()
        with plane.lock:
            group.status = "available"

    def failed(reason: str) -> None:
        with plane.lock:
            group.status = "available"
            for member in group.members:
                if member.cluster.status == "upgrading":
                    member.cluster.status = "available" if member.connected else "failed"
                message = f"The global cluster could not be modified: {reason}"
                events.cluster_event(member.region, member.cluster, message, "failure")

    plane.jobs.run(group.queue, job, failed)


def _rename(plane: ControlPlane, group: GlobalCluster, new: str) -> None:
    with plane.lock:
        plane.global_clusters[new] = plane.global_clusters.pop(group.identifier)
        before = group.host
        group.api |= {"GlobalClusterIdentifier": new, "GlobalClusterArn": global_arn(new)}
        if plane.names is not None:
            plane.names.change({before: None, group.host: group.address})


def _upgrade(plane: ControlPlane, group: GlobalCluster, target: EngineVersion) -> None:
    """Upgrade all members: a minor one the secondaries first, a major one the primary first.

    After a major one the secondaries are made anew from it, and everything has the default parameter groups.
    """
    primary = group.primary
    if primary is None:
        return
    with plane.jobs.still([member.cluster.volume_id for member in group.members]):
        major = target.family != plane.version(target.engine, primary.cluster.api["EngineVersion"]).family
        if major:
            upgrade.run(plane, primary.region, primary.cluster, _plan(primary, target, major))
            if primary.cluster.api["EngineVersion"] == target.version:
                for member in group.secondaries:
                    _make_anew(plane, primary, member, target)
        else:
            for member in [*group.secondaries, primary]:
                upgrade.run(plane, member.region, member.cluster, _plan(member, target, major))
    with plane.lock:
        set_status("available", *(member.cluster for member in group.members))


def _plan(member: GlobalMember, target: EngineVersion, major: bool) -> UpgradePlan:
    if not major:
        return UpgradePlan(target.version, False, member.cluster.api["DBClusterParameterGroup"], None)
    name = default_group(member.region, "cluster", target.family).name
    return UpgradePlan(target.version, True, name, name)


def _make_anew(plane: ControlPlane, primary: GlobalMember, member: GlobalMember, target: EngineVersion) -> None:
    cluster = member.cluster
    running = [one for one in servers.active(plane, member.region, cluster) if one.running]

    def follow() -> None:
        with plane.lock:
            member.connected = False
        servers.engine_of(plane, cluster).follow_volume(primary.cluster.volume_id, cluster.volume_id)
        with plane.lock:
            upgrade.adopt(member.region, cluster, _plan(member, target, major=True))
            member.connected = True

    servers.restart_all(plane, member.region, running, follow)


OPERATIONS: dict[str, Handler] = {"ModifyGlobalCluster": modify}
