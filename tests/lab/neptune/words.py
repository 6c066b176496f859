# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Words of a query text, for the languages whose parsers are ours."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from tests.lab.neptune.errors import malformed

_ESCAPES = {"b": "\b", "t": "\t", "n": "\n", "r": "\r", "f": "\f", "'": "'", '"': '"', "\\": "\\", "/": "/", "`": "`"}
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)", re.DOTALL)


class Token(NamedTuple):
    """One word: its kind is the name of the pattern that found it; the text of a string or a quoted name is unquoted."""

    kind: str
    text: str
    at: int


def unescape(text: str) -> str:
    """Return a string literal's content."""
    return _ESCAPE.sub(_unescaped, text) if "\\" in text else text


def _unescaped(match: re.Match[str]) -> str:
    code = match.group(1)
    if code[0] in "uU" and len(code) > 1:
        return chr(int(code[1:], 16))
    if code not in _ESCAPES:
        raise malformed(f"Invalid escape sequence: \\{code}")
    return _ESCAPES[code]


def joined(text: str) -> str:
    """Return text in which escaped halves of a character outside the basic plane are one character."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") if _SURROGATE.search(text) else text


_SURROGATE = re.compile("[\ud800-\udfff]")


class Words:
    """The words of one text and how far they are read."""

    def __init__(self, pattern: re.Pattern[str], text: str, clean: Callable[[str, str], str]) -> None:
        """Split a text; `clean(kind, text)` unquotes. Raises ServiceError at what is no word."""
        self.text = text
        self.tokens: list[Token] = []
        end = 0
        for match in pattern.finditer(text):
            kind = match.lastgroup or ""
            if match.start() != end:
                break
            end = match.end()
            if kind != "space":
                self.tokens.append(Token(kind, clean(kind, match.group()), match.start()))
        if end != len(text):
            raise malformed(f"Invalid input {text[end : end + 20]!r} at position {end}")
        self.tokens.append(Token("end", "", len(text)))
        self.at = 0

    @property
    def next(self) -> Token:
        """The word that is read next."""
        return self.tokens[self.at]

    def take(self) -> Token:
        """Read a word."""
        token = self.tokens[self.at]
        self.at += 1
        return token

    def accept(self, *texts: str) -> bool:
        """Read these signs if they come next."""
        for offset, text in enumerate(texts):
            token = self.tokens[min(self.at + offset, len(self.tokens) - 1)]
            if token.kind != "sign" or token.text != text:
                return False
        self.at += len(texts)
        return True

    def accept_word(self, *words: str) -> bool:
        """Read these key words, in any case of letters, if they come next."""
        for offset, word in enumerate(words):
            token = self.tokens[min(self.at + offset, len(self.tokens) - 1)]
            if token.kind != "name" or token.text.upper() != word:
                return False
        self.at += len(words)
        return True

    def expect(self, text: str) -> None:
        """Read a sign that has to come."""
        if not self.accept(text):
            raise self.unexpected(text)

    def expect_word(self, word: str) -> None:
        """Read a key word that has to come."""
        if not self.accept_word(word):
            raise self.unexpected(word)

    def unexpected(self, wanted: str) -> Exception:
        """Return the refusal of the next word."""
        token = self.next
        return malformed(f"Invalid input {token.text!r} at position {token.at}: expected {wanted}")
