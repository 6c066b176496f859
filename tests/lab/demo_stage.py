# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the demo and the benchmark run on: a lab with blue in it, an application's tables, a gate."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from tests import scene
from tests.lab import demo_leftovers, load_neptune
from tests.lab.auditor import Side
from tests.lab.gate import Gate
from tests.lab.gate_haproxy import HAProxy
from tests.lab.lab import MYSQL_VERSION, NEPTUNE_VERSION, Blue, Lab
from tests.lab.load import Target
from tests.lab.tools import MYSQL, NEPTUNE, POSTGRESQL
from tests.playbook import NAME, Playbook
from tests.scene import APPLICATION, connect, connect_mysql, parameters

SOURCE_VERSION = "16.14"


class Clock:
    """Prints what happens, with the seconds since the start."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def say(self, text: str) -> None:
        """Print one line."""
        print(f"[{time.monotonic() - self._began:6.1f} s] {text}", flush=True)


class StageGate(Protocol):
    """What holds and moves the writers."""

    host: str
    port: int

    @property
    def kind(self) -> str:
        """What it is, for a line of output."""

    def option(self) -> dict[str, Any]:
        """The gate as an entry of the option ``gates``."""

    def stop(self) -> None:
        """End it."""


@dataclass(frozen=True)
class Kit:
    """What a stage is made of for one engine; ``role`` is the prefix of its role's variables."""

    engine: str
    role: str
    title: str
    version: str
    deployment: str
    variables: Callable[..., dict[str, Any]]
    playbook: str


KITS = {
    POSTGRESQL: Kit(
        engine=POSTGRESQL,
        role="aurora_postgresql",
        title="Aurora PostgreSQL",
        version=SOURCE_VERSION,
        deployment=scene.DEPLOYMENT,
        variables=scene.shop_variables,
        playbook=NAME,
    ),
    MYSQL: Kit(
        engine=MYSQL,
        role="aurora_mysql",
        title="Aurora MySQL",
        version=MYSQL_VERSION,
        deployment=scene.MYSQL_DEPLOYMENT,
        variables=scene.mysql_variables,
        playbook="bluegreen.aws.aurora_mysql",
    ),
    NEPTUNE: Kit(
        engine=NEPTUNE,
        role="neptune",
        title="Neptune",
        version=NEPTUNE_VERSION,
        deployment=scene.NEPTUNE_DEPLOYMENT,
        variables=scene.neptune_variables,
        playbook="bluegreen.aws.neptune",
    ),
}


@dataclass
class Stage:
    """What a demo or a benchmark runs on: a lab with blue in it, a gate, and a password for the application."""

    lab: Lab
    blue: Blue
    gate: StageGate
    directory: Path
    password: str = field(repr=False)
    kit: Kit = KITS[POSTGRESQL]

    def gate_target(self) -> Target:
        """Return how an application connects: through the gate, which passes the TLS of MySQL and Neptune through."""
        if self.kit.engine == NEPTUNE:
            return replace(self.direct_target("blue"), host=self.gate.host, port=self.gate.port, ssl_mode="verify-ca")
        target = Target(self.gate.host, self.gate.port, self.blue.database, APPLICATION, self.password)
        if self.kit.engine == MYSQL:  # the certificates are for the servers' addresses, and the gate has another one
            return replace(target, ssl_mode="verify-ca", ca_file=self.lab.ca_file, engine=MYSQL)
        return target

    def green_is_built(self) -> None:
        """Tell the gate where green is, if it is one that has to be told before a switchover."""
        if isinstance(self.gate, HAProxy):
            found = parameters(self.lab, self.blue, self.cluster("green"))
            self.gate.lead_green(found["host"], found["port"])

    def playbook(self, environment: Mapping[str, str] | None = None, **variables: Any) -> Playbook:
        """Return the engine's playbook, with this stage's variables and these."""
        wanted = {**self.variables(), **variables}
        return Playbook(self.directory, environment or self.lab.env, wanted, self.kit.playbook)

    def direct_target(self, side: str) -> Target:
        """Return how a client connects that goes round the gate, to the endpoint of blue or green."""
        found = parameters(self.lab, self.blue, self.cluster(side))
        named = self.kit.engine != NEPTUNE  # which has no users and no databases
        return Target(
            host=found["host"],
            port=found["port"],
            database=self.blue.database if named else self.blue.graph_type,
            user=APPLICATION if named else "",
            password=self.password if named else "",
            ssl_mode="verify-full",
            ca_file=self.lab.ca_file,
            engine=self.kit.engine,
        )

    def side(self, name: str) -> Side:
        """Return how the auditor reads blue or green."""
        return Side(name, parameters(self.lab, self.blue, self.cluster(name)), self.kit.engine)

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
        return self.kit.variables(self.lab, self.blue, **{f"{self.kit.role}_gates": [self.gate.option()]})

    def cluster(self, side: str) -> str:
        """Return the cluster that is blue or green."""
        return self.blue.cluster if side == "blue" else self.kit.deployment

    def address(self, side: str) -> str:
        """Return the name of the server behind an endpoint, as it is written into every row."""
        if self.kit.engine == MYSQL:
            with closing(connect_mysql(self.lab, self.blue, self.cluster(side))) as conn, conn.cursor() as asking:
                asking.execute("SELECT @@server_uuid")
                return str(asking.fetchall()[0][0])
        if self.kit.engine == NEPTUNE:
            return load_neptune.server(self.direct_target(side))
        there = connect(self.lab, self.blue, self.cluster(side), self.blue.database)
        with closing(there) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT host(inet_server_addr())")
            row = cursor.fetchone()
            return str(row[0]) if row else ""


