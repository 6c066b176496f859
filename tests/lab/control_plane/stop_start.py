# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""StopDBCluster and StartDBCluster."""

from __future__ import annotations

from tests.lab.control_plane import events, servers
from tests.lab.control_plane.common import find_cluster
from tests.lab.control_plane.errors import cluster_state
from tests.lab.control_plane.global_rules import may_stop
from tests.lab.control_plane.plane import Call, Handler
from tests.lab.control_plane.records import Shape, set_status
from tests.lab.control_plane.views import cluster_shape


def _change(call: Call, needs: str, during: str, after: str) -> Shape:
    plane, region = call.plane, call.region
    cluster = find_cluster(region, call.text("DBClusterIdentifier"))
    if cluster.status != needs:
        raise cluster_state(
            f"DbCluster {cluster.identifier} is in {cluster.status} state but expected in {needs} state."
        )
    may_stop(cluster)
    if plane.managed.having(cluster) is not None:
        raise cluster_state(
            f"Cannot stop or start the DB cluster {cluster.identifier} because it is part of a blue/green deployment."
        )
    members = [member for member in region.members(cluster) if member.status == needs]
    set_status(during, cluster, *members)

    def finish(status: str, message: str, *categories: str) -> None:
        with plane.lock:
            set_status(status, cluster, *members)
            events.cluster_event(region, cluster, message, *categories)

    def job() -> None:
        plane.clock.hold(during)
        if after == "stopped":
            servers.stop_all(plane, members)
        else:
            servers.start_all(plane, region, members)
        finish(after, f"DB cluster {'stopped' if after == 'stopped' else 'started'}", "notification")

    plane.jobs.run(
        cluster.volume_id, job, lambda reason: finish(needs, f"DB cluster {during} failed: {reason}", "failure")
    )
    return {"DBCluster": cluster_shape(region, cluster)}


OPERATIONS: dict[str, Handler] = {
    "StopDBCluster": lambda call: _change(call, "available", "stopping", "stopped"),
    "StartDBCluster": lambda call: _change(call, "stopped", "starting", "available"),
}
