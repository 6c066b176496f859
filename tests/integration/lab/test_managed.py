# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Managed Blue/Green Deployments on real servers, used by nothing but boto3 and the engines' drivers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psycopg2
import pymysql
import pytest

from tests.lab.engine import EngineError
from tests.lab.lab import Blue, Lab
from tests.lab.tools import POSTGRESQL, production_group, wait_until

SECONDS = 90.0
APP, SECRET = "app", "App-password-1"
Connection = Any


@pytest.fixture(scope="module")
def named() -> Iterator[Lab]:
    """A lab with host names."""
    with Lab.start(names=True) as lab:
        lab.faults.managed(dns_delay=0.5, provisioning=0.05)
        yield lab


def mysql(lab: Lab, host: str, port: int, user: str, password: str) -> Connection:
    """A connection to where a host name leads now."""
    facts: dict[str, Any] = {
        "user": user,
        "password": password,
        "database": "shop",
        "autocommit": True,
        "connect_timeout": 3,
    }
    return pymysql.connect(host=lab.address(host), port=port, ssl_ca=lab.ca_file, ssl_verify_identity=False, **facts)


def postgresql(lab: Lab, host: str, port: int, user: str, password: str) -> Connection:
    """A connection to where a host name leads now, whose certificate is valid for the name."""
    connection = psycopg2.connect(
        host=host,
        hostaddr=lab.address(host),
        port=port,
        user=user,
        password=password,
        dbname="shop",
        sslmode="verify-full",
        sslrootcert=lab.ca_file,
        connect_timeout=3,
    )
    connection.autocommit = True
    return connection


@dataclass
class Shop:
    """A production cluster, how to connect to it, and its deployment."""

    lab: Lab
    blue: Blue
    connect: Callable[..., Connection]

    @property
    def rds(self) -> Any:
        """The client."""
        return self.lab.client("rds")

    def query(self, host: str, statement: str, user: str = "", password: str = "") -> list[tuple[Any, ...]]:
        """The rows of a statement, of the master user unless another is named."""
        found = self.connect(self.lab, host, self.blue.port, user or self.blue.user, password or self.blue.password)
        with closing(found) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []

    def app(self, host: str, statement: str) -> list[tuple[Any, ...]]:
        """The rows of a statement of the application's user."""
        return self.query(host, statement, APP, SECRET)

    def wait_for(self, host: str, statement: str, rows: list[tuple[Any, ...]]) -> None:
        """Wait until a statement of the application's user has these rows."""
        wait_until(lambda: self.app(host, statement) == rows, SECONDS, f"{rows} on {host}")

    def deployment(self) -> dict[str, Any]:
        """The deployment as described."""
        filters = [{"Name": "blue-green-deployment-name", "Values": [f"{self.blue.cluster}-bg"]}]
        found: dict[str, Any] = self.rds.describe_blue_green_deployments(Filters=filters)["BlueGreenDeployments"][0]
        return found

    def cluster(self, arn: str) -> dict[str, Any]:
        """A cluster as described."""
        found: dict[str, Any] = self.rds.describe_db_clusters(DBClusterIdentifier=arn)["DBClusters"][0]
        return found

    def create(self, **options: Any) -> dict[str, Any]:
        """Make the deployment and wait for it; return green."""
        source = self.cluster(self.blue.cluster)["DBClusterArn"]
        self.rds.create_blue_green_deployment(
            BlueGreenDeploymentName=f"{self.blue.cluster}-bg", Source=source, **options
        )
        self.wait("AVAILABLE")
        return self.cluster(self.deployment()["Target"])

    def wait(self, status: str) -> None:
        """Wait for a status of the deployment; a deployment that became invalid fails with its details."""

        def there() -> bool:
            found = self.deployment()
            if found["Status"] in ("INVALID_CONFIGURATION", "SWITCHOVER_FAILED") and found["Status"] != status:
                raise AssertionError(found)
            return bool(found["Status"] == status)

        wait_until(there, SECONDS, f"the deployment to be {status}")

    def switch(self, seconds: int = 60) -> None:
        """Ask for the switchover."""
        self.rds.switchover_blue_green_deployment(
            BlueGreenDeploymentIdentifier=self.deployment()["BlueGreenDeploymentIdentifier"],
            SwitchoverTimeout=seconds,
        )

    def messages(self) -> list[str]:
        """The messages of the deployment's events."""
        identifier = self.deployment()["BlueGreenDeploymentIdentifier"]
        kind = "blue-green-deployment"
        found = self.rds.describe_events(SourceType=kind, SourceIdentifier=identifier)["Events"]
        return [event["Message"] for event in found]


