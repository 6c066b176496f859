# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Aurora MySQL gives its master user and has in its schema `mysql`, on a community server.

For each right on AWS: its source, then how it is emulated.

* the privileges of RIGHTS below, held through the role rds_superuser_role, with GRANT OPTION -- Aurora user guide,
  "Master user account privileges" and "Role-based privilege model" (version 3) -- the same role, made the user's
  default role
* SHOW_ROUTINE from 3.04, FLUSH_* from 3.09 -- the same pages -- by version
* SET_USER_ID -- the same pages -- SET_ANY_DEFINER and ALLOW_NONEXISTENT_DEFINER, its successors since server 8.4
* SET SESSION sql_log_bin, binlog_format -- SESSION_VARIABLES_ADMIN; sessions of version 3 set binlog_format
  themselves -- the privilege, in the role
* no SUPER, no SYSTEM_VARIABLES_ADMIN: SET GLOBAL fails with 1227 -- the same pages -- not granted
* may write although read_only is on -- CONNECTION_ADMIN, parameter read_only in "Aurora MySQL configuration
  parameters" -- the privilege
* no replication statements but through mysql.rds_* -- no REPLICATION_SLAVE_ADMIN -- not granted; procedures.sql
* may read schema mysql but not change its tables -- "you can't modify the tables in the mysql database directly",
  role-based privilege model -- partial revokes (ON where the service does not let one see the parameter); a grant's
  wildcards in a schema's name are literal therefore
* FLUSH TABLES WITH READ LOCK is refused -- reports of dump tools; no page of AWS -- not at all: RELOAD allows it
  here
* aurora_version() and @@aurora_version -- Aurora MySQL reference -- mysql.aurora_version(), which needs its
  schema's name; a server variable cannot be added
* the service's account rdsadmin@localhost cannot be used -- it exists there too -- reachable through a socket in a
  private directory only; system_user: the master user cannot change it
"""

from __future__ import annotations

import re
from pathlib import Path

from tests.lab.mysql.parameters import RDS_ENGINE, family_of
from tests.lab.mysql.servers import ADMINISTRATOR

MASTER_ROLE = "rds_superuser_role"
REPLICATOR = "rdsrepladmin"  # the service's own user for its readers
OWN_USERS = (ADMINISTRATOR, REPLICATOR, "mysql.session", "mysql.sys", "mysql.infoschema")
_DEFINER = f"DEFINER=`{ADMINISTRATOR}`@`localhost`"
PROCEDURES = Path(__file__).with_name("procedures.sql")
_HEADING = re.compile(r"^-- (\w+) ([\d.]+)(?: ([\d.]+))?$", re.MULTILINE)
# What RDS for MySQL calls its procedures before 8.4 ("MySQL stored procedure reference" of the RDS user guide).
_BEFORE_84 = (
    ("mysql.rds_set_external_source", "mysql.rds_set_external_master"),
    ("mysql.rds_reset_external_source", "mysql.rds_reset_external_master"),
    ("mysql.rds_set_source_auto_position", "mysql.rds_set_master_auto_position"),
    ("mysql.rds_next_source_log", "mysql.rds_next_master_log"),
)
# What only Aurora has. RDS for MySQL encrypts a replication by the argument alone, without certificates that were imported
# ("mysql.rds_set_external_source" of its reference), and has a delay with GTIDs as well.
_NOT_ON_RDS = ("aurora", "binlog_ssl_material", "binlog_source_ssl")
_MATERIAL = "EXISTS (SELECT 1 FROM mysql.rds_binlog_ssl_material)"
_SLEEPS = {True: ("1", "2"), False: ("0", "0.3")}

STATIC_RIGHTS = (
    "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, RELOAD, PROCESS, REFERENCES, INDEX, ALTER, SHOW DATABASES, "
    "CREATE TEMPORARY TABLES, LOCK TABLES, EXECUTE, REPLICATION SLAVE, REPLICATION CLIENT, CREATE VIEW, SHOW VIEW, "
    "CREATE ROUTINE, ALTER ROUTINE, CREATE USER, EVENT, TRIGGER, CREATE ROLE, DROP ROLE"
)
# Since which version of Aurora the role has a dynamic privilege.
DYNAMIC_RIGHTS: tuple[tuple[tuple[int, ...], tuple[str, ...]], ...] = (
    (
        (3,),
        (
            "APPLICATION_PASSWORD_ADMIN",
            "CONNECTION_ADMIN",
            "ROLE_ADMIN",
            "SESSION_VARIABLES_ADMIN",
            "SET_ANY_DEFINER",
            "ALLOW_NONEXISTENT_DEFINER",
            "XA_RECOVER_ADMIN",
        ),
    ),
    ((3, 4), ("SHOW_ROUTINE",)),
    ((3, 9), ("FLUSH_OPTIMIZER_COSTS", "FLUSH_STATUS", "FLUSH_TABLES", "FLUSH_USER_RESOURCES")),
)
# What the master user may not do in the service's schema although it may everywhere else.
_NOT_IN_MYSQL = "INSERT, UPDATE, DELETE, CREATE, DROP, REFERENCES, INDEX, ALTER, CREATE VIEW, CREATE ROUTINE, ALTER ROUTINE, TRIGGER, EVENT"

TABLES = (
    "CREATE TABLE IF NOT EXISTS mysql.rds_configuration (name varchar(100) NOT NULL PRIMARY KEY, value varchar(100),"
    " description varchar(300) NOT NULL)",
    "INSERT IGNORE INTO mysql.rds_configuration VALUES ('binlog retention hours', NULL, 'binlog retention hours specifies"
    " the duration in hours before binary logs are automatically deleted.')",
    "CREATE TABLE IF NOT EXISTS mysql.rds_history (action_timestamp timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP,"
    " called_by_user varchar(352), action varchar(60), mysql_version varchar(50), master_host varchar(255),"
    " master_port int, master_user varchar(100), master_log_file varchar(255), master_log_pos bigint, master_gtid text)",
    "CREATE TABLE IF NOT EXISTS mysql.rds_replication_status (channel_name varchar(64) NOT NULL PRIMARY KEY,"
    " action_timestamp timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP, called_by_user varchar(352), action varchar(60),"
    " mysql_version varchar(50), master_host varchar(255), master_port int)",
    "CREATE TABLE IF NOT EXISTS mysql.rds_binlog_ssl_material (id int NOT NULL PRIMARY KEY, ssl_ca text)",
    # Filled by the service during a managed blue/green deployment only.
    "CREATE TABLE IF NOT EXISTS mysql.rds_topology (id varchar(50) NOT NULL, endpoint varchar(255) NOT NULL,"
    " port int NOT NULL, role varchar(50), status varchar(50), version varchar(20), PRIMARY KEY (id))",
)


def release(version: str) -> tuple[int, ...]:
    """Return the release of Aurora in an engine version: (3, 10, 0) for 8.0.mysql_aurora.3.10.0.

    Of RDS it is the server's version, (8, 0, 44), which is later than every release of Aurora 3.
    """
    return tuple(int(part) for part in version.rpartition("aurora.")[2].split("."))


def first_statements() -> tuple[str, ...]:
    """Return what makes a new server the service's, once and for every volume that is copied from it."""
    administrator = f"'{ADMINISTRATOR}'@'localhost'"
    return (
        f"RENAME USER 'root'@'localhost' TO {administrator}",
        *TABLES,
        f"CREATE USER '{REPLICATOR}'@'%' IDENTIFIED BY RANDOM PASSWORD ACCOUNT LOCK",
        f"GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO '{REPLICATOR}'@'%'",
        f"GRANT SYSTEM_USER ON *.* TO '{REPLICATOR}'@'%'",
        f"CREATE ROLE '{MASTER_ROLE}'",
    )


