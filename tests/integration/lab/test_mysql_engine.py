# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's MySQL engine on real servers: does it behave as Aurora does where it hurts?"""

from __future__ import annotations

import itertools
import random
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pymysql
import pytest

from tests.lab.engine import EngineError, InstanceSpec
from tests.lab.mysql import MySQLEngine
from tests.lab.postgresql.ca import CertificateAuthority

ROOT = Path(__file__).resolve().parents[3]
PASSWORD = "correct horse 'battery' staple"
REPLICATOR = ("repl", "it's repl")
V3, V84 = "8.0.mysql_aurora.3.10.0", "8.4.mysql_aurora.8.4.8"
BINLOG = {"binlog_format": "ROW", "replica_checkpoint_period": "1"}
GTID = {**BINLOG, "gtid-mode": "ON", "enforce_gtid_consistency": "ON"}
EVENT = "Binlog position from crash recovery is "


def wait_for(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Return the condition's value as soon as it is true; fail when it is not within the time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"still {value!r} after {seconds} s"
        time.sleep(0.02)
    return value


@contextmanager
def refused(*codes: int) -> Iterator[None]:
    """Expect an error of the server with one of these numbers."""
    with pytest.raises(pymysql.MySQLError) as caught:
        yield
    assert caught.value.args[0] in codes, caught.value


@dataclass
class Cluster:
    """A volume, and the address and the parameters of its writer."""

    lab: Laboratory
    volume: str
    address: str
    parameters: Mapping[str, str] = field(default_factory=lambda: BINLOG)

    def spec(self, number: int, role: Any, *addresses: str) -> InstanceSpec:
        """Return what an instance of the cluster is."""
        return InstanceSpec(f"{self.volume}-{number}", self.volume, role, addresses, 3306, self.parameters)

    def writer(self, number: int = 1) -> Sequence[str]:
        """Start the writer and return what it has to tell."""
        return self.lab.engine.start(self.spec(number, "writer", self.address))

    def stop(self, immediate: bool = False) -> None:
        """Stop the writer."""
        self.lab.engine.stop(f"{self.volume}-1", immediate)

    def connect(
        self, user: str = "admin", password: str = PASSWORD, plain: bool = False, **options: Any
    ) -> pymysql.Connection[Any]:
        """Connect as a client does: to the endpoint, with the certificate verified, or without TLS."""
        tls = {"ssl_disabled": True} if plain else {"ssl_ca": str(self.lab.engine.ca_file), "ssl_verify_identity": True}
        settings = {"host": self.address, "port": 3306, "autocommit": True, "connect_timeout": 5, **tls, **options}
        return pymysql.connect(user=user, password=password, **settings)

    def sql(self, *statements: str, values: Sequence[Any] | None = None, **options: Any) -> list[tuple[Any, ...]]:
        """Run statements in a session of their own and return the rows of the last one."""
        with self.connect(**options) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement, values)
            return list(cursor.fetchall())

    def value(self, *statements: str, **options: Any) -> Any:
        """Run statements and return the first value of the last one's first row."""
        return self.sql(*statements, **options)[0][0]

    def status(self) -> dict[str, Any]:
        """Return the row of SHOW REPLICA STATUS."""
        with self.connect(cursorclass=pymysql.cursors.DictCursor) as connection, connection.cursor() as cursor:
            cursor.execute("SHOW REPLICA STATUS")
            return dict(cursor.fetchone() or {})

    def position(self) -> tuple[str, int]:
        """Return the position in the binary log now."""
        file, offset = self.sql("SHOW BINARY LOG STATUS")[0][:2]
        return file, offset

    def follow(self, source: Cluster, position: tuple[str, int], start: bool = True) -> None:
        """Replicate from another cluster, over TLS, from a position."""
        target = (source.address, 3306, *REPLICATOR, *position)
        self.sql("CALL mysql.rds_set_external_source(%s, %s, %s, %s, %s, %s, 0)", values=target)
        self.sql("CALL mysql.rds_set_binlog_source_ssl(1)")
        if start:
            self.sql("CALL mysql.rds_start_replication")


