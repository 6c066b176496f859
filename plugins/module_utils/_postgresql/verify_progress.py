# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What an interrupted verification had proved: beside the control record on green, where replication does not carry it.

It is written down table by table and forgotten by a run that could decide about every table. Nothing depends on it: without
a control database, or without the right to write there, a run simply cannot be continued.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

try:
    import psycopg2
except ImportError:  # connection.require_driver() says so
    pass

from .._core.comparison import TableProof
from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError
from .._core.names import Names
from .._core.verification import WORTH_KEEPING, Place, Proved
from .connection import connect, execute, rows, value

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
    proved_at timestamptz NOT NULL,
    PRIMARY KEY (deployment_id, database, schema_name, table_name)
)
"""
_WRITE = """
INSERT INTO bluegreen.verify_progress
       (deployment_id, run, database, schema_name, table_name, shape, blue_rows, green_rows, proved_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (deployment_id, database, schema_name, table_name)
    DO UPDATE SET run = EXCLUDED.run, shape = EXCLUDED.shape, blue_rows = EXCLUDED.blue_rows,
                  green_rows = EXCLUDED.green_rows, proved_at = EXCLUDED.proved_at
"""

T = TypeVar("T")


class Progress:
    """The progress of one run; ``run`` is a digest of its options: what was proved for others does not count.

    Everything is done by a thread of its own, so that nobody waits for it.
    """

    def __init__(self, green: Endpoint, names: Names, run: str) -> None:
        self._names, self._run = names, run
        self._conn: Connection | None = None
        self._kept: list[tuple[Any, ...]] = []
        self._began = time.monotonic()
        self._thread = ThreadPoolExecutor(1, "verify-progress")
        self._thread.submit(self._open, green)

    def begin(self, max_age: int) -> Mapping[Place, Proved]:
        """What an interrupted run with the same options has proved within ``max_age`` seconds; the rest is forgotten."""
        found = self._thread.submit(self._ask, self._begin, max_age)
        return (found.result() or {}) if max_age else {}

    def note(self, proof: TableProof, shape: str) -> None:
        """Write down that a table is proved to be equal."""
        place = (proof.database, proof.schema, proof.table)
        proved_at = datetime.now(tz=UTC)
        what = (self._names.deployment_id, self._run, *place, shape, proof.blue_rows, proof.green_rows, proved_at)
        self._thread.submit(self._ask, self._note, what)

    def end(self, *, finished: bool) -> None:
        """Close it; ``finished``: every table was decided about, so that nothing is left to go on with."""
        if finished:
            self._thread.submit(self._ask, forget, self._names)
        self._thread.shutdown()
        if self._conn is not None:
            self._conn.close()

    def _open(self, green: Endpoint) -> None:
        try:
            self._conn = connect(green.at(self._names.control_database))
        except BlueGreenError:
            self._conn = None  # there is none, or not for us

    def _ask(self, what: Callable[..., T], *arguments: Any) -> T | None:
        """Do it, or give up for good."""
        if self._conn is None or self._conn.closed:
            return None
        try:
            return what(self._conn, *arguments)
        except psycopg2.Error:
            self._conn.close()
            return None

    def _begin(self, conn: Connection, max_age: int) -> Mapping[Place, Proved]:
        if not _exists(conn):
            return {}
        execute(
            conn,
            "DELETE FROM bluegreen.verify_progress WHERE deployment_id = %s"
            " AND (run <> %s OR proved_at <= now() - %s * interval '1 s')",
            (self._names.deployment_id, self._run, max_age),
        )
        found = rows(
            conn,
            "SELECT database, schema_name, table_name, shape, blue_rows, green_rows,"
            " to_char(proved_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
            " FROM bluegreen.verify_progress WHERE deployment_id = %s",
            (self._names.deployment_id,),
        )
        return {(database, schema, table): Proved(*what) for database, schema, table, *what in found}

    def _note(self, conn: Connection, what: tuple[Any, ...]) -> None:
        self._kept.append(what)
        if time.monotonic() - self._began < WORTH_KEEPING:
            return
        execute(conn, _TABLE)
        for one in self._kept:
            execute(conn, _WRITE, one)
        self._kept.clear()


def _exists(conn: Connection) -> bool:
    return value(conn, "SELECT pg_catalog.to_regclass('bluegreen.verify_progress')") is not None


def forget(conn: Connection, names: Names) -> None:
    """Delete the deployment's progress, and the table with it when no other deployment has any; ``conn``: control database."""
    if not _exists(conn):
        return
    execute(conn, "DELETE FROM bluegreen.verify_progress WHERE deployment_id = %s", (names.deployment_id,))
    if not value(conn, "SELECT EXISTS (SELECT FROM bluegreen.verify_progress)"):
        execute(conn, "DROP TABLE bluegreen.verify_progress")
