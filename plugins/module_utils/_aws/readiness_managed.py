# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Every guardrail of a deployment that RDS manages, on the control plane: AWS is asked, the rules judge, nothing is changed.

What cannot be looked at is a check that failed when the step needs it, and a warning when it does not; never ok.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from .._core.checks import Check
from .._core.errors import BlueGreenError
from .._core.names import Names
from . import managed, managed_groups, managed_permissions, managed_present
from . import readiness_managed_left as left
from . import readiness_managed_members as members
from . import readiness_managed_rules as rules
from . import readiness_managed_target as target
from .api import Api
from .managed import Deployment, Place
from .managed_wait import Seen
from .parameter_groups import CLUSTER, INSTANCE, Group, group_values, read_group, user_values
from .readiness_managed_around import around, global_groups
from .readiness_topic import Topic
from .upgrade import EngineVersion, Versions, versions_of

T = TypeVar("T")


@dataclass(frozen=True)
class Wanted:
    """What the deployment is to be: blue's identifier or ARN, and green's version and groups as far as they are named."""

    source: str
    version: str | None
    groups: Sequence[str] = ()
    prepared: bool = False


def create_checks(client: Callable[[str], Api], wanted: Wanted, names: Names, at: Callable[[str], Api]) -> list[Check]:
    """What must hold on the control plane before the deployment is made; ``at`` gives RDS in a Region."""
    rds = client("rds")
    try:
        blue = managed_present.resolve(rds, wanted.source)
    except BlueGreenError as error:
        return [rules.SOURCE.unmade(error, needed=True)]
    versions: dict[str, EngineVersion] = {}

    def judge_versions(found: list[dict[str, Any]]) -> list[Check]:
        versions.update(versions_of(found))
        return [rules.target_version(versions, blue, wanted.version)]

    checks = [rules.source(blue), rules.status(blue)]
    checks += _judged(
        rules.TARGET,
        lambda: rds.pages("describe_db_engine_versions", "DBEngineVersions", Engine=blue.engine, IncludeAll=True),
        judge_versions,
        needed=True,
    )
    major = rules.is_major(versions, blue, wanted.version)
    checks.append(rules.version(blue, major=major))
    checks += _judged(
        rules.LOG,
        lambda: _group(rds, blue),
        lambda found: [rules.log(blue, *found, major=major)],
        needed=True,
    )
    checks += [
        rules.in_sync(blue),
        rules.backups(blue),
        rules.master_password(blue),
        rules.replicas(blue),
        members.parameter_groups(blue),
        rules.cloudformation(blue),
        left.backtrack(blue) if blue.is_cluster else left.log_volume(blue),
    ]
    family = _family(versions, wanted.version or blue.version)
    for name in wanted.groups:
        checks += _judged(
            target.VALUES,
            partial(_groups, rds, blue, name),
            partial(_target, blue, family, name),
            needed=True,
        )
    own = [name for name in (blue.parameter_group, *blue.parameter_groups) if name]
    if family != _family(versions, blue.version):
        own = []
        checks.append(rules.custom_groups(blue, wanted.groups, wanted.prepared))
    checks += global_groups(at, blue, wanted.groups or own, wanted.prepared)
    checks += _judged(
        rules.DEPLOYMENT,
        lambda: managed.of_source(rds, blue.arn) or managed.of_target(rds, blue.arn),
        lambda found: [rules.deployment(found, blue, names.deployment_id)],
        needed=True,
    )
    return [*checks, *around(client, blue), *managed_permissions.checks(client, blue, names)]


def switchover_checks(client: Callable[[str], Api], names: Names) -> list[Check]:
    """What must hold on the control plane before the traffic moves."""
    rds = client("rds")

    def read() -> tuple[Deployment | None, dict[str, Place | None]]:
        found = managed.find(rds, names.deployment_id)
        return found, managed.endpoints(rds, found) if found else {}

    def judge(found: tuple[Deployment | None, dict[str, Place | None]]) -> list[Check]:
        deployment, places = found
        first = rules.switchable(deployment, names.deployment_id)
        if deployment is None:
            return [first]
        blue, green = places.get("blue"), places.get("green")
        checks = [first, rules.green_members(green), rules.green_replication(Seen(deployment, green))]
        if blue is None:
            return [*checks, rules.SOURCE.failed("blue should be there, but it is not", "look which side serves")]
        checks += [rules.status(blue), rules.backups(blue)]
        if green is not None:
            checks += [
                rules.protection(blue, green),
                rules.size(blue, green),
                members.topology(deployment, blue),
                members.member_groups(deployment, blue, green),
                members.custom_endpoints(blue, green),
                left.carried(blue, green),
                left.tags(blue, green),
                left.resource_ids(blue, green),
            ]
        return [*checks, *around(client, blue, green, switchover=True)]

    return _judged(rules.DEPLOYMENT, read, judge, needed=True)


def _judged(topic: Topic, read: Callable[[], T], judge: Callable[[T], list[Check]], *, needed: bool) -> list[Check]:
    try:
        found = read()
    except BlueGreenError as error:
        return [topic.unmade(error, needed=needed)]
    return judge(found)


def _group(rds: Api, blue: Place) -> Any:
    group = managed_groups.own_group(rds, blue)
    return group, user_values(rds, group) if group else {}


def _groups(rds: Api, blue: Place, name: str) -> tuple[Mapping[str, str], Group | None, Mapping[str, str]]:
    """What blue's own group holds, the group of this name, and what it holds."""
    own = managed_groups.own_group(rds, blue)
    group = read_group(rds, CLUSTER if blue.is_cluster else INSTANCE, name)
    return group_values(rds, own) if own else {}, group, group_values(rds, group) if group else {}


def _target(
    blue: Place, family: str, name: str, found: tuple[Mapping[str, str], Group | None, Mapping[str, str]]
) -> list[Check]:
    own, group, values = found
    return [target.target_parameters(blue, family, own, name, group, values)]


def _family(versions: Versions, version: str) -> str:
    return versions[version].family if version in versions else ""
