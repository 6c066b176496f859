# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's RDS API in front of real PostgreSQL servers, used by nothing but boto3 and psycopg2."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import psycopg2
import pytest

from tests.integration.conftest import NewBlue
from tests.lab.lab import Blue, Lab
from tests.lab.tools import wait_until

SECONDS = 60.0


def query(lab: Lab, blue: Blue, statement: str, host: str | None = None) -> list[Any]:
    """The first column of a statement's rows, run by the master user over verified TLS."""
    with closing(
        psycopg2.connect(
            host=host or blue.host,
            port=blue.port,
            user=blue.user,
            password=blue.password,
            dbname=blue.database,
            sslmode="verify-full",
            sslrootcert=lab.ca_file,
        )
    ) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return [row[0] for row in cursor.fetchall()] if cursor.description else []


def cluster(lab: Lab, name: str) -> dict[str, Any]:
    """A cluster as described."""
    found: dict[str, Any] = lab.client("rds").describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]
    return found


def clone(lab: Lab, blue: Blue, name: str, **options: Any) -> str:
    """Make a copy-on-write clone with one instance; return its endpoint."""
    rds = lab.client("rds")
    rds.restore_db_cluster_to_point_in_time(
        SourceDBClusterIdentifier=blue.cluster,
        DBClusterIdentifier=name,
        RestoreType="copy-on-write",
        UseLatestRestorableTime=True,
        **options,
    )
    rds.create_db_instance(
        DBInstanceIdentifier=f"{name}-1",
        DBClusterIdentifier=name,
        Engine="aurora-postgresql",
        DBInstanceClass="db.r6g.large",
    )
    lab.wait_available(name)
    return str(cluster(lab, name)["Endpoint"])


def upgrade(lab: Lab, name: str, group: str) -> None:
    """Upgrade a cluster to 18.4 and wait until it is available, whether it was upgraded or not."""
    rds = lab.client("rds")
    rds.create_db_cluster_parameter_group(
        DBClusterParameterGroupName=group, DBParameterGroupFamily="aurora-postgresql18", Description="green"
    )
    rds.modify_db_cluster(
        DBClusterIdentifier=name,
        EngineVersion="18.4",
        AllowMajorVersionUpgrade=True,
        DBClusterParameterGroupName=group,
        ApplyImmediately=True,
    )
    wait_until(lambda: cluster(lab, name)["Status"] == "upgrading", SECONDS, "the upgrade to begin")
    lab.wait_available(name)


def test_a_seeded_blue_has_logical_replication_in_sync_and_a_secret(lab: Lab, blue: NewBlue) -> None:
    made = blue(readers=1)
    members = cluster(lab, made.cluster)["DBClusterMembers"]
    assert [(m["IsClusterWriter"], m["DBClusterParameterGroupStatus"]) for m in members] == [
        (True, "in-sync"),
        (False, "in-sync"),
    ]
    assert query(lab, made, "SHOW wal_level") == ["logical"]
    assert query(lab, made, "SELECT pg_is_in_recovery()", cluster(lab, made.cluster)["ReaderEndpoint"]) == [True]
    secret = lab.client("secretsmanager").get_secret_value(SecretId=made.secret_arn)["SecretString"]
    assert made.password in secret


def test_a_clone_has_the_data_and_the_slots_and_goes_its_own_way_on_a_newer_major(lab: Lab, blue: NewBlue) -> None:
    made = blue()
    query(lab, made, "CREATE TABLE orders (id int PRIMARY KEY)")
    query(lab, made, "INSERT INTO orders SELECT generate_series(1, 1000)")
    query(lab, made, "SELECT pg_create_logical_replication_slot('bg', 'pgoutput')")
    green = clone(lab, made, "clone1", DBClusterParameterGroupName=f"{made.cluster}-blue")
    assert cluster(lab, "clone1")["CloneGroupId"] == cluster(lab, made.cluster)["CloneGroupId"]
    query(lab, made, "INSERT INTO orders VALUES (1001)")
    assert query(lab, made, "SELECT count(*) FROM orders", green) == [1000]
    assert query(lab, made, "SELECT slot_name FROM pg_replication_slots", green) == ["bg"]
    query(lab, made, "SELECT pg_drop_replication_slot('bg')", green)
    upgrade(lab, "clone1", "clone1-18")
    assert cluster(lab, "clone1")["EngineVersion"] == "18.4"
    assert query(lab, made, "SHOW server_version", green)[0].startswith("18.4")
    assert query(lab, made, "SELECT count(*) FROM orders", green) == [1000]
    assert query(lab, made, "SHOW server_version")[0].startswith("16.14")


