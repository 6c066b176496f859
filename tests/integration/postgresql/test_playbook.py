# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One deployment from end to end, as a user starts it, under write load; each test looks at one side of that run.

Every playbook runs at -vvvv while the command lines of all processes are read, so that a secret has every chance to show.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import parse_dsn

from tests.crash.driver import leftovers
from tests.lab.auditor import Audit
from tests.lab.lab import REGION, Lab
from tests.playbook import Finished
from tests.scene import DEPLOYMENT, TARGET_VERSION, Scene, fingerprint, opened

SEED = 7
LOUD = ("-vvvv",)
CHECK = ("--check", *LOUD)
_YOUNG = 25  # looks, half a second

pytestmark = pytest.mark.timeout(900)


@dataclass
class Story:
    """What each run said, and what was true between the runs."""

    scene: Scene
    runs: dict[str, Finished] = field(default_factory=dict)
    audits: dict[str, Audit] = field(default_factory=dict)
    seen: dict[str, dict[str, Any]] = field(default_factory=dict)
    tags: list[str] = field(default_factory=list)
    command_lines: set[bytes] = field(default_factory=set)
    replication_passwords: set[str] = field(default_factory=set)

    def run(self, name: str, *phases: str, options: tuple[str, ...] = LOUD, **variables: Any) -> None:
        """Run the playbook; every run of the story is meant to succeed."""
        self.runs[name] = self.scene.playbook.succeed(*phases, options=options, **variables)
        self.replication_passwords |= replication_passwords(self.scene)

    def look(self, name: str) -> None:
        """Keep what blue and AWS look like now."""
        self.seen[name] = fingerprint(self.scene.lab, self.scene.blue)


@pytest.fixture(scope="module", name="story")
def _story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with opened(tmp_path_factory.mktemp("story"), SEED) as scene:
        story = Story(scene)
        with watched_command_lines(scene.lab, story.command_lines):
            tell(story)
        assert not scene.load.dead_writers()
        yield story


def tell(story: Story) -> None:
    """The whole run, from check mode to nothing left."""
    scene = story.scene
    login = {"user": scene.blue.user, "password": scene.blue.password, "ca_cert": scene.lab.ca_file}
    story.look("start")
    story.run("check", options=CHECK)
    story.look("after check")
    story.run("create", aurora_postgresql_admin=login)
    story.tags = tags(scene)
    story.run("create again")
    story.look("in sync")
    story.run("check switchover", "switchover", options=CHECK)
    story.look("after check switchover")
    with cut_from_blue(scene):
        story.runs["green unreachable"] = scene.playbook.run("switchover", options=LOUD)
    story.look("after green unreachable")
    scene.lab.faults.announce(DEPLOYMENT, seconds=600)
    story.runs["maintenance due"] = scene.playbook.run("switchover", options=LOUD)
    with held_gate(scene):
        story.run("maintenance due, gate held", "switchover", options=CHECK)
    scene.lab.faults.clear()
    story.look("after maintenance due")
    story.run("switchover", "switchover")
    story.audits["switchover"] = scene.audit("green")
    story.run("switchover again", "switchover")
    story.run("create after switchover", "create")
    story.run("rollback", "rollback", aurora_postgresql_admin=login)
    story.audits["rollback"] = scene.audit("blue")
    story.run("rollback again", "rollback")
    story.run("cleanup", "cleanup")
    story.run("cleanup again", "cleanup")
    story.look("cleaned up")
    story.run("delete", "cleanup", options=("-e", "aurora_postgresql_delete_green=true", *LOUD))
    story.run("delete again", "cleanup", aurora_postgresql_delete_green=True)
    story.look("end")


@contextmanager
def cut_from_blue(scene: Scene) -> Iterator[None]:
    """Blue's server cannot reach green's; clients can."""
    found = scene.lab.client("rds").describe_db_clusters(DBClusterIdentifier=DEPLOYMENT)["DBClusters"][0]
    scene.lab.faults.link(found["Endpoint"], "cut", "replication")
    try:
        yield
    finally:
        scene.lab.faults.link(found["Endpoint"], "none", "replication")


