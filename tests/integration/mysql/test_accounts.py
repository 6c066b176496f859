# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accounts that replication leaves alone: compared, and brought over to the other side as its admin can."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.endpoint import Endpoint
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql import accounts, locks, record
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.accounts_compare import AccountDifference
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.accounts_sql import who
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.connection import connected, rows, value
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.record import Account, fenced_accounts
from tests.integration.mysql.conftest import Servers, run

DEPLOYMENT = "accounts-test"
O_BRIEN = Account("o'brien", "%")
BATCH = Account("b`t", "10.0.0.0/255.255.255.0")
READER, WRITER = Account("reader", "%"), Account("wri'ter", "%")
NAMES = (O_BRIEN, BATCH, READER, WRITER, Account("", "h.%"), Account("ünï\\c%", "::1"), Account("old", "%"))
STATEMENTS = (
    "CREATE TABLE shop.t (id int PRIMARY KEY, c int, `we``ird` int)",
    "CREATE PROCEDURE shop.p() SELECT 1",
    f"CREATE ROLE {who(READER)}, {who(WRITER)}",
    f"CREATE USER {who(O_BRIEN)} IDENTIFIED BY 'first secret' REQUIRE SSL WITH MAX_QUERIES_PER_HOUR 3000 PASSWORD EXPIRE INTERVAL"
    " 40 DAY PASSWORD HISTORY 3 FAILED_LOGIN_ATTEMPTS 3 PASSWORD_LOCK_TIME UNBOUNDED COMMENT 'it''s \"x\" \\\\ y'",
    f"ALTER USER {who(O_BRIEN)} IDENTIFIED BY 'second secret' RETAIN CURRENT PASSWORD",
    f"CREATE USER {who(BATCH)} IDENTIFIED BY 'third secret' REQUIRE SUBJECT '/CN=a''b' AND ISSUER '/CN=ca'",
    "CREATE USER ''@'h.%'",
    "CREATE USER 'ünï\\\\c%'@'::1' IDENTIFIED BY 'x' REQUIRE X509",
    "CREATE USER old IDENTIFIED BY 'y' PASSWORD EXPIRE ACCOUNT LOCK",
    f"GRANT SELECT ON shop.* TO {who(READER)}",
    f"GRANT INSERT, UPDATE (`we``ird`), SELECT (id, c) ON shop.t TO {who(WRITER)}",
    f"GRANT {who(WRITER)} TO {who(READER)}",
    f"GRANT {who(READER)} TO {who(O_BRIEN)} WITH ADMIN OPTION",
    f"ALTER USER {who(O_BRIEN)} DEFAULT ROLE {who(READER)}",
    f"GRANT EXECUTE ON PROCEDURE shop.p TO {who(O_BRIEN)} WITH GRANT OPTION",
    f"GRANT PROCESS, CREATE USER ON *.* TO {who(BATCH)}",
    f"GRANT CONNECTION_ADMIN ON *.* TO {who(BATCH)}",
    f"GRANT XA_RECOVER_ADMIN ON *.* TO {who(BATCH)} WITH GRANT OPTION",
    f"GRANT SELECT, INSERT ON *.* TO {who(BATCH)}",
    f"REVOKE INSERT ON sys.* FROM {who(BATCH)}",
)


@dataclass(frozen=True)
class Pair:
    """Blue, and a clone of it that is closed and has seen nothing of what was done about accounts since."""

    blue: Endpoint
    green: Endpoint

    def carry(self) -> tuple[list[str], list[AccountDifference]]:
        """Bring blue's accounts to green."""
        with connected(self.blue) as source, connected(self.green) as target:
            return accounts.carry(source, target, DEPLOYMENT)

    def differences(self) -> list[AccountDifference]:
        """What is different now."""
        with connected(self.blue) as source, connected(self.green) as target:
            return accounts.differences(source, target, DEPLOYMENT)

    def told(self) -> list[str]:
        """The same as sentences."""
        return [str(one) for one in self.differences()]


