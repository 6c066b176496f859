# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's PostgreSQL engine on real servers: does it behave as Aurora does where it hurts?"""

from __future__ import annotations

import itertools
import random
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.extensions
import pytest

from tests.lab.engine import EngineError, InstanceSpec
from tests.lab.postgresql import PostgreSQLEngine
from tests.lab.postgresql.ca import CertificateAuthority

ROOT = Path(__file__).resolve().parents[3]
PASSWORD = "correct horse 'battery' staple"
LOGICAL = {"rds.logical_replication": "1"}


def wait_for(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Return the condition's value as soon as it is true; fail when it is not within the time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"still {value!r} after {seconds} s"
        time.sleep(0.01)
    return value


@dataclass
class Cluster:
    """A volume and the addresses of its instances."""

    lab: Laboratory
    volume: str
    address: str

    def writer(self, **parameters: str) -> None:
        """Start the writer with some parameters."""
        spec = InstanceSpec(f"{self.volume}-1", self.volume, "writer", (self.address,), 5432, parameters)
        self.lab.engine.start(spec)

    def stop(self, immediate: bool = False) -> None:
        """Stop the writer."""
        self.lab.engine.stop(f"{self.volume}-1", immediate)

    def connect(self, user: str = "admin", password: str = PASSWORD, **options: Any) -> psycopg2.extensions.connection:
        """Connect as a client does: to the endpoint, with the certificate verified."""
        settings: dict[str, Any] = {
            "host": self.address,
            "dbname": "shop",
            "sslmode": "verify-full",
            "connect_timeout": 5,
        }
        settings["sslrootcert"] = str(self.lab.engine.ca_file)
        settings |= {"user": user, "password": password, **options}
        connection: psycopg2.extensions.connection = psycopg2.connect(port=5432, **settings)
        connection.autocommit = True
        return connection

    def sql(self, statement: str, *values: Any, **options: Any) -> list[tuple[Any, ...]]:
        """Run a statement in a session of its own and return its rows."""
        connection = self.connect(**options)
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement, values or None)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def value(self, statement: str, **options: Any) -> Any:
        """Run a statement and return the first value of its first row."""
        return self.sql(statement, **options)[0][0]


class Laboratory:
    """An engine that hands out clusters."""

    def __init__(self, state: Path) -> None:
        self.engine = PostgreSQLEngine(state)
        self._network = f"127.{random.randrange(100, 250)}.{random.randrange(250)}"
        self._numbers = itertools.count(1)
        self.volumes: list[str] = []

    def address(self) -> str:
        """Return an address that nothing has."""
        return f"{self._network}.{next(self._numbers)}"

    def cluster(self, version: str = "16.14", **parameters: str) -> Cluster:
        """Return a new cluster with a running writer and a database `shop`."""
        cluster = Cluster(self, f"c{next(self._numbers)}", self.address())
        self.volumes.append(cluster.volume)
        self.engine.create_volume(cluster.volume, version, "admin", PASSWORD, "shop")
        cluster.writer(**(parameters or LOGICAL))
        return cluster

    def clone(self, source: Cluster, start: bool = True) -> Cluster:
        """Return a clone of a cluster."""
        clone = Cluster(self, f"c{next(self._numbers)}", self.address())
        self.volumes.append(clone.volume)
        self.engine.clone_volume(source.volume, clone.volume)
        if start:
            clone.writer(**LOGICAL)
        return clone


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
    return shared.cluster()


# Endpoints


def test_the_endpoint_proves_who_it_is(blue: Cluster) -> None:
    connection = blue.connect()
    assert connection.info.ssl_in_use
    assert connection.info.ssl_attribute("protocol") == "TLSv1.3"
    connection.close()


def test_another_authority_is_refused(blue: Cluster, tmp_path: Path) -> None:
    other = CertificateAuthority(tmp_path)
    with pytest.raises(psycopg2.OperationalError, match="certificate verify failed"):
        blue.connect(sslrootcert=str(other.file))


