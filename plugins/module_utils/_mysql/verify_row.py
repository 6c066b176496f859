# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""How a row becomes a hash, and a key becomes text and SQL again; the same on MySQL 5.7, 8.0, 8.4 and 9. Pure.

A row's hash is 64 bits of the SHA-256 of all its columns: MD5() and SHA1() are gone from 9.6, CRC32() has 32 bits and is linear,
so that two rows which swapped a value could hide each other. What is hashed tells values apart that a type calls equal (0 and
-0, a text and its equal under a collation), and leaves no doubt where a value ends: numbers and times first, which print
without the separator, then which columns are NULL, how long the texts are, and the texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from .connection import identifier

_INTEGERS = ("tinyint", "smallint", "mediumint", "int", "bigint", "year")
_TIMES = ("date", "datetime", "timestamp", "time")
_PLAIN = (*_INTEGERS, "decimal", *_TIMES)
_FLOATS = ("float", "double")
_NUMBERED = ("bit", "enum", "set")  # by what is stored: an ENUM's invalid value and its member '' both print as ''
_TEXTS = ("char", "varchar", "tinytext", "text")
_BYTES = ("binary", "varbinary", "tinyblob", "blob")
# A range over a key needs an order that the key's index has, and literals that mean the same.
_RANGED = (*_PLAIN, "bit", "char", "varchar", "binary", "varbinary")
_LARGEST_PAYLOAD = 512 * 1024  # bytes; a result that is larger than max_allowed_packet would be NULL
_MASK_BITS = 60


@dataclass(frozen=True)
class Column:
    """A column: ``kind`` is its type in words, the same in every version, ``base`` the type's name, ``octets`` its size."""

    name: str
    kind: str
    base: str
    nullable: bool = False
    charset: str = ""
    octets: int = 0

    @property
    def ranged(self) -> bool:
        """Whether an index over the column has the order in which its values compare."""
        return self.base in _RANGED


def row_hash(columns: Sequence[Column]) -> str:
    """The hash of a row as SQL, an unsigned 64-bit number."""
    return f"CAST(CONV(LEFT(SHA2({_payload(columns)}, 256), 16), 16, 10) AS UNSIGNED)"


def key_hash(key: Sequence[Column]) -> str:
    """A 32-bit hash of the key as SQL, for buckets; it decides nothing."""
    return f"CRC32(CONCAT_WS('#', {', '.join(key_text(column) for column in key)}))"


def key_text(column: Column) -> str:
    """A key column as SQL that gives a text, or bytes of one."""
    name = quoted(column.name)
    if column.base in _BYTES:
        return f"HEX({name})"
    if column.base in _FLOATS:
        return f"CONCAT({name} * 1e0)"
    if column.base in _NUMBERED:
        return f"CONCAT(CAST({name} AS UNSIGNED))"
    if column.base in _PLAIN:
        return f"CONCAT({name})"
    return name


def key_value(column: Column, text: str) -> Any:
    """What to bind for a key column whose :func:`key_text` is ``text``; comparing with it finds the row."""
    if column.base in (*_INTEGERS, *_NUMBERED):
        return int(text)
    if column.base == "decimal":
        return Decimal(text)
    if column.base in _FLOATS:
        return float(text)
    if column.base in _BYTES:
        return bytes.fromhex(text)
    return text


def after(key: Sequence[Column], edge: Sequence[str], *, equal: bool) -> tuple[str, list[Any]]:
    """The condition that a row comes after ``edge``, or is there when ``equal``, with its parameters."""
    return _beside(key, edge, ">", equal)


def before(key: Sequence[Column], edge: Sequence[str]) -> tuple[str, list[Any]]:
    """The condition that a row comes before ``edge``, with its parameters."""
    return _beside(key, edge, "<", equal=False)


def among(key: Sequence[Column], keys: Iterable[Sequence[str]]) -> tuple[str, list[Any]]:
    """The condition that a row has one of ``keys``, with its parameters."""
    values = [[key_value(column, text) for column, text in zip(key, one, strict=True)] for one in keys]
    names = ", ".join(quoted(column.name) for column in key)
    one = ", ".join(["%s"] * len(key))
    if len(key) == 1:
        return f"{names} IN ({', '.join(['%s'] * len(values))})", [value for row in values for value in row]
    return f"({names}) IN ({', '.join([f'({one})'] * len(values))})", [value for row in values for value in row]


def quoted(*names: str) -> str:
    """An identifier in a statement with parameters, where a per cent sign means one."""
    return identifier(*names).replace("%", "%%")


def _beside(key: Sequence[Column], edge: Sequence[str], sign: str, equal: bool) -> tuple[str, list[Any]]:
    """Rows beside ``edge`` in the order of the key: the first column bounds the range, the rest says exactly where."""
    names = [quoted(column.name) for column in key]
    values = [key_value(column, text) for column, text in zip(key, edge, strict=True)]
    said, bound = [], []
    for number, name in enumerate(names):
        same = [f"{other} = %s" for other in names[:number]]
        last = number == len(names) - 1
        said.append(" AND ".join([*same, f"{name} {sign}{'=' if equal and last else ''} %s"]))
        bound += values[: number + 1]
    if len(names) == 1:
        return said[0], bound
    return f"({names[0]} {sign}= %s AND (({') OR ('.join(said)})))", [values[0], *bound]


def _payload(columns: Sequence[Column]) -> str:
    large = sum(column.octets for column in columns if column.base in (*_TEXTS, *_BYTES)) > _LARGEST_PAYLOAD
    inline = [column for column in columns if _inline(column, large)]
    # texts of several character sets have no common one
    mixed = len({column.charset for column in inline}) > 1
    whole: list[str] = []
    lengths, texts = [], []
    for column in columns:
        name = quoted(column.name)
        if column in inline:
            lengths.append(f"LENGTH({name})")
            texts.append(f"CAST({name} AS BINARY)" if mixed else name)
        else:
            whole.append(_whole(column).format(name))
    nullable = [quoted(column.name) for column in columns if column.nullable]
    masks = [_mask(nullable[start : start + _MASK_BITS]) for start in range(0, len(nullable), _MASK_BITS)]
    said = ", ".join([*whole, *masks, *lengths, *texts])
    return f"CONCAT_WS('#', {said})" if said else "''"


def _inline(column: Column, large: bool) -> bool:
    if column.base in ("text", "blob"):
        return not large
    return column.base in (*_TEXTS, *_BYTES)


def _whole(column: Column) -> str:
    if column.base in _PLAIN:
        return "{}"
    if column.base in _FLOATS:
        return "{} * 1e0"  # a FLOAT prints six digits otherwise, a DOUBLE(M,D) its D
    if column.base in _NUMBERED:
        return "CAST({} AS UNSIGNED)"
    return "SHA2({}, 256)"


def _mask(names: Sequence[str]) -> str:
    return " | ".join(f"(ISNULL({name}) << {number})" for number, name in enumerate(names))


Condition = tuple[str, list[Any]]
"""SQL that says which rows, and what to bind for it."""


def both(*conditions: Condition | None) -> Condition:
    """Rows for which every condition holds that is given."""
    given = [one for one in conditions if one is not None]
    return " AND ".join(text for text, _bound in given), [value for _text, bound in given for value in bound]
