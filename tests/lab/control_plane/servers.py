# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From records to servers: which addresses lead to an instance, which parameters it runs with, start and stop.

Called from jobs only (except `mark` and `apply_dynamic`, which queue one): engines block.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tests.lab.control_plane import events
from tests.lab.control_plane.kinds import RDS_MYSQL, kind_of
from tests.lab.control_plane.parameter_groups import find_group
from tests.lab.control_plane.plane import ControlPlane
from tests.lab.control_plane.records import Cluster, Instance, ParameterGroup, Region
from tests.lab.engine import DatabaseEngine, InstanceSpec
from tests.lab.managed import metadata
from tests.lab.mysql.parameters import BINLOG_FORMAT

IAM_AUTH = "iam_auth"
# RDS for MySQL has a binary log exactly when it has backups.
WITHOUT_BACKUPS: Mapping[str, Mapping[str, str]] = {RDS_MYSQL: {BINLOG_FORMAT: "OFF"}}
INACTIVE = ("deleting", "failed", "stopped")


def engine_of(plane: ControlPlane, cluster: Cluster) -> DatabaseEngine:
    """Return the engine of a cluster."""
    return plane.engines[str(cluster.api["Engine"])]


def defaults(plane: ControlPlane, instance: Instance) -> dict[str, str]:
    """Return the parameters of the family of the instance's engine version."""
    version = plane.version(instance.cluster.api["Engine"], instance.cluster.api["EngineVersion"])
    known = plane.engines[version.engine].default_parameters(version.family)
    return {name: parameter.value for name, parameter in known.items() if parameter.value is not None}


def groups(plane: ControlPlane, region: Region, instance: Instance) -> tuple[ParameterGroup, ...]:
    """Return the groups that an instance's parameters come from: the cluster's, then its own."""
    own = find_group(plane, region, "instance", instance.api["DBParameterGroupName"])
    if instance.cluster.standalone:
        return (own,)
    return (find_group(plane, region, "cluster", instance.cluster.api["DBClusterParameterGroup"]), own)


def desired(plane: ControlPlane, region: Region, instance: Instance) -> dict[str, str]:
    """Return the parameters that the groups ask for: the family's defaults, cluster group, instance group."""
    values = defaults(plane, instance)
    for group in groups(plane, region, instance):
        values.update({name: value for name, (value, _method) in group.values.items()})
    if instance.cluster.standalone and not int(instance.cluster.api["BackupRetentionPeriod"]):
        values.update(WITHOUT_BACKUPS.get(str(instance.cluster.api["Engine"]), {}))
    return values


def signed(cluster: Cluster) -> dict[str, str]:
    """Return what tells a server without users that every request must be signed; it is no parameter of the service."""
    if kind_of(str(cluster.api["Engine"])).has_master_user:
        return {}
    return {IAM_AUTH: str(int(cluster.api["IAMDatabaseAuthenticationEnabled"]))}


def sign(plane: ControlPlane, region: Region, cluster: Cluster) -> None:
    """Have requests to a cluster's running servers signed, or no longer, as the cluster says now; in a job."""
    change = signed(cluster)
    for instance in active(plane, region, cluster) if change else ():
        with plane.lock:
            instance.applied = {**instance.applied, **change}
        engine_of(plane, cluster).apply_dynamic(instance.server_id, instance.applied)


def addresses(instance: Instance) -> tuple[str, ...]:
    """Return the addresses that must lead to an instance: its own, then the cluster endpoints that it can serve.

    The writer claims the reader endpoint too; the engine leads that one to the readers as long as there are any.
    """
    cluster = instance.cluster
    if cluster.standalone:
        return (instance.address,)
    if instance.writer:
        world = (cluster.member.group.address,) if cluster.member is not None and cluster.member.writer else ()
        return (instance.address, cluster.address, cluster.reader_address, *world)
    return (instance.address, cluster.reader_address)