def test_force_ssl_refuses_plain_text_and_can_be_lifted_without_a_restart(blue: Cluster) -> None:
    engine, instance = blue.lab.engine, f"{blue.volume}-1"
    assert blue.value("SELECT 1", sslmode="disable") == 1  # off by default before version 17
    engine.apply_dynamic(instance, {**LOGICAL, "rds.force_ssl": "1"})
    with pytest.raises(psycopg2.OperationalError, match='user "admin", database "shop", no encryption'):
        blue.connect(sslmode="disable")
    assert blue.value("SELECT 1") == 1
    engine.apply_dynamic(instance, LOGICAL)
    assert blue.value("SELECT 1", sslmode="disable") == 1


def test_version_18_refuses_plain_text_by_default(laboratory: Laboratory) -> None:
    green = laboratory.cluster("18.4")
    assert green.value("SHOW server_version") == "18.4"
    with pytest.raises(psycopg2.OperationalError, match="no encryption"):
        green.connect(sslmode="disable")


def test_a_statement_can_be_cancelled_through_the_endpoint(blue: Cluster) -> None:
    connection = blue.connect()
    timer = threading.Timer(0.2, connection.cancel)
    timer.start()
    with pytest.raises(psycopg2.errors.QueryCanceled), connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(20)")
    connection.close()


def test_many_terminated_sessions_come_back_at_once(blue: Cluster) -> None:
    sessions = [blue.connect() for _unused in range(40)]
    with sessions[0].cursor() as cursor:
        cursor.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = 'shop' AND pid <> pg_backend_pid()"
        )
        assert cursor.fetchone() == (39,)
    begin = time.monotonic()
    threads = [threading.Thread(target=lambda: sessions.append(blue.connect())) for _unused in range(39)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sessions) == 79
    assert time.monotonic() - begin < 5
    for session in sessions:
        session.close()


def test_a_link_can_be_cut_stalled_slowed_and_healed(blue: Cluster) -> None:
    engine, address = blue.lab.engine, blue.address
    connection = blue.connect()

    def round_trip() -> float:
        begin = time.monotonic()
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return time.monotonic() - begin

    engine.fault_link(address, "delay", "client", 0.1)
    assert 0.2 <= round_trip() < 1
    engine.fault_link(address, "stall", "client")
    threading.Timer(0.3, engine.fault_link, (address, "none")).start()
    assert 0.25 <= round_trip() < 2
    engine.fault_link(address, "cut", "client")
    with pytest.raises(psycopg2.OperationalError):
        round_trip()
    with pytest.raises(psycopg2.OperationalError):
        blue.connect()
    engine.fault_link(address, "none")
    assert blue.value("SELECT 1") == 1


def test_nobody_listens_at_the_endpoint_of_a_stopped_instance(laboratory: Laboratory) -> None:
    cluster = laboratory.cluster()
    cluster.stop()
    with pytest.raises(psycopg2.OperationalError, match="Connection refused"):
        cluster.connect()


# Readers


def test_readers_follow_and_serve_the_reader_endpoint_alone(laboratory: Laboratory) -> None:
    engine, cluster = laboratory.engine, laboratory.cluster()
    reader_endpoint, second, third = (laboratory.address() for _unused in range(3))
    name = f"{cluster.volume}-1"

    def count_is(host: str, rows: int) -> bool:
        return bool(cluster.value("SELECT count(*) FROM t", host=host) == rows)

    cluster.stop()
    engine.start(InstanceSpec(name, cluster.volume, "writer", (cluster.address, reader_endpoint), 5432, LOGICAL))
    cluster.sql("CREATE TABLE t (id int PRIMARY KEY)")
    assert cluster.value("SELECT pg_is_in_recovery()", host=reader_endpoint) is False
    for number, address in enumerate((second, third), 2):
        spec = InstanceSpec(
            f"{cluster.volume}-{number}", cluster.volume, "reader", (address, reader_endpoint), 5432, LOGICAL
        )
        engine.start(spec)
    cluster.sql("INSERT INTO t VALUES (1)")
    for address in (second, third):
        wait_for(partial(count_is, address, 1))
    with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
        cluster.sql("INSERT INTO t VALUES (2)", host=reader_endpoint)
    served = {cluster.value("SELECT inet_server_addr()::text", host=reader_endpoint) for _unused in range(4)}
    assert served == {f"{second}/32", f"{third}/32"}
    # the writer comes back with more than its readers were started with, and they follow it
    cluster.stop(immediate=True)
    engine.start(
        InstanceSpec(name, cluster.volume, "writer", (cluster.address,), 5432, {**LOGICAL, "max_wal_senders": "30"})
    )
    cluster.sql("INSERT INTO t VALUES (3)")
    for address in (second, third):
        wait_for(partial(count_is, address, 2))


