# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A blue/green deployment of a global database: green has a cluster in every Region that blue has one in."""

from __future__ import annotations

from tests.lab.control_plane import global_clusters, global_members
from tests.lab.control_plane.managed_copy import green_instance
from tests.lab.control_plane.managed_records import PROVISIONING, Deployment, Pair, Worlds, new_name
from tests.lab.control_plane.managed_work import ask, delete_cluster, until, wait_for_instances
from tests.lab.control_plane.plane import Call
from tests.lab.control_plane.records import Cluster, GlobalCluster, GlobalMember, Instance, Region
from tests.lab.engine import EngineError


def pairs(blue: Cluster) -> list[Pair]:
    """Return a pair for every cluster and instance of the secondaries of a global cluster's primary."""
    if blue.member is None:
        return []
    found: list[Pair] = []
    for secondary in blue.member.group.secondaries:
        region = secondary.region
        found.append(Pair(secondary.cluster, region=region))
        found += [Pair(instance, region=region) for instance in region.members(secondary.cluster)]
    return found


def spread(call: Call, deployment: Deployment) -> None:
    """Make green the primary of a global cluster with secondaries where blue has them; in the deployment's job."""
    member, plane = deployment.blue.member, call.plane
    if member is None:
        return
    blue = member.group
    name, arn = new_name(blue.identifier), deployment.green.api["DBClusterArn"]
    before = Worlds.topology_of(blue)
    ask(call, call.region, global_clusters.create, GlobalClusterIdentifier=name, SourceDBClusterIdentifier=arn)
    green = plane.global_clusters[name]
    deployment.worlds = Worlds(blue, green, before)
    until(plane, lambda: green.status == "available")
    for secondary in list(blue.secondaries):
        _secondary(call, deployment, secondary, green)


def _secondary(call: Call, deployment: Deployment, of: GlobalMember, group: GlobalCluster) -> None:
    plane, region, green = call.plane, of.region, deployment.green
    name = new_name(of.cluster.identifier)
    ask(
        call,
        region,
        global_members.create,
        DBClusterIdentifier=name,
        Engine=green.api["Engine"],
        EngineVersion=green.api["EngineVersion"],
        GlobalClusterIdentifier=group.identifier,
        DBClusterParameterGroupName=_group(call, region, green),
        KmsKeyId=of.cluster.api.get("KmsKeyId"),
        Port=of.cluster.api["Port"],
    )
    made = region.clusters[name]
    _paired(deployment, of.cluster, made)
    until(plane, lambda: made.status in ("available", "failed"))
    if made.status == "failed":
        raise EngineError(f"the secondary cluster {name} could not be created")
    with plane.lock:
        there = Call(plane, region, call.operation, call.params)
        for instance in region.members(of.cluster):
            _paired(deployment, instance, green_instance(there, instance, made))
    wait_for_instances(plane, region, made)


def _paired(deployment: Deployment, source: Cluster | Instance, target: Cluster | Instance) -> None:
    for pair in deployment.pairs:
        if pair.source is source:
            pair.target, pair.status = target, PROVISIONING


def _group(call: Call, region: Region, green: Cluster) -> str | None:
    """A secondary has the group of green's name, where its Region has one of that family, else the default one."""
    found = region.groups.get(("cluster", str(green.api["DBClusterParameterGroup"])))
    family = call.plane.version(green.api["Engine"], green.api["EngineVersion"]).family
    return found.name if found is not None and found.family == family else None


def take_apart(call: Call, deployment: Deployment) -> None:
    """Delete green's secondaries, and its global cluster; in the deployment's job."""
    if deployment.worlds is None:
        return
    plane, group = call.plane, deployment.worlds.green
    for member in (*group.secondaries, *([group.primary] if group.primary else [])):
        secondary = not member.writer
        _leave(call, group, member)
        if secondary:
            delete_cluster(call, member.region, member.cluster)
    ask(call, call.region, global_clusters.delete, GlobalClusterIdentifier=group.identifier)
    until(plane, lambda: group.identifier not in plane.global_clusters)


def _leave(call: Call, group: GlobalCluster, member: GlobalMember) -> None:
    name = group.identifier
    ask(call, member.region, global_members.remove, GlobalClusterIdentifier=name, DbClusterIdentifier=member.arn)
    until(call.plane, lambda: member not in group.members and member.cluster.status != "promoting")
