# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Managed Blue/Green Deployments of DB instances with read replicas on real servers: every replica gets a counterpart."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psycopg2
import pymysql
import pytest

from tests.lab.lab import Blue, Lab
from tests.lab.tools import wait_until

SECONDS = 60.0


@dataclass
class Shop:
    """A DB instance with a read replica, and its deployment."""

    lab: Lab
    blue: Blue

    @property
    def rds(self) -> Any:
        """The client."""
        return self.lab.client("rds")

    def instance(self, name: str) -> dict[str, Any]:
        """An instance as described."""
        found: dict[str, Any] = self.rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
        return found

    def deployment(self) -> dict[str, Any]:
        """The deployment as described."""
        filters = [{"Name": "blue-green-deployment-name", "Values": [self.blue.cluster]}]
        found: dict[str, Any] = self.rds.describe_blue_green_deployments(Filters=filters)["BlueGreenDeployments"][0]
        return found

    def connect(self, name: str) -> Any:
        """A session of the master user on an instance."""
        host, blue = self.instance(name)["Endpoint"]["Address"], self.blue
        login: dict[str, Any] = {"port": blue.port, "user": blue.user, "password": blue.password}
        if blue.engine == "postgres":
            tls: dict[str, Any] = {"sslmode": "verify-full", "sslrootcert": self.lab.ca_file, "dbname": blue.database}
            opened: Any = psycopg2.connect(host=host, hostaddr=self.lab.address(host), **tls, **login)
            opened.autocommit = True
            return opened
        options: dict[str, Any] = {"ssl_ca": self.lab.ca_file, "ssl_verify_identity": False, "database": blue.database}
        return pymysql.connect(host=self.lab.address(host), autocommit=True, **options, **login)

    def query(self, name: str, *statements: str) -> list[tuple[Any, ...]]:
        """The rows of the last statement, run by the master user on an instance."""
        found: list[tuple[Any, ...]] = []
        with closing(self.connect(name)) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
                found = list(cursor.fetchall()) if cursor.description else []
        return found

    def has(self, name: str, *numbers: int) -> None:
        """Wait until an instance has these orders."""
        wanted = [(number,) for number in numbers]
        order = "SELECT id FROM orders ORDER BY id"
        wait_until(lambda: self.query(name, order) == wanted, SECONDS, f"{numbers} on {name}")

    def wait(self, status: str) -> dict[str, Any]:
        """Wait for a status of the deployment, and return it."""
        failed = ("INVALID_CONFIGURATION", "SWITCHOVER_FAILED")
        wait_until(lambda: self.deployment()["Status"] in (status, *failed), SECONDS, f"the deployment to be {status}")
        found = self.deployment()
        assert found["Status"] == status, found.get("StatusDetails") or found
        return found

    def replicates(self, name: str) -> dict[str, Any]:
        """What an instance says of its replication."""
        (found,) = self.instance(name)["StatusInfos"]
        return dict(found)

    @property
    def replica(self) -> str:
        """The read replica's name."""
        return f"{self.blue.cluster}-r1"

    def made(self) -> Shop:
        """Give the instance a row, a read replica and a deployment that can be switched over."""
        self.query(self.blue.cluster, "CREATE TABLE orders (id int PRIMARY KEY)", "INSERT INTO orders VALUES (1)")
        self.rds.create_db_instance_read_replica(
            DBInstanceIdentifier=self.replica, SourceDBInstanceIdentifier=self.blue.cluster
        )
        wait_until(lambda: self.instance(self.replica)["DBInstanceStatus"] == "available", SECONDS, "the replica")
        source = self.instance(self.blue.cluster)["DBInstanceArn"]
        self.rds.create_blue_green_deployment(BlueGreenDeploymentName=self.blue.cluster, Source=source)
        self.wait("AVAILABLE")
        return self

    def greens(self) -> tuple[str, str]:
        """The names of green and of its read replica."""
        one, other = (pair["TargetMember"].rpartition(":")[2] for pair in self.deployment()["SwitchoverDetails"])
        return one, other


@pytest.fixture(scope="module")
def shops() -> Iterator[dict[str, Shop]]:
    """RDS for PostgreSQL, whose green is a physical replica, and RDS for MySQL without GTIDs."""
    with Lab.start(names=True) as lab, ThreadPoolExecutor(2) as pool:
        lab.faults.managed(provisioning=0.02, dns_delay=0.3)
        postgresql = pool.submit(lambda: Shop(lab, lab.seed_rds_postgresql("pg")).made())
        mysql = Shop(lab, lab.seed_rds_mysql("my", gtid=False)).made()
        yield {"postgres": postgresql.result(), "mysql": mysql}


