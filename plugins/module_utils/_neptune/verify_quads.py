# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""RDF as rows to compare: a graph is a table, a subject with everything that is said of it a row.

A blank node has no name that both sides share: those of a graph are compared together, by what is said of them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from .connection import Client
from .marker import GRAPH
from .retry import persist
from .verify_rows import Leave, Row, Rows, digest

_AT_ONCE = 200  # subjects in one request
_BLANK = "_:"
UNNAMED = "default"
"""The triples that are in no graph with a name; Neptune gives them one."""
_NO_GRAPH = "?s ?p ?o FILTER NOT EXISTS { GRAPH ?other { ?s ?p ?o } }"
Binding = Mapping[str, Mapping[str, str]]


class Quads:
    """The graphs of one side."""

    key = "subject"

    def __init__(self, client: Client, leave: Leave) -> None:
        self._client, self._leave = client, leave

    def parts(self) -> set[str]:
        """The graphs, except ours."""
        rows = self._ask("SELECT DISTINCT ?g WHERE { GRAPH ?g { ?s ?p ?o } }")
        found = {row["g"]["value"] for row in rows if not row["g"]["value"].startswith(GRAPH)}
        if self._ask(f"SELECT ?s WHERE {{ {_NO_GRAPH} }} LIMIT 1"):
            found.add(UNNAMED)
        return found

    def page(self, part: str, after: str, until: str | None, limit: int) -> tuple[Rows, str | None]:
        """See :class:`Reader`; the blank nodes are the first piece."""
        end = "" if until is None else f" && STR(?s) <= {_literal(until)}"
        found = self._ask(
            f"SELECT DISTINCT ?s WHERE {{ {_pattern(part)} FILTER(isIRI(?s) && STR(?s) > {_literal(after)}{end}) }} "
            f"ORDER BY STR(?s) LIMIT {limit}"
        )
        subjects = [row["s"]["value"] for row in found]
        keys: list[tuple[str, ...]] = [(subject,) for subject in subjects]
        rows = self.rows(part, keys if after else [(_BLANK,), *keys])
        return rows, subjects[-1] if len(subjects) == limit else None

    def rows(self, part: str, keys: Sequence[tuple[str, ...]]) -> Rows:
        """See :class:`Reader`."""
        said: dict[str, list[str]] = {}
        if (_BLANK,) in keys:
            for row in self._ask(f"SELECT ?p ?o WHERE {{ {_pattern(part)} FILTER(isBlank(?s)) }}"):
                self._note(part, said.setdefault(_BLANK, []), row)
        named = [key[0] for key in keys if key[0] != _BLANK]
        for start in range(0, len(named), _AT_ONCE):
            wanted = " ".join(f"<{one}>" for one in named[start : start + _AT_ONCE])
            for row in self._ask(f"SELECT ?s ?p ?o WHERE {{ VALUES ?s {{ {wanted} }} {_pattern(part)} }}"):
                self._note(part, said.setdefault(row["s"]["value"], []), row)
        return {
            (subject,): Row(digest(sorted(statements)), part, len(statements)) for subject, statements in said.items()
        }

    def counts(self, part: str) -> dict[str, int]:
        """See :class:`Reader`."""
        found = self._ask(f"SELECT (COUNT(*) AS ?number) WHERE {{ {_pattern(part)} }}")
        return {part: int(found[0]["number"]["value"])}

    def some(self, part: str, skip: int, limit: int) -> list[tuple[str, ...]]:
        """See :class:`Reader`."""
        found = self._ask(
            f"SELECT DISTINCT ?s WHERE {{ {_pattern(part)} FILTER(isIRI(?s)) }} LIMIT {limit} OFFSET {skip}"
        )
        return [(row["s"]["value"],) for row in found]

    def _note(self, part: str, statements: list[str], row: Binding) -> None:
        predicate, said = row["p"]["value"], dict(row["o"])
        if self._leave(f"graph.{part}", predicate):
            return
        if said["type"] == "bnode":
            said.pop("value", None)
        statements.append(json.dumps([predicate, said], sort_keys=True))

    def _ask(self, query: str) -> list[Binding]:
        found: Any = persist(lambda: self._client.sparql_query(query))
        rows: list[Binding] = found["results"]["bindings"]
        return rows


def _pattern(part: str) -> str:
    return _NO_GRAPH if part == UNNAMED else f"GRAPH <{part}> {{ ?s ?p ?o }}"


def _literal(value: str) -> str:
    """A string literal: JSON's escapes are SPARQL's (SPARQL 1.1 Query Language, 19.7 and 19.2)."""
    return json.dumps(value, ensure_ascii=False)
