# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run does first, how a switchover ended, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.bluegreen.aws.plugins.module_utils._clients.metadata import Phase
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError
from ansible_collections.bluegreen.aws.plugins.module_utils._managed.plan import SETTLED, Action, first, verdict
from ansible_collections.bluegreen.aws.plugins.module_utils._managed.switchover import refuse_options

STATUSES = (
    "PROVISIONING",
    "AVAILABLE",
    "SWITCHOVER_IN_PROGRESS",
    "SWITCHOVER_COMPLETED",
    "INVALID_CONFIGURATION",
    "SWITCHOVER_FAILED",
    "DELETING",
)
OPTIONS: dict[str, Any] = {
    "state": "switched_over",
    "databases": None,
    "replication_user": None,
    "replication_password": None,
    "green_db_cluster_parameter_group_name": None,
    "checkpoint_table": None,
    "graph_type": None,
    "writes_stopped": None,
    "quiet_interval": None,
    "expected_differences": [],
    "switchover_timeout": None,
    "gates": [],
}


@pytest.mark.parametrize(
    ("status", "target", "action"),
    [
        ("AVAILABLE", None, Action.CALL),
        ("AVAILABLE", Phase.NOT_CREATED, Action.CALL),
        ("AVAILABLE", Phase.CREATED, Action.CALL),
        ("AVAILABLE", Phase.IN_PROGRESS, Action.WATCH),  # the API is behind the servers
        ("SWITCHOVER_IN_PROGRESS", None, Action.WATCH),
        ("SWITCHOVER_IN_PROGRESS", Phase.CREATED, Action.WATCH),
        ("SWITCHOVER_COMPLETED", Phase.COMPLETED, Action.DONE),
        ("SWITCHOVER_FAILED", None, Action.FAIL),
        ("PROVISIONING", None, Action.REFUSE),
        ("INVALID_CONFIGURATION", Phase.CREATED, Action.REFUSE),
        ("DELETING", None, Action.REFUSE),
        (None, None, Action.REFUSE),
        ("A_STATE_OF_TOMORROW", None, Action.REFUSE),
    ],
)
def test_what_to_do_follows_from_what_is_true_now(status: str | None, target: Phase | None, action: Action) -> None:
    assert first("shop", status, None, target).action is action


@given(st.one_of(st.none(), st.sampled_from(STATUSES)), st.one_of(st.none(), st.sampled_from(Phase)))
def test_the_service_is_called_only_when_it_is_available(status: str | None, target: Phase | None) -> None:
    step = first("shop", status, "why", target)
    if step.action is Action.CALL:
        assert status == "AVAILABLE"
    assert bool(step.reason) == (step.action is Action.REFUSE)


def test_a_refusal_says_the_state_its_details_and_what_to_do() -> None:
    reason = first("shop", "INVALID_CONFIGURATION", "Replication degraded by DDL", None).reason
    assert "shop is in state INVALID_CONFIGURATION (Replication degraded by DDL)" in reason
    assert "create it anew" in reason


@pytest.mark.parametrize(
    ("status", "seen", "seconds", "rows", "outcome"),
    [
        ("SWITCHOVER_IN_PROGRESS", True, 500.0, False, None),
        ("SWITCHOVER_COMPLETED", False, 0.0, False, "switched_over"),
        ("AVAILABLE", False, 1.0, False, None),  # still the state before the call
        ("AVAILABLE", True, 1.0, False, "rolled_back"),
        ("AVAILABLE", False, 1.0, True, "rolled_back"),
        ("AVAILABLE", False, SETTLED, False, "rolled_back"),
        ("SWITCHOVER_FAILED", True, 5.0, False, "failed"),
        ("INVALID_CONFIGURATION", True, 5.0, False, "failed"),
        (None, True, 5.0, False, "failed"),
    ],
)
def test_how_it_ended(status: str | None, seen: bool, seconds: float, rows: bool, outcome: str | None) -> None:
    assert verdict(status, seen_switching=seen, seconds=seconds, rolled_back=rows) == outcome


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"state": "rolled_back"}, "the service has no way back"),
        ({"databases": ["shop"]}, "The option databases means nothing to the engine managed"),
        ({"writes_stopped": False}, "The option writes_stopped means nothing"),
        ({"expected_differences": [{"object": "x"}]}, "The option expected_differences means nothing"),
        ({"switchover_timeout": 29}, "switchover_timeout is 30 to 3600 s"),
        ({"switchover_timeout": 3601}, "but is 3601"),
        ({"gates": [{"type": "haproxy"}, {"type": "route53"}]}, "a gate of type route53"),
    ],
)
def test_what_means_nothing_to_the_service_is_refused_in_one_sentence(more: dict[str, Any], words: str) -> None:
    with pytest.raises(BlueGreenError, match=words) as raised:
        refuse_options({**OPTIONS, **more})
    assert raised.value.message.count(". ") <= 1


def test_what_it_can_do_is_not_refused() -> None:
    refuse_options({**OPTIONS, "switchover_timeout": 30, "gates": [{"type": "pgbouncer"}, {"type": "haproxy"}]})
