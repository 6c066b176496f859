# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A control plane over a fake engine, in this process, with real boto3 clients in front of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.lab.control_plane.addresses import Addresses
from tests.lab.control_plane.clock import DELAYS, Clock
from tests.lab.control_plane.knobs import Knobs
from tests.lab.control_plane.plane import ControlPlane
from tests.lab.control_plane.server import Endpoint
from tests.lab.tools import RDS_MYSQL, RDS_POSTGRESQL
from tests.unit.lab.control_plane.fake_engine import (
    AURORA,
    MYSQL,
    NEPTUNE,
    FakeEngine,
    FakeMySQL,
    FakeNeptune,
    FakeRdsMySQL,
    FakeRdsPostgreSQL,
)

DELAY = 0.03


@dataclass
class Aws:
    """One lab for one test."""

    plane: ControlPlane
    engine: FakeEngine
    mysql: FakeMySQL
    endpoint: Endpoint
    rds: Any
    knobs: Knobs

    def slow(self, *states: str) -> None:
        """Make some states long enough to be seen on a busy machine."""
        for state in states:
            self.plane.clock.set_delay(state, 0.6)

    def status(self, cluster: str) -> str:
        """The cluster's status."""
        return str(self.cluster(cluster)["Status"])

    def cluster(self, cluster: str) -> dict[str, Any]:
        """The cluster as described."""
        found: dict[str, Any] = self.rds.describe_db_clusters(DBClusterIdentifier=cluster)["DBClusters"][0]
        return found

    def instance(self, instance: str) -> dict[str, Any]:
        """The instance as described."""
        found: dict[str, Any] = self.rds.describe_db_instances(DBInstanceIdentifier=instance)["DBInstances"][0]
        return found

    def until(self, what: Callable[[], bool]) -> None:
        """Wait for something to become true."""
        end = time.monotonic() + 10
        while not what():
            assert time.monotonic() < end, "it did not become true in 10 s"
            time.sleep(0.01)

    def settled(self, cluster: str) -> None:
        """Wait until a cluster and its instances are available with nothing pending."""

        def ready() -> bool:
            found = self.cluster(cluster)
            members = [self.instance(member["DBInstanceIdentifier"]) for member in found["DBClusterMembers"]]
            return (
                found["Status"] == "available"
                and not found.get("PendingModifiedValues")
                and all(m["DBInstanceStatus"] == "available" and not m["PendingModifiedValues"] for m in members)
            )

        self.until(ready)

    def create(
        self,
        cluster: str = "shop",
        version: str = "16.14",
        instances: int = 1,
        engine: str = AURORA,
        **options: Any,
    ) -> None:
        """Create a cluster with instances and wait for them."""
        self.rds.create_db_cluster(
            DBClusterIdentifier=cluster,
            Engine=engine,
            EngineVersion=version,
            MasterUsername="admin1",
            MasterUserPassword="first+Pass-word",
            DatabaseName="shop",
            **options,
        )
        for number in range(1, instances + 1):
            self.rds.create_db_instance(
                DBInstanceIdentifier=f"{cluster}-{number}",
                DBClusterIdentifier=cluster,
                Engine=engine,
                DBInstanceClass="db.r6g.large",
            )
        self.settled(cluster)

    def create_graph(
        self, cluster: str = "graph", version: str = "1.2.1.0", instances: int = 1, **options: Any
    ) -> None:
        """Create a cluster of Neptune with instances and wait for them."""
        self.rds.create_db_cluster(DBClusterIdentifier=cluster, Engine=NEPTUNE, EngineVersion=version, **options)
        for number in range(1, instances + 1):
            self.rds.create_db_instance(
                DBInstanceIdentifier=f"{cluster}-{number}",
                DBClusterIdentifier=cluster,
                Engine=NEPTUNE,
                DBInstanceClass="db.r6g.large",
            )
        self.settled(cluster)

    def clone(self, source: str = "shop", target: str = "green", **options: Any) -> dict[str, Any]:
        """Ask for a copy-on-write clone."""
        found: dict[str, Any] = self.rds.restore_db_cluster_to_point_in_time(
            SourceDBClusterIdentifier=source,
            DBClusterIdentifier=target,
            RestoreType="copy-on-write",
            UseLatestRestorableTime=True,
            **options,
        )["DBCluster"]
        return found

    def messages(self, source_type: str, identifier: str) -> list[str]:
        """The messages of a source's events."""
        events = self.rds.describe_events(SourceType=source_type, SourceIdentifier=identifier)["Events"]
        return [str(event["Message"]) for event in events]

    def world(self, group: str = "world") -> dict[str, Any]:
        """The global cluster as described."""
        found: dict[str, Any] = self.rds.describe_global_clusters(GlobalClusterIdentifier=group)["GlobalClusters"][0]
        return found


