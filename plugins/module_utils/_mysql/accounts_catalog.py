# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Every account of a server as its grant tables have it (MySQL manual, 8.2.3): logins, limits, privileges, roles.

The tables are read, not the text of SHOW GRANTS: a name in them is a name, whatever quotes it holds, and a thousand accounts
cost as many queries as one. Hashes are kept as hexadecimal text and are in no ``repr``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from .connection import dicts, identifier, rows, value
from .dialect import Dialect, Version
from .record import Account

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

ScopeKind = Literal["global", "schema", "table", "column", "routine"]
GRANT_OPTION = "GRANT OPTION"
# mysql.user's and mysql.db's columns whose names are not the privilege's.
_COLUMNS = {
    "Grant": GRANT_OPTION,
    "Show_db": "SHOW DATABASES",
    "Create_tmp_table": "CREATE TEMPORARY TABLES",
    "Repl_slave": "REPLICATION SLAVE",
    "Repl_client": "REPLICATION CLIENT",
}
_LOCKING = ("failed_login_attempts", "password_lock_time_days")


class Scope(NamedTuple):
    """What privileges are on: ``names`` are the schema, then the table and the column, or the routine's type and name."""

    kind: ScopeKind
    names: tuple[str, ...] = ()


class Granted(NamedTuple):
    """A dynamic privilege or a role, and whether its holder may hand it on."""

    name: str | Account
    on: bool


GLOBAL = Scope("global")


@dataclass(frozen=True)
class Login:
    """How an account logs in. ``secret`` and ``second`` are hexadecimal hashes, the second of a password that is retained."""

    plugin: str
    secret: str = field(repr=False)
    second: str = field(repr=False)
    factors: int = 1


@dataclass(frozen=True)
class Definition:
    """One account. What a server's version does not know is None, and is compared with nothing."""

    account: Account
    login: Login
    require: tuple[str, str, str, str]  # ssl_type, cipher, issuer, subject
    limits: tuple[int, int, int, int]  # queries, updates and connections an hour, connections at once
    expired: bool
    lifetime: int | None
    reuse: tuple[int | None, int | None, str | None] | None  # history, days, PASSWORD REQUIRE CURRENT
    locking: tuple[int, int] | None  # FAILED_LOGIN_ATTEMPTS, PASSWORD_LOCK_TIME
    locked: bool
    attributes: Mapping[str, Any] | None
    privileges: Mapping[Scope, frozenset[str]]
    dynamic: frozenset[Granted]
    restrictions: Mapping[str, frozenset[str]]
    proxies: frozenset[Granted]
    roles: frozenset[Granted]
    default_roles: frozenset[Account]


@dataclass(frozen=True)
class Catalog:
    """Every account of a server, and what its version knows and its user may give."""

    version: Version
    user: Account
    definitions: Mapping[Account, Definition]
    plugins: frozenset[str]
    static: frozenset[str]
    dynamic: frozenset[str]
    objects: frozenset[tuple[str, ...]]
    active_roles: tuple[Account, ...] = ()

    def knows(self, privilege: str) -> bool:
        """Whether the server has such a privilege."""
        return privilege in self.static or privilege in self.dynamic

    def has(self, scope: Scope) -> bool:
        """Whether what the scope names is there; what a pattern of schemas names always is."""
        if scope.kind == "global" or "%" in scope.names[0].replace("\\%", ""):
            return True
        if scope.kind in ("schema", "routine"):
            return (scope.names[0].replace("\\", ""),) in self.objects
        return scope.names[:2] in self.objects

    @property
    def own(self) -> tuple[Definition, ...]:
        """What the connection's user has: its own definition and those of its active roles, whatever they contain."""
        found: dict[Account, Definition] = {}
        ahead = [self.user, *self.active_roles]
        while ahead:
            one = self.definitions.get(ahead.pop())
            if one is not None and one.account not in found:
                found[one.account] = one
                if one.account != self.user:
                    ahead += [role.name for role in one.roles if isinstance(role.name, Account)]
        return tuple(found.values())


