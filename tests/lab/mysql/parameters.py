# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions and parameters of Aurora MySQL as the lab offers them, and their translation for a community server.

Sources: "Aurora MySQL configuration parameters" of the Aurora user guide (which exist, which can be modified), the
default groups of the families, the release notes (versions), and the server's manual (dynamic or not).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tests.lab.engine import DURABLE, EngineVersion, Parameter
from tests.lab.mysql.servers import BINLOG

ENGINE = "aurora-mysql"
FAMILIES = {"aurora-mysql8.0": 3, "aurora-mysql8.4": 8}  # with the first number of the release of Aurora
_V3, _V84 = "8.0.mysql_aurora.", "8.4.mysql_aurora."
VERSIONS = (
    EngineVersion(
        ENGINE, f"{_V3}3.05.2", "aurora-mysql8.0", 8, (f"{_V3}3.10.0", f"{_V3}3.12.0", f"{_V84}8.4.7", f"{_V84}8.4.8")
    ),
    EngineVersion(ENGINE, f"{_V3}3.10.0", "aurora-mysql8.0", 8, (f"{_V3}3.12.0", f"{_V84}8.4.7", f"{_V84}8.4.8")),
    EngineVersion(ENGINE, f"{_V3}3.12.0", "aurora-mysql8.0", 8, (f"{_V84}8.4.7", f"{_V84}8.4.8")),
    EngineVersion(ENGINE, f"{_V84}8.4.7", "aurora-mysql8.4", 8, (f"{_V84}8.4.8",)),
    EngineVersion(ENGINE, f"{_V84}8.4.8", "aurora-mysql8.4", 8, ()),
)


# RDS for MySQL: the same server under the service's other name.
RDS_ENGINE = "mysql"
RDS_FAMILIES = {"mysql8.0": 3, "mysql8.4": 8}  # as in FAMILIES
RDS_VERSIONS = (
    EngineVersion(RDS_ENGINE, "8.0.42", "mysql8.0", 8, ("8.0.44", "8.4.7", "8.4.8")),
    EngineVersion(RDS_ENGINE, "8.0.44", "mysql8.0", 8, ("8.4.7", "8.4.8")),
    EngineVersion(RDS_ENGINE, "8.4.7", "mysql8.4", 8, ("8.4.8",)),
    EngineVersion(RDS_ENGINE, "8.4.8", "mysql8.4", 8, ()),
)
_EVERY = {version.version: version for version in (*VERSIONS, *RDS_VERSIONS)}


class Row(NamedTuple):
    """One line of the table below; `first` and `last` are first numbers of releases of Aurora, as in FAMILIES."""

    name: str
    value: str | None
    apply_type: str
    data_type: str
    allowed: str | None
    description: str
    modifiable: bool = True
    first: int = 3
    last: int = 8


