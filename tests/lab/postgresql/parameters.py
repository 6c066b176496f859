# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions and parameters of Aurora PostgreSQL as the lab offers them, and their translation for a community server.

Sources: "Amazon Aurora PostgreSQL parameters" and "Security with Amazon Aurora PostgreSQL" (rds.force_ssl is on by
default from version 17) of the Aurora user guide; static and dynamic are the server's contexts postmaster and others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tests.lab.engine import DURABLE, EngineVersion, Parameter

ENGINE = "aurora-postgresql"
FAMILIES = {"aurora-postgresql16": 16, "aurora-postgresql18": 18}
VERSIONS = (
    EngineVersion(ENGINE, "16.10", "aurora-postgresql16", 16, ("16.14", "18.1")),
    EngineVersion(ENGINE, "16.14", "aurora-postgresql16", 16, ("18.4",)),
    EngineVersion(ENGINE, "18.1", "aurora-postgresql18", 18, ("18.4",)),
    EngineVersion(ENGINE, "18.4", "aurora-postgresql18", 18, ()),
)


class Row(NamedTuple):
    """One line of the table below."""

    name: str
    value: str | None
    apply_type: str
    data_type: str
    allowed: str | None
    description: str
    modifiable: bool = True
    since: int = 16


S, D = "static", "dynamic"
INT, BOOL, TEXT, LIST, REAL = "integer", "boolean", "string", "list", "float"
_MS = "0-2147483647"
# fmt: off
TABLE = (
    Row("apg_plan_mgmt.use_plan_baselines", None, D, BOOL, "0,1", "Use plan baselines."),
    Row("application_name", None, D, TEXT, None, "Application name reported in statistics and logs.", False),
    Row("autovacuum", "1", D, BOOL, "0,1", "Starts the autovacuum subprocess."),
    Row("autovacuum_max_workers", "GREATEST({DBInstanceClassMemory/64371566592},3)", S, INT, "1-262143",
        "Maximum number of simultaneously running autovacuum workers."),
    Row("autovacuum_naptime", "5", D, INT, "1-2147483", "(s) Time to sleep between autovacuum runs."),
    Row("autovacuum_vacuum_scale_factor", "0.1", D, REAL, "0-100", "Fraction of a table that triggers a vacuum."),
    Row("autovacuum_analyze_scale_factor", "0.05", D, REAL, "0-100", "Fraction of a table that triggers an analyze."),
    Row("checkpoint_timeout", "60", D, INT, "30-3600", "(s) Maximum time between automatic checkpoints.", False),
    Row("client_encoding", "UTF8", D, TEXT, None, "Client's character set encoding."),
    Row("datestyle", None, D, TEXT, None, "Display format for date and time values."),
    Row("deadlock_timeout", None, D, INT, "1-2147483647", "(ms) Time to wait on a lock before deadlock detection."),
    Row("default_transaction_deferrable", None, D, BOOL, "0,1", "Default deferrable status of transactions."),
    Row("default_transaction_isolation", None, D, TEXT,
        "serializable,repeatable read,read committed,read uncommitted", "Default isolation level of transactions."),
    Row("default_transaction_read_only", None, D, BOOL, "0,1", "Default read-only status of transactions."),
    Row("effective_cache_size", "SUM({DBInstanceClassMemory/12038},-50003)", D, INT, "1-2147483647",
        "(8kB) The planner's assumption about the size of the disk cache."),
    Row("extra_float_digits", None, D, INT, "-15-3", "Number of digits for floating-point values."),
    Row("fsync", "1", D, BOOL, "0,1", "Forces synchronization of updates to disk.", False),
    Row("full_page_writes", "0", D, BOOL, "0,1", "Writes full pages to WAL after a checkpoint.", False),
    Row("hot_standby_feedback", "1", D, BOOL, "0,1", "Feedback from a hot standby.", False),
    Row("idle_in_transaction_session_timeout", "86400000", D, INT, _MS,
        "(ms) Maximum idle time of a session in a transaction."),
    Row("idle_session_timeout", None, D, INT, _MS, "(ms) Maximum idle time of a session."),
    Row("idle_replication_slot_timeout", None, D, INT, "0-35791394",
        "(s) Time after which an idle replication slot is invalidated.", True, 18),
    Row("intervalstyle", None, D, TEXT, "postgres,postgres_verbose,sql_standard,iso_8601",
        "Display format for interval values."),
    Row("lc_messages", None, D, TEXT, None, "Language in which messages are displayed."),
    Row("listen_addresses", "*", S, TEXT, None, "Host name or IP addresses to listen on.", False),
    Row("lock_timeout", None, D, INT, _MS, "(ms) Maximum time to wait for a lock."),
    Row("log_connections", None, D, BOOL, "0,1", "Logs each successful connection."),
    Row("log_disconnections", None, D, BOOL, "0,1", "Logs the end of a session."),
    Row("log_lock_waits", None, D, BOOL, "0,1", "Logs long lock waits."),
    Row("log_min_duration_statement", None, D, INT, "-1-2147483647",
        "(ms) Minimum execution time above which statements are logged."),
    Row("log_min_messages", None, D, TEXT,
        "debug5,debug4,debug3,debug2,debug1,info,notice,warning,error,log,fatal,panic", "Message levels logged."),
    Row("log_replication_commands", None, D, BOOL, "0,1", "Logs each replication command."),
    Row("log_statement", None, D, TEXT, "none,ddl,mod,all", "Type of statements logged."),
    Row("logical_decoding_work_mem", None, D, INT, "64-2147483647", "(kB) Memory for logical decoding."),
    Row("maintenance_work_mem", "GREATEST({DBInstanceClassMemory*1024/63963136},65536)", D, INT, "1024-2147483647",
        "(kB) Maximum memory for maintenance operations."),
    Row("max_active_replication_origins", None, S, INT, "0-262143",
        "Maximum number of active replication origins.", True, 18),
    Row("max_connections", "LEAST({DBInstanceClassMemory/9531392},5000)", S, INT, "6-262143",
        "Maximum number of concurrent connections."),
    Row("max_locks_per_transaction", "64", S, INT, "10-2147483647", "Maximum number of locks per transaction."),
    Row("max_logical_replication_workers", "4", S, INT, "0-262143",
        "Maximum number of logical replication worker processes."),
    Row("max_parallel_workers", "GREATEST({DBInstanceVCPU/2},8)", D, INT, "0-1024", "Maximum parallel workers."),
    Row("max_parallel_apply_workers_per_subscription", "2", D, INT, "0-1024",
        "Maximum parallel apply workers per subscription."),
    Row("max_prepared_transactions", "0", S, INT, "0-262143",
        "Maximum number of simultaneously prepared transactions."),
    Row("max_replication_slots", "20", S, INT, "0-262143", "Maximum number of replication slots."),
    Row("max_slot_wal_keep_size", "-1", D, INT, "-1-2147483647", "(MB) WAL that replication slots can reserve.", False),
    Row("max_standby_streaming_delay", "14000", D, INT, "1000-30000",
        "(ms) Maximum delay before queries are cancelled on a reader."),
    Row("max_sync_workers_per_subscription", "2", D, INT, "0-262143",
        "Maximum table synchronization workers per subscription."),
    Row("max_wal_senders", "20", S, INT, "5-100", "Maximum number of walsender processes."),
    Row("max_worker_processes", "GREATEST({DBInstanceVCPU*2},8)", S, INT, "0-262143",
        "Maximum number of concurrent worker processes."),
    Row("password_encryption", "scram-sha-256", D, TEXT, "md5,scram-sha-256", "Password hashing algorithm."),
    Row("pg_stat_statements.track", None, D, TEXT, "none,top,all", "Statements tracked."),
    Row("port", None, S, INT, None, "Port that the server listens on.", False),
    Row("random_page_cost", None, D, REAL, None, "Cost of a non-sequentially fetched page."),
    Row("rds.accepted_password_auth_method", "md5+scram", D, TEXT, "md5+scram,scram",
        "Authentication methods accepted for passwords."),
    Row("rds.force_ssl", "0", D, BOOL, "0,1", "Force SSL connections."),
    Row("rds.log_retention_period", "4320", D, INT, "1440-10080", "(min) How long logs are kept."),
    Row("rds.logical_replication", "0", S, BOOL, "0,1", "Enables logical decoding."),
    Row("rds.logical_wal_cache", "-1", S, INT, None, "(8kB) Size of the logical WAL cache."),
    Row("rds.rds_superuser_reserved_connections", "2", S, INT, "0-262143",
        "Connection slots reserved for rds_superuser."),
    Row("rds.restrict_password_commands", "0", S, BOOL, "0,1", "Only rds_password may change passwords."),
    Row("search_path", None, D, TEXT, None, "Schema search order."),
    Row("session_replication_role", None, D, TEXT, "origin,replica,local", "Behavior of triggers and rules."),
    Row("shared_buffers", "SUM({DBInstanceClassMemory/12038},-50003)", S, INT, "16-1073741823",
        "(8kB) Number of shared memory buffers."),
    Row("shared_preload_libraries", "pg_stat_statements", S, LIST, None, "Libraries loaded at start."),
    Row("ssl", "1", S, BOOL, "0,1", "Enables SSL connections.", False),
    Row("ssl_min_protocol_version", "TLSv1.2", D, TEXT, "TLSv1,TLSv1.1,TLSv1.2,TLSv1.3", "Minimum TLS version."),
    Row("statement_timeout", None, D, INT, _MS, "(ms) Maximum duration of a statement."),
    Row("synchronous_commit", "on", D, TEXT, "on,off", "Synchronization level of a commit."),
    Row("tcp_keepalives_count", None, D, INT, _MS, "Maximum number of TCP keepalive retransmits."),
    Row("tcp_keepalives_idle", "300", D, INT, _MS, "(s) Time between TCP keepalives."),
    Row("tcp_keepalives_interval", "30", D, INT, _MS, "(s) Time between TCP keepalive retransmits."),
    Row("timezone", "UTC", D, TEXT, None, "Time zone for displaying and interpreting time stamps."),
    Row("track_activity_query_size", "4096", S, INT, "100-102400", "(B) Size of a query in pg_stat_activity."),
    Row("track_commit_timestamp", None, S, BOOL, "0,1", "Collects transaction commit time."),
    Row("track_io_timing", "1", D, BOOL, "0,1", "Collects timing of database I/O."),
    Row("transaction_timeout", None, D, INT, _MS, "(ms) Maximum duration of a transaction.", True, 18),
    Row("wal_receiver_status_interval", "2", D, INT, "0-2147483", "(s) Interval of status reports to the sender."),
    Row("wal_receiver_timeout", "30000", D, INT, "0-3600000", "(ms) Maximum time to wait for the sender."),
    Row("wal_sender_timeout", "30000", D, INT, "0-3600000", "(ms) Maximum time to wait for a receiver."),
    Row("work_mem", None, D, INT, "64-2147483647", "(kB) Memory for query work spaces."),
    Row("xmlbinary", None, D, TEXT, "base64,hex", "Encoding of binary values in XML."),
)
# fmt: on
# Defaults that a later family has instead.
SINCE_18 = {"rds.force_ssl": "1"}

