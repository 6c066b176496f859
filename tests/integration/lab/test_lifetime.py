# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""However a lab ends, no process and no file of it is left."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.lab.engine import EngineError
from tests.lab.lab import REPOSITORY, Lab
from tests.lab.tools import wait_until

SECONDS = 60.0
PARENT = """\
import sys
from tests.lab.engine import EngineError
from tests.lab.lab import Lab
lab = Lab.start()
if sys.argv[1] == "both":
    lab.seed_mysql("my", readers=0)
lab.seed_postgresql(readers=1)
print(lab.state, flush=True)
sys.stdin.read()
"""


def lab_process(state: Path) -> psutil.Process:
    """The lab's own process, found by its command line."""
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "tests.lab.control_plane.serve" in words and str(state) in words:
            return process
    raise AssertionError(f"no lab runs in {state}")


def family(process: psutil.Process) -> list[psutil.Process]:
    """A process and everything that it started, directly or not."""
    return [process, *process.children(recursive=True)]


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those of the processes that still are."""
    return [one for one in processes if _lives(one)]


def _lives(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:  # it has ended between the two questions
        return False


@pytest.fixture
def parent(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """A program that has started a lab, with servers of one engine or of both, and waits."""
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT, request.param],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process
    process.kill()
    process.wait()


def killed_parent(parent: subprocess.Popen[str], _server: psutil.Process) -> None:
    """The program that uses the lab crashes."""
    parent.kill()


def killed_lab(_parent: subprocess.Popen[str], server: psutil.Process) -> None:
    """The lab itself crashes."""
    server.kill()


def ended_parent(parent: subprocess.Popen[str], _server: psutil.Process) -> None:
    """The program ends without closing the lab."""
    parent.communicate()


@pytest.mark.parametrize(
    ("end", "parent"),
    [(killed_parent, "postgresql"), (killed_lab, "both"), (ended_parent, "postgresql")],
    indirect=["parent"],
)
def test_nothing_is_left_of_an_attached_lab(
    parent: subprocess.Popen[str], end: Callable[[subprocess.Popen[str], psutil.Process], None]
) -> None:
    assert parent.stdout is not None
    state = Path(parent.stdout.readline().strip())
    processes = family(lab_process(state))
    assert len(processes) > 10  # postmasters with their children, the endpoints, the keepers
    end(parent, processes[0])
    wait_until(lambda: not alive(processes) and not state.exists(), SECONDS, f"the end of {processes} and {state}")


def test_a_lab_that_was_left_running_is_used_and_ended_from_the_shell() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "BLUEGREEN_LAB_STATE"}

    def command(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tests.lab", *words],
            cwd=REPOSITORY,
            env={**environment, **more},
            capture_output=True,
            text=True,
            check=False,
        )

    done = command("up", "--readers", "0")
    assert done.returncode == 0, done.stderr
    exported = dict(re.findall(r"^export (\w+)=(\S+)$", done.stdout, re.MULTILINE))
    state = Path(exported["BLUEGREEN_LAB_STATE"])
    processes = family(lab_process(state))
    try:
        variables = (state / "shop.yml").read_text(encoding="utf-8")
        assert "secret_arn: arn:aws:secretsmanager" in variables and "password" not in variables
        assert '"shop": "available"' not in done.stdout
        assert '"shop-1": "available"' in command("status", **exported).stdout
        assert command("faults", "deny", "operation=DescribeDBClusters", **exported).returncode == 0
        wrong = command("faults", "nonsense", **exported)
        assert wrong.returncode == 1 and wrong.stderr.startswith("there is no knob 'nonsense'")
    finally:
        assert command("down", **exported).stdout == f"ended {state}\n"
    assert not state.exists()
    wait_until(lambda: not alive(processes), SECONDS, f"the end of {processes}")
    gone = command("status", **exported)
    assert gone.returncode == 1 and gone.stderr.startswith(f"No lab runs in {state}")


def test_a_lab_that_does_not_start_says_why_in_one_sentence_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as place:  # a longer path would not be used
        closed = Path(place) / "cache"
        closed.write_text("not a directory", encoding="utf-8")
        monkeypatch.setenv("BLUEGREEN_CACHE", str(closed))
        monkeypatch.setattr(tempfile, "tempdir", place)
        with pytest.raises(EngineError, match=re.escape(str(closed))):
            Lab.start()
        assert list(Path(place).iterdir()) == [closed]
