# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What has changed in the schema of either side since the two were equal. Pure.

Each side is compared with itself as it was (its baseline), because two major versions may write the same definition in
different words. Only an object that changed on both sides is compared across.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from .._core.differences import ExpectedDifferences
from .schema_catalog import ObjectName, Schema, SchemaObject, filenodes

What = Literal["created", "altered", "dropped", "recreated"]
By = Literal["source", "target", "both"]

# Without baselines: what reads the same in every version and what replication depends on.
_PLAIN = ("table", "column", "sequence")


@dataclass(frozen=True)
class Baseline:
    """One side's schema when the sides were equal: fingerprints by key, files of the tables by ``schema.name``."""

    version: int
    objects: Mapping[str, str]
    filenodes: Mapping[str, int] = field(default_factory=dict)

    def fits(self, version: int) -> bool:
        """Whether a server of ``version`` writes definitions in the same words."""
        return version // 10000 == self.version // 10000


@dataclass(frozen=True)
class Change:
    """One object that is not the same on both sides any more.

    ``by``: where it was changed. ``recreated``: dropped and made again under the same name, so that its rows are others.
    """

    name: ObjectName
    what: What
    by: By
    source: SchemaObject | None
    target: SchemaObject | None

    @property
    def on_source(self) -> SchemaObject:
        """The source's object, for a kind of change that has one."""
        return _known(self.source)

    @property
    def on_target(self) -> SchemaObject:
        """The target's object, for a kind of change that has one."""
        return _known(self.target)

    @property
    def here(self) -> SchemaObject | None:
        """The object on the side that changed it; None when it was dropped there."""
        return self.target if self.by == "target" else self.source

    @property
    def there(self) -> SchemaObject | None:
        """The object on the other side."""
        return self.source if self.by == "target" else self.target

    @property
    def words(self) -> str:
        """The object and what happened to it: ``table public.late was created``."""
        what = "dropped and created again" if self.what == "recreated" else self.what
        return f"{self.noun} {self.name.label} was {what}{self._how}"

    @property
    def noun(self) -> str:
        """The kind of object, a partition with the table that it is one of."""
        if self.name.kind == "function" and _any(self).facets.get("_procedure"):
            return "procedure"
        if self.name.kind == "table" and _any(self).facet("bound"):
            return f"partition of {_any(self).facet('parent')},"
        return self.name.kind

    @property
    def _how(self) -> str:
        if self.what != "altered" or self.here is None or self.there is None:
            return ""
        said = [
            f"{name.replace('_', ' ')} {self.there.facet(name) or 'none'} -> {self.here.facet(name) or 'none'}"
            for name in facets_changed(self)
            if name not in ("definition", "labels", "attributes", "checks")
        ]
        return f" ({'; '.join(said)})" if said else ""


def facets_changed(change: Change) -> list[str]:
    """The properties that differ between the two sides, of an object that both have."""
    if change.source is None or change.target is None:
        return []
    one, other = change.source.facets, change.target.facets
    return [name for name in one if not name.startswith("_") and one[name] != other.get(name)]


def changes(
    source_baseline: Baseline | None, source: Schema, target_baseline: Baseline | None, target: Schema
) -> list[Change]:
    """Every object that is not in step, the parts of a table that came or went as a whole left out.

    When a baseline is missing, what both sides have is taken for what they had; :meth:`Baseline.fits` tells of one that
    another major version wrote.
    """
    first = source_baseline.objects if source_baseline else None
    second = target_baseline.objects if target_baseline else None
    if first is None or second is None:
        source, target = _plain(source), _plain(target)
        first = {key: one.fingerprint for key, one in source.items() if key in target}
        second = {key: _as(source[key], target[key]) for key in first}
    found = []
    for key in sorted({*source, *target}):
        one = _change(key, first.get(key), source.get(key), second.get(key), target.get(key))
        if one is not None:
            found.append(one)
    return _collapse(found)


