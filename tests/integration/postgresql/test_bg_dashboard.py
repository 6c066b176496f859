# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`bg_dashboard` on the lab's CloudWatch: made once, kept, changed, removed, and nothing touched that is somebody else's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.conftest import ModuleFailed, RunModule
from tests.lab.lab import REGION, Blue, Lab

MODULE = "bg_dashboard"
MYSQL = f"Aurora-Binlog-Replication-Lag-{REGION}-watched-1"
POSTGRESQL = f"Aurora-Logical-Replication-Lag-{REGION}-watched-1"
ALARM = "watched-replication-lag"


@pytest.fixture(scope="module", name="source")
def _source(lab: Lab, run_module: RunModule) -> Iterator[Blue]:
    """A blue and a green named watched."""
    blue = lab.seed_postgresql("watchedblue")
    run_module(
        "aurora_clone",
        deployment_id="watched",
        source_db_cluster_identifier=blue.cluster,
        wait_delay=0.1,
        deletion_protection=False,
    )
    yield blue
    lab.delete("watched")
    lab.delete(blue.cluster)


@pytest.fixture(name="options")
def _options(lab: Lab, source: Blue) -> Iterator[dict[str, Any]]:
    yield {"deployment_id": "watched", "engine": "aurora_mysql", "source_db_cluster_identifier": source.cluster}
    cloudwatch = lab.client("cloudwatch")
    names = [entry["DashboardName"] for entry in cloudwatch.list_dashboards()["DashboardEntries"]]
    if names:
        cloudwatch.delete_dashboards(DashboardNames=names)
    cloudwatch.delete_alarms(AlarmNames=[ALARM])


def dashboards(lab: Lab) -> list[str]:
    return [entry["DashboardName"] for entry in lab.client("cloudwatch").list_dashboards()["DashboardEntries"]]


def alarm(lab: Lab) -> dict[str, Any] | None:
    found = lab.client("cloudwatch").describe_alarms(AlarmNames=[ALARM])["MetricAlarms"]
    return found[0] if found else None


def watched(lab: Lab) -> tuple[str, str]:
    """The cluster and the metric of the alarm."""
    found = alarm(lab)
    assert found
    metric = next(one["MetricStat"]["Metric"] for one in found["Metrics"] if one["Id"] == "highest")
    return metric["Dimensions"][0]["Value"], metric["MetricName"]


def test_it_is_predicted_made_once_and_kept(lab: Lab, run_module: RunModule, options: dict[str, Any]) -> None:
    predicted = run_module(MODULE, check=True, diff=True, **options)
    assert dashboards(lab) == [] and alarm(lab) is None
    made = run_module(MODULE, diff=True, **options)
    assert made["actions"] == predicted["actions"] == [f"make the dashboard {MYSQL}", f"make the alarm {ALARM}"]
    assert made["diff"] == predicted["diff"] and predicted["changed"]
    assert (made["dashboard_name"], made["alarm_name"]) == (MYSQL, ALARM)
    assert dashboards(lab) == [MYSQL]
    again = run_module(MODULE, **options)
    assert (again["changed"], again["actions"]) == (False, [])


def test_the_dashboard_says_what_minus_one_means(lab: Lab, run_module: RunModule, options: dict[str, Any]) -> None:
    run_module(MODULE, **options)
    body = json.loads(lab.client("cloudwatch").get_dashboard(DashboardName=MYSQL)["DashboardBody"])
    text, forward, _reverse = body["widgets"]
    assert "-1 means that replication is not active" in text["properties"]["markdown"]
    assert forward["properties"]["metrics"][0][:4] == [
        "AWS/RDS",
        "AuroraBinlogReplicaLag",
        "DBClusterIdentifier",
        "watched",
    ]


def test_the_alarm_follows_the_side_that_receives(lab: Lab, run_module: RunModule, options: dict[str, Any]) -> None:
    run_module(MODULE, **options)
    assert watched(lab) == ("watched", "AuroraBinlogReplicaLag")
    moved = run_module(MODULE, serving="green", **options)
    assert moved["actions"] == [f"change the alarm {ALARM}"]
    assert watched(lab) == ("watchedblue", "AuroraBinlogReplicaLag")


def test_the_alarm_of_postgresql_watches_the_side_that_keeps_the_log(
    lab: Lab, run_module: RunModule, options: dict[str, Any]
) -> None:
    run_module(MODULE, **{**options, "engine": "aurora_postgresql"})
    assert dashboards(lab) == [POSTGRESQL]
    assert watched(lab) == ("watchedblue", "TransactionLogsDiskUsage")


def test_an_alarm_that_is_not_wanted_any_more_goes(lab: Lab, run_module: RunModule, options: dict[str, Any]) -> None:
    run_module(MODULE, alarm_threshold=5, alarm_actions=["arn:aws:sns:eu-central-1:123456789012:on-call"], **options)
    found = alarm(lab)
    assert found and (found["Threshold"], found["TreatMissingData"]) == (5.0, "breaching")
    assert run_module(MODULE, alarm=False, **options)["actions"] == [f"delete the alarm {ALARM}"]
    assert alarm(lab) is None


def test_removal_is_complete_without_green_and_its_second_run_nothing(
    lab: Lab, run_module: RunModule, options: dict[str, Any]
) -> None:
    run_module(MODULE, **options)
    absent = {"deployment_id": "watched", "engine": "aurora_mysql", "state": "absent"}
    predicted = run_module(MODULE, check=True, **absent)
    assert dashboards(lab) == [MYSQL]
    removed = run_module(MODULE, **absent)
    assert removed["actions"] == predicted["actions"] == [f"delete the dashboard {MYSQL}", f"delete the alarm {ALARM}"]
    assert dashboards(lab) == [] and alarm(lab) is None
    assert run_module(MODULE, **absent)["changed"] is False


def test_what_somebody_else_made_is_refused_and_never_removed(
    lab: Lab, run_module: RunModule, options: dict[str, Any]
) -> None:
    body = json.dumps({"widgets": []})
    lab.client("cloudwatch").put_dashboard(DashboardName=MYSQL, DashboardBody=body)
    with pytest.raises(
        ModuleFailed, match=f"The dashboard {MYSQL} is wanted .* that it did not make: delete"
    ) as failure:
        run_module(MODULE, **options)
    assert failure.value.result["changed"] is False and alarm(lab) is None
    run_module(MODULE, state="absent", **options)
    assert dashboards(lab) == [MYSQL]


def test_a_green_that_does_not_exist_is_one_sentence(run_module: RunModule, options: dict[str, Any]) -> None:
    with pytest.raises(ModuleFailed, match="The DB cluster missing should be green, but it does not exist"):
        run_module(MODULE, **{**options, "deployment_id": "missing"})


def test_neptune_gets_a_dashboard_and_no_alarm_that_could_not_know(
    lab: Lab, run_module: RunModule, options: dict[str, Any]
) -> None:
    result = run_module(MODULE, **{**options, "engine": "neptune"})
    assert dashboards(lab) == [result["dashboard_name"]] == [f"Neptune-Streams-Replication-{REGION}-watched-1"]
    assert (result["alarm_name"], alarm(lab)) == (None, None)
    assert run_module(MODULE, **{**options, "engine": "neptune"})["changed"] is False
    with pytest.raises(ModuleFailed, match="there can be no alarm"):
        run_module(MODULE, **{**options, "engine": "neptune", "alarm": True})
