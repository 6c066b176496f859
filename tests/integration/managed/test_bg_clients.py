# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""bg_clients: clients of a managed deployment, on real servers with names."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import ModuleFailed, RunModule
from tests.integration.managed.conftest import login, sql
from tests.integration.runner import Runner
from tests.lab.lab import Blue, Lab
from tests.lab.tools import wait_until

# what no engine has a part in, or another test shows of the other one
MYSQL_ONLY = pytest.mark.parametrize("scene", ["mysql"], indirect=True)
POSTGRESQL_ONLY = pytest.mark.parametrize("scene", ["postgresql"], indirect=True)
PASSWORD = "it's-Pw-1"


class Scene:
    """A blue with users of applications, its deployment, and the module run on them."""

    def __init__(self, lab: Lab, blue: Blue, runner: Runner, run_module: RunModule) -> None:
        self.lab, self.blue, self.runner, self._run_module = lab, blue, runner, run_module
        self.is_mysql = "mysql" in blue.engine
        self.deployment = f"{blue.cluster}-next"
        for name in ("early", "late"):
            host = "@'%'" if self.is_mysql else ""
            verb = "IDENTIFIED BY" if self.is_mysql else "LOGIN PASSWORD"
            self.sql(self.blue.host, f"CREATE USER {name}{host} {verb} '{PASSWORD.replace(chr(39), chr(39) * 2)}'")

    def sql(self, host: str, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements as the master user; returns the last one's rows."""
        return sql(self.lab, self.blue, *statements, host=host)

    def run(self, *users: str, check: bool = False, **more: Any) -> dict[str, Any]:
        """Run the module for these users."""
        options = {
            "deployment_id": self.deployment,
            # the servers are the same, and RDS for PostgreSQL is the one that needs grants
            "engine": "aurora_mysql" if self.is_mysql else "rds_postgresql",
            "source": self.blue.cluster,
            "blue": login(self.lab, self.blue, database=self.blue.database),
            "users": [{"user": user, "password": PASSWORD} for user in users],
            "dns_server": self.lab.resolver,
            **more,
        }
        return self._run_module("bg_clients", check=check, **options)

    def written(self, host: str) -> Any:
        """What is in the binary log of a MySQL server."""
        return self.sql(host, "SELECT @@GLOBAL.gtid_executed") if self.is_mysql else None

    def probe(self, path: Path, **more: Any) -> dict[str, Any]:
        """The options of a probe as the user `early`."""
        lab, blue = self.lab, self.blue
        target = {"host": blue.host, "port": blue.port, "ca_cert": lab.ca_file, "database": blue.database}
        return {
            "deployment_id": self.deployment,
            "engine": "mysql" if self.is_mysql else "postgresql",
            "target": {**target, "user": "early", "password": PASSWORD},
            "path": str(path),
            "interval_ms": 50,
            "duration": 60,
            "dns_server": lab.resolver,
            **more,
        }

    @property
    def deployments(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.lab.client("rds").describe_blue_green_deployments()["BlueGreenDeployments"]
        return [one for one in found if one["BlueGreenDeploymentName"] == self.deployment]

    def deploy(self) -> None:
        """Make the deployment and wait until it is available."""
        rds = self.lab.client("rds")
        if self.blue.engine.startswith("aurora"):
            arn = rds.describe_db_clusters(DBClusterIdentifier=self.blue.cluster)["DBClusters"][0]["DBClusterArn"]
        else:
            arn = rds.describe_db_instances(DBInstanceIdentifier=self.blue.cluster)["DBInstances"][0]["DBInstanceArn"]
        rds.create_blue_green_deployment(BlueGreenDeploymentName=self.deployment, Source=arn)
        wait_until(lambda: self.deployments[0]["Status"] == "AVAILABLE", 60, "the deployment to be available")


@pytest.fixture(scope="module", params=["mysql", "postgresql"])
def scene(
    request: pytest.FixtureRequest, names_lab: Lab, names_runner: Runner, run_module: RunModule
) -> Iterator[Scene]:
    before = names_lab.clusters()
    seed = names_lab.seed_mysql if request.param == "mysql" else names_lab.seed_postgresql
    blue = seed(f"clients-{request.param}", readers=0)
    made = Scene(names_lab, blue, names_runner, run_module)
    admin = login(names_lab, blue, database=blue.database)
    run_module("bg_probe", **made.probe(Path("/"), state="prepared", target=admin, users=["early"]))
    yield made
    names_lab.faults.clear()
    names_lab.clear(before)


@pytest.fixture(scope="module")
def deployed(scene: Scene) -> Scene:
    scene.deploy()
    return scene


def statuses(result: dict[str, Any]) -> dict[tuple[str, str], str]:
    return {(one["user"], one["side"]): one["status"] for one in result["users"]}


def found(result: dict[str, Any], check_id: str) -> str:
    return " ".join(one["status"] for one in result["checks"] if one["id"] == check_id)


def test_before_the_deployment_a_missing_grant_is_found_and_given(scene: Scene) -> None:
    before = scene.run("early")
    missing = "grant" if scene.is_mysql else "absent"
    assert not before["ready"] and statuses(before) == {("early", "blue"): missing}
    assert scene.run("early", state="granted", check=True)["changed"]
    assert statuses(scene.run("early")) == {("early", "blue"): missing}
    others = [one for one in before["checks"] if one["id"] == "clients_users"]
    assert [(one["status"], "late" in one["evidence"], "early" in one["evidence"]) for one in others] == [
        ("warning", True, False)
    ]
    given = scene.run("early", state="granted")
    assert given["changed"] and given["ready"] and statuses(given) == {("early", "blue"): "ok"}
    assert not scene.run("early", state="granted")["changed"]


@MYSQL_ONLY
def test_reasons_are_told_apart(scene: Scene) -> None:
    wrong = scene.run(users=[{"user": "early", "password": "wrong"}, {"user": "nobody", "password": "x"}])
    assert set(statuses(wrong).values()) == {"login"}
    untrusted = scene.run(blue={"host": scene.blue.host, "port": scene.blue.port, "secret_arn": scene.blue.secret_arn})
    assert found(untrusted, "clients_endpoint") == "ok" and untrusted["users"] == []
    scene.lab.faults.link(scene.lab.address(scene.blue.host), "cut")
    try:
        assert set(statuses(scene.run("early")).values()) == {"unreachable"}
    finally:
        scene.lab.faults.link(scene.lab.address(scene.blue.host), "none")


@MYSQL_ONLY
def test_an_alias_and_a_long_ttl_are_found(scene: Scene) -> None:
    scene.lab.faults.names_ttl(60)
    try:
        result = scene.run("early", endpoints=[scene.blue.host, "db.shop.example.com"])
    finally:
        scene.lab.faults.names_ttl(5)
    assert found(result, "clients_endpoint") == "ok failed" and found(result, "clients_dns_ttl") == "warning failed"
    assert found(scene.run("early"), "clients_dns_ttl") == "ok"


def test_users_that_were_granted_before_see_both_rows_on_both_sides(deployed: Scene) -> None:
    result = deployed.run("early", require_metadata=True)
    assert statuses(result) == {("early", "blue"): "ok", ("early", "green"): "ok"}
    assert result["ready"] and len(result["metadata"]["blue"]) == len(result["metadata"]["green"]) == 2
    assert all(one["green"] and one["green_addresses"] != one["blue_addresses"] for one in result["hosts"])
    assert deployed.blue.host in result["hosts_text"] and "-green-" in result["hosts_text"]


def test_a_late_grant_is_given_on_each_side_and_does_not_replicate(deployed: Scene) -> None:
    green = next(one["green"] for one in deployed.run()["hosts"] if one["blue"] == deployed.blue.host)
    before = statuses(deployed.run("late"))
    assert before == {("late", "blue"): "grant", ("late", "green"): "grant"}
    written = [deployed.written(host) for host in (deployed.blue.host, green)]
    given = deployed.run("late", "early", state="granted")
    assert given["ready"] and set(statuses(given).values()) == {"ok"}
    assert given["actions"][0].split(":")[0].split(",")[0] == "on blue"
    if deployed.is_mysql:
        assert [deployed.written(host) for host in (deployed.blue.host, green)] == written
        assert deployed.sql(green, "SELECT @@GLOBAL.read_only") == [(1,)]
    else:
        elsewhere = [{"user": "late", "password": PASSWORD, "database": "postgres"}]
        with pytest.raises(
            ModuleFailed, match=r"rds_tools 1\.7 in the database postgres of blue, but it is missing and must"
        ):
            deployed.run(users=elsewhere, state="granted")
    assert deployed.deployments[0]["Status"] == "AVAILABLE"
    assert not deployed.run("late", "early", state="granted")["changed"]


@MYSQL_ONLY
def test_an_account_that_aurora_does_not_replicate_keeps_the_switchover_from_beginning(
    deployed: Scene, run_module: RunModule
) -> None:
    green = next(one["green"] for one in deployed.run()["hosts"] if one["blue"] == deployed.blue.host)
    options = {"deployment_id": deployed.deployment, "engine": "managed", "step": "switchover"}
    sides = {
        side: login(deployed.lab, deployed.blue, host=host)
        for side, host in (("blue", deployed.blue.host), ("green", green))
    }

    def accounts() -> dict[str, Any]:
        result = run_module("bg_readiness", **options, **sides, source_db_cluster_identifier=deployed.blue.cluster)
        return next(one for one in result["checks"] if one["id"] == "green_accounts")

    assert accounts()["status"] == "ok"
    deployed.sql(deployed.blue.host, "CREATE USER latest@'%' IDENTIFIED BY 'Latest-of-all-1'")
    found = accounts()
    assert found["status"] == "failed" and "'latest'@'%' is missing" in found["evidence"]
    deployed.sql(deployed.blue.host, "DROP USER latest@'%'")


@POSTGRESQL_ONLY
def test_a_probe_sees_the_switchover_and_the_plugin_is_to_be_taken_out(deployed: Scene, tmp_path: Path) -> None:
    rds, path = deployed.lab.client("rds"), tmp_path / "probe.jsonl"
    probing = deployed.runner.start("bg_probe", deployed.probe(path), {**os.environ, **deployed.lab.env})
    wait_until(lambda: path.exists() and path.read_bytes().count(b"\n") > 40, 20, "the probe to write")
    identifier = deployed.deployments[0]["BlueGreenDeploymentIdentifier"]
    before = deployed.lab.address(deployed.blue.host)
    rds.switchover_blue_green_deployment(BlueGreenDeploymentIdentifier=identifier)
    wait_until(lambda: deployed.deployments[0]["Status"] == "SWITCHOVER_COMPLETED", 60, "the switchover")
    wait_until(lambda: deployed.lab.address(deployed.blue.host) != before, 60, "the name to move")
    time.sleep(1)
    stopped = deployed.probe(path, state="stopped", max_gap_ms=15_000)
    stopped_result = deployed.runner.start("bg_probe", stopped, {**os.environ, **deployed.lab.env}).wait()
    ended = probing.wait()
    assert ended.code == 0, ended.output
    report = stopped_result.result("bg_probe")["report"]
    assert stopped_result.code == 0 and report["canaries"]["lost"] == report["canaries"]["doubled"] == 0
    assert {"read_only", "server_closed"} & {error["kind"] for error in report["errors"]}
    assert report["longest_write_gap_ms"] > 300
    (old,), (new,) = (one["addresses"] for one in report["dns"]["answers"] if one["addresses"])
    assert (old, report["dns"]["ttl_max"]) != (new, None) and report["servers"][0]["address"] == old
    assert [one["address"] for one in report["servers"]][-1] == new and len(
        {one["server"] for one in report["servers"]}
    ) == 2
    after = deployed.run("early")
    assert found(after, "clients_plugin") == "warning" and statuses(after) == {("early", "blue"): "ok"}
