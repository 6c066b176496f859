# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Guardrails of a deployment that RDS manages, on the control plane; each a pure function of descriptions.

The service's own error messages are kept word for word, so that who looks for one finds its check.
Sources: Amazon RDS and Aurora User Guides, "Limitations and considerations for blue/green deployments".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .._core.checks import Check
from . import managed_wait
from .clusters import IN_SYNC, PENDING_REBOOT
from .managed import AVAILABLE, DELETING, SWITCHED, Deployment, Place
from .managed_plan import dead_end, remedy
from .parameter_groups import CLUSTER, INSTANCE, Group
from .readiness_topic import GUIDE, Topic, some
from .upgrade import Versions, version_key

RDS_GUIDE = "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/"
_CONSIDERATIONS = GUIDE + "blue-green-deployments-considerations.html"
_CREATING = GUIDE + "blue-green-deployments-creating.html"
_SWITCHING = GUIDE + "blue-green-deployments-switching.html"

SOURCE = Topic("source", _CONSIDERATIONS)
VERSION = Topic("blue_version", _CONSIDERATIONS)
LOG = Topic("blue_parameters", _CREATING)
IN_SYNC_TOPIC = Topic("blue_parameter_status", _CREATING)
STATUS = Topic("blue_status", _CREATING)
BACKUPS = Topic("blue_backups", _CREATING)
PASSWORD = Topic("blue_master_password", _CONSIDERATIONS)
REPLICAS = Topic("blue_replicas", _CONSIDERATIONS)
STACK = Topic("blue_cloudformation", _CONSIDERATIONS)
DEPLOYMENT = Topic("deployment", _CREATING)
TARGET = Topic("target_version", _CREATING)
GROUPS = Topic("target_parameter_groups", _CREATING)
GREEN = Topic("green_members", _SWITCHING)
REPLICATION = Topic("green_replication", _SWITCHING)
PROTECTION = Topic("green_deletion_protection", _SWITCHING)
SIZE = Topic("green_size", _SWITCHING)

NO_BINLOG = "Blue Green Deployments requires cluster parameter group has binlog enabled."
NO_LOGICAL = (
    "Blue/Green Deployments require a {0} with logical replication enabled. Before you create a Blue/Green Deployment for a {0}, "
    "associate the {0} with a custom {0} parameter group that enables logical replication."
)
CUSTOM_GROUP = "The current {kind} {name} is custom. You must explicitly specify a new {kind}"
_MYSQL = ("aurora-mysql", "mysql", "mariadb")
_LOGICAL = "rds.logical_replication"
# From which minor of each major the service takes a PostgreSQL (for RDS only with a major upgrade, which is logical).
_POSTGRESQL = {11: 21, 12: 16, 13: 12, 14: 9, 15: 4, 16: 1, 17: 4}
# From which version RDS makes deployments of instances at all.
_OLDEST = {"mysql": (5, 7), "mariadb": (10, 2), "postgres": (11, 1)}
_ENGINES = ("aurora-mysql", "aurora-postgresql", "mysql", "mariadb", "postgres")


def log_parameter(blue: Place, *, major: bool) -> tuple[str, tuple[str, ...]] | None:
    """What turns blue's log of changes on, and the values with which it is; None when nothing has to be set.

    RDS for MySQL has its binary log with backups; RDS for PostgreSQL replicates physically unless the major version changes.
    """
    if blue.engine == "aurora-mysql":
        return "binlog_format", ("ROW", "MIXED", "STATEMENT")
    if blue.engine == "aurora-postgresql" or (blue.engine == "postgres" and major):
        return _LOGICAL, ("1", "ON", "TRUE")
    return None


def source(blue: Place, wanted: str = "") -> Check:
    """The service makes a deployment of such a source at all."""
    mode = blue.description.get("EngineMode") or "provisioned"
    why = ""
    if blue.engine not in _ENGINES:
        why = f"its engine is {blue.engine}, which it does not know"
    elif blue.is_cluster and not blue.engine.startswith("aurora"):
        why = "it is a Multi-AZ DB cluster"
    elif mode == "serverless":
        why = "it is Aurora Serverless v1"
    elif not blue.is_cluster and blue.description.get("DBClusterIdentifier"):
        why = f"it is an instance of the DB cluster {blue.description['DBClusterIdentifier']}, which is what has to be named"
    elif not blue.is_cluster and blue.description.get("ReadReplicaSourceDBInstanceIdentifier"):
        why = f"it is a read replica of {blue.description['ReadReplicaSourceDBInstanceIdentifier']}"
    elif blue.is_cluster and not any(one.is_writer for one in blue.members):
        why = "it has no writer"
    elif wanted and not blue.engine.endswith(wanted):
        why = f"its engine is {blue.engine}, not {wanted}"
    if why:
        return SOURCE.failed(
            f"RDS should manage a blue/green deployment of {blue.identifier}, but {why}", "name another source"
        )
    return SOURCE.ok(f"{blue.identifier} is of {blue.engine}, of which RDS manages blue/green deployments")


