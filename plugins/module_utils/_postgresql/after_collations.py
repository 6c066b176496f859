# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Collations whose order changed with the operating system's library: an index that was built with the old one is wrong.

The recorded version is compared with the one in use (PostgreSQL manual, ALTER COLLATION, ALTER DATABASE). Indexes are rebuilt
first and the version is recorded last, so a run that died is repeated and never skipped. A version that was never
recorded cannot differ: the server does not accept it as a refresh either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

try:
    from psycopg2 import sql
except ImportError:  # refused in connection.require_driver()
    pass

from .after_work import Work
from .catalog import FIRST_USER_OID, server_version
from .connection import execute, rows

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

DEFAULT = 100  # DEFAULT_COLLATION_OID: the database's

# Those that belong to somebody else and that nothing uses are the service's, hundreds of them.
_COLLATIONS = """
    SELECT c.oid::bigint, n.nspname, c.collname, c.collversion, pg_catalog.pg_collation_actual_version(c.oid),
           pg_catalog.pg_get_userbyid(c.collowner), pg_catalog.pg_has_role(current_user, c.collowner, 'USAGE')
    FROM pg_catalog.pg_collation AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.collnamespace
    WHERE c.collversion <> pg_catalog.pg_collation_actual_version(c.oid)
      AND (c.oid >= %s OR EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                                   WHERE d.refclassid = 'pg_catalog.pg_collation'::regclass AND d.refobjid = c.oid))
    ORDER BY 2, 3
"""
_DATABASE = """
    SELECT d.datcollversion, pg_catalog.pg_database_collation_actual_version(d.oid),
           pg_catalog.pg_get_userbyid(d.datdba), pg_catalog.pg_has_role(current_user, d.datdba, 'USAGE')
    FROM pg_catalog.pg_database AS d
    WHERE d.datname = current_database() AND d.datcollversion <> pg_catalog.pg_database_collation_actual_version(d.oid)
"""
# What an index depends on: its columns' collations, those that expressions and predicates name, those of range types. An
# expression or predicate that uses the database's own names none, so with that one every such index is meant.
_INDEXES = """
    SELECT c.oid::bigint, n.nspname, c.relname, t.relname, i.indisexclusion, i.indisvalid,
           ARRAY(SELECT x.o FROM (
                SELECT unnest(i.indcollation::oid[])::bigint AS o
                UNION SELECT d.refobjid::bigint FROM pg_catalog.pg_depend AS d
                       WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid
                         AND d.refclassid = 'pg_catalog.pg_collation'::regclass
                UNION SELECT r.rngcollation::bigint FROM pg_catalog.pg_attribute AS a
                        JOIN pg_catalog.pg_range AS r ON r.rngtypid = a.atttypid WHERE a.attrelid = c.oid
                UNION SELECT 100 WHERE i.indexprs IS NOT NULL OR i.indpred IS NOT NULL) AS x
             WHERE x.o = ANY(%(collations)s))
    FROM pg_catalog.pg_index AS i
    JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
    JOIN pg_catalog.pg_class AS t ON t.oid = i.indrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind = 'i' AND t.relkind IN ('r', 'm') AND t.relpersistence <> 't' AND c.oid >= %(first)s
    ORDER BY 2, 3
"""
_LEFT_OVER = """
    SELECT n.nspname, c.relname
    FROM pg_catalog.pg_index AS i
    JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE NOT i.indisvalid AND c.relname ~ '_cc(new|old)[0-9]*$'
      AND i.indrelid = (SELECT indrelid FROM pg_catalog.pg_index WHERE indexrelid = %s)
"""
_PARTITIONED = """
    SELECT n.nspname || '.' || c.relname
    FROM pg_catalog.pg_partitioned_table AS p
    JOIN pg_catalog.pg_class AS c ON c.oid = p.partrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE p.partstrat = 'r' AND p.partcollation::oid[] && %s::oid[] ORDER BY 1
"""


