# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The one element that a deployment writes to an empty graph, so that its stream has a first event.

Whoever compares or counts graphs leaves it out: :data:`LABEL` in a property graph, graphs that begin with :data:`GRAPH` in RDF.
"""

from __future__ import annotations

from . import statements
from .connection import Client, GraphType

LABEL = "BlueGreenMarker"
GRAPH = "urn:bluegreen:marker:"

_FIND = "UNWIND $ids AS id MATCH (n {`~id`: id}) RETURN count(n) AS there"


def marker_id(deployment_id: str) -> str:
    """The marker vertex's id, the graph and subject of the marker quad."""
    return f"{GRAPH}{deployment_id}"


def exists(client: Client, graph_type: GraphType, deployment_id: str) -> bool:
    """Whether it is there."""
    name = marker_id(deployment_id)
    if graph_type == "rdf":
        return bool(client.sparql_query(f"ASK {{ GRAPH <{name}> {{ ?s ?p ?o }} }}")["boolean"])
    return any(row["there"] for row in client.cypher(_FIND, {"ids": [name]}))


def write(client: Client, graph_type: GraphType, deployment_id: str) -> None:
    """Write it; a second time changes nothing."""
    name = marker_id(deployment_id)
    if graph_type == "rdf":
        client.sparql_update(f"INSERT DATA {{ GRAPH <{name}> {{ {_triple(name)} }} }}")
    else:
        client.cypher(statements.create_vertices([LABEL]), {"ids": [name]})


def remove(client: Client, graph_type: GraphType, deployment_id: str) -> None:
    """Delete it."""
    name = marker_id(deployment_id)
    if graph_type == "rdf":
        client.sparql_update(f"DELETE DATA {{ GRAPH <{name}> {{ {_triple(name)} }} }}")
    else:
        client.cypher(statements.drop_vertices(), {"ids": [name], "labels": [LABEL]})


def _triple(name: str) -> str:
    return f'<{name}> <urn:bluegreen:prepared> "first write of the stream"'
