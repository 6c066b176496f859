# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Events: the service's own words about what happened to a cluster (Amazon RDS API, DescribeEvents)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from .api import Api

_MINUTES = 24 * 60
_KEPT_MINUTES = 14 * _MINUTES  # events are kept for 14 days (Amazon RDS API, DescribeEvents)
_CLONE_POSITION = re.compile(r"\bBinlog position from crash recovery is (?P<position>\S+ \d+)")
# Seen on AWS: "Database cluster is in a state that cannot be upgraded: Upgrade prechecks failed. ..." (Amazon Aurora
# User Guide, "Finding the reasons for upgrade failures"); "Starting online upgrade prechecks" must not match.
FAILURE = re.compile(r"\bfail(?:ed|ure|s)?\b|\bunable\b|\bcan(?:'|no)t\b|\bcould not\b|\bincompatible\b", re.IGNORECASE)

Events = tuple[tuple[str, str], ...]


def read_events(api: Api, cluster: str, instances: Iterable[str]) -> Events:
    """The (time, message) of the cluster's and then its instances' events of the last day, each oldest first."""
    sources = [("db-cluster", cluster), *(("db-instance", instance) for instance in instances)]
    return tuple(
        (str(event.get("Date")), str(event.get("Message", "")))
        for source_type, source in sources
        for event in api.pages(
            "describe_events", "Events", SourceType=source_type, SourceIdentifier=source, Duration=_MINUTES
        )
    )


def failure_reason(before: Events, now: Events) -> str | None:
    """The first failure among the events that are new since ``before``, None without one. Pure."""
    old = set(before)
    failures = [message for at, message in now if (at, message) not in old and FAILURE.search(message)]
    return " ".join(failures[0].split()).rstrip(".") if failures else None


def clone_position(rds: Api, db_instance_identifier: str) -> tuple[str, datetime] | None:
    """The place in blue's binary log that a MySQL clone starts from, as ``FILE POS``, and when the service told it.

    It is the first event of its kind in the life of the instance's cluster: the crash recovery of the clone's first start
    tells it (Amazon Aurora User Guide, replication with MySQL), every later restart and upgrade tells a place in green's own
    log. All instances are read, because another one may be the writer by now. The cluster's life is what counts, not that
    of the instance, whose InstanceCreateTime the service sets only when the server has started.

    None when there is no such event, and when the first one may have been forgotten by the service already.
    """
    (instance,) = rds.call("describe_db_instances", DBInstanceIdentifier=db_instance_identifier)["DBInstances"]
    cluster = instance["DBClusterIdentifier"]
    born = rds.call("describe_db_clusters", DBClusterIdentifier=cluster)["DBClusters"][0]["ClusterCreateTime"]
    if datetime.now(UTC) - born > timedelta(minutes=_KEPT_MINUTES - 60):
        return None
    members = rds.pages(
        "describe_db_instances", "DBInstances", Filters=[{"Name": "db-cluster-id", "Values": [cluster]}]
    )
    told = [
        (event["Date"], found["position"])
        for member in members
        for event in rds.pages(
            "describe_events",
            "Events",
            SourceType="db-instance",
            SourceIdentifier=member["DBInstanceIdentifier"],
            Duration=_KEPT_MINUTES,
        )
        if event["Date"] >= born and (found := _CLONE_POSITION.search(str(event.get("Message", ""))))
    ]
    if not told:
        return None
    at, position = min(told)
    return position, at
