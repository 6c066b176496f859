# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A deployment on the lab's MySQL servers whose green follows blue, and writers that go where they can."""

from __future__ import annotations

import importlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from typing import Any, cast

import pymysql

from ansible_collections.bluegreen.aws.plugins.module_utils._core.endpoint import Endpoint
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.journal import Journal
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql import locks, record, replication_user
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.connection import connect, connected, execute, rows
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.coordinates import Coordinates, channel
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.dialect import Dialect
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.service import service_of
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.side import MySQLSide, pair
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.side_policy import Policy
from ansible_collections.bluegreen.aws.plugins.module_utils._switchover.gates import Gates
from ansible_collections.bluegreen.aws.plugins.module_utils._switchover.run import Limits, Move
from ansible_collections.bluegreen.aws.plugins.module_utils._switchover.timeline import Timeline
from tests.integration.conftest import ModuleFailed
from tests.integration.mysql.conftest import Servers, application, login, run
from tests.integration.runner import ROOT
from tests.lab.tools import wait_until

TABLE = "CREATE TABLE orders (id BIGINT AUTO_INCREMENT PRIMARY KEY, note VARCHAR(64) NOT NULL) ENGINE=InnoDB"
_NUMBERS = itertools.count(1)
_RUNS = """\
import json, sys
import conftest  # the search paths of this repository
from ansible.module_utils.testing import patch_module_args
from ansible_collections.bluegreen.aws.plugins.modules import bg_switchover
with patch_module_args(json.load(sys.stdin)):
    bg_switchover.main()
"""
_DIES = """\
import json, sys
import conftest  # the search paths of this repository
conftest.prepare()
from tests.integration.mysql.deployed import die_at
die_at(*json.load(sys.stdin))
"""


@dataclass
class Deployment:
    """A deployment whose green follows blue."""

    servers: Servers
    names: Names
    blue: Endpoint
    green: Endpoint
    app: Endpoint

    def options(self, **more: Any) -> dict[str, Any]:
        return {
            "deployment_id": self.names.deployment_id,
            "engine": "aurora_mysql",
            "blue": login(self.blue),
            "green": login(self.green),
            **more,
        }

    def run_module(self, *, check: bool = False, diff: bool = False, **more: Any) -> dict[str, Any]:
        """The module as Ansible runs it; nothing here needs AWS. Raises ModuleFailed."""
        arguments = {**self.options(**more), "_ansible_check_mode": check, "_ansible_diff": diff}
        done = self.start_module(_RUNS, arguments)
        result: dict[str, Any] = json.loads(done.stdout)
        if result.get("failed"):
            raise ModuleFailed(result)
        return result

    def start_module(self, program: str, content: Any) -> subprocess.CompletedProcess[str]:
        """A Python program with the paths of this repository and this on its standard input."""
        return subprocess.run(
            [sys.executable, "-c", program],
            input=json.dumps(content),
            capture_output=True,
            text=True,
            check=False,
            cwd=ROOT,
            env=os.environ,
        )

    def side(self, name: str) -> Endpoint:
        return {"blue": self.blue, "green": self.green}[name]

    def as_app(self, name: str) -> Endpoint:
        """The application's login on one side."""
        side = self.side(name)
        return replace(side, user=self.app.user, password=self.app.password, database="shop")

    def move_and_die(self, state: str, name: str, count: int) -> None:
        """A run of the move that is killed just before a call."""
        sides = [asdict(side) for side in (self.blue, self.green)]
        done = self.start_module(_DIES, [self.names.deployment_id, *sides, state, name, count])
        assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr

    def open_sides(self) -> set[str]:
        """The sides that let the application in and let it write, as it finds out itself."""
        found = set()
        for name in ("blue", "green"):
            with suppress(BlueGreenError, pymysql.MySQLError), closing(connect(self.as_app(name))) as conn:
                execute(conn, "DELETE FROM orders WHERE FALSE")
                found.add(name)
        return found

    def follows(self, name: str) -> bool:
        """Whether a side replicates."""
        with connected(self.side(name)) as conn:
            found = channel(conn, Dialect.of(conn))
            return found is not None and found.running

    def connect_again(self, name: str) -> None:
        """Let a side's replication connect now; by itself it tries every 60 s."""
        with connected(self.side(name)) as conn:
            service = service_of(conn, Dialect.of(conn))
            service.stop()
            service.start()

    def sides(self) -> tuple[MySQLSide, MySQLSide]:
        return pair(
            self.blue,
            self.green,
            self.names,
            Policy(replication_user.login(self.names.replication_user, None, None, "require")),
        )

    def move(self, state: str = "switched_over", timeout: float = 30) -> Timeline:
        """The move in this process."""
        blue, green = self.sides()
        source, target = (blue, green) if state == "switched_over" else (green, blue)
        timeline = Timeline()
        try:
            source.connect()
            target.connect()
            Move(source, target, Gates([]), Limits(5, timeout, 5), Journal(False), timeline, reverse=True).run()
        finally:
            blue.close()
            green.close()
        return timeline


