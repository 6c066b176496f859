# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kills a phase until it has been killed often enough, runs it again each time, and audits what came of it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import psycopg2

from tests.crash.runs import Run, Started
from tests.lab.auditor import Audit
from tests.lab.gate import ADMIN_DATABASE
from tests.playbook import Finished, Playbook
from tests.scene import Scene, fenced

WINDOW_REACH = 0.060  # s after the gate is held, or after the other side has opened
RESUME_REACH = 3.0  # s after the task of a run that finds the window open: the module starts, looks, and goes on
AFTER_OPENING = 0.3  # the share of kills that count from the opening: what follows the window must survive a kill too
_WINDOW_POLL = 0.001
_PROCESSES_POLL = 0.25  # the module's process starts some time after its task
_TASK = "Move the traffic"
_MOST_RUNS = 3
_MOST_IN_A_ROW = 3


class Played(Protocol):
    """What has a playbook."""

    @property
    def playbook(self) -> Playbook:
        """It."""


@dataclass(frozen=True)
class Kill:
    """One kill: where the playbook was, and what was true right afterwards."""

    phase: str
    task: str
    seconds: float
    processes: int
    state: str = ""

    @property
    def in_window(self) -> bool:
        """Whether clients could write nowhere at that moment."""
        return "held" in self.state or self.state.count("closed") == 2

    def __str__(self) -> str:
        """The kill as a line of the report."""
        state = f"; {self.state}" if self.state else ""
        return f"killed {self.phase} after {self.seconds:.2f} s in '{self.task}' ({self.processes} processes){state}"


@dataclass
class Report:
    """What happened; ``problems`` must stay empty. ``undisturbed`` are the tasks of a create that was not killed."""

    say: Callable[[str], None]
    logs: Path
    kills: list[Kill] = field(default_factory=list)
    audits: list[Audit] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    undisturbed: list[Started] = field(default_factory=list)

    def of(self, phase: str) -> int:
        """How often a phase was killed."""
        return sum(kill.phase == phase for kill in self.kills)

    def keep(self, what: str, output: str) -> None:
        """Keep a run's output for whoever looks into a problem."""
        number = len(list(self.logs.iterdir())) + 1
        (self.logs / f"{number:03d}-{what}.log").write_text(output, encoding="utf-8")

    def killed(self, kill: Kill) -> None:
        """Note a kill."""
        self.kills.append(kill)
        self.say(f"  {len(self.kills):3d} {kill}")

    def audited(self, where: str, found: Audit) -> None:
        """Note an audit."""
        self.audits.append(found)
        self.say(f"      audit ({where}): {found.line()}")
        self.problems += [f"{where}: {finding}" for finding in found.findings()]

    def problem(self, text: str) -> None:
        """Note what must not be."""
        self.problems.append(text)
        self.say(f"      PROBLEM {text}")


def finish(scene: Played, report: Report, phase: str) -> None:
    """Run ``phase`` until it succeeds, which the first run after a kill has to; then once more, changing nothing."""
    for attempt in range(1, _MOST_RUNS + 1):
        finished = play(scene, report, phase)
        if finished.code == 0:
            break
        report.problem(f"{phase}, run {attempt} after the kill, failed: {finished.failure['msg']}")
    again = play(scene, report, phase)
    if again.code != 0 or again.changed != 0:
        report.problem(f"{phase} was run again after it was done and changed {again.changed_tasks}")


def play(scene: Played, report: Report, phase: str, **variables: Any) -> Finished:
    """Run ``phase`` to its end and keep what it said."""
    finished = scene.playbook.run(phase, **variables)
    report.keep(phase, finished.output)
    return finished


# --- create --------------------------------------------------------------------------------------------------------


def kill_create(scene: Scene, report: Report, rng: random.Random, kills: int) -> None:
    """Build green ``kills`` kills long: each deployment is killed one to three times, then finished and audited.

    The audit is made where it is exact: on green, after a switchover to it, and on blue after the rollback.
    """
    if not report.undisturbed:
        reference(scene, report)
        tear_down(scene, report)
    while report.of("create") < kills and not report.problems:
        for _unused in range(min(rng.randint(1, _MOST_IN_A_ROW), kills - report.of("create"))):
            kill_at_random(scene, report, rng, "create", report.undisturbed)
        finish(scene, report, "create")
        there_and_back(scene, report)
        tear_down(scene, report)


