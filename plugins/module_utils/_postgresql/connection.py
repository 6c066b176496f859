# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Connections to PostgreSQL that see through the fence and never wait for ever."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

try:
    import psycopg2
    from psycopg2 import extensions, sql
except ImportError:  # the modules refuse to run without it, see require_driver()
    psycopg2 = None  # type: ignore[assignment]

from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError, words

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg2.extensions import connection as Connection

APPLICATION_NAME = "bluegreen"
MAINTENANCE_DATABASE = "postgres"

# Ours may write on both sides of the fence; TCP keepalives find a dead server in seconds (libpq, 34.1.2).
# What a role or a database was given as limits would end our own work in the middle.
_OPTIONS = (
    "-c default_transaction_read_only=off -c statement_timeout=0 -c lock_timeout=0"
    " -c idle_in_transaction_session_timeout=0 -c idle_session_timeout=0"
)
_KEEPALIVES = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10000}


def require_driver() -> None:
    """Raise :class:`BlueGreenError` when psycopg2 is not installed."""
    if psycopg2 is None:
        raise BlueGreenError(
            "The Python package psycopg2 is needed on the host that runs this module, but it is not installed: "
            "install psycopg2-binary for the interpreter that Ansible uses there."
        )


def connect(endpoint: Endpoint, *, fenced: bool = False) -> Connection:
    """An autocommit connection; raises :class:`BlueGreenError` with the server's reason when there is none.

    ``fenced=True`` connects as a client does, without our right to write behind the fence.
    """
    require_driver()
    parameters: dict[str, Any] = {
        "host": endpoint.host,
        "port": endpoint.port,
        "user": endpoint.user,
        "password": endpoint.password,
        "dbname": endpoint.database or MAINTENANCE_DATABASE,
        "sslmode": endpoint.ssl_mode,
        "connect_timeout": endpoint.connect_timeout,
        "application_name": APPLICATION_NAME,
        **_KEEPALIVES,
    }
    if endpoint.address:
        parameters["hostaddr"] = endpoint.address
    if endpoint.ca_cert:
        parameters["sslrootcert"] = endpoint.ca_cert
    elif endpoint.ssl_mode.startswith("verify"):
        parameters["sslrootcert"] = "system"
        if endpoint.ssl_mode == "verify-ca":  # libpq allows the system's authorities with verify-full only
            parameters["sslmode"] = "verify-full"
    if not fenced:
        parameters["options"] = _OPTIONS
    try:
        conn: Connection = psycopg2.connect(**parameters)
    except psycopg2.OperationalError as error:
        raise BlueGreenError(_connect_sentence(endpoint, error)) from None
    conn.autocommit = True
    if not fenced and conn.info.server_version >= 170000:
        execute(conn, "SET transaction_timeout = 0")  # older servers refuse to start a session with it
    return conn


@contextmanager
def connected(endpoint: Endpoint) -> Iterator[Connection]:
    """A connection for a ``with`` block, closed at its end."""
    conn = connect(endpoint)
    try:
        yield conn
    finally:
        conn.close()


@contextmanager
def transaction(conn: Connection) -> Iterator[Connection]:
    """One transaction on an autocommit connection: committed at the end, rolled back by an exception."""
    conn.autocommit = False
    try:
        yield conn
        conn.commit()
    except BaseException:
        if not conn.closed:
            conn.rollback()
        raise
    finally:
        if not conn.closed:
            conn.autocommit = True


def rows(
    conn: Connection, statement: str | sql.Composable, parameters: Sequence[Any] | Mapping[str, Any] | None = None
) -> list[tuple[Any, ...]]:
    """All rows of a statement, an empty list when it returns none."""
    with conn.cursor() as cursor:
        cursor.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []


def value(
    conn: Connection, statement: str | sql.Composable, parameters: Sequence[Any] | Mapping[str, Any] | None = None
) -> Any:
    """The first column of the first row, None when there is no row."""
    found = rows(conn, statement, parameters)
    return found[0][0] if found else None


def execute(
    conn: Connection, statement: str | sql.Composable, parameters: Sequence[Any] | Mapping[str, Any] | None = None
) -> None:
    """Run a statement for its effect."""
    with conn.cursor() as cursor:
        cursor.execute(statement, parameters)


def conninfo(**parameters: str) -> str:
    """A libpq connection string with libpq's escaping, whatever the values contain (PostgreSQL manual, 34.1.1.1)."""
    return str(extensions.make_dsn(None, **parameters))


def _connect_sentence(endpoint: Endpoint, error: BaseException) -> str:
    return (
        f"No connection to {endpoint.side} at {endpoint.host}:{endpoint.port}, database {endpoint.database}, as user "
        f"{endpoint.user}: {words(error)}; check the {endpoint.side} options host, port, user and password, "
        f"ssl_mode and ca_cert, and the security group."
    )
