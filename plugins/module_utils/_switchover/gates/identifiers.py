# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The DB cluster identifiers of blue and green, for gates that name clusters and not addresses."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..._aws.api import Api
from ..._core.errors import BlueGreenError
from . import Target


class Identifiers:
    """Given, or looked up by the endpoint that a side answers at; looked up once, before the window."""

    def __init__(self, rds: Callable[[], Api], given: Mapping[str, str | None], sides: Mapping[str, Target]) -> None:
        self._rds, self._sides = rds, dict(sides)
        self._found = {side: identifier for side, identifier in given.items() if identifier}

    def of(self, side: str) -> str:
        """The identifier of one side's cluster; raises :class:`BlueGreenError` when no cluster has its endpoint."""
        if side not in self._found:
            host = self._sides[side].host.lower()
            clusters = self._rds().pages("describe_db_clusters", "DBClusters")
            found = [
                str(cluster["DBClusterIdentifier"])
                for cluster in clusters
                if host in (str(cluster.get("Endpoint")).lower(), str(cluster.get("ReaderEndpoint")).lower())
            ]
            if not found:
                raise BlueGreenError(
                    f"A DB cluster with the endpoint {self._sides[side].host} should exist in the Region of {side}, but does "
                    f"not: give the gate's option {side}_db_cluster_identifier."
                )
            self._found[side] = found[0]
        return self._found[side]
