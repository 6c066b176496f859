# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What the switchover knows of an engine."""

from __future__ import annotations

from typing import Any, Protocol

from .._core.checks import Check
from .._core.endpoint import Endpoint
from .._core.side import SideFacts, TakenOver
from .._core.waiting import Deadline


class Side(Protocol):
    """One cluster of a deployment, its connections opened before the window.

    ``peer`` is always the other side, of the same engine. Every method raises :class:`BlueGreenError` when its effect could not be proved.
    """

    name: str
    endpoint: Endpoint

    def connect(self) -> None:
        """Open every connection that the window needs."""

    def close(self) -> None:
        """Close the connections."""

    def abandon(self) -> None:
        """Break the connections, called from another thread when the window's limit is over."""

    def facts(self, peer: Any) -> SideFacts:
        """Look anew."""

    def guardrails(self, peer: Any) -> list[Check]:
        """Read-only checks before traffic moves from here to ``peer``."""

    def lag(self, peer: Any, limit: float) -> float:
        """Seconds that a write made here takes to be on ``peer``; raises when it is not there within ``limit``."""

    def prepare(self, peer: Any) -> None:
        """Whatever of the move from here to ``peer`` can be done before the window."""

    def arm(self, peer: Any) -> None:
        """Make replication ``peer`` -> here ready, to be started from a position that is not known yet."""

    def start(self, peer: Any) -> None:
        """Start the armed replication ``peer`` -> here from the position at which ``peer`` opened."""

    def end(self, peer: Any) -> None:
        """Remove the replication ``peer`` -> here."""

    def fence(self, deadline: Deadline) -> None:
        """No client can write here any more, proved by a write that fails; what was in flight has ended."""

    def unfence(self) -> None:
        """Clients can write here again."""

    def drain(self, peer: Any, deadline: Deadline) -> None:
        """Return when ``peer`` has applied everything written here, and nothing was written here behind the fence."""

    def take_over(self, peer: Any) -> TakenOver:
        """Carry over from ``peer`` what replication does not, and commit the position to open at."""

    def open(self) -> None:
        """Clients can write here, from one instant on."""
