# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The plan of green's global database: what blue's is and the options in, the parameters of the API calls out. Pure.

The parameters are those of the Amazon RDS API: CreateGlobalCluster, CreateDBCluster (as a secondary), CreateDBInstance.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.tagging import ansible_dict_to_boto3_tag_list

from .._core.errors import BlueGreenError
from .._core.names import Names
from .clone import Parameters, instance_parameters, require_instance_options, roles_of, settings_of
from .clusters import Cluster, Instance
from .global_clusters import GlobalCluster
from .ownership import PREFIX, mirrored_tags, ownership_tags

MIRROR = "mirror"
REGIONS_TAG = f"{PREFIX}regions"
"""On the global cluster: the Regions in which the deployment made, or is about to make, a secondary cluster."""
FORWARDING_TAG = f"{PREFIX}write-forwarding"
"""On a secondary of green: V(on) or V(off) when the user said himself whether it is to forward writes."""

# Nothing that belongs to one Region is carried into another one in which blue has nothing to mirror.
_REGIONAL = (
    "DBSubnetGroupName",
    "VpcSecurityGroupIds",
    "KmsKeyId",
    "PerformanceInsightsKMSKeyId",
    "Domain",
    "DomainIAMRoleName",
)
# Said of the global cluster, and not possible in one (Amazon Aurora User Guide, limitations of global databases).
_NOT_OF_A_SECONDARY = ("EngineLifecycleSupport", "BacktrackWindow")
_REGION_KEYS = (
    "region",
    "db_cluster_identifier",
    "instances",
    "db_subnet_group_name",
    "vpc_security_group_ids",
    "db_cluster_parameter_group_name",
    "db_parameter_group_name",
    "kms_key_id",
    "enable_global_write_forwarding",
)


@dataclass(frozen=True)
class Wish:
    """What is wanted in one Region; None leaves a thing as blue has it there, or else as green has it at home."""

    region: str
    mirrored: str | None = None  # blue's secondary cluster there
    identifier: str | None = None
    instances: int | Sequence[Mapping[str, Any]] | None = None
    subnet_group: str | None = None
    security_groups: Sequence[str] | None = None
    cluster_parameter_group: str | None = None
    instance_parameter_group: str | None = None
    kms_key: str | None = None
    write_forwarding: bool | None = None


@dataclass(frozen=True)
class Groups:
    """The parameter groups of a secondary: of the cluster, and of an instance by the one that blue's instance has."""

    cluster: str | None = None
    instance: str | None = None
    of_instances: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Secondary:
    """What has to be called to make one secondary cluster."""

    region: str
    cluster: Parameters
    roles: tuple[tuple[str, str], ...]
    instances: tuple[Parameters, ...]

    @property
    def identifier(self) -> str:
        """Its DB cluster identifier."""
        return str(self.cluster["DBClusterIdentifier"])


def wishes(regions: Any, blue: GlobalCluster | None, blue_arn: str, home: str) -> tuple[Wish, ...] | None:
    """What is wanted in each Region; None when blue is to be mirrored and is in no global database.

    Raises :class:`BlueGreenError` for a list that cannot be: an unknown key, blue's own Region, a Region twice.
    """
    primary = blue.primary if blue else None
    if blue is not None and (primary is None or primary.arn != blue_arn):
        raise BlueGreenError(
            f"Blue should be the primary of its global database {blue.identifier}, but that is "
            f"{f'{primary.identifier} in {primary.region}' if primary else 'none of its members'}: name that cluster as "
            "source_db_cluster_identifier, in its Region."
        )
    of_blue = {member.region: member.arn for member in blue.secondaries} if blue else {}
    if regions == MIRROR:
        return tuple(Wish(region, arn) for region, arn in sorted(of_blue.items())) if blue else None
    found = tuple(_wish(item, of_blue) for item in _items(regions))
    twice = sorted(region for region, count in Counter(wish.region for wish in found).items() if count > 1)
    if twice:
        raise BlueGreenError(
            f"A global database has one secondary cluster in a Region, but regions names {', '.join(twice)} more than once: "
            "name each Region once."
        )
    if any(wish.region == home for wish in found):
        raise BlueGreenError(
            f"The secondary clusters belong in other Regions than the primary, but regions names {home}, where green is: "
            "leave it out."
        )
    return found


