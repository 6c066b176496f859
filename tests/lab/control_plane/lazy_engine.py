# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An engine that is made when it is first used: a lab in which nobody asks for it fetches and starts nothing for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.lab.engine import DatabaseEngine, EngineError, EngineVersion, InstanceSpec, Parameter


class LazyEngine:
    """`tests.lab.engine.DatabaseEngine` in front of one that does not exist before its first volume does.

    Versions and parameters are known without it. What keeps it from being made is the EngineError of that first
    volume, each time it is asked for: a server that was installed meanwhile is found.
    """

    def __init__(
        self,
        versions: Sequence[EngineVersion],
        default_parameters: Callable[[str], Mapping[str, Parameter]],
        make: Callable[[], DatabaseEngine],
    ) -> None:
        self._versions = tuple(versions)
        self._default_parameters = default_parameters
        self._make = make
        self._lock = threading.Lock()
        self._made: DatabaseEngine | None = None
        self._closed = False

    @property
    def made(self) -> DatabaseEngine | None:
        """The engine, None as long as nobody needed it."""
        return self._made

    def engine(self) -> DatabaseEngine:
        """Return the engine, made when it is not there yet; raises EngineError when it cannot be."""
        with self._lock:
            if self._closed:
                raise EngineError("the lab is closing")
            if self._made is None:
                self._made = self._make()
            return self._made

    def versions(self) -> Sequence[EngineVersion]:
        """Return every version that is offered."""
        return self._versions

    def default_parameters(self, family: str) -> Mapping[str, Parameter]:
        """Return the parameters of a family by name."""
        return self._default_parameters(family)

    def create_volume(
        self, volume_id: str, version: str, master_username: str, master_password: str, database: str | None
    ) -> None:
        """Make the engine if need be, then an empty volume."""
        self.engine().create_volume(volume_id, version, master_username, master_password, database)

    def clone_volume(self, source_id: str, target_id: str) -> None:
        """Make a crash-consistent copy of a volume."""
        self.engine().clone_volume(source_id, target_id)

    def follow_volume(self, source_id: str, target_id: str) -> None:
        """Make a volume that follows another."""
        self.engine().follow_volume(source_id, target_id)

    def promote_volume(self, volume_id: str, complete: bool) -> None:
        """Let a volume follow no longer."""
        self.engine().promote_volume(volume_id, complete)

    def start(self, spec: InstanceSpec) -> Sequence[str]:
        """Start a server."""
        return self.engine().start(spec)

    def set_addresses(self, instance_id: str, addresses: Sequence[str]) -> None:
        """Let other addresses lead to a running server."""
        self.engine().set_addresses(instance_id, addresses)

    def stop(self, instance_id: str, immediate: bool = False) -> None:
        """Stop a server; there is none when there is no engine."""
        if self._made is not None:
            self._made.stop(instance_id, immediate)

    def apply_dynamic(self, instance_id: str, parameters: Mapping[str, str]) -> None:
        """Give a running server the effective parameters."""
        self.engine().apply_dynamic(instance_id, parameters)

    def upgrade_volume(self, volume_id: str, version: str) -> None:
        """Upgrade a volume whose servers are all stopped."""
        self.engine().upgrade_volume(volume_id, version)

    def set_master_password(self, volume_id: str, password: str) -> None:
        """Change the master user's password."""
        self.engine().set_master_password(volume_id, password)

    def delete_volume(self, volume_id: str) -> None:
        """Remove a volume; there is none when there is no engine."""
        if self._made is not None:
            self._made.delete_volume(volume_id)

    def fault_link(self, address: str, mode: Any, scope: Any = "all", delay: float = 0.0) -> None:
        """Break or heal the connections to an address; raises EngineError when no server of the engine has it."""
        fault = getattr(self._made, "fault_link", None)
        if fault is None:
            raise EngineError(f"no server answers at {address}")
        fault(address, mode, scope, delay)

    def falsify_position(self, volume_id: str, offset: int) -> None:
        """Let the next start of a volume's writer report a wrong position; raises EngineError when none reports any."""
        fault = getattr(self.engine(), "falsify_position", None)
        if fault is None:
            raise EngineError("no position is reported")
        fault(volume_id, offset)

    def fault(self, instance_id: str, **knobs: Any) -> None:
        """Turn knobs of a server."""
        self._turn("fault", instance_id, **knobs)

    def expire(self, volume_id: str, graph: Any, commit: int) -> None:
        """Let the events of a stream up to this commit be too old."""
        self._turn("expire", volume_id, graph, commit)

    def lose(self, volume_id: str, graph: Any, commit: int) -> None:
        """Leave a commit out of what a stream shows."""
        self._turn("lose", volume_id, graph, commit)

    def set_loads(self, volume_id: str, loads: Mapping[str, str]) -> None:
        """Let the loader know these bulk loads."""
        self._turn("set_loads", volume_id, loads)

    def clear_faults(self) -> None:
        """Take back what is broken, when the engine is there and can."""
        clear = getattr(self._made, "clear_faults", None)
        if clear is not None:
            clear()

    def _turn(self, name: str, *arguments: Any, **knobs: Any) -> None:
        fault = getattr(self.engine(), name, None)
        if fault is None:
            raise EngineError(f"servers of this engine know no fault {name}")
        fault(*arguments, **knobs)

    def close(self) -> None:
        """End what was made; nothing is made any more."""
        with self._lock:
            self._closed = True
            if self._made is not None:
                self._made.close()
