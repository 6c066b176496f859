# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which endpoint address leads to which servers now, for an engine of the lab."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass
class _Address:
    """An endpoint address and the instances that claim it, the latest last."""

    port: int
    claims: list[str] = field(default_factory=list)


class Routes:
    """The addresses that instances claim; of each change the engine's endpoint process is told."""

    def __init__(self, lock: threading.RLock, lead: Callable[[str, int, Sequence[str]], None]) -> None:
        """Begin without any; `lead(address, port, claims)` is called under `lock`, the engine's own."""
        self._lock = lock
        self._lead = lead
        self._addresses: dict[str, _Address] = {}

    def claim(self, instance_id: str, port: int, addresses: Sequence[str]) -> None:
        """Let addresses lead to an instance."""
        with self._lock:
            for address in addresses:
                self._addresses.setdefault(address, _Address(port)).claims.append(instance_id)
        self.tell(addresses)

    def release(self, instance_id: str, addresses: Sequence[str]) -> None:
        """Let addresses lead to an instance no longer."""
        with self._lock:
            for address in addresses:
                entry = self._addresses.get(address)
                if entry is not None and instance_id in entry.claims:
                    entry.claims.remove(instance_id)
        self.tell(addresses)

    def tell(self, addresses: Sequence[str]) -> None:
        """Tell the endpoint process where addresses lead."""
        with self._lock:
            for address in addresses:
                if (entry := self._addresses.get(address)) is not None:
                    self._lead(address, entry.port, entry.claims)
