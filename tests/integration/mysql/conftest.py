# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MySQL for the behaviour tests: blues and clones of a lab (`mysql_lab`), and servers without a control plane (`servers`).

The lab's MySQL, with everything that AWS does around it: `shop` is a blue of the test file's own; `mysql_lab.blue()`
makes more, `mysql_lab.clone(blue)` a green. Where the control plane does not matter, `servers` is quicker: the same
engine, no API, no states.
"""

from __future__ import annotations

import itertools
import json
import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.bluegreen.aws.plugins.module_utils._core.endpoint import Endpoint
from ansible_collections.bluegreen.aws.plugins.module_utils._mysql.connection import connect, connected, rows
from tests.integration.servers import ServersOf, instance
from tests.lab.lab import MYSQL_VERSION, Blue, Lab
from tests.lab.mysql import MySQLEngine
from tests.lab.tools import BINARY_LOG, GTIDS, MYSQL, production_group, wait_until
from tests.playbook import Playbook

VERSION = MYSQL_VERSION
NEWER = "8.4.mysql_aurora.8.4.7"
PLAYBOOK = "bluegreen.aws.aurora_mysql"
# What green's own cluster parameter group has beside blue's values.
GREEN = {"read_only": "1", "event_scheduler": "OFF", "replica_checkpoint_period": "1", "replica_parallel_workers": "4"}
PASSWORD = "it's a \\ pass word"
APPLICATION = "shop_app"


# Statements and logins


def run(endpoint: Endpoint, *statements: str, database: str | None = None) -> list[tuple[Any, ...]]:
    """Run statements as the endpoint's user, each by itself; returns the last one's rows."""
    found: list[tuple[Any, ...]] = []
    with connected(endpoint.at(endpoint.database if database is None else database)) as conn:
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


def application(endpoint: Endpoint, user: str = APPLICATION, database: str = "shop") -> Endpoint:
    """An application's own account, as the binary log has it: the rights on one database and no others."""
    password = secrets.token_urlsafe(16)
    run(
        endpoint,
        f"CREATE USER '{user}'@'%' IDENTIFIED BY '{password}'",
        f"GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES, TRIGGER, EXECUTE "
        f"ON `{database}`.* TO '{user}'@'%'",
    )
    return replace(endpoint, user=user, password=password, database=database)


def hold(endpoint: Endpoint, statement: str) -> Any:
    """A connection with an open transaction that has run ``statement``; the caller closes it."""
    conn = connect(endpoint)
    conn.begin()
    rows(conn, statement)
    return conn


_CATALOG = """
SELECT 'account', CONCAT(user, '@', host), CONCAT_WS('/', plugin, account_locked, authentication_string) FROM mysql.user
WHERE user NOT LIKE 'rds%' AND user NOT LIKE 'mysql.%'
UNION ALL SELECT 'table', CONCAT_WS('.', table_schema, table_name), table_type FROM information_schema.tables
WHERE table_schema NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys')
UNION ALL SELECT 'grant', CONCAT_WS('.', user, host, db), CONCAT_WS('/', insert_priv, select_priv) FROM mysql.db
UNION ALL SELECT 'channel', channel_name, CONCAT_WS('/', host, port, user, auto_position)
FROM performance_schema.replication_connection_configuration
UNION ALL SELECT 'applier', channel_name, service_state FROM performance_schema.replication_applier_status
UNION ALL SELECT 'configuration', name, COALESCE(value, '') FROM mysql.rds_configuration
UNION ALL SELECT 'variable', variable_name, variable_value FROM performance_schema.global_variables
WHERE variable_name IN ('read_only', 'event_scheduler', 'gtid_mode', 'binlog_format')
ORDER BY 1, 2, 3
"""


def everything(*endpoints: Endpoint) -> str:
    """What the catalogs of these servers say, for seeing that nothing was changed."""
    return json.dumps([[endpoint.side, run(endpoint, _CATALOG)] for endpoint in endpoints], indent=1, default=str)


