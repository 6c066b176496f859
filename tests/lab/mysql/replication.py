# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the service does with a running server's binary log, replication and variables."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence

import pymysql

from tests.lab.engine import EngineError
from tests.lab.mysql.privileges import REPLICATOR
from tests.lab.mysql.servers import Server

HOUSEKEEPING_SECONDS = 5.0
_UNKNOWN_VARIABLE = 1193
_PURGE_SECONDS = 1.0  # a reader that follows needs a moment to go on to the new file
_DIRECTLY = "127.0.0.1"
_REPLICAS = (
    "SELECT processlist_id AS id, processlist_user AS user, processlist_host AS host FROM performance_schema.threads"
    " WHERE processlist_command LIKE 'Binlog Dump%'"
)
_RETENTION = "SELECT value FROM mysql.rds_configuration WHERE name = 'binlog retention hours'"


def purge(server: Server, readers: int, rotate: bool = False) -> None:
    """Remove the binary logs that retention does not keep, as far as no replica that is connected reads them.

    Without a retention the service removes what it can as soon as it can. With `rotate` the newest file is closed first,
    as it is some time on AWS, unless a replica of a client is connected. As long as one of the `readers` is not
    connected nothing is removed. The server itself keeps a file that it is sending.
    """
    if server.value(_RETENTION) is not None:
        return
    # Readers connect directly. The green of a managed deployment, with the same account, comes through an endpoint.
    own = [row["user"] == REPLICATOR and row["host"] == _DIRECTLY for row in server.rows(_REPLICAS)]
    if own.count(True) < readers:
        return
    if rotate and all(own):
        server.execute("FLUSH BINARY LOGS")
    deadline = time.monotonic() + _PURGE_SECONDS
    while len(names := [str(row["Log_name"]) for row in server.rows("SHOW BINARY LOGS")]) > 1:
        server.execute(f"PURGE BINARY LOGS TO '{names[-1]}'")
        if time.monotonic() > deadline:
            break


def resume(server: Server, cloned: bool) -> None:
    """Start the replication that ran when the server stopped; that of a clone's source is not the clone's."""
    hours = server.value(_RETENTION)
    if hours is not None:
        server.execute(f"SET GLOBAL binlog_expire_logs_seconds = {int(hours) * 3600}")
    if cloned:
        server.execute("UPDATE mysql.rds_replication_status SET action = 'stop slave' WHERE channel_name = ''")
    elif server.value("SELECT action FROM mysql.rds_replication_status WHERE channel_name = ''") == "start slave":
        server.execute("START REPLICA FOR CHANNEL ''")


def forget_binlog(server: Server) -> None:
    """Start the binary log anew, as a clone of a cluster with the enhanced binary log does."""
    executed = server.value("SELECT @@GLOBAL.gtid_executed")
    server.execute("RESET BINARY LOGS AND GTIDS", ("SET GLOBAL gtid_purged = %s", (executed,)))


def end_dumps(server: Server) -> None:
    """End what replicas have on a server that is about to be shut down: it would wait 8 s for them."""
    with contextlib.suppress(EngineError):  # they end by themselves, or the server is gone
        server.execute(*(f"KILL {row['id']}" for row in server.rows(_REPLICAS)))


class Housekeeping(threading.Thread):
    """Removes the binary logs of all writers that retention does not keep, every few seconds."""

    def __init__(self, writers: Callable[[], Sequence[tuple[Server, int]]]) -> None:
        """Prepare the thread; `writers` gives those with a binary log, each with how many readers follow it."""
        super().__init__(name="housekeeping", daemon=True)
        self._writers = writers
        self._over = threading.Event()

    def run(self) -> None:
        """Work until `stop`."""
        while not self._over.wait(HOUSEKEEPING_SECONDS):
            for server, readers in self._writers():
                with contextlib.suppress(EngineError):  # it has just been stopped, or is busy; there is a next time
                    purge(server, readers)

    def stop(self) -> None:
        """End the work soon."""
        self._over.set()


def set_variables(server: Server, changed: Mapping[str, str], unset: Sequence[str]) -> None:
    """Set global variables of a running server, some to its own defaults; one that it does not have is nothing to it.

    Raises EngineError with the server's words when it does not take a value.
    """
    connection = server.connect()
    try:
        with connection.cursor() as cursor:
            for name, value in [*changed.items(), *((name, None) for name in unset)]:
                with contextlib.suppress(_Unknown):
                    _set(cursor, name, value)
    finally:
        connection.close()


class _Unknown(Exception):
    """The server does not have a variable."""


def _set(cursor: pymysql.cursors.Cursor, name: str, value: str | None) -> None:
    try:
        if value is None:
            cursor.execute(f"SET GLOBAL `{name}` = DEFAULT")
        else:
            cursor.execute(f"SET GLOBAL `{name}` = %s", (int(value) if value.lstrip("-").isdigit() else value,))
    except pymysql.MySQLError as error:
        if error.args[0] == _UNKNOWN_VARIABLE:
            raise _Unknown from None
        raise EngineError(f"The server did not take {name} = {value}: {error.args[-1]}") from None
