# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One writer: a process that commits transactions at a rate, survives every error and writes down every answer.

Started by ``load.py``, which sends the order as one JSON line on stdin and may send more lines later
(``{"rate": 40}``, ``{"stop": true}``). When stdin ends without a stop, the parent is gone and the writer leaves at once.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg2

from tests.lab import load_schema
from tests.lab.load_ledger import COMMITTED, INTENT, REFUSED, UNKNOWN, Entry, LedgerFile

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

_KEPT_ORDERS = 40
_KEPT_EVENTS = 20
_MOST_BEHIND = 0.5  # s; a writer that was held does not send everything it missed at once
_CONNECT_AGAIN = 0.02  # s

_SINGLE = """
WITH booked AS (
    INSERT INTO shop.ledger (writer, n, kind, amount, note) VALUES (%(writer)s, %(n)s, 'single', %(amount)s, %(note)s)
    RETURNING id, host(server) AS server
), counted AS (
    UPDATE shop.totals SET transactions = transactions + 1, amount = amount + %(amount)s WHERE writer = %(writer)s
)
SELECT id, server FROM booked
"""
_BEGIN = """
BEGIN;
INSERT INTO shop.ledger (writer, n, kind, amount, note) VALUES (%(writer)s, %(n)s, 'multi', %(amount)s, %(note)s)
RETURNING id, host(server)
"""
_ORDER = """
INSERT INTO shop.orders (writer, n, customer, total, doc)
VALUES (%(writer)s, %(n)s, %(customer)s, %(amount)s, jsonb_build_object('state', 'new', 'lines', %(lines)s))
RETURNING id
"""
_CUSTOMER = """
UPDATE shop.customers SET balance = balance + %(amount)s,
    profile = jsonb_set(profile, '{visits}', to_jsonb((profile ->> 'visits')::bigint + 1))
WHERE id = %(customer)s;
"""
_EVENT = """
INSERT INTO shop."Order Events" (writer, n, "What happened") VALUES (%(writer)s, %(n)s, '{"event": "ordered"}')
RETURNING id
"""
_TOTALS = """
UPDATE shop.totals SET transactions = transactions + 1, amount = amount + %(amount)s, ordered = ordered + %(amount)s,
    events = events + 1
WHERE writer = %(writer)s;
"""
_CLOSE_ORDER = """
WITH gone AS (DELETE FROM shop.orders WHERE id = %(old_order)s RETURNING total)
UPDATE shop.totals SET closed = closed + gone.total FROM gone WHERE writer = %(writer)s;
"""
_TOUCH_EVENT = """
UPDATE shop."Order Events" SET "What happened" = "What happened" || '{"shipped": true}' WHERE id = %(last_event)s;
"""
_DROP_EVENT = """
WITH gone AS (DELETE FROM shop."Order Events" WHERE id = %(old_event)s RETURNING id)
UPDATE shop.totals SET events = totals.events - 1 FROM gone WHERE writer = %(writer)s;
"""


@dataclass(frozen=True)
class Order:
    """What one writer is to do; ``hold`` is how long (s) it keeps a multi-statement transaction open."""

    writer: int
    directory: str
    host: str
    port: int
    database: str
    user: str
    password: str
    ssl_mode: str
    ca_file: str | None
    rate: float
    seed: int
    reconnect_every: int
    multi_share: float
    hold: float = 0.0


class _Lost(Exception):
    """The connection went away while a transaction was on its way; ``at_commit`` says that the outcome is unknown."""

    def __init__(self, at_commit: bool, sqlstate: str | None) -> None:
        super().__init__()
        self.outcome = UNKNOWN if at_commit else REFUSED
        self.sqlstate = sqlstate


