# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a server and its databases are: typed reads of the catalogs, nothing is decided here and nothing changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .._core.errors import BlueGreenError
from .._core.names import Names
from .connection import rows, value
from .identity import Bare, bare_tables

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

FIRST_USER_OID = 16384  # FirstNormalObjectId: below it are the catalogs and information_schema
_SERVICE_DATABASES = ("rdsadmin",)
_SETTINGS = (
    "wal_level",
    "rds.logical_replication",
    "max_replication_slots",
    "max_active_replication_origins",
    "max_wal_senders",
    "max_logical_replication_workers",
    "max_worker_processes",
    "synchronous_commit",
)

TableName = tuple[str, str]


@dataclass(frozen=True)
class Database:
    """A database that clients can connect to; ``mine``: the connection's user has its owner's rights."""

    name: str
    owner: str
    mine: bool


@dataclass(frozen=True)
class Table:
    """A user table that holds rows (a partition, not the partitioned table).

    ``full``: UPDATE and DELETE on it are replicated by comparing whole rows. ``settable``: the connection's user can SET ROLE to
    the owner, as an apply worker has to. ``service``: it came with an extension.
    """

    schema: str
    name: str
    owner: str
    settable: bool
    logged: bool
    full: bool
    estimated_rows: int
    forced_rls: bool
    service: bool = False

    @property
    def label(self) -> str:
        """The table as a person writes it."""
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True)
class Trigger:
    """A trigger that fires while changes are applied too."""

    schema: str
    table: str
    name: str

    @property
    def label(self) -> str:
        """The trigger as a person writes it."""
        return f"{self.schema}.{self.table} ({self.name})"


@dataclass(frozen=True)
class OpenTransaction:
    """A transaction that has written and is still open; ``seconds`` since it began."""

    pid: int
    user: str
    database: str
    seconds: float


@dataclass(frozen=True)
class Prepared:
    """A prepared transaction."""

    gid: str
    owner: str
    database: str


@dataclass(frozen=True)
class Override:
    """A role whose own default_transaction_read_only wins over the database's; ``database`` None: in every one."""

    role: str
    database: str | None
    value: str


@dataclass(frozen=True)
class ServerFacts:
    """One server. ``settings`` as pg_settings has them; the counts are of what is in use now."""

    side: str
    version: int
    user: str
    settings: Mapping[str, str]
    pending_restart: tuple[str, ...]
    slots_used: int
    origins_used: int
    senders_used: int
    workers_used: int
    open_transactions: tuple[OpenTransaction, ...]
    prepared: tuple[Prepared, ...]
    overrides: tuple[Override, ...]

    def number(self, setting: str) -> int:
        """A setting as a number, 0 when the server does not have it."""
        return int(self.settings.get(setting, "0"))


@dataclass(frozen=True)
class DatabaseFacts:
    """One database of a server. ``bare``: the tables that lack a replica identity."""

    database: Database
    tables: tuple[Table, ...]
    always_triggers: tuple[Trigger, ...]
    large_objects: int
    materialized_views: tuple[TableName, ...]
    bare: tuple[Bare, ...] = ()


def server_version(conn: Connection) -> int:
    """server_version_num, 160014 for 16.14."""
    return int(conn.info.server_version)


def databases(conn: Connection) -> list[Database]:
    """Every database that clients can connect to, without templates and the service's own."""
    found = rows(
        conn,
        "SELECT datname, pg_catalog.pg_get_userbyid(datdba), pg_catalog.pg_has_role(current_user, datdba, 'USAGE')"
        " FROM pg_catalog.pg_database WHERE datallowconn AND NOT datistemplate AND datname <> ALL(%s) ORDER BY datname",
        (list(_SERVICE_DATABASES),),
    )
    return [Database(*row) for row in found]


def list_databases(conn: Connection, names: Names) -> list[str]:
    """The databases to replicate when none are named: all but the control database."""
    return [database.name for database in databases(conn) if database.name != names.control_database]


def choose_databases(conn: Connection, names: Names, wanted: Sequence[str] | None) -> list[str]:
    """The databases to replicate: ``wanted``, or all of :func:`list_databases`; raises when one is not there."""
    there = list_databases(conn, names)
    if not wanted:
        return there
    missing = sorted(set(wanted) - set(there))
    if missing:
        raise BlueGreenError(
            f"The option databases names {', '.join(missing)}, but the server has {', '.join(there)}: correct the option."
        )
    return sorted(set(wanted))


def server_facts(conn: Connection, side: str) -> ServerFacts:
    """Read one server; ``conn`` may be to any of its databases."""
    settings = rows(
        conn,
        "SELECT name, setting, pending_restart FROM pg_catalog.pg_settings WHERE name = ANY(%s)",
        (list(_SETTINGS),),
    )
    used = rows(
        conn,
        """
        SELECT (SELECT count(*) FROM pg_catalog.pg_replication_slots),
               (SELECT count(*) FROM pg_catalog.pg_subscription),
               (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE backend_type = 'walsender'),
               (SELECT count(*) FROM pg_catalog.pg_stat_subscription WHERE pid IS NOT NULL)
        """,
    )[0]
    return ServerFacts(
        side=side,
        version=server_version(conn),
        user=str(value(conn, "SELECT current_user")),
        settings={name: setting for name, setting, _pending in settings},
        pending_restart=tuple(name for name, _setting, pending in settings if pending),
        slots_used=used[0],
        origins_used=used[1],
        senders_used=used[2],
        workers_used=used[3],
        open_transactions=tuple(open_transactions(conn)),
        prepared=tuple(prepared_transactions(conn)),
        overrides=tuple(read_only_overrides(conn)),
    )


