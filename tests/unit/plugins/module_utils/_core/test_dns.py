# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One DNS question over UDP."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.bluegreen.aws.plugins.module_utils._core.dns import (
    CName,
    answer,
    question,
)


def test_an_answer_to_another_question_is_not_taken() -> None:
    reply = struct.pack("!6H", 8, 0x8180, 0, 0, 0, 0)
    with pytest.raises(ValueError, match="another question"):
        answer(reply, 7, "db.example.com")


def test_names_that_point_at_themselves_end() -> None:
    reply = struct.pack("!6H", 7, 0x8180, 0, 1, 0, 0) + b"\xc0\x0c"
    with pytest.raises(ValueError, match="circle"):
        answer(reply, 7, "db.example.com")


@given(st.binary(max_size=80))
def test_whatever_comes_back_is_an_answer_or_a_value_error(tail: bytes) -> None:
    reply = struct.pack("!6H", 7, 0x8180, 0, 1, 0, 0) + tail
    try:
        assert isinstance(answer(reply, 7, "db.example.com"), CName)
    except ValueError:
        pass


@pytest.mark.parametrize("name", ["", "a..b", "x" * 64, "\u00e4.example"])
def test_what_is_no_name_is_not_asked_for(name: str) -> None:
    with pytest.raises(ValueError):
        question(1, name)