class Laboratory:
    """An engine that hands out clusters."""

    def __init__(self, state: Path) -> None:
        self.engine = MySQLEngine(state, sleeps=False)
        self._network = f"127.{random.randrange(100, 250)}.{random.randrange(250)}"
        self._numbers = itertools.count(1)
        self.volumes: list[str] = []

    def address(self) -> str:
        """Return an address that nothing has."""
        return f"{self._network}.{next(self._numbers)}"

    def cluster(
        self, version: str = V3, parameters: Mapping[str, str] | None = None, retention: bool = True
    ) -> Cluster:
        """Return a new cluster with a running writer, a database `shop` and a user for replication."""
        chosen = BINLOG if parameters is None else parameters
        cluster = Cluster(self, f"c{next(self._numbers)}", self.address(), chosen)
        self.volumes.append(cluster.volume)
        self.engine.create_volume(cluster.volume, version, "admin", PASSWORD, "shop")
        assert cluster.writer() == ()
        user, password = REPLICATOR
        cluster.sql(
            "SET SESSION sql_log_bin = 0",
            f'CREATE USER {user} IDENTIFIED BY "{password}"',
            f"GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO {user}",
        )
        if retention:
            cluster.sql("CALL mysql.rds_set_configuration('binlog retention hours', 24)")
        return cluster

    def clone(self, source: Cluster) -> tuple[Cluster, tuple[str, int]]:
        """Return a running clone of a cluster and the position that its first start tells."""
        clone = Cluster(self, f"c{next(self._numbers)}", self.address(), source.parameters)
        self.volumes.append(clone.volume)
        self.engine.clone_volume(source.volume, clone.volume)
        return clone, position_of(clone.writer())


def position_of(messages: Sequence[str]) -> tuple[str, int]:
    """Return the file and the offset in the only message of a start."""
    (message,) = messages
    assert message.startswith(EVENT)
    file, offset = message.removeprefix(EVENT).split()
    return file, int(offset)


@contextmanager
def state_directory() -> Iterator[Path]:
    """A directory that the servers' user can enter, as a lab's is."""
    with tempfile.TemporaryDirectory(prefix="bluegreen-test-") as directory:
        Path(directory).chmod(0o711)
        yield Path(directory)


@pytest.fixture
def state() -> Iterator[Path]:
    """A directory for an engine of the test's own."""
    with state_directory() as directory:
        yield directory


@pytest.fixture(scope="module")
def shared() -> Iterator[Laboratory]:
    """One engine for all tests of this file."""
    with state_directory() as directory:
        shared = Laboratory(directory)
        yield shared
        shared.engine.close()


@pytest.fixture
def laboratory(shared: Laboratory) -> Iterator[Laboratory]:
    """The engine; clusters that a test makes end with it."""
    before = list(shared.volumes)
    yield shared
    for volume in shared.volumes[len(before) :]:
        shared.engine.delete_volume(volume)
    shared.volumes[:] = before


@pytest.fixture(scope="module")
def blue(shared: Laboratory) -> Cluster:
    """A cluster that tests share which leave nothing behind."""
    cluster = shared.cluster()
    cluster.sql("CREATE USER app IDENTIFIED BY 'app'", "GRANT ALL ON shop.* TO app")
    return cluster


@pytest.fixture(scope="module")
def shared_pair(shared: Laboratory, blue: Cluster) -> tuple[Cluster, Cluster]:
    """The shared cluster and a clone of it that has everything of it."""
    green, position = shared.clone(blue)
    assert position == blue.position()
    return blue, green


@pytest.fixture
def pair(shared_pair: tuple[Cluster, Cluster]) -> tuple[Cluster, Cluster]:
    """The shared cluster, with an empty table `shop.t`, and its clone, which replicates from it by position."""
    source, green = shared_pair
    if not green.status():
        green.follow(source, source.position())
    elif green.status()["Replica_IO_Running"] != "Yes":  # after a restart of its source it waits for a minute
        shared_pair[0].lab.engine.as_service(f"{green.volume}-1", "STOP REPLICA", "START REPLICA")
    source.sql("DROP TABLE IF EXISTS shop.t", "CREATE TABLE shop.t (id int PRIMARY KEY)")
    green.sql("DO SOURCE_POS_WAIT(%s, %s, 60)", values=source.position())
    return source, green


# Endpoints


def test_the_endpoint_proves_who_it_is(blue: Cluster, tmp_path: Path) -> None:
    assert blue.sql("SHOW SESSION STATUS LIKE 'Ssl_version'") == [("Ssl_version", "TLSv1.3")]
    other = CertificateAuthority(tmp_path)
    with pytest.raises(pymysql.OperationalError, match="certificate verify failed"):
        blue.connect(ssl_ca=str(other.file))


