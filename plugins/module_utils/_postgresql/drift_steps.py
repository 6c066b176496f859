# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.


"""The steps of a plan, and the order in which they are due. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .drift import Baseline, Change
from .schema_catalog import ObjectName, Schema

Phase = Literal["first", "last"]
Part = tuple[Phase, str, str]

# Within a phase: what others need comes first; things go in the opposite order.
_RANK = (
    "drop",
    "schema",
    "type",
    "sequence",
    "function",
    "table",
    "column",
    "constraint",
    "index",
    "statistics",
    "view",
    "materialized view",
    "trigger",
    "late drop",
)


@dataclass(frozen=True)
class Step:
    """One statement and when it is due; ``order`` within the phase."""

    phase: Phase
    order: tuple[int, int]
    statement: str
    name: ObjectName


@dataclass(frozen=True)
class Plan:
    """What to run for a change; ``by_hand`` says why nothing follows from the catalog and what to do instead."""

    steps: tuple[Step, ...] = ()
    by_hand: str = ""


@dataclass(frozen=True)
class Context:
    """What a plan may need beside the change: the source's schema and its baseline."""

    source: Schema
    baseline: Baseline | None


def steps(change: Change, *parts: Part) -> Plan:
    """A plan of ``parts``: phase, rank and statement. What is older comes first, and goes last."""
    one, sign = (change.source, 1) if change.source else (change.target, -1)
    oid = sign * int(one.facets.get("_oid") or 0) if one else 0
    return Plan(
        tuple(Step(phase, (_RANK.index(rank), oid), statement, change.name) for phase, rank, statement in parts)
    )
