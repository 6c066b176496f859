# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the AWS wrappers read of a server: the rows of a deployment, and who the servers of a cluster are.

MySQL has a table for the rows, written outside the binary log. PostgreSQL has functions; they read files in the data
directory of the server that is asked, so that nothing of it is in the WAL: it does not replicate, and a server that
only reads has it too.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from tests.lab.control_plane.plane import ControlPlane
from tests.lab.control_plane.records import Cluster, Region
from tests.lab.engine import EngineError
from tests.lab.managed.link import TopologyRow
from tests.lab.mysql import servers as mysql_servers
from tests.lab.postgresql import servers as postgresql_servers
from tests.lab.postgresql.engine import PostgreSQLEngine
from tests.lab.postgresql.volumes import IDENTITY_FILE, TOPOLOGY_FILE

_READ_ONLY = "SELECT @@GLOBAL.super_read_only"


def publish_mysql(server: mysql_servers.Server, rows: Sequence[TopologyRow]) -> None:
    """Let `mysql.rds_topology` of a server have these rows and no others, from one moment to the next."""
    protected = bool(server.value(_READ_ONLY))
    values = [(row.id, row.endpoint, row.port, row.role, row.status, row.version) for row in rows]
    server.execute(
        *(["SET GLOBAL super_read_only = OFF"] if protected else []),
        "START TRANSACTION",
        "DELETE FROM mysql.rds_topology",
        *(("INSERT INTO mysql.rds_topology VALUES (%s, %s, %s, %s, %s, %s)", row) for row in values),
        "COMMIT",
        *(["SET GLOBAL super_read_only = ON"] if protected else []),
    )


def publish_postgresql(server: postgresql_servers.Server, rows: Sequence[TopologyRow]) -> None:
    """Let a server's functions return these rows and no others."""
    _write(server, TOPOLOGY_FILE, json.dumps([asdict(row) for row in rows]))


def identify(plane: ControlPlane, region: Region, cluster: Cluster) -> None:
    """Let every running server of a cluster know its name, its id and the other members, as they are now."""
    engine = made(plane, cluster)
    if not isinstance(engine, PostgreSQLEngine):
        return
    with plane.lock:
        members = [(member.identifier, member.server_id, member.writer) for member in region.members(cluster)]
    known = [
        {"server_id": name, "session_id": "MASTER_SESSION_ID" if writer else resource}
        for name, resource, writer in members
    ]
    for name, resource, _writer in members:
        try:
            server = engine.server(resource)
        except EngineError:
            continue  # it knows when it runs
        _write(server, IDENTITY_FILE, json.dumps({"instance": name, "resource_id": resource, "members": known}))


def made(plane: ControlPlane, cluster: Cluster) -> object:
    """Return the engine that runs the servers of a cluster, not what stands in front of it."""
    engine = plane.engines[str(cluster.api["Engine"])]
    return getattr(engine, "made", engine)


def _write(server: postgresql_servers.Server, name: str, text: str) -> None:
    server.installation.processes.account.write(server.data / name, text)
