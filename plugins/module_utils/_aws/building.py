# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Building green: every step looks at what is there and does what is missing, so a killed run is continued by another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

from ansible_collections.amazon.aws.plugins.module_utils.tagging import boto3_tag_list_to_ansible_dict

from .._core.errors import BlueGreenError
from .._core.journal import Journal
from .._core.names import Names
from . import clone, neptune, tending
from .api import Api, ApiError
from .clusters import Cluster, Instance, cluster_of_instance, read_cluster, require_cluster
from .green_groups import Clusters, Groups, green_groups
from .ownership import is_ours
from .parameter_groups import ensure_group
from .snapshot import ensure_snapshot
from .waiters import DEAD_ENDS, Waits, wait_settled

Mode = Literal["auto", "new", "resume"]

_NOT_YET = "The snapshot {} is not available yet, run this again for the rest."
_RESTORE = "restore_db_cluster_to_point_in_time"
_TAKEN = ("DBClusterAlreadyExistsFault",)
_ROLE_THERE = ("DBClusterRoleAlreadyExists", "DBClusterRoleAlreadyExistsFault")
_INSTANCE_TAKEN = ("DBInstanceAlreadyExists", "DBInstanceAlreadyExistsFault")


@dataclass(frozen=True)
class Request:
    """What the user asks of ``aurora_clone``."""

    source: str
    options: clone.CloneOptions
    mode: Mode
    overrides: Mapping[str, Any] | None
    purge_tags: bool
    waits: Waits
    snapshot: str | None = None


@dataclass(frozen=True)
class Outcome:
    """Blue, green before and now (None when it does not exist), the plan, and what the user should be told."""

    blue: Cluster
    before: Cluster | None
    green: Cluster | None
    plan: clone.ClonePlan
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Run:
    """What the steps have in common."""

    api: Api
    names: Names
    request: Request
    journal: Journal
    before: Cluster | None

    @property
    def identifier(self) -> str:
        return self.request.options.identifier

    def look(self, wanted: str, also: Callable[[Cluster], bool] = lambda cluster: True) -> Cluster | None:
        """Green as it is now, after the wait if there is one; in check mode, as it was."""
        if self.journal.check_mode:
            return self.before
        if not self.request.waits.wait:
            return read_cluster(self.api, self.identifier)
        return wait_settled(self.api, self.identifier, self.request.waits, f"{self.identifier} {wanted}", also)

    def blocked(self, green: Cluster | None) -> bool:
        """Whether the next step has to be left to another run, which happens only when there is no waiting."""
        return not self.journal.check_mode and not tending.ready(green)


def continues(green: Cluster | None, identifier: str, deployment_id: str, mode: Mode) -> bool:
    """Whether green exists and is to be continued (true) or is to be created (false). Pure.

    Raises :class:`BlueGreenError` when it exists and must not, or must and does not.
    """
    if green is None:
        if mode == "resume":
            raise BlueGreenError(
                f"The deployment {deployment_id} should be resumed, but its DB cluster {identifier} does not exist: "
                "set deployment_mode to auto or new."
            )
        return False
    taken = f"Cluster with id = {identifier} already exists."
    if not is_ours(green.tags, deployment_id):
        raise BlueGreenError(
            f"{taken} It does not belong to the deployment {deployment_id}: choose another deployment_id or "
            "db_cluster_identifier."
        )
    if mode == "new":
        raise BlueGreenError(
            f"{taken} It belongs to the deployment {deployment_id}: set deployment_mode to resume or auto to continue it, "
            "or choose another deployment_id."
        )
    return True


def build(api: Api, names: Names, request: Request, journal: Journal) -> Outcome:
    """Make green, or what is missing of it.

    Everything that can be refused is refused before the first change. Raises :class:`BlueGreenError`.
    """
    blue = require_cluster(api, request.source, "blue")
    before = read_cluster(api, request.options.identifier)
    run = _Run(api, names, request, journal, before)
    exists = continues(before, run.identifier, names.deployment_id, request.mode)
    _require_relation(blue, before)
    groups = green_groups(api, names, request.options, request.overrides, Clusters(blue, before))
    options = replace(request.options, cluster_parameter_group=groups.name)
    plan = clone.plan_clone(blue, names, options, api.accepts(_RESTORE))
    _require_free(run, clone.missing_instances(plan, before, groups.blue_family, groups.green_family))
    if not _snapshot(run, blue):
        return Outcome(blue, before, before, plan, (*_warnings(groups), _NOT_YET.format(request.snapshot)))
    if groups.wish:
        ensure_group(api, groups.wish, names.deployment_id, journal)
    if not exists:
        journal.act(f"clone {blue.identifier} to {run.identifier}", lambda: _restore(run, plan))
    return Outcome(blue, before, _complete(run, plan, groups, blue.engine), plan, _warnings(groups))


def prepare(api: Api, names: Names, request: Request, journal: Journal) -> Outcome:
    """What comes before everything else: the snapshot of blue. Refuses what :func:`build` refuses."""
    planned = build(api, names, request, Journal(check_mode=True))
    run = _Run(api, names, request, journal, planned.before)
    warnings = () if _snapshot(run, planned.blue) else (_NOT_YET.format(request.snapshot),)
    return replace(planned, warnings=warnings)


def _snapshot(run: _Run, blue: Cluster) -> bool:
    """Take the snapshot of blue when it is asked for and there is no green yet; whether the clone can follow."""
    identifier = run.request.snapshot
    if identifier is None or run.before is not None:
        return True
    clone.require_identifier(identifier, "source_snapshot_identifier")
    return ensure_snapshot(run.api, blue, identifier, run.names.deployment_id, run.request.waits, run.journal)


