# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Neptune over HTTPS: one kept connection per thread, requests signed where IAM authentication is on."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal
from urllib.parse import quote_plus, urlencode

from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError, words

DEFAULT_PORT = 8182
UNREACHABLE = "Unreachable"
"""The code of a request that got no answer: nobody knows whether it was done."""

GraphType = Literal["propertygraph", "rdf"]
Signer = Callable[[str, str, Mapping[str, str], bytes], Mapping[str, str]]
"""From method, URL, headers and body: the headers to add (Signature Version 4 of the service ``neptune-db``)."""

_FORM = "application/x-www-form-urlencoded"
_LOADING = frozenset({"LOAD_IN_PROGRESS", "LOAD_IN_QUEUE", "LOAD_NOT_STARTED"})
_KEEPALIVE = (("TCP_KEEPIDLE", 5), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3))
# What a form has to escape of ASCII, the escape sign itself first (application/x-www-form-urlencoded, URL standard 5.2).
_RESERVED = [(char, f"%{ord(char):02X}") for char in "%&+=;#\"<>?/\\^`{|}[]:@$,!'()~\r\n\t"] + [(" ", "+")]


class NeptuneError(BlueGreenError):
    """An answer that is an error: the service's ``code`` and the HTTP ``status``, 0 when there was no answer."""

    def __init__(self, message: str, code: str, status: int) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


