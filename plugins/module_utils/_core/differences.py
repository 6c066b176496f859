# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Differences between blue and green that the user has declared: what was changed on green on purpose. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from .errors import BlueGreenError


@dataclass(frozen=True)
class ExpectedDifference:
    """One declared difference.

    ``object``: a pattern with shell wildcards of ``schema.name`` or ``database.schema.name``. ``columns``: patterns of the
    columns that may differ; empty when the whole object may, or may be on one side only.
    """

    object: str
    columns: tuple[str, ...] = ()

    def names(self, database: str, label: str) -> bool:
        """Whether the object ``label`` (``schema.name``) of ``database`` is meant."""
        return fnmatchcase(label, self.object) or fnmatchcase(f"{database}.{label}", self.object)


class ExpectedDifferences:
    """Every declared difference; build it with :meth:`of`."""

    def __init__(self, declared: Sequence[ExpectedDifference] = ()) -> None:
        self.declared = tuple(declared)

    @classmethod
    def of(cls, option: Sequence[Mapping[str, Any]] | None) -> ExpectedDifferences:
        """From the option ``expected_differences``; raises :class:`BlueGreenError` for an ``object`` without a schema."""
        found = [ExpectedDifference(str(one["object"]), tuple(one.get("columns") or ())) for one in option or ()]
        for one in found:
            if "." not in one.object:
                raise BlueGreenError(
                    f"expected_differences names objects as schema.name or database.schema.name, but found {one.object!r}: "
                    "put the schema before it."
                )
        return cls(found)

    def whole(self, database: str, label: str) -> bool:
        """Whether the object ``label`` (``schema.name``) may differ in anything, or exist on one side only."""
        return any(not one.columns and one.names(database, label) for one in self.declared)

    def column(self, database: str, label: str, column: str) -> bool:
        """Whether the column of the table ``label`` may differ, or exist on one side only."""
        return any(
            one.names(database, label) and (not one.columns or any(fnmatchcase(column, c) for c in one.columns))
            for one in self.declared
        )


NONE_DECLARED = ExpectedDifferences()
"""Both sides are meant to be the same."""
