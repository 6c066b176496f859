# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""One DNS question over UDP: the CNAME of a name and its TTL, as a resolver tells it now.

Source: RFC 1035, 4.1 (messages) and 4.1.4 (compression).
"""

from __future__ import annotations

import secrets
import socket
import struct
from dataclasses import dataclass

from ..._core.errors import BlueGreenError, words

_CNAME, _IN = 5, 1
_RECURSE = 0x0100
_ATTEMPTS = 2
_TIMEOUT = 2.0  # s, each
_MOST_JUMPS = 64


@dataclass(frozen=True)
class CName:
    """What a resolver answers: the name that the record leads to, without the last dot, and its TTL in seconds."""

    target: str
    ttl: int


def query_cname(server: str, name: str) -> CName:
    """Ask ``server`` (host, or host:port) for the CNAME of ``name``.

    Raises :class:`BlueGreenError` when it does not answer, or has no such record.
    """
    host, _colon, port = server.partition(":")
    number = secrets.randbelow(65536)
    try:
        reply = _exchange(host, int(port or 53), question(number, name))
        return answer(reply, number, name)
    except (OSError, ValueError) as error:
        raise BlueGreenError(
            f"The DNS server {server} should answer for the CNAME of {name}, but: {words(error) or 'no answer'}."
        ) from None


def question(number: int, name: str) -> bytes:
    """The message that asks for the CNAME of ``name``; raises ValueError for a name that cannot be asked for."""
    labels = [label.encode("ascii") for label in name.rstrip(".").split(".")]
    if not all(1 <= len(label) <= 63 for label in labels):
        raise ValueError(f"{name} is not a DNS name")
    encoded = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    return struct.pack("!6H", number, _RECURSE, 1, 0, 0, 0) + encoded + struct.pack("!2H", _CNAME, _IN)


def answer(reply: bytes, number: int, name: str) -> CName:
    """The CNAME in a reply to :func:`question`; raises ValueError when there is none in it."""
    try:
        found, flags, questions, answers, _authorities, _more = struct.unpack_from("!6H", reply)
        if found != number or not flags & 0x8000:
            raise ValueError("the reply belongs to another question")
        if flags & 0x000F:
            raise ValueError(f"the reply has the code {flags & 0x000F}")
        offset = 12
        for _question in range(questions):
            offset = _name(reply, offset)[1] + 4
        for _answer in range(answers):
            owner, offset = _name(reply, offset)
            kind, _class, ttl, length = struct.unpack_from("!2HIH", reply, offset)
            offset += 10
            if kind == _CNAME and owner.lower() == name.rstrip(".").lower():
                return CName(_name(reply, offset)[0], ttl)
            offset += length
    except (struct.error, IndexError, UnicodeDecodeError):
        raise ValueError("the reply is cut off") from None
    raise ValueError("there is no CNAME in the reply")


def _name(reply: bytes, offset: int) -> tuple[str, int]:
    """A name, and where what follows it begins."""
    labels: list[str] = []
    end = 0
    for _jump in range(_MOST_JUMPS):
        length = reply[offset]
        if length >= 0xC0:
            end = end or offset + 2
            offset = struct.unpack_from("!H", reply, offset)[0] & 0x3FFF
        elif length:
            labels.append(reply[offset + 1 : offset + 1 + length].decode("ascii"))
            offset += 1 + length
        else:
            return ".".join(labels), end or offset + 1
    raise ValueError("the reply's names go in a circle")


def _exchange(host: str, port: int, message: bytes) -> bytes:
    family, _type, _protocol, _canonical, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, socket.SOCK_DGRAM) as link:
        link.settimeout(_TIMEOUT)
        link.connect(address)
        for attempt in range(_ATTEMPTS):
            link.send(message)
            try:
                return link.recv(4096)
            except TimeoutError:
                if attempt == _ATTEMPTS - 1:
                    raise
    raise AssertionError("unreachable")
