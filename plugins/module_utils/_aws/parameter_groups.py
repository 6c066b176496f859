# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Parameter groups, of clusters and of instances: what a user set in one, carried into another of any family."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.tagging import (
    ansible_dict_to_boto3_tag_list,
    boto3_tag_list_to_ansible_dict,
)

from .._core.errors import BlueGreenError
from .._core.journal import Journal
from .._core.names import Names
from .api import Api
from .mysql_parameters import named_as_in
from .ownership import is_ours, ownership_tags

_BATCH = 20  # parameters in one call (Amazon RDS API, ModifyDBClusterParameterGroup)
_NO_GROUP = ("DBParameterGroupNotFound", "DBParameterGroupNotFoundFault", "DBClusterParameterGroupNotFound")


_GROUP_TAKEN = ("DBParameterGroupAlreadyExists", "DBParameterGroupAlreadyExistsFault")


@dataclass(frozen=True)
class Kind:
    """The two kinds of groups differ in the names of the API only."""

    label: str
    noun: str  # in the operations
    key: str  # in the parameters and answers
    defaults: str

    def name_in(self, names: Names, family: str) -> str:
        """The name of the group that the deployment makes in a family."""
        return names.cluster_parameter_group(family) if self is CLUSTER else names.instance_parameter_group(family)


CLUSTER = Kind(
    "DB cluster parameter group",
    "db_cluster_parameter",
    "DBClusterParameterGroup",
    "describe_engine_default_cluster_parameters",
)
INSTANCE = Kind("DB parameter group", "db_parameter", "DBParameterGroup", "describe_engine_default_parameters")


@dataclass(frozen=True)
class Group:
    """A parameter group as it is."""

    kind: Kind
    name: str
    family: str
    arn: str

    @property
    def is_default(self) -> bool:
        """Whether it is the service's own, which nobody can modify."""
        return self.name.startswith("default.")


@dataclass(frozen=True)
class Carried:
    """What fits into another family, and the names of what does not exist there or cannot be set."""

    values: Mapping[str, str]
    dropped: tuple[str, ...]


@dataclass(frozen=True)
class Wish:
    """A group as it should be: its values by parameter name, and each parameter's apply type (static or dynamic).

    ``named``: the user's own, which is there and only filled.
    """

    kind: Kind
    name: str
    family: str
    values: Mapping[str, str]
    apply_types: Mapping[str, str]
    named: bool = False


Adapt = Callable[[Mapping[str, str], Mapping[str, Mapping[str, Any]]], Mapping[str, str]]
"""What is carried over and the family's parameters in, the values to set out."""


def read_group(api: Api, kind: Kind, name: str) -> Group | None:
    """The group, None when there is none with this name."""
    answer = api.find(f"describe_{kind.noun}_groups", _NO_GROUP, **{f"{kind.key}Name": name})
    found = (answer or {}).get(f"{kind.key}s") or []
    return _group(kind, found[0]) if found else None


def require_group(api: Api, kind: Kind, name: str) -> Group:
    """As :func:`read_group`, but a group that is not there is an error."""
    group = read_group(api, kind, name)
    if group is None:
        raise BlueGreenError(f"The {kind.label} {name} is wanted, but does not exist: create it or name another one.")
    return group


def user_values(api: Api, group: Group) -> dict[str, str]:
    """The parameters that somebody set in the group; a default group has none."""
    if group.is_default:
        return {}
    items = api.pages(
        f"describe_{group.kind.noun}s", "Parameters", Source="user", **{f"{group.kind.key}Name": group.name}
    )
    return {item["ParameterName"]: item["ParameterValue"] for item in items if item.get("ParameterValue") is not None}


def group_values(api: Api, group: Group) -> dict[str, str]:
    """Every parameter that has a value in the group, whoever set it."""
    items = api.pages(f"describe_{group.kind.noun}s", "Parameters", **{f"{group.kind.key}Name": group.name})
    return {item["ParameterName"]: item["ParameterValue"] for item in items if item.get("ParameterValue") is not None}


def family_parameters(api: Api, kind: Kind, family: str) -> dict[str, Mapping[str, Any]]:
    """Every parameter of a family by name, in the shape of the API (``ApplyType``, ``IsModifiable``)."""
    items = api.pages(kind.defaults, "EngineDefaults.Parameters", DBParameterGroupFamily=family)
    return {item["ParameterName"]: item for item in items}


def carry_over(values: Mapping[str, str], family: Mapping[str, Mapping[str, Any]]) -> Carried:
    """What of ``values`` can be set in the family. Pure."""
    fits = {name: value for name, value in values.items() if family.get(name, {}).get("IsModifiable", False)}
    return Carried(values=fits, dropped=tuple(sorted(set(values) - set(fits))))


