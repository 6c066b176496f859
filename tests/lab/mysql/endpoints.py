# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The endpoint process of the lab's MySQL clusters: every endpoint address, in front of the server it leads to now.

Started as `python -m tests.lab.mysql.endpoints`. The servers speak TLS themselves, with a certificate that is valid for
their endpoints' addresses; this process only passes bytes on, and cuts, stalls or slows links when a fault asks for it.
A replica's connection to its source comes from the address of its own server (the procedures set SOURCE_BIND), a
client's from the machine's own, 127.0.0.1: so the two are told apart, and the server sees who comes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import uvloop

from tests.lab.postgresql.endpoints import BACKLOG, Endpoints, Half, Link, Route, Target, main

ORDINARY = "127.0.0.1"


class MySQLLink(Link):
    """A connection whose server speaks first: it is connected to at once."""

    def __init__(self, endpoints: Endpoints, route: Route) -> None:
        """Make both halves; the client's is given to the listener."""
        super().__init__(endpoints, route, MySQLClient(self))


class MySQLClient(Half):
    """The client's connection: a relay from the beginning."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Look where the address leads now and connect there."""
        super().connection_made(transport)
        assert self.transport is not None
        self.transport.pause_reading()
        peer = transport.get_extra_info("peername")[0]
        self.link.scope = "client" if peer == ORDINARY else "replication"
        self.link.source = None if peer == ORDINARY else peer
        self.link.target = self.link.route.target()
        self.link.endpoints.task(self.link.connect(b""))


class MySQLEndpoints(Endpoints):
    """All addresses of the lab's MySQL clusters."""

    async def listen(self, route: Route) -> asyncio.Server:
        """Serve an address."""
        return await asyncio.get_running_loop().create_server(
            lambda: MySQLLink(self, route).client, route.address, route.port, backlog=BACKLOG, reuse_address=True
        )

    def orders(self) -> dict[str, Callable[..., Any]]:
        """Return the orders by name; each takes the other keys of its JSON object."""
        return {**super().orders(), "route": self.pass_on}

    async def pass_on(self, address: str, port: int, targets: list[dict[str, Any]]) -> None:
        """Make an address lead to these servers; without any, nothing listens there."""
        chosen = self.routes.setdefault(address, Route(address, port, None))
        await self.lead(chosen, [Target(**target) for target in targets])


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(main(MySQLEndpoints()))
