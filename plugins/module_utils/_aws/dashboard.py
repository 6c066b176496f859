# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What CloudWatch shows of the replication between blue and green, and when it raises the alarm. Pure.

The metrics are those of the Amazon Aurora User Guide, "Amazon CloudWatch metrics for Amazon Aurora", and of the Amazon Neptune
User Guide, "Neptune CloudWatch Metrics". They are taken of a
cluster's writer by its role, so that they go on after a failover.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Serving = Literal["blue", "green"]
Shape = dict[str, Any]

_PERIOD = 60
_LOST = 10**15
"""What stands for a replication that is not there: more than any threshold."""


@dataclass(frozen=True)
class Engine:
    """What there is to watch of an engine.

    ``receiver``: whether the metrics are those of the side that receives, or of the one that is replicated from.
    ``watched`` is the metric of the alarm, empty when the engine has none that tells the lag; each metric comes with what it says.
    """

    name_prefix: str
    title: str
    receiver: bool
    watched: str
    metrics: Mapping[str, str]
    unit: str
    threshold: float
    note: str
    namespace: str = "AWS/RDS"


ENGINES: Mapping[str, Engine] = {
    "aurora_mysql": Engine(
        name_prefix="Aurora-Binlog-Replication-Lag",
        title="Binlog replication",
        receiver=True,
        watched="AuroraBinlogReplicaLag",
        metrics={"AuroraBinlogReplicaLag": "Seconds behind (-1: replication is not active)"},
        unit="seconds",
        threshold=60,
        note="The value is `Seconds_Behind_Source` of the replica's writer. **-1 means that replication is not active**, or that the "
        "server cannot tell. It has a resolution of one minute and is no proof of being in sync: the switchover compares the exact "
        "coordinates of both binary logs.",
    ),
    "aurora_postgresql": Engine(
        name_prefix="Aurora-Logical-Replication-Lag",
        title="Logical replication",
        receiver=False,
        watched="TransactionLogsDiskUsage",
        metrics={
            "TransactionLogsDiskUsage": "Bytes of WAL kept for the slots (-1: no logical replication)",
            "ReplicationSlotDiskUsage": "Bytes of replication slot files",
        },
        unit="bytes",
        threshold=10 * 2**30,
        note="What the replicated side keeps for replication slots, including those of others. **-1 means that logical replication is "
        "not in use.** It grows while the other side is behind or does not read. It is no proof of being in sync: the switchover waits "
        "for a marker.",
    ),
    "neptune": Engine(
        name_prefix="Neptune-Streams-Replication",
        title="Streams replication",
        receiver=True,
        watched="",
        metrics={
            "NumTxCommitted": "Transactions committed per second",
            "MainRequestQueuePendingRequests": "Requests that wait",
        },
        unit="transactions, requests",
        threshold=0,
        note="What the writer of the side that is replicated to commits. Neptune publishes a metric only while it is not zero, and **none "
        "that tells how far the other side is behind**: `bg_info` reads that from the stream and the checkpoint.",
        namespace="AWS/Neptune",
    ),
}


@dataclass(frozen=True)
class Subject:
    """The deployment whose replication is shown: the identifiers of its clusters, the Region, and who serves."""

    deployment_id: str
    engine: Engine
    region: str
    blue: str
    green: str
    serving: Serving

    @property
    def mark(self) -> str:
        """The sentence by which a dashboard or an alarm is known to be the deployment's."""
        return f"Made by bluegreen.aws for the deployment {self.deployment_id}."

    @property
    def alarm_name(self) -> str:
        """The alarm's name."""
        return f"{self.deployment_id}-replication-lag"

    @property
    def watched_cluster(self) -> str:
        """The cluster whose metric tells whether replication keeps up now."""
        of_green = (self.serving == "blue") == self.engine.receiver
        return self.green if of_green else self.blue


@dataclass(frozen=True)
class AlarmOptions:
    """When the alarm is raised: above ``threshold`` for ``periods`` minutes; ``actions`` are the ARNs of whom to tell."""

    threshold: float
    periods: int
    actions: tuple[str, ...]


def dashboard_name(engine: Engine, region: str, writer: str) -> str:
    """The name that goes with green's writer."""
    return f"{engine.name_prefix}-{region}-{writer}"


def dashboard_body(subject: Subject) -> Shape:
    """The dashboard: what it shows in words, and one graph for each direction of replication."""
    engine = subject.engine
    forward, reverse = (subject.green, subject.blue) if engine.receiver else (subject.blue, subject.green)
    text = (
        f"## {engine.title} of the deployment {subject.deployment_id}\n"
        f"blue `{subject.blue}`, green `{subject.green}`. {engine.note}\n\n{subject.mark}"
    )
    return {
        "widgets": [
            {"type": "text", "x": 0, "y": 0, "width": 24, "height": 4, "properties": {"markdown": text}},
            _graph(subject, f"blue -> green, {forward}", forward, 0),
            _graph(subject, f"green -> blue (after a switchover), {reverse}", reverse, 12),
        ]
    }


def alarm_parameters(subject: Subject, options: AlarmOptions) -> Shape:
    """The parameters of PutMetricAlarm.

    One expression covers both faults: a value above the threshold, and -1, for a replication that is not there. No data at all
    is a fault as well.
    """
    engine, cluster = subject.engine, subject.watched_cluster
    other = subject.green if cluster == subject.blue else subject.blue
    return {
        "AlarmName": subject.alarm_name,
        "AlarmDescription": f"Replication between {other} and {cluster} does not keep up or is not active "
        f"({engine.watched} of {cluster}). {subject.mark}",
        "ActionsEnabled": True,
        "AlarmActions": list(options.actions),
        "OKActions": list(options.actions),
        "InsufficientDataActions": [],
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": float(options.threshold),
        "EvaluationPeriods": options.periods,
        "DatapointsToAlarm": options.periods,
        "TreatMissingData": "breaching",
        "Metrics": [
            {
                "Id": "lag",
                "Expression": f"IF(lowest < 0, {_LOST}, highest)",
                "Label": f"{engine.watched}, or {_LOST} without replication",
                "ReturnData": True,
            },
            _statistic("highest", "Maximum", engine, cluster),
            _statistic("lowest", "Minimum", engine, cluster),
        ],
    }


def _statistic(name: str, statistic: str, engine: Engine, cluster: str) -> Shape:
    dimensions = [{"Name": "DBClusterIdentifier", "Value": cluster}, {"Name": "Role", "Value": "WRITER"}]
    return {
        "Id": name,
        "MetricStat": {
            "Metric": {"Namespace": engine.namespace, "MetricName": engine.watched, "Dimensions": dimensions},
            "Period": _PERIOD,
            "Stat": statistic,
        },
        "ReturnData": False,
    }


def _graph(subject: Subject, title: str, cluster: str, x: int) -> Shape:
    metrics = [
        [subject.engine.namespace, metric, "DBClusterIdentifier", cluster, "Role", "WRITER", {"label": label}]
        for metric, label in subject.engine.metrics.items()
    ]
    return {
        "type": "metric",
        "x": x,
        "y": 4,
        "width": 12,
        "height": 8,
        "properties": {
            "title": title,
            "region": subject.region,
            "view": "timeSeries",
            "stat": "Maximum",
            "period": _PERIOD,
            "metrics": metrics,
            "yAxis": {"left": {"label": subject.engine.unit, "showUnits": False}},
        },
    }
