# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real servers without the control plane: what those of MySQL and of PostgreSQL have in common."""

from __future__ import annotations

import itertools
import secrets
import socket
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Generic, TypeVar

from ansible_collections.bluegreen.aws.plugins.module_utils._core.endpoint import Endpoint
from tests.lab.engine import DatabaseEngine, InstanceSpec

ADMIN = "shop_admin"
EngineT = TypeVar("EngineT", bound=DatabaseEngine)


class ServersOf(Generic[EngineT]):
    """Clusters of one writer each; an endpoint's address tells its cluster."""

    def __init__(self, engine: EngineT, ca_file: Path, port: int, password: str) -> None:
        self.engine = engine
        self._ca_file, self._port, self._password = str(ca_file), port, password
        self._net = free_net(port)
        self._numbers = itertools.count(1)
        self._parameters: dict[str, dict[str, str]] = {}
        self.messages: dict[str, list[str]] = {}  # by host: what the service would publish as events

    def close(self) -> None:
        """End every server and remove its data."""
        self.engine.close()

    def _new(self, version: str, database: str, parameters: Mapping[str, str]) -> Endpoint:
        number = next(self._numbers)
        self.engine.create_volume(f"v{number}", version, ADMIN, self._password, database)
        return self._start(number, "blue", parameters)

    def clone(self, blue: Endpoint, **parameters: str) -> Endpoint:
        """A clone of blue's volume, started with blue's parameters and these."""
        number = next(self._numbers)
        self.engine.clone_volume(volume(blue), f"v{number}")
        return self._start(number, "green", {**self._parameters[blue.host], **parameters})

    def reader(self, endpoint: Endpoint) -> Endpoint:
        """A reader of a cluster, removed with it."""
        number = next(self._numbers)
        host, parameters = f"{self._net}.{number}", self._parameters[endpoint.host]
        self.engine.start(InstanceSpec(f"i{number}", volume(endpoint), "reader", (host,), self._port, parameters))
        return replace(endpoint, host=host)

    def _upgrade(self, green: Endpoint, version: str) -> None:
        self.stop(green)
        self.engine.upgrade_volume(volume(green), version)
        self.start(green)

    def stop(self, endpoint: Endpoint, *, crash: bool = False) -> None:
        """Stop a cluster's server."""
        self.engine.stop(instance(endpoint), immediate=crash)

    def start(self, endpoint: Endpoint) -> None:
        """Start it again."""
        self._start(_number(endpoint), endpoint.side, self._parameters[endpoint.host])

    def remove(self, *endpoints: Endpoint) -> None:
        """Delete clusters."""
        for endpoint in endpoints:
            self.engine.delete_volume(volume(endpoint))

    def _start(self, number: int, side: str, parameters: Mapping[str, str]) -> Endpoint:
        host = f"{self._net}.{number}"
        self._parameters[host] = dict(parameters)
        spec = InstanceSpec(f"i{number}", f"v{number}", "writer", (host,), self._port, parameters)
        self.messages.setdefault(host, []).extend(self.engine.start(spec))
        return Endpoint(side, host, self._port, ADMIN, self._password, ca_cert=self._ca_file)


def volume(endpoint: Endpoint) -> str:
    """The volume of a cluster."""
    return f"v{_number(endpoint)}"


def instance(endpoint: Endpoint) -> str:
    """The instance of a cluster, or the reader that has this endpoint."""
    return f"i{_number(endpoint)}"


def _number(endpoint: Endpoint) -> int:
    return int(endpoint.host.rpartition(".")[2])


def free_net(port: int) -> str:
    """The beginning of loopback addresses on whose port nobody listens."""
    while True:
        net = f"127.{20 + secrets.randbelow(230)}.{secrets.randbelow(256)}"
        with socket.socket() as probe:
            if probe.connect_ex((f"{net}.1", port)) != 0:
                return net
