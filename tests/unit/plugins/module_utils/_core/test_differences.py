# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Declared differences cover what they name and nothing else."""

from __future__ import annotations

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.differences import ExpectedDifferences
from ansible_collections.bluegreen.aws.plugins.module_utils._core.errors import BlueGreenError


def test_an_object_without_columns_may_differ_in_anything() -> None:
    """The table as a whole is covered, and each of its columns."""
    declared = ExpectedDifferences.of([{"object": "public.audit_*"}])
    assert declared.whole("shop", "public.audit_log")
    assert declared.column("shop", "public.audit_log", "id")
    assert not declared.whole("shop", "public.orders")


def test_named_columns_leave_the_rest_of_the_table_to_be_compared() -> None:
    """A column pattern covers those columns only."""
    declared = ExpectedDifferences.of([{"object": "public.orders", "columns": ["loyalty_*"]}])
    assert not declared.whole("shop", "public.orders")
    assert declared.column("shop", "public.orders", "loyalty_points")
    assert not declared.column("shop", "public.orders", "total")


def test_an_object_may_be_named_with_its_database() -> None:
    """The same table in another database is not covered."""
    declared = ExpectedDifferences.of([{"object": "shop.public.orders"}])
    assert declared.whole("shop", "public.orders")
    assert not declared.whole("other", "public.orders")


def test_an_object_without_its_schema_is_refused() -> None:
    """A bare name would silently cover nothing."""
    with pytest.raises(BlueGreenError, match=r"schema\.name or database\.schema\.name, but found 'orders'"):
        ExpectedDifferences.of([{"object": "orders"}])
