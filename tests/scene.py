# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blue in the lab with writers on it that come through a gate, and what a playbook has to know about it."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import pymysql
from psycopg2.extensions import connection as Connection
from pymysql.cursors import Cursor

from tests.lab import load_neptune, load_schema
from tests.lab.auditor import Audit, Side, audit
from tests.lab.gate import Gate
from tests.lab.lab import REGION, Blue, Lab
from tests.lab.load import Load, Target
from tests.lab.load_mysql import encryption
from tests.lab.tools import MYSQL, NEPTUNE
from tests.playbook import Playbook

DEPLOYMENT = "shop-pg18"
TARGET_VERSION = "18.4"
MYSQL_DEPLOYMENT = "shop-my84"
MYSQL_TARGET_VERSION = "8.4.mysql_aurora.8.4.7"
NEPTUNE_DEPLOYMENT = "shop-nep14"
NEPTUNE_TARGET_VERSION = "1.4.6.0"
APPLICATION = "shop_app"  # the account that writers use


def _variables(role: str, blue: Blue, deployment: str, version: str, **own: Any) -> dict[str, Any]:
    """A role's variables for a new major version of blue, without a last snapshot of what is removed."""
    common = {
        "deployment_id": deployment,
        "source_db_cluster_identifier": blue.cluster,
        "engine_version": version,
        "allow_major_version_upgrade": True,
        "skip_final_snapshot": True,
        "wait_delay": 0.2,
    }
    return {f"{role}_{name}": value for name, value in {**common, **own}.items()}


def shop_variables(lab: Lab, blue: Blue, **more: Any) -> dict[str, Any]:
    """The extra variables of a user who takes blue to PostgreSQL 18; the login comes from the secret."""
    admin = {"secret_arn": blue.secret_arn, "ca_cert": lab.ca_file}
    return {**_variables("aurora_postgresql", blue, DEPLOYMENT, TARGET_VERSION, admin=admin), **more}


def mysql_variables(lab: Lab, blue: Blue, **more: Any) -> dict[str, Any]:
    """The extra variables of a user who takes blue to MySQL 8.4; the login comes from the secret."""
    admin = {"secret_arn": blue.secret_arn, "ca_cert": lab.ca_file}
    return {**_variables("aurora_mysql", blue, MYSQL_DEPLOYMENT, MYSQL_TARGET_VERSION, admin=admin), **more}


def neptune_variables(lab: Lab, blue: Blue, **more: Any) -> dict[str, Any]:
    """The extra variables of a user who takes blue to Neptune 1.4; there is no login."""
    own = {"graph_type": blue.graph_type, "connection": {"ca_cert": lab.ca_file}}
    return {**_variables("neptune", blue, NEPTUNE_DEPLOYMENT, NEPTUNE_TARGET_VERSION, **own), **more}


@dataclass
class Scene:
    """Everything that runs while the playbook is killed."""

    lab: Lab
    blue: Blue
    gate: Gate
    load: Load
    playbook: Playbook

    def connect(self, side: str, database: str = "template1") -> Connection:
        """A connection to one side; template1 is not replicated, hence never fenced."""
        return connect(self.lab, self.blue, self._cluster(side), database)

    def open(self, side: str) -> bool:
        """Whether clients can write on ``side``: no fence is set for the application's database."""
        with closing(self.connect(side)) as connection:
            return not fenced(connection, self.blue.database)

    def audit(self, serving: str) -> Audit:
        """The audit of ``serving`` against the ledger, the other side taken for the fenced one."""
        other = {"blue": "green", "green": "blue"}[serving]
        return audit(self.load.entries, self._side(serving), self._side(other))

    def _side(self, side: str) -> Side:
        return Side(side, parameters(self.lab, self.blue, self._cluster(side)))

    def _cluster(self, side: str) -> str:
        return {"blue": self.blue.cluster, "green": DEPLOYMENT}[side]


def parameters(lab: Lab, blue: Blue, cluster: str) -> dict[str, Any]:
    """The driver's parameters for the master user of ``blue``, on its cluster or on a clone of it; Neptune has no users."""
    found = lab.client("rds").describe_db_clusters(DBClusterIdentifier=cluster)["DBClusters"][0]
    if blue.engine == NEPTUNE:
        return {
            "host": lab.address(found["Endpoint"]),
            "port": found["Port"],
            "ca_file": lab.ca_file,
            "graph": blue.graph_type,
        }
    if blue.engine == MYSQL:
        return {
            "host": lab.address(found["Endpoint"]),
            "port": found["Port"],
            "database": blue.database,
            "user": blue.user,
            "password": blue.password,
            "charset": "utf8mb4",
            "autocommit": True,
            "connect_timeout": 10,
            **encryption("verify-full", lab.ca_file),
        }
    return {
        "host": lab.address(found["Endpoint"]),
        "port": found["Port"],
        "dbname": blue.database,
        "user": blue.user,
        "password": blue.password,
        "sslmode": "verify-full",
        "sslrootcert": lab.ca_file,
        "connect_timeout": 10,
    }


