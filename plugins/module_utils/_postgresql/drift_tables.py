# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The words of SQL in which an object of the catalog is made again elsewhere. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .drift import owner_of
from .schema_catalog import ObjectName, Schema, SchemaObject

_EVERYBODY = "PUBLIC"
_ON = {"MATERIALIZED VIEW": "TABLE", "VIEW": "TABLE"}


@dataclass(frozen=True)
class NewTable:
    """Statements that make a table: ``first`` so that rows can be copied into it, ``last`` when they have arrived."""

    first: tuple[str, ...]
    last: tuple[str, ...]


def identifier(name: str) -> str:
    """A name, always quoted."""
    return '"' + name.replace('"', '""') + '"'


def qualified(schema: str, name: str) -> str:
    """A name with its schema."""
    return f"{identifier(schema)}.{identifier(name)}"


def literal(text: str) -> str:
    """A text as a constant, whatever standard_conforming_strings says."""
    quoted = text.replace("'", "''")
    return f"'{quoted}'" if "\\" not in quoted else "E'" + quoted.replace("\\", "\\\\") + "'"


def owner(kind: str, name: str, one: SchemaObject) -> list[str]:
    """Give the object to its owner."""
    return [f"ALTER {kind} {name} OWNER TO {identifier(one.facet('_owner'))}"]


def grants(kind: str, name: str, one: SchemaObject) -> list[str]:
    """Grant on the object what was granted on its model."""
    made = []
    for role, privilege, grantable in one.facets.get("_grants") or []:
        to = identifier(role) if role else _EVERYBODY
        option = " WITH GRANT OPTION" if grantable else ""
        made.append(f"GRANT {privilege} ON {_ON.get(kind, kind)} {name} TO {to}{option}")
    return made


def sequence_options(one: SchemaObject, *, typed: bool = True) -> str:
    """A sequence's options as CREATE SEQUENCE takes them; an identity column's has the column's type."""
    facets = one.facets
    kind = f"AS {facets['type']} " if typed else ""
    return (
        f"{kind}START WITH {facets['start']} INCREMENT BY {facets['increment']} MINVALUE {facets['minimum']} "
        f"MAXVALUE {facets['maximum']} CACHE {facets['cache']} {'CYCLE' if facets['cycle'] else 'NO CYCLE'}"
    )


def column_clause(name: str, column: SchemaObject, *, with_default: bool, sequence: str = "") -> str:
    """A column as CREATE TABLE takes it; NOT NULL and DEFAULT only ``with_default``."""
    words = [identifier(name), column.facet("type")]
    if column.facet("collation"):
        words.append(f"COLLATE {column.facet('collation')}")
    generated = column.facet("generated")
    if generated:
        kind, _space, expression = generated.partition(" ")
        words.append(f"GENERATED ALWAYS AS ({expression}) {'STORED' if kind == 's' else 'VIRTUAL'}")
    if with_default:
        if column.facet("default"):
            words.append(f"DEFAULT {column.facet('default')}")
        if column.facet("identity"):
            when = "ALWAYS" if column.facet("identity") == "a" else "BY DEFAULT"
            words.append(f"GENERATED {when} AS IDENTITY{sequence}")
        if column.facets["not_null"]:
            words.append("NOT NULL")
    return " ".join(words)


def create_table(name: ObjectName, table: SchemaObject, source: Schema) -> NewTable:
    """Everything that a new table or partition needs, from its sequences to its grants."""
    here = qualified(name.schema, name.name)
    mine = [one for one in source.values() if one.name.schema == name.schema and one.name.table == name.name]
    sequences = [one for one in source.values() if owner_of(one) == (name.schema, name.name)]
    columns = sorted((c for c in mine if c.name.kind == "column"), key=lambda c: int(c.facets["_identity"]))
    serial = [one for one in sequences if not _is_identity(one, columns)]
    first = [f"CREATE SEQUENCE {_name(one)} {sequence_options(one)}" for one in serial]
    first.append(_create(here, table, columns, sequences))
    for one in serial:
        first += owner("SEQUENCE", _name(one), one)
        first.append(f"ALTER SEQUENCE {_name(one)} OWNED BY {here}.{identifier(one.facets['owned_by'][2])}")
        first += grants("SEQUENCE", _name(one), one)
    first += owner("TABLE", here, table) + grants("TABLE", here, table)
    first += [_constraint(here, one) for one in _constraints(mine) if one.facet("_type") != "f"]
    first += [one.facet("definition").replace(" ON ONLY ", " ON ", 1) for one in mine if one.name.kind == "index"]
    first += _replica_identity(here, table)
    last = [_constraint(here, one) for one in _constraints(mine) if one.facet("_type") == "f"]
    for one in mine:
        if one.name.kind == "trigger":
            last += _trigger(here, one)
    return NewTable(tuple(first), tuple(last))


def _create(here: str, table: SchemaObject, columns: list[SchemaObject], sequences: list[SchemaObject]) -> str:
    unlogged = "UNLOGGED " if table.facet("persistence") == "u" else ""
    partitioned = f" PARTITION BY {table.facet('partition_key')}" if table.facet("partition_key") else ""
    if table.facet("bound"):
        return f"CREATE {unlogged}TABLE {here} PARTITION OF {table.facet('parent')} {table.facet('bound')}{partitioned}"
    by_column = {one.facets["owned_by"][2]: one for one in sequences}
    clauses = []
    for column in columns:
        sequence = by_column.get(column.name.name)
        options = f" (SEQUENCE NAME {_name(sequence)} {sequence_options(sequence, typed=False)})" if sequence else ""
        clauses.append(column_clause(column.name.name, column, with_default=True, sequence=options))
    return f"CREATE {unlogged}TABLE {here} ({', '.join(clauses)}){partitioned}"


def _is_identity(sequence: SchemaObject, columns: list[SchemaObject]) -> bool:
    column = sequence.facets["owned_by"][2]
    return any(one.name.name == column and one.facet("identity") for one in columns)


def _constraints(mine: list[SchemaObject]) -> Iterator[SchemaObject]:
    return (one for one in mine if one.name.kind == "constraint")


def _constraint(here: str, one: SchemaObject) -> str:
    return f"ALTER TABLE {here} ADD CONSTRAINT {identifier(one.name.name)} {one.facet('definition')}"


def _replica_identity(here: str, table: SchemaObject) -> list[str]:
    kind = table.facet("replica_identity")
    if kind == "d":
        return []
    word = {"f": "FULL", "n": "NOTHING", "i": f"USING INDEX {identifier(table.facet('identity_index'))}"}[kind]
    return [f"ALTER TABLE {here} REPLICA IDENTITY {word}"]


def _trigger(here: str, one: SchemaObject) -> list[str]:
    made = [one.facet("definition")]
    if one.facet("enabled") == "D":
        made.append(f"ALTER TABLE {here} DISABLE TRIGGER {identifier(one.name.name)}")
    return made


def _name(one: SchemaObject) -> str:
    return qualified(one.name.schema, one.name.name)
