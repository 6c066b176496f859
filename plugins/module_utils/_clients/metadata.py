# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The metadata of a Blue/Green Deployment that the AWS wrappers read from the servers, by the wrapper's own statements.

Source: aws-advanced-jdbc-wrapper 4.4.0, AuroraMysqlDialect, RdsMysqlDialect, AuroraPgDialect, RdsPgDialect and BlueGreenPhase;
its documentation UsingTheBlueGreenPlugin and GrantingPermissionsToNonAdminUserInMySQL.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any

from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError
from .session import Family, Session

DIALECTS = ("aurora_mysql", "rds_mysql", "aurora_postgresql", "rds_postgresql")
SOURCE, TARGET = "BLUE_GREEN_DEPLOYMENT_SOURCE", "BLUE_GREEN_DEPLOYMENT_TARGET"
VERSIONS = ("1.0",)  # of the metadata, that the wrappers know

_ENGINES = {
    "aurora-mysql": "aurora_mysql",
    "mysql": "rds_mysql",
    "aurora-postgresql": "aurora_postgresql",
    "postgres": "rds_postgresql",
}


@dataclass(frozen=True)
class Statements:
    """What the wrapper asks: whether the metadata is there at all, and what it says; ``grant`` lets a user ask it.

    ``members`` asks who is in the cluster, empty for an instance of RDS, which is in none.
    """

    exists: str
    status: str
    grant: str
    members: str = ""


_MYSQL = Statements(
    "SELECT 1 AS tmp FROM information_schema.tables WHERE table_schema = 'mysql' AND table_name = 'rds_topology'",
    "SELECT * FROM mysql.rds_topology",
    "GRANT SELECT ON mysql.rds_topology TO '{user}'@'%'",
)
STATEMENTS = {
    "aurora_mysql": replace(
        _MYSQL,
        members="SELECT server_id FROM information_schema.replica_host_status"
        " WHERE time_to_sec(timediff(now(), last_update_timestamp)) <= 300 OR session_id = 'MASTER_SESSION_ID'",
    ),
    "rds_mysql": _MYSQL,
    "aurora_postgresql": Statements(
        "SELECT 'pg_catalog.get_blue_green_fast_switchover_metadata'::pg_catalog.regproc",
        "SELECT * FROM pg_catalog.get_blue_green_fast_switchover_metadata('aws_jdbc_driver-4.4.0')",
        "GRANT EXECUTE ON FUNCTION pg_catalog.get_blue_green_fast_switchover_metadata(text) TO {user}",
        "SELECT server_id FROM pg_catalog.aurora_replica_status() WHERE extract(epoch FROM (now() - last_update_timestamp)) <= 300"
        " OR session_id = 'MASTER_SESSION_ID' OR last_update_timestamp IS NULL",
    ),
    "rds_postgresql": Statements(
        "SELECT 'rds_tools.show_topology'::pg_catalog.regproc",
        "SELECT * FROM rds_tools.show_topology('aws_jdbc_driver-4.4.0')",
        "GRANT USAGE ON SCHEMA rds_tools TO {user}; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA rds_tools TO {user}",
    ),
}
_ABSENT = {
    "aurora_mysql": "Aurora MySQL has it from version 3.07 on, as soon as the cluster is part of a Blue/Green Deployment",
    "rds_mysql": "RDS for MySQL has it as soon as the instance is part of a Blue/Green Deployment, which can take a day",
    "aurora_postgresql": "Aurora PostgreSQL has it from the versions 17.5, 16.9, 15.13, 14.18 and 13.21 on; upgrade blue",
    "rds_postgresql": "run CREATE EXTENSION rds_tools in this database of blue before the deployment is created",
}


class Phase(IntEnum):
    """The phases of a switchover as the wrappers count them."""

    NOT_CREATED = 0
    CREATED = 1
    PREPARATION = 2
    IN_PROGRESS = 3
    POST = 4
    COMPLETED = 5


_PHASES = {
    "": Phase.NOT_CREATED,
    "AVAILABLE": Phase.CREATED,
    "SWITCHOVER_INITIATED": Phase.PREPARATION,
    "SWITCHOVER_IN_PROGRESS": Phase.IN_PROGRESS,
    "SWITCHOVER_IN_POST_PROCESSING": Phase.POST,
    "SWITCHOVER_COMPLETED": Phase.COMPLETED,
}


@dataclass(frozen=True)
class Row:
    """One row of the metadata: the writer's endpoint of one side, and how far the switchover is."""

    id: str
    endpoint: str
    port: int
    role: str
    status: str
    version: str = "1.0"

    @property
    def phase(self) -> Phase:
        """The phase of the row's status; raises :class:`BlueGreenError` for a word that is not known."""
        return phase_of(self.status)


