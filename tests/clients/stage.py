# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A production with an application's account on the lab, its managed Blue/Green Deployment, and clients beside both."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg2
import pymysql
from psycopg2 import sql

from tests.clients.findings import timeline
from tests.clients.fleet import WRAPPERS, Client, Fleet, Order
from tests.lab.lab import Blue, Lab
from tests.lab.load_mysql import encryption
from tests.lab.tools import wait_until
from tests.playbook import Finished, Playbook

POSTGRESQL, MYSQL = "postgresql", "mysql"
APPLICATION = "shop_app"
PLAYBOOK = "bluegreen.aws.rds_managed"
# A wrapper that knows a deployment looks once a second, so this is what shows it the first phase for sure; the last one
# is there for 25 s or more on AWS.
HOLD = {"SWITCHOVER_INITIATED": 1.3, "SWITCHOVER_COMPLETED": 15.0}
_SECONDS = 120.0
_IDENTITY = {POSTGRESQL: "SELECT host(inet_server_addr())", MYSQL: "SELECT @@server_uuid"}
_TABLES = {POSTGRESQL: "clients.writes", MYSQL: "client_writes"}
# What the guide of the wrappers has an administrator run for every application's account, before the deployment is made.
_RDS_TOOLS = (
    "CREATE EXTENSION IF NOT EXISTS rds_tools",
    "GRANT USAGE ON SCHEMA rds_tools TO {}",
    "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA rds_tools TO {}",
)
Rows = Mapping[tuple[str, int], int]


@dataclass(frozen=True)
class Mode:
    """An engine as the wrappers tell them apart; `cluster`: Aurora, else a DB instance."""

    kind: str
    cluster: bool
    seed: Callable[[Lab, str], Blue]


MODES = {
    "aurora_postgresql": Mode(POSTGRESQL, True, lambda lab, name: lab.seed_postgresql(name, readers=1)),
    "rds_postgresql": Mode(POSTGRESQL, False, lambda lab, name: lab.seed_rds_postgresql(name)),
    "rds_mysql": Mode(MYSQL, False, lambda lab, name: lab.seed_rds_mysql(name)),
}


