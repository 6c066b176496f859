# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `bg_verify` is measured by on MySQL: counting, CHECKSUM TABLE, and a CRC of every row's text.

CHECKSUM TABLE is quicker, but says neither where a difference is nor the same in every version, and locks nothing, so that it
cannot be used under load; BIT_XOR of CRC32 has 32 bits and is linear, so that two rows which swapped a value hide each other.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from ansible_collections.bluegreen.aws.plugins.module_utils._core.endpoint import Endpoint
from ansible_collections.bluegreen.aws.plugins.module_utils._core.verification import Method, Options
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.connection import connect, rows
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.verify import verify
from tests.bench.subject import Subject
from tests.bench.switchover import BenchFailed, run_module
from tests.integration.mysql.conftest import Servers, login, run
from tests.integration.mysql.proof import NAMES, Pair, replicated
from tests.lab.demo_stage import Clock

_TABLE = (
    "CREATE TABLE orders (id bigint PRIMARY KEY, customer int NOT NULL, status varchar(20), amount decimal(12,2), ratio double,"
    " placed timestamp(6) NULL, note varchar(80), paid boolean)"
)
_FILL = (
    "INSERT INTO orders WITH RECURSIVE g (n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM g WHERE n < {last}) SELECT n, n % 9973,"
    " ELT(n % 3 + 1, 'new', 'paid', 'sent'), n * 1.37, n / 7e0, '2020-01-01' + INTERVAL n * 37 SECOND,"
    " CONCAT('note of order ', n, ' ', LEFT(SHA2(n, 256), 32)), n % 2 = 0 FROM g"
)
_AT_ONCE = 100_000
_COLUMNS = ("id", "customer", "status", "amount", "ratio", "placed", "note", "paid")
_CRC = f"COUNT(*), BIT_XOR(CRC32(CONCAT_WS('#', {', '.join(_COLUMNS)}, CONCAT({', '.join(f'ISNULL({name})' for name in _COLUMNS)}))))"
_COUNT, _CHECKSUM, _BY_HAND = "COUNT(*)", "CHECKSUM TABLE", "COUNT(*), BIT_XOR of CRC32 of the text"
_MODULE = "bg_verify as a module, Python's start included"


@contextmanager
def subject(count: int, sessions: int, clock: Clock) -> Iterator[Subject]:
    """Blue and green with the same table of ``count`` rows, and what is measured on them."""
    with tempfile.TemporaryDirectory(prefix="bluegreen-bench-") as logs, closing(Servers(Path(logs))) as servers:
        clock.say(f"building blue and green with {count} rows")
        blue = servers.blue()
        fills = [
            _FILL.format(first=first, last=min(first + _AT_ONCE - 1, count)) for first in range(1, count + 1, _AT_ONCE)
        ]
        run(
            blue,
            f"SET SESSION cte_max_recursion_depth = {_AT_ONCE}",
            _TABLE,
            *fills,
            "ANALYZE TABLE orders",
            database="shop",
        )
        pair = replicated(servers, blue, gtid=True)
        verdicts: dict[str, Method] = {"bg_verify": "live", "bg_verify, method cut": "cut"}
        methods: dict[str, Callable[[], None]] = {
            _COUNT: lambda: _scan(pair, "SELECT COUNT(*) FROM orders", 1, count),
            _CHECKSUM: lambda: _scan(pair, "CHECKSUM TABLE orders", 1, count),
            _BY_HAND: lambda: _scan(pair, f"SELECT {_CRC} FROM orders WHERE id >= {{}} AND id < {{}}", sessions, count),
        }
        for name, method in verdicts.items():
            methods[name] = lambda method=method: _verify(pair, count, method, sessions)  # type: ignore[misc]
        methods[_MODULE] = lambda: _module(pair, sessions)
        yield Subject(
            methods,
            _BY_HAND,
            {
                "rows_per_s": "bg_verify",
                "count_rows_per_s": _COUNT,
                "checksum_table_rows_per_s": _CHECKSUM,
                "hash_by_hand_rows_per_s": _BY_HAND,
                "cut_rows_per_s": "bg_verify, method cut",
                "module_rows_per_s": _MODULE,
            },
            {"ratio": _BY_HAND, "ratio_to_checksum_table": _CHECKSUM},
        )


def _scan(pair: Pair, statement: str, sessions: int, count: int) -> None:
    """Run the statement on both sides at the same time, over ranges of the key when it has room for them."""
    found: dict[tuple[str, int], Any] = {}

    def scan(side: Endpoint, number: int) -> None:
        with closing(connect(side.at("shop"))) as conn:
            first, last = 1 + count * number // sessions, 1 + count * (number + 1) // sessions
            found[side.side, number] = rows(conn, statement.format(first, last))

    threads = [
        threading.Thread(target=scan, args=(side, number))
        for side in (pair.blue, pair.green)
        for number in range(sessions)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sides = [[found[side, number] for number in range(sessions)] for side in ("blue", "green")]
    if sides[0] != sides[1]:
        raise BenchFailed(f"by hand, blue gives {sides[0]} and green {sides[1]}")


def _verify(pair: Pair, count: int, method: Method, sessions: int) -> None:
    found = verify(pair.blue, pair.green, NAMES, ["shop"], Options(method=method, parallel=sessions)).tables
    if [(one.equal, one.blue_rows, one.green_rows) for one in found] != [(True, count, count)]:
        raise BenchFailed(f"the verification found {found}")


def _module(pair: Pair, sessions: int) -> None:
    arguments = {
        "deployment_id": NAMES.deployment_id,
        "engine": "aurora_mysql",
        "blue": login(pair.blue),
        "green": login(pair.green),
        "databases": ["shop"],
        "parallel": sessions,
    }
    result = run_module({}, arguments, "bg_verify")
    if result.get("failed") or not result["verified"]:
        raise BenchFailed(f"the module failed: {result.get('msg')}")
