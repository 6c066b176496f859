# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate of the lab: a PgBouncer with an admin console and a configuration file that a switchover rewrites.

Where no PgBouncer can be had, ``gate_lab.py`` takes its place behind the same console and the same file. Either runs
under a guard process that holds the other end of a pipe: when the process that started the gate ends, in whatever
way, the guard ends the gate and removes its directory.
"""

from __future__ import annotations

import ctypes
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.lab.packages import NoProgram, Program, find

ROOT = Path(__file__).resolve().parents[2]
ADMIN_USER = "gate_admin"
ADMIN_DATABASE = "pgbouncer"
_HOST = "127.0.0.1"
_START_SECONDS = 15.0
_PR_SET_PDEATHSIG = 1
_CONFIG = "pgbouncer.ini"


class GateError(Exception):
    """The gate did not start; the text says why."""


@dataclass(frozen=True)
class _Process:
    """What the guard is to run, and the directory that goes with it."""

    directory: str
    command: list[str]
    working_directory: str
    environment: dict[str, str]
    as_nobody: bool


@dataclass
class Gate:
    """A running gate. ``kind`` says which one it is, for a person to read."""

    kind: str
    host: str
    port: int
    admin_user: str
    admin_password: str = field(repr=False)
    config_file: str
    databases: tuple[str, ...]
    _guard: subprocess.Popen[bytes] = field(repr=False)

    @classmethod
    def start(
        cls,
        state_dir: Path | None,
        databases: Sequence[str],
        host: str,
        port: int,
        user: str,
        password: str,
        ca: str | None,
        own: bool = False,
    ) -> Gate:
        """Start a gate that leads ``databases`` to ``host:port`` and lets ``user`` through.

        ``ca`` is the file of the authority that signed the servers' certificates, which are then verified in full;
        without it the servers are spoken to in plain text. ``own`` asks for the lab's own gate. Raises GateError.
        """
        bouncer, kind = _choose(own)
        directory = _directory(state_dir, ca)
        admin_password = secrets.token_urlsafe(24)
        listen = free_port()
        try:
            write_private(directory / "users.txt", _users({user: password, ADMIN_USER: admin_password}))
            write_private(directory / _CONFIG, _config(directory, databases, host, port, listen, ca is not None))
            hand_over(directory)
            guard = _start_guard(directory, bouncer)
        except BaseException:
            shutil.rmtree(directory, ignore_errors=True)
            raise
        gate = cls(
            kind=kind,
            host=_HOST,
            port=listen,
            admin_user=ADMIN_USER,
            admin_password=admin_password,
            config_file=str(directory / _CONFIG),
            databases=tuple(databases),
            _guard=guard,
        )
        try:
            gate._wait_until_listening()
        except BaseException:
            gate.stop()
            raise
        return gate

    def option(self) -> dict[str, Any]:
        """Return the gate as an entry of the option ``gates`` of a switchover, password included."""
        return {
            "type": "pgbouncer",
            "host": self.host,
            "port": self.port,
            "user": self.admin_user,
            "password": self.admin_password,
            "databases": list(self.databases),
            "config_file": self.config_file,
        }

    def log(self) -> str:
        """Return what the gate has logged so far."""
        path = Path(self.config_file).with_name("gate.log")
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def stop(self) -> None:
        """End the gate and remove its directory."""
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
            try:
                socket.create_connection((self.host, self.port), timeout=1).close()
                return
            except OSError as error:
                if self._guard.poll() is not None or time.monotonic() > deadline:
                    words = (self.log().strip().splitlines() or [str(error)])[-1]
                    raise GateError(f"The gate ({self.kind}) did not start on port {self.port}: {words}") from None
            time.sleep(0.02)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()


def _choose(own: bool) -> tuple[Program | None, str]:
    if own:
        return None, "the lab's own gate, because it was asked for"
    try:
        bouncer = find()
    except NoProgram as reason:
        return None, f"the lab's own gate, because {reason}"
    return bouncer, f"{bouncer.version} ({bouncer.program})"


def _directory(state_dir: Path | None, ca: str | None) -> Path:
    directory = Path(tempfile.mkdtemp(prefix="bluegreen-gate-", dir=state_dir))
    if ca is not None:
        shutil.copyfile(ca, directory / "ca.pem")  # the gate's user may not be able to enter the original's directory
    return directory


def _config(directory: Path, databases: Sequence[str], host: str, port: int, listen: int, tls: bool) -> str:
    entries = "\n".join(f"{name} = host={host} port={port} dbname={name}" for name in databases)
    server_tls = f"verify-full\nserver_tls_ca_file = {directory}/ca.pem" if tls else "disable"
    return f"""\
