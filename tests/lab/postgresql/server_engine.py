# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engines with real servers, PostgreSQL's and MySQL's, have in common: the books of volumes and servers, and the endpoints."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from tests.lab.engine import EngineError, InstanceSpec
from tests.lab.postgresql.endpoint_control import EndpointControl, Mode, Scope
from tests.lab.postgresql.processes import Account, Keeper
from tests.lab.routes import Routes


class Serving(Protocol):
    """A server program on a data directory."""

    @property
    def pid(self) -> int | None:
        """Return its pid, None when it does not run."""

    def running(self) -> bool:
        """Return whether it runs."""


ServerT = TypeVar("ServerT", bound=Serving)
VolumeT = TypeVar("VolumeT")


@dataclass
class Placed(Generic[ServerT]):
    """A running server with what it was started with."""

    spec: InstanceSpec
    server: ServerT
    family: str
    parameters: Mapping[str, str]  # as they apply now
    directory: Path | None = None  # a reader's own copy, removed with it


InstanceT = TypeVar("InstanceT", bound=Placed)  # type: ignore[type-arg]
T = TypeVar("T")


def account_for(programs: Path) -> Account:
    """Return the user that servers run as; raises EngineError when it cannot get at the programs."""
    account = Account.choose()
    if not account.can_enter(programs):
        raise EngineError(
            f"The user {account.uid} that servers run as cannot enter {programs}: set BLUEGREEN_CACHE to a directory "
            "that every user can enter."
        )
    return account


