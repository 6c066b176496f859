# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Accounts, which replication leaves alone: how those of the target differ from the source's, and bringing them over.

Aurora MySQL 3 and later do not replicate the schema ``mysql``, so that what CREATE USER, GRANT and ALTER USER changed on the
side that serves is missing on the other one. Everything here is written with the binary log off. The target is closed for
writers: an account made there is locked and put on record in its fence, which unlocks it when the target opens.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING

try:
    import pymysql
except ImportError:  # refused in connection.require_driver()
    pass

from .._core.errors import words
from . import record
from .accounts_catalog import Catalog, read
from .accounts_compare import AccountDifference, compare
from .connection import code, execute, unlogged
from .locks import system_account
from .record import Account

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

_PASSES = 4  # an account, what it has, and what taking away one thing took away with it
_GONE = (2006, 2013, 2055)  # the connection is lost


def differences(
    source: Connection[Cursor],
    target: Connection[Cursor],
    deployment_id: str,
    ignore: Callable[[Account], bool] = lambda account: False,
) -> list[AccountDifference]:
    """What the target's accounts have to become as the source's are, in the order in which it has to be done.

    System accounts, the user of each connection and those to ``ignore`` are left out. A lock that a fence of the deployment
    put there is no difference. Nothing in the result holds a password or its hash, except ``statements``.
    """
    return _compare(read(source), read(target), source, target, deployment_id, ignore)


def carry(
    source: Connection[Cursor],
    target: Connection[Cursor],
    deployment_id: str,
    ignore: Callable[[Account], bool] = lambda account: False,
) -> tuple[list[str], list[AccountDifference]]:
    """Make the target's accounts what the source's are; returns what was done, and the differences that are left.

    Those that are left have an ``obstacle``. An account that only the target has is never dropped.
    """
    if not record.exists(target, "fence"):  # a clone has it, and what is made here would be a transaction of its own
        record.ensure(target)
    wanted = read(source)
    done: dict[tuple[Account, str], str] = {}
    refused: dict[tuple[Account, str], str] = {}
    for _pass in range(_PASSES):
        found = _compare(wanted, read(target), source, target, deployment_id, ignore)
        ahead = [one for one in found if not one.obstacle and (one.account, one.what) not in refused]
        if not ahead:
            break
        with unlogged(target):
            for one in ahead:
                key = (one.account, one.what)
                reason = "it was done before, without effect" if key in done else _apply(target, deployment_id, one)
                if reason:
                    refused[key] = reason
                else:
                    done[key] = str(one)
    left = _compare(wanted, read(target), source, target, deployment_id, ignore)
    return list(done.values()), [one.refused(refused.get((one.account, one.what), one.obstacle)) for one in left]


def ignoring(users: Collection[str], patterns: Callable[[str], bool] | None = None) -> Callable[[Account], bool]:
    """What to ignore: these user names, and accounts whose ``mysql.user@host`` ``patterns`` says yes to."""
    return lambda account: account.user in users or bool(patterns and patterns(f"mysql.{account.user}@{account.host}"))


def _compare(
    wanted: Catalog,
    found: Catalog,
    source: Connection[Cursor],
    target: Connection[Cursor],
    deployment_id: str,
    ignore: Callable[[Account], bool],
) -> list[AccountDifference]:
    mine = {wanted.user, found.user}
    return compare(
        wanted,
        found,
        frozenset(record.fenced_accounts(source, deployment_id)),
        frozenset(record.fenced_accounts(target, deployment_id)),
        lambda account: account in mine or system_account(account.user) or ignore(account),
    )


def _apply(target: Connection[Cursor], deployment_id: str, one: AccountDifference) -> str:
    """Run the statements; returns why one was refused, empty when all went well."""
    try:
        for statement in one.statements:
            execute(target, statement)
    except pymysql.MySQLError as error:
        if code(error) in _GONE or not target.open:
            raise
        return words(error)
    _list(target, deployment_id, one.listed, [one.account])
    return ""


def _list(target: Connection[Cursor], deployment_id: str, listed: bool | None, accounts: Iterable[Account]) -> None:
    if listed is None:
        return
    for account in accounts:
        if listed:
            statement = "INSERT IGNORE INTO bluegreen.fence (deployment_id, user, host) VALUES (%s, %s, %s)"
        else:
            statement = "DELETE FROM bluegreen.fence WHERE deployment_id = %s AND user = %s AND host = %s"
        execute(target, statement, (deployment_id, account.user, account.host))
