# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documents about a graph: its summary, and the state of bulk loads."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

from tests.lab.neptune.errors import ServiceError
from tests.lab.neptune.graph import Graph
from tests.lab.neptune.rdf import Rdf

_TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"


def _payload(summary: dict[str, Any]) -> dict[str, Any]:
    moment = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
    return {
        "status": "200 OK",
        "payload": {"version": "v1", "lastStatisticsComputationTime": moment, "graphSummary": summary},
    }


def property_graph(graph: Graph) -> dict[str, Any]:
    """Return the summary of a property graph."""
    node_keys: Counter[str] = Counter()
    values = 0
    for vertex in graph.vertices.values():
        node_keys.update(list(vertex.properties))
        values += sum(map(len, vertex.properties.values()))
    edge_keys = Counter(key for edge in graph.edges.values() for key in edge.properties)
    labels = sorted(label for label, members in graph.by_label.items() if members)
    edge_labels = sorted({edge.label for edge in graph.edges.values()})
    return _payload(
        {
            "numNodes": len(graph.vertices),
            "numEdges": len(graph.edges),
            "numNodeLabels": len(labels),
            "numEdgeLabels": len(edge_labels),
            "nodeLabels": labels,
            "edgeLabels": edge_labels,
            "numNodeProperties": len(node_keys),
            "numEdgeProperties": len(edge_keys),
            "nodeProperties": [{key: count} for key, count in node_keys.most_common()],
            "edgeProperties": [{key: count} for key, count in edge_keys.most_common()],
            "totalNodePropertyValues": values,
            "totalEdgePropertyValues": sum(edge_keys.values()),
        }
    )


def rdf(graph: Rdf) -> dict[str, Any]:
    """Return the summary of an RDF graph."""
    quads = list(graph.store)
    predicates = Counter(quad.predicate.value for quad in quads)
    classes = sorted({str(quad.object).strip("<>") for quad in quads if quad.predicate.value == _TYPE})
    return _payload(
        {
            "numDistinctSubjects": len({quad.subject for quad in quads}),
            "numDistinctPredicates": len(predicates),
            "numQuads": len(quads),
            "numClasses": len(classes),
            "classes": classes,
            "predicates": [{name: count} for name, count in predicates.most_common()],
        }
    )


def load(loads: Mapping[str, str], load_id: str) -> dict[str, Any]:
    """Return the state of a bulk load."""
    if load_id not in loads:
        raise ServiceError("BulkLoadIdNotFoundException", f"Load id {load_id} does not exist", 404)
    overall = {
        "fullUri": "s3://lab/load",
        "runNumber": 1,
        "retryNumber": 0,
        "status": loads[load_id],
        "totalTimeSpent": 1,
        "startTime": int(time.time()),
        "totalRecords": 0,
        "totalDuplicates": 0,
        "parsingErrors": 0,
        "datatypeMismatchErrors": 0,
        "insertErrors": 0,
    }
    return {"status": "200 OK", "payload": {"feedCount": [{loads[load_id]: 1}], "overallStatus": overall}}
