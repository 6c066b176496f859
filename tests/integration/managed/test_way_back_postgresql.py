# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way back of a managed switchover of PostgreSQL, from its arming to production on its old servers; one run, several looks."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
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
ROLE = "bluegreen.aws.rds_managed"
READ_ONLY = "SHOW default_transaction_read_only"
TABLE = (
    "CREATE TABLE orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note text UNIQUE NOT NULL)",
    "INSERT INTO orders (note) VALUES ('before')",
)
AHEAD = "INSERT INTO orders (note) VALUES ('first') RETURNING id > (SELECT max(id) FROM orders)"

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

    def deployment(self) -> dict[str, str]:
        """The deployment's identifier and status."""
        filters = [{"Name": "blue-green-deployment-name", "Values": [DEPLOYMENT]}]
        (found,) = self.lab.client("rds").describe_blue_green_deployments(Filters=filters)["BlueGreenDeployments"]
        return {"id": found["BlueGreenDeploymentIdentifier"], "status": found["Status"]}

    def green(self) -> str:
        """Green's identifier, while it is green."""
        return next(name for _region, name in self.lab.clusters() if name.startswith(f"{self.blue.cluster}-green-"))

    def ask(self, cluster: str, *statements: str, database: str = "shop") -> list[tuple[Any, ...]]:
        """Run statements on a cluster as the master user, as a client does; returns the last one's rows."""
        found: list[tuple[Any, ...]] = []
        with closing(self.connect(self.host(cluster), database)) as conn:
            conn.autocommit = True
            with conn.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                    found = cursor.fetchall() if cursor.description else []
        return found

    def connect(self, host: str, database: str) -> Any:
        """A connection as a client has it."""
        blue, lab = self.blue, self.lab
        return psycopg2.connect(
            host=host,
            hostaddr=lab.address(host),
            port=blue.port,
            dbname=database,
            user=blue.user,
            password=blue.password,
            sslmode="verify-full",
            sslrootcert=lab.ca_file,
        )

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

    def notes(self, cluster: str, database: str) -> set[str]:
        """The notes of the orders in a database."""
        return {str(note) for (note,) in self.ask(cluster, "SELECT note FROM orders", database=database)}


