# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blue/green deployments that the service manages, over engines and a link that are records only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.lab.control_plane.names import Names
from tests.unit.lab.control_plane.conftest import Aws, refused
from tests.unit.lab.control_plane.fake_engine import AURORA, MYSQL
from tests.unit.lab.control_plane.fake_link import FakeLink

NEWER = "18.4"
MYSQL_OLD = "8.0.mysql_aurora.3.05.2"


@dataclass
class Service:
    """A lab with names whose deployments have a fake link."""

    aws: Aws
    link: FakeLink
    names: Names

    @property
    def rds(self) -> Any:
        """The client."""
        return self.aws.rds

    def postgresql(self, cluster: str = "shop", instances: int = 2, **options: Any) -> str:
        """Make a production cluster of Aurora PostgreSQL; return its ARN."""
        return self._cluster(
            AURORA, "16.14", "aurora-postgresql16", "rds.logical_replication", "1", cluster, instances, options
        )

    def mysql(self, cluster: str = "shop", instances: int = 2, **options: Any) -> str:
        """Make a production cluster of Aurora MySQL; return its ARN."""
        return self._cluster(MYSQL, MYSQL_OLD, "aurora-mysql8.0", "binlog_format", "ROW", cluster, instances, options)

    def _cluster(
        self,
        engine: str,
        version: str,
        family: str,
        name: str,
        value: str,
        cluster: str,
        instances: int,
        options: dict[str, Any],
    ) -> str:
        self.group(f"{cluster}-blue", family, name, value)
        self.aws.create(cluster, version, instances, engine, DBClusterParameterGroupName=f"{cluster}-blue", **options)
        return str(self.aws.cluster(cluster)["DBClusterArn"])

    def group(self, name: str, family: str, parameter: str = "", value: str = "") -> None:
        """Make a cluster parameter group."""
        self.rds.create_db_cluster_parameter_group(
            DBClusterParameterGroupName=name, DBParameterGroupFamily=family, Description="-"
        )
        if parameter:
            entry = {"ParameterName": parameter, "ParameterValue": value, "ApplyMethod": "pending-reboot"}
            self.rds.modify_db_cluster_parameter_group(DBClusterParameterGroupName=name, Parameters=[entry])

    def create(self, source: str, name: str = "shop-bg", **options: Any) -> dict[str, Any]:
        """Ask for a deployment."""
        found: dict[str, Any] = self.rds.create_blue_green_deployment(
            BlueGreenDeploymentName=name, Source=source, **options
        )["BlueGreenDeployment"]
        return found

    def get(self, name: str = "shop-bg") -> dict[str, Any]:
        """The deployment as described."""
        filters = [{"Name": "blue-green-deployment-name", "Values": [name]}]
        found: list[dict[str, Any]] = self.rds.describe_blue_green_deployments(Filters=filters)["BlueGreenDeployments"]
        return found[0]

    def wait(self, status: str, name: str = "shop-bg") -> dict[str, Any]:
        """Wait for a status; return the deployment."""
        self.aws.until(lambda: self.get(name)["Status"] == status)
        return self.get(name)

    def available(self, source: str, **options: Any) -> dict[str, Any]:
        """Make a deployment and wait until it can be switched over."""
        self.create(source, **options)
        return self.wait("AVAILABLE")

    def switch(self, timeout: int = 30) -> None:
        """Ask for the switchover."""
        self.rds.switchover_blue_green_deployment(
            BlueGreenDeploymentIdentifier=self.get()["BlueGreenDeploymentIdentifier"], SwitchoverTimeout=timeout
        )

    def events(self) -> list[str]:
        """The messages of the deployment's events."""
        return self.aws.messages("blue-green-deployment", self.get()["BlueGreenDeploymentIdentifier"])


@pytest.fixture
def service(aws: Aws, tmp_path: Path) -> Iterator[Service]:
    """A fresh lab with names and quick deployments."""
    link = FakeLink()
    names = Names(tmp_path, tmp_path / "none.so")
    names.start()
    aws.plane.names = names
    aws.plane.managed.make_link = lambda *_facts: link
    quick = {"SWITCHOVER_INITIATED": 0.02, "SWITCHOVER_IN_PROGRESS": 0.02, "SWITCHOVER_COMPLETED": 0.1}
    aws.knobs.turn("managed", {"provisioning": 0.01, "dns_delay": 0.1, "hold": quick})
    yield Service(aws, link, names)


