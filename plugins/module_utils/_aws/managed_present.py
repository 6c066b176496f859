# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Making a deployment that RDS manages: looked for, checked, prepared, created once, waited for; or taken over as it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.amazon.aws.plugins.module_utils.tagging import ansible_dict_to_boto3_tag_list

from .._core.checks import require
from .._core.errors import BlueGreenError
from .._core.journal import Journal
from .._core.names import Names
from . import managed, managed_global, managed_groups, managed_rules, managed_wait, readiness_managed_members
from . import readiness_managed_rules as rules
from .api import Api, Unanswered
from .clusters import read_cluster
from .global_clusters import Regions
from .managed import Deployment, Place
from .managed_plan import Making, Step, present_steps
from .managed_wait import Progress, Seen
from .ownership import is_ours, ownership_tags
from .parameter_groups import ensure_group, user_values
from .readiness_managed_around import global_database
from .tending import ensure_tags
from .upgrade import Versions, versions_of
from .waiters import Waits, wait_for

_SOURCE = re.compile(r"(?:arn:[^:]+:rds:[^:]+:\d+:(?:cluster|db):)?[A-Za-z][A-Za-z0-9-]*")
_TAKEN = ("BlueGreenDeploymentAlreadyExistsFault",)
_NO_INSTANCE = ("DBInstanceNotFound", "DBInstanceNotFoundFault")
_UNANSWERED = Waits(15, 0.5)  # for a call without an answer to show its effect


@dataclass(frozen=True)
class Request:
    """What is wanted; ``parameters`` as :func:`managed_rules.parameters` gives them.

    ``first_write`` makes blue's binary log begin with something; None without a connection to blue.
    """

    source: str
    regions: Regions
    options: Mapping[str, Any]
    parameters: Mapping[str, Any]
    tags: Mapping[str, str] | None
    purge_tags: bool
    prepare: bool
    reboot_blue: bool
    reboot_green: bool
    binlog_format: str
    waits: Waits
    first_write: Callable[[Place, Journal], None] | None = None


@dataclass
class Outcome:
    """What came of it; in check mode ``deployment`` and ``green`` are those that were there before."""

    deployment: Deployment | None
    blue: Place | None
    green: Place | None
    before: Place | None
    wanted: Mapping[str, Any]
    warnings: list[str] = field(default_factory=list)


def ensure(names: Names, request: Request, journal: Journal, progress: Progress) -> Outcome:
    """Have the deployment there, available with every member of green; one that is there is never made a second time."""
    api, name = request.regions.home_api, names.deployment_id
    found = managed.find(api, name)
    blue = resolve(api, request.source)
    if found is None or found.status == managed.DELETING:
        found = _adopted(api, name, blue, request, journal) or found
    if found is not None and found.status != managed.DELETING:
        return _go_on(api, names, found, blue, request, journal, progress)
    managed_rules.check_source(blue, request.options)
    if found is not None and not journal.check_mode:
        managed_wait.wait_gone(api, found.identifier, request.waits)
    return _make(api, names, blue, request, journal, progress)


def resolve(api: Api, source: str) -> Place:
    """The cluster or instance that is meant by an identifier or an ARN; raises :class:`BlueGreenError` without one.

    The API is asked by the identifier alone: an ARN of another account or Region would find what has the same name here, and an empty
    one whatever comes first.
    """
    if not _SOURCE.fullmatch(source):
        raise BlueGreenError(
            f"The source should be the identifier or the ARN of a DB cluster or a DB instance, but is {source!r}: correct it."
        )
    if source.startswith("arn:"):
        found = managed.place(api, source)
        if found is not None and found.arn.lower() != source.lower():
            raise BlueGreenError(
                f"The source should be {source}, but what has this name in the account and Region of these credentials is {found.arn}: "
                "correct the ARN, the Region or the credentials."
            )
    else:
        cluster = read_cluster(api, source)
        found = managed.place(api, cluster.arn) if cluster else _instance(api, source)
    if found is None:
        raise BlueGreenError(
            f"The source {source} should be a DB cluster or a DB instance, but there is none in this account and Region: check the "
            "identifier, the Region and the credentials."
        )
    return found


def _instance(api: Api, identifier: str) -> Place | None:
    answer = api.find("describe_db_instances", _NO_INSTANCE, DBInstanceIdentifier=identifier)
    described = (answer or {}).get("DBInstances") or []
    return managed.place(api, described[0]["DBInstanceArn"]) if described else None


