# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manual runbook, for comparison: the same lab, the same load, one Ansible task for each step.

Its window begins when the side that serves is read-only and ends when the gate leads to the other one, seen from outside.
Replication back is set up between two runs, outside the window: the runbook has none.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ansible_collections.bluegreen.aws.plugins.module_utils._core.endpoint import Endpoint
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql import locks, replication_user
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.connection import connected, value
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.coordinates import channel
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.dialect import Dialect
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.service import service_of
from tests.lab.demo_stage import Stage
from tests.lab.gate_haproxy import BACKEND, HAProxy
from tests.scene import parameters

PLAYBOOK = Path(__file__).with_name("runbook.yml")
_POLL = 0.005
_SYNC = 60.0


class RunbookFailed(Exception):
    """The runbook did not do its work; the text says why."""


@dataclass(frozen=True)
class Window:
    """One run: the milliseconds of its window, and when it began and ended."""

    ms: float
    began: float
    ended: float


class Runbook:
    """Moves the traffic of a stage by hand, again and again."""

    def __init__(self, stage: Stage) -> None:
        if not isinstance(stage.gate, HAProxy):
            raise RunbookFailed("the runbook moves the clients at an HAProxy")
        self._stage, self._gate = stage, stage.gate
        self._names = Names.of(stage.kit.deployment)
        self._sides = {name: self._endpoint(name) for name in ("blue", "green")}

    def prepare(self, serving: str) -> None:
        """As the guide has it: no locks, and the side that does not serve read-only."""
        with connected(self._sides["green" if serving == "blue" else "blue"]) as conn:
            service_of(conn, Dialect.of(conn)).set_read_only(True)
            locks.unlock(conn, self._names.deployment_id)

    def follow(self, source: str, target: str) -> None:
        """Let ``target`` follow ``source`` and wait until it has caught up. Raises RunbookFailed."""
        user = replication_user.login(self._names.replication_user, None, None, "require")
        with connected(self._sides[source]) as there, connected(self._sides[target]) as here:
            dialect = Dialect.of(here)
            if channel(here, dialect) is None:
                password = replication_user.renew(there, self._names.deployment_id, user)
                service = service_of(here, dialect)
                service.set_source(self._sides[source], user.user, password, None, encrypted=True)
                service.start()
            for _time in range(2):
                executed = value(there, "SELECT @@GLOBAL.gtid_executed")
                if value(here, "SELECT WAIT_FOR_EXECUTED_GTID_SET(%s, %s)", (executed, _SYNC)) != 0:
                    raise RunbookFailed(f"{target} does not follow {source}")

    def move(self, source: str, target: str) -> Window:
        """Run the playbook. Raises RunbookFailed."""
        began = time.time()
        watch = threading.Thread(target=self._watch, args=(source, target, times := dict[str, float]()), daemon=True)
        watch.start()
        done = subprocess.run(
            [sys.executable, "-m", "ansible", "playbook", str(PLAYBOOK), "-e", f"@{self._variables(source, target)}"],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **self._stage.lab.env},
        )
        watch.join(5)
        if done.returncode != 0 or "end" not in times:
            raise RunbookFailed(f"the runbook failed:\n{done.stdout}\n{done.stderr}")
        return Window((times["end"] - times["begin"]) * 1000, began, time.time())

    def _watch(self, source: str, target: str, times: dict[str, float]) -> None:
        """Look from outside: when the source is read-only, and when the gate leads to the target alone."""
        with connected(self._sides[source]) as conn:
            while not value(conn, "SELECT @@GLOBAL.read_only"):
                time.sleep(_POLL)
            times["begin"] = time.monotonic()
        while not self._leads_to(target, source):
            time.sleep(_POLL)
        times["end"] = time.monotonic()

    def _leads_to(self, target: str, source: str) -> bool:
        lines = [line.split(",") for line in self._gate.ask("show stat").splitlines()]
        status = {line[1]: line[17] for line in lines if len(line) > 17 and line[0] == BACKEND}
        return "MAINT" not in status[target] and "MAINT" in status[source]

    def _variables(self, source: str, target: str) -> Path:
        def side(name: str) -> dict[str, Any]:
            return {"name": name, "host": self._sides[name].host, "port": self._sides[name].port}

        content = {
            "source": side(source),
            "target": side(target),
            "user": self._stage.blue.user,
            "password": self._stage.blue.password,
            "ca_cert": self._stage.lab.ca_file,
            "backend": BACKEND,
            "socket": self._gate.socket,
        }
        path = self._stage.directory / "runbook.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(content), encoding="utf-8")
        return path

    def _endpoint(self, name: str) -> Endpoint:
        found = parameters(self._stage.lab, self._stage.blue, self._stage.cluster(name))
        blue = self._stage.blue
        return Endpoint(name, found["host"], found["port"], blue.user, blue.password, ca_cert=self._stage.lab.ca_file)
