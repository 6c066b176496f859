# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of the demo that decide: what is left over, what is broken on purpose, what is printed."""

from __future__ import annotations

import importlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.bench.switchover import Result, spread, summary
from tests.lab import demo_leftovers as leftovers
from tests.lab.demo_sabotage import SABOTAGES, broken_copy
from tests.lab.load import ROOT

UTILS = "ansible_collections.bluegreen.aws.plugins.module_utils"
BROKEN = [(engine, name) for engine, found in SABOTAGES.items() for name in sorted(found)]


def test_what_is_new_and_what_is_missing_is_left_over() -> None:
    before: dict[str, Any] = {"sql": {"slots": [], "roles": ["app"]}, "aws": {"clusters": {"shop": "16.14"}}}
    after: dict[str, Any] = {"sql": {"slots": ["bg_f"], "roles": []}, "aws": {"clusters": {"shop": "16.14"}}}
    assert leftovers.differences(before, before) == []
    assert leftovers.differences(before, after) == ["sql slots bg_f", "missing: sql roles app"]


def test_a_changed_value_is_left_over() -> None:
    assert leftovers.differences({"clusters": {"shop": "16.14"}}, {"clusters": {"shop": "18.4"}}) == [
        "clusters shop 18.4",
        "missing: clusters shop 16.14",
    ]


@pytest.mark.parametrize("how", ["environment", "command line", "directory"])
def test_a_living_process_of_the_lab_is_found_by(how: str, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-c",
        "import time; time.sleep(60)",
        *([str(tmp_path / "x")] if how == "command line" else []),
    ]
    environment = os.environ | ({"BLUEGREEN_LAB_STATE": str(tmp_path)} if how == "environment" else {})
    process = subprocess.Popen(command, env=environment, cwd=tmp_path if how == "directory" else ROOT)
    try:
        deadline = time.monotonic() + 10
        while not any(found.startswith(f"process {process.pid} ") for found in leftovers.processes(tmp_path)):
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert leftovers.processes(tmp_path) == [], "one that has ended, and nobody has asked how, is no leftover"
    process.wait()


def test_the_labs_directory_and_what_is_in_it_is_left_over(tmp_path: Path) -> None:
    state = tmp_path / "lab"
    assert leftovers.files(state) == []
    (state / "gate").mkdir(parents=True)
    assert leftovers.once_quiet(state, seconds=0) == [f"file {state}", f"file {state}/gate"]


PARENT = """
import os, pathlib, subprocess, sys, time
from tests.lab.demo_leftovers import MARK, ended_with_this_process
state = pathlib.Path(sys.argv[1])
with ended_with_this_process(state):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env=os.environ | {MARK: str(state)})
    print(child.pid, flush=True)
    time.sleep(60 if sys.argv[2] == "killed" else 0)
"""


@pytest.mark.parametrize("how", ["killed", "ended"])
def test_only_when_the_demo_is_killed_its_children_are(how: str, tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path), how], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    if how == "killed":
        parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + (10 if how == "killed" else 1)
    while (left := leftovers.processes(tmp_path)) and time.monotonic() < deadline:
        time.sleep(0.05)
    if how == "killed":
        assert left == []
    else:
        os.kill(child, signal.SIGKILL)
        assert [one.split()[1] for one in left] == [str(child)]


@pytest.mark.parametrize(("engine", "name"), BROKEN)
def test_a_sabotage_replaces_something_that_exists(engine: str, name: str) -> None:
    sabotage = SABOTAGES[engine][name]
    module = importlib.import_module(f"{UTILS}.{sabotage.file.removesuffix('.py').replace('/', '.')}")
    replaced = re.findall(r"^def (\w+).*no-redef|^([A-Z]\w+)\.(\w+) =", sabotage.code, re.MULTILINE)
    assert replaced
    for function, owner, method in replaced:
        assert hasattr(getattr(module, owner) if owner else module, method or function)


@pytest.mark.parametrize(("engine", "name"), BROKEN)
def test_the_broken_copy_differs_in_one_file_and_the_product_is_as_it_was(
    engine: str, name: str, tmp_path: Path
) -> None:
    sabotage = SABOTAGES[engine][name]
    original = (ROOT / "plugins" / "module_utils" / sabotage.file).read_text()
    copy = broken_copy(sabotage, tmp_path) / "ansible_collections" / "bluegreen" / "aws"
    files = sorted((copy / "plugins").rglob("*.py"))
    differ = [path for path in files if path.read_bytes() != (ROOT / path.relative_to(copy)).read_bytes()]
    assert [path.relative_to(copy / "plugins" / "module_utils") for path in differ] == [Path(sabotage.file)]
    assert differ[0].read_text() == original + sabotage.code
    compile(differ[0].read_text(), str(differ[0]), "exec")


def test_the_benchs_line_is_what_programs_read() -> None:
    windows = (40.04, 30.0, 90.0)
    results = [
        Result("switched_over", window, 2 * window, 10, frozenset({(1, 1)}), frozenset(), ("lost",))
        for window in windows
    ]
    assert summary("aurora_postgresql", results) == {
        "bench": "switchover",
        "engine": "aurora_postgresql",
        "runs": 3,
        "window_ms": {"min": 30.0, "median": 40.0, "max": 90.0},
        "client_gap_ms": {"min": 60.0, "median": 80.1, "max": 180.0},
        "lost": 1,
        "duplicated": 0,
    }


def test_the_median_of_an_even_number_of_runs_lies_between() -> None:
    assert spread([4.0, 1.0, 2.0, 9.0]) == {"min": 1.0, "median": 3.0, "max": 9.0}
