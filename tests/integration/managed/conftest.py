# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab with host names, in which RDS manages blue/green deployments, and the collection's modules run on it.

The lab is one for the directory: a test file has blues of its own in it, and takes back the faults that it turns.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.endpoint import Endpoint
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql import connection as mysql
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql import connection as postgresql
from tests.integration.conftest import ModuleFailed, RunModule
from tests.integration.runner import Runner
from tests.lab.lab import Blue, Lab


@pytest.fixture(scope="session")
def names_lab() -> Iterator[Lab]:
    """The lab."""
    with Lab.start(names=True) as started:
        yield started


@pytest.fixture(scope="session")
def names_runner(names_lab: Lab) -> Iterator[Runner]:
    """What runs modules in processes that the lab's names resolve in."""
    started = Runner(names_lab.env)
    yield started
    started.close()


@pytest.fixture(scope="session")
def run_module(names_lab: Lab, names_runner: Runner) -> RunModule:
    """Return what runs a module on the lab, as `run_module` of the other directories does."""

    def run(name: str, /, *, check: bool = False, diff: bool = False, **options: Any) -> dict[str, Any]:
        arguments = {**options, "_ansible_check_mode": check, "_ansible_diff": diff}
        ended = names_runner.start(name, arguments, {**os.environ, **names_lab.env}).wait()
        result = ended.result(name)
        if ended.code or result.get("failed"):
            raise ModuleFailed(result)
        return result

    return run


def sql(lab: Lab, blue: Blue, *statements: str, host: str | None = None) -> list[tuple[Any, ...]]:
    """Run statements as the master user of a blue, on it or at another name; returns the last one's rows."""
    driver: Any = mysql if "mysql" in blue.engine else postgresql
    name = host or blue.host
    there = Endpoint("blue", name, blue.port, blue.user, blue.password, blue.database, ca_cert=lab.ca_file)
    found: list[tuple[Any, ...]] = []
    with driver.connected(replace(there, address=lab.address(name))) as conn:
        for statement in statements:
            found = driver.rows(conn, statement)
    return found


def login(lab: Lab, blue: Blue, **more: Any) -> dict[str, Any]:
    """A side as a module's option, logged in to as the master user."""
    return {
        "host": blue.host,
        "port": blue.port,
        "secret_arn": blue.secret_arn,
        "ca_cert": lab.ca_file,
        **more,
    }
