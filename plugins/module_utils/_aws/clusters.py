# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""A DB cluster and its instances, as the RDS API describes them (DescribeDBClusters, DescribeDBInstances)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.tagging import boto3_tag_list_to_ansible_dict

from .._core.errors import BlueGreenError
from . import neptune
from .api import Api
from .ownership import is_ours, is_secondary

IN_SYNC = "in-sync"
PENDING_REBOOT = "pending-reboot"
NO_CLUSTER = ("DBClusterNotFoundFault", "DBClusterNotFound")
_NO_INSTANCE = ("DBInstanceNotFound", "DBInstanceNotFoundFault")


@dataclass(frozen=True)
class Instance:
    """One DB instance of a cluster; ``description`` is the API's own record."""

    identifier: str
    status: str
    is_writer: bool
    promotion_tier: int | None
    parameter_group_status: str
    description: Mapping[str, Any]

    @property
    def arn(self) -> str:
        """The instance's ARN."""
        return str(self.description["DBInstanceArn"])

    @property
    def tags(self) -> dict[str, str]:
        """The instance's tags."""
        return _tags(self.description)

    @property
    def version(self) -> str:
        """The engine version that this instance runs."""
        return str(self.description.get("EngineVersion", ""))

    @property
    def parameter_group(self) -> str | None:
        """The name of its DB parameter group."""
        groups = self.description.get("DBParameterGroups") or []
        return groups[0]["DBParameterGroupName"] if groups else None

    def as_dict(self) -> dict[str, Any]:
        """The instance for a module's result."""
        return {
            "db_instance_identifier": self.identifier,
            "db_instance_class": self.description.get("DBInstanceClass"),
            "is_writer": self.is_writer,
            "status": self.status,
            "endpoint": (self.description.get("Endpoint") or {}).get("Address"),
            "promotion_tier": self.promotion_tier,
            "parameter_group_status": self.parameter_group_status,
        }


@dataclass(frozen=True)
class Cluster:
    """One DB cluster; the writer is the first of its instances, the others follow by tier and name."""

    identifier: str
    status: str
    engine: str
    version: str
    parameter_group: str
    instances: tuple[Instance, ...]
    description: Mapping[str, Any]

    @property
    def arn(self) -> str:
        """The cluster's ARN."""
        return str(self.description["DBClusterArn"])

    @property
    def tags(self) -> dict[str, str]:
        """The cluster's tags."""
        return _tags(self.description)

    @property
    def instance_identifiers(self) -> set[str]:
        """The identifiers of its instances."""
        return {instance.identifier for instance in self.instances}

    @property
    def parameter_group_status(self) -> str:
        """``in-sync`` when every instance says so, otherwise the status of the first that does not."""
        return next((i.parameter_group_status for i in self.instances if i.parameter_group_status != IN_SYNC), IN_SYNC)

    def as_dict(self) -> dict[str, Any]:
        """The cluster for a module's result."""
        return {
            "db_cluster_identifier": self.identifier,
            "db_cluster_arn": self.arn,
            "db_cluster_resource_id": self.description.get("DbClusterResourceId"),
            "endpoint": self.description.get("Endpoint"),
            "reader_endpoint": self.description.get("ReaderEndpoint"),
            "port": self.description.get("Port"),
            "engine": self.engine,
            "engine_version": self.version,
            "status": self.status,
            "instances": [instance.as_dict() for instance in self.instances],
            "db_cluster_parameter_group_name": self.parameter_group,
            "parameter_group_status": self.parameter_group_status,
            "tags": self.tags,
        }

    def states(self) -> str:
        """Every state in one line, for the sentence of a wait that ended without success."""
        of_instances = "".join(
            f", {i.identifier} {i.status} ({i.version}, parameter group {i.parameter_group_status})"
            for i in self.instances
        )
        return f"cluster {self.identifier} {self.status} ({self.version}){of_instances}"


def read_cluster(api: Api, identifier: str) -> Cluster | None:
    """The cluster with its instances, None when there is none with this identifier; an empty one is nobody's."""
    if not identifier:
        return None  # the API would tell of all clusters
    answer = api.find("describe_db_clusters", NO_CLUSTER, DBClusterIdentifier=identifier)
    found = (answer or {}).get("DBClusters") or []
    if not found:
        return None
    name = found[0]["DBClusterIdentifier"]
    instances = api.pages("describe_db_instances", "DBInstances", Filters=[{"Name": "db-cluster-id", "Values": [name]}])
    if _hides_tags(found[0]):
        instances = [_with_tags(api, instance, "DBInstanceArn") for instance in instances]
        return cluster_of(_with_tags(api, found[0], "DBClusterArn"), instances)
    return cluster_of(found[0], instances)


