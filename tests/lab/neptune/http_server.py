# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP/1.1 in front of the instances: connections that stay open, and the faults that only a connection shows."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import itertools
import ssl
from typing import cast
from urllib.parse import parse_qsl, unquote

from tests.lab.neptune.errors import ServiceError
from tests.lab.neptune.service import Answer, Request, Service

MOST_BYTES = 150 * 1024 * 1024  # of a request, as in the service
_GZIP_FROM = 1024


class Served:
    """One instance that answers: its service and the connections to it."""

    def __init__(self, name: str, service: Service) -> None:
        self.name = name
        self.service = service
        self.connections: set[Connection] = set()
        self.alive = True

    def die(self) -> None:
        """Stop answering, in the middle of whatever is on its way."""
        self.alive = False
        for connection in list(self.connections):
            connection.abort()


class Place:
    """An address and port, the instances that it leads to in turn, and what is wrong on the way there."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.context = context
        self.server: asyncio.Server | None = None
        self.turn: itertools.cycle[Served] | None = None
        self.connections: set[Connection] = set()
        self.mode = "none"
        self.delay = 0.0

    def choose(self) -> Served | None:
        """Return the instance that the next connection goes to."""
        return next(self.turn) if self.turn is not None and self.mode != "cut" else None

    def obey(self, mode: str, delay: float) -> None:
        """Cut, stall, delay or heal (none) the connections."""
        self.mode, self.delay = mode, delay if mode == "delay" else 0.0
        for connection in list(self.connections):
            if mode == "cut":
                connection.abort()
            else:
                connection.go_on()


class Connection(asyncio.Protocol):
    """One client's connection: a request at a time."""

    def __init__(self, place: Place) -> None:
        """Make a connection through an address."""
        self._place = place
        self._buffer = bytearray()
        self._busy = False
        self._served: Served | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the instance that the address leads to."""
        self._transport = cast(asyncio.Transport, transport)
        self._served = self._place.choose()
        if self._served is None or not self._served.alive:
            self._transport.abort()
        else:
            self._served.connections.add(self)
            self._place.connections.add(self)

    def connection_lost(self, _error: Exception | None) -> None:
        """Forget the connection."""
        self._transport = None
        self._place.connections.discard(self)
        if self._served is not None:
            self._served.connections.discard(self)

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Gather a request."""
        self._buffer += data
        self.go_on()

    def go_on(self) -> None:
        """Take the next request when it is there."""
        if self._busy or self._served is None or self._place.mode == "stall":
            return
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        try:
            request, size = _head(bytes(self._buffer[:end]))
        except ValueError:
            self.abort()
            return
        if size > MOST_BYTES:
            self.abort()
            return
        whole = end + 4 + size
        if len(self._buffer) < whole:
            return
        body = bytes(self._buffer[end + 4 : whole])
        del self._buffer[:whole]
        self._busy = True
        self._take(Request(request.method, request.path, request.query, body, request.headers, request.raw_query))

    def _take(self, request: Request) -> None:
        assert self._served is not None
        faults = self._served.service.faults
        if faults.silent:
            return
        write = self._served.service.is_write(request)
        delay = self._place.delay + (faults.write_latency if write else faults.read_latency)
        if delay > 0:
            query = self._served.service.begin(request)
            asyncio.get_running_loop().call_later(delay, self._work, request, write, query)
        else:
            self._work(request, write)

    def _work(self, request: Request, write: bool, query: str | None = None) -> None:
        served = self._served
        if served is None or not served.alive:
            return
        if not served.service.end(query):
            self._answer(
                request, Answer(500, ServiceError("CancelledByUserException", "Query was cancelled.", 500).body())
            )
            return
        if self._transport is None and query is None:  # what runs already goes on without its client
            return
        faults = served.service.faults
        share = write and faults.drop_share > 0 and faults.random.random() < faults.drop_share
        before = share and faults.random.random() < 0.5
        if before or (write and faults.count("dropped_before")):
            self.abort()
            return
        answer = served.service.answer(request)
        if share or (write and faults.count("dropped_after")):
            self.abort()
            return
        self._answer(request, answer)
        if write and faults.dies_after >= 0:
            faults.dies_after -= 1
            if faults.dies_after < 0:
                served.die()

    def _answer(self, request: Request, answer: Answer) -> None:
        if self._transport is None:
            return
        body, encoding = answer.body, ""
        if len(body) >= _GZIP_FROM and "gzip" in request.headers.get("accept-encoding", ""):
            body, encoding = gzip.compress(body, 1), "Content-Encoding: gzip\r\n"
        reason = http.client.responses.get(answer.status, "")
        last = request.headers.get("connection", "").lower() == "close"
        closing = "Connection: close\r\n" if last else ""
        head = (
            f"HTTP/1.1 {answer.status} {reason}\r\nContent-Type: {answer.kind}\r\n{encoding}"
            f"{closing}Content-Length: {len(body)}\r\n\r\n"
        )
        self._transport.write(head.encode() + body)
        self._busy = False
        if last:
            self._transport.close()
        else:
            self.go_on()


def _head(data: bytes) -> tuple[Request, int]:
    """Return a request without its body, and how long that is; ValueError when it is no HTTP."""
    first, *lines = data.decode("latin-1").split("\r\n")
    method, target, version = first.split(" ")
    if not version.startswith("HTTP/1."):
        raise ValueError(version)
    headers = {}
    for line in lines:
        name, sign, value = line.partition(":")
        if not sign:
            raise ValueError(line)
        headers[name.strip().lower()] = value.strip()
    if "transfer-encoding" in headers:
        raise ValueError("chunks")
    path, _sign, raw = target.partition("?")
    query = dict(parse_qsl(raw, keep_blank_values=True))
    return Request(method, unquote(path), query, b"", headers, raw), int(headers.get("content-length", "0"))
