# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Guardrails about one cluster: each a pure function of its description."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from .._core.checks import Check
from .clusters import IN_SYNC, PENDING_REBOOT, Cluster, Instance
from .readiness_engine import engine_of
from .readiness_topic import GUIDE, Topic, some

STATUS = Topic("status", GUIDE + "accessing-monitoring.html")
PARAMETER_STATUS = Topic("parameter_status", GUIDE + "USER_WorkingWithDBClusterParamGroups.html")
PENDING = Topic("pending_changes", GUIDE + "Aurora.Modifying.html")
MAINTENANCE = Topic("maintenance", GUIDE + "USER_UpgradeDBInstance.Maintenance.html")
PROTECTION = Topic("deletion_protection", GUIDE + "USER_DeleteCluster.html")
BACKUPS = Topic("backups", GUIDE + "Aurora.Managing.Backups.html")
KEY = Topic("encryption_key", GUIDE + "Overview.Encryption.html")
PASSWORD = Topic("master_password", GUIDE + "rds-secrets-manager.html")

_UP = ("available", "backing-up")
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WEEK = timedelta(days=7)

Action = Mapping[str, Any]


def status(side: str, cluster: Cluster, *, readers_stop: bool) -> Check:
    """The cluster and its writer are available; readers too when ``readers_stop``, else they are warned of."""
    topic = STATUS.of(side)
    writer = next((one for one in cluster.instances if one.is_writer), None)
    wait = f"aws rds wait db-cluster-available --db-cluster-identifier {cluster.identifier}"
    if cluster.status not in _UP:
        remedy = f"aws rds start-db-cluster --db-cluster-identifier {cluster.identifier}"
        return topic.failed(
            f"the DB cluster {cluster.identifier} must be available, but is {cluster.status}",
            remedy if cluster.status == "stopped" else wait,
        )
    if writer is None or writer.status not in _UP:
        found = f"{writer.identifier} is {writer.status}" if writer else "it has none"
        return topic.failed(
            f"the writer of {cluster.identifier} must be available, but {found}",
            f"aws rds wait db-instance-available --db-instance-identifier {writer.identifier}"
            if writer
            else "give the cluster an instance; one without any can be neither cloned nor connected to",
        )
    down = [f"{one.identifier} ({one.status})" for one in cluster.instances if one.status not in _UP]
    if down:
        answer = topic.failed if readers_stop else topic.warning
        return answer(f"every reader of {cluster.identifier} should be available, but not: {some(down)}", wait)
    if cluster.status != "available":
        return topic.warning(f"the DB cluster {cluster.identifier} is {cluster.status}", wait)
    return topic.ok(f"{cluster.identifier} and its {len(cluster.instances)} instances are available")


def parameter_status(side: str, cluster: Cluster, *, stops: bool) -> Check:
    """No instance waits for a reboot; ``stops`` false only warns, and readers that wait only ever warn."""
    topic = PARAMETER_STATUS.of(side)
    behind = [one for one in cluster.instances if one.parameter_group_status != IN_SYNC]
    if not behind:
        return topic.ok(f"the parameter groups of {cluster.identifier} are in sync on every instance")
    reboots = [
        f"aws rds reboot-db-instance --db-instance-identifier {one.identifier}"
        for one in behind
        if one.parameter_group_status == PENDING_REBOOT
    ]
    answer = topic.failed if stops and any(one.is_writer for one in behind) else topic.warning
    return answer(
        f"the parameter groups of {cluster.identifier} must be in sync, but "
        + some(f"{one.identifier} is {one.parameter_group_status}" for one in behind),
        "; ".join(reboots) or "wait until they are applied",
    )


def pending_changes(side: str, cluster: Cluster, *, stops: bool) -> Check:
    """Nothing was modified that waits for a maintenance window; an engine version that waits always stops."""
    topic = PENDING.of(side)
    found = {
        owner: sorted(name for name, value in values.items() if value not in (None, {}, []))
        for owner, values in _pending_values(cluster)
    }
    waiting = [f"{owner}: {', '.join(names)}" for owner, names in found.items() if names]
    if not waiting:
        return topic.ok(f"no modification of {cluster.identifier} waits")
    upgrade = any("EngineVersion" in names for names in found.values())
    answer = topic.failed if stops or upgrade else topic.warning
    return answer(
        f"no modification of {cluster.identifier} should wait for its maintenance window, but found {some(waiting)}",
        "apply it now with modify-db-cluster or modify-db-instance --apply-immediately, or modify it back",
    )


