# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The endpoint process: every endpoint address of the lab's PostgreSQL clusters, with TLS, in front of the servers.

Started as `python endpoints.py` by `endpoint_control.py`. The lab's servers are built without OpenSSL, so this process
answers SSLRequest, terminates TLS and relays to the server that an address leads to now. It enforces `rds.force_ssl`,
passes cancel requests on, and cuts, stalls or slows links when a fault asks for it.

Orders come as one JSON object per line on stdin and are answered on stdout with the same `id`; see `Endpoints.orders`.
An event `{"event": "replication", "id": n}` asks the lab to bring the replication rights of the roles up to date before
a walsender starts; the order `proceed` answers it. The process ends when stdin ends or its parent is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import socket
import ssl
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import uvloop

SSL_REQUEST, GSS_REQUEST, CANCEL_REQUEST = 80877103, 80877104, 80877102
LARGEST_STARTUP = 10000  # MAX_STARTUP_PACKET_LENGTH of the server
BACKLOG = 1024
REPLICATION_PATIENCE = 3.0


@dataclass(frozen=True)
class Target:
    """The server that an address leads to."""

    instance: str
    host: str
    port: int
    force_ssl: bool = False


@dataclass
class Fault:
    """What is wrong with the links of an address: nothing, cut, stalled, or a delay in seconds each way."""

    mode: str = "none"  # none | cut | stall | delay
    delay: float = 0.0


@dataclass
class Route:
    """One endpoint address."""

    address: str
    port: int
    context: ssl.SSLContext | None  # None: the servers speak TLS themselves
    targets: list[Target] = field(default_factory=list)
    server: asyncio.Server | None = None
    faults: dict[str, Fault] = field(default_factory=lambda: {"client": Fault(), "replication": Fault()})
    turn: int = 0

    def target(self) -> Target | None:
        """Return the next server in turn, as the reader endpoint's DNS does."""
        if not self.targets:
            return None
        self.turn += 1
        return self.targets[self.turn % len(self.targets)]


def error_response(code: str, message: str) -> bytes:
    """Return the ErrorResponse message of a server that refuses a connection."""
    fields = f"SFATAL\0VFATAL\0C{code}\0M{message}\0\0".encode()
    return b"E" + struct.pack("!i", len(fields) + 4) + fields


def startup_parameters(packet: bytes) -> dict[str, str]:
    """Return the parameters of a StartupMessage (length and version included in `packet`)."""
    parts = packet[8:].split(b"\0")
    pairs = zip(parts[::2], parts[1::2], strict=False)
    return {name.decode("utf-8", "replace"): value.decode("utf-8", "replace") for name, value in pairs if name}


class Half(asyncio.Protocol):
    """One of the two connections of a link; it writes what it reads to the other one."""

    def __init__(self, link: Link) -> None:
        """Make one half of a link."""
        self.link = link
        self.transport: asyncio.Transport | None = None
        self.other: Half | None = None
        self.relaying = False  # the negotiation, where there is one, is over
        self.queue: deque[tuple[float, bytes]] = deque()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the transport and send small packets at once."""
        self.transport = cast("asyncio.Transport", transport)  # uvloop has classes of its own
        if (raw := transport.get_extra_info("socket")) is not None:
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        """Pass data on, late when the link is slow."""
        delay = self.link.delay
        if delay or self.queue:
            self._later(data, delay)
        elif self.other is not None and self.other.transport is not None:
            self.other.transport.write(data)

    def _later(self, data: bytes, delay: float) -> None:
        loop = asyncio.get_running_loop()
        due = max(loop.time() + delay, self.queue[-1][0] if self.queue else 0.0)
        self.queue.append((due, data))
        loop.call_at(due, self._deliver)

    def _deliver(self) -> None:
        if self.queue:
            _due, data = self.queue.popleft()
            if self.other is not None and self.other.transport is not None:
                self.other.transport.write(data)

    def pause_writing(self) -> None:
        """Stop reading on the other side while this one cannot take more."""
        if self.other is not None and self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        """Read on the other side again, unless the link is stalled."""
        if self.other is not None and self.other.transport is not None and not self.link.stalled:
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the other side too, after what was read has been written."""
        self.transport = None
        self.link.ended()
        other = self.other
        if other is None or other.transport is None:
            return
        if self.queue:
            asyncio.get_running_loop().call_at(self.queue[-1][0] + 0.001, other.close)
        else:
            other.close()

    def close(self) -> None:
        """Close after the buffer is written."""
        if self.transport is not None:
            self.transport.close()


