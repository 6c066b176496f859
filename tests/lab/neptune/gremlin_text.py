# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of a Gremlin traversal, parsed: steps with arguments, typed literals, anonymous traversals, predicates.

The grammar is that of TinkerPop's gremlin-language, which Neptune uses: whole numbers are Int or, when too large,
Long; `1b 1s 1i 1l` are exact, so are `1.0f 1.0d`; a number with a point alone is a Double.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.lab.neptune.errors import ServiceError, malformed
from tests.lab.neptune.values import NAN, Date, Typed, number
from tests.lab.neptune.words import joined, unescape

PREDICATES = frozenset(
    (
        *("eq", "neq", "gt", "gte", "lt", "lte", "between", "inside", "outside", "within", "without"),
        *("startingWith", "notStartingWith", "endingWith", "notEndingWith", "containing", "notContaining"),
    )
)
MODULATORS = frozenset(("by", "from", "to", "option", "with"))
MADE = frozenset(("addV", "addE"))
# Literals, most of a replicator's text, are told apart from what stands between them, which repeats itself.
_LITERAL = re.compile(
    r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|(?<=[(,:\[])[+-]?\d[\w.]*(?:(?<=[eE])[+-]?\d+[fFdDmM]?)?)""", re.DOTALL
)
_TOKEN = re.compile(
    r"""\s*(?:
     (?P<call>(?P<point>\.\s*)?(?P<path>(?:[A-Za-z_]\w*\s*\.\s*)*)(?P<step>[A-Za-z_]\w*)\s*\()
    |(?P<name>(?:[A-Za-z_]\w*\s*\.\s*)*(?P<last>[A-Za-z_]\w*))
    |(?P<number>[+-]?\d[\w.]*(?:(?<=[eE])[+-]?\d+[fFdDmM]?)?)
    |(?P<infinity>[+-]Infinity)
    |(?P<sign>[\[\](){},:;])
    )\s*""",
    re.VERBOSE,
)
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?[a-zA-Z]?")
_SUFFIXES = {"b": "Byte", "s": "Short", "i": "Int", "l": "Long", "f": "Float", "d": "Double", "m": "Double"}


class Symbol(str):
    """A token of the language: T.id, set, desc, Direction.OUT; its text is what stands behind the last point."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Predicate:
    """P.gt(1); a bare value is eq."""

    name: str
    values: tuple[Any, ...]


class Step:
    """One step with its arguments and the steps behind it that only say more about it, such as by()."""

    __slots__ = ("arguments", "modulators", "name")

    def __init__(self, name: str, arguments: list[Any]) -> None:
        self.name = name
        self.arguments = arguments
        self.modulators: Sequence[Step] = ()


class Traversal:
    """Steps, one behind the other."""

    __slots__ = ("steps",)

    def __init__(self, steps: list[Step]) -> None:
        self.steps = steps


def _grouped(calls: list[Step]) -> list[Step]:
    """Put what belongs to a step to it: also the id of an element that addV() or addE() makes."""
    steps: list[Step] = []
    made: Step | None = None
    for step in calls:
        name = step.name
        if name in MODULATORS and steps:
            owner = made or steps[-1]
            owner.modulators = (*owner.modulators, step)
            continue
        if name == "property" and made is not None:
            first = step.arguments[0] if step.arguments else None
            if isinstance(first, Symbol) and first == "id":
                made.modulators = (*made.modulators, Step("id", step.arguments[1:]))
                continue
        else:
            made = step if name in MADE else None
        steps.append(step)
    return steps


Token = tuple[str, Any]


def parse(text: str) -> Traversal:
    """Parse a request, `g.V().count()`. Raises ServiceError."""
    parser = _Parser(_tokens(text))
    kind, found = parser.tokens[0]
    if kind != "call" or found[1] != "g":
        raise parser.unexpected()
    traversal = parser.traversal()
    while parser.tokens[parser.at] == ("sign", ";"):
        parser.at += 1
    if parser.tokens[parser.at][0] != "end":
        raise parser.unexpected()
    return traversal


def _tokens(text: str) -> list[Token]:
    tokens: list[Token] = []
    for at, piece in enumerate(_LITERAL.split(text)):
        if not at % 2:
            tokens += _glue(piece)
        elif piece[0] in "'\"":
            tokens.append(("value", ("String", joined(unescape(piece[1:-1])) if "\\" in piece else piece[1:-1])))
        else:
            tokens.append(("value", _number(piece)))
    tokens.append(("end", ""))
    return tokens


@functools.lru_cache(maxsize=4096)
def _glue(text: str) -> tuple[Token, ...]:
    """Return the tokens of text between literals: calls as (has a point before it, path, name)."""
    tokens: list[Token] = []
    at = len(text) - len(text.lstrip())
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise malformed(f"Query parsing has failed: no viable alternative at input {text[at : at + 20]!r}")
        at = match.end()
        kind = match.lastgroup
        if kind == "call":
            path = "".join(match["path"].split()).rstrip(".")
            tokens.append((kind, (match["point"] is not None, path, match["step"])))
        elif kind == "number":
            tokens.append(("value", _number(match["number"])))
        elif kind == "infinity":
            tokens.append(("value", ("Double", float(match["infinity"]))))
        elif kind == "name":
            tokens.append(_name(match["name"], match["last"]))
        else:
            tokens.append(("sign", match["sign"]))
    return tuple(tokens)


class _Parser:
    """Reads tokens from where it is."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.at = 0

    def unexpected(self) -> ServiceError:
        kind, found = self.tokens[self.at]
        shown = found[2] if kind == "call" else found
        return malformed(f"Query parsing has failed: no viable alternative at input {str(shown)[:40]!r}")

    def traversal(self) -> Traversal:
        """Read the steps of a traversal from its first call on."""
        calls: list[Step] = []
        tokens = self.tokens
        plain = True
        while True:
            name = tokens[self.at][1][2]
            self.at += 1
            calls.append(Step(name, self.arguments(")")))
            plain = plain and name not in MODULATORS and name not in MADE
            kind, found = tokens[self.at]
            if kind != "call" or not found[0] or found[1]:
                return Traversal(calls if plain else _grouped(calls))

    def arguments(self, closing: str) -> list[Any]:
        """Read values with commas between them and the sign that ends them."""
        values: list[Any] = []
        tokens = self.tokens
        if tokens[self.at] == ("sign", closing):
            self.at += 1
            return values
        while True:
            kind, found = tokens[self.at]
            if kind == "value":
                values.append(found)
                self.at += 1
            else:
                values.append(self.value())
            kind, found = tokens[self.at]
            if kind != "sign" or found not in (",", closing):
                raise self.unexpected()
            self.at += 1
            if found == closing:
                return values

    def value(self) -> Any:
        """Read one value."""
        kind, found = self.tokens[self.at]
        if kind in ("value", "name"):
            self.at += 1
            return found
        if kind == "call" and not found[0]:
            return self._call(*found)
        if kind == "sign" and found == "[":
            self.at += 1
            return self._collection()
        if kind == "sign" and found == "(":
            self.at += 1
            values = self.arguments(")")
            if len(values) == 1:
                return values[0]
        raise self.unexpected()

    def _call(self, _point: bool, path: str, name: str) -> Any:
        if path in ("", "__") and name not in PREDICATES and name != "datetime":
            return self.traversal()
        self.at += 1
        values = self.arguments(")")
        if name == "datetime":
            try:
                return "Date", Date.parse(values[0][1]).millis
            except (IndexError, TypeError, ValueError):
                raise malformed(f"Invalid datetime: {values}") from None
        if path not in ("", "P", "TextP"):
            raise malformed(f"Unknown function: {path}.{name}")
        if len(values) == 1 and isinstance(values[0], list):
            values = values[0]
        return Predicate(name, tuple(values))

    def _collection(self) -> Any:
        """Read a list, or a map, whose keys and values are told apart by colons."""
        if self.tokens[self.at] == ("sign", ":"):
            self.at += 1
            if self.arguments("]"):
                raise self.unexpected()
            return {}
        start = self.at
        if self.tokens[start] != ("sign", "]"):
            self.value()
            if self.tokens[self.at] == ("sign", ":"):
                self.at = start
                return self._map()
        self.at = start
        return self.arguments("]")

    def _map(self) -> dict[Any, Any]:
        """Read the rest of a map; the id and the label of an element are keys of their own, as Symbol."""
        items: dict[Any, Any] = {}
        while True:
            bare = self.tokens[self.at][0] == "name"
            key = self.value()
            if bare and key not in ("id", "label"):
                key = str(key)
            if self.tokens[self.at] != ("sign", ":"):
                raise self.unexpected()
            self.at += 1
            items[key[1] if isinstance(key, tuple) else key] = self.value()
            kind, found = self.tokens[self.at]
            if kind != "sign" or found not in (",", "]"):
                raise self.unexpected()
            self.at += 1
            if found == "]":
                return items


def _number(text: str) -> Typed:
    if not _NUMBER.fullmatch(text):
        raise malformed(f"Invalid number: {text}")
    suffix = text[-1].lower()
    digits = text[:-1] if suffix.isalpha() else text
    try:
        if suffix == "n":
            raise ServiceError("UnsupportedOperationException", f"BigInteger is not supported: {text}")
        if suffix in _SUFFIXES:
            kind = _SUFFIXES[suffix]
            return number(kind, float(digits) if kind in ("Float", "Double") else int(digits))
        if not text.lstrip("+-").isdigit():
            return number("Double", float(text))
        value = int(text)
        return number("Int" if -(1 << 31) <= value < 1 << 31 else "Long", value)
    except ValueError as error:
        raise malformed(f"Invalid number: {error}") from None


def _name(text: str, last: str) -> Token:
    if text in ("true", "false"):
        return "value", ("Bool", text == "true")
    if text in ("NaN", "Infinity"):
        return "value", ("Double", NAN if text == "NaN" else float("inf"))
    return "name", None if text == "null" else Symbol(last)
