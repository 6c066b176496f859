# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Tables that were made on blue after the clone: subscribed, and what they held before that copied.

Until the subscription is refreshed the server skips them without a word. The copy is PostgreSQL's own (table synchronisation); it
reads the table as the replication role, which therefore gets the right to, and loses it afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

try:
    import psycopg2
    from psycopg2 import sql
except ImportError:  # connection.require_driver() says so
    pass

from .._core.checks import Check, require
from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError, words
from .._core.journal import Journal
from .._core.names import Names
from . import catalog, server_rules
from .catalog import TableName
from .connection import connected, execute, rows, transaction
from .status import State

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

_GRANTED = """
    SELECT n.nspname, c.relname
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) a JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
     WHERE r.rolname = %s AND a.privilege_type = 'SELECT' AND c.relkind = 'r' ORDER BY 1, 2
"""
_SCHEMAS = """
    SELECT n.nspname
      FROM pg_catalog.pg_namespace n
     CROSS JOIN LATERAL pg_catalog.aclexplode(n.nspacl) a JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
     WHERE r.rolname = %s AND a.privilege_type = 'USAGE' ORDER BY 1
"""


@dataclass(frozen=True)
class Missing:
    """The tables of one database that are published and not subscribed."""

    database: str
    tables: tuple[TableName, ...]


def missing_tables(blue: Endpoint, green: Endpoint, state: State) -> list[Missing]:
    """What has to be copied, in the databases that are subscribed already."""
    found: list[Missing] = []
    for database in state.databases:
        if state.subscription("forward", database) is None:
            continue  # it will be subscribed to everything, from a position before these tables were made
        with connected(blue.at(database)) as conn:
            published = catalog.published_tables(conn, state.names.publication)
        with connected(green.at(database)) as conn:
            known = _known(conn, state.names.subscription("forward", database))
        tables = [t for t in sorted(published - known) if not state.expected.whole(database, ".".join(t))]
        if tables:
            found.append(Missing(database, tuple(tables)))
    return found


def refuse_skipped(found: Sequence[Missing]) -> None:
    """Raise :class:`BlueGreenError` when tables of both sides are not replicated, which the server does not mention."""
    said = [f"{one.database}: {', '.join('.'.join(table) for table in one.tables)}" for one in found]
    if said:
        raise BlueGreenError(
            "Every table of blue should be replicated, but these were made after the clone and are skipped until the subscription "
            f"knows them: {'; '.join(said)}. Set drift to apply (aurora_postgresql_drift), which subscribes and copies them."
        )


def room(blue: Endpoint, green: Endpoint) -> None:
    """Raise :class:`BlueGreenError` unless there is a slot and a worker for copying, one table at a time."""
    checks: list[Check] = []
    with connected(blue) as conn:
        checks += server_rules.publisher_capacity(catalog.server_facts(conn, "blue"), 1)
    with connected(green) as conn:
        checks += server_rules.subscriber_capacity(catalog.server_facts(conn, "green"), 1)
    require(checks, "copying the new tables")


def refresh(blue: Endpoint, green: Endpoint, state: State, found: Sequence[Missing], journal: Journal) -> None:
    """Let the replication role read the tables on blue, then subscribe to them with a copy."""
    role = state.names.replication_role
    for one in found:
        labels = ", ".join(".".join(table) for table in one.tables)
        with connected(blue.at(one.database)) as conn:
            if not set(one.tables) <= set(granted(conn, state.names)):
                what = f"let {role} read {labels} in {one.database} on blue"
                journal.act(what, partial(_grant, conn, role, one.tables))
        name = state.names.subscription("forward", one.database)
        with connected(green.at(one.database)) as conn:
            what = f"refresh subscription {name} in {one.database} on green, copying {labels}"
            journal.act(what, partial(_refresh, conn, name))


def revoke(blue: Endpoint, names: Names, databases: Sequence[str], journal: Journal, soon: Sequence[Missing]) -> None:
    """Take the right to read away again; ``soon`` is what check mode would have granted."""
    expected = {one.database: set(one.tables) for one in soon} if journal.check_mode else {}
    for database in databases:
        with connected(blue.at(database)) as conn:
            tables = {*granted(conn, names), *expected.get(database, ())}
            if tables:
                labels = ", ".join(".".join(table) for table in sorted(tables))
                what = f"let {names.replication_role} read {labels} in {database} on blue no more"
                journal.act(what, partial(take_back, conn, names))


def granted(conn: Connection, names: Names) -> list[TableName]:
    """The tables of the connection's database that the replication role may read."""
    return list(rows(conn, _GRANTED, (names.replication_role,)))


def take_back(conn: Connection, names: Names) -> None:
    """Revoke from the replication role what copying needed in the connection's database."""
    role = sql.Identifier(names.replication_role)
    with transaction(conn):
        for table in granted(conn, names):
            execute(conn, sql.SQL("REVOKE SELECT ON {} FROM {}").format(sql.Identifier(*table), role))
        for (schema,) in rows(conn, _SCHEMAS, (names.replication_role,)):
            execute(conn, sql.SQL("REVOKE USAGE ON SCHEMA {} FROM {}").format(sql.Identifier(schema), role))


def _known(conn: Connection, subscription: str) -> set[TableName]:
    """The tables that the subscription knows, copied or not yet."""
    found = rows(
        conn,
        """
        SELECT n.nspname, c.relname
          FROM pg_catalog.pg_subscription_rel r
          JOIN pg_catalog.pg_subscription s ON s.oid = r.srsubid
          JOIN pg_catalog.pg_class c ON c.oid = r.srrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE s.subname = %s
        """,
        (subscription,),
    )
    return set(found)


def _grant(conn: Connection, role: str, tables: Sequence[TableName]) -> None:
    to = sql.Identifier(role)
    with transaction(conn):
        for schema in sorted({schema for schema, _table in tables}):
            execute(conn, sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(schema), to))
        for table in tables:
            execute(conn, sql.SQL("GRANT SELECT ON {} TO {}").format(sql.Identifier(*table), to))


def _refresh(conn: Connection, name: str) -> None:
    statement = sql.SQL("ALTER SUBSCRIPTION {} REFRESH PUBLICATION WITH (copy_data = true)").format(
        sql.Identifier(name)
    )
    try:
        execute(conn, statement)
    except psycopg2.Error as error:
        raise BlueGreenError(
            f"The subscription {name} should get the tables that were made on blue, but could not be refreshed: {words(error)}; "
            "every published table has to exist on green, those that are declared in expected_differences too."
        ) from None
