# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a lab and those who fill it share."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

POSTGRESQL, MYSQL, NEPTUNE = "aurora-postgresql", "aurora-mysql", "neptune"
RDS_POSTGRESQL, RDS_MYSQL = "postgres", "mysql"  # DB instances without a cluster
LOGICAL = {"rds.logical_replication": "1"}
# Triggers and functions of an application's own account need the last one on a server that writes a binary log.
BINARY_LOG = {"binlog_format": "ROW", "log_bin_trust_function_creators": "1"}
STREAMS = {"neptune_streams": "1"}
GTIDS = {"gtid-mode": "ON", "enforce_gtid_consistency": "ON"}


def production_group(rds: Any, group: str, engine: str, version: str, values: Mapping[str, str]) -> None:
    """Make a group of an engine version's family with these values: a DB parameter group where there are no clusters."""
    found = rds.describe_db_engine_versions(Engine=engine, EngineVersion=version)["DBEngineVersions"]
    if not found:
        raise ValueError(f"The lab has no {engine} {version}.")
    if engine in (RDS_POSTGRESQL, RDS_MYSQL):
        rds.create_db_parameter_group(
            DBParameterGroupName=group,
            DBParameterGroupFamily=found[-1]["DBParameterGroupFamily"],
            Description="as in production",
        )
        rds.modify_db_parameter_group(DBParameterGroupName=group, Parameters=_pending(values))
        return
    rds.create_db_cluster_parameter_group(
        DBClusterParameterGroupName=group,
        DBParameterGroupFamily=found[-1]["DBParameterGroupFamily"],
        Description="as in production",
    )
    set_parameters(rds, group, values)


def set_parameters(rds: Any, group: str, values: Mapping[str, str]) -> None:
    """Set parameters of a cluster parameter group, to be applied by the next reboot."""
    rds.modify_db_cluster_parameter_group(DBClusterParameterGroupName=group, Parameters=_pending(values))


def _pending(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [
        {"ParameterName": name, "ParameterValue": value, "ApplyMethod": "pending-reboot"}
        for name, value in values.items()
    ]


def wait_until(what: Callable[[], bool], seconds: float, description: str) -> None:
    """Wait for something to become true; raises TimeoutError that says what did not."""
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:.0f} s for {description}")
        time.sleep(0.05)
