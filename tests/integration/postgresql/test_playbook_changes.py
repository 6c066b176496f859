# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hooks, changes on green and the throw-away clone, as a user runs them with the playbook."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.integration.runner import ROOT
from tests.lab.lab import Blue, Lab
from tests.lab.postgresql import binaries
from tests.playbook import Finished, Playbook
from tests.scene import connect, shop_variables

DEPLOYMENT = "changes"
CLONE = f"{DEPLOYMENT}-test"
pytestmark = pytest.mark.timeout(900)

EXAMPLE = ROOT / "examples" / "hooks" / "on_green.yml"
PSQL = """\
#!/bin/sh
LD_PRELOAD={libpq} exec {psql} "$@"
"""
HANDED_OVER = """\
- name: No password is handed to the hooks
  ansible.builtin.assert:
    that: "'password' not in bluegreen_green and 'password' not in bluegreen_blue"
"""
FAILING = """\
- name: Test the new version
  ansible.builtin.command: "false"
  changed_when: false
"""
NOTING = """\
- name: Note the hook
  ansible.builtin.copy:
    dest: {place}
    content: "{{{{ bluegreen_deployment_id }}}} {{{{ bluegreen_green.host }}}}"
    mode: "0600"
"""
EXPECTED = [{"object": "public.orders", "columns": ["channel"]}, {"object": "public.orders_channel"}]


