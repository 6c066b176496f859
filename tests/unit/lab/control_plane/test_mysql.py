# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""aurora-mysql beside aurora-postgresql: what the API says and asks there, and the events that servers cause."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest

from tests.lab.control_plane.addresses import Addresses
from tests.lab.control_plane.clock import DELAYS, Clock
from tests.lab.control_plane.lazy_engine import LazyEngine
from tests.lab.control_plane.plane import ControlPlane
from tests.lab.engine import DatabaseEngine, EngineError
from tests.unit.lab.control_plane.conftest import DELAY, Aws, refused
from tests.unit.lab.control_plane.fake_engine import AURORA, MYSQL, FakeMySQL

OLD, NEW, NEXT = "8.0.mysql_aurora.3.05.2", "8.0.mysql_aurora.3.10.0", "8.4.mysql_aurora.8.4.7"
RECOVERED = "Binlog position from crash recovery is mysql-bin-changelog.000003"


def create(aws: Aws, version: str = NEW, **options: Any) -> None:
    aws.create(version=version, engine=MYSQL, **options)


def group(aws: Aws, name: str, family: str, **values: str) -> None:
    """A cluster parameter group; a value is `ROW` or `ROW/pending-reboot`."""
    aws.rds.create_db_cluster_parameter_group(
        DBClusterParameterGroupName=name, DBParameterGroupFamily=family, Description="d"
    )
    if values:
        modify(aws, name, **values)


def modify(aws: Aws, name: str, **values: str) -> None:
    aws.rds.modify_db_cluster_parameter_group(
        DBClusterParameterGroupName=name,
        Parameters=[
            {
                "ParameterName": parameter,
                "ParameterValue": value.partition("/")[0],
                "ApplyMethod": value.partition("/")[2] or "immediate",
            }
            for parameter, value in values.items()
        ],
    )


def member(aws: Aws, name: str = "shop") -> dict[str, Any]:
    found: dict[str, Any] = aws.cluster(name)["DBClusterMembers"][0]
    return found


class TestVersions:
    """What is offered."""

    def test_versions_say_what_aurora_mysql_is(self, aws: Aws) -> None:
        found = {v["EngineVersion"]: v for v in aws.rds.describe_db_engine_versions(Engine=MYSQL)["DBEngineVersions"]}
        assert list(found) == [OLD, NEW, NEXT]
        version = found[NEW]
        assert (version["MajorEngineVersion"], version["DBParameterGroupFamily"]) == ("8.0", "aurora-mysql8.0")
        assert version["DBEngineVersionDescription"] == "Aurora MySQL 3.10.0 (compatible with MySQL 8.0)"
        assert version["ExportableLogTypes"] == ["audit", "error", "general", "slowquery"]
        assert [(t["EngineVersion"], t["IsMajorVersionUpgrade"]) for t in version["ValidUpgradeTarget"]] == [
            (NEXT, True)
        ]
        assert [t["IsMajorVersionUpgrade"] for t in found[OLD]["ValidUpgradeTarget"]] == [False, True]

    def test_the_newest_of_the_older_major_is_the_default_and_a_major_alone_is_its_newest(self, aws: Aws) -> None:
        def versions(**options: object) -> list[str]:
            found = aws.rds.describe_db_engine_versions(Engine=MYSQL, **options)["DBEngineVersions"]
            return [version["EngineVersion"] for version in found]

        assert versions(DefaultOnly=True) == [NEW]
        assert versions(EngineVersion="8.4") == [NEXT]
        create(aws, version="8.0", instances=0)
        assert aws.cluster("shop")["EngineVersion"] == NEW

    def test_what_can_be_ordered_has_its_licence(self, aws: Aws) -> None:
        found = aws.rds.describe_orderable_db_instance_options(Engine=MYSQL, EngineVersion=NEXT)
        options = found["OrderableDBInstanceOptions"]
        assert {option["LicenseModel"] for option in options} == {"general-public-license"}