def wish_for(
    api: Api,
    kind: Kind,
    names: Names,
    family: str,
    origin: Group,
    overrides: Mapping[str, Any] | None = None,
    adapt: Adapt = lambda carried, known: carried,
) -> tuple[Wish, tuple[str, ...]]:
    """The deployment's group in ``family`` with what is set in ``origin``, ``overrides`` winning; and what was dropped.

    ``adapt`` says what becomes of the values that are carried over. Raises :class:`BlueGreenError` when an override cannot be set in the family.
    """
    known = family_parameters(api, kind, family)
    wanted = {name: _text(value) for name, value in (overrides or {}).items()}
    refused = carry_over(wanted, known).dropped
    if refused:
        raise BlueGreenError(
            f"The parameters {', '.join(refused)} should be set for green, but the family {family} has no such parameter "
            "that can be set: correct parameter_overrides."
        )
    carried = carry_over(named_as_in(user_values(api, origin), known), known)
    values = {**adapt(carried.values, known), **wanted}
    apply_types = {name: str(known[name].get("ApplyType", "static")) for name in values}
    return Wish(kind, kind.name_in(names, family), family, values, apply_types), carried.dropped


def unset(wish: Wish, now: Mapping[str, str]) -> dict[str, str]:
    """The values of the wish that the group does not have yet. Pure."""
    return {name: value for name, value in wish.values.items() if now.get(name) != value}


def ensure_group(api: Api, wish: Wish, deployment_id: str, journal: Journal) -> None:
    """Make the group when it is missing and set what is not set in it; a group of somebody else is an error."""
    group = read_group(api, wish.kind, wish.name)
    if group is None:
        journal.act(
            f"create {wish.kind.label} {wish.name} in family {wish.family}", lambda: _create(api, wish, deployment_id)
        )
    elif not wish.named:
        _require_ours(api, group, wish.family, deployment_id)
    missing = unset(wish, user_values(api, group) if group else {})
    every = sorted(missing)
    for batch in (every[start : start + _BATCH] for start in range(0, len(every), _BATCH)):
        journal.act(f"set {', '.join(batch)} in {wish.name}", partial(_set, api, wish, batch))


def groups_of(api: Api, kind: Kind, names: Names) -> list[Group]:
    """The groups that the deployment made, in any family."""
    every = (_group(kind, item) for item in api.pages(f"describe_{kind.noun}_groups", f"{kind.key}s"))
    ours = [group for group in every if group.name == kind.name_in(names, group.family)]
    return [group for group in ours if is_ours(group_tags(api, group), names.deployment_id)]


def delete_group(api: Api, group: Group) -> None:
    """Delete a group; one that is gone already is fine."""
    api.find(f"delete_{group.kind.noun}_group", _NO_GROUP, **{f"{group.kind.key}Name": group.name})


def _create(api: Api, wish: Wish, deployment_id: str) -> None:
    answer = api.find(
        f"create_{wish.kind.noun}_group",
        _GROUP_TAKEN,
        **{f"{wish.kind.key}Name": wish.name},
        DBParameterGroupFamily=wish.family,
        Description=f"Made for the green cluster of the blue/green deployment {deployment_id}",
        Tags=ansible_dict_to_boto3_tag_list(ownership_tags(deployment_id)),
    )
    if answer is None:  # ours when the answer to an earlier try was lost
        _require_ours(api, require_group(api, wish.kind, wish.name), wish.family, deployment_id)


def _set(api: Api, wish: Wish, names: list[str]) -> None:
    api.call(
        f"modify_{wish.kind.noun}_group",
        **{f"{wish.kind.key}Name": wish.name},
        Parameters=[
            {
                "ParameterName": name,
                "ParameterValue": wish.values[name],
                "ApplyMethod": "immediate" if wish.apply_types[name] == "dynamic" else "pending-reboot",
            }
            for name in names
        ],
    )


def _require_ours(api: Api, group: Group, family: str, deployment_id: str) -> None:
    if not is_ours(group_tags(api, group), deployment_id):
        raise BlueGreenError(
            f"The {group.kind.label} {group.name} is needed for green, but the one that exists does not carry the tags of the "
            f"deployment {deployment_id}: delete it or choose another deployment_id."
        )
    if group.family != family:
        raise BlueGreenError(
            f"The {group.kind.label} {group.name} should be of family {family}, but is of {group.family}: delete it."
        )


def _group(kind: Kind, item: Mapping[str, Any]) -> Group:
    return Group(kind, item[f"{kind.key}Name"], item["DBParameterGroupFamily"], item[f"{kind.key}Arn"])


def group_tags(api: Api, group: Group) -> dict[str, str]:
    """The group's tags."""
    tags: dict[str, str] = boto3_tag_list_to_ansible_dict(
        api.call("list_tags_for_resource", ResourceName=group.arn).get("TagList") or []
    )
    return tags


def _text(value: Any) -> str:
    # YAML's booleans are the service's 1 and 0.
    return str(int(value)) if isinstance(value, bool) else str(value)
