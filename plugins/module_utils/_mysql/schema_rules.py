# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Guardrails about what the schemas and the accounts hold: each a query, see :mod:`.rule`."""

from __future__ import annotations

from .._core.rule import Rule
from .rule import AURORA, MANUAL, account, named, split_definer

_TABLE = named("t.table_schema", "t.table_name")
_EVENT = named("e.event_schema", "e.event_name")
_ACCOUNT = account("u.User", "u.Host")
# Privileges with which a session writes through read_only (MySQL manual, 7.1.8, read_only).
_PAST_READ_ONLY = ("CONNECTION_ADMIN",)
_PAST_THE_LOG = ("SESSION_VARIABLES_ADMIN", "SYSTEM_VARIABLES_ADMIN", "BINLOG_ADMIN")
_NOT_SERVICE = "u.User NOT LIKE 'mysql.%' AND u.User NOT LIKE 'rds%' AND u.User NOT LIKE 'AWS\\_%\\_ACCESS'"


def _able(privileges: tuple[str, ...]) -> str:
    """SQL before a query: the accounts that have one of the privileges, or SUPER, themselves or through roles."""
    names = ", ".join(f"'{one}'" for one in privileges)
    return (
        f"WITH RECURSIVE able (user, host) AS (SELECT USER, HOST FROM mysql.global_grants WHERE PRIV IN ({names})"
        " UNION SELECT User, Host FROM mysql.user WHERE Super_priv = 'Y' UNION SELECT e.TO_USER, e.TO_HOST FROM mysql.role_edges AS e"
        " JOIN able AS a ON a.user = e.FROM_USER AND a.host = e.FROM_HOST)"
    )


def _having(privileges: tuple[str, ...]) -> str:
    """The query for the clients' accounts among them, each with the statement for a privilege that is its own."""
    names = ", ".join(f"'{one}'" for one in privileges)
    own = f"SELECT GROUP_CONCAT(g.PRIV SEPARATOR ', ') FROM mysql.global_grants AS g WHERE g.USER = u.User AND g.HOST = u.Host AND g.PRIV IN ({names})"
    return f"""
        {_able(privileges)}
        SELECT {_ACCOUNT}, CONCAT('REVOKE ', COALESCE(({own}), IF(u.Super_priv = 'Y', 'SUPER', NULL)), ' ON *.* FROM ', {_ACCOUNT})
          FROM mysql.user AS u JOIN able AS a ON a.user = u.User AND a.host = u.Host
         WHERE {_NOT_SERVICE} AND CONCAT(u.User, '@', u.Host) <> CURRENT_USER() ORDER BY 1
        """


_USER_TABLES = "t.table_type = 'BASE TABLE' AND t.table_schema NOT IN :system_schemas"
_DEFINERS = """
    SELECT 'view' AS kind, v.table_schema AS place, v.table_name AS name, v.definer AS definer FROM information_schema.views AS v
     WHERE v.table_schema NOT IN :system_schemas
    UNION ALL SELECT 'trigger', t.trigger_schema, t.trigger_name, t.definer FROM information_schema.triggers AS t
     WHERE t.trigger_schema NOT IN :system_schemas
    UNION ALL SELECT LOWER(r.routine_type), r.routine_schema, r.routine_name, r.definer FROM information_schema.routines AS r
     WHERE r.routine_schema NOT IN :system_schemas
    UNION ALL SELECT 'event', e.event_schema, e.event_name, e.definer FROM information_schema.events AS e
     WHERE e.event_schema NOT IN :system_schemas
"""

