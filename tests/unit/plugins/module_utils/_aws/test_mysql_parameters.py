# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What green's group is filled with, and what a value is called in the next family."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._aws.mysql_parameters import (
    applier_values,
    closed_values,
    green_values,
    named_as_in,
    scheduler_value,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.parameter_groups import carry_over


def known(*names: str, **allowed: str) -> dict[str, dict[str, Any]]:
    """A family with these parameters."""
    every = {**dict.fromkeys(names, ""), **allowed}
    return {name: {"IsModifiable": True, "AllowedValues": value} for name, value in every.items()}


V3 = known(
    "replica_parallel_workers",
    "replica_checkpoint_period",
    "binlog_format",
    "gtid-mode",
    read_only="0,1",
    event_scheduler="ON,OFF",
    replica_preserve_commit_order="0,1",
)


def test_green_is_born_closed_with_blues_values() -> None:
    blue = {"binlog_format": "ROW", "gtid-mode": "ON", "event_scheduler": "ON", "read_only": "0"}
    assert green_values(blue, V3, newborn=True) == {
        "binlog_format": "ROW",
        "gtid-mode": "ON",
        "read_only": "1",
        "event_scheduler": "OFF",
        "replica_parallel_workers": "4",
        "replica_preserve_commit_order": "1",
        "replica_checkpoint_period": "1",
    }


@pytest.mark.parametrize("blue", [{"read_only": "0"}, {"read_only": "1", "event_scheduler": "ON"}, {}])
def test_a_green_that_exists_is_neither_opened_nor_closed(blue: dict[str, str]) -> None:
    assert not {"read_only", "event_scheduler"} & set(green_values(blue, V3, newborn=False))


@pytest.mark.parametrize(("workers", "wanted"), [("16", "16"), ("0", "4")])
def test_it_applies_as_blue_would_but_not_with_one_thread(workers: str, wanted: str) -> None:
    assert applier_values({"replica_parallel_workers": workers}, V3)["replica_parallel_workers"] == wanted


def test_what_the_family_does_not_know_is_not_asked_for() -> None:
    v2 = known(read_only="0,1", slave_parallel_workers="0-1024")
    assert applier_values({}, v2) == {}
    assert closed_values(v2) == {"read_only": "1"}


@pytest.mark.parametrize(
    ("server", "allowed", "wanted"), [("ON", "ON,OFF", "ON"), ("OFF", "0,1", "0"), ("ON", "", "ON")]
)
def test_the_servers_word_becomes_the_parameters(server: str, allowed: str, wanted: str) -> None:
    assert scheduler_value(server, {"AllowedValues": allowed}) == wanted


def test_a_renamed_parameter_keeps_its_value() -> None:
    values = {"slave_parallel_workers": "8", "binlog_format": "ROW", "innodb_locks_unsafe_for_binlog": "1"}
    carried = carry_over(named_as_in(values, V3), V3)
    assert carried.values == {"replica_parallel_workers": "8", "binlog_format": "ROW"}
    assert carried.dropped == ("innodb_locks_unsafe_for_binlog",)


def test_the_new_name_wins_when_both_are_set() -> None:
    values = {"slave_parallel_workers": "8", "replica_parallel_workers": "2"}
    assert named_as_in(values, V3) == {"replica_parallel_workers": "2"}


def test_the_old_name_stays_where_it_is_the_name() -> None:
    v2 = known("slave_parallel_workers")
    assert named_as_in({"slave_parallel_workers": "8"}, v2) == {"slave_parallel_workers": "8"}


def test_a_parameter_that_is_gone_is_told_by_its_own_name() -> None:
    assert carry_over(named_as_in({"init_slave": "SET x = 1"}, V3), V3).dropped == ("init_slave",)


def test_modes_that_mysql_gave_up_are_left_out() -> None:
    v3 = known(sql_mode="STRICT_TRANS_TABLES,ANSI_QUOTES")
    values = {"sql_mode": "STRICT_TRANS_TABLES,NO_AUTO_CREATE_USER,ANSI_QUOTES"}
    assert named_as_in(values, v3) == {"sql_mode": "STRICT_TRANS_TABLES,ANSI_QUOTES"}
    v2 = known(sql_mode="STRICT_TRANS_TABLES,ANSI_QUOTES,NO_AUTO_CREATE_USER")
    assert named_as_in(values, v2) == values
