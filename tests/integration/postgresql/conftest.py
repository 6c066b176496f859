# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real servers for the behaviour of replication: blues, clones of them, upgrades; without the control plane."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.endpoint import Endpoint
from ansible_collections.bluegreen.aws.plugins.module_utils._core.journal import Journal
from ansible_collections.bluegreen.aws.plugins.module_utils._core.names import Names
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.connection import (
    connect,
    connected,
    execute,
    rows,
)
from ansible_collections.bluegreen.aws.plugins.module_utils._postgresql.deployment import Request, reach
from tests.integration.servers import ServersOf, instance
from tests.lab.postgresql import PostgreSQLEngine

PASSWORD = "it's a \\ pass word"
VERSION, NEWER = "16.14", "18.4"
PARAMETERS = {
    "rds.logical_replication": "1",
    "max_replication_slots": "20",
    "max_logical_replication_workers": "8",
    "max_worker_processes": "16",
    "max_prepared_transactions": "5",
}


@dataclass(frozen=True)
class Pair:
    """A deployment's two sides and its names."""

    blue: Endpoint
    green: Endpoint
    names: Names


class Servers(ServersOf[PostgreSQLEngine]):
    """Clusters of one writer each; an endpoint's address tells its cluster."""

    def __init__(self, logs: Path) -> None:
        engine = PostgreSQLEngine(logs)
        super().__init__(engine, engine.ca_file, 5432, PASSWORD)

    def blue(self, databases: Sequence[str] = ("shop",), *, version: str = VERSION, **parameters: str) -> Endpoint:
        """A new cluster with these databases."""
        endpoint = self._new(version, databases[0], {**PARAMETERS, **parameters})
        for database in databases[1:]:
            run(endpoint, f"CREATE DATABASE {database}")
        return endpoint

    def upgrade(self, green: Endpoint) -> None:
        """The major version upgrade of green."""
        self._upgrade(green, NEWER)

    def as_service(self, endpoint: Endpoint, *statements: str, database: str = "shop") -> None:
        """Run statements as the service's own superuser: stand-ins for what a customer's database has from AWS."""
        with self.engine.as_service(instance(endpoint), database) as conn:
            for statement in ("SET search_path = public", *statements):
                execute(conn, statement)


def run(endpoint: Endpoint, *statements: str, database: str | None = None) -> list[tuple[Any, ...]]:
    """Run statements as the admin, each by itself; returns the last one's rows."""
    found: list[tuple[Any, ...]] = []
    with connected(endpoint.at(database or endpoint.database)) as conn:
        for statement in statements:
            found = rows(conn, statement)
    return found


def login(endpoint: Endpoint, **more: Any) -> dict[str, Any]:
    """A side as a module's option."""
    return {
        "host": endpoint.host,
        "port": endpoint.port,
        "user": endpoint.user,
        "password": endpoint.password,
        "ca_cert": endpoint.ca_cert,
        **more,
    }


def step(
    state: str,
    names: Names,
    blue: Endpoint | None,
    green: Endpoint | None = None,
    *,
    journal: Journal | None = None,
    **more: Any,
) -> tuple[Journal, dict[str, Any]]:
    """Reach a state of pg_logical_subscription in this process; returns what was done and the result."""
    journal = journal or Journal(check_mode=False)
    request = Request(
        state=state,
        databases=None,
        position=None,
        replication_ssl_mode="require",
        max_lag=None,
        wait=True,
        wait_timeout=30.0,
        wait_delay=0.1,
        slot_timeout=10.0,
    )
    result = reach(replace(request, **more), blue, green, names, journal)
    return journal, result


def replicated(servers: Servers, blue: Endpoint, deployment_id: str, *, upgrade: bool = False) -> Pair:
    """Clone ``blue`` and let the clone follow it."""
    names = Names.of(deployment_id)
    step("prepared", names, blue)
    green = servers.clone(blue)
    step("positioned", names, blue, green)
    if upgrade:
        servers.upgrade(green)
    step("running", names, blue, green)
    return Pair(blue, green, names)


_CATALOG = """
SELECT 'setting', setdatabase::text || '/' || setrole, setconfig::text FROM pg_db_role_setting
UNION ALL SELECT 'slot', slot_name, restart_lsn IS NULL || '' FROM pg_replication_slots
UNION ALL SELECT 'subscription', subname, subenabled || '/' || subslotname FROM pg_subscription
UNION ALL SELECT 'prepared', gid, '' FROM pg_prepared_xacts
UNION ALL SELECT 'database', datname, datacl::text FROM pg_database
UNION ALL SELECT 'role', rolname, rolcanlogin::text FROM pg_roles
UNION ALL SELECT 'publication', pubname, current_database() FROM pg_publication
UNION ALL SELECT 'relation', relname, relnamespace::regnamespace::text FROM pg_class WHERE oid >= 16384
ORDER BY 1, 2, 3
"""


def everything(*endpoints: Endpoint) -> str:
    """What the catalogs of these clusters say, for seeing that nothing was changed."""
    said: list[Any] = []
    for endpoint in endpoints:
        for (database,) in run(
            endpoint, "SELECT datname FROM pg_database WHERE datallowconn AND datname <> 'rdsadmin' ORDER BY 1"
        ):
            if database != "template1":
                said.append([endpoint.side, database, run(endpoint, _CATALOG, database=database)])
    return json.dumps(said, indent=1, default=str)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """The servers of the whole run; pytest keeps their logs."""
    started = Servers(tmp_path_factory.mktemp("servers"))
    yield started
    started.close()


@pytest.fixture(scope="session")
def proof_pair(servers: Servers) -> Iterator[Pair]:
    """Blue on 16 and a green on 18 that follows it, for proofs; every test leaves them equal."""
    from tests.integration.postgresql.proof import NAMES, TABLES  # it builds on this file

    blue = servers.blue()
    run(blue, *TABLES, database="shop")
    made = replicated(servers, blue, NAMES.deployment_id, upgrade=True)
    yield made
    servers.remove(made.blue, made.green)


def hold(endpoint: Endpoint, statement: str, database: str) -> Any:
    """A connection with an open transaction that has run ``statement``; the caller closes it."""
    conn = connect(endpoint.at(database))
    conn.autocommit = False
    execute(conn, statement)
    return conn
