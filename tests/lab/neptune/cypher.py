# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""openCypher: UNWIND, MATCH, WITH, CREATE, MERGE, SET, REMOVE, DELETE and RETURN, parsed and run clause by clause.

Every clause is done for all rows before the next one begins, so no clause sees half of what another one writes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tests.lab.neptune.cypher_expressions import Aggregate, Function, Row, Run, element_of, words
from tests.lab.neptune.cypher_functions import AGGREGATES, distinct, hashable, properties_of, sort_key, truth
from tests.lab.neptune.cypher_patterns import ID, Hints, Patterns, create, directed, find, put
from tests.lab.neptune.errors import ServiceError, malformed
from tests.lab.neptune.graph import Edge, Graph, Vertex
from tests.lab.neptune.values import Date

Clause = Callable[[list[Row], Run], list[Row]]
_ENDS = ("ORDER", "SKIP", "LIMIT", "WHERE", "")


@dataclass(frozen=True)
class Query:
    """A parsed query."""

    clauses: tuple[Clause, ...]
    writes: bool
    returns: bool

    def run(self, graph: Graph, parameters: dict[str, Any]) -> list[dict[str, Any]]:
        """Run in the graph's transaction; return the results as the service writes them. Raises ServiceError."""
        run = Run(graph, parameters)
        rows: list[Row] = [{}]
        try:
            for clause in self.clauses:
                rows = clause(rows, run)
        except (AttributeError, TypeError, KeyError, ValueError) as error:  # a value of the wrong kind in the query
            raise ServiceError("BadRequestException", f"Type mismatch: {error}") from None
        return [{name: document(value) for name, value in row.items()} for row in rows] if self.returns else []


def document(value: Any) -> Any:
    """Return a value as the service's JSON."""
    if isinstance(value, Vertex):
        return {
            "~id": value.id,
            "~entityType": "node",
            "~labels": list(value.labels),
            "~properties": {key: document(one) for key, one in (properties_of(value) or {}).items()},
        }
    if isinstance(value, Edge):
        return {
            "~id": value.id,
            "~entityType": "relationship",
            "~start": value.start.id,
            "~end": value.end.id,
            "~type": value.label,
            "~properties": {key: document(one) for key, one in (properties_of(value) or {}).items()},
        }
    if isinstance(value, list):
        return [document(one) for one in value]
    if isinstance(value, dict):
        return {key: document(one) for key, one in value.items()}
    return str(value) if isinstance(value, Date) else value


@functools.lru_cache(maxsize=512)
def parse(text: str) -> Query:
    """Parse a query; raises ServiceError. A text that was seen before is not parsed again."""
    return Parser(text).query()


