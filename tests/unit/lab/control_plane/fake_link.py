# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A link between blue and green that is only a log: what was asked of it, and what it is told to answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.lab.engine import EngineError
from tests.lab.managed.link import Health, SideName, TopologyRow


@dataclass
class FakeLink:
    """`tests.lab.managed.link.Link` without servers; `behind` keeps green from catching up, `writable` is who can be."""

    log: list[str] = field(default_factory=list)
    rows: dict[str, list[tuple[str, str, str]]] = field(default_factory=lambda: {"blue": [], "green": []})
    seen: list[list[tuple[str, str]]] = field(default_factory=list)  # role and status, at each publication on green
    state: Health = field(default_factory=lambda: Health(True, 0.0))
    against: dict[str, list[str]] = field(default_factory=dict)
    damage: str | None = None
    behind: bool = False
    position: str | None = None
    refuse: dict[str, str] = field(default_factory=dict)  # the call that fails, with the reason
    writable: str | None = "blue"

    def _do(self, what: str) -> None:
        self.log.append(what)
        reason = self.refuse.get(what.split()[0])
        if reason is not None:
            raise EngineError(reason)

    def prepare(self) -> None:
        """Note it."""
        self._do("prepare")

    def start(self) -> None:
        """Note it."""
        self._do("start")

    def health(self) -> Health:
        """Return what it is told."""
        return self.state

    def objections(self, side: SideName) -> list[str]:
        """Return what it is told."""
        return self.against.get(side, [])

    def degraded(self) -> str | None:
        """Return what it is told."""
        return self.damage

    def stop_writes(self) -> None:
        """Nobody writes."""
        self._do("stop_writes")
        self.writable = None

    def caught_up(self) -> bool:
        """Say yes unless it is told to be behind."""
        return not self.behind

    def finish(self) -> str | None:
        """Return the position that it is told."""
        self._do("finish")
        return self.position

    def open(self, side: SideName) -> None:
        """Let one side be written to."""
        self._do(f"open {side}")
        self.writable = side

    def publish(self, rows: Sequence[TopologyRow], sides: Sequence[SideName] = ("blue", "green")) -> None:
        """Keep the rows."""
        self._do("publish")
        for side in sides:
            self.rows[side] = [(row.role.rsplit("_", 1)[1], row.endpoint, row.status) for row in rows]
        self.seen.append([(row.role.rsplit("_", 1)[1], row.status) for row in rows])

    def drop(self) -> None:
        """Let both be written to."""
        self._do("drop")
        self.writable = "both"
