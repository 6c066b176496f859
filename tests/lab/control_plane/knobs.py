# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's knobs by HTTP: faults of the API, delays of states, crashes of servers, the maintenance window."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

from tests.lab.control_plane import account, events, identity, maintenance, managed_views
from tests.lab.control_plane.common import find_cluster, find_instance
from tests.lab.control_plane.endpoints import cluster_host, instance_host
from tests.lab.control_plane.errors import ApiError
from tests.lab.control_plane.failover import kill
from tests.lab.control_plane.kinds import NEPTUNE
from tests.lab.control_plane.modify import apply_pending
from tests.lab.control_plane.names import TTL
from tests.lab.control_plane.plane import ControlPlane
from tests.lab.engine import EngineError

Knob = Callable[..., Any]
DEFAULT_REGION = "us-east-1"


@runtime_checkable
class LinkFaults(Protocol):
    """What an engine has that can break the connections to an endpoint address."""

    def fault_link(self, address: str, mode: Any, scope: Any = "all", delay: float = 0.0) -> None:
        """Cut, stall, slow or heal (none) the connections to an address: those of clients, of replication, or all."""


@runtime_checkable
class PositionFault(Protocol):
    """What an engine has that can be wrong about the position of a crash recovery, as the service has been."""

    def falsify_position(self, volume_id: str, offset: int) -> None:
        """Let the position that the next start of a volume's writer reports be wrong by so many bytes."""


@runtime_checkable
class GraphFaults(Protocol):
    """What an engine of graphs has; the streams are those of propertygraph and rdf."""

    def clear_faults(self) -> None:
        """Turn back the knobs of all servers."""

    def fault(self, instance_id: str, **knobs: Any) -> None:
        """Turn knobs of one server, those of tests.lab.neptune.faults."""

    def expire(self, volume_id: str, graph: Any, commit: int) -> None:
        """Let the events of a stream up to this commit be older than its age limit."""

    def lose(self, volume_id: str, graph: Any, commit: int) -> None:
        """Leave a commit out of what a stream shows."""

    def set_loads(self, volume_id: str, loads: Mapping[str, str]) -> None:
        """Let the loader know these bulk loads, {id: status}."""


