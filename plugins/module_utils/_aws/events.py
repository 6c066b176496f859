# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Events: the service's own words about what happened to a cluster (Amazon RDS API, DescribeEvents)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from .api import Api

_MINUTES = 24 * 60
# Seen on AWS: "Database cluster is in a state that cannot be upgraded: Upgrade prechecks failed. ..." (Amazon Aurora
# User Guide, "Finding the reasons for upgrade failures"); "Starting online upgrade prechecks" must not match.
_FAILURE = re.compile(
    r"\bfail(?:ed|ure|s)?\b|\bunable\b|\bcan(?:'|no)t\b|\bcould not\b|\bincompatible\b", re.IGNORECASE
)

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
    failures = [message for at, message in now if (at, message) not in old and _FAILURE.search(message)]
    return " ".join(failures[0].split()).rstrip(".") if failures else None
