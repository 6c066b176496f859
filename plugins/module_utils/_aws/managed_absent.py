# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Deleting a deployment that RDS manages, in the order and behind the fences that lose nothing.

After a switchover the service keeps old production read-only for as long as the deployment is there (Amazon Aurora User Guide,
"Deleting a blue/green deployment"): so it is deleted, or closed by a parameter group of its own, before the deployment goes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from .._core.errors import BlueGreenError
from .._core.journal import Journal
from .._core.names import Names
from . import managed, managed_global, managed_groups, managed_wait
from .api import Api
from .global_clusters import Regions
from .managed import Deployment, Place
from .managed_plan import Existing, Removal, Step, absent_steps
from .parameter_groups import delete_group
from .snapshot import read_snapshot
from .waiters import Waits, eventually, wait_for

_NO_INSTANCE = ("DBInstanceNotFound", "DBInstanceNotFoundFault")
_NO_SNAPSHOT = ("DBSnapshotNotFound", "DBSnapshotNotFoundFault")
_BUSY = ("InvalidDBInstanceState", "InvalidDBInstanceStateFault", "InvalidDBClusterStateFault")
_GROUP_BUSY = ("InvalidDBParameterGroupState", "InvalidDBParameterGroupStateFault")
_DEPLOYMENT_BUSY = ("InvalidBlueGreenDeploymentStateFault",)
_DELETING = "deleting"


@dataclass(frozen=True)
class Request:
    """What is to go; ``snapshot`` None takes none of old production."""

    regions: Regions
    removal: Removal
    snapshot: str | None
    waits: Waits


@dataclass
class Outcome:
    """What was there before, and what a person should know."""

    deployment: Deployment | None
    blue: Place | None
    green: Place | None
    warnings: list[str]


def remove(names: Names, request: Request, journal: Journal) -> Outcome:
    """Delete the deployment, and with it green or old production as asked for; raises before anything is deleted."""
    api = request.regions.home_api
    found = managed.find(api, names.deployment_id)
    if found is None:
        return Outcome(None, None, None, [])
    places = managed.endpoints(api, found)
    blue, green = places["blue"], places["green"]
    steps = absent_steps(_existing(api, found, blue, green), request.removal)
    if Step.DELETE_SOURCE in steps and blue is not None:
        _require_no_snapshot(api, blue, request.snapshot)
    outcome = Outcome(found, blue, green, _warnings(found, blue, green, request, steps))
    for step in steps:
        _do(api, names, step, outcome, request, journal)
    return outcome


def _existing(api: Api, found: Deployment, blue: Place | None, green: Place | None) -> Existing:
    return Existing(
        found.status,
        source_there=blue is not None,
        source_protected=bool(blue and _protected(blue)),
        source_fenced=bool(blue and found.switched and managed_groups.is_fenced(api, blue)),
        target_there=green is not None,
        target_protected=bool(green and _protected(green)) and not _to_protect(found, blue, green),
    )


def _protected(place: Place) -> list[str]:
    """What of a place is protected against deletion: the cluster, or the instance and its read replicas, each by itself."""
    found = [place.identifier] if place.description.get("DeletionProtection") else []
    if not place.is_cluster:
        replicas = [one for one in place.members if not one.is_writer]
        found += [one.identifier for one in replicas if one.description.get("DeletionProtection")]
    return found


def _to_protect(found: Deployment, blue: Place | None, green: Place | None) -> list[tuple[str, str]]:
    """What of new production is not protected and what of old production, which is, it took the place of."""
    if not found.switched or blue is None or green is None:
        return []
    pairs = [
        (managed.identifier_of(one.target_arn), managed.identifier_of(one.source_arn))
        for one in found.members
        if one.target_arn
    ]
    there = {green.identifier, *(one.identifier for one in green.members)}
    return [
        (new, old) for new, old in pairs if old in _protected(blue) and new in there and new not in _protected(green)
    ]


