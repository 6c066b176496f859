# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is ours, what may be continued, what was seen: the decisions around green that need no lab."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from botocore.stub import Stubber

from ansible_collections.bluegreen.aws.plugins.module_utils._aws.api import Api
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.building import Mode, continues
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.clusters import Cluster, find_green
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.events import failure_reason
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.ownership import is_ours, mirrored_tags, ownership_tags
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.tending import ensure_tags, reboot_pending
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.waiters import Waits
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._core.journal import Journal

MakeCluster = Callable[..., Cluster]
Queue = Callable[..., None]

FAILED = "Database cluster is in a state that cannot be upgraded: Upgrade prechecks failed.\nSee the log."


def test_ownership_is_owner_and_deployment_together() -> None:
    tags = ownership_tags("shop-pg18")
    assert is_ours(tags, "shop-pg18")
    assert is_ours({**tags, "team": "shop"}, "shop-pg18")
    assert not is_ours(tags, "shop")
    assert not is_ours({**tags, "bluegreen:owner": "somebody"}, "shop-pg18")
    assert not is_ours({"bluegreen:deployment-id": "shop-pg18"}, "shop-pg18")


def test_tags_say_who_and_nothing_else() -> None:
    assert set(ownership_tags("x")) == {"bluegreen:owner", "bluegreen:deployment-id", "bluegreen:role"}
    assert mirrored_tags({"aws:x": "1", "bluegreen:role": "green", "team": "shop"}) == {"team": "shop"}


@pytest.mark.parametrize("mode", ["auto", "new"])
def test_a_free_identifier_is_created(mode: Mode) -> None:
    assert continues(None, "shop-pg18", "shop-pg18", mode) is False


@pytest.mark.parametrize("mode", ["auto", "resume"])
def test_a_green_of_ours_is_continued(green: MakeCluster, mode: Mode) -> None:
    assert continues(green(), "shop-pg18", "shop-pg18", mode) is True


@pytest.mark.parametrize("mode", ["auto", "new", "resume"])
def test_a_taken_identifier_is_refused_in_the_words_of_the_first_tool(green: MakeCluster, mode: Mode) -> None:
    with pytest.raises(BlueGreenError) as caught:
        continues(green(TagList=[]), "shop-pg18", "shop-pg18", mode)
    assert caught.value.message.startswith("Cluster with id = shop-pg18 already exists.")
    assert "choose another deployment_id" in caught.value.message


def test_a_green_of_another_deployment_is_taken(green: MakeCluster) -> None:
    with pytest.raises(BlueGreenError, match=r"already exists\. It does not belong to the deployment other"):
        continues(green(), "shop-pg18", "other", "auto")


def test_new_refuses_what_is_ours_and_says_how_to_go_on(green: MakeCluster) -> None:
    with pytest.raises(BlueGreenError, match=r"already exists\. It belongs to .* deployment_mode to resume or auto"):
        continues(green(), "shop-pg18", "shop-pg18", "new")


def test_resume_refuses_when_there_is_nothing() -> None:
    with pytest.raises(BlueGreenError, match="cluster shop-pg18 does not exist: set deployment_mode to auto or new"):
        continues(None, "shop-pg18", "shop-pg18", "resume")


def test_green_by_identifier_must_carry_the_tags(api: Api, answer_cluster: Queue, green: MakeCluster) -> None:
    ours = green()
    answer_cluster(ours.description)
    found = find_green(api, "shop-pg18", "shop-pg18")
    assert found is not None and found.identifier == "shop-pg18"
    answer_cluster({**ours.description, "TagList": []})
    assert find_green(api, "shop-pg18", "shop-pg18") is None
    answer_cluster(None)
    assert find_green(api, "shop-pg18", "shop-pg18") is None


def test_green_is_found_by_its_tags(
    api: Api, stubber: Stubber, answer_cluster: Queue, blue: MakeCluster, green: MakeCluster
) -> None:
    ours = green(DBClusterIdentifier="renamed")
    both = {"DBClusters": [blue().description, ours.description]}
    stubber.add_response("describe_db_clusters", both)
    answer_cluster(ours.description)
    found = find_green(api, "shop-pg18", None)
    assert found is not None and found.identifier == "renamed"
    stubber.add_response("describe_db_clusters", both)
    assert find_green(api, "other", None) is None


def test_a_secondary_of_a_green_elsewhere_is_not_green(api: Api, stubber: Stubber, green: MakeCluster) -> None:
    tags = [{"Key": key, "Value": value} for key, value in ownership_tags("shop-pg18", secondary=True).items()]
    stubber.add_response("describe_db_clusters", {"DBClusters": [green("x", TagList=tags).description]})
    assert find_green(api, "shop-pg18", None) is None


