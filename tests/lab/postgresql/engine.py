# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The PostgreSQL engine of the lab: real servers behind endpoints that speak TLS."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import signal
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import psycopg2.extensions

from tests.lab.engine import EngineError, EngineVersion, InstanceSpec, Parameter
from tests.lab.postgresql import followers, parameters, volumes
from tests.lab.postgresql.binaries import INSTALLATIONS, fetch
from tests.lab.postgresql.ca import CertificateAuthority
from tests.lab.postgresql.endpoint_control import EndpointControl, Mode, Scope
from tests.lab.postgresql.processes import Account, Keeper, Processes, data_root, free_port
from tests.lab.postgresql.role_watcher import RoleWatcher
from tests.lab.postgresql.servers import Installation, Server
from tests.lab.postgresql.volumes import Volume
from tests.lab.routes import Routes

FIRST_INTERNAL_PORT = 15432


@dataclass
class Instance:
    """A running server with what it was started with."""

    spec: InstanceSpec
    server: Server
    family: str
    force_ssl: bool
    watcher: RoleWatcher | None = None
    directory: Path | None = None  # a reader's own copy, removed with it
    parameters: Mapping[str, str] = field(default_factory=dict)  # as they apply now


class PostgreSQLEngine:
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
        account = Account.choose()
        if not account.can_enter(binaries.root):
            raise EngineError(
                f"The user {account.uid} that servers run as cannot enter {binaries.root}: set BLUEGREEN_CACHE to a "
                "directory that every user can enter."
            )
        self._logs = state_dir / "postgresql-logs"
        self._logs.mkdir(parents=True)
        self._root = data_root(account, state_dir, "bluegreen-pg-")
        self._keeper = Keeper([self._root])
        try:
            home = account.make_directory(self._root / "home")
            self._processes = Processes(account, self._keeper, home, environment)
            self.authority = authority or CertificateAuthority(ca_dir or state_dir)
            self.ca_file = self.authority.file
            account.write(home / "ca.pem", self.ca_file.read_text(encoding="utf-8"))
            self._endpoints = EndpointControl(self._logs / "endpoints.log", self._before_replication)
        except BaseException:
            shutil.rmtree(self._root, ignore_errors=True)
            self._keeper.release()
            raise
        self._keeper.watch(self._endpoints.pid)
        port = free_port(FIRST_INTERNAL_PORT)
        self._installations = {
            major: Installation(binaries, self._processes, major, home / "ca.pem", port) for major in INSTALLATIONS
        }
        self._lock = threading.RLock()  # of the registries below, never held while a server does something
        self._numbers = itertools.count(1)
        self._volumes: dict[str, Volume] = {}
        self._instances: dict[str, Instance] = {}
        self._routes = Routes(self._lock, self._lead)
        self._closed = False

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

    def _volume(self, volume_id: str) -> Volume:
        with self._lock:
            if volume_id not in self._volumes:
                raise EngineError(f"There is no volume {volume_id}.")
            return self._volumes[volume_id]

    def _installation(self, volume: Volume) -> Installation:
        return self._installations[volume.major]

    def _writer(self, volume_id: str) -> Instance | None:
        with self._lock:
            for instance in self._instances.values():
                if (
                    instance.spec.volume_id == volume_id
                    and instance.spec.role == "writer"
                    and instance.server.running()
                ):
                    return instance
        return None

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
        with self._lock:
            running = [name for name, instance in self._instances.items() if instance.spec.volume_id == volume_id]
        for name in running:
            self.stop(name, immediate=True)
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
        instance.parameters = dict(spec.parameters)
        try:
            instance.server.configure(settings)
            instance.server.start()
            if writes:
                volumes.on_writer_start(volume, instance.server)
                instance.watcher = RoleWatcher(instance.server)
                instance.watcher.start()
            with self._lock:
                self._instances[spec.instance_id] = instance
            self._routes.claim(spec.instance_id, spec.port, spec.addresses)
        except BaseException:
            with self._lock:
                self._instances.pop(spec.instance_id, None)
            with contextlib.suppress(EngineError):
                self._routes.release(spec.instance_id, spec.addresses)
            self._discard(instance, immediate=True)
            raise
        if writes:
            self._refresh_readers(volume, instance.server)

    def _refresh_readers(self, volume: Volume, leader: Server) -> None:
        """Start standbys again that have less of what a standby must have than the writer has now.

        Those are the readers of the volume, the volumes that follow it, and the readers of these.
        """
        with self._lock:
            readers = [one for one in self._instances.values() if one.spec.volume_id == volume.volume_id]
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
        return Instance(spec, Server(self._installation(volume), volume.data, volume.sockets, log), family, force_ssl)

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
        return Instance(spec, server, family, force_ssl, directory=directory)

    def stop(self, instance_id: str, immediate: bool = False) -> None:
        """Stop a server; `immediate` is a crash. A server that does not run is fine."""
        with self._lock:
            instance = self._instances.pop(instance_id, None)
        if instance is not None:
            self._routes.release(instance_id, instance.spec.addresses)
            self._discard(instance, immediate)

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

    def _instance(self, instance_id: str) -> Instance:
        with self._lock:
            if instance_id not in self._instances:
                raise EngineError(f"The instance {instance_id} does not run.")
            return self._instances[instance_id]

    def server(self, instance_id: str) -> Server:
        """Return the server of an instance that runs; raises EngineError when it does not."""
        return self._instance(instance_id).server

    def servers(self, volume_id: str) -> list[Server]:
        """Return the servers that run on a volume, the writer first."""
        with self._lock:
            found = [one for one in self._instances.values() if one.spec.volume_id == volume_id]
        return [one.server for one in sorted(found, key=lambda one: one.spec.role != "writer") if one.server.running()]

    def specs(self, volume_id: str) -> list[InstanceSpec]:
        """Return what runs on a volume, the writer first, as it was started."""
        with self._lock:
            found = [one.spec for one in self._instances.values() if one.spec.volume_id == volume_id]
        return sorted(found, key=lambda spec: spec.role != "writer")

    def volume(self, volume_id: str) -> Volume:
        """Return a volume; raises EngineError when there is none."""
        return self._volume(volume_id)

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

    def refuse_clients(self, volume_id: str, refuse: bool) -> None:
        """End every client's connection to the servers of a volume and let no new one in, or let them come again."""
        with self._lock:
            names = [name for name, one in self._instances.items() if one.spec.volume_id == volume_id]
        self._endpoints.order("refuse", instances=names, refuse=refuse)

    # Endpoints

    def set_addresses(self, instance_id: str, addresses: Sequence[str]) -> None:
        """Let other addresses lead to a running server; connections through those that stay are not touched."""
        instance = self._instance(instance_id)
        before, after = instance.spec.addresses, tuple(addresses)
        instance.spec = replace(instance.spec, addresses=after)
        self._routes.release(instance_id, [address for address in before if address not in after])
        self._routes.claim(instance_id, instance.spec.port, [address for address in after if address not in before])

    def _lead(self, address: str, port: int, claims: Sequence[str]) -> None:
        """Tell the endpoint process where an address leads: to the readers that claim it, else to the writer."""
        claiming = [self._instances[name] for name in claims if name in self._instances]
        readers = [instance for instance in claiming if instance.spec.role == "reader"]
        targets = [
            {
                "instance": instance.spec.instance_id,
                "host": instance.spec.addresses[0],
                "port": instance.server.installation.port,
                "force_ssl": instance.force_ssl,
            }
            for instance in readers or claiming[-1:]
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

    def fault_link(self, address: str, mode: Mode, scope: Scope = "all", delay: float = 0.0) -> None:
        """Cut, stall, slow (`delay` seconds each way) or heal (`none`) the connections to an endpoint address.

        The scope `replication` is what subscribers use: the link between blue and green.
        """
        self._endpoints.order("fault", address=address, scope=scope, mode=mode, delay=delay)

    def as_service(
        self, instance_id: str, database: str
    ) -> contextlib.AbstractContextManager[psycopg2.extensions.connection]:
        """Give a connection of the service's own superuser, for what AWS does to a customer's database and tests must."""
        return self._instance(instance_id).server.connection(database)

    def links(self, instance_id: str) -> int:
        """Return how many connections lead to an instance through its endpoints now."""
        counts = self._endpoints.order("links")
        return int(counts.get(instance_id, 0))

    def pids(self) -> list[int]:
        """Return the pids of the endpoint process and of every postmaster that runs."""
        with self._lock:
            servers = [instance.server.pid for instance in self._instances.values()]
            servers += [volume.follower.pid for volume in self._volumes.values() if volume.follower is not None]
        return [self._endpoints.pid, *(pid for pid in servers if pid is not None)]

    def close(self) -> None:
        """End every process by pid and remove every file but the logs and the certificates."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            instances, self._instances = list(self._instances.values()), {}
        self._endpoints.close()
        for instance in instances:  # all at once, then wait for each
            if instance.watcher is not None:
                instance.watcher.cancel()
            instance.server.signal(signal.SIGQUIT)
        for instance in instances:
            self._discard(instance, immediate=True)
        for volume in self._volumes.values():
            followers.end(volume)
        shutil.rmtree(self._root, ignore_errors=True)
        self._keeper.release()


def _protection(volume: Volume) -> dict[str, str]:
    return {parameters.READ_ONLY: "on"} if volume.read_only else {}


def _apply(instance: Instance, volume: Volume, wanted: Mapping[str, str]) -> None:
    server = instance.server
    instance.parameters = dict(wanted)
    settings = {**parameters.server_settings(instance.family, wanted), **_protection(volume)}
    server.configure(parameters.dynamic_only(instance.family, server.settings, settings))
    server.reload()
    instance.force_ssl = parameters.is_set(wanted, instance.family, "rds.force_ssl")
