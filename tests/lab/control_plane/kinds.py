# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the RDS API says of, and asks from, one engine and not another: the facts that are AWS's and not a server's."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tests.lab.control_plane.errors import invalid_combination, invalid_value, not_in_lab
from tests.lab.engine import EngineVersion
from tests.lab.mysql import parameters as mysql
from tests.lab.neptune import parameters as neptune
from tests.lab.postgresql import rds

POSTGRESQL, MYSQL, NEPTUNE = "aurora-postgresql", "aurora-mysql", neptune.ENGINE
RDS_POSTGRESQL, RDS_MYSQL = rds.ENGINE, mysql.RDS_ENGINE
# Engines of the service that the lab does not have.
ELSEWHERE = ("mariadb", "docdb")
# Engines of DB instances without a DB cluster.
STANDALONE = (RDS_POSTGRESQL, RDS_MYSQL)
_MYSQL_VERSION = re.compile(r"(?P<series>\d+\.\d+)\.mysql_aurora\.(?P<aurora>\d+(?:\.\d+)*)\Z")
_MYSQL_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")
_OF_MASTER = ("MasterUsername", "MasterUserPassword", "ManageMasterUserPassword", "DatabaseName")


@dataclass(frozen=True)
class Kind:
    """One engine as the API tells of it."""

    title: str
    port: int
    licence: str
    logs: tuple[str, ...]  # ExportableLogTypes
    reserved: re.Pattern[str]  # master user names that the service refuses
    longest_user: int
    longest_password: int
    schemas: frozenset[str]  # names that no first database can have
    global_databases: bool  # whether the lab has them for the engine
    # Parameters in the cluster group alone, by the engine's reference of cluster-level parameters.
    cluster_only: frozenset[str]
    instance_only: frozenset[str] = frozenset()
    has_master_user: bool = True
    # Whether the reboot of the writer is one of the readers too.
    reboots_together: bool = True


_KINDS: Mapping[str, Kind] = {
    POSTGRESQL: Kind(
        title="Aurora PostgreSQL",
        port=5432,
        licence="postgresql-license",
        logs=("postgresql", "instance", "iam-db-auth-error"),
        reserved=re.compile(r"(rdsadmin|admin|postgres_superuser|pg_.*)\Z"),
        longest_user=63,
        longest_password=128,
        schemas=frozenset({"template0", "template1", "rdsadmin"}),
        global_databases=True,
        cluster_only=frozenset(
            {
                "max_logical_replication_workers",
                "max_replication_slots",
                "max_wal_senders",
                "max_worker_processes",
                "rds.force_ssl",
                "rds.logical_replication",
                "track_commit_timestamp",
            }
        ),
    ),
    MYSQL: Kind(
        title="Aurora MySQL",
        port=3306,
        licence="general-public-license",
        logs=("audit", "error", "general", "slowquery"),
        reserved=re.compile(r"(rdsadmin|rdsproxyadmin|rdsrepladmin|mysql\..*)\Z"),
        longest_user=32,
        longest_password=41,
        schemas=frozenset({"information_schema", "innodb", "mysql", "performance_schema", "sys"}),
        global_databases=False,
        cluster_only=frozenset(
            {
                "aurora_binlog_replication_sec_index_parallel_workers",
                "aurora_enhanced_binlog",
                "aurora_in_memory_relaylog",
                "auto_increment_increment",
                "auto_increment_offset",
                "binlog_backup",
                "binlog_checksum",
                "binlog_format",
                "binlog_replication_globaldb",
                "binlog_row_image",
                "binlog_row_metadata",
                "binlog_row_value_options",
                "binlog_rows_query_log_events",
                "binlog_transaction_compression",
                "binlog_transaction_dependency_tracking",
                "character-set-client-handshake",
                "character_set_client",
                "character_set_connection",
                "character_set_database",
                "character_set_filesystem",
                "character_set_results",
                "character_set_server",
                "collation_connection",
                "collation_server",
                "default_storage_engine",
                "enforce_gtid_consistency",
                "event_scheduler",
                "gtid-mode",
                "innodb_default_row_format",
                "innodb_file_per_table",
                "lower_case_table_names",
                "partial_revokes",
                "read_only",
                "replica_checkpoint_group",
                "replica_checkpoint_period",
                "replica_parallel_type",
                "replica_parallel_workers",
                "replica_pending_jobs_size_max",
                "replica_preserve_commit_order",
                "replica_skip_errors",
                "replica_transaction_retries",
                "replica_type_conversions",
                "replicate-do-db",
                "replicate-do-table",
                "replicate-ignore-db",
                "replicate-ignore-table",
                "replicate-wild-do-table",
                "replicate-wild-ignore-table",
                "require_secure_transport",
                "server_id",
                "skip-character-set-client-handshake",
                "skip_name_resolve",
                "time_zone",
                "tls_version",
            }
        ),
    ),
    NEPTUNE: Kind(
        title="Neptune",
        port=neptune.PORT,
        licence="amazon-license",
        logs=("audit", "slowquery"),
        reserved=re.compile(r"(?!)"),
        longest_user=0,
        longest_password=0,
        schemas=frozenset(),
        global_databases=False,
        cluster_only=neptune.CLUSTER_ONLY,
        instance_only=neptune.INSTANCE_ONLY,
        has_master_user=False,
        reboots_together=False,
    ),
}


