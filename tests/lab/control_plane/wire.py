# Copyright (c) 2026 bluegreen.aws contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The RDS query protocol: requests parsed and answers written by moto's and botocore's service model.

Serves the `rds` and the `neptune` client, which share endpoint prefix, signing name and API version.
"""

from __future__ import annotations

import contextlib
import logging
import re
import socket
from collections.abc import Mapping
from typing import Any

from moto.core.errors import COMMON_ERROR_CODES
from moto.core.model import OperationModel, ServiceModel
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.serialize import get_serializer_class
from moto.core.utils import get_service_model

from tests.lab.control_plane.errors import ApiError, not_in_lab
from tests.lab.control_plane.faults import Lost
from tests.lab.control_plane.plane import Call, ControlPlane, Handler
from tests.lab.control_plane.records import Shape

LOG = logging.getLogger(__name__)
DEFAULT_REGION = "us-east-1"
STATUS_OF_CODE: Mapping[str, int] = {"AccessDenied": 403, "InternalFailure": 500, "ServiceUnavailable": 503}
# Errors that every query service has and no service model lists.
UNMODELLED = (
    "AccessDenied",
    "InternalFailure",
    "InvalidAction",
    "LabFailure",
    "MissingParameter",
    "ServiceUnavailable",
    "Throttling",
)
Answer = tuple[int, dict[str, str], str]


class Wire:
    """Turns HTTP requests into calls of handlers and their results into answers; no request ends in an exception."""

    def __init__(self, plane: ControlPlane, handlers: Mapping[str, Handler]) -> None:
        self.plane = plane
        self._handlers = handlers
        self._model: ServiceModel = get_service_model("rds")
        COMMON_ERROR_CODES.extend(code for code in UNMODELLED if code not in COMMON_ERROR_CODES)

    def answer(self, request: Any, _url: str, _headers: Any) -> Answer:
        """Answer one request; the signature is the one of moto's `url_paths`."""
        operation = str(request.values.get("Action", ""))
        if operation not in self._model.operation_names:
            return self._write(OperationModel({}, self._model), not_in_lab(f"the operation {operation or '(none)'}"))
        model = self._model.operation_model(operation)
        try:
            return self._write(model, self._call(operation, model, request))
        except Lost as exc:
            self.plane.clock.pause(exc.seconds)
            with contextlib.suppress(OSError):  # the client has gone
                request.environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            return 500, {}, ""
        except ApiError as exc:
            return self._write(model, exc)
        except Exception as exc:  # a bug of the lab is an error answer too, with its reason in the lab's log
            LOG.exception("%s failed", operation)
            return self._write(model, ApiError("LabFailure", f"the lab failed: {type(exc).__name__}: {exc}"))

    def _call(self, operation: str, model: Any, request: Any) -> Shape:
        before, after = self.plane.faults.count(operation)
        if before is not None:
            raise before
        handler = self._handlers.get(operation)
        if handler is None:
            raise not_in_lab(f"the operation {operation}")
        params = PROTOCOL_PARSERS["query"](model).parse(
            {
                "method": request.method,
                "values": request.values,
                "headers": request.headers,
                "body": request.data,
                "url_path": request.path,
                "url_params": {},
            }
        )
        region = self.plane.region(region_of(request.headers.get("Authorization", "")))
        try:
            with self.plane.lock:
                result = handler(Call(self.plane, region, operation, params))
        except ApiError:
            if isinstance(after, Lost):
                raise after from None
            raise
        if after is not None:
            raise after
        return result

    def _write(self, model: Any, result: Shape | ApiError) -> Answer:
        written = get_serializer_class("rds", "query")(operation_model=model).serialize(result)
        status = int(written["status_code"])
        if isinstance(result, ApiError):
            status = status_of(result, status)
        return status, dict(written["headers"]), str(written["body"])


def status_of(error: ApiError, otherwise: int) -> int:
    """Return the HTTP status of an error that no service model lists."""
    return STATUS_OF_CODE.get(error.code, otherwise)


def region_of(authorization: str) -> str:
    """Return the Region that a request was signed for."""
    found = re.search(r"Credential=[^/]+/\d+/([^/]+)/", authorization)
    return found.group(1) if found else DEFAULT_REGION