def test_a_cluster_has_the_port_and_the_licence_of_its_engine(aws: Aws) -> None:
    create(aws)
    aws.create("other", instances=0)
    assert aws.cluster("shop")["Port"] == aws.plane.addresses.port(3306) != aws.cluster("other")["Port"]
    assert aws.instance("shop-1")["LicenseModel"] == "general-public-license"
    assert aws.cluster("shop")["DBClusterParameterGroup"] == "default.aurora-mysql8.0"


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ({"MasterUsername": "rdsadmin"}, "InvalidParameterValue", "reserved word"),
        ({"MasterUsername": "shop-admin"}, "InvalidParameterValue", "not a valid identifier"),
        ({"MasterUserPassword": "x" * 42}, "InvalidParameterValue", "longer than 41"),
        ({"DatabaseName": "mysql"}, "InvalidParameterValue", "reserved word"),
        ({"EnableCloudwatchLogsExports": ["postgresql"]}, "InvalidParameterCombination", "log types 'postgresql'"),
        ({"EngineVersion": "5.7.mysql_aurora.2.11.2"}, "InvalidParameterCombination", "Cannot find version"),
        ({"Engine": "mariadb"}, "InvalidAction", "the engine mariadb is not part of the lab"),
        ({"Engine": "oracle"}, "InvalidParameterValue", "Invalid DB engine"),
    ],
)
def test_what_the_service_refuses_is_refused(aws: Aws, options: Mapping[str, Any], code: str, words: str) -> None:
    request = {
        "DBClusterIdentifier": "shop",
        "Engine": MYSQL,
        "MasterUsername": "admin",
        "MasterUserPassword": "first+Pass-word",
        **options,
    }
    assert words in refused(code, aws.rds.create_db_cluster, **request)


def test_an_instance_without_a_cluster_is_refused_and_a_global_database_is_not_in_the_lab(aws: Aws) -> None:
    instance = {"DBInstanceIdentifier": "i", "DBInstanceClass": "db.r6g.large", "Engine": MYSQL}
    assert "is in a DB cluster" in refused("InvalidParameterCombination", aws.rds.create_db_instance, **instance)
    create(aws, instances=0)
    source = {"GlobalClusterIdentifier": "world", "SourceDBClusterIdentifier": aws.cluster("shop")["DBClusterArn"]}
    assert "global database" in refused("InvalidAction", aws.rds.create_global_cluster, **source)


class TestParameters:
    """Parameter groups of the families."""

    def test_what_is_the_clusters_is_not_in_the_group_of_an_instance(self, aws: Aws) -> None:
        def names(answer: Mapping[str, Any]) -> set[str]:
            return {parameter["ParameterName"] for parameter in answer["Parameters"]}

        family = "aurora-mysql8.0"
        cluster = aws.rds.describe_db_cluster_parameters(DBClusterParameterGroupName=f"default.{family}")
        instance = aws.rds.describe_db_parameters(DBParameterGroupName=f"default.{family}")
        assert names(cluster) - names(instance) == {"binlog_format", "event_scheduler", "read_only"}

    def test_a_static_one_waits_for_the_reboot_and_read_only_does_not(self, aws: Aws) -> None:
        group(aws, "g", "aurora-mysql8.0")
        create(aws, DBClusterParameterGroupName="g")
        server = aws.instance("shop-1")["DbiResourceId"]
        static = {"binlog_format": "ROW"}
        assert "static" in refused("InvalidParameterCombination", lambda: modify(aws, "g", **static))
        modify(aws, "g", binlog_format="ROW/pending-reboot")
        assert member(aws)["DBClusterParameterGroupStatus"] == "pending-reboot"
        modify(aws, "g", read_only="1")
        aws.until(lambda: aws.mysql.parameters[server]["read_only"] == "1")
        assert aws.mysql.parameters[server]["binlog_format"] == "OFF"
        aws.rds.reboot_db_instance(DBInstanceIdentifier="shop-1")
        aws.settled("shop")
        assert aws.mysql.parameters[server]["binlog_format"] == "ROW"
        assert member(aws)["DBClusterParameterGroupStatus"] == "in-sync"

    def test_what_is_not_allowed_or_not_modifiable_is_refused(self, aws: Aws) -> None:
        group(aws, "g", "aurora-mysql8.0")
        refused("InvalidParameterValue", lambda: modify(aws, "g", binlog_format="NONE/pending-reboot"))
        refused("InvalidParameterValue", lambda: modify(aws, "g", sync_binlog="0"))

    def test_a_group_of_another_engine_cannot_be_used(self, aws: Aws) -> None:
        group(aws, "pg", "aurora-postgresql16")
        request = {
            "DBClusterIdentifier": "shop",
            "Engine": MYSQL,
            "MasterUsername": "admin",
            "MasterUserPassword": "first+Pass-word",
            "DBClusterParameterGroupName": "pg",
        }
        refused("InvalidParameterCombination", aws.rds.create_db_cluster, **request)