KINDS = {
    **_KINDS,
    RDS_POSTGRESQL: replace(
        _KINDS[POSTGRESQL],
        title="PostgreSQL",
        logs=("postgresql", "upgrade"),
        global_databases=False,
        cluster_only=frozenset(),
    ),
    RDS_MYSQL: replace(
        _KINDS[MYSQL],
        title="MySQL Community Edition",
        logs=("audit", "error", "general", "slowquery"),
        cluster_only=frozenset(),
    ),
}


def kind_of(engine: str) -> Kind:
    """Return the facts of an engine; raises ApiError for one that is not AWS's, or that the lab has not."""
    if engine in ELSEWHERE:
        raise not_in_lab(f"the engine {engine}")
    if engine not in KINDS:
        raise invalid_value(f"Invalid DB engine: {engine}")
    return KINDS[engine]


def series(version: EngineVersion) -> str:
    """Return MajorEngineVersion: 16 of aurora-postgresql 16.14, 8.0 of aurora-mysql 8.0.mysql_aurora.3.10.0, 1.2 of
    neptune 1.2.1.0.
    """
    if version.engine == NEPTUNE:
        return neptune.series(version.version)
    if version.engine == RDS_MYSQL:
        return version.family.removeprefix(RDS_MYSQL)
    found = _MYSQL_VERSION.match(version.version)
    return found["series"] if found else str(version.major)


def described(version: EngineVersion) -> str:
    """Return DBEngineVersionDescription."""
    title, found = kind_of(version.engine).title, _MYSQL_VERSION.match(version.version)
    if version.engine == NEPTUNE or version.engine in STANDALONE:
        return f"{title} {version.version}"
    if found is None:
        return f"{title} (compatible with {version.version})"
    return f"{title} {found['aurora']} (compatible with MySQL {found['series']})"


def is_major(now: EngineVersion, target: EngineVersion) -> bool:
    """Whether an upgrade crosses major versions: the parameter group family is another one then.

    Neptune's versions before 1.2 share one family, and 1.0 to 1.1 is a major upgrade all the same.
    """
    return series(now) != series(target) if now.engine == NEPTUNE else now.family != target.family


def check_without_master_user(engine: str, options: Mapping[str, object]) -> None:
    """Raise for a user, a password or a first database of an engine that has none."""
    given = [name for name in _OF_MASTER if options.get(name)]
    if given:
        raise invalid_combination(f"The parameter {given[0]} is not supported by {kind_of(engine).title}.")


def check_master_user(engine: str, name: str) -> None:
    """Raise for a master user that the service refuses."""
    kind = kind_of(engine)
    if kind.reserved.match(name):
        raise invalid_value(f"MasterUsername {name} cannot be used as it is a reserved word used by the engine")
    if len(name) > kind.longest_user or (engine in (MYSQL, RDS_MYSQL) and not _MYSQL_NAME.match(name)):
        raise invalid_value(
            f"The parameter MasterUsername is not a valid identifier: a letter first, then letters, digits and "
            f"underscores, {kind.longest_user} characters at most."
        )


def check_password(engine: str, password: str) -> None:
    """Raise for a master password that the service refuses."""
    words = "The parameter MasterUserPassword is not a valid password"
    if len(password) < 8:
        raise invalid_value(f"{words} because it is shorter than 8 characters.")
    if len(password) > (longest := kind_of(engine).longest_password):
        raise invalid_value(f"{words} because it is longer than {longest} characters.")
    if any(sign in password for sign in '/@" ') or not password.isprintable() or not password.isascii():
        raise invalid_value(f"{words}. Only printable ASCII characters besides '/', '@', '\"', ' ' may be used.")


def check_database(engine: str, name: str | None) -> None:
    """Raise for a first database that the service refuses."""
    if name is not None and name.lower() in kind_of(engine).schemas:
        raise invalid_value(f"DatabaseName {name} cannot be used. It is a reserved word for this engine")


def check_logs(engine: str, version: str, logs: Sequence[str]) -> None:
    """Raise for log types that cannot be exported."""
    wrong = [log for log in logs if log not in kind_of(engine).logs]
    if wrong:
        raise invalid_combination(
            f"You cannot use the log types '{', '.join(wrong)}' with engine version {engine} {version}. "
            "For supported log types, see the documentation."
        )


def check_global(engine: str) -> None:
    """Raise for a global database of an engine for which the lab has none."""
    if not kind_of(engine).global_databases:
        raise not_in_lab(f"a global database of the engine {engine}")
