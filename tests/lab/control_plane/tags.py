# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tags of every kind of resource, by ARN; and the roles associated with a cluster."""

from __future__ import annotations

from collections.abc import Callable

from tests.lab.control_plane import snapshots
from tests.lab.control_plane.common import check_number_of_tags, find_cluster, find_instance, tag_list, tags_of
from tests.lab.control_plane.errors import ApiError, cluster_state, invalid_value
from tests.lab.control_plane.global_clusters import global_arn
from tests.lab.control_plane.global_rules import find_global
from tests.lab.control_plane.managed_rules import find_deployment
from tests.lab.control_plane.parameter_groups import find_group
from tests.lab.control_plane.plane import Call, Handler
from tests.lab.control_plane.records import ACCOUNT, Shape
from tests.lab.control_plane.subnet_groups import find_subnet_group


def _tags_by_arn(call: Call) -> dict[str, str]:
    """Return the (live) tags of the resource that ResourceName names."""
    arn = call.text("ResourceName")
    if arn.startswith(global_arn("")):
        return find_global(call.plane, arn, call.region).tags
    parts = arn.split(":", 6)
    prefix = ["arn", "aws", "rds", call.region.name, ACCOUNT]
    if len(parts) != 7 or parts[:5] != prefix:
        raise invalid_value(f"Invalid resource name: {arn}")
    kind, name = parts[5], parts[6]
    finders: dict[str, Callable[[], dict[str, str]]] = {
        "cluster": lambda: find_cluster(call.region, name).tags,
        "db": lambda: find_instance(call.region, name).tags,
        "cluster-pg": lambda: find_group(call.plane, call.region, "cluster", name).tags,
        "pg": lambda: find_group(call.plane, call.region, "instance", name).tags,
        "cluster-snapshot": lambda: snapshots.find(snapshots.CLUSTER, call.region, name).tags,
        "deployment": lambda: find_deployment(call, name).tags,
        "subgrp": lambda: find_subnet_group(call.region, name).tags,
    }
    if kind not in finders:
        raise invalid_value(f"Invalid resource name: {arn}")
    return finders[kind]()


def add_tags(call: Call) -> Shape:
    """AddTagsToResource."""
    tags = _tags_by_arn(call)
    new = tags_of(call.params)
    check_number_of_tags({**tags, **new})
    tags |= new
    return {}


def list_tags(call: Call) -> Shape:
    """ListTagsForResource."""
    return {"TagList": tag_list(_tags_by_arn(call))}


def remove_tags(call: Call) -> Shape:
    """RemoveTagsFromResource."""
    tags = _tags_by_arn(call)
    for key in call.params.get("TagKeys") or ():
        tags.pop(str(key), None)
    return {}


def add_role(call: Call) -> Shape:
    """AddRoleToDBCluster."""
    cluster = find_cluster(call.region, call.text("DBClusterIdentifier"))
    if cluster.status != "available":
        raise cluster_state(f"Cluster {cluster.identifier} is not in available state.")
    role: Shape = {"RoleArn": call.text("RoleArn"), "Status": "ACTIVE"}
    if call.params.get("FeatureName"):
        role["FeatureName"] = call.params["FeatureName"]
    if role in cluster.api["AssociatedRoles"]:
        raise ApiError("DBClusterRoleAlreadyExists", f"Role {role['RoleArn']} is associated already.")
    cluster.api["AssociatedRoles"] = [*cluster.api["AssociatedRoles"], role]
    return {}


def remove_role(call: Call) -> Shape:
    """RemoveRoleFromDBCluster."""
    cluster = find_cluster(call.region, call.text("DBClusterIdentifier"))
    arn, feature = call.text("RoleArn"), call.params.get("FeatureName")
    kept = [
        role for role in cluster.api["AssociatedRoles"] if (role["RoleArn"], role.get("FeatureName")) != (arn, feature)
    ]
    if len(kept) == len(cluster.api["AssociatedRoles"]):
        raise ApiError("DBClusterRoleNotFound", f"Role {arn} is not associated with {cluster.identifier}.")
    cluster.api["AssociatedRoles"] = kept
    return {}


OPERATIONS: dict[str, Handler] = {
    "AddTagsToResource": add_tags,
    "ListTagsForResource": list_tags,
    "RemoveTagsFromResource": remove_tags,
    "AddRoleToDBCluster": add_role,
    "RemoveRoleFromDBCluster": remove_role,
}