def test_an_address_moves_with_its_certificate(laboratory: Laboratory, shared_pair: tuple[Cluster, Cluster]) -> None:
    first, second = shared_pair
    moving, session = laboratory.address(), first.connect()
    for cluster in (first, second):
        laboratory.engine.set_addresses(f"{cluster.volume}-1", (cluster.address, moving))
        assert cluster.value("SELECT @@server_uuid", host=moving) == cluster.value("SELECT @@server_uuid")
        laboratory.engine.set_addresses(f"{cluster.volume}-1", (cluster.address,))
    with refused(2003):
        first.connect(host=moving)
    session.ping(reconnect=False)  # whoever came through an address that stays notices nothing
    session.close()


def test_plain_text_is_refused_where_the_parameter_says_so(laboratory: Laboratory, blue: Cluster) -> None:
    instance = f"{blue.volume}-1"
    blue.sql("SELECT 1")  # so that the server knows the password, which it asks for over TLS only
    assert blue.value("SELECT 1", plain=True) == 1
    laboratory.engine.apply_dynamic(instance, {**BINLOG, "require_secure_transport": "ON"})
    with refused(3159):
        blue.connect(plain=True)
    laboratory.engine.apply_dynamic(instance, BINLOG)
    assert blue.value("SELECT 1", plain=True) == 1


def test_a_replicas_link_breaks_apart_from_the_clients(pair: tuple[Cluster, Cluster]) -> None:
    source, green = pair
    engine = source.lab.engine
    engine.fault_link(source.address, "stall", "replication")
    source.sql("INSERT INTO shop.t VALUES (1)")
    time.sleep(0.3)
    assert green.status()["Seconds_Behind_Source"] == 0  # it does not know
    assert green.sql("SELECT id FROM shop.t") == []
    engine.fault_link(source.address, "none")
    wait_for(lambda: green.sql("SELECT id FROM shop.t") == [(1,)])
    engine.fault_link(source.address, "cut", "replication")
    wait_for(lambda: green.status()["Replica_IO_Running"] == "Connecting")
    session = source.connect()
    engine.fault_link(source.address, "cut", "client")
    with refused(2013):
        session.ping(reconnect=False)
    engine.fault_link(source.address, "none")
    begin = time.monotonic()
    engine.fault_link(source.address, "delay", "client", 0.1)
    source.connect().close()
    assert time.monotonic() - begin > 0.4  # the greeting, TLS, the password, each way


# Parameters


def test_a_cluster_has_no_binary_log_unless_it_is_asked_for(laboratory: Laboratory) -> None:
    cluster = laboratory.cluster(parameters={})
    assert cluster.value("SELECT @@log_bin") == 0
    cluster.parameters = {**GTID, "time_zone": "+02:00"}
    laboratory.engine.apply_dynamic(f"{cluster.volume}-1", cluster.parameters)
    assert cluster.sql("SELECT @@log_bin, @@gtid_mode, @@time_zone") == [(0, "OFF", "+02:00")]
    cluster.stop()
    assert cluster.writer() == ()
    assert cluster.sql("SELECT @@log_bin, @@gtid_mode, @@binlog_format") == [(1, "ON", "ROW")]
    assert cluster.value("SHOW BINARY LOGS") == "mysql-bin-changelog.000001"
    for parameters in ({}, cluster.parameters):  # off and on again: where the first one ended says nothing any more
        cluster.stop(immediate=True)
        cluster.parameters = parameters
        assert cluster.writer() == ()
    assert cluster.value("SHOW BINARY LOGS") == "mysql-bin-changelog.000001"


def test_a_parameter_that_is_taken_back_has_its_default_again(laboratory: Laboratory, blue: Cluster) -> None:
    assert blue.value("SELECT @@GLOBAL.event_scheduler") == "ON"
    laboratory.engine.apply_dynamic(f"{blue.volume}-1", {**BINLOG, "read_only": "1", "event_scheduler": "OFF"})
    assert blue.sql("SELECT @@GLOBAL.read_only, @@GLOBAL.event_scheduler") == [(1, "OFF")]
    laboratory.engine.apply_dynamic(f"{blue.volume}-1", {**BINLOG, "read_only": "{TrueIfReplica}"})
    assert blue.sql("SELECT @@GLOBAL.read_only, @@GLOBAL.event_scheduler") == [(0, "ON")]
    with pytest.raises(EngineError, match="did not take time_zone = Nowhere"):
        laboratory.engine.apply_dynamic(f"{blue.volume}-1", {**BINLOG, "time_zone": "Nowhere"})


