# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What was changed on blue since the clone, made on green too, while replication goes on.

In two phases around a wait, see :mod:`drift_plan`. What is being applied is noted on green before the first statement, so that
a run that died is told from a change that somebody made there on purpose. The statements of one object and phase are one
transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

try:
    import psycopg2
except ImportError:  # connection.require_driver() says so
    pass

from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError, words
from .._core.journal import Journal
from . import drift_baseline
from .connection import connected, execute, transaction
from .drift import Change, advanced, covered
from .drift_look import Drift, look
from .drift_plan import plan
from .drift_rules import stops
from .drift_steps import Phase, Plan
from .schema_catalog import read_schema
from .status import State

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

_SETTINGS = "SET LOCAL search_path = ''; SET LOCAL check_function_bodies = off; SET LOCAL lock_timeout = '60s'"


@dataclass(frozen=True)
class Pending:
    """One database: its drift, and the plans for what was changed on blue and is not declared."""

    drift: Drift
    plans: tuple[tuple[Change, Plan], ...]

    @property
    def database(self) -> str:
        """The database."""
        return self.drift.database

    def statements(self, phase: Phase) -> list[list[str]]:
        """The statements of each change that are due in a phase, what others need first."""
        due: list[tuple[tuple[int, int], list[str]]] = []
        for _change, made in self.plans:
            steps = [step for step in made.steps if step.phase == phase]
            if steps:
                due.append((steps[0].order, [step.statement for step in steps]))
        return [statements for _order, statements in sorted(due, key=lambda one: one[0])]


def pending(blue: Endpoint, green: Endpoint, state: State) -> list[Pending]:
    """The drift of every database of a green that replicates from blue, or is about to."""
    baselines = {} if state.fresh else drift_baseline.look(green, state.names)
    found: list[Pending] = []
    for database in state.databases:
        with ExitStack() as stack:
            here, there = (stack.enter_context(connected(side.at(database))) for side in (blue, green))
            drift = look(database, ("blue", "green"), here, there, baselines)
        wanted = [one for one in drift.changes if one.by != "target" and not covered(one, database, state.expected)]
        found.append(Pending(drift, tuple((one, plan(one, drift.source, drift.baseline)) for one in wanted)))
    return found


def refuse_stopping(found: Sequence[Pending]) -> None:
    """Raise :class:`BlueGreenError` when blue was changed so that replication stops or leaves rows out."""
    said = [_sentence(one, change, made) for one in found for change, made in one.plans if stops(change)]
    if said:
        raise BlueGreenError(
            f"Blue's schema was changed after green was cloned, and replication cannot go on as it is: {'; '.join(said)}. "
            "Set drift to apply (aurora_postgresql_drift) to make the same on green, or make it there by hand.",
            drift=[entry for one in found for entry in as_dicts(one)],
        )


def refuse_by_hand(found: Sequence[Pending]) -> None:
    """Raise :class:`BlueGreenError` for what cannot be applied, before anything is changed."""
    said = [
        f"{change.words} on {one.drift.side(change)} (database {one.database}): {made.by_hand.replace('the other side', 'green')}"
        for one in found
        for change, made in one.plans
        if made.by_hand
    ]
    if said:
        raise BlueGreenError(
            f"Not everything that was changed on blue after green was cloned can be applied to green, nothing was changed: "
            f"{'; '.join(said)}.",
            drift=[entry for one in found for entry in as_dicts(one)],
        )


def apply_first(green: Endpoint, state: State, found: Sequence[Pending], journal: Journal) -> None:
    """Make on green what lets every row in, those from before the changes and those from after them."""
    for one in found:
        if one.plans and one.drift.baseline is not None:
            if not journal.check_mode:
                _begin(green, state, one)
            _run(green, one, "first", journal)


def apply_last(green: Endpoint, state: State, found: Sequence[Pending], journal: Journal) -> None:
    """Make on green what only the new rows comply with, when the old ones have arrived; both sides are equal then."""
    for one in found:
        if one.plans and one.drift.baseline is not None:
            _run(green, one, "last", journal)
            if not journal.check_mode:
                _finish(green, state, one)


def as_dicts(one: Pending) -> list[dict[str, Any]]:
    """Every change as plain values, for a module's result."""
    statements = {change.name: [step.statement for step in made.steps] for change, made in one.plans}
    return [
        {
            "database": one.database,
            "kind": change.noun,
            "object": change.name.label,
            "change": change.what,
            "side": one.drift.side(change),
            "statements": statements.get(change.name, []),
        }
        for change in one.drift.changes
    ]


def _sentence(one: Pending, change: Change, made: Plan) -> str:
    how = made.by_hand.replace("the other side", "green") or "; ".join(step.statement for step in made.steps)
    return f"{change.words} on {one.drift.side(change)} (database {one.database}; on green: {how})"


def _begin(green: Endpoint, state: State, one: Pending) -> None:
    keys = [change.name.key for change, _made in one.plans]
    with connected(green.at(state.names.control_database)) as conn:
        drift_baseline.begin(conn, state.names, one.database, conn.info.server_version, keys)


def _run(green: Endpoint, one: Pending, phase: Phase, journal: Journal) -> None:
    due = one.statements(phase)
    if not due:
        return
    with connected(green.at(one.database)) as conn:
        for statements in due:
            said = "; ".join(statements)
            journal.act(f"on green in {one.database}: {said}", partial(_execute, conn, one.database, statements))


def _execute(conn: Connection, database: str, statements: Sequence[str]) -> None:
    try:
        with transaction(conn):
            execute(conn, _SETTINGS)
            for statement in statements:
                execute(conn, statement)
    except psycopg2.Error as error:
        raise BlueGreenError(
            f"What was changed on blue could not be made on green in database {database}: {words(error)}, at "
            f"{statement!r}; make it there by hand, then run it again."
        ) from None


def _finish(green: Endpoint, state: State, one: Pending) -> None:
    done = [change for change, _made in one.plans]
    baselines = drift_baseline.look(green, state.names)
    before = baselines["blue", one.database]
    blue = advanced(before, one.drift.source, done)
    with connected(green.at(one.database)) as conn:
        now = read_schema(conn)
    mine = advanced(baselines["green", one.database], now, done)
    with connected(green.at(state.names.control_database)) as conn:
        drift_baseline.finish(conn, state.names, one.database, blue, mine)