class TestEvents:
    """What a server publishes when it has started."""

    def test_a_clones_first_start_and_every_later_one_is_an_event_of_the_instance(self, aws: Aws) -> None:
        create(aws)
        aws.mysql.messages = [RECOVERED]
        aws.clone()
        aws.rds.create_db_instance(
            DBInstanceIdentifier="green-1", DBClusterIdentifier="green", Engine=MYSQL, DBInstanceClass="db.r6g.large"
        )
        aws.settled("green")
        found = aws.rds.describe_events(SourceType="db-instance", SourceIdentifier="green-1")["Events"]
        assert [event["Message"] for event in found] == [f"{RECOVERED} 2", "DB instance created"]
        assert found[0]["EventCategories"] == []
        assert found[0]["SourceArn"] == aws.instance("green-1")["DBInstanceArn"]
        aws.rds.reboot_db_instance(DBInstanceIdentifier="green-1")
        aws.settled("green")
        again = [message for message in aws.messages("db-instance", "green-1") if message.startswith(RECOVERED)]
        assert again == [f"{RECOVERED} 2", f"{RECOVERED} 3"]
        assert RECOVERED not in " ".join(aws.messages("db-instance", "shop-1"))

    def test_after_an_hour_they_are_found_by_duration_or_start_time_only(self, aws: Aws) -> None:
        aws.mysql.messages = [RECOVERED]
        create(aws)
        aws.knobs.turn("age_events", {"minutes": 90})

        def seen(**options: Any) -> int:
            found = aws.rds.describe_events(SourceType="db-instance", SourceIdentifier="shop-1", **options)["Events"]
            return sum(event["Message"].startswith(RECOVERED) for event in found)

        created = aws.cluster("shop")["ClusterCreateTime"]
        assert (seen(), seen(Duration=60), seen(Duration=91)) == (0, 0, 1)
        assert (seen(StartTime=created - timedelta(minutes=91)), seen(StartTime=created)) == (1, 0)

    @pytest.mark.parametrize("duration", [-1, 20161])
    def test_two_weeks_are_the_longest_duration(self, aws: Aws, duration: int) -> None:
        refused("InvalidParameterValue", aws.rds.describe_events, Duration=duration)

    def test_events_older_than_two_weeks_are_gone(self, aws: Aws) -> None:
        create(aws, instances=0)
        aws.knobs.turn("age_events", {"minutes": 20161})
        created = aws.cluster("shop")["ClusterCreateTime"]
        assert aws.rds.describe_events(StartTime=created - timedelta(days=20))["Events"] == []

    def test_there_are_pages_of_them(self, aws: Aws) -> None:
        create(aws, instances=0)
        for number in range(30):
            group(aws, f"g{number}", "aurora-mysql8.0", read_only="1")
        pages = list(aws.rds.get_paginator("describe_events").paginate(PaginationConfig={"PageSize": 20}))
        assert [len(page["Events"]) for page in pages] == [20, 11]


def test_a_position_can_be_falsified_where_one_is_reported(aws: Aws) -> None:
    create(aws, instances=0)
    aws.create("other", instances=0)
    aws.knobs.turn("falsify_position", {"cluster": "shop", "offset": -120})
    assert aws.mysql.log == ["falsify admin1 -120"]
    with pytest.raises(ValueError, match="report no position"):
        aws.knobs.turn("falsify_position", {"cluster": "other", "offset": 1})


def test_a_major_upgrade_needs_groups_of_the_new_family(aws: Aws) -> None:
    group(aws, "old", "aurora-mysql8.0", read_only="1")
    create(aws, DBClusterParameterGroupName="old")
    request: dict[str, Any] = {"DBClusterIdentifier": "shop", "EngineVersion": NEXT, "ApplyImmediately": True}
    refused("InvalidParameterCombination", aws.rds.modify_db_cluster, **request)
    request["AllowMajorVersionUpgrade"] = True
    assert "old is custom" in refused("InvalidParameterCombination", aws.rds.modify_db_cluster, **request)
    group(aws, "new", "aurora-mysql8.4", read_only="1")
    aws.rds.modify_db_cluster(
        **request,
        DBClusterParameterGroupName="new",
        DBInstanceParameterGroupName="default.aurora-mysql8.4",
    )
    aws.settled("shop")
    found = aws.cluster("shop")
    assert (found["EngineVersion"], found["DBClusterParameterGroup"]) == (NEXT, "new")
    assert aws.instance("shop-1")["DBParameterGroups"][0]["DBParameterGroupName"] == "default.aurora-mysql8.4"
    # as after every major upgrade, a group of one's own does nothing before the reboot
    assert member(aws)["DBClusterParameterGroupStatus"] == "pending-reboot"
    assert aws.mysql.parameters[aws.instance("shop-1")["DbiResourceId"]]["read_only"] == "0"
    refused("InvalidParameterCombination", aws.rds.modify_db_cluster, DBClusterIdentifier="shop", EngineVersion=OLD)


