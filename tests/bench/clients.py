# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What clients of four kinds see of one managed switchover, side by side: the longest time without an acknowledged write.

The driver alone, the AWS wrapper in Python, the AWS wrapper for JDBC, and the driver behind a PgBouncer that is a gate of the
switchover. Each switchover is the playbook's. Every run has a production, a deployment and clients of its own. MySQL has no
PgBouncer: null then.
"""

from __future__ import annotations

import json
import secrets
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.clients import fetch, findings
from tests.clients.fleet import JDBC, PGBOUNCER, PLAIN, PYTHON, WRAPPERS, Order
from tests.clients.stage import APPLICATION, HOLD, MODES, POSTGRESQL, Stage, over
from tests.lab.gate import Gate
from tests.lab.lab import Lab

ENGINES = tuple(MODES)
DNS_DELAY = 5.0  # s from green's opening to the move of blue's names; on AWS it is tens of seconds
KINDS = (PLAIN, PYTHON, JDBC)


def bench(engine: str, runs: int) -> int:
    """Run it, print a line for each run and the summary as JSON last; return the exit status."""
    fetch.python_packages()
    fetch.java_classes()
    gaps: dict[str, list[float]] = {}
    errors: dict[str, Counter[str]] = {}
    lost = 0
    with Lab.start(names=True) as lab:
        for number in range(1, runs + 1):
            found, met, missing = _run(lab, engine, number)
            for name, gap in found.items():
                gaps.setdefault(name, []).append(gap * 1000)
                errors.setdefault(name, Counter()).update(met[name])
            lost += missing
            shown = ", ".join(
                f"{name} {gap * 1000:.0f} ms ({sum(met[name].values())} errors)" for name, gap in found.items()
            )
            print(f"run {number}: longest gap {shown}; {missing} acknowledged writes lost or doubled", flush=True)
    names = (*KINDS, PGBOUNCER)

    def each(pick: Callable[[list[float]], float]) -> dict[str, int | None]:
        return {name: round(pick(gaps[name])) if name in gaps else None for name in names}

    summary = {
        "bench": "clients",
        "engine": engine,
        "runs": runs,
        "dns_delay_ms": round(DNS_DELAY * 1000),
        "longest_gap_ms": each(statistics.median),
        "worst_gap_ms": each(max),
        "errors": {name: dict(errors.get(name, {})) for name in names},
        "lost_or_doubled": lost,
    }
    print(json.dumps(summary))
    return 1 if lost else 0


def _run(lab: Lab, engine: str, number: int) -> tuple[dict[str, float], dict[str, dict[str, int]], int]:
    """One switchover: the gap and the errors of every kind of client, and how many writes were lost or doubled."""
    name = f"bench-{number}-{secrets.token_hex(2)}"
    stage = Stage.make(lab, engine, name)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bluegreen-clients-")))
        orders, gates = _gate(stack, stage) if stage.mode.kind == POSTGRESQL else ({}, [])
        fleet = stack.enter_context(stage.fleet(KINDS, directory, **orders))
        lab.faults.managed(hold=HOLD, dns_delay=DNS_DELAY)
        began = time.time()
        status, finished = stage.switch_over(directory / "playbook", rds_managed_gates=gates)
        if finished.code or status != "SWITCHOVER_COMPLETED":
            raise RuntimeError(f"The switchover ended as {status}: {finished.output}")
        fleet.wait(over, 60.0, "the end of the switchover as the wrapper sees it", WRAPPERS)
        time.sleep(1.5)
        ended = time.time()
        fleet.stop()
        rows = stage.rows()
        writes = {kind: client.attempts() for kind, client in fleet.clients.items()}
        met = {kind: findings.errors(client.attempts("write")) for kind, client in fleet.clients.items()}
        found = {kind: findings.longest_gap(attempts, began, ended) for kind, attempts in writes.items()}
        missing = sum(len(findings.lost(attempts, rows)) for attempts in writes.values()) + len(findings.doubled(rows))
    lab.faults.clear()
    lab.clear(kept=set())
    return found, met, missing


def _gate(stack: ExitStack, stage: Stage) -> tuple[dict[str, Order], list[dict[str, Any]]]:
    """A PgBouncer in front of blue: what its client does, and the gate of the switchover."""
    blue = stage.blue
    host = stage.lab.address(blue.host)  # PgBouncer does not resolve the lab's names
    gate = stack.enter_context(
        Gate.start(None, [blue.database], host, blue.port, APPLICATION, stage.password, stage.lab.ca_file)
    )
    orders = {PGBOUNCER: stage.order(host=gate.host, port=gate.port, ca="")}
    return orders, [{**gate.option(), "blue_host": host}]