def database_facts(conn: Connection) -> DatabaseFacts:
    """Read the connection's database."""
    current = value(conn, "SELECT current_database()")
    database = next(found for found in databases(conn) if found.name == current)
    triggers = rows(
        conn,
        """
        SELECT n.nspname, c.relname, t.tgname
          FROM pg_catalog.pg_trigger t
          JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE t.tgenabled IN ('A', 'R') AND NOT t.tgisinternal ORDER BY 1, 2, 3
        """,
    )
    views = rows(
        conn,
        "SELECT schemaname, matviewname FROM pg_catalog.pg_matviews WHERE schemaname !~ '^pg_' ORDER BY 1, 2",
    )
    return DatabaseFacts(
        database=database,
        tables=tuple(tables(conn)),
        always_triggers=tuple(Trigger(*row) for row in triggers),
        large_objects=large_objects(conn),
        materialized_views=tuple((schema, name) for schema, name in views),
        bare=tuple(bare_tables(conn)),
    )


def tables(conn: Connection) -> list[Table]:
    """Every user table of the connection's database that holds rows."""
    set_role = "SET" if server_version(conn) >= 160000 else "MEMBER"
    found = rows(
        conn,
        """
        SELECT n.nspname, c.relname, pg_catalog.pg_get_userbyid(c.relowner),
               pg_catalog.pg_has_role(current_user, c.relowner, %s), c.relpersistence = 'p', c.relreplident = 'f',
               greatest(c.reltuples, 0)::bigint, c.relrowsecurity AND c.relforcerowsecurity,
               EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                          AND d.objid = c.oid AND d.deptype = 'e')
          FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind = 'r' AND c.relpersistence IN ('p', 'u') AND c.oid >= %s
         ORDER BY 1, 2
        """,
        (set_role, FIRST_USER_OID),
    )
    return [Table(*row) for row in found]


def columns(conn: Connection) -> dict[TableName, dict[str, str]]:
    """Column name -> type, in order, of every user table of the connection's database that holds rows."""
    found = rows(
        conn,
        """
        SELECT n.nspname, c.relname, a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod)
          FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
          JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
         WHERE c.relkind = 'r' AND c.relpersistence IN ('p', 'u') AND c.oid >= %s
         ORDER BY 1, 2, a.attnum
        """,
        (FIRST_USER_OID,),
    )
    answer: dict[TableName, dict[str, str]] = {}
    for schema, table, column, kind in found:
        answer.setdefault((schema, table), {})[column] = kind
    return answer


def published_tables(conn: Connection, publication: str) -> set[TableName]:
    """The tables that the publication sends now."""
    found = rows(
        conn,
        "SELECT schemaname, tablename FROM pg_catalog.pg_publication_tables WHERE pubname = %s",
        (publication,),
    )
    return set(found)


def subscribed_tables(conn: Connection, subscription: str) -> set[TableName]:
    """The tables that the subscription in the connection's database applies; others are skipped without a word."""
    found = rows(
        conn,
        """
        SELECT n.nspname, c.relname
          FROM pg_catalog.pg_subscription_rel r
          JOIN pg_catalog.pg_subscription s ON s.oid = r.srsubid
          JOIN pg_catalog.pg_class c ON c.oid = r.srrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE s.subname = %s AND r.srsubstate = 'r'
        """,
        (subscription,),
    )
    return set(found)


def sequences(conn: Connection) -> set[TableName]:
    """Every permanent user sequence of the connection's database."""
    found = rows(
        conn,
        "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind = 'S' AND c.relpersistence = 'p' AND c.oid >= %s",
        (FIRST_USER_OID,),
    )
    return set(found)


def large_objects(conn: Connection) -> int:
    """How many large objects the connection's database holds."""
    return int(value(conn, "SELECT count(*) FROM pg_catalog.pg_largeobject_metadata"))


def open_transactions(conn: Connection) -> list[OpenTransaction]:
    """Every client transaction of the server that has written and is still open, the oldest first."""
    found = rows(
        conn,
        """
        SELECT pid, coalesce(usename, '?'), coalesce(datname, '?'),
               coalesce(extract(epoch FROM clock_timestamp() - xact_start), 0)::float8
          FROM pg_catalog.pg_stat_activity
         WHERE backend_xid IS NOT NULL AND backend_type = 'client backend' AND pid <> pg_catalog.pg_backend_pid()
         ORDER BY xact_start
        """,
    )
    return [OpenTransaction(*row) for row in found]


def prepared_transactions(conn: Connection) -> list[Prepared]:
    """Every prepared transaction of the server."""
    found = rows(conn, "SELECT gid, owner, database FROM pg_catalog.pg_prepared_xacts ORDER BY prepared")
    return [Prepared(*row) for row in found]


def read_only_overrides(conn: Connection) -> list[Override]:
    """Every role that has a default_transaction_read_only of its own (ALTER ROLE .. SET, ALTER ROLE .. IN DATABASE)."""
    found = rows(
        conn,
        """
        SELECT r.rolname, d.datname, split_part(setting, '=', 2)
          FROM pg_catalog.pg_db_role_setting s
          CROSS JOIN LATERAL unnest(s.setconfig) AS setting
          JOIN pg_catalog.pg_roles r ON r.oid = s.setrole
          LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
         WHERE split_part(setting, '=', 1) = 'default_transaction_read_only' AND NOT r.rolsuper
         ORDER BY 1, 2
        """,
    )
    return [Override(*row) for row in found]