def covered(change: Change, database: str, expected: ExpectedDifferences) -> bool:
    """Whether the user has declared the difference."""
    name = change.name
    if name.kind == "column":
        return expected.column(database, name.container, name.name)
    if name.table:
        return expected.whole(database, name.container) or expected.whole(database, f"{name.schema}.{name.name}")
    if not name.schema:  # a schema, an extension, an event trigger
        return expected.whole(database, f"{name.name}.*")
    return expected.whole(database, name.label) or expected.whole(database, name.label.partition("(")[0])


def advanced(baseline: Baseline, schema: Schema, done: Iterable[Change]) -> Baseline:
    """The baseline with the objects of ``done``, and the parts of tables that came or went, as they are in ``schema`` now."""
    every = list(done)
    names = {change.name for change in every}
    whole = {(c.name.schema, c.name.name) for c in every if c.name.kind == "table" and c.what != "altered"}
    owned = {key for key, one in schema.items() if owner_of(one) in whole}

    def meant(key: str) -> bool:
        name = ObjectName.of(key)
        return name in names or (name.schema, name.table or name.name) in whole or key in owned

    objects = {key: print_ for key, print_ in baseline.objects.items() if not meant(key)}
    objects |= {key: one.fingerprint for key, one in schema.items() if meant(key)}
    files = {label: file for label, file in filenodes(schema).items() if tuple(label.split(".", 1)) in whole}
    return Baseline(baseline.version, objects, {**baseline.filenodes, **files})


def owner_of(one: SchemaObject | None) -> tuple[str, str] | None:
    """Schema and name of the table that a sequence belongs to."""
    parts = one.facets.get("owned_by") if one else None
    return (parts[0], parts[1]) if parts else None


def _change(
    key: str, before: str | None, source: SchemaObject | None, was: str | None, target: SchemaObject | None
) -> Change | None:
    mine = before != (source.fingerprint if source else None)
    theirs = was != (target.fingerprint if target else None)
    if not mine and not theirs:
        return None
    name = ObjectName.of(key)
    again = _again(before, source), _again(was, target)
    if source and target and source.digest == target.digest:
        if again[0] == again[1]:
            return None
        return Change(name, "recreated", "source" if again[0] else "target", source, target)
    if mine and theirs and source and target:
        return Change(name, "altered", "both", source, target)
    by: By = "source" if mine else "target"
    here, there = (source, target) if by == "source" else (target, source)
    if here is None:
        return Change(name, "dropped", by, source, target)
    if there is None:
        return Change(name, "created", by, source, target)
    recreated = again[0] if by == "source" else again[1]
    return Change(name, "recreated" if recreated else "altered", by, source, target)


def _again(before: str | None, now: SchemaObject | None) -> bool:
    """Whether there is one under the same name that is not the same."""
    return before is not None and now is not None and before.partition("/")[2] != now.identity


def _collapse(found: list[Change]) -> list[Change]:
    """Without the parts of a table, and the sequences of a table or column, that came or went with it."""
    whole = {(c.name.schema, c.name.name, c.by) for c in found if c.name.kind == "table" and _as_one(c)}
    columns = {
        (c.name.schema, c.name.table, c.name.name, c.by)
        for c in found
        if c.name.kind == "column" and c.what != "altered"
    }

    def part(change: Change) -> bool:
        name, by = change.name, change.by
        if name.table and (name.schema, name.table, by) in whole:
            return True
        belongs = _any(change).facets.get("owned_by") if name.kind == "sequence" else None
        return belongs is not None and ((*belongs[:2], by) in whole or (*belongs, by) in columns)

    return [change for change in found if not part(change)]


def _as_one(change: Change) -> bool:
    """A table that came, went, or became a partition or ceased to be one: its parts follow from that."""
    return change.what != "altered" or "parent" in facets_changed(change)


def _plain(schema: Schema) -> Schema:
    return {key: one for key, one in schema.items() if one.name.kind in _PLAIN}


def _as(source: SchemaObject, target: SchemaObject) -> str:
    """The fingerprint that ``target`` would have if it were what ``source`` is."""
    return f"{source.digest}/{target.identity}" if target.identity else source.digest


def _any(change: Change) -> SchemaObject:
    return _known(change.source or change.target)


def _known(found: SchemaObject | None) -> SchemaObject:
    if found is None:
        raise AssertionError("a change of an object that neither side has is none")
    return found
