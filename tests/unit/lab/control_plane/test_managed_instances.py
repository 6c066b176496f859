# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blue/green deployments of DB instances that stand alone, over engines and a link that are records only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.lab.control_plane.addresses import Addresses
from tests.lab.control_plane.clock import DELAYS, Clock
from tests.lab.control_plane.knobs import Knobs
from tests.lab.control_plane.names import Names
from tests.lab.control_plane.plane import ControlPlane
from tests.lab.control_plane.server import Endpoint
from tests.lab.engine import EngineVersion
from tests.unit.lab.control_plane.conftest import DELAY, Aws, refused
from tests.unit.lab.control_plane.fake_engine import FakeEngine, FakeMySQL
from tests.unit.lab.control_plane.fake_link import FakeLink

OLD, NEW = "8.0.42", "8.4.7"


class FakeRdsPostgreSQL(FakeEngine):
    """RDS for PostgreSQL."""

    def versions(self) -> Sequence[EngineVersion]:
        """Two major versions."""
        return (
            EngineVersion("postgres", "16.14", "postgres16", 16, ("18.4",)),
            EngineVersion("postgres", "18.4", "postgres18", 18, ()),
        )


class FakeRdsMySQL(FakeMySQL):
    """RDS for MySQL."""

    def versions(self) -> Sequence[EngineVersion]:
        """Two major versions."""
        return (
            EngineVersion("mysql", OLD, "mysql8.0", 8, (NEW,)),
            EngineVersion("mysql", NEW, "mysql8.4", 8, ()),
        )


@pytest.fixture
def link() -> FakeLink:
    """The link of every deployment."""
    return FakeLink()


@pytest.fixture
def alone(endpoint: Endpoint, rds: Any, link: FakeLink, tmp_path: Path) -> Iterator[Aws]:
    """A fresh lab with names and the engines of DB instances."""
    names = Names(tmp_path, tmp_path / "none.so")
    names.start()
    postgresql, mysql = FakeRdsPostgreSQL(), FakeRdsMySQL()
    clock = Clock(dict.fromkeys(DELAYS, DELAY))
    plane = ControlPlane({"postgres": postgresql, "mysql": mysql}, Addresses(), clock, names)
    plane.managed.make_link = lambda *_facts: link
    endpoint.serve(plane, lambda: None)
    found = Aws(plane, postgresql, mysql, endpoint, rds, Knobs(plane, lambda: None))
    quick = {"SWITCHOVER_INITIATED": 0.02, "SWITCHOVER_IN_PROGRESS": 0.02, "SWITCHOVER_COMPLETED": 0.05}
    found.knobs.turn("managed", {"provisioning": 0.01, "dns_delay": 0.05, "hold": quick})
    yield found
    plane.close()


def instance(aws: Aws, engine: str = "mysql", version: str = OLD, **options: Any) -> str:
    """Make a production instance; return its ARN."""
    options = {"BackupRetentionPeriod": 7, **options}
    aws.rds.create_db_instance(
        DBInstanceIdentifier="shop",
        Engine=engine,
        EngineVersion=version,
        DBInstanceClass="db.r6g.large",
        AllocatedStorage=20,
        MasterUsername="admin1",
        MasterUserPassword="first+Pass-word",
        DBName="shop",
        **options,
    )
    aws.until(lambda: bool(aws.instance("shop")["DBInstanceStatus"] == "available"))
    return str(aws.instance("shop")["DBInstanceArn"])


def create(aws: Aws, source: str, **options: Any) -> None:
    """Ask for a deployment."""
    aws.rds.create_blue_green_deployment(BlueGreenDeploymentName="bg", Source=source, **options)


def wait(aws: Aws, status: str) -> dict[str, Any]:
    """Wait for a status of the only deployment; return it."""

    def found() -> dict[str, Any]:
        one: dict[str, Any] = aws.rds.describe_blue_green_deployments()["BlueGreenDeployments"][0]
        return one

    aws.until(lambda: bool(found()["Status"] == status))
    return found()


