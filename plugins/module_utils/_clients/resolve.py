# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Where a name leads now: by a DNS server that is asked, or by the resolver of the host that runs the module."""

from __future__ import annotations

import socket

from .._core.dns import Addresses, query_addresses
from .._core.errors import BlueGreenError, words


def resolve(host: str, dns_server: str | None) -> Addresses:
    """The addresses of a name, none when there is no such name; the TTL is known from a DNS server only.

    Raises :class:`BlueGreenError` when nobody answers.
    """
    if dns_server and not _is_address(host):
        return query_addresses(dns_server, host)
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)):
            return Addresses((), None)
        raise BlueGreenError(
            f"The name {host} should lead to an address, but the resolver of this host says: {words(error)}; look at its DNS."
        ) from None
    except (OSError, UnicodeError) as error:
        raise BlueGreenError(f"{host} should be the name of a host, but: {words(error)}; correct it.") from None
    return Addresses(tuple(sorted({str(entry[4][0]) for entry in found})), None)


def addresses(host: str, dns_server: str | None = None) -> list[str]:
    """The addresses of a name, an empty list when there is no such name."""
    return list(resolve(host, dns_server).addresses)


def ttl(host: str, dns_server: str) -> int | None:
    """The TTL (s) that a DNS server tells for a name, None for a name that it does not know or that is an address."""
    return resolve(host, dns_server).ttl


def _is_address(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except OSError:
            continue
        return True
    return False
