# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The publication of everything in a database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

try:
    from psycopg2 import sql
except ImportError:  # connection.require_driver() says so
    pass

from .connection import execute, rows

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection


@dataclass(frozen=True)
class Publication:
    """One row of pg_publication; ``complete`` is true when it publishes every table and every kind of change."""

    name: str
    complete: bool


def find_publication(conn: Connection, name: str) -> Publication | None:
    """The publication ``name`` in the connection's database, None when there is none."""
    found = rows(
        conn,
        "SELECT pubname, puballtables AND pubinsert AND pubupdate AND pubdelete AND pubtruncate"
        " FROM pg_catalog.pg_publication WHERE pubname = %s",
        (name,),
    )
    return Publication(*found[0]) if found else None


def create_publication(conn: Connection, name: str) -> None:
    """Publish every table of the connection's database, those of the future included."""
    execute(conn, sql.SQL("CREATE PUBLICATION {} FOR ALL TABLES").format(sql.Identifier(name)))


def drop_publication(conn: Connection, name: str) -> None:
    """Drop the publication if it is there."""
    execute(conn, sql.SQL("DROP PUBLICATION IF EXISTS {}").format(sql.Identifier(name)))
