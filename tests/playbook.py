# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A playbook as a user starts it: `ansible-playbook bluegreen.aws.aurora_postgresql -e @shop.yml` in a process."""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conftest import collections_root

NAME = "bluegreen.aws.aurora_postgresql"
COMPILED = Path(__file__).with_name("compiled")
_PR_SET_PDEATHSIG = 1
_RECAP = re.compile(r"^localhost +: ok=\d+ +changed=(\d+) +unreachable=0 +failed=(\d+)", re.MULTILINE)
_FATAL = re.compile(r"^fatal: \[localhost\]: FAILED! => (?P<result>\{.*?^\}|\{.*?\}$)", re.MULTILINE | re.DOTALL)
_TASK = re.compile(r"^TASK \[(?P<name>.*)\] \*+$", re.MULTILINE)
_CHANGED = re.compile(r"^changed: \[localhost\]", re.MULTILINE)


@dataclass(frozen=True)
class Finished:
    """What a finished run of the playbook left behind."""

    code: int
    output: str

    @property
    def changed(self) -> int:
        """The count of changed tasks in the recap; raises ValueError when there is no recap."""
        return int(self._recap().group(1))

    @property
    def changed_tasks(self) -> list[str]:
        """The names of the tasks that changed something, for the message of a failing assertion."""
        pieces = _TASK.split(self.output)
        return [name for name, text in zip(pieces[1::2], pieces[2::2], strict=True) if _CHANGED.search(text)]

    @property
    def failure(self) -> dict[str, Any]:
        """The result of the task that failed; raises ValueError when none did."""
        found = _FATAL.findall(self.output)
        if not found:
            raise ValueError(f"no task failed in:\n{self.output}")
        result: dict[str, Any] = json.loads(found[-1])
        return result

    def _recap(self) -> re.Match[str]:
        found = _RECAP.search(self.output)
        if found is None:
            raise ValueError(f"no recap in:\n{self.output}")
        return found


class Playbook:
    """Starts the playbook with one set of variables, from a directory of its own."""

    def __init__(
        self, directory: Path, environment: Mapping[str, str], variables: Mapping[str, Any], name: str = NAME
    ) -> None:
        """``environment`` is what points at the lab; ``variables`` are written to ``directory/shop.yml``."""
        self.name = name
        self.directory = directory
        self.environment = environment
        self.variables = dict(variables)

    def command(self, *phases: str, options: tuple[str, ...] = (), **variables: Any) -> list[str]:
        """The command line; ``variables`` are merged over the playbook's own and travel in a file, as secrets must."""
        extra = self.directory / "shop.yml"
        extra.write_text(json.dumps({**self.variables, **variables}), encoding="utf-8")  # JSON is YAML
        asked = ["-e", f"bluegreen_phases={','.join(phases)}"] if phases else []
        program = str(Path(sys.executable).with_name("ansible-playbook"))
        return [program, self.name, "-e", f"@{extra.name}", *asked, *options]

    def start(self, *phases: str, options: tuple[str, ...] = (), **variables: Any) -> subprocess.Popen[str]:
        """The playbook as a process that leads a session of its own; its output comes through a pipe."""
        return subprocess.Popen(
            self.command(*phases, options=options, **variables),
            cwd=self.directory,
            env=environment(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=_end_with_the_parent,
        )

    def run(self, *phases: str, options: tuple[str, ...] = (), **variables: Any) -> Finished:
        """Run the playbook to its end, whatever the end is."""
        process = self.start(*phases, options=options, **variables)
        output = process.communicate()[0]
        return Finished(process.returncode, output)

    def succeed(self, *phases: str, options: tuple[str, ...] = (), **variables: Any) -> Finished:
        """Run the playbook and insist on success."""
        finished = self.run(*phases, options=options, **variables)
        assert finished.code == 0, finished.output
        return finished


def _end_with_the_parent() -> None:
    """Have the kernel ask the playbook to end when the program that started it is gone; called between fork and exec."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def environment(lab: Mapping[str, str]) -> dict[str, str]:
    """The environment of a playbook run: this one's without AWS settings, and the lab's."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ANSIBLE_"))}
    return {
        **inherited,
        "PYTHONPATH": os.pathsep.join([str(COMPILED), *filter(None, [inherited.get("PYTHONPATH")])]),
        "ANSIBLE_COLLECTIONS_PATH": str(collections_root()),
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
        "ANSIBLE_NOCOLOR": "true",
        **lab,
    }