def name_of(arn: str) -> str:
    """The identifier in an ARN."""
    return arn.rsplit(":", 1)[1]


class TestCreation:
    """CreateBlueGreenDeployment."""

    def test_green_is_a_copy_with_names_and_servers_of_its_own(self, service: Service) -> None:
        source = service.postgresql(DeletionProtection=True, Tags=[{"Key": "team", "Value": "shop"}])
        answer = service.create(source, Tags=[{"Key": "a", "Value": "b"}])
        assert (answer["Status"], answer["Source"], answer.get("Target")) == ("PROVISIONING", source, None)
        assert re.fullmatch(r"bgd-[a-z0-9]{16}", answer["BlueGreenDeploymentIdentifier"])
        found = service.wait("AVAILABLE")
        assert [task["Name"] for task in found["Tasks"]] == [
            "CREATING_READ_REPLICA_OF_SOURCE",
            "CREATE_DB_INSTANCES_FOR_CLUSTER",
            "CONFIGURE_BACKUPS",
        ]
        assert {task["Status"] for task in found["Tasks"]} == {"COMPLETED"}
        members = [
            (name_of(d["SourceMember"]), name_of(d["TargetMember"]), d["Status"]) for d in found["SwitchoverDetails"]
        ]
        assert [source for source, _target, _status in members] == ["shop", "shop-1", "shop-2"]
        assert all(re.fullmatch(rf"{s}-green-[a-z0-9]{{6}}", t) for s, t, _status in members)
        assert len({target[-6:] for _source, target, _status in members}) == 3
        assert {status for *_names, status in members} == {"AVAILABLE"}
        green, blue = service.aws.cluster(members[0][1]), service.aws.cluster("shop")
        assert found["Target"] == green["DBClusterArn"] and found["TagList"] == [{"Key": "a", "Value": "b"}]
        assert green["DeletionProtection"] and green["TagList"] == blue["TagList"]
        assert service.aws.engine.volumes[green["DbClusterResourceId"]].copy_of == blue["DbClusterResourceId"]
        assert service.names.lookup(green["Endpoint"]) != service.names.lookup(blue["Endpoint"])
        assert service.link.log[:2] == ["prepare", "start"]
        assert (
            service.link.rows["blue"]
            == service.link.rows["green"]
            == [
                ("SOURCE", blue["Endpoint"], "AVAILABLE"),
                ("TARGET", green["Endpoint"], "AVAILABLE"),
            ]
        )
        assert service.events()[0].startswith("Blue/green deployment tasks completed.")

    def test_provisioning_shows_its_tasks_and_members_one_after_the_other(self, service: Service) -> None:
        source = service.postgresql(instances=1)
        service.aws.knobs.turn("managed", {"provisioning": 0.3})
        service.create(source)
        assert "Status" not in service.get()["SwitchoverDetails"][0]
        service.aws.until(lambda: service.get()["Tasks"][1]["Status"] == "IN_PROGRESS")
        found = service.get()
        assert [task["Status"] for task in found["Tasks"]] == ["COMPLETED", "IN_PROGRESS", "PENDING"]
        assert {detail["Status"] for detail in found["SwitchoverDetails"]} == {"PROVISIONING"}

    def test_a_version_upgrades_green_alone(self, service: Service) -> None:
        source = service.postgresql(instances=1)
        service.group("shop-green", "aurora-postgresql18")
        found = service.available(source, TargetEngineVersion=NEWER, TargetDBClusterParameterGroupName="shop-green")
        assert "DB_ENGINE_VERSION_UPGRADE" in [task["Name"] for task in found["Tasks"]]
        green = service.aws.cluster(name_of(found["Target"]))
        assert (green["EngineVersion"], service.aws.cluster("shop")["EngineVersion"]) == (NEWER, "16.14")
        assert green["DBClusterParameterGroup"] == "shop-green"
        assert green["DBClusterMembers"][0]["DBClusterParameterGroupStatus"] == "in-sync"

    def test_an_upgrade_that_is_refused_leaves_an_invalid_deployment_with_the_reason(self, service: Service) -> None:
        source = service.postgresql(instances=1)
        service.aws.engine.refuse_upgrade = "the extension x must be updated first"
        service.create(
            source, TargetEngineVersion=NEWER, TargetDBClusterParameterGroupName="default.aurora-postgresql18"
        )
        found = service.wait("INVALID_CONFIGURATION")
        assert "the extension x must be updated first" in found["StatusDetails"]
        assert [task["Status"] for task in found["Tasks"]] == ["COMPLETED", "FAILED", "PENDING", "PENDING"]
        assert any(m.startswith("Creation of blue/green deployment failed because") for m in service.events())

    def test_too_few_slots_are_said_as_the_service_says_it(self, service: Service) -> None:
        source = service.postgresql(instances=1)
        wrong = "incompatible parameter(s): max_replication_slots, and max_logical_replication_workers."
        service.link.refuse = {"prepare": f"due to {wrong}"}
        service.create(source)
        assert service.wait("INVALID_CONFIGURATION")["StatusDetails"] == (
            f"Creation of blue/green deployment failed due to {wrong}"
        )

    def test_a_target_group_waits_for_a_reboot_of_green(self, service: Service) -> None:
        source = service.mysql(instances=1)
        service.group("shop-green", "aurora-mysql8.0", "binlog_format", "MIXED")
        found = service.available(source, TargetDBClusterParameterGroupName="shop-green")
        green = service.aws.cluster(name_of(found["Target"]))
        assert green["DBClusterParameterGroup"] == "shop-green"
        assert green["DBClusterMembers"][0]["DBClusterParameterGroupStatus"] == "pending-reboot"


