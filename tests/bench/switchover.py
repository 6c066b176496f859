# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The window of `bg_switchover`: to green and back, again and again, on one deployment under write load.

With a baseline the manual runbook does the same on the same deployment afterwards, and the ratio of the medians is told.

The window is what the module measured. The client's gap is the longest time that any writer through the gate was
without an acknowledgement around the run. Every move is audited before the next one.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from tests.bench.runbook import Runbook, RunbookFailed
from tests.lab.auditor import UNREADABLE, Key, audit
from tests.lab.demo_stage import Clock, Stage, set_stage
from tests.lab.engine import EngineError
from tests.lab.gate import GateError
from tests.lab.load import ROOT, Load, LoadError
from tests.lab.tools import MYSQL, POSTGRESQL
from tests.scene import parameters

# By the name of the module's option: the service's.
_SERVICE = {"aurora_postgresql": POSTGRESQL, "aurora_mysql": MYSQL}
ENGINES = tuple(_SERVICE)
BASELINES = ("runbook",)
RATE = 200.0
WRITERS = 4
_BETWEEN = 1.0  # seconds of traffic before each move
_BY_HAND = 4  # moves by the runbook
# The module as Ansible runs it, without the controller around it.
_RUNNER = """\
import importlib, json, sys
import conftest  # the search paths of this repository
from ansible.module_utils.testing import patch_module_args
with patch_module_args(json.load(sys.stdin)):
    importlib.import_module(f"ansible_collections.bluegreen.aws.plugins.modules.{sys.argv[1]}").main()
"""


class BenchFailed(Exception):
    """A move did not succeed; the text says why."""


@dataclass(frozen=True)
class Result:
    """One move; times in milliseconds."""

    state: str
    window: float
    client_gap: float
    acknowledged: int
    lost: frozenset[Key]
    duplicated: frozenset[Key]
    findings: tuple[str, ...]
    timeline: tuple[str, ...] = ()

    def line(self, number: int) -> str:
        """Return the move as a line of the table."""
        return (
            f"{number:>4}  {self.state:<13} {self.window:>10.1f} {self.client_gap:>14.1f} {self.acknowledged:>13} "
            f"{len(self.lost):>5} {len(self.duplicated):>11}"
        )


HEAD = f"{'run':>4}  {'state':<13} {'window ms':>10} {'client gap ms':>14} {'acknowledged':>13} {'lost':>5} {'duplicated':>11}"


def bench(engine: str, runs: int, rate: float, baseline: str | None = None, gtid: bool = True) -> int:
    """Run the benchmark and print it; return 0 when nothing was lost, doubled or otherwise wrong."""
    if baseline and engine != "aurora_mysql":
        print(f"bench switchover {engine}: the runbook is that of aurora_mysql", file=sys.stderr, flush=True)
        return 2
    clock = Clock()
    results: list[Result] = []
    by_hand: list[Result] = []
    try:
        with ExitStack() as stack:
            stage = set_stage(stack, clock, WRITERS, engine=_SERVICE[engine], gtid=gtid)
            load = stack.enter_context(
                Load.start(stage.directory / "ledger", stage.gate_target(), writers=WRITERS, rate=rate)
            )
            create(clock, stage)
            print(HEAD, flush=True)
            for number in range(1, runs + 1):
                results.append(move(stage, load, _state(number)))
                print(results[-1].line(number), flush=True)
            if baseline:
                by_hand = _runbook(clock, stage, load, results[-1].state)
            if dead := load.dead_writers():
                raise BenchFailed(f"writers {dead} ended by themselves: the run proves nothing")
    except (BenchFailed, BlueGreenError, EngineError, GateError, LoadError, RunbookFailed, *UNREADABLE) as failure:
        print(f"bench switchover {engine}: {failure}", file=sys.stderr, flush=True)
        return 2
    slowest = max(range(runs), key=lambda number: results[number].window)
    print("\n".join((f"slowest: run {slowest + 1}", *results[slowest].timeline)), flush=True)
    for finding in sorted({finding for result in results for finding in result.findings}):
        print(f"PROBLEM {finding}")
    for finding in sorted({finding for result in by_hand for finding in result.findings}):
        print(f"the runbook: {finding}")  # it is compared with, not judged
    print(json.dumps(summary(engine, results, by_hand)), flush=True)
    return 1 if any(result.findings for result in results) else 0


def _state(number: int) -> str:
    return "switched_over" if number % 2 else "rolled_back"


def summary(engine: str, results: list[Result], by_hand: list[Result] | None = None) -> dict[str, Any]:
    """Return what the JSON line says: milliseconds, and counts of writes."""
    ours = _figures(results)
    found = {"bench": "switchover", "engine": engine, "runs": len(results), **ours}
    if by_hand:
        theirs = _figures(by_hand)
        found["baseline"] = {"name": "runbook", "runs": len(by_hand), **theirs}
        found["ratio"] = round(theirs["window_ms"]["median"] / ours["window_ms"]["median"], 1)
    return found


