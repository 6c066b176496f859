# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The statements that make an account (MySQL manual, 15.7.1). Pure.

A hash is written as hexadecimal text, which the server takes from 8.0.17 on; an older one gets it as a string.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from .accounts_catalog import GRANT_OPTION, Catalog, Definition, Granted, Scope
from .connection import identifier
from .dialect import Version
from .record import Account

ELIDED = "'<the hash>'"
_HEXADECIMAL: Version = (8, 0, 17)
_LIMITS = ("MAX_QUERIES_PER_HOUR", "MAX_UPDATES_PER_HOUR", "MAX_CONNECTIONS_PER_HOUR", "MAX_USER_CONNECTIONS")


def quoted(text: str) -> str:
    """A string constant, whatever the text holds."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def who(account: Account) -> str:
    """The account as a statement names it."""
    return f"{quoted(account.user)}@{quoted(account.host)}"


def everyone(accounts: Iterable[Account]) -> str:
    """Accounts as a statement lists them."""
    return ", ".join(who(one) for one in sorted(accounts))


def create(wanted: Definition, version: Version, *, locked: bool) -> str:
    """CREATE USER with all that is the account's own, no privileges yet."""
    clauses = [
        _identified(wanted.login.plugin, wanted.login.secret, version),
        require(wanted),
        limits(wanted) if any(wanted.limits) else "",
        *password_options(wanted if wanted.locking and any(wanted.locking) else replace(wanted, locking=None)),
        f"ACCOUNT {'LOCK' if locked else 'UNLOCK'}",
    ]
    if wanted.attributes and version >= (8, 0, 21):
        clauses.append(f"ATTRIBUTE {quoted(json.dumps(wanted.attributes))}")
    return f"CREATE USER {who(wanted.account)} {' '.join(filter(None, clauses))}"


def passwords(wanted: Definition, version: Version) -> tuple[str, ...]:
    """The statements that give the account its password, and one that it retains."""
    login, user = wanted.login, f"ALTER USER {who(wanted.account)}"
    if not login.second:
        discard = (f"{user} DISCARD OLD PASSWORD",) if version >= (8, 0, 14) else ()
        return (f"{user} {_identified(login.plugin, login.secret, version)}", *discard)
    return (
        f"{user} {_identified(login.plugin, login.second, version)}",
        f"{user} {_identified(login.plugin, login.secret, version)} RETAIN CURRENT PASSWORD",
    )


def password_shown(wanted: Definition) -> str:
    """What a person may run for the same; the hash itself is never shown."""
    return (
        f"ALTER USER {who(wanted.account)} IDENTIFIED WITH {quoted(wanted.login.plugin)} AS {ELIDED}, as SHOW CREATE USER prints "
        "it where it is right, with print_identified_with_as_hex on"
    )


def require(wanted: Definition) -> str:
    """The clause for TLS."""
    kind, cipher, issuer, subject = wanted.require
    if kind != "SPECIFIED":
        return f"REQUIRE { {'ANY': 'SSL', 'X509': 'X509'}.get(kind, 'NONE') }"
    given = (("CIPHER", cipher), ("ISSUER", issuer), ("SUBJECT", subject))
    return "REQUIRE " + " AND ".join(f"{word} {quoted(text)}" for word, text in given if text)


def limits(wanted: Definition) -> str:
    """The clause for resource limits."""
    return "WITH " + " ".join(f"{word} {number}" for word, number in zip(_LIMITS, wanted.limits, strict=True))


def password_options(wanted: Definition) -> list[str]:
    """The clauses about passwords, without the password; PASSWORD EXPIRE itself has a statement of its own."""
    lifetime = {None: "DEFAULT", 0: "NEVER"}.get(wanted.lifetime, f"INTERVAL {wanted.lifetime} DAY")
    clauses = [f"PASSWORD EXPIRE {lifetime}"]
    if wanted.reuse is not None:
        history, days, current = wanted.reuse
        clauses += [
            f"PASSWORD HISTORY {'DEFAULT' if history is None else history}",
            f"PASSWORD REUSE INTERVAL {'DEFAULT' if days is None else f'{days} DAY'}",
            f"PASSWORD REQUIRE CURRENT{ {'Y': '', 'N': ' OPTIONAL'}.get(current or '', ' DEFAULT') }",
        ]
    if wanted.locking is not None:
        attempts, days = wanted.locking
        clauses += [f"FAILED_LOGIN_ATTEMPTS {attempts}", f"PASSWORD_LOCK_TIME {'UNBOUNDED' if days < 0 else days}"]
    return clauses


