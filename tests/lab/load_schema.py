# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables that the writers write, made so that a lost or doubled transaction cannot hide.

``ledger`` has no unique constraint on purpose: a transaction applied twice leaves two rows instead of an error.
``totals`` counts and sums per writer what the other tables hold: a second proof that is not made of rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pymysql.connections import Connection as MySQLConnection

from tests.lab import load_mysql, load_postgresql

if TYPE_CHECKING:
    from psycopg2.extensions import connection as PostgreSQLConnection
    from pymysql.cursors import Cursor


def create(
    connection: PostgreSQLConnection | MySQLConnection[Cursor], role: str, password: str, writers: Iterable[int]
) -> None:
    """Make the application's role with its tables and the rows of its writers, as the database's owner would."""
    if isinstance(connection, MySQLConnection):
        load_mysql.create(connection, role, password, list(writers))
    else:
        load_postgresql.create(connection, role, password, list(writers))
