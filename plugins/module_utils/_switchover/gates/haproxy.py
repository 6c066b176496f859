# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""HAProxy as a gate: one backend with a server for blue and one for green, switched by the runtime API.

Held, the server that serves accepts no further session: its ``maxconn`` is 1, and the one session is ours. Whoever
connects waits in the backend's queue, at most for HAProxy's ``timeout queue``, and is let through to the other server as
soon as that is ready. HAProxy cannot tell statements apart, so sessions that are open are left to the fence; what is
left of them afterwards is shut down.

An engine whose server cannot refuse writes has no other fence than the gate. Then it *cuts*: held, every open session is
shut down as well, and before the other side opens no server is in use (``seal``), which outlasts our own session and this
process. Whoever connects in the moment between the seal and the switch is turned away instead of waiting.

The limit of the frontend (``set maxconn frontend F 0``) would hold clients too, but versions without the fix of
https://github.com/haproxy/haproxy/issues/2726 (2.6.12 of Debian 12 among them) lock up when it is raised again while
clients wait. The address of a single server (``set server B/S addr``) is not used because it takes numbers only: the
name of an endpoint, whose address changes in a failover, would be lost.

Source: https://docs.haproxy.org/2.6/management.html, 9.3 (Unix Socket commands) and 9.1 (CSV format).
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass

from ..._core.checks import Check, failed, ok
from ..._core.errors import BlueGreenError, words
from ..._core.waiting import Deadline, wait_until
from . import Position, Target
from .haproxy_state import ONE, Snapshot, snapshot

_TIMEOUT = 5.0  # s, for one command
_STAND_IN = 2.0  # s, for our session to reach the server
_QUEUE = 1.0  # s, to let the waiting clients through
_CUT = 1.0  # s, for sessions that were shut down to be gone
_BATCH = 50  # sessions that are shut down by one line of commands
_SESSION = re.compile(r"^(0x[0-9a-f]+): .*?\bsrc=\S*?:(\d+) .*?\bbe=(\S+) srv=(\S+) ", re.MULTILINE)


@dataclass(frozen=True)
class HAProxyPlace:
    """The runtime API's socket (a path, or host:port), where clients connect, and the backend behind it."""

    api: str
    frontend: Target
    backend: str
    servers: Mapping[str, str]  # side -> name of the server


