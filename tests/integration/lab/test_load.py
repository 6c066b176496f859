# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writers, auditor and gates on real servers: nothing is lost by themselves, and no fault escapes the auditor."""

from __future__ import annotations

import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
import pytest
from psycopg2.errorcodes import READ_ONLY_SQL_TRANSACTION
from psycopg2.extensions import connection as Connection

from tests.lab import load_schema
from tests.lab.auditor import Audit, Side, audit, read_side
from tests.lab.gate import ADMIN_DATABASE, Gate
from tests.lab.lab import Blue, Lab
from tests.lab.load import Load, Target
from tests.lab.load_ledger import COMMITTED, REFUSED
from tests.scene import connect, parameters

NewBlue = Callable[..., Blue]
APP, WRITERS = "shop_app", 3


@pytest.fixture
def password() -> str:
    return secrets.token_urlsafe(16)


@pytest.fixture
def shop(lab: Lab, blue: NewBlue, password: str) -> Callable[[], Blue]:
    """Return what makes a blue with the application's tables in it."""

    def new() -> Blue:
        made = blue()
        with closing(as_master(lab, made)) as connection:
            load_schema.create(connection, APP, password, range(1, WRITERS + 2))
        return made

    return new


def as_master(lab: Lab, blue: Blue) -> Connection:
    return connect(lab, blue, blue.cluster, blue.database)


def endpoint(lab: Lab, blue: Blue, password: str) -> Target:
    return Target(blue.host, blue.port, blue.database, APP, password, "verify-full", lab.ca_file)


def side(lab: Lab, blue: Blue, database: str = "") -> Side:
    found = parameters(lab, blue, blue.cluster)
    return Side("blue", {**found, "dbname": database or blue.database})


def execute(lab: Lab, blue: Blue, statement: str) -> None:
    with closing(as_master(lab, blue)) as connection, connection.cursor() as cursor:
        cursor.execute(statement)


FAULTS = {
    "a lost row": ("DELETE FROM shop.ledger WHERE (writer, n) = (1, 3)", "lost", (1, 3)),
    "a doubled row": (
        "INSERT INTO shop.ledger OVERRIDING SYSTEM VALUE SELECT * FROM shop.ledger WHERE (writer, n) = (2, 4)",
        "duplicated",
        (2, 4),
    ),
    "a ghost": (
        "INSERT INTO shop.ledger (writer, n, kind, amount) VALUES (1, 99999, 'single', 1)",
        "ghosts",
        (1, 99999),
    ),
    "a changed row": ("UPDATE shop.ledger SET amount = amount + 1 WHERE (writer, n) = (1, 5)", "altered", (1, 5)),
}
BROKEN_SUMS = {
    "a lost order": "DELETE FROM shop.orders WHERE id = (SELECT max(id) FROM shop.orders)",
    "a lost event": 'DELETE FROM shop."Order Events" WHERE id = (SELECT max(id) FROM shop."Order Events")',
    "an update applied twice": "UPDATE shop.totals SET amount = amount + 1 WHERE writer = 1",
    "a lost update of jsonb": (
        "UPDATE shop.customers SET profile = '{\"visits\": 0}' WHERE (profile ->> 'visits')::int > 0"
    ),
    "a lost update of a balance": "UPDATE shop.customers SET balance = 0 WHERE balance > 0",
}


@contextmanager
def undone(lab: Lab, blue: Blue, statement: str) -> Iterator[None]:
    """Have the effect of a statement for a while."""
    tables = ("ledger", "orders", '"Order Events"', "totals", "customers")
    keep = "; ".join(f"CREATE TABLE keep_{n} AS TABLE shop.{table}" for n, table in enumerate(tables))
    back = "; ".join(
        f"TRUNCATE shop.{table}; INSERT INTO shop.{table} OVERRIDING SYSTEM VALUE TABLE keep_{n}; DROP TABLE keep_{n}"
        for n, table in enumerate(tables)
    )
    execute(lab, blue, f"{keep}; {statement}")
    try:
        yield
    finally:
        execute(lab, blue, back)


def test_no_fault_escapes_the_auditor(lab: Lab, shop: Callable[[], Blue], password: str, tmp_path: Path) -> None:
    blue = shop()
    with Load.start(tmp_path, endpoint(lab, blue, password), WRITERS, rate=150, seed=3, reconnect_every=20) as load:
        time.sleep(3)
        assert audit(load.entries, side(lab, blue)).findings() == []
    there = side(lab, blue)
    clean = audit(load.entries, there)
    assert clean.findings() == []
    assert clean.acknowledged > 200
    for name, (statement, field, key) in FAULTS.items():
        with undone(lab, blue, statement):
            assert getattr(audit(load.entries, there), field) == (key,), name
    for name, statement in BROKEN_SUMS.items():
        with undone(lab, blue, statement):
            assert audit(load.entries, there).broken_sums, name
    assert audit(load.entries, there).findings() == []
    execute(lab, blue, "SELECT setval('shop.ledger_id_seq', 5)")
    assert audit(load.entries, there).collisions == (
        f"the sequence of shop.ledger would hand out 6 next, which is not above the highest id {highest_id(there)}",
    )