def master(name: str, password: str) -> list[tuple[str, tuple[str, ...]]]:
    """Return the statements, with their values, that make the master user; its role has its rights already."""
    return [
        ("CREATE USER IF NOT EXISTS %s@'%%' IDENTIFIED BY %s", (name, password)),
        (f"GRANT '{MASTER_ROLE}' TO %s@'%%' WITH ADMIN OPTION", (name,)),
        (f"SET DEFAULT ROLE '{MASTER_ROLE}' TO %s@'%%'", (name,)),
        ("ALTER USER %s@'%%' IDENTIFIED BY %s ACCOUNT UNLOCK", (name, password)),
    ]


def rights(version: str) -> list[str]:
    """Return the statements that give the master user's role what it has with a version, and nothing else."""
    names = [name for since, names in DYNAMIC_RIGHTS if release(version) >= since for name in names]
    return [
        f"REVOKE ALL PRIVILEGES, GRANT OPTION FROM '{MASTER_ROLE}'",
        f"GRANT {STATIC_RIGHTS} ON *.* TO '{MASTER_ROLE}' WITH GRANT OPTION",
        f"GRANT {', '.join(names)} ON *.* TO '{MASTER_ROLE}' WITH GRANT OPTION",
        f"REVOKE {_NOT_IN_MYSQL} ON mysql.* FROM '{MASTER_ROLE}'",
    ]


def procedures(version: str, sleeps: bool) -> list[str]:
    """Return the statements that give schema mysql the service's procedures of a version, and takes away the others.

    With `sleeps` they take as long as on AWS.
    """
    text = PROCEDURES.read_text(encoding="utf-8")
    rds = family_of(version).engine == RDS_ENGINE
    if rds and release(version) < (8, 4):
        text = _earlier(text)
    headings = list(_HEADING.finditer(text))
    ends = [heading.start() for heading in headings[1:]] + [len(text)]
    short, long = _SLEEPS[sleeps]
    words = {
        "{definer}": _DEFINER,
        "{short}": short,
        "{long}": long,
        "{skip_counter}": "sql_replica_skip_counter",
        "{own_users}": ", ".join(f"'{name}'" for name in OWN_USERS),
        "{version}": ".".join(map(str, release(version))),
        "{material}": "TRUE" if rds else _MATERIAL,
        "{delay}": ", delay int" if rds else "",
        "{delayed}": "CONCAT(', SOURCE_DELAY=', delay)" if rds else "''",
    }
    statements = []
    for heading, end in zip(headings, ends, strict=True):
        body = text[heading.end() : end].strip()
        for mark, word in words.items():
            body = body.replace(mark, word)
        kind, name = re.findall(r"\b(FUNCTION|PROCEDURE) (mysql\.\w+)\(", body)[0]
        statements += [f"DROP {kind} IF EXISTS {one}" for one in dict.fromkeys((name, _earlier(name)))]
        if rds and any(part in name for part in _NOT_ON_RDS):
            continue
        since, before = _numbers(heading[2]), _numbers(heading[3] or "99")
        if rds or since <= release(version) < before:
            statements.append(body)
    return statements


def _earlier(text: str) -> str:
    """Return a text with the names that RDS had for its procedures before 8.4."""
    for later, earlier in _BEFORE_84:
        text = text.replace(later, earlier)
    return text


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))
