# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Green as a copy of blue: its records with blue's settings, its volume with blue's data."""

from __future__ import annotations

from tests.lab.control_plane import clusters, instances, servers, standalone
from tests.lab.control_plane.common import tag_list
from tests.lab.control_plane.managed_records import arn_of, new_name
from tests.lab.control_plane.managed_rules import Request
from tests.lab.control_plane.parameter_groups import find_group
from tests.lab.control_plane.plane import Call, ControlPlane
from tests.lab.control_plane.records import Cluster, Instance, Region, Shape
from tests.lab.managed.link import Link

KEY = "TargetKmsKeyId"
STORAGE = (
    "TargetAllocatedStorage",
    "TargetDBInstanceClass",
    "TargetIops",
    "TargetStorageThroughput",
    "TargetStorageType",
)


def green_cluster(call: Call, request: Request) -> Cluster:
    """Make the record of green, hidden for a DB instance that stands alone; its volume comes later."""
    blue, name = request.blue, new_name(request.blue.identifier)
    params: Shape = {
        **{name: blue.api[name] for name in clusters.KEPT if blue.api.get(name) is not None},
        "DBClusterIdentifier": name,
        "DBSubnetGroupName": blue.api["DBSubnetGroup"],
        "Port": blue.api["Port"],
        "VpcSecurityGroupIds": [group["VpcSecurityGroupId"] for group in blue.api["VpcSecurityGroups"]],
        "EnableCloudwatchLogsExports": blue.api["EnabledCloudwatchLogsExports"],
        "EnableIAMDatabaseAuthentication": blue.api["IAMDatabaseAuthenticationEnabled"],
        "EnablePerformanceInsights": blue.api["PerformanceInsightsEnabled"],
        "Tags": tag_list(blue.tags),
    }
    asked = Call(call.plane, call.region, call.operation, params)
    api = clusters.inherited_from(blue.api)
    engine, version = str(blue.api["Engine"]), str(blue.api["EngineVersion"])
    if blue.standalone:
        green = standalone.hidden_cluster(asked, name, engine, version, api)
    else:
        params["DBClusterParameterGroupName"] = blue.api["DBClusterParameterGroup"]
        green = clusters.new_cluster(asked, engine, version, api)
    key = _key(call, request.source)
    if key:
        green.api |= {"StorageEncrypted": True, "KmsKeyId": key}
    return green


def _key(call: Call, source: Cluster | Instance) -> str | None:
    """Return the key that the counterpart of a member is to be encrypted with, None when none is asked for."""
    found = [
        one.get(KEY)
        for one in call.params.get("TargetResourceConfigurations") or ()
        if one.get("SourceArn") == arn_of(source)
    ]
    return found[0] if found else None


def copy_volume(plane: ControlPlane, link: Link, blue: Cluster, green: Cluster) -> None:
    """Prepare blue and copy its volume; nobody stops or upgrades blue's servers meanwhile."""
    engine = servers.engine_of(plane, green)
    make = engine.follow_volume if getattr(link, "physical", False) else engine.clone_volume
    link.prepare()
    plane.jobs.submit(blue.volume_id, lambda: make(blue.volume_id, green.volume_id)).result()
    with plane.lock:
        green.status = "available"


def green_instance(call: Call, source: Instance, green: Cluster) -> Instance:
    """Make an instance of green as one of blue is, and queue its start; its class is blue's."""
    params: Shape = {
        **{name: source.api[name] for name in instances.KEPT if source.api.get(name) is not None},
        "DBInstanceIdentifier": new_name(source.identifier),
        "DBClusterIdentifier": green.identifier,
        "Engine": green.api["Engine"],
        "DBInstanceClass": source.api["DBInstanceClass"],
        "EnablePerformanceInsights": source.api["PerformanceInsightsEnabled"],
        "Tags": tag_list(source.tags),
    }
    family = call.plane.version(green.api["Engine"], green.api["EngineVersion"]).family
    group = find_group(call.plane, call.region, "instance", str(source.api["DBParameterGroupName"]))
    if group.family == family:
        params["DBParameterGroupName"] = group.name
    if green.standalone:
        return _alone(call, source, green, params)
    instances.create(Call(call.plane, call.region, call.operation, params))
    return call.region.instances[str(params["DBInstanceIdentifier"])]


def replica_options(call: Call, source: Instance, green: Instance) -> Shape:
    """Return the request for green's counterpart of a read replica of blue.

    It has the class that is asked for, as much storage as green, and the rest of its storage as blue's replica has it (user
    guide, "Creating a blue/green deployment").
    """
    kept = (*standalone.KEPT, "StorageType")
    options: Shape = {
        **{name: source.api[name] for name in kept if source.api.get(name) is not None},
        "DBInstanceIdentifier": new_name(source.identifier),
        "SourceDBInstanceIdentifier": green.identifier,
        "DBInstanceClass": call.params.get("TargetDBInstanceClass") or source.api["DBInstanceClass"],
        "KmsKeyId": _key(call, source),
        "EnablePerformanceInsights": source.api["PerformanceInsightsEnabled"],
        "VpcSecurityGroupIds": [one["VpcSecurityGroupId"] for one in source.cluster.api["VpcSecurityGroups"]],
        "Tags": tag_list(source.tags),
    }
    family = call.plane.version(green.cluster.api["Engine"], green.cluster.api["EngineVersion"]).family
    group = find_group(call.plane, call.region, "instance", str(source.api["DBParameterGroupName"]))
    if group.family == family:
        options["DBParameterGroupName"] = group.name
    return options


def _alone(call: Call, source: Instance, green: Cluster, params: Shape) -> Instance:
    """Make an instance that stands alone on the volume that is there, with the class and the storage that are asked for."""
    kept = {name: source.api[name] for name in standalone.KEPT if source.api.get(name) is not None}
    asked = {name.removeprefix("Target"): call.params[name] for name in STORAGE if call.params.get(name) is not None}
    storage = {"AllocatedStorage": source.api["AllocatedStorage"], "StorageType": source.api["StorageType"]}
    there = Call(call.plane, call.region, call.operation, {**params, **kept, **storage, **asked})
    made = standalone.new_instance(there, green)
    standalone.bring_up(there, made, lambda: None)
    return made


def why_not_upgraded(region: Region, green: Cluster) -> str:
    """Return what the events say of an upgrade that was refused."""
    messages = [
        str(event["Message"])
        for event in region.events
        if event["SourceIdentifier"] == green.identifier and "failure" in event["EventCategories"]
    ]
    return messages[-1] if messages else f"{green.identifier} could not be upgraded"
