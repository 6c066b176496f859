# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The texts of every statement that replication writes with: openCypher, Gremlin and SPARQL.

Ids, labels, keys and values are somebody else's data. In openCypher ids are parameters and labels are quoted names, in
Gremlin everything is a literal, in SPARQL a statement is taken apart by the grammar of N-Quads and is refused when it is
none. Neptune runs one openCypher or Gremlin request, and all operations of one SPARQL request, as one transaction
(Neptune user guide, "Transaction semantics"). Every statement may be repeated: the second time it changes nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from .._core.errors import BlueGreenError

# openCypher. Custom ids are the property `~id` (Neptune user guide, "openCypher extensions", engine 1.2.0.2 and later).

DROP_EDGES = "UNWIND $ids AS id MATCH ()-[e {`~id`: id}]->() DELETE e"
"""Edges by id; ``ids`` is a list of ids."""

DROP_OTHER_EDGES = (
    "UNWIND $rows AS r MATCH (a)-[e {`~id`: r.id}]->(b)"
    " WHERE type(e) <> r.label OR id(a) <> r.source OR id(b) <> r.target DELETE e"
)
"""Edges that have the id of a wanted one and another label or other ends; ``rows`` of ``{id, label, source, target}``."""

ABSENT = "bluegreen_absent"
"""The label of a vertex that has none at this point of a replay. None is left when the replay is over."""

DROP_ABSENT = f"MATCH (n:`{ABSENT}`) WHERE size(labels(n)) = 1 DETACH DELETE n"
"""At the end of a replay: what has got no label is no vertex."""

FORGET_ABSENT = f"MATCH (n:`{ABSENT}`) REMOVE n:`{ABSENT}`"
"""At the end of a replay: what has got a label again is a vertex like all."""


def create_vertices(labels: Sequence[str]) -> str:
    """Make those of the vertices ``ids`` that are missing, with these labels; ``made`` says how many that were."""
    return (
        "UNWIND $ids AS id OPTIONAL MATCH (x {`~id`: id}) WITH id, x WHERE x IS NULL"
        f" CREATE (n{_labels(labels)} {{`~id`: id}}) RETURN count(n) AS made"
    )


def add_labels(labels: Sequence[str]) -> str:
    """Give labels to the vertices ``ids``."""
    return f"UNWIND $ids AS id MATCH (n {{`~id`: id}}) SET n{_labels(labels)}"


def drop_vertices() -> str:
    """Delete those of the vertices ``ids`` that have no label but ``labels``: a vertex without a label is none."""
    return "UNWIND $ids AS id MATCH (n {`~id`: id}) WHERE size([l IN labels(n) WHERE NOT l IN $labels]) = 0 DETACH DELETE n"


def mark_absent() -> str:
    """The same while replaying: the vertex stays, because a later record may give it a label and nothing but that."""
    return (
        "UNWIND $ids AS id MATCH (n {`~id`: id}) WHERE size([l IN labels(n) WHERE NOT l IN $labels]) = 0"
        f" SET n:`{ABSENT}`"
    )


def remove_labels(labels: Sequence[str]) -> str:
    """Take labels from the vertices ``ids``; not their last one."""
    return f"UNWIND $ids AS id MATCH (n {{`~id`: id}}) REMOVE n{_labels(labels)}"


def create_edges(label: str) -> str:
    """Make those of the edges ``rows`` of ``{id, source, target}`` that are missing and whose ends exist.

    ``there`` says how many of them are there now: fewer than rows means that an end is missing.
    """
    return (
        "UNWIND $rows AS r MATCH (a {`~id`: r.source}), (b {`~id`: r.target})"
        f" MERGE (a)-[e:{_name(label)} {{`~id`: r.id}}]->(b) RETURN count(e) AS there"
    )


def _labels(labels: Sequence[str]) -> str:
    return "".join(f":{_name(label)}" for label in labels)


def _name(name: str) -> str:
    """A quoted name (openCypher 9, "Naming rules"): a backtick within is written twice."""
    return "`" + name.replace("`", "``") + "`"


# Gremlin. One traversal per request, made of side effects that run one after the other; literals are typed, as in
# TinkerPop's grammar Gremlin.g4, which Neptune parses texts with (Neptune user guide, "Gremlin standards compliance").

Value = tuple[str, str, Any]
"""Key, data type as the stream names it, value."""

_ESCAPES = {"\\": "\\\\", "'": "\\'", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}
_SPECIAL = re.compile(r"[\x00-\x1f\x7f\\'\u0085\u2028\u2029\ud800-\udfff]")
_NOT_FINITE = {"NaN": "NaN", "Infinity": "Infinity", "-Infinity": "-Infinity", "INF": "Infinity", "-INF": "-Infinity"}
_WHOLE = {"byte": ("b", 8), "short": ("s", 16), "int": ("", 32), "integer": ("", 32), "long": ("L", 64)}


def gremlin(effects: Iterable[str]) -> str:
    """One traversal of all effects, in their order."""
    return f"g.inject(0){''.join(effects)}"


def vertex_values(vertex: str, removed: Iterable[Value], added: Iterable[Value]) -> str:
    """Side effects that take values from a vertex, then add others: a key holds a set of values."""
    start = f".sideEffect(__.V({text(vertex)})"
    effects = [
        f"{start}.properties({text(key)}).hasValue({literal(kind, value)}).drop())" for key, kind, value in removed
    ]
    steps = "".join([f".property(set,{text(key)},{literal(kind, value)})" for key, kind, value in added])
    return "".join(effects) + (f"{start}{steps})" if steps else "")


