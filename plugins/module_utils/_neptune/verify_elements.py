# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""A property graph as rows to compare: vertices and edges by id. Ids and labels by openCypher, values with their types by Gremlin.

openCypher shows one value only of a property that has several, and its JSON knows no types (Neptune user guide, "openCypher
specification compliance").
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from .connection import Client
from .marker import LABEL
from .retry import persist
from .statements import ABSENT, text
from .verify_rows import Leave, Row, Rows, digest

_AT_ONCE = 500  # elements whose values are asked for in one request
_OF_VERTEX = "id(n) AS id, labels(n) AS labels"
_OF_EDGE = "id(e) AS id, type(e) AS label, id(a) AS source, id(b) AS target"
_PAGE = {
    "vertex": "MATCH (n) WHERE id(n) > $after{until} RETURN " + _OF_VERTEX + " ORDER BY id LIMIT $limit",
    "edge": "MATCH (a)-[e]->(b) WHERE id(e) > $after{until} RETURN " + _OF_EDGE + " ORDER BY id LIMIT $limit",
}
_UNTIL = {"vertex": " AND id(n) <= $until", "edge": " AND id(e) <= $until"}
_BY_ID = {
    "vertex": "UNWIND $ids AS wanted MATCH (n {`~id`: wanted}) RETURN " + _OF_VERTEX,
    "edge": "UNWIND $ids AS wanted MATCH (a)-[e {`~id`: wanted}]->(b) RETURN " + _OF_EDGE,
}
_COUNT = {
    "vertex": "MATCH (n) RETURN labels(n) AS labels, count(n) AS number",
    "edge": "MATCH ()-[e]->() RETURN type(e) AS label, count(e) AS number",
}
_SOME = {
    "vertex": "MATCH (n) RETURN id(n) AS id SKIP $skip LIMIT $limit",
    "edge": "MATCH ()-[e]->() RETURN id(e) AS id SKIP $skip LIMIT $limit",
}


class Elements:
    """The vertices and edges of one side."""

    key = "~id"

    def __init__(self, client: Client, leave: Leave) -> None:
        self._client, self._leave = client, leave

    def parts(self) -> set[str]:
        """Vertices, and edges."""
        return {"vertex", "edge"}

    def page(self, part: str, after: str, until: str | None, limit: int) -> tuple[Rows, str | None]:
        """See :class:`Reader`."""
        query = _PAGE[part].format(until="" if until is None else _UNTIL[part])
        found = self._ask(query, {"after": after, "until": until, "limit": limit})
        return self._rows(part, found), str(found[-1]["id"]) if len(found) == limit else None

    def rows(self, part: str, keys: Sequence[tuple[str, ...]]) -> Rows:
        """See :class:`Reader`."""
        found: Rows = {}
        for start in range(0, len(keys), _AT_ONCE):
            ids = [key[0] for key in keys[start : start + _AT_ONCE]]
            found.update(self._rows(part, self._ask(_BY_ID[part], {"ids": ids})))
        return found

    def counts(self, part: str) -> dict[str, int]:
        """See :class:`Reader`."""
        found: dict[str, int] = {}
        for row in self._ask(_COUNT[part], {}):
            table = _table(part, row)
            if table is not None:
                found[table] = found.get(table, 0) + int(row["number"])
        return found

    def some(self, part: str, skip: int, limit: int) -> list[tuple[str, ...]]:
        """See :class:`Reader`."""
        return [(str(row["id"]),) for row in self._ask(_SOME[part], {"skip": skip, "limit": limit})]

    def _rows(self, part: str, found: Sequence[dict[str, Any]]) -> Rows:
        values = self._values(part, [str(row["id"]) for row in found])
        rows: Rows = {}
        for row in found:
            table = _table(part, row)
            if table is None:
                continue
            kept = {
                key: content
                for key, content in values.get(str(row["id"]), {}).items()
                if not self._leave(f"{part}.{table}", key)
            }
            ends = [] if part == "vertex" else [row["source"], row["target"]]
            rows[(str(row["id"]),)] = Row(digest(table, ends, kept), table, 1)
        return rows

    def _values(self, part: str, ids: Sequence[str]) -> dict[str, dict[str, list[str]]]:
        """Id -> property -> its values, each with its type, in an order of their own."""
        found: dict[str, dict[str, list[str]]] = {}
        step = "V" if part == "vertex" else "E"
        for start in range(0, len(ids), _AT_ONCE):
            wanted = ",".join(text(one) for one in ids[start : start + _AT_ONCE])
            query = f"g.{step}({wanted}).valueMap(true)"
            for entry in _plain(persist(lambda query=query: self._client.gremlin(query))):  # type: ignore[misc]
                found[str(entry.pop("T.id"))] = {
                    key: sorted(json.dumps(one) for one in (content if isinstance(content, list) else [content]))
                    for key, content in entry.items()
                    if key != "T.label"
                }
        return found

    def _ask(self, query: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        given = {name: one for name, one in parameters.items() if one is not None}
        return persist(lambda: self._client.cypher(query, given))


def _table(part: str, row: dict[str, Any]) -> str | None:
    """The label of an edge, the labels of a vertex; None for what is ours."""
    if part == "edge":
        return str(row["label"])
    labels = sorted(str(label) for label in row["labels"] if label != ABSENT)
    return ":".join(labels) if labels and labels != [LABEL] else None


def _plain(found: Any) -> Any:
    """GraphSON 3 without its containers; a value keeps the name of its type, unless it is a string or a boolean."""
    if not isinstance(found, dict):
        return found
    kind, content = found.get("@type"), found.get("@value")
    if kind in ("g:List", "g:Set"):
        return [_plain(one) for one in content or []]
    if kind == "g:Map":
        pairs = [_plain(one) for one in content or []]
        return dict(zip(pairs[::2], pairs[1::2], strict=True))
    if kind == "g:T":
        return f"T.{content}"
    return f"{kind} {json.dumps(content)}" if kind else found
