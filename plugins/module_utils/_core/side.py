# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What is known of one side of a deployment, in the words that every engine shares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Replication = Literal["gone", "partial", "armed", "running", "stopped"]
"""``armed``: ready to be started from a position. ``partial``: some of its objects are there, others not yet or no more."""


@dataclass(frozen=True)
class SideFacts:
    """What is true on one side: whether clients can write, the replication into it, where it was opened."""

    open: bool
    inbound: Replication
    opened_at: str | None


@dataclass(frozen=True)
class TakenOver:
    """The position at which a side opens, and what there is to say about what replication did not carry."""

    position: str
    notes: tuple[str, ...] = ()
