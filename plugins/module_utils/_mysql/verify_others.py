# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""The schemas that are compared, and how far green's AUTO_INCREMENT counters are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .._core.differences import ExpectedDifferences
from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError
from .._core.names import Names
from .._core.verification import SequenceReport
from . import record
from .connection import connected, rows
from .coordinates import channel
from .dialect import Dialect
from .verify_rules import LEFT_OUT, NO_DATABASE

if TYPE_CHECKING:
    from pymysql.connections import Connection
    from pymysql.cursors import Cursor


def serving(blue: Endpoint, green: Endpoint, names: Names) -> tuple[str, str | None]:
    """The side that is replicated from, and what tells this deployment from one before it of the same name."""
    with connected(green) as conn:
        found = record.read(conn, names.deployment_id)
    position = str(found.position) if found and found.position else None
    if found is None or found.opened_green is None or found.settings.get("armed") == "reverse":
        return "blue", position
    with connected(blue) as conn:
        return "green" if channel(conn, Dialect.of(conn)) else "blue", position


def schemas(conn: Connection[Cursor]) -> set[str]:
    """Every schema that is not the server's, the service's or ours."""
    return {str(row[0]) for row in rows(conn, "SELECT schema_name FROM information_schema.schemata")} - set(LEFT_OUT)


def chosen(here: set[str], there: set[str], wanted: Sequence[str] | None, source: str) -> list[str]:
    """The schemas to compare: those of either side, or the ``wanted`` ones.

    Raises :class:`BlueGreenError` for a wanted one that the source does not have.
    """
    if wanted is None:
        return sorted(here | there)
    missing = sorted(set(wanted) - here)
    if missing:
        raise BlueGreenError(
            f"databases should name schemas on {source}, but {', '.join(missing)} is not there: it has "
            f"{', '.join(sorted(here)) or 'none'}."
        )
    return sorted(set(wanted))


def counters(conn: Connection[Cursor], schema: str) -> dict[str, int]:
    """Table -> the value that its AUTO_INCREMENT gives out next."""
    found = rows(
        conn,
        "SELECT table_name, auto_increment FROM information_schema.tables"
        " WHERE table_schema = %s AND auto_increment IS NOT NULL",
        (schema,),
    )
    return {str(table): int(following) for table, following in found}


def report(schema: str, blue: dict[str, int], green: dict[str, int], expected: ExpectedDifferences) -> SequenceReport:
    """The counters of green that are behind those of blue, whichever of them serves, in words."""
    behind = []
    for table in sorted(blue):
        label = f"{schema}.{table}"
        if expected.whole(NO_DATABASE, label):
            continue
        if table not in green:
            behind.append(f"{label}: AUTO_INCREMENT is not on green")
        elif green[table] < blue[table]:
            behind.append(f"{label}: AUTO_INCREMENT is {green[table]} on green, but {blue[table]} on blue")
    return SequenceReport(len(blue), behind)