def _do(api: Api, names: Names, step: Step, outcome: Outcome, request: Request, journal: Journal) -> None:
    found, blue, green = outcome.deployment, outcome.blue, outcome.green
    if step is Step.PROTECT_TARGET and green:
        for new, old in _to_protect(found, blue, green) if found else ():
            journal.act(
                f"protect {new} against deletion, as {old} is", partial(_protect, api, green, new, True, request.waits)
            )
    elif step is Step.UNPROTECT_TARGET and green:
        for name in _protected(green):
            journal.act(
                f"lift the deletion protection of {name}", partial(_protect, api, green, name, False, request.waits)
            )
    elif step is Step.FENCE_SOURCE and blue:
        managed_groups.fence(api, names, blue, request.waits, journal)
    elif step is Step.DELETE_SOURCE and blue and found:
        if blue.is_cluster:
            managed_global.delete_secondaries(
                request.regions, found, blue, unprotect=request.removal.unprotect, waits=request.waits, journal=journal
            )
        _delete_source(api, names, blue, request, journal)
    elif step is Step.DELETE and found:
        with_green = " with its green" if request.removal.delete_target else ""
        journal.act(
            f"delete the deployment {found.name} ({found.identifier}){with_green}",
            partial(_delete, api, found, request),
        )
    elif step is Step.WAIT_GONE and found and request.waits.wait and not journal.check_mode:
        managed_wait.wait_gone(api, found.identifier, request.waits)


def _warnings(
    found: Deployment, blue: Place | None, green: Place | None, request: Request, steps: tuple[Step, ...]
) -> list[str]:
    said: list[str] = []
    if Step.DELETE not in steps:
        return said
    if not found.switched and green is not None and not request.removal.delete_target:
        what = (
            "goes on as a replica of blue"
            if green.engine in ("aurora-mysql", "mysql", "mariadb")
            else "becomes a database of its own"
        )
        said.append(f"Green ({green.identifier}) stays and {what}: delete it, or set delete_target to true.")
    if found.switched and blue is not None and Step.DELETE_SOURCE not in steps:
        fenced = Step.FENCE_SOURCE in steps or not request.removal.fence_source
        if not request.removal.fence_source:
            said.append(
                f"Old production ({blue.identifier}) loses its read-only protection with the deployment: whoever still reaches it can "
                "write there, and such writes are lost."
            )
        elif fenced:
            said.append(
                f"Old production ({blue.identifier}) stays, closed for writers by a parameter group of its own."
            )
    return said


def _protect(api: Api, place: Place, name: str, on: bool, waits: Waits) -> None:
    operation = "modify_db_cluster" if place.is_cluster else "modify_db_instance"
    key = "DBClusterIdentifier" if place.is_cluster else "DBInstanceIdentifier"

    def modify() -> None:
        api.call(operation, **{key: name}, DeletionProtection=on, ApplyImmediately=True)

    eventually(waits, modify, lambda: False, _BUSY, f"{name} to be available for a modification")


def _delete(api: Api, found: Deployment, request: Request) -> None:
    target: dict[str, Any] = {} if found.switched else {"DeleteTarget": request.removal.delete_target}

    def delete() -> None:
        api.find(
            "delete_blue_green_deployment",
            managed.NO_DEPLOYMENT,
            BlueGreenDeploymentIdentifier=found.identifier,
            **target,
        )

    def going() -> bool:
        now = managed.read(api, found.identifier)
        return now is None or now.status == managed.DELETING

    eventually(request.waits, delete, going, _DEPLOYMENT_BUSY, f"the deployment {found.name} to let itself be deleted")


