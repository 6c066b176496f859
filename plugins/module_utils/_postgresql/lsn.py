# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Positions in the write-ahead log: an integer inside, ``X/Y`` at the edge (PostgreSQL manual, 8.20 pg_lsn)."""

from __future__ import annotations

import re

from .._core.errors import BlueGreenError

_LSN = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")


def parse(text: str) -> int:
    """The position ``text`` (``16/B374D848``) as bytes since the log began; raises :class:`BlueGreenError`."""
    match = _LSN.fullmatch(text.strip())
    if not match:
        raise BlueGreenError(f"A position must look like 16/B374D848, but is {text!r}: correct the option position.")
    return (int(match[1], 16) << 32) | int(match[2], 16)


def text(position: int) -> str:
    """The position as the server writes it."""
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"