def maintenance(
    side: str, cluster: Cluster, actions: Sequence[Action], now: datetime, within: timedelta, *, stops: bool
) -> Check:
    """No maintenance is applied to the cluster from now until ``within``; ``actions`` are the pending ones.

    ``actions`` have ``ResourceIdentifier`` beside the members of PendingMaintenanceAction. What is due ``stops``, or warns.
    """
    topic = MAINTENANCE.of(side)
    due = [one for one in actions if _due(one, now + within)]
    if due:
        answer = topic.failed if stops else topic.warning
        return answer(
            f"no maintenance should be due on {cluster.identifier}, but found {some(_named(one) for one in due)}",
            "let it happen first, or put it off: aws rds apply-pending-maintenance-action --opt-in-type undo-opt-in .., or "
            "move the maintenance window with --preferred-maintenance-window",
        )
    windows = [f"{owner} {window}" for owner, window in _windows(cluster) if opens_within(window, now, within)]
    upgrades = [one.identifier for one in cluster.instances if one.description.get("AutoMinorVersionUpgrade")]
    if windows and (actions or upgrades):
        waits = some(_named(one) for one in actions) if actions else f"minor upgrades are automatic on {some(upgrades)}"
        return topic.warning(
            f"a maintenance window of {cluster.identifier} comes soon ({some(windows)} UTC), and {waits}",
            "move the window with --preferred-maintenance-window, or set --no-auto-minor-version-upgrade, until the "
            "deployment is over",
        )
    if actions:
        return topic.warning(
            f"maintenance of {cluster.identifier} is pending: {some(_named(one) for one in actions)}",
            "aws rds apply-pending-maintenance-action, at a time of your choice and outside of the switchover",
        )
    return topic.ok(f"no maintenance of {cluster.identifier} is pending")


def opens_within(window: str, now: datetime, within: timedelta) -> bool:
    """Whether a window such as ``sun:05:12-sun:05:42`` (UTC) is open now or opens within that time; an unknown form is."""
    try:
        start, end = (_of_week(part) for part in window.split("-"))
    except ValueError:
        return True
    at = timedelta(days=now.weekday(), hours=now.hour, minutes=now.minute)
    return (at - start) % _WEEK < (end - start) % _WEEK or (start - at) % _WEEK <= within


def blue_protection(blue: Cluster) -> Check:
    """Nobody deletes blue by mistake while a copy of it is around."""
    topic = PROTECTION.of("blue")
    if blue.description.get("DeletionProtection"):
        return topic.ok(f"{blue.identifier} is protected against deletion")
    return topic.warning(f"{blue.identifier} is not protected against deletion", _protect(blue))


def green_protection(blue: Cluster, green: Cluster) -> Check:
    """Green, which is about to be production, is protected when blue is."""
    topic = PROTECTION.of("green")
    if green.description.get("DeletionProtection") or not blue.description.get("DeletionProtection"):
        return topic.ok(f"{green.identifier} is protected against deletion as blue is")
    return topic.failed(
        f"{green.identifier} is to serve production and must be protected against deletion as {blue.identifier} is, but is not",
        _protect(green),
    )


def backups(side: str, cluster: Cluster, at_least: int = 1) -> Check:
    """Backups are kept, for ``at_least`` so many days."""
    topic = BACKUPS.of(side)
    days = int(cluster.description.get("BackupRetentionPeriod") or 0)
    remedy = (
        f"aws rds modify-db-cluster --db-cluster-identifier {cluster.identifier} --backup-retention-period {at_least} "
        "--apply-immediately"
    )
    if days < 1:
        return topic.failed(f"{cluster.identifier} must have backups, but keeps none", remedy)
    if days < at_least:
        return topic.warning(f"{cluster.identifier} keeps backups for {days} days, blue for {at_least}", remedy)
    return topic.ok(f"{cluster.identifier} keeps backups for {days} days")


