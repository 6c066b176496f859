# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The two tables for operators."""

from __future__ import annotations

from typing import Any

from ansible_collections.bluegreen.aws.plugins.module_utils._clients.tables import (
    Host,
    hosts,
    hosts_text,
    timeline,
    timeline_text,
)


def _readers(side: str, count: int) -> list[Host]:
    return [Host(f"{side}-{number}", "reader") for number in reversed(range(count))]


def test_endpoints_and_writers_correspond_and_readers_go_round() -> None:
    blue = [Host("shop.cluster-x", "cluster", ("10.0.0.1",)), Host("shop-1", "writer"), *_readers("blue", 3)]
    green = [Host("shop-green.cluster-x", "cluster", ("10.0.0.2",)), Host("green-w", "writer"), *_readers("green", 2)]
    assert [(row["blue"], row["green"]) for row in hosts(blue, green)] == [
        ("shop.cluster-x", "shop-green.cluster-x"),
        ("shop-1", "green-w"),
        ("blue-0", "green-0"),
        ("blue-1", "green-1"),
        ("blue-2", "green-0"),
    ]
    assert hosts(blue, green)[0]["green_addresses"] == ["10.0.0.2"]


def test_a_reader_corresponds_to_the_one_that_takes_its_name_whatever_their_order() -> None:
    blue = [Host("shop-r.x", "reader"), Host("shop-r-west.x", "reader")]
    green = [Host("shop-r-green-abc123.x", "reader"), Host("shop-r-west-green-000000.x", "reader")]
    assert {row["blue"]: row["green"] for row in hosts(blue, green)} == {
        "shop-r.x": "shop-r-green-abc123.x",
        "shop-r-west.x": "shop-r-west-green-000000.x",
    }


def test_readers_go_to_the_writer_of_a_green_without_readers() -> None:
    table = hosts([Host("shop-2", "reader")], [Host("green-w", "writer", ("10.0.0.2",))])
    assert [(row["blue"], row["green"]) for row in table] == [("shop-2", "green-w")]


def test_a_host_without_a_counterpart_is_shown_all_the_same() -> None:
    table = hosts([Host("shop-1", "writer", ("10.0.0.1",))], [])
    assert table == [
        {"kind": "writer", "blue": "shop-1", "blue_addresses": ["10.0.0.1"], "green": None, "green_addresses": []}
    ]
    assert hosts_text(table).splitlines()[-1] == "writer | shop-1 | 10.0.0.1 | -     | -"


def test_the_timeline_is_in_order_and_its_offsets_end_at_one_edge() -> None:
    events: list[dict[str, Any]] = [
        {"at": "2026-11-26T10:00:02.500Z", "offset_ms": 2500.4, "event": "POST", "more": 1},
        {"at": "2026-11-26T10:00:00.000Z", "offset_ms": 0.0, "event": "IN_PROGRESS"},
        {"at": "2026-11-26T09:59:59.000Z", "offset_ms": None, "event": "CREATED"},
    ]
    table = timeline(events)
    assert [row["event"] for row in table] == ["CREATED", "IN_PROGRESS", "POST"]
    assert list(table[0]) == ["at", "offset_ms", "event"]
    assert timeline_text(table).splitlines() == [
        "timestamp                | offset (ms) | event",
        "-------------------------+-------------+------------",
        "2026-11-26T09:59:59.000Z |           - | CREATED",
        "2026-11-26T10:00:00.000Z |           0 | IN_PROGRESS",
        "2026-11-26T10:00:02.500Z |        2500 | POST",
    ]
