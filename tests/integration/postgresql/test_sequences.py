# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sequences of every kind across a switchover from 16 to 18 and back: no value is ever given out twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.journal import Journal
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql import side_watch
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.side import PostgreSQLSide, SequencePolicy
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.side import pair as sides
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.side_carrier import Carried
from ansible_collections.bluegreen.aws.plugins.module_utils._switchover.gates import Gates
from ansible_collections.bluegreen.aws.plugins.module_utils._switchover.run import Limits, Move
from ansible_collections.bluegreen.aws.plugins.module_utils._switchover.timeline import Timeline
from tests.integration.postgresql.conftest import Pair, Servers, replicated, run

MARGIN = 100
SCHEMA = """
CREATE SCHEMA "odd ""schema";
CREATE SEQUENCE "odd ""schema"."Sequence; with %s";
CREATE SEQUENCE up;
CREATE SEQUENCE tens INCREMENT 10 START 1000;
CREATE SEQUENCE down INCREMENT -2 MAXVALUE -1 START -1;
CREATE SEQUENCE small AS smallint START 32000;
CREATE SEQUENCE small_down AS smallint INCREMENT -1 MINVALUE -400 MAXVALUE 50 START -20;
CREATE SEQUENCE round MAXVALUE 1000 CYCLE;
CREATE SEQUENCE kept CACHE 50;
CREATE SEQUENCE hidden;
CREATE SEQUENCE untouched START 500;
CREATE UNLOGGED SEQUENCE unlogged;
CREATE TABLE numbered (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, old serial);
SELECT setval('hidden', 77, false);
"""
CYCLING = "public.round"
_NAMES = "SELECT c.oid::regclass::text FROM pg_class c WHERE relkind = 'S' AND relpersistence <> 't' AND oid >= 16384"

Between = Callable[[], object]


class Estate:
    """A pair of clusters, what serves, and every value that any client was ever given."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.serving = "blue"
        self.given: dict[str, list[int]] = {}

    def sql(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements where clients write now."""
        return run(self.pair.blue if self.serving == "blue" else self.pair.green, *statements, database="shop")

    def everywhere(self, statement: str) -> None:
        for endpoint in (self.pair.blue, self.pair.green):
            run(endpoint, statement, database="shop")

    def states(self, side: str) -> dict[str, tuple[int, bool]]:
        endpoint = self.pair.blue if side == "blue" else self.pair.green
        found = run(endpoint, "SET search_path = ''", _NAMES, database="shop")
        selects = (f"SELECT {_quoted(name)}, last_value, is_called FROM {name}" for (name,) in found)
        return {
            name: (last, called) for name, last, called in run(endpoint, " UNION ALL ".join(selects), database="shop")
        }

    def draw(self, *names: str, times: int = 1) -> None:
        """Draw from sequences as a client does; of one that cycles nothing is remembered."""
        for name in names:
            statement = f"SELECT nextval({_quoted(name)}) FROM generate_series(1, {times})"
            self.given.setdefault(name, []).extend(value for (value,) in self.sql(statement))

    def draw_from_all(self) -> None:
        for name in self.states(self.serving):
            self.draw(name, times=3)

    def move(self, mode: str, between: Between = lambda: None) -> tuple[Carried, list[str]]:
        """Move the traffic to the other side; ``between``: what clients do after the preparation and before the fence."""
        policy = SequencePolicy(mode, MARGIN)
        blue, green = sides(self.pair.blue, self.pair.green, self.pair.names, None, policy, "require")
        source, target = (blue, green) if self.serving == "blue" else (green, blue)
        timeline = Timeline()
        try:
            for side in (source, target):
                side.connect()
            move = Move(
                _Interrupted(source, between),
                target,
                Gates([]),
                Limits(20, 60, 5),
                Journal(False),
                timeline,
                reverse=True,
            )
            move.run()
            assert target.carried is not None
            self.serving = target.name
            return target.carried, [entry["event"] for entry in timeline.as_list()]
        finally:
            blue.close()
            green.close()

    def assert_nothing_twice(self) -> None:
        """The side that serves now gives out no value that any client was given before, on either side."""
        for name, before in self.given.items():
            if name == CYCLING:
                continue
            drawn = [value for (value,) in self.sql(f"SELECT nextval({_quoted(name)}) FROM generate_series(1, 3)")]
            assert not set(drawn) & set(before), name
            before.extend(drawn)


class _Interrupted:
    """A side during whose move something happens between the preparation and the fence."""

    def __init__(self, side: PostgreSQLSide, between: Between) -> None:
        self._side, self._between = side, between

    def __getattr__(self, name: str) -> Any:
        return getattr(self._side, name)

    def arm(self, peer: PostgreSQLSide) -> None:
        self._side.arm(peer)
        self._between()


def _quoted(name: str) -> str:
    return "'" + name.replace("'", "''") + "'"


@pytest.fixture(scope="module")
def estate(servers: Servers) -> Iterator[Estate]:
    """One estate for all tests: each goes on where the one before left it, on whichever side."""
    blue = servers.blue()
    run(blue, *SCHEMA.strip().split(";\n"), database="shop")
    pair = replicated(servers, blue, "seq-test", upgrade=True)
    yield Estate(pair)
    servers.remove(pair.blue, pair.green)


