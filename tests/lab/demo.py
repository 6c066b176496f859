# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m tests.lab.demo``: a blue/green deployment under write load, from end to end, and the proof of it.

Blue runs PostgreSQL 16, MySQL 8.0 or Neptune 1.2 with writers on it; the playbook, started as a user starts it, builds
green, upgrades it to 18, 8.4 or 1.4, keeps it in sync, verifies it, switches over, rolls back and cleans up. The writers never pause. An
auditor that shares no code with the collection looks for every acknowledged write after each move.

With ``--sabotage`` one rule of the product is broken on purpose, and the demo ends after the switchover: with status 1
when the auditor found the loss, with 0 when it did not (the auditor is worth nothing then), with 2 when there was no
switchover to audit.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from tests.lab import demo_leftovers as leftovers
from tests.lab import demo_managed
from tests.lab.auditor import UNREADABLE, Audit, Key, audit
from tests.lab.demo_engines import ENGINES, DemoEngine
from tests.lab.demo_sabotage import NAMES, SABOTAGES, Sabotage, broken_copy
from tests.lab.demo_stage import Clock, Stage, set_stage
from tests.lab.engine import EngineError
from tests.lab.gate import GateError
from tests.lab.load import Load, LoadError
from tests.lab.load_ledger import COMMITTED
from tests.lab.tools import MYSQL, NEPTUNE
from tests.playbook import Finished, Playbook
from tests.scene import fingerprint

WRITERS = 4
MOST_WRITERS = 8  # with those that go round the gate
LEAST_ACKNOWLEDGED = 20_500  # a little more than is asked for
_MOST_EXTRA_SECONDS = 90.0
_WINDOW = re.compile(r"\bwindow ([\d.]+) ms")
_TIMELINE = re.compile(r'^\s*"(\d{4}-\d\d-\d\dT.*?)",?$', re.MULTILINE)


class DemoFailed(Exception):
    """The demo cannot go on; the text says why."""


