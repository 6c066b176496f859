# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Why an attempt of a client failed, in the few words that a person at 3 a.m. tells apart. Pure."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from typing import Literal

Kind = Literal["refused", "read_only", "timeout", "login", "denied", "dns", "tls", "server_closed", "other"]

# What drivers and libpq say when the server has not said anything, in the order in which they are looked for.
_PHRASES: tuple[tuple[str, Kind], ...] = (
    ("could not translate host name", "dns"),
    ("name or service not known", "dns"),
    ("temporary failure in name resolution", "dns"),
    ("no address associated with hostname", "dns"),
    ("certificate", "tls"),
    ("ssl error", "tls"),
    ("does not support ssl", "tls"),
    ("timed out", "timeout"),
    ("timeout expired", "timeout"),
    ("connection refused", "refused"),
    ("network is unreachable", "refused"),
    ("no route to host", "refused"),
    ("closed the connection", "server_closed"),
    ("connection has been closed", "server_closed"),
    ("connection reset", "server_closed"),
    ("broken pipe", "server_closed"),
    ("ssl syscall error", "server_closed"),
    ("connection already closed", "server_closed"),
)


@dataclass(frozen=True)
class Failure:
    """One failure: its kind, the server's code (empty when it has given none) and its words."""

    kind: Kind
    code: str
    message: str


class AttemptFailed(Exception):
    """An attempt failed; nothing is known about what it was to do."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def of_system(error: BaseException) -> Kind | None:
    """The kind of what the system or the TLS library raised, None when it was neither."""
    if isinstance(error, socket.gaierror):
        return "dns"
    if isinstance(error, ssl.SSLEOFError):
        return "server_closed"
    if isinstance(error, ssl.SSLError):
        return "tls"
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, (ConnectionResetError, ConnectionAbortedError, BrokenPipeError, EOFError)):
        return "server_closed"
    return "refused" if isinstance(error, OSError) else None


def of_words(text: str) -> Kind | None:
    """The kind that a driver's words tell, None when they tell none."""
    lower = text.lower()
    return next((kind for phrase, kind in _PHRASES if phrase in lower), None)
