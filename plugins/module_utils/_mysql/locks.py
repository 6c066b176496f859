# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The durable layer of the fence: client accounts are locked, and which ones is on record in the side's own table.

A lock refuses new logins (error 3118) and lives on the volume, so it outlasts a restart and a failover. Sessions that are there
go on until they are ended. Locks and record stay out of the binary log: each side has its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING

try:
    import pymysql
except ImportError:  # refused in connection.require_driver()
    pass

from .._core.errors import BlueGreenError, words
from .connection import code, execute, rows, unlogged, value
from .record import Account, exists, forget_fence, remember_fence

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

# Replication's own accounts can write nothing: REPLICATION SLAVE without a right to anything.
_UNLOCKED = """
SELECT u.user, u.host FROM mysql.user AS u
WHERE u.account_locked = 'N'
AND NOT (u.Repl_slave_priv = 'Y' AND 'Y' NOT IN (u.Insert_priv, u.Update_priv, u.Delete_priv, u.Create_priv, u.Drop_priv,
    u.Alter_priv, u.Execute_priv, u.Create_user_priv, u.Super_priv)
    AND NOT EXISTS (SELECT 1 FROM mysql.db AS d WHERE d.user = u.user AND d.host = u.host)
    AND NOT EXISTS (SELECT 1 FROM mysql.tables_priv AS t WHERE t.user = u.user AND t.host = u.host)
    AND NOT EXISTS (SELECT 1 FROM mysql.columns_priv AS c WHERE c.user = u.user AND c.host = u.host)
    AND NOT EXISTS (SELECT 1 FROM mysql.procs_priv AS p WHERE p.user = u.user AND p.host = u.host)
    /*!80000 AND NOT EXISTS (SELECT 1 FROM mysql.role_edges AS r WHERE r.to_user = u.user AND r.to_host = u.host) */)
ORDER BY u.user, u.host
"""
_ON_RECORD = "FROM bluegreen.fence AS f LEFT JOIN mysql.user AS u ON u.user = f.user AND u.host = f.host WHERE f.deployment_id = %s"
_SYSTEM_PREFIXES = ("mysql.", "rdsadmin", "rdsrepladmin", "rdsproxyadmin", "rdstopmgr", "rds_", "AWS_")


def parse_account(text: str) -> Account:
    """``user@host`` or ``user``, which is ``user@%``; quotes around each part are taken off."""
    user, at, host = text.rpartition("@")
    if not at:
        user, host = text, "%"
    return Account(_bare(user), _bare(host))


def system_account(user: str) -> bool:
    """Whether a user is the server's or the service's own."""
    return user.startswith(_SYSTEM_PREFIXES)


def client_accounts(
    conn: Connection[Cursor], *, users: Collection[str] = (), accounts: Collection[Account] = ()
) -> list[Account]:
    """The accounts that a client can log in with now, in order: those that a fence has to lock.

    Not among them: the user of this connection, accounts that can do nothing but replicate, the server's and the service's
    own, ``users`` by their name and ``accounts``.
    """
    mine = str(value(conn, "SELECT CURRENT_USER()")).rpartition("@")[0]
    found = [Account(str(user), str(host)) for user, host in rows(conn, _UNLOCKED)]
    return [
        account
        for account in found
        if account.user not in {mine, *users} and account not in accounts and not system_account(account.user)
    ]


def lock(conn: Connection[Cursor], deployment_id: str, accounts: Sequence[Account]) -> None:
    """Close the side: commit ``accounts`` to the fence's table, beside those that are in it, then lock them at once.

    Also without any account, a side that has none is closed by being on record. An account that is gone is left out.
    """
    with unlogged(conn):
        remember_fence(conn, deployment_id, accounts)
        _alter(conn, accounts, "LOCK")


def unlock(conn: Connection[Cursor], deployment_id: str, accounts: Sequence[Account] | None = None) -> list[Account]:
    """Open the side: unlock what the fence has locked, then take it off the record; returns the accounts.

    ``accounts`` saves reading them; they must be those of :func:`locked_accounts`. What the fence was to lock but did not is
    left alone, so that an account that this user may not change cannot keep the side closed.
    """
    found = locked_accounts(conn, deployment_id) if accounts is None else list(accounts)
    with unlogged(conn):
        _alter(conn, found, "UNLOCK")
        forget_fence(conn, deployment_id)
    return found


def release(conn: Connection[Cursor], deployment_id: str, accounts: Sequence[Account]) -> None:
    """Unlock some of the accounts that the fence has locked, the others stay."""
    with unlogged(conn):
        _alter(conn, accounts, "UNLOCK")
        for account in accounts:
            execute(
                conn,
                "DELETE FROM bluegreen.fence WHERE deployment_id = %s AND user = %s AND host = %s",
                (deployment_id, account.user, account.host),
            )


def locked_accounts(conn: Connection[Cursor], deployment_id: str) -> list[Account]:
    """The accounts on the fence's record that are locked now, in order."""
    if not exists(conn, "fence"):
        return []
    statement = f"SELECT f.user, f.host {_ON_RECORD} AND u.account_locked = 'Y' ORDER BY f.user, f.host"
    return [Account(str(user), str(host)) for user, host in rows(conn, statement, (deployment_id,))]


def closed(conn: Connection[Cursor], deployment_id: str) -> bool:
    """Whether the deployment's fence is on record here and every account of it that still exists is locked."""
    if not exists(conn, "fence"):
        return False
    statement = f"SELECT COUNT(*), COALESCE(SUM(u.account_locked = 'N'), 0) {_ON_RECORD}"
    on_record, still_open = rows(conn, statement, (deployment_id,))[0]
    return bool(on_record) and not still_open


def sessions_of(conn: Connection[Cursor], users: Iterable[str]) -> list[int]:
    """The connection ids of the sessions that are logged in as one of ``users``, this one not among them."""
    wanted, mine = set(users), value(conn, "SELECT CONNECTION_ID()")
    return [int(row[0]) for row in rows(conn, "SHOW PROCESSLIST") if row[1] in wanted and int(row[0]) != mine]


def _alter(conn: Connection[Cursor], accounts: Sequence[Account], what: str) -> None:
    if not accounts:
        return
    every = ", ".join(["%s@%s"] * len(accounts))
    parameters = [part for account in accounts for part in (account.user, account.host)]
    try:
        execute(conn, f"ALTER USER IF EXISTS {every} ACCOUNT {what}", parameters)
    except pymysql.MySQLError as error:
        if code(error) != 1227:
            raise
        raise BlueGreenError(
            f"The accounts {', '.join(map(str, accounts))} were to be {what.lower()}ed, but the user may not change one of them "
            f"({words(error)}): log in as the master user, and take SYSTEM_USER from accounts that clients use."
        ) from None


def _bare(part: str) -> str:
    quoted = len(part) > 1 and part[0] == part[-1] and part[0] in "'\"`"
    return part[1:-1] if quoted else part
