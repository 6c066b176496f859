# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Waiting: a monotonic clock and a predicate."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from .errors import WaitTimeout

T = TypeVar("T")


class Deadline:
    """A point in monotonic time, ``seconds`` from now."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seconds = seconds
        self._end = clock() + seconds

    @property
    def seconds(self) -> float:
        """The length that was asked for, in seconds."""
        return self._seconds

    @property
    def left(self) -> float:
        """Seconds until the deadline, never negative."""
        return max(0.0, self._end - self._clock())

    @property
    def passed(self) -> bool:
        """Whether the deadline is over."""
        return self._clock() >= self._end


def wait_until(
    observe: Callable[[], T],
    done: Callable[[T], bool],
    *,
    timeout: float,
    delay: float,
    wanted: str,
    seen: Callable[[T], str] = str,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """Observe every ``delay`` seconds until ``done`` and return the last observation.

    Raises :class:`WaitTimeout` after ``timeout`` seconds; its sentence carries ``wanted`` and ``seen(last)``.
    What ``observe`` raises passes through: a failed look is never taken for an answer.
    """
    deadline = Deadline(timeout, clock)
    while True:
        last = observe()
        if done(last):
            return last
        if deadline.passed:
            raise WaitTimeout(f"Waited {timeout:g} s for {wanted}, but last saw {seen(last).rstrip('.')}.")
        sleep(min(delay, deadline.left))
