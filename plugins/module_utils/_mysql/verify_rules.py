# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""How two tables are compared, if they can be at all: decided from their shapes. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .._core.comparison import fingerprint
from .._core.verification import OTHER_SIDE
from . import verify_table
from .verify_table import Shape

_LARGE = 4  # chunks; a smaller table is read by one session of each side
_ROWS_PER_BUCKET = 1000
_MAX_BUCKETS = 1 << 16
_ELSEWHERE = ("FEDERATED",)
NO_DATABASE = ""
"""A pattern names ``schema.table`` only: what names a table of PostgreSQL, with the database before it, would match too much."""
LEFT_OUT = ("mysql", "sys", "performance_schema", "information_schema", "bluegreen", "tmp", "innodb")
"""The schemas of the server, of the service and of ours."""


def large(shape: Shape) -> bool:
    """Whether several sessions read the table at the same time."""
    return shape.ranged > 0 and shape.estimated_rows >= _LARGE * verify_table.ROWS_PER_CHUNK


def buckets(count: int) -> int:
    """Into how many hash buckets a table with so many rows is summed up: a power of two, about a thousand rows each."""
    return int(min(_MAX_BUCKETS, 1 << (max(1, count // _ROWS_PER_BUCKET) - 1).bit_length()))


def without(shape: Shape | None, columns: Sequence[str]) -> Shape | None:
    """The shape without some columns; a key that had one of them is none."""
    if shape is None or not columns:
        return shape
    kept = {name: column for name, column in shape.columns.items() if name not in columns}
    if set(shape.key) <= kept.keys():
        return replace(shape, columns=kept)
    return replace(shape, columns=kept, key=(), index="", ranged=0)


def common(here: Shape, there: Shape) -> Shape:
    """How both tables are read; a key that is unique on one side only could hide a doubled row on the other."""
    rows = max(here.estimated_rows, there.estimated_rows)
    cascades = here.cascades or there.cascades
    if (here.key, here.index) != (there.key, there.index):
        return replace(here, key=(), index="", ranged=0, estimated_rows=rows, cascades=cascades)
    columns = {
        name: replace(column, nullable=column.nullable or there.columns[name].nullable)
        for name, column in here.columns.items()
    }
    return replace(here, columns=columns, ranged=min(here.ranged, there.ranged), estimated_rows=rows, cascades=cascades)


def digest(shape: Shape) -> str:
    """What has to be the same for an earlier proof to count."""
    return fingerprint([(column.name, column.kind) for column in shape.columns.values()], shape.key)


def elsewhere(shape: Shape | None) -> bool:
    """Whether the table's rows are on another server."""
    return shape is not None and shape.engine in _ELSEWHERE


def incomparable(here: Shape | None, there: Shape | None, source_side: str) -> str | None:
    """Why two tables cannot be compared at all, None when they can."""
    target_side = OTHER_SIDE[source_side]
    if here is None or there is None:
        return f"could not be compared: the table is not on {source_side if here is None else target_side}"
    kinds = [{name: column.kind for name, column in shape.columns.items()} for shape in (here, there)]
    for name in sorted({*kinds[0], *kinds[1]}):
        one, other = kinds[0].get(name), kinds[1].get(name)
        if one != other:
            return (
                f"could not be compared: column {name} is {one or 'missing'} on {source_side}"
                f" and {other or 'missing'} on {target_side}"
            )
    for shape, side in ((here, source_side), (there, target_side)):
        if shape.engine != "InnoDB":
            return (
                f"could not be compared: on {side} its engine is {shape.engine}, which knows no transactions and so no "
                "moment to compare; make it InnoDB, or name it in exclude if that is as wanted"
            )
    return None
