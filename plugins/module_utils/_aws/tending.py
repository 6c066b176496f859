# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What is done to a green cluster that exists: waited for, rebooted where a parameter group waits for it, tagged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.tagging import ansible_dict_to_boto3_tag_list, compare_aws_tags

from .._core.errors import BlueGreenError
from .._core.journal import Journal
from .api import Api, ApiError
from .clusters import PENDING_REBOOT, Cluster, require_cluster
from .ownership import PREFIX, is_ours
from .waiters import Waits, settled, wait_settled

_CLUSTER_BUSY = ("InvalidDBClusterStateFault",)
_INSTANCE_BUSY = ("InvalidDBInstanceState", "InvalidDBInstanceStateFault")


def require_ours(cluster: Cluster, deployment_id: str, intent: str) -> None:
    """Raise :class:`BlueGreenError` unless the cluster carries the ownership tags of the deployment."""
    if not is_ours(cluster.tags, deployment_id):
        raise BlueGreenError(
            f"The DB cluster {cluster.identifier} should be {intent}, but it does not carry the tags of the deployment "
            f"{deployment_id}, so it is left alone: check db_cluster_identifier and deployment_id."
        )


def reboot_pending(api: Api, cluster: Cluster, waits: Waits, journal: Journal) -> Cluster:
    """Reboot the instances whose parameter group waits for it, the writer first, and return the cluster as it is then.

    The cluster is looked at again after each reboot, because the writer's may take the readers with it.
    """
    if journal.check_mode or not waits.wait:
        for instance in pending(cluster):
            _reboot(api, instance, journal)
        return cluster
    while pending(cluster):
        identifier = pending(cluster)[0]
        _reboot(api, identifier, journal)
        cluster = wait_settled(
            api,
            cluster.identifier,
            waits,
            f"the instance {identifier} to be rebooted with its parameter groups in sync",
            partial(_rebooted, identifier),
        )
    return cluster


def pending(cluster: Cluster) -> list[str]:
    """The instances with a parameter group that waits for a reboot, the writer first."""
    return [i.identifier for i in cluster.instances if i.parameter_group_status == PENDING_REBOOT]


def settle(api: Api, identifier: str, waits: Waits, wanted: str) -> Cluster:
    """Wait until the cluster is settled; with ``wait`` false return it as it is."""
    if waits.wait:
        return wait_settled(api, identifier, waits, wanted)
    return require_cluster(api, identifier, "green")


def ready(cluster: Cluster | None) -> bool:
    """Whether the next step can begin."""
    return cluster is not None and settled(cluster)


def modify_cluster(api: Api, identifier: str, waits: Waits, **parameters: Any) -> None:
    """ModifyDBCluster with immediate effect; a cluster that is busy is waited for and asked once more.

    It is busy, for one, when the answer to an earlier try was lost.
    """
    every = {"DBClusterIdentifier": identifier, "ApplyImmediately": True, **parameters}
    try:
        api.call("modify_db_cluster", **every)
    except ApiError as error:
        if error.code not in _CLUSTER_BUSY or not waits.wait:
            raise
        wait_settled(api, identifier, waits, f"{identifier} to be available for a modification")
        api.call("modify_db_cluster", **every)


def ensure_attached(api: Api, cluster: Cluster, group: str, waits: Waits, journal: Journal) -> Cluster:
    """Give the cluster a cluster parameter group of its family if it has another; its instances then wait for a reboot."""
    if cluster.parameter_group == group:
        return cluster
    journal.act(
        f"attach the parameter group {group} to {cluster.identifier}",
        lambda: modify_cluster(api, cluster.identifier, waits, DBClusterParameterGroupName=group),
    )
    if journal.check_mode:
        waiting = tuple(replace(i, parameter_group_status=PENDING_REBOOT) for i in cluster.instances)
        return replace(cluster, parameter_group=group, instances=waiting)
    if not waits.wait:
        return require_cluster(api, cluster.identifier, "green")
    wanted = f"{cluster.identifier} to take the parameter group {group}"
    return wait_settled(api, cluster.identifier, waits, wanted, lambda found: found.parameter_group == group)


def ensure_tags(
    api: Api, arn: str, now: Mapping[str, str], wanted: Mapping[str, str], purge: bool, journal: Journal
) -> None:
    """Give a resource the tags that it lacks and, when ``purge``, take those that are neither wanted nor reserved."""
    to_set, unwanted = compare_aws_tags(dict(now), dict(wanted), purge)
    to_unset = sorted(key for key in unwanted if not key.startswith(("aws:", PREFIX)))
    what = arn.rsplit(":", 1)[-1]
    if to_set:
        tags = ansible_dict_to_boto3_tag_list(to_set)
        journal.act(
            f"tag {what} with {', '.join(sorted(to_set))}",
            lambda: api.call("add_tags_to_resource", ResourceName=arn, Tags=tags),
        )
    if to_unset:
        journal.act(
            f"remove the tags {', '.join(to_unset)} from {what}",
            lambda: api.call("remove_tags_from_resource", ResourceName=arn, TagKeys=to_unset),
        )


def _rebooted(identifier: str, cluster: Cluster) -> bool:
    return identifier not in pending(cluster)


def _reboot(api: Api, identifier: str, journal: Journal) -> None:
    journal.act(
        f"reboot instance {identifier}, whose parameter group waits for it",
        lambda: _call_reboot(api, identifier),
    )


def _call_reboot(api: Api, identifier: str) -> None:
    try:
        api.call("reboot_db_instance", DBInstanceIdentifier=identifier)
    except ApiError as error:
        if error.code not in _INSTANCE_BUSY or not _rebooting(api, identifier):
            raise


def _rebooting(api: Api, identifier: str) -> bool:
    """Whether it reboots already: the answer to an earlier try was lost."""
    found = api.call("describe_db_instances", DBInstanceIdentifier=identifier)["DBInstances"]
    return any(instance["DBInstanceStatus"] == "rebooting" for instance in found)
