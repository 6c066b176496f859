# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What the user chose for a switchover of Neptune."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from .connection import GraphType

FenceKind = Literal["gate", "user", "part", "none"]
"""Who keeps clients from writing: gates that cut their connections, the user who says so, gates only some of which do, or nobody."""


@dataclass(frozen=True)
class Policy:
    """What the user chose.

    ``quiet_interval``: seconds between the looks at the stream that prove that nobody writes. ``graph_type``: None when the
    control record tells it. ``reverse``: whether a rollback without loss is wanted. ``lanes``: how many requests write at once.
    """

    fence: FenceKind = "none"
    quiet_interval: float = 0.1
    graph_type: GraphType | None = None
    reverse: bool = True
    lanes: int = 8
    elsewhere: Callable[[], str | None] = lambda: None
    """What replicates without a lease of ours, in words, None when nothing does."""
