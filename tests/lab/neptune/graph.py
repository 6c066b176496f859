# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The property graph as the service keeps it: sets.

A vertex is a set of labels, never empty, and a set of values per property key; an edge has one label, two ends that
never change, and one value per key. Every change that really changes something is recorded; a transaction commits its
records as one commit of the stream, or undoes them.
"""

from __future__ import annotations

from json.encoder import encode_basestring_ascii as quoted  # the fast one, which json.dumps uses
from typing import Any

from tests.lab.neptune.errors import ServiceError
from tests.lab.neptune.stream import Stream
from tests.lab.neptune.values import NAN, Typed, iso

# id, type (vl | vp | e | ep), key, data type, value, from, to
Data = tuple[str, str, str, str, Any, str | None, str | None]
DEFAULT_LABEL = "vertex"


class Vertex:
    """Labels, values by key, and the edges at it by id."""

    __slots__ = ("id", "incoming", "labels", "outgoing", "properties")

    def __init__(self, vertex_id: str) -> None:
        self.id = vertex_id
        self.labels: dict[str, None] = {}
        self.properties: dict[str, dict[Typed, None]] = {}
        self.outgoing: dict[str, Edge] = {}
        self.incoming: dict[str, Edge] = {}


class Edge:
    """Label, ends, and one value per key."""

    __slots__ = ("end", "id", "label", "properties", "start")

    def __init__(self, edge_id: str, label: str, start: Vertex, end: Vertex) -> None:
        self.id = edge_id
        self.label = label
        self.start = start
        self.end = end
        self.properties: dict[str, Typed] = {}


class Graph:
    """Vertices and edges by id, and the stream of what happens to them. Not thread-safe: its owner has one thread."""

    def __init__(self, stream: Stream | None = None) -> None:
        self.vertices: dict[str, Vertex] = {}
        self.edges: dict[str, Edge] = {}
        self.by_label: dict[str, dict[str, Vertex]] = {}
        self.stream = stream or Stream("PG_JSON", encode)
        self.recording = True
        self._records: list[tuple[str, Data]] = []

    def copy(self) -> Graph:
        """Return a graph with a stream of its own that both go their own way from here."""
        other = Graph(self.stream.copy())
        other.recording = self.recording
        for vertex in self.vertices.values():
            for label in vertex.labels:
                other._label(vertex.id, label)
            other.vertices[vertex.id].properties = {key: dict(each) for key, each in vertex.properties.items()}
        for edge in self.edges.values():
            twin = other._link(edge.id, edge.label, edge.start.id, edge.end.id)
            twin.properties = dict(edge.properties)
        return other

    # Transactions

    def commit(self) -> int:
        """End the transaction; return how much it changed."""
        records, self._records = self._records, []
        if self.recording:
            self.stream.append(records)
        return len(records)

    def rollback(self) -> None:
        """Undo the transaction."""
        records, self._records = self._records, []
        for op, data in reversed(records):
            self._undo(op, data)

    def _undo(self, op: str, data: Data) -> None:
        element, kind, key, data_type, value, start, end = data
        typed = (data_type, value)
        if kind == "vl":
            (self._unlabel if op == "ADD" else self._label)(element, value)
        elif kind == "vp":
            held = self.vertices[element].properties
            if op == "ADD":
                del held[key][typed]
                if not held[key]:
                    del held[key]
            else:
                held.setdefault(key, {})[typed] = None
        elif kind == "e":
            if op == "ADD":
                self._unlink(self.edges[element])
            else:
                assert start is not None and end is not None
                self._link(element, value, start, end)
        elif op == "ADD":
            del self.edges[element].properties[key]
        else:
            self.edges[element].properties[key] = typed

    # Structure, without records

    def _label(self, vertex_id: str, label: str) -> Vertex:
        vertex = self.vertices.get(vertex_id)
        if vertex is None:
            vertex = self.vertices[vertex_id] = Vertex(vertex_id)
        vertex.labels[label] = None
        self.by_label.setdefault(label, {})[vertex_id] = vertex
        return vertex

    def _unlabel(self, vertex_id: str, label: str) -> None:
        vertex = self.vertices[vertex_id]
        del vertex.labels[label]
        del self.by_label[label][vertex_id]
        if not vertex.labels:
            del self.vertices[vertex_id]

    def _link(self, edge_id: str, label: str, start: str, end: str) -> Edge:
        edge = Edge(edge_id, label, self.vertices[start], self.vertices[end])
        self.edges[edge_id] = edge
        edge.start.outgoing[edge_id] = edge
        edge.end.incoming[edge_id] = edge
        return edge

    def _unlink(self, edge: Edge) -> None:
        del self.edges[edge.id]
        del edge.start.outgoing[edge.id]
        del edge.end.incoming[edge.id]

    # Vertices

    def add_vertex(self, vertex_id: str, labels: list[str]) -> Vertex:
        """Make a vertex; refuses an id that is taken."""
        if vertex_id in self.vertices:
            raise ServiceError("ConstraintViolationException", f"Vertex with id already exists: {vertex_id}")
        if vertex_id in self.edges:
            raise ServiceError("ConstraintViolationException", f"Id is already used by an edge: {vertex_id}")
        for label in labels or [DEFAULT_LABEL]:
            self.add_label(vertex_id, label)
        return self.vertices[vertex_id]

    def add_label(self, vertex_id: str, label: str) -> None:
        """Add a label; the first one makes the vertex."""
        vertex = self.vertices.get(vertex_id)
        if vertex is None or label not in vertex.labels:
            self._label(vertex_id, label)
            self._records.append(("ADD", (vertex_id, "vl", "label", "String", label, None, None)))

    def remove_label(self, vertex: Vertex, label: str) -> None:
        """Remove a label; refuses to remove the last one."""
        if label not in vertex.labels:
            return
        if len(vertex.labels) == 1:
            raise ServiceError("ConstraintViolationException", f"Cannot remove the last label of vertex {vertex.id}")
        self._records.append(("REMOVE", (vertex.id, "vl", "label", "String", label, None, None)))
        self._unlabel(vertex.id, label)

    def drop_vertex(self, vertex: Vertex) -> None:
        """Remove a vertex with its edges."""
        if vertex.id not in self.vertices:
            return
        for edge in [*vertex.outgoing.values(), *vertex.incoming.values()]:
            self.drop_edge(edge)
        for key in list(vertex.properties):
            self.drop_key(vertex, key)
        for label in list(vertex.labels):
            self._records.append(("REMOVE", (vertex.id, "vl", "label", "String", label, None, None)))
            self._unlabel(vertex.id, label)

    def add_value(self, vertex: Vertex, key: str, typed: Typed) -> None:
        """Add one value to a property's set."""
        held = vertex.properties.setdefault(key, {})
        if typed not in held:
            held[typed] = None
            self._records.append(("ADD", (vertex.id, "vp", key, *typed, None, None)))

    def remove_value(self, vertex: Vertex, key: str, typed: Typed) -> None:
        """Remove one value from a property's set."""
        held = vertex.properties.get(key, {})
        if typed in held:
            del held[typed]
            if not held:
                del vertex.properties[key]
            self._records.append(("REMOVE", (vertex.id, "vp", key, *typed, None, None)))

    def set_value(self, vertex: Vertex, key: str, typed: Typed) -> None:
        """Let a property have this value and no other."""
        for other in list(vertex.properties.get(key, ())):
            if other != typed:
                self.remove_value(vertex, key, other)
        self.add_value(vertex, key, typed)

    def drop_key(self, vertex: Vertex, key: str) -> None:
        """Remove all values of a property."""
        for typed in list(vertex.properties.get(key, ())):
            self.remove_value(vertex, key, typed)

    # Edges

    def add_edge(self, edge_id: str, label: str, start: Vertex, end: Vertex) -> Edge:
        """Make an edge; refuses an id that is taken and an end that is gone."""
        if edge_id in self.edges:
            raise ServiceError("ConstraintViolationException", f"Edge with id already exists: {edge_id}")
        if edge_id in self.vertices:
            raise ServiceError("ConstraintViolationException", f"Id is already used by a vertex: {edge_id}")
        for vertex in (start, end):
            if self.vertices.get(vertex.id) is not vertex:
                raise ServiceError("ConstraintViolationException", f"Vertex does not exist: {vertex.id}")
        edge = self._link(edge_id, label, start.id, end.id)
        self._records.append(("ADD", (edge_id, "e", "label", "String", label, start.id, end.id)))
        return edge

    def drop_edge(self, edge: Edge) -> None:
        """Remove an edge."""
        if self.edges.get(edge.id) is not edge:
            return
        for key in list(edge.properties):
            self.drop_edge_key(edge, key)
        self._records.append(("REMOVE", (edge.id, "e", "label", "String", edge.label, edge.start.id, edge.end.id)))
        self._unlink(edge)

    def set_edge_value(self, edge: Edge, key: str, typed: Typed) -> None:
        """Let a property of an edge have this value."""
        if edge.properties.get(key) != typed:
            self.drop_edge_key(edge, key)
            edge.properties[key] = typed
            self._records.append(("ADD", (edge.id, "ep", key, *typed, None, None)))

    def drop_edge_key(self, edge: Edge, key: str) -> None:
        """Remove a property of an edge."""
        if key in edge.properties:
            self._records.append(("REMOVE", (edge.id, "ep", key, *edge.properties.pop(key), None, None)))


def encode(data: Data) -> str:
    """Return the data of a record as the stream's JSON."""
    element, kind, key, data_type, value, start, end = data
    ends = f',"from":{quoted(start)},"to":{quoted(end)}' if start is not None and end is not None else ""
    return (
        f'{{"id":{quoted(element)},"type":"{kind}","key":{quoted(key)},'
        f'"value":{{"value":{value_json(data_type, value)},"dataType":"{data_type}"}}{ends}}}'
    )


def value_json(data_type: str, value: Any) -> str:
    """Return a value as JSON; what JSON has no number for is text, and so is a Date."""
    if data_type == "String":
        return quoted(value)
    if data_type == "Bool":
        return "true" if value else "false"
    if data_type == "Date":
        return f'"{iso(value)}"'
    if value is NAN:
        return '"NaN"'
    if value in (float("inf"), float("-inf")):
        return '"Infinity"' if value > 0 else '"-Infinity"'
    return repr(value)
