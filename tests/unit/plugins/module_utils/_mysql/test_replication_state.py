# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a MySQL deployment is, from what both servers say; and where replication may start."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.coordinates import Channel, Coordinates
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.record import ControlRecord
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.replicate import starting_position
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.status import STARTED, SideState, State, problem

NAMES = Names.of("shop-green")
AT = Coordinates("mysql-bin-changelog.000003", 500)
BY_GTID = Coordinates("", 0, "11a387d5-e9a9-11f1-a5ce-02fc00000001:1-9")
RECORD = ControlRecord("shop-green", AT)
OPENED = replace(RECORD, opened_green=Coordinates("mysql-bin-changelog.000002", 900))
RUNS = Channel("host", 3306, NAMES.replication_user, "Yes", True, False, AT, AT, "", "uuid", 0, None, None)
STOPPED = replace(RUNS, io="No", applier=False)
ANOTHERS = replace(RUNS, user="upstream")
RAN = {STARTED: "yes"}


def side(**found: Any) -> SideState:
    known: dict[str, Any] = {
        "closed": False,
        "channel": None,
        "gtid_mode": "OFF",
        "record": None,
        "notes": {},
        "user": NAMES.replication_user,
    }
    return SideState(**{**known, **found})


def state(blue: SideState, green: SideState | None) -> State:
    return State(NAMES, blue, green)


OPEN, CLOSED = side(), side(closed=True)
POSITIONED = side(closed=True, record=RECORD)
REPLICATING = side(closed=True, record=RECORD, channel=RUNS, notes=RAN)
SERVING_GREEN = side(record=OPENED, notes=RAN)
ARMED = replace(REPLICATING, record=replace(RECORD, settings={"armed": "reverse"}))


@pytest.mark.parametrize(
    ("found", "serving", "stage", "direction"),
    [
        (state(OPEN, None), "blue", "new", None),
        (state(OPEN, OPEN), "blue", "new", None),  # a clone that was not positioned yet is open, but nobody's
        (state(OPEN, POSITIONED), "blue", "new", None),
        (state(OPEN, replace(POSITIONED, channel=STOPPED)), "blue", "new", None),  # configured, never started
        (state(OPEN, REPLICATING), "blue", "replicating", "forward"),
        (state(OPEN, replace(REPLICATING, channel=STOPPED)), "blue", "replicating", "forward"),
        (state(OPEN, replace(REPLICATING, channel=ANOTHERS)), "blue", "new", None),
        (state(OPEN, replace(REPLICATING, closed=False)), "unknown", "replicating", "forward"),
        (state(side(channel=STOPPED), ARMED), "blue", "replicating", "forward"),  # on its way to a switchover
        (state(CLOSED, REPLICATING), "unknown", "replicating", "forward"),
        (state(CLOSED, SERVING_GREEN), "green", "switched", None),
        (state(side(closed=True, channel=RUNS), SERVING_GREEN), "green", "switched", "reverse"),
        (state(side(closed=True, channel=RUNS), replace(SERVING_GREEN, closed=True)), "unknown", "switched", "reverse"),
        (state(OPEN, replace(SERVING_GREEN, closed=True)), "blue", "ended", None),
        (state(OPEN, SERVING_GREEN), "unknown", "ended", None),
        (state(CLOSED, OPEN), "green", "switched", None),  # cleaned up: the fence of old blue stays
    ],
)
def test_what_a_deployment_is_follows_from_both_servers(
    found: State, serving: str, stage: str, direction: str | None
) -> None:
    assert (found.serving, found.stage, found.direction) == (serving, stage, direction)


def test_a_record_that_the_clone_carried_along_tells_nothing() -> None:
    old = replace(OPENED, settings={"armed": "reverse"})
    found = state(side(record=old), side(record=old, channel=RUNS, notes=RAN))
    assert (found.record, found.opened_green, found.stage, found.channel("forward")) == (None, None, "new", None)
    anew = state(side(record=old), side(record=RECORD))
    assert anew.record == RECORD


def test_a_position_is_started_from_once_and_gtids_at_any_time() -> None:
    assert starting_position(state(OPEN, POSITIONED), check_mode=False) == AT
    with pytest.raises(BlueGreenError, match="would write everything twice"):
        starting_position(state(OPEN, replace(POSITIONED, notes=RAN)), check_mode=False)
    on, by_gtid = side(gtid_mode="ON"), replace(RECORD, position=BY_GTID)
    green = side(gtid_mode="ON", record=by_gtid, notes=RAN)
    assert starting_position(state(on, green), check_mode=False) is None
    with pytest.raises(BlueGreenError, match="both sides need GTIDs, but gtid_mode is OFF on blue and ON on green"):
        starting_position(state(OPEN, green), check_mode=False)


def test_without_a_record_replication_begins_in_check_mode_only() -> None:
    with pytest.raises(BlueGreenError, match="run binlog_replication with state=positioned first"):
        starting_position(state(OPEN, OPEN), check_mode=False)
    assert starting_position(state(OPEN, OPEN), check_mode=True) is None


@pytest.mark.parametrize(
    ("channel", "sentence"),
    [
        (None, "it is not configured"),
        (STOPPED, "it is stopped"),
        (replace(RUNS, applier=False), "its applier is stopped"),
        (replace(RUNS, io="Connecting"), "the source is not connected yet"),
        (replace(RUNS, io="Connecting", io_error="Access denied (error 1045)"), "which renews the login"),
        (replace(RUNS, applier_error="Duplicate entry (error 1062)"), "do not skip it"),
        (replace(RUNS, io_error="Could not find first log file (error 13114)"), "no longer has, or never had"),
    ],
)
def test_a_channel_that_does_not_run_is_never_fine(channel: Channel | None, sentence: str) -> None:
    wrong = problem(channel)
    assert wrong is not None and sentence in wrong
    assert problem(RUNS) is None
