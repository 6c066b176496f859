# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The control record: what cannot be read back later, on green, in a database that replication leaves alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

try:
    from psycopg2 import errors, sql
except ImportError:  # connection.require_driver() says so
    pass

from .._core.endpoint import Endpoint
from .._core.names import Names
from .connection import connected, execute, rows, transaction, value

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

_TABLE = """
CREATE SCHEMA IF NOT EXISTS bluegreen;
CREATE TABLE IF NOT EXISTS bluegreen.control_record (
    deployment_id text PRIMARY KEY,
    position pg_catalog.pg_lsn,
    opened_green pg_catalog.pg_lsn,
    opened_blue pg_catalog.pg_lsn,
    settings jsonb NOT NULL DEFAULT '{}'
)
"""
_COLUMNS = ("position", "opened_green", "opened_blue", "settings")


@dataclass(frozen=True)
class ControlRecord:
    """One deployment's record; every position is ``X/Y``.

    ``position``: where green's data ends in blue's log. ``opened_green``: green's log when green was opened to writers,
    ``opened_blue``: blue's when blue was opened again. ``settings``: what a fence has to give back, as JSON.
    """

    deployment_id: str
    position: str | None = None
    opened_green: str | None = None
    opened_blue: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


def exists(conn: Connection, names: Names) -> bool:
    """Whether the server has a control database; ``conn`` may be to any database."""
    return bool(value(conn, "SELECT true FROM pg_catalog.pg_database WHERE datname = %s", (names.control_database,)))


def ensure(green: Endpoint, names: Names) -> None:
    """Make the control database and its table if they are missing."""
    with connected(green) as conn:
        if not exists(conn, names):
            # template0: nobody can be connected to it, so that the copy never waits and never fails
            statement = sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(names.control_database))
            try:
                execute(conn, statement)
            except errors.DuplicateDatabase:
                pass  # another run was quicker
    with connected(green.at(names.control_database)) as conn, transaction(conn):
        execute(conn, _TABLE)


@contextmanager
def opened(green: Endpoint, names: Names) -> Iterator[Connection | None]:
    """A connection to the control database for a ``with`` block, None when there is no such database."""
    with connected(green) as conn:
        found = exists(conn, names)
    if not found:
        yield None
        return
    with connected(green.at(names.control_database)) as conn:
        yield conn


def read(conn: Connection, deployment_id: str) -> ControlRecord | None:
    """The deployment's record, None when it has none; ``conn`` is to the control database."""
    if value(conn, "SELECT pg_catalog.to_regclass('bluegreen.control_record')") is None:
        return None
    found = rows(
        conn,
        "SELECT deployment_id, position::text, opened_green::text, opened_blue::text, settings::text"
        " FROM bluegreen.control_record WHERE deployment_id = %s",
        (deployment_id,),
    )
    if not found:
        return None
    owner, position, opened_green, opened_blue, settings = found[0]
    return ControlRecord(owner, position, opened_green, opened_blue, json.loads(settings))


def look(green: Endpoint, names: Names) -> ControlRecord | None:
    """The deployment's record over a connection of its own, None when there is none."""
    with opened(green, names) as conn:
        return read(conn, names.deployment_id) if conn is not None else None


def commit(conn: Connection, deployment_id: str, **fields: Any) -> None:
    """Write the given fields of the record, those of :class:`ControlRecord`, and leave the others as they are.

    Durable when it returns, whatever synchronous_commit says elsewhere.
    """
    unknown = sorted(set(fields) - set(_COLUMNS))
    if unknown:
        raise TypeError(f"no such field of the control record: {unknown}")
    values = [json.dumps(given) if name == "settings" else given for name, given in fields.items()]
    columns = sql.SQL(", ").join(map(sql.Identifier, fields))
    updates = sql.SQL(", ").join(sql.SQL("{0} = EXCLUDED.{0}").format(sql.Identifier(name)) for name in fields)
    statement = sql.SQL(
        "INSERT INTO bluegreen.control_record (deployment_id, {}) VALUES (%s, {})"
        " ON CONFLICT (deployment_id) DO UPDATE SET {}"
    ).format(columns, sql.SQL(", ").join([sql.Placeholder()] * len(values)), updates)
    with transaction(conn):
        execute(conn, "SET LOCAL synchronous_commit = on")
        execute(conn, statement, (deployment_id, *values))


def others(conn: Connection, deployment_id: str) -> int:
    """How many records of other deployments there are."""
    if value(conn, "SELECT pg_catalog.to_regclass('bluegreen.control_record')") is None:
        return 0
    statement = "SELECT count(*) FROM bluegreen.control_record WHERE deployment_id <> %s"
    return int(value(conn, statement, (deployment_id,)))


def forget(conn: Connection, deployment_id: str) -> None:
    """Delete the deployment's record."""
    execute(conn, "DELETE FROM bluegreen.control_record WHERE deployment_id = %s", (deployment_id,))


def drop(green: Endpoint, names: Names) -> None:
    """Drop the control database if it is there."""
    with connected(green) as conn:
        execute(conn, sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(names.control_database)))
