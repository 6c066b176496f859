# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m tests.lab.demo --engine rds_managed``: a Blue/Green Deployment that RDS manages, under write load.

Blue is Aurora MySQL 8.0 in a lab with host names. Writers and a probe go through the name of production, which the service
moves: a plain driver without a gate, which sees what the service's window and the names' delay cost. The playbook has the
service make green with MySQL 8.4, verifies it, switches over and arms the way back, tells of it, and cleans up. The auditor
looks for every acknowledged write on production, and on old production, which follows it.
"""

from __future__ import annotations

import os
import re
import secrets
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import Any

import pymysql

from tests.lab import demo_leftovers as leftovers
from tests.lab import load_schema
from tests.lab.auditor import UNREADABLE, Audit, Side, audit
from tests.lab.demo_stage import Clock
from tests.lab.engine import EngineError
from tests.lab.lab import Blue, Lab
from tests.lab.load import Load, LoadError
from tests.lab.load import Target as Writing
from tests.lab.load_mysql import encryption
from tests.lab.tools import MYSQL
from tests.playbook import Finished, Playbook
from tests.scene import APPLICATION, MYSQL_TARGET_VERSION

NAME = "rds_managed"
DEPLOYMENT = "shop-84"
WRITERS, RATE = 4, 150.0
_FOLLOW_SECONDS = 20.0
_SHOWN = re.compile(r'^\s*"(\d{4}-\d\d-\d\dT.*?)",?$', re.MULTILINE)
_PROBED = re.compile(r"longest write gap ([\d.]+) ms, longest read gap ([\d.]+) ms")
_TOLD = re.compile(r'"msg": "(The service has no rollback[^"]*)"')


class ManagedFailed(Exception):
    """The demo cannot go on; the text says why."""


@dataclass
class Managed:
    """A blue with writers on it, and the playbook."""

    lab: Lab
    blue: Blue
    password: str = field(repr=False)
    playbook: Playbook
    clock: Clock
    load: Load
    audits: list[Audit] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def phase(self, phase: str, **variables: Any) -> Finished:
        """Run the playbook as its user does, and say what the writers saw meanwhile. Raises ManagedFailed."""
        self.load.phase(phase)
        self.clock.say(f"$ ansible-playbook {self.playbook.name} -e @shop.yml -e bluegreen_phases={phase}")
        began = time.monotonic()
        finished = self.playbook.run(phase, **variables)
        seconds = time.monotonic() - began
        for line in _SHOWN.findall(finished.output):
            self.clock.say(f"    {line}")
        count = self.load.counts()[-1]
        self.clock.say(
            f"  {phase}: {seconds:.1f} s, acknowledged {count.committed}, refused {count.refused}, unknown "
            f"{count.unknown}, longest gap of a writer {count.longest_gap * 1000:.0f} ms"
        )
        if finished.code != 0:
            raise ManagedFailed(f"the phase {phase} failed:\n{finished.output}")
        return finished

    def side(self, cluster: str) -> Side:
        """How the auditor reads a cluster."""
        return Side(cluster, parameters(self.lab, self.blue, cluster), MYSQL)

    def audited(self, cluster: str, fenced: str | None = None) -> Audit:
        """Audit a cluster against the ledger."""
        found = audit(self.load.entries, self.side(cluster), None if fenced is None else self.side(fenced))
        self.audits.append(found)
        self.clock.say(f"  audit of {cluster}: {found.line()}")
        self.problems += [f"{cluster}: {finding}" for finding in found.findings()]
        return found

    def follows(self, cluster: str) -> bool:
        """Whether a cluster gets every row that production has, the writers having stopped."""

        def rows(name: str) -> int:
            with closing(pymysql.connect(**parameters(self.lab, self.blue, name))) as conn, conn.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM ledger")
                return int(cursor.fetchall()[0][0])

        wanted, deadline = rows(self.blue.cluster), time.monotonic() + _FOLLOW_SECONDS
        while (found := rows(cluster)) != wanted and time.monotonic() < deadline:
            time.sleep(0.2)
        self.clock.say(f"  {cluster} has {found} of {wanted} rows of production")
        return found == wanted


def parameters(lab: Lab, blue: Blue, cluster: str) -> dict[str, Any]:
    """The driver's parameters for the master user; this process does not resolve the lab's names."""
    found = lab.client("rds").describe_db_clusters(DBClusterIdentifier=cluster)["DBClusters"][0]
    return {
        "host": lab.address(found["Endpoint"]),
        "port": found["Port"],
        "database": blue.database,
        "user": blue.user,
        "password": blue.password,
        "charset": "utf8mb4",
        "autocommit": True,
        "connect_timeout": 10,
        **encryption("verify-ca", lab.ca_file),
    }


def variables(lab: Lab, blue: Blue, password: str, probe: str) -> dict[str, Any]:
    """The extra variables of a user who has RDS take blue to MySQL 8.4."""
    client = {"user": APPLICATION, "password": password}
    return {
        "rds_managed_deployment_id": DEPLOYMENT,
        "rds_managed_source": blue.cluster,
        "rds_managed_admin": {"secret_arn": blue.secret_arn, "ca_cert": lab.ca_file},
        "rds_managed_engine_version": MYSQL_TARGET_VERSION,
        "rds_managed_prepare": True,
        "rds_managed_users": [client],
        "rds_managed_probe": {**client, "path": probe},
        "rds_managed_dns_server": lab.resolver,
        "rds_managed_reverse_replication": True,
        "rds_managed_delete_source": True,
        "rds_managed_skip_final_snapshot": True,
        "rds_managed_wait_delay": 0.2,
    }


def estate(lab: Lab) -> dict[str, list[str]]:
    """What there is in AWS, by kind. The groups of green's family are production's now, hence not among it."""
    rds = lab.client("rds")
    return {
        "deployments": [
            one["BlueGreenDeploymentName"] for one in rds.describe_blue_green_deployments()["BlueGreenDeployments"]
        ],
        "clusters": [one["DBClusterIdentifier"] for one in rds.describe_db_clusters()["DBClusters"]],
        "instances": [one["DBInstanceIdentifier"] for one in rds.describe_db_instances()["DBInstances"]],
        "snapshots": [
            one["DBClusterSnapshotIdentifier"] for one in rds.describe_db_cluster_snapshots()["DBClusterSnapshots"]
        ],
    }


def schemas(lab: Lab, blue: Blue) -> list[str]:
    """The schemas and the accounts of production."""
    with closing(pymysql.connect(**parameters(lab, blue, blue.cluster))) as conn, conn.cursor() as cursor:
        cursor.execute("SELECT schema_name FROM information_schema.schemata UNION SELECT user FROM mysql.user")
        return sorted(str(row[0]) for row in cursor.fetchall())


def story(managed: Managed) -> tuple[float, int]:
    """Tell the whole story; return the longest gap that the probe saw, and how much was left over."""
    lab, blue = managed.lab, managed.blue
    before: Mapping[str, Any] = {**estate(lab), "in production": schemas(lab, blue)}
    managed.phase("readiness")
    managed.phase("create")
    managed.phase("verify")
    moved = managed.phase("switchover")
    gaps = _PROBED.search(moved.output)
    if gaps is None:
        raise ManagedFailed(f"the switchover should show what the probe saw:\n{moved.output}")
    managed.clock.say(f"  the probe: longest write gap {gaps[1]} ms, longest read gap {gaps[2]} ms")
    managed.load.phase("green serves")
    time.sleep(2)
    managed.audited(blue.cluster, fenced=f"{blue.cluster}-old1")
    told = _TOLD.search(managed.phase("rollback").output)
    managed.clock.say(f"  {told[1] if told else 'nothing was told'}")
    if dead := managed.load.dead_writers():
        managed.problems.append(f"writers {dead} ended by themselves: the run proves nothing")
    managed.load.stop()
    if not managed.follows(f"{blue.cluster}-old1"):
        managed.problems.append("old production does not follow production: the way back would lose writes")
    managed.phase("cleanup")
    managed.audited(blue.cluster)
    left = leftovers.differences(before, {**estate(lab), "in production": schemas(lab, blue)})
    managed.problems += [f"left over: {one}" for one in left]
    return float(gaps[1]), len(left)


def run() -> int:
    """Run the demo; return its exit status."""
    clock = Clock()
    try:
        with ExitStack() as stack:
            lab = stack.enter_context(Lab.start(names=True))
            stack.enter_context(leftovers.ended_with_this_process(lab.state))
            # What is started from here on resolves the lab's names, as programs resolve those of the service.
            for name, value in {**lab.env, leftovers.MARK: str(lab.state)}.items():
                stack.callback(_restore, name, os.environ.get(name))
                os.environ[name] = value
            state = lab.state
            managed = _begin(stack, clock, lab)
            gap, left = story(managed)
        last = leftovers.once_quiet(state)
    except (ManagedFailed, EngineError, LoadError, *UNREADABLE) as failure:
        print(f"demo {NAME}: {failure}", file=sys.stderr, flush=True)
        return 2
    managed.problems += [f"left over: {one}" for one in last]
    for problem in managed.problems:
        print(f"PROBLEM {problem}", flush=True)
    lost = {key for found in managed.audits for key in found.lost}
    duplicated = {key for found in managed.audits for key in found.duplicated}
    print(
        f"demo {NAME}: acknowledged={managed.load.acknowledged()} lost={len(lost)} duplicated={len(duplicated)} "
        f"longest_gap_ms={managed.load.longest_gap() * 1000:.0f} probe_gap_ms={gap:.0f} rollback=none "
        f"leftovers={left + len(last)}",
        flush=True,
    )
    return 1 if managed.problems else 0


def _begin(stack: ExitStack, clock: Clock, lab: Lab) -> Managed:
    directory = lab.state / "demo"
    directory.mkdir(mode=0o700)
    blue = lab.seed_mysql()
    password = secrets.token_urlsafe(24)
    with closing(pymysql.connect(**parameters(lab, blue, blue.cluster))) as connection:
        load_schema.create(connection, APPLICATION, password, range(1, WRITERS + 1))
    clock.say(f"blue: Aurora MySQL, writer and reader, {blue.host}:{blue.port}")
    target = Writing(
        blue.host,
        blue.port,
        blue.database,
        APPLICATION,
        password,
        ssl_mode="verify-full",
        ca_file=lab.ca_file,
        engine=MYSQL,
    )
    load = stack.enter_context(Load.start(directory / "ledger", target, writers=WRITERS, rate=RATE))
    clock.say(f"writers: {WRITERS} through the name of production, {RATE:.0f}/s; no gate")
    wanted = variables(lab, blue, password, str(directory / "probe.jsonl"))
    return Managed(lab, blue, password, Playbook(directory, lab.env, wanted, f"bluegreen.aws.{NAME}"), clock, load)


def _restore(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value
