# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Every IAM action that the collection needs, in one table: on which resources, and for which phase. Pure.

The README's policy is tested against :func:`policy`, the operations that the code calls against the table, and
``bg_readiness`` simulates it. The resources of each action are those of AWS's *Actions, resources, and condition keys* for
Amazon RDS and Amazon CloudWatch. To extend it, add a line to ``NEEDS``, a resource when there is a new one, and its value to the scopes.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Phase = Literal["readiness", "read", "create", "cleanup"]
"""``readiness``: for looking only, and done without when it is denied. ``read``: every phase needs it. ``create``: making green.
``cleanup``: deleting green and what was made for it."""

Scope = Mapping[str, tuple[str, ...]]
"""The values of each placeholder of the resources; without any, what needs the placeholder is not needed."""


@dataclass(frozen=True)
class Resource:
    """A kind of resource: the statement of the policy that it belongs to, and its ARN with placeholders."""

    statement: str
    arn: str

    def arns(self, scope: Scope) -> tuple[str, ...]:
        """The ARNs in a scope."""
        names = list(dict.fromkeys(re.findall(r"{(\w+)}", self.arn)))
        values = itertools.product(*(scope.get(name, ()) for name in names))
        return tuple(self.arn.format(**dict(zip(names, chosen, strict=True))) for chosen in values)


@dataclass(frozen=True)
class Need:
    """One action, and every resource that it must be allowed on; ``certain`` false: something else may allow it too."""

    phase: Phase
    action: str
    resources: tuple[Resource, ...]
    certain: bool = True


ANY = Resource("Read", "*")
IDENTITY = Resource("OwnPermissions", "{identity}")
SECRET = Resource("Login", "{secret}")
BLUE = Resource("CloneBlue", "{rds}:cluster:{blue}")
USED_CLUSTER_GROUP = Resource("GiveGreenWhatBlueUses", "{rds}:cluster-pg:{used_cluster_group}")
USED_GROUP = Resource("GiveGreenWhatBlueUses", "{rds}:pg:{used_group}")
USED_SUBNET_GROUP = Resource("GiveGreenWhatBlueUses", "{rds}:subgrp:{used_subnet_group}")
USED_OPTION_GROUP = Resource("GiveGreenWhatBlueUses", "{rds}:og:{used_option_group}")
GREEN = Resource("Green", "{rds}:cluster:{green}")
GREEN_INSTANCE = Resource("Green", "{rds}:db:{made}")
GREEN_CLUSTER_GROUP = Resource("Green", "{rds}:cluster-pg:{made}")
GREEN_GROUP = Resource("Green", "{rds}:pg:{made}")
GREEN_SNAPSHOT = Resource("Green", "{rds}:cluster-snapshot:{made}")
# For a green that is a global database: the global cluster, its primary, and the secondaries in the other Regions.
GLOBAL = Resource("GreenAsGlobalDatabase", "{world}:global-cluster:{global_cluster}")
PRIMARY = Resource("GreenAsGlobalDatabase", "{rds}:cluster:{primary}")
FAR_USED_CLUSTER_GROUP = Resource("GiveSecondariesWhatBlueUses", "{far}:cluster-pg:{used_cluster_group}")
FAR_USED_GROUP = Resource("GiveSecondariesWhatBlueUses", "{far}:pg:{used_group}")
FAR_USED_SUBNET_GROUP = Resource("GiveSecondariesWhatBlueUses", "{far}:subgrp:{used_subnet_group}")
FAR_USED_OPTION_GROUP = Resource("GiveSecondariesWhatBlueUses", "{far}:og:{used_option_group}")
FAR = Resource("GreenInOtherRegions", "{far}:cluster:{made}")
FAR_INSTANCE = Resource("GreenInOtherRegions", "{far}:db:{made}")
FAR_CLUSTER_GROUP = Resource("GreenInOtherRegions", "{far}:cluster-pg:{made}")
FAR_GROUP = Resource("GreenInOtherRegions", "{far}:pg:{made}")
FAR_SNAPSHOT = Resource("GreenInOtherRegions", "{far}:cluster-snapshot:{made}")
# When a snapshot of blue is to be taken first.
SNAPSHOT_SOURCE = Resource("SnapshotBlue", "{rds}:cluster:{snapshot_source}")
SNAPSHOT = Resource("SnapshotBlue", "{rds}:cluster-snapshot:{snapshot}")
# When the deployment has a dashboard and an alarm; a dashboard's ARN names no Region. Which ones are the deployment's
# is in their bodies, and ListDashboards knows no resource.
DASHBOARDS = Resource("LookForDashboards", "{dashboards}")
DASHBOARD = Resource("Watch", "{cloudwatch}:dashboard/{dashboard}")
ALARM = Resource("Watch", "{regional_cloudwatch}:alarm:{alarm}")
# When pending maintenance of green is to be applied.
PATCHED = Resource("PatchGreen", "{rds}:cluster:{patched}")
PATCHED_INSTANCE = Resource("PatchGreen", "{rds}:db:{patched}-*")
# Only when blue has them; not part of the policy, which the README says in words.
ROLE = Resource("", "{role}")
KEY = Resource("", "{key}")

