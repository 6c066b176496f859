# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The parameter groups of a deployment that RDS manages: blue's log turned on, and green's groups named, in small steps.

Green's groups are always named: on some ways the service takes the default ones when none is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from .._core.errors import BlueGreenError
from .._core.journal import Journal
from .._core.names import Names
from . import managed, managed_wait
from . import readiness_managed_rules as rules
from .api import Api, ApiError
from .clusters import PENDING_REBOOT
from .managed import Place
from .parameter_groups import (
    CLUSTER,
    INSTANCE,
    Group,
    Kind,
    Wish,
    ensure_group,
    group_values,
    read_group,
    require_group,
    user_values,
    wish_for,
)
from .waiters import Waits, eventually, wait_for

_OPTION = {CLUSTER: "TargetDBClusterParameterGroupName", INSTANCE: "TargetDBParameterGroupName"}
_BUSY = ("InvalidDBInstanceState", "InvalidDBInstanceStateFault", "InvalidDBClusterStateFault")


@dataclass(frozen=True)
class Target:
    """A group of green: its name, and the values to be set in it when it is ours to prepare."""

    kind: Kind
    name: str
    wish: Wish | None = None
    dropped: tuple[str, ...] = ()


def own_group(api: Api, blue: Place) -> Group | None:
    """The group that blue's log of changes is turned on in: the cluster's, or the instance's; None when it has none."""
    name = blue.parameter_group if blue.is_cluster else next(iter(blue.parameter_groups), None)
    return read_group(api, CLUSTER if blue.is_cluster else INSTANCE, name) if name else None


def prepare_blue(
    api: Api, blue: Place, *, major: bool, binlog_format: str, reboot: bool, waits: Waits, journal: Journal
) -> Place:
    """Turn on blue's log in its own group, and reboot its writer for it when that is allowed; returns blue as it is then.

    Raises :class:`BlueGreenError` for a default group, and when a reboot is needed and not allowed.
    """
    needed = rules.log_parameter(blue, major=major)
    group = own_group(api, blue)
    changed = False
    if needed and group:
        name, accepted = needed
        if user_values(api, group).get(name, "").upper() not in accepted:
            if group.is_default:
                check = rules.log(blue, group, {}, major=major)
                raise BlueGreenError(f"{check.evidence}: {check.remedy}.")
            value = binlog_format if name == "binlog_format" else "1"
            wish = Wish(group.kind, group.name, group.family, {name: value}, {name: "static"}, named=True)
            ensure_group(api, wish, "", journal)
            changed = True
    if changed and not journal.check_mode:
        # The service marks the instances a moment after it has taken the values.
        blue = _look(api, blue.arn, waits, _writer_waits, "to notice its group's values")
    writer = next((one for one in blue.members if one.is_writer), None)
    waiting = writer is not None and writer.parameter_group_status == PENDING_REBOOT
    if writer is None or not (waiting or (changed and journal.check_mode)):
        return blue
    if not reboot:
        raise BlueGreenError(
            f"The writer {writer.identifier} of {blue.identifier} must be in sync with its parameter groups, or the creation fails, "
            "but waits for a reboot, which interrupts production for some seconds: set reboot_blue to true at a good moment, or "
            "reboot it yourself."
        )
    # The read replicas of an instance have groups and servers of their own, which green does not need.
    return reboot_members(api, blue, waits, journal, only=None if blue.is_cluster else writer.identifier)


def _writer_waits(place: Place) -> bool:
    waiting = managed_wait.pending(place)
    return any(one.identifier in waiting for one in place.members if one.is_writer)


def reboot_members(api: Api, place: Place, waits: Waits, journal: Journal, *, only: str | None = None) -> Place:
    """Reboot the members that wait for it, or ``only`` one of them, the writer first, and return the place as it is then."""
    names = [name for name in managed_wait.pending(place) if only in (None, name)]
    if journal.check_mode:
        names = names or [one.identifier for one in place.members if one.is_writer]
    for name in names:
        if not journal.check_mode and name not in managed_wait.pending(place):
            continue  # the writer's took it along
        journal.act(f"reboot instance {name}", partial(_reboot, api, name, waits))
        if not journal.check_mode:
            wanted = f"{name} to be rebooted with its parameter groups in sync"
            place = _look(api, place.arn, waits, partial(_rebooted, name), wanted)
    return place


def targets(
    api: Api, names: Names, blue: Place, wanted: Mapping[str, Any], family: str, *, prepare: bool, binlog_format: str
) -> list[Target]:
    """Green's groups, each named: the user's, blue's own when it fits, the default one, or one that is made.

    Raises :class:`BlueGreenError` for a group of another family, and for a custom one of blue's that has no counterpart.
    """
    kinds = ([CLUSTER] if blue.is_cluster else []) + [INSTANCE]
    found = []
    for kind in kinds:
        origin_name = blue.parameter_group if kind is CLUSTER else next(iter(blue.parameter_groups), None)
        origin = require_group(api, kind, origin_name) if origin_name else None
        given = wanted.get(_OPTION[kind])
        if given:
            found.append(_named(api, kind, given, family, blue, prepare=prepare, binlog_format=binlog_format))
        elif origin is not None:
            found.append(_derived(api, names, origin, family, prepare=prepare))
    return found


def options(chosen: list[Target]) -> dict[str, str]:
    """The groups as CreateBlueGreenDeployment names them."""
    return {_OPTION[one.kind]: one.name for one in chosen}


