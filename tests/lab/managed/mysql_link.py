# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MySQL: green follows blue's binary log with the service's own account."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from typing import Any

from tests.lab.engine import EngineError
from tests.lab.managed import metadata
from tests.lab.managed.ends import SIDES, Ends, numbered
from tests.lab.managed.link import Health, SideName, TopologyRow
from tests.lab.mysql import MySQLEngine
from tests.lab.mysql.privileges import OWN_USERS, REPLICATOR
from tests.lab.mysql.servers import Server

CONNECT_SECONDS = 5.0
END_SECONDS = 20.0

# The name of no file: what a volume without any transaction of the binary log has as its position.
NO_FILE = ("mysql-bin-changelog.000000", 4)
_OWN = ", ".join(f"'{name}'" for name in (*OWN_USERS, "system user"))
_SESSIONS = (
    "SELECT processlist_id AS id FROM performance_schema.threads WHERE type = 'FOREGROUND'"
    f" AND processlist_id IS NOT NULL AND COALESCE(processlist_user, '') NOT IN ({_OWN})"
    " AND COALESCE(processlist_command, '') NOT IN ('Binlog Dump', 'Binlog Dump GTID', 'Daemon')"
)
_WRITERS = (
    "SELECT t.trx_mysql_thread_id AS id, TIMESTAMPDIFF(SECOND, t.trx_started, NOW()) AS age"
    "  FROM information_schema.innodb_trx AS t JOIN performance_schema.threads AS p"
    "    ON p.processlist_id = t.trx_mysql_thread_id"
    f" WHERE t.trx_rows_modified > 0 AND p.type = 'FOREGROUND' AND COALESCE(p.processlist_user, '') NOT IN ({_OWN})"
)
_NO_TRANSACTION = {"Format_desc", "Previous_gtids", "Rotate", "Stop"}


