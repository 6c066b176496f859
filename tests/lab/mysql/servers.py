# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One MySQL server process on one data directory."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
from pymysql.cursors import DictCursor

from tests.lab.engine import EngineError
from tests.lab.mysql.binaries import Binaries
from tests.lab.postgresql.processes import Processes

START_SECONDS = 60.0
STOP_SECONDS = 60.0
ADMINISTRATOR = "rdsadmin"  # the service's own account; it can come in through the socket only
BINLOG = "mysql-bin-changelog"
# A socket's path must not be longer than this (sun_path).
_LONGEST_SOCKET = 107


@dataclass(frozen=True)
class Installation:
    """The program and how to run it."""

    binaries: Binaries
    processes: Processes
    port: int  # of every server of a lab; each has its own address and its own socket


class Server:
    """A server on `data` with its configuration, socket and certificate in `run` and its log in `log`."""

    account = ADMINISTRATOR

    def __init__(self, installation: Installation, data: Path, run: Path, log: Path) -> None:
        """Describe a server; nothing is started."""
        self.installation = installation
        self.data = data
        self.run = run
        self.log = log
        self.settings: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> str:
        """Return the path of the socket."""
        return str(self.run / "s")

    @property
    def pid(self) -> int | None:
        """Return the pid of the running server, None when it does not run."""
        return self._process.pid if self.running() and self._process is not None else None

    def running(self) -> bool:
        """Say whether the server runs."""
        return self._process is not None and self._process.poll() is None

    def configure(self, settings: Mapping[str, str]) -> None:
        """Write the configuration that the next start reads."""
        own = {
            "datadir": str(self.data),
            "socket": self.socket,
            "pid-file": str(self.run / "pid"),
            "tmpdir": str(self.run),
            "port": str(self.installation.port),
        }
        self.settings = {**settings, **own}
        lines = ["[mysqld]"]
        for name, value in self.settings.items():
            several = name.removeprefix("loose-").startswith("replicate-")  # once for each value
            lines += [f"{name}={part}" for part in (value.split(",") if several else (value,))]
        self.installation.processes.account.write(self.run / "my.cnf", "\n".join(lines) + "\n")

    def start(self) -> None:
        """Start the server and wait until it accepts connections.

        Raises EngineError with the server's own words when it does not.
        """
        if self.running():
            return
        if len(self.socket) > _LONGEST_SOCKET:
            raise EngineError(f"The path of the socket {self.socket} is too long; use a shorter state directory.")
        for stale in ("s", "s.lock", "pid"):
            (self.run / stale).unlink(missing_ok=True)  # of a server that is known to be gone
        binaries = self.installation.binaries
        command = [*binaries.command, f"--defaults-file={self.run / 'my.cnf'}", *binaries.options]
        with self.log.open("ab") as output:
            begin = output.tell()
            self._process = self.installation.processes.spawn(command, output, directory=self.run)
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready():
            if not self.running() or time.monotonic() > deadline:
                self.stop(immediate=True)
                raise EngineError(f"The MySQL server did not start: {self._complaint(begin)}")
            time.sleep(0.01)

    def _is_ready(self) -> bool:
        if not Path(self.socket).exists():
            return False
        try:
            self.connect().close()
        except EngineError:
            return False
        return True

    def _complaint(self, begin: int) -> str:
        with self.log.open("rb") as log:
            log.seek(begin)
            lines = log.read().decode("utf-8", "replace").splitlines()
        errors = [line.rpartition("] ")[2].strip() for line in lines if "[ERROR]" in line]
        return errors[0] if errors else " ".join(lines[-5:]) or "it said nothing"

    def signal(self, number: int) -> None:
        """Send a signal to the server when it runs; do not wait."""
        if self._process is not None and self.running():
            self._process.send_signal(number)

    def stop(self, immediate: bool = False) -> None:
        """Stop the server: a shutdown, or a crash. A server that does not run is fine."""
        if self._process is not None:
            self._tell_if_it_died()
            self.signal(signal.SIGCONT)
            number = signal.SIGKILL if immediate else signal.SIGTERM
            self.installation.processes.end(self._process, number, STOP_SECONDS)
            self._process = None

    def _tell_if_it_died(self) -> None:
        """Show the end of the log of a server that ended by itself: it is about to be removed."""
        code = self._process.poll() if self._process is not None else None
        if code not in (None, 0, -signal.SIGKILL):
            tail = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-60:]
            print(f"The MySQL server in {self.run} ended by itself with {code}:", *tail, sep="\n", file=sys.stderr)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Hold the running server for a moment, so that its files do not change: a snapshot of the storage."""
        self.signal(signal.SIGSTOP)
        try:
            time.sleep(0.01)  # what a thread was writing when the signal came is written
            yield
        finally:
            self.signal(signal.SIGCONT)

    def connect(self) -> pymysql.Connection[DictCursor]:
        """Return an autocommit connection of the service's own account whose statements are not logged.

        Raises EngineError when the server does not answer.
        """
        try:
            return pymysql.connect(
                unix_socket=self.socket,
                user=self.account,
                password="",
                autocommit=True,
                charset="utf8mb4",
                cursorclass=DictCursor,
                connect_timeout=10,
                init_command="SET SESSION sql_log_bin = 0, sql_mode = 'NO_ENGINE_SUBSTITUTION', lock_wait_timeout = 30",
            )
        except (pymysql.MySQLError, OSError) as error:
            raise EngineError(f"The lab cannot reach a server of its own: {error}") from error

    def execute(self, *statements: str | tuple[str, Sequence[object]]) -> None:
        """Run statements of the service's own, each with or without values, outside the binary log."""
        connection = self.connect()
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    text, values = statement if isinstance(statement, tuple) else (statement, None)
                    cursor.execute(text, values)
        except pymysql.MySQLError as error:
            raise EngineError(f"The lab could not do something on a server of its own: {error}") from error
        finally:
            connection.close()

    def rows(self, statement: str, values: Sequence[object] | None = None) -> list[dict[str, Any]]:
        """Run a statement and return its rows by column."""
        connection = self.connect()
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement, values)
                return list(cursor.fetchall())
        except pymysql.MySQLError as error:
            raise EngineError(f"The lab could not read something on a server of its own: {error}") from error
        finally:
            connection.close()

    def value(self, statement: str, values: Sequence[object] | None = None) -> Any:
        """Run a statement and return the first value of its first row, None without rows."""
        found = self.rows(statement, values)
        return next(iter(found[0].values())) if found else None