[databases]
{entries}

[pgbouncer]
listen_addr = {_HOST}
listen_port = {listen}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {directory}/users.txt
admin_users = {ADMIN_USER}
logfile = {directory}/gate.log
pool_mode = transaction
default_pool_size = 20
max_client_conn = 200
; a server that refuses a login is asked again at once, not after 15 s
server_login_retry = 0.1
query_wait_timeout = 60
ignore_startup_parameters = extra_float_digits, options
server_tls_sslmode = {server_tls}
"""


def _users(passwords: dict[str, str]) -> str:
    return "".join(f'"{user}" "{password}"\n' for user, password in passwords.items())


def write_private(path: Path, text: str) -> None:
    """Make a file that nobody else can read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def hand_over(directory: Path) -> None:
    """Give the directory to the user that the gate runs as."""
    if os.geteuid() != 0:
        return
    nobody = pwd.getpwnam("nobody")
    for path in (directory, *directory.iterdir()):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as listener:
        listener.bind((_HOST, 0))
        return int(listener.getsockname()[1])


def _start_guard(directory: Path, bouncer: Program | None) -> subprocess.Popen[bytes]:
    config = str(directory / _CONFIG)
    if bouncer:
        return start_guard(directory, [bouncer.program, "-q", config], bouncer.environment())
    own = [sys.executable, "-m", "tests.lab.gate_lab", config]
    return _guarded(_Process(str(directory), own, str(ROOT), dict(os.environ), as_nobody=False))


def start_guard(directory: Path, command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Run a program in its directory, as nobody when this is root; both are gone when the returned guard's stdin ends."""
    return _guarded(_Process(str(directory), command, str(directory), environment, as_nobody=os.geteuid() == 0))


def _guarded(order: _Process) -> subprocess.Popen[bytes]:
    # a session of its own: Ctrl-C reaches the program that started the gate, and the gate goes when that one goes
    guard = subprocess.Popen(
        [sys.executable, "-m", "tests.lab.gate"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert guard.stdin is not None
    guard.stdin.write(json.dumps(asdict(order)).encode() + b"\n")
    guard.stdin.flush()
    return guard


def _die_with_the_guard() -> None:
    """Have the kernel end this process when its parent ends; called between fork and exec, as the final user."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def guard() -> int:
    """Run a gate until stdin ends, or until the gate ends by itself; leave no file. Return the exit status."""
    order = _Process(**json.loads(sys.stdin.readline()))
    drop: dict[str, Any] = {}
    if order.as_nobody:
        nobody = pwd.getpwnam("nobody")
        drop = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    try:
        gate = subprocess.Popen(
            order.command,
            cwd=order.working_directory,
            env=order.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=_die_with_the_guard,  # safe: the guard has no other thread yet
            **drop,
        )

        def end_with_stdin() -> None:
            sys.stdin.read()
            gate.kill()  # clients are cut: whoever stops a gate has no use for their sessions

        threading.Thread(target=end_with_stdin, daemon=True).start()
        return gate.wait()
    finally:
        shutil.rmtree(order.directory, ignore_errors=True)


if __name__ == "__main__":
    raise SystemExit(guard())
