# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""bg_readiness on the control plane: what AWS would refuse, or undo later, is found before anything is changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.conftest import RunModule
from tests.lab.lab import Blue, Lab
from tests.scene import fingerprint

DEPLOYMENT = "ready-pg18"
ROLE = "arn:aws:iam::123456789012:role/deployer"


@pytest.fixture(scope="module", name="shop")
def _shop(lab: Lab) -> Iterator[Blue]:
    blue = lab.seed_postgresql("readyshop", readers=1)
    yield blue
    lab.delete(blue.cluster)


@pytest.fixture(autouse=True)
def _faults(lab: Lab) -> Iterator[None]:
    yield
    lab.faults.clear()


def options(lab: Lab, blue: Blue, **more: Any) -> dict[str, Any]:
    """The options of a deployment that takes blue to PostgreSQL 18."""
    return {
        "deployment_id": DEPLOYMENT,
        "engine": "aurora_postgresql",
        "blue": {"host": blue.host, "port": blue.port, "secret_arn": blue.secret_arn, "ca_cert": lab.ca_file},
        "source_db_cluster_identifier": blue.cluster,
        "engine_version": "18.4",
        "allow_major_version_upgrade": True,
        **more,
    }


def by_status(result: dict[str, Any], *statuses: str) -> dict[str, dict[str, Any]]:
    """The checks of the control plane with these statuses, by name."""
    return {c["id"]: c for c in result["checks"] if c["plane"] == "control" and c["status"] in statuses}


def test_a_sound_blue_is_ready_and_every_check_says_where_to_read(lab: Lab, shop: Blue, run_module: RunModule) -> None:
    lab.client("rds").modify_db_cluster(DBClusterIdentifier=shop.cluster, DeletionProtection=True)
    before = fingerprint(lab, shop)
    result = run_module("bg_readiness", **options(lab, shop))
    lab.client("rds").modify_db_cluster(DBClusterIdentifier=shop.cluster, DeletionProtection=False)
    assert result["ready"] is True
    # In the lab's maintenance window, on Sundays, automatic upgrades are warned of.
    assert set(by_status(result, "failed", "warning")) <= {"aws_blue_maintenance"}
    assert all(check["docs"].startswith("https://") for check in by_status(result, "ok", "warning").values())
    assert {check["plane"] for check in result["checks"]} == {"control", "data"}
    assert (result["changed"], fingerprint(lab, shop)) == (False, before)


@pytest.fixture(name="mistreated")
def _mistreated(lab: Lab, shop: Blue) -> Iterator[None]:
    """Everything that can be wrong around blue at once."""
    rds, group = lab.client("rds"), f"{shop.cluster}-blue"
    static = {"ParameterName": "max_replication_slots", "ParameterValue": "30", "ApplyMethod": "pending-reboot"}
    rds.modify_db_cluster_parameter_group(DBClusterParameterGroupName=group, Parameters=[static])
    rds.create_db_proxy(
        DBProxyName="front", EngineFamily="POSTGRESQL", RoleArn=ROLE, VpcSubnetIds=["subnet-1"], Auth=[]
    )
    rds.register_db_proxy_targets(DBProxyName="front", DBClusterIdentifiers=[shop.cluster])
    rds.modify_db_cluster(DBClusterIdentifier=shop.cluster, VpcSecurityGroupIds=["sg-0c105ed"])
    lab.faults.announce(shop.cluster, seconds=600)
    lab.faults.quota("DBInstances", 1)
    lab.faults.deny("CreateDBInstance")
    yield
    lab.faults.clear()
    rds.delete_db_proxy(DBProxyName="front")
    rds.modify_db_cluster(DBClusterIdentifier=shop.cluster, VpcSecurityGroupIds=["sg-0a1b2c3d4e5f60718"])
    rds.reboot_db_instance(DBInstanceIdentifier=f"{shop.cluster}-1")
    lab.wait_available(shop.cluster)