@dataclass(frozen=True)
class Changed:
    """A collation, or the database's own, whose recorded version is not the one in use."""

    oid: int
    schema: str
    name: str
    recorded: str
    actual: str
    owner: str
    mine: bool

    def label(self, database: str) -> str:
        """The collation as a person names it."""
        if self.oid == DEFAULT:
            return f"the collation of database {database}"
        return f"the collation {self.schema}.{self.name} in {database}"


@dataclass(frozen=True)
class Index:
    """An index that depends on ``collations``, by oid, which changed."""

    oid: int
    schema: str
    name: str
    table: str
    exclusion: bool
    valid: bool
    collations: Sequence[int]


def collations(conn: Connection, database: str, work: Work) -> None:
    """Rebuild what depends on a changed collation, then record the version in use."""
    found = changed(conn)
    for one in found:
        if not one.mine:
            work.left.append(
                f"reindex for {one.label(database)}, which went from version {one.recorded} to {one.actual}: it belongs to "
                f"{one.owner}, who alone can record the new version"
            )
    mine = [one for one in found if one.mine]
    if not mine:
        return
    failed: set[int] = set()
    for index in dependent(conn, [one.oid for one in mine]):
        if not work.act(f"reindex {index.schema}.{index.name} in {database}", partial(_reindex, conn, index)):
            failed.update(index.collations)
    for one in mine:
        for table in rows(conn, _PARTITIONED, ([one.oid],)):
            work.left.append(
                f"look whether rows of {table[0]} in {database} lie in the wrong partition: it is partitioned by range in the "
                f"order of {one.label(database)}"
            )
        if one.oid not in failed:
            what = f"record version {one.actual} of {one.label(database)}, which was {one.recorded}"
            work.act(what, partial(_refresh, conn, one, database))


def changed(conn: Connection) -> list[Changed]:
    """The collations of the connection's database whose recorded version is not the one in use, its own first."""
    found = [Changed(*row) for row in rows(conn, _COLLATIONS, (FIRST_USER_OID,))]
    if server_version(conn) < 150000:  # no version of the database's own is recorded before
        return found
    return [Changed(DEFAULT, "", "", *row) for row in rows(conn, _DATABASE)] + found


def dependent(conn: Connection, oids: Sequence[int]) -> list[Index]:
    """The indexes that depend on these collations, without what a rebuild that was killed left behind."""
    found = [Index(*row) for row in rows(conn, _INDEXES, {"collations": list(oids), "first": FIRST_USER_OID})]
    return [index for index in found if index.collations and not _left_over(index)]


def _left_over(index: Index) -> bool:
    return not index.valid and index.name.rstrip("0123456789").endswith(("_ccnew", "_ccold"))


def _reindex(conn: Connection, index: Index) -> None:
    _drop_left_over(conn, index)
    # An exclusion constraint's index cannot be rebuilt concurrently (PostgreSQL manual, REINDEX).
    how = "REINDEX INDEX {}" if index.exclusion else "REINDEX INDEX CONCURRENTLY {}"
    execute(conn, sql.SQL(how).format(sql.Identifier(index.schema, index.name)))


def _drop_left_over(conn: Connection, index: Index) -> None:
    """Drop the invalid copies that a concurrent rebuild of the table left when it failed or was killed.

    They cost every write. Whatever kept the lock from that rebuild kept it from dropping them too, so it is done here.
    """
    for schema, name in rows(conn, _LEFT_OVER, (index.oid,)):
        execute(conn, sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(sql.Identifier(schema, name)))


def _refresh(conn: Connection, one: Changed, database: str) -> None:
    if one.oid == DEFAULT:
        execute(conn, sql.SQL("ALTER DATABASE {} REFRESH COLLATION VERSION").format(sql.Identifier(database)))
    else:
        execute(conn, sql.SQL("ALTER COLLATION {} REFRESH VERSION").format(sql.Identifier(one.schema, one.name)))
