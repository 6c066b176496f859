# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""All that there is to tell of a deployment that RDS manages: places, events, and the lag that CloudWatch has."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from .._core.errors import BlueGreenError
from . import managed, managed_rules, managed_wait
from .api import Api
from .managed import Deployment, Place
from .managed_plan import dead_end

# The metric that tells how far green is behind, by green's engine; the one of Aurora PostgreSQL is blue's and in bytes.
_LAG = {
    "aurora-mysql": "AuroraBinlogReplicaLag",
    "mysql": "ReplicaLag",
    "mariadb": "ReplicaLag",
    "postgres": "ReplicaLag",
}
_RECENT = timedelta(minutes=10)


def described(api: Api, cloudwatch: Api | None, deployment: Deployment, *, events: bool) -> dict[str, Any]:
    """The deployment for a module's result."""
    places = managed.endpoints(api, deployment)
    blue, green = places["blue"], places["green"]
    seen = managed_wait.Seen(deployment, green)
    problem = dead_end(deployment) or managed_wait.replication_error(seen) or ""
    ready = deployment.status == managed.AVAILABLE and managed_wait.settled(green) and not managed_wait.pending(green)
    return {
        **deployment.as_dict(),
        "blue": blue.as_dict() if blue else None,
        "green": green.as_dict() if green else None,
        "differences": managed_rules.differences(blue, green),
        "problem": problem,
        "ready": ready and not problem,
        "lag_seconds": _lag(cloudwatch, green) if cloudwatch and green and not deployment.switched else None,
        "events": managed.events(api, deployment) if events else [],
    }


def _lag(cloudwatch: Api, green: Place) -> float | None:
    """The last value of the last minutes; None without one, which is never taken for no lag."""
    metric = _LAG.get(green.engine)
    writer = next((one for one in green.members if one.is_writer), None)
    if metric is None or writer is None:
        return None
    now = datetime.now(UTC)
    try:
        answer = cloudwatch.call(
            "get_metric_statistics",
            Namespace="AWS/RDS",
            MetricName=metric,
            Dimensions=[{"Name": "DBInstanceIdentifier", "Value": writer.identifier}],
            StartTime=now - _RECENT,
            EndTime=now,
            Period=60,
            Statistics=["Maximum"],
        )
    except BlueGreenError:
        return None
    points = sorted(answer.get("Datapoints") or [], key=lambda point: point["Timestamp"])
    return float(points[-1]["Maximum"]) if points else None