# What blue is before it is cloned.
RULES = (
    Rule(
        "primary_keys",
        "warning",
        f"""
        SELECT CONCAT({_TABLE}, ' (about ', COALESCE(t.table_rows, 0), ' rows)'),
               CONCAT('ALTER TABLE ', {_TABLE}, ' ADD COLUMN bg_row_id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT INVISIBLE PRIMARY KEY')
          FROM information_schema.tables AS t
         WHERE {_USER_TABLES} AND NOT EXISTS (
               SELECT 1 FROM information_schema.statistics AS s
                WHERE s.table_schema = t.table_schema AND s.table_name = t.table_name AND s.non_unique = 0
                GROUP BY s.index_name HAVING SUM(s.nullable = 'YES' OR s.column_name IS NULL) = 0)
         ORDER BY t.table_rows DESC
        """,
        "every table has a primary key, or a unique one that is never null",
        "tables without a primary key are read from end to end on green for every row that is updated or deleted, which green "
        "falls behind by, and a row twice in one cannot be told from its double",
        "an invisible primary key changes no SELECT * and no INSERT; or sql_generate_invisible_primary_key for tables to come",
        MANUAL + "create-table-gipks.html",
    ),
    Rule(
        "storage_engines",
        "failed",
        f"""
        SELECT CONCAT({_TABLE}, ' (', t.engine, ')'), CONCAT('ALTER TABLE ', {_TABLE}, ' ENGINE=InnoDB')
          FROM information_schema.tables AS t
         WHERE {_USER_TABLES} AND t.engine NOT IN ('InnoDB', 'MEMORY', 'BLACKHOLE') ORDER BY 1
        """,
        "every table is of InnoDB",
        "tables of other storage engines are not as of the clone's position, nor rolled back with a transaction, and a FEDERATED "
        "one writes to its own server a second time",
        "after a look at what the engine was chosen for; a FEDERATED table is dropped for the time of the deployment",
        AURORA + "AuroraMySQL.Compare-v2-v3.html",
    ),
    Rule(
        "volatile_tables",
        "warning",
        f"""
        SELECT CONCAT({_TABLE}, ' (', t.engine, ')'), CONCAT('ALTER TABLE ', {_TABLE}, ' ENGINE=InnoDB')
          FROM information_schema.tables AS t WHERE {_USER_TABLES} AND t.engine IN ('MEMORY', 'BLACKHOLE') ORDER BY 1
        """,
        "no table holds its rows in memory only",
        "tables that keep no rows over a restart are empty on green, and blue's next restart empties them there again",
        "if their rows matter; else the application has to fill them on green",
        MANUAL + "replication-features-memory.html",
    ),
    Rule(
        "schema_tmp",
        "failed",
        "SELECT 'tmp', NULL FROM information_schema.tables AS t WHERE t.table_schema = 'tmp' LIMIT 1",
        "no schema is named tmp",
        "a schema has the name that the service keeps for itself and leaves out of copies",
        "RENAME TABLE moves its tables to another schema",
        AURORA + "blue-green-deployments-considerations.html",
    ),
    Rule(
        "missing_definers",
        "warning",
        f"""
        SELECT CONCAT(d.kind, ' ', {named("d.place", "d.name")}, ' of ', d.definer),
               CONCAT('CREATE USER ', {split_definer("d.definer")}, ' IDENTIFIED BY RANDOM PASSWORD ACCOUNT LOCK')
          FROM ({_DEFINERS}) AS d
         WHERE NOT EXISTS (SELECT 1 FROM mysql.user AS u WHERE CONCAT(u.User, '@', u.Host) = d.definer) ORDER BY 1
        """,
        "everything has a definer that exists",
        "views, triggers, routines or events have a definer that does not exist, and fail when they are used",
        "with the privileges that the object needs; or ALTER .. DEFINER = an account that has them",
        MANUAL + "stored-objects-security.html",
    ),
    Rule(
        "bypassing_accounts",
        "warning",
        _having(_PAST_READ_ONLY),
        "no account but the admin writes through read_only",
        "accounts write through read_only: only their lock, and the end of their sessions, keeps them out",
        "if they do not need it",
        AURORA + "AuroraMySQL.Reference.ParameterGroups.html",
        needs="mysql.global_grants",
    ),
    Rule(
        "unfenced_accounts",
        "failed",
        f"""
        SELECT {_ACCOUNT}, CONCAT('RENAME USER ', {_ACCOUNT}, ' TO ', {account("CONCAT('app_', u.User)", "u.Host")})
          FROM mysql.user AS u
         WHERE u.account_locked = 'N' AND u.User NOT IN ('rdsadmin', 'rdsrepladmin', 'rdsproxyadmin', 'rdstopmgr', 'rds_superuser_role') AND
               (u.User REGEXP '^rds(admin|repladmin|proxyadmin|topmgr|_)' OR
                u.User LIKE 'AWS\\_%' AND u.User NOT LIKE 'AWS\\_%\\_ACCESS' OR
                u.User LIKE 'mysql.%' AND u.User NOT IN ('mysql.sys', 'mysql.session', 'mysql.infoschema')) ORDER BY 1
        """,
        "no account of yours has a name of the service's",
        "accounts whose names begin as the service's own do are taken for those, and no fence locks them",
        "and give the application the new name",
        AURORA + "UsingWithRDS.MasterAccounts.html",
    ),
    Rule(
        "unlogged_writers",
        "warning",
        _having(_PAST_THE_LOG),
        "no account but the admin can keep its writes out of the binary log",
        "accounts may turn the binary log off for their session (sql_log_bin), and what they write then never reaches green",
        "if they do not need it",
        MANUAL + "set-sql-log-bin.html",
        needs="mysql.global_grants",
    ),
)

# Definers that write through read_only and through a lock: an event needs no login.
PRIVILEGED_EVENTS = Rule(
    "privileged_events",
    "failed",
    f"""
    {_able(_PAST_READ_ONLY)}
    SELECT CONCAT({_EVENT}, ' of ', e.definer), CONCAT('ALTER EVENT ', {_EVENT}, ' DISABLE')
      FROM information_schema.events AS e
     WHERE e.status = 'ENABLED' AND @@GLOBAL.event_scheduler = 'ON' AND e.event_schema NOT IN :system_schemas
       AND (:any_event OR EXISTS (SELECT 1 FROM able AS a WHERE CONCAT(a.user, '@', a.host) = e.definer))
     ORDER BY 1
    """,
    "no event writes through the fence",
    "events go on writing behind the fence, which stops sessions only: their definers write through read_only, or read_only "
    "cannot be set here inside a second",
    "ALTER EVENT .. ENABLE afterwards, or event_scheduler=OFF in the DB cluster parameter group; or give the event a DEFINER "
    "without CONNECTION_ADMIN",
    MANUAL + "events-privileges.html",
)

# What runs on the side that is replicated to.
RUNNING_EVENTS = Rule(
    "running_events",
    "failed",
    f"""
    SELECT {_EVENT}, CONCAT('ALTER EVENT ', {_EVENT}, ' DISABLE') FROM information_schema.events AS e
     WHERE e.status = 'ENABLED' AND @@GLOBAL.event_scheduler = 'ON' AND e.event_schema NOT IN :system_schemas ORDER BY 1
    """,
    "no event runs",
    "events run beside replication and write what the other side has written already",
    "event_scheduler=OFF in its own DB cluster parameter group until it serves, which is better than to disable each",
    MANUAL + "replication-features-invoked.html",
)
