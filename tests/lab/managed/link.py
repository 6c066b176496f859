# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The seam between the managed service's state machine and the servers of blue and green."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

SideName = Literal["blue", "green"]


@dataclass(frozen=True)
class TopologyRow:
    """One row of the metadata that the AWS wrappers read."""

    id: str
    endpoint: str
    port: int
    role: str  # BLUE_GREEN_DEPLOYMENT_SOURCE | BLUE_GREEN_DEPLOYMENT_TARGET
    status: str  # AVAILABLE | SWITCHOVER_INITIATED | SWITCHOVER_IN_PROGRESS | SWITCHOVER_IN_POST_PROCESSING | SWITCHOVER_COMPLETED
    version: str = "1.0"


@dataclass(frozen=True)
class Health:
    """The replication from blue to green: whether it runs, how far behind green is, and why it stopped."""

    running: bool
    lag_seconds: float = 0.0
    error: str | None = None


class Link(Protocol):
    """One deployment between the writers of two volumes; every call blocks and raises EngineError."""

    def prepare(self) -> None:
        """On blue, before its volume is copied: what the replication to green will need."""

    def start(self) -> None:
        """Green's writer runs on its copy, upgraded or not: it is read-only, and follows blue from the copy on."""

    def health(self) -> Health:
        """How the replication is."""

    def objections(self, side: SideName) -> list[str]:
        """What the guardrails have against a switchover on a side, in the service's words."""

    def degraded(self) -> str | None:
        """Why the replication is degraded by what it cannot carry (DDL, large objects); None when it is not."""

    def stop_writes(self) -> None:
        """No client writes on either side: read-only, every session ended, new ones refused."""

    def caught_up(self) -> bool:
        """Whether green has everything of blue, whose writes are stopped."""

    def finish(self) -> str | None:
        """Green follows no longer; returns its binary log's `file position`, None of an engine that has none."""

    def open(self, side: SideName) -> None:
        """Clients connect to and write on a side again; the other one only reads."""

    def publish(self, rows: Sequence[TopologyRow], sides: Sequence[SideName] = ("blue", "green")) -> None:
        """Let the metadata of these sides have these rows and no others."""

    def drop(self) -> None:
        """Nothing of the deployment is left on a server that still runs; both can be written to."""
