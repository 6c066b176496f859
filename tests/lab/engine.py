# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The seam between the lab's control plane and a database engine.

The control plane knows the API, the states and the clock; an engine knows volumes and servers. All calls of
`DatabaseEngine` block until they are done; the control plane calls them from worker threads of its own, calls that
concern one volume never at the same time, calls for different volumes at any time.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

# Whether servers wait for the disk at every commit; the benchmark asks for it.
DURABLE = "BLUEGREEN_LAB_DURABLE" in os.environ


@dataclass(frozen=True)
class EngineVersion:
    """One engine version that clusters can be created with, and the versions it can be upgraded to."""

    engine: str  # the service's name, such as aurora-postgresql
    version: str  # 16.14
    family: str  # parameter group family, aurora-postgresql16
    major: int
    targets: tuple[str, ...]  # ValidUpgradeTarget


@dataclass(frozen=True)
class Parameter:
    """One parameter of a family with the family's default, in the shape of the service."""

    name: str
    value: str | None
    apply_type: str  # static | dynamic
    data_type: str
    allowed: str | None
    modifiable: bool
    description: str


@dataclass(frozen=True)
class InstanceSpec:
    """What a server of one DB instance must look like when it runs."""

    instance_id: str
    volume_id: str
    role: Literal["writer", "reader"]
    # Loopback addresses that must lead to this server: the instance endpoint first, then the cluster endpoints it serves.
    addresses: tuple[str, ...]
    port: int
    # The effective parameters under the service's names (rds.logical_replication=1), applied at start.
    parameters: Mapping[str, str]


class EngineError(Exception):
    """An engine could not do what was asked; the text is fit for an event or a typed fault."""


class DatabaseEngine(Protocol):
    """Volumes and servers of one database engine."""

    def versions(self) -> Sequence[EngineVersion]:
        """Return every version that is offered."""

    def default_parameters(self, family: str) -> Mapping[str, Parameter]:
        """Return the parameters of a family by name."""

    def create_volume(
        self, volume_id: str, version: str, master_username: str, master_password: str, database: str | None
    ) -> None:
        """Make an empty cluster volume with its master user and, when named, its first database."""

    def clone_volume(self, source_id: str, target_id: str) -> None:
        """Make a crash-consistent copy of a volume, running or stopped, slots and all."""

    def follow_volume(self, source_id: str, target_id: str) -> None:
        """Make a volume that is a copy of another and follows it until `promote_volume`, as the one of a secondary.

        The source's writer runs. A target that exists, with its servers stopped, loses what it has and follows.
        """

    def promote_volume(self, volume_id: str, complete: bool) -> None:
        """Let a volume that follows, whose readers are stopped, follow no longer; it can have a writer then.

        With `complete`, raises EngineError unless it has everything of its source, whose servers are stopped.
        """

    def start(self, spec: InstanceSpec) -> Sequence[str]:
        """Start a server; it accepts connections on all its addresses when this returns.

        A reader is a physical standby of the volume's writer, which runs already, or of a volume that follows. Returns
        the messages that the service publishes as events of the DB instance, as it does after a crash recovery.
        """

    def set_addresses(self, instance_id: str, addresses: Sequence[str]) -> None:
        """Let other addresses lead to a running server; of those that stay nobody notices anything."""

    def stop(self, instance_id: str, immediate: bool = False) -> None:
        """Stop a server; `immediate` is a crash. A server that does not run is fine."""

    def apply_dynamic(self, instance_id: str, parameters: Mapping[str, str]) -> None:
        """Give a running server the effective parameters, so that changed dynamic ones apply without a restart."""

    def upgrade_volume(self, volume_id: str, version: str) -> None:
        """Upgrade a volume whose servers are all stopped.

        Raises EngineError and leaves the volume as it was when a precheck or the upgrade fails.
        """

    def set_master_password(self, volume_id: str, password: str) -> None:
        """Change the master user's password."""

    def delete_volume(self, volume_id: str) -> None:
        """Remove a volume; its servers are stopped already."""

    def close(self) -> None:
        """End every process by pid and remove every file."""
