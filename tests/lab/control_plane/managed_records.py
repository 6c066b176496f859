# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blue/green deployments that the service manages: their records, and the knobs that break them."""

from __future__ import annotations

import secrets
import string
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from tests.lab.control_plane.records import Cluster, GlobalCluster, Instance, Region, Shape
from tests.lab.managed.link import Health, Link

if TYPE_CHECKING:
    from tests.lab.control_plane.plane import ControlPlane


SIGNS = string.ascii_lowercase + string.digits
PROVISIONING, AVAILABLE, DELETING = "PROVISIONING", "AVAILABLE", "DELETING"
IN_PROGRESS, COMPLETED = "SWITCHOVER_IN_PROGRESS", "SWITCHOVER_COMPLETED"
FAILED, INVALID = "SWITCHOVER_FAILED", "INVALID_CONFIGURATION"
MISSING = {"source": "MISSING_SOURCE", "target": "MISSING_TARGET"}
REPLICA, UPGRADE = "CREATING_READ_REPLICA_OF_SOURCE", "DB_ENGINE_VERSION_UPGRADE"
TOPOLOGY = "CREATING_TOPOLOGY_OF_SOURCE"  # the read replicas of a DB instance
INSTANCES, BACKUPS = "CREATE_DB_INSTANCES_FOR_CLUSTER", "CONFIGURE_BACKUPS"
# What `hold` can prolong: the phases of the metadata, and the moment in which nobody can write.
INITIATED, POST_PROCESSING = "SWITCHOVER_INITIATED", "SWITCHOVER_IN_POST_PROCESSING"
WRITES_STOPPED = "WRITES_STOPPED"
PHASES = (PROVISIONING, INITIATED, IN_PROGRESS, WRITES_STOPPED, POST_PROCESSING, COMPLETED, DELETING)
GREEN_SIGNS = 6
LONGEST = 63


def new_name(identifier: str) -> str:
    """Return the name of the green copy of a cluster or an instance."""
    suffix = "-green-" + "".join(secrets.choice(SIGNS) for _unused in range(GREEN_SIGNS))
    return identifier[: LONGEST - len(suffix)] + suffix


def new_deployment_id() -> str:
    """Return the identifier of a new deployment."""
    return "bgd-" + "".join(secrets.choice(SIGNS) for _unused in range(16))


def arn_of(record: Cluster | Instance) -> str:
    """Return the ARN of a cluster or an instance, also of one that is gone."""
    return str(record.api["DBClusterArn" if isinstance(record, Cluster) else "DBInstanceArn"])


def exists(region: Region, record: Cluster | Instance) -> bool:
    """Whether a record has not been deleted meanwhile."""
    if isinstance(record, Cluster):
        return region.clusters.get(record.identifier) is record
    return region.instances.get(record.identifier) is record


@dataclass
class Task:
    """A step of the provisioning: PENDING, IN_PROGRESS, COMPLETED or FAILED."""

    name: str
    status: str = "PENDING"


@dataclass
class Pair:
    """A member of blue with its counterpart; the cluster is the first one of Aurora."""

    source: Cluster | Instance
    target: Cluster | Instance | None = None
    status: str | None = None
    region: Region | None = None  # when it is another one than that of the deployment

    def missing(self, region: Region) -> str | None:
        """Return which side of it is gone, None while there are both."""
        where = self.region or region
        if not exists(where, self.source):
            return "source"
        return "target" if self.target is not None and not exists(where, self.target) else None


@dataclass(frozen=True)
class Worlds:
    """The global clusters of both sides, and blue's members when green was made: their ids and which is the primary."""

    blue: GlobalCluster
    green: GlobalCluster
    topology: tuple[tuple[str, bool], ...]

    @staticmethod
    def topology_of(group: GlobalCluster) -> tuple[tuple[str, bool], ...]:
        """Return the members of a global cluster by their ids, with their roles."""
        return tuple(sorted((member.cluster.volume_id, member.writer) for member in group.members))

    def changed(self) -> str | None:
        """Return what is wrong when blue's members are not those that green was made for."""
        if self.topology_of(self.blue) == self.topology:
            return None
        return (
            f"The topology of the global database {self.blue.identifier} has changed since the blue/green deployment was "
            "created. Delete the blue/green deployment and create it again."
        )