# A lab


class MySQLLab:
    """Blues and greens of a lab, each with a name of its own; those made in a test or a module end with it."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self._numbers = itertools.count(1)

    def blue(self, name: str | None = None, **more: Any) -> Blue:
        """Seed a blue: `readers=0` here, else as `Lab.seed_mysql`: version, gtid, database, more parameters."""
        made = f"my{next(self._numbers)}"
        return self.lab.seed_mysql(name or made, **{"readers": 0, **more})

    def clone(self, blue: Blue, name: str, instances: int = 1, **parameters: str) -> Endpoint:
        """Make a green as the collection does: copy-on-write, with a group of its own (`GREEN` and these over blue's)."""
        rds = self.lab.client("rds")
        source = rds.describe_db_clusters(DBClusterIdentifier=blue.cluster)["DBClusters"][0]
        found = rds.describe_db_cluster_parameters(
            DBClusterParameterGroupName=source["DBClusterParameterGroup"], Source="user"
        )["Parameters"]
        values = {entry["ParameterName"]: entry["ParameterValue"] for entry in found}
        production_group(rds, name, MYSQL, source["EngineVersion"], {**values, **GREEN, **parameters})
        rds.restore_db_cluster_to_point_in_time(
            SourceDBClusterIdentifier=blue.cluster,
            DBClusterIdentifier=name,
            RestoreType="copy-on-write",
            UseLatestRestorableTime=True,
            DBClusterParameterGroupName=name,
        )
        for number in range(1, instances + 1):
            rds.create_db_instance(
                DBInstanceIdentifier=f"{name}-{number}",
                DBClusterIdentifier=name,
                Engine=MYSQL,
                DBInstanceClass="db.r6g.large",
            )
        self.lab.wait_available(name)
        return self.endpoint(blue, "green", name)

    def upgrade(self, name: str, version: str = NEWER) -> None:
        """Upgrade a clone to a newer major version, its group's values carried over, and reboot it."""
        rds = self.lab.client("rds")
        values = rds.describe_db_cluster_parameters(DBClusterParameterGroupName=name, Source="user")["Parameters"]
        group = f"{name}-new"
        wanted = {entry["ParameterName"]: entry["ParameterValue"] for entry in values}
        production_group(rds, group, MYSQL, version, wanted)
        rds.modify_db_cluster(
            DBClusterIdentifier=name,
            EngineVersion=version,
            AllowMajorVersionUpgrade=True,
            DBClusterParameterGroupName=group,
            ApplyImmediately=True,
        )

        def upgraded() -> bool:
            return bool(rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]["EngineVersion"] == version)

        wait_until(upgraded, 60, f"{name} to be upgraded to {version}")
        self.lab.wait_available(name)
        rds.reboot_db_instance(DBInstanceIdentifier=f"{name}-1")
        self.lab.wait_available(name)

    def endpoint(self, blue: Blue, side: str = "blue", cluster: str | None = None) -> Endpoint:
        """How the master user of a blue, or of a clone of it, logs in at the cluster's endpoint."""
        found = self.lab.client("rds").describe_db_clusters(DBClusterIdentifier=cluster or blue.cluster)["DBClusters"]
        host, port = found[0]["Endpoint"], found[0]["Port"]
        return Endpoint(side, host, port, blue.user, blue.password, ca_cert=self.lab.ca_file)

    def recovered(self, instance: str) -> list[str]:
        """The messages of an instance's events that tell the position of a crash recovery."""
        events = self.lab.client("rds").describe_events(SourceType="db-instance", SourceIdentifier=instance)["Events"]
        return [event["Message"] for event in events if "crash recovery" in event["Message"]]

    def playbook(self, directory: Path, variables: dict[str, Any]) -> Playbook:
        """The playbook of MySQL as its user starts it."""
        return Playbook(directory, self.lab.env, variables, PLAYBOOK)


