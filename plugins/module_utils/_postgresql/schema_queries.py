# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The statements that read the schema: schema, table, name and facets of each object of a kind."""

from __future__ import annotations

from string import Template

_VISIBLE = "n.nspname !~ '^pg_' AND n.nspname <> ALL(%(hidden)s)"
_OWN = Template(
    "NOT EXISTS (SELECT FROM pg_catalog.pg_depend e"
    " WHERE e.classid = 'pg_catalog.$catalog'::pg_catalog.regclass AND e.objid = $alias.oid AND e.deptype = 'e')"
)
_RELATION = Template(
    "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND "
    "$visible AND c.relpersistence <> 't' AND $own_class"
)
# Who but the owner may do what, null when nothing was ever granted or revoked.
_GRANTS = Template("""
    (SELECT json_agg(json_build_array(coalesce(r.rolname, ''), g.privilege_type, g.is_grantable)
                     ORDER BY r.rolname, g.privilege_type)
       FROM pg_catalog.aclexplode($acl) g LEFT JOIN pg_catalog.pg_roles r ON r.oid = g.grantee
      WHERE g.grantee <> $owner)
""")
_OWNED_BY = """
    (SELECT json_build_array(q.nspname, u.relname, o.attname)
       FROM pg_catalog.pg_depend d
       JOIN pg_catalog.pg_class u ON u.oid = d.refobjid JOIN pg_catalog.pg_namespace q ON q.oid = u.relnamespace
       JOIN pg_catalog.pg_attribute o ON o.attrelid = d.refobjid AND o.attnum = d.refobjsubid
      WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')
        AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjsubid > 0)
"""
# What the rows that were there before a column have in it, for each table that holds rows: its name, whether the server
# keeps a value for them (the DEFAULT of ADD COLUMN, pg_attribute.attmissingval), that value, and the table's file.
_BEFORE = """
    (SELECT json_agg(json_build_array(m.nspname || '.' || l.relname, b.atthasmissing, (b.attmissingval::text::text[])[1],
                                      pg_catalog.pg_relation_filenode(l.oid)::bigint))
       FROM pg_catalog.pg_class l JOIN pg_catalog.pg_namespace m ON m.oid = l.relnamespace
       JOIN pg_catalog.pg_attribute b ON b.attrelid = l.oid AND b.attname = a.attname
      WHERE l.relkind = 'r'
        AND l.oid IN (SELECT c.oid UNION ALL SELECT t.relid FROM pg_catalog.pg_partition_tree(c.oid) t WHERE t.isleaf))
"""