class HAProxyGate:
    """One HAProxy."""

    holds = True

    def __init__(self, place: HAProxyPlace, sides: Mapping[str, Target], *, cuts: bool = False) -> None:
        self.name = f"HAProxy at {place.api}"
        self._place, self._sides = place, dict(sides)
        self.cuts = cuts
        self._stand_in: socket.socket | None = None

    def facts(self) -> Position:
        """``held`` when nobody new gets through, ``elsewhere`` when both servers are in use."""
        return position(self._look(), self._place.servers)

    def address(self, side: str) -> str:
        """The address that the server for a side has now."""
        return self._look().servers[self._place.servers[side]].address

    def guardrails(self, source: str, target: str) -> list[Check]:
        """Rights, servers, limits, and whether a session through the frontend arrives at the server that serves."""
        level = self._ask("show cli level").strip()
        seen = self._look()
        checks = [
            ok("gate_haproxy_level", f"the runtime API of {self.name} lets us in as admin")
            if level == "admin"
            else failed(
                "gate_haproxy_level",
                f"the runtime API of {self.name} should let us in as admin, but does as {level or 'nobody'}",
                "add `level admin` to its `stats socket` line",
            ),
            *server_checks(self.name, seen, self._place.servers, self._sides),
        ]
        if position(seen, self._place.servers) == source:
            checks.append(self._reach(source))
        return checks

    def hold(self, deadline: Deadline) -> None:
        """New clients wait from here on; sessions that are open are the fence's business, or cut by a gate that cuts."""
        side = self._pointed(self._look())
        self._take_the_slot(side, min(_STAND_IN, deadline.left))
        self._command(f"set maxconn server {self._server(side)} {ONE}")
        if self._look().servers[self._place.servers[side]].limit != ONE:
            raise BlueGreenError(f"{self.name} should have taken over maxconn {ONE} for {side}, but has not.")
        if self.cuts:
            self._cut(side, deadline)

    def seal(self) -> None:
        """Nobody gets through from here on, whatever becomes of this process; clients that wait in the queue go on waiting."""
        used = [side for side, name in self._place.servers.items() if self._look().servers[name].in_use]
        for side in used:
            self._command(
                f"set server {self._server(side)} state maint", f"shutdown sessions server {self._server(side)}"
            )
        self._give_the_slot()
        for side in self._place.servers:
            self._cut(side, Deadline(_CUT))
        if position(self._look(), self._place.servers) != "held":
            raise BlueGreenError(
                f"{self.name} should let nobody through, but does: its servers were changed meanwhile."
            )

    def retarget(self, side: str) -> None:
        """The other server is ready first, so that nobody who comes between the two commands is turned away."""
        other = _other(side)
        before = self._look()
        if position(before, self._place.servers) != side:
            self._command(
                f"set server {self._server(side)} state ready",
                f"set server {self._server(other)} state maint",
                f"set maxconn server {self._server(other)} {self._limit(before)}",
                f"shutdown sessions server {self._server(other)}",
            )
        after = self._look()
        if not after.servers[self._place.servers[side]].in_use or position(after, self._place.servers) == "elsewhere":
            raise BlueGreenError(f"{self.name} should lead to {side} alone after the switch, but does not.")
        if position(after, self._place.servers) == side:
            self._give_the_slot()
            self._empty_queue(side)

    def release(self) -> None:
        """Let the clients through to the server that is in use; one command alone would let through 200 of them."""
        seen = self._look()
        if position(seen, self._place.servers) == "held" and any(server.in_use for server in seen.servers.values()):
            side = self._pointed(seen)
            self._command(
                f"set server {self._server(side)} state maint",
                f"set maxconn server {self._server(side)} {self._limit(seen)}",
                f"set server {self._server(side)} state ready",
            )
            self._empty_queue(side)
        self._give_the_slot()

    def settle(self, deadline: Deadline) -> str:
        """Nothing goes on by itself."""
        return ""

    def close(self) -> None:
        """End our session, if there still is one."""
        self._give_the_slot()

    # -- the sessions

    def _cut(self, side: str, deadline: Deadline) -> None:
        """Shut down every session on the server but ours; each that is not gone at once is shut down again."""
        mine = self._stand_in.getsockname()[1] if self._stand_in is not None else None
        while others := self._sessions(side, mine):
            if deadline.passed:
                raise BlueGreenError(
                    f"{self.name} should have shut down every session to {side}, but {len(others)} are left."
                )
            for start in range(0, len(others), _BATCH):
                self._ask("; ".join(f"shutdown session {one}" for one in others[start : start + _BATCH]))
            time.sleep(0.001)

    def _sessions(self, side: str, mine: int | None) -> list[str]:
        """The pointers of the sessions on the server, except that of our own source port."""
        place = self._place
        found = _SESSION.findall(self._ask("show sess"))
        return [
            pointer
            for pointer, port, backend, server in found
            if (backend, server) == (place.backend, place.servers[side]) and port != str(mine)
        ]

    # -- the slot

    def _reach(self, side: str) -> Check:
        try:
            self._take_the_slot(side, _STAND_IN)
        except BlueGreenError as error:
            return failed(
                "gate_haproxy_frontend", error.message.rstrip("."), "correct the gate's options host and port"
            )
        finally:
            self._give_the_slot()
        return ok("gate_haproxy_frontend", f"a session through {self.name} arrives at {side}")

    def _take_the_slot(self, side: str, seconds: float) -> None:
        """Have a session of our own on the server; it says nothing, and the server's login timeout is its end."""
        self._give_the_slot()
        place = self._place.frontend
        try:
            self._stand_in = socket.create_connection((place.host, place.port), timeout=max(seconds, 0.1))
            port = self._stand_in.getsockname()[1]
            session = re.compile(
                rf"src=\S+:{port} .*\bbe={re.escape(self._place.backend)} srv={re.escape(self._place.servers[side])} "
            )
            wait_until(
                lambda: bool(session.search(self._ask("show sess"))),
                bool,
                timeout=seconds,
                delay=0.002,
                wanted=f"a session through {place.host}:{place.port} to reach the server for {side} (a frontend that wants "
                "TLS or the PROXY protocol from its clients cannot be held)",
                seen=lambda found: "it there" if found else "no such session",
            )
        except OSError as error:
            raise BlueGreenError(
                f"The frontend of {self.name} should answer at {place.host}:{place.port}, but: {words(error)}."
            ) from None
        except BlueGreenError:
            self._give_the_slot()
            raise

    def _give_the_slot(self) -> None:
        if self._stand_in is not None:
            self._stand_in.close()
            self._stand_in = None

    def _empty_queue(self, side: str) -> None:
        """Let through everyone who waits; a server with a limit of its own goes on by itself as it gets room."""
        deadline = Deadline(_QUEUE)
        while not deadline.passed:
            seen = self._look()
            server = seen.servers[self._place.servers[side]]
            if not seen.queue or (server.limit and server.sessions >= server.limit):
                return
            time.sleep(0.005)
            self._command(f"set maxconn server {self._server(side)} {server.limit}")

    # -- the runtime API

    def _pointed(self, seen: Snapshot) -> str:
        used = [side for side, name in self._place.servers.items() if seen.servers[name].in_use]
        if len(used) != 1:
            raise BlueGreenError(f"{self.name} should have one server in use, but has {', '.join(used) or 'none'}.")
        return used[0]

    def _limit(self, seen: Snapshot) -> int:
        """The maxconn that both servers have when nothing is held; 0 is none."""
        limits = [seen.servers[name].limit for name in self._place.servers.values()]
        return next((limit for limit in limits if limit != ONE), 0)

    def _server(self, side: str) -> str:
        return f"{self._place.backend}/{self._place.servers[side]}"

    def _look(self) -> Snapshot:
        return snapshot(
            self.name,
            self._place.backend,
            list(self._place.servers.values()),
            self._ask(f"show servers state {self._place.backend}"),
            self._ask("show stat -1 6 -1"),  # backends and servers
        )

    def _command(self, *commands: str) -> None:
        """Commands that answer nothing when they succeed."""
        said = self._ask("; ".join(commands)).strip()
        if said:
            raise BlueGreenError(f"{self.name} refused {'; '.join(commands)}: {' '.join(said.split())}.")

    def _ask(self, command: str) -> str:
        """One connection for each command, as HAProxy wants it outside its interactive mode."""
        try:
            with self._connect() as link:
                link.sendall(command.encode() + b"\n")
                parts = []
                while part := link.recv(65536):
                    parts.append(part)
        except OSError as error:
            raise BlueGreenError(
                f"The runtime API of {self.name} should answer `{command}`, but: {words(error)}; check the gate's option "
                "socket and HAProxy's `stats socket` line."
            ) from None
        return b"".join(parts).decode(errors="replace")

    def _connect(self) -> socket.socket:
        api = self._place.api
        if api.startswith("/"):
            link = socket.socket(socket.AF_UNIX)
            link.settimeout(_TIMEOUT)
            link.connect(api)
            return link
        host, _colon, port = api.rpartition(":")
        return socket.create_connection((host.strip("[]"), int(port)), timeout=_TIMEOUT)


