# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The streams: iterators, limits, the page's size, the end, expiry, gaps, and the shape of it all."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.lab.neptune import stream
from tests.unit.lab.neptune.conftest import Instance

PATH = "/propertygraph/stream"


@pytest.fixture
def written(instance: Instance) -> Instance:
    """An instance with three commits of two records each."""
    for name in "abc":
        instance.cypher(f"CREATE (:A {{`~id`: '{name}', k: 1}})")
    return instance


def ids(page: dict[str, Any]) -> list[tuple[int, int]]:
    """The event ids of a page."""
    return [(one["eventId"]["commitNum"], one["eventId"]["opNum"]) for one in page["records"]]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"iteratorType": "TRIM_HORIZON", "limit": 2}, [(1, 1), (1, 2)]),
        ({"iteratorType": "LATEST", "limit": 5}, [(3, 2)]),
        ({"iteratorType": "AT_SEQUENCE_NUMBER", "commitNum": 2, "limit": 2}, [(2, 1), (2, 2)]),
        ({"iteratorType": "AT_SEQUENCE_NUMBER", "commitNum": 2, "opNum": 2, "limit": 2}, [(2, 2), (3, 1)]),
        (
            {"iteratorType": "AFTER_SEQUENCE_NUMBER", "commitNum": 1, "opNum": 2, "limit": 9},
            [(2, 1), (2, 2), (3, 1), (3, 2)],
        ),
        ({"iteratorType": "AFTER_SEQUENCE_NUMBER", "commitNum": 2, "limit": 9}, [(2, 2), (3, 1), (3, 2)]),
    ],
)
def test_iterators(written: Instance, query: dict[str, Any], found: list[tuple[int, int]]) -> None:
    assert ids(written.stream(**query)) == found


def test_the_default_is_ten_records_at_a_number(written: Instance) -> None:
    for number in range(10):
        written.cypher(f"CREATE (:A {{`~id`: 'v{number}'}})")
    status, page = written.handle("GET", PATH, {"commitNum": "1"})
    assert (status, len(page["records"])) == (200, 10)


def test_a_page_says_where_it_ends_and_records_where_their_transaction_does(written: Instance) -> None:
    page = written.stream(limit=3)
    assert page["lastEventId"] == {"commitNum": 2, "opNum": 1}
    assert page["format"] == "PG_JSON"
    assert page["totalRecords"] == 3
    assert [one.get("isLastOp") for one in page["records"]] == [None, True, None]
    assert page["lastTrxTimestamp"] == page["records"][-1]["commitTimestamp"]


def test_a_page_ends_with_the_record_that_makes_it_too_large(
    written: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = written.stream()["records"]
    monkeypatch.setattr(stream, "PAGE_BYTES", len(json.dumps(whole[0], separators=(",", ":"))) + 1)
    assert len(written.stream()["records"]) == 2


def test_the_end_is_a_404_that_names_the_last_event(written: Instance) -> None:
    query = {"iteratorType": "AFTER_SEQUENCE_NUMBER", "commitNum": "3", "opNum": "2"}
    status, found = written.handle("GET", PATH, query)
    assert (status, found["code"]) == (404, "StreamRecordsNotFoundException")
    assert "Last valid eventId is [commitNum = 3, opNum = 2]" in found["detailedMessage"]


@pytest.mark.parametrize("iterator", ["LATEST", "TRIM_HORIZON"])
def test_an_empty_stream_has_no_records(instance: Instance, iterator: str) -> None:
    assert instance.refusal(PATH, {"iteratorType": iterator}) == "StreamRecordsNotFoundException"


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0", "commitNum": "1"},
        {"limit": "100001", "commitNum": "1"},
        {"limit": "x", "commitNum": "1"},
        {"iteratorType": "NEXT"},
        {"commitNum": "-1"},
        {"commitNum": "one"},
    ],
)
def test_wrong_parameters_are_refused(written: Instance, query: dict[str, str]) -> None:
    assert written.refusal(PATH, query) == "InvalidParameterException"


