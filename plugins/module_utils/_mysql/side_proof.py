# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The proof of the fence: a client's session from before it cannot write, and a client cannot log in.

The client is an account of our own, made for one run with a password that nobody else knows, and with no right but to
insert into one table. It is locked with the others and its session is ended with theirs.
"""

from __future__ import annotations

import secrets
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

try:
    import pymysql
except ImportError:  # refused in connection.require_driver()
    pass

from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError, words
from .._core.waiting import wait_until
from .connection import as_user, close, code, connect, connection_id, execute, unlogged
from .record import Account

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

_TABLE = "CREATE TABLE IF NOT EXISTS bluegreen.probe (written TINYINT NOT NULL) ENGINE=InnoDB"
_WRITE = "INSERT INTO bluegreen.probe SELECT 1 FROM bluegreen.probe WHERE FALSE"  # refused before it looks for rows
_READ_ONLY = (1290, 1836)
_LOCKED = 3118
_GONE = (0, 2006, 2013, 2055, 4031, 1053, 1317)  # the session was ended
_PATIENCE = 3.0  # s, for a login that is refused for another reason, such as too many sessions


class Probe:
    """One account on one side, with a session."""

    def __init__(self, conn: Connection[Cursor], endpoint: Endpoint, user: str) -> None:
        self.account = Account(user, "%")
        self._side = endpoint.side
        password = secrets.token_urlsafe(24) + "-aA1"
        with unlogged(conn):
            execute(conn, _TABLE)
            drop_probe(conn, user)
            execute(conn, "CREATE USER %s@%s IDENTIFIED BY %s", (self.account.user, self.account.host, password))
            execute(conn, "GRANT SELECT, INSERT ON bluegreen.probe TO %s@%s", (self.account.user, self.account.host))
        self._endpoint = as_user(endpoint, self.account.user, password).at("")
        self._conn = connect(self._endpoint)
        self._login: Future[None] | None = None

    @property
    def id(self) -> int:
        """The connection id of the session."""
        return connection_id(self._conn)

    def must_not_write(self) -> None:
        """Raise :class:`BlueGreenError` when the old session can still write."""
        try:
            execute(self._conn, _WRITE)
        except pymysql.MySQLError as error:
            if code(error) in (*_READ_ONLY, *_GONE) or not self._conn.open:
                return
            raise BlueGreenError(
                f"A write on {self._side} must fail behind the fence because the side is read-only, but it failed for another "
                f"reason: {words(error)}."
            ) from None
        raise BlueGreenError(f"A write on {self._side} must fail behind the fence, but a client's session could write.")

    def try_login(self) -> None:
        """Begin to log in as a client does, while other work goes on; the answer is read by :meth:`must_not_login`."""
        pool = ThreadPoolExecutor(1, thread_name_prefix="proof")
        self._login = pool.submit(self._refused)
        pool.shutdown(wait=False)

    def must_not_login(self) -> None:
        """Raise :class:`BlueGreenError` unless the login was refused because the account is locked."""
        if self._login is None:
            self.try_login()
        login, self._login = self._login, None
        if login is not None:
            login.result()

    def close(self) -> None:
        """End the session."""
        close(self._conn)

    def _refused(self) -> None:
        wait_until(
            self._attempt,
            lambda number: number == _LOCKED,
            timeout=_PATIENCE,
            delay=0.05,
            wanted=f"a client's login on {self._side} to be refused because the account is locked (error {_LOCKED})",
            seen=lambda number: f"error {number}",
        )

    def _attempt(self) -> int | None:
        try:
            conn = connect(self._endpoint)
        except BlueGreenError as error:
            return code(error.__context__) if error.__context__ else None
        close(conn)
        raise BlueGreenError(
            f"A client must not be able to log in on {self._side} behind the fence, but one with a locked account could."
        )


def drop_probe(conn: Connection[Cursor], user: str) -> None:
    """Take the account away if it is there; the caller keeps it out of the binary log."""
    execute(conn, "DROP USER IF EXISTS %s@'%%'", (user,))
