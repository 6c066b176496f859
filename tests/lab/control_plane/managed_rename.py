# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Green takes the names of blue, and blue gets others; what a name leads to changes a little later."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from tests.lab.control_plane import endpoints
from tests.lab.control_plane.global_clusters import global_arn
from tests.lab.control_plane.managed_records import LONGEST, Deployment
from tests.lab.control_plane.managed_views import say, subjects
from tests.lab.control_plane.plane import ControlPlane
from tests.lab.control_plane.records import Cluster, GlobalCluster, Instance, Region


class Renaming:
    """The change of all names of a deployment: `begin` under the plane's lock, then `move`, then `end`."""

    def __init__(self, plane: ControlPlane, region: Region, deployment: Deployment) -> None:
        self._region = region
        self._plane = plane
        self._worlds = deployment.worlds
        self._pairs = [
            (pair.region or region, pair.source, pair.target) for pair in deployment.pairs if pair.target is not None
        ]
        self._told: list[tuple[str, str, str]] = []  # the names of production, green and old blue
        self._green: dict[str, str] = {}  # the names that green had
        self._blue: dict[str, str] = {}  # the names that are green's now, with green's addresses

    def begin(self) -> None:
        """Rename the records; the names of old blue exist at once, the others lead where they led."""
        for region, blue, green in self._pairs:
            self._green |= endpoints.hosts(region, green)
            production, copy = blue.identifier, green.identifier
            old = _old(region, blue)
            _rename(region, blue, old)
            endpoints.publish(region, blue)
            _rename(region, green, production)
            green.tags = dict(blue.tags)
            self._blue |= endpoints.hosts(region, green)
            self._told.append((production, copy, old))

        if self._worlds is not None:
            self._begin_worlds(self._worlds.blue, self._worlds.green)

    def _begin_worlds(self, blue: GlobalCluster, green: GlobalCluster) -> None:
        known, production = self._plane.global_clusters, blue.identifier
        self._green |= {green.host: green.address}
        old = _free(production, known)
        for group, name in ((blue, old), (green, production)):
            known[name] = known.pop(group.identifier)
            group.api |= {"GlobalClusterIdentifier": name, "GlobalClusterArn": global_arn(name)}
        green.tags = dict(blue.tags)
        self._change({blue.host: blue.address})
        self._blue |= {green.host: green.address}

    def move(self) -> None:
        """Let the production names lead to green."""
        self._change(self._blue)

    def end(self) -> None:
        """Let the names that green had not exist any more."""
        self._change(dict.fromkeys(self._green))

    def _change(self, changes: Mapping[str, str | None]) -> None:
        if self._region.names is not None:
            self._region.names.change(changes)

    def tell(self, deployment: Deployment) -> None:
        """Record the events of it."""
        for (word, _pair), (production, copy, old) in zip(subjects(deployment), self._told, strict=False):
            say(
                self._region,
                deployment,
                f"Switchover from {word} {production} to {copy} completed. "
                f"Renamed {production} to {old} and {copy} to {production}.",
            )


def _old(region: Region, record: Cluster | Instance) -> str:
    """Return the first name of an old production that is free."""
    return _free(record.identifier, region.clusters if isinstance(record, Cluster) else region.instances)


def _free(production: str, taken: Collection[str]) -> str:
    number = 1
    while True:
        suffix = f"-old{number}"
        name = production[: LONGEST - len(suffix)] + suffix
        if name not in taken:
            return name
        number += 1


def _rename(region: Region, record: Cluster | Instance, name: str) -> None:
    """Give a record another name, under which the API has it from now on."""
    if isinstance(record, Cluster):
        region.clusters[name] = region.clusters.pop(record.identifier)
        record.api |= {"DBClusterIdentifier": name, "DBClusterArn": region.arn("cluster", name)}
        return
    region.rename(record, name)


def say_of_sequences(region: Region, deployment: Deployment, what: str) -> None:
    """Record an event of the synchronisation of sequences."""
    for word, pair in subjects(deployment)[:1]:
        if pair.target is not None:
            subject = "DB cluster " if word == "DB cluster" else ""
            names = f"{subject}{pair.source.identifier} to {pair.target.identifier}"
            say(region, deployment, f"Sequence sync for switchover of {names} {what}")
