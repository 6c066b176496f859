# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What a schema holds beside rows: how its tables are defined, its views, triggers, routines and events, and what differs.

Everything comes from information_schema, in the words of the newest version: integers without a display width, ``utf8mb3``
for ``utf8``. What a version does not know (check constraints, invisible columns) is compared only when both sides do.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .._core.differences import ExpectedDifferences
from .connection import dicts, value
from .verify_rules import NO_DATABASE
from .verify_table import modern

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

_OLD_NAME = re.compile(r"(?<![A-Za-z0-9])(_?)utf8(?![A-Za-z0-9])")
_WIDTH = re.compile(r"\b(tinyint|smallint|mediumint|int|bigint|year)\(\d+\)(?! unsigned zerofill)")
_DISABLED_HERE = ("SLAVESIDE_DISABLED", "REPLICA_SIDE_DISABLED")
_SHOWN = 60  # characters of a value that is quoted


@dataclass(frozen=True, order=True)
class Object:
    """Something that is defined: ``table`` is the table it belongs to, ``kind`` the word for it."""

    table: str
    kind: str
    name: str

    def __str__(self) -> str:
        if self.kind == "schema":
            return "the schema"
        return f"{self.kind} {self.name}" if self.table in ("", self.name) else f"{self.table}: {self.kind} {self.name}"


@dataclass(frozen=True)
class Definitions:
    """``objects``: what each is like, by the words for it; ``kinds``: those that the server knows."""

    objects: Mapping[Object, Mapping[str, Any]]
    kinds: frozenset[str]


@dataclass(frozen=True)
class _Query:
    """How objects of one kind are read: columns ``t`` and ``n`` are the table and the name, the others what they are like."""

    kind: str
    statement: str
    since: str | None = None  # a table of information_schema that has to be there
    optional: Mapping[str, str] | None = None  # column of the table that may be missing -> its name in the result