class TestRefusals:
    """What no deployment can be made of."""

    def test_names_and_sources(self, service: Service) -> None:
        source = service.postgresql(instances=1)
        refused("InvalidParameterValue", service.create, source="arn:aws:rds:eu-west-1:123456789012:cluster:shop")
        refused("DBClusterNotFoundFault", service.create, source=source + "x")
        refused("DBInstanceNotFound", service.create, source=source.replace("cluster:shop", "db:nobody"))
        member = source.replace("cluster:shop", "db:shop-1")
        assert "member of the DB cluster" in refused("SourceDatabaseNotSupportedFault", service.create, source=member)
        refused("InvalidParameterCombination", service.create, source=source, TargetDBInstanceClass="db.r6g.large")
        service.available(source)
        assert "'shop-bg' already exists" in refused(
            "BlueGreenDeploymentAlreadyExistsFault", service.create, source=source
        )
        assert "already part of" in refused(
            "SourceClusterNotSupportedFault", service.create, source=source, name="another"
        )

    def test_blue_must_write_what_green_is_to_read(self, service: Service) -> None:
        service.aws.create("plain", instances=1)
        arn = service.aws.cluster("plain")["DBClusterArn"]
        assert refused("SourceClusterNotSupportedFault", service.create, source=arn).startswith(
            "Blue/Green Deployments require a DB cluster with logical replication enabled."
        )
        service.aws.create("binless", MYSQL_OLD, 1, MYSQL)
        arn = service.aws.cluster("binless")["DBClusterArn"]
        assert refused("SourceClusterNotSupportedFault", service.create, source=arn) == (
            "Blue Green Deployments requires cluster parameter group has binlog enabled."
        )

    def test_a_group_that_waits_for_a_reboot_does_not_count(self, service: Service) -> None:
        source = service.mysql(instances=1)
        service.group("other", "aurora-mysql8.0", "binlog_format", "MIXED")
        service.rds.modify_db_cluster(DBClusterIdentifier="shop", DBClusterParameterGroupName="other")
        refused("SourceClusterNotSupportedFault", service.create, source=source)

    def test_a_major_upgrade_of_postgresql_needs_named_groups(self, service: Service) -> None:
        source = service.postgresql(instances=1)
        assert refused(
            "InvalidParameterCombination", service.create, source=source, TargetEngineVersion=NEWER
        ).startswith(
            "The current DB cluster parameter group shop-blue is custom. You must explicitly specify a new DB cluster "
            "parameter group"
        )
        refused("InvalidParameterCombination", service.create, source=source, TargetEngineVersion="16.10")
        refused("InvalidParameterCombination", service.create, source=source, TargetEngineVersion="99")
        refused(
            "DBClusterParameterGroupNotFound", service.create, source=source, TargetDBClusterParameterGroupName="none"
        )

    def test_a_managed_password_and_states_and_quotas_and_permissions(self, service: Service) -> None:
        source = service.postgresql(instances=1)
        service.aws.knobs.turn("deny", {"operation": "CreateDBCluster"})
        refused("AccessDenied", service.create, source=source)
        service.aws.plane.faults.clear()
        service.aws.knobs.turn("quota", {"quota": "DBClusters", "room": 0})
        refused("DBClusterQuotaExceededFault", service.create, source=source)
        service.aws.plane.region("us-east-1").quotas.clear()
        service.aws.plane.region("us-east-1").instances["shop-1"].status = "modifying"
        refused("InvalidDBInstanceState", service.create, source=source)
        service.aws.plane.region("us-east-1").instances["shop-1"].status = "available"
        service.rds.modify_db_cluster(DBClusterIdentifier="shop", ManageMasterUserPassword=True, ApplyImmediately=True)
        assert "Secrets Manager" in refused("SourceClusterNotSupportedFault", service.create, source=source)

    def test_a_lab_without_names_has_no_deployments(self, aws: Aws) -> None:
        refused(
            "InvalidAction",
            aws.rds.create_blue_green_deployment,
            BlueGreenDeploymentName="x",
            Source="arn:aws:rds:us-east-1:123456789012:cluster:shop",
        )


