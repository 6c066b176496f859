# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The targets of an RDS Proxy as a gate: blue's cluster is taken out of the target group and green's put in.

Source: Amazon RDS API, RegisterDBProxyTargets, DeregisterDBProxyTargets, DescribeDBProxyTargets (one entry of type
TRACKED_CLUSTER for the cluster, one of type RDS_INSTANCE for each of its instances, with TargetHealth).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..._aws.api import Api
from ..._core.checks import Check, failed, ok
from ..._core.waiting import Deadline, wait_until
from . import Position
from .identifiers import Identifiers

_POLL = 2.0  # s


class RDSProxyGate:
    """One target group of one proxy; it only points, the fence stops what is still connected."""

    holds = False

    def __init__(self, api: Api, proxy: str, group: str, identifiers: Identifiers) -> None:
        self.name = f"RDS Proxy {proxy}"
        self._api, self._identifiers = api, identifiers
        self._place = {"DBProxyName": proxy, "TargetGroupName": group}

    def facts(self) -> Position:
        """The side whose cluster is registered; ``held`` when none is, as between the two calls of a change."""
        registered = self._registered()
        blue, green = (self._identifiers.of(side) for side in ("blue", "green"))
        if not registered:
            return "held"
        if registered == {blue}:
            return "blue"
        return "green" if registered == {green} else "elsewhere"

    def guardrails(self, source: str, target: str) -> list[Check]:
        """Whether the proxy can be changed now."""
        proxy = self._api.call("describe_db_proxies", DBProxyName=self._place["DBProxyName"])["DBProxies"][0]
        self._api.call("describe_db_proxy_target_groups", **self._place)
        if proxy["Status"] != "available":
            return [
                failed(
                    "gate_rds_proxy",
                    f"{self.name} should be available, but is {proxy['Status']}",
                    "wait until it is available",
                )
            ]
        return [ok("gate_rds_proxy", f"{self.name} is available and leads to {source}")]

    def hold(self, deadline: Deadline) -> None:
        """Nothing: a proxy without a target is no gate that holds."""

    def retarget(self, side: str) -> None:
        """A target group takes one cluster, so that the other one goes first; either call may have been made already."""
        wanted = self._identifiers.of(side)
        registered = self._registered()
        for other in registered - {wanted}:
            self._api.find(
                "deregister_db_proxy_targets",
                ["DBProxyTargetNotFoundFault"],
                **self._place,
                DBClusterIdentifiers=[other],
            )
        if wanted not in registered:
            self._api.find(
                "register_db_proxy_targets",
                ["DBProxyTargetAlreadyRegisteredFault"],
                **self._place,
                DBClusterIdentifiers=[wanted],
            )

    def release(self) -> None:
        """Nothing is held."""

    def settle(self, deadline: Deadline) -> str:
        """Every target AVAILABLE; looked at in every run, because a run that died may have left it under way."""
        wait_until(
            self._targets,
            lambda targets: bool(targets) and all(_health(target) in ("", "AVAILABLE") for target in targets),
            timeout=deadline.left,
            delay=_POLL,
            wanted=f"the targets of {self.name} to be AVAILABLE",
            seen=lambda targets: (
                ", ".join(f"{target['RdsResourceId']} {_health(target)}" for target in targets) or "none"
            ),
        )
        return f"the targets of {self.name} are available"

    def close(self) -> None:
        """Nothing is open."""

    def _registered(self) -> set[str]:
        """The clusters in the target group, and the instances that were registered by themselves."""
        return {
            str(target["RdsResourceId"])
            for target in self._targets()
            if target["Type"] == "TRACKED_CLUSTER" or not target.get("TrackedClusterId")
        }

    def _targets(self) -> list[dict[str, Any]]:
        return self._api.pages("describe_db_proxy_targets", "Targets", **self._place)


def _health(target: Mapping[str, Any]) -> str:
    """The state of a target; a tracked cluster has none of its own."""
    health = target.get("TargetHealth") or {}
    return "" if target["Type"] == "TRACKED_CLUSTER" else str(health.get("State", "unknown"))
