# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""How one table is read for a comparison: chunk sums, the rows of some chunks, some rows again.

A chunk is a range of the key, because grouping rows costs MySQL as much again as hashing them. A table without a key, or
whose key's index is not in the order of its values, is one chunk, and hash buckets when that differs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .._core.comparison import Chunks, Rows
from .connection import rows
from .verify_row import Column, Condition, after, among, before, both, key_hash, key_text, quoted, row_hash

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

TableName = tuple[str, str]
"""Schema, table."""
Edge = tuple[str, ...]
"""A key, or the leading columns of one, as text."""

ROWS_PER_CHUNK = 8192
_KEYS_AT_ONCE = 2000
_NO_WIDTH = re.compile(r"^(tinyint|smallint|mediumint|int|bigint|year)\(\d+\)")  # not in versions from 8.0.19 on
_RENAMED = {"geomcollection": "geometrycollection"}


@dataclass(frozen=True)
class Shape:
    """What a table needs for being compared.

    ``key``: names, empty when there is none; ``index``: its index; ``ranged``: over how many leading columns of the key
    ranges can be read. ``cascades``: foreign keys change rows of it, which the binary log does not tell.
    """

    name: TableName
    columns: Mapping[str, Column]
    key: tuple[str, ...] = ()
    index: str = ""
    ranged: int = 0
    engine: str = "InnoDB"
    estimated_rows: int = 0
    cascades: bool = False

    @property
    def label(self) -> str:
        """The table as a person writes it."""
        return ".".join(self.name)

    @property
    def key_columns(self) -> list[Column]:
        """The columns of the key."""
        return [self.columns[name] for name in self.key]

    @property
    def order(self) -> list[Column]:
        """The columns that ranges are over."""
        return self.key_columns[: self.ranged]


@dataclass(frozen=True)
class Range:
    """The rows from ``begin`` on and before ``end``; None is no bound."""

    begin: Edge | None = None
    end: Edge | None = None


def shapes(conn: Connection[Cursor], schema: str) -> dict[TableName, Shape]:
    """Every table of a schema that holds rows, a partitioned one as a whole."""
    tables = rows(
        conn,
        "SELECT table_name, engine, COALESCE(table_rows, 0) FROM information_schema.tables"
        " WHERE table_schema = %s AND table_type = 'BASE TABLE'",
        (schema,),
    )
    columns: dict[str, dict[str, Column]] = {}
    for table, *column in rows(
        conn,
        "SELECT table_name, column_name, column_type, data_type, is_nullable = 'YES', COALESCE(character_set_name, ''),"
        " COALESCE(character_octet_length, 0) FROM information_schema.columns WHERE table_schema = %s"
        " ORDER BY table_name, ordinal_position",
        (schema,),
    ):
        made = _column(*column)
        columns.setdefault(table, {})[made.name] = made
    keys = _keys(conn, schema)
    cascading = {row[0] for row in rows(conn, _CASCADES, (schema,))}
    found = {}
    for table, engine, estimate in tables:
        index, parts = _best(keys.get(table, {}), columns.get(table, {}))
        ranged = 0
        while ranged < len(parts) and parts[ranged][1] and columns[table][parts[ranged][0]].ranged:
            ranged += 1
        found[schema, table] = Shape(
            (schema, table),
            columns.get(table, {}),
            tuple(name for name, _whole in parts),
            index,
            ranged,
            str(engine),
            int(estimate),
            table in cascading,
        )
    return found


def edge_after(conn: Connection[Cursor], shape: Shape, begin: Edge | None) -> Edge | None:
    """Where the chunk that begins at ``begin`` ends, None when there are not so many rows."""
    names = ", ".join(quoted(column.name) for column in shape.order)
    texts = ", ".join(key_text(column) for column in shape.order)
    where, bound = _where(after(shape.order, begin, equal=False) if begin else None)
    found = rows(
        conn,
        f"SELECT {texts} FROM {_source(shape)}{where} ORDER BY {names} LIMIT 1 OFFSET {ROWS_PER_CHUNK}",
        bound,
    )
    return tuple(str(text) for text in found[0]) if found else None


def read_sum(conn: Connection[Cursor], shape: Shape, part: Range) -> tuple[int, int]:
    """How many rows are in a range, and the sum of their hashes."""
    where, bound = _where(_in(shape, part))
    statement = f"SELECT COUNT(*), COALESCE(SUM({_hash(shape)}), 0) FROM {_source(shape)}{where}"
    count, total = rows(conn, statement, bound)[0]
    return int(count), int(total)


def read_rows(conn: Connection[Cursor], shape: Shape, part: Range) -> Rows:
    """Key -> value of every row in a range."""
    return _read(conn, shape, _in(shape, part))


