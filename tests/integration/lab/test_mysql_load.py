# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writers, auditor and gate on real MySQL servers: nothing is lost by themselves, and no fault escapes the auditor."""

from __future__ import annotations

import os
import secrets
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pymysql
import pytest

from tests.lab import load_schema
from tests.lab.auditor import Audit, Side, audit, read_side
from tests.lab.gate_haproxy import BACKEND, HAProxy
from tests.lab.lab import Blue, Lab
from tests.lab.load import Load, Target
from tests.lab.load_ledger import COMMITTED, REFUSED, UNKNOWN
from tests.lab.tools import MYSQL
from tests.scene import APPLICATION, connect_mysql, parameters

WRITERS = 3
TABLES = ("ledger", "customers", "orders", "order_lines", "`Order Events`", "totals")
READ_ONLY = "1290"  # ER_OPTION_PREVENTS_STATEMENT


@dataclass
class Shop:
    """A blue with the application's tables in a database of the test's own."""

    lab: Lab
    blue: Blue
    password: str

    def target(self) -> Target:
        blue, ca_file = self.blue, self.lab.ca_file
        return Target(
            blue.host,
            blue.port,
            blue.database,
            APPLICATION + blue.database,
            self.password,
            "verify-full",
            ca_file,
            MYSQL,
        )

    def side(self) -> Side:
        return Side("blue", parameters(self.lab, self.blue, self.blue.cluster), MYSQL)

    def execute(self, *statements: str) -> list[Any]:
        """Run statements as the master user; return the last one's rows."""
        rows: list[Any] = []
        with closing(connect_mysql(self.lab, self.blue, self.blue.cluster)) as conn, conn.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
                rows = list(cursor.fetchall())
        return rows

    def kill_sessions(self) -> None:
        """End the application's sessions."""
        user = APPLICATION + self.blue.database
        for (session,) in self.execute(f"SELECT id FROM performance_schema.processlist WHERE user = '{user}'"):
            with suppress(pymysql.err.OperationalError):  # it has ended by itself
                self.execute(f"KILL {session}")


@pytest.fixture(scope="module")
def cluster(lab: Lab) -> Iterator[Blue]:
    before = lab.clusters()
    yield lab.seed_mysql("my-load", database="first", readers=0)
    lab.clear(before)


@pytest.fixture
def shop(lab: Lab, cluster: Blue) -> Shop:
    return new_shop(lab, cluster)


def new_shop(lab: Lab, cluster: Blue) -> Shop:
    name = f"shop{secrets.token_hex(3)}"
    made = Shop(lab, replace(cluster, database=name), secrets.token_urlsafe(16))
    with closing(connect_mysql(lab, cluster, cluster.cluster)) as connection:
        with connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name}")
        connection.select_db(name)
        load_schema.create(connection, APPLICATION + name, made.password, range(1, WRITERS + 2))
    return made


FAULTS = {
    "a lost row": ("DELETE FROM ledger WHERE (writer, n) = (1, 3)", "lost", (1, 3)),
    "a doubled row": ("INSERT INTO ledger SELECT * FROM ledger WHERE (writer, n) = (2, 4)", "duplicated", (2, 4)),
    "a ghost": ("INSERT INTO ledger (writer, n, kind, amount) VALUES (1, 99999, 'single', 1)", "ghosts", (1, 99999)),
    "a changed row": ("UPDATE ledger SET amount = amount + 1 WHERE (writer, n) = (1, 5)", "altered", (1, 5)),
}
BROKEN_SUMS = {
    "a lost order": "DELETE FROM orders ORDER BY id DESC LIMIT 1",
    "a lost line": "DELETE FROM order_lines ORDER BY order_id DESC LIMIT 1",
    "a lost event": "DELETE FROM `Order Events` ORDER BY id DESC LIMIT 1",
    "an update applied twice": "UPDATE totals SET amount = amount + 1 WHERE writer = 1",
    "a lost update of JSON": "UPDATE customers SET profile = JSON_SET(profile, '$.visits', 0)",
    "a lost update of a balance": "UPDATE customers SET balance = balance - 0.01 WHERE balance > 0 LIMIT 1",
}


@contextmanager
def undone(shop: Shop, statement: str) -> Iterator[None]:
    """Have the effect of a statement for a while; `keep` has made the copies."""
    shop.execute(statement)
    try:
        yield
    finally:
        shop.execute(
            "SET foreign_key_checks = 0",
            *(f"DELETE FROM {table}" for table in TABLES),
            *(f"INSERT INTO {table} SELECT * FROM keep_{n}" for n, table in enumerate(TABLES) if n),
            "UPDATE totals SET transactions = 0, amount = 0",  # the ledger's trigger counts again
            "INSERT INTO ledger SELECT * FROM keep_0",
        )


def keep(shop: Shop) -> None:
    """Copy the tables."""
    shop.execute(*(f"CREATE TABLE keep_{n} AS SELECT * FROM {table}" for n, table in enumerate(TABLES)))


def test_no_fault_escapes_the_auditor(shop: Shop, tmp_path: Path) -> None:
    with Load.start(tmp_path, shop.target(), WRITERS, rate=150, seed=3, reconnect_every=20) as load:
        time.sleep(3)
        assert audit(load.entries, shop.side()).findings() == []
    clean = audit(load.entries, shop.side())
    assert clean.findings() == []
    assert clean.acknowledged > 200
    keep(shop)
    for name, (statement, field, key) in FAULTS.items():
        with undone(shop, statement):
            assert getattr(audit(load.entries, shop.side()), field) == (key,), name
    for name, statement in BROKEN_SUMS.items():
        with undone(shop, statement):
            assert audit(load.entries, shop.side()).broken_sums, name
    assert audit(load.entries, shop.side()).findings() == []


