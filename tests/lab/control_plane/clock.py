# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The clock of the state machine: how long each state is visible."""

from __future__ import annotations

import threading
from collections.abc import Mapping

# Seconds, at least. `settling` is the moment in which a modification is accepted, but the status still says available.
DELAYS: Mapping[str, float] = {
    "applying": 0.2,
    "backing-up": 0.2,
    "creating": 0.3,
    "deleting": 0.3,
    "disabling": 0.2,
    "enabling": 0.2,
    "failing-over": 0.2,
    "maintenance": 0.3,
    "modifying": 0.3,
    "pending-resync": 0.2,
    "promoting": 0.3,
    "rebooting": 0.2,
    "registering": 0.3,
    "renaming": 0.2,
    "settling": 0.2,
    "starting": 0.2,
    "stopping": 0.2,
    "switching-over": 0.3,
    "upgrading": 0.5,
}


class Clock:
    """Keeps a state visible for its delay; `stop` wakes everybody who waits."""

    def __init__(self, delays: Mapping[str, float] | None = None) -> None:
        self._first = {**DELAYS, **(delays or {})}
        self._delays = dict(self._first)
        self._stopped = threading.Event()

    def delays(self) -> dict[str, float]:
        """Return the seconds by state."""
        return dict(self._delays)

    def set_delay(self, state: str, seconds: float) -> None:
        """Change one state's delay; raises ValueError for a state that does not exist."""
        if state not in self._delays:
            raise ValueError(f"there is no state {state!r}; states are {', '.join(sorted(self._delays))}")
        if seconds < 0:
            raise ValueError("a delay is not negative")
        self._delays[state] = seconds

    def reset(self) -> None:
        """Take back what `set_delay` did."""
        self._delays = dict(self._first)

    def hold(self, state: str) -> None:
        """Wait for the state's delay."""
        self._stopped.wait(self._delays[state])

    def pause(self, seconds: float) -> bool:
        """Wait for some seconds; return whether the clock still runs."""
        return not self._stopped.wait(seconds)

    def stop(self) -> None:
        """End every wait, now and later."""
        self._stopped.set()
