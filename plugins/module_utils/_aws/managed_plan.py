# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The plan of a deployment that RDS manages: what was found and what is wanted in, the next steps out. Pure.

The way there is one graph. Nothing -> PROVISIONING -> AVAILABLE with every member settled; the switchover is bg_switchover's; and
back: old blue deleted or fenced -> the deployment deleted. A run does the first step and looks again, check mode shows them all.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from .._core.errors import BlueGreenError
from .managed import (
    AVAILABLE,
    DELETING,
    INVALID,
    MISSING,
    PROVISIONING,
    SWITCHED,
    SWITCHING,
    SWITCHOVER_FAILED,
    Deployment,
)


class Step(Enum):
    """One step; each is seen as done by the next look."""

    WAIT_GONE = "wait until it is deleted"
    CREATE = "create"
    WAIT = "wait until it and every member are available"
    REBOOT_GREEN = "reboot the members of green whose parameter group waits for it"
    PROTECT_TARGET = "protect production against deletion as old production is"
    UNPROTECT_TARGET = "lift the deletion protection of green"
    DELETE_SOURCE = "delete old production"
    FENCE_SOURCE = "close old production for writers"
    DELETE = "delete the deployment"


@dataclass(frozen=True)
class Making:
    """What was found of a deployment that is to be there: its status, None without one, and how green's members are."""

    status: str | None
    settled: bool = False
    pending_reboot: bool = False


@dataclass(frozen=True)
class Existing:
    """What was found of a deployment that is to go."""

    status: str | None
    source_there: bool = True
    source_protected: bool = False
    source_fenced: bool = False
    target_there: bool = True
    target_protected: bool = False


@dataclass(frozen=True)
class Removal:
    """How it is to go: ``unprotect`` allows to lift a deletion protection."""

    delete_target: bool = False
    delete_source: bool = False
    fence_source: bool = True
    unprotect: bool = False


def present_steps(found: Making, *, reboot_green: bool) -> tuple[Step, ...]:
    """What is missing until the deployment is there and ready; none when it is, and none once its switchover has begun."""
    if found.status in (None, DELETING):
        gone = (Step.WAIT_GONE,) if found.status == DELETING else ()
        return (*gone, Step.CREATE, Step.WAIT)
    if found.status == PROVISIONING:
        return (Step.WAIT,)
    if found.status == AVAILABLE:
        if not found.settled:
            return (Step.WAIT,)
        return (Step.REBOOT_GREEN,) if found.pending_reboot and reboot_green else ()
    return ()


def absent_steps(found: Existing, wanted: Removal) -> tuple[Step, ...]:
    """What is missing until the deployment is gone; raises :class:`BlueGreenError` for what must not be done."""
    if found.status is None:
        return ()
    if found.status == DELETING:
        return (Step.WAIT_GONE,)
    if found.status == SWITCHING:
        raise BlueGreenError(
            "The deployment should be deleted, but its switchover goes on: wait for its end, which the service reaches or takes back "
            "by itself, and run this again. Nothing was deleted."
        )
    if found.status == SWITCHED:
        return _after_switchover(found, wanted)
    return _before_switchover(found, wanted)


def _after_switchover(found: Existing, wanted: Removal) -> tuple[Step, ...]:
    if wanted.delete_target:
        raise BlueGreenError(
            "delete_target is true, but the switchover is over and the target is production now: leave delete_target out; "
            "delete_source deletes old production. Nothing was deleted."
        )
    steps: list[Step] = []
    if found.source_there and found.source_protected and found.target_there and not found.target_protected:
        steps.append(Step.PROTECT_TARGET)
    if found.source_there and wanted.delete_source:
        if found.source_protected and not wanted.unprotect:
            raise BlueGreenError(
                "delete_source is true, but old production is protected against deletion: set deletion_protection to false if it "
                "really is to go; new production keeps its own. Nothing was deleted."
            )
        steps.append(Step.DELETE_SOURCE)
    elif found.source_there and wanted.fence_source and not found.source_fenced:
        steps.append(Step.FENCE_SOURCE)
    return (*steps, Step.DELETE, Step.WAIT_GONE)


def _before_switchover(found: Existing, wanted: Removal) -> tuple[Step, ...]:
    if wanted.delete_target and found.status == SWITCHOVER_FAILED:
        raise BlueGreenError(
            "delete_target is true, but the switchover failed in the middle, so that green may be what serves: look which side takes "
            "writes, leave delete_target out, and delete the other side yourself. Nothing was deleted."
        )
    if wanted.delete_source:
        raise BlueGreenError(
            f"delete_source is true, but the deployment is {found.status} and its source is production: delete_source is for what a "
            "completed switchover leaves behind. Nothing was deleted."
        )
    steps: list[Step] = []
    if wanted.delete_target and found.target_there and found.target_protected:
        if not wanted.unprotect:
            raise BlueGreenError(
                "delete_target is true, but green is protected against deletion, and the service then refuses: set "
                "deletion_protection to false if green really is to go. Nothing was deleted."
            )
        steps.append(Step.UNPROTECT_TARGET)
    return (*steps, Step.DELETE, Step.WAIT_GONE)


def dead_end(deployment: Deployment) -> str | None:
    """What is wrong with a deployment that does not go on by itself, None while it may. Pure."""
    missing = [one for one in deployment.members if one.status in MISSING]
    if missing:
        which = ", ".join(f"{one.source_arn.rpartition(':')[2]} is {one.status}" for one in missing)
        return f"a member was deleted or taken out of it ({which})"
    failed = [task.name for task in deployment.tasks if task.status == "FAILED"]
    if failed:
        return f"its task {', '.join(failed)} failed"
    if deployment.status == INVALID:
        return "its configuration is invalid, as after a change of its topology"
    if deployment.status == SWITCHOVER_FAILED or any(one.status == SWITCHOVER_FAILED for one in deployment.members):
        return "its switchover failed, in a state that the service does not leave by itself"
    return None


def remedy(deployment: Deployment) -> str:
    """What a person does about a dead end. Pure."""
    if deployment.status == SWITCHOVER_FAILED or any(one.status == SWITCHOVER_FAILED for one in deployment.members):
        return "look which side takes writes before anything else, and ask AWS Support"
    return "mend that, delete the deployment (state=absent, delete_target=true), and create it anew"