@pytest.fixture(scope="module")
def pair(servers: Servers) -> Iterator[Pair]:
    """Every test leaves both sides with the same accounts."""
    blue = servers.blue()
    with connected(blue) as conn:
        record.ensure(conn)
    run(blue, "CREATE USER app IDENTIFIED BY 'application'", "GRANT SELECT, INSERT ON shop.* TO app")
    green = servers.clone(blue)
    with connected(green) as conn:
        locks.lock(conn, DEPLOYMENT, locks.client_accounts(conn))
    servers.as_service(green, "CREATE TABLE shop.t (id int PRIMARY KEY, c int, `we``ird` int)")
    servers.as_service(green, "CREATE PROCEDURE shop.p() SELECT 1")
    made = Pair(blue, green)
    run(blue, *STATEMENTS)
    made.carry()
    yield made
    servers.remove(blue, green)


def as_made(endpoint: Endpoint, account: Account) -> list[Any]:
    """The account as the server itself says that it can be made again, with its second password."""
    with connected(endpoint) as conn:
        rows(conn, "SET print_identified_with_as_hex = ON")
        found = [
            value(conn, f"SHOW CREATE USER {who(account)}"),
            *sorted(row[0] for row in rows(conn, f"SHOW GRANTS FOR {who(account)}")),
            value(
                conn,
                "SELECT user_attributes->>'$.additional_password' FROM mysql.user WHERE user = %s AND host = %s",
                (account.user, account.host),
            ),
        ]
    return [
        re.sub(r" MAX_\w+ 0", "", str(one).replace("ACCOUNT LOCK", "ACCOUNT UNLOCK")).replace(" WITH PASS", " PASS")
        for one in found
    ]


@pytest.mark.parametrize("account", NAMES, ids=str)
def test_an_account_is_brought_over_with_all_that_is_its_own(pair: Pair, account: Account) -> None:
    assert as_made(pair.green, account) == as_made(pair.blue, account)


def test_nothing_of_it_is_in_the_binary_log_and_a_second_time_changes_nothing(pair: Pair) -> None:
    run(pair.blue, "CREATE USER late IDENTIFIED BY 'z'")
    before = run(pair.green, "SELECT @@GLOBAL.gtid_executed", "SHOW BINARY LOG STATUS")
    done, left = pair.carry()
    assert (done, left) == (["'late'@'%' is missing"], [])
    assert pair.carry() == ([], [])
    assert run(pair.green, "SELECT @@GLOBAL.gtid_executed", "SHOW BINARY LOG STATUS") == before


def test_what_is_made_stays_closed_until_the_fence_opens_and_an_owner_s_lock_stays(pair: Pair) -> None:
    with connected(pair.green) as conn:
        listed = set(fenced_accounts(conn, DEPLOYMENT))
        assert {O_BRIEN, BATCH, Account("app", "%")} <= listed
        assert not {Account("old", "%"), READER} & listed
        assert locks.closed(conn, DEPLOYMENT)
    as_app = replace(pair.green, user="o'brien", password="second secret")
    with pytest.raises(BlueGreenError, match="3118"):
        run(as_app, "SELECT 1")


def test_what_changes_later_is_told_and_follows(pair: Pair) -> None:
    run(
        pair.blue,
        f"ALTER USER {who(O_BRIEN)} IDENTIFIED BY 'new secret' REQUIRE NONE WITH MAX_QUERIES_PER_HOUR 0 PASSWORD HISTORY DEFAULT"
        ' FAILED_LOGIN_ATTEMPTS 0 PASSWORD_LOCK_TIME 0 ATTRIBUTE \'{"comment": null, "k": [1]}\'',
        f"ALTER USER {who(O_BRIEN)} DISCARD OLD PASSWORD",
        f"REVOKE {who(READER)} FROM {who(O_BRIEN)}",
        f"GRANT {who(READER)} TO {who(O_BRIEN)}",
        f"REVOKE GRANT OPTION ON PROCEDURE shop.p FROM {who(O_BRIEN)}",
        f"REVOKE PROCESS ON *.* FROM {who(BATCH)}",
        f"GRANT CONNECTION_ADMIN ON *.* TO {who(BATCH)} WITH GRANT OPTION",
        f"REVOKE UPDATE (`we``ird`) ON shop.t FROM {who(WRITER)}",
        "ALTER USER old IDENTIFIED BY 'y2' ACCOUNT UNLOCK",
        "ALTER USER ''@'h.%' ACCOUNT LOCK",
    )
    told = pair.told()
    for sentence in (
        "'o'brien'@'%' has another password",
        "'o'brien'@'%' has another requirement of TLS",
        "'o'brien'@'%' has the role 'reader'@'%' with the right to hand it on",
        "'b`t'@'10.0.0.0/255.255.255.0' has PROCESS on *.* too much",
        "'wri'ter'@'%' has UPDATE on `shop`.`t` (column we`ird) too much",
        "'old'@'%' is to be unlocked when this side opens",
        "''@'h.%' is to stay locked",
    ):
        assert sentence in told
    _done, left = pair.carry()
    assert left == []
    for account in NAMES:
        assert as_made(pair.green, account) == as_made(pair.blue, account)
    with connected(pair.green) as conn:
        listed = fenced_accounts(conn, DEPLOYMENT)
        assert Account("old", "%") in listed
        assert Account("", "h.%") not in listed