# Parameters


def test_a_static_parameter_waits_for_the_restart_and_a_dynamic_one_does_not(laboratory: Laboratory) -> None:
    cluster = laboratory.cluster(**{"rds.logical_replication": "0"})
    wanted = {"rds.logical_replication": "1", "max_replication_slots": "7", "statement_timeout": "4321"}
    laboratory.engine.apply_dynamic(f"{cluster.volume}-1", wanted)
    wait_for(lambda: cluster.value("SHOW statement_timeout") == "4321ms")
    assert cluster.value("SHOW wal_level") == "replica"
    assert cluster.value("SHOW rds.logical_replication") == "off"
    assert cluster.value("SHOW max_replication_slots") == "20"
    cluster.stop()
    cluster.writer(**wanted)
    assert cluster.value("SHOW wal_level") == "logical"
    assert cluster.value("SHOW rds.logical_replication") == "on"
    assert cluster.value("SHOW max_replication_slots") == "7"


def test_a_server_that_cannot_start_says_why(laboratory: Laboratory) -> None:
    cluster = laboratory.cluster()
    cluster.value("SELECT pg_create_logical_replication_slot('s', 'pgoutput')")
    cluster.stop()
    with pytest.raises(EngineError, match=r"logical replication slot .s. exists"):
        cluster.writer(**{"rds.logical_replication": "0"})
    cluster.writer(**LOGICAL)
    assert cluster.value("SELECT count(*) FROM pg_replication_slots") == 1


# The master user


