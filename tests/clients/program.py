# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One client in Python: the driver alone, or the AWS Advanced Python Wrapper around it with its plugin `bg`.

It has its own packages (requirements.txt), so it is run by `fleet.py` with their directory before all others. The
order comes on stdin, one `key=value` a line up to an empty line; `stop` or the end of stdin ends it. Every attempt and
every word of the wrapper's plugin is one JSON line on stdout. `java/` holds the same program for JDBC.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

IDENTITY = {"postgresql": "SELECT host(inet_server_addr())", "mysql": "SELECT @@server_uuid"}
SERVER = {"postgresql": "host(inet_server_addr())", "mysql": "@@server_uuid"}
CONNECT_SECONDS = 5
_LEAVE_SECONDS = 3.0
_printing = threading.Lock()


def say(what: str, **facts: Any) -> None:
    """Print one line."""
    with _printing:
        sys.stdout.write(json.dumps({"what": what, **facts}) + "\n")
        sys.stdout.flush()


class Words(logging.Handler):
    """What the wrapper's plugin logs, each record a line of kind `event`."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record."""
        say("event", at=record.created, text=record.getMessage())


def connector(order: Mapping[str, str]) -> Callable[[], Any]:
    """Return how this client connects."""
    keywords: dict[str, Any] = {key: order[key] for key in ("host", "user", "password")} | {"port": int(order["port"])}
    wrapped = {"plugins": "bg", "bg_interval_baseline_ms": "1000", "bg_suspend_new_blue_connections": "True"}
    if order["kind"] == "postgresql":
        keywords |= {"dbname": order["database"], "connect_timeout": CONNECT_SECONDS, "autocommit": True}
        keywords |= {"sslmode": "verify-ca", "sslrootcert": order["ca"]} if order.get("ca") else {"sslmode": "disable"}
        keywords |= {"prepare_threshold": None}  # a PgBouncer in between knows no prepared statements
        driver: Any = importlib.import_module("psycopg").Connection.connect
    else:
        keywords |= {"database": order["database"], "connection_timeout": CONNECT_SECONDS, "autocommit": True}
        keywords |= {"use_pure": True, "ssl_disabled": not order.get("ca")}
        keywords |= {"ssl_ca": order["ca"], "ssl_verify_cert": True} if order.get("ca") else {}
        driver = importlib.import_module("mysql.connector").Connect
    if order["driver"] == "plain":
        return lambda: driver(**keywords)
    from tests.clients import wrapper_defects

    connection = wrapper_defects.repaired()
    options = wrapped | {"wrapper_dialect": order["dialect"]} if order.get("dialect") else wrapped
    return lambda: connection.connect(driver, **keywords, **options)


class Client:
    """The threads of one client."""

    def __init__(self, order: Mapping[str, str]) -> None:
        """Read the order; nothing is started."""
        self._order = order
        self._connect = connector(order)
        self._kind = order["kind"]
        self.stopping = threading.Event()

    def run(self) -> None:
        """Write and probe until told to stop."""
        tasks = {
            self._write: (int(self._order["writers"]), float(self._order["rate"])),
            self._probe: (int(self._order["probes"]), float(self._order["probe_rate"])),
        }
        threads = [
            threading.Thread(target=task, args=(number, 1 / rate), daemon=True)
            for task, (count, rate) in tasks.items()
            for number in range(1, count + 1)
        ]
        for thread in threads:
            thread.start()
        self.stopping.wait()
        for thread in threads:
            thread.join(_LEAVE_SECONDS)
        say("end", at=time.time(), stuck=sum(thread.is_alive() for thread in threads))

    def _write(self, number: int, pause: float) -> None:
        """Commit one row after the other; a number that was tried is never used again."""
        who, n, session, server = f"{self._order['client']}-{number}", 0, None, ""
        statement = f"INSERT INTO {self._order['table']} (client, n, server) VALUES (%s, %s, {SERVER[self._kind]})"
        while not self.stopping.is_set():
            n += 1
            start = time.time()
            try:
                if session is None:
                    session = self._connect()
                    server = self._ask(session)
                with session.cursor() as cursor:
                    cursor.execute(statement, (who, n))
                self._tell("write", start, who=who, n=n, server=server)
            except Exception as error:  # noqa: BLE001 - whatever a driver raises is what this program is about
                self._tell("write", start, who=who, n=n, error=_named(error))
                self._leave(session)
                session = None
            self.stopping.wait(pause)
        self._leave(session)

    def _probe(self, number: int, pause: float) -> None:
        """Connect anew, ask who answers, leave."""
        who = f"{self._order['client']}-probe-{number}"
        while not self.stopping.is_set():
            start = time.time()
            session = None
            try:
                session = self._connect()
                self._tell("connect", start, who=who, server=self._ask(session))
            except Exception as error:  # noqa: BLE001 - as above
                self._tell("connect", start, who=who, error=_named(error))
            self._leave(session)
            self.stopping.wait(pause)

    def _ask(self, session: Any) -> str:
        with session.cursor() as cursor:
            cursor.execute(IDENTITY[self._kind])
            return str(cursor.fetchone()[0])

    @staticmethod
    def _tell(what: str, start: float, **facts: Any) -> None:
        say(what, at=start, ms=round((time.time() - start) * 1000, 1), ok="error" not in facts, **facts)

    @staticmethod
    def _leave(session: Any) -> None:
        try:
            if session is not None:
                session.close()
        except Exception as error:  # noqa: BLE001 - it is gone already, which is what was wanted
            logging.getLogger(__name__).debug("close: %s", error)


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"


def _obey(client: Client) -> None:
    for line in sys.stdin:
        if line.strip() == "stop":
            break
    client.stopping.set()


def main() -> None:
    """Run one client."""
    order: dict[str, str] = {}
    for line in sys.stdin:
        if not line.strip():
            break
        key, _equals, value = line.rstrip("\n").partition("=")
        order[key] = value
    log = logging.getLogger("aws_advanced_python_wrapper.blue_green_plugin")
    log.setLevel(logging.DEBUG)
    log.addHandler(Words())
    log.propagate = False
    client = Client(order)
    threading.Thread(target=_obey, args=(client,), daemon=True).start()
    client.run()
    sys.stdout.flush()
    os._exit(0)  # the wrapper's monitors and a held call end with the process


if __name__ == "__main__":
    main()
