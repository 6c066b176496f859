# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The keeper: a small process that outlives the lab and leaves nothing of it behind.

Started as `python keeper.py DIRECTORY...` by the engine. It reads orders, one JSON object per line, from stdin:
`{"watch": pid}`, `{"forget": pid}`, `{"release": true}` (the engine has cleaned up itself). When stdin ends or the
parent is gone without a release, it ends every watched process and every server whose `postmaster.pid` or `my.cnf` lies
below one of the directories, then removes the directories. Only the standard library, so that it starts fast.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import select
import shutil
import signal
import sys
import time
from pathlib import Path

POLL_SECONDS = 0.25
PATIENCE_SECONDS = 5.0


def start_time(pid: int) -> str | None:
    """Return what tells two processes with the same pid apart, None when there is no such process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in ("Z", "X") else fields[19]


def forbid_core_file(pid: int) -> None:
    """Let SIGQUIT end a process that does not know it without a core file."""
    with contextlib.suppress(OSError):
        resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))


def end_processes(watched: dict[int, str]) -> None:
    """End the watched processes: SIGQUIT (a server's immediate shutdown), and SIGKILL for what does not listen.

    A MySQL server that is held by SIGSTOP hears the second one only.
    """
    for number in (signal.SIGQUIT, signal.SIGKILL):
        for pid, started in watched.items():
            if start_time(pid) == started:
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    continue
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline and any(start_time(pid) == started for pid, started in watched.items()):
            time.sleep(0.02)


def servers_below(directories: list[str]) -> dict[int, str]:
    """Return pid and start time of every server with its data below one of the directories."""
    found: dict[int, str] = {}
    for directory in directories:
        for path in Path(directory).rglob("postmaster.pid"):
            try:
                pid = int(path.read_text(encoding="utf-8").split()[0])
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
            except (OSError, ValueError, IndexError):
                continue
            started = start_time(pid)
            if started is not None and str(path.parent).encode() in command:
                found[pid] = started
    return {**found, **configured_below(directories)}


def configured_below(directories: list[str]) -> dict[int, str]:
    """Return pid and start time of every server that was started with a configuration below one of the directories."""
    found: dict[int, str] = {}
    marks = [f"--defaults-file={directory}/".encode() for directory in directories]
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        pid = int(path.parent.name)
        if any(word.startswith(mark) for word in words for mark in marks) and (started := start_time(pid)) is not None:
            found[pid] = started
    return found


def remove_shared_memory(directories: list[str]) -> None:
    """Remove the System V segment of every server below the directories that died without doing so itself."""
    libc = ctypes.CDLL(None, use_errno=True)
    for directory in directories:
        for path in Path(directory).rglob("postmaster.pid"):
            try:
                lines = path.read_text(encoding="utf-8").splitlines()
                libc.shmctl(int(lines[6].split()[1]), 0, None)  # 0 is IPC_RMID
            except (OSError, ValueError, IndexError):
                continue


def clean_up(watched: dict[int, str], directories: list[str]) -> None:
    """End everything and remove everything; a server that was just being started is caught by looking again."""
    end_processes(watched)
    for _unused in range(3):
        servers = servers_below(directories)
        end_processes(servers)
        if not servers:
            break
    remove_shared_memory(directories)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while any(Path(directory).exists() for directory in directories) and time.monotonic() < deadline:
        for directory in directories:
            shutil.rmtree(directory, ignore_errors=True)


def main() -> None:
    """Serve orders until the parent ends."""
    directories = sys.argv[1:]
    parent = os.getppid()
    watched: dict[int, str] = {}
    pending = b""
    while os.getppid() == parent:
        if not select.select([0], [], [], POLL_SECONDS)[0]:
            continue
        chunk = os.read(0, 65536)
        if not chunk:
            break
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            order = json.loads(line)
            if "watch" in order and (started := start_time(order["watch"])) is not None:
                watched[order["watch"]] = started
                forbid_core_file(order["watch"])
            watched.pop(order.get("forget", -1), None)
            if order.get("release"):
                return
    clean_up(watched, directories)


if __name__ == "__main__":
    main()
