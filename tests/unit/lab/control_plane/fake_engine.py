# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A database engine of records only: what was asked of it is what it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tests.lab.engine import EngineError, EngineVersion, InstanceSpec, Parameter
from tests.lab.mysql import parameters as rds_mysql
from tests.lab.neptune import parameters as neptune
from tests.lab.postgresql import rds as rds_postgresql

AURORA, MYSQL, NEPTUNE = "aurora-postgresql", "aurora-mysql", "neptune"


@dataclass
class Volume:
    """A volume: its version, its master user, and whose copy it is."""

    version: str
    username: str
    password: str
    copy_of: str | None = None
    follows: str | None = None


@dataclass
class FakeEngine:
    """Keeps volumes and the specs of running servers; `refuse_upgrade` is the reason of a failing precheck."""

    volumes: dict[str, Volume] = field(default_factory=dict)
    servers: dict[str, InstanceSpec] = field(default_factory=dict)
    parameters: dict[str, dict[str, str]] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    started: list[InstanceSpec] = field(default_factory=list)
    refuse_upgrade: str | None = None
    refuse_start: str | None = None
    refuse_promotion: str | None = None
    messages: Sequence[str] = ()

    def versions(self) -> Sequence[EngineVersion]:
        """The versions of the lab."""
        return (
            EngineVersion(AURORA, "16.10", "aurora-postgresql16", 16, ("16.14", "18.1")),
            EngineVersion(AURORA, "16.14", "aurora-postgresql16", 16, ("18.4",)),
            EngineVersion(AURORA, "18.1", "aurora-postgresql18", 18, ("18.4",)),
            EngineVersion(AURORA, "18.4", "aurora-postgresql18", 18, ()),
        )

    def default_parameters(self, family: str) -> Mapping[str, Parameter]:
        """A few parameters of each kind, and enough for a second page."""
        known = [
            Parameter("rds.logical_replication", "0", "static", "boolean", "0,1", True, "Enables logical decoding."),
            Parameter("max_connections", "100", "static", "integer", "6-262143", True, "Connections."),
            Parameter("max_replication_slots", "20", "static", "integer", "5-262143", True, "Slots."),
            Parameter("work_mem", None, "dynamic", "integer", "64-2147483647", True, "Memory for sorts."),
            Parameter("log_statement", "none", "dynamic", "string", "none,ddl,mod,all", True, "What is logged."),
            Parameter("server_version", "x", "static", "string", None, False, "Not modifiable."),
        ]
        known += [Parameter(f"filler_{n:03}", "1", "dynamic", "integer", None, True, "Filler.") for n in range(100)]
        return {parameter.name: parameter for parameter in known}

    def create_volume(
        self, volume_id: str, version: str, master_username: str, master_password: str, database: str | None
    ) -> None:
        """Keep a new volume."""
        self.volumes[volume_id] = Volume(version, master_username, master_password)

    def clone_volume(self, source_id: str, target_id: str) -> None:
        """Copy a volume."""
        source = self.volumes[source_id]
        self.volumes[target_id] = Volume(source.version, source.username, source.password, copy_of=source_id)

    def start(self, spec: InstanceSpec) -> Sequence[str]:
        """Keep a running server; what is in `messages` is published, and the number of the start."""
        if self.refuse_start:
            raise EngineError(self.refuse_start)
        follows = self.volumes[spec.volume_id].follows
        if spec.role == "reader" and not follows and not self._has_writer(spec.volume_id):
            raise EngineError("a reader needs its writer")
        if spec.role == "writer" and follows:
            raise EngineError("a volume that follows has no writer")
        self.log.append(f"start {spec.role}")
        self.started.append(spec)
        self.servers[spec.instance_id] = spec
        self.parameters[spec.instance_id] = dict(spec.parameters)
        return [f"{message} {len(self.started)}" for message in self.messages]

    def _has_writer(self, volume_id: str) -> bool:
        return any(spec.volume_id == volume_id and spec.role == "writer" for spec in self.servers.values())

    def follow_volume(self, source_id: str, target_id: str) -> None:
        """Let a volume be a copy that follows."""
        if not self._has_writer(source_id):
            raise EngineError("the source has no writer")
        if any(spec.volume_id == target_id for spec in self.servers.values()):
            raise EngineError("a server is running")
        source = self.volumes[source_id]
        self.log.append("follow")
        self.volumes[target_id] = Volume(source.version, source.username, source.password, follows=source_id)

    def promote_volume(self, volume_id: str, complete: bool) -> None:
        """Let a volume follow no longer."""
        volume = self.volumes[volume_id]
        if any(spec.volume_id == volume_id for spec in self.servers.values()):
            raise EngineError("a server is running")
        if complete and (self.refuse_promotion or (volume.follows and self._has_writer(volume.follows))):
            raise EngineError(self.refuse_promotion or "the source still writes")
        self.log.append("promote complete" if complete else "promote")
        volume.follows = None

    def set_addresses(self, instance_id: str, addresses: Sequence[str]) -> None:
        """Keep the addresses."""
        self.servers[instance_id] = replace(self.servers[instance_id], addresses=tuple(addresses))

    def stop(self, instance_id: str, immediate: bool = False) -> None:
        """Forget a running server."""
        if instance_id in self.servers:
            self.log.append(f"{'kill' if immediate else 'stop'} {self.servers.pop(instance_id).role}")

    def apply_dynamic(self, instance_id: str, parameters: Mapping[str, str]) -> None:
        """Keep the parameters."""
        self.parameters[instance_id] = dict(parameters)

    def upgrade_volume(self, volume_id: str, version: str) -> None:
        """Change the version, when no server runs and nothing refuses."""
        if any(spec.volume_id == volume_id for spec in self.servers.values()):
            raise EngineError("a server is running")
        if self.refuse_upgrade:
            raise EngineError(self.refuse_upgrade)
        self.log.append(f"upgrade {version}")
        self.volumes[volume_id].version = version

    def set_master_password(self, volume_id: str, password: str) -> None:
        """Keep the password."""
        self.volumes[volume_id].password = password

    def delete_volume(self, volume_id: str) -> None:
        """Forget a volume."""
        del self.volumes[volume_id]

    def close(self) -> None:
        """Forget everything."""
        self.servers.clear()
        self.volumes.clear()