def version(blue: Place, *, major: bool) -> Check:
    """Blue's own version is one that the service can replicate from."""
    oldest = _OLDEST.get(blue.engine, ())
    if version_key(blue.version) < oldest:
        return VERSION.failed(
            f"RDS makes blue/green deployments of {blue.engine} since {'.'.join(map(str, oldest))}, but {blue.identifier} runs "
            f"{blue.version}",
            "upgrade blue first",
        )
    if blue.engine not in ("aurora-postgresql", "postgres"):
        return VERSION.ok(f"{blue.engine} {blue.version} can be replicated from")
    number = version_key(blue.version)
    least = _POSTGRESQL.get(number[0], 0 if number[0] > max(_POSTGRESQL) else 10**6)
    logical = blue.is_cluster or major
    if logical and (number[1] if len(number) > 1 else 0) < least:
        since = f"{number[0]}.{least}" if number[0] in _POSTGRESQL else "11.21"
        return VERSION.failed(
            f"PostgreSQL {number[0]} can be replicated from since {since}, but {blue.identifier} runs {blue.version}",
            "upgrade blue's minor version first",
        )
    if not logical:
        return VERSION.warning(
            f"without a new major version green of {blue.identifier} is a physical replica: strictly read-only, nothing can be changed "
            "on it before the switchover",
            "nothing, when nothing is to be changed there",
        )
    return VERSION.ok(f"{blue.engine} {blue.version} can be replicated from")


def status(blue: Place) -> Check:
    """Blue and every member of it is available: the service refuses to begin otherwise."""
    down = [f"{one.identifier} ({one.status})" for one in blue.members if one.status != "available"]
    if blue.status != "available" or down:
        return STATUS.failed(
            f"{blue.identifier} and its instances must be available, but found {some(down) or blue.status}",
            "wait for it: aws rds wait db-instance-available --db-instance-identifier ..",
        )
    return STATUS.ok(f"{blue.identifier} and its {len(blue.members)} instances are available")


def log(blue: Place, group: Group | None, values: Mapping[str, str], *, major: bool) -> Check:
    """Blue's own parameter group turns the log of changes on; ``values`` are the user-set ones of ``group``."""
    needed = log_parameter(blue, major=major)
    if needed is None or group is None:
        return LOG.ok(f"{blue.engine} needs no parameter for the replication to green")
    name, accepted = needed
    said = (
        NO_BINLOG if name == "binlog_format" else NO_LOGICAL.format("DB cluster" if blue.is_cluster else "DB instance")
    )
    best = accepted[0]
    kind = "cluster-" if blue.is_cluster else ""
    if group.is_default:
        return LOG.failed(
            f"{said.rstrip('.')}; found {group.name}, which cannot be modified, on {blue.identifier}",
            f"aws rds create-db-{kind}parameter-group --db-parameter-group-family {group.family} .., attach it to "
            f"{blue.identifier}, set {name}={best} in it and reboot the writer",
        )
    found = values.get(name, "")
    if found.upper() not in accepted:
        return LOG.failed(
            f"{said.rstrip('.')}; found {name} {found or 'not set'} in {group.name}",
            f"rds_blue_green with prepare=true and reboot_blue=true; or aws rds modify-db-{kind}parameter-group "
            f"--db-{kind}parameter-group-name {group.name} --parameters ParameterName={name},ParameterValue={best},"
            "ApplyMethod=pending-reboot, then reboot the writer",
        )
    if found.upper() != best and name == "binlog_format":
        return LOG.warning(
            f"{name} is {found} in {group.name}; ROW is what the service recommends", f"set {name}=ROW in {group.name}"
        )
    return LOG.ok(f"{name} is {found} in {group.name}")


def in_sync(blue: Place) -> Check:
    """No instance of blue waits for a reboot; the writer's has to be in sync or the creation fails."""
    behind = [one for one in blue.members if one.parameter_group_status != IN_SYNC]
    if not behind:
        return IN_SYNC_TOPIC.ok(f"the parameter groups of {blue.identifier} are in sync on every instance")
    answer = IN_SYNC_TOPIC.failed if any(one.is_writer for one in behind) else IN_SYNC_TOPIC.warning
    return answer(
        f"the parameter groups of {blue.identifier} must be in sync, or the creation fails, but "
        + some(f"{one.identifier} is {one.parameter_group_status}" for one in behind),
        "; ".join(
            f"aws rds reboot-db-instance --db-instance-identifier {one.identifier}"
            for one in behind
            if one.parameter_group_status == PENDING_REBOOT
        )
        or "wait until they are applied",
    )


