# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Upgrading green: one hop after the other, each waited for until the cluster and all its instances have arrived."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from .._core.errors import BlueGreenError
from .._core.journal import Journal
from .._core.names import Names
from . import maintenance, mysql_parameters, neptune, tending
from .api import Api, ApiError
from .clusters import Cluster, read_cluster, require_cluster
from .events import Events, failure_reason, read_events
from .green_groups import closed_wish, require_unshared
from .parameter_groups import CLUSTER, INSTANCE, Group, Kind, ensure_group, require_group, wish_for
from .upgrade import Hop, Versions, plan_upgrade, versions_of
from .waiters import AVAILABLE, Waits, settled, states, wait_for, wait_settled

_WRONG_STATE = ("InvalidDBClusterStateFault",)
# So many looks in a row, over so many seconds, may find a cluster at rest at the old version before that counts as a
# failure: few when the upgrade had begun, more when it had not, because the service takes a while to begin.
_QUIET_AFTER, _QUIET_BEFORE = (6, 6.0), (30, 30.0)
_PATCHING = "Pending maintenance is being applied, run this again for the rest."


@dataclass(frozen=True)
class Target:
    """What ``aurora_upgrade`` is to reach; a group that is not named is made by the deployment when the family changes.

    ``source`` is blue, from which check mode plans as long as there is no green. ``patch``: pending maintenance, a patch
    level among it, is applied before each hop and after the last.
    """

    identifier: str
    version: str
    allow_major: bool
    group_names: Mapping[Kind, str]
    waits: Waits
    source: str | None = None
    patch: bool = False


@dataclass(frozen=True)
class Upgraded:
    """Green before (None when it is only planned) and now, the hops of the run, and what the user should be told.

    ``pending`` is the maintenance that is left, None when it was not looked at.
    """

    before: Cluster | None
    green: Cluster
    hops: tuple[Hop, ...]
    warnings: tuple[str, ...]
    pending: tuple[maintenance.Announced, ...] | None = None


@dataclass(frozen=True)
class _Run:
    """What the hops have in common; ``origins`` are the groups that green had when the run began."""

    api: Api
    names: Names
    target: Target
    journal: Journal
    origins: Mapping[Kind, Group]
    named: Mapping[Kind, Group]
    is_mysql: bool


def upgrade(api: Api, names: Names, target: Target, journal: Journal) -> Upgraded:
    """Bring green to the target version; a hop that is under way is waited for.

    Raises :class:`BlueGreenError` when the cluster is not the deployment's, when the version cannot be reached (nothing was
    changed then), and when a hop failed, with the service's reason.
    """
    before = _green(api, names, target, journal)
    cluster = before or _future_clone(api, target)
    if not journal.check_mode and not settled(cluster):
        wanted = f"{cluster.identifier} to be ready for an upgrade"
        cluster = tending.settle(api, cluster.identifier, target.waits, wanted)
        if not settled(cluster):
            return Upgraded(before, cluster, (), (f"Not ready yet, run this again: {cluster.states()}.",))
    versions = _versions(api, cluster.engine)
    hops = plan_upgrade(versions, cluster.version, target.version, target.allow_major, cluster.engine)
    if hops and before is not None:
        _require_standalone(before, target.version)
    origins, named = _origins(api, cluster), _named(api, target, versions)
    is_mysql = cluster.engine == mysql_parameters.ENGINE
    if is_mysql:
        for group in named.values():
            require_unshared(api, group, names.deployment_id)
    run = _Run(api, names, target, journal, origins, named, is_mysql)
    warnings = list(_uneven(cluster, hops))
    placed: set[Kind] = set()
    for hop in hops:
        patched = _patch(run, cluster, before)
        if patched is None:
            return Upgraded(before, cluster, hops, (*warnings, _PATCHING))
        cluster = _hop(run, patched, hop, versions[cluster.version].family, placed, warnings)
        if not journal.check_mode and not settled(cluster):
            return Upgraded(before, cluster, hops, tuple(warnings))
    arrived = _arrive(run, cluster, placed)
    patched = _patch(run, arrived, before)
    if patched is None:
        return Upgraded(before, arrived, hops, (*warnings, _PATCHING))
    return Upgraded(before, patched, hops, tuple(warnings), _pending(run, patched) if before else None)


def _patch(run: _Run, cluster: Cluster, before: Cluster | None) -> Cluster | None:
    """Apply what is pending, None when that is under way and is not waited for.

    Nothing is pending of a green that is only planned, and check mode predicts it once.
    """
    if not run.target.patch or before is None or (run.journal.check_mode and run.journal.actions):
        return cluster
    return maintenance.apply_announced(run.api, cluster, run.target.waits, run.journal)


def _pending(run: _Run, cluster: Cluster) -> tuple[maintenance.Announced, ...] | None:
    if cluster.engine != neptune.ENGINE and not run.target.patch:
        return None
    found = maintenance.told(run.api, cluster)
    return None if found is None else tuple(found)


