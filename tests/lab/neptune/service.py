# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The endpoint of one instance: every path of the data plane, from a request to the answer's status and body."""

from __future__ import annotations

import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_plus

from tests.lab.neptune import cypher, graphson, gremlin, gremlin_text, summaries
from tests.lab.neptune.errors import ServiceError
from tests.lab.neptune.faults import Faults
from tests.lab.neptune.graph import Graph
from tests.lab.neptune.rdf import JSON_RESULTS, Rdf

JSON = "application/json"
_LANGUAGES = ("/opencypher", "/gremlin", "/sparql")
_WRITING = {
    "/opencypher": re.compile(rb"\b(?:CREATE|MERGE|SET|DELETE|REMOVE)\b", re.IGNORECASE),
    "/gremlin": re.compile(rb"\.(?:addV|addE|mergeV|mergeE|property|drop)(?:\(|%28)"),
    "/sparql": re.compile(rb"^\s*\{?\"?update\b|&update="),
}


class Volume:
    """The storage that the instances of a cluster share: both graphs with their streams, and the bulk loads."""

    def __init__(self, version: str = "1.2.1.0", graph: Graph | None = None, rdf: Rdf | None = None) -> None:
        self.version = version
        self.graph = graph or Graph()
        self.rdf = rdf or Rdf()
        self.loads: dict[str, str] = {}
        self.lock = threading.RLock()

    def copy(self) -> Volume:
        """Return a clone: graphs and streams as they are now."""
        with self.lock:
            return Volume(self.version, self.graph.copy(), self.rdf.copy())

    def record(self, on: bool, expiry_days: int = 7) -> None:
        """Switch streams on or off; what was recorded is lost when they go off."""
        for part in (self.graph, self.rdf):
            if part.recording and not on:
                part.stream.clear()
            part.recording = on
            part.stream.expiry_days = expiry_days


_ESCAPED = re.compile(rb"%[0-9A-Fa-f]{2}")


def _form(body: bytes) -> dict[str, str]:
    """Return the fields of a form. Its values are long: each escape that occurs is replaced in one go, the sign last."""
    fields = {}
    for field_ in body.split(b"&"):
        name, _sign, value = field_.partition(b"=")
        value = value.replace(b"+", b" ")
        escapes = set(_ESCAPED.findall(value))
        for escape in sorted(escapes, key=lambda one: one == b"%25"):
            value = value.replace(escape, bytes.fromhex(escape[1:].decode()))
        fields[unquote_plus(name.decode())] = value.decode()
    return fields


@dataclass(frozen=True)
class Request:
    """One HTTP request; the names of headers are in small letters."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    raw_query: str = ""

    def form(self, raw: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return the fields of query and body; `raw` names the field that a body of a media type is as a whole."""
        kind = self.headers.get("content-type", "").split(";")[0].strip().lower()
        fields: dict[str, Any] = dict(self.query)
        if self.method != "POST" or not self.body:
            return fields
        if raw and kind in raw:
            return {**fields, raw[kind]: self.body.decode()}
        if kind == JSON or (not kind and self.body[:1] == b"{"):
            try:
                found = json.loads(self.body)
            except ValueError:
                raise ServiceError("BadRequestException", "Malformed JSON in the body") from None
            return {**fields, **found} if isinstance(found, dict) else fields
        return {**fields, **_form(self.body)}


@dataclass(frozen=True)
class Answer:
    """One HTTP answer."""

    status: int
    body: bytes
    kind: str = JSON


