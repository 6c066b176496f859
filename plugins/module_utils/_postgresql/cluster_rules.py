# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Guardrails about blue's server as a whole: each a query, see :mod:`.rule`."""

from __future__ import annotations

from .._core.rule import Rule

_MANUAL = "https://www.postgresql.org/docs/current/"
_AURORA = "https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/"

RULES = (
    Rule(
        "blue_writer",
        "failed",
        "SELECT 'it is a reader', NULL WHERE pg_catalog.pg_is_in_recovery()",
        "blue's host leads to the writer",
        "blue's host must lead to the writer",
        "give the cluster endpoint as the option host of blue",
        _AURORA + "Aurora.Overview.Endpoints.html",
    ),
    Rule(
        "blue_admin_rights",
        "failed",
        """
        SELECT 'membership of pg_create_subscription', format('GRANT pg_create_subscription TO %I', current_user)
         WHERE EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'pg_create_subscription' AND NOT
                       pg_catalog.pg_has_role(current_user, oid, 'USAGE'))
        UNION ALL
        SELECT 'membership of pg_signal_backend', format('GRANT pg_signal_backend TO %I', current_user)
         WHERE NOT pg_catalog.pg_has_role(current_user, 'pg_signal_backend', 'USAGE')
        UNION ALL
        SELECT 'EXECUTE on pg_replication_origin_advance',
               format('GRANT EXECUTE ON FUNCTION pg_catalog.pg_replication_origin_advance(text, pg_lsn) TO %I', current_user)
         WHERE NOT pg_catalog.has_function_privilege('pg_catalog.pg_replication_origin_advance(text, pg_lsn)', 'EXECUTE')
        """,
        "the admin may subscribe, position a subscription and end sessions",
        "the admin lacks rights that replication and the fence need",
        "on Aurora all of these come with membership of rds_superuser",
        _AURORA + "Appendix.PostgreSQL.CommonDBATasks.Roles.rds_superuser.html",
    ),
    Rule(
        "position_function",
        "warning",
        """
        SELECT 'aurora_volume_logical_start_lsn() is missing', NULL
         WHERE pg_catalog.to_regprocedure('aurora_volume_logical_start_lsn()') IS NULL
        """,
        "a clone of blue can tell its position",
        "a clone of blue cannot tell its position",
        "upgrade the minor version to one that has the function, or give pg_logical_subscription the option position",
        _AURORA + "aurora_volume_logical_start_lsn.html",
    ),
    Rule(
        "databases_left_behind",
        "warning",
        """
        SELECT format('%I (%s)', d.datname, CASE WHEN d.datistemplate THEN 'a template'
                      WHEN NOT d.datallowconn THEN 'no connections allowed' ELSE 'not among the chosen ones' END), NULL
          FROM pg_catalog.pg_database d
         WHERE d.datname <> ALL (:chosen_databases) AND d.datname NOT IN ('template0', 'template1', 'rdsadmin')
           AND d.datname <> :control_database
         ORDER BY 1
        """,
        "every database is replicated",
        "databases are not replicated: on green they stay as they were cloned, what is written to them later is not there",
        "name them in the option databases, or leave that out, when they matter",
        _MANUAL + "logical-replication-restrictions.html",
    ),
    Rule(
        "other_slots",
        "warning",
        """
        SELECT format('%s (%s, %s, %s, keeps %s)', s.slot_name, coalesce(s.plugin, 'physical'),
                      coalesce('database ' || s.database, 'no database'), CASE WHEN s.active THEN 'active' ELSE 'inactive' END,
                      coalesce(pg_catalog.pg_size_pretty(pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(),
                               s.restart_lsn)), 'nothing')),
               CASE WHEN s.wal_status = 'lost' THEN format('SELECT pg_drop_replication_slot(%L)', s.slot_name) END
          FROM pg_catalog.pg_replication_slots s
         WHERE s.slot_name !~ :deployment_slots AND NOT s.temporary AND NOT pg_catalog.pg_is_in_recovery()
         ORDER BY 1
        """,
        "blue has no slots of others",
        "others (a subscriber, Debezium, DMS, a zero-ETL integration) read from slots on blue, which the clone has copies of and "
        "loses",
        "they go on reading from blue; to move them, make their slots on green with pg_create_logical_replication_slot before "
        "it opens, and point them there",
        _MANUAL + "logicaldecoding-explanation.html",
    ),
    Rule(
        "slot_retention",
        "warning",
        """
        SELECT name || ' = ' || setting || coalesce(unit, ''), NULL FROM pg_catalog.pg_settings
         WHERE (name = 'max_slot_wal_keep_size' AND setting <> '-1')
            OR (name = 'idle_replication_slot_timeout' AND setting <> '0')
         ORDER BY 1
        """,
        "a slot keeps its log until it is read",
        "the server throws away the log that a slot needs, after a size or a time: green, which reads nothing while it is "
        "cloned and upgraded, could not follow any more",
        "set max_slot_wal_keep_size to -1 and idle_replication_slot_timeout to 0 in the DB cluster parameter group, or make sure "
        "that they suffice",
        _MANUAL + "runtime-config-replication.html",
    ),
    Rule(
        "worker_timeouts",
        "warning",
        """
        SELECT format('%s%s for %s%s', o.name, '=' || o.value, coalesce('role ' || quote_ident(r.rolname), 'every role'),
                      coalesce(' in database ' || quote_ident(d.datname), '')),
               CASE WHEN r.rolname IS NULL THEN format('ALTER DATABASE %I RESET %I', d.datname, o.name)
                    ELSE format('ALTER ROLE %I%s RESET %I', r.rolname, coalesce(' IN DATABASE ' || quote_ident(d.datname), ''),
                                o.name) END
          FROM pg_catalog.pg_db_role_setting s
          CROSS JOIN LATERAL (SELECT split_part(c, '=', 1) AS name, substr(c, strpos(c, '=') + 1) AS value
                                FROM unnest(s.setconfig) c) o
          LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.setrole
         WHERE o.name IN ('lock_timeout', 'transaction_timeout') AND o.value !~ '^0'
           AND (r.rolname IS NULL OR r.rolname = current_user)
           AND (d.datname IS NULL OR d.datname = ANY (:chosen_databases))
        UNION ALL
        SELECT name || '=' || reset_val || ' for every role', NULL FROM pg_catalog.pg_settings
         WHERE name IN ('lock_timeout', 'transaction_timeout') AND source = 'configuration file' AND setting <> '0'
         ORDER BY 1
        """,
        "no timeout ends what replication applies",
        "timeouts hold for the workers that apply changes too, as the admin in its databases: one that waits for a lock, or "
        "applies a large transaction, is stopped by them, and replication with it",
        "until the deployment is over; what is set for every role, in the parameter group",
        _MANUAL + "runtime-config-client.html",
    ),
    Rule(
        "foreign_clients",
        "warning",
        """
        SELECT format('%s from %s in %I', a.usename, coalesce(host(a.client_addr), 'the server itself'), a.datname), NULL
          FROM pg_catalog.pg_stat_activity a
         WHERE a.application_name = 'postgres_fdw' AND a.datname = ANY (:chosen_databases) ORDER BY 1
        """,
        "no other server reads or writes here now through postgres_fdw",
        "other servers are connected through postgres_fdw, and go on to reach blue after the switchover",
        "point their foreign servers (ALTER SERVER .. OPTIONS (SET host ..)) at the gate, or at green after the switchover",
        _MANUAL + "postgres-fdw.html",
    ),
    Rule(
        "tablespaces",
        "warning",
        "SELECT format('%I', spcname), NULL FROM pg_catalog.pg_tablespace WHERE oid >= 16384 ORDER BY 1",
        "no tablespace of its own",
        "tablespaces were made, which Aurora accepts and has no storage of its own for",
        "ALTER TABLE .. SET TABLESPACE pg_default moves a table; what is in one is cloned and replicated all the same",
        _MANUAL + "manage-ag-tablespaces.html",
    ),
    Rule(
        "zero_etl",
        "warning",
        """
        SELECT 'aurora.enhanced_logical_replication is on', NULL
         WHERE pg_catalog.current_setting('aurora.enhanced_logical_replication', true) IN ('1', 'on', 'true')
        """,
        "no zero-ETL integration reads from blue",
        "zero-ETL integrations read from blue and do not follow to green",
        "make the integration anew with green as its source after the switchover",
        _AURORA + "zero-etl.html",
    ),
)

# Those that pg_upgrade refuses.
UPGRADE_RULES = (
    Rule(
        "upgrade_databases",
        "failed",
        """
        SELECT format('%I', d.datname), CASE WHEN d.datconnlimit = -2 THEN format('DROP DATABASE %I', d.datname)
                    ELSE format('ALTER DATABASE %I ALLOW_CONNECTIONS true', d.datname) END
          FROM pg_catalog.pg_database d
         WHERE d.datname <> 'template0' AND (NOT d.datallowconn OR d.datconnlimit = -2) ORDER BY 1
        """,
        "every database can be connected to",
        "an upgrade refuses databases that nobody can connect to",
        "",
        _MANUAL + "pgupgrade.html",
        upgrade=(1000, 0),
    ),
)
