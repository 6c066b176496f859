# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Guardrails about what the databases hold: each a pure function of what the catalogs say."""

from __future__ import annotations

from collections.abc import Sequence

from .._core.checks import Check, failed, ok, warning
from .._core.differences import NONE_DECLARED, ExpectedDifferences
from .._core.rule import Finding, mend, some
from .catalog import DatabaseFacts, ServerFacts, Table, TableName
from .identity import Policy, left_over
from .publication import Publication
from .rule import quoted

_LARGE_TABLE = 100_000  # rows; without an index every replicated UPDATE reads the whole table
_DOCS = "https://www.postgresql.org/docs/current/"
_LOGICAL = _DOCS + "logical-replication-restrictions.html"


def database_owners(server: ServerFacts, found: Sequence[DatabaseFacts]) -> Check:
    """The admin may publish, subscribe and close every database."""
    check_id = f"{server.side}_database_owners"
    docs = _DOCS + "sql-createpublication.html"
    foreign = [one.database for one in found if not one.database.mine]
    if not foreign:
        return ok(check_id, f"{server.user} has the owner's rights on every database of {server.side}", docs)
    grants = sorted({_grant(database.owner, server.user) for database in foreign})
    return failed(
        check_id,
        f"{server.user} must have the owner's rights on every replicated database of {server.side}, but has not on "
        + some(f"{database.name} (owner {database.owner})" for database in foreign),
        some(grants) + ", or name the databases to replicate in the option databases",
        docs,
    )


def table_owners(server: ServerFacts, found: Sequence[DatabaseFacts]) -> Check:
    """The apply worker, which acts as each table's owner, may become every owner; those of extensions are warned of elsewhere."""
    check_id = f"{server.side}_table_owners"
    docs = _DOCS + "logical-replication-security.html"
    tables = [(one.database.name, t) for one in found for t in one.tables if not t.settable and not t.service]
    if not tables:
        return ok(check_id, f"{server.user} can SET ROLE to the owner of every table on {server.side}", docs)
    grants = sorted({_grant(table.owner, server.user) for _database, table in tables})
    return failed(
        check_id,
        f"replication applies changes as each table's owner, but on {server.side} {server.user} cannot SET ROLE to the owners "
        "of " + some(f"{database}: {table.label} (owner {table.owner})" for database, table in tables),
        some(grants),
        docs,
    )


def replica_identity(found: Sequence[DatabaseFacts], policy: Policy = "refuse") -> Check:
    """Every table says which row an UPDATE or DELETE means; otherwise they fail on blue as soon as it is published."""
    docs = _DOCS + "logical-replication-publication.html"
    every = sum(len(one.bare) for one in found)
    left = [(one.database.name, table) for one in found for table in left_over(one.bare, policy)]
    if not left:
        given = f", once {every} tables have been given one, as replica_identity={policy} says" if every else ""
        return ok("replica_identity", f"every table has a replica identity{given}", docs)
    return failed(
        "replica_identity",
        "every table needs a replica identity, because UPDATE and DELETE would fail on blue without it, but there is none on "
        + some(f"{database}: {table.label}{_why(table.reason)}" for database, table in left),
        mend(
            [Finding(database, table.label, table.statement(), _BARE_QUERY) for database, table in left],
            "a primary key of a table's own is best; an index is better than FULL, which compares whole rows"
            + ("" if policy == "full" else "; the option replica_identity does it for the time of the deployment"),
        ),
        docs,
    )


def slow_identity(found: Sequence[DatabaseFacts]) -> Check:
    """No large table is replicated by comparing whole rows."""
    docs = _DOCS + "logical-replication-publication.html"
    slow = [(one.database.name, t) for one in found for t in one.tables if t.full and t.estimated_rows > _LARGE_TABLE]
    if not slow:
        return ok("slow_replica_identity", "no large table has REPLICA IDENTITY FULL", docs)
    return warning(
        "slow_replica_identity",
        "green finds each changed row of these tables by its whole content: "
        + some(f"{database}: {table.label} ({table.estimated_rows} rows)" for database, table in slow),
        mend(
            [_finding(database, t, "ALTER TABLE {} REPLICA IDENTITY USING INDEX ..") for database, t in slow],
            "or make sure that a B-tree index narrows the search",
        ),
        docs,
    )


def row_security(side: str, found: Sequence[DatabaseFacts]) -> Check:
    """No table forces row-level security on its owner, as whom changes are applied."""
    docs = _DOCS + "logical-replication-security.html"
    forced = [(one.database.name, table) for one in found for table in one.tables if table.forced_rls]
    if not forced:
        return ok(f"{side}_row_security", f"no table on {side} forces row-level security on its owner", docs)
    return failed(
        f"{side}_row_security",
        f"replication cannot apply to tables that force row-level security on their owner, but {side} has {_tables(forced)}",
        mend(
            [_finding(database, table, "ALTER TABLE {} NO FORCE ROW LEVEL SECURITY") for database, table in forced],
            "until the deployment is over",
        ),
        docs,
    )


def triggers(side: str, found: Sequence[DatabaseFacts]) -> Check:
    """No trigger fires while changes are applied: it would act twice, and fail on a database closed for writers."""
    docs = _DOCS + "sql-altertable.html"
    firing = [(one.database.name, trigger) for one in found for trigger in one.always_triggers]
    if not firing:
        return ok(f"{side}_triggers", f"no trigger on {side} fires during replication", docs)
    return failed(
        f"{side}_triggers",
        f"triggers on {side} that are ENABLE ALWAYS or REPLICA would fire for replicated changes: "
        + some(f"{database}: {trigger.label}" for database, trigger in firing),
        mend(
            [
                Finding(
                    database,
                    one.label,
                    f"ALTER TABLE {quoted(one.schema, one.table)} ENABLE TRIGGER {quoted(one.name)}",
                    "SELECT tgrelid::regclass, tgname FROM pg_trigger WHERE tgenabled IN ('A', 'R') AND NOT tgisinternal",
                )
                for database, one in firing
            ],
            "it then fires for clients only; DISABLE TRIGGER when it is for replicas",
        ),
        docs,
    )