def _green(api: Api, names: Names, target: Target, journal: Journal) -> Cluster | None:
    if journal.check_mode and target.source and read_cluster(api, target.identifier) is None:
        return None
    green = require_cluster(api, target.identifier, "green")
    tending.require_ours(green, names.deployment_id, f"upgraded to {target.version}")
    return green


def _require_standalone(green: Cluster, version: str) -> None:
    member_of = green.description.get("GlobalClusterIdentifier")
    if member_of:
        raise BlueGreenError(
            f"Green {green.identifier} should be upgraded to {version}, but is a member of the global cluster {member_of}, and "
            "members cannot be upgraded one by one: run aurora_global_database with state absent first."
        )


def _future_clone(api: Api, target: Target) -> Cluster:
    """Green as it will be when it is cloned from blue."""
    return replace(require_cluster(api, str(target.source), "blue"), identifier=target.identifier)


def _versions(api: Api, engine: str) -> Versions:
    # IncludeAll: what blue runs may be deprecated, and is a start all the same.
    return versions_of(api.pages("describe_db_engine_versions", "DBEngineVersions", Engine=engine, IncludeAll=True))


def _origins(api: Api, cluster: Cluster) -> dict[Kind, Group]:
    names = {
        CLUSTER: cluster.parameter_group,
        INSTANCE: cluster.instances[0].parameter_group if cluster.instances else None,
    }
    return {kind: require_group(api, kind, name) for kind, name in names.items() if name}


def _named(api: Api, target: Target, versions: Versions) -> dict[Kind, Group]:
    """The groups that the user named; raises :class:`BlueGreenError` when one is not of the target version's family."""
    groups = {kind: require_group(api, kind, name) for kind, name in target.group_names.items()}
    family = versions[target.version].family
    for group in groups.values():
        if group.family != family:
            raise BlueGreenError(
                f"The {group.kind.label} {group.name} is named for the version {target.version}, which needs the family "
                f"{family}, but is of {group.family}: name another one."
            )
    return groups


def _uneven(cluster: Cluster, hops: tuple[Hop, ...]) -> list[str]:
    groups = sorted({instance.parameter_group or "none" for instance in cluster.instances})
    if len(groups) < 2 or not any(hop.is_major for hop in hops):
        return []
    return [f"The instances have the DB parameter groups {', '.join(groups)}; after the upgrade all have the writer's."]


def _hop(run: _Run, cluster: Cluster, hop: Hop, family: str, placed: set[Kind], warnings: list[str]) -> Cluster:
    groups: dict[Kind, str] = {}
    if hop.family != family:
        groups = _groups(run, hop.family, warnings)
        placed |= {kind for kind in groups if kind in run.named and run.named[kind].name == groups[kind]}
    elif hop.is_major:
        groups = _kept_groups(cluster)
    events = () if run.journal.check_mode else _events(run.api, cluster)
    run.journal.act(
        f"upgrade {cluster.identifier} from {cluster.version} to {hop.version}",
        lambda: _modify(run.api, cluster.identifier, hop, groups, run.target.waits),
    )
    if run.journal.check_mode:
        return replace(cluster, version=hop.version, parameter_group=groups.get(CLUSTER, cluster.parameter_group))
    if not run.target.waits.wait:
        return require_cluster(run.api, cluster.identifier, "green")
    arrived = _wait_for_hop(run, cluster, hop, events)
    return tending.reboot_pending(run.api, arrived, run.target.waits, run.journal)


def _groups(run: _Run, family: str, warnings: list[str]) -> dict[Kind, str]:
    """The groups to give the cluster in a new family; none for a kind that has the service's default.

    A custom group must be followed by one that is named: Aurora PostgreSQL refuses a major upgrade otherwise.
    """
    groups: dict[Kind, str] = {}
    for kind, origin in run.origins.items():
        named = run.named.get(kind)
        if named and named.family == family:
            _close(run, named)
            groups[kind] = named.name
        elif not origin.is_default:
            wish, dropped = wish_for(run.api, kind, run.names, family, origin)
            ensure_group(run.api, wish, run.names.deployment_id, run.journal)
            groups[kind] = wish.name
            if dropped:
                warnings.append(
                    f"Not carried over from {origin.name} to {wish.name}, because the family {family} has no such parameters "
                    f"that can be set: {', '.join(dropped)}."
                )
    return groups


def _kept_groups(cluster: Cluster) -> dict[Kind, str]:
    """The custom groups that the cluster has: a major upgrade wants them named, also where they stay.

    Neptune's 1.0 and 1.1 share a family (User Guide, "Installing a major version engine upgrade").
    """
    names = {
        CLUSTER: cluster.parameter_group,
        INSTANCE: cluster.instances[0].parameter_group if cluster.instances else None,
    }
    return {kind: name for kind, name in names.items() if name and not name.startswith("default.")}