S, D = "static", "dynamic"
INT, BOOL, TEXT, LIST, REAL = "integer", "boolean", "string", "list", "float"
_WORD = "0-4294967295"
# fmt: off
TABLE = (
    Row("activate_all_roles_on_login", None, D, BOOL, "0,1", "Activates all granted roles when a user logs in."),
    Row("aurora_binlog_replication_max_yield_seconds", None, D, INT, "0-36000",
        "(s) How long a binlog dump thread yields to writers of the active binary log."),
    Row("aurora_binlog_replication_sec_index_parallel_workers", "0", S, INT, "0-1000",
        "Workers that apply changes of secondary indexes of a replica."),
    Row("aurora_enhanced_binlog", "0", S, BOOL, "0,1", "Turns the enhanced binary log on."),
    Row("aurora_parallel_query", "OFF", D, BOOL, "ON,OFF", "Turns parallel query on."),
    Row("auto_increment_increment", None, D, INT, "1-65535", "The interval between AUTO_INCREMENT values."),
    Row("auto_increment_offset", None, D, INT, "1-65535", "The first AUTO_INCREMENT value."),
    Row("autocommit", "1", D, BOOL, "0,1", "Sets the autocommit mode."),
    Row("binlog_backup", "1", S, BOOL, "0,1", "Backs the binary log up; off with the enhanced binary log."),
    Row("binlog_cache_size", "32768", D, INT, "4096-18446744073709547520", "(B) Cache of a transaction's changes."),
    Row("binlog_checksum", None, D, TEXT, "NONE,CRC32", "Checksum of events in the binary log."),
    Row("binlog_format", "OFF", S, TEXT, "ROW,STATEMENT,MIXED,OFF", "Binary logging format for replication."),
    Row("binlog_group_commit_sync_delay", None, D, INT, "0-1000000", "(us) Delay before the binary log is synced."),
    Row("binlog_replication_globaldb", "1", S, BOOL, "0,1", "Replicates the binary log of a global database."),
    Row("binlog_row_image", "full", D, TEXT, "full,minimal,noblob", "How much of a row is logged.", False),
    Row("binlog_row_metadata", None, D, TEXT, "MINIMAL,FULL", "How much of a table's metadata is logged."),
    Row("binlog_row_value_options", None, D, TEXT, "PARTIAL_JSON", "Partial updates of JSON in row images."),
    Row("binlog_rows_query_log_events", None, D, BOOL, "0,1", "Logs the statement with its row events."),
    Row("binlog_transaction_compression", None, D, BOOL, "0,1", "Compresses transactions in the binary log."),
    Row("binlog_transaction_dependency_history_size", None, D, INT, "1-1000000", "Row hashes kept for dependencies."),
    Row("binlog_transaction_dependency_tracking", None, D, TEXT, "COMMIT_ORDER,WRITESET,WRITESET_SESSION",
        "How the source finds out what can be applied in parallel.", True, 3, 3),
    Row("character_set_client", None, D, TEXT, None, "Character set of statements."),
    Row("character_set_connection", None, D, TEXT, None, "Character set of literals."),
    Row("character_set_database", None, D, TEXT, None, "Character set of the default database."),
    Row("character_set_results", None, D, TEXT, None, "Character set of results."),
    Row("character_set_server", None, D, TEXT, None, "The server's default character set."),
    Row("collation_connection", None, D, TEXT, None, "Collation of the connection's character set."),
    Row("collation_server", None, D, TEXT, None, "The server's default collation."),
    Row("connect_timeout", None, D, INT, "2-31536000", "(s) How long the server waits for a connect packet."),
    Row("default_authentication_plugin", None, S, TEXT, "mysql_native_password,sha256_password,caching_sha2_password",
        "The default authentication plugin.", True, 3, 3),
    Row("default_time_zone", None, S, TEXT, None, "The server's time zone at its start.", False),
    Row("enforce_gtid_consistency", "OFF", S, TEXT, "OFF,WARN,ON", "Refuses what cannot be logged with a GTID."),
    Row("event_scheduler", None, D, TEXT, "ON,OFF", "Status of the Event Scheduler."),
    Row("explicit_defaults_for_timestamp", "1", D, BOOL, "0,1", "Standard behaviour of TIMESTAMP columns."),
    Row("general_log", None, D, BOOL, "0,1", "Turns the general log on."),
    Row("group_concat_max_len", None, D, INT, "4-18446744073709551615", "(B) Longest result of GROUP_CONCAT()."),
    Row("gtid-mode", "OFF", S, TEXT, "OFF,OFF_PERMISSIVE,ON_PERMISSIVE,ON", "Mode of GTID-based logging."),
    Row("innodb_autoinc_lock_mode", None, S, INT, "0-2", "Lock mode for AUTO_INCREMENT values."),
    Row("innodb_buffer_pool_size", "{DBInstanceClassMemory*3/4}", S, INT, "5242880-18446744073709551615",
        "(B) Size of the buffer pool."),
    Row("innodb_deadlock_detect", None, D, BOOL, "0,1", "Detects deadlocks."),
    Row("innodb_flush_log_at_trx_commit", "1", D, INT, "0-2", "How strictly a commit is durable.", False),
    Row("innodb_lock_wait_timeout", None, D, INT, "1-1073741824", "(s) How long a transaction waits for a row lock."),
    Row("innodb_print_all_deadlocks", None, D, BOOL, "0,1", "Writes all deadlocks to the error log."),
    Row("innodb_rollback_on_timeout", None, S, BOOL, "0,1", "Rolls a transaction back when it waited too long."),
    Row("innodb_strict_mode", None, D, BOOL, "0,1", "Errors instead of warnings for wrong table options."),
    Row("interactive_timeout", None, D, INT, "1-31536000", "(s) How long an idle interactive session lives."),
    Row("local_infile", None, D, BOOL, "0,1", "Allows LOAD DATA LOCAL."),
    Row("lock_wait_timeout", None, D, INT, "1-31536000", "(s) How long a statement waits for a metadata lock."),
    Row("log_bin_trust_function_creators", None, D, BOOL, "0,1", "Allows functions that may be unsafe to log."),
    Row("log_output", "FILE", D, TEXT, "TABLE,FILE,NONE", "Where the logs go.", False),
    Row("long_query_time", None, D, REAL, "0-31536000", "(s) From when on a statement is slow."),
    Row("lower_case_table_names", "0", S, INT, "0,1", "How names of tables are stored and compared."),
    Row("max_allowed_packet", None, D, INT, "1024-1073741824", "(B) The largest packet."),
    Row("max_connections", "GREATEST({log(DBInstanceClassMemory/805306368)*45},{log(DBInstanceClassMemory/8187281408)*1000})",
        D, INT, "1-16000", "Maximum number of concurrent connections."),
    Row("max_execution_time", None, D, INT, _WORD, "(ms) Longest execution of a SELECT."),
    Row("net_read_timeout", None, D, INT, "1-31536000", "(s) How long to wait for a client's data."),
    Row("net_write_timeout", None, D, INT, "1-31536000", "(s) How long to wait for a client to take data."),
    Row("partial_revokes", None, D, BOOL, "0,1", "Privileges can be revoked for a schema.", False),
    Row("performance_schema", "{DBInstanceClassMemory/8187281408}", S, BOOL, "0,1", "Turns the Performance Schema on."),
    Row("port", "{EndPointPort}", S, INT, "1150-65535", "Port that the server listens on.", False),
    Row("read_only", "{TrueIfReplica}", D, TEXT, "0,1,{TrueIfReplica}",
        "Refuses changes of clients without CONNECTION_ADMIN."),
    Row("relay_log_space_limit", None, S, INT, "0-18446744073709551615", "(B) Maximum space of relay logs."),
    Row("replica_checkpoint_group", None, D, INT, "32-524280", "Transactions between a replica's checkpoints."),
    Row("replica_checkpoint_period", None, D, INT, "1-4294967295", "(ms) Time between a replica's checkpoints."),
    Row("replica_net_timeout", None, D, INT, "1-31536000", "(s) How long a replica waits for its source's data."),
    Row("replica_parallel_type", "LOGICAL_CLOCK", D, TEXT, "DATABASE,LOGICAL_CLOCK",
        "What a replica applies in parallel.", True, 3, 3),
    Row("replica_parallel_workers", "0", D, INT, "0-1024", "Threads that apply a replica's transactions."),
    Row("replica_pending_jobs_size_max", None, D, INT, "1024-18446744073709551615", "(B) Memory of queues of workers."),
    Row("replica_preserve_commit_order", "ON", D, BOOL, "ON,OFF", "Transactions commit in the source's order."),
    Row("replica_skip_errors", None, S, TEXT, None, "Errors that a replica passes over.", False),
    Row("replica_transaction_retries", None, D, INT, _WORD, "Retries of a replica's transaction."),
    Row("replica_type_conversions", None, D, TEXT, "ALL_LOSSY,ALL_NON_LOSSY,ALL_SIGNED,ALL_UNSIGNED",
        "Conversions of types that a replica may do."),
    Row("replicate-do-db", None, D, LIST, None, "Databases that are replicated."),
    Row("replicate-do-table", None, D, LIST, None, "Tables that are replicated."),
    Row("replicate-ignore-db", None, D, LIST, None, "Databases that are not replicated."),
    Row("replicate-ignore-table", None, D, LIST, None, "Tables that are not replicated."),
    Row("replicate-wild-do-table", None, D, LIST, None, "Patterns of tables that are replicated."),
    Row("replicate-wild-ignore-table", None, D, LIST, None, "Patterns of tables that are not replicated."),
    Row("require_secure_transport", "OFF", D, TEXT, "ON,OFF", "Refuses connections without TLS."),
    Row("server_audit_logging", "0", D, BOOL, "0,1", "Turns the audit log on."),
    Row("server_id", None, S, INT, None, "The server's number in replication.", False),
    Row("skip-replica-start", None, S, BOOL, "0,1", "Replication does not start with the server.", False),
    Row("slow_query_log", None, D, BOOL, "0,1", "Turns the slow query log on."),
    Row("sql_mode", None, D, LIST, None, "The server's SQL mode."),
    Row("sql_require_primary_key", None, D, BOOL, "0,1", "Refuses tables without a primary key."),
    Row("sync_binlog", "1", D, INT, _WORD, "How often the binary log is synced.", False),
    Row("system_time_zone", None, S, TEXT, None, "The system's time zone.", False),
    Row("table_open_cache", "LEAST({DBInstanceClassMemory/1179121},6000)", D, INT, "1-524288", "Open tables that are kept."),
    Row("time_zone", None, D, TEXT, None, "The server's time zone."),
    Row("tls_version", None, S, TEXT, "TLSv1.2,TLSv1.3", "TLS versions that are allowed."),
    Row("tmp_table_size", None, D, INT, "1024-18446744073709551615", "(B) Largest temporary table in memory."),
    Row("transaction_isolation", None, D, TEXT, "READ-UNCOMMITTED,READ-COMMITTED,REPEATABLE-READ,SERIALIZABLE",
        "The default isolation level."),
    Row("wait_timeout", None, D, INT, "1-31536000", "(s) How long an idle session lives."),
)
# fmt: on
# Defaults that a later family has instead.
SINCE_84 = {"require_secure_transport": "ON"}
BINLOG_FORMAT = "binlog_format"
# Defaults of RDS for MySQL. There the binary log is on exactly when backups are, whatever its format.
RDS_DEFAULTS = {BINLOG_FORMAT: "MIXED", "gtid-mode": "OFF_PERMISSIVE", "require_secure_transport": "OFF"}