def highest_id(there: Side) -> int:
    return max(row.row_id for row in read_side(there).rows)


def test_a_write_on_the_fenced_side_only_is_found(
    lab: Lab, shop: Callable[[], Blue], password: str, tmp_path: Path
) -> None:
    blue = shop()
    with Load.start(tmp_path, endpoint(lab, blue, password), WRITERS, rate=50, seed=4) as load:
        pass
    execute(lab, blue, f"CREATE DATABASE other TEMPLATE {blue.database}")
    execute(lab, blue, "INSERT INTO shop.ledger (writer, n, kind, amount) VALUES (1, 77777, 'single', 1)")
    found: Audit = audit(load.entries, side(lab, blue, "other"), side(lab, blue))
    assert found.wrong_side_only == ((1, 77777),)
    assert found.lost == ()


def test_writers_survive_the_loss_of_sessions_writers_and_the_server(
    lab: Lab, shop: Callable[[], Blue], password: str, tmp_path: Path
) -> None:
    blue = shop()
    with Load.start(tmp_path, endpoint(lab, blue, password), WRITERS, rate=150, seed=5) as load:
        for _time in range(10):
            execute(lab, blue, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{APP}'")
            time.sleep(0.1)
        lab.faults.kill(f"{blue.cluster}-1")
        killed = time.time()
        os.kill(load.process_ids()[WRITERS], signal.SIGKILL)
        lab.wait_available(blue.cluster)
        deadline = time.monotonic() + 30
        while not {1, 2} <= {e.writer for e in load.entries() if e.outcome == COMMITTED and e.started > killed + 0.5}:
            assert time.monotonic() < deadline, "a writer did not come back"
            time.sleep(0.1)
        assert load.dead_writers() == [WRITERS]
    found = audit(load.entries, side(lab, blue))
    assert found.findings() == []
    assert any(entry.outcome != COMMITTED for entry in load.entries())


def test_behind_a_fence_every_write_is_refused(
    lab: Lab, shop: Callable[[], Blue], password: str, tmp_path: Path
) -> None:
    blue = shop()
    with Load.start(tmp_path, endpoint(lab, blue, password), WRITERS, rate=50, seed=6) as load:
        execute(lab, blue, f"ALTER DATABASE {blue.database} SET default_transaction_read_only = on")
        execute(lab, blue, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{APP}'")
        time.sleep(1)
        load.phase("fenced")
        time.sleep(1)
        fenced = load.counts()[-1]
        assert (fenced.committed, fenced.unknown) == (0, 0)
        assert fenced.refused > 20
        assert load.longest_gap() > 1.5
    assert {e.sqlstate for e in load.entries() if e.outcome == REFUSED} >= {READ_ONLY_SQL_TRANSACTION}
    assert audit(load.entries, side(lab, blue)).findings() == []


@pytest.mark.parametrize("own", [False, True], ids=["the best gate there is", "the lab's own gate"])
def test_a_held_gate_leads_every_writer_to_the_other_side_without_an_error(
    lab: Lab, shop: Callable[[], Blue], password: str, tmp_path: Path, own: bool
) -> None:
    sides = [shop(), shop()]
    execute(lab, sides[1], "ALTER SEQUENCE shop.ledger_id_seq RESTART 1000000")
    with (
        Gate.start(None, ["shop"], sides[0].host, sides[0].port, APP, password, lab.ca_file, own=own) as gate,
        Load.start(tmp_path, Target(gate.host, gate.port, "shop", APP, password), WRITERS, rate=100, seed=7) as load,
        closing(console(gate)) as admin,
        admin.cursor() as cursor,
    ):
        time.sleep(0.5)
        cursor.execute('PAUSE "shop"')
        held = time.time()
        path = Path(gate.config_file)
        path.write_text(path.read_text().replace(f"host={sides[0].host}", f"host={sides[1].host}"))
        time.sleep(0.3)
        cursor.execute("RELOAD")
        cursor.execute('RESUME "shop"')
        released = time.time()
        time.sleep(1)
        log = gate.log()
    entries = load.entries()
    assert [entry for entry in entries if entry.outcome != COMMITTED] == [], log
    assert not [entry for entry in entries if held + 0.05 < entry.ended < released]
    rows = [{(row.writer, row.n) for row in read_side(side(lab, one)).rows} for one in sides]
    assert rows[0] and rows[1] and not rows[0] & rows[1]
    assert rows[0] | rows[1] == {(entry.writer, entry.n) for entry in entries}
    assert rows[1] == {(entry.writer, entry.n) for entry in entries if entry.ended > held + 0.05}


def console(gate: Gate) -> Connection:
    connection: Connection = psycopg2.connect(
        host=gate.host, port=gate.port, user=gate.admin_user, password=gate.admin_password, dbname=ADMIN_DATABASE
    )
    connection.autocommit = True
    return connection
