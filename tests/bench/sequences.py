# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What sequences add to the window: with four of them, and with thousands carried ahead by a margin or exactly.

Two deployments are moved to and fro in turns, so that whatever else the machine does meets all three alike. A client draws
from random sequences up to each fence; what it was given must not be given out again on the side that was opened.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2

from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.journal import Journal
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.connection import connect, execute, rows
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.side import SequencePolicy
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.side import pair as sides
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.side_carrier import Carried
from ansible_collections.bluegreen.aws.plugins.module_utils._switchover.gates import Gates
from ansible_collections.bluegreen.aws.plugins.module_utils._switchover.run import Limits, Move
from ansible_collections.bluegreen.aws.plugins.module_utils._switchover.timeline import Timeline
from tests.integration.postgresql.conftest import Pair, Servers, replicated, run
from tests.lab.engine import EngineError

FEW = 4
MARGIN = 10000
_DATABASE = "shop"
_BUFFERS = "16384"  # 8 kB each; what the lab has otherwise does not hold a page of every sequence, Aurora has gigabytes
_DRAWN = 20  # sequences in one statement of the client
_PAUSE = 0.01  # seconds between two of them
_BETWEEN = 0.5  # seconds of drawing before each move
_HEAD = f"{'run':>4}  {'sequences':<9} {'mode':<7} {'window ms':>10} {'looked at':>10} {'carried':>8} {'of window ms':>13} {'twice':>6}"


class BenchFailed(Exception):
    """A move did not succeed; the text says why."""


@dataclass(frozen=True)
class Result:
    """One move; times in milliseconds, ``twice``: sequences that gave a value out again."""

    kind: str
    mode: str
    window: float
    carried: Carried
    twice: int

    def line(self, number: int, count: int) -> str:
        """Return the move as a line of the table."""
        return (
            f"{number:>4}  {count:<9} {self.mode:<7} {self.window:>10.1f} {self.carried.looked_at:>10} "
            f"{self.carried.carried:>8} {self.carried.ms:>13.1f} {self.twice:>6}"
        )


@dataclass
class Deployment:
    """A pair of clusters and which of them serves."""

    pair: Pair
    count: int
    serving: str = "blue"
    drawn: dict[str, int] = field(default_factory=dict)

    def move(self, kind: str, mode: str) -> Result:
        """Move the traffic to the other side. Raises BenchFailed."""
        policy = SequencePolicy(mode, MARGIN)
        blue, green = sides(self.pair.blue, self.pair.green, self.pair.names, [_DATABASE], policy, "require")
        source, target = (blue, green) if self.serving == "blue" else (green, blue)
        timeline = Timeline()
        try:
            source.connect()
            target.connect()
            with self._client():
                move = Move(source, target, Gates([]), Limits(5, 30, 5), Journal(False), timeline, reverse=True)
                move.run()
        except BlueGreenError as error:
            raise BenchFailed(f"{kind} {mode}: {error.message}") from None
        finally:
            blue.close()
            green.close()
        self.serving = target.name
        if timeline.window_ms is None or target.carried is None:
            raise BenchFailed(f"{kind} {mode}: there was no window")
        return Result(kind, mode, timeline.window_ms, target.carried, self._twice())

    @contextmanager
    def _client(self) -> Iterator[None]:
        stop = threading.Event()
        thread = threading.Thread(target=self._draw, args=(stop,))
        thread.start()
        stop.wait(_BETWEEN)
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _draw(self, stop: threading.Event) -> None:
        """Draw from random sequences until the fence; what arrived here was given out."""
        endpoint = self.pair.blue if self.serving == "blue" else self.pair.green
        with suppress(psycopg2.Error), closing(connect(endpoint.at(_DATABASE), fenced=True)) as conn:
            while not stop.wait(_PAUSE):
                found = rows(
                    conn,
                    "SELECT o::regclass::text, nextval(o::regclass) FROM (SELECT seqrelid AS o FROM pg_sequence "
                    "ORDER BY random() LIMIT %s) AS x",
                    (_DRAWN,),
                )
                self.drawn.update(found)

    def _twice(self) -> int:
        endpoint = self.pair.blue if self.serving == "blue" else self.pair.green
        names = list(self.drawn)
        with closing(connect(endpoint.at(_DATABASE))) as conn:
            found = rows(conn, "SELECT s, nextval(s::regclass) FROM unnest(%s::text[]) AS s", (names,))
        return sum(given <= self.drawn[name] for name, given in found)


def bench(count: int, runs: int) -> int:
    """Run the benchmark and print it; return 0 when no value was given out twice."""
    results: list[Result] = []
    try:
        with (
            tempfile.TemporaryDirectory(prefix="bluegreen-bench-") as directory,
            closing(Servers(Path(directory))) as servers,
        ):
            few, many = (_deployment(servers, number, f"bench-{number}") for number in (FEW, count))
            print(_HEAD, flush=True)
            for number in range(1, runs + 1):
                # Both modes are measured in both directions.
                modes = ("margin", "exact") if number % 2 else ("exact", "margin")
                moves = [(few, "few", "exact"), *((many, mode, mode) for mode in modes)]
                for deployment, kind, mode in moves:
                    results.append(deployment.move(kind, mode))
                    print(results[-1].line(number, deployment.count), flush=True)
    except (BenchFailed, EngineError, psycopg2.Error) as failure:
        print(f"bench sequences: {failure}", file=sys.stderr, flush=True)
        return 2
    print(json.dumps(summary(count, results)), flush=True)
    return 1 if any(result.twice for result in results) else 0


def summary(count: int, results: Sequence[Result]) -> dict[str, Any]:
    """Return what the JSON line says, in milliseconds: medians and worst, and what thousands of sequences add to four."""
    windows = {
        kind: [result.window for result in results if result.kind == kind] for kind in ("few", "margin", "exact")
    }
    spread = {
        kind: {"median": round(statistics.median(found), 1), "worst": round(max(found), 1)}
        for kind, found in windows.items()
    }
    added = {
        mode: {of: round(spread[mode][of] - spread["few"][of], 1) for of in ("median", "worst")}
        for mode in ("margin", "exact")
    }
    return {
        "bench": "sequences",
        "count": count,
        "window_ms": spread,
        "added_ms": added,
        "of_window_ms": {  # what the windows waited for sequences, whatever else made them longer
            kind: round(statistics.median(result.carried.ms for result in results if result.kind == kind), 1)
            for kind in windows
        },
        "given_out_twice": sum(result.twice for result in results),
    }


def _deployment(servers: Servers, count: int, name: str) -> Deployment:
    """A blue with ``count`` sequences, a third of them never drawn from, and a green of the newer version behind it."""
    blue = servers.blue([_DATABASE], shared_buffers=_BUFFERS)
    with closing(connect(blue.at(_DATABASE))) as conn:
        execute(conn, "CREATE TABLE orders (id bigint PRIMARY KEY)")
        for first in range(0, count, 500):
            statements = (f"CREATE SEQUENCE s{number}" for number in range(first, min(count, first + 500)))
            execute(conn, "; ".join(statements))
        rows(conn, "SELECT nextval('s' || n) FROM generate_series(0, %s - 1) AS n WHERE n %% 3 > 0", (count,))
    pair = replicated(servers, blue, name, upgrade=True)
    run(pair.blue, "CHECKPOINT")
    run(pair.green, "CHECKPOINT")
    return Deployment(pair, count)
