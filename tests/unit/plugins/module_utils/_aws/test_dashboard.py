# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The alarm is one expression over both faults, and watches the side where a fault can be seen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._aws.dashboard import (
    ENGINES,
    AlarmOptions,
    Serving,
    Subject,
    alarm_parameters,
    dashboard_body,
    dashboard_name,
)

SUBJECT = Subject("shop-84", ENGINES["aurora_mysql"], "eu-central-1", "shop", "shop-84", "blue")
ALARM = AlarmOptions(30, 5, ())


def test_the_name_is_that_of_the_first_tool() -> None:
    name = dashboard_name(ENGINES["aurora_mysql"], "us-east-1", "testprod1")
    assert name == "Aurora-Binlog-Replication-Lag-us-east-1-testprod1"


@pytest.mark.parametrize(
    ("engine", "serving", "watched"),
    [
        ("aurora_mysql", "blue", "shop-84"),
        ("aurora_mysql", "green", "shop"),
        ("aurora_postgresql", "blue", "shop"),
        ("aurora_postgresql", "green", "shop-84"),
    ],
)
def test_mysql_is_watched_where_it_arrives_and_postgresql_where_it_is_kept(
    engine: str, serving: Serving, watched: str
) -> None:
    subject = replace(SUBJECT, engine=ENGINES[engine], serving=serving)
    assert subject.watched_cluster == watched
    metrics = alarm_parameters(subject, ALARM)["Metrics"][1:]
    assert [one["MetricStat"]["Metric"]["Dimensions"] for one in metrics] == [
        [{"Name": "DBClusterIdentifier", "Value": watched}, {"Name": "Role", "Value": "WRITER"}]
    ] * 2


def test_no_data_and_no_replication_raise_the_alarm_as_a_lag_does() -> None:
    found = alarm_parameters(SUBJECT, ALARM)
    assert found["TreatMissingData"] == "breaching"
    assert (found["Threshold"], found["EvaluationPeriods"], found["DatapointsToAlarm"]) == (30.0, 5, 5)
    expression, highest, lowest = found["Metrics"]
    # what CloudWatch computes: the highest value of a minute, or more than any threshold when the lowest was -1
    condition, then, otherwise = expression["Expression"].removeprefix("IF(").removesuffix(")").split(", ")
    assert (condition, otherwise) == ("lowest < 0", "highest")
    assert int(then) > 100 * 2**40
    assert (highest["Id"], highest["MetricStat"]["Stat"]) == ("highest", "Maximum")
    assert (lowest["Id"], lowest["MetricStat"]["Stat"]) == ("lowest", "Minimum")
    assert [one["ReturnData"] for one in found["Metrics"]] == [True, False, False]


def test_the_actions_are_told_of_the_beginning_and_of_the_end() -> None:
    found = alarm_parameters(SUBJECT, replace(ALARM, actions=("arn:aws:sns:eu-central-1:123456789012:on-call",)))
    assert found["AlarmActions"] == found["OKActions"] == ["arn:aws:sns:eu-central-1:123456789012:on-call"]


def test_both_carry_the_deployments_mark_and_no_other_ones() -> None:
    other = replace(SUBJECT, deployment_id="shop-8")
    for text in (str(dashboard_body(SUBJECT)), alarm_parameters(SUBJECT, ALARM)["AlarmDescription"]):
        assert SUBJECT.mark in text
        assert other.mark not in text


def test_neptune_shows_its_own_metrics_of_the_side_that_receives() -> None:
    body = dashboard_body(replace(SUBJECT, engine=ENGINES["neptune"]))
    metrics = [metric for widget in body["widgets"][1:] for metric in widget["properties"]["metrics"]]
    assert {metric[0] for metric in metrics} == {"AWS/Neptune"}
    assert body["widgets"][1]["properties"]["title"] == "blue -> green, shop-84"
    assert ENGINES["neptune"].watched == "", "no metric tells the lag, so that an alarm would lie"
