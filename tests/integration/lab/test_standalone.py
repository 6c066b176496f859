# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DB instances without a cluster on real servers: what their master user finds there, and what an upgrade keeps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg2
import pymysql
import pytest

from tests.lab.lab import Blue, Lab
from tests.lab.tools import wait_until


@pytest.fixture(scope="module")
def postgresql(lab: Lab) -> Iterator[Blue]:
    """A DB instance of RDS for PostgreSQL."""
    yield lab.seed_rds_postgresql("alone-pg")
    lab.delete("alone-pg")


@pytest.fixture(scope="module")
def mysql(lab: Lab) -> Iterator[Blue]:
    """A DB instance of RDS for MySQL."""
    yield lab.seed_rds_mysql("alone-my")
    lab.delete("alone-my")


def query(lab: Lab, blue: Blue, statement: str, *values: object) -> Any:
    """The first row of a statement, run by the master user over verified TLS."""
    login: dict[str, Any] = {"host": blue.host, "port": blue.port, "user": blue.user, "password": blue.password}
    if blue.engine == "postgres":
        opened: Any = psycopg2.connect(**login, dbname=blue.database, sslmode="verify-full", sslrootcert=lab.ca_file)
        opened.autocommit = True
    else:
        tls: dict[str, Any] = {"ssl_ca": lab.ca_file, "ssl_verify_cert": True, "ssl_verify_identity": True}
        opened = pymysql.connect(**login, **tls, database=blue.database, autocommit=True)
    with closing(opened) as connection, connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return cursor.fetchone() if cursor.description else None


def modify(lab: Lab, blue: Blue, **options: Any) -> dict[str, Any]:
    """Modify an instance now and wait for the end of it."""
    rds = lab.client("rds")
    rds.modify_db_instance(DBInstanceIdentifier=blue.cluster, ApplyImmediately=True, **options)

    def found() -> dict[str, Any]:
        one: dict[str, Any] = rds.describe_db_instances(DBInstanceIdentifier=blue.cluster)["DBInstances"][0]
        return one

    def done() -> bool:
        now = found()
        return now["DBInstanceStatus"] == "available" and not now["PendingModifiedValues"]

    wait_until(done, 60, "the change")
    return found()


def test_postgresql_has_logical_replication_and_nothing_of_aurora(lab: Lab, postgresql: Blue) -> None:
    row = query(
        lab,
        postgresql,
        "SELECT current_setting('wal_level'), pg_has_role('rds_superuser', 'member'), rolsuper,"
        " (SELECT count(*) FROM pg_proc WHERE proname LIKE 'aurora%%') FROM pg_roles WHERE rolname = %s",
        postgresql.user,
    )
    assert row == ("logical", True, False, 0)
    query(lab, postgresql, "CREATE PUBLICATION everything FOR ALL TABLES")


def test_postgresql_refuses_a_connection_without_tls(postgresql: Blue) -> None:
    with pytest.raises(psycopg2.OperationalError, match="no encryption"):
        psycopg2.connect(
            host=postgresql.host,
            port=postgresql.port,
            user=postgresql.user,
            password=postgresql.password,
            dbname="shop",
            sslmode="disable",
        )


def test_postgresql_is_upgraded_with_its_rows(lab: Lab, postgresql: Blue) -> None:
    query(lab, postgresql, "CREATE TABLE kept AS SELECT 7 AS n")
    found = modify(
        lab,
        postgresql,
        EngineVersion="18.4",
        AllowMajorVersionUpgrade=True,
        DBParameterGroupName="default.postgres18",
    )
    assert found["EngineVersion"] == "18.4"
    row = query(lab, postgresql, "SELECT current_setting('server_version_num')::int / 10000, (SELECT n FROM kept)")
    assert row == (18, 7)
    assert query(lab, postgresql, "SELECT count(*) FROM pg_proc WHERE proname LIKE 'aurora%'") == (0,)


def test_mysql_has_its_binary_log_with_its_backups(lab: Lab, mysql: Blue) -> None:
    assert query(lab, mysql, "SELECT @@log_bin, @@binlog_format, @@gtid_mode, @@super_read_only") == (1, "ROW", "ON", 0)
    modify(lab, mysql, BackupRetentionPeriod=0)
    assert query(lab, mysql, "SELECT @@log_bin") == (0,)


def test_mysql_has_the_procedures_of_its_version_and_none_of_aurora(lab: Lab, mysql: Blue) -> None:
    names = (
        "SELECT GROUP_CONCAT(routine_name) FROM information_schema.routines WHERE routine_schema = 'mysql'"
        " AND (routine_name LIKE 'rds_set_external_%' OR routine_name LIKE 'aurora%')"
    )
    (before,) = query(lab, mysql, names)
    assert "rds_set_external_master" in before and "source" not in before and "aurora" not in before
    with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
        query(lab, mysql, "SET GLOBAL read_only = ON")
    modify(lab, mysql, EngineVersion="8.4.8", AllowMajorVersionUpgrade=True, DBParameterGroupName="default.mysql8.4")
    (after,) = query(lab, mysql, names)
    assert "rds_set_external_source" in after and "master" not in after
