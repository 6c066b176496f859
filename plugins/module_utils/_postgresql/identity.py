# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What identifies a row to logical replication: tables that lack it, what they can be given, and how that is taken back."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

try:
    from psycopg2 import errors, sql
except ImportError:  # connection.require_driver() says so
    pass

from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError
from .._core.journal import Journal
from .._core.names import Names
from .._core.rule import some
from .._core.waiting import Deadline
from . import marker
from .connection import connected, execute, rows, transaction, value
from .rule import quoted

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

Policy = Literal["refuse", "full", "index"]

_FIRST_USER_OID = 16384
_LOCK = 0.25  # seconds that clients may queue behind our wait for a lock, at a time
_PAUSE = 0.5  # seconds for that queue to drain

# Tables whose UPDATE or DELETE would fail on the publisher or stop the subscriber. An index identifies rows when it is valid,
# immediate (a deferrable key is none: RelationGetIndexList) and without generated columns (they are not sent). FULL compares
# whole rows, so every column's type needs an equality operator, and from version 18 on no column may be generated.
_BARE = """
WITH RECURSIVE types (relation, type) AS (
    SELECT a.attrelid, a.atttypid FROM pg_catalog.pg_attribute a
     WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attrelid >= %(first)s
    UNION
    SELECT r.relation, CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.typelem END
      FROM types r JOIN pg_catalog.pg_type t ON t.oid = r.type
     WHERE t.typtype = 'd' OR (t.typcategory = 'A' AND t.typelem <> 0)
), incomparable (relation) AS (
    SELECT DISTINCT r.relation FROM types r JOIN pg_catalog.pg_type t ON t.oid = r.type
     WHERE t.typtype = 'b' AND t.typcategory <> 'A' AND NOT EXISTS (
           SELECT FROM pg_catalog.pg_opclass o JOIN pg_catalog.pg_am m ON m.oid = o.opcmethod
            WHERE o.opcdefault AND m.amname IN ('btree', 'hash') AND (o.opcintype = t.oid OR o.opcintype IN (
                  SELECT k.casttarget FROM pg_catalog.pg_cast k
                   WHERE k.castsource = t.oid AND k.castmethod = 'b' AND k.castcontext = 'i')))
), keys AS NOT MATERIALIZED (
    SELECT i.indrelid AS relation, x.relname AS name, i.indisprimary, i.indisreplident, i.indimmediate, i.indnkeyatts,
           i.indisunique AND i.indisvalid AND i.indisready AND i.indpred IS NULL AND i.indexprs IS NULL AS sound,
           EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = i.indrelid AND a.attgenerated <> ''
                      AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])) AS generated,
           EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = i.indrelid AND NOT a.attnotnull
                      AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])) AS nullable
      FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
     WHERE i.indrelid >= %(first)s
), judged AS (
    SELECT c.oid, n.nspname, c.relname, c.relowner, c.relreplident,
           CASE c.relreplident
                WHEN 'n' THEN 'its replica identity is NOTHING'
                WHEN 'f' THEN CASE WHEN c.oid IN (SELECT relation FROM incomparable)
                                   THEN 'a column has a type without equality, which FULL needs'
                                   WHEN %(version)s >= 180000 AND EXISTS (
                                       SELECT FROM pg_catalog.pg_attribute a
                                        WHERE a.attrelid = c.oid AND a.attgenerated <> '' AND NOT a.attisdropped)
                                   THEN 'FULL does not go with its generated columns' END
                ELSE (SELECT CASE WHEN count(*) = 0 THEN 'it has none'
                                  WHEN NOT bool_or(k.indimmediate) THEN 'its key is deferrable'
                                  WHEN bool_or(k.generated) THEN 'its key has a generated column' END
                        FROM keys k WHERE k.relation = c.oid AND k.sound
                         AND CASE c.relreplident WHEN 'd' THEN k.indisprimary ELSE k.indisreplident END)
           END AS reason
      FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND c.oid >= %(first)s
)
SELECT j.nspname, j.relname, pg_catalog.pg_get_userbyid(j.relowner), j.reason,
       CASE WHEN j.relreplident <> 'i' THEN j.relreplident::text ELSE 'd' END,
       (SELECT k.name FROM keys k WHERE k.relation = j.oid AND k.sound AND k.indimmediate AND NOT k.generated AND NOT k.nullable
         ORDER BY k.indisprimary DESC, k.indnkeyatts, k.name LIMIT 1),
       j.oid NOT IN (SELECT relation FROM incomparable) AND NOT EXISTS (
           SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = j.oid AND a.attgenerated <> '' AND NOT a.attisdropped)
  FROM judged j WHERE j.reason IS NOT NULL ORDER BY 1, 2
"""
_WORDS = {"d": "DEFAULT", "n": "NOTHING", "f": "FULL"}


