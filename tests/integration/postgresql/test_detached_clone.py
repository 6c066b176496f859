# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A throw-away clone of green: what it would take from green, and that it takes nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.endpoint import Endpoint
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.journal import Journal
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.connection import connect, execute
from tests.integration.postgresql.conftest import Pair, Servers, everything, replicated, run, step
from tests.integration.postgresql.test_pg_logical_subscription import Killed

DEPLOYMENT = "clone-test"
WITHOUT_WORKERS = {"max_logical_replication_workers": "0"}


@pytest.fixture(scope="module", name="pair")
def _pair(servers: Servers) -> Iterator[Pair]:
    blue = servers.blue()
    run(blue, "CREATE TABLE notes (id serial PRIMARY KEY, note text)", database="shop")
    made = replicated(servers, blue, DEPLOYMENT)
    yield made
    servers.remove(made.blue, made.green)


def notes(endpoint: Endpoint) -> list[str]:
    return [row[0] for row in run(endpoint, "SELECT note FROM notes ORDER BY id", database="shop")]


def until(endpoint: Endpoint, note: str) -> None:
    deadline = time.monotonic() + 30
    while note not in notes(endpoint):
        assert time.monotonic() < deadline, f"{note} never came to {endpoint.host}"
        time.sleep(0.05)


def write(pair: Pair, note: str) -> None:
    run(pair.blue, f"INSERT INTO notes (note) VALUES ('{note}')", database="shop")


def confirmed(pair: Pair) -> None:
    """Wait until blue's slot has been told that everything written so far has arrived."""
    end = run(pair.blue, "SELECT pg_current_wal_lsn()::text")[0][0]
    slot = pair.names.slot("forward", "shop")
    behind = f"SELECT confirmed_flush_lsn < '{end}' FROM pg_replication_slots WHERE slot_name = '{slot}'"
    deadline = time.monotonic() + 30
    while run(pair.blue, behind) == [(True,)]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_clone_with_workers_takes_from_blue_what_green_was_to_get(servers: Servers) -> None:
    """Without the guard: green restarts while such a clone runs, and has lost a row for ever, with no error."""
    blue = servers.blue()
    run(blue, "CREATE TABLE notes (id serial PRIMARY KEY, note text)", database="shop")
    pair = replicated(servers, blue, "clone-thief")
    servers.stop(pair.green)
    thief = servers.clone(pair.green)
    write(pair, "lost")
    until(thief, "lost")
    confirmed(pair)
    with pytest.raises(BlueGreenError, match=r"should have been started with max_logical_replication_workers = 0"):
        step("detached", pair.names, None, thief)
    servers.remove(thief)
    servers.start(pair.green)
    write(pair, "after")
    until(pair.green, "after")
    assert notes(pair.green) == ["after"]
    servers.remove(pair.blue, pair.green)


def test_a_clone_without_workers_is_detached_and_green_loses_nothing(servers: Servers, pair: Pair) -> None:
    servers.stop(pair.green)
    clone = servers.clone(pair.green, **WITHOUT_WORKERS)
    try:
        write(pair, "kept")
        before = everything(clone)
        planned, _result = step("detached", pair.names, None, clone, journal=Journal(check_mode=True))
        assert everything(clone) == before
        done, _result = step("detached", pair.names, None, clone)
        assert planned.actions == done.actions
        assert set(done.actions) == {
            f"drop copied subscription {pair.names.subscription('forward', 'postgres')} in postgres",
            f"drop copied subscription {pair.names.subscription('forward', 'shop')} in shop",
            "drop copied database bluegreen_control",
            "open postgres, shop for writers",
        }
        again, _result = step("detached", pair.names, None, clone)
        assert again.actions == []
        with closing(connect(clone.at("shop"), fenced=True)) as client:
            execute(client, "DROP TABLE notes")
        servers.start(pair.green)
        until(pair.green, "kept")
        step("running", pair.names, pair.blue, pair.green)
        write(pair, "and on")
        until(pair.green, "and on")
        assert notes(pair.green) == notes(pair.blue)
    finally:
        servers.remove(clone)


def test_green_itself_cannot_be_detached_by_mistake(pair: Pair) -> None:
    before = everything(pair.green)
    with pytest.raises(BlueGreenError, match="if this is green itself, correct the address"):
        step("detached", pair.names, None, pair.green)
    assert everything(pair.green) == before


def test_a_clone_made_while_a_table_is_copied_leaves_the_copy_of_green_alone(servers: Servers, pair: Pair) -> None:
    """DROP SUBSCRIPTION of the clone would drop the slot of green's copy on blue, if it could reach blue."""
    for side in (pair.green, pair.blue):
        run(side, "CREATE TABLE slow (id int PRIMARY KEY)", database="shop")
    run(pair.blue, "INSERT INTO slow VALUES (1)", database="shop")
    subscription = pair.names.subscription("forward", "shop")
    grant = f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {pair.names.replication_role}"
    with closing(connect(pair.green.at("shop"))) as holder:
        run(pair.blue, grant, database="shop")
        holder.autocommit = False
        execute(holder, "INSERT INTO slow VALUES (1)")  # the copy waits for what becomes of it
        run(pair.green, f"ALTER SUBSCRIPTION {subscription} REFRESH PUBLICATION", database="shop")
        deadline = time.monotonic() + 30
        slots = (
            "SELECT count(*) FROM pg_replication_slots WHERE slot_name ~ '_sync_' AND confirmed_flush_lsn IS NOT NULL"
        )
        while run(pair.blue, slots) != [(1,)]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        clone = servers.clone(pair.green, **WITHOUT_WORKERS)
        step("detached", pair.names, None, clone)
        servers.remove(clone)
        assert run(pair.blue, slots) == [(1,)]
        holder.rollback()
    while run(pair.green, "SELECT id FROM slow", database="shop") != [(1,)]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    run(pair.blue, grant.replace("GRANT", "REVOKE").replace(" TO ", " FROM "), "DROP TABLE slow", database="shop")
    run(pair.green, "DROP TABLE slow", database="shop")


def test_killed_after_any_effect_it_is_completed_by_running_it_again(servers: Servers, pair: Pair) -> None:
    clone = servers.clone(pair.green, **WITHOUT_WORKERS)
    kills = 0
    while True:
        try:
            step("detached", pair.names, None, clone, journal=Killed(0, True))
            break
        except KeyboardInterrupt:
            kills += 1
    assert kills == 4
    assert run(clone, "SELECT count(*) FROM pg_subscription") == [(0,)]
    servers.remove(clone)