def _figures(results: list[Result]) -> dict[str, Any]:
    return {
        "window_ms": spread(result.window for result in results),
        "client_gap_ms": spread(result.client_gap for result in results),
        "lost": len(frozenset[Key]().union(*(result.lost for result in results))),
        "duplicated": len(frozenset[Key]().union(*(result.duplicated for result in results))),
    }


def spread(values: Iterable[float]) -> dict[str, float]:
    """Return minimum, median and maximum, rounded to a tenth."""
    found = sorted(values)
    return {
        "min": round(found[0], 1),
        "median": round(statistics.median(found), 1),
        "max": round(found[-1], 1),
    }


def create(clock: Clock, stage: Stage) -> None:
    """Build green and bring it in sync. Raises BenchFailed."""
    clock.say("building green")
    finished = stage.playbook().run("create")
    if finished.code != 0:
        raise BenchFailed(f"green could not be built:\n{finished.output}")
    stage.green_is_built()
    clock.say("green is in sync")


def move(stage: Stage, load: Load, state: str) -> Result:
    """Move the traffic once and audit the side that serves then. Raises BenchFailed."""
    time.sleep(_BETWEEN)
    began = time.time()
    result = run_module(stage.lab.env, options(stage, state))
    ended = time.time()
    if result.get("failed"):
        raise BenchFailed(f"{state} failed: {result.get('msg')}")
    return _result(
        stage,
        load,
        state,
        (began, ended),
        float(result["window_ms"]),
        tuple(f"{entry['offset_ms'] or 0.0:+10.1f} ms  {entry['event']}" for entry in result["timeline"]),
    )


def _result(
    stage: Stage, load: Load, state: str, span: tuple[float, float], window: float, timeline: tuple[str, ...] = ()
) -> Result:
    serving, fenced = ("green", "blue") if state == "switched_over" else ("blue", "green")
    time.sleep(_BETWEEN)  # the acknowledgements after the window are in the ledger, and rows enough on the new side
    found = audit(load.entries, stage.side(serving), stage.side(fenced))
    return Result(
        state=state,
        window=window,
        client_gap=load.longest_gap(*span) * 1000,
        acknowledged=found.acknowledged,
        lost=frozenset(found.lost),
        duplicated=frozenset(found.duplicated),
        findings=tuple(found.findings()),
        timeline=timeline,
    )


def _runbook(clock: Clock, stage: Stage, load: Load, state: str) -> list[Result]:
    """The same by hand, from the state that the moves left; raises RunbookFailed."""
    clock.say("the manual runbook, for comparison")
    by_hand = Runbook(stage)
    by_hand.prepare("green" if state == "switched_over" else "blue")
    results: list[Result] = []
    for number in range(1, _BY_HAND + 1):
        state = "rolled_back" if state == "switched_over" else "switched_over"
        source, target = ("blue", "green") if state == "switched_over" else ("green", "blue")
        by_hand.follow(source, target)
        time.sleep(_BETWEEN)
        window = by_hand.move(source, target)
        results.append(_result(stage, load, state, (window.began, window.ended), window.ms))
        print(results[-1].line(number), flush=True)
    return results


def options(stage: Stage, state: str) -> dict[str, Any]:
    """Return the module's options for one move."""

    def side(name: str) -> dict[str, Any]:
        found = parameters(stage.lab, stage.blue, stage.cluster(name))
        return {
            "host": found["host"],
            "port": found["port"],
            "secret_arn": stage.blue.secret_arn,
            "ca_cert": stage.lab.ca_file,
        }

    found = {
        "state": state,
        "deployment_id": stage.kit.deployment,
        "engine": stage.kit.role,
        "blue": side("blue"),
        "green": side("green"),
        "gates": [stage.gate.option()],
    }
    if stage.kit.engine == MYSQL:
        found["green_db_cluster_parameter_group_name"] = stage.lab.client("rds").describe_db_clusters(
            DBClusterIdentifier=stage.cluster("green")
        )["DBClusters"][0]["DBClusterParameterGroup"]
    return found


def run_module(
    environment: Mapping[str, str], arguments: Mapping[str, Any], name: str = "bg_switchover"
) -> dict[str, Any]:
    """Return the result of one run of a module in a process of its own. Raises BenchFailed when there is none."""
    done = subprocess.run(
        [sys.executable, "-c", _RUNNER, name],
        input=json.dumps(arguments),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, **environment},
    )
    try:
        result: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise BenchFailed(f"{name} gave no result:\n{done.stdout}\n{done.stderr}") from None
    return result
