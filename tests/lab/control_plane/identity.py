# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab answers itself of IAM, STS and EC2: who calls, what they may do, and the clusters' security groups.

moto has no SimulatePrincipalPolicy, and it does not know the lab's network. Everything else of these services is moto's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from moto.core.model import OperationModel
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.serialize import get_serializer_class
from moto.core.utils import get_service_model

from tests.lab.control_plane.clusters import DEFAULT_SECURITY_GROUP
from tests.lab.control_plane.errors import ApiError
from tests.lab.control_plane.plane import ControlPlane
from tests.lab.control_plane.records import ACCOUNT, Shape
from tests.lab.control_plane.subnet_groups import VPC

USER = f"arn:aws:iam::{ACCOUNT}:user/lab"
ASSUMED = re.compile(rf"arn:aws:sts::{ACCOUNT}:assumed-role/(?P<role>[\w+=,.@-]+)/[\w+=,.@-]+\Z")
_PROTOCOLS = {"ec2": "ec2", "iam": "query", "sts": "query"}
Answer = tuple[int, dict[str, str], str]


def caller(plane: ControlPlane, _params: Shape) -> Shape:
    """GetCallerIdentity."""
    return {"UserId": "AIDALAB7Q2ZK5X9WTR3J", "Account": ACCOUNT, "Arn": plane.caller or USER}


def set_caller(plane: ControlPlane, arn: str) -> None:
    """Have every call come from a session of a role; `clear` gives the user back. Raises ValueError for another ARN."""
    if not ASSUMED.match(arn):
        raise ValueError(f"{arn} is not the ARN of an assumed role's session")
    plane.caller = arn


def simulate(plane: ControlPlane, params: Shape) -> Shape:
    """SimulatePrincipalPolicy: everything is allowed except the operations that the knob `deny` denies."""
    source = str(params.get("PolicySourceArn"))
    session = ASSUMED.match(plane.caller or "")
    known = f"arn:aws:iam::{ACCOUNT}:role/{session['role']}" if session else USER
    if source != known:
        raise ApiError("NoSuchEntity", f"{source} cannot be found.")
    denied = plane.faults.denied()
    return {
        "EvaluationResults": [
            {
                "EvalActionName": action,
                "EvalResourceName": resource,
                "EvalDecision": "implicitDeny" if str(action).partition(":")[2] in denied else "allowed",
                "MatchedStatements": [],
                "MissingContextValues": [],
            }
            for action in params.get("ActionNames") or ()
            for resource in params.get("ResourceArns") or ("*",)
        ],
        "IsTruncated": False,
    }


def role(plane: ControlPlane, params: Shape) -> Shape:
    """GetRole: the role of the caller's session."""
    session = ASSUMED.match(plane.caller or "")
    name = str(params.get("RoleName"))
    if session is None or session["role"] != name:
        raise ApiError("NoSuchEntity", f"The role with name {name} cannot be found.")
    arn = f"arn:aws:iam::{ACCOUNT}:role/{name}"
    return {"Role": {"Path": "/", "RoleName": name, "RoleId": "AROALAB7Q2ZK5X9WTR3J", "Arn": arn}}


def security_groups(_plane: ControlPlane, params: Shape) -> Shape:
    """DescribeSecurityGroups: the default one lets its own members in, any other one nobody, as a new one does."""
    return {
        "SecurityGroups": [
            {
                "GroupId": name,
                "GroupName": "default" if name == DEFAULT_SECURITY_GROUP else name,
                "Description": "a security group of the lab",
                "OwnerId": ACCOUNT,
                "VpcId": VPC,
                "IpPermissions": [_members(name)] if name == DEFAULT_SECURITY_GROUP else [],
                "IpPermissionsEgress": [],
            }
            for name in params.get("GroupIds") or (DEFAULT_SECURITY_GROUP,)
        ]
    }


def _members(name: str) -> Shape:
    return {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": name, "UserId": ACCOUNT}], "IpRanges": []}


Operation = Callable[[ControlPlane, Shape], Shape]
OPERATIONS: Mapping[tuple[str, str], Operation] = {
    ("ec2", "DescribeSecurityGroups"): security_groups,
    ("iam", "GetRole"): role,
    ("iam", "SimulatePrincipalPolicy"): simulate,
    ("sts", "GetCallerIdentity"): caller,
}


def answer(plane: ControlPlane, service: str, request: Any) -> Answer | None:
    """The answer to a request, None when it is moto's to answer."""
    operation = str(request.values.get("Action", ""))
    handler = OPERATIONS.get((service, operation))
    if handler is None:
        return None
    model = get_service_model(service).operation_model(operation)
    try:
        return _write(service, model, _call(plane, service, operation, handler, model, request))
    except ApiError as exc:
        return _write(service, model, exc)


def _call(
    plane: ControlPlane, service: str, operation: str, handler: Operation, model: OperationModel, request: Any
) -> Shape:
    before, _after = plane.faults.count(operation, service)
    if before is not None:
        raise before
    params = PROTOCOL_PARSERS[_PROTOCOLS[service]](model).parse(
        {
            "method": request.method,
            "values": request.values,
            "headers": request.headers,
            "body": request.data,
            "url_path": request.path,
            "url_params": {},
        }
    )
    with plane.lock:
        return handler(plane, params)


def _write(service: str, model: OperationModel, result: Shape | ApiError) -> Answer:
    written = get_serializer_class(service, _PROTOCOLS[service])(operation_model=model).serialize(result)
    status = int(written["status_code"])
    if isinstance(result, ApiError):
        status = 403 if result.code == "AccessDenied" else 404 if result.code == "NoSuchEntity" else status
    return status, dict(written["headers"]), str(written["body"])
