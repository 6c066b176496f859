# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The clone's position: read from its own stream, checked against blue's, and what cannot be right refused."""

from __future__ import annotations

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.events import EventId
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.position import Located, locate

from .fake_side import FakeSide

EVENTS = [(1, 1), (1, 2), (2, 1)]


def place(blue: FakeSide, green: FakeSide, given: str | None = None) -> Located:
    return locate(blue.client, green.client, "propertygraph", EventId.parse(given) if given else None)


def test_the_last_event_of_the_clone_is_the_position_whatever_blue_wrote_since() -> None:
    blue = FakeSide(events=EVENTS)
    green = blue.clone()
    blue.events += [(3, 1), (4, 1)]
    assert place(blue, green) == Located(EventId(2, 1), EventId(2, 1), "event")


def test_an_empty_stream_stands_at_the_start() -> None:
    blue = FakeSide()
    green = blue.clone()
    blue.events += [(1, 1)]
    assert place(blue, green) == Located(EventId(0, 0), EventId(0, 0), "an empty stream")


def test_an_earlier_position_is_replayed_up_to_what_the_clone_holds() -> None:
    blue = FakeSide(events=EVENTS)
    found = place(blue, blue.clone(), "1:1")
    assert (found.at, found.replay_until) == (EventId(1, 1), EventId(2, 1))


def test_a_position_beyond_the_clone_is_refused() -> None:
    blue = FakeSide(events=EVENTS)
    green = blue.clone()
    blue.events += [(3, 1)]
    with pytest.raises(BlueGreenError, match="what lies between would be lost"):
        place(blue, green, "3:1")


def test_a_green_that_is_ahead_of_blue_is_no_clone() -> None:
    blue = FakeSide(events=EVENTS)
    green = blue.clone()
    green.events += [(3, 1)]
    with pytest.raises(BlueGreenError, match="is green a clone of blue, and was it written to"):
        place(blue, green)


def test_another_event_at_the_same_place_is_found() -> None:
    """A green that was written to while blue went on: both streams have the id, but not the same event."""
    blue = FakeSide(events=[*EVENTS, (3, 1)])
    green = blue.clone()
    green.others = {(3, 1)}
    with pytest.raises(BlueGreenError, match="must have the same event at 3:1"):
        place(blue, green)


def test_an_upgraded_green_is_too_late() -> None:
    blue = FakeSide(events=EVENTS)
    green = blue.clone()
    green.reply["dbEngineVersion"] = "1.4.6.0"
    with pytest.raises(BlueGreenError, match=r"before it is upgraded, but green runs 1\.4\.6\.0 and blue 1\.2\.1\.0"):
        place(blue, green)
    assert place(blue, green, "2:1").at == EventId(2, 1)


def test_what_has_expired_on_blue_is_refused() -> None:
    blue = FakeSide(events=EVENTS)
    green = blue.clone()
    blue.events += [(3, 1), (4, 1)]
    blue.kept_from = (4, 1)
    with pytest.raises(BlueGreenError, match="but begins at 4:1: what lies between has expired"):
        place(blue, green)
    blue.kept_from = (3, 1)  # the first one behind the position is still there
    assert place(blue, green) == Located(EventId(2, 1), EventId(2, 1), "bounds")


def test_without_a_stream_on_green_the_position_must_be_given() -> None:
    blue = FakeSide(events=EVENTS)
    green = blue.clone()
    green.off = True
    with pytest.raises(BlueGreenError, match="streams are off on green"):
        place(blue, green)
    blue.events += [(3, 1)]
    assert place(blue, green, "2:1") == Located(EventId(2, 1), EventId(3, 1), "bounds")
