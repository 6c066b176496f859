# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The MySQL engine of the lab: real servers behind endpoints, on volumes that can be cloned as Aurora's can."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.lab.engine import EngineError, EngineVersion, InstanceSpec, Parameter
from tests.lab.mysql import parameters, readers, replication, template, volumes
from tests.lab.mysql.binaries import fetch
from tests.lab.mysql.servers import BINLOG, Installation, Server
from tests.lab.mysql.volumes import Volume
from tests.lab.postgresql.ca import CertificateAuthority
from tests.lab.postgresql.endpoint_control import EndpointControl
from tests.lab.postgresql.processes import Keeper, Processes, data_root, free_port
from tests.lab.postgresql.server_engine import Placed, ServerEngine, account_for

FIRST_INTERNAL_PORT = 23306
POSITION_EVENT = "Binlog position from crash recovery is {} {}"


Instance = Placed[Server]


class MySQLEngine(ServerEngine[Volume, Instance, Server]):
    """`tests.lab.engine.DatabaseEngine` for aurora-mysql."""

    def __init__(
        self,
        state_dir: Path,
        ca_dir: Path | None = None,
        authority: CertificateAuthority | None = None,
        sleeps: bool = True,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Fetch the server if needed, prepare an empty volume, and start the keeper and the endpoint process.

        Logs go to `state_dir/mysql-logs`. The certificates are those of `authority`, or of a new one in `ca_dir`
        (default: `state_dir`). Data lies in `state_dir`, or in a temporary directory when the servers' user cannot
        enter that one. Without `sleeps` the service's procedures do not take the seconds that they take on AWS. The
        servers have `environment` besides what they need.
        Raises EngineError when something that is needed is missing.
        """
        binaries = fetch()
        account = account_for(binaries.root)
        self._sleeps = sleeps
        self._logs = state_dir / "mysql-logs"
        self._logs.mkdir(parents=True)
        root = data_root(account, state_dir, "bluegreen-my-")
        keeper = Keeper([root])
        try:
            home = account.make_directory(root / "home")
            self._processes = Processes(account, keeper, home, environment)
            self._installation = Installation(binaries, self._processes, free_port(FIRST_INTERNAL_PORT))
            self._template = template.prepare(self._installation, root, self._logs / "template.log")
            self._authority = authority or CertificateAuthority(ca_dir or state_dir)
            self.ca_file = self._authority.file
            program = ("-m", "tests.lab.mysql.endpoints")
            endpoints = EndpointControl(self._logs / "mysql-endpoints.log", lambda _instances: None, program)
        except BaseException:
            shutil.rmtree(root, ignore_errors=True)
            keeper.release()
            raise
        super().__init__(root, keeper, endpoints)
        self._server_ids: dict[str, int] = {}
        self._housekeeping = replication.Housekeeping(self._writers_with_binlog)
        self._housekeeping.start()

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
        """Make an empty volume; its users and its first database appear when its writer starts."""
        volume = self._new_volume(volume_id, version, master_username)
        try:
            volumes.create(volume, self._template, self._installation)
            volume.password, volume.database = master_password, database
        except BaseException:
            self.delete_volume(volume_id)
            raise

    def _new_volume(self, volume_id: str, version: str, master: str) -> Volume:
        if not parameters.is_offered(version):
            raise EngineError(f"There is no version {version} of {parameters.ENGINE}.")
        account = self._processes.account
        with self._lock:
            if volume_id in self._volumes:
                raise EngineError(f"There is a volume {volume_id} already.")
            directory = account.make_directory(self._root / f"v{next(self._numbers)}")
            volume = Volume(volume_id, version, master, directory)
            account.make_directory(volume.run)
            self._volumes[volume_id] = volume
        return volume

    def _writers_with_binlog(self) -> list[tuple[Server, int]]:
        with self._lock:
            writers = [one for one in self._instances.values() if one.spec.role == "writer" and one.server.running()]
        return [
            (one.server, len(self._readers(one.spec.volume_id)))
            for one in writers
            if parameters.has_binlog(one.family, one.spec.parameters) and not self._volume(one.spec.volume_id).followers
        ]

    def clone_volume(self, source_id: str, target_id: str) -> None:
        """Make a crash-consistent copy of a volume, running or stopped, binary log and replica settings included."""
        source = self._volume(source_id)
        target = self._new_volume(target_id, source.version, source.master)
        writer = self._writer(source_id)
        try:
            volumes.clone(source, writer.server if writer else None, target, self._installation)
        except BaseException:
            self.delete_volume(target_id)
            raise
        if writer is not None and parameters.has_binlog(writer.family, writer.spec.parameters):
            target.without_binlog = parameters.has_enhanced_binlog(writer.family, writer.spec.parameters)
            if not source.followers:
                replication.purge(writer.server, len(self._readers(source_id)), rotate=True)

    def follow_volume(self, source_id: str, target_id: str) -> None:
        """Refuse: the lab has no global database of this engine."""
        raise EngineError(f"A global database is not supported for {parameters.ENGINE} by the lab.")

    def promote_volume(self, volume_id: str, complete: bool) -> None:
        """Refuse: the lab has no global database of this engine."""
        raise EngineError(f"A global database is not supported for {parameters.ENGINE} by the lab.")

    def upgrade_volume(self, volume_id: str, version: str) -> None:
        """Bring a volume whose servers are stopped to another version; its next writer has that version's procedures.

        There is one server program for all versions: what changes is what is the service's.
        """
        volume = self._volume(volume_id)
        if not parameters.is_offered(version):
            raise EngineError(f"There is no version {version} of {parameters.ENGINE}.")
        if self._writer(volume_id) is not None:
            raise EngineError(f"The writer of volume {volume_id} still runs.")
        volume.version = version

    def set_master_password(self, volume_id: str, password: str) -> None:
        """Change the master user's password; with the writer stopped it applies when that starts."""
        volume = self._volume(volume_id)
        volume.password = password
        if (writer := self._writer(volume_id)) is not None:
            volumes.on_writer_start(volume, writer.server, self._sleeps)
            for reader in self._readers(volume_id):
                readers.set_master_password(reader.server, volume, password)

    def delete_volume(self, volume_id: str) -> None:
        """Remove a volume and everything that still runs on it."""
        for spec in self.specs(volume_id):
            self.stop(spec.instance_id, immediate=True)
        with self._lock:
            volume = self._volumes.pop(volume_id, None)
            for other in self._volumes.values():
                other.followers.discard(volume_id)
        if volume is not None:
            shutil.rmtree(volume.directory, ignore_errors=True)

    def falsify_position(self, volume_id: str, offset: int) -> None:
        """Make a fault: the position that the next start of the volume's writer reports is wrong by so many bytes."""
        self._volume(volume_id).offset = offset

    # Servers

    def start(self, spec: InstanceSpec) -> Sequence[str]:
        """Start a server; it accepts connections on all its addresses when this returns.

        Returns the messages of the instance's events: a writer with a binary log says where its recovery found the end
        of it. A reader is a server on a copy of the writer's volume that follows its binary log; see `readers.py`.
        """
        volume = self._volume(spec.volume_id)
        with volume.lock:
            return self._start(spec, volume)

    def _start(self, spec: InstanceSpec, volume: Volume) -> Sequence[str]:
        self.stop(spec.instance_id)
        family = parameters.family_of(volume.version).family
        log = self._logs / f"{spec.instance_id}.log"
        if spec.role == "writer":
            if (other := self._writer(spec.volume_id)) is not None:
                raise EngineError(f"Volume {spec.volume_id} has a running writer already: {other.spec.instance_id}.")
            server = Server(self._installation, volume.data, volume.run, log)
            instance = Instance(spec, server, family, dict(spec.parameters))
        else:
            instance = self._reader_instance(spec, volume, family, log)
        return self._place(instance, lambda: self._run(instance, volume))

    def _reader_instance(self, spec: InstanceSpec, volume: Volume, family: str, log: Path) -> Instance:
        writer = self._writer(spec.volume_id)
        if writer is None:
            raise EngineError(f"The reader {spec.instance_id} needs a running writer.")
        account = self._processes.account
        with self._lock:
            directory = account.make_directory(self._root / f"r{next(self._numbers)}")
        run = account.make_directory(directory / "run")
        server = Server(self._installation, directory / "data", run, log)
        volumes.snapshot(volume, writer.server, server.data, self._installation)
        return Instance(spec, server, family, dict(spec.parameters), directory)

    def _run(self, instance: Instance, volume: Volume) -> Sequence[str]:
        """Start an instance's server and make it what it must be, before anybody can reach it."""
        spec, server = instance.spec, instance.server
        settings = parameters.server_settings(instance.family, spec.parameters)
        settings |= {"bind-address": spec.addresses[0], "server-id": str(self._server_id(spec.instance_id))}
        settings |= self._certificate(instance)
        newest = volumes.last_binlog(server.data) if "log-bin" in settings else None
        if spec.role == "reader":
            server.configure(readers.settings(settings))
            server.start()
            writer = self._writer(spec.volume_id)
            if writer is not None and newest is not None:
                at = volumes.recovered_position(server.data, newest)
                readers.follow(server, writer.server, volume, at)
            return ()
        if parameters.own_read_only(instance.family, spec.parameters):
            volume.read_only = False
        if volume.read_only:
            settings["loose-read-only"] = "ON"
        recovered = self._recovered(volume, server, settings) if volume.cloned else None
        server.configure(settings)
        server.start()
        position = volumes.recovered_position(server.data, newest)
        if volume.cloned:
            volume.origin = position or recovered
        if "log-bin" not in settings:
            volumes.remove_binlog(server.data)
        volumes.on_writer_start(volume, server, self._sleeps)
        replication.resume(server, cloned=volume.cloned)
        if volume.without_binlog:
            replication.forget_binlog(server)
        for reader in self._readers(volume.volume_id):
            readers.turn(reader.server, server, volume)
        offset, volume.offset = volume.offset, 0
        volume.cloned = volume.without_binlog = False
        return () if position is None else (POSITION_EVENT.format(position[0], position[1] + offset),)

    def _recovered(self, volume: Volume, server: Server, settings: dict[str, str]) -> tuple[str, int] | None:
        """Let a copy that is to follow its source by position, without a log of its own, recover with the one it came with.

        Returns the position; None where that is not needed.
        """
        with self._lock:
            follows = any(volume.volume_id in other.followers for other in self._volumes.values())
        newest = volumes.last_binlog(server.data)
        if not follows or newest is None or "log-bin" in settings or settings.get("loose-gtid-mode") == "ON":
            return None
        without = {name: value for name, value in settings.items() if name != "skip-log-bin"}
        server.configure({**without, "log-bin": BINLOG})
        server.start()
        try:
            return volumes.recovered_position(server.data, newest)
        finally:
            server.stop()

    def _server_id(self, instance_id: str) -> int:
        with self._lock:
            return self._server_ids.setdefault(instance_id, 1_000_001 + len(self._server_ids))

    def _certificate(self, instance: Instance) -> dict[str, str]:
        """Return the settings of a certificate that is valid for all addresses of an instance."""
        issued = self._authority.issue(*instance.spec.addresses)
        own, authority = instance.server.run / "server.pem", instance.server.run / "ca.pem"
        self._processes.account.write(own, issued.read_text(encoding="utf-8"))
        self._processes.account.write(authority, self.ca_file.read_text(encoding="utf-8"))
        return {"ssl-ca": str(authority), "ssl-cert": str(own), "ssl-key": str(own)}

    def _discard(self, instance: Instance, immediate: bool) -> None:
        """End what belongs to an instance that no address leads to."""
        name = instance.spec.instance_id
        if not self._closed:
            self._endpoints.order("drop", instance=name)
        if not immediate and instance.directory is None:
            for reader in self._readers(instance.spec.volume_id):
                readers.pause(reader.server)
            replication.end_dumps(instance.server)
        instance.server.stop(immediate or instance.directory is not None)
        if not self._closed:
            self._endpoints.order("drop", instance=name)  # whoever was just being connected
        if instance.directory is not None:
            shutil.rmtree(instance.directory, ignore_errors=True)

    def apply_dynamic(self, instance_id: str, parameters: Mapping[str, str]) -> None:
        """Give a running server the effective parameters; static ones wait for the next start."""
        _apply(self._instance(instance_id), parameters)

    # What the service does to all clients

    def set_read_only(self, volume_id: str, read_only: bool) -> None:
        """Let clients without CONNECTION_ADMIN only read, or write again.

        It outlives restarts, until a start with a parameter group that has a value of its own for it.
        """
        volume, writer = self._volume(volume_id), self._writer(volume_id)
        volume.read_only = read_only
        if writer is not None:
            own = parameters.own_read_only(writer.family, writer.parameters)
            writer.server.execute(f"SET GLOBAL read_only = {'ON' if read_only else own or 'OFF'}")

    # Endpoints

    def _readdressed(self, instance: Instance) -> None:
        self._certificate(instance)
        instance.server.execute("ALTER INSTANCE RELOAD TLS")

    def _lead(self, address: str, port: int, claims: Sequence[str]) -> None:
        targets = [
            {
                "instance": instance.spec.instance_id,
                "host": instance.server.settings["bind-address"],
                "port": self._installation.port,
            }
            for instance in self._claiming(claims)
        ]
        self._endpoints.order("route", address=address, port=port, targets=targets)

    # Faults

    def as_service(self, instance_id: str, *statements: str) -> None:
        """Run statements of the service's own account outside the binary log, for what AWS does and tests must."""
        self._instance(instance_id).server.execute(*statements)

    def _kill(self, instance: Instance) -> None:
        instance.server.signal(signal.SIGKILL)

    def close(self) -> None:
        """End every process by pid and remove every file but the logs and the certificates."""
        self._housekeeping.stop()
        super().close()


def _apply(instance: Instance, wanted: Mapping[str, str]) -> None:
    changed, unset = parameters.dynamic_changes(instance.family, instance.parameters, wanted)
    replication.set_variables(instance.server, changed, unset)
    instance.parameters = dict(wanted)