def _delete_source(api: Api, names: Names, old: Place, request: Request, journal: Journal) -> None:
    """Old production: its protection lifted, its instances, then the cluster; what is going already is only waited for."""
    waits, group = request.waits, managed_groups.fence_group(api, names, old)
    for name in _protected(old):
        journal.act(f"lift the deletion protection of {name}", partial(_protect, api, old, name, False, waits))
    kept = f" after the snapshot {request.snapshot}" if request.snapshot else " without a snapshot"
    last: dict[str, Any] = {"FinalDBSnapshotIdentifier": request.snapshot} if request.snapshot else {}
    dependants = [one for one in reversed(old.members) if old.is_cluster or not one.is_writer]
    for one in dependants:
        if one.status != _DELETING:
            journal.act(
                f"delete instance {one.identifier}",
                partial(_delete_instance, api, one.identifier, waits, {"SkipFinalSnapshot": True}),
            )
    skip = {"SkipFinalSnapshot": request.snapshot is None, **last}
    if not journal.check_mode:
        _wait_instances_gone(api, [one.identifier for one in dependants], waits)
    if old.status != _DELETING:
        if old.is_cluster:
            journal.act(f"delete cluster {old.identifier}{kept}", partial(_delete_cluster, api, old, waits, skip))
        else:
            journal.act(
                f"delete instance {old.identifier}{kept}", partial(_delete_instance, api, old.identifier, waits, skip)
            )
    if not journal.check_mode:
        wait_for(
            waits,
            lambda: managed.place(api, old.arn),
            lambda place: place is None,
            f"{old.identifier} to be deleted",
            lambda place: place.status if place else "gone",
        )
    if group is not None:
        wanted = f"the {group.kind.label} {group.name} to let itself be deleted"
        journal.act(
            f"delete {group.kind.label} {group.name}",
            lambda: eventually(waits, lambda: delete_group(api, group), lambda: False, _GROUP_BUSY, wanted),
        )


def _wait_instances_gone(api: Api, identifiers: list[str], waits: Waits) -> None:
    def left() -> list[str]:
        return [name for name in identifiers if _instance_status(api, name)]

    if identifiers:
        wait_for(waits, left, lambda names: not names, f"{', '.join(identifiers)} to be deleted", ", ".join)


def _instance_status(api: Api, identifier: str) -> str | None:
    answer = api.find("describe_db_instances", _NO_INSTANCE, DBInstanceIdentifier=identifier)
    found = (answer or {}).get("DBInstances") or []
    return str(found[0]["DBInstanceStatus"]) if found else None


def _delete_instance(api: Api, identifier: str, waits: Waits, skip: dict[str, Any]) -> None:
    def delete() -> None:
        api.call("delete_db_instance", DBInstanceIdentifier=identifier, **skip)

    def going() -> bool:
        return _instance_status(api, identifier) in (None, _DELETING)

    _eventually(waits, delete, going, f"the instance {identifier} to let itself be deleted")


def _delete_cluster(api: Api, old: Place, waits: Waits, skip: dict[str, Any]) -> None:
    def delete() -> None:
        api.call("delete_db_cluster", DBClusterIdentifier=old.identifier, **skip)

    def going() -> bool:
        place = managed.place(api, old.arn)
        return place is None or place.status == _DELETING

    _eventually(waits, delete, going, f"the DB cluster {old.identifier} to let itself be deleted")


def _eventually(waits: Waits, call: Callable[[], None], going: Callable[[], bool], wanted: str) -> None:
    eventually(waits, call, going, _BUSY, wanted)


def _require_no_snapshot(api: Api, old: Place, snapshot: str | None) -> None:
    if snapshot is None or old.status == _DELETING:
        return
    if old.is_cluster:
        taken = read_snapshot(api, snapshot) is not None
    else:
        answer = api.find("describe_db_snapshots", _NO_SNAPSHOT, DBSnapshotIdentifier=snapshot)
        taken = bool((answer or {}).get("DBSnapshots"))
    if taken:
        raise BlueGreenError(
            f"A final snapshot {snapshot} of {old.identifier} is wanted, but one of that name exists already: give another "
            "final_db_snapshot_identifier or set skip_final_snapshot to true. Nothing was deleted."
        )