def test_passwords_and_their_hashes_are_in_no_sentence_and_no_repr(pair: Pair) -> None:
    run(pair.blue, "CREATE USER hidden IDENTIFIED BY 'a'", f"ALTER USER {who(O_BRIEN)} IDENTIFIED BY 'newer secret'")
    found = pair.differences()
    with connected(pair.blue) as conn:
        hashes = [
            row[0]
            for row in rows(conn, "SELECT HEX(authentication_string) FROM mysql.user WHERE authentication_string <> ''")
        ]
    said = repr(found) + "".join(f"{one} {one.remedy} {one.obstacle}" for one in found)
    assert len(found) == 2
    assert any(hash_ in "".join(found[0].statements) for hash_ in hashes)
    assert not [hash_ for hash_ in hashes if hash_ in said]
    pair.carry()


def test_what_the_admin_may_not_give_is_left_with_a_reason(servers: Servers, pair: Pair) -> None:
    servers.as_service(
        pair.blue,
        "CREATE USER exporter IDENTIFIED BY 'a'",
        "GRANT FILE, SELECT ON *.* TO exporter",
        "GRANT SYSTEM_VARIABLES_ADMIN ON *.* TO exporter",
    )
    done, left = pair.carry()
    assert "'exporter'@'%' is missing" in done
    assert {(str(one), one.obstacle) for one in left} == {
        (
            "'exporter'@'%' lacks FILE on *.*",
            "'shop_admin'@'%' has not FILE on *.* itself, with GRANT OPTION",
        ),
        (
            "'exporter'@'%' lacks the privilege SYSTEM_VARIABLES_ADMIN",
            "'shop_admin'@'%' has not SYSTEM_VARIABLES_ADMIN itself, with GRANT OPTION",
        ),
    }
    for side in (pair.blue, pair.green):
        servers.as_service(side, "DROP USER exporter")


def test_an_account_of_green_s_own_is_told_and_never_dropped_nor_touched(servers: Servers, pair: Pair) -> None:
    with connected(pair.green) as conn:
        rows(conn, "SET sql_log_bin = 0")
        rows(conn, "CREATE USER tester IDENTIFIED BY 'a'")
    try:
        done, left = pair.carry()
        assert done == []
        assert [(str(one), one.extra) for one in left] == [("'tester'@'%' is not on the side that serves", True)]
        with connected(pair.blue) as source, connected(pair.green) as target:
            assert accounts.differences(source, target, DEPLOYMENT, accounts.ignoring({"tester"})) == []
    finally:
        servers.as_service(pair.green, "DROP USER tester")


@pytest.mark.parametrize(
    ("grant", "locked"),
    [
        ("GRANT REPLICATION CLIENT ON *.* TO follower", False),
        ("GRANT SELECT, INSERT (c) ON shop.t TO follower", True),
        ("GRANT EXECUTE ON PROCEDURE shop.p TO follower", True),
        ("GRANT follower_rights TO follower", True),
    ],
)
def test_only_an_account_that_can_do_nothing_but_replicate_is_left_out_of_the_fence(
    pair: Pair, grant: str, locked: bool
) -> None:
    run(pair.green, "SET sql_log_bin = 0", "CREATE ROLE follower_rights", "CREATE USER follower IDENTIFIED BY 'r'")
    try:
        run(pair.green, "SET sql_log_bin = 0", "GRANT REPLICATION SLAVE ON *.* TO follower", grant)
        with connected(pair.green) as conn:
            assert ("follower" in {account.user for account in locks.client_accounts(conn)}) is locked
    finally:
        run(pair.green, "SET sql_log_bin = 0", "DROP USER follower", "DROP ROLE follower_rights")
