# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""The IAM policies that let applications at blue's data and not at green's, each with the statement that green needs.

A policy for the data of Neptune names a cluster by its resource id (``arn:aws:neptune-db:REGION:ACCOUNT:cluster-ABC/*``), and
green has another one. Found are the statements of the account's own policies that hold for the one and not for the other,
whichever way they say so: the id, a pattern that fits it, or everything but it. Source: Amazon Neptune User Guide, *IAM
data-access policy statements*; IAM User Guide, *IAM JSON policy elements*.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from .api import Api
from .clusters import Cluster

_SERVICE = "neptune-db"
_RESTS = ("/*", "/database")  # what follows the resource id, today and in older policies
# What is asked for (Filter of GetAccountAuthorizationDetails) and the key of the answer.
_DETAILS = (("User", "UserDetailList"), ("Group", "GroupDetailList"), ("Role", "RoleDetailList"))
_INLINE = {"UserDetailList": "UserPolicyList", "GroupDetailList": "GroupPolicyList", "RoleDetailList": "RolePolicyList"}
_NAME = {"UserDetailList": "UserName", "GroupDetailList": "GroupName", "RoleDetailList": "RoleName"}

Statement = Mapping[str, Any]


@dataclass(frozen=True)
class Policy:
    """One policy of the account: its ARN, or in words whose inline policy it is; who has it; its statements."""

    name: str
    attached_to: tuple[str, ...]
    statements: tuple[Statement, ...]


@dataclass(frozen=True)
class Behind:
    """A statement that holds for blue and not for green, and the one that green needs."""

    policy: str
    attached_to: tuple[str, ...]
    statement: Statement
    needed: Statement

    def as_dict(self) -> dict[str, Any]:
        """The finding as plain values, for a module's result."""
        return {
            "policy": self.policy,
            "attached_to": list(self.attached_to),
            "statement": dict(self.statement),
            "needed": dict(self.needed),
        }


def policies_behind(iam: Api, blue: Cluster, green: Cluster) -> list[Behind]:
    """Every statement of the account's policies that has to be given for green too; blue's stay as they are.

    Raises :class:`BlueGreenError` when they may not be read (``iam:GetAccountAuthorizationDetails``).
    """
    return statements_behind(read_policies(iam), data_arn(blue), data_arn(green))


def data_arn(cluster: Cluster) -> str:
    """The first part of the ARNs of a cluster's data, without what follows the resource id. Pure."""
    partition, _service, region, account = cluster.arn.split(":")[1:5]
    return f"arn:{partition}:{_SERVICE}:{region}:{account}:{cluster.description['DbClusterResourceId']}"


def read_policies(iam: Api) -> list[Policy]:
    """The policies of the account's own that are in force: managed ones in their default version, and inline ones."""
    found: list[Policy] = []
    holders: dict[str, list[str]] = {}
    for kind, key in _DETAILS:
        for holder in iam.pages("get_account_authorization_details", key, Filter=[kind]):
            who = f"{kind.lower()} {holder[_NAME[key]]}"
            found += [
                Policy(f"inline policy {one['PolicyName']} of {who}", (who,), _statements(one.get("PolicyDocument")))
                for one in holder.get(_INLINE[key]) or []
            ]
            for attached in holder.get("AttachedManagedPolicies") or []:
                holders.setdefault(attached["PolicyArn"], []).append(who)
    for managed in iam.pages("get_account_authorization_details", "Policies", Filter=["LocalManagedPolicy"]):
        versions = managed.get("PolicyVersionList") or []
        now: Mapping[str, Any] = next((one for one in versions if one.get("IsDefaultVersion")), {})
        arn = str(managed["Arn"])
        found.append(Policy(arn, tuple(holders.get(arn, ())), _statements(now.get("Document"))))
    return found


def statements_behind(policies: Iterable[Policy], blue: str, green: str) -> list[Behind]:
    """The statements that name the data of ``blue`` and not of ``green``, two :func:`data_arn`, and have no twin for green. Pure."""
    found: list[Behind] = []
    for policy in policies:
        for statement in policy.statements:
            if not _about_data(statement) or not _names(statement, blue) or _names(statement, green):
                continue
            needed = _for_green(statement, blue, green)
            if not any(_is_twin(other, needed, green) for other in policy.statements):
                found.append(Behind(policy.name, policy.attached_to, statement, needed))
    return found


def _statements(document: Any) -> tuple[Statement, ...]:
    if isinstance(document, str):  # as the API has it; boto3 decodes it
        document = json.loads(unquote(document))
    return tuple(_many((document or {}).get("Statement")))


def _many(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]


def _about_data(statement: Statement) -> bool:
    """Whether the statement can be about actions of Neptune's data; NotAction names those that it is not about."""
    if "NotAction" in statement:
        return True
    return any(_pattern(action.partition(":")[0]).fullmatch(_SERVICE) for action in _many(statement.get("Action")))


def _names(statement: Statement, arn: str) -> bool:
    """Whether a resource of the statement, also one that it is not about, is the data of ``arn``."""
    return any(_is_of(one, arn) for one in _resources(statement))


def _resources(statement: Statement) -> list[str]:
    return _many(statement.get("NotResource", statement.get("Resource")))


def _is_of(resource: str, arn: str) -> bool:
    return any(_pattern(resource).fullmatch(arn + rest) for rest in _RESTS)


def _pattern(text: str) -> re.Pattern[str]:
    """A resource or action of a policy as IAM reads it: ``*``, ``?``, and variables, of which any value is possible."""
    parts = re.split(r"(\$\{[^}]*\}|\*|\?)", text)
    return re.compile(
        "".join("." if one == "?" else ".*" if one[:1] in ("*", "$") else re.escape(one) for one in parts)
    )


def _for_green(statement: Statement, blue: str, green: str) -> dict[str, Any]:
    """The statement with green in blue's place; one about everything but blue exempts green as well."""
    moved = [
        one.replace(_resource_id(blue), _resource_id(green)) if _resource_id(blue) in one else green + _RESTS[0]
        for one in _resources(statement)
        if _is_of(one, blue)
    ]
    rest = {name: value for name, value in statement.items() if name != "Sid"}
    if "NotResource" in statement:
        return {**rest, "NotResource": [*_resources(statement), *moved]}
    return {**rest, "Resource": moved[0] if len(moved) == 1 else moved}


def _resource_id(arn: str) -> str:
    return arn.rpartition(":")[2]


def _is_twin(statement: Statement, needed: Statement, green: str) -> bool:
    """Whether a statement says of green what is needed."""
    return (
        _names(statement, green)
        and ("NotResource" in statement) == ("NotResource" in needed)
        and all(_as_set(statement.get(name)) == _as_set(needed.get(name)) for name in ("Action", "NotAction"))
        and all(statement.get(name) == needed.get(name) for name in ("Effect", "Condition"))
    )


def _as_set(value: Any) -> set[str]:
    return {str(one).lower() for one in _many(value)}