def read(conn: Connection[Cursor]) -> Catalog:
    """The catalog of the server; the user must be allowed to SELECT from the schema mysql."""
    version = Dialect.of(conn).version
    users = _users(conn)
    found: dict[Account, dict[Scope, frozenset[str]]] = {}
    for account, scope, privileges in _scoped(conn):
        if privileges:
            mine = found.setdefault(account, {})
            mine[scope] = mine.get(scope, frozenset()) | privileges
    modern = version >= (8, 0, 0)
    edges = _granted(
        conn, "SELECT TO_USER, TO_HOST, FROM_USER, FROM_HOST, WITH_ADMIN_OPTION FROM mysql.role_edges", modern
    )
    dynamic = _dynamic(conn) if modern else {}
    proxies = _granted(conn, "SELECT User, Host, Proxied_user, Proxied_host, With_grant FROM mysql.proxies_priv", True)
    defaults: dict[Account, set[Account]] = {}
    if modern:
        for row in rows(conn, "SELECT USER, HOST, DEFAULT_ROLE_USER, DEFAULT_ROLE_HOST FROM mysql.default_roles"):
            defaults.setdefault(Account(row[0], row[1]), set()).add(Account(row[2], row[3]))
    definitions = {
        account: _definition(
            account,
            row,
            {GLOBAL: _static(row), **found.get(account, {})},
            dynamic.get(account, frozenset()),
            proxies.get(account, frozenset()),
            edges.get(account, frozenset()),
            frozenset(defaults.get(account, ())),
        )
        for account, row in users.items()
    }
    known = [str(row[0]) for row in rows(conn, "SHOW PRIVILEGES")]
    user = _account(str(value(conn, "SELECT CURRENT_USER()")))
    return Catalog(
        version=version,
        user=user,
        definitions=definitions,
        plugins=frozenset(
            str(row[0])
            for row in rows(
                conn,
                "SELECT plugin_name FROM information_schema.plugins"
                " WHERE plugin_type = 'AUTHENTICATION' AND plugin_status = 'ACTIVE'",
            )
        ),
        static=frozenset(_name(column) for row in list(users.values())[:1] for column in row if _is_privilege(column)),
        dynamic=frozenset(name for name in known if name.isupper()),
        objects=_objects(conn),
        active_roles=_active(conn, definitions) if modern else (),
    )


def _users(conn: Connection[Cursor]) -> dict[Account, dict[str, Any]]:
    found: dict[Account, dict[str, Any]] = {}
    for row in dicts(conn, "SELECT u.*, HEX(u.authentication_string) AS secret_hex FROM mysql.user AS u"):
        row.pop("authentication_string", None)
        found[Account(row["User"], row["Host"])] = row
    return found


def _scoped(conn: Connection[Cursor]) -> Iterator[tuple[Account, Scope, frozenset[str]]]:
    for row in dicts(conn, "SELECT * FROM mysql.db"):
        yield Account(row["User"], row["Host"]), Scope("schema", (row["Db"],)), _static(row)
    for user, host, schema, table, held in rows(
        conn, "SELECT User, Host, Db, Table_name, Table_priv FROM mysql.tables_priv"
    ):
        yield Account(user, host), Scope("table", (schema, table)), _set(held)
    statement = "SELECT User, Host, Db, Table_name, Column_name, Column_priv FROM mysql.columns_priv"
    for user, host, schema, table, column, held in rows(conn, statement):
        yield Account(user, host), Scope("column", (schema, table, column)), _set(held)
    statement = "SELECT User, Host, Db, Routine_type, Routine_name, Proc_priv FROM mysql.procs_priv"
    for user, host, schema, kind, routine, held in rows(conn, statement):
        yield Account(user, host), Scope("routine", (schema, kind, routine)), _set(held)


def _dynamic(conn: Connection[Cursor]) -> dict[Account, frozenset[Granted]]:
    found: dict[Account, set[Granted]] = {}
    for user, host, name, option in rows(conn, "SELECT USER, HOST, PRIV, WITH_GRANT_OPTION FROM mysql.global_grants"):
        found.setdefault(Account(user, host), set()).add(Granted(name, option == "Y"))
    return {account: frozenset(held) for account, held in found.items()}


