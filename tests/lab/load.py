# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write load: writer processes that never pause, and the ledger of everything they were told.

``Load.start`` starts the writers; they end with ``stop``, or by themselves when the process that started them is gone.
Most writers come through the gate, as an application does. A direct writer goes round it to one side's endpoint and
holds transactions open: the client that the fence, and nothing else, has to stop.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Self

from tests.lab.load_engine import Target
from tests.lab.load_ledger import (
    COMMITTED,
    Entry,
    Ledger,
    Phase,
    PhaseCount,
    Run,
    as_final,
    count_phases,
    longest_gap,
)
from tests.lab.load_writer import Order

__all__ = ["ROOT", "Load", "LoadError", "Target"]
ROOT = Path(__file__).resolve().parents[2]
_START_SECONDS = 30.0
_STOP_SECONDS = 30.0


class LoadError(Exception):
    """The writers cannot write; the text says which."""


class Load:
    """Running writers, their ledger in ``directory``, and the phases of the run."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._ledger = Ledger(directory)
        self.phases: list[Phase] = []
        self.gate_writers: frozenset[int] = frozenset()
        self._processes: dict[int, subprocess.Popen[str]] = {}
        self._retired: set[int] = set()
        self._stopped_at: float | None = None

    @classmethod
    def start(
        cls,
        directory: Path,
        target: Target,
        writers: int = 4,
        rate: float = 200.0,
        direct: Sequence[Target] = (),
        direct_rate: float = 4.0,
        direct_hold: float = 0.15,
        reconnect_every: int = 150,
        multi_share: float = 0.4,
        seed: int = 1,
    ) -> Load:
        """Start ``writers`` processes through ``target`` (``rate``: all of them, per second) and one per direct target.

        The numbers of the writers are 1, 2, .. in this order; ``writer_numbers`` gives them beforehand. Returns when
        every writer through the gate had its first acknowledgement; raises LoadError when one has none for too long.
        """
        directory.mkdir(parents=True, exist_ok=True)
        load = cls(directory)
        load.gate_writers = frozenset(load.writer_numbers(writers, 0))
        try:
            for number in sorted(load.gate_writers):
                load._spawn(
                    Order(
                        writer=number,
                        directory=str(directory),
                        rate=rate / writers,
                        seed=seed * 1000 + number,
                        reconnect_every=reconnect_every,
                        multi_share=multi_share,
                        target=target,
                    )
                )
            for one in direct:
                load.add_direct(one, direct_rate, direct_hold, seed)
            load._wait_until_all_write()
        except BaseException:
            load.stop()
            raise
        load.phase("warm-up")
        return load

    def add_direct(self, target: Target, rate: float = 4.0, hold: float = 0.15, seed: int = 1) -> int:
        """Start one more writer, round the gate: every transaction is open for ``hold`` seconds. Return its number."""
        number = len(self._processes) + 1
        self._spawn(
            Order(
                writer=number,
                directory=str(self.directory),
                rate=rate,
                seed=seed * 1000 + number,
                reconnect_every=50,
                multi_share=1.0,
                hold=hold,
                target=target,
            )
        )
        return number

    def end_writer(self, number: int) -> None:
        """Let one writer finish its transaction and end, for good."""
        self._retired.add(number)
        self._end([self._processes[number]])

    @staticmethod
    def writer_numbers(writers: int, direct: int) -> list[int]:
        """Return the numbers that ``start`` gives to its writers, those through the gate first."""
        return list(range(1, writers + direct + 1))

    def _wait_until_all_write(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while silent := self.gate_writers - {e.writer for e in self.entries() if e.outcome == COMMITTED}:
            if dead := silent & set(self.dead_writers()):
                raise LoadError(f"Writers {sorted(dead)} ended at once.")
            if time.monotonic() > deadline:
                raise LoadError(f"Writers {sorted(silent)} were not acknowledged anything in {_START_SECONDS:.0f} s.")
            time.sleep(0.05)

    def _spawn(self, order: Order) -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.lab.load_writer"], cwd=ROOT, stdin=subprocess.PIPE, text=True
        )
        self._processes[order.writer] = process
        self._tell(process, asdict(order))

    @staticmethod
    def _tell(process: subprocess.Popen[str], order: dict[str, object]) -> None:
        assert process.stdin is not None
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()

    def phase(self, name: str) -> None:
        """Begin a phase: what is acknowledged from now on counts for it."""
        self.phases.append(Phase(name, time.time()))

    def dead_writers(self) -> list[int]:
        """Return the writers that ended although nobody told them to: the run proves nothing then."""
        running = {number: process for number, process in self._processes.items() if number not in self._retired}
        return [number for number, process in running.items() if process.poll() is not None]

    def process_ids(self) -> dict[int, int]:
        """Return the process id of every writer by its number."""
        return {number: process.pid for number, process in self._processes.items()}

    def stop(self) -> None:
        """Let every writer finish its transaction and end; one that does not is killed (its last intent is unknown)."""
        if self._stopped_at is not None:
            return
        self._stopped_at = time.time()
        self._end([process for number, process in self._processes.items() if number not in self._retired])

    def _end(self, processes: Sequence[subprocess.Popen[str]]) -> None:
        for process in processes:
            try:
                self._tell(process, {"stop": True})
            except (BrokenPipeError, OSError):
                pass  # it has ended already
        deadline = time.monotonic() + _STOP_SECONDS
        for process in processes:
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdin is not None:
                try:
                    process.stdin.close()
                except OSError:
                    pass  # the pipe's reader was killed with bytes left in it

    def entries(self) -> list[Entry]:
        """Return one entry per transaction so far; once stopped, an unanswered intent is unknown."""
        settled = self._ledger.settled()
        return list((settled if self._stopped_at is None else as_final(settled)).values())

    def acknowledged(self) -> int:
        """Return how many transactions were acknowledged so far."""
        return sum(entry.outcome == COMMITTED for entry in self.entries())

    def counts(self) -> list[PhaseCount]:
        """Return one count per phase so far."""
        run = self._run()  # before the ledger is read: the time that takes is no gap
        return count_phases(self.entries(), self.phases, run)

    def longest_gap(self, start: float = 0.0, end: float = float("inf")) -> float:
        """Return the longest time (s) that a writer through the gate was without an acknowledgement in [start, end]."""
        run = self._run()
        return longest_gap(self.entries(), run, start, end)

    def _run(self) -> Run:
        return Run(self.gate_writers, self.phases[0].at, self._stopped_at or time.time())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()
