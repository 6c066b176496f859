-- Copyright (c) 2026 bluegreen.aws contributors
-- GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
-- SPDX-License-Identifier: GPL-3.0-or-later
\echo Use "CREATE EXTENSION rds_tools" to load this file. \quit

-- Nobody but the extension's owner may use them until the owner says so, as on RDS. The files are the server's own, in
-- its data directory; the lab writes them.
CREATE FUNCTION rds_tools.show_topology(client_version pg_catalog.text DEFAULT 'none')
    RETURNS TABLE (id pg_catalog.text, endpoint pg_catalog.text, port pg_catalog.int4, role pg_catalog.text,
                   status pg_catalog.text, version pg_catalog.text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
    AS $$ SELECT * FROM json_to_recordset(coalesce(pg_read_file('rds_topology.json', true), '[]')::json)
                     AS r(id text, endpoint text, port int4, role text, status text, version text) $$;

CREATE FUNCTION rds_tools.dbi_resource_id() RETURNS pg_catalog.text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog
    AS $$ SELECT pg_read_file('rds_identity.json', true)::json ->> 'resource_id' $$;

REVOKE ALL ON FUNCTION rds_tools.show_topology(pg_catalog.text), rds_tools.dbi_resource_id() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION rds_tools.show_topology(pg_catalog.text), rds_tools.dbi_resource_id()
    TO @extowner@ WITH GRANT OPTION;
