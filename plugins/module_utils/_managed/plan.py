# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What to do about a managed Blue/Green Deployment, and how its switchover ended, from what the service and the servers say. Pure.

Nothing is remembered between two runs: a run that died is continued by what is true now.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

from .._aws.managed import AVAILABLE, DELETING, INVALID, PROVISIONING, SWITCHED, SWITCHING, SWITCHOVER_FAILED
from .._clients.metadata import Phase

Outcome = Literal["switched_over", "rolled_back", "failed"]
# After the call the API may show the state before it for some seconds (Amazon RDS API, eventual consistency).
SETTLED = 15.0


class Action(Enum):
    """What a run does first."""

    CALL = "call SwitchoverBlueGreenDeployment"
    WATCH = "watch the switchover that goes on"
    DONE = "nothing, green serves already"
    FAIL = "report the switchover that failed"
    REFUSE = "refuse"


@dataclass(frozen=True)
class Step:
    """The action, and why when it refuses."""

    action: Action
    reason: str = ""


_REFUSED = {
    PROVISIONING: "it is still being created; wait for it with rds_blue_green and wait=true",
    INVALID: "its configuration is not valid any more; delete it with rds_blue_green and create it anew",
    DELETING: "it is being deleted; create it anew",
}


def first(name: str, status: str | None, details: str | None, target: Phase | None) -> Step:
    """What to do first about the deployment ``name`` in this status, None when there is none.

    ``target`` is how far green's row says the switchover is, None when it cannot be read: it can be ahead of the API.
    """
    if status is None:
        return Step(
            Action.REFUSE,
            f"there is no Blue/Green Deployment named {name} in this Region; create it with rds_blue_green",
        )
    if status == SWITCHED:
        return Step(Action.DONE)
    if status == SWITCHING:
        return Step(Action.WATCH)
    if status == SWITCHOVER_FAILED:
        return Step(Action.FAIL)
    if status == AVAILABLE:
        ahead = target is not None and Phase.PREPARATION <= target <= Phase.POST
        return Step(Action.WATCH if ahead else Action.CALL)
    told = f" ({details})" if details else ""
    return Step(
        Action.REFUSE, f"{name} is in state {status}{told}: {_REFUSED.get(status, 'wait until it is AVAILABLE')}"
    )


def verdict(status: str | None, *, seen_switching: bool, seconds: float, rolled_back: bool) -> Outcome | None:
    """How a switchover ended, None while it goes on.

    ``seen_switching``: the service was seen in it; ``seconds`` since the call; ``rolled_back``: the servers' rows say so. An
    AVAILABLE right after the call can be the state before it.
    """
    if status == SWITCHED:
        return "switched_over"
    if status == SWITCHING:
        return None
    if status == AVAILABLE:
        return "rolled_back" if seen_switching or rolled_back or seconds >= SETTLED else None
    return "failed"
