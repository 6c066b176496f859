# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""bg_probe: what an application sees through its endpoint."""

from __future__ import annotations

import os
import secrets
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import ModuleFailed, RunModule
from tests.integration.managed.conftest import sql
from tests.integration.runner import Runner, Running
from tests.lab.lab import Blue, Lab
from tests.lab.tools import MYSQL, wait_until

USER = "probed_app"
PASSWORD = "Pw-" + secrets.token_urlsafe(12)
QUICK = {"interval_ms": 40, "attempt_timeout_ms": 1000}
ONE_ENGINE = pytest.mark.parametrize("probed", ["postgresql"], indirect=True)  # what no engine has a part in
LONG = 30.0  # s, of a run that a test ends


class Probed:
    """A blue with an application's account, and the module run on it as that application."""

    def __init__(self, lab: Lab, blue: Blue, runner: Runner, run_module: RunModule) -> None:
        self.lab, self.blue, self._runner, self._run_module = lab, blue, runner, run_module
        self.is_mysql = blue.engine == MYSQL
        if self.is_mysql:
            self.admin(f"CREATE USER '{USER}'@'%' IDENTIFIED BY '{PASSWORD}'")
        else:
            self.admin(f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'")

    def admin(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements as the master user; returns the last one's rows."""
        return sql(self.lab, self.blue, *statements)

    def options(self, path: Path, user: str = USER, password: str = PASSWORD, **more: Any) -> dict[str, Any]:
        """The module's options."""
        target = {
            "host": self.blue.host,
            "port": self.blue.port,
            "user": user,
            "password": password,
            "ca_cert": self.lab.ca_file,
            "database": self.blue.database,
        }
        engine = "mysql" if self.is_mysql else "postgresql"
        return {"deployment_id": "shop-next", "engine": engine, "target": target, "path": str(path), **QUICK, **more}

    def run(self, path: Path, check: bool = False, **more: Any) -> dict[str, Any]:
        """Run the module to its end."""
        return self._run_module("bg_probe", check=check, **self.options(path, **more))

    def prepare(self) -> dict[str, Any]:
        """Make the table as the master user."""
        login: dict[str, Any] = {"user": self.blue.user, "password": self.blue.password, "users": [USER]}
        return self.run(Path("/"), state="prepared", **login)

    def start(self, path: Path, **more: Any) -> Running:
        """Start it, and return when it has written some canaries since."""
        before = path.read_bytes().count(b"\n") if path.exists() else 0
        options = self.options(path, **{"run_id": path.parent.name[:50], "duration": LONG, **more})
        running = self._runner.start("bg_probe", options, {**os.environ, **self.lab.env})
        wait_until(lambda: path.exists() and path.read_bytes().count(b"\n") > before + 25, 20, "the probe to write")
        return running

    def stop(self, path: Path, **more: Any) -> dict[str, Any]:
        """End it and return its report."""
        return dict(self.run(path, run_id=path.parent.name[:50], state="stopped", **more)["report"])


@pytest.fixture(scope="module", params=["postgresql", "mysql"])
def probed(
    request: pytest.FixtureRequest, names_lab: Lab, names_runner: Runner, run_module: RunModule
) -> Iterator[Probed]:
    lab, before = names_lab, names_lab.clusters()
    blue = (
        lab.seed_mysql("probed-my", readers=0)
        if request.param == "mysql"
        else lab.seed_postgresql("probed-pg", readers=0)
    )
    made = Probed(lab, blue, names_runner, run_module)
    made.prepare()
    yield made
    lab.faults.clear()
    lab.clear(before)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "probe.jsonl"


def kinds(report: dict[str, Any]) -> set[str]:
    return {error["kind"] for error in report["errors"]}


def test_a_run_that_has_ended_is_reported_and_not_run_again(probed: Probed, path: Path) -> None:
    assert probed.run(path, check=True, duration=1)["actions"] == [f"probe {probed.blue.host} for 1 s"]
    assert not path.exists()
    done = probed.run(path, duration=1, max_gap_ms=5000)
    assert done["changed"] and done["report"]["errors"] == [] and done["report"]["stale_reads"] == 0
    canaries = done["report"]["canaries"]
    assert canaries["acknowledged"] == canaries["found"] == done["report"]["attempts"]["writes"] > 20
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and PASSWORD not in path.read_text()
    again = probed.run(path, duration=1)
    assert not again["changed"] and again["report"] == done["report"]
    anew = probed.run(path, duration=0.5, replace=True)  # its canaries have the same numbers
    assert anew["report"]["canaries"]["doubled"] == 0 and anew["report"]["began"] > done["report"]["last"]
    (aside,) = path.parent.glob("probe.jsonl.2*")
    assert aside.read_text().count('"record":"end"') == 1


def test_a_side_that_only_reads_is_a_gap_of_writes_alone(probed: Probed, path: Path) -> None:
    running = probed.start(path)
    if probed.is_mysql:
        probed.admin("CALL mysql.rds_set_read_only(1)", "DO SLEEP(0.7)", "CALL mysql.rds_set_read_only(0)")
    else:
        probed.admin(
            f"ALTER ROLE {USER} SET default_transaction_read_only = on",
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{USER}'",
            "SELECT pg_sleep(0.7)",
            f"ALTER ROLE {USER} RESET default_transaction_read_only",
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{USER}'",
        )
    time.sleep(0.3)
    report = probed.stop(path)
    running.wait()
    assert "read_only" in kinds(report) and kinds(report) <= {"read_only", "server_closed"}
    assert 700 <= report["longest_write_gap_ms"] < 3000
    assert report["longest_read_gap_ms"] < report["longest_write_gap_ms"]
    assert report["canaries"]["lost"] == 0


def test_an_endpoint_that_refuses_and_one_that_is_silent_are_told_apart(probed: Probed, path: Path) -> None:
    running = probed.start(path, attempt_timeout_ms=400)
    for mode, seconds in (("cut", 0.4), ("none", 0.2), ("stall", 1.0), ("none", 0.6)):
        probed.lab.faults.link(probed.lab.address(probed.blue.host), mode)
        time.sleep(seconds)
    report = probed.stop(path)
    running.wait()
    assert {"timeout"} < kinds(report) <= {"timeout", "refused", "server_closed"}
    assert 900 <= report["longest_write_gap_ms"] < 5000 and 900 <= report["longest_read_gap_ms"] < 5000
    assert report["canaries"]["lost"] == 0


@ONE_ENGINE
def test_lost_and_doubled_canaries_fail_the_probe(probed: Probed, path: Path) -> None:
    running = probed.start(path)
    time.sleep(0.1)
    probed.admin(
        "DELETE FROM bluegreen_probe.canary WHERE lane = 'new' AND number = 2",
        "INSERT INTO bluegreen_probe.canary (run, lane, number) SELECT run, lane, number FROM bluegreen_probe.canary "
        f"WHERE run LIKE '{path.parent.name[:50]}/%' AND lane = 'kept' AND number = 3",
    )
    with pytest.raises(ModuleFailed) as failed:
        probed.stop(path)
    running.wait()
    canaries = failed.value.result["report"]["canaries"]
    assert (canaries["lost_ids"], canaries["doubled_ids"]) == (["new/2"], ["kept/3"])
    assert "1 of " in failed.value.msg and "are not there on the side that serves" in failed.value.msg


@ONE_ENGINE
def test_a_probe_that_was_killed_goes_on_with_new_canaries(probed: Probed, path: Path) -> None:
    running = probed.start(path)
    running.kill()
    running.wait()
    with path.open("ab") as file:
        file.write(b'{"record":"attempt","t":1')  # as a kill within a line leaves it
    partial = probed.run(path, state="reported", run_id=path.parent.name[:50])
    assert not partial["changed"] and not partial["report"]["complete"] and partial["report"]["canaries"] is None
    probed.start(path).terminate()
    report = probed.stop(path)
    assert (report["complete"], report["ended_by"], len(report["unwatched"])) == (True, "signal", 1)
    assert report["canaries"]["acknowledged"] == report["canaries"]["found"] > 20 and not report["canaries"]["doubled"]


@ONE_ENGINE
def test_a_probe_ends_when_a_file_appears_and_cleans_up_its_canaries(probed: Probed, path: Path) -> None:
    sign = path.with_name("done")
    running = probed.start(path, until=str(sign), connections=["kept"], cleanup=True)
    sign.touch()
    found = running.wait().result("bg_probe")
    assert found["report"]["ended_by"] == "until" and found["report"]["canaries"]["lost"] == 0
    (count,) = probed.admin(f"SELECT COUNT(*) FROM bluegreen_probe.canary WHERE run LIKE '{path.parent.name[:50]}/%'")[
        0
    ]
    assert count == 0


@ONE_ENGINE
def test_one_file_is_written_by_one_probe(probed: Probed, path: Path) -> None:
    running = probed.start(path)
    with pytest.raises(ModuleFailed, match="another one does so now"):
        probed.run(path, run_id=path.parent.name[:50])
    probed.stop(path)
    running.wait()
    with pytest.raises(ModuleFailed, match="should hold the run other, but it holds"):
        probed.run(path, run_id="other")


def test_what_is_missing_is_said_with_the_statements(probed: Probed, path: Path) -> None:
    with pytest.raises(ModuleFailed, match=r"CREATE TABLE IF NOT EXISTS .*canaries2.*GRANT SELECT, INSERT, DELETE"):
        probed.run(path, table="canaries2", create_table=False, users=[USER])
    with pytest.raises(ModuleFailed, match=r"\(denied.*let such a user run: CREATE"):
        probed.run(path, schema="elsewhere")
    with pytest.raises(ModuleFailed, match=r"\(login.*look at the target's"):
        probed.run(path, password="wrong")
    if probed.is_mysql:
        with pytest.raises(
            ModuleFailed, match="its user has CONNECTION_ADMIN, with which it writes to a side that only"
        ):
            probed.run(path, user=probed.blue.user, password=probed.blue.password)
    assert not path.read_text()


def test_the_table_is_removed(probed: Probed, path: Path) -> None:
    login: dict[str, Any] = {"user": probed.blue.user, "password": probed.blue.password, "state": "absent"}
    assert probed.run(path, check=True, **login)["changed"] and probed.run(path, **login)["changed"]
    assert not probed.run(path, **login)["changed"]
    if not probed.is_mysql:
        probed.admin("SELECT pg_create_logical_replication_slot('other', 'pgoutput')")
        with pytest.raises(ModuleFailed, match=r"1 logical replication slots.*state=prepared before the deployment"):
            probed.prepare()
        probed.admin("SELECT pg_drop_replication_slot('other')")
    assert probed.prepare()["changed"] and not probed.prepare()["changed"]


def test_a_table_of_somebody_else_is_not_taken_for_that_of_the_canaries(probed: Probed, path: Path) -> None:
    probed.admin("CREATE TABLE bluegreen_probe.orders (id int PRIMARY KEY)")
    login: dict[str, Any] = {"user": probed.blue.user, "password": probed.blue.password}
    try:
        for state in ("absent", "prepared"):
            with pytest.raises(ModuleFailed, match=r"orders should be the table of the canaries, .* the columns id:"):
                probed.run(path, state=state, table="orders", **login)
        assert probed.admin("SELECT COUNT(*) FROM bluegreen_probe.orders") == [(0,)]
    finally:
        probed.admin("DROP TABLE bluegreen_probe.orders")
