# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""How one table is read for a comparison: chunk sums, the rows of some chunks, some rows again.

Every row becomes a key and a 64-bit hash. What is hashed tells values apart that a type calls equal (1.0 and 1.00, 0 and -0,
a text and its equal under a collation): types whose equality is identity are hashed as they are, the others in their binary
form or as text, which is the same on every server as long as the settings in :data:`SESSION` are. The hash functions are those
of hash partitions and hash indexes, which outlive a major upgrade, so they give the same in every version.

hash_record_extended() is linear in its columns, so that two rows which swapped a value would have the same sum: every row's
hash is seeded with that of its key. A table without a key has its rows' hashes as keys, and how often each occurs as the value.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

try:
    from psycopg2 import sql
except ImportError:  # connection.require_driver() says so
    pass

from .._core.comparison import Chunks, Rows
from .._core.endpoint import Endpoint
from .catalog import FIRST_USER_OID, TableName
from .connection import connect, execute, rows, value

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
FAST_VERSION = 140000  # hash_record_extended() and scans of ranges of ctid
_KEYS_AT_ONCE = 5000

# How a column of a built-in type is hashed. Their oids are the same everywhere (src/include/catalog/pg_type.dat).
_AS_IS = "t.{}"
_C = 't.{} COLLATE "C"'
_TEXT = 't.{}::text COLLATE "C"'
_BY_TYPE = {
    16: _AS_IS,  # bool
    17: _AS_IS,  # bytea
    20: "pg_catalog.int8send(t.{})",  # the type's own hash has 32 bits, and -1 has that of 4294967295
    21: _AS_IS,  # int2
    23: _AS_IS,  # int4
    25: _C,  # text
    26: _AS_IS,  # oid
    # -0 is 0 for the own hash of float8, and a NaN has several binary forms
    700: "pg_catalog.float4send(CASE WHEN t.{0} = 'NaN' THEN 'NaN' ELSE t.{0} END)",  # float4
    701: "pg_catalog.float8send(CASE WHEN t.{0} = 'NaN' THEN 'NaN' ELSE t.{0} END)",  # float8
    1043: _C,  # varchar
    1082: _AS_IS,  # date
    1114: "pg_catalog.timestamp_send(t.{})",  # as int8
    1184: "pg_catalog.timestamptz_send(t.{})",
    1700: _TEXT,  # numeric: 1.0 is 1.00 for its own hash
    2950: _AS_IS,  # uuid
}
# How a key column is hashed, for chunks and seeds: quick is enough, it decides nothing.
_KEY_BY_TYPE = {
    20: "pg_catalog.hashint8extended(t.{}, {})",
    21: "pg_catalog.hashint2extended(t.{}, {})",
    23: "pg_catalog.hashint4extended(t.{}, {})",
}
_KEY_OTHER = 'pg_catalog.hashtextextended(t.{}::text COLLATE "C", {})'


@dataclass(frozen=True)
class Shape:
    """What a table needs for being compared.

    ``columns`` and ``key``: name -> type, ``key`` empty when there is none. ``oids``: name -> oid of the type; ``same``: key
    column -> the operator of the key's index. ``fast``: both servers can hash records.
    """

    name: TableName
    columns: Mapping[str, str]
    key: Mapping[str, str]
    logged: bool
    estimated_rows: int
    oids: Mapping[str, int]
    same: Mapping[str, str]
    fast: bool = True

    @property
    def label(self) -> str:
        """The table as a person writes it."""
        return ".".join(self.name)


@dataclass(frozen=True)
class Part:
    """A range of a table's blocks, to the end of the table when ``end`` is None."""

    begin: int = 0
    end: int | None = None


def open_session(endpoint: Endpoint, lock_timeout: float = 0) -> Connection:
    """A connection whose texts are the same everywhere; it waits ``lock_timeout`` seconds for a table, 0: for ever."""
    conn = connect(endpoint)
    wanted = {**SESSION, "lock_timeout": f"{round(lock_timeout * 1000)}"}
    execute(
        conn,
        "SELECT pg_catalog.set_config(w.name, w.setting, false) FROM unnest(%s::text[], %s::text[]) AS w (name, setting)",
        (list(wanted), list(wanted.values())),
    )
    return conn


