# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's RDS API in front of real MySQL servers, used by nothing but boto3 and PyMySQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pymysql
import pytest

from tests.lab.lab import MYSQL_VERSION, Blue, Lab
from tests.lab.tools import MYSQL, production_group, set_parameters, wait_until

SECONDS = 60.0
NEXT = "8.4.mysql_aurora.8.4.7"
RECOVERED = "Binlog position from crash recovery is "


def query(lab: Lab, blue: Blue, statement: str, column: str | None = None) -> list[Any]:
    """A column of a statement's rows, the first one unless named, run by the master user over verified TLS."""
    with (
        closing(
            pymysql.connect(
                host=blue.host,
                port=blue.port,
                user=blue.user,
                password=blue.password,
                database=blue.database,
                ssl_ca=lab.ca_file,
                ssl_verify_cert=True,
                ssl_verify_identity=True,
                autocommit=True,
            )
        ) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)
        names = [described[0] for described in cursor.description or ()]
        return [row[names.index(column) if column else 0] for row in cursor.fetchall()]


def cluster(lab: Lab, name: str) -> dict[str, Any]:
    """A cluster as described."""
    found: dict[str, Any] = lab.client("rds").describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]
    return found


def recovered(lab: Lab, instance: str) -> list[tuple[str, int]]:
    """The positions that an instance's events tell, the first one first."""
    events = lab.client("rds").describe_events(SourceType="db-instance", SourceIdentifier=instance)["Events"]
    found = [event["Message"].split() for event in events if event["Message"].startswith(RECOVERED)]
    return [(words[-2], int(words[-1])) for words in found]


def reboot(lab: Lab, name: str) -> None:
    lab.client("rds").reboot_db_instance(DBInstanceIdentifier=f"{name}-1")
    lab.wait_available(name)


@pytest.fixture(scope="module")
def shop(lab: Lab) -> Iterator[Blue]:
    """A blue with a reader and its binary log kept; whatever is made of it is gone at the end."""
    before = lab.clusters()
    made = lab.seed_mysql("my-plane", readers=1)
    query(lab, made, "CREATE TABLE orders (id int PRIMARY KEY)")
    query(lab, made, "INSERT INTO orders VALUES (1), (2), (3)")
    query(lab, made, "CALL mysql.rds_set_configuration('binlog retention hours', 24)")
    yield made
    lab.faults.clear()
    lab.clear(before)


@pytest.fixture(scope="module")
def green(lab: Lab, shop: Blue) -> Blue:
    """A copy-on-write clone of blue with one instance and a parameter group of its own; tests leave it available."""
    rds = lab.client("rds")
    production_group(rds, "my-green", MYSQL, MYSQL_VERSION, {"binlog_format": "ROW"})
    made = rds.restore_db_cluster_to_point_in_time(
        SourceDBClusterIdentifier=shop.cluster,
        DBClusterIdentifier="my-green",
        RestoreType="copy-on-write",
        UseLatestRestorableTime=True,
        DBClusterParameterGroupName="my-green",
    )["DBCluster"]
    rds.create_db_instance(
        DBInstanceIdentifier="my-green-1", DBClusterIdentifier="my-green", Engine=MYSQL, DBInstanceClass="db.r6g.large"
    )
    lab.wait_available("my-green")
    return replace(shop, cluster="my-green", host=made["Endpoint"])


def test_a_seeded_blue_has_its_binary_log_in_sync_a_reader_and_a_secret(lab: Lab, shop: Blue) -> None:
    found = cluster(lab, shop.cluster)
    assert [(m["IsClusterWriter"], m["DBClusterParameterGroupStatus"]) for m in found["DBClusterMembers"]] == [
        (True, "in-sync"),
        (False, "in-sync"),
    ]
    assert (found["Engine"], found["EngineVersion"]) == (MYSQL, MYSQL_VERSION)
    assert query(lab, shop, "SELECT CONCAT_WS(' ', @@log_bin, @@binlog_format, @@gtid_mode)") == ["1 ROW ON"]
    reader = replace(shop, host=found["ReaderEndpoint"])
    wait_until(lambda: query(lab, reader, "SELECT id FROM orders") == [1, 2, 3], SECONDS, "the reader to follow")
    secret = lab.client("secretsmanager").get_secret_value(SecretId=shop.secret_arn)["SecretString"]
    assert shop.password in secret


def test_a_clones_position_is_an_event_and_every_restart_adds_one_of_its_own(lab: Lab, shop: Blue, green: Blue) -> None:
    ((file, at),) = recovered(lab, "my-green-1")
    query(lab, shop, "INSERT INTO orders VALUES (4)")
    assert query(lab, green, "SELECT count(*) FROM orders WHERE id = 4") == [0]
    files = query(lab, shop, "SHOW BINARY LOGS")
    statements = [f"SHOW BINLOG EVENTS IN '{name}'" for name in files[files.index(file) + 1 :]]
    statements.append(f"SHOW BINLOG EVENTS IN '{file}' FROM {at}")
    following = [query(lab, shop, statement, column="Event_type") for statement in statements]
    assert sum(types.count("Write_rows") for types in following) == 1
    reboot(lab, "my-green")
    first, second = recovered(lab, "my-green-1")
    assert first == (file, at) != second


def test_the_link_to_one_server_is_cut_and_healed_whatever_other_engines_there_are(lab: Lab, shop: Blue) -> None:
    lab.faults.link(shop.host, "cut")
    with pytest.raises(pymysql.MySQLError):
        query(lab, shop, "SELECT 1")
    lab.faults.link(shop.host, "none")
    assert query(lab, shop, "SELECT 1") == [1]
    with pytest.raises(ValueError, match=r"127\.0\.0\.77"):
        lab.faults.link("127.0.0.77", "cut")


