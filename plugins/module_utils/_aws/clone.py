# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The plan of a clone: blue's description and the options in, the parameters of the API calls out. Pure.

The parameters are those of the Amazon RDS API: RestoreDBClusterToPointInTime, ModifyDBCluster, CreateDBInstance.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.tagging import ansible_dict_to_boto3_tag_list

from .._core.errors import BlueGreenError
from .._core.names import Names
from . import neptune
from .clusters import Cluster, Instance
from .ownership import mirrored_tags, ownership_tags

MIRROR = "mirror"

_IDENTIFIER = re.compile(r"[A-Za-z](?:-?[A-Za-z0-9])*")

Parameters = dict[str, Any]
Description = Mapping[str, Any]

_INSTANCE_OPTIONS = {
    "db_instance_identifier": "DBInstanceIdentifier",
    "db_instance_class": "DBInstanceClass",
    "availability_zone": "AvailabilityZone",
    "promotion_tier": "PromotionTier",
    "db_parameter_group_name": "DBParameterGroupName",
}


@dataclass(frozen=True)
class CloneOptions:
    """What the user wants of green; None leaves a thing as it is on blue."""

    identifier: str
    instances: Any = MIRROR
    cluster_parameter_group: str | None = None
    instance_parameter_group: str | None = None
    deletion_protection: bool | None = None
    tags: Mapping[str, str] | None = None
    writer_identifier: str | None = None
    security_groups: Collection[str] | None = None
    subnet_group: str | None = None


@dataclass(frozen=True)
class ClonePlan:
    """What has to be called to make green.

    ``restore`` makes the cluster, ``settings`` is everything about it by parameter name (what restoring cannot set is
    modified afterwards), ``roles`` are (role ARN, feature) pairs, ``instances`` are created in this order, the writer
    first. ``differences`` are sentences about what green will not have as blue does.
    """

    restore: Parameters
    settings: Parameters
    roles: tuple[tuple[str, str], ...]
    instances: tuple[Parameters, ...]
    differences: tuple[str, ...]


def plan_clone(blue: Cluster, names: Names, options: CloneOptions, accepted: Collection[str]) -> ClonePlan:
    """The plan for a green like blue; ``accepted`` are the parameters that this botocore knows for the restore.

    Raises :class:`BlueGreenError` when blue cannot be cloned, or the option ``instances`` is not of its form.
    """
    _require_cloneable(blue, options.identifier)
    settings = settings_of(blue.description)
    if options.deletion_protection is not None:
        settings["DeletionProtection"] = options.deletion_protection
    if options.security_groups is not None:
        settings["VpcSecurityGroupIds"] = sorted(options.security_groups)
    if options.subnet_group is not None:
        settings["DBSubnetGroupName"] = options.subnet_group
    tags = {**mirrored_tags(blue.tags), **(options.tags or {}), **ownership_tags(names.deployment_id)}
    known = neptune.supported(blue.engine, "restore_db_cluster_to_point_in_time", accepted)
    restore = {
        "DBClusterIdentifier": options.identifier,
        "SourceDBClusterIdentifier": blue.identifier,
        "RestoreType": "copy-on-write",
        "UseLatestRestorableTime": True,
        "DBClusterParameterGroupName": options.cluster_parameter_group or blue.parameter_group,
        "Tags": ansible_dict_to_boto3_tag_list(tags),
        **settings,
    }
    return ClonePlan(
        restore={name: value for name, value in restore.items() if name in known},
        settings=settings,
        roles=roles_of(blue.description),
        instances=_instances(blue, names, options),
        differences=tuple(_differences(blue.description)),
    )


def settings_of(description: Description) -> Parameters:
    """What a cluster is set to, by parameter name; what is not set at all is left out."""
    values = {name: read(description) for name, read in _SETTINGS.items()}
    return {name: value for name, value in values.items() if value is not None}


