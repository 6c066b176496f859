# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The fence of PostgreSQL: databases read-only by default, in-flight work ended, proved by a write that fails.

``ALTER DATABASE .. SET default_transaction_read_only = on`` alone is no fence: a session that is open keeps its setting and
an open transaction commits (PostgreSQL manual, ALTER DATABASE: it applies to new sessions). So every client session that is
older is ended, until none is left, none holds a transaction id and none has prepared a transaction: COMMIT PREPARED works
in a read-only session.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

try:
    from psycopg2 import errors, sql
except ImportError:  # refused in connection.require_driver()
    pass

from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError
from .._core.waiting import Deadline
from .connection import connect, execute, rows, value

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

_POLL = 0.001  # seconds
_PROOFS = 8  # connections at once

# Superusers are the service's own (rdsadmin): nobody may end their sessions, and they do not write to client tables.
_CLIENTS = """
    FROM pg_catalog.pg_stat_activity AS a
    WHERE a.datname = ANY(%(databases)s) AND a.backend_type = 'client backend' AND a.pid <> ALL(%(ours)s)
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.oid = a.usesysid AND r.rolsuper)
"""
_WRITERS = _CLIENTS + " AND (a.backend_start < %(since)s OR a.backend_xid IS NOT NULL)"


@dataclass(frozen=True)
class Writer:
    """A client session that could still write."""

    pid: int
    user: str
    application: str


def read_only_databases(conn: Connection, databases: Sequence[str]) -> set[str]:
    """Those of ``databases`` that are read-only by default, from pg_db_role_setting."""
    found = rows(
        conn,
        """
        SELECT d.datname
        FROM pg_catalog.pg_database AS d
        JOIN pg_catalog.pg_db_role_setting AS s ON s.setdatabase = d.oid AND s.setrole = 0
        CROSS JOIN LATERAL unnest(s.setconfig) AS setting
        WHERE d.datname = ANY(%s) AND setting IN (
            'default_transaction_read_only=on', 'default_transaction_read_only=true',
            'default_transaction_read_only=yes', 'default_transaction_read_only=1')
        """,
        [list(databases)],
    )
    return {row[0] for row in found}


def close_databases(conn: Connection, databases: Sequence[str]) -> datetime:
    """Make ``databases`` read-only for new sessions, all in one transaction; returns the server's clock after it."""
    return _alter(conn, databases, "ALTER DATABASE {} SET default_transaction_read_only = on")


def open_databases(conn: Connection, databases: Sequence[str], *, lift: bool = False) -> datetime:
    """Give ``databases`` back to writers, all in one transaction; returns the server's clock after it.

    ``lift`` is for a server that is read-only by its own configuration, which a database overrides.
    """
    how = "SET default_transaction_read_only = off" if lift else "RESET default_transaction_read_only"
    return _alter(conn, databases, f"ALTER DATABASE {{}} {how}")


def read_only_server(endpoint: Endpoint) -> bool:
    """Whether clients cannot write although ``endpoint``'s database is not closed, as where RDS has switched over from."""
    with closing(connect(endpoint, fenced=True)) as conn:
        return bool(value(conn, "SHOW default_transaction_read_only") == "on")


def _alter(conn: Connection, databases: Sequence[str], statement: str) -> datetime:
    # Statements sent together are one transaction (PostgreSQL manual, 53.2.2.1), for one round trip.
    execute(conn, sql.SQL("; ").join(sql.SQL(statement).format(sql.Identifier(database)) for database in databases))
    moment: datetime = value(conn, "SELECT clock_timestamp()")
    return moment


def newcomers(conn: Connection, databases: Sequence[str], since: datetime, ours: Sequence[int]) -> list[Writer]:
    """The client sessions in ``databases`` that logged in behind the fence; read-only unless they lift that themselves."""
    statement = "SELECT a.pid, a.usename, a.application_name" + _CLIENTS + " AND a.backend_start >= %(since)s"
    found = rows(conn, statement, {"databases": list(databases), "since": since, "ours": list(ours)})
    return [Writer(*row) for row in found]


def named(sessions: Sequence[Writer]) -> str:
    """Sessions in words, for a person to find them."""
    return ", ".join(f"{one.user} (pid {one.pid}, {one.application or 'no application name'})" for one in sessions)


def end_sessions(conn: Connection, databases: Sequence[str], since: datetime, ours: Sequence[int]) -> int:
    """Terminate the client sessions in ``databases`` that began before ``since``; returns how many were told to end."""
    statement = "SELECT count(pg_catalog.pg_terminate_backend(a.pid))" + _CLIENTS + " AND a.backend_start < %(since)s"
    return int(value(conn, statement, {"databases": list(databases), "since": since, "ours": list(ours)}))


def end_writers(
    conn: Connection, databases: Sequence[str], since: datetime, ours: Sequence[int], deadline: Deadline
) -> None:
    """End every session that could still write and wait until none is left.

    Raises :class:`BlueGreenError` with the sessions, or the prepared transactions, that are still there at the deadline.
    """
    parameters = {"databases": list(databases), "since": since, "ours": list(ours)}
    while True:
        found = [
            Writer(*row[:3])
            for row in rows(
                conn,
                "SELECT a.pid, a.usename, a.application_name, pg_catalog.pg_terminate_backend(a.pid)" + _WRITERS,
                parameters,
            )
        ]
        if not found:
            break
        if deadline.passed:
            raise BlueGreenError(f"Every client session should end at the fence, but these did not: {named(found)}.")
        time.sleep(_POLL)
    refuse_prepared(conn, databases)


def refuse_prepared(conn: Connection, databases: Sequence[str]) -> None:
    """Raise :class:`BlueGreenError` when a prepared transaction is left: it can be committed behind the fence."""
    found = rows(
        conn, "SELECT gid, database FROM pg_catalog.pg_prepared_xacts WHERE database = ANY(%s)", [list(databases)]
    )
    if found:
        held = ", ".join(f"{gid!r} in {database}" for gid, database in found)
        raise BlueGreenError(
            f"No prepared transaction may be left behind the fence, because it can still be committed, but found {held}: "
            "let its owner COMMIT PREPARED or ROLLBACK PREPARED it."
        )


class Proof:
    """Writes that must fail, one per database, made as a client makes them and meanwhile other work goes on."""

    def __init__(self, endpoint: Endpoint, databases: Sequence[str], schema: str) -> None:
        self._pool = ThreadPoolExecutor(min(len(databases), _PROOFS), thread_name_prefix="proof")
        self._futures: list[Future[None]] = [
            self._pool.submit(_prove, endpoint.at(database), schema) for database in databases
        ]

    def result(self) -> None:
        """Wait for every write to be refused; raises :class:`BlueGreenError` when one was not."""
        try:
            for future in self._futures:
                future.result()
        finally:
            self._pool.shutdown(wait=False)


def _prove(endpoint: Endpoint, schema: str) -> None:
    with closing(connect(endpoint, fenced=True)) as conn:
        statement = sql.SQL("UPDATE {}.marker SET token = token WHERE false").format(sql.Identifier(schema))
        try:
            execute(conn, statement)
        except errors.ReadOnlySqlTransaction:
            return
    raise BlueGreenError(
        f"A write on {endpoint.side} must fail behind the fence, but in database {endpoint.database} user {endpoint.user} "
        "could write: look for ALTER ROLE .. SET default_transaction_read_only = off."
    )