_QUERIES = (
    _Query(
        "schema",
        "SELECT '' AS t, schema_name AS n, default_character_set_name AS `character set`, default_collation_name AS collation"
        " FROM information_schema.schemata WHERE schema_name = %s",
    ),
    _Query(
        "table",
        "SELECT table_name AS t, table_name AS n, engine, table_collation AS collation FROM information_schema.tables"
        " WHERE table_schema = %s AND table_type = 'BASE TABLE'",
    ),
    _Query(
        "column",
        "SELECT table_name AS t, column_name AS n, column_type AS type, is_nullable AS nullable, column_default AS `default`,"
        " extra, character_set_name AS `character set`, collation_name AS collation, generation_expression AS expression"
        "{optional} FROM information_schema.columns WHERE table_schema = %s AND table_name IN"
        " (SELECT table_name FROM information_schema.tables WHERE table_schema = %s AND table_type = 'BASE TABLE')",
        "columns",
        {"srs_id": "spatial reference system"},
    ),
    _Query(
        "index",
        "SELECT table_name AS t, index_name AS n, MAX(non_unique) AS `non-unique`, MAX(index_type) AS type,"
        " GROUP_CONCAT(CONCAT(COALESCE(column_name, '()'), COALESCE(CONCAT('(', sub_part, ')'), ''),"
        " IF(collation = 'D', ' DESC', '')) ORDER BY seq_in_index) AS columns{optional}"
        " FROM information_schema.statistics WHERE table_schema = %s GROUP BY table_name, index_name",
        "statistics",
        {"is_visible": "visible", "expression": "expressions"},
    ),
    _Query(
        "foreign key",
        "SELECT k.table_name AS t, k.constraint_name AS n, MAX(r.update_rule) AS `ON UPDATE`, MAX(r.delete_rule) AS `ON DELETE`,"
        " GROUP_CONCAT(CONCAT(k.column_name, ' -> ', k.referenced_table_schema, '.', k.referenced_table_name, '.',"
        " k.referenced_column_name) ORDER BY k.ordinal_position) AS columns"
        " FROM information_schema.key_column_usage AS k JOIN information_schema.referential_constraints AS r"
        " ON r.constraint_schema = k.constraint_schema AND r.constraint_name = k.constraint_name"
        " WHERE k.constraint_schema = %s AND k.referenced_table_name IS NOT NULL GROUP BY k.table_name, k.constraint_name",
    ),
    _Query(
        "check",
        "SELECT t.table_name AS t, t.constraint_name AS n, c.check_clause AS clause, t.enforced"
        " FROM information_schema.table_constraints AS t JOIN information_schema.check_constraints AS c"
        " ON c.constraint_schema = t.constraint_schema AND c.constraint_name = t.constraint_name"
        " WHERE t.constraint_schema = %s AND t.constraint_type = 'CHECK'",
        "check_constraints",
    ),
    _Query(
        "partition",
        "SELECT table_name AS t, CONCAT_WS('/', partition_name, subpartition_name) AS n, partition_method AS method,"
        " partition_expression AS expression, partition_description AS description, subpartition_method AS submethod,"
        " subpartition_expression AS subexpression FROM information_schema.partitions"
        " WHERE table_schema = %s AND partition_name IS NOT NULL",
    ),
    _Query(
        "view",
        "SELECT table_name AS t, table_name AS n, view_definition AS definition, check_option, definer, security_type,"
        " collation_connection FROM information_schema.views WHERE table_schema = %s",
    ),
    _Query(
        "trigger",
        "SELECT event_object_table AS t, trigger_name AS n, action_timing AS timing, event_manipulation AS event,"
        " action_statement AS definition, action_order AS `order`, definer, sql_mode, collation_connection"
        " FROM information_schema.triggers WHERE trigger_schema = %s",
    ),
    _Query(
        "routine",
        "SELECT '' AS t, CONCAT(routine_name, ' (', LOWER(routine_type), ')') AS n, routine_definition AS definition,"
        " dtd_identifier AS `return type`, is_deterministic AS `deterministic`, sql_data_access, security_type, definer, sql_mode,"
        " (SELECT GROUP_CONCAT(CONCAT_WS(' ', p.parameter_mode, p.parameter_name, p.dtd_identifier) ORDER BY p.ordinal_position)"
        " FROM information_schema.parameters AS p WHERE p.specific_schema = r.routine_schema"
        " AND p.specific_name = r.specific_name AND p.routine_type = r.routine_type) AS parameters"
        " FROM information_schema.routines AS r WHERE routine_schema = %s",
    ),
    _Query(
        "event",
        "SELECT '' AS t, event_name AS n, event_definition AS definition, event_type AS type, execute_at, interval_value,"
        " interval_field, starts, ends, on_completion, status, definer, sql_mode, time_zone"
        " FROM information_schema.events WHERE event_schema = %s",
    ),
)


@dataclass(frozen=True)
class Findings:
    """How many objects were compared, what differs in words, and what is only worth knowing."""

    compared: int
    different: list[str]
    warnings: list[str]


def read(conn: Connection[Cursor], schema: str) -> Definitions:
    """Every definition of a schema."""
    found: dict[Object, dict[str, Any]] = {}
    kinds = set()
    for query in _QUERIES:
        if query.since and not _has(conn, query.since):
            continue
        kinds.add(query.kind)
        for row in dicts(conn, *_statement(conn, query, schema)):
            table, name = str(row.pop("t")), str(row.pop("n"))
            words = {word.lower(): content for word, content in row.items()}  # 8.0 has its own names in capitals
            found[Object(table, query.kind, name)] = {word: _said(word, content) for word, content in words.items()}
    return Definitions(found, frozenset(kinds))


