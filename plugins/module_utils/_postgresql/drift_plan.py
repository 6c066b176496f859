# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The statements that make the target as the source, for the changes from which they follow. Pure.

Two phases, because the target is behind: rows from before a change are still to come. ``first`` is what lets every row in, old
or new; ``last``, when everything has arrived, is what only the new rows comply with, and what only the old ones needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .drift import Baseline, Change, facets_changed
from .drift_columns import plan_column
from .drift_steps import Context, Part, Phase, Plan, steps
from .drift_tables import create_table, grants, identifier, literal, owner, qualified, sequence_options
from .schema_catalog import Schema, SchemaObject


def plan(change: Change, source: Schema, baseline: Baseline | None) -> Plan:
    """How to make the target as the source in this one thing; ``baseline`` is the source's."""
    if change.by == "target":
        return Plan(by_hand="it was changed on purpose; declare it in expected_differences, or undo it")
    if change.by == "both":
        return Plan(by_hand="it was changed on both sides in different ways: make both the same")
    if change.what == "recreated":
        return Plan(
            by_hand="its rows are others now: drop it on the other side too, where it is still the old one, and it is made anew"
        )
    made = _MAKERS.get(change.name.kind)
    if made is None:
        return Plan(by_hand=f"make the same change of the {change.name.kind} on the other side")
    return made(change, Context(source, baseline))


def _table(change: Change, context: Context) -> Plan:
    name = qualified(change.name.schema, change.name.name)
    if change.what == "dropped":
        return steps(change, ("last", "late drop", f"DROP TABLE {name}"))
    if change.what == "created":
        return _new_table(change, change.on_source, context)
    parts: list[Part] = []
    for facet in facets_changed(change):
        statement = _table_facet(facet, name, change)
        if statement is None:
            return Plan(by_hand=f"change its {facet.replace('_', ' ')} on the other side too")
        if " DETACH PARTITION " in statement:  # before its parent gets other columns
            parts.append(("first", "drop", statement))
        elif statement:
            parts.append(("last", "table", statement))
    return steps(change, *parts)


def _new_table(change: Change, table: SchemaObject, context: Context) -> Plan:
    refusal = {
        "is a foreign table": table.facet("kind") == "f",
        "inherits without being a partition": bool(table.facet("parent")) and not table.facet("bound"),
        "has row-level security, under which its rows cannot be copied": bool(table.facets["row_security"]),
    }
    for why, true in refusal.items():
        if true:
            return Plan(by_hand=f"it {why}: make it on the other side by hand, its rows too")
    made = create_table(change.name, table, context.source)
    return steps(
        change,
        *(("first", "table", statement) for statement in made.first),
        *(("last", "constraint", statement) for statement in made.last),
    )


def _table_facet(facet: str, name: str, change: Change) -> str | None:
    """The statement for one property, empty when another one says it already, None when it does not follow."""
    table = change.on_source
    if facet in ("replica_identity", "identity_index"):
        kind = table.facet("replica_identity")
        if facet == "identity_index" and kind != "i":
            return ""
        index = identifier(table.facet("identity_index"))
        word = {"d": "DEFAULT", "f": "FULL", "n": "NOTHING", "i": f"USING INDEX {index}"}[kind]
        return f"ALTER TABLE {name} REPLICA IDENTITY {word}"
    if facet == "row_security":
        return f"ALTER TABLE {name} {'ENABLE' if table.facets[facet] else 'DISABLE'} ROW LEVEL SECURITY"
    if facet == "bound" and "parent" in facets_changed(change):
        return ""
    if facet == "parent":
        if table.facet("bound") and not change.on_target.facet("parent"):
            return f"ALTER TABLE {table.facet('parent')} ATTACH PARTITION {name} {table.facet('bound')}"
        if change.on_target.facet("bound") and not table.facet("parent"):
            return f"ALTER TABLE {change.on_target.facet('parent')} DETACH PARTITION {name}"
    return None


def _constraint(change: Change, _context: Context) -> Plan:
    table = qualified(change.name.schema, change.name.table)
    drop = f"ALTER TABLE {table} DROP CONSTRAINT {identifier(change.name.name)}"
    if change.source is None:
        return steps(change, ("first", "drop", drop))
    add = f"ALTER TABLE {table} ADD CONSTRAINT {identifier(change.name.name)} {change.source.facet('definition')}"
    before: list[Part] = [] if change.target is None else [("first", "drop", drop)]
    if before and change.source.facet("_type") == "p":
        return Plan(by_hand="replication finds rows by it: change it on the other side while nothing is written")
    return steps(change, *before, ("last", "constraint", add))


def _index(change: Change, _context: Context) -> Plan:
    drop = f"DROP INDEX {qualified(change.name.schema, change.name.name)}"
    if change.source is None:
        return steps(change, ("first", "drop", drop))
    if not change.source.facets["valid"]:
        return Plan(by_hand="it is not valid: finish or drop it where it was made")
    before: list[Part] = [] if change.target is None else [("first", "drop", drop)]
    create = change.source.facet("definition").replace(" ON ONLY ", " ON ", 1)
    return steps(change, *before, ("last", "index", create))


def _sequence(change: Change, _context: Context) -> Plan:
    name = qualified(change.name.schema, change.name.name)
    if change.source is None:
        return steps(change, ("last", "late drop", f"DROP SEQUENCE {name}"))
    options = sequence_options(change.source)
    if change.target is not None:
        return steps(change, ("first", "sequence", f"ALTER SEQUENCE {name} {options}"))
    belongs = change.source.facets.get("owned_by")
    owned: list[Part] = []
    if belongs:
        column = f"{qualified(*belongs[:2])}.{identifier(belongs[2])}"
        owned.append(("last", "column", f"ALTER SEQUENCE {name} OWNED BY {column}"))
    return steps(
        change,
        ("first", "sequence", f"CREATE SEQUENCE {name} {options}"),
        *(("first", "sequence", statement) for statement in owner("SEQUENCE", name, change.source)),
        *(("first", "sequence", statement) for statement in grants("SEQUENCE", name, change.source)),
        *owned,
    )


