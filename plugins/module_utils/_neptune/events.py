# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Event ids of a stream: the one order in which everything was written."""

from __future__ import annotations

from dataclasses import dataclass

from .._core.errors import BlueGreenError


@dataclass(frozen=True, order=True)
class EventId:
    """``commit:op``, the identity of one record (Neptune user guide, "Neptune Streams API")."""

    commit: int
    op: int

    @classmethod
    def parse(cls, text: str) -> EventId:
        """The id that ``str()`` wrote; raises :class:`BlueGreenError` when it is none."""
        commit, separator, op = text.strip().partition(":")
        if not separator or not (commit.isascii() and commit.isdigit() and op.isascii() and op.isdigit()):
            raise BlueGreenError(f"An event id is written commit:op, as in 12:3, but is {text!r}: correct it.")
        return cls(int(commit), int(op))

    def __str__(self) -> str:
        return f"{self.commit}:{self.op}"


START = EventId(0, 0)
"""Before the first record: what a stream without records stands at."""

# A commit has fewer operations than this, so it means "the whole commit".
_ALL = 2**31 - 1


def whole(commit: int) -> EventId:
    """An id that is behind every record of a commit and before the next one."""
    return EventId(commit, _ALL)
