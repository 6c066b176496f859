# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Statistics for the planner: an upgrade to 18 keeps those of columns, one to an older version keeps none.

What is missing is decided as ``vacuumdb --missing-stats-only`` of version 18 does, by the catalogs: columns, extended
statistics, index expressions, and what only the parent of partitions has.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING

try:
    from psycopg2 import sql
except ImportError:  # refused in connection.require_driver()
    pass

from .._core.endpoint import Endpoint
from .after_work import Work
from .catalog import FIRST_USER_OID, server_version
from .connection import connect, execute, rows

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

# pg_stats shows nothing of a table with row security for its reader; then the time of the last ANALYZE has to do.
_MISSING = """
    SELECT n.nspname, c.relname, c.relkind = 'p', {mine}, pg_catalog.pg_get_userbyid(c.relowner),
           ARRAY(SELECT a.relid::oid::bigint FROM pg_catalog.pg_partition_ancestors(c.oid) AS a WHERE a.relid <> c.oid),
           c.oid::bigint
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't' AND c.oid >= %(first)s AND c.reltuples <> 0
      AND (c.relkind <> 'p' OR EXISTS (SELECT FROM pg_catalog.pg_partition_tree(c.oid) AS t WHERE t.isleaf))
      AND CASE WHEN pg_catalog.row_security_active(c.oid)
          THEN coalesce(pg_catalog.pg_stat_get_last_analyze_time(c.oid),
                        pg_catalog.pg_stat_get_last_autoanalyze_time(c.oid)) IS NULL
          ELSE EXISTS (
            SELECT FROM pg_catalog.pg_attribute AS a
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND coalesce(a.attstattarget, -1) <> 0
              AND a.attgenerated <> 'v'
              AND NOT EXISTS (SELECT FROM pg_catalog.pg_stats AS s
                              WHERE s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = a.attname
                                AND s.inherited = (c.relkind = 'p'))
          ) OR EXISTS (
            SELECT FROM pg_catalog.pg_statistic_ext AS x
            JOIN pg_catalog.pg_namespace AS m ON m.oid = x.stxnamespace
            WHERE x.stxrelid = c.oid AND coalesce(x.stxstattarget, -1) <> 0
              AND NOT EXISTS (SELECT FROM pg_catalog.pg_stats_ext AS s
                              WHERE s.statistics_schemaname = m.nspname AND s.statistics_name = x.stxname)
          ) OR EXISTS (
            SELECT FROM pg_catalog.pg_index AS i
            JOIN pg_catalog.pg_class AS ic ON ic.oid = i.indexrelid
            JOIN pg_catalog.pg_namespace AS m ON m.oid = ic.relnamespace
            JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indexrelid AND a.attnum > 0
            WHERE i.indrelid = c.oid AND i.indexprs IS NOT NULL AND c.relkind <> 'p' AND i.indkey[a.attnum - 1] = 0
              AND coalesce(a.attstattarget, -1) <> 0
              AND NOT EXISTS (SELECT FROM pg_catalog.pg_stats AS s
                              WHERE s.schemaname = m.nspname AND s.tablename = ic.relname AND s.attname = a.attname)
          ) END
    ORDER BY c.relkind = 'p' DESC, pg_catalog.pg_relation_size(c.oid) DESC
"""
_OWNER = "pg_catalog.pg_has_role(current_user, c.relowner, 'USAGE')"
_MAINTAINER = _OWNER + " OR pg_catalog.has_table_privilege(c.oid, 'MAINTAIN')"


@dataclass(frozen=True)
class Table:
    """A table without all of its statistics; ``ancestors``: the partitioned tables that it is a part of, by oid."""

    schema: str
    name: str
    partitioned: bool
    mine: bool
    owner: str
    ancestors: Sequence[int]
    oid: int


def statistics(conn: Connection, endpoint: Endpoint, work: Work) -> None:
    """ANALYZE every table of the connection's database that lacks statistics, the largest first, several at once."""
    version = server_version(conn)
    statement = sql.SQL(_MISSING).format(mine=sql.SQL(_MAINTAINER if version >= 170000 else _OWNER))
    found = [Table(*row) for row in rows(conn, statement, {"first": FIRST_USER_OID})]
    only = version >= 180000  # before, ANALYZE of a partitioned table includes its partitions
    parents = {one.oid for one in found if one.partitioned}
    wanted = [one for one in found if only or not parents.intersection(one.ancestors)]
    for one in wanted:
        if not one.mine:
            work.left.append(f"analyze {_label(endpoint, one)}: it belongs to {one.owner}")
    _analyze([one for one in wanted if one.mine], endpoint, only, work)


def _analyze(tables: list[Table], endpoint: Endpoint, only: bool, work: Work) -> None:
    if not tables:
        return
    sessions = min(work.parallel, len(tables))
    with ExitStack() as stack, ThreadPoolExecutor(sessions, thread_name_prefix="analyze") as pool:
        idle: SimpleQueue[Connection] = SimpleQueue()
        for _session in range(0 if work.check_mode else sessions):
            conn = connect(endpoint)
            stack.callback(conn.close)
            work.limit(conn)
            idle.put(conn)

        def one_table(table: Table) -> None:
            work.act(f"analyze {_label(endpoint, table)}", partial(_with_session, idle, table, only))

        list(pool.map(one_table, tables))


def _with_session(idle: SimpleQueue[Connection], table: Table, only: bool) -> None:
    conn = idle.get()
    try:
        keyword = sql.SQL("ANALYZE ONLY {}" if only and table.partitioned else "ANALYZE {}")
        execute(conn, keyword.format(sql.Identifier(table.schema, table.name)))
    finally:
        idle.put(conn)


def _label(endpoint: Endpoint, table: Table) -> str:
    return f"{table.schema}.{table.name} in {endpoint.database}"
