-- Copyright (c) 2026 bluegreen.aws contributors
-- GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
-- What every database of a volume needs; run by rdsadmin, safe to run again.

-- The position of a clone. The file is in the data directory; servers.py writes it.
CREATE OR REPLACE FUNCTION pg_catalog.aurora_volume_logical_start_lsn() RETURNS pg_catalog.pg_lsn
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
    AS $$ SELECT pg_catalog.btrim(pg_catalog.pg_read_file('aurora_volume_logical_start_lsn'), E' \n')::pg_catalog.pg_lsn $$;

CREATE OR REPLACE FUNCTION pg_catalog.aurora_version() RETURNS pg_catalog.text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
    AS $$ SELECT pg_catalog.btrim(pg_catalog.pg_read_file('aurora_version'), E' \n') $$;

-- What the AWS wrappers ask. The files are in the data directory of each server; the lab writes them.
CREATE OR REPLACE FUNCTION pg_catalog.get_blue_green_fast_switchover_metadata(client_version pg_catalog.text)
    RETURNS TABLE (id pg_catalog.text, endpoint pg_catalog.text, port pg_catalog.int4, role pg_catalog.text,
                   status pg_catalog.text, version pg_catalog.text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
    AS $$ SELECT * FROM json_to_recordset(coalesce(pg_read_file('rds_topology.json', true), '[]')::json)
                     AS r(id text, endpoint text, port int4, role text, status text, version text) $$;

CREATE OR REPLACE FUNCTION pg_catalog.aurora_db_instance_identifier() RETURNS pg_catalog.text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
    AS $$ SELECT pg_read_file('rds_identity.json', true)::json ->> 'instance' $$;

CREATE OR REPLACE FUNCTION pg_catalog.aurora_replica_status()
    RETURNS TABLE (server_id pg_catalog.text, session_id pg_catalog.text, cpu pg_catalog.float4,
                   replica_lag_in_msec pg_catalog.float8, last_update_timestamp pg_catalog.timestamptz)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
    AS $$ SELECT m.server_id, m.session_id, 1.0::float4, CASE m.session_id WHEN 'MASTER_SESSION_ID' THEN NULL ELSE 1.0 END,
                 now()
            FROM json_to_recordset(coalesce(pg_read_file('rds_identity.json', true)::json -> 'members', '[]'))
                 AS m(server_id text, session_id text) $$;

GRANT EXECUTE ON FUNCTION
    pg_catalog.pg_replication_origin_advance(text, pg_lsn),
    pg_catalog.pg_replication_origin_create(text),
    pg_catalog.pg_replication_origin_drop(text),
    pg_catalog.pg_replication_origin_oid(text),
    pg_catalog.pg_replication_origin_progress(text, boolean),
    pg_catalog.pg_replication_origin_session_is_setup(),
    pg_catalog.pg_replication_origin_session_progress(boolean),
    pg_catalog.pg_replication_origin_session_reset(),
    pg_catalog.pg_replication_origin_session_setup(text),
    pg_catalog.pg_replication_origin_xact_reset(),
    pg_catalog.pg_replication_origin_xact_setup(pg_lsn, timestamptz),
    pg_catalog.pg_show_replication_origin_status()
    TO rds_superuser;

-- CREATE PUBLICATION .. FOR ALL TABLES by a member of rds_superuser.
--
-- Three event triggers, fired in the order of their names. The first one runs as the caller and notes who that is.
-- The second one, as rdsadmin, makes the caller a superuser; the lock on pg_authid keeps two sessions, and any
-- ALTER ROLE, from updating the same row at once. The third one takes it back. A command that fails takes its
-- transaction, and with it the attribute, away.
CREATE SCHEMA IF NOT EXISTS rdsadmin AUTHORIZATION rdsadmin;
REVOKE ALL ON SCHEMA rdsadmin FROM PUBLIC;

CREATE OR REPLACE FUNCTION rdsadmin.note_caller() RETURNS event_trigger
    LANGUAGE plpgsql SET search_path = pg_catalog
    AS $$
BEGIN
    PERFORM set_config('rdsadmin.caller', current_user, true);
END $$;

CREATE OR REPLACE FUNCTION rdsadmin.raise_caller() RETURNS event_trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
    AS $$
DECLARE
    caller constant text := current_setting('rdsadmin.caller');
BEGIN
    PERFORM set_config('rdsadmin.raised', '', true);
    IF current_query() !~* '\m(for\s+all\s+tables|tables\s+in\s+schema)\M'
       OR (SELECT rolsuper FROM pg_authid WHERE rolname = caller)
       OR NOT pg_has_role(caller, 'rds_superuser', 'MEMBER') THEN
        RETURN;
    END IF;
    LOCK TABLE pg_authid IN SHARE ROW EXCLUSIVE MODE;
    EXECUTE format('ALTER ROLE %I SUPERUSER', caller);
    PERFORM set_config('rdsadmin.raised', caller, true);
END $$;

CREATE OR REPLACE FUNCTION rdsadmin.lower_caller() RETURNS event_trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
    AS $$
DECLARE
    caller constant text := current_setting('rdsadmin.raised', true);
BEGIN
    IF caller <> '' THEN
        EXECUTE format('ALTER ROLE %I NOSUPERUSER', caller);
        PERFORM set_config('rdsadmin.raised', '', true);
    END IF;
END $$;

REVOKE ALL ON FUNCTION rdsadmin.note_caller(), rdsadmin.raise_caller(), rdsadmin.lower_caller() FROM PUBLIC;

DROP EVENT TRIGGER IF EXISTS rdsadmin_publication_1;
DROP EVENT TRIGGER IF EXISTS rdsadmin_publication_2;
DROP EVENT TRIGGER IF EXISTS rdsadmin_publication_3;
CREATE EVENT TRIGGER rdsadmin_publication_1 ON ddl_command_start
    WHEN TAG IN ('CREATE PUBLICATION', 'ALTER PUBLICATION') EXECUTE FUNCTION rdsadmin.note_caller();
CREATE EVENT TRIGGER rdsadmin_publication_2 ON ddl_command_start
    WHEN TAG IN ('CREATE PUBLICATION', 'ALTER PUBLICATION') EXECUTE FUNCTION rdsadmin.raise_caller();
CREATE EVENT TRIGGER rdsadmin_publication_3 ON ddl_command_end
    WHEN TAG IN ('CREATE PUBLICATION', 'ALTER PUBLICATION') EXECUTE FUNCTION rdsadmin.lower_caller();
