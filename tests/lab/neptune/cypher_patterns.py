# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Patterns of openCypher: read, found in a graph, made in it. Ids are given as `~id`, as Neptune has them."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tests.lab.neptune.cypher_expressions import Expressions, Function, Row, Run
from tests.lab.neptune.cypher_functions import equal, property_of
from tests.lab.neptune.errors import malformed
from tests.lab.neptune.graph import Edge, Graph, Vertex
from tests.lab.neptune.values import from_json

ID = "~id"


@dataclass(frozen=True)
class NodePattern:
    """(name:Label {key: value})."""

    name: str
    labels: tuple[str, ...]
    properties: dict[str, Function]
    identity: Function | None


@dataclass(frozen=True)
class EdgePattern:
    """-[name:TYPE {key: value}]->; direction is > (to the right), < or - (either)."""

    name: str
    types: tuple[str, ...]
    properties: dict[str, Function]
    identity: Function | None
    direction: str


@dataclass(frozen=True)
class Path:
    """Nodes and the relationships between them."""

    nodes: tuple[NodePattern, ...]
    edges: tuple[EdgePattern, ...]

    def names(self) -> Iterator[str]:
        """Yield the variables, those that nobody named included."""
        yield from (node.name for node in self.nodes)
        yield from (edge.name for edge in self.edges)


class Patterns(Expressions):
    """The parser of patterns."""

    _anonymous = 0

    def paths(self) -> list[Path]:
        """Read patterns with commas between them."""
        found = [self.path()]
        while self.words.accept(","):
            found.append(self.path())
        return found

    def path(self) -> Path:
        """Read one pattern."""
        nodes, edges = [self._node()], []
        while self.words.next.kind == "sign" and self.words.next.text in ("-", "<-", "<"):
            edges.append(self._edge())
            nodes.append(self._node())
        return Path(tuple(nodes), tuple(edges))

    def _variable_name(self) -> str:
        if self.words.next.kind in ("name", "quoted"):
            return self.words.take().text
        self._anonymous += 1
        return f"  {self._anonymous}"

    def _node(self) -> NodePattern:
        self.words.expect("(")
        name = self._variable_name()
        labels = []
        while self.words.accept(":"):
            labels.append(self.name())
        properties = self.map_items() if self.words.accept("{") else {}
        self.words.expect(")")
        return NodePattern(name, tuple(labels), properties, properties.pop(ID, None))

    def _edge(self) -> EdgePattern:
        left = self.words.accept("<-")
        if not left:
            self.words.expect("-")
        name, types, properties = self._variable_name() if self.words.next.text != "[" else "", [], {}
        if self.words.accept("["):
            name = self._variable_name()
            if self.words.accept(":"):
                types.append(self.name())
            while types and self.words.accept("|"):
                self.words.accept(":")
                types.append(self.name())
            if self.words.next.text == "*":
                raise malformed("Variable length patterns are not served here")
            properties = self.map_items() if self.words.accept("{") else {}
            self.words.expect("]")
        elif not name:
            name = self._variable_name()
        right = self.words.accept("->")
        if not right:
            self.words.expect("-")
        direction = "<" if left and not right else (">" if right and not left else "-")
        return EdgePattern(name, tuple(types), properties, properties.pop(ID, None), direction)


Hints = dict[str, tuple[Function, bool]]


def find(paths: Sequence[Path], row: Row, run: Run, hints: Hints) -> Iterator[Row]:
    """Yield the row with every way in which all paths are in the graph; no relationship serves twice."""
    if not paths:
        yield row
        return
    for found in _find_path(paths[0], row, run, hints):
        if len(paths) == 1:
            yield found
            continue
        used = {found[edge.name].id for edge in paths[0].edges}
        for whole in find(paths[1:], found, run, hints):
            if not used & {whole[edge.name].id for path in paths[1:] for edge in path.edges}:
                yield whole