@dataclass(frozen=True)
class Bare:
    """A table whose rows replication cannot identify, and why.

    ``was``: its relreplident. ``index``: a unique index that would do, None when there is none. ``fullable``: FULL would do.
    """

    schema: str
    name: str
    owner: str
    reason: str
    was: str
    index: str | None
    fullable: bool

    @property
    def label(self) -> str:
        """The table as a person writes it."""
        return f"{self.schema}.{self.name}"

    def statement(self) -> str:
        """What mends it."""
        if self.index is not None:
            return f"ALTER TABLE {quoted(self.schema, self.name)} REPLICA IDENTITY USING INDEX {quoted(self.index)}"
        if self.fullable:
            return f"ALTER TABLE {quoted(self.schema, self.name)} REPLICA IDENTITY FULL"
        table = quoted(self.schema, self.name)
        return f"ALTER TABLE {table} ADD COLUMN replication_key bigint GENERATED BY DEFAULT AS IDENTITY UNIQUE"


@dataclass(frozen=True)
class Change:
    """A replica identity to give; ``index`` None: FULL."""

    table: Bare
    index: str | None

    @property
    def before(self) -> str:
        """What it is now, in words."""
        return _WORDS[self.table.was]

    @property
    def after(self) -> str:
        """What it becomes, in words."""
        return "FULL" if self.index is None else f"index {self.index}"


def bare_tables(conn: Connection) -> list[Bare]:
    """Every published table of the connection's database that lacks a usable replica identity."""
    known = {"first": _FIRST_USER_OID, "version": conn.info.server_version}
    return [Bare(*row) for row in rows(conn, _BARE, known)]


def changes(bare: Sequence[Bare], policy: Policy) -> list[Change]:
    """What the policy gives to which tables. Pure."""
    given: list[Change] = []
    for one in bare:
        if policy != "refuse" and one.index is not None:
            given.append(Change(one, one.index))
        elif policy == "full" and one.fullable:
            given.append(Change(one, None))
    return given


def left_over(bare: Sequence[Bare], policy: Policy) -> list[Bare]:
    """The tables that the policy does not mend. Pure."""
    mended = {change.table for change in changes(bare, policy)}
    return [one for one in bare if one not in mended]


def plan(endpoint: Endpoint, databases: Sequence[str], policy: Policy) -> dict[str, list[Change]]:
    """What every database lacks and the policy gives; databases without anything are left out."""
    found: dict[str, list[Change]] = {}
    for database in databases if policy != "refuse" else ():
        with connected(endpoint.at(database)) as conn:
            given = changes(bare_tables(conn), policy)
        if given:
            found[database] = given
    return found


def give(
    conn: Connection, names: Names, side: str, given: Sequence[Change], journal: Journal, *, timeout: float
) -> None:
    """Give the replica identities; each is noted in the same transaction, so that :func:`take_back` knows them all."""
    for change in given:
        what = f"set the replica identity of {change.table.label} in {conn.info.dbname} on {side} to {change.after}"
        note = {"was": change.table.was, "now": change.index}
        identity = _identity("FULL" if change.index is None else None, change.index)
        table = (change.table.schema, change.table.name)
        journal.act(what, partial(_alter, conn, names, table, identity, note, timeout))


