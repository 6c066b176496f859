# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.
"""Guardrails about a server's settings and its binary log: each a pure function of :class:`.rules_facts.ServerFacts`."""

from __future__ import annotations

from collections.abc import Iterable

from .._core.checks import Check, failed, ok, warning
from .._core.rule import some, statements
from .rule import AURORA, MANUAL
from .rules_facts import ServerFacts, Session

LONG = 60.0  # seconds; as the service's own switchover, which refuses them too
SLOW = 5.0
_HOURS = 24  # of binary log, at least: an upgrade of a large cluster takes hours
_POSITIONS_SINCE = (2, 10, 0)  # the position after crash recovery is right (Aurora MySQL release notes)
_ENHANCED_SINCE = (8, 4, 8)  # also with enhanced binlog
_BINLOG = AURORA + "USER_LogAccess.MySQL.BinaryFormat.html"
_GROUP = (
    "aws rds modify-db-cluster-parameter-group --db-cluster-parameter-group-name .. --parameters "
    "ParameterName={name},ParameterValue={value},ApplyMethod={method}"
)
_RETENTION = AURORA + "AuroraMySQL.Replication.MySQL.SettingUp.html"
_GTID = AURORA + "mysql-replication-gtid.html"


def parameter(name: str, value: str | int, *, reboot: bool = False) -> str:
    """The command that sets a cluster parameter, and the reboot that it may need."""
    command = _GROUP.format(name=name, value=value, method="pending-reboot" if reboot else "immediate")
    return f"{command}; aws rds reboot-db-instance --db-instance-identifier <the writer>" if reboot else command


def writer(server: ServerFacts) -> Check:
    """The host leads to the writer: nothing else of what is read here means anything on a reader."""
    check_id = f"{server.side}_writer"
    docs = AURORA + "Aurora.Overview.Endpoints.html"
    if server.on("innodb_read_only"):
        return failed(
            check_id,
            f"{server.side}'s host must lead to the writer, but leads to a reader (innodb_read_only is on)",
            f"give the cluster endpoint as the option host of {server.side}",
            docs,
        )
    return ok(check_id, f"{server.side}'s host leads to the writer", docs)


def binary_log(server: ServerFacts) -> Check:
    """There is a binary log, by rows."""
    check_id = f"{server.side}_binary_log"
    form = server.variables.get("binlog_format", "").upper()
    if not server.logs or server.variables.get("log_bin", "OFF").upper() == "OFF":
        return failed(
            check_id,
            f"{server.side} must write a binary log by rows, but writes none (log_bin is OFF, which is Aurora's default)",
            parameter("binlog_format", "ROW", reboot=True),
            _BINLOG,
        )
    if form == "STATEMENT":
        return failed(
            check_id,
            f"{server.side} must write its binary log by rows, but binlog_format is STATEMENT: statements such as UPDATE .. LIMIT "
            "or with UUID() do something else on green, without an error",
            parameter("binlog_format", "ROW") + ", and new sessions of the applications",
            _BINLOG,
        )
    if form == "MIXED":
        return warning(
            check_id,
            f"{server.side} writes its binary log in the format MIXED: triggers run a second time on green for what is written "
            "as statements, and what a function or collation of another version does there may differ",
            parameter("binlog_format", "ROW") + ", before blue is cloned",
            _BINLOG,
        )
    return ok(check_id, f"{server.side} writes its binary log by rows", _BINLOG)


def row_image(server: ServerFacts) -> Check:
    """Whole rows are written, which every table and every version can be given."""
    check_id = f"{server.side}_row_image"
    docs = MANUAL + "replication-options-binary-log.html"
    image = server.variables.get("binlog_row_image", "FULL").upper()
    partial = server.variables.get("binlog_row_value_options", "")
    if image == "FULL" and not partial:
        return ok(check_id, f"{server.side} writes whole rows", docs)
    found = f"binlog_row_image is {image}" if image != "FULL" else f"binlog_row_value_options is {partial}"
    return warning(
        check_id,
        f"{server.side} should write whole rows to its binary log, but {found}: a table without a primary key, a column that only "
        "one side has, or an older version on the other side stop replication",
        parameter(*(("binlog_row_image", "FULL") if image != "FULL" else ("binlog_row_value_options", ""))),
        docs,
    )


