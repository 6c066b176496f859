# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""States of binlog_replication in the test's own process, clients that note what was acknowledged, and sudden death."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

import pymysql

from ansible_collections.bluegreen.aws.plugins.module_utils._core.endpoint import Endpoint
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.journal import Journal
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql import canary
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.connection import connected, execute, transaction
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.deployment import Request, reach
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.place import Reported
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.replication_user import Login
from tests.integration.mysql.conftest import VERSION, Servers

TABLES = (
    "CREATE TABLE shop.ledger (id bigint AUTO_INCREMENT PRIMARY KEY, writer int, n int)",
    "CREATE TABLE shop.`Order Events` (writer int, n int, what json)",
)
READS = ("SELECT", "SHOW", "SET")
_LITERAL = re.compile(r"'(?:[^'\\]|\\.|'')*'")  # tokens and passwords are new in each run


def step(
    state: str,
    names: Names,
    blue: Endpoint | None,
    green: Endpoint | None = None,
    *,
    journal: Journal | None = None,
    told: str | None = None,
    version: str = VERSION,
    **more: Any,
) -> tuple[Journal, dict[str, Any]]:
    """Reach a state; ``told`` is the position in the service's event. Returns what was done and the result."""
    journal = journal or Journal(check_mode=False)
    request = Request(
        state=state,
        position=None,
        gtid="auto",
        login=Login(names.replication_user),
        binlog_retention_hours=72,
        unlocked_accounts=(),
        max_lag=None,
        wait=True,
        wait_timeout=60.0,
        wait_delay=0.1,
    )
    return journal, reach(
        replace(request, **more), blue, green, names, journal, lambda: Reported(told, version, enhanced_binlog=False)
    )


def told(servers: Servers, green: Endpoint) -> str:
    """The position as the event of a clone's first start has it."""
    return "{} {}".format(*servers.position(green))


@dataclass(frozen=True)
class Pair:
    """Two sides and what they belong to."""

    blue: Endpoint
    green: Endpoint
    names: Names


def replicated(servers: Servers, blue: Endpoint, deployment_id: str, *, upgrade: bool = False) -> Pair:
    """Clone ``blue`` and let the clone follow it."""
    names = Names.of(deployment_id)
    step("prepared", names, blue)
    with canaries(blue, names):
        green = servers.clone(blue)
    step("positioned", names, blue, green, told=told(servers, green))
    if upgrade:
        servers.upgrade(green)
    step("running", names, blue, green)
    return Pair(blue, green, names)


@contextmanager
def canaries(blue: Endpoint, names: Names) -> Iterator[None]:
    """Canaries are written for as long as the block runs, the first ones before it begins and the last ones after it."""
    thread = threading.Thread(
        target=canary.write, args=(blue, names.deployment_id), kwargs={"duration": 60.0, "interval": 0.05}
    )
    thread.start()
    try:
        _wait_for_more(blue)
        yield
        _wait_for_more(blue)
    finally:
        with connected(blue) as conn:
            canary.end(conn, names.deployment_id)
        thread.join()


def _wait_for_more(blue: Endpoint) -> None:
    with connected(blue) as conn, conn.cursor() as cursor:
        seen: set[int] = set()
        while len(seen) < 4:
            with suppress(pymysql.err.ProgrammingError):  # the table is not there yet
                cursor.execute("SELECT COUNT(*) FROM bluegreen.canary")
                seen.add(int(cursor.fetchall()[0][0]))


class Writers:
    """Clients that note what was acknowledged; they reconnect for as long as they run."""

    def __init__(self, endpoint: Endpoint, count: int = 3) -> None:
        self._endpoint, self._stop = endpoint, threading.Event()
        self.acknowledged: set[tuple[int, int]] = set()
        self._threads = [threading.Thread(target=self._write, args=(number,)) for number in range(count)]

    def __enter__(self) -> Writers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_about: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _write(self, writer: int) -> None:
        n = 0
        while not self._stop.is_set():
            with suppress(BlueGreenError, pymysql.MySQLError), connected(self._endpoint) as conn:
                for _turn in range(50):
                    n += 1
                    with transaction(conn):
                        execute(conn, "INSERT INTO shop.ledger (writer, n) VALUES (%s, %s)", (writer, n))
                        execute(conn, "INSERT INTO shop.`Order Events` VALUES (%s, %s, '{\"a\": 1}')", (writer, n))
                    self.acknowledged.add((writer, n))
                    if self._stop.wait(0.01):
                        return


def killed_at_every_statement(reach_state: Callable[[], object]) -> int:
    """Run it in processes of their own, each killed after a change that none was killed after before, until one lives.

    Each begins with what the one before left behind. Returns how many died.
    """
    seen: set[str] = set()
    while True:
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read)
            _dying(seen, write, reach_state)
        os.close(write)
        with os.fdopen(read) as pipe:
            last = pipe.read()
        _child, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL and last not in seen:
            seen.add(last)
            continue
        assert os.waitstatus_to_exitcode(status) == 0, f"the run that was not killed failed: {last}"
        return len(seen)


def _dying(seen: set[str], pipe: int, reach_state: Callable[[], object]) -> None:
    query = pymysql.connections.Connection.query

    def mortal(self: Any, sql: Any, unbuffered: bool = False) -> int:
        answer: int = query(self, sql, unbuffered)
        words = sql.decode(errors="replace") if isinstance(sql, bytes | bytearray) else sql
        kind = _LITERAL.sub("?", words).strip()
        if not kind.upper().startswith(READS) and kind not in seen:
            os.write(pipe, kind.encode())
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    try:
        with patch.object(pymysql.connections.Connection, "query", mortal):
            reach_state()
    except BaseException as error:  # noqa: BLE001  the child must never go on as a test run
        os.write(pipe, f"{type(error).__name__}: {error}".encode())
        os._exit(1)
    os._exit(0)
