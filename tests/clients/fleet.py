# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clients of several kinds beside each other, and what each of them was told, attempt by attempt."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.clients import fetch

ROOT = Path(__file__).resolve().parents[2]
PLAIN, PYTHON, JDBC, PGBOUNCER = "plain", "python_wrapper", "jdbc_wrapper", "pgbouncer"
WRAPPERS = (PYTHON, JDBC)
_STOP_SECONDS = 20.0
_FIRST_SECONDS = 120.0


@dataclass(frozen=True)
class Attempt:
    """One write or one new connection: `at` and `end` in seconds since the epoch, who answered or what went wrong."""

    what: str  # write | connect
    who: str
    at: float
    end: float
    n: int = 0
    server: str = ""
    error: str = ""


@dataclass(frozen=True)
class Event:
    """Words of a wrapper's plugin."""

    at: float
    text: str


@dataclass(frozen=True)
class Order:
    """What every client does: a session that writes `rate` rows a second, new connections `probe_rate` times."""

    kind: str  # postgresql | mysql
    host: str
    port: int
    database: str
    user: str
    password: str = field(repr=False)
    table: str
    ca: str = ""
    writers: int = 1
    rate: float = 20.0
    probes: int = 1
    probe_rate: float = 5.0


class Client:
    """One running client; its lines are in `path`."""

    def __init__(self, name: str, order: Order, environment: Mapping[str, str], directory: Path) -> None:
        """Start it; `name` says its kind, and with the directory marks its rows. Raises fetch.Missing."""
        self.name = name
        self.path = directory / f"{name}.jsonl"
        self._errors = directory / f"{name}.err"
        command, more = _program(name)
        with self.path.open("wb") as output, self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **environment, **more},
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=errors,
                text=True,
            )
        facts = dict(vars(order))
        facts |= {"client": f"{directory.name}-{name}", "driver": "wrapper" if name in WRAPPERS else "plain"}
        self._tell("".join(f"{key}={value}\n" for key, value in facts.items()) + "\n")

    def _tell(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(text)
        self._process.stdin.flush()

    def stop(self) -> None:
        """Let it end; kill it when it does not."""
        if self._process.poll() is None:
            try:
                self._tell("stop\n")
                self._process.wait(_STOP_SECONDS)
            except (OSError, subprocess.TimeoutExpired):
                self._process.kill()
        self._process.wait()
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()

    def running(self) -> bool:
        """Whether the program runs."""
        return self._process.poll() is None

    def words(self) -> str:
        """What it said on stderr."""
        return self._errors.read_text(encoding="utf-8", errors="replace").strip()

    def attempts(self, what: str = "write") -> list[Attempt]:
        """Return its attempts of a kind in the order in which they ended."""
        found = [line for line in self._lines() if line["what"] == what]
        return [
            Attempt(
                what=what,
                who=line["who"],
                at=line["at"],
                end=line["at"] + line["ms"] / 1000,
                n=line.get("n", 0),
                server=line.get("server", ""),
                error=line.get("error", ""),
            )
            for line in found
        ]

    def events(self) -> list[Event]:
        """Return what the wrapper's plugin said."""
        return [Event(line["at"], line["text"]) for line in self._lines() if line["what"] == "event"]

    def stuck(self) -> int:
        """Return how many of its threads did not come back when it was told to stop; -1 when it did not say."""
        ends = [line["stuck"] for line in self._lines() if line["what"] == "end"]
        return int(ends[0]) if ends else -1

    def _lines(self) -> list[dict[str, Any]]:
        text = self.path.read_text(encoding="utf-8")
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


class Fleet:
    """Running clients by name."""

    def __init__(self, orders: Mapping[str, Order], environment: Mapping[str, str], directory: Path) -> None:
        """Start every client and wait until each has written and connected. Raises fetch.Missing, RuntimeError."""
        directory.mkdir(parents=True, exist_ok=True)
        self.clients: dict[str, Client] = {}
        try:
            for name, order in orders.items():
                self.clients[name] = Client(name, order, environment, directory)
            self.wait(_works, _FIRST_SECONDS, "a first write and a first connection")
        except BaseException:
            self.stop()
            raise

    def __getitem__(self, name: str) -> Client:
        """Return a client."""
        return self.clients[name]

    def wait(
        self, what: Callable[[Client], bool], seconds: float, description: str, names: Sequence[str] | None = None
    ) -> None:
        """Wait until something is true of every client, or of these; raises RuntimeError that says of which it is not."""
        end = time.monotonic() + seconds
        waiting = list(names or self.clients)
        while waiting := [name for name in waiting if not what(self.clients[name])]:
            if dead := [name for name in waiting if not self.clients[name].running()]:
                words = self.clients[dead[0]].words().splitlines()[-3:]
                raise RuntimeError(f"The client {dead[0]} ended: {' '.join(words)}")
            if time.monotonic() > end:
                errors = [a.error for name in waiting for a in self.clients[name].attempts() if a.error][-1:]
                raise RuntimeError(f"Waited {seconds:.0f} s for {description} of {', '.join(waiting)}. {errors}")
            time.sleep(0.1)

    def stop(self) -> None:
        """End every client."""
        for client in self.clients.values():
            client.stop()

    def __enter__(self) -> Self:
        """Return the fleet."""
        return self

    def __exit__(self, *_exc: object) -> None:
        """End every client."""
        self.stop()


def _works(client: Client) -> bool:
    return any(not a.error for a in client.attempts()) and any(not a.error for a in client.attempts("connect"))


def _program(name: str) -> tuple[list[str], dict[str, str]]:
    if name == JDBC:
        place = fetch.java_classes()
        java = [fetch.java(), "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        # Java keeps what a name led to for 30 s unless it is told otherwise
        java += ["-Dsun.net.inetaddr.ttl=1", "-Dsun.net.inetaddr.negative.ttl=0"]
        return [*java, "-cp", f"{place}/classes:{place}/lib/*", "clients.Program"], {}
    packages = fetch.python_packages()
    return [sys.executable, "-m", "tests.clients.program"], {"PYTHONPATH": f"{packages}{os.pathsep}{ROOT}"}
