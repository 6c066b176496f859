# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The states of a probe: its table made or removed, a run watched, ended or reported."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from .._core.canaries import Canaries
from .._core.errors import BlueGreenError
from .._core.failures import AttemptFailed
from .._core.journal import Journal
from .._core.waiting import Deadline
from . import probe_log
from .probe import Plan, ended_by, key_of, stop_file, watch
from .probe_log import Record
from .probe_report import objections, report, sentences

_BEGIN = 5.0  # s that a probe gets to begin
_END = 60.0  # s that a probe gets to end when it is asked to
_LOOK = 0.1


@dataclass(frozen=True)
class Table:
    """Where the canaries are, who may use the table, and whether the module may make and remove it."""

    name: str
    users: Sequence[str]
    create: bool
    cleanup: bool


@dataclass(frozen=True)
class Request:
    """One call of the module."""

    state: str
    plan: Plan | None  # None for the states that have no file
    table: Table
    max_gap_ms: float | None
    replace: bool = False  # an ended run is moved aside


def reach(request: Request, canaries: Canaries | None, journal: Journal) -> dict[str, Any]:
    """Bring about the state and return the report, empty for the states of the table.

    Raises :class:`BlueGreenError` when it cannot, and when the report is not as it should be; the report comes with it.
    """
    plan = request.plan
    if plan is None:
        table = _known(canaries)
        effect = _prepare if request.state == "prepared" else _remove
        _asked(request.table, table, partial(effect, request.table, table, journal))
        return {}
    if request.state == "running":
        records = _run(plan, request, _known(canaries), journal)
    else:
        if request.state == "stopped":
            _stop(plan.path, journal)
        records, _running = probe_log.load(plan.path)
        ended_by(records, plan.run, plan.path)
    if not records:
        return {}
    found = report(records)
    said = objections(found, request.max_gap_ms)
    result = {"report": found, "lines": sentences(found)}
    if said:
        raise BlueGreenError(f"The probe {plan.run} is not as it should be: {'; '.join(said)}.", **result)
    return result


def _run(plan: Plan, request: Request, canaries: Canaries, journal: Journal) -> Sequence[Record]:
    table = request.table
    moved = request.replace and _move_aside(plan, journal)
    if journal.check_mode:
        before: Sequence[Record] = []
        if not moved and Path(plan.path).exists():
            before = probe_log.load(plan.path)[0]
        if not ended_by(before, plan.run, plan.path):
            _asked(table, canaries, partial(_ensure, table, canaries, journal))
            journal.act(f"probe {plan.host} for {plan.duration:g} s", lambda: None)
        return before
    with probe_log.opened(plan.path) as (log, before):
        if ended_by(before, plan.run, plan.path):
            return before
        if not before:
            _asked(table, canaries, partial(_ensure, table, canaries, journal))
            plan.stop_file.unlink(missing_ok=True)
        journal.act(f"probe {plan.host} for {plan.duration:g} s", lambda: watch(plan, canaries, log, before))
        records = probe_log.load(plan.path)[0]
        if table.cleanup:
            _asked(table, canaries, partial(_clean, key_of(records), table, canaries, journal))
    return records


def _move_aside(plan: Plan, journal: Journal) -> bool:
    """Whether the file holds a run that has ended, or another one; it is renamed by when it began."""
    if not Path(plan.path).exists():
        return False
    records, running = probe_log.load(plan.path)
    if running or not records:
        return False
    others = any(record["run"] != plan.run for record in records if record["record"] == "run")
    if not others and not ended_by(records, plan.run, plan.path):
        return False
    aside = Path(f"{plan.path}.{records[0]['at']}")
    journal.act(f"move {plan.path} to {aside}", lambda: Path(plan.path).rename(aside))
    return True


def _stop(path: str, journal: Journal) -> None:
    begun = Deadline(_BEGIN)
    while not Path(path).exists() and not begun.passed:
        time.sleep(_LOOK)  # one that was started a moment ago
    if not probe_log.load(path)[1]:
        return

    def end() -> None:
        _touch(stop_file(path))
        deadline = Deadline(_END)
        while probe_log.load(path)[1]:
            if deadline.passed:
                raise BlueGreenError(
                    f"The probe that writes to {path} should end, but goes on after {_END:g} s: look at its process on this host."
                )
            time.sleep(_LOOK)

    journal.act("end the probe", end)


def _touch(file: Path) -> None:
    try:
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600))
    except OSError as error:
        raise BlueGreenError(
            f"The probe should be ended by the file {file}, but it could not be made: {error.strerror}; look who else has a file there."
        ) from None


def _ensure(table: Table, canaries: Canaries, journal: Journal) -> None:
    """Have the table, or say what makes it, and a user who is no other than those of applications."""
    if privilege := canaries.privilege():
        raise BlueGreenError(
            f"The probe should use the database as an application does, but its user has {privilege}, with which it writes to a side "
            "that only reads, also to old production: give the login of an application, and have its table made by state=prepared."
        )
    _require_own(table, canaries)
    if canaries.exists():
        return
    if not table.create:
        raise BlueGreenError(
            f"The canaries need the table {table.name}, but it is not there: call this module with state=prepared, or run as its "
            f"owner: {'; '.join(canaries.statements(table.users))}."
        )
    _prepare(table, canaries, journal)


def _require_own(table: Table, canaries: Canaries) -> None:
    """Nothing of somebody else's is written to, or removed, because it has the name."""
    if columns := canaries.foreign():
        raise BlueGreenError(
            f"{table.name} should be the table of the canaries, but it is another one, with the columns {columns}: give another schema "
            "or table. Nothing was changed."
        )


def _prepare(table: Table, canaries: Canaries, journal: Journal) -> None:
    _require_own(table, canaries)
    if canaries.exists():
        return
    if why := canaries.obstacle():
        raise BlueGreenError(
            f"The canaries need the table {table.name}, but it is not there and must not be made now: {why}; make it with "
            "state=prepared before the deployment is created, or on both sides by hand."
        )
    journal.act(f"create the table {table.name}", lambda: canaries.create(table.users))


def _remove(table: Table, canaries: Canaries, journal: Journal) -> None:
    _require_own(table, canaries)
    if canaries.exists():
        journal.act(f"remove the table {table.name}", canaries.drop)


def _clean(key: str, table: Table, canaries: Canaries, journal: Journal) -> None:
    if canaries.exists():
        if canaries.forget(key):
            journal.act(f"remove the table {table.name}", canaries.drop)
        else:
            journal.act(f"delete the canaries of {key}", lambda: None)


def _known(canaries: Canaries | None) -> Canaries:
    if canaries is None:
        raise BlueGreenError("The option target is needed here, but is missing: give the connection of an application.")
    return canaries


def _asked(table: Table, canaries: Canaries, effect: partial[None]) -> None:
    try:
        effect()
    except AttemptFailed as error:
        failure = error.failure
        what = {
            "denied": f"; log in as a user who may, or let such a user run: {'; '.join(_statements(table, canaries))}",
            "read_only": "; the endpoint leads to a side that only reads",
        }.get(failure.kind, "; look at the target's host, port, login, ssl_mode and ca_cert, and at the security group")
        code = f", code {failure.code}" if failure.code else ""
        raise BlueGreenError(
            f"The table {table.name} should be looked after through the endpoint, but: {failure.message} ({failure.kind}{code}){what}."
        ) from None


def _statements(table: Table, canaries: Canaries) -> list[str]:
    try:
        return canaries.statements(table.users)
    except AttemptFailed:
        return ["what state=prepared does"]
