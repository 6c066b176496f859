# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""RDS for PostgreSQL: the same servers under the service's other name, its families, and what only Aurora has.

Sources: "Working with parameters on your RDS for PostgreSQL DB instance" and "Requiring SSL" (rds.force_ssl is on by
default from version 15) of the RDS user guide.
"""

from __future__ import annotations

from dataclasses import replace

from tests.lab.engine import Parameter
from tests.lab.postgresql import parameters

ENGINE = "postgres"
_OF_AURORA = {f"postgres{major}": family for family, major in parameters.FAMILIES.items()}
VERSIONS = tuple(replace(version, engine=ENGINE, family=f"postgres{version.major}") for version in parameters.VERSIONS)
_ONLY_AURORA = frozenset({"apg_plan_mgmt.use_plan_baselines", "rds.logical_wal_cache"})
# Defaults that Aurora has otherwise.
_DEFAULTS = {
    "full_page_writes": "1",
    "hot_standby_feedback": None,
    "max_standby_streaming_delay": "30000",
    "max_worker_processes": "GREATEST({DBInstanceVCPU/2},8)",
    "rds.force_ssl": "1",
    "shared_buffers": "{DBInstanceClassMemory/32768}",
}
# For every database.
NOT_THERE = """
DROP FUNCTION IF EXISTS pg_catalog.aurora_version(), pg_catalog.aurora_volume_logical_start_lsn(),
    pg_catalog.aurora_db_instance_identifier(), pg_catalog.aurora_replica_status(),
    pg_catalog.get_blue_green_fast_switchover_metadata(pg_catalog.text)
"""


def defaults(family: str) -> dict[str, Parameter]:
    """Return the parameters of a family by name; KeyError for an unknown family."""
    known = parameters.defaults(_OF_AURORA[family])
    return {
        name: replace(one, value=_DEFAULTS.get(name, one.value))
        for name, one in known.items()
        if name not in _ONLY_AURORA
    }