class Writer(threading.Thread):
    """The application: writes through the production name and keeps what was acknowledged."""

    def __init__(self, shop: Shop) -> None:
        super().__init__(daemon=True)
        self._shop = shop
        self._ended = threading.Event()
        self.acknowledged: list[int] = []
        self.failures = 0

    def run(self) -> None:
        """Write until it is told to end, over one connection as long as that holds."""
        number, shop = 1000, self._shop
        while not self._ended.is_set():
            try:
                host, port = shop.blue.host, shop.blue.port
                with closing(shop.connect(shop.lab, host, port, APP, SECRET)) as connection:
                    while not self._ended.is_set():
                        number += 1
                        with connection.cursor() as cursor:
                            cursor.execute("INSERT INTO orders VALUES (%s)", (number,))
                        self.acknowledged.append(number)
                        time.sleep(0.005)
            except (pymysql.MySQLError, psycopg2.Error):
                self.failures += 1
                time.sleep(0.02)

    def end(self) -> None:
        """Wait until the last write is decided."""
        self._ended.set()
        self.join()


def switched_under_load(shop: Shop) -> Writer:
    """Switch over while the application writes; it goes on for a moment afterwards."""
    writer = Writer(shop)
    writer.start()
    wait_until(lambda: len(writer.acknowledged) > 20, SECONDS, "the application to write")
    shop.switch()
    shop.wait("SWITCHOVER_COMPLETED")
    before = len(writer.acknowledged)
    wait_until(lambda: len(writer.acknowledged) > before + 20, SECONDS, "the application to write again")
    writer.end()
    return writer


MYSQL_STATEMENTS = (
    "CREATE TABLE orders (id int PRIMARY KEY)",
    "INSERT INTO orders VALUES (1)",
    f"CREATE USER {APP}@'%' IDENTIFIED BY '{SECRET}'",
    f"GRANT SELECT, INSERT ON shop.* TO {APP}@'%'",
    f"GRANT SELECT ON mysql.rds_topology TO {APP}@'%'",
)
POSTGRESQL_STATEMENTS = (
    "CREATE TABLE orders (id int PRIMARY KEY)",
    "INSERT INTO orders VALUES (1)",
    "CREATE SEQUENCE numbers",
    f"CREATE ROLE {APP} LOGIN PASSWORD '{SECRET}'",
    f"GRANT SELECT, INSERT ON orders TO {APP}",
)


def prepare(shop: Shop, statements: tuple[str, ...]) -> Shop:
    """Give a production a row and an application's user."""
    for statement in statements:
        shop.query(shop.blue.host, statement)
    return shop


@pytest.fixture(scope="module")
def my_shop(named: Lab) -> Shop:
    """Aurora MySQL with a reader."""
    return prepare(Shop(named, named.seed_mysql("my", readers=1), mysql), MYSQL_STATEMENTS)


@pytest.fixture(scope="module")
def pg_shop(named: Lab) -> Shop:
    """Aurora PostgreSQL with a writer alone."""
    return prepare(Shop(named, named.seed_postgresql("pg", readers=0), postgresql), POSTGRESQL_STATEMENTS)


@pytest.fixture(scope="module")
def my_green(my_shop: Shop) -> dict[str, Any]:
    """The green of Aurora MySQL."""
    return my_shop.create()


@pytest.fixture(scope="module")
def pg_green(pg_shop: Shop) -> dict[str, Any]:
    """The green of Aurora PostgreSQL, of another major version."""
    production_group(pg_shop.rds, "pg-green", POSTGRESQL, "18.4", {"work_mem": "8192"})
    return pg_shop.create(TargetEngineVersion="18.4", TargetDBClusterParameterGroupName="pg-green")


