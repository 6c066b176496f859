# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Places in a binary log, how far they are apart, what bounds them, and whom to believe."""

from __future__ import annotations

import re

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.canary import Bounds
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.coordinates import (
    Coordinates,
    distance,
    transactions,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.dialect import Dialect
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.locks import parse_account
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.place import doubt, mode
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.record import Account
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.remedies import number, sentence, told
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.replication_user import login, new_password

UUID = "11a387d5-e9a9-11f1-a5ce-02fc00000001"


def at(number_: int, offset: int) -> Coordinates:
    return Coordinates(f"mysql-bin-changelog.{number_:06d}", offset)


@pytest.mark.parametrize("text", ["mysql-bin-changelog.000003:99358949", " mysql-bin-changelog.000003 99358949\n"])
def test_a_position_is_read_as_the_option_and_as_the_event_have_it(text: str) -> None:
    assert Coordinates.parse(text) == at(3, 99358949)
    assert str(Coordinates.parse(text)) == "mysql-bin-changelog.000003:99358949"


@pytest.mark.parametrize("text", ["", "mysql-bin-changelog.000003", "mysql-bin-changelog:4", "16/B374D848", "a.1:-4"])
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(BlueGreenError, match="A position must look like"):
        Coordinates.parse(text)


def test_places_are_ordered_by_the_number_of_the_file() -> None:
    places = [at(999_999, 4), Coordinates("mysql-bin-changelog.1000000", 4), at(9, 500), at(10, 4), at(9, 1000)]
    assert sorted(places, key=lambda one: one.order) == [places[2], places[4], places[3], places[0], places[1]]


def test_the_distance_goes_over_files_and_is_not_known_without_one_of_them() -> None:
    logs = {at(2, 0).file: 100, at(3, 0).file: 1000, at(4, 0).file: 300}
    assert distance(logs, at(3, 400), at(3, 900)) == 500
    assert distance(logs, at(2, 90), at(4, 20)) == 10 + 1000 + 20
    assert distance(logs, at(1, 90), at(4, 20)) is None
    assert distance(logs, at(3, 900), at(3, 400)) == 0  # the replica was looked at later


@pytest.mark.parametrize(
    ("gtid_set", "count"),
    [
        ("", 0),
        (f"{UUID}:1-1031", 1031),
        (f"{UUID}:1-5:7:9-10,\n{UUID.replace('1', '2', 1)}:3", 9),
        (f"{UUID}:1-3:blue:1-4", 7),  # with a tag, since 8.3
    ],
)
def test_transactions_of_a_gtid_set_are_counted(gtid_set: str, count: int) -> None:
    assert transactions(gtid_set) == count


def test_bounds_hold_the_end_of_the_last_canary_but_not_its_beginning() -> None:
    bounds = Bounds(at(3, 100), at(4, 50))
    assert [bounds.holds(one) for one in (at(3, 100), at(3, 101), at(4, 50), at(4, 51))] == [False, True, True, False]
    assert Bounds(None, None).holds(at(1, 4))


@pytest.mark.parametrize(
    ("version", "enhanced", "doubtful"),
    [
        ("5.7.mysql_aurora.2.09.3", False, True),
        ("5.7.mysql_aurora.2.10.0", False, False),
        ("8.0.mysql_aurora.3.10.0", False, False),
        ("8.0.mysql_aurora.3.10.0", True, True),
        ("8.4.mysql_aurora.8.4.7", True, True),
        ("8.4.mysql_aurora.8.4.8", True, False),
        ("", False, False),
    ],
)
def test_positions_of_versions_with_known_faults_are_doubted(version: str, enhanced: bool, doubtful: bool) -> None:
    assert (doubt(version, enhanced=enhanced) is not None) is doubtful


def test_gtids_are_used_when_both_sides_have_them() -> None:
    assert [mode("auto", "ON", "ON"), mode("auto", "ON", "ON_PERMISSIVE"), mode("off", "ON", "ON")] == [
        "gtid",
        "position",
        "position",
    ]
    assert mode("required", "ON", "ON") == "gtid"
    with pytest.raises(BlueGreenError, match="gtid_mode is ON on blue and OFF on green"):
        mode("required", "ON", "OFF")


def test_an_error_is_told_with_what_to_do_and_without_the_statement() -> None:
    error = "Error 'Table 't' already exists' on query. Default database: 'shop'. Query: 'CREATE TABLE t (a int)' (error 1050)"
    assert number(error) == 1050
    assert told(error) == "Error 'Table 't' already exists' on query. Default database: 'shop' (error 1050)"
    assert "sql_log_bin = 0" in sentence(error)
    assert "never skip it" in sentence("Something new (error 99999)")
    collation = "Error 'Character set '#255' is not a compiled character set' on query BEGIN (error 22)"
    assert "default_collation_for_utf8mb4" in sentence(collation)


@pytest.mark.parametrize(
    ("text", "account"),
    [
        ("reader", Account("reader", "%")),
        ("reader@10.0.%", Account("reader", "10.0.%")),
        ("'a@b'@'%'", Account("a@b", "%")),
        ("`o'b`@localhost", Account("o'b", "localhost")),
    ],
)
def test_an_account_is_read_as_one_writes_it(text: str, account: Account) -> None:
    assert parse_account(text) == account


@pytest.mark.parametrize("user", ["abc", "a" * 17, "1abcd", "with-hyphen", "Späße", "with space"])
def test_a_replication_user_against_the_rule_is_refused(user: str) -> None:
    with pytest.raises(BlueGreenError, match="4 to 16 letters, digits and underscores and begin with a letter"):
        login("bg_shop_repl", user, None, "require")


def test_the_login_is_the_given_one_or_one_of_our_own() -> None:
    assert login("bg_shop_repl", None, None, "require").user == "bg_shop_repl"
    given = login("bg_shop_repl", "repl_user", "s3cret", "disable")
    assert (given.user, given.given, given.encrypted) == ("repl_user", True, False)
    assert "s3cret" not in repr(given)
    with pytest.raises(BlueGreenError, match="replication_password must have 1 to 32 characters") as refused:
        login("bg_shop_repl", "repl_user", "p" * 33, "require")
    assert "ppp" not in refused.value.message


def test_passwords_fit_into_what_a_replica_takes() -> None:
    made = {new_password() for _turn in range(50)}
    assert len(made) == 50
    for one in made:
        assert len(one) == 32
        assert re.search("[a-z]", one) and re.search("[A-Z]", one) and re.search("[0-9]", one) and "_" in one


def test_users_have_32_characters_at_most_and_differ_between_deployments() -> None:
    long = [
        Names.of("a-very-long-deployment-identifier-of-40-a"[:40].rstrip("-")),
        Names.of("a-very-long-deployment-identifier-of-4"),
    ]
    users = {user for names in long for user in (names.replication_user, names.probe_user)}
    assert len(users) == 4 and all(len(user) <= 32 for user in users)
    assert Names.of("shop-v84").replication_user == "bg_shop_v84_repl"


@pytest.mark.parametrize(
    ("version", "status", "change", "wait"),
    [
        ("5.7.44-log", "SHOW SLAVE STATUS", "CHANGE MASTER TO", "MASTER_POS_WAIT"),
        ("8.0.22", "SHOW REPLICA STATUS", "CHANGE MASTER TO", "MASTER_POS_WAIT"),
        ("8.0.39", "SHOW REPLICA STATUS", "CHANGE REPLICATION SOURCE TO", "SOURCE_POS_WAIT"),
        ("8.4.7", "SHOW REPLICA STATUS", "CHANGE REPLICATION SOURCE TO", "SOURCE_POS_WAIT"),
        ("9.7.4", "SHOW REPLICA STATUS", "CHANGE REPLICATION SOURCE TO", "SOURCE_POS_WAIT"),
    ],
)
def test_statements_have_the_words_of_the_servers_version(version: str, status: str, change: str, wait: str) -> None:
    dialect = Dialect.parse(version)
    assert (dialect.name("replica_status"), dialect.name("change_source"), dialect.name("position_wait")) == (
        status,
        change,
        wait,
    )
    assert dialect.name("binlog_status") == ("SHOW MASTER STATUS" if version < "8.2" else "SHOW BINARY LOG STATUS")


@pytest.mark.parametrize("version", ["5.6.51", "10.11.6-MariaDB", "nonsense"])
def test_other_servers_are_refused(version: str) -> None:
    with pytest.raises(BlueGreenError, match=r"must be MySQL 5\.7 or later"):
        Dialect.parse(version)
