# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A DNS question that goes over the wire."""

from __future__ import annotations

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.dns import CName, query_cname
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from tests.lab.resolver import Resolver


def test_a_server_is_asked_and_its_answer_read() -> None:
    with Resolver(lambda name: ("shop.cluster-abc.example", 42) if name == "db.example.com" else None) as resolver:
        assert query_cname(resolver.address, "DB.example.com.".lower()) == CName("shop.cluster-abc.example", 42)


def test_a_name_that_does_not_exist_is_a_sentence() -> None:
    with Resolver(lambda _name: None) as resolver, pytest.raises(BlueGreenError, match="the reply has the code 3"):
        query_cname(resolver.address, "db.example.com")


def test_a_server_that_is_not_there_is_a_sentence() -> None:
    with pytest.raises(BlueGreenError, match=r"The DNS server 127\.0\.0\.1:1 should answer"):
        query_cname("127.0.0.1:1", "db.example.com")
