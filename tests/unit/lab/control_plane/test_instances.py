# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DB instances of a cluster."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.lab.control_plane.conftest import Aws, refused
from tests.unit.lab.control_plane.fake_engine import AURORA

REQUEST: dict[str, Any] = {
    "DBInstanceIdentifier": "shop-9",
    "DBClusterIdentifier": "shop",
    "Engine": AURORA,
    "DBInstanceClass": "db.r6g.large",
}


def test_the_first_instance_is_the_writer_and_serves_the_cluster_endpoint(aws: Aws) -> None:
    aws.create(instances=2)
    cluster = aws.cluster("shop")
    assert [member["IsClusterWriter"] for member in cluster["DBClusterMembers"]] == [True, False]
    specs = {spec.role: spec for spec in aws.engine.servers.values()}
    assert specs["writer"].addresses[0] == aws.instance("shop-1")["Endpoint"]["Address"]
    assert set(specs["writer"].addresses[1:]) == {cluster["Endpoint"], cluster["ReaderEndpoint"]}
    own = aws.instance("shop-2")["Endpoint"]["Address"]
    assert specs["reader"].addresses == (own, cluster["ReaderEndpoint"])


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"DBInstanceIdentifier": "shop-1"}, "DBInstanceAlreadyExists"),
        ({"DBClusterIdentifier": "none"}, "DBClusterNotFoundFault"),
        ({"Engine": "aurora-mysql"}, "InvalidParameterCombination"),
        ({"EngineVersion": "18.4"}, "InvalidParameterCombination"),
        ({"DBInstanceClass": "db.huge"}, "InvalidParameterValue"),
        ({"DBInstanceClass": "db.serverless"}, "InvalidParameterCombination"),
        ({"PromotionTier": 16}, "InvalidParameterValue"),
        ({"DBParameterGroupName": "none"}, "DBParameterGroupNotFound"),
        ({"MasterUsername": "x"}, "InvalidParameterCombination"),
    ],
)
def test_a_wrong_request_is_refused_and_leaves_nothing(aws: Aws, change: dict[str, Any], code: str) -> None:
    aws.create()
    refused(code, aws.rds.create_db_instance, **{**REQUEST, **change})
    assert len(aws.rds.describe_db_instances()["DBInstances"]) == 1


def test_no_instance_joins_a_cluster_that_is_being_changed(aws: Aws) -> None:
    aws.create()
    aws.plane.clock.set_delay("modifying", 5)
    aws.rds.modify_db_cluster(DBClusterIdentifier="shop", MasterUserPassword="another+Word", ApplyImmediately=True)
    aws.until(lambda: aws.status("shop") == "modifying")
    refused("InvalidDBClusterStateFault", aws.rds.create_db_instance, **REQUEST)


def test_a_server_that_does_not_start_leaves_a_failed_instance_that_can_be_deleted(aws: Aws) -> None:
    aws.create(instances=0)
    aws.engine.refuse_start = "no memory"
    aws.rds.create_db_instance(**REQUEST)
    aws.until(lambda: aws.instance("shop-9")["DBInstanceStatus"] == "failed")
    assert "no memory" in aws.messages("db-instance", "shop-9")[0]
    aws.rds.delete_db_instance(DBInstanceIdentifier="shop-9")
    aws.until(lambda: not aws.rds.describe_db_instances()["DBInstances"])


def test_a_busy_instance_is_neither_rebooted_nor_modified_nor_deleted(aws: Aws) -> None:
    aws.create()
    aws.slow("rebooting")
    name = {"DBInstanceIdentifier": "shop-1"}
    assert aws.rds.reboot_db_instance(**name)["DBInstance"]["DBInstanceStatus"] == "rebooting"
    for call in (aws.rds.reboot_db_instance, aws.rds.modify_db_instance, aws.rds.delete_db_instance):
        refused("InvalidDBInstanceState", call, **name)
    aws.settled("shop")
    assert aws.engine.log == ["start writer", "stop writer", "start writer"]


def test_a_deleted_writer_is_replaced_by_a_reader(aws: Aws) -> None:
    aws.create(instances=2)
    aws.rds.delete_db_instance(DBInstanceIdentifier="shop-1")
    aws.until(lambda: len(aws.cluster("shop")["DBClusterMembers"]) == 1)
    assert aws.cluster("shop")["DBClusterMembers"][0]["IsClusterWriter"]
    (spec,) = aws.engine.servers.values()
    assert spec.role == "writer" and aws.cluster("shop")["Endpoint"] in spec.addresses


def test_an_instance_is_being_deleted_only_once(aws: Aws) -> None:
    aws.create()
    aws.slow("deleting")
    aws.rds.delete_db_instance(DBInstanceIdentifier="shop-1")
    message = refused("InvalidDBInstanceState", aws.rds.delete_db_instance, DBInstanceIdentifier="shop-1")
    assert "already being deleted" in message
    aws.until(lambda: not aws.rds.describe_db_instances()["DBInstances"])
    refused("DBInstanceNotFound", aws.rds.delete_db_instance, DBInstanceIdentifier="shop-1")


class TestFailover:
    """FailoverDBCluster and crashes."""

    def test_it_promotes_the_reader_of_the_lowest_tier(self, aws: Aws) -> None:
        aws.create(instances=3)
        aws.rds.modify_db_instance(DBInstanceIdentifier="shop-3", PromotionTier=0)
        assert aws.rds.failover_db_cluster(DBClusterIdentifier="shop")["DBCluster"]["Status"] == "failing-over"
        aws.settled("shop")
        writers = [m["DBInstanceIdentifier"] for m in aws.cluster("shop")["DBClusterMembers"] if m["IsClusterWriter"]]
        assert writers == ["shop-3"]
        assert aws.messages("db-cluster", "shop")[-1] == "Completed failover to DB instance: shop-3"

    def test_it_needs_a_reader(self, aws: Aws) -> None:
        aws.create()
        refused("InvalidDBClusterStateFault", aws.rds.failover_db_cluster, DBClusterIdentifier="shop")

    def test_a_killed_server_comes_back(self, aws: Aws) -> None:
        aws.create()
        knobs = aws.knobs
        knobs.turn("kill", {"instance": "shop-1"})
        assert aws.engine.log[-1] == "kill writer"
        aws.until(lambda: aws.engine.log[-1] == "start writer")
        aws.until(lambda: "Recovery of the DB instance is complete." in aws.messages("db-instance", "shop-1"))

    def test_a_killed_server_stays_down_when_asked(self, aws: Aws) -> None:
        aws.create()
        aws.knobs.turn("kill", {"instance": "shop-1", "restart": False})
        assert aws.engine.servers == {}
        aws.rds.reboot_db_instance(DBInstanceIdentifier="shop-1")
        aws.settled("shop")
        assert len(aws.engine.servers) == 1


def test_a_stopped_cluster_has_no_servers_and_starts_again(aws: Aws) -> None:
    aws.create(instances=2)
    assert aws.rds.stop_db_cluster(DBClusterIdentifier="shop")["DBCluster"]["Status"] == "stopping"
    aws.until(lambda: aws.status("shop") == "stopped")
    assert aws.engine.servers == {} and aws.instance("shop-1")["DBInstanceStatus"] == "stopped"
    refused("InvalidDBClusterStateFault", aws.rds.stop_db_cluster, DBClusterIdentifier="shop")
    aws.rds.start_db_cluster(DBClusterIdentifier="shop")
    aws.settled("shop")
    assert {spec.role for spec in aws.engine.servers.values()} == {"writer", "reader"}
