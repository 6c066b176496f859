# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What is compared of a graph: pieces with a key and a hash of their content, read in pages by key or one by one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

Leave = Callable[[str, str], bool]
"""Whether a column (property key, predicate) of a table is left out."""


class Row(NamedTuple):
    """One piece: the hash of its content, the table that it counts for, and how many rows it is there."""

    content: int
    table: str
    size: int


Rows = dict[tuple[str, ...], Row]


class Reader(Protocol):
    """One side of a graph."""

    key: str
    """How a key is called."""

    def parts(self) -> set[str]:
        """What is read one after the other: vertices and edges, or graphs."""

    def page(self, part: str, after: str, until: str | None, limit: int) -> tuple[Rows, str | None]:
        """The first ``limit`` pieces behind a key, up to another one; and the last key, None when nothing follows."""

    def rows(self, part: str, keys: Sequence[tuple[str, ...]]) -> Rows:
        """The pieces with these keys."""

    def counts(self, part: str) -> dict[str, int]:
        """How many rows each table of a part has."""

    def some(self, part: str, skip: int, limit: int) -> list[tuple[str, ...]]:
        """The keys of some pieces, as the service comes across them."""


def digest(*content: Any) -> int:
    """64 bits of a hash of plain values."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
