# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parameter groups, and when their parameters reach a server."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.lab.control_plane.conftest import Aws, refused

FAMILY = "aurora-postgresql16"


def group(aws: Aws, name: str = "g16", **values: str) -> None:
    """Create a cluster parameter group and set values that wait for a reboot."""
    aws.rds.create_db_cluster_parameter_group(
        DBClusterParameterGroupName=name, DBParameterGroupFamily=FAMILY, Description="d"
    )
    for parameter, value in values.items():
        change(aws, parameter.replace("__", "."), value, "pending-reboot", name)


def change(aws: Aws, name: str, value: str, method: str, group_name: str = "g16") -> None:
    """Set one parameter in a cluster parameter group."""
    aws.rds.modify_db_cluster_parameter_group(**request(name, value, method, group_name))


def request(name: str, value: str, method: str, group_name: str = "g16") -> dict[str, Any]:
    """Arguments of ModifyDBClusterParameterGroup."""
    parameter = {"ParameterName": name, "ParameterValue": value, "ApplyMethod": method}
    return {"DBClusterParameterGroupName": group_name, "Parameters": [parameter]}


def statuses(aws: Aws) -> list[str]:
    """DBClusterParameterGroupStatus of each member."""
    return [member["DBClusterParameterGroupStatus"] for member in aws.cluster("shop")["DBClusterMembers"]]


def running(aws: Aws, role: str = "writer") -> dict[str, str]:
    """The parameters that the server of a role runs with."""
    (found,) = (name for name, spec in aws.engine.servers.items() if spec.role == role)
    return aws.engine.parameters[found]


def parameters(aws: Aws, **options: Any) -> dict[str, dict[str, Any]]:
    """Every parameter of a group, page by page."""
    pages = aws.rds.get_paginator("describe_db_cluster_parameters").paginate(**options)
    return {entry["ParameterName"]: entry for page in pages for entry in page["Parameters"]}


def test_a_static_parameter_waits_for_the_reboot_of_the_writer(aws: Aws) -> None:
    group(aws)
    aws.create(instances=2, DBClusterParameterGroupName="g16")
    assert statuses(aws) == ["in-sync", "in-sync"]
    change(aws, "rds.logical_replication", "1", "pending-reboot")
    assert statuses(aws) == ["pending-reboot", "pending-reboot"]
    assert running(aws)["rds.logical_replication"] == "0"
    aws.rds.reboot_db_instance(DBInstanceIdentifier="shop-1")
    aws.settled("shop")
    assert running(aws)["rds.logical_replication"] == "1"
    assert statuses(aws) == ["in-sync", "in-sync"]


def test_the_reboot_of_a_reader_does_nothing_for_the_writer(aws: Aws) -> None:
    group(aws)
    aws.create(instances=2, DBClusterParameterGroupName="g16")
    change(aws, "rds.logical_replication", "1", "pending-reboot")
    aws.rds.reboot_db_instance(DBInstanceIdentifier="shop-2")
    aws.settled("shop")
    assert statuses(aws) == ["pending-reboot", "in-sync"]
    assert running(aws)["rds.logical_replication"] == "0"


def test_a_dynamic_parameter_applies_at_once_and_alone(aws: Aws) -> None:
    group(aws)
    aws.create(DBClusterParameterGroupName="g16")
    change(aws, "log_statement", "ddl", "pending-reboot")
    change(aws, "work_mem", "4096", "immediate")
    aws.until(lambda: running(aws).get("work_mem") == "4096")
    assert running(aws)["log_statement"] == "none"
    assert statuses(aws) == ["pending-reboot"]


def test_a_dynamic_change_shows_as_applying(aws: Aws) -> None:
    group(aws)
    aws.create(DBClusterParameterGroupName="g16")
    aws.slow("applying")
    change(aws, "work_mem", "4096", "immediate")
    assert statuses(aws) == ["applying"]
    aws.until(lambda: statuses(aws) == ["in-sync"])


def test_another_group_waits_for_a_reboot(aws: Aws) -> None:
    group(aws, rds__logical_replication="1")
    aws.create()
    aws.rds.modify_db_cluster(DBClusterIdentifier="shop", DBClusterParameterGroupName="g16")
    assert aws.cluster("shop")["DBClusterParameterGroup"] == "g16"
    assert statuses(aws) == ["pending-reboot"]
    assert running(aws)["rds.logical_replication"] == "0"


def test_an_instances_own_group_wins_and_has_a_status_of_its_own(aws: Aws) -> None:
    group(aws, max_connections="200")
    aws.create(DBClusterParameterGroupName="g16")
    aws.rds.create_db_parameter_group(DBParameterGroupName="i16", DBParameterGroupFamily=FAMILY, Description="d")
    parameter = {"ParameterName": "max_connections", "ParameterValue": "300", "ApplyMethod": "pending-reboot"}
    aws.rds.modify_db_parameter_group(DBParameterGroupName="i16", Parameters=[parameter])
    aws.rds.modify_db_instance(DBInstanceIdentifier="shop-1", DBParameterGroupName="i16")
    (status,) = aws.instance("shop-1")["DBParameterGroups"]
    assert status == {"DBParameterGroupName": "i16", "ParameterApplyStatus": "pending-reboot"}
    assert statuses(aws) == ["in-sync"]
    aws.rds.reboot_db_instance(DBInstanceIdentifier="shop-1")
    aws.settled("shop")
    assert running(aws)["max_connections"] == "300"


