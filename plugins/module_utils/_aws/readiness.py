# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Every guardrail about the control plane: AWS is asked, the rules judge, nothing is changed.

What cannot be looked at is a check that failed when the step needs it, and a warning when it does not; never ok.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from .._core.checks import Check
from .._core.errors import BlueGreenError
from .._core.names import Names
from . import readiness_cluster as of_cluster
from . import readiness_engine as of_engine
from . import readiness_neighbours as around
from . import readiness_neptune as of_neptune
from . import readiness_policies as of_policies
from . import readiness_target as of_target
from .api import Api
from .building import continues
from .clone import CloneOptions, ClonePlan, plan_clone
from .clusters import Cluster, read_cluster
from .parameter_groups import CLUSTER, require_group, user_values
from .readiness_permissions import permission_checks
from .readiness_topic import GUIDE, Topic
from .upgrade import Hop, versions_of

T = TypeVar("T")
_NO_INSTANCE = ("DBInstanceNotFound", "DBInstanceNotFoundFault")
_NO_PROXY_TARGET = ("DBProxyNotFoundFault", "DBProxyTargetGroupNotFoundFault")
_EXISTS = Topic("exists", GUIDE + "Aurora.Managing.Clone.html")
# A create may take hours, so that a window in the next day matters to it; a switchover takes minutes.
_CREATE_HORIZON, _SWITCHOVER_HORIZON = timedelta(hours=24), timedelta(hours=1)


@dataclass(frozen=True)
class Wanted:
    """What the deployment is to be; ``blue_host`` is where replication will reach blue.

    ``green_groups``: the security groups that green is to have, blue's when there are none.
    """

    blue: str
    green: str
    version: str | None
    allow_major: bool
    instances: Any
    blue_host: str
    engine: str = ""
    green_groups: tuple[str, ...] = ()


def create_checks(client: Callable[[str], Api], wanted: Wanted, names: Names) -> list[Check]:
    """What must hold on the control plane before blue is cloned, and until green replicates."""
    rds = client("rds")
    found = _clusters(rds, wanted)
    if isinstance(found, Check):
        return [found]
    blue, green = found
    if blue is None:
        return [_missing("blue", wanted.blue)]
    neptune = of_engine.NEPTUNE in (blue.engine, wanted.engine)
    checks = [of_cluster.status("blue", blue, readers_stop=False)]
    if neptune:
        checks += of_neptune.source_checks(client, blue)
    else:
        checks += [of_engine.engine(blue, wanted.engine), *_parameters(rds, blue), *of_engine.backtrack(blue)]
    checks += _green_to_be(client, rds, wanted, names, blue, green)
    checks += _changes(rds, "blue", blue, _CREATE_HORIZON, stops=False)
    if green is not None:
        checks += _changes(rds, "green", green, _CREATE_HORIZON, stops=False)
    checks += [of_cluster.blue_protection(blue), of_cluster.backups("blue", blue)]
    if not neptune:  # which has no master user, no proxies, no managed deployments and no integrations
        checks += [of_cluster.master_password(blue), *_around(rds, wanted, blue), *_integrations(rds, blue)]
    checks += _network(client("ec2"), blue, wanted.green_groups)
    return checks


def switchover_checks(client: Callable[[str], Api], wanted: Wanted) -> list[Check]:
    """What must hold on the control plane before the traffic moves between blue and green."""
    rds = client("rds")
    found = _clusters(rds, wanted)
    if isinstance(found, Check):
        return [found]
    blue, green = found
    if blue is None or green is None:
        return [_missing("blue", wanted.blue)] if blue is None else [_missing("green", wanted.green)]
    neptune = of_engine.NEPTUNE in (blue.engine, wanted.engine)
    checks = [
        of_neptune.engine(blue) if neptune else of_engine.engine(blue, wanted.engine),
        of_cluster.status("blue", blue, readers_stop=False),
        of_cluster.status("green", green, readers_stop=True),
        of_cluster.parameter_status("blue", blue, stops=False),
        of_cluster.parameter_status("green", green, stops=True),
        of_cluster.version(green, wanted.version),
        *([] if neptune else of_engine.own_group(blue, green)),
    ]
    for side, cluster in (("blue", blue), ("green", green)):
        checks += _changes(rds, side, cluster, _SWITCHOVER_HORIZON, stops=True)
    retention = int(blue.description.get("BackupRetentionPeriod") or 1)
    checks += [
        of_cluster.green_protection(blue, green),
        of_cluster.backups("blue", blue),
        of_cluster.backups("green", green, retention),
    ]
    if neptune:
        return [*checks, *of_policies.checks(client, blue, green)]
    return [*checks, of_cluster.master_password(blue), *_around(rds, wanted, blue)]


