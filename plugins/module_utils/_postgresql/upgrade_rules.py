# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Guardrails about what pg_upgrade refuses, seen in a database of blue before it is cloned: each a query, see :mod:`.rule`.

The catalogs' questions are those of pg_upgrade itself (src/bin/pg_upgrade/check.c).
"""

from __future__ import annotations

from .._core.rule import Rule

_MANUAL = "https://www.postgresql.org/docs/current/pgupgrade.html"
_AURORA = (
    "https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/USER_UpgradeDBInstance.PostgreSQL.MajorVersion.html"
)
_LATER, _ANY = 1000, 0  # below every major there is; from every target on


# Stored columns whose type is one of $types or made of one: domains, arrays, composites, ranges.
_COLUMNS = """
    WITH RECURSIVE found (oid) AS (
        $types
        UNION
        SELECT oid FROM (
            WITH known AS (SELECT oid FROM found)
            SELECT t.oid FROM pg_catalog.pg_type t JOIN known k ON t.typbasetype = k.oid WHERE t.typtype = 'd'
            UNION ALL
            SELECT t.oid FROM pg_catalog.pg_type t JOIN known k ON t.typelem = k.oid WHERE t.typtype = 'b'
            UNION ALL
            SELECT r.rngtypid FROM pg_catalog.pg_range r JOIN known k ON r.rngsubtype = k.oid
            UNION ALL
            SELECT c.reltype FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
              JOIN known k ON k.oid = a.atttypid WHERE c.reltype <> 0 AND a.attnum > 0 AND NOT a.attisdropped
        ) made
    )
    SELECT format('%I.%I.%I', n.nspname, c.relname, a.attname),
           CASE c.relkind WHEN 'm' THEN format('DROP MATERIALIZED VIEW %I.%I', n.nspname, c.relname)
                WHEN 'i' THEN format('DROP INDEX %I.%I', n.nspname, c.relname)
                ELSE format('ALTER TABLE %I.%I ALTER COLUMN %I TYPE text', n.nspname, c.relname, a.attname) END
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE a.atttypid IN (SELECT oid FROM found) AND c.relkind IN ('r', 'm', 'i')
       AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1
    """


def _columns(types: str) -> str:
    return _COLUMNS.replace("$types", types)


RULES = (
    Rule(
        "upgrade_reg_columns",
        "failed",
        _columns(
            "SELECT oid FROM pg_catalog.pg_type WHERE typnamespace = 'pg_catalog'::pg_catalog.regnamespace AND typname IN"
            " ('regcollation', 'regconfig', 'regdictionary', 'regnamespace', 'regoper', 'regoperator', 'regproc',"
            " 'regprocedure')"
        ),
        "no column has a reg type that an upgrade refuses",
        "an upgrade refuses columns with a reg type whose numbers it does not keep",
        "and back, if need be, on green after the upgrade",
        _MANUAL,
        upgrade=(_LATER, _ANY),
    ),
    Rule(
        "upgrade_composite_columns",
        "failed",
        _columns(
            "SELECT t.oid FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_class c ON c.oid = t.typrelid"
            " WHERE t.typtype = 'c' AND (t.oid < 16384 OR c.relnamespace = 'information_schema'::pg_catalog.regnamespace)"
        ),
        "no column has the row type of a catalog",
        "an upgrade refuses columns with the row type of a system catalog or view",
        "",
        _MANUAL,
        upgrade=(_LATER, _ANY),
    ),
    Rule(
        "upgrade_aclitem_columns",
        "failed",
        _columns("SELECT 'pg_catalog.aclitem'::pg_catalog.regtype::pg_catalog.oid"),
        "no column of the type aclitem that an upgrade refuses",
        "an upgrade from 15 to 16 or later refuses columns of the type aclitem",
        "and back on green after the upgrade",
        _MANUAL,
        upgrade=(16, 16),
    ),
    Rule(
        "upgrade_not_null",
        "failed",
        """
        SELECT format('%I.%I.%I', n.nspname, c.relname, a.attname),
               format('ALTER TABLE %I.%I ALTER COLUMN %I SET NOT NULL', n.nspname, c.relname, a.attname)
          FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
          JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
          JOIN pg_catalog.pg_attribute a ON a.attrelid = i.inhrelid AND a.attnum > 0 AND NOT a.attisdropped
          JOIN pg_catalog.pg_attribute p ON p.attrelid = i.inhparent AND p.attname = a.attname AND p.attnum > 0
         WHERE p.attnotnull AND NOT a.attnotnull ORDER BY 1
        """,
        "children are NOT NULL where their parents are",
        "an upgrade to 18 or later refuses tables that allow nulls where the table they inherit from does not",
        "",
        _MANUAL,
        upgrade=(18, 18),
    ),
    Rule(
        "upgrade_statistics_views",
        "warning",
        """
        SELECT DISTINCT format('%I.%I (on %s)', n.nspname, v.relname, s.relname),
               format('DROP %s %I.%I', CASE v.relkind WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'VIEW' END, n.nspname, v.relname)
          FROM pg_catalog.pg_depend d
          JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid AND d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass
          JOIN pg_catalog.pg_class v ON v.oid = r.ev_class JOIN pg_catalog.pg_namespace n ON n.oid = v.relnamespace
          JOIN pg_catalog.pg_class s ON s.oid = d.refobjid AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
         WHERE v.oid >= 16384 AND s.oid < 16384 AND s.relkind = 'v'
           AND s.relnamespace = 'pg_catalog'::pg_catalog.regnamespace
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.objid = v.oid AND e.deptype = 'e'
                              AND e.classid = 'pg_catalog.pg_class'::pg_catalog.regclass)
         ORDER BY 1
        """,
        "no view reads the statistics views, whose columns change",
        "views read system views, and an upgrade fails when a column that they name is gone in the new version",
        "on green before the upgrade, and CREATE it again after it",
        _AURORA,
        upgrade=(_LATER, _ANY),
    ),
    Rule(
        "upgrade_removed_extensions",
        "failed",
        """
        SELECT extname || ' ' || extversion, format('DROP EXTENSION %I', extname) FROM pg_catalog.pg_extension
         WHERE extname IN ('adminpack', 'old_snapshot') ORDER BY 1
        """,
        "no extension that is gone in the new version",
        "an upgrade to 17 or later refuses extensions that are gone there",
        "",
        "https://www.postgresql.org/docs/release/17.0/",
        upgrade=(17, 17),
    ),
    Rule(
        "upgrade_recreated_extensions",
        "warning",
        """
        SELECT extname || ' ' || extversion, format('DROP EXTENSION %I', extname) FROM pg_catalog.pg_extension
         WHERE extname IN ('pg_repack', 'pgrouting', 'chkpass', 'tsearch2') ORDER BY 1
        """,
        "no extension that has to be dropped for an upgrade",
        "extensions cannot be carried through an upgrade, but are dropped before and made anew after it",
        "on green before the upgrade, and CREATE EXTENSION after it",
        _AURORA,
        upgrade=(_LATER, _ANY),
    ),
    Rule(
        "outdated_extensions",
        "warning",
        """
        SELECT format('%s %s (%s)', e.extname, e.extversion, a.default_version), format('ALTER EXTENSION %I UPDATE', e.extname)
          FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_available_extensions a ON a.name = e.extname
         WHERE a.default_version <> e.extversion ORDER BY 1
        """,
        "every extension has the version that the server offers",
        "extensions are older than what the server offers, and an upgrade may refuse them (PostGIS does)",
        "before cloning",
        "https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/USER_UpgradeDBInstance.Upgrading.ExtensionUpgrades.html",
        upgrade=(_LATER, _ANY),
    ),
    Rule(
        "generated_full_identity",
        "failed",
        """
        SELECT format('%I.%I', n.nspname, c.relname),
               format('ALTER TABLE %I.%I REPLICA IDENTITY %s', n.nspname, c.relname, coalesce('USING INDEX ' || (
                   SELECT format('%I', x.relname) FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
                    WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL
                      AND i.indexprs IS NULL AND NOT EXISTS (
                          SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid
                             AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
                             AND (NOT a.attnotnull OR a.attgenerated <> ''))
                    ORDER BY i.indisprimary DESC, x.relname LIMIT 1), 'DEFAULT'))
          FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND c.relreplident = 'f' AND c.oid >= 16384 AND EXISTS (
               SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attgenerated <> '' AND NOT a.attisdropped)
         ORDER BY 1
        """,
        "no table with generated columns is identified by whole rows",
        "from version 18 on, UPDATE and DELETE fail on a published table with REPLICA IDENTITY FULL and generated columns: on "
        "green it would stop replication, and clients after the switchover",
        "it needs a unique index over columns that are NOT NULL and not generated, DEFAULT takes its primary key",
        "https://www.postgresql.org/docs/current/logical-replication-gencols.html",
        upgrade=(18, 18),
    ),
)