class Link:
    """One client connection and, once its startup message is known, its connection to a server."""

    def __init__(self, endpoints: Endpoints, route: Route, client: Half | None = None) -> None:
        """Make both halves; the client's is given to the listener."""
        self.endpoints = endpoints
        self.route = route
        self.client = client or Client(self)
        self.server = Half(self)
        self.client.other, self.server.other = self.server, self.client
        self.target: Target | None = None
        self.instance: str | None = None
        self.scope = "client"
        self.source: str | None = None  # the address that the server sees, when not an ordinary one
        self.stalled = False
        self.delay = 0.0

    def ended(self) -> None:
        """Forget a link one of whose ends is gone."""
        self.endpoints.links.discard(self)

    def abort(self) -> None:
        """Cut both connections without a word."""
        for half in (self.client, self.server):
            if half.transport is not None:
                half.transport.abort()

    def obey(self, fault: Fault) -> None:
        """Apply a fault of the route to this link."""
        if fault.mode == "cut":
            self.abort()
            return
        self.delay = fault.delay if fault.mode == "delay" else 0.0
        stalled = fault.mode == "stall"
        if stalled != self.stalled:
            self.stalled = stalled
            for half in (self.client, self.server):
                if half.transport is not None and stalled:
                    half.transport.pause_reading()
                elif half.transport is not None:
                    half.transport.resume_reading()

    async def connect(self, packet: bytes) -> None:
        """Connect to the server and send it the startup message."""
        target = self.target
        fault = self.route.faults[self.scope]
        refused = target is not None and self.scope == "client" and target.instance in self.endpoints.refusing
        if target is None or refused or fault.mode == "cut":
            self.abort()
            return
        self.instance = target.instance
        self.endpoints.links.add(self)
        loop = asyncio.get_running_loop()
        try:
            local = (self.source, 0) if self.source is not None else None
            await loop.create_connection(lambda: self.server, target.host, target.port, local_addr=local)
        except OSError:
            self.abort()
            self.ended()
            return
        if self.client.transport is None:
            self.server.close()
            return
        assert self.server.transport is not None
        if packet:
            self.server.transport.write(packet)
        self.client.relaying = True
        self.obey(fault)
        if not self.stalled and self.client.transport is not None:
            self.client.transport.resume_reading()


class Client(Half):
    """The client's connection: first the negotiation, then a relay."""

    def __init__(self, link: Link) -> None:
        """Wait for a client's first request."""
        super().__init__(link)
        self.buffer = b""
        self.encrypted = False

    def data_received(self, data: bytes) -> None:
        """Negotiate until the startup message is there; relay afterwards."""
        if self.relaying:
            super().data_received(data)
            return
        self.buffer += data
        if len(self.buffer) < 8:
            return
        length, code = struct.unpack_from("!ii", self.buffer)
        if not 8 <= length <= LARGEST_STARTUP:
            self.close()
        elif len(self.buffer) >= length:
            self._request(code, length)

    def _request(self, code: int, length: int) -> None:
        assert self.transport is not None
        packet, rest = self.buffer[:length], self.buffer[length:]
        if rest or (code == SSL_REQUEST and self.encrypted):
            self.close()  # nothing may follow a request unasked: bytes before TLS could be an intruder's
        elif code == SSL_REQUEST:
            self.buffer = b""
            self.transport.pause_reading()
            self.transport.write(b"S")
            self.link.endpoints.task(self._encrypt())
        elif code == GSS_REQUEST:
            self.buffer = b""
            self.transport.write(b"N")
        elif code == CANCEL_REQUEST:
            self.link.endpoints.task(self._cancel(packet))
        elif code >> 16 == 3:
            self._start(packet)
        else:
            self.close()

    async def _encrypt(self) -> None:
        assert self.transport is not None
        loop = asyncio.get_running_loop()
        try:
            assert self.link.route.context is not None
            transport = await loop.start_tls(self.transport, self, self.link.route.context, server_side=True)
        except (OSError, ssl.SSLError):
            if self.transport is not None:
                self.transport.abort()
            return
        self.encrypted = True
        self.transport = transport

    async def _cancel(self, packet: bytes) -> None:
        for target in self.link.route.targets:  # a server ignores a key that is not its own
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_connection(target.host, target.port)
                writer.write(packet)
                await reader.read()
                writer.close()
        self.close()

    def _start(self, packet: bytes) -> None:
        assert self.transport is not None
        parameters = startup_parameters(packet)
        target = self.link.target = self.link.route.target()
        if target is not None and target.force_ssl and not self.encrypted:
            host = self.transport.get_extra_info("peername")[0]
            user = parameters.get("user", "")
            database = parameters.get("database", user)
            message = f'no pg_hba.conf entry for host "{host}", user "{user}", database "{database}", no encryption'
            self.transport.write(error_response("28000", message))
            self.close()
            return
        self.buffer = b""
        self.transport.pause_reading()
        if parameters.get("replication", "false") not in ("false", "off", "no", "0"):
            self.link.scope = "replication"
        self.link.endpoints.task(self._connect(packet, parameters.get("user", "")))

    async def _connect(self, packet: bytes, user: str) -> None:
        if self.link.scope == "replication":
            await self.link.endpoints.replication_rights(self.link.route, user)
        await self.link.connect(packet)


