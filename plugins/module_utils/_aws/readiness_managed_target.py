# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The guardrail about a parameter group that is named for green; a pure function of what both groups hold.

Sources: Amazon Aurora User Guide, "Preparing a DB cluster for a blue/green deployment"; MySQL manual, lower_case_table_names.
"""

from __future__ import annotations

from collections.abc import Mapping

from .._core.checks import Check
from . import readiness_managed_rules as rules
from .managed import Place
from .parameter_groups import Group
from .readiness_topic import Topic

VALUES = Topic("target_parameters", rules.GROUPS.docs)
BINLOG = Topic("target_binlog", rules.GROUPS.docs)
_CASE = "lower_case_table_names"
DIFFERENT = "The value of the lower_case_table_names parameter for the blue environment and for the green environment is different"


def target_parameters(
    blue: Place, family: str, own: Mapping[str, str], name: str, group: Group | None, values: Mapping[str, str]
) -> Check:
    """The group ``name`` is there, of green's family, and holds what green needs; ``own`` are blue's values, ``values`` the group's."""
    if group is None:
        return VALUES.failed(
            f"the parameter group {name} of green should be there, but is not", "create it, or correct its name"
        )
    if family and group.family != family:
        return VALUES.failed(
            f"the parameter group {name} should be of the family {family}, which green's version has, but is of {group.family}",
            "name another one",
        )
    if "mysql" in blue.engine and own.get(_CASE, "0") != values.get(_CASE, "0"):
        return VALUES.failed(
            f"{DIFFERENT}: it is {own.get(_CASE, '0')} for {blue.identifier} and {values.get(_CASE, '0')} in {name}",
            f"name a group for green that has blue's value; it cannot be set in {name} once green is made with it",
        )
    if blue.engine == "aurora-mysql" and values.get("binlog_format", "OFF").upper() == "OFF":
        return BINLOG.failed(
            f"the parameter group {name} of green must turn the binary log on as blue's does, but binlog_format is "
            f"{values.get('binlog_format', 'not set')} in it",
            f"set binlog_format=ROW in {name}, or rds_blue_green with prepare=true does",
        )
    if "mysql" in blue.engine and values.get("event_scheduler", "OFF").upper() in ("ON", "1"):
        return VALUES.warning(
            f"event_scheduler must be off on green, where events would run beside the replication, but is on in {name}",
            f"set event_scheduler=OFF in {name}, and ON again after the switchover",
        )
    return VALUES.ok(f"{name} is of green's family and has what green needs")
