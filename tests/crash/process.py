# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole process tree of a playbook run, found and killed.

A run's processes leave its session and, once their parent is dead, its tree. A mark in the environment, which every
child inherits, finds them all.
"""

from __future__ import annotations

import os
import signal
import time
import uuid
from pathlib import Path

_MARK = "BLUEGREEN_CRASH_RUN"
_SECONDS = 10.0


def mark() -> dict[str, str]:
    """An environment variable whose value no other process has."""
    return {_MARK: uuid.uuid4().hex}


def marked(environment: dict[str, str]) -> list[int]:
    """The ids of the living processes that were started with the mark in ``environment``."""
    wanted = f"{_MARK}={environment[_MARK]}".encode()
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (directory / "environ").read_bytes().split(b"\0") and not _is_zombie(directory):
                found.append(int(directory.name))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # ended meanwhile, or not ours
    return found


def kill_all(environment: dict[str, str], known: list[int]) -> int:
    """SIGKILL every process with the mark, the ``known`` ones first; returns how many were killed.

    ``known`` was found before the moment of the kill, so that the first blow falls at that moment and not after a
    search. Raises TimeoutError when some are still there after 10 s.
    """
    killed = {process for process in known if _kill(process)}
    deadline = time.monotonic() + _SECONDS
    while left := marked(environment):
        killed |= {process for process in left if _kill(process)}
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes {left} survived SIGKILL")
        time.sleep(0.01)
    return len(killed)


def _kill(process: int) -> bool:
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


def _is_zombie(directory: Path) -> bool:
    stat = (directory / "stat").read_text(encoding="ascii", errors="replace")
    return stat.rpartition(")")[2].split()[0] in ("Z", "X")
