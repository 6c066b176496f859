# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Guardrails about what a database of blue contains: each a query, see :mod:`.rule`."""

from __future__ import annotations

from .._core.rule import Rule

_MANUAL = "https://www.postgresql.org/docs/current/"
_AURORA = "https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/"

RULES = (
    Rule(
        "service_tables",
        "warning",
        """
        SELECT format('%I.%I (extension %s, owner %s)', n.nspname, c.relname, e.extname,
                      pg_catalog.pg_get_userbyid(c.relowner)), NULL
          FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
          JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid
               AND d.deptype = 'e' AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
          JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
         WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND c.oid >= 16384
           AND NOT pg_catalog.pg_has_role(current_user, c.relowner, 'MEMBER')
         ORDER BY 1
        """,
        "no table of an extension belongs to a role out of reach",
        "tables of extensions belong to a role that replication cannot act as, so that a change to one of them stops it",
        "write nothing to them until the deployment is over; for pg_cron set cron.log_run to 0 in blue's DB cluster parameter "
        "group and leave its jobs as they are",
        _MANUAL + "logical-replication-security.html",
    ),
    Rule(
        "event_triggers",
        "warning",
        """
        SELECT format('%I (%s, %s)', t.evtname, t.evtevent,
                      CASE t.evtenabled WHEN 'A' THEN 'always' WHEN 'R' THEN 'replica' ELSE 'enabled' END),
               format('ALTER EVENT TRIGGER %I DISABLE', t.evtname)
          FROM pg_catalog.pg_event_trigger t
         WHERE t.evtenabled <> 'D' AND pg_catalog.pg_get_userbyid(t.evtowner) <> 'rdsadmin'
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                            WHERE d.classid = 'pg_catalog.pg_event_trigger'::pg_catalog.regclass AND d.objid = t.oid
                              AND d.deptype = 'e')
         ORDER BY 1
        """,
        "no event trigger",
        "event triggers fire for the deployment's own statements (schema, publication, subscription) on both sides, for schema "
        "changes on green, and one on login for every session there",
        "until the deployment is over, if they write or refuse anything",
        _MANUAL + "event-trigger-definition.html",
    ),
    Rule(
        "foreign_tables",
        "warning",
        """
        SELECT format('%I.%I (server %I)', n.nspname, c.relname, s.srvname), NULL
          FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace JOIN pg_catalog.pg_foreign_table f ON f.ftrelid = c.oid
          JOIN pg_catalog.pg_foreign_server s ON s.oid = f.ftserver ORDER BY 1
        """,
        "no foreign table",
        "foreign tables are not replicated: green's lead to the same rows of the same remote server as blue's",
        "let that server accept green, and write through them on the side that serves only",
        _MANUAL + "logical-replication-restrictions.html",
    ),
    Rule(
        "foreign_servers_to_blue",
        "warning",
        """
        SELECT format('%I', s.srvname),
               format('ALTER SERVER %I OPTIONS (SET host %L)', s.srvname, 'the endpoint of the side that serves')
          FROM pg_catalog.pg_foreign_server s, unnest(s.srvoptions) o
         WHERE o = 'host=' || :side_host ORDER BY 1
        """,
        "no foreign server leads to blue itself",
        "foreign servers lead to blue itself, and green's copies of them still do after the switchover",
        "on green, after the switchover",
        _MANUAL + "sql-alterserver.html",
    ),
    Rule(
        "unlogged_sequences",
        "warning",
        """
        SELECT format('%I.%I', n.nspname, c.relname), format('ALTER SEQUENCE %I.%I SET LOGGED', n.nspname, c.relname)
          FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'S' AND c.relpersistence = 'u' ORDER BY 1
        """,
        "no unlogged sequence",
        "unlogged sequences begin anew on green",
        "before cloning, when their values must not come twice",
        _MANUAL + "sql-altersequence.html",
        since=150000,
    ),
    Rule(
        "sequence_privileges",
        "failed",
        """
        SELECT format('%I.%I (owner %s)', n.nspname, c.relname, pg_catalog.pg_get_userbyid(c.relowner)),
               format('GRANT SELECT, UPDATE ON SEQUENCE %I.%I TO %I', n.nspname, c.relname, current_user)
          FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind = 'S' AND c.relpersistence = 'p' AND c.oid >= 16384 AND NOT (
               pg_catalog.has_sequence_privilege(c.oid, 'SELECT') AND pg_catalog.has_sequence_privilege(c.oid, 'UPDATE')
               AND pg_catalog.has_schema_privilege(n.oid, 'USAGE'))
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e'
                              AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass)
         ORDER BY 1
        """,
        "every sequence can be read and set",
        "sequences cannot be carried over without SELECT and UPDATE on them and USAGE on their schema, so that green would hand "
        "out values a second time",
        "as their owner",
        _MANUAL + "ddl-priv.html",
    ),
    Rule(
        "scheduled_jobs",
        "warning",
        """
        SELECT format('job %s (%s)', j.jobid, j.schedule), format('SELECT cron.alter_job(%s, active := false)', j.jobid)
          FROM cron.job j WHERE j.active
        UNION ALL SELECT 'pg_cron, of which ' || current_user || ' sees its own jobs only', NULL ORDER BY 1
        """,
        "no pg_cron",
        "green's pg_cron would run the same jobs as blue's, a second time",
        "or keep green's from launching until the switchover: parameter_overrides with shared_preload_libraries without pg_cron, or "
        "with cron.launch_active_jobs 0 where the parameter group family has it",
        "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/PostgreSQL_pg_cron.html",
        needs="cron.job",
    ),
    Rule(
        "pglogical_subscriptions",
        "failed",
        """
        SELECT sub_name, format('SELECT pglogical.drop_subscription(%L)', sub_name) FROM pglogical.subscription ORDER BY 1
        """,
        "no subscription of pglogical",
        "blue must not be a subscriber, because its clone would consume the same slots, but pglogical has subscriptions",
        "or move them to another cluster, before cloning",
        _AURORA + "Appendix.PostgreSQL.CommonDBATasks.pglogical.html",
        needs="pglogical.subscription",
    ),
    Rule(
        "schema_changing_extensions",
        "warning",
        """
        SELECT extname, NULL FROM pg_catalog.pg_extension
         WHERE extname IN ('pg_partman', 'pg_repack', 'pg_squeeze', 'timescaledb') ORDER BY 1
        """,
        "no extension that changes tables by itself",
        "extensions make, swap or drop tables by themselves, which is not replicated",
        "make the partitions that will be needed now, and run neither their maintenance nor a repack until the deployment is over",
        _MANUAL + "logical-replication-restrictions.html",
    ),
    Rule(
        "invalid_indexes",
        "warning",
        """
        SELECT format('%I.%I', n.nspname, c.relname), format('DROP INDEX CONCURRENTLY %I.%I', n.nspname, c.relname)
          FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid AND c.relkind = 'i'
          JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE NOT i.indisvalid AND c.oid >= 16384 ORDER BY 1
        """,
        "no invalid index",
        "indexes are invalid, being built or left by a failed CREATE INDEX CONCURRENTLY, and will be so on green",
        "unless it is being built: then wait",
        _MANUAL + "sql-createindex.html",
    ),
    Rule(
        "reserved_schema",
        "failed",
        """
        SELECT format('%I.%I', n.nspname, c.relname), format('ALTER %s %I.%I SET SCHEMA public',
                      CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE'
                                     WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END, n.nspname, c.relname)
          FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = :our_schema AND c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
           AND NOT (c.relname = 'marker' AND c.relkind = 'r' AND ARRAY['deployment_id', 'token']::name[] = ARRAY(
                    SELECT a.attname FROM pg_catalog.pg_attribute a
                     WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum))
         ORDER BY 1
        """,
        "the schema of the marker table is free",
        "the schema of the marker table must hold nothing else, but does",
        "",
        _MANUAL + "sql-altertable.html",
    ),
    Rule(
        "other_publications",
        "warning",
        """
        SELECT format('%I%s', p.pubname, CASE WHEN p.puballtables THEN ' (all tables)' ELSE '' END), NULL
          FROM pg_catalog.pg_publication p WHERE p.pubname !~ '^bg_' ORDER BY 1
        """,
        "blue publishes to nobody else",
        "blue is a publisher already; its subscribers stay with blue and its slots when green takes over",
        "after the switchover make their slots on green before it gets new writes of theirs, and point them there",
        _MANUAL + "logical-replication.html",
    ),
)

