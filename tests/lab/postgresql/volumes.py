# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cluster volumes: made, cloned, upgraded, removed. A volume is the data directory that a cluster's writer runs on."""

from __future__ import annotations

import shutil
import struct
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path

from psycopg2 import sql

from tests.lab.engine import EngineError
from tests.lab.postgresql import privileges, template
from tests.lab.postgresql.parameters import family_of
from tests.lab.postgresql.servers import MAINTENANCE, Installation, Server

# Files in the data directory that functions in database.sql read.
START_LSN_FILE = "aurora_volume_logical_start_lsn"
VERSION_FILE = "aurora_version"
TOPOLOGY_FILE = "rds_topology.json"
IDENTITY_FILE = "rds_identity.json"
# What a copy of a running server leaves out, as pg_basebackup does; logical slots (pg_replslot) are copied: a clone of
# an Aurora volume carries them.
_NOT_COPIED = ("postmaster.pid", "postmaster.opts", "pg_wal", "global/pg_control")
_EMPTIED = ("pg_dynshmem", "pg_notify", "pg_serial", "pg_snapshots", "pg_stat_tmp", "pg_subtrans")
_SEGMENT = 16 * 1024 * 1024
# Words of the upgrade precheck, "Troubleshooting for upgrades" in the RDS user guide.
SLOTS_MESSAGE = (
    "The instance could not be upgraded because one or more databases have logical replication slots. "
    "Please drop all logical replication slots and try again."
)
PREPARED_MESSAGE = (
    "The instance could not be upgraded because there are uncommitted prepared transactions. "
    "Please commit or rollback all prepared transactions and try again."
)


@dataclass
class Volume:
    """A cluster volume and what is still to be done when its writer starts next."""

    volume_id: str
    version: str
    master: str
    directory: Path
    sockets: Path
    log: Path
    new_position: bool = True  # the next start ends the recovery that gives aurora_volume_logical_start_lsn()
    incomplete: bool = False  # functions and grants that pg_upgrade does not carry over
    password: str | None = field(default=None, repr=False)  # to be set
    source: str | None = None  # the volume that it follows
    origin: str | None = None  # the position in its source's WAL that it was copied at
    read_only: bool = False  # for every client, until a parameter group says otherwise at a start
    follower: Server | None = None  # the server that follows: the storage of a secondary cluster, no DB instance
    lock: threading.RLock = field(default_factory=threading.RLock, repr=False)  # of its servers

    @property
    def data(self) -> Path:
        """Return the data directory of the writer."""
        return self.directory / "data"

    @property
    def major(self) -> int:
        """Return the major version."""
        return family_of(self.version).major


def create(volume: Volume, installation: Installation, password: str, database: str | None) -> None:
    """Make an empty volume with its roles and databases."""
    template.copy(installation, volume.data)
    server = Server(installation, volume.data, volume.sockets, volume.log)
    server.configure(MAINTENANCE)
    server.start()
    try:
        with server.connection() as connection:
            privileges.install_roles(connection, volume.master, password)
        for name in ("template1", "postgres"):
            with server.connection(name) as connection:
                privileges.install_database(connection)
        with server.connection() as connection, connection.cursor() as cursor:
            cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(privileges.BOOTSTRAP)))
            if database and database != "postgres":
                owner = sql.Identifier(volume.master)
                cursor.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(database), owner))
    finally:
        server.stop()


def on_writer_start(volume: Volume, server: Server) -> None:
    """Finish what a clone, an upgrade or a change of password left to be done; the server has just started."""
    account = server.installation.processes.account
    if volume.new_position:
        # The checkpoint at the end of recovery: everything before it is in the volume, nothing after it.
        position = server.query("SELECT redo_lsn FROM pg_catalog.pg_control_checkpoint()")
        account.write(volume.data / START_LSN_FILE, position + "\n")
        volume.new_position = False
        volume.origin = volume.origin or position
    account.write(volume.data / VERSION_FILE, f"{volume.version}.1\n")
    if volume.incomplete:
        for name in server.databases():
            with server.connection(name) as connection:
                privileges.install_database(connection)
        volume.incomplete = False
    if volume.password is not None:
        with server.connection() as connection:
            privileges.set_password(connection, volume.master, volume.password)
        volume.password = None


def clone(source: Volume, running: Server | None, target: Volume, installation: Installation) -> None:
    """Copy a volume as a storage snapshot would: what was committed is there, and recovery ends at one position.

    Of a running source the files are copied between pg_backup_start() and pg_backup_stop() and the WAL after it, up to
    the segment being written at that moment.
    """
    if running is None:
        _copy(installation, source.data, target.data, whole=True)
    else:
        with running.connection() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT pg_catalog.pg_backup_start('clone', true)")
            _copy(installation, source.data, target.data, whole=False)
            cursor.execute("SELECT labelfile FROM pg_catalog.pg_backup_stop(false)")
            label = cursor.fetchone()
            cursor.execute("SELECT pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_flush_lsn())")
            segment = cursor.fetchone()
        assert label is not None and segment is not None
        _copy_wal(installation, source.data, target.data, str(segment[0]))
        installation.processes.account.write(target.data / "backup_label", str(label[0]))
    for slot in (target.data / "pg_replslot").glob(f"{privileges.SERVICE_SLOTS}*"):
        shutil.rmtree(slot)  # of the service's own replication to a green environment
    for name in (TOPOLOGY_FILE, IDENTITY_FILE):
        (target.data / name).unlink(missing_ok=True)  # what its source is
    target.new_position = True
    target.incomplete = source.incomplete
    target.password = source.password


