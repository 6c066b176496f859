# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an Aurora PostgreSQL cluster allows its master user, put on a community server.

The table RIGHTS says for each statement what is right on AWS, where that is written, and how the lab does it. What it
does not list behaves as the community server does. The SQL is in the files beside this one: `roles.sql` once per
volume, `database.sql` in every database (also after a major version upgrade; it can be run again).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import psycopg2.extensions
from psycopg2 import sql

BOOTSTRAP = "rdsadmin"  # the superuser and the database that a customer cannot enter
SERVICE_SLOTS = "rds_blue_green_"  # what the service's own replication slots begin with
_HERE = Path(__file__).parent


class Right(NamedTuple):
    """A statement, who may run it on AWS, the source, and how the lab gives or keeps the same right."""

    statement: str
    on_aws: str
    source: str
    in_the_lab: str


_GUIDE = "Aurora user guide"
RIGHTS = (
    Right(
        "the master user",
        "NOSUPERUSER CREATEROLE CREATEDB, member of rds_superuser",
        f"{_GUIDE}, Understanding PostgreSQL roles and permissions",
        "the same, and the attribute REPLICATION (see GRANT rds_replication)",
    ),
    Right(
        "GRANT rds_replication TO role",
        "the role may start a walsender and make replication slots",
        f"{_GUIDE}, Setting up logical replication",
        "a community server wants the attribute REPLICATION: it is set on members and taken from others within "
        "0.1 s, and always before a walsender starts (an endpoint waits for that)",
    ),
    Right(
        "CREATE ROLE .. REPLICATION",
        "refused",
        f"{_GUIDE}, rds_superuser has no REPLICATION",
        "succeeds, and the attribute is gone within 0.1 s unless the role is a member of rds_replication",
    ),
    Right(
        "CREATE PUBLICATION .. FOR ALL TABLES, FOR TABLES IN SCHEMA",
        "rds_superuser",
        f"{_GUIDE}, Performing a major version upgrade with logical replication (CREATE PUBLICATION .. FOR ALL TABLES)",
        "event triggers make the current role a superuser from the start to the end of this one command, in its "
        "transaction, so that no other session ever sees it",
    ),
    Right(
        "CREATE SUBSCRIPTION",
        "rds_superuser, through pg_create_subscription from version 16; needs a password in the connection string",
        f"{_GUIDE}, Setting up logical replication; community manual, CREATE SUBSCRIPTION",
        "the same memberships",
    ),
    Right(
        "pg_replication_origin_advance() and the other replication origin functions",
        "rds_superuser",
        f"{_GUIDE}, Performing a major version upgrade with logical replication",
        "EXECUTE granted to rds_superuser in every database",
    ),
    Right(
        "pg_terminate_backend(), pg_cancel_backend() of other roles",
        "rds_superuser, through pg_signal_backend; not on rdsadmin's sessions",
        f"{_GUIDE}, rds_superuser; community manual, Predefined roles",
        "the same memberships",
    ),
    Right(
        "SET session_replication_role",
        "rds_superuser",
        "RDS user guide, Working with parameters (rds_superuser may set it in a session)",
        "GRANT SET ON PARAMETER",
    ),
    Right(
        "CHECKPOINT",
        "rds_superuser, through pg_checkpoint",
        "community manual, Predefined roles",
        "the same memberships",
    ),
    Right(
        "aurora_volume_logical_start_lsn()",
        "everybody; the position of a clone",
        f"{_GUIDE}, aurora_volume_logical_start_lsn",
        "reads a file in the data directory that the lab writes when a clone has recovered",
    ),
    Right(
        "COMMIT PREPARED, ROLLBACK PREPARED of another role's transaction",
        "not documented",
        "community manual: the owner or a superuser",
        "as the community server: refused",
    ),
    Right(
        "ALTER SYSTEM, COPY .. TO PROGRAM, pg_read_file(), entering as rdsadmin, the database rdsadmin",
        "refused",
        f"{_GUIDE}, rds_superuser",
        "refused: NOSUPERUSER, and pg_hba.conf rejects rdsadmin",
    ),
    Right(
        "SELECT .. FROM pg_stat_ssl",
        "shows the session's TLS",
        "community manual, The Statistics Collector",
        "shows none: the endpoint terminates TLS, the server sees plain connections from 127.0.0.1",
    ),
    Right(
        "CREATE EVENT TRIGGER",
        "rds_superuser",
        "RDS user guide, Event triggers",
        "not emulated: refused",
    ),
)

# Members of rds_replication without the attribute, and the other way round, among the customer's roles.
_WRONG = """
SELECT r.rolname, NOT r.rolreplication AS wanted
  FROM pg_catalog.pg_roles r
 WHERE NOT r.rolsuper
   AND r.rolname NOT LIKE 'pg\\_%' AND r.rolname NOT LIKE 'rds\\_%'
   AND r.rolreplication <> pg_catalog.pg_has_role(r.oid, 'rds_replication', 'MEMBER')
"""


def install_roles(connection: psycopg2.extensions.connection, master: str, password: str) -> None:
    """Make the roles of a new volume; the master user becomes the owner of the database `postgres`."""
    with connection.cursor() as cursor:
        cursor.execute((_HERE / "roles.sql").read_text(encoding="utf-8"))
        cursor.execute(
            sql.SQL("CREATE ROLE {} LOGIN CREATEROLE CREATEDB REPLICATION PASSWORD {}").format(
                sql.Identifier(master), sql.Literal(password)
            )
        )
        cursor.execute(sql.SQL("GRANT rds_superuser TO {} WITH ADMIN OPTION").format(sql.Identifier(master)))
        for database in ("postgres", "template1"):
            cursor.execute(
                sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(database), sql.Identifier(master))
            )


def install_database(connection: psycopg2.extensions.connection) -> None:
    """Put the functions, grants and event triggers into the connection's database."""
    with connection.cursor() as cursor:
        cursor.execute((_HERE / "database.sql").read_text(encoding="utf-8"))


def set_password(connection: psycopg2.extensions.connection, role: str, password: str) -> None:
    """Change a role's password."""
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(password)))


def replication_rights(connection: psycopg2.extensions.connection) -> list[str]:
    """Give the attribute REPLICATION to members of rds_replication, take it from others; return the changed roles.

    pg_authid is locked against other writers for the time of the change: an `ALTER ROLE` of a customer waits for it
    and never fails with "tuple concurrently updated". Uses an autocommit connection of the superuser.
    """
    with connection.cursor() as cursor:
        if not _wrong(cursor):
            return []
        cursor.execute("BEGIN")
        try:
            cursor.execute("SET LOCAL lock_timeout = '50ms'")
            cursor.execute("LOCK TABLE pg_catalog.pg_authid IN SHARE ROW EXCLUSIVE MODE")
            wrong = _wrong(cursor)
            for role, wanted in wrong:
                attribute = sql.SQL("REPLICATION" if wanted else "NOREPLICATION")
                cursor.execute(sql.SQL("ALTER ROLE {} {}").format(sql.Identifier(role), attribute))
            cursor.execute("COMMIT")
        except psycopg2.Error:
            cursor.execute("ROLLBACK")
            raise
    return [role for role, _wanted in wrong]


def _wrong(cursor: psycopg2.extensions.cursor) -> Iterable[tuple[Any, ...]]:
    cursor.execute(_WRONG)
    return cursor.fetchall()