@pytest.mark.parametrize("mode", ["exact", "margin"])
@pytest.mark.parametrize("direction", ["to the other side", "and back"])
def test_no_kind_of_sequence_gives_a_value_out_twice(estate: Estate, mode: str, direction: str) -> None:
    estate.draw_from_all()
    source = estate.serving
    estate.move(mode, estate.draw_from_all)
    if mode == "exact":
        assert estate.states(estate.serving) == estate.states(source), "exact is without a gap"
    estate.assert_nothing_twice()


@pytest.mark.parametrize("mode", ["exact", "margin"])
def test_a_jump_between_preparation_and_fence_is_followed(estate: Estate, mode: str) -> None:
    far = {
        "tens": (100000, False),
        "hidden": (100000, False),
        "down": (-100000, True),
        "numbered_id_seq": (100000, True),
    }
    after: dict[str, int] = {}
    estate.draw_from_all()  # so that some of them hide their value only afterwards

    def jump() -> None:
        estate.draw("public.up", "public.kept", times=MARGIN * 3)
        for name, (by, called) in far.items():
            ((after[name],),) = estate.sql(f"SELECT setval('{name}', last_value + {by}, {called}) FROM {name}")

    carried, _events = estate.move(mode, jump)
    assert carried.carried >= len(far) + 2
    for name, (_by, called) in far.items():
        ((found,),) = estate.sql(f"SELECT nextval('{name}')")
        assert (found < after[name]) if name == "down" else (found > after[name] - (not called)), name
    estate.assert_nothing_twice()


def test_sequences_within_their_margin_are_not_touched_in_the_window(estate: Estate) -> None:
    carried, events = estate.move("margin", lambda: estate.draw("public.up", "public.down", "public.tens", times=5))
    assert carried.carried == 0
    assert carried.looked_at == len(estate.states(estate.serving))
    assert str(carried) in events
    estate.assert_nothing_twice()


def test_a_sequence_near_its_bound_keeps_the_values_it_has_left(estate: Estate) -> None:
    estate.sql("SELECT setval('small', 32700)", "SELECT setval('small_down', -340)")
    estate.move("margin")
    assert (estate.sql("SELECT nextval('small'), nextval('small_down')")) == [(32701, -341)]


@pytest.mark.parametrize(("before", "following"), [(500, 503), (999, 2)])
def test_a_sequence_that_cycles_goes_on_where_it_was(estate: Estate, before: int, following: int) -> None:
    estate.sql(f"SELECT setval('round', {before})")
    estate.move("margin", lambda: estate.sql("SELECT nextval('round'), nextval('round')"))
    assert estate.sql("SELECT nextval('round')") == [(following,)]


@pytest.mark.parametrize("mode", ["exact", "margin"])
def test_sequences_made_and_renamed_after_the_preparation(estate: Estate, mode: str) -> None:
    estate.everywhere(f"CREATE SEQUENCE renamed_{mode}")

    def change() -> None:
        estate.everywhere(f"ALTER SEQUENCE renamed_{mode} RENAME TO named_{mode}")
        estate.everywhere(f"CREATE SEQUENCE made_{mode}")
        estate.everywhere(f"CREATE SEQUENCE renamed_{mode}")
        estate.draw(f"public.made_{mode}", f"public.named_{mode}", f"public.renamed_{mode}", times=MARGIN * 2)

    estate.move(mode, change)
    estate.assert_nothing_twice()


def test_a_sequence_dropped_after_the_preparation_is_no_obstacle(estate: Estate) -> None:
    estate.everywhere("CREATE SEQUENCE dropped")
    carried, _events = estate.move("margin", lambda: estate.everywhere("DROP SEQUENCE dropped"))
    assert carried.looked_at == len(estate.states(estate.serving))
    estate.assert_nothing_twice()


def test_a_run_that_goes_on_behind_a_fence_that_was_left_carries_everything(estate: Estate) -> None:
    estate.draw_from_all()
    estate.draw("public.up", times=MARGIN * 2)
    source = estate.pair.blue if estate.serving == "blue" else estate.pair.green
    for database in ("shop", "postgres"):
        run(source, f"ALTER DATABASE {database} SET default_transaction_read_only = on")
    estate.move("margin")
    estate.assert_nothing_twice()


def test_several_sessions_share_the_look(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(side_watch, "_SHARE", 3)
    monkeypatch.setattr(side_watch, "_BATCH", 2)
    estate.draw_from_all()
    estate.move("exact", estate.draw_from_all)
    estate.assert_nothing_twice()


def test_a_sequence_that_may_not_be_read_is_refused_before_the_window(estate: Estate) -> None:
    estate.everywhere("CREATE SEQUENCE locked_away")
    owner = estate.sql("SELECT current_user")[0][0]
    estate.everywhere(f'REVOKE ALL ON SEQUENCE locked_away FROM "{owner}"')
    serving = estate.serving
    with pytest.raises(BlueGreenError, match=r"permission denied for sequence locked_away; GRANT SELECT, UPDATE"):
        estate.move("margin")
    estate.everywhere("DROP SEQUENCE locked_away")
    assert estate.serving == serving
    estate.draw("public.up")