class TestSwitchover:
    """SwitchoverBlueGreenDeployment."""

    def test_green_becomes_production_under_the_names_of_blue(self, service: Service) -> None:
        source = service.mysql(Tags=[{"Key": "team", "Value": "shop"}])
        service.link.position = "mysql-bin-changelog.000003 40134574"
        found = service.available(source)
        green_name = name_of(found["Target"])
        writer_name = name_of(found["SwitchoverDetails"][1]["TargetMember"])
        blue, green = service.aws.cluster("shop"), service.aws.cluster(green_name)
        service.rds.add_tags_to_resource(ResourceName=found["Target"], Tags=[{"Key": "mine", "Value": "x"}])
        where_blue, where_green = (service.names.lookup(side["Endpoint"]) for side in (blue, green))
        service.link.seen.clear()
        service.switch()
        assert service.get()["Status"] == "SWITCHOVER_IN_PROGRESS"
        done = service.wait("SWITCHOVER_COMPLETED")
        assert service.link.log[-8:].index("stop_writes") < service.link.log[-8:].index("finish")
        assert [service.link.writable, done["Target"], done["Source"]] == ["green", source, source + "-old1"]
        pairs = [
            (name_of(d["SourceMember"]), name_of(d["TargetMember"]), d["Status"]) for d in done["SwitchoverDetails"]
        ]
        assert pairs == [(f"{n}-old1", n, "SWITCHOVER_COMPLETED") for n in ("shop", "shop-1", "shop-2")]
        now, old = service.aws.cluster("shop"), service.aws.cluster("shop-old1")
        assert (now["DbClusterResourceId"], old["DbClusterResourceId"]) == (
            green["DbClusterResourceId"],
            blue["DbClusterResourceId"],
        )
        assert now["TagList"] == [{"Key": "team", "Value": "shop"}]
        assert service.names.lookup(now["Endpoint"]) == where_green
        assert service.names.lookup(old["Endpoint"]) == where_blue
        service.aws.until(lambda: service.names.lookup(green["Endpoint"]) is None)
        service.aws.until(lambda: service.link.rows == {"blue": [], "green": []})
        statuses = [
            [f"{role} {status.removeprefix('SWITCHOVER_')}" for role, status in rows] for rows in service.link.seen
        ]
        assert statuses == [
            ["SOURCE INITIATED", "TARGET INITIATED"],
            ["SOURCE IN_PROGRESS", "TARGET IN_PROGRESS"],
            ["SOURCE IN_POST_PROCESSING", "TARGET IN_POST_PROCESSING"],
            ["TARGET COMPLETED"],
            [],
        ]
        assert service.events()[1:] == [
            f"Switchover from shop to {green_name} started.",
            f"Switchover from DB cluster shop to {green_name} started.",
            f"Switchover from DB cluster shop to {green_name} completed. Renamed shop to shop-old1 and {green_name} to shop.",
            "Switchover completed on blue/green deployment.",
        ]
        assert service.aws.messages("db-instance", writer_name)[-1] == (
            "Binary log coordinates in green environment after switchover: file mysql-bin-changelog.000003 and position "
            "40134574"
        )

    def test_names_move_late_and_nothing_else_waits_for_them(self, service: Service) -> None:
        source = service.postgresql(instances=1)
        service.available(source)
        endpoint = service.aws.cluster("shop")["Endpoint"]
        before = service.names.lookup(endpoint)
        service.aws.knobs.turn("managed", {"dns_delay": 0.6})
        service.switch()
        service.aws.until(lambda: service.link.writable == "green")
        assert service.names.lookup(endpoint) == before
        assert service.get()["Status"] == "SWITCHOVER_IN_PROGRESS"
        service.wait("SWITCHOVER_COMPLETED")
        assert service.names.lookup(endpoint) != before

    @pytest.mark.parametrize(
        ("knobs", "reason"),
        [
            ({"broken_link": "IOError: 1236, reason: no log"}, "Correct the replication errors and then switch over."),
            ({"degrade": "a table was created"}, "Replication degraded: a table was created"),
            ({"lag": 100.0}, "the replica lag of the green environment is 100 seconds"),
        ],
    )
    def test_a_guardrail_cancels_it_with_the_reason(self, service: Service, knobs: dict[str, Any], reason: str) -> None:
        service.available(service.postgresql(instances=1))
        service.aws.knobs.turn("managed", knobs)
        service.switch()
        service.aws.until(lambda: "Switchover canceled on blue/green deployment." in service.events())
        assert service.get()["Status"] == "AVAILABLE"
        assert any(f"was canceled due to {reason}" in message for message in service.events())
        assert "stop_writes" not in service.link.log and service.link.rows["blue"][0][2] == "AVAILABLE"

    def test_objections_of_the_servers_cancel_it(self, service: Service) -> None:
        service.available(service.postgresql(instances=1))
        service.link.against = {"blue": ["a long write"], "green": ["a write"]}
        service.switch()
        service.aws.until(lambda: any("canceled due to a write; a long write." in m for m in service.events()))

    def test_what_takes_too_long_is_rolled_back(self, service: Service) -> None:
        service.available(service.postgresql(instances=1))
        service.aws.knobs.turn("managed", {"timeout": 0.5})
        service.link.behind = True
        service.switch()
        service.aws.until(lambda: service.link.writable is None)
        service.wait("AVAILABLE")
        assert service.link.writable == "blue" and "finish" not in service.link.log
        assert any("within the timeout of 0.5 seconds" in message for message in service.events())
        assert service.link.rows["green"][0][2] == "AVAILABLE"
        service.link.behind = False
        service.aws.knobs.turn("managed", {"timeout": None})
        service.switch()
        service.wait("SWITCHOVER_COMPLETED")

    def test_a_server_that_ends_on_the_way_cancels_it(self, service: Service) -> None:
        service.available(service.postgresql(instances=1))
        service.link.refuse = {"stop_writes": "The writer of the blue environment does not run."}
        service.switch()
        service.wait("AVAILABLE")
        assert service.link.writable == "blue"
        assert any("was canceled due to The writer of the blue" in message for message in service.events())

    def test_a_failure_beyond_the_way_back_is_one(self, service: Service) -> None:
        service.available(service.postgresql(instances=1))
        service.aws.knobs.turn("managed", {"fail_switchover": "the sequences could not be synchronised"})
        service.switch()
        found = service.wait("SWITCHOVER_FAILED")
        assert "the sequences could not be synchronised" in found["StatusDetails"]
        assert {d["Status"] for d in found["SwitchoverDetails"]} == {"SWITCHOVER_FAILED"}
        assert service.link.writable == "blue"
        refused("InvalidBlueGreenDeploymentStateFault", service.switch)

    def test_it_needs_a_time_and_members_that_are_available(self, service: Service) -> None:
        found = service.available(service.postgresql(instances=1))
        refused("InvalidParameterValue", service.switch, timeout=3601)
        green = name_of(found["SwitchoverDetails"][1]["TargetMember"])
        service.aws.plane.region("us-east-1").instances[green].status = "storage-initialization"
        assert refused("InvalidBlueGreenDeploymentStateFault", service.switch) == (
            f"DB instance {green} is not in available state."
        )

    def test_a_second_deployment_finds_the_next_free_old_name(self, service: Service) -> None:
        source = service.postgresql(instances=1)
        for old in ("old1", "old2"):
            service.available(source)
            service.switch()
            found = service.wait("SWITCHOVER_COMPLETED")
            assert found["Source"] == f"{source}-{old}"
            service.rds.delete_blue_green_deployment(
                BlueGreenDeploymentIdentifier=found["BlueGreenDeploymentIdentifier"]
            )
            service.aws.until(lambda: not service.rds.describe_blue_green_deployments()["BlueGreenDeployments"])

    def test_metadata_can_come_late_or_freeze(self, service: Service) -> None:
        service.aws.knobs.turn("managed", {"metadata_delay": 0.8, "freeze_metadata": True})
        service.available(service.postgresql(instances=1))
        assert service.link.rows["blue"] == []
        service.aws.until(lambda: len(service.link.rows["blue"]) == 2)
        service.switch()
        service.wait("SWITCHOVER_COMPLETED")
        assert {row[2] for row in service.link.rows["blue"]} == {"SWITCHOVER_IN_PROGRESS"}
        assert service.link.rows["green"] == []


