# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a lab and those who fill it share."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

AURORA = "aurora-postgresql"


def production_group(rds: Any, group: str, version: str) -> None:
    """Make a cluster parameter group with logical replication on."""
    family = f"{AURORA}{version.partition('.')[0]}"
    rds.create_db_cluster_parameter_group(
        DBClusterParameterGroupName=group, DBParameterGroupFamily=family, Description="as in production"
    )
    parameter = {"ParameterName": "rds.logical_replication", "ParameterValue": "1", "ApplyMethod": "pending-reboot"}
    rds.modify_db_cluster_parameter_group(DBClusterParameterGroupName=group, Parameters=[parameter])


def wait_until(what: Callable[[], bool], seconds: float, description: str) -> None:
    """Wait for something to become true; raises TimeoutError that says what did not."""
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:.0f} s for {description}")
        time.sleep(0.05)