class ServerEngine(Generic[VolumeT, InstanceT, ServerT]):
    """The part of `tests.lab.engine.DatabaseEngine` that does not depend on whose servers they are."""

    def __init__(self, root: Path, keeper: Keeper, endpoints: EndpointControl) -> None:
        """Begin without volumes and servers; data lies in `root`, which `keeper` removes when this process is gone."""
        self._root, self._keeper, self._endpoints = root, keeper, endpoints
        self._lock = threading.RLock()  # of the registries below, never held while a server does something
        self._numbers = itertools.count(1)
        self._volumes: dict[str, VolumeT] = {}
        self._instances: dict[str, InstanceT] = {}
        self._routes = Routes(self._lock, self._lead)
        self._closed = False
        keeper.watch(endpoints.pid)

    # What each engine does in its own way

    def _lead(self, address: str, port: int, claims: Sequence[str]) -> None:
        """Tell the endpoint process where an address leads."""
        raise NotImplementedError

    def _discard(self, instance: InstanceT, immediate: bool) -> None:
        """End what belongs to an instance that no address leads to."""
        raise NotImplementedError

    def _kill(self, instance: InstanceT) -> None:
        """Begin to end an instance, without waiting for it."""
        raise NotImplementedError

    def _readdressed(self, instance: InstanceT) -> None:
        """Do what a server needs before other addresses lead to it."""

    def _end_volumes(self) -> None:
        """End what runs on volumes besides the instances."""

    # The books

    def _volume(self, volume_id: str) -> VolumeT:
        with self._lock:
            if volume_id not in self._volumes:
                raise EngineError(f"There is no volume {volume_id}.")
            return self._volumes[volume_id]

    def volume(self, volume_id: str) -> VolumeT:
        """Return a volume; raises EngineError when there is none."""
        return self._volume(volume_id)

    def _instance(self, instance_id: str) -> InstanceT:
        with self._lock:
            if instance_id not in self._instances:
                raise EngineError(f"The instance {instance_id} does not run.")
            return self._instances[instance_id]

    def _on(self, volume_id: str) -> list[InstanceT]:
        """Return what was started on a volume, the writer first."""
        with self._lock:
            found = [one for one in self._instances.values() if one.spec.volume_id == volume_id]
        return sorted(found, key=lambda one: one.spec.role != "writer")

    def _writer(self, volume_id: str) -> InstanceT | None:
        found = (one for one in self._on(volume_id) if one.spec.role == "writer" and one.server.running())
        return next(found, None)

    def _readers(self, volume_id: str) -> list[InstanceT]:
        return [one for one in self._on(volume_id) if one.spec.role == "reader"]

    def server(self, instance_id: str) -> ServerT:
        """Return the server of an instance that runs; raises EngineError when it does not."""
        server: ServerT = self._instance(instance_id).server
        return server

    def servers(self, volume_id: str) -> list[ServerT]:
        """Return the servers that run on a volume, the writer first."""
        return [one.server for one in self._on(volume_id) if one.server.running()]

    def specs(self, volume_id: str) -> list[InstanceSpec]:
        """Return what runs on a volume, the writer first, as it was started."""
        return [one.spec for one in self._on(volume_id)]

    def _place(self, instance: InstanceT, begin: Callable[[], T]) -> T:
        """Let `begin` start an instance's server, and then its addresses lead there; what fails leaves nothing behind."""
        spec = instance.spec
        try:
            begun = begin()
            with self._lock:
                self._instances[spec.instance_id] = instance
            self._routes.claim(spec.instance_id, spec.port, spec.addresses)
        except BaseException:
            with self._lock:
                self._instances.pop(spec.instance_id, None)
            with contextlib.suppress(EngineError):
                self._routes.release(spec.instance_id, spec.addresses)
            self._discard(instance, immediate=True)
            raise
        return begun

    def stop(self, instance_id: str, immediate: bool = False) -> None:
        """Stop a server; `immediate` is a crash. A server that does not run is fine."""
        with self._lock:
            instance = self._instances.pop(instance_id, None)
        if instance is not None:
            self._routes.release(instance_id, instance.spec.addresses)
            self._discard(instance, immediate)

    # Endpoints

    def set_addresses(self, instance_id: str, addresses: Sequence[str]) -> None:
        """Let other addresses lead to a running server; connections through those that stay are not touched."""
        instance = self._instance(instance_id)
        before, after = instance.spec.addresses, tuple(addresses)
        instance.spec = replace(instance.spec, addresses=after)
        self._readdressed(instance)
        self._routes.release(instance_id, [address for address in before if address not in after])
        self._routes.claim(instance_id, instance.spec.port, [address for address in after if address not in before])

    def _claiming(self, claims: Sequence[str]) -> list[InstanceT]:
        """Return who serves an address: the readers that claim it, else the writer."""
        claiming = [self._instances[name] for name in claims if name in self._instances]
        return [instance for instance in claiming if instance.spec.role == "reader"] or claiming[-1:]

    def refuse_clients(self, volume_id: str, refuse: bool) -> None:
        """End every client's connection to the servers of a volume and let no new one in, or let them come again."""
        names = [one.spec.instance_id for one in self._on(volume_id)]
        self._endpoints.order("refuse", instances=names, refuse=refuse)

    def fault_link(self, address: str, mode: Mode, scope: Scope = "all", delay: float = 0.0) -> None:
        """Cut, stall, slow (`delay` seconds each way) or heal (`none`) the connections to an endpoint address.

        The scope `replication` is what subscribers or replicas use: the link between blue and green.
        """
        self._endpoints.order("fault", address=address, scope=scope, mode=mode, delay=delay)

    def links(self, instance_id: str) -> int:
        """Return how many connections lead to an instance through its endpoints now."""
        counts = self._endpoints.order("links")
        return int(counts.get(instance_id, 0))

    # The end

    def pids(self) -> list[int]:
        """Return the pids of the endpoint process and of every server that runs."""
        with self._lock:
            servers = [instance.server.pid for instance in self._instances.values()]
        return [self._endpoints.pid, *(pid for pid in servers if pid is not None)]

    def close(self) -> None:
        """End every process by pid and remove every file but the logs and the certificates."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            instances, self._instances = list(self._instances.values()), {}
        self._endpoints.close()
        for instance in instances:  # all at once, then wait for each
            self._kill(instance)
        for instance in instances:
            self._discard(instance, immediate=True)
        self._end_volumes()
        shutil.rmtree(self._root, ignore_errors=True)
        self._keeper.release()
