# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the demo can be told to show: for each engine by its name on the command line, what blue is and what is looked at."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import psycopg2

from tests.lab.auditor import Key
from tests.lab.demo_stage import Stage
from tests.lab.tools import MYSQL, NEPTUNE, POSTGRESQL

_FOLLOW_SECONDS = 20.0
# What is looked at beside the audit of the side that serves; it returns what is wrong, one short text each.
Look = Callable[[Stage, str, Collection[Key]], list[str]]


def nothing(_stage: Stage, _serving: str, _acknowledged: Collection[Key]) -> list[str]:
    """There is nothing beside the side that serves."""
    return []


def other_regions(stage: Stage, serving: str, acknowledged: Collection[Key]) -> list[str]:
    """Every acknowledged write is read in the other Regions, and only the serving side's secondaries forward writes."""
    found = []
    for side in ("blue", "green"):
        for region, cluster in stage.secondaries(side).items():
            forwards = cluster["GlobalWriteForwardingStatus"]
            if forwards != ("enabled" if side == serving else "disabled"):
                found.append(f"write forwarding of {side} in {region} is {forwards} while {serving} serves")
            if side == serving and (missing := _missing(stage.reader(cluster), acknowledged)):
                found.append(f"{len(missing)} acknowledged writes are not in {region}")
    if len(stage.secondaries(serving)) != len(stage.blue.secondaries):
        found.append(f"{serving} has secondaries in {sorted(stage.secondaries(serving))} only")
    return found


def _missing(parameters: Mapping[str, Any], wanted: Collection[Key]) -> set[Key]:
    """What a secondary does not hold although it had some time to follow."""
    deadline = time.monotonic() + _FOLLOW_SECONDS
    with closing(psycopg2.connect(**parameters)) as connection, connection.cursor() as cursor:
        connection.autocommit = True
        while True:
            cursor.execute("SELECT writer, n FROM shop.ledger")
            missing = set(wanted) - set(cursor.fetchall())
            if not missing or time.monotonic() > deadline:
                return missing
            time.sleep(0.2)


@dataclass(frozen=True)
class DemoEngine:
    """One entry of the demo: the service's engine, blue's other Regions, the playbook's variables beside the usual ones,
    what is looked at, and whether the server itself keeps out who goes round the gate.
    """

    engine: str = POSTGRESQL
    regions: tuple[str, ...] = ()
    variables: Mapping[str, Any] = field(default_factory=dict)
    look: Look = nothing
    closes: bool = True
    rate: float = 220.0  # transactions per second of all writers through the gate


ENGINES = {
    "aurora_postgresql": DemoEngine(),
    "aurora_postgresql_global": DemoEngine(
        regions=("eu-west-1",),
        variables={"aurora_postgresql_write_forwarding": "disable"},
        look=other_regions,
    ),
    "aurora_mysql": DemoEngine(engine=MYSQL),
    # Its graphs are kept and searched by a program in Python, which serves both sides.
    "neptune": DemoEngine(engine=NEPTUNE, closes=False, rate=160.0, variables={"neptune_verify_sample": 200}),
}
