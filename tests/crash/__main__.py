# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m tests.crash --engine E --phase P --kills 20 --seed N`: kills, the audit, and one line of JSON."""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.crash import managed
from tests.crash.driver import Report, kill_create, kill_switchover
from tests.scene import Scene, opened

AURORA_POSTGRESQL, RDS_MANAGED = "aurora_postgresql", "rds_managed"
PHASES: dict[str, dict[str, Any]] = {
    AURORA_POSTGRESQL: {"create": kill_create, "switchover": kill_switchover},
    RDS_MANAGED: {
        "create": managed.kill_create,
        "switchover": managed.kill_switchover,
        "cleanup": managed.kill_cleanup,
    },
}
SCENES: dict[str, Any] = {AURORA_POSTGRESQL: opened, RDS_MANAGED: managed.opened}


def crash(phases: Sequence[str], kills: int, seed: int, logs: Path, engine: str = AURORA_POSTGRESQL) -> Report:
    """Kill each phase ``kills`` times, in one lab; returns what happened, what the runs said is in ``logs``."""
    logs.mkdir(parents=True, exist_ok=True)
    report = Report(say=lambda text: print(text, flush=True), logs=logs)
    report.say(f"killing {' and '.join(phases)} {kills} times, seed {seed}")
    with (
        tempfile.TemporaryDirectory(prefix="bluegreen-crash-") as directory,
        SCENES[engine](Path(directory), seed) as scene,
    ):
        report.say(f"gate: {scene.gate.kind}")
        for phase in phases:
            PHASES[engine][phase](scene, report, random.Random(seed), kills)
        dead = scene.load.dead_writers()
        if dead:
            report.problem(f"writers {dead} died, the ledger proves nothing")
        if report.problems and engine == AURORA_POSTGRESQL:
            evidence(scene, report)
    return report


def evidence(scene: Scene, report: Report) -> None:
    """Keep what the servers and the gate have logged, and the rows that are there more than once."""
    shutil.copytree(scene.lab.state / "postgresql-logs", report.logs / "servers", dirs_exist_ok=True)
    (report.logs / "gate.log").write_text(scene.gate.log(), encoding="utf-8")
    for writer, n in [key for audit in report.audits for key in audit.duplicated][:5]:
        for side in ("blue", "green"):
            with closing(scene.connect(side, scene.blue.database)) as connection, connection.cursor() as cursor:
                cursor.execute(
                    "SELECT id, at, xmin, ctid, server FROM shop.ledger WHERE writer = %s AND n = %s ORDER BY ctid",
                    (writer, n),
                )
                for row in cursor.fetchall():
                    report.say(f"      {side} writer {writer} n={n}: {' '.join(str(value) for value in row)}")


def summary(phase: str, seed: int, report: Report) -> dict[str, object]:
    """The run in one line."""
    return {
        "crash": phase,
        "seed": seed,
        "kills": report.of(phase),
        "in_window": sum(kill.in_window for kill in report.kills),
        "audits": len(report.audits),
        "acknowledged": max((audit.acknowledged for audit in report.audits), default=0),
        "lost": sum(len(audit.lost) for audit in report.audits),
        "duplicated": sum(len(audit.duplicated) for audit in report.audits),
        "problems": len(report.problems),
    }


def main() -> int:
    """Run the driver from the command line; the exit status is 1 when something is not as it must be."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--engine", choices=list(PHASES), default=AURORA_POSTGRESQL)
    parser.add_argument("--phase", choices=list(PHASES[RDS_MANAGED]), required=True)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=None, help="printed; the same seed chooses the same moments")
    parser.add_argument("--logs", type=Path, default=None, help="where to keep what the runs said")
    arguments = parser.parse_args()
    if arguments.phase not in PHASES[arguments.engine]:
        parser.error(f"the phases of {arguments.engine} are {', '.join(PHASES[arguments.engine])}")
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(1_000_000)
    logs = arguments.logs or Path(tempfile.mkdtemp(prefix="bluegreen-crash-logs-"))
    report = crash([arguments.phase], arguments.kills, seed, logs, arguments.engine)
    if not report.problems and arguments.logs is None:
        shutil.rmtree(logs)
    for problem in report.problems:
        print(f"PROBLEM {problem}; what the runs said is in {logs}")
    print(json.dumps(summary(arguments.phase, seed, report)))
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