def die_at(deployment_id: str, blue: dict[str, Any], green: dict[str, Any], state: str, name: str, count: int) -> None:
    """Move, and kill this process before the ``count``-th call of something in the package of MySQL."""
    module, _dot, path = name.partition(".")
    owner: Any = importlib.import_module(f"{locks.__name__.rpartition('.')[0]}.{module}")
    for part in path.split(".")[:-1]:
        owner = getattr(owner, part)
    original, calls = getattr(owner, path.rpartition(".")[2]), itertools.count(1)

    def dies(*arguments: Any, **more: Any) -> Any:
        if next(calls) == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **more)

    setattr(owner, path.rpartition(".")[2], dies)
    side = Endpoint(**blue)
    Deployment(cast(Servers, None), Names.of(deployment_id), side, Endpoint(**green), side).move(state)


def deploy(servers: Servers, *, gtid: bool = True, **parameters: str) -> Deployment:
    """A blue with an application, its clone, and the replication between them."""
    names = Names.of(f"dep-{next(_NUMBERS)}")
    blue = servers.blue(gtid=gtid, **parameters)
    run(blue, TABLE, database="shop")
    app = application(blue)
    user = replication_user.login(names.replication_user, None, None, "require")
    with connected(blue) as conn:
        record.ensure(conn)
        service_of(conn, Dialect.of(conn)).set_retention(24)
        password = replication_user.renew(conn, names.deployment_id, user)
    green = servers.clone(blue)
    with connected(green) as conn:
        at = None if gtid else Coordinates(*servers.position(green))
        record.commit(conn, names.deployment_id, position=at)
        locks.lock(conn, names.deployment_id, locks.client_accounts(conn))
        dialect = Dialect.of(conn)
        service = service_of(conn, dialect)
        service.set_source(blue, user.user, password, at, encrypted=True)
        service.start()

        def follows() -> bool:
            found = channel(conn, dialect)
            return found is not None and found.running

        wait_until(follows, 10, "green to follow")
    return Deployment(servers, names, replace(blue, connect_timeout=3), replace(green, connect_timeout=3), app)


@dataclass
class Writers:
    """Clients that write on whichever side lets them, and what was acknowledged to them."""

    deployment: Deployment
    acknowledged: list[str] = field(default_factory=list)
    longest: float = 0.0
    stop: threading.Event = field(default_factory=threading.Event)

    def write(self, number: int) -> None:
        conn: Any = None
        side, last = "blue", time.monotonic()
        for count in itertools.count():
            if self.stop.is_set():
                break
            note = f"{number}-{count}-{time.monotonic_ns()}"
            try:
                conn = conn or connect(self.deployment.as_app(side))
                execute(conn, "INSERT INTO orders (note) VALUES (%s)", (note,))
            except Exception:  # noqa: BLE001  whatever it was, the other side may let it in
                if conn is not None:
                    with suppress(pymysql.MySQLError):
                        conn.close()
                conn, side = None, {"blue": "green", "green": "blue"}[side]
                time.sleep(0.005)
                continue
            self.acknowledged.append(note)
            self.longest, last = max(self.longest, time.monotonic() - last), time.monotonic()
            time.sleep(0.02)
        if conn is not None:
            conn.close()


@contextmanager
def writers(deployment: Deployment, number: int = 3) -> Iterator[Writers]:
    """Clients that write until the end of the block."""
    found = Writers(deployment)
    threads = [threading.Thread(target=found.write, args=(one,)) for one in range(number)]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        found.stop.set()
        for thread in threads:
            thread.join()


def notes(endpoint: Endpoint) -> list[str]:
    with closing(connect(endpoint)) as conn:
        return [row[0] for row in rows(conn, "SELECT note FROM shop.orders")]
