# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the control plane knows: plain records per Region, in the shape of the API where the API has one."""

from __future__ import annotations

import secrets
import string
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar

from tests.lab.control_plane.names import Names

ACCOUNT = "123456789012"
Shape = dict[str, Any]


def utcnow() -> datetime:
    """The wall clock, timezone-aware."""
    return datetime.now(UTC)


def resource_id(prefix: str) -> str:
    """A resource id as the service makes them: never reused, unlike an identifier."""
    return prefix + "-" + "".join(secrets.choice(string.ascii_uppercase + string.digits) for _unused in range(26))


@dataclass
class ParameterGroup:
    """A DB cluster parameter group or a DB parameter group, default or custom."""

    kind: str  # cluster | instance
    name: str
    family: str
    description: str
    arn: str
    tags: dict[str, str] = field(default_factory=dict)
    values: dict[str, tuple[str, str]] = field(default_factory=dict)  # user-set: name -> (value, apply method)

    @property
    def is_default(self) -> bool:
        """Default groups exist by themselves and cannot be modified."""
        return self.name.startswith("default.")


@dataclass(frozen=True)
class UpgradePlan:
    """One upgrade that was accepted, with the parameter groups that hold after it."""

    version: str
    major: bool
    cluster_group: str
    instance_group: str | None  # None: every instance keeps its own


@dataclass
class Record:
    """What has a name and a status. `api` holds the fields of the API's shape that are stored; the rest is derived when described."""

    NAME: ClassVar[str]
    STATUS: ClassVar[str] = "Status"

    api: Shape

    @property
    def identifier(self) -> str:
        """The name, such as DBClusterIdentifier."""
        return str(self.api[self.NAME])

    @property
    def status(self) -> str:
        """The status, such as available."""
        return str(self.api[self.STATUS])

    @status.setter
    def status(self, value: str) -> None:
        self.api[self.STATUS] = value


@dataclass
class Cluster(Record):
    """A DB cluster."""

    NAME = "DBClusterIdentifier"

    address: str
    reader_address: str
    tags: dict[str, str] = field(default_factory=dict)
    pending: Shape = field(default_factory=dict)  # PendingModifiedValues, with the password in clear
    upgrade: UpgradePlan | None = None  # what the pending EngineVersion means
    member: GlobalMember | None = None  # of a global cluster
    standalone: bool = False  # of one DB instance that has no cluster in the API

    @property
    def secondary(self) -> bool:
        """Whether it follows the primary of its global cluster."""
        return self.member is not None and not self.member.writer

    @property
    def volume_id(self) -> str:
        """The cluster volume's id in the engine: DbClusterResourceId, which survives a rename."""
        return str(self.api["DbClusterResourceId"])


@dataclass
class Instance(Record):
    """A DB instance of a cluster."""

    NAME, STATUS = "DBInstanceIdentifier", "DBInstanceStatus"

    cluster: Cluster
    address: str
    writer: bool
    tags: dict[str, str] = field(default_factory=dict)
    pending: Shape = field(default_factory=dict)
    running: bool = False  # the server runs; its endpoint is known from the first time on
    applied: dict[str, str] = field(default_factory=dict)  # the parameters that the server runs with
    cluster_group_status: str = "in-sync"  # DBClusterParameterGroupStatus of this member
    group_status: str = "in-sync"  # ParameterApplyStatus of the instance's own group
    replication: Shape = field(
        default_factory=dict
    )  # what is known of its status as a read replica; empty: it replicates

    @property
    def server_id(self) -> str:
        """The server's id in the engine: DbiResourceId, which survives a rename."""
        return str(self.api["DbiResourceId"])


@dataclass
class GlobalMember:
    """A DB cluster of a global cluster."""

    group: GlobalCluster
    region: Region
    cluster: Cluster
    writer: bool  # the primary
    connected: bool = True  # follows the primary, or is it

    @property
    def arn(self) -> str:
        """DBClusterArn."""
        return str(self.cluster.api["DBClusterArn"])


