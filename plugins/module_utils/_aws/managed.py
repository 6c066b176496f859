# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""A Blue/Green Deployment that RDS manages, as DescribeBlueGreenDeployments tells it, and the two places that it is between.

The source and the target are Aurora clusters or RDS DB instances; which of them an ARN says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.tagging import boto3_tag_list_to_ansible_dict

from .api import Api
from .clusters import Cluster, Instance, instance_of, read_cluster
from .events import FAILURE
from .ownership import is_ours

PROVISIONING = "PROVISIONING"
AVAILABLE = "AVAILABLE"
SWITCHING = "SWITCHOVER_IN_PROGRESS"
SWITCHED = "SWITCHOVER_COMPLETED"
SWITCHOVER_FAILED = "SWITCHOVER_FAILED"
INVALID = "INVALID_CONFIGURATION"
DELETING = "DELETING"
MISSING = ("MISSING_SOURCE", "MISSING_TARGET")

NO_DEPLOYMENT = ("BlueGreenDeploymentNotFoundFault",)
_NO_INSTANCE = ("DBInstanceNotFound", "DBInstanceNotFoundFault")
_KEPT_MINUTES = 14 * 24 * 60  # events are kept for 14 days (Amazon RDS API, DescribeEvents)
# RDS-EVENT-0249, 0252 and 0261 say that a switchover was canceled, and why (Amazon RDS User Guide, "Event categories").
_CANCELED = ("cancel", "rolled back", "degraded")


@dataclass(frozen=True)
class Task:
    """One step of the creation, such as CREATING_READ_REPLICA_OF_SOURCE; PENDING, IN_PROGRESS, COMPLETED or FAILED."""

    name: str
    status: str


@dataclass(frozen=True)
class Member:
    """A cluster or an instance of blue and its copy in green; None while that is not known yet."""

    source_arn: str
    target_arn: str | None
    status: str | None


@dataclass(frozen=True)
class Deployment:
    """One deployment; ``source`` and ``target`` are ARNs, after the switchover those of old blue and of new production."""

    identifier: str
    name: str
    source: str
    target: str | None
    status: str
    status_details: str | None
    members: tuple[Member, ...]
    tasks: tuple[Task, ...]
    tags: Mapping[str, str]
    description: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def switched(self) -> bool:
        """Whether the traffic has moved for good."""
        return self.status == SWITCHED

    def as_dict(self) -> dict[str, Any]:
        """The deployment for a module's result."""
        return {
            "blue_green_deployment_identifier": self.identifier,
            "blue_green_deployment_name": self.name,
            "source": self.source,
            "target": self.target,
            "status": self.status,
            "status_details": self.status_details,
            "members": [
                {"source": one.source_arn, "target": one.target_arn, "status": one.status} for one in self.members
            ],
            "tasks": [{"name": one.name, "status": one.status} for one in self.tasks],
            "create_time": _moment(self.description.get("CreateTime")),
            "tags": dict(self.tags),
        }

    def states(self) -> str:
        """Every state in one line, for the sentence of a wait that ended without success."""
        details = f" ({self.status_details})" if self.status_details else ""
        members = "".join(f", {identifier_of(one.source_arn)} {one.status}" for one in self.members if one.status)
        tasks = "".join(f", {one.name} {one.status}" for one in self.tasks if one.status != "COMPLETED")
        return f"{self.identifier} {self.status}{details}{members}{tasks}"


@dataclass(frozen=True)
class Place:
    """A cluster, or an instance with its read replicas, as clients reach it; the writer is the first member."""

    identifier: str
    arn: str
    engine: str
    version: str
    status: str
    host: str | None
    port: int | None
    reader_host: str | None
    members: tuple[Instance, ...]
    parameter_group: str | None  # of the cluster; None for an instance
    description: Mapping[str, Any] = field(repr=False)

    @property
    def is_cluster(self) -> bool:
        """Whether it is an Aurora cluster."""
        return is_cluster(self.arn)

    @property
    def parameter_groups(self) -> tuple[str, ...]:
        """The DB parameter groups of its instances, each once."""
        return tuple(dict.fromkeys(one.parameter_group for one in self.members if one.parameter_group))

    def as_dict(self) -> dict[str, Any]:
        """The place for a module's result."""
        return {
            "identifier": self.identifier,
            "arn": self.arn,
            "engine": self.engine,
            "engine_version": self.version,
            "status": self.status,
            "host": self.host,
            "port": self.port,
            "reader_host": self.reader_host,
            "db_cluster_parameter_group_name": self.parameter_group,
            "db_parameter_group_names": list(self.parameter_groups),
            "deletion_protection": bool(self.description.get("DeletionProtection")),
            "members": [one.as_dict() for one in self.members],
        }


