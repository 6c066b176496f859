# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Positions, connection strings, and how their values survive."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg2.extensions import parse_dsn

from ansible_collections.bluegreen.aws.plugins.module_utils._core.endpoint import Endpoint
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql import lsn
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.subscription import publisher_conninfo


@given(st.integers(min_value=0, max_value=2**64 - 1))
def test_a_position_survives_being_written(position: int) -> None:
    assert lsn.parse(lsn.text(position)) == position


def test_a_position_is_counted_in_bytes() -> None:
    assert lsn.parse("16/B374D848") == 0x16B374D848
    assert lsn.parse("0/ff") < lsn.parse("1/0")


@pytest.mark.parametrize("text", ["", "yesterday", "16", "16/", "/16", "16/B374D8481", "g/1", "1/2/3"])
def test_what_is_no_position_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(BlueGreenError, match="must look like 16/B374D848"):
        lsn.parse(text)


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
def test_a_connection_string_carries_any_password_and_database(text: str) -> None:
    publisher = Endpoint("blue", "db.example", 5432, "admin", "irrelevant")
    dsn = publisher_conninfo(publisher, text, "role", text, "require", "name")
    found = parse_dsn(dsn)
    assert (found["password"], found["dbname"], found["user"], found["sslmode"]) == (text, text, "role", "require")
    assert "irrelevant" not in dsn.replace(text, "")