def position(seen: Snapshot, servers: Mapping[str, str]) -> Position:
    """Where a backend with these servers (side -> name) leads new clients; ``elsewhere`` when to both."""
    used = [side for side, name in servers.items() if seen.servers[name].in_use]
    held = [side for side in used if seen.servers[servers[side]].limit == ONE]
    if len(held) == 1 or not used:  # with the other one in use too, a change was cut off between its commands
        return "held"
    if len(used) > 1:
        return "elsewhere"
    return "blue" if used[0] == "blue" else "green"


def server_checks(gate: str, seen: Snapshot, servers: Mapping[str, str], sides: Mapping[str, Target]) -> list[Check]:
    """What has to be true of the backend before it is switched."""
    checks = [_address_check(gate, seen, side, name, sides[side]) for side, name in servers.items()]
    limits = {name: seen.servers[name].limit for name in servers.values()}
    if len(set(limits.values())) > 1 or ONE in limits.values():
        found = ", ".join(f"{name} {limit or 'none'}" for name, limit in limits.items())
        checks.append(
            failed(
                "gate_haproxy_maxconn",
                f"both servers of {gate} should have the same maxconn, other than 1, because it is taken to hold and given "
                f"back from the other server, but have {found}",
                "give both server lines the same maxconn, or none",
            )
        )
    if seen.others:
        checks.append(
            failed(
                "gate_haproxy_servers",
                f"the backend of {gate} should lead to blue and green only, but {', '.join(seen.others)} is in use too",
                "take it out of the backend",
            )
        )
    return checks


def _address_check(gate: str, seen: Snapshot, side: str, name: str, target: Target) -> Check:
    server = seen.servers[name]
    same_port = server.port == target.port
    if server.fqdn:
        same_host = server.fqdn.rstrip(".").lower() == target.host.rstrip(".").lower()
    else:
        same_host = server.address in _addresses(target.host)
    found = f"{server.fqdn or server.address}:{server.port}"
    if same_host and same_port:
        return ok(f"gate_haproxy_{side}", f"the server {name} of {gate} leads to {side} at {found}")
    return failed(
        f"gate_haproxy_{side}",
        f"the server {name} of {gate} should lead to {side} at {target.host}:{target.port}, but leads to {found}",
        f"correct the server line, or the gate's options {side}_server, {side}_host and {side}_port",
    )


def _addresses(host: str) -> set[str]:
    try:
        return {str(info[4][0]) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except OSError:
        return set()


def _other(side: str) -> str:
    return {"blue": "green", "green": "blue"}[side]
