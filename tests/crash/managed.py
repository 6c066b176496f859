# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same of a deployment that RDS manages: the service goes on while the run is dead, and the next run finds out.

Blue is Aurora MySQL, written to through an HAProxy that the switchover holds, with a way back armed after it. Production
keeps its name from round to round, each of which ends with old production deleted.
"""

from __future__ import annotations

import csv
import random
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql

from tests import forks
from tests.crash.driver import Kill, Report, finish, kill_at_random, play, reference
from tests.crash.runs import Run
from tests.lab import demo_managed, load_schema
from tests.lab.auditor import Audit, Side, audit
from tests.lab.gate_haproxy import HAProxy
from tests.lab.lab import Blue, Lab
from tests.lab.load import Load, Target
from tests.lab.tools import MYSQL
from tests.playbook import Playbook
from tests.scene import APPLICATION

_SERVERS = ("blue", "green")  # of the gate; production is behind each of them in turn
_TASK, _WAY_BACK = "Move the traffic", "Bring the way back into being"
_POLL = 0.005
_PROCESSES_POLL = 0.25
_STARTS = 1.5  # s in which a module starts, looks and judges before it calls
_REACH = 0.4
_MOST_IN_A_ROW = 3
_HELD = 1  # maxconn of a server that the gate holds


@dataclass
class Scene:
    """Everything that runs while the playbook is killed."""

    lab: Lab
    blue: Blue
    gate: HAProxy
    load: Load
    playbook: Playbook
    rounds: int = 0

    @property
    def production(self) -> str:
        """The gate's server that leads to production."""
        return _SERVERS[self.rounds % 2]

    @property
    def copy(self) -> str:
        """The gate's other server."""
        return _SERVERS[(self.rounds + 1) % 2]

    def deployment(self) -> dict[str, Any]:
        """The deployment as the service describes it, empty when there is none."""
        found = self.lab.client("rds").describe_blue_green_deployments()["BlueGreenDeployments"]
        return found[0] if found else {}

    @property
    def status(self) -> str:
        """Its status."""
        return str(self.deployment().get("Status", ""))

    def held(self) -> bool:
        """Whether clients wait at the gate."""
        lines = self.gate.ask("show stat").removeprefix("# ").splitlines()
        return any(row["svname"] in _SERVERS and row["slim"] == str(_HELD) for row in csv.DictReader(lines))

    def leads(self) -> None:
        """Tell the gate where green is, and the playbook which of the gate's servers is which."""
        green = self.deployment()["Target"].rpartition(":")[2]
        found = demo_managed.parameters(self.lab, self.blue, green)
        self.gate.ask(
            f"set server {self.gate.option()['backend']}/{self.copy} addr {found['host']} port {found['port']}"
        )
        sides = {"blue_server": self.production, "green_server": self.copy}
        sides["blue_host"] = self.lab.address(self.blue.host)
        self.playbook.variables["rds_managed_gates"] = [{**self.gate.option(), **sides}]

    def audit(self, fenced: str | None = None) -> Audit:
        """The audit of production against the ledger."""
        return audit(self.load.entries, self._side(self.blue.cluster), self._side(fenced) if fenced else None)

    def _side(self, cluster: str) -> Side:
        return Side(cluster, demo_managed.parameters(self.lab, self.blue, cluster), MYSQL)


@contextmanager
def opened(directory: Path, seed: int, rate: float = 50.0, writers: int = 4) -> Iterator[Scene]:
    """A scene with running writers; everything is gone afterwards."""
    with ExitStack() as stack:
        lab = stack.enter_context(Lab.start(names=True))
        blue = lab.seed_mysql("shop", readers=0)
        password = secrets.token_urlsafe(24)
        login = demo_managed.parameters(lab, blue, blue.cluster)
        with closing(pymysql.connect(**login)) as connection:
            load_schema.create(connection, APPLICATION, password, Load.writer_numbers(writers, 0))
        gate = stack.enter_context(HAProxy.start((login["host"], login["port"]), state_dir=lab.state))
        target = Target(gate.host, gate.port, blue.database, APPLICATION, password)
        target = Target(**{**vars(target), "ssl_mode": "verify-ca", "ca_file": lab.ca_file, "engine": MYSQL})
        load = stack.enter_context(Load.start(directory / "ledger", target, writers=writers, rate=rate, seed=seed))
        wanted = demo_managed.variables(lab, blue, password, str(directory / "probe.jsonl"))
        for name in ("rds_managed_engine_version", "rds_managed_probe"):
            del wanted[name]  # each round copies what the one before has made
        environment = {**lab.env, **stack.enter_context(forks.serving(lab.env))}
        yield Scene(lab, blue, gate, load, Playbook(directory, environment, wanted, "bluegreen.aws.rds_managed"))


