# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The monitors, on two servers that answer what a test says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._clients import monitor as module
from ansible_collections.bluegreen.aws.plugins.module_utils._clients.metadata import SOURCE, TARGET, Phase, Row
from ansible_collections.bluegreen.aws.plugins.module_utils._clients.monitor import Monitor, Names, Watched
from ansible_collections.bluegreen.aws.plugins.module_utils._core.endpoint import Endpoint
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError

BLUE, GREEN = "shop.rds", "shop-green-abcdef.rds"


@dataclass
class World:
    """Two servers and DNS; ``status`` None: the server does not answer."""

    now: float = 0.0
    status: dict[str, str | None] = field(default_factory=lambda: {"10.0.0.1": "AVAILABLE", "10.0.0.2": "AVAILABLE"})
    writable: dict[str, bool] = field(default_factory=lambda: {"10.0.0.1": True, "10.0.0.2": False})
    dns: dict[str, list[str]] = field(default_factory=lambda: {BLUE: ["10.0.0.1"], GREEN: ["10.0.0.2"]})
    refused: str = "unreachable"
    members: frozenset[str] | None = None
    hosts: list[tuple[str, str | None]] = field(default_factory=list)
    events: list[str] = field(default_factory=list)

    def resolve(self, name: str) -> list[str]:
        return self.dns.get(name, [])


class Reader:
    """Stands in for the one of the metadata."""

    def __init__(self, world: World, endpoint: Endpoint) -> None:
        self._world, self._endpoint = world, endpoint
        world.hosts.append((endpoint.host, endpoint.address))
        self.session = self

    def read(self) -> list[Row]:
        status = self._world.status[str(self._endpoint.address)]
        if status is None:
            raise BlueGreenError("no answer", reason=self._world.refused)
        if not status:
            return []
        return [Row(role, "x", 5432, role, status) for role in (SOURCE, TARGET)]

    def members(self) -> frozenset[str] | None:
        if self._world.status[str(self._endpoint.address)] is None:
            raise BlueGreenError("no answer", reason="unreachable")
        return self._world.members

    def value(self, _statement: str) -> int:
        return int(not self._world.writable[str(self._endpoint.address)])

    def close(self) -> None:
        """Nothing to close."""


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    found = World()
    monkeypatch.setattr(module, "Reader", lambda endpoint, _dialect: Reader(found, endpoint))
    return found


def _monitor(world: World, *sides: str, names: Names | None = None) -> Monitor:
    hosts = {"blue": BLUE, "green": GREEN}
    watched = [Watched(Endpoint(side, hosts[side], 5432, "u", "p"), "aurora_postgresql", BLUE) for side in sides]
    return Monitor(watched, names or Names((BLUE,), (GREEN,)), world.events.append, world.resolve, lambda: world.now)


def _look(monitor: Monitor, world: World, at: float) -> None:
    """One round of every loop, without the threads."""
    world.now = at
    looker: Any = monitor
    for name, side in looker._sides.items():
        looker._look_at(name, side)
    looker._look_at_names()


def test_the_servers_flags_give_the_window_and_the_rows_the_phase(world: World) -> None:
    monitor = _monitor(world, "blue", "green")
    assert all(isinstance(rows, list) and len(rows) == 2 for rows in monitor.connect().values())
    world.status = dict.fromkeys(world.status, "SWITCHOVER_IN_PROGRESS")
    _look(monitor, world, 1.0)
    world.writable["10.0.0.1"] = False
    _look(monitor, world, 1.2)
    world.writable["10.0.0.2"] = True
    world.status = dict.fromkeys(world.status, "SWITCHOVER_IN_POST_PROCESSING")
    _look(monitor, world, 1.5)
    assert monitor.window == pytest.approx(0.5)
    assert monitor.state.phase is Phase.POST
    assert [event for event in world.events if "writes" in event] == ["blue refuses writes", "green accepts writes"]


def test_a_server_is_asked_at_the_address_it_had_when_names_have_moved(world: World) -> None:
    monitor = _monitor(world, "blue", "green")
    monitor.connect()
    monitor.hurry()
    world.dns = {BLUE: ["10.0.0.2"]}
    world.status = dict.fromkeys(world.status)  # every session is ended
    _look(monitor, world, 1.0)
    world.status = dict.fromkeys(world.status, "SWITCHOVER_IN_POST_PROCESSING")
    _look(monitor, world, 2.0)
    assert [address for _host, address in world.hosts] == ["10.0.0.1", "10.0.0.2", "10.0.0.1", "10.0.0.2"]
    assert world.hosts[-1][0] == BLUE, "green's certificate may have its new name by now"


