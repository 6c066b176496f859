# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The RDF graph: a real SPARQL engine, and the stream of the quads that updates really changed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from json.encoder import encode_basestring_ascii as quoted
from typing import Any

import pyoxigraph as ox

from tests.lab.neptune.errors import ServiceError, malformed
from tests.lab.neptune.stream import Stream

_SKIPPED = r"""<[^<>"{}|^`\\\x00-\x20]*>|\"{3}(?:[^"\\]|\\.|"(?!""))*\"{3}|'{3}(?:[^'\\]|\\.|'(?!''))*'{3}
    |"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|\#[^\n]*"""
_PIECES = re.compile(rf"""(?P<text>(?:[^<"'#{{}};]|{_SKIPPED}|<)++)|(?P<sign>[{{}};])""", re.VERBOSE | re.DOTALL)
_SPACE = r"(?:\s|\#[^\n]*\n)*"
_PROLOGUE = re.compile(rf"{_SPACE}(?:PREFIX\s+[^\s<]*\s*<[^>]*>|BASE\s+<[^>]*>)", re.IGNORECASE)
_DATA = re.compile(rf"{_SPACE}(INSERT|DELETE)\s+DATA\s*\{{(.*)\}}{_SPACE}\Z", re.IGNORECASE | re.DOTALL)

JSON_RESULTS = "application/sparql-results+json"


def encode(quad: ox.Quad) -> str:
    """Return the data of a record as the stream's JSON."""
    statement = f"{quad} .\n"
    return f'{{"stmt":{quoted(statement)}}}'


class Rdf:
    """Quads, and the stream of what happens to them. Not thread-safe: its owner has one thread."""

    def __init__(self, stream: Stream | None = None) -> None:
        self.store = ox.Store()
        self.stream = stream or Stream("NQUADS", encode)
        self.recording = True

    def copy(self) -> Rdf:
        """Return a graph with a stream of its own that both go their own way from here."""
        other = Rdf(self.stream.copy())
        other.recording = self.recording
        other.store.bulk_extend(self.store)
        return other

    def update(self, text: str) -> int:
        """Do all operations of an update as one transaction; return how many quads changed. Raises ServiceError."""
        changes: list[tuple[str, ox.Quad]] = []
        try:
            prologue = ""
            for operation in _operations(text):
                prologue, rest = _after_prologue(prologue, operation)
                if rest.strip():
                    self._operate(prologue, rest, changes)
        except BaseException:
            for op, quad in reversed(changes):
                (self.store.remove if op == "ADD" else self.store.add)(quad)
            raise
        if self.recording:
            self.stream.append(changes)
        return len(changes)

    def _operate(self, prologue: str, operation: str, changes: list[tuple[str, ox.Quad]]) -> None:
        match = _DATA.match(operation)
        quads = None if match is None else _quads(prologue, match.group(2))
        if match is None or quads is None:
            self._general(f"{prologue}\n{operation}", changes)
            return
        store, inserts = self.store, match.group(1).upper() == "INSERT"
        for quad in quads:
            if inserts:
                if quad not in store:
                    store.add(quad)
                    changes.append(("ADD", quad))
            elif isinstance(quad.subject, ox.BlankNode) or isinstance(quad.object, ox.BlankNode):
                raise malformed("Blank nodes are not allowed in DELETE DATA")
            elif quad in store:
                store.remove(quad)
                changes.append(("REMOVE", quad))

    def _general(self, text: str, changes: list[tuple[str, ox.Quad]]) -> None:
        """Run any other operation and look what it changed."""
        before = set(self.store)
        try:
            self.store.update(text)
        except SyntaxError as error:
            raise malformed(f"Malformed update: {error}") from None
        except (OSError, RuntimeError, ValueError) as error:  # LOAD and its like
            raise ServiceError("BadRequestException", f"The update failed: {error}") from None
        after = set(self.store)
        changes += [("REMOVE", quad) for quad in sorted(before - after, key=str)]
        changes += [("ADD", quad) for quad in sorted(after - before, key=str)]

    def query(self, text: str) -> tuple[str, bytes]:
        """Return media type and body of a query's answer; the default graph is the union of all graphs, as in Neptune."""
        try:
            found: Any = self.store.query(text, use_default_graph_as_union=True)
        except SyntaxError as error:
            raise malformed(f"Malformed query: {error}") from None
        except (RuntimeError, ValueError) as error:
            raise ServiceError("BadRequestException", f"The query failed: {error}") from None
        if isinstance(found, ox.QueryTriples):
            return "application/n-triples", found.serialize(format=ox.RdfFormat.N_TRIPLES) or b""
        return JSON_RESULTS, found.serialize(format=ox.QueryResultsFormat.JSON) or b""


def _operations(text: str) -> Iterator[str]:
    """Yield the operations of an update: what semicolons outside braces separate."""
    depth, start, at = 0, 0, 0
    for match in _PIECES.finditer(text):
        if match.start() != at:
            raise malformed(f"Malformed update near {text[at : at + 20]!r}")
        at = match.end()
        sign = match["sign"]
        if sign == "{":
            depth += 1
        elif sign == "}":
            depth -= 1
        elif sign == ";" and depth == 0:
            yield text[start : match.start()]
            start = at
    if at != len(text) or depth:
        raise malformed(f"Malformed update near {text[at : at + 20]!r}")
    yield text[start:]


def _after_prologue(prologue: str, operation: str) -> tuple[str, str]:
    """Return the prologue with what the operation adds to it, and the rest of the operation."""
    at = 0
    while (match := _PROLOGUE.match(operation, at)) is not None:
        at = match.end()
    return prologue + operation[:at], operation[at:]


def _quads(prologue: str, block: str) -> Iterable[ox.Quad] | None:
    """Return the quads of a data block, None when it is not written as TriG has it."""
    try:
        return list(ox.parse(f"{prologue}\n{block}".encode(), ox.RdfFormat.TRIG, rename_blank_nodes=True))
    except SyntaxError:
        return None