def connect(lab: Lab, blue: Blue, cluster: str, database: str) -> Connection:
    """An autocommit connection as the master user of a PostgreSQL blue."""
    connection: Connection = psycopg2.connect(**{**parameters(lab, blue, cluster), "dbname": database})
    connection.autocommit = True
    return connection


def connect_mysql(lab: Lab, blue: Blue, cluster: str) -> pymysql.Connection[Cursor]:
    """An autocommit connection as the master user of a MySQL blue, to its cluster or a clone of it."""
    return pymysql.connect(**parameters(lab, blue, cluster))


def make_application(lab: Lab, blue: Blue, password: str, writers: Iterable[int]) -> None:
    """Give blue the application's account, tables and the rows of its writers, what there is of them in the engine."""
    if blue.engine == NEPTUNE:
        there = Target(blue.host, blue.port, blue.graph_type, "", "", "verify-full", lab.ca_file, blue.engine)
        load_neptune.create(there, writers)
        return
    connected = (
        connect_mysql(lab, blue, blue.cluster)
        if blue.engine == MYSQL
        else connect(lab, blue, blue.cluster, blue.database)
    )
    with closing(connected) as connection:
        load_schema.create(connection, APPLICATION, password, writers)


def fenced(connection: Connection, database: str) -> bool:
    """Whether new sessions of clients in ``database`` are read-only, from the server's own catalog."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase "
            "WHERE d.datname = %s AND s.setrole = 0 AND 'default_transaction_read_only=on' = ANY (s.setconfig))",
            (database,),
        )
        row = cursor.fetchone()
        return bool(row and row[0])


def fingerprint(lab: Lab, blue: Blue) -> dict[str, Any]:
    """What blue's catalogs and AWS say now, without what changes by itself; equal before and after nothing was done."""
    catalog = {MYSQL: _mysql_catalog, NEPTUNE: _neptune_settings}.get(blue.engine, _postgresql_catalog)(lab, blue)
    return {"sql": catalog, "aws": {region: _aws(lab, region) for region in (REGION, *blue.secondaries)}}


_MYSQL_CATALOG = {
    "schemas": "SELECT schema_name FROM information_schema.schemata",
    "relations": (
        "SELECT CONCAT(table_schema, '.', table_name) FROM information_schema.tables "
        "WHERE table_schema NOT IN ('information_schema', 'mysql', 'performance_schema', 'sys')"
    ),
    "accounts": "SELECT CONCAT_WS(' ', user, host, plugin, account_locked, password_expired) FROM mysql.user",
    "grants": "SELECT CONCAT_WS(' ', user, host, db, select_priv, insert_priv, grant_priv) FROM mysql.db",
    "global grants": "SELECT CONCAT_WS(' ', user, host, priv) FROM mysql.global_grants",
    "roles": "SELECT CONCAT_WS(' ', from_user, from_host, to_user, to_host) FROM mysql.role_edges",
    "channels": "SELECT CONCAT_WS(' ', host, port, user) FROM performance_schema.replication_connection_configuration",
    "configuration": "SELECT CONCAT_WS(' ', name, COALESCE(value, 'NULL')) FROM mysql.rds_configuration",
    "variables": (
        "SELECT CONCAT_WS(' ', variable_name, variable_value) FROM performance_schema.global_variables "
        "WHERE variable_name IN ('binlog_format', 'event_scheduler', 'gtid_mode', 'read_only', 'super_read_only')"
    ),
}


def _mysql_catalog(lab: Lab, blue: Blue) -> dict[str, Any]:
    with closing(connect_mysql(lab, blue, blue.cluster)) as connection, connection.cursor() as cursor:

        def column(statement: str) -> list[Any]:
            cursor.execute(statement)
            return sorted(str(row[0]) for row in cursor.fetchall())

        return {name: column(statement) for name, statement in _MYSQL_CATALOG.items()}


