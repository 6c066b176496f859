# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gremlin traversals run on a graph: the steps that an application and a replicator write, and those that look.

A value of a property is of its exact type: hasValue(1l) finds a Long and no Int, as the service's own index of values
would; has('age', 1) compares numbers as numbers.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.lab.neptune.errors import ServiceError, malformed
from tests.lab.neptune.graph import DEFAULT_LABEL, Edge, Graph, Vertex
from tests.lab.neptune.gremlin_text import Predicate, Step, Symbol, Traversal
from tests.lab.neptune.values import Typed

WRITES = frozenset(("addV", "addE", "mergeV", "mergeE", "property", "drop"))
_ENDS = frozenset(("iterate", "next", "toList", "toSet", "none", "discard"))


@dataclass(frozen=True, slots=True)
class Property:
    """One value of a property, and whose it is."""

    element: Vertex | Edge
    key: str
    typed: Typed


class Traverser:
    """A value on its way, with the values that were named before it."""

    __slots__ = ("tags", "value")

    def __init__(self, value: Any, tags: dict[str, Any] | None = None) -> None:
        self.value = value
        self.tags = tags or {}


Travelers = list[Traverser]


def writes(traversal: Traversal) -> bool:
    """Say whether a traversal can change the graph."""
    for step in traversal.steps:
        if step.name in WRITES or any(isinstance(one, Traversal) and writes(one) for one in step.arguments):
            return True
    return False


def run(graph: Graph, traversal: Traversal) -> list[Any]:
    """Run in the graph's transaction and return the results; raises ServiceError."""
    try:
        return [one.value for one in _Machine(graph).run(traversal.steps, [Traverser(None)])]
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ServiceError("InvalidParameterException", f"Step cannot be applied: {error}") from None


