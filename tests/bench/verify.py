# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast `bg_verify` reads a table of both sides, beside what a person would type.

Blue and green hold the same table of eight columns, on PostgreSQL 16 and 18, or on MySQL (see verify_mysql). Every method
scans it on both sides at the same time with the same number of sessions on each, and the time begins before the first
connection; rows per second are rows of the table. By hand on PostgreSQL: `count(*)`, and with it the sum of a hash of each
row's text. The hash of the record is there for comparison: it is quicker and no proof, because 1.0 is 1.00 for it, and two
rows that swapped a value may have the same sum. The rounds take turns, and the best of each method counts, because other work
on the machine only ever slows down.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg2
import pymysql

from ansible_collections.bluegreen.aws.plugins.module_utils._core.endpoint import Endpoint
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.verification import Method, Options
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.connection import connect, rows
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.verify import verify
from tests.bench import verify_mysql
from tests.bench.subject import Subject
from tests.bench.switchover import BenchFailed, run_module
from tests.integration.postgresql.conftest import NEWER, VERSION, Pair, Servers, login, replicated, run
from tests.lab.demo_stage import Clock
from tests.lab.engine import EngineError

ROUNDS = 3
SESSIONS = 2
_DEPLOYMENT = "bench-verify"
_TABLE = (
    "CREATE TABLE orders (id bigint PRIMARY KEY, customer int NOT NULL, status text, amount numeric(12,2), ratio float8,"
    " placed timestamptz, note varchar(80), paid boolean)"
)
_FILL = (
    "INSERT INTO orders SELECT g, g % 9973, (ARRAY['new', 'paid', 'sent'])[g % 3 + 1], g * 1.37, g / 7.0,"
    " '2020-01-01'::timestamptz + g * interval '37 s', 'note of order ' || g || ' ' || md5(g::text), g % 2 = 0"
    " FROM generate_series(1, {rows}) g"
)
_COUNT, _TEXT, _RECORD = "count(*)", "count(*), sum of hashes of the text", "count(*), sum of hashes of the record"
_BY_HAND = {
    _COUNT: "count(*)",
    _TEXT: "count(*), sum(hashtextextended(t::text, 0)::numeric)",
    _RECORD: "count(*), sum(hash_record_extended(t, 0)::numeric)",
}
_VERIFY: dict[str, Method] = {"bg_verify": "live", "bg_verify, method cut": "cut"}
_MODULE = "bg_verify as a module, Python's start included"


@contextmanager
def _postgresql(count: int, sessions: int, clock: Clock) -> Iterator[Subject]:
    with tempfile.TemporaryDirectory(prefix="bluegreen-bench-") as logs, closing(Servers(Path(logs))) as servers:
        clock.say(f"building blue and green with {count} rows")
        pair = _build(servers, count)
        yield Subject(
            _methods(pair, count, sessions),
            _TEXT,
            {
                "rows_per_s": "bg_verify",
                "count_rows_per_s": _COUNT,
                "hash_by_hand_rows_per_s": _TEXT,
                "hash_record_by_hand_rows_per_s": _RECORD,
                "cut_rows_per_s": "bg_verify, method cut",
                "module_rows_per_s": _MODULE,
            },
            {"ratio": _TEXT, "ratio_to_record": _RECORD},
        )


_SUBJECTS = {"aurora_postgresql": _postgresql, "aurora_mysql": verify_mysql.subject}
ENGINES = tuple(_SUBJECTS)


