# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module that dies by SIGKILL right after a call that changed something, the worst moment for whoever runs it again."""

from __future__ import annotations

import os
import signal
from typing import Any

from botocore.client import BaseClient

from tests.integration.runner import Runner
from tests.lab.lab import Lab

MOST_RUNS = 20


def die_after_a_change() -> None:
    """Have this process die right after the next call of AWS that changes something."""
    client: Any = BaseClient  # without hints
    call = client._make_api_call

    def mortal(self: Any, operation: str, parameters: Any) -> Any:
        answer = call(self, operation, parameters)
        if not operation.startswith(("Describe", "List", "Get")):
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    client._make_api_call = mortal


def run_until_it_lives(lab: Lab, runner: Runner, name: str, **options: Any) -> int:
    """Run a module that dies after its first change, until a run has nothing left to change; return how many died."""
    for deaths in range(MOST_RUNS):
        ended = runner.start(
            name, options, {**os.environ, **lab.env}, before=f"{__name__}:{die_after_a_change.__name__}"
        ).wait()
        if ended.code != -signal.SIGKILL:
            assert ended.code == 0, ended.output + ended.errors
            if not ended.result(name)["changed"]:
                return deaths  # one that lived with a change asked for what was going on already, and was refused
    raise AssertionError(f"{name} changed something in each of {MOST_RUNS} runs")