def _find_path(path: Path, row: Row, run: Run, hints: Hints) -> Iterator[Row]:
    if not path.edges:
        node = path.nodes[0]
        if node.identity is not None and not node.properties and node.name not in row:
            known = run.graph.vertices.get(node.identity(row, run))
            if known is not None and all(label in known.labels for label in node.labels):
                yield {**row, node.name: known}
            return
        for vertex in _candidates(node, row, run, hints):
            if _fits_node(node, vertex, row, run):
                yield {**row, node.name: vertex}
        return
    for at, edge in enumerate(path.edges):
        if edge.identity is not None or edge.name in row or edge.name in hints:
            yield from _from_edge(path, at, row, run, hints)
            return
    start = min(range(len(path.nodes)), key=lambda at: _cost(path.nodes[at], row, hints))
    node = path.nodes[start]
    for vertex in _candidates(node, row, run, hints):
        if _fits_node(node, vertex, row, run):
            yield from _grow(path, start, start, {**row, node.name: vertex}, run)


def _cost(node: NodePattern, row: Row, hints: Hints) -> int:
    if node.name in row or node.identity is not None or node.name in hints:
        return 0
    return 1 if node.labels else 2


def _by_id(identity: Function | None, name: str, row: Row, run: Run, hints: Hints) -> Iterable[Any] | None:
    """Return the ids that a part of a pattern can have, None when they are not known."""
    if identity is not None:
        return (identity(row, run),)
    if name in hints:
        value, several = hints[name]
        try:
            found = value(row, run)
        except KeyError:
            return None
        return (found or ()) if several else (found,)
    return None


def _candidates(node: NodePattern, row: Row, run: Run, hints: Hints) -> Iterable[Vertex]:
    if node.name in row:
        bound = row[node.name]
        return () if bound is None else (bound,)
    graph = run.graph
    ids = _by_id(node.identity, node.name, row, run, hints)
    if ids is not None:
        return [graph.vertices[one] for one in ids if isinstance(one, str) and one in graph.vertices]
    if node.labels:
        return list(graph.by_label.get(node.labels[0], {}).values())
    return list(graph.vertices.values())


def _fits_node(node: NodePattern, vertex: Any, row: Row, run: Run) -> bool:
    if not isinstance(vertex, Vertex):
        raise malformed(f"Variable `{node.name}` is no node")
    if node.identity is not None and node.identity(row, run) != vertex.id:
        return False
    for label in node.labels:
        if label not in vertex.labels:
            return False
    return not node.properties or _has(node.properties, vertex, row, run)


def _has(properties: dict[str, Function], element: Vertex | Edge, row: Row, run: Run) -> bool:
    return all(equal(property_of(element, key), value(row, run)) is True for key, value in properties.items())


def _fits_edge(pattern: EdgePattern, edge: Edge, row: Row, run: Run) -> bool:
    if pattern.types and edge.label not in pattern.types:
        return False
    if pattern.identity is not None and pattern.identity(row, run) != edge.id:
        return False
    return not pattern.properties or _has(pattern.properties, edge, row, run)


def _from_edge(path: Path, at: int, row: Row, run: Run, hints: Hints) -> Iterator[Row]:
    """Find a path that has a relationship with a known id."""
    pattern = path.edges[at]
    if pattern.name in row:
        edges = [row[pattern.name]] if row[pattern.name] is not None else []
    else:
        ids = _by_id(pattern.identity, pattern.name, row, run, hints) or ()
        edges = [run.graph.edges[one] for one in ids if isinstance(one, str) and one in run.graph.edges]
    for edge in edges:
        if not _fits_edge(pattern, edge, row, run):
            continue
        for left, right in _ends(pattern, edge):
            grown = _bind(path.nodes[at], left, row, run)
            if grown is not None:
                grown = _bind(path.nodes[at + 1], right, grown, run)
            if grown is not None:
                yield from _grow(path, at, at + 1, {**grown, pattern.name: edge}, run)


def _ends(pattern: EdgePattern, edge: Edge) -> list[tuple[Vertex, Vertex]]:
    """Return how an edge can lie between the nodes left and right of it."""
    ways = []
    if pattern.direction in (">", "-"):
        ways.append((edge.start, edge.end))
    if pattern.direction in ("<", "-") and (edge.start is not edge.end or not ways):
        ways.append((edge.end, edge.start))
    return ways


