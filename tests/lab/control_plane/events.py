# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Events of clusters, instances, parameter groups and snapshots."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.lab.control_plane.common import page
from tests.lab.control_plane.errors import invalid_combination, invalid_value
from tests.lab.control_plane.plane import Call, Handler
from tests.lab.control_plane.records import Cluster, Instance, Region, Shape, utcnow

DEFAULT_DURATION = 60  # minutes
LONGEST = 14 * 24 * 60  # minutes that events are kept, and the longest Duration


def add(region: Region, source_type: str, identifier: str, arn: str, message: str, *categories: str) -> None:
    """Record an event."""
    region.events.append(
        {
            "SourceIdentifier": identifier,
            "SourceType": source_type,
            "Message": message,
            "EventCategories": list(categories),
            "Date": utcnow(),
            "SourceArn": arn,
        }
    )


def cluster_event(region: Region, cluster: Cluster, message: str, *categories: str) -> None:
    """Record an event of a cluster; that of a stand-alone instance is its instance's."""
    source = "db-instance" if cluster.standalone else "db-cluster"
    add(region, source, cluster.identifier, cluster.api["DBClusterArn"], message, *categories)


def instance_event(region: Region, instance: Instance, message: str, *categories: str) -> None:
    """Record an event of an instance."""
    add(region, "db-instance", instance.identifier, instance.api["DBInstanceArn"], message, *categories)


def describe_events(call: Call) -> Shape:
    """DescribeEvents: without StartTime the last hour, or the last Duration minutes; two weeks back at most."""
    params = call.params
    identifier, source_type = params.get("SourceIdentifier"), params.get("SourceType")
    if identifier and not source_type:
        raise invalid_combination("If SourceIdentifier is supplied, SourceType must also be provided.")
    duration = int(params.get("Duration") or DEFAULT_DURATION)
    if not 1 <= duration <= LONGEST:
        raise invalid_value(f"Invalid value {duration} for Duration. Must be between 1 and {LONGEST}")
    now = utcnow()
    end = _aware(params.get("EndTime")) or now
    start = _aware(params.get("StartTime")) or end - timedelta(minutes=duration)
    start = max(start, now - timedelta(minutes=LONGEST))
    categories = set(params.get("EventCategories") or ())
    found = [
        event
        for event in call.region.events
        if start <= event["Date"] <= end
        and source_type in (None, event["SourceType"])
        and identifier in (None, event["SourceIdentifier"])
        and (not categories or categories & set(event["EventCategories"]))
    ]
    return page(call, "Events", found)


def _aware(value: Any) -> datetime | None:
    """The request parser gives naive UTC."""
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def age(region: Region, minutes: float) -> None:
    """Let everything that has happened have happened earlier."""
    for event in region.events:
        event["Date"] -= timedelta(minutes=minutes)


OPERATIONS: dict[str, Handler] = {"DescribeEvents": describe_events}