class Endpoints:
    """All addresses, their links, and the orders about them."""

    def __init__(self) -> None:
        """Begin without any address."""
        self.routes: dict[str, Route] = {}
        self.links: set[Link] = set()
        self.refusing: set[str] = set()  # instances that no client gets to
        self._tasks: set[asyncio.Task[None]] = set()
        self._ids = itertools.count()
        self._waiting: dict[int, asyncio.Event] = {}

    def task(self, coroutine: Any) -> None:
        """Run a coroutine and keep it referenced until it ends."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def orders(self) -> dict[str, Callable[..., Any]]:
        """Return the orders by name; each takes the other keys of its JSON object."""
        return {
            "route": self.route,
            "drop": self.drop,
            "refuse": self.refuse,
            "fault": self.fault,
            "links": self.count,
            "proceed": self.proceed,
        }

    async def route(self, address: str, port: int, certificate: str, targets: list[dict[str, Any]]) -> None:
        """Make an address lead to these servers; without any, nothing listens there."""
        route = self.routes.get(address)
        if route is None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.load_cert_chain(certificate)
            route = self.routes[address] = Route(address, port, context)
        await self.lead(route, [Target(**target) for target in targets])

    async def lead(self, route: Route, targets: list[Target]) -> None:
        """Make an address lead to these servers, and listen there as long as there is any."""
        route.targets = targets
        if not targets and route.server is not None:
            route.server.close()
            route.server = None
        elif targets and route.server is None:
            route.server = await self.listen(route)

    async def listen(self, route: Route) -> asyncio.Server:
        """Serve an address."""
        return await asyncio.get_running_loop().create_server(
            lambda: Link(self, route).client, route.address, route.port, backlog=BACKLOG, reuse_address=True
        )

    async def drop(self, instance: str) -> None:
        """Cut every link to a server."""
        for link in [link for link in self.links if link.instance == instance]:
            link.abort()

    async def refuse(self, instances: list[str], refuse: bool) -> None:
        """Let no client get to servers, and end those that are there, or let them come again; replication goes on."""
        self.refusing = self.refusing | set(instances) if refuse else self.refusing - set(instances)
        for link in [link for link in self.links if link.instance in self.refusing and link.scope == "client"]:
            link.abort()

    async def fault(self, address: str, scope: str, mode: str, delay: float = 0.0) -> None:
        """Cut, stall, slow or heal the links of an address; `scope` is client, replication or all."""
        route = self.routes[address]
        for name in ("client", "replication") if scope == "all" else (scope,):
            route.faults[name] = Fault(mode, delay)
            for link in [link for link in self.links if link.route is route and link.scope == name]:
                link.obey(route.faults[name])

    async def count(self) -> dict[str, int]:
        """Return the number of links per instance."""
        numbers: dict[str, int] = {}
        for link in self.links:
            if link.instance is not None:
                numbers[link.instance] = numbers.get(link.instance, 0) + 1
        return numbers

    async def proceed(self, event: int) -> None:
        """Let a walsender start that waited for its rights."""
        if event in self._waiting:
            self._waiting[event].set()

    async def replication_rights(self, route: Route, user: str) -> None:
        """Wait until the lab has brought the replication rights of the roles up to date."""
        number = next(self._ids)
        self._waiting[number] = asyncio.Event()
        instances = [target.instance for target in route.targets]
        say({"event": "replication", "id": number, "instances": instances, "user": user})
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._waiting[number].wait(), REPLICATION_PATIENCE)
        del self._waiting[number]

    async def obey(self, order: dict[str, Any]) -> None:
        """Carry out one order and answer it."""
        number = order.pop("id")
        try:
            result = await self.orders()[order.pop("order")](**order)
            say({"id": number, "result": result})
        except (KeyError, TypeError, OSError, ssl.SSLError) as error:  # the answer; the process goes on
            say({"id": number, "error": f"{type(error).__name__}: {error}"})


def say(message: dict[str, Any]) -> None:
    """Write one line to the lab."""
    os.write(1, json.dumps(message).encode() + b"\n")


async def main(endpoints: Endpoints) -> None:
    """Serve until the parent ends."""
    parent = os.getppid()
    loop = asyncio.get_running_loop()
    pending = b""
    over = asyncio.Event()

    def read() -> None:
        nonlocal pending
        chunk = os.read(0, 65536)
        if not chunk:
            over.set()
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            endpoints.task(endpoints.obey(json.loads(line)))

    loop.add_reader(0, read)
    while not over.is_set() and os.getppid() == parent:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(over.wait(), 0.25)
    os._exit(0)


if __name__ == "__main__":
    uvloop.run(main(Endpoints()))