def _complete(run: _Run, plan: clone.ClonePlan, groups: Groups, engine: str) -> Cluster | None:
    """Everything after the cluster itself; returns green, None when it does not exist."""
    green = run.look("to be cloned")
    if run.blocked(green):
        return green
    if _ensure_settings(run, plan, green, engine):
        green = run.look("to be set up")
        if run.blocked(green):
            return green
    created = _ensure_instances(run, plan, green, groups)
    if created:
        green = run.look("and its instances to be available", lambda found: created <= found.instance_identifiers)
    _ensure_tags(run, plan, green)
    if run.blocked(green) or green is None:
        return green
    if groups.name is not None:
        green = tending.ensure_attached(run.api, green, groups.name, run.request.waits, run.journal)
    return tending.reboot_pending(run.api, green, run.request.waits, run.journal)


def _require_relation(blue: Cluster, green: Cluster | None) -> None:
    if blue.status in DEAD_ENDS:
        raise BlueGreenError(
            f"The DB cluster {blue.identifier} should be available to be cloned, but its status is {blue.status}: "
            "make it available first."
        )
    mine, other = blue.description.get("CloneGroupId"), (green.description if green else {}).get("CloneGroupId")
    if mine and other and mine != other:
        raise BlueGreenError(
            f"The DB cluster {green.identifier if green else ''} belongs to this deployment, but it is not a clone of "
            f"{blue.identifier}: check source_db_cluster_identifier, or choose another deployment_id."
        )


def _require_free(run: _Run, missing: list[clone.Parameters]) -> None:
    for identifier in (instance["DBInstanceIdentifier"] for instance in missing):
        owner = cluster_of_instance(run.api, identifier)
        if owner not in (None, run.identifier):
            raise BlueGreenError(
                f"Green needs the instance identifier {identifier}, but an instance with it exists already "
                f"({owner or 'in no cluster'}): choose another deployment_id, or db_instance_identifier in instances."
            )


def _restore(run: _Run, plan: clone.ClonePlan) -> None:
    try:
        run.api.call(_RESTORE, **plan.restore)
    except ApiError as error:
        if error.code not in _TAKEN:
            raise
        # Ours when a lost answer made the call be repeated; somebody else's when they were quicker.
        continues(require_cluster(run.api, run.identifier, "green"), run.identifier, run.names.deployment_id, "auto")


def _ensure_settings(run: _Run, plan: clone.ClonePlan, green: Cluster | None, engine: str) -> bool:
    """Set what restoring cannot set, before the first instance exists; afterwards only what the user says himself."""
    known = neptune.supported(engine, "modify_db_cluster", run.api.accepts("modify_db_cluster"))
    if green is None:
        unmet = clone.predicted_settings(plan, neptune.brought(engine, run.api.accepts(_RESTORE)))
    else:
        unmet = clone.unmet_settings(plan, green.description)
    roles = list(plan.roles) if green is None else clone.missing_roles(plan, green.description)
    if green is not None and green.instances:
        asked = run.request.options.deletion_protection is not None
        unmet = {name: value for name, value in unmet.items() if name == "DeletionProtection" and asked}
        roles = []
    unmet = {name: value for name, value in unmet.items() if name in known}
    if unmet:
        run.journal.act(
            f"set {', '.join(sorted(unmet))} of {run.identifier}",
            lambda: tending.modify_cluster(run.api, run.identifier, run.request.waits, **unmet),
        )
    for arn, feature in roles:
        run.journal.act(f"add the role {arn} to {run.identifier}", partial(_add_role, run, arn, feature))
    return bool(unmet or roles)


def _add_role(run: _Run, arn: str, feature: str) -> None:
    named = {"FeatureName": feature} if feature else {}
    run.api.find("add_role_to_db_cluster", _ROLE_THERE, DBClusterIdentifier=run.identifier, RoleArn=arn, **named)


def _ensure_instances(run: _Run, plan: clone.ClonePlan, green: Cluster | None, groups: Groups) -> set[str]:
    missing = clone.missing_instances(plan, green, groups.blue_family, groups.green_family)
    for instance in missing:
        run.journal.act(
            f"create instance {instance['DBInstanceIdentifier']} ({instance['DBInstanceClass']})",
            partial(_create_instance, run, instance),
        )
    return {instance["DBInstanceIdentifier"] for instance in missing}


def _create_instance(run: _Run, instance: clone.Parameters) -> None:
    try:
        run.api.call("create_db_instance", **instance)
    except ApiError as error:
        if error.code not in _INSTANCE_TAKEN:
            raise
        _require_free(run, [instance])


def _ensure_tags(run: _Run, plan: clone.ClonePlan, green: Cluster | None) -> None:
    """Bring the tags into the form asked for; without the option they are only set at creation."""
    if run.request.options.tags is None or green is None:
        return
    purge = run.request.purge_tags
    wanted = {green.identifier: plan.restore["Tags"]}
    wanted |= {instance["DBInstanceIdentifier"]: instance["Tags"] for instance in plan.instances}
    resources: list[Cluster | Instance] = [green, *green.instances]
    for resource in resources:
        if resource.identifier in wanted:
            tags = boto3_tag_list_to_ansible_dict(wanted[resource.identifier])
            tending.ensure_tags(run.api, resource.arn, resource.tags, tags, purge, run.journal)


def _warnings(groups: Groups) -> tuple[str, ...]:
    if not groups.dropped:
        return ()
    return (
        f"Not carried over to the family {groups.green_family}, which has no such parameters that can be set: "
        f"{', '.join(groups.dropped)}.",
    )
