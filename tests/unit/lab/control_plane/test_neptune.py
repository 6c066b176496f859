# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""neptune beside the engines of Aurora: what the API says and asks there."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.lab.control_plane.conftest import Aws, refused
from tests.unit.lab.control_plane.fake_engine import NEPTUNE, FakeNeptune


def group(aws: Aws, name: str, family: str, **values: str) -> None:
    """A cluster parameter group with values that wait for a reboot."""
    aws.rds.create_db_cluster_parameter_group(
        DBClusterParameterGroupName=name, DBParameterGroupFamily=family, Description="d"
    )
    if values:
        modify(aws, name, **values)


def modify(aws: Aws, name: str, **values: str) -> None:
    aws.rds.modify_db_cluster_parameter_group(
        DBClusterParameterGroupName=name,
        Parameters=[
            {"ParameterName": parameter, "ParameterValue": value, "ApplyMethod": "pending-reboot"}
            for parameter, value in values.items()
        ],
    )


def engine(aws: Aws) -> FakeNeptune:
    found = aws.plane.engines[NEPTUNE]
    assert isinstance(found, FakeNeptune)
    return found


def upgrade(aws: Aws, version: str, **options: Any) -> None:
    aws.rds.modify_db_cluster(DBClusterIdentifier="graph", EngineVersion=version, ApplyImmediately=True, **options)
    aws.until(lambda: bool(aws.cluster("graph")["EngineVersion"] == version))
    aws.settled("graph")


class TestVersions:
    """What is offered, and which of two versions is a major one."""

    def test_each_version_says_its_family_its_hops_and_which_are_major(self, aws: Aws) -> None:
        found = {v["EngineVersion"]: v for v in aws.rds.describe_db_engine_versions(Engine=NEPTUNE)["DBEngineVersions"]}
        hops = {
            version: {
                target["EngineVersion"]: target["IsMajorVersionUpgrade"] for target in shape["ValidUpgradeTarget"]
            }
            for version, shape in found.items()
        }
        assert hops["1.0.5.1"] == {"1.1.1.0": True}
        assert hops["1.1.1.0"] == {"1.2.0.2": True, "1.2.1.0": True}
        assert hops["1.2.0.2"]["1.2.1.0"] is False
        assert hops["1.2.1.0"]["1.4.6.0"] is True
        assert hops["1.4.6.0"] == {}
        assert [
            found[version]["DBParameterGroupFamily"] for version in ("1.0.5.1", "1.1.1.0", "1.2.1.0", "1.4.6.0")
        ] == [
            "neptune1",
            "neptune1",
            "neptune1.2",
            "neptune1.4",
        ]
        assert found["1.2.1.0"]["ExportableLogTypes"] == ["audit", "slowquery"]

    def test_the_neptune_client_reaches_the_same_api(self, aws: Aws) -> None:
        aws.create_graph(instances=0)
        client = aws.endpoint.client("neptune")
        (found,) = client.describe_db_clusters()["DBClusters"]
        assert (found["DBClusterIdentifier"], found["Engine"]) == ("graph", NEPTUNE)
        only = aws.rds.describe_db_clusters(Filters=[{"Name": "engine", "Values": [NEPTUNE]}])["DBClusters"]
        assert [one["DBClusterIdentifier"] for one in only] == ["graph"]


def test_a_cluster_has_its_port_and_nobody_to_log_in_as(aws: Aws) -> None:
    aws.create_graph()
    assert aws.cluster("graph")["Port"] == aws.plane.addresses.port(8182)
    assert aws.instance("graph-1")["LicenseModel"] == "amazon-license"
    request = {"DBClusterIdentifier": "other", "Engine": NEPTUNE}
    for name, value in (("MasterUsername", "admin"), ("DatabaseName", "shop"), ("MasterUserPassword", "long-Enough1")):
        assert name in refused("InvalidParameterCombination", aws.rds.create_db_cluster, **request, **{name: value})
    change = {"DBClusterIdentifier": "graph", "MasterUserPassword": "long-Enough1"}
    refused("InvalidParameterCombination", aws.rds.modify_db_cluster, **change)


def test_servers_are_told_whether_requests_are_to_be_signed(aws: Aws) -> None:
    aws.create_graph(EnableIAMDatabaseAuthentication=True)
    assert [spec.parameters["iam_auth"] for spec in engine(aws).started] == ["1"]
    aws.rds.modify_db_cluster(DBClusterIdentifier="graph", EnableIAMDatabaseAuthentication=False, ApplyImmediately=True)
    aws.until(lambda: [now["iam_auth"] for now in engine(aws).parameters.values()] == ["0"])
    aws.settled("graph")
    assert aws.cluster("graph")["IAMDatabaseAuthenticationEnabled"] is False


def test_streams_wait_for_the_reboot_of_each_instance(aws: Aws) -> None:
    group(aws, "g", "neptune1.2")
    aws.create_graph(instances=2, DBClusterParameterGroupName="g")
    modify(aws, "g", neptune_streams="1")

    def states() -> dict[str, str]:
        members = aws.cluster("graph")["DBClusterMembers"]
        return {one["DBInstanceIdentifier"]: one["DBClusterParameterGroupStatus"] for one in members}

    assert states() == {"graph-1": "pending-reboot", "graph-2": "pending-reboot"}
    aws.rds.reboot_db_instance(DBInstanceIdentifier="graph-1")
    aws.settled("graph")
    assert states() == {"graph-1": "in-sync", "graph-2": "pending-reboot"}
    running = {spec.role: spec.parameters["neptune_streams"] for spec in engine(aws).started}
    assert running == {"writer": "1", "reader": "0"}


