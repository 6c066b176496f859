# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engines of DB instances without a cluster: the servers of Aurora's engines under the service's other names."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.lab.control_plane.lazy_engine import LazyEngine
from tests.lab.engine import DatabaseEngine, InstanceSpec
from tests.lab.mysql import parameters as mysql
from tests.lab.postgresql import PostgreSQLEngine, rds


class RdsMySQL(LazyEngine):
    """RDS for MySQL; the position of a crash recovery is told by Aurora only."""

    def __init__(self, aurora: Callable[[], DatabaseEngine]) -> None:
        super().__init__(mysql.RDS_VERSIONS, mysql.defaults, aurora)

    def start(self, spec: InstanceSpec) -> Sequence[str]:
        """Start a server."""
        super().start(spec)
        return ()


class RdsPostgreSQL(LazyEngine):
    """RDS for PostgreSQL: what only Aurora has is taken out of every database when a writer starts."""

    def __init__(self, aurora: PostgreSQLEngine) -> None:
        super().__init__(rds.VERSIONS, rds.defaults, lambda: aurora)
        self._aurora = aurora

    def start(self, spec: InstanceSpec) -> Sequence[str]:
        """Start a server."""
        messages = super().start(spec)
        if spec.role == "writer" and self._aurora.volume(spec.volume_id).follower is None:
            self._take_out(spec.instance_id)
        return messages

    def _take_out(self, instance_id: str) -> None:
        with self._aurora.as_service(instance_id, "postgres") as connection, connection.cursor() as cursor:
            cursor.execute("SELECT datname FROM pg_catalog.pg_database WHERE datallowconn")
            databases = [str(row[0]) for row in cursor.fetchall()]
        for database in databases:
            with self._aurora.as_service(instance_id, database) as connection, connection.cursor() as cursor:
                cursor.execute(rds.NOT_THERE)