def named_regions(regions: Any) -> tuple[str, ...]:
    """The Regions that a list names."""
    return () if regions == MIRROR else tuple(str(item["region"]) for item in _items(regions))


def plan_secondary(
    wish: Wish, like: Cluster | None, green: Cluster, names: Names, options: GlobalOptions, groups: Groups
) -> Secondary:
    """The plan for one Region; ``like`` is blue's secondary there, without which green itself is the pattern."""
    pattern = like or green
    settings = settings_of(pattern.description)
    dropped = _NOT_OF_A_SECONDARY if like else (*_REGIONAL, *_NOT_OF_A_SECONDARY)
    settings = {name: value for name, value in settings.items() if name not in dropped}
    encrypted = bool(green.description.get("StorageEncrypted"))
    said = {
        "DBSubnetGroupName": wish.subnet_group,
        "VpcSecurityGroupIds": sorted(wish.security_groups) if wish.security_groups else None,
        "KmsKeyId": wish.kms_key,
        "DeletionProtection": options.deletion_protection,
        "DBClusterParameterGroupName": groups.cluster,
        "StorageEncrypted": encrypted or None,
    }
    if not encrypted:
        settings.pop("KmsKeyId", None)
    elif not (wish.kms_key or settings.get("KmsKeyId")):
        raise BlueGreenError(
            f"Green {green.identifier} is encrypted, so its secondary cluster needs a key of {wish.region}, but none is known: "
            "give kms_key_id for that Region in regions."
        )
    identifier = wish.identifier or names.secondary(wish.region)
    forwarding = {} if wish.write_forwarding is None else {FORWARDING_TAG: "on" if wish.write_forwarding else "off"}
    cluster = {
        "DBClusterIdentifier": identifier,
        "GlobalClusterIdentifier": options.identifier,
        "Engine": green.engine,
        "EngineVersion": green.version,
        **settings,
        **{name: value for name, value in said.items() if value is not None},
        "Tags": ansible_dict_to_boto3_tag_list({**_tags(pattern.tags, names, options), **forwarding}),
    }
    return Secondary(
        wish.region,
        {name: value for name, value in cluster.items() if name in options.accepted},
        roles_of(like.description) if like else (),
        _instances(wish, like, green, identifier, names, options, groups),
    )


@dataclass(frozen=True)
class GlobalOptions:
    """What the user wants of green's global database; ``accepted`` are the parameters that botocore knows for a cluster."""

    identifier: str
    regions: Any = MIRROR
    deletion_protection: bool | None = None
    tags: Mapping[str, str] | None = None
    accepted: Collection[str] = ()


def global_parameters(
    blue: GlobalCluster | None, green: Cluster, names: Names, options: GlobalOptions, regions: Collection[str]
) -> Parameters:
    """The parameters of CreateGlobalCluster with green as the primary.

    Engine, version, database and encryption come from the source and must not be said (Amazon RDS API).
    """
    protected = options.deletion_protection
    if protected is None and blue is not None:
        protected = bool(blue.description.get("DeletionProtection"))
    parameters = {
        "GlobalClusterIdentifier": options.identifier,
        "SourceDBClusterIdentifier": green.arn,
        "DeletionProtection": protected,
        "Tags": ansible_dict_to_boto3_tag_list(
            {
                **mirrored_tags(blue.tags if blue else {}),
                **(options.tags or {}),
                **ownership_tags(names.deployment_id),
                REGIONS_TAG: " ".join(sorted(regions)),
            }
        ),
    }
    return {name: value for name, value in parameters.items() if value is not None}


def recorded_regions(tags: Mapping[str, str]) -> set[str]:
    """The Regions that a global cluster's tag names."""
    return set(tags.get(REGIONS_TAG, "").split())