def _granted(conn: Connection[Cursor], statement: str, exists: bool) -> dict[Account, frozenset[Granted]]:
    """By holder: the roles it has, or the accounts that it may act as."""
    found: dict[Account, set[Granted]] = {}
    for user, host, other_user, other_host, option in rows(conn, statement) if exists else ():
        found.setdefault(Account(user, host), set()).add(Granted(Account(other_user, other_host), option in ("Y", 1)))
    return {account: frozenset(held) for account, held in found.items()}


def _definition(
    account: Account,
    row: Mapping[str, Any],
    privileges: Mapping[Scope, frozenset[str]],
    dynamic: frozenset[Granted],
    proxies: frozenset[Granted],
    roles: frozenset[Granted],
    default_roles: frozenset[Account],
) -> Definition:
    modern = "User_attributes" in row
    extra: dict[str, Any] = json.loads(row.get("User_attributes") or "{}")
    locking = extra.get("Password_locking", {})
    return Definition(
        account=account,
        login=Login(
            plugin=row["plugin"],
            secret=row["secret_hex"] or "",
            second=str(extra.get("additional_password") or "").encode().hex().upper(),
            factors=1 + len(extra.get("multi_factor_authentication") or ()),
        ),
        require=(row["ssl_type"], _text(row["ssl_cipher"]), _text(row["x509_issuer"]), _text(row["x509_subject"])),
        limits=(row["max_questions"], row["max_updates"], row["max_connections"], row["max_user_connections"]),
        expired=_yes(row["password_expired"]),
        lifetime=row["password_lifetime"],
        reuse=(row["Password_reuse_history"], row["Password_reuse_time"], row["Password_require_current"])
        if "Password_require_current" in row
        else None,
        locking=(int(locking.get(_LOCKING[0], 0)), int(locking.get(_LOCKING[1], 0))) if modern else None,
        locked=_yes(row["account_locked"]),
        attributes=extra.get("metadata") or {} if modern else None,
        privileges=privileges,
        dynamic=dynamic,
        restrictions={one["Database"]: frozenset(one["Privileges"]) for one in extra.get("Restrictions") or ()},
        proxies=proxies,
        roles=roles,
        default_roles=default_roles,
    )


def _objects(conn: Connection[Cursor]) -> frozenset[tuple[str, ...]]:
    """The schemas, and the tables that somebody has privileges on by name."""
    found: set[tuple[str, ...]] = {
        (str(row[0]),) for row in rows(conn, "SELECT schema_name FROM information_schema.schemata")
    }
    named = (
        "SELECT t.table_schema, t.table_name FROM information_schema.tables AS t JOIN (SELECT DISTINCT Db, Table_name FROM"
        " mysql.tables_priv) AS p ON p.Db = t.table_schema AND p.Table_name = t.table_name"
    )
    return frozenset(found | {(str(row[0]), str(row[1])) for row in rows(conn, named)})


def _active(conn: Connection[Cursor], definitions: Iterable[Account]) -> tuple[Account, ...]:
    current = str(value(conn, "SELECT CURRENT_ROLE()"))
    return tuple(one for one in definitions if identifier(one.user) + "@" + identifier(one.host) in current)


def _account(text: str) -> Account:
    user, _at, host = text.rpartition("@")
    return Account(user, host)


def _is_privilege(column: str) -> bool:
    return column.endswith("_priv")


def _name(column: str) -> str:
    short = column.removesuffix("_priv")
    return _COLUMNS.get(short) or short.upper().replace("_", " ")


def _static(row: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(_name(column) for column, held in row.items() if _is_privilege(column) and held == "Y")


def _set(held: str | None) -> frozenset[str]:
    return frozenset(GRANT_OPTION if one == "Grant" else one.upper() for one in (held or "").split(",") if one)


def _text(content: bytes | str | None) -> str:
    return content.decode(errors="replace") if isinstance(content, bytes) else content or ""


def _yes(held: str) -> bool:
    return held == "Y"
