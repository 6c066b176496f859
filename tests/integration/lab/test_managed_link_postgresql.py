# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The link of a managed deployment between real PostgreSQL servers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import psycopg2
import psycopg2.extensions
import pytest

from tests.integration.lab.managed_link import PASSWORD, Laboratory, rows, state_directory, wait_for
from tests.lab.control_plane.records import Cluster
from tests.lab.engine import EngineError
from tests.lab.managed.link import Link
from tests.lab.postgresql.engine import PostgreSQLEngine

V16, V18 = "16.14", "18.4"
LOGICAL = {"rds.logical_replication": "1"}
APP = {"user": "app", "password": "app"}
AURORA = "SELECT * FROM pg_catalog.get_blue_green_fast_switchover_metadata('aws_jdbc_driver-4.4.0') ORDER BY role"
RDS = "SELECT * FROM rds_tools.show_topology('aws_jdbc_driver-4.4.0') ORDER BY role"


@pytest.fixture(scope="module")
def laboratory() -> Iterator[Laboratory]:
    """One engine for all tests of this file."""
    with state_directory() as directory:
        engine = PostgreSQLEngine(directory)
        yield Laboratory(engine, "aurora-postgresql", 5432, V16, LOGICAL)
        engine.close()


def connect(
    laboratory: Laboratory, cluster: Cluster, user: str = "admin", password: str = PASSWORD, dbname: str = "shop"
) -> psycopg2.extensions.connection:
    """Connect as a client does."""
    connection = psycopg2.connect(
        host=cluster.address, port=5432, user=user, password=password, dbname=dbname, connect_timeout=5,
        sslmode="verify-full", sslrootcert=str(laboratory.engine.ca_file),
    )  # fmt: skip
    connection.autocommit = True
    return connection


def sql(laboratory: Laboratory, cluster: Cluster, *statements: str, **login: str) -> list[tuple[Any, ...]]:
    """Run statements in a session of their own and return the rows of the last one."""
    connection = connect(laboratory, cluster, **login)
    try:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def blue_with_data(laboratory: Laboratory) -> Cluster:
    """Return production: a table with a sequence, and an application that may write to it."""
    blue = laboratory.cluster()
    sql(
        laboratory, blue,
        "CREATE TABLE t (id bigserial PRIMARY KEY, w int)", "CREATE SEQUENCE unused", "CREATE EXTENSION rds_tools",
        "CREATE ROLE app LOGIN PASSWORD 'app'", "GRANT ALL ON t, t_id_seq TO app",
    )  # fmt: skip
    return blue


class Load(threading.Thread):
    """Writes until it is refused, and knows what was acknowledged."""

    def __init__(self, laboratory: Laboratory, cluster: Cluster) -> None:
        super().__init__(daemon=True)
        self.connection = connect(laboratory, cluster, **APP)
        self.acknowledged = 0
        self.error: Exception | None = None

    def run(self) -> None:
        """Write."""
        try:
            with self.connection.cursor() as cursor:
                while True:
                    cursor.execute("INSERT INTO t (w) VALUES (%s)", (self.acknowledged,))
                    self.acknowledged += 1
        except psycopg2.Error as error:
            self.error = error


@pytest.fixture(scope="module")
def running(laboratory: Laboratory) -> tuple[Cluster, Cluster, Link]:
    """A deployment whose green follows blue, upgraded to the next major version, made under load."""
    blue = blue_with_data(laboratory)
    load = Load(laboratory, blue)
    load.start()
    wait_for(lambda: load.acknowledged > 30)
    green, link = laboratory.copy(blue)
    laboratory.engine.upgrade_volume(green.volume_id, V18)
    laboratory.start(green)
    link.start()
    assert link.health().running, link.health().error
    load.connection.close()
    load.join(10)
    return blue, green, link