class MySQLLink:
    """`tests.lab.managed.link.Link` for Aurora MySQL and RDS for MySQL."""

    long_seconds = 10.0  # a transaction that has written and is older is a long-running one

    def __init__(self, engine: MySQLEngine, ends: Ends) -> None:
        """Describe the link; nothing is done yet."""
        self._engine = engine
        self._ends = ends
        self._events: dict[SideName, str] = {}  # event_scheduler of each side before its writes were stopped

    def _server(self, side: SideName) -> Server:
        """Return a side's writer; raises EngineError when it does not run."""
        volume = self._ends.volume(side)
        servers = self._engine.servers(volume)
        if not servers:
            raise EngineError(f"The writer of the {side} environment does not run.")
        return servers[0]

    def prepare(self) -> None:
        """See that blue has a binary log; the service keeps that of a DB instance as long as green needs it."""
        if not self._server("blue").value("SELECT @@GLOBAL.log_bin"):
            raise EngineError("Blue Green Deployments requires cluster parameter group has binlog enabled.")
        if self._ends.standalone:
            self._engine.volume(self._ends.source.volume_id).followers.add(self._ends.target.volume_id)

    def start(self) -> None:
        """Let green only read and follow blue; that it does not get what it asks blue for is told by `health`."""
        blue, green = self._server("blue"), self._server("green")
        self._engine.set_read_only(self._ends.target.volume_id, True)
        password = self._engine.volume(self._ends.source.volume_id).replicator
        host, port = self._ends.address()
        position, values = self._position(blue, green)
        change = (
            "CHANGE REPLICATION SOURCE TO SOURCE_HOST = %s, SOURCE_PORT = %s, SOURCE_USER = %s, SOURCE_PASSWORD = %s,"
            " SOURCE_BIND = %s, SOURCE_SSL = 1, SOURCE_CONNECT_RETRY = 1, SOURCE_RETRY_COUNT = 86400,"
            f" {position} FOR CHANNEL ''"
        )
        bind = green.settings["bind-address"]
        green.execute(
            "STOP REPLICA FOR CHANNEL ''",
            "RESET REPLICA ALL FOR CHANNEL ''",
            (change, (host, port, REPLICATOR, password, bind, *values)),
            (
                "CALL mysql.rds_record_replication('start slave', %s, %s, %s, NULL, NULL, NULL)",
                (host, port, REPLICATOR),
            ),
            "START REPLICA FOR CHANNEL ''",
        )
        deadline = time.monotonic() + CONNECT_SECONDS
        while time.monotonic() < deadline:
            status = self._status(green)
            if status.get("Replica_IO_Running") == "Yes" or int(status.get("Last_IO_Errno") or 0):
                return
            time.sleep(0.02)

    def _position(self, blue: Server, green: Server) -> tuple[str, tuple[object, ...]]:
        if {server.value("SELECT @@GLOBAL.gtid_mode") for server in (blue, green)} == {"ON"}:
            return "SOURCE_AUTO_POSITION = 1", ()
        origin = self._engine.volume(self._ends.target.volume_id).origin
        if origin is None:
            raise EngineError("The green environment does not know the position in the binary log of the blue one.")
        if green.value("SELECT @@GLOBAL.log_bin") and not _has_transactions(green, origin[0]):
            origin = NO_FILE
        return "SOURCE_AUTO_POSITION = 0, SOURCE_LOG_FILE = %s, SOURCE_LOG_POS = %s", origin

    @staticmethod
    def _status(green: Server) -> dict[str, Any]:
        return next(iter(green.rows("SHOW REPLICA STATUS FOR CHANNEL ''")), {})

    def health(self) -> Health:
        """Read both threads of green's replication, with the words that the service has for their errors."""
        status = self._status(self._server("green"))
        behind = status.get("Seconds_Behind_Source")
        running = status.get("Replica_IO_Running") == "Yes" and status.get("Replica_SQL_Running") == "Yes"
        return Health(running, float(behind or 0), None if running else _error(status))

    def objections(self, side: SideName) -> list[str]:
        """Look for an external source of blue, for long transactions on blue, and for any that write on green."""
        server, found = self._server(side), []
        writers = server.rows(_WRITERS)
        if side == "green":
            return ["the green environment has active writes"] if writers else []
        if self._status(server).get("Replica_IO_Running") in ("Yes", "Connecting"):
            found.append("the blue environment is a replica of an external source that replicates")
        if any(int(row["age"] or 0) >= self.long_seconds for row in writers):
            found.append("the blue environment has long-running active writes")
        return found

    def degraded(self) -> str | None:
        """Return None: the binary log carries every change."""
        return None

    def stop_writes(self) -> None:
        """Let no client and no event of a schedule write on either side."""
        for volume in self._ends.volumes():
            self._engine.refuse_clients(volume, True)
        for side in SIDES:
            server = self._server(side)
            self._events.setdefault(side, str(server.value("SELECT @@GLOBAL.event_scheduler")))
            if self._events[side] == "ON":
                server.execute("SET GLOBAL event_scheduler = OFF")
            _end_sessions(server)
            self._engine.set_read_only(self._ends.volume(side), True)

    def caught_up(self) -> bool:
        """Compare blue's coordinates, read now, with what green has executed."""
        blue, green = self._server("blue"), self._server("green")
        at, status = blue.rows("SHOW BINARY LOG STATUS")[0], self._status(green)
        if status.get("Auto_Position"):
            executed = at["Executed_Gtid_Set"]
            return bool(green.value("SELECT GTID_SUBSET(%s, @@GLOBAL.gtid_executed)", (executed,)))
        done = (str(status.get("Relay_Source_Log_File")), int(status.get("Exec_Source_Log_Pos") or 0))
        return done >= (str(at["File"]), int(at["Position"]))

    def finish(self) -> str | None:
        """End the replication; return green's coordinates."""
        green = self._server("green")
        self._unfollow(green)
        at = next(iter(green.rows("SHOW BINARY LOG STATUS")), None)
        return None if at is None else f"{at['File']} {at['Position']}"

    def _unfollow(self, green: Server) -> None:
        green.execute(
            "STOP REPLICA FOR CHANNEL ''",
            "RESET REPLICA ALL FOR CHANNEL ''",
            "CALL mysql.rds_record_replication('reset slave', NULL, NULL, NULL, NULL, NULL, NULL)",
        )
        self._forget()

    def _forget(self) -> None:
        self._engine.volume(self._ends.source.volume_id).followers.discard(self._ends.target.volume_id)

    def open(self, side: SideName) -> None:
        """Let a side be written to, the other one be read, and clients come to both."""
        other: SideName = "green" if side == "blue" else "blue"
        self._engine.set_read_only(self._ends.volume(other), True)
        self._engine.set_read_only(self._ends.volume(side), False)
        self._restore()

    def _restore(self) -> None:
        for one in SIDES:
            if self._events.pop(one, None) == "ON":
                self._server(one).execute("SET GLOBAL event_scheduler = ON")
        for volume in self._ends.volumes():
            self._engine.refuse_clients(volume, False)

    def publish(self, rows: Sequence[TopologyRow], sides: Sequence[SideName] = SIDES) -> None:
        """Write the rows on every server of these sides, each with the number that its writer has."""
        numbers = [str(self._server(side).settings["server-id"]) if rows else "" for side in SIDES]
        for side in sides:
            for server in self._engine.servers(self._ends.volume(side)):
                metadata.publish_mysql(server, numbered(rows, *numbers))

    def drop(self) -> None:
        """Leave nothing of the deployment on either side."""
        for side in SIDES:
            for server in self._engine.servers(self._ends.volume(side)):
                metadata.publish_mysql(server, ())
        green = self._engine.servers(self._ends.target.volume_id)
        if green and self._status(green[0]):
            self._unfollow(green[0])
        with contextlib.suppress(EngineError):  # blue's volume may be gone
            self._forget()
        for side in SIDES:
            with contextlib.suppress(EngineError):
                self._engine.set_read_only(self._ends.volume(side), False)
        for volume in self._ends.volumes():
            self._engine.refuse_clients(volume, False)