def is_cluster(arn: str) -> bool:
    """Whether an ARN is one of a DB cluster; the other kind is a DB instance."""
    return ":cluster:" in arn


def identifier_of(arn: str) -> str:
    """The identifier at the end of an ARN."""
    return arn.rpartition(":")[2]


def find(api: Api, name: str) -> Deployment | None:
    """The deployment of this name, or else the one that carries the tags of this deployment id; None without one."""
    named = _read(api, "blue-green-deployment-name", name)
    if named:
        return named[0]
    return next((one for one in every(api) if is_ours(one.tags, name) and one.status != DELETING), None)


def of_source(api: Api, arn: str) -> Deployment | None:
    """The deployment whose source this is, the one that is not over first; None without one.

    The old production of a deployment that is over is its source, under the name that it got then.
    """
    found = _read(api, "source", arn)
    return min(found, key=lambda one: one.status in (SWITCHED, DELETING), default=None)


def of_target(api: Api, arn: str) -> Deployment | None:
    """The deployment whose target this is: its green, or what its switchover made production; None without one."""
    return next(iter(_read(api, "target", arn)), None)


def arn_of(deployment: Deployment, neighbour: str) -> str:
    """The ARN of the deployment, which the API does not tell; ``neighbour`` is one in its account and Region."""
    return ":".join([*neighbour.split(":")[:5], "deployment", deployment.identifier])


def read(api: Api, identifier: str) -> Deployment | None:
    """The deployment of an identifier such as ``bgd-..``, None when it is gone."""
    answer = api.find("describe_blue_green_deployments", NO_DEPLOYMENT, BlueGreenDeploymentIdentifier=identifier)
    found = (answer or {}).get("BlueGreenDeployments") or []
    return deployment_of(found[0]) if found else None


def deployment_of(item: Mapping[str, Any]) -> Deployment:
    """A deployment from the shape of the API, in which a member may lack its target and its status while it is made."""
    tags: dict[str, str] = boto3_tag_list_to_ansible_dict(item.get("TagList") or [])
    return Deployment(
        identifier=item["BlueGreenDeploymentIdentifier"],
        name=item.get("BlueGreenDeploymentName") or "",
        source=item.get("Source") or "",
        target=item.get("Target") or None,
        status=item.get("Status") or PROVISIONING,
        status_details=item.get("StatusDetails") or None,
        members=tuple(
            Member(one.get("SourceMember") or "", one.get("TargetMember") or None, one.get("Status") or None)
            for one in item.get("SwitchoverDetails") or []
        ),
        tasks=tuple(Task(one.get("Name") or "", one.get("Status") or "") for one in item.get("Tasks") or []),
        tags=tags,
        description=item,
    )


def every(api: Api) -> list[Deployment]:
    """All deployments of the account in the Region."""
    return [deployment_of(item) for item in api.pages("describe_blue_green_deployments", "BlueGreenDeployments")]


def reasons(api: Api, deployment: Deployment, since: datetime) -> list[str]:
    """What went wrong since then in the service's own words, oldest first, each once.

    From the events of the deployment, and of the clusters and instances that it names: the service tells why it gave up
    there, StatusDetails is thin.
    """
    told = [
        (at, message) for at, _source, message in _events(api, deployment) if at >= since and _tells_trouble(message)
    ]
    return list(dict.fromkeys(message for _at, message in told))


def events(api: Api, deployment: Deployment) -> list[dict[str, Any]]:
    """The events of the deployment and of what it names, oldest first."""
    return [
        {"date": at.isoformat(), "source": source, "message": message}
        for at, source, message in _events(api, deployment)
    ]


