# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Neptune for the behaviour tests: blues and clones of the run's lab, and how a side is reached there."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.endpoint import Endpoint
from tests.lab.lab import NEPTUNE_VERSION, Blue, Lab
from tests.lab.tools import NEPTUNE

VERSION, NEWER = NEPTUNE_VERSION, "1.4.6.0"


def endpoint(lab: Lab, blue: Blue, host: str | None = None, side: str = "blue") -> Endpoint:
    """How a side is reached, blue's writer endpoint unless a host is given; Neptune has no user and no password."""
    return Endpoint(side, host or blue.host, blue.port, "", "", ca_cert=lab.ca_file)


def login(endpoint: Endpoint, **more: Any) -> dict[str, Any]:
    """A side as a module's option."""
    return {"host": endpoint.host, "port": endpoint.port, "ca_cert": endpoint.ca_cert, **more}


class NeptuneLab:
    """Blues and greens of a lab, each with a name of its own; those made in a test or a module end with it."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._numbers = itertools.count(1)

    def __call__(self, graph: str = "propertygraph", instances: int = 2, name: str | None = None, **more: Any) -> Blue:
        """Seed a blue: else as `Lab.seed_neptune`: version, streams, iam_auth, more parameters."""
        made = name or f"nep{next(self._numbers)}"
        return self.lab.seed_neptune(made, graph=graph, readers=instances - 1, **more)

    def cluster(self, name: str) -> dict[str, Any]:
        """A cluster as described."""
        found: dict[str, Any] = self.lab.client("rds").describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]
        return found

    def instances(self, name: str) -> list[dict[str, Any]]:
        """A cluster's instances as described."""
        wanted = [{"Name": "db-cluster-id", "Values": [name]}]
        found: list[dict[str, Any]] = self.lab.client("rds").describe_db_instances(Filters=wanted)["DBInstances"]
        return found

    def clone(self, blue: Blue, name: str, instances: int = 1) -> Endpoint:
        """Make a copy-on-write clone with blue's own parameter group, without the collection."""
        rds, source = self.lab.client("rds"), self.cluster(blue.cluster)
        made = rds.restore_db_cluster_to_point_in_time(
            SourceDBClusterIdentifier=blue.cluster,
            DBClusterIdentifier=name,
            RestoreType="copy-on-write",
            UseLatestRestorableTime=True,
            DBClusterParameterGroupName=source["DBClusterParameterGroup"],
            EnableIAMDatabaseAuthentication=source["IAMDatabaseAuthenticationEnabled"],
        )["DBCluster"]
        for number in range(1, instances + 1):
            rds.create_db_instance(
                DBInstanceIdentifier=f"{name}-{number}",
                DBClusterIdentifier=name,
                Engine=NEPTUNE,
                DBInstanceClass="db.r6g.large",
            )
        self.lab.wait_available(name)
        return endpoint(self.lab, blue, made["Endpoint"], "green")


@pytest.fixture(scope="session")
def neptune_lab(lab: Lab) -> NeptuneLab:
    """The lab of the run and what makes blues and greens in it; who makes some takes them away."""
    return NeptuneLab(lab)


@pytest.fixture
def neptune(neptune_lab: NeptuneLab) -> Iterator[NeptuneLab]:
    """What makes blues, `neptune(graph="rdf", instances=2)`, and clones, all gone when the test has ended."""
    before = neptune_lab.lab.clusters()
    yield neptune_lab
    neptune_lab.lab.faults.clear()
    neptune_lab.lab.clear(before)
