# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""How one table is read for a comparison: chunk sums, the rows of some chunks, some rows again.

Every row becomes a key and a 64-bit hash of its text. The text of a value is the same on every server as long as the settings
in :data:`SESSION` are; the hash of a text is the same in 16 and 18 (hashtextextended, tested). A table without a key has its
rows' hashes as keys, and how often each occurs as the value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

try:
    from psycopg2 import sql
except ImportError:  # connection.require_driver() says so
    pass

from .catalog import FIRST_USER_OID, TableName
from .connection import Endpoint, connect, execute, rows

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

SESSION = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "xmlbinary": "base64",
    "lc_monetary": "C",
    "search_path": "pg_catalog",
    "row_security": "off",  # a row that a policy hides is an error, not a row that is on neither side
    "default_transaction_read_only": "on",
}
_ROWS_PER_CHUNK = 1000
_MAX_CHUNKS = 1 << 16
_KEYS_AT_ONCE = 5000

Rows = dict[Any, int]
Chunks = dict[int, tuple[int, int]]


@dataclass(frozen=True)
class Shape:
    """What a table needs for being compared. ``columns`` and ``key``: name -> type, ``key`` empty when there is none."""

    name: TableName
    columns: Mapping[str, str]
    key: Mapping[str, str]
    logged: bool
    estimated_rows: int

    @property
    def chunks(self) -> int:
        """Into how many parts the table is summed up: a power of two, about a thousand rows each."""
        wanted = max(1, self.estimated_rows // _ROWS_PER_CHUNK)
        return int(min(_MAX_CHUNKS, 1 << (wanted - 1).bit_length()))

    @property
    def label(self) -> str:
        """The table as a person writes it."""
        return ".".join(self.name)


def open_session(endpoint: Endpoint) -> Connection:
    """A connection whose texts are the same everywhere."""
    conn = connect(endpoint)
    for name, setting in SESSION.items():
        execute(conn, "SELECT pg_catalog.set_config(%s, %s, false)", (name, setting))
    return conn


def shapes(conn: Connection) -> dict[TableName, Shape]:
    """Every user table of the connection's database that holds rows, partitions one by one."""
    found = rows(
        conn,
        """
        WITH keys AS (
            SELECT DISTINCT ON (i.indrelid) i.indrelid, i.indkey::int2[] AS columns
              FROM pg_catalog.pg_index i
             WHERE i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
               AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = i.indrelid AND NOT a.attnotnull
                                  AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]))
             ORDER BY i.indrelid, i.indisprimary DESC, i.indisreplident DESC, i.indexrelid)
        SELECT n.nspname, c.relname, c.relpersistence = 'p',
               -- a table that was never analyzed says 0 rows, however large it is
               greatest(c.reltuples::bigint, coalesce(pg_catalog.pg_relation_size(c.oid), 0) / 256),
               a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), coalesce(a.attnum = ANY (k.columns), false)
          FROM pg_catalog.pg_class c
          JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
          LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
          LEFT JOIN keys k ON k.indrelid = c.oid
         WHERE c.relkind = 'r' AND c.relpersistence IN ('p', 'u') AND c.oid >= %s
         ORDER BY 1, 2, a.attnum
        """,
        (FIRST_USER_OID,),
    )
    columns: dict[TableName, dict[str, str]] = {}
    keys: dict[TableName, dict[str, str]] = {}
    about: dict[TableName, tuple[bool, int]] = {}
    for schema, table, logged, estimate, column, kind, in_key in found:
        name = (schema, table)
        about[name] = (logged, estimate)
        columns.setdefault(name, {})
        keys.setdefault(name, {})
        if column is not None:
            columns[name][column] = kind
            if in_key:
                keys[name][column] = kind
    return {name: Shape(name, columns[name], keys[name], *about[name]) for name in about}


def read_chunks(conn: Connection, shape: Shape, chunks: int) -> Chunks:
    """Chunk number -> how many rows and the sum of their hashes."""
    statement = sql.SQL("SELECT {}, count(*), sum({}::numeric) FROM ONLY {} AS t GROUP BY 1").format(
        _chunk(shape), _hash(shape.columns), _table(shape)
    )
    return {number: (count, int(total)) for number, count, total in rows(conn, statement, {"last": chunks - 1})}


def read_rows(conn: Connection, shape: Shape, chunks: int, wanted: Sequence[int]) -> Rows:
    """Key -> value of every row in the chunks ``wanted``."""
    source = sql.SQL("ONLY {} AS t WHERE {} = ANY (%(wanted)s)").format(_table(shape), _chunk(shape))
    return _read(conn, shape, source, {"last": chunks - 1, "wanted": list(wanted)})


def read_again(conn: Connection, shape: Shape, keys: Iterable[Any]) -> Rows:
    """Key -> value of the rows with these keys, as far as they are there."""
    found: Rows = {}
    every = list(keys)
    for start in range(0, len(every), _KEYS_AT_ONCE):
        batch = every[start : start + _KEYS_AT_ONCE]
        if shape.key:
            source, parameters = (
                _joined(shape),
                {f"k{i}": list(part) for i, part in enumerate(zip(*batch, strict=True))},
            )
        else:
            source = sql.SQL("ONLY {} AS t WHERE {} = ANY (%(wanted)s)").format(_table(shape), _hash(shape.columns))
            parameters = {"wanted": batch}
        found.update(_read(conn, shape, source, parameters))
    return found


def _joined(shape: Shape) -> sql.Composable:
    """The table joined with a list of keys, typed so that the key's index serves."""
    names = [f"k{number}" for number in range(len(shape.key))]
    arrays = sql.SQL(", ").join(sql.SQL("%({})s::text[]").format(sql.SQL(name)) for name in names)
    same = sql.SQL(" AND ").join(
        sql.SQL("t.{} = w.{}::{}").format(_quoted(column), sql.SQL(name), sql.SQL(kind.replace("%", "%%")))
        for name, (column, kind) in zip(names, shape.key.items(), strict=True)
    )
    return sql.SQL("ONLY {} AS t JOIN unnest({}) AS w ({}) ON {}").format(
        _table(shape), arrays, sql.SQL(", ".join(names)), same
    )


def _read(conn: Connection, shape: Shape, source: sql.Composable, parameters: Mapping[str, Any]) -> Rows:
    if not shape.key:
        statement = sql.SQL("SELECT {}, count(*) FROM {} GROUP BY 1").format(_hash(shape.columns), source)
        return dict(rows(conn, statement, parameters))
    key = sql.SQL(", ").join(sql.SQL("t.{}::text").format(_quoted(name)) for name in shape.key)
    statement = sql.SQL("SELECT ARRAY[{}], {} FROM {}").format(key, _hash(shape.columns), source)
    return {tuple(found): value for found, value in rows(conn, statement, parameters)}


def _hash(columns: Iterable[str]) -> sql.Composable:
    # a fixed collation: the database's own may differ between versions of its library
    row = sql.SQL(", ").join(sql.SQL("t.{}").format(_quoted(name)) for name in columns)
    return sql.SQL('pg_catalog.hashtextextended(ROW({})::text COLLATE "C", 0)').format(row)


def _chunk(shape: Shape) -> sql.Composable:
    return sql.SQL("({} & %(last)s)").format(_hash(shape.key or shape.columns))


def _table(shape: Shape) -> sql.Composable:
    return sql.SQL(".").join(map(_quoted, shape.name))


def _quoted(name: str) -> sql.Composable:
    """An identifier in a statement with parameters, where a per cent sign means one."""
    return sql.Identifier(name.replace("%", "%%"))