class Parser(Patterns):
    """The parser of clauses."""

    def __init__(self, text: str) -> None:
        super().__init__(words(text))

    def query(self) -> Query:
        """Read a whole query."""
        clauses: list[Clause] = []
        writes = returns = False
        while self.words.next.kind != "end" and not self.words.accept(";"):
            if returns:
                raise self.words.unexpected("the end after RETURN")
            word = self.words.next.text.upper()
            clauses.append(self._clause())
            returns = word == "RETURN"
            writes = writes or word in ("CREATE", "MERGE", "SET", "REMOVE", "DELETE", "DETACH")
        if self.words.next.kind != "end" or not clauses:
            raise self.words.unexpected("a query")
        if not writes and not returns:
            raise malformed("Query cannot conclude without RETURN or an update")
        return Query(tuple(clauses), writes, returns)

    def _clause(self) -> Clause:
        kinds: dict[tuple[str, ...], Callable[[], Clause]] = {
            ("UNWIND",): self._unwind,
            ("OPTIONAL", "MATCH"): lambda: self._match(True),
            ("MATCH",): lambda: self._match(False),
            ("WITH",): lambda: self._projection(True),
            ("RETURN",): lambda: self._projection(False),
            ("CREATE",): self._create,
            ("MERGE",): self._merge,
            ("SET",): self._set,
            ("REMOVE",): self._remove,
            ("DETACH", "DELETE"): lambda: self._delete(True),
            ("DELETE",): lambda: self._delete(False),
        }
        for key, read in kinds.items():
            if self.words.accept_word(*key):
                return read()
        raise self.words.unexpected("a clause")

    # Reading clauses

    def _unwind(self) -> Clause:
        value = self.expression().value
        self.words.expect_word("AS")
        name = self.name()

        def unwind(rows: list[Row], run: Run) -> list[Row]:
            made = []
            for row in rows:
                items = value(row, run)
                if items is not None:
                    made += [{**row, name: one} for one in (items if isinstance(items, list) else [items])]
            return made

        return unwind

    def _where(self) -> tuple[Function | None, Hints]:
        if not self.words.accept_word("WHERE"):
            return None, {}
        expression = self.expression()
        return expression.value, expression.hints

    def _match(self, optional: bool) -> Clause:
        paths = self.paths()
        where, hints = self._where()
        names = [name for path in paths for name in path.names()]

        def match(rows: list[Row], run: Run) -> list[Row]:
            made = []
            for row in rows:
                found = [one for one in find(paths, row, run, hints) if where is None or truth(where(one, run)) is True]
                made += found
                if not found and optional:
                    made.append({**dict.fromkeys(names), **row})
            return made

        return match

    def _projection(self, goes_on: bool) -> Clause:
        unique = self.words.accept_word("DISTINCT")
        self.aggregates = []
        star, items = self._items(goes_on)
        aggregates, self.aggregates = self.aggregates, []
        orders = self._orders()
        skip = self.expression().value if self.words.accept_word("SKIP") else None
        limit = self.expression().value if self.words.accept_word("LIMIT") else None
        where = self._where()[0] if goes_on else None

        def project(rows: list[Row], run: Run) -> list[Row]:
            made = _projected(rows, run, items, star, aggregates)
            if unique:
                made = [(dict(zip(new, values, strict=True)), old) for new, values, old in _distinct(made)]
            for value, descending in reversed(orders):
                made.sort(key=lambda pair: sort_key(value({**pair[1], **pair[0]}, run)), reverse=descending)
            new = [pair[0] for pair in made]
            if skip is not None:
                new = new[skip({}, run) :]
            if limit is not None:
                new = new[: limit({}, run)]
            return new if where is None else [row for row in new if truth(where(row, run)) is True]

        return project

    def _items(self, goes_on: bool) -> tuple[bool, list[tuple[str, Function, bool]]]:
        """Read what is projected: (name, value, whether it aggregates)."""
        star = self.words.accept("*")
        items: list[tuple[str, Function, bool]] = []
        if star and not self.words.accept(","):
            return star, items
        while True:
            start, before = self.words.next.at, len(self.aggregates)
            variable = self.words.next.text if self.words.next.kind in ("name", "quoted") else ""
            read = self.words.at
            value = self.expression().value
            name = self.words.text[start : self.words.next.at].strip()
            if self.words.accept_word("AS"):
                name = self.name()
            elif self.words.at == read + 1:
                name = variable
            elif goes_on:
                raise malformed(f"Expression in WITH must be aliased (use AS): {name}")
            items.append((name, value, len(self.aggregates) > before))
            if not self.words.accept(","):
                return star, items

    def _orders(self) -> list[tuple[Function, bool]]:
        orders: list[tuple[Function, bool]] = []
        if self.words.accept_word("ORDER", "BY"):
            while True:
                value = self.expression().value
                descending = self.words.accept_word("DESC") or self.words.accept_word("DESCENDING")
                if not descending and not self.words.accept_word("ASC"):
                    self.words.accept_word("ASCENDING")
                orders.append((value, descending))
                if not self.words.accept(","):
                    break
        return orders

    # Writing clauses

    def _create(self) -> Clause:
        paths = self.paths()

        def make(rows: list[Row], run: Run) -> list[Row]:
            made = []
            for row in rows:
                for path in paths:
                    row = create(path, row, run)
                made.append(row)
            return made

        return make

    def _merge(self) -> Clause:
        path = self.path()
        on_create: list[Callable[[Row, Run], None]] = []
        on_match: list[Callable[[Row, Run], None]] = []
        while self.words.accept_word("ON"):
            chosen = on_create if self.words.accept_word("CREATE") else on_match
            if chosen is on_match:
                self.words.expect_word("MATCH")
            self.words.expect_word("SET")
            chosen += self._set_items()

        path_made = directed(path)

        def merge(rows: list[Row], run: Run) -> list[Row]:
            made = []
            for row in rows:
                found = list(find([path], row, run, {}))
                updates = on_match
                if not found:
                    found, updates = [create(path_made, row, run)], on_create
                for one in found:
                    for update in updates:
                        update(one, run)
                made += found
            return made

        return merge

    def _set(self) -> Clause:
        return _each(self._set_items())

    def _set_items(self) -> list[Callable[[Row, Run], None]]:
        items = [self._set_item()]
        while self.words.accept(","):
            items.append(self._set_item())
        return items

    def _set_item(self) -> Callable[[Row, Run], None]:
        name = self.name()
        if self.words.next.text == ":":
            labels = self._label_names()

            def label(row: Row, run: Run) -> None:
                element = element_of(row[name])
                for one in labels if element is not None else ():
                    run.graph.add_label(element.id, one)  # type: ignore[union-attr]

            return label
        if self.words.accept("."):
            key = self.name()
            self.words.expect("=")
            value = self.expression().value

            def assign(row: Row, run: Run) -> None:
                element = element_of(row[name])
                if element is not None:
                    put(run.graph, element, key, value(row, run))

            return assign
        added = self.words.accept("+=")
        if not added:
            self.words.expect("=")
        whole = self.expression().value
        return lambda row, run: _assign_map(element_of(row[name]), whole(row, run), added, run.graph)

    def _label_names(self) -> list[str]:
        labels = []
        while self.words.accept(":"):
            labels.append(self.name())
        return labels

    def _remove(self) -> Clause:
        items = [self._remove_item()]
        while self.words.accept(","):
            items.append(self._remove_item())
        return _each(items)

    def _remove_item(self) -> Callable[[Row, Run], None]:
        name = self.name()
        if self.words.accept("."):
            key = self.name()

            def drop(row: Row, run: Run) -> None:
                element = element_of(row[name])
                if element is not None:
                    put(run.graph, element, key, None)

            return drop
        labels = self._label_names()
        if not labels:
            raise self.words.unexpected("a label or a property")

        def unlabel(row: Row, run: Run) -> None:
            element = element_of(row[name])
            if isinstance(element, Edge):
                raise malformed("A relationship has no labels")
            for one in labels if element is not None else ():
                run.graph.remove_label(element, one)  # type: ignore[arg-type]

        return unlabel

    def _delete(self, detach: bool) -> Clause:
        values = [self.expression().value]
        while self.words.accept(","):
            values.append(self.expression().value)

        def delete(rows: list[Row], run: Run) -> list[Row]:
            elements = [element_of(value(row, run)) for row in rows for value in values]
            for element in elements:
                if isinstance(element, Edge):
                    run.graph.drop_edge(element)
            for element in elements:
                if isinstance(element, Vertex):
                    if not detach and (element.outgoing or element.incoming):
                        raise ServiceError(
                            "ConstraintViolationException",
                            f"Cannot delete node {element.id}, because it still has relationships",
                        )
                    run.graph.drop_vertex(element)
            return rows

        return delete


