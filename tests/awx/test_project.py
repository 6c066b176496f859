# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The example project, run as AWX runs it: by ansible-runner, from a project directory, with the built collection.

AWX updates the project, installs its collections beside it, and runs a file of the project with extra variables.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ansible_runner
import pytest

from tests.lab.lab import Blue, Lab
from tests.playbook import environment
from tests.scene import DEPLOYMENT, connect, shop_variables

ROOT = Path(__file__).resolve().parents[2]
PLAYBOOK = "aurora_postgresql.yml"
RUNNER: Any = ansible_runner  # has no type hints
PROGRAMS = Path(sys.executable).parent

pytestmark = pytest.mark.timeout(600)


@dataclass(frozen=True)
class Job:
    """What AWX keeps of a job."""

    status: str
    artifacts: dict[str, Any]
    record: str


@dataclass(frozen=True)
class Controller:
    """A stand-in for AWX with one project and one inventory."""

    private: Path
    lab: Lab
    blue: Blue

    def launch(self, **extra: Any) -> Job:
        """Run the job template with these extra variables over the deployment's own."""
        variables = {**shop_variables(self.lab, self.blue), **extra}
        done = RUNNER.run(
            private_data_dir=str(self.private),
            playbook=PLAYBOOK,
            inventory="localhost ansible_connection=local ansible_python_interpreter='{{ ansible_playbook_python }}'",
            extravars=variables,
            envvars={
                **environment(self.lab.env),
                "ANSIBLE_COLLECTIONS_PATH": str(self.private / "requirements_collections"),
                "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}",
            },
            quiet=True,
        )
        events = list(done.events)
        stats = [event["event_data"] for event in events if event["event"] == "playbook_on_stats"]
        artifacts = stats[-1].get("artifact_data", {}) if stats else {}
        return Job(done.status, artifacts, json.dumps(events))


@pytest.fixture(scope="module", name="controller")
def _controller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Controller]:
    private = tmp_path_factory.mktemp("awx")
    shutil.copytree(ROOT / "examples" / "awx", private / "project")
    install_collection(private)
    with Lab.start() as lab:
        blue = lab.seed_postgresql(readers=0)
        with closing(connect(lab, blue, blue.cluster, blue.database)) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE goods (id int PRIMARY KEY)")
        yield Controller(private, lab, blue)


def install_collection(private: Path) -> None:
    """Build the collection and install the archive, as AWX does with the project's requirements."""
    galaxy = [str(PROGRAMS / "ansible-galaxy"), "collection"]
    subprocess.run([*galaxy, "build", str(ROOT), "--output-path", str(private)], check=True, capture_output=True)
    (archive,) = private.glob("bluegreen-aws-*.tar.gz")
    target = private / "requirements_collections"
    install = [*galaxy, "install", str(archive), "--no-deps", "--offline", "-p", str(target)]
    # without this checkout in the search path, which galaxy would take for an installed copy
    bare = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    subprocess.run(install, check=True, capture_output=True, env=bare)
    assert (target / "ansible_collections" / "bluegreen" / "aws" / "playbooks" / PLAYBOOK).is_file()


@pytest.fixture(scope="module", name="created")
def _created(controller: Controller) -> Job:
    return controller.launch()


def test_the_project_runs_the_collections_playbook(created: Job) -> None:
    assert created.status == "successful", created.record


def test_artifacts_carry_identifiers_only(created: Job, controller: Controller) -> None:
    assert created.artifacts == {
        "aurora_postgresql_deployment_id": DEPLOYMENT,
        "aurora_postgresql_source_db_cluster_identifier": controller.blue.cluster,
        "aurora_postgresql_green_db_cluster_identifier": DEPLOYMENT,
        "aurora_postgresql_outcome": "verified",
    }


def test_the_next_node_goes_on_from_the_artifacts(created: Job, controller: Controller) -> None:
    job = controller.launch(**created.artifacts, bluegreen_phases="switchover,rollback")
    assert job.status == "successful", job.record
    assert job.artifacts["aurora_postgresql_outcome"] == "rolled_back"


def test_the_jobs_record_holds_no_secret(created: Job, controller: Controller) -> None:
    assert DEPLOYMENT in created.record
    assert controller.blue.password not in created.record
    assert controller.lab.env["AWS_SECRET_ACCESS_KEY"] not in created.record


def test_the_example_names_this_collection() -> None:
    text = (ROOT / "examples" / "awx" / PLAYBOOK).read_text(encoding="utf-8")
    assert "ansible.builtin.import_playbook: bluegreen.aws.aurora_postgresql" in text
