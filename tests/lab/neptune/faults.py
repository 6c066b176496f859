# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is broken on purpose at one instance."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass
class Faults:
    """Knobs; numbers count down with the requests that they befall.

    Times are seconds. A write whose connection is `dropped_before` was not done, one `dropped_after` was; what is dropped
    by `drop_share` was done or not, half of them each.
    """

    write_latency: float = 0.0
    read_latency: float = 0.0
    throttled: int = 0  # requests, ThrottlingException
    conflicts: int = 0  # writes, ConcurrentModificationException
    dropped_before: int = 0  # writes
    dropped_after: int = 0  # writes
    drop_share: float = 0.0  # of the writes
    dies_after: int = -1  # writes; every connection is cut from then on. -1: it lives
    silent: bool = False  # takes requests and does not answer
    commits_behind: int = 0  # of its streams, as of a replica that lags
    not_found_text: str = ""  # instead of the text that names the last event
    expired_as_not_found: bool = False  # what has been seen of the service, against its documentation
    clock_ahead: float = 0.0  # the log's age limit sees the time so much later
    random: random.Random = field(default_factory=lambda: random.Random(1))

    def set(self, **knobs: Any) -> None:
        """Turn knobs; TypeError for one that there is not."""
        for name, value in knobs.items():
            if name not in {one.name for one in fields(self)} - {"random"}:
                raise TypeError(f"there is no fault {name}")
            setattr(self, name, value)

    def count(self, name: str) -> bool:
        """Say whether a fault befalls this request."""
        left: int = getattr(self, name)
        if left > 0:
            setattr(self, name, left - 1)
        return left > 0