def _judged(topic: Topic, read: Callable[[], T], judge: Callable[[T], list[Check]], *, needed: bool) -> list[Check]:
    try:
        found = read()
    except BlueGreenError as error:
        return [topic.unmade(error, needed=needed)]
    return judge(found)


def _clusters(rds: Api, wanted: Wanted) -> tuple[Cluster | None, Cluster | None] | Check:
    try:
        return read_cluster(rds, wanted.blue), read_cluster(rds, wanted.green)
    except BlueGreenError as error:
        return _EXISTS.of("blue").unmade(error, needed=True)


def _missing(side: str, identifier: str) -> Check:
    return _EXISTS.of(side).failed(
        f"the DB cluster {identifier} should be {side}, but it does not exist in this account and region",
        "correct the identifier, the region or the credentials",
    )


def _parameters(rds: Api, blue: Cluster) -> list[Check]:
    def read() -> tuple[Any, dict[str, str]]:
        group = require_group(rds, CLUSTER, blue.parameter_group)
        return group, user_values(rds, group)

    return [
        *_judged(
            Topic("blue_parameters", of_engine.engine_of(blue).parameter_docs),
            read,
            lambda found: [of_engine.parameters("blue", blue, *found)],
            needed=True,
        ),
        of_cluster.parameter_status("blue", blue, stops=True),
    ]


def _green_to_be(
    client: Callable[[str], Api], rds: Api, wanted: Wanted, names: Names, blue: Cluster, green: Cluster | None
) -> list[Check]:
    start, family = (green or blue).version, ""
    hops: tuple[Hop, ...] = ()

    def judge_version(found: list[dict[str, Any]]) -> list[Check]:
        nonlocal hops, family
        retired = [item["EngineVersion"] for item in found if item.get("Status") == "deprecated"]
        versions = versions_of(found)
        check, hops = of_target.target_version(
            versions, retired, start, wanted.version, wanted.allow_major, of_engine.engine_of(blue).upgrade_docs, blue
        )
        family = versions[start].family if start in versions else ""
        return [check]

    checks = _judged(
        Topic("target_version", of_engine.engine_of(blue).upgrade_docs),
        lambda: rds.pages("describe_db_engine_versions", "DBEngineVersions", Engine=blue.engine, IncludeAll=True),
        judge_version,
        needed=True,
    )
    try:
        continues(green, wanted.green, names.deployment_id, "auto")
        options = CloneOptions(wanted.green, wanted.instances)
        plan = plan_clone(blue, names, options, rds.accepts("restore_db_cluster_to_point_in_time"))
    except BlueGreenError as error:
        return [*checks, of_target.CLONE.failed(error.message.rstrip("."), "correct what the clone is asked to be")]
    checks.append(of_target.clone_differences(plan))
    versions = [start, *(hop.version for hop in hops)]
    checks += _judged(
        of_target.CLASSES,
        lambda: _orderable(rds, blue.engine, versions, plan),
        lambda found: [of_target.target_classes(plan, found)],
        needed=True,
    )
    checks += _judged(
        of_target.IDENTIFIERS,
        lambda: _owners(rds, plan),
        lambda found: [of_target.green_identifiers(found, wanted.green)],
        needed=True,
    )
    custom = (_custom([blue.parameter_group]), _custom(one.parameter_group for one in blue.instances))
    key_checks, key = _key(client("kms"), blue)
    checks += key_checks
    own = of_engine.engine_of(blue).own_group
    checks += _quotas(rds, of_target.needed_of_quotas(plan, green, hops, family, custom, own_group=own))
    return checks + permission_checks(client, blue, names, wanted.green, plan, key)


def _orderable(rds: Api, engine: str, versions: Sequence[str], plan: ClonePlan) -> of_target.Orderable:
    classes = sorted({instance["DBInstanceClass"] for instance in plan.instances})
    return {
        (version, name): rds.pages(
            "describe_orderable_db_instance_options",
            "OrderableDBInstanceOptions",
            Engine=engine,
            EngineVersion=version,
            DBInstanceClass=name,
        )
        for version in dict.fromkeys(versions)
        for name in classes
    }


