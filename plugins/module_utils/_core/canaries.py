# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The seam between the probe and an engine: sessions as an application has them, and the table that canaries are written to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

COLUMNS = ("run", "lane", "number", "at")
"""Those of the table, and no others."""


@dataclass(frozen=True)
class Canary:
    """One row: which run and lane wrote it, and its number in the lane, from 1."""

    run: str
    lane: str
    number: int


@dataclass(frozen=True)
class Seen:
    """What a read saw: the server that answered, and the highest number in the lane, 0 without one."""

    server: str
    highest: int


class Session(Protocol):
    """One connection of an application; every call raises :class:`AttemptFailed`."""

    address: str  # the address that the connection leads to
    server: str  # how the server calls itself

    def write(self, canary: Canary) -> str:
        """Write a canary; returned means acknowledged, with the server that did."""

    def read(self, run: str, lane: str) -> Seen:
        """Read the lane's newest canary."""

    def sever(self) -> None:
        """Break the connection from another thread, so that whoever waits for an answer waits no longer."""

    def close(self) -> None:
        """Close it, also when it is broken."""


class Canaries(Protocol):
    """The table of the canaries behind one endpoint; calls raise :class:`AttemptFailed` unless they say otherwise."""

    def open(self) -> Session:
        """A new connection, as an application makes one."""

    def exists(self) -> bool:
        """Whether the table is there."""

    def foreign(self) -> str:
        """The columns of what has the table's name, when it is no table of canaries; empty when it is one or is not there."""

    def privilege(self) -> str:
        """What lets the user write where applications cannot, empty when nothing does."""

    def obstacle(self) -> str:
        """Why the table must not be made now, empty when it may be."""

    def statements(self, users: Sequence[str]) -> list[str]:
        """What makes the table and lets these users use it."""

    def create(self, users: Sequence[str]) -> None:
        """Run :meth:`statements`."""

    def written(self, run: str) -> Counter[tuple[str, int]]:
        """How often each canary of a run is there, by lane and number."""

    def forget(self, run: str) -> bool:
        """Delete the canaries of a run; returns whether none of any other run is left."""

    def drop(self) -> None:
        """Remove the table, and its schema when nothing else is in it."""


def unlike(columns: Iterable[str]) -> str:
    """These columns in words when a table with them is none of canaries, empty when it is one, or there is no table. Pure."""
    found = tuple(columns)
    return "" if found in ((), COLUMNS) else ", ".join(found[:6]) + (", .." if len(found) > 6 else "")
