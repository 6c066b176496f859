# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run has left behind: in blue's catalogs, in AWS, as processes, as files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.lab.load import ROOT

MARK = "BLUEGREEN_LAB_STATE"  # in the environment of everything that a lab's user starts for it


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """Return what is there after and was not before, and the other way round, of two ``tests.scene.fingerprint``."""
    return sorted(_leaves(after) - _leaves(before)) + [f"missing: {leaf}" for leaf in _leaves(before) - _leaves(after)]


def _leaves(tree: Any, path: str = "") -> set[str]:
    if isinstance(tree, Mapping):
        return {leaf for name, branch in tree.items() for leaf in _leaves(branch, f"{path} {name}".strip())}
    if isinstance(tree, list):
        return {f"{path} {leaf}" for leaf in tree}
    return {f"{path} {tree}"}


def once_quiet(state: Path, seconds: float = 5.0) -> list[str]:
    """Return the processes and files of the lab in ``state`` that are there when they had some seconds to go.

    Everything that is started for a lab keeps its files in the lab's directory, so one look at that is enough.
    """
    deadline = time.monotonic() + seconds
    while (found := [*processes(state), *files(state)]) and time.monotonic() < deadline:
        time.sleep(0.1)
    return found


def files(state: Path) -> list[str]:
    """Return the state directory's files when it is still there."""
    return [f"file {path}" for path in sorted([state, *state.rglob("*")]) if path.exists()]


def processes(state: Path) -> list[str]:
    """Return the living processes, but for this one, that were started for the lab in ``state``.

    They carry its path in their environment or their command line, or work in it.
    """
    wanted = os.fsencode(state)
    found = []
    for process in _alive():
        directory = Path(f"/proc/{process}")
        with suppress(FileNotFoundError, ProcessLookupError, PermissionError):  # ended meanwhile, or not ours
            command = (directory / "cmdline").read_bytes()
            words = (command, _environment(process), os.fsencode((directory / "cwd").readlink()))
            if any(wanted in word for word in words):
                text = command.replace(b"\0", b" ").decode(errors="replace").strip()
                found.append(f"process {process} {text[:120]}")
    return found


def _is_zombie(directory: Path) -> bool:
    return (directory / "stat").read_text(errors="replace").rpartition(")")[2].split()[0] in ("Z", "X")


@contextmanager
def ended_with_this_process(state: Path) -> Iterator[None]:
    """See to it that what is started with the lab's mark in its environment does not outlive this process.

    Writers and gates see to it themselves; a playbook does not. A helper process holds the other end of a pipe.
    """
    helper = subprocess.Popen(
        [sys.executable, "-m", "tests.lab.demo_leftovers", str(state)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield
    finally:
        helper.communicate("well ended")


def _end_what_is_left(state: Path, seconds: float = 10.0) -> None:
    """SIGKILL every process that carries the lab's mark, but for this one, until there is none."""
    wanted = f"{MARK}={state}".encode()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        left = [process for process in _alive() if wanted in _environment(process).split(b"\0")]
        if not left:
            return
        for process in left:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.05)


def _alive() -> list[int]:
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            if int(directory.name) != os.getpid() and not _is_zombie(directory):
                found.append(int(directory.name))
    return found


def _environment(process: int) -> bytes:
    try:
        return Path(f"/proc/{process}/environ").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""  # ended meanwhile, or not ours


if __name__ == "__main__":
    if not sys.stdin.read():  # nothing was said before the end: the parent is gone
        _end_what_is_left(Path(sys.argv[1]))
