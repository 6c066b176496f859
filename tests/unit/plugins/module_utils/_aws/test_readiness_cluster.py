# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Guardrails about one cluster: what each says of a description, and which answer stops the step."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._aws import readiness_cluster as rules
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.api import ApiError, Unanswered
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.clusters import Cluster, cluster_of

from .conftest import cluster_shape, instance_shape, member_shape

SATURDAY = datetime(2026, 11, 21, 23, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(hours=24)


def cluster(
    *states: str, cluster_status: str = "available", parameters: dict[str, str] | None = None, **fields: Any
) -> Cluster:
    """A cluster shop with instances in these states, the writer first; ``parameters`` are group statuses by instance."""
    names = [f"shop-{number}" for number, _state in enumerate(states, start=1)]
    groups = parameters or {}
    members = [member_shape(one, writer=one == "shop-1", status=groups.get(one, "in-sync")) for one in names]
    instances = [
        instance_shape(one, DBInstanceStatus=state, **fields.get("each", {}))
        for one, state in zip(names, states, strict=True)
    ]
    more = {name: value for name, value in fields.items() if name != "each"}
    return cluster_of(cluster_shape("shop", members, Status=cluster_status, **more), instances)


@pytest.mark.parametrize(
    ("found", "status", "evidence", "remedy"),
    [
        (cluster("available", "available"), "ok", "shop and its 2 instances are available", ""),
        (
            cluster("available", cluster_status="stopped"),
            "failed",
            "shop must be available, but is stopped",
            "start-db",
        ),
        (cluster("available", cluster_status="upgrading"), "failed", "is upgrading", "wait db-cluster-available"),
        (cluster("available", cluster_status="backing-up"), "warning", "shop is backing-up", "wait"),
        (cluster("rebooting"), "failed", "writer of shop must be available, but shop-1 is rebooting", "shop-1"),
        (cluster(), "failed", "it has none", "give the cluster an instance"),
        (cluster("available", "creating"), "warning", "not: shop-2 (creating)", "wait"),
    ],
)
def test_the_cluster_and_its_writer_must_be_available(found: Cluster, status: str, evidence: str, remedy: str) -> None:
    check = rules.status("blue", found, readers_stop=False)
    assert (check.id, check.status) == ("aws_blue_status", status)
    assert evidence in check.evidence and remedy in check.remedy
    assert check.docs.startswith("https://docs.aws.amazon.com/")


def test_a_reader_that_is_down_stops_the_switchover() -> None:
    assert rules.status("green", cluster("available", "creating"), readers_stop=True).status == "failed"


def test_a_writer_that_waits_for_a_reboot_is_named_with_the_command() -> None:
    found = cluster("available", "available", parameters={"shop-1": "pending-reboot"})
    check = rules.parameter_status("blue", found, stops=True)
    assert check.status == "failed" and "shop-1 is pending-reboot" in check.evidence
    assert check.remedy == "aws rds reboot-db-instance --db-instance-identifier shop-1"
    assert rules.parameter_status("blue", found, stops=False).status == "warning"


def test_a_reader_that_waits_for_a_reboot_is_only_warned_of() -> None:
    found = cluster("available", "available", parameters={"shop-2": "pending-reboot"})
    assert rules.parameter_status("blue", found, stops=True).status == "warning"
    assert rules.parameter_status("blue", cluster("available"), stops=True).status == "ok"


@pytest.mark.parametrize(
    ("pending", "stops", "status"),
    [
        ({}, True, "ok"),
        ({"BackupRetentionPeriod": None}, True, "ok"),
        ({"BackupRetentionPeriod": 7}, False, "warning"),
        ({"BackupRetentionPeriod": 7}, True, "failed"),
        ({"EngineVersion": "16.15"}, False, "failed"),
    ],
)
def test_modifications_that_wait_are_named_and_an_upgrade_always_stops(
    pending: dict[str, Any], stops: bool, status: str
) -> None:
    for found in (
        cluster("available", PendingModifiedValues=pending),
        cluster("available", each={"PendingModifiedValues": pending}),
    ):
        check = rules.pending_changes("blue", found, stops=stops)
        assert check.status == status
        assert status == "ok" or next(iter(pending)) in check.evidence


@pytest.mark.parametrize(
    ("window", "now", "within", "answer"),
    [
        ("sun:05:12-sun:05:42", SATURDAY, DAY, True),
        ("sun:05:12-sun:05:42", SATURDAY, HOUR, False),
        ("sat:22:50-sat:23:20", SATURDAY, HOUR, True),
        ("sat:22:20-sat:22:50", SATURDAY, HOUR, False),
        ("sat:23:45-sun:00:15", SATURDAY + timedelta(minutes=70), HOUR, True),
        ("sun:23:45-mon:00:15", SATURDAY + timedelta(days=1, minutes=55), timedelta(0), True),
        ("whenever", SATURDAY, HOUR, True),
    ],
)
def test_a_maintenance_window_is_told_from_the_time(
    window: str, now: datetime, within: timedelta, answer: bool
) -> None:
    assert rules.opens_within(window, now, within) is answer


def action(**more: Any) -> dict[str, Any]:
    """A pending maintenance action of shop-1."""
    return {"ResourceIdentifier": "arn:aws:rds:eu-central-1:1:db:shop-1", "Action": "system-update", **more}


SOON = cluster("available", PreferredMaintenanceWindow="sat:23:30-sun:00:00", each={"AutoMinorVersionUpgrade": True})
FAR = cluster("available", PreferredMaintenanceWindow="wed:05:00-wed:05:30", each={"AutoMinorVersionUpgrade": True})
MANUAL = cluster("available", PreferredMaintenanceWindow="sat:23:30-sun:00:00")


@pytest.mark.parametrize(
    ("found", "actions", "stops", "status", "evidence"),
    [
        (FAR, [], True, "ok", "no maintenance of shop is pending"),
        (MANUAL, [], True, "ok", "no maintenance"),
        (
            FAR,
            [action(CurrentApplyDate=SATURDAY + HOUR)],
            True,
            "failed",
            "system-update on shop-1 at 2026-11-22 00:00",
        ),
        (FAR, [action(CurrentApplyDate=SATURDAY + HOUR)], False, "warning", "system-update on shop-1"),
        (FAR, [action(CurrentApplyDate=SATURDAY + 2 * HOUR)], True, "warning", "is pending"),
        (FAR, [action()], True, "warning", "is pending: system-update on shop-1"),
        (SOON, [], True, "warning", "shop sat:23:30-sun:00:00 UTC), and minor upgrades are automatic on shop-1"),
        (SOON, [action()], True, "warning", "comes soon"),
    ],
)
def test_maintenance_that_is_due_stops_and_what_may_come_is_warned_of(
    found: Cluster, actions: list[dict[str, Any]], stops: bool, status: str, evidence: str
) -> None:
    check = rules.maintenance("green", found, actions, SATURDAY, HOUR, stops=stops)
    assert check.status == status and evidence in check.evidence


def test_green_must_be_protected_as_blue_is(blue: Callable[..., Cluster], green: Callable[..., Cluster]) -> None:
    protected = blue(DeletionProtection=True)
    assert rules.blue_protection(protected).status == "ok"
    assert rules.blue_protection(blue()).status == "warning"
    check = rules.green_protection(protected, green("shop-pg18-1"))
    assert check.status == "failed" and "--db-cluster-identifier shop-pg18 --deletion-protection" in check.remedy
    assert rules.green_protection(protected, green("shop-pg18-1", DeletionProtection=True)).status == "ok"
    assert rules.green_protection(blue(), green("shop-pg18-1")).status == "ok"


@pytest.mark.parametrize(("days", "status"), [(None, "failed"), (0, "failed"), (1, "warning"), (7, "ok")])
def test_green_must_keep_backups_and_should_keep_them_as_long_as_blue(days: int | None, status: str) -> None:
    assert rules.backups("green", cluster("available", BackupRetentionPeriod=days), 7).status == status


@pytest.mark.parametrize(
    ("fields", "status", "evidence"),
    [
        ({}, "ok", "not managed"),
        ({"MasterUserSecret": {"SecretArn": "arn:x", "SecretStatus": "active"}}, "warning", "a login from this secret"),
        ({"MasterUserSecret": {"SecretArn": "arn:x", "SecretStatus": "rotating"}}, "failed", "but is rotating"),
        (
            {"MasterUserSecret": {"SecretArn": "arn:x", "SecretStatus": "active"}, "GlobalClusterIdentifier": "world"},
            "failed",
            "global database",
        ),
    ],
)
def test_a_master_password_that_is_rotated_on_blue_is_found(fields: dict[str, Any], status: str, evidence: str) -> None:
    check = rules.master_password(cluster("available", **fields))
    assert check.status == status and evidence in check.evidence


@pytest.mark.parametrize(
    ("key", "status"),
    [(None, "ok"), ({"KeyState": "Enabled"}, "ok"), ({"KeyState": "PendingDeletion"}, "failed"), ({}, "failed")],
)
def test_the_key_of_the_storage_must_be_enabled(key: dict[str, Any] | None, status: str) -> None:
    assert rules.encryption_key(cluster("available"), key).status == status


def test_green_and_every_instance_must_run_the_wanted_version(green: Callable[..., Cluster]) -> None:
    assert rules.version(green("shop-pg18-1", EngineVersion="16.14"), "16.14").status == "ok"
    assert rules.version(green("shop-pg18-1"), None).status == "ok"
    check = rules.version(green("shop-pg18-1", EngineVersion="18.4"), "18.4")
    assert check.status == "failed" and check.evidence.endswith("but shop-pg18-1 runs 16.14")
    assert "shop-pg18 runs 16.14" in rules.version(green("shop-pg18-1"), "18.4").evidence


def test_what_could_not_be_looked_at_is_never_ok() -> None:
    denied = ApiError("AWS refused DescribeX: no (AccessDenied); allow this action to the identity.", "AccessDenied")
    check = rules.STATUS.unmade(denied, needed=True)
    assert (check.status, check.remedy) == ("failed", "allow this action to the identity")
    assert check.evidence == "could not be looked at: AWS refused DescribeX: no (AccessDenied)"
    check = rules.STATUS.unmade(Unanswered("AWS did not answer."), needed=False)
    assert (check.status, check.evidence) == ("warning", "could not be looked at: AWS did not answer")
