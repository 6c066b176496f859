# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The user that a replica logs in to its source with: REPLICATION SLAVE and nothing else, over TLS unless told otherwise.

It is made on each side separately with the binary log off, because Aurora MySQL version 3 does not replicate accounts and an
account made in the log would be a transaction of that side's own.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._core.errors import BlueGreenError
from . import record
from .connection import dicts, execute, unlogged, value

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

NOTE = "replication_user"
_GIVEN = re.compile(r"[A-Za-z][A-Za-z0-9_]{3,15}")
_LONGEST_PASSWORD = 32  # of CHANGE REPLICATION SOURCE TO (MySQL manual, 15.4.2.2)


@dataclass(frozen=True)
class Login:
    """The user and how it logs in; ``given`` says that the user chose the name, ``password`` None that one is to be made."""

    user: str
    given: bool = False
    password: str | None = None
    encrypted: bool = True

    def __repr__(self) -> str:
        return f"Login({self.user})"


@dataclass(frozen=True)
class Account:
    """The account as it is; ``ours`` when the deployment has made it."""

    encrypted: bool
    replicates: bool
    ours: bool


def login(default: str, user: str | None, password: str | None, ssl_mode: str) -> Login:
    """The login from the options; raises :class:`BlueGreenError` when they break a rule."""
    if user is not None and not _GIVEN.fullmatch(user):
        raise BlueGreenError(
            "replication_user must be 4 to 16 letters, digits and underscores and begin with a letter, but is "
            f"{user!r}: choose another one."
        )
    if password is not None and not 0 < len(password) <= _LONGEST_PASSWORD:
        raise BlueGreenError(
            f"replication_password must have 1 to {_LONGEST_PASSWORD} characters, as CHANGE REPLICATION SOURCE TO takes them, but has "
            f"{len(password)}: choose another one."
        )
    return Login(user or default, user is not None, password, ssl_mode != "disable")


def find(conn: Connection[Cursor], deployment_id: str, wanted: Login) -> Account | None:
    """The account on this side, None when there is none."""
    found = dicts(
        conn,
        "SELECT ssl_type, Repl_slave_priv AS replicates FROM mysql.user WHERE user = %s AND host = '%%'",
        (wanted.user,),
    )
    if not found:
        return None
    noted = record.notes(conn, deployment_id).get(NOTE) == wanted.user
    return Account(bool(_text(found[0]["ssl_type"])), found[0]["replicates"] == "Y", noted or not wanted.given)


def refuse_foreign(account: Account | None, wanted: Login, side: str) -> None:
    """Raise :class:`BlueGreenError` for an account that somebody else made and that cannot be used as it is."""
    if account is None or account.ours:
        return
    if wanted.password is None:
        raise BlueGreenError(
            f"The user {wanted.user} exists on {side} already and was not made by this deployment, so its password stays as it is: "
            "give replication_password, or another replication_user."
        )
    if not account.replicates:
        raise BlueGreenError(
            f"The user {wanted.user} on {side} should have REPLICATION SLAVE, but does not: GRANT REPLICATION SLAVE ON *.* TO "
            f"'{wanted.user}'@'%', or give another replication_user."
        )


def complete(account: Account | None, wanted: Login) -> bool:
    """Whether :func:`ensure` has nothing to do."""
    return account is not None and (not account.ours or (account.replicates and account.encrypted == wanted.encrypted))


def ensure(conn: Connection[Cursor], deployment_id: str, wanted: Login) -> None:
    """Make the account, or what is missing of it; nobody knows the password until :func:`renew`, unless it was given."""
    record.note(
        conn, deployment_id, NOTE, wanted.user
    )  # before it is there, so that whatever is there is removed in the end
    require = "SSL" if wanted.encrypted else "NONE"
    with unlogged(conn):
        execute(
            conn,
            f"CREATE USER IF NOT EXISTS %s@'%%' IDENTIFIED {_plugin(conn, wanted)}BY %s REQUIRE {require}",
            (wanted.user, wanted.password or new_password()),
        )
        execute(conn, f"ALTER USER %s@'%%' REQUIRE {require} ACCOUNT UNLOCK", (wanted.user,))
        execute(conn, "GRANT REPLICATION SLAVE ON *.* TO %s@'%%'", (wanted.user,))


def renew(conn: Connection[Cursor], deployment_id: str, wanted: Login) -> str:
    """The password to log in with from now on: the given one, else a new one; set on this side if the account is ours."""
    account = find(conn, deployment_id, wanted)
    if account is None or not complete(account, wanted):
        ensure(conn, deployment_id, wanted)
    password = wanted.password or new_password()
    if account is None or account.ours:
        with unlogged(conn):
            execute(conn, f"ALTER USER %s@'%%' IDENTIFIED {_plugin(conn, wanted)}BY %s", (wanted.user, password))
    return password


def drop(conn: Connection[Cursor], user: str) -> None:
    """Drop the account if it is there."""
    with unlogged(conn):
        execute(conn, "DROP USER IF EXISTS %s@'%%'", (user,))


def new_password() -> str:
    """A password that the usual policies accept and CHANGE REPLICATION SOURCE TO takes."""
    return f"{secrets.token_urlsafe(20)}aZ4_-"[:_LONGEST_PASSWORD]


def _plugin(conn: Connection[Cursor], wanted: Login) -> str:
    """Without TLS, caching_sha2_password would need the source's public key, which the service's procedures cannot ask for."""
    if wanted.encrypted:
        return ""
    statement = "SELECT 1 FROM information_schema.plugins WHERE plugin_name = 'mysql_native_password' AND plugin_status = 'ACTIVE'"
    return "WITH mysql_native_password " if value(conn, statement) else ""


def _text(content: bytes | str | None) -> str:
    return content.decode() if isinstance(content, bytes) else content or ""
