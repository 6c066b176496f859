# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The read replicas of a green that is a DB instance: whether each follows green, asked of itself.

The service's guardrails look at green alone (Amazon RDS User Guide, "Switchover guardrails"): a replica that stands still takes the
name of production's, and serves what no longer changes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from .._aws.managed import Place
from .._clients.metadata import family
from .._clients.session import Family, Session
from .._core.checks import Check, failed, ok
from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError

NAME = "green_replicas"
MOST_LAG = 10.0
"""Seconds that a replica may be behind green where nothing else is asked for."""
_DOCS = "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/blue-green-deployments-switching.html"
_STATE = {
    "mysql": "SHOW REPLICA STATUS",
    # What was received last is what was replayed last: nothing waits. The state is hidden from who has not pg_monitor.
    "postgresql": "SELECT pg_is_in_recovery() AS follows, (SELECT status FROM pg_stat_wal_receiver LIMIT 1) AS state,"
    " CASE WHEN pg_last_wal_receive_lsn() IS NOT DISTINCT FROM pg_last_wal_replay_lsn() THEN 0"
    " ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) END AS seconds",
}
_AGAIN = {
    "mysql": "CALL mysql.rds_start_replication on it, after a look at SHOW REPLICA STATUS",
    "postgresql": "look at its events and its log",
}


@dataclass(frozen=True)
class State:
    """What a server that follows says of itself; ``seconds`` None when it does not follow, or does not say."""

    follows: bool
    seconds: float | None


def state(session: Session) -> State:
    """How a server follows its source; raises :class:`BlueGreenError` when it does not answer."""
    found = session.rows(_STATE[session.family])
    row: dict[str, Any] = found[0] if found else {}
    if session.family == "mysql":
        runs = row.get("replica_io_running") == "Yes" and row.get("replica_sql_running") == "Yes"
        behind = row.get("seconds_behind_source") if runs else None
    else:
        runs = bool(row.get("follows")) and row.get("state") == "streaming"
        behind = row.get("seconds") if runs else None
    return State(runs, None if behind is None else float(behind))


def checks(green: Endpoint, dialect: str, place: Place | None, max_lag: float) -> list[Check]:
    """Whether every read replica of green replicates and is less than ``max_lag`` seconds behind; none for a cluster's readers.

    They are logged in to as green is: they have its users.
    """
    replicas = [] if place is None or place.is_cluster else [one for one in place.members if not one.is_writer]
    hosts = {one.identifier: (one.description.get("Endpoint") or {}).get("Address") for one in replicas}
    kind = family(dialect)
    late = [
        said
        for name, host in hosts.items()
        if host and (said := _late(name, replace(green, host=host, address=None), kind, max_lag))
    ]
    if late:
        return [
            failed(
                NAME,
                f"a read replica of green serves readers after the switchover as it is then, but {', '.join(late)}",
                _AGAIN[kind],
                _DOCS,
            )
        ]
    return [ok(NAME, f"the {len(hosts)} read replicas of green follow it", _DOCS)] if hosts else []


def _late(name: str, endpoint: Endpoint, kind: Family, max_lag: float) -> str | None:
    session = Session(endpoint, kind)
    try:
        found = state(session)
    except BlueGreenError as error:
        return f"{name} does not answer: {error.message.rstrip('.')}"
    finally:
        session.close()
    if not found.follows or found.seconds is None:
        return f"the replication of {name} does not run, or this user may not see it"
    return f"{name} is {found.seconds:.0f} s behind green" if found.seconds > max_lag else None
