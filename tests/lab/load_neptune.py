# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Neptune for the writers: the application's first vertices, and sessions that write a property graph or RDF.

A request is a transaction: what a transaction of several statements does is gathered and sent when it commits. Between
them the graphs have what replication trips over: several labels that come and go, sets of values, typed values, edges
with properties, vertices dropped with their edges, quads in named graphs, literals with a language and a type.

`Target.database` is the graph type; `Target.user` and `password`, when given, are the access key that signs requests.
"""

from __future__ import annotations

import http.client
import json
import random
import ssl
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.lab.load_engine import CUSTOMERS, Booked, Lost, NoSession, Refused, Target, Work, own_customer

TIMEOUT = 30.0
_REGION = "us-east-1"
_FORM = "application/x-www-form-urlencoded"
# What the service says when it does not know either what became of a request.
_UNCLEAR = frozenset({"InternalFailureException", "ClientTimeoutException", "TimeLimitExceededException"})
_SEEN = 80  # the newest of a writer's numbers that stay in its set `seen`
BASE = "http://lab.example/"
_XSD = "http://www.w3.org/2001/XMLSchema#"


class Link:
    """One connection."""

    def __init__(self, target: Target) -> None:
        """Connect; raises OSError."""
        self._target = target
        context = None
        if target.ssl_mode != "disable":
            context = ssl.create_default_context(cafile=target.ca_file)
            context.check_hostname = target.ssl_mode == "verify-full"
            if target.ssl_mode == "require":
                context.verify_mode = ssl.CERT_NONE
        self._connection: http.client.HTTPConnection = (
            http.client.HTTPSConnection(target.host, target.port, timeout=TIMEOUT, context=context)
            if context
            else http.client.HTTPConnection(target.host, target.port, timeout=TIMEOUT)
        )
        self._connection.connect()
        self._connection.auto_open = 0

    def ask(self, method: str, path: str, form: Mapping[str, str] | None = None) -> tuple[int, Any]:
        """Return status and JSON of the answer; raises OSError, HTTPException or ValueError when there is none."""
        body = urlencode(form).encode() if form else b""
        headers = {"Content-Type": _FORM} if form else {}
        if self._target.user:
            url = f"https://{self._target.host}:{self._target.port}{path}"
            request = AWSRequest(method, url, data=body, headers=headers)
            keys = Credentials(self._target.user, self._target.password)
            SigV4Auth(keys, "neptune-db", _REGION).add_auth(request)
            headers = dict(request.headers.items())
        self._connection.request(method, path, body or None, headers)
        answer = self._connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null")

    def close(self) -> None:
        """Close the connection."""
        with suppress(OSError):
            self._connection.close()


class NeptuneSession:
    """`tests.lab.load_engine.Session` over HTTP, for both graph types."""

    def __init__(self, target: Target, _name: str) -> None:
        """Connect and see which version answers: rows say on which side they were written. Raises NoSession."""
        self._link: Link | None = None
        try:
            self._link = Link(target)
            status, found = self._link.ask("GET", "/status")
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise NoSession(str(error)) from error
        if status != 200 or found.get("status") != "healthy":
            self.close()
            raise NoSession(f"the server says {status}")
        self._server = str(found["dbEngineVersion"])
        self._graph: Graph = RdfGraph(self._server) if target.database == "rdf" else PropertyGraph(self._server)

    def single(self, work: Work) -> Booked:
        """Commit one entry of the ledger."""
        number = _number()
        self._send(*self._graph.single(work, number))
        return number, self._server

    def begin(self, work: Work) -> Booked:
        """Begin with an entry of the ledger; nothing is sent before `commit`."""
        self._work, self._entry = work, _number()
        return self._entry, self._server

    def order(self, work: Work) -> int:
        """Go on with a new order."""
        self._order = _number()
        return self._order

    def finish(self, work: Work) -> int:
        """Go on with a new event."""
        self._event = _number()
        return self._event

    def commit(self) -> None:
        """Send all of it as one request."""
        self._send(*self._graph.multi(self._work, self._entry, self._order, self._event))

    def rollback(self) -> None:
        """Nothing was sent, or the service undid it."""

    def close(self) -> None:
        """Close the connection."""
        if self._link is not None:
            self._link.close()

    def _send(self, path: str, form: Mapping[str, str]) -> None:
        assert self._link is not None
        try:
            status, found = self._link.ask("POST", path, form)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Lost(True, type(error).__name__) from error
        if status == 200:
            return
        code = str((found or {}).get("code"))
        if code in _UNCLEAR or status in (408, 502, 504):
            raise Lost(True, code)
        raise Refused(code)


def server(target: Target) -> str:
    """Return what tells a side apart: the version that answers, as it is written into every entry. Raises OSError."""
    link = Link(target)
    try:
        return str(link.ask("GET", "/status")[1]["dbEngineVersion"])
    finally:
        link.close()


class PropertyGraph:
    """The requests of a property graph: openCypher, and Gremlin for what only that can write."""

    def __init__(self, server: str) -> None:
        self._server = server

    def single(self, work: Work, number: int) -> tuple[str, dict[str, str]]:
        """Return the request that books an entry; every fourth goes into a set of values of the writer's totals."""
        if work.n % 4 == 0:
            totals, entry = f"totals-{work.writer}", f"plain-{work.writer}-{number}"
            return "/gremlin", {
                "gremlin": f"g.addV('Plain').property(id,'{entry}').property('writer',{work.writer}l)"
                f".property('n',{work.n}l).property('amount',{work.amount}l).property('entry',{number}l)"
                f".property('kind','plain').property('server','{self._server}').property('half',{work.amount / 2}f)"
                f".sideEffect(__.V('{totals}').property(set,'seen',{work.n}i))"
                f".sideEffect(__.V('{totals}').properties('seen').hasValue(P.lt({work.n - _SEEN}i)).drop())"
            }
        return _cypher(_SINGLE, self._values(work, number))

    def multi(self, work: Work, entry: int, order: int, event: int) -> tuple[str, dict[str, str]]:
        """Return the request that books an entry with an order and an event, and closes and drops what is due."""
        values = self._values(work, entry)
        values |= {
            "customer": f"customer-{work.customer}",
            "order": f"order-{order}",
            "event": f"event-{event}",
            "count": work.lines,
            "lines": [{"id": f"line-{order}-{k}", "edge": f"has-{order}-{k}", "k": k} for k in range(work.lines)],
            "old": f"order-{work.old_order}",
            "touched": f"event-{work.last_event}",
            "dropped": f"event-{work.old_event}",
        }
        return _cypher(_MULTI, values)

    def _values(self, work: Work, number: int) -> dict[str, Any]:
        return {
            "totals": f"totals-{work.writer}",
            "id": f"entry-{work.writer}-{number}",
            "number": number,
            "writer": work.writer,
            "n": work.n,
            "amount": work.amount,
            "note": work.note,
            "server": self._server,
        }