@pytest.fixture(scope="session")
def mysql_lab(lab: Lab) -> MySQLLab:
    """The lab of the run and what makes blues and greens in it."""
    return MySQLLab(lab)


@pytest.fixture(scope="module")
def shop(mysql_lab: MySQLLab, request: pytest.FixtureRequest) -> Iterator[Blue]:
    """A blue of the file's own, with GTIDs and without a reader; whatever the file made of it is gone afterwards."""
    before = mysql_lab.lab.clusters()
    name = request.module.__name__.rpartition(".")[2].removeprefix("test_").replace("_", "-")
    yield mysql_lab.blue(f"shop-{name}"[:40].rstrip("-"))
    mysql_lab.lab.faults.clear()
    mysql_lab.lab.clear(before)


@pytest.fixture
def new_blue(mysql_lab: MySQLLab) -> Iterator[MySQLLab]:
    """What makes blues and clones that are gone when the test has ended."""
    before = mysql_lab.lab.clusters()
    yield mysql_lab
    mysql_lab.lab.faults.clear()
    mysql_lab.lab.clear(before)


# Servers without a control plane


class Servers(ServersOf[MySQLEngine]):
    """Clusters of one writer each; an endpoint's address tells its cluster."""

    def __init__(self, logs: Path, *, sleeps: bool = True) -> None:
        engine = MySQLEngine(logs, sleeps=sleeps)
        super().__init__(engine, engine.ca_file, 3306, PASSWORD)

    def blue(self, database: str = "shop", *, version: str = VERSION, gtid: bool = True, **parameters: str) -> Endpoint:
        """A new cluster with this database, its binary log on."""
        return self._new(version, database, {**BINARY_LOG, **(GTIDS if gtid else {}), **parameters})

    def clone(self, blue: Endpoint, **parameters: str) -> Endpoint:
        """A clone of blue's volume, started with blue's parameters, those of a green, and these."""
        return super().clone(blue, **{**GREEN, **parameters})

    def upgrade(self, green: Endpoint, version: str = NEWER) -> None:
        """The upgrade of green to another version."""
        self._upgrade(green, version)

    def set(self, endpoint: Endpoint, **parameters: str) -> None:
        """Change dynamic parameters of a running server, as its parameter group does."""
        wanted = self._parameters[endpoint.host] = {**self._parameters[endpoint.host], **parameters}
        self.engine.apply_dynamic(instance(endpoint), wanted)

    def as_service(self, endpoint: Endpoint, *statements: str) -> None:
        """Run statements as the service's own account, outside the binary log: stand-ins for what AWS does."""
        self.engine.as_service(instance(endpoint), *statements)

    def link(self, endpoint: Endpoint, mode: Any, scope: Any = "all", delay: float = 0.0) -> None:
        """Cut, stall, delay or heal (none) the connections to an endpoint."""
        self.engine.fault_link(endpoint.host, mode, scope, delay)

    def position(self, endpoint: Endpoint) -> tuple[str, int]:
        """File and offset of the first crash recovery that was reported."""
        words = self.messages[endpoint.host][0].split()
        return words[-2], int(words[-1])


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """The servers of the whole run; pytest keeps their logs."""
    started = Servers(tmp_path_factory.mktemp("mysql"))
    yield started
    started.close()


@pytest.fixture(scope="module")
def proof_pair(servers: Servers, request: pytest.FixtureRequest) -> Iterator[Any]:
    """Blue and a green that follows it, for proofs; every test leaves them equal. A module says GTID = False for positions."""
    from tests.integration.mysql.proof import TABLES, changed, replicated  # it builds on this file

    gtid = getattr(request.module, "GTID", True)
    blue = servers.blue(gtid=gtid)
    changed(blue, "SET SESSION cte_max_recursion_depth = 1000000", *TABLES)
    made = replicated(servers, blue, gtid=gtid)
    yield made
    servers.remove(made.blue, made.green)