class _Machine:
    """The steps by name; each takes travelers and returns travelers."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def run(self, steps: Sequence[Step], travelers: Travelers) -> Travelers:
        for one in steps:
            work = _STEPS.get(one.name)
            if work is not None:
                travelers = work(self, travelers, one.arguments, one.modulators)
            elif one.name == "iterate":
                return []
            elif one.name not in _ENDS:
                raise malformed(f"Unknown or unsupported step: {one.name}")
        return travelers

    def _inner(self, traversal: Any, traveler: Traverser) -> Travelers:
        if not isinstance(traversal, Traversal):
            raise malformed("A traversal is expected here")
        return self.run(traversal.steps, [traveler])

    # Starts

    def do_V(self, travelers: Travelers, arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        return _start(travelers, arguments, self.graph.vertices)

    def do_E(self, travelers: Travelers, arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        return _start(travelers, arguments, self.graph.edges)

    def do_inject(self, travelers: Travelers, arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        return [one for one in travelers if one.value is not None] + [Traverser(one) for one in arguments]

    def do_addV(self, travelers: Travelers, arguments: list[Any], by: Sequence[Step]) -> Travelers:
        label = _text(arguments[0]) if arguments else DEFAULT_LABEL
        identity = _identity(by)
        return [
            Traverser(self.graph.add_vertex(identity or str(uuid.uuid4()), label.split("::")), one.tags)
            for one in travelers
        ]

    def do_addE(self, travelers: Travelers, arguments: list[Any], by: Sequence[Step]) -> Travelers:
        made = []
        for one in travelers:
            ends = {"from": one.value, "to": one.value}
            for step in by:
                if step.name in ends:
                    ends[step.name] = self._end(step.arguments[0], one)
            start, end = ends["from"], ends["to"]
            if not isinstance(start, Vertex) or not isinstance(end, Vertex):
                raise ServiceError("InvalidParameterException", "addE() needs a vertex at both ends")
            edge = self.graph.add_edge(_identity(by) or str(uuid.uuid4()), _text(arguments[0]), start, end)
            made.append(Traverser(edge, one.tags))
        return made

    def _end(self, where: Any, traveler: Traverser) -> Any:
        if isinstance(where, Traversal):
            found = self._inner(where, traveler)
            return found[0].value if found else None
        name = _text(where)
        return traveler.tags[name] if name in traveler.tags else self.graph.vertices.get(name)

    def do_mergeV(self, travelers: Travelers, arguments: list[Any], by: Sequence[Step]) -> Travelers:
        made = []
        for one in travelers:
            wanted, options = arguments[0], _options(by)
            found = [vertex for vertex in self._known_vertices(wanted) if _has_all(vertex, wanted)]
            if not found:
                whole = {**wanted, **options.get("onCreate", {})}
                labels = _text(whole.get("label", ("String", DEFAULT_LABEL))).split("::")
                identity = whole.get("id")
                found = [self.graph.add_vertex(_text(identity) if identity else str(uuid.uuid4()), labels)]
                self._assign(found[0], whole)
            else:
                for vertex in found:
                    self._assign(vertex, options.get("onMatch", {}))
            made += [Traverser(vertex, one.tags) for vertex in found]
        return made

    def _known_vertices(self, wanted: dict[Any, Any]) -> Iterable[Vertex]:
        if "id" not in wanted:
            return list(self.graph.vertices.values())
        vertex = self.graph.vertices.get(_text(wanted["id"]))
        return [] if vertex is None else [vertex]

    def do_mergeE(self, travelers: Travelers, arguments: list[Any], by: Sequence[Step]) -> Travelers:
        made = []
        for one in travelers:
            wanted, options = arguments[0], _options(by)
            found = [edge for edge in list(self.graph.edges.values()) if _has_all(edge, wanted)]
            if not found:
                whole = {**wanted, **options.get("onCreate", {})}
                start, end = (self.graph.vertices.get(_text(whole[side])) for side in ("OUT", "IN"))
                if start is None or end is None:
                    raise ServiceError("InvalidParameterException", "mergeE() needs a vertex at both ends")
                identity = _text(whole["id"]) if "id" in whole else str(uuid.uuid4())
                found = [self.graph.add_edge(identity, _text(whole["label"]), start, end)]
                self._assign(found[0], whole)
            else:
                for edge in found:
                    self._assign(edge, options.get("onMatch", {}))
            made += [Traverser(edge, one.tags) for edge in found]
        return made

    def _assign(self, element: Vertex | Edge, values: dict[Any, Any]) -> None:
        for key, value in values.items():
            if not isinstance(key, Symbol):
                self._put(element, key, value, "single")

    # Changes

    def do_property(self, travelers: Travelers, arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        cardinality = None
        if isinstance(arguments[0], Symbol) and arguments[0] in ("single", "set", "list"):
            cardinality, arguments = str(arguments[0]), arguments[1:]
        if isinstance(arguments[0], Symbol):
            raise malformed(f"The {arguments[0]} of an element is given when it is made")
        values = arguments[0] if isinstance(arguments[0], dict) else {_text(arguments[0]): arguments[1]}
        for one in travelers:
            for key, value in values.items():
                self._put(one.value, key, value, cardinality)
        return travelers

    def _put(self, element: Any, key: str, value: Any, cardinality: str | None) -> None:
        if not isinstance(value, tuple):
            raise ServiceError("InvalidParameterException", f"The property {key} cannot hold this value")
        if isinstance(element, Edge):
            self.graph.set_edge_value(element, key, value)
        elif not isinstance(element, Vertex):
            raise ServiceError("UnsupportedOperationException", "Only vertices and edges have properties")
        elif cardinality == "list":
            raise ServiceError("UnsupportedOperationException", "Only single or set cardinality is supported")
        elif cardinality == "single":
            self.graph.set_value(element, key, value)
        else:  # set is Neptune's default
            self.graph.add_value(element, key, value)

    def do_drop(self, travelers: Travelers, _arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        for one in travelers:
            element = one.value
            if isinstance(element, Vertex):
                self.graph.drop_vertex(element)
            elif isinstance(element, Edge):
                self.graph.drop_edge(element)
            elif isinstance(element, Property) and isinstance(element.element, Vertex):
                self.graph.remove_value(element.element, element.key, element.typed)
            elif isinstance(element, Property):
                self.graph.drop_edge_key(element.element, element.key)  # type: ignore[arg-type]
            else:
                raise ServiceError("UnsupportedOperationException", "drop() removes elements and properties")
        return []

    # Filters

    def _keep(self, travelers: Travelers, test: Callable[[Any], bool]) -> Travelers:
        return [one for one in travelers if test(one.value)]

    def do_hasLabel(self, travelers: Travelers, arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        wanted = {_text(one) for one in arguments}
        return self._keep(travelers, lambda element: bool(wanted & set(_labels(element))))

    def do_hasId(self, travelers: Travelers, arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        tests = [_test(one) for one in _flat(arguments)]
        return self._keep(travelers, lambda element: any(test(("String", element.id)) for test in tests))

    def do_has(self, travelers: Travelers, arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        if len(arguments) == 3:
            travelers = self.do_hasLabel(travelers, arguments[:1], [])
            arguments = arguments[1:]
        key = _key(arguments[0])
        if len(arguments) == 1:
            return self._keep(travelers, lambda element: key in element.properties)
        if isinstance(arguments[1], Traversal):
            raise malformed("has() with a traversal is not served here")
        test = _test(arguments[1])
        if isinstance(arguments[0], Symbol) and key == "id":
            return self._keep(travelers, lambda element: test(("String", element.id)))
        if isinstance(arguments[0], Symbol) and key == "label":
            return self._keep(travelers, lambda element: any(test(("String", one)) for one in _labels(element)))
        return self._keep(travelers, lambda element: any(test(one) for one in _values(element, key)))

    def do_hasNot(self, travelers: Travelers, arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        key = _key(arguments[0])
        return self._keep(travelers, lambda element: key not in element.properties)

    def do_hasValue(self, travelers: Travelers, arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        if any(isinstance(one, Predicate) for one in arguments):
            tests = [_test(one) for one in arguments]
            return self._keep(travelers, lambda found: any(test(found.typed) for test in tests))
        return self._keep(travelers, lambda found: found.typed in arguments)

    def do_hasKey(self, travelers: Travelers, arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        wanted = {_text(one) for one in arguments}
        return self._keep(travelers, lambda found: found.key in wanted)

    def do_is(self, travelers: Travelers, arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        return self._keep(travelers, _test(arguments[0]))

    def do_not(self, travelers: Travelers, arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        return [one for one in travelers if not self._inner(arguments[0], one)]

    def do_where(self, travelers: Travelers, arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        return [one for one in travelers if self._inner(arguments[0], one)]

    do_filter = do_where

    def do_and(self, travelers: Travelers, arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        return [one for one in travelers if all(self._inner(each, one) for each in arguments)]

    def do_or(self, travelers: Travelers, arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        return [one for one in travelers if any(self._inner(each, one) for each in arguments)]

    def do_dedup(self, travelers: Travelers, _arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        seen: dict[Any, Traverser] = {}
        for one in travelers:
            seen.setdefault(one.value, one)
        return list(seen.values())

    def do_limit(self, travelers: Travelers, arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        return travelers[: arguments[-1][1]]

    def do_skip(self, travelers: Travelers, arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        return travelers[arguments[-1][1] :]

    def do_range(self, travelers: Travelers, arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        low, high = arguments[-2][1], arguments[-1][1]
        return travelers[low : None if high < 0 else high]

    # Moves

    def _move(self, travelers: Travelers, reach: Callable[[Any], Iterable[Any]]) -> Travelers:
        return [Traverser(found, one.tags) for one in travelers for found in list(reach(one.value))]

    def _along(self, travelers: Travelers, labels: list[Any], sides: str, to_vertex: bool) -> Travelers:
        wanted = {_text(one) for one in labels}

        def reach(vertex: Vertex) -> Iterable[Any]:
            if "o" in sides:
                for edge in vertex.outgoing.values():
                    if not wanted or edge.label in wanted:
                        yield edge.end if to_vertex else edge
            if "i" in sides:
                for edge in vertex.incoming.values():
                    if not wanted or edge.label in wanted:
                        yield edge.start if to_vertex else edge

        return self._move(travelers, reach)

    def do_out(self, travelers: Travelers, arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        return self._along(travelers, arguments, "o", True)

    def do_in(self, travelers: Travelers, arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        return self._along(travelers, arguments, "i", True)

    def do_both(self, travelers: Travelers, arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        return self._along(travelers, arguments, "oi", True)

    def do_outE(self, travelers: Travelers, arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        return self._along(travelers, arguments, "o", False)

    def do_inE(self, travelers: Travelers, arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        return self._along(travelers, arguments, "i", False)

    def do_bothE(self, travelers: Travelers, arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        return self._along(travelers, arguments, "oi", False)

    def do_outV(self, travelers: Travelers, _arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        return self._move(travelers, lambda edge: (edge.start,))

    def do_inV(self, travelers: Travelers, _arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        return self._move(travelers, lambda edge: (edge.end,))

    def do_bothV(self, travelers: Travelers, _arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        return self._move(travelers, lambda edge: (edge.start, edge.end))

    def do_properties(self, travelers: Travelers, arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        keys = [_text(one) for one in arguments]
        return self._move(
            travelers,
            lambda element: (
                Property(element, key, typed)
                for key in (keys or list(element.properties))
                for typed in list(_values(element, key))
            ),
        )

    def do_values(self, travelers: Travelers, arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        return self._move(self.do_properties(travelers, arguments, []), lambda found: (found.typed,))

    def do_value(self, travelers: Travelers, _arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        return self._move(travelers, lambda found: (found.typed,))

    def do_key(self, travelers: Travelers, _arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        return self._move(travelers, lambda found: (("String", found.key),))

    def do_id(self, travelers: Travelers, _arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        return self._move(travelers, lambda element: (("String", element.id),))

    def do_label(self, travelers: Travelers, _arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        return self._move(travelers, lambda element: (("String", label_of(element)),))

    def do_constant(self, travelers: Travelers, arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        return self._move(travelers, lambda _value: (arguments[0],))

    def do_identity(self, travelers: Travelers, _arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        return travelers

    def do_valueMap(self, travelers: Travelers, arguments: list[Any], by: Sequence[Step]) -> Travelers:
        tokens = bool(by) or ("Bool", True) in arguments
        keys = [one[1] for one in arguments if one[0] == "String"]

        def shown(element: Vertex | Edge) -> Iterable[dict[Any, Any]]:
            found: dict[Any, Any] = {}
            if tokens:
                found = {Symbol("id"): ("String", element.id), Symbol("label"): ("String", label_of(element))}
            for key in keys or element.properties:
                values = list(_values(element, key))
                if values:
                    found[key] = values if isinstance(element, Vertex) else values[0]
            yield found

        return self._move(travelers, shown)

    def do_elementMap(self, travelers: Travelers, arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        keys = [_text(one) for one in arguments]

        def shown(element: Vertex | Edge) -> Iterable[dict[Any, Any]]:
            found: dict[Any, Any] = {
                Symbol("id"): ("String", element.id),
                Symbol("label"): ("String", label_of(element)),
            }
            if isinstance(element, Edge):
                for side, vertex in (("IN", element.end), ("OUT", element.start)):
                    found[Symbol(side)] = {
                        Symbol("id"): ("String", vertex.id),
                        Symbol("label"): ("String", label_of(vertex)),
                    }
            for key in keys or element.properties:
                for typed in _values(element, key):
                    found[key] = typed
            yield found

        return self._move(travelers, shown)

    # Barriers

    def do_count(self, travelers: Travelers, _arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        return [Traverser(("Long", len(travelers)))]

    def do_fold(self, travelers: Travelers, _arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        return [Traverser([one.value for one in travelers])]

    def do_unfold(self, travelers: Travelers, _arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        return self._move(travelers, lambda value: value if isinstance(value, list) else (value,))

    def do_sum(self, travelers: Travelers, _arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        return [Traverser(("Long", sum(one.value[1] for one in travelers)))] if travelers else []

    def do_max(self, travelers: Travelers, _arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        return [max(travelers, key=lambda one: one.value[1])] if travelers else []

    def do_min(self, travelers: Travelers, _arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        return [min(travelers, key=lambda one: one.value[1])] if travelers else []

    def do_order(self, travelers: Travelers, _arguments: list[Any], by: Sequence[Step]) -> Travelers:
        ordered = list(travelers)
        for arguments in reversed([step.arguments for step in by] or [[]]):
            descending = any(isinstance(one, Symbol) and one in ("desc", "decr") for one in arguments)
            keys = [
                one for one in arguments if not (isinstance(one, Symbol) and one in ("asc", "desc", "incr", "decr"))
            ]
            ordered.sort(key=lambda one: _order_key(self._by(keys, one)), reverse=descending)
        return ordered

    def _by(self, arguments: list[Any], traveler: Traverser) -> Any:
        """Return what a by() makes of a traveler."""
        if not arguments:
            return traveler.value
        what = arguments[0]
        if isinstance(what, Traversal):
            found = self._inner(what, traveler)
            return found[0].value if found else None
        if isinstance(what, Symbol) and what in ("id", "label"):
            element = traveler.value
            return "String", element.id if what == "id" else label_of(element)
        values = list(_values(traveler.value, _key(what)))
        return values[0] if values else None

    def do_groupCount(self, travelers: Travelers, _arguments: list[Any], by: Sequence[Step]) -> Travelers:
        counts: dict[Any, int] = {}
        for one in travelers:
            key = self._by(by[0].arguments if by else [], one)
            counts[key] = counts.get(key, 0) + 1
        return [Traverser({key: ("Long", count) for key, count in counts.items()})]

    def do_project(self, travelers: Travelers, arguments: list[Any], by: Sequence[Step]) -> Travelers:
        made = []
        for one in travelers:
            found = {}
            for at, name in enumerate(arguments):
                found[_text(name)] = self._by(by[at % len(by)].arguments if by else [], one)
            made.append(Traverser(found, one.tags))
        return made

    # Branches and names

    def do_sideEffect(self, travelers: Travelers, arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        (effect,) = arguments
        for one in travelers:
            self._inner(effect, one)
        return travelers

    def do_coalesce(self, travelers: Travelers, arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        made: Travelers = []
        for one in travelers:
            for choice in arguments:
                found = self._inner(choice, one)
                if found:
                    made += found
                    break
        return made

    def do_optional(self, travelers: Travelers, arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        return [found for one in travelers for found in (self._inner(arguments[0], one) or [one])]

    def do_union(self, travelers: Travelers, arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        return [found for one in travelers for each in arguments for found in self._inner(each, one)]

    def do_as(self, travelers: Travelers, arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        name = _text(arguments[0])
        return [Traverser(one.value, {**one.tags, name: one.value}) for one in travelers]

    def do_select(self, travelers: Travelers, arguments: list[Any], _by: Sequence[Step]) -> Travelers:
        names = [_text(one) for one in arguments]
        if len(names) == 1:
            return [Traverser(one.tags[names[0]], one.tags) for one in travelers]
        return [Traverser({name: one.tags[name] for name in names}, one.tags) for one in travelers]


def _start(travelers: Travelers, arguments: list[Any], known: dict[str, Any]) -> Travelers:
    if not arguments:
        return [Traverser(element, one.tags) for one in travelers for element in list(known.values())]
    found = []
    for identity in _flat(arguments):
        element = known.get(identity[1] if isinstance(identity, tuple) else identity.id)
        if element is not None:
            found.append(element)
    return [Traverser(element, one.tags) for one in travelers for element in found]


def _flat(arguments: list[Any]) -> list[Any]:
    return arguments[0] if len(arguments) == 1 and isinstance(arguments[0], list) else arguments


def _text(value: Any) -> str:
    if isinstance(value, tuple) and value[0] == "String":
        return str(value[1])
    if isinstance(value, Vertex):
        return value.id
    raise malformed(f"A String is expected, not {value!r}")


def _key(value: Any) -> str:
    return str(value) if isinstance(value, Symbol) else _text(value)


def _identity(by: Sequence[Step]) -> str | None:
    for step in by:
        if step.name == "id":
            return _text(step.arguments[0])
    return None


def _options(by: Sequence[Step]) -> dict[str, dict[Any, Any]]:
    return {str(step.arguments[0]): step.arguments[1] for step in by if step.name == "option"}


def _has_all(element: Vertex | Edge, wanted: dict[Any, Any]) -> bool:
    for key, value in wanted.items():
        if not isinstance(key, Symbol):
            held = value in _values(element, key)
        elif key == "id":
            held = element.id == _text(value)
        elif key == "label":
            held = _text(value) in _labels(element)
        else:
            held = isinstance(element, Edge) and _text(value) == (element.start if key == "OUT" else element.end).id
        if not held:
            return False
    return True


def _labels(element: Vertex | Edge) -> Iterable[str]:
    return element.labels if isinstance(element, Vertex) else (element.label,)


def label_of(element: Vertex | Edge) -> str:
    """Return the label as Gremlin shows it: several are one text."""
    return "::".join(_labels(element))


def _values(element: Any, key: str) -> Iterable[Typed]:
    if isinstance(element, Vertex):
        return element.properties.get(key, ())
    return (element.properties[key],) if key in element.properties else ()


def _order_key(value: Any) -> Any:
    if isinstance(value, tuple):
        return value[0] in ("String", "Bool"), value[1]
    return False, value.id


_NUMBERS = ("Byte", "Short", "Int", "Long", "Float", "Double")


def _alike(a: Any, b: Any) -> bool:
    """Say whether two values can be compared."""
    return a[0] == b[0] or (a[0] in _NUMBERS and b[0] in _NUMBERS)


_TESTS: dict[str, Callable[..., bool]] = {
    "eq": lambda v, a: _alike(v, a) and v[1] == a[1],
    "neq": lambda v, a: not (_alike(v, a) and v[1] == a[1]),
    "gt": lambda v, a: _alike(v, a) and v[1] > a[1],
    "gte": lambda v, a: _alike(v, a) and v[1] >= a[1],
    "lt": lambda v, a: _alike(v, a) and v[1] < a[1],
    "lte": lambda v, a: _alike(v, a) and v[1] <= a[1],
    "between": lambda v, a, b: _alike(v, a) and a[1] <= v[1] < b[1],
    "inside": lambda v, a, b: _alike(v, a) and a[1] < v[1] < b[1],
    "outside": lambda v, a, b: _alike(v, a) and (v[1] < a[1] or v[1] > b[1]),
    "within": lambda v, *all_of: any(_alike(v, a) and v[1] == a[1] for a in all_of),
    "without": lambda v, *all_of: not any(_alike(v, a) and v[1] == a[1] for a in all_of),
    "startingWith": lambda v, a: str(v[1]).startswith(a[1]),
    "notStartingWith": lambda v, a: not str(v[1]).startswith(a[1]),
    "endingWith": lambda v, a: str(v[1]).endswith(a[1]),
    "notEndingWith": lambda v, a: not str(v[1]).endswith(a[1]),
    "containing": lambda v, a: a[1] in str(v[1]),
    "notContaining": lambda v, a: a[1] not in str(v[1]),
}


def _test(value: Any) -> Callable[[Any], bool]:
    """Return the test of a predicate or of equality with a value."""
    if isinstance(value, Predicate):
        if value.name not in _TESTS:
            raise malformed(f"Unknown predicate: {value.name}")
        work, against = _TESTS[value.name], value.values
        return lambda found: bool(work(found, *against))
    return lambda found: _TESTS["eq"](found, value)


_STEPS: dict[str, Callable[[_Machine, Travelers, list[Any], Sequence[Step]], Travelers]] = {
    name.removeprefix("do_"): work for name, work in vars(_Machine).items() if name.startswith("do_")
}
