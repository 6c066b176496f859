# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What the service has announced for a cluster and its instances: patch levels of the engine version, and other updates.

A patch level of Neptune (1.1.1.0.R5) is no engine version: it comes as pending maintenance, and a hop may need the latest one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from .._core.journal import Journal
from .api import Api, ApiError
from .clusters import Cluster
from .waiters import Waits, eventually, wait_settled

# Amazon Neptune API, ApplyPendingMaintenanceAction: what can be applied by it.
APPLICABLE = ("system-update", "db-upgrade")
_GONE = ("ResourceNotFoundFault",)
_BUSY = ("InvalidDBClusterStateFault", "InvalidDBInstanceState")
_DENIED = ("AccessDenied", "UnauthorizedOperation")


@dataclass(frozen=True)
class Announced:
    """One pending maintenance action of a cluster or an instance."""

    arn: str
    action: str
    description: str

    @property
    def resource(self) -> str:
        """The identifier of the cluster or instance."""
        return self.arn.rsplit(":", 1)[-1]

    def as_dict(self) -> dict[str, str]:
        """The action for a module's result."""
        return {"resource": self.resource, "action": self.action, "description": self.description}


def announced(api: Api, cluster: Cluster) -> list[Announced]:
    """What is pending for the cluster and its instances."""
    ours = {cluster.arn, *(instance.arn for instance in cluster.instances)}
    return [
        Announced(str(found["ResourceIdentifier"]), detail["Action"], str(detail.get("Description") or ""))
        for found in api.pages("describe_pending_maintenance_actions", "PendingMaintenanceActions")
        if found["ResourceIdentifier"] in ours
        for detail in found.get("PendingMaintenanceActionDetails") or []
    ]


def told(api: Api, cluster: Cluster) -> list[Announced] | None:
    """As :func:`announced`, for a report only: None when it may not be looked at."""
    try:
        return announced(api, cluster)
    except ApiError as error:
        if error.code not in _DENIED:
            raise
        return None


def apply_announced(api: Api, cluster: Cluster, waits: Waits, journal: Journal) -> Cluster | None:
    """Have everything that can be applied applied now, and wait until it is.

    Returns the cluster as it is then, None when it is under way and there is no waiting.
    """
    pending = [one for one in announced(api, cluster) if one.action in APPLICABLE]
    for one in pending:
        journal.act(f"apply the pending {one.action} of {one.resource}", partial(_apply, api, cluster, one, waits))
    if not pending or journal.check_mode:
        return cluster
    if not waits.wait:
        return None

    def applied(found: Cluster) -> bool:
        return not any(one.action in APPLICABLE for one in announced(api, found))

    return wait_settled(api, cluster.identifier, waits, f"the pending maintenance of {cluster.identifier}", applied)


def _apply(api: Api, cluster: Cluster, one: Announced, waits: Waits) -> None:
    # An action of the cluster may take those of its instances with it, and a run that was killed may have asked already.
    wanted: dict[str, Any] = {"ResourceIdentifier": one.arn, "ApplyAction": one.action, "OptInType": "immediate"}

    def ask() -> None:
        api.find("apply_pending_maintenance_action", _GONE, **wanted)

    eventually(
        waits,
        ask,
        lambda: one not in announced(api, cluster),
        _BUSY,
        f"{one.resource} to take the pending {one.action}",
    )