def test_a_copied_slot_makes_the_upgrade_fail_with_the_reason_in_an_event(lab: Lab, blue: NewBlue) -> None:
    made = blue()
    query(lab, made, "SELECT pg_create_logical_replication_slot('bg', 'pgoutput')")
    green = clone(lab, made, "clone2", DBClusterParameterGroupName=f"{made.cluster}-blue")
    upgrade(lab, "clone2", "clone2-18")
    assert cluster(lab, "clone2")["EngineVersion"] == "16.14"
    assert query(lab, made, "SHOW server_version", green)[0].startswith("16.14")
    events = lab.client("rds").describe_events(SourceType="db-cluster", SourceIdentifier="clone2")["Events"]
    failed = [event["Message"] for event in events if "failure" in event["EventCategories"]]
    assert len(failed) == 1 and "replication slot" in failed[0]


def test_a_static_parameter_does_nothing_before_the_writers_reboot(lab: Lab, blue: NewBlue) -> None:
    made = blue()
    rds = lab.client("rds")
    parameter = {"ParameterName": "max_replication_slots", "ParameterValue": "33", "ApplyMethod": "pending-reboot"}
    rds.modify_db_cluster_parameter_group(DBClusterParameterGroupName=f"{made.cluster}-blue", Parameters=[parameter])
    member = cluster(lab, made.cluster)["DBClusterMembers"][0]
    assert member["DBClusterParameterGroupStatus"] == "pending-reboot"
    assert query(lab, made, "SHOW max_replication_slots") != ["33"]
    rds.reboot_db_instance(DBInstanceIdentifier=member["DBInstanceIdentifier"])
    lab.wait_available(made.cluster)
    assert cluster(lab, made.cluster)["DBClusterMembers"][0]["DBClusterParameterGroupStatus"] == "in-sync"
    assert query(lab, made, "SHOW max_replication_slots") == ["33"]


def test_a_dynamic_parameter_applies_without_a_reboot(lab: Lab, blue: NewBlue) -> None:
    made = blue()
    parameter = {"ParameterName": "work_mem", "ParameterValue": "8192", "ApplyMethod": "immediate"}
    lab.client("rds").modify_db_cluster_parameter_group(
        DBClusterParameterGroupName=f"{made.cluster}-blue", Parameters=[parameter]
    )
    wait_until(lambda: query(lab, made, "SHOW work_mem") == ["8MB"], SECONDS, "work_mem to be 8MB")


def test_a_failover_moves_the_cluster_endpoint_and_keeps_the_data(lab: Lab, blue: NewBlue) -> None:
    made = blue(readers=1)
    query(lab, made, "CREATE TABLE orders (id int PRIMARY KEY)")
    query(lab, made, "INSERT INTO orders VALUES (7)")
    lab.client("rds").failover_db_cluster(DBClusterIdentifier=made.cluster)
    wait_until(lambda: cluster(lab, made.cluster)["Status"] == "available", SECONDS, "the failover to end")
    writers = [
        m["DBInstanceIdentifier"] for m in cluster(lab, made.cluster)["DBClusterMembers"] if m["IsClusterWriter"]
    ]
    assert writers == [f"{made.cluster}-2"]
    assert query(lab, made, "SELECT pg_is_in_recovery()") == [False]
    assert query(lab, made, "SELECT id FROM orders") == [7]


def test_a_new_master_password_replaces_the_old_one(lab: Lab, blue: NewBlue) -> None:
    made = blue()
    changed = Blue(**{**vars(made), "password": "another-Passw0rd"})
    lab.client("rds").modify_db_cluster(
        DBClusterIdentifier=made.cluster, MasterUserPassword=changed.password, ApplyImmediately=True
    )
    wait_until(lambda: "PendingModifiedValues" not in cluster(lab, made.cluster), SECONDS, "the change to begin")
    lab.wait_available(made.cluster)
    assert query(lab, changed, "SELECT 1") == [1]
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        query(lab, made, "SELECT 1")


def test_a_killed_server_is_recovered_with_its_data(lab: Lab, blue: NewBlue) -> None:
    made = blue()
    query(lab, made, "CREATE TABLE orders (id int PRIMARY KEY)")
    query(lab, made, "INSERT INTO orders VALUES (7)")
    lab.faults.delay("rebooting", 1)
    lab.faults.kill(f"{made.cluster}-1")

    def back() -> bool:
        try:
            return query(lab, made, "SELECT id FROM orders") == [7]
        except psycopg2.OperationalError:
            return False

    assert not back()
    wait_until(back, SECONDS, "the server to be back")