# What a community server gets so that several of them share a laptop; none of it is a client's business.
LAB_SETTINGS: Mapping[str, str] = {
    "shared_buffers": "32MB",
    "dynamic_shared_memory_type": "mmap",  # files in the data directory: nothing stays in /dev/shm after a crash
    "huge_pages": "off",
    "max_connections": "200",
    "max_worker_processes": "8",
    "autovacuum_max_workers": "3",
    "autovacuum_naptime": "30s",
    "max_parallel_workers": "8",
    "checkpoint_timeout": "30min",
    # What is killed here is servers, never the machine: what was written is there. The benchmark waits for the disk.
    "fsync": "on" if DURABLE else "off",
    "max_wal_size": "2GB",
    "min_wal_size": "80MB",
    "wal_keep_size": "512MB",  # a clone and a reader need what was written while their copy was made
    "wal_retrieve_retry_interval": "200ms",
    "log_line_prefix": "%m [%p] %q%u@%d %a ",
    "log_checkpoints": "off",
    "log_timezone": "UTC",
    "log_replication_commands": "on",
    "max_standby_streaming_delay": "14s",
}
LAB_SETTINGS_18: Mapping[str, str] = {"io_method": "sync"}  # no processes for reading
# Not for a community server: it does not know them, the lab decides them, or the library is not in the wheel.
NOT_TRANSLATED = frozenset(
    {
        "application_name",
        "autovacuum_naptime",
        "checkpoint_timeout",
        "effective_cache_size",
        "fsync",
        "full_page_writes",
        "listen_addresses",
        "maintenance_work_mem",
        "port",
        "shared_preload_libraries",
        "ssl",
        "ssl_min_protocol_version",
    }
)
READ_ONLY = "default_transaction_read_only"
# Parameters of the service alone that a session can SHOW there: placeholders for a community server.
SHOWN = ("rds.force_ssl", "rds.logical_replication")
# A physical standby must not have less of these than its primary ("hot standby is not possible", 27.4.3 of the manual).
STANDBY_MINIMUM = (
    "max_connections",
    "max_worker_processes",
    "max_wal_senders",
    "max_prepared_transactions",
    "max_locks_per_transaction",
)