def _copy(installation: Installation, source: Path, target: Path, whole: bool) -> None:
    """Copy a data directory; without the WAL and with a consistent control file when the server runs."""
    account = installation.processes.account
    command = ["cp", "-a", "--reflink=auto"]
    account.make_directory(target)
    entries = [path for path in source.iterdir() if whole or path.name not in _NOT_COPIED]
    # A running server removes files while they are copied (their removal is in the WAL); cp goes on and says so.
    process = installation.processes.spawn([*command, *map(str, entries), str(target)], subprocess.PIPE)
    output = process.communicate()[0].decode("utf-8", "replace")
    bad = [line for line in output.splitlines() if "No such file or directory" not in line]
    if process.returncode and (bad or whole):
        raise EngineError(f"The volume could not be copied: {' '.join(bad)[:500]}")
    if whole:
        return
    for name in _EMPTIED:
        for entry in (target / name).iterdir():
            entry.unlink()
    _copy_control_file(installation, source, target)


def _copy_control_file(installation: Installation, source: Path, target: Path) -> None:
    """Copy pg_control, which the server rewrites in place, when two reads agree."""
    before, after = b"", (source / "global/pg_control").read_bytes()
    while before != after:
        before, after = after, (source / "global/pg_control").read_bytes()
    path = target / "global/pg_control"
    path.write_bytes(after)
    path.chmod(0o600)
    installation.processes.account.give(path)


def _copy_wal(installation: Installation, source: Path, target: Path, last: str) -> None:
    """Copy the WAL up to a segment; later segments are spare files with old contents."""
    account = installation.processes.account
    wal = account.make_directory(target / "pg_wal")
    for path in sorted((source / "pg_wal").iterdir()):
        if path.is_dir():
            account.make_directory(wal / path.name)  # archive_status, summaries
        elif len(path.name) != len(last) or path.name <= last:
            try:
                shutil.copyfile(path, wal / path.name)
            except FileNotFoundError:
                continue  # older than what the slots and the backup need
            (wal / path.name).chmod(0o600)
            account.give(wal / path.name)


def upgrade(volume: Volume, old: Installation, new: Installation, version: str) -> None:
    """Bring a volume to another version: with pg_upgrade for another major one, else there is nothing to do but say so.

    Raises EngineError, with the words of Aurora's precheck where it has some, and leaves the volume as it was.
    """
    if new.major != old.major:
        _keep_origin(volume, old)
        _precheck(volume, old)
        _major_upgrade(volume, old, new)
        volume.new_position = True
        volume.incomplete = True
    volume.version = version


def _keep_origin(volume: Volume, installation: Installation) -> None:
    """End the recovery of a copy that was not started yet: afterwards nothing tells any more where it was made."""
    if volume.origin is not None or not volume.new_position:
        return
    server = Server(installation, volume.data, volume.sockets, volume.log)
    server.configure(MAINTENANCE)
    server.start()
    try:
        volume.origin = server.query("SELECT redo_lsn FROM pg_catalog.pg_control_checkpoint()")
    finally:
        server.stop()


def _precheck(volume: Volume, old: Installation) -> None:
    if old.major < 17 and logical_slots(volume.data):
        raise EngineError(SLOTS_MESSAGE)
    state = old.run("pg_controldata", "-D", str(volume.data))
    prepared = (volume.data / "pg_twophase").iterdir()
    if "in production" in state or any(prepared):
        # After a crash the servers' files say nothing yet about prepared transactions.
        server = Server(old, volume.data, volume.sockets, volume.log)
        server.configure(MAINTENANCE)
        server.start()
        try:
            count = server.query("SELECT count(*) FROM pg_catalog.pg_prepared_xacts")
        finally:
            server.stop()
        if count != "0":
            raise EngineError(PREPARED_MESSAGE)


def logical_slots(data: Path) -> list[str]:
    """Return the names of the logical slots in a data directory, read from their state files.

    The file starts with magic, checksum, version and length (4 bytes each), the slot's name (64 bytes) and the oid of
    its database, 0 for a physical slot (ReplicationSlotOnDisk in slot.c).
    """
    names = []
    for path in sorted((data / "pg_replslot").glob("*/state")):
        (database,) = struct.unpack_from("=I", path.read_bytes(), 16 + 64)
        if database:
            names.append(path.parent.name)
    return names


def _major_upgrade(volume: Volume, old: Installation, new: Installation) -> None:
    account = new.processes.account
    work = volume.directory / "upgrade"
    shutil.rmtree(work, ignore_errors=True)
    account.make_directory(work)
    upgraded = work / "data"
    try:
        template.copy(new, upgraded)
        for installation, data in ((old, volume.data), (new, upgraded)):
            Server(installation, data, volume.sockets, volume.log).configure(MAINTENANCE)
        new.processes.run(
            [
                *(new.binaries.program(new.major, "pg_upgrade"), "--no-sync", "-U", privileges.BOOTSTRAP),
                *("-b", str(old.binaries.directory(old.major)), "-B", str(new.binaries.directory(new.major))),
                *("-d", str(volume.data), "-D", str(upgraded), "--socketdir", str(volume.sockets)),
                *("-p", str(old.port), "-P", str(old.port + 1)),
            ],
            environment={"PGOPTIONS": "-c default_transaction_read_only=off"},
            directory=work,
        )
        replaced = volume.directory / "replaced"
        volume.data.rename(replaced)
        upgraded.rename(volume.data)
        shutil.rmtree(replaced)
    finally:
        shutil.rmtree(work, ignore_errors=True)
