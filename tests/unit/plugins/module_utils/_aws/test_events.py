# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The clone's position among the events of green's instances."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.stub import ANY, Stubber

from ansible_collections.bluegreen.aws.plugins.module_utils._aws.api import Api
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.events import clone_position

from .conftest import cluster_shape, instance_shape

BORN = datetime.now(UTC) - timedelta(hours=5)
TOLD = "Binlog position from crash recovery is mysql-bin-changelog.{:06d} {}"


def event(minutes: float, message: str) -> dict[str, Any]:
    return {"Date": BORN + timedelta(minutes=minutes), "Message": message, "EventCategories": []}


def queue(
    stubber: Stubber, *pages: dict[str, Any], born: datetime = BORN, instances: tuple[str, ...] = ("g1",)
) -> None:
    """The answers of a look: the instance, its cluster, the cluster's instances, then each one's pages of events."""
    shapes = [instance_shape(name, "green") for name in instances]
    stubber.add_response("describe_db_instances", {"DBInstances": shapes[:1]})
    stubber.add_response("describe_db_clusters", {"DBClusters": [cluster_shape("green", [], ClusterCreateTime=born)]})
    if pages:
        stubber.add_response("describe_db_instances", {"DBInstances": shapes})
    for page in pages:
        wanted = {"SourceType": "db-instance", "SourceIdentifier": ANY, "Duration": 14 * 24 * 60}
        marker = {"Marker": page["from"]} if "from" in page else {}
        more = {"Marker": page["to"]} if "to" in page else {}
        stubber.add_response("describe_events", {"Events": page["events"], **more}, {**wanted, **marker})


def test_it_is_the_first_one_after_the_cluster_was_made(stubber: Stubber, api: Api) -> None:
    queue(
        stubber,
        {
            "events": [
                event(-300, TOLD.format(7, 154)),  # an instance of that name in an earlier deployment
                event(2, "DB instance restarted"),
                event(3, TOLD.format(3, 99358949)),
                event(40, TOLD.format(1, 154)),  # green's own log, at a reboot
            ]
        },
    )
    assert clone_position(api, "g1") == ("mysql-bin-changelog.000003 99358949", BORN + timedelta(minutes=3))


def test_it_is_found_on_whichever_page_and_whichever_instance(stubber: Stubber, api: Api) -> None:
    queue(
        stubber,
        {"events": [event(30, TOLD.format(1, 154))]},
        {"events": [event(1, "DB instance created")], "to": "more"},
        {"events": [event(3, TOLD.format(3, 4711))], "from": "more"},
        instances=("g2", "g1"),
    )
    found = clone_position(api, "g2")
    assert found and found[0] == "mysql-bin-changelog.000003 4711"


def test_there_is_none_without_such_an_event(stubber: Stubber, api: Api) -> None:
    queue(stubber, {"events": [event(1, "DB instance created")]})
    assert clone_position(api, "g1") is None


@pytest.mark.parametrize("days", [14, 30])
def test_there_is_none_when_the_service_may_have_forgotten_it(stubber: Stubber, api: Api, days: int) -> None:
    queue(stubber, born=datetime.now(UTC) - timedelta(days=days))
    assert clone_position(api, "g1") is None