def compare(
    schema: str,
    blue: Definitions,
    green: Definitions,
    expected: ExpectedDifferences,
    left_out: Callable[[str], bool],
) -> Findings:
    """What is not defined alike, but for what is declared and for tables that ``left_out`` names (``schema.table``)."""
    kinds = blue.kinds & green.kinds
    different, warnings, compared = [], [], 0
    for one in sorted(blue.objects.keys() | green.objects.keys()):
        if one.kind not in kinds or _declared(schema, one, expected, left_out):
            continue
        compared += 1
        here, there = blue.objects.get(one), green.objects.get(one)
        if here is None or there is None:
            different.append(f"{schema}: {one} is not on {'blue' if here is None else 'green'}")
            continue
        if one.kind == "event" and _only_disabled(here, there):
            warnings.append(
                f"{schema}: {one} was made after the clone, so that it is disabled on one side: enable it on green after the "
                "switchover"
            )
            continue
        different += [
            f"{schema}: {one} has {word} {_quote(here[word])} on blue, but {_quote(there[word])} on green"
            for word in here
            if word in there and here[word] != there[word]
        ]
    return Findings(compared, different, warnings)


def labels(definitions: Definitions, schema: str) -> set[str]:
    """Everything that a declared difference may name, as ``schema.name``."""
    return {f"{schema}.{_plain(one)}" for one in definitions.objects if one.kind not in ("column", "partition")}


def _plain(one: Object) -> str:
    return one.name.rpartition(" (")[0] if one.kind == "routine" else one.name


def _declared(schema: str, one: Object, expected: ExpectedDifferences, left_out: Callable[[str], bool]) -> bool:
    table = f"{schema}.{one.table}"
    if one.table and (left_out(table) or expected.whole(NO_DATABASE, table)):
        return True
    if one.kind == "column":
        return expected.column(NO_DATABASE, table, one.name)
    return expected.whole(NO_DATABASE, f"{schema}.{_plain(one)}")


def _only_disabled(here: Mapping[str, Any], there: Mapping[str, Any]) -> bool:
    """Whether an event differs only in being the other side's."""
    statuses = {here.get("status"), there.get("status")}
    rest = [word for word in here if word != "status" and here[word] != there.get(word)]
    return not rest and len(statuses) == 2 and any(status in _DISABLED_HERE for status in statuses)


def _has(conn: Connection[Cursor], table: str) -> bool:
    statement = (
        "SELECT COUNT(*) FROM information_schema.tables WHERE LOWER(table_schema) = 'information_schema'"
        " AND LOWER(table_name) = %s"
    )
    return bool(value(conn, statement, (table,)))


def _statement(conn: Connection[Cursor], query: _Query, schema: str) -> tuple[str, tuple[str, ...]]:
    more = ""
    for column, name in (query.optional or {}).items():
        known = value(
            conn,
            "SELECT COUNT(*) FROM information_schema.columns WHERE LOWER(table_schema) = 'information_schema'"
            " AND LOWER(table_name) = %s AND LOWER(column_name) = %s",
            (query.since, column),
        )
        if known:
            more += (
                f", {f'GROUP_CONCAT({column} ORDER BY seq_in_index)' if query.kind == 'index' else column} AS `{name}`"
            )
    statement = query.statement.replace("{optional}", more)
    return statement, (schema,) * statement.count("%s")


def _said(word: str, content: Any) -> Any:
    """A value as the newest version says it."""
    if word == "extra":  # 5.7 does not tell a default that is an expression
        return " ".join(str(content).replace("DEFAULT_GENERATED", "").split()).lower()
    if word in (
        "definition",
        "expression",
        "clause",
        "expressions",
        "return type",
        "parameters",
        "type",
        "subexpression",
    ):
        text = " ".join(str(content).replace("`", "").split()) if content is not None else None
        return _WIDTH.sub(r"\1", _OLD_NAME.sub(r"\1utf8mb3", text)) if text else text
    if word in ("collation", "character set", "collation_connection"):
        return modern(str(content)) if content is not None else None
    if word in ("on update", "on delete") and content == "NO ACTION":
        return "RESTRICT"  # the same to InnoDB
    return content


def _quote(content: Any) -> str:
    if content is None:
        return "NULL"
    text = str(content)
    return f"'{text if len(text) <= _SHOWN else text[:_SHOWN] + '...'}'"
