# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One playbook run that can be watched task by task and killed with everything it started."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import Any

from tests import forks
from tests.crash import process
from tests.playbook import Finished, Playbook

_TASK = re.compile(r"^TASK \[(?:\S+ : )?(?P<name>.*)\] \*+$")
_POLL = 0.002


@dataclass(frozen=True)
class Started:
    """A task's name and when it began, in seconds since the run's start."""

    task: str
    at: float


class Run:
    """A running playbook; every process of it carries a mark in its environment."""

    def __init__(self, playbook: Playbook, *phases: str, **variables: Any) -> None:
        self._environment = process.mark()
        environment = {**playbook.environment, **self._environment, forks.VARIABLE: ""}  # forks would lack the mark
        marked = Playbook(playbook.directory, environment, playbook.variables, playbook.name)
        self.tasks: list[Started] = []
        self._lines: list[str] = []
        self._began = time.monotonic()
        self._process: subprocess.Popen[str] = marked.start(*phases, **variables)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def ended(self) -> bool:
        """Whether the playbook has ended by itself."""
        return self._process.poll() is not None

    @property
    def task(self) -> str:
        """The task that runs now, or ran last."""
        return self.tasks[-1].task if self.tasks else "before the first task"

    def wait_for_task(self, number: int) -> bool:
        """Wait until the task with this number (from 0) has begun; False when the run ended before."""
        while len(self.tasks) <= number:
            if self.ended:
                return False
            time.sleep(_POLL)
        return True

    def processes(self) -> list[int]:
        """The run's living processes, for a kill that comes a moment later."""
        return process.marked(self._environment)

    def kill(self, known: list[int]) -> int:
        """SIGKILL everything that belongs to the run, ``known`` first; returns how many processes that were."""
        count = process.kill_all(self._environment, known)
        self._process.wait()
        self._reader.join(timeout=10)
        return count

    def finish(self) -> Finished:
        """Wait for the run's end."""
        code = self._process.wait()
        self._reader.join(timeout=10)
        return Finished(code, "".join(self._lines))

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for line in output:
                self._lines.append(line)
                found = _TASK.match(line)
                if found:
                    self.tasks.append(Started(found["name"], time.monotonic() - self._began))
