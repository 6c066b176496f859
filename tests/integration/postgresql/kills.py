# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A phase that is killed and run again ends in the same place. More kills: `python -m tests.crash`."""

from __future__ import annotations

import random
from pathlib import Path

from tests.crash.__main__ import crash

KILLS = 2


def killed_and_finished(phase: str, logs: Path) -> None:
    """Kill a phase under write load at random moments; everything holds that must hold afterwards."""
    seed = random.SystemRandom().randrange(1_000_000)
    report = crash(phase, KILLS, seed, logs)
    assert not report.problems, f"seed {seed}"
    assert sum(kill.phase == phase for kill in report.kills) >= KILLS, f"seed {seed}"
    assert report.audits and all(audit.acknowledged > 0 for audit in report.audits), f"seed {seed}"