def unmet_settings(plan: ClonePlan, green: Description) -> Parameters:
    """The parameters of ModifyDBCluster for what green is not set to yet, empty when there is nothing to do."""
    now = settings_of(green)
    unmet = {
        name: value for name, value in plan.settings.items() if name not in _RESTORE_ONLY and now.get(name) != value
    }
    logs = unmet.pop("EnableCloudwatchLogsExports", None)
    if logs:
        unmet["CloudwatchLogsExportConfiguration"] = {"EnableLogTypes": logs}
    if unmet.get("DatabaseInsightsMode"):  # the API takes the mode only together with what it needs
        unmet |= {name: plan.settings[name] for name in _INSIGHTS if name in plan.settings}
    return unmet


def predicted_settings(plan: ClonePlan, accepted: Collection[str]) -> Parameters:
    """As :func:`unmet_settings`, for a green that does not exist yet: what restoring cannot set."""
    kept = {name: value for name, value in plan.settings.items() if name not in accepted}
    return unmet_settings(replace(plan, settings=kept), {})


def missing_roles(plan: ClonePlan, green: Description) -> list[tuple[str, str]]:
    """The roles that green does not have yet, whatever state they are in."""
    return [role for role in plan.roles if role not in roles_of(green)]


def missing_instances(plan: ClonePlan, green: Cluster | None, blue_family: str, green_family: str) -> list[Parameters]:
    """The instances of the plan that green does not have, as parameters of CreateDBInstance.

    On a green that was upgraded to another family, blue's DB parameter groups do not fit: the writer's is taken.
    """
    if green is None:
        return [dict(instance) for instance in plan.instances]
    there = {instance.identifier for instance in green.instances}
    missing = [dict(instance) for instance in plan.instances if instance["DBInstanceIdentifier"] not in there]
    if blue_family != green_family:
        group = green.instances[0].parameter_group if green.instances else None
        for instance in missing:
            instance.pop("DBParameterGroupName", None)
            instance.update({"DBParameterGroupName": group} if group else {})
    return missing


def _require_cloneable(blue: Cluster, identifier: str) -> None:
    mode = blue.description.get("EngineMode") or "provisioned"
    if not blue.engine.startswith("aurora") and blue.engine != neptune.ENGINE:
        raise BlueGreenError(
            f"The DB cluster {blue.identifier} should be an Aurora or Neptune cluster, but its engine is {blue.engine}, which "
            "cannot be cloned copy-on-write: choose an Aurora or Neptune cluster."
        )
    if mode != "provisioned":
        raise BlueGreenError(
            f"The DB cluster {blue.identifier} should have the engine mode provisioned, but has {mode}: convert it first."
        )
    if identifier == blue.identifier:
        raise BlueGreenError(
            f"Green needs an identifier of its own, but {identifier} is blue: choose another deployment_id or "
            "db_cluster_identifier."
        )


def _instances(blue: Cluster, names: Names, options: CloneOptions) -> tuple[Parameters, ...]:
    wanted: list[tuple[Instance, Mapping[str, Any] | None]]
    if options.instances == MIRROR:
        wanted = [(instance, None) for instance in blue.instances]
    else:
        require_instance_options(options.instances)
        wanted = [(blue.instances[0], item) for item in options.instances] if blue.instances else []
    if not wanted:
        raise BlueGreenError(
            f"Green needs at least one instance, but blue {blue.identifier} has none to mirror or the option instances is an "
            "empty list: give blue an instance, or name at least one in instances."
        )
    if options.writer_identifier is not None:
        require_identifier(options.writer_identifier, "writer_db_instance_identifier")
    made = tuple(_instance(names, number, like, item, options) for number, (like, item) in enumerate(wanted, start=1))
    identifiers = [instance["DBInstanceIdentifier"] for instance in made]
    if len(set(identifiers)) < len(identifiers):
        raise BlueGreenError(
            f"Every instance needs an identifier of its own, but instances leads to {', '.join(identifiers)}: correct "
            "db_instance_identifier."
        )
    return made