def test_a_server_that_cannot_start_says_why(laboratory: Laboratory) -> None:
    cluster = Cluster(laboratory, "broken", laboratory.address(), {**BINLOG, "gtid-mode": "ON"})
    laboratory.volumes.append(cluster.volume)
    laboratory.engine.create_volume(cluster.volume, V3, "admin", PASSWORD, None)
    with pytest.raises(EngineError, match="GTID_MODE = ON requires ENFORCE_GTID_CONSISTENCY = ON"):
        cluster.writer()


# The master user


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("SET GLOBAL read_only = 1", 1227),
        ("STOP REPLICA", 1227),
        ("CHANGE REPLICATION SOURCE TO SOURCE_HOST = 'x'", 1227),
        ("DELETE FROM mysql.user WHERE user = 'app'", 1142),
        ("UPDATE mysql.rds_configuration SET value = 1", 1142),
        ("DROP TABLE mysql.rds_history", 1142),
        ("ALTER USER rdsadmin@localhost IDENTIFIED BY 'mine'", 1227),
        ("GRANT SYSTEM_USER ON *.* TO admin", 1227),
        ("CREATE DEFINER = rdsadmin@localhost PROCEDURE shop.p() SELECT 1", 1227),
        ("CALL mysql.rds_execute('SET GLOBAL read_only = 1')", 1644),
        ("SELECT 'x' INTO OUTFILE '/tmp/x'", 1227),
    ],
)
def test_the_master_user_may_not(blue: Cluster, statement: str, error: int) -> None:
    with refused(error):
        blue.sql(statement)


def test_the_master_user_may_administer_its_own(blue: Cluster) -> None:
    assert blue.value("SELECT COUNT(*) FROM mysql.user WHERE user = 'rdsadmin'") == 1
    assert blue.value("SELECT CURRENT_ROLE()") == "`rds_superuser_role`@`%`"
    session = blue.connect(user="app", password="app")
    with session.cursor() as cursor:
        cursor.execute("SELECT CONNECTION_ID()")
        ((own,),) = cursor.fetchall()
    blue.sql(
        "SET SESSION sql_log_bin = 0",
        "CREATE DATABASE own",
        "CREATE DEFINER = app PROCEDURE own.p() SELECT 1",
        "CREATE USER other IDENTIFIED BY 'x'",
        "GRANT SELECT ON own.* TO other WITH GRANT OPTION",
        "ALTER USER other ACCOUNT LOCK",
    )
    with refused(3118):
        blue.connect(user="other", password="x")
    with refused(1045):
        blue.connect(user="rdsadmin", password="")
    blue.sql(f"KILL {own}", "SET SESSION sql_log_bin = 0", "DROP USER other", "DROP DATABASE own")
    with refused(2013, 2006):
        session.ping(reconnect=False)


def test_the_master_password_changes(laboratory: Laboratory, blue: Cluster) -> None:
    laboratory.engine.set_master_password(blue.volume, "new one")
    with refused(1045):
        blue.connect()
    assert blue.value("SELECT 1", password="new one") == 1
    blue.stop()
    laboratory.engine.set_master_password(blue.volume, PASSWORD)
    blue.writer()
    assert blue.value("SELECT 1") == 1


# The service's procedures


def test_read_only_stops_clients_until_the_next_start(blue: Cluster) -> None:
    blue.sql("CREATE TABLE shop.r (id int)")
    session = blue.connect(user="app", password="app", autocommit=False)
    with session.cursor() as cursor:
        cursor.execute("INSERT INTO shop.r VALUES (1)")
        blue.sql("CALL mysql.rds_set_read_only(1)")
        with refused(1290):
            session.commit()
    session.close()
    blue.sql("INSERT INTO shop.r VALUES (2)")  # CONNECTION_ADMIN
    blue.stop(immediate=True)
    blue.writer()
    blue.sql("INSERT INTO shop.r VALUES (3)", user="app", password="app")
    assert blue.sql("SELECT id FROM shop.r ORDER BY id") == [(2,), (3,)]
    blue.sql("DROP TABLE shop.r")


