# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way back of a managed switchover of PostgreSQL, from its arming to production on its old servers; one run, several looks."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from tests import forks
from tests.integration.conftest import RunModule
from tests.integration.managed.conftest import login
from tests.lab.lab import Blue, Lab
from tests.lab.tools import wait_until
from tests.playbook import Finished, Playbook
from tests.scene import TARGET_VERSION

DEPLOYMENT, BACK = "way-back", "way-back-back"
OTHER = "books"  # a second database
DATABASES = ("shop", OTHER)

pytestmark = pytest.mark.timeout(600)


@dataclass
class Story:
    """What each run said, and what was true between the runs."""

    lab: Lab
    blue: Blue
    playbook: Playbook
    run_module: RunModule
    runs: dict[str, Finished] = field(default_factory=dict)
    seen: dict[str, Any] = field(default_factory=dict)

    @property
    def old(self) -> str:
        return f"{self.blue.cluster}-old1"

    def host(self, cluster: str) -> str:
        found = self.lab.client("rds").describe_db_clusters(DBClusterIdentifier=cluster)["DBClusters"][0]
        return str(found["Endpoint"])

    def green(self) -> str:
        """Green's identifier, while it is green."""
        return next(name for _region, name in self.lab.clusters() if name.startswith(f"{self.blue.cluster}-green-"))

    def ask(self, cluster: str, *statements: str, database: str = "shop") -> list[tuple[Any, ...]]:
        """Run statements on a cluster as the master user, as a client does; returns the last one's rows."""
        blue, host = self.blue, self.host(cluster)
        found: list[tuple[Any, ...]] = []
        with closing(
            psycopg2.connect(
                host=host,
                hostaddr=self.lab.address(host),
                port=blue.port,
                dbname=database,
                user=blue.user,
                password=blue.password,
                sslmode="verify-full",
                sslrootcert=self.lab.ca_file,
            )
        ) as conn:
            conn.autocommit = True
            with conn.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                    found = cursor.fetchall() if cursor.description else []
        return found

    def left(self, cluster: str) -> list[tuple[Any, ...]]:
        """What replication has on a cluster."""
        return [
            *self.ask(cluster, "SELECT slot_name FROM pg_replication_slots WHERE slot_name ~ '^bg_'"),
            *self.ask(cluster, "SELECT subname FROM pg_subscription WHERE subname ~ '^bg_'"),
            *self.ask(cluster, "SELECT rolname FROM pg_roles WHERE rolname ~ '^bg_'"),
            *self.ask(cluster, "SELECT datname FROM pg_database WHERE datname = 'bluegreen_control'"),
            *(
                row
                for database in DATABASES
                for row in self.ask(
                    cluster,
                    "SELECT pubname::text FROM pg_publication WHERE pubname ~ '^bg_' UNION ALL"
                    " SELECT nspname::text FROM pg_namespace WHERE nspname = 'bluegreen'",
                    database=database,
                )
            ),
        ]

    def orders(self, cluster: str) -> dict[str, set[str]]:
        """The notes of the orders in both databases."""
        return {
            name: {str(note) for (note,) in self.ask(cluster, "SELECT note FROM orders", database=name)}
            for name in DATABASES
        }


class Writer(threading.Thread):
    """Writes to production by its name, one transaction at a time, and keeps what was acknowledged."""

    def __init__(self, story: Story) -> None:
        super().__init__(daemon=True)
        self._story, self._ended = story, threading.Event()
        self.acknowledged: dict[str, set[str]] = {name: set() for name in DATABASES}
        self.count = 0

    def run(self) -> None:
        production = self._story.blue.cluster
        while not self._ended.wait(0.05):
            database = DATABASES[self.count % 5 == 4]
            note = f"written-{self.count}"
            self.count += 1
            try:
                self._story.ask(production, f"INSERT INTO orders (note) VALUES ('{note}')", database=database)
            except (psycopg2.Error, StopIteration, KeyError):
                continue  # not acknowledged
            self.acknowledged[database].add(note)

    def total(self) -> int:
        return sum(len(notes) for notes in self.acknowledged.values())

    def end(self) -> None:
        self._ended.set()
        self.join(30)