class TestDashboards:
    """What stock moto has of CloudWatch, through the lab's endpoint."""

    def test_a_dashboard_comes_and_goes(self, aws: Aws) -> None:
        cloudwatch = aws.endpoint.client("cloudwatch")
        name = "Aurora-Binlog-Replication-Lag-us-east-1-shop-1"
        cloudwatch.put_dashboard(DashboardName=name, DashboardBody='{"widgets": []}')
        assert cloudwatch.get_dashboard(DashboardName=name)["DashboardBody"] == '{"widgets": []}'
        listed = cloudwatch.list_dashboards(DashboardNamePrefix="Aurora-Binlog")["DashboardEntries"]
        assert [entry["DashboardName"] for entry in listed] == [name]
        cloudwatch.delete_dashboards(DashboardNames=[name])
        assert cloudwatch.list_dashboards()["DashboardEntries"] == []

    def test_an_alarm_and_its_metric_come_and_go(self, aws: Aws) -> None:
        cloudwatch = aws.endpoint.client("cloudwatch")
        metric = {"Namespace": "AWS/RDS", "MetricName": "AuroraBinlogReplicaLag"}
        cloudwatch.put_metric_alarm(
            AlarmName="lag",
            **metric,
            Dimensions=[{"Name": "DBInstanceIdentifier", "Value": "green-1"}],
            Statistic="Maximum",
            Period=60,
            EvaluationPeriods=3,
            Threshold=30.0,
            ComparisonOperator="GreaterThanThreshold",
        )
        found = cloudwatch.describe_alarms(AlarmNames=["lag"])["MetricAlarms"]
        assert [alarm["MetricName"] for alarm in found] == ["AuroraBinlogReplicaLag"]
        cloudwatch.delete_alarms(AlarmNames=["lag"])
        assert cloudwatch.describe_alarms()["MetricAlarms"] == []


class TestLazily:
    """An engine that exists only when somebody needs it."""

    @staticmethod
    def plane(make: Callable[[], DatabaseEngine]) -> tuple[ControlPlane, LazyEngine]:
        known = FakeMySQL()
        engine = LazyEngine(known.versions(), known.default_parameters, make)
        return ControlPlane({MYSQL: engine}, Addresses(), Clock(dict.fromkeys(DELAYS, DELAY))), engine

    def test_its_versions_and_parameters_make_nothing_and_its_first_cluster_does(self, aws: Aws) -> None:
        made: list[FakeMySQL] = []

        def make() -> FakeMySQL:
            made.append(FakeMySQL())
            return made[-1]

        plane, _engine = self.plane(make)
        aws.endpoint.serve(plane, lambda: None)
        try:
            assert aws.rds.describe_db_engine_versions(Engine=MYSQL)["DBEngineVersions"]
            aws.rds.describe_db_cluster_parameters(DBClusterParameterGroupName="default.aurora-mysql8.0")
            aws.knobs.turn("link", {"address": "127.0.0.9", "mode": "none"})
            assert made == []
            create(aws)
            create(aws, cluster="other", instances=0)
            assert len(made) == 1
        finally:
            plane.close()
            aws.endpoint.serve(aws.plane, lambda: None)
        assert made[0].servers == {}

    def test_what_is_missing_is_said_in_an_event_of_the_cluster(self, aws: Aws) -> None:
        def make() -> FakeMySQL:
            raise EngineError("No MySQL server was found: install one.")

        plane, engine = self.plane(make)
        aws.endpoint.serve(plane, lambda: None)
        try:
            aws.rds.create_db_cluster(
                DBClusterIdentifier="shop", Engine=MYSQL, MasterUsername="admin", MasterUserPassword="first+Pass-word"
            )
            aws.until(lambda: aws.status("shop") == "failed")
            assert aws.messages("db-cluster", "shop") == [
                "The DB cluster could not be created: No MySQL server was found: install one."
            ]
            aws.rds.delete_db_cluster(DBClusterIdentifier="shop", SkipFinalSnapshot=True)
            aws.until(lambda: not aws.rds.describe_db_clusters()["DBClusters"])
        finally:
            plane.close()
            aws.endpoint.serve(aws.plane, lambda: None)
        with pytest.raises(EngineError, match="closing"):
            engine.create_volume("v", NEW, "admin", "first+Pass-word", None)


def test_postgresql_keeps_its_own_rules(aws: Aws) -> None:
    request = {"DBClusterIdentifier": "shop", "Engine": AURORA, "MasterUserPassword": "first+Pass-word"}
    refused("InvalidParameterValue", aws.rds.create_db_cluster, **request, MasterUsername="admin")
    exports = {"MasterUsername": "admin1", "EnableCloudwatchLogsExports": ["audit"]}
    refused("InvalidParameterCombination", aws.rds.create_db_cluster, **request, **exports)