class Writer:
    """The loop of one writer."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.rate = order.rate
        self.stopping = threading.Event()
        self._ledger = LedgerFile(Path(order.directory), order.writer)
        self._random = random.Random(order.seed)
        self._connection: Connection | None = None
        self._uses_left = 0
        self._orders: deque[int] = deque()
        self._events: deque[int] = deque()

    def run(self) -> None:
        """Commit one transaction after the other until told to stop."""
        n = 0
        due = time.monotonic()
        while not self.stopping.is_set():
            pause = due - time.monotonic()
            if pause > 0:
                self.stopping.wait(pause)
                continue
            due = max(due, time.monotonic() - _MOST_BEHIND) + 1 / self.rate
            connection = self._connected()
            if connection is not None:
                n += 1
                self._write(connection, n)
        self._disconnect()
        self._ledger.close()

    def _connected(self) -> Connection | None:
        """Return a connection, a new one now and then; None (after a short rest) when there is none to be had."""
        if self._uses_left <= 0:
            self._disconnect()
        if self._connection is None:
            order = self.order
            try:
                self._connection = psycopg2.connect(
                    host=order.host,
                    port=order.port,
                    dbname=order.database,
                    user=order.user,
                    password=order.password,
                    sslmode=order.ssl_mode,
                    sslrootcert=order.ca_file,
                    connect_timeout=10,
                    application_name=f"writer-{order.writer}",
                )
                self._connection.autocommit = True
            except psycopg2.Error:
                self._disconnect()
                self.stopping.wait(_CONNECT_AGAIN)
                return None
            self._uses_left = self._random.randint(1, 2 * self.order.reconnect_every)
        self._uses_left -= 1
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except psycopg2.Error:
                pass  # already gone: what was wanted

    def _write(self, connection: Connection, n: int) -> None:
        multi = self._random.random() < self.order.multi_share
        values: dict[str, Any] = {
            "writer": self.order.writer,
            "n": n,
            "amount": self._random.randint(1, 1000),
            "note": json.dumps({"n": n, "text": "übung" * self._random.randint(0, 3)}),
        }
        started = time.time()

        def entry(outcome: str, row: tuple[int, str] | None = None, sqlstate: str | None = None) -> Entry:
            return Entry(
                writer=self.order.writer,
                n=n,
                outcome=outcome,
                kind="multi" if multi else "single",
                started=started,
                ended=time.time(),
                amount=values["amount"],
                row_id=row[0] if row else None,
                server=row[1] if row else None,
                sqlstate=sqlstate,
            )

        self._ledger.append(entry(INTENT))
        try:
            row = self._multi(connection, values) if multi else self._single(connection, values)
        except _Lost as lost:
            self._ledger.append(entry(lost.outcome, sqlstate=lost.sqlstate))
            self._disconnect()
        except psycopg2.Error as error:  # the server said no and the connection lives
            self._ledger.append(entry(REFUSED, sqlstate=error.pgcode))
            self._rollback(connection)
        else:
            self._ledger.append(entry(COMMITTED, row))

    def _single(self, connection: Connection, values: dict[str, Any]) -> tuple[int, str]:
        row: tuple[int, str] = self._first(connection, _SINGLE, values, commits=True)
        return row

    def _multi(self, connection: Connection, values: dict[str, Any]) -> tuple[int, str]:
        """Run one transaction of several statements; what it deletes later is remembered only once it is committed."""
        hold = self.order.hold
        values["lines"] = self._random.randint(1, 9)
        values["customer"] = (
            load_schema.own_customer(self.order.writer) if hold else self._random.randint(1, load_schema.CUSTOMERS)
        )
        row: tuple[int, str] = self._first(connection, _BEGIN, values)
        order_id: int = self._first(connection, _CUSTOMER + _ORDER, values)[0]
        if hold:
            self.stopping.wait(hold)
        event_id: int = self._first(connection, self._housekeeping(values) + _TOTALS + _EVENT, values)[0]
        self._first(connection, "COMMIT", {}, commits=True)
        self._forget(values)
        self._orders.append(order_id)
        self._events.append(event_id)
        return row

    def _housekeeping(self, values: dict[str, Any]) -> str:
        """Return the statements that close the oldest order, drop the oldest event and touch the last one."""
        statements = ""
        if len(self._orders) > _KEPT_ORDERS:
            values["old_order"] = self._orders[0]
            statements += _CLOSE_ORDER
        if self._events:
            values["last_event"] = self._events[-1]
            statements += _TOUCH_EVENT
        if len(self._events) > _KEPT_EVENTS:
            values["old_event"] = self._events[0]
            statements += _DROP_EVENT
        return statements

    def _forget(self, values: dict[str, Any]) -> None:
        if "old_order" in values:
            self._orders.popleft()
        if "old_event" in values:
            self._events.popleft()

    def _first(self, connection: Connection, statement: str, values: dict[str, Any], commits: bool = False) -> Any:
        """Return the first row of the statement's result, None when it has none; ``commits`` marks the one that decides."""
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement, values)
                return cursor.fetchone() if cursor.description else None
        except psycopg2.Error as error:
            if connection.closed or error.pgcode is None:
                raise _Lost(commits, error.pgcode) from error
            raise

    def _rollback(self, connection: Connection) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("ROLLBACK")
        except psycopg2.Error:
            self._disconnect()


def _obey(writer: Writer) -> None:
    """Follow the orders on stdin; leave without a word when the parent is gone."""
    for line in sys.stdin:
        order = json.loads(line)
        if order.get("stop"):
            writer.stopping.set()
            return
        writer.rate = float(order["rate"])
    os._exit(3)


def main() -> None:
    """Run one writer from the order on stdin."""
    writer = Writer(Order(**json.loads(sys.stdin.readline())))
    threading.Thread(target=_obey, args=(writer,), daemon=True).start()
    writer.run()


if __name__ == "__main__":
    main()
