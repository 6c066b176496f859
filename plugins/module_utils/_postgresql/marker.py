# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Markers: a token written on one side and seen on the other proves that everything before it has arrived."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

try:
    from psycopg2 import sql
except ImportError:  # connection.require_driver() says so
    pass

from .._core.errors import WaitTimeout
from .._core.names import Names
from .._core.waiting import Deadline
from .connection import execute, rows, value

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

_POLL = 0.001


def exists(conn: Connection, names: Names) -> bool:
    """Whether the connection's database has a marker table."""
    return value(conn, "SELECT pg_catalog.to_regclass(%s)", (f"{names.schema}.marker",)) is not None


def ensure(conn: Connection, names: Names) -> None:
    """Make the marker table in the connection's database; before the publication and the clone."""
    schema = sql.Identifier(names.schema)
    execute(conn, sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(schema))
    execute(
        conn,
        sql.SQL("CREATE TABLE IF NOT EXISTS {}.marker (deployment_id text PRIMARY KEY, token text NOT NULL)").format(
            schema
        ),
    )


def write(conn: Connection, names: Names, use: str = "") -> str:
    """Write a new token at the end of this database's log and return it.

    A token overwrites the one before it; whoever may run beside a switchover has a ``use`` of its own.
    """
    token = secrets.token_hex(16)
    execute(
        conn,
        sql.SQL(
            "INSERT INTO {}.marker (deployment_id, token) VALUES (%s, %s)"
            " ON CONFLICT (deployment_id) DO UPDATE SET token = EXCLUDED.token"
        ).format(sql.Identifier(names.schema)),
        (_key(names, use), token),
    )
    return token


def has(conn: Connection, names: Names, token: str, use: str = "") -> bool:
    """Whether this database has applied the token, hence everything that was written before it."""
    statement = sql.SQL("SELECT token FROM {}.marker WHERE deployment_id = %s").format(sql.Identifier(names.schema))
    return bool(value(conn, statement, (_key(names, use),)) == token)


def count(conn: Connection, names: Names) -> tuple[int, int]:
    """How many tokens the table holds: of this deployment, and of others."""
    statement = sql.SQL(
        "SELECT count(*) FILTER (WHERE split_part(deployment_id, ':', 1) = %s), count(*) FROM {}.marker"
    ).format(sql.Identifier(names.schema))
    mine, every = rows(conn, statement, (names.deployment_id,))[0]
    return int(mine), int(every) - int(mine)


def forget(conn: Connection, names: Names) -> None:
    """Delete the deployment's tokens."""
    statement = sql.SQL("DELETE FROM {}.marker WHERE split_part(deployment_id, ':', 1) = %s")
    execute(conn, statement.format(sql.Identifier(names.schema)), (names.deployment_id,))


def drop(conn: Connection, names: Names) -> None:
    """Drop the marker table and its schema if they are there."""
    schema = sql.Identifier(names.schema)
    execute(conn, sql.SQL("DROP TABLE IF EXISTS {}.marker").format(schema))
    execute(conn, sql.SQL("DROP SCHEMA IF EXISTS {}").format(schema))


def pass_through(
    source: Mapping[str, Connection], target: Mapping[str, Connection], names: Names, timeout: float, use: str = ""
) -> float:
    """Write a marker in every database of ``source``, wait until ``target`` has them all; returns seconds since the first.

    Both map database names to connections. Raises :class:`WaitTimeout` after ``timeout`` seconds, naming the databases
    that are behind: that is never a lag of 0.
    """
    started, deadline = time.monotonic(), Deadline(timeout)
    missing = {database: write(conn, names, use) for database, conn in source.items()}
    while True:
        missing = {
            database: token for database, token in missing.items() if not has(target[database], names, token, use)
        }
        if not missing:
            return time.monotonic() - started
        if deadline.passed:
            raise WaitTimeout(
                f"A marker written on the one side did not reach the other within {timeout:g} s in database "
                f"{', '.join(sorted(missing))}: replication does not run or is further behind than that."
            )
        time.sleep(_POLL)


def _key(names: Names, use: str) -> str:
    return f"{names.deployment_id}:{use}" if use else names.deployment_id