def _neptune_settings(lab: Lab, blue: Blue) -> dict[str, Any]:
    """What Neptune has in place of a catalog: no server setting, no account, only its cluster's parameters and state."""
    rds = lab.client("rds")
    found = rds.describe_db_clusters(DBClusterIdentifier=blue.cluster)["DBClusters"][0]
    group = found["DBClusterParameterGroup"]
    values = rds.describe_db_cluster_parameters(DBClusterParameterGroupName=group, Source="user")["Parameters"]
    return {
        "group": group,
        "status": found["Status"],
        "parameters": sorted(f"{one['ParameterName']} {one['ParameterValue']}" for one in values),
        "members": sorted(one["DBClusterParameterGroupStatus"] for one in found["DBClusterMembers"]),
    }


def _postgresql_catalog(lab: Lab, blue: Blue) -> dict[str, Any]:
    with closing(connect(lab, blue, blue.cluster, blue.database)) as connection, connection.cursor() as cursor:

        def column(statement: str) -> list[Any]:
            cursor.execute(statement)
            return sorted(str(row[0]) for row in cursor.fetchall())

        return {
            "publications": column("SELECT pubname FROM pg_publication"),
            "subscriptions": column("SELECT subname FROM pg_subscription"),
            "slots": column("SELECT slot_name FROM pg_replication_slots WHERE slot_type = 'logical'"),
            "schemas": column("SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_'"),
            "relations": column(
                "SELECT oid::regclass FROM pg_class WHERE relnamespace >= 16384 AND relkind IN ('r', 'p', 'S')"
            ),
            "roles": column("SELECT rolname || rolcanlogin FROM pg_roles"),
            "memberships": column("SELECT roleid::regrole || ' to ' || member::regrole FROM pg_auth_members"),
            "databases": column("SELECT datname || coalesce(datacl::text, '') FROM pg_database"),
            "settings": column(
                "SELECT setdatabase || ' ' || setrole || ' ' || setconfig::text FROM pg_db_role_setting"
            ),
            "grants": column("SELECT nspname || coalesce(nspacl::text, '') FROM pg_namespace WHERE nspname !~ '^pg_'"),
        }


def _aws(lab: Lab, region: str) -> dict[str, Any]:
    """What AWS has in one Region."""
    client, cloudwatch = lab.client("rds", region), lab.client("cloudwatch", region)
    return {
        "global clusters": {
            world["GlobalClusterIdentifier"]: sorted(
                f"{member['DBClusterArn']} {member.get('GlobalWriteForwardingStatus')}"
                for member in world["GlobalClusterMembers"]
            )
            for world in client.describe_global_clusters()["GlobalClusters"]
        },
        "clusters": {c["DBClusterIdentifier"]: c["EngineVersion"] for c in client.describe_db_clusters()["DBClusters"]},
        "dashboards": sorted(d["DashboardName"] for d in cloudwatch.list_dashboards()["DashboardEntries"]),
        "alarms": sorted(alarm["AlarmName"] for alarm in cloudwatch.describe_alarms()["MetricAlarms"]),
        "tables": sorted(lab.client("dynamodb", region).list_tables()["TableNames"]),
        "stacks": sorted(s["StackName"] for s in lab.client("cloudformation", region).describe_stacks()["Stacks"]),
        "instances": sorted(i["DBInstanceIdentifier"] for i in client.describe_db_instances()["DBInstances"]),
        "parameter groups": sorted(
            [
                *(
                    g["DBClusterParameterGroupName"]
                    for g in client.describe_db_cluster_parameter_groups()["DBClusterParameterGroups"]
                ),
                *(g["DBParameterGroupName"] for g in client.describe_db_parameter_groups()["DBParameterGroups"]),
            ]
        ),
    }


@contextmanager
def opened(directory: Path, seed: int, rate: float = 100.0, writers: int = 4) -> Iterator[Scene]:
    """A scene with running writers; everything is gone afterwards."""
    with ExitStack() as stack:
        lab = stack.enter_context(Lab.start())
        blue = lab.seed_postgresql(cluster="shop", database="shop", version="16.14", readers=1)
        password = secrets.token_urlsafe(24)
        make_application(lab, blue, password, Load.writer_numbers(writers, 0))
        gate = stack.enter_context(
            Gate.start(None, [blue.database], blue.host, blue.port, APPLICATION, password, lab.ca_file)
        )
        target = Target(gate.host, gate.port, blue.database, APPLICATION, password)
        load = stack.enter_context(Load.start(directory / "ledger", target, writers=writers, rate=rate, seed=seed))
        variables = shop_variables(lab, blue, aurora_postgresql_gates=[gate.option()])
        yield Scene(lab, blue, gate, load, Playbook(directory, lab.env, variables))
