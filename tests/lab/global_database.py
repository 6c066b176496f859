# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Global databases of a lab: made around a cluster, and taken apart again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tests.lab.tools import LOGICAL, production_group, wait_until

if TYPE_CHECKING:
    from tests.lab.lab import Lab

SECONDS = 120.0


def spread(lab: Lab, cluster: str, group: str, regions: Iterable[str], readers: int = 1) -> dict[str, str]:
    """Make a cluster the primary of a global cluster with a secondary cluster in each Region; return their names.

    Each secondary has a parameter group of the primary's name and values, and readers.
    """
    rds = lab.client("rds")
    primary = rds.describe_db_clusters(DBClusterIdentifier=cluster)["DBClusters"][0]
    rds.create_global_cluster(GlobalClusterIdentifier=group, SourceDBClusterIdentifier=primary["DBClusterArn"])
    lab.wait_global_available(group)
    made = {region: f"{cluster}-{region}" for region in regions}
    for region, name in made.items():
        there = lab.client("rds", region)
        production_group(
            there, primary["DBClusterParameterGroup"], primary["Engine"], primary["EngineVersion"], LOGICAL
        )
        there.create_db_cluster(
            DBClusterIdentifier=name,
            Engine=primary["Engine"],
            EngineVersion=primary["EngineVersion"],
            GlobalClusterIdentifier=group,
            DBClusterParameterGroupName=primary["DBClusterParameterGroup"],
            Tags=primary["TagList"],
        )
        for number in range(1, readers + 1):
            there.create_db_instance(
                DBInstanceIdentifier=f"{name}-{number}",
                DBClusterIdentifier=name,
                Engine=primary["Engine"],
                DBInstanceClass="db.r6g.large",
            )
    for region, name in made.items():
        lab.wait_available(name, region)
    return made


def leave(lab: Lab, cluster: str, region: str) -> None:
    """Take a cluster out of its global cluster, if it is in one.

    The primary takes its secondaries with it: they are deleted first. The global cluster goes with its last member.
    """
    rds = lab.client("rds", region)
    found = rds.describe_db_clusters(DBClusterIdentifier=cluster)["DBClusters"][0]
    group = found.get("GlobalClusterIdentifier")
    if group is None:
        return
    for arn in found["ReadReplicaIdentifiers"]:
        lab.delete(arn.rsplit(":", 1)[-1], arn.split(":")[3])
    lab.wait_global_available(group, region)
    rds.remove_from_global_cluster(GlobalClusterIdentifier=group, DbClusterIdentifier=found["DBClusterArn"])

    def out() -> bool:
        now = rds.describe_db_clusters(DBClusterIdentifier=cluster)["DBClusters"][0]
        return "GlobalClusterIdentifier" not in now and now["Status"] != "promoting"

    wait_until(out, SECONDS, f"{cluster} to leave the global cluster {group}")
    if "ReplicationSourceIdentifier" not in found:
        delete(lab, group, region)


def delete(lab: Lab, group: str, region: str) -> None:
    """Delete an empty global cluster, whatever protects it, and wait until it is gone."""
    rds = lab.client("rds", region)
    lab.wait_global_available(group, region)
    rds.modify_global_cluster(GlobalClusterIdentifier=group, DeletionProtection=False)
    rds.delete_global_cluster(GlobalClusterIdentifier=group)

    def gone() -> bool:
        clusters: list[dict[str, Any]] = rds.describe_global_clusters()["GlobalClusters"]
        return group not in [found["GlobalClusterIdentifier"] for found in clusters]

    wait_until(gone, SECONDS, f"the global cluster {group} to be deleted")
