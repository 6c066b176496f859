# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The upgrade path: fewest hops along the valid targets, and a refusal that says where one can go."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.bluegreen.aws.plugins.module_utils._aws.upgrade import (
    EngineVersion,
    Hop,
    plan_upgrade,
    version_key,
    versions_of,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError

GRAPH = {
    "15.4": {"15.8": False, "16.10": True},
    "15.8": {"16.10": True, "16.14": True},
    "16.10": {"16.14": False, "18.1": True},
    "16.14": {"18.4": True},
    "18.1": {"18.4": False},
    "18.4": {},
}


def versions(graph: dict[str, dict[str, bool]]) -> dict[str, EngineVersion]:
    return {name: EngineVersion(name, f"pg{name.split('.')[0]}", targets) for name, targets in graph.items()}


def path(start: str, end: str, allow_major: bool = True) -> list[str]:
    return [hop.version for hop in plan_upgrade(versions(GRAPH), start, end, allow_major)]


@pytest.mark.parametrize(
    ("start", "end", "hops"),
    [
        ("16.14", "16.14", []),
        ("16.14", "18.4", ["18.4"]),
        ("16.10", "16.14", ["16.14"]),
        ("16.10", "18.4", ["18.1", "18.4"]),
        ("15.8", "18.4", ["16.14", "18.4"]),
        ("15.4", "18.1", ["16.10", "18.1"]),
    ],
)
def test_the_path_has_the_fewest_hops(start: str, end: str, hops: list[str]) -> None:
    assert path(start, end) == hops


def test_of_two_shortest_paths_the_one_over_the_newest_version_is_taken() -> None:
    graph = {"1.0": {"1.9": False, "1.10": False}, "1.9": {"2.0": True}, "1.10": {"2.0": True}, "2.0": {}}
    assert [hop.version for hop in plan_upgrade(versions(graph), "1.0", "2.0", True)] == ["1.10", "2.0"]


def test_a_hop_knows_its_family_and_whether_it_is_major() -> None:
    assert plan_upgrade(versions(GRAPH), "16.10", "18.4", True) == (
        Hop("18.1", "pg18", True),
        Hop("18.4", "pg18", False),
    )


def test_a_version_that_cannot_be_reached_is_refused_with_those_that_can() -> None:
    with pytest.raises(BlueGreenError) as caught:
        path("16.10", "17.2")
    assert caught.value.message == (
        "The engine version should become 17.2, but the cluster runs 16.10 and 17.2 cannot be reached from it; "
        "versions that can be reached: 16.14, 18.1, 18.4."
    )


def test_an_older_version_is_refused_as_such() -> None:
    with pytest.raises(BlueGreenError, match=r"16\.14 is older, and an upgrade never goes back; .* reached: 18.4"):
        path("18.1", "16.14")


def test_a_cluster_that_can_go_nowhere_is_told_so() -> None:
    with pytest.raises(BlueGreenError, match="can be reached: none"):
        path("18.4", "19.0")


def test_a_current_version_that_is_not_listed_leads_nowhere() -> None:
    with pytest.raises(BlueGreenError, match="can be reached: none"):
        path("9.6", "18.4")


def test_a_major_hop_needs_the_users_word_wherever_it_is_on_the_path() -> None:
    with pytest.raises(BlueGreenError, match=r"from 16.10 to 18.4 is a major one \(to 18.1\), but allow_major"):
        path("16.10", "18.4", allow_major=False)
    assert path("18.1", "18.4", allow_major=False) == ["18.4"]


def test_versions_are_ordered_by_their_numbers() -> None:
    names = ["16.14", "9.6", "16.9", "8.0.mysql_aurora.3.10.0", "8.0.mysql_aurora.3.04.0", "18.1"]
    assert sorted(names, key=version_key) == [
        "8.0.mysql_aurora.3.04.0",
        "8.0.mysql_aurora.3.10.0",
        "9.6",
        "16.9",
        "16.14",
        "18.1",
    ]


def test_the_answer_of_the_api_is_read() -> None:
    target = {"EngineVersion": "18.4", "IsMajorVersionUpgrade": True}
    answer: list[dict[str, Any]] = [
        {"EngineVersion": "16.14", "DBParameterGroupFamily": "aurora-postgresql16", "ValidUpgradeTarget": [target]},
        {"EngineVersion": "18.4", "DBParameterGroupFamily": "aurora-postgresql18"},
    ]
    found = versions_of(answer)
    assert found["16.14"] == EngineVersion("16.14", "aurora-postgresql16", {"18.4": True})
    assert found["18.4"].targets == {}


@settings(max_examples=40, deadline=None)
@given(st.sets(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=24), st.integers(0, 7), st.integers(0, 7))
def test_every_path_is_valid_and_none_is_shorter(edges: set[tuple[int, int]], start: int, end: int) -> None:
    graph: dict[str, dict[str, bool]] = {str(node): {} for node in range(8)}
    for origin, target in edges:
        graph[str(origin)][str(target)] = False
    lengths = {
        length
        for length in range(1, 8)
        for middle in itertools.product(range(8), repeat=length - 1)
        if length <= 3 and all(step in edges for step in itertools.pairwise((start, *middle, end)))
    }
    try:
        hops = [int(hop.version) for hop in plan_upgrade(versions(graph), str(start), str(end), True)]
    except BlueGreenError:
        assert not lengths and start != end
        return
    if start == end:
        assert hops == []
        return
    assert hops[-1] == end
    assert all(step in edges for step in itertools.pairwise((start, *hops)))
    assert not lengths or len(hops) == min(lengths)


AURORA_MYSQL = {
    "5.7.mysql_aurora.2.11.6": {"8.0.mysql_aurora.3.05.2": True, "8.0.mysql_aurora.3.10.0": True},
    "8.0.mysql_aurora.3.05.2": {"8.0.mysql_aurora.3.10.0": False},
    "8.0.mysql_aurora.3.10.0": {"8.4.mysql_aurora.8.4.7": True, "8.4.mysql_aurora.8.4.8": True},
    "8.4.mysql_aurora.8.4.7": {"8.4.mysql_aurora.8.4.8": False},
    "8.4.mysql_aurora.8.4.8": {},
}


def test_aurora_mysql_versions_sort_by_age() -> None:
    shuffled = sorted(AURORA_MYSQL, key=lambda name: name[::-1])
    assert sorted(shuffled, key=version_key) == list(AURORA_MYSQL)


def test_aurora_mysql_goes_through_each_major_version() -> None:
    found = plan_upgrade(versions(AURORA_MYSQL), "5.7.mysql_aurora.2.11.6", "8.4.mysql_aurora.8.4.8", allow_major=True)
    assert [hop.version for hop in found] == ["8.0.mysql_aurora.3.10.0", "8.4.mysql_aurora.8.4.8"]


def test_an_older_aurora_mysql_is_told_from_one_that_cannot_be_reached() -> None:
    with pytest.raises(BlueGreenError, match=r"3\.05\.2 is older, and an upgrade never goes back"):
        plan_upgrade(versions(AURORA_MYSQL), "8.0.mysql_aurora.3.10.0", "8.0.mysql_aurora.3.05.2", allow_major=True)