def test_servers_that_do_not_answer_decide_nothing(world: World) -> None:
    monitor = _monitor(world, "blue", "green")
    monitor.connect()
    world.status = dict.fromkeys(world.status, "SWITCHOVER_IN_PROGRESS")
    _look(monitor, world, 1.0)
    world.status = dict.fromkeys(world.status)
    _look(monitor, world, 2.0)
    assert monitor.state.phase is Phase.IN_PROGRESS and not monitor.state.rolled_back


def test_rows_that_may_not_be_read_are_said_and_the_service_is_believed_instead(world: World) -> None:
    world.status, world.refused = dict.fromkeys(world.status), "grant"
    monitor = _monitor(world, "blue", "green")
    assert {side: str(why) for side, why in monitor.connect().items()} == {"blue": "no answer", "green": "no answer"}
    assert not monitor.has_rows
    for phase in (Phase.CREATED, Phase.IN_PROGRESS, Phase.COMPLETED):
        monitor.tell(phase)
    assert world.events == ["CREATED", "IN_PROGRESS", "COMPLETED"]


def test_what_the_service_says_does_not_outvote_the_rows(world: World) -> None:
    monitor = _monitor(world, "green")
    monitor.connect()
    monitor.tell(Phase.COMPLETED)
    assert monitor.state.phase is Phase.CREATED


def test_names_are_settled_when_blues_lead_to_green_and_greens_are_gone(world: World) -> None:
    monitor = _monitor(world)
    monitor.connect()
    assert not monitor.names_settled
    world.dns = {BLUE: ["10.0.0.2"], GREEN: ["10.0.0.2"]}
    _look(monitor, world, 1.0)
    assert not monitor.names_settled
    world.dns = {BLUE: ["10.0.0.2"]}
    _look(monitor, world, 2.0)
    assert monitor.names_settled


def test_a_watch_that_begins_when_names_have_moved_knows_it(world: World) -> None:
    world.dns = {BLUE: ["10.0.0.2"], GREEN: ["10.0.0.2"]}
    monitor = _monitor(world)
    monitor.connect()
    world.dns = {BLUE: ["10.0.0.2"]}
    _look(monitor, world, 1.0)
    assert monitor.names_settled


def test_green_has_new_names_when_none_of_its_members_has_one_that_it_had(world: World) -> None:
    world.members = frozenset({"shop-1-green-abc123", "shop-2-green-def456"})
    monitor = _monitor(world, "blue", "green")
    monitor.connect()
    world.status = dict.fromkeys(world.status, "SWITCHOVER_IN_POST_PROCESSING")
    for at, members in enumerate(({"shop-1", "shop-2-green-def456"}, {"shop-1", "shop-2"}, {"shop-1", "shop-2"})):
        world.members = frozenset(members)
        _look(monitor, world, 1.0 + at)
    assert world.events.count("Green topology changed") == 1
    assert next(one.at for one in monitor.state.events if one.name == "Green topology changed") == 2.0


@pytest.mark.parametrize("members", [None, frozenset[str]()])
def test_members_that_nobody_tells_have_no_new_names(world: World, members: frozenset[str] | None) -> None:
    world.members = members
    monitor = _monitor(world, "blue", "green")
    monitor.connect()
    world.members = frozenset({"shop-1"})
    world.status = dict.fromkeys(world.status, "SWITCHOVER_IN_POST_PROCESSING")
    _look(monitor, world, 1.0)
    assert "Green topology changed" not in world.events


def test_names_that_change_before_a_switchover_are_none_of_it(world: World) -> None:
    world.members = frozenset({"shop-1-green-abc123"})
    monitor = _monitor(world, "green")
    monitor.connect()
    world.members = frozenset({"shop-9-green-abc123"})
    _look(monitor, world, 1.0)
    assert monitor.state.events[-1].name == "CREATED"


def test_threads_look_by_themselves_and_end_when_told(world: World) -> None:
    monitor = _monitor(world, "blue", "green")
    monitor.connect()
    monitor.hurry()
    monitor.start()
    world.status = dict.fromkeys(world.status, "SWITCHOVER_IN_PROGRESS")
    threads = list(vars(monitor)["_threads"])
    for thread in threads:
        thread.join(0.3)
    monitor.stop()
    assert monitor.state.phase is Phase.IN_PROGRESS
    assert not any(thread.is_alive() for thread in threads)
