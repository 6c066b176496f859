# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Expressions of openCypher: parsed once into functions of a row."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.lab.neptune import cypher_functions
from tests.lab.neptune.cypher_functions import equal, less, property_of, truth
from tests.lab.neptune.errors import malformed
from tests.lab.neptune.graph import Edge, Graph, Vertex
from tests.lab.neptune.words import Words, joined, unescape

Row = dict[str, Any]

_WORDS = re.compile(
    r"""(?P<space>\s+|//[^\n]*|/\*.*?\*/)
    |(?P<float>\d+\.\d+(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+)
    |(?P<int>0x[0-9a-fA-F]+|\d+)
    |(?P<string>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    |(?P<quoted>`(?:[^`]|``)*`)
    |(?P<parameter>\$(?:[^\W\d]\w*|\d+))
    |(?P<name>[^\W\d]\w*)
    |(?P<sign><>|<=|>=|=~|\+=|->|<-|\.\.|[-+*/%^=<>()\[\]{},.:|;])""",
    re.VERBOSE | re.DOTALL,
)


def _clean(kind: str, text: str) -> str:
    if kind == "string":
        return joined(unescape(text[1:-1]))
    if kind == "quoted":
        return text[1:-1].replace("``", "`")
    return text[1:] if kind == "parameter" else text


def words(text: str) -> Words:
    """Return the words of a query."""
    return Words(_WORDS, text, _clean)


@dataclass
class Run:
    """What a query runs on."""

    graph: Graph
    parameters: dict[str, Any]


Function = Callable[[Row, Run], Any]


@dataclass
class Expression:
    """A function of a row, and what is known about it.

    `hints` are ids that a variable must have for the whole to be true: {x: function of the id, or of a list of ids}.
    """

    value: Function
    id_of: str | None = None  # it is id(x)
    hints: dict[str, tuple[Function, bool]] = field(default_factory=dict)


@dataclass(frozen=True)
class Aggregate:
    """One call of an aggregating function; its result is in the row under `name`."""

    name: str
    function: str
    distinct: bool
    argument: Function | None  # None: count(*)


