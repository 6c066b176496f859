# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""How the accounts of two servers differ, and the statements that make one as the other. Pure.

What only one of the two versions knows is compared with what an upgrade makes of it: a privilege that the older one does not
have is no difference, whoever has it on the newer one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace

from . import accounts_sql as sql
from .accounts_catalog import GLOBAL, GRANT_OPTION, Catalog, Definition, Granted, Login, Scope
from .record import Account

# What an upgrade gives to who had the old one (MySQL manual, 8.2.2, SET_ANY_DEFINER).
_SUCCESSORS = {"SET_USER_ID": ("SET_ANY_DEFINER", "ALLOW_NONEXISTENT_DEFINER")}
# What it gives by itself, and what means nothing where it is not known.
_OF_UPGRADES = frozenset(
    {
        "ALLOW_NONEXISTENT_DEFINER",
        "AUTHENTICATION_POLICY_ADMIN",
        "CREATE ROLE",
        "DROP ROLE",
        "FLUSH_PRIVILEGES",
        "OPTIMIZE_LOCAL_TABLE",
        "TRANSACTION_GTID_TAG",
    }
)
_SERVICE_ROLES = {
    "LOAD FROM S3": "AWS_LOAD_S3_ACCESS",
    "SELECT INTO S3": "AWS_SELECT_S3_ACCESS",
    "INVOKE LAMBDA": "AWS_LAMBDA_ACCESS",
    "INVOKE SAGEMAKER": "AWS_SAGEMAKER_ACCESS",
    "INVOKE COMPREHEND": "AWS_COMPREHEND_ACCESS",
}


@dataclass(frozen=True)
class AccountDifference:
    """One thing about one account of the target.

    ``what`` goes on from the account's name: "is missing", "lacks SELECT on ..". ``remedy`` is what a person may run there.
    ``obstacle`` is why it is not carried over, empty when it is. ``extra``: the source does not have such an account.
    ``statements`` may hold hashes. ``listed``: the account is to be among those of the target's fence, or no more.
    """

    account: Account
    what: str
    remedy: str
    obstacle: str = ""
    extra: bool = False
    statements: tuple[str, ...] = field(default=(), repr=False)
    listed: bool | None = None

    def __str__(self) -> str:
        return f"{self.account} {self.what}"

    def refused(self, reason: str) -> AccountDifference:
        """The same, with why it was not carried over."""
        return replace(self, obstacle=reason)


def compare(
    wanted: Catalog,
    found: Catalog,
    fenced_there: Collection[Account],
    fenced_here: Collection[Account],
    left_out: Callable[[Account], bool],
) -> list[AccountDifference]:
    """What has to be done to ``found``, the target; ``fenced_there`` are locked by the source's fence, ``fenced_here`` by its own."""
    differences: list[AccountDifference] = []
    for account, definition in sorted(wanted.definitions.items()):
        if left_out(account):
            continue
        existing = found.definitions.get(account)
        if existing is None:
            differences += _missing(wanted, found, definition, account in fenced_there)
            continue
        differences += [
            *_own(found, definition, existing),
            *_lock(definition, existing, account in fenced_there, account in fenced_here),
            *_privileges(wanted, found, definition, existing),
        ]
    for account in sorted(set(found.definitions) - set(wanted.definitions)):
        if not left_out(account):
            differences.append(
                AccountDifference(
                    account,
                    "is not on the side that serves",
                    f"DROP USER {sql.who(account)}, if it is not needed",
                    "an account that only one side has is never dropped",
                    extra=True,
                )
            )
    return differences


def _missing(wanted: Catalog, found: Catalog, one: Definition, fenced: bool) -> Iterator[AccountDifference]:
    obstacle = _login_obstacle(found, one.login)
    unlocked = fenced or not one.locked
    statements = [sql.create(one, found.version, locked=True)]
    if one.login.second:
        statements += sql.passwords(one, found.version)
    if one.expired:
        statements.append(sql.expire(one.account))
    shown = f"CREATE USER {sql.who(one.account)} .., as SHOW CREATE USER and SHOW GRANTS print it where it is"
    yield AccountDifference(
        one.account, "is missing", shown, obstacle, statements=tuple(statements), listed=True if unlocked else None
    )
    bare = replace(
        one,
        privileges={},
        dynamic=frozenset(),
        proxies=frozenset(),
        roles=frozenset(),
        restrictions={},
        default_roles=frozenset(),
    )
    # What it is to have is told, and given, once it is there; here only what nobody may give.
    yield from (each for each in _privileges(wanted, found, one, bare) if each.obstacle and not obstacle)


