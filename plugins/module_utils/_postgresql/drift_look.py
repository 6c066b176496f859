# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The drift between two sides, read from both, and the guardrails about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._core.checks import Check, failed, ok, warning
from .._core.differences import ExpectedDifferences
from .drift import Baseline, Change, changes, covered
from .drift_baseline import APPLYING, Baselines
from .drift_plan import plan
from .drift_rules import judge, stops
from .schema_catalog import Schema, fingerprints, read_schema

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

_MOST = 40  # checks; whoever has more has a migration
_DOCS = "https://www.postgresql.org/docs/current/logical-replication-restrictions.html"
_DECLARE = "declare it in expected_differences"


@dataclass(frozen=True)
class Drift:
    """One database: what is not in step, and the schemas it was read from. ``source``, ``target``: ``blue`` or ``green``."""

    database: str
    source_side: str
    target_side: str
    changes: tuple[Change, ...]
    source: Schema
    target: Schema
    baseline: Baseline | None

    @property
    def words(self) -> str:
        """Every change in one line, for a sentence."""
        said = [f"{one.words} on {self.side(one)}" for one in self.changes]
        more = f" and {len(said) - _MOST} more" if len(said) > _MOST else ""
        return ", ".join(said[:_MOST]) + more

    def side(self, change: Change) -> str:
        """Where a change was made."""
        return {"source": self.source_side, "target": self.target_side, "both": "both sides"}[change.by]

    def statements(self, change: Change) -> list[str]:
        """What makes the target as the source, empty when it does not follow."""
        return [step.statement for step in plan(change, self.source, self.baseline).steps]


def look(database: str, sides: tuple[str, str], source: Connection, target: Connection, baselines: Baselines) -> Drift:
    """The drift of one database; the connections are to it, ``sides`` are the names of source and target."""
    schemas = read_schema(source), read_schema(target)
    mine, theirs = (
        _fitting(baselines.get((side, database)), conn.info.server_version)
        for side, conn in zip(sides, (source, target), strict=True)
    )
    theirs = _assumed(mine, theirs, schemas[1], baselines.get((APPLYING, database)))
    return Drift(
        database,
        *sides,
        tuple(changes(mine, schemas[0], theirs, schemas[1])),
        *schemas,
        mine,
    )


def drift_checks(drift: Drift, expected: ExpectedDifferences, *, stopped: bool = False) -> list[Check]:
    """One guardrail for each object that is not in step; ``stopped``: replication has stopped at an error."""
    check_id = f"schema_in_step_{drift.database}"
    found = [check for change in drift.changes for check in _judged(check_id, drift, change, expected, stopped)]
    if not found:
        declared = f", {len(drift.changes)} differences are declared" if drift.changes else ""
        objects = len(drift.source)
        return [ok(check_id, f"{objects} objects of database {drift.database} are as they were at the clone{declared}")]
    found.sort(key=lambda check: check.status)  # failed before warning
    if len(found) > _MOST:
        rest = found[_MOST:]
        more = failed if any(check.status == "failed" for check in rest) else warning
        found = [
            *found[:_MOST],
            more(
                check_id, f"{len(rest)} more objects of database {drift.database} are not in step", "mend these first"
            ),
        ]
    return found


def way_back_check(drift: Drift, expected: ExpectedDifferences) -> list[Check]:
    """What was added to green on purpose and has no place on blue, where it is replicated to after the switchover."""
    lacking = [
        change.name.label
        for change in drift.changes
        if change.by == "target" and stops(_turned(change)) and covered(change, drift.database, expected)
    ]
    if not lacking or drift.target_side != "green":
        return []
    return [
        warning(
            f"way_back_{drift.database}",
            "after the switchover green replicates back to blue, which stops at the first row with what blue does not have: "
            + ", ".join(lacking),
            "add it on blue too before the switchover, or give up the way back with reverse_replication=false",
            _DOCS,
        )
    ]


def _judged(check_id: str, drift: Drift, change: Change, expected: ExpectedDifferences, stopped: bool) -> list[Check]:
    declared = covered(change, drift.database, expected)
    where = f"{change.words} on {drift.side(change)} after the clone (database {drift.database})"
    if change.name.kind == "extension" and change.what == "altered":
        return _extension(check_id, drift, change, where, declared)
    if change.by == "target":
        return _on_purpose(check_id, drift, change, where, declared)
    if declared and not stops(change):
        return []
    if declared:
        why = "it is declared, but replication stops at the first row that comes for it"
        if change.what == "recreated":
            why = "it is declared, but its rows are not the same any more"
        verdict = warning if change.name.kind == "table" and change.what == "created" else failed
        return [verdict(check_id, f"{where}; {why}", _remedy(drift, change), _DOCS)]
    because = "; replication has stopped because of it" if stopped and stops(change) else ""
    return [failed(check_id, f"{where}{because}", _remedy(drift, change), _DOCS)]


def _on_purpose(check_id: str, drift: Drift, change: Change, where: str, declared: bool) -> list[Check]:
    judgement = judge(change)
    undo = f"undo it on {drift.target_side}"
    if judgement.verdict == "breaks":
        return [failed(check_id, f"{where}, which replication does not bear: {judgement.why}", undo, _DOCS)]
    if judgement.verdict == "risks":
        verdict = warning if declared else failed
        return [verdict(check_id, f"{where}: {judgement.why}", f"{undo}, or {_DECLARE}", _DOCS)]
    return [] if declared else [warning(check_id, where, f"{_DECLARE} if it is on purpose, else {undo}")]


def _extension(check_id: str, drift: Drift, change: Change, where: str, declared: bool) -> list[Check]:
    """Versions differ between engine versions: what was updated on the target is meant to be."""
    if declared or change.by == "target":
        return []
    return [warning(check_id, where, f"ALTER EXTENSION {change.name.name} UPDATE on {drift.target_side}")]


def _remedy(drift: Drift, change: Change) -> str:
    made = plan(change, drift.source, drift.baseline)
    if made.by_hand:
        return made.by_hand.replace("the other side", drift.target_side)
    run = f"on {drift.target_side}: {'; '.join(step.statement for step in made.steps)}"
    if drift.target_side != "green":
        return run
    return f"pg_logical_subscription with state=running and drift=apply (aurora_postgresql_drift), which runs {run}"


def _turned(change: Change) -> Change:
    """The change as replication in the other direction sees it."""
    return Change(change.name, change.what, "source", change.target, change.source)


def _assumed(
    source: Baseline | None, target: Baseline | None, now: Schema, applying: Baseline | None
) -> Baseline | None:
    """The target's baseline: as it is now when none was taken yet, and in what it is just being given."""
    if source is None:
        return None
    if target is None:
        return Baseline(source.version, fingerprints(now))
    if applying is None:
        return target
    objects = {key: print_ for key, print_ in target.objects.items() if key not in applying.objects}
    objects |= {key: now[key].fingerprint for key in applying.objects if key in now}
    return Baseline(target.version, objects, target.filenodes)


def _fitting(baseline: Baseline | None, version: int) -> Baseline | None:
    return baseline if baseline is not None and baseline.fits(version) else None