@contextmanager
def held_gate(scene: Scene) -> Iterator[None]:
    """The gate holds the clients, as after a switchover that was killed."""
    gate = scene.gate.option()
    login = {name: gate[name] for name in ("host", "port", "user", "password")}
    with closing(psycopg2.connect(dbname="pgbouncer", **login)) as console:
        console.autocommit = True
        with console.cursor() as cursor:
            cursor.execute(f"PAUSE {scene.blue.database}")
            try:
                yield
            finally:
                cursor.execute(f"RESUME {scene.blue.database}")


def tags(scene: Scene) -> list[str]:
    """Every tag of every cluster, instance and cluster parameter group, as text."""
    client = scene.lab.client("rds")
    resources = [
        *(cluster["DBClusterArn"] for cluster in client.describe_db_clusters()["DBClusters"]),
        *(instance["DBInstanceArn"] for instance in client.describe_db_instances()["DBInstances"]),
        *(
            group["DBClusterParameterGroupArn"]
            for group in client.describe_db_cluster_parameter_groups()["DBClusterParameterGroups"]
        ),
    ]
    return [json.dumps(client.list_tags_for_resource(ResourceName=name)["TagList"]) for name in resources]


def replication_passwords(scene: Scene) -> set[str]:
    """The random passwords inside the subscriptions of all servers, which only a superuser can read."""
    found: set[str] = set()
    for path in scene.lab.state.glob("*/*/s/.s.PGSQL.*[0-9]"):
        with (
            closing(
                psycopg2.connect(host=str(path.parent), port=path.suffix[1:], user="rdsadmin", dbname="postgres")
            ) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute("SELECT subconninfo FROM pg_subscription")
            found |= {parse_dsn(conninfo)["password"] for (conninfo,) in cursor.fetchall()}
    return found


@contextmanager
def watched_command_lines(lab: Lab, seen: set[bytes]) -> Iterator[None]:
    """Add every command line of what runs on ``lab`` to ``seen``, as `ps` would show it.

    A process is looked at fifty times a second while it is young, and twice a second after that. It is left out only when
    its environment shows that it belongs to somebody else on this machine.
    """
    mine = f"BLUEGREEN_LAB_STATE={lab.state}".encode()
    done = threading.Event()

    def watch() -> None:
        looks: dict[Path, int] = {}
        while not done.wait(0.02):
            looks = {pid: looks.get(pid, -1) + 1 for pid in Path("/proc").glob("[0-9]*")}
            for pid, number in looks.items():
                if number < _YOUNG or number % _YOUNG == 0:
                    look(pid)

    def look(pid: Path) -> None:
        with suppress(FileNotFoundError, ProcessLookupError, PermissionError):  # ended meanwhile, or another user's
            around = (pid / "environ").read_bytes()
            if not around or mine in around.split(b"\0"):
                seen.add((pid / "cmdline").read_bytes())

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@pytest.mark.parametrize("phase", ["create", "switchover", "rollback", "cleanup", "delete"])
def test_a_phase_changes_something_and_its_second_run_nothing(story: Story, phase: str) -> None:
    assert story.runs[phase].changed > 0
    assert story.runs[f"{phase} again"].changed_tasks == []
    assert story.runs[f"{phase} again"].changed == 0


def test_check_mode_before_create_changes_nothing_and_predicts(story: Story) -> None:
    assert story.seen["after check"] == story.seen["start"]
    assert story.runs["check"].changed > 0


def test_check_mode_of_the_switchover_changes_nothing_and_predicts(story: Story) -> None:
    assert story.seen["after check switchover"] == story.seen["in sync"]
    assert story.runs["check switchover"].changed > 0


def test_green_not_reachable_from_blue_is_one_sentence_and_changes_nothing(story: Story) -> None:
    run = story.runs["green unreachable"]
    assert run.code != 0
    message = run.failure["msg"]
    assert "green" in message and "reach" in message, message
    assert "\n" not in message and message.endswith("."), message
    assert "Traceback" not in run.output
    assert story.seen["after green unreachable"] == story.seen["in sync"]


def test_a_switchover_that_the_control_plane_is_not_ready_for_is_refused_before_it_begins(story: Story) -> None:
    run = story.runs["maintenance due"]
    message = run.failure["msg"]
    assert message.startswith("Not ready for the switchover, nothing was changed: ")
    assert "system-update" in message and message.endswith("."), message
    assert run.changed == 0
    assert story.seen["after maintenance due"] == story.seen["in sync"]
    shown = [line.split()[0] for line in re.findall(r'^ +"((?:failed|warning|ok) .*)"', run.output, re.MULTILINE)]
    assert shown == sorted(shown, key=["failed", "warning", "ok"].index)
    assert shown[0] == "failed"


def test_a_switchover_that_has_begun_goes_on_whatever_the_control_plane_says(story: Story) -> None:
    run = story.runs["maintenance due, gate held"]
    assert "failed   aws_green_maintenance" in run.output
    assert run.changed > 0


def test_green_has_the_version_that_was_asked_for(story: Story) -> None:
    assert story.seen["in sync"]["aws"][REGION]["clusters"][DEPLOYMENT] == TARGET_VERSION


def test_create_after_a_switchover_changes_nothing(story: Story) -> None:
    assert story.runs["create after switchover"].changed_tasks == []


@pytest.mark.parametrize("move", ["switchover", "rollback"])
def test_no_acknowledged_write_is_lost_or_doubled(story: Story, move: str) -> None:
    audit = story.audits[move]
    assert audit.findings() == []
    assert audit.acknowledged > 100


def test_the_switchover_prints_its_timeline_and_its_window(story: Story) -> None:
    output = story.runs["switchover"].output
    fence = output.index("fence blue")
    assert fence < output.index("open green for writes", fence) < output.index("end replication blue -> green", fence)
    assert re.search(r"window \d+\.\d ms", output)


def test_the_verification_shows_every_table_as_equal(story: Story) -> None:
    shown = re.findall(r'"(equal|DIFFERENT) +(shop\.shop\.[^"]*?)  +blue', story.runs["create"].output)
    assert {result for result, _table in shown} == {"equal"}
    assert {"shop.shop.ledger", "shop.shop.customers", "shop.shop.totals"} <= {table for _result, table in shown}


def test_cleanup_leaves_nothing_on_blue_and_keeps_green(story: Story) -> None:
    assert story.seen["cleaned up"]["sql"] == story.seen["start"]["sql"]
    assert DEPLOYMENT in story.seen["cleaned up"]["aws"][REGION]["clusters"]


def test_after_the_deletion_of_green_everything_is_as_it_was(story: Story) -> None:
    assert story.seen["end"] == story.seen["start"]
    assert leftovers(story.scene) == []


def secrets_of(story: Story) -> dict[str, str]:
    """Every secret that took part."""
    scene = story.scene
    return {
        "the master user's password": scene.blue.password,
        "the gate's password": scene.gate.admin_password,
        "the AWS secret key": scene.lab.env["AWS_SECRET_ACCESS_KEY"],
        **{f"replication password {number}": p for number, p in enumerate(story.replication_passwords)},
    }


def test_every_direction_of_replication_had_a_password_of_its_own(story: Story) -> None:
    assert len(story.replication_passwords) == 3  # create, switchover and rollback subscribe


def test_no_secret_is_in_the_output_at_the_highest_verbosity(story: Story) -> None:
    for run, finished in story.runs.items():
        shown = [name for name, secret in secrets_of(story).items() if secret in finished.output]
        assert not shown, run
        assert "SCRAM-SHA-256$" not in finished.output, run
        assert not re.search(r"password=(?!VALUE_SPECIFIED|\*)\S", finished.output), run


def test_no_secret_is_on_a_command_line(story: Story) -> None:
    assert any(b"ansible-playbook" in line for line in story.command_lines)
    for name, secret in secrets_of(story).items():
        assert not [line for line in story.command_lines if secret.encode() in line], name


def test_no_secret_is_in_a_tag(story: Story) -> None:
    assert any(DEPLOYMENT in tag for tag in story.tags)
    for name, secret in secrets_of(story).items():
        assert not [tag for tag in story.tags if secret in tag], name


def test_blue_is_open_again_in_the_end(story: Story) -> None:
    with closing(story.scene.connect("blue", story.scene.blue.database)) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW default_transaction_read_only")
        assert cursor.fetchone() == ("off",)