def _own(found: Catalog, one: Definition, existing: Definition) -> Iterator[AccountDifference]:
    """Login, TLS, limits and options."""
    user = f"ALTER USER {sql.who(one.account)}"
    obstacle = _foreign(found, existing)
    if _compared(one.login) != _compared(existing.login) or (existing.expired and not one.expired):
        what = (
            "has another authentication plugin" if one.login.plugin != existing.login.plugin else "has another password"
        )
        yield AccountDifference(
            one.account,
            "has an expired password" if _compared(one.login) == _compared(existing.login) else what,
            sql.password_shown(one),
            obstacle or _login_obstacle(found, one.login),
            statements=sql.passwords(one, found.version),
        )
    elif one.expired and not existing.expired:
        statement = sql.expire(one.account)
        yield AccountDifference(
            one.account, "has a password that is not expired", statement, obstacle, statements=(statement,)
        )
    for what, clause, differs in (
        ("has another requirement of TLS", sql.require(one), one.require != existing.require),
        ("has other resource limits", sql.limits(one), one.limits != existing.limits),
        ("has other password options", " ".join(sql.password_options(one)), _options_differ(one, existing)),
    ):
        if differs:
            statement = f"{user} {clause}"
            yield AccountDifference(one.account, what, statement, obstacle, statements=(statement,))
    if None not in (one.attributes, existing.attributes) and one.attributes != existing.attributes:
        statement = sql.attributes(one.account, one.attributes or {}, existing.attributes or {})
        yield AccountDifference(
            one.account, "has another comment or attribute", statement, obstacle, statements=(statement,)
        )


def _lock(one: Definition, existing: Definition, fenced_there: bool, fenced_here: bool) -> Iterator[AccountDifference]:
    """The lock as its owner wants it; what a fence locked is to be unlocked when it goes."""
    locked = one.locked and not fenced_there
    if locked == (existing.locked and not fenced_here):
        return
    if locked:
        statement = f"ALTER USER {sql.who(one.account)} ACCOUNT LOCK"
        yield AccountDifference(one.account, "is to stay locked", statement, statements=(statement,), listed=False)
    else:
        statement = f"ALTER USER {sql.who(one.account)} ACCOUNT UNLOCK"
        yield AccountDifference(one.account, "is to be unlocked when this side opens", statement, listed=True)


def _privileges(wanted: Catalog, found: Catalog, one: Definition, existing: Definition) -> Iterator[AccountDifference]:
    yield from _static(wanted, found, one, existing)
    yield from _dynamic(wanted, found, one, existing)
    yield from _restrictions(found, one, existing)
    yield from _held("proxy", "may act as", found, one, one.proxies, existing.proxies)
    if sql.has_roles(wanted) and sql.has_roles(found):
        yield from _held("role", "role", found, one, one.roles, existing.roles)
        roles = frozenset(role.name for role in one.roles)
        if one.default_roles != existing.default_roles and one.default_roles <= roles:
            statement = sql.default_roles(one.account, one.default_roles)
            obstacle = _foreign(found, existing)
            yield AccountDifference(
                one.account, "has other default roles", statement, obstacle, statements=(statement,)
            )


def _static(wanted: Catalog, found: Catalog, one: Definition, existing: Definition) -> Iterator[AccountDifference]:
    for scope in sorted({*one.privileges, *existing.privileges}):
        have, want = existing.privileges.get(scope, frozenset()), one.privileges.get(scope, frozenset())
        lacking = want - have
        known = {privilege for privilege in lacking if scope != GLOBAL or found.knows(privilege)}
        for privilege in sorted(lacking - known - _OF_UPGRADES):
            yield _unknown(found, one.account, privilege)
        for some in _parts(found, scope, known):
            statement = sql.grant(scope, some, one.account)
            obstacle = _foreign(found, existing) or _may_not(found, scope, some)
            what = f"lacks {', '.join(sorted(some))} on {_place(scope)}"
            yield AccountDifference(one.account, what, statement, obstacle, statements=(statement,))
        extra = {privilege for privilege in have - want if scope != GLOBAL or wanted.knows(privilege)}
        for some in _parts(found, scope, extra if wanted.has(scope) else ()):
            statement = sql.revoke(scope, some, one.account)
            obstacle = _foreign(found, existing) or _may_not(found, scope, some)
            what = f"has {', '.join(sorted(some))} on {_place(scope)} too much"
            yield AccountDifference(one.account, what, statement, obstacle, statements=(statement,))


def _parts(found: Catalog, scope: Scope, privileges: Iterable[str]) -> Iterator[set[str]]:
    """What the target's user may give or take, then what it may not."""
    able = {one for one in privileges if not _may_not(found, scope, (one,))}
    yield from filter(None, (able, set(privileges) - able))


def _dynamic(wanted: Catalog, found: Catalog, one: Definition, existing: Definition) -> Iterator[AccountDifference]:
    want: set[Granted] = set()
    for granted in one.dynamic:
        name = str(granted.name)
        if found.knows(name):
            want.add(granted)
        elif name in _SUCCESSORS:
            want |= {Granted(successor, granted.on) for successor in _SUCCESSORS[name]}
        elif name not in _OF_UPGRADES:
            yield _unknown(found, one.account, name)
    have = {granted for granted in existing.dynamic if wanted.knows(str(granted.name)) or granted in want}
    yield from _held("dynamic", "privilege", found, one, want, have)


