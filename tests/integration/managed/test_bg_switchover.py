# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""bg_switchover of what RDS manages: under load behind a gate, taken back, failed, killed and gone on with."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psycopg2
import pytest

from tests.integration.conftest import ModuleFailed, RunModule
from tests.integration.managed.conftest import login
from tests.integration.runner import Runner
from tests.lab import load_schema
from tests.lab.auditor import Side, audit
from tests.lab.gate import Gate
from tests.lab.gate_haproxy import HAProxy
from tests.lab.lab import Blue, Lab
from tests.lab.load import Load, Target
from tests.lab.tools import wait_until

APP, WRITERS = "switch_app", 2


@dataclass
class Shop:
    """Production and its deployment."""

    lab: Lab
    blue: Blue
    name: str
    green_host: str = ""

    def describe(self) -> dict[str, Any]:
        filters = [{"Name": "blue-green-deployment-name", "Values": [self.name]}]
        found: dict[str, Any] = self.lab.client("rds").describe_blue_green_deployments(Filters=filters)[
            "BlueGreenDeployments"
        ][0]
        return found

    def exists(self) -> bool:
        """Whether the service still knows the deployment."""
        found = self.lab.client("rds").describe_blue_green_deployments()["BlueGreenDeployments"]
        return any(one["BlueGreenDeploymentName"] == self.name for one in found)

    def create(self) -> None:
        """Make the deployment and wait for it."""
        rds = self.lab.client("rds")
        rds.create_blue_green_deployment(BlueGreenDeploymentName=self.name, Source=self.place(self.blue.cluster)["arn"])
        wait_until(lambda: self.describe()["Status"] == "AVAILABLE", 60, f"{self.name} to be available")
        self.green_host = self.place(self.describe()["Target"])["host"]

    def place(self, name: str) -> dict[str, str]:
        """ARN and endpoint of a cluster or an instance."""
        rds = self.lab.client("rds")
        if self.blue.engine.startswith("aurora"):
            cluster = rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]
            return {"arn": cluster["DBClusterArn"], "host": cluster["Endpoint"]}
        instance = rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
        return {"arn": instance["DBInstanceArn"], "host": instance["Endpoint"]["Address"]}

    def options(self, **more: Any) -> dict[str, Any]:
        """The module's, with both connections."""
        return {
            "deployment_id": self.name,
            "engine": "managed",
            "blue": login(self.lab, self.blue),
            "green": login(self.lab, self.blue, host=self.green_host),
            **more,
        }

    def hold(self, **seconds: float) -> None:
        """Prolong phases of the switchover."""
        self.lab.faults.managed(hold=seconds)


@dataclass
class Busy(Shop):
    """Production that clients write to through a gate."""

    gate: Gate | None = None
    load: Load | None = None
    password: str = ""

    def gates(self) -> list[dict[str, Any]]:
        assert self.gate is not None
        return [{**self.gate.option(), "blue_host": self.blue_address}]

    blue_address: str = ""

    def master(self, host: str) -> dict[str, Any]:
        """How the master user connects to a name."""
        blue, lab = self.blue, self.lab
        return {
            "host": host,
            "hostaddr": lab.address(host),
            "port": blue.port,
            "dbname": blue.database,
            "user": blue.user,
            "password": blue.password,
            "sslmode": "verify-full",
            "sslrootcert": lab.ca_file,
        }


@pytest.fixture(scope="module")
def shop(names_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Busy]:
    """An Aurora PostgreSQL under load."""
    lab, password, before = names_lab, secrets.token_urlsafe(16), names_lab.clusters()
    blue = lab.seed_postgresql("switch-pg", readers=0)
    shop = Busy(lab, blue, "switch-pg", password=password, blue_address=lab.address(blue.host))
    with closing(psycopg2.connect(**shop.master(blue.host))) as connection:
        load_schema.create(connection, APP, password, range(1, WRITERS + 1))
    shop.create()
    with Gate.start(None, [blue.database], shop.blue_address, blue.port, APP, password, lab.ca_file) as gate:
        target = Target(gate.host, gate.port, blue.database, APP, password)
        with Load.start(tmp_path_factory.mktemp("load"), target, WRITERS, rate=80) as load:
            shop.gate, shop.load = gate, load
            yield shop
    lab.faults.clear()
    lab.clear(before)


@pytest.fixture
def quiet(shop: Busy) -> Iterator[Busy]:
    """The shop; faults are taken back."""
    yield shop
    shop.lab.faults.clear()


