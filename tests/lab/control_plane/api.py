# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every operation of the RDS API that the lab has."""

from __future__ import annotations

from collections.abc import Mapping

from tests.lab.control_plane import (
    account,
    clusters,
    db_snapshots,
    events,
    failover,
    global_changes,
    global_clusters,
    global_failover,
    global_members,
    instances,
    integrations,
    maintenance,
    managed,
    modify,
    parameter_groups,
    parameters,
    proxies,
    read_replicas,
    snapshots,
    standalone,
    standalone_modify,
    stop_start,
    subnet_groups,
    tags,
    versions,
)
from tests.lab.control_plane.plane import Handler


def operations() -> Mapping[str, Handler]:
    """Return the handler of every operation, by the operation's name."""
    found: dict[str, Handler] = {}
    for topic in (
        account,
        clusters,
        db_snapshots,
        events,
        failover,
        global_changes,
        global_clusters,
        global_failover,
        global_members,
        instances,
        integrations,
        maintenance,
        managed,
        modify,
        parameter_groups,
        parameters,
        proxies,
        read_replicas,
        snapshots,
        standalone,
        standalone_modify,
        stop_start,
        subnet_groups,
        tags,
        versions,
    ):
        found |= topic.OPERATIONS
    return found