def _held(
    kind: str, word: str, found: Catalog, one: Definition, want: Iterable[Granted], have: Iterable[Granted]
) -> Iterator[AccountDifference]:
    """Dynamic privileges, roles and proxy rights: taken away one by one, then given with the option that they are to have."""
    give = {"dynamic": sql.grant_dynamic, "role": sql.grant_role, "proxy": sql.grant_proxy}[kind]
    wanted, held = {each.name: each for each in want}, {each.name: each for each in have}
    named = f"the {word}" if kind != "proxy" else word
    for name in sorted({*wanted, *held}, key=str):
        if wanted.get(name) == held.get(name):
            continue
        statements: list[str] = []
        if name in held and not (name in wanted and wanted[name].on):
            statements.append(sql.revoke_all_of(kind, held[name], one.account))
        if name in wanted:
            statements.append(give(wanted[name], one.account))
        if name not in held:
            what = f"lacks {named} {name}" if kind != "proxy" else f"may not act as {name}"
        elif name not in wanted:
            what = f"has {named} {name} too much" if kind != "proxy" else f"may act as {name} too much"
        else:
            what = f"has {named} {name} with{'out' if wanted[name].on else ''} the right to hand it on"
        yield AccountDifference(
            one.account, what, "; ".join(statements), _may_not_hand(found, kind, name), statements=tuple(statements)
        )


def _restrictions(found: Catalog, one: Definition, existing: Definition) -> Iterator[AccountDifference]:
    for schema in sorted({*one.restrictions, *existing.restrictions}):
        want, have = one.restrictions.get(schema, frozenset()), existing.restrictions.get(schema, frozenset())
        scope = Scope("schema", (schema,))
        if want - have:
            statement = sql.revoke(scope, want - have, one.account)
            what = f"has {', '.join(sorted(want - have))} on {_place(scope)}, which was revoked from it"
            yield AccountDifference(one.account, what, statement, _foreign(found, existing), statements=(statement,))
        if have - want:
            statement = sql.grant(scope, have - want, one.account)
            what = f"lacks {', '.join(sorted(have - want))} on {_place(scope)}, which was revoked from it"
            yield AccountDifference(one.account, what, statement, _foreign(found, existing), statements=(statement,))


def _unknown(found: Catalog, account: Account, privilege: str) -> AccountDifference:
    version = ".".join(map(str, found.version))
    role = _SERVICE_ROLES.get(privilege)
    remedy = (
        f"GRANT {role} TO {sql.who(account)}" if role else f"do without {privilege}, or give what has taken its place"
    )
    return AccountDifference(account, f"lacks {privilege}", remedy, f"MySQL {version} has no such privilege")


def _login_obstacle(found: Catalog, login: Login) -> str:
    if login.factors > 1:
        return "an account with more than one factor is made by hand"
    if login.plugin not in found.plugins:
        return f"the authentication plugin {login.plugin} is not active on this side"
    return ""


def _foreign(found: Catalog, existing: Definition) -> str:
    """Why the target's user may not alter the account at all."""
    own = {str(granted.name) for mine in found.own for granted in mine.dynamic}
    if "SYSTEM_USER" in {str(granted.name) for granted in existing.dynamic} - own:
        return f"{found.user} has not the privilege SYSTEM_USER, which the account has"
    return ""


def _may_not(found: Catalog, scope: Scope, privileges: Iterable[str]) -> str:
    """Why the target's user may not give, or take, these: it must have them itself, with GRANT OPTION."""
    mine: set[str] = set()
    for one in found.own:
        for held, names in one.privileges.items():
            if GRANT_OPTION in names and (
                held in (GLOBAL, scope) or (held.kind == "schema" and scope.names[:1] == held.names)
            ):
                mine |= names - (one.restrictions.get(scope.names[0], frozenset()) if scope.names else frozenset())
    lacking = sorted(set(privileges) - mine)
    return f"{found.user} has not {', '.join(lacking)} on {_place(scope)} itself, with GRANT OPTION" if lacking else ""


def _may_not_hand(found: Catalog, kind: str, name: str | Account) -> str:
    own = {granted for one in found.own for granted in one.dynamic}
    names = {str(granted.name) for granted in own}
    if kind == "dynamic":
        return "" if Granted(name, True) in own else f"{found.user} has not {name} itself, with GRANT OPTION"
    if kind == "role":
        held = {granted for one in found.own for granted in one.roles}
        able = "ROLE_ADMIN" in names or Granted(name, True) in held
        return "" if able else f"{found.user} has neither ROLE_ADMIN nor the role {name} with ADMIN OPTION"
    proxies = {granted for one in found.own for granted in one.proxies}
    able = bool({Granted(name, True), Granted(Account("", ""), True)} & proxies)
    return "" if able else f"{found.user} has not PROXY on {name} itself, with GRANT OPTION"


def _compared(login: Login) -> tuple[str, str, str]:
    return login.plugin, login.secret, login.second


def _options_differ(one: Definition, existing: Definition) -> bool:
    pairs = ((one.reuse, existing.reuse), (one.locking, existing.locking))
    return one.lifetime != existing.lifetime or any(left != right for left, right in pairs if None not in (left, right))


def _place(scope: Scope) -> str:
    column = f" (column {scope.names[2]})" if scope.kind == "column" else ""
    return sql.on(scope) + column
