# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Acceptance: the deployment of an engine from end to end on the lab, as it is promised, and a table of what held.

It exists for aurora_postgresql, for aurora_mysql and neptune (whose kills are in the tests), for rds_managed (whose window
is the service's, so that nothing of it can be sabotaged), and as a demo for a global database of PostgreSQL. The AWS
wrappers go through a managed switchover with the first of them and with rds_managed. Nothing here runs on AWS itself.
The tests and the gates are `make ci`.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# The whole of acceptance by engine: what is only demonstrated has the windows, kills and sabotages of another one.
ENGINES = ("aurora_postgresql", "aurora_mysql", "neptune", "aurora_postgresql_global", "rds_managed")
DEMO_ONLY = ("aurora_postgresql_global",)
# The phases that tests.crash kills, and how often.
KILLED = {"aurora_postgresql": (("create", "switchover"), 20), "rds_managed": (("create", "switchover", "cleanup"), 10)}
BASELINES = {"aurora_mysql": ("--baseline", "runbook")}
OTHER_DEMOS = {"neptune": {"demo rdf": ("--graph", "rdf")}}
OTHER_BENCHES = {"neptune": ("tests.bench", "streams")}  # in place of the windows of many switchovers
# The statements that replication writes, on a real openCypher engine too.
CONTRACTS = {"neptune": ("tests.lab.neptune.contract",)}
# The real AWS wrappers during managed switchovers; one that is missing fails.
CLIENTS = ("clients", ("pytest", "tests/clients", "-q"))
SABOTAGES = ("fence", "position", "marker")
LEAST_ACKNOWLEDGED = 20_000
LEAST_MANAGED = 5_000
DEMO_SECONDS = 240.0


@dataclass(frozen=True)
class Outcome:
    """How a program ended: exit code, last line, seconds."""

    code: int
    last: str
    seconds: float


@dataclass(frozen=True)
class Step:
    """A program of the repository, and what must be true of its end; `judge` returns the objection, or nothing."""

    name: str
    arguments: tuple[str, ...]
    judge: Callable[[Outcome], str]


def run(arguments: tuple[str, ...]) -> Outcome:
    """Run `python -m ...`, show its output as it comes and return how it ended."""
    start = time.monotonic()
    last = ""
    with subprocess.Popen(
        [sys.executable, "-m", *arguments], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            last = line.strip() or last
    return Outcome(process.returncode, last, time.monotonic() - start)


def judge_success(outcome: Outcome) -> str:
    """It ended well."""
    return "" if outcome.code == 0 else f"ended with {outcome.code}"


def judge_demo(outcome: Outcome) -> str:
    """Nothing lost, nothing doubled, nothing left, both directions, enough writes, soon enough."""
    numbers = dict(re.findall(r"(\w+)=(\w+)", outcome.last))
    wanted = {"lost": "0", "duplicated": "0", "rollback": "ok", "leftovers": "0"}
    wrong = [f"{name}={numbers.get(name)}" for name, value in wanted.items() if numbers.get(name) != value]
    if outcome.code or wrong:
        return f"ended with {outcome.code}, {' '.join(wrong)}"
    if int(numbers["acknowledged"]) < LEAST_ACKNOWLEDGED:
        return f"only {numbers['acknowledged']} acknowledged writes"
    return "" if outcome.seconds < DEMO_SECONDS else f"took {outcome.seconds:.0f} s"


def judge_managed(outcome: Outcome) -> str:
    """Nothing lost, nothing doubled, nothing left; the service has no way back."""
    numbers = dict(re.findall(r"(\w+)=(\w+)", outcome.last))
    wrong = [f"{name}={numbers.get(name)}" for name in ("lost", "duplicated", "leftovers") if numbers.get(name) != "0"]
    if outcome.code or wrong:
        return f"ended with {outcome.code}, {' '.join(wrong)}"
    return (
        "" if int(numbers["acknowledged"]) >= LEAST_MANAGED else f"only {numbers['acknowledged']} acknowledged writes"
    )


def judge_sabotage(outcome: Outcome) -> str:
    """The auditor found the loss: 1, where 0 is a loss not found and anything else a demo that did not get so far."""
    return "" if outcome.code == 1 else f"ended with {outcome.code}, not with 1 for a loss that was found"


def kills(engine: str) -> list[Step]:
    """The phases that are killed and run again, none of an engine whose kills are in the tests."""
    phases, number = KILLED.get(engine, ((), 0))
    command = ("tests.crash", "--engine", engine, "--kills", str(number), "--phase")
    return [Step(f"{number} kills in {phase}", (*command, phase), judge_success) for phase in phases]


def steps(engine: str, runs: int) -> list[Step]:
    """Return what acceptance runs, in order."""
    demo = ("tests.lab.demo", "--engine", engine)
    if engine in DEMO_ONLY:
        return [Step("demo", demo, judge_demo)]
    clients = Step(*CLIENTS, judge_success)
    if engine == "rds_managed":
        bench = ("tests.bench", "clients", "--runs", str(min(runs, 5)))
        return [Step("demo", demo, judge_managed), *kills(engine), clients, Step("bench", bench, judge_success)]
    return [
        Step("demo", demo, judge_demo),
        *(Step(name, (*demo, *more), judge_demo) for name, more in OTHER_DEMOS.get(engine, {}).items()),
        *(Step(f"sabotage {name}", (*demo, "--sabotage", name), judge_sabotage) for name in SABOTAGES),
        *kills(engine),
        *([Step("contract", CONTRACTS[engine], judge_success)] if engine in CONTRACTS else []),
        *([clients] if engine == ENGINES[0] else []),
        Step(
            "bench",
            OTHER_BENCHES.get(
                engine,
                ("tests.bench", "switchover", "--engine", engine, "--runs", str(runs), *BASELINES.get(engine, ())),
            ),
            judge_success,
        ),
    ]


def main() -> int:
    """Run every step, print the table and return 0 when all of it held."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default=ENGINES[0], choices=ENGINES)
    parser.add_argument("--runs", type=int, default=10, help="switchovers of the bench")
    arguments = parser.parse_args()

    print(__doc__, flush=True)
    table = []
    for step in steps(arguments.engine, arguments.runs):
        print(f"\n--- {step.name}: python -m {' '.join(step.arguments)}", flush=True)
        outcome = run(step.arguments)
        table.append((step, outcome, step.judge(outcome)))
    print()
    for step, outcome, objection in table:
        print(
            f"{step.name:<22}{f'FAILED: {objection}' if objection else 'ok':<10} {outcome.seconds:6.0f} s  {outcome.last}"
        )
    return 1 if any(objection for _step, _outcome, objection in table) else 0


if __name__ == "__main__":
    sys.exit(main())
