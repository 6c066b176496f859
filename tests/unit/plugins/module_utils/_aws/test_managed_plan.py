# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of a deployment that RDS manages: whatever is found, it ends where it is wanted and does nothing dangerous on the way."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._aws import managed
from ansible_collections.bluegreen.aws.plugins.module_utils._aws.managed_plan import (
    Existing,
    Making,
    Removal,
    Step,
    absent_steps,
    dead_end,
    present_steps,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from tests.unit.plugins.module_utils._aws.test_managed import BLUE, GREEN, shape

STATUSES = (
    None,
    "PROVISIONING",
    "AVAILABLE",
    "SWITCHOVER_IN_PROGRESS",
    "SWITCHOVER_COMPLETED",
    "SWITCHOVER_FAILED",
    "INVALID_CONFIGURATION",
    "DELETING",
)
BOOL = (False, True)
MAKINGS = [Making(*one) for one in itertools.product(STATUSES, BOOL, BOOL)]
EXISTINGS = [Existing(*one) for one in itertools.product(STATUSES, BOOL, BOOL, BOOL, BOOL, BOOL)]
REMOVALS = [Removal(*one) for one in itertools.product(BOOL, BOOL, BOOL, BOOL)]


def done(found: Making, step: Step) -> Making:
    """The world after a step, as the service has it."""
    return {
        Step.WAIT_GONE: replace(found, status=None),
        Step.CREATE: Making("PROVISIONING"),
        Step.WAIT: replace(found, status="AVAILABLE", settled=True),
        Step.REBOOT_GREEN: replace(found, pending_reboot=False),
    }[step]


def gone(found: Existing, step: Step) -> Existing:
    return {
        Step.PROTECT_TARGET: replace(found, target_protected=True),
        Step.UNPROTECT_TARGET: replace(found, target_protected=False),
        Step.DELETE_SOURCE: replace(found, source_there=False),
        Step.FENCE_SOURCE: replace(found, source_fenced=True),
        Step.DELETE: replace(found, status="DELETING"),
        Step.WAIT_GONE: replace(found, status=None),
    }[step]


def removals() -> list[tuple[Existing, Removal, tuple[Step, ...]]]:
    """Every removal that is not refused."""
    allowed = []
    for found, wanted in itertools.product(EXISTINGS, REMOVALS):
        try:
            allowed.append((found, wanted, absent_steps(found, wanted)))
        except BlueGreenError:
            continue
    return allowed


@pytest.mark.parametrize("reboot", BOOL)
def test_the_first_steps_one_after_the_other_end_with_nothing_to_do(reboot: bool) -> None:
    for start in MAKINGS:
        found = start
        for _turn in range(6):
            steps = present_steps(found, reboot_green=reboot)
            if not steps:
                break
            found = done(found, steps[0])
        assert present_steps(found, reboot_green=reboot) == (), start


def test_a_deployment_that_is_there_is_never_made_again() -> None:
    for found in MAKINGS:
        if found.status not in (None, "DELETING"):
            assert Step.CREATE not in present_steps(found, reboot_green=True), found


def test_green_is_rebooted_only_when_it_is_settled_waits_for_it_and_that_is_allowed() -> None:
    for found, allowed in itertools.product(MAKINGS, BOOL):
        wanted = found.status == "AVAILABLE" and found.settled and found.pending_reboot and allowed
        assert (Step.REBOOT_GREEN in present_steps(found, reboot_green=allowed)) is wanted, found


def test_a_removal_that_is_killed_after_any_step_goes_on_from_there() -> None:
    for start, wanted, steps in removals():
        found = start
        for number, step in enumerate(steps):
            assert absent_steps(found, wanted) == steps[number:], (start, wanted)
            found = gone(found, step)
        assert absent_steps(found, wanted) == (), (start, wanted)


def test_old_production_is_gone_or_closed_before_the_deployment_goes_unless_told_otherwise() -> None:
    for start, wanted, steps in removals():
        if start.status != "SWITCHOVER_COMPLETED" or not wanted.fence_source:
            continue
        found = start
        for step in steps:
            if step is Step.DELETE:
                assert not found.source_there or found.source_fenced, (start, wanted)
            found = gone(found, step)


def test_production_is_never_deleted_and_never_loses_its_protection() -> None:
    for found, wanted, steps in removals():
        if found.status == "SWITCHOVER_COMPLETED":
            assert Step.UNPROTECT_TARGET not in steps
            assert not wanted.delete_target
        else:
            assert Step.DELETE_SOURCE not in steps, (found, wanted)


def test_what_is_protected_is_deleted_only_when_the_protection_may_be_lifted() -> None:
    for found, wanted, steps in removals():
        if Step.DELETE_SOURCE in steps and found.source_protected:
            assert wanted.unprotect
        if wanted.delete_target and Step.DELETE in steps and found.target_there and found.target_protected:
            assert Step.UNPROTECT_TARGET in steps
            assert wanted.unprotect


def test_new_production_is_protected_when_old_production_was() -> None:
    found = Existing("SWITCHOVER_COMPLETED", source_protected=True)
    assert absent_steps(found, Removal())[0] is Step.PROTECT_TARGET


@pytest.mark.parametrize(
    ("found", "wanted", "said"),
    [
        (Existing("SWITCHOVER_IN_PROGRESS"), Removal(), "its switchover goes on"),
        (Existing("SWITCHOVER_COMPLETED"), Removal(delete_target=True), "the target is production now"),
        (Existing("AVAILABLE"), Removal(delete_source=True), "its source is production"),
        (Existing("SWITCHOVER_FAILED"), Removal(delete_target=True), "green may be what serves"),
        (Existing("AVAILABLE", target_protected=True), Removal(delete_target=True), "green is protected"),
        (
            Existing("SWITCHOVER_COMPLETED", source_protected=True),
            Removal(delete_source=True),
            "old production is protected",
        ),
    ],
)
def test_what_is_refused_says_why(found: Existing, wanted: Removal, said: str) -> None:
    with pytest.raises(BlueGreenError, match=said):
        absent_steps(found, wanted)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"status": "AVAILABLE"}, None),
        ({"status": "INVALID_CONFIGURATION"}, "configuration is invalid"),
        ({"status": "SWITCHOVER_FAILED"}, "its switchover failed"),
        ({"Tasks": [{"Name": "DB_ENGINE_VERSION_UPGRADE", "Status": "FAILED"}]}, "DB_ENGINE_VERSION_UPGRADE failed"),
        (
            {"SwitchoverDetails": [{"SourceMember": BLUE, "TargetMember": GREEN, "Status": "MISSING_TARGET"}]},
            "shop is MISSING_TARGET",
        ),
        ({"SwitchoverDetails": [{"SourceMember": BLUE, "Status": "MISSING_SOURCE"}]}, "shop is MISSING_SOURCE"),
    ],
)
def test_what_does_not_end_by_itself_is_told(fields: dict[str, Any], said: str | None) -> None:
    found = dead_end(managed.deployment_of(shape(**fields)))
    assert found is None if said is None else said in str(found)
