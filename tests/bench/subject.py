# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a benchmark of the verification compares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Subject:
    """Methods by name, each run for its time; `by_hand` names the one that the others are measured by.

    `speeds`: key of the summary -> method; `ratios`: key -> method whose time is divided by that of bg_verify.
    """

    methods: Mapping[str, Callable[[], None]]
    by_hand: str
    speeds: Mapping[str, str]
    ratios: Mapping[str, str]
