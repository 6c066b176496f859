# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Guardrails about what stands around a source of a deployment that RDS manages: proxies, integrations, policies, quotas, a global database."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from .._core.checks import Check
from .._core.errors import BlueGreenError
from .api import Api
from .global_clusters import read_global
from .managed import Place
from .parameter_groups import CLUSTER, INSTANCE, read_group
from .readiness_managed_left import FORWARDING, write_forwarding
from .readiness_target import QUOTAS, quotas
from .readiness_topic import GUIDE, Topic, some

_DOCS = GUIDE + "blue-green-deployments-considerations.html"
PROXIES = Topic("managed_proxies", GUIDE + "rds-proxy.html")
INTEGRATIONS = Topic("managed_integrations", _DOCS)
SCALING = Topic("managed_autoscaling", _DOCS)
GLOBAL = Topic("managed_global_database", _DOCS)
GLOBAL_GROUPS = Topic("managed_global_groups", _DOCS)
_NO_TARGET = ("DBProxyNotFoundFault", "DBProxyTargetGroupNotFoundFault")

Description = Mapping[str, Any]


def around(
    client: Callable[[str], Api], blue: Place, green: Place | None = None, *, switchover: bool = False
) -> list[Check]:
    """All of them; those that only matter before green is made are left out before a ``switchover``."""
    rds = client("rds")
    checks = [
        _made(PROXIES, lambda: proxies(blue, _proxies(rds, blue))),
        _made(
            INTEGRATIONS,
            lambda: integrations(blue, green, rds.pages("describe_integrations", "Integrations"), switchover),
        ),
        _made(GLOBAL, lambda: global_database(rds, blue)),
    ]
    if switchover:
        if green is not None and green.description.get("GlobalClusterIdentifier"):
            checks.append(_made(FORWARDING, lambda: write_forwarding(green, _forwarding(rds, green))))
        return checks
    if blue.is_cluster:
        checks.append(_made(SCALING, lambda: autoscaling(blue, policies(client("application-autoscaling"), blue))))
    needed = {"DBInstances": len(blue.members), **({"DBClusters": 1} if blue.is_cluster else {})}
    checks.append(
        _made(QUOTAS, lambda: quotas(rds.call("describe_account_attributes").get("AccountQuotas") or [], needed))
    )
    return checks


def proxies(blue: Place, found: Iterable[tuple[Description, Sequence[Description]]]) -> Check:
    """RDS Proxy in front of blue follows the switchover when it was there before the deployment; not for a global database. Pure."""
    names = {blue.identifier, *(one.identifier for one in blue.members)}
    front = [
        str(proxy["DBProxyName"])
        for proxy, targets in found
        if any(one.get("TrackedClusterId") in names or one.get("RdsResourceId") in names for one in targets)
    ]
    if not front:
        return PROXIES.ok(f"no RDS Proxy stands in front of {blue.identifier}")
    if blue.description.get("GlobalClusterIdentifier"):
        return PROXIES.failed(
            f"RDS Proxy {some(front)} stands in front of {blue.identifier}, which is in a global database: that does not go together",
            f"aws rds deregister-db-proxy-targets --db-proxy-name {front[0]} --db-cluster-identifiers {blue.identifier}",
        )
    return PROXIES.warning(
        f"RDS Proxy {some(front)} stands in front of {blue.identifier}: it has to be there before the deployment is made, and its "
        "clients get errors at the switchover (1290 read-only on MySQL, AdminShutdown on PostgreSQL)",
        "let the application try again",
    )


def integrations(blue: Place, green: Place | None, found: Iterable[Description], switchover: bool) -> Check:
    """No zero-ETL integration reads from blue or from green during the switchover. Pure."""
    arns = {one.arn for one in (blue, green) if one is not None}
    ours = [f"{one.get('IntegrationName')} ({one.get('Status')})" for one in found if one.get("SourceArn") in arns]
    if not ours:
        return INTEGRATIONS.ok(f"no zero-ETL integration reads from {blue.identifier}")
    answer = INTEGRATIONS.failed if switchover else INTEGRATIONS.warning
    return answer(
        f"zero-ETL integrations must not be there during a switchover, but {some(ours)} read from {blue.identifier}"
        + (f" or {green.identifier}" if green else ""),
        "aws rds delete-integration --integration-identifier .. before the switchover, and make it anew afterwards",
    )


