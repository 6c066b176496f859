# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes that follow another one, as that of a secondary cluster in a global database.

On AWS the storage replicates, with or without DB instances. Here a server that no client can reach is a physical
standby on the volume's own files; it streams from the writer of the source and the volume's readers stream from it.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from tests.lab.engine import EngineError
from tests.lab.postgresql.parameters import falls_short
from tests.lab.postgresql.privileges import BOOTSTRAP
from tests.lab.postgresql.servers import Installation, Server
from tests.lab.postgresql.volumes import Volume

STREAM_SECONDS = 30.0
CHECKPOINT = re.compile(r"^Latest checkpoint location:\s+([0-9A-F]+/[0-9A-F]+)$", re.MULTILINE)


def copy_of(installation: Installation, data: Path, sockets: Path, name: str) -> str:
    """Copy the server with these sockets to `data`, ready to be its standby; return the primary_conninfo."""
    primary = f"host={sockets} port={installation.port} user={BOOTSTRAP} application_name={name}"
    arguments = ("-D", str(data), "-X", "stream", "-c", "fast", "--no-sync", "-R", "-d", primary)
    installation.run("pg_basebackup", *arguments)
    return primary


def follow(source: Volume, settings: Mapping[str, str], target: Volume, installation: Installation, log: Path) -> None:
    """Make the target a copy of the source, whose writer runs with `settings`, and let it follow."""
    end(target)
    shutil.rmtree(target.data, ignore_errors=True)
    primary = copy_of(installation, target.data, source.sockets, target.volume_id)
    target.version, target.source = source.version, source.volume_id
    target.new_position, target.incomplete, target.password = True, source.incomplete, source.password
    server = Server(installation, target.data, target.sockets, log)
    server.configure({**settings, "listen_addresses": "", "primary_conninfo": primary})
    server.start()
    target.follower = server


def keep_up(target: Volume, settings: Mapping[str, str]) -> bool:
    """Start the following server again when its source has more of what a standby must have; return whether it was."""
    server = target.follower
    more = falls_short(server.settings, settings) if server is not None else {}
    if server is None or not more:
        return False
    server.stop()
    server.configure({**server.settings, **more})
    server.start()
    return True


def end(volume: Volume) -> None:
    """Stop following, without becoming anything else."""
    if volume.follower is not None:
        volume.follower.stop(immediate=True)
    volume.follower = volume.source = None


def check_complete(volume: Volume, source: Volume, installation: Installation) -> None:
    """Wait until everything of a source whose servers were shut down is here; EngineError when it does not come.

    A server that shuts down sends everything up to its last checkpoint to the standbys that are connected.
    """
    found = CHECKPOINT.search(installation.run("pg_controldata", "-D", str(source.data)))
    if found is None or volume.follower is None:
        raise EngineError(f"The volume {volume.volume_id} does not follow {source.volume_id}.")
    statement = f"SELECT pg_catalog.pg_last_wal_replay_lsn() > '{found.group(1)}'"
    deadline = time.monotonic() + STREAM_SECONDS
    while volume.follower.query(statement) != "True":
        if time.monotonic() > deadline:
            raise EngineError(f"The volume {volume.volume_id} did not get everything of {source.volume_id}.")
        time.sleep(0.02)


def promote(volume: Volume) -> None:
    """End the recovery, so that the volume goes its own way on a timeline of its own, and stop its server."""
    server = volume.follower
    if server is None:
        raise EngineError(f"The volume {volume.volume_id} follows no other.")
    server.query("SELECT pg_catalog.pg_promote(true, 60)")
    server.stop()
    volume.follower = volume.source = None