# What a community server gets so that several of them share a laptop, and what the service sets; none of it is a
# client's business.
LAB_SETTINGS: Mapping[str, str] = {
    "innodb-buffer-pool-size": "64M",
    "innodb-buffer-pool-dump-at-shutdown": "OFF",
    "innodb-buffer-pool-load-at-startup": "OFF",
    "innodb-redo-log-capacity": "32M",
    "innodb-log-writer-threads": "OFF",
    # A server that is killed or held leaves what it wrote to the kernel: only a crash of the machine could lose it. The
    # benchmark waits for the disk.
    "innodb-flush-method": "fsync" if DURABLE else "nosync",
    "innodb-use-native-aio": "OFF",
    "innodb-flush-log-at-trx-commit": "1",
    "sync-binlog": "1",
    "max-binlog-size": "128M",
    "max-connections": "500",
    "back-log": "1000",
    "table-open-cache": "400",
    "innodb-log-buffer-size": "8M",
    # The Performance Schema as small as it can be and still show threads, statements and replication.
    "performance-schema-max-thread-instances": "600",
    "performance-schema-max-table-instances": "500",
    "performance-schema-digests-size": "200",
    "performance-schema-error-size": "50",
    "performance-schema-accounts-size": "50",
    "performance-schema-hosts-size": "20",
    "performance-schema-users-size": "50",
    "performance-schema-events-statements-history-size": "2",
    "performance-schema-events-statements-history-long-size": "50",
    "performance-schema-events-stages-history-size": "1",
    "performance-schema-events-stages-history-long-size": "50",
    "performance-schema-events-waits-history-size": "1",
    "performance-schema-events-waits-history-long-size": "50",
    "performance-schema-events-transactions-history-size": "1",
    "performance-schema-events-transactions-history-long-size": "50",
    "performance-schema-session-connect-attrs-size": "512",
    "mysqlx": "OFF",
    "skip-name-resolve": "ON",
    "secure-file-priv": "NULL",
    "log-error-verbosity": "2",
    "loose-partial-revokes": "ON",
    "loose-mysql-native-password": "ON",
    "relay-log": "relaylog",
    "relay-log-recovery": "ON",
    "skip-replica-start": "ON",  # replication that was on is started again when the volume is ready
    "log-replica-updates": "ON",
    "binlog-expire-logs-auto-purge": "ON",
}
# Aurora replicates nothing of the schema mysql: neither rows of its tables nor statements about accounts, which are writes to
# them. RDS replicates accounts, and leaves out tables of its own (SHOW REPLICA STATUS there); that GRANT SELECT ON
# mysql.rds_topology does not reach green (the wrappers' guide, "Granting Permissions to Non-Admin Users") says that it is one.
FILTERS = ("replicate-wild-ignore-table", "mysql.%")
RDS_FILTERS = (
    "replicate-ignore-table",
    ",".join(
        f"mysql.{name}"
        for name in (
            "plugin",
            "rds_configuration",
            "rds_history",
            "rds_monitor",
            "rds_replication_status",
            "rds_sysinfo",
            "rds_topology",
        )
    ),
)
# Not for a community server: it does not know them, or the lab decides them.
NOT_TRANSLATED = frozenset(
    {
        "binlog_format",
        "default_time_zone",
        "innodb_buffer_pool_size",
        "innodb_flush_log_at_trx_commit",
        "partial_revokes",
        "performance_schema",
        "port",
        "replica_skip_errors",
        "server_id",
        "skip-replica-start",
        "sync_binlog",
        "system_time_zone",
        "table_open_cache",
    }
)
_SERVICE_ONLY = ("aurora_", "server_audit", "binlog_backup", "binlog_replication_globaldb")


