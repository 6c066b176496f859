# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a probe's lines amount to."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._clients.probe_log import Record, parse
from ansible_collections.bluegreen.aws.plugins.module_utils._clients.probe_report import (
    audit,
    objections,
    report,
    unaudited,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


def line(record: str, t: float, begin: float = 0.0, **facts: Any) -> Record:
    at = (NOON + timedelta(milliseconds=begin + t)).isoformat(timespec="milliseconds")
    return {"record": record, "at": at, "t": t, **facts}


def started(begin: float = 0.0) -> Record:
    return line("run", 0.0, begin, run="r", engine="postgresql", host="h", interval_ms=100)


def attempt(t: float, op: str = "write", n: int = 1, lane: str = "kept", begin: float = 0.0, **facts: Any) -> Record:
    return line(
        "attempt", t, begin, lane=lane, op=op, n=n, ms=10.0, ok=True, address="10.0.0.1", server="blue", **facts
    )


def failure(t: float, op: str = "write", kind: str = "refused", n: int = 1, lane: str = "kept") -> Record:
    error = {"kind": kind, "code": "", "message": "no"}
    return line("attempt", t, lane=lane, op=op, n=n, ms=10.0, ok=False, address="", error=error)


def ended(t: float, canaries: dict[str, Any]) -> Record:
    return line("end", t, why="duration", canaries=canaries)


def test_a_gap_runs_from_one_answer_to_the_next() -> None:
    records = [
        started(),
        attempt(100, n=1),
        failure(200, n=2),
        failure(300, n=3),
        attempt(900, n=4),
        attempt(1000, n=5),
    ]
    (gap,) = report(records)["gaps"]["write"]
    assert (gap["ms"], gap["ended"]) == (800.0, True)
    assert (gap["from"][11:23], gap["to"][11:23]) == ("12:00:00.110", "12:00:00.910")


def test_an_outage_that_does_not_end_counts_until_the_last_attempt() -> None:
    (gap,) = report([started(), attempt(0), failure(500, n=2), failure(4990, n=3)])["gaps"]["write"]
    assert (gap["ms"], gap["ended"]) == (4990.0, False)


def test_a_probe_that_never_had_an_answer_has_one_gap() -> None:
    (gap,) = report([started(), failure(0), failure(990, n=2)])["gaps"]["write"]
    assert (gap["ms"], gap["ended"]) == (1000.0, False)


def test_the_longest_gap_is_that_of_the_worse_lane() -> None:
    kept = [attempt(t, n=t) for t in range(0, 2000, 100)]
    new = [attempt(0, lane="new"), attempt(1490, n=2, lane="new")]
    assert report([started(), *kept, *new])["longest_write_gap_ms"] == 1490.0


def test_nothing_is_said_of_the_time_in_which_nobody_watched() -> None:
    records = [started(), attempt(0), attempt(90, n=2), started(60_000), attempt(0, n=3, begin=60_000)]
    found = report(records)
    assert found["longest_write_gap_ms"] == 90.0
    assert [(one["from"][11:23], one["to"][11:23]) for one in found["unwatched"]] == [("12:00:00.090", "12:01:00.000")]
    assert found["watched_ms"] == 110.0


def test_lost_doubled_and_unacknowledged_canaries_are_told_apart() -> None:
    records = [started(), attempt(0, n=1), attempt(100, n=2), attempt(200, n=3), failure(300, n=4), failure(400, n=5)]
    found = audit(records, Counter({("kept", 1): 1, ("kept", 3): 2, ("kept", 4): 1}), "green")
    assert (found["acknowledged"], found["found"], found["unacknowledged_found"]) == (3, 2, 1)
    assert (found["lost_ids"], found["doubled_ids"]) == (["kept/2"], ["kept/3"])


def test_what_was_not_looked_at_is_not_called_whole() -> None:
    records = [started(), attempt(0)]
    found = report([*records, ended(100, unaudited(records, "the endpoint does not answer: refused"))])
    assert objections(found, None) == [
        "it is not known whether acknowledged canaries were lost, because the endpoint does not answer: refused"
    ]


def test_a_report_without_faults_has_no_objections() -> None:
    records = [started(), attempt(0), attempt(90, n=2)]
    found = report([*records, ended(200, audit(records, Counter({("kept", 1): 1, ("kept", 2): 1}), "blue"))])
    assert objections(found, 1000.0) == []


def test_a_gap_that_is_too_long_is_an_objection() -> None:
    (said,) = objections(report([started(), attempt(0), attempt(2000, n=2)]), 1000.0)
    assert said.startswith("the longest time without a write was 2000 ms (from 2026-11-26T12:00:00.010")


def test_a_probe_that_was_late_itself_says_so() -> None:
    on_time = [attempt(t, n=t) for t in (0, 100, 200)]
    assert report([started(), *on_time])["overslept_ms"] == 0.0
    assert report([started(), *on_time, attempt(900, n=4)])["overslept_ms"] == 900 - 210 - 100


def test_an_attempt_that_takes_long_is_not_the_probe_s_fault() -> None:
    slow = {**failure(100, n=2), "ms": 1900.0}
    assert report([started(), attempt(0), slow, attempt(2000, n=3)])["overslept_ms"] == 0.0


def test_errors_are_counted_by_kind_and_code() -> None:
    found = report([started(), failure(0), failure(100, "read"), failure(200, kind="read_only")])["errors"]
    assert [(one["kind"], one["count"]) for one in found] == [("refused", 2), ("read_only", 1)]


def test_a_read_that_misses_an_acknowledged_canary_is_stale() -> None:
    reads = [attempt(50, "read", n=1), attempt(200, "read", n=1), attempt(300, "read", n=2)]
    assert report([started(), attempt(0, n=1), attempt(100, n=2), *reads])["stale_reads"] == 1


def test_servers_and_names_are_told_as_they_changed() -> None:
    def asked(t: float, address: str, ttl: int) -> Record:
        return line("dns", t, addresses=[address], ttl=ttl, error=None)

    green = {**attempt(2000, n=2), "address": "10.0.0.2", "server": "green"}
    names = [asked(0, "10.0.0.1", 5), asked(1000, "10.0.0.1", 3), asked(2000, "10.0.0.2", 60)]
    found = report([started(), attempt(0), green, *names])
    assert [one["server"] for one in found["servers"]] == ["blue", "green"]
    assert [one["addresses"] for one in found["dns"]["answers"]] == [["10.0.0.1"], ["10.0.0.2"]]
    assert (found["dns"]["ttl_min"], found["dns"]["ttl_max"]) == (3, 60)


def test_a_line_that_was_cut_off_by_a_kill_is_left_out() -> None:
    text = b'{"record":"run","t":0}\n{"record":"att\n{"record":"dns","t":1}\n'
    assert [one["record"] for one in parse(text, "p")] == ["run", "dns"]


@pytest.mark.parametrize("text", [b"PK\x03\x04", b"hello\n", b'{"a": 1}\n'])
def test_a_file_that_is_not_a_probes_is_refused(text: bytes) -> None:
    with pytest.raises(BlueGreenError, match="holds something else"):
        parse(text, "/etc/passwd")
