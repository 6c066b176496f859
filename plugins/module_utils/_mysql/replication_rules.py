# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Guardrails about replication between two servers: each a pure function of what both say."""

from __future__ import annotations

from collections.abc import Sequence

from .._core.checks import Check, failed, ok, warning
from .._core.rule import some
from .coordinates import Channel
from .remedies import remedy, told
from .rule import AURORA, MANUAL
from .rules_facts import ServerFacts
from .server_rules import parameter

_DOCS = AURORA + "AuroraMySQL.Replication.MySQL.html"
_CHECKPOINT = 10  # ms; what a wait for a position takes at most beside the work itself
_OF_SERVICE = ("rdsrepladmin", "rdsadmin")


def not_a_replica(server: ServerFacts, ours: Sequence[str]) -> Check:
    """Blue receives nothing from elsewhere: its clone would go on from the same place, and one server has one default channel."""
    check_id = f"{server.side}_channels"
    foreign = [row for row in server.channels if row.get("Channel_Name") or row.get("Source_User") not in ours]
    if not foreign:
        return ok(check_id, f"{server.side} is no replica of another server", _DOCS)
    found = [f"{row.get('Channel_Name') or 'the default channel'} from {row.get('Source_Host')}" for row in foreign]
    reset = next(
        (name for name in ("rds_reset_external_source", "rds_reset_external_master") if name in server.procedures), None
    )
    remedy_ = f"CALL mysql.rds_stop_replication; CALL mysql.{reset}" if reset else "STOP REPLICA; RESET REPLICA ALL"
    return failed(
        check_id,
        f"{server.side} must not be a replica of another server, but has {some(found)}",
        f"{remedy_}, when its source is not needed any more",
        _DOCS,
    )


def other_readers(server: ServerFacts, ours: Sequence[str]) -> Check:
    """Replicas and change data capture of others stay with blue."""
    check_id = f"{server.side}_binlog_readers"
    found = [one for one in server.readers if one.user not in (*ours, *_OF_SERVICE)]
    if not found:
        return ok(check_id, f"nobody else reads the binary log of {server.side}", _DOCS)
    return warning(
        check_id,
        f"others (replicas, Debezium, DMS, zero-ETL) read the binary log of {server.side} and know its files and offsets only, which "
        "mean other events on green: " + some(f"{one.user} from {one.origin}" for one in found),
        "after the switchover make them go on from green's position, which bg_switchover returns as position, or by GTID",
        _DOCS,
    )


def replicates(target: ServerFacts, channel: Channel | None) -> Check:
    """Replication into the target runs, without an error."""
    if channel is None:
        return failed(
            "replication",
            f"{target.side} must be replicated to before the switchover, but replication is not configured there",
            "binlog_replication with state=running",
            _DOCS,
        )
    if channel.error:
        return failed(
            "replication",
            f"replication to {target.side} has stopped: {told(channel.error)}",
            remedy(channel.error),
            _DOCS,
        )
    if not channel.running:
        return failed(
            "replication",
            f"replication to {target.side} does not run: the connection to the source is {channel.io}, the applier is "
            f"{'on' if channel.applier else 'off'}",
            "binlog_replication with state=running",
            _DOCS,
        )
    return ok("replication", f"{target.side} replicates from {channel.source_host}", _DOCS)


def caught_up(target: ServerFacts, waited: float | None, limit: float) -> Check:
    """What the source had written when it was asked has been applied; ``waited`` seconds, None when it was not in time."""
    if waited is None:
        return failed(
            "replication_lag",
            f"{target.side} should apply what the other side has written within {limit:.0f} s, but did not",
            "let it catch up; with a long backlog look at tables without a primary key and at replica_parallel_workers",
            _DOCS,
        )
    return ok(
        "replication_lag",
        f"{target.side} had applied what the other side had written after {waited * 1000:.0f} ms",
        _DOCS,
    )


