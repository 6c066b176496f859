# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The link of a managed deployment between real MySQL servers."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import pymysql
import pytest

from tests.integration.lab.managed_link import PASSWORD, Laboratory, rows, state_directory, wait_for
from tests.lab.control_plane.records import Cluster
from tests.lab.engine import EngineError
from tests.lab.managed.link import Link, SideName
from tests.lab.mysql import MySQLEngine

V84 = "8.4.mysql_aurora.8.4.8"
BINLOG = {"binlog_format": "ROW", "replica_checkpoint_period": "1"}
GTID = {**BINLOG, "gtid-mode": "ON", "enforce_gtid_consistency": "ON"}
RETENTION = "CALL mysql.rds_set_configuration('binlog retention hours', 24)"


@pytest.fixture(scope="module")
def laboratory() -> Iterator[Laboratory]:
    """One engine for all tests of this file."""
    with state_directory() as directory:
        engine = MySQLEngine(directory, sleeps=False)
        yield Laboratory(engine, "aurora-mysql", 3306, V84, BINLOG)
        engine.close()


def connect(laboratory: Laboratory, cluster: Cluster, user: str = "admin", password: str = PASSWORD) -> Any:
    """Connect as a client does."""
    return pymysql.connect(
        host=cluster.address, port=3306, user=user, password=password, autocommit=True, connect_timeout=5,
        ssl_ca=str(laboratory.engine.ca_file), ssl_verify_identity=True,
    )  # fmt: skip


def sql(laboratory: Laboratory, cluster: Cluster, *statements: str, **login: str) -> list[tuple[Any, ...]]:
    """Run statements in a session of their own and return the rows of the last one."""
    with connect(laboratory, cluster, **login) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return list(cursor.fetchall())


@contextmanager
def refused(*codes: int) -> Iterator[None]:
    """Expect an error of the server with one of these numbers."""
    with pytest.raises(pymysql.MySQLError) as caught:
        yield
    assert caught.value.args[0] in codes, caught.value


APP = {"user": "app", "password": "app"}