def _owners(rds: Api, plan: ClonePlan) -> dict[str, str]:
    """The instances of the plan whose identifiers exist, and the clusters that they belong to."""
    owners: dict[str, str] = {}
    for identifier in (instance["DBInstanceIdentifier"] for instance in plan.instances):
        answer = rds.find("describe_db_instances", _NO_INSTANCE, DBInstanceIdentifier=identifier)
        for instance in (answer or {}).get("DBInstances") or []:
            owners[identifier] = str(instance.get("DBClusterIdentifier") or "")
    return owners


def _key(kms: Api, blue: Cluster) -> tuple[list[Check], str | None]:
    """What is to be said of the key of blue's storage, and its ARN when it is one of the customer's own."""
    identifier = blue.description.get("KmsKeyId") if blue.description.get("StorageEncrypted") else None
    own: str | None = None

    def judge(found: dict[str, Any] | None) -> list[Check]:
        nonlocal own
        own = identifier if found and found.get("KeyManager") == "CUSTOMER" else None
        return [of_cluster.encryption_key(blue, found)]

    def read() -> dict[str, Any] | None:
        return kms.call("describe_key", KeyId=identifier).get("KeyMetadata") or {} if identifier else None

    return _judged(of_cluster.KEY.of("blue"), read, judge, needed=False), own


def _custom(groups: Iterable[str | None]) -> bool:
    """Whether one of the parameter groups is not the service's own."""
    return any(name and not name.startswith("default.") for name in groups)


def _quotas(rds: Api, needed: Mapping[str, int]) -> list[Check]:
    return _judged(
        of_target.QUOTAS,
        lambda: rds.call("describe_account_attributes").get("AccountQuotas") or [],
        lambda found: [of_target.quotas(found, needed)],
        needed=False,
    )


def _changes(rds: Api, side: str, cluster: Cluster, within: timedelta, *, stops: bool) -> list[Check]:
    """Modifications and maintenance that wait."""
    names = [cluster.identifier, *sorted(cluster.instance_identifiers)]

    def read() -> list[dict[str, Any]]:
        found = rds.pages("describe_pending_maintenance_actions", "PendingMaintenanceActions")
        return [
            {**action, "ResourceIdentifier": resource["ResourceIdentifier"]}
            for resource in found
            if str(resource["ResourceIdentifier"]).rpartition(":")[2] in names
            for action in resource.get("PendingMaintenanceActionDetails") or []
        ]

    now = datetime.now(UTC)
    return [
        of_cluster.pending_changes(side, cluster, stops=stops),
        *_judged(
            of_cluster.MAINTENANCE.of(side),
            read,
            lambda found: [of_cluster.maintenance(side, cluster, found, now, within, stops=stops)],
            needed=False,
        ),
    ]


def _around(rds: Api, wanted: Wanted, blue: Cluster) -> list[Check]:
    return [
        *_judged(
            around.MANAGED,
            lambda: rds.pages("describe_blue_green_deployments", "BlueGreenDeployments"),
            lambda found: [around.managed_blue_green(blue, found)],
            needed=True,
        ),
        *_judged(
            around.PROXIES,
            lambda: _proxies(rds, of_engine.engine_of(blue).family),
            lambda found: [around.proxies(blue, wanted.green, wanted.blue_host, found)],
            needed=False,
        ),
    ]


def _proxies(rds: Api, family: str) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    return [
        (proxy, rds.pages("describe_db_proxy_targets", "Targets", _NO_PROXY_TARGET, DBProxyName=proxy["DBProxyName"]))
        for proxy in rds.pages("describe_db_proxies", "DBProxies")
        if proxy.get("EngineFamily") == family
    ]


def _integrations(rds: Api, blue: Cluster) -> list[Check]:
    return _judged(
        around.INTEGRATIONS,
        lambda: rds.pages("describe_integrations", "Integrations"),
        lambda found: [around.integrations(blue, found)],
        needed=False,
    )


def _network(ec2: Api, blue: Cluster, green_groups: Iterable[str]) -> list[Check]:
    blue_groups = {group["VpcSecurityGroupId"] for group in blue.description.get("VpcSecurityGroups") or []}
    members = sorted({*blue_groups, *green_groups})
    return _judged(
        around.NETWORK,
        lambda: ec2.pages("describe_security_groups", "SecurityGroups", GroupIds=members),
        lambda found: [around.security_groups(blue, found, green_groups)],
        needed=False,
    )