def read_buckets(conn: Connection[Cursor], shape: Shape, buckets: int) -> Chunks:
    """Bucket -> how many rows and the sum of their hashes, of the whole table; ``buckets``: how many, a power of two."""
    # the limit keeps the server from hashing twice
    statement = (
        f"SELECT r.b & {buckets - 1}, COUNT(*), SUM(r.h) FROM (SELECT {_bucket(shape)} AS b, {_hash(shape)} AS h"
        f" FROM {_source(shape)} LIMIT {(1 << 64) - 1}) AS r GROUP BY 1"
    )
    if shape.key:
        statement = f"SELECT {_bucket(shape)} & {buckets - 1} AS b, COUNT(*), SUM({_hash(shape)}) FROM {_source(shape)} GROUP BY 1"
    return {int(number): (int(count), int(total)) for number, count, total in rows(conn, statement, ())}


def read_bucket_rows(conn: Connection[Cursor], shape: Shape, buckets: int, wanted: Sequence[int]) -> Rows:
    """Key -> value of every row in the buckets ``wanted``."""
    marks = ", ".join(["%s"] * len(wanted))
    return _read(conn, shape, (f"{_bucket(shape)} & {buckets - 1} IN ({marks})", list(wanted)))


def read_again(conn: Connection[Cursor], shape: Shape, keys: Iterable[Any]) -> Rows:
    """Key -> value of the rows with these keys, as far as they are there."""
    found: Rows = {}
    every = list(keys)
    for start in range(0, len(every), _KEYS_AT_ONCE):
        batch = every[start : start + _KEYS_AT_ONCE]
        if shape.key:
            condition = among(shape.key_columns, batch)
        else:
            condition = (f"{_hash(shape)} IN ({', '.join(['%s'] * len(batch))})", batch)
        found.update(_read(conn, shape, condition))
    return found


_CASCADES = (
    "SELECT table_name FROM information_schema.referential_constraints WHERE constraint_schema = %s"
    " AND NOT (update_rule IN ('RESTRICT', 'NO ACTION') AND delete_rule IN ('RESTRICT', 'NO ACTION'))"
)


def _column(name: str, kind: str, base: str, nullable: int, charset: str, octets: int) -> Column:
    kind, base = kind.lower() if "'" not in kind else kind, base.lower()
    if "zerofill" not in kind:
        kind = _NO_WIDTH.sub(r"\1", kind)
    base = _RENAMED.get(base, base)
    kind = _RENAMED.get(kind, kind)
    charset = modern(charset)
    return Column(name, f"{kind} {charset}".rstrip(), base, bool(nullable), charset, int(octets))


def modern(charset: str) -> str:
    """A character set or collation by its name from 8.0.30 on."""
    return "utf8mb3" + charset[4:] if charset == "utf8" or charset.startswith("utf8_") else charset


def _keys(conn: Connection[Cursor], schema: str) -> dict[str, dict[str, list[tuple[str | None, bool]]]]:
    """Table -> unique index -> its columns, each with whether all of it is in the index."""
    found: dict[str, dict[str, list[tuple[str | None, bool]]]] = {}
    for table, index, column, part in rows(
        conn,
        "SELECT table_name, index_name, column_name, sub_part FROM information_schema.statistics"
        " WHERE table_schema = %s AND non_unique = 0 ORDER BY table_name, index_name <> 'PRIMARY', index_name, seq_in_index",
        (schema,),
    ):
        found.setdefault(table, {}).setdefault(index, []).append((column, part is None))
    return found


def _best(
    indexes: Mapping[str, Sequence[tuple[str | None, bool]]], columns: Mapping[str, Column]
) -> tuple[str, list[tuple[str, bool]]]:
    """The index that tells every row from the others, with its columns; none when there is no such index."""
    for index, parts in indexes.items():
        named = [(name, whole) for name, whole in parts if name is not None and not columns[name].nullable]
        if len(named) == len(parts):
            return index, named
    return "", []


def _read(conn: Connection[Cursor], shape: Shape, condition: Condition | None) -> Rows:
    where, bound = _where(condition)
    if not shape.key:
        statement = f"SELECT {_hash(shape)} AS h, COUNT(*) FROM {_source(shape)}{where} GROUP BY 1"
        return {int(value): int(count) for value, count in rows(conn, statement, bound)}
    texts = ", ".join(key_text(column) for column in shape.key_columns)
    found = rows(conn, f"SELECT {texts}, {_hash(shape)} FROM {_source(shape)}{where}", bound)
    return {tuple(str(text) for text in row[:-1]): int(row[-1]) for row in found}


def _in(shape: Shape, part: Range) -> Condition | None:
    bounds = (
        after(shape.order, part.begin, equal=True) if part.begin else None,
        before(shape.order, part.end) if part.end else None,
    )
    return both(*bounds) if any(bounds) else None


def _where(condition: Condition | None) -> Condition:
    return ("", []) if condition is None else (f" WHERE {condition[0]}", condition[1])


def _hash(shape: Shape) -> str:
    return row_hash(list(shape.columns.values()))


def _bucket(shape: Shape) -> str:
    return key_hash(shape.key_columns) if shape.key else _hash(shape)


def _source(shape: Shape) -> str:
    force = f" FORCE INDEX ({quoted(shape.index)})" if shape.index else ""
    return f"{quoted(*shape.name)}{force}"
