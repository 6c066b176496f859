# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real HAProxy as the lab's gate: a frontend, a backend with blue and green, and the runtime API.

It passes TLS through, so that clients speak to the servers' certificates, and ends with the process that started it.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.lab.gate import GateError, free_port, hand_over, start_guard, write_private
from tests.lab.packages import NoProgram, find

_HOST = "127.0.0.1"
_START_SECONDS = 15.0
_NOBODY = 9  # the port of a green that is not there yet; in maintenance nobody is led to it
BACKEND = "shop"
Address = tuple[str, int]


@dataclass
class HAProxy:
    """A running HAProxy."""

    host: str
    port: int
    version: str
    directory: Path
    _guard: subprocess.Popen[bytes] = field(repr=False)

    @classmethod
    def start(
        cls,
        blue: Address,
        green: Address | None = None,
        server_options: str = "",
        extra: str = "",
        state_dir: Path | None = None,
    ) -> HAProxy:
        """Start one that leads to ``blue``, with ``green`` in maintenance; ``extra`` are more lines of the backend.

        Green may come later, see `lead_green`; the files are in ``state_dir``. Raises GateError.
        """
        try:
            program = find("haproxy")
        except NoProgram as reason:
            raise GateError(f"No HAProxy: {reason}.") from None
        directory = Path(tempfile.mkdtemp(prefix="bluegreen-haproxy-", dir=state_dir))
        port = free_port()
        try:
            there = green or (_HOST, _NOBODY)
            write_private(directory / "haproxy.cfg", _config(directory, port, blue, there, server_options, extra))
            hand_over(directory)
            guard = start_guard(
                directory, [program.program, "-db", "-q", "-f", str(directory / "haproxy.cfg")], program.environment()
            )
        except BaseException:
            shutil.rmtree(directory, ignore_errors=True)
            raise
        running = cls(_HOST, port, program.version, directory, guard)
        try:
            running._wait_until_listening()
        except BaseException:
            running.stop()
            raise
        return running

    @property
    def socket(self) -> str:
        """The path of the runtime API."""
        return str(self.directory / "admin.sock")

    def option(self) -> dict[str, Any]:
        """Return the gate as an entry of the option ``gates`` of a switchover."""
        return {"type": "haproxy", "socket": self.socket, "host": self.host, "port": self.port, "backend": BACKEND}

    @property
    def kind(self) -> str:
        """What it is, for a line of output."""
        return self.version

    def lead_green(self, host: str, port: int) -> None:
        """Say where green is: an address, as everywhere in the lab. Raises GateError."""
        answer = self.ask(f"set server {BACKEND}/green addr {host} port {port}")
        if f"'{host}'" not in answer and "no need" not in answer:
            raise GateError(f"HAProxy does not lead to {host}:{port}: {answer.strip()}")

    def ask(self, command: str) -> str:
        """Return the runtime API's answer to a command."""
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(10)
            link.connect(self.socket)
            link.sendall(command.encode() + b"\n")
            return b"".join(iter(lambda: link.recv(65536), b"")).decode()

    def stop(self) -> None:
        """End it and remove its directory."""
        if self._guard.stdin is not None:
            self._guard.stdin.close()
        try:
            self._guard.wait(10)
        except subprocess.TimeoutExpired:
            self._guard.kill()
            self._guard.wait()

    def _wait_until_listening(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            with contextlib.suppress(OSError):
                self.ask("show info")
                socket.create_connection((self.host, self.port), timeout=1).close()
                return
            if self._guard.poll() is not None or time.monotonic() > deadline:
                raise GateError(f"HAProxy ({self.version}) did not start on port {self.port}.")
            time.sleep(0.02)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()


def _config(directory: Path, port: int, blue: Address, green: Address, options: str, extra: str) -> str:
    return f"""\
global
    stats socket {directory}/admin.sock mode 600 level admin
    maxconn 2000

defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    # how long a client waits while the gate is held
    timeout queue 60s

frontend clients
    bind {_HOST}:{port}
    default_backend {BACKEND}

backend {BACKEND}
{extra}
    server blue {blue[0]}:{blue[1]} {options}
    server green {green[0]}:{green[1]} {options} disabled
"""