def test_a_static_parameter_waits_for_the_reboot_and_read_only_does_not(lab: Lab, green: Blue) -> None:
    rds = lab.client("rds")
    assert query(lab, green, "SELECT @@gtid_mode") == ["OFF"]
    set_parameters(rds, "my-green", {"gtid-mode": "ON", "enforce_gtid_consistency": "ON"})
    rds.modify_db_cluster_parameter_group(
        DBClusterParameterGroupName="my-green",
        Parameters=[{"ParameterName": "read_only", "ParameterValue": "1", "ApplyMethod": "immediate"}],
    )
    wait_until(lambda: query(lab, green, "SELECT @@read_only") == [1], SECONDS, "read_only to be on")
    assert cluster(lab, "my-green")["DBClusterMembers"][0]["DBClusterParameterGroupStatus"] == "pending-reboot"
    assert query(lab, green, "SELECT @@gtid_mode") == ["OFF"]
    reboot(lab, "my-green")
    assert query(lab, green, "SELECT CONCAT_WS(' ', @@gtid_mode, @@read_only)") == ["ON 1"]


def test_a_snapshot_is_taken_while_the_server_runs(lab: Lab, green: Blue) -> None:
    rds, name = lab.client("rds"), {"DBClusterSnapshotIdentifier": "my-before"}
    rds.create_db_cluster_snapshot(DBClusterIdentifier="my-green", **name)
    rds.get_waiter("db_cluster_snapshot_available").wait(**name, WaiterConfig={"Delay": 1})
    found = rds.describe_db_cluster_snapshots(**name)["DBClusterSnapshots"][0]
    assert (found["Engine"], found["EngineVersion"]) == (MYSQL, MYSQL_VERSION)
    assert query(lab, green, "SELECT 1") == [1]
    rds.delete_db_cluster_snapshot(**name)


def test_a_new_master_password_outlives_a_stop_and_a_start(lab: Lab, green: Blue) -> None:
    rds = lab.client("rds")
    changed = replace(green, password="another-Passw0rd")
    change = {"DBClusterIdentifier": "my-green", "ApplyImmediately": True}
    rds.modify_db_cluster(**change, MasterUserPassword=changed.password)
    wait_until(lambda: "PendingModifiedValues" not in cluster(lab, "my-green"), SECONDS, "the change to begin")
    lab.wait_available("my-green")
    with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
        query(lab, green, "SELECT 1")
    rds.stop_db_cluster(DBClusterIdentifier="my-green")
    wait_until(lambda: cluster(lab, "my-green")["Status"] == "stopped", SECONDS, "the cluster to be stopped")
    with pytest.raises(pymysql.err.OperationalError, match="connect"):
        query(lab, changed, "SELECT 1")
    rds.start_db_cluster(DBClusterIdentifier="my-green")
    lab.wait_available("my-green")
    assert query(lab, changed, "SELECT id FROM orders WHERE id = 1") == [1]
    rds.modify_db_cluster(**change, MasterUserPassword=green.password)
    wait_until(lambda: "PendingModifiedValues" not in cluster(lab, "my-green"), SECONDS, "the change to begin")
    lab.wait_available("my-green")


def test_a_major_upgrade_needs_a_reboot_for_its_own_group(lab: Lab, green: Blue) -> None:
    rds = lab.client("rds")
    production_group(rds, "my-green-84", MYSQL, NEXT, {"read_only": "1", "binlog_format": "ROW"})
    rds.modify_db_cluster(
        DBClusterIdentifier="my-green",
        EngineVersion=NEXT,
        AllowMajorVersionUpgrade=True,
        DBClusterParameterGroupName="my-green-84",
        ApplyImmediately=True,
    )
    wait_until(lambda: cluster(lab, "my-green")["EngineVersion"] == NEXT, SECONDS, "the upgrade to be done")
    lab.wait_available("my-green")
    assert query(lab, green, "SELECT CONCAT_WS(' ', @@read_only, @@log_bin)") == ["0 0"]
    reboot(lab, "my-green")
    assert query(lab, green, "SELECT CONCAT_WS(' ', @@read_only, @@log_bin)") == ["1 1"]
    assert query(lab, green, "SELECT id FROM orders WHERE id < 4") == [1, 2, 3]


def test_a_failover_moves_the_cluster_endpoint_and_keeps_the_data(lab: Lab, shop: Blue) -> None:
    query(lab, shop, "INSERT INTO orders VALUES (70)")
    lab.client("rds").failover_db_cluster(DBClusterIdentifier=shop.cluster)
    lab.wait_available(shop.cluster)
    writers = [
        m["DBInstanceIdentifier"] for m in cluster(lab, shop.cluster)["DBClusterMembers"] if m["IsClusterWriter"]
    ]
    assert writers == [f"{shop.cluster}-2"]
    assert query(lab, shop, "SELECT id FROM orders WHERE id = 70") == [70]
    assert recovered(lab, f"{shop.cluster}-2") != []


def test_a_killed_server_is_recovered_with_its_data(lab: Lab, shop: Blue) -> None:
    query(lab, shop, "INSERT INTO orders VALUES (90)")
    (writer,) = [m for m in cluster(lab, shop.cluster)["DBClusterMembers"] if m["IsClusterWriter"]]
    lab.faults.delay("rebooting", 1)
    lab.faults.kill(writer["DBInstanceIdentifier"])

    def back() -> bool:
        try:
            return query(lab, shop, "SELECT id FROM orders WHERE id = 90") == [90]
        except pymysql.err.OperationalError:
            return False

    assert not back()
    wait_until(back, SECONDS, "the server to be back")