class Expressions:
    """The parser of expressions; `aggregates` gathers the calls that the clause around has to work out."""

    def __init__(self, tokens: Words) -> None:
        self.words = tokens
        self.aggregates: list[Aggregate] = []
        self._numbers = 0

    def name(self) -> str:
        """Read a name."""
        if self.words.next.kind not in ("name", "quoted"):
            raise self.words.unexpected("a name")
        return self.words.take().text

    def expression(self) -> Expression:
        """Read an expression."""
        return self._binary(
            self._xor, "OR", lambda a, b: True if a or b else (None if a is None or b is None else False)
        )

    def _binary(self, operand: Callable[[], Expression], word: str, work: Callable[[Any, Any], Any]) -> Expression:
        left = operand()
        while self.words.accept_word(word):
            left = _logic(left.value, operand().value, work)
        return left

    def _xor(self) -> Expression:
        return self._binary(self._and, "XOR", lambda a, b: None if a is None or b is None else a != b)

    def _and(self) -> Expression:
        left = self._not()
        while self.words.accept_word("AND"):
            right = self._not()
            hints = {**right.hints, **left.hints}
            left = _logic(left.value, right.value, _both)
            left.hints = hints
        return left

    def _not(self) -> Expression:
        if self.words.accept_word("NOT"):
            inner = self._not().value

            def negated(row: Row, run: Run) -> Any:
                found = truth(inner(row, run))
                return None if found is None else not found

            return Expression(negated)
        return self._comparison()

    def _comparison(self) -> Expression:
        left = self._sum()
        links: list[Function] = []
        hints: dict[str, tuple[Function, bool]] = {}
        while (work := self._comparator()) is not None:
            right = self._sum()
            links.append(_compared(left.value, right.value, work))
            if work is equal:
                hints.update(_hints(left, right))
            left = right
        if not links:
            return self._postfixed(left)
        if len(links) == 1:
            return Expression(links[0], hints=hints)

        def chained(row: Row, run: Run) -> Any:
            answers = [link(row, run) for link in links]
            return False if False in answers else (None if None in answers else True)

        return Expression(chained, hints=hints)

    def _comparator(self) -> Callable[[Any, Any], Any] | None:
        signs: dict[str, Callable[[Any, Any], Any]] = {
            "=": equal,
            "<>": lambda a, b: None if (same := equal(a, b)) is None else not same,
            "<": less,
            ">": lambda one, other: less(other, one),
            "<=": lambda a, b: True if equal(a, b) else less(a, b),
            ">=": lambda one, other: True if equal(one, other) else less(other, one),
        }
        token = self.words.next
        if token.kind == "sign" and token.text in signs:
            self.words.take()
            return signs[token.text]
        return None

    def _postfixed(self, left: Expression) -> Expression:
        value = left.value
        if self.words.accept_word("IS", "NOT", "NULL"):
            return Expression(lambda row, run: value(row, run) is not None)
        if self.words.accept_word("IS", "NULL"):
            return Expression(lambda row, run: value(row, run) is None)
        if self.words.accept_word("IN"):
            right = self._sum().value
            hints = {left.id_of: (right, True)} if left.id_of else {}
            return Expression(_compared(value, right, cypher_functions.contained), hints=hints)
        for start, work in cypher_functions.TEXT_TESTS.items():
            if self.words.accept_word(*start.split()):
                return Expression(_compared(value, self._sum().value, work))
        if self.words.next == ("sign", ":", self.words.next.at):
            return self._labels(value)
        return left

    def _labels(self, value: Function) -> Expression:
        wanted = []
        while self.words.accept(":"):
            wanted.append(self.name())

        def labelled(row: Row, run: Run) -> Any:
            element = value(row, run)
            if element is None:
                return None
            held = element.labels if isinstance(element, Vertex) else (element.label,)
            return all(label in held for label in wanted)

        return Expression(labelled)

    def _sum(self) -> Expression:
        return self._arithmetic(self._product, ("+", "-"))

    def _product(self) -> Expression:
        return self._arithmetic(self._unary, ("*", "/", "%"))

    def _arithmetic(self, operand: Callable[[], Expression], signs: tuple[str, ...]) -> Expression:
        left = operand()
        while self.words.next.kind == "sign" and self.words.next.text in signs:
            work = cypher_functions.ARITHMETIC[self.words.take().text]
            left = Expression(_compared(left.value, operand().value, work))
        return left

    def _unary(self) -> Expression:
        if self.words.accept("-"):
            inner = self._unary().value
            return Expression(lambda row, run: None if (found := inner(row, run)) is None else -found)
        if self.words.accept("+"):
            return self._unary()
        return self._path()

    def _path(self) -> Expression:
        expression = self._atom()
        while True:
            if self.words.accept("."):
                expression = _property(expression.value, self.name())
            elif self.words.accept("["):
                expression = self._index(expression.value)
            else:
                return expression

    def _index(self, value: Function) -> Expression:
        index = self.expression().value
        self.words.expect("]")
        return Expression(_compared(value, index, cypher_functions.item))

    def _atom(self) -> Expression:
        token = self.words.take()
        if token.kind == "int":
            number = int(token.text, 0 if token.text.startswith("0x") else 10)
            return Expression(lambda _row, _run: number)
        if token.kind == "float":
            real = float(token.text)
            return Expression(lambda _row, _run: real)
        if token.kind == "string":
            return Expression(lambda _row, _run: token.text)
        if token.kind == "parameter":
            return Expression(_parameter(token.text))
        if token.kind == "sign" and token.text in ("(", "[", "{"):
            return self._bracket(token.text)
        if token.kind == "quoted":
            return Expression(_variable(token.text))
        if token.kind == "name":
            return self._named(token.text)
        self.words.at -= 1
        raise self.words.unexpected("an expression")

    def _bracket(self, sign: str) -> Expression:
        if sign == "(":
            inner = self.expression()
            self.words.expect(")")
            return inner
        if sign == "{":
            return Expression(_map(self.map_items()))
        ahead = self.words.tokens[self.words.at + 1] if self.words.next.kind != "end" else self.words.next
        if self.words.next.kind in ("name", "quoted") and ahead.kind == "name" and ahead.text.upper() == "IN":
            return self._comprehension()
        items: list[Function] = []
        while not self.words.accept("]"):
            items.append(self.expression().value)
            if self.words.next.text != "]":
                self.words.expect(",")
        return Expression(lambda row, run: [one(row, run) for one in items])

    def _comprehension(self) -> Expression:
        """Read the rest of [x IN list WHERE condition | value]."""
        name = self.name()
        self.words.expect_word("IN")
        source = self.expression().value
        where = self.expression().value if self.words.accept_word("WHERE") else None
        value = self.expression().value if self.words.accept("|") else None
        self.words.expect("]")

        def gathered(row: Row, run: Run) -> Any:
            items = source(row, run)
            if items is None:
                return None
            found = []
            for item in items:
                inner = {**row, name: item}
                if where is None or truth(where(inner, run)) is True:
                    found.append(item if value is None else value(inner, run))
            return found

        return Expression(gathered)

    def map_items(self) -> dict[str, Function]:
        """Read the rest of a map after its brace."""
        items: dict[str, Function] = {}
        while not self.words.accept("}"):
            key = self.name()
            self.words.expect(":")
            items[key] = self.expression().value
            if self.words.next.text != "}":
                self.words.expect(",")
        return items

    def _named(self, text: str) -> Expression:
        upper = text.upper()
        if self.words.next == ("sign", "(", self.words.next.at):
            return self._call(text)
        if upper in ("TRUE", "FALSE", "NULL"):
            constant = {"TRUE": True, "FALSE": False, "NULL": None}[upper]
            return Expression(lambda _row, _run: constant)
        if upper == "CASE":
            return self._case()
        return Expression(_variable(text))

    def _case(self) -> Expression:
        subject = None if self.words.next.text.upper() == "WHEN" else self.expression().value
        choices: list[tuple[Function, Function]] = []
        while self.words.accept_word("WHEN"):
            condition = self.expression().value
            self.words.expect_word("THEN")
            choices.append((condition, self.expression().value))
        otherwise = self.expression().value if self.words.accept_word("ELSE") else None
        self.words.expect_word("END")

        def chosen(row: Row, run: Run) -> Any:
            for condition, result in choices:
                found = condition(row, run)
                if (truth(found) if subject is None else equal(subject(row, run), found)) is True:
                    return result(row, run)
            return None if otherwise is None else otherwise(row, run)

        return Expression(chosen)

    def _call(self, text: str) -> Expression:
        name = text.lower()
        self.words.expect("(")
        distinct = self.words.accept_word("DISTINCT")
        star = self.words.accept("*")
        variable = self.words.next.text if self.words.next.kind in ("name", "quoted") else None
        start = self.words.at
        arguments: list[Function] = []
        while not self.words.accept(")"):
            arguments.append(self.expression().value)
            if self.words.next.text != ")":
                self.words.expect(",")
        if name in cypher_functions.AGGREGATES:
            if not star and len(arguments) != 1:
                raise malformed(f"{text} takes one argument")
            self._numbers += 1
            slot = f"#{self._numbers}"
            self.aggregates.append(Aggregate(slot, name, distinct, None if star else arguments[0]))
            return Expression(lambda row, _run: row[slot])
        if name not in cypher_functions.FUNCTIONS or distinct or star:
            raise malformed(f"Unknown function: {text}")
        return self._function(name, arguments, variable if self.words.at == start + 2 else None)

    def _function(self, name: str, arguments: list[Function], variable: str | None) -> Expression:
        work = cypher_functions.FUNCTIONS[name]
        if len(arguments) == 1:
            only = arguments[0]
            return Expression(lambda row, run: work(only(row, run)), id_of=variable if name == "id" else None)
        return Expression(lambda row, run: work(*(one(row, run) for one in arguments)))