class TestTrouble:
    """What goes wrong while a deployment waits."""

    def test_a_broken_replication_is_said_once_and_can_heal(self, service: Service) -> None:
        service.available(service.postgresql(instances=1))
        service.aws.knobs.turn("managed", {"broken_link": "IOError: 1236, reason: no log"})
        said = "Read Replica Replication Error - IOError: 1236, reason: no log"
        service.aws.until(lambda: service.get().get("StatusDetails") == said)
        service.aws.knobs.turn("managed", {"broken_link": None})
        service.aws.until(lambda: "StatusDetails" not in service.get())
        assert service.events().count(said) == 1

    @pytest.mark.parametrize("side", ["source", "target"])
    def test_a_member_can_be_missing(self, service: Service, side: str) -> None:
        service.available(service.postgresql())
        service.aws.knobs.turn("managed", {"missing": side})
        found = service.get()
        assert found["Status"] == "INVALID_CONFIGURATION"
        assert found["SwitchoverDetails"][-1]["Status"] == f"MISSING_{side.upper()}"
        refused("InvalidBlueGreenDeploymentStateFault", service.switch)

    def test_a_deleted_member_is_missing(self, service: Service) -> None:
        found = service.available(service.postgresql())
        name = name_of(found["SwitchoverDetails"][2]["TargetMember"])
        service.rds.delete_db_instance(DBInstanceIdentifier=name)
        found = service.wait("INVALID_CONFIGURATION")
        assert [d["Status"] for d in found["SwitchoverDetails"]] == ["AVAILABLE", "AVAILABLE", "MISSING_TARGET"]
        assert name in found["StatusDetails"]

    def test_it_can_be_invalid_and_its_clusters_are_not_stopped(self, service: Service) -> None:
        service.available(service.postgresql(instances=1))
        refused("InvalidDBClusterStateFault", service.rds.stop_db_cluster, DBClusterIdentifier="shop")
        service.aws.knobs.turn("managed", {"invalid": "somebody changed it"})
        assert (service.get()["Status"], service.get()["StatusDetails"]) == (
            "INVALID_CONFIGURATION",
            "somebody changed it",
        )
        service.aws.knobs.turn("clear", {})
        assert service.get()["Status"] == "AVAILABLE"
        with pytest.raises(ValueError, match="no knob 'wrong'"):
            service.aws.knobs.turn("managed", {"wrong": 1})


