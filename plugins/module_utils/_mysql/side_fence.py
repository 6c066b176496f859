# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The fence of MySQL: no client can write, in three layers.

``read_only`` comes first: it takes effect at once for everybody who is not privileged (CONNECTION_ADMIN), also for a
transaction that is open, whose COMMIT fails (MySQL manual, read_only). It is lost with the server's process, so the accounts
are locked as well, which lives on the volume, and every session that is there is ended, because a lock refuses logins only.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

try:
    import pymysql
except ImportError:  # refused in connection.require_driver()
    pass

from .._core.errors import BlueGreenError
from .._core.waiting import Deadline
from .connection import code, rows
from .locks import system_account
from .service import Service

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

LOCK_WAIT = 1  # s, lock_wait_timeout of the session that sets read_only: as long do other writers wait behind it
_TRIES = 3
_POLL = 0.001  # s
_LOCK_WAIT_TIMEOUT = 1205
# It has ended already; or its login went through meanwhile, as one of the service, which is no client. One that stays is found again.
_NOT_ENDED = (1094, 1095)
_BATCH = 50  # sessions that are ended in one round trip
# The server's own threads, and replicas that read its log, write nothing; a login that is not through yet may become a client.
_SERVER_USERS = ("system user", "event_scheduler")
_REPLICAS = ("Binlog Dump", "Binlog Dump GTID")


@dataclass(frozen=True)
class Session:
    """A client's session; ``seconds`` it has been in the state in which it is."""

    id: int
    user: str
    host: str
    command: str
    seconds: int

    def __str__(self) -> str:
        return f"{self.user} from {self.host or 'nowhere'} (session {self.id})"


def sessions(conn: Connection[Cursor], ours: Collection[int]) -> list[Session]:
    """Every session that could write, except those whose ids are ``ours``, oldest first."""
    found = [
        Session(int(row[0]), str(row[1]), str(row[2] or ""), str(row[3]), int(row[4] or 0))
        for row in rows(conn, "SELECT id, user, host, command, time FROM information_schema.processlist ORDER BY id")
    ]
    return [
        one
        for one in found
        if one.id not in ours
        and one.user not in _SERVER_USERS
        and one.command not in _REPLICAS
        and not system_account(one.user)
    ]


def refuse_writes(conn: Connection[Cursor], service: Service, side: str, deadline: Deadline) -> None:
    """Set ``read_only``; raises :class:`BlueGreenError`, nothing changed, when a statement that runs keeps it from being set."""
    for attempt in range(_TRIES):
        try:
            service.set_read_only(True)
            return
        except BlueGreenError as error:
            if error.__context__ is None or code(error.__context__) != _LOCK_WAIT_TIMEOUT:
                raise
            if attempt + 1 < _TRIES and deadline.left > LOCK_WAIT:
                continue
        blockers = [one for one in sessions(conn, ()) if one.command != "Sleep" and one.seconds >= LOCK_WAIT]
        raise BlueGreenError(
            f"{side} should have become read-only, but statements that run kept it from that for {attempt + 1} times "
            f"{LOCK_WAIT} s, as long as writers may be made to wait: {named(blockers)}; let them end, or end them."
        )


def end_sessions(
    conn: Connection[Cursor],
    kill: str,
    ours: Collection[int],
    deadline: Deadline,
    spared: Collection[str] = (),
) -> int:
    """End every client session and wait until none that is older than this call is left; returns how many there were.

    ``kill`` is the statement for one, ``spared`` are users that are left alone. Whoever logs in behind the locks is privileged:
    such a session is ended as well, but not waited for, because another one may follow it.
    """
    watermark, seen = 0, set[int]()
    while True:
        found = [one for one in sessions(conn, ours) if one.user not in spared]
        watermark = watermark or max((one.id for one in found), default=0)
        older = [one for one in found if one.id <= watermark]
        seen.update(one.id for one in older)
        if found:
            _kill(conn, kill, [one.id for one in found if one.command != "Killed"])
        if not older:
            return len(seen)
        if deadline.passed:
            raise BlueGreenError(f"Every client session should end at the fence, but these did not: {named(older)}.")
        time.sleep(_POLL)


def refuse_prepared(conn: Connection[Cursor]) -> None:
    """Raise :class:`BlueGreenError` when a prepared transaction is left: it can be committed behind the fence."""
    found = rows(conn, "XA RECOVER")
    if found:
        held = ", ".join(repr(row[3]) for row in found)
        raise BlueGreenError(
            f"No prepared transaction may be left behind the fence, because it can still be committed, but found {held}: "
            "let its owner XA COMMIT or XA ROLLBACK it."
        )


def named(found: Sequence[Session]) -> str:
    """Sessions in words, for a person to find them."""
    return ", ".join(map(str, found)) or "none that is left"


def _kill(conn: Connection[Cursor], statement: str, ids: Sequence[int]) -> None:
    """End sessions, many in one round trip; one that cannot be ended ends the batch, and the rest of it follows."""
    left = list(ids)
    while left:
        batch = left[:_BATCH]
        done = 0
        try:
            with conn.cursor() as cursor:
                cursor.execute("; ".join(statement.format(number) for number in batch))
                done = 1
                while cursor.nextset():
                    done += 1
            left = left[_BATCH:]
        except pymysql.MySQLError as error:
            if code(error) not in _NOT_ENDED:
                raise
            left = left[done + 1 :]
