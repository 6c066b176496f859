# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What findings amount to, and what a table is given: functions of plain values."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.rule import Finding, Rule, Versions, judge, mend
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql import (
    cluster_rules,
    estate_rules,
    upgrade_rules,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.identity import Bare, Policy, changes, left_over
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.rule import literal, quoted

RULE = Rule("id", "failed", "SELECT 1", "fine", "found", "and then", "https://example")
FOUND = [Finding("shop", "a", "MEND a", "SELECT 1")]
SAME = Versions(16, 16)


@pytest.mark.parametrize(
    ("upgrade", "versions", "status"),
    [
        (None, SAME, "failed"),
        (None, Versions(16, None), "failed"),
        ((18, 18), Versions(16, 18), "failed"),
        ((18, 18), Versions(16, 17), "ok"),
        ((18, 18), Versions(18, 18), "ok"),
        ((18, 18), Versions(18, None), "ok"),
        ((18, 18), Versions(17, None), "warning"),
        ((1000, 0), Versions(16, 17), "failed"),
        ((1000, 0), SAME, "ok"),
    ],
)
def test_a_rule_of_an_upgrade_holds_for_the_versions_that_it_is_about(
    upgrade: tuple[int, int] | None, versions: Versions, status: str
) -> None:
    assert judge(replace(RULE, upgrade=upgrade), FOUND, versions).status == status
    assert judge(replace(RULE, upgrade=upgrade), [], versions).status == "ok"


@pytest.mark.parametrize("status", ["warning", "failed"])
def test_findings_are_named_with_their_database_and_their_statements(status: Literal["warning", "failed"]) -> None:
    check = judge(replace(RULE, status=status), [*FOUND, Finding(None, "b", "", "SELECT 1")], SAME)
    assert (check.status, check.evidence, check.docs) == (status, "found: shop: a, b", "https://example")
    assert check.remedy == "in database shop: MEND a; and then"


def test_statements_are_grouped_by_database_and_the_rest_is_a_query() -> None:
    found = [Finding(database, name, f"MEND {name}", "SELECT 2") for database, name in ("xa", "xb", "yc", "yd", "ye")]
    assert mend(found, "") == (
        "in database x: MEND a; MEND b; in database y: MEND c; 2 more, with their statements, are listed by: SELECT 2"
    )


def test_names_and_texts_are_quoted_for_pasting() -> None:
    assert quoted('Odd "Schema"', "t'") == '"Odd ""Schema"""."t\'"'
    assert literal("it's") == "'it''s'"


def test_every_rule_has_an_id_of_its_own_and_a_document() -> None:
    rules = [
        *cluster_rules.RULES,
        *cluster_rules.UPGRADE_RULES,
        *estate_rules.RULES,
        *estate_rules.GREEN_RULES,
        *upgrade_rules.RULES,
    ]
    assert len({rule.id for rule in rules}) == len(rules)
    assert [rule.id for rule in rules if not rule.docs.startswith("https://")] == []


@pytest.mark.parametrize(
    ("policy", "given"),
    [
        ("refuse", {}),
        ("index", {"indexed": "index one"}),
        ("full", {"indexed": "index one", "whole": "FULL"}),
    ],
)
def test_what_the_policy_gives_and_what_is_left(policy: Policy, given: dict[str, str]) -> None:
    bare = [
        Bare("public", "indexed", "me", "it has none", "d", "one", True),
        Bare("public", "whole", "me", "it has none", "n", None, True),
        Bare("public", "neither", "me", "it has none", "d", None, False),
    ]
    assert {change.table.name: change.after for change in changes(bare, policy)} == given
    assert {one.name for one in left_over(bare, policy)} == {one.name for one in bare} - set(given)