def bench(engine: str, count: int, sessions: int = SESSIONS, rounds: int = ROUNDS) -> int:
    """Run the benchmark and print it; return 0 when it could be made."""
    clock = Clock()
    best: dict[str, float] = {}
    try:
        with _SUBJECTS[engine](count, sessions, clock) as subject:
            clock.say(f"green follows blue; {rounds} rounds, {sessions} sessions on each side")
            for _round in range(rounds):
                for name, method in subject.methods.items():
                    best[name] = min(best.get(name, float("inf")), _seconds(method))
    except (BenchFailed, BlueGreenError, EngineError, psycopg2.Error, pymysql.MySQLError) as failure:
        print(f"bench verify {engine}: {failure}", file=sys.stderr, flush=True)
        return 2
    print(f"{'method':<48} {'seconds':>8} {'rows/s':>10} {'of the hash by hand':>20}")
    for name, seconds in best.items():
        print(f"{name:<48} {seconds:>8.2f} {count / seconds:>10.0f} {best[subject.by_hand] / seconds:>20.2f}")
    ours = best["bg_verify"]
    summary = {
        "bench": "verify",
        "engine": engine,
        "rows": count,
        "sessions": sessions,
        **{key: round(count / best[name]) for key, name in subject.speeds.items()},
        **{key: round(best[name] / ours, 2) for key, name in subject.ratios.items()},
    }
    print(json.dumps(summary), flush=True)
    return 0


def _build(servers: Servers, count: int) -> Pair:
    blue = servers.blue()
    run(blue, _TABLE, _FILL.format(rows=count), "VACUUM ANALYZE orders", database="shop")
    pair = replicated(servers, blue, _DEPLOYMENT, upgrade=True)
    run(pair.green, "ANALYZE orders", database="shop")
    for side, version in ((pair.blue, VERSION), (pair.green, NEWER)):
        if run(side, "SHOW server_version")[0][0] != version:
            raise BenchFailed(f"{side.side} should be {version}")
    return pair


def _methods(pair: Pair, count: int, sessions: int) -> dict[str, Callable[[], None]]:
    """Every method by its name; each raises BenchFailed when it finds anything but two equal sides."""
    methods: dict[str, Callable[[], None]] = {}
    for name, expression in _BY_HAND.items():
        methods[name] = lambda expression=expression: _by_hand(pair, expression, sessions)  # type: ignore[misc]
    for name, method in _VERIFY.items():
        methods[name] = lambda method=method: _verify(pair, count, method, sessions)  # type: ignore[misc]
    methods[_MODULE] = lambda: _module(pair, sessions)
    return methods


def _seconds(method: Callable[[], None]) -> float:
    began = time.monotonic()
    method()
    return time.monotonic() - began


def _by_hand(pair: Pair, expression: str, sessions: int) -> None:
    found: dict[tuple[str, int], list[Any]] = {}

    def scan(side: Endpoint, number: int) -> None:
        with closing(connect(side.at("shop"))) as conn:
            blocks = int(rows(conn, "SELECT pg_relation_size('orders') / current_setting('block_size')::int")[0][0])
            begin, end = blocks * number // sessions, blocks * (number + 1) // sessions
            statement = (
                f"SELECT {expression} FROM orders t WHERE ctid >= '({begin},0)'::tid AND ctid < '({end},0)'::tid"
            )
            found[side.side, number] = [int(value) for value in rows(conn, statement)[0]]

    threads = [
        threading.Thread(target=scan, args=(side, number))
        for side in (pair.blue, pair.green)
        for number in range(sessions)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sums = [
        [sum(column) for column in zip(*(found[side, number] for number in range(sessions)), strict=True)]
        for side in ("blue", "green")
    ]
    if sums[0] != sums[1]:
        raise BenchFailed(f"by hand, blue gives {sums[0]} and green {sums[1]}")


def _verify(pair: Pair, count: int, method: Method, sessions: int) -> None:
    found = verify(pair.blue, pair.green, pair.names, ["shop"], Options(method=method, parallel=sessions)).tables
    if [(one.equal, one.blue_rows, one.green_rows) for one in found] != [(True, count, count)]:
        raise BenchFailed(f"the verification found {found}")


def _module(pair: Pair, sessions: int) -> None:
    arguments = {
        "deployment_id": _DEPLOYMENT,
        "engine": "aurora_postgresql",
        "blue": login(pair.blue),
        "green": login(pair.green),
        "parallel": sessions,
    }
    result = run_module({}, arguments, "bg_verify")
    if result.get("failed") or not result["verified"]:
        raise BenchFailed(f"the module failed: {result.get('msg')}")