def blue_with_data(laboratory: Laboratory, parameters: Mapping[str, str] | None = None) -> Cluster:
    """Return production: a table, and an application that may write to it and read what the wrappers read."""
    blue = laboratory.cluster(BINLOG if parameters is None else parameters)
    sql(
        laboratory, blue, RETENTION,
        "CREATE TABLE shop.t (id bigint PRIMARY KEY AUTO_INCREMENT, w int)",
        "CREATE USER app IDENTIFIED BY 'app'", "GRANT ALL ON shop.* TO app", "GRANT SELECT ON mysql.rds_topology TO app",
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
                    cursor.execute("INSERT INTO shop.t (w) VALUES (%s)", (self.acknowledged,))
                    self.acknowledged += 1
        except pymysql.MySQLError as error:
            self.error = error


def switch_over(laboratory: Laboratory, blue: Cluster, green: Cluster, link: Link) -> None:
    """Switch over under load and see that every acknowledged write is there, once."""
    load = Load(laboratory, blue)
    load.start()
    wait_for(lambda: load.acknowledged > 30)
    with refused(1290):
        sql(laboratory, green, "INSERT INTO shop.t (w) VALUES (-1)", **APP)
    link.stop_writes()
    with refused(2003, 2013):
        connect(laboratory, blue)
    wait_for(link.caught_up)
    position = link.finish()
    link.publish(rows(blue, green, "SWITCHOVER_IN_POST_PROCESSING"))
    link.open("green")
    load.join(10)
    assert load.error is not None
    # At most the write that was in flight is there without an acknowledgement.
    found = sql(laboratory, green, "SELECT COUNT(*), COUNT(DISTINCT w) FROM shop.t WHERE w >= 0")
    ((written, distinct),) = found
    assert written == distinct
    assert load.acknowledged <= written <= load.acknowledged + 1
    assert sql(laboratory, blue, "SELECT COUNT(*), COUNT(DISTINCT w) FROM shop.t WHERE w >= 0", **APP) == found
    with refused(1290):
        sql(laboratory, blue, "INSERT INTO shop.t (w) VALUES (-1)", **APP)
    at = sql(laboratory, green, "SHOW BINARY LOG STATUS")[0]
    assert position == f"{at[0]} {at[1]}"
    sql(laboratory, green, "INSERT INTO shop.t (w) VALUES (-1)", **APP)
    with connect(laboratory, green) as connection, connection.cursor() as cursor:
        assert cursor.execute("SHOW REPLICA STATUS") == 0


def test_green_copied_under_load_follows_by_gtid_and_takes_over(laboratory: Laboratory) -> None:
    blue = blue_with_data(laboratory, GTID)
    over = threading.Event()

    def write() -> None:
        with connect(laboratory, blue, **APP) as connection, connection.cursor() as cursor:
            while not over.is_set():
                cursor.execute("INSERT INTO shop.t (w) VALUES (-2)")

    before = threading.Thread(target=write, daemon=True)
    before.start()
    try:
        green, link = laboratory.copy(blue)
        laboratory.start(green, GTID)
        link.start()
        assert link.health().running
    finally:
        over.set()
        before.join()
    switch_over(laboratory, blue, green, link)
    count = "SELECT COUNT(*) FROM shop.t WHERE w = -2"
    assert sql(laboratory, green, count) == sql(laboratory, blue, count)


@pytest.fixture(scope="module")
def running(laboratory: Laboratory) -> Iterator[tuple[Cluster, Cluster, Link]]:
    """A deployment whose green follows blue, for tests that leave it so."""
    blue = blue_with_data(laboratory)
    green, link = laboratory.copy(blue)
    laboratory.start(green)
    link.start()
    yield blue, green, link


def test_the_rows_are_of_each_side_alone(laboratory: Laboratory, running: tuple[Cluster, Cluster, Link]) -> None:
    blue, green, link = running
    query = "SELECT * FROM mysql.rds_topology ORDER BY role"
    link.publish(rows(blue, green, "AVAILABLE"))
    link.publish(rows(blue, green, "SWITCHOVER_INITIATED"), ("green",))
    numbers = [str(sql(laboratory, one, "SELECT @@server_id")[0][0]) for one in (blue, green)]
    for one, status in ((blue, "AVAILABLE"), (green, "SWITCHOVER_INITIATED")):
        assert sql(laboratory, one, query, **APP) == [
            (numbers[0], f"{blue.identifier}.example", 3306, "BLUE_GREEN_DEPLOYMENT_SOURCE", status, "1.0"),
            (numbers[1], f"{green.identifier}.example", 3306, "BLUE_GREEN_DEPLOYMENT_TARGET", status, "1.0"),
        ]
    assert sql(laboratory, blue, "SHOW VARIABLES LIKE 'report_host'") == [("report_host", "")]
    link.publish([])
    assert sql(laboratory, blue, query) == sql(laboratory, green, query) == []
    assert link.health().running


def test_taken_back_blue_is_written_to_and_green_follows(
    laboratory: Laboratory, running: tuple[Cluster, Cluster, Link]
) -> None:
    blue, green, link = running
    session = connect(laboratory, blue, **APP)
    link.stop_writes()
    with refused(2013, 2006), session.cursor() as cursor:
        cursor.execute("SELECT 1")
    link.open("blue")
    sql(laboratory, blue, "INSERT INTO shop.t (w) VALUES (7)", **APP)
    wait_for(link.caught_up)
    assert sql(laboratory, green, "SELECT w FROM shop.t WHERE w = 7", **APP) == [(7,)]
    with refused(1290):
        sql(laboratory, green, "INSERT INTO shop.t (w) VALUES (-1)", **APP)


def test_a_cut_link_is_told_and_heals(laboratory: Laboratory, running: tuple[Cluster, Cluster, Link]) -> None:
    blue, _green, link = running
    laboratory.engine.fault_link(blue.address, "cut", "replication")
    assert "Lost connection to MySQL server" in str(wait_for(lambda: link.health().error))
    laboratory.engine.fault_link(blue.address, "none", "replication")
    assert wait_for(lambda: link.health().running)


def test_objections_of_the_guardrails(laboratory: Laboratory, running: tuple[Cluster, Cluster, Link]) -> None:
    blue, green, link = running
    assert link.objections("blue") == link.objections("green") == []
    link.long_seconds = 0.0  # type: ignore[attr-defined]
    sides: tuple[tuple[Cluster, SideName], ...] = ((blue, "blue"), (green, "green"))
    for cluster, side in sides:
        # On green only whoever may write although it only reads, as the master user.
        with connect(laboratory, cluster) as session, session.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("INSERT INTO shop.t (id, w) VALUES (1000000, 1)")
            # InnoDB tells of its transactions as they were up to 0.1 s ago.
            (found,) = wait_for(partial(link.objections, side))
            assert ("long-running active writes" if side == "blue" else "active writes") in found
            session.rollback()
    assert wait_for(lambda: link.objections("green") == [])


def test_switched_over_old_blue_only_reads_until_its_group_says_otherwise(
    laboratory: Laboratory, running: tuple[Cluster, Cluster, Link]
) -> None:
    blue, green, link = running
    sql(laboratory, blue, "DELETE FROM shop.t")
    switch_over(laboratory, blue, green, link)
    laboratory.stop(blue)
    laboratory.start(blue)
    with refused(1290):
        sql(laboratory, blue, "INSERT INTO shop.t (w) VALUES (-1)", **APP)
    laboratory.stop(blue)
    laboratory.start(blue, {**BINLOG, "read_only": "0"})
    sql(laboratory, blue, "INSERT INTO shop.t (w) VALUES (-1)", **APP)
    link.drop()


def test_a_binary_log_that_was_never_written_to_cannot_be_followed(laboratory: Laboratory) -> None:
    """Seed 004: the binary log turned on, the reboot, and a deployment without a write in between."""
    blue = laboratory.cluster({})
    with pytest.raises(EngineError, match="requires cluster parameter group has binlog enabled"):
        laboratory.link(blue, laboratory.record()).prepare()
    sql(laboratory, blue, "CREATE TABLE shop.t (id int PRIMARY KEY)", RETENTION)
    laboratory.stop(blue)
    laboratory.start(blue)
    green, link = laboratory.copy(blue)
    laboratory.start(green)
    link.start()
    health = link.health()
    assert not health.running
    assert health.error == (
        "IOError: 1236, reason: Got fatal error 1236 from master when reading data from binary log: "
        "'Could not find first log file name in binary log index file'"
    )
    link.drop()
    sql(laboratory, blue, "INSERT INTO shop.t VALUES (1)")
    green, link = laboratory.copy(blue)
    laboratory.start(green)
    link.start()
    assert link.health().running
    link.drop()
    with connect(laboratory, green) as connection, connection.cursor() as cursor:
        assert cursor.execute("SHOW REPLICA STATUS") == 0
