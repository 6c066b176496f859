# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""RDS for PostgreSQL through every phase of the playbook, with hooks, and with its clients behind a PgBouncer.

A hook fails, the service takes a switchover back, and a run is killed in the window; each time the phase is run again.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from tests import forks
from tests.crash.runs import Run
from tests.lab import load_schema
from tests.lab.auditor import Audit, Side, audit
from tests.lab.gate import Gate
from tests.lab.lab import Blue, Lab
from tests.lab.load import Load, Target
from tests.lab.tools import wait_until
from tests.playbook import Finished, Playbook

APP, WRITERS, DEPLOYMENT = "till_app", 2, "till-next"
HOOK = """
- name: Write down {name}
  ansible.builtin.lineinfile:
    path: {file}
    line: "{name} {{{{ bluegreen_blue.host }}}} {{{{ bluegreen_green.host }}}} {{{{ bluegreen_green.keys() | sort | join(',') }}}}"
"""
BREAK = """
- name: Break on purpose
  ansible.builtin.fail:
    msg: the test of green failed.
"""

pytestmark = pytest.mark.timeout(600)


@dataclass
class Story:
    """Production behind a PgBouncer, its writers, and what each run said."""

    lab: Lab
    blue: Blue
    gate: Gate
    playbook: Playbook
    password: str
    runs: dict[str, Finished] = field(default_factory=dict)
    hooks: dict[str, list[list[str]]] = field(default_factory=dict)
    held_after_the_kill: bool = False
    errors: int = -1
    audited: Audit | None = None
    end: list[str] = field(default_factory=list)

    def run(self, name: str, *phases: str, **variables: Any) -> None:
        """Run the playbook, and keep which hooks ran."""
        ran = self.ran
        ran.write_text("", encoding="utf-8")
        self.runs[name] = self.playbook.run(*phases, **variables)
        self.hooks[name] = [line.split() for line in ran.read_text(encoding="utf-8").splitlines()]

    @property
    def ran(self) -> Path:
        """Where the hooks write."""
        return self.playbook.directory / "ran"

    def hook(self, name: str, text: str = "") -> list[str]:
        """A task file that writes down that it ran, and then does what ``text`` says."""
        file = self.playbook.directory / f"{name}.yml"
        file.write_text(HOOK.format(name=name, file=self.ran) + text, encoding="utf-8")
        return [file.name]

    def paused(self) -> bool:
        """Whether clients wait at the gate."""
        option = self.gate.option()
        login = {name: option[name] for name in ("host", "port", "user", "password")}
        with closing(psycopg2.connect(dbname="pgbouncer", **login)) as console:
            console.autocommit = True
            with console.cursor() as cursor:
                cursor.execute("SHOW DATABASES")
                at = [column.name for column in cursor.description or ()].index("paused")
                return any(int(row[at]) for row in cursor.fetchall())

    def side(self, name: str, instance: str) -> Side:
        """How the auditor reads an instance."""
        found = self.lab.client("rds").describe_db_instances(DBInstanceIdentifier=instance)["DBInstances"][0]
        return Side(name, master(self.lab, self.blue, found["Endpoint"]["Address"]))

    def instances(self) -> list[str]:
        """The instances of the story, with their versions."""
        found = self.lab.client("rds").describe_db_instances()["DBInstances"]
        return [f"{one['DBInstanceIdentifier']} {one['EngineVersion']}" for one in found if one["DBName"] == "till"]


def master(lab: Lab, blue: Blue, host: str) -> dict[str, Any]:
    """How the master user connects to a name; this process does not resolve the lab's names."""
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


