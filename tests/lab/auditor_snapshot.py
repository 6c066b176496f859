# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the auditor reads of one side, whatever the engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_SHOWN = 5
Query = Callable[[str], list[tuple[Any, ...]]]


@dataclass(frozen=True)
class Row:
    """One row of the ledger."""

    writer: int
    n: int
    amount: int
    row_id: int
    server: str | None


@dataclass(frozen=True)
class Snapshot:
    """What one side held at one moment."""

    rows: tuple[Row, ...]
    broken_sums: tuple[str, ...] = ()
    collisions: tuple[str, ...] = ()


def broken_sums(query: Query, invariants: Mapping[str, str]) -> tuple[str, ...]:
    """Return the invariants that are broken; each statement returns the rows that break one."""
    return tuple(
        f"{name} (writer, numbers: {broken[:_SHOWN]})"
        for name, statement in invariants.items()
        if (broken := query(statement))
    )


def repeated_ids(query: Query, statements: Mapping[str, str]) -> Iterable[str]:
    """Yield the tables in which a value that is handed out once is in several rows."""
    for table, statement in statements.items():
        if twice := query(statement):
            yield f"{len(twice)} sequence values of {table} are in more than one row ({twice[0][0]}, ..)"
