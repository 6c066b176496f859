# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Guardrails of a managed switchover that only the servers can answer, before the service is called instead of within its window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .._clients.metadata import Row, family
from .._clients.session import Session
from .._core.checks import Check, failed, ok, warning
from .._core.endpoint import Endpoint
from .._core.errors import BlueGreenError
from . import arrival, replicas

_LONG = (
    10  # s, of a transaction that writes; the service gives such a switchover up (Amazon RDS User Guide, guardrails)
)
_DOCS = "https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/blue-green-deployments-switching.html"
_TRANSACTIONS = {
    "mysql": "SELECT trx_mysql_thread_id AS id, TIMESTAMPDIFF(SECOND, trx_started, NOW()) AS seconds"
    " FROM information_schema.innodb_trx WHERE trx_started < NOW() - INTERVAL 10 SECOND"
    " ORDER BY trx_started LIMIT 5",
    "postgresql": "SELECT pid AS id, extract(epoch FROM clock_timestamp() - xact_start)::int AS seconds FROM pg_stat_activity"
    " WHERE backend_xid IS NOT NULL AND backend_type = 'client backend'"
    " AND xact_start < clock_timestamp() - interval '10 s' ORDER BY xact_start LIMIT 5",
}
_END = {"mysql": "CALL mysql.rds_kill({})", "postgresql": "SELECT pg_terminate_backend({})"}
_LOOK = {
    "mysql": "look at SHOW REPLICA STATUS of green, and GRANT REPLICATION CLIENT to the user",
    "postgresql": "look at pg_stat_replication of blue and pg_stat_wal_receiver of green, and GRANT pg_monitor to the user",
}
# None when nothing follows, or when the user may not see what does: neither is a lag of 0. Blue's read replicas are none of green.
_LAG_POSTGRESQL = (
    "SELECT CASE WHEN count(*) > 0 AND count(*) = count(r.state)"
    " THEN max(extract(epoch FROM coalesce(r.replay_lag, interval '0'))) END AS seconds FROM pg_stat_replication r"
    " LEFT JOIN pg_replication_slots s ON s.active_pid = r.pid"
    " WHERE s.slot_type = 'logical' OR NOT EXISTS (SELECT 1 FROM pg_replication_slots WHERE slot_type = 'logical')"
)
_SIDES = ("blue", "green")
_LEAST = 1.0  # s that what blue has written may take to green
_IN_RECOVERY = "SELECT pg_is_in_recovery() AS physical"


def server_checks(sides: Mapping[str, tuple[Endpoint, str]], max_lag: float) -> list[Check]:
    """What the servers of ``sides`` (endpoint and dialect by ``blue`` and ``green``) say against a switchover."""
    checks: list[Check] = []
    physical = _is_physical(*sides["green"]) if "green" in sides else False
    for side, (endpoint, dialect) in sides.items():
        session = Session(endpoint, family(dialect))
        try:
            if side == "blue":
                checks.append(_transactions(session))
            if (side == "green") == (session.family == "mysql" or physical):
                checks.append(_lag(session, max_lag, physical))
        finally:
            session.close()
    patience = max(max_lag, _LEAST)
    if _is_well(checks) and len(sides) == len(_SIDES) and not _arrives(sides, patience, physical):
        told = next(check for check in checks if check.id == "lag")
        checks.remove(told)
        said = f"{told.evidence}, it is said, but what blue had written did not arrive within {patience:g} s"
        look = _LOOK[family(sides["blue"][1])]
        checks.append(failed("lag", said, f"its replication stands still or is too slow: {look}", _DOCS))
    return checks


def _is_well(checks: Sequence[Check]) -> bool:
    return any(check.id == "lag" and check.status == "ok" for check in checks)


def _arrives(sides: Mapping[str, tuple[Endpoint, str]], patience: float, physical: bool) -> bool:
    blue, green = (Session(sides[side][0], family(sides[side][1])) for side in _SIDES)
    try:
        return arrival.arrives(blue, green, patience, physical=physical)
    finally:
        blue.close()
        green.close()


def _is_physical(green: Endpoint, dialect: str) -> bool:
    """Whether green is a physical replica, which knows by itself how far it is; blue has read replicas that look alike."""
    session = Session(green, family(dialect))
    try:
        return session.family == "postgresql" and bool(session.value(_IN_RECOVERY))
    except BlueGreenError:
        return False  # the look at its lag says what is wrong
    finally:
        session.close()


def metadata_checks(found: Mapping[str, list[Row] | BlueGreenError]) -> list[Check]:
    """Whether the wrappers' metadata is there: without it they do not notice the switchover, and nor does the window's measure."""
    checks: list[Check] = []
    for side, rows in found.items():
        name = f"metadata_{side}"
        if isinstance(rows, BlueGreenError):
            checks.append(warning(name, rows.message.rstrip("."), "bg_clients says which users are affected"))
        elif not rows:
            checks.append(
                warning(
                    name,
                    f"{side} has no rows of Blue/Green metadata yet, so that the AWS wrappers do not know of the deployment",
                    "wait for them, the service can take a day, if clients use the wrappers' bg plugin",
                )
            )
        else:
            checks.append(ok(name, f"{side} has {len(rows)} rows of Blue/Green metadata, in status {rows[0].status}"))
    return checks


def _transactions(session: Session) -> Check:
    try:
        found = session.rows(_TRANSACTIONS[session.family])
    except BlueGreenError as error:
        return failed("transactions", error.message.rstrip("."), "correct the connection to blue", _DOCS)
    if not found:
        return ok("transactions", f"no transaction on blue has been writing for more than {_LONG} s", _DOCS)
    listed = ", ".join(f"{row['id']} for {int(row['seconds'])} s" for row in found)
    end = _END[session.family].format(found[0]["id"])
    return failed(
        "transactions", f"transactions on blue write for longer than {_LONG} s: {listed}", f"end them: {end}", _DOCS
    )


def _lag(session: Session, max_lag: float, physical: bool) -> Check:
    try:
        if session.family == "mysql" or physical:
            behind = replicas.state(session).seconds
        else:
            behind = session.rows(_LAG_POSTGRESQL)[0]["seconds"]
    except BlueGreenError as error:
        return failed(
            "lag", error.message.rstrip("."), "correct the connection, its user needs to see the replication", _DOCS
        )
    if behind is None:
        return failed(
            "lag", "the replication to green does not run, or this user may not see it", _LOOK[session.family], _DOCS
        )
    seconds = float(behind)
    if seconds > max_lag:
        return failed(
            "lag", f"green is {seconds:.0f} s behind, more than max_lag of {max_lag:g} s", "let it catch up", _DOCS
        )
    return ok("lag", f"green is {seconds:.1f} s behind", _DOCS)
