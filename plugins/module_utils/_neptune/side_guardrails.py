# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The read-only checks before the traffic moves from one side of a Neptune deployment to the other."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from .._core.checks import Check, failed, ok
from .._core.errors import BlueGreenError, words
from .connection import GraphType
from .lease import LeaseItem
from .side_link import Link
from .side_policy import Policy
from .status import lag, replication_of

_GATE = "give a gate of type haproxy, or say writes_stopped: true once every application has stopped writing"


def switchover_checks(
    source: Link, target: Link, lease: LeaseItem | None, policy: Policy, graph_type: GraphType
) -> list[Check]:
    """Everything that has to be true; a check that could not be made has failed."""
    checks = [_fence_check(source.side, policy)]
    for link in (source, target):
        checks.append(_made(f"status_{link.side}", link.side, partial(_status_check, link)))
        checks.append(_made(f"bulk_load_{link.side}", link.side, partial(_load_check, link)))
    may = "allow neptune-db:GetQueryStatus and neptune-db:CancelQuery to whoever runs this, and run it again"
    checks.append(_made("queries", source.side, lambda: _queries_check(source, graph_type), may))
    checks.append(_made("replication", source.side, lambda: _replication_check(source, target.side, lease, graph_type)))
    checks.append(_made("poller", source.side, partial(_poller_check, policy)))
    if policy.reverse:
        checks.append(_made(f"streams_{target.side}", target.side, lambda: _streams_check(target, graph_type)))
    return checks


def _fence_check(side: str, policy: Policy) -> Check:
    if policy.fence == "gate":
        return ok("fence", f"a gate keeps clients from writing on {side}: it cuts their connections")
    if policy.fence == "user":
        return ok("fence", f"writes_stopped says that no client writes on {side}; its stream is watched for it")
    if policy.fence == "part":
        return failed(
            "fence",
            f"every gate should cut the connections of its clients to {side}, because Neptune cannot be made read-only, but some of "
            "them only point, and those who come by them would go on writing",
            "say writes_stopped: true once the applications behind those have stopped writing, or leave those gates out",
        )
    return failed(
        "fence",
        f"something should keep clients from writing on {side}, because Neptune cannot be made read-only, but no gate that "
        "cuts their connections was given",
        _GATE,
    )


def _status_check(link: Link) -> Check:
    found = link.status()
    health = found.get("status")
    if health != "healthy":
        return failed(
            f"status_{link.side}",
            f"{link.side} should be healthy, but says {health or 'nothing'}",
            "wait until its instances are available",
        )
    return ok(
        f"status_{link.side}", f"{link.side} is healthy, its writer answers, engine {found.get('dbEngineVersion')}"
    )


def _load_check(link: Link) -> Check:
    loads = link.loads()
    if loads:
        return failed(
            f"bulk_load_{link.side}",
            f"no bulk load should be in progress on {link.side}, because it outlives its client's connection, but found "
            f"{', '.join(loads[:3])}",
            "wait for it, or cancel it",
        )
    return ok(f"bulk_load_{link.side}", f"no bulk load is in progress on {link.side}")


def _queries_check(source: Link, graph_type: GraphType) -> Check:
    running = sum(map(len, source.running(graph_type).values()))
    return ok("queries", f"the queries on {source.side} can be seen and ended, {running} run now")


def _replication_check(source: Link, target: str, lease: LeaseItem | None, graph_type: GraphType) -> Check:
    state = replication_of(lease)
    if lease is None or state != "running":
        why = f" ({lease.failure})" if lease is not None and lease.failure else ""
        return failed(
            "replication",
            f"replication {source.side} -> {target} should run, but is {state}{why}",
            "mend what stopped it and start it with bluegreen.aws.neptune_streams_replication",
        )
    found = lag(source.client, lease, graph_type)
    return ok(
        "replication",
        f"replication {source.side} -> {target} is at {found.checkpoint}, {found.lag_commits} commits behind "
        f"{found.head or 'an empty stream'}",
    )


def _poller_check(policy: Policy) -> Check:
    found = policy.elsewhere()
    if found is None:
        return ok("poller", "nothing replicates but what has the lease")
    return failed(
        "poller",
        f"nothing should replicate but what has the lease, because it would write on a side that clients write to, but {found}",
        "stop it with bluegreen.aws.neptune_streams_replication, state=stopped and runner=cloudformation, then start state=running "
        "without a runner",
    )


def _streams_check(target: Link, graph_type: GraphType) -> Check:
    return ok(
        f"streams_{target.side}",
        f"{target.side}'s stream is on, at {target.head(graph_type)}, so that what is written there can be brought back",
    )


def _made(
    check_id: str, side: str, look: Callable[[], Check], remedy: str = "mend it and run it again; nothing is known"
) -> Check:
    try:
        return look()
    except BlueGreenError as error:
        return failed(check_id, f"{side} should have been asked, but: {words(error)}", remedy)
