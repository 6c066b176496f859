# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Guardrails about what stands around blue: proxies, managed deployments, integrations, security groups. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from .._core.checks import Check
from .clusters import Cluster
from .readiness_topic import GUIDE, Topic, some

PROXIES = Topic("proxies", GUIDE + "rds-proxy.html")
MANAGED = Topic("managed_blue_green", GUIDE + "blue-green-deployments.html")
INTEGRATIONS = Topic("integrations", GUIDE + "zero-etl.html")
NETWORK = Topic("security_groups", GUIDE + "Overview.RDSSecurityGroups.html")

_ANY_PROTOCOL, _TCP = "-1", ("tcp", "6")

Description = Mapping[str, Any]


def proxies(blue: Cluster, green: str, host: str, found: Iterable[tuple[Description, Sequence[Description]]]) -> Check:
    """Replication goes past RDS Proxy, and the proxies in front of blue are known; ``found`` are proxies and their targets.

    RDS Proxy takes no connections in streaming replication mode (Amazon Aurora User Guide, "Amazon RDS Proxy for Aurora",
    limitations), so ``host``, where blue is reached, must not be one.
    """
    every = list(found)
    through = [proxy["DBProxyName"] for proxy, _targets in every if proxy.get("Endpoint") == host]
    if through:
        return PROXIES.failed(
            f"blue must be reached at its cluster endpoint, but {host} is the RDS Proxy {through[0]}, which takes no replication "
            "connections",
            f"give {blue.description.get('Endpoint')} as blue's host",
        )
    names = blue.instance_identifiers | {blue.identifier}
    front = [
        proxy["DBProxyName"]
        for proxy, targets in every
        if any(target.get("TrackedClusterId") in names or target.get("RdsResourceId") in names for target in targets)
    ]
    if not front:
        return PROXIES.ok(f"no RDS Proxy stands in front of {blue.identifier}")
    return PROXIES.warning(
        f"RDS Proxy {some(front)} stands in front of {blue.identifier}: it neither holds clients during the window nor follows the "
        "switchover, it can have one DB cluster as target only, and its sessions on blue are ended by the fence",
        f"after the switchover: aws rds deregister-db-proxy-targets --db-proxy-name {front[0]} --db-cluster-identifiers "
        f"{blue.identifier} && aws rds register-db-proxy-targets --db-proxy-name {front[0]} --db-cluster-identifiers {green}; "
        "its secrets must hold logins that green has",
    )


def managed_blue_green(blue: Cluster, deployments: Iterable[Description]) -> Check:
    """RDS manages no blue/green deployment of blue itself."""
    found = [one for one in deployments if blue.arn in (one.get("Source"), one.get("Target"))]
    active = [one for one in found if one.get("Status") not in ("SWITCHOVER_COMPLETED", "DELETING")]
    if active:
        one = active[0]
        return MANAGED.failed(
            f"{blue.identifier} must not be in a blue/green deployment of RDS, but is in {_named(one)}, which is {one.get('Status')}",
            "aws rds delete-blue-green-deployment --blue-green-deployment-identifier "
            f"{one.get('BlueGreenDeploymentIdentifier')}, or go on with that one",
        )
    if found:
        return MANAGED.warning(
            f"{blue.identifier} is still listed in the blue/green deployment {_named(found[0])} of RDS, which is over",
            "aws rds delete-blue-green-deployment --blue-green-deployment-identifier "
            f"{found[0].get('BlueGreenDeploymentIdentifier')}",
        )
    return MANAGED.ok(f"{blue.identifier} is in no blue/green deployment of RDS")


def integrations(blue: Cluster, found: Iterable[Description]) -> Check:
    """No zero-ETL integration reads from blue: it would stay there."""
    ours = [f"{one.get('IntegrationName')} ({one.get('Status')})" for one in found if one.get("SourceArn") == blue.arn]
    if not ours:
        return INTEGRATIONS.ok(f"no zero-ETL integration reads from {blue.identifier}")
    return INTEGRATIONS.warning(
        f"zero-ETL integrations read from {blue.identifier} and stay with it: {some(ours)}",
        "make them anew with green as the source after the switchover; their targets are filled anew",
    )


def security_groups(blue: Cluster, groups: Iterable[Description], of_green: Iterable[str] = ()) -> Check:
    """Blue's and green's security groups let the other side in on blue's port; ``groups`` are their descriptions.

    ``of_green``: the ones that green is to have, blue's when there are none.
    """
    port = int(blue.description.get("Port") or 0)
    every = list(groups)
    members = {group["VpcSecurityGroupId"] for group in blue.description.get("VpcSecurityGroups") or []}
    others = set(of_green) or members
    ways = [(members, others)] if others == members else [(members, others), (others, members)]
    found = [_way(blue, port, every, to, by) for to, by in ways]
    for status in ("failed", "warning"):
        bad = [check for check in found if check.status == status]
        if bad:
            return replace(bad[0], remedy="; ".join(check.remedy for check in bad))
    return found[0]


def _way(blue: Cluster, port: int, groups: Iterable[Description], to: set[str], by: set[str]) -> Check:
    """Whether the groups ``to`` let in the members of the groups ``by``."""
    mine = [group for group in groups if group.get("GroupId", "") in to or "GroupId" not in group]
    rules = [rule for group in mine for rule in group.get("IpPermissions") or [] if _covers(rule, port)]
    names = some(sorted(to))
    own = "their own members" if to == by else f"the members of {some(sorted(by))}"
    if any(pair.get("GroupId") in by for rule in rules for pair in rule.get("UserIdGroupPairs") or []):
        return NETWORK.ok(f"the security groups {names} let {own} in on port {port}")
    ranges = sorted({address for rule in rules for address in _addresses(rule)})
    if ranges:
        return NETWORK.warning(
            f"the security groups {names} open port {port} to {some(ranges)}, which has to cover the subnets of green, where blue "
            f"and green reach each other ({blue.description.get('DBSubnetGroup')})",
            "nothing, when it does; else " + _authorize(to, port, by),
        )
    both = ", which both have," if to == by else ""
    return NETWORK.failed(
        f"blue and green must reach each other on port {port}, but no rule of the security groups {names}{both} lets {own} in",
        _authorize(to, port, by),
    )


def _authorize(to: Iterable[str], port: int, by: Iterable[str]) -> str:
    return (
        f"aws ec2 authorize-security-group-ingress --group-id {min(to, default='..')} --protocol tcp --port {port} --source-group "
        f"{min(by, default='..')}"
    )


def _covers(rule: Description, port: int) -> bool:
    protocol = str(rule.get("IpProtocol"))
    if protocol == _ANY_PROTOCOL:
        return True
    return protocol in _TCP and int(rule.get("FromPort", -1)) <= port <= int(rule.get("ToPort", -1))


def _addresses(rule: Description) -> list[str]:
    return [
        *(one["CidrIp"] for one in rule.get("IpRanges") or []),
        *(one["CidrIpv6"] for one in rule.get("Ipv6Ranges") or []),
        *(one["PrefixListId"] for one in rule.get("PrefixListIds") or []),
    ]


def _named(deployment: Description) -> str:
    return str(deployment.get("BlueGreenDeploymentName") or deployment.get("BlueGreenDeploymentIdentifier"))
