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
from dataclasses import dataclass
from typing import Literal

from .drift import Baseline, Change, facets_changed
from .drift_rules import takes
from .drift_tables import column_clause, create_table, grants, identifier, literal, owner, qualified, sequence_options
from .schema_catalog import ObjectName, Schema, SchemaObject

Phase = Literal["first", "last"]
_Part = tuple[Phase, str, str]  # phase, rank, statement

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
    return made(change, _Context(source, baseline))


@dataclass(frozen=True)
class _Context:
    source: Schema
    baseline: Baseline | None


def _steps(change: Change, *parts: _Part) -> Plan:
    """``parts`` are phase, rank and statement."""
    oid = int(change.source.facets.get("_oid") or 0) if change.source else 0
    return Plan(
        tuple(Step(phase, (_RANK.index(rank), oid), statement, change.name) for phase, rank, statement in parts)
    )


def _table(change: Change, context: _Context) -> Plan:
    name = qualified(change.name.schema, change.name.name)
    if change.what == "dropped":
        return _steps(change, ("last", "late drop", f"DROP TABLE {name}"))
    assert change.source is not None  # created or altered there
    if change.what == "created":
        return _new_table(change, change.source, context)
    parts: list[_Part] = []
    for facet in facets_changed(change):
        statement = _table_facet(facet, name, change)
        if statement is None:
            return Plan(by_hand=f"change its {facet.replace('_', ' ')} on the other side too")
        if " DETACH PARTITION " in statement:  # before its parent gets other columns
            parts.append(("first", "drop", statement))
        elif statement:
            parts.append(("last", "table", statement))
    return _steps(change, *parts)


def _new_table(change: Change, table: SchemaObject, context: _Context) -> Plan:
    refusal = {
        "is a foreign table": table.facet("kind") == "f",
        "inherits without being a partition": bool(table.facet("parent")) and not table.facet("bound"),
        "has row-level security, under which its rows cannot be copied": bool(table.facets["row_security"]),
    }
    for why, true in refusal.items():
        if true:
            return Plan(by_hand=f"it {why}: make it on the other side by hand, its rows too")
    made = create_table(change.name, table, context.source)
    return _steps(
        change,
        *(("first", "table", statement) for statement in made.first),
        *(("last", "constraint", statement) for statement in made.last),
    )


def _table_facet(facet: str, name: str, change: Change) -> str | None:
    """The statement for one property, empty when another one says it already, None when it does not follow."""
    assert change.source is not None and change.target is not None
    table = change.source
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
        if table.facet("bound") and not change.target.facet("parent"):
            return f"ALTER TABLE {table.facet('parent')} ATTACH PARTITION {name} {table.facet('bound')}"
        if change.target.facet("bound") and not table.facet("parent"):
            return f"ALTER TABLE {change.target.facet('parent')} DETACH PARTITION {name}"
    return None


def _column(change: Change, context: _Context) -> Plan:
    table = qualified(change.name.schema, change.name.table)
    column = identifier(change.name.name)
    alter = f"ALTER TABLE {table} ALTER COLUMN {column}"
    if change.what == "dropped":
        assert change.target is not None
        bare = bool(change.target.facets["not_null"]) and not change.target.facet("default")
        first: list[_Part] = [("first", "column", f"{alter} DROP NOT NULL")] if bare else []
        return _steps(change, *first, ("last", "late drop", f"ALTER TABLE {table} DROP COLUMN {column}"))
    assert change.source is not None
    if change.what == "created":
        return _new_column(change, change.source, context)
    parts: list[_Part] = []
    for facet in facets_changed(change):
        part = _column_facet(facet, alter, change)
        if part is None:
            return Plan(by_hand=f"make the same change of its {facet.replace('_', ' ')} on the other side")
        parts.append(part)
    return _steps(change, *parts)


def _column_facet(facet: str, alter: str, change: Change) -> _Part | None:
    assert change.source is not None and change.target is not None
    wanted = change.source.facets[facet]
    if facet == "default":
        return ("last", "column", f"{alter} SET DEFAULT {wanted}" if wanted else f"{alter} DROP DEFAULT")
    if facet == "not_null":
        return ("last", "column", f"{alter} SET NOT NULL") if wanted else ("first", "column", f"{alter} DROP NOT NULL")
    if facet == "type" and takes(str(wanted), change.target.facet("type")):
        return ("first", "column", f"{alter} TYPE {wanted}")
    return None


