# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The links between the real servers of blue and green, by engine."""

from __future__ import annotations

from tests.lab.control_plane.plane import ControlPlane
from tests.lab.control_plane.records import Cluster, Region
from tests.lab.engine import EngineError
from tests.lab.managed import metadata
from tests.lab.managed.ends import Ends
from tests.lab.managed.link import Health, Link
from tests.lab.managed.mysql_link import MySQLLink
from tests.lab.managed.physical_link import PhysicalLink
from tests.lab.managed.postgresql_link import PostgreSQLLink
from tests.lab.mysql import MySQLEngine
from tests.lab.postgresql.engine import PostgreSQLEngine


def make_link(plane: ControlPlane, region: Region, source: Cluster, target: Cluster, physical: bool = False) -> Link:
    """Return the link between two clusters, or hidden clusters of DB instances; nothing is done yet.

    `physical`: RDS for PostgreSQL whose green gets no other major version; it is a copy block by block.
    """
    ends, engine = Ends(plane, region, source, target), metadata.made(plane, source)
    if isinstance(engine, MySQLEngine):
        return MySQLLink(engine, ends)
    if isinstance(engine, PostgreSQLEngine):
        return (PhysicalLink if physical else PostgreSQLLink)(engine, ends)
    raise EngineError(f"The engine {source.api['Engine']} has no blue/green deployments.")


def replica_health(plane: ControlPlane, region: Region, source: Cluster, replica: Cluster) -> Health:
    """Return how a read replica follows the DB instance that it is one of; raises EngineError when it does not run."""
    ends, engine = Ends(plane, region, source, replica), metadata.made(plane, source)
    if isinstance(engine, MySQLEngine):
        return MySQLLink(engine, ends).health()
    if isinstance(engine, PostgreSQLEngine):
        return PhysicalLink(engine, ends).receives()
    raise EngineError(f"The engine {source.api['Engine']} has no read replicas.")
