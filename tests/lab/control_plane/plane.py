# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control plane's parts in one place, and what a handler of an operation is given."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.lab.control_plane.addresses import Addresses
from tests.lab.control_plane.clock import Clock
from tests.lab.control_plane.errors import ApiError, invalid_combination, invalid_value, not_in_lab
from tests.lab.control_plane.faults import Faults
from tests.lab.control_plane.jobs import Jobs
from tests.lab.control_plane.kinds import kind_of, series
from tests.lab.control_plane.managed_records import Managed
from tests.lab.control_plane.names import Names
from tests.lab.control_plane.records import GlobalCluster, Region, Shape
from tests.lab.engine import DatabaseEngine, EngineVersion


class ControlPlane:
    """Engines, records, clock, jobs and faults.

    `lock` guards the records: handlers hold it for the whole call, jobs only while they change records, never during
    a call of an engine. With `names` the endpoints have host names, without them addresses.
    """

    def __init__(
        self,
        engines: Mapping[str, DatabaseEngine],
        addresses: Addresses,
        clock: Clock,
        names: Names | None = None,
    ) -> None:
        self.engines = dict(engines)
        self.addresses = addresses
        self.clock = clock
        self.names = names
        self.jobs = Jobs()
        self.faults = Faults()
        self.lock = threading.RLock()
        self.caller: str | None = None  # the ARN of whoever calls, when it is not the lab's own user
        self.global_clusters: dict[str, GlobalCluster] = {}
        self.managed = Managed()
        self._regions: dict[str, Region] = {}
        self._versions = [version for engine in engines.values() for version in engine.versions()]

    def region(self, name: str) -> Region:
        """Return a Region's records; every name is a Region."""
        with self.lock:
            return self._regions.setdefault(name, Region(name, self.names))

    def regions(self) -> list[Region]:
        """Return every Region that has been asked for."""
        with self.lock:
            return list(self._regions.values())

    def versions(self) -> list[EngineVersion]:
        """Return every engine version."""
        return list(self._versions)

    def families(self) -> list[str]:
        """Return the parameter group families, each once."""
        return list(dict.fromkeys(version.family for version in self._versions))

    def engine_name(self, family: str) -> str:
        """Return the engine of a parameter group family; raises ApiError for a family that does not exist."""
        for version in self._versions:
            if version.family == family:
                return version.engine
        raise invalid_value(f"ParameterGroupFamily {family} is not a valid parameter group family")

    def version(self, engine: str, version: str | None) -> EngineVersion:
        """Return a version by its full name, by its major alone (the newest of it), or the default version.

        Raises ApiError for an engine or a version that does not exist.
        """
        kind_of(engine)
        offered = [known for known in self._versions if known.engine == engine]
        if not offered:
            raise not_in_lab(f"the engine {engine}")
        if version is None:
            family = min(offered, key=lambda known: known.major).family
            return [known for known in offered if known.family == family][-1]
        exact = [known for known in offered if known.version == version]
        by_major = [known for known in offered if series(known) == version]
        if not exact and not by_major:
            raise invalid_combination(f"Cannot find version {version} for {engine}")
        return (exact or by_major)[-1]

    def close(self) -> None:
        """End all work, then every server, then give the addresses back."""
        self.clock.stop()
        self.jobs.close()
        for engine in self.engines.values():
            engine.close()
        if self.names is not None:
            self.names.close()
        self.addresses.close()


@dataclass(frozen=True)
class Call:
    """One call of an operation."""

    plane: ControlPlane
    region: Region
    operation: str
    params: Shape

    def text(self, name: str) -> str:
        """Return a parameter that must be there."""
        value = self.params.get(name)
        if not value:
            raise ApiError("MissingParameter", f"The request must contain the parameter {name}")
        return str(value)


Handler = Callable[[Call], Shape]
