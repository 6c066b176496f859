# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Which parameter groups green has: blue's, the user's, or one of its own. A green Aurora MySQL cluster never shares blue's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .._core.errors import BlueGreenError
from .._core.names import Names
from . import mysql_parameters
from .api import Api
from .clone import CloneOptions
from .clusters import Cluster
from .green_parameters import users
from .ownership import is_ours
from .parameter_groups import (
    CLUSTER,
    INSTANCE,
    Group,
    Kind,
    Wish,
    family_parameters,
    group_values,
    require_group,
    wish_for,
)


@dataclass(frozen=True)
class Clusters:
    """Blue, and green as it is, None when it does not exist."""

    blue: Cluster
    green: Cluster | None

    @property
    def is_mysql(self) -> bool:
        """Whether green is to be closed by its parameter group."""
        return self.blue.engine == mysql_parameters.ENGINE


@dataclass(frozen=True)
class Groups:
    """Green's cluster parameter group: ``name`` None leaves it, ``wish`` is there when values are to be set in it."""

    name: str | None
    wish: Wish | None
    dropped: tuple[str, ...]
    blue_family: str
    green_family: str


def green_groups(
    api: Api, names: Names, options: CloneOptions, overrides: Mapping[str, Any] | None, clusters: Clusters
) -> Groups:
    """What green's cluster parameter group is to be; raises :class:`BlueGreenError` for a group that cannot be it."""
    green = clusters.green
    blue_group = require_group(api, CLUSTER, clusters.blue.parameter_group)
    green_group = require_group(api, CLUSTER, green.parameter_group) if green else blue_group
    families = (blue_group.family, green_group.family)
    if options.instance_parameter_group:
        group = _named(api, INSTANCE, options.instance_parameter_group, families)
        if clusters.is_mysql:
            require_unshared(api, group, names.deployment_id)
    if options.cluster_parameter_group:
        group = _named(api, CLUSTER, options.cluster_parameter_group, families)
        # One of blue's family is no longer for a green that was upgraded out of it.
        fits = group.family == families[1]
        wish = None
        if clusters.is_mysql and fits:
            wish = closed_wish(api, group, green_group if green else None, names.deployment_id)
        return Groups(group.name if fits else None, wish, (), *families)
    own = names.cluster_parameter_group(green_group.family)
    if (overrides or clusters.is_mysql) and (families[0] == families[1] or green_group.name == own):
        if clusters.is_mysql:
            wish, dropped = _mysql_wish(api, names, green_group.family, blue_group, overrides, newborn=green is None)
        else:
            wish, dropped = wish_for(api, CLUSTER, names, green_group.family, blue_group, overrides)
        return Groups(wish.name, wish, dropped, *families)
    return Groups(None, None, (), *families)


def closed_wish(api: Api, group: Group, now: Group | None, deployment_id: str) -> Wish:
    """A group that the user named, closed as ``now`` is, green's present one; as at green's birth without one.

    What is closed or open in green's present group itself stays as it is. Raises :class:`BlueGreenError` when a cluster that is
    not the deployment's has the group, such as blue.
    """
    require_unshared(api, group, deployment_id)
    family = family_parameters(api, CLUSTER, group.family)
    values = mysql_parameters.applier_values(group_values(api, group), family)
    if now is None:
        values |= mysql_parameters.closed_values(family)
    elif now.name != group.name:
        present = group_values(api, now)
        values |= {name: present.get(name, value) for name, value in mysql_parameters.closed_values(family).items()}
    apply_types = {name: str(family[name].get("ApplyType", "static")) for name in values}
    return Wish(group.kind, group.name, group.family, values, apply_types, named=True)


def require_unshared(api: Api, group: Group, deployment_id: str) -> None:
    """Raise :class:`BlueGreenError` when the group is the service's own or anything but the deployment's green has it."""
    if group.kind is CLUSTER:
        others = users(api, group, deployment_id)[1]
    else:
        others = _instances_with(api, group, deployment_id)
    if group.is_default or others:
        found = "is the service's default one" if group.is_default else f"{', '.join(others)} has it"
        raise BlueGreenError(
            f"The {group.kind.label} {group.name} is named for green, which needs one of its own to be kept read-only, but {found}: "
            "name another one, or leave it out to have one made."
        )


def _instances_with(api: Api, group: Group, deployment_id: str) -> list[str]:
    return sorted(
        instance["DBInstanceIdentifier"]
        for instance in api.pages("describe_db_instances", "DBInstances")
        if group.name in [one["DBParameterGroupName"] for one in instance.get("DBParameterGroups") or []]
        and not is_ours({tag["Key"]: tag["Value"] for tag in instance.get("TagList") or []}, deployment_id)
    )


def _named(api: Api, kind: Kind, name: str, families: tuple[str, str]) -> Group:
    group = require_group(api, kind, name)
    if group.family not in families:
        raise BlueGreenError(
            f"The {kind.label} {name} should be of the family {families[1]}, which green has, but is of {group.family}: "
            "name another one."
        )
    return group


def _mysql_wish(
    api: Api, names: Names, family: str, blue: Group, overrides: Mapping[str, Any] | None, *, newborn: bool
) -> tuple[Wish, tuple[str, ...]]:
    reserved = sorted(set(overrides or {}) & set(mysql_parameters.CLOSED))
    if reserved:
        raise BlueGreenError(
            f"The parameters {', '.join(reserved)} of green are the deployment's own, which closes green and opens it at the "
            "switchover, but parameter_overrides sets them: leave them out."
        )
    return wish_for(
        api,
        CLUSTER,
        names,
        family,
        blue,
        overrides,
        lambda carried, known: mysql_parameters.green_values(carried, known, newborn=newborn),
    )
