# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""What a deployment that RDS manages needs of IAM beside the table of the other ones, and whether it is allowed.

Sources: Amazon RDS User Guide, "Authorizing access to blue/green deployment operations": the service acts with the caller's rights.
"""

from __future__ import annotations

from collections.abc import Callable

from .._core.checks import Check
from .._core.errors import BlueGreenError
from .._core.names import Names
from .api import Api
from .managed import Place
from .permissions import Need, Resource
from .readiness_permissions import judge, principal_of, simulated, tries, with_path
from .readiness_topic import Topic

PERMISSIONS = Topic(
    "managed_permissions", "https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonrds.html"
)
DEPLOYMENT = Resource("ManagedDeployment", "{rds}:deployment:*")
BLUE = Resource("ManagedBlue", "{rds}:{kind}:{blue}")
ANY_CLUSTER = Resource("ManagedGreen", "{rds}:cluster:*")
ANY_GLOBAL = Resource("ManagedGreen", "{world}:global-cluster:*")
ANY_INSTANCE = Resource("ManagedGreen", "{rds}:db:*")

NEEDS: tuple[Need, ...] = (
    Need("create", "rds:CreateBlueGreenDeployment", (DEPLOYMENT, BLUE)),
    Need("create", "rds:AddTagsToResource", (DEPLOYMENT, ANY_INSTANCE)),
    Need("create", "rds:CreateDBCluster", (ANY_CLUSTER,)),
    Need("create", "rds:CreateDBInstance", (ANY_INSTANCE,)),
    Need("create", "rds:CreateDBInstanceReadReplica", (ANY_INSTANCE,)),
    Need("create", "rds:CreateDBClusterEndpoint", (ANY_CLUSTER,)),
    Need("create", "rds:SwitchoverBlueGreenDeployment", (DEPLOYMENT,)),
    Need("create", "rds:ModifyDBCluster", (ANY_CLUSTER,)),
    Need("create", "rds:ModifyDBInstance", (ANY_INSTANCE,)),
    Need("create", "rds:PromoteReadReplicaDBCluster", (ANY_CLUSTER,)),
    Need("create", "rds:PromoteReadReplica", (ANY_INSTANCE,)),
    Need("cleanup", "rds:DeleteBlueGreenDeployment", (DEPLOYMENT,)),
    Need("cleanup", "rds:DeleteDBCluster", (ANY_CLUSTER,)),
    Need("cleanup", "rds:DeleteDBInstance", (ANY_INSTANCE,)),
    Need("cleanup", "rds:DeleteDBClusterEndpoint", (ANY_CLUSTER,)),
)
GLOBAL_NEEDS: tuple[Need, ...] = (
    Need("create", "rds:CreateGlobalCluster", (ANY_GLOBAL,)),
    Need("create", "rds:ModifyGlobalCluster", (ANY_GLOBAL,)),
    Need("cleanup", "rds:DeleteGlobalCluster", (ANY_GLOBAL,)),
)
"""Those of a global database's, beside :data:`NEEDS`."""
CALLED = (
    "cloudwatch:GetMetricStatistics",
    "rds:CreateBlueGreenDeployment",
    "rds:DeleteBlueGreenDeployment",
    "rds:DescribeDBSnapshots",
    "rds:SwitchoverBlueGreenDeployment",
)
"""What the collection calls for it beside the table of the other deployments; the service calls more in the caller's name."""


def checks(client: Callable[[str], Api], blue: Place, names: Names) -> list[Check]:
    """Whether the identity may do all that, as IAM simulates it; a simulation that cannot be made is one warning."""
    principal = "unknown"
    rds = blue.arn.rsplit(":", 2)[0]
    # The ARN of a global cluster has no Region.
    everywhere = ":".join([*rds.split(":")[:3], "", rds.split(":")[4]])
    scope = {"rds": (rds,), "world": (everywhere,), "kind": (blue.arn.split(":")[5],), "blue": (blue.identifier,)}
    world = GLOBAL_NEEDS if blue.description.get("GlobalClusterIdentifier") else ()
    needs = [one for one in (*NEEDS, *world) if blue.is_cluster or not _only_clusters(one)]
    try:
        caller = str(client("sts").call("get_caller_identity")["Arn"])
        found = principal_of(caller)
        if found is None:
            return [PERMISSIONS.warning(f"the permissions of {caller} cannot be simulated", "run this as an IAM role")]
        principal = with_path(client("iam"), found)
        tried = tries(("create", "cleanup"), scope, scope, needs)
        verdicts = simulated(client("iam"), principal, blue.arn.split(":")[3], tried)
    except BlueGreenError as error:
        return [
            PERMISSIONS.warning(
                f"the permissions of {principal} could not be simulated: {error.message.rstrip('.')}",
                "allow iam:GetRole and iam:SimulatePrincipalPolicy, or compare its policies with docs/managed.md",
            )
        ]
    return [judge(PERMISSIONS, principal, tried, verdicts, stops=True)]


def _only_clusters(need: Need) -> bool:
    return "Cluster" in need.action
