# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read of the wrappers' tables and of the attempts of clients."""

from __future__ import annotations

import pytest

from tests.clients.findings import doubled, errors, longest_gap, lost, moment, phases, reached, timeline
from tests.clients.fleet import Attempt, Event

JDBC = """[bgdId: '1'] Blue/Green Deployment Switchover COMPLETED
------------------------------
timestamp                         time offset (ms)                         event
------------------------------
2026-11-26T21:19:01.661472061Z              -1032 ms                   PREPARATION
2026-11-26T21:19:02.694250024Z                  0 ms      Blue connections dropped
2026-11-26T21:19:02.694300421Z                  0 ms                   IN_PROGRESS
2026-11-26T21:19:03.316667970Z                622 ms                          POST
"""
PYTHON_ROLLBACK = """[bg_id: '1']
timestamp                         time offset (ms)                           event
  2026-11-26 21:18:55.510950                     ms                     NOT_CREATED
  2026-11-26 21:19:01.560675                     ms                     IN_PROGRESS
  2026-11-26 21:19:02.622240                     ms              CREATED (rollback)
"""


def write(n: int, end: float, error: str = "", who: str = "a") -> Attempt:
    """A write that was answered at a moment."""
    return Attempt("write", who, end - 0.01, end, n=n, server="blue", error=error)


def test_the_table_of_jdbc_is_read_with_its_times() -> None:
    steps = timeline([Event(1.0, "BG status: CREATED"), Event(2.0, JDBC)])
    assert phases(steps) == ["PREPARATION", "IN_PROGRESS", "POST"]
    assert moment(steps, "POST") - moment(steps, "IN_PROGRESS") == pytest.approx(0.622, abs=0.001)


def test_the_table_of_a_rollback_in_python_has_no_offsets() -> None:
    steps = timeline([Event(1.0, PYTHON_ROLLBACK)])
    assert [step.event for step in steps] == ["NOT_CREATED", "IN_PROGRESS", "CREATED (rollback)"]
    with pytest.raises(LookupError):
        moment(steps, "POST")


def test_a_gap_goes_from_one_acknowledgement_to_the_next_and_to_the_end_of_the_time() -> None:
    writes = [write(1, 10.0), write(2, 11.0, "Refused: no"), write(3, 12.5), write(4, 13.0)]
    assert longest_gap(writes, 10.0, 13.0) == pytest.approx(2.5)
    assert longest_gap(writes, 10.0, 17.0) == pytest.approx(4.0)


def test_the_gap_is_that_of_the_session_that_waits_longest() -> None:
    writes = [write(1, 10.0), write(2, 11.0), write(1, 10.0, who="b")]
    assert longest_gap(writes, 10.0, 11.0) == pytest.approx(1.0)


def test_only_acknowledged_writes_can_be_lost() -> None:
    writes = [write(1, 10.0), write(2, 11.0, "Refused: no"), write(3, 12.0)]
    assert lost(writes, {("a", 1): 1}) == [("a", 3)]
    assert doubled({("a", 1): 1, ("a", 3): 2}) == [("a", 3)]
    assert errors(writes) == {"Refused": 1}


def test_a_connection_counts_from_when_it_was_begun() -> None:
    early, late = (Attempt("connect", "p", at, at + 1, server="blue") for at in (9.9, 10.1))
    assert reached([early, late], ["blue"], since=10.0) == [late]
    assert reached([early, late], ["green"], since=0.0) == []
