# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Extensions, which an upgrade leaves at the version they had (Aurora user guide, Upgrading PostgreSQL extensions)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

try:
    from psycopg2 import sql
except ImportError:  # refused in connection.require_driver()
    pass

from .after_work import Work
from .connection import execute, rows

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

_OUTDATED = """
    SELECT e.extname, e.extversion, a.default_version, pg_catalog.pg_get_userbyid(e.extowner),
           pg_catalog.pg_has_role(current_user, e.extowner, 'USAGE'),
           EXISTS (SELECT FROM pg_catalog.pg_extension_update_paths(e.extname) AS p
                    WHERE p.source = e.extversion AND p.target = a.default_version AND p.path IS NOT NULL),
           ARRAY(SELECT r.extname::text FROM pg_catalog.pg_depend AS d
                   JOIN pg_catalog.pg_extension AS r ON r.oid = d.refobjid
                  WHERE d.classid = 'pg_catalog.pg_extension'::regclass AND d.objid = e.oid
                    AND d.refclassid = 'pg_catalog.pg_extension'::regclass)
    FROM pg_catalog.pg_extension AS e JOIN pg_catalog.pg_available_extensions AS a ON a.name = e.extname
    WHERE e.extversion <> a.default_version
    ORDER BY e.extname
"""


@dataclass(frozen=True)
class Outdated:
    """An extension whose version is not the default; ``path``: whether its scripts lead there."""

    name: str
    version: str
    default: str
    owner: str
    mine: bool
    path: bool
    requires: Sequence[str]


def extensions(conn: Connection, database: str, work: Work) -> None:
    """Update every extension of the connection's database that can be, those first that others require."""
    for one in in_order(Outdated(*row) for row in rows(conn, _OUTDATED)):
        what = f"update extension {one.name} in {database} from {one.version} to {one.default}"
        if not one.path:
            work.left.append(f"{what}: its scripts do not lead from the one to the other, see its own documentation")
        elif not one.mine:
            work.left.append(f"{what}: it belongs to {one.owner}")
        else:
            statement = sql.SQL("ALTER EXTENSION {} UPDATE").format(sql.Identifier(one.name))
            work.act(what, partial(execute, conn, statement))


def in_order(found: Iterable[Outdated]) -> list[Outdated]:
    """The extensions, each after those that it requires."""
    by_name = {one.name: one for one in found}
    graph = {one.name: [name for name in one.requires if name in by_name] for one in by_name.values()}
    return [by_name[name] for name in TopologicalSorter(graph).static_order()]