def _events(api: Api, deployment: Deployment) -> list[tuple[datetime, str, str]]:
    sources = [("blue-green-deployment", deployment.identifier)]
    arns = [deployment.source, deployment.target]
    arns += [arn for one in deployment.members for arn in (one.source_arn, one.target_arn)]
    arns = [
        arn for arn in arns if arn and arn.split(":")[3] == deployment.source.split(":")[3]
    ]  # what this Region tells of
    sources += [
        ("db-cluster" if is_cluster(arn) else "db-instance", identifier_of(arn)) for arn in dict.fromkeys(arns) if arn
    ]
    return sorted(
        (event["Date"], identifier, " ".join(str(event.get("Message", "")).split()))
        for kind, identifier in sources
        for event in api.pages(
            "describe_events", "Events", SourceType=kind, SourceIdentifier=identifier, Duration=_KEPT_MINUTES
        )
    )


def endpoints(api: Api, deployment: Deployment) -> dict[str, Place | None]:
    """Blue and green as clients reach them: the source and the target; None for one that is not there.

    After the switchover blue is old production under its new name, and green the new one under the old name.
    """
    sides: dict[str, tuple[str | None, list[str | None]]] = {
        "blue": (deployment.source, [one.source_arn for one in deployment.members]),
        "green": (deployment.target, [one.target_arn for one in deployment.members]),
    }
    return {
        side: place(api, arn, [one for one in dict.fromkeys(members) if one and one != arn]) if arn else None
        for side, (arn, members) in sides.items()
    }


def place(api: Api, arn: str, replicas: Iterable[str] | None = None) -> Place | None:
    """The cluster or instance of an ARN, None when there is none.

    ``replicas``: the read replicas of an instance that count as its members; left out, all that it has.
    """
    identifier = identifier_of(arn)
    if is_cluster(arn):
        cluster = read_cluster(api, identifier)
        return _of_cluster(cluster) if cluster else None
    found = _instance(api, identifier)
    if found is None:
        return None
    names = replicas_of(found) if replicas is None else replicas
    others = [_instance(api, identifier_of(name)) for name in names]
    return _of_instance(found, [one for one in others if one is not None])


def replicas_of(description: Mapping[str, Any]) -> list[str]:
    """The read replicas of an instance in its own Region; one in another Region is named by its ARN, which is none of ours."""
    names = [str(name) for name in description.get("ReadReplicaDBInstanceIdentifiers") or []]
    home = str(description.get("DBInstanceArn")).split(":")[3:5]
    return [name for name in names if not name.startswith("arn:") or name.split(":")[3:5] == home]


def _of_cluster(cluster: Cluster) -> Place:
    description = cluster.description
    return Place(
        identifier=cluster.identifier,
        arn=cluster.arn,
        engine=cluster.engine,
        version=cluster.version,
        status=cluster.status,
        host=description.get("Endpoint"),
        port=description.get("Port"),
        reader_host=description.get("ReaderEndpoint"),
        members=cluster.instances,
        parameter_group=cluster.parameter_group,
        description=description,
    )


def _of_instance(description: Mapping[str, Any], replicas: list[Mapping[str, Any]]) -> Place:
    endpoint = description.get("Endpoint") or {}
    return Place(
        identifier=description["DBInstanceIdentifier"],
        arn=description["DBInstanceArn"],
        engine=description["Engine"],
        version=description["EngineVersion"],
        status=description["DBInstanceStatus"],
        host=endpoint.get("Address"),
        port=endpoint.get("Port"),
        reader_host=None,
        members=(instance_of(description, writer=True), *(instance_of(one, writer=False) for one in replicas)),
        parameter_group=None,
        description=description,
    )


def _instance(api: Api, identifier: str) -> Mapping[str, Any] | None:
    answer = api.find("describe_db_instances", _NO_INSTANCE, DBInstanceIdentifier=identifier)
    found = (answer or {}).get("DBInstances") or []
    return found[0] if found else None


def _read(api: Api, name: str, value: str) -> list[Deployment]:
    filters = [{"Name": name, "Values": [value]}]
    found = api.pages("describe_blue_green_deployments", "BlueGreenDeployments", NO_DEPLOYMENT, Filters=filters)
    return [deployment_of(item) for item in found]


def _tells_trouble(message: str) -> bool:
    return bool(FAILURE.search(message)) or any(word in message.lower() for word in _CANCELED)


def _moment(value: Any) -> str | None:
    return value.isoformat() if isinstance(value, datetime) else None
