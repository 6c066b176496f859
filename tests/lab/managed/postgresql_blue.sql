-- Copyright (c) 2026 bluegreen.aws contributors
-- GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
-- What the service has in every database of a blue environment; run by rdsadmin, safe to run again.

-- A row that is written when all writes have ended: when green has it, it has everything.
CREATE TABLE IF NOT EXISTS rdsadmin.blue_green_marker (id int PRIMARY KEY, value text NOT NULL);
-- What clients did that the replication does not carry.
CREATE TABLE IF NOT EXISTS rdsadmin.blue_green_changes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tag text NOT NULL, object text);

CREATE OR REPLACE FUNCTION rdsadmin.note_blue_green_change() RETURNS event_trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
    AS $$
BEGIN
    IF session_user = 'rdsadmin' THEN
        RETURN;
    ELSIF tg_event = 'sql_drop' THEN
        INSERT INTO rdsadmin.blue_green_changes (tag, object)
        SELECT tg_tag, object_identity FROM pg_event_trigger_dropped_objects()
         WHERE original AND NOT is_temporary AND object_type NOT IN ('default acl', 'publication', 'publication relation',
                                                       'publication namespace', 'subscription', 'statistics object');
    ELSE
        INSERT INTO rdsadmin.blue_green_changes (tag, object)
        SELECT command_tag, object_identity FROM pg_event_trigger_ddl_commands()
         WHERE schema_name IS DISTINCT FROM 'pg_temp'
           AND command_tag NOT IN ('GRANT', 'REVOKE', 'ALTER DEFAULT PRIVILEGES', 'COMMENT', 'SECURITY LABEL',
                                   'CREATE PUBLICATION', 'ALTER PUBLICATION', 'CREATE SUBSCRIPTION',
                                   'ALTER SUBSCRIPTION', 'CREATE STATISTICS', 'ALTER STATISTICS', 'REINDEX');
    END IF;
END $$;
REVOKE ALL ON FUNCTION rdsadmin.note_blue_green_change() FROM PUBLIC;

DROP EVENT TRIGGER IF EXISTS rdsadmin_blue_green_1;
DROP EVENT TRIGGER IF EXISTS rdsadmin_blue_green_2;
DELETE FROM rdsadmin.blue_green_changes;
CREATE EVENT TRIGGER rdsadmin_blue_green_1 ON ddl_command_end EXECUTE FUNCTION rdsadmin.note_blue_green_change();
CREATE EVENT TRIGGER rdsadmin_blue_green_2 ON sql_drop EXECUTE FUNCTION rdsadmin.note_blue_green_change();
