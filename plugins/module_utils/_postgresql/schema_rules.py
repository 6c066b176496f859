# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Guardrails about what the databases hold: each a pure function of what the catalogs say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .._core.checks import Check, failed, ok, warning
from .catalog import DatabaseFacts, ServerFacts, TableName
from .publication import Publication
from .server_rules import some

_LARGE_TABLE = 100_000  # rows; without an index every replicated UPDATE reads the whole table
_DOCS = "https://www.postgresql.org/docs/current/"
_LOGICAL = _DOCS + "logical-replication-restrictions.html"


def database_owners(server: ServerFacts, found: Sequence[DatabaseFacts]) -> Check:
    """The admin may publish, subscribe and close every database."""
    check_id = f"{server.side}_database_owners"
    foreign = [one.database for one in found if not one.database.mine]
    if not foreign:
        return ok(check_id, f"{server.user} has the owner's rights on every database of {server.side}")
    grants = sorted({_grant(database.owner, server.user) for database in foreign})
    return failed(
        check_id,
        f"{server.user} must have the owner's rights on every replicated database of {server.side}, but has not on "
        + some(f"{database.name} (owner {database.owner})" for database in foreign),
        some(grants) + ", or name the databases to replicate in the option databases",
    )


def table_owners(server: ServerFacts, found: Sequence[DatabaseFacts]) -> Check:
    """The apply worker, which acts as each table's owner, may become every owner."""
    check_id = f"{server.side}_table_owners"
    tables = [(one.database.name, table) for one in found for table in one.tables if not table.settable]
    if not tables:
        return ok(check_id, f"{server.user} can SET ROLE to the owner of every table on {server.side}")
    grants = sorted({_grant(table.owner, server.user) for _database, table in tables})
    return failed(
        check_id,
        f"replication applies changes as each table's owner, but on {server.side} {server.user} cannot SET ROLE to the owners "
        "of " + some(f"{database}: {table.label} (owner {table.owner})" for database, table in tables),
        some(grants),
        _DOCS + "logical-replication-security.html",
    )


def replica_identity(found: Sequence[DatabaseFacts]) -> Check:
    """Every table says which row an UPDATE or DELETE means; otherwise they fail on blue as soon as it is published."""
    bare = [
        f"{one.database.name}: {table.label}"
        for one in found
        for table in one.tables
        if table.logged and not table.identified
    ]
    if not bare:
        return ok("replica_identity", "every table has a replica identity")
    return failed(
        "replica_identity",
        "every table needs a replica identity, because UPDATE and DELETE would fail on blue without it, but there is none on "
        + some(bare),
        "give the table a primary key, or ALTER TABLE .. REPLICA IDENTITY USING INDEX .. or FULL",
        _DOCS + "logical-replication-publication.html",
    )


def slow_identity(found: Sequence[DatabaseFacts]) -> Check:
    """No large table is replicated by comparing whole rows."""
    slow = [
        f"{one.database.name}: {table.label} ({table.estimated_rows} rows)"
        for one in found
        for table in one.tables
        if table.full and table.estimated_rows > _LARGE_TABLE
    ]
    if not slow:
        return ok("slow_replica_identity", "no large table has REPLICA IDENTITY FULL")
    return warning(
        "slow_replica_identity",
        f"green finds each changed row of these tables by its whole content: {some(slow)}",
        "ALTER TABLE .. REPLICA IDENTITY USING INDEX .., or make sure that a B-tree index narrows the search",
    )


def row_security(side: str, found: Sequence[DatabaseFacts]) -> Check:
    """No table forces row-level security on its owner, as whom changes are applied."""
    forced = [f"{one.database.name}: {t.label}" for one in found for t in one.tables if t.forced_rls]
    if not forced:
        return ok(f"{side}_row_security", f"no table on {side} forces row-level security on its owner")
    return failed(
        f"{side}_row_security",
        f"replication cannot apply to tables that force row-level security on their owner, but {side} has {some(forced)}",
        "ALTER TABLE .. NO FORCE ROW LEVEL SECURITY until the deployment is over",
        _DOCS + "logical-replication-security.html",
    )