def fence(api: Api, names: Names, old: Place, waits: Waits, journal: Journal) -> None:
    """Close old production for writers by a parameter group of its own, before the service gives up its protection."""
    kind = CLUSTER if old.is_cluster else INSTANCE
    origin = require_group(api, kind, (old.parameter_group if old.is_cluster else old.parameter_groups[0]) or "")
    name = _fence_name(names, origin.family)
    if origin.name == name:
        origin_wish = Wish(kind, name, origin.family, _closed(old), dict.fromkeys(_closed(old), "dynamic"), named=True)
        ensure_group(api, origin_wish, names.deployment_id, journal)
    else:
        wish, _dropped = wish_for(api, kind, names, origin.family, origin, _closed(old))
        ensure_group(api, replace(wish, name=name), names.deployment_id, journal)
        journal.act(f"attach the parameter group {name} to {old.identifier}", lambda: _attach(api, old, name, waits))
    if journal.check_mode:
        reboot_members(api, old, waits, journal)
        return
    found = _look(api, old.arn, waits, lambda place: _attached(place, name), f"to take the parameter group {name}")
    reboot_members(api, found, waits, journal)


def is_fenced(api: Api, old: Place) -> bool:
    """Whether old production's own group closes it for writers, on every member."""
    group = own_group(api, old)
    if group is None:
        return False
    values, (name,) = group_values(api, group), _closed(old)
    return values.get(name, "").lower() in ("1", "on", "true") and not managed_wait.pending(old)


def fence_group(api: Api, names: Names, old: Place) -> Group | None:
    """The group that :func:`fence` made for old production, None without one."""
    group = own_group(api, old)
    return group if group is not None and group.name == _fence_name(names, group.family) else None


def _named(api: Api, kind: Kind, name: str, family: str, blue: Place, *, prepare: bool, binlog_format: str) -> Target:
    group = require_group(api, kind, name)
    if group.family != family:
        raise BlueGreenError(
            f"The {kind.label} {name} should be of the family {family}, which green's version has, but is of {group.family}: name "
            "another one."
        )
    if kind is INSTANCE or blue.engine != "aurora-mysql" or group.is_default:
        return Target(kind, name)
    values = group_values(api, group)
    if values.get("binlog_format", "OFF").upper() != "OFF":
        return Target(kind, name)
    if not prepare:
        raise BlueGreenError(
            f"The {kind.label} {name} of green must turn the binary log on as blue's does, but binlog_format is "
            f"{values.get('binlog_format', 'not set')} in it: set it to {binlog_format}, or prepare=true does."
        )
    wish = Wish(kind, name, family, {"binlog_format": binlog_format}, {"binlog_format": "static"}, named=True)
    return Target(kind, name, wish)


def _derived(api: Api, names: Names, origin: Group, family: str, *, prepare: bool) -> Target:
    if origin.family == family:
        return Target(origin.kind, origin.name)
    if origin.is_default:
        return Target(origin.kind, f"default.{family}")
    if not prepare:
        option = (
            "target_db_cluster_parameter_group_name" if origin.kind is CLUSTER else "target_db_parameter_group_name"
        )
        raise BlueGreenError(
            f"The current {origin.kind.label} {origin.name} is custom and of the family {origin.family}, green's is {family}. You must "
            f"explicitly specify a new {origin.kind.label}: give {option}, or prepare=true to have one made with blue's values."
        )
    wish, dropped = wish_for(api, origin.kind, names, family, origin)
    return Target(origin.kind, wish.name, wish, dropped)


def _closed(old: Place) -> dict[str, str]:
    return {"default_transaction_read_only" if "postgres" in old.engine else "read_only": "1"}


def _fence_name(names: Names, family: str) -> str:
    return names.cluster_parameter_group(family).replace(names.deployment_id, f"{names.deployment_id}-old", 1)


def _attach(api: Api, old: Place, name: str, waits: Waits) -> None:
    def attach() -> None:
        if old.is_cluster:
            api.call(
                "modify_db_cluster",
                DBClusterIdentifier=old.identifier,
                DBClusterParameterGroupName=name,
                ApplyImmediately=True,
            )
        else:
            api.call(
                "modify_db_instance",
                DBInstanceIdentifier=old.identifier,
                DBParameterGroupName=name,
                ApplyImmediately=True,
            )

    eventually(waits, attach, lambda: False, _BUSY, f"{old.identifier} to be available for a modification")


def _attached(place: Place, name: str) -> bool:
    has = place.parameter_group if place.is_cluster else next(iter(place.parameter_groups), None)
    return has == name and managed_wait.settled(place)


def _reboot(api: Api, identifier: str, waits: Waits) -> None:
    def rebooting() -> bool:
        found = api.call("describe_db_instances", DBInstanceIdentifier=identifier)["DBInstances"]
        return any(one["DBInstanceStatus"] == "rebooting" for one in found)

    def reboot() -> None:
        api.call("reboot_db_instance", DBInstanceIdentifier=identifier)

    eventually(waits, reboot, rebooting, _BUSY, f"the instance {identifier} to let itself be rebooted")


def _rebooted(name: str, found: Place) -> bool:
    return managed_wait.settled(found) and name not in managed_wait.pending(found)


def _look(api: Api, arn: str, waits: Waits, done: Callable[[Place], bool], wanted: str) -> Place:
    def words(place: Place | None) -> str:
        return managed_wait.members_in_words(place) or "it available and in sync" if place else "no such database"

    found = wait_for(
        replace(waits, delay=min(waits.delay, 5.0)),
        lambda: managed.place(api, arn),
        lambda place: place is not None and done(place),
        f"{managed.identifier_of(arn)} {wanted}" if wanted.startswith("to ") else wanted,
        words,
    )
    if found is None:
        raise ApiError(f"{arn} was deleted meanwhile.", "DBInstanceNotFound")
    return found
