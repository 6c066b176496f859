# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab as its users see it: started and ended, its environment, clients, a seeded cluster, faults.

with Lab.start() as lab:
    blue = lab.seed_postgresql()  # or seed_mysql(), seed_neptune()
    subprocess.run(["ansible-playbook", ...], env={**os.environ, **lab.env})
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import boto3

from tests.lab import global_database
from tests.lab.control_plane import names as host_names
from tests.lab.control_plane.credentials import ACCESS_KEY, SECRET_KEY
from tests.lab.engine import EngineError
from tests.lab.tools import (
    BINARY_LOG,
    GTIDS,
    LOGICAL,
    MYSQL,
    NEPTUNE,
    POSTGRESQL,
    RDS_MYSQL,
    RDS_POSTGRESQL,
    STREAMS,
    production_group,
    wait_until,
)

REPOSITORY = Path(__file__).resolve().parents[2]
PREFIX = "bluegreen-lab-"
FACTS = "lab.json"
NAMES = ("hosts", "preload", "resolver")  # facts of a lab with host names
REGION = "us-east-1"
MYSQL_VERSION = "8.0.mysql_aurora.3.10.0"
RDS_MYSQL_VERSION = "8.0.44"
NEPTUNE_VERSION = "1.2.1.0"
END_SECONDS = 30.0
READY_SECONDS = 120.0
KNOB_SECONDS = 60.0
FAILED = ("failed", "cloning-failed")


@dataclass(frozen=True)
class Blue:
    """A seeded cluster: the writer endpoint, its master user and the secret that holds it."""

    cluster: str
    host: str
    port: int
    user: str
    password: str
    secret_arn: str
    database: str
    global_cluster: str | None = None
    secondaries: Mapping[str, str] = field(default_factory=dict)  # of the global cluster: Region -> cluster
    engine: str = POSTGRESQL
    graph_type: str = ""  # propertygraph | rdf, of Neptune, which has no user, no password and no secret


