# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A DNS server on loopback that answers from a function: the resolver that the clients of a lab use.

Where a name leads to an address it has an A record, otherwise a CNAME.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socketserver
import struct
import threading
from collections.abc import Callable
from typing import Self

Lookup = Callable[[str], tuple[str, int] | None]
_A, _CNAME, _IN = 1, 5, 1
_NO_SUCH_NAME = 3


class Resolver:
    """Answers with what ``lookup`` gives for a name: where it leads and the TTL (s), or None for no such name.

    With ``aliases`` every answer is a CNAME, as the records of Route 53 are where the lab's endpoints have no names.
    """

    def __init__(self, lookup: Lookup, aliases: bool = False) -> None:
        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                message, link = self.request
                link.sendto(_reply(message, lookup, aliases), self.client_address)

        self._server = socketserver.UDPServer(("127.0.0.1", 0), Handler)

    @property
    def address(self) -> str:
        """``host:port``."""
        host, port = self._server.server_address[:2]
        return f"{host!s}:{port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def _reply(message: bytes, lookup: Lookup, aliases: bool) -> bytes:
    labels, offset = [], 12
    while length := message[offset]:
        labels.append(message[offset + 1 : offset + 1 + length].decode())
        offset += 1 + length
    question = message[12 : offset + 5]
    found = lookup(".".join(labels))
    flags = 0x8580 if found else 0x8580 | _NO_SUCH_NAME
    kind, target = _target(found[0], aliases) if found else (_A, b"")
    asked = int.from_bytes(question[-4:-2], "big")
    answers = found is not None and (kind == _CNAME or asked == _A)  # an address has no AAAA record, for one
    head = message[:2] + struct.pack("!5H", flags, 1, int(answers), 0, 0)
    if found is None or not answers:
        return head + question
    # the owner is the name in the question: a pointer to it, as servers write it
    return head + question + struct.pack("!3HIH", 0xC00C, kind, _IN, found[1], len(target)) + target


def _target(text: str, alias: bool) -> tuple[int, bytes]:
    """Return the kind of a record and its data."""
    with contextlib.suppress(ValueError):
        if not alias:
            return _A, ipaddress.IPv4Address(text).packed
    return _CNAME, b"".join(bytes([len(label)]) + label.encode() for label in text.split(".")) + b"\0"
