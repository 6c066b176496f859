# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""``bg_switchover`` with ``engine: managed``: from the module's options to a run, and from the run to the module's result."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from .._aws import readiness_managed_around as around
from .._aws import readiness_managed_members as members
from .._aws.api import Api
from .._aws.managed import SWITCHED, Deployment, Place
from .._clients import tables
from .._clients.metadata import dialect, family
from .._clients.monitor import Monitor, Names, Watched
from .._core.checks import Check
from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError
from .._core.journal import Journal
from .._core.waiting import Deadline
from .._switchover.gates import Gates
from .._switchover.timeline import Timeline
from . import guardrails, replicas
from .gates import certificate_checks, gates_of
from .run import Limits, Run
from .service import POLL, Places, Service, is_green

ENGINE = "managed"
DEFAULT_TIMEOUT = 300  # s, the service's own
_SHORTEST, _LONGEST = 30, 3600
_EVENT = 10.0  # s for the event with the coordinates to be there
_HOLDING = ("haproxy", "pgbouncer")
# Options of the other engines: the service replicates, and ends it, by itself.
_MEANINGLESS = (
    "databases",
    "replication_user",
    "replication_password",
    "green_db_cluster_parameter_group_name",
    "checkpoint_table",
    "graph_type",
    "writes_stopped",
    "quiet_interval",
    "expected_differences",
)
EndpointOf = Callable[[str], Endpoint]


def refuse_options(options: Mapping[str, Any]) -> None:
    """Raise :class:`BlueGreenError` for what the service cannot do, or what means nothing to it."""
    if options["state"] == "rolled_back":
        raise BlueGreenError(
            "Refused, nothing was changed: the service has no way back after a switchover. Before it nothing is to be rolled back; "
            "after it replicate from new production back to old blue, from the binlog_position that this module returned or the "
            "slot that was made before, and move the clients along it.",
            outcome="refused",
        )
    given = [name for name in _MEANINGLESS if options[name] not in (None, [])]
    if given:
        raise BlueGreenError(f"The option {given[0]} means nothing to the engine {ENGINE}: leave it out.")
    timeout = options["switchover_timeout"]
    if timeout is not None and not _SHORTEST <= timeout <= _LONGEST:
        raise BlueGreenError(
            f"switchover_timeout is {_SHORTEST} to {_LONGEST} s for the service, but is {timeout}: correct it."
        )
    following = [gate["type"] for gate in options["gates"] if gate["type"] not in _HOLDING]
    if following:
        raise BlueGreenError(
            f"The service moves the endpoints by itself, so a gate of type {following[0]} that cannot hold clients has nothing to do: "
            f"leave it out, or give one of type {' or '.join(_HOLDING)}."
        )