def test_green_only_reads_and_gets_everything_once(
    laboratory: Laboratory, running: tuple[Cluster, Cluster, Link]
) -> None:
    blue, green, link = running
    assert sql(laboratory, green, "SHOW server_version")[0][0].startswith("18.")
    count = "SELECT count(*), count(DISTINCT w) FROM t"
    wait_for(lambda: sql(laboratory, green, count) == sql(laboratory, blue, count))
    with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
        sql(laboratory, green, "INSERT INTO t (w) VALUES (-1)", **APP)
    assert link.health().running
    assert link.degraded() is None
    assert link.objections("blue") == link.objections("green") == []


def test_the_wrappers_read_what_each_side_shows(laboratory: Laboratory, running: tuple[Cluster, Cluster, Link]) -> None:
    blue, green, link = running
    assert sql(laboratory, blue, AURORA, **APP) == []
    link.publish(rows(blue, green, "AVAILABLE"))
    link.publish(rows(blue, green, "SWITCHOVER_INITIATED"), ("green",))
    ids = [next(m.server_id for m in laboratory.region.members(one)) for one in (blue, green)]
    for one, status in ((blue, "AVAILABLE"), (green, "SWITCHOVER_INITIATED")):
        shown = [
            (ids[0], f"{blue.identifier}.example", 3306, "BLUE_GREEN_DEPLOYMENT_SOURCE", status, "1.0"),
            (ids[1], f"{green.identifier}.example", 3306, "BLUE_GREEN_DEPLOYMENT_TARGET", status, "1.0"),
        ]
        assert sql(laboratory, one, AURORA, **APP) == shown
        assert sql(laboratory, one, AURORA, dbname="postgres") == shown
        assert sql(laboratory, one, RDS) == shown
        (member,) = laboratory.region.members(one)
        assert sql(laboratory, one, "SELECT aurora_db_instance_identifier()", **APP) == [(member.identifier,)]
        assert sql(laboratory, one, "SELECT server_id, session_id FROM aurora_replica_status()", **APP) == [
            (member.identifier, "MASTER_SESSION_ID")
        ]
        assert sql(laboratory, one, "SELECT rds_tools.dbi_resource_id()") == [(member.server_id,)]
        for function in ("rds_tools.show_topology", "pg_catalog.get_blue_green_fast_switchover_metadata"):
            sql(laboratory, one, f"SELECT '{function}'::pg_catalog.regproc")  # there is one of that name
    link.publish([])
    assert sql(laboratory, blue, RDS) == sql(laboratory, green, AURORA) == []


def test_the_extension_is_for_whom_it_is_granted_to(
    laboratory: Laboratory, running: tuple[Cluster, Cluster, Link]
) -> None:
    blue, _green, link = running
    with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="permission denied for schema rds_tools"):
        sql(laboratory, blue, RDS, **APP)
    sql(laboratory, blue, "GRANT USAGE ON SCHEMA rds_tools TO app")
    with pytest.raises(psycopg2.errors.InsufficientPrivilege, match="permission denied for function show_topology"):
        sql(laboratory, blue, RDS, **APP)
    sql(laboratory, blue, "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA rds_tools TO app")
    assert sql(laboratory, blue, RDS, **APP) == []
    assert link.degraded() is None  # a grant is not carried, and is no reason to begin again


def test_taken_back_blue_is_written_to_and_green_follows(
    laboratory: Laboratory, running: tuple[Cluster, Cluster, Link]
) -> None:
    blue, green, link = running
    session = connect(laboratory, blue, **APP)
    link.stop_writes()
    with pytest.raises(psycopg2.OperationalError):
        session.cursor().execute("SELECT 1")
    with pytest.raises(psycopg2.OperationalError):
        connect(laboratory, blue)
    wait_for(link.caught_up)
    link.open("blue")
    sql(laboratory, blue, "INSERT INTO t (w) VALUES (-7)", **APP)
    wait_for(lambda: sql(laboratory, green, "SELECT w FROM t WHERE w = -7", **APP) == [(-7,)])
    with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
        sql(laboratory, green, "INSERT INTO t (w) VALUES (-1)", **APP)


