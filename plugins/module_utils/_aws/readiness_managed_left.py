# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Guardrails about what of blue does not come along to green, or is not the same there; each a pure function of descriptions.

Sources: Amazon RDS and Aurora User Guides, "Limitations and considerations for blue/green deployments".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._core.checks import Check
from .clusters import Instance
from .managed import Place
from .ownership import mirrored_tags
from .readiness_topic import GUIDE, Topic, some

_CONSIDERATIONS = GUIDE + "blue-green-deployments-considerations.html"
BACKTRACK = Topic("backtrack", _CONSIDERATIONS)
LOG_VOLUME = Topic("blue_log_volume", _CONSIDERATIONS)
CARRIED = Topic("green_carried", _CONSIDERATIONS)
TAGS = Topic("green_tags", GUIDE + "blue-green-deployments-switching.html")
IDS = Topic("green_resource_ids", _CONSIDERATIONS)
FORWARDING = Topic("green_write_forwarding", _CONSIDERATIONS)


def backtrack(blue: Place) -> Check:
    """Blue is not taken back in time while the deployment is there; green cannot be at all."""
    hours = int(blue.description.get("BacktrackWindow") or 0) // 3600
    if not blue.description.get("BacktrackWindow"):
        return BACKTRACK.ok(f"{blue.identifier} has no backtrack")
    return BACKTRACK.warning(
        f"{blue.identifier} can be taken back by backtrack ({hours} hours): green is made without it, and a backtrack of blue breaks the "
        "deployment and blocks its switchover",
        "do not call BacktrackDBCluster until the deployment is over; new production is restored from backups instead",
    )


def log_volume(blue: Place) -> Check:
    """A dedicated log volume is on every member of a DB instance, or on none."""
    has = {one.identifier: bool(one.description.get("DedicatedLogVolume")) for one in blue.members}
    if len(set(has.values())) < 2:
        return LOG_VOLUME.ok("every instance has a dedicated log volume, or none has")
    lacking = [name for name, there in has.items() if not there]
    return LOG_VOLUME.failed(
        f"a dedicated log volume must be on every instance of blue or on none, but {some(lacking)} has none",
        "; ".join(
            f"aws rds modify-db-instance --db-instance-identifier {name} --dedicated-log-volume --apply-immediately"
            for name in lacking
        ),
    )


def carried(blue: Place, green: Place) -> Check:
    """IAM roles, which are not copied to green, are there: those of the cluster, or of each instance."""
    pairs = [(blue.identifier, blue.description, green.description)]
    pairs += [(old.identifier, old.description, new.description) for old, new in _replicas(blue, green)]
    roles = [name for name, old, _new in pairs if _roles(old)]
    lost = [f"{role} of {name}" for name, old, new in pairs for role in sorted(_roles(old) - _roles(new))]
    if lost:
        return CARRIED.warning(
            f"IAM roles are not copied to green: {some(lost)}",
            f"aws rds add-role-to-db-{'cluster' if blue.is_cluster else 'instance'} for each, on green",
        )
    return CARRIED.ok("green has the IAM roles of blue" if roles else f"{blue.identifier} has no IAM roles to carry")


def tags(blue: Place, green: Place) -> Check:
    """The switchover gives green the tags of blue: what only green has is lost."""
    here, there = _tags(blue), _tags(green)
    lost = sorted(f"{key}={value}" for key, value in there.items() if here.get(key) != value)
    if lost:
        return TAGS.warning(
            f"the switchover overwrites the tags of {green.identifier} with those of {blue.identifier}, and these are lost: {some(lost)}",
            "put on blue what is to stay (aws rds add-tags-to-resource)",
        )
    return TAGS.ok("green has no tags that the switchover would overwrite")


def resource_ids(blue: Place, green: Place) -> Check:
    """What knows blue by its resource id does not know green by it."""
    known = [
        what
        for key, of, what in (
            ("IAMDatabaseAuthenticationEnabled", True, "IAM policies for rds-db:connect"),
            ("ActivityStreamStatus", "started", "consumers of the database activity stream"),
        )
        if blue.description.get(key) == of
    ]
    key = "DbClusterResourceId" if blue.is_cluster else "DbiResourceId"
    pairs = [(str(blue.description.get(key) or blue.identifier), str(green.description.get(key) or green.identifier))]
    pairs += [(str(old.description.get(key)), str(new.description.get(key))) for old, new in _replicas(blue, green)]
    if known:
        old, new = (", ".join(ids) for ids in zip(*pairs, strict=True))
        return IDS.warning(
            f"{' and '.join(known)} know blue as {old}, new production is {new}",
            f"add {new} beside {old} to them, at best before the switchover",
        )
    return IDS.ok(
        f"{blue.identifier} has no IAM database authentication and no activity stream, which know it by its resource id"
    )


def write_forwarding(green: Place, members: Mapping[str, str]) -> Check:
    """Write forwarding is off on green until it serves; ``members`` are the ARNs of its global database's clusters with their state."""
    on = sorted(arn for arn, state in members.items() if state not in ("", "disabled"))
    if on:
        return FORWARDING.failed(
            f"write forwarding must be off on green until the switchover is over, but it is on for {some(on)}",
            "aws rds modify-db-cluster --no-enable-global-write-forwarding for each, in its Region; set it again on new production",
        )
    return FORWARDING.ok(f"write forwarding is off on {green.identifier}")


def _replicas(blue: Place, green: Place) -> list[tuple[Instance, Instance]]:
    """The read replicas of two instances, which are in the order of the deployment's members; none of clusters."""
    if blue.is_cluster:
        return []
    return list(zip(*([one for one in place.members if not one.is_writer] for place in (blue, green)), strict=False))


def _roles(description: Mapping[str, Any]) -> set[str]:
    return {str(one.get("RoleArn")) for one in description.get("AssociatedRoles") or []}


def _tags(place: Place) -> dict[str, str]:
    return mirrored_tags({one["Key"]: one["Value"] for one in place.description.get("TagList") or []})