def durability(server: ServerFacts) -> Check:
    """What is acknowledged is on disk, also after a failover."""
    check_id = f"{server.side}_durability"
    docs = MANUAL + "innodb-parameters.html"
    loose = [
        f"{name}={held}"
        for name in ("innodb_flush_log_at_trx_commit", "sync_binlog")
        if (held := server.variables.get(name, "1")) != "1"
    ]
    if not loose or (server.aurora and loose == [one for one in loose if one.startswith("sync_binlog")]):
        return ok(check_id, f"{server.side} writes a transaction to disk before it acknowledges it", docs)
    return warning(
        check_id,
        f"{server.side} acknowledges transactions that are not on disk yet ({', '.join(loose)}): a failover in the window loses "
        "them, and the binary log may then hold what the data do not",
        parameter(loose[0].partition("=")[0], 1),
        docs,
    )


def retention(server: ServerFacts, *, stops: bool) -> Check:
    """The binary log is kept for as long as green may be behind; the service purges it at once unless told otherwise."""
    check_id = f"{server.side}_retention"
    hours = server.retention
    kept = f"{len(server.logs)} files with {_bytes(sum(server.logs.values()))} are there, {_bytes(server.written_per_second * 3600)} an hour are written now"
    if hours is None:
        verdict = failed if stops else warning
        return verdict(
            check_id,
            f"{server.side} must keep its binary log until green has read it, but 'binlog retention hours' is NULL: the service "
            f"purges it as soon as it can ({kept})",
            f"CALL mysql.rds_set_configuration('binlog retention hours', {_HOURS}); binlog_replication with state=prepared does it",
            _RETENTION,
        )
    if hours < _HOURS:
        return warning(
            check_id,
            f"{server.side} keeps its binary log for {hours} hours, in which green must be cloned, upgraded and have caught up ({kept})",
            f"CALL mysql.rds_set_configuration('binlog retention hours', {_HOURS})",
            _RETENTION,
        )
    return ok(check_id, f"{server.side} keeps its binary log for {hours} hours ({kept})", _RETENTION)


def gtids(server: ServerFacts) -> Check:
    """GTIDs are on, which make every position exact; without them positions do."""
    check_id = f"{server.side}_gtid"
    mode = server.variables.get("gtid_mode", "OFF").upper()
    if mode == "ON":
        return ok(check_id, f"gtid_mode on {server.side} is ON", _GTID)
    if mode != "OFF":
        return warning(
            check_id,
            f"gtid_mode on {server.side} is {mode}, on the way between OFF and ON: replication goes by positions",
            f"{parameter('gtid-mode', 'ON')}, or back to OFF, before blue is cloned",
            _GTID,
        )
    return warning(
        check_id,
        f"gtid_mode on {server.side} is OFF: green begins at the position that the service tells after crash recovery, which is "
        "checked on its own, and writes on green cannot be told from blue's by their name",
        "nothing, it works; or before blue is cloned enforce_gtid_consistency=WARN, then ON, then gtid-mode step by step to ON in "
        "the DB cluster parameter group",
        _GTID,
    )


def position_mode(server: ServerFacts) -> Check:
    """Without GTIDs the clone's position must be one that this version tells rightly."""
    check_id = "position_mode"
    docs = AURORA + "AuroraMySQL.Enhanced.binlog.html"
    if server.gtid:
        return ok(check_id, "green begins after a set of GTIDs, no position is needed", docs)
    if server.aurora and server.aurora < _POSITIONS_SINCE:
        return failed(
            check_id,
            f"Aurora MySQL {_dotted(server.aurora)} may tell a wrong position after crash recovery, which was mended in 2.10.0, and "
            "GTIDs are off",
            "upgrade blue's minor version first, or turn GTIDs on",
            docs,
        )
    if server.on("aurora_enhanced_binlog") and (server.aurora is None or server.aurora < _ENHANCED_SINCE):
        return failed(
            check_id,
            "with enhanced binlog a clone may tell a wrong position before Aurora MySQL 8.4.8, and GTIDs are off",
            f"{parameter('gtid-mode', 'ON')} (with enforce_gtid_consistency), or {parameter('aurora_enhanced_binlog', 0, reboot=True)}",
            docs,
        )
    return ok(check_id, "the position that the service tells for a clone can be used", docs)


