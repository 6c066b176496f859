# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""How two tables are compared, if they can be at all: decided from their shapes. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .._core.comparison import fingerprint, ranges
from .._core.verification import OTHER_SIDE
from .verify_table import Part, Shape

_LEAST_BLOCKS = 4096  # 32 MB: what one session reads of a table that others read too
_ROWS_PER_BLOCK = 32  # about
_ROWS_PER_CHUNK = 1000
_MAX_CHUNKS = 1 << 16


def parts(shape: Shape, blocks: int, most: int) -> list[Part]:
    """The ranges of blocks in which a table is read; one where a server would read all of it for each of them."""
    if not shape.fast:
        return [Part()]
    return [Part(*one) for one in ranges(blocks, _LEAST_BLOCKS, most)]


def chunks(estimated_rows: int, blocks: int) -> int:
    """Into how many chunks a table is summed up: a power of two, about a thousand rows each."""
    # a table that was never analyzed says 0 rows, however large it is
    wanted = max(1, max(estimated_rows, blocks * _ROWS_PER_BLOCK) // _ROWS_PER_CHUNK)
    return int(min(_MAX_CHUNKS, 1 << (wanted - 1).bit_length()))


def without(shape: Shape | None, columns: Sequence[str]) -> Shape | None:
    """The shape without some columns; a key that had one of them is none."""
    if shape is None or not columns:
        return shape
    kept = {name: kind for name, kind in shape.columns.items() if name not in columns}
    return replace(shape, columns=kept, key=shape.key if shape.key.keys() <= kept.keys() else {})


def common(here: Shape, there: Shape) -> Shape:
    """How both tables are read; a key that is unique on one side only could hide a doubled row on the other."""
    shape = here if dict(here.key) == dict(there.key) else replace(here, key={})
    # the oid of a type that is not built in may be another one on the other side
    return replace(shape, fast=here.fast and there.fast)


def digest(shape: Shape) -> str:
    """What has to be the same for an earlier proof to count."""
    return fingerprint(list(shape.columns.items()), sorted(shape.key.items()))


def incomparable(here: Shape | None, there: Shape | None, source_side: str) -> str | None:
    """Why two tables cannot be compared at all, None when they can."""
    target_side = OTHER_SIDE[source_side]
    if here is None or there is None:
        return f"could not be compared: the table is not on {source_side if here is None else target_side}"
    if dict(here.columns) != dict(there.columns):
        return f"could not be compared: {_column_words(here, there, source_side, target_side)}"
    if not here.logged or not there.logged:
        return "could not be compared: the table is unlogged, so it is not replicated; name it in exclude if that is as wanted"
    return None


def _column_words(here: Shape, there: Shape, source_side: str, target_side: str) -> str:
    for name in sorted({*here.columns, *there.columns}):
        one, other = here.columns.get(name), there.columns.get(name)
        if one != other:
            return f"column {name} is {one or 'missing'} on {source_side} and {other or 'missing'} on {target_side}"
    return "its columns differ"