def set_stage(
    stack: ExitStack,
    clock: Clock,
    writers: int,
    own_gate: bool = False,
    regions: Sequence[str] = (),
    engine: str = POSTGRESQL,
    gtid: bool = True,
    graph: str = "propertygraph",
) -> Stage:
    """Start a lab with blue and a gate; all of it ends with ``stack``. Raises EngineError or GateError.

    With ``regions`` blue is a global database whose secondaries there have a reader and forward writes. A MySQL blue
    has GTIDs unless told otherwise. MySQL and Neptune have HAProxy for a gate.
    """
    kit = KITS[engine]
    lab = stack.enter_context(Lab.start())
    # Whatever is started from here on can be told apart from other labs, and leaves its files where the lab's are.
    stack.enter_context(demo_leftovers.ended_with_this_process(lab.state))
    os.environ[demo_leftovers.MARK] = str(lab.state)
    stack.callback(os.environ.pop, demo_leftovers.MARK, None)
    directory = lab.state / "demo"
    directory.mkdir(mode=0o700)
    if engine == MYSQL:
        blue = lab.seed_mysql(version=kit.version, gtid=gtid)
    elif engine == NEPTUNE:
        blue = lab.seed_neptune(graph=graph, version=kit.version)
    else:
        blue = lab.seed_postgresql(version=kit.version, regions=regions)
    for region, cluster in blue.secondaries.items():
        lab.client("rds", region).modify_db_cluster(DBClusterIdentifier=cluster, EnableGlobalWriteForwarding=True)
    password = secrets.token_urlsafe(24)
    scene.make_application(lab, blue, password, range(1, writers + 1))
    gate = _gate(lab, blue, password, own_gate)
    stack.callback(gate.stop)
    how = {MYSQL: f", GTIDs {'on' if gtid else 'off'}", NEPTUNE: f", {graph}"}.get(engine, "")
    clock.say(f"blue: {kit.title} {kit.version}{how}, writer and reader, {blue.host}:{blue.port}")
    if blue.secondaries:
        clock.say(f"blue is the global database {blue.global_cluster}, with a reader in {', '.join(blue.secondaries)}")
    clock.say(f"gate: {gate.kind}, {gate.host}:{gate.port}")
    return Stage(lab, blue, gate, directory, password, kit)


def _gate(lab: Lab, blue: Blue, password: str, own_gate: bool) -> StageGate:
    if blue.engine in (MYSQL, NEPTUNE):
        return HAProxy.start((blue.host, blue.port), state_dir=lab.state)
    return Gate.start(lab.state, [blue.database], blue.host, blue.port, APPLICATION, password, lab.ca_file, own_gate)