def edge_values(edge: str, removed: Iterable[Value], added: Iterable[Value]) -> str:
    """The same for an edge, where a key holds one value: the last one."""
    start = f".sideEffect(__.E({text(edge)})"
    effects = [
        f"{start}.properties({text(key)}).hasValue({literal(kind, value)}).drop())" for key, kind, value in removed
    ]
    steps = "".join([f".property({text(key)},{literal(kind, value)})" for key, kind, value in added])
    return "".join(effects) + (f"{start}{steps})" if steps else "")


def text(string: str) -> str:
    """A string literal."""
    if _SPECIAL.search(string):
        string = _SPECIAL.sub(_escaped, string)
    return f"'{string}'"


def literal(kind: str, value: Any) -> str:
    """A typed literal; raises :class:`BlueGreenError` for a type that is not known or a value that is none of it."""
    if kind == "String" and isinstance(value, str):
        return text(value)
    written = _LITERALS.get(kind.lower(), _unknown)(kind.lower(), value)
    if written is None:
        raise BlueGreenError(
            f"The stream holds a value of the type {kind!r} that replication cannot write ({type(value).__name__}): "
            "it knows String, Bool, Byte, Short, Int, Long, Float, Double and Date as the Neptune Streams API names them."
        )
    return written


def _escaped(match: re.Match[str]) -> str:
    found = match.group()
    return _ESCAPES.get(found) or f"\\u{ord(found):04x}"


def _unknown(kind: str, value: Any) -> str | None:
    return None


def _string(kind: str, value: Any) -> str | None:
    return text(value) if isinstance(value, str) else None


def _bool(kind: str, value: Any) -> str | None:
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower()
    return ("true" if value else "false") if isinstance(value, bool) else None


def _integer(kind: str, value: Any) -> str | None:
    if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,19}", value):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    suffix, bits = _WHOLE[kind]
    return f"{value}{suffix}" if -(1 << (bits - 1)) <= value < 1 << (bits - 1) else None


def _floating(kind: str, value: Any) -> str | None:
    suffix = kind[0]
    if isinstance(value, str):
        if value in _NOT_FINITE:
            return _NOT_FINITE[value]
        try:
            value = float(value)
        except ValueError:
            return None
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    written = repr(float(value))
    return f"{written}{suffix}" if written.strip("-") not in ("inf", "nan") else None


def _date(kind: str, value: Any) -> str | None:
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value.replace("Z", "+00:00"))
        except ValueError:
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
    elif isinstance(value, int) and not isinstance(value, bool):
        seconds, milliseconds = divmod(value, 1000)
        try:
            moment = datetime.fromtimestamp(seconds, UTC).replace(microsecond=milliseconds * 1000)
        except (OverflowError, OSError, ValueError):
            return None
    else:
        return None
    written = moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")
    return f"datetime('{written}Z')"


_LITERALS = {
    "string": _string,
    "bool": _bool,
    "boolean": _bool,
    **dict.fromkeys(_WHOLE, _integer),
    "float": _floating,
    "double": _floating,
    "date": _date,
}

# SPARQL. A record's statement is a line of N-Quads.

_IRI = (
    r'<[^\x00-\x20<>"{}|^`\\]*(?:\\u[0-9A-Fa-f]{4}[^\x00-\x20<>"{}|^`\\]*|\\U[0-9A-Fa-f]{8}[^\x00-\x20<>"{}|^`\\]*)*>'
)
_BLANK = r"_:[^\s<>\"'{}()\[\],;\\]+"
_LITERAL = (
    r'"[^"\\\n\r]*(?:\\(?:[tbnrf"\'\\]|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8})[^"\\\n\r]*)*"'
    rf"(?:\^\^{_IRI}|@[a-zA-Z]+(?:-[a-zA-Z0-9]+)*)?"
)
_QUAD = re.compile(
    rf"\s*((?:{_IRI}|{_BLANK})\s*{_IRI}\s*(?:{_LITERAL}|{_IRI}|{_BLANK}))\s*({_IRI}|{_BLANK})?\s*\.\s*", re.ASCII
)
_BLANK_NODE = re.compile(rf"^\s*_:|^\s*{_IRI}\s*{_IRI}\s*_:|_:[^\s<>\"]*\s*\.\s*$", re.ASCII)


def quad(statement: str) -> tuple[str, str | None]:
    """Subject, predicate and object as they are written, and the graph; None means the default graph.

    Raises :class:`BlueGreenError` when the statement is no line of N-Quads.
    """
    match = _QUAD.fullmatch(statement)
    if match is None:
        raise BlueGreenError(
            f"The stream holds a statement that is no N-Quads, which begins {statement[:60]!r}: replication stops, "
            "because it cannot write it; remove it where it was written, and build green anew."
        )
    triple, graph = match.groups()
    return triple, graph


def has_blank_node(statement: str) -> bool:
    """Whether subject, object or graph is a blank node."""
    return "_:" in statement and _BLANK_NODE.search(statement) is not None


def sparql_update(removed: Sequence[str], added: Sequence[str]) -> str:
    """One request, one transaction, for statements of N-Quads."""
    parts = [f"{verb} DATA {{{_quads(lines)}}}" for verb, lines in (("DELETE", removed), ("INSERT", added)) if lines]
    return ";\n".join(parts)


def _quads(statements: Iterable[str]) -> str:
    graphs: dict[str | None, list[str]] = {}
    for statement in statements:
        triple, graph = quad(statement)
        graphs.setdefault(graph, []).append(triple)
    written = []
    for graph, triples in graphs.items():
        block = " .\n".join(triples)
        written.append(f"{block} .\n" if graph is None else f"GRAPH {graph} {{{block}}}\n")
    return "".join(written)
