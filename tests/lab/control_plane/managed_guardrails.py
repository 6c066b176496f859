# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guardrails of a switchover: what keeps it from beginning, in the order in which the service looks."""

from __future__ import annotations

from tests.lab.control_plane.integrations import reading
from tests.lab.control_plane.managed_records import Deployment, arn_of
from tests.lab.control_plane.managed_watch import trouble
from tests.lab.control_plane.plane import ControlPlane
from tests.lab.control_plane.records import Region

CORRECT = "Correct the replication errors and then switch over. "


def objection(plane: ControlPlane, region: Region, deployment: Deployment, seconds: float) -> str | None:
    """Return why a switchover within so many seconds cannot begin, None when it can; raises EngineError."""
    link = deployment.link
    if link is None:
        return "the green environment does not follow the blue one"
    problem = trouble(plane, deployment)
    if problem is not None:
        return problem if problem.startswith("Replication degraded") else CORRECT + problem
    lag = plane.managed.knobs.health(link.health()).lag_seconds
    if lag > seconds:
        return (
            f"the replica lag of the green environment is {lag:.0f} seconds, more than the switchover timeout of "
            f"{seconds:.0f} seconds allows"
        )
    found = [*_integrations(region, deployment), *link.objections("green"), *link.objections("blue")]
    return "; ".join(found) if found else None


def _integrations(region: Region, deployment: Deployment) -> list[str]:
    """What is read by zero-ETL is not switched over (user guide, "Limitations for blue/green deployments")."""
    names = reading(region, {arn_of(member) for member in deployment.members()})
    return [f"the blue or the green environment has zero-ETL integrations: {', '.join(names)}"] if names else []
