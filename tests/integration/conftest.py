# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab for the behaviour tests, fresh clusters in it, and the collection's modules run against it."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.lab.lab import Blue, Lab

ROOT = Path(__file__).resolve().parents[2]
# A module is run as Ansible runs it, but without the controller: half a second in place of three.
RUNNER = """\
import importlib, json, sys
import conftest  # the search paths of this repository
from ansible.module_utils.testing import patch_module_args
name, arguments = json.load(sys.stdin)
with patch_module_args(arguments):
    importlib.import_module(f"ansible_collections.bluegreen.aws.plugins.modules.{name}").main()
"""


class ModuleFailed(Exception):
    """A module ended with fail_json; `result` is what it returned."""

    def __init__(self, result: dict[str, Any]) -> None:
        super().__init__(result.get("msg"))
        self.result = result

    @property
    def msg(self) -> str:
        """The module's message."""
        return str(self.result["msg"])


RunModule = Callable[..., dict[str, Any]]
NewBlue = Callable[..., Blue]
_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """One lab for the whole run; tests use clusters of their own in it and take back the faults they set."""
    with Lab.start() as started:
        yield started


@pytest.fixture
def blue(lab: Lab) -> Iterator[NewBlue]:
    """Return what makes a fresh blue: `blue(readers=0, database="shop", version="16.14", regions=())`.

    The cluster has a name of its own. Every cluster that a test made, clones included, is gone when the next begins.
    """
    before = lab.clusters()

    def new(readers: int = 0, database: str = "shop", version: str = "16.14", regions: Sequence[str] = ()) -> Blue:
        name = f"blue{next(_NUMBERS)}"
        return lab.seed_postgresql(name, database=database, version=version, readers=readers, regions=regions)

    yield new
    lab.faults.clear()
    lab.clear(before)


@pytest.fixture(scope="session")
def run_module(lab: Lab) -> RunModule:
    """Return what runs a module of the collection on the lab: `run_module("bg_info", deployment_id="x", check=True)`.

    It returns the module's result and raises `ModuleFailed` when the module fails.
    """

    def run(name: str, /, *, check: bool = False, diff: bool = False, **options: Any) -> dict[str, Any]:
        arguments = {**options, "_ansible_check_mode": check, "_ansible_diff": diff}
        done = subprocess.run(
            [sys.executable, "-c", RUNNER],
            input=json.dumps([name, arguments]),
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            env={**os.environ, **lab.env},
        )
        try:
            result: dict[str, Any] = json.loads(done.stdout)
        except ValueError:
            raise AssertionError(f"{name} gave no result:\n{done.stdout}\n{done.stderr}") from None
        if done.returncode or result.get("failed"):
            raise ModuleFailed(result)
        return result

    return run
