# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the auditor asks Neptune: the whole graph in one request, so in one snapshot; the sums are made here."""

from __future__ import annotations

import json
import ssl
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http.client import HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlencode

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.lab.auditor_snapshot import Row, Snapshot

_BASE = "http://lab.example/"
_SHOWN = 5
_EVERYTHING = (
    "g.V().project('id','label','values','edges').by(id).by(label).by(valueMap())"
    ".by(outE().project('id','label','to','values').by(id).by(label).by(inV().id()).by(valueMap()).fold())"
)
_QUADS = "SELECT ?g ?s ?p ?o WHERE { GRAPH ?g { ?s ?p ?o } }"


class Unreadable(Exception):
    """A side could not be read."""


@dataclass(frozen=True)
class Vertex:
    """A vertex as it was read; a value is (type, value) as GraphSON has them."""

    labels: frozenset[str]
    values: Mapping[str, frozenset[Any]]

    def one(self, key: str) -> Any:
        """Return the value of a key that has one."""
        (found,) = self.values[key]
        return found[1]


@dataclass(frozen=True)
class Edge:
    """An edge as it was read."""

    label: str
    start: str
    end: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Graph:
    """A whole property graph."""

    vertices: Mapping[str, Vertex]
    edges: Mapping[str, Edge]


Quad = tuple[str, str, str, str]


def _ask(parameters: Mapping[str, Any], path: str, form: Mapping[str, str]) -> Any:
    """Return the JSON of an answer; `parameters` are host, port, ca_file, graph, and access_key with secret_key."""
    body, headers = urlencode(form).encode(), {"Content-Type": "application/x-www-form-urlencoded"}
    host, port = parameters["host"], int(parameters["port"])
    if parameters.get("access_key"):
        request = AWSRequest("POST", f"https://{host}:{port}{path}", data=body, headers=headers)
        keys = Credentials(parameters["access_key"], parameters["secret_key"])
        SigV4Auth(keys, "neptune-db", "us-east-1").add_auth(request)
        headers = dict(request.headers.items())
    context = ssl.create_default_context(cafile=parameters["ca_file"])
    connection = HTTPSConnection(host, port, timeout=60, context=context)
    try:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        found = json.loads(answer.read())
    except (OSError, HTTPException, ValueError) as error:
        raise Unreadable(f"{host}:{port} cannot be read: {error}") from error
    finally:
        connection.close()
    if answer.status != 200:
        raise Unreadable(f"{host}:{port} answers {answer.status}: {found}")
    return found