def log_is_there(source: ServerFacts, channel: Channel | None, missing: str) -> Check:
    """The source still has what the target has not read; ``missing``: purged GTIDs that the target lacks."""
    check_id = f"{source.side}_log_left"
    if missing:
        return failed(
            check_id,
            f"{source.side} has purged transactions that the other side does not have: {missing}",
            "this green cannot follow any more: delete it and clone anew, with a longer binary log retention",
            _DOCS,
        )
    if channel and channel.read and not channel.auto_position and channel.read.file not in source.logs:
        return failed(
            check_id,
            f"{source.side} no longer has the binary log file {channel.read.file}, which the other side reads",
            "this green cannot follow any more: delete it and clone anew, with a longer binary log retention",
            _DOCS,
        )
    files = list(source.logs)
    if (
        channel
        and channel.read
        and channel.read.file in files
        and len(files) > 3
        and files.index(channel.read.file) == 0
    ):
        return warning(
            check_id,
            f"the other side reads the oldest binary log file that {source.side} has ({channel.read.file}), which is purged next",
            "let it catch up, or keep more: CALL mysql.rds_set_configuration('binlog retention hours', ..)",
            _DOCS,
        )
    return ok(check_id, f"{source.side} has the binary log that the other side needs", _DOCS)


def errant(target: ServerFacts, gtids: str) -> Check:
    """Nobody wrote on the target; ``gtids`` are those that it has and the source has not, in-flight ones not among them."""
    docs = MANUAL + "replication-gtids-lifecycle.html"
    if not gtids:
        return ok("errant_transactions", f"{target.side} has no transaction of its own", docs)
    return failed(
        "errant_transactions",
        f"{target.side} must have no transaction that the other side has not, but has {gtids}: somebody wrote there, and after the "
        "switchover the way back would carry it over",
        "see what they were: SHOW BINLOG EVENTS, or mysqlbinlog --include-gtids; undo them on it with sql_log_bin = 0 and make sure "
        "with bg_verify; when they shall stay, run on the other side SET gtid_next = '..'; BEGIN; COMMIT for each",
        docs,
    )


def own_writes(target: ServerFacts, found: int, unread: int) -> Check:
    """As :func:`errant` without GTIDs: ``found`` changes with the target's own server_id in its log, ``unread`` bytes not looked at."""
    docs = MANUAL + "show-binlog-events.html"
    if found:
        return failed(
            "errant_transactions",
            f"{target.side} must have no write of its own, but its binary log has {found} with its server_id {target.get('server_id')}",
            "see what they were with SHOW BINLOG EVENTS and undo them with sql_log_bin = 0, then make sure with bg_verify",
            docs,
        )
    if unread:
        return warning(
            "errant_transactions",
            f"no write of {target.side}'s own was found at the end of its binary log, but {unread} bytes before that were not looked "
            "at; without GTIDs there is no quicker way to tell",
            "bg_verify tells whether anything differs",
            docs,
        )
    return ok("errant_transactions", f"{target.side} has no write of its own in its binary log", docs)


def applier(target: ServerFacts, channel: Channel | None) -> list[Check]:
    """How the target applies: in order, by several, and quick to tell a position."""
    docs = MANUAL + "replication-options-replica.html"
    workers = int(target.get("replica_parallel_workers", "slave_parallel_workers") or 0)
    name = "replica" if "replica_parallel_workers" in target.variables else "slave"
    ordered = target.on(f"{name}_preserve_commit_order")
    period = int(target.get(f"{name}_checkpoint_period") or 300)
    checks: list[Check] = []
    if workers > 1 and not ordered:
        checks.append(
            failed(
                "commit_order",
                f"{target.side} applies with {workers} workers out of order ({name}_preserve_commit_order is off): a marker may be "
                "there before what was written before it",
                parameter(f"{name}_preserve_commit_order", "ON"),
                docs,
            )
        )
    elif workers < 2:
        checks.append(
            warning(
                "commit_order",
                f"{target.side} applies with one worker ({name}_parallel_workers is {workers}), which falls behind a busy source",
                parameter(f"{name}_parallel_workers", 4) + ", then stop and start replication",
                docs,
            )
        )
    else:
        checks.append(ok("commit_order", f"{target.side} applies with {workers} workers, in the source's order", docs))
    if channel and not channel.auto_position and period > _CHECKPOINT and workers > 1:
        checks.append(
            warning(
                "checkpoint_period",
                f"{target.side} notes the position that it has applied every {period} ms only, which the window waits for without "
                "GTIDs",
                parameter(f"{name}_checkpoint_period", 1),
                docs,
            )
        )
    return checks
