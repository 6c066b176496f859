# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DB cluster parameter groups and DB parameter groups, and which one a cluster or an instance may use."""

from __future__ import annotations

import re

from tests.lab.control_plane.common import filters, page, tags_of
from tests.lab.control_plane.errors import ApiError, invalid_combination, invalid_value
from tests.lab.control_plane.plane import Call, ControlPlane, Handler
from tests.lab.control_plane.records import ParameterGroup, Region, Shape

NAME = re.compile(r"[A-Za-z](?!.*--)[A-Za-z0-9-]{0,254}(?<!-)\Z")
ARN_KIND = {"cluster": "cluster-pg", "instance": "pg"}
TITLE = {"cluster": "DBClusterParameterGroup", "instance": "DBParameterGroup"}


def default_group(region: Region, kind: str, family: str) -> ParameterGroup:
    """Return the default group of a family."""
    name = f"default.{family}"
    return ParameterGroup(
        kind=kind,
        name=name,
        family=family,
        description=f"Default {'cluster ' if kind == 'cluster' else ''}parameter group for {family}",
        arn=region.arn(ARN_KIND[kind], name),
    )


def all_groups(plane: ControlPlane, region: Region, kind: str) -> list[ParameterGroup]:
    """Return the custom groups and the default group of every family."""
    custom = [group for group in region.groups.values() if group.kind == kind]
    defaults = [default_group(region, kind, family) for family in plane.families()]
    return sorted(custom + defaults, key=lambda group: group.name)


def find_group(plane: ControlPlane, region: Region, kind: str, name: str) -> ParameterGroup:
    """Return a group by name; raises the typed fault."""
    for group in all_groups(plane, region, kind):
        if group.name == name.lower():
            return group
    raise ApiError("DBParameterGroupNotFound", f"{TITLE[kind]} not found: {name}")


def group_for(plane: ControlPlane, region: Region, kind: str, name: str | None, family: str) -> ParameterGroup:
    """Return the group that a cluster or an instance of a family is to use: the named one or the family's default.

    Raises the typed faults of a missing group and of a group of another family.
    """
    if name is None:
        return default_group(region, kind, family)
    try:
        group = find_group(plane, region, kind, name)
    except ApiError as exc:
        if kind == "cluster":
            raise ApiError("DBClusterParameterGroupNotFound", exc.message) from None
        raise
    if group.family != family:
        raise invalid_combination(
            f"The Parameter Group {group.name} with DBParameterGroupFamily {group.family} cannot be used for this "
            f"instance. Please use a Parameter Group with DBParameterGroupFamily {family}"
        )
    return group


def _create(call: Call, kind: str) -> Shape:
    name = call.text(f"{TITLE[kind]}Name").lower()
    family = call.text("DBParameterGroupFamily")
    call.plane.engine_name(family)
    return _add(call, kind, name, family, call.text("Description"))


def _add(call: Call, kind: str, name: str, family: str, description: str) -> Shape:
    if not NAME.match(name):
        raise invalid_value(f"The parameter {TITLE[kind]}Name is not a valid identifier.")
    if (kind, name) in call.region.groups:
        raise ApiError("DBParameterGroupAlreadyExists", f"Parameter group {name} already exists")
    group = ParameterGroup(
        kind, name, family, description, call.region.arn(ARN_KIND[kind], name), tags=tags_of(call.params)
    )
    call.region.groups[kind, name] = group
    return {TITLE[kind]: shape(group)}


def shape(group: ParameterGroup) -> Shape:
    """Return a group in the shape of the API."""
    title = TITLE[group.kind]
    return {
        f"{title}Name": group.name,
        "DBParameterGroupFamily": group.family,
        "Description": group.description,
        f"{title}Arn": group.arn,
    }


def _copy(call: Call, kind: str) -> Shape:
    source_name = call.text(f"Source{TITLE[kind]}Identifier").rsplit(":", 1)[-1]
    source = find_group(call.plane, call.region, kind, source_name)
    name = call.text(f"Target{TITLE[kind]}Identifier").lower()
    answer = _add(call, kind, name, source.family, call.text(f"Target{TITLE[kind]}Description"))
    call.region.groups[kind, name].values.update(source.values)
    return answer


def _describe(call: Call, kind: str) -> Shape:
    filters(call, ())
    name = call.params.get(f"{TITLE[kind]}Name")
    if name:
        groups = [find_group(call.plane, call.region, kind, str(name))]
    else:
        groups = all_groups(call.plane, call.region, kind)
    return page(call, f"{TITLE[kind]}s", [shape(group) for group in groups])


def _delete(call: Call, kind: str) -> Shape:
    group = find_group(call.plane, call.region, kind, call.text(f"{TITLE[kind]}Name"))
    if group.is_default:
        raise invalid_value(f"Default {TITLE[kind]} cannot be deleted: {group.name}")
    clusters = [c for c in call.region.clusters.values() if c.api["DBClusterParameterGroup"] == group.name]
    if any(call.region.using(group)) or (kind == "cluster" and clusters):
        raise ApiError(
            "InvalidDBParameterGroupState",
            f"One or more database instances are still members of this parameter group {group.name}, "
            "so the group cannot be deleted",
        )
    del call.region.groups[kind, group.name]
    return {}


OPERATIONS: dict[str, Handler] = {
    "CreateDBClusterParameterGroup": lambda call: _create(call, "cluster"),
    "CreateDBParameterGroup": lambda call: _create(call, "instance"),
    "CopyDBClusterParameterGroup": lambda call: _copy(call, "cluster"),
    "CopyDBParameterGroup": lambda call: _copy(call, "instance"),
    "DescribeDBClusterParameterGroups": lambda call: _describe(call, "cluster"),
    "DescribeDBParameterGroups": lambda call: _describe(call, "instance"),
    "DeleteDBClusterParameterGroup": lambda call: _delete(call, "cluster"),
    "DeleteDBParameterGroup": lambda call: _delete(call, "instance"),
}