def shapes(conn: Connection) -> dict[TableName, Shape]:
    """Every user table of the connection's database that holds rows, partitions one by one."""
    found = rows(
        conn,
        """
        WITH keys AS (
            SELECT DISTINCT ON (i.indrelid) i.indrelid, (i.indkey::int2[])[0:i.indnkeyatts - 1] AS columns,
                   i.indclass::oid[] AS classes
              FROM pg_catalog.pg_index i
             WHERE i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
               AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = i.indrelid AND NOT a.attnotnull
                                  AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]))
             ORDER BY i.indrelid, i.indisprimary DESC, i.indisreplident DESC, i.indexrelid),
        equality AS (
            SELECT k.indrelid, u.attnum, format('OPERATOR(%%I.%%s)', n.nspname, o.oprname) AS operator
              FROM keys k, unnest(k.columns, k.classes) AS u (attnum, class)
              JOIN pg_catalog.pg_opclass c ON c.oid = u.class
              JOIN pg_catalog.pg_amop m ON m.amopfamily = c.opcfamily AND m.amopstrategy = 3
                                       AND m.amoplefttype = c.opcintype AND m.amoprighttype = c.opcintype
              JOIN pg_catalog.pg_operator o ON o.oid = m.amopopr
              JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace)
        SELECT n.nspname, c.relname, c.relpersistence = 'p',
               greatest(c.reltuples, 0)::bigint, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), a.atttypid::bigint, e.operator
          FROM pg_catalog.pg_class c
          JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
          LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
          LEFT JOIN equality e ON e.indrelid = c.oid AND e.attnum = a.attnum
         WHERE c.relkind = 'r' AND c.relpersistence IN ('p', 'u') AND c.oid >= %s
         ORDER BY 1, 2, a.attnum
        """,
        (FIRST_USER_OID,),
    )
    columns: dict[TableName, list[tuple[str, str, int, str | None]]] = {}
    about: dict[TableName, tuple[bool, int]] = {}
    for schema, table, logged, estimate, *column in found:
        about[schema, table] = (logged, estimate)
        columns.setdefault((schema, table), [])
        if column[0] is not None:
            columns[schema, table].append((column[0], column[1], column[2], column[3]))
    fast = conn.info.server_version >= FAST_VERSION
    return {
        name: Shape(
            name,
            columns={column: kind for column, kind, _oid, _operator in columns[name]},
            key={column: kind for column, kind, _oid, operator in columns[name] if operator},
            logged=logged,
            estimated_rows=estimate,
            oids={column: oid for column, _kind, oid, _operator in columns[name]},
            same={column: operator for column, _kind, _oid, operator in columns[name] if operator},
            fast=fast,
        )
        for name, (logged, estimate) in about.items()
    }


def blocks(conn: Connection, name: TableName) -> int:
    """How many blocks a table has; waits for whoever has locked the table for himself."""
    statement = (
        "SELECT pg_catalog.pg_relation_size(format('%%I.%%I', %s::text, %s::text)::regclass)"
        " / pg_catalog.current_setting('block_size')::int"
    )
    return int(value(conn, statement, name))


def read_chunks(conn: Connection, shape: Shape, chunks: int, part: Part) -> Chunks:
    """Chunk number -> how many rows and the sum of their hashes, in one part of the table."""
    # OFFSET 0 keeps the planner from computing the inner columns twice
    statement = sql.SQL("SELECT k & %(last)s, count(*), sum({}) FROM ({}) AS t GROUP BY 1").format(
        _row_hash(shape), _keyed(shape, part, sql.SQL(" OFFSET 0"))
    )
    return {number: (count, int(summed)) for number, count, summed in rows(conn, statement, {"last": chunks - 1})}


def read_rows(conn: Connection, shape: Shape, chunks: int, wanted: Sequence[int], part: Part) -> Rows:
    """Key -> value of every row in the chunks ``wanted`` of one part of the table."""
    source = sql.SQL("({}) AS t WHERE t.k & %(last)s = ANY (%(wanted)s)").format(
        _keyed(shape, part, sql.SQL(" OFFSET 0"))
    )
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
            source = sql.SQL("({}) AS t WHERE t.k = ANY (%(wanted)s)").format(_keyed(shape, Part(), sql.SQL("")))
            parameters = {"wanted": batch}
        found.update(_read(conn, shape, source, parameters))
    return found


def _keyed(shape: Shape, part: Part, more: sql.Composable) -> sql.Composable:
    """The rows of one part with columns ``c0``, ``c1``, .. and ``k``, the hash of the key."""
    where = [sql.SQL("t.ctid >= '({},0)'::tid").format(sql.Literal(part.begin))] if part.begin else []
    if part.end is not None:
        where.append(sql.SQL("t.ctid < '({},0)'::tid").format(sql.Literal(part.end)))
    ranged = sql.SQL(" WHERE {}").format(sql.SQL(" AND ").join(where)) if where else sql.SQL("")
    return _renamed(shape, sql.SQL("ONLY {} AS t{}{}").format(_table(shape), ranged, more))