def unlogged_tables(found: Sequence[DatabaseFacts]) -> Check:
    """No table keeps its rows outside the log."""
    unlogged = [(one.database.name, table) for one in found for table in one.tables if not table.logged]
    if not unlogged:
        return ok("unlogged_tables", "no unlogged table", _LOGICAL)
    return warning(
        "unlogged_tables",
        f"unlogged tables are empty on green and stay so: {_tables(unlogged)}",
        mend(
            [_finding(database, table, "ALTER TABLE {} SET LOGGED") for database, table in unlogged],
            "before cloning, when the rows matter; else leave them out of the verification (exclude)",
        ),
        _LOGICAL,
    )


def large_objects(found: Sequence[DatabaseFacts]) -> Check:
    """No large objects, which replication does not carry."""
    held = [f"{one.database.name} ({one.large_objects})" for one in found if one.large_objects]
    if not held:
        return ok("large_objects", "no large object", _LOGICAL)
    return warning(
        "large_objects",
        f"large objects made or changed after the clone do not reach green: {some(held)}",
        "move them to bytea columns, or do not write any until after the switchover",
        _LOGICAL,
    )


def materialized_views(found: Sequence[DatabaseFacts]) -> Check:
    """No materialized view, which is as old as the clone on green."""
    views = [(one.database.name, view) for one in found for view in one.materialized_views]
    docs = _DOCS + "sql-refreshmaterializedview.html"
    if not views:
        return ok("materialized_views", "no materialized view", docs)
    return warning(
        "materialized_views",
        "materialized views on green hold what they held when it was cloned: "
        + some(f"{database}: {'.'.join(view)}" for database, view in views),
        mend(
            [
                Finding(
                    database,
                    ".".join(view),
                    f"REFRESH MATERIALIZED VIEW {quoted(*view)}",
                    "SELECT schemaname, matviewname FROM pg_matviews",
                )
                for database, view in views
            ],
            "on green after the switchover",
        ),
        docs,
    )


def tables_in_step(
    database: str,
    published: set[TableName],
    subscribed: set[TableName],
    expected: ExpectedDifferences = NONE_DECLARED,
) -> Check:
    """Every published table is applied; a table made later is skipped without a word until the subscription is refreshed."""
    late = sorted(".".join(table) for table in published - subscribed)
    skipped = [label for label in late if not expected.whole(database, label)]
    check_id = f"tables_in_step_{database}"
    if skipped:
        return failed(
            check_id,
            f"every published table of database {database} must be applied, but these were made after replication began and "
            f"are skipped: {some(skipped)}",
            "pg_logical_subscription with state=running and drift=apply, which copies them; or drop them if they are not needed",
            _LOGICAL,
        )
    return ok(check_id, f"{len(published)} tables of database {database} are replicated")


def large_objects_in_step(
    database: str, source: int, target: int, expected: ExpectedDifferences = NONE_DECLARED
) -> Check:
    """Both sides hold as many large objects; declared as the table ``pg_catalog.pg_largeobject``."""
    check_id = f"large_objects_in_step_{database}"
    if source == target or expected.whole(database, "pg_catalog.pg_largeobject"):
        held = f"{source} large objects in database {database} on the one side, {target} on the other"
        return ok(check_id, held, _LOGICAL)
    return failed(
        check_id,
        f"large objects are not replicated, and database {database} holds {source} on the one side and {target} on the other",
        "copy what is missing and delete what is too much, for instance with lo_export and lo_import",
        _LOGICAL,
    )


def publication_complete(database: str, side: str, publication: Publication | None) -> Check:
    """The publication is there and publishes everything."""
    check_id = f"publication_{side}_{database}"
    if publication is not None and publication.complete:
        return ok(
            check_id,
            f"the publication {publication.name} of database {database} publishes everything",
            _DOCS + "sql-createpublication.html",
        )
    found = "is missing" if publication is None else "does not publish all tables and all kinds of change"
    return failed(
        check_id,
        f"database {database} on {side} must publish every table, but its publication {found}",
        "the deployment has to be made anew",
        _DOCS + "sql-createpublication.html",
    )


_BARE_QUERY = (
    "SELECT oid::regclass FROM pg_class c WHERE relkind = 'r' AND relpersistence = 'p' AND oid >= 16384 AND (relreplident = 'n' OR "
    "relreplident <> 'f' AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = c.oid AND indimmediate AND "
    "CASE relreplident WHEN 'd' THEN indisprimary ELSE indisreplident END))"
)


def _why(reason: str) -> str:
    return "" if reason == "it has none" else f" ({reason})"


def _tables(tables: Sequence[tuple[str, Table]]) -> str:
    return some(f"{database}: {table.label}" for database, table in tables)


def _finding(database: str, table: Table, statement: str) -> Finding:
    query = "SELECT oid::regclass FROM pg_class WHERE relkind = 'r' AND oid >= 16384"
    return Finding(database, table.label, statement.format(quoted(table.schema, table.name)), query)


def _grant(owner: str, user: str) -> str:
    return f"GRANT {quoted(owner)} TO {quoted(user)}"
