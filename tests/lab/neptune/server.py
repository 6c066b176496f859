# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process of all Neptune volumes and instances of a lab, and the orders that it takes.

Started as `python -m tests.lab.neptune.server`; orders come as lines of JSON on stdin, as the other endpoint processes
of a lab have them, and the process ends with whoever started it. One thread does everything, so transactions come one
after the other; nothing is on disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import uvloop

from tests.lab.neptune import signature
from tests.lab.neptune.errors import ServiceError
from tests.lab.neptune.faults import Faults
from tests.lab.neptune.http_server import Connection, Place, Served
from tests.lab.neptune.service import Request, Service, Volume
from tests.lab.neptune.stream import Stream
from tests.lab.postgresql.endpoints import Endpoints, main

BACKLOG = 512


class NeptuneServer(Endpoints):
    """Volumes, instances and the addresses that lead to them."""

    def __init__(self) -> None:
        """Begin without any."""
        super().__init__()
        self._volumes: dict[str, Volume] = {}
        self._served: dict[str, Served] = {}
        self._places: dict[tuple[str, int], Place] = {}
        self._secrets: dict[str, str] = {}

    def orders(self) -> dict[str, Callable[..., Any]]:
        """Return the orders by name; each takes the other keys of its JSON object."""
        return {
            "create_volume": self.create_volume,
            "clone_volume": self.clone_volume,
            "delete_volume": self.delete_volume,
            "upgrade_volume": self.upgrade_volume,
            "start": self.start,
            "apply": self.apply,
            "stop": self.stop,
            "lead": self.lead_to,
            "secrets": self.secrets,
            "faults": self.faults,
            "clear": self.clear,
            "link": self.link,
            "read_faults": self.read_faults,
            "expire": self.expire,
            "lose": self.lose,
            "loads": self.loads,
            "links": self.count,
        }

    async def obey(self, order: dict[str, Any]) -> None:
        """Carry out one order and answer it; a refusal of the service is an answer, too."""
        try:
            await super().obey(order)
        except ServiceError as error:
            raise AssertionError(f"an order was refused by the service: {error.text}") from error

    # Volumes

    async def create_volume(self, volume: str, version: str) -> None:
        """Make an empty volume."""
        self._volumes[volume] = Volume(version)

    async def clone_volume(self, source: str, target: str) -> None:
        """Make a volume that is as another one is now, streams and all."""
        self._volumes[target] = self._volumes[source].copy()
        gc.freeze()  # the graphs live long: no collection looks at them again

    async def delete_volume(self, volume: str) -> None:
        """Forget a volume."""
        self._volumes.pop(volume, None)

    async def upgrade_volume(self, volume: str, version: str) -> None:
        """Bring a volume to another version."""
        self._volumes[volume].version = version

    # Instances

    async def start(self, instance: str, volume: str, role: str, settings: dict[str, Any]) -> None:
        """Start an instance; what its settings say of streams applies now."""
        storage = self._volumes[volume]
        service = Service(storage, role, bool(settings["streams"]))
        if role == "writer":
            storage.record(service.streams, int(settings["expiry_days"]))
        self._served[instance] = Served(instance, service)
        await self.apply(instance, settings)

    async def apply(self, instance: str, settings: dict[str, Any]) -> None:
        """Let the settings that need no restart apply."""
        service = self._served[instance].service
        service.authorise = self._authorise if settings["iam_auth"] else None

    def _authorise(self, request: Request) -> None:
        signature.check(request, self._secrets)

    async def secrets(self, secrets: Mapping[str, str]) -> None:
        """Know these access keys with their secrets."""
        self._secrets.update(secrets)

    async def stop(self, instance: str) -> None:
        """Stop an instance; its connections are cut."""
        served = self._served.pop(instance, None)
        if served is not None:
            served.die()

    async def lead_to(self, address: str, port: int, certificate: str, instances: Sequence[str]) -> None:
        """Let an address lead to these instances in turn; without any, nothing listens there."""
        place = self._places.get((address, port))
        if place is None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.load_cert_chain(certificate)
            place = self._places[address, port] = Place(context)
        served = [self._served[name] for name in instances if name in self._served]
        place.turn = itertools.cycle(served) if served else None
        if not served and place.server is not None:
            place.server.close()
            place.server = None
        elif served and place.server is None:
            place.server = await self._listen(place, address, port)

    async def _listen(self, place: Place, address: str, port: int) -> asyncio.Server:
        server = await asyncio.get_running_loop().create_server(
            lambda: Connection(place), address, port, ssl=place.context, backlog=BACKLOG, reuse_address=True
        )
        for listener in server.sockets:
            with contextlib.suppress(OSError):
                listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return server

    async def count(self) -> dict[str, int]:
        """Return how many connections lead to each instance."""
        return {name: len(served.connections) for name, served in self._served.items()}

    # Faults

    async def faults(self, instance: str, knobs: dict[str, Any]) -> None:
        """Turn the knobs of an instance."""
        self._served[instance].service.faults.set(**knobs)

    async def clear(self) -> None:
        """Turn back the knobs of all instances and heal all links."""
        for served in self._served.values():
            served.service.faults = Faults()
        for place in self._places.values():
            place.obey("none", 0.0)

    async def link(self, address: str, mode: str, delay: float) -> None:
        """Cut, stall, delay or heal the connections to an address; KeyError when nothing was ever led there."""
        places = [place for (known, _port), place in self._places.items() if known == address]
        if not places:
            raise KeyError(address)
        for place in places:
            place.obey(mode, delay)

    async def read_faults(self, instance: str) -> dict[str, Any]:
        """Return how many writes an instance did since it was started, and whether it lives."""
        served = self._served[instance]
        return {"writes_done": served.service.writes_done, "alive": served.alive}

    def _stream(self, volume: str, graph: str) -> Stream:
        storage = self._volumes[volume]
        return storage.rdf.stream if graph == "rdf" else storage.graph.stream

    async def expire(self, volume: str, graph: str, commit: int, op: int) -> None:
        """Let the events of a stream up to this one be too old."""
        self._stream(volume, graph).expire(commit, op)

    async def lose(self, volume: str, graph: str, commit: int) -> None:
        """Leave a commit out of a stream."""
        self._stream(volume, graph).lose(commit)

    async def loads(self, volume: str, loads: dict[str, str]) -> None:
        """Let a volume have these bulk loads, {id: status}."""
        self._volumes[volume].loads = loads


if __name__ == "__main__":
    gc.set_threshold(200_000, 20, 100)  # most objects are the graphs': there is little to collect
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(main(NeptuneServer()))
