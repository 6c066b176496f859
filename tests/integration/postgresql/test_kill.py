# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Killed at any moment, the playbook is run again and ends in the same place. More kills: `python -m tests.crash`."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.crash.__main__ import crash

KILLS = 3


@pytest.mark.timeout(900)
@pytest.mark.parametrize("phase", ["create", "switchover"])
def test_a_phase_that_was_killed_is_finished_by_running_it_again(phase: str, tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    report = crash(phase, KILLS, seed, tmp_path)
    assert not report.problems, f"seed {seed}"
    assert sum(kill.phase == phase for kill in report.kills) >= KILLS, f"seed {seed}"
    assert report.audits and all(audit.acknowledged > 0 for audit in report.audits), f"seed {seed}"
