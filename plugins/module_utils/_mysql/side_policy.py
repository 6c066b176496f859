# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What the user chose for a switchover, and the one thing of it that only the control plane can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from .._core.differences import NONE_DECLARED, ExpectedDifferences
from .replication_user import Login


class ReadOnlyParameter(Protocol):
    """The switches of a side that live in its DB cluster parameter group, which only the control plane can turn."""

    def lift(self) -> None:
        """``read_only`` off; its effect is waited for by asking the server."""

    def after_opening(self, event_scheduler: str) -> None:
        """The side serves: its events run as those of the other side did, whose ``event_scheduler`` this is."""

    def close(self) -> None:
        """The other side serves again: ``read_only`` on and no events, as at the side's birth."""


@dataclass(frozen=True)
class Policy:
    """What the user chose: how replicas log in, and the expected differences."""

    login: Login
    expected: ExpectedDifferences = NONE_DECLARED
    parameters: ReadOnlyParameter | None = None
    """Green's, when its parameter group was named."""
