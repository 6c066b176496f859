# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Guardrails about an upgrade to another release series: what its prechecks refuse or warn of, told before a clone is made.

Those that a query can tell of the Amazon Aurora User Guide's "Precheck descriptions for upgrading Aurora MySQL version 3 to
version 8.4" and of MySQL's upgrade checker. The upgrade runs all of them on green and stops there, blue stays as it is.
"""

from __future__ import annotations

from .._core.rule import Rule
from .rule import AURORA, MANUAL, account, named

_PRECHECKS = AURORA + "AuroraMySQL.upgrade-prechecks-v3-to-v84.descriptions.html"
_V84 = (804, 804)
_TABLE = named("c.table_schema", "c.table_name")
_RESERVED = "'MANUAL', 'PARALLEL', 'QUALIFY', 'TABLESAMPLE'"

RULES = (
    Rule(
        "upgrade_float_auto_increment",
        "failed",
        f"""
        SELECT CONCAT({named("c.table_schema", "c.table_name", "c.column_name")}, ' (', c.data_type, ')'),
               CONCAT('ALTER TABLE ', {_TABLE}, ' MODIFY COLUMN ', {named("c.column_name")}, ' BIGINT NOT NULL AUTO_INCREMENT')
          FROM information_schema.columns AS c
         WHERE c.extra LIKE '%auto_increment%' AND c.data_type IN ('float', 'double')
           AND c.table_schema NOT IN :system_schemas ORDER BY 1
        """,
        "no AUTO_INCREMENT column is of FLOAT or DOUBLE",
        "the target version refuses AUTO_INCREMENT columns of FLOAT or DOUBLE",
        "",
        _PRECHECKS,
        upgrade=_V84,
    ),
    Rule(
        "upgrade_prefix_partitions",
        "failed",
        f"""
        SELECT DISTINCT {named("p.table_schema", "p.table_name")}, NULL FROM information_schema.partitions AS p
          JOIN information_schema.statistics AS s ON s.table_schema = p.table_schema AND s.table_name = p.table_name
         WHERE p.partition_method LIKE '%KEY' AND s.sub_part IS NOT NULL AND p.table_schema NOT IN :system_schemas
           AND FIND_IN_SET(CONCAT('`', s.column_name, '`'), p.partition_expression) > 0
        """,
        "no table is partitioned by a key with a prefix",
        "the target version refuses tables partitioned BY KEY over a column whose index has a prefix",
        "ALTER TABLE .. PARTITION BY KEY over whole columns, or REMOVE PARTITIONING",
        _PRECHECKS,
        upgrade=_V84,
    ),
    Rule(
        "upgrade_foreign_keys",
        "warning",
        f"""
        SELECT CONCAT({named("k.constraint_schema", "k.constraint_name")}, ' to ',
                      {named("k.unique_constraint_schema", "k.referenced_table_name")}),
               CONCAT('ALTER TABLE ', {named("k.constraint_schema", "k.table_name")}, ' DROP FOREIGN KEY ', {named("k.constraint_name")})
          FROM information_schema.referential_constraints AS k
         WHERE (k.unique_constraint_name IS NULL OR NOT EXISTS (
               SELECT 1 FROM information_schema.statistics AS s WHERE s.table_schema = k.unique_constraint_schema AND
               s.table_name = k.referenced_table_name AND s.index_name = k.unique_constraint_name AND s.non_unique = 0))
           AND k.constraint_schema NOT IN :system_schemas ORDER BY 1
        """,
        "every foreign key refers to a unique key",
        "foreign keys refer to a key that is not unique, or to a part of one, which the target version does not let be made",
        "or a unique key on what they refer to; those that are there stay, a dump of them cannot be loaded "
        "(restrict_fk_on_non_standard_key)",
        _PRECHECKS,
        upgrade=_V84,
    ),
    Rule(
        "upgrade_authentication",
        "warning",
        f"""
        SELECT CONCAT({account("u.User", "u.Host")}, ' (', u.plugin, ')'),
               CONCAT('ALTER USER ', {account("u.User", "u.Host")}, ' IDENTIFIED WITH caching_sha2_password BY ''..''')
          FROM mysql.user AS u
         WHERE u.plugin IN ('mysql_native_password', 'sha256_password') AND u.User NOT LIKE 'mysql.%' AND u.User NOT LIKE 'rds%'
         ORDER BY 1
        """,
        "every account logs in with a plugin that the target version has on",
        "accounts log in with a plugin that is deprecated in the target version",
        "the clients must know the new plugin, and its first login needs TLS; Aurora MySQL 8.4 still has mysql_native_password on, "
        "community MySQL 8.4 has it off",
        _PRECHECKS,
        upgrade=_V84,
    ),
    Rule(
        "upgrade_privileges",
        "warning",
        f"""
        SELECT CONCAT({account("g.USER", "g.HOST")}, ' has SET_USER_ID'),
               CONCAT('REVOKE SET_USER_ID ON *.* FROM ', {account("g.USER", "g.HOST")})
          FROM mysql.global_grants AS g WHERE g.PRIV = 'SET_USER_ID' AND g.USER NOT LIKE 'rds%' AND g.USER NOT LIKE 'mysql.%'
           AND CONCAT(g.USER, '@', g.HOST) <> CURRENT_USER() ORDER BY 1
        """,
        "no account has a privilege that the target version does away with",
        "the upgrade takes SET_USER_ID away, in whose place SET_ANY_DEFINER and ALLOW_NONEXISTENT_DEFINER have come",
        "GRANT those on green when the account makes objects for other definers",
        _PRECHECKS,
        needs="mysql.global_grants",
        upgrade=_V84,
    ),
    Rule(
        "upgrade_plugins",
        "failed",
        """
        SELECT p.plugin_name, CONCAT('UNINSTALL PLUGIN ', p.plugin_name) FROM information_schema.plugins AS p
         WHERE p.plugin_name IN ('simple_parser', 'authentication_fido', 'keyring_file', 'keyring_encrypted_file', 'keyring_oci')
           AND p.plugin_status = 'ACTIVE'
        """,
        "no plugin is active that the target version has not",
        "the target version does not have plugins that are active",
        "",
        _PRECHECKS,
        upgrade=_V84,
    ),
    Rule(
        "upgrade_validate_password",
        "warning",
        """
        SELECT p.plugin_name, CONCAT('UNINSTALL PLUGIN ', p.plugin_name, "; INSTALL COMPONENT 'file://component_validate_password'")
          FROM information_schema.plugins AS p WHERE p.plugin_name = 'validate_password' AND p.plugin_status = 'ACTIVE'
        """,
        "passwords are not validated by a plugin",
        "the plugin validate_password is deprecated, a component has taken its place",
        "before or after the upgrade",
        _PRECHECKS,
        upgrade=_V84,
    ),
    Rule(
        "upgrade_reserved_words",
        "warning",
        f"""
        SELECT CONCAT('table ', {named("t.table_schema", "t.table_name")}), NULL FROM information_schema.tables AS t
         WHERE UPPER(t.table_name) IN ({_RESERVED}) AND t.table_schema NOT IN :system_schemas
        UNION ALL SELECT CONCAT('column ', {named("c.table_schema", "c.table_name", "c.column_name")}), NULL
          FROM information_schema.columns AS c
         WHERE UPPER(c.column_name) IN ({_RESERVED}) AND c.table_schema NOT IN :system_schemas
        UNION ALL SELECT CONCAT('routine ', {named("r.routine_schema", "r.routine_name")}), NULL
          FROM information_schema.routines AS r
         WHERE UPPER(r.routine_name) IN ({_RESERVED}) AND r.routine_schema NOT IN :system_schemas
        """,
        "nothing has a name that the target version reserves",
        "names are reserved words in the target version: a statement that does not quote them fails there",
        "quote them in the applications (`parallel`), or rename them",
        MANUAL + "keywords.html",
        upgrade=_V84,
    ),
    Rule(
        "upgrade_sys_schema",
        "failed",
        """
        SELECT CONCAT('`sys`.`', REPLACE(t.table_name, '`', '``'), '`'),
               CONCAT('RENAME TABLE `sys`.`', REPLACE(t.table_name, '`', '``'), '` TO `', REPLACE(t.table_name, '`', '``'), '_of_sys`')
          FROM information_schema.tables AS t
         WHERE t.table_schema = 'sys' AND t.table_type = 'BASE TABLE' AND t.table_name <> 'sys_config'
        """,
        "the schema sys holds nothing of yours",
        "tables were made in the schema sys, which the upgrade makes anew",
        "to a schema of your own",
        _PRECHECKS,
        upgrade=_V84,
    ),
    Rule(
        "upgrade_sql_modes",
        "failed",
        f"""
        SELECT CONCAT('routine ', {named("r.routine_schema", "r.routine_name")}), NULL FROM information_schema.routines AS r
         WHERE r.sql_mode REGEXP 'NO_AUTO_CREATE_USER|NO_FIELD_OPTIONS|NO_KEY_OPTIONS|NO_TABLE_OPTIONS|POSTGRESQL|MSSQL|MYSQL323|MYSQL40|ORACLE|DB2|MAXDB'
           AND r.routine_schema NOT IN :system_schemas
        UNION ALL SELECT CONCAT('trigger ', {named("t.trigger_schema", "t.trigger_name")}), NULL FROM information_schema.triggers AS t
         WHERE t.sql_mode REGEXP 'NO_AUTO_CREATE_USER|NO_FIELD_OPTIONS|NO_KEY_OPTIONS|NO_TABLE_OPTIONS|POSTGRESQL|MSSQL|MYSQL323|MYSQL40|ORACLE|DB2|MAXDB'
           AND t.trigger_schema NOT IN :system_schemas
        """,
        "no routine or trigger was made with an SQL mode that the target version has not",
        "routines or triggers were made with an SQL mode that the target version has not",
        "make them anew without that mode",
        MANUAL + "upgrading-from-previous-series.html",
        upgrade=(800, 800),
    ),
)