def reference(scene: Played, report: Report, phase: str = "create") -> None:
    """Run a phase undisturbed and keep when each task began, the end of the run last."""
    run = Run(scene.playbook, phase)
    began = time.monotonic()
    finished = run.finish()
    seconds = time.monotonic() - began
    assert finished.code == 0, finished.output
    report.say(f"an undisturbed {phase} takes {seconds:.1f} s and {len(run.tasks)} tasks")
    report.keep(phase, finished.output)
    report.undisturbed = [*run.tasks, Started("end", seconds)]


def kill_at_random(scene: Played, report: Report, rng: random.Random, phase: str, tasks: list[Started]) -> None:
    """Kill one run: half of the moments are even over its time, half are even over its tasks.

    A run that is quicker than the reference, because an earlier one has done its work, may end before the moment.
    """
    total = tasks[-1].at
    number = rng.randrange(len(tasks) - 1)
    if rng.random() < 0.5:
        moment = rng.uniform(0, total)
        number = max((n for n, task in enumerate(tasks[:-1]) if task.at <= moment), default=0)
        delay = max(0.0, moment - tasks[number].at)
    else:
        delay = rng.uniform(0, tasks[number + 1].at - tasks[number].at)
    run = Run(scene.playbook, phase)
    began = time.monotonic()
    if run.wait_for_task(number):
        known = run.processes()
        time.sleep(delay)
        if not run.ended:
            task, seconds = run.task, time.monotonic() - began
            report.killed(Kill(phase, task, seconds, run.kill(known)))
            report.keep(f"{phase}-killed", run.finish().output)
            return
    finished = run.finish()
    report.keep(phase, finished.output)
    report.say(f"      ended by itself before the moment of the kill, exit status {finished.code}")
    if finished.code != 0:
        report.problem(f"{phase} after a kill failed: {finished.failure['msg']}")


def there_and_back(scene: Scene, report: Report) -> None:
    """Verify, switch over, audit green, roll back, audit blue."""
    for phase, serving in (("verify", None), ("switchover", "green"), ("rollback", "blue")):
        finished = play(scene, report, phase)
        if finished.code != 0:
            report.problem(f"{phase} failed: {finished.failure['msg']}")
            return
        if serving:
            report.audited(f"after the {phase}, {serving} serving", scene.audit(serving))


def tear_down(scene: Scene, report: Report) -> None:
    """Remove green and everything that replication made; nothing may be left on blue."""
    finished = play(scene, report, "cleanup", aurora_postgresql_delete_green=True)
    if finished.code != 0:
        report.problem(f"cleanup failed: {finished.failure['msg']}")
    left = leftovers(scene)
    if left:
        report.problem(f"left over on blue after the cleanup: {', '.join(left)}")


def leftovers(scene: Scene) -> list[str]:
    """What a cleanup should have removed from blue and has not."""
    with closing(scene.connect("blue", scene.blue.database)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT 'publication ' || pubname FROM pg_publication UNION ALL SELECT 'slot ' || slot_name FROM"
            " pg_replication_slots WHERE slot_type = 'logical' UNION ALL SELECT 'schema ' || nspname FROM pg_namespace"
            " WHERE nspname = 'bluegreen' UNION ALL SELECT 'role ' || rolname FROM pg_roles WHERE rolname LIKE 'bg\\_%'"
            " UNION ALL SELECT 'database ' || datname FROM pg_database WHERE datname = 'bluegreen_control'"
        )
        return [name for (name,) in cursor.fetchall()]


# --- switchover ----------------------------------------------------------------------------------------------------


