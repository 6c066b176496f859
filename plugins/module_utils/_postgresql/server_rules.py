# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Guardrails about a server: each a pure function of what the catalogs say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .._core.checks import Check, failed, ok, warning
from .._core.rule import some, statements
from .catalog import ServerFacts
from .rule import literal, quoted
from .subscription import Subscription

LONG_TRANSACTION = 60.0  # seconds
STOPPED_REMEDY = (
    "the server's log says what could not be applied and at which LSN: mend the row, or skip that transaction with "
    "ALTER SUBSCRIPTION .. SKIP (lsn = ..), then pg_logical_subscription with state=running"
)
_MIN_VERSION = 150000  # disable_on_error, pg_stat_subscription_stats
_DOCS = "https://www.postgresql.org/docs/current/"
_READ_ONLY = _DOCS + "runtime-config-client.html#GUC-DEFAULT-TRANSACTION-READ-ONLY"
_SUBSCRIPTION = _DOCS + "logical-replication-subscription.html"
_CONFIG = _DOCS + "logical-replication-config.html"
_AURORA = (
    "https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/AuroraPostgreSQL.Replication.Logical.Configure.html"
)


def server_version(server: ServerFacts) -> Check:
    """The server knows what the recipe needs."""
    major = server.version // 10000
    if server.version < _MIN_VERSION:
        return failed(
            f"{server.side}_version",
            f"{server.side} runs PostgreSQL {major}, but replication that stops at an error needs 15",
            "upgrade the minor or major version first",
            _DOCS + "sql-createsubscription.html",
        )
    return ok(f"{server.side}_version", f"{server.side} runs PostgreSQL {major}", _DOCS + "sql-createsubscription.html")


def logical_replication(server: ServerFacts) -> Check:
    """The server writes a log that can be decoded."""
    level = server.settings.get("wal_level", "unknown")
    check_id = f"{server.side}_logical_replication"
    if level == "logical":
        return ok(check_id, f"wal_level on {server.side} is logical", _AURORA)
    pending = "it waits for a reboot" if _pending(server) else "it is off or waits for a reboot"
    return failed(
        check_id,
        f"logical replication is wanted on {server.side}, but wal_level is {level}: {pending}",
        f"set rds.logical_replication to 1 in the parameter group of {server.side} and reboot the writer instance",
        _AURORA,
    )


def publisher_capacity(server: ServerFacts, more: int) -> list[Check]:
    """Room for ``more`` slots and the senders that serve them."""
    return [
        _room(server, "replication_slots", "max_replication_slots", server.slots_used, more),
        _room(server, "wal_senders", "max_wal_senders", server.senders_used, more),
    ]


def subscriber_capacity(server: ServerFacts, more: int) -> list[Check]:
    """Room for ``more`` subscriptions: their workers and their replication origins."""
    origins = "max_active_replication_origins" if server.version >= 180000 else "max_replication_slots"
    return [
        _room(server, "replication_origins", origins, server.origins_used, more),
        _room(server, "logical_workers", "max_logical_replication_workers", server.workers_used, more),
        _worker_processes(server),
    ]


def prepared_transactions(server: ServerFacts, databases: Sequence[str]) -> Check:
    """No prepared transaction is left: it blocks a slot, lives on in the clone and can commit behind a fence."""
    check_id = f"{server.side}_prepared_transactions"
    docs = _DOCS + "view-pg-prepared-xacts.html"
    found = [f"{one.gid!r} of {one.owner} in {one.database}" for one in server.prepared]
    if not found:
        return ok(check_id, f"no prepared transaction on {server.side}", docs)
    return failed(
        check_id,
        f"no prepared transaction may be left on {server.side}, but found {some(found)}",
        statements(f"in database {one.database}: ROLLBACK PREPARED {literal(one.gid)}" for one in server.prepared)
        + ", as its owner, or COMMIT PREPARED",
        docs,
    )


def long_transactions(server: ServerFacts, *, stops: bool) -> Check:
    """No writing transaction is older than a minute: a slot waits for it, and a fence would end it."""
    check_id = f"{server.side}_long_transactions"
    docs = _DOCS + "monitoring-stats.html#MONITORING-PG-STAT-ACTIVITY-VIEW"
    old = [one for one in server.open_transactions if one.seconds > LONG_TRANSACTION]
    found = [f"process {one.pid} of {one.user} in {one.database} ({one.seconds:.0f} s)" for one in old]
    if not found:
        return ok(check_id, f"no writing transaction on {server.side} is older than {LONG_TRANSACTION:.0f} s", docs)
    verdict = failed if stops else warning
    return verdict(
        check_id,
        f"writing transactions on {server.side} are older than {LONG_TRANSACTION:.0f} s: {some(found)}",
        "let them end, or end them: " + statements(f"SELECT pg_terminate_backend({one.pid})" for one in old),
        docs,
    )