class Switchover:
    """One call of the module."""

    def __init__(
        self,
        options: Mapping[str, Any],
        api: Api,
        quick: Callable[[str], Api],
        endpoints: Mapping[str, EndpointOf],
        journal: Journal,
    ) -> None:
        refuse_options(options)
        self._options, self._quick, self._endpoints, self._journal = options, quick, endpoints, journal
        self._service = Service(api, quick("rds"), options["deployment_id"])
        self._timeline = Timeline()

    def go(self) -> dict[str, Any]:
        """Switch over; returns the module's result, raises :class:`BlueGreenError` with all of it that is known."""
        try:
            deployment = self._service.find()
            places = self._service.places(deployment) if deployment else Places(None, None)
            over = deployment is not None and deployment.status == SWITCHED
            logins = {} if over else self._logins(places)
            gates = gates_of(self._options["gates"], places, over=over, quick=self._quick)
        except BlueGreenError as error:
            raise BlueGreenError(error.message, **{"outcome": "refused", **error.details}) from None
        monitor = Monitor([_watched(side, logins) for side in logins], _names(places), self._note)
        limits = Limits(
            self._options["switchover_timeout"] or DEFAULT_TIMEOUT,
            self._options["wait_timeout"],
            self._options["gate_timeout"],
            self._options["max_lag"],
        )
        run = Run(
            self._service,
            monitor,
            gates,
            limits,
            self._journal,
            self._timeline,
            lambda: [*_server_checks(logins, places, limits.max_lag), *self._certificates(logins)],
        )
        try:
            outcome: str = run.go(deployment)
            after = self._looked(outcome, gates, lambda: self._after(deployment, places, monitor))
        except BlueGreenError as error:
            known = {"outcome": "unknown" if run.begun else "refused"}
            raise BlueGreenError(
                error.message, **{**known, **error.details, **self._told(run, places, monitor)}
            ) from None
        finally:
            gates.close()
        changed = {"changed": False} if outcome == "rolled_back" else {}
        return {"outcome": outcome, **self._told(run, places, monitor), **after, **changed}

    def _looked(self, outcome: str, gates: Gates, after: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Who serves now and where the gates lead; the outcome is known, whether that can be seen or not."""
        try:
            return {**after(), "gates": gates.positions()}
        except BlueGreenError as error:
            raise BlueGreenError(
                f"The switchover of {self._service.name} ended as {outcome}, but what is there now cannot be looked at: "
                f"{error.message.rstrip('.')}; mend that and run this again.",
                **{**error.details, "outcome": outcome},
            ) from None

    def _note(self, event: str) -> None:
        if event == "IN_PROGRESS":
            self._timeline.zero()
        self._timeline.note(event)

    def _logins(self, places: Places) -> dict[str, tuple[Endpoint, str]]:
        """The connections that were given, with the dialect of their engine; none for one without metadata."""
        engine = (places.blue or places.green).engine if places.blue or places.green else ""  # type: ignore[union-attr]
        given = [side for side in ("blue", "green") if self._options[side]]
        if not given or not engine:
            return {}
        of = dialect(engine)
        return {side: (self._endpoints[family(of)](side), of) for side in given}

    def _certificates(self, logins: Mapping[str, tuple[Endpoint, str]]) -> list[Check]:
        endpoint, of = logins.get("green", (None, ""))
        return certificate_checks(self._options["gates"], endpoint if of and family(of) == "postgresql" else None)

    def _told(self, run: Run, places: Places, monitor: Monitor) -> dict[str, Any]:
        timeline = tables.timeline(self._timeline.as_list())
        known = monitor.known_addresses
        hosts = tables.hosts(_hosts(places.blue, known), _hosts(places.green, known))
        return {
            "window_ms": run.window_ms,
            "window_from": run.window_from,
            "reasons": run.reasons,
            "checks": [check.as_dict() for check in run.checks],
            "timeline": timeline,
            "hosts": hosts,
            "tables": {
                "hosts": tables.hosts_text(hosts).splitlines(),
                "timeline": tables.timeline_text(timeline).splitlines(),
            },
        }

    def _after(self, before: Deployment | None, places: Places, monitor: Monitor) -> dict[str, Any]:
        """Who serves now."""
        now = (self._service.look(before.identifier) if before else None) or before
        serving = "green" if now is not None and now.switched else "blue"
        found = self._service.places(now) if now else places
        position = None
        if serving == "green" and now is not None and found.green and "mysql" in found.green.engine:
            position = self._position(now, _EVENT if before is not None and not before.switched else 0.0)
        return {
            "serving": serving,
            "blue": _side(found.blue, serving == "blue"),
            "green": _side(found.green, serving == "green"),
            "deployment": now.as_dict() if now else None,
            "binlog_position": position,
            "left_behind": self._left_behind(found) if serving == "green" else [],
        }

    def _left_behind(self, found: Places) -> list[dict[str, Any]]:
        """What of old production a person has to carry over."""
        old, production = found.blue, found.green
        if old is None or production is None:
            return []
        policies: list[str] = []
        if production.is_cluster:
            with suppress(BlueGreenError):  # readiness told of what may not be looked at
                described = around.policies(self._quick("application-autoscaling"), production)
                policies = [str(one.get("PolicyName")) for one in described]
        checks = members.left_behind(old, production, policies)
        return [check.as_dict() for check in checks if check.status != "ok"]

    def _position(self, now: Deployment, patience: float) -> dict[str, Any] | None:
        """What the service's event says of new production's log; it may be a moment late."""
        deadline = Deadline(patience)
        while True:
            with suppress(BlueGreenError):
                position = self._service.binlog_position(now)
                if position is not None or deadline.passed:
                    return position
            if deadline.passed:
                return None
            time.sleep(min(POLL, deadline.left))


def _server_checks(logins: Mapping[str, tuple[Endpoint, str]], places: Places, max_lag: float) -> list[Check]:
    found = guardrails.server_checks(logins, max_lag)
    return found + (replicas.checks(*logins["green"], places.green, max_lag) if "green" in logins else [])


def _watched(side: str, logins: Mapping[str, tuple[Endpoint, str]]) -> Watched:
    endpoint, of = logins[side]
    blue = logins["blue"][0].host if "blue" in logins else endpoint.host
    return Watched(endpoint, of, blue)


def _names(places: Places) -> Names:
    """The names to watch; none when the service has changed them already, because nothing tells then what they were."""
    blue, green = places.blue, places.green
    if blue is None or green is None or not is_green(green.identifier):
        return Names()
    return Names(tuple(host.name for host in _hosts(blue, {})), tuple(host.name for host in _hosts(green, {})))


def _hosts(place: Place | None, known: Mapping[str, tuple[str, ...]]) -> list[tables.Host]:
    if place is None:
        return []
    hosts: list[tuple[str | None, tables.Kind]] = []
    if place.is_cluster:
        hosts += [(place.host, "cluster"), (place.reader_host, "cluster_reader")]
    for member in place.members:
        endpoint = (member.description.get("Endpoint") or {}).get("Address")
        hosts.append((endpoint, "writer" if member.is_writer else "reader"))
    return [tables.Host(name, kind, known.get(name, ())) for name, kind in hosts if name]


def _side(place: Place | None, serves: bool) -> dict[str, Any] | None:
    if place is None:
        return None
    return {
        "host": place.host,
        "open": serves,
        "identifier": place.identifier,
        "engine_version": place.version,
    }