def kill_switchover(scene: Scene, report: Report, rng: random.Random, kills: int) -> None:
    """Switch over and roll back until the switchover was killed ``kills`` times; rollbacks are killed now and then too."""
    reference(scene, report)
    while report.of("switchover") < kills and not report.problems:
        move(scene, report, rng, "switchover", "green", 1 if rng.random() < 0.7 else 2)
        if not report.problems:
            move(scene, report, rng, "rollback", "blue", rng.choice((0, 0, 1)))
    if not report.problems:
        tear_down(scene, report)


def move(scene: Scene, report: Report, rng: random.Random, phase: str, serving: str, kills: int) -> None:
    """Move the traffic in spite of ``kills`` kills inside the window, and audit the side that serves then."""
    for _unused in range(kills):
        kill_in_window(scene, report, rng, phase)
    finish(scene, report, phase)
    report.audited(f"after the {phase}, {serving} serving", scene.audit(serving))


def kill_in_window(scene: Scene, report: Report, rng: random.Random, phase: str) -> None:
    """Kill a run up to 60 ms after the gate is held or the source is fenced, or after the other side has opened.

    A run that goes on from an earlier kill finds the window open: it is killed somewhere in its task.
    """
    run = Run(scene.playbook, phase)
    began = time.monotonic()
    sides = ("blue", "green") if phase == "switchover" else ("green", "blue")
    with Watch(scene, *sides) as watch:
        resumed = watch.window_open()
        moment = watch.target_open if rng.random() < AFTER_OPENING else watch.window_open
        known: list[int] = []
        looked = 0.0
        while not run.ended:
            moving = run.task.startswith(_TASK)
            if moving and time.monotonic() - looked > _PROCESSES_POLL:
                known, looked = run.processes(), time.monotonic()
            if moving and (resumed or moment()):
                break
            time.sleep(_WINDOW_POLL)
        time.sleep(rng.uniform(0, RESUME_REACH if resumed else WINDOW_REACH))
    if run.ended:
        finished = run.finish()
        report.keep(phase, finished.output)
        report.say(f"      {phase} ended by itself before its window was seen, exit status {finished.code}")
        if finished.code != 0:
            report.problem(f"{phase} failed: {finished.failure['msg']}")
        return
    task, seconds = run.task, time.monotonic() - began
    processes = run.kill(known)
    report.keep(f"{phase}-killed", run.finish().output)
    report.killed(Kill(phase, task, seconds, processes, state(scene)))


class Watch:
    """Looks at the gate's console and at the fences every millisecond, over open connections."""

    def __init__(self, scene: Scene, source: str, target: str) -> None:
        self._database = scene.blue.database
        self._source = scene.connect(source)
        self._target = scene.connect(target)
        self._console = console(scene)

    def window_open(self) -> bool:
        """Whether the gate is held or the source is fenced."""
        return held(self._console, self._database) or fenced(self._source, self._database)

    def target_open(self) -> bool:
        """Whether the side that the traffic moves to is open for writers."""
        return not fenced(self._target, self._database)

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._source.close()
        self._target.close()
        self._console.close()


def console(scene: Scene) -> psycopg2.extensions.connection:
    """A connection to the gate's console."""
    gate = scene.gate
    connection: psycopg2.extensions.connection = psycopg2.connect(
        host=gate.host, port=gate.port, user=gate.admin_user, password=gate.admin_password, dbname=ADMIN_DATABASE
    )
    connection.autocommit = True
    return connection


def show_database(connection: psycopg2.extensions.connection, database: str) -> dict[str, object]:
    """The gate's own words about one of its entries."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW DATABASES")
        names = [column.name for column in cursor.description or ()]
        entries = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return next(entry for entry in entries if entry["name"] == database)


def held(connection: psycopg2.extensions.connection, database: str) -> bool:
    """Whether the gate holds the clients of ``database``."""
    return bool(int(str(show_database(connection, database)["paused"])))


def state(scene: Scene) -> str:
    """What is true right after a kill."""
    with closing(console(scene)) as connection:
        entry = show_database(connection, scene.blue.database)
    sides = " ".join(f"{side} {'open' if scene.open(side) else 'closed'}" for side in ("blue", "green"))
    where = "blue" if entry["host"] == scene.blue.host else "green"
    return f"{sides} gate {'held' if int(str(entry['paused'])) else 'at ' + where}"