def _close(run: _Run, named: Group) -> None:
    """Have the group that the user named keep clients out of a MySQL green as the group does that green has."""
    if named.kind is CLUSTER and run.is_mysql:
        wish = closed_wish(run.api, named, run.origins[CLUSTER], run.names.deployment_id)
        ensure_group(run.api, wish, run.names.deployment_id, run.journal)


def _modify(api: Api, identifier: str, hop: Hop, groups: Mapping[Kind, str], waits: Waits) -> None:
    parameters: dict[str, Any] = {"AllowMajorVersionUpgrade": True} if hop.is_major else {}
    if CLUSTER in groups:
        parameters["DBClusterParameterGroupName"] = groups[CLUSTER]
    if INSTANCE in groups:
        parameters["DBInstanceParameterGroupName"] = groups[INSTANCE]

    def ask() -> None:
        api.call(
            "modify_db_cluster",
            DBClusterIdentifier=identifier,
            EngineVersion=hop.version,
            ApplyImmediately=True,
            **parameters,
        )

    try:
        ask()
    except ApiError as error:
        if error.code not in _WRONG_STATE or require_cluster(api, identifier, "green").status == AVAILABLE:
            raise
        # It is under way already, when the answer to an earlier try was lost; or the service does something of its own,
        # as Neptune updates the operating system after an upgrade from 1.0.
        if waits.wait:
            wanted = f"{identifier} to be ready for the upgrade to {hop.version}"
            if wait_settled(api, identifier, waits, wanted).version != hop.version:
                ask()


@dataclass
class _Quiet:
    """A row of looks that found the cluster at rest."""

    looks: int = 0
    since: float = field(default_factory=time.monotonic)

    def longer_than(self, limit: tuple[int, float]) -> bool:
        return self.looks > limit[0] and time.monotonic() - self.since > limit[1]


def _wait_for_hop(run: _Run, cluster: Cluster, hop: Hop, events: Events) -> Cluster:
    begun, quiet = False, _Quiet()

    def arrived(found: Cluster | None) -> bool:
        nonlocal begun, quiet
        if found is None:
            raise BlueGreenError(
                f"The DB cluster {cluster.identifier} was deleted during its upgrade to {hop.version}."
            )
        if not settled(found):
            begun, quiet = True, _Quiet()
            return False
        if found.version == hop.version:
            return all(instance.version == hop.version for instance in found.instances)
        quiet.looks += 1
        reason = failure_reason(events, _events(run.api, found))
        if reason or quiet.longer_than(_QUIET_AFTER if begun else _QUIET_BEFORE):
            raise BlueGreenError(
                f"The DB cluster {cluster.identifier} should be upgraded to {hop.version}, but is back at {found.version}: "
                f"{reason or 'its events give no reason, look at the logs of its writer'}."
            )
        return False

    wanted = f"{cluster.identifier} and its instances to run {hop.version}"
    found = wait_for(run.target.waits, lambda: read_cluster(run.api, cluster.identifier), arrived, wanted, states)
    if found is None:
        raise AssertionError("arrived() holds for a cluster only")
    return found


def _arrive(run: _Run, cluster: Cluster, placed: set[Kind]) -> Cluster:
    """Give green the named groups that no hop brought, and reboot what waits for it."""
    waits, journal = run.target.waits, run.journal
    if CLUSTER in run.named and CLUSTER not in placed:
        _close(run, run.named[CLUSTER])
        cluster = tending.ensure_attached(run.api, cluster, run.named[CLUSTER].name, waits, journal)
    if INSTANCE in run.named and INSTANCE not in placed:
        cluster = _attach_to_instances(run, cluster, run.named[INSTANCE].name)
    return tending.reboot_pending(run.api, cluster, waits, journal)


def _attach_to_instances(run: _Run, cluster: Cluster, group: str) -> Cluster:
    others = [instance.identifier for instance in cluster.instances if instance.parameter_group != group]
    for instance in others:
        run.journal.act(
            f"attach the parameter group {group} to {instance}", partial(_attach_to_instance, run.api, instance, group)
        )
    if run.journal.check_mode or not run.target.waits.wait or not others:
        return cluster
    return wait_settled(
        run.api,
        cluster.identifier,
        run.target.waits,
        f"the instances of {cluster.identifier} to take the parameter group {group}",
        lambda found: all(instance.parameter_group == group for instance in found.instances),
    )


def _attach_to_instance(api: Api, instance: str, group: str) -> None:
    api.call("modify_db_instance", DBInstanceIdentifier=instance, DBParameterGroupName=group, ApplyImmediately=True)


def _events(api: Api, cluster: Cluster) -> Events:
    return read_events(api, cluster.identifier, [instance.identifier for instance in cluster.instances])
