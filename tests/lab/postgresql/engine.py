# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The PostgreSQL engine of the lab: real servers behind endpoints that speak TLS."""

from __future__ import annotations

import contextlib
import shutil
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg2.extensions

from tests.lab.engine import EngineError, EngineVersion, InstanceSpec, Parameter
from tests.lab.postgresql import followers, parameters, volumes
from tests.lab.postgresql.binaries import INSTALLATIONS, fetch
from tests.lab.postgresql.ca import CertificateAuthority
from tests.lab.postgresql.endpoint_control import EndpointControl
from tests.lab.postgresql.processes import Keeper, Processes, data_root, free_port
from tests.lab.postgresql.role_watcher import RoleWatcher
from tests.lab.postgresql.server_engine import Placed, ServerEngine, account_for
from tests.lab.postgresql.servers import Installation, Server
from tests.lab.postgresql.volumes import Volume

FIRST_INTERNAL_PORT = 15432


@dataclass
class Instance(Placed[Server]):
    """A running server with what it was started with."""

    force_ssl: bool = False
    watcher: RoleWatcher | None = None


class PostgreSQLEngine(ServerEngine[Volume, Instance, Server]):
    """`tests.lab.engine.DatabaseEngine` for aurora-postgresql."""

    def __init__(
        self,
        state_dir: Path,
        ca_dir: Path | None = None,
        authority: CertificateAuthority | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Fetch the programs if needed and start the keeper and the endpoint process.

        Logs go to `state_dir/postgresql-logs`. The certificates are those of `authority`, or of a new one in `ca_dir`
        (default: `state_dir`). Data lies in `state_dir`, or in a temporary directory when the servers' user cannot
        enter that one. The servers have `environment` besides what they need. Raises EngineError when something that is
        needed is missing.
        """
        binaries = fetch()
        account = account_for(binaries.root)
        self._logs = state_dir / "postgresql-logs"
        self._logs.mkdir(parents=True)
        root = data_root(account, state_dir, "bluegreen-pg-")
        keeper = Keeper([root])
        try:
            home = account.make_directory(root / "home")
            self._processes = Processes(account, keeper, home, environment)
            self.authority = authority or CertificateAuthority(ca_dir or state_dir)
            self.ca_file = self.authority.file
            account.write(home / "ca.pem", self.ca_file.read_text(encoding="utf-8"))
            endpoints = EndpointControl(self._logs / "endpoints.log", self._before_replication)
        except BaseException:
            shutil.rmtree(root, ignore_errors=True)
            keeper.release()
            raise
        super().__init__(root, keeper, endpoints)
        port = free_port(FIRST_INTERNAL_PORT)
        self._installations = {
            major: Installation(binaries, self._processes, major, home / "ca.pem", port) for major in INSTALLATIONS
        }

    # What is offered

    def versions(self) -> Sequence[EngineVersion]:
        """Return every version that is offered."""
        return parameters.VERSIONS

    def default_parameters(self, family: str) -> Mapping[str, Parameter]:
        """Return the parameters of a family by name; EngineError for an unknown family."""
        if family not in parameters.FAMILIES:
            raise EngineError(
                f"There is no parameter group family {family}; there are {', '.join(parameters.FAMILIES)}."
            )
        return parameters.defaults(family)

    # Volumes

    def create_volume(
        self, volume_id: str, version: str, master_username: str, master_password: str, database: str | None
    ) -> None:
        """Make an empty volume; takes about 2 s."""
        volume = self._new_volume(volume_id, version, master_username)
        try:
            volumes.create(volume, self._installation(volume), master_password, database)
        except BaseException:
            self.delete_volume(volume_id)
            raise

    def _new_volume(self, volume_id: str, version: str, master: str) -> Volume:
        if version not in {entry.version for entry in parameters.VERSIONS}:
            raise EngineError(f"There is no version {version} of {parameters.ENGINE}.")
        account = self._processes.account
        with self._lock:
            if volume_id in self._volumes:
                raise EngineError(f"There is a volume {volume_id} already.")
            directory = account.make_directory(self._root / f"v{next(self._numbers)}")
            sockets = account.make_directory(directory / "s")
            volume = Volume(volume_id, version, master, directory, sockets, self._logs / f"{volume_id}-volume.log")
            self._volumes[volume_id] = volume
        return volume

    def _installation(self, volume: Volume) -> Installation:
        return self._installations[volume.major]

    def clone_volume(self, source_id: str, target_id: str) -> None:
        """Make a crash-consistent copy of a volume, running or stopped, slots and all."""
        source = self._volume(source_id)
        target = self._new_volume(target_id, source.version, source.master)
        writer = self._writer(source_id)
        try:
            volumes.clone(source, writer.server if writer else None, target, self._installation(source))
        except BaseException:
            self.delete_volume(target_id)
            raise

    def follow_volume(self, source_id: str, target_id: str) -> None:
        """Make a volume, new or not, a copy of another one that follows it; takes about 2 s."""
        source, writer = self._volume(source_id), self._writer(source_id)
        if writer is None:
            raise EngineError(f"The volume {source_id} has no running writer that can be followed.")
        with self._lock:
            new = target_id not in self._volumes
        target = self._new_volume(target_id, source.version, source.master) if new else self._volume(target_id)
        log = self._logs / f"{target_id}-follower.log"
        try:
            with target.lock:
                followers.follow(source, writer.server.settings, target, self._installation(source), log)
        except BaseException:
            if new:
                self.delete_volume(target_id)
            raise

    def promote_volume(self, volume_id: str, complete: bool) -> None:
        """Let a volume follow no longer; with `complete` only when it has all of its source."""
        volume = self._volume(volume_id)
        with volume.lock:
            if complete and volume.source is not None:
                followers.check_complete(volume, self._volume(volume.source), self._installation(volume))
            followers.promote(volume)

    def upgrade_volume(self, volume_id: str, version: str) -> None:
        """Upgrade a volume whose servers are stopped; EngineError, and the volume as it was, when that fails."""
        volume = self._volume(volume_id)
        known = {entry.version: entry for entry in parameters.VERSIONS}
        if version not in known:
            raise EngineError(f"There is no version {version} of {parameters.ENGINE}.")
        if self._writer(volume_id) is not None:
            raise EngineError(f"The writer of volume {volume_id} still runs.")
        new = self._installations[known[version].major]
        volumes.upgrade(volume, self._installation(volume), new, version)

    def set_master_password(self, volume_id: str, password: str) -> None:
        """Change the master user's password; with the writer stopped it applies when that starts."""
        volume = self._volume(volume_id)
        volume.password = password
        if (writer := self._writer(volume_id)) is not None:
            volumes.on_writer_start(volume, writer.server)

    def delete_volume(self, volume_id: str) -> None:
        """Remove a volume and everything that still runs on it."""
        for spec in self.specs(volume_id):
            self.stop(spec.instance_id, immediate=True)
        with self._lock:
            volume = self._volumes.pop(volume_id, None)
        if volume is not None:
            followers.end(volume)
            shutil.rmtree(volume.directory, ignore_errors=True)

    # Servers

    def start(self, spec: InstanceSpec) -> Sequence[str]:
        """Start a server; it accepts connections on all its addresses when this returns. It publishes nothing.

        The writer of a volume that follows another one only reads, as long as it does.
        """
        volume = self._volume(spec.volume_id)
        with volume.lock:
            self._start(spec, volume)
        return ()

    def _start(self, spec: InstanceSpec, volume: Volume) -> None:
        self.stop(spec.instance_id)
        family = parameters.family_of(volume.version).family
        settings = parameters.server_settings(family, spec.parameters)
        settings["listen_addresses"] = spec.addresses[0]
        if spec.role == "writer" and parameters.READ_ONLY in spec.parameters:
            volume.read_only = False
        settings.update(_protection(volume))
        force_ssl = parameters.is_set(spec.parameters, family, "rds.force_ssl")
        writes = spec.role == "writer" and volume.follower is None
        if writes:
            instance = self._writer_instance(spec, volume, family, force_ssl)
        else:
            instance = self._reader_instance(spec, volume, family, force_ssl, settings)

        def begin() -> None:
            instance.server.configure(settings)
            instance.server.start()
            if writes:
                volumes.on_writer_start(volume, instance.server)
                instance.watcher = RoleWatcher(instance.server)
                instance.watcher.start()

        self._place(instance, begin)
        if writes:
            self._refresh_readers(volume, instance.server)

    def _refresh_readers(self, volume: Volume, leader: Server) -> None:
        """Start standbys again that have less of what a standby must have than the writer has now.

        Those are the readers of the volume, the volumes that follow it, and the readers of these.
        """
        readers = self._on(volume.volume_id)
        with self._lock:
            following = [other for other in self._volumes.values() if other.source == volume.volume_id]
        for reader in readers:
            if reader.server is not leader and parameters.falls_short(reader.server.settings, leader.settings):
                self.start(reader.spec)
        for other in following:
            with other.lock:
                if followers.keep_up(other, leader.settings) and other.follower is not None:
                    self._refresh_readers(other, other.follower)

    def _writer_instance(self, spec: InstanceSpec, volume: Volume, family: str, force_ssl: bool) -> Instance:
        if (other := self._writer(spec.volume_id)) is not None:
            raise EngineError(f"Volume {spec.volume_id} has a running writer already: {other.spec.instance_id}.")
        log = self._logs / f"{spec.instance_id}.log"
        server = Server(self._installation(volume), volume.data, volume.sockets, log)
        return Instance(spec, server, family, dict(spec.parameters), force_ssl=force_ssl)

    def _reader_instance(
        self, spec: InstanceSpec, volume: Volume, family: str, force_ssl: bool, settings: dict[str, str]
    ) -> Instance:
        """Make a reader's copy of the writer, or of what follows one; `settings` get what a standby must have."""
        writer = self._writer(spec.volume_id)
        leader = writer.server if writer is not None and volume.follower is None else volume.follower
        if leader is None:
            raise EngineError(f"The reader {spec.instance_id} needs a running writer.")
        account = self._processes.account
        with self._lock:
            directory = account.make_directory(self._root / f"r{next(self._numbers)}")
        data, sockets = directory / "data", account.make_directory(directory / "s")
        installation = self._installation(volume)
        settings["primary_conninfo"] = followers.copy_of(installation, data, volume.sockets, spec.instance_id)
        settings.update(parameters.falls_short(settings, leader.settings))
        server = Server(installation, data, sockets, self._logs / f"{spec.instance_id}.log")
        return Instance(spec, server, family, dict(spec.parameters), directory, force_ssl)

    def _discard(self, instance: Instance, immediate: bool) -> None:
        """End what belongs to an instance that no address leads to."""
        if instance.watcher is not None:
            instance.watcher.stop()
        instance.server.stop(immediate)
        if not self._closed:
            self._endpoints.order("drop", instance=instance.spec.instance_id)
        if instance.directory is not None:
            shutil.rmtree(instance.directory, ignore_errors=True)

    def apply_dynamic(self, instance_id: str, parameters: Mapping[str, str]) -> None:
        """Give a running server the effective parameters; static ones wait for the next start."""
        instance = self._instance(instance_id)
        _apply(instance, self._volume(instance.spec.volume_id), parameters)
        self._routes.tell(instance.spec.addresses)

    # What the service does to all clients

    def set_read_only(self, volume_id: str, read_only: bool) -> None:
        """Let clients only read, as a default that a session can change, or write again.

        It outlives restarts, until a start with a parameter group that has a value of its own for it.
        """
        volume, writer = self._volume(volume_id), self._writer(volume_id)
        volume.read_only = read_only
        if writer is not None:
            _apply(writer, volume, writer.parameters)
            expected = parameters.is_set(writer.server.settings, writer.family, parameters.READ_ONLY)
            writer.server.await_setting(parameters.READ_ONLY, "on" if expected else "off")

    # Endpoints

    def _lead(self, address: str, port: int, claims: Sequence[str]) -> None:
        targets = [
            {
                "instance": instance.spec.instance_id,
                "host": instance.spec.addresses[0],
                "port": instance.server.installation.port,
                "force_ssl": instance.force_ssl,
            }
            for instance in self._claiming(claims)
        ]
        certificate = str(self.authority.issue(address))
        self._endpoints.order("route", address=address, port=port, certificate=certificate, targets=targets)

    def _before_replication(self, instances: Sequence[str]) -> None:
        """Bring the replication rights up to date before a walsender of an instance starts."""
        for name in instances:
            with self._lock:
                instance = self._instances.get(name)
            if instance is not None and instance.watcher is not None:
                instance.watcher.sync()

    # Faults

    def as_service(
        self, instance_id: str, database: str
    ) -> contextlib.AbstractContextManager[psycopg2.extensions.connection]:
        """Give a connection of the service's own superuser, for what AWS does to a customer's database and tests must."""
        return self._instance(instance_id).server.connection(database)

    def pids(self) -> list[int]:
        """Return the pids of the endpoint process and of every postmaster that runs."""
        with self._lock:
            followers_of = [volume.follower.pid for volume in self._volumes.values() if volume.follower is not None]
        return [*super().pids(), *(pid for pid in followers_of if pid is not None)]

    def _kill(self, instance: Instance) -> None:
        if instance.watcher is not None:
            instance.watcher.cancel()
        instance.server.signal(signal.SIGQUIT)

    def _end_volumes(self) -> None:
        for volume in self._volumes.values():
            followers.end(volume)


def _protection(volume: Volume) -> dict[str, str]:
    return {parameters.READ_ONLY: "on"} if volume.read_only else {}


def _apply(instance: Instance, volume: Volume, wanted: Mapping[str, str]) -> None:
    server = instance.server
    instance.parameters = dict(wanted)
    settings = {**parameters.server_settings(instance.family, wanted), **_protection(volume)}
    server.configure(parameters.dynamic_only(instance.family, server.settings, settings))
    server.reload()
    instance.force_ssl = parameters.is_set(wanted, instance.family, "rds.force_ssl")