def dialect(engine: str) -> str:
    """The dialect of an engine as the API names it; raises :class:`BlueGreenError` for one whose metadata nobody reads."""
    try:
        return _ENGINES[engine]
    except KeyError:
        raise BlueGreenError(
            f"The Blue/Green metadata is read of {', '.join(_ENGINES)}, but the engine is {engine}: its clients need no metadata, "
            "because the AWS wrappers do not read any there."
        ) from None


def family(of: str) -> Family:
    """The protocol that a dialect is asked with."""
    return "mysql" if of.endswith("mysql") else "postgresql"


def phase_of(status: str) -> Phase:
    """The phase of a status, of an empty one too; raises :class:`BlueGreenError` for a word that is not known."""
    try:
        return _PHASES[status.upper()]
    except KeyError:
        raise BlueGreenError(
            f"The status of a Blue/Green Deployment is one of {', '.join(filter(None, _PHASES))}, but the metadata says {status}: "
            "a newer version of this collection may know it."
        ) from None


def phase_of_role(rows: Sequence[Row], role: str) -> Phase:
    """How far one role is by these rows, ``NOT_CREATED`` when they have none of it."""
    return max((row.phase for row in rows if row.role == role), default=Phase.NOT_CREATED)


def grant_statement(of: str, user: str) -> str:
    """What lets a user ask, ready to paste whatever the name is."""
    if family(of) == "mysql":
        name = user.replace("\\", "\\\\").replace("'", "''")
    else:
        name = '"' + user.replace('"', '""') + '"'
    return STATEMENTS[of].grant.format(user=name)


def read(endpoint: Endpoint, of: str) -> list[Row]:
    """The rows that the login of ``endpoint`` sees, by the wrapper's own statement in the dialect ``of``.

    Raises :class:`BlueGreenError` with ``details["reason"]``: ``absent`` without the table or function, ``grant`` when the user may
    not read it, ``login`` when it is not let in, ``unreachable`` otherwise.
    """
    reader = Reader(endpoint, of)
    try:
        return reader.read()
    finally:
        reader.close()


class Reader:
    """Reads the metadata again and again over a connection that it keeps."""

    def __init__(self, endpoint: Endpoint, of: str) -> None:
        self.session = Session(endpoint, family(of))
        self._dialect = of

    def read(self) -> list[Row]:
        """As :func:`read`."""
        try:
            return [_row(found) for found in self.session.rows(STATEMENTS[self._dialect].status)]
        except BlueGreenError as error:
            raise _told(error, self.session.endpoint, self._dialect) from None

    def members(self) -> frozenset[str] | None:
        """The names that the servers of the cluster have now, None where nobody tells.

        Raises :class:`BlueGreenError` when the server does not answer.
        """
        statement = STATEMENTS[self._dialect].members
        if not statement:
            return None
        try:
            return frozenset(str(found["server_id"]) for found in self.session.rows(statement))
        except BlueGreenError as error:
            if error.details.get("reason") in ("absent", "grant"):
                return None
            raise

    def close(self) -> None:
        """End the connection."""
        self.session.close()


def _row(found: dict[str, Any]) -> Row:
    try:
        return Row(
            id=str(found["id"]),
            endpoint=str(found["endpoint"]),
            port=int(found["port"]),
            role=str(found["role"]),
            status=str(found["status"] or ""),
            version=str(found["version"]),
        )
    except (KeyError, TypeError, ValueError):
        raise BlueGreenError(
            "A row of the Blue/Green metadata has the columns id, endpoint, port, role, status and version, but this one has "
            f"{', '.join(found)}: a newer version of this collection may know it.",
            reason="absent",
        ) from None


def _told(error: BlueGreenError, endpoint: Endpoint, of: str) -> BlueGreenError:
    reason, said = error.details.get("reason"), error.details.get("said", "")
    where = f"{endpoint.side} at {endpoint.host}:{endpoint.port}"
    statement = STATEMENTS[of].status
    if reason == "grant":
        grant = grant_statement(of, endpoint.user)
        return BlueGreenError(
            f"User {endpoint.user} should read the Blue/Green metadata of {where} with {statement}, but is not allowed to ({said}): "
            f"{grant}.",
            reason="grant",
        )
    if reason == "absent" and said:
        return BlueGreenError(
            f"The Blue/Green metadata of {where} should answer to {statement}, but is not there ({said}): {_ABSENT[of]}.",
            reason="absent",
        )
    return BlueGreenError(error.message, reason=reason)
