# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the data plane says no: the service's code, HTTP status and text."""

from __future__ import annotations

import json
import uuid

_STATUS = {
    "AccessDeniedException": 403,
    "BadRequestException": 400,
    "ClientTimeoutException": 408,
    "ConcurrentModificationException": 500,
    "ConstraintViolationException": 400,
    "ExpiredStreamException": 400,
    "InternalFailureException": 500,
    "InvalidArgumentException": 400,
    "InvalidParameterException": 400,
    "LoadUrlAccessDeniedException": 400,
    "MalformedQueryException": 400,
    "MemoryLimitExceededException": 500,
    "MethodNotAllowedException": 405,
    "MissingParameterException": 400,
    "ReadOnlyViolationException": 400,
    "StreamRecordsNotFoundException": 404,
    "ThrottlingException": 500,
    "TooManyRequestsException": 429,
    "UnsupportedOperationException": 400,
}


class ServiceError(Exception):
    """A refusal of the data plane."""

    def __init__(self, code: str, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.text = text
        self.status = status if status is not None else _STATUS[code]

    def body(self) -> bytes:
        """Return the refusal as the service writes it."""
        document = {"code": self.code, "requestId": str(uuid.uuid4()), "detailedMessage": self.text}
        return json.dumps(document).encode()


def malformed(text: str) -> ServiceError:
    """Return the refusal of a query that the language, or the part of it that is served here, does not know."""
    return ServiceError("MalformedQueryException", text)
