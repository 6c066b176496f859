# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""A guardrail of MySQL that is one query, see :mod:`.._core.rule`; its versions are 507, 800, 804."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

try:
    import pymysql
except ImportError:  # refused in connection.require_driver()
    pass

from .._core.rule import Finding, Rule
from .connection import code, rows, value
from .dialect import Dialect

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

MANUAL = "https://dev.mysql.com/doc/refman/8.4/en/"
AURORA = "https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/"
_EXISTS = "SELECT 1 FROM information_schema.tables WHERE CONCAT(table_schema, '.', table_name) = %s"
_DENIED = (1044, 1045, 1142, 1143, 1227)
# What belongs to the server, the service or us, and is not replicated as the users' own.
SYSTEM_SCHEMAS = ("mysql", "sys", "information_schema", "performance_schema", "innodb", "bluegreen")


def series(version: tuple[int, ...]) -> int:
    """A release series as a number: 800 for 8.0."""
    return version[0] * 100 + version[1]


def find(conn: Connection[Cursor], rule: Rule, values: Mapping[str, object]) -> list[Finding]:
    """What there is of the rule's kind on the server; a rule's ``since`` is a number such as 80022."""
    version = Dialect.of(conn).version
    if version[0] * 10000 + version[1] * 100 + version[2] < rule.since:
        return []
    if rule.needs and not value(conn, _EXISTS, (rule.needs,)):
        return []
    query = " ".join(rule.query.split())
    for word, given in {"system_schemas": SYSTEM_SCHEMAS, **values}.items():
        if f":{word}" in query:
            query = query.replace(f":{word}", str(conn.escape(given, conn.encoders)))
    try:
        return [Finding(None, str(row[0]), str(row[1] or ""), query) for row in rows(conn, query)]
    except pymysql.MySQLError as error:
        if code(error) not in _DENIED:
            raise
        place = rule.needs or "what the rule asks for"
        user = str(value(conn, "SELECT CURRENT_USER()"))
        return [Finding(None, f"{place} cannot be read by {user}", "", query)]


def named(*columns: str) -> str:
    """SQL for a quoted name such as ```shop`.`orders```, from columns."""
    quoted = ", '.', ".join(f"'`', REPLACE({column}, '`', '``'), '`'" for column in columns)
    return f"CONCAT({quoted})"


def account(user: str, host: str) -> str:
    """SQL for an account as a statement names it, from columns."""
    return f"CONCAT(QUOTE({user}), '@', QUOTE({host}))"


def split_definer(column: str) -> str:
    """SQL for the account in a column DEFINER of information_schema, ``user@host`` without quotes, as a statement names it."""
    user = f"SUBSTRING({column}, 1, CHAR_LENGTH({column}) - CHAR_LENGTH(SUBSTRING_INDEX({column}, '@', -1)) - 1)"
    return account(user, f"SUBSTRING_INDEX({column}, '@', -1)")
