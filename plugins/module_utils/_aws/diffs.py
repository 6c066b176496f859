# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What ``--diff`` shows of green: the things that the modules change, before and after. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .clone import ClonePlan
from .clusters import Cluster

Diff = dict[str, Any]


def diff(before: Cluster | None, after: Diff) -> Diff:
    """The ``diff`` of a result."""
    return {"before": shape(before), "after": after}


def shape(cluster: Cluster | None) -> Diff:
    """A cluster as the diff shows it, nothing when there is none."""
    if cluster is None:
        return {}
    return {
        "db_cluster_identifier": cluster.identifier,
        "engine_version": cluster.version,
        "db_cluster_parameter_group_name": cluster.parameter_group,
        "deletion_protection": bool(cluster.description.get("DeletionProtection")),
        "instances": {
            instance.identifier: {
                "db_instance_class": instance.description.get("DBInstanceClass"),
                "promotion_tier": instance.promotion_tier,
            }
            for instance in cluster.instances
        },
        "tags": cluster.tags,
    }


def predicted(before: Cluster | None, plan: ClonePlan, blue: Cluster) -> Diff:
    """What a run that makes the plan's cluster and instances ends with."""
    instances = {
        instance["DBInstanceIdentifier"]: {
            "db_instance_class": instance.get("DBInstanceClass"),
            "promotion_tier": instance.get("PromotionTier"),
        }
        for instance in plan.instances
    }
    planned = {
        "db_cluster_identifier": plan.restore["DBClusterIdentifier"],
        "engine_version": blue.version,
        "db_cluster_parameter_group_name": plan.restore.get("DBClusterParameterGroupName"),
        "deletion_protection": bool(plan.settings.get("DeletionProtection")),
        "instances": {},
        "tags": _tags(plan.restore.get("Tags", [])),
    }
    now = shape(before) or planned
    return {**now, "instances": {**instances, **now["instances"]}}


def _tags(tags: Iterable[dict[str, str]]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags}
