# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Master passwords that the service manages in Secrets Manager."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.lab.control_plane.conftest import Aws, refused
from tests.unit.lab.control_plane.fake_engine import AURORA

MANAGED: dict[str, Any] = {
    "DBClusterIdentifier": "shop",
    "Engine": AURORA,
    "MasterUsername": "admin1",
    "ManageMasterUserPassword": True,
}


@pytest.fixture(scope="module")
def vault(rds: Any, endpoint: Any) -> Any:
    """A client of Secrets Manager."""
    return endpoint.client("secretsmanager")


def content(vault: Any, aws: Aws) -> dict[str, str]:
    """What the cluster's secret holds."""
    arn = aws.cluster("shop")["MasterUserSecret"]["SecretArn"]
    found: dict[str, str] = json.loads(vault.get_secret_value(SecretId=arn)["SecretString"])
    return found


def in_engine(aws: Aws) -> str:
    """The password that the volume has."""
    return aws.engine.volumes[aws.cluster("shop")["DbClusterResourceId"]].password


def test_a_managed_password_is_in_a_secret_that_goes_with_the_cluster(aws: Aws, vault: Any) -> None:
    aws.slow("creating")
    made = aws.rds.create_db_cluster(**MANAGED)["DBCluster"]["MasterUserSecret"]
    assert made["SecretStatus"] == "creating" and ":secret:rds!cluster-" in made["SecretArn"]
    aws.settled("shop")
    assert aws.cluster("shop")["MasterUserSecret"] == {**made, "SecretStatus": "active"}
    assert content(vault, aws) == {"username": "admin1", "password": in_engine(aws)}
    aws.rds.delete_db_cluster(DBClusterIdentifier="shop", SkipFinalSnapshot=True)
    aws.until(lambda: aws.rds.describe_db_clusters()["DBClusters"] == [])
    with pytest.raises(vault.exceptions.ResourceNotFoundException):
        vault.get_secret_value(SecretId=made["SecretArn"])


def test_managing_begins_with_a_new_password_and_ends_with_a_given_one(aws: Aws, vault: Any) -> None:
    aws.create(instances=0)
    modify = {"DBClusterIdentifier": "shop"}
    aws.rds.modify_db_cluster(**modify, ManageMasterUserPassword=True)
    aws.until(lambda: aws.cluster("shop")["MasterUserSecret"]["SecretStatus"] == "active")
    assert content(vault, aws)["password"] == in_engine(aws) != "first+Pass-word"
    fault = "InvalidParameterCombination"
    for wrong in ({"ManageMasterUserPassword": False}, {"MasterUserPassword": "second+Pass"}):
        refused(fault, aws.rds.modify_db_cluster, **modify, **wrong)
    aws.rds.modify_db_cluster(**modify, ManageMasterUserPassword=False, MasterUserPassword="second+Pass")
    aws.settled("shop")
    aws.until(lambda: in_engine(aws) == "second+Pass")
    assert "MasterUserSecret" not in aws.cluster("shop")


def test_a_cluster_with_a_managed_password_does_not_become_a_global_one(aws: Aws) -> None:
    arn = aws.rds.create_db_cluster(**MANAGED)["DBCluster"]["DBClusterArn"]
    aws.settled("shop")
    request = {"GlobalClusterIdentifier": "world", "SourceDBClusterIdentifier": arn}
    message = refused("InvalidParameterValue", aws.rds.create_global_cluster, **request)
    assert "ManageMasterUserPassword isn't supported" in message


def test_a_clone_does_not_have_the_secret_of_its_source(aws: Aws) -> None:
    aws.rds.create_db_cluster(**MANAGED)
    aws.settled("shop")
    assert "MasterUserSecret" not in aws.clone()
    aws.until(lambda: aws.status("green") == "available")