def names(result: dict[str, Any], *wanted: str) -> list[str]:
    """Those of these events that happened, in their order."""
    return [entry["event"] for entry in result["timeline"] if entry["event"] in wanted]


def position(result: dict[str, Any]) -> set[str]:
    return {gate["position"] for gate in result["gates"]}


def test_check_mode_looks_at_every_guardrail_and_does_nothing(quiet: Busy, run_module: RunModule) -> None:
    result = run_module("bg_switchover", check=True, **quiet.options(gates=quiet.gates()))
    assert result["changed"] and result["serving"] == "blue"
    assert {check["id"]: check["status"] for check in result["checks"]} == {
        "metadata_blue": "ok",
        "metadata_green": "ok",
        "transactions": "ok",
        "lag": "ok",
        "gate_pgbouncer_file": "ok",
    }
    assert quiet.describe()["Status"] == "AVAILABLE"
    assert position(result) == {"blue"}


def test_there_must_be_a_deployment(quiet: Busy, run_module: RunModule) -> None:
    with pytest.raises(ModuleFailed, match="there is no Blue/Green Deployment named nobody"):
        run_module("bg_switchover", **quiet.options(deployment_id="nobody"))


def test_a_green_that_is_behind_stops_it_before_the_call(quiet: Busy, run_module: RunModule) -> None:
    with pytest.raises(ModuleFailed, match=r"more than max_lag of -1 s") as raised:
        run_module("bg_switchover", **quiet.options(max_lag=-1))
    assert raised.value.result["outcome"] == "refused"
    assert "SwitchoverBlueGreenDeployment" not in names(raised.value.result, "SwitchoverBlueGreenDeployment")


def test_what_the_service_takes_back_is_an_outcome_with_its_reasons(quiet: Busy, run_module: RunModule) -> None:
    quiet.lab.faults.managed(timeout=1.5, hold={"WRITES_STOPPED": 3.0})
    result = run_module("bg_switchover", **quiet.options(gates=quiet.gates()))
    assert (result["outcome"], result["changed"], result["serving"]) == ("rolled_back", False, "blue")
    assert any("not being completed within the timeout" in reason for reason in result["reasons"])
    assert names(result, "PREPARATION", "IN_PROGRESS", "gates held", "CREATED (rollback)") == [
        "PREPARATION",
        "IN_PROGRESS",
        "gates held",
        "CREATED (rollback)",
    ]
    assert position(result) == {"blue"}
    assert quiet.load is not None
    load = quiet.load
    before = load.acknowledged()
    wait_until(lambda: load.acknowledged() > before, 10, "writes to go on")


def paused(shop: Busy) -> bool:
    """Whether clients wait at the gate."""
    gate = shop.gates()[0]
    login = {name: gate[name] for name in ("host", "port", "user", "password")}
    with closing(psycopg2.connect(dbname="pgbouncer", **login)) as console:
        console.autocommit = True
        with console.cursor() as cursor:
            cursor.execute("SHOW DATABASES")
            at = [column.name for column in cursor.description or ()].index("paused")
            return any(int(row[at]) for row in cursor.fetchall())


def test_a_gate_that_a_killed_run_has_held_is_released(
    quiet: Busy, run_module: RunModule, names_runner: Runner
) -> None:
    quiet.lab.faults.managed(timeout=2.5, hold={"SWITCHOVER_IN_PROGRESS": 2.5})
    options = quiet.options(gates=quiet.gates())
    running = names_runner.start("bg_switchover", options, {**os.environ, **quiet.lab.env})
    wait_until(lambda: paused(quiet), 20, "the gate to be held")
    running.kill()
    assert running.wait().code < 0
    assert paused(quiet)
    result = run_module("bg_switchover", **options)
    assert (result["outcome"], result["serving"]) == ("rolled_back", "blue")
    assert position(result) == {"blue"} and not paused(quiet)


def test_the_traffic_moves_under_load_and_no_write_is_lost(quiet: Busy, run_module: RunModule) -> None:
    began = time.time()
    result = run_module("bg_switchover", **quiet.options(gates=quiet.gates()))
    assert (result["outcome"], result["changed"], result["serving"]) == ("switched_over", True, "green")
    wanted = ["PREPARATION", "IN_PROGRESS", "gates held", "POST", "COMPLETED"]
    assert names(result, *wanted) == wanted
    assert names(result, "IN_PROGRESS", "Green topology changed") == ["IN_PROGRESS", "Green topology changed"]
    zero = next(entry for entry in result["timeline"] if entry["event"] == "IN_PROGRESS")
    assert zero["offset_ms"] == pytest.approx(0, abs=5)
    assert result["window_from"] == "gate"
    assert 0 < result["window_ms"] < (time.time() - began) * 1000
    assert position(result) == {"green"}
    assert next((row["kind"], row["blue"], row["green"]) for row in result["hosts"]) == (
        "cluster",
        quiet.blue.host,
        quiet.green_host,
    )
    assert quiet.load is not None
    time.sleep(0.5)
    serving = Side("green", quiet.master(quiet.blue.host))
    fenced = Side("blue", quiet.master(result["blue"]["host"]))
    found = audit(quiet.load.entries, serving, fenced)
    assert found.findings() == []
    assert found.acknowledged > 100
    assert not any(count.refused or count.unknown for count in quiet.load.counts()), "clients waited and saw no error"


