# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Materialised views: replication carries the tables that they are made from, and leaves them as they were in the clone.

The server does not know whether a view is stale. So what its tables were like when it was refreshed last, their counters
of changed rows and their files, is kept beside the control record: a view is stale unless they still are. The server counts
changes up to a second late; what it counts after a refresh makes the view stale again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

try:
    from psycopg2 import sql
except ImportError:  # refused in connection.require_driver()
    pass

from .._core.endpoint import Endpoint
from .._core.names import Names
from .after_work import Work
from .catalog import FIRST_USER_OID
from .connection import connected, execute, rows, value

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

_RECORD = """
CREATE TABLE IF NOT EXISTS bluegreen.materialized_view (
    deployment_id text, database text, schema text, name text, made_from text NOT NULL,
    PRIMARY KEY (deployment_id, database, schema, name)
)
"""
_VIEWS = """
    SELECT c.oid::bigint, n.nspname, c.relname, c.relispopulated,
           pg_catalog.pg_has_role(current_user, c.relowner, 'USAGE'), pg_catalog.pg_get_userbyid(c.relowner),
           EXISTS (SELECT FROM pg_catalog.pg_index AS i
                    WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate
                      AND i.indpred IS NULL AND i.indexprs IS NULL)
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind = 'm' ORDER BY 2, 3
"""
# A view's rule depends on what it selects from; a partitioned table is its partitions.
_EDGES = """
    SELECT DISTINCT r.ev_class::bigint, d.refobjid::bigint
    FROM pg_catalog.pg_depend AS d JOIN pg_catalog.pg_rewrite AS r ON r.oid = d.objid
    WHERE d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass
      AND d.refobjid <> r.ev_class
    UNION SELECT i.inhparent::bigint, i.inhrelid::bigint FROM pg_catalog.pg_inherits AS i
"""
_FINGERPRINTS = """
    SELECT c.oid::bigint, concat_ws('/', pg_catalog.pg_relation_filenode(c.oid), pg_catalog.pg_stat_get_tuples_inserted(c.oid),
                               pg_catalog.pg_stat_get_tuples_updated(c.oid), pg_catalog.pg_stat_get_tuples_deleted(c.oid))
    FROM pg_catalog.pg_class AS c WHERE c.oid = ANY(%s::oid[]) AND c.relkind = 'r'
"""
# What nobody counts: changes of foreign tables, what functions read, and everything when counting is off.
_UNCOUNTED = """
    SELECT c.oid::bigint FROM pg_catalog.pg_class AS c
    WHERE c.relkind = 'f' OR c.relkind = 'm' AND NOT current_setting('track_counts')::bool
    UNION SELECT r.ev_class::bigint
    FROM pg_catalog.pg_depend AS d JOIN pg_catalog.pg_rewrite AS r ON r.oid = d.objid
    JOIN pg_catalog.pg_proc AS p ON p.oid = d.refobjid
    WHERE d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.refclassid = 'pg_catalog.pg_proc'::regclass
      AND p.provolatile <> 'i' AND p.oid >= %s
"""


@dataclass(frozen=True)
class View:
    """A materialised view; ``unique``: an index allows to refresh it without keeping readers out."""

    oid: int
    schema: str
    name: str
    populated: bool
    mine: bool
    owner: str
    unique: bool


def materialized_views(
    conn: Connection, green: Endpoint, names: Names, database: str, refresh: str, work: Work
) -> None:
    """Refresh the materialised views of the connection's database, each after those that it is made from."""
    views = {view.oid: view for view in (View(*row) for row in rows(conn, _VIEWS))} if refresh != "never" else {}
    if not views:
        return
    sources = reached(_edges(conn), views)
    uncounted = {oid for (oid,) in rows(conn, _UNCOUNTED, (FIRST_USER_OID,))}
    with connected(green.at(names.control_database)) as record:
        known = _known(record, names, database)
        renewed: set[int] = set()
        for view in in_order(views, sources):
            label = f"{view.schema}.{view.name} in {database}"
            made_from = _fingerprint(conn, sources[view.oid])
            stale = (
                known.get((view.schema, view.name)) != made_from
                or view.oid in uncounted
                or bool((renewed | uncounted) & sources[view.oid])
            )
            if not view.populated or not (stale or refresh == "always"):
                continue
            if not view.mine:
                work.left.append(f"refresh materialized view {label}: it belongs to {view.owner}")
            elif work.act(
                f"refresh materialized view {label}", partial(_refresh, conn, record, names, database, view, made_from)
            ):
                renewed.add(view.oid)


def reached(edges: Mapping[int, set[int]], views: Iterable[int]) -> dict[int, set[int]]:
    """Everything that each of ``views`` is made from, through views and partitioned tables."""
    found: dict[int, set[int]] = {}
    for view in views:
        seen, ahead = set[int](), [view]
        while ahead:
            for one in edges.get(ahead.pop(), set()) - seen:
                seen.add(one)
                ahead.append(one)
        found[view] = seen
    return found


def in_order(views: Mapping[int, View], sources: Mapping[int, set[int]]) -> list[View]:
    """The views, each after those that it is made from."""
    order = TopologicalSorter({oid: sources[oid] & views.keys() for oid in views}).static_order()
    return [views[oid] for oid in order]


def _edges(conn: Connection) -> dict[int, set[int]]:
    edges: dict[int, set[int]] = {}
    for source, made_from in rows(conn, _EDGES):
        edges.setdefault(source, set()).add(made_from)
    return edges


def _fingerprint(conn: Connection, oids: Iterable[int]) -> str:
    found = sorted(rows(conn, _FINGERPRINTS, (list(oids),)))
    return hashlib.sha256(repr(found).encode()).hexdigest()


def _known(record: Connection, names: Names, database: str) -> dict[tuple[str, str], str]:
    if value(record, "SELECT pg_catalog.to_regclass('bluegreen.materialized_view')") is None:
        return {}
    found = rows(
        record,
        "SELECT schema, name, made_from FROM bluegreen.materialized_view WHERE deployment_id = %s AND database = %s",
        (names.deployment_id, database),
    )
    return {(schema, name): made_from for schema, name, made_from in found}


def _refresh(conn: Connection, record: Connection, names: Names, database: str, view: View, made_from: str) -> None:
    """Refresh a view; what it was made from was read before, so a change in between makes it stale again."""
    how = "REFRESH MATERIALIZED VIEW CONCURRENTLY {}" if view.unique else "REFRESH MATERIALIZED VIEW {}"
    execute(conn, sql.SQL(how).format(sql.Identifier(view.schema, view.name)))
    execute(record, _RECORD)
    execute(
        record,
        "INSERT INTO bluegreen.materialized_view VALUES (%s, %s, %s, %s, %s) "
        "ON CONFLICT (deployment_id, database, schema, name) DO UPDATE SET made_from = EXCLUDED.made_from",
        (names.deployment_id, database, view.schema, view.name, made_from),
    )