def start(plane: ControlPlane, region: Region, instance: Instance, with_groups: bool = True) -> None:
    """Start an instance's server with what its groups ask for now; it is in sync with them afterwards.

    Without the groups it gets the family's defaults, and custom groups wait for a reboot.
    """
    with plane.lock:
        parameters = desired(plane, region, instance) if with_groups else defaults(plane, instance)
        parameters |= signed(instance.cluster)
        spec = InstanceSpec(
            instance_id=instance.server_id,
            volume_id=instance.cluster.volume_id,
            role="writer" if instance.writer else "reader",
            addresses=addresses(instance),
            port=int(instance.cluster.api["Port"]),
            parameters=parameters,
        )
        for group in groups(plane, region, instance):
            mark(instance, group.kind, "in-sync" if with_groups or group.is_default else "pending-reboot")
    messages = engine_of(plane, instance.cluster).start(spec)
    metadata.identify(plane, region, instance.cluster)
    with plane.lock:
        for message in messages:
            events.instance_event(region, instance, message)
        instance.running = True
        instance.applied = parameters
        instance.api["Endpoint"] = {
            "Address": instance.address,
            "Port": instance.cluster.api["Port"],
            "HostedZoneId": "Z2R2ITUGPM61AM",
        }


def lead(plane: ControlPlane, region: Region, cluster: Cluster) -> None:
    """Let the addresses that are a cluster's now lead to its writer; in a job."""
    for instance in active(plane, region, cluster):
        if instance.writer and instance.running:
            with plane.lock:
                found = addresses(instance)
            engine_of(plane, cluster).set_addresses(instance.server_id, found)


def stop(plane: ControlPlane, instance: Instance, immediate: bool = False) -> None:
    """Stop an instance's server."""
    engine_of(plane, instance.cluster).stop(instance.server_id, immediate)
    with plane.lock:
        instance.running = False


def active(plane: ControlPlane, region: Region, cluster: Cluster) -> list[Instance]:
    """Return the members that have a server, writer first."""
    with plane.lock:
        return [member for member in region.members(cluster) if member.status not in INACTIVE]


def stop_all(plane: ControlPlane, members: Sequence[Instance]) -> None:
    """Stop servers, readers first."""
    for instance in reversed(members):
        stop(plane, instance)


def start_all(plane: ControlPlane, region: Region, members: Sequence[Instance], with_groups: bool = True) -> None:
    """Start servers, the writer first, whatever the order that is given; `with_groups` as for `start`."""
    for instance in sorted(members, key=lambda member: not member.writer):
        start(plane, region, instance, with_groups)


def restart_all(
    plane: ControlPlane, region: Region, members: Sequence[Instance], between: Callable[[], None] | None = None
) -> None:
    """Stop servers, do something while none runs, start them again, also when that something failed."""
    stop_all(plane, members)
    try:
        if between is not None:
            between()
    finally:
        start_all(plane, region, members)


def mark(instance: Instance, kind: str, status: str) -> None:
    """Set an instance's status towards its cluster's group or its own."""
    if kind == "cluster":
        instance.cluster_group_status = status
    else:
        instance.group_status = status


def status_of(instance: Instance, kind: str) -> str:
    """Return an instance's status towards its cluster's group or its own."""
    return instance.cluster_group_status if kind == "cluster" else instance.group_status


def apply_dynamic(plane: ControlPlane, region: Region, instance: Instance, kind: str, names: Sequence[str]) -> None:
    """Queue: give a running server the values that its groups ask for now, of these parameters only."""
    if status_of(instance, kind) == "in-sync":
        mark(instance, kind, "applying")

    def finish() -> None:
        with plane.lock:
            if status_of(instance, kind) == "applying":
                mark(instance, kind, "in-sync")

    def job() -> None:
        plane.clock.hold("applying")
        with plane.lock:
            if not instance.running:
                finish()
                return
            asked = desired(plane, region, instance)
            parameters = {**instance.applied, **{name: asked[name] for name in names if name in asked}}
            for name in names:
                if name not in asked:
                    parameters.pop(name, None)
            instance.applied = parameters
        engine_of(plane, instance.cluster).apply_dynamic(instance.server_id, parameters)
        finish()

    def failed(reason: str) -> None:
        with plane.lock:
            events.instance_event(region, instance, f"Unable to apply parameters: {reason}", "failure")
        finish()

    plane.jobs.run(instance.cluster.volume_id, job, failed)
