# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A global database of the lab on real PostgreSQL servers: what follows, what is writable, what is lost."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg2
import pytest

from tests.lab.lab import Blue, Lab
from tests.lab.tools import wait_until

SECONDS = 60.0
HOME, AWAY, THIRD = "us-east-1", "eu-west-1", "ap-south-1"
INSTANCE = {"Engine": "aurora-postgresql", "DBInstanceClass": "db.r6g.large"}
_TABLES = itertools.count(1)


class World:
    """A global database whose primary is in either of two Regions."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.kept = lab.clusters()
        self.blue: Blue = lab.seed_postgresql("globe", readers=0, regions=[AWAY])
        self.group = str(self.blue.global_cluster)

    def cluster(self, arn: str) -> dict[str, Any]:
        """The cluster of an ARN as described."""
        rds = self.lab.client("rds", arn.split(":")[3])
        found: dict[str, Any] = rds.describe_db_clusters(DBClusterIdentifier=arn)["DBClusters"][0]
        return found

    def describe(self) -> dict[str, Any]:
        """The global cluster as described."""
        rds = self.lab.client("rds")
        found: dict[str, Any] = rds.describe_global_clusters(GlobalClusterIdentifier=self.group)["GlobalClusters"][0]
        return found

    @property
    def primary(self) -> dict[str, Any]:
        """The primary cluster."""
        return next(self.cluster(m["DBClusterArn"]) for m in self.describe()["GlobalClusterMembers"] if m["IsWriter"])

    @property
    def secondary(self) -> dict[str, Any]:
        """The secondary cluster."""
        return self.cluster(self.primary["ReadReplicaIdentifiers"][0])

    def query(self, host: str, statement: str) -> list[Any]:
        """The first column of a statement's rows, run by the master user over verified TLS."""
        connection = psycopg2.connect(
            host=host,
            port=self.blue.port,
            user=self.blue.user,
            password=self.blue.password,
            dbname=self.blue.database,
            sslmode="verify-full",
            sslrootcert=self.lab.ca_file,
            connect_timeout=5,
        )
        with closing(connection):
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return [row[0] for row in cursor.fetchall()] if cursor.description else []

    def table(self) -> str:
        """Make a table with one row on the primary; return its name."""
        name = f"t{next(_TABLES)}"
        self.query(self.primary["Endpoint"], f"CREATE TABLE {name} AS SELECT 1 AS id")
        return name

    def wait_rows(self, host: str, table: str, rows: list[int]) -> None:
        """Wait until a table has these rows somewhere."""

        def there() -> bool:
            try:
                return self.query(host, f"SELECT id FROM {table} ORDER BY id") == rows
            except psycopg2.Error:
                return False

        wait_until(there, SECONDS, f"{host} to have the rows {rows} in {table}")

    def settle(self) -> None:
        """Wait until the global cluster and the clusters of all members are available."""
        self.lab.wait_global_available(self.group)


@pytest.fixture(scope="module")
def world(lab: Lab) -> Iterator[World]:
    """One global database for the tests of this file; each of them leaves it healthy."""
    made = World(lab)
    yield made
    lab.clear(made.kept)


def test_a_row_of_the_primary_is_read_in_the_other_region_and_none_is_written_there(world: World) -> None:
    table, secondary = world.table(), world.secondary
    world.wait_rows(secondary["ReaderEndpoint"], table, [1])
    with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
        world.query(secondary["ReaderEndpoint"], f"INSERT INTO {table} VALUES (2)")
    with pytest.raises(psycopg2.OperationalError, match="refused"):
        world.query(secondary["Endpoint"], "SELECT 1")