def triggers(side: str, found: Sequence[DatabaseFacts]) -> Check:
    """No trigger fires while changes are applied: it would act twice, and fail on a database closed for writers."""
    firing = [f"{one.database.name}: {name}" for one in found for name in one.always_triggers]
    if not firing:
        return ok(f"{side}_triggers", f"no trigger on {side} fires during replication")
    return failed(
        f"{side}_triggers",
        f"triggers on {side} that are ENABLE ALWAYS or REPLICA would fire for replicated changes: {some(firing)}",
        "ALTER TABLE .. ENABLE TRIGGER .. (fires for clients only) or DISABLE TRIGGER",
        _DOCS + "sql-altertable.html",
    )


def unlogged_tables(found: Sequence[DatabaseFacts]) -> Check:
    """No table keeps its rows outside the log."""
    names = [f"{one.database.name}: {table.label}" for one in found for table in one.tables if not table.logged]
    if not names:
        return ok("unlogged_tables", "no unlogged table")
    return warning(
        "unlogged_tables",
        f"unlogged tables are empty on green and stay so: {some(names)}",
        "ALTER TABLE .. SET LOGGED before cloning, when the rows matter",
        _LOGICAL,
    )


def large_objects(found: Sequence[DatabaseFacts]) -> Check:
    """No large objects, which replication does not carry."""
    held = [f"{one.database.name} ({one.large_objects})" for one in found if one.large_objects]
    if not held:
        return ok("large_objects", "no large object")
    return warning(
        "large_objects",
        f"large objects made or changed after the clone do not reach green: {some(held)}",
        "move them to bytea columns, or do not write any until after the switchover",
        _LOGICAL,
    )


def materialized_views(found: Sequence[DatabaseFacts]) -> Check:
    """No materialized view, which is as old as the clone on green."""
    names = [f"{one.database.name}: {name}" for one in found for name in one.materialized_views]
    if not names:
        return ok("materialized_views", "no materialized view")
    return warning(
        "materialized_views",
        f"materialized views on green hold what they held when it was cloned: {some(names)}",
        "REFRESH MATERIALIZED VIEW on green after the switchover",
        _LOGICAL,
    )


def tables_in_step(
    database: str,
    published: set[TableName],
    subscribed: set[TableName],
    source: Mapping[TableName, Mapping[str, str]],
    target: Mapping[TableName, Mapping[str, str]],
) -> Check:
    """Every published table is applied and looks the same on both sides; a table made later is skipped without a word."""
    skipped = sorted(".".join(table) for table in published - subscribed)
    differ = sorted(".".join(table) for table in published & subscribed if source.get(table) != target.get(table))
    check_id = f"tables_in_step_{database}"
    if skipped:
        return failed(
            check_id,
            f"every published table of database {database} must be applied, but these were made after replication began and "
            f"are skipped: {some(skipped)}",
            "drop them if they are not needed; else the deployment has to be made anew",
            _LOGICAL,
        )
    if differ:
        return failed(
            check_id,
            f"the columns of a replicated table must be the same on both sides, but differ in database {database}: {some(differ)}",
            "make the same change on the other side",
            _LOGICAL,
        )
    return ok(check_id, f"{len(published)} tables of database {database} are replicated and have the same columns")


def sequences_in_step(database: str, source: set[TableName], target: set[TableName]) -> Check:
    """Every sequence exists on both sides."""
    missing = sorted(".".join(name) for name in source - target)
    check_id = f"sequences_in_step_{database}"
    if not missing:
        return ok(check_id, f"{len(source)} sequences of database {database} exist on both sides")
    return failed(
        check_id,
        f"every sequence must exist on both sides, but in database {database} these are missing: {some(missing)}",
        "CREATE SEQUENCE on the other side too",
    )


def large_objects_in_step(database: str, source: int, target: int) -> Check:
    """Both sides hold as many large objects."""
    check_id = f"large_objects_in_step_{database}"
    if source == target:
        return ok(check_id, f"{source} large objects in database {database} on both sides")
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
        return ok(check_id, f"the publication {publication.name} of database {database} publishes everything")
    found = "is missing" if publication is None else "does not publish all tables and all kinds of change"
    return failed(
        check_id,
        f"database {database} on {side} must publish every table, but its publication {found}",
        "the deployment has to be made anew",
    )


def _grant(owner: str, user: str) -> str:
    owner, user = (name.replace('"', '""') for name in (owner, user))
    return f'GRANT "{owner}" TO "{user}"'