def backups(blue: Place) -> Check:
    """Backups are kept: RDS makes green from one."""
    days = int(blue.description.get("BackupRetentionPeriod") or 0)
    if days < 1:
        kind = "cluster" if blue.is_cluster else "instance"
        return BACKUPS.failed(
            f"Blue/Green Deployments require a DB {kind} with automated backups enabled, but {blue.identifier} keeps none",
            f"aws rds modify-db-{kind} --db-{kind}-identifier {blue.identifier} --backup-retention-period 7 --apply-immediately",
        )
    return BACKUPS.ok(f"{blue.identifier} keeps backups for {days} days")


def master_password(blue: Place) -> Check:
    """The master password is not one that Secrets Manager manages."""
    if blue.description.get("MasterUserSecret"):
        kind = "cluster" if blue.is_cluster else "instance"
        return PASSWORD.failed(
            "Blue/Green Deployments don't support managing the master user password in AWS Secrets Manager, but "
            f"{blue.identifier} has it so",
            f"aws rds modify-db-{kind} --db-{kind}-identifier {blue.identifier} --no-manage-master-user-password "
            "--master-user-password ..",
        )
    return PASSWORD.ok(f"the master password of {blue.identifier} is not managed by Secrets Manager")


def replicas(blue: Place) -> Check:
    """No replica in another Region and no replica of a replica hangs on blue."""
    home = blue.arn.split(":")[3]
    world = blue.description.get("GlobalClusterIdentifier")  # whose other members are no replicas in this sense
    always = ("ReadReplicaDBInstanceIdentifiers", "ReadReplicaDBClusterIdentifiers")
    names = [
        str(name)
        for key in (*always, *(() if world else ("ReadReplicaIdentifiers",)))
        for name in blue.description.get(key) or []
    ]
    far = [name for name in names if name.startswith("arn:") and name.split(":")[3] != home]
    below = [
        f"{name} (of {one.identifier})"
        for one in blue.members
        if not one.is_writer
        for name in one.description.get("ReadReplicaDBInstanceIdentifiers") or []
    ]
    external = None if world else blue.description.get("ReplicationSourceIdentifier")
    if far or below or external:
        found = [*far, *below, *([f"{blue.identifier} is a replica of {external}"] if external else [])]
        return REPLICAS.failed(
            f"{blue.identifier} must have no replica in another Region, none below a replica, and be none itself, but found "
            + some(found),
            "promote or delete the replica for the time of the deployment",
        )
    return REPLICAS.ok(f"{blue.identifier} has no replica in another Region and is none itself")


def cloudformation(blue: Place) -> Check:
    """No CloudFormation stack manages blue: it would see a drift, and cannot follow the names."""
    tags = {one["Key"]: one["Value"] for one in blue.description.get("TagList") or []}
    stack = tags.get("aws:cloudformation:stack-name")
    if stack:
        return STACK.failed(
            f"CloudFormation cannot manage the databases of a blue/green deployment, but {blue.identifier} is in the stack {stack}",
            "take the resource out of the stack first, with DeletionPolicy Retain",
        )
    return STACK.ok(f"no CloudFormation stack manages {blue.identifier}")


def target_version(versions: Versions, blue: Place, wanted: str | None) -> Check:
    """Green's version is one that blue's can be upgraded to in one step."""
    if not wanted or wanted == blue.version:
        return TARGET.ok(f"green keeps {blue.version}")
    targets = versions[blue.version].targets if blue.version in versions else {}
    if wanted in targets:
        return TARGET.ok(f"{blue.version} -> {wanted}" + (", a major upgrade" if targets[wanted] else ""))
    older = version_key(wanted) < version_key(blue.version)
    why = "is lower than blue's, which green's never is" if older else "is no upgrade target of blue's"
    return TARGET.failed(
        f"green should have {wanted}, but that {why} ({blue.version})",
        "choose one of " + (", ".join(sorted(targets, key=version_key)) or "none: blue's is the newest"),
    )


def is_major(versions: Versions, blue: Place, wanted: str | None) -> bool:
    """Whether the way from blue's version to the wanted one is a major upgrade."""
    return bool(wanted and blue.version in versions and versions[blue.version].targets.get(wanted))