def take_back(conn: Connection, names: Names, side: str, journal: Journal, *, timeout: float) -> None:
    """Give every table back what it had; one that has been given something else meanwhile, or is gone, is left as it is."""
    for (schema, table), note in noted(conn, names).items():
        current = rows(conn, _CURRENT, (schema, table))
        ours = bool(current) and current[0] == (("f", None) if note["now"] is None else ("i", note["now"]))
        label = f"{schema}.{table} in {conn.info.dbname} on {side}"
        if ours:
            before = _WORDS[str(note["was"])]
            what = f"set the replica identity of {label} back to {before}"
            identity = _identity(before, None)
            journal.act(what, partial(_alter, conn, names, (schema, table), identity, None, timeout))
        else:
            journal.act(f"forget the replica identity of {label}", partial(_note, conn, names, (schema, table), None))


_CURRENT = """
SELECT c.relreplident::text, (SELECT x.relname FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
                               WHERE i.indrelid = c.oid AND i.indisreplident)
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = %s AND c.relname = %s
"""


def noted(conn: Connection, names: Names) -> dict[tuple[str, str], Mapping[str, Any]]:
    """What this deployment has given to which table (``was``, ``now``) in the connection's database.

    It is kept in the comment of the marker table: that is in the clone, in the dump of an upgrade and in nobody's way, and,
    unlike a row, is not replicated to a side that may not have the table yet.
    """
    return {(schema, table): note for schema, table, note in _notes(conn, names).get(names.deployment_id, [])}


def _notes(conn: Connection, names: Names) -> dict[str, list[Any]]:
    if not marker.exists(conn, names):
        return {}
    comment = value(
        conn,
        "SELECT pg_catalog.obj_description(pg_catalog.to_regclass(%s), 'pg_class')",
        (f"{names.schema}.marker",),
    )
    return dict(json.loads(comment)) if comment else {}


def _note(conn: Connection, names: Names, table: tuple[str, str], note: Mapping[str, Any] | None) -> None:
    """Note what a table was given; None: forget it."""
    every = _notes(conn, names)
    mine = [one for one in every.pop(names.deployment_id, []) if (one[0], one[1]) != table]
    if note is not None:
        mine.append([*table, note])
    if mine:
        every[names.deployment_id] = mine
    text = sql.Literal(json.dumps(every) if every else None)
    execute(conn, sql.SQL("COMMENT ON TABLE {}.marker IS {}").format(sql.Identifier(names.schema), text))


def _identity(word: str | None, index: str | None) -> sql.Composable:
    if index is None:
        return sql.SQL(word or "DEFAULT")
    return sql.SQL("USING INDEX {}").format(sql.Identifier(index))


def _alter(
    conn: Connection,
    names: Names,
    table: tuple[str, str],
    identity: sql.Composable,
    note: Mapping[str, Any] | None,
    timeout: float,
) -> None:
    """ALTER TABLE waits for everyone who uses the table, and everyone who comes later waits behind it: so it waits but shortly,
    and again. Raises :class:`BlueGreenError` after ``timeout`` seconds, naming who uses it."""
    statement = sql.SQL("ALTER TABLE {} REPLICA IDENTITY {}").format(sql.Identifier(*table), identity)
    deadline = Deadline(timeout)
    while True:
        try:
            with transaction(conn):
                execute(conn, "SELECT pg_catalog.set_config('lock_timeout', %s, true)", (f"{int(_LOCK * 1000)}ms",))
                _note(conn, names, table, note)
                owner = value(conn, _OWNER, table)
                execute(conn, sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(str(owner))))
                execute(conn, statement)
            return
        except errors.LockNotAvailable:
            if deadline.passed:
                raise BlueGreenError(
                    f"The replica identity of {table[0]}.{table[1]} in database {conn.info.dbname} should be changed, but the "
                    f"table was in use for {timeout:g} s, by {_users(conn, table)}; let them end, then run it again."
                ) from None
            time.sleep(min(_PAUSE, deadline.left))


_OWNER = """
SELECT pg_catalog.pg_get_userbyid(c.relowner)
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = %s AND c.relname = %s
"""


def _users(conn: Connection, table: tuple[str, str]) -> str:
    found = rows(
        conn,
        "SELECT DISTINCT a.pid, coalesce(a.usename, '?'), coalesce(a.state, a.backend_type)"
        " FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid"
        " JOIN pg_catalog.pg_class c ON c.oid = l.relation JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relname = %s AND l.granted AND l.database ="
        " (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) ORDER BY 1",
        table,
    )
    return some(f"process {pid} of {user} ({state})" for pid, user, state in found) or "someone who has just left"
