# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every member of a managed deployment, not only the first: RDS for MySQL with a read replica, through the modules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.conftest import ModuleFailed, RunModule
from tests.integration.managed.conftest import login, sql
from tests.lab.lab import Blue, Lab
from tests.lab.tools import wait_until

DEPLOYMENT = "parts-next"
PRESENT = {"deployment_id": DEPLOYMENT, "source": "parts", "wait_delay": 0.1, "wait_timeout": 60}
ABSENT = {"state": "absent", "deployment_id": DEPLOYMENT, "wait_delay": 0.1, "wait_timeout": 60}
SECONDS = 30.0
Result = dict[str, Any]


def instance(lab: Lab, name: str) -> Result:
    """An instance as described."""
    found: Result = lab.client("rds").describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
    return found


def host(lab: Lab, name: str) -> str:
    """Its endpoint."""
    return str(instance(lab, name)["Endpoint"]["Address"])


@pytest.fixture(scope="module")
def blue(names_lab: Lab) -> Iterator[Blue]:
    """An instance with a read replica that has a parameter group of its own."""
    before = names_lab.clusters()
    made = names_lab.seed_rds_mysql("parts")
    sql(names_lab, made, "CREATE TABLE parts (id int PRIMARY KEY)", "INSERT INTO parts VALUES (1)")
    sql(names_lab, made, "CALL mysql.rds_set_configuration('binlog retention hours', 24)")
    rds = names_lab.client("rds")
    rds.create_db_parameter_group(
        DBParameterGroupName="parts-reports", DBParameterGroupFamily="mysql8.0", Description="-"
    )
    rds.create_db_instance_read_replica(
        DBInstanceIdentifier="parts-r1", SourceDBInstanceIdentifier="parts", DBParameterGroupName="parts-reports"
    )
    wait_until(lambda: instance(names_lab, "parts-r1")["DBInstanceStatus"] == "available", SECONDS, "the replica")
    names_lab.faults.managed(provisioning=0.02, dns_delay=0.3)
    yield made
    names_lab.faults.clear()
    names_lab.clear(before)


@pytest.fixture(scope="module")
def made(blue: Blue, run_module: RunModule) -> Result:
    """The deployment, by the module; green's parameter groups wait for a reboot, which it does."""
    return run_module("rds_blue_green", **PRESENT)


def greens(result: Result) -> list[str]:
    """The names of green's instances."""
    return [one["target"].rpartition(":")[2] for one in result["deployment"]["members"]]


def checks(lab: Lab, blue: Blue, run_module: RunModule, step: str, **more: Any) -> dict[str, Result]:
    """What readiness says beside ok, by its id."""
    result = run_module(
        "bg_readiness",
        deployment_id=DEPLOYMENT,
        engine="managed",
        step=step,
        source_db_cluster_identifier=blue.cluster,
        blue=login(lab, blue),
        **more,
    )
    return {one["id"]: one for one in result["checks"] if one["status"] != "ok"}


def test_a_replica_with_a_group_of_its_own_is_told_of_before_green_is_made(
    names_lab: Lab, blue: Blue, run_module: RunModule
) -> None:
    found = checks(names_lab, blue, run_module, "create")
    assert "parts-r1 has parts-reports" in found["aws_member_parameter_groups"]["evidence"]
    assert [one for one in found.values() if one["status"] == "failed"] == []


def test_green_is_made_with_every_replica_in_sync(
    names_lab: Lab, blue: Blue, made: Result, run_module: RunModule
) -> None:
    assert [one["source"].rpartition(":")[2] for one in made["deployment"]["members"]] == ["parts", "parts-r1"]
    assert "parts-r1 has parts-reports" in str(made["warnings"])
    members = made["green"]["members"]
    assert [(one["is_writer"], one["status"], one["parameter_group_status"]) for one in members] == [
        (True, "available", "in-sync"),
        (False, "available", "in-sync"),
    ]
    assert run_module("rds_blue_green", **PRESENT)["changed"] is False
    (info,) = run_module("rds_blue_green_info", deployment_id=DEPLOYMENT)["deployments"]
    assert [one["db_instance_identifier"] for one in info["green"]["members"]] == greens(made) and info["ready"]