def test_without_a_number_there_is_no_place(written: Instance) -> None:
    assert written.refusal(PATH, {}) == "MissingParameterException"


def test_expired_records_are_told_from_the_end(written: Instance) -> None:
    written.volume.graph.stream.expire(2, 1)
    after = {"iteratorType": "AFTER_SEQUENCE_NUMBER"}
    assert written.refusal(PATH, {**after, "commitNum": "1", "opNum": "2"}) == "ExpiredStreamException"
    assert written.refusal(PATH, {"commitNum": "2", "opNum": "1"}) == "ExpiredStreamException"
    assert ids(written.stream(**after, commitNum=2, opNum=1)) == [(2, 2), (3, 1), (3, 2)]
    assert ids(written.stream(limit=1)) == [(2, 2)]


def test_expired_records_can_look_like_the_end_as_they_have_been_seen_to(written: Instance) -> None:
    written.volume.graph.stream.expire(2, 2)
    written.faults.expired_as_not_found = True
    assert written.refusal(PATH, {"commitNum": "1"}) == "StreamRecordsNotFoundException"


def test_records_expire_by_age(written: Instance) -> None:
    written.faults.clock_ahead = 8 * 86400
    assert written.refusal(PATH, {"commitNum": "1"}) == "ExpiredStreamException"
    assert written.refusal(PATH, {"iteratorType": "LATEST"}) == "StreamRecordsNotFoundException"


def test_a_replica_that_lags_shows_an_earlier_end(written: Instance) -> None:
    reader = Instance(written.volume, "reader")
    reader.faults.commits_behind = 2
    assert ids(reader.stream(iteratorType="LATEST")) == [(1, 2)]
    assert reader.refusal(PATH, {"commitNum": "2"}) == "StreamRecordsNotFoundException"
    reader.faults.commits_behind = 0
    assert ids(reader.stream(iteratorType="LATEST")) == [(3, 2)]


def test_the_text_of_the_end_can_be_another(written: Instance) -> None:
    written.faults.not_found_text = "Nothing here"
    status, found = written.handle("GET", PATH, {"commitNum": "9"})
    assert (status, found["detailedMessage"]) == (404, "Nothing here")


def test_a_lost_commit_is_skipped(written: Instance) -> None:
    written.volume.graph.stream.lose(2)
    assert ids(written.stream()) == [(1, 1), (1, 2), (3, 1), (3, 2)]


def test_streams_that_are_off_are_refused_and_forgotten(written: Instance) -> None:
    written.volume.record(False)
    assert written.refusal(PATH, {"commitNum": "1"}) == "UnsupportedOperationException"
    written.cypher("CREATE (:A {`~id`: 'unseen'})")
    written.volume.record(True)
    assert written.refusal(PATH, {"iteratorType": "TRIM_HORIZON"}) == "StreamRecordsNotFoundException"
    written.cypher("CREATE (:A {`~id`: 'seen'})")
    assert ids(written.stream()) == [(4, 1)]


def test_values_keep_their_type_and_what_json_cannot_say_is_text(instance: Instance) -> None:
    literals = (
        "1b",
        "2s",
        "3",
        "4l",
        "1.5f",
        "2.5d",
        "true",
        "'ü\\'\\n'",
        "datetime('2024-05-01T12:00:00.5Z')",
        "NaN",
        "-Infinity",
    )
    steps = "".join(f".property('k{at}',{literal})" for at, literal in enumerate(literals))
    instance.gremlin(f"g.addV('A').property(id,'v'){steps}")
    assert [change[4:] for change in instance.changes()[1:]] == [
        ("Byte", 1),
        ("Short", 2),
        ("Int", 3),
        ("Long", 4),
        ("Float", 1.5),
        ("Double", 2.5),
        ("Bool", True),
        ("String", "ü'\n"),
        ("Date", "2024-05-01T12:00:00.500Z"),
        ("Double", "NaN"),
        ("Double", "-Infinity"),
    ]