def test_parameters_are_of_the_cluster_of_an_instance_or_of_both_and_of_a_family(aws: Aws) -> None:
    def names(answer: dict[str, Any]) -> set[str]:
        return {one["ParameterName"] for one in answer["EngineDefaults"]["Parameters"]}

    def of(family: str) -> tuple[set[str], set[str]]:
        chosen = {"DBParameterGroupFamily": family}
        return (
            names(aws.rds.describe_engine_default_cluster_parameters(**chosen)),
            names(aws.rds.describe_engine_default_parameters(**chosen)),
        )

    cluster, instance = of("neptune1.2")
    assert cluster & instance == {"neptune_query_timeout"}
    assert instance == {"neptune_query_timeout", "neptune_dfe_query_engine", "neptune_result_cache"}
    assert cluster - of("neptune1")[0] == {"neptune_streams_expiry_days", "neptune_autoscaling_config"}


class TestUpgrade:
    """Hops over families."""

    def test_custom_groups_must_be_named_also_where_the_family_stays(self, aws: Aws) -> None:
        group(aws, "old", "neptune1", neptune_streams="1")
        aws.create_graph(version="1.0.5.1", DBClusterParameterGroupName="old")
        # A cluster of its own for the next hop: one that comes from 1.0 is busy once more after the first.
        aws.create_graph("newer", version="1.1.1.0", DBClusterParameterGroupName="old")
        change = {"DBClusterIdentifier": "graph", "ApplyImmediately": True, "AllowMajorVersionUpgrade": True}
        to_11, to_12 = {**change, "EngineVersion": "1.1.1.0"}, {**change, "EngineVersion": "1.2.1.0"}
        assert "is custom" in refused("InvalidParameterCombination", aws.rds.modify_db_cluster, **to_11)
        assert "Cannot upgrade" in refused("InvalidParameterCombination", aws.rds.modify_db_cluster, **to_12)
        upgrade(aws, "1.1.1.0", AllowMajorVersionUpgrade=True, DBClusterParameterGroupName="old")
        wrong = {**to_12, "DBClusterIdentifier": "newer", "DBClusterParameterGroupName": "old"}
        assert "neptune1.2" in refused("InvalidParameterCombination", aws.rds.modify_db_cluster, **wrong)

    def test_after_an_upgrade_from_1_0_the_cluster_is_upgrading_once_more(self, aws: Aws) -> None:
        aws.create_graph(version="1.0.5.1")
        aws.slow("settling", "upgrading")
        seen: list[str] = []
        aws.rds.modify_db_cluster(
            DBClusterIdentifier="graph", EngineVersion="1.1.1.0", AllowMajorVersionUpgrade=True, ApplyImmediately=True
        )

        def look() -> bool:
            found = aws.cluster("graph")
            state = f"{found['Status']} {found['EngineVersion']}"
            if state not in seen[-1:]:
                seen.append(state)
            return seen[-2:] == ["upgrading 1.1.1.0", "available 1.1.1.0"] and len(seen) > 4

        aws.until(look)
        assert seen[-3:] == ["available 1.1.1.0", "upgrading 1.1.1.0", "available 1.1.1.0"]

    def test_a_major_one_wants_the_latest_patch_release(self, aws: Aws) -> None:
        aws.create_graph(version="1.1.1.0")
        aws.knobs.turn("announce", {"cluster": "graph"})
        change = {"DBClusterIdentifier": "graph", "EngineVersion": "1.2.1.0", "AllowMajorVersionUpgrade": True}
        assert "latest patch release" in refused("InvalidParameterCombination", aws.rds.modify_db_cluster, **change)
        arn = aws.cluster("graph")["DBClusterArn"]
        wanted = {"ResourceIdentifier": arn, "ApplyAction": "system-update", "OptInType": "immediate"}
        aws.rds.apply_pending_maintenance_action(**wanted)
        aws.until(lambda: aws.rds.describe_pending_maintenance_actions()["PendingMaintenanceActions"] == [])
        aws.settled("graph")
        assert [spec.role for spec in engine(aws).started] == ["writer", "writer"]
        refused("ResourceNotFoundFault", aws.rds.apply_pending_maintenance_action, **wanted)
        upgrade(aws, "1.2.1.0", AllowMajorVersionUpgrade=True)


def test_a_global_database_of_it_is_not_in_the_lab(aws: Aws) -> None:
    aws.create_graph(instances=0)
    source = {"GlobalClusterIdentifier": "world", "SourceDBClusterIdentifier": aws.cluster("graph")["DBClusterArn"]}
    assert "global database" in refused("InvalidAction", aws.rds.create_global_cluster, **source)


@pytest.mark.parametrize("logs", [["error"], ["audit", "general"]])
def test_log_types_of_other_engines_are_refused(aws: Aws, logs: list[str]) -> None:
    request = {"DBClusterIdentifier": "graph", "Engine": NEPTUNE, "EnableCloudwatchLogsExports": logs}
    assert "log types" in refused("InvalidParameterCombination", aws.rds.create_db_cluster, **request)


def test_what_breaks_graphs_is_refused_for_other_engines(aws: Aws) -> None:
    aws.create()
    for name, arguments in (
        ("graph", {"instance": "shop-1", "throttled": 1}),
        ("bulk_loads", {"cluster": "shop", "loads": {}}),
        ("expire_stream", {"cluster": "shop", "graph": "rdf", "commit": 1}),
        ("lose_commit", {"cluster": "shop", "graph": "rdf", "commit": 1}),
    ):
        with pytest.raises(ValueError, match="aurora-postgresql, which has no graphs"):
            aws.knobs.turn(name, arguments)
