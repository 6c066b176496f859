# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Guardrail: the identity that runs this may do what the deployment needs, found by simulating its IAM policies."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .._core.checks import Check
from .._core.errors import BlueGreenError
from .._core.names import Names
from .api import Api
from .clone import ClonePlan
from .clusters import Cluster
from .permissions import NEEDS, Need, Phase, Scope, statement
from .readiness_topic import Topic, some

DOCS = "https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonrds.html"
PERMISSIONS = Topic("permissions", DOCS)
CLEANUP = Topic("permissions_cleanup", DOCS)
WATCH = Topic(
    "permissions_dashboard",
    "https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatch.html",
)
_NO_ROLE = ("NoSuchEntity", "NoSuchEntityException")
_CALLER = re.compile(r"arn:(?P<partition>[\w-]+):(?P<service>sts|iam)::(?P<account>\d+):(?P<kind>[\w-]+)/?(?P<name>.*)")

_MAKING: tuple[Phase, ...] = ("read", "create")
_DELETING: tuple[Phase, ...] = ("cleanup",)


@dataclass(frozen=True)
class Principal:
    """Whose policies to simulate; ``role`` is the name of an assumed role, whose path its session does not tell."""

    arn: str
    role: str | None = None


@dataclass(frozen=True)
class Tried:
    """One need on one resource: the ARN that was simulated and the one to allow, and the simulator's answer."""

    need: Need
    arn: str
    allow: str


@dataclass(frozen=True)
class Verdict:
    """The answer to one: ``decision`` in the words of the API, ``missing`` context keys, and who denied it if not IAM."""

    decision: str
    missing: tuple[str, ...] = ()
    by: str = ""


Verdicts = Mapping[tuple[str, str], Verdict]
"""(action, simulated ARN) -> verdict."""


def principal_of(caller: str) -> Principal | None:
    """The IAM user or role behind an ARN of GetCallerIdentity, None when there is none that could be simulated. Pure."""
    found = _CALLER.fullmatch(caller)
    if found is None:
        return None
    if found["service"] == "iam" and found["kind"] in ("user", "role"):
        return Principal(caller)
    if found["kind"] == "assumed-role":
        role = found["name"].partition("/")[0]
        return Principal(f"arn:{found['partition']}:iam::{found['account']}:role/{role}", role)
    return None


def scopes(
    blue: Cluster, names: Names, green: str, plan: ClonePlan, key: str | None, principal: str
) -> tuple[Scope, Scope]:
    """Examples of what the deployment touches, to be simulated, and the patterns that a policy names for them. Pure.

    ``key`` is the customer's own key of blue's storage: the service's own needs no permission of the caller.
    """
    rds = blue.arn.rpartition(":cluster:")[0]
    description = blue.description
    is_global = bool(description.get("GlobalClusterIdentifier"))
    groups = [one.parameter_group for one in blue.instances if one.parameter_group]
    roles = {arn for arn, _feature in plan.roles}
    roles |= {one["MonitoringRoleArn"] for one in plan.instances if one.get("MonitoringRoleArn")}
    shared: dict[str, tuple[str, ...]] = {
        "rds": (rds,),
        "blue": (blue.identifier,),
        "green": (green,),
        "identity": (principal,),
        "secret": (),  # the login itself is tried
        "role": tuple(sorted(roles)),
        "key": (key,) if key else (),
        "world": (re.sub(r":[^:]*:(\d+)$", r"::\1", rds),),  # a global cluster's ARN names no Region
        "global_cluster": (names.global_cluster,) if is_global else (),
        "primary": (green,) if is_global else (),
        "far": (),  # its Regions are not looked at here
        **_watching(rds, names, plan),
    }
    simulated = {
        **shared,
        "made": (names.instance(1),),
        "used_cluster_group": (blue.parameter_group,),
        "used_group": tuple(groups[:1]),
        "used_subnet_group": (description["DBSubnetGroup"],) if description.get("DBSubnetGroup") else (),
        "used_option_group": (),
    }
    allowed = {
        **shared,
        "made": (f"{names.deployment_id}-*",),
        **{
            name: ("*",) if simulated[name] else ()
            for name in ("used_cluster_group", "used_group", "used_subnet_group")
        },
        "used_option_group": (),
    }
    return simulated, allowed


