# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deployments of Neptune whose green follows blue, without a control plane around the clusters, and clients of theirs."""

from __future__ import annotations

import itertools
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.bluegreen.aws.plugins.module_utils._core.endpoint import Endpoint
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Direction, Names
from ansible_collections.bluegreen.aws.plugins.module_utils._core.waiting import Deadline
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.connection import Client, GraphType, NeptuneError
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.events import START
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.lease import Lease
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.record import Record
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.replicator import Options, Replicator
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.stream import head
from tests.integration.servers import free_net, instance, volume
from tests.lab.engine import InstanceSpec
from tests.lab.gate_haproxy import HAProxy
from tests.lab.lab import Lab
from tests.lab.neptune import NeptuneEngine

_PORT = 8182
_NUMBERS = itertools.count(1)
_NAME = "http://example.com/"


class Clusters:
    """Clusters of one writer each; an endpoint's address tells its cluster."""

    def __init__(self, logs: Path) -> None:
        self.engine = NeptuneEngine(logs)
        self._net = free_net(_PORT)
        self._numbers = itertools.count(1)

    def close(self) -> None:
        """End the servers."""
        self.engine.close()

    def blue(self, **parameters: str) -> Endpoint:
        """A new cluster, its streams on."""
        number = next(self._numbers)
        self.engine.create_volume(f"v{number}", "1.2.1.0")
        return self._start(number, "blue", parameters)

    def clone(self, blue: Endpoint, version: str = "1.4.6.0", **parameters: str) -> Endpoint:
        """A clone of a cluster, upgraded."""
        number = next(self._numbers)
        self.engine.clone_volume(volume(blue), f"v{number}")
        self.engine.upgrade_volume(f"v{number}", version)
        return self._start(number, "green", parameters)

    def set(self, endpoint: Endpoint, **parameters: str) -> None:
        """Change parameters of a running writer that apply at once."""
        self.engine.apply_dynamic(instance(endpoint), {"neptune_streams": "1", **parameters})

    def fault(self, endpoint: Endpoint, **knobs: Any) -> None:
        """Turn knobs of a cluster's writer."""
        self.engine.fault(instance(endpoint), **knobs)

    def _start(self, number: int, side: str, parameters: dict[str, str]) -> Endpoint:
        host = f"{self._net}.{number}"
        settings = {"neptune_streams": "1", **parameters}
        self.engine.start(InstanceSpec(f"i{number}", f"v{number}", "writer", (host,), _PORT, settings))
        return Endpoint(side, host, _PORT, "", "", ca_cert=str(self.engine.ca_file), connect_timeout=3)


@dataclass
class Deployment:
    """A deployment whose green is in sync, and a gate that leads to blue."""

    clusters: Clusters
    names: Names
    graph_type: GraphType
    blue: Endpoint
    green: Endpoint
    gate: HAProxy
    record: Record
    forward: Lease
    reverse: Lease
    clients: dict[str, Client]

    def options(self, **more: Any) -> dict[str, Any]:
        """The module's options."""
        sides = {
            side.side: {"host": side.host, "port": side.port, "ca_cert": side.ca_cert}
            for side in (self.blue, self.green)
        }
        return {
            "deployment_id": self.names.deployment_id,
            "engine": "neptune",
            **sides,
            "gates": [self.gate.option()],
            **more,
        }

    def notes(self, side: str) -> list[str]:
        """What was written, as a side has it."""
        if self.graph_type == "rdf":
            found = self.clients[side].sparql_query("SELECT ?s WHERE { ?s ?p ?o }")["results"]["bindings"]
            return [row["s"]["value"].removeprefix(_NAME) for row in found]
        return [row["id"] for row in self.clients[side].cypher("MATCH (n) RETURN id(n) AS id")]

    def write(self, client: Client, note: str) -> None:
        """One write; raises NeptuneError."""
        if self.graph_type == "rdf":
            client.sparql_update(f'INSERT DATA {{ <{_NAME}{note}> <{_NAME}is> "there" }}')
        else:
            client.cypher("CREATE (:Note {`~id`: $id})", {"id": note})

    def catch_up(self, direction: str = "forward") -> None:
        """Apply everything, as a runner would."""
        source, target, lease = (
            ("blue", "green", self.forward) if direction == "forward" else ("green", "blue", self.reverse)
        )
        replicator = Replicator(
            self.clients[source], self.clients[target], lease, self.graph_type, Options(owner=secrets.token_hex(4))
        )
        progress = replicator.run(lambda one: one.at_head, Deadline(20))
        assert progress.at_head

    @property
    def through_gate(self) -> Endpoint:
        """Where clients connect."""
        return Endpoint("client", self.gate.host, self.gate.port, "", "", ssl_mode="require", connect_timeout=10)

    def close(self) -> None:
        """End the gate and the connections."""
        self.gate.stop()
        for client in self.clients.values():
            client.close()


def deploy(clusters: Clusters, lab: Lab, graph_type: GraphType = "propertygraph") -> Deployment:
    """A blue with some data, its clone, and the replication between them."""
    names = Names.of(f"nep-dep-{next(_NUMBERS)}")
    blue = clusters.blue()
    dynamodb = lab.client("dynamodb")
    dynamodb.create_table(
        TableName=names.checkpoint_table,
        AttributeDefinitions=[{"AttributeName": "leaseKey", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "leaseKey", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    record = Record(dynamodb, names.checkpoint_table, names.control_key)
    directions: tuple[Direction, ...] = ("forward", "reverse")
    leases = {d: Lease(dynamodb, names.checkpoint_table, names.lease_key(d)) for d in directions}
    clients = {"blue": Client(blue)}
    gate = HAProxy.start((blue.host, _PORT))
    made = Deployment(
        clusters, names, graph_type, blue, blue, gate, record, leases["forward"], leases["reverse"], clients
    )
    made.write(clients["blue"], "first")
    made.green = clusters.clone(blue)
    clients["green"] = Client(made.green)
    at = head(clients["green"], graph_type) or START
    record.commit(position=str(at), graph_type=graph_type)
    made.forward.create(at, "running")
    made.write(clients["blue"], "second")
    gate.lead_green(made.green.host, _PORT)
    return made


@dataclass
class Writers:
    """Clients that write through the gate, and what was acknowledged to them."""

    deployment: Deployment
    acknowledged: list[str] = field(default_factory=list)
    failed: int = 0
    longest: float = 0.0
    _stop: threading.Event = field(default_factory=threading.Event)

    def write(self, number: int) -> None:
        """Write until it is stopped; whatever was not acknowledged is not counted."""
        client = Client(self.deployment.through_gate, timeout=20)
        last = time.monotonic()
        for count in itertools.count():
            if self._stop.is_set():
                client.close()
                return
            note = f"w{number}-{count}-{secrets.token_hex(3)}"
            try:
                self.deployment.write(client, note)
            except (NeptuneError, BlueGreenError):
                self.failed += 1
                time.sleep(0.002)
                continue
            now = time.monotonic()
            self.longest = max(self.longest, now - last)
            last = now
            self.acknowledged.append(note)
            time.sleep(0.002)


@contextmanager
def writers(deployment: Deployment, count: int = 2) -> Iterator[Writers]:
    """Clients that write meanwhile."""
    made = Writers(deployment)
    threads = [threading.Thread(target=made.write, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield made
    finally:
        made._stop.set()
        for thread in threads:
            thread.join(30)
