# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Connections to MySQL: their settings are ours, whatever the server's defaults are, and they never wait for ever."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

try:
    import pymysql
    from pymysql.constants import CLIENT
    from pymysql.cursors import Cursor, DictCursor
except ImportError:  # the modules refuse to run without it, see require_driver()
    pymysql = None  # type: ignore[assignment]

from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError, words

if TYPE_CHECKING:
    from pymysql.connections import Connection

PROGRAM_NAME = "bluegreen"
DEFAULT_PORT = 3306

# A session inherits none of these from the server: our statements mean the same everywhere and nothing ends our work in
# the middle (MySQL manual, 7.1.8). The lock wait is short: what waits for a metadata lock makes every other client of the
# table wait too.
_SETTINGS = (
    "SET SESSION sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION', time_zone = '+00:00', autocommit = 1,"
    " foreign_key_checks = 1, wait_timeout = 28800, net_read_timeout = 60, lock_wait_timeout = 5,"
    " innodb_lock_wait_timeout = 5"
)
_UNLOGGED = "_bluegreen_unlogged"  # attribute of a connection whose binary log is off
_KEEPALIVE = (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 10000))


def require_driver() -> None:
    """Raise :class:`BlueGreenError` when PyMySQL is not installed."""
    if pymysql is None:
        raise BlueGreenError(
            "The Python package PyMySQL is needed on the host that runs this module, but it is not installed: "
            "install PyMySQL for the interpreter that Ansible uses there."
        )


def connect(endpoint: Endpoint, *, read_timeout: float | None = None, several: bool = False) -> Connection[Cursor]:
    """An autocommit connection; raises :class:`BlueGreenError` with the server's reason when there is none.

    With ``read_timeout`` an answer that takes longer (s) breaks it. ``several`` lets statements be sent together.
    """
    require_driver()
    try:
        conn = pymysql.connect(
            host=endpoint.host,
            port=endpoint.port,
            user=endpoint.user,
            password=endpoint.password,
            database=endpoint.database or None,
            charset="utf8mb4",
            connect_timeout=endpoint.connect_timeout,
            read_timeout=endpoint.connect_timeout,
            write_timeout=endpoint.connect_timeout,  # the one that TLS is begun with
            client_flag=CLIENT.MULTI_STATEMENTS if several else 0,
            autocommit=True,
            init_command=_SETTINGS,
            program_name=PROGRAM_NAME,
            defer_connect=endpoint.address is not None,
            **_encryption(endpoint),
        )
        if endpoint.address is not None:
            conn.connect(socket.create_connection((endpoint.address, endpoint.port), endpoint.connect_timeout))
    except (pymysql.MySQLError, OSError, ssl.SSLError, RuntimeError) as error:
        raise BlueGreenError(_connect_sentence(endpoint, error)) from None
    # Until here everything had connect_timeout: what accepts a connection may still be frozen.
    vars(conn).update(_read_timeout=read_timeout, _write_timeout=read_timeout)
    _keep_alive(conn)
    if endpoint.ssl_mode != "disable" and not value(conn, "SHOW SESSION STATUS LIKE 'Ssl_cipher'", column=1):
        conn.close()
        raise BlueGreenError(
            f"The connection to {endpoint.side} at {endpoint.host}:{endpoint.port} was to be encrypted, but the server "
            "offers no TLS: turn it on there, or give ssl_mode=disable."
        )
    return conn


@contextmanager
def connected(endpoint: Endpoint) -> Iterator[Connection[Cursor]]:
    """A connection for a ``with`` block, closed at its end."""
    conn = connect(endpoint)
    try:
        yield conn
    finally:
        close(conn)


def close(conn: Connection[Cursor] | None) -> None:
    """Close a connection, also one that is broken or closed already."""
    if conn is not None and conn.open:
        with suppress(pymysql.MySQLError, OSError):
            conn.close()


def connection_id(conn: Connection[Cursor]) -> int:
    """The id of the session on the server."""
    return int(conn.thread_id())  # type: ignore[no-untyped-call]


def sever(conn: Connection[Cursor] | None) -> None:
    """Break a connection from whatever thread: a server that is frozen answers nothing, not even a cancel."""
    link = getattr(conn, "_sock", None)
    if link is not None:
        with suppress(OSError):
            link.shutdown(socket.SHUT_RDWR)


@contextmanager
def transaction(conn: Connection[Cursor]) -> Iterator[Connection[Cursor]]:
    """One transaction on an autocommit connection: committed at the end, rolled back by an exception."""
    conn.begin()
    try:
        yield conn
        conn.commit()
    except BaseException:
        with suppress(pymysql.MySQLError, OSError):
            conn.rollback()
        raise