def test_a_replica_of_green_that_stands_still_stops_the_switchover_before_it_begins(
    names_lab: Lab, blue: Blue, made: Result, run_module: RunModule
) -> None:
    green, replica = greens(made)
    there = host(names_lab, replica)
    sides = {"green": login(names_lab, blue, host=host(names_lab, green))}
    sql(names_lab, blue, "CALL mysql.rds_stop_replication", host=there)
    wait_until(
        lambda: instance(names_lab, replica)["StatusInfos"][0]["Status"] == "stopped", SECONDS, "the service to see it"
    )

    told = checks(names_lab, blue, run_module, "switchover", **sides)
    assert f"read replication of green's replica {replica} stopped" in told["aws_green_replication"]["evidence"]
    assert f"the replication of {replica} does not run" in told["green_replicas"]["evidence"]
    assert f"{replica} has parts-blue, parts-r1 has parts-reports" in told["aws_member_parameter_groups"]["evidence"]
    with pytest.raises(ModuleFailed, match=f"the replication of {replica} does not run") as refused:
        run_module("bg_switchover", deployment_id=DEPLOYMENT, engine="managed", blue=login(names_lab, blue), **sides)
    assert refused.value.result["outcome"] == "refused"

    sql(names_lab, blue, "CALL mysql.rds_start_replication", host=there)
    wait_until(
        lambda: instance(names_lab, replica)["StatusInfos"][0]["Status"] == "replicating", SECONDS, "it to go on"
    )


def test_every_member_is_moved_and_told_of(names_lab: Lab, blue: Blue, made: Result, run_module: RunModule) -> None:
    green, replica = greens(made)
    hosts = {name: host(names_lab, name) for name in ("parts", "parts-r1", green, replica)}
    sides = {"blue": login(names_lab, blue), "green": login(names_lab, blue, host=hosts[green])}
    moved = run_module("bg_switchover", deployment_id=DEPLOYMENT, engine="managed", wait_timeout=30, **sides)

    assert (moved["outcome"], moved["serving"]) == ("switched_over", "green")
    table = [(one["kind"], one["blue"], one["green"]) for one in moved["hosts"]]
    assert table == [("writer", hosts["parts"], hosts[green]), ("reader", hosts["parts-r1"], hosts[replica])]
    events = [one["event"] for one in moved["timeline"]]
    for name in ("parts", "parts-r1"):
        assert f"{name} is SWITCHOVER_COMPLETED" in events
    sql(names_lab, blue, "INSERT INTO parts VALUES (2)")
    wait_until(
        lambda: sql(names_lab, blue, "SELECT id FROM parts ORDER BY id", host=hosts["parts-r1"]) == [(1,), (2,)],
        SECONDS,
        "production's replica to have the new row",
    )


def test_old_replicas_go_before_old_production_and_each_protection_goes_over(
    names_lab: Lab, blue: Blue, run_module: RunModule
) -> None:
    rds = names_lab.client("rds")
    rds.modify_db_instance(DBInstanceIdentifier="parts-r1-old1", DeletionProtection=True, ApplyImmediately=True)
    with pytest.raises(ModuleFailed, match="old production is protected against deletion"):
        run_module("rds_blue_green", **ABSENT, delete_source=True)

    gone = run_module("rds_blue_green", **ABSENT, delete_source=True, deletion_protection=False)

    assert gone["actions"][:-1] == [
        "protect parts-r1 against deletion, as parts-r1-old1 is",
        "lift the deletion protection of parts-r1-old1",
        "delete instance parts-r1-old1",
        f"delete instance parts-old1 after the snapshot {DEPLOYMENT}-final",
    ]
    assert instance(names_lab, "parts-r1")["DeletionProtection"] is True
    left = [one["DBInstanceIdentifier"] for one in rds.describe_db_instances()["DBInstances"]]
    assert {name for name in left if name.startswith("parts")} == {"parts", "parts-r1"}