class Writer(threading.Thread):
    """Writes to production by its name, one transaction at a time, and keeps what was acknowledged."""

    def __init__(self, story: Story) -> None:
        super().__init__(daemon=True)
        self._story, self._host, self.ended = story, story.blue.host, threading.Event()
        self.acknowledged: dict[str, set[str]] = {name: set() for name in DATABASES}

    @property
    def count(self) -> int:
        return sum(len(notes) for notes in self.acknowledged.values())

    def run(self) -> None:
        conn: Any = None
        for number in itertools.count():
            if self.ended.wait(0.1):
                break
            database, note = DATABASES[number // 10 % 2], f"written {number}"
            with suppress(psycopg2.Error):
                if conn is None or conn.closed or conn.info.dbname != database:
                    conn = self._story.connect(self._host, database)
                with conn, conn.cursor() as cursor:
                    cursor.execute("INSERT INTO orders (note) VALUES (%s)", (note,))
                self.acknowledged[database].add(note)
        if conn is not None:
            conn.close()


@contextmanager
def writing(story: Story) -> Iterator[Writer]:
    """A writer for a ``with`` block."""
    writer = Writer(story)
    writer.start()
    try:
        yield writer
    finally:
        writer.ended.set()
        writer.join(30)


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
    lab, blue, playbook, runs, seen = story.lab, story.blue, story.playbook, story.runs, story.seen
    story.ask(blue.cluster, f"CREATE DATABASE {OTHER}")
    for database in DATABASES:
        story.ask(blue.cluster, *TABLE, database=database)
    story.run_module(
        "rds_blue_green",
        deployment_id=DEPLOYMENT,
        source=blue.cluster,
        target_engine_version=TARGET_VERSION,
        prepare=True,
        blue=login(lab, blue),
        wait_delay=0.2,
    )
    with writing(story) as writer:
        lab.faults.managed(timeout=1.5, hold={"WRITES_STOPPED": 3.0})
        runs["taken back"] = playbook.run("switchover")
        lab.faults.clear()
        seen["left on green"] = story.left(story.green())

        arm_and_call(story)  # and nothing more, as a run that is killed right then
        wait_until(lambda: story.deployment()["status"] == "SWITCHOVER_COMPLETED", 60, "the switchover to end")
        at = writer.count
        wait_until(lambda: writer.count > at + 10, 30, "writes to new production")
        runs["not gone on with"] = playbook.run("rollback")
        runs["continued"] = playbook.succeed("switchover")
        runs["again"] = playbook.succeed("switchover,rollback")
        seen["old production meanwhile"] = story.ask(story.old, READ_ONLY)

        seen["went"] = story.run_module(
            "bg_switchover",
            engine="aurora_postgresql",
            deployment_id=BACK,
            blue=login(lab, blue),
            green=login(lab, blue, host=story.host(story.old)),
        )
    seen["lost"] = {name: written - story.notes(story.old, name) for name, written in writer.acknowledged.items()}
    seen["counts"] = {name: len(written) for name, written in writer.acknowledged.items()}
    seen["new production then"] = story.ask(blue.cluster, READ_ONLY)
    seen["written first"] = story.ask(story.old, AHEAD)
    runs["gone"] = playbook.run("rollback,cleanup", rds_managed_delete_source=True)
    runs["there once more"] = playbook.run("switchover")
    runs["cleanup"] = playbook.succeed("cleanup", rds_managed_fence_source="none")
    seen["written at last"] = story.ask(story.old, "INSERT INTO orders (note) VALUES ('at last') RETURNING true")
    seen["end"] = [story.left(cluster) for cluster in (blue.cluster, story.old)]


def arm_and_call(story: Story) -> None:
    """What the phase switchover does up to its call to the service."""
    lab, blue = story.lab, story.blue
    green = login(lab, blue, host=story.host(story.green()))
    story.run_module(
        "pg_logical_subscription", deployment_id=BACK, state="prepared", blue=green, green=login(lab, blue)
    )
    lab.client("rds").switchover_blue_green_deployment(BlueGreenDeploymentIdentifier=story.deployment()["id"])


def test_a_switchover_that_is_taken_back_leaves_nothing_on_green_that_would_keep_its_log(story: Story) -> None:
    run = story.runs["taken back"]
    assert "but took it back, and blue serves as before" in run.failure["msg"]
    assert run.changed_tasks == [
        f"{ROLE} : Make green ready to be followed (apply)",
        f"{ROLE} : Remove from green what was armed",
    ]
    assert story.seen["left on green"] == []


def test_a_run_that_was_killed_is_gone_on_with_and_then_nothing_is_left_to_do(story: Story) -> None:
    assert story.runs["continued"].changed_tasks == [f"{ROLE} : Let old production follow new production"]
    assert story.runs["again"].changed_tasks == []


def test_a_rollback_says_that_the_way_back_can_still_be_taken_into_use(story: Story) -> None:
    told = story.runs["not gone on with"].failure["msg"]
    assert (
        "the way back that was armed has not been taken into use; nothing was changed: run the phase switchover again"
        in told
    )


def test_old_production_is_closed_to_clients_while_it_follows(story: Story) -> None:
    assert story.seen["old production meanwhile"] == [("on",)]
    told = f"The service has no rollback, but {story.old} follows production ({story.blue.cluster}) by reverse replication."
    assert told in story.runs["again"].output


def test_no_write_is_lost_on_the_way_there_and_back(story: Story) -> None:
    assert story.seen["went"]["outcome"] == "switched_over"
    assert all(story.seen["counts"].values())
    assert story.seen["lost"] == {name: set() for name in DATABASES}


def test_old_production_is_written_to_again_and_new_production_is_not(story: Story) -> None:
    assert story.seen["written first"] == [(True,)]
    assert story.seen["new production then"] == [("on",)]


def test_production_that_went_back_is_not_deleted_by_the_cleanup(story: Story) -> None:
    run = story.runs["gone"]
    assert run.changed_tasks == []
    assert f"The way back was gone: {story.old} is production again" in run.output
    assert (
        f"and {story.old} is production again, but this cleanup would delete it; nothing was changed"
        in run.failure["msg"]
    )


def test_the_gates_are_not_led_to_new_production_by_running_the_switchover_once_more(story: Story) -> None:
    run = story.runs["there once more"]
    assert run.changed_tasks == []
    told = run.failure["msg"]
    assert told.startswith(
        f"The traffic was wanted on {story.blue.cluster}, but the way back was gone, and {story.old}"
    ), told


def test_the_cleanup_leaves_nothing_of_it_on_either_side_and_production_open(story: Story) -> None:
    assert story.seen["end"] == [[], []]
    assert story.seen["written at last"] == [(True,)]