@dataclass
class Stage:
    """One production, `blue`, and what switches it over."""

    lab: Lab
    mode: Mode
    blue: Blue
    password: str = field(repr=False)
    name: str  # of the deployment
    deployment: str = ""
    servers: dict[str, str] = field(default_factory=dict)  # blue | green -> how its writer names itself

    @classmethod
    def make(cls, lab: Lab, mode: str, name: str) -> Stage:
        """Make production with the application's table, and its deployment; both are available when this returns."""
        chosen = MODES[mode]
        stage = cls(lab, chosen, chosen.seed(lab, name), secrets.token_hex(12), f"{name}-bg")
        stage._application(rds_tools=mode == "rds_postgresql")
        stage._deploy()
        return stage

    def _application(self, rds_tools: bool) -> None:
        if self.mode.kind == MYSQL:
            self._query(
                "CREATE TABLE client_writes (id bigint AUTO_INCREMENT PRIMARY KEY, client varchar(60) NOT NULL,"
                " n bigint NOT NULL, server varchar(60) NOT NULL)",
                f"CREATE USER {APPLICATION}@'%' IDENTIFIED BY '{self.password}'",
                f"GRANT SELECT, INSERT ON client_writes TO {APPLICATION}@'%'",
                f"GRANT SELECT ON mysql.rds_topology TO {APPLICATION}@'%'",
            )
            return
        role = sql.Identifier(APPLICATION)
        self._query(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, sql.Literal(self.password)),
            "CREATE SCHEMA clients",
            "CREATE TABLE clients.writes (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, client text NOT NULL,"
            " n bigint NOT NULL, server text NOT NULL)",
            sql.SQL("GRANT USAGE ON SCHEMA clients TO {}").format(role),
            sql.SQL("GRANT SELECT, INSERT ON clients.writes TO {}").format(role),
            *(sql.SQL(text).format(role) for text in (_RDS_TOOLS if rds_tools else ())),
        )

    def _deploy(self) -> None:
        rds, name = self.lab.client("rds"), self.name
        if self.mode.cluster:
            arn = rds.describe_db_clusters(DBClusterIdentifier=self.blue.cluster)["DBClusters"][0]["DBClusterArn"]
        else:
            arn = rds.describe_db_instances(DBInstanceIdentifier=self.blue.cluster)["DBInstances"][0]["DBInstanceArn"]
        made = rds.create_blue_green_deployment(BlueGreenDeploymentName=name, Source=arn)["BlueGreenDeployment"]
        self.deployment = made["BlueGreenDeploymentIdentifier"]
        wait_until(lambda: self.described()["Status"] != "PROVISIONING", _SECONDS, f"{name} to be made")
        found = self.described()
        if found["Status"] != "AVAILABLE":
            raise RuntimeError(
                f"The deployment {name} is {found['Status']}: {found.get('StatusDetails', self.reasons())}"
            )
        self.servers = {"blue": self.server(self.blue.host), "green": self.server(self.green_host(found["Target"]))}

    def described(self) -> dict[str, Any]:
        """Return the deployment as the service describes it."""
        rds = self.lab.client("rds")
        found = rds.describe_blue_green_deployments(BlueGreenDeploymentIdentifier=self.deployment)
        return dict(found["BlueGreenDeployments"][0])

    def green_host(self, arn: str) -> str:
        """Return green's endpoint."""
        rds, name = self.lab.client("rds"), arn.rsplit(":", 1)[1]
        if self.mode.cluster:
            return str(rds.describe_db_clusters(DBClusterIdentifier=name)["DBClusters"][0]["Endpoint"])
        return str(rds.describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]["Endpoint"]["Address"])

    def reasons(self) -> str:
        """Return the service's last words."""
        return "; ".join(event["Message"] for event in self.lab.client("rds").describe_events()["Events"][-5:])

    def server(self, host: str) -> str:
        """Return how the server behind an endpoint names itself."""
        return str(self._query(_IDENTITY[self.mode.kind], host=host)[0][0])

    def rows(self) -> Rows:
        """Return what is behind production's endpoint now: client and number -> how often it is there."""
        found = self._query(
            f"SELECT client, n, count(*) FROM {_TABLES[self.mode.kind]} GROUP BY client, n", host=self.blue.host
        )
        return {(str(client), int(n)): int(times) for client, n, times in found}

    def ask(self, statement: str, host: str) -> set[str]:
        """Return the first column of what a server answers, host name or address."""
        return {str(row[0]) for row in self._query(statement, host=host)}

    def _query(self, *statements: Any, host: str | None = None) -> list[tuple[Any, ...]]:
        """Run statements as the master user; returns the last one's rows."""
        rows: list[tuple[Any, ...]] = []
        with closing(self._connect(host or self.blue.host)) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
                rows = list(cursor.fetchall()) if cursor.description else []
        return rows

    def _connect(self, host: str) -> Any:
        blue, address = self.blue, self.lab.address(host)
        if self.mode.kind == MYSQL:
            return pymysql.connect(
                host=address,
                port=blue.port,
                user=blue.user,
                password=blue.password,
                database=blue.database,
                autocommit=True,
                **encryption("verify-ca", self.lab.ca_file),
            )
        connection = psycopg2.connect(
            host=address,
            port=blue.port,
            user=blue.user,
            password=blue.password,
            dbname=blue.database,
            sslmode="verify-ca",
            sslrootcert=self.lab.ca_file,
        )
        connection.autocommit = True
        return connection

    def order(self, **more: Any) -> Order:
        """Return what every client of this production does."""
        blue = self.blue
        order = Order(
            kind=self.mode.kind,
            host=blue.host,
            port=blue.port,
            database=blue.database,
            user=APPLICATION,
            password=self.password,
            table=_TABLES[self.mode.kind],
            ca=self.lab.ca_file,
        )
        return replace(order, **more)

    def fleet(self, names: Sequence[str], directory: Path, **others: Order) -> Fleet:
        """Start clients, those of `others` with an order of their own; the wrappers know the deployment then."""
        orders = {name: self.order() for name in names} | others
        fleet = Fleet(orders, self.lab.env, directory)
        try:
            fleet.wait(_knows, 60.0, "knowledge of the deployment", [name for name in names if name in WRAPPERS])
            time.sleep(2.5)  # both monitors have collected names and addresses of both sides
        except BaseException:
            fleet.stop()
            raise
        return fleet

    def switch_over(self, directory: Path, **variables: Any) -> tuple[str, Finished]:
        """Run the phase switchover of the playbook; returns the status in which that ends, and what the run said."""
        wanted = {
            "rds_managed_deployment_id": self.name,
            "rds_managed_source": self.blue.cluster,
            "rds_managed_admin": {
                "user": self.blue.user,
                "password": self.blue.password,
                "database": self.blue.database,
                "ca_cert": self.lab.ca_file,
            },
            "rds_managed_users": [{"user": APPLICATION, "password": self.password}],
            "rds_managed_require_metadata": True,
            "rds_managed_switchover_timeout": 60,
            "rds_managed_wait_delay": 0.2,
            **variables,
        }
        directory.mkdir(exist_ok=True)
        finished = Playbook(directory, self.lab.env, wanted, PLAYBOOK).run("switchover")
        return str(self.described()["Status"]), finished


def over(client: Client) -> bool:
    """Whether a wrapper says that a switchover has ended, in either way."""
    return bool(timeline(client.events()))


def _knows(client: Client) -> bool:
    texts = [event.text for event in client.events()]
    created = [text for text in texts if "Status changed to: BlueGreenPhase.CREATED" in text]
    return len(created) >= 2 or any("target topology recognized" in text for text in texts)
