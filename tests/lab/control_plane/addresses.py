# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loopback addresses: a lab owns one 127.A.B.0/24 and every endpoint gets an address of its own."""

from __future__ import annotations

import random
import socket

CLAIM_PORT = 1433  # nobody's server in the lab; who listens here on .254 owns the network


class Addresses:
    """One network of loopback addresses and the engines' default ports in it; `close` gives the network back."""

    def __init__(self) -> None:
        self._claim, self.network = _claim_network()
        self._ports: dict[int, int] = {}
        self._free = list(range(10, 250))

    def port(self, usual: int) -> int:
        """Return an engine's default port: the usual one, or another where somebody has that on every address."""
        if usual not in self._ports:
            self._ports[usual] = _default_port(self.network, usual)
        return self._ports[usual]

    def take(self) -> str:
        """Return an address that no endpoint has."""
        return f"{self.network}.{self._free.pop(0)}"

    def give_back(self, address: str) -> None:
        """Return an address; it is reused last, so that a stale client does not meet a new server at once."""
        self._free.append(int(address.rsplit(".", 1)[1]))

    def close(self) -> None:
        """Let other labs have the network."""
        self._claim.close()


def _claim_network() -> tuple[socket.socket, str]:
    for _attempt in range(200):
        network = f"127.{random.randint(20, 250)}.{random.randint(0, 255)}"
        claim = socket.socket()
        try:
            claim.bind((f"{network}.254", CLAIM_PORT))
            claim.listen(1)
            return claim, network
        except OSError:
            claim.close()
    raise OSError("no free loopback network 127.A.B.0/24 was found")


def _default_port(network: str, usual: int) -> int:
    for port in (usual, 0):
        with socket.socket() as probe:
            try:
                probe.bind((f"{network}.253", port))
                return int(probe.getsockname()[1])
            except OSError:
                continue
    raise OSError(f"no port can be bound on {network}.253")
