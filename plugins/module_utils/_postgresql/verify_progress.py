# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What an interrupted verification had proved: beside the control record on green, where replication does not carry it.

It is written down table by table and forgotten by a run that could decide about every table. Nothing depends on it: without
a control database, or without the right to write there, a run simply cannot be continued.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

try:
    import psycopg2
except ImportError:  # connection.require_driver() says so
    pass

from .._core.comparison import TableProof
from .._core.errors import BlueGreenError
from .._core.names import Names
from . import control_record
from .connection import Endpoint, connect, execute, rows, value

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

_TABLE = """
CREATE TABLE IF NOT EXISTS bluegreen.verify_progress (
    deployment_id text,
    run text NOT NULL,
    database text,
    schema_name text,
    table_name text,
    shape text NOT NULL,
    blue_rows bigint NOT NULL,
    green_rows bigint NOT NULL,
    proved_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (deployment_id, database, schema_name, table_name)
)
"""
_WRITE = """
INSERT INTO bluegreen.verify_progress
       (deployment_id, run, database, schema_name, table_name, shape, blue_rows, green_rows)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (deployment_id, database, schema_name, table_name)
    DO UPDATE SET run = EXCLUDED.run, shape = EXCLUDED.shape, blue_rows = EXCLUDED.blue_rows,
                  green_rows = EXCLUDED.green_rows, proved_at = EXCLUDED.proved_at
"""

Place = tuple[str, str, str]
"""Database, schema, table."""


@dataclass(frozen=True)
class Proved:
    """A table that a run before this one proved to be equal; ``shape`` is a digest of how it was read."""

    shape: str
    blue_rows: int
    green_rows: int
    proved_at: str


class Progress:
    """The progress of one run; ``run`` is a digest of its options: what was proved for others does not count."""

    def __init__(self, green: Endpoint, names: Names, run: str) -> None:
        self._names, self._run, self._lock = names, run, threading.Lock()
        self._conn = _open(green, names)

    def begin(self, max_age: int) -> Mapping[Place, Proved]:
        """What an interrupted run with the same options has proved within ``max_age`` seconds; the rest is forgotten."""
        conn = self._conn
        if conn is None:
            return {}
        try:
            execute(conn, _TABLE)
            execute(
                conn,
                "DELETE FROM bluegreen.verify_progress WHERE deployment_id = %s"
                " AND (run <> %s OR proved_at < now() - %s * interval '1 s')",
                (self._names.deployment_id, self._run, max_age),
            )
            found = rows(
                conn,
                "SELECT database, schema_name, table_name, shape, blue_rows, green_rows,"
                " to_char(proved_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
                " FROM bluegreen.verify_progress WHERE deployment_id = %s",
                (self._names.deployment_id,),
            )
        except psycopg2.Error:
            self._give_up()
            return {}
        return {(database, schema, table): Proved(*what) for database, schema, table, *what in found}

    def note(self, proof: TableProof, shape: str) -> None:
        """Write down that a table is proved to be equal."""
        with self._lock:
            if self._conn is None:
                return
            place = (proof.database, proof.schema, proof.table)
            try:
                execute(
                    self._conn,
                    _WRITE,
                    (self._names.deployment_id, self._run, *place, shape, proof.blue_rows, proof.green_rows),
                )
            except psycopg2.Error:
                self._give_up()

    def end(self, *, finished: bool) -> None:
        """Close it; ``finished``: every table was decided about, so that nothing is left to go on with."""
        conn = self._conn
        if conn is None:
            return
        try:
            if finished:
                forget(conn, self._names)
        except psycopg2.Error:
            pass  # it ages
        self._give_up()

    def _give_up(self) -> None:
        if self._conn is not None:
            self._conn.close()
            self._conn = None


def forget(conn: Connection, names: Names) -> None:
    """Delete the deployment's progress, and the table with it when no other deployment has any; ``conn``: control database."""
    if value(conn, "SELECT pg_catalog.to_regclass('bluegreen.verify_progress')") is None:
        return
    execute(conn, "DELETE FROM bluegreen.verify_progress WHERE deployment_id = %s", (names.deployment_id,))
    if not value(conn, "SELECT EXISTS (SELECT FROM bluegreen.verify_progress)"):
        execute(conn, "DROP TABLE bluegreen.verify_progress")


def _open(green: Endpoint, names: Names) -> Connection | None:
    try:
        conn = connect(green)
        try:
            there = control_record.exists(conn, names)
        finally:
            conn.close()
        return connect(green.at(names.control_database)) if there else None
    except (BlueGreenError, psycopg2.Error):
        return None
