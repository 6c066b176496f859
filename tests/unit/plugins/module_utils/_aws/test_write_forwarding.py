# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Write forwarding: turned off for a move, on again where it was, through any order of moves and deaths."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.bluegreen.aws.plugins.module_utils._aws.write_forwarding import (
    Forwarder,
    left_over,
    to_record,
    to_turn_on,
)

REGIONS = ("ap-southeast-1", "eu-west-1", "us-west-2")
Side = list[Forwarder]


def side(regions: set[str], forwarding: set[str], said: dict[str, str] | None = None) -> Side:
    return [Forwarder(r, f"c-{r}", r in forwarding, (said or {}).get(r)) for r in sorted(regions)]


def off(recorded: set[str], of: Side) -> tuple[set[str], Side]:
    """What turn_off does: the record first, then each of them."""
    return to_record(recorded, of), [replace(one, forwards=False) for one in of]


def on(recorded: set[str], of: Side) -> tuple[set[str], Side]:
    """What turn_on does: each of them first, then the record."""
    chosen = {one.region for one in to_turn_on(recorded, of)}
    return left_over(recorded, of), [replace(one, forwards=one.forwards or one.region in chosen) for one in of]


def forwarding(of: Side) -> set[str]:
    return {one.region for one in of if one.forwards}


some = st.sets(st.sampled_from(REGIONS))


@given(some, some)
def test_there_and_back_blue_forwards_where_it_did(of_blue: set[str], of_green: set[str]) -> None:
    for forwarded in (of_blue, set(list(of_blue)[:1])):
        blue, green, record = side(of_blue, forwarded), side(of_green, set()), set[str]()
        record, blue = off(record, blue)
        assert forwarding(blue) == set()
        record, green = on(record, green)
        assert forwarding(green) == forwarded & of_green
        assert record == forwarded - of_green
        record, green = off(record, green)
        record, blue = on(record, blue)
        assert (forwarding(blue), forwarding(green), record) == (forwarded, set(), set())


@given(some, some, some)
def test_dying_between_two_calls_forgets_nothing(regions: set[str], forwarded: set[str], done: set[str]) -> None:
    blue = side(regions, forwarded)
    record = to_record(set(), blue)
    half = [replace(one, forwards=one.forwards and one.region not in done) for one in blue]  # the record came first
    record, blue = off(record, half)
    assert record == forwarded & regions
    green = side(regions, set())
    half = [replace(one, forwards=one.region in record & done) for one in green]  # the record comes last
    record, green = on(record, half)
    assert forwarding(green) == forwarded & regions
    assert record == set()


def test_what_the_user_said_of_greens_secondary_wins_and_is_not_carried_to_blue() -> None:
    green = side({"eu-west-1", "us-west-2"}, set(), {"eu-west-1": "off", "us-west-2": "on"})
    record, green = on({"eu-west-1"}, green)
    assert forwarding(green) == {"us-west-2"}
    assert record == {"eu-west-1"}  # for the way back
    record, green = off(record, green)
    assert record == {"eu-west-1"}
    record, blue = on(record, side({"eu-west-1", "us-west-2"}, set()))
    assert (forwarding(blue), record) == ({"eu-west-1"}, set())
