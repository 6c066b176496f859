# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API's errors: one exception, whose code is a fault of the service model or one of the common errors."""

from __future__ import annotations

from moto.core.exceptions import ServiceException


class ApiError(ServiceException):
    """An error answer; `code` is what a client finds in `ClientError.response["Error"]["Code"]`."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


def invalid_value(message: str) -> ApiError:
    """A parameter's value is wrong in itself."""
    return ApiError("InvalidParameterValue", message)


def invalid_combination(message: str) -> ApiError:
    """Parameters do not go together, or not with the state of the resource."""
    return ApiError("InvalidParameterCombination", message)


def not_in_lab(what: str) -> ApiError:
    """AWS has it, the lab does not; never a silent success."""
    return ApiError("InvalidAction", f"{what} is not part of the lab.")


def cluster_not_found(identifier: str) -> ApiError:
    """No such DB cluster."""
    return ApiError("DBClusterNotFoundFault", f"DBCluster {identifier} not found.")


def instance_not_found(identifier: str) -> ApiError:
    """No such DB instance."""
    return ApiError("DBInstanceNotFound", f"DBInstance {identifier} not found.")


def cluster_state(message: str) -> ApiError:
    """The DB cluster is not in the state that the operation needs."""
    return ApiError("InvalidDBClusterStateFault", message)


def instance_state(message: str) -> ApiError:
    """The DB instance is not in the state that the operation needs."""
    return ApiError("InvalidDBInstanceState", message)


def global_state(message: str) -> ApiError:
    """The global cluster is not in the state that the operation needs."""
    return ApiError("InvalidGlobalClusterStateFault", message)


def access_denied(service: str, operation: str) -> ApiError:
    """What a missing IAM permission looks like."""
    return ApiError(
        "AccessDenied",
        f"User: arn:aws:iam::123456789012:user/lab is not authorized to perform: {service}:{operation} "
        f"because no identity-based policy allows the {service}:{operation} action",
    )