def test_a_switchover_swaps_the_writers_and_loses_no_acknowledged_row(world: World) -> None:
    table, old, new = world.table(), world.primary, world.secondary
    endpoint, acknowledged, over = world.describe()["Endpoint"], [1], threading.Event()

    def write() -> None:
        for number in itertools.count(2):
            if over.is_set():
                return
            try:
                world.query(endpoint, f"INSERT INTO {table} VALUES ({number})")
            except psycopg2.Error:
                continue  # it may be there and it may not
            acknowledged.append(number)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        wait_until(lambda: len(acknowledged) > 5, SECONDS, "rows before the switchover")
        world.lab.client("rds").switchover_global_cluster(
            GlobalClusterIdentifier=world.group, TargetDbClusterIdentifier=new["DBClusterArn"]
        )
        world.settle()
        before = len(acknowledged)
        wait_until(lambda: len(acknowledged) > before + 5, SECONDS, "rows after the switchover")
    finally:
        over.set()
        writer.join()
    assert (world.primary["DBClusterArn"], world.secondary["DBClusterArn"]) == (
        new["DBClusterArn"],
        old["DBClusterArn"],
    )
    rows = world.query(new["Endpoint"], f"SELECT id FROM {table} ORDER BY id")
    assert set(acknowledged) <= set(rows)
    world.wait_rows(old["ReaderEndpoint"], table, rows)


def test_a_failover_needs_nothing_of_a_dead_primary_which_follows_afterwards(world: World) -> None:
    table, old, new = world.table(), world.primary, world.secondary
    world.wait_rows(new["ReaderEndpoint"], table, [1])
    region = old["DBClusterArn"].split(":")[3]
    world.lab.faults.kill(old["DBClusterMembers"][0]["DBInstanceIdentifier"], restart=False, region=region)
    world.lab.client("rds").failover_global_cluster(
        GlobalClusterIdentifier=world.group, TargetDbClusterIdentifier=new["DBClusterArn"], AllowDataLoss=True
    )
    world.settle()
    world.query(new["Endpoint"], f"INSERT INTO {table} VALUES (2)")
    world.wait_rows(old["ReaderEndpoint"], table, [1, 2])


def test_a_headless_secondary_follows_too_and_is_writable_once_removed(world: World) -> None:
    rds = world.lab.client("rds", THIRD)
    arn = rds.create_db_cluster(
        DBClusterIdentifier="globe-third", Engine="aurora-postgresql", GlobalClusterIdentifier=world.group
    )["DBCluster"]["DBClusterArn"]
    world.settle()
    table = world.table()
    world.lab.wait_available("globe-third", THIRD)
    endpoint = world.primary["Endpoint"]
    (written,) = world.query(endpoint, "SELECT pg_current_wal_lsn()")
    there = f"SELECT count(*) FROM pg_stat_replication WHERE replay_lsn >= '{written}'"
    wait_until(lambda: world.query(endpoint, there) == [2], SECONDS, "both secondaries to have the table")
    rds.remove_from_global_cluster(GlobalClusterIdentifier=world.group, DbClusterIdentifier=arn)
    rds.get_waiter("db_cluster_available").wait(DBClusterIdentifier="globe-third", WaiterConfig={"Delay": 1})
    rds.create_db_instance(DBInstanceIdentifier="globe-third-1", DBClusterIdentifier="globe-third", **INSTANCE)
    world.lab.wait_available("globe-third", THIRD)
    world.query(world.cluster(arn)["Endpoint"], f"INSERT INTO {table} VALUES (2)")
    world.wait_rows(world.cluster(arn)["Endpoint"], table, [1, 2])
    world.wait_rows(world.primary["Endpoint"], table, [1])


def test_the_secondary_keeps_up_with_a_primary_that_allows_more_connections(world: World) -> None:
    table, primary, secondary = world.table(), world.primary, world.secondary
    region = primary["DBClusterArn"].split(":")[3]
    rds = world.lab.client("rds", region)
    parameter = {"ParameterName": "max_connections", "ParameterValue": "300", "ApplyMethod": "pending-reboot"}
    rds.modify_db_cluster_parameter_group(
        DBClusterParameterGroupName=primary["DBClusterParameterGroup"], Parameters=[parameter]
    )
    rds.reboot_db_instance(DBInstanceIdentifier=primary["DBClusterMembers"][0]["DBInstanceIdentifier"])
    world.lab.wait_available(primary["DBClusterIdentifier"], region)
    world.query(primary["Endpoint"], f"INSERT INTO {table} VALUES (2)")
    world.wait_rows(secondary["ReaderEndpoint"], table, [1, 2])