def not_a_subscriber(server: ServerFacts, foreign: Sequence[Subscription]) -> Check:
    """Blue receives nothing from elsewhere: its clone would eat from the same slot."""
    check_id = f"{server.side}_subscriptions"
    docs = _DOCS + "sql-dropsubscription.html"
    if not foreign:
        return ok(check_id, f"{server.side} is no subscriber of another publisher", docs)
    return failed(
        check_id,
        f"{server.side} must not be a subscriber, because its clone would consume the same slots, but has the subscriptions "
        + some(f"{one.name} in {one.database}" for one in foreign),
        statements(f"in database {one.database}: DROP SUBSCRIPTION {quoted(one.name)}" for one in foreign)
        + ", or move them to another cluster, before cloning",
        docs,
    )


def open_for_writers(server: ServerFacts, closed: Iterable[str]) -> Check:
    """Blue serves."""
    names = sorted(closed)
    check_id = f"{server.side}_serves"
    if not names:
        return ok(check_id, f"{server.side} is open for writers", _READ_ONLY)
    return failed(
        check_id,
        f"{server.side} should serve, but its databases {some(names)} are read-only by default",
        "look which side serves before anything else; these open it: "
        + statements(f"ALTER DATABASE {quoted(name)} RESET default_transaction_read_only" for name in names),
        _READ_ONLY,
    )


def closed_for_writers(server: ServerFacts, databases: Sequence[str], closed: Iterable[str]) -> Check:
    """The side that replication writes to is closed for everybody else."""
    open_ones = sorted(set(databases) - set(closed))
    check_id = f"{server.side}_closed"
    if not open_ones:
        return ok(check_id, f"{server.side} is closed for writers", _READ_ONLY)
    return failed(
        check_id,
        f"{server.side} must be closed for writers while it is replicated to, but {some(open_ones)} is open",
        statements(f"ALTER DATABASE {quoted(name)} SET default_transaction_read_only = on" for name in open_ones)
        + ", after making sure that nobody wrote there",
        _READ_ONLY,
    )


def replicates(database: str, subscription: Subscription | None) -> Check:
    """The database is subscribed and its worker runs without errors."""
    check_id = f"replication_{database}"
    if subscription is None or not subscription.started:
        return failed(
            check_id,
            f"database {database} must be replicated before the switchover, but has no started subscription",
            "pg_logical_subscription with state=running",
            _SUBSCRIPTION,
        )
    if not subscription.enabled or subscription.worker_pid is None:
        errors = f" after {subscription.errors} errors" if subscription.errors else ""
        return failed(
            check_id,
            f"the subscription {subscription.name} of database {database} does not run{errors}",
            STOPPED_REMEDY if subscription.errors else "pg_logical_subscription with state=running",
            _SUBSCRIPTION,
        )
    return ok(check_id, f"the subscription {subscription.name} of database {database} runs", _SUBSCRIPTION)


def read_only_overrides(server: ServerFacts, databases: Sequence[str], *, stops: bool) -> Check:
    """No role's own setting wins over the fence."""
    check_id = f"{server.side}_read_only_overrides"
    wide = "every database"
    docs = _DOCS + "sql-alterrole.html"
    over = [
        one
        for one in server.overrides
        if one.value.lower() not in ("on", "true", "yes", "1") and (one.database is None or one.database in databases)
    ]
    found = [f"{one.role} in {one.database or wide}" for one in over]
    if not found:
        return ok(check_id, f"no role on {server.side} overrides default_transaction_read_only", docs)
    verdict = failed if stops else warning
    return verdict(
        check_id,
        f"the fence needs default_transaction_read_only to hold, but on {server.side} it is overridden for {some(found)}",
        statements(
            f"ALTER ROLE {quoted(one.role)}{f' IN DATABASE {quoted(one.database)}' if one.database else ''} "
            "RESET default_transaction_read_only"
            for one in over
        ),
        docs,
    )


def _pending(server: ServerFacts) -> bool:
    return bool({"wal_level", "rds.logical_replication"} & set(server.pending_restart)) or server.settings.get(
        "rds.logical_replication"
    ) in ("on", "1")


def _room(server: ServerFacts, what: str, setting: str, used: int, wanted: int) -> Check:
    limit = server.number(setting)
    check_id = f"{server.side}_{what}"
    if used + wanted <= limit:
        return ok(check_id, f"{setting} on {server.side} is {limit}, {used} in use, {wanted} more needed", _CONFIG)
    return failed(
        check_id,
        f"{setting} on {server.side} is {limit} and {used} are in use, but {wanted} more are needed, one per database",
        f"raise {setting} to {used + wanted} or more in the parameter group of {server.side} and reboot the writer instance",
        _CONFIG,
    )


def _worker_processes(server: ServerFacts) -> Check:
    processes, workers = server.number("max_worker_processes"), server.number("max_logical_replication_workers")
    check_id = f"{server.side}_worker_processes"
    if processes > workers:
        return ok(
            check_id, f"max_worker_processes on {server.side} is {processes}, above {workers} logical workers", _CONFIG
        )
    return warning(
        check_id,
        f"max_worker_processes on {server.side} is {processes}, not above max_logical_replication_workers ({workers})",
        "raise max_worker_processes, parallel queries and extensions take from it too",
        _CONFIG,
    )