@contextmanager
def unlogged(conn: Connection[Cursor]) -> Iterator[Connection[Cursor]]:
    """Statements of the ``with`` block stay out of the binary log: no GTID, and no replica ever sees them.

    ``sql_log_bin`` where the user may set it (Aurora version 3 and later), else the service's procedures (version 2).
    Within such a block another one changes nothing. Raises :class:`BlueGreenError` when neither is allowed.
    """
    if getattr(conn, _UNLOGGED, False):
        yield conn
        return
    _log(conn, on=False)
    setattr(conn, _UNLOGGED, True)
    try:
        yield conn
    except BaseException:
        with suppress(pymysql.MySQLError, OSError, BlueGreenError):  # whatever broke it is what is to be told
            _log(conn, on=True)
        raise
    else:
        _log(conn, on=True)
    finally:
        setattr(conn, _UNLOGGED, False)


def rows(conn: Connection[Cursor], statement: str, parameters: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
    """All rows of a statement, an empty list when it returns none."""
    with conn.cursor() as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall()) if cursor.description else []


def dicts(conn: Connection[Cursor], statement: str, parameters: Sequence[Any] | None = None) -> list[dict[str, Any]]:
    """All rows of a statement by column name, in the server's own spelling."""
    with conn.cursor(DictCursor) as cursor:
        cursor.execute(statement, parameters)
        return list(cursor.fetchall())


def value(conn: Connection[Cursor], statement: str, parameters: Sequence[Any] | None = None, *, column: int = 0) -> Any:
    """A column of the first row, None when there is no row."""
    found = rows(conn, statement, parameters)
    return found[0][column] if found else None


def execute(conn: Connection[Cursor], statement: str, parameters: Sequence[Any] | None = None) -> int:
    """Run a statement for its effect, the result sets of a procedure read to their end; returns the affected rows."""
    with conn.cursor() as cursor:
        affected: int = cursor.execute(statement, parameters)
        while cursor.nextset():
            pass
    return affected


def identifier(*names: str) -> str:
    """A quoted identifier such as ```shop`.`orders``` (MySQL manual, 11.2)."""
    return ".".join("`" + name.replace("`", "``") + "`" for name in names)


def code(error: BaseException) -> int | None:
    """The server's error number of an exception, None when it has none."""
    number = error.args[0] if error.args else None
    return number if isinstance(number, int) else None


def _log(conn: Connection[Cursor], *, on: bool) -> None:
    try:
        execute(conn, f"SET SESSION sql_log_bin = {int(on)}")
        return
    except pymysql.MySQLError as error:
        if code(error) not in (1227, 1231):
            raise
    try:
        execute(conn, f"CALL mysql.rds_{'enable' if on else 'disable'}_session_binlog()")
    except pymysql.MySQLError as error:
        raise BlueGreenError(
            "The binary log was to be off for statements of one session, so that replicas do not see them, but the user may "
            f"not set sql_log_bin and the service's procedure did not do it ({words(error)}): log in as the master user."
        ) from None


def _encryption(endpoint: Endpoint) -> dict[str, Any]:
    if endpoint.ssl_mode == "disable":
        return {"ssl_disabled": True}
    try:
        context = ssl.create_default_context(cafile=endpoint.ca_cert)
    except (OSError, ssl.SSLError) as error:
        raise BlueGreenError(
            f"The certificate authorities of {endpoint.side} should be in {endpoint.ca_cert}, but that file cannot be used: "
            f"{words(error)}; correct ca_cert."
        ) from None
    context.check_hostname = endpoint.ssl_mode == "verify-full"
    if endpoint.ssl_mode == "require":
        context.verify_mode = ssl.CERT_NONE
    return {"ssl": context}


def _keep_alive(conn: Connection[Cursor]) -> None:
    """Find a dead server in seconds, whatever is being waited for."""
    link = getattr(conn, "_sock", None)
    if link is None:
        return
    link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, setting in _KEEPALIVE:
        if hasattr(socket, name):
            link.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), setting)


def _connect_sentence(endpoint: Endpoint, error: BaseException) -> str:
    return (
        f"No connection to {endpoint.side} at {endpoint.host}:{endpoint.port} as user {endpoint.user}: {words(error)}; "
        f"check the {endpoint.side} options host, port, user and password, ssl_mode and ca_cert, and the security group."
    )


def as_user(endpoint: Endpoint, user: str, password: str) -> Endpoint:
    """The same side, another login."""
    return replace(endpoint, user=user, password=password)