def _view(change: Change, _context: Context) -> Plan:
    name = qualified(change.name.schema, change.name.name)
    if change.source is None:
        return steps(change, ("first", "drop", f"DROP VIEW {name}"))
    options = change.source.facet("options")
    with_options = f" WITH ({options})" if options else ""
    define = f"CREATE OR REPLACE VIEW {name}{with_options} AS {change.source.facet('definition')}"
    return steps(
        change,
        ("last", "view", define.rstrip("; \n")),
        *(("last", "view", statement) for statement in _belongings("VIEW", name, change)),
    )


def _materialized_view(change: Change, _context: Context) -> Plan:
    name = qualified(change.name.schema, change.name.name)
    if change.source is None:
        return steps(change, ("first", "drop", f"DROP MATERIALIZED VIEW {name}"))
    if change.target is not None:
        return Plan(by_hand="drop it on the other side too and make it anew")
    define = f"CREATE MATERIALIZED VIEW {name} AS {change.source.facet('definition')}".rstrip("; \n")
    return steps(
        change,
        ("last", "materialized view", define),
        *(("last", "materialized view", statement) for statement in _belongings("MATERIALIZED VIEW", name, change)),
    )


def _function(change: Change, _context: Context) -> Plan:
    one = change.source or change.on_target
    if one.facets.get("aggregate"):
        return Plan(by_hand="make the same change of the aggregate on the other side")
    kind = "PROCEDURE" if one.facets.get("_procedure") else "FUNCTION"
    bare, _paren, arguments = change.name.name.partition("(")
    name = f"{qualified(change.name.schema, bare)}({arguments}"
    if change.source is None:
        return steps(change, ("last", "late drop", f"DROP {kind} {name}"))
    when: tuple[Phase, str] = ("last", "view") if change.source.facets["_atomic"] else ("first", "function")
    return steps(
        change,
        (*when, change.source.facet("definition").rstrip()),
        *((*when, statement) for statement in _belongings(kind, name, change)),
    )


def _trigger(change: Change, _context: Context) -> Plan:
    table = qualified(change.name.schema, change.name.table)
    name = identifier(change.name.name)
    drop = f"DROP TRIGGER {name} ON {table}"
    if change.source is None:
        return steps(change, ("first", "drop", drop))
    enabled = change.source.facet("enabled")
    if enabled in ("A", "R"):
        return Plan(by_hand="it would fire for what replication writes: make it an ordinary trigger where it was made")
    before: list[Part] = [] if change.target is None else [("first", "drop", drop)]
    disable: list[Part] = [("last", "trigger", f"ALTER TABLE {table} DISABLE TRIGGER {name}")] if enabled == "D" else []
    return steps(change, *before, ("last", "trigger", change.source.facet("definition")), *disable)


def _type(change: Change, _context: Context) -> Plan:
    name = qualified(change.name.schema, change.name.name)
    labels = list((change.source.facets.get("labels") if change.source else None) or [])
    if not labels or change.source is None:
        return Plan(by_hand="make the same change of the type on the other side")
    if change.target is None:
        listed = ", ".join(literal(label) for label in labels)
        return steps(
            change,
            ("first", "type", f"CREATE TYPE {name} AS ENUM ({listed})"),
            *(("first", "type", statement) for statement in owner("TYPE", name, change.source)),
        )
    known = list(change.target.facets.get("labels") or [])
    if [label for label in labels if label in known] != known:
        return Plan(by_hand="values were renamed or removed: make the same change on the other side")
    parts: list[Part] = []
    for place, label in enumerate(labels):
        if label not in known:
            after = f" AFTER {literal(labels[place - 1])}" if place else f" BEFORE {literal(known[0])}"
            parts.append(("first", "type", f"ALTER TYPE {name} ADD VALUE {literal(label)}{after}"))
    return steps(change, *parts)


def _schema(change: Change, _context: Context) -> Plan:
    name = identifier(change.name.name)
    if change.source is None:
        return steps(change, ("last", "late drop", f"DROP SCHEMA {name}"))
    created = f"CREATE SCHEMA {name} AUTHORIZATION {identifier(change.source.facet('_owner'))}"
    return steps(
        change,
        ("first", "schema", created),
        *(("first", "schema", statement) for statement in grants("SCHEMA", name, change.source)),
    )


def _statistics(change: Change, _context: Context) -> Plan:
    drop = f"DROP STATISTICS {qualified(change.name.schema, change.name.name)}"
    before: list[Part] = [("first", "drop", drop)] if change.target is not None else []
    if change.source is None:
        return steps(change, *before)
    return steps(change, *before, ("last", "statistics", change.source.facet("definition")))


def _belongings(kind: str, name: str, change: Change) -> list[str]:
    """Owner and grants of what is made new."""
    if change.target is not None or change.source is None:
        return []
    return [*owner(kind, name, change.source), *grants(kind, name, change.source)]


_MAKERS: Mapping[str, Callable[[Change, Context], Plan]] = {
    "table": _table,
    "column": plan_column,
    "constraint": _constraint,
    "index": _index,
    "sequence": _sequence,
    "view": _view,
    "materialized view": _materialized_view,
    "function": _function,
    "trigger": _trigger,
    "type": _type,
    "schema": _schema,
    "statistics": _statistics,
}