def attributes(account: Account, wanted: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """ALTER USER .. ATTRIBUTE: a merge patch, in which null takes a key away."""
    patch = {**dict.fromkeys(found), **wanted}
    return f"ALTER USER {who(account)} ATTRIBUTE {quoted(json.dumps(patch))}"


def grant(scope: Scope, privileges: Iterable[str], account: Account) -> str:
    """GRANT of static privileges, GRANT OPTION among them or not."""
    every = set(privileges)
    option = " WITH GRANT OPTION" if GRANT_OPTION in every else ""
    named = sorted(every - {GRANT_OPTION}) or ["USAGE"]
    return f"GRANT {_list(scope, named)} ON {on(scope)} TO {who(account)}{option}"


def revoke(scope: Scope, privileges: Iterable[str], account: Account) -> str:
    """REVOKE of static privileges."""
    return f"REVOKE {_list(scope, sorted(privileges))} ON {on(scope)} FROM {who(account)}"


def on(scope: Scope) -> str:
    """What a GRANT names after ON."""
    if scope.kind == "global":
        return "*.*"
    if scope.kind == "schema":
        return f"{identifier(scope.names[0])}.*"
    if scope.kind == "routine":
        return f"{scope.names[1]} {identifier(scope.names[0], scope.names[2])}"
    return identifier(*scope.names[:2])


def grant_dynamic(granted: Granted, account: Account) -> str:
    """GRANT of a dynamic privilege."""
    return f"GRANT {granted.name} ON *.* TO {who(account)}{' WITH GRANT OPTION' if granted.on else ''}"


def grant_role(granted: Granted, account: Account) -> str:
    """GRANT of a role."""
    return f"GRANT {_held(granted)} TO {who(account)}{' WITH ADMIN OPTION' if granted.on else ''}"


def grant_proxy(granted: Granted, account: Account) -> str:
    """GRANT PROXY."""
    return f"GRANT PROXY ON {_held(granted)} TO {who(account)}{' WITH GRANT OPTION' if granted.on else ''}"


def revoke_all_of(kind: str, granted: Granted, account: Account) -> str:
    """REVOKE of a role (``kind`` role), a proxy right (proxy) or a dynamic privilege (dynamic)."""
    if kind == "role":
        return f"REVOKE {_held(granted)} FROM {who(account)}"
    if kind == "proxy":
        return f"REVOKE PROXY ON {_held(granted)} FROM {who(account)}"
    return f"REVOKE {granted.name} ON *.* FROM {who(account)}"


def default_roles(account: Account, roles: Iterable[Account]) -> str:
    """ALTER USER .. DEFAULT ROLE."""
    return f"ALTER USER {who(account)} DEFAULT ROLE {everyone(roles) or 'NONE'}"


def expire(account: Account) -> str:
    """The account has to set a new password."""
    return f"ALTER USER {who(account)} PASSWORD EXPIRE"


def has_roles(catalog: Catalog) -> bool:
    """Whether the server knows roles."""
    return catalog.version >= (8, 0, 0)


def _identified(plugin: str, secret: str, version: Version) -> str:
    if not secret:
        return f"IDENTIFIED WITH {quoted(plugin)} AS ''"
    literal = f"0x{secret}" if version >= _HEXADECIMAL else quoted(bytes.fromhex(secret).decode())
    return f"IDENTIFIED WITH {quoted(plugin)} AS {literal}"


def _list(scope: Scope, privileges: Iterable[str]) -> str:
    column = f" ({identifier(scope.names[2])})" if scope.kind == "column" else ""
    return ", ".join(f"{one}{column}" for one in privileges)


def _held(granted: Granted) -> str:
    return who(granted.name) if isinstance(granted.name, Account) else granted.name