def family_of(version: str) -> EngineVersion:
    """Return what is known about a version; KeyError when it is not offered."""
    return _EVERY[version]


def is_offered(version: str) -> bool:
    """Say whether there is a version, of Aurora or of RDS."""
    return version in _EVERY


def defaults(family: str) -> dict[str, Parameter]:
    """Return the parameters of a family by name; KeyError for an unknown family."""
    release = FAMILIES.get(family) or RDS_FAMILIES[family]
    return {
        row.name: _parameter(row, family, release)
        for row in TABLE
        if row.first <= release <= row.last and (family in FAMILIES or not row.name.startswith(_SERVICE_ONLY))
    }


def _parameter(row: Row, family: str, release: int) -> Parameter:
    value = SINCE_84.get(row.name, row.value) if release >= 8 else row.value
    if family in RDS_FAMILIES:
        value = RDS_DEFAULTS.get(row.name, value)
        if row.name == BINLOG_FORMAT:
            return Parameter(row.name, value, D, row.data_type, "ROW,STATEMENT,MIXED", True, row.description)
    return Parameter(row.name, value, row.apply_type, row.data_type, row.allowed, row.modifiable, row.description)


def effective(family: str, parameters: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters of the service that have a value: those given, else the family's defaults.

    Formulas such as `{DBInstanceClassMemory*3/4}` are left out, and what the family does not have.
    """
    known = defaults(family)
    values = {name: parameter.value for name, parameter in known.items() if parameter.value is not None}
    values.update((name, value) for name, value in parameters.items() if name in known)
    return {name: value for name, value in values.items() if "{" not in value}


def has_binlog(family: str, parameters: Mapping[str, str]) -> bool:
    """Say whether a cluster writes a binary log."""
    return effective(family, parameters)["binlog_format"].upper() != "OFF"


def own_read_only(family: str, parameters: Mapping[str, str]) -> str | None:
    """Return the value that a parameter group itself gives to read_only, None when the service decides."""
    return effective(family, parameters).get("read_only")


def has_enhanced_binlog(family: str, parameters: Mapping[str, str]) -> bool:
    """Say whether a cluster's binary log is the enhanced one, whose files a clone does not have."""
    return effective(family, parameters).get("aurora_enhanced_binlog") == "1"


def variables(family: str, parameters: Mapping[str, str]) -> dict[str, str]:
    """Return the effective parameters that a community server knows, under its names of variables."""
    return {
        name.replace("-", "_"): value
        for name, value in effective(family, parameters).items()
        if name not in NOT_TRANSLATED and not name.startswith(_SERVICE_ONLY)
    }


def server_settings(family: str, parameters: Mapping[str, str]) -> dict[str, str]:
    """Return the configuration of a community server for the effective parameters of the service."""
    settings = {**LAB_SETTINGS, **dict([RDS_FILTERS if family in RDS_FAMILIES else FILTERS])}
    for name, value in variables(family, parameters).items():
        option = name.replace("_", "-")
        own = settings.pop(option, None)
        settings[f"loose-{option}"] = f"{own},{value}" if own and option.startswith("replicate-") else value
    if has_binlog(family, parameters):
        settings["log-bin"] = BINLOG
        settings["loose-binlog-format"] = effective(family, parameters)["binlog_format"]
    else:
        settings["skip-log-bin"] = "ON"
    return settings


def dynamic_changes(
    family: str, running: Mapping[str, str], wanted: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    """Return which dynamic variables of a running server change, and which go back to the server's own default."""
    static = {name.replace("-", "_") for name, one in defaults(family).items() if one.apply_type == "static"}
    static |= {name.replace("-", "_") for name in defaults(family) if name.startswith("replicate-")}
    before, after = variables(family, running), variables(family, wanted)
    changed = {name: value for name, value in after.items() if name not in static and before.get(name) != value}
    return changed, [name for name in before if name not in after and name not in static]