def _watching(rds: str, names: Names, plan: ClonePlan) -> dict[str, tuple[str, ...]]:
    """The dashboard and the alarm of the deployment; a dashboard's ARN names no Region, and only ``*`` lists dashboards."""
    _arn, partition, _rds, region, account = rds.split(":")
    writer = plan.instances[0]["DBInstanceIdentifier"] if plan.instances else names.instance(1)
    return {
        "dashboards": ("*",),
        "cloudwatch": (f"arn:{partition}:cloudwatch::{account}",),
        "regional_cloudwatch": (f"arn:{partition}:cloudwatch:{region}:{account}",),
        "dashboard": (f"Aurora-Binlog-Replication-Lag-{region}-{writer}",),
        "alarm": (f"{names.deployment_id}-replication-lag",),
    }


def tries(phases: Collection[Phase], simulated: Scope, allowed: Scope, needs: Iterable[Need] = NEEDS) -> list[Tried]:
    """Every need of these phases on every resource that it has in the scopes. Pure."""
    return [
        Tried(need, arn, allow)
        for need in needs
        if need.phase in phases
        for resource in need.resources
        for arn, allow in zip(resource.arns(simulated), resource.arns(allowed), strict=True)
    ]


def judge(topic: Topic, principal: str, tried: Iterable[Tried], verdicts: Verdicts, *, stops: bool) -> Check:
    """What was denied, with the statements that allow it; ``stops`` false only warns. A missing verdict is no yes. Pure."""
    every = list(tried)
    denied: list[Tried] = []
    unsure: list[Tried] = []
    for one in every:
        verdict = verdicts.get((one.need.action, one.arn), Verdict("not simulated"))
        if verdict.decision == "allowed":
            continue
        open_question = verdict.decision == "implicitDeny" and verdict.missing
        (unsure if open_question or not one.need.certain or verdict.decision == "not simulated" else denied).append(one)
    if not denied and not unsure:
        count = len({one.need.action for one in every})
        return topic.ok(f"the policies of {principal} allow the {count} actions that are needed, as IAM simulates them")
    if denied:
        answer = topic.failed if stops else topic.warning
        return answer(f"{principal} is not allowed {_listed(denied, verdicts)}", _statements(denied))
    return topic.warning(
        f"it cannot be told whether {principal} is allowed {_listed(unsure, verdicts)}: a condition, or a policy of the resource "
        "itself, decides",
        "make sure of it, or allow it: " + _statements(unsure),
    )


def verdicts_of(results: Iterable[Mapping[str, Any]]) -> dict[tuple[str, str], Verdict]:
    """The answers by action and resource, from the EvaluationResults of SimulatePrincipalPolicy. Pure."""
    found: dict[tuple[str, str], Verdict] = {}
    for result in results:
        by = ""
        if result.get("OrganizationsDecisionDetail", {}).get("AllowedByOrganizations") is False:
            by = "a service control policy"
        elif result.get("PermissionsBoundaryDecisionDetail", {}).get("AllowedByPermissionsBoundary") is False:
            by = "the permissions boundary"
        elif result.get("EvalDecision") == "explicitDeny":
            by = "a statement that denies it"
        missing = tuple(result.get("MissingContextValues") or ())
        found[result["EvalActionName"], result["EvalResourceName"]] = Verdict(result["EvalDecision"], missing, by)
    return found


