# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Changes written to the target: stage after stage, each in as many requests at a time as there are lanes.

Within a stage every element is in one request, so the order of requests does not matter; between stages there is a
barrier, so an element sees its changes in their order: old edges go, vertices come, get labels and values, lose labels,
then edges come and get values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

from .._core.errors import BlueGreenError
from . import statements
from .coalesce import GraphChanges, Labels, StatementChanges, Values
from .connection import Client, rows
from .retry import persist

T = TypeVar("T")
Request = Callable[[], None]

# A request costs a round trip, a long one waits for its last record: lanes that have nothing to do take some over, but not
# for less than this.
_SMALLEST = 50
# A statement of RDF is looked up by itself, a record of a property graph by its element: so many more are as much work.
_STATEMENTS = 3


class Applier:
    """Writes to ``target`` with ``lanes`` requests at a time of ``batch`` records; ``guard`` runs before each request."""

    def __init__(self, target: Client, lanes: int, batch: int, guard: Callable[[], None]) -> None:
        self._target = target
        self._lanes = max(1, lanes)
        self._batch = max(1, batch)
        self._guard = guard
        self._pool = ThreadPoolExecutor(self._lanes, "lane") if self._lanes > 1 else None

    def graph(self, changes: GraphChanges, replaying: bool) -> None:
        """Apply changes of a property graph.

        ``replaying``: the target may be ahead of them. Then an edge whose end is missing is left out, because the record that
        removes it follows; otherwise it is an error. Raises :class:`BlueGreenError`.
        """
        relabelled: dict[Labels, list[str]] = {}
        self._stage(
            [
                *self._drops(changes, replaying),
                *(
                    self._create(labels, ids, relabelled)
                    for labels, vertices in changes.labelled.items()
                    for ids in self._parts(vertices)
                ),
            ]
        )
        self._stage(self._relabel(statements.add_labels, relabelled))
        self._stage(self._values(statements.vertex_values, changes.vertex_values))
        if changes.unlabelled:
            last = statements.mark_absent() if replaying else statements.drop_vertices()
            self._stage(
                self._cypher(last, ids=ids, labels=list(labels))
                for labels, vertices in changes.unlabelled.items()
                for ids in self._parts(vertices)
            )
            self._stage(self._relabel(statements.remove_labels, changes.unlabelled))
        self._stage(
            self._edges(label, part, replaying) for label, edges in changes.edges.items() for part in self._parts(edges)
        )
        self._stage(self._values(statements.edge_values, changes.edge_values))

    def settle(self) -> None:
        """A replay is over: what it left without a label goes."""
        self._stage([self._cypher(statements.DROP_ABSENT)])
        self._stage([self._cypher(statements.FORGET_ABSENT)])

    def rdf(self, changes: StatementChanges) -> None:
        """Apply changes of RDF; raises :class:`BlueGreenError`."""
        every = [(statement, False) for statement in changes.removed] + [
            (statement, True) for statement in changes.added
        ]
        self._stage(self._update(part) for part in self._parts(every, self._batch * _STATEMENTS))

    def close(self) -> None:
        """End the lanes."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def _drops(self, changes: GraphChanges, replaying: bool) -> Iterator[Request]:
        for ids in self._parts(changes.dropped_edges):
            yield self._cypher(statements.DROP_EDGES, ids=ids)
        if replaying:
            dropped = set(changes.dropped_edges)
            others = [
                {**edge, "label": label}
                for label, edges in changes.edges.items()
                for edge in edges
                if edge["id"] not in dropped
            ]
            for part in self._parts(others):
                yield self._cypher(statements.DROP_OTHER_EDGES, rows=part)

    def _create(self, labels: Labels, ids: list[str], relabelled: dict[Labels, list[str]]) -> Request:
        def request() -> None:
            found = self._send(lambda: self._target.cypher(statements.create_vertices(labels), {"ids": ids}))
            if rows(found, "made") < len(ids):
                relabelled.setdefault(labels, []).extend(ids)

        return request

    def _relabel(self, statement: Callable[[Sequence[str]], str], groups: dict[Labels, list[str]]) -> Iterator[Request]:
        for labels, vertices in groups.items():
            for ids in self._parts(vertices):
                yield self._cypher(statement(labels), ids=ids)

    def _values(self, effects: Callable[..., str], values: Values) -> Iterator[Request]:
        count = sum(len(removed) + len(added) for removed, added in values.values())
        size = self._size(count, self._batch)
        texts: list[str] = []
        count = 0
        for element, (removed, added) in values.items():
            texts.append(effects(element, removed, added))
            count += len(removed) + len(added)
            if count >= size:
                yield self._gremlin(texts)
                texts, count = [], 0
        if texts:
            yield self._gremlin(texts)

    def _edges(self, label: str, edges: list[dict[str, str]], replaying: bool) -> Request:
        side = self._target.endpoint.side

        def request() -> None:
            found = self._send(lambda: self._target.cypher(statements.create_edges(label), {"rows": edges}))
            there = rows(found, "there")
            if there < len(edges) and not replaying:
                raise BlueGreenError(
                    f"{len(edges)} edges of the label {label!r} should be on {side}, such as {edges[0]['id']!r}, but "
                    f"{len(edges) - there} of them have an end that is missing there: {side} is not what it was replicated "
                    "to be; see who writes to it, and build green anew."
                )

        return request

    def _cypher(self, query: str, **parameters: Any) -> Request:
        def request() -> None:
            self._send(lambda: self._target.cypher(query, parameters))

        return request

    def _gremlin(self, effects: list[str]) -> Request:
        def request() -> None:
            self._send(lambda: self._target.gremlin(text))

        text = statements.gremlin(effects)
        return request

    def _update(self, part: list[tuple[str, bool]]) -> Request:
        def request() -> None:
            text = statements.sparql_update(
                [statement for statement, added in part if not added], [statement for statement, added in part if added]
            )
            self._send(lambda: self._target.sparql_update(text))

        return request

    def _send(self, call: Callable[[], T]) -> T:
        return persist(call, self._guard)

    def _size(self, count: int, most: int) -> int:
        """Records per request: rounds are as few as can be, and in each the lanes have equal shares."""
        rounds = max(1, math.ceil(count / (most * self._lanes)))
        return min(most, max(_SMALLEST, math.ceil(count / (rounds * self._lanes))))

    def _parts(self, items: Sequence[T], most: int = 0) -> Iterator[list[T]]:
        size = self._size(len(items), most or self._batch)
        for begin in range(0, len(items), size):
            yield list(items[begin : begin + size])

    def _stage(self, requests: Iterable[Request]) -> None:
        """Run requests in the lanes and wait for all; the first failure stops those that have not begun."""
        if self._pool is None:
            for request in requests:
                request()
            return
        futures: list[Future[None]] = [self._pool.submit(request) for request in requests]
        waiting = wait(futures, return_when=FIRST_EXCEPTION).not_done
        for future in waiting:
            future.cancel()
        wait(waiting)
        for future in futures:
            if not future.cancelled():
                future.result()