class TestMySQL:
    """Aurora MySQL, in the order of a deployment's life."""

    TOPOLOGY = "SELECT role, endpoint, port, status FROM mysql.rds_topology ORDER BY role"

    def test_green_reads_and_follows(self, my_shop: Shop, my_green: dict[str, Any]) -> None:
        my_shop.app(my_shop.blue.host, "INSERT INTO orders VALUES (2)")
        my_shop.wait_for(my_green["Endpoint"], "SELECT id FROM orders ORDER BY id", [(1,), (2,)])
        with pytest.raises(pymysql.MySQLError, match="read-only"):
            my_shop.app(my_green["Endpoint"], "INSERT INTO orders VALUES (3)")
        expected = [
            (f"BLUE_GREEN_DEPLOYMENT_{role}", host, my_shop.blue.port, "AVAILABLE")
            for role, host in (("SOURCE", my_shop.blue.host), ("TARGET", my_green["Endpoint"]))
        ]
        for host in (my_shop.blue.host, my_green["Endpoint"], my_green["ReaderEndpoint"]):
            my_shop.wait_for(host, self.TOPOLOGY, expected)

    def test_a_write_on_green_that_collides_stops_the_switchover(self, my_shop: Shop, my_green: dict[str, Any]) -> None:
        my_shop.query(my_green["Endpoint"], "INSERT INTO orders VALUES (7)")  # the master user may
        my_shop.app(my_shop.blue.host, "INSERT INTO orders VALUES (7)")
        details = "Read Replica Replication Error - SQLError: 1062"
        wait_until(
            lambda: my_shop.deployment().get("StatusDetails", "").startswith(details), SECONDS, "the error to be told"
        )
        my_shop.switch()
        canceled = "was canceled due to Correct the replication errors and then switch over."
        wait_until(lambda: any(canceled in m for m in my_shop.messages()), SECONDS, "the switchover to be canceled")
        my_shop.app(my_shop.blue.host, "INSERT INTO orders VALUES (8)")
        my_shop.query(my_green["Endpoint"], "DELETE FROM orders WHERE id = 7")
        my_shop.query(my_green["Endpoint"], "CALL mysql.rds_stop_replication")
        my_shop.query(my_green["Endpoint"], "CALL mysql.rds_start_replication")
        wait_until(lambda: "StatusDetails" not in my_shop.deployment(), SECONDS, "the replication to be healthy")

    def test_a_timeout_gives_the_writes_back(self, my_shop: Shop, my_green: dict[str, Any]) -> None:
        my_shop.lab.faults.managed(timeout=1.2, hold={"WRITES_STOPPED": 5.0})
        try:
            my_shop.switch()
            wait_until(
                lambda: "Switchover canceled on blue/green deployment." in my_shop.messages()[-1:],
                SECONDS,
                "the switchover to be canceled",
            )
        finally:
            my_shop.lab.faults.managed(timeout=None, hold={})
        my_shop.app(my_shop.blue.host, "INSERT INTO orders VALUES (9)")
        with pytest.raises(pymysql.MySQLError, match="read-only"):
            my_shop.app(my_green["Endpoint"], "INSERT INTO orders VALUES (10)")

    def test_no_acknowledged_write_is_lost(self, my_shop: Shop, my_green: dict[str, Any]) -> None:
        writer = switched_under_load(my_shop)
        assert writer.failures
        found = {number for (number,) in my_shop.app(my_shop.blue.host, "SELECT id FROM orders")}
        assert set(writer.acknowledged) <= found
        now = my_shop.cluster("my")
        assert now["DbClusterResourceId"] == my_green["DbClusterResourceId"] and now["Endpoint"] == my_shop.blue.host
        with pytest.raises(pymysql.MySQLError, match="read-only"):
            my_shop.app(my_shop.cluster("my-old1")["Endpoint"], "INSERT INTO orders VALUES (-1)")
        my_shop.wait_for(my_shop.blue.host, self.TOPOLOGY, [])
        with pytest.raises(EngineError, match="no host"):
            my_shop.lab.address(my_green["Endpoint"])
        writer_name = next(m["DBInstanceIdentifier"] for m in my_green["DBClusterMembers"] if m["IsClusterWriter"])
        told = my_shop.rds.describe_events(SourceType="db-instance", SourceIdentifier=writer_name)["Events"][-1]
        assert told["Message"].startswith(
            "Binary log coordinates in green environment after switchover: file mysql-bin"
        )

    def test_without_the_deployment_old_production_can_be_written_to(
        self, my_shop: Shop, my_green: dict[str, Any]
    ) -> None:
        identifier = my_shop.deployment()["BlueGreenDeploymentIdentifier"]
        my_shop.rds.delete_blue_green_deployment(BlueGreenDeploymentIdentifier=identifier)
        filters = [{"Name": "blue-green-deployment-identifier", "Values": [identifier]}]

        def gone() -> bool:
            return not my_shop.rds.describe_blue_green_deployments(Filters=filters)["BlueGreenDeployments"]

        wait_until(gone, SECONDS, "the deployment to be gone")
        my_shop.app(my_shop.cluster("my-old1")["Endpoint"], "INSERT INTO orders VALUES (-2)")
        my_shop.app(my_shop.blue.host, "INSERT INTO orders VALUES (-3)")


