# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of endpoints as the API tells them: names in a lab that has names, addresses in any other one."""

from __future__ import annotations

from collections.abc import Mapping

from tests.lab.control_plane import names
from tests.lab.control_plane.kinds import NEPTUNE
from tests.lab.control_plane.records import Cluster, Instance, Region


def _word(cluster: Cluster) -> str:
    return names.NEPTUNE if cluster.api["Engine"] == NEPTUNE else names.RDS


def cluster_host(region: Region, cluster: Cluster) -> str:
    """Return the host of a cluster's endpoint."""
    if region.names is None:
        return cluster.address
    return region.names.cluster(region.name, cluster.identifier, _word(cluster))


def reader_host(region: Region, cluster: Cluster) -> str:
    """Return the host of a cluster's reader endpoint."""
    if region.names is None:
        return cluster.reader_address
    return region.names.reader(region.name, cluster.identifier, _word(cluster))


def instance_host(region: Region, instance: Instance) -> str:
    """Return the host of an instance's endpoint."""
    if region.names is None:
        return instance.address
    return region.names.instance(region.name, instance.identifier, _word(instance.cluster))


def hosts(region: Region, record: Cluster | Instance) -> dict[str, str]:
    """Return the names of a cluster or an instance, each with the address that belongs to it."""
    if isinstance(record, Instance):
        return {instance_host(region, record): record.address}
    if record.standalone:
        return {}
    return {cluster_host(region, record): record.address, reader_host(region, record): record.reader_address}


def publish(region: Region, record: Cluster | Instance) -> None:
    """Let the names of a cluster or an instance lead to its addresses."""
    if region.names is not None:
        region.names.change(hosts(region, record))


def withdraw(region: Region, record: Cluster | Instance) -> None:
    """Let the names of a cluster or an instance that is gone not exist any more."""
    if region.names is not None:
        region.names.change(dict.fromkeys(hosts(region, record)))


def renamed(region: Region, record: Cluster | Instance, before: Mapping[str, str]) -> None:
    """Let the names that a record had end, and those that it has now begin, in the same moment."""
    if region.names is not None:
        region.names.change({**dict.fromkeys(before), **hosts(region, record)})