def _instance(
    names: Names, number: int, like: Instance, item: Mapping[str, Any] | None, options: CloneOptions
) -> Parameters:
    group = options.instance_parameter_group or like.parameter_group
    tags = {**mirrored_tags(like.tags), **(options.tags or {}), **ownership_tags(names.deployment_id)}
    identifier = names.instance(number)
    if number == 1 and options.writer_identifier is not None:
        identifier = options.writer_identifier.lower()  # which the service makes of it
    return instance_parameters(identifier, options.identifier, like, item, group, tags)


def instance_parameters(
    identifier: str,
    cluster: str,
    like: Instance,
    item: Mapping[str, Any] | None,
    group: str | None,
    tags: Mapping[str, str],
) -> Parameters:
    """The parameters of CreateDBInstance for an instance like another one; ``item``, if given, says what differs."""
    from_blue = {name: read(like.description) for name, read in _INSTANCE_SETTINGS.items()}
    if item is not None:  # made to measure: where and how soon it fails over is not blue's to say
        from_blue.update(AvailabilityZone=None, PromotionTier=None)
    parameters = {
        "DBInstanceIdentifier": identifier,
        "DBClusterIdentifier": cluster,
        "Engine": like.description["Engine"],
        **from_blue,
        "DBParameterGroupName": group,
        **{_INSTANCE_OPTIONS[key]: value for key, value in (item or {}).items() if value is not None},
        "Tags": ansible_dict_to_boto3_tag_list(tags),
    }
    known = neptune.supported(str(like.description["Engine"]), "create_db_instance", parameters)
    return {name: value for name, value in parameters.items() if value is not None and name in known}


def require_identifier(identifier: str, option: str) -> None:
    """Raise :class:`BlueGreenError` unless it is fit for an instance or a snapshot (Amazon RDS API, CreateDBInstance)."""
    if len(identifier) > 63 or not _IDENTIFIER.fullmatch(identifier):
        raise BlueGreenError(
            f"{option} must be 1 to 63 letters, digits and hyphens, begin with a letter, and neither end with a hyphen nor hold two "
            f"in a row, but is {identifier!r}: choose another one."
        )


def require_instance_options(instances: Any) -> None:
    """Raise :class:`BlueGreenError` unless ``instances`` is a list of dictionaries of the option ``instances``."""
    if not isinstance(instances, Sequence) or isinstance(instances, str):
        raise BlueGreenError(
            f"The option instances must be {MIRROR!r} or a list of dictionaries, but is {instances!r}."
        )
    for item in instances:
        unknown = sorted(set(item) - set(_INSTANCE_OPTIONS)) if isinstance(item, Mapping) else [repr(item)]
        if unknown:
            raise BlueGreenError(
                f"Each of the instances must be a dictionary with some of {', '.join(_INSTANCE_OPTIONS)}, but one holds "
                f"{', '.join(unknown)}: correct it."
            )


def roles_of(description: Description) -> tuple[tuple[str, str], ...]:
    """The (role ARN, feature) pairs that a cluster is described with."""
    return tuple((role["RoleArn"], role.get("FeatureName") or "") for role in description.get("AssociatedRoles") or [])


def _differences(blue: Description) -> list[str]:
    later = "" if blue.get("Engine") == neptune.ENGINE else " until aurora_global_database makes one"
    found = {
        f"Blue is a member of a global database, green is in none{later}": blue.get("GlobalClusterIdentifier"),
        "Blue has custom endpoints, green has none": blue.get("CustomEndpoints"),
        "Blue's Data API is on, green's is off": blue.get("HttpEndpointEnabled"),
        "Blue has an activity stream, green has none": blue.get("ActivityStreamStatus") == "started",
        "Blue's master password is managed by Secrets Manager, green keeps the one of the moment of the clone": blue.get(
            "MasterUserSecret"
        ),
    }
    return [sentence + "." for sentence, true in found.items() if true]


def _plain(name: str) -> Callable[[Description], Any]:
    return lambda description: description.get(name)


def _set(name: str) -> Callable[[Description], Any]:
    """A value that counts only when it is set: 0, false and the empty text are the service's defaults."""
    return lambda description: description.get(name) or None


