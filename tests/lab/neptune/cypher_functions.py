# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What openCypher's operators and functions do; null is None."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from tests.lab.neptune.errors import ServiceError, malformed
from tests.lab.neptune.graph import Edge, Vertex
from tests.lab.neptune.values import Date, to_query


def truth(value: Any) -> bool | None:
    """Return a condition's answer."""
    if value is None or value is True or value is False:
        return value
    raise malformed(f"Expected a Boolean, found {value!r}")


def equal(a: Any, b: Any) -> bool | None:
    """Compare for equality: null when either is null."""
    if a is None or b is None:
        return None
    if isinstance(a, bool) is not isinstance(b, bool):
        return False
    return bool(a == b)


def less(a: Any, b: Any) -> bool | None:
    """Compare for order: null when there is none."""
    if a is None or b is None or isinstance(a, bool) is not isinstance(b, bool):
        return None
    kinds: tuple[Any, ...] = (str, (int, float), Date, list)
    return bool(a < b) if any(isinstance(a, kind) and isinstance(b, kind) for kind in kinds) else None


def contained(a: Any, items: Any) -> bool | None:
    """Say whether a list has a value."""
    if items is None:
        return None
    if not isinstance(items, list):
        raise malformed("IN expects a list")
    answers = {equal(a, one) for one in items}
    return True if True in answers else (None if None in answers else False)


def property_of(owner: Any, key: str) -> Any:
    """Return a property of a node, a relationship or a map; of several values the one that was set first."""
    if owner is None:
        return None
    if isinstance(owner, (Vertex, Edge)) and key == "~id":
        return owner.id
    if isinstance(owner, Vertex):
        held = owner.properties.get(key)
        return to_query(next(iter(held))) if held else None
    if isinstance(owner, Edge):
        typed = owner.properties.get(key)
        return to_query(typed) if typed is not None else None
    if isinstance(owner, dict):
        return owner.get(key)
    raise malformed(f"Type mismatch: cannot read the property {key} of a {type(owner).__name__}")


def properties_of(owner: Any) -> dict[str, Any] | None:
    """Return all properties of a node, a relationship or a map."""
    if owner is None:
        return None
    if isinstance(owner, dict):
        return owner
    return {key: property_of(owner, key) for key in _element(owner).properties}


def _element(value: Any) -> Vertex | Edge:
    if isinstance(value, (Vertex, Edge)):
        return value
    raise malformed(f"Expected a node or a relationship, found {type(value).__name__}")


def item(container: Any, index: Any) -> Any:
    """Return what is at an index of a list or under a key."""
    if container is None or index is None:
        return None
    if isinstance(container, list):
        return container[index] if -len(container) <= index < len(container) else None
    return property_of(container, index)


def _nullable(work: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *values: None if None in values else work(*values)


def _plus(a: Any, b: Any) -> Any:
    if isinstance(a, list) or isinstance(b, list):
        return (a if isinstance(a, list) else [a]) + (b if isinstance(b, list) else [b])
    if isinstance(a, str) or isinstance(b, str):
        return f"{a}{b}"
    return a + b


def _divide(a: Any, b: Any) -> Any:
    if isinstance(a, int) and isinstance(b, int):
        if b == 0:
            raise ServiceError("BadRequestException", "/ by zero")
        return int(a / b)
    return a / b if b else float("nan")


ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": _nullable(_plus),
    "-": _nullable(lambda a, b: a - b),
    "*": _nullable(lambda a, b: a * b),
    "/": _nullable(_divide),
    "%": _nullable(lambda a, b: a % b),
}
TEXT_TESTS: dict[str, Callable[[Any, Any], Any]] = {
    "STARTS WITH": _nullable(lambda a, b: a.startswith(b)),
    "ENDS WITH": _nullable(lambda a, b: a.endswith(b)),
    "CONTAINS": _nullable(lambda a, b: b in a),
}


def _to_integer(value: Any) -> Any:
    try:
        return int(float(value)) if isinstance(value, str) else int(value)
    except ValueError:
        return None


def _to_float(value: Any) -> Any:
    try:
        return float(value)
    except ValueError:
        return None


def _to_string(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _moment(*values: Any) -> Any:
    if not values:
        return Date(int(time.time() * 1000))
    if values[0] is None or isinstance(values[0], Date):
        return values[0]
    try:
        return Date.parse(values[0])
    except (TypeError, ValueError):
        raise ServiceError("BadRequestException", f"Invalid datetime: {values[0]}") from None


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "id": _nullable(lambda x: _element(x).id),
    "labels": _nullable(lambda x: list(x.labels)),
    "type": _nullable(lambda x: x.label),
    "properties": properties_of,
    "keys": _nullable(lambda x: list(properties_of(x) or {})),
    "startnode": _nullable(lambda x: x.start),
    "endnode": _nullable(lambda x: x.end),
    "size": _nullable(len),
    "length": _nullable(len),
    "coalesce": lambda *values: next((one for one in values if one is not None), None),
    "exists": lambda x: x is not None,
    "tostring": _nullable(_to_string),
    "tointeger": _nullable(_to_integer),
    "tofloat": _nullable(_to_float),
    "tolower": _nullable(lambda x: x.lower()),
    "toupper": _nullable(lambda x: x.upper()),
    "split": _nullable(lambda x, by: x.split(by)),
    "substring": _nullable(lambda x, at, n=None: x[at:] if n is None else x[at : at + n]),
    "replace": _nullable(lambda x, old, new: x.replace(old, new)),
    "abs": _nullable(abs),
    "head": _nullable(lambda x: x[0] if x else None),
    "last": _nullable(lambda x: x[-1] if x else None),
    "tail": _nullable(lambda x: x[1:]),
    "reverse": _nullable(lambda x: x[::-1]),
    "range": _nullable(lambda a, b, step=1: list(range(a, b + (1 if step > 0 else -1), step))),
    "datetime": _moment,
    "timestamp": lambda: int(time.time() * 1000),
}


def _average(values: list[Any]) -> Any:
    return sum(values) / len(values) if values else None


AGGREGATES: dict[str, Callable[[list[Any]], Any]] = {
    "count": len,
    "collect": list,
    "sum": sum,
    "avg": _average,
    "min": lambda values: min(values, key=sort_key, default=None),
    "max": lambda values: max(values, key=sort_key, default=None),
}


def hashable(value: Any) -> Any:
    """Return something that is equal for equal values, for DISTINCT and groups."""
    if isinstance(value, list):
        return tuple(map(hashable, value))
    if isinstance(value, dict):
        return tuple(sorted((key, hashable(one)) for key, one in value.items()))
    return (isinstance(value, bool), value)


def distinct(values: Iterable[Any]) -> list[Any]:
    """Return values without repetitions."""
    return list({hashable(one): one for one in values}.values())


def sort_key(value: Any) -> tuple[int, Any]:
    """Return the place of a value in openCypher's order of everything; null is last."""
    if value is None:
        return 9, 0
    if isinstance(value, (Vertex, Edge)):
        return 1, value.id
    if isinstance(value, list):
        return 3, [sort_key(one) for one in value]
    if isinstance(value, Date):
        return 4, value.millis
    for rank, kind in ((5, str), (6, bool), (7, (int, float))):
        if isinstance(value, kind):
            return rank, value
    return 0, str(value)
