# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blue and green of a managed deployment on an engine, without a control plane: records, servers and the link."""

from __future__ import annotations

import itertools
import random
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from tests.lab.control_plane.records import Cluster, Instance, Region
from tests.lab.engine import DatabaseEngine, InstanceSpec
from tests.lab.managed import metadata
from tests.lab.managed.link import Link, SideName, TopologyRow
from tests.lab.managed.make import make_link

PASSWORD = "correct horse 'battery' staple"
SOURCE, TARGET = "BLUE_GREEN_DEPLOYMENT_SOURCE", "BLUE_GREEN_DEPLOYMENT_TARGET"


def wait_for(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Return the condition's value as soon as it is true; fail when it is not within the time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"still {value!r} after {seconds} s"
        time.sleep(0.02)
    return value


@contextmanager
def state_directory() -> Iterator[Path]:
    """A directory that the servers' user can enter, as a lab's is."""
    with tempfile.TemporaryDirectory(prefix="bluegreen-test-") as directory:
        Path(directory).chmod(0o711)
        yield Path(directory)


class Laboratory:
    """An engine with the records of what runs on it."""

    def __init__(
        self, engine: DatabaseEngine, name: str, port: int, version: str, parameters: Mapping[str, str]
    ) -> None:
        self.engine: Any = engine
        self.name, self.port, self.version, self.parameters = name, port, version, parameters
        self.plane: Any = SimpleNamespace(engines={name: engine}, lock=threading.RLock())
        self.region = Region("eu-central-1")
        self._network = f"127.{random.randrange(100, 250)}.{random.randrange(250)}"
        self._numbers = itertools.count(1)

    def address(self) -> str:
        """Return an address that nothing has."""
        return f"{self._network}.{next(self._numbers)}"

    def record(self) -> Cluster:
        """Return a new cluster, with its writer, of which nothing runs."""
        number = next(self._numbers)
        api = {"DBClusterIdentifier": f"c{number}", "DbClusterResourceId": f"v{number}", "Engine": self.name}
        cluster = Cluster({**api, "Port": self.port}, self.address(), self.address())
        self.member(cluster, writer=True)
        return cluster

    def member(self, cluster: Cluster, writer: bool = False) -> Instance:
        """Return a new instance of a cluster; it does not run."""
        name = f"i{next(self._numbers)}"
        made = Instance({"DBInstanceIdentifier": name, "DbiResourceId": f"db-{name}"}, cluster, self.address(), writer)
        self.region.instances[name] = made
        return made

    def start(self, cluster: Cluster, parameters: Mapping[str, str] | None = None) -> Sequence[str]:
        """Start a cluster's members, the writer first."""
        chosen = self.parameters if parameters is None else parameters
        messages: Sequence[str] = ()
        for one in self.region.members(cluster):
            addresses = (one.address, *([cluster.address] if one.writer else ()))
            role = "writer" if one.writer else "reader"
            spec = InstanceSpec(one.server_id, cluster.volume_id, cast(Any, role), addresses, self.port, chosen)
            told = self.engine.start(spec)
            messages = messages or told
        metadata.identify(self.plane, self.region, cluster)
        return messages

    def stop(self, cluster: Cluster) -> None:
        """Stop a cluster's servers."""
        for one in reversed(self.region.members(cluster)):
            self.engine.stop(one.server_id)

    def cluster(self, parameters: Mapping[str, str] | None = None) -> Cluster:
        """Return a new cluster with a running writer and a database `shop`."""
        cluster = self.record()
        self.engine.create_volume(cluster.volume_id, self.version, "admin", PASSWORD, "shop")
        self.start(cluster, parameters)
        return cluster

    def link(self, source: Cluster, target: Cluster, physical: bool = False) -> Link:
        """Return the link between two clusters."""
        return make_link(self.plane, self.region, source, target, physical)

    def copy(self, source: Cluster) -> tuple[Cluster, Link]:
        """Return a clone of a cluster that is not started, and the link that was prepared before."""
        green = self.record()
        link = self.link(source, green)
        link.prepare()
        self.engine.clone_volume(source.volume_id, green.volume_id)
        return green, link


def rows(source: Cluster, target: Cluster, status: str) -> list[TopologyRow]:
    """Return what the service lets the wrappers read in a phase."""
    pairs = ((source, SOURCE), (target, TARGET))
    return [TopologyRow("", f"{one.identifier}.example", 3306, role, status) for one, role in pairs]


def both() -> tuple[SideName, SideName]:
    """Return the sides."""
    return "blue", "green"
