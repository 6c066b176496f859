# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Guardrails about what green is to be: version, classes, names and quotas; each a pure function of descriptions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .._core.checks import Check
from .._core.errors import BlueGreenError
from . import neptune
from .clone import ClonePlan
from .clusters import Cluster
from .readiness_topic import GUIDE, Topic, some
from .upgrade import Hop, Versions, plan_upgrade

CLASSES = Topic("target_classes", GUIDE + "Concepts.DBInstanceClass.SupportAurora.html")
CLONE = Topic("clone", GUIDE + "Aurora.Managing.Clone.html")
IDENTIFIERS = Topic("green_identifiers", GUIDE + "CHAP_Limits.html")
QUOTAS = Topic("quotas", GUIDE + "CHAP_Limits.html")

# Quotas for Amazon Aurora: the code that a raise is requested with.
_CODES = {"DBClusters": "L-952B80B8", "DBInstances": "L-7B6409FD", "DBClusterParameterGroups": "L-E4C808A8"}

Description = Mapping[str, Any]
Orderable = Mapping[tuple[str, str], Sequence[Description]]
"""(engine version, instance class) -> the options of DescribeOrderableDBInstanceOptions, none when it cannot be ordered."""


def target_version(
    versions: Versions,
    retired: Iterable[str],
    current: str,
    wanted: str | None,
    allow_major: bool,
    docs: str = "",
    blue: Cluster | None = None,
) -> tuple[Check, tuple[Hop, ...]]:
    """The wanted version can be reached along the valid upgrade targets, and the hops to it; ``retired`` are deprecated.

    With ``blue``, a Neptune cluster: AWS's own solution wants a version that is higher than blue's. Whoever wants blue's own
    version for green names none.
    """
    topic = Topic("target_version", docs)
    target, engine = wanted or current, blue.engine if blue else ""
    if blue and engine == neptune.ENGINE and wanted == blue.version:
        evidence = f"{neptune.invalid_target(engine, target)}It should be higher than blue's, but {blue.identifier} runs {wanted}"
        return topic.failed(evidence, "name a higher engine_version, or none for a green of the same version"), ()
    try:
        hops = plan_upgrade(versions, current, target, allow_major, engine)
    except BlueGreenError as error:
        return topic.failed(error.message.rstrip("."), "correct engine_version or allow_major_version_upgrade"), ()
    path = " -> ".join([current, *(hop.version for hop in hops)])
    families = ", ".join(dict.fromkeys(hop.family for hop in hops)) or _family(versions, current)
    if target in set(retired):
        return topic.warning(
            f"{target} is deprecated by the service ({path})",
            "choose a newer engine_version, or plan for extended support",
        ), hops
    return topic.ok(f"{path}, parameter group family {families}"), hops


def target_classes(plan: ClonePlan, orderable: Orderable) -> Check:
    """Every instance of green can be ordered, where it is to be, in each version that it is to run."""
    wrong: list[str] = []
    for (version, instance_class), options in orderable.items():
        if not options:
            wrong.append(f"{instance_class} in {version}")
            continue
        zones = {zone["Name"] for option in options for zone in option.get("AvailabilityZones") or []}
        for instance in plan.instances:
            zone = instance.get("AvailabilityZone")
            if instance["DBInstanceClass"] == instance_class and zone and zones and zone not in zones:
                wrong.append(f"{instance_class} in {version} in {zone}")
    classes = ", ".join(sorted({instance_class for _version, instance_class in orderable}))
    if not wrong:
        return CLASSES.ok(f"{classes} can be ordered in every version on the way")
    return CLASSES.failed(
        f"the instance classes of green must be orderable in every version that it is to run, but not: {some(dict.fromkeys(wrong))}",
        "name other classes in instances, or give blue a class that both versions have; aws rds "
        "describe-orderable-db-instance-options --engine .. --engine-version .. lists them",
    )


def clone_differences(plan: ClonePlan) -> Check:
    """Green will have everything that blue has."""
    if not plan.differences:
        return CLONE.ok(f"green will have what blue has, and {len(plan.instances)} instances")
    return CLONE.warning(
        "green will not be as blue in everything: " + "; ".join(one.rstrip(".") for one in plan.differences),
        "make on green what the applications need of it, before the switchover",
    )


def green_identifiers(taken: Mapping[str, str], green: str) -> Check:
    """No instance identifier that green needs belongs to anybody else; ``taken`` maps identifiers to their clusters."""
    foreign = [f"{name} (in {owner or 'no cluster'})" for name, owner in taken.items() if owner != green]
    if not foreign:
        return IDENTIFIERS.ok(f"{green} and its instances have identifiers that are free, or theirs already")
    return IDENTIFIERS.failed(
        f"green needs instance identifiers that are taken: {some(foreign)}",
        "choose another deployment_id, or db_instance_identifier in instances",
    )


def needed_of_quotas(
    plan: ClonePlan,
    green: Cluster | None,
    hops: Sequence[Hop],
    family: str,
    custom: tuple[bool, bool],
    *,
    own_group: bool = False,
) -> dict[str, int]:
    """How many more of each quota the deployment takes.

    ``custom`` tells whether blue has a DB cluster and a DB parameter group of its own: each is made anew in every family
    that green passes through. ``own_group``: green has a DB cluster parameter group of its own in blue's
    family too. The snapshot is the one that is taken before green is deleted.
    """
    there = len(green.instances) if green else 0
    families = len({hop.family for hop in hops} - {family}) if green is None else 0
    return {
        "DBClusters": 0 if green else 1,
        "DBInstances": max(0, len(plan.instances) - there),
        "DBClusterParameterGroups": families + (green is None) if own_group else families * custom[0],
        "DBParameterGroups": families * custom[1],
        "ManualClusterSnapshots": 1,
    }


def quotas(found: Iterable[Description], needed: Mapping[str, int]) -> Check:
    """The account has room for what the deployment makes; ``found`` are the AccountQuotas of DescribeAccountAttributes."""
    by_name = {quota["AccountQuotaName"]: quota for quota in found}
    full: dict[str, str] = {}
    for name, more in needed.items():
        quota = by_name.get(name)
        if quota and more and quota["Used"] + more > quota["Max"]:
            full[name] = f"{name} {quota['Used']} of {quota['Max']} used and {more} more needed"
    if full:
        requests = [
            f"aws service-quotas request-service-quota-increase --service-code rds --quota-code {_CODES[name]} --desired-value .."
            for name in full
            if name in _CODES
        ]
        evidence = f"the account's quotas must have room for green, but found {', '.join(full.values())}"
        remedy = "; ".join(requests) or "delete what is not needed any more, or have the quota raised in Service Quotas"
        # The snapshot comes last, at the clean-up.
        answer = QUOTAS.warning if set(full) == {"ManualClusterSnapshots"} else QUOTAS.failed
        return answer(evidence, remedy)
    missing = sorted(name for name, more in needed.items() if more and name not in by_name)
    if missing:
        return QUOTAS.warning(
            f"AWS does not tell the quotas {', '.join(missing)}", "look at Service Quotas for Amazon RDS"
        )
    room = [
        f"{name} {by_name[name]['Used']} of {by_name[name]['Max']} (+{more})" for name, more in needed.items() if more
    ]
    return QUOTAS.ok("there is room: " + ", ".join(room))


def _family(versions: Versions, version: str) -> str:
    return versions[version].family if version in versions else "unknown"
