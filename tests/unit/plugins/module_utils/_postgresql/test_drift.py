# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drift: what counts as a change, who made it, and which types take which values."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.drift import Baseline, changes
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.drift_rules import takes
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.drift_tables import literal
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.schema_catalog import (
    ObjectName,
    Schema,
    SchemaObject,
    fingerprints,
)

VIEW = ObjectName("view", "public", "", "v")


def schema(name: ObjectName = VIEW, **facets: Any) -> Schema:
    return {name.key: SchemaObject(name, facets)}


def found(source_was: Schema, source: Schema, target_was: Schema, target: Schema) -> list[tuple[str, str]]:
    baselines = Baseline(160000, fingerprints(source_was)), Baseline(180000, fingerprints(target_was))
    return [(one.what, one.by) for one in changes(baselines[0], source, baselines[1], target)]


def test_a_definition_that_two_versions_write_in_different_words_is_no_change() -> None:
    old, new = schema(definition="SELECT t.a FROM t"), schema(definition="SELECT a FROM t")
    assert found(old, old, new, new) == []


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        (schema(definition="b"), schema(definition="a"), [("altered", "source")]),
        (schema(definition="a"), schema(definition="b"), [("altered", "target")]),
        (schema(definition="b"), schema(definition="c"), [("altered", "both")]),
        (schema(definition="b"), schema(definition="b"), []),
        ({}, schema(definition="a"), [("dropped", "source")]),
        (schema(definition="a"), {}, [("dropped", "target")]),
        ({}, {}, []),
        (schema(definition="b"), {}, [("created", "source")]),
    ],
)
def test_each_side_is_compared_with_itself_and_with_the_other_only_when_both_changed(
    source: Schema, target: Schema, said: list[tuple[str, str]]
) -> None:
    was = schema(definition="a")
    assert found(was, source, was, target) == said


def test_a_table_under_the_same_name_is_another_one() -> None:
    name = ObjectName("table", "public", "", "t")
    was, now = schema(name, kind="r", _identity=1), schema(name, kind="r", _identity=2)
    assert found(was, now, was, was) == [("recreated", "source")]
    assert found(was, was, was, now) == [("recreated", "target")]
    assert found(was, now, was, now) == []


def test_what_a_table_brings_is_told_with_the_table_whatever_its_name() -> None:
    names = (
        ObjectName("table", "a.b", "", "c"),
        ObjectName("column", "a.b", "c", "d"),
        ObjectName("column", "a", "b.c", "d"),
    )
    now = {name.key: SchemaObject(name, {"kind": "r"}) for name in names}
    found = changes(Baseline(160000, {}), now, Baseline(160000, {}), {})
    assert {change.name for change in found} == {names[0], names[2]}


@pytest.mark.parametrize(
    ("target", "source", "fits"),
    [
        ("bigint", "integer", True),
        ("integer", "bigint", False),
        ("numeric", "bigint", True),
        ("text", "uuid", True),
        ("character varying(80)", "character varying(20)", True),
        ("character varying(20)", "character varying(80)", False),
        ("character varying", "character varying(80)", True),
        ("numeric(12,2)", "numeric(10,2)", True),
        ("numeric(12,4)", "numeric(10,2)", True),
        ("numeric(12,4)", "numeric(10,0)", False),
        ("numeric(12,0)", "numeric(10,2)", False),
        ("timestamp without time zone", "date", True),
        ("date", "timestamp without time zone", False),
        ("integer", "text", False),
    ],
)
def test_a_type_takes_another_only_when_no_value_is_lost(target: str, source: str, fits: bool) -> None:
    assert takes(target, source) is fits


@pytest.mark.parametrize(("text", "sql"), [("it's", "'it''s'"), ("a\\b", "E'a\\\\b'"), ("", "''")])
def test_a_literal_is_quoted_whatever_it_holds(text: str, sql: str) -> None:
    assert literal(text) == sql