def test_every_kind_of_row_that_replication_trips_over_is_written(shop: Shop, tmp_path: Path) -> None:
    with Load.start(tmp_path, shop.target(), WRITERS, rate=200, seed=9, multi_share=1.0) as load:
        deadline = time.monotonic() + 30
        while not shop.execute("SELECT COUNT(*) FROM totals WHERE closed > 0 AND events > 0")[0][0]:
            assert time.monotonic() < deadline, "no order was closed"
            time.sleep(0.2)
    assert audit(load.entries, shop.side()).findings() == []
    assert shop.execute("SELECT COUNT(*) FROM `Order Events` WHERE `What happened` ->> '$.shipped' = 'true'")[0][0] > 0
    assert shop.execute("SELECT DISTINCT item FROM order_lines") == [("Tasse ☕ für 買い物",)]


def test_a_write_on_the_fenced_side_only_is_found(lab: Lab, cluster: Blue, shop: Shop, tmp_path: Path) -> None:
    other = new_shop(lab, cluster)
    with Load.start(tmp_path, shop.target(), WRITERS, rate=50, seed=4) as load:
        pass
    other.execute(
        f"DELETE FROM {other.blue.database}.totals",
        *(
            f"INSERT IGNORE INTO {table} SELECT * FROM {shop.blue.database}.{table}"
            for table in ("customers", "orders")
        ),
        f"INSERT INTO totals SELECT writer, 0, 0, ordered, closed, events FROM {shop.blue.database}.totals",
        f"INSERT INTO ledger SELECT * FROM {shop.blue.database}.ledger",
    )
    shop.execute("INSERT INTO ledger (writer, n, kind, amount) VALUES (1, 77777, 'single', 1)")
    found: Audit = audit(load.entries, other.side(), shop.side())
    assert found.wrong_side_only == ((1, 77777),)
    assert found.lost == ()


def test_writers_survive_the_loss_of_sessions_writers_and_the_server(shop: Shop, tmp_path: Path) -> None:
    with Load.start(tmp_path, shop.target(), WRITERS, rate=150, seed=5) as load:
        for _time in range(10):
            shop.kill_sessions()
            time.sleep(0.1)
        shop.lab.faults.kill(f"{shop.blue.cluster}-1")
        killed = time.time()
        os.kill(load.process_ids()[WRITERS], signal.SIGKILL)
        shop.lab.wait_available(shop.blue.cluster)
        deadline = time.monotonic() + 30
        while not {1, 2} <= {e.writer for e in load.entries() if e.outcome == COMMITTED and e.started > killed + 0.5}:
            assert time.monotonic() < deadline, "a writer did not come back"
            time.sleep(0.1)
        assert load.dead_writers() == [WRITERS]
    found = audit(load.entries, shop.side())
    assert found.findings() == []
    assert any(entry.outcome != COMMITTED for entry in load.entries())


def test_behind_read_only_and_locks_every_write_is_refused(shop: Shop, tmp_path: Path) -> None:
    account = f"'{APPLICATION}{shop.blue.database}'@'%'"
    with Load.start(tmp_path, shop.target(), WRITERS, rate=50, seed=6) as load:
        shop.execute("CALL mysql.rds_set_read_only(1)")
        time.sleep(0.5)
        load.phase("read only")
        time.sleep(1)
        fenced = load.counts()[-1]
        assert (fenced.committed, fenced.unknown) == (0, 0)
        assert fenced.refused > 20
        shop.execute(f"ALTER USER {account} ACCOUNT LOCK", "CALL mysql.rds_set_read_only(0)")
        shop.kill_sessions()
        time.sleep(0.3)
        load.phase("locked")
        time.sleep(0.7)
        assert load.counts()[-1].committed == 0
        shop.execute(f"ALTER USER {account} ACCOUNT UNLOCK")
        assert load.longest_gap() > 1.5
    assert {e.sqlstate for e in load.entries() if e.outcome == REFUSED} >= {READ_ONLY}
    assert audit(load.entries, shop.side()).findings() == []


def test_a_held_gate_leads_every_writer_to_the_other_side(lab: Lab, cluster: Blue, shop: Shop, tmp_path: Path) -> None:
    """HAProxy passes TLS through; both sides are databases of one server here, so only the way there is looked at."""
    blue = (shop.blue.host, shop.blue.port)
    with HAProxy.start(blue) as gate:
        gate.lead_green(*blue)
        target = replace(shop.target(), host=gate.host, port=gate.port, ssl_mode="verify-ca")
        with Load.start(tmp_path, target, WRITERS, rate=100, seed=7, reconnect_every=20) as load:
            time.sleep(0.5)
            gate.ask(f"set server {BACKEND}/green state ready")
            gate.ask(f"set server {BACKEND}/blue state maint")
            gate.ask(f"shutdown sessions server {BACKEND}/blue")
            moved = time.time()
            time.sleep(1.5)
    entries = load.entries()
    assert {e.writer for e in entries if e.outcome == COMMITTED and e.started > moved} == set(range(1, WRITERS + 1))
    assert {e.outcome for e in entries} <= {COMMITTED, REFUSED, UNKNOWN}
    assert audit(load.entries, shop.side()).findings() == []
    assert {row.server for row in read_side(shop.side()).rows} == {shop.execute("SELECT @@server_uuid")[0][0]}
