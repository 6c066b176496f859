# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""How far replication is: in commits and in the age of the first record that is not applied."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .events import EventId


@dataclass(frozen=True)
class Progress:
    """``checkpoint``: everything up to it is applied. ``head``: the source's last record, None when its stream is empty.

    ``lag_seconds`` is the age of the first record that is not applied, 0 when there is none: a graph that nobody writes to
    does not look stale. ``records``: applied in all runs.
    """

    checkpoint: EventId
    head: EventId | None
    lag_commits: int
    lag_seconds: float
    records: int
    at_head: bool


def measure(
    checkpoint: EventId, head: EventId | None, waiting_ms: int | None, records: int, clock: Callable[[], float]
) -> Progress:
    """The progress from the time (ms since 1970) of the first record that is not applied, None when there is none."""
    at_head = head is None or head == checkpoint
    commits = 0 if head is None or at_head else max(1, head.commit - checkpoint.commit)
    seconds = 0.0 if waiting_ms is None or at_head else max(0.0, clock() - waiting_ms / 1000)
    return Progress(checkpoint, head, commits, seconds, records, at_head)