def kill_create(scene: Scene, report: Report, rng: random.Random, kills: int) -> None:
    """Kill the phase create anywhere, one to three times in a round."""
    _rounds(scene, report, rng, "create", kills)


def kill_cleanup(scene: Scene, report: Report, rng: random.Random, kills: int) -> None:
    """Kill the phase cleanup anywhere; it deletes old production."""
    _rounds(scene, report, rng, "cleanup", kills)


def kill_switchover(scene: Scene, report: Report, rng: random.Random, kills: int) -> None:
    """Kill the phase switchover before the call, after it, in the window, and after green has opened."""
    scene.lab.faults.managed(hold={"SWITCHOVER_IN_PROGRESS": 1.0})
    _rounds(scene, report, rng, "switchover", kills)


def _rounds(scene: Scene, report: Report, rng: random.Random, killed: str, kills: int) -> None:
    """Create, switch over and clean up until one of these was killed often enough; each is finished before the next."""
    report.undisturbed = []
    while report.of(killed) < kills and not report.problems:
        for phase in ("create", "switchover", "cleanup"):
            if phase != killed:
                finished = play(scene, report, phase)
                if finished.code != 0:
                    report.problem(f"{phase} failed: {finished.failure['msg']}")
            elif phase != "switchover" and not report.undisturbed:
                reference(scene, report, phase)
            else:
                for _unused in range(min(rng.randint(1, _MOST_IN_A_ROW), kills - report.of(phase))):
                    if phase == "switchover":
                        _kill_in_switchover(scene, report, rng)
                    else:
                        kill_at_random(scene, report, rng, phase, report.undisturbed)
                finish(scene, report, phase)
            if not report.problems:
                _after(scene, report, phase)
            if report.problems:
                return


def _after(scene: Scene, report: Report, phase: str) -> None:
    """What must be true whoever was killed: one deployment at most, clients led on, every acknowledged write there."""
    if phase == "create":
        made = scene.lab.client("rds").describe_blue_green_deployments()["BlueGreenDeployments"]
        if len(made) != 1:
            report.problem(f"one deployment should be there, but {len(made)} are")
        scene.leads()
    if phase == "switchover":
        scene.rounds += 1
        if scene.held():
            report.problem("the gate is held after the switchover")
        report.audited("after the switchover", scene.audit(f"{scene.blue.cluster}-old1"))
    if phase == "cleanup":
        left = demo_managed.estate(scene.lab)
        wanted = {"deployments": [], "clusters": [scene.blue.cluster], "snapshots": []}
        report.audited("after the cleanup", scene.audit())
        if {**wanted, "instances": left["instances"]} != left or len(left["instances"]) != 1:
            report.problem(f"left over after the cleanup: {left}")


def _kill_in_switchover(scene: Scene, report: Report, rng: random.Random) -> None:
    """Kill a run at one of the moments that matter, or a little later."""
    run = Run(scene.playbook, "switchover")
    began = time.monotonic()
    over = scene.status == "SWITCHOVER_COMPLETED"
    moments: dict[str, tuple[Callable[[], bool], float]] = {
        "before the call": (lambda: run.task == _TASK, _STARTS),
        "after the call": (lambda: scene.status == "SWITCHOVER_IN_PROGRESS", _REACH),
        "the gate held": (scene.held, _REACH),
        "green open": (lambda: scene.status == "SWITCHOVER_COMPLETED", 2 * _REACH),
        "the way back": (lambda: run.task.startswith(_WAY_BACK), 2 * _STARTS),
    }
    name = rng.choice([*moments][-1:] if over else [*moments])
    moment, reach = moments[name]
    known: list[int] = []
    looked = 0.0
    while not run.ended and not moment():
        if time.monotonic() - looked > _PROCESSES_POLL:
            known, looked = run.processes(), time.monotonic()
        time.sleep(_POLL)
    time.sleep(rng.uniform(0, reach))
    if run.ended:
        finished = run.finish()
        report.keep("switchover", finished.output)
        report.say(f"      ended by itself before '{name}', exit status {finished.code}")
        if finished.code != 0:
            report.problem(f"switchover failed: {finished.failure['msg']}")
        return
    task, seconds = run.task, time.monotonic() - began
    processes = run.kill(known)
    report.keep("switchover-killed", run.finish().output)
    gate = "gate held" if scene.held() else "gate open"
    report.killed(Kill("switchover", task, seconds, processes, f"{name}: {scene.status}, {gate}"))
