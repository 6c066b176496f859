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

from tests.lab.load_engine import CUSTOMERS, Booked, Lost, NoSession, Refused, Session, Target, Work, own_customer
from tests.lab.load_ledger import COMMITTED, INTENT, REFUSED, Entry, LedgerFile

_KEPT_ORDERS = 40
_KEPT_EVENTS = 20
_MOST_BEHIND = 0.5  # s; a writer that was held does not send everything it missed at once
_CONNECT_AGAIN = 0.02  # s


@dataclass(frozen=True)
class Order:
    """What one writer is to do; ``hold`` is how long (s) it keeps a multi-statement transaction open."""

    writer: int
    directory: str
    target: Target
    rate: float
    seed: int
    reconnect_every: int
    multi_share: float
    hold: float = 0.0


def session(target: Target, name: str) -> Session:
    """Connect with the driver of the target's engine; raises NoSession."""
    if target.engine == "aurora-mysql":
        from tests.lab.load_mysql import MySQLSession  # a writer loads one driver only

        return MySQLSession(target, name)
    if target.engine == "neptune":
        from tests.lab.load_neptune import NeptuneSession

        return NeptuneSession(target, name)
    from tests.lab.load_postgresql import PostgreSQLSession

    return PostgreSQLSession(target, name)


class Writer:
    """The loop of one writer."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.rate = order.rate
        self.stopping = threading.Event()
        self._ledger = LedgerFile(Path(order.directory), order.writer)
        self._random = random.Random(order.seed)
        self._session: Session | None = None
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
            session = self._connected()
            if session is not None:
                n += 1
                self._write(session, n)
        self._disconnect()
        self._ledger.close()

    def _connected(self) -> Session | None:
        """Return a session, a new one now and then; None (after a short rest) when there is none to be had."""
        if self._uses_left <= 0:
            self._disconnect()
        if self._session is None:
            try:
                self._session = session(self.order.target, f"writer-{self.order.writer}")
            except NoSession:
                self.stopping.wait(_CONNECT_AGAIN)
                return None
            self._uses_left = self._random.randint(1, 2 * self.order.reconnect_every)
        self._uses_left -= 1
        return self._session

    def _disconnect(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()

    def _write(self, session: Session, n: int) -> None:
        multi = self._random.random() < self.order.multi_share
        work = Work(
            writer=self.order.writer,
            n=n,
            amount=self._random.randint(1, 1000),
            note=json.dumps({"n": n, "text": "übung" * self._random.randint(0, 3)}),
        )
        started = time.time()

        def entry(outcome: str, row: Booked | None = None, code: str | None = None) -> Entry:
            return Entry(
                writer=self.order.writer,
                n=n,
                outcome=outcome,
                kind="multi" if multi else "single",
                started=started,
                ended=time.time(),
                amount=work.amount,
                row_id=row[0] if row else None,
                server=row[1] if row else None,
                sqlstate=code,
            )

        self._ledger.append(entry(INTENT))
        try:
            row = self._multi(session, work) if multi else session.single(work)
        except Lost as lost:
            self._ledger.append(entry(lost.outcome, code=lost.code))
            self._disconnect()
        except Refused as refused:
            self._ledger.append(entry(REFUSED, code=refused.code))
            self._rollback(session)
        else:
            self._ledger.append(entry(COMMITTED, row))

    def _multi(self, session: Session, work: Work) -> Booked:
        """Run one transaction of several statements; what it deletes later is remembered only once it is committed."""
        hold = self.order.hold
        work.lines = self._random.randint(1, 9)
        work.customer = own_customer(self.order.writer) if hold else self._random.randint(1, CUSTOMERS)
        row = session.begin(work)
        order_id = session.order(work)
        if hold:
            self.stopping.wait(hold)
        self._housekeeping(work)
        event_id = session.finish(work)
        session.commit()
        self._forget(work)
        self._orders.append(order_id)
        self._events.append(event_id)
        return row

    def _housekeeping(self, work: Work) -> None:
        """Say which order is the oldest, to be closed, and which events are to be dropped and touched."""
        if len(self._orders) > _KEPT_ORDERS:
            work.old_order = self._orders[0]
        if self._events:
            work.last_event = self._events[-1]
        if len(self._events) > _KEPT_EVENTS:
            work.old_event = self._events[0]

    def _forget(self, work: Work) -> None:
        if work.old_order is not None:
            self._orders.popleft()
        if work.old_event is not None:
            self._events.popleft()

    def _rollback(self, session: Session) -> None:
        try:
            session.rollback()
        except (Lost, Refused):
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
    order = json.loads(sys.stdin.readline())
    writer = Writer(Order(**{**order, "target": Target(**order["target"])}))
    threading.Thread(target=_obey, args=(writer,), daemon=True).start()
    writer.run()


if __name__ == "__main__":
    main()
