# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes of the lab: as which user they run, how they are started, and who ends them if the lab cannot."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tests.lab.engine import EngineError


@dataclass(frozen=True)
class Account:
    """The operating system user that servers run as; a PostgreSQL server refuses to run as root."""

    uid: int
    gid: int
    switch: bool  # we are root and must become this user

    @classmethod
    def choose(cls) -> Account:
        """Return `nobody` when we are root, else the current user."""
        if os.geteuid() != 0:
            return cls(os.geteuid(), os.getegid(), False)
        entry = pwd.getpwnam("nobody")
        return cls(entry.pw_uid, entry.pw_gid, True)

    def options(self) -> dict[str, Any]:
        """Return the arguments for `subprocess.Popen` that make a child run as this user."""
        if not self.switch:
            return {"umask": 0o077}
        return {"user": self.uid, "group": self.gid, "extra_groups": [], "umask": 0o077}

    def give(self, path: Path) -> None:
        """Make the user the owner of a file or directory."""
        if self.switch:
            os.chown(path, self.uid, self.gid)

    def write(self, path: Path, text: str) -> None:
        """Write a file of the user's, whole or not at all."""
        staging = path.with_name(path.name + ".new")
        staging.write_text(text, encoding="utf-8")
        staging.chmod(0o600)
        self.give(staging)
        staging.replace(path)

    def make_directory(self, path: Path) -> Path:
        """Make a private directory of the user's and return it."""
        path.mkdir(mode=0o700)
        self.give(path)
        return path

    def can_enter(self, path: Path) -> bool:
        """Say whether the user can pass through every directory that leads to `path` (itself not included)."""
        if not self.switch:
            return True
        return all(parent.stat().st_mode & 0o001 for parent in path.resolve().parents)


class Keeper:
    """The process that ends and removes everything when this one dies; see keeper.py."""

    def __init__(self, directories: Sequence[Path]) -> None:
        """Start the keeper for what lies below `directories`."""
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(Path(__file__).with_name("keeper.py")), *map(str, directories)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _order(self, **order: object) -> None:
        assert self._process.stdin is not None
        with self._lock, contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()

    def watch(self, pid: int) -> None:
        """Make the keeper responsible for a process."""
        self._order(watch=pid)

    def forget(self, pid: int) -> None:
        """Take a process that has ended off the keeper's list."""
        self._order(forget=pid)

    def release(self) -> None:
        """End the keeper: everything is cleaned up already."""
        self._order(release=True)
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()


class Processes:
    """Starts programs as the lab's user, known to the keeper, without the environment of whoever runs the lab."""

    def __init__(
        self, account: Account, keeper: Keeper, home: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        """Run programs as `account`, with `home` as their home and working directory, and `environment` besides."""
        self.account = account
        self._own = dict(environment or {})
        self._keeper = keeper
        self._home = home

    def _environment(self, extra: Mapping[str, str]) -> dict[str, str]:
        base = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC", "HOME": str(self._home)}
        preloaded = [given["LD_PRELOAD"] for given in (self._own, extra) if "LD_PRELOAD" in given]
        return {**base, **self._own, **extra, **({"LD_PRELOAD": ":".join(preloaded)} if preloaded else {})}

    def spawn(
        self,
        command: Sequence[str],
        output: IO[bytes] | int,
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a program in a session of its own; its output goes to `output`, it works in `directory` or at home."""
        process = subprocess.Popen(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=directory or self._home,
            env=self._environment(environment or {}),
            start_new_session=True,
            **self.account.options(),
        )
        self._keeper.watch(process.pid)
        return process

    def run(
        self,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        directory: Path | None = None,
        timeout: float = 300,
    ) -> str:
        """Run a program to its end and return its output.

        Raises EngineError with the end of the output when it fails or does not end within `timeout` seconds.
        """
        process = self.spawn(command, subprocess.PIPE, environment, directory)
        try:
            output, _none = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _none = process.communicate()
            raise EngineError(f"{Path(command[0]).name} did not end within {timeout:.0f} s.") from None
        finally:
            self._keeper.forget(process.pid)
        text = output.decode("utf-8", "replace")
        if process.returncode:
            end = " ".join(text.strip()[-1500:].split())
            raise EngineError(f"{Path(command[0]).name} ended with status {process.returncode}: {end}")
        return text

    def end(self, process: subprocess.Popen[bytes], number: int, patience: float = 60) -> None:
        """Send a signal to a process and wait for its end, with SIGQUIT and SIGKILL when it takes too long."""
        for step, seconds in ((number, patience), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0)):
            if process.poll() is None:
                process.send_signal(step)
            try:
                process.wait(timeout=seconds)
                break
            except subprocess.TimeoutExpired:
                continue
        self._keeper.forget(process.pid)


def data_root(account: Account, state_dir: Path, prefix: str) -> Path:
    """Return a new private directory that the servers' user can enter, short enough for a socket's path."""
    for base in (state_dir, Path(tempfile.gettempdir())):
        if len(str(base)) <= 60 and account.can_enter(base / "x"):
            root = Path(tempfile.mkdtemp(prefix=prefix, dir=base))
            root.chmod(0o711)
            return root
    raise EngineError(f"The user {account.uid} that servers run as cannot enter {state_dir} nor a temporary directory.")


def free_port(first: int) -> int:
    """Return a port that nothing on this machine listens on."""
    for port in range(first, first + 1000):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("", port))
            except OSError:
                continue
            return port
    raise EngineError(f"There is no free port from {first} on.")