@dataclass
class World:
    """The global cluster world: shop in us-east-1 with shop-1, shop-eu in eu-west-1 with shop-eu-1."""

    aws: Aws
    eu: Any

    def secondary(self) -> dict[str, Any]:
        """The secondary cluster as described."""
        found: dict[str, Any] = self.eu.describe_db_clusters(DBClusterIdentifier="shop-eu")["DBClusters"][0]
        return found

    def settled(self) -> None:
        """Wait until the global cluster and its members with their instances are available and connected."""

        def ready() -> bool:
            groups = self.aws.rds.describe_global_clusters()["GlobalClusters"]
            members = [member for group in groups for member in group["GlobalClusterMembers"]]
            instances = self.eu.describe_db_instances()["DBInstances"]
            return (
                all(group["Status"] == "available" for group in groups)
                and all(member["SynchronizationStatus"] == "connected" for member in members)
                and self.secondary()["Status"] == "available"
                and all(instance["DBInstanceStatus"] == "available" for instance in instances)
            )

        self.aws.settled("shop")
        self.aws.until(ready)

    def keep_primary_busy(self) -> None:
        """Let the primary do something for a moment, though its status is available; copies of it wait for that."""
        self.aws.slow("settling")
        self.aws.rds.modify_db_cluster(
            DBClusterIdentifier="shop", MasterUserPassword="another-Pass1", ApplyImmediately=True
        )

    def switchover(self, target: str | None = None, **options: Any) -> dict[str, Any]:
        """Ask for a switchover, to shop-eu unless said otherwise."""
        found: dict[str, Any] = self.aws.rds.switchover_global_cluster(
            GlobalClusterIdentifier="world",
            TargetDbClusterIdentifier=target or self.secondary()["DBClusterArn"],
            **options,
        )["GlobalCluster"]
        return found

    def writers(self) -> list[str]:
        """The instances that are writers, of both Regions."""
        shapes = [self.aws.cluster("shop"), self.secondary()]
        members = [member for shape in shapes for member in shape["DBClusterMembers"]]
        return [str(member["DBInstanceIdentifier"]) for member in members if member["IsClusterWriter"]]


def refused(code: str, call: Callable[..., Any], **arguments: Any) -> str:
    """Insist that a call is refused with an error code; return the message."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    assert caught.value.response["Error"]["Code"] == code, caught.value
    return str(caught.value.response["Error"]["Message"])


def new_plane() -> tuple[ControlPlane, FakeEngine, FakeMySQL]:
    """A control plane with short states over engines of its own."""
    engine, mysql = FakeEngine(), FakeMySQL()
    engines = {
        AURORA: engine,
        MYSQL: mysql,
        NEPTUNE: FakeNeptune(),
        RDS_POSTGRESQL: FakeRdsPostgreSQL(),
        RDS_MYSQL: FakeRdsMySQL(),
    }
    plane = ControlPlane(engines, Addresses(), Clock(dict.fromkeys(DELAYS, DELAY)))
    return plane, engine, mysql


@pytest.fixture(scope="session")
def endpoint() -> Iterator[Endpoint]:
    """One endpoint for all tests: starting it and making clients takes longer than a test."""
    plane = new_plane()[0]
    started = Endpoint(plane, lambda: None)
    started.start()
    plane.close()
    yield started
    started.stop()


@pytest.fixture(scope="session")
def rds(endpoint: Endpoint) -> Any:
    """The client of the endpoint."""
    return endpoint.client("rds")


@pytest.fixture
def aws(endpoint: Endpoint, rds: Any) -> Iterator[Aws]:
    """A fresh lab."""
    plane, engine, mysql = new_plane()
    endpoint.serve(plane, lambda: None)
    yield Aws(plane, engine, mysql, endpoint, rds, Knobs(plane, lambda: None))
    plane.close()


@pytest.fixture(scope="session")
def eu(endpoint: Endpoint) -> Any:
    """The client of the endpoint in another Region."""
    return endpoint.client("rds", "eu-west-1")


@pytest.fixture(scope="session")
def ap(endpoint: Endpoint) -> Any:
    """The client of the endpoint in a third Region."""
    return endpoint.client("rds", "ap-south-1")


def new_world(aws: Aws, eu: Any, version: str = "16.14") -> World:
    """A global cluster over two Regions."""
    aws.create(version=version)
    source = aws.cluster("shop")["DBClusterArn"]
    aws.rds.create_global_cluster(GlobalClusterIdentifier="world", SourceDBClusterIdentifier=source)
    aws.until(lambda: aws.world()["Status"] == "available")
    eu.create_db_cluster(DBClusterIdentifier="shop-eu", Engine=AURORA, GlobalClusterIdentifier="world")
    eu.create_db_instance(
        DBInstanceIdentifier="shop-eu-1",
        DBClusterIdentifier="shop-eu",
        Engine=AURORA,
        DBInstanceClass="db.r6g.large",
    )
    world = World(aws, eu)
    world.settled()
    return world


@pytest.fixture
def world(aws: Aws, eu: Any) -> World:
    """A global cluster over two Regions."""
    return new_world(aws, eu)


@pytest.fixture(scope="module")
def shared_world(endpoint: Endpoint, rds: Any, eu: Any) -> Iterator[World]:
    """A global cluster over two Regions, and beside it the cluster `other`."""
    plane, engine, mysql = new_plane()
    endpoint.serve(plane, lambda: None)
    world = new_world(Aws(plane, engine, mysql, endpoint, rds, Knobs(plane, lambda: None)), eu)
    world.aws.create("other", instances=0)
    yield world
    plane.close()


@pytest.fixture
def quiet_world(endpoint: Endpoint, shared_world: World) -> World:
    """A global cluster for a test that changes nothing."""
    endpoint.serve(shared_world.aws.plane, lambda: None)
    return shared_world


@pytest.fixture
def world_1610(aws: Aws, eu: Any) -> World:
    """A global cluster over two Regions that can be upgraded to a minor version."""
    return new_world(aws, eu, "16.10")