def test_an_upgrade_brings_the_procedures_of_the_version(laboratory: Laboratory) -> None:
    cluster = laboratory.cluster("8.0.mysql_aurora.3.05.2")
    cluster.sql("CREATE TABLE shop.t (id int)", "INSERT INTO shop.t VALUES (7)")
    assert cluster.value("SELECT mysql.aurora_version()") == "3.5.2"
    with refused(1305):
        cluster.sql("CALL mysql.rds_set_read_only(1)")
    with pytest.raises(EngineError, match="still runs"):
        laboratory.engine.upgrade_volume(cluster.volume, V84)
    cluster.stop()
    laboratory.engine.upgrade_volume(cluster.volume, V84)
    cluster.writer()
    assert cluster.value("SELECT mysql.aurora_version()") == "8.4.8"
    cluster.sql("CALL mysql.rds_set_read_only(0)")
    assert (
        cluster.value(
            "SELECT COUNT(*) FROM information_schema.parameters WHERE specific_schema = 'mysql'"
            " AND specific_name = 'rds_set_external_source_with_delay'"
        )
        == 8
    )
    assert cluster.value("SELECT id FROM shop.t") == 7


def test_replication_is_changed_only_as_the_service_allows(pair: tuple[Cluster, Cluster]) -> None:
    source, green = pair
    with pytest.raises(pymysql.MySQLError, match="Replication may already be running") as running:
        green.sql("CALL mysql.rds_start_replication")
    assert running.value.args[0] == 1644
    with pytest.raises(pymysql.MySQLError, match="can't modify replication because replication is running"):
        green.follow(source, ("mysql-bin-changelog.000001", 4))
    green.sql("CALL mysql.rds_stop_replication")
    with pytest.raises(pymysql.MySQLError, match="Slave is already stopped"):
        green.sql("CALL mysql.rds_stop_replication")
    source.sql("INSERT INTO shop.t VALUES (1)")
    position = source.position()
    source.sql("INSERT INTO shop.t VALUES (2)")
    green.sql("CALL mysql.rds_start_replication_until(%s, %s)", values=position)
    wait_for(lambda: green.status()["Replica_SQL_Running"] == "No")
    assert green.sql("SELECT id FROM shop.t") == [(1,)]
    green.sql("CALL mysql.rds_reset_external_source")
    assert green.status() == {}
    with pytest.raises(pymysql.MySQLError, match="can't start replication because the replica isn't configured"):
        green.sql("CALL mysql.rds_start_replication")
    assert green.sql("SELECT action FROM mysql.rds_replication_status") == [("reset slave",)]


def test_a_conflict_breaks_a_replica_and_can_be_skipped(pair: tuple[Cluster, Cluster]) -> None:
    source, green = pair
    green.lab.engine.as_service(f"{green.volume}-1", "INSERT INTO shop.t VALUES (1)")
    source.sql("INSERT INTO shop.t VALUES (1)", "INSERT INTO shop.t VALUES (2)")
    wait_for(lambda: green.status()["Last_SQL_Errno"] == 1062)
    green.sql("CALL mysql.rds_skip_repl_error")
    wait_for(lambda: green.sql("SELECT id FROM shop.t ORDER BY id") == [(1,), (2,)])
    assert green.status()["Replica_SQL_Running"] == "Yes"


def test_accounts_are_not_replicated(pair: tuple[Cluster, Cluster]) -> None:
    source, green = pair
    source.sql(
        "CREATE USER late IDENTIFIED BY 'x'",
        "GRANT ALL ON shop.* TO late",
        "ALTER USER app ACCOUNT LOCK",
        "INSERT INTO shop.t VALUES (1)",
    )
    wait_for(lambda: green.sql("SELECT id FROM shop.t"))
    assert green.sql("SELECT account_locked FROM mysql.user WHERE user IN ('late', 'app')") == [("N",)]
    assert green.status()["Last_SQL_Errno"] == 0
    source.sql("DROP USER late", "ALTER USER app ACCOUNT UNLOCK")


# Clones and positions


