# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Neptune engine of the lab: volumes and instances in one process of their own, behind HTTPS at their addresses."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from tests.lab.control_plane.credentials import ACCESS_KEY, SECRET_KEY
from tests.lab.engine import EngineError, EngineVersion, InstanceSpec, Parameter
from tests.lab.neptune import parameters
from tests.lab.postgresql.ca import CertificateAuthority
from tests.lab.postgresql.endpoint_control import EndpointControl
from tests.lab.routes import Routes

# Not a parameter of the service: what EnableIAMDatabaseAuthentication is to the control plane; applies at once.
IAM_AUTH = "iam_auth"
GraphType = Literal["propertygraph", "rdf"]


class NeptuneEngine:
    """`tests.lab.engine.DatabaseEngine` for neptune.

    `neptune_streams` and `neptune_streams_expiry_days` apply when the writer starts; the pseudo parameter `iam_auth`
    ("1": requests must be signed) at once. Streams that go off lose what they recorded.
    """

    def __init__(
        self,
        state_dir: Path,
        ca_dir: Path | None = None,
        authority: CertificateAuthority | None = None,
        secrets: Mapping[str, str] | None = None,
    ) -> None:
        """Start the process; its log is `state_dir/neptune-logs/neptune.log`.

        The certificates are those of `authority`, or of a new one in `ca_dir` (default: `state_dir`). Signed requests are
        checked against `secrets`, {access key: secret key}, default: the lab's own.
        """
        logs = state_dir / "neptune-logs"
        logs.mkdir(parents=True, exist_ok=True)
        self._authority = authority or CertificateAuthority(ca_dir or state_dir)
        self.ca_file = self._authority.file
        program = ("-m", "tests.lab.neptune.server")
        self._process = EndpointControl(logs / "neptune.log", lambda _instances: None, program)
        self._lock = threading.RLock()
        self._versions: dict[str, str] = {}  # of volumes
        self._specs: dict[str, InstanceSpec] = {}  # of running instances
        self._routes = Routes(self._lock, self._lead)
        self._closed = False
        self.add_secrets({ACCESS_KEY: SECRET_KEY} if secrets is None else secrets)

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
        self,
        volume_id: str,
        version: str,
        master_username: str = "",
        master_password: str = "",
        database: str | None = None,
    ) -> None:
        """Make an empty volume; Neptune knows no users and no databases."""
        self._new_volume(volume_id, version)
        self._process.order("create_volume", volume=volume_id, version=version)

    def _new_volume(self, volume_id: str, version: str) -> None:
        self._check_version(version)
        with self._lock:
            if volume_id in self._versions:
                raise EngineError(f"There is a volume {volume_id} already.")
            self._versions[volume_id] = version

    def _check_version(self, version: str) -> None:
        if version not in {entry.version for entry in parameters.VERSIONS}:
            raise EngineError(f"There is no version {version} of {parameters.ENGINE}.")

    def _version(self, volume_id: str) -> str:
        with self._lock:
            if volume_id not in self._versions:
                raise EngineError(f"There is no volume {volume_id}.")
            return self._versions[volume_id]

    def clone_volume(self, source_id: str, target_id: str) -> None:
        """Make a copy of a volume as it is now, graphs and streams; its event ids go on where the source's are."""
        self._new_volume(target_id, self._version(source_id))
        self._process.order("clone_volume", source=source_id, target=target_id)

    def follow_volume(self, source_id: str, target_id: str) -> None:
        """Refuse: the lab has no global database of this engine."""
        raise EngineError(f"A global database is not supported for {parameters.ENGINE} by the lab.")

    def promote_volume(self, volume_id: str, complete: bool) -> None:
        """Refuse: the lab has no global database of this engine."""
        raise EngineError(f"A global database is not supported for {parameters.ENGINE} by the lab.")

    def upgrade_volume(self, volume_id: str, version: str) -> None:
        """Bring a volume whose instances are stopped to another version."""
        self._version(volume_id)
        self._check_version(version)
        with self._lock:
            if any(spec.volume_id == volume_id for spec in self._specs.values()):
                raise EngineError(f"An instance of volume {volume_id} still runs.")
            self._versions[volume_id] = version
        self._process.order("upgrade_volume", volume=volume_id, version=version)

    def set_master_password(self, volume_id: str, password: str) -> None:
        """Refuse: Neptune has no master user."""
        raise EngineError(f"{parameters.ENGINE} has no master user.")

    def delete_volume(self, volume_id: str) -> None:
        """Remove a volume; its instances are stopped already."""
        with self._lock:
            self._versions.pop(volume_id, None)
        self._process.order("delete_volume", volume=volume_id)

    # Instances

    def start(self, spec: InstanceSpec) -> Sequence[str]:
        """Start an instance; it answers at all its addresses when this returns."""
        self._version(spec.volume_id)
        with self._lock:
            if spec.instance_id in self._specs:
                raise EngineError(f"The instance {spec.instance_id} runs already.")
            self._specs[spec.instance_id] = spec
        self._process.order(
            "start",
            instance=spec.instance_id,
            volume=spec.volume_id,
            role=spec.role,
            settings=_settings(spec.parameters),
        )
        self._routes.claim(spec.instance_id, spec.port, spec.addresses)
        return ()

    def stop(self, instance_id: str, immediate: bool = False) -> None:
        """Stop an instance; one that does not run is fine."""
        with self._lock:
            spec = self._specs.pop(instance_id, None)
        if spec is not None and not self._closed:
            self._routes.release(instance_id, spec.addresses)
            self._process.order("stop", instance=instance_id)

    def set_addresses(self, instance_id: str, addresses: Sequence[str]) -> None:
        """Let other addresses lead to a running instance; of those that stay nobody notices anything."""
        with self._lock:
            spec = self._spec(instance_id)
            before, after = spec.addresses, tuple(addresses)
            self._specs[instance_id] = replace(spec, addresses=after)
        self._routes.release(instance_id, [address for address in before if address not in after])
        self._routes.claim(instance_id, spec.port, [address for address in after if address not in before])

    def _spec(self, instance_id: str) -> InstanceSpec:
        with self._lock:
            if instance_id not in self._specs:
                raise EngineError(f"The instance {instance_id} does not run.")
            return self._specs[instance_id]

    def _lead(self, address: str, port: int, claims: Sequence[str]) -> None:
        """Tell the process where an address leads: to the readers that claim it, else to the writer."""
        running = [name for name in claims if name in self._specs]
        readers = [name for name in running if self._specs[name].role == "reader"]
        self._process.order(
            "lead",
            address=address,
            port=port,
            certificate=str(self._authority.issue(address)),
            instances=readers or running[-1:],
        )

    def apply_dynamic(self, instance_id: str, parameters: Mapping[str, str]) -> None:
        """Give a running instance the effective parameters; of those that do something here only `iam_auth` is dynamic."""
        self._spec(instance_id)
        self._process.order("apply", instance=instance_id, settings=_settings(parameters))

    # Faults and what tests look at

    def add_secrets(self, secrets: Mapping[str, str]) -> None:
        """Accept requests that are signed with these keys too, {access key: secret key}."""
        self._process.order("secrets", secrets=dict(secrets))

    def fault(self, instance_id: str, **knobs: Any) -> None:
        """Turn knobs of an instance; see tests.lab.neptune.faults.Faults."""
        self._process.order("faults", instance=instance_id, knobs=knobs)

    def clear_faults(self) -> None:
        """Turn back the knobs of all instances and heal all links; what happened to a stream has happened."""
        self._process.order("clear")

    def fault_link(self, address: str, mode: str, scope: str = "all", delay: float = 0.0) -> None:
        """Cut, stall, slow (`delay` seconds per request) or heal (`none`) the connections to an address.

        Clients and replicators come alike: every scope is all of them. Raises EngineError when no server has the address.
        """
        self._process.order("link", address=address, mode=mode, delay=delay)

    def expire(self, volume_id: str, graph: GraphType, commit: int, op: int = 1 << 30) -> None:
        """Let the events of a stream up to this one be older than its age limit."""
        self._process.order("expire", volume=volume_id, graph=graph, commit=commit, op=op)

    def lose(self, volume_id: str, graph: GraphType, commit: int) -> None:
        """Leave a commit out of what a stream shows."""
        self._process.order("lose", volume=volume_id, graph=graph, commit=commit)

    def set_loads(self, volume_id: str, loads: Mapping[str, str]) -> None:
        """Let the loader know these bulk loads, {id: status}."""
        self._process.order("loads", volume=volume_id, loads=dict(loads))

    def writes_done(self, instance_id: str) -> int:
        """Return how many requests changed something since the instance started."""
        return int(self._process.order("read_faults", instance=instance_id)["writes_done"])

    def links(self, instance_id: str) -> int:
        """Return how many connections lead to an instance now."""
        return int(self._process.order("links").get(instance_id, 0))

    def pids(self) -> list[int]:
        """Return the pid of the process."""
        return [self._process.pid]

    def close(self) -> None:
        """End the process; the log and the certificates stay."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._specs.clear()
        self._process.close()


def _settings(given: Mapping[str, str]) -> dict[str, Any]:
    return {
        "streams": given.get("neptune_streams", "0") == "1",
        "expiry_days": int(given.get("neptune_streams_expiry_days", "7")),
        "iam_auth": given.get(IAM_AUTH, "0") == "1",
    }


def start_pair(
    engine: NeptuneEngine, port: int, *names: str, parameters: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Start writers without a control plane, one per name with a volume of that name; return their addresses."""
    found = {}
    for name, number in zip(names, itertools.count(1), strict=False):
        found[name] = f"127.0.0.{number}"
        engine.create_volume(name, "1.2.1.0")
        settings = {"neptune_streams": "1", **(parameters or {})}
        engine.start(InstanceSpec(f"{name}-1", name, "writer", (found[name],), port, settings))
    return found
