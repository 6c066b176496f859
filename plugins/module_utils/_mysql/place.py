# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Where the clone's data ends in blue's log, and whether that can be believed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

try:
    import pymysql
except ImportError:  # refused in connection.require_driver()
    pass

from .._core.errors import BlueGreenError, words
from .._core.names import Names
from . import canary, record
from .canary import Bounds
from .connection import code, rows, value
from .coordinates import Coordinates, binary_logs, current, gtid_executed, subtract
from .dialect import Dialect
from .prepare import HEARTBEAT, PREPARED_AT, PREPARED_ON

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

    from .status import State

Checked = Literal["gtid", "canary", "bounds"]
GtidPolicy = Literal["auto", "required", "off"]

ANEW = "delete green, then clone again"
# Where an event group, or the end of a file, begins: nothing is cut in two there.
_BOUNDARY = re.compile(r"(?:Anonymous_)?Gtid.*|Rotate|Stop|Format_desc|Previous_gtids")
_CHANGE = re.compile(r"Query|Write_rows|Update_rows|Delete_rows|Xid")
_EVENTS_READ = 1000  # of what green wrote itself the first comes at once, because blue was not written to before
_NO_SUCH_PLACE = 1220
_FIRST_TRUSTED = (2, 10)
_FIRST_TRUSTED_ENHANCED = (8, 4, 8)


@dataclass(frozen=True)
class Reported:
    """What the service says about the clone: the position, as its event has it, and what its word depends on."""

    position: str | None = None
    engine_version: str = ""
    enhanced_binlog: bool = False


@dataclass(frozen=True)
class Found:
    """Green's position and what it was checked by: ``gtid`` is exact, ``canary`` within 0.1 s of writes, ``bounds`` coarse.

    ``closed``: the end of green's own log, when green is no clone but served before blue did: what it wrote until there, blue has.
    """

    at: Coordinates
    checked: Checked
    closed: Coordinates | None = None


def doubt(engine_version: str, *, enhanced: bool) -> str | None:
    """Why the event of a version such as ``8.0.mysql_aurora.3.10.0`` may report a wrong position, None when it does not.

    Sources: release notes of Aurora MySQL 2.10.0 ("incorrect reported binlog filename and position from InnoDB after crash
    recovery", fixed there) and 8.4.8 (enhanced binlog, "incorrect binary log coordinates after a snapshot restore", fixed).
    """
    version = tuple(map(int, re.findall(r"\d+", engine_version.rpartition("mysql_aurora.")[2])))
    if version and version < _FIRST_TRUSTED:
        return f"Aurora MySQL {engine_version} is older than 2.10 and may report a wrong position after crash recovery"
    if enhanced and version < _FIRST_TRUSTED_ENHANCED:
        return f"Aurora MySQL {engine_version} is older than 8.4.8 and may report a wrong position with the enhanced binary log"
    return None


def mode(policy: GtidPolicy, blue: str, green: str) -> Literal["gtid", "position"]:
    """How green is to follow blue, given the GTID mode of both; raises :class:`BlueGreenError` when GTIDs are required."""
    both = blue == green == "ON"
    if policy == "required" and not both:
        raise BlueGreenError(
            f"gtid=required, but gtid_mode is {blue} on blue and {green} on green: set gtid-mode and enforce_gtid_consistency to ON "
            "in the DB cluster parameter groups of both and reboot the writers, or use gtid=auto."
        )
    return "gtid" if both and policy != "off" else "position"


def refuse_stranger(blue: Connection[Cursor], green: Connection[Cursor], names: Names) -> None:
    """Raise :class:`BlueGreenError` unless green is a clone of this blue, made after ``prepared``."""
    token = record.marker(blue, names.deployment_id, HEARTBEAT) if record.complete(blue) else None
    if token is None:
        raise BlueGreenError(
            "Blue should have been brought to state=prepared before it was cloned, but has no heartbeat: run state=prepared on blue, "
            f"{ANEW}."
        )
    if not record.complete(green) or record.marker(green, names.deployment_id, HEARTBEAT) != token:
        raise BlueGreenError(
            "Green should have blue's heartbeat, which shows that it was cloned from this blue after state=prepared, but has not: "
            f"check the addresses, or {ANEW}."
        )


def served_before(blue: Connection[Cursor], green: Connection[Cursor], names: Names) -> bool:
    """Whether green is no clone but the older one, as on a way back: ``prepared`` ran there, and what it noted is of its log."""
    on = record.notes(green, names.deployment_id).get(PREPARED_ON)
    return on is not None and on != str(value(blue, "SELECT @@server_uuid"))


def by_gtid(blue: Connection[Cursor], green: Connection[Cursor]) -> Found:
    """Green's own set of GTIDs; raises :class:`BlueGreenError` for one that blue does not know."""
    executed = gtid_executed(green)
    errant = subtract(green, executed, gtid_executed(blue))  # blue is asked later, so that nothing in flight is missing
    if errant:
        raise BlueGreenError(
            f"Green should hold nothing but what blue wrote, but has executed {errant} by itself: somebody has written on the clone; "
            f"{ANEW} and let nobody write there."
        )
    return Found(Coordinates("", 0, executed), "gtid")


