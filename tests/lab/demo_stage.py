# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the demo and the benchmark run on: a lab with blue in it, an application's tables, a gate."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.lab import demo_leftovers, load_schema
from tests.lab.auditor import Side
from tests.lab.gate import Gate
from tests.lab.lab import Blue, Lab
from tests.lab.load import Target
from tests.scene import DEPLOYMENT, connect, parameters, shop_variables

SOURCE_VERSION = "16.14"
_APP = "shop_app"


class Clock:
    """Prints what happens, with the seconds since the start."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def say(self, text: str) -> None:
        """Print one line."""
        print(f"[{time.monotonic() - self._began:6.1f} s] {text}", flush=True)


@dataclass
class Stage:
    """What a demo or a benchmark runs on: a lab with blue in it, a gate, and a password for the application."""

    lab: Lab
    blue: Blue
    gate: Gate
    directory: Path
    password: str = field(repr=False)

    def gate_target(self) -> Target:
        """Return how an application connects: through the gate."""
        return Target(self.gate.host, self.gate.port, self.blue.database, _APP, self.password)

    def direct_target(self, side: str) -> Target:
        """Return how a client connects that goes round the gate, to the endpoint of blue or green."""
        found = parameters(self.lab, self.blue, self.cluster(side))
        return Target(
            found["host"], found["port"], self.blue.database, _APP, self.password, "verify-full", self.lab.ca_file
        )

    def side(self, name: str) -> Side:
        """Return how the auditor reads blue or green."""
        return Side(name, parameters(self.lab, self.blue, self.cluster(name)))

    def secondaries(self, side: str) -> dict[str, dict[str, Any]]:
        """Return the clusters of a side in other Regions, as they are described there."""
        name = f"{self.cluster(side)}-global"
        found = {}
        for world in self.lab.client("rds").describe_global_clusters()["GlobalClusters"]:
            for member in world["GlobalClusterMembers"] if world["GlobalClusterIdentifier"] == name else ():
                region = member["DBClusterArn"].split(":")[3]
                if not member["IsWriter"]:
                    rds = self.lab.client("rds", region)
                    found[region] = rds.describe_db_clusters(DBClusterIdentifier=member["DBClusterArn"])["DBClusters"][
                        0
                    ]
        return found

    def reader(self, cluster: Mapping[str, Any]) -> dict[str, Any]:
        """Return psycopg2's parameters for the readers of a cluster in another Region."""
        there = {"host": cluster["ReaderEndpoint"], "port": cluster["Port"]}
        return {**parameters(self.lab, self.blue, self.blue.cluster), **there}

    def variables(self) -> dict[str, Any]:
        """Return the playbook's extra variables for this stage."""
        return shop_variables(self.lab, self.blue, aurora_postgresql_gates=[self.gate.option()])

    def cluster(self, side: str) -> str:
        """Return the cluster that is blue or green."""
        return self.blue.cluster if side == "blue" else DEPLOYMENT

    def address(self, side: str) -> str:
        """Return the address of the server behind an endpoint, as it is written into every row."""
        there = connect(self.lab, self.blue, self.cluster(side), self.blue.database)
        with closing(there) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT host(inet_server_addr())")
            row = cursor.fetchone()
            return str(row[0]) if row else ""


def set_stage(
    stack: ExitStack, clock: Clock, writers: int, own_gate: bool = False, regions: Sequence[str] = ()
) -> Stage:
    """Start a lab with blue and a gate; all of it ends with ``stack``. Raises EngineError or GateError.

    With ``regions`` blue is a global database whose secondaries there have a reader and forward writes.
    """
    lab = stack.enter_context(Lab.start())
    # Whatever is started from here on can be told apart from other labs, and leaves its files where the lab's are.
    stack.enter_context(demo_leftovers.ended_with_this_process(lab.state))
    os.environ[demo_leftovers.MARK] = str(lab.state)
    stack.callback(os.environ.pop, demo_leftovers.MARK, None)
    directory = lab.state / "demo"
    directory.mkdir(mode=0o700)
    blue = lab.seed_postgresql(version=SOURCE_VERSION, regions=regions)
    for region, cluster in blue.secondaries.items():
        lab.client("rds", region).modify_db_cluster(DBClusterIdentifier=cluster, EnableGlobalWriteForwarding=True)
    password = secrets.token_urlsafe(24)
    with closing(connect(lab, blue, blue.cluster, blue.database)) as connection:
        load_schema.create(connection, _APP, password, range(1, writers + 1))
    gate = Gate.start(lab.state, [blue.database], blue.host, blue.port, _APP, password, lab.ca_file, own_gate)
    stack.callback(gate.stop)
    clock.say(f"blue: Aurora PostgreSQL {SOURCE_VERSION}, writer and reader, {blue.host}:{blue.port}")
    if blue.secondaries:
        clock.say(f"blue is the global database {blue.global_cluster}, with a reader in {', '.join(blue.secondaries)}")
    clock.say(f"gate: {gate.kind}, {gate.host}:{gate.port}")
    return Stage(lab, blue, gate, directory, password)
