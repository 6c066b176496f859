# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Guardrails about the members of a deployment that RDS manages, and about what of blue does not come with its data. Each is pure.

Sources: Amazon RDS and Aurora User Guides, "Creating a blue/green deployment", and "Limitations and considerations" of them.
"""

from __future__ import annotations

from collections.abc import Sequence

from .._core.checks import Check
from . import managed
from . import readiness_managed_left as left
from . import readiness_managed_rules as rules
from .clusters import Instance
from .managed import Deployment, Place
from .readiness_topic import GUIDE, Topic, some

_CONSIDERATIONS = GUIDE + "blue-green-deployments-considerations.html"
_CREATING = GUIDE + "blue-green-deployments-creating.html"

GROUPS = Topic("member_parameter_groups", _CREATING)
TOPOLOGY = Topic("green_topology", _CREATING)
ENDPOINTS = Topic("green_custom_endpoints", _CONSIDERATIONS)
SCALING = Topic("managed_autoscaling", _CONSIDERATIONS)


def parameter_groups(blue: Place) -> Check:
    """The instances of blue share a DB parameter group: the service takes one for all of green."""
    own = _writers(blue)
    others = [one for one in blue.members if one.parameter_group != own]
    if not others:
        return GROUPS.ok(f"the instances of {blue.identifier} share a DB parameter group")
    listed = some(f"{one.identifier} has {one.parameter_group}" for one in others)
    return GROUPS.warning(
        f"every instance of green gets one DB parameter group, that of the writer is {own}, but {listed}",
        "give the counterpart in green its group once it is there (aws rds modify-db-instance --db-parameter-group-name .. and a "
        "reboot), and run this again with step=switchover",
    )


def topology(deployment: Deployment, blue: Place) -> Check:
    """Every read replica of blue is a member of the deployment: what was added later would stay behind, with its readers.

    Readers of a cluster are reached by the endpoint that moves; whether green has enough of them is another check.
    """
    if blue.is_cluster:
        return TOPOLOGY.ok(f"readers of {blue.identifier} are reached by an endpoint that moves")
    ours = {managed.identifier_of(arn) for one in deployment.members for arn in (one.source_arn, one.target_arn) if arn}
    there = [*(one.identifier for one in blue.members), *managed.replicas_of(blue.description)]
    added = [name for name in dict.fromkeys(map(managed.identifier_of, there)) if name not in ours]
    if added:
        return TOPOLOGY.failed(
            f"every instance of {blue.identifier} should have a counterpart in green, but {some(added)} came later: it would stay with "
            "old blue, under its own name, and serve what no longer changes",
            "delete the deployment (state=absent, delete_target=true) and make it anew, or delete that instance",
        )
    return TOPOLOGY.ok(
        f"{blue.identifier} and its {len(blue.members) - 1} read replicas have their counterparts in green"
    )


def member_groups(deployment: Deployment, blue: Place, green: Place) -> Check:
    """A member of green has the DB parameter group of its counterpart, when blue's instances have several."""
    theirs = {one.identifier: one for one in green.members}
    own, given = _writers(blue), _writers(green)
    pairs = [(one, theirs.get(_partner(deployment, one))) for one in blue.members if one.parameter_group != own]
    lost = [(old, new) for old, new in pairs if new is not None and new.parameter_group == given]
    if lost:
        listed = some(
            f"{new.identifier} has {new.parameter_group}, {old.identifier} has {old.parameter_group}"
            for old, new in lost
        )
        return GROUPS.warning(
            f"the service gave all of green one DB parameter group, but blue's instances have several: {listed}",
            "aws rds modify-db-instance --db-instance-identifier .. --db-parameter-group-name .., and reboot it before the switchover",
        )
    return GROUPS.ok("where blue's instances have several DB parameter groups, green's have")


def custom_endpoints(blue: Place, green: Place) -> Check:
    """Green has as many custom endpoints as blue: the service makes them (it needs rds:CreateDBClusterEndpoint), nobody moves them later."""
    here, there = (list(one.description.get("CustomEndpoints") or []) for one in (blue, green))
    if len(there) < len(here):
        return ENDPOINTS.warning(
            f"{blue.identifier} has the custom endpoints {some(here)}, but {green.identifier} has {some(there) or 'none'}",
            "aws rds create-db-cluster-endpoint on green, or make it anew under the old name after the switchover, when the one of old "
            "blue is deleted",
        )
    if here:
        return ENDPOINTS.warning(
            f"the custom endpoints {some(here)} of {blue.identifier} have counterparts in green: {some(there)}",
            "look with aws rds describe-db-cluster-endpoints which instances are their members, before and after the switchover: it "
            "renames these",
        )
    return ENDPOINTS.ok(f"{blue.identifier} has no custom endpoints")


def left_behind(old: Place, production: Place, policies: Sequence[str]) -> list[Check]:
    """What of old production has not come along, once the switchover is over; ``policies`` are the names of its autoscaling."""
    return [
        rules.protection(old, production),
        left.carried(old, production),
        custom_endpoints(old, production),
        left.resource_ids(old, production),
        autoscaling_after(policies, production),
    ]


def autoscaling_after(names: Sequence[str], production: Place) -> Check:
    """Policies of Aurora Auto Scaling have to be set up anew after a switchover, wherever they were before."""
    if not names:
        return SCALING.ok(f"{production.identifier} has no autoscaling policies")
    return SCALING.warning(
        f"the autoscaling policies {some(names)} of {production.identifier} were made for what is old production now",
        f"aws application-autoscaling register-scalable-target and put-scaling-policy for cluster:{production.identifier} anew",
    )


def _partner(deployment: Deployment, one: Instance) -> str:
    found = [pair.target_arn for pair in deployment.members if managed.identifier_of(pair.source_arn) == one.identifier]
    return managed.identifier_of(found[0]) if found and found[0] else ""


def _writers(place: Place) -> str | None:
    return next((one.parameter_group for one in place.members if one.is_writer), None)
