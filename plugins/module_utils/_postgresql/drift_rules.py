# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a change on the side that is replicated to means for the rows that arrive there. Pure.

PostgreSQL manual, "Logical Replication", restrictions: columns are matched by name, values travel as text, additional columns
are filled with their default, constraints other than foreign keys are checked for every row.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from .drift import Change, facets_changed
from .schema_catalog import SchemaObject

Verdict = Literal["breaks", "risks", "fits"]

_INTEGERS = ("smallint", "integer", "bigint", "numeric")
_FLOATS = ("real", "double precision")
_TIMES = ("date", "timestamp without time zone")
_SIZED = re.compile(r"(character varying|character|numeric|bit varying)\((\d+)(?:,(\d+))?\)")
_TEXTS = ("text", "character varying")


@dataclass(frozen=True)
class Judgement:
    """``breaks``: replication will stop or lose values; ``risks``: it may, as the rows turn out; ``why`` in one clause."""

    verdict: Verdict
    why: str = ""


FITS = Judgement("fits")


def judge(change: Change) -> Judgement:
    """What a change that only the target has means for replication from the source."""
    rule = _RULES.get(change.name.kind)
    return rule(change) if rule else FITS


def stops(change: Change) -> bool:
    """Whether a change that only the source has stops replication, or leaves rows out, when a row says so."""
    if change.what == "recreated":
        return True
    if change.what == "created" and change.source is not None:
        if change.name.kind == "table":
            return change.source.facet("kind") == "r" and change.source.facet("persistence") == "p"
        return change.name.kind == "column" and not change.source.facets.get("generated")
    return False


def takes(target: str, source: str) -> bool:
    """Whether a column of the type ``target`` takes the text of every value of the type ``source``."""
    if target == source or target in _TEXTS:
        return True
    for order in (_INTEGERS, _FLOATS, _TIMES):
        if source in order and target in order:
            return order.index(source) <= order.index(target)
    if source in _INTEGERS and target == "numeric":
        return True
    wide, narrow = _SIZED.fullmatch(target), _SIZED.fullmatch(source)
    if narrow and target == narrow[1]:
        return True
    if wide and narrow and wide[1] == narrow[1]:
        return _holds(wide, narrow)
    return False


def _holds(wide: re.Match[str], narrow: re.Match[str]) -> bool:
    scales = int(wide[3] or 0), int(narrow[3] or 0)
    return scales[0] >= scales[1] and int(wide[2]) - scales[0] >= int(narrow[2]) - scales[1]


def _column(change: Change) -> Judgement:
    if change.what == "dropped":
        if change.source is not None and change.source.facets.get("generated"):
            return FITS
        return Judgement("breaks", "the rows that arrive have a value for it")
    if change.target is None:
        return FITS
    if change.what == "created":
        return _new_column(change.target)
    for facet in facets_changed(change):
        found = _facet(facet, change)
        if found.verdict != "fits":
            return found
    return FITS


def _new_column(column: SchemaObject) -> Judgement:
    filled = column.facets.get("default") or column.facets.get("generated") or column.facets.get("identity")
    if column.facets.get("not_null") and not filled:
        return Judgement("breaks", "it is NOT NULL without a default, and the rows that arrive have no value for it")
    return FITS


def _facet(facet: str, change: Change) -> Judgement:
    here, there = change.on_target, change.on_source
    if facet == "type" and not takes(here.facet("type"), there.facet("type")):
        return Judgement(
            "breaks", f"{here.facet('type')} does not take every value of {there.facet('type')}, which arrives as text"
        )
    if facet == "not_null" and here.facets["not_null"]:
        return Judgement("breaks", "it is NOT NULL here, and the rows that arrive may hold NULL")
    if facet == "generated" and here.facets["generated"]:
        return Judgement("breaks", "it is generated here, and the rows that arrive have a value for it")
    return FITS


def _table(change: Change) -> Judgement:
    if change.what == "dropped":
        return Judgement("breaks", "the rows that arrive for it have no place to go")
    if change.what == "recreated":
        return Judgement("breaks", "the rows that it had are gone")
    changed = facets_changed(change)
    if "persistence" in changed or "kind" in changed:
        return Judgement("breaks", "replication writes to permanent tables and partitions only")
    if "forced_row_security" in changed and change.target is not None and change.target.facets["forced_row_security"]:
        return Judgement("breaks", "row-level security that is forced stops replication")
    return FITS


def _constraint(change: Change) -> Judgement:
    if change.what == "dropped":
        kind = change.source.facet("_type") if change.source else ""
        return Judgement("breaks", "changed rows are found by it") if kind == "p" else FITS
    if change.target is None or change.target.facet("_type") == "f":  # not checked for what replication writes
        return FITS
    return Judgement("risks", "replication stops at the first row that violates it")


def _index(change: Change) -> Judgement:
    if change.target is not None and change.target.facets.get("_unique"):
        return Judgement("risks", "replication stops at the first row that violates it")
    return FITS


def _trigger(change: Change) -> Judgement:
    if change.target is not None and change.target.facet("enabled") in ("A", "R"):
        return Judgement("breaks", "it fires for what replication writes")
    return FITS


def _type(change: Change) -> Judgement:
    if change.what in ("dropped", "altered") and change.source is not None:
        labels = change.source.facets.get("labels") or []
        here = (change.target.facets.get("labels") or []) if change.target else []
        if labels and set(labels) <= set(here):
            return FITS
        return Judgement("risks", "replication stops at the first value that it does not take")
    return FITS


_RULES = {
    "column": _column,
    "table": _table,
    "constraint": _constraint,
    "index": _index,
    "trigger": _trigger,
    "type": _type,
}
