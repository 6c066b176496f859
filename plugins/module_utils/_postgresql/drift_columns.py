# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.


"""What makes a column of the target as it is on the source. Pure."""

from __future__ import annotations

from .drift import Baseline, Change, facets_changed
from .drift_rules import takes
from .drift_steps import Context, Part, Plan, steps
from .drift_tables import column_clause, identifier, literal, qualified
from .schema_catalog import SchemaObject


def plan_column(change: Change, context: Context) -> Plan:
    """The plan for one column that is not in step."""
    table = qualified(change.name.schema, change.name.table)
    column = identifier(change.name.name)
    alter = f"ALTER TABLE {table} ALTER COLUMN {column}"
    if change.what == "dropped":
        bare = bool(change.on_target.facets["not_null"]) and not change.on_target.facet("default")
        first: list[Part] = [("first", "column", f"{alter} DROP NOT NULL")] if bare else []
        return steps(change, *first, ("last", "late drop", f"ALTER TABLE {table} DROP COLUMN {column}"))
    if change.what == "created":
        return _new_column(change, change.on_source, context)
    parts: list[Part] = []
    for facet in facets_changed(change):
        part = _column_facet(facet, alter, change)
        if part is None:
            return Plan(by_hand=f"make the same change of its {facet.replace('_', ' ')} on the other side")
        parts.append(part)
    return steps(change, *parts)


def _column_facet(facet: str, alter: str, change: Change) -> Part | None:
    wanted = change.on_source.facets[facet]
    if facet == "default":
        return ("last", "column", f"{alter} SET DEFAULT {wanted}" if wanted else f"{alter} DROP DEFAULT")
    if facet == "not_null":
        return ("last", "column", f"{alter} SET NOT NULL") if wanted else ("first", "column", f"{alter} DROP NOT NULL")
    if facet == "type" and takes(str(wanted), change.on_target.facet("type")):
        return ("first", "column", f"{alter} TYPE {wanted}")
    return None


def _new_column(change: Change, column: SchemaObject, context: Context) -> Plan:
    table = qualified(change.name.schema, change.name.table)
    name = identifier(change.name.name)
    add = f"ALTER TABLE {table} ADD COLUMN {column_clause(change.name.name, column, with_default=False)}"
    if column.facet("identity"):
        return Plan(
            by_hand="it numbers the rows that exist, on each side in another order: add it by hand, its values too"
        )
    if column.facets.get("generated"):
        return steps(change, ("first", "column", add))
    existing = _value_before(column, context.baseline)
    if existing is None:
        return Plan(
            by_hand="what it holds in the rows that were there before does not follow from the catalog, because the table was "
            "written anew: add it by hand, its values too"
        )
    value = existing[0]
    alter = f"ALTER TABLE {table} ALTER COLUMN {name}"
    parts: list[Part] = [("first", "column", add if value is None else f"{add} DEFAULT {literal(value)}")]
    default = column.facet("default")
    if default or value is not None:
        parts.append(("last", "column", f"{alter} SET DEFAULT {default}" if default else f"{alter} DROP DEFAULT"))
    if column.facets["not_null"]:
        parts.append(("last", "column", f"{alter} SET NOT NULL"))
    return steps(change, *parts)


def _value_before(column: SchemaObject, baseline: Baseline | None) -> tuple[str | None] | None:
    """What the rows that were there before hold, as ``(text or None,)``; None when that is not known.

    The server keeps it when it was a constant DEFAULT; when it keeps nothing, it is NULL unless the table has been written anew
    since, which another file tells. A table that is younger than the baseline is copied as a whole.
    """
    files = baseline.filenodes if baseline else {}
    found: set[str | None] = set()
    for table, kept, value, file in column.facets.get("_before") or []:
        if kept:
            found.add(value)
        elif table in files:
            if file != files[table]:
                return None
            found.add(None)
    if len(found) > 1 or baseline is None:
        return None
    return (found.pop() if found else None,)
