# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.


"""What ``--diff`` shows of green's global database, before and after. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .clusters import Cluster
from .diffs import Diff
from .global_building import Outcome
from .global_clusters import GlobalCluster
from .global_places import Request


def shape(found: GlobalCluster | None, secondaries: Mapping[str, Cluster]) -> Diff:
    """The global cluster and its secondaries as the diff shows them, nothing when there is neither."""
    if found is None and not secondaries:
        return {}
    return {
        "global_cluster_identifier": found.identifier if found else None,
        "primary": found.primary.identifier if found and found.primary else None,
        "secondaries": {
            region: {
                "db_cluster_identifier": cluster.identifier,
                "engine_version": cluster.version,
                "instances": {i.identifier: i.description.get("DBInstanceClass") for i in cluster.instances},
            }
            for region, cluster in secondaries.items()
        },
    }


def planned(before: Diff, request: Request, outcome: Outcome) -> Diff:
    """What a run ends with that makes what is missing."""
    if outcome.before is None and not outcome.wanted:
        return before
    secondaries: dict[str, Any] = dict(before.get("secondaries") or {})
    for place in outcome.places:
        there = secondaries.get(place.region, {"instances": {}})
        instances = {i["DBInstanceIdentifier"]: i["DBInstanceClass"] for i in place.plan.instances}
        secondaries[place.region] = {
            "db_cluster_identifier": place.plan.identifier,
            "engine_version": place.plan.cluster["EngineVersion"],
            **there,
            "instances": {**instances, **there["instances"]},
        }
    return {
        "global_cluster_identifier": request.options.identifier,
        "primary": request.green,
        "secondaries": secondaries,
    }