@pytest.mark.parametrize(
    ("name", "value", "method", "code"),
    [
        ("no_such_thing", "1", "immediate", "InvalidParameterValue"),
        ("rds.logical_replication", "1", "immediate", "InvalidParameterCombination"),
        ("rds.logical_replication", "2", "pending-reboot", "InvalidParameterValue"),
        ("max_connections", "5", "pending-reboot", "InvalidParameterValue"),
        ("max_connections", "many", "pending-reboot", "InvalidParameterValue"),
        ("server_version", "y", "pending-reboot", "InvalidParameterValue"),
        ("work_mem", "4096", "soon", "InvalidParameterValue"),
    ],
)
def test_a_wrong_change_is_refused_and_changes_nothing(aws: Aws, name: str, value: str, method: str, code: str) -> None:
    group(aws)
    refused(code, aws.rds.modify_db_cluster_parameter_group, **request(name, value, method))
    assert parameters(aws, DBClusterParameterGroupName="g16", Source="user") == {}


def test_default_groups_exist_and_cannot_be_changed(aws: Aws) -> None:
    name = "default.aurora-postgresql16"
    found = aws.rds.describe_db_cluster_parameter_groups(DBClusterParameterGroupName=name)
    assert found["DBClusterParameterGroups"][0]["DBParameterGroupFamily"] == FAMILY
    change_default = request("work_mem", "4096", "immediate", name)
    message = refused("InvalidParameterValue", aws.rds.modify_db_cluster_parameter_group, **change_default)
    assert "can not be modified" in message
    refused("InvalidParameterValue", aws.rds.delete_db_cluster_parameter_group, DBClusterParameterGroupName=name)
    create = {"DBClusterParameterGroupName": "default.x", "DBParameterGroupFamily": FAMILY, "Description": "d"}
    refused("InvalidParameterValue", aws.rds.create_db_cluster_parameter_group, **create)


def test_parameters_are_described_with_the_familys_defaults_and_by_source(aws: Aws) -> None:
    group(aws, rds__logical_replication="1")
    found = parameters(aws, DBClusterParameterGroupName="g16")
    assert len(found) > 100
    assert found["rds.logical_replication"] == {
        "ParameterName": "rds.logical_replication",
        "ParameterValue": "1",
        "Description": "Enables logical decoding.",
        "Source": "user",
        "ApplyType": "static",
        "DataType": "boolean",
        "AllowedValues": "0,1",
        "IsModifiable": True,
        "ApplyMethod": "pending-reboot",
        "SupportedEngineModes": ["provisioned"],
    }
    assert "ParameterValue" not in found["work_mem"]
    assert list(parameters(aws, DBClusterParameterGroupName="g16", Source="user")) == ["rds.logical_replication"]
    assert list(parameters(aws, DBClusterParameterGroupName="g16", Source="system")) == ["server_version"]
    first = aws.rds.describe_engine_default_cluster_parameters(DBParameterGroupFamily=FAMILY)["EngineDefaults"]
    assert len(first["Parameters"]) == 100 and first["Marker"]


def test_a_cluster_parameter_is_not_in_an_instance_group(aws: Aws) -> None:
    aws.rds.create_db_parameter_group(DBParameterGroupName="i16", DBParameterGroupFamily=FAMILY, Description="d")
    pages = aws.rds.get_paginator("describe_db_parameters").paginate(DBParameterGroupName="i16")
    names = {entry["ParameterName"] for page in pages for entry in page["Parameters"]}
    assert "max_connections" in names and "rds.logical_replication" not in names


def test_a_copy_has_the_values_and_a_reset_takes_them_back(aws: Aws) -> None:
    group(aws, rds__logical_replication="1", max_connections="200")
    aws.rds.copy_db_cluster_parameter_group(
        SourceDBClusterParameterGroupIdentifier="g16",
        TargetDBClusterParameterGroupIdentifier="copy",
        TargetDBClusterParameterGroupDescription="d",
    )
    assert len(parameters(aws, DBClusterParameterGroupName="copy", Source="user")) == 2
    aws.rds.reset_db_cluster_parameter_group(
        DBClusterParameterGroupName="copy",
        Parameters=[{"ParameterName": "max_connections", "ApplyMethod": "pending-reboot"}],
    )
    assert list(parameters(aws, DBClusterParameterGroupName="copy", Source="user")) == ["rds.logical_replication"]
    aws.rds.reset_db_cluster_parameter_group(DBClusterParameterGroupName="copy", ResetAllParameters=True)
    assert parameters(aws, DBClusterParameterGroupName="copy", Source="user") == {}
    assert len(parameters(aws, DBClusterParameterGroupName="g16", Source="user")) == 2


def test_a_group_exists_once_and_is_not_deleted_while_it_is_used(aws: Aws) -> None:
    group(aws)
    again = {"DBClusterParameterGroupName": "G16", "DBParameterGroupFamily": FAMILY, "Description": "d"}
    refused("DBParameterGroupAlreadyExists", aws.rds.create_db_cluster_parameter_group, **again)
    unknown = {**again, "DBClusterParameterGroupName": "x", "DBParameterGroupFamily": "mysql5"}
    refused("InvalidParameterValue", aws.rds.create_db_cluster_parameter_group, **unknown)
    aws.create(instances=0, DBClusterParameterGroupName="g16")
    name = {"DBClusterParameterGroupName": "g16"}
    refused("InvalidDBParameterGroupState", aws.rds.delete_db_cluster_parameter_group, **name)
    aws.rds.delete_db_cluster(DBClusterIdentifier="shop", SkipFinalSnapshot=True)
    aws.until(lambda: not aws.rds.describe_db_clusters()["DBClusters"])
    aws.rds.delete_db_cluster_parameter_group(**name)
    refused("DBParameterGroupNotFound", aws.rds.describe_db_cluster_parameters, **name)