def deployment(found: Deployment | None, blue: Place, name: str) -> Check:
    """Blue is in no other deployment: a source can have one only."""
    if found is None or found.status == DELETING:
        return DEPLOYMENT.ok(f"{blue.identifier} is in no blue/green deployment")
    if found.name == name:
        return DEPLOYMENT.ok(f"the deployment {name} ({found.identifier}) of {blue.identifier} is {found.status}")
    answer = DEPLOYMENT.warning if found.switched else DEPLOYMENT.failed
    return answer(
        f"{blue.identifier} can be in one blue/green deployment only, but is in {found.name} ({found.identifier}), which is {found.status}",
        f"go on with deployment_id {found.name}, or aws rds delete-blue-green-deployment --blue-green-deployment-identifier "
        f"{found.identifier}",
    )


def switchable(found: Deployment | None, name: str) -> Check:
    """The deployment can be switched over."""
    if found is None:
        return DEPLOYMENT.failed(f"there should be a blue/green deployment {name}, but there is none", "rds_blue_green")
    wrong = dead_end(found)
    details = f", {found.status_details}" if found.status_details else ""
    if wrong:
        return DEPLOYMENT.failed(
            f"the deployment {name} ({found.identifier}) is {found.status}{details}: {wrong}", remedy(found)
        )
    if found.status == SWITCHED:
        return DEPLOYMENT.warning(f"the switchover of {name} ({found.identifier}) is over", "nothing, or state=absent")
    if found.status != AVAILABLE:
        return DEPLOYMENT.failed(
            f"the deployment {name} ({found.identifier}) must be AVAILABLE, but is {found.status}", "wait for it"
        )
    return DEPLOYMENT.ok(f"the deployment {name} ({found.identifier}) is AVAILABLE")


def green_members(green: Place | None) -> Check:
    """Every member of green is available and in sync: the service says of the others that they are not in available state."""
    if green is None:
        return GREEN.failed("green should be there, but it is not", "look at the deployment's events, and make it anew")
    late = managed_wait.members_in_words(green)
    if late:
        pending = managed_wait.pending(green)
        return GREEN.failed(
            f"every member of green must be available and in sync, but found {late}",
            "; ".join(f"aws rds reboot-db-instance --db-instance-identifier {one}" for one in pending) or "wait for it",
        )
    return GREEN.ok(f"{green.identifier} and its {len(green.members)} instances are available and in sync")


def green_replication(seen: managed_wait.Seen) -> Check:
    """Green follows blue, as far as the service tells."""
    broken = managed_wait.replication_error(seen)
    if broken:
        return REPLICATION.failed(
            f"Correct the replication errors and then switch over: {broken.rstrip('.')}", managed_wait.mend(broken)
        )
    return REPLICATION.ok("the service tells of no replication error")


def protection(blue: Place, green: Place) -> Check:
    """Green, which is about to be production, is protected against deletion when blue is."""
    if green.description.get("DeletionProtection") or not blue.description.get("DeletionProtection"):
        return PROTECTION.ok("green is protected against deletion as blue is")
    return PROTECTION.warning(
        f"{green.identifier} is not protected against deletion, {blue.identifier} is",
        "set it on green, or after the switchover on new production: --deletion-protection --apply-immediately",
    )


def size(blue: Place, green: Place) -> Check:
    """Green has as many members as blue, none of a smaller kind that is seen."""
    if len(green.members) >= len(blue.members):
        return SIZE.ok(f"green has {len(green.members)} instances, blue {len(blue.members)}")
    return SIZE.failed(
        f"green has {len(green.members)} instances, blue {len(blue.members)}: those that lack would be left behind on old blue",
        "the topology of blue has changed since; delete the deployment and make it anew",
    )


def custom_groups(blue: Place, given: Sequence[str], prepared: bool) -> Check:
    """A custom group of another family is named for green: the service takes the default one, or refuses."""
    named = [(CLUSTER, blue.parameter_group), *((INSTANCE, name) for name in blue.parameter_groups)]
    missing = [(kind, name) for kind, name in named if name and not name.startswith("default.")]
    if missing and not given and not prepared:
        kind, name = missing[0]
        options = ["target_db_cluster_parameter_group_name"] if blue.is_cluster else []
        return GROUPS.failed(
            CUSTOM_GROUP.format(kind=kind.label, name=name) + ", because green's version has another family",
            f"name {' and '.join([*options, 'target_db_parameter_group_name'])}, or prepare=true has them made",
        )
    return GROUPS.ok("green's parameter groups are known")
