# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Whether what blue has written arrives on green: a link that stands still goes on telling the lag that it had."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from .._clients.session import Session
from .._core.errors import BlueGreenError
from .._core.waiting import Deadline

_POLL = 0.05  # s between two looks
_POSITION = "SELECT pg_current_wal_lsn()::text AS position"
# Whether every stream to green has confirmed a position, and has been heard of lately: an apply worker reports every 10 s by
# default (wal_receiver_status_interval).
_CONFIRMED = (
    "SELECT coalesce(bool_and(r.flush_lsn >= '{}'::pg_lsn AND coalesce(r.reply_time, now()) > now() - interval '30 s'), false) AS has"
    " FROM pg_stat_replication r JOIN pg_replication_slots s ON s.active_pid = r.pid WHERE s.slot_type = 'logical'"
)
_RECEIVED = "SELECT pg_last_wal_receive_lsn() >= '{}'::pg_lsn AS has"


def arrives(blue: Session, green: Session, patience: float, *, physical: bool) -> bool:
    """Whether green gets within ``patience`` seconds what blue has written by now.

    A user who may not ask for blue's position leaves it at the lag that is told.
    """
    deadline = Deadline(patience)
    try:
        has = _mysql(blue, green) if blue.family == "mysql" else _postgresql(blue, green, physical=physical)
        while not has():
            if deadline.passed:
                return False
            time.sleep(min(_POLL, deadline.left))
    except BlueGreenError:
        return True
    return True


def _postgresql(blue: Session, green: Session, *, physical: bool) -> Callable[[], bool]:
    position = blue.rows(_POSITION)[0]["position"]
    session, statement = (green, _RECEIVED) if physical else (blue, _CONFIRMED)
    return lambda: bool(session.rows(statement.format(position))[0]["has"])


def _mysql(blue: Session, green: Session) -> Callable[[], bool]:
    try:
        found = blue.rows("SHOW BINARY LOG STATUS")
    except BlueGreenError:  # before MySQL 8.4
        found = blue.rows("SHOW MASTER STATUS")
    wanted = [_place(row["file"], row["position"]) for row in found]

    def has() -> bool:
        rows = green.rows("SHOW REPLICA STATUS")
        seen = [_place(row["relay_source_log_file"], row["exec_source_log_pos"]) for row in rows]
        return not wanted or max(seen, default=_place("", 0)) >= wanted[0]

    return has


def _place(file: str, position: Any) -> tuple[int, str, int]:
    """A place in a binary log that can be compared: the numbers of its files get longer after the 999999th."""
    return len(file), file, int(position)