@contextmanager
def load(cluster: Cluster, writers: int = 4) -> Iterator[list[int]]:
    """Write into `shop.t` as fast as possible; gives the acknowledged writes of each writer."""
    over, acknowledged = threading.Event(), [0] * writers

    def write(writer: int) -> None:
        with cluster.connect() as connection, connection.cursor() as cursor:
            while not over.is_set():
                cursor.execute("INSERT INTO shop.t (writer, n) VALUES (%s, %s)", (writer, acknowledged[writer] + 1))
                acknowledged[writer] += 1
                over.wait(0.002)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(writers)]
    for thread in threads:
        thread.start()
    try:
        wait_for(lambda: sum(acknowledged) > 50)
        yield acknowledged
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_green_takes_over_from_a_clone_made_under_load(laboratory: Laboratory) -> None:
    """Nothing is lost, nothing comes twice in a table that would take it. That it is so by GTID the module's tests prove."""
    source = laboratory.cluster()
    source.sql("CREATE TABLE shop.t (writer int, n int)")  # without a key, so that a duplicate is no error
    with load(source) as acknowledged:
        before = sum(acknowledged)
        green, position = laboratory.clone(source)
        wait_for(lambda: sum(acknowledged) > before + 100)
    cloned = green.value("SELECT COUNT(*) FROM shop.t")
    assert before <= cloned < sum(acknowledged)
    assert green.value("SELECT @@server_uuid") != source.value("SELECT @@server_uuid")
    assert position[0] == "mysql-bin-changelog.000001"
    assert green.value("SHOW BINARY LOG STATUS") == "mysql-bin-changelog.000002"
    green.sql("INSERT INTO shop.t VALUES (-1, 0)")
    green.follow(source, position)
    wait_for(lambda: green.value("SELECT COUNT(*) FROM shop.t") == sum(acknowledged) + 1)
    assert green.value("SELECT COUNT(*) FROM (SELECT DISTINCT writer, n FROM shop.t) AS d") == sum(acknowledged) + 1
    assert green.status()["Source_Bind"] == green.address
    # Each later start tells where its own binary log ends; replication that ran goes on.
    green.stop()
    assert position_of(green.writer())[0] == "mysql-bin-changelog.000002"
    source.sql("INSERT INTO shop.t VALUES (-2, 0)")
    wait_for(lambda: green.value("SELECT COUNT(*) FROM shop.t WHERE writer = -2") == 1)
    # What green writes itself has not gone back.
    assert source.value("SELECT COUNT(*) FROM shop.t WHERE writer = -1") == 0


def test_a_clone_of_a_replica_is_configured_as_it_is_but_does_not_run(pair: tuple[Cluster, Cluster]) -> None:
    source, green = pair
    copy, _position = green.lab.clone(green)
    assert copy.status()["Source_Host"] == source.address
    assert copy.status()["Replica_IO_Running"] == "No"
    source.sql("INSERT INTO shop.t VALUES (1)")
    wait_for(lambda: green.sql("SELECT id FROM shop.t") == [(1,)])
    assert copy.sql("SELECT id FROM shop.t") == []
    copy.stop()
    again, _position = green.lab.clone(copy)  # of a volume that nothing runs on
    assert again.sql("SELECT id FROM shop.t") == []
    for volume in (copy.volume, again.volume):
        green.lab.engine.delete_volume(volume)
        green.lab.volumes.remove(volume)


def test_without_a_retention_what_a_clone_needs_is_gone(laboratory: Laboratory) -> None:
    source = laboratory.cluster(retention=False)
    source.sql("CREATE TABLE shop.t (id int PRIMARY KEY)")
    green, position = laboratory.clone(source)
    assert position[0] not in [row[0] for row in source.sql("SHOW BINARY LOGS")]
    green.follow(source, position, start=False)
    with refused(1644):
        green.sql("CALL mysql.rds_start_replication")
    assert green.status()["Last_IO_Errno"] in (1236, 13114)
    source.sql("CALL mysql.rds_set_configuration('binlog retention hours', 1)")
    assert source.sql("CALL mysql.rds_show_configuration")[0][:2] == ("binlog retention hours", "1")
    source.sql("FLUSH BINARY LOGS")
    _second, position = laboratory.clone(source)
    assert position[0] in [row[0] for row in source.sql("SHOW BINARY LOGS")]
    with pytest.raises(pymysql.MySQLError, match="between 1 and 2160"):
        source.sql("CALL mysql.rds_set_configuration('binlog retention hours', 9999)")


