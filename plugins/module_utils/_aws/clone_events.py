# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What the service says about a MySQL clone: its position, and what decides whether that can be believed."""

from __future__ import annotations

from dataclasses import dataclass

from .._core.errors import BlueGreenError
from .api import Api
from .events import clone_position

_ENHANCED = "aurora_enhanced_binlog"


@dataclass(frozen=True)
class Told:
    """``position`` as ``FILE POS``, None when there is no event of it; ``enhanced_binlog`` as the parameter group has it."""

    position: str | None
    engine_version: str
    enhanced_binlog: bool


def reported_position(rds: Api, db_cluster_identifier: str) -> Told:
    """What the events of a cluster's instances tell; raises :class:`BlueGreenError` when there is no such cluster."""
    found = rds.find("describe_db_clusters", ["DBClusterNotFoundFault"], DBClusterIdentifier=db_cluster_identifier)
    clusters = found["DBClusters"] if found else []
    if not clusters or not clusters[0]["DBClusterMembers"]:
        raise BlueGreenError(
            f"Green's position should be in the events of DB cluster {db_cluster_identifier}, but there is no such cluster, or it has "
            "no instance: correct db_cluster_identifier, or give the option position."
        )
    cluster = clusters[0]
    told = clone_position(rds, cluster["DBClusterMembers"][0]["DBInstanceIdentifier"])
    values = {
        parameter["ParameterName"]: parameter.get("ParameterValue")
        for parameter in rds.pages(
            "describe_db_cluster_parameters",
            "Parameters",
            DBClusterParameterGroupName=cluster["DBClusterParameterGroup"],
            Source="user",
        )
    }
    return Told(told[0] if told else None, cluster["EngineVersion"], values.get(_ENHANCED) == "1")
