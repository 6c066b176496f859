# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The IAM actions of each gate that AWS holds, in one table, and whether whoever runs this may take the one that changes.

The policy in docs/gates.md is tested against :data:`GATE_NEEDS`. Sources: AWS's *Actions, resources, and condition keys* for
Amazon Route 53, AWS Secrets Manager, AWS Systems Manager and Amazon RDS.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from .._core.checks import Check, failed, ok
from .._core.errors import BlueGreenError
from .api import Api
from .permissions import statement
from .readiness_permissions import Verdict, principal_of, verdicts_of

Actions = tuple[str, ...]

# gate -> statement of the policy -> its actions
GATE_NEEDS: Mapping[str, Mapping[str, Actions]] = {
    "route53": {
        "GateRecord": ("route53:ChangeResourceRecordSets", "route53:ListResourceRecordSets"),
        "GateRecordChange": ("route53:GetChange",),
    },
    "secretsmanager_secret": {
        "GateSecret": (
            "secretsmanager:DescribeSecret",
            "secretsmanager:GetSecretValue",
            "secretsmanager:PutSecretValue",
        ),
        "GateClusters": ("rds:DescribeDBClusters",),
    },
    "ssm_parameter": {
        "GateParameter": ("ssm:GetParameter", "ssm:PutParameter"),
        "GateParameters": ("ssm:DescribeParameters",),
    },
    "rds_proxy": {
        "GateProxy": (
            "rds:DeregisterDBProxyTargets",
            "rds:DescribeDBProxies",
            "rds:DescribeDBProxyTargetGroups",
            "rds:DescribeDBProxyTargets",
            "rds:RegisterDBProxyTargets",
        ),
        "GateClusters": ("rds:DescribeDBClusters",),
    },
}


class Permissions:
    """Simulates the policies of the caller; only a plain no stops the switchover, because it would fail in the window."""

    def __init__(self, api: Callable[[str], Api]) -> None:
        self._api = api
        self._principal: str | None = None

    def check(self, check_id: str, action: str, arn: str, *, certain: bool = True) -> Check:
        """Whether ``action`` is allowed on ``arn``; ``certain`` false: a policy of the resource itself may allow it too."""
        try:
            verdict = self._simulate(action, arn)
        except BlueGreenError as error:
            return ok(check_id, f"whether {action} is allowed could not be simulated: {error.message.rstrip('.')}")
        if verdict.decision == "explicitDeny" or (
            verdict.decision == "implicitDeny" and certain and not verdict.missing
        ):
            by = f" (by {verdict.by})" if verdict.by else ""
            evidence = f"{self._principal} is not allowed {action} on {arn}{by}"
            return failed(check_id, evidence, f"allow it: {json.dumps(statement([action], [arn]))}")
        return ok(check_id, f"{action} on {arn}: {verdict.decision}")

    def _simulate(self, action: str, arn: str) -> Verdict:
        principal = self._caller()
        results = self._api("iam").call(
            "simulate_principal_policy", PolicySourceArn=principal, ActionNames=[action], ResourceArns=[arn]
        )["EvaluationResults"]
        return verdicts_of(results).get((action, arn), Verdict("not simulated"))

    def _caller(self) -> str:
        if self._principal is None:
            arn = str(self._api("sts").call("get_caller_identity")["Arn"])
            found = principal_of(arn)
            if found is None:
                raise BlueGreenError(f"{arn} is neither an IAM user nor a role.")
            principal = found.arn
            if found.role is not None:
                principal = str(self._api("iam").call("get_role", RoleName=found.role)["Role"]["Arn"])
            self._principal = principal
        return self._principal
