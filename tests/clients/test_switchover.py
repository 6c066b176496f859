# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real AWS wrappers during a switchover that the playbook has the service make, beside the driver alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clients import findings
from tests.clients.fleet import JDBC, PLAIN, PYTHON, WRAPPERS, Fleet
from tests.clients.stage import HOLD, MODES, Rows, Stage, over
from tests.lab.lab import Lab
from tests.playbook import Finished

KINDS = (PLAIN, PYTHON, JDBC)
DNS_DELAY = 5.0  # s; on AWS it is tens of seconds
pytestmark = pytest.mark.timeout(300)


@dataclass(frozen=True)
class Scene:
    """What is left of a switchover: the clients, ended, and the rows of production."""

    stage: Stage
    fleet: Fleet
    began: float
    ended: float
    status: str
    rows: Rows
    run: Finished  # of the playbook

    def gap(self, name: str) -> float:
        """Return a client's longest time without an acknowledged write."""
        return findings.longest_gap(self.fleet[name].attempts(), self.began, self.ended)


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """A lab with host names."""
    with Lab.start(names=True) as running:
        yield running


def play(stage: Stage, directory: Path) -> Scene:
    """Switch over with clients on it until each of them is through."""
    with stage.fleet(KINDS, directory) as fleet:
        began = time.time()
        status, run = stage.switch_over(directory / "playbook")
        assert run.code == 0 or "but took it back" in run.failure["msg"], run.output
        fleet.wait(over, 60.0, "the end of the switchover as the wrapper sees it", WRAPPERS)
        time.sleep(1.5)
        ended = time.time()
    return Scene(stage, fleet, began, ended, status, stage.rows(), run)


@pytest.fixture(scope="module", params=MODES)
def stage(request: pytest.FixtureRequest, lab: Lab) -> Stage:
    """Production with its deployment."""
    return Stage.make(lab, request.param, request.param.replace("_", "-"))


@pytest.fixture(scope="module")
def rollback(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """A switchover that takes longer than its timeout, so that the service takes it back before it stops the writes.

    One that is taken back after the sessions have ended is not noticed by the Python wrapper 3.1.0: its monitors forget
    the phase with their own session, and nothing is a step back from no phase. It holds clients until its own timeout.
    """
    stage.lab.faults.managed(hold={**HOLD, "SWITCHOVER_IN_PROGRESS": 60.0}, timeout=4.0)
    try:
        return play(stage, tmp_path_factory.mktemp("rollback"))
    finally:
        stage.lab.faults.clear()


@pytest.fixture(scope="module")
def switchover(stage: Stage, rollback: Scene, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """The switchover, of the same deployment, with new clients."""
    stage.lab.faults.managed(hold=HOLD, dns_delay=DNS_DELAY)
    try:
        return play(stage, tmp_path_factory.mktemp("switchover"))
    finally:
        stage.lab.faults.clear()


@pytest.mark.parametrize("name", WRAPPERS)
def test_clients_go_on_at_blue_when_the_service_rolls_back(rollback: Scene, name: str) -> None:
    client, blue = rollback.fleet[name], rollback.stage.servers["blue"]
    assert rollback.status == "AVAILABLE", rollback.run.output
    assert "but took it back, and blue serves as before" in rollback.run.failure["msg"]
    events = [step.event for step in findings.timeline(client.events())]
    assert "IN_PROGRESS" in events and "CREATED (rollback)" in events and "POST" not in events
    last = [write for write in client.attempts() if not write.error][-1]
    assert last.server == blue and last.end > rollback.ended - 1
    assert {one.server for one in client.attempts("connect") if not one.error} == {blue}
    assert client.stuck() == 0


@pytest.mark.parametrize("name", KINDS)
def test_no_acknowledged_write_is_lost_or_doubled_by_a_rollback(rollback: Scene, name: str) -> None:
    assert_kept(rollback, name)


@pytest.mark.parametrize("name", WRAPPERS)
def test_the_wrapper_goes_through_every_phase_in_order(switchover: Scene, name: str) -> None:
    assert (switchover.status, switchover.run.code) == ("SWITCHOVER_COMPLETED", 0), switchover.run.output
    assert findings.phases(findings.timeline(switchover.fleet[name].events())) == list(findings.PHASES)


@pytest.mark.parametrize("name", WRAPPERS)
def test_no_new_connection_reaches_old_blue_once_the_switchover_is_in_progress(switchover: Scene, name: str) -> None:
    client, servers = switchover.fleet[name], switchover.stage.servers
    since = findings.moment(findings.timeline(client.events()), "IN_PROGRESS")
    connections = client.attempts("connect")
    assert findings.reached(connections, [servers["blue"]], since) == []
    assert findings.reached(connections, [servers["green"]], since)
    assert {one.server for one in connections if one.at < switchover.began and not one.error} == {servers["blue"]}


@pytest.mark.parametrize("name", KINDS)
def test_no_acknowledged_write_is_lost_or_doubled(switchover: Scene, name: str) -> None:
    assert_kept(switchover, name)
    servers = [write.server for write in switchover.fleet[name].attempts() if not write.error]
    assert servers[0] == switchover.stage.servers["blue"] and servers[-1] == switchover.stage.servers["green"]


@pytest.mark.parametrize("name", WRAPPERS)
def test_the_longest_gap_is_below_that_of_the_driver_alone(switchover: Scene, name: str) -> None:
    assert switchover.gap(name) < switchover.gap(PLAIN), findings.errors(switchover.fleet[name].attempts())


@pytest.mark.parametrize("name", KINDS)
def test_every_session_comes_back(switchover: Scene, name: str) -> None:
    client = switchover.fleet[name]
    assert client.stuck() == 0
    assert [write for write in client.attempts() if not write.error][-1].end > switchover.ended - 1


def assert_kept(scene: Scene, name: str) -> None:
    """Every acknowledged write of a client is on the serving side, exactly once."""
    writes = scene.fleet[name].attempts()
    assert sum(not write.error for write in writes) > 40
    assert findings.lost(writes, scene.rows) == []
    assert findings.doubled(scene.rows) == []
