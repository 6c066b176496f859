# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`python -m tests.bench switchover --engine aurora_postgresql --runs 10`, `.. verify --rows N`, `.. sequences`, `.. streams`, `.. clients`."""

from __future__ import annotations

import argparse
import os

import conftest
from tests.bench import clients, sequences, streams, switchover, verify


def main() -> int:
    """Read the command line and run the benchmark; return its exit status."""
    conftest.prepare()  # the search paths of this repository
    os.environ["BLUEGREEN_LAB_DURABLE"] = "yes"  # a window is as long as commits take
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    benches = parser.add_subparsers(dest="bench", required=True)
    bench = benches.add_parser("switchover", help="the window of a switchover and of a rollback, under write load")
    bench.add_argument("--engine", choices=switchover.ENGINES, default=switchover.ENGINES[0])
    bench.add_argument("--runs", type=int, default=10, help="switchovers and rollbacks together")
    bench.add_argument("--rate", type=float, default=switchover.RATE, help="transactions per second")
    bench.add_argument("--baseline", choices=switchover.BASELINES, help="what to compare with, in the same run")
    bench.add_argument("--positions", action="store_true", help="replicate by file and offset, not by GTIDs (MySQL)")
    proof = benches.add_parser("verify", help="how fast both sides are compared, beside counting and hashing by hand")
    proof.add_argument("--engine", choices=verify.ENGINES, default=verify.ENGINES[0])
    proof.add_argument("--rows", type=int, default=1_000_000)
    proof.add_argument("--parallel", type=int, default=verify.SESSIONS, help="sessions on each side")
    carried = benches.add_parser("sequences", help="what thousands of sequences add to the window")
    carried.add_argument("--count", type=int, default=5004, help="sequences of the larger deployment")
    carried.add_argument("--runs", type=int, default=6, help="windows of each kind")
    followed = benches.add_parser("streams", help="how fast Neptune Streams are replicated, by lanes")
    followed.add_argument("--scale", type=int, default=15_000, help="vertices of the property graph; sets all sizes")
    told = benches.add_parser("clients", help="what clients of four kinds see of a managed switchover, side by side")
    told.add_argument("--engine", choices=clients.ENGINES, default=clients.ENGINES[0])
    told.add_argument("--runs", type=int, default=5, help="switchovers")
    options = parser.parse_args()
    if options.bench == "clients":
        return clients.bench(options.engine, max(1, options.runs))
    if options.bench == "streams":
        return streams.bench(max(1000, options.scale))
    if options.bench == "verify":
        return verify.bench(options.engine, max(1, options.rows), max(1, options.parallel))
    if options.bench == "sequences":
        return sequences.bench(max(1, options.count), max(1, options.runs))
    return switchover.bench(
        options.engine, max(1, options.runs), options.rate, options.baseline, gtid=not options.positions
    )


if __name__ == "__main__":
    raise SystemExit(main())
