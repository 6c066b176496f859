# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Exact places in the logs: whether one side has applied everything up to a place in the other's log.

Never by ``Seconds_Behind_Source``: it says 0 while the stream is stalled. By GTIDs when both sides have them, else by file
and offset, for which the replica's ``replica_checkpoint_period`` should be 1 ms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._core.errors import BlueGreenError
from .._core.waiting import Deadline
from .connection import value
from .coordinates import Coordinates, channel
from .dialect import Dialect

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

_SLICE = 1.0  # s, then the channel is looked at: a wait for GTIDs does not end when the replication does
_LEAST = 0.02  # s; 0 would be for ever


def same(one: Coordinates, other: Coordinates, *, gtid: bool) -> bool:
    """Whether nothing was written in between; with GTIDs a new log file alone is nothing."""
    if gtid:
        return one.gtid_executed == other.gtid_executed
    return one.order == other.order


def wait_for(
    conn: Connection[Cursor], dialect: Dialect, at: Coordinates, deadline: Deadline, side: str, *, gtid: bool
) -> None:
    """Return when ``side`` has applied everything up to ``at`` in its source's log.

    Raises :class:`BlueGreenError` with replication's own error when it has stopped, and at the deadline.
    """
    while True:
        seconds = max(_LEAST, min(_SLICE, deadline.left))
        if gtid:
            answer = value(conn, "SELECT WAIT_FOR_EXECUTED_GTID_SET(%s, %s)", (at.gtid_executed, seconds))
            if answer == 0:
                return
        else:
            function = dialect.name("position_wait")
            answer = value(conn, f"SELECT {function}(%s, %s, %s)", (at.file, at.offset, seconds))
            if answer is not None and int(answer) >= 0:
                return
        found = channel(conn, dialect)
        if found is None or not found.applier or found.error:
            reason = (found.error if found else None) or "it does not run"
            raise BlueGreenError(f"{side} should apply everything up to {at}, but replication has stopped: {reason}.")
        if deadline.passed:
            raise BlueGreenError(
                f"{side} should have applied everything up to {at} within {deadline.seconds:g} s, but has only come to "
                f"{found.applied or 'nothing'}."
            )