@pytest.fixture(scope="module", name="story")
def _story(names_lab: Lab, run_module: RunModule, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    directory: Path = tmp_path_factory.mktemp("way-back")
    before = names_lab.clusters()
    blue = names_lab.seed_postgresql("wayback", readers=0)
    variables = {
        "rds_managed_deployment_id": DEPLOYMENT,
        "rds_managed_source": blue.cluster,
        "rds_managed_admin": {"user": blue.user, "password": blue.password, "ca_cert": names_lab.ca_file},
        "rds_managed_engine_version": TARGET_VERSION,
        "rds_managed_prepare": True,
        "rds_managed_reverse_replication": True,
        "rds_managed_skip_final_snapshot": True,
        "rds_managed_wait_delay": 0.2,
    }
    with forks.serving(names_lab.env) as forking:
        playbook = Playbook(directory, {**names_lab.env, **forking}, variables, "bluegreen.aws.rds_managed")
        story = Story(names_lab, blue, playbook, run_module)
        tell(story)
    yield story
    names_lab.faults.clear()
    names_lab.clear(before)


def tell(story: Story) -> None:
    """From the deployment to production on its old servers again."""
    lab, blue = story.lab, story.blue
    story.ask(blue.cluster, f"CREATE DATABASE {OTHER}")
    for database in DATABASES:
        story.ask(
            blue.cluster,
            "CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text UNIQUE NOT NULL)",
            "INSERT INTO orders (note) VALUES ('before')",
            database=database,
        )
    story.runs["create"] = story.playbook.succeed("create")
    writer = Writer(story)
    writer.start()
    lab.faults.managed(timeout=1.5, hold={"WRITES_STOPPED": 3.0})
    story.runs["taken back"] = story.playbook.run("switchover")
    lab.faults.clear()
    story.seen["left on green"] = story.left(story.green())
    killed = story.playbook.start("switchover")
    wait_until(lambda: status(story) == "SWITCHOVER_IN_PROGRESS", 60, "the switchover to begin")
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    wait_until(lambda: status(story) == "SWITCHOVER_COMPLETED", 60, "the switchover to end")
    at = writer.total()
    wait_until(lambda: writer.total() > at + 20, 30, "writes to go on")
    story.runs["continued"] = story.playbook.succeed("switchover")
    story.runs["again"] = story.playbook.succeed("switchover,rollback")
    story.seen["a client on old production"] = story.ask(story.old, "SHOW default_transaction_read_only")
    went = story.run_module(
        "bg_switchover",
        engine="aurora_postgresql",
        deployment_id=BACK,
        blue=login(lab, blue),
        green=login(lab, blue, host=story.host(story.old)),
    )
    story.seen["went back"] = went
    writer.end()
    story.seen["acknowledged"], story.seen["on old production"] = writer.acknowledged, story.orders(story.old)
    story.seen["closed"] = story.ask(blue.cluster, "SHOW default_transaction_read_only")
    story.runs["cleanup that deletes"] = story.playbook.run("cleanup", rds_managed_delete_source=True)
    story.runs["cleanup"] = story.playbook.succeed("cleanup", rds_managed_fence_source="none")
    story.seen["written later"] = story.ask(story.old, "INSERT INTO orders (note) VALUES ('later') RETURNING id")
    story.seen["end"] = [story.left(cluster) for cluster in (blue.cluster, story.old)]


def status(story: Story) -> str:
    filters = [{"Name": "blue-green-deployment-name", "Values": [DEPLOYMENT]}]
    found = story.lab.client("rds").describe_blue_green_deployments(Filters=filters)
    return str(found["BlueGreenDeployments"][0]["Status"])


def test_it(story: Story) -> None:
    for name, run in story.runs.items():
        print("=====", name, run.code)
        print(run.output[-6000:])
    print(story.seen)
    assert not {
        d: story.seen["acknowledged"][d] - story.seen["on old production"][d]
        for d in DATABASES
        if story.seen["acknowledged"][d] - story.seen["on old production"][d]
    }