def _new_column(change: Change, column: SchemaObject, context: _Context) -> Plan:
    table = qualified(change.name.schema, change.name.table)
    name = identifier(change.name.name)
    add = f"ALTER TABLE {table} ADD COLUMN {column_clause(change.name.name, column, with_default=False)}"
    if column.facet("identity"):
        return Plan(
            by_hand="it numbers the rows that exist, on each side in another order: add it by hand, its values too"
        )
    if column.facets.get("generated"):
        return _steps(change, ("first", "column", add))
    existing = _value_before(column, context.baseline)
    if existing is None:
        return Plan(
            by_hand="what it holds in the rows that were there before does not follow from the catalog, because the table was "
            "written anew: add it by hand, its values too"
        )
    value = existing[0]
    alter = f"ALTER TABLE {table} ALTER COLUMN {name}"
    parts: list[_Part] = [("first", "column", add if value is None else f"{add} DEFAULT {literal(value)}")]
    default = column.facet("default")
    if default or value is not None:
        parts.append(("last", "column", f"{alter} SET DEFAULT {default}" if default else f"{alter} DROP DEFAULT"))
    if column.facets["not_null"]:
        parts.append(("last", "column", f"{alter} SET NOT NULL"))
    return _steps(change, *parts)


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


def _constraint(change: Change, _context: _Context) -> Plan:
    table = qualified(change.name.schema, change.name.table)
    drop = f"ALTER TABLE {table} DROP CONSTRAINT {identifier(change.name.name)}"
    if change.source is None:
        return _steps(change, ("first", "drop", drop))
    add = f"ALTER TABLE {table} ADD CONSTRAINT {identifier(change.name.name)} {change.source.facet('definition')}"
    before: list[_Part] = [] if change.target is None else [("first", "drop", drop)]
    if before and change.source.facet("_type") == "p":
        return Plan(by_hand="replication finds rows by it: change it on the other side while nothing is written")
    return _steps(change, *before, ("last", "constraint", add))


def _index(change: Change, _context: _Context) -> Plan:
    drop = f"DROP INDEX {qualified(change.name.schema, change.name.name)}"
    if change.source is None:
        return _steps(change, ("first", "drop", drop))
    if not change.source.facets["valid"]:
        return Plan(by_hand="it is not valid: finish or drop it where it was made")
    before: list[_Part] = [] if change.target is None else [("first", "drop", drop)]
    create = change.source.facet("definition").replace(" ON ONLY ", " ON ", 1)
    return _steps(change, *before, ("last", "index", create))


def _sequence(change: Change, _context: _Context) -> Plan:
    name = qualified(change.name.schema, change.name.name)
    if change.source is None:
        return _steps(change, ("last", "late drop", f"DROP SEQUENCE {name}"))
    options = sequence_options(change.source)
    if change.target is not None:
        return _steps(change, ("first", "sequence", f"ALTER SEQUENCE {name} {options}"))
    belongs = change.source.facets.get("owned_by")
    owned: list[_Part] = []
    if belongs:
        column = f"{qualified(*belongs[:2])}.{identifier(belongs[2])}"
        owned.append(("last", "column", f"ALTER SEQUENCE {name} OWNED BY {column}"))
    return _steps(
        change,
        ("first", "sequence", f"CREATE SEQUENCE {name} {options}"),
        *(("first", "sequence", statement) for statement in owner("SEQUENCE", name, change.source)),
        *(("first", "sequence", statement) for statement in grants("SEQUENCE", name, change.source)),
        *owned,
    )


def _view(change: Change, _context: _Context) -> Plan:
    name = qualified(change.name.schema, change.name.name)
    if change.source is None:
        return _steps(change, ("first", "drop", f"DROP VIEW {name}"))
    options = change.source.facet("options")
    with_options = f" WITH ({options})" if options else ""
    define = f"CREATE OR REPLACE VIEW {name}{with_options} AS {change.source.facet('definition')}"
    return _steps(
        change,
        ("last", "view", define.rstrip("; \n")),
        *(("last", "view", statement) for statement in _belongings("VIEW", name, change)),
    )


