# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""One login as a client makes it, on MySQL or PostgreSQL: a connection that is kept, and reasons told apart when there is none."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Literal

from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError, words
from .._mysql import connection as mysql
from .._postgresql import connection as postgresql

Family = Literal["mysql", "postgresql"]
Reason = Literal["absent", "grant", "login", "unreachable"]

# MySQL 8.4 manual, error reference; PostgreSQL manual, appendix A.
_REASONS: Mapping[int | str, Reason] = {
    1044: "grant",  # access denied to the database
    1142: "grant",  # command denied for a table
    1143: "grant",  # ... for a column
    1227: "grant",
    1370: "grant",  # ... for a routine
    1146: "absent",  # no such table
    1109: "absent",  # ... in information_schema
    1049: "absent",
    1305: "absent",  # no such routine
    "42501": "grant",
    "42P01": "absent",
    "42883": "absent",
    "3F000": "absent",
    "3D000": "absent",
}
_LOGIN_MYSQL = frozenset({1045, 1698, 1820, 1862, 3118, 3159, 1044, 1049, 1130})
# What a PostgreSQL that answers says of a login; the driver gives no code at this point.
_LOGIN_POSTGRESQL = re.compile(
    r"authentication failed|no pg_hba\.conf entry|does not exist|not permitted to log in|permission denied for database"
    r"|no password supplied|pg_hba\.conf rejects",
    re.IGNORECASE,
)


class Session:
    """Statements of one login, over a connection that is made when it is needed and made anew when it broke.

    It has none of the rights that our own sessions ask for. Whatever fails raises :class:`BlueGreenError` whose
    ``details["reason"]`` is one of ``absent``, ``grant``, ``login`` and ``unreachable``.
    """

    def __init__(self, endpoint: Endpoint, family: Family) -> None:
        self.endpoint, self.family = endpoint, family
        self._conn: Any = None

    def rows(self, statement: str) -> list[dict[str, Any]]:
        """The rows of a statement, each by its lower-case column names."""
        if self._conn is None:
            self._conn = self._connect()
        try:
            with self._conn.cursor() as cursor:
                cursor.execute(statement)
                names = [column[0].lower() for column in cursor.description or ()]
                return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()] if names else []
        except Exception as error:  # noqa: BLE001  the drivers have no common exception, and their names stay below
            reason = _REASONS.get(_code(error), "unreachable")
            if reason == "unreachable":
                self.close()
            raise BlueGreenError(
                f"{self.endpoint.side} at {self.endpoint.host}:{self.endpoint.port} should answer user {self.endpoint.user}, but: "
                f"{words(error) or 'no answer'}.",
                reason=reason,
                said=words(error),
            ) from None

    def value(self, statement: str) -> Any:
        """The first column of the first row, None when there is no row."""
        found = self.rows(statement)
        return next(iter(found[0].values())) if found else None

    def close(self) -> None:
        """End the connection, also one that is broken."""
        conn, self._conn = self._conn, None
        if conn is not None:
            with suppress(Exception):
                conn.close()

    def sever(self) -> None:
        """Break the connection from whatever thread, so that a statement that waits for a frozen server ends."""
        conn = self._conn
        if conn is None:
            return
        with suppress(Exception):
            if self.family == "mysql":
                mysql.sever(conn)
            else:
                conn.cancel()

    def _connect(self) -> Any:
        try:
            if self.family == "mysql":
                return mysql.connect(self.endpoint, read_timeout=self.endpoint.connect_timeout)
            return postgresql.connect(self.endpoint, fenced=True)
        except BlueGreenError as error:
            raise BlueGreenError(error.message, reason=self._login_reason(error), said=error.message) from None

    def _login_reason(self, error: BlueGreenError) -> Reason:
        cause = error.__context__
        if self.family == "mysql":
            return "login" if cause is not None and mysql.code(cause) in _LOGIN_MYSQL else "unreachable"
        return "login" if _LOGIN_POSTGRESQL.search(str(cause)) else "unreachable"


def _code(error: BaseException) -> int | str:
    """The server's own code of what went wrong, an empty string when it gave none."""
    state = getattr(error, "pgcode", None)
    return state if isinstance(state, str) else (mysql.code(error) or "")
