# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Accounts of two versions: what only one of them knows, and what nobody can bring over."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._mysql import accounts_sql as sql
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.accounts_catalog import (
    GLOBAL,
    Catalog,
    Definition,
    Granted,
    Login,
    Scope,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.accounts_compare import AccountDifference, compare
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.record import Account

ADMIN, APP = Account("admin", "%"), Account("app", "%")
STATIC = frozenset({"SELECT", "INSERT", "PROCESS", "GRANT OPTION", "CREATE USER"})
HASH = b"*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19".hex().upper()


def definition(account: Account, **more: Any) -> Definition:
    """An account that has nothing but a password."""
    bare = Definition(
        account=account,
        login=Login("caching_sha2_password", HASH, ""),
        require=("", "", "", ""),
        limits=(0, 0, 0, 0),
        expired=False,
        lifetime=None,
        reuse=(None, None, None),
        locking=(0, 0),
        locked=False,
        attributes={},
        privileges={},
        dynamic=frozenset(),
        restrictions={},
        proxies=frozenset(),
        roles=frozenset(),
        default_roles=frozenset(),
    )
    return replace(bare, **more)


def catalog(*definitions: Definition, version: tuple[int, int, int] = (8, 0, 39), **more: Any) -> Catalog:
    """A server whose admin may give everything that it knows."""
    dynamic = more.pop("dynamic", frozenset({"SET_USER_ID", "ROLE_ADMIN"}))
    admin = definition(ADMIN, privileges={GLOBAL: STATIC}, dynamic=frozenset(Granted(name, True) for name in dynamic))
    made = Catalog(
        version=version,
        user=ADMIN,
        definitions={one.account: one for one in (admin, *definitions)},
        plugins=frozenset({"caching_sha2_password", "mysql_native_password"}),
        static=STATIC,
        dynamic=dynamic,
        objects=frozenset({("shop",)}),
    )
    return replace(made, **more)


def differences(wanted: Catalog, found: Catalog) -> list[AccountDifference]:
    """As the modules compare: the admin is left out."""
    return compare(wanted, found, (), (), lambda account: account == ADMIN)


V84 = frozenset({"SET_ANY_DEFINER", "ALLOW_NONEXISTENT_DEFINER", "FLUSH_PRIVILEGES", "ROLE_ADMIN"})


def test_what_an_upgrade_makes_of_a_privilege_is_no_difference() -> None:
    before = definition(APP, dynamic=frozenset({Granted("SET_USER_ID", False)}))
    after = definition(
        APP,
        dynamic=frozenset(
            {Granted(name, False) for name in ("SET_ANY_DEFINER", "ALLOW_NONEXISTENT_DEFINER", "FLUSH_PRIVILEGES")}
        ),
    )
    assert differences(catalog(before), catalog(after, version=(8, 4, 8), dynamic=V84)) == []


def test_a_privilege_that_an_upgrade_took_away_comes_back_as_its_successors() -> None:
    before = definition(APP, dynamic=frozenset({Granted("SET_USER_ID", False)}))
    found = differences(catalog(before), catalog(definition(APP), version=(8, 4, 8), dynamic=V84))
    assert [one.statements for one in found] == [
        ("GRANT ALLOW_NONEXISTENT_DEFINER ON *.* TO 'app'@'%'",),
        ("GRANT SET_ANY_DEFINER ON *.* TO 'app'@'%'",),
    ]


@pytest.mark.parametrize(
    ("held", "evidence", "remedy"),
    [
        (
            {"privileges": {GLOBAL: frozenset({"LOAD FROM S3"})}},
            "lacks LOAD FROM S3",
            "GRANT AWS_LOAD_S3_ACCESS TO 'app'@'%'",
        ),
        ({"dynamic": frozenset({Granted("SOMETHING_OLD", False)})}, "lacks SOMETHING_OLD", "do without SOMETHING_OLD"),
    ],
)
def test_what_the_other_version_does_not_have_is_listed_never_skipped(
    held: dict[str, Any], evidence: str, remedy: str
) -> None:
    (one,) = differences(catalog(definition(APP, **held)), catalog(definition(APP)))
    assert (one.what, one.obstacle) == (evidence, "MySQL 8.0.39 has no such privilege")
    assert one.remedy.startswith(remedy)


@pytest.mark.parametrize(
    ("login", "obstacle"),
    [
        (Login("sha256_password", HASH, ""), "the authentication plugin sha256_password is not active on this side"),
        (Login("caching_sha2_password", HASH, "", factors=2), "an account with more than one factor is made by hand"),
    ],
)
def test_a_login_that_the_other_side_cannot_have_stops_the_account(login: Login, obstacle: str) -> None:
    (one,) = differences(catalog(definition(APP, login=login)), catalog())
    assert (one.what, one.obstacle) == ("is missing", obstacle)
    assert HASH not in repr(one) + str(one) + one.remedy


def test_an_account_with_system_user_is_not_the_admin_s_to_change() -> None:
    system = frozenset({Granted("SYSTEM_USER", False)})
    known = frozenset({"SYSTEM_USER"})
    here = definition(APP, dynamic=system, require=("ANY", "", "", ""))
    admin = definition(ADMIN, privileges={GLOBAL: STATIC})
    wanted = catalog(here, dynamic=known)
    found = catalog(definition(APP, dynamic=system), dynamic=known)
    found = replace(found, definitions={**found.definitions, ADMIN: admin})
    (one,) = differences(wanted, found)
    assert one.what == "has another requirement of TLS"
    assert "SYSTEM_USER" in one.obstacle


def test_a_grant_on_what_only_green_has_is_green_s_own() -> None:
    mine = definition(APP, privileges={Scope("schema", ("green_only",)): frozenset({"SELECT"})})
    assert differences(catalog(definition(APP)), catalog(mine)) == []
    (one,) = differences(
        catalog(definition(APP)),
        catalog(definition(APP, privileges={Scope("schema", ("shop",)): frozenset({"SELECT"})})),
    )
    assert one.statements == ("REVOKE SELECT ON `shop`.* FROM 'app'@'%'",)


def test_an_account_of_5_7_is_compared_without_what_5_7_does_not_know() -> None:
    old = definition(APP, reuse=None, locking=None, attributes=None)
    assert differences(catalog(old, version=(5, 7, 44)), catalog(definition(APP))) == []


@pytest.mark.parametrize(("version", "literal"), [((5, 7, 44), "'*2470"), ((8, 0, 39), "0x2A3234")])
def test_a_hash_is_written_as_the_version_takes_it(version: tuple[int, int, int], literal: str) -> None:
    native = definition(APP, login=Login("mysql_native_password", HASH, ""))
    assert f"IDENTIFIED WITH 'mysql_native_password' AS {literal}" in sql.create(native, version, locked=True)


@pytest.mark.parametrize("name", ["o'brien", "back\\slash", "`", "", "%", "a'@'b"])
def test_no_name_leaves_its_quotes(name: str) -> None:
    """Unescaped as the server does it, the text is the name again."""
    quoted = sql.quoted(name)
    inner = quoted[1:-1]
    assert quoted[0] == quoted[-1] == "'"
    assert inner.replace("\\\\", "\0").replace("''", "\1").count("'") == 0
    assert inner.replace("\\\\", "\0").replace("''", "'").replace("\0", "\\") == name