def test_the_writer_is_first_and_its_status_counts(blue: MakeCluster) -> None:
    cluster = blue(readers=2)
    assert [instance.is_writer for instance in cluster.instances] == [True, False, False]
    assert cluster.parameter_group_status == "in-sync"
    assert cluster.as_dict()["instances"][0]["db_instance_identifier"] == "shop-1"


def test_the_reason_of_a_failure_is_the_first_new_event_that_is_one() -> None:
    before = (("1", "Database cluster engine version upgrade started."), ("2", FAILED))
    now = (
        *before,
        ("3", "Upgrade in progress: Performing online pre-upgrade checks."),
        ("4", FAILED),
        ("5", "DB instance could not be restarted"),
    )
    assert failure_reason(before, now) == (
        "Database cluster is in a state that cannot be upgraded: Upgrade prechecks failed. See the log"
    )
    assert failure_reason(before, before) is None


@pytest.mark.parametrize(
    "message",
    [
        "Starting online upgrade prechecks",
        "Database cluster engine major version has been upgraded",
        "Started cross AZ failover to DB instance: shop-2",
        "DB instance restarted",
    ],
)
def test_what_is_no_failure_is_not_taken_for_one(message: str) -> None:
    assert failure_reason((), (("1", message),)) is None


@pytest.mark.parametrize(
    "message",
    [
        "Unable to upgrade DB cluster: logical replication slots exist",
        "Upgrade precheck failed",
        "The upgrade could not be completed",
        "Database cluster can't be upgraded",
    ],
)
def test_what_is_a_failure_is_taken_for_one(message: str) -> None:
    assert failure_reason((), (("1", message),)) == message


def pending(cluster: Cluster, *waiting: str) -> dict[str, object]:
    members = [
        {
            **member,
            "DBClusterParameterGroupStatus": "pending-reboot"
            if member["DBInstanceIdentifier"] in waiting
            else "in-sync",
        }
        for member in cluster.description["DBClusterMembers"]
    ]
    return {**cluster.description, "DBClusterMembers": members}


def test_the_writer_is_rebooted_first_and_the_others_only_if_they_still_wait(
    api: Api, stubber: Stubber, answer_cluster: Queue, blue: MakeCluster
) -> None:
    cluster = blue(readers=2)
    shapes = [dict(instance.description) for instance in cluster.instances]
    rebooting = [{**shapes[0], "DBInstanceStatus": "rebooting"}, *shapes[1:]]
    waiting = blue(readers=2, DBClusterMembers=pending(cluster, "shop-1", "shop-2", "shop-3")["DBClusterMembers"])
    stubber.add_response("reboot_db_instance", {}, {"DBInstanceIdentifier": "shop-1"})
    answer_cluster(pending(cluster, "shop-1", "shop-2", "shop-3"), *shapes)  # available still, but not rebooted
    answer_cluster(pending(cluster, "shop-1", "shop-2", "shop-3"), *rebooting)
    answer_cluster(pending(cluster, "shop-3"), *shapes)  # the writer took shop-2 with it
    stubber.add_response("reboot_db_instance", {}, {"DBInstanceIdentifier": "shop-3"})
    answer_cluster(cluster.description, *shapes)
    journal = Journal(check_mode=False)
    found = reboot_pending(api, waiting, Waits(5, 0), journal)
    assert found.parameter_group_status == "in-sync"
    assert [action.split(",")[0] for action in journal.actions] == ["reboot instance shop-1", "reboot instance shop-3"]


def test_what_is_in_sync_is_not_rebooted(api: Api, blue: MakeCluster) -> None:
    journal = Journal(check_mode=False)
    reboot_pending(api, blue(readers=2), Waits(5, 0), journal)
    assert journal.actions == []


def test_tags_are_set_and_purged_but_never_the_reserved_ones(api: Api, stubber: Stubber) -> None:
    now = {"aws:x": "1", "bluegreen:role": "green", "old": "1", "cost": "1"}
    arn = "arn:aws:rds:eu-central-1:1:cluster:g"
    added = [{"Key": "cost", "Value": "2"}]
    stubber.add_response("add_tags_to_resource", {}, {"ResourceName": arn, "Tags": added})
    stubber.add_response("remove_tags_from_resource", {}, {"ResourceName": arn, "TagKeys": ["old"]})
    ensure_tags(api, arn, now, {"cost": "2"}, True, Journal(check_mode=False))


def test_tags_that_are_right_are_left_alone(api: Api) -> None:
    now = {"bluegreen:role": "green", "old": "1", "cost": "2"}
    journal = Journal(check_mode=False)
    ensure_tags(api, "arn", now, {"bluegreen:role": "green", "cost": "2"}, False, journal)
    assert journal.actions == []