def permission_checks(
    client: Callable[[str], Api], blue: Cluster, names: Names, green: str, plan: ClonePlan, key: str | None
) -> list[Check]:
    """What the identity may do for making green (stops), for the clean-up, and for the dashboard and the alarm (both warn).

    ``key`` as in :func:`scopes`. When the simulation cannot be made, one warning says so.
    """
    principal = "unknown"
    try:
        caller = str(client("sts").call("get_caller_identity")["Arn"])
        found = principal_of(caller)
        if found is None:
            return [
                PERMISSIONS.warning(
                    f"the permissions of {caller} cannot be simulated, which is possible for an IAM user or role",
                    "run this as an IAM role, or compare its policies with the one in the README",
                )
            ]
        principal = with_path(client("iam"), found)
        examples, allowed = scopes(blue, names, green, plan, key, principal)
        needs = [need for need in NEEDS if not _of_watching(need)]
        making = tries(_MAKING, examples, allowed, needs)
        deleting = tries(_DELETING, examples, allowed, needs)
        watching = tries((*_MAKING, *_DELETING), examples, allowed, filter(_of_watching, NEEDS))
        verdicts = simulated(client("iam"), principal, blue.arn.split(":")[3], [*making, *deleting, *watching])
    except BlueGreenError as error:
        return [
            PERMISSIONS.warning(
                f"the permissions of {principal} could not be simulated: {error.message.rstrip('.')}",
                f"allow it: {json.dumps(statement(['iam:GetRole', 'iam:SimulatePrincipalPolicy'], [principal]))}, or compare its "
                "policies with the one in the README",
            )
        ]
    return [
        judge(PERMISSIONS, principal, making, verdicts, stops=True),
        judge(CLEANUP, principal, deleting, verdicts, stops=False),
        *([judge(WATCH, principal, watching, verdicts, stops=False)] if watching else []),
    ]


def _of_watching(need: Need) -> bool:
    """Whether it is for the dashboard and the alarm, which a deployment may do without."""
    return need.action.startswith("cloudwatch:")


def with_path(iam: Api, principal: Principal) -> str:
    """The role's ARN with its path; without the right to ask for it, the one without a path."""
    if principal.role is None:
        return principal.arn
    try:
        answer = iam.find("get_role", _NO_ROLE, RoleName=principal.role)
    except BlueGreenError:
        return principal.arn
    return str(answer["Role"]["Arn"]) if answer else principal.arn


def simulated(iam: Api, principal: str, region: str, tried: Iterable[Tried]) -> dict[tuple[str, str], Verdict]:
    """The answers of SimulatePrincipalPolicy, one call for each resource."""
    by_arn: dict[str, set[str]] = {}
    for one in tried:
        by_arn.setdefault(one.arn, set()).add(one.need.action)
    context = {"iam:PassedToService": "rds.amazonaws.com", "aws:RequestedRegion": region}
    results: list[dict[str, Any]] = []
    for arn, actions in by_arn.items():
        results += iam.pages(
            "simulate_principal_policy",
            "EvaluationResults",
            PolicySourceArn=principal,
            ActionNames=sorted(actions),
            ResourceArns=[arn],
            ContextEntries=[
                {"ContextKeyName": name, "ContextKeyValues": [value], "ContextKeyType": "string"}
                for name, value in context.items()
            ],
        )
    return verdicts_of(results)


def _listed(tried: Iterable[Tried], verdicts: Verdicts) -> str:
    said: dict[str, str] = {}
    for one in tried:
        by = verdicts.get((one.need.action, one.arn), Verdict("")).by
        said.setdefault(one.need.action, f"{one.need.action} on {one.allow}" + (f" (by {by})" if by else ""))
    return some(said.values())


def _statements(tried: Iterable[Tried]) -> str:
    """The statements that allow them, as JSON: one for each set of resources."""
    resources: dict[str, set[str]] = {}
    for one in tried:
        resources.setdefault(one.need.action, set()).add(one.allow)
    grouped: dict[frozenset[str], list[str]] = {}
    for action, arns in resources.items():
        grouped.setdefault(frozenset(arns), []).append(action)
    return ", ".join(json.dumps(statement(actions, arns)) for arns, actions in grouped.items())