_TEMPLATES = {
    "schema": """
        SELECT '', '', n.nspname, json_build_object(
                   '_owner', pg_catalog.pg_get_userbyid(n.nspowner), '_grants', $grants_nsp)
          FROM pg_catalog.pg_namespace n WHERE $visible AND $own_namespace
    """,
    "extension": """
        SELECT '', '', x.extname, json_build_object('version', x.extversion) FROM pg_catalog.pg_extension x
    """,
    "type": """
        SELECT n.nspname, '', t.typname, json_build_object(
                   'type', t.typtype,
                   '_owner', pg_catalog.pg_get_userbyid(t.typowner),
                   'labels', (SELECT json_agg(l.enumlabel ORDER BY l.enumsortorder)
                                FROM pg_catalog.pg_enum l WHERE l.enumtypid = t.oid),
                   'attributes', (SELECT json_agg(pg_catalog.quote_ident(a.attname) || ' '
                                                  || pg_catalog.format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum)
                                    FROM pg_catalog.pg_attribute a
                                   WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped),
                   'base', CASE t.typtype WHEN 'd' THEN pg_catalog.format_type(t.typbasetype, t.typtypmod) END,
                   'not_null', CASE t.typtype WHEN 'd' THEN t.typnotnull END,
                   'default', t.typdefault,
                   'subtype', (SELECT pg_catalog.format_type(r.rngsubtype, NULL)
                                 FROM pg_catalog.pg_range r WHERE r.rngtypid = t.oid),
                   'checks', (SELECT json_agg(k.conname || ' ' || pg_catalog.pg_get_constraintdef(k.oid) ORDER BY k.conname)
                                FROM pg_catalog.pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c'))
          FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
         WHERE $visible AND $own_type
           AND (t.typtype IN ('e', 'd', 'r')
                OR t.typtype = 'c' AND (SELECT c.relkind FROM pg_catalog.pg_class c WHERE c.oid = t.typrelid) = 'c')
    """,
    "sequence": """
        SELECT n.nspname, '', c.relname, json_build_object(
                   'type', pg_catalog.format_type(s.seqtypid, NULL), 'start', s.seqstart, 'increment', s.seqincrement,
                   'minimum', s.seqmin, 'maximum', s.seqmax, 'cache', s.seqcache, 'cycle', s.seqcycle,
                   'owned_by', $owned_by, '_owner', pg_catalog.pg_get_userbyid(c.relowner),
                   '_grants', $grants_rel, '_oid', c.oid::bigint)
          $relation JOIN pg_catalog.pg_sequence s ON s.seqrelid = c.oid
    """,
    "table": """
        SELECT n.nspname, '', c.relname, json_build_object(
                   'kind', c.relkind, 'persistence', c.relpersistence,
                   'partition_key', CASE c.relkind WHEN 'p' THEN pg_catalog.pg_get_partkeydef(c.oid) END,
                   'parent', (SELECT pg_catalog.string_agg(i.inhparent::pg_catalog.regclass::text, ', ' ORDER BY i.inhseqno)
                                FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid),
                   'bound', pg_catalog.pg_get_expr(c.relpartbound, c.oid),
                   'replica_identity', c.relreplident,
                   'identity_index', (SELECT y.relname
                                        FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class y ON y.oid = x.indexrelid
                                       WHERE x.indrelid = c.oid AND x.indisreplident),
                   'row_security', c.relrowsecurity, 'forced_row_security', c.relforcerowsecurity,
                   '_owner', pg_catalog.pg_get_userbyid(c.relowner),
                   '_grants', $grants_rel,
                   '_oid', c.oid::bigint, '_identity', c.oid::bigint,
                   '_filenode', pg_catalog.pg_relation_filenode(c.oid)::bigint)
          $relation WHERE c.relkind IN ('r', 'p', 'f')
    """,
    "column": """
        SELECT n.nspname, c.relname, a.attname, json_build_object(
                   'type', pg_catalog.format_type(a.atttypid, a.atttypmod),
                   'not_null', a.attnotnull,
                   'default', CASE a.attgenerated WHEN '' THEN pg_catalog.pg_get_expr(d.adbin, d.adrelid) END,
                   'generated', CASE WHEN a.attgenerated <> '' THEN
                                     a.attgenerated::text || ' ' || pg_catalog.pg_get_expr(d.adbin, d.adrelid) END,
                   'identity', a.attidentity,
                   'collation', (SELECT l.collnamespace::pg_catalog.regnamespace::text || '.'
                                        || pg_catalog.quote_ident(l.collname)
                                   FROM pg_catalog.pg_collation l
                                  WHERE l.oid = a.attcollation AND a.attcollation <> t.typcollation),
                   '_identity', a.attnum,
                   '_before', $before)
          $relation
          JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
          JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
          LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
         WHERE c.relkind IN ('r', 'p', 'f') AND NOT c.relispartition AND a.attislocal
    """,
    "constraint": """
        SELECT n.nspname, c.relname, k.conname,
               json_build_object('definition', pg_catalog.pg_get_constraintdef(k.oid), '_type', k.contype)
          $relation
          JOIN pg_catalog.pg_constraint k ON k.conrelid = c.oid AND k.contype IN ('c', 'f', 'p', 'u', 'x')
                                         AND k.conparentid = 0 AND k.conislocal
    """,
    "index": """
        SELECT n.nspname, t.relname, c.relname,
               json_build_object('definition', pg_catalog.pg_get_indexdef(c.oid), 'valid', i.indisvalid,
                                 '_unique', i.indisunique)
          $relation
          JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
         WHERE NOT c.relispartition AND NOT EXISTS (
                   SELECT FROM pg_catalog.pg_constraint k WHERE k.conindid = c.oid AND k.contype IN ('p', 'u', 'x'))
    """,
    "statistics": """
        SELECT n.nspname, '', s.stxname, json_build_object('definition', pg_catalog.pg_get_statisticsobjdef(s.oid))
          FROM pg_catalog.pg_statistic_ext s JOIN pg_catalog.pg_namespace n ON n.oid = s.stxnamespace
         WHERE $visible AND $own_statistic_ext
    """,
    "view": """
        SELECT n.nspname, '', c.relname, json_build_object(
                   'definition', pg_catalog.pg_get_viewdef(c.oid), 'options', pg_catalog.array_to_string(c.reloptions, ', '),
                   '_owner', pg_catalog.pg_get_userbyid(c.relowner),
                   '_grants', $grants_rel, '_oid', c.oid::bigint)
          $relation WHERE c.relkind = 'v'
    """,
    "materialized view": """
        SELECT n.nspname, '', c.relname, json_build_object('definition', pg_catalog.pg_get_viewdef(c.oid),
                                                           '_owner', pg_catalog.pg_get_userbyid(c.relowner),
                                                           '_grants', $grants_rel,
                                                           '_oid', c.oid::bigint)
          $relation WHERE c.relkind = 'm'
    """,
    "function": """
        SELECT n.nspname, '', p.proname || '(' || pg_catalog.pg_get_function_identity_arguments(p.oid) || ')',
               json_build_object(
                   'definition', CASE WHEN p.prokind <> 'a' THEN pg_catalog.pg_get_functiondef(p.oid) END,
                   'aggregate', (SELECT json_build_array(g.aggtransfn::text, g.aggfinalfn::text, g.agginitval,
                                                         pg_catalog.format_type(g.aggtranstype, NULL))
                                   FROM pg_catalog.pg_aggregate g WHERE g.aggfnoid = p.oid),
                   '_owner', pg_catalog.pg_get_userbyid(p.proowner),
                   '_grants', $grants_pro, '_oid', p.oid::bigint,
                   '_atomic', p.prosqlbody IS NOT NULL,
                   '_procedure', p.prokind = 'p')
          FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
         WHERE $visible AND $own_proc
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend i  -- what a range type brings
                            WHERE i.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND i.objid = p.oid
                              AND i.deptype = 'i')
    """,
    "trigger": """
        SELECT n.nspname, c.relname, g.tgname,
               json_build_object('definition', pg_catalog.pg_get_triggerdef(g.oid), 'enabled', g.tgenabled)
          $relation JOIN pg_catalog.pg_trigger g ON g.tgrelid = c.oid AND NOT g.tgisinternal AND g.tgparentid = 0
    """,
    "rule": """
        SELECT n.nspname, c.relname, w.rulename,
               json_build_object('definition', pg_catalog.pg_get_ruledef(w.oid), 'enabled', w.ev_enabled)
          $relation JOIN pg_catalog.pg_rewrite w ON w.ev_class = c.oid AND w.rulename <> '_RETURN'
    """,
    "policy": """
        SELECT n.nspname, c.relname, p.polname, json_build_object(
                   'command', p.polcmd, 'permissive', p.polpermissive,
                   'roles', (SELECT json_agg(coalesce(r.rolname, 'public') ORDER BY r.rolname)
                               FROM pg_catalog.unnest(p.polroles) AS o(oid)
                               LEFT JOIN pg_catalog.pg_roles r ON r.oid = o.oid),
                   'using', pg_catalog.pg_get_expr(p.polqual, p.polrelid),
                   'check', pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid))
          $relation JOIN pg_catalog.pg_policy p ON p.polrelid = c.oid
    """,
    "event trigger": """
        SELECT '', '', v.evtname, json_build_object('event', v.evtevent, 'function', v.evtfoid::pg_catalog.regproc::text,
                                                    'enabled', v.evtenabled, 'tags', v.evttags)
          FROM pg_catalog.pg_event_trigger v
         WHERE $own_event_trigger AND pg_catalog.pg_get_userbyid(v.evtowner) <> 'rdsadmin'
    """,
}

_OWNERS = {"namespace": "n", "type": "t", "class": "c", "statistic_ext": "s", "proc": "p", "event_trigger": "v"}
_WORDS = {
    "visible": _VISIBLE,
    "owned_by": _OWNED_BY,
    "before": _BEFORE,
    "grants_nsp": _GRANTS.substitute(acl="n.nspacl", owner="n.nspowner"),
    "grants_rel": _GRANTS.substitute(acl="c.relacl", owner="c.relowner"),
    "grants_pro": _GRANTS.substitute(acl="p.proacl", owner="p.proowner"),
    **{f"own_{name}": _OWN.substitute(catalog=f"pg_{name}", alias=alias) for name, alias in _OWNERS.items()},
}
_WORDS["relation"] = _RELATION.substitute(_WORDS)

QUERIES = {kind: Template(text).substitute(_WORDS) for kind, text in _TEMPLATES.items()}
"""By kind of object; the parameter ``hidden`` is the list of schemas to leave out."""