@pytest.fixture(scope="module", name="story")
def _story(names_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    directory: Path = tmp_path_factory.mktemp("till")
    before, password = names_lab.clusters(), secrets.token_urlsafe(16)
    blue = names_lab.seed_rds_postgresql("till", "till", **{"rds.logical_replication": "0"})
    with closing(psycopg2.connect(**master(names_lab, blue, blue.host))) as connection:
        load_schema.create(connection, APP, password, range(1, WRITERS + 1))
    address = names_lab.address(blue.host)
    with ExitStack() as stack:
        gate = stack.enter_context(
            Gate.start(None, [blue.database], address, blue.port, APP, password, names_lab.ca_file)
        )
        forking = stack.enter_context(forks.serving(names_lab.env))
        client = {"user": APP, "password": password, "database": blue.database}
        variables = {
            "rds_managed_deployment_id": DEPLOYMENT,
            "rds_managed_source": blue.cluster,
            "rds_managed_admin": {"user": blue.user, "password": blue.password, "ca_cert": names_lab.ca_file},
            "rds_managed_engine_version": "18.4",
            "rds_managed_prepare": True,
            "rds_managed_reboot_blue": True,
            "rds_managed_users": [client],
            "rds_managed_gates": [{**gate.option(), "blue_host": address}],
            "rds_managed_skip_final_snapshot": True,
            "rds_managed_wait_delay": 0.2,
        }
        playbook = Playbook(directory, {**names_lab.env, **forking}, variables, "bluegreen.aws.rds_managed")
        story = Story(names_lab, blue, gate, playbook, password)
        try:
            tell(story)
            yield story
        finally:
            names_lab.faults.clear()
    names_lab.clear(before)


def tell(story: Story) -> None:
    """From a blue whose log cannot be decoded to production of the next major version and nothing else."""
    on_green, before, after = story.hook("on_green"), story.hook("before"), story.hook("after")
    story.playbook.variables["rds_managed_before_switchover"] = before
    story.run("create", "readiness,create", rds_managed_on_green=story.hook("broken", BREAK))
    story.run("create again", "create,verify", rds_managed_on_green=on_green)
    target = Target(story.gate.host, story.gate.port, story.blue.database, APP, story.password)
    with Load.start(story.playbook.directory / "load", target, WRITERS, rate=60) as load:
        story.lab.faults.managed(timeout=2.0, hold={"SWITCHOVER_INITIATED": 1.0, "WRITES_STOPPED": 4.0})
        story.run("taken back", "switchover")
        story.lab.faults.clear()
        story.lab.faults.managed(hold={"SWITCHOVER_IN_PROGRESS": 1.5})
        running = Run(story.playbook, "switchover")
        wait_until(story.paused, 180, "the gate to be held")
        running.kill(running.processes())
        story.held_after_the_kill = story.paused()
        story.run("run again", "switchover", rds_managed_after_switchover=story.hook("broken", BREAK))
        story.lab.faults.clear()
        story.run("and again", "switchover", rds_managed_after_switchover=after)
        time.sleep(0.3)
        load.stop()
        story.errors = sum(count.refused + count.unknown for count in load.counts())
        story.audited = audit(load.entries, story.side("green", "till"), story.side("blue", "till-old1"))
    story.run("cleanup", "cleanup", rds_managed_delete_source=True)
    story.end = story.instances()


def test_what_the_preparation_mends_does_not_stop_the_readiness(story: Story) -> None:
    output = story.runs["create"].output
    assert "failed   blue_logical_replication" in output and "failed   aws_blue_parameters" in output
    assert "require a DB instance with logical replication enabled" in output


def test_a_hook_that_fails_is_one_sentence_and_the_phase_goes_on_when_it_is_run_again(story: Story) -> None:
    told = story.runs["create"].failure["msg"]
    assert told.startswith("The hook on_green (") and told.endswith(
        'failed in the task "Break on purpose": the test of green failed; green replicates from blue; mend it and run the phase create again.'
    )
    again = story.runs["create again"]
    assert again.code == 0, again.output
    assert again.changed_tasks == ["bluegreen.aws.rds_managed : Write down on_green"]


def test_hooks_run_once_in_their_moment_and_know_how_to_connect_but_no_password(story: Story) -> None:
    (create,) = story.hooks["create again"]
    (before,) = story.hooks["taken back"]
    (after,) = story.hooks["and again"]
    assert [one[0] for one in (create, before, after)] == ["on_green", "before", "after"]
    assert create[1] == before[1] == after[2] == story.blue.host
    assert "-green-" in create[2] and after[1].startswith("till-old1.")
    assert {one[3] for one in (create, before, after)} == {"ca_cert,host,port,user"}


def test_the_wrappers_metadata_is_found_in_the_database_of_their_users(story: Story) -> None:
    assert "metadata on blue has both rows" in story.runs["create again"].output
    assert "| PREPARATION" in story.runs["taken back"].output  # which only the rows tell


def test_what_the_service_takes_back_is_one_sentence_and_changes_nothing(story: Story) -> None:
    run = story.runs["taken back"]
    told = run.failure["msg"]
    assert told.startswith(
        "The service was asked to switch over within 300 s, but took it back, and blue serves as before: "
    )
    assert "not being completed within the timeout" in told and told.endswith("run the phase switchover again.")
    assert run.changed_tasks == ["bluegreen.aws.rds_managed : Write down before"]


def test_a_run_that_was_killed_in_the_window_is_finished_by_the_next_one(story: Story) -> None:
    assert story.held_after_the_kill
    told = story.runs["run again"].failure["msg"]
    assert told.startswith("The hook after_switchover (") and told.endswith(
        "green serves; mend it and run the phase switchover again."
    )
    assert story.runs["and again"].changed_tasks == ["bluegreen.aws.rds_managed : Write down after"]


def test_no_client_behind_the_gate_sees_an_error_and_no_write_is_lost(story: Story) -> None:
    assert story.audited is not None
    assert story.audited.findings() == []
    assert (story.audited.acknowledged > 100, story.errors) == (True, 0)


def test_the_cleanup_leaves_production_of_the_next_version(story: Story) -> None:
    assert story.runs["cleanup"].code == 0, story.runs["cleanup"].output
    assert story.end == ["till 18.4"]


def test_no_run_shows_a_password_or_a_traceback(story: Story) -> None:
    for name, run in story.runs.items():
        assert not [one for one in (story.password, story.blue.password, "Traceback") if one in run.output], name
