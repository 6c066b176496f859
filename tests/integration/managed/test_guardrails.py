# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the service refuses on its servers, and the guardrail that says so before: each refusal is made, and seen both ways."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import psycopg2
import pytest
from botocore.exceptions import ClientError

from ansible_collections.bluegreen.aws.plugins.module_utils._core.endpoint import Endpoint
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.connection import connected, rows
from tests.integration.conftest import RunModule
from tests.integration.managed.conftest import login, sql
from tests.lab.lab import Blue, Lab
from tests.lab.tools import wait_until

EXTERNAL = "the publisher or the subscriber of external logical replication"


class Scene:
    """A blue, `bg_readiness` on it, and the service asked to do what it refuses."""

    def __init__(self, lab: Lab, blue: Blue, run_module: RunModule) -> None:
        self.lab, self.blue, self._run_module = lab, blue, run_module
        self.deployment = f"{blue.cluster}-next"
        self.rds = lab.client("rds")
        self.green = ""

    def sql(self, *statements: str, host: str | None = None) -> list[tuple[Any, ...]]:
        """Run statements as the master user; returns the last one's rows."""
        return sql(self.lab, self.blue, *statements, host=host)

    def checks(self, **more: Any) -> dict[str, dict[str, str]]:
        """The guardrails of a step, by name."""
        options: dict[str, Any] = {
            "deployment_id": self.deployment,
            "engine": "managed",
            "source_db_cluster_identifier": self.blue.cluster,
            "blue": login(self.lab, self.blue),
            **more,
        }
        if self.green:
            options |= {"step": "switchover", "green": login(self.lab, self.blue, host=self.green)}
        return {one["id"]: one for one in self._run_module("bg_readiness", **options)["checks"]}

    def bad(self) -> set[str]:
        """The names of those on the servers that failed."""
        return bad(self.checks())

    def describe(self) -> dict[str, Any]:
        filters = [{"Name": "blue-green-deployment-name", "Values": [self.deployment]}]
        found = self.rds.describe_blue_green_deployments(Filters=filters)["BlueGreenDeployments"]
        return dict(found[0]) if found else {}

    def deploy(self) -> None:
        """Make the deployment and wait for it."""
        arn = self.rds.describe_db_clusters(DBClusterIdentifier=self.blue.cluster)["DBClusters"][0]["DBClusterArn"]
        self.rds.create_blue_green_deployment(BlueGreenDeploymentName=self.deployment, Source=arn)
        wait_until(lambda: self.describe()["Status"] == "AVAILABLE", 60, "the deployment to be available")
        target = self.rds.describe_db_clusters(DBClusterIdentifier=self.describe()["Target"])["DBClusters"][0]
        self.green = target["Endpoint"]

    def canceled(self) -> str:
        """Ask for the switchover; returns why the service takes it back."""
        identifier = self.describe()["BlueGreenDeploymentIdentifier"]
        told = {"SourceType": "blue-green-deployment", "SourceIdentifier": identifier}
        before = len(self.rds.describe_events(**told)["Events"])
        self.rds.switchover_blue_green_deployment(BlueGreenDeploymentIdentifier=identifier)
        wait_until(lambda: self.describe()["Status"] != "SWITCHOVER_IN_PROGRESS", 30, "the switchover to end")
        assert self.describe()["Status"] == "AVAILABLE", "the service should have taken it back"
        return " ".join(one["Message"] for one in self.rds.describe_events(**told)["Events"][before:])


def bad(found: dict[str, dict[str, str]]) -> set[str]:
    """The names of those on the servers that failed."""
    return {name for name, one in found.items() if (one["status"], one["plane"]) == ("failed", "data")}


@pytest.fixture(scope="module")
def postgresql(names_lab: Lab, run_module: RunModule) -> Iterator[Scene]:
    """An Aurora PostgreSQL."""
    before = names_lab.clusters()
    scene = Scene(names_lab, names_lab.seed_postgresql("guard-pg", readers=0), run_module)
    yield scene
    names_lab.faults.clear()
    names_lab.clear(before)