@dataclass
class GlobalCluster(Record):
    """A global cluster."""

    NAME = "GlobalClusterIdentifier"

    address: str  # of its writer endpoint
    home: str  # the Region that sees it while it has no member
    members: list[GlobalMember] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    names: Names | None = None  # of the lab, as in Region

    @property
    def host(self) -> str:
        """The host of its writer endpoint."""
        return self.address if self.names is None else self.names.world(self.identifier)

    @property
    def queue(self) -> str:
        """The name of the queue of its work: GlobalClusterResourceId."""
        return str(self.api["GlobalClusterResourceId"])

    @property
    def primary(self) -> GlobalMember | None:
        """The member that is written to; None of an empty one."""
        return next((member for member in self.members if member.writer), None)

    @property
    def secondaries(self) -> list[GlobalMember]:
        """The members that follow."""
        return [member for member in self.members if not member.writer]

    def seen_from(self, region: str) -> bool:
        """Whether a Region has a member of it; an empty one is seen from where it was made or emptied."""
        return region in [member.region.name for member in self.members] or (not self.members and region == self.home)


def set_status(status: str, *records: Cluster | Instance) -> None:
    """Give several records one status."""
    for record in records:
        record.status = status


@dataclass
class Snapshot:
    """A snapshot of a DB cluster or of a DB instance; its volume is one of the engine's, never started."""

    api: Shape
    volume_id: str
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class SubnetGroup:
    """A DB subnet group."""

    api: Shape
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class Proxy:
    """An RDS Proxy and the cluster that it is in front of."""

    api: Shape
    cluster: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    registered_at: float = 0.0  # monotonic


@dataclass
class Region:
    """Everything of one Region."""

    name: str
    names: Names | None = None  # of the lab, when its endpoints have names
    clusters: dict[str, Cluster] = field(default_factory=dict)
    instances: dict[str, Instance] = field(default_factory=dict)
    groups: dict[tuple[str, str], ParameterGroup] = field(default_factory=dict)  # (kind, name)
    snapshots: dict[str, Snapshot] = field(default_factory=dict)
    db_snapshots: dict[str, Snapshot] = field(default_factory=dict)
    subnet_groups: dict[str, SubnetGroup] = field(default_factory=dict)
    events: list[Shape] = field(default_factory=list)
    proxies: dict[str, Proxy] = field(default_factory=dict)
    integrations: dict[str, Shape] = field(default_factory=dict)  # zero-ETL, by the end of the ARN
    quotas: dict[str, int] = field(default_factory=dict)  # set by a knob: name -> maximum
    maintenance: dict[str, list[Shape]] = field(default_factory=dict)  # announced by a knob: ARN -> actions

    def arn(self, kind: str, name: str) -> str:
        """The ARN of a resource of ours in this Region."""
        return f"arn:aws:rds:{self.name}:{ACCOUNT}:{kind}:{name}"

    def members(self, cluster: Cluster) -> list[Instance]:
        """The cluster's instances, writer first, then in the order of their creation."""
        found = [instance for instance in self.instances.values() if instance.cluster is cluster]
        return sorted(found, key=lambda instance: not instance.writer)

    def replicas(self, source: Instance) -> list[Instance]:
        """The read replicas of an instance that stands alone, in the order of their creation."""
        return [
            self.instances[name]
            for name in source.api.get("ReadReplicaDBInstanceIdentifiers", ())
            if name in self.instances
        ]

    def rename(self, instance: Instance, name: str) -> None:
        """Give an instance another name, and with it the hidden cluster of one that stands alone."""
        before = instance.identifier
        self.instances[name] = self.instances.pop(before)
        for other in self.instances.values():
            if other.api.get("ReadReplicaSourceDBInstanceIdentifier") == before:
                other.api["ReadReplicaSourceDBInstanceIdentifier"] = name
            replicas = other.api.get("ReadReplicaDBInstanceIdentifiers") or []
            other.api["ReadReplicaDBInstanceIdentifiers"] = [name if one == before else one for one in replicas]
        arn = self.arn("db", name)
        instance.api |= {"DBInstanceIdentifier": name, "DBInstanceArn": arn}
        if instance.cluster.standalone:
            instance.cluster.api |= {"DBClusterIdentifier": name, "DBClusterArn": arn}

    def using(self, group: ParameterGroup) -> Iterator[Instance]:
        """The instances whose parameters come from a parameter group."""
        for instance in self.instances.values():
            if group.kind == "cluster" and instance.cluster.api["DBClusterParameterGroup"] == group.name:
                yield instance
            if group.kind == "instance" and instance.api["DBParameterGroupName"] == group.name:
                yield instance
