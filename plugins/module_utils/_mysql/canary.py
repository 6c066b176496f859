# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Canaries: rows written on blue while it is cloned, each with where blue's log was just before.

The last canary that the clone holds and the ones after it on blue say between which places the clone's data ends, which is a
check of the position that the service reports and depends on nothing that the service says.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

try:
    import pymysql
except ImportError:  # refused in connection.require_driver()
    pass

from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError, words
from .._core.journal import Journal
from .._core.names import Names
from .._core.waiting import Deadline
from . import record
from .connection import close, connect, connected, execute, require_driver, rows, value
from .coordinates import Coordinates, current
from .dialect import Dialect

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

NOTE = "canary"
_LOOK = 1.0  # s between two looks whether somebody has ended the canary
_RETRY = 1.0  # s until the next try to reach blue


@dataclass(frozen=True)
class Bounds:
    """Where the clone's data can end: after ``after``, not after ``until``; None where it is not known."""

    after: Coordinates | None
    until: Coordinates | None

    def holds(self, at: Coordinates) -> bool:
        """Whether a place is within."""
        return (self.after is None or self.after.order < at.order) and (
            self.until is None or at.order <= self.until.order
        )

    def __str__(self) -> str:
        return f"after {self.after or 'the beginning'} and not after {self.until or 'the end'} of blue's log"


@dataclass(frozen=True)
class Written:
    """What a canary did: its rows, and whether somebody ended it before its time."""

    rows: int
    ended: bool


@dataclass(frozen=True)
class Request:
    """What the user asked for; times in seconds."""

    state: str
    duration: float
    interval: float


def reach(request: Request, blue: Endpoint, names: Names, journal: Journal) -> Written:
    """Write, or let a canary that writes end."""
    require_driver()
    try:
        if request.state == "running":
            if journal.check_mode:
                journal.act("write canaries on blue", lambda: None)
                return Written(0, ended=False)
            written = write(blue, names.deployment_id, duration=request.duration, interval=request.interval)
            if written.rows:
                journal.act(f"write {written.rows} canaries on blue", lambda: None)
            return written
        with connected(blue) as conn:
            if runs(conn, names.deployment_id):
                journal.act("end the canary on blue", partial(end, conn, names.deployment_id))
        return Written(0, ended=False)
    except pymysql.MySQLError as error:
        raise BlueGreenError(
            f"A canary could not be written on blue: {words(error)}; log in as the master user."
        ) from None


def write(
    blue: Endpoint,
    deployment_id: str,
    *,
    duration: float,
    interval: float,
    sleep: Callable[[float], None] = time.sleep,
) -> Written:
    """Write a row every ``interval`` s for ``duration`` s, or until :func:`end` or another canary of the deployment begins.

    A blue that fails over is waited for; raises :class:`BlueGreenError` when it cannot be reached at all, or at the end.
    """
    deadline, token = Deadline(duration), record.new_token()
    conn = connect(blue, read_timeout=10)
    count = 0
    try:
        dialect = Dialect.of(conn)
        record.ensure(conn)
        record.note(conn, deployment_id, NOTE, token)
        look = Deadline(_LOOK)
        while not deadline.passed:
            try:
                if look.passed:
                    if record.notes(conn, deployment_id).get(NOTE) != token:
                        return Written(count, ended=True)
                    look = Deadline(_LOOK)
                _one(conn, dialect, deployment_id)
                count += 1
                sleep(interval)
            except (pymysql.MySQLError, OSError):
                conn = _again(blue, conn, deadline, sleep)
        record.forget_note(conn, deployment_id, NOTE)
        return Written(count, ended=False)
    finally:
        close(conn)


def runs(conn: Connection[Cursor], deployment_id: str) -> bool:
    """Whether a canary writes, as far as it is known: one that was killed did not say so."""
    return NOTE in record.notes(conn, deployment_id)


def end(conn: Connection[Cursor], deployment_id: str) -> None:
    """Let the canary end; it notices within two seconds."""
    record.forget_note(conn, deployment_id, NOTE)


def bounds(blue: Connection[Cursor], green: Connection[Cursor], deployment_id: str) -> Bounds | None:
    """Where green's data can end by the canaries, None when green has none.

    With k the last one on green: blue's log was at ``before(k)`` when k was not written yet, and k+1, which green does not
    have, was written when k+2 looked where the log was.
    """
    last = value(green, "SELECT MAX(n) FROM bluegreen.canary WHERE deployment_id = %s", (deployment_id,))
    if last is None:
        return None
    found = rows(
        blue,
        "SELECT n, file, offset FROM bluegreen.canary WHERE deployment_id = %s AND n >= %s ORDER BY n LIMIT 3",
        (deployment_id, last),
    )
    places = {int(n): Coordinates(str(file), int(offset)) for n, file, offset in found}
    if last not in places:
        raise BlueGreenError(
            f"Green has the canary {last}, but blue has not: green is not a clone of this blue, or blue has lost writes; check the "
            "addresses."
        )
    later = [place for n, place in sorted(places.items()) if n > last]
    return Bounds(places[last], later[1] if len(later) > 1 else None)


def _one(conn: Connection[Cursor], dialect: Dialect, deployment_id: str) -> None:
    at = current(conn, dialect)
    execute(
        conn,
        "INSERT INTO bluegreen.canary (deployment_id, n, file, offset)"
        " SELECT %s, COALESCE(MAX(n), 0) + 1, %s, %s FROM bluegreen.canary WHERE deployment_id = %s",
        (deployment_id, at.file, at.offset, deployment_id),
    )


def _again(
    blue: Endpoint, conn: Connection[Cursor], deadline: Deadline, sleep: Callable[[float], None]
) -> Connection[Cursor]:
    close(conn)
    while True:
        sleep(_RETRY)
        try:
            return connect(blue, read_timeout=10)
        except BlueGreenError:
            if deadline.passed:
                raise
