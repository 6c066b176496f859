# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""RDS Proxy: in front of a cluster as the API tells it; no connection goes through one."""

from __future__ import annotations

import time

from tests.lab.control_plane.common import filters, find_cluster, new_identifier, page, tags_of
from tests.lab.control_plane.endpoints import instance_host
from tests.lab.control_plane.errors import ApiError, invalid_combination, invalid_value, not_in_lab
from tests.lab.control_plane.plane import Call, Handler
from tests.lab.control_plane.records import Instance, Proxy, Region, Shape, resource_id, utcnow
from tests.lab.control_plane.subnet_groups import VPC

FAMILIES = ("MYSQL", "POSTGRESQL", "SQLSERVER")
GROUP = "default"


def find_proxy(region: Region, name: str) -> Proxy:
    """Return a proxy; raises the typed fault."""
    proxy = region.proxies.get(name.lower())
    if proxy is None:
        raise ApiError("DBProxyNotFoundFault", f"DBProxy {name} not found.")
    return proxy


def create(call: Call) -> Shape:
    """CreateDBProxy."""
    params, region = call.params, call.region
    name = new_identifier(call, "DBProxyName")
    if name in region.proxies:
        raise ApiError("DBProxyAlreadyExistsFault", f"The DB proxy {name} already exists.")
    if call.text("EngineFamily") not in FAMILIES:
        raise invalid_value(f"Invalid value {params['EngineFamily']} for EngineFamily")
    api: Shape = {
        "DBProxyName": name,
        "DBProxyArn": region.arn("db-proxy", resource_id("prx").lower()),
        "Status": "available",
        "EngineFamily": params["EngineFamily"],
        "VpcId": VPC,
        "VpcSecurityGroupIds": list(params.get("VpcSecurityGroupIds") or ()),
        "VpcSubnetIds": list(params.get("VpcSubnetIds") or ()),
        "Auth": list(params.get("Auth") or ()),
        "RoleArn": call.text("RoleArn"),
        "Endpoint": f"{name}.proxy-lab.{region.name}.rds.amazonaws.com",
        "RequireTLS": bool(params.get("RequireTLS")),
        "IdleClientTimeout": int(params.get("IdleClientTimeout") or 1800),
        "DebugLogging": bool(params.get("DebugLogging")),
        "CreatedDate": utcnow(),
        "UpdatedDate": utcnow(),
    }
    region.proxies[name] = Proxy(api, tags=tags_of(params))
    return {"DBProxy": api}


def describe(call: Call) -> Shape:
    """DescribeDBProxies."""
    filters(call, ())
    name = call.params.get("DBProxyName")
    proxies = [find_proxy(call.region, str(name))] if name else list(call.region.proxies.values())
    return page(call, "DBProxies", [proxy.api for proxy in proxies])


def delete(call: Call) -> Shape:
    """DeleteDBProxy; it is gone at once."""
    proxy = find_proxy(call.region, call.text("DBProxyName"))
    del call.region.proxies[str(proxy.api["DBProxyName"])]
    return {"DBProxy": {**proxy.api, "Status": "deleting"}}


def register(call: Call) -> Shape:
    """RegisterDBProxyTargets: one cluster."""
    proxy = _group(call)
    if call.params.get("DBInstanceIdentifiers"):
        raise not_in_lab("an RDS Proxy in front of a DB instance")
    wanted = [find_cluster(call.region, str(name)).identifier for name in call.params.get("DBClusterIdentifiers") or ()]
    if len(wanted) != 1:
        raise invalid_combination("Exactly one DB cluster can be a target of a DB proxy.")
    if proxy.cluster is not None:
        raise ApiError("DBProxyTargetAlreadyRegisteredFault", f"{proxy.cluster} is registered with the proxy already.")
    proxy.cluster, proxy.registered_at = wanted[0], time.monotonic()
    return {"DBProxyTargets": _targets(call, proxy)}


def deregister(call: Call) -> Shape:
    """DeregisterDBProxyTargets."""
    proxy = _group(call)
    if proxy.cluster not in (call.params.get("DBClusterIdentifiers") or ()):
        raise ApiError("DBProxyTargetNotFoundFault", "The target is not registered with the proxy.")
    proxy.cluster = None
    return {}


def describe_groups(call: Call) -> Shape:
    """DescribeDBProxyTargetGroups: the default one."""
    filters(call, ())
    proxy = _group(call)
    name = proxy.api["DBProxyName"]
    group = {
        "DBProxyName": name,
        "TargetGroupName": GROUP,
        "TargetGroupArn": call.region.arn("target-group", f"prx-tg-{name}"),
        "IsDefault": True,
        "Status": "available",
        "ConnectionPoolConfig": {"MaxConnectionsPercent": 100, "ConnectionBorrowTimeout": 120},
        "CreatedDate": proxy.api["CreatedDate"],
        "UpdatedDate": proxy.api["UpdatedDate"],
    }
    return page(call, "TargetGroups", [group])


def describe_targets(call: Call) -> Shape:
    """DescribeDBProxyTargets: the tracked cluster, and its instances."""
    filters(call, ())
    return page(call, "Targets", _targets(call, _group(call)))


def _group(call: Call) -> Proxy:
    proxy = find_proxy(call.region, call.text("DBProxyName"))
    if call.params.get("TargetGroupName") not in (None, GROUP):
        raise ApiError("DBProxyTargetGroupNotFoundFault", "The target group does not exist.")
    return proxy


def _targets(call: Call, proxy: Proxy) -> list[Shape]:
    region = call.region
    new = time.monotonic() - proxy.registered_at < call.plane.clock.delays()["registering"]
    cluster = region.clusters.get(proxy.cluster or "")
    if cluster is None:
        return []
    port = cluster.api["Port"]
    tracked = {"RdsResourceId": cluster.identifier, "Port": port, "Type": "TRACKED_CLUSTER"}
    return [
        tracked,
        *(
            {
                "Endpoint": instance_host(region, member),
                "TrackedClusterId": cluster.identifier,
                "RdsResourceId": member.identifier,
                "Port": port,
                "Type": "RDS_INSTANCE",
                "Role": "READ_WRITE" if member.writer else "READ_ONLY",
                "TargetHealth": {"State": _health(member, new)},
            }
            for member in region.members(cluster)
        ),
    ]


def _health(member: Instance, new: bool) -> str:
    if new:
        return "REGISTERING"
    return "AVAILABLE" if member.status == "available" else "UNAVAILABLE"


OPERATIONS: dict[str, Handler] = {
    "CreateDBProxy": create,
    "DescribeDBProxies": describe,
    "DeleteDBProxy": delete,
    "RegisterDBProxyTargets": register,
    "DeregisterDBProxyTargets": deregister,
    "DescribeDBProxyTargetGroups": describe_groups,
    "DescribeDBProxyTargets": describe_targets,
}
