# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Killed at any moment, the phase create is run again and ends in the same place."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.postgresql.kills import killed_and_finished


@pytest.mark.timeout(1800)
def test_a_create_that_was_killed_is_finished_by_running_it_again(tmp_path: Path) -> None:
    killed_and_finished("create", tmp_path)
