# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One deployment of a MySQL cluster from end to end, as a user starts it, under write load; each test looks at one side of it.

Every playbook runs at -vvvv, so that a secret has every chance to show.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.lab.auditor import Audit, audit
from tests.lab.demo_stage import Clock, Stage, set_stage
from tests.lab.lab import REGION
from tests.lab.load import Load
from tests.lab.tools import MYSQL
from tests.playbook import Finished, Playbook
from tests.scene import MYSQL_DEPLOYMENT, MYSQL_TARGET_VERSION, connect_mysql, fingerprint

LOUD = ("-vvvv",)
CHECK = ("--check", *LOUD)
SNAPSHOT, WRITER = "shop-before", "shop-next"
DASHBOARD, ALARM = f"Aurora-Binlog-Replication-Lag-{REGION}-{WRITER}", f"{MYSQL_DEPLOYMENT}-replication-lag"
REPLICATION_USER, REPLICATION_PASSWORD = "bg_repl", "only for the replica!"
WRITERS = 2
SETTINGS = ("read_only", "event_scheduler")

pytestmark = pytest.mark.timeout(1800)


@dataclass
class Story:
    """What each run said, and what was true between the runs."""

    stage: Stage
    load: Load
    playbook: Playbook
    runs: dict[str, Finished] = field(default_factory=dict)
    audits: dict[str, Audit] = field(default_factory=dict)
    seen: dict[str, dict[str, Any]] = field(default_factory=dict)
    settings: dict[str, dict[str, tuple[str, ...]]] = field(default_factory=dict)
    watched: dict[str, str] = field(default_factory=dict)

    def run(self, name: str, *phases: str, options: tuple[str, ...] = LOUD, **variables: Any) -> None:
        """Run the playbook; it is meant to succeed."""
        self.runs[name] = self.playbook.succeed(*phases, options=options, **variables)

    def refuse(self, name: str, *phases: str, **variables: Any) -> None:
        """Run the playbook, which is meant to fail."""
        self.runs[name] = self.playbook.run(*phases, options=LOUD, **variables)

    def look(self, name: str) -> None:
        """Keep what blue and AWS look like now."""
        self.seen[name] = fingerprint(self.stage.lab, self.stage.blue)

    def look_at_both(self, name: str) -> None:
        """Keep the settings of both servers, and which cluster the alarm watches."""
        self.settings[name] = {side: self._settings(side) for side in ("blue", "green")}
        alarms = self.stage.lab.client("cloudwatch").describe_alarms(AlarmNames=[ALARM])["MetricAlarms"]
        metric = next(one["MetricStat"]["Metric"] for one in alarms[0]["Metrics"] if "MetricStat" in one)
        self.watched[name] = metric["Dimensions"][0]["Value"]

    def audit(self, serving: str) -> None:
        """Audit the side that serves; the other one is fenced."""
        other = {"blue": "green", "green": "blue"}[serving]
        self.audits[serving] = audit(self.load.entries, self.stage.side(serving), self.stage.side(other))

    def _settings(self, side: str) -> tuple[str, ...]:
        there = connect_mysql(self.stage.lab, self.stage.blue, self.stage.cluster(side))
        with closing(there) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT " + ", ".join(f"@@GLOBAL.{name}" for name in SETTINGS))
            return tuple(str(value) for value in cursor.fetchall()[0])


@pytest.fixture(scope="module", name="story")
def _story() -> Iterator[Story]:
    with ExitStack() as stack:
        stage = set_stage(stack, Clock(), WRITERS, engine=MYSQL)
        target = stage.gate_target()
        load = stack.enter_context(Load.start(stage.directory / "ledger", target, writers=WRITERS, rate=50, seed=7))
        playbook = stage.playbook(
            aurora_mysql_wait_timeout=300,
            aurora_mysql_source_snapshot_identifier=SNAPSHOT,
            aurora_mysql_writer_db_instance_identifier=WRITER,
            aurora_mysql_replication_user=REPLICATION_USER,
            aurora_mysql_replication_password=REPLICATION_PASSWORD,
        )
        story = Story(stage, load, playbook)
        tell(story)
        assert not load.dead_writers()
        yield story


