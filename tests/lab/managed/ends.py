# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every link knows: the two clusters, their endpoints and their members, from the control plane's records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tests.lab.control_plane.plane import ControlPlane
from tests.lab.control_plane.records import Cluster, Region
from tests.lab.managed import metadata
from tests.lab.managed.link import SideName, TopologyRow

SOURCE = "BLUE_GREEN_DEPLOYMENT_SOURCE"
SIDES: tuple[SideName, SideName] = ("blue", "green")


@dataclass(frozen=True)
class Ends:
    """Blue and green of one deployment."""

    plane: ControlPlane
    region: Region
    source: Cluster
    target: Cluster

    def volume(self, side: SideName) -> str:
        """Return the id of a side's volume."""
        return self.source.volume_id if side == "blue" else self.target.volume_id

    @property
    def standalone(self) -> bool:
        """Whether blue and green are DB instances without a cluster."""
        return bool(getattr(self.source, "standalone", False))

    def volumes(self) -> list[str]:
        """Return the volumes of both sides, each with those of the read replicas of its DB instance."""
        return [cluster.volume_id for side in (self.source, self.target) for cluster in (side, *self._replicas(side))]

    def _replicas(self, cluster: Cluster) -> list[Cluster]:
        with self.plane.lock:
            return [one.cluster for member in self.region.members(cluster) for one in self.region.replicas(member)]

    def address(self) -> tuple[str, int]:
        """Return where green finds blue: an endpoint's address, which stays with its servers."""
        with self.plane.lock:
            writer = next(member for member in self.region.members(self.source) if member.writer)
            return writer.address if self.standalone else self.source.address, int(self.source.api["Port"])

    def resource(self, side: SideName) -> str:
        """Return DbiResourceId of a side's writer."""
        cluster = self.source if side == "blue" else self.target
        with self.plane.lock:
            return next(member.server_id for member in self.region.members(cluster) if member.writer)

    def identify(self) -> None:
        """Let the servers of both sides know their names as they are now."""
        for side in (self.source, self.target):
            for cluster in (side, *self._replicas(side)):
                metadata.identify(self.plane, self.region, cluster)


def numbered(rows: Sequence[TopologyRow], blue: str, green: str) -> list[TopologyRow]:
    """Return rows with the ids that the servers know themselves by."""
    return [replace(row, id=blue if row.role == SOURCE else green) for row in rows]