def by_position(
    blue: Connection[Cursor], green: Connection[Cursor], names: Names, given: str | None, reported: Reported
) -> Found:
    """The given or the reported position, when everything that can be known agrees with it."""
    text = given or reported.position
    if text is None:
        raise BlueGreenError(
            "Green's position should be in the event 'Binlog position from crash recovery' of its writer, but there is no such event: "
            "they are kept for 14 days; give the option position, or use GTIDs on both sides."
        )
    at = Coordinates.parse(text)
    _refuse_outside(blue, at)
    bounds = canary.bounds(blue, green, names.deployment_id)
    wrong = (
        None if given else doubt(reported.engine_version, enhanced=reported.enhanced_binlog or enhanced_binlog(green))
    )
    if bounds is None and wrong:
        raise BlueGreenError(
            f"{wrong}, so it has to be checked by a canary, but none was written while green was cloned: run binlog_canary on "
            f"blue beside the clone, or use GTIDs on both sides; {ANEW}."
        )
    checked: Checked = "bounds" if bounds is None else "canary"
    served = served_before(blue, green, names)
    bounds = bounds or (Bounds(None, None) if served else _since_prepared(green, names))
    if not bounds.holds(at):
        raise BlueGreenError(
            f"Green's position should be {bounds}, as the rows in it show, but {'the option position' if given else 'the event'} says "
            f"{at}, which would lose or repeat what was written in between: {'correct it, or ' if given else ''}{ANEW}."
        )
    _refuse_split(blue, at)
    _refuse_own(blue, green, at)
    return Found(at, checked, current(green, Dialect.of(green)) if served else None)


def clean(blue: Connection[Cursor], green: Connection[Cursor], state: State) -> None:
    """Raise :class:`BlueGreenError` when green has GTIDs that blue does not know; also where they do not give the position."""
    if state.green is not None and state.blue.gtid_mode == state.green.gtid_mode == "ON":
        by_gtid(blue, green)


def _refuse_outside(blue: Connection[Cursor], at: Coordinates) -> None:
    logs = binary_logs(blue)
    if at.file not in logs:
        first = next(iter(logs), "none")
        raise BlueGreenError(
            f"Blue's binary log should still have the file of green's position {at}, but begins with {first}: it was purged, so green "
            f"cannot be brought in sync; raise binlog_retention_hours in state=prepared, {ANEW}."
        )
    if at.offset > logs[at.file]:
        raise BlueGreenError(
            f"Green's position {at} should be in blue's binary log, but the file has {logs[at.file]} bytes only: the position is not "
            f"one of this blue's; give the right one, or {ANEW}."
        )


def _since_prepared(green: Connection[Cursor], names: Names) -> Bounds:
    noted = record.notes(green, names.deployment_id).get(PREPARED_AT)
    return Bounds(Coordinates.parse(noted) if noted else None, None)


def _refuse_split(blue: Connection[Cursor], at: Coordinates) -> None:
    """A transaction must begin at the place in blue's log: an offset in the middle of one is not a position."""
    try:
        found = rows(blue, f"SHOW BINLOG EVENTS IN %s FROM {at.offset} LIMIT 1", (at.file,))
    except pymysql.MySQLError as error:
        if code(error) != _NO_SUCH_PLACE:
            raise
        raise BlueGreenError(
            f"A transaction should begin at green's position {at} in blue's log, but the log cannot be read from there "
            f"({words(error)}): the position is wrong; give the right one, or {ANEW}."
        ) from None
    kind = str(found[0][2]) if found else "Stop"
    if not _BOUNDARY.fullmatch(kind):
        raise BlueGreenError(
            f"A transaction should begin at green's position {at} in blue's log, but an event {kind} is there: the position is in the "
            f"middle of a transaction; give the right one, or {ANEW}."
        )


def _refuse_own(blue: Connection[Cursor], green: Connection[Cursor], at: Coordinates) -> None:
    """Blue's log from there on holds nothing that green wrote itself, which blue got from it before it was opened."""
    mine = int(value(green, "SELECT @@GLOBAL.server_id"))
    found = rows(blue, f"SHOW BINLOG EVENTS IN %s FROM {at.offset} LIMIT {_EVENTS_READ}", (at.file,))
    own = [event for event in found if int(event[3]) == mine and _CHANGE.match(str(event[2]))]
    if own:
        raise BlueGreenError(
            f"Blue's log from green's position {at} on should hold nothing that green wrote itself, but at {at.file}:{own[0][1]} it "
            f"does (server_id {mine}), so the position is too early: give the one at which blue was opened, or {ANEW}."
        )


def enhanced_binlog(conn: Connection[Cursor]) -> bool:
    """Whether the server says that its binary log is the enhanced one."""
    return str(value(conn, "SHOW GLOBAL STATUS LIKE 'aurora_enhanced_binlog'", column=1)).upper() == "ACTIVE"