def test_an_instance_gets_another_version_class_and_storage(alone: Aws, link: FakeLink) -> None:
    source = instance(alone, Tags=[{"Key": "team", "Value": "shop"}])
    create(
        alone,
        source,
        TargetEngineVersion=NEW,
        TargetDBInstanceClass="db.r6g.xlarge",
        TargetStorageType="io1",
        TargetIops=3000,
        TargetAllocatedStorage=200,
    )
    found = wait(alone, "AVAILABLE")
    assert [task["Name"] for task in found["Tasks"]] == [
        "CREATING_READ_REPLICA_OF_SOURCE",
        "DB_ENGINE_VERSION_UPGRADE",
        "CONFIGURE_BACKUPS",
    ]
    assert found["Source"] == source and len(found["SwitchoverDetails"]) == 1
    green = alone.instance(found["Target"])
    made = [green[name] for name in ("EngineVersion", "DBInstanceClass", "StorageType", "Iops", "AllocatedStorage")]
    assert made == [NEW, "db.r6g.xlarge", "io1", 3000, 200]
    assert green["BackupRetentionPeriod"] == 7 and green["TagList"] == [{"Key": "team", "Value": "shop"}]
    assert alone.rds.describe_db_clusters()["DBClusters"] == []
    assert [role for role, _endpoint, _status in link.rows["blue"]] == ["SOURCE", "TARGET"]


def test_it_is_switched_over_under_its_name(alone: Aws, link: FakeLink) -> None:
    source = instance(alone)
    create(alone, source)
    found = wait(alone, "AVAILABLE")
    green, before = alone.instance(found["Target"]), alone.instance("shop")
    identifier = found["BlueGreenDeploymentIdentifier"]
    alone.rds.switchover_blue_green_deployment(BlueGreenDeploymentIdentifier=identifier)
    done = wait(alone, "SWITCHOVER_COMPLETED")
    assert (done["Source"], done["Target"]) == (f"{source}-old1", source)
    now = alone.instance("shop")
    assert now["DbiResourceId"] == green["DbiResourceId"] and now["Endpoint"] == before["Endpoint"]
    assert alone.instance("shop-old1")["DbiResourceId"] == before["DbiResourceId"]
    name = green["DBInstanceIdentifier"]
    assert alone.messages("blue-green-deployment", identifier)[1:] == [
        f"Switchover from shop to {name} started.",
        f"Switchover from primary shop to {name} started.",
        f"Switchover from primary shop to {name} completed. Renamed shop to shop-old1 and {name} to shop.",
        "Switchover completed on blue/green deployment.",
    ]
    assert link.writable == "green"


def test_green_is_deleted_unless_it_is_protected(alone: Aws) -> None:
    source = instance(alone, DeletionProtection=True)
    create(alone, source)
    found = wait(alone, "AVAILABLE")
    wanted = {"BlueGreenDeploymentIdentifier": found["BlueGreenDeploymentIdentifier"], "DeleteTarget": True}
    assert "protected DB Instance" in refused(
        "InvalidParameterCombination", alone.rds.delete_blue_green_deployment, **wanted
    )
    alone.rds.modify_db_instance(DBInstanceIdentifier=found["Target"], DeletionProtection=False, ApplyImmediately=True)
    alone.rds.delete_blue_green_deployment(**wanted)
    alone.until(lambda: not alone.rds.describe_blue_green_deployments()["BlueGreenDeployments"])
    assert [one["DBInstanceIdentifier"] for one in alone.rds.describe_db_instances()["DBInstances"]] == ["shop"]


@pytest.mark.parametrize(
    ("options", "asked", "code", "words"),
    [
        ({"BackupRetentionPeriod": 0}, {}, "SourceDatabaseNotSupportedFault", "automated backups"),
        ({}, {"TargetDBClusterParameterGroupName": "x"}, "InvalidParameterCombination", "only be specified for a DB c"),
        ({}, {"TargetEngineVersion": "9.9"}, "InvalidParameterCombination", "Cannot find version 9.9"),
        ({}, {"TargetDBParameterGroupName": "none"}, "DBParameterGroupNotFound", "none"),
    ],
)
def test_what_no_deployment_can_be_made_of(
    alone: Aws, options: dict[str, Any], asked: dict[str, Any], code: str, words: str
) -> None:
    source = instance(alone, **options)
    assert words in refused(code, create, aws=alone, source=source, **asked)