def _materialized_view(change: Change, _context: _Context) -> Plan:
    name = qualified(change.name.schema, change.name.name)
    if change.source is None:
        return _steps(change, ("first", "drop", f"DROP MATERIALIZED VIEW {name}"))
    if change.target is not None:
        return Plan(by_hand="drop it on the other side too and make it anew")
    define = f"CREATE MATERIALIZED VIEW {name} AS {change.source.facet('definition')}".rstrip("; \n")
    return _steps(
        change,
        ("last", "materialized view", define),
        *(("last", "materialized view", statement) for statement in _belongings("MATERIALIZED VIEW", name, change)),
    )


def _function(change: Change, _context: _Context) -> Plan:
    one = change.source or change.target
    assert one is not None
    if one.facets.get("aggregate"):
        return Plan(by_hand="make the same change of the aggregate on the other side")
    kind = "PROCEDURE" if one.facets.get("_procedure") else "FUNCTION"
    bare, _paren, arguments = change.name.name.partition("(")
    name = f"{qualified(change.name.schema, bare)}({arguments}"
    if change.source is None:
        return _steps(change, ("last", "late drop", f"DROP {kind} {name}"))
    when: tuple[Phase, str] = ("last", "view") if change.source.facets["_atomic"] else ("first", "function")
    return _steps(
        change,
        (*when, change.source.facet("definition").rstrip()),
        *((*when, statement) for statement in _belongings(kind, name, change)),
    )


def _trigger(change: Change, _context: _Context) -> Plan:
    table = qualified(change.name.schema, change.name.table)
    name = identifier(change.name.name)
    drop = f"DROP TRIGGER {name} ON {table}"
    if change.source is None:
        return _steps(change, ("first", "drop", drop))
    enabled = change.source.facet("enabled")
    if enabled in ("A", "R"):
        return Plan(by_hand="it would fire for what replication writes: make it an ordinary trigger where it was made")
    before: list[_Part] = [] if change.target is None else [("first", "drop", drop)]
    disable: list[_Part] = (
        [("last", "trigger", f"ALTER TABLE {table} DISABLE TRIGGER {name}")] if enabled == "D" else []
    )
    return _steps(change, *before, ("last", "trigger", change.source.facet("definition")), *disable)


def _type(change: Change, _context: _Context) -> Plan:
    name = qualified(change.name.schema, change.name.name)
    labels = list((change.source.facets.get("labels") if change.source else None) or [])
    if not labels or change.source is None:
        return Plan(by_hand="make the same change of the type on the other side")
    if change.target is None:
        listed = ", ".join(literal(label) for label in labels)
        return _steps(
            change,
            ("first", "type", f"CREATE TYPE {name} AS ENUM ({listed})"),
            *(("first", "type", statement) for statement in owner("TYPE", name, change.source)),
        )
    known = list(change.target.facets.get("labels") or [])
    if [label for label in labels if label in known] != known:
        return Plan(by_hand="values were renamed or removed: make the same change on the other side")
    parts: list[_Part] = []
    for place, label in enumerate(labels):
        if label not in known:
            after = f" AFTER {literal(labels[place - 1])}" if place else f" BEFORE {literal(known[0])}"
            parts.append(("first", "type", f"ALTER TYPE {name} ADD VALUE {literal(label)}{after}"))
    return _steps(change, *parts)


def _schema(change: Change, _context: _Context) -> Plan:
    name = identifier(change.name.name)
    if change.source is None:
        return _steps(change, ("last", "late drop", f"DROP SCHEMA {name}"))
    created = f"CREATE SCHEMA {name} AUTHORIZATION {identifier(change.source.facet('_owner'))}"
    return _steps(
        change,
        ("first", "schema", created),
        *(("first", "schema", statement) for statement in grants("SCHEMA", name, change.source)),
    )


def _statistics(change: Change, _context: _Context) -> Plan:
    drop = f"DROP STATISTICS {qualified(change.name.schema, change.name.name)}"
    before: list[_Part] = [("first", "drop", drop)] if change.target is not None else []
    if change.source is None:
        return _steps(change, *before)
    return _steps(change, *before, ("last", "statistics", change.source.facet("definition")))


def _belongings(kind: str, name: str, change: Change) -> list[str]:
    """Owner and grants of what is made new."""
    if change.target is not None or change.source is None:
        return []
    return [*owner(kind, name, change.source), *grants(kind, name, change.source)]


_MAKERS: Mapping[str, Callable[[Change, _Context], Plan]] = {
    "table": _table,
    "column": _column,
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
