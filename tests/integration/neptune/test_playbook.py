# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One deployment of a Neptune cluster from end to end, as a user starts it, under write load; each test looks at one side of it.

Every playbook runs at -vvvv, so that a secret has every chance to show.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.lab.auditor import Audit, audit
from tests.lab.demo_stage import Clock, Stage, set_stage
from tests.lab.lab import REGION
from tests.lab.load import Load
from tests.lab.tools import NEPTUNE
from tests.playbook import Finished, Playbook
from tests.scene import NEPTUNE_DEPLOYMENT, NEPTUNE_TARGET_VERSION, fingerprint

LOUD = ("-vvvv",)
WRITERS = 2

pytestmark = pytest.mark.timeout(900)


@dataclass
class Story:
    """What each run said, and what was true between the runs."""

    stage: Stage
    load: Load
    playbook: Playbook
    runs: dict[str, Finished] = field(default_factory=dict)
    audits: dict[str, Audit] = field(default_factory=dict)
    seen: dict[str, dict[str, Any]] = field(default_factory=dict)

    def run(self, name: str, *phases: str, options: tuple[str, ...] = (), **variables: Any) -> None:
        """Run the playbook; it is meant to succeed."""
        self.runs[name] = self.playbook.succeed(*phases, options=(*LOUD, *options), **variables)

    def look(self, name: str) -> None:
        """Keep what blue and AWS look like now."""
        self.seen[name] = fingerprint(self.stage.lab, self.stage.blue)

    def audit(self, serving: str) -> None:
        """Audit the side that serves; the other one is fenced."""
        other = {"blue": "green", "green": "blue"}[serving]
        self.audits[serving] = audit(self.load.entries, self.stage.side(serving), self.stage.side(other))


@pytest.fixture(scope="module", name="story")
def _story() -> Iterator[Story]:
    with ExitStack() as stack:
        stage = set_stage(stack, Clock(), WRITERS, engine=NEPTUNE)
        target = stage.gate_target()
        load = stack.enter_context(Load.start(stage.directory / "ledger", target, writers=WRITERS, rate=30, seed=7))
        story = Story(stage, load, stage.playbook(neptune_wait_timeout=300))
        tell(story)
        assert not load.dead_writers()
        yield story


def tell(story: Story) -> None:
    """The whole run, from a refusal and check mode to nothing left."""
    story.look("start")
    story.runs["refused"] = story.playbook.run("create", options=LOUD, neptune_engine_version="1.2.0.0")
    story.run("check", options=("--check",))
    story.look("after check")
    story.run("create")
    story.stage.green_is_built()
    story.run("create again", "create")
    story.look("in sync")
    story.run("switchover", "switchover")
    story.audit("green")
    story.run("switchover again", "switchover,create")
    story.run("rollback", "rollback")
    story.audit("blue")
    story.run("cleanup", "cleanup", neptune_delete_green=True)
    story.run("cleanup again", "cleanup", neptune_delete_green=True)
    story.look("end")


@pytest.mark.parametrize("phase", ["switchover", "cleanup"])
def test_a_phase_changes_something_and_its_second_run_nothing(story: Story, phase: str) -> None:
    assert story.runs[phase].changed > 0
    assert story.runs[f"{phase} again"].changed_tasks == []


def test_a_second_create_only_follows_what_was_written_meanwhile(story: Story) -> None:
    assert story.runs["create"].changed > 0
    assert set(story.runs["create again"].changed_tasks) <= {
        "bluegreen.aws.neptune : Bring replication to the state running"
    }


def test_check_mode_changes_nothing_and_predicts(story: Story) -> None:
    assert story.seen["after check"] == story.seen["start"]
    assert story.runs["check"].changed > 0


def test_a_version_that_cannot_be_reached_is_refused_in_the_words_of_the_aws_solution(story: Story) -> None:
    run = story.runs["refused"]
    assert "Invalid target engine version for blue/green deployment (1.2.0.0)." in run.failure["msg"]
    assert (run.changed, "Traceback" in run.output) == (0, False)


def test_green_has_the_version_that_was_asked_for_and_blues_number_of_instances(story: Story) -> None:
    aws = story.seen["in sync"]["aws"][REGION]
    assert aws["clusters"][NEPTUNE_DEPLOYMENT] == NEPTUNE_TARGET_VERSION
    of_green = [name for name in aws["instances"] if name.startswith(NEPTUNE_DEPLOYMENT)]
    assert len(of_green) == len(aws["instances"]) - len(of_green) == 2


@pytest.mark.parametrize("serving", ["green", "blue"])
def test_no_acknowledged_write_is_lost_or_doubled(story: Story, serving: str) -> None:
    assert story.audits[serving].findings() == []
    assert story.audits[serving].acknowledged > 100


def test_the_switchover_prints_its_timeline_and_its_window(story: Story) -> None:
    output = story.runs["switchover"].output
    fence = output.index("fence blue")
    assert fence < output.index("open green for writes", fence)
    assert re.search(r"window \d+\.\d ms", output)


def test_the_verification_shows_what_was_compared_as_equal(story: Story) -> None:
    shown = re.findall(r'"(equal|DIFFERENT|NOT COMPARED) +\S', story.runs["create"].output)
    assert shown
    assert set(shown) == {"equal"}


def test_after_the_deletion_of_green_everything_is_as_it_was(story: Story) -> None:
    assert story.seen["end"] == story.seen["start"]


def test_no_secret_is_in_the_output_at_the_highest_verbosity(story: Story) -> None:
    secret = story.stage.lab.env["AWS_SECRET_ACCESS_KEY"]
    assert [name for name, run in story.runs.items() if secret in run.output] == []