def test_what_stops_the_replication_is_told(laboratory: Laboratory, running: tuple[Cluster, Cluster, Link]) -> None:
    blue, green, link = running
    laboratory.engine.fault_link(blue.address, "cut", "replication")
    assert "replication of the database postgres, shop has stopped" in str(wait_for(lambda: link.health().error))
    laboratory.engine.fault_link(blue.address, "none", "replication")
    wait_for(lambda: link.health().running)
    with laboratory.engine.servers(green.volume_id)[0].connection("shop") as service, service.cursor() as cursor:
        cursor.execute("INSERT INTO t (id, w) VALUES (2000000, 0)")
        sql(laboratory, blue, "INSERT INTO t (id, w) VALUES (2000000, 0)", **APP)
        wait_for(lambda: "conflict detected on relation" in str(link.health().error))
        cursor.execute("DELETE FROM t WHERE id = 2000000")
    wait_for(lambda: link.health().running and sql(laboratory, green, "SELECT 1 FROM t WHERE id = 2000000", **APP))


def test_objections_of_the_guardrails(laboratory: Laboratory, running: tuple[Cluster, Cluster, Link]) -> None:
    blue, green, link = running
    link.long_seconds = 0.0  # type: ignore[attr-defined]
    for cluster, side in ((blue, "blue"), (green, "green")):
        session = connect(laboratory, cluster, **APP)
        with session.cursor() as cursor:
            cursor.execute("BEGIN READ WRITE")  # a session that does not mind the default
            cursor.execute("INSERT INTO t (id, w) VALUES (1000000, 1)")
            (found,) = link.objections(side)  # type: ignore[arg-type]
            assert ("long-running active writes" if side == "blue" else "active writes") in found
        session.close()
        wait_for(lambda: link.objections(side) == [])  # type: ignore[arg-type]  # noqa: B023
    sql(laboratory, blue, "SELECT pg_create_logical_replication_slot('theirs', 'pgoutput')")
    assert "external logical replication" in link.objections("blue")[0]
    sql(laboratory, blue, "SELECT pg_drop_replication_slot('theirs')")


def test_what_the_replication_does_not_carry_degrades_it(laboratory: Laboratory) -> None:
    blue = laboratory.cluster()
    green = laboratory.record()
    link = laboratory.link(blue, green)
    link.prepare()
    sql(laboratory, blue, "CREATE TEMPORARY TABLE own (id int)")
    assert link.degraded() is None
    sql(laboratory, blue, "SELECT lo_from_bytea(0, 'x')")
    assert "large objects in the database shop" in wait_for(link.degraded)
    sql(laboratory, blue, "CREATE TABLE late (id int)")
    assert link.degraded() == (
        "the blue environment had a DDL change, CREATE TABLE of public.late in the database shop"
    )
    sql(laboratory, blue, "CREATE DATABASE more")
    assert link.degraded() == "the database more was created in the blue environment"
    link.drop()
    with laboratory.engine.servers(blue.volume_id)[0].connection("shop") as service, service.cursor() as cursor:
        for catalogue in ("pg_publication", "pg_replication_slots", "pg_event_trigger WHERE evtname ~ 'blue_green'"):
            cursor.execute(f"SELECT count(*) FROM {catalogue}")
            assert cursor.fetchone() == (0,), catalogue
    plain = laboratory.cluster({})
    with pytest.raises(EngineError, match="require a DB cluster with logical replication enabled"):
        laboratory.link(plain, green).prepare()