def test_a_major_upgrade_of_postgresql_needs_logical_replication(alone: Aws) -> None:
    source = instance(alone, "postgres", "16.14")
    assert refused("SourceDatabaseNotSupportedFault", create, aws=alone, source=source, TargetEngineVersion="18.4") == (
        "Blue/Green Deployments require a DB instance with logical replication enabled. Before you create a Blue/Green "
        "Deployment for a DB instance, associate the DB instance with a custom DB instance parameter group that enables "
        "logical replication."
    )


def replica(aws: Aws, name: str, source: str = "shop", **options: Any) -> None:
    """Make a read replica."""
    aws.rds.create_db_instance_read_replica(DBInstanceIdentifier=name, SourceDBInstanceIdentifier=source, **options)
    aws.until(lambda: bool(aws.instance(name)["DBInstanceStatus"] == "available"))


def test_every_read_replica_gets_a_counterpart_with_a_class_as_asked_for_and_its_own_storage(alone: Aws) -> None:
    source = instance(alone)
    replica(alone, "shop-a", StorageType="io1", Iops=1000, AllocatedStorage=100, DBInstanceClass="db.t3.medium")
    replica(alone, "shop-b")
    alone.rds.create_db_parameter_group(DBParameterGroupName="mine", DBParameterGroupFamily="mysql8.0", Description="-")
    asked = {"TargetDBInstanceClass": "db.r6g.xlarge", "TargetAllocatedStorage": 200, "TargetStorageType": "gp2"}
    keys = [{"SourceArn": alone.instance("shop-a")["DBInstanceArn"], "TargetKmsKeyId": "arn:aws:kms:us-east-1:1:key/a"}]
    create(alone, source, TargetDBParameterGroupName="mine", TargetResourceConfigurations=keys, **asked)
    found = wait(alone, "AVAILABLE")
    assert [task["Name"] for task in found["Tasks"]][-2:] == ["CONFIGURE_BACKUPS", "CREATING_TOPOLOGY_OF_SOURCE"]
    names = [pair["SourceMember"].rpartition(":")[2] for pair in found["SwitchoverDetails"]]
    assert names == ["shop", "shop-a", "shop-b"]
    greens = [alone.instance(pair["TargetMember"]) for pair in found["SwitchoverDetails"]]
    have = [[one[name] for name in ("DBInstanceClass", "AllocatedStorage", "StorageType")] for one in greens]
    assert have == [["db.r6g.xlarge", 200, storage] for storage in ("gp2", "io1", "gp3")]
    assert [one.get("KmsKeyId") for one in greens] == [None, "arn:aws:kms:us-east-1:1:key/a", None]
    groups = [one["DBParameterGroups"] for one in greens]
    assert groups == [[{"DBParameterGroupName": "mine", "ParameterApplyStatus": "pending-reboot"}]] * 3
    first = greens[0]["DBInstanceIdentifier"]
    assert [one.get("ReadReplicaSourceDBInstanceIdentifier") for one in greens] == [None, first, first]


def test_green_goes_with_its_read_replicas(alone: Aws) -> None:
    source = instance(alone)
    replica(alone, "shop-a")
    create(alone, source)
    identifier = wait(alone, "AVAILABLE")["BlueGreenDeploymentIdentifier"]
    alone.rds.delete_blue_green_deployment(BlueGreenDeploymentIdentifier=identifier, DeleteTarget=True)
    alone.until(lambda: not alone.rds.describe_blue_green_deployments()["BlueGreenDeployments"])
    left = [one["DBInstanceIdentifier"] for one in alone.rds.describe_db_instances()["DBInstances"]]
    assert left == ["shop", "shop-a"]


def test_no_replica_of_a_replica_is_in_a_deployment(alone: Aws) -> None:
    source = instance(alone)
    replica(alone, "shop-a")
    alone.rds.modify_db_instance(DBInstanceIdentifier="shop-a", BackupRetentionPeriod=1, ApplyImmediately=True)
    alone.until(lambda: bool(alone.instance("shop-a")["BackupRetentionPeriod"] == 1))
    alone.until(lambda: bool(alone.instance("shop-a")["DBInstanceStatus"] == "available"))
    replica(alone, "shop-b", "shop-a")
    said = refused("SourceDatabaseNotSupportedFault", create, aws=alone, source=source)
    assert said == "The DB instance shop has cascading read replicas."
