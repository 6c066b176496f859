# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`rds_blue_green` on an RDS for PostgreSQL instance whose deployment somebody made in the console: taken over, and cleaned up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.conftest import ModuleFailed, RunModule
from tests.integration.managed.conftest import login
from tests.lab.lab import Blue, Lab
from tests.lab.tools import wait_until

DEPLOYMENT = "orders-next"
ABSENT = {"state": "absent", "deployment_id": DEPLOYMENT, "wait_delay": 0.1, "wait_timeout": 60}
PRESENT = {"deployment_id": DEPLOYMENT, "source": "orders", "wait_delay": 0.1, "wait_timeout": 60}
Result = dict[str, Any]


@pytest.fixture(scope="module")
def blue(names_lab: Lab) -> Iterator[Blue]:
    """An instance in a deployment that is none of ours."""
    before = names_lab.clusters()
    yield names_lab.seed_rds_postgresql("orders")
    names_lab.faults.clear()
    names_lab.clear(before)


@pytest.fixture(scope="module")
def foreign(names_lab: Lab, blue: Blue) -> str:
    """The identifier of that deployment, which is still being made."""
    rds = names_lab.client("rds")
    names_lab.faults.managed(provisioning=1.0)
    found = rds.describe_db_instances(DBInstanceIdentifier=blue.cluster)["DBInstances"][0]
    made = rds.create_blue_green_deployment(BlueGreenDeploymentName="Console", Source=found["DBInstanceArn"])
    return str(made["BlueGreenDeployment"]["BlueGreenDeploymentIdentifier"])


def status(lab: Lab, identifier: str) -> str:
    found = lab.client("rds").describe_blue_green_deployments(BlueGreenDeploymentIdentifier=identifier)
    return str(found["BlueGreenDeployments"][0]["Status"])


def test_readiness_knows_that_a_green_of_the_same_major_version_is_physical(
    names_lab: Lab, blue: Blue, run_module: RunModule
) -> None:
    def found(**more: Any) -> dict[str, str]:
        result = run_module(
            "bg_readiness",
            deployment_id=DEPLOYMENT,
            engine="managed",
            source_db_cluster_identifier=blue.cluster,
            blue=login(names_lab, blue),
            **more,
        )
        return {one["id"]: one["status"] for one in result["checks"] if one["status"] != "ok"}

    assert found() == {"aws_blue_version": "warning"}
    assert found(engine_version="18.4") == {"aws_target_parameter_groups": "failed"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"target_db_cluster_parameter_group_name": "x"}, "is for Aurora DB clusters"),
        ({"target_engine_version": "18.4"}, "You must explicitly specify a new DB parameter group"),
        ({"target_engine_version": "9.6.1"}, "green should have 9.6.1, but that is lower than blue's"),
        ({"source": "nobody"}, "The source nobody should be a DB cluster or a DB instance, but there is none"),
    ],
)
def test_what_the_service_would_refuse_is_refused_before(
    blue: Blue, run_module: RunModule, options: Result, said: str
) -> None:
    with pytest.raises(ModuleFailed, match=said):
        run_module("rds_blue_green", **{**PRESENT, **options})


def test_a_foreign_deployment_is_taken_over_once_it_is_known_to_be_what_is_wanted(
    names_lab: Lab, foreign: str, run_module: RunModule
) -> None:
    with pytest.raises(ModuleFailed, match=rf"is in Console \({foreign}\), which is PROVISIONING"):
        run_module("rds_blue_green", **PRESENT)
    wait_until(lambda: status(names_lab, foreign) == "AVAILABLE", 30, "it to be available")
    names_lab.faults.clear()
    with pytest.raises(ModuleFailed, match=r"whose green has instance class db\.r6g\.large instead of db\.r7g"):
        run_module("rds_blue_green", **PRESENT, target_db_instance_class="db.r7g.large")

    predicted = run_module("rds_blue_green", check=True, **PRESENT)
    taken = run_module("rds_blue_green", **PRESENT)
    again = run_module("rds_blue_green", **PRESENT)

    adopted = [f"adopt the deployment Console ({foreign}) of orders by the tags of {DEPLOYMENT}"]
    assert predicted["actions"] == taken["actions"] == adopted
    assert (again["changed"], again["deployment"]["blue_green_deployment_identifier"]) == (False, foreign)


def test_a_green_that_is_a_physical_copy_is_armed_with_no_way_back(
    names_lab: Lab, blue: Blue, foreign: str, run_module: RunModule
) -> None:
    wait_until(lambda: status(names_lab, foreign) == "AVAILABLE", 30, "it to be available")
    (copy,) = [
        one
        for one in names_lab.client("rds").describe_db_instances()["DBInstances"]
        if "-green-" in one["DBInstanceIdentifier"]
    ]
    green = login(names_lab, blue, host=copy["Endpoint"]["Address"])
    with pytest.raises(ModuleFailed, match="a physical copy of another server, which has nothing of its own"):
        run_module(
            "pg_logical_subscription", deployment_id="back", state="prepared", blue=green, green=login(names_lab, blue)
        )


def test_old_production_goes_before_the_deployment_and_its_protection_goes_over(
    names_lab: Lab, foreign: str, run_module: RunModule
) -> None:
    rds = names_lab.client("rds")
    with pytest.raises(ModuleFailed, match="its source is production"):
        run_module("rds_blue_green", **ABSENT, delete_source=True)
    rds.switchover_blue_green_deployment(BlueGreenDeploymentIdentifier=foreign)
    wait_until(lambda: status(names_lab, foreign) == "SWITCHOVER_COMPLETED", 30, "the switchover to end")
    rds.modify_db_instance(DBInstanceIdentifier="orders-old1", DeletionProtection=True, ApplyImmediately=True)
    with pytest.raises(ModuleFailed, match="old production is protected against deletion"):
        run_module("rds_blue_green", **ABSENT, delete_source=True)

    gone = run_module("rds_blue_green", **ABSENT, delete_source=True, deletion_protection=False)

    assert gone["actions"] == [
        "protect orders against deletion, as orders-old1 is",
        "lift the deletion protection of orders-old1",
        f"delete instance orders-old1 after the snapshot {DEPLOYMENT}-final",
        f"delete the deployment Console ({foreign})",
    ]
    (left,) = [
        one for one in rds.describe_db_instances()["DBInstances"] if one["DBInstanceIdentifier"].startswith("ord")
    ]
    assert (left["DBInstanceIdentifier"], left["DeletionProtection"]) == ("orders", True)
    assert rds.describe_db_snapshots(DBSnapshotIdentifier=f"{DEPLOYMENT}-final")["DBSnapshots"]
