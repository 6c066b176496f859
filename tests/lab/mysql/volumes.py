# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cluster volumes: made, cloned, removed. A volume is the data directory that a cluster's writer runs on."""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.engine import EngineError
from tests.lab.mysql import privileges
from tests.lab.mysql.servers import BINLOG, Installation, Server

INDEX = f"{BINLOG}.index"
COPY_SECONDS = 120.0


@dataclass
class Volume:
    """A cluster volume and what is still to be done when its writer starts next."""

    volume_id: str
    version: str
    master: str
    directory: Path
    password: str | None = field(default=None, repr=False)  # of the master user, to be set
    replicator: str | None = field(default=None, repr=False)  # the password of the service's own user, once it is set
    database: str | None = None  # to be made
    installed: str | None = None  # the version whose procedures and rights are there
    cloned: bool = False  # since its last start
    without_binlog: bool = False  # a clone whose source had the enhanced binary log: the files are not part of it
    origin: tuple[str, int] | None = None  # the position in its source's binary log that it was copied at
    read_only: bool = False  # for every client, until a parameter group says otherwise at a start
    followers: set[str] = field(
        default_factory=set
    )  # volumes that the service keeps the binary log for, whatever the retention
    offset: int = 0  # a fault: what the next start reports is wrong by so many bytes
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)  # of its servers

    @property
    def data(self) -> Path:
        """Return the data directory of the writer."""
        return self.directory / "data"

    @property
    def run(self) -> Path:
        """Return the directory of the writer's configuration and socket."""
        return self.directory / "run"


def create(volume: Volume, template: Path, installation: Installation) -> None:
    """Make an empty volume; its users and its first database are made when its writer starts."""
    copy(installation, template, volume.data)
    installation.processes.run(["chmod", "-R", "go=", str(volume.data)])  # the template can be read by everybody


def copy(installation: Installation, source: Path, target: Path) -> None:
    """Copy a data directory, sharing its blocks where the file system can."""
    command = ["cp", "-a", "--reflink=auto", "--sparse=auto", str(source), str(target)]
    installation.processes.run(command, timeout=COPY_SECONDS)
    (target / "auto.cnf").unlink(missing_ok=True)  # each copy makes a server_uuid of its own


def snapshot(source: Volume, running: Server | None, target: Path, installation: Installation) -> None:
    """Copy a volume as its storage is at one moment, as a clone or a reader finds it: after a crash."""
    if running is None:
        copy(installation, source.data, target)
        return
    with running.frozen():
        copy(installation, source.data, target)


def clone(source: Volume, running: Server | None, target: Volume, installation: Installation) -> None:
    """Make a volume that is a crash-consistent copy of another one, its binary log and replica settings included."""
    snapshot(source, running, target.data, installation)
    target.password, target.database = source.password, source.database
    target.replicator, target.installed = source.replicator, source.installed
    target.cloned = True


def last_binlog(data: Path) -> str | None:
    """Return the name of the newest binary log in a data directory, None when there is none."""
    try:
        names = (data / INDEX).read_text(encoding="utf-8").split()
    except FileNotFoundError:
        return None
    return Path(names[-1]).name if names else None


def remove_binlog(data: Path) -> None:
    """Remove the binary log that was written before it was turned off: what it ends with says nothing later."""
    for path in data.glob(f"{BINLOG}.*"):
        path.unlink()


def on_writer_start(volume: Volume, server: Server, sleeps: bool) -> None:
    """Finish what is left to be done in a volume; its writer has just started and nobody can reach it yet."""
    if volume.installed != volume.version:
        server.execute(*privileges.rights(volume.version), *privileges.procedures(volume.version, sleeps))
        volume.installed = volume.version
    if volume.replicator is None:
        password = secrets.token_urlsafe(18)
        server.execute((f"ALTER USER '{privileges.REPLICATOR}'@'%%' IDENTIFIED BY %s ACCOUNT UNLOCK", (password,)))
        volume.replicator = password
    if volume.password is not None:
        server.execute(*privileges.master(volume.master, volume.password))
        volume.password = None
    if volume.database is not None:
        server.execute(f"CREATE DATABASE IF NOT EXISTS `{volume.database.replace('`', '``')}`")
        volume.database = None


def recovered_position(data: Path, file: str | None) -> tuple[str, int] | None:
    """Return where the recovery that has just ended found the end of the binary log; `file` was the newest before it.

    The server cuts off what is not a whole transaction and goes on in a new file, so that the old one's size is the
    position that everything in the volume is before, and nothing else.
    """
    if file is None:
        return None
    try:
        return file, (data / file).stat().st_size
    except FileNotFoundError:
        raise EngineError(f"The binary log {file} of a volume is gone.") from None
