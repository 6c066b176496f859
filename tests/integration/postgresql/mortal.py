# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module that dies by SIGKILL right after a call that changed something, the worst moment for whoever runs it again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

from tests.integration.conftest import ROOT, RUNNER
from tests.lab.lab import Lab

_MORTAL = """\
import os, signal
from botocore.client import BaseClient
call = BaseClient._make_api_call
def mortal(self, operation, parameters):
    answer = call(self, operation, parameters)
    if not operation.startswith(("Describe", "List", "Get")):
        os.kill(os.getpid(), signal.SIGKILL)
    return answer
BaseClient._make_api_call = mortal
"""
MOST_RUNS = 20


def run_until_it_lives(lab: Lab, name: str, **options: Any) -> int:
    """Run a module that dies after its first change, until a run has nothing left to change; return how many died."""
    for deaths in range(MOST_RUNS):
        done = subprocess.run(
            [sys.executable, "-c", _MORTAL + RUNNER],
            input=json.dumps([name, options]),
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            env={**os.environ, **lab.env},
        )
        if done.returncode != -signal.SIGKILL:
            assert done.returncode == 0, done.stdout + done.stderr
            assert json.loads(done.stdout)["changed"] is False
            return deaths
    raise AssertionError(f"{name} changed something in each of {MOST_RUNS} runs")
