# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The replicator as an AWS Lambda function: started every minute, one at a time, ended at its hard time limit wherever it is.

It serves the direction that the leases say is to run, so that a switchover needs no other function. What it knows comes from
its environment (:class:`Settings`) and from the leases.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

try:
    import boto3
except ImportError:  # Lambda's Python has it; whoever packs this needs it not
    pass

from .._aws.signing import signer
from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError
from .._core.names import Direction
from .._core.waiting import Deadline
from .._neptune.connection import Client, GraphType
from .._neptune.lease import Lease, LeaseTaken
from .._neptune.replicator import Options, Replicator

LOG = logging.getLogger(__name__)
_MARGIN = 15.0  # seconds before the hard limit in which no new page is begun
_DIRECTIONS: tuple[Direction, ...] = ("forward", "reverse")


class Context(Protocol):
    """What Lambda tells of an invocation."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the hard limit."""


class ReplicationError(Exception):
    """Replication stopped; the lease says why too."""


@dataclass(frozen=True)
class Settings:
    """The environment: ``BLUE`` and ``GREEN`` as ``host:port``, and how to replicate."""

    table: str
    leases: Mapping[Direction, str]
    blue: Endpoint
    green: Endpoint
    signed: Mapping[str, bool]
    graph_type: GraphType
    lanes: int
    batch: int
    page: int
    blank_nodes: str
    lease_ttl: float

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Settings:
        """Read it."""
        return cls(
            table=environment["CHECKPOINT_TABLE"],
            leases={direction: environment[f"LEASE_{direction.upper()}"] for direction in _DIRECTIONS},
            blue=_endpoint("blue", environment),
            green=_endpoint("green", environment),
            signed={side: environment.get(f"{side.upper()}_IAM_AUTH") == "true" for side in ("blue", "green")},
            graph_type=cast(GraphType, environment["GRAPH_TYPE"]),
            lanes=int(environment["LANES"]),
            batch=int(environment["BATCH"]),
            page=int(environment["PAGE_SIZE"]),
            blank_nodes=environment["BLANK_NODES"],
            lease_ttl=float(environment["LEASE_TTL"]),
        )


def handler(_event: object, context: Context) -> dict[str, Any]:
    """Replicate until shortly before the time limit; returns what was reached, for the function's log."""
    settings = Settings.of(os.environ)
    dynamodb = boto3.client("dynamodb")
    found = wanted(dynamodb, settings)
    if found is None:
        return {"status": "nothing is to run"}
    direction, lease = found
    sides = settings.blue, settings.green
    source, target = (_client(side, settings) for side in (sides if direction == "forward" else sides[::-1]))
    options = Options(
        owner=f"lambda-{context.aws_request_id}",
        lanes=settings.lanes,
        batch=settings.batch,
        page=settings.page,
        blank_nodes="allow" if settings.blank_nodes == "allow" else "stop",
        lease_ttl=settings.lease_ttl,
    )
    deadline = Deadline(max(0.0, context.get_remaining_time_in_millis() / 1000 - _MARGIN))
    try:
        progress = Replicator(source, target, lease, settings.graph_type, options).run(
            lambda _progress: False, deadline
        )
    except LeaseTaken as taken:
        return {"status": "held by another run", "reason": taken.message}
    except BlueGreenError as error:
        LOG.error("%s", error.message)
        raise ReplicationError(error.message) from None
    return {
        "status": "applied",
        "direction": direction,
        "checkpoint": str(progress.checkpoint),
        "lag_commits": progress.lag_commits,
        "lag_seconds": round(progress.lag_seconds, 3),
    }


def wanted(dynamodb: Any, settings: Settings) -> tuple[Direction, Lease] | None:
    """The direction that is to run and its lease, None when none is."""
    for direction in _DIRECTIONS:
        lease = Lease(dynamodb, settings.table, settings.leases[direction])
        item = lease.read()
        if item is not None and item.desired == "running":
            return direction, lease
    return None


def _endpoint(side: str, environment: Mapping[str, str]) -> Endpoint:
    host, _colon, port = environment[side.upper()].rpartition(":")
    return Endpoint(side, host, int(port), "", "", ca_cert=environment.get("CA_CERT"))


def _client(endpoint: Endpoint, settings: Settings) -> Client:
    return Client(endpoint, signer(os.environ.get("AWS_REGION"), {}) if settings.signed[endpoint.side] else None)
