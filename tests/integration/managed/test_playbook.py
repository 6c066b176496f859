# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One managed deployment from end to end, as a user starts it; each test looks at one side of that run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pymysql
import pytest

from tests import forks
from tests.lab.demo_managed import estate, parameters, schemas
from tests.lab.lab import Blue, Lab
from tests.lab.tools import wait_until
from tests.playbook import Finished, Playbook

DEPLOYMENT = "story-next"
PASSWORD = "App-of-the-story-1"
LOUD = ("-vvvv",)

pytestmark = pytest.mark.timeout(900)


@dataclass
class Story:
    """What each run said, and what was true between the runs."""

    lab: Lab
    blue: Blue
    playbook: Playbook
    runs: dict[str, Finished] = field(default_factory=dict)
    seen: dict[str, Any] = field(default_factory=dict)

    def run(self, name: str, *phases: str, options: tuple[str, ...] = (), **variables: Any) -> None:
        """Run the playbook; it is meant to succeed."""
        self.runs[name] = self.playbook.succeed(*phases, options=options, **variables)

    def ask(self, cluster: str, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement on a cluster as the master user."""
        with closing(pymysql.connect(**parameters(self.lab, self.blue, cluster))) as conn, conn.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())


@pytest.fixture(scope="module", name="story")
def _story(names_lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    directory: Path = tmp_path_factory.mktemp("story")
    blue = names_lab.seed_mysql(cluster="story", readers=0)
    client = {"user": "shop_app", "password": PASSWORD}
    variables = {
        "rds_managed_deployment_id": DEPLOYMENT,
        "rds_managed_source": blue.cluster,
        "rds_managed_admin": {"user": blue.user, "password": blue.password, "ca_cert": names_lab.ca_file},
        "rds_managed_prepare": True,
        "rds_managed_users": [client],
        "rds_managed_probe": {**client, "path": str(directory / "probe.jsonl")},
        "rds_managed_reverse_replication": True,
        "rds_managed_skip_final_snapshot": True,
        "rds_managed_wait_delay": 0.2,
    }
    with forks.serving(names_lab.env) as forking:
        playbook = Playbook(directory, {**names_lab.env, **forking}, variables, "bluegreen.aws.rds_managed")
        story = Story(names_lab, blue, playbook)
        story.ask(blue.cluster, "CREATE TABLE orders (id INT PRIMARY KEY, note VARCHAR(20))")
        story.ask(blue.cluster, "INSERT INTO orders VALUES (1, 'pencil')")
        story.ask(blue.cluster, f"CREATE USER shop_app@'%' IDENTIFIED BY '{PASSWORD}'")
        story.ask(blue.cluster, "GRANT SELECT, INSERT ON shop.* TO shop_app@'%'")
        tell(story)
    yield story
    names_lab.delete(blue.cluster)


def tell(story: Story) -> None:
    """From a refusal to nothing left."""
    story.seen["start"] = {**estate(story.lab), "schemas": schemas(story.lab, story.blue)}
    story.runs["too early"] = story.playbook.run("switchover")
    story.run("create", "readiness,create,verify", options=LOUD)
    story.runs["create again"] = story.playbook.run("create,rollback")  # there is nothing to go back from
    wrong = [{"user": "shop_app", "password": "of-somebody-else"}]
    story.runs["wrong login"] = story.playbook.run("switchover", rds_managed_users=wrong)
    story.run("switchover", "switchover", options=LOUD)
    story.ask(story.blue.cluster, "INSERT INTO orders VALUES (2, 'later')")
    story.run("switchover again", "switchover,rollback")
    story.seen["old"] = old = f"{story.blue.cluster}-old1"
    wait_until(lambda: story.ask(old, "SELECT count(*) FROM orders") == [(2,)], 20, "the row to be on old production")
    by = "SELECT auto_position FROM performance_schema.replication_connection_configuration WHERE host <> ''"
    story.seen["old follows by GTIDs"] = story.ask(old, by)
    story.seen["old is read-only"] = story.ask(old, "SELECT @@read_only")
    story.run("cleanup", "cleanup", rds_managed_delete_source=True)
    story.run("cleanup again", "cleanup")
    story.seen["end"] = {**estate(story.lab), "schemas": schemas(story.lab, story.blue)}


def test_a_switchover_without_a_deployment_is_one_sentence_and_changes_nothing(story: Story) -> None:
    run = story.runs["too early"]
    assert run.failure["msg"] == (
        f"The Blue/Green Deployment {DEPLOYMENT} was wanted, but does not exist; run the phase create first."
    )
    assert (run.changed, "Traceback" in run.output) == (0, False)


def test_a_user_who_cannot_log_in_keeps_the_switchover_from_beginning(story: Story) -> None:
    run = story.runs["wrong login"]
    told = run.failure["msg"]
    assert told.startswith("Not ready for the clients, nothing was changed: ") and "shop_app" in told, told
    assert (run.changed, "Traceback" in run.output) == (0, False)


@pytest.mark.parametrize("phase", ["create", "switchover", "cleanup"])
def test_a_phase_changes_something_and_its_second_run_nothing(story: Story, phase: str) -> None:
    assert story.runs[phase].changed > 0
    assert story.runs[f"{phase} again"].changed_tasks == []


def test_the_verification_shows_the_tables_as_equal_and_the_hosts_of_the_clients(story: Story) -> None:
    output = story.runs["create"].output
    assert '"equal         shop.orders ' in output and "DIFFERENT" not in output
    assert f"{story.blue.host} " in output and "-green-" in output


def test_the_switchover_shows_the_hosts_the_timeline_and_what_the_probe_saw(story: Story) -> None:
    output = story.runs["switchover"].output
    assert output.index("| IN_PROGRESS") < output.index("| POST") < output.index("| COMPLETED")
    assert "longest write gap " in output


def test_a_rollback_before_the_switchover_says_that_none_is_needed(story: Story) -> None:
    run = story.runs["create again"]
    assert run.code != 0
    assert run.failure["msg"].startswith("The service has no rollback, and none is needed: ")


def test_old_production_follows_by_gtids_where_there_are_although_the_service_tells_a_position(story: Story) -> None:
    assert story.seen["old follows by GTIDs"] == [("1",)]


def test_a_rollback_after_it_says_that_the_service_has_none_and_how_to_go_back(story: Story) -> None:
    output = story.runs["switchover again"].output
    assert f"The service has no rollback, but {story.seen['old']} follows production" in output
    assert story.seen["old is read-only"] == [(1,)]


def test_the_cleanup_leaves_production_and_nothing_else(story: Story) -> None:
    assert story.seen["end"] == story.seen["start"]


def test_no_secret_is_in_the_output_at_the_highest_verbosity(story: Story) -> None:
    secrets = [story.blue.password, PASSWORD, story.lab.env["AWS_SECRET_ACCESS_KEY"]]
    for run, finished in story.runs.items():
        assert not [secret for secret in secrets if secret in finished.output], run
        assert not [secret for secret in secrets if json.dumps(secret)[1:-1] in finished.output], run