def test_what_keeps_a_postgresql_from_a_deployment_is_found_before(postgresql: Scene) -> None:
    scene, user = postgresql, postgresql.blue.user
    scene.sql(
        f"ALTER ROLE {user} SET synchronous_commit = off",
        "CREATE PUBLICATION theirs FOR ALL TABLES",
        "SELECT pg_create_logical_replication_slot('debezium', 'pgoutput')",
        "CREATE SUBSCRIPTION elsewhere CONNECTION 'host=127.0.0.1 port=1 password=x' PUBLICATION p"
        " WITH (connect = false, slot_name = 'elsewhere')",
        "ALTER SUBSCRIPTION elsewhere ENABLE",
        "CREATE TABLE keyless (n int)",
        "CREATE UNLOGGED TABLE volatile (id int PRIMARY KEY)",
        "CREATE TABLE kinds (id int PRIMARY KEY, what regproc)",
        "CREATE MATERIALIZED VIEW totals AS SELECT 1 AS n",
    )
    wanted = {
        "synchronous_commit",
        "managed_publications",
        "managed_slots",
        "managed_subscriptions",
        "replica_identity",
        "managed_unlogged_tables",
    }
    found = scene.checks(engine_version="18.4")
    assert bad(found) == {*wanted, "upgrade_reg_columns"}
    assert found["managed_materialized_views"]["status"] == "warning"
    assert scene.bad() == wanted, "what only an upgrade refuses does not matter to a green of the same version"
    assert "debezium (read by nobody" in found["managed_slots"]["evidence"]
    scene.sql(
        f"ALTER ROLE {user} RESET synchronous_commit",
        "DROP PUBLICATION theirs",
        "SELECT pg_drop_replication_slot('debezium')",
        "ALTER SUBSCRIPTION elsewhere DISABLE",
        "ALTER SUBSCRIPTION elsewhere SET (slot_name = NONE)",
        "DROP SUBSCRIPTION elsewhere",
        "DROP TABLE keyless, volatile, kinds",
    )
    assert scene.bad() == set()


def test_what_takes_the_switchover_of_a_postgresql_back_is_found_before(postgresql: Scene) -> None:
    scene = postgresql
    scene.deploy()
    before = scene.checks()
    assert [name for name, one in before.items() if one["status"] == "failed"] == []
    assert before["green_read_only"]["status"] == before["green_lag"]["status"] == "ok"

    scene.sql("SELECT pg_create_logical_replication_slot('dms', 'pgoutput')")
    reader = scene.rds.create_integration(
        IntegrationName="to-redshift",
        SourceArn=scene.describe()["Source"],
        TargetArn="arn:aws:redshift:us-east-1:123456789012:namespace:x",
    )
    found = scene.checks()
    assert {"managed_slots", "aws_managed_integrations"} <= {
        key for key, one in found.items() if one["status"] == "failed"
    }
    why = scene.canceled()
    assert EXTERNAL in why and "zero-ETL integrations: to-redshift" in why
    scene.sql("SELECT pg_drop_replication_slot('dms')")
    scene.rds.delete_integration(IntegrationIdentifier=reader["IntegrationArn"])

    address, blue = scene.lab.address(scene.green), scene.blue
    settings: dict[str, Any] = {"host": scene.green, "hostaddr": address, "port": blue.port, "dbname": blue.database}
    options = "-c default_transaction_read_only=off"
    with (
        closing(
            psycopg2.connect(**settings, user=blue.user, password=blue.password, sslmode="require", options=options)
        ) as writer,
        writer.cursor() as cursor,
    ):
        cursor.execute("CREATE TABLE written_on_green (id int)")
        written = scene.checks()["green_read_only"]
        assert written["status"] == "failed" and f"of {blue.user} in {blue.database}" in written["evidence"]
        assert "the green environment has active writes" in scene.canceled()
        writer.rollback()
    wait_until(lambda: scene.bad() == set(), 10, "the writer to be gone")

    scene.sql("REFRESH MATERIALIZED VIEW totals")
    wait_until(lambda: scene.checks()["aws_green_replication"]["status"] == "failed", 10, "the change to be seen")
    assert "Replication degraded" in scene.canceled()


