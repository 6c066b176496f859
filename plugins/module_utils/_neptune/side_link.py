# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What the switchover asks of one cluster: its stream's head, its health, and the queries that run in it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError
from .._core.waiting import Deadline
from .connection import Client, GraphType, NeptuneError, Signer
from .events import START, EventId
from .stream import head

ANSWER = 20.0  # s, the longest that one request may take
_POLL = 0.005  # s
# Where a language lists what runs (Neptune user guide, "Query status API" of Gremlin, openCypher and SPARQL).
_STATUS = {"propertygraph": ("/gremlin/status", "/openCypher/status"), "rdf": ("/sparql/status",)}


class Link:
    """One cluster, by its writer's endpoint."""

    def __init__(self, endpoint: Endpoint, sign: Signer | None) -> None:
        self.side = endpoint.side
        self.client = Client(endpoint, sign, timeout=ANSWER)

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    def sever(self) -> None:
        """Break them, from whatever thread; nothing is asked over them any more."""
        self.client.sever()

    def status(self) -> Mapping[str, Any]:
        """The answer of ``/status``; raises :class:`BlueGreenError` unless it is from a writer, whose stream ends where it says."""
        found = self.client.status()
        if found.get("role") != "writer":
            raise BlueGreenError(
                f"{self.side}'s endpoint should lead to the writer, because only there the end of the stream is exact, but "
                f"leads to a {found.get('role') or 'instance without a role'}: give the cluster's writer endpoint."
            )
        return found

    def head(self, graph_type: GraphType) -> EventId:
        """The last event of the stream, :data:`START` when nothing was ever written."""
        return head(self.client, graph_type) or START

    def loads(self) -> list[str]:
        """The bulk loads that run or wait."""
        return self.client.loads_in_progress()

    def running(self, graph_type: GraphType) -> dict[str, list[str]]:
        """The queries that run or wait, by the place that lists them."""
        found: dict[str, list[str]] = {}
        for path in _STATUS[graph_type]:
            answer = self.client.get(path, includeWaiting="true")
            queries = [str(one["queryId"]) for one in answer.get("queries") or []]
            if queries:
                found[path] = queries
        return found

    def end_queries(self, graph_type: GraphType, deadline: Deadline) -> int:
        """Cancel every query that runs and wait until none does; returns how many there were.

        The connection of each one's client is gone, so that its outcome is not known to anybody.
        """
        seen: set[str] = set()
        while running := self.running(graph_type):
            named = [one for queries in running.values() for one in queries]
            if deadline.passed:
                raise BlueGreenError(
                    f"Every query on {self.side} should end at the fence, but these did not: {', '.join(named[:3])}."
                )
            seen.update(named)
            for path, queries in running.items():
                for one in queries:
                    self._cancel(path, one)
            time.sleep(_POLL)
        return len(seen)

    def _cancel(self, path: str, query: str) -> None:
        try:
            self.client.get(path, cancelQuery="true", queryId=query, silent="true")
        except NeptuneError as error:
            if error.status not in (400, 404):  # it has ended by itself
                raise