def test_a_second_run_changes_nothing_and_tells_what_was_left_behind(quiet: Busy, run_module: RunModule) -> None:
    scaling, of = quiet.lab.client("application-autoscaling"), f"cluster:{quiet.blue.cluster}"
    readers = {"ServiceNamespace": "rds", "ResourceId": of, "ScalableDimension": "rds:cluster:ReadReplicaCount"}
    scaling.register_scalable_target(MinCapacity=1, MaxCapacity=4, **readers)
    scaling.put_scaling_policy(PolicyName="readers-by-cpu", PolicyType="TargetTrackingScaling", **readers)
    result = run_module("bg_switchover", **quiet.options(gates=quiet.gates()))
    assert (result["outcome"], result["changed"], result["actions"]) == ("switched_over", False, [])
    assert position(result) == {"green"}
    left = {one["id"]: one["evidence"] for one in result["left_behind"]}
    assert "readers-by-cpu of switch-pg" in left["aws_managed_autoscaling"]
    assert "readers-by-cpu" in str(result["warnings"])


def test_a_switchover_that_failed_is_told_with_its_reasons_and_nobody_waits_at_the_gate(
    quiet: Busy, run_module: RunModule
) -> None:
    rds = quiet.lab.client("rds")
    rds.delete_blue_green_deployment(BlueGreenDeploymentIdentifier=quiet.describe()["BlueGreenDeploymentIdentifier"])
    wait_until(lambda: not quiet.exists(), 20, "the deployment to be gone")
    again = Shop(quiet.lab, quiet.blue, "switch-again")
    again.create()
    quiet.lab.faults.managed(fail_switchover="the storage did not answer")
    blue, green = (quiet.lab.address(host) for host in (quiet.blue.host, again.green_host))
    with HAProxy.start((blue, quiet.blue.port), (green, quiet.blue.port)) as proxy:
        for run in range(2):
            with pytest.raises(ModuleFailed, match="the storage did not answer") as raised:
                run_module("bg_switchover", **again.options(blue=None, green=None, gates=[proxy.option()]))
            assert raised.value.result["outcome"] == "failed"
            assert ("gates held" in names(raised.value.result, "gates held")) == (run == 0)
            login = {**quiet.master(quiet.blue.host), "hostaddr": proxy.host, "port": proxy.port, "connect_timeout": 5}
            psycopg2.connect(**login).close()


@pytest.fixture
def mysql(names_lab: Lab) -> Iterator[Shop]:
    """An RDS for MySQL and its deployment."""
    before = names_lab.clusters()
    shop = Shop(names_lab, names_lab.seed_rds_mysql("switch-my"), "switch-my")
    shop.create()
    yield shop
    names_lab.faults.clear()
    names_lab.clear(before)


def test_a_run_that_was_killed_is_gone_on_with(mysql: Shop, run_module: RunModule, names_runner: Runner) -> None:
    mysql.hold(SWITCHOVER_IN_PROGRESS=1.5)
    running = names_runner.start("bg_switchover", mysql.options(), {**os.environ, **mysql.lab.env})
    wait_until(lambda: mysql.describe()["Status"] == "SWITCHOVER_IN_PROGRESS", 20, "the switchover to begin")
    running.kill()
    assert running.wait().code < 0
    result = run_module("bg_switchover", **mysql.options())
    assert (result["outcome"], result["changed"], result["serving"]) == ("switched_over", True, "green")
    assert "SwitchoverBlueGreenDeployment" not in names(result, "SwitchoverBlueGreenDeployment")
    assert names(result, "IN_PROGRESS", "POST", "COMPLETED") == ["IN_PROGRESS", "POST", "COMPLETED"]
    assert result["binlog_position"]["file"].startswith("mysql-bin-changelog.")
    again = run_module("bg_switchover", **mysql.options())
    assert not again["changed"] and again["binlog_position"] == result["binlog_position"]
