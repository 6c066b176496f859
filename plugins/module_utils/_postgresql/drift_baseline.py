# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The schema as it was when both sides were equal, beside the control record on green.

Blue's is read on the clone before it is upgraded, green's after the upgrade and before replication runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from .._core.endpoint import Endpoint
from .._core.names import Names
from . import control_record
from .connection import connected, execute, rows, transaction, value
from .drift import Baseline
from .schema_catalog import Schema, filenodes, fingerprints, read_schema

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

_TABLE = """
CREATE SCHEMA IF NOT EXISTS bluegreen;
CREATE TABLE IF NOT EXISTS bluegreen.schema_baseline (
    deployment_id text,
    side text,
    database text,
    version integer NOT NULL,
    objects jsonb NOT NULL,
    filenodes jsonb NOT NULL,
    PRIMARY KEY (deployment_id, side, database)
)
"""

Baselines = Mapping[tuple[str, str], Baseline]
"""By side (``blue``, ``green``) and database; under :data:`APPLYING` the objects that green is just being given."""
APPLYING = "applying"


def take(green: Endpoint, databases: Sequence[str]) -> dict[str, Baseline]:
    """The schemas of green's databases as they are now."""
    found: dict[str, Baseline] = {}
    for database in databases:
        with connected(green.at(database)) as conn:
            found[database] = of(conn.info.server_version, read_schema(conn))
    return found


def of(version: int, schema: Schema) -> Baseline:
    """The baseline that a schema makes."""
    return Baseline(version, fingerprints(schema), filenodes(schema))


def commit(conn: Connection, names: Names, side: str, found: Mapping[str, Baseline], *, anew: bool = False) -> None:
    """Write down baselines of one side; ``anew`` forgets all that was there, which the clone may have carried here.

    ``conn`` is to the control database. Durable when it returns.
    """
    with transaction(conn):
        execute(conn, "SET LOCAL synchronous_commit = on")
        execute(conn, _TABLE)
        if anew:
            _forget(conn, names)
        for database, baseline in found.items():
            execute(
                conn,
                "INSERT INTO bluegreen.schema_baseline VALUES (%s, %s, %s, %s, %s, %s)"
                " ON CONFLICT (deployment_id, side, database) DO UPDATE"
                " SET version = EXCLUDED.version, objects = EXCLUDED.objects, filenodes = EXCLUDED.filenodes",
                (
                    names.deployment_id,
                    side,
                    database,
                    baseline.version,
                    json.dumps(dict(baseline.objects)),
                    json.dumps(dict(baseline.filenodes)),
                ),
            )


def begin(conn: Connection, names: Names, database: str, version: int, keys: Iterable[str]) -> None:
    """Note that green is about to be given these objects as they are on blue: a run that died is then no change on purpose."""
    commit(conn, names, APPLYING, {database: Baseline(version, dict.fromkeys(keys, ""))})


def finish(conn: Connection, names: Names, database: str, blue: Baseline, green: Baseline) -> None:
    """Both sides are equal again: the new baselines, and nothing is being applied, in one transaction."""
    with transaction(conn):
        execute(conn, "SET LOCAL synchronous_commit = on")
        for side, baseline in (("blue", blue), ("green", green)):
            execute(
                conn,
                "UPDATE bluegreen.schema_baseline SET objects = %s, filenodes = %s"
                " WHERE deployment_id = %s AND side = %s AND database = %s",
                (
                    json.dumps(dict(baseline.objects)),
                    json.dumps(dict(baseline.filenodes)),
                    names.deployment_id,
                    side,
                    database,
                ),
            )
        execute(
            conn,
            "DELETE FROM bluegreen.schema_baseline WHERE deployment_id = %s AND side = %s AND database = %s",
            (names.deployment_id, APPLYING, database),
        )


def look(green: Endpoint, names: Names) -> Baselines:
    """Every baseline of the deployment; empty when it was made without."""
    with control_record.opened(green, names) as conn:
        if conn is None or not _exists(conn):
            return {}
        found = rows(
            conn,
            "SELECT side, database, version, objects, filenodes FROM bluegreen.schema_baseline WHERE deployment_id = %s",
            (names.deployment_id,),
        )
    return {(side, database): Baseline(version, objects, files) for side, database, version, objects, files in found}


def forget(conn: Connection, names: Names) -> None:
    """Delete the deployment's baselines; ``conn`` is to the control database."""
    if _exists(conn):
        _forget(conn, names)


def _exists(conn: Connection) -> bool:
    return value(conn, "SELECT pg_catalog.to_regclass('bluegreen.schema_baseline')") is not None


def _forget(conn: Connection, names: Names) -> None:
    execute(conn, "DELETE FROM bluegreen.schema_baseline WHERE deployment_id = %s", (names.deployment_id,))
