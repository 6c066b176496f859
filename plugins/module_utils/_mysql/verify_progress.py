# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What an interrupted verification had proved: beside the control record on green, out of the binary log.

It is written down table by table and forgotten by a run that could decide about every table. Nothing depends on it: without
the schema, or without the right to write there, a run simply cannot be continued.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

try:
    import pymysql
except ImportError:  # connection.require_driver() says so
    pass

from .._core.comparison import TableProof
from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError
from .._core.names import Names
from .._core.verification import WORTH_KEEPING, Place, Proved
from .connection import close, connect, execute, rows, unlogged, value
from .record import exists

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

T = TypeVar("T")

_NAME = "verify_progress"
_TABLE = """
CREATE TABLE IF NOT EXISTS bluegreen.verify_progress (
    deployment_id VARCHAR(64) NOT NULL,
    run CHAR(64) NOT NULL,
    schema_name VARCHAR(64) NOT NULL,
    table_name VARCHAR(64) NOT NULL,
    shape CHAR(64) NOT NULL,
    blue_rows BIGINT NOT NULL,
    green_rows BIGINT NOT NULL,
    proved_at DATETIME NOT NULL,
    PRIMARY KEY (deployment_id, schema_name, table_name)
) ENGINE=InnoDB
"""
_WRITE = (
    "REPLACE INTO bluegreen.verify_progress"
    " (deployment_id, run, schema_name, table_name, shape, blue_rows, green_rows, proved_at)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
)


class Progress:
    """The progress of one run; ``run`` is a digest of its options: what was proved for others does not count.

    Everything is done by a thread of its own, so that nobody waits for it.
    """

    def __init__(self, green: Endpoint, names: Names, run: str) -> None:
        self._names, self._run = names, run
        self._conn: Connection[Cursor] | None = None
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
        proved_at = datetime.now(tz=UTC).replace(tzinfo=None, microsecond=0)
        what = (self._names.deployment_id, self._run, proof.schema, proof.table, shape)
        self._thread.submit(self._ask, self._note, (*what, proof.blue_rows, proof.green_rows, proved_at))

    def end(self, *, finished: bool) -> None:
        """Close it; ``finished``: every table was decided about, so that nothing is left to go on with."""
        if finished:
            self._thread.submit(self._ask, forget, self._names)
        self._thread.shutdown()
        close(self._conn)

    def _open(self, green: Endpoint) -> None:
        try:
            self._conn = connect(green)
        except BlueGreenError:
            self._conn = None  # the readers say why

    def _ask(self, what: Callable[..., T], *arguments: Any) -> T | None:
        """Do it, or give up for good."""
        if self._conn is None or not self._conn.open:
            return None
        try:
            return what(self._conn, *arguments)
        except (BlueGreenError, pymysql.MySQLError, OSError):
            close(self._conn)
            return None

    def _begin(self, conn: Connection[Cursor], max_age: int) -> Mapping[Place, Proved]:
        if not exists(conn, _NAME):
            return {}
        with unlogged(conn):
            execute(
                conn,
                "DELETE FROM bluegreen.verify_progress WHERE deployment_id = %s"
                " AND (run <> %s OR proved_at <= UTC_TIMESTAMP() - INTERVAL %s SECOND)",
                (self._names.deployment_id, self._run, max_age),
            )
        found = rows(
            conn,
            "SELECT schema_name, table_name, shape, blue_rows, green_rows, proved_at"
            " FROM bluegreen.verify_progress WHERE deployment_id = %s",
            (self._names.deployment_id,),
        )
        return {
            (schema, schema, table): Proved(shape, blue, green, f"{proved_at.isoformat()}Z")
            for schema, table, shape, blue, green, proved_at in found
        }

    def _note(self, conn: Connection[Cursor], what: tuple[Any, ...]) -> None:
        self._kept.append(what)
        if time.monotonic() - self._began < WORTH_KEEPING or not exists(conn):
            return
        with unlogged(conn):
            execute(conn, _TABLE)
            for one in self._kept:
                execute(conn, _WRITE, one)
        self._kept.clear()


def forget(conn: Connection[Cursor], names: Names) -> None:
    """Delete the deployment's progress on green, and the table with it when no other deployment has any."""
    if not exists(conn, _NAME):
        return
    with unlogged(conn):
        execute(conn, "DELETE FROM bluegreen.verify_progress WHERE deployment_id = %s", (names.deployment_id,))
        if not value(conn, "SELECT EXISTS (SELECT 1 FROM bluegreen.verify_progress)"):
            execute(conn, "DROP TABLE bluegreen.verify_progress")