class TestDeletion:
    """DeleteBlueGreenDeployment."""

    def delete(self, service: Service, **options: Any) -> None:
        """Delete the deployment and wait until it is gone."""
        identifier = service.get()["BlueGreenDeploymentIdentifier"]
        answer = service.rds.delete_blue_green_deployment(BlueGreenDeploymentIdentifier=identifier, **options)
        assert answer["BlueGreenDeployment"]["Status"] == "DELETING" and answer["BlueGreenDeployment"]["DeleteTime"]
        service.aws.until(lambda: not service.rds.describe_blue_green_deployments()["BlueGreenDeployments"])
        missing = {"BlueGreenDeploymentIdentifier": identifier}
        refused("BlueGreenDeploymentNotFoundFault", service.rds.describe_blue_green_deployments, **missing)
        assert service.aws.messages("blue-green-deployment", identifier)[-1] == "Blue/green deployment deleted."

    def clusters(self, service: Service) -> int:
        """The number of clusters."""
        return len(service.rds.describe_db_clusters()["DBClusters"])

    def test_before_the_switchover_with_green(self, service: Service) -> None:
        found = service.available(service.postgresql(DeletionProtection=True))
        identifier = found["BlueGreenDeploymentIdentifier"]
        wanted = {"BlueGreenDeploymentIdentifier": identifier, "DeleteTarget": True}
        refused("InvalidParameterCombination", service.rds.delete_blue_green_deployment, **wanted)
        service.rds.modify_db_cluster(DBClusterIdentifier=name_of(found["Target"]), DeletionProtection=False)
        self.delete(service, DeleteTarget=True)
        assert self.clusters(service) == 1 and service.link.log[-1] == "drop"
        assert len(service.rds.describe_db_instances()["DBInstances"]) == 2

    def test_before_it_without_green_both_remain(self, service: Service) -> None:
        service.available(service.mysql(instances=1))
        self.delete(service, DeleteTarget=False)
        assert self.clusters(service) == 2 and service.link.log[-1] == "drop"

    def test_after_it_the_old_production_can_be_written_to(self, service: Service) -> None:
        found = service.available(service.mysql(instances=1))
        service.switch()
        service.wait("SWITCHOVER_COMPLETED")
        wanted = {"BlueGreenDeploymentIdentifier": found["BlueGreenDeploymentIdentifier"], "DeleteTarget": True}
        assert "DeleteTarget" in refused(
            "InvalidParameterCombination", service.rds.delete_blue_green_deployment, **wanted
        )
        self.delete(service)
        assert service.link.writable == "both" and self.clusters(service) == 2

    def test_not_while_something_happens(self, service: Service) -> None:
        service.aws.knobs.turn("managed", {"hold": {"PROVISIONING": 0.5}})
        found = service.create(service.postgresql(instances=1))
        wanted = {"BlueGreenDeploymentIdentifier": found["BlueGreenDeploymentIdentifier"]}
        refused("InvalidBlueGreenDeploymentStateFault", service.rds.delete_blue_green_deployment, **wanted)


