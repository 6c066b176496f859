# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab for the behaviour tests, fresh clusters in it, and the collection's modules run against it."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from tests import forks
from tests.integration.runner import Runner
from tests.lab.lab import Blue, Lab


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


@pytest.fixture(scope="session", autouse=True)
def _forks() -> Iterator[None]:
    """The modules of playbook runs are forks of a Python that has imported what they need from others."""
    with forks.serving() as variables, pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


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
def runner() -> Iterator[Runner]:
    """What runs modules of the collection in processes of their own."""
    started = Runner()
    yield started
    started.close()


@pytest.fixture(scope="session")
def run_module(lab: Lab, runner: Runner) -> RunModule:
    """Return what runs a module of the collection on the lab: `run_module("bg_info", deployment_id="x", check=True)`.

    It returns the module's result and raises `ModuleFailed` when the module fails.
    """

    def run(name: str, /, *, check: bool = False, diff: bool = False, **options: Any) -> dict[str, Any]:
        arguments = {**options, "_ansible_check_mode": check, "_ansible_diff": diff}
        ended = runner.start(name, arguments, {**os.environ, **lab.env}).wait()
        result = ended.result(name)
        if ended.code or result.get("failed"):
            raise ModuleFailed(result)
        return result

    return run