def test_a_clone_of_the_enhanced_binary_log_has_none(laboratory: Laboratory) -> None:
    source = laboratory.cluster(parameters={**GTID, "aurora_enhanced_binlog": "1"})
    source.sql("CREATE TABLE shop.t (id int PRIMARY KEY)", "FLUSH BINARY LOGS", "INSERT INTO shop.t VALUES (1)")
    end = source.sql("SHOW BINARY LOG STATUS")[0]
    green, position = laboratory.clone(source)
    assert position == end[:2]
    assert [row[0] for row in green.sql("SHOW BINARY LOGS")] == ["mysql-bin-changelog.000001"]
    assert green.value("SELECT @@GLOBAL.gtid_executed") == end[4]


def test_a_wrong_position_can_be_told(laboratory: Laboratory, blue: Cluster) -> None:
    blue.stop()
    laboratory.engine.falsify_position(blue.volume, -77)
    false = position_of(blue.writer())
    blue.stop()
    true = position_of(blue.writer())
    sizes = [(row[0], row[1]) for row in blue.sql("SHOW BINARY LOGS")]
    assert true == sizes[-2]
    assert false == (sizes[-3][0], sizes[-3][1] - 77)


# Readers


@pytest.mark.parametrize("parameters", [BINLOG, GTID], ids=["position", "gtid"])
def test_a_reader_follows_and_takes_over_on_the_writers_volume(
    laboratory: Laboratory, parameters: Mapping[str, str]
) -> None:
    engine, cluster = laboratory.engine, laboratory.cluster(parameters=parameters)
    readers, second, third = (laboratory.address() for _unused in range(3))
    cluster.sql("CREATE TABLE shop.t (id int PRIMARY KEY)")
    for number, address in ((2, second), (3, third)):
        assert engine.start(cluster.spec(number, "reader", address, readers)) == ()
    cluster.sql("INSERT INTO shop.t VALUES (1)", "CREATE USER app IDENTIFIED BY 'app'", "GRANT ALL ON shop.* TO app")
    for address in (second, third):
        wait_for(lambda: cluster.sql("SELECT id FROM shop.t", host=address) == [(1,)])  # noqa: B023
        wait_for(lambda: cluster.sql("SELECT 1 FROM mysql.user WHERE user = 'app'", host=address))  # noqa: B023
    with refused(1290):
        cluster.sql("INSERT INTO shop.t VALUES (2)", host=readers)
    assert len({cluster.value("SELECT @@server_id", host=readers) for _unused in range(4)}) == 2
    engine.set_master_password(cluster.volume, "new one")
    assert cluster.sql("SELECT @@super_read_only", password="new one", host=second) == [(1,)]
    engine.set_master_password(cluster.volume, PASSWORD)
    uuid = cluster.value("SELECT @@server_uuid")
    cluster.sql("SET SESSION sql_log_bin = 0", "CREATE TABLE shop.own (id int)", "ALTER USER app ACCOUNT LOCK")

    cluster.stop(immediate=True)
    file, _offset = position_of(engine.start(cluster.spec(2, "writer", second, cluster.address)))
    assert file == "mysql-bin-changelog.000001"
    assert cluster.value("SELECT @@server_uuid") == uuid  # of the volume, not of the server
    assert cluster.sql("SELECT id FROM shop.own") == []
    with refused(3118):
        cluster.connect(user="app", password="app")
    cluster.sql("INSERT INTO shop.t VALUES (3)")
    wait_for(lambda: cluster.sql("SELECT id FROM shop.t", host=third) == [(1,), (3,)])
    engine.stop(f"{cluster.volume}-2")
    engine.stop(f"{cluster.volume}-3")


# The end


def alive(pid: int) -> bool:
    """Say whether a process runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_nothing_is_left_of_an_engine_that_is_closed(laboratory: Laboratory, state: Path) -> None:
    """What a crash leaves is looked at with the lab around the engines."""
    address = laboratory.address()
    engine = MySQLEngine(state)
    engine.create_volume("v", V3, "admin", "secret", None)
    engine.start(InstanceSpec("v-1", "v", "writer", (address,), 3306, {}))
    pids = engine.pids()
    engine.close()
    engine.close()
    wait_for(lambda: not any(alive(pid) for pid in pids))
    wait_for(lambda: {path.suffix or path.name for path in state.iterdir()} == {".pem", "mysql-logs"})
    with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
        probe.connect((address, 3306))