class Faults:
    """The knobs of a lab, by HTTP."""

    def __init__(self, endpoint: str) -> None:
        self._address = endpoint.removeprefix("http://")

    def turn(self, name: str, **arguments: Any) -> Any:
        """Turn a knob by name and return its result; raises ValueError with the lab's own words when it cannot."""
        connection = http.client.HTTPConnection(self._address, timeout=KNOB_SECONDS)
        with contextlib.closing(connection):
            connection.request("POST", f"/lab/{name}", json.dumps(arguments))
            answer = json.load(connection.getresponse())
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer["result"]

    def throttle(self, operation: str, calls: int = 3) -> None:
        """The next `calls` calls of an operation, or of any (*), are answered `Throttling`."""
        self.turn("throttle", operation=operation, calls=calls)

    def fail(
        self, operation: str, code: str, message: str = "injected", nth: int = 1, calls: int = 1, after: bool = False
    ) -> None:
        """Call `nth` of an operation fails with a code; with `after`, it takes effect and only the answer is lost."""
        self.turn("fail", operation=operation, code=code, message=message, nth=nth, calls=calls, after=after)

    def lose(self, operation: str, nth: int = 1, calls: int = 1, seconds: float = 0.0, effect: bool = True) -> None:
        """Calls take effect, or do not, and are not answered: the connection is cut, at once or later than a client waits."""
        self.turn("lose", operation=operation, nth=nth, calls=calls, seconds=seconds, effect=effect)

    def deny(self, operation: str) -> None:
        """An operation is not allowed any more, as without its IAM permission."""
        self.turn("deny", operation=operation)

    def quota(self, name: str, room: int) -> None:
        """Leave room for so many more in a quota of the account, such as DBClusters."""
        self.turn("quota", quota=name, room=room)

    def announce(self, cluster: str, action: str = "system-update", seconds: float | None = None) -> None:
        """Announce maintenance of a cluster, in some seconds or at no time in particular."""
        self.turn("announce", cluster=cluster, action=action, seconds=seconds)

    def caller(self, arn: str) -> None:
        """Have every call come from the session of a role."""
        self.turn("caller", arn=arn)

    def clear(self) -> None:
        """Take back what `throttle`, `fail`, `lose`, `deny`, `delay`, `quota`, `announce`, `caller` and `managed` did."""
        self.turn("clear")

    def delay(self, state: str, seconds: float) -> None:
        """Keep a state such as `upgrading` visible for at least that long."""
        self.turn("delay", state=state, seconds=seconds)

    def kill(self, instance: str, restart: bool = True, region: str = REGION) -> None:
        """Crash an instance's server now; with `restart` the service recovers it after a moment."""
        self.turn("kill", instance=instance, restart=restart, region=region)

    def names_ttl(self, seconds: int) -> None:
        """Let the answers of the lab's resolver be good for so many seconds (5)."""
        self.turn("names_ttl", seconds=seconds)

    def link(self, address: str, mode: str, scope: str = "all", delay: float = 0.0) -> None:
        """Cut, stall, delay or heal (none) connections to an endpoint: those of clients, of replication, or all."""
        self.turn("link", address=address, mode=mode, scope=scope, delay=delay)

    def falsify_position(self, cluster: str, offset: int, region: str = REGION) -> None:
        """Let the next start of a MySQL cluster's writer report a position that is wrong by so many bytes.

        For a clone: to be turned before its first instance is made.
        """
        self.turn("falsify_position", cluster=cluster, offset=offset, region=region)

    def graph(self, instance: str, region: str = REGION, **knobs: Any) -> None:
        """Turn knobs of a Neptune instance: those of `tests.lab.neptune.faults.Faults`, such as write_latency=0.02."""
        self.turn("graph", instance=instance, region=region, **knobs)

    def expire_stream(self, cluster: str, graph: str, commit: int, region: str = REGION) -> None:
        """Let the events of a Neptune stream (propertygraph, rdf) up to this commit be older than its age limit."""
        self.turn("expire_stream", cluster=cluster, graph=graph, commit=commit, region=region)

    def bulk_loads(self, cluster: str, loads: Mapping[str, str], region: str = REGION) -> None:
        """Let a Neptune loader know these bulk loads, {id: status}, such as LOAD_IN_PROGRESS; {} ends them."""
        self.turn("bulk_loads", cluster=cluster, loads=dict(loads), region=region)

    def managed(self, **knobs: Any) -> None:
        """Turn knobs of managed blue/green deployments, such as fail_switchover="reason" or hold={phase: seconds}.

        All of them: `tests.lab.control_plane.managed_records.Knobs`.
        """
        self.turn("managed", **knobs)

    def maintenance(self, cluster: str, region: str = REGION) -> None:
        """Have a cluster's maintenance window now."""
        self.turn("maintenance", cluster=cluster, region=region)