def _has_transactions(green: Server, last: str) -> bool:
    """Say whether blue had written anything to its binary log when it was copied.

    Seed 004 reports error 1236 from a deployment of a source whose binary log had just been turned on, and that a write
    is the cure. A volume knows the position of its last transaction; here one without any knows none.
    """
    names = [str(row["Log_name"]) for row in green.rows("SHOW BINARY LOGS")]
    copied = [name for name in names if name <= last]
    if not copied or not copied[0].endswith(".000001"):
        return True  # there were older ones, which retention has removed
    for name in copied:
        events = green.rows(f"SHOW BINLOG EVENTS IN '{name}' LIMIT 5")
        if any(row["Event_type"] not in _NO_TRANSACTION for row in events):
            return True
    return False


def _error(status: dict[str, Any]) -> str:
    for kind in ("IO", "SQL"):
        if number := int(status.get(f"Last_{kind}_Errno") or 0):
            text = str(status[f"Last_{kind}_Error"]).replace("from source when", "from master when")
            if "fatal error 1236" in text:  # server 8.4 has a number of its own for it
                number = 1236
            return f"{kind}Error: {number}, reason: {text}"
    return "the replication has stopped" if status else "the replication is not configured"


def _end_sessions(server: Server) -> None:
    """End every client's session and wait until its transaction is over."""
    deadline = time.monotonic() + END_SECONDS
    while sessions := server.rows(_SESSIONS):
        for row in sessions:
            with contextlib.suppress(EngineError):  # it has ended
                server.execute(f"KILL {row['id']}")
        if time.monotonic() > deadline:
            raise EngineError("The sessions of clients could not be ended.")
        time.sleep(0.01)
