# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parameters in a group: described with the family's defaults, modified, reset, applied to running servers."""

from __future__ import annotations

import re
from collections.abc import Mapping

from tests.lab.control_plane import events, servers
from tests.lab.control_plane.common import page
from tests.lab.control_plane.errors import invalid_combination, invalid_value
from tests.lab.control_plane.kinds import kind_of
from tests.lab.control_plane.parameter_groups import TITLE, find_group
from tests.lab.control_plane.plane import Call, ControlPlane, Handler
from tests.lab.control_plane.records import ParameterGroup, Shape
from tests.lab.engine import Parameter

MAX_AT_ONCE = 20
NUMBER = re.compile(r"-?\d+(\.\d+)?\Z")
RANGE = re.compile(r"(-?\d+(?:\.\d+)?)-(-?\d+(?:\.\d+)?)\Z")


def known(plane: ControlPlane, kind: str, family: str) -> Mapping[str, Parameter]:
    """Return the parameters that a group of a kind and family has."""
    engine = plane.engine_name(family)
    defaults = plane.engines[engine].default_parameters(family)
    facts = kind_of(engine)
    elsewhere = facts.instance_only if kind == "cluster" else facts.cluster_only
    return {name: parameter for name, parameter in defaults.items() if name not in elsewhere}


def _describe(call: Call, kind: str) -> Shape:
    group = find_group(call.plane, call.region, kind, call.text(f"{TITLE[kind]}Name"))
    wanted = call.params.get("Source")
    shapes = _shapes(call.plane, kind, group.family, group.values)
    return page(call, "Parameters", [entry for entry in shapes if wanted in (None, entry["Source"])])


def _describe_defaults(call: Call, kind: str) -> Shape:
    family = call.text("DBParameterGroupFamily")
    answer = page(call, "Parameters", _shapes(call.plane, kind, family, {}))
    return {"EngineDefaults": {"DBParameterGroupFamily": family, **answer}}


def _shapes(plane: ControlPlane, kind: str, family: str, values: Mapping[str, tuple[str, str]]) -> list[Shape]:
    return [_shape(parameter, values.get(name)) for name, parameter in sorted(known(plane, kind, family).items())]


def _shape(parameter: Parameter, user: tuple[str, str] | None) -> Shape:
    source = "engine-default" if parameter.modifiable else "system"
    entry: Shape = {
        "ParameterName": parameter.name,
        "Description": parameter.description,
        "Source": "user" if user else source,
        "ApplyType": parameter.apply_type,
        "DataType": parameter.data_type,
        "IsModifiable": parameter.modifiable,
        "ApplyMethod": user[1] if user else "pending-reboot",
        "SupportedEngineModes": ["provisioned"],
    }
    value = user[0] if user else parameter.value
    if value is not None:
        entry["ParameterValue"] = value
    if parameter.allowed is not None:
        entry["AllowedValues"] = parameter.allowed
    return entry


def allows(allowed: str | None, value: str) -> bool:
    """Whether a value is in AllowedValues: words and numbers and ranges, separated by commas; nothing allows all."""
    if not allowed:
        return True
    for choice in (part.strip() for part in allowed.split(",")):
        span = RANGE.match(choice)
        if span and NUMBER.match(value) and float(span.group(1)) <= float(value) <= float(span.group(2)):
            return True
        if choice == value:
            return True
    return False


def _modify(call: Call, kind: str) -> Shape:
    group = _modifiable(call, kind)
    requested = call.params.get("Parameters") or []
    if not 1 <= len(requested) <= MAX_AT_ONCE:
        raise invalid_value(f"Between 1 and {MAX_AT_ONCE} parameters can be modified in one request.")
    changes: dict[str, tuple[str, str]] = {}
    for entry in requested:
        name, value = str(entry.get("ParameterName", "")), str(entry.get("ParameterValue", ""))
        method = str(entry.get("ApplyMethod", ""))
        parameter = _checked(call.plane, group, name, method)
        if not allows(parameter.allowed, value):
            raise invalid_value(f"Invalid parameter value: {value} for: {name} allowed values are: {parameter.allowed}")
        changes[name] = (value, method)
    group.values.update(changes)
    _apply(call, group, {name: method for name, (_value, method) in changes.items()})
    return {f"{TITLE[kind]}Name": group.name}


def _reset(call: Call, kind: str) -> Shape:
    group = _modifiable(call, kind)
    requested = call.params.get("Parameters") or []
    if bool(requested) == bool(call.params.get("ResetAllParameters")):
        raise invalid_combination("Either ResetAllParameters or Parameters must be given.")
    methods = {str(entry.get("ParameterName", "")): str(entry.get("ApplyMethod", "")) for entry in requested}
    for name, method in methods.items():
        _checked(call.plane, group, name, method)
    if not requested:
        parameters = known(call.plane, kind, group.family)
        methods = {
            name: "immediate" if parameters[name].apply_type == "dynamic" else "pending-reboot" for name in group.values
        }
    for name in methods:
        group.values.pop(name, None)
    _apply(call, group, methods)
    return {f"{TITLE[kind]}Name": group.name}


def _modifiable(call: Call, kind: str) -> ParameterGroup:
    group = find_group(call.plane, call.region, kind, call.text(f"{TITLE[kind]}Name"))
    if group.is_default:
        raise invalid_value(f"Default {TITLE[kind]} can not be modified: {group.name}")
    return group


def _checked(plane: ControlPlane, group: ParameterGroup, name: str, method: str) -> Parameter:
    parameter = known(plane, group.kind, group.family).get(name)
    if parameter is None:
        raise invalid_value(f"Could not find parameter with name: {name}")
    if not parameter.modifiable:
        raise invalid_value(f"The parameter {name} cannot be modified.")
    if method not in ("immediate", "pending-reboot"):
        raise invalid_value(f"Invalid value {method!r} for ApplyMethod. Valid values are immediate and pending-reboot")
    if method == "immediate" and parameter.apply_type == "static":
        raise invalid_combination(f"cannot use immediate apply method for static parameter {name}")
    return parameter


def _apply(call: Call, group: ParameterGroup, methods: Mapping[str, str]) -> None:
    """Give running servers what applies at once and mark what waits for a reboot."""
    for name, method in methods.items():
        message = f"Updated parameter {name} to {group.values.get(name, ('default',))[0]} with apply method {method}"
        events.add(call.region, "db-parameter-group", group.name, group.arn, message, "configuration change")
    names = [name for name, method in methods.items() if method == "immediate"]
    for instance in list(call.region.using(group)):
        if len(names) < len(methods):
            servers.mark(instance, group.kind, "pending-reboot")
        if names:
            servers.apply_dynamic(call.plane, call.region, instance, group.kind, names)


OPERATIONS: dict[str, Handler] = {
    "DescribeDBClusterParameters": lambda call: _describe(call, "cluster"),
    "DescribeDBParameters": lambda call: _describe(call, "instance"),
    "DescribeEngineDefaultClusterParameters": lambda call: _describe_defaults(call, "cluster"),
    "DescribeEngineDefaultParameters": lambda call: _describe_defaults(call, "instance"),
    "ModifyDBClusterParameterGroup": lambda call: _modify(call, "cluster"),
    "ModifyDBParameterGroup": lambda call: _modify(call, "instance"),
    "ResetDBClusterParameterGroup": lambda call: _reset(call, "cluster"),
    "ResetDBParameterGroup": lambda call: _reset(call, "instance"),
}