@pytest.fixture(scope="module")
def mysql(names_lab: Lab, run_module: RunModule) -> Iterator[Scene]:
    """An Aurora MySQL that is written to."""
    before = names_lab.clusters()
    scene = Scene(names_lab, names_lab.seed_mysql("guard-my", readers=0), run_module)
    scene.sql(
        "CALL mysql.rds_set_configuration('binlog retention hours', 24)", "CREATE TABLE shop.t (id int PRIMARY KEY)"
    )
    yield scene
    names_lab.faults.clear()
    names_lab.clear(before)


def group(scene: Scene, name: str, family: str, **values: str) -> str:
    """Make a DB cluster parameter group with these values."""
    named = {"DBClusterParameterGroupName": name}
    scene.rds.create_db_cluster_parameter_group(**named, DBParameterGroupFamily=family, Description="x")
    wishes = [
        {"ParameterName": key, "ParameterValue": value, "ApplyMethod": "pending-reboot"}
        for key, value in values.items()
    ]
    if wishes:
        scene.rds.modify_db_cluster_parameter_group(**named, Parameters=wishes)
    return name


def test_what_keeps_a_mysql_from_a_deployment_is_found_before(mysql: Scene) -> None:
    scene = mysql
    assert scene.bad() == set()
    scene.sql(
        "CREATE DATABASE tmp",
        "CREATE TABLE tmp.t (id int PRIMARY KEY)",
        "CREATE EVENT shop.nightly ON SCHEDULE EVERY 1 DAY DO DELETE FROM shop.t",
        "CALL mysql.rds_set_external_source('127.0.0.1', 1, 'u', 'p', 'mysql-bin.000001', 4, 0)",
    )
    assert scene.bad() == {"schema_tmp", "blue_channels"}
    scene.sql("DROP DATABASE tmp", "CALL mysql.rds_reset_external_source")
    scheduled = scene.checks()["blue_events"]
    assert (scheduled["status"], "shop" in scheduled["evidence"]) == ("warning", True)
    scene.sql("DROP EVENT shop.nightly")


def test_a_group_of_green_is_looked_at_before_it_is_refused(mysql: Scene) -> None:
    scene, family = mysql, "aurora-mysql8.0"

    def said(name: str, **more: Any) -> str:
        found = scene.checks(green_db_cluster_parameter_group_name=name, blue=None, **more)
        return next(
            one["evidence"] for key, one in found.items() if key.startswith("aws_target_") and one["status"] == "failed"
        )

    assert "should be there, but is not" in said("nobody")
    assert "of the family aurora-mysql8.4" in said(
        group(scene, "g-old", family), engine_version="8.4.mysql_aurora.8.4.7"
    )
    assert "binlog_format is OFF" in said(group(scene, "g-off", family, binlog_format="OFF"))
    different = group(scene, "g-case", family, binlog_format="ROW", lower_case_table_names="1")
    assert "lower_case_table_names parameter for the blue environment and for the green environment is d" in said(
        different
    )
    arn = scene.rds.describe_db_clusters(DBClusterIdentifier=scene.blue.cluster)["DBClusters"][0]["DBClusterArn"]
    with pytest.raises(
        ClientError, match="lower_case_table_names parameter for the blue environment and for the green"
    ):
        scene.rds.create_blue_green_deployment(
            BlueGreenDeploymentName="x", Source=arn, TargetDBClusterParameterGroupName=different
        )


def test_what_takes_the_switchover_of_a_mysql_back_is_found_before(mysql: Scene) -> None:
    scene = mysql
    scene.deploy()
    before = scene.checks()
    assert [name for name, one in before.items() if one["status"] == "failed"] == []
    there = Endpoint(
        "green", scene.green, scene.blue.port, scene.blue.user, scene.blue.password, ca_cert=scene.lab.ca_file
    )
    with connected(replace(there, address=scene.lab.address(scene.green))) as conn:
        conn.begin()
        rows(conn, "INSERT INTO shop.t VALUES (1)")
        found = scene.checks()
        assert bad(found) == {"green_read_only"}
        assert f"of {scene.blue.user}" in found["green_read_only"]["evidence"]
        assert "the green environment has active writes" in scene.canceled()
    tag = {"Key": "stage", "Value": "green"}
    scene.rds.add_tags_to_resource(ResourceName=scene.describe()["Target"], Tags=[tag])
    after = scene.checks()
    assert bad(after) == set()
    assert "these are lost: stage=green" in after["aws_green_tags"]["evidence"]