@dataclass
class Deployment:
    """A deployment. `api` has what is stored of BlueGreenDeployment; the rest is derived when it is described."""

    api: Shape
    blue: Cluster  # of a stand-alone instance too, where no API shows it
    green: Cluster
    pairs: list[Pair]
    tasks: list[Task]
    tags: dict[str, str] = field(default_factory=dict)
    link: Link | None = None
    worlds: Worlds | None = None  # of a global database
    metadata: bool = False  # the rows that the clients' drivers read are there
    unwritten: bool = False  # they are older than the deployment's state, because a server could not be reached
    reported: str | None = None  # what is wrong with the replication, as far as an event has said it
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)  # of the link

    @property
    def identifier(self) -> str:
        """BlueGreenDeploymentIdentifier; the name of the queue of its work too."""
        return str(self.api["BlueGreenDeploymentIdentifier"])

    @property
    def name(self) -> str:
        """BlueGreenDeploymentName."""
        return str(self.api["BlueGreenDeploymentName"])

    @property
    def status(self) -> str:
        """Status, without what is derived."""
        return str(self.api["Status"])

    @status.setter
    def status(self, value: str) -> None:
        self.api["Status"] = value

    @property
    def standalone(self) -> bool:
        """Whether it is one of DB instances without a cluster."""
        return isinstance(self.pairs[0].source, Instance)

    @property
    def replicas(self) -> list[Pair]:
        """Its read replicas, when it is one of a DB instance."""
        return self.pairs[1:] if self.standalone else []

    def volumes(self) -> list[str]:
        """The ids of the volumes of both sides."""
        of = [one if isinstance(one, Cluster) else one.cluster for one in self.members()]
        return list(dict.fromkeys(cluster.volume_id for cluster in of))

    def mark(self, status: str) -> None:
        """Give the deployment and all its members a status."""
        self.status = status
        for pair in self.pairs:
            pair.status = status

    def task(self, name: str, status: str) -> None:
        """Give a task its status."""
        for task in self.tasks:
            if task.name == name:
                task.status = status

    def members(self) -> Iterator[Cluster | Instance]:
        """The clusters and instances of both sides."""
        for pair in self.pairs:
            yield pair.source
            if pair.target is not None:
                yield pair.target


@dataclass
class Knobs:
    """What `Lab.faults.managed` turns; None and empty are as on a good day. Times are seconds."""

    dns_delay: float = 1.0  # after green is open, until production's names lead to it
    metadata_delay: float = 0.0  # after the deployment is available, until its metadata is there
    provisioning: float = 0.2  # of each task, besides what it takes
    hold: dict[str, float] = field(default_factory=dict)  # of a phase, one of PHASES
    timeout: float | None = None  # instead of the SwitchoverTimeout that is asked for
    fail_provisioning: str | None = None  # the reason
    fail_switchover: str | None = None  # the reason: nobody could write any more, and it could not be ended
    invalid: str | None = None  # the reason
    degrade: str | None = None  # the change that the replication cannot carry
    missing: str | None = None  # source or target: of the last member
    broken_link: str | None = None  # the error of the replication, such as IOError: 1236, reason: ...
    lag: float | None = None  # of green
    freeze_metadata: bool = False  # blue keeps its rows when its writes stop, green has none any more

    def turn(self, knobs: Mapping[str, Any]) -> None:
        """Turn some of them; raises ValueError for one that does not exist or cannot have the value."""
        names = [one.name for one in fields(self)]
        for name, value in knobs.items():
            if name not in names:
                raise ValueError(f"there is no knob {name!r} of a managed deployment; knobs are {', '.join(names)}")
            if name == "missing" and value not in (None, *MISSING):
                raise ValueError(f"missing is source or target, not {value!r}")
            if name == "hold" and set(value) - set(PHASES):
                raise ValueError(f"hold prolongs {', '.join(PHASES)}")
            setattr(self, name, value)

    def health(self, found: Health) -> Health:
        """Return the health of a replication with what is broken on purpose."""
        if self.broken_link is not None:
            return Health(False, found.lag_seconds, self.broken_link)
        return found if self.lag is None else Health(found.running, self.lag, found.error)


class Managed:
    """Every deployment of the lab, by Region; `make_link` makes what is between the servers of blue and green.

    `replica_health` looks how the read replica of a DB instance follows it.
    """

    def __init__(self) -> None:
        self.make_link: Callable[[ControlPlane, Region, Cluster, Cluster, bool], Link] | None = None
        self.replica_health: Callable[[ControlPlane, Region, Cluster, Cluster], Health] | None = None
        self.knobs = Knobs()
        self._deployments: dict[str, dict[str, Deployment]] = {}

    def of(self, region: Region) -> dict[str, Deployment]:
        """Return the deployments of a Region, by identifier."""
        return self._deployments.setdefault(region.name, {})

    def having(self, record: Cluster | Instance) -> Deployment | None:
        """Return the deployment that a record is a member of."""
        for deployments in self._deployments.values():
            for deployment in deployments.values():
                if any(member is record for member in deployment.members()):
                    return deployment
        return None

    def clear(self) -> None:
        """Turn every knob back."""
        self.knobs = Knobs()
