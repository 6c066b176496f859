# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The right to read the Blue/Green metadata on MySQL.

Source: aws-advanced-jdbc-wrapper, UsingTheBlueGreenPlugin, "Connecting with non-admin users". GRANT needs no FLUSH PRIVILEGES
(MySQL manual, 8.2.13).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

try:
    import pymysql
except ImportError:  # refused in connection.require_driver()
    pass

from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError, words
from .connection import code, connected, execute, unlogged
from .probe import account

_READ_ONLY = 1290
_NO_USER = 1410
_ADVICE = {
    _READ_ONLY: "log in as a user with CONNECTION_ADMIN, such as the master user, who may write to a side that only reads",
    _NO_USER: "there is no such account on this side, give the user's own host, or create it on blue before the deployment",
}


def grant_statement(user: str, host: str) -> str:
    """What lets an account read the metadata."""
    return f"GRANT SELECT ON mysql.rds_topology TO {account(f'{user}@{host}')}"


def grant_metadata(endpoint: Endpoint, accounts: Sequence[tuple[str, str]], *, logged: bool) -> None:
    """Let these accounts (user, host) read the metadata, as the user of ``endpoint``, who logs out at once.

    Not ``logged`` it stays out of the binary log: on green, because nothing but the replication may write there, and on blue
    of a deployment, because the grant does not arrive on green. Raises :class:`BlueGreenError`.
    """
    try:
        with connected(endpoint) as conn, ExitStack() as stack:
            if not logged:
                stack.enter_context(unlogged(conn))
            for user, host in accounts:
                execute(conn, grant_statement(user, host))
    except pymysql.MySQLError as error:
        advice = _ADVICE.get(code(error) or 0, "log in as the master user")
        raise BlueGreenError(
            f"On {endpoint.side} user {endpoint.user} should run {'; '.join(grant_statement(*one) for one in accounts)}, but: "
            f"{words(error)}; {advice}."
        ) from None
