# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Where a server is in its binary log, and where a replica is in its source's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .._core.errors import BlueGreenError
from .connection import dicts, rows, value
from .dialect import Dialect

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor

_TEXT = re.compile(r"(?P<file>[^\s:]+\.\d+)[:\s]+(?P<offset>\d+)")


@dataclass(frozen=True)
class Coordinates:
    """A place in a binary log: the file, the byte offset in it, and, with GTIDs on, the set executed until there.

    Where only the set is known the file is empty.
    """

    file: str
    offset: int
    gtid_executed: str = ""

    @classmethod
    def parse(cls, text: str) -> Coordinates:
        """``mysql-bin-changelog.000003:99358949`` or with a space, as the service's event writes it."""
        found = _TEXT.fullmatch(text.strip())
        if not found:
            raise BlueGreenError(
                f"A position must look like mysql-bin-changelog.000003:99358949, but is {text!r}: correct it."
            )
        return cls(found["file"], int(found["offset"]))

    @property
    def order(self) -> tuple[int, int]:
        """What to compare two places of one server's log by."""
        return int(self.file.rpartition(".")[2] or 0), self.offset

    def __str__(self) -> str:
        return f"{self.file}:{self.offset}" if self.file else self.gtid_executed


@dataclass(frozen=True)
class Channel:
    """The replication into a server, from SHOW REPLICA STATUS; coordinates are those of the source's log.

    ``io`` is Yes, No or Connecting. An error is the server's own text with its number, None when there is none.
    """

    source_host: str
    source_port: int
    user: str
    io: str
    applier: bool
    auto_position: bool
    read: Coordinates | None
    applied: Coordinates | None
    retrieved: str
    source_uuid: str
    seconds_behind: int | None
    io_error: str | None
    applier_error: str | None

    @property
    def running(self) -> bool:
        """Whether the source is connected and what it sends is applied."""
        return self.io == "Yes" and self.applier

    @property
    def stopped(self) -> bool:
        """Whether nothing of it runs."""
        return self.io == "No" and not self.applier

    @property
    def error(self) -> str | None:
        """What stopped it, the applier's error first."""
        return self.applier_error or self.io_error


def current(conn: Connection[Cursor], dialect: Dialect) -> Coordinates:
    """The end of the server's binary log; raises :class:`BlueGreenError` when it writes none."""
    found = dicts(conn, dialect.name("binlog_status"))
    if not found:
        raise BlueGreenError(
            "The server should write a binary log, but it is off: set binlog_format to ROW in the DB cluster parameter group "
            "and reboot the writer."
        )
    return Coordinates(found[0]["File"], int(found[0]["Position"]), gtid_executed(conn))


def gtid_executed(conn: Connection[Cursor]) -> str:
    """The GTIDs that the server has executed, without white space; empty with GTIDs off."""
    return plain(str(value(conn, "SELECT @@GLOBAL.gtid_executed") or ""))


def plain(gtid_set: str) -> str:
    """A GTID set without white space: the server breaks its lines."""
    return "".join(gtid_set.split())


def channel(conn: Connection[Cursor], dialect: Dialect) -> Channel | None:
    """The default replication channel into the server, None when none is configured.

    Raises :class:`BlueGreenError` when there are channels with names: those are not ours to touch.
    """
    found = [_modern(row) for row in dicts(conn, dialect.name("replica_status"))]
    others = [row["Channel_Name"] for row in found if row.get("Channel_Name")]
    if others:
        raise BlueGreenError(
            f"The server should replicate through the default channel only, but has the channels {', '.join(others)}: "
            "end that replication first."
        )
    return _channel(found[0]) if found else None


def subtract(conn: Connection[Cursor], minuend: str, subtrahend: str) -> str:
    """The GTIDs of the first set that the second one lacks, reckoned by the server."""
    return plain(str(value(conn, "SELECT GTID_SUBTRACT(%s, %s)", (minuend, subtrahend)) or ""))


def transactions(gtid_set: str) -> int:
    """How many transactions a GTID set has."""
    count = 0
    for source in filter(None, plain(gtid_set).split(",")):
        for interval in source.split(":")[1:]:
            first, _dash, last = interval.partition("-")
            if first.isdigit():  # else the tag of what follows (MySQL 8.3 and later)
                count += int(last or first) - int(first) + 1
    return count


def distance(logs: Mapping[str, int], begin: Coordinates, end: Coordinates) -> int | None:
    """Bytes from one place of a server's log to a later one, None when a file in between is gone; ``logs`` as it has them."""
    between = [name for name in logs if begin.order[0] <= Coordinates(name, 0).order[0] < end.order[0]]
    if begin.file not in logs or end.file not in logs:
        return None
    return max(0, sum(logs[name] for name in between) + end.offset - begin.offset)


def binary_logs(conn: Connection[Cursor]) -> dict[str, int]:
    """The binary log files that the server still has, with their sizes in bytes, oldest first."""
    return {str(row[0]): int(row[1]) for row in rows(conn, "SHOW BINARY LOGS")}


def _modern(row: dict[str, Any]) -> dict[str, Any]:
    """A row of SHOW SLAVE STATUS under the names of SHOW REPLICA STATUS."""
    return {name.replace("Master", "Source").replace("Slave", "Replica"): content for name, content in row.items()}


def _channel(row: dict[str, Any]) -> Channel:
    executed = plain(row.get("Executed_Gtid_Set") or "")
    return Channel(
        source_host=row["Source_Host"] or "",
        source_port=int(row["Source_Port"] or 0),
        user=row["Source_User"] or "",
        io=row["Replica_IO_Running"],
        applier=row["Replica_SQL_Running"] == "Yes",
        auto_position=bool(int(row.get("Auto_Position") or 0)),
        read=_coordinates(row["Source_Log_File"], row["Read_Source_Log_Pos"]),
        applied=_coordinates(row["Relay_Source_Log_File"], row["Exec_Source_Log_Pos"], executed),
        retrieved=plain(row.get("Retrieved_Gtid_Set") or ""),
        source_uuid=row.get("Source_UUID") or "",
        seconds_behind=None if row["Seconds_Behind_Source"] is None else int(row["Seconds_Behind_Source"]),
        io_error=_error(row["Last_IO_Errno"], row["Last_IO_Error"]),
        applier_error=_error(row["Last_SQL_Errno"], row["Last_SQL_Error"]),
    )


def _coordinates(file: str | None, offset: Any, executed: str = "") -> Coordinates | None:
    return Coordinates(file, int(offset or 0), executed) if file else None


def _error(number: Any, text: str | None) -> str | None:
    return f"{' '.join(str(text).split()).rstrip('.')} (error {int(number)})" if int(number or 0) else None
