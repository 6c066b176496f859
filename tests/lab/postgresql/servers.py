# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One PostgreSQL server process on one data directory."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import psycopg2.extensions

from tests.lab.engine import EngineError
from tests.lab.postgresql.binaries import Binaries
from tests.lab.postgresql.parameters import configuration
from tests.lab.postgresql.privileges import BOOTSTRAP
from tests.lab.postgresql.processes import Processes

START_SECONDS = 60.0
RELOAD_SECONDS = 10.0
UNBOUND = "-c default_transaction_read_only=off -c statement_timeout=0 -c lock_timeout=0"
# Clients come over TCP from an endpoint; the lab itself over a socket in a directory that only its user can enter.
ACCESS = f"""
local all         {BOOTSTRAP} trust
local replication {BOOTSTRAP} trust
local all         all         reject
host  all         {BOOTSTRAP} all reject
host  {BOOTSTRAP} all         all reject
host  all         all         127.0.0.0/8 md5
"""
# For the moments in which only the lab works on a volume: no clients, no subscriptions, no durability.
MAINTENANCE: Mapping[str, str] = {
    "listen_addresses": "",
    "shared_buffers": "32MB",
    "dynamic_shared_memory_type": "mmap",
    "huge_pages": "off",
    "fsync": "off",
    "wal_level": "logical",
    "max_replication_slots": "50",
    "max_wal_senders": "50",
    "max_prepared_transactions": "100",
    "max_logical_replication_workers": "0",
    "autovacuum": "off",
}


@dataclass(frozen=True)
class Installation:
    """The programs of one major version and how to run them."""

    binaries: Binaries
    processes: Processes
    major: int
    ca_file: Path
    port: int  # of every server of a lab; each has its own address and its own directory for sockets

    def run(self, program: str, *arguments: str, timeout: float = 300) -> str:
        """Run a program of this version to its end and return its output; raises EngineError."""
        return self.processes.run([self.binaries.program(self.major, program), *arguments], timeout=timeout)


class Server:
    """A server on `data` with its sockets in `sockets` and its log in `log`."""

    def __init__(self, installation: Installation, data: Path, sockets: Path, log: Path) -> None:
        """Describe a server; nothing is started."""
        self.installation = installation
        self.data = data
        self.sockets = sockets
        self.log = log
        self.settings: dict[str, str] = {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Return the pid of the running postmaster, None when it does not run."""
        return self._process.pid if self.running() and self._process is not None else None

    def running(self) -> bool:
        """Say whether the postmaster runs."""
        return self._process is not None and self._process.poll() is None

    def configure(self, settings: Mapping[str, str]) -> None:
        """Write the configuration that the next start or reload reads."""
        own = {"unix_socket_directories": str(self.sockets), "port": str(self.installation.port)}
        self.settings = {**settings, **own}
        account = self.installation.processes.account
        account.write(self.data / "postgresql.conf", configuration(self.settings))
        account.write(self.data / "pg_hba.conf", ACCESS)

    def start(self) -> None:
        """Start the server and wait until it accepts connections.

        Raises EngineError with the server's own words when it does not.
        """
        if self.running():
            return
        (self.data / "postmaster.pid").unlink(missing_ok=True)  # of a server that is known to be gone
        preload = {"LD_PRELOAD": self.installation.binaries.preload, "PGSSLROOTCERT": str(self.installation.ca_file)}
        program = self.installation.binaries.program(self.installation.major, "postgres")
        with self.log.open("ab") as output:
            begin = output.tell()
            self._process = self.installation.processes.spawn([program, "-D", str(self.data)], output, preload)
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready():
            if not self.running() or time.monotonic() > deadline:
                self.stop(immediate=True)
                raise EngineError(f"The PostgreSQL server did not start: {self._complaint(begin)}")
            time.sleep(0.01)

    def _is_ready(self) -> bool:
        try:
            lines = (self.data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return False
        return len(lines) > 7 and lines[7].strip() == "ready"

    def _complaint(self, begin: int) -> str:
        with self.log.open("rb") as log:
            log.seek(begin)
            lines = log.read().decode("utf-8", "replace").splitlines()
        errors = [line.partition("FATAL:")[2].strip() for line in lines if "FATAL:" in line]
        return errors[0] if errors else " ".join(lines[-5:]) or "it said nothing"

    def reload(self) -> None:
        """Make the server read its configuration again."""
        self.signal(signal.SIGHUP)

    def await_setting(self, name: str, value: str) -> None:
        """Wait until a session that begins now has this value of a setting, after a reload; raises EngineError."""
        deadline = time.monotonic() + RELOAD_SECONDS
        while True:
            connection = self.connect(options="")
            try:
                with connection.cursor() as cursor:
                    cursor.execute("SELECT pg_catalog.current_setting(%s)", (name,))
                    row = cursor.fetchone()
            finally:
                connection.close()
            if row is not None and row[0] == value:
                return
            if time.monotonic() > deadline:
                raise EngineError(f"The server did not take {name} = {value}.")
            time.sleep(0.005)

    def signal(self, number: int) -> None:
        """Send a signal to the postmaster when it runs; do not wait."""
        if self._process is not None and self.running():
            self._process.send_signal(number)

    def stop(self, immediate: bool = False) -> None:
        """Stop the server: fast shutdown, or a crash. A server that does not run is fine."""
        if self._process is not None:
            self.installation.processes.end(self._process, signal.SIGQUIT if immediate else signal.SIGINT)
            self._process = None

    @contextmanager
    def connection(self, database: str = "postgres") -> Iterator[psycopg2.extensions.connection]:
        """Give an autocommit connection of the superuser, closed afterwards."""
        connection = self.connect(database)
        try:
            yield connection
        finally:
            connection.close()

    def connect(self, database: str = "postgres", options: str = UNBOUND) -> psycopg2.extensions.connection:
        """Return an autocommit connection of the superuser; EngineError when the server does not answer."""
        try:
            connection = psycopg2.connect(
                host=str(self.sockets),
                port=self.installation.port,
                user=BOOTSTRAP,
                dbname=database,
                application_name=BOOTSTRAP,
                connect_timeout=10,
                options=options,
            )
        except psycopg2.Error as error:
            raise EngineError(f"The lab cannot reach a server of its own: {str(error).strip()}") from error
        connection.autocommit = True
        return connection

    def query(self, statement: str, database: str = "postgres") -> str:
        """Run a statement as the superuser and return the first value of its first row as text."""
        with self.connection(database) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            row = cursor.fetchone()
        return str(row[0]) if row else ""

    def databases(self) -> list[str]:
        """Return every database that can be connected to, templates included."""
        with self.connection() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT datname FROM pg_catalog.pg_database WHERE datallowconn ORDER BY datname")
            return [str(row[0]) for row in cursor.fetchall()]