class Service:
    """One instance: a role, a volume, and whether streams and IAM authentication are on."""

    def __init__(self, volume: Volume | None = None, role: str = "writer", streams: bool = True) -> None:
        self.volume = volume or Volume()
        self.role = role
        self.streams = streams
        self.faults = Faults()
        self.authorise: Callable[[Request], None] | None = None  # raises ServiceError
        self.started = time.strftime("%a %b %d %H:%M:%S UTC %Y", time.gmtime())
        self.writes_done = 0
        self.running: dict[str, str] = {}  # queries that are on their way, {id: path}

    def begin(self, request: Request) -> str | None:
        """Take note of a query that goes on although its client may leave; None when it is none."""
        path = request.path.lower().rstrip("/")
        if path not in _LANGUAGES:
            return None
        query = str(uuid.uuid4())
        self.running[query] = path
        return query

    def end(self, query: str | None) -> bool:
        """Take note of its end; False when it was cancelled, so that it is not done."""
        return query is None or self.running.pop(query, None) is not None

    def handle(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: bytes | str = b"",
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Any]:
        """Answer a request without HTTP: (status, JSON). A body without a media type is a form, or JSON if it looks so."""
        raw = body.encode() if isinstance(body, str) else body
        given = {name.lower(): value for name, value in (headers or {}).items()}
        answer = self.answer(Request(method, path, dict(query or {}), raw, given))
        return answer.status, json.loads(answer.body) if answer.body else None

    def is_write(self, request: Request) -> bool:
        """Say whether a request is one that faults of writes befall, by the words in it: it is not parsed yet."""
        words = _WRITING.get(request.path.lower().rstrip("/"))
        if words is None or request.method != "POST":
            return False
        return words.search(request.body) is not None or "update" in request.headers.get("content-type", "")

    def answer(self, request: Request) -> Answer:
        """Answer a request."""
        try:
            if self.authorise is not None:
                self.authorise(request)
            if self.faults.count("throttled"):
                raise ServiceError("ThrottlingException", "Rate exceeded")
            with self.volume.lock:
                return self._route(request)
        except ServiceError as error:
            return Answer(error.status, error.body())
        except (UnicodeDecodeError, ValueError) as error:
            return Answer(400, ServiceError("BadRequestException", f"Bad request: {error}").body())
        except RecursionError:
            return Answer(500, ServiceError("MemoryLimitExceededException", "The query is nested too deep").body())

    def _route(self, request: Request) -> Answer:
        path = request.path.rstrip("/").lower()
        if path.startswith("/loader/") and request.method == "GET":
            return self._json(summaries.load(self.volume.loads, request.path.split("/")[2]))
        for names, work in self._paths.items():
            if path in names:
                return work(self, request)
        raise ServiceError("BadRequestException", f"Invalid path: {request.path}", 404)

    @staticmethod
    def _json(document: Any) -> Answer:
        return Answer(200, json.dumps(document).encode())

    # Paths

    def _status(self, _request: Request) -> Answer:
        volume = self.volume
        return self._json(
            {
                "status": "healthy",
                "startTime": self.started,
                "dbEngineVersion": f"{volume.version}.R1",
                "role": self.role,
                "dfeQueryEngine": "viaQueryHint",
                "gremlin": {"version": "tinkerpop-3.6.2"},
                "sparql": {"version": "sparql-1.1"},
                "opencypher": {"version": "Neptune-9.0.20190305-1.0"},
                "labMode": {"ObjectIndex": "disabled", "ReadWriteConflictDetection": "enabled"},
                "features": {
                    "IAMAuthentication": "disabled" if self.authorise is None else "enabled",
                    "Streams": "enabled" if self.streams else "disabled",
                    "AuditLog": "disabled",
                },
                "settings": {"clusterQueryTimeoutInMs": "120000"},
            }
        )

    def _queries(self, request: Request) -> Answer:
        """List the queries of a language, or cancel one of them."""
        form = request.form()
        path = request.path.rstrip("/").lower().removesuffix("/status")
        found = [query for query, language in self.running.items() if language == path]
        if "cancelQuery" not in form:
            stats = {"waited": 0, "elapsed": 1, "cancelled": False}
            queries = [{"queryId": query, "queryString": "", "queryEvalStats": stats} for query in found]
            return self._json({"acceptedQueryCount": len(found), "runningQueryCount": len(found), "queries": queries})
        if form.get("queryId") not in found and form.get("silent") != "true":
            raise ServiceError("InvalidParameterException", "Supplied queryId is invalid.")
        self.running.pop(str(form.get("queryId")), None)
        return self._json({"status": "200 OK", "payload": True})

    def _loader(self, request: Request) -> Answer:
        if request.method != "GET":
            raise ServiceError("UnsupportedOperationException", "The lab has no bulk load; its loads are faults")
        return self._json({"status": "200 OK", "payload": {"loadIds": list(self.volume.loads)}})

    def _summary(self, request: Request) -> Answer:
        if "rdf" in request.path:
            return self._json(summaries.rdf(self.volume.rdf))
        return self._json(summaries.property_graph(self.volume.graph))

    def _stream(self, request: Request) -> Answer:
        if request.method != "GET":
            raise ServiceError("MethodNotAllowedException", "A stream is read with GET")
        part = self.volume.rdf if "sparql" in request.path else self.volume.graph
        if not self.streams or not part.recording:
            raise ServiceError("UnsupportedOperationException", "Neptune Streams is not enabled on this cluster.")
        now = int((time.time() + self.faults.clock_ahead) * 1000)
        shown = part.stream.without(self.faults.commits_behind)
        try:
            return Answer(200, shown.read(dict(request.query), now))
        except ServiceError as error:
            if error.code == "ExpiredStreamException" and self.faults.expired_as_not_found:
                raise shown.not_found() from None
            if error.code == "StreamRecordsNotFoundException" and self.faults.not_found_text:
                raise ServiceError(error.code, self.faults.not_found_text) from None
            raise

    def _cypher(self, request: Request) -> Answer:
        form = request.form()
        if "query" not in form:
            raise ServiceError("MissingParameterException", "query is required")
        parameters = form.get("parameters") or {}
        if isinstance(parameters, str):
            try:
                parameters = json.loads(parameters)
            except ValueError:
                raise ServiceError("BadRequestException", "parameters must be a JSON object") from None
        query, graph = cypher.parse(form["query"]), self.volume.graph
        if query.writes:
            self._may_write()
        return self._json({"results": self._transaction(graph, lambda: query.run(graph, parameters))})

    def _gremlin(self, request: Request) -> Answer:
        form = request.form()
        if "gremlin" not in form:
            raise ServiceError("MissingParameterException", "gremlin is required")
        traversal, graph = gremlin_text.parse(form["gremlin"]), self.volume.graph
        if gremlin.writes(traversal):
            self._may_write()
        return self._json(self._transaction(graph, lambda: graphson.answer(gremlin.run(graph, traversal))))

    def _sparql(self, request: Request) -> Answer:
        form = request.form({"application/sparql-query": "query", "application/sparql-update": "update"})
        if "update" in form:
            if request.method != "POST":
                raise ServiceError("MethodNotAllowedException", "An update is sent with POST")
            self._may_write()
            self.volume.rdf.update(form["update"])
            self.writes_done += 1
            return self._json([{"type": "UpdateEvent", "totalElapsedMillis": 1}])
        if "query" not in form:
            raise ServiceError("MissingParameterException", "query or update is required")
        kind, body = self.volume.rdf.query(form["query"])
        return Answer(200, body, kind if kind != JSON_RESULTS else JSON_RESULTS)

    def _may_write(self) -> None:
        if self.role != "writer":
            raise ServiceError("ReadOnlyViolationException", "Writes are not permitted on a read replica.")
        if self.faults.count("conflicts"):
            raise ServiceError(
                "ConcurrentModificationException",
                "Failed to complete the operation due to conflicting concurrent operations.",
            )

    def _transaction(self, graph: Graph, work: Callable[[], Any]) -> Any:
        try:
            found = work()
        except BaseException:
            graph.rollback()
            raise
        if graph.commit():
            self.writes_done += 1
        return found

    _paths: Mapping[tuple[str, ...], Callable[[Service, Request], Answer]] = {
        ("/propertygraph/stream", "/pg/stream", "/gremlin/stream", "/sparql/stream"): _stream,
        ("/opencypher",): _cypher,
        ("/gremlin",): _gremlin,
        ("/sparql",): _sparql,
        ("/opencypher/status", "/gremlin/status", "/sparql/status"): _queries,
        ("/status",): _status,
        ("/loader",): _loader,
        ("/propertygraph/statistics/summary", "/pg/statistics/summary", "/rdf/statistics/summary"): _summary,
    }
