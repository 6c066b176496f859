# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Blue in the lab with writers on it that come through a gate, and what the playbook has to know about it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2.extensions import connection as Connection

from tests.lab import load_schema
from tests.lab.auditor import Audit, Side, audit
from tests.lab.gate import Gate
from tests.lab.lab import REGION, Blue, Lab
from tests.lab.load import Load, Target
from tests.playbook import Playbook

DEPLOYMENT = "shop-pg18"
TARGET_VERSION = "18.4"
_APP = "shop_app"


def shop_variables(lab: Lab, blue: Blue, **more: Any) -> dict[str, Any]:
    """The extra variables of a user who takes blue to PostgreSQL 18; the login comes from the secret."""
    return {
        "aurora_postgresql_deployment_id": DEPLOYMENT,
        "aurora_postgresql_source_db_cluster_identifier": blue.cluster,
        "aurora_postgresql_engine_version": TARGET_VERSION,
        "aurora_postgresql_allow_major_version_upgrade": True,
        "aurora_postgresql_admin": {"secret_arn": blue.secret_arn, "ca_cert": lab.ca_file},
        "aurora_postgresql_skip_final_snapshot": True,
        "aurora_postgresql_wait_delay": 0.2,
        **more,
    }


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
    """psycopg2's parameters for the master user of ``blue`` on its cluster or on a clone of it."""
    found = lab.client("rds").describe_db_clusters(DBClusterIdentifier=cluster)["DBClusters"][0]
    return {
        "host": found["Endpoint"],
        "port": found["Port"],
        "dbname": blue.database,
        "user": blue.user,
        "password": blue.password,
        "sslmode": "verify-full",
        "sslrootcert": lab.ca_file,
        "connect_timeout": 10,
    }


def connect(lab: Lab, blue: Blue, cluster: str, database: str) -> Connection:
    """An autocommit connection as the master user."""
    connection: Connection = psycopg2.connect(**{**parameters(lab, blue, cluster), "dbname": database})
    connection.autocommit = True
    return connection


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
    with closing(connect(lab, blue, blue.cluster, blue.database)) as connection, connection.cursor() as cursor:

        def column(statement: str) -> list[Any]:
            cursor.execute(statement)
            return sorted(str(row[0]) for row in cursor.fetchall())

        sql = {
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
    return {"sql": sql, "aws": {region: _aws(lab, region) for region in (REGION, *blue.secondaries)}}


def _aws(lab: Lab, region: str) -> dict[str, Any]:
    """What AWS has in one Region."""
    client = lab.client("rds", region)
    return {
        "global clusters": {
            world["GlobalClusterIdentifier"]: sorted(
                f"{member['DBClusterArn']} {member.get('GlobalWriteForwardingStatus')}"
                for member in world["GlobalClusterMembers"]
            )
            for world in client.describe_global_clusters()["GlobalClusters"]
        },
        "clusters": {c["DBClusterIdentifier"]: c["EngineVersion"] for c in client.describe_db_clusters()["DBClusters"]},
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
        with closing(connect(lab, blue, blue.cluster, blue.database)) as connection:
            load_schema.create(connection, _APP, password, Load.writer_numbers(writers, 0))
        gate = stack.enter_context(Gate.start(None, [blue.database], blue.host, blue.port, _APP, password, lab.ca_file))
        target = Target(gate.host, gate.port, blue.database, _APP, password)
        load = stack.enter_context(Load.start(directory / "ledger", target, writers=writers, rate=rate, seed=seed))
        variables = shop_variables(lab, blue, aurora_postgresql_gates=[gate.option()])
        yield Scene(lab, blue, gate, load, Playbook(directory, lab.env, variables))
