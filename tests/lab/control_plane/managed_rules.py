# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the service asks of a source before it makes a blue/green deployment of it, and the refusals in its words."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.lab.control_plane import account, managed_parameters
from tests.lab.control_plane.common import find_cluster, find_instance, tags_of
from tests.lab.control_plane.errors import (
    ApiError,
    access_denied,
    cluster_state,
    instance_state,
    invalid_combination,
    invalid_value,
    not_in_lab,
)
from tests.lab.control_plane.kinds import NEPTUNE
from tests.lab.control_plane.managed_records import COMPLETED, Deployment
from tests.lab.control_plane.plane import Call
from tests.lab.control_plane.records import ACCOUNT, Cluster, GlobalMember, Instance, Region, UpgradePlan

NAME = re.compile(r"[a-zA-Z](?:-?[a-zA-Z0-9]+)*\Z")
LONGEST_NAME = 60
OF_INSTANCES = (
    "TargetDBInstanceClass",
    "TargetIops",
    "TargetStorageType",
    "TargetAllocatedStorage",
    "TargetStorageThroughput",
    "UpgradeTargetStorageConfig",
)
# What the caller must be allowed besides the operation itself (user guide, "Authorizing access").
PERMISSIONS = ("AddTagsToResource", "CreateDBInstance")


@dataclass(frozen=True)
class Request:
    """A deployment that may be made."""

    name: str
    source: Cluster | Instance
    plan: UpgradePlan | None
    cluster_group: str | None  # that green gets; None: as blue, or what the upgrade brings
    instance_group: str | None
    tags: dict[str, str]

    @property
    def blue(self) -> Cluster:
        """The cluster, also the hidden one of a stand-alone instance."""
        return self.source if isinstance(self.source, Cluster) else self.source.cluster


def not_supported(source: Cluster | Instance, message: str) -> ApiError:
    """The source is what no deployment can be made of."""
    code = "SourceClusterNotSupportedFault" if isinstance(source, Cluster) else "SourceDatabaseNotSupportedFault"
    return ApiError(code, message)


def find_deployment(call: Call, identifier: str) -> Deployment:
    """Return a deployment by its identifier, in any case; raises the typed fault."""
    found = call.plane.managed.of(call.region).get(identifier.lower())
    if found is None:
        raise ApiError(
            "BlueGreenDeploymentNotFoundFault",
            f"BlueGreenDeploymentIdentifier {identifier} doesn't refer to an existing blue/green deployment.",
        )
    return found


def state_fault(message: str) -> ApiError:
    """The deployment, or a member of it, is not in the state that the operation needs."""
    return ApiError("InvalidBlueGreenDeploymentStateFault", message)


def checked(call: Call) -> Request:
    """Return what is asked for; raises the service's refusals."""
    name = call.text("BlueGreenDeploymentName")
    if len(name) > LONGEST_NAME or not NAME.match(name):
        raise invalid_value(f"The parameter BlueGreenDeploymentName is not a valid identifier: {name}")
    if any(known.name == name for known in call.plane.managed.of(call.region).values()):
        raise ApiError(
            "BlueGreenDeploymentAlreadyExistsFault", f"A Blue Green Deployment with the name '{name}' already exists"
        )
    if call.plane.names is None:
        raise not_in_lab("a blue/green deployment without host names (Lab.start(names=True) has them)")
    source = _source(call)
    _check_permissions(call, source)
    _check_kind(call, source)
    _check_state(call, source)
    _check_quota(call, source)
    managed_parameters.check_source(call, source)
    plan = managed_parameters.plan(call, source)
    cluster_group, instance_group = managed_parameters.groups(call, source, plan)
    return Request(name, source, plan, cluster_group, instance_group, tags_of(call.params))


def all_members(region: Region, blue: Cluster) -> list[Instance]:
    """Return what gets a counterpart: the instances of a cluster, or a DB instance with its read replicas; the writer first."""
    members = region.members(blue)
    return [*members, *(replica for member in members for replica in region.replicas(member))]


def _source(call: Call) -> Cluster | Instance:
    arn = call.text("Source")
    parts = arn.split(":", 6)
    here = ["arn", "aws", "rds", call.region.name, ACCOUNT]
    if len(parts) != 7 or parts[:5] != here or parts[5] not in ("cluster", "db"):
        raise invalid_value(f"Invalid source ARN: {arn}")
    return find_cluster(call.region, arn) if parts[5] == "cluster" else find_instance(call.region, arn)


