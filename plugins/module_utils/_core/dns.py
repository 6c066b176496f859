# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""One DNS question over UDP: the CNAME or the addresses of a name and their TTL, as a resolver tells it now.

Source: RFC 1035, 4.1 (messages) and 4.1.4 (compression).
"""

from __future__ import annotations

import secrets
import socket
import struct
from dataclasses import dataclass

from .errors import BlueGreenError, words

_A, _CNAME, _IN = 1, 5, 1
_NO_SUCH_NAME = 3
_RECURSE = 0x0100
_ATTEMPTS = 2
_TIMEOUT = 2.0  # s, each
_MOST_JUMPS = 64


@dataclass(frozen=True)
class CName:
    """What a resolver answers: the name that the record leads to, without the last dot, and its TTL in seconds."""

    target: str
    ttl: int


@dataclass(frozen=True)
class Addresses:
    """What a resolver answers: the addresses of a name, none when there is no such name, and the lowest TTL on the way."""

    addresses: tuple[str, ...]
    ttl: int | None


def query_addresses(server: str, name: str) -> Addresses:
    """Ask ``server`` (host, or host:port) for the IPv4 addresses of ``name``, CNAMEs followed by the server.

    Raises :class:`BlueGreenError` when it does not answer; a name that does not exist has no addresses.
    """
    host, _colon, port = server.partition(":")
    number = secrets.randbelow(65536)
    try:
        return addresses(_exchange(host, int(port or 53), question(number, name, _A)), number)
    except (OSError, ValueError) as error:
        raise BlueGreenError(
            f"The DNS server {server} should answer for the addresses of {name}, but: {words(error) or 'no answer'}."
        ) from None


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


def question(number: int, name: str, kind: int = _CNAME) -> bytes:
    """The message that asks for the CNAME (or another kind) of ``name``; raises ValueError for what is no name."""
    labels = [label.encode("ascii") for label in name.rstrip(".").split(".")]
    if not all(1 <= len(label) <= 63 for label in labels):
        raise ValueError(f"{name} is not a DNS name")
    encoded = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    return struct.pack("!6H", number, _RECURSE, 1, 0, 0, 0) + encoded + struct.pack("!2H", kind, _IN)


def answer(reply: bytes, number: int, name: str) -> CName:
    """The CNAME in a reply to :func:`question`; raises ValueError when there is none in it."""
    code, records = _records(reply, number)
    if code:
        raise ValueError(f"the reply has the code {code}")
    for owner, kind, ttl, offset, _length in records:
        if kind == _CNAME and owner.lower() == name.rstrip(".").lower():
            return CName(_target(reply, offset), ttl)
    raise ValueError("there is no CNAME in the reply")


def addresses(reply: bytes, number: int) -> Addresses:
    """The addresses in a reply to :func:`question`; raises ValueError for a reply that is none."""
    code, records = _records(reply, number)
    if code not in (0, _NO_SUCH_NAME):
        raise ValueError(f"the reply has the code {code}")
    found = [
        socket.inet_ntoa(reply[at : at + 4]) for _owner, kind, _ttl, at, length in records if (kind, length) == (_A, 4)
    ]
    return Addresses(tuple(sorted(found)), min((ttl for _o, _k, ttl, _a, _l in records), default=None))


def _records(reply: bytes, number: int) -> tuple[int, list[tuple[str, int, int, int, int]]]:
    """The code of a reply, and its answers as owner, kind, TTL, and where their data begin and how long they are."""
    try:
        found, flags, questions, answers, _authorities, _more = struct.unpack_from("!6H", reply)
        if found != number or not flags & 0x8000:
            raise ValueError("the reply belongs to another question")
        offset = 12
        for _question in range(questions):
            offset = _name(reply, offset)[1] + 4
        records = []
        for _answer in range(answers):
            owner, offset = _name(reply, offset)
            kind, _class, ttl, length = struct.unpack_from("!2HIH", reply, offset)
            offset += 10
            if offset + length > len(reply):
                raise ValueError("the reply is cut off")
            records.append((owner, kind, ttl, offset, length))
            offset += length
    except (struct.error, IndexError, UnicodeDecodeError):
        raise ValueError("the reply is cut off") from None
    return flags & 0x000F, records


def _target(reply: bytes, offset: int) -> str:
    try:
        return _name(reply, offset)[0]
    except (struct.error, IndexError, UnicodeDecodeError):
        raise ValueError("the reply is cut off") from None


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