def _each(updates: list[Callable[[Row, Run], None]]) -> Clause:
    def update_all(rows: list[Row], run: Run) -> list[Row]:
        for row in rows:
            for update in updates:
                update(row, run)
        return rows

    return update_all


def _assign_map(element: Vertex | Edge | None, value: Any, added: bool, graph: Graph) -> None:
    if element is None:
        return
    wanted = properties_of(value) or {}
    if not added:
        for key in list(element.properties):
            if key not in wanted:
                put(graph, element, key, None)
    for key, one in wanted.items():
        if key == ID and one == element.id:
            continue
        put(graph, element, key, one)


Pairs = list[tuple[Row, Row]]


def _projected(
    rows: list[Row], run: Run, items: list[tuple[str, Function, bool]], star: bool, aggregates: list[Aggregate]
) -> Pairs:
    """Return pairs of a new row and the one that it came from."""
    if aggregates:
        return _grouped(rows, run, items, aggregates)
    made = []
    for row in rows:
        new = {name: value for name, value in row.items() if name[0] not in " #"} if star else {}
        for name, value, _aggregates in items:
            new[name] = value(row, run)
        made.append((new, row))
    return made


def _grouped(rows: list[Row], run: Run, items: list[tuple[str, Function, bool]], aggregates: list[Aggregate]) -> Pairs:
    groups: dict[Any, list[Row]] = {}
    keys = [value for _name, value, aggregated in items if not aggregated]
    for row in rows:
        groups.setdefault(tuple(hashable(key(row, run)) for key in keys), []).append(row)
    if not groups and not keys:
        groups[()] = []
    made = []
    for members in groups.values():
        row = {**(members[0] if members else {}), **{one.name: _aggregate(one, members, run) for one in aggregates}}
        made.append(({name: value(row, run) for name, value, _aggregated in items}, row))
    return made


def _aggregate(aggregate: Aggregate, rows: list[Row], run: Run) -> Any:
    if aggregate.argument is None:
        return len(rows)
    values: list[Any] = [one for one in (aggregate.argument(row, run) for row in rows) if one is not None]
    return AGGREGATES[aggregate.function](distinct(values) if aggregate.distinct else values)


def _distinct(pairs: Pairs) -> Iterable[tuple[list[str], list[Any], Row]]:
    seen = set()
    for new, old in pairs:
        key = hashable(list(new.values()))
        if key not in seen:
            seen.add(key)
            yield list(new), list(new.values()), old