@dataclass
class Demo:
    """A running demo and what it has found so far."""

    clock: Clock
    stage: Stage
    load: Load
    playbook: Playbook
    engine: DemoEngine
    audits: list[Audit] = field(default_factory=list)
    windows: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    acknowledged: int = 0
    longest_gap: float = 0.0  # seconds

    def phase(self, phase: str, must_succeed: bool = True, **variables: Any) -> Finished:
        """Run the playbook as its user does, and say what the writers saw meanwhile. Raises DemoFailed."""
        self.load.phase(phase)
        extra = "".join(f" -e {name}={value}" for name, value in variables.items())
        self.clock.say(f"$ ansible-playbook {self.playbook.name} -e @shop.yml -e bluegreen_phases={phase}{extra}")
        finished = self.playbook.run(phase, **variables)
        for line in _TIMELINE.findall(finished.output):
            self.clock.say(f"    {line}")
        if found := _WINDOW.findall(finished.output):
            self.windows.append(float(found[-1]))
            self.clock.say(f"    window {self.windows[-1]:.1f} ms")
        self.tell(phase)
        if finished.code != 0 and must_succeed:
            raise DemoFailed(f"the phase {phase} failed:\n{finished.output}")
        return finished

    def tell(self, phase: str) -> None:
        """Say what the writers were told in the phase that runs now."""
        count = self.load.counts()[-1]
        self.clock.say(
            f"  {phase}: {count.seconds:.1f} s, acknowledged {count.committed}, refused {count.refused}, unknown "
            f"{count.unknown}, longest gap of a writer {count.longest_gap * 1000:.0f} ms"
        )

    def serve(self, serving: str, fenced: str) -> bool:
        """Audit the side that serves now, while the writers go on; return whether all was well."""
        self.load.phase(f"{serving} serves")
        began = time.time()
        found = self._audited(serving, fenced)
        servers = self.servers_soon(began)
        if servers != {self.stage.address(serving)}:
            self.problems.append(f"{serving} should serve every writer through the gate, but {servers} did")
            return False
        return found.clean and self._looked(serving)

    def _looked(self, serving: str) -> bool:
        """Look at what the engine has beside the side that serves; return whether all was well."""
        acknowledged = {(entry.writer, entry.n) for entry in self.load.entries() if entry.outcome == COMMITTED}
        wrong = self.engine.look(self.stage, serving, acknowledged)
        self.problems += wrong
        if self.stage.blue.secondaries:
            regions = ", ".join(self.stage.blue.secondaries)
            self.clock.say(
                f"  {serving} in {regions}: {len(acknowledged)} acknowledged writes looked for: {wrong or 'all there'}"
            )
        return not wrong

    def servers_since(self, moment: float) -> set[str | None]:
        """Return the servers that acknowledged something to the writers through the gate since ``moment``."""
        entries = [entry for entry in self.load.entries() if entry.outcome == COMMITTED and entry.started >= moment]
        return {entry.server for entry in entries if entry.writer in self.load.gate_writers}

    def servers_soon(self, moment: float, seconds: float = 10.0) -> set[str | None]:
        """The same, waiting for the first of them."""
        deadline = time.monotonic() + seconds
        while not (servers := self.servers_since(moment)) and time.monotonic() < deadline:
            time.sleep(0.2)
        return servers

    def _audited(self, serving: str, fenced: str | None) -> Audit:
        found = audit(self.load.entries, self.stage.side(serving), None if fenced is None else self.stage.side(fenced))
        self.audits.append(found)
        self.clock.say(f"  audit of {serving}: {found.line()}")
        self.problems += [f"{serving}: {finding}" for finding in found.findings()]
        return found

    def finish_load(self) -> None:
        """Let the writers go on until enough was acknowledged, end them, and audit blue for the last time."""
        deadline = time.monotonic() + _MOST_EXTRA_SECONDS
        while (found := self.load.acknowledged()) < LEAST_ACKNOWLEDGED and time.monotonic() < deadline:
            time.sleep(min(5.0, max(0.5, (LEAST_ACKNOWLEDGED - found) / self.engine.rate)))
        if dead := self.load.dead_writers():
            self.problems.append(f"writers {dead} ended by themselves: the run proves nothing")
        self.load.stop()
        self.tell("all writers stopped")
        self._audited("blue", None)
        self.acknowledged = self.load.acknowledged()
        self.longest_gap = self.load.longest_gap()

    def lost(self) -> set[Key]:
        """Return every acknowledged write that an audit missed."""
        return {key for found in self.audits for key in found.lost}

    def duplicated(self) -> set[Key]:
        """Return every write that an audit found more than once."""
        return {key for found in self.audits for key in found.duplicated}


def deployment(demo: Demo) -> tuple[bool, int]:
    """Tell the whole story; return whether the rollback was good, and how much was left over on blue and in AWS."""
    stage, load = demo.stage, demo.load
    before = fingerprint(stage.lab, stage.blue)
    demo.phase("readiness")
    demo.phase("create")
    stage.green_is_built()
    # Somebody who knows green's endpoint tries to write there, from now until it is taken away.
    intruder = load.add_direct(stage.direct_target("green")) if demo.engine.closes else None
    demo.phase("verify")
    demo.phase("switchover")
    demo.serve("green", fenced="blue")
    demo.phase("rollback")
    rolled_back = demo.serve("blue", fenced="green")
    if intruder is not None:
        load.end_writer(intruder)
    demo.phase("cleanup", **{f"{stage.kit.role}_delete_green": True})
    demo.finish_load()
    left = leftovers.differences(before, fingerprint(stage.lab, stage.blue))
    demo.problems += [f"left over: {one}" for one in left]
    return rolled_back, len(left)