def tell(story: Story) -> None:
    """The whole run, from refusals and check mode to nothing left."""
    login = {"user": story.stage.blue.user, "password": story.stage.blue.password, "ca_cert": story.stage.lab.ca_file}
    story.look("start")
    story.refuse("bad writer", "readiness,create", aurora_mysql_writer_db_instance_identifier="9--no-")
    story.refuse("bad user", "create", aurora_mysql_replication_user="x")
    story.run("check", options=CHECK)
    story.look("after check")
    story.run("create", aurora_mysql_admin=login)
    story.stage.green_is_built()
    story.run("create again")
    story.look("in sync")
    story.look_at_both("in sync")
    story.run("check switchover", "switchover", options=CHECK)
    story.look("after check switchover")
    story.run("switchover", "switchover")
    story.audit("green")
    story.look_at_both("switched over")
    story.run("switchover again", "switchover,create")
    story.refuse("delete while green serves", "cleanup", aurora_mysql_delete_green=True)
    story.run("rollback", "rollback", aurora_mysql_admin=login)
    story.audit("blue")
    story.look_at_both("rolled back")
    story.run("delete", "cleanup", options=("-e", "aurora_mysql_delete_green=true", *LOUD))
    story.run("delete again", "cleanup", aurora_mysql_delete_green=True)
    story.look("end")


@pytest.mark.parametrize("phase", ["create", "switchover", "delete"])
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


@pytest.mark.parametrize(
    ("run", "said"),
    [
        ("bad writer", "writer_db_instance_identifier must be 1 to 63 letters, digits and hyphens"),
        ("bad user", "replication_user"),
        ("delete while green serves", "the side that serves is green; nothing was changed: run the phase rollback"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_nothing_is_changed(story: Story, run: str, said: str) -> None:
    message = story.runs[run].failure["msg"]
    assert said in message and "\n" not in message.strip(), message
    assert story.runs[run].changed == 0
    assert "Traceback" not in story.runs[run].output


def test_green_has_the_version_and_the_writer_that_were_asked_for(story: Story) -> None:
    aws = story.seen["in sync"]["aws"][REGION]
    assert aws["clusters"][MYSQL_DEPLOYMENT] == MYSQL_TARGET_VERSION
    assert WRITER in aws["instances"]


def test_the_snapshot_of_blue_is_kept(story: Story) -> None:
    rds = story.stage.lab.client("rds")
    found = rds.describe_db_cluster_snapshots(DBClusterSnapshotIdentifier=SNAPSHOT)["DBClusterSnapshots"]
    assert found[0]["DBClusterIdentifier"] == story.stage.blue.cluster


def test_green_is_read_only_until_it_serves_and_again_after_a_rollback(story: Story) -> None:
    assert story.settings["in sync"]["green"] == ("1", "OFF")
    assert story.settings["switched over"]["green"][0] == "0"
    assert story.settings["rolled back"]["green"] == ("1", "OFF")
    assert story.settings["rolled back"]["blue"] == story.settings["in sync"]["blue"]


def test_the_dashboard_is_there_and_its_alarm_watches_the_side_that_does_not_serve(story: Story) -> None:
    aws = story.seen["in sync"]["aws"][REGION]
    assert (aws["dashboards"], aws["alarms"]) == ([DASHBOARD], [ALARM])
    blue = story.stage.blue.cluster
    assert story.watched == {"in sync": MYSQL_DEPLOYMENT, "switched over": blue, "rolled back": MYSQL_DEPLOYMENT}


@pytest.mark.parametrize("serving", ["green", "blue"])
def test_no_acknowledged_write_is_lost_or_doubled(story: Story, serving: str) -> None:
    assert story.audits[serving].findings() == []
    assert story.audits[serving].acknowledged > 100


def test_the_switchover_prints_its_timeline_and_its_window(story: Story) -> None:
    output = story.runs["switchover"].output
    fence = output.index("fence blue")
    assert fence < output.index("open green for writes", fence) < output.index("end replication blue -> green", fence)
    assert re.search(r"window \d+\.\d ms", output)


def test_the_verification_shows_every_table_as_equal(story: Story) -> None:
    shown = re.findall(r'"(equal|DIFFERENT) +(shop\..+?)  +blue', story.runs["create"].output)
    assert {result for result, _table in shown} == {"equal"}
    assert {"ledger", "customers"} <= {table.rpartition(".")[2] for _result, table in shown}


def test_after_the_deletion_of_green_everything_is_as_it_was(story: Story) -> None:
    assert story.seen["end"] == story.seen["start"]


def test_no_secret_is_in_the_output_at_the_highest_verbosity(story: Story) -> None:
    secrets = {
        "the master user's password": story.stage.blue.password,
        "the replication user's password": REPLICATION_PASSWORD,
        "the AWS secret key": story.stage.lab.env["AWS_SECRET_ACCESS_KEY"],
    }
    for run, finished in story.runs.items():
        assert not [name for name, secret in secrets.items() if secret in finished.output], run
        assert not [name for name, secret in secrets.items() if json.dumps(secret)[1:-1] in finished.output], run