_LOOKS = (
    "ec2:DescribeSecurityGroups",
    "rds:DescribeAccountAttributes",
    "rds:DescribeBlueGreenDeployments",
    "rds:DescribeDBProxies",
    "rds:DescribeDBProxyTargets",
    "rds:DescribeDBSubnetGroups",
    "rds:DescribeIntegrations",
    "rds:DescribeOrderableDBInstanceOptions",
    "rds:DescribePendingMaintenanceActions",
)
_READS = (
    "rds:DescribeDBClusterParameterGroups",
    "rds:DescribeDBClusterParameters",
    "rds:DescribeDBClusterSnapshots",
    "rds:DescribeDBClusters",
    "rds:DescribeDBEngineVersions",
    "rds:DescribeDBInstances",
    "rds:DescribeDBParameterGroups",
    "rds:DescribeDBParameters",
    "rds:DescribeEngineDefaultClusterParameters",
    "rds:DescribeEngineDefaultParameters",
    "rds:DescribeEvents",
    "rds:DescribeGlobalClusters",
    "rds:ListTagsForResource",
)

NEEDS: tuple[Need, ...] = (
    *(Need("readiness", action, (ANY,)) for action in _LOOKS),
    *(Need("read", action, (ANY,)) for action in _READS),
    Need("readiness", "iam:GetRole", (IDENTITY,)),
    Need("readiness", "iam:SimulatePrincipalPolicy", (IDENTITY,)),
    Need("read", "secretsmanager:GetSecretValue", (SECRET,), certain=False),  # the secret's own policy may allow it
    Need(
        "create",
        "rds:RestoreDBClusterToPointInTime",
        (BLUE, USED_CLUSTER_GROUP, USED_SUBNET_GROUP, USED_OPTION_GROUP, GREEN),
    ),
    Need(
        "create",
        "rds:CreateDBInstance",
        (
            USED_GROUP,
            USED_SUBNET_GROUP,
            GREEN,
            GREEN_INSTANCE,
            FAR_USED_GROUP,
            FAR_USED_SUBNET_GROUP,
            FAR,
            FAR_INSTANCE,
        ),
    ),
    Need("create", "rds:AddRoleToDBCluster", (GREEN, FAR)),
    Need(
        "create",
        "rds:AddTagsToResource",
        (
            GREEN,
            GREEN_INSTANCE,
            GREEN_CLUSTER_GROUP,
            GREEN_GROUP,
            SNAPSHOT,
            GLOBAL,
            FAR,
            FAR_INSTANCE,
            FAR_CLUSTER_GROUP,
            FAR_GROUP,
        ),
    ),
    Need("create", "rds:RemoveTagsFromResource", (GREEN, GREEN_INSTANCE)),
    Need("create", "rds:CreateDBClusterParameterGroup", (GREEN_CLUSTER_GROUP, FAR_CLUSTER_GROUP)),
    Need("create", "rds:CreateDBParameterGroup", (GREEN_GROUP, FAR_GROUP)),
    Need("create", "rds:ModifyDBClusterParameterGroup", (GREEN_CLUSTER_GROUP, FAR_CLUSTER_GROUP)),
    Need("create", "rds:ModifyDBParameterGroup", (GREEN_GROUP, FAR_GROUP)),
    Need("create", "rds:ModifyDBCluster", (USED_CLUSTER_GROUP, USED_OPTION_GROUP, GREEN, GREEN_CLUSTER_GROUP, FAR)),
    Need("create", "rds:ModifyDBInstance", (USED_GROUP, GREEN_INSTANCE, GREEN_GROUP)),
    Need("create", "rds:CreateGlobalCluster", (GLOBAL, PRIMARY)),
    Need(
        "create",
        "rds:CreateDBCluster",
        (GLOBAL, FAR_USED_CLUSTER_GROUP, FAR_USED_SUBNET_GROUP, FAR_USED_OPTION_GROUP, FAR),
    ),
    Need("create", "rds:RebootDBInstance", (GREEN_INSTANCE, FAR_INSTANCE)),
    Need("create", "rds:ApplyPendingMaintenanceAction", (PATCHED, PATCHED_INSTANCE)),
    Need("create", "iam:PassRole", (ROLE,)),
    Need("create", "kms:CreateGrant", (KEY,), certain=False),  # the key's own policy may allow it
    Need("create", "kms:DescribeKey", (KEY,), certain=False),
    Need("create", "rds:CreateDBClusterSnapshot", (SNAPSHOT_SOURCE, SNAPSHOT)),
    Need("create", "cloudwatch:ListDashboards", (DASHBOARDS,)),
    Need("create", "cloudwatch:GetDashboard", (DASHBOARDS,)),
    Need("create", "cloudwatch:PutDashboard", (DASHBOARD,)),
    Need("create", "cloudwatch:DescribeAlarms", (ALARM,)),
    Need("create", "cloudwatch:PutMetricAlarm", (ALARM,)),
    Need("cleanup", "cloudwatch:DeleteAlarms", (ALARM,)),
    Need("cleanup", "cloudwatch:DeleteDashboards", (DASHBOARD,)),
    # DeleteDBCluster with a final snapshot needs both (Amazon Aurora User Guide, deleting a DB cluster).
    Need("cleanup", "rds:CreateDBClusterSnapshot", (GREEN, GREEN_SNAPSHOT, FAR, FAR_SNAPSHOT)),
    Need("cleanup", "rds:DeleteDBCluster", (GREEN, GREEN_SNAPSHOT, FAR, FAR_SNAPSHOT)),
    Need("cleanup", "rds:RemoveFromGlobalCluster", (GLOBAL, PRIMARY, FAR)),
    Need("cleanup", "rds:ModifyGlobalCluster", (GLOBAL,)),
    Need("cleanup", "rds:DeleteGlobalCluster", (GLOBAL,)),
    Need("cleanup", "rds:DeleteDBInstance", (GREEN_INSTANCE, FAR_INSTANCE)),
    Need("cleanup", "rds:DeleteDBClusterParameterGroup", (GREEN_CLUSTER_GROUP, FAR_CLUSTER_GROUP)),
    Need("cleanup", "rds:DeleteDBParameterGroup", (GREEN_GROUP, FAR_GROUP)),
)


def policy(scope: Scope, needs: Iterable[Need] = NEEDS) -> dict[str, Any]:
    """The IAM policy that allows the needs in a scope, one statement for each kind of resource."""
    actions: dict[str, set[str]] = {}
    resources: dict[str, dict[str, None]] = {}
    for need in needs:
        for resource in (one for one in need.resources if one.statement):
            actions.setdefault(resource.statement, set()).add(need.action)
            resources.setdefault(resource.statement, {}).update(dict.fromkeys(resource.arns(scope)))
    return {
        "Version": "2012-10-17",
        "Statement": [statement(actions[sid], resources[sid], Sid=sid) for sid in actions if resources[sid]],
    }


def statement(actions: Iterable[str], resources: Iterable[str], **more: str) -> dict[str, Any]:
    """One statement that allows the actions on the resources."""
    return {**more, "Effect": "Allow", "Action": _one_or_many(actions), "Resource": _one_or_many(resources)}


def _one_or_many(values: Iterable[str]) -> str | list[str]:
    every = sorted(set(values))
    return every[0] if len(every) == 1 else every