def _adopted(api: Api, name: str, blue: Place, request: Request, journal: Journal) -> Deployment | None:
    """The deployment that blue is in already under another name, taken over when its green is what is wanted."""
    other = managed.of_source(api, blue.arn) or managed.of_target(api, blue.arn)
    if other is None or other.status == managed.DELETING or other.switched:
        return None  # what is over does not keep production from the next one
    green = managed.endpoints(api, other)["green"] if other.source == blue.arn else None
    said = (
        f"{blue.identifier} can be in one blue/green deployment only, but is in {other.name} ({other.identifier}), which is "
        f"{other.status}"
    )
    advice = f"go on with deployment_id {other.name}, or delete that one first"
    if other.status != managed.AVAILABLE or green is None:
        raise BlueGreenError(f"{said}: {advice}.")
    if any(key.startswith("bluegreen:") for key in other.tags):
        raise BlueGreenError(f"{said}, of the deployment_id {other.tags.get('bluegreen:deployment-id')}: {advice}.")
    unlike = managed_rules.differs(green, request.parameters)
    if unlike:
        raise BlueGreenError(f"{said} and whose green has {', '.join(unlike)}: {advice}.")
    journal.act(
        f"adopt the deployment {other.name} ({other.identifier}) of {blue.identifier} by the tags of {name}",
        lambda: api.call(
            "add_tags_to_resource",
            ResourceName=managed.arn_of(other, blue.arn),
            Tags=ansible_dict_to_boto3_tag_list(ownership_tags(name)),
        ),
    )
    return other


def _go_on(
    api: Api, names: Names, found: Deployment, blue: Place, request: Request, journal: Journal, progress: Progress
) -> Outcome:
    """Wait for what is being made, and say what is not as wanted."""
    if blue.arn not in (found.source, found.target):
        raise BlueGreenError(
            f"The deployment {found.name} ({found.identifier}) should be of {blue.identifier}, but its source is "
            f"{managed.identifier_of(found.source)}: correct source, or choose another deployment_id."
        )
    places = managed.endpoints(api, found)
    before = places["green"]
    seen = Seen(found, before)
    progress.note(found, before)
    if not found.switched:
        managed_wait.require_alive(api, seen, progress)
    for step in _steps(seen, request):
        if step is Step.WAIT and not journal.check_mode and request.waits.wait:
            seen = managed_wait.wait_ready(api, found.identifier, request.waits, progress)
    seen = _rebooted(api, seen, request, journal, progress)
    deployment = seen.deployment or found
    outcome = Outcome(deployment, places["blue"], seen.green, before, request.parameters)
    if deployment.status == managed.AVAILABLE and seen.green is not None:
        unlike = managed_rules.differs(seen.green, request.parameters)
        if unlike:
            raise BlueGreenError(
                f"The deployment {found.name} ({found.identifier}) exists, but its green has {', '.join(unlike)}: change green itself, "
                "or delete the deployment and create it anew; the service cannot change what it was made with."
            )
    if request.tags is not None and found.status != managed.DELETING:
        wanted = {
            **(ownership_tags(names.deployment_id) if is_ours(found.tags, names.deployment_id) else {}),
            **request.tags,
        }
        ensure_tags(api, managed.arn_of(found, blue.arn), found.tags, wanted, request.purge_tags, journal)
    if deployment.status == managed.SWITCHING:
        outcome.warnings.append(f"The switchover of {found.name} goes on; nothing was waited for.")
    return outcome


def _steps(seen: Seen, request: Request) -> tuple[Step, ...]:
    status = seen.deployment.status if seen.deployment else None
    making = Making(status, managed_wait.settled(seen.green), bool(managed_wait.pending(seen.green)))
    return present_steps(making, reboot_green=request.reboot_green)


def _rebooted(api: Api, seen: Seen, request: Request, journal: Journal, progress: Progress) -> Seen:
    """Green with its parameter groups in sync; one that waits for a reboot is told of when that is not allowed."""
    if seen.green is None or seen.deployment is None or seen.deployment.status != managed.AVAILABLE:
        return seen
    if Step.REBOOT_GREEN in _steps(seen, request):
        managed_groups.reboot_members(api, seen.green, request.waits, journal)
        if journal.check_mode:
            return seen
        return managed_wait.wait_ready(api, seen.deployment.identifier, request.waits, progress)
    waiting = managed_wait.pending(seen.green)
    if waiting and not request.reboot_green:
        raise BlueGreenError(
            f"Green's parameter groups should be in sync, but {', '.join(waiting)} wait for a reboot: set reboot_green to true, or "
            "reboot them; nobody is served by green yet.",
            deployment=seen.deployment.as_dict(),
        )
    return seen