class TestPostgreSQL:
    """Aurora PostgreSQL, in the order of a deployment's life."""

    TOPOLOGY = "SELECT role, status FROM pg_catalog.get_blue_green_fast_switchover_metadata('test') ORDER BY role"

    def test_green_is_upgraded_reads_and_follows(self, pg_shop: Shop, pg_green: dict[str, Any]) -> None:
        assert pg_shop.query(pg_green["Endpoint"], "SHOW server_version_num")[0][0].startswith("18")
        pg_shop.app(pg_shop.blue.host, "INSERT INTO orders VALUES (2)")
        pg_shop.wait_for(pg_green["Endpoint"], "SELECT id FROM orders ORDER BY id", [(1,), (2,)])
        with pytest.raises(psycopg2.Error, match="read-only"):
            pg_shop.app(pg_green["Endpoint"], "INSERT INTO orders VALUES (3)")
        expected = [(f"BLUE_GREEN_DEPLOYMENT_{role}", "AVAILABLE") for role in ("SOURCE", "TARGET")]
        for host in (pg_shop.blue.host, pg_green["Endpoint"]):
            pg_shop.wait_for(host, self.TOPOLOGY, expected)

    def test_green_stays_what_it_is_when_it_is_rebooted(self, pg_shop: Shop, pg_green: dict[str, Any]) -> None:
        for member in pg_green["DBClusterMembers"]:
            if member["IsClusterWriter"]:
                assert member["DBClusterParameterGroupStatus"] == "in-sync"  # since it was upgraded
                pg_shop.rds.reboot_db_instance(DBInstanceIdentifier=member["DBInstanceIdentifier"])
        pg_shop.lab.wait_available(pg_green["DBClusterIdentifier"])
        assert pg_shop.query(pg_green["Endpoint"], "SHOW work_mem") == [("8MB",)]
        with pytest.raises(psycopg2.Error, match="read-only"):
            pg_shop.app(pg_green["Endpoint"], "INSERT INTO orders VALUES (3)")

    def test_no_acknowledged_write_is_lost(self, pg_shop: Shop, pg_green: dict[str, Any]) -> None:
        pg_shop.query(pg_shop.blue.host, "SELECT nextval('numbers') FROM generate_series(1, 500)")
        writer = switched_under_load(pg_shop)
        assert writer.failures
        found = {number for (number,) in pg_shop.app(pg_shop.blue.host, "SELECT id FROM orders")}
        assert set(writer.acknowledged) <= found
        assert pg_shop.query(pg_shop.blue.host, "SELECT nextval('numbers')")[0][0] > 500
        assert pg_shop.cluster("pg")["DbClusterResourceId"] == pg_green["DbClusterResourceId"]
        with pytest.raises(psycopg2.Error, match="read-only"):
            pg_shop.app(pg_shop.cluster("pg-old1")["Endpoint"], "INSERT INTO orders VALUES (-1)")


class Alone(Shop):
    """A production DB instance that stands alone."""

    def cluster(self, arn: str) -> dict[str, Any]:
        """An instance as described, with its host where a cluster has it."""
        found: dict[str, Any] = self.rds.describe_db_instances(DBInstanceIdentifier=arn)["DBInstances"][0]
        return {**found, "Endpoint": found["Endpoint"]["Address"], "DBClusterArn": found["DBInstanceArn"]}


class TestDBInstances:
    """RDS for MySQL and RDS for PostgreSQL, which have no cluster."""

    def test_mysql_gets_another_version_and_storage(self, named: Lab) -> None:
        shop = Alone(named, named.seed_rds_mysql("alone"), mysql)
        prepare(shop, MYSQL_STATEMENTS)
        version = shop.rds.describe_db_engine_versions(Engine="mysql")["DBEngineVersions"][-1]["EngineVersion"]
        green = shop.create(
            TargetEngineVersion=version, TargetStorageType="io1", TargetIops=3000, TargetAllocatedStorage=200
        )
        assert (green["EngineVersion"], green["StorageType"], green["AllocatedStorage"]) == (version, "io1", 200)
        with pytest.raises(pymysql.MySQLError, match="read-only"):
            shop.app(green["Endpoint"], "INSERT INTO orders VALUES (3)")
        writer = switched_under_load(shop)
        found = {number for (number,) in shop.app(shop.blue.host, "SELECT id FROM orders")}
        assert writer.failures and set(writer.acknowledged) <= found
        assert shop.cluster("alone")["DbiResourceId"] == green["DbiResourceId"]

    def test_postgresql_of_the_same_version_is_a_physical_copy(self, named: Lab) -> None:
        shop = Alone(named, named.seed_rds_postgresql("copy"), postgresql)
        prepare(shop, POSTGRESQL_STATEMENTS)
        green = shop.create()
        with pytest.raises(psycopg2.Error, match="read-only"):
            shop.query(green["Endpoint"], "SET default_transaction_read_only = off; INSERT INTO orders VALUES (3)")
        shop.query(shop.blue.host, "CREATE TABLE more (id int PRIMARY KEY)")  # a physical copy has it too
        writer = switched_under_load(shop)
        found = {number for (number,) in shop.app(shop.blue.host, "SELECT id FROM orders")}
        assert writer.failures and set(writer.acknowledged) <= found
        assert shop.query(shop.blue.host, "SELECT count(*) FROM more") == [(0,)]
        with pytest.raises(psycopg2.Error, match="read-only"):
            shop.app(shop.cluster("copy-old1")["Endpoint"], "INSERT INTO orders VALUES (-1)")
