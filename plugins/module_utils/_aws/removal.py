# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Deleting green: only what carries the tags of the deployment, in the order that the API wants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from .._core.errors import BlueGreenError
from .._core.journal import Journal
from .._core.names import Names
from . import tending
from .api import Api
from .clusters import Cluster, read_cluster
from .ownership import is_ours
from .parameter_groups import CLUSTER, INSTANCE, Group, delete_group, groups_of
from .snapshot import read_snapshot
from .waiters import Waits, eventually, wait_gone

_DELETING = "deleting"
_NO_INSTANCE = ("DBInstanceNotFound", "DBInstanceNotFoundFault")
_GROUP_BUSY = ("InvalidDBParameterGroupState", "InvalidDBParameterGroupStateFault")
_INSTANCE_BUSY = ("InvalidDBInstanceState", "InvalidDBInstanceStateFault")
_CLUSTER_BUSY = ("InvalidDBClusterStateFault",)


@dataclass(frozen=True)
class Removal:
    """What to delete: ``snapshot`` None takes none, ``unprotect`` lifts the deletion protection first."""

    identifier: str
    snapshot: str | None
    unprotect: bool
    waits: Waits


def remove(
    api: Api, names: Names, removal: Removal, journal: Journal, detach: Callable[[Cluster], bool] | None = None
) -> Cluster | None:
    """Delete green with its instances and the parameter groups of the deployment; returns green as it was before.

    ``detach`` is called between the instances and the cluster, for one that is a member of a global cluster, and
    returns whether the cluster stands by itself now. What is being deleted already is only waited for. Raises
    :class:`BlueGreenError` before anything is deleted when the cluster, or an instance in it, is not the
    deployment's, when it is protected, or the snapshot's name is taken.
    """
    before = read_cluster(api, removal.identifier)
    if before is not None:
        require_removable(api, names, before, removal)
        if detach is None:
            _require_standalone(before)
        remove_cluster(api, before, removal, journal, detach)
    if journal.check_mode or removal.waits.wait or before is None:
        remove_groups(api, names, removal.waits, journal)
    return before


def require_removable(api: Api, names: Names, cluster: Cluster, removal: Removal) -> None:
    """Raise :class:`BlueGreenError` unless the cluster may be deleted as asked for."""
    tending.require_ours(cluster, names.deployment_id, "deleted")
    foreign = [i.identifier for i in cluster.instances if not is_ours(i.tags, names.deployment_id)]
    if foreign:
        raise BlueGreenError(
            f"The DB cluster {cluster.identifier} should be deleted, but the deployment {names.deployment_id} did not make its "
            f"instances {', '.join(foreign)}: delete them first. Nothing was deleted."
        )
    if cluster.description.get("DeletionProtection") and not removal.unprotect:
        raise BlueGreenError(
            f"The DB cluster {cluster.identifier} should be deleted, but is protected against deletion: set "
            "deletion_protection to false if it really is to go. Nothing was deleted."
        )
    if removal.snapshot and cluster.status != _DELETING and read_snapshot(api, removal.snapshot) is not None:
        raise BlueGreenError(
            f"A final snapshot {removal.snapshot} of {cluster.identifier} is wanted, but one of that name exists already: give "
            "another final_db_snapshot_identifier or set skip_final_snapshot to true. Nothing was deleted."
        )


def _require_standalone(cluster: Cluster) -> None:
    member_of = cluster.description.get("GlobalClusterIdentifier")
    if member_of:
        raise BlueGreenError(
            f"The DB cluster {cluster.identifier} should be deleted, but is a member of the global cluster {member_of}: run "
            "aurora_global_database with state absent first. Nothing was deleted."
        )


def remove_cluster(
    api: Api, cluster: Cluster, removal: Removal, journal: Journal, detach: Callable[[Cluster], bool] | None
) -> None:
    """Delete a cluster with its instances, whoever made them; ``detach`` as in :func:`remove`."""
    identifier, waits = cluster.identifier, removal.waits
    if cluster.status != _DELETING:
        if cluster.description.get("DeletionProtection"):
            journal.act(
                f"lift the deletion protection of {identifier}",
                lambda: tending.modify_cluster(api, identifier, waits, DeletionProtection=False),
            )
        for instance in (i.identifier for i in cluster.instances if i.status != _DELETING):
            journal.act(f"delete instance {instance}", partial(_delete_instance, api, instance, waits))
        if not journal.check_mode and waits.wait:
            wait_gone(api, identifier, waits, instances_only=True)
        left = None if journal.check_mode else read_cluster(api, identifier)
        if left is not None and left.instances:  # only without waiting: the next run goes on from here
            return
        if detach is not None and not detach(cluster):
            return
        kept = f" after the snapshot {removal.snapshot}" if removal.snapshot else " without a snapshot"
        journal.act(
            f"delete cluster {identifier}{kept}", lambda: _delete_cluster(api, identifier, removal.snapshot, waits)
        )
    if not journal.check_mode and waits.wait:
        wait_gone(api, identifier, waits)


def remove_groups(api: Api, names: Names, waits: Waits, journal: Journal) -> None:
    """Delete the parameter groups that the deployment made, in this Region."""
    for group in [*groups_of(api, CLUSTER, names), *groups_of(api, INSTANCE, names)]:
        journal.act(f"delete {group.kind.label} {group.name}", partial(_delete_group, api, group, waits))


def _delete_instance(api: Api, identifier: str, waits: Waits) -> None:
    def going() -> bool:
        answer = api.find("describe_db_instances", _NO_INSTANCE, DBInstanceIdentifier=identifier)
        return all(found["DBInstanceStatus"] == _DELETING for found in (answer or {}).get("DBInstances") or [])

    def delete() -> None:
        api.call("delete_db_instance", DBInstanceIdentifier=identifier, SkipFinalSnapshot=True)

    eventually(waits, delete, going, _INSTANCE_BUSY, f"the instance {identifier} to let itself be deleted")


def _delete_cluster(api: Api, identifier: str, snapshot: str | None, waits: Waits) -> None:
    last: dict[str, Any] = {"FinalDBSnapshotIdentifier": snapshot} if snapshot else {}

    def going() -> bool:
        cluster = read_cluster(api, identifier)
        return cluster is None or cluster.status == _DELETING

    def delete() -> None:
        api.call("delete_db_cluster", DBClusterIdentifier=identifier, SkipFinalSnapshot=snapshot is None, **last)

    eventually(waits, delete, going, _CLUSTER_BUSY, f"the DB cluster {identifier} to let itself be deleted")


def _delete_group(api: Api, group: Group, waits: Waits) -> None:
    # The service goes on counting a cluster as a user of the group for a while after it is gone.
    wanted = f"the {group.kind.label} {group.name} to let itself be deleted"
    eventually(waits, lambda: delete_group(api, group), lambda: False, _GROUP_BUSY, wanted)