def test_the_master_user_is_no_superuser(blue: Cluster) -> None:
    assert blue.value("SELECT rolsuper FROM pg_roles WHERE rolname = 'admin'") is False
    assert blue.value("SELECT pg_has_role('admin', 'rds_superuser', 'MEMBER')") is True
    for statement in ("ALTER SYSTEM SET work_mem = 100", "SELECT pg_read_file('PG_VERSION')", "SET ROLE rdsadmin"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            blue.sql(statement)
    for target in ({"user": "rdsadmin"}, {"dbname": "rdsadmin"}):
        with pytest.raises(psycopg2.OperationalError, match=r"pg_hba.conf rejects connection"):
            blue.connect(**target)


def test_the_master_user_publishes_all_tables_and_a_plain_user_does_not(laboratory: Laboratory) -> None:
    cluster = laboratory.cluster()
    cluster.sql("CREATE ROLE app LOGIN PASSWORD 'app'; GRANT CREATE ON DATABASE shop TO app")
    cluster.sql("CREATE PUBLICATION master_s FOR ALL TABLES")
    rows = cluster.sql("SELECT pubname, puballtables, pg_get_userbyid(pubowner) FROM pg_publication")
    assert rows == [("master_s", True, "admin")]
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        cluster.sql("CREATE PUBLICATION plain FOR ALL TABLES", user="app", password="app")
    # what the caller notes for itself changes nothing
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        cluster.sql(
            "SET rdsadmin.caller = 'admin'; SET rdsadmin.raised = 'app'; CREATE PUBLICATION plain FOR ALL TABLES",
            user="app",
            password="app",
        )
    supers = cluster.sql("SELECT rolname FROM pg_roles WHERE rolsuper")
    assert supers == [("rdsadmin",)]


def test_a_publication_that_fails_or_is_not_committed_leaves_no_superuser(laboratory: Laboratory) -> None:
    cluster = laboratory.cluster()
    cluster.sql("CREATE PUBLICATION p FOR ALL TABLES")
    with pytest.raises(psycopg2.errors.DuplicateObject):
        cluster.sql("CREATE PUBLICATION p FOR ALL TABLES")
    session = cluster.connect()
    session.autocommit = False
    with session.cursor() as cursor:
        cursor.execute("CREATE PUBLICATION q FOR ALL TABLES")
        cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        assert cursor.fetchone() == (False,)
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute("SELECT pg_read_file('PG_VERSION')")
    session.rollback()
    session.close()
    assert cluster.value("SELECT rolsuper FROM pg_roles WHERE rolname = 'admin'") is False


def test_sessions_that_publish_and_alter_roles_at_once_do_not_collide(laboratory: Laboratory) -> None:
    cluster = laboratory.cluster()
    errors: list[psycopg2.Error] = []
    seen: set[bool] = set()
    over = threading.Event()

    def publish(number: int) -> None:
        connection = cluster.connect()
        try:
            with connection.cursor() as cursor:
                for turn in range(15):
                    cursor.execute(f"CREATE PUBLICATION p_{number}_{turn} FOR ALL TABLES")
                    if number == 0:  # two of these at once collide on every server
                        cursor.execute("ALTER ROLE admin PASSWORD %s", (PASSWORD,))
                    cursor.execute(f"CREATE ROLE r_{number}_{turn} LOGIN; GRANT rds_replication TO r_{number}_{turn}")
                    cursor.execute(f"ALTER ROLE r_{number}_{turn} PASSWORD 'x'")
        except psycopg2.Error as error:
            errors.append(error)
        connection.close()

    def watch() -> None:
        connection = cluster.connect()
        with connection.cursor() as cursor:
            while not over.is_set():
                cursor.execute("SELECT bool_or(rolsuper) FROM pg_roles WHERE rolname <> 'rdsadmin'")
                seen.update(row[0] for row in cursor.fetchall())
        connection.close()

    watcher = threading.Thread(target=watch)
    watcher.start()
    threads = [threading.Thread(target=publish, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    over.set()
    watcher.join()
    assert errors == []
    assert cluster.value("SELECT count(*) FROM pg_publication") == 60
    assert seen == {False}
    wait_for(lambda: cluster.value("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'r\\_%' AND rolreplication") == 60)


def test_replication_is_a_right_of_rds_replication_alone(laboratory: Laboratory) -> None:
    cluster = laboratory.cluster()
    cluster.sql("CREATE ROLE other LOGIN REPLICATION PASSWORD 'x'")
    with pytest.raises(psycopg2.OperationalError, match=r"permission denied to start WAL sender|must be superuser or"):
        cluster.connect(user="other", password="x", replication="database")
    cluster.sql("GRANT rds_replication TO other")
    cluster.connect(user="other", password="x", replication="database").close()  # at once, as on AWS
    with pytest.raises(psycopg2.OperationalError, match=r"no pg_hba.conf entry for replication"):
        cluster.connect(user="other", password="x", replication="true")


def test_the_master_user_ends_other_sessions_but_not_those_of_the_service(laboratory: Laboratory) -> None:
    cluster = laboratory.cluster()
    cluster.sql("CREATE ROLE app LOGIN PASSWORD 'app'")
    session = cluster.connect(user="app", password="app")
    assert cluster.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'") == [(True,)]
    with pytest.raises(psycopg2.OperationalError), session.cursor() as cursor:
        cursor.execute("SELECT 1")
    wait_for(lambda: cluster.value("SELECT count(*) FROM pg_stat_activity WHERE usename = 'rdsadmin'"))
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        cluster.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rdsadmin'")


def test_the_master_password_changes(laboratory: Laboratory) -> None:
    cluster = laboratory.cluster()
    laboratory.engine.set_master_password(cluster.volume, "new one")
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        cluster.connect()
    assert cluster.value("SELECT 1", password="new one") == 1
    cluster.stop()
    laboratory.engine.set_master_password(cluster.volume, "newer")
    cluster.writer(**LOGICAL)
    assert cluster.value("SELECT 1", password="newer") == 1


# Clones, positions, subscriptions, upgrades


def test_a_clone_is_the_volume_at_one_moment(laboratory: Laboratory) -> None:
    source = laboratory.cluster()
    source.sql("CREATE TABLE t (id int)")
    clone = laboratory.clone(source, start=False)
    source.sql("INSERT INTO t VALUES (1)")
    clone.writer(**LOGICAL)
    assert clone.value("SELECT count(*) FROM t") == 0
    clone.sql("INSERT INTO t VALUES (7), (8)")
    assert source.value("SELECT count(*) FROM t") == 1
    clone.stop()
    copy = laboratory.clone(clone)  # of a volume that nothing runs on
    assert copy.value("SELECT count(*) FROM t") == 2
    assert copy.value("SELECT aurora_volume_logical_start_lsn()") != source.value(
        "SELECT aurora_volume_logical_start_lsn()"
    )


def test_green_takes_over_from_the_position_of_a_clone_made_under_load(laboratory: Laboratory) -> None:
    """The whole way: slot, clone under load, position, refused upgrade, upgrade, subscription over TLS, nothing lost."""
    source = laboratory.cluster()
    source.sql(
        "CREATE TABLE t (writer int, n int, PRIMARY KEY (writer, n));"
        "CREATE ROLE repl LOGIN PASSWORD 'it''s repl'; GRANT rds_replication TO repl; GRANT SELECT ON t TO repl;"
        "CREATE PUBLICATION p FOR ALL TABLES"
    )
    source.value("SELECT pg_create_logical_replication_slot('s', 'pgoutput')")
    over = threading.Event()
    acknowledged = [0] * 4

    def write(writer: int) -> None:
        connection = source.connect()
        with connection.cursor() as cursor:
            while not over.is_set():
                cursor.execute("INSERT INTO t VALUES (%s, %s)", (writer, acknowledged[writer] + 1))
                acknowledged[writer] += 1
        connection.close()

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(0.3)
        before = sum(acknowledged)
        green = laboratory.clone(source)
        wait_for(lambda: sum(acknowledged) > before + 100)
    finally:
        over.set()
        for thread in threads:
            thread.join()
    cloned = green.value("SELECT count(*) FROM t")
    assert before <= cloned < sum(acknowledged)
    assert green.sql("SELECT slot_name, active FROM pg_replication_slots") == [("s", False)]
    position = green.value("SELECT aurora_volume_logical_start_lsn()")
    assert green.value("SELECT aurora_volume_logical_start_lsn()", dbname="postgres") == position

    green.stop()
    with pytest.raises(EngineError, match=r"logical replication slots\. Please drop all logical replication slots"):
        laboratory.engine.upgrade_volume(green.volume, "18.4")
    green.writer(**LOGICAL)
    assert green.value("SHOW server_version_num") < "170000"
    assert green.value("SELECT aurora_volume_logical_start_lsn()") == position  # of the first start, for good
    green.sql("SELECT pg_drop_replication_slot('s'); ALTER DATABASE shop SET default_transaction_read_only = on")
    green.sql("CREATE DATABASE other", options="-c default_transaction_read_only=off")
    green.stop()
    laboratory.engine.upgrade_volume(green.volume, "18.4")
    green.writer(**LOGICAL)

    assert green.value("SHOW server_version") == "18.4"
    assert green.value("SHOW default_transaction_read_only") == "on"
    assert green.sql("SELECT pubname, puballtables FROM pg_publication") == [("p", True)]
    assert green.value("SELECT count(*) FROM t") == cloned
    writable = {"options": "-c default_transaction_read_only=off"}
    conninfo = rf"host={source.address} user=repl password='it\'s repl' dbname=shop sslmode=verify-full"
    options = "copy_data = false, create_slot = false, enabled = false, slot_name = 's'"
    green.sql(f"CREATE SUBSCRIPTION s CONNECTION %s PUBLICATION p WITH ({options})", conninfo, **writable)
    green.sql("SELECT pg_replication_origin_advance('pg_' || oid, %s) FROM pg_subscription", position, **writable)
    green.sql("ALTER SUBSCRIPTION s ENABLE", **writable)
    wait_for(lambda: green.value("SELECT count(*) FROM t") == sum(acknowledged))
    assert green.value("SELECT sum(apply_error_count) FROM pg_stat_subscription_stats") == 0
    # what pg_upgrade does not carry over is there again, in every database
    for database in ("shop", "other", "postgres", "template1"):
        session = green.connect(dbname=database, **writable)
        session.autocommit = False
        with session.cursor() as cursor:
            cursor.execute("CREATE PUBLICATION again FOR ALL TABLES; SELECT aurora_volume_logical_start_lsn()")
        session.rollback()
        session.close()


def test_a_prepared_transaction_stops_the_upgrade(laboratory: Laboratory) -> None:
    cluster = laboratory.cluster(max_prepared_transactions="5")
    cluster.sql("CREATE TABLE t (id int)")
    cluster.sql("BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'x'")
    cluster.stop(immediate=True)
    with pytest.raises(EngineError, match="prepared transactions"):
        laboratory.engine.upgrade_volume(cluster.volume, "18.4")
    cluster.writer(max_prepared_transactions="5")
    assert cluster.value("SELECT gid FROM pg_prepared_xacts") == "x"


def test_a_volume_that_follows_is_promoted_only_with_everything_of_its_source(
    laboratory: Laboratory, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = laboratory.cluster()
    target = Cluster(laboratory, f"{source.volume}-follower", laboratory.address())
    laboratory.volumes.append(target.volume)
    laboratory.engine.follow_volume(source.volume, target.volume)
    follower = laboratory.engine._volume(target.volume).follower
    assert follower is not None
    follower.query("SELECT pg_catalog.pg_wal_replay_pause()")
    source.sql("CREATE TABLE t AS SELECT 7 AS id")
    source.stop()
    monkeypatch.setattr("tests.lab.postgresql.followers.STREAM_SECONDS", 0.2)
    with pytest.raises(EngineError, match="did not get everything"):
        laboratory.engine.promote_volume(target.volume, complete=True)
    follower.query("SELECT pg_catalog.pg_wal_replay_resume()")
    monkeypatch.setattr("tests.lab.postgresql.followers.STREAM_SECONDS", 20.0)
    laboratory.engine.promote_volume(target.volume, complete=True)
    target.writer()
    assert target.value("SELECT id FROM t") == 7


def test_a_minor_upgrade_changes_the_version_alone(laboratory: Laboratory) -> None:
    cluster = laboratory.cluster("16.10")
    assert str(cluster.value("SELECT aurora_version()")).startswith("16.10.")
    position = cluster.value("SELECT aurora_volume_logical_start_lsn()")
    cluster.value("SELECT pg_create_logical_replication_slot('s', 'pgoutput')")
    cluster.stop()
    laboratory.engine.upgrade_volume(cluster.volume, "16.14")
    cluster.writer(**LOGICAL)
    assert str(cluster.value("SELECT aurora_version()")).startswith("16.14.")
    assert cluster.value("SELECT count(*) FROM pg_replication_slots") == 1
    assert cluster.value("SELECT aurora_volume_logical_start_lsn()") == position


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
    engine = PostgreSQLEngine(state)
    engine.create_volume("v", "16.14", "admin", "secret", None)
    engine.start(InstanceSpec("v-1", "v", "writer", (address,), 5432, {}))
    pids = engine.pids()
    engine.close()
    engine.close()
    wait_for(lambda: not any(alive(pid) for pid in pids))
    wait_for(lambda: {path.suffix or path.name for path in state.iterdir()} == {".pem", "postgresql-logs"})
    with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
        probe.connect((address, 5432))
