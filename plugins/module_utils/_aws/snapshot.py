# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""A snapshot of blue, taken before anything of the deployment exists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.tagging import (
    ansible_dict_to_boto3_tag_list,
    boto3_tag_list_to_ansible_dict,
)

from .._core.errors import BlueGreenError
from .._core.journal import Journal
from .api import Api
from .clusters import Cluster
from .ownership import is_ours, ownership_tags
from .waiters import AVAILABLE, Waits, eventually, wait_for

NO_SNAPSHOT = ("DBClusterSnapshotNotFoundFault", "DBClusterSnapshotNotFound")
_TAKEN = ("DBClusterSnapshotAlreadyExistsFault", "DBClusterSnapshotAlreadyExists")
_BUSY = ("InvalidDBClusterStateFault",)
_FAILED = "failed"


def read_snapshot(api: Api, identifier: str) -> Mapping[str, Any] | None:
    """The cluster snapshot as the API describes it, None when there is none of this name."""
    answer = api.find("describe_db_cluster_snapshots", NO_SNAPSHOT, DBClusterSnapshotIdentifier=identifier)
    found = (answer or {}).get("DBClusterSnapshots") or []
    return found[0] if found else None


def ensure_snapshot(
    api: Api, blue: Cluster, identifier: str, deployment_id: str, waits: Waits, journal: Journal
) -> bool:
    """Take the snapshot unless the deployment has it, and wait for it; returns whether it is available.

    Raises :class:`BlueGreenError` when it fails, and when another snapshot has the name.
    """
    found = read_snapshot(api, identifier)
    if found is None:
        journal.act(
            f"take the snapshot {identifier} of {blue.identifier}",
            lambda: _create(api, blue, identifier, deployment_id, waits),
        )
    else:
        _require_ours(found, blue, deployment_id)
    if journal.check_mode:
        return True
    if not waits.wait:
        return _available(read_snapshot(api, identifier), identifier)
    wait_for(
        waits,
        lambda: read_snapshot(api, identifier),
        lambda one: _available(one, identifier),
        f"the snapshot {identifier} of {blue.identifier} to be available",
        lambda one: f"{one.get('Status')}, {one.get('PercentProgress', 0)} %" if one else "no such snapshot",
    )
    return True


def _create(api: Api, blue: Cluster, identifier: str, deployment_id: str, waits: Waits) -> None:
    def create() -> None:
        api.find(
            "create_db_cluster_snapshot",
            _TAKEN,
            DBClusterIdentifier=blue.identifier,
            DBClusterSnapshotIdentifier=identifier,
            Tags=ansible_dict_to_boto3_tag_list(ownership_tags(deployment_id)),
        )
        made = read_snapshot(api, identifier)
        if made is not None:  # ours when the answer to an earlier try was lost, somebody else's when they were quicker
            _require_ours(made, blue, deployment_id)

    eventually(waits, create, lambda: False, _BUSY, f"{blue.identifier} to be available for a snapshot")


def _available(snapshot: Mapping[str, Any] | None, identifier: str) -> bool:
    status = snapshot.get("Status") if snapshot else None
    if status == _FAILED:
        raise BlueGreenError(
            f"The snapshot {identifier} should become available, but it failed: look at the events of the DB cluster, delete the "
            "snapshot, and run this again."
        )
    return status == AVAILABLE


def _require_ours(snapshot: Mapping[str, Any], blue: Cluster, deployment_id: str) -> None:
    tags = boto3_tag_list_to_ansible_dict(snapshot.get("TagList") or [])
    source = snapshot.get("DBClusterIdentifier")
    if source == blue.identifier and is_ours(tags, deployment_id):
        return
    found = (
        f"is of {source}" if source != blue.identifier else f"does not carry the tags of the deployment {deployment_id}"
    )
    raise BlueGreenError(
        f"A snapshot {snapshot.get('DBClusterSnapshotIdentifier')} of {blue.identifier} is wanted, but the one that exists {found}: "
        "give another source_snapshot_identifier."
    )