class Knobs:
    """Each knob is a method of plain arguments; `turn` calls one by name."""

    def __init__(self, plane: ControlPlane, stop: Callable[[], None]) -> None:
        """Make the knobs of a control plane; `stop` ends the lab."""
        self.plane = self._plane = plane
        self.faults = faults = plane.faults
        self._knobs: Mapping[str, Knob] = {
            "throttle": faults.throttle,
            "fail": faults.fail,
            "deny": faults.deny,
            "lose": faults.lose,
            "falsify_position": self._falsify_position,
            "age_events": self._age_events,
            "announce": self._announce,
            "caller": lambda arn: identity.set_caller(plane, arn),
            "clear": self._clear,
            "delay": plane.clock.set_delay,
            "expire_stream": self._expire_stream,
            "graph": self._graph,
            "bulk_loads": self._bulk_loads,
            "lose_commit": self._lose_commit,
            "kill": self._kill,
            "link": self._link,
            "maintenance": self._maintenance,
            "managed": self._managed,
            "names_ttl": self._names_ttl,
            "quota": self._quota,
            "status": self._status,
            "stop": stop,
        }

    def turn(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Turn a knob; raises ValueError for one that does not exist, TypeError or ValueError for wrong arguments."""
        if name not in self._knobs:
            raise ValueError(f"there is no knob {name!r}; knobs are {', '.join(sorted(self._knobs))}")
        try:
            return {"result": self._knobs[name](**arguments)}
        except ApiError as exc:
            raise ValueError(exc.message) from None
        except EngineError as exc:
            raise ValueError(str(exc)) from None

    def _clear(self) -> None:
        """Take back faults, delays of states, quotas, maintenance, the caller, knobs of managed deployments."""
        self._plane.faults.clear()
        self._plane.clock.reset()
        if self._plane.names is not None:
            self._plane.names.ttl = TTL
        self._plane.caller = None
        self._plane.managed.clear()
        account.clear(self._plane)
        for engine in self._plane.engines.values():
            if isinstance(engine, GraphFaults):
                engine.clear_faults()

    def _age_events(self, minutes: float, region: str = DEFAULT_REGION) -> None:
        with self._plane.lock:
            events.age(self._plane.region(region), minutes)

    def _quota(self, quota: str, room: int, region: str = DEFAULT_REGION) -> None:
        account.set_quota(self._plane, region, quota, room)

    def _announce(
        self, cluster: str, action: str = "system-update", seconds: float | None = None, region: str = DEFAULT_REGION
    ) -> None:
        maintenance.announce(self._plane, region, cluster, action, seconds)

    def _kill(self, instance: str, restart: bool = True, region: str = DEFAULT_REGION) -> None:
        with self._plane.lock:
            records = self._plane.region(region)
            found = find_instance(records, instance)
        kill(self._plane, records, found, restart)

    def _link(self, address: str, mode: str, scope: str = "all", delay: float = 0.0) -> None:
        names = self._plane.names
        address = (names.lookup(address) if names is not None else None) or address
        engines = [engine for engine in self._plane.engines.values() if isinstance(engine, LinkFaults)]
        problems: list[str] = []
        for engine in engines:  # one of them has the address
            try:
                engine.fault_link(address, mode, scope, delay)
            except EngineError as exc:
                problems.append(str(exc))
        if problems and len(problems) == len(engines):
            raise ValueError("; ".join(problems))

    def _falsify_position(self, cluster: str, offset: int, region: str = DEFAULT_REGION) -> None:
        with self._plane.lock:
            found = find_cluster(self._plane.region(region), cluster)
            engine = self._plane.engines[str(found.api["Engine"])]
        if not isinstance(engine, PositionFault):
            raise ValueError(f"servers of {found.api['Engine']} report no position")
        engine.falsify_position(found.volume_id, offset)

    def _graph_engine(self, cluster: str, region: str) -> tuple[GraphFaults, str]:
        """The engine of a cluster of graphs, and the cluster's volume."""
        with self._plane.lock:
            found = find_cluster(self._plane.region(region), cluster)
        engine = self._plane.engines[str(found.api["Engine"])]
        if not isinstance(engine, GraphFaults) or found.api["Engine"] != NEPTUNE:
            raise ValueError(f"{cluster} is of {found.api['Engine']}, which has no graphs")
        return engine, found.volume_id

    def _graph(self, instance: str, region: str = DEFAULT_REGION, **knobs: Any) -> None:
        with self._plane.lock:
            found = find_instance(self._plane.region(region), instance)
        self._graph_engine(found.cluster.identifier, region)[0].fault(found.server_id, **knobs)

    def _expire_stream(self, cluster: str, graph: str, commit: int, region: str = DEFAULT_REGION) -> None:
        engine, volume = self._graph_engine(cluster, region)
        engine.expire(volume, graph, commit)

    def _lose_commit(self, cluster: str, graph: str, commit: int, region: str = DEFAULT_REGION) -> None:
        engine, volume = self._graph_engine(cluster, region)
        engine.lose(volume, graph, commit)

    def _bulk_loads(self, cluster: str, loads: Mapping[str, str], region: str = DEFAULT_REGION) -> None:
        engine, volume = self._graph_engine(cluster, region)
        engine.set_loads(volume, loads)

    def _maintenance(self, cluster: str, region: str = DEFAULT_REGION) -> None:
        """Have a cluster's maintenance window now: what is pending is applied."""
        with self._plane.lock:
            records = self._plane.region(region)
            found = find_cluster(records, cluster)
            if found.pending:
                apply_pending(self._plane, records, found)

    def _names_ttl(self, seconds: int) -> None:
        """Let the resolver's answers be good for so long."""
        if self._plane.names is None:
            raise ValueError("the lab has no names: it was started without")
        self._plane.names.ttl = seconds

    def _managed(self, **knobs: Any) -> None:
        """Turn knobs of managed blue/green deployments, those of `managed_records.Knobs`."""
        self._plane.managed.knobs.turn(knobs)

    def _status(self) -> dict[str, Any]:
        with self._plane.lock:
            clusters = [
                {
                    "region": region.name,
                    "cluster": cluster.identifier,
                    "status": cluster.status,
                    "engine": f"{cluster.api['Engine']} {cluster.api['EngineVersion']}",
                    "endpoint": f"{cluster_host(region, cluster)}:{cluster.api['Port']}",
                    "instances": {member.identifier: member.status for member in region.members(cluster)},
                }
                for region in self._plane.regions()
                for cluster in region.clusters.values()
            ]
            global_clusters = [
                {
                    "region": group.home,
                    "global_cluster": group.identifier,
                    "status": group.status,
                    "members": [member.arn for member in group.members],
                }
                for group in self._plane.global_clusters.values()
            ]
            instances = [
                {
                    "region": region.name,
                    "instance": instance.identifier,
                    "status": instance.status,
                    "engine": f"{instance.cluster.api['Engine']} {instance.cluster.api['EngineVersion']}",
                    "endpoint": f"{instance_host(region, instance)}:{instance.cluster.api['Port']}",
                }
                for region in self._plane.regions()
                for instance in region.instances.values()
                if instance.cluster.standalone
            ]
            deployments = [
                {
                    "region": region.name,
                    "deployment": deployment.identifier,
                    "name": deployment.name,
                    "status": managed_views.state(self._plane, region, deployment)[0],
                    "source": deployment.pairs[0].source.identifier,
                }
                for region in self._plane.regions()
                for deployment in self._plane.managed.of(region).values()
            ]
        return {
            "clusters": clusters,
            "deployments": deployments,
            "instances": instances,
            "global_clusters": global_clusters,
            "faults": self._plane.faults.rules(),
            "delays": self._plane.clock.delays(),
        }