class Client:
    """One side's endpoint, from any thread. ``timeout`` (s) bounds every request."""

    def __init__(self, endpoint: Endpoint, sign: Signer | None = None, timeout: float = 60) -> None:
        self.endpoint = endpoint
        self.timeout = timeout
        self._sign = sign
        self._context = _encryption(endpoint)
        self._local = threading.local()
        self._open: weakref.WeakSet[http.client.HTTPConnection] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._severed = False

    def within(self, timeout: float) -> Client:
        """The same endpoint with connections of its own, whose requests end after ``timeout`` s if that is sooner."""
        return Client(self.endpoint, self._sign, min(timeout, self.timeout))

    def get(self, path: str, **query: str | int) -> Any:
        """The JSON of a GET; raises :class:`NeptuneError`."""
        return self._request("GET", f"{path}?{urlencode(query)}" if query else path, b"", {})

    def post(self, path: str, form: Mapping[str, str]) -> Any:
        """The JSON of a POST of form fields; raises :class:`NeptuneError`."""
        body = "&".join([f"{name}={escape(value)}" for name, value in form.items()]).encode()
        return self._request("POST", path, body, {"Content-Type": _FORM})

    def close(self) -> None:
        """Close the connections of all threads; a later request opens one again."""
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            connection.close()

    def sever(self) -> None:
        """Break the connections for good, from whatever thread: a request that waits for its answer ends now."""
        self._severed = True
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            with suppress(OSError, AttributeError):
                connection.sock.shutdown(socket.SHUT_RDWR)

    def status(self) -> dict[str, Any]:
        """The instance's ``/status``: ``status``, ``role``, ``dbEngineVersion``, ``rollingBackTrxCount``."""
        found = self.get("/status")
        return found if isinstance(found, dict) else {}

    def loads_in_progress(self) -> list[str]:
        """The ids of bulk loads that are running or waiting."""
        listed = self.get("/loader", includeQueuedLoads="true")
        ids = listed.get("payload", {}).get("loadIds", [])
        return [load for load in ids if self._load_status(load) in _LOADING]

    def cypher(self, query: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """The rows of an openCypher query."""
        form = {"query": query}
        if parameters:
            form["parameters"] = json.dumps(parameters, separators=(",", ":"))
        found = self.post("/openCypher", form)
        rows: list[dict[str, Any]] = found.get("results", []) if isinstance(found, dict) else []
        return rows

    def gremlin(self, text: str) -> Any:
        """What a Gremlin traversal yields: the service's ``result.data``."""
        body = json.dumps({"gremlin": text}, separators=(",", ":")).encode()
        found = self._request("POST", "/gremlin", body, {"Content-Type": "application/json"})
        return found.get("result", {}).get("data") if isinstance(found, dict) else None

    def sparql_update(self, text: str) -> None:
        """Run the operations of a SPARQL update as one transaction."""
        self.post("/sparql", {"update": text})

    def sparql_query(self, text: str) -> Any:
        """The JSON results (SPARQL 1.1 Query Results JSON Format) of a SPARQL query."""
        body = f"query={escape(text)}".encode()
        headers = {"Content-Type": _FORM, "Accept": "application/sparql-results+json"}
        return self._request("POST", "/sparql", body, headers)

    def summary(self, graph_type: GraphType) -> dict[str, Any]:
        """The ``graphSummary`` of the graph statistics, which the service computes now and then."""
        found = self.get(f"/{graph_type}/statistics/summary")
        summary: dict[str, Any] = found.get("payload", {}).get("graphSummary", {})
        return summary

    def _load_status(self, load: str) -> str:
        found = self.get(f"/loader/{quote_plus(load)}")
        return str(found.get("payload", {}).get("overallStatus", {}).get("status", ""))

    def _request(self, method: str, target: str, body: bytes, headers: dict[str, str]) -> Any:
        headers = {"Accept": "application/json", **headers}
        if self._sign is not None:
            headers.update(self._sign(method, f"{self._base}{target}", headers, body))
        status, answer = self._exchange(method, target, body, headers)
        if status >= 300:
            raise self._error(status, answer)
        try:
            # What JSON has no numbers for keeps its name.
            return json.loads(answer, parse_constant=str) if answer else None
        except ValueError:
            return answer.decode(errors="replace")

    def _exchange(self, method: str, target: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        used: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        for fresh in (used is None, True):
            connection = self._connection() if fresh or used is None else used
            try:
                connection.request(method, target, body or None, dict(headers))
                answer = connection.getresponse()
                return answer.status, answer.read()
            except (http.client.NotConnected, ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
                self._forget(connection)
                if fresh:  # a connection that was kept may have been closed meanwhile; a new one was not
                    raise self._unreachable(error) from None
            except (OSError, http.client.HTTPException) as error:
                self._forget(connection)
                raise self._unreachable(error) from None
        raise self._unreachable(OSError("no answer"))

    def _connection(self) -> http.client.HTTPConnection:
        endpoint = self.endpoint
        if self._severed:
            raise self._unreachable(OSError("its connections were broken off, because a time limit was over"))
        connection: http.client.HTTPConnection
        if self._context is None:
            connection = http.client.HTTPConnection(endpoint.host, endpoint.port, timeout=endpoint.connect_timeout)
        else:
            connection = http.client.HTTPSConnection(
                endpoint.host, endpoint.port, timeout=endpoint.connect_timeout, context=self._context
            )
        try:
            connection.connect()
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from None
        connection.sock.settimeout(self.timeout)
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, setting in _KEEPALIVE:
            if hasattr(socket, name):
                connection.sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), setting)
        connection.auto_open = 0  # closed by the server: told apart from one that was never open
        self._local.connection = connection
        with self._lock:
            self._open.add(connection)
        return connection

    def _forget(self, connection: http.client.HTTPConnection) -> None:
        self._local.connection = None
        with suppress(OSError):
            connection.close()

    @property
    def _base(self) -> str:
        scheme = "http" if self._context is None else "https"
        return f"{scheme}://{self.endpoint.host}:{self.endpoint.port}"

    def _unreachable(self, error: BaseException) -> NeptuneError:
        endpoint = self.endpoint
        return NeptuneError(
            f"No answer from {endpoint.side} at {endpoint.host}:{endpoint.port}: {words(error) or type(error).__name__}; "
            f"check the {endpoint.side} options host, port and ca_cert, and the security group.",
            UNREACHABLE,
            0,
        )

    def _error(self, status: int, answer: bytes) -> NeptuneError:
        endpoint = self.endpoint
        try:
            found = json.loads(answer)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            found = {}
        code = str(found.get("code") or "Unknown")
        told = str(
            found.get("detailedMessage") or found.get("message") or http.client.responses.get(status, "no reason")
        )
        hint = ""
        if status == 403 or code in ("AccessDeniedException", "MissingAuthenticationTokenException"):
            hint = "; check iam_auth and the IAM policy of whoever runs this"
        return NeptuneError(
            f"{endpoint.side.capitalize()} at {endpoint.host}:{endpoint.port} answers {code} ({status}): "
            f"{' '.join(told.split()).rstrip('.')[:500]}{hint}.",
            code,
            status,
        )


def escape(value: str) -> str:
    """A value of a form field. Replacing is many times faster than ``quote_plus``, which looks at every byte."""
    if not value.isascii():
        return quote_plus(value)
    for char, escaped in _RESERVED:
        if char in value:
            value = value.replace(char, escaped)
    return value


def rows(found: Sequence[Mapping[str, Any]], name: str) -> int:
    """The number that a statement returns under a name."""
    return int(found[0][name]) if found else 0


def _encryption(endpoint: Endpoint) -> ssl.SSLContext | None:
    if endpoint.ssl_mode == "disable":
        return None
    try:
        context = ssl.create_default_context(cafile=endpoint.ca_cert)
    except (OSError, ssl.SSLError) as error:
        raise BlueGreenError(
            f"The certificate authorities of {endpoint.side} should be in {endpoint.ca_cert}, but that file cannot be used: "
            f"{words(error)}; correct ca_cert."
        ) from None
    context.check_hostname = endpoint.ssl_mode == "verify-full"
    if endpoint.ssl_mode == "require":
        context.verify_mode = ssl.CERT_NONE
    return context