def read(parameters: Mapping[str, Any]) -> Snapshot:
    """Return what a side holds, all of it in one snapshot. Raises Unreadable."""
    if parameters.get("graph") == "rdf":
        return _rdf_snapshot(read_quads(parameters))
    return _graph_snapshot(read_graph(parameters))


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Return in what two sides that nobody writes to differ, one short text each. Raises Unreadable."""
    if one.get("graph") == "rdf":
        return _unequal("quads", dict.fromkeys(read_quads(one)), dict.fromkeys(read_quads(other)))
    first, second = read_graph(one), read_graph(other)
    return _unequal("vertices", first.vertices, second.vertices) + _unequal("edges", first.edges, second.edges)


def _unequal(what: str, one: Mapping[Any, Any], other: Mapping[Any, Any]) -> list[str]:
    found = {
        f"{what} are on the first side only": sorted(one.keys() - other.keys()),
        f"{what} are on the second side only": sorted(other.keys() - one.keys()),
        f"{what} differ": sorted(key for key in one.keys() & other.keys() if one[key] != other[key]),
    }
    return [f"{len(keys)} {text} ({', '.join(map(str, keys[:_SHOWN]))})" for text, keys in found.items() if keys]


# Property graphs


def read_graph(parameters: Mapping[str, Any]) -> Graph:
    """Return a whole property graph. Raises Unreadable."""
    answer = _ask(parameters, "/gremlin", {"gremlin": _EVERYTHING})
    vertices, edges = {}, {}
    for item in _plain(answer["result"]["data"]):
        values = {key: frozenset(map(_typed, one)) for key, one in item["values"].items()}
        vertices[item["id"]] = Vertex(frozenset(item["label"].split("::")), values)
        for edge in item["edges"]:
            held = {key: _typed(one) for key, one in edge["values"].items()}
            edges[edge["id"]] = Edge(edge["label"], item["id"], edge["to"], held)
    return Graph(vertices, edges)


def _plain(value: Any) -> Any:
    """Return lists and maps of GraphSON 3 as such; values with a type stay as they are."""
    if isinstance(value, dict) and value.get("@type") == "g:List":
        return [_plain(one) for one in value["@value"]]
    if isinstance(value, dict) and value.get("@type") == "g:Map":
        flat = [_plain(one) for one in value["@value"]]
        return dict(zip(flat[::2], flat[1::2], strict=True))
    return value


def _typed(value: Any) -> tuple[str, Any]:
    if isinstance(value, dict):
        return value["@type"], value["@value"]
    return type(value).__name__, value


def _graph_snapshot(graph: Graph) -> Snapshot:
    by_label: dict[str, dict[str, Vertex]] = defaultdict(dict)
    for name, vertex in graph.vertices.items():
        for label in vertex.labels:
            by_label[label][name] = vertex
    rows, torn = [], []
    for name, vertex in [*by_label["Ledger"].items(), *by_label["Plain"].items()]:
        try:
            rows.append(Row(*(vertex.one(key) for key in ("writer", "n", "amount", "entry", "server"))))
        except (KeyError, ValueError):
            torn.append(name)
    found = [f"entries are whole ({torn[:_SHOWN]})"] if torn else []
    doubled = [
        (name, key)
        for name, vertex in graph.vertices.items()
        for key, values in vertex.values.items()
        if key != "seen" and len(values) != 1
    ]
    if doubled:
        found.append(f"every property has one value ({doubled[:_SHOWN]})")
    else:
        found += _graph_sums(graph, by_label)
    return Snapshot(tuple(rows), tuple(found), tuple(_twice(rows)))


def _graph_sums(graph: Graph, by_label: Mapping[str, Mapping[str, Vertex]]) -> Iterable[str]:
    """Yield the sums that are broken; every transaction keeps them."""
    out = Counter((edge.start, edge.label) for edge in graph.edges.values())
    into: dict[str, list[Vertex]] = defaultdict(list)
    for edge in graph.edges.values():
        if edge.label == "BY":
            into[edge.end].append(graph.vertices[edge.start])
    orders, events, multi = by_label["Order"], by_label["Event"], by_label["Multi"]
    for name, totals in by_label["Totals"].items():
        writer, entries = totals.one("writer"), into[name]
        booked = [entry.one("amount") for entry in entries]
        ordered = sum(entry.one("amount") for entry in entries if "Multi" in entry.labels)
        still_open = sum(order.one("total") for order in orders.values() if order.one("writer") == writer)
        happened = sum(event.one("writer") == writer for event in events.values())
        sums = {
            "totals count the ledger's entries": (totals.one("transactions"), len(booked)),
            "totals sum the ledger's entries": (totals.one("amount"), sum(booked)),
            "ordered amounts are the ledger's": (totals.one("ordered"), ordered),
            "open and closed orders are what was ordered": (totals.one("ordered"), totals.one("closed") + still_open),
            "the events are counted": (totals.one("events"), happened),
        }
        yield from (f"{text} (writer {writer}: {a} and {b})" for text, (a, b) in sums.items() if a != b)
        plain = {one.one("n") for one in by_label["Plain"].values() if one.one("writer") == writer}
        seen = {value for kind, value in totals.values.get("seen", ()) if kind == "g:Int32"}
        if seen - plain or len(seen) != len(totals.values.get("seen", ())) or (plain and max(plain) not in seen):
            yield f"the set of seen numbers is right (writer {writer}: {sorted(seen - plain)[:_SHOWN]})"
    customers = by_label["Customer"].values()
    if sum(one.one("balance") for one in customers) != sum(entry.one("amount") for entry in multi.values()):
        yield "the customers' balances are what was ordered"
    if sum(one.one("visits") for one in customers) != len(multi):
        yield "the customers' visits are the orders made"
    torn = [name for name, order in orders.items() if out[name, "HAS"] != order.one("lines") or out[name, "OF"] != 1]
    if torn:
        yield f"every order has its lines and its customer ({torn[:_SHOWN]})"
    if len(by_label["Line"]) != sum(order.one("lines") for order in orders.values()):
        yield "every line has its order"
    lone = [name for name in events if out[name, "ABOUT"] != 1]
    if lone:
        yield f"every event is about an entry ({lone[:_SHOWN]})"
    mixed = [name for name, event in events.items() if ("shipped" in event.values) is not ("Shipped" in event.labels)]
    mixed += [name for name, event in events.items() if ("New" in event.labels) is ("Shipped" in event.labels)]
    if mixed:
        yield f"events are new or shipped ({mixed[:_SHOWN]})"


def _twice(rows: Iterable[Row]) -> Iterable[str]:
    twice = [number for number, count in Counter(row.row_id for row in rows).items() if count > 1]
    if twice:
        yield f"{len(twice)} numbers of entries are in more than one ({twice[0]}, ..)"


# RDF


def read_quads(parameters: Mapping[str, Any]) -> set[Quad]:
    """Return all quads as N-Quads terms: subject, predicate, object, graph. Raises Unreadable."""
    answer = _ask(parameters, "/sparql", {"query": _QUADS})
    return {
        (_term(row["s"]), _term(row["p"]), _term(row["o"]), _term(row["g"])) for row in answer["results"]["bindings"]
    }


def _term(term: Mapping[str, str]) -> str:
    if term["type"] == "uri":
        return f"<{term['value']}>"
    if term["type"] == "bnode":
        return f"_:{term['value']}"
    suffix = f"@{term['xml:lang']}" if "xml:lang" in term else f"^^<{term['datatype']}>" if "datatype" in term else ""
    return json.dumps(term["value"], ensure_ascii=False) + suffix


def _rdf_snapshot(quads: Iterable[Quad]) -> Snapshot:
    about: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for subject, predicate, value, _graph in quads:
        about[subject.removeprefix(f"<{_BASE}")[:-1]][predicate.removeprefix(f"<{_BASE}")[:-1]].append(value)
    rows, found = [], []
    entries = {name: values for name, values in about.items() if name.startswith("entry/")}
    for name, values in entries.items():
        if any(len(values[key]) != 1 for key in ("writer", "n", "amount", "entry", "server", "kind", "note")):
            found.append(f"entries are whole ({name})")
            continue
        writer, n, amount, entry = (int(values[key][0].split('"')[1]) for key in ("writer", "n", "amount", "entry"))
        rows.append(Row(writer, n, amount, entry, json.loads(values["server"][0])))
        if values["kind"] == ['"multi"']:
            order = values["order"][0].removeprefix(f"<{_BASE}")[:-1] if len(values["order"]) == 1 else ""
            if len(about[order]["state"]) != 1:
                found.append(f"every order that was made is open or closed ({name})")
    for name, values in list(about.items()):
        if name.startswith("order/"):
            found += _broken_order(name, values, about)
        elif name.startswith("event/") and len(values["shipped"]) > 1:
            found.append(f"an event is shipped or not ({name})")
        elif name.startswith("line/") and f"order/{name[5:].split('-')[0]}" not in about:
            found.append(f"every line has its order ({name})")
    return Snapshot(tuple(rows), tuple(found), tuple(_twice(rows)))


def _broken_order(name: str, values: Mapping[str, list[str]], about: Mapping[str, Any]) -> Iterable[str]:
    closed = values["state"] == ['"closed"']
    wanted = 0 if closed or len(values["lines"]) != 1 else int(values["lines"][0].split('"')[1])
    lines = [line.removeprefix(f"<{_BASE}")[:-1] for line in values["line"]]
    if len(lines) != wanted or any(line not in about for line in lines) or (closed and values["lines"]):
        yield f"every open order has its lines, a closed one none ({name})"
