# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The schema of one database, object by object, each with a fingerprint.

Left out: what belongs to an extension (the extension itself is an object), to the collection or to the service, temporary
objects, comments and privileges. NOT NULL is a property of its column, although version 18 has constraints for it; what a
partition, a partition's index or an inherited constraint has from its parent is said once, there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from .connection import execute, rows, transaction
from .schema_queries import QUERIES

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

_HIDDEN = ("information_schema", "bluegreen", "rdsadmin")
_LOCK_TIMEOUT = "30s"  # DDL that is running holds a table; it is waited for, not for ever
_DIGEST = 16  # hexadecimal digits


class ObjectName(NamedTuple):
    """What an object is called; ``table`` is empty unless the object is a part of a table."""

    kind: str
    schema: str
    table: str
    name: str

    @property
    def label(self) -> str:
        """As a person writes it: ``schema.name``, ``schema.table.column``."""
        return ".".join(part for part in (self.schema, self.table, self.name) if part)

    @property
    def container(self) -> str:
        """``schema.table`` that the object is a part of, itself when it is a table."""
        return f"{self.schema}.{self.table or self.name}"

    @property
    def key(self) -> str:
        """The name in one text that no other object has."""
        return json.dumps(list(self), separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def of(cls, key: str) -> ObjectName:
        """The name that :attr:`key` was made of."""
        return cls(*json.loads(key))


@dataclass(frozen=True)
class SchemaObject:
    """One object. ``facets`` are its properties as the server writes them, those that begin with ``_`` do not count."""

    name: ObjectName
    facets: Mapping[str, Any]

    def facet(self, name: str) -> str:
        """One property as text, empty when it is not set."""
        found = self.facets.get(name)
        return "" if found is None else str(found)

    @property
    def digest(self) -> str:
        """The fingerprint of what counts."""
        counted = {name: value for name, value in self.facets.items() if not name.startswith("_")}
        text = json.dumps(counted, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST]

    @property
    def identity(self) -> str:
        """What tells an object from one of the same name that was made anew, where rows depend on it; else empty."""
        return self.facet("_identity")

    @property
    def fingerprint(self) -> str:
        """The digest and the identity: equal only for the same object, unchanged."""
        return f"{self.digest}/{self.identity}" if self.identity else self.digest


Schema = dict[str, SchemaObject]
"""Every object of a database by its name's key."""


def read_schema(conn: Connection) -> Schema:
    """The schema of the connection's database, all of it as of one moment."""
    found: Schema = {}
    with transaction(conn):
        execute(conn, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        execute(conn, f"SET LOCAL search_path = ''; SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'")  # every name qualified
        for kind, statement in QUERIES.items():
            for one in _objects(kind, rows(conn, statement, {"hidden": list(_HIDDEN)})):
                found[one.name.key] = one
    return found


def digests(schema: Schema) -> dict[str, str]:
    """Every object's digest by its name's key: equal on two servers that have the same schema."""
    return {key: one.digest for key, one in schema.items()}


def fingerprints(schema: Schema) -> dict[str, str]:
    """Every object's fingerprint by its name's key."""
    return {key: one.fingerprint for key, one in schema.items()}


def filenodes(schema: Schema) -> dict[str, int]:
    """The file of every table that holds rows, by ``schema.name``: another one tells that the rows were written anew."""
    return {
        one.name.label: int(one.facets["_filenode"])
        for one in schema.values()
        if one.name.kind == "table" and one.facets.get("_filenode")
    }


def _objects(kind: str, found: Iterable[tuple[Any, ...]]) -> Iterable[SchemaObject]:
    for schema, table, name, facets in found:
        yield SchemaObject(ObjectName(kind, schema, table, name), facets)