def family_of(version: str) -> EngineVersion:
    """Return what is known about a version; KeyError when it is not offered."""
    return {entry.version: entry for entry in VERSIONS}[version]


def defaults(family: str) -> dict[str, Parameter]:
    """Return the parameters of a family by name; KeyError for an unknown family."""
    major = FAMILIES[family]
    return {row.name: _parameter(row, major) for row in TABLE if row.since <= major}


def _parameter(row: Row, major: int) -> Parameter:
    value = SINCE_18.get(row.name, row.value) if major >= 18 else row.value
    return Parameter(row.name, value, row.apply_type, row.data_type, row.allowed, row.modifiable, row.description)


def is_set(parameters: Mapping[str, str], family: str, name: str) -> bool:
    """Return the value of a boolean parameter, the family's default when it is not given."""
    value = parameters.get(name, defaults(family)[name].value)
    return value is not None and value.lower() in ("1", "on", "true", "yes")


def server_settings(family: str, parameters: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of a community server for the effective parameters of the service.

    Parameters that are not given have the family's default. Formulas such as `{DBInstanceClassMemory/12038}` and
    parameters without meaning for a community server leave the lab's own setting in place.
    """
    known = defaults(family)
    effective = {name: parameter.value for name, parameter in known.items() if parameter.value is not None}
    effective.update((name, value) for name, value in parameters.items() if name in known)
    settings = {**LAB_SETTINGS, **(LAB_SETTINGS_18 if FAMILIES[family] >= 18 else {})}
    for name, value in effective.items():
        if "." not in name and name not in NOT_TRANSLATED and "{" not in value:
            settings[name] = value
    for name in SHOWN:
        settings[name] = "on" if is_set(parameters, family, name) else "off"
    settings["wal_level"] = "logical" if settings["rds.logical_replication"] == "on" else "replica"
    return settings


def dynamic_only(family: str, running: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of a running server after a reload: the dynamic ones as wanted, the rest as it was."""
    dynamic = {name for name, parameter in defaults(family).items() if parameter.apply_type == "dynamic"}
    kept = {name: value for name, value in running.items() if name not in dynamic}
    return {**kept, **{name: value for name, value in wanted.items() if name in dynamic}}


def falls_short(standby: Mapping[str, str], primary: Mapping[str, str]) -> dict[str, str]:
    """Return the primary's settings of which a standby has too little."""
    both = [name for name in STANDBY_MINIMUM if name in standby and name in primary]
    return {name: primary[name] for name in both if int(standby[name]) < int(primary[name])}


def configuration(settings: Mapping[str, str]) -> str:
    """Return the text of a configuration file."""
    lines = [f"{name} = '{_quoted(value)}'" for name, value in sorted(settings.items())]
    return "\n".join(lines) + "\n"


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")
