# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write forwarding of a secondary cluster: its state in the API alone, no session forwards anything."""

from __future__ import annotations

from tests.lab.control_plane.plane import ControlPlane
from tests.lab.control_plane.records import Cluster


def turn(plane: ControlPlane, cluster: Cluster, wanted: bool) -> None:
    """ModifyDBCluster with EnableGlobalWriteForwarding; of the primary it is kept for the day it is a secondary."""
    cluster.api["GlobalWriteForwardingRequested"] = wanted
    during, after = ("enabling", "enabled") if wanted else ("disabling", "disabled")
    if not cluster.secondary or cluster.api["GlobalWriteForwardingStatus"] == after:
        return
    cluster.api["GlobalWriteForwardingStatus"] = during

    def job() -> None:
        plane.clock.hold(during)
        with plane.lock:
            if cluster.api.get("GlobalWriteForwardingStatus") == during:
                cluster.api["GlobalWriteForwardingStatus"] = after

    plane.jobs.run(cluster.volume_id, job, lambda _reason: None)


def follow_role(cluster: Cluster) -> None:
    """In a new role: a secondary has a status, that of what was asked for; a primary has none."""
    if cluster.secondary:
        asked = cluster.api["GlobalWriteForwardingRequested"]
        cluster.api["GlobalWriteForwardingStatus"] = "enabled" if asked else "disabled"
    else:
        cluster.api.pop("GlobalWriteForwardingStatus", None)
