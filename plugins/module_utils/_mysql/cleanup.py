# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""State ``absent``: everything that replication made, on both sides, whichever of them is still there."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from .._core.endpoint import Endpoint
from .._core.journal import Journal
from .._core.names import Names
from . import locks, record, replication_user
from .connection import connected, execute, identifier, rows, unlogged, value
from .dialect import Dialect
from .prepare import NO_RETENTION, RETENTION
from .service import service_of
from .status import look

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor


_FENCE = "fence"
_REPLICATED = {"marker", "canary"}


def clean(sides: Iterable[Endpoint], names: Names, journal: Journal) -> None:
    """Remove the channels first, then the rest, on each side; both directions.

    Whether a side is closed for writers is left as it is: accounts that are locked stay locked, and on record.
    """
    every = list(sides)
    for side in every:
        with connected(side) as conn:
            _reset_channel(conn, side, names, journal)
    for side in every:
        with connected(side) as conn:
            _drop_users(conn, side, names, journal)
            _give_back_retention(conn, side, names, journal)
            _forget(conn, side, names, journal)


def _reset_channel(conn: Connection[Cursor], side: Endpoint, names: Names, journal: Journal) -> None:
    found = look(conn, names)
    if found.ours is None:
        return
    service = service_of(conn, Dialect.of(conn))
    if not found.ours.stopped:
        journal.act(f"stop replication on {side.side}", service.stop)
    journal.act(f"reset replication on {side.side}", service.reset)


def _drop_users(conn: Connection[Cursor], side: Endpoint, names: Names, journal: Journal) -> None:
    noted = record.notes(conn, names.deployment_id).get(replication_user.NOTE)
    for user in dict.fromkeys([noted or names.replication_user, names.replication_user, names.probe_user]):
        if value(conn, "SELECT 1 FROM mysql.user WHERE user = %s AND host = '%%'", (user,)):
            journal.act(f"drop user {user} on {side.side}", partial(replication_user.drop, conn, user))


def _give_back_retention(conn: Connection[Cursor], side: Endpoint, names: Names, journal: Journal) -> None:
    noted = record.notes(conn, names.deployment_id).get(RETENTION)
    if noted is None or record.others_note(conn, names.deployment_id, RETENTION) is not None:
        return  # the last deployment gives it back
    service = service_of(conn, Dialect.of(conn))
    hours = None if noted == NO_RETENTION else int(noted)
    if service.retention() != hours:
        kept = "as short as possible, as before" if hours is None else f"for {hours} hours, as before"
        journal.act(f"keep {side.side}'s binary log {kept}", partial(service.set_retention, hours))


def _forget(conn: Connection[Cursor], side: Endpoint, names: Names, journal: Journal) -> None:
    """Drop our schema, or the deployment's share of it; of a closed side the fence stays, which says what is locked."""
    fenced = locks.closed(conn, names.deployment_id)
    doomed = [table for table in _tables(conn) if not (fenced and table == _FENCE)]
    where = f"schema {record.SCHEMA} on {side.side}"
    stays = ", the accounts of its fence stay locked" if fenced else ""
    if _others(conn, names, doomed):
        if any(_rows(conn, table, names.deployment_id) for table in doomed):
            journal.act(f"forget the deployment in {where}{stays}", partial(_delete, conn, names, doomed))
    elif fenced:
        if doomed:
            journal.act(f"drop what is in {where}{stays}", partial(_drop_tables, conn, side, doomed))
    elif _schema(conn):
        journal.act(f"drop {where}", partial(_drop, conn, side, doomed))


def _drop(conn: Connection[Cursor], side: Endpoint, tables: list[str]) -> None:
    _drop_tables(conn, side, tables)
    with unlogged(conn):
        execute(conn, f"DROP DATABASE IF EXISTS {identifier(record.SCHEMA)}")


def _drop_tables(conn: Connection[Cursor], side: Endpoint, tables: list[str]) -> None:
    """Other replicas of blue got the replicated tables through its log, so they lose them the same way."""
    logged = sorted(set(tables) & _REPLICATED) if side.side == "blue" else []
    for table in logged:
        execute(conn, f"DROP TABLE IF EXISTS {identifier(record.SCHEMA, table)}")
    with unlogged(conn):
        for table in sorted(set(tables) - set(logged)):
            execute(conn, f"DROP TABLE IF EXISTS {identifier(record.SCHEMA, table)}")


def _delete(conn: Connection[Cursor], names: Names, tables: list[str]) -> None:
    with unlogged(conn):
        for table in tables:
            execute(
                conn, f"DELETE FROM {identifier(record.SCHEMA, table)} WHERE deployment_id = %s", (names.deployment_id,)
            )


def _others(conn: Connection[Cursor], names: Names, tables: list[str]) -> bool:
    """Whether a local table has rows of another deployment; markers and canaries may have come along with a clone."""
    return any(
        value(
            conn,
            f"SELECT 1 FROM {identifier(record.SCHEMA, table)} WHERE deployment_id <> %s LIMIT 1",
            (names.deployment_id,),
        )
        for table in tables
        if table not in _REPLICATED
    )


def _rows(conn: Connection[Cursor], table: str, deployment_id: str) -> bool:
    statement = f"SELECT 1 FROM {identifier(record.SCHEMA, table)} WHERE deployment_id = %s LIMIT 1"
    return bool(value(conn, statement, (deployment_id,)))


def _tables(conn: Connection[Cursor]) -> list[str]:
    """The tables of our schema that tell deployments apart, also those that other modules have made."""
    statement = (
        "SELECT c.table_name FROM information_schema.columns AS c JOIN information_schema.tables AS t"
        " USING (table_schema, table_name) WHERE c.table_schema = %s AND c.column_name = 'deployment_id'"
        " AND t.table_type = 'BASE TABLE' ORDER BY c.table_name"
    )
    return [str(row[0]) for row in rows(conn, statement, (record.SCHEMA,))]


def _schema(conn: Connection[Cursor]) -> bool:
    statement = "SELECT 1 FROM information_schema.schemata WHERE schema_name = %s"
    return bool(value(conn, statement, (record.SCHEMA,)))
