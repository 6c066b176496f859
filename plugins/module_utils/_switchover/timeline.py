# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What happened when: every event with its time and its distance to the fence."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any


@dataclass(frozen=True)
class _Event:
    at: datetime
    moment: float
    event: str


class Timeline:
    """The events of one run; the window's length is taken from the monotonic clock."""

    def __init__(self) -> None:
        self._events: list[_Event] = []
        self._zero: float | None = None
        self._opened: float | None = None
        self._closed: float | None = None

    def note(self, event: str) -> None:
        """Write down ``event`` now."""
        self._events.append(_Event(datetime.now(UTC), time.monotonic(), event))

    def window_opens(self) -> None:
        """The write outage begins (once; later calls change nothing)."""
        if self._opened is None:
            self._opened = time.monotonic()

    def window_closes(self) -> None:
        """The write outage has ended (once)."""
        if self._closed is None:
            self._closed = time.monotonic()

    def zero(self) -> None:
        """The fence is being put up: offsets are counted from here."""
        if self._zero is None:
            self._zero = time.monotonic()

    @property
    def window_ms(self) -> float | None:
        """Milliseconds from the gate's hold, or the fence, to the release; None when there was no whole window."""
        if self._opened is None or self._closed is None:
            return None
        return round((self._closed - self._opened) * 1000, 1)

    def as_list(self) -> list[dict[str, Any]]:
        """``at`` (UTC, ISO 8601), ``offset_ms`` (to the fence, null when there was none) and ``event``, in order."""
        return [
            {
                "at": entry.at.isoformat(timespec="milliseconds"),
                "offset_ms": None if self._zero is None else round((entry.moment - self._zero) * 1000, 1),
                "event": entry.event,
            }
            for entry in self._events
        ]