# What only green can tell, once it runs the version that it will serve with.
GREEN_RULES = (
    Rule(
        "green_scheduled_jobs",
        "failed",
        """
        SELECT format('job %s (%s)', j.jobid, j.schedule), format('SELECT cron.alter_job(%s, active := false)', j.jobid)
          FROM cron.job j
         WHERE j.active AND pg_catalog.current_setting('cron.database_name', true) = pg_catalog.current_database()
           AND coalesce(pg_catalog.current_setting('cron.launch_active_jobs', true), 'on') NOT IN ('off', '0', 'false', 'no')
         ORDER BY j.jobid
        """,
        "green's pg_cron launches nothing",
        "green's pg_cron runs the same jobs as blue's, a second time",
        "or, in green's DB cluster parameter group, take pg_cron out of shared_preload_libraries, or set cron.launch_active_jobs to 0 "
        "where the family has it; after the switchover the other way round",
        "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/PostgreSQL_pg_cron.html",
        needs="cron.job",
    ),
    Rule(
        "green_extensions",
        "warning",
        """
        SELECT format('%s %s (%s)', e.extname, e.extversion, coalesce('default ' || a.default_version, 'not offered here')),
               CASE WHEN a.default_version IS NOT NULL THEN format('ALTER EXTENSION %I UPDATE', e.extname) END
          FROM pg_catalog.pg_extension e LEFT JOIN pg_catalog.pg_available_extensions a ON a.name = e.extname
         WHERE a.default_version IS DISTINCT FROM e.extversion ORDER BY 1
        """,
        "every extension on green has the version that this server offers",
        "extensions on green are not of the version that this server offers",
        "on green, over a session with default_transaction_read_only off",
        _AURORA + "USER_UpgradeDBInstance.Upgrading.ExtensionUpgrades.html",
    ),
    Rule(
        "green_collations",
        "warning",
        """
        SELECT format('database %I (%s, now %s)', d.datname, d.datcollversion,
                      pg_catalog.pg_database_collation_actual_version(d.oid)),
               format('REINDEX DATABASE %I; ALTER DATABASE %1$I REFRESH COLLATION VERSION', d.datname)
          FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()
           AND d.datcollversion <> pg_catalog.pg_database_collation_actual_version(d.oid)
        UNION ALL
        SELECT format('%I.%I (%s, now %s)', n.nspname, c.collname, c.collversion,
                      pg_catalog.pg_collation_actual_version(c.oid)),
               coalesce((SELECT string_agg(format('REINDEX INDEX %s', x.indexrelid::pg_catalog.regclass), '; ')
                           FROM pg_catalog.pg_index x WHERE c.oid = ANY (x.indcollation)) || '; ', '')
               || format('ALTER COLLATION %I.%I REFRESH VERSION', n.nspname, c.collname)
          FROM pg_catalog.pg_collation c JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace
         WHERE c.collversion <> pg_catalog.pg_collation_actual_version(c.oid)
           AND EXISTS (SELECT FROM pg_catalog.pg_depend d
                        WHERE d.refclassid = 'pg_catalog.pg_collation'::pg_catalog.regclass AND d.refobjid = c.oid)
         ORDER BY 1
        """,
        "green sorts as blue did when its indexes were built",
        "indexes on green were built with another version of a collation: they may miss rows and admit duplicates",
        "on green, over a session with default_transaction_read_only off, before the switchover",
        _MANUAL + "sql-altercollation.html",
    ),
)
