# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""One call to an AWS API: retried while throttled, paged, and a refusal is one sentence."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, TypeVar

try:
    from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
    from botocore.parsers import ResponseParserError
except ImportError:  # AnsibleAWSModule says so, in its own words

    class BotoCoreError(Exception):  # type: ignore[no-redef]
        """Stands in, never raised."""

    class ClientError(Exception):  # type: ignore[no-redef]
        """Stands in, never raised."""

    class ParamValidationError(Exception):  # type: ignore[no-redef]
        """Stands in, never raised."""

    class ResponseParserError(Exception):  # type: ignore[no-redef]
        """Stands in, never raised."""


from ansible_collections.amazon.aws.plugins.module_utils.botocore import get_boto3_client_method_parameters
from ansible_collections.amazon.aws.plugins.module_utils.retries import AWSRetry

from .._core.errors import BlueGreenError, words

T = TypeVar("T")
Retry = Callable[[Callable[[], T]], Callable[[], T]]

# What AWSRetry does not know yet: the query protocol says Throttling, the newer ones ThrottlingException.
_ALSO_THROTTLED = ("ThrottlingException", "RequestThrottled", "RequestThrottledException")
_TRANSIENT = (
    *_ALSO_THROTTLED,
    "Throttling",
    "RequestLimitExceeded",
    "TooManyRequestsException",
    "Unavailable",
    "ServiceUnavailable",
    "InternalFailure",
    "InternalError",
)
_ADVICE = {
    "AccessDenied": "allow this action to the identity that runs the module",
    "AccessDeniedException": "allow this action to the identity that runs the module",
    "UnauthorizedOperation": "allow this action to the identity that runs the module",
    "InvalidClientTokenId": "check the AWS credentials",
    "UnrecognizedClientException": "check the AWS credentials",
    "SignatureDoesNotMatch": "check the AWS credentials",
    "ExpiredToken": "renew the AWS credentials",
    "AuthFailure": "check the AWS credentials",
}


class ApiError(BlueGreenError):
    """AWS refused a call; ``code`` is the error code of the service model."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message, error={"code": code})
        self.code = code


class Unanswered(BlueGreenError):
    """AWS gave no answer: throttled for too long, or not reachable. A wait may ask again."""


class Api:
    """A boto3 client behind one door."""

    def __init__(self, client: Any, retry: Retry[Any] | None = None) -> None:
        self._client = client
        self._retry: Retry[Any] = retry or AWSRetry.jittered_backoff(
            retries=10, delay=1, max_delay=30, catch_extra_error_codes=list(_ALSO_THROTTLED)
        )

    def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """The answer of one operation, named as boto3 names it.

        Raises :class:`ApiError` when AWS refuses it and :class:`Unanswered` when AWS does not answer.
        """
        answer: dict[str, Any] = self._ask(operation, lambda: getattr(self._client, operation)(**parameters))
        return answer

    def find(self, operation: str, missing: Collection[str], **parameters: Any) -> dict[str, Any] | None:
        """As :meth:`call`, but None when AWS answers with one of the error codes in ``missing``."""
        try:
            return self.call(operation, **parameters)
        except ApiError as error:
            if error.code in missing:
                return None
            raise

    def pages(self, operation: str, key: str, missing: Collection[str] = (), **parameters: Any) -> list[dict[str, Any]]:
        """All items under ``key`` (a path with dots) over all pages; none for an error code in ``missing``."""
        paginator = self._client.get_paginator(operation)
        try:
            whole = self._ask(operation, lambda: paginator.paginate(**parameters).build_full_result())
        except ApiError as error:
            if error.code in missing:
                return []
            raise
        for part in key.split("."):
            whole = whole.get(part) or {}
        return list(whole)

    @property
    def partition(self) -> str:
        """The first part of the client's ARNs: ``aws``, ``aws-cn``, ``aws-us-gov``."""
        return str(self._client.meta.partition)

    @property
    def region(self) -> str:
        """The Region of the client."""
        return str(self._client.meta.region_name)

    def accepts(self, operation: str) -> frozenset[str]:
        """The parameters that this version of botocore knows for an operation."""
        return frozenset(get_boto3_client_method_parameters(self._client, operation))

    def _ask(self, operation: str, call: Callable[[], Any]) -> Any:
        name = self._client.meta.method_to_api_mapping.get(operation, operation)
        try:
            return self._retry(call)()
        except ClientError as error:
            raise _refusal(name, error) from None
        except ParamValidationError as error:
            raise BlueGreenError(
                f"The installed botocore cannot call {name}: {words(error)}; update botocore."
            ) from None
        except BotoCoreError as error:
            raise Unanswered(
                f"AWS could not be asked for {name}: {words(error)}; look at region, endpoint and credentials."
            ) from None
        except ResponseParserError as error:
            raise Unanswered(
                f"AWS could not be asked for {name}: the endpoint's answer is not one of this API "
                f"({words(error)[:200]}); look at the endpoint."
            ) from None


# A client for calls inside the window: whatever takes longer is reported, and tried again by whoever asked.
QUICK_CONFIG = {"connect_timeout": 2, "read_timeout": 3, "retries": {"max_attempts": 0}}


def quick(client: Any) -> Api:
    """``client``, made with :data:`QUICK_CONFIG`, for calls inside the window: few retries, a short time apart."""
    codes = [*_ALSO_THROTTLED, "PriorRequestNotComplete"]  # the latter is how Route 53 puts it
    return Api(client, AWSRetry.jittered_backoff(retries=4, delay=0.1, max_delay=0.5, catch_extra_error_codes=codes))


def _refusal(operation: str, error: ClientError) -> BlueGreenError:
    answer = error.response.get("Error", {})
    code = str(answer.get("Code", "no code"))
    reason = " ".join(str(answer.get("Message") or "no reason given").split()).rstrip(".")
    if code in _TRANSIENT:
        return Unanswered(f"AWS did not answer {operation}: {reason} ({code}); run it again later.")
    advice = f"; {_ADVICE[code]}" if code in _ADVICE else ""
    return ApiError(f"AWS refused {operation}: {reason} ({code}){advice}.", code)