def test_deployments_have_tags(service: Service) -> None:
    found = service.available(service.postgresql(instances=1))
    arn = f"arn:aws:rds:us-east-1:123456789012:deployment:{found['BlueGreenDeploymentIdentifier']}"
    service.rds.add_tags_to_resource(ResourceName=arn, Tags=[{"Key": "a", "Value": "b"}])
    assert service.get()["TagList"] == [{"Key": "a", "Value": "b"}]


class TestGlobalDatabase:
    """A global database is copied in all its Regions, and renamed in all of them."""

    @pytest.fixture
    def world(self, service: Service, eu: Any) -> str:
        """The global cluster world of shop and shop-eu; return the ARN of its primary."""
        source = service.postgresql(instances=1)
        service.rds.create_global_cluster(GlobalClusterIdentifier="world", SourceDBClusterIdentifier=source)
        service.aws.until(lambda: service.aws.world()["Status"] == "available")
        eu.create_db_cluster(DBClusterIdentifier="shop-eu", Engine=AURORA, GlobalClusterIdentifier="world")
        eu.create_db_instance(
            DBInstanceIdentifier="shop-eu-1",
            DBClusterIdentifier="shop-eu",
            Engine=AURORA,
            DBInstanceClass="db.r6g.large",
        )
        service.aws.until(
            lambda: (
                eu.describe_db_clusters(DBClusterIdentifier="shop-eu")["DBClusters"][0]["Status"] == "available"
                and eu.describe_db_instances()["DBInstances"][0]["DBInstanceStatus"] == "available"
                and all(m["SynchronizationStatus"] == "connected" for m in service.aws.world()["GlobalClusterMembers"])
            )
        )
        return source

    def test_it_is_switched_over_in_all_regions(self, service: Service, world: str, eu: Any) -> None:
        before = eu.describe_db_clusters(DBClusterIdentifier="shop-eu")["DBClusters"][0]
        host = service.aws.world()["Endpoint"]
        found = service.available(
            world, TargetEngineVersion=NEWER, TargetDBClusterParameterGroupName="default.aurora-postgresql18"
        )
        members = [name_of(detail["SourceMember"]) for detail in found["SwitchoverDetails"]]
        assert members == ["shop", "shop-1", "shop-eu", "shop-eu-1"]
        secondary = eu.describe_db_clusters(DBClusterIdentifier=found["SwitchoverDetails"][2]["TargetMember"])
        green = secondary["DBClusters"][0]
        assert (green["EngineVersion"], before["EngineVersion"]) == (NEWER, "16.14")
        where = service.names.lookup(host)
        service.switch()
        service.wait("SWITCHOVER_COMPLETED")
        now = eu.describe_db_clusters(DBClusterIdentifier="shop-eu")["DBClusters"][0]
        assert now["DbClusterResourceId"] == green["DbClusterResourceId"]
        assert (now["Endpoint"], now["GlobalClusterIdentifier"]) == (before["Endpoint"], "world")
        old = eu.describe_db_clusters(DBClusterIdentifier="shop-eu-old1")["DBClusters"][0]
        assert old["GlobalClusterIdentifier"] == "world-old1"
        assert service.names.lookup(host) not in (None, where)

    def test_green_is_deleted_in_all_regions(self, service: Service, world: str, eu: Any) -> None:
        found = service.available(world)
        service.rds.delete_blue_green_deployment(
            BlueGreenDeploymentIdentifier=found["BlueGreenDeploymentIdentifier"], DeleteTarget=True
        )
        service.aws.until(lambda: not service.rds.describe_blue_green_deployments()["BlueGreenDeployments"])
        assert [c["DBClusterIdentifier"] for c in eu.describe_db_clusters()["DBClusters"]] == ["shop-eu"]
        groups = service.rds.describe_global_clusters()["GlobalClusters"]
        assert [group["GlobalClusterIdentifier"] for group in groups] == ["world"]

    def test_a_change_of_its_topology_makes_the_deployment_invalid(self, service: Service, world: str, eu: Any) -> None:
        source = "arn:aws:rds:eu-west-1:123456789012:cluster:shop-eu"
        assert "in the Region of its primary" in refused(
            "SourceClusterNotSupportedFault",
            eu.create_blue_green_deployment,
            BlueGreenDeploymentName="x",
            Source=source,
        )
        service.available(world)
        service.rds.remove_from_global_cluster(GlobalClusterIdentifier="world", DbClusterIdentifier=source)
        found = service.wait("INVALID_CONFIGURATION")
        assert "topology" in found["StatusDetails"]
        refused("InvalidBlueGreenDeploymentStateFault", service.switch)