def _check_permissions(call: Call, source: Cluster | Instance) -> None:
    asked = (*PERMISSIONS, *(("CreateDBCluster",) if isinstance(source, Cluster) else ()))
    for operation in asked:
        if operation in call.plane.faults.denied():
            raise access_denied("rds", operation)


def _check_kind(call: Call, source: Cluster | Instance) -> None:
    """What the source is, and which options go with that."""
    blue = source if isinstance(source, Cluster) else source.cluster
    if isinstance(source, Instance) and not blue.standalone:
        raise not_supported(
            source,
            f"The DB instance {source.identifier} is a member of the DB cluster {blue.identifier}; specify the DB "
            "cluster as the source of the blue/green deployment.",
        )
    if blue.api["Engine"] == NEPTUNE:
        raise not_supported(source, f"Blue/Green Deployments are not supported for the engine {NEPTUNE}.")
    if blue.member is not None:
        _check_global(call, source, blue.member)
    if "MasterUserSecret" in blue.api:
        raise not_supported(
            source,
            "Blue/Green Deployments don't support managing the master user password in AWS Secrets Manager: "
            f"{source.identifier}",
        )
    if isinstance(source, Instance) and not int(blue.api["BackupRetentionPeriod"]):
        raise not_supported(source, "Blue/Green Deployments require a DB instance with automated backups enabled.")
    if isinstance(source, Instance) and source.api.get("ReadReplicaSourceDBInstanceIdentifier"):
        raise not_supported(source, f"The DB instance {source.identifier} is a read replica.")
    if isinstance(source, Instance) and any(call.region.replicas(one) for one in call.region.replicas(source)):
        raise not_supported(source, f"The DB instance {source.identifier} has cascading read replicas.")
    given = [name for name in OF_INSTANCES if call.params.get(name)]
    if isinstance(source, Cluster) and given:
        raise invalid_combination(f"The parameter {given[0]} can't be specified for an Aurora DB cluster.")
    if isinstance(source, Instance) and call.params.get("TargetDBClusterParameterGroupName"):
        raise invalid_combination("TargetDBClusterParameterGroupName can only be specified for a DB cluster.")


def _check_global(call: Call, source: Cluster | Instance, member: GlobalMember) -> None:
    """A global database: its primary is the source, and nothing happens to it."""
    group = member.group
    if not member.writer:
        raise not_supported(
            source,
            f"The DB cluster {source.identifier} is a secondary of the global database {group.identifier}; create the "
            "blue/green deployment in the Region of its primary DB cluster.",
        )
    if group.status != "available" or not all(other.connected for other in group.members):
        raise cluster_state(f"The global database {group.identifier} is not in available state.")
    for other in group.secondaries:
        records: list[Cluster | Instance] = [other.cluster, *other.region.members(other.cluster)]
        for record in records:
            if record.status != "available":
                raise cluster_state(f"{record.identifier} in {other.region.name} is not in available state.")


def _check_state(call: Call, source: Cluster | Instance) -> None:
    blue = source if isinstance(source, Cluster) else source.cluster
    having = call.plane.managed.having(source)
    if having is not None and (having.status != COMPLETED or source is having.pairs[0].source):
        raise not_supported(
            source, f"{source.identifier} is already part of the blue/green deployment {having.identifier}."
        )
    if isinstance(source, Cluster) and source.status != "available":
        raise cluster_state(f"DB cluster {source.identifier} is not in available state.")
    members = all_members(call.region, blue)
    if not any(member.writer for member in members):
        raise not_supported(source, f"The DB cluster {source.identifier} has no writer DB instance.")
    for member in members:
        if member.status != "available":
            raise instance_state(f"DB instance {member.identifier} is not in available state.")


def _check_quota(call: Call, source: Cluster | Instance) -> None:
    blue = source if isinstance(source, Cluster) else source.cluster
    room = account.room(call.region)
    if isinstance(source, Cluster) and room["DBClusters"] < 1:
        raise ApiError("DBClusterQuotaExceededFault", "DB cluster quota exceeded")
    if room["DBInstances"] < len(all_members(call.region, blue)):
        raise ApiError("InstanceQuotaExceeded", "DB Instance quota exceeded")