def filters(server: ServerFacts) -> Check:
    """Nothing is left out of the binary log, or of what is applied from it."""
    check_id = f"{server.side}_filters"
    docs = MANUAL + "replication-rules.html"
    found = [*(f"binlog filter {one}" for one in server.binlog_filters), *server.replica_filters]
    for name in ("replica_skip_errors", "slave_skip_errors"):
        if server.variables.get(name, "OFF").upper() not in ("OFF", ""):
            found.append(f"{name}={server.variables[name]}")
    for name in ("replica_exec_mode", "slave_exec_mode"):
        if server.variables.get(name, "STRICT").upper() != "STRICT":
            found.append(f"{name}={server.variables[name]}")
    if not found:
        return ok(check_id, f"nothing is left out of replication on {server.side}", docs)
    return failed(
        check_id,
        f"every change must be replicated and every error must stop, but on {server.side} some are left out: {some(found)}",
        "take the filters (replicate-*), skipped errors and the mode IDEMPOTENT out of the DB cluster parameter group",
        docs,
    )


def prepared_transactions(server: ServerFacts) -> Check:
    """No XA transaction is prepared: it holds its locks behind a fence and over a restart, and lives on in the clone."""
    check_id = f"{server.side}_prepared_transactions"
    docs = MANUAL + "xa-states.html"
    if not server.prepared:
        return ok(check_id, f"no prepared transaction on {server.side}", docs)
    return failed(
        check_id,
        f"no prepared transaction may be left on {server.side}, but found {some(server.prepared)}",
        statements(f"XA ROLLBACK {xid}" for xid in server.prepared)
        + ", or XA COMMIT, as its transaction manager decides",
        docs,
    )


def long_transactions(server: ServerFacts, *, stops: bool) -> Check:
    """No transaction is older than a minute and no statement runs for long: the fence waits for a statement, and ends the rest."""
    check_id = f"{server.side}_long_transactions"
    docs = MANUAL + "information-schema-innodb-trx-table.html"
    old = {one.id: one for one in (*server.transactions, *server.statements) if one.seconds > LONG}
    if old:
        verdict = failed if stops else warning
        return verdict(
            check_id,
            f"no transaction or statement on {server.side} should be older than {LONG:.0f} s, but found {_named(old.values())}",
            "let them end, or end them: " + statements(_kill(server, one) for one in old.values()),
            docs,
        )
    slow = [one for one in server.statements if one.seconds > SLOW]
    if slow and stops:
        return warning(
            check_id,
            f"statements on {server.side} have run for more than {SLOW:.0f} s, and the fence has to wait for such a one: {_named(slow)}",
            "let them end, or end them: " + statements(_kill(server, one) for one in slow),
            docs,
        )
    return ok(check_id, f"no transaction on {server.side} is older than {LONG:.0f} s", docs)


def own_sessions(server: ServerFacts, *, stops: bool) -> Check:
    """No application logs in as the admin: that account cannot be locked."""
    check_id = f"{server.side}_own_sessions"
    docs = AURORA + "UsingWithRDS.MasterAccounts.html"
    if not server.own_elsewhere:
        return ok(check_id, f"nobody else is logged in on {server.side} as {server.user}", docs)
    verdict = failed if stops else warning
    return verdict(
        check_id,
        f"applications must not log in as {server.user}, which writes through read_only and cannot be locked, but on {server.side} "
        f"these sessions do: {_named(server.own_elsewhere)}",
        "give the application an account of its own, or this module one of its own; to end the sessions: "
        + statements(_kill(server, one) for one in server.own_elsewhere),
        docs,
    )


def _kill(server: ServerFacts, session: Session) -> str:
    return f"CALL mysql.rds_kill({session.id})" if "rds_kill" in server.procedures else f"KILL {session.id}"


def _named(sessions: Iterable[Session]) -> str:
    return some(
        f"session {one.id} of {one.user} from {one.origin} ({one.seconds:.0f} s: {one.what})" for one in sessions
    )


def _bytes(amount: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
