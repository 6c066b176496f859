# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The right to read the Blue/Green metadata on RDS for PostgreSQL.

Source: aws-advanced-jdbc-wrapper, UsingTheBlueGreenPlugin, "Connecting with non-admin users".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

try:
    import psycopg2
    from psycopg2 import sql
except ImportError:  # refused in connection.require_driver()
    pass

from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError, words
from .connection import connected, execute, rows, value

EXTENSION = "CREATE EXTENSION IF NOT EXISTS rds_tools"
FIRST = (1, 7)  # the version of the extension that has show_topology


@dataclass(frozen=True)
class Tools:
    """The extension in one database: its version, empty without it, and whether the server is a physical standby."""

    version: str
    standby: bool

    @property
    def old(self) -> bool:
        """Whether it is there, but without the function."""
        return bool(self.version) and tuple(int(part) for part in self.version.split(".")[:2] if part.isdigit()) < FIRST


def tools(endpoint: Endpoint) -> Tools:
    """The extension in the endpoint's database; raises :class:`BlueGreenError`."""
    try:
        with connected(endpoint) as conn:
            found = rows(conn, "SELECT extversion FROM pg_extension WHERE extname = 'rds_tools'")
            return Tools(str(found[0][0]) if found else "", bool(value(conn, "SELECT pg_is_in_recovery()")))
    except psycopg2.Error as error:
        raise _refusal(endpoint, "look at pg_extension", error) from None


def create_tools(endpoint: Endpoint, *, update: bool) -> None:
    """Make the extension in the endpoint's database, or bring it to its newest version."""
    statement = "ALTER EXTENSION rds_tools UPDATE" if update else EXTENSION
    try:
        with connected(endpoint) as conn:
            execute(conn, statement)
    except psycopg2.Error as error:
        raise _refusal(endpoint, f"run {statement}", error) from None


def grant_statements(user: str) -> list[str]:
    """What lets a role read the metadata, in each database it connects to."""
    role = '"' + user.replace('"', '""') + '"'
    return [
        f"GRANT USAGE ON SCHEMA rds_tools TO {role}",
        f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA rds_tools TO {role}",
    ]


def grant_metadata(endpoint: Endpoint, users: Sequence[str]) -> None:
    """Let these roles read the metadata in the endpoint's database."""
    try:
        with connected(endpoint) as conn:
            for user in users:
                for statement in grant_statements(user):
                    execute(conn, sql.SQL(statement))
    except psycopg2.Error as error:
        said = "; ".join(statement for user in users for statement in grant_statements(user))
        raise _refusal(endpoint, f"run {said}", error) from None


def _refusal(endpoint: Endpoint, what: str, error: BaseException) -> BlueGreenError:
    return BlueGreenError(
        f"On {endpoint.side} user {endpoint.user} should {what} in the database {endpoint.database}, but: {words(error)}; log in "
        "as the master user."
    )