class Lab:
    """One running lab.

    With host names, `names` has `hosts` (the file that leads them to addresses), `preload` (the library that makes a
    program see them) and `resolver` (`host:port` of a DNS server that knows them). Without, it is empty.
    """

    def __init__(
        self,
        state: Path,
        endpoint: str,
        ca_file: str,
        process: subprocess.Popen[str] | None = None,
        names: Mapping[str, str] | None = None,
    ) -> None:
        self.state = state
        self.names = dict(names or {})
        self.endpoint = endpoint
        self.ca_file = ca_file
        self.faults = Faults(endpoint)
        self._process = process
        self._clients: dict[tuple[str, str], Any] = {}
        self._lock = threading.Lock()

    @classmethod
    def start(cls, attached: bool = True, names: bool = False) -> Lab:
        """Start a lab in a process of its own.

        Attached, it ends with this process, however that ends. With `names` its endpoints have host names, which
        programs with the lab's environment resolve. Raises EngineError when something that is needed is missing.
        """
        state = Path(tempfile.mkdtemp(prefix=PREFIX, dir=_temporary_directory()))
        state.chmod(0o711)  # the servers' user must be able to enter
        command = [sys.executable, "-m", "tests.lab.control_plane.serve", "--state", str(state)]
        command += [*(["--attached"] if attached else []), *(["--names"] if names else [])]
        with (state / "lab.log").open("wb") as log:
            process = subprocess.Popen(
                command,
                cwd=REPOSITORY,
                stdin=subprocess.PIPE if attached else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        assert process.stdout is not None
        try:
            facts = json.loads(process.stdout.readline() or "{}")
            process.stdout.close()
            if "endpoint" not in facts:
                raise EngineError(facts.get("error", "The lab ended before it was ready."))
        except BaseException:
            cls(state, "", "", process).close()
            raise
        lab = cls(state, facts["endpoint"], facts["ca_file"], process, _names(facts))
        (state / FACTS).write_text(json.dumps({**facts, "attached": attached}), encoding="utf-8")
        return lab

    @classmethod
    def attach(cls, state: Path) -> Lab:
        """Return the lab that runs in a state directory; raises EngineError when there is none."""
        try:
            facts = json.loads((state / FACTS).read_text(encoding="utf-8"))
        except OSError:
            raise EngineError(f"No lab runs in {state}: start one with python -m tests.lab up.") from None
        return cls(state, facts["endpoint"], facts["ca_file"], names=_names(facts))

    @classmethod
    def running(cls) -> list[Lab]:
        """Return the lab of BLUEGREEN_LAB_STATE, or every lab of this user that no program is attached to."""
        chosen = os.environ.get("BLUEGREEN_LAB_STATE")
        if chosen:
            return [cls.attach(Path(chosen))]
        found = Path(_temporary_directory()).glob(f"{PREFIX}*/{FACTS}")
        ours = [path for path in sorted(found) if path.stat().st_uid == os.geteuid()]
        return [cls.attach(path.parent) for path in ours if not json.loads(path.read_text())["attached"]]

    @property
    def env(self) -> dict[str, str]:
        """The environment that points AWS clients, and so the collection, at this lab, and makes its names resolve."""
        found = {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_DEFAULT_REGION": REGION,
            "BLUEGREEN_LAB_CA": self.ca_file,
            "BLUEGREEN_LAB_STATE": str(self.state),
        }
        if self.names:
            found |= host_names.environment(self.names["preload"], self.names["hosts"])
        return found

    @property
    def java_options(self) -> list[str]:
        """The options with which a Java program resolves the lab's names, and sees a change within a second."""
        ttl = ["-Dsun.net.inetaddr.ttl=1", "-Dsun.net.inetaddr.negative.ttl=0"]
        return [f"-Djdk.net.hosts.file={self.names['hosts']}", *ttl] if self.names else []

    @property
    def resolver(self) -> str:
        """`host:port` of the DNS server that answers for the lab's names; raises EngineError when it has none."""
        if not self.names:
            raise EngineError("The lab has no host names: start it with names.")
        return self.names["resolver"]

    def address(self, host: str) -> str:
        """Return the address that a host name of the lab leads to now; what is none of its names is returned as it is.

        For a process that does not have the lab's environment. Raises EngineError for a name of the service that does
        not exist.
        """
        if not self.names:
            return host
        lines = Path(self.names["hosts"]).read_text(encoding="ascii").splitlines()
        found = {name: address for address, *names in map(str.split, lines) for name in names}
        if host.lower() not in found and host.endswith(".amazonaws.com"):
            raise EngineError(f"The lab has no host {host}.")
        return found.get(host.lower(), host)

    def client(self, service: str, region: str = REGION) -> Any:
        """Return the boto3 client of this lab for a service; made once, for that takes longer than most calls."""
        with self._lock:
            if (service, region) not in self._clients:
                session = boto3.session.Session(
                    aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY, region_name=region
                )
                connect: Any = session.client
                self._clients[service, region] = connect(service, endpoint_url=self.endpoint)
            return self._clients[service, region]

    def seed_postgresql(
        self,
        cluster: str = "shop",
        database: str = "shop",
        version: str = "16.14",
        readers: int = 1,
        regions: Sequence[str] = (),
    ) -> Blue:
        """Make a cluster as production has it: logical replication on and in sync, readers, a secret.

        With `regions` it is the primary of the global cluster CLUSTER-global, which has the secondary cluster
        CLUSTER-REGION with a reader in each of them.
        """
        blue = self._seed(POSTGRESQL, cluster, database, version, readers, LOGICAL)
        if not regions:
            return blue
        world = f"{cluster}-global"
        return replace(blue, global_cluster=world, secondaries=global_database.spread(self, cluster, world, regions))

    def seed_mysql(
        self,
        cluster: str = "shop",
        database: str = "shop",
        version: str = MYSQL_VERSION,
        readers: int = 1,
        gtid: bool = True,
        **parameters: str,
    ) -> Blue:
        """Make a MySQL cluster as production has it: its own group with the binary log on and in sync, readers, a secret.

        `gtid` turns GTIDs on; more of the group's parameters may follow by name. The master user is for
        administration: an application gets an account of its own.
        """
        values = {**BINARY_LOG, **(GTIDS if gtid else {}), **parameters}
        return self._seed(MYSQL, cluster, database, version, readers, values)

    def seed_rds_postgresql(
        self, instance: str = "shop", database: str = "shop", version: str = "16.14", **parameters: str
    ) -> Blue:
        """Make a DB instance of RDS for PostgreSQL as production has it: logical replication on and in sync, a secret.

        Its own parameter group has `rds.logical_replication` and these parameters, by name.
        """
        return self._seed_rds(RDS_POSTGRESQL, instance, database, version, {**LOGICAL, **parameters})

    def seed_rds_mysql(
        self,
        instance: str = "shop",
        database: str = "shop",
        version: str = RDS_MYSQL_VERSION,
        gtid: bool = True,
        **parameters: str,
    ) -> Blue:
        """Make a DB instance of RDS for MySQL as production has it: backups, and with them the binary log, a secret.

        `gtid` turns GTIDs on; more parameters of its own group may follow by name.
        """
        values = {**BINARY_LOG, **(GTIDS if gtid else {}), **parameters}
        return self._seed_rds(RDS_MYSQL, instance, database, version, values)

    def seed_neptune(
        self,
        cluster: str = "shop",
        graph: str = "propertygraph",
        version: str = NEPTUNE_VERSION,
        readers: int = 1,
        streams: bool = True,
        iam_auth: bool = False,
        **parameters: str,
    ) -> Blue:
        """Make a Neptune cluster as production has it: its own groups with streams on and in sync, readers.

        More of the cluster group's parameters may follow by name. `graph` is what the cluster is said to hold; it can
        hold both.
        """
        rds = self.client("rds")
        group = f"{cluster}-blue"
        values = {**(STREAMS if streams else {}), "neptune_query_timeout": "60000", **parameters}
        production_group(rds, group, NEPTUNE, version, values)
        found = rds.create_db_cluster(
            DBClusterIdentifier=cluster,
            Engine=NEPTUNE,
            EngineVersion=version,
            DBClusterParameterGroupName=group,
            EnableIAMDatabaseAuthentication=iam_auth,
            Tags=[{"Key": "application", "Value": cluster}],
        )["DBCluster"]
        self._instances(cluster, NEPTUNE, readers + 1)
        self.wait_available(cluster)
        return Blue(cluster, found["Endpoint"], found["Port"], "", "", "", "", engine=NEPTUNE, graph_type=graph)

    def _instances(self, cluster: str, engine: str, count: int) -> None:
        for number in range(1, count + 1):
            self.client("rds").create_db_instance(
                DBInstanceIdentifier=f"{cluster}-{number}",
                DBClusterIdentifier=cluster,
                Engine=engine,
                DBInstanceClass="db.r6g.large",
            )

    def _seed_rds(self, engine: str, instance: str, database: str, version: str, values: Mapping[str, str]) -> Blue:
        rds = self.client("rds")
        user, password, group = "shop_admin", "Pw-" + secrets.token_urlsafe(18), f"{instance}-blue"
        production_group(rds, group, engine, version, values)
        rds.create_db_instance(
            DBInstanceIdentifier=instance,
            Engine=engine,
            EngineVersion=version,
            DBInstanceClass="db.r6g.large",
            AllocatedStorage=20,
            BackupRetentionPeriod=7,
            MasterUsername=user,
            MasterUserPassword=password,
            DBName=database,
            DBParameterGroupName=group,
            Tags=[{"Key": "application", "Value": instance}],
        )
        secret = self.client("secretsmanager").create_secret(
            Name=f"{instance}-admin", SecretString=json.dumps({"username": user, "password": password})
        )
        self.wait_available(instance)
        found = rds.describe_db_instances(DBInstanceIdentifier=instance)["DBInstances"][0]["Endpoint"]
        return Blue(instance, found["Address"], found["Port"], user, password, secret["ARN"], database, engine=engine)

    def _seed(
        self, engine: str, cluster: str, database: str, version: str, readers: int, values: Mapping[str, str]
    ) -> Blue:
        rds = self.client("rds")
        user, password, group = "shop_admin", "Pw-" + secrets.token_urlsafe(18), f"{cluster}-blue"
        production_group(rds, group, engine, version, values)
        found = rds.create_db_cluster(
            DBClusterIdentifier=cluster,
            Engine=engine,
            EngineVersion=version,
            MasterUsername=user,
            MasterUserPassword=password,
            DatabaseName=database,
            DBClusterParameterGroupName=group,
            Tags=[{"Key": "application", "Value": cluster}],
        )["DBCluster"]
        self._instances(cluster, engine, readers + 1)
        secret = self.client("secretsmanager").create_secret(
            Name=f"{cluster}-admin", SecretString=json.dumps({"username": user, "password": password})
        )
        self.wait_available(cluster)
        return Blue(cluster, found["Endpoint"], found["Port"], user, password, secret["ARN"], database, engine=engine)

    def delete(self, cluster: str, region: str = REGION) -> None:
        """Delete a cluster with its instances, whatever protects it, and wait until it is gone.

        A DB instance that stands alone is deleted by its own name. The primary of a global cluster takes its secondaries
        and the global cluster with it.
        """
        rds = self.client("rds", region)
        settled = ("available", "stopped", *FAILED)
        wait_until(
            lambda: all(state in settled for state in self._states(cluster, region)),
            READY_SECONDS,
            f"{cluster} to settle",
        )
        if not self._is_cluster(cluster, region):
            self._delete_instance(cluster, region)
            return
        global_database.leave(self, cluster, region)
        found = rds.describe_db_clusters(DBClusterIdentifier=cluster)["DBClusters"][0]
        if found["DeletionProtection"]:
            rds.modify_db_cluster(DBClusterIdentifier=cluster, DeletionProtection=False)
        for member in reversed(found["DBClusterMembers"]):  # the writer last, so that no reader is promoted
            rds.delete_db_instance(DBInstanceIdentifier=member["DBInstanceIdentifier"])
        rds.delete_db_cluster(DBClusterIdentifier=cluster, SkipFinalSnapshot=True)

        def gone() -> bool:
            return cluster not in [c["DBClusterIdentifier"] for c in rds.describe_db_clusters()["DBClusters"]]

        wait_until(gone, READY_SECONDS, f"the cluster {cluster} to be deleted")

    def _is_cluster(self, name: str, region: str) -> bool:
        return (region, name) in [
            (found["region"], found["cluster"]) for found in self.faults.turn("status")["clusters"]
        ]

    def _delete_instance(self, instance: str, region: str) -> None:
        rds = self.client("rds", region)
        found = rds.describe_db_instances(DBInstanceIdentifier=instance)["DBInstances"][0]
        for replica in found["ReadReplicaDBInstanceIdentifiers"]:
            self._delete_instance(replica, region)
        rds.modify_db_instance(DBInstanceIdentifier=instance, DeletionProtection=False, ApplyImmediately=True)
        rds.delete_db_instance(DBInstanceIdentifier=instance, SkipFinalSnapshot=True)

        def gone() -> bool:
            return instance not in [one["DBInstanceIdentifier"] for one in rds.describe_db_instances()["DBInstances"]]

        wait_until(gone, READY_SECONDS, f"the DB instance {instance} to be deleted")

    def clusters(self) -> set[tuple[str, str]]:
        """Return Region and identifier of every cluster, and of every DB instance without one, of all Regions."""
        status = self.faults.turn("status")
        instances = {(found["region"], found["instance"]) for found in status["instances"]}
        return {(found["region"], found["cluster"]) for found in status["clusters"]} | instances

    def clear(self, kept: Set[tuple[str, str]]) -> None:
        """Delete every cluster but these, and every global cluster that has no member then.

        Managed blue/green deployments go first, without anything else.
        """
        for found in self.faults.turn("status")["deployments"]:
            self.delete_deployment(found["deployment"], found["region"])
        for region, cluster in sorted(self.clusters() - kept):
            while (region, cluster) in self.clusters():  # a primary takes its secondaries with it
                self.delete(cluster, region)
        for group in self.faults.turn("status")["global_clusters"]:
            if not group["members"]:
                global_database.delete(self, group["global_cluster"], group["region"])

    def delete_deployment(self, identifier: str, region: str = REGION) -> None:
        """Delete a managed blue/green deployment with nothing else, as soon as that can be, and wait until it is gone."""
        rds = self.client("rds", region)
        busy = ("PROVISIONING", "SWITCHOVER_IN_PROGRESS")

        def found() -> list[Any]:
            filters = [{"Name": "blue-green-deployment-identifier", "Values": [identifier]}]
            return list(rds.describe_blue_green_deployments(Filters=filters)["BlueGreenDeployments"])

        what = f"the deployment {identifier}"
        wait_until(lambda: all(one["Status"] not in busy for one in found()), READY_SECONDS, f"{what} to settle")
        for one in found():
            if one["Status"] != "DELETING":
                rds.delete_blue_green_deployment(BlueGreenDeploymentIdentifier=identifier)
        wait_until(lambda: not found(), READY_SECONDS, f"{what} to be deleted")

    def wait_available(self, cluster: str, region: str = REGION) -> None:
        """Wait until a cluster and all its instances are available; raises EngineError when one failed."""

        def ready() -> bool:
            states = self._states(cluster, region)
            if any(state in FAILED for state in states):
                events = self.client("rds", region).describe_events()["Events"]
                raise EngineError("; ".join(e["Message"] for e in events if "failure" in e["EventCategories"]))
            return all(state == "available" for state in states)

        wait_until(ready, READY_SECONDS, f"the cluster {cluster} to be available")

    def wait_global_available(self, group: str, region: str = REGION) -> None:
        """Wait until a global cluster is available and all its members are connected."""
        rds = self.client("rds", region)

        def ready() -> bool:
            found = rds.describe_global_clusters(GlobalClusterIdentifier=group)["GlobalClusters"][0]
            connected = [member["SynchronizationStatus"] == "connected" for member in found["GlobalClusterMembers"]]
            return found["Status"] == "available" and all(connected)

        wait_until(ready, READY_SECONDS, f"the global cluster {group} to be available")

    def _states(self, cluster: str, region: str) -> list[str]:
        """The status of a cluster, then of its instances; of an instance that stands alone its own."""
        rds = self.client("rds", region)
        if not self._is_cluster(cluster, region):
            alone = rds.describe_db_instances(DBInstanceIdentifier=cluster)["DBInstances"]
            return [str(one["DBInstanceStatus"]) for one in alone]
        found = rds.describe_db_clusters(DBClusterIdentifier=cluster)["DBClusters"][0]
        members = rds.describe_db_instances(Filters=[{"Name": "db-cluster-id", "Values": [cluster]}])["DBInstances"]
        return [str(found["Status"]), *(str(member["DBInstanceStatus"]) for member in members)]

    def close(self) -> None:
        """End the lab with everything in it; nothing of it is left when this returns."""
        if self._process is None:
            with contextlib.suppress(ValueError, OSError, http.client.HTTPException):
                self.faults.turn("stop")
            wait_until(lambda: not self.state.exists(), END_SECONDS, f"{self.state} to be removed")
            return
        if self._process.stdin is not None:
            self._process.stdin.close()
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(timeout=END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.state, ignore_errors=True)

    def __enter__(self) -> Lab:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _names(facts: Mapping[str, str]) -> dict[str, str]:
    return {name: facts[name] for name in NAMES if name in facts}


def _temporary_directory() -> str:
    """The usual place, unless the path would be too long for a server's socket."""
    usual = tempfile.gettempdir()
    return usual if len(usual) <= 40 else "/tmp"