def test_switched_over_everything_is_there_and_old_blue_only_reads(
    laboratory: Laboratory, running: tuple[Cluster, Cluster, Link]
) -> None:
    blue, green, link = running
    load = Load(laboratory, blue)
    load.start()
    wait_for(lambda: load.acknowledged > 30)
    link.stop_writes()
    wait_for(link.caught_up)
    assert link.finish() is None
    link.open("green")
    load.join(10)
    assert isinstance(load.error, psycopg2.OperationalError)
    count = "SELECT count(*), sum(w) FROM t"
    assert sql(laboratory, green, count, **APP) == sql(laboratory, blue, count, **APP)
    with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
        sql(laboratory, blue, "INSERT INTO t (w) VALUES (-1)", **APP)
    ((last,),) = sql(laboratory, green, "SELECT max(id) FROM t WHERE id < 1000000")
    ((new,),) = sql(laboratory, green, "INSERT INTO t (w) VALUES (-1) RETURNING id", **APP)
    assert new > last
    assert sql(laboratory, green, "SELECT last_value, is_called FROM unused") == [(1, False)]
    assert sql(laboratory, green, "SELECT count(*) FROM pg_stat_subscription") == [(0,)]
    assert sql(laboratory, blue, "SELECT count(*) FROM pg_replication_slots") == [(0,)]
    laboratory.stop(blue)
    laboratory.start(blue)
    assert sql(laboratory, blue, "SHOW default_transaction_read_only") == [("on",)]
    laboratory.stop(blue)
    laboratory.start(blue, {**LOGICAL, "default_transaction_read_only": "0"})
    assert sql(laboratory, blue, "SHOW default_transaction_read_only") == [("off",)]
    link.drop()


def test_a_reader_knows_itself_and_shows_the_rows(laboratory: Laboratory) -> None:
    blue = laboratory.cluster()
    reader = laboratory.member(blue)
    laboratory.start(blue)
    link = laboratory.link(blue, laboratory.record())
    link.publish(rows(blue, blue, "AVAILABLE"), ("blue",))
    blue.address = reader.address
    assert sql(laboratory, blue, "SELECT aurora_db_instance_identifier()") == [(reader.identifier,)]
    assert len(sql(laboratory, blue, "SELECT * FROM aurora_replica_status()")) == 2
    assert len(sql(laboratory, blue, AURORA)) == 2


def test_a_physical_copy_only_reads_and_takes_over(laboratory: Laboratory) -> None:
    blue, green = blue_with_data(laboratory), laboratory.record()
    laboratory.stop(blue)
    laboratory.start(blue, {})  # it needs no logical replication
    link = laboratory.link(blue, green, physical=True)
    link.prepare()
    laboratory.engine.follow_volume(blue.volume_id, green.volume_id)
    laboratory.start(green, {})
    link.start()
    wait_for(lambda: link.health().running)
    session = connect(laboratory, green, **APP)
    with session.cursor() as cursor, pytest.raises(psycopg2.errors.FeatureNotSupported, match="during recovery"):
        cursor.execute("BEGIN READ WRITE")  # not even a session that insists
    session.close()
    link.publish(rows(blue, green, "AVAILABLE"))
    load = Load(laboratory, blue)
    load.start()
    wait_for(lambda: load.acknowledged > 30)
    sql(laboratory, blue, "CREATE TABLE late (id int)")
    assert link.degraded() is None
    assert link.objections("blue") == link.objections("green") == []
    link.stop_writes()
    wait_for(link.caught_up)
    link.finish()
    with pytest.raises(psycopg2.OperationalError):
        connect(laboratory, green)
    link.open("green")
    load.join(10)
    assert isinstance(load.error, psycopg2.OperationalError)
    assert len(sql(laboratory, green, RDS)) == 2  # what was there before it started anew
    count = "SELECT count(*), sum(w) FROM t"
    assert sql(laboratory, green, count, **APP) == sql(laboratory, blue, count, **APP)
    sql(laboratory, green, "INSERT INTO t (w) VALUES (-1)", **APP)
    with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
        sql(laboratory, blue, "INSERT INTO t (w) VALUES (-1)", **APP)
    link.drop()
    sql(laboratory, blue, "INSERT INTO t (w) VALUES (-1)", **APP)