_ENTRY = (
    "(l:Ledger:{label} {{`~id`: $id, writer: $writer, n: $n, kind: '{kind}', amount: $amount, note: $note, entry: $number,"
    " server: $server, at: datetime()}})-[:BY {{amount: $amount}}]->(t)"
)
_SINGLE = (
    f"MATCH (t:Totals {{`~id`: $totals}}) CREATE {_ENTRY.format(label='Single', kind='single')}"
    " SET t.transactions = t.transactions + 1, t.amount = t.amount + $amount"
)
_MULTI = (
    f"MATCH (t:Totals {{`~id`: $totals}}), (c:Customer {{`~id`: $customer}})"
    f" CREATE {_ENTRY.format(label='Multi', kind='multi')},"
    " (o:Order:Open {`~id`: $order, writer: $writer, n: $n, total: $amount, lines: $count, share: $amount / 100.0})"
    "-[:OF {gift: false}]->(c),"
    " (e:Event:New {`~id`: $event, writer: $writer, what: 'ordered ☕'})-[:ABOUT]->(l)"
    " SET t.transactions = t.transactions + 1, t.amount = t.amount + $amount, t.ordered = t.ordered + $amount,"
    " t.events = t.events + 1, c.balance = c.balance + $amount, c.visits = c.visits + 1, c:Buyer"
    " WITH t, o UNWIND $lines AS r CREATE (o)-[:HAS {`~id`: r.edge, k: r.k}]->(:Line {`~id`: r.id, item: 'Tasse für 買い物'})"
    " WITH DISTINCT t OPTIONAL MATCH (d:Event {`~id`: $dropped})"
    " SET t.events = t.events - CASE WHEN d IS NULL THEN 0 ELSE 1 END DETACH DELETE d"
    " WITH DISTINCT t OPTIONAL MATCH (s:Event {`~id`: $touched}) SET s:Shipped, s.shipped = true REMOVE s:New"
    " WITH DISTINCT t OPTIONAL MATCH (x:Order {`~id`: $old}) SET t.closed = t.closed + coalesce(x.total, 0)"
    " WITH DISTINCT x OPTIONAL MATCH (x)-[:HAS]->(i:Line) DETACH DELETE i"
    " WITH DISTINCT x DETACH DELETE x"
)


