# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Snapshots of several sessions that are one snapshot, without a lock that a writer waits for.

On the target the applier is held at a marker while they are taken. On the source they are taken between two looks at the
binary log, and count when it tells of no change of the table in between.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

try:
    import pymysql
except ImportError:  # connection.require_driver() says so
    pass

from .._core.verification import gather
from .connection import rows
from .coordinates import Coordinates, current
from .dialect import Dialect
from .verify_link import Link, commits_in_order
from .verify_sessions import Crew, Session
from .verify_table import Shape

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

ATTEMPTS = 20
_MOST_EVENTS = 2000
# Events that change no table, or rows of the table that a Table_map before them named.
_HARMLESS = ("Gtid", "Anonymous_Gtid", "Rows_query", "Xid", "Write_rows", "Update_rows", "Delete_rows")
_MAPPED = re.compile(r"table_id: \d+ \((?P<schema>[^.]*)\.(?P<table>.*)\)$", re.DOTALL)
_OURS = ("bluegreen", "marker")


@contextmanager
def moment(crew: Crew, link: Link, shape: Shape) -> Iterator[None]:
    """Snapshots of all readers with a marker between the sides, for as long as the block lasts.

    Where several sessions cannot have the same snapshot, one of them has it and reads alone.
    """
    try:
        with link.alone():
            crew.source.use(_together(crew, link, shape))
            held_up = len(crew.target.sessions) > 1 and link.ordered()
        if held_up:
            with link.alone(), link.hold() as held:
                held.mark()
                held.arrive(link.marker_timeout)
                gather(crew.target.each(Session.begin))
        else:
            link.pass_marker()
            gather(crew.target.each(Session.begin, 1))
            crew.target.use(1)
        yield
    finally:
        crew.end()


def _together(crew: Crew, link: Link, shape: Shape) -> int:
    """How many of the source's readers have the same snapshot of the table now."""
    count = len(crew.source.sessions)
    for _attempt in range(ATTEMPTS if count > 1 else 0):
        conn = link.writer.conn
        if not commits_in_order(conn):
            break
        dialect = Dialect.of(conn)
        begin = current(conn, dialect)
        link.write("verify")  # when this has ended, whatever is before it in the log is in the tables
        gather(crew.source.each(Session.begin))
        if untouched(conn, dialect, begin, shape):
            return count
        gather(crew.source.each(Session.end))
    gather(crew.source.each(Session.begin, 1))
    return 1


def untouched(conn: Connection[Cursor], dialect: Dialect, begin: Coordinates, shape: Shape) -> bool:
    """Whether the binary log tells of no change of the table between the first marker after ``begin`` and now."""
    end = current(conn, dialect)
    if end.file != begin.file:
        return False
    try:
        found = rows(conn, f"SHOW BINLOG EVENTS IN '{begin.file}' FROM {begin.offset} LIMIT {_MOST_EVENTS}")
    except pymysql.MySQLError:
        return False  # not for this user
    return harmless([(row[2], row[5], row[4]) for row in found], end.offset, shape)


def harmless(events: list[tuple[str, str, int]], end: int, shape: Shape) -> bool:
    """Whether ``events`` (type, text, offset of the end) reach ``end`` and change nothing of the table after our marker."""
    marked = ours = False
    for kind, text, offset in events:
        if marked and not _harmless(kind, text, shape):
            return False
        if kind == "Table_map":
            ours = _mapped(text) == _OURS
        elif kind == "Xid":
            marked |= ours
        if offset >= end:
            return marked
    return False


def _mapped(text: str) -> tuple[str, str] | None:
    named = _MAPPED.search(text)
    return (named["schema"], named["table"]) if named else None


def _harmless(kind: str, text: str, shape: Shape) -> bool:
    if kind == "Table_map":
        where = _mapped(text)
        if where is None:
            return False
        # what a foreign key changes by itself is not in the log
        return where[0] == _OURS[0] or (where != shape.name and not shape.cascades)
    if kind == "Query":
        return text == "BEGIN"
    return kind in _HARMLESS