@dataclass
class Story:
    """The runs, and what was seen between them."""

    lab: Lab
    blue: Blue
    playbook: Playbook
    directory: Path
    runs: dict[str, Finished] = field(default_factory=dict)
    seen: dict[str, Any] = field(default_factory=dict)

    def run(self, name: str, *phases: str, options: tuple[str, ...] = (), **variables: Any) -> None:
        """Run the playbook and keep what it said."""
        self.runs[name] = self.playbook.run(*phases, options=options, **variables)

    def ask(self, cluster: str, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements on a cluster as the master user, each by itself; returns the last one's rows."""
        with closing(connect(self.lab, self.blue, cluster, "shop")) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def made(self) -> set[str]:
        """The clusters and cluster parameter groups of the deployment and its clone."""
        rds = self.lab.client("rds")
        names = [c["DBClusterIdentifier"] for c in rds.describe_db_clusters()["DBClusters"]]
        groups = rds.describe_db_cluster_parameter_groups()["DBClusterParameterGroups"]
        names += [g["DBClusterParameterGroupName"] for g in groups]
        return {name for name in names if name.startswith(DEPLOYMENT)}

    def hook(self, name: str) -> list[str]:
        """A hook that leaves a file behind."""
        return [str(self.directory / f"{name}.yml")]

    def noted(self) -> list[str]:
        """The hooks that have run."""
        return sorted(path.stem for path in self.directory.glob("*.ran"))


@pytest.fixture(scope="module", name="story")
def _story(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    directory = tmp_path_factory.mktemp("changes")
    blue = lab.seed_postgresql("hooksblue", readers=0)
    login = {"user": blue.user, "password": blue.password, "ca_cert": lab.ca_file}
    variables = shop_variables(
        lab,
        blue,
        aurora_postgresql_deployment_id=DEPLOYMENT,
        aurora_postgresql_admin=login,
        aurora_postgresql_delete_green=True,
        aurora_postgresql_expected_differences=EXPECTED,
        shop_admin_password=blue.password,
    )
    del variables["aurora_postgresql_engine_version"]
    for name in ("before", "after", "back"):
        (directory / f"{name}.yml").write_text(NOTING.format(place=directory / f"{name}.ran"))
    (directory / "handed_over.yml").write_text(HANDED_OVER)
    (directory / "failing.yml").write_text(FAILING)
    programs = binaries.fetch()
    psql = directory / "psql"
    psql.write_text(PSQL.format(libpq=programs.preload, psql=programs.program(18, "psql")))
    psql.chmod(0o755)
    environment = {**lab.env, "PATH": f"{directory}:{os.environ['PATH']}"}
    story = Story(lab, blue, Playbook(directory, environment, variables), directory)
    story.ask(blue.cluster, "CREATE TABLE orders (id serial PRIMARY KEY, name text)")
    tell(story)
    yield story
    for cluster in (CLONE, DEPLOYMENT):
        if cluster in story.made():
            lab.delete(cluster)
    lab.delete(blue.cluster)


def tell(story: Story) -> None:
    """From a hook that fails to nothing left."""
    blue = story.blue.cluster
    story.run("missing hook", "create", aurora_postgresql_on_green=["nowhere.yml"])
    story.seen["after missing hook"] = story.made()
    story.run("failing hook", "create", aurora_postgresql_on_green=story.hook("failing"))
    story.run(
        "check hook", "create", options=("--check",), aurora_postgresql_on_green=["handed_over.yml", str(EXAMPLE)]
    )
    story.seen["after check hook"] = story.ask(
        DEPLOYMENT, "SELECT * FROM pg_indexes WHERE indexname = 'orders_channel'"
    )
    story.run("hook", "create", options=("-vvvv",), aurora_postgresql_on_green=["handed_over.yml", str(EXAMPLE)])
    story.run("check clone", "test_clone", options=("--check",))
    story.seen["after check clone"] = story.made()
    story.run("clone", "test_clone")
    story.run("clone again", "test_clone")
    story.seen["clone"] = {
        "workers": story.ask(CLONE, "SHOW max_logical_replication_workers"),
        "left": story.ask(
            CLONE, "SELECT subname FROM pg_subscription UNION SELECT slot_name FROM pg_replication_slots"
        ),
        "control": story.ask(CLONE, "SELECT datname FROM pg_database WHERE datname = 'bluegreen_control'"),
    }
    story.ask(CLONE, "INSERT INTO orders (name) VALUES ('only here')")
    story.ask(CLONE, "DROP TABLE orders")
    story.ask(blue, "INSERT INTO orders (name) VALUES ('pencil')")
    story.run("create beside the clone", "create", aurora_postgresql_on_green=["handed_over.yml", str(EXAMPLE)])
    story.seen["green"] = story.ask(DEPLOYMENT, "SELECT name, channel FROM orders")
    story.seen["logs"] = worker_lines(story)
    story.run(
        "switchover",
        "switchover",
        aurora_postgresql_before_switchover=story.hook("before"),
        aurora_postgresql_after_switchover=story.hook("after"),
    )
    story.seen["hooks of the switchover"] = story.noted()
    story.run("rollback refused", "rollback", aurora_postgresql_after_rollback=story.hook("back"))
    story.seen["hooks of a rollback refused"] = story.noted()
    story.ask(blue, "SET default_transaction_read_only = off", "ALTER TABLE orders ADD channel text DEFAULT 'web'")
    story.run("rollback", "rollback", aurora_postgresql_after_rollback=story.hook("back"))
    story.seen["hooks of the rollback"] = story.noted()
    story.run("remove", "remove_test_clone")
    story.seen["after remove"] = story.made()
    story.run("second clone", "test_clone")
    story.run("cleanup", "cleanup")
    story.seen["end"] = story.made()


def worker_lines(story: Story) -> dict[str, bool]:
    """For green and its clone: whether the server's log tells of an apply worker."""
    found = {}
    for cluster in (DEPLOYMENT, CLONE):
        described = story.lab.client("rds").describe_db_instances(DBInstanceIdentifier=f"{cluster}-1")["DBInstances"][0]
        log = story.lab.state / "postgresql-logs" / f"{described['DbiResourceId']}.log"
        found[cluster] = "apply worker for subscription" in log.read_text()
    return found


def failed(story: Story, run: str) -> str:
    finished = story.runs[run]
    assert finished.code != 0
    return str(finished.failure["msg"])


def test_a_hook_that_is_not_there_is_said_before_anything_is_changed(story: Story) -> None:
    assert "nowhere.yml, but there is no such file; nothing was changed" in failed(story, "missing hook")
    assert story.seen["after missing hook"] == set()


def test_a_failed_hook_fails_the_phase_with_its_name_and_green_goes_on(story: Story) -> None:
    message = failed(story, "failing hook")
    assert (
        message.startswith("The hook on_green (")
        and 'failing.yml) failed in the task "Test the new version"' in message
    )
    assert message.endswith("green replicates from blue; mend it and run the phase create again.")


def test_a_hook_does_nothing_in_check_mode(story: Story) -> None:
    assert story.runs["check hook"].code == 0, story.runs["check hook"].output
    assert story.seen["after check hook"] == []


def test_a_hook_changes_green_and_its_second_run_nothing(story: Story) -> None:
    assert "bluegreen.aws.aurora_postgresql : Add the column and its index" in story.runs["hook"].changed_tasks
    assert story.runs["create beside the clone"].changed == 0, story.runs["create beside the clone"].output
    assert story.seen["green"] == [("pencil", "web")]


def test_no_password_is_shown_by_a_hook(story: Story) -> None:
    assert story.blue.password not in story.runs["hook"].output


def test_check_mode_of_the_clone_changes_nothing_and_predicts(story: Story) -> None:
    assert story.runs["check clone"].changed > 0, story.runs["check clone"].output
    assert CLONE not in story.seen["after check clone"]


def test_the_clone_is_made_once_and_is_a_database_of_its_own(story: Story) -> None:
    assert story.runs["clone"].changed > 0, story.runs["clone"].output
    assert story.runs["clone again"].changed == 0, story.runs["clone again"].output
    assert story.seen["clone"] == {"workers": [("0",)], "left": [], "control": []}


def test_green_goes_on_beside_its_clone_and_is_not_taken_for_it(story: Story) -> None:
    assert story.runs["create beside the clone"].code == 0, story.runs["create beside the clone"].output
    assert story.seen["logs"] == {DEPLOYMENT: True, CLONE: False}


def test_the_hooks_of_a_switchover_and_of_a_rollback_run_where_they_belong(story: Story) -> None:
    assert story.runs["switchover"].code == 0, story.runs["switchover"].output
    assert story.seen["hooks of the switchover"] == ["after", "before"]
    assert story.seen["hooks of a rollback refused"] == ["after", "before"]
    assert story.runs["rollback"].code == 0, story.runs["rollback"].output
    assert story.seen["hooks of the rollback"] == ["after", "back", "before"]


def test_a_rollback_to_a_blue_that_lacks_a_column_of_green_is_refused_with_its_name(story: Story) -> None:
    refused = story.runs["rollback refused"]
    assert refused.code != 0
    assert "column public.orders.channel was created on green" in refused.output


def test_the_clone_is_removed_alone_or_by_the_cleanup(story: Story) -> None:
    assert story.runs["remove"].changed > 0, story.runs["remove"].output
    assert DEPLOYMENT in story.seen["after remove"] and CLONE not in story.seen["after remove"]
    assert story.runs["second clone"].changed > 0
    assert story.runs["cleanup"].code == 0, story.runs["cleanup"].output
    assert story.seen["end"] == set()