def master_password(blue: Cluster) -> Check:
    """A master password that Secrets Manager changes on blue is not changed on green, which has it from the clone."""
    topic = PASSWORD.of("blue")
    secret = blue.description.get("MasterUserSecret")
    if not secret:
        return topic.ok(f"the master password of {blue.identifier} is not managed by Secrets Manager")
    arn, state = secret.get("SecretArn", ""), secret.get("SecretStatus", "unknown")
    if blue.description.get("GlobalClusterIdentifier"):
        return topic.failed(
            f"{blue.identifier} is in a global database and its master password is managed by Secrets Manager, which do not go "
            "together",
            "aws rds modify-db-cluster --no-manage-master-user-password --master-user-password ..",
        )
    if state != "active":
        return topic.failed(
            f"the managed secret of the master user of {blue.identifier} must be active, but is {state}: the password may "
            "change between blue and its clone",
            "wait until the rotation is over; an impaired secret needs its KMS key and its cluster mended",
        )
    return topic.warning(
        f"Secrets Manager rotates the master password of {blue.identifier} ({arn}), but green keeps the one of the clone: after "
        "a rotation a login from this secret fails on green",
        f"use a login of its own, {engine_of(blue).admin}, for the deployment, or put the next rotation after it: "
        f"aws secretsmanager rotate-secret --secret-id {arn} --no-rotate-immediately --rotation-rules AutomaticallyAfterDays=..",
    )


def encryption_key(blue: Cluster, key: Mapping[str, Any] | None) -> Check:
    """The key of blue's storage can be used for a clone; ``key`` is KeyMetadata of the KMS API, None without encryption."""
    topic = KEY.of("blue")
    if key is None:
        return topic.ok(f"the storage of {blue.identifier} is not encrypted, nor will green's be")
    state = key.get("KeyState", "unknown")
    if state == "Enabled":
        return topic.ok(f"the KMS key of {blue.identifier} is enabled")
    return topic.failed(
        f"the KMS key of {blue.identifier} must be enabled, or neither can be cloned nor restarted, but is {state}",
        f"aws kms enable-key --key-id {key.get('Arn')}, or cancel-key-deletion before it",
    )


def version(green: Cluster, wanted: str | None) -> Check:
    """Green and every instance of it run the version that was asked for."""
    topic = Topic("green_version", engine_of(green).upgrade_docs)
    target = wanted or green.version
    other = [f"{green.identifier} runs {green.version}"] if green.version != target else []
    other += [f"{one.identifier} runs {one.version}" for one in green.instances if one.version != target]
    if not other:
        return topic.ok(f"{green.identifier} and its instances run {target}")
    return topic.failed(
        f"green must run {target} before it serves, but {some(other)}", f"aurora_upgrade with engine_version={target}"
    )


def _protect(cluster: Cluster) -> str:
    return f"aws rds modify-db-cluster --db-cluster-identifier {cluster.identifier} --deletion-protection --apply-immediately"


def _pending_values(cluster: Cluster) -> list[tuple[str, Mapping[str, Any]]]:
    owners: list[Cluster | Instance] = [cluster, *cluster.instances]
    return [(owner.identifier, owner.description.get("PendingModifiedValues") or {}) for owner in owners]


def _windows(cluster: Cluster) -> list[tuple[str, str]]:
    owners: list[Cluster | Instance] = [cluster, *cluster.instances]
    found = [(owner.identifier, owner.description.get("PreferredMaintenanceWindow")) for owner in owners]
    return [(identifier, str(window)) for identifier, window in found if window]


def _due(action: Action, until: datetime) -> bool:
    at = action.get("CurrentApplyDate")
    return isinstance(at, datetime) and at <= until


def _named(action: Action) -> str:
    resource = str(action.get("ResourceIdentifier", "")).rpartition(":")[2]
    at = action.get("CurrentApplyDate")
    return f"{action.get('Action')} on {resource}" + (f" at {at:%Y-%m-%d %H:%M}" if isinstance(at, datetime) else "")


def _of_week(text: str) -> timedelta:
    day, hour, minute = text.split(":")
    return timedelta(days=_DAYS.index(day.lower()), hours=int(hour), minutes=int(minute))
