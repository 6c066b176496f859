# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""What a page of records comes to: of everything that was written to one place only the last counts.

A graph is a set of quads (a label of a vertex, a value of a key, an edge, a statement), a record puts one in or takes one
out, so after a page each quad is as its last record says, whatever the target had before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from .._core.errors import BlueGreenError
from .statements import Value, has_blank_node
from .stream import Record

BlankNodes = Literal["stop", "allow"]
Labels = tuple[str, ...]
Values = dict[str, tuple[list[Value], list[Value]]]
"""By element: values to be taken away, values to be added, in this order."""


@dataclass(frozen=True)
class GraphChanges:
    """What a property graph has to become, in the order in which it can be done.

    ``labelled`` and ``unlabelled``: vertices by the labels that they get and lose; an edge is a row ``{id, source, target}``
    by its label. ``dropped_edges`` holds those too that ``edges`` makes anew.
    """

    dropped_edges: list[str] = field(default_factory=list)
    labelled: dict[Labels, list[str]] = field(default_factory=dict)
    vertex_values: Values = field(default_factory=dict)
    unlabelled: dict[Labels, list[str]] = field(default_factory=dict)
    edges: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    edge_values: Values = field(default_factory=dict)


@dataclass(frozen=True)
class StatementChanges:
    """Statements of RDF to be taken out and to be put in; none is in both."""

    removed: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)


def coalesce_graph(records: Sequence[Record]) -> GraphChanges:
    """The net effect of records of a property graph; raises :class:`BlueGreenError` for one that is not understood."""
    try:
        return _Net(records).changes()
    except (KeyError, TypeError, AttributeError) as error:
        raise BlueGreenError(
            f"The stream holds a record that is not as the Neptune Streams API says ({type(error).__name__}: {error}): "
            "replication stops, because it cannot apply it."
        ) from None


def coalesce_rdf(records: Sequence[Record], blank_nodes: BlankNodes = "stop") -> StatementChanges:
    """The net effect of records of RDF.

    Raises :class:`BlueGreenError` at a blank node: it is another node wherever it is inserted, and cannot be deleted by its
    name. With ``allow`` it is inserted all the same, and its removal is left out.
    """
    net: dict[str, bool] = {}
    for record in records:
        statement = record["data"]["stmt"]
        added = record["op"] == "ADD"
        if "_:" in statement and has_blank_node(statement):
            if blank_nodes == "stop":
                event = record["eventId"]
                raise BlueGreenError(
                    f"The record {event['commitNum']}:{event['opNum']} of the stream holds a blank node, which replication cannot "
                    "carry over as the same node: give such nodes an IRI and build green anew, or let them differ with "
                    "blank_nodes=allow."
                )
            if not added:
                continue
        net[statement] = added
    return StatementChanges(
        removed=[statement for statement, added in net.items() if not added],
        added=[statement for statement, added in net.items() if added],
    )


class _Net:
    """The last record of every quad."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.labels: dict[str, dict[str, bool]] = {}
        self.values: dict[str, dict[Value, bool]] = {}
        self.dropped: dict[str, None] = {}
        self.edges: dict[str, tuple[str, str, str]] = {}
        self.edge_values: dict[str, dict[Value, bool]] = {}
        labels, values, edge_values = self.labels, self.values, self.edge_values
        for record in records:
            data = record["data"]
            kind, element, value = data["type"], data["id"], data["value"]
            added = record["op"] == "ADD"
            if kind == "vp":
                of = values.get(element)
                if of is None:
                    of = values[element] = {}
                of[data["key"], value["dataType"], value["value"]] = added
            elif kind == "ep":
                of = edge_values.get(element)
                if of is None:
                    of = edge_values[element] = {}
                quad = data["key"], value["dataType"], value["value"]
                of.pop(quad, None)  # a key of an edge has one value, so their order counts
                of[quad] = added
            elif kind == "vl":
                labels.setdefault(element, {})[value["value"]] = added
            elif kind == "e":
                self._edge(element, added, (value["value"], data["from"], data["to"]))
            else:
                raise KeyError(f"type {kind!r}")

    def _edge(self, edge: str, added: bool, identity: tuple[str, str, str]) -> None:
        if added:
            self.edges[edge] = identity
            return
        # Label and ends of an edge never change: what follows under this id is another edge, which begins without values.
        self.dropped[edge] = None
        self.edges.pop(edge, None)
        self.edge_values.pop(edge, None)

    def changes(self) -> GraphChanges:
        labelled: dict[Labels, list[str]] = {}
        unlabelled: dict[Labels, list[str]] = {}
        for vertex, labels in self.labels.items():
            for wanted, groups in ((True, labelled), (False, unlabelled)):
                group = tuple(sorted([label for label, added in labels.items() if added is wanted]))
                if group:
                    groups.setdefault(group, []).append(vertex)
        edges: dict[str, list[dict[str, str]]] = {}
        for edge, (label, source, target) in self.edges.items():
            edges.setdefault(label, []).append({"id": edge, "source": source, "target": target})
        for edge in self.dropped:
            if edge not in self.edges:
                self.edge_values.pop(edge, None)
        return GraphChanges(
            dropped_edges=list(self.dropped),
            labelled=labelled,
            vertex_values=_parted(self.values),
            unlabelled=unlabelled,
            edges=edges,
            edge_values=_parted(self.edge_values),
        )


def _parted(values: dict[str, dict[Value, bool]]) -> Values:
    return {
        element: ([quad for quad, added in of.items() if not added], [quad for quad, added in of.items() if added])
        for element, of in values.items()
    }
