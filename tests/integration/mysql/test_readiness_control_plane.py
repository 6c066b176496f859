# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""bg_readiness and bg_info of a deployment of Aurora MySQL, as a user calls them: both planes in one answer."""

from __future__ import annotations

from typing import Any

from tests.integration.conftest import RunModule
from tests.integration.mysql.conftest import NEWER, MySQLLab
from tests.lab.lab import Blue

DEPLOYMENT = "ready-84"


def login(lab: MySQLLab, blue: Blue, **more: Any) -> dict[str, Any]:
    """The connection to blue with its secret."""
    return {"host": blue.host, "port": blue.port, "secret_arn": blue.secret_arn, "ca_cert": lab.lab.ca_file, **more}


def options(lab: MySQLLab, blue: Blue, **more: Any) -> dict[str, Any]:
    """The options of a deployment that takes blue to 8.4."""
    return {
        "deployment_id": DEPLOYMENT,
        "engine": "aurora_mysql",
        "blue": login(lab, blue),
        "source_db_cluster_identifier": blue.cluster,
        "engine_version": NEWER,
        "allow_major_version_upgrade": True,
        **more,
    }


def of(result: dict[str, Any], *statuses: str) -> dict[str, dict[str, Any]]:
    """The checks with these statuses by name."""
    return {check["id"]: check for check in result["checks"] if check["status"] in statuses}


def test_a_sound_blue_is_ready_for_a_clone_and_an_upgrade(
    mysql_lab: MySQLLab, shop: Blue, run_module: RunModule
) -> None:
    result = run_module("bg_readiness", **options(mysql_lab, shop))
    assert (result["ready"], result["changed"]) == (True, False)
    # Prepared by binlog_replication later; the lab's blue is not protected, and may be in its maintenance window.
    assert set(of(result, "warning")) <= {"blue_retention", "aws_blue_deletion_protection", "aws_blue_maintenance"}
    fine = of(result, "ok")
    assert (
        "8.0.mysql_aurora" in fine["aws_target_version"]["evidence"] and NEWER in fine["aws_target_version"]["evidence"]
    )
    assert {"aws_engine", "aws_backtrack", "aws_blue_parameters", "blue_binary_log", "upgrade_foreign_keys"} <= set(
        fine
    )
    said = " ".join(f"{check['evidence']} {check['remedy']} {check['docs']}" for check in result["checks"])
    assert "postgres" not in said.lower()


def test_the_engine_must_be_the_cluster_s_and_the_group_one_of_green_s_own(
    mysql_lab: MySQLLab, shop: Blue, run_module: RunModule
) -> None:
    rds = mysql_lab.lab.client("rds")
    rds.restore_db_cluster_to_point_in_time(
        SourceDBClusterIdentifier=shop.cluster,
        DBClusterIdentifier=DEPLOYMENT,
        RestoreType="copy-on-write",
        UseLatestRestorableTime=True,
        DBClusterParameterGroupName=f"{shop.cluster}-blue",
    )
    rds.create_db_instance(
        DBInstanceIdentifier=f"{DEPLOYMENT}-1",
        DBClusterIdentifier=DEPLOYMENT,
        Engine="aurora-mysql",
        DBInstanceClass="db.r6g.large",
    )
    mysql_lab.lab.wait_available(DEPLOYMENT)
    green = rds.describe_db_clusters(DBClusterIdentifier=DEPLOYMENT)["DBClusters"][0]
    more = {"step": "switchover", "engine_version": None, "green": login(mysql_lab, shop, host=green["Endpoint"])}
    result = run_module("bg_readiness", **options(mysql_lab, shop, **more))
    assert result["ready"] is False
    stopped = of(result, "failed")
    assert "has blue's" in stopped["aws_green_parameter_group"]["evidence"]
    assert {"replication", "green_closed"} <= set(stopped)
    assert result["green"] == {"host": green["Endpoint"], "port": 3306}


def test_the_deployment_is_looked_at_with_the_clusters_telling_the_engine(
    mysql_lab: MySQLLab, shop: Blue, run_module: RunModule
) -> None:
    result = run_module(
        "bg_info", deployment_id=DEPLOYMENT, source_db_cluster_identifier=shop.cluster, blue=login(mysql_lab, shop)
    )
    assert result["blue"]["engine"] == "aurora-mysql"
    assert (result["serving"], result["replication"], result["changed"]) == ("blue", None, False)