def _make(api: Api, names: Names, blue: Place, request: Request, journal: Journal, progress: Progress) -> Outcome:
    versions = _versions(api, blue)
    wanted_version = request.parameters.get("TargetEngineVersion")
    major = rules.is_major(versions, blue, wanted_version)
    require(
        [
            rules.source(blue),
            rules.version(blue, major=major),
            rules.status(blue),
            rules.backups(blue),
            rules.master_password(blue),
            rules.replicas(blue),
            global_database(api, blue),
            rules.target_version(versions, blue, wanted_version),
        ],
        "a deployment that RDS manages",
    )
    family = versions[wanted_version or blue.version].family if versions else ""

    def targets() -> list[managed_groups.Target]:
        return managed_groups.targets(
            api,
            names,
            blue,
            request.parameters,
            family,
            prepare=request.prepare,
            binlog_format=request.binlog_format,
        )

    chosen = targets()
    if request.prepare:
        blue = managed_groups.prepare_blue(
            api,
            blue,
            major=major,
            binlog_format=request.binlog_format,
            reboot=request.reboot_blue,
            waits=request.waits,
            journal=journal,
        )
        chosen = targets()  # with what was set in blue's just now
        for target in chosen:
            if target.wish is not None:
                ensure_group(api, target.wish, names.deployment_id, journal)
    else:
        group = managed_groups.own_group(api, blue)
        values = user_values(api, group) if group else {}
        require([rules.log(blue, group, values, major=major), rules.in_sync(blue)], "a deployment that RDS manages")
    managed_global.ensure_groups(request.regions, names, blue, chosen, prepare=request.prepare, journal=journal)
    if request.first_write is not None:
        request.first_write(blue, journal)
    called = {**request.parameters, **managed_groups.options(chosen)}
    identifier = journal.act(
        f"create the deployment {names.deployment_id} of {blue.identifier}"
        + (f" with engine version {wanted_version}" if wanted_version else ""),
        lambda: _create(api, names.deployment_id, blue, called, request.tags or {}),
    )
    outcome = Outcome(None, blue, None, None, called)
    alike = readiness_managed_members.parameter_groups(blue)
    outcome.warnings += [] if alike.status == "ok" else [f"{alike.evidence}: {alike.remedy}."]
    outcome.warnings += [
        f"The parameters {', '.join(one.dropped)} of blue cannot be set in {one.name}." for one in chosen if one.dropped
    ]
    if identifier is None:
        return outcome
    if request.waits.wait:
        seen = managed_wait.wait_ready(api, identifier, request.waits, progress)
        seen = _rebooted(api, seen, request, journal, progress)
    else:
        seen = managed_wait.look(api, identifier)
    outcome.deployment, outcome.green = seen.deployment, seen.green
    outcome.blue = managed.place(api, blue.arn) or blue
    return outcome


def _create(api: Api, name: str, blue: Place, parameters: Mapping[str, Any], tags: Mapping[str, str]) -> str:
    try:
        answer = api.find(
            "create_blue_green_deployment",
            _TAKEN,
            BlueGreenDeploymentName=name,
            Source=blue.arn,
            Tags=ansible_dict_to_boto3_tag_list({**tags, **ownership_tags(name)}),
            **parameters,
        )
    except Unanswered as error:
        found = _made(api, name, blue, error)
    else:
        if answer is not None:
            return str(answer["BlueGreenDeployment"]["BlueGreenDeploymentIdentifier"])
        found = managed.find(api, name)  # ours when the answer to an earlier try was lost
    if found is None or found.source != blue.arn:
        raise BlueGreenError(
            f"A deployment {name} of {blue.identifier} is wanted, but the name is taken by one of "
            f"{managed.identifier_of(found.source) if found else 'another source'}: choose another deployment_id."
        )
    return found.identifier


def _made(api: Api, name: str, blue: Place, error: Unanswered) -> Deployment | None:
    """The deployment that was asked for without an answer, as soon as it is seen."""
    try:
        return wait_for(_UNANSWERED, lambda: managed.find(api, name), lambda found: found is not None, name, str)
    except BlueGreenError:
        raise BlueGreenError(
            f"The deployment {name} of {blue.identifier} was asked for, but AWS gave no answer, and it was not seen within "
            f"{_UNANSWERED.timeout:g} s: {error.message.rstrip('.')}; run this again, which goes on with it if it was made."
        ) from None


def _versions(api: Api, blue: Place) -> Versions:
    return versions_of(
        api.pages("describe_db_engine_versions", "DBEngineVersions", Engine=blue.engine, IncludeAll=True)
    )
