# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An instance without HTTP, and what tests ask it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.lab.neptune.service import Service


class Instance(Service):
    """A service with short words for requests that must succeed, and for those that must not."""

    def cypher(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        """Return the results of an openCypher query."""
        body = json.dumps({"query": query, "parameters": parameters})
        status, found = self.handle("POST", "/openCypher", body=body)
        assert status == 200, found
        results: list[dict[str, Any]] = found["results"]
        return results

    def gremlin(self, text: str) -> list[Any]:
        """Return the results of a Gremlin traversal, GraphSON with its types."""
        status, found = self.handle("POST", "/gremlin", body=json.dumps({"gremlin": text}))
        assert status == 200, found
        results: list[Any] = found["result"]["data"]["@value"]
        return results

    def update(self, text: str) -> None:
        """Do a SPARQL update."""
        status, found = self.handle("POST", "/sparql", body=text, headers={"Content-Type": "application/sparql-update"})
        assert status == 200, found

    def select(self, text: str) -> list[dict[str, str]]:
        """Return the bindings of a SPARQL query."""
        status, found = self.handle("GET", "/sparql", {"query": text})
        assert status == 200, found
        return [{name: term["value"] for name, term in row.items()} for row in found["results"]["bindings"]]

    def refusal(self, path: str, query: dict[str, str] | None = None, /, **fields: Any) -> str:
        """Return the code of a refused request; a GET when there are no fields."""
        method, body = ("POST", json.dumps(fields)) if fields else ("GET", "")
        status, found = self.handle(method, path, query, body)
        assert status >= 400, found
        assert found["detailedMessage"]
        return str(found["code"])

    def stream(self, path: str = "/propertygraph/stream", **query: Any) -> dict[str, Any]:
        """Return a page of a stream, from its beginning unless told otherwise."""
        wanted = {"iteratorType": "TRIM_HORIZON", "limit": 1000, **query}
        status, found = self.handle("GET", path, {name: str(value) for name, value in wanted.items()})
        assert status == 200, found
        page: dict[str, Any] = found
        return page

    def changes(self, after: int = 0) -> list[tuple[Any, ...]]:
        """Return the records behind a commit as (op, id, type, key, data type, value)."""
        if (self.volume.graph.stream.latest() or (0, 0))[0] <= after:
            return []
        page = self.stream(iteratorType="AT_SEQUENCE_NUMBER", commitNum=after + 1, opNum=1)
        return [
            (
                record["op"],
                record["data"]["id"],
                record["data"]["type"],
                record["data"]["key"],
                record["data"]["value"]["dataType"],
                record["data"]["value"]["value"],
            )
            for record in page["records"]
        ]

    @property
    def commits(self) -> int:
        """The number of the last commit of the property graph's stream."""
        return (self.volume.graph.stream.latest() or (0, 0))[0]


@pytest.fixture
def instance() -> Instance:
    """A writer with an empty graph, streams on."""
    return Instance()
