# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The snapshot of blue: taken once, waited for, and never somebody else's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.stub import Stubber

from ansible_collections.bluegreen.aws.plugins.module_utils._aws.api import Api
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.clusters import Cluster
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.ownership import ownership_tags
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.snapshot import ensure_snapshot
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.waiters import Waits
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.journal import Journal

from .conftest import tag_list

MakeCluster = Callable[..., Cluster]
NAME = "shop-before"
SECONDS = Waits(timeout=5, delay=0.001)


def queue(stubber: Stubber, status: str | None, cluster: str = "shop", deployment: str = "shop-84") -> None:
    """One look at the snapshot; None: there is none."""
    if status is None:
        stubber.add_client_error("describe_db_cluster_snapshots", "DBClusterSnapshotNotFoundFault", "not found")
        return
    shape = {
        "DBClusterSnapshotIdentifier": NAME,
        "DBClusterIdentifier": cluster,
        "Status": status,
        "TagList": tag_list(ownership_tags(deployment)),
    }
    stubber.add_response("describe_db_cluster_snapshots", {"DBClusterSnapshots": [shape]})


def take(api: Api, blue: Cluster, *, check: bool = False, waits: Waits = SECONDS) -> tuple[bool, list[str]]:
    journal = Journal(check_mode=check)
    return ensure_snapshot(api, blue, NAME, "shop-84", waits, journal), journal.actions


def test_it_is_taken_tagged_and_waited_for(stubber: Stubber, api: Api, blue: MakeCluster) -> None:
    queue(stubber, None)
    wanted: dict[str, Any] = {
        "DBClusterIdentifier": "shop",
        "DBClusterSnapshotIdentifier": NAME,
        "Tags": tag_list(ownership_tags("shop-84")),
    }
    stubber.add_response("create_db_cluster_snapshot", {}, wanted)
    for status in ("creating", "creating", "creating", "available"):
        queue(stubber, status)
    assert take(api, blue()) == (True, [f"take the snapshot {NAME} of shop"])


def test_one_that_a_killed_run_began_is_waited_for(stubber: Stubber, api: Api, blue: MakeCluster) -> None:
    for status in ("creating", "creating", "available"):
        queue(stubber, status)
    assert take(api, blue()) == (True, [])


def test_check_mode_predicts_it(stubber: Stubber, api: Api, blue: MakeCluster) -> None:
    queue(stubber, None)
    assert take(api, blue(), check=True) == (True, [f"take the snapshot {NAME} of shop"])


def test_without_waiting_the_rest_is_left_to_another_run(stubber: Stubber, api: Api, blue: MakeCluster) -> None:
    queue(stubber, "creating")
    queue(stubber, "creating")
    assert take(api, blue(), waits=Waits(5, 0.001, wait=False)) == (False, [])


@pytest.mark.parametrize(
    ("cluster", "deployment", "found"),
    [("other", "shop-84", "is of other"), ("shop", "shop-80", "does not carry the tags of the deployment shop-84")],
)
def test_a_name_that_is_taken_is_refused(
    stubber: Stubber, api: Api, blue: MakeCluster, cluster: str, deployment: str, found: str
) -> None:
    queue(stubber, "available", cluster, deployment)
    with pytest.raises(BlueGreenError, match=f"the one that exists {found}: give another source_snapshot_identifier"):
        take(api, blue())


def test_one_that_failed_is_an_error(stubber: Stubber, api: Api, blue: MakeCluster) -> None:
    queue(stubber, "failed")
    queue(stubber, "failed")
    with pytest.raises(BlueGreenError, match=f"The snapshot {NAME} should become available, but it failed"):
        take(api, blue())
