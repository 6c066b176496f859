# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Waiting for clusters and instances: the states that are the goal, and the states from which it is never reached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from .._core.errors import BlueGreenError
from .._core.waiting import wait_until
from .api import Api, ApiError, Unanswered
from .clusters import IN_SYNC, PENDING_REBOOT, Cluster, read_cluster

T = TypeVar("T")

AVAILABLE = "available"

# Amazon Aurora User Guide, "Viewing DB cluster status" and "Viewing DB instance status": what does not end by itself.
DEAD_ENDS = frozenset(
    {
        "cloning-failed",
        "deleting",
        "failed",
        "inaccessible-encryption-credentials",
        "inaccessible-encryption-credentials-recoverable",
        "incompatible-credentials",
        "incompatible-network",
        "incompatible-option-group",
        "incompatible-parameters",
        "incompatible-restore",
        "insufficient-capacity",
        "migration-failed",
        "restore-error",
        "stopped",
        "stopping",
        "storage-full",
    }
)


@dataclass(frozen=True)
class Waits:
    """How long one wait may take and how often it looks, in seconds; ``wait`` false: look once and go on."""

    timeout: float
    delay: float
    wait: bool = True


def wait_for(
    waits: Waits, observe: Callable[[], T], done: Callable[[T], bool], wanted: str, seen: Callable[[T], str]
) -> T:
    """Look until ``done`` and return the last observation.

    An answer that did not come (throttled, unreachable) is no observation: it is asked for again until the time is
    up, and the sentence of the timeout then says so. What else ``observe`` and ``done`` raise passes through.
    """

    def look() -> T | Unanswered:
        try:
            return observe()
        except Unanswered as error:
            return error

    last = wait_until(
        look,
        lambda found: not isinstance(found, Unanswered) and done(found),
        timeout=waits.timeout,
        delay=waits.delay,
        wanted=wanted,
        seen=lambda found: found.message if isinstance(found, Unanswered) else seen(found),
    )
    if isinstance(last, Unanswered):
        raise AssertionError("an unanswered call is never done")
    return last


def eventually(
    waits: Waits, call: Callable[[], None], going: Callable[[], bool], busy: tuple[str, ...], wanted: str
) -> None:
    """Call until it is accepted; a refusal, or no answer, counts as accepted when the resource is going anyway.

    It is going when the answer to a try was lost. A refusal that is not one of ``busy`` passes through.
    """

    def attempt() -> ApiError | None:
        try:
            call()
        except (ApiError, Unanswered) as error:
            if going():
                return None
            if isinstance(error, Unanswered) or error.code not in busy or not waits.wait:
                raise
            return error
        return None

    wait_for(
        waits, attempt, lambda error: error is None, wanted, lambda error: error.message if error else "it accepted"
    )


def settled(cluster: Cluster) -> bool:
    """Whether the cluster and all its instances are available and no parameter group is still being applied.

    A pending reboot is settled: it ends only with the reboot. Raises :class:`BlueGreenError` for a dead end.
    """
    for what, status in [("cluster " + cluster.identifier, cluster.status)] + [
        ("instance " + instance.identifier, instance.status) for instance in cluster.instances
    ]:
        if status in DEAD_ENDS:
            raise BlueGreenError(
                f"The {what} should become available, but its status is {status}, which does not end by itself: "
                "look at its events in the RDS console, mend or delete it, and run this again."
            )
    return (
        cluster.status == AVAILABLE
        and all(instance.status == AVAILABLE for instance in cluster.instances)
        and all(instance.parameter_group_status in (IN_SYNC, PENDING_REBOOT) for instance in cluster.instances)
    )


def wait_settled(
    api: Api, identifier: str, waits: Waits, wanted: str, also: Callable[[Cluster], bool] = lambda cluster: True
) -> Cluster:
    """Wait until the cluster is :func:`settled` and ``also`` holds; returns the cluster.

    A cluster that is not listed yet is waited for, one that vanishes is an error.
    """
    listed = False

    def done(cluster: Cluster | None) -> bool:
        nonlocal listed
        if cluster is None:
            if listed:
                raise BlueGreenError(f"Waited for {wanted}, but the DB cluster {identifier} was deleted meanwhile.")
            return False
        listed = True
        return settled(cluster) and also(cluster)

    found = wait_for(waits, lambda: read_cluster(api, identifier), done, wanted, states)
    if found is None:
        raise AssertionError("done() holds for a cluster only")
    return found


def wait_gone(api: Api, identifier: str, waits: Waits, *, instances_only: bool = False) -> None:
    """Wait until the cluster, or only every instance of it, is deleted."""

    def done(cluster: Cluster | None) -> bool:
        return cluster is None or (instances_only and not cluster.instances)

    what = f"the instances of {identifier}" if instances_only else f"the DB cluster {identifier}"
    wait_for(waits, lambda: read_cluster(api, identifier), done, f"{what} to be deleted", states)


def states(cluster: Cluster | None) -> str:
    """What was seen of a cluster, for the sentence of a wait that ended without success."""
    return "no such cluster" if cluster is None else cluster.states()