def require_cluster(api: Api, identifier: str, role: str) -> Cluster:
    """As :func:`read_cluster`, but a cluster that is not there is an error; ``role`` is blue or green."""
    cluster = read_cluster(api, identifier)
    if cluster is None:
        raise BlueGreenError(
            f"The DB cluster {identifier} should be {role}, but it does not exist in this account and region: "
            "check the identifier, the region and the credentials."
        )
    return cluster


def find_green(api: Api, deployment_id: str, identifier: str | None) -> Cluster | None:
    """Green by its identifier, or else by the ownership tags of the deployment.

    None when there is no such cluster, or when the one that is there belongs to somebody else. A secondary cluster of a
    green in another Region is not green.
    """
    if identifier:
        cluster = read_cluster(api, identifier)
        return cluster if cluster and is_ours(cluster.tags, deployment_id) else None
    for description in api.pages("describe_db_clusters", "DBClusters"):
        tags = _tags(_with_tags(api, description, "DBClusterArn") if _hides_tags(description) else description)
        if is_ours(tags, deployment_id) and not is_secondary(tags):
            return read_cluster(api, description["DBClusterIdentifier"])
    return None


def cluster_of_instance(api: Api, identifier: str) -> str | None:
    """The cluster that an instance belongs to, the empty text for none; None when there is no such instance."""
    answer = api.find("describe_db_instances", _NO_INSTANCE, DBInstanceIdentifier=identifier)
    found = (answer or {}).get("DBInstances") or []
    return str(found[0].get("DBClusterIdentifier") or "") if found else None


def cluster_of(description: Mapping[str, Any], instances: list[dict[str, Any]]) -> Cluster:
    """A cluster from the two describe answers."""
    members = {member["DBInstanceIdentifier"]: member for member in description.get("DBClusterMembers") or []}
    every = [_instance(instance, members.get(instance["DBInstanceIdentifier"], {})) for instance in instances]
    return Cluster(
        identifier=description["DBClusterIdentifier"],
        status=description["Status"],
        engine=description["Engine"],
        version=description["EngineVersion"],
        parameter_group=description.get("DBClusterParameterGroup") or "",
        instances=tuple(sorted(every, key=_rank)),
        description=description,
    )


def instance_of(description: Mapping[str, Any], *, writer: bool) -> Instance:
    """An instance of no cluster from its description; ``writer`` false for a read replica."""
    return _instance(description, {"IsClusterWriter": writer})


def _instance(description: Mapping[str, Any], member: Mapping[str, Any]) -> Instance:
    groups = [group.get("ParameterApplyStatus", IN_SYNC) for group in description.get("DBParameterGroups") or []]
    statuses = [member.get("DBClusterParameterGroupStatus", IN_SYNC), *groups]
    return Instance(
        identifier=description["DBInstanceIdentifier"],
        status=description["DBInstanceStatus"],
        is_writer=bool(member.get("IsClusterWriter")),
        promotion_tier=member.get("PromotionTier", description.get("PromotionTier")),
        parameter_group_status=next((status for status in statuses if status != IN_SYNC), IN_SYNC),
        description=description,
    )


def _rank(instance: Instance) -> tuple[bool, int, str]:
    tier = instance.promotion_tier
    return (not instance.is_writer, 15 if tier is None else tier, instance.identifier)


def _hides_tags(description: Mapping[str, Any]) -> bool:
    """Whether the tags have to be asked for: the Neptune API's descriptions have none, the RDS API's have those of Aurora."""
    return description.get("Engine") == neptune.ENGINE and "TagList" not in description


def _with_tags(api: Api, description: Mapping[str, Any], arn: str) -> dict[str, Any]:
    found = api.call("list_tags_for_resource", ResourceName=description[arn]).get("TagList") or []
    return {**description, "TagList": found}


def _tags(description: Mapping[str, Any]) -> dict[str, str]:
    tags: dict[str, str] = boto3_tag_list_to_ansible_dict(description.get("TagList") or [])
    return tags