def sabotaged(demo: Demo, engine: str, name: str, sabotage: Sabotage) -> int:
    """Switch over with a broken product and audit; return the exit status of the demo."""
    stage = demo.stage
    demo.phase("create")
    stage.green_is_built()
    if demo.phase("verify", must_succeed=False).code != 0:
        demo.clock.say("  the phase verify found it too, and is not listened to")
    if sabotage.link_delay:
        stage.lab.faults.link(stage.blue.host, "delay", "replication", sabotage.link_delay)
    variables = {f"{stage.kit.role}_{option}": value for option, value in sabotage.variables.items()}
    moved = demo.phase("switchover", must_succeed=False, **variables)
    servers = demo.servers_soon(time.time() - 0.5)
    if servers != {stage.address("green")}:
        raise DemoFailed(f"green should serve after a sabotaged switchover, but {servers} did:\n{moved.output}")
    demo.serve("green", fenced="blue")
    demo.load.stop()
    prefix = f"demo {engine}: SABOTAGE={name} ({sabotage.rule}):"
    if lost := demo.lost():
        print(f"{prefix} the auditor found {len(lost)} acknowledged writes lost", flush=True)
        return 1
    print(f"{prefix} the auditor found no loss", flush=True)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.demo", description=__doc__)
    parser.add_argument("--engine", choices=[*ENGINES, demo_managed.NAME], default=next(iter(ENGINES)))
    parser.add_argument("--sabotage", choices=sorted(NAMES), help="break one rule of the product on purpose")
    parser.add_argument("--own-gate", action="store_true", help="the lab's own gate even where there is a PgBouncer")
    parser.add_argument("--gtid", choices=("on", "off"), default="on", help="whether a MySQL blue has GTIDs")
    parser.add_argument(
        "--graph", choices=("propertygraph", "rdf"), help="what a Neptune blue holds, propertygraph by default"
    )
    options = parser.parse_args(arguments)
    if options.engine == demo_managed.NAME:
        if options.sabotage or options.gtid == "off" or options.graph:
            parser.error(
                "the service itself moves the traffic of rds_managed, there is no rule or choice of ours to set"
            )
        return demo_managed.run()
    engine, gtid = ENGINES[options.engine], options.gtid == "on"
    if not gtid and engine.engine != MYSQL:
        parser.error(f"{options.engine} has no GTIDs")
    if options.graph and engine.engine != NEPTUNE:
        parser.error(f"{options.engine} holds no graph")
    clock = Clock()
    sabotage = SABOTAGES[engine.engine][options.sabotage] if options.sabotage else None
    try:
        with ExitStack() as stack:
            stage = set_stage(
                stack,
                clock,
                MOST_WRITERS,
                options.own_gate,
                engine.regions,
                engine.engine,
                gtid,
                options.graph or "propertygraph",
            )
            state = stage.lab.state
            demo = start(stack, clock, stage, engine, sabotage)
            if sabotage is not None:
                return sabotaged(demo, options.engine, options.sabotage, sabotage)
            rolled_back, left = deployment(demo)
        last = leftovers.once_quiet(state)
    except (DemoFailed, EngineError, GateError, LoadError, *UNREADABLE) as failure:
        print(f"demo {options.engine}: {failure}", file=sys.stderr, flush=True)
        return 2
    demo.problems += [f"left over: {one}" for one in last]
    for problem in demo.problems:
        print(f"PROBLEM {problem}", flush=True)
    print(
        f"demo {options.engine}: acknowledged={demo.acknowledged} lost={len(demo.lost())} "
        f"duplicated={len(demo.duplicated())} window_ms={max(demo.windows, default=0):.0f} "
        f"longest_gap_ms={demo.longest_gap * 1000:.0f} rollback={'ok' if rolled_back else 'failed'} "
        f"leftovers={left + len(last)}",
        flush=True,
    )
    return 1 if demo.problems else 0


def start(stack: ExitStack, clock: Clock, stage: Stage, engine: DemoEngine, sabotage: Sabotage | None) -> Demo:
    """Start the writers and prepare the playbook, with a broken copy of the collection for a sabotage."""
    environment = dict(stage.lab.env)
    if sabotage is not None:
        environment["ANSIBLE_COLLECTIONS_PATH"] = str(broken_copy(sabotage, stage.directory))
        clock.say(f"SABOTAGE: {sabotage.rule}")
    load = stack.enter_context(
        Load.start(stage.directory / "ledger", stage.gate_target(), writers=WRITERS, rate=engine.rate)
    )
    plan = sabotage or Sabotage
    direct = (
        plan.direct_writers if engine.closes or sabotage else 0
    )  # where only the gate stops writes, none goes round it
    for _unused in range(direct):
        load.add_direct(stage.direct_target("blue"), hold=plan.direct_hold)
    clock.say(f"writers: {WRITERS} through the gate, {engine.rate:.0f}/s; round it, with open transactions: {direct}")
    return Demo(clock, stage, load, stage.playbook(environment, **engine.variables), engine)


if __name__ == "__main__":
    raise SystemExit(main())