@pytest.mark.usefixtures("mistreated")
def test_everything_that_is_wrong_is_told_at_once(lab: Lab, shop: Blue, run_module: RunModule) -> None:
    result = run_module("bg_readiness", **options(lab, shop, engine_version="17.9"))
    assert result["ready"] is False
    failed, warned = by_status(result, "failed"), by_status(result, "warning")
    assert set(failed) == {
        "aws_blue_parameter_status",
        "aws_target_version",
        "aws_quotas",
        "aws_permissions",
        "aws_security_groups",
    }
    assert set(warned) == {"aws_proxies", "aws_blue_maintenance", "aws_blue_deletion_protection"}
    writer = f"{shop.cluster}-1"
    assert f"{writer} is pending-reboot" in failed["aws_blue_parameter_status"]["evidence"]
    assert f"reboot-db-instance --db-instance-identifier {writer}" in failed["aws_blue_parameter_status"]["remedy"]
    assert "versions that can be reached: 18.4" in failed["aws_target_version"]["evidence"]
    assert "and 2 more needed" in failed["aws_quotas"]["evidence"]
    assert "is not allowed rds:CreateDBInstance" in failed["aws_permissions"]["evidence"]
    assert '"Action": "rds:CreateDBInstance"' in failed["aws_permissions"]["remedy"]
    assert "RDS Proxy front" in warned["aws_proxies"]["evidence"]
    assert "system-update" in warned["aws_blue_maintenance"]["evidence"]
    assert all(check["remedy"] for check in [*failed.values(), *warned.values()])


def test_what_may_not_be_looked_at_is_not_taken_for_good(lab: Lab, shop: Blue, run_module: RunModule) -> None:
    denied = (
        "SimulatePrincipalPolicy",
        "DescribeAccountAttributes",
        "DescribeBlueGreenDeployments",
        "DescribeDBEngineVersions",
        "DescribeSecurityGroups",
    )
    for operation in denied:
        lab.faults.deny(operation)
    lab.faults.caller("arn:aws:sts::123456789012:assumed-role/deployer/nightly")
    result = run_module("bg_readiness", **options(lab, shop))
    failed, warned = by_status(result, "failed"), by_status(result, "warning")
    assert set(failed) == {"aws_managed_blue_green", "aws_target_version"}
    assert {"aws_permissions", "aws_quotas", "aws_security_groups"} <= set(warned)
    assert ROLE in warned["aws_permissions"]["evidence"]
    assert "iam:SimulatePrincipalPolicy" in warned["aws_permissions"]["remedy"]


def test_a_cluster_that_does_not_exist_is_one_failed_check(lab: Lab, shop: Blue, run_module: RunModule) -> None:
    result = run_module("bg_readiness", **options(lab, shop, source_db_cluster_identifier="nosuch"))
    assert set(by_status(result, "ok", "warning", "failed")) == {"aws_blue_exists"}
    assert result["ready"] is False


def test_a_green_that_is_less_than_blue_is_not_ready_for_the_switchover(
    lab: Lab, shop: Blue, run_module: RunModule
) -> None:
    rds, more = lab.client("rds"), {"step": "switchover", "green": options(lab, shop)["blue"]}
    result = run_module("bg_readiness", **options(lab, shop, **more))
    assert set(by_status(result, "failed")) == {"aws_green_exists"}
    rds.restore_db_cluster_to_point_in_time(
        SourceDBClusterIdentifier=shop.cluster,
        DBClusterIdentifier=DEPLOYMENT,
        RestoreType="copy-on-write",
        UseLatestRestorableTime=True,
        DBClusterParameterGroupName=f"{shop.cluster}-blue",
    )
    try:
        rds.create_db_instance(
            DBInstanceIdentifier=f"{DEPLOYMENT}-1",
            DBClusterIdentifier=DEPLOYMENT,
            Engine="aurora-postgresql",
            DBInstanceClass="db.r6g.large",
        )
        lab.wait_available(DEPLOYMENT)
        rds.modify_db_cluster(DBClusterIdentifier=shop.cluster, DeletionProtection=True, BackupRetentionPeriod=7)
        rds.modify_db_cluster(DBClusterIdentifier=DEPLOYMENT, EnableIAMDatabaseAuthentication=True)
        lab.faults.announce(DEPLOYMENT, seconds=600)
        result = run_module("bg_readiness", **options(lab, shop, **more))
    finally:
        lab.delete(DEPLOYMENT)
        rds.modify_db_cluster(DBClusterIdentifier=shop.cluster, DeletionProtection=False, BackupRetentionPeriod=1)
    assert set(by_status(result, "failed")) == {
        "aws_green_version",
        "aws_green_maintenance",
        "aws_green_pending_changes",
        "aws_green_deletion_protection",
    }
    assert "aws_green_backups" in by_status(result, "warning")