def _items(regions: Any) -> list[Mapping[str, Any]]:
    if not isinstance(regions, Sequence) or isinstance(regions, str):
        raise BlueGreenError(f"The option regions must be {MIRROR!r} or a list of dictionaries, but is {regions!r}.")
    for item in regions:
        if not isinstance(item, Mapping) or not item.get("region"):
            raise BlueGreenError(f"Each of the regions must be a dictionary with region in it, but one is {item!r}.")
        unknown = sorted(set(item) - set(_REGION_KEYS))
        if unknown:
            raise BlueGreenError(
                f"Each of the regions may hold {', '.join(_REGION_KEYS)}, but that of {item['region']} holds "
                f"{', '.join(unknown)}: correct it."
            )
    return list(regions)


def _wish(item: Mapping[str, Any], of_blue: Mapping[str, str]) -> Wish:
    instances = item.get("instances")
    if isinstance(instances, str) and instances.isdigit():  # a number that came through a template
        instances = int(instances)
    if isinstance(instances, bool) or not (
        instances is None or isinstance(instances, list) or (isinstance(instances, int) and instances >= 0)
    ):
        raise BlueGreenError(
            f"The instances of {item['region']} in regions must be a number or a list of dictionaries, but are {instances!r}."
        )
    if isinstance(instances, list):
        require_instance_options(instances)
    return Wish(
        region=str(item["region"]),
        mirrored=of_blue.get(str(item["region"])),
        identifier=item.get("db_cluster_identifier"),
        instances=instances,
        subnet_group=item.get("db_subnet_group_name"),
        security_groups=item.get("vpc_security_group_ids"),
        cluster_parameter_group=item.get("db_cluster_parameter_group_name"),
        instance_parameter_group=item.get("db_parameter_group_name"),
        kms_key=item.get("kms_key_id"),
        write_forwarding=_truth(item.get("enable_global_write_forwarding")),
    )


def _truth(value: Any) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    if str(value).lower() in ("yes", "true", "on", "1", "no", "false", "off", "0"):
        return str(value).lower() in ("yes", "true", "on", "1")
    raise BlueGreenError(f"enable_global_write_forwarding in regions must be true or false, but is {value!r}.")


def _instances(
    wish: Wish,
    like: Cluster | None,
    green: Cluster,
    cluster: str,
    names: Names,
    options: GlobalOptions,
    groups: Groups,
) -> tuple[Parameters, ...]:
    pairs = _patterns(wish, like.instances if like else (), green.instances)
    made = []
    for number, (pattern, item) in enumerate(pairs, start=1):
        group = groups.instance or groups.of_instances.get(pattern.parameter_group or "")
        tags = _tags(pattern.tags, names, options)
        made.append(
            instance_parameters(names.secondary_instance(wish.region, number), cluster, pattern, item, group, tags)
        )
        if not (like and like.instances):  # a key of another Region
            made[-1].pop("PerformanceInsightsKMSKeyId", None)
    identifiers = [instance["DBInstanceIdentifier"] for instance in made]
    if len(set(identifiers)) < len(identifiers):
        raise BlueGreenError(
            f"Every instance needs an identifier of its own, but regions leads to {', '.join(identifiers)} in {wish.region}: "
            "correct db_instance_identifier."
        )
    return tuple(made)


def _patterns(
    wish: Wish, there: Sequence[Instance], at_home: Sequence[Instance]
) -> list[tuple[Instance, Mapping[str, Any] | None]]:
    """Each instance to be made as the pair of the instance that it is like and what the user says of it.

    Mirrored ones are like their own counterpart; further ones are like the first, wherever the service places them.
    """
    if wish.instances is None and wish.mirrored is not None:
        return [(instance, None) for instance in there]  # none: headless stays headless
    wanted = 1 if wish.instances is None else wish.instances
    more: list[Mapping[str, Any]] = [{}] * (wanted - len(there)) if isinstance(wanted, int) else list(wanted)
    mirrored = [(instance, None) for instance in there[:wanted]] if isinstance(wanted, int) else []
    first = next(iter([*there, *at_home]), None)
    if more and first is None:
        raise BlueGreenError(
            f"Instances are wanted in {wish.region}, but neither blue nor green has one that they could be like: give green an "
            "instance first, or say 0 instances."
        )
    return mirrored + [(first, item) for item in more if first is not None]


def _tags(tags: Mapping[str, str], names: Names, options: GlobalOptions) -> dict[str, str]:
    return {**mirrored_tags(tags), **(options.tags or {}), **ownership_tags(names.deployment_id, secondary=True)}