class FakeMySQL(FakeEngine):
    """The same with what is MySQL's."""

    def falsify_position(self, volume_id: str, offset: int) -> None:
        """Keep it in the log."""
        self.log.append(f"falsify {self.volumes[volume_id].username} {offset}")

    def versions(self) -> Sequence[EngineVersion]:
        """Two minor versions of a major one, and the next major one."""
        old, new, next_major = "8.0.mysql_aurora.3.05.2", "8.0.mysql_aurora.3.10.0", "8.4.mysql_aurora.8.4.7"
        return (
            EngineVersion(MYSQL, old, "aurora-mysql8.0", 80, (new, next_major)),
            EngineVersion(MYSQL, new, "aurora-mysql8.0", 80, (next_major,)),
            EngineVersion(MYSQL, next_major, "aurora-mysql8.4", 84, ()),
        )

    def default_parameters(self, family: str) -> Mapping[str, Parameter]:
        """A static and two dynamic parameters of the cluster, one of an instance, one that is read only."""
        known = [
            Parameter("binlog_format", "OFF", "static", "string", "ROW,STATEMENT,MIXED,OFF", True, "Binary log."),
            Parameter("read_only", "0", "dynamic", "string", "0,1,{TrueIfReplica}", True, "Read only."),
            Parameter("event_scheduler", "ON", "dynamic", "string", "ON,OFF", True, "Events."),
            Parameter("max_connections", "1000", "dynamic", "integer", "1-16000", True, "Connections."),
            Parameter("sync_binlog", "1", "dynamic", "integer", None, False, "Not modifiable."),
        ]
        return {parameter.name: parameter for parameter in known}


class FakeNeptune(FakeEngine):
    """The same with what is Neptune's: the lab's own versions and parameters."""

    def versions(self) -> Sequence[EngineVersion]:
        """Return the versions of the lab."""
        return neptune.VERSIONS

    def default_parameters(self, family: str) -> Mapping[str, Parameter]:
        """Return the parameters of the lab."""
        return neptune.defaults(family)


class FakeRdsPostgreSQL(FakeEngine):
    """The same with what is RDS for PostgreSQL's: the lab's own versions and parameters."""

    def versions(self) -> Sequence[EngineVersion]:
        """Return the versions of the lab."""
        return rds_postgresql.VERSIONS

    def default_parameters(self, family: str) -> Mapping[str, Parameter]:
        """Return the parameters of the lab."""
        return rds_postgresql.defaults(family)


class FakeRdsMySQL(FakeEngine):
    """The same with what is RDS for MySQL's."""

    def versions(self) -> Sequence[EngineVersion]:
        """Return the versions of the lab."""
        return rds_mysql.RDS_VERSIONS

    def default_parameters(self, family: str) -> Mapping[str, Parameter]:
        """Return the parameters of the lab."""
        return rds_mysql.defaults(family)