def autoscaling(blue: Place, found: Sequence[Description]) -> Check:
    """Policies of Aurora Auto Scaling are not copied to green. Pure."""
    names = [str(one.get("PolicyName")) for one in found]
    if names:
        return SCALING.warning(
            f"the autoscaling policies {some(names)} of {blue.identifier} are not copied to green, and end with the switchover",
            "set them up anew after it, wherever they were before: register-scalable-target and put-scaling-policy",
        )
    return SCALING.ok(f"{blue.identifier} has no autoscaling policies")


def global_database(rds: Api, blue: Place) -> Check:
    """Of a global database the deployment starts from the primary, and its topology stays as it is until that is over."""
    identifier = blue.description.get("GlobalClusterIdentifier")
    group = read_global(rds, identifier) if identifier else None
    if group is None:
        return GLOBAL.ok(f"{blue.identifier} is in no global database")
    if group.primary is None or group.primary.arn != blue.arn:
        return GLOBAL.failed(
            f"a deployment of the global database {group.identifier} starts from its primary, which is "
            f"{group.primary.arn if group.primary else 'not there'}, not {blue.arn}",
            "run it in the primary's Region with that cluster as its source",
        )
    if group.status != "available":
        return GLOBAL.failed(
            f"the global database {group.identifier} must be available, but is {group.status}", "wait for it"
        )
    where = sorted(one.region for one in group.secondaries)
    return GLOBAL.warning(
        f"{blue.identifier} is the primary of the global database {group.identifier}, with members in {some(where)}: a change of its "
        "topology, a failover or a switchover of it makes the deployment invalid",
        "leave those until this is over",
    )


def global_groups(at: Callable[[str], Api], blue: Place, names: Sequence[str], prepared: bool) -> list[Check]:
    """Green's parameter groups are in every other Region of a global database too, or the default ones are taken there."""
    identifier = blue.description.get("GlobalClusterIdentifier")
    if not identifier:
        return []

    def look() -> Check:
        world = read_global(at(blue.arn.split(":")[3]), identifier)
        regions = sorted({one.region for one in world.secondaries}) if world else []
        missing = [
            f"{name} in {region}"
            for region in regions
            for name in names
            if not name.startswith("default.")
            and not any(read_group(at(region), kind, name) for kind in (CLUSTER, INSTANCE))
        ]
        if missing and not prepared:
            return GLOBAL_GROUPS.failed(
                f"green's parameter groups must exist in every Region of the global database {identifier}, or the default ones are "
                f"taken there, but found no {some(missing)}",
                "make them there, or prepare=true has them made",
            )
        return GLOBAL_GROUPS.ok(f"green's parameter groups are, or will be, in {some(regions)} too")

    return [_made(GLOBAL_GROUPS, look)]


def _made(topic: Topic, look: Callable[[], Check]) -> Check:
    try:
        return look()
    except BlueGreenError as error:
        return topic.unmade(error, needed=False)


def _proxies(rds: Api, blue: Place) -> list[tuple[Description, Sequence[Description]]]:
    family = "POSTGRESQL" if "postgres" in blue.engine else "MYSQL"
    return [
        (proxy, rds.pages("describe_db_proxy_targets", "Targets", _NO_TARGET, DBProxyName=proxy["DBProxyName"]))
        for proxy in rds.pages("describe_db_proxies", "DBProxies")
        if proxy.get("EngineFamily") == family
    ]


def _forwarding(rds: Api, green: Place) -> dict[str, str]:
    group = green.description["GlobalClusterIdentifier"]
    found = rds.call("describe_global_clusters", GlobalClusterIdentifier=group)["GlobalClusters"][0]
    return {
        str(one["DBClusterArn"]): str(one.get("GlobalWriteForwardingStatus") or "")
        for one in found.get("GlobalClusterMembers") or []
        if not one.get("IsWriter")
    }


def policies(scaling: Api, blue: Place) -> list[Description]:
    """The policies of Aurora Auto Scaling that a cluster's name has."""
    return list(
        scaling.pages(
            "describe_scaling_policies",
            "ScalingPolicies",
            ServiceNamespace="rds",
            ResourceId=f"cluster:{blue.identifier}",
        )
    )