def _both(a: Any, b: Any) -> Any:
    return False if a is False or b is False else (None if a is None or b is None else True)


def _logic(left: Function, right: Function, work: Callable[[Any, Any], Any]) -> Expression:
    return Expression(lambda row, run: work(truth(left(row, run)), truth(right(row, run))))


def _compared(left: Function, right: Function, work: Callable[[Any, Any], Any]) -> Function:
    return lambda row, run: work(left(row, run), right(row, run))


def _hints(left: Expression, right: Expression) -> dict[str, tuple[Function, bool]]:
    if left.id_of:
        return {left.id_of: (right.value, False)}
    return {right.id_of: (left.value, False)} if right.id_of else {}


def _variable(name: str) -> Function:
    def value(row: Row, _run: Run) -> Any:
        try:
            return row[name]
        except KeyError:
            raise malformed(f"Variable `{name}` not defined") from None

    return value


def _parameter(name: str) -> Function:
    def value(_row: Row, run: Run) -> Any:
        if name not in run.parameters:
            raise malformed(f"Expected parameter(s): {name}")
        return run.parameters[name]

    return value


def _property(value: Function, key: str) -> Expression:
    def found(row: Row, run: Run) -> Any:
        owner = value(row, run)
        return owner.get(key) if owner.__class__ is dict else property_of(owner, key)

    return Expression(found)


def _map(items: dict[str, Function]) -> Function:
    return lambda row, run: {key: one(row, run) for key, one in items.items()}


def element_of(value: Any) -> Vertex | Edge | None:
    """Return a value that has to be a node or a relationship, or null."""
    if value is None or isinstance(value, (Vertex, Edge)):
        return value
    raise malformed(f"Expected a node or a relationship, found {type(value).__name__}")
