# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A phase that is killed at any moment is run again and ends in the same place. More kills: `python -m tests.crash`."""

from __future__ import annotations

import random

import pytest

from tests.crash.__main__ import crash
from tests.crash.driver import Report

KILLS = 2
PHASES = ("switchover", "create")

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module", name="killed")
def _killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Report]:
    """A seed, and what came of killing both phases under write load at random moments."""
    seed = random.SystemRandom().randrange(1_000_000)
    return seed, crash(PHASES, KILLS, seed, tmp_path_factory.mktemp("kills"))


@pytest.mark.parametrize("phase", PHASES)
def test_a_phase_that_was_killed_is_finished_by_running_it_again(killed: tuple[int, Report], phase: str) -> None:
    seed, report = killed
    assert not report.problems, f"seed {seed}"
    assert report.of(phase) >= KILLS, f"seed {seed}"


def test_no_kill_loses_or_doubles_an_acknowledged_write(killed: tuple[int, Report]) -> None:
    seed, report = killed
    assert len(report.audits) >= 4, f"seed {seed}"  # there and back, of either phase
    assert all(audit.acknowledged > 0 for audit in report.audits), f"seed {seed}"
    assert not [audit for audit in report.audits if audit.findings()], f"seed {seed}"
