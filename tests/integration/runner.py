# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules run as Ansible runs them, each in a process of its own, but without the controller and without the imports.

A runner has everything imported that modules import, and each run is a fork of it with its own environment, output and
end: a sixth of a second in place of the half that a new Python takes, and of the three that the controller takes.

    python -m tests.integration.runner SOCKET      ends when its standard input does
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import itertools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
MODULES = "ansible_collections.bluegreen.aws.plugins.modules"
_READY = b"ready\n"
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL


@dataclass(frozen=True)
class Ended:
    """What a run left behind; ``code`` is its exit status, or the signal that ended it as a negative number."""

    code: int
    output: str
    errors: str

    def result(self, name: str) -> dict[str, Any]:
        """What the module returned; AssertionError when that is nothing."""
        try:
            found: dict[str, Any] = json.loads(self.output)
        except ValueError:
            raise AssertionError(f"{name} gave no result, status {self.code}:\n{self.output}\n{self.errors}") from None
        return found


class Running:
    """A run that goes on."""

    def __init__(self, connection: socket.socket, files: Sequence[Path]) -> None:
        self._connection, self._files = connection, files
        self._answers = connection.makefile("r", encoding="ascii")
        self._pid = int(self._answers.readline())

    def kill(self) -> None:
        """SIGKILL."""
        os.kill(self._pid, signal.SIGKILL)

    def terminate(self) -> None:
        """SIGTERM."""
        os.kill(self._pid, signal.SIGTERM)

    def wait(self) -> Ended:
        """Wait for its end, however it comes."""
        with self._connection, self._answers:
            code = int(self._answers.readline())
        return Ended(code, *(file.read_text(encoding="utf-8", errors="replace") for file in self._files))


class Runner:
    """The runner as a test sees it."""

    def __init__(self, env: Mapping[str, str] | None = None) -> None:
        """``env``: what a process must begin with, such as a library that is preloaded; a run's own comes too late."""
        self._directory = tempfile.TemporaryDirectory(prefix="bluegreen-runner-")
        self._socket = str(Path(self._directory.name) / "socket")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.runner", self._socket],
            cwd=ROOT,
            env={**os.environ, **(env or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._lock = threading.Lock()
        self._ready = False
        self._numbers = itertools.count(1)

    def start(self, name: str, arguments: Mapping[str, Any], env: Mapping[str, str], before: str = "") -> Running:
        """Start a module; a function that ``before`` names as `module:function` is called in its process first."""
        with self._lock:
            if not self._ready:
                assert self._process.stdout is not None
                if self._process.stdout.readline() != _READY:
                    raise AssertionError("the runner ended before it was ready")
                self._ready = True
        number = next(self._numbers)
        files = [Path(self._directory.name) / f"{number}.{what}" for what in ("output", "errors")]
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(self._socket)
        request = [name, arguments, dict(env), before, *map(str, files)]
        connection.sendall(json.dumps(request).encode() + b"\n")
        return Running(connection, files)

    def close(self) -> None:
        """End the runner."""
        self._process.communicate()
        self._directory.cleanup()


def main() -> None:
    """Serve until standard input ends."""
    import conftest  # noqa: F401  the search paths of this repository

    for name in ("boto3", "psycopg2", "psycopg2.extras", "ansible.module_utils.testing", *_modules()):
        importlib.import_module(name)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(sys.argv[1])
        listening.listen(64)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who serve
        gc.freeze()  # or the forks copy what they only look at
        os.write(1, _READY)
        while 0 not in select.select([0, listening.fileno()], [], [])[0]:  # its end, for nothing is written to it
            connection = listening.accept()[0]
            with connection:
                if os.fork() == 0:
                    _serve(connection)


def _modules() -> list[str]:
    return [f"{MODULES}.{path.stem}" for path in sorted((ROOT / "plugins" / "modules").glob("*.py"))]


def _serve(connection: socket.socket) -> None:
    """Fork the run and tell its pid and its end; in a process of its own, which never returns."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with connection.makefile("r", encoding="utf-8") as requests:
        request = json.loads(requests.readline())
    child = os.fork()
    if child == 0:
        connection.close()
        _run(*request)
    connection.sendall(b"%d\n" % child)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with contextlib.suppress(BrokenPipeError):
        connection.sendall(b"%d\n" % code)
    os._exit(0)


def _run(name: str, arguments: dict[str, Any], env: dict[str, str], before: str, output: str, errors: str) -> None:
    """Be the module."""
    from ansible.module_utils.testing import patch_module_args

    for path, flags, target in ((os.devnull, os.O_RDONLY, 0), (output, _NEW, 1), (errors, _NEW, 2)):
        os.dup2(os.open(path, flags, 0o600), target)
    os.environ.clear()
    os.environ.update(env)
    code = 1
    try:
        if before:
            module, _colon, function = before.partition(":")
            getattr(importlib.import_module(module), function)()
        with patch_module_args(arguments):
            importlib.import_module(f"{MODULES}.{name}").main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001  as Python does
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