def _bind(node: NodePattern, vertex: Vertex, row: Row, run: Run) -> Row | None:
    if node.name in row and row[node.name] is not vertex:
        return None
    return {**row, node.name: vertex} if _fits_node(node, vertex, row, run) else None


def _grow(path: Path, first: int, last: int, row: Row, run: Run) -> Iterator[Row]:
    """Yield the rows in which a path, found from node `first` to node `last`, is found as a whole."""
    if last < len(path.edges):
        at, known, new = last, path.nodes[last], path.nodes[last + 1]
        grown = (first, last + 1)
    elif first > 0:
        at, known, new = first - 1, path.nodes[first], path.nodes[first - 1]
        grown = (first - 1, last)
    else:
        yield row
        return
    pattern, vertex = path.edges[at], row[known.name]
    used = {row[edge.name].id for edge in path.edges if edge is not pattern and edge.name in row}
    for edge in [*vertex.outgoing.values(), *vertex.incoming.values()]:
        if edge.id in used or not _fits_edge(pattern, edge, row, run):
            continue
        if pattern.name in row and row[pattern.name] is not edge:
            continue
        for ends in _ends(pattern, edge):
            here, there = ends if known is path.nodes[at] else ends[::-1]
            bound = _bind(new, there, row, run) if here is vertex else None
            if bound is not None:
                yield from _grow(path, *grown, {**bound, pattern.name: edge}, run)
        if edge.start is edge.end:
            used = used | {edge.id}  # it is listed at both ends


def create(path: Path, row: Row, run: Run) -> Row:
    """Make what a pattern names and the row does not have; return the row with all of it."""
    row = dict(row)
    for node in path.nodes:
        if node.name in row:
            if row[node.name] is None:
                raise malformed(f"Cannot create a relationship at a node that is null: `{node.name}`")
            if node.labels or node.properties:
                raise malformed(f"Variable `{node.name}` already declared")
        else:
            vertex = run.graph.add_vertex(_new_id(node.identity, row, run), list(node.labels))
            row[node.name] = vertex
            for key, value in node.properties.items():
                put(run.graph, vertex, key, value(row, run))
    for at, pattern in enumerate(path.edges):
        if len(pattern.types) != 1 or pattern.direction == "-":
            raise malformed("A relationship that is created has one type and a direction")
        ends = row[path.nodes[at].name], row[path.nodes[at + 1].name]
        start, end = ends if pattern.direction == ">" else ends[::-1]
        edge = run.graph.add_edge(_new_id(pattern.identity, row, run), pattern.types[0], start, end)
        row[pattern.name] = edge
        for key, value in pattern.properties.items():
            put(run.graph, edge, key, value(row, run))
    return row


def directed(path: Path) -> Path:
    """Return a pattern to merge, whose relationships have a direction when they are made."""
    edges = tuple(replace(edge, direction=">") if edge.direction == "-" else edge for edge in path.edges)
    return replace(path, edges=edges)


def _new_id(identity: Function | None, row: Row, run: Run) -> str:
    value = str(uuid.uuid4()) if identity is None else identity(row, run)
    if not isinstance(value, str):
        raise malformed(f"`~id` must be a String, found {value!r}")
    return value


def put(graph: Graph, element: Vertex | Edge, key: str, value: Any) -> None:
    """Let a property have one value, or none when it is null."""
    if key == ID:
        raise malformed("`~id` cannot be changed")
    if value is None:
        if isinstance(element, Vertex):
            graph.drop_key(element, key)
        else:
            graph.drop_edge_key(element, key)
        return
    try:
        typed = from_json(value)
    except (TypeError, ValueError) as error:
        raise malformed(f"Property {key}: {error}") from None
    if isinstance(element, Vertex):
        graph.set_value(element, key, typed)
    else:
        graph.set_edge_value(element, key, typed)