@pytest.fixture(params=["postgres", "mysql"])
def shop(shops: dict[str, Shop], request: pytest.FixtureRequest) -> Shop:
    """Each of them, in the order of a deployment's life."""
    return shops[request.param]


def test_green_has_blues_topology_and_its_replica_follows_green(shop: Shop) -> None:
    found, (green, replica) = shop.deployment(), shop.greens()
    assert [task["Name"] for task in found["Tasks"]][-1] == "CREATING_TOPOLOGY_OF_SOURCE"
    assert [pair["SourceMember"].rpartition(":")[2] for pair in found["SwitchoverDetails"]] == [
        shop.blue.cluster,
        shop.replica,
    ]
    assert shop.instance(replica)["ReadReplicaSourceDBInstanceIdentifier"] == green
    assert shop.instance(green)["ReadReplicaDBInstanceIdentifiers"] == [replica]
    shop.query(shop.blue.cluster, "INSERT INTO orders VALUES (2)")
    for name in (shop.replica, green, replica):
        shop.has(name, 1, 2)
    for name in (shop.replica, replica):
        assert shop.replicates(name)["Status"] == "replicating"
    only_reads = {"postgres": "SELECT pg_is_in_recovery()::int", "mysql": "SELECT @@read_only"}[shop.blue.engine]
    assert shop.query(replica, only_reads) == [(1,)]


def test_a_replica_of_green_that_stands_still_says_so_and_nothing_else_does(shops: dict[str, Shop]) -> None:
    shop = shops["mysql"]
    _green, replica = shop.greens()
    shop.query(replica, "CALL mysql.rds_stop_replication")
    wait_until(lambda: shop.replicates(replica)["Status"] == "stopped", SECONDS, "it to be told")
    assert "StatusDetails" not in shop.deployment()
    shop.query(replica, "CALL mysql.rds_start_replication")
    wait_until(lambda: shop.replicates(replica)["Status"] == "replicating", SECONDS, "it to follow again")


def test_every_member_gets_its_name_and_each_replica_goes_on_with_its_own_source(shop: Shop) -> None:
    name, replica, (green, copy) = shop.blue.cluster, shop.replica, shop.greens()
    resources = [shop.instance(one)["DbiResourceId"] for one in (green, copy)]
    with closing(shop.connect(replica)) as client:
        shop.rds.switchover_blue_green_deployment(
            BlueGreenDeploymentIdentifier=shop.deployment()["BlueGreenDeploymentIdentifier"]
        )
        done = shop.wait("SWITCHOVER_COMPLETED")
        with pytest.raises((psycopg2.Error, pymysql.MySQLError)):
            client.cursor().execute("SELECT 1")
    pairs = [
        tuple(pair[side].rpartition(":")[2] for side in ("SourceMember", "TargetMember"))
        for pair in done["SwitchoverDetails"]
    ]
    assert pairs == [(f"{name}-old1", name), (f"{replica}-old1", replica)]
    assert [shop.instance(one)["DbiResourceId"] for one in (name, replica)] == resources
    shop.query(name, "INSERT INTO orders VALUES (4)")
    shop.has(replica, 1, 2, 4)
    shop.has(f"{replica}-old1", 1, 2)
    sources = {one: shop.instance(one)["ReadReplicaSourceDBInstanceIdentifier"] for one in (replica, f"{replica}-old1")}
    assert sources == {replica: name, f"{replica}-old1": f"{name}-old1"}


def test_the_old_replica_follows_old_production_that_is_written_to_again(shop: Shop) -> None:
    identifier = shop.deployment()["BlueGreenDeploymentIdentifier"]
    shop.rds.delete_blue_green_deployment(BlueGreenDeploymentIdentifier=identifier)
    old = f"{shop.blue.cluster}-old1"
    gone = [{"Name": "blue-green-deployment-identifier", "Values": [identifier]}]
    wait_until(
        lambda: not shop.rds.describe_blue_green_deployments(Filters=gone)["BlueGreenDeployments"], SECONDS, "its end"
    )
    shop.query(old, "INSERT INTO orders VALUES (-1)")
    shop.has(f"{shop.replica}-old1", -1, 1, 2)
    shop.has(shop.replica, 1, 2, 4)
