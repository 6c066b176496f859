# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What is asked of a deployment that RDS manages: the options in the words of the API, refused before the call. Pure.

Source: Amazon RDS API, CreateBlueGreenDeployment, as the service model of botocore has it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from .._core.errors import BlueGreenError
from .managed import Place

SINCE = {"TargetResourceConfigurations": "1.44.5"}
"""The parameters that an older botocore lacks, and the version that has them."""

_OPTIONS = {
    "target_engine_version": "TargetEngineVersion",
    "target_db_parameter_group_name": "TargetDBParameterGroupName",
    "target_db_cluster_parameter_group_name": "TargetDBClusterParameterGroupName",
    "target_db_instance_class": "TargetDBInstanceClass",
    "upgrade_target_storage_config": "UpgradeTargetStorageConfig",
    "target_iops": "TargetIops",
    "target_storage_type": "TargetStorageType",
    "target_allocated_storage": "TargetAllocatedStorage",
    "target_storage_throughput": "TargetStorageThroughput",
    "target_resource_configurations": "TargetResourceConfigurations",
}
_OF_INSTANCES = (
    "target_db_instance_class",
    "upgrade_target_storage_config",
    "target_iops",
    "target_storage_type",
    "target_allocated_storage",
    "target_storage_throughput",
)
_GROUP = r"[A-Za-z](?!.*--)[0-9A-Za-z-]*(?<!-)|default(?!.*--)(?!.*\.\.)[0-9A-Za-z-.]*(?<!-)"
_FORMS = {
    "target_engine_version": (re.compile(r"[0-9A-Za-z-_.]{1,64}"), "as 8.0.mysql_aurora.3.10.0 or 18.4"),
    "target_db_parameter_group_name": (re.compile(_GROUP), "a name"),
    "target_db_cluster_parameter_group_name": (re.compile(_GROUP), "a name"),
    "target_db_instance_class": (re.compile(r"db\.[0-9a-z]{2,6}\.[0-9a-z]{4,9}"), "as db.r7g.large"),
}
_RESOURCE = re.compile(r"arn:[^:]+:rds:[^:]*:\d*:(cluster|db):\S+")
_MOST_RESOURCES = 20


def parameters(options: Mapping[str, Any], accepted: Collection[str], installed: str) -> dict[str, Any]:
    """The options that were given, as CreateBlueGreenDeployment names them.

    ``accepted`` is what the ``installed`` botocore knows. Raises :class:`BlueGreenError` for a value out of its form or range.
    """
    given = {name: options[name] for name in _OPTIONS if options.get(name) is not None}
    for name, value in given.items():
        _check_form(name, value)
    _check_storage(given)
    called = {_OPTIONS[name]: value for name, value in given.items()}
    if "target_resource_configurations" in given:
        called["TargetResourceConfigurations"] = _resources(given["target_resource_configurations"])
    for name in called:
        if name not in accepted:
            option = next(key for key, value in _OPTIONS.items() if value == name)
            raise BlueGreenError(
                f"{option} is given, but the installed botocore {installed} does not know it: install botocore "
                f"{SINCE.get(name, 'of a newer version')} or newer, or leave it out."
            )
    return called


def check_source(source: Place, options: Mapping[str, Any]) -> None:
    """Raise :class:`BlueGreenError` for options that do not go with the kind of the source."""
    if source.is_cluster:
        wrong = [name for name in _OF_INSTANCES if options.get(name) is not None]
        if wrong:
            raise BlueGreenError(
                f"{', '.join(wrong)} is for RDS DB instances, but the source {source.identifier} is an Aurora DB cluster: leave it "
                "out, and change green's instances by themselves once they are there."
            )
    elif options.get("target_db_cluster_parameter_group_name") is not None:
        raise BlueGreenError(
            f"target_db_cluster_parameter_group_name is for Aurora DB clusters, but the source {source.identifier} is a DB instance: "
            "give target_db_parameter_group_name."
        )


