# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parameters and parameter groups of a blue/green deployment: what blue must run with, what green gets."""

from __future__ import annotations

from tests.lab.control_plane import upgrade
from tests.lab.control_plane.errors import ApiError, invalid_combination
from tests.lab.control_plane.kinds import is_major
from tests.lab.control_plane.parameter_groups import find_group, group_for
from tests.lab.control_plane.plane import Call
from tests.lab.control_plane.records import Cluster, Instance, UpgradePlan
from tests.lab.engine import EngineVersion

MYSQL = ("aurora-mysql", "mysql")
LOGICAL = "rds.logical_replication"
CASE = "lower_case_table_names"
NO_BINLOG = "Blue Green Deployments requires cluster parameter group has binlog enabled."
NO_LOGICAL = (
    "Blue/Green Deployments require a {0} with logical replication enabled. Before you create a Blue/Green Deployment for "
    "a {0}, associate the {0} with a custom {0} parameter group that enables logical replication."
)


def _blue(source: Cluster | Instance) -> Cluster:
    return source if isinstance(source, Cluster) else source.cluster


def _fault(source: Cluster | Instance, message: str) -> ApiError:
    code = "SourceClusterNotSupportedFault" if isinstance(source, Cluster) else "SourceDatabaseNotSupportedFault"
    return ApiError(code, message)


def _versions(call: Call, blue: Cluster) -> tuple[EngineVersion, EngineVersion]:
    """Return the version of blue and the one that green is to have."""
    now = call.plane.version(blue.api["Engine"], blue.api["EngineVersion"])
    wanted = call.params.get("TargetEngineVersion")
    return now, call.plane.version(now.engine, str(wanted)) if wanted else now


def check_source(call: Call, source: Cluster | Instance) -> None:
    """Raise unless blue's writer runs with what the replication to green needs, and nothing waits for a reboot."""
    blue = _blue(source)
    writer = call.region.members(blue)[0]
    in_sync = writer.cluster_group_status == "in-sync" or not isinstance(source, Cluster)
    if blue.api["Engine"] == "aurora-mysql":
        if writer.applied.get("binlog_format", "OFF") == "OFF" or not in_sync:
            raise _fault(source, NO_BINLOG)
    elif blue.api["Engine"] == "aurora-postgresql":
        if not _is_on(writer.applied.get(LOGICAL)) or not in_sync:
            raise _fault(source, NO_LOGICAL.format("DB cluster"))
    elif (
        blue.api["Engine"] == "postgres"
        and is_major(*_versions(call, blue))
        and (not _is_on(writer.applied.get(LOGICAL)) or writer.group_status != "in-sync")
    ):
        raise _fault(source, NO_LOGICAL.format("DB instance"))


def _is_on(value: str | None) -> bool:
    return str(value).lower() in ("1", "on", "true")


def plan(call: Call, source: Cluster | Instance) -> UpgradePlan | None:
    """Return the upgrade of green, None when it keeps blue's version; raises the refusals of ModifyDBCluster."""
    blue = _blue(source)
    now, target = _versions(call, blue)
    if target == now:
        return None
    if call.plane.versions().index(target) < call.plane.versions().index(now):
        raise invalid_combination(
            f"The target engine version {target.version} is lower than the engine version {now.version} of the source."
        )
    cluster_group = call.params.get("TargetDBClusterParameterGroupName")
    instance_group = call.params.get("TargetDBParameterGroupName")
    if is_major(now, target) and now.engine in MYSQL:
        # Without a group of the new family the service takes the default one.
        cluster_group = cluster_group or f"default.{target.family}"
        instance_group = instance_group or f"default.{target.family}"
    if isinstance(source, Instance):
        return _plan_of_instance(call, source, now, target, instance_group)
    params = {
        "EngineVersion": target.version,
        "AllowMajorVersionUpgrade": True,
        "DBClusterParameterGroupName": cluster_group,
        "DBInstanceParameterGroupName": instance_group,
    }
    return upgrade.plan(Call(call.plane, call.region, call.operation, params), blue, of_copy=True)


def _plan_of_instance(
    call: Call, source: Instance, now: EngineVersion, target: EngineVersion, group: str | None
) -> UpgradePlan:
    if target.version not in now.targets:
        raise invalid_combination(f"Cannot upgrade {now.engine} from {now.version} to {target.version}")
    if not is_major(now, target):
        return UpgradePlan(target.version, False, "", None)
    current = find_group(call.plane, call.region, "instance", str(source.api["DBParameterGroupName"]))
    if not group and not current.is_default:
        raise upgrade.must_name_a_group("DB instance", current.name)
    return UpgradePlan(
        target.version, True, "", group_for(call.plane, call.region, "instance", group, target.family).name
    )


def groups(call: Call, source: Cluster | Instance, accepted: UpgradePlan | None) -> tuple[str | None, str | None]:
    """Return the cluster group and the instance group that are asked for, checked; None where none is."""
    blue = _blue(source)
    family = _versions(call, blue)[1].family
    found: list[str | None] = []
    for kind, option in (("cluster", "TargetDBClusterParameterGroupName"), ("instance", "TargetDBParameterGroupName")):
        name = call.params.get(option)
        found.append(group_for(call.plane, call.region, kind, str(name), family).name if name else None)
    if blue.api["Engine"] in MYSQL:
        own = isinstance(source, Instance)
        after = (accepted.instance_group if own else accepted.cluster_group) if accepted else None
        _check_case(call, source, found[1 if own else 0] or after, family)
    return found[0], found[1]


def _check_case(call: Call, source: Cluster | Instance, target: str | None, family: str) -> None:
    """The names of tables are compared in the same way on both sides."""
    if target is None:
        return
    blue = _blue(source)
    kind, option = (
        ("instance", "DBParameterGroupName") if blue is not source else ("cluster", "DBClusterParameterGroup")
    )
    engine = call.plane.engines[str(blue.api["Engine"])]

    def value(group: str, of_family: str) -> str | None:
        own = find_group(call.plane, call.region, kind, group).values.get(CASE)
        default = engine.default_parameters(of_family).get(CASE)
        return own[0] if own else (default.value if default else None)

    now = call.plane.version(blue.api["Engine"], blue.api["EngineVersion"]).family
    if value(str(source.api[option]), now) != value(target, family):
        raise invalid_combination(
            f"The value of the {CASE} parameter for the blue environment and for the green environment is different."
        )