def _cypher(query: str, parameters: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    return "/openCypher", {"query": query, "parameters": json.dumps(parameters)}


class RdfGraph:
    """The requests of RDF: DELETE DATA and INSERT DATA of what a writer knows to be there."""

    def __init__(self, server: str) -> None:
        self._server = server

    def single(self, work: Work, number: int) -> tuple[str, dict[str, str]]:
        """Return the request that books an entry."""
        return _update([], self._entry(work, number, "single"))

    def multi(self, work: Work, entry: int, order: int, event: int) -> tuple[str, dict[str, str]]:
        """Return the request that books an entry with an order and an event, and closes and drops what is due."""
        added = [
            *self._entry(work, entry, "multi"),
            _quad(f"entry/{entry}", "order", _iri(f"order/{order}"), work.writer),
            *order_quads(work.writer, order),
            *_event_quads(work.writer, event, False),
            _quad(f"event/{event}", "about", _iri(f"entry/{entry}"), work.writer),
        ]
        removed = []
        if work.old_order is not None:
            removed += order_quads(work.writer, work.old_order)
            added.append(_quad(f"order/{work.old_order}", "state", '"closed"', work.writer))
        if work.old_event is not None:
            for shipped in (False, True):
                removed += _event_quads(work.writer, work.old_event, shipped)
        elif work.last_event is not None:
            removed += _event_quads(work.writer, work.last_event, False)
            added += _event_quads(work.writer, work.last_event, True)
        return _update(removed, added)

    def _entry(self, work: Work, number: int, kind: str) -> list[str]:
        values = {
            "writer": _integer(work.writer),
            "n": _integer(work.n),
            "amount": _integer(work.amount),
            "entry": _integer(number),
            "kind": f'"{kind}"',
            "server": f'"{self._server}"',
            "note": f"{json.dumps(work.note)}@de",
        }
        return [_quad(f"entry/{number}", name, value, work.writer) for name, value in values.items()]


Graph = PropertyGraph | RdfGraph


def order_quads(writer: int, order: int) -> list[str]:
    """Return the quads of an open order, which follow from its number."""
    lines = order % 9 + 1
    quads = [
        _quad(f"order/{order}", "state", '"new"', writer),
        _quad(f"order/{order}", "lines", _integer(lines), writer),
    ]
    for line in range(lines):
        quads.append(_quad(f"order/{order}", "line", _iri(f"line/{order}-{line}"), writer))
        quads.append(_quad(f"line/{order}-{line}", "item", '"Tasse \\"für\\" 買い物"@de', writer))
    return quads


def _event_quads(writer: int, event: int, shipped: bool) -> list[str]:
    return [_quad(f"event/{event}", "shipped", f'"{str(shipped).lower()}"^^<{_XSD}boolean>', writer)]


def _quad(subject: str, predicate: str, value: str, writer: int) -> str:
    return f"GRAPH {_iri(f'writer/{writer}')} {{ {_iri(subject)} {_iri(predicate)} {value} }}"


def _iri(path: str) -> str:
    return f"<{BASE}{path}>"


def _integer(value: int) -> str:
    return f'"{value}"^^<{_XSD}integer>'


def _update(removed: Iterable[str], added: Iterable[str]) -> tuple[str, dict[str, str]]:
    parts = [
        f"{verb} DATA {{ {' '.join(quads)} }}" for verb, quads in (("DELETE", removed), ("INSERT", added)) if quads
    ]
    return "/sparql", {"update": " ;\n".join(parts)}


def _number() -> int:
    return random.SystemRandom().getrandbits(52)


def create(target: Target, writers: Iterable[int]) -> None:
    """Make what the writers' transactions find: customers, and the totals of each writer. RDF needs nothing.

    Raises RuntimeError when the endpoint refuses.
    """
    if target.database == "rdf":
        return
    link = Link(target)
    numbers = list(writers)
    customers = [*range(1, CUSTOMERS + 1), *map(own_customer, numbers)]
    try:
        for query, rows in (
            (
                "UNWIND $rows AS r CREATE (:Customer {`~id`: 'customer-' + r, number: r, name: '顧客 🛒 ' + r, balance: 0,"
                " visits: 0})",
                customers,
            ),
            (
                "UNWIND $rows AS r CREATE (:Totals {`~id`: 'totals-' + r, writer: r, transactions: 0, amount: 0, ordered: 0,"
                " closed: 0, events: 0})",
                numbers,
            ),
        ):
            status, found = link.ask("POST", *_cypher(query, {"rows": rows}))
            if status != 200:
                raise RuntimeError(f"The first vertices were refused: {found}")
    finally:
        link.close()