def differs(green: Place, wanted: Mapping[str, Any]) -> list[str]:
    """What was asked for that green does not have, in words; ``wanted`` as :func:`parameters` returns it."""
    found = []
    version = wanted.get("TargetEngineVersion")
    if version and green.version != version:
        found.append(f"engine version {green.version} instead of {version}")
    group = wanted.get("TargetDBClusterParameterGroupName")
    if group and green.parameter_group != group:
        found.append(f"DB cluster parameter group {green.parameter_group} instead of {group}")
    writer = next((one for one in green.members if one.is_writer), None)
    if writer is None:
        return found
    # Its readers and read replicas may be changed by themselves, as blue's are.
    group = wanted.get("TargetDBParameterGroupName")
    if group and writer.parameter_group != group:
        found.append(f"DB parameter group {writer.parameter_group} instead of {group}")
    wide, has = wanted.get("TargetDBInstanceClass"), str(writer.description.get("DBInstanceClass"))
    if wide and has != wide:
        found.append(f"instance class {has} instead of {wide}")
    return found


def shape(place: Place | None) -> dict[str, Any]:
    """Version, classes and groups, as ``--diff`` shows a side."""
    if place is None:
        return {}
    return {
        "engine_version": place.version,
        "db_cluster_parameter_group_name": place.parameter_group,
        "db_parameter_group_names": list(place.parameter_groups),
        "db_instance_classes": sorted({str(one.description.get("DBInstanceClass")) for one in place.members}),
    }


def planned(blue: Place, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """:func:`shape` of the green that would be made."""
    found = shape(blue)
    instance_group, instance_class = wanted.get("TargetDBParameterGroupName"), wanted.get("TargetDBInstanceClass")
    return {
        "engine_version": wanted.get("TargetEngineVersion") or found["engine_version"],
        "db_cluster_parameter_group_name": wanted.get("TargetDBClusterParameterGroupName")
        or found["db_cluster_parameter_group_name"],
        "db_parameter_group_names": [instance_group] if instance_group else found["db_parameter_group_names"],
        "db_instance_classes": [instance_class] if instance_class else found["db_instance_classes"],
    }


def differences(blue: Place | None, green: Place | None) -> list[str]:
    """What green has differently from blue, in words."""
    if blue is None or green is None:
        return []
    one, other = shape(blue), shape(green)
    return [f"{name}: {one[name]} -> {other[name]}" for name in one if one[name] != other[name]]


def _check_form(name: str, value: Any) -> None:
    form, example = _FORMS.get(name, (None, ""))
    if form is not None and (len(str(value)) > 255 or not form.fullmatch(str(value))):
        raise BlueGreenError(f"{name} must be {example}, but is {value!r}: correct it.")
    if name in ("target_iops", "target_allocated_storage", "target_storage_throughput") and value < 1:
        raise BlueGreenError(f"{name} must be a positive number, but is {value}: correct it.")


def _check_storage(given: Mapping[str, Any]) -> None:
    kind = given.get("target_storage_type")
    if given.get("target_storage_throughput") is not None and kind not in (None, "gp3"):
        raise BlueGreenError(
            f"target_storage_throughput is for gp3 storage, but target_storage_type is {kind}: leave it out, or take gp3."
        )
    if given.get("target_iops") is not None and kind == "gp2":
        raise BlueGreenError(
            "target_iops is given, but gp2 storage has none to choose: leave it out, or take gp3, io1 or io2."
        )


def _resources(entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    arns = [str(entry["source_arn"]) for entry in entries]
    if len(entries) > _MOST_RESOURCES:
        raise BlueGreenError(
            f"target_resource_configurations takes {_MOST_RESOURCES} entries at most, but has {len(entries)}: give fewer."
        )
    wrong = [arn for arn in arns if not _RESOURCE.fullmatch(arn) or not 39 <= len(arn) <= 255]
    if wrong:
        raise BlueGreenError(
            f"source_arn in target_resource_configurations must be the ARN of a DB cluster or a DB instance, but is {wrong[0]!r}: "
            "correct it."
        )
    twice = sorted({arn for arn in arns if arns.count(arn) > 1})
    if twice:
        raise BlueGreenError(f"target_resource_configurations names {twice[0]} more than once: give one entry for it.")
    return [
        {
            "SourceArn": entry["source_arn"],
            **({"TargetKmsKeyId": entry["target_kms_key_id"]} if entry.get("target_kms_key_id") else {}),
        }
        for entry in entries
    ]
