# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Who can read the Blue/Green metadata: every user of an application logs in and asks as the AWS wrapper does."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError
from .._core.journal import Journal
from .._core.waiting import Deadline
from .._mysql import metadata_grants as mysql
from .._postgresql import metadata_grants as postgresql
from .metadata import Row, family, read
from .session import Session

_ARRIVAL = 5.0  # s
_LOOK = 0.2


@dataclass(frozen=True)
class User:
    """A user of an application, and how it logs in on each side that is there."""

    name: str
    host: str  # of the MySQL account
    logins: tuple[Endpoint, ...]


@dataclass(frozen=True)
class Look:
    """What one user sees on one side; ``reason`` is ``ok``, or one of metadata.read()."""

    user: str
    side: str
    database: str
    reason: str
    rows: tuple[Row, ...]
    message: str

    def as_dict(self) -> dict[str, Any]:
        """The look for a module's result."""
        return {
            "user": self.user,
            "side": self.side,
            "database": self.database or None,
            "status": self.reason,
            "rows": len(self.rows),
            "message": self.message or None,
        }


def looks(users: Sequence[User], dialect: str) -> list[Look]:
    """What every user sees on every side."""
    return [_look(user, login, dialect) for user in users for login in user.logins]


def looks_after(users: Sequence[User], dialect: str) -> list[Look]:
    """The same after grants: a green that is a physical copy has them some moments later."""
    deadline = Deadline(_ARRIVAL)
    while True:
        found = looks(users, dialect)
        if deadline.passed or all(look.reason != "grant" for look in found):
            return found
        time.sleep(_LOOK)


@dataclass(frozen=True)
class Granting:
    """Where to grant: the administrator of each side, and whether there is a deployment between them."""

    dialect: str
    admins: tuple[Endpoint, ...]
    deployed: bool


def grant(granting: Granting, users: Sequence[User], found: Sequence[Look], journal: Journal) -> None:
    """Give what is missing by these looks; what the service alone can give is left to the checks.

    Raises :class:`BlueGreenError` where a grant is refused, and where it would harm the replication.
    """
    for admin in granting.admins:
        missing = [look for look in found if look.side == admin.side and look.reason in ("grant", "absent")]
        if granting.dialect.endswith("mysql"):
            _grant_mysql(granting, admin, users, missing, journal)
        elif granting.dialect == "rds_postgresql":
            for database in dict.fromkeys(look.database for look in missing):
                here = [look for look in missing if look.database == database]
                _grant_postgresql(granting, admin.at(database), here, journal)


_OTHERS = {
    "mysql": (
        "SELECT DISTINCT user AS name FROM mysql.user WHERE account_locked = 'N' AND user NOT LIKE 'mysql.%' "
        "AND user NOT LIKE 'rds%' AND user <> '' ORDER BY user"
    ),
    "postgresql": (
        "SELECT rolname AS name FROM pg_roles WHERE rolcanlogin AND rolname !~ '^(rds|pg_)' ORDER BY rolname"
    ),
}


def others(admin: Endpoint, users: Sequence[User], dialect: str) -> list[str]:
    """Who else can log in to a side and was not named; the administrator and the service's own users are not among them.

    Raises :class:`BlueGreenError` when the administrator may not see it.
    """
    session = Session(replace(admin, database="") if family(dialect) == "mysql" else admin, family(dialect))
    try:
        found = [str(row["name"]) for row in session.rows(_OTHERS[family(dialect)])]
    finally:
        session.close()
    return sorted(set(found) - {user.name for user in users} - {admin.user})


def _grant_mysql(
    granting: Granting, admin: Endpoint, users: Sequence[User], missing: Sequence[Look], journal: Journal
) -> None:
    names = {look.user for look in missing if look.reason == "grant"}
    accounts = [(user.name, user.host) for user in users if user.name in names]
    if accounts:
        journal.act(
            f"on {admin.side}: {'; '.join(mysql.grant_statement(*one) for one in accounts)}",
            lambda: mysql.grant_metadata(admin, accounts, logged=not granting.deployed),
        )


def _grant_postgresql(granting: Granting, admin: Endpoint, missing: Sequence[Look], journal: Journal) -> None:
    state = postgresql.tools(admin)
    if state.standby:
        return  # what is done on blue arrives by itself, and nothing else can
    if state.old or not state.version:
        if granting.deployed:
            _forbid_extension(admin, state)
        what = "update the extension rds_tools" if state.old else "create the extension rds_tools"
        journal.act(
            f"on {admin.side}, database {admin.database}: {what}",
            lambda: postgresql.create_tools(admin, update=state.old),
        )
    users = list(dict.fromkeys(look.user for look in missing))
    said = "; ".join(statement for user in users for statement in postgresql.grant_statements(user))
    journal.act(f"on {admin.side}, database {admin.database}: {said}", lambda: postgresql.grant_metadata(admin, users))


def _forbid_extension(admin: Endpoint, state: postgresql.Tools) -> None:
    found = f"version {state.version}" if state.version else "missing"
    raise BlueGreenError(
        f"The wrappers need the extension rds_tools 1.7 in the database {admin.database} of {admin.side}, but it is {found} and "
        "must not be made while a deployment exists, because that is DDL, which degrades the replication: delete the deployment, "
        f"run {postgresql.EXTENSION} on blue, and create it again, or switch over without the plugin."
    )


def _look(user: User, login: Endpoint, dialect: str) -> Look:
    there = replace(login, database="") if dialect.endswith("mysql") else login
    try:
        rows = tuple(read(there, dialect))
    except BlueGreenError as error:
        reason = str(error.details.get("reason") or "unreachable")
        return Look(user.name, login.side, there.database, reason, (), error.message)
    return Look(user.name, login.side, there.database, "ok", rows, "")
