# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Guardrails that depend on a cluster's engine: one table of what differs, and pure functions of descriptions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .._core.checks import Check
from .clusters import Cluster
from .parameter_groups import Group
from .readiness_topic import GUIDE, Topic

POSTGRESQL = "aurora-postgresql"
MYSQL = "aurora-mysql"
NEPTUNE = "neptune"

NEPTUNE_GUIDE = "https://docs.aws.amazon.com/neptune/latest/userguide/"
ENGINE = Topic("engine", GUIDE + "CHAP_AuroraOverview.html")
BACKTRACK = Topic("backtrack", GUIDE + "AuroraMySQL.Managing.Backtrack.html")


@dataclass(frozen=True)
class Engine:
    """What is said and asked of one engine.

    ``parameter`` turns the log of changes on, ``accepted`` are the values with which it is good for replication, the first is
    the best. ``family`` is RDS Proxy's EngineFamily, ``admin`` the login that may do all. ``own_group``: green always has a DB
    cluster parameter group of its own.
    """

    replication: str
    parameter: str
    accepted: tuple[str, ...]
    parameter_docs: str
    upgrade_docs: str
    family: str
    admin: str
    own_group: bool


_ENGINES = {
    POSTGRESQL: Engine(
        "logical replication",
        "rds.logical_replication",
        ("1",),
        GUIDE + "AuroraPostgreSQL.Replication.Logical.Configure.html",
        GUIDE + "USER_UpgradeDBInstance.PostgreSQL.html",
        "POSTGRESQL",
        "member of rds_superuser",
        own_group=False,
    ),
    MYSQL: Engine(
        "binary log replication",
        "binlog_format",
        ("ROW", "MIXED"),
        GUIDE + "USER_LogAccess.MySQL.BinaryFormat.html",
        GUIDE + "AuroraMySQL.Updates.MajorVersionUpgrade.html",
        "MYSQL",
        "with the privileges of the master user",
        own_group=True,
    ),
    NEPTUNE: Engine(
        "Neptune Streams replication",
        "neptune_streams",
        ("1",),
        NEPTUNE_GUIDE + "streams-using-enabling.html",
        NEPTUNE_GUIDE + "engine-releases.html",
        "",
        "allowed to call neptune-db:*",
        own_group=False,
    ),
}


def engine_of(cluster: Cluster) -> Engine:
    """What there is to know of the cluster's engine; one that is not known is judged as Aurora PostgreSQL."""
    return _ENGINES.get(cluster.engine, _ENGINES[POSTGRESQL])


def engine(blue: Cluster, wanted: str) -> Check:
    """The cluster has the engine that it was said to have, in a mode that can replicate."""
    if wanted and blue.engine != wanted:
        return ENGINE.failed(
            f"{blue.identifier} should be a cluster of {wanted}, but its engine is {blue.engine}",
            "correct engine, or the identifier",
        )
    mode = blue.description.get("EngineMode") or "provisioned"
    if blue.engine == MYSQL and mode == "serverless":
        return ENGINE.failed(
            f"{blue.identifier} is Aurora Serverless v1, which has no binary log replication",
            "convert it to a provisioned cluster, or to Serverless v2, first: aws rds modify-db-cluster --engine-mode provisioned "
            "--allow-engine-mode-change --db-cluster-instance-class ..",
        )
    return ENGINE.ok(f"{blue.identifier} is a {mode} cluster of {blue.engine}")


def parameters(side: str, cluster: Cluster, group: Group, values: Mapping[str, str]) -> Check:
    """The cluster parameter group is one of its own and asks for replication; ``values`` are the user-set ones."""
    wanted = engine_of(cluster)
    topic = Topic(f"{side}_parameters", wanted.parameter_docs)
    best = wanted.accepted[0]
    if group.is_default:
        return topic.failed(
            f"{wanted.replication} needs a DB cluster parameter group of its own, but {cluster.identifier} has {group.name}, "
            "which cannot be modified",
            f"aws rds create-db-cluster-parameter-group --db-parameter-group-family {group.family} .., attach it with "
            f"modify-db-cluster, set {wanted.parameter}={best} in it and reboot the writer",
        )
    found = values.get(wanted.parameter)
    command = (
        f"aws rds modify-db-cluster-parameter-group --db-cluster-parameter-group-name {group.name} --parameters "
        f"ParameterName={wanted.parameter},ParameterValue={best},ApplyMethod=pending-reboot, then reboot the writer"
    )
    if (found or "").upper() not in wanted.accepted:
        return topic.failed(
            f"{wanted.parameter} must be {best} in the DB cluster parameter group {group.name}, but is {found or 'not set'}",
            command,
        )
    if (found or "").upper() != best:
        return topic.warning(
            f"{wanted.parameter} should be {best} in the DB cluster parameter group {group.name}, but is {found}",
            command,
        )
    return topic.ok(f"{wanted.parameter} is {found} in {group.name}")


def backtrack(blue: Cluster) -> list[Check]:
    """Backtrack and binary log replication exclude each other; an engine without it has no such check."""
    if blue.engine != MYSQL:
        return []
    window = int(blue.description.get("BacktrackWindow") or 0)
    if not window:
        return [BACKTRACK.ok(f"{blue.identifier} cannot be backtracked")]
    return [
        BACKTRACK.failed(
            f"Backtrack is on for {blue.identifier} (a window of {window} s), which binary log replication does not go together "
            "with: a backtrack would take back what green has applied",
            f"aws rds modify-db-cluster --db-cluster-identifier {blue.identifier} --backtrack-window 0 --apply-immediately",
        )
    ]


def own_group(blue: Cluster, green: Cluster) -> list[Check]:
    """Green's parameters can be changed for the switchover without changing blue's."""
    if not engine_of(green).own_group:
        return []
    topic = Topic("green_parameter_group", GUIDE + "USER_WorkingWithDBClusterParamGroups.html")
    name = green.parameter_group
    if name == blue.parameter_group or name.startswith("default."):
        shared = f"has blue's ({name})" if name == blue.parameter_group else f"has {name}, which cannot be modified"
        return [
            topic.failed(
                f"{green.identifier} needs a DB cluster parameter group of its own, in which read_only and event_scheduler are "
                f"changed for the switchover, but {shared}",
                f"aws rds modify-db-cluster --db-cluster-identifier {green.identifier} --db-cluster-parameter-group-name .. "
                "--apply-immediately, then reboot its writer; aurora_clone makes one",
            )
        ]
    return [topic.ok(f"{green.identifier} has the DB cluster parameter group {name} of its own")]
