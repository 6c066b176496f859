# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What must hold on the servers: each guardrail with the sentence of AWS's own solution, what was found and what to do."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.checks import Check
from ansible_collections.bluegreen.aws.plugins.module_utils._neptune.prerequisites import serving_checks

from .fake_side import FakeSide

STREAMS = "Streams should be enabled on the source cluster for blue/green deployment."


def checks(side: FakeSide) -> dict[str, Check]:
    return {check.id: check for check in serving_checks(side.client, "blue", "shop", "propertygraph")}


def test_a_blue_that_is_ready_passes() -> None:
    found = checks(FakeSide(events=[(1, 1), (2, 1)]))
    assert {check.status for check in found.values()} == {"ok"}
    assert "holds 1:1 to 2:1" in found["blue_streams"].evidence


def test_an_empty_stream_is_live() -> None:
    check = checks(FakeSide())["blue_streams"]
    assert (check.status, "is empty" in check.evidence) == ("ok", True)


def test_streams_that_are_off_are_told_in_the_words_of_aws() -> None:
    side = FakeSide(events=[(1, 1)])
    side.off = True
    check = checks(side)["blue_streams"]
    assert check.status == "failed"
    assert check.evidence.startswith(STREAMS)
    assert "neptune_streams=1" in check.remedy and "reboot" in check.remedy


def test_a_bulk_load_stops_and_is_named() -> None:
    side = FakeSide(events=[(1, 1)])
    side.loads = ["load-1", "load-2"]
    check = checks(side)["blue_bulk_load"]
    assert check.status == "failed"
    assert check.evidence.startswith("No bulk load should be in progress on the source cluster shop.")
    assert "load-1, load-2" in check.evidence
    assert "DELETE /loader/" in check.remedy


@pytest.mark.parametrize(
    ("status", "verdict", "words"),
    [
        ({"role": "reader"}, "failed", "should be the cluster's writer, but is a reader"),
        ({"status": "recovery"}, "failed", "should be healthy, but is recovery"),
        ({"rollingBackTrxCount": 3}, "warning", "rolls 3 transactions back"),
        ({}, "ok", "is the writer"),
    ],
)
def test_the_host_is_a_writer_that_is_well(status: dict[str, Any], verdict: str, words: str) -> None:
    check = checks(FakeSide(events=[(1, 1)], **status))["blue_writer"]
    assert (check.status, words in check.evidence) == (verdict, True)
