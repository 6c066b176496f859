# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Readers: servers on copies of the writer's volume that follow its binary log.

An Aurora reader shares the writer's storage. Here it has a copy of it, taken when it starts, and a replication channel
of the service's own. What follows from that and is not as on AWS:

* What the writer does outside its binary log (`sql_log_bin = 0`) is not seen on a reader that runs. It is there after a
  failover: the new writer runs on the writer's own volume, not on the reader's copy.
* Without a binary log (`binlog_format = OFF`) a reader keeps what it had when it started.
* `innodb_read_only` is OFF: a server that has it cannot follow. `read_only` and `super_read_only` are ON.
* SHOW REPLICA STATUS on a reader shows the service's channel.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

from tests.lab.engine import EngineError
from tests.lab.mysql import privileges
from tests.lab.mysql.privileges import REPLICATOR
from tests.lab.mysql.servers import Server
from tests.lab.mysql.volumes import Volume

CHANNEL = "rds_reader"
SETTINGS: Mapping[str, str] = {
    "loose-read-only": "ON",
    "super-read-only": "ON",
    "loose-event-scheduler": "OFF",
    "log-replica-updates": "OFF",
    # What the writer did outside its binary log must not stop a reader.
    "replica-exec-mode": "IDEMPOTENT",
    "replica-skip-errors": "all",
}


def settings(writer: Mapping[str, str]) -> dict[str, str]:
    """Return a reader's configuration from what a writer with the same parameters would have."""
    kept = {name: value for name, value in writer.items() if "replicate-" not in name}
    return {**kept, **SETTINGS}


def follow(reader: Server, writer: Server, volume: Volume, at: tuple[str, int] | None) -> None:
    """Let a reader follow the writer from where its copy ends."""
    if reader.value("SELECT @@GLOBAL.gtid_mode") == "ON":
        position = "SOURCE_AUTO_POSITION = 1"
    elif at is not None:
        position = f"SOURCE_AUTO_POSITION = 0, SOURCE_LOG_FILE = '{at[0]}', SOURCE_LOG_POS = {at[1]}"
    else:
        return
    reader.execute(
        (
            "CHANGE REPLICATION SOURCE TO SOURCE_HOST = %s, SOURCE_PORT = %s, SOURCE_USER = %s, SOURCE_PASSWORD = %s,"
            f" SOURCE_SSL = 1, SOURCE_CONNECT_RETRY = 1, SOURCE_RETRY_COUNT = 86400, {position} FOR CHANNEL '{CHANNEL}'",
            (writer.settings["bind-address"], writer.installation.port, REPLICATOR, volume.replicator),
        ),
        f"START REPLICA FOR CHANNEL '{CHANNEL}'",
    )


def set_master_password(reader: Server, volume: Volume, password: str) -> None:
    """Give the master user of a reader the password that the writer's has got, which is not in the binary log."""
    if reader.running():
        changes = privileges.master(volume.master, password)
        reader.execute("SET GLOBAL super_read_only = OFF", *changes, "SET GLOBAL super_read_only = ON")


def pause(reader: Server) -> None:
    """Let a reader not look for a writer that is being shut down; the next one's start turns it to that."""
    with contextlib.suppress(EngineError):  # without a channel there is nothing to pause
        reader.execute(f"STOP REPLICA IO_THREAD FOR CHANNEL '{CHANNEL}'")


def turn(reader: Server, writer: Server, volume: Volume) -> None:
    """Let a reader that followed another writer of the same volume go on with this one, from where it is."""
    found = reader.rows(f"SHOW REPLICA STATUS FOR CHANNEL '{CHANNEL}'") if reader.running() else []
    if not found:
        return
    reader.execute(f"STOP REPLICA FOR CHANNEL '{CHANNEL}'")
    status = reader.rows(f"SHOW REPLICA STATUS FOR CHANNEL '{CHANNEL}'")[0]
    follow(reader, writer, volume, (status["Relay_Source_Log_File"], int(status["Exec_Source_Log_Pos"])))