def _joined(shape: Shape) -> sql.Composable:
    """The rows with the keys in a list, typed so that the key's index serves."""
    names = [f"k{number}" for number in range(len(shape.key))]
    arrays = sql.SQL(", ").join(sql.SQL("%({})s::text[]").format(sql.SQL(name)) for name in names)
    same = sql.SQL(" AND ").join(
        sql.SQL("t.{} {} w.{}::{}").format(_quoted(column), _raw(shape.same[column]), sql.SQL(name), _raw(kind))
        for name, (column, kind) in zip(names, shape.key.items(), strict=True)
    )
    return sql.SQL("({}) AS t").format(
        _renamed(
            shape,
            sql.SQL("ONLY {} AS t JOIN unnest({}) AS w ({}) ON {}").format(
                _table(shape), arrays, sql.SQL(", ".join(names)), same
            ),
        )
    )


def _renamed(shape: Shape, source: sql.Composable) -> sql.Composable:
    columns = [sql.SQL("t.{} AS {}").format(_quoted(name), sql.SQL(alias)) for name, alias in _aliases(shape).items()]
    return sql.SQL("SELECT {} FROM {}").format(
        sql.SQL(", ").join([*columns, sql.SQL("{} AS k").format(_key_hash(shape))]), source
    )


def _read(conn: Connection, shape: Shape, source: sql.Composable, parameters: Mapping[str, Any]) -> Rows:
    if not shape.key:
        statement = sql.SQL("SELECT t.k, count(*) FROM {} GROUP BY 1").format(source)
        return dict(rows(conn, statement, parameters))
    aliases = _aliases(shape)
    key = sql.SQL(", ").join(_key_text(shape, name, aliases[name]) for name in shape.key)
    statement = sql.SQL("SELECT ARRAY[{}], {} FROM {}").format(key, _row_hash(shape), source)
    return {tuple(found): value for found, value in rows(conn, statement, parameters)}


def _key_text(shape: Shape, column: str, alias: str) -> sql.Composable:
    # a cast to text may be an extension's own and lose something; concat() takes what the type prints
    built_in = shape.oids[column] < FIRST_USER_OID
    return sql.SQL("t.{}::text" if built_in else "pg_catalog.concat(t.{})").format(sql.SQL(alias))


def _row_hash(shape: Shape) -> sql.Composable:
    """The hash of a row of :func:`_renamed`, different for two rows with the same content and another key."""
    return _content(shape, _aliases(shape), sql.SQL("t.k")) if shape.key else sql.SQL("t.k")


def _key_hash(shape: Shape) -> sql.Composable:
    """The hash of the key, of the whole row when there is none; in terms of the table's own names."""
    if not shape.key:
        whole = _content(shape, {name: name for name in shape.columns}, sql.SQL("0"))
        if not shape.fast:
            return whole
        return sql.SQL("pg_catalog.hash_record_extended(ROW(pg_catalog.int8send({})), 0)").format(whole)
    found: sql.Composable = sql.SQL("0")
    for name in shape.key:
        pattern = _KEY_BY_TYPE.get(shape.oids[name], _KEY_OTHER)
        found = sql.SQL(pattern).format(_quoted(name), found)
    return found


def _content(shape: Shape, names: Mapping[str, str], seed: sql.Composable) -> sql.Composable:
    single = [name for name in shape.columns if shape.fast and shape.oids[name] in _BY_TYPE]
    together = [name for name in shape.columns if name not in single]
    parts: list[sql.Composable] = [sql.SQL(_BY_TYPE[shape.oids[name]]).format(_quoted(names[name])) for name in single]
    # a fixed collation: the database's own may differ between versions of its library
    printed = sql.SQL('ROW({})::text COLLATE "C"').format(
        sql.SQL(", ").join(sql.SQL("t.{}").format(_quoted(names[name])) for name in together)
    )
    if not shape.fast:
        return sql.SQL("pg_catalog.hashtextextended({}, {})").format(printed, seed)
    if together:
        parts.append(printed)
    return sql.SQL("pg_catalog.hash_record_extended(ROW({}), {})").format(sql.SQL(", ").join(parts), seed)


def _aliases(shape: Shape) -> dict[str, str]:
    return {name: f"c{number}" for number, name in enumerate(shape.columns)}


def _table(shape: Shape) -> sql.Composable:
    return sql.SQL(".").join(map(_quoted, shape.name))


def _quoted(name: str) -> sql.Composable:
    """An identifier in a statement with parameters, where a per cent sign means one."""
    return sql.Identifier(name.replace("%", "%%"))


def _raw(text: str) -> sql.Composable:
    """Text that the server has quoted, in a statement with parameters."""
    return sql.SQL(text.replace("%", "%%"))
