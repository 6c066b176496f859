# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions of Amazon Neptune in the lab, their upgrade paths, and the parameters of its families.

Sources: the Neptune user guide, "Engine releases" (upgrade paths), "Maintaining your DB cluster" (of a version's four
numbers the second is the major one), "Amazon Neptune parameters" (which exist, where, static or dynamic).
"""

from __future__ import annotations

from collections.abc import Mapping

from tests.lab.engine import EngineVersion, Parameter

ENGINE = "neptune"
PORT = 8182
# Everything up to 1.1.1.0 shares one family, later major versions have one each.
_OLD, _12, _13, _14 = "neptune1", "neptune1.2", "neptune1.3", "neptune1.4"
VERSIONS = (
    EngineVersion(ENGINE, "1.0.5.1", _OLD, 10, ("1.1.1.0",)),
    EngineVersion(ENGINE, "1.1.1.0", _OLD, 11, ("1.2.0.2", "1.2.1.0")),
    EngineVersion(ENGINE, "1.2.0.2", _12, 12, ("1.2.1.0", "1.3.4.0", "1.4.1.0", "1.4.6.0")),
    EngineVersion(ENGINE, "1.2.1.0", _12, 12, ("1.3.4.0", "1.4.1.0", "1.4.6.0")),
    EngineVersion(ENGINE, "1.3.4.0", _13, 13, ("1.4.1.0", "1.4.6.0")),
    EngineVersion(ENGINE, "1.4.1.0", _14, 14, ("1.4.6.0",)),
    EngineVersion(ENGINE, "1.4.6.0", _14, 14, ()),
)
FAMILIES = (_OLD, _12, _13, _14)
# Parameters that a family of 1.2.0.0 or later has and neptune1 has not.
_SINCE_12 = ("neptune_streams_expiry_days", "neptune_autoscaling_config")

_S, _D = "static", "dynamic"
_TABLE = (
    Parameter(
        "neptune_autoscaling_config", None, _S, "string", None, True, "Settings of the readers made by auto-scaling."
    ),
    Parameter(
        "neptune_dfe_query_engine", "viaQueryHint", _S, "string", "enabled,viaQueryHint", True, "Use of the DFE."
    ),
    Parameter("neptune_enable_audit_log", "0", _S, "integer", "0,1", True, "Turns audit logging on."),
    Parameter(
        "neptune_enable_slow_query_log", "disable", _D, "string", "info,debug,disable", True, "Slow-query logging."
    ),
    Parameter("neptune_enforce_ssl", "1", _S, "integer", "0,1", True, "Refuses connections without TLS."),
    Parameter("neptune_lab_mode", "", _S, "string", None, True, "Experimental features."),
    Parameter("neptune_lookup_cache", "1", _S, "integer", "0,1", True, "Turns the lookup cache on."),
    Parameter("neptune_ml_endpoint", None, _S, "string", None, True, "Endpoint of Neptune ML."),
    Parameter("neptune_ml_iam_role", None, _S, "string", None, True, "Role of Neptune ML."),
    Parameter(
        "neptune_query_timeout", "120000", _S, "integer", "10-2147483647", True, "(ms) Timeout of graph queries."
    ),
    Parameter("neptune_result_cache", "0", _S, "integer", "0,1", True, "Turns the query result cache on."),
    Parameter("neptune_slow_query_log_threshold", "5000", _D, "integer", "0-2147483647", True, "(ms) A slow query."),
    Parameter("neptune_streams", "0", _S, "integer", "0,1", True, "Turns Neptune Streams on."),
    Parameter("neptune_streams_expiry_days", "7", _S, "integer", "1-90", True, "Days that stream records are kept."),
)
# The levels of the reference; neptune_query_timeout is in both.
INSTANCE_ONLY = frozenset({"neptune_dfe_query_engine", "neptune_result_cache"})
CLUSTER_ONLY = frozenset(parameter.name for parameter in _TABLE) - INSTANCE_ONLY - {"neptune_query_timeout"}


def defaults(family: str) -> Mapping[str, Parameter]:
    """Return the parameters of a family by name."""
    missing = _SINCE_12 if family == _OLD else ()
    return {parameter.name: parameter for parameter in _TABLE if parameter.name not in missing}


def series(version: str) -> str:
    """Return the major version: 1.2 of 1.2.1.0."""
    return ".".join(version.split(".")[:2])


def brings_system_update(engine: str, before: str, after: str) -> bool:
    """Whether an upgrade is followed by one of the operating system, a moment after the new version is available.

    From before 1.1.0.0 (release notes of 1.1.1.0).
    """
    return engine == ENGINE and series(before) == "1.0" and series(after) != "1.0"
