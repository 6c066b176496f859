# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the clients' drivers read of a managed deployment while it is switched over, written through its link."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Sequence

from tests.lab.control_plane.endpoints import cluster_host, instance_host
from tests.lab.control_plane.managed_records import IN_PROGRESS, Deployment
from tests.lab.control_plane.plane import ControlPlane
from tests.lab.control_plane.records import Cluster, Instance, Region
from tests.lab.engine import EngineError
from tests.lab.managed.link import SideName, TopologyRow

LOG = logging.getLogger(__name__)
BOTH: Sequence[SideName] = ("blue", "green")
ROLES = {"blue": "BLUE_GREEN_DEPLOYMENT_SOURCE", "green": "BLUE_GREEN_DEPLOYMENT_TARGET"}


class Metadata:
    """The rows of one deployment; their endpoints are those that the writers have when this is made."""

    def __init__(self, plane: ControlPlane, region: Region, deployment: Deployment) -> None:
        self._plane = plane
        self._deployment = deployment
        first = deployment.pairs[0]
        with plane.lock:
            self._hosts = {"blue": _host(region, first.source), "green": _host(region, first.target or first.source)}
            self._ids = {"blue": _number(first.source), "green": _number(first.target or first.source)}
        self._port = int(deployment.blue.api["Port"])
        self._frozen = False

    def show(self, status: str | None, roles: Sequence[SideName] = BOTH) -> None:
        """Let both sides have one row for each of these roles, or none without a status.

        They have none before the service has installed them. Frozen, blue keeps what it had when writes stopped and
        green has nothing. Metadata that cannot be written is no reason to stop anything.
        """
        link = self._deployment.link
        if not self._deployment.metadata or link is None:
            return
        rows = [
            TopologyRow(self._ids[role], self._hosts[role], self._port, ROLES[role], status)
            for role in roles
            if status is not None
        ]
        sides = BOTH
        if self._frozen:
            rows, sides = [], ("green",)
        try:
            link.publish(rows, sides)
            self._deployment.unwritten = False
        except EngineError as exc:
            self._deployment.unwritten = True
            LOG.info("the metadata of %s is not written: %s", self._deployment.identifier, exc)
        self._frozen = self._frozen or (status == IN_PROGRESS and self._plane.managed.knobs.freeze_metadata)


def _host(region: Region, record: Cluster | Instance) -> str:
    return cluster_host(region, record) if isinstance(record, Cluster) else instance_host(region, record)


def _number(record: Cluster | Instance) -> str:
    """A number as a server's id is, which the row has; it stays with the server."""
    resource = record.volume_id if isinstance(record, Cluster) else record.server_id
    return str(1_000_000_000 + zlib.crc32(resource.encode()) % 1_000_000_000)
