# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""A guardrail of PostgreSQL that is one query, see :mod:`.._core.rule`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

try:
    from psycopg2 import errors, sql
except ImportError:  # connection.require_driver() says so
    pass

from .._core.rule import Finding, Rule
from .connection import rows, value

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

# Not to_regclass(): that fails for who may not use the schema.
_EXISTS = """
SELECT true FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname || '.' || c.relname = %s
"""


def find(conn: Connection, rule: Rule, database: str | None, values: Mapping[str, object]) -> list[Finding]:
    """What there is of the rule's kind in the connection's database."""
    if conn.info.server_version < rule.since:
        return []
    if rule.needs and not value(conn, _EXISTS, (rule.needs,)):
        return []
    query = " ".join(rule.query.split())
    for word, given in values.items():
        if f":{word}" in query:
            query = query.replace(f":{word}", sql.Literal(given).as_string(conn))
    try:
        return [Finding(database, str(row[0]), str(row[1] or ""), query) for row in rows(conn, query)]
    except errors.InsufficientPrivilege:
        schema, _dot, relation = rule.needs.partition(".")
        grant = f"GRANT USAGE ON SCHEMA {schema} TO {quoted(conn.info.user)}; GRANT SELECT ON {schema}.{relation} TO "
        return [Finding(database, f"{rule.needs} cannot be read", grant + quoted(conn.info.user), query)]


def quoted(*parts: str) -> str:
    """An identifier as SQL wants it, every part quoted."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def literal(text: str) -> str:
    """A string constant as SQL wants it, with standard_conforming_strings."""
    return "'" + text.replace("'", "''") + "'"