def _subkeys(name: str, *keys: str) -> Callable[[Description], Any]:
    def read(description: Description) -> Any:
        values = description.get(name) or {}
        return {key: values[key] for key in keys if values.get(key) is not None} or None

    return read


def _security_groups(description: Description) -> list[str] | None:
    groups = description.get("VpcSecurityGroups") or []
    return sorted(g["VpcSecurityGroupId"] for g in groups if g.get("Status", "active") != "removing") or None


def _domain(key: str) -> Callable[[Description], Any]:
    return lambda description: next((d.get(key) for d in description.get("DomainMemberships") or []), None)


_INSIGHTS = ("EnablePerformanceInsights", "PerformanceInsightsKMSKeyId", "PerformanceInsightsRetentionPeriod")
_SETTINGS: dict[str, Callable[[Description], Any]] = {
    "Port": _plain("Port"),
    "DBSubnetGroupName": _plain("DBSubnetGroup"),
    "VpcSecurityGroupIds": _security_groups,
    "KmsKeyId": lambda description: description.get("KmsKeyId") if description.get("StorageEncrypted") else None,
    "EnableIAMDatabaseAuthentication": _plain("IAMDatabaseAuthenticationEnabled"),
    "EnableCloudwatchLogsExports": lambda description: (
        sorted(description.get("EnabledCloudwatchLogsExports") or []) or None
    ),
    "BacktrackWindow": _set("BacktrackWindow"),
    "DeletionProtection": _plain("DeletionProtection"),
    "CopyTagsToSnapshot": _plain("CopyTagsToSnapshot"),
    # Absent from the description when it is the standard one (Amazon RDS API, DBCluster).
    "StorageType": lambda description: (
        description.get("StorageType") if description.get("StorageType") != "aurora" else None
    ),
    "ServerlessV2ScalingConfiguration": _subkeys(
        "ServerlessV2ScalingConfiguration", "MinCapacity", "MaxCapacity", "SecondsUntilAutoPause"
    ),
    "NetworkType": _plain("NetworkType"),
    "BackupRetentionPeriod": _set("BackupRetentionPeriod"),
    "PreferredBackupWindow": _plain("PreferredBackupWindow"),
    "PreferredMaintenanceWindow": _plain("PreferredMaintenanceWindow"),
    "EngineLifecycleSupport": _plain("EngineLifecycleSupport"),
    "Domain": _domain("Domain"),
    "DomainIAMRoleName": _domain("IAMRoleName"),
    "EnablePerformanceInsights": _set("PerformanceInsightsEnabled"),
    "PerformanceInsightsKMSKeyId": _set("PerformanceInsightsKMSKeyId"),
    "PerformanceInsightsRetentionPeriod": _set("PerformanceInsightsRetentionPeriod"),
    "DatabaseInsightsMode": lambda description: (
        "advanced" if description.get("DatabaseInsightsMode") == "advanced" else None
    ),
}
_RESTORE_ONLY = ("DBSubnetGroupName", "KmsKeyId", "EngineLifecycleSupport", "Domain", "DomainIAMRoleName")

_INSTANCE_SETTINGS: dict[str, Callable[[Description], Any]] = {
    "DBInstanceClass": _plain("DBInstanceClass"),
    "AvailabilityZone": _plain("AvailabilityZone"),
    "PromotionTier": _plain("PromotionTier"),
    "PubliclyAccessible": _plain("PubliclyAccessible"),
    "AutoMinorVersionUpgrade": _plain("AutoMinorVersionUpgrade"),
    "PreferredMaintenanceWindow": _plain("PreferredMaintenanceWindow"),
    "MonitoringInterval": _set("MonitoringInterval"),
    "MonitoringRoleArn": _set("MonitoringRoleArn"),
    "EnablePerformanceInsights": _set("PerformanceInsightsEnabled"),
    "PerformanceInsightsKMSKeyId": _set("PerformanceInsightsKMSKeyId"),
    "PerformanceInsightsRetentionPeriod": _set("PerformanceInsightsRetentionPeriod"),
    "CACertificateIdentifier": _set("CACertificateIdentifier"),
}
